//! What an operator sets of a driver: the `config` of its `plugin` block.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::supervisor::Program;

/// What every driver of a node is opened with.
#[derive(Clone, Debug)]
pub struct Host {
    /// How the processes are called that outlive the agent.
    pub program: Program,
    /// The speed of one core, in MHz.
    pub core_mhz: f64,
    /// Cores of the host.
    pub cores: u32,
}

/// What is wrong with a `plugin` block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// A key that the driver does not have.
    #[error("plugin.{driver}.config.{key}: unknown key; known are {known}")]
    UnknownKey {
        /// The driver.
        driver: &'static str,
        /// The key.
        key: String,
        /// The keys it has.
        known: String,
    },
    /// A value of the wrong type.
    #[error("plugin.{driver}.config.{key}: expected {expected}")]
    WrongType {
        /// The driver.
        driver: &'static str,
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// A `config` block of one driver, or a block within it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    driver: &'static str,
    config: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options of `driver`, of which only `known` ones may be there.
    ///
    /// # Errors
    /// The first that may not.
    pub fn new(
        driver: &'static str,
        config: &'a Map<String, Value>,
        known: &[&str],
    ) -> Result<Self, OptionError> {
        match config.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self { driver, config }),
            Some(key) => Err(OptionError::UnknownKey {
                driver,
                key: key.clone(),
                known: known.join(", "),
            }),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, OptionError> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, key: &str) -> Result<Option<String>, OptionError> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A block, of which only `known` keys may be there.
    ///
    /// # Errors
    /// It is something else, `expected` says what it should be, or has another key.
    pub fn block(
        &self,
        key: &str,
        expected: &'static str,
        known: &[&str],
    ) -> Result<Option<Self>, OptionError> {
        let block = match self.config.get(key) {
            None => return Ok(None),
            Some(Value::Object(block)) => block,
            Some(_) => return Err(self.wrong(key, expected)),
        };
        Self::new(self.driver, block, known).map(Some)
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, OptionError> {
        self.config
            .get(key)
            .map(|value| take(value).ok_or_else(|| self.wrong(key, expected)))
            .transpose()
    }

    fn wrong(&self, key: &str, expected: &'static str) -> OptionError {
        OptionError::WrongType {
            driver: self.driver,
            key: key.to_owned(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::drivers::built_in;

    #[test]
    fn every_built_in_driver_opens_without_options_and_refuses_what_it_does_not_know() {
        let host = Host {
            program: Program::this_binary(),
            core_mhz: 1000.0,
            cores: 1,
        };
        for driver in built_in() {
            let opened = (driver.open)(&Map::new(), &host).unwrap();
            assert_eq!(opened.name(), driver.name);
            let config = json!({"surely-unknown": 1});
            let error = (driver.open)(config.as_object().unwrap(), &host).unwrap_err();
            let start = format!(
                "plugin.{}.config.surely-unknown: unknown key; known are ",
                driver.name
            );
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused_by_name() {
        let config = json!({"enabled": "yes", "endpoint": 1, "volumes": true});
        let known = ["enabled", "endpoint", "volumes"];
        let options = Options::new("docker", config.as_object().unwrap(), &known).unwrap();
        for (error, message) in [
            (
                options.boolean("enabled").unwrap_err(),
                "plugin.docker.config.enabled: expected true or false",
            ),
            (
                options.text("endpoint").unwrap_err(),
                "plugin.docker.config.endpoint: expected a string",
            ),
            (
                options.block("volumes", "a block", &[]).unwrap_err(),
                "plugin.docker.config.volumes: expected a block",
            ),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }
}
