//! Containers in a docker engine.
//!
//! The engine is the truth: a task's container is found by its labels, told from an earlier one by its id, and its
//! exit is the engine's. The engine may be restarted at any time; what can't be told meanwhile is waited for.

mod body;
mod config;
mod engine;
mod image;
mod inspected;
mod output;
mod sources;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    errors::Error as BollardError,
    models::ContainerSummaryStateEnum,
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
        ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
        StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use futures::StreamExt;
use rove_model::ids::UnixNanos;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::{
    body::LABEL_STARTED,
    config::DockerConfig,
    engine::{Engine, is_answer, status_of},
    image::Images,
    inspected::Inspected,
    output::warn_not_kept,
    sources::Sources,
};
pub use self::{config::Allowed, engine::DEFAULT_ENDPOINT};
use super::{
    Driver, DriverError, ExitResult, Fingerprint, Host, OptionError, ProgressSender, Recovered,
    Signal, TaskConfig, TaskHandle, TaskRef, TaskRoot, TaskStats, options::Options, usage::Sampler,
};
use crate::{
    supervisor::{Launcher, Program, spec::StateDir},
    sys::{container, unix_now},
};

/// The name that job files use.
pub const NAME: &str = "docker";

/// How much longer than its timeout a stop may take.
const STOP_SLACK: Duration = Duration::from_secs(30);
/// The wait for an engine that is away, at first and at most.
const AWAY_FIRST: Duration = Duration::from_millis(100);
const AWAY_MOST: Duration = Duration::from_secs(5);
/// How often a name is tried that a container which is being removed still has, and the time between.
const NAME_TRIES: u32 = 100;
const NAME_TICK: Duration = Duration::from_millis(100);

/// How docker is set up on a node.
#[derive(Clone, Debug)]
pub struct DockerOptions {
    /// Where the engine listens: `unix://…` or `tcp://…`.
    pub endpoint: String,
    /// What tasks may have beyond a container's own.
    pub allowed: Allowed,
    /// How the process is called that keeps a container's output.
    pub program: Program,
    /// The speed of one core, in MHz.
    pub core_mhz: f64,
    /// Cores of the host.
    pub cores: u32,
}

impl DockerOptions {
    /// The engine at `DOCKER_HOST` or the usual place, and nothing allowed beyond a container's own.
    #[must_use]
    pub fn new(core_mhz: f64, cores: u32) -> Self {
        Self {
            endpoint: std::env::var("DOCKER_HOST")
                .ok()
                .filter(|host| !host.is_empty())
                .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            allowed: Allowed::default(),
            program: Program::this_binary(),
            core_mhz,
            cores,
        }
    }
}

/// The driver.
pub struct DockerDriver {
    options: DockerOptions,
    engine: Engine,
    images: Images,
    launcher: Launcher,
    measured: Mutex<HashMap<String, Measured>>,
    /// The engine answered once: that it doesn't now is a fault and not its absence.
    seen: AtomicBool,
    /// The engine runs without root, or maps the users of its containers to others.
    unprivileged: AtomicBool,
}

/// The driver as its `plugin` block says.
///
/// # Errors
/// What is wrong with the block.
pub fn open_as_configured(
    config: &Map<String, Value>,
    host: &Host,
) -> Result<Arc<dyn Driver>, OptionError> {
    let given = Options::new(NAME, config, &["endpoint", "allow_privileged", "volumes"])?;
    let mut options = DockerOptions::new(host.core_mhz, host.cores);
    options.program = host.program.clone();
    if let Some(endpoint) = given.text("endpoint")? {
        options.endpoint = endpoint;
    }
    let volumes = given.block("volumes", "a block { enabled = … }", &["enabled"])?;
    options.allowed = Allowed {
        privileged: given.boolean("allow_privileged")?.unwrap_or(false),
        volumes: match volumes {
            Some(block) => block.boolean("enabled")?.unwrap_or(false),
            None => false,
        },
    };
    Ok(Arc::new(DockerDriver::new(options)))
}

/// What is remembered of a container between two measurements.
struct Measured {
    pid: i32,
    sampler: Sampler,
}

impl DockerDriver {
    /// The driver as set up. The engine need not be there yet.
    #[must_use]
    pub fn new(options: DockerOptions) -> Self {
        Self {
            engine: Engine::new(options.endpoint.clone()),
            images: Images::default(),
            launcher: Launcher::new(options.program.clone()),
            measured: Mutex::default(),
            seen: false.into(),
            unprivileged: false.into(),
            options,
        }
    }

    /// None when there is no such container.
    async fn inspect(&self, id: &str) -> Result<Option<Inspected>, DriverError> {
        let found = self
            .engine
            .client()?
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        match found {
            Ok(found) => Ok(Some(Inspected::read(found))),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.engine.failed("inspect the container", error)),
        }
    }

    async fn create(
        &self,
        task: &TaskConfig,
        config: &DockerConfig,
    ) -> Result<TaskHandle, DriverError> {
        let started_at = unix_now();
        let body = body::create(
            task,
            config,
            started_at,
            self.options.cores,
            self.options.core_mhz,
        )?;
        let options = CreateContainerOptionsBuilder::default()
            .name(&task.task.unique_name())
            .build();
        for left in (0..NAME_TRIES).rev() {
            let created = self
                .engine
                .client()?
                .create_container(Some(options.clone()), body.clone())
                .await;
            match created {
                Ok(created) => {
                    return Ok(handle_of(&task.task, created.id, started_at));
                }
                // One that a former agent asked for came late, or one is just being removed.
                Err(error) if status_of(&error) == Some(409) && left > 0 => {
                    if let Some(handle) = self.find(&task.task).await? {
                        return Err(already(&task.task, handle));
                    }
                    tokio::time::sleep(NAME_TICK).await;
                }
                Err(error) => return Err(self.engine.failed("create the container", error)),
            }
        }
        Err(DriverError::NotRunning {
            task: task.task.task.clone(),
        })
    }

    async fn remove(&self, id: &str) -> Result<(), DriverError> {
        let options = RemoveContainerOptionsBuilder::default()
            .v(true)
            .force(true)
            .build();
        let removed = self
            .engine
            .client()?
            .remove_container(id, Some(options))
            .await;
        match removed {
            Ok(()) => Ok(()),
            // Gone, or on its way.
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(self.engine.failed("remove the container", error)),
        }
    }

    /// Removes a container that was made and not started. False when it runs after all: one that is being started is
    /// waited for by the engine.
    async fn discard(&self, id: &str) -> Result<bool, DriverError> {
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        let removed = self
            .engine
            .client()?
            .remove_container(id, Some(options))
            .await;
        match removed {
            Ok(()) => Ok(true),
            Err(error) if status_of(&error) == Some(404) => Ok(true),
            // It runs, or is just being removed.
            Err(error) if status_of(&error) == Some(409) => {
                let found = self.inspect(id).await?;
                Ok(!found.is_some_and(|found| found.running))
            }
            Err(error) => Err(self.engine.failed("remove the container", error)),
        }
    }

    async fn kill(&self, id: &str, signal: Signal) -> Result<bool, DriverError> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal.name())
            .build();
        let killed = self
            .engine
            .client()?
            .kill_container(id, Some(options))
            .await;
        match killed {
            Ok(()) => Ok(true),
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(false),
            Err(error) => Err(self.engine.failed("send the signal", error)),
        }
    }

    /// Waits until the engine says that the container has ended. Its error only says that it didn't say so.
    async fn ended(&self, id: &str) -> Result<(), DriverError> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut answers = Box::pin(self.engine.client()?.wait_container(id, Some(options)));
        match answers.next().await {
            // An exit code other than 0 comes as an error.
            Some(Ok(_) | Err(BollardError::DockerContainerWaitError { .. })) | None => Ok(()),
            Some(Err(error)) if status_of(&error) == Some(404) => Ok(()),
            Some(Err(error)) => Err(self.engine.failed("wait for the container", error)),
        }
    }

    fn sample(&self, id: &str, pid: Option<i32>) -> Option<TaskStats> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match pid {
            Some(pid) => measured
                .entry(id.to_owned())
                .and_modify(|entry| entry.pid = pid)
                .or_insert_with(|| Measured {
                    pid,
                    sampler: Sampler::default(),
                }),
            None => measured.get_mut(id)?,
        };
        let usage = container::usage(entry.pid, id)?;
        Some(entry.sampler.container(&usage, self.options.core_mhz))
    }

    fn forget(&self, id: &str) {
        self.measured
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

impl fmt::Debug for DockerDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerDriver")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for DockerDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn root(&self) -> TaskRoot {
        TaskRoot::Own {
            privileged: !self.unprivileged.load(Ordering::Relaxed),
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        let asked = async {
            let client = self.engine.probe()?;
            let version = client
                .version()
                .await
                .map_err(|error| self.engine.failed("reach the docker engine", error))?;
            let info = client
                .info()
                .await
                .map_err(|error| self.engine.failed("reach the docker engine", error))?;
            Ok::<_, DriverError>((version, info))
        };
        let (version, info) = match asked.await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(error = error.full_message(), "no docker engine");
                // Nothing at all, or one that went away.
                return if self.seen.load(Ordering::Relaxed) {
                    Fingerprint {
                        detected: true,
                        description: "Failed to connect to docker daemon".to_owned(),
                        attributes: [("driver.docker".to_owned(), "true".to_owned())].into(),
                        ..Fingerprint::default()
                    }
                } else {
                    Fingerprint {
                        description: "Failed to connect to docker daemon".to_owned(),
                        ..Fingerprint::default()
                    }
                };
            }
        };
        self.seen.store(true, Ordering::Relaxed);
        let security = info.security_options.unwrap_or_default();
        let unprivileged = security
            .iter()
            .any(|option| option.contains("name=rootless") || option.contains("name=userns"));
        self.unprivileged.store(unprivileged, Ordering::Relaxed);
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        let mut attributes: std::collections::BTreeMap<String, String> = [
            ("driver.docker", "true".to_owned()),
            ("driver.docker.version", version.version.unwrap_or_default()),
            ("driver.docker.os_type", info.os_type.unwrap_or_default()),
            ("driver.docker.runtimes", runtimes.join(",")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for (name, allowed) in [
            (
                "driver.docker.volumes.enabled",
                self.options.allowed.volumes,
            ),
            (
                "driver.docker.privileged.enabled",
                self.options.allowed.privileged,
            ),
        ] {
            if allowed {
                attributes.insert(name.to_owned(), "true".to_owned());
            }
        }
        Fingerprint {
            detected: true,
            healthy: true,
            description: "Healthy".to_owned(),
            attributes,
        }
    }

    fn validate_config(&self, config: &Map<String, Value>) -> Result<(), DriverError> {
        DockerConfig::read(config, self.options.allowed).map(|_| ())
    }

    async fn start(
        &self,
        task: &TaskConfig,
        progress: &ProgressSender,
    ) -> Result<TaskHandle, DriverError> {
        let mut config = DockerConfig::read(&task.config, self.options.allowed)?;
        if let Some(handle) = self.find(&task.task).await? {
            return Err(already(&task.task, handle));
        }
        self.images.ensure(&self.engine, &config, progress).await?;
        let sources = Sources::open(task, &config, self.options.allowed)?;
        config.volumes = sources.binds().to_vec();
        let handle = self.create(task, &config).await?;
        let (_, container_id) = open(&handle)?;
        let started = async {
            match self.log_of(task, &container_id, config.tty) {
                // Before it starts, so that no line is missed.
                Some(log) => self.keep_output(&task.task, &log).await?,
                // What an earlier start left there is of that one.
                None => StateDir::new(task.task.dir())
                    .clear()
                    .map_err(|source| file("clear", &task.task, source))?,
            }
            // The engine resolves them as it starts the container.
            sources.check()?;
            self.engine
                .client()?
                .start_container(&container_id, None::<StartContainerOptions>)
                .await
                .map_err(|error| self.engine.failed("start the container", error))
        };
        match started.await {
            Ok(()) => Ok(handle),
            Err(error) => {
                if let Err(left) = self.destroy(&handle).await {
                    tracing::warn!(
                        error = left.full_message(),
                        "a container that could not be started is left"
                    );
                }
                Err(error)
            }
        }
    }

    async fn recover(&self, handle: &TaskHandle) -> Result<Recovered, DriverError> {
        let (task, id) = open(handle)?;
        let Some(mut found) = self.inspect(&id).await? else {
            return Ok(Recovered::Gone);
        };
        if !found.started {
            if self.discard(&id).await? {
                self.destroy(handle).await?;
                return Ok(Recovered::Gone);
            }
            let Some(again) = self.inspect(&id).await? else {
                return Ok(Recovered::Gone);
            };
            found = again;
        }
        if !found.running {
            self.drain(task).await?;
            return Ok(Recovered::Exited(found.exit));
        }
        self.go_on_keeping(handle).await?;
        Ok(Recovered::Running)
    }

    async fn find(&self, task: &TaskRef) -> Result<Option<TaskHandle>, DriverError> {
        let filters = HashMap::from([("label".to_owned(), body::key_labels(task))]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = self
            .engine
            .client()?
            .list_containers(Some(options))
            .await
            .map_err(|error| self.engine.failed("list the containers", error))?;
        let mut handle = None;
        for container in found {
            let Some(id) = container.id else { continue };
            match container.state {
                // Its agent died between making and starting it; or had it started just before, which takes a while.
                Some(ContainerSummaryStateEnum::CREATED) if self.discard(&id).await? => {}
                Some(ContainerSummaryStateEnum::REMOVING) => {}
                _ => {
                    let labels = container.labels.unwrap_or_default();
                    let started_at = labels
                        .get(LABEL_STARTED)
                        .and_then(|text| text.parse().ok())
                        .unwrap_or(0);
                    handle = Some(handle_of(task, id, started_at));
                }
            }
        }
        Ok(handle)
    }

    async fn wait(&self, handle: &TaskHandle) -> Result<ExitResult, DriverError> {
        let (task, id) = open(handle)?;
        let mut away = AWAY_FIRST;
        loop {
            let ended = self.ended_and_kept(handle, &id).await;
            let found = match ended {
                Ok(()) => self.inspect(&id).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(None) => {
                    return Ok(ExitResult {
                        err: Some("the container was removed".to_owned()),
                        ..ExitResult::default()
                    });
                }
                Ok(Some(found)) if !found.running => {
                    self.drain(task).await?;
                    return Ok(found.exit);
                }
                // The engine ended the wait, not the container; it may have been away for long.
                Ok(Some(_)) => {
                    if let Err(error) = self.go_on_keeping(handle).await {
                        warn_not_kept(&id, &error);
                    }
                }
                Err(error) if is_answer(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(
                        error = error.full_message(),
                        "waiting for the docker engine"
                    );
                }
            }
            tokio::time::sleep(away).await;
            away = (away * 2).min(AWAY_MOST);
        }
    }

    async fn stop(
        &self,
        handle: &TaskHandle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let (_, id) = open(handle)?;
        let Some(found) = self.inspect(&id).await?.filter(|found| found.running) else {
            return Ok(());
        };
        let engines_own = signal.is_none_or(|signal| {
            found.stop_signal.as_deref().unwrap_or(Signal::TERM.name()) == signal.name()
        });
        // It counts in whole seconds.
        if engines_own && timeout.subsec_nanos() == 0 {
            // The engine keeps the time, also when this agent dies.
            let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::default().t(seconds).build();
            let stopped = self
                .engine
                .within(timeout.saturating_add(STOP_SLACK))?
                .stop_container(&id, Some(options))
                .await;
            return match stopped {
                Ok(()) => Ok(()),
                Err(error) if matches!(status_of(&error), Some(304 | 404)) => Ok(()),
                Err(error) => Err(self.engine.failed("stop the container", error)),
            };
        }
        let signal = match (signal, found.stop_signal) {
            (Some(signal), _) => signal,
            (None, Some(name)) => name.parse().unwrap_or(Signal::TERM),
            (None, None) => Signal::TERM,
        };
        if !self.kill(&id, signal).await? {
            return Ok(());
        }
        if let Ok(ended) = tokio::time::timeout(timeout, self.ended(&id)).await {
            return ended;
        }
        self.kill(&id, Signal::KILL).await?;
        match tokio::time::timeout(STOP_SLACK, self.ended(&id)).await {
            Ok(ended) => ended,
            Err(_) => Err(DriverError::Supervisor {
                task: handle.task().task.clone(),
                problem: "could not end it in time",
                source: None,
            }),
        }
    }

    async fn signal(&self, handle: &TaskHandle, signal: Signal) -> Result<(), DriverError> {
        let (task, id) = open(handle)?;
        if self.kill(&id, signal).await? {
            Ok(())
        } else {
            Err(not_running(task))
        }
    }

    async fn stats(&self, handle: &TaskHandle) -> Result<TaskStats, DriverError> {
        let (task, id) = open(handle)?;
        if let Some(stats) = self.sample(&id, None) {
            return Ok(stats);
        }
        let pid = self
            .inspect(&id)
            .await?
            .filter(|found| found.running)
            .and_then(|found| found.pid)
            .ok_or_else(|| not_running(task))?;
        self.sample(&id, Some(pid)).ok_or_else(|| not_running(task))
    }

    async fn destroy(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let (task, id) = open(handle)?;
        self.remove(&id).await?;
        self.forget(&id);
        // The directory may be about a later start already.
        let state = StateDir::new(task.dir());
        if self.find(task).await?.is_none() {
            self.drain(task).await?;
            state
                .clear()
                .map_err(|source| file("clear", task, source))?;
        }
        Ok(())
    }
}

/// What is stored of a container that was started.
#[derive(Debug, Serialize, Deserialize)]
struct Own {
    /// The engine's id of it.
    container_id: String,
}

fn handle_of(task: &TaskRef, container_id: String, started_at: UnixNanos) -> TaskHandle {
    TaskHandle::new(NAME, task.clone(), started_at, &Own { container_id })
}

fn open(handle: &TaskHandle) -> Result<(&TaskRef, String), DriverError> {
    let own: Own = handle.own(NAME)?;
    Ok((handle.task(), own.container_id))
}

fn already(task: &TaskRef, handle: TaskHandle) -> DriverError {
    DriverError::AlreadyStarted {
        task: task.task.clone(),
        handle: Box::new(handle),
    }
}

fn not_running(task: &TaskRef) -> DriverError {
    DriverError::NotRunning {
        task: task.task.clone(),
    }
}

fn file(operation: &'static str, task: &TaskRef, source: std::io::Error) -> DriverError {
    DriverError::File {
        operation,
        path: task.dir().to_owned(),
        source,
    }
}
