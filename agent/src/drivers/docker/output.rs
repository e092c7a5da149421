//! Keeping the output of containers: by processes that outlive the agent, one each, which are started again when they
//! are gone before the container is.

use std::time::{Duration, Instant};

use super::{DockerDriver, file, open};
use crate::{
    drivers::{DriverError, TaskConfig, TaskHandle, TaskRef},
    supervisor::{
        Outcome,
        client::Work,
        container_log::{ContainerLog, last_written},
        spec::StateDir,
    },
};

/// How long the last lines of a container may take from the engine to the disk.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const DRAIN_TICK: Duration = Duration::from_millis(2);
/// How often it is looked whether the output of a container that runs is still kept. The engine holds what was printed
/// meanwhile, up to the limit of its own log.
const KEEP_CHECK: Duration = Duration::from_secs(2);

/// The file in the state directory that says whose output goes where.
const LOG: &str = "log.json";

impl DockerDriver {
    /// Has the output of a container kept, by a process that outlives this one. One that lives is left alone.
    pub(super) async fn keep_output(
        &self,
        task: &TaskRef,
        log: &ContainerLog,
    ) -> Result<(), DriverError> {
        let state = StateDir::new(task.dir());
        std::fs::create_dir_all(task.dir()).map_err(|source| file("create", task, source))?;
        if is_kept(task, &state)? {
            return Ok(());
        }
        // None is on its way from here on.
        state
            .clear()
            .map_err(|source| file("clear", task, source))?;
        state
            .write(LOG, log, false)
            .map_err(|source| file("write", task, source))?;
        state
            .offer(log)
            .map_err(|source| file("write", task, source))?;
        match self.launcher.launch(Work::ContainerLog, task.dir()).await {
            Ok(Outcome::Started(_)) => Ok(()),
            Ok(Outcome::Failed(problem)) => Err(DriverError::Launch { problem }),
            Err(source) => Err(DriverError::Supervisor {
                task: task.task.clone(),
                problem: "could not be launched",
                source: Some(source),
            }),
        }
    }

    /// Has the output of a container that runs kept from where its files leave off, if no process keeps it.
    pub(super) async fn go_on_keeping(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let (task, _) = open(handle)?;
        let state = StateDir::new(task.dir());
        if is_kept(task, &state)? {
            return Ok(());
        }
        match state
            .read::<ContainerLog>(LOG)
            .map_err(|source| file("read", task, source))?
        {
            Some(mut log) => {
                let since = last_written(&log.log_dir, &task.task);
                log.since = Some(since.unwrap_or_else(|| handle.started_at()));
                self.keep_output(task, &log).await
            }
            // Its job switches logs off.
            None => Ok(()),
        }
    }

    /// Waits until the engine says that the container has ended, and meanwhile sees to it that its output is kept: who
    /// does that may be killed, or give up on an engine that is away for long.
    pub(super) async fn ended_and_kept(
        &self,
        handle: &TaskHandle,
        id: &str,
    ) -> Result<(), DriverError> {
        let mut ended = std::pin::pin!(self.ended(id));
        let mut said = false;
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                () = tokio::time::sleep(KEEP_CHECK) => {}
            }
            let kept = async {
                let (task, _) = open(handle)?;
                // It ends with the container, which may just have ended.
                if !is_kept(task, &StateDir::new(task.dir()))?
                    && self.inspect(id).await?.is_some_and(|found| found.running)
                {
                    self.go_on_keeping(handle).await?;
                }
                Ok::<_, DriverError>(())
            };
            match kept.await {
                Ok(()) => said = false,
                // Once, as it is tried again and again.
                Err(error) if !std::mem::replace(&mut said, true) => warn_not_kept(id, &error),
                Err(_) => {}
            }
        }
    }

    /// Waits until the output of a container that has ended is on disk.
    pub(super) async fn drain(&self, task: &TaskRef) -> Result<(), DriverError> {
        let state = StateDir::new(task.dir());
        let deadline = Instant::now() + DRAIN_LIMIT;
        while is_kept(task, &state)? && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_TICK).await;
        }
        Ok(())
    }

    /// Where the output goes; None when the job switches logs off.
    pub(super) fn log_of(&self, task: &TaskConfig, id: &str, tty: bool) -> Option<ContainerLog> {
        Some(ContainerLog {
            endpoint: self.engine.endpoint().to_owned(),
            container: id.to_owned(),
            tty,
            task: task.task.task.clone(),
            log_dir: task.log_dir.clone(),
            logs: task.logs?,
            since: None,
        })
    }
}

pub(super) fn warn_not_kept(id: &str, error: &DriverError) {
    tracing::warn!(
        id,
        error = error.full_message(),
        "the container's output is not kept at present"
    );
}

/// Whether a process keeps the output of the task's container.
fn is_kept(task: &TaskRef, state: &StateDir) -> Result<bool, DriverError> {
    state
        .is_supervised()
        .map_err(|source| file("lock", task, source))
}
