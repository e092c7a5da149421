//! What readers of files and logs ask for and are given.

use bytes::Bytes;

/// A part of a file or of a task's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The bytes; empty in a heartbeat.
    pub data: Bytes,
    /// The file they are from, relative to the alloc's directory: `alloc/logs/say.stdout.0`.
    pub file: String,
    /// Where in that file they end.
    pub offset: u64,
}

/// From where an offset counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From the beginning.
    #[default]
    Start,
    /// Back from the end.
    End,
}

/// What part of a log or file to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Bytes to skip from the beginning, or to go back from the end.
    pub offset: u64,
    /// From where `offset` counts.
    pub origin: Origin,
    /// Wait for more at the end; a log's stream ends all the same when the task is over and everything was read.
    pub follow: bool,
}
