//! Calls of functions, and those that are no plain functions: `try`, `can`, `convert`.

use hcl_edit::{Span as _, expr::FuncCall};

use super::*;

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &FuncCall, span: Option<Span>) -> Value {
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
    pub(super) fn refused(
        &mut self,
        call: &FuncCall,
        error: FunctionError,
        span: Option<Span>,
    ) -> Value {
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
    pub(super) fn try_or_can(&mut self, name: &str, call: &FuncCall, span: Option<Span>) -> Value {
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
    pub(super) fn convert(&mut self, call: &FuncCall, span: Option<Span>) -> Value {
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
}

/// The name of a call and the parenthesis after it.
pub(super) fn called(call: &FuncCall) -> Option<Span> {
    call.name.name.span().map(|name| name.start..name.end + 1)
}
