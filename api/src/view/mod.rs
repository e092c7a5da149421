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

use std::collections::BTreeMap;

use rove_model::ids::GroupName;
use rove_wire::Word;

/// A word as text.
pub(crate) fn word<T>(word: impl Into<Word<T>>) -> String {
    word.into().to_string()
}

/// What is kept by group, by the groups' names.
pub(crate) fn by_group<T: Clone>(map: &BTreeMap<GroupName, T>) -> BTreeMap<String, T> {
    map.iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}

/// An id, or the empty text where there is none.
pub(crate) fn id_or_empty<T: std::fmt::Display>(id: Option<T>) -> String {
    id.map_or_else(String::new, |id| id.to_string())
}
