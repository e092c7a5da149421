//! What is asked of the operating system: the one module of this crate that may hold unsafe code.
//!
//! Invariant: a process is known by its id, its start time and the boot it was started in; none of these alone is
//! ever taken for it.

pub mod cgroup;
pub mod container;
pub mod dir;
pub mod fork;
pub mod process;
pub mod tree;
pub mod usage;

use std::time::{SystemTime, UNIX_EPOCH};

pub use process::{ProcessId, boot_id};
use rove_model::ids::UnixNanos;

/// The host's clock.
#[must_use]
pub fn unix_now() -> UnixNanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
