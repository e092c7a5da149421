//! Names and what is asked of them: attributes, elements, splats. A name that nothing defines stays as it is written.

use hcl_edit::{
    Span as _,
    expr::{Expression, Traversal, TraversalOperator},
};

use super::*;

/// Roots of what each node fills in. Names in capitals are its environment.
const ROOTS_OF_THE_NODE: [&str; 5] = ["attr", "meta", "node", "env", "device"];

/// Whether a bracket is left open; those in quotes don't count.
fn is_open(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_i64, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth > 0
}

impl Evaluator<'_> {
    /// Warns of a name outside of quotes that is no variable and none that a node is known to fill in.
    pub(super) fn hint_at_bare_word(&mut self, text: &str, span: Option<Span>) {
        let root = text.split(['.', '[']).next().unwrap_or(text).trim();
        let is_of_the_node = ROOTS_OF_THE_NODE.contains(&root) || root.starts_with("NOMAD_");
        let Some(span) = span.filter(|_| self.templates == 0 && !is_of_the_node) else {
            return;
        };
        self.hints.entry(span.start).or_insert_with(|| {
            Diagnostic::warning(
                "Text without quotes",
                format!(
                    "No variable is called {text}: it is read as \"${{{text}}}\", which each node fills in."
                ),
                Some(span),
            )
            .hint(format!("write \"{text}\" if the text is meant"))
        });
    }

    pub(super) fn traversal(&mut self, traversal: &Traversal, span: Option<Span>) -> Value {
        if let Expression::Variable(name) = &traversal.expr {
            let Some(mut base) = self.scope.get(name.as_str()) else {
                return self.left_for_the_node(traversal, name.as_str());
            };
            // Down to the part that is meant before anything is copied: a root may be large.
            let mut followed = 0;
            for operator in &traversal.operators {
                let next = match (base, operator.value()) {
                    (Value::Map(map), TraversalOperator::GetAttr(name)) => map.get(name.as_str()),
                    (Value::Map(map), TraversalOperator::Index(Expression::String(key))) => {
                        map.get(key.as_str())
                    }
                    _ => None,
                };
                let Some(next) = next else { break };
                base = next;
                followed += 1;
            }
            let size = size_of_value(base);
            if self.size.saturating_add(size) > MAX_SIZE {
                self.spend(size, &span);
                return Value::Unknown;
            }
            let base = base.clone();
            self.spend(size, &span);
            return self.follow(base, &traversal.operators[followed..], &span);
        }
        let base = self.eval(&traversal.expr);
        self.follow(base, &traversal.operators, &span)
    }

    /// The traversal's own text in `${}`.
    pub(super) fn left_for_the_node(&mut self, traversal: &Traversal, root: &str) -> Value {
        let start = traversal.expr.span().map(|span| span.start);
        let end = traversal
            .operators
            .last()
            .and_then(|operator| operator.span())
            .map(|span| span.end);
        let text = match (start, end) {
            (Some(start), Some(end)) => {
                let mut end = end;
                // An operator's span may leave out the bracket that closes it.
                let rest = self.source.text.get(end..).unwrap_or_default();
                let blank = rest.len() - rest.trim_start().len();
                let written = self.source.slice(&(start..end)).trim_end();
                if rest[blank..].starts_with(']') && is_open(written) {
                    end += blank + 1;
                }
                self.source.slice(&(start..end)).trim().to_owned()
            }
            _ => root.to_owned(),
        };
        self.hint_at_bare_word(&text, start.zip(end).map(|(start, end)| start..end));
        Value::String(format!("${{{text}}}"))
    }

    pub(super) fn follow(
        &mut self,
        value: Value,
        operators: &[hcl_edit::Decorated<TraversalOperator>],
        span: &Option<Span>,
    ) -> Value {
        let mut value = value;
        let mut at = 0;
        while let Some(operator) = operators.get(at) {
            if !self.spend(1, span) || value == Value::Unknown {
                return Value::Unknown;
            }
            let here = operator.span().or_else(|| span.clone());
            at += 1;
            value = match operator.value() {
                TraversalOperator::GetAttr(name) => self.attribute(
                    value,
                    name.as_str(),
                    name.span()
                        .map(|span| span.start.saturating_sub(1)..span.end)
                        .or(here),
                ),
                TraversalOperator::LegacyIndex(index) => {
                    let index = Value::int(*index.value());
                    self.element(value, &index, here)
                }
                TraversalOperator::Index(index) => {
                    let index = self.eval(index);
                    self.element(value, &index, here)
                }
                TraversalOperator::AttrSplat(_) => {
                    let rest = &operators[at..];
                    let inside = rest
                        .iter()
                        .take_while(|operator| {
                            matches!(
                                operator.value(),
                                TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_)
                            )
                        })
                        .count();
                    at += inside;
                    self.splat(value, &rest[..inside], span)
                }
                TraversalOperator::FullSplat(_) => {
                    let rest = &operators[at..];
                    at = operators.len();
                    self.splat(value, rest, span)
                }
            };
        }
        value
    }

    pub(super) fn splat(
        &mut self,
        value: Value,
        operators: &[hcl_edit::Decorated<TraversalOperator>],
        span: &Option<Span>,
    ) -> Value {
        let elements = match value {
            Value::Null => Vec::new(),
            Value::List(list) => list,
            single => vec![single],
        };
        // Each further splat in the path nests once more.
        if self.depth >= MAX_DEPTH {
            return self.fail(
                "Too deeply nested",
                format!("Expressions may be nested {MAX_DEPTH} levels deep at most."),
                span.clone(),
            );
        }
        self.depth += 1;
        let followed = elements
            .into_iter()
            .map(|element| self.follow(element, operators, span));
        let list = followed.collect();
        self.depth -= 1;
        Value::List(list)
    }

    pub(super) fn attribute(&mut self, value: Value, name: &str, span: Option<Span>) -> Value {
        match value {
            Value::Map(mut map) => match map.remove(name) {
                Some(value) => value,
                None => {
                    let near = nearest(name, map.keys().map(String::as_str));
                    let hint = near.map(|near| format!("did you mean {near:?}?"));
                    let mut finding = Diagnostic::error(
                        "Unsupported attribute",
                        format!("This object does not have an attribute named {name:?}."),
                        span,
                    );
                    finding.hint = hint;
                    self.found.push(finding);
                    Value::Unknown
                }
            },
            Value::Null => self.fail(
                "Attempt to get attribute from null value",
                "This value is null, so it does not have any attributes.",
                span,
            ),
            Value::Unknown => Value::Unknown,
            _ => self.fail(
                "Unsupported attribute",
                "This value does not have any attributes.",
                span,
            ),
        }
    }

    pub(super) fn element(&mut self, value: Value, index: &Value, span: Option<Span>) -> Value {
        const MISSING: &str = "The given key does not identify an element in this collection value";
        match (value, index) {
            (Value::Unknown, _) | (_, Value::Unknown) => Value::Unknown,
            (Value::Null, _) => self.fail(
                "Attempt to index null value",
                "This value is null, so it does not have any indices.",
                span,
            ),
            (Value::List(_) | Value::Map(_), Value::Null) => self.fail(
                "Invalid index",
                "Can't use a null value as an indexing key.",
                span,
            ),
            (Value::List(mut list), index) => {
                let number = match types::convert(index.clone(), &Type::Number) {
                    Ok(Value::Number(number)) => number,
                    Ok(_) => return Value::Unknown,
                    Err(why) => {
                        return self.fail("Invalid index", format!("{MISSING}: {why}."), span);
                    }
                };
                if !number.is_whole() {
                    return self.fail(
                        "Invalid index",
                        format!(
                            "{MISSING}: indexing a sequence requires a whole number, but the given index ({number}) has a fractional part."
                        ),
                        span,
                    );
                }
                let at = number.as_i64().and_then(|at| usize::try_from(at).ok());
                match at.filter(|at| *at < list.len()) {
                    Some(at) => list.swap_remove(at),
                    None => self.fail("Invalid index", format!("{MISSING}."), span),
                }
            }
            (Value::Map(mut map), index) => {
                match index.to_text().and_then(|key| map.remove(&key)) {
                    Some(value) => value,
                    None => self.fail("Invalid index", format!("{MISSING}."), span),
                }
            }
            (_, _) => self.fail(
                "Invalid index",
                "This value does not have any indices.",
                span,
            ),
        }
    }
}
