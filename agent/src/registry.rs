//! The drivers of this agent, by the name that job files use.

use std::{collections::BTreeMap, sync::Arc};

use crate::drivers::Driver;

/// The drivers of an agent.
#[derive(Clone, Debug, Default)]
pub struct DriverRegistry(BTreeMap<&'static str, Arc<dyn Driver>>);

impl DriverRegistry {
    /// Without any.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, driver: Arc<dyn Driver>) -> Self {
        self.0.insert(driver.name(), driver);
        self
    }

    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Driver>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Driver>)> {
        self.0.iter().map(|(name, driver)| (*name, driver))
    }
}
