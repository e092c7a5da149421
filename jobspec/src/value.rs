//! Values that expressions have.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

/// A number: whole as long as it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i128),
    /// Any other, always finite.
    Float(f64),
}

impl Number {
    /// A float, whole again where it is; `None` for what is no number.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        // 2^53: beyond that a float may not be what was written.
        if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
            #[allow(clippy::cast_possible_truncation)]
            return Some(Self::Int(value as i128));
        }
        Some(Self::Float(value))
    }

    /// As a float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// As a whole number of 64 bits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(value) => i64::try_from(value).ok(),
            Self::Float(_) => None,
        }
    }

    /// Reads `12`, `-1.5`, `1e3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(value) = text.parse() {
            return Some(Self::Int(value));
        }
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
        if text.is_empty() || !text.chars().all(plain) {
            return None;
        }
        text.parse().ok().and_then(Self::from_f64)
    }

    /// Which is larger.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            _ => self
                .as_f64()
                .partial_cmp(&other.as_f64())
                .unwrap_or(Ordering::Equal),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// A list, tuple or set.
    List(Vec<Value>),
    /// A map or object, by key.
    Map(BTreeMap<String, Value>),
    /// Not known because of a mistake that was reported: whatever needs it stays silent.
    Unknown,
}

impl Value {
    /// A whole number.
    #[must_use]
    pub fn int(value: impl Into<i128>) -> Self {
        Self::Number(Number::Int(value.into()))
    }

    /// A text.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        Self::String(value.into())
    }

    /// What it is, in a word, as the reference names types.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::List(_) => "tuple",
            Self::Map(_) => "object",
            Self::Unknown => "unknown",
        }
    }

    /// As a text, where it converts to one.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// As a number, where it converts to one.
    #[must_use]
    pub fn to_number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            Self::String(text) => Number::parse(text),
            _ => None,
        }
    }

    /// As yes or no, where it converts to it.
    #[must_use]
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) => match text.as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it or a part of it is unknown.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::List(list) => list.iter().any(Self::has_unknown),
            Self::Map(map) => map.values().any(Self::has_unknown),
            _ => false,
        }
    }

    /// As JSON; what is unknown becomes null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null | Self::Unknown => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(Number::Int(value)) => i64::try_from(*value)
                .map(serde_json::Value::from)
                .or_else(|_| u64::try_from(*value).map(serde_json::Value::from))
                .unwrap_or_else(|_| Number::Int(*value).as_f64().into()),
            Self::Number(Number::Float(value)) => (*value).into(),
            Self::String(text) => text.clone().into(),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect(),
        }
    }

    /// From JSON.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(value) => Self::int(value),
                None => number
                    .as_f64()
                    .and_then(Number::from_f64)
                    .map_or(Self::Null, Self::Number),
            },
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(list) => {
                Self::List(list.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value)))
                    .collect(),
            ),
        }
    }
}
