//! Reading a driver's `config` block: every key is known, of the right type, or refused by name.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

/// What is wrong with a `config` block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A key that the driver doesn't know.
    UnknownKey {
        /// The key.
        key: String,
        /// The known one that is spelt most like it.
        nearest: Option<&'static str>,
    },
    /// A key that Nomad's driver knows and this one does not support.
    Unsupported {
        /// The key.
        key: String,
    },
    /// A key that has to be there.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong type.
    WrongType {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that can't be.
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, nearest } => {
                write!(f, "unknown key {key:?}")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Self::Unsupported { key } => write!(f, "key {key:?} is not supported yet"),
            Self::Missing { key } => write!(f, "key {key:?} is required"),
            Self::WrongType { key, expected } => write!(f, "key {key:?} must be {expected}"),
            Self::BadValue {
                key,
                value,
                expected,
            } => write!(f, "key {key:?} is {value:?}, which is not {expected}"),
        }
    }
}

/// A `config` block being read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
    /// Reads `config`, of which only `known` keys may be there. `unsupported` ones are refused in other words, so
    /// that their reader does not look for a spelling mistake.
    ///
    /// # Errors
    /// The first key that may not be there.
    pub fn new(
        config: &'a Map<String, Value>,
        known: &'static [&'static str],
        unsupported: &[&str],
    ) -> Result<Self, ConfigProblem> {
        for key in config.keys() {
            if known.contains(&key.as_str()) {
                continue;
            }
            if unsupported.contains(&key.as_str()) {
                return Err(ConfigProblem::Unsupported { key: key.clone() });
            }
            return Err(ConfigProblem::UnknownKey {
                key: key.clone(),
                nearest: nearest(key, known),
            });
        }
        Ok(Self(config))
    }

    /// The value, unless it is absent or null.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text. Numbers and booleans are taken as their spelling, as HCL does.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, key: &str) -> Result<Option<String>, ConfigProblem> {
        self.value(key)
            .map(|value| {
                scalar(value).ok_or_else(|| ConfigProblem::WrongType {
                    key: key.to_owned(),
                    expected: "a string",
                })
            })
            .transpose()
    }

    /// A text that has to be there and not be empty.
    ///
    /// # Errors
    /// It is absent, empty, or something else.
    pub fn required_text(&self, key: &'static str) -> Result<String, ConfigProblem> {
        self.text(key)?
            .filter(|text| !text.is_empty())
            .ok_or(ConfigProblem::Missing { key })
    }

    /// A list of texts.
    ///
    /// # Errors
    /// It is something else.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, ConfigProblem> {
        let wrong = || ConfigProblem::WrongType {
            key: key.to_owned(),
            expected: "a list of strings",
        };
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| scalar(item).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// A boolean; also `"true"` and `"false"`, which interpolation makes.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigProblem> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(ConfigProblem::WrongType {
                key: key.to_owned(),
                expected: "true or false",
            }),
        }
    }

    /// A whole number that is not negative; also its spelling.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, key: &str) -> Result<Option<u64>, ConfigProblem> {
        self.value(key)
            .map(|value| {
                match value {
                    Value::Number(number) => number.as_u64(),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                }
                .ok_or_else(|| ConfigProblem::WrongType {
                    key: key.to_owned(),
                    expected: "a number",
                })
            })
            .transpose()
    }

    /// A map of texts, given as a map or as a list of maps (what a nested block becomes).
    ///
    /// # Errors
    /// It is something else.
    pub fn map(&self, key: &str) -> Result<BTreeMap<String, String>, ConfigProblem> {
        let wrong = || ConfigProblem::WrongType {
            key: key.to_owned(),
            expected: "a map of strings",
        };
        let mut found = BTreeMap::new();
        let mut add = |map: &Map<String, Value>| {
            for (name, value) in map {
                found.insert(name.clone(), scalar(value).ok_or_else(wrong)?);
            }
            Ok(())
        };
        match self.value(key) {
            None => {}
            Some(Value::Object(map)) => add(map)?,
            Some(Value::Array(maps)) => {
                for map in maps {
                    add(map.as_object().ok_or_else(wrong)?)?;
                }
            }
            Some(_) => return Err(wrong()),
        }
        Ok(found)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The known key that is spelt most like `key`, if any is near.
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(left: &str, right: &str) -> usize {
    strsim::osa_distance(left, right)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    const KNOWN: &[&str] = &["image", "ports", "port_map", "command", "args"];

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        for (key, message) in [
            ("imgae", r#"unknown key "imgae"; did you mean "image"?"#),
            ("port", r#"unknown key "port"; did you mean "ports"?"#),
            ("xylophone", r#"unknown key "xylophone""#),
            ("runtime", r#"key "runtime" is not supported yet"#),
        ] {
            let config = object(json!({ key: 1 }));
            let problem = Reader::new(&config, KNOWN, &["runtime"]).unwrap_err();
            assert_eq!(problem.to_string(), message, "{key}");
        }
    }

    #[test]
    fn values_are_read_in_every_form_that_job_files_give_them() {
        let config = object(json!({
            "image": 7, "ports": ["a", 1], "port_map": [{"db": 6379}, {"web": "80"}], "command": null,
        }));
        let reader = Reader::new(&config, KNOWN, &[]).unwrap();
        assert_eq!(reader.text("image").unwrap().unwrap(), "7");
        assert_eq!(reader.texts("ports").unwrap(), ["a", "1"]);
        assert_eq!(reader.text("command").unwrap(), None);
        let map = reader.map("port_map").unwrap();
        assert_eq!(map["db"], "6379");
        assert_eq!(map["web"], "80");
    }

    #[test]
    fn a_wrong_type_is_refused_by_name() {
        let config = object(json!({"image": {}, "ports": "x", "port_map": "x", "args": [[]]}));
        let reader = Reader::new(&config, KNOWN, &[]).unwrap();
        for (problem, message) in [
            (
                reader.text("image").err(),
                r#"key "image" must be a string"#,
            ),
            (
                reader.texts("ports").err(),
                r#"key "ports" must be a list of strings"#,
            ),
            (
                reader.texts("args").err(),
                r#"key "args" must be a list of strings"#,
            ),
            (
                reader.map("port_map").err(),
                r#"key "port_map" must be a map of strings"#,
            ),
            (
                reader.boolean("ports").err(),
                r#"key "ports" must be true or false"#,
            ),
            (
                reader.number("ports").err(),
                r#"key "ports" must be a number"#,
            ),
            (
                reader.required_text("command").err(),
                r#"key "command" is required"#,
            ),
        ] {
            assert_eq!(problem.unwrap().to_string(), message);
        }
    }
}
