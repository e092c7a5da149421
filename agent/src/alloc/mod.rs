//! One alloc: its tasks together, its directory, its health, and the runner that does what the state machine decides.

pub mod dir;
mod driver_calls;
pub mod health;
pub mod machine;
pub(crate) mod runner;
pub(crate) mod task_config;
mod turns;
