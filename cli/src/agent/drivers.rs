//! The drivers of this build, set up as the `plugin` blocks say.

use std::sync::Arc;

use rove_agent::{
    drivers::{
        docker::{Allowed, DockerDriver, DockerOptions},
        raw_exec::{RawExecDriver, RawExecOptions},
    },
    registry::DriverRegistry,
    supervisor::Program,
};
use serde_json::{Map, Value};
use thiserror::Error;

use super::config::AgentConfig;

/// What is wrong with a `plugin` block.
#[derive(Debug, Error)]
pub enum PluginError {
    /// No such driver.
    #[error("plugin {0:?}: this version of rove has no such driver; it has docker and raw_exec")]
    Unknown(String),
    /// A key that the driver does not have.
    #[error("plugin.{driver}.config.{key}: unknown key; known are {known}")]
    UnknownKey {
        /// The driver.
        driver: String,
        /// The key.
        key: String,
        /// The keys it has.
        known: String,
    },
    /// A value of the wrong type.
    #[error("plugin.{driver}.config.{key}: expected {expected}")]
    WrongType {
        /// The driver.
        driver: String,
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
}

struct Options<'a> {
    driver: &'a str,
    config: &'a Map<String, Value>,
}

impl Options<'_> {
    fn known(&self, keys: &[&str]) -> Result<(), PluginError> {
        match self.config.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(PluginError::UnknownKey {
                driver: self.driver.to_owned(),
                key: key.clone(),
                known: keys.join(", "),
            }),
        }
    }

    fn wrong(&self, key: &str, expected: &'static str) -> PluginError {
        PluginError::WrongType {
            driver: self.driver.to_owned(),
            key: key.to_owned(),
            expected,
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, PluginError> {
        self.config
            .get(key)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| self.wrong(key, "true or false"))
            })
            .transpose()
    }

    fn text(&self, key: &str) -> Result<Option<String>, PluginError> {
        self.config
            .get(key)
            .map(|value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.wrong(key, "a string"))
            })
            .transpose()
    }
}

/// The drivers of a node with cores of that speed.
///
/// # Errors
/// What is wrong with the configuration.
pub fn registry(
    config: &AgentConfig,
    core_mhz: f64,
    cores: u32,
) -> Result<DriverRegistry, PluginError> {
    let empty = Map::new();
    let of = |driver| Options {
        driver,
        config: config.plugins.get(driver).unwrap_or(&empty),
    };
    if let Some(unknown) = config
        .plugins
        .keys()
        .find(|name| !["docker", "raw_exec"].contains(&name.as_str()))
    {
        return Err(PluginError::Unknown(unknown.clone()));
    }

    let raw_exec = of("raw_exec");
    raw_exec.known(&["enabled"])?;
    let raw_exec = RawExecOptions {
        enabled: raw_exec.boolean("enabled")?.unwrap_or(false),
        program: Program::this_binary(),
        core_mhz,
    };

    let given = of("docker");
    given.known(&["endpoint", "allow_privileged", "volumes"])?;
    let mut docker = DockerOptions::new(core_mhz, cores);
    if let Some(endpoint) = given.text("endpoint")? {
        docker.endpoint = endpoint;
    }
    let volumes = match given.config.get("volumes") {
        None => false,
        Some(Value::Object(block)) => {
            let block = Options {
                driver: "docker",
                config: block,
            };
            block.known(&["enabled"])?;
            block.boolean("enabled")?.unwrap_or(false)
        }
        Some(_) => return Err(given.wrong("volumes", "a block { enabled = … }")),
    };
    docker.allowed = Allowed {
        privileged: given.boolean("allow_privileged")?.unwrap_or(false),
        volumes,
    };

    Ok(DriverRegistry::new()
        .with(Arc::new(RawExecDriver::new(raw_exec)))
        .with(Arc::new(DockerDriver::new(docker))))
}
