//! The store: plain keys in etcd, in an embedded database or in memory, behind one trait; and what stands on it.

pub mod backoff;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod election;
pub mod embedded;
mod engine;
pub mod etcd;
mod event_ring;
pub mod faults;
pub mod frontend;
pub mod keys;
pub mod lease_keeper;
pub mod list_watch;
pub mod memory;
pub mod node_secret;
pub mod servers;
pub mod state;
pub mod store;
mod tables;
pub mod wall_clock;
pub mod wrapped;

pub use store::{Store, StoreError};
