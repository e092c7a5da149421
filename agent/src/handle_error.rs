//! Why the agent on this node could not do what it was asked.

use rove_model::ids::AllocId;
use thiserror::Error;

use crate::{drivers::DriverError, files::FileError, logs::LogError};

/// Why the agent could not do what was asked.
#[derive(Debug, Error)]
pub enum HandleError {
    /// This node has no such alloc.
    #[error("Unknown allocation \"{0}\"")]
    UnknownAlloc(AllocId),
    /// The alloc has no such task, in the words of a question about logs.
    #[error("unknown task name \"{0}\"")]
    UnknownTask(String),
    /// The task was never started, so it has no logs.
    #[error("task \"{0}\" not started yet. No logs available")]
    NotStarted(String),
    /// The job switches the task's logs off.
    #[error("logs of task \"{0}\" are disabled: its job says logs {{ disabled = true }}")]
    LogsDisabled(String),
    /// The alloc has no such task, in the words of a restart or a signal.
    #[error("Could not find task runner for task: {0}")]
    NoTaskRunner(String),
    /// The task does not run.
    #[error("Task not running")]
    NotRunning,
    /// About a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// About a log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// About what a driver was asked to do.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Too many users ask for something at once.
    #[error("too many requests for this allocation, try again")]
    Busy,
    /// What the host uses could not be measured.
    #[error("failed to measure the host")]
    Measure(#[source] std::io::Error),
    /// The agent is shutting down.
    #[error("the agent is shutting down")]
    Closed,
}
