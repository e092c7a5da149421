//! What the rest of a process asks of the agent on this node: files, logs and resource use of its allocs.
//!
//! A handle is cheap to clone and holds no lock while it answers. Nothing that a caller passes can reach outside an
//! alloc's directory, and a caller that reads slowly holds back nobody but itself.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;
use rove_model::{
    ids::{AllocId, NodeId},
    node::Node,
};
use tokio::sync::oneshot;

use crate::{
    drivers::{DriverError, Signal},
    files::{self, AllocRoot, FileError, FileInfo},
    logs::LogKind,
    shared::{Command, Shared, Which},
    usage::{AllocUsage, HostStats, TaskUsage},
};
pub use crate::{
    frames::{Frame, Origin, ReadOptions},
    handle_error::HandleError,
    log_stream::FrameStream,
};

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
        let frames = self
            .with_root(alloc, move |root| {
                files::stream(root, &path, options, limit)
            })
            .await?;
        Ok(Box::pin(
            frames.map(|frame| frame.map_err(HandleError::File)),
        ))
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
