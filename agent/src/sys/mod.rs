//! What is asked of the operating system: the one module of this crate that may hold unsafe code.
//!
//! Invariant: a process is known by its id, its start time and the boot it was started in; none of these alone is
//! ever taken for it.

pub mod acl;
pub mod cgroup;
pub mod container;
pub mod dir;
pub mod fork;
pub mod pidfd;
pub mod process;
pub mod tree;
pub mod usage;
pub mod user;

pub use process::{ProcessId, boot_id};
pub use rove_store::wall_clock::unix_now;
