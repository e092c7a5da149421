//! Task drivers: what starts, watches and ends the processes of a task.
//!
//! Invariant: a task is never started twice for one [`TaskRef`]. The caller records the [`TaskRef`] (its state
//! directory) before it calls [`Driver::start`]; whatever was started is found again through [`Driver::find`], by
//! label or state directory, even when the caller died before it could record the [`TaskHandle`].

pub mod config;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod docker;
mod error;
mod handle;
#[cfg(any(test, feature = "testing"))]
pub mod mock;
pub mod options;
pub mod raw_exec;
mod types;
mod usage;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use error::DriverError;
pub use handle::TaskHandle;
pub use options::{Host, OptionError};
use serde_json::{Map, Value};
pub use types::{
    CpuStats, ExitResult, Fingerprint, MemoryStats, Progress, ProgressSender, Recovered,
    ResourceUsage, Signal, TaskConfig, TaskLimits, TaskMount, TaskPort, TaskRef, TaskRoot,
    TaskStats,
};

pub use crate::logs::LogLimits;

/// A driver that every rove has.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// The name that job files and `plugin` blocks use.
    pub name: &'static str,
    /// Makes it, as the `config` of its `plugin` block says.
    pub open: Open,
}

/// How a driver is made: of its options and the host.
pub type Open = fn(&Map<String, Value>, &Host) -> Result<Arc<dyn Driver>, OptionError>;

/// The one table of the drivers that are built in, by name. A new driver is its own module and a row here.
#[must_use]
pub fn built_in() -> &'static [BuiltIn] {
    &[
        BuiltIn {
            name: docker::NAME,
            open: docker::open_as_configured,
        },
        BuiltIn {
            name: raw_exec::NAME,
            open: raw_exec::open_as_configured,
        },
    ]
}

/// How many progress words may wait for their reader; further ones are dropped, as they are only for people.
pub const PROGRESS_CAPACITY: usize = 32;

/// What runs tasks of one kind.
///
/// Every method may be called again after the agent was restarted, with a handle that an earlier process recorded.
/// All of them are bounded in time but [`Driver::wait`] and a `start` that pulls an image (which has its own limit),
/// and all may be dropped half-way.
#[async_trait]
pub trait Driver: Send + Sync + fmt::Debug {
    /// The name that job files use.
    fn name(&self) -> &'static str;

    /// What its tasks see of the host's files.
    fn root(&self) -> TaskRoot {
        TaskRoot::Host
    }

    /// Whether it can run tasks here, and what is known of it.
    async fn fingerprint(&self) -> Fingerprint;

    /// Refuses a `config` block that can't be run: unknown keys, wrong types, what the operator forbids.
    ///
    /// # Errors
    /// [`DriverError::Config`] or [`DriverError::Forbidden`], naming the key.
    fn validate_config(&self, config: &Map<String, Value>) -> Result<(), DriverError>;

    /// Starts the task, or returns [`DriverError::AlreadyStarted`] when one is there for this [`TaskRef`] (running
    /// or not yet destroyed). A failed start leaves nothing behind that runs.
    ///
    /// # Errors
    /// Why it could not be started; see [`DriverError::is_recoverable`].
    async fn start(
        &self,
        config: &TaskConfig,
        progress: &ProgressSender,
    ) -> Result<TaskHandle, DriverError>;

    /// What became of a task that was started before, and takes over what belongs to it (its logs).
    ///
    /// # Errors
    /// When it can't be told at present; ask again.
    async fn recover(&self, handle: &TaskHandle) -> Result<Recovered, DriverError>;

    /// What was started for this task and not destroyed, whether or not anyone recorded its handle.
    ///
    /// # Errors
    /// When it can't be told at present; ask again.
    async fn find(&self, task: &TaskRef) -> Result<Option<TaskHandle>, DriverError>;

    /// Waits until the task has ended and its output is in its log files. Answers at once, and always the same, when
    /// it already has.
    ///
    /// # Errors
    /// When the exit can't be learnt at present (the engine is away): the task may still run; wait again.
    async fn wait(&self, handle: &TaskHandle) -> Result<ExitResult, DriverError>;

    /// Sends the signal (the driver's own default if none is given), and kills the task when it hasn't ended after
    /// `timeout`. Returns when the task has ended; its exit comes from [`Driver::wait`]. A task that has ended
    /// already is no error. The timeout goes on when the call is dropped.
    ///
    /// # Errors
    /// When the task could not be reached.
    async fn stop(
        &self,
        handle: &TaskHandle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError>;

    /// Sends a signal.
    ///
    /// # Errors
    /// [`DriverError::NotRunning`] when the task has ended, else when it could not be reached.
    async fn signal(&self, handle: &TaskHandle, signal: Signal) -> Result<(), DriverError>;

    /// What the task uses now. Rates are over the time since the last call for this task (zero at the first).
    ///
    /// # Errors
    /// [`DriverError::NotRunning`] when the task has ended, else when it could not be measured.
    async fn stats(&self, handle: &TaskHandle) -> Result<TaskStats, DriverError>;

    /// Removes what is left of the task (killing it if it still runs), but for its log files and its directory.
    /// Nothing left is no error.
    ///
    /// # Errors
    /// When it could not be removed; call again.
    async fn destroy(&self, handle: &TaskHandle) -> Result<(), DriverError>;
}
