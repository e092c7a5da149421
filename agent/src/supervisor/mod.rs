//! One small process per task that outlives the agent: it starts the task, keeps its output, and records its end.
//!
//! This binary is executed again as `rove supervise --launcher`, once per agent and without an async runtime. For each
//! task the launcher splits off a supervisor (fork, so that they share their memory), which leads a session of its
//! own and loses its parent when the agent dies. See [`spec`] for the files by which they agree.
//!
//! Invariants: a task that was asked for twice is started once; an exit that was recorded stays; nothing that a task
//! started lives on after its end, where the host has control groups.

pub mod client;
pub(crate) mod container_log;
mod control;
mod launcher;
pub(crate) mod output;
mod run;
pub mod spec;
pub mod takeover;

use std::{ffi::OsString, fmt, path::Path, process::ExitCode};

use serde::{Deserialize, Serialize};

pub use self::client::{Launcher, Program};
use self::spec::Started;

/// `rove supervise …`: to be called first thing in `main`, while the process has one thread. `args` are those after
/// `supervise`.
///
/// `--launcher` serves the agent at the other end of standard input; a directory runs the one task in it.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let done = match args {
        [flag] if flag == "--launcher" => launcher::serve(),
        [dir] if !dir.as_encoded_bytes().starts_with(b"-") => {
            run::supervise(Path::new(dir), |outcome| {
                if let Outcome::Failed(problem) = outcome {
                    eprintln!("rove supervise: {problem}");
                }
            })
        }
        _ => {
            eprintln!("usage: rove supervise STATE-DIR");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rove supervise: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What came of a launch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The task runs.
    Started(Started),
    /// It doesn't, and nothing is left of it.
    Failed(LaunchProblem),
}

/// Why a command could not be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LaunchProblem {
    /// There is no such program.
    NotFound {
        /// As it was given.
        command: String,
    },
    /// It can't be executed.
    NotExecutable {
        /// As it was given.
        command: String,
        /// What the system says.
        reason: String,
    },
    /// There is no such user.
    UnknownUser {
        /// As it was given.
        user: String,
    },
    /// A step before it failed.
    Setup {
        /// Which one.
        step: String,
        /// What the system says.
        reason: String,
    },
}

impl fmt::Display for LaunchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { command } => write!(f, "binary {command:?} could not be found"),
            Self::NotExecutable { command, reason } => {
                write!(f, "binary {command:?} could not be executed: {reason}")
            }
            Self::UnknownUser { user } => write!(f, "there is no user {user:?}"),
            Self::Setup { step, reason } => write!(f, "failed to {step}: {reason}"),
        }
    }
}
