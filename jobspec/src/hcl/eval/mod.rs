//! The evaluator: expressions to values.
//!
//! It never panics and never runs away: arithmetic is checked, steps, depth and the size of what is made are limited.
//! A name that nothing defines is not an error: it is left as the text `${…}` for the node to fill in, as it is
//! written. What is wrong is reported once; its value is [`Value::Unknown`], about which nothing more is said.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    ops::Range,
};

use hcl_edit::{
    Span as _,
    expr::{Conditional, Expression, ObjectKey},
    template::Element,
};

use super::{
    functions::{self, FunctionError},
    heredoc,
    types::{self, Type},
};
use crate::{
    diagnostics::{Diagnostic, nearest},
    source::{Source, Span},
    value::{Number, Value},
};

mod calls;
mod loops;
mod operations;
mod paths;
mod templates;

pub(crate) use loops::pairs;

/// Expressions evaluated in one file.
const MAX_STEPS: u64 = 3_000_000;
/// Bytes of text and elements of lists made in one file.
const MAX_SIZE: usize = 32 << 20;
/// Expressions inside one another, over locals too.
const MAX_DEPTH: usize = 200;

/// Mistakes after which nothing more is evaluated: a loop makes the same one again and again.
const MAX_FOUND: usize = 1_000;
/// Lists and maps inside one another in a value that has a name or goes into the job.
const MAX_VALUE_DEPTH: usize = 100;

/// Names that an expression sees, innermost last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    names: Vec<(String, Value)>,
}

impl Scope {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.names.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.names.push((name.to_owned(), value));
    }

    /// Adds an entry to an object that is in scope.
    pub(crate) fn add_to(&mut self, name: &str, key: &str, value: Value) {
        let found = self.names.iter_mut().rev().find(|(known, _)| known == name);
        if let Some((_, Value::Map(map))) = found {
            map.insert(key.to_owned(), value);
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn back_to(&mut self, mark: usize) {
        self.names.truncate(mark);
    }
}

/// Evaluates the expressions of one file.
pub(crate) struct Evaluator<'a> {
    source: &'a Source,
    files: &'a dyn functions::Files,
    pub(crate) scope: Scope,
    pub(crate) found: Vec<Diagnostic>,
    steps: u64,
    size: usize,
    depth: usize,
    exhausted: bool,
    /// The literals of the heredocs that are being evaluated, stripped and dedented.
    heredocs: Vec<HashMap<usize, String>>,
    /// Values that no message may hold.
    secrets: Vec<String>,
    /// Templates around what is evaluated: in one a name stands for itself.
    templates: usize,
    /// Warnings by where they are. They don't count as mistakes.
    hints: BTreeMap<usize, Diagnostic>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(source: &'a Source, files: &'a dyn functions::Files) -> Self {
        Self {
            source,
            files,
            scope: Scope::default(),
            found: Vec::new(),
            steps: 0,
            size: 0,
            depth: 0,
            exhausted: false,
            heredocs: Vec::new(),
            secrets: Vec::new(),
            templates: 0,
            hints: BTreeMap::new(),
        }
    }

    /// Keeps a value, and each part of it, out of every message.
    pub(crate) fn keep_secret(&mut self, value: &Value) {
        match value {
            Value::String(text) if !text.is_empty() => self.secrets.push(text.clone()),
            Value::Number(number) => self.secrets.push(number.to_string()),
            Value::List(list) => list.iter().for_each(|value| self.keep_secret(value)),
            Value::Map(map) => map.values().for_each(|value| self.keep_secret(value)),
            Value::Null | Value::Bool(_) | Value::Unknown | Value::String(_) => {}
        }
    }

    /// What was found, without secrets, and the secrets: what is found later may not hold them either.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, Vec<String>) {
        let mut secrets = self.secrets;
        // A longer one may hold a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut found = self.found;
        found.extend(self.hints.into_values());
        (found, secrets)
    }

    /// Whether evaluation has ended before its time; what is wrong was said.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Reports a mistake.
    fn fail(
        &mut self,
        summary: &str,
        detail: impl Into<String>,
        span: Option<Range<usize>>,
    ) -> Value {
        self.found.push(Diagnostic::error(summary, detail, span));
        Value::Unknown
    }

    /// Counts work; false when there was too much.
    fn spend(&mut self, size: usize, span: &Option<Span>) -> bool {
        self.size = self.size.saturating_add(size);
        self.steps += 1;
        if self.exhausted {
            return false;
        }
        if self.found.len() >= MAX_FOUND {
            self.exhausted = true;
            return false;
        }
        if self.steps <= MAX_STEPS && self.size <= MAX_SIZE {
            return true;
        }
        if !std::mem::replace(&mut self.exhausted, true) {
            self.fail(
                "Too much to evaluate",
                "The expressions of this file take too many steps or make too much text.",
                span.clone(),
            );
        }
        false
    }

    pub(crate) fn eval(&mut self, expression: &Expression) -> Value {
        let span = expression.span();
        if !self.spend(1, &span) {
            return Value::Unknown;
        }
        if self.depth >= MAX_DEPTH {
            return self.fail(
                "Too deeply nested",
                format!("Expressions may be nested {MAX_DEPTH} levels deep at most."),
                span,
            );
        }
        self.depth += 1;
        let value = self.eval_inner(expression, span);
        self.depth -= 1;
        value
    }

    /// The value of an expression that others build on: refused when it is nested deeper than what walks over it may go.
    pub(crate) fn eval_shallow(&mut self, expression: &Expression) -> Value {
        let value = self.eval(expression);
        if value.depth() <= MAX_VALUE_DEPTH {
            return value;
        }
        self.fail(
            "Too deeply nested",
            format!("Lists and maps may be nested {MAX_VALUE_DEPTH} levels deep at most."),
            expression.span(),
        )
    }

    fn eval_inner(&mut self, expression: &Expression, span: Option<Span>) -> Value {
        match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => self.number(expression, number.value(), span),
            Expression::String(text) => Value::String(text.as_str().to_owned()),
            Expression::Array(array) => {
                Value::List(array.iter().map(|element| self.eval(element)).collect())
            }
            Expression::Object(object) => self.object(object),
            Expression::StringTemplate(template) => {
                let elements: Vec<&Element> = template.iter().collect();
                self.template(&elements, span)
            }
            Expression::HeredocTemplate(heredoc) => {
                self.heredocs.push(heredoc::literals(self.source, heredoc));
                let elements: Vec<&Element> = heredoc.template.iter().collect();
                let value = self.template(&elements, span);
                self.heredocs.pop();
                match value {
                    // A heredoc is a text even where it holds one interpolation only.
                    value @ (Value::Unknown | Value::String(_)) => value,
                    other => other.to_text().map_or(Value::Unknown, Value::String),
                }
            }
            Expression::Parenthesis(inner) => self.eval(inner.inner()),
            Expression::Variable(name) => match self.scope.get(name.as_str()) {
                Some(value) => {
                    // What is copied counts: doubling a list thirty times would fill any memory.
                    let size = size_of_value(value);
                    if !self.spend(size, &span) {
                        return Value::Unknown;
                    }
                    let value = self.scope.get(name.as_str());
                    value.cloned().unwrap_or(Value::Unknown)
                }
                None => {
                    self.hint_at_bare_word(name.as_str(), span);
                    Value::String(format!("${{{}}}", name.as_str()))
                }
            },
            Expression::Conditional(conditional) => self.conditional(conditional),
            Expression::FuncCall(call) => self.call(call, span),
            Expression::Traversal(traversal) => self.traversal(traversal, span),
            Expression::UnaryOp(operation) => self.unary(operation, span),
            Expression::BinaryOp(operation) => self.binary(operation, span),
            Expression::ForExpr(expression) => self.for_expression(expression),
        }
    }

    fn number(
        &mut self,
        expression: &Expression,
        number: &hcl_edit::Number,
        span: Option<Span>,
    ) -> Value {
        // The text is exact where the parsed number may not be.
        let written = span.as_ref().map(|span| self.source.slice(span).trim());
        let exact = written
            .filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(Number::parse)
            .or_else(|| match number.as_i64() {
                Some(value) => Some(Number::Int(value.into())),
                None => number.as_f64().and_then(Number::from_f64),
            });
        match exact {
            Some(number) => Value::Number(number),
            None => self.fail(
                "Invalid number",
                format!(
                    "{} is not a number that can be used.",
                    expression.to_string().trim()
                ),
                span,
            ),
        }
    }

    fn object(&mut self, object: &hcl_edit::expr::Object) -> Value {
        let mut map = BTreeMap::new();
        for (key, value) in object {
            let (name, span) = match key {
                ObjectKey::Ident(name) => (Value::String(name.as_str().to_owned()), name.span()),
                ObjectKey::Expression(expression) => (self.eval(expression), expression.span()),
            };
            let value = self.eval(value.expr());
            match name.to_text() {
                Some(name) => {
                    map.insert(name, value);
                }
                None if name == Value::Unknown => {}
                None if name == Value::Null => {
                    self.fail(
                        "Null value as key",
                        "Can't use a null value as a key.",
                        span,
                    );
                }
                None => {
                    self.fail(
                        "Incorrect key type",
                        "Can't use this value as a key: string required.",
                        span,
                    );
                }
            }
        }
        Value::Map(map)
    }

    fn conditional(&mut self, conditional: &Conditional) -> Value {
        let condition = self.eval(&conditional.cond_expr);
        let holds = match condition.to_bool() {
            Some(holds) => holds,
            None if condition == Value::Unknown => return Value::Unknown,
            None if condition == Value::Null => {
                return self.fail(
                    "Null condition",
                    "The condition value is null. Conditions must either be true or false.",
                    conditional.cond_expr.span(),
                );
            }
            None => {
                return self.fail(
                    "Incorrect condition type",
                    "The condition expression must be of type bool.",
                    conditional.cond_expr.span(),
                );
            }
        };
        let (taken, other) = if holds {
            (&conditional.true_expr, &conditional.false_expr)
        } else {
            (&conditional.false_expr, &conditional.true_expr)
        };
        let value = self.eval(taken);
        // Both results become of one type; what is wrong with the other one does not matter.
        let before = self.found.len();
        let other = self.eval(other);
        if self.exhausted {
            return Value::Unknown;
        }
        self.found.truncate(before);
        if value.has_unknown() || other.has_unknown() {
            return value;
        }
        let (kind, other_kind) = (types::of(&value), types::of(&other));
        if kind == other_kind {
            return value;
        }
        let common = types::unify(&kind, &other_kind);
        let converted = common.and_then(|common| types::convert(value.clone(), &common).ok());
        converted.unwrap_or_else(|| {
            let (kind, other_kind) = if holds {
                (value.type_name(), other.type_name())
            } else {
                (other.type_name(), value.type_name())
            };
            let first = conditional.true_expr.span().map(|span| span.start);
            let last = conditional.false_expr.span().map(|span| span.end);
            self.fail(
                "Inconsistent conditional result types",
                format!(
                    "The true and false result expressions must have consistent types. The given expressions are {kind} and {other_kind}, respectively."
                ),
                first.zip(last).map(|(first, last)| first..last),
            )
        })
    }
}

/// Where an expression begins, as the reference points at it: a text without its quotes, a bracket, the name of a call,
/// the left side of an operation.
fn start_of(expression: &Expression) -> Option<Span> {
    let span = expression.span()?;
    match expression {
        Expression::String(_) if span.len() >= 2 => Some(span.start + 1..span.end - 1),
        Expression::Array(_) | Expression::Object(_) => Some(span.start..span.start + 1),
        Expression::FuncCall(call) => calls::called(call),
        Expression::UnaryOp(_) => Some(span.start..span.start + 1),
        Expression::BinaryOp(operation) => start_of(&operation.lhs_expr),
        Expression::Conditional(conditional) => start_of(&conditional.cond_expr),
        Expression::Traversal(traversal) if !matches!(traversal.expr, Expression::Variable(_)) => {
            start_of(&traversal.expr)
        }
        _ => Some(span),
    }
}

/// The value of an expression that needs no names; `None` where anything is wrong with it.
pub(super) fn constant(expression: &Expression) -> Option<Value> {
    let source = Source::new("", "");
    let mut evaluator = Evaluator::new(&source, &functions::NoFiles);
    let value = evaluator.eval(expression);
    evaluator.found.is_empty().then_some(value)
}

/// About the memory that a value takes.
pub(super) fn size_of_value(value: &Value) -> usize {
    const EACH: usize = 32;
    /// A node of a map, which holds six entries or more unless there are fewer.
    const NODE: usize = 640;
    match value {
        Value::String(text) => text.len() + EACH,
        Value::List(list) => list.iter().map(size_of_value).sum::<usize>() + EACH,
        Value::Map(map) => {
            map.iter()
                .map(|(key, value)| key.len() + size_of_value(value))
                .sum::<usize>()
                + map.len().div_ceil(6) * NODE
                + EACH
        }
        _ => EACH,
    }
}
