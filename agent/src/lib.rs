//! The node agent: what runs allocs on one machine.

mod admission;
mod agent;
pub mod alloc;
pub mod clock;
mod context;
pub mod drivers;
pub mod files;
pub mod fingerprint;
mod frames;
mod garbage;
pub mod handle;
mod handle_error;
mod host_stats;
pub mod identity;
mod local_state;
mod log_stream;
pub mod logs;
mod manager;
mod outbox;
pub mod registry;
mod shared;
pub mod supervisor;
mod sync;
pub mod sys;
pub mod task;
pub mod usage;

pub use agent::{
    Agent, AgentConfig, AgentError, DRIVER_CHECKS, GarbagePolicy, LEASE_TTL, MAX_KILL_TIMEOUT,
    NodeSource, Storage,
};
pub use local_state::MemoryState;
