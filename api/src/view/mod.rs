//! The shapes of `/v1`: what of the stored objects is shown, and under which names.

pub(crate) mod agent;
pub(crate) mod alloc;
pub(crate) mod deployment;
pub(crate) mod eval;
pub(crate) mod event;
pub(crate) mod job;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod task_state;

/// An id, or the empty text where there is none.
pub(crate) fn id_or_empty<T: std::fmt::Display>(id: Option<T>) -> String {
    id.map_or_else(String::new, |id| id.to_string())
}
