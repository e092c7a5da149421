//! The form of a driver's `config` block: its keys, and what each may hold.

use serde_json::{Map, Value};

use super::ConfigProblem;
use crate::{duration::Nanos, nearest::nearest};

/// The most mistakes of a block that are told one by one.
pub(super) const MOST: usize = 50;

/// What a key of a `config` block holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// A text; numbers and booleans are taken as their spelling.
    Text,
    /// A list of texts.
    Texts,
    /// A text or a list of texts.
    TextOrTexts,
    /// The labels of ports of the task's group or of its own resources.
    PortLabels,
    /// `true` or `false`.
    Bool,
    /// A whole number from 0 to this one.
    Number(u64),
    /// A whole number of 64 bits, also below zero.
    Signed,
    /// A duration such as `"30s"`, above zero where the flag says so.
    Duration {
        /// Zero is refused.
        positive: bool,
    },
    /// Texts by name: a map, or a nested block.
    Map(Entry),
    /// Texts by these names: a map, or a nested block.
    MapOf(&'static [&'static str]),
}

/// What an entry of a map is.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// A text.
    Text,
    /// A port by its label.
    Port,
    /// Whatever this says yes to; with what that is.
    Checked(fn(&str) -> bool, &'static str),
}

/// One key of a `config` block.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// The driver can't do without it.
    pub required: bool,
}

impl Key {
    /// A key that may be left out.
    pub(super) const fn new(name: &'static str, holds: Holds) -> Self {
        Self {
            name,
            holds,
            required: false,
        }
    }

    /// A key that has to be there, and not be empty.
    pub(super) const fn required(name: &'static str, holds: Holds) -> Self {
        Self {
            name,
            holds,
            required: true,
        }
    }
}

/// The form of a driver's `config` block.
#[derive(Clone, Copy, Debug)]
pub struct ConfigSchema {
    /// The driver's name.
    pub driver: &'static str,
    /// The keys that it knows.
    pub keys: &'static [Key],
    /// What Nomad's driver of this name, also of later versions, knows beside those. They are refused in other words, so that their reader does
    /// not look for a spelling mistake.
    pub unsupported: &'static [&'static str],
    /// Keys that exclude each other.
    pub exclusive: &'static [(&'static str, &'static str)],
}

impl ConfigSchema {
    /// The key with this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Everything that is wrong with a `config` block. Values that are interpolated on the node pass.
    #[must_use]
    pub fn check(&self, config: &Map<String, Value>) -> Vec<ConfigProblem> {
        let mut found = Vec::new();
        for (name, value) in config {
            match self.key(name) {
                Some(key) => key.holds.check(name, value, &mut found),
                None if self.unsupported.contains(&name.as_str()) => {
                    found.push(ConfigProblem::Unsupported { key: name.clone() });
                }
                None => found.push(ConfigProblem::UnknownKey {
                    key: name.clone(),
                    nearest: nearest(name, self.keys.iter().map(|key| key.name)),
                }),
            }
        }
        for key in self.keys.iter().filter(|key| key.required) {
            if config.get(key.name).is_none_or(is_empty) {
                found.push(ConfigProblem::Missing { key: key.name });
            }
        }
        for (first, second) in self.exclusive {
            let given = |name: &str| config.get(name).filter(|value| !is_empty(value));
            if let (Some(_), Some(value)) = (given(first), given(second)) {
                found.push(ConfigProblem::BadValue {
                    key: (*second).to_owned(),
                    value: names(value).join(", "),
                    expected: format!("allowed together with {first:?}"),
                });
            }
        }
        if found.len() > MOST {
            let left_out = found.len() - MOST;
            found.truncate(MOST);
            found.push(ConfigProblem::More { left_out });
        }
        found
    }
}

/// It says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list
            .iter()
            .all(|value| value.is_object() && is_empty(value)),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What is in a list or a map.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(names).collect(),
        Value::Object(map) => map.keys().cloned().collect(),
        other => scalar(other).into_iter().collect(),
    }
}

/// A single value as a text: what HCL takes as one.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value is known on the node only.
#[must_use]
pub fn has_interpolation(text: &str) -> bool {
    text.contains("${")
}

impl Holds {
    /// What it should be, in words.
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts | Self::PortLabels => "a list of strings",
            Self::TextOrTexts => "a string or a list of strings",
            Self::Bool => "true or false",
            Self::Number(_) => "a number",
            Self::Signed => "a whole number",
            Self::Duration { positive: true } => "a duration such as \"5m\"",
            Self::Duration { positive: false } => "a duration such as \"30s\"",
            Self::Map(_) | Self::MapOf(_) => "a map of strings",
        }
    }

    fn check(self, key: &str, value: &Value, found: &mut Vec<ConfigProblem>) {
        let wrong = || ConfigProblem::WrongType {
            key: key.to_owned(),
            expected: self.expected(),
        };
        if value.is_null() {
            return;
        }
        if let Value::String(text) = value
            && has_interpolation(text)
            && !matches!(
                self,
                Self::Texts | Self::PortLabels | Self::Map(_) | Self::MapOf(_)
            )
        {
            return;
        }
        let is_text = |value: &Value| scalar(value).is_some();
        let is_right = match (self, value) {
            (Self::Text, value) => is_text(value),
            (Self::Texts | Self::TextOrTexts | Self::PortLabels, Value::Array(list)) => {
                list.iter().all(is_text)
            }
            (Self::TextOrTexts, Value::String(_)) => true,
            (Self::Bool, Value::Bool(_)) => true,
            (Self::Bool, Value::String(text)) => matches!(text.as_str(), "true" | "false"),
            (Self::Number(most), value) => match (whole_number(value), scalar(value)) {
                (Some(number), Some(text)) if number > most => {
                    found.push(ConfigProblem::BadValue {
                        key: key.to_owned(),
                        value: text,
                        expected: format!("a number up to {most}"),
                    });
                    return;
                }
                (number, _) => number.is_some(),
            },
            (Self::Signed, value) => signed_number(value).is_some(),
            (Self::Duration { positive }, value) => {
                let Some(text) = scalar(value) else {
                    found.push(wrong());
                    return;
                };
                let least = i64::from(positive);
                if !text.parse::<Nanos>().is_ok_and(|nanos| nanos.0 >= least) {
                    found.push(ConfigProblem::BadValue {
                        key: key.to_owned(),
                        value: text,
                        expected: self.expected().to_owned(),
                    });
                }
                return;
            }
            (Self::Map(entry), value) => each_entry(value, |name, text| {
                found.extend(entry.problem(key, name, text));
            }),
            (Self::MapOf(names), value) => each_entry(value, |name, _| {
                if !names.contains(&name) {
                    found.push(ConfigProblem::UnknownKey {
                        key: format!("{key}.{name}"),
                        nearest: nearest(name, names.iter().copied()),
                    });
                }
            }),
            (Self::Texts | Self::TextOrTexts | Self::PortLabels | Self::Bool, _) => false,
        };
        if !is_right {
            found.push(wrong());
        }
    }
}

fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number of 64 bits, also below zero; also its spelling.
#[must_use]
pub fn signed_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Looks at the entries of a map, or of the list of maps that a nested block becomes. False where it is neither.
fn each_entry(value: &Value, mut look: impl FnMut(&str, &str)) -> bool {
    let mut look_into = |map: &Map<String, Value>| {
        map.iter().all(|(name, value)| {
            let text = scalar(value);
            if let Some(text) = &text {
                look(name, text);
            }
            text.is_some()
        })
    };
    match value {
        Value::Object(map) => look_into(map),
        Value::Array(maps) => maps
            .iter()
            .all(|map| map.as_object().is_some_and(&mut look_into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Entry {
    fn problem(self, key: &str, name: &str, text: &str) -> Option<ConfigProblem> {
        let (is_right, expected) = match self {
            Self::Text => return None,
            Self::Port => (text.parse::<u16>().is_ok(), "a port"),
            Self::Checked(is_right, expected) => (is_right(text), expected),
        };
        (!is_right && !has_interpolation(text)).then(|| ConfigProblem::BadValue {
            key: format!("{key}.{name}"),
            value: text.to_owned(),
            expected: expected.to_owned(),
        })
    }
}
