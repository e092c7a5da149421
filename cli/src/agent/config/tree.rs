//! An agent file as a plain tree with positions, whether it was written in HCL or in JSON.

use std::{ops::Range, path::Path};

use hcl_edit::{
    Span,
    expr::{Expression, ObjectKey},
    structure::{Body, Structure},
};

use super::ConfigError;
use super::lines::{self, Expanded};

/// The most bytes an agent file may have.
pub const MAX_FILE: u64 = 1024 * 1024;

/// Where something stands in a file, counted from 1; 0 where the format keeps no positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// An attribute or a block.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// A block's labels.
    pub labels: Vec<String>,
    /// What it holds.
    pub value: Value,
    /// Where its key stands.
    pub at: Position,
}

/// What an attribute or a block holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// A block or an object.
    Block(Vec<Item>),
    /// Nothing.
    Null,
}

impl Value {
    /// What it is called in a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Block(_) => "a block",
            Self::Null => "null",
        }
    }
}

/// The text of one file.
///
/// # Errors
/// When it is not readable or too large.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map_or(text.clone(), str::to_owned))
}

/// Reads the tree of one file.
///
/// # Errors
/// When it is not readable, too large, or neither HCL nor (by its name) JSON.
pub fn read(path: &Path) -> Result<Vec<Item>, ConfigError> {
    let text = text(path)?;
    let text = text.as_str();
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        json(path, text)
    } else {
        hcl(path, text)
    }
}

/// What is wrong, without the place that serde adds.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => format!("this is no JSON: {message}"),
        None => text,
    }
}

fn json(path: &Path, text: &str) -> Result<Vec<Item>, ConfigError> {
    let at = |error: &serde_json::Error| Position {
        line: error.line(),
        column: error.column(),
    };
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            at: at(&error),
            field: String::new(),
            message: without_place(&error),
            line: None,
        })?;
    match from_json(value) {
        Value::Block(items) => Ok(items),
        other => Err(ConfigError::Invalid {
            path: path.to_owned(),
            at: Position { line: 1, column: 1 },
            field: String::new(),
            message: format!("an agent file must be an object, this is {}", other.kind()),
            line: None,
        }),
    }
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => number.as_i64().map_or_else(
            || Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            Value::Integer,
        ),
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(values) => {
            Value::List(values.into_iter().map(from_json).collect())
        }
        serde_json::Value::Object(fields) => Value::Block(
            fields
                .into_iter()
                .map(|(key, value)| Item {
                    key,
                    labels: Vec::new(),
                    value: from_json(value),
                    at: Position::default(),
                })
                .collect(),
        ),
    }
}

fn hcl(path: &Path, text: &str) -> Result<Vec<Item>, ConfigError> {
    let expanded = lines::expanded(text);
    let source = Source {
        path,
        text,
        expanded: &expanded,
    };
    let body: Body = expanded
        .text
        .parse()
        .map_err(|error: hcl_edit::parser::Error| {
            let place = error.location();
            let at = if expanded.is_as_written() {
                Position {
                    line: place.line(),
                    column: place.column(),
                }
            } else {
                source.at(expanded.offset(place.line(), place.column()))
            };
            ConfigError::Invalid {
                path: path.to_owned(),
                at,
                field: String::new(),
                message: error.message().to_owned(),
                line: None,
            }
        })?;
    source.body(&body)
}

struct Source<'a> {
    path: &'a Path,
    /// As it was written.
    text: &'a str,
    /// As it was parsed.
    expanded: &'a Expanded,
}

impl Source<'_> {
    fn position(&self, span: Option<Range<usize>>) -> Position {
        span.map_or_else(Position::default, |span| self.at(span.start))
    }

    /// The place of an offset into what was parsed.
    fn at(&self, offset: usize) -> Position {
        let Some(before) = self.text.get(..self.expanded.original(offset)) else {
            return Position::default();
        };
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn body(&self, body: &Body) -> Result<Vec<Item>, ConfigError> {
        body.iter()
            .map(|structure| match structure {
                Structure::Attribute(attribute) => Ok(Item {
                    key: attribute.key.as_str().to_owned(),
                    labels: Vec::new(),
                    value: self.expression(attribute.key.as_str(), &attribute.value)?,
                    at: self.position(attribute.key.span()),
                }),
                Structure::Block(block) => Ok(Item {
                    key: block.ident.as_str().to_owned(),
                    labels: block
                        .labels
                        .iter()
                        .map(|label| label.as_str().to_owned())
                        .collect(),
                    value: Value::Block(self.body(&block.body)?),
                    at: self.position(block.ident.span()),
                }),
            })
            .collect()
    }

    fn expression(&self, field: &str, expression: &Expression) -> Result<Value, ConfigError> {
        Ok(match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => number.value().as_i64().map_or_else(
                || Value::Float(number.value().as_f64().unwrap_or(f64::NAN)),
                Value::Integer,
            ),
            Expression::String(text) => Value::String(text.value().to_string()),
            Expression::Array(array) => Value::List(
                array
                    .iter()
                    .map(|value| self.expression(field, value))
                    .collect::<Result<_, _>>()?,
            ),
            Expression::Object(object) => Value::Block(
                object
                    .iter()
                    .map(|(key, value)| {
                        let name = match key {
                            ObjectKey::Ident(ident) => ident.as_str().to_owned(),
                            ObjectKey::Expression(Expression::String(text)) => {
                                text.value().to_string()
                            }
                            ObjectKey::Expression(_) => {
                                return Err(self.not_literal(field, expression));
                            }
                        };
                        Ok(Item {
                            value: self.expression(&name, value.expr())?,
                            key: name,
                            labels: Vec::new(),
                            at: self.position(value.expr().span()),
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Expression::HeredocTemplate(heredoc) => match heredoc
                .template
                .as_single_element()
                .and_then(|element| element.as_literal())
            {
                Some(text) => Value::String(text.to_string()),
                None => return Err(self.not_literal(field, expression)),
            },
            Expression::Parenthesis(inner) => return self.expression(field, inner.inner()),
            Expression::UnaryOp(operation) => match self.expression(field, &operation.expr)? {
                Value::Integer(number)
                    if *operation.operator.value() == hcl_edit::expr::UnaryOperator::Neg =>
                {
                    Value::Integer(-number)
                }
                _ => return Err(self.not_literal(field, expression)),
            },
            Expression::StringTemplate(_)
            | Expression::Variable(_)
            | Expression::Conditional(_)
            | Expression::FuncCall(_)
            | Expression::Traversal(_)
            | Expression::BinaryOp(_)
            | Expression::ForExpr(_) => return Err(self.not_literal(field, expression)),
        })
    }

    fn not_literal(&self, field: &str, expression: &Expression) -> ConfigError {
        ConfigError::Invalid {
            path: self.path.to_owned(),
            at: self.position(expression.span()),
            field: field.to_owned(),
            message: "agent files hold plain values only: no variables, functions or ${…}"
                .to_owned(),
            line: None,
        }
    }
}
