//! Reading a driver's `config` block: every key is known, of the right type, or refused by name.

use std::collections::BTreeMap;

pub use rove_model::drivers::ConfigProblem;
use rove_model::drivers::{ConfigSchema, scalar, signed_number};
use serde_json::{Map, Value};

/// A `config` block being read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
    /// Reads `config`, which has to be of the form that `schema` says.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(
        config: &'a Map<String, Value>,
        schema: &ConfigSchema,
    ) -> Result<Self, ConfigProblem> {
        match schema.check(config).into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Self(config)),
        }
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

    /// A whole number, also below zero; also its spelling.
    ///
    /// # Errors
    /// It is something else.
    pub fn signed_number(&self, key: &str) -> Result<Option<i64>, ConfigProblem> {
        self.value(key)
            .map(|value| {
                signed_number(value).ok_or_else(|| ConfigProblem::WrongType {
                    key: key.to_owned(),
                    expected: "a whole number",
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_config_that_is_not_of_its_schema_is_refused() {
        let config = object(json!({"image": "x", "prots": []}));
        let problem = Reader::new(&config, &rove_model::drivers::DOCKER).unwrap_err();
        assert_eq!(
            problem.to_string(),
            r#"unknown key "prots"; did you mean "ports"?"#
        );
    }

    #[test]
    fn values_are_read_in_every_form_that_job_files_give_them() {
        let config = object(json!({
            "image": 7, "ports": ["a", 1], "port_map": [{"db": 6379}, {"web": "80"}], "command": null,
        }));
        let reader = Reader(&config);
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
        let reader = Reader(&config);
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
