//! What the `config` block of a task may hold, for each driver that is built in.
//!
//! Validation and the drivers themselves read these tables, so that what a node would refuse is refused before it gets
//! there, in the same words. A value with `${…}` in it is known on the node only and passes here. A driver without a
//! table (one that others wrote) checks its config itself.

mod docker;
mod mock;
mod problem;
mod raw_exec;
mod schema;
mod use_of;

pub use docker::{DOCKER, ulimit};
pub use mock::MOCK;
pub use problem::ConfigProblem;
pub use raw_exec::RAW_EXEC;
pub use schema::{ConfigSchema, Holds, Key, has_interpolation, scalar, signed_number};
pub(crate) use use_of::{config_problems, unknown_ports};
pub use use_of::{missing_drivers, port_labels};

/// The schemas of the built-in drivers.
pub static BUILT_IN: [&ConfigSchema; 3] = [&DOCKER, &RAW_EXEC, &MOCK];

/// Drivers that will come: [`crate::supported`] refuses them by name.
pub const LATER: [&str; 5] = ["exec", "java", "qemu", "lxc", "podman"];

/// The schema of a driver, if it is built in.
#[must_use]
pub fn schema(driver: &str) -> Option<&'static ConfigSchema> {
    BUILT_IN
        .iter()
        .copied()
        .find(|schema| schema.driver == driver)
}
