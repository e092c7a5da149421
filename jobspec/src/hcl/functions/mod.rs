//! The function library, as the reference names it.
//!
//! Pure, but for the file functions, which go through [`Files`], and for `timestamp`, `uuidv4` and `bcrypt`, which say
//! something new each time. Every result is bounded by what went in, or by a limit said here.

mod collections;
mod encoding;
mod files;
mod format;
mod hash;
mod network;
mod numbers;
mod text;
mod time;

use std::collections::BTreeMap;

use super::types::{self, Type};
use crate::value::{Number, Value};

pub use files::{Files, NoFiles};

/// Why a call did not work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FunctionError {
    /// Too few arguments; the sentence says which is missing.
    TooFew(String),
    /// Too many arguments; the sentence says how many are expected.
    TooMany { detail: String, first: usize },
    /// Anything else.
    Failed {
        /// The argument that is to blame.
        argument: Option<usize>,
        /// What is wrong.
        message: String,
    },
}

type Outcome = Result<Value, FunctionError>;

fn failed(message: impl Into<String>) -> FunctionError {
    FunctionError::Failed {
        argument: None,
        message: message.into(),
    }
}

fn bad(argument: usize, message: impl Into<String>) -> FunctionError {
    FunctionError::Failed {
        argument: Some(argument),
        message: message.into(),
    }
}

/// The most bytes that one call may make.
const MAX_RESULT: usize = 16 << 20;
/// The longest text that is taken apart into values.
const MAX_PARSED: usize = 1 << 20;

/// What a number is refused with that isn't whole or too large.
const NOT_WHOLE: &str =
    "value must be a whole number, between -9223372036854775808 and 9223372036854775807";

/// Whether a result of so many parts of so many bytes may be made; asked before it is.
fn bounded(parts: usize, bytes: usize) -> Result<(), FunctionError> {
    if parts.saturating_mul(bytes) > MAX_RESULT {
        return Err(failed(format!(
            "the result would be longer than {MAX_RESULT} bytes"
        )));
    }
    Ok(())
}

/// Whether a result that grew so far may grow on.
fn within(bytes: usize) -> Result<(), FunctionError> {
    bounded(1, bytes)
}

/// Whether a text may be taken apart.
fn parseable(text: &str) -> Result<(), FunctionError> {
    if text.len() > MAX_PARSED {
        return Err(failed(format!("a text of more than {MAX_PARSED} bytes")));
    }
    Ok(())
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// Anything but null.
    Any,
    /// Anything.
    Nullable,
    /// A list of texts.
    Texts,
    /// A list whose elements are of one type.
    List,
    /// A set whose elements are of one type.
    Set,
}

#[derive(Clone, Copy, Debug)]
struct Parameter {
    name: &'static str,
    kind: Kind,
}

const fn text(name: &'static str) -> Parameter {
    parameter(name, Kind::Text)
}

const fn number(name: &'static str) -> Parameter {
    parameter(name, Kind::Number)
}

const fn any(name: &'static str) -> Parameter {
    parameter(name, Kind::Any)
}

const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind }
}

impl Parameter {
    /// An argument as this parameter takes it.
    fn accept(self, value: Value, index: usize) -> Outcome {
        if self.kind != Kind::Nullable && value == Value::Null {
            return Err(bad(index, "argument must not be null"));
        }
        let wanted = match self.kind {
            Kind::Any | Kind::Nullable => return Ok(value),
            Kind::Text => Type::String,
            Kind::Number => Type::Number,
            Kind::Texts => Type::List(Box::new(Type::String)),
            Kind::List => Type::List(Box::new(Type::Any)),
            Kind::Set => Type::Set(Box::new(Type::Any)),
        };
        types::convert(value, &wanted).map_err(|why| bad(index, why))
    }
}

struct Function {
    name: &'static str,
    parameters: &'static [Parameter],
    /// What any further arguments are.
    rest: Option<Parameter>,
    call: fn(&Arguments<'_>) -> Outcome,
}

const fn function(
    name: &'static str,
    parameters: &'static [Parameter],
    call: fn(&Arguments<'_>) -> Outcome,
) -> Function {
    Function {
        name,
        parameters,
        rest: None,
        call,
    }
}

const fn variadic(
    name: &'static str,
    parameters: &'static [Parameter],
    rest: Parameter,
    call: fn(&Arguments<'_>) -> Outcome,
) -> Function {
    Function {
        name,
        parameters,
        rest: Some(rest),
        call,
    }
}

/// The arguments of a call, converted to what the parameters take.
struct Arguments<'a> {
    list: Vec<Value>,
    files: &'a dyn Files,
}

impl Arguments<'_> {
    fn text(&self, index: usize) -> Result<&str, FunctionError> {
        match self.list.get(index) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(bad(index, "string required")),
        }
    }

    fn number(&self, index: usize) -> Result<&Number, FunctionError> {
        match self.list.get(index) {
            Some(Value::Number(number)) => Ok(number),
            _ => Err(bad(index, "number required")),
        }
    }

    /// A whole number; what is wrong with it is told of the call, as the reference does.
    fn whole(&self, index: usize) -> Result<i64, FunctionError> {
        self.number(index)?
            .as_i64()
            .ok_or_else(|| failed(NOT_WHOLE))
    }

    fn list(&self, index: usize) -> Result<&[Value], FunctionError> {
        match self.list.get(index) {
            Some(Value::List(list)) => Ok(list),
            _ => Err(bad(index, "list required")),
        }
    }

    fn map(
        &self,
        index: usize,
        otherwise: FunctionError,
    ) -> Result<&BTreeMap<String, Value>, FunctionError> {
        match self.list.get(index) {
            Some(Value::Map(map)) => Ok(map),
            _ => Err(otherwise),
        }
    }
}

/// Every function, by what it is about.
fn all() -> impl Iterator<Item = &'static Function> {
    numbers::FUNCTIONS
        .iter()
        .chain(text::FUNCTIONS)
        .chain(format::FUNCTIONS)
        .chain(collections::FUNCTIONS)
        .chain(encoding::FUNCTIONS)
        .chain(hash::FUNCTIONS)
        .chain(network::FUNCTIONS)
        .chain(time::FUNCTIONS)
        .chain(files::FUNCTIONS)
}

/// Every name that can be called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all()
        .map(|function| function.name)
        .chain(["try", "can", "convert"])
}

pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// What the parameter is called that takes an argument.
pub(crate) fn parameter_name(function: &str, index: usize) -> &'static str {
    find(function)
        .and_then(|function| function.parameters.get(index).or(function.rest.as_ref()))
        .map_or("value", |parameter| parameter.name)
}

/// What a call costs, in steps of evaluation: most little, some hashes are slow on purpose.
pub(crate) fn cost(name: &str, arguments: &[Value]) -> u64 {
    match name {
        // About 50 ms at cost 10, twice as much for each more.
        "bcrypt" => {
            let cost = arguments.get(1).and_then(Value::to_number);
            let cost = cost.and_then(|cost| cost.as_i64()).unwrap_or(10);
            // More is refused, less is taken for 10.
            match u32::try_from(cost) {
                Ok(cost @ 4..=hash::MAX_BCRYPT_COST) => 200 << cost,
                Ok(0..4) | Err(_) => 200 << 10,
                Ok(_) => 1,
            }
        }
        "rsadecrypt" => 200_000,
        "regex" | "regexall" | "regex_replace" => 200,
        _ => 1,
    }
}

/// Calls a function with known values.
pub(crate) fn call(name: &str, arguments: Vec<Value>, files: &dyn Files) -> Outcome {
    let function = find(name).ok_or_else(|| failed("there is no such function"))?;
    let expected = function.parameters.len();
    if let Some(missing) = function.parameters.get(arguments.len()) {
        let least = if function.rest.is_some() {
            " at least"
        } else {
            ""
        };
        return Err(FunctionError::TooFew(format!(
            "Function {name:?} expects{least} {expected} argument(s). Missing value for {:?}.",
            missing.name
        )));
    }
    if arguments.len() > expected && function.rest.is_none() {
        return Err(FunctionError::TooMany {
            detail: format!("Function {name:?} expects only {expected} argument(s)."),
            first: expected,
        });
    }
    let accepted = arguments.into_iter().enumerate().map(|(index, value)| {
        match function.parameters.get(index).or(function.rest.as_ref()) {
            Some(parameter) => parameter.accept(value, index),
            None => Ok(value),
        }
    });
    (function.call)(&Arguments {
        list: accepted.collect::<Result<_, _>>()?,
        files,
    })
}

fn size(length: usize) -> Value {
    Value::int(i128::try_from(length).unwrap_or(i128::MAX))
}
