//! The output of tasks: `<task>.stdout.N` and `<task>.stderr.N` in an alloc's log directory.
//!
//! Invariant: a file's number only grows, a file that isn't the newest never changes, and at most `max_files` of at
//! most the maximal size are there: who follows a log needs to remember only a number and an offset.

mod files;
mod rotate;

pub(crate) use files::list_in;
pub use files::{LogError, LogFile, LogKind, LogLimits, append, file_name, file_path, list};
pub use rotate::Rotator;
