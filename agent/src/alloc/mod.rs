//! One alloc: its tasks together, its directory, its health, and the runner that does what the state machine decides.

pub mod dir;
pub mod health;
pub mod machine;
pub(crate) mod runner;
pub(crate) mod task_config;
