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
    expr::{
        BinaryOp, BinaryOperator, Conditional, Expression, ForExpr, FuncCall, ObjectKey, Traversal,
        TraversalOperator, UnaryOp, UnaryOperator,
    },
    template::{Directive, Element, Strip, Template},
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

/// Roots of what each node fills in. Names in capitals are its environment.
const ROOTS_OF_THE_NODE: [&str; 5] = ["attr", "meta", "node", "env", "device"];

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

    /// Warns of a name outside of quotes that is no variable and none that a node is known to fill in.
    fn hint_at_bare_word(&mut self, text: &str, span: Option<Span>) {
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

    fn unary(&mut self, operation: &UnaryOp, span: Option<Span>) -> Value {
        let value = self.eval(&operation.expr);
        let wanted = match operation.operator.value() {
            UnaryOperator::Neg => Type::Number,
            UnaryOperator::Not => Type::Bool,
        };
        if value == Value::Unknown {
            return value;
        }
        if value == Value::Null {
            return self.null_operand(span);
        }
        match types::convert(value, &wanted) {
            Ok(Value::Number(number)) => Value::Number(number.negated()),
            Ok(Value::Bool(value)) => Value::Bool(!value),
            Ok(_) => Value::Unknown,
            Err(why) => self.fail(
                "Invalid operand",
                format!("Unsuitable value for unary operand: {why}."),
                operation.expr.span(),
            ),
        }
    }

    fn null_operand(&mut self, span: Option<Span>) -> Value {
        self.fail(
            "Operation failed",
            "Error during operation: argument must not be null.",
            span,
        )
    }

    fn binary(&mut self, operation: &BinaryOp, span: Option<Span>) -> Value {
        let left = self.eval(&operation.lhs_expr);
        let operator = *operation.operator.value();
        let right = self.eval(&operation.rhs_expr);
        if left == Value::Unknown || right == Value::Unknown {
            return Value::Unknown;
        }
        let wanted = match operator {
            BinaryOperator::Eq => return Value::Bool(left == right),
            BinaryOperator::NotEq => return Value::Bool(left != right),
            BinaryOperator::And | BinaryOperator::Or => Type::Bool,
            _ => Type::Number,
        };
        let left = match types::convert(left, &wanted) {
            Ok(value) => value,
            Err(why) => return self.bad_operand("left", &why, &operation.lhs_expr),
        };
        let right = match types::convert(right, &wanted) {
            Ok(value) => value,
            Err(why) => return self.bad_operand("right", &why, &operation.rhs_expr),
        };
        match (left, right) {
            (Value::Bool(a), Value::Bool(b)) => Value::Bool(if operator == BinaryOperator::And {
                a && b
            } else {
                a || b
            }),
            (Value::Number(a), Value::Number(b)) => self.arithmetic(operator, &a, &b, span),
            _ => self.null_operand(span),
        }
    }

    fn arithmetic(
        &mut self,
        operator: BinaryOperator,
        a: &Number,
        b: &Number,
        span: Option<Span>,
    ) -> Value {
        let order = a.compare(b);
        let result = match operator {
            BinaryOperator::Less => return Value::Bool(order.is_lt()),
            BinaryOperator::LessEq => return Value::Bool(order.is_le()),
            BinaryOperator::Greater => return Value::Bool(order.is_gt()),
            BinaryOperator::GreaterEq => return Value::Bool(order.is_ge()),
            BinaryOperator::Div | BinaryOperator::Mod if b.compare(&Number::Int(0)).is_eq() => {
                return self.fail("Division by zero", "Can't divide by zero.", span);
            }
            BinaryOperator::Plus => a.plus(b),
            BinaryOperator::Minus => a.minus(b),
            BinaryOperator::Mul => a.times(b),
            BinaryOperator::Div => a.divided_by(b),
            BinaryOperator::Mod => a.modulo(b),
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or => None,
        };
        match result {
            Some(number) => Value::Number(number),
            None => self.fail(
                "Operation failed",
                "The result is too large to be a number.",
                span,
            ),
        }
    }

    fn bad_operand(&mut self, side: &str, why: &str, operand: &Expression) -> Value {
        self.fail(
            "Invalid operand",
            format!("Unsuitable value for {side} operand: {why}."),
            operand.span(),
        )
    }

    fn call(&mut self, call: &FuncCall, span: Option<Span>) -> Value {
        let name = call.name.name.as_str();
        let name_span = call.name.name.span();
        if !call.name.namespace.is_empty()
            || !(functions::exists(name) || matches!(name, "try" | "can" | "convert"))
        {
            let near = nearest(name, functions::names());
            let meant = near.map_or(String::new(), |near| format!(" Did you mean {near:?}?"));
            let mut finding = Diagnostic::error(
                "Call to unknown function",
                format!("There is no function named {name:?}.{meant}"),
                name_span,
            );
            finding.echoes = 1;
            self.found.push(finding);
            return Value::Unknown;
        }
        match name {
            "try" | "can" => return self.try_or_can(name, call, span),
            "convert" => return self.convert(call, span),
            _ => {}
        }
        let mut arguments: Vec<Value> = Vec::new();
        let last = call.args.len().saturating_sub(1);
        for (index, argument) in call.args.iter().enumerate() {
            let value = self.eval(argument);
            if !(call.args.expand_final() && index == last) {
                arguments.push(value);
                continue;
            }
            match value {
                Value::List(list) => arguments.extend(list),
                Value::Unknown => return Value::Unknown,
                other => {
                    let detail = if other == Value::Null {
                        "The expanding argument (indicated by ...) must not be null."
                    } else {
                        "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
                    };
                    return self.fail("Invalid expanding argument value", detail, argument.span());
                }
            }
        }
        if arguments.iter().any(Value::has_unknown) {
            return Value::Unknown;
        }
        // Long arguments take long: a step for each 64 bytes of them.
        let read: usize = arguments.iter().map(size_of_value).sum();
        let steps = functions::cost(name, &arguments).saturating_add((read / 64) as u64);
        self.steps = self.steps.saturating_add(steps);
        if !self.spend(0, &span) {
            return Value::Unknown;
        }
        match functions::call(name, arguments, self.files) {
            Ok(value) => {
                let size = size_of_value(&value);
                if self.spend(size, &span) {
                    value
                } else {
                    Value::Unknown
                }
            }
            Err(error) => self.refused(call, error, span),
        }
    }

    /// Reports why a function did not take its arguments or failed.
    fn refused(&mut self, call: &FuncCall, error: FunctionError, span: Option<Span>) -> Value {
        let name = call.name.name.as_str();
        let (summary, detail, span) = match error {
            FunctionError::TooFew(detail) => (
                "Not enough function arguments",
                detail,
                span.map(|span| span.end.saturating_sub(1)..span.end),
            ),
            FunctionError::TooMany { detail, first } => {
                let place = call.args.get(first).or_else(|| call.args.iter().last());
                (
                    "Too many function arguments",
                    detail,
                    place.and_then(start_of).or(span),
                )
            }
            FunctionError::Failed {
                argument: Some(index),
                message,
            } => {
                let place = call.args.get(index).or_else(|| call.args.iter().last());
                (
                    "Invalid function argument",
                    format!(
                        "Invalid value for {:?} parameter: {message}.",
                        functions::parameter_name(name, index)
                    ),
                    place.and_then(start_of).or(span),
                )
            }
            FunctionError::Failed {
                argument: None,
                message,
            } => (
                "Error in function call",
                format!(
                    "Call to function {name:?} failed: {}.",
                    message.trim_end_matches('.')
                ),
                called(call),
            ),
        };
        let mut finding = Diagnostic::error(summary, detail, span);
        finding.echoes = 1;
        self.found.push(finding);
        Value::Unknown
    }

    /// `try` takes the first argument that evaluates, `can` tells whether its argument does.
    fn try_or_can(&mut self, name: &str, call: &FuncCall, span: Option<Span>) -> Value {
        if name == "can" && call.args.len() != 1 {
            let error = match call.args.len() {
                0 => FunctionError::TooFew(
                    "Function \"can\" expects 1 argument(s). Missing value for \"expression\"."
                        .to_owned(),
                ),
                _ => FunctionError::TooMany {
                    detail: "Function \"can\" expects only 1 argument(s).".to_owned(),
                    first: 1,
                },
            };
            return self.refused(call, error, span);
        }
        let mut reasons = String::new();
        for argument in call.args.iter() {
            let before = self.found.len();
            let value = self.eval(argument);
            let works = self.found.len() == before && !value.has_unknown();
            if self.exhausted {
                return Value::Unknown;
            }
            if let Some(first) = self.found.get(before) {
                let place = first.span.as_ref().map_or(String::new(), |span| {
                    format!(" (at {}:{})", self.source.name, self.source.range(span))
                });
                reasons.push_str(&format!("\n- {}{place}\n  {}", first.summary, first.detail));
            }
            self.found.truncate(before);
            if name == "can" {
                return Value::Bool(works);
            }
            if works {
                return value;
            }
        }
        let why = if call.args.is_empty() {
            "at least one argument is required.".to_owned()
        } else {
            format!(
                "no expression succeeded:{reasons}\n\nAt least one expression must produce a successful result"
            )
        };
        let error = FunctionError::Failed {
            argument: None,
            message: why.trim_end_matches('.').to_owned(),
        };
        self.refused(call, error, span)
    }

    /// `convert(value, type)`.
    fn convert(&mut self, call: &FuncCall, span: Option<Span>) -> Value {
        let (value, wanted) = match (call.args.get(0), call.args.get(1), call.args.get(2)) {
            (Some(value), Some(wanted), None) => (value, wanted),
            (_, Some(_), Some(_)) => {
                let error = FunctionError::TooMany {
                    detail: "Function \"convert\" expects only 2 argument(s).".to_owned(),
                    first: 2,
                };
                return self.refused(call, error, span);
            }
            (value, ..) => {
                let missing = if value.is_none() { "value" } else { "type" };
                let error = FunctionError::TooFew(format!(
                    "Function \"convert\" expects 2 argument(s). Missing value for {missing:?}."
                ));
                return self.refused(call, error, span);
            }
        };
        let place = start_of(value);
        let value = self.eval(value);
        let wanted = match types::parse(wanted) {
            Ok(wanted) => wanted,
            Err(mistake) => {
                return self.fail(
                    "Invalid type specification",
                    mistake.detail,
                    mistake.at.span(),
                );
            }
        };
        match types::convert(value, &wanted) {
            Ok(value) => value,
            Err(why) => self.fail(
                "Invalid function argument",
                format!("Invalid value for \"value\" parameter: {why}."),
                place,
            ),
        }
    }

    fn traversal(&mut self, traversal: &Traversal, span: Option<Span>) -> Value {
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
    fn left_for_the_node(&mut self, traversal: &Traversal, root: &str) -> Value {
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

    fn follow(
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

    fn splat(
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

    fn attribute(&mut self, value: Value, name: &str, span: Option<Span>) -> Value {
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

    fn element(&mut self, value: Value, index: &Value, span: Option<Span>) -> Value {
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

    fn for_expression(&mut self, expression: &ForExpr) -> Value {
        let collection = self.eval(&expression.intro.collection_expr);
        let type_name = collection.type_name();
        let unknown = collection == Value::Unknown;
        let Some(pairs) = pairs(collection) else {
            if unknown {
                return Value::Unknown;
            }
            if type_name == "null" {
                return self.fail(
                    "Iteration over null value",
                    "A null value cannot be used as the collection in a 'for' expression.",
                    expression.intro.collection_expr.span(),
                );
            }
            return self.fail(
                "Iteration over non-iterable value",
                format!(
                    "A value of type {type_name} cannot be used as the collection in a 'for' expression."
                ),
                expression.intro.collection_expr.span(),
            );
        };
        let mut list = Vec::new();
        let mut map: BTreeMap<String, Value> = BTreeMap::new();
        let mark = self.scope.mark();
        for (key, value) in pairs {
            self.scope.back_to(mark);
            if let Some(name) = &expression.intro.key_var {
                self.scope.set(name.as_str(), key);
            }
            self.scope.set(expression.intro.value_var.as_str(), value);
            if let Some(condition) = &expression.cond {
                let holds = self.eval(&condition.expr);
                match holds.to_bool() {
                    Some(true) => {}
                    Some(false) => continue,
                    None if holds == Value::Unknown => continue,
                    None => {
                        let (summary, detail) = if holds == Value::Null {
                            (
                                "Condition is null",
                                "The value of the 'if' clause must not be null.",
                            )
                        } else {
                            (
                                "Invalid 'for' condition",
                                "The 'if' clause value is invalid: a bool is required.",
                            )
                        };
                        self.fail(summary, detail, condition.expr.span());
                        break;
                    }
                }
            }
            let key = expression
                .key_expr
                .as_ref()
                .map(|key| (self.eval(key), key.span()));
            let value = self.eval(&expression.value_expr);
            if self.exhausted {
                break;
            }
            let Some((key, key_span)) = key else {
                list.push(value);
                continue;
            };
            let Some(name) = key.to_text() else {
                if key != Value::Unknown {
                    let detail = if key == Value::Null {
                        "Key expression in 'for' expression must not produce a null value."
                    } else {
                        "The key expression produced an invalid result: string required."
                    };
                    self.fail("Invalid object key", detail, key_span);
                }
                continue;
            };
            if expression.grouping {
                match map.entry(name).or_insert_with(|| Value::List(Vec::new())) {
                    Value::List(group) => group.push(value),
                    other => *other = value,
                }
                continue;
            }
            match map.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => {
                    let detail = format!(
                        "Two different items produced the key {:?} in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key.",
                        entry.key()
                    );
                    self.fail("Duplicate object key", detail, key_span);
                }
            }
        }
        self.scope.back_to(mark);
        if self.exhausted {
            return Value::Unknown;
        }
        if expression.key_expr.is_some() {
            Value::Map(map)
        } else {
            Value::List(list)
        }
    }

    /// A template: a single interpolation keeps its type, anything else is a text.
    fn template(&mut self, elements: &[&Element], span: Option<Span>) -> Value {
        self.templates += 1;
        let value = self.template_value(elements, span);
        self.templates -= 1;
        value
    }

    fn template_value(&mut self, elements: &[&Element], span: Option<Span>) -> Value {
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
    fn template_text(&mut self, elements: &[&Element], out: &mut String) -> bool {
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
    fn heredoc_literal(&self, literal: &hcl_edit::Spanned<String>) -> Option<&str> {
        let start = literal.span()?.start;
        let texts = self.heredocs.last()?;
        texts.get(&start).map(String::as_str)
    }

    fn directive(&mut self, directive: &Directive, out: &mut String) -> bool {
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
    fn inner_template(
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

/// Where an expression begins, as the reference points at it: a text without its quotes, a bracket, the name of a call,
/// the left side of an operation.
fn start_of(expression: &Expression) -> Option<Span> {
    let span = expression.span()?;
    match expression {
        Expression::String(_) if span.len() >= 2 => Some(span.start + 1..span.end - 1),
        Expression::Array(_) | Expression::Object(_) => Some(span.start..span.start + 1),
        Expression::FuncCall(call) => called(call),
        Expression::UnaryOp(_) => Some(span.start..span.start + 1),
        Expression::BinaryOp(operation) => start_of(&operation.lhs_expr),
        Expression::Conditional(conditional) => start_of(&conditional.cond_expr),
        Expression::Traversal(traversal) if !matches!(traversal.expr, Expression::Variable(_)) => {
            start_of(&traversal.expr)
        }
        _ => Some(span),
    }
}

/// The name of a call and the parenthesis after it.
fn called(call: &FuncCall) -> Option<Span> {
    call.name.name.span().map(|name| name.start..name.end + 1)
}

/// The value of an expression that needs no names; `None` where anything is wrong with it.
pub(super) fn constant(expression: &Expression) -> Option<Value> {
    let source = Source::new("", "");
    let mut evaluator = Evaluator::new(&source, &functions::NoFiles);
    let value = evaluator.eval(expression);
    evaluator.found.is_empty().then_some(value)
}

/// Keys and values of what can be iterated over.
pub(crate) fn pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::List(list) => Some(
            (0_i128..)
                .zip(list)
                .map(|(index, value)| (Value::int(index), value))
                .collect(),
        ),
        Value::Map(map) => Some(
            map.into_iter()
                .map(|(key, value)| (Value::String(key), value))
                .collect(),
        ),
        _ => None,
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
