//! Why a driver could not do what it was asked.

use std::{io, path::PathBuf};

/// What went wrong in a driver. Its message, with those of its sources, is shown in the task's `Driver Failure` event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The `config` block can't be run.
    #[error("invalid {driver} config: {problem}")]
    Config {
        /// The driver.
        driver: &'static str,
        /// What is wrong, naming the key.
        problem: super::config::ConfigProblem,
    },
    /// The operator of this node doesn't allow it.
    #[error("{what} is not allowed on this client: {hint}")]
    Forbidden {
        /// What was asked for.
        what: String,
        /// How it can be allowed.
        hint: &'static str,
    },
    /// The driver isn't enabled on this node.
    #[error("driver \"{driver}\" is not enabled on this client")]
    Disabled {
        /// The driver.
        driver: &'static str,
    },
    /// Something of this task is there already: take it over or destroy it.
    #[error("task {task:?} was started already")]
    AlreadyStarted {
        /// The task.
        task: String,
        /// What is there.
        handle: Box<super::TaskHandle>,
    },
    /// A handle of another driver.
    #[error("a {theirs} task was handed to the {ours} driver")]
    WrongDriver {
        /// The one asked.
        ours: &'static str,
        /// The one it belongs to.
        theirs: String,
    },
    /// A handle of this driver that it can't read: another version of rove wrote it.
    #[error("the stored handle of task {task:?} is not one of this version of the {driver} driver")]
    Handle {
        /// The driver.
        driver: &'static str,
        /// The task.
        task: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The command can't be run.
    #[error("failed to launch command with executor: {problem}")]
    Launch {
        /// Why.
        problem: crate::supervisor::LaunchProblem,
    },
    /// The task has ended.
    #[error("task {task:?} is not running")]
    NotRunning {
        /// The task.
        task: String,
    },
    /// This host knows no such signal.
    #[error("unknown signal {name:?}")]
    UnknownSignal {
        /// As it was given.
        name: String,
    },
    /// The supervisor did not answer as it should.
    #[error("the supervisor of task {task:?} {problem}")]
    Supervisor {
        /// The task.
        task: String,
        /// What it did.
        problem: &'static str,
        /// Why, if known.
        #[source]
        source: Option<io::Error>,
    },
    /// A file could not be read or written.
    #[error("failed to {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The docker engine refused, or is not there.
    #[error("failed to {operation} (engine at {endpoint})")]
    Docker {
        /// What was tried.
        operation: &'static str,
        /// The engine.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// An image could not be pulled.
    #[error("Failed to pull `{image}`")]
    Pull {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: Box<DriverError>,
    },
    /// An image did not come in time.
    #[error("Failed to pull `{image}`: it did not come within {limit:?}")]
    PullTimeout {
        /// The image.
        image: String,
        /// How long it was waited for.
        limit: std::time::Duration,
    },
    /// The config names a port that the task wasn't given.
    #[error("port {label:?} in {key:?} is not among the task's ports: check the network block")]
    UnknownPort {
        /// Its label.
        label: String,
        /// Where it is named.
        key: &'static str,
    },
    /// As a test or a simulation asked for.
    #[error("{message}")]
    Simulated {
        /// What to say.
        message: String,
        /// Whether trying again may help.
        recoverable: bool,
    },
}

impl DriverError {
    /// Whether the same start may work later, so that the task's restart policy applies. Otherwise the task fails at
    /// once.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Config { .. }
            | Self::Forbidden { .. }
            | Self::Disabled { .. }
            | Self::WrongDriver { .. }
            | Self::Handle { .. }
            | Self::UnknownPort { .. }
            | Self::UnknownSignal { .. } => false,
            Self::Simulated { recoverable, .. } => *recoverable,
            Self::AlreadyStarted { .. }
            | Self::Launch { .. }
            | Self::NotRunning { .. }
            | Self::Supervisor { .. }
            | Self::Docker { .. }
            | Self::Pull { .. }
            | Self::PullTimeout { .. }
            | Self::File { .. } => true,
        }
    }

    /// The message with those of its sources, as people see it.
    #[must_use]
    pub fn full_message(&self) -> String {
        rove_model::causes::with_causes(self)
    }
}
