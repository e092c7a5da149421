//! Ending tasks, and seeing that they have ended: also those whose supervisors were stopped, frozen or killed.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{sys::signal::kill, unistd::Pid};

use super::{NAME, Own, RawExecDriver, STUCK_TICK, is_held, supervisor_of, to_handle};
use crate::{
    drivers::{DriverError, Signal, TaskHandle, TaskRef},
    supervisor::{
        client::Connection,
        spec::{Started, StateDir},
        takeover,
    },
    sys::{
        ProcessId,
        cgroup::{self, TaskCgroup},
        pidfd::Pidfd,
        process, tree,
    },
};

/// How often it is looked whether a task has ended, where the kernel doesn't say so.
const UNSEEN_TICK: Duration = Duration::from_secs(10);
/// A time that no task waits for.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How often orphans are looked for, against those that make others.
const ORPHAN_ROUNDS: u32 = 100;
/// Between two looks.
const ORPHAN_TICK: Duration = Duration::from_millis(5);
/// How much longer than its timeout a stop may take: killed processes have to go away and their output be read.
const STOP_SLACK: Duration = Duration::from_secs(15);

/// The tasks that the agent ends itself at this moment, by state directory, with how many do so. Their supervisors are
/// stopped on purpose and stay so.
#[derive(Clone, Debug, Default)]
pub(super) struct Takeovers(Arc<Mutex<HashMap<PathBuf, usize>>>);

impl Takeovers {
    /// Until what is returned is dropped.
    fn begin(&self, dir: &Path) -> Takeover {
        *self.lock().entry(dir.to_owned()).or_default() += 1;
        Takeover {
            all: self.clone(),
            dir: dir.to_owned(),
        }
    }

    /// Lets a supervisor go on that was stopped or frozen, but not by the agent. True when it was.
    pub(super) fn resume(&self, dir: &Path, supervisor: &ProcessId) -> bool {
        // Held meanwhile: a takeover that begins now stops it afterwards.
        let all = self.lock();
        !all.contains_key(dir) && takeover::resume(supervisor)
    }

    /// Lets one go on that its task stopped before it could say that it runs.
    pub(super) fn resume_holder(&self, state: &StateDir) {
        if let Some(holder) = state.holder() {
            self.resume(state.path(), &holder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Takeover {
    all: Takeovers,
    dir: PathBuf,
}

impl Drop for Takeover {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(running) = all.get_mut(&self.dir) {
            *running -= 1;
            if *running == 0 {
                all.remove(&self.dir);
            }
        }
    }
}

impl RawExecDriver {
    /// Has the supervisor end the task as `line` says, and ends both when it doesn't.
    pub(super) async fn end(
        &self,
        handle: &TaskHandle,
        line: &str,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let (task, state) = self.open(handle)?;
        // So far away that it can't be told is never.
        let deadline = Instant::now().checked_add(timeout);
        let Own { supervisor } = handle.own(NAME)?;
        if !takeover::is_halted(&supervisor) {
            match self.order(handle, line).await {
                Ok(None) => {}
                Ok(Some((mut connection, _))) => {
                    let closed = async {
                        let mut closed = std::pin::pin!(connection.closed());
                        loop {
                            tokio::select! {
                                () = &mut closed => return,
                                () = tokio::time::sleep(STUCK_TICK) => {}
                            }
                            if takeover::is_halted(&supervisor) {
                                return;
                            }
                        }
                    };
                    let limit = timeout.saturating_add(STOP_SLACK);
                    let _ = tokio::time::timeout(limit, closed).await;
                }
                Err(DriverError::Supervisor { .. }) if is_held(task, &state)? => {}
                Err(other) => return Err(other),
            }
        }
        // What was heard at the socket proves nothing: the lock and the records say whether it has ended.
        let Some(started) = self.started(task, &state, handle)? else {
            return Ok(());
        };
        if to_handle(task, &started) != *handle || !is_held(task, &state)? {
            return Ok(());
        }
        // About to end by itself.
        let is_recorded = state.exit().is_ok_and(|exit| exit.is_some());
        if is_recorded
            && !takeover::is_halted(&supervisor)
            && self.settle(task, &state).await.is_ok()
        {
            return Ok(());
        }
        tracing::warn!(
            alloc = %task.alloc_id,
            task = task.task,
            supervisor = started.supervisor.pid,
            "the supervisor of the task does not answer: the agent ends the task itself"
        );
        let signal = signal.and_then(|signal| signal.number().try_into().ok());
        let deadline = deadline.unwrap_or_else(|| Instant::now() + FOREVER);
        let running = self.takeovers.begin(state.path());
        tokio::task::spawn_blocking(move || {
            let _running = running;
            takeover::end_task(&state, &started, signal, deadline)
        })
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| supervisor_of(task, "does not answer, and it could not be ended", source))
    }

    /// Waits until the supervisor closes the connection. One that can't, as it is stopped or frozen when its task has
    /// ended, is let go on.
    pub(super) async fn closed_or_stuck(
        &self,
        task: &TaskRef,
        state: &StateDir,
        handle: &TaskHandle,
        connection: &mut Connection,
    ) -> Result<(), DriverError> {
        let started = self.started(task, state, handle)?;
        let mut closed = std::pin::pin!(connection.closed());
        let Some(started) = started else {
            closed.await;
            return Ok(());
        };
        tokio::select! {
            () = &mut closed => return Ok(()),
            () = first_process_ended(&started) => {}
        }
        loop {
            tokio::select! {
                () = &mut closed => return Ok(()),
                () = tokio::time::sleep(STUCK_TICK) => {}
            }
            self.resume_if_ended(task, state, &started);
        }
    }

    /// Lets a supervisor that can do nothing while its task has ended go on, so that it can say how.
    pub(super) fn resume_if_ended(&self, task: &TaskRef, state: &StateDir, started: &Started) {
        if !tree::is_living(started.task_pid)
            && self.takeovers.resume(state.path(), &started.supervisor)
        {
            tracing::warn!(
                alloc = %task.alloc_id,
                task = task.task,
                "the supervisor of the task was stopped or frozen, and goes on"
            );
        }
    }
}

/// Waits until the task's first process has ended, reaped or not.
async fn first_process_ended(started: &Started) {
    let held = Pidfd::open(started.task_pid);
    // Its number is another's unless it is the supervisor's child: nobody else reaps it.
    let is_child =
        || process::stat(started.task_pid).is_ok_and(|stat| stat.parent == started.supervisor.pid);
    if let Ok(held) = held
        && is_child()
        && held.ended().await.is_ok()
    {
        return;
    }
    while is_child() && tree::is_living(started.task_pid) {
        tokio::time::sleep(UNSEEN_TICK).await;
    }
}

/// Kills what a supervisor that was killed left behind: what is in its control groups, and what was started with the
/// task's own variables and is nobody's child any more.
pub(super) async fn kill_orphans(task: &TaskRef, groups: Vec<TaskCgroup>) {
    let (alloc, name) = (task.alloc_id.to_string(), task.task.clone());
    let killed = tokio::task::spawn_blocking(move || {
        let variables = [
            ("NOMAD_ALLOC_ID", alloc.as_str()),
            ("NOMAD_TASK_NAME", name.as_str()),
        ];
        for round in 0..ORPHAN_ROUNDS {
            let orphans = tree::with_environment(&variables);
            if orphans.is_empty() {
                break;
            }
            for pid in orphans {
                let _ = kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
                if round > 0 {
                    cgroup::release(pid);
                }
            }
            std::thread::sleep(ORPHAN_TICK);
        }
        groups.iter().try_for_each(|group| {
            group.kill()?;
            group.remove()
        })
    });
    if let Ok(Err(error)) = killed.await {
        tracing::warn!(%error, task = task.task, "what the task left behind could not be killed");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_supervisor_that_the_agent_stopped_stays_so_until_the_last_takeover_has_ended() {
        use nix::sys::signal::Signal;

        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = ProcessId::of(pid).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        while !takeover::is_halted(&process) {
            std::thread::yield_now();
        }
        let (all, dir) = (Takeovers::default(), Path::new("/state"));
        let (one, other) = (all.begin(dir), all.begin(dir));
        assert!(!all.resume(dir, &process));
        drop(one);
        assert!(!all.resume(dir, &process));
        assert!(takeover::is_halted(&process));
        drop(other);
        assert!(all.resume(dir, &process));
        assert!(all.lock().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
