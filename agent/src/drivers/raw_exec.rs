//! Plain processes on the host, without isolation, each under a supervisor that outlives the agent.
//!
//! Nothing here knows a process by its number: the supervisor's lock says whether it lives, its socket takes orders,
//! its files say what was and how it ended. Limits are not enforced, as in Nomad.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use nix::{
    sys::signal::kill,
    unistd::{AccessFlags, Pid, User, access, getgrouplist},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Driver, DriverError, ExitResult, Fingerprint, Host, OptionError, ProgressSender, Recovered,
    Signal, TaskConfig, TaskHandle, TaskRef, TaskStats,
    config::{ConfigProblem, Reader},
    options::Options,
    usage::Sampler,
};
use crate::{
    supervisor::{
        LaunchProblem, Launcher, Outcome, Program,
        client::{Answer, Connection, Work},
        spec::{Spec, Started, StateDir, is_damaged},
        takeover,
    },
    sys::{ProcessId, boot_id, cgroup::TaskCgroup, fork::Identity, tree},
};

/// The name that job files use.
pub const NAME: &str = "raw_exec";

/// What ends a task politely when its job doesn't say.
const DEFAULT_SIGNAL: Signal = Signal::INT;
/// How long a supervisor may take from its claim to its first record, and from its last record to its end.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const SETTLE_TICK: Duration = Duration::from_millis(2);
/// How often it is looked whether a supervisor that has to do something was stopped by a signal.
const STUCK_TICK: Duration = Duration::from_secs(1);
/// How often it is looked whether a task has ended unseen, as its supervisor was stopped by a signal.
const UNSEEN_TICK: Duration = Duration::from_secs(10);
/// A time that no task waits for.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How often orphans are looked for, against those that make others.
const ORPHAN_ROUNDS: u32 = 16;
/// How much longer than its timeout a stop may take: killed processes have to go away and their output be read.
const STOP_SLACK: Duration = Duration::from_secs(15);

/// How raw_exec is set up on a node.
#[derive(Clone, Debug)]
pub struct RawExecOptions {
    /// Whether the operator allows it.
    pub enabled: bool,
    /// How a supervisor is called.
    pub program: Program,
    /// The speed of one core, in MHz.
    pub core_mhz: f64,
}

/// The driver.
pub struct RawExecDriver {
    options: RawExecOptions,
    launcher: Launcher,
    samplers: Mutex<HashMap<PathBuf, Sampler>>,
    takeovers: Takeovers,
}

/// The tasks that the agent ends itself at this moment, by state directory, with how many do so. Their supervisors are
/// stopped on purpose and stay so.
#[derive(Clone, Debug, Default)]
struct Takeovers(Arc<Mutex<HashMap<PathBuf, usize>>>);

impl Takeovers {
    /// Until what is returned is dropped.
    fn begin(&self, dir: &Path) -> Takeover {
        *self.lock().entry(dir.to_owned()).or_default() += 1;
        Takeover {
            all: self.clone(),
            dir: dir.to_owned(),
        }
    }

    /// Lets a supervisor go on that was stopped by a signal, but not by the agent. True when it was.
    fn resume(&self, dir: &Path, supervisor: &ProcessId) -> bool {
        // Held meanwhile: a takeover that begins now stops it afterwards.
        let all = self.lock();
        !all.contains_key(dir) && takeover::resume(supervisor)
    }

    /// Lets one go on that its task stopped before it could say that it runs.
    fn resume_holder(&self, state: &StateDir) {
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
    /// The driver as set up.
    #[must_use]
    pub fn new(options: RawExecOptions) -> Self {
        Self {
            launcher: Launcher::new(options.program.clone()),
            options,
            samplers: Mutex::default(),
            takeovers: Takeovers::default(),
        }
    }

    fn spec(&self, config: &TaskConfig) -> Result<Spec, DriverError> {
        let (command, args) = read_config(&config.config)?;
        let program = find_program(&command, &config.task_dir)?;
        Ok(Spec {
            task: config.task.task.clone(),
            called: command,
            program,
            args,
            env: config.env.clone(),
            work_dir: config.task_dir.clone(),
            identity: config.user.as_deref().map(identity).transpose()?,
            cgroup: format!(
                "{}.{}.scope",
                config.task.alloc_id,
                escape(&config.task.task)
            ),
            log_dir: config.log_dir.clone(),
            logs: config.logs,
        })
    }

    /// Sends a line to the task's supervisor. None when nobody was reached, which a task can bring about that runs as the
    /// agent's user.
    async fn order(
        &self,
        handle: &TaskHandle,
        line: &str,
    ) -> Result<Option<(Connection, Answer)>, DriverError> {
        let (task, state) = self.open(handle)?;
        if !self.is_current(task, &state, handle)? {
            return Ok(None);
        }
        let Own {
            supervisor: process,
        } = handle.own(NAME)?;
        self.takeovers.resume(state.path(), &process);
        let Some(mut connection) = connect(task, &state).await? else {
            return Ok(None);
        };
        let answer = connection
            .order(line)
            .await
            .map_err(|source| supervisor(task, "did not answer", Some(source)))?;
        Ok(Some((connection, answer)))
    }

    fn open<'a>(&self, handle: &'a TaskHandle) -> Result<(&'a TaskRef, StateDir), DriverError> {
        handle.own::<Own>(NAME)?;
        let task = handle.task();
        Ok((task, StateDir::new(task.dir())))
    }

    /// Whether the state directory is still about this very start of the task.
    fn is_current(
        &self,
        task: &TaskRef,
        state: &StateDir,
        handle: &TaskHandle,
    ) -> Result<bool, DriverError> {
        let started = self.started(task, state, handle)?;
        Ok(started.is_some_and(|started| to_handle(task, &started) == *handle))
    }

    /// Who runs the task. A record that can't be understood is none, when there can be nobody: the host was rebooted
    /// since `handle`, or no supervisor holds the lock.
    fn started(
        &self,
        task: &TaskRef,
        state: &StateDir,
        handle: &TaskHandle,
    ) -> Result<Option<Started>, DriverError> {
        unless_damaged(task, state.started(), || {
            Ok(is_of_former_boot(handle)? || !is_held(task, state)?)
        })
    }

    /// How it ended, if it has. A supervisor that was killed before it could record the exit leaves that to us: its
    /// task died with it, and what that left behind is killed here.
    async fn exit(
        &self,
        task: &TaskRef,
        state: &StateDir,
    ) -> Result<Option<ExitResult>, DriverError> {
        let supervised = is_held(task, state)?;
        // In this order: the exit is recorded before the lock is free.
        let exit = unless_damaged(task, state.exit(), || Ok(!supervised))?;
        if exit.is_some() || supervised {
            return Ok(exit);
        }
        let group = state
            .started()
            .map_err(|source| file("read", task, source))?
            .and_then(|started| started.cgroup);
        kill_orphans(task, group.into_iter().collect()).await;
        let exit = ExitResult {
            exit_code: 128 + Signal::KILL.number(),
            signal: Signal::KILL.number(),
            oom_killed: false,
            err: Some("the supervisor of the task was killed".to_owned()),
        };
        // Without a record the next one who asks comes to the same answer.
        if let Err(error) = state.record_exit(&exit) {
            tracing::warn!(%error, task = task.task, "the exit of the task can't be recorded");
        }
        Ok(Some(exit))
    }

    /// Has the supervisor end the task as `line` says, and ends both when it doesn't.
    async fn end(
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
        if !takeover::is_stopped(&supervisor) {
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
                            if takeover::is_stopped(&supervisor) {
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
            && !takeover::is_stopped(&supervisor)
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

    /// Waits until the supervisor closes the connection.
    async fn closed_or_stuck(
        &self,
        task: &TaskRef,
        state: &StateDir,
        handle: &TaskHandle,
        connection: &mut Connection,
    ) -> Result<(), DriverError> {
        let started = self.started(task, state, handle)?;
        let mut closed = std::pin::pin!(connection.closed());
        loop {
            tokio::select! {
                () = &mut closed => return Ok(()),
                () = tokio::time::sleep(UNSEEN_TICK) => {}
            }
            if let Some(started) = &started {
                self.resume_if_ended(task, state, started);
            }
        }
    }

    /// Lets a supervisor that is stopped by a signal while its task has ended go on, so that it can say how.
    fn resume_if_ended(&self, task: &TaskRef, state: &StateDir, started: &Started) {
        if !tree::is_living(started.task_pid)
            && self.takeovers.resume(state.path(), &started.supervisor)
        {
            tracing::warn!(
                alloc = %task.alloc_id,
                task = task.task,
                "the supervisor of the task was stopped by a signal, and goes on"
            );
        }
    }

    /// Waits until the supervisor's lock is free.
    async fn settle(&self, task: &TaskRef, state: &StateDir) -> Result<(), DriverError> {
        let deadline = Instant::now() + SETTLE_LIMIT;
        while is_held(task, state)? {
            if Instant::now() > deadline {
                return Err(supervisor(task, "does not end", None));
            }
            tokio::time::sleep(SETTLE_TICK).await;
        }
        Ok(())
    }

    fn forget(&self, task: &TaskRef) {
        self.samplers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task.dir());
    }
}

/// The driver as its `plugin` block says.
///
/// # Errors
/// What is wrong with the block.
pub fn open_as_configured(
    config: &Map<String, Value>,
    host: &Host,
) -> Result<Arc<dyn Driver>, OptionError> {
    let given = Options::new(NAME, config, &["enabled"])?;
    Ok(Arc::new(RawExecDriver::new(RawExecOptions {
        enabled: given.boolean("enabled")?.unwrap_or(false),
        program: host.program.clone(),
        core_mhz: host.core_mhz,
    })))
}

impl fmt::Debug for RawExecDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawExecDriver")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for RawExecDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn fingerprint(&self) -> Fingerprint {
        if self.options.enabled {
            Fingerprint {
                detected: true,
                healthy: true,
                description: "Healthy".to_owned(),
                attributes: [("driver.raw_exec".to_owned(), "true".to_owned())].into(),
            }
        } else {
            Fingerprint {
                description: "disabled".to_owned(),
                ..Fingerprint::default()
            }
        }
    }

    fn validate_config(&self, config: &Map<String, Value>) -> Result<(), DriverError> {
        read_config(config).map(|_| ())
    }

    async fn start(
        &self,
        config: &TaskConfig,
        _progress: &ProgressSender,
    ) -> Result<TaskHandle, DriverError> {
        if !self.options.enabled {
            return Err(DriverError::Disabled { driver: NAME });
        }
        let task = &config.task;
        if let Some(handle) = self.find(task).await? {
            return Err(DriverError::AlreadyStarted {
                task: task.task.clone(),
                handle: Box::new(handle),
            });
        }
        let spec = self.spec(config)?;
        let state = StateDir::new(task.dir());
        std::fs::create_dir_all(task.dir()).map_err(|source| file("create", task, source))?;
        state
            .clear()
            .map_err(|source| file("clear", task, source))?;
        state
            .offer(&spec)
            .map_err(|source| file("write", task, source))?;
        let launched = {
            let mut launch = std::pin::pin!(self.launcher.launch(Work::Task, task.dir()));
            loop {
                tokio::select! {
                    outcome = &mut launch => break outcome,
                    () = tokio::time::sleep(STUCK_TICK) => self.takeovers.resume_holder(&state),
                }
            }
        };
        match launched {
            Ok(Outcome::Started(started)) => Ok(to_handle(task, &started)),
            // A supervisor that a dead agent asked for may have come late and taken this offer: then it runs.
            Ok(Outcome::Failed(problem)) => match self.find(task).await? {
                Some(handle) => Ok(handle),
                None => {
                    // One that was killed may have come as far as the task's first process.
                    kill_orphans(task, TaskCgroup::existing(&spec.cgroup)).await;
                    Err(DriverError::Launch { problem })
                }
            },
            // It may have been started for all that.
            Err(source) => match self.find(task).await? {
                Some(handle) => Ok(handle),
                None => {
                    kill_orphans(task, TaskCgroup::existing(&spec.cgroup)).await;
                    Err(supervisor(task, "could not be launched", Some(source)))
                }
            },
        }
    }

    async fn recover(&self, handle: &TaskHandle) -> Result<Recovered, DriverError> {
        let (task, state) = self.open(handle)?;
        if !self.is_current(task, &state, handle)? {
            return Ok(Recovered::Gone);
        }
        if is_of_former_boot(handle)? {
            // An exit that can't be read is not known any more.
            let exit = unless_damaged(task, state.exit(), || Ok(true))?;
            return Ok(exit.map_or(Recovered::Gone, Recovered::Exited));
        }
        Ok(match self.exit(task, &state).await? {
            Some(exit) => Recovered::Exited(exit),
            None => Recovered::Running,
        })
    }

    async fn find(&self, task: &TaskRef) -> Result<Option<TaskHandle>, DriverError> {
        let state = StateDir::new(task.dir());
        // A supervisor that was asked for by an agent that died may still be on its way: from here on it finds nothing.
        let claimed = state
            .revoke()
            .map_err(|source| file("clear", task, source))?;
        let deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            // In this order: it is recorded before the lock is free.
            let supervised = is_held(task, &state)?;
            if let Some(started) = unless_damaged(task, state.started(), || Ok(!supervised))? {
                return Ok(Some(to_handle(task, &started)));
            }
            if !claimed || !supervised {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(supervisor(task, "does not start", None));
            }
            self.takeovers.resume_holder(&state);
            tokio::time::sleep(SETTLE_TICK).await;
        }
    }

    async fn wait(&self, handle: &TaskHandle) -> Result<ExitResult, DriverError> {
        let (task, state) = self.open(handle)?;
        let mut pause = SETTLE_TICK;
        loop {
            if !self.is_current(task, &state, handle)? {
                return Ok(ExitResult {
                    err: Some("the task was removed".to_owned()),
                    ..ExitResult::default()
                });
            }
            if let Some(mut connection) = connect(task, &state).await? {
                self.closed_or_stuck(task, &state, handle, &mut connection)
                    .await?;
            }
            match self.recover(handle).await? {
                Recovered::Exited(exit) => return Ok(exit),
                Recovered::Gone => {
                    return Ok(ExitResult {
                        err: Some("the task is gone".to_owned()),
                        ..ExitResult::default()
                    });
                }
                // It is about to end, or its task has taken the way to it away.
                Recovered::Running => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(STUCK_TICK);
                    if pause == STUCK_TICK
                        && let Some(started) = self.started(task, &state, handle)?
                    {
                        self.resume_if_ended(task, &state, &started);
                    }
                }
            }
        }
    }

    async fn stop(
        &self,
        handle: &TaskHandle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let signal = signal.unwrap_or(DEFAULT_SIGNAL);
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let line = format!("stop {} {millis}", signal.number());
        self.end(handle, &line, Some(signal), timeout).await
    }

    async fn signal(&self, handle: &TaskHandle, signal: Signal) -> Result<(), DriverError> {
        let line = format!("signal {}", signal.number());
        match self.order(handle, &line).await? {
            Some((_, Answer::Done)) => Ok(()),
            Some((_, Answer::Refused)) => {
                Err(supervisor(handle.task(), "could not send the signal", None))
            }
            Some((_, Answer::Ended)) | None => Err(DriverError::NotRunning {
                task: handle.task().task.clone(),
            }),
        }
    }

    async fn stats(&self, handle: &TaskHandle) -> Result<TaskStats, DriverError> {
        let (task, state) = self.open(handle)?;
        let not_running = || DriverError::NotRunning {
            task: task.task.clone(),
        };
        let started = self
            .started(task, &state, handle)?
            .filter(|started| to_handle(task, started) == *handle)
            .ok_or_else(not_running)?;
        if self.exit(task, &state).await?.is_some() {
            return Err(not_running());
        }
        let mut samplers = self.samplers.lock().unwrap_or_else(PoisonError::into_inner);
        let sampler = samplers.entry(task.dir().to_owned()).or_default();
        Ok(sampler.processes(&started, self.options.core_mhz))
    }

    async fn destroy(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let (task, state) = self.open(handle)?;
        if !self.is_current(task, &state, handle)? {
            return Ok(());
        }
        self.end(handle, "kill", None, Duration::ZERO).await?;
        self.settle(task, &state).await?;
        // Kills what a killed supervisor left.
        self.exit(task, &state).await?;
        self.forget(task);
        state.clear().map_err(|source| file("clear", task, source))
    }
}

/// Kills what a supervisor that was killed left behind: what is in its control groups, and what was started with the
/// task's own variables and is nobody's child any more.
async fn kill_orphans(task: &TaskRef, groups: Vec<TaskCgroup>) {
    let (alloc, name) = (task.alloc_id.to_string(), task.task.clone());
    let killed = tokio::task::spawn_blocking(move || {
        let variables = [
            ("NOMAD_ALLOC_ID", alloc.as_str()),
            ("NOMAD_TASK_NAME", name.as_str()),
        ];
        for _ in 0..ORPHAN_ROUNDS {
            let orphans = tree::with_environment(&variables);
            if orphans.is_empty() {
                break;
            }
            for pid in orphans {
                let _ = kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
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

fn read_config(config: &Map<String, Value>) -> Result<(String, Vec<String>), DriverError> {
    let read = || {
        let config = Reader::new(config, &rove_model::drivers::RAW_EXEC)?;
        Ok((config.required_text("command")?, config.texts("args")?))
    };
    read().map_err(|problem: ConfigProblem| DriverError::Config {
        driver: NAME,
        problem,
    })
}

/// What is stored of a task that was started.
#[derive(Debug, Serialize, Deserialize)]
struct Own {
    supervisor: ProcessId,
}

fn to_handle(task: &TaskRef, started: &Started) -> TaskHandle {
    let own = Own {
        supervisor: started.supervisor.clone(),
    };
    TaskHandle::new(NAME, task.clone(), started.started_at, &own)
}

/// Whether the task was started before the host was booted: then nothing of it runs.
fn is_of_former_boot(handle: &TaskHandle) -> Result<bool, DriverError> {
    let Own { supervisor } = handle.own(NAME)?;
    let boot = boot_id().map_err(|source| DriverError::File {
        operation: "read",
        path: "/proc/sys/kernel/random/boot_id".into(),
        source,
    })?;
    Ok(boot != supervisor.boot_id)
}

/// A record as it was read. One that can't be understood is none where nobody can be running the task.
fn unless_damaged<T>(
    task: &TaskRef,
    record: io::Result<Option<T>>,
    nobody_runs: impl FnOnce() -> Result<bool, DriverError>,
) -> Result<Option<T>, DriverError> {
    match record {
        Err(error) if is_damaged(&error) && nobody_runs()? => {
            tracing::warn!(%error, task = task.task, "a record of the task is damaged, and nobody runs it");
            Ok(None)
        }
        other => other.map_err(|source| file("read", task, source)),
    }
}

/// Whether a supervisor lives.
fn is_held(task: &TaskRef, state: &StateDir) -> Result<bool, DriverError> {
    state
        .is_supervised()
        .map_err(|source| file("lock", task, source))
}

async fn connect(task: &TaskRef, state: &StateDir) -> Result<Option<Connection>, DriverError> {
    Connection::open(state)
        .await
        .map_err(|source| supervisor(task, "can't be reached", Some(source)))
}

fn supervisor_of(task: &TaskRef, problem: &'static str, source: io::Error) -> DriverError {
    supervisor(task, problem, Some(source))
}

fn supervisor(task: &TaskRef, problem: &'static str, source: Option<io::Error>) -> DriverError {
    DriverError::Supervisor {
        task: task.task.clone(),
        problem,
        source,
    }
}

fn file(operation: &'static str, task: &TaskRef, source: io::Error) -> DriverError {
    DriverError::File {
        operation,
        path: task.dir().to_owned(),
        source,
    }
}

/// Looks for the program as Nomad does: in the task's `local`, in its directory, then on the agent's PATH.
fn find_program(command: &str, task_dir: &Path) -> Result<PathBuf, DriverError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = |command: &str| {
        std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(command))
            .find(|candidate| candidate.is_file() && access(candidate, AccessFlags::X_OK).is_ok())
    };
    let found = if Path::new(command).is_absolute() {
        Some(PathBuf::from(command)).filter(|path| path.exists())
    } else {
        [task_dir.join("local").join(command), task_dir.join(command)]
            .into_iter()
            .find(|path| path.is_file())
            .or_else(|| (!command.contains('/')).then(|| in_path(command)).flatten())
    };
    found.ok_or_else(|| DriverError::Launch {
        problem: LaunchProblem::NotFound {
            command: command.to_owned(),
        },
    })
}

fn identity(name: &str) -> Result<Identity, DriverError> {
    let unknown = || DriverError::Launch {
        problem: LaunchProblem::UnknownUser {
            user: name.to_owned(),
        },
    };
    let user = User::from_name(name).ok().flatten().ok_or_else(unknown)?;
    let c_name = std::ffi::CString::new(name).map_err(|_| unknown())?;
    let groups = getgrouplist(&c_name, user.gid).map_err(|_| unknown())?;
    Ok(Identity {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    })
}

/// A task's name as a part of a path.
fn escape(name: &str) -> String {
    name.replace('/', "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_that_can_not_be_run_is_refused_by_name() {
        for (config, message) in [
            (
                json!({}),
                r#"invalid raw_exec config: key "command" is required"#,
            ),
            (
                json!({"command": ""}),
                r#"invalid raw_exec config: key "command" is required"#,
            ),
            (
                json!({"comand": "x"}),
                r#"invalid raw_exec config: unknown key "comand"; did you mean "command"?"#,
            ),
            (
                json!({"command": "x", "args": "y"}),
                r#"invalid raw_exec config: key "args" must be a list of strings"#,
            ),
        ] {
            let error = read_config(config.as_object().unwrap()).unwrap_err();
            assert_eq!(error.full_message(), message);
            assert!(!error.is_recoverable());
        }
    }

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
        while !takeover::is_stopped(&process) {
            std::thread::yield_now();
        }
        let (all, dir) = (Takeovers::default(), Path::new("/state"));
        let (one, other) = (all.begin(dir), all.begin(dir));
        assert!(!all.resume(dir, &process));
        drop(one);
        assert!(!all.resume(dir, &process));
        assert!(takeover::is_stopped(&process));
        drop(other);
        assert!(all.resume(dir, &process));
        assert!(all.lock().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn programs_are_looked_for_in_the_task_then_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("local")).unwrap();
        std::fs::write(dir.path().join("local/mine"), b"").unwrap();
        std::fs::write(dir.path().join("mine"), b"").unwrap();
        let find = |command: &str| find_program(command, dir.path());
        assert_eq!(find("mine").unwrap(), dir.path().join("local/mine"));
        assert_eq!(find("local/mine").unwrap(), dir.path().join("local/mine"));
        assert!(find("sh").unwrap().is_absolute());
        for missing in ["/no/such/binary", "no/such", "surely-not-there"] {
            assert_eq!(
                find(missing).unwrap_err().to_string(),
                format!(
                    "failed to launch command with executor: binary {missing:?} could not be found"
                )
            );
        }
    }
}
