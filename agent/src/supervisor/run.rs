//! The supervisor itself: one thread, one poll loop.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixListener},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill, killpg},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, setsid},
};

use super::{
    LaunchProblem, Outcome,
    control::{Answer, Control, Order},
    output::{CHUNK, Output},
    spec::{CONTROL, Spec, Started, StateDir},
};
use crate::{
    drivers::ExitResult,
    logs::LogKind,
    sys::{
        ProcessId,
        cgroup::{self, TaskCgroup},
        fork, tree, unix_now,
    },
};

/// How long what a task left behind may keep its pipes open once it was killed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How often it is killed again meanwhile.
const DRAIN_TICK: Duration = Duration::from_millis(5);
/// After so many kills in vain something holds the processes: a frozen control group that they put themselves in.
const PATIENT_KILLS: u32 = 20;
/// How often an exit that could not be recorded (the disk is full) is tried again.
const RECORD_TICK: Duration = Duration::from_secs(1);

/// Runs the task in `dir` to its end. `report` is called once, as soon as the task runs or can't.
pub(super) fn supervise(dir: &Path, report: impl FnOnce(Outcome)) -> io::Result<()> {
    // Already a leader where a shell started it.
    let _ = setsid();
    let state = StateDir::new(dir);
    let Some(lock) = state.lock_in_time()? else {
        report(failed("lock the state directory", &"it is in use"));
        return Ok(());
    };
    let spec = match state.claim::<Spec>() {
        Ok(spec) => spec,
        Err(error) => {
            report(failed("claim the task", &error));
            return Ok(());
        }
    };
    let mut run = match Run::start(state.clone(), &spec) {
        Ok(run) => run,
        Err(problem) => {
            // Nothing runs and nothing is recorded: as if it had never been asked for.
            let _ = state.clear();
            drop(lock);
            report(Outcome::Failed(problem));
            return Ok(());
        }
    };
    report(Outcome::Started(run.started.clone()));
    drop(spec);
    run.watch()?;
    if let Some(group) = &run.started.cgroup {
        let _ = group.remove();
    }
    // Before the connections close, so that who waited for that may use the directory.
    drop(lock);
    Ok(())
}

fn failed(step: &str, reason: &dyn std::fmt::Display) -> Outcome {
    Outcome::Failed(setup(step, reason))
}

fn setup(step: &str, reason: &dyn std::fmt::Display) -> LaunchProblem {
    LaunchProblem::Setup {
        step: step.to_owned(),
        reason: reason.to_string(),
    }
}

struct Run {
    state: StateDir,
    started: Started,
    child: Pid,
    signals: SignalFd,
    control: Control,
    outputs: [Output; 2],
    /// When everything is killed.
    deadline: Option<Instant>,
    /// The first process has ended, like this, then.
    ended: Option<(ExitResult, Instant)>,
    /// How often everything was killed.
    kills: u32,
    /// Nothing of the task is left but its exit to be recorded.
    drained: bool,
}

impl Run {
    fn start(state: StateDir, spec: &Spec) -> Result<Self, LaunchProblem> {
        let step = |step: &'static str| move |error: io::Error| setup(step, &error);
        fork::block_signals().map_err(step("block signals"))?;
        let signals = SignalFd::with_flags(
            &SigSet::all(),
            SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
        )
        .map_err(|errno| setup("watch signals", &errno))?;
        // What the task leaves behind becomes ours, so that it can be found.
        prctl::set_child_subreaper(true).map_err(|errno| setup("adopt orphans", &errno))?;
        let control = listen(&state).map_err(step("open the control socket"))?;
        state
            .reserve_exit()
            .map_err(step("reserve room on the disk for the exit"))?;
        let cgroup = TaskCgroup::create(&spec.cgroup);
        let started_or = Self::spawn(spec, cgroup.as_ref());
        let (mut child, outputs) = match started_or {
            Ok(started) => started,
            Err(problem) => {
                if let Some(group) = &cgroup {
                    let _ = group.remove();
                }
                return Err(problem);
            }
        };
        let task_pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let recorded = ProcessId::current().and_then(|supervisor| {
            let started = Started {
                supervisor,
                task_pid,
                started_at: unix_now(),
                cgroup: cgroup.clone(),
            };
            state.record_started(&started)?;
            Ok(started)
        });
        match recorded {
            Ok(started) => Ok(Self {
                state,
                started,
                child: Pid::from_raw(task_pid),
                signals,
                control,
                outputs,
                deadline: None,
                ended: None,
                kills: 0,
                drained: false,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                if let Some(group) = &cgroup {
                    let _ = group.kill();
                    let _ = group.remove();
                }
                Err(setup("record the start", &error))
            }
        }
    }

    fn spawn(
        spec: &Spec,
        cgroup: Option<&TaskCgroup>,
    ) -> Result<(std::process::Child, [Output; 2]), LaunchProblem> {
        use std::os::unix::process::CommandExt;

        let groups = cgroup
            .map(TaskCgroup::procs_file)
            .transpose()
            .map_err(|error| setup("open the control group", &error))?;
        // Before the start: a task whose output can't be kept isn't started.
        let stream = |kind| {
            let Some(limits) = spec.logs else {
                return Ok((Output::nothing(), Stdio::null()));
            };
            let (read, write) = io::pipe().map_err(|error| setup("make a pipe", &error))?;
            let output = Output::open(read.into(), kind, spec, limits)
                .map_err(|error| setup("open the log", &error))?;
            Ok::<_, LaunchProblem>((output, write.into()))
        };
        let (stdout, stdout_write) = stream(LogKind::Stdout)?;
        let (stderr, stderr_write) = stream(LogKind::Stderr)?;
        let mut command = Command::new(&spec.program);
        command
            .arg0(&spec.called)
            .args(&spec.args)
            .env_clear()
            .envs(&spec.env)
            .current_dir(&spec.work_dir)
            .stdin(Stdio::null())
            .stdout(stdout_write)
            .stderr(stderr_write);
        let child = fork::spawn_task(
            &mut command,
            groups.into_iter().collect(),
            spec.identity.clone(),
        )
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if !spec.work_dir.is_dir() => setup(
                "enter the working directory",
                &spec.work_dir.display().to_string(),
            ),
            io::ErrorKind::NotFound => LaunchProblem::NotFound {
                command: spec.program.display().to_string(),
            },
            io::ErrorKind::PermissionDenied => LaunchProblem::NotExecutable {
                command: spec.program.display().to_string(),
                reason: error.to_string(),
            },
            _ => setup("start the command", &error),
        })?;
        Ok((child, [stdout, stderr]))
    }

    /// Serves the task until its end is recorded.
    fn watch(&mut self) -> io::Result<()> {
        // Above the allocator's limit for memory of its own: pages that no chunk reached are never there.
        let mut buffer = vec![0_u8; CHUNK * 4];
        loop {
            self.wait_for_something()?;
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.reap();
            self.serve_control();
            for output in &mut self.outputs {
                output.pump(&mut buffer[..CHUNK]);
            }
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                self.kill_all();
            }
            if let Some((exit, since)) = self.ended.clone() {
                if !self.drained {
                    let empty = self.leftovers().is_empty();
                    let read = self.outputs.iter().all(|output| output.fd().is_none());
                    self.drained = empty && read || since.elapsed() > DRAIN_LIMIT;
                    if !empty {
                        self.kill_all();
                    }
                }
                if self.drained && self.record(&exit) {
                    return Ok(());
                }
            }
        }
    }

    /// Whether the exit is recorded, or nobody is left who could read it: the state directory was removed.
    fn record(&self, exit: &ExitResult) -> bool {
        match self.state.record_exit(exit) {
            Ok(()) => {
                let _ = std::fs::remove_file(self.state.file(CONTROL));
                true
            }
            Err(error) => error.kind() == io::ErrorKind::NotFound && !self.state.path().exists(),
        }
    }

    fn wait_for_something(&self) -> io::Result<()> {
        let timeout = match (&self.ended, self.deadline) {
            (Some(_), _) if self.drained => Some(RECORD_TICK),
            (Some(_), _) => Some(DRAIN_TICK),
            (None, Some(deadline)) => Some(
                deadline
                    .saturating_duration_since(Instant::now())
                    // Killed already, and the kernel holds it.
                    .max(DRAIN_TICK),
            ),
            (None, None) => None,
        };
        let timeout = timeout.map_or(PollTimeout::NONE, |time| {
            // Rounded up: woken early it would turn in circles.
            PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut fds: Vec<PollFd<'_>> = std::iter::once(self.signals.as_fd())
            .chain(self.outputs.iter().filter_map(Output::fd))
            .chain(self.control.fds())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the exits of all children: the task's, and those of orphans.
    fn reap(&mut self) {
        loop {
            let exit = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.child => ExitResult {
                    exit_code: code,
                    ..ExitResult::default()
                },
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.child => ExitResult {
                    exit_code: 128 + signal as i32,
                    signal: signal as i32,
                    ..ExitResult::default()
                },
                Err(Errno::EINTR) => continue,
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            self.ended = Some((exit, Instant::now()));
            self.kill_all();
        }
    }

    fn serve_control(&mut self) {
        let (child, ended) = (self.child, self.ended.is_some());
        let mut deadline = self.deadline;
        let send = |signal: Signal| match kill(child, signal) {
            Ok(()) => Answer::Ok,
            Err(_) => Answer::Bad,
        };
        self.control.serve(|order| {
            if ended {
                return Answer::Ended;
            }
            match order {
                Order::Signal(signal) => send(signal),
                Order::Stop(signal, timeout) => {
                    // So far away that it can't be told is never.
                    let at = Instant::now().checked_add(timeout);
                    deadline = match (deadline, at) {
                        (Some(before), Some(at)) => Some(before.min(at)),
                        (before, at) => before.or(at),
                    };
                    send(signal)
                }
                Order::Kill => {
                    deadline = Some(Instant::now());
                    Answer::Ok
                }
                Order::Wait => Answer::Ok,
            }
        });
        self.deadline = deadline;
    }

    /// Sends SIGKILL to everything that belongs to the task: its child, all that descend from it, wherever they went,
    /// and all that are in its control group, wherever they came from.
    fn kill_all(&mut self) {
        // The child is not reaped yet: its number is not used again.
        if self.ended.is_none() {
            let _ = killpg(self.child, Signal::SIGKILL);
        }
        tree::kill_descendants(self.started.supervisor.pid);
        if let Some(group) = &self.started.cgroup {
            group.leave();
            group.kill_once();
        }
        self.kills = self.kills.saturating_add(1);
        if self.kills > PATIENT_KILLS {
            for pid in self.leftovers() {
                cgroup::release(pid);
            }
        }
    }

    /// What belongs to the task and lives.
    fn leftovers(&self) -> Vec<i32> {
        let me = self.started.supervisor.pid;
        let look = || {
            let mut pids = tree::descendants(me);
            let group = self.started.cgroup.iter().flat_map(TaskCgroup::pids);
            pids.extend(group.filter(|pid| *pid != me && tree::is_living(*pid)));
            pids
        };
        let found = look();
        // One whose parent ended between two looks of the same walk shows in the next.
        if found.is_empty() { look() } else { found }
    }
}

fn listen(state: &StateDir) -> io::Result<Control> {
    let path = state.file(CONTROL);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A socket's address holds 107 bytes, and a state directory's path may be longer.
    let dir = std::fs::File::open(state.path())?;
    Control::new(UnixListener::bind(super::client::short_path(
        &dir, CONTROL,
    ))?)
}
