//! The drivers of this build, set up as the `plugin` blocks say.

use rove_agent::{
    drivers::{Host, OptionError, built_in},
    registry::DriverRegistry,
    supervisor::Program,
};
use serde_json::Map;
use thiserror::Error;

use super::config::AgentConfig;

/// What is wrong with a `plugin` block.
#[derive(Debug, Error)]
pub enum PluginError {
    /// No such driver.
    #[error("plugin {0:?}: this version of rove has no such driver; it has {1}")]
    Unknown(String, String),
    /// An option of a driver.
    #[error(transparent)]
    Option(#[from] OptionError),
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
    let names: Vec<&str> = built_in().iter().map(|driver| driver.name).collect();
    if let Some(unknown) = config
        .plugins
        .keys()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(PluginError::Unknown(unknown.clone(), names.join(" and ")));
    }
    let host = Host {
        program: Program::this_binary(),
        core_mhz,
        cores,
    };
    let empty = Map::new();
    let mut drivers = DriverRegistry::new();
    for driver in built_in() {
        let options = config.plugins.get(driver.name).unwrap_or(&empty);
        drivers = drivers.with((driver.open)(options, &host)?);
    }
    Ok(drivers)
}
