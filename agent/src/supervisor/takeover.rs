//! Ending a task whose supervisor does not answer: stopped by a signal or frozen in a control group (its task may do
//! that), or held by something.
//!
//! The agent does then what the supervisor would have done, over the same processes and the same records, and ends the
//! supervisor. This blocks: call it where that is allowed.

use std::{
    io,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::WaitStatus,
    },
    unistd::Pid,
};

use super::spec::{CONTROL, Started, StateDir};
use crate::{
    drivers::ExitResult,
    sys::{
        ProcessId,
        cgroup::{self, TaskCgroup},
        process, tree,
    },
};

/// How often it is looked whether the task has ended.
const TICK: Duration = Duration::from_millis(10);
/// How long killed processes may take to go away; longer only when the kernel holds them.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// After so many kills in vain a frozen control group is looked for.
const PATIENT_KILLS: u32 = 20;

/// What is told of the exit.
pub const MESSAGE: &str = "the supervisor of the task did not answer, so the agent ended the task and all that it started";

/// Sends `signal` to the task, kills all of it when it hasn't ended at `deadline`, ends the supervisor, and records the
/// exit. Called again after it was broken off, it goes on.
///
/// # Errors
/// Something of it is still there, or the exit can't be recorded.
pub fn end_task(
    state: &StateDir,
    started: &Started,
    signal: Option<Signal>,
    deadline: Instant,
) -> io::Result<()> {
    let supervisor = &started.supervisor;
    // From here on nobody reaps: no number of what descends from it is used again.
    signal_exactly(supervisor, Signal::SIGSTOP);
    // Frozen, it might not end when it is killed; now it stops when it is thawed.
    if supervisor.is_alive() {
        cgroup::release(supervisor.pid);
    }
    let child = Pid::from_raw(started.task_pid);
    if let Some(signal) = signal
        && is_child(started)
    {
        // It may have ended just now.
        let _ = kill(child, signal);
        while is_child(started)
            && tree::is_living(started.task_pid)
            && Instant::now() < deadline
            && state.is_supervised()?
        {
            std::thread::sleep(TICK);
        }
    }
    let ended = exit_of_zombie(started);
    kill_all(started)?;
    signal_exactly(supervisor, Signal::SIGKILL);
    let limit = Instant::now() + KILL_LIMIT;
    while state.is_supervised()? {
        if Instant::now() > limit {
            return Err(io::Error::other("the supervisor can't be killed"));
        }
        std::thread::sleep(TICK);
    }
    if state.exit()?.is_none() {
        let exit = ended.or_else(|| exit_of_zombie(started));
        state.record_exit(&ExitResult {
            err: Some(MESSAGE.to_owned()),
            ..exit.unwrap_or(ExitResult {
                exit_code: 128 + Signal::SIGKILL as i32,
                signal: Signal::SIGKILL as i32,
                ..ExitResult::default()
            })
        })?;
    }
    let _ = std::fs::remove_file(state.file(CONTROL));
    if let Some(group) = &started.cgroup {
        let _ = group.remove();
    }
    Ok(())
}

fn kill_all(started: &Started) -> io::Result<()> {
    let supervisor = &started.supervisor;
    let limit = Instant::now() + KILL_LIMIT;
    let mut kills = 0_u32;
    loop {
        // A supervisor that is gone has no descendants: what it left is in the group.
        let mut left = match supervisor.stat() {
            Some(_) => tree::descendants(supervisor.pid),
            None => Vec::new(),
        };
        let in_group = started.cgroup.iter().flat_map(TaskCgroup::pids);
        left.extend(in_group.filter(|pid| *pid != supervisor.pid && tree::is_living(*pid)));
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(io::Error::other(format!(
                "killed processes do not end: {left:?}"
            )));
        }
        if supervisor.stat().is_some() {
            tree::kill_descendants(supervisor.pid);
        }
        if let Some(group) = &started.cgroup {
            group.kill_once();
        }
        kills += 1;
        if kills > PATIENT_KILLS {
            for pid in left {
                cgroup::release(pid);
            }
        }
        std::thread::sleep(TICK);
    }
}

/// Whether the number of the task's first process is still that process: nobody but its supervisor reaps it.
fn is_child(started: &Started) -> bool {
    started.supervisor.is_alive()
        && process::stat(started.task_pid).is_ok_and(|stat| stat.parent == started.supervisor.pid)
}

/// How the first process ended, if it did and nobody has reaped it.
fn exit_of_zombie(started: &Started) -> Option<ExitResult> {
    if !is_child(started) {
        return None;
    }
    let stat = process::stat(started.task_pid).ok()?;
    let status = stat.exit_status.filter(|_| stat.is_dead())?;
    match WaitStatus::from_raw(Pid::from_raw(started.task_pid), status).ok()? {
        WaitStatus::Exited(_, code) => Some(ExitResult {
            exit_code: code,
            ..ExitResult::default()
        }),
        WaitStatus::Signaled(_, signal, _) => Some(ExitResult {
            exit_code: 128 + signal as i32,
            signal: signal as i32,
            ..ExitResult::default()
        }),
        _ => None,
    }
}

fn signal_exactly(process: &ProcessId, signal: Signal) {
    if process.is_alive() {
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

/// Lets a supervisor go on that was stopped by a signal or frozen. True when it was.
pub fn resume(supervisor: &ProcessId) -> bool {
    let Some(stat) = supervisor.stat() else {
        return false;
    };
    let was_frozen = cgroup::release(supervisor.pid);
    if stat.is_stopped() {
        signal_exactly(supervisor, Signal::SIGCONT);
    }
    was_frozen || stat.is_stopped()
}

/// Whether a supervisor can do nothing: stopped by a signal or a debugger, or frozen.
#[must_use]
pub fn is_halted(supervisor: &ProcessId) -> bool {
    supervisor
        .stat()
        .is_some_and(|stat| stat.is_stopped() || cgroup::is_frozen(supervisor.pid))
}
