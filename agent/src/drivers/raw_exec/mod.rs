//! Plain processes on the host, without isolation, each under a supervisor that outlives the agent.
//!
//! Nothing here knows a process by its number: the supervisor's lock says whether it lives, its socket takes orders,
//! its files say what was and how it ended. Limits are not enforced, as in Nomad.

mod ending;
mod program;

use std::{
    collections::HashMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::{
    ending::{Takeovers, kill_orphans},
    program::{find_program, read_config},
};
use super::{
    Driver, DriverError, ExitResult, Fingerprint, Host, OptionError, ProgressSender, Recovered,
    Signal, TaskConfig, TaskHandle, TaskRef, TaskStats, options::Options, usage::Sampler,
};
use crate::{
    supervisor::{
        LaunchProblem, Launcher, Outcome, Program,
        client::{Answer, Connection, Work},
        spec::{Spec, Started, StateDir, is_damaged},
    },
    sys::{ProcessId, boot_id, cgroup::TaskCgroup, fork::Identity, user},
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

fn identity(name: &str) -> Result<Identity, DriverError> {
    user::look_up(name).ok_or_else(|| DriverError::Launch {
        problem: LaunchProblem::UnknownUser {
            user: name.to_owned(),
        },
    })
}

/// A task's name as a part of a path.
fn escape(name: &str) -> String {
    name.replace('/', "_")
}
