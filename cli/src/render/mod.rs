//! How answers become text: tables, times, sizes, diffs, templates. Pure functions of what the API said.

pub mod allocs;
pub mod colour;
pub mod deployment;
pub mod diff;
pub mod json;
pub mod metrics;
pub mod quote;
pub mod size;
pub mod table;
pub mod template;
pub mod time;
pub mod yaml;

/// How many characters of an id are shown.
pub const SHORT: usize = 8;
/// A whole id.
pub const FULL: usize = 36;

/// The beginning of an id.
pub fn short(id: &str, length: usize) -> String {
    id.chars().take(length).collect()
}

/// `text`, or `<none>`.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { table::NONE } else { text }
}
