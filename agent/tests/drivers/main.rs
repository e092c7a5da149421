//! The drivers on the real thing: processes, supervisors, a docker engine.
#![allow(clippy::unwrap_used)] // tests

mod bench;
mod docker;
mod groups;
mod mock;
mod raw_exec;
mod support;
