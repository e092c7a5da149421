//! Runs one alloc: feeds its state machine, and does what it says.
//!
//! What the machine decided is durable before anything is done that a later life of the agent must know of.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::Alloc,
    ids::{AllocId, Revision},
    node::Node,
};
use rove_store::backoff::Backoff;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    dir::{Access, AllocDir},
    driver_calls::{persist, recover, start},
    machine::{AllocEffect, AllocInput, AllocMachine, SavedAlloc},
    task_config::{self, Surroundings},
};
use crate::{
    context::Context,
    drivers::{Driver, Progress, Signal, TaskConfig, TaskHandle, TaskRef, TaskRoot},
    handle_error::HandleError,
    shared::{AllocView, Reply, TaskView, Which},
    task::machine::{Effect, Input, StartFailure},
};

/// Users' wishes that may wait for one alloc.
const WISHES: usize = 8;

/// Words of drivers that may wait for one alloc; further ones are dropped.
const PROGRESS: usize = 32;

/// What is wanted of a runner: a level, so that a slow one misses nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// None when the store has forgotten the alloc.
    pub alloc: Option<(Arc<Alloc>, Revision)>,
    pub may_start: bool,
    /// Stop the tasks, as the agent ends.
    pub shutdown: bool,
}

/// What a user wants of one alloc.
#[derive(Debug)]
pub(crate) enum Wish {
    Restart {
        which: Which,
        reply: Reply,
    },
    Signal {
        task: Option<String>,
        signal: Signal,
        reply: Reply,
    },
}

/// How to reach a runner.
#[derive(Debug)]
pub(crate) struct RunnerHandle {
    pub wanted: watch::Sender<Wanted>,
    pub wishes: mpsc::Sender<Wish>,
}

/// What a runner begins with.
pub(crate) enum Begin {
    New(Arc<Alloc>, Revision),
    Recovered(Box<SavedAlloc>),
}

/// How a runner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The alloc is over.
    Over,
    /// The agent ends; the alloc goes on.
    Left,
}

/// A runner, not yet running, and how to reach it.
pub(crate) fn runner(
    context: Arc<Context>,
    begin: Begin,
    wanted: Wanted,
    cancel: CancellationToken,
) -> (RunnerHandle, impl Future<Output = Ended> + Send + 'static) {
    let (wanted_sender, wanted) = watch::channel(wanted);
    let (wishes_sender, wishes) = mpsc::channel(WISHES);
    let handle = RunnerHandle {
        wanted: wanted_sender,
        wishes: wishes_sender,
    };
    let now = context.now();
    let (machine, effects) = match begin {
        Begin::New(alloc, revision) => AllocMachine::new(alloc, revision, context.rules, now),
        Begin::Recovered(saved) => AllocMachine::recover(*saved, context.rules, now),
    };
    let rng = StdRng::seed_from_u64(context.seed_of(machine.id()));
    let (progress_sender, progress) = mpsc::channel(PROGRESS);
    let runner = Runner {
        saved: Durable::of(&machine),
        context,
        machine,
        jobs: JoinSet::new(),
        starts: BTreeMap::new(),
        held_back: Vec::new(),
        save_again: None,
        progress_sender,
        rng,
    };
    // Known to others before the runner has its first turn.
    runner.publish();
    let run = runner.run(effects, wanted, wishes, progress, cancel);
    (handle, run)
}

/// What of an alloc must be durable before anything else is done; when it is the same, nothing needs to be saved.
#[derive(Clone, Debug, PartialEq)]
struct Durable {
    revision: Revision,
    version: Option<u64>,
    health: Option<bool>,
    failed: bool,
    tasks: Vec<(
        bool,
        Option<TaskHandle>,
        bool,
        rove_model::alloc::TaskLifeState,
        u64,
    )>,
}

impl Durable {
    fn of(machine: &AllocMachine) -> Self {
        let status = machine.status();
        Self {
            revision: status.alloc_modify_index,
            version: machine.job().map(|job| job.version),
            health: status.deployment_status.map(|health| health.healthy),
            failed: machine.job().is_none() && machine.is_over(),
            tasks: machine
                .tasks()
                .iter()
                .map(|task| {
                    let saved = task.saved();
                    (
                        saved.intent,
                        saved.handle.clone(),
                        saved.ended,
                        saved.state.state,
                        saved.state.restarts,
                    )
                })
                .collect(),
        }
    }

    /// Something was started, or is over: forgetting it would do harm.
    fn matters(&self) -> bool {
        self.failed
            || self.tasks.iter().any(|(intent, handle, _, state, _)| {
                *intent || handle.is_some() || *state == rove_model::alloc::TaskLifeState::Dead
            })
    }
}

/// What comes of an effect.
type Done = Option<AllocInput>;

struct Runner {
    context: Arc<Context>,
    machine: AllocMachine,
    saved: Durable,
    jobs: JoinSet<Done>,
    starts: BTreeMap<usize, CancellationToken>,
    /// What has to wait until the state is saved.
    held_back: Vec<AllocEffect>,
    /// When to try to save again.
    save_again: Option<(Instant, Backoff)>,
    progress_sender: mpsc::Sender<(usize, Progress)>,
    rng: StdRng,
}

impl Runner {
    async fn run(
        mut self,
        effects: Vec<AllocEffect>,
        mut wanted: watch::Receiver<Wanted>,
        mut wishes: mpsc::Receiver<Wish>,
        mut progress: mpsc::Receiver<(usize, Progress)>,
        cancel: CancellationToken,
    ) -> Ended {
        self.settle(effects).await;
        let first = wanted.borrow_and_update().clone();
        self.take_wanted(first).await;
        loop {
            if self.machine.is_over() {
                return Ended::Over;
            }
            let tick = self
                .machine
                .next_tick()
                .map(|since_start| self.context.began + since_start);
            let tick = async {
                match tick {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let save_again = async {
                match self.save_again.as_ref().map(|(at, _)| *at) {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ended::Left,
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                    Ok(Some(input)) => self.step(input).await,
                    Ok(None) => {}
                    Err(error) if error.is_panic() => {
                        // The manager starts the runner anew, from what was saved.
                        std::panic::resume_unwind(error.into_panic());
                    }
                    Err(_) => {}
                },
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ended::Left;
                    }
                    let now_wanted = wanted.borrow_and_update().clone();
                    self.take_wanted(now_wanted).await;
                }
                Some(wish) = wishes.recv() => self.wish(wish).await,
                Some((index, word)) = progress.recv() => {
                    self.step(AllocInput::Task(index, Input::Progress(word))).await;
                }
                () = tick => self.step(AllocInput::Tick).await,
                () = save_again => self.settle(Vec::new()).await,
            }
        }
    }

    async fn take_wanted(&mut self, wanted: Wanted) {
        match wanted.alloc {
            Some((alloc, revision)) => self.step(AllocInput::Wanted(alloc, revision)).await,
            None => self.step(AllocInput::Unwanted).await,
        }
        if wanted.may_start {
            self.step(AllocInput::MayStart).await;
        }
        if wanted.shutdown {
            self.step(AllocInput::Shutdown).await;
        }
    }

    async fn step(&mut self, input: AllocInput) {
        let now = self.context.now();
        let random = self.rng.random_range(0.0..1.0);
        let effects = self.machine.handle(input, now, random);
        self.settle(effects).await;
    }

    async fn wish(&mut self, wish: Wish) {
        let now = self.context.now();
        let task = match &wish {
            Wish::Restart {
                which: Which::One(task),
                ..
            } => Some(task.as_str()),
            Wish::Restart {
                which: Which::Running | Which::All,
                ..
            } => None,
            Wish::Signal { task, .. } => task.as_deref(),
        };
        let index = match task {
            None => Ok(None),
            Some(name) => match self.machine.task_index(name) {
                Some(index) => Ok(Some(index)),
                None => Err(HandleError::NoTaskRunner(name.to_owned())),
            },
        };
        let (answer, effects) = match (index, &wish) {
            (Err(error), _) => (Err(error), Vec::new()),
            (
                Ok(_),
                Wish::Restart {
                    which: Which::All, ..
                },
            ) => running(self.machine.restart_all(now)),
            (Ok(index), Wish::Restart { .. }) => running(self.machine.restart(index, now)),
            (Ok(index), Wish::Signal { signal, .. }) => {
                running(self.machine.signal(index, *signal, now))
            }
        };
        let (Wish::Restart { reply, .. } | Wish::Signal { reply, .. }) = wish;
        self.settle(effects).await;
        // Nobody may be waiting any more.
        let _ = reply.send(answer);
    }

    /// Saves and publishes what was decided, then does it. Saving may fail and bring further effects.
    async fn settle(&mut self, mut effects: Vec<AllocEffect>) {
        loop {
            let unsaved = self.save().await.err();
            self.publish();
            let Some(error) = unsaved else {
                self.save_again = None;
                effects.append(&mut self.held_back);
                break;
            };
            // Without a record nothing is started, and of what has ended its driver goes on knowing how; all else is
            // done.
            let mut starts = Vec::new();
            let mut others = Vec::new();
            for effect in effects {
                match &effect {
                    AllocEffect::Task(_, Effect::Start) => starts.push(effect),
                    AllocEffect::Task(_, Effect::Destroy(_)) => self.held_back.push(effect),
                    _ => others.push(effect),
                }
            }
            effects = others;
            if starts.is_empty() {
                if self.save_again.is_none() {
                    tracing::warn!(alloc = %self.machine.id(), %error, "can't save the alloc's state, trying again");
                }
                let seed = self.context.seed_of(self.machine.id());
                let (_, backoff) = self
                    .save_again
                    .take()
                    .unwrap_or_else(|| (Instant::now(), save_backoff(seed)));
                self.save_again = Some(next_save(backoff));
                break;
            }
            let now = self.context.now();
            for start in starts {
                let AllocEffect::Task(index, _) = start else {
                    continue;
                };
                let failure = StartFailure {
                    message: format!("failed to record the task before its start: {error}"),
                    recoverable: true,
                    in_setup: true,
                };
                let random = self.rng.random_range(0.0..1.0);
                let input = AllocInput::Task(index, Input::Started(Err(failure)));
                effects.extend(self.machine.handle(input, now, random));
            }
        }
        for effect in effects {
            self.execute(effect);
        }
    }

    async fn save(&mut self) -> Result<(), String> {
        let durable = Durable::of(&self.machine);
        if durable == self.saved || !durable.matters() {
            return Ok(());
        }
        match self.context.state.save(&self.machine.saved()).await {
            Ok(()) => {
                self.saved = durable;
                Ok(())
            }
            Err(error) => Err(match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
        }
    }

    fn publish(&self) {
        let now = self.context.now();
        let status = self.machine.status();
        let view: AllocView = self
            .machine
            .tasks()
            .iter()
            .map(|task| {
                let driver = self
                    .driver_name(task.name())
                    .and_then(|name| self.context.driver(name));
                let view = TaskView {
                    driver,
                    handle: task.running_handle().cloned(),
                    started: task.state().started_at.is_some(),
                    over: task.is_dead(),
                    logs: self.machine.keeps_logs(task.name()),
                };
                (task.name().to_owned(), view)
            })
            .collect();
        self.context.shared.publish(self.machine.id(), view);
        self.context.outbox.put(status, now.wall);
    }

    fn driver_name(&self, task: &str) -> Option<&str> {
        let job = self.machine.job()?;
        let group = job.group(self.machine.alloc().task_group.as_str())?;
        Some(group.task(task)?.driver.as_str())
    }

    fn execute(&mut self, effect: AllocEffect) {
        let context = Arc::clone(&self.context);
        match effect {
            AllocEffect::FetchSpec(version) => {
                let alloc = Arc::clone(self.machine.alloc());
                let seen = self.machine.revision();
                self.jobs.spawn(async move {
                    let result = context.fetch_spec(&alloc, seen).await;
                    Some(AllocInput::Spec(version, result))
                });
            }
            AllocEffect::Task(index, effect) => self.execute_for_task(index, effect),
        }
    }

    fn execute_for_task(&mut self, index: usize, effect: Effect) {
        let Some(task) = self.machine.tasks().get(index) else {
            return;
        };
        let name = task.name().to_owned();
        let alloc = self.machine.id();
        let seed = self.context.seed_of(alloc) ^ index as u64;
        let driver = self
            .driver_name(&name)
            .and_then(|driver| self.context.driver(driver))
            .ok_or_else(|| self.driver_name(&name).unwrap_or_default().to_owned());
        let task_ref = self.context.task_ref(alloc, &name);
        let back = move |input: Input| Some(AllocInput::Task(index, input));
        match effect {
            Effect::Build => {
                let built = self.build(&name, &task_ref);
                self.jobs
                    .spawn(async move { back(Input::Built(built.await)) });
            }
            Effect::Start => {
                let cancel = CancellationToken::new();
                self.starts.insert(index, cancel.clone());
                let prepared = self.prepare(&task_ref, driver);
                let progress = self.progress_sender.clone();
                self.jobs.spawn(async move {
                    let (driver, config) = match prepared {
                        Ok(prepared) => prepared,
                        Err(failure) => return back(Input::Started(Err(failure))),
                    };
                    back(start(driver, config, index, progress, cancel, seed).await)
                });
            }
            Effect::AbortStart => {
                if let Some(cancel) = self.starts.get(&index) {
                    cancel.cancel();
                }
            }
            Effect::Wait(handle) => {
                self.jobs.spawn(async move {
                    let driver = driver.ok()?;
                    let exit = persist(&task_ref, "wait for", seed, || driver.wait(&handle)).await;
                    back(Input::Exited(exit))
                });
            }
            Effect::Stop {
                handle,
                signal,
                timeout,
            } => {
                self.jobs.spawn(async move {
                    let driver = driver.ok()?;
                    persist(&task_ref, "stop", seed, || {
                        driver.stop(&handle, signal, timeout)
                    })
                    .await;
                    None
                });
            }
            Effect::Signal(handle, signal) => {
                self.jobs.spawn(async move {
                    if let Err(error) = driver.ok()?.signal(&handle, signal).await {
                        tracing::warn!(%alloc, task = name, error = error.full_message(), "can't signal the task");
                    }
                    None
                });
            }
            Effect::Destroy(handle) => {
                self.jobs.spawn(async move {
                    if let Ok(driver) = driver {
                        persist(&task_ref, "remove", seed, || driver.destroy(&handle)).await;
                    }
                    back(Input::Destroyed)
                });
            }
            Effect::Recover(handle) => {
                self.jobs.spawn(async move {
                    let found = match driver {
                        Ok(driver) => {
                            persist(&task_ref, "recover", seed, || {
                                recover(&*driver, &task_ref, handle.as_ref())
                            })
                            .await
                        }
                        Err(driver) => {
                            tracing::error!(%alloc, task = name, driver, "the task's driver is no longer enabled: enable it and restart the agent");
                            // Whether it runs can't be told, so it is neither started again nor given up.
                            std::future::pending().await
                        }
                    };
                    back(Input::Recovered(found))
                });
            }
        }
    }

    fn build(
        &self,
        task: &str,
        task_ref: &TaskRef,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let (alloc, node) = (self.machine.alloc(), self.context.shared.node());
        let dir = self.context.dir(self.machine.id());
        let spec = self
            .machine
            .job()
            .and_then(|job| Some((job, job.group(alloc.task_group.as_str())?)));
        let all: Vec<(&str, Access)> = spec
            .iter()
            .flat_map(|(job, group)| group.tasks.iter().map(move |task| (job, group, task)))
            .map(|(job, group, found)| {
                let driver = self.context.driver(&found.driver);
                let root = driver.map_or(TaskRoot::Host, |driver| driver.root());
                let access = match root {
                    TaskRoot::Host => Access::Host {
                        user: task_config::user(
                            alloc,
                            job,
                            group,
                            found,
                            &self.around(&node, &dir, root),
                        ),
                    },
                    TaskRoot::Own { privileged } => Access::OwnRoot { privileged },
                };
                (found.name.as_str(), access)
            })
            .collect();
        let own = all
            .iter()
            .find(|(name, _)| *name == task)
            .map_or(Access::Host { user: None }, |(_, access)| access.clone());
        let all: Vec<Access> = all.into_iter().map(|(_, access)| access).collect();
        let on_disk = self.context.alloc_dir.is_some();
        let (task, state_dir) = (task.to_owned(), task_ref.state_dir.clone());
        async move {
            if !on_disk {
                return Ok(());
            }
            tokio::task::spawn_blocking(move || {
                super::dir::make_private(&state_dir)?;
                dir.build(&task, &own, &all)
            })
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
        }
    }

    fn around<'a>(&'a self, node: &'a Node, dir: &'a AllocDir, root: TaskRoot) -> Surroundings<'a> {
        Surroundings {
            node,
            region: &self.context.region,
            host_env: &self.context.host_env,
            dir,
            root,
        }
    }

    fn prepare(
        &self,
        task_ref: &TaskRef,
        driver: Result<Arc<dyn Driver>, String>,
    ) -> Result<(Arc<dyn Driver>, TaskConfig), StartFailure> {
        let failure = |message: String, in_setup| StartFailure {
            message,
            recoverable: false,
            in_setup,
        };
        let driver = driver.map_err(|name| {
            failure(
                format!("driver {name:?} is not enabled on this client"),
                false,
            )
        })?;
        let job = self
            .machine
            .job()
            .ok_or_else(|| failure("the job's specification is missing".to_owned(), true))?;
        let node = self.context.shared.node();
        let dir = self.context.dir(self.machine.id());
        let around = self.around(&node, &dir, driver.root());
        let config = task_config::build(self.machine.alloc(), job, task_ref.clone(), &around)
            .map_err(|message| failure(message, true))?;
        Ok((driver, config))
    }
}

fn running(
    (any, effects): (bool, Vec<AllocEffect>),
) -> (Result<(), HandleError>, Vec<AllocEffect>) {
    let answer = if any {
        Ok(())
    } else {
        Err(HandleError::NotRunning)
    };
    (answer, effects)
}

fn save_backoff(seed: u64) -> Backoff {
    Backoff::new(Duration::from_millis(250), Duration::from_secs(30), seed)
}

fn next_save(mut backoff: Backoff) -> (Instant, Backoff) {
    (Instant::now() + backoff.next_delay(), backoff)
}

/// The id of an alloc, for the manager's map of runners.
pub(crate) fn id_of(begin: &Begin) -> AllocId {
    match begin {
        Begin::New(alloc, _) => alloc.id,
        Begin::Recovered(saved) => saved.alloc.id,
    }
}
