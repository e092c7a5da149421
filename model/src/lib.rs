//! The objects of rove: what a job is, what runs where, and what is known of it.
//!
//! Nothing here is async, does I/O or reads a clock. Field names in JSON are those of Nomad's HTTP API, in the
//! store as well, so one reading knowledge serves `etcdctl get`, `/v1` and `-json`.

pub mod alloc;
pub mod as_parsed;
mod canonicalize;
pub mod causes;
pub mod deployment;
pub mod diff;
pub mod drivers;
pub mod duration;
pub mod encoding;
pub mod eval;
pub mod ids;
mod implied;
pub mod job;
pub mod nearest;
pub mod node;
pub mod plan;
pub mod registration;
pub mod replacement;
pub mod resources;
pub mod server;
mod shortened;
pub mod supported;
pub mod validate;
