//! A driver that runs nothing: for simulations of thousands of nodes, and for tests of what uses drivers.
//!
//! All its time is tokio's, so a paused clock moves it. What it "runs" lives in the [`MockDriver`] itself: clones share
//! it, so that a simulated agent can be killed and started again over the same tasks.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rove_model::{duration::Nanos, ids::UnixNanos};
use serde_json::{Map, Value};
use tokio::{sync::watch, time::Instant};

use super::{
    CpuStats, Driver, DriverError, ExitResult, Fingerprint, MemoryStats, ProgressSender, Recovered,
    ResourceUsage, Signal, TaskConfig, TaskHandle, TaskRef, TaskStats,
    config::{ConfigProblem, Reader},
};

/// The name that job files use.
pub const NAME: &str = "mock_driver";

/// Runs nothing, as its `config` says.
///
/// - `run_for`: ends by itself after that time (at once if absent), with `exit_code`, `exit_signal`, `exit_err_msg`;
/// - `start_block_for`, `start_error`, `start_error_recoverable`: starting takes that long, and fails;
/// - `kill_after`: goes on that long after its stop signal;
/// - `signal_error`: what sending a signal fails with;
/// - `stdout_string`, `stdout_repeat`, `stdout_repeat_duration`: what it prints, how often, with what time between.
#[derive(Clone)]
pub struct MockDriver {
    shared: Arc<Shared>,
}

struct Shared {
    epoch: UnixNanos,
    began: Instant,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    started: u64,
    running: HashMap<(rove_model::ids::AllocId, String), MockTask>,
}

/// One start of one task. Ended tasks stay until they are destroyed, as containers do.
struct MockTask {
    handle: TaskHandle,
    script: Script,
    /// When it ends, and how; moved by stop.
    end: watch::Sender<End>,
}

#[derive(Clone, Debug)]
struct End {
    at: Option<Instant>,
    result: ExitResult,
    /// A stop waits for `at`: later stops don't move it further away.
    stopping: bool,
}

#[derive(Clone, Debug, Default)]
struct Script {
    start_error: Option<String>,
    start_error_recoverable: bool,
    start_block_for: Duration,
    run_for: Duration,
    kill_after: Duration,
    exit: ExitResult,
    signal_error: Option<String>,
    stdout: Output,
}

#[derive(Clone, Debug, Default)]
struct Output {
    text: Option<String>,
    repeat: u64,
    every: Duration,
    path: PathBuf,
}

impl Script {
    fn read(config: &Map<String, Value>) -> Result<Self, ConfigProblem> {
        let config = Reader::new(config, &rove_model::drivers::MOCK)?;
        let signal = number(&config, "exit_signal")?;
        Ok(Self {
            start_error: config.text("start_error")?,
            start_error_recoverable: config.boolean("start_error_recoverable")?.unwrap_or(false),
            start_block_for: duration(&config, "start_block_for")?,
            run_for: duration(&config, "run_for")?,
            kill_after: duration(&config, "kill_after")?,
            exit: ExitResult {
                exit_code: number(&config, "exit_code")?,
                signal,
                oom_killed: false,
                err: config.text("exit_err_msg")?,
            },
            signal_error: config.text("signal_error")?,
            stdout: Output {
                text: config.text("stdout_string")?,
                repeat: config.number("stdout_repeat")?.unwrap_or(0),
                every: duration(&config, "stdout_repeat_duration")?,
                path: PathBuf::new(),
            },
        })
    }
}

fn number(config: &Reader<'_>, key: &str) -> Result<i32, ConfigProblem> {
    let value = config.number(key)?.unwrap_or(0);
    i32::try_from(value).map_err(|_| ConfigProblem::BadValue {
        key: key.to_owned(),
        value: value.to_string(),
        expected: "a small number".to_owned(),
    })
}

fn duration(config: &Reader<'_>, key: &str) -> Result<Duration, ConfigProblem> {
    let Some(text) = config.text(key)? else {
        return Ok(Duration::ZERO);
    };
    match text.parse::<Nanos>() {
        Ok(nanos) => Ok(nanos.duration()),
        Err(_) => Err(ConfigProblem::BadValue {
            key: key.to_owned(),
            value: text,
            expected: "a duration such as \"30s\"".to_owned(),
        }),
    }
}

impl MockDriver {
    /// A driver with no tasks, whose clock stands at `epoch` now.
    #[must_use]
    pub fn new(epoch: UnixNanos) -> Self {
        Self {
            shared: Arc::new(Shared {
                epoch,
                began: Instant::now(),
                tasks: Mutex::default(),
            }),
        }
    }

    /// How many tasks were started in all: a test counts doubles with it.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.tasks().started
    }

    /// How many tasks it knows of: those that run, and those that ended and were not removed.
    #[must_use]
    pub fn known(&self) -> usize {
        self.tasks().running.len()
    }

    /// The tasks that run now.
    #[must_use]
    pub fn running(&self) -> Vec<TaskRef> {
        let now = Instant::now();
        self.tasks()
            .running
            .values()
            .filter(|task| !task.end.borrow().is_over(now))
            .map(|task| task.handle.task().clone())
            .collect()
    }

    /// Ends a task as if it had done so itself. False when it doesn't run.
    #[must_use]
    pub fn end(&self, task: &TaskRef, result: ExitResult) -> bool {
        let now = Instant::now();
        let tasks = self.tasks();
        let Some(found) = tasks.running.get(&key(task)) else {
            return false;
        };
        found.end.send_if_modified(|end| {
            let runs = !end.is_over(now);
            if runs {
                *end = End {
                    at: Some(now),
                    result,
                    stopping: true,
                };
            }
            runs
        })
    }

    /// Forgets every task, as a reboot does.
    pub fn reboot(&self) {
        self.tasks().running.clear();
    }

    fn now(&self) -> UnixNanos {
        let elapsed = self.shared.began.elapsed().as_nanos();
        self.shared
            .epoch
            .saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        // The table is whole at every point where a panic could happen.
        self.shared
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the very start that `handle` names.
    fn with<T>(&self, handle: &TaskHandle, look: impl FnOnce(&MockTask) -> T) -> Option<T> {
        self.tasks()
            .running
            .get(&key(handle.task()))
            .filter(|task| task.handle == *handle)
            .map(look)
    }
}

impl Default for MockDriver {
    fn default() -> Self {
        Self::new(crate::sys::unix_now())
    }
}

impl fmt::Debug for MockDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockDriver")
            .field("started", &self.started())
            .finish_non_exhaustive()
    }
}

impl End {
    fn is_over(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

fn key(task: &TaskRef) -> (rove_model::ids::AllocId, String) {
    (task.alloc_id, task.task.clone())
}

#[async_trait]
impl Driver for MockDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            detected: true,
            healthy: true,
            description: "Healthy".to_owned(),
            attributes: [("driver.mock".to_owned(), "true".to_owned())].into(),
        }
    }

    fn validate_config(&self, config: &Map<String, Value>) -> Result<(), DriverError> {
        Script::read(config)
            .map(|_| ())
            .map_err(|problem| DriverError::Config {
                driver: NAME,
                problem,
            })
    }

    async fn start(
        &self,
        config: &TaskConfig,
        _progress: &ProgressSender,
    ) -> Result<TaskHandle, DriverError> {
        let mut script = Script::read(&config.config).map_err(|problem| DriverError::Config {
            driver: NAME,
            problem,
        })?;
        if config.logs.is_none() {
            script.stdout.text = None;
        }
        script.stdout.path = crate::logs::file_path(
            &config.log_dir,
            &config.task.task,
            crate::logs::LogKind::Stdout,
            0,
        );
        if !script.start_block_for.is_zero() {
            tokio::time::sleep(script.start_block_for).await;
        }
        if let Some(message) = script.start_error {
            return Err(DriverError::Simulated {
                message,
                recoverable: script.start_error_recoverable,
            });
        }
        let mut tasks = self.tasks();
        if let Some(task) = tasks.running.get(&key(&config.task)) {
            return Err(DriverError::AlreadyStarted {
                task: config.task.task.clone(),
                handle: Box::new(task.handle.clone()),
            });
        }
        tasks.started += 1;
        let own = serde_json::json!({ "run": tasks.started });
        let handle = TaskHandle::new(NAME, config.task.clone(), self.now(), &own);
        let end = End {
            // A time too far away to be told is never.
            at: Instant::now().checked_add(script.run_for),
            result: script.exit.clone(),
            stopping: false,
        };
        tasks.running.insert(
            key(&config.task),
            MockTask {
                handle: handle.clone(),
                script,
                end: watch::Sender::new(end),
            },
        );
        Ok(handle)
    }

    async fn recover(&self, handle: &TaskHandle) -> Result<Recovered, DriverError> {
        let now = Instant::now();
        Ok(self
            .with(handle, |task| {
                let end = task.end.borrow();
                if end.is_over(now) {
                    Recovered::Exited(end.result.clone())
                } else {
                    Recovered::Running
                }
            })
            .unwrap_or(Recovered::Gone))
    }

    async fn find(&self, task: &TaskRef) -> Result<Option<TaskHandle>, DriverError> {
        Ok(self
            .tasks()
            .running
            .get(&key(task))
            .map(|task| task.handle.clone()))
    }

    async fn wait(&self, handle: &TaskHandle) -> Result<ExitResult, DriverError> {
        let Some((mut end, output)) = self.with(handle, |task| {
            (task.end.subscribe(), task.script.stdout.clone())
        }) else {
            return Ok(ExitResult {
                err: Some("the task was removed".to_owned()),
                ..ExitResult::default()
            });
        };
        let over = async {
            loop {
                let now = end.borrow_and_update().clone();
                let reached = async {
                    match now.at {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = reached => return now.result,
                    changed = end.changed() => if changed.is_err() {
                        return ExitResult {
                            err: Some("the task was removed".to_owned()),
                            ..ExitResult::default()
                        };
                    }
                }
            }
        };
        tokio::select! {
            biased;
            result = over => Ok(result),
            never = output.print() => match never {},
        }
    }

    async fn stop(
        &self,
        handle: &TaskHandle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let signal = signal.unwrap_or(Signal::INT);
        let now = Instant::now();
        let Some(mut end) = self.with(handle, |task| {
            let killed = task.script.kill_after > timeout;
            let after = task.script.kill_after.min(timeout);
            task.end.send_if_modified(|end| {
                let at = now.checked_add(after);
                let sooner = !end.is_over(now)
                    && !end.stopping
                    && at.is_some()
                    && end.at.is_none_or(|before| at.is_some_and(|at| at < before));
                if sooner {
                    let signal = if killed { Signal::KILL } else { signal };
                    *end = End {
                        at,
                        result: ExitResult {
                            exit_code: 128 + signal.number(),
                            signal: signal.number(),
                            ..ExitResult::default()
                        },
                        stopping: true,
                    };
                }
                sooner
            });
            task.end.subscribe()
        }) else {
            return Ok(());
        };
        loop {
            let at = end.borrow_and_update().at;
            let reached = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = reached => return Ok(()),
                changed = end.changed() => if changed.is_err() {
                    return Ok(());
                }
            }
        }
    }

    async fn signal(&self, handle: &TaskHandle, _signal: Signal) -> Result<(), DriverError> {
        let now = Instant::now();
        let runs = self.with(handle, |task| {
            (!task.end.borrow().is_over(now)).then(|| task.script.signal_error.clone())
        });
        match runs.flatten() {
            None => Err(DriverError::NotRunning {
                task: handle.task().task.clone(),
            }),
            Some(None) => Ok(()),
            Some(Some(message)) => Err(DriverError::Simulated {
                message,
                recoverable: false,
            }),
        }
    }

    async fn stats(&self, handle: &TaskHandle) -> Result<TaskStats, DriverError> {
        if self.recover(handle).await? != Recovered::Running {
            return Err(DriverError::NotRunning {
                task: handle.task().task.clone(),
            });
        }
        Ok(TaskStats {
            timestamp: self.now(),
            usage: ResourceUsage {
                cpu: CpuStats {
                    measured: &["Percent"],
                    ..CpuStats::default()
                },
                memory: MemoryStats {
                    measured: &["RSS"],
                    ..MemoryStats::default()
                },
            },
            pids: None,
        })
    }

    async fn destroy(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let mut tasks = self.tasks();
        let key = key(handle.task());
        if tasks
            .running
            .get(&key)
            .is_some_and(|task| task.handle == *handle)
        {
            tasks.running.remove(&key);
        }
        Ok(())
    }
}

impl Output {
    /// Prints while its task runs and is waited for. What can't be written is not said: it is a test's own directory.
    async fn print(self) -> std::convert::Infallible {
        if let Some(text) = self.text {
            for round in 0..=self.repeat {
                if round > 0 {
                    tokio::time::sleep(self.every).await;
                }
                let written = crate::logs::append(&self.path, text.as_bytes());
                if let Err(error) = written {
                    tracing::warn!(%error, path = %self.path.display(), "mock output not written");
                }
            }
        }
        std::future::pending().await
    }
}
