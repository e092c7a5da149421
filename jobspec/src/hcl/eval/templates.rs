//! Texts with interpolations and directives in them.

use hcl_edit::{
    Span as _,
    template::{Directive, Element, Strip, Template},
};

use super::*;

impl Evaluator<'_> {
    /// A template: a single interpolation keeps its type, anything else is a text.
    pub(super) fn template(&mut self, elements: &[&Element], span: Option<Span>) -> Value {
        self.templates += 1;
        let value = self.template_value(elements, span);
        self.templates -= 1;
        value
    }

    pub(super) fn template_value(&mut self, elements: &[&Element], span: Option<Span>) -> Value {
        if let [Element::Interpolation(only)] = elements {
            return self.eval(&only.expr);
        }
        let mut out = String::new();
        if self.template_text(elements, &mut out) && self.spend(out.len(), &span) {
            Value::String(out)
        } else {
            Value::Unknown
        }
    }

    /// Writes a template out; false when something in it is unknown.
    pub(super) fn template_text(&mut self, elements: &[&Element], out: &mut String) -> bool {
        let mut known = true;
        for (index, element) in elements.iter().enumerate() {
            match element {
                Element::Literal(literal) => {
                    if let Some(text) = self.heredoc_literal(literal) {
                        out.push_str(text);
                        continue;
                    }
                    let mut text = literal.as_str();
                    if index > 0 && strips(elements[index - 1]).1 {
                        text = text.trim_start();
                    }
                    if elements.get(index + 1).is_some_and(|next| strips(next).0) {
                        text = text.trim_end();
                    }
                    out.push_str(text);
                }
                Element::Interpolation(interpolation) => {
                    let value = self.eval(&interpolation.expr);
                    match value.to_text() {
                        Some(text) => {
                            known &= self.spend(text.len(), &interpolation.expr.span());
                            out.push_str(&text);
                        }
                        None => {
                            known = false;
                            if !value.has_unknown() {
                                let detail = if value == Value::Null {
                                    "The expression result is null. Cannot include a null value in a string template."
                                } else {
                                    "Cannot include the given value in a string template: string required."
                                };
                                self.fail(
                                    "Invalid template interpolation value",
                                    detail,
                                    interpolation.expr.span(),
                                );
                            }
                        }
                    }
                }
                Element::Directive(directive) => known &= self.directive(directive, out),
            }
            if self.exhausted {
                return false;
            }
        }
        known
    }

    /// The text of a literal of the innermost heredoc.
    pub(super) fn heredoc_literal(&self, literal: &hcl_edit::Spanned<String>) -> Option<&str> {
        let start = literal.span()?.start;
        let texts = self.heredocs.last()?;
        texts.get(&start).map(String::as_str)
    }

    pub(super) fn directive(&mut self, directive: &Directive, out: &mut String) -> bool {
        match directive {
            Directive::If(directive) => {
                let condition = self.eval(&directive.if_expr.cond_expr);
                let Some(holds) = condition.to_bool() else {
                    if condition != Value::Unknown {
                        self.fail(
                            "Incorrect condition type",
                            "The condition expression must be of type bool.",
                            directive.if_expr.cond_expr.span(),
                        );
                    }
                    return false;
                };
                // Each part's own markers strip the text between them.
                let else_strip = directive.else_expr.as_ref().map(|part| part.strip);
                let end_strip = directive.endif_expr.strip;
                if holds {
                    let next = else_strip.unwrap_or(end_strip);
                    self.inner_template(
                        &directive.if_expr.template,
                        directive.if_expr.strip,
                        next,
                        out,
                    )
                } else if let Some(part) = &directive.else_expr {
                    self.inner_template(&part.template, part.strip, end_strip, out)
                } else {
                    true
                }
            }
            Directive::For(directive) => {
                let part = &directive.for_expr;
                let collection = self.eval(&part.collection_expr);
                let unknown = collection == Value::Unknown;
                let Some(pairs) = pairs(collection) else {
                    if !unknown {
                        self.fail(
                            "Iteration over non-iterable value",
                            "This value cannot be used as the collection in a 'for' expression: a list, a set or a map is required.",
                            part.collection_expr.span(),
                        );
                    }
                    return false;
                };
                let mark = self.scope.mark();
                let mut known = true;
                for (key, value) in pairs {
                    self.scope.back_to(mark);
                    if let Some(name) = &part.key_var {
                        self.scope.set(name.as_str(), key);
                    }
                    self.scope.set(part.value_var.as_str(), value);
                    known &= self.inner_template(
                        &part.template,
                        part.strip,
                        directive.endfor_expr.strip,
                        out,
                    );
                    if self.exhausted || !self.spend(1, &None) {
                        break;
                    }
                }
                self.scope.back_to(mark);
                known
            }
        }
    }

    /// The inside of a directive, between the markers that open and close it.
    pub(super) fn inner_template(
        &mut self,
        template: &Template,
        opening: Strip,
        closing: Strip,
        out: &mut String,
    ) -> bool {
        let elements: Vec<&Element> = template.iter().collect();
        let mut text = String::new();
        let known = self.template_text(&elements, &mut text);
        let mut part = text.as_str();
        let quoted = |element: Option<&&Element>| match element {
            Some(Element::Literal(literal)) => self.heredoc_literal(literal).is_none(),
            _ => false,
        };
        if strips_after(opening) && quoted(elements.first()) {
            part = part.trim_start();
        }
        if strips_before(closing) && quoted(elements.last()) {
            part = part.trim_end();
        }
        out.push_str(part);
        known && self.spend(text.len(), &None)
    }
}

fn strips_before(strip: Strip) -> bool {
    matches!(strip, Strip::Start | Strip::Both)
}

fn strips_after(strip: Strip) -> bool {
    matches!(strip, Strip::End | Strip::Both)
}

/// Whether an element strips the text before and after it.
fn strips(element: &Element) -> (bool, bool) {
    match element {
        Element::Literal(_) => (false, false),
        Element::Interpolation(interpolation) => (
            strips_before(interpolation.strip),
            strips_after(interpolation.strip),
        ),
        Element::Directive(directive) => match &**directive {
            Directive::If(directive) => (
                strips_before(directive.if_expr.strip),
                strips_after(directive.endif_expr.strip),
            ),
            Directive::For(directive) => (
                strips_before(directive.for_expr.strip),
                strips_after(directive.endfor_expr.strip),
            ),
        },
    }
}
