//! What the rest of a process asks of the agent on this node: files, logs and resource use of its allocs.
//!
//! A handle is cheap to clone and holds no lock while it answers. Nothing that a caller passes can reach outside an
//! alloc's directory, and a caller that reads slowly holds back nobody but itself.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use rove_model::{
    ids::{AllocId, NodeId},
    node::Node,
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    drivers::{DriverError, Signal},
    files::{self, AllocRoot, FileError, FileInfo},
    logs::{LogError, LogKind},
    shared::{Command, Shared, Which},
    usage::{AllocUsage, HostStats, TaskUsage},
};

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

/// Frames as they come. A read error ends it. Dropping it releases everything it held.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Frame, HandleError>> + Send>>;

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

/// Why the agent could not do what was asked.
#[derive(Debug, Error)]
pub enum HandleError {
    /// This node has no such alloc.
    #[error("Unknown allocation \"{0}\"")]
    UnknownAlloc(AllocId),
    /// The alloc has no such task, in the words of a question about logs.
    #[error("unknown task name \"{0}\"")]
    UnknownTask(String),
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

/// The agent on this node, for others in its process.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    pub(crate) shared: Arc<Shared>,
}

impl AgentHandle {
    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.shared.node_id
    }

    /// The node as it was last fingerprinted.
    #[must_use]
    pub fn node(&self) -> Arc<Node> {
        self.shared.node()
    }

    /// The allocs that this agent knows, ended ones included until they are collected.
    #[must_use]
    pub fn allocs(&self) -> Vec<AllocId> {
        self.shared.alloc_ids()
    }

    /// Whether the agent is in touch with the store: its lease was renewed within its time to live.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.shared.connected()
    }

    /// The entries of a directory of an alloc, by name. `path` counts from the alloc's directory.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub async fn list(&self, alloc: AllocId, path: &str) -> Result<Vec<FileInfo>, HandleError> {
        let path = path.to_owned();
        self.with_root(alloc, move |root| root.list(&path)).await
    }

    /// What is known of one file of an alloc.
    ///
    /// # Errors
    /// See [`HandleError`].
    pub async fn stat(&self, alloc: AllocId, path: &str) -> Result<FileInfo, HandleError> {
        let path = path.to_owned();
        self.with_root(alloc, move |root| root.stat(&path)).await
    }

    /// A file of an alloc, or at most `limit` bytes of it.
    ///
    /// # Errors
    /// When it can't be opened; errors in reading come in the stream.
    pub async fn read(
        &self,
        alloc: AllocId,
        path: &str,
        options: ReadOptions,
        limit: Option<u64>,
    ) -> Result<FrameStream, HandleError> {
        let path = path.to_owned();
        self.with_root(alloc, move |root| {
            files::stream(root, &path, options, limit)
        })
        .await
    }

    /// The log of a task, across its rotated files. With `follow` it goes on until the task is over.
    ///
    /// # Errors
    /// When the alloc or the task is unknown, or the log can't be opened.
    pub async fn logs(
        &self,
        alloc: AllocId,
        task: &str,
        kind: LogKind,
        options: ReadOptions,
    ) -> Result<FrameStream, HandleError> {
        crate::log_stream::open(&self.shared, alloc, task, kind, options).await
    }

    /// What an alloc uses; with `task`, only that one.
    ///
    /// # Errors
    /// When the alloc or the task is unknown.
    pub async fn alloc_stats(
        &self,
        alloc: AllocId,
        task: Option<&str>,
    ) -> Result<AllocUsage, HandleError> {
        let running = self.shared.running_tasks(alloc)?;
        if let Some(task) = task
            && !self
                .shared
                .task_names(alloc)?
                .iter()
                .any(|name| name == task)
        {
            return Err(HandleError::UnknownTask(task.to_owned()));
        }
        let mut tasks = BTreeMap::new();
        for (name, driver, handle) in running {
            if task.is_some_and(|task| task != name) {
                continue;
            }
            match driver.stats(&handle).await {
                Ok(stats) => {
                    tasks.insert(name, TaskUsage::from(&stats));
                }
                Err(DriverError::NotRunning { .. }) => {}
                Err(error) => {
                    tracing::warn!(%alloc, task = name, error = error.full_message(), "can't measure the task");
                }
            }
        }
        Ok(AllocUsage::of_tasks(tasks, self.shared.wall()))
    }

    /// What the host uses.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn host_stats(&self) -> Result<HostStats, HandleError> {
        self.shared.host_stats().await
    }

    /// Restarts a task, or all that run.
    ///
    /// # Errors
    /// When the alloc or the task is unknown, or nothing of it runs.
    pub async fn restart(&self, alloc: AllocId, task: Option<&str>) -> Result<(), HandleError> {
        let which = task.map_or(Which::Running, |task| Which::One(task.to_owned()));
        self.ask(|reply| Command::Restart {
            alloc,
            which,
            reply,
        })
        .await
    }

    /// Restarts all tasks of an alloc that isn't over, those that have ended too.
    ///
    /// # Errors
    /// When the alloc is unknown, or it is over.
    pub async fn restart_all(&self, alloc: AllocId) -> Result<(), HandleError> {
        self.ask(|reply| Command::Restart {
            alloc,
            which: Which::All,
            reply,
        })
        .await
    }

    /// Sends a signal to a task, or to all that run.
    ///
    /// # Errors
    /// When the alloc or the task is unknown, or nothing of it runs.
    pub async fn signal(
        &self,
        alloc: AllocId,
        task: Option<&str>,
        signal: Signal,
    ) -> Result<(), HandleError> {
        let task = task.map(str::to_owned);
        self.ask(|reply| Command::Signal {
            alloc,
            task,
            signal,
            reply,
        })
        .await
    }

    /// Removes the directory of an alloc that is over, or of all such; running ones are left alone.
    ///
    /// # Errors
    /// When the alloc is unknown.
    pub async fn collect_garbage(&self, alloc: Option<AllocId>) -> Result<(), HandleError> {
        self.ask(|reply| Command::CollectGarbage { alloc, reply })
            .await
    }

    async fn with_root<T: Send + 'static>(
        &self,
        alloc: AllocId,
        work: impl FnOnce(&AllocRoot) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, HandleError> {
        let path = self.shared.alloc_path(alloc)?;
        tokio::task::spawn_blocking(move || work(&AllocRoot::open(&path)?))
            .await
            .map_err(|_| HandleError::Closed)?
            .map_err(HandleError::File)
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), HandleError>>) -> Command,
    ) -> Result<(), HandleError> {
        let (reply, answer) = oneshot::channel();
        self.shared
            .commands
            .send(command(reply))
            .await
            .map_err(|_| HandleError::Closed)?;
        answer.await.map_err(|_| HandleError::Closed)?
    }
}
