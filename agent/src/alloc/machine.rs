//! The life of one alloc, as a state machine without any I/O: what is wanted of it, its specification, its tasks.
//!
//! An alloc whose tasks are over stays over, whatever is wanted of it later; and no task starts before the store,
//! asked in this life of the agent, wanted the alloc and its room was free.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rove_model::{
    alloc::{Alloc, AllocHealth, AllocStatus, ClientStatus, DesiredStatus, TaskState},
    duration::Nanos,
    eval::AllocMetric,
    ids::{AllocId, Revision, VersionKey},
    job::{Job, JobType, Task, TaskGroup},
};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    health::{Tracker, Verdict},
    turns::{is_open, only_clean_up_is_left, only_sidecars_live, others_are_dead},
};
use crate::{
    clock::Now,
    drivers::Signal,
    task::{
        events,
        hook::Hook,
        machine::{Effect, Input, Policy, Saved, StopCause, TaskMachine},
    },
};

/// What happened to an alloc.
#[derive(Clone, Debug)]
pub(crate) enum AllocInput {
    /// What the store wants of it.
    Wanted(Arc<Alloc>, Revision),
    /// The store has forgotten it.
    Unwanted,
    /// The store wants it, asked in this life of the agent, and its room is free.
    MayStart,
    /// The specification that was asked for, or why there is none.
    Spec(VersionKey, Result<Arc<Job>, String>),
    /// About a task, by its index.
    Task(usize, Input),
    /// The agent ends, and its tasks with it.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AllocEffect {
    /// Fetch a specification: [`AllocInput::Spec`].
    FetchSpec(VersionKey),
    /// For a task, by its index.
    Task(usize, Effect),
}

/// What is kept of an alloc across the agent's lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedAlloc {
    #[serde(serialize_with = "without_metrics")]
    pub alloc: Alloc,
    pub revision: Revision,
    /// The specification it runs.
    pub job: Option<Arc<Job>>,
    pub tasks: BTreeMap<String, Saved>,
    pub health: Option<AllocHealth>,
    /// Why it failed before it had tasks.
    pub failure: Option<String>,
}

/// On this node's disk an alloc needs nothing of what the scheduler saw.
fn without_metrics<S: Serializer>(alloc: &Alloc, serializer: S) -> Result<S::Ok, S::Error> {
    let whole = alloc.clone().with_metrics(AllocMetric::default());
    whole.serialize(serializer)
}

/// What the operator of the node sets over what job files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The longest time between a task's stop signal and its end.
    pub max_kill_timeout: Nanos,
}

pub(crate) struct AllocMachine {
    rules: Rules,
    alloc: Arc<Alloc>,
    revision: Revision,
    unwanted: bool,
    job: Option<Arc<Job>>,
    /// The version that is being fetched.
    fetching: Option<VersionKey>,
    /// A version that can't be had: what runs goes on with what it is, until another is wanted.
    refused: Option<VersionKey>,
    tasks: Vec<TaskMachine>,
    may_start: bool,
    health: Option<AllocHealth>,
    tracker: Option<Tracker>,
    failure: Option<String>,
    shutdown: bool,
}

impl AllocMachine {
    /// An alloc that is new to this agent.
    pub fn new(
        alloc: Arc<Alloc>,
        revision: Revision,
        rules: Rules,
        now: Now,
    ) -> (Self, Vec<AllocEffect>) {
        let mut machine = Self {
            rules,
            alloc,
            revision,
            unwanted: false,
            job: None,
            fetching: None,
            refused: None,
            tasks: Vec::new(),
            may_start: false,
            health: None,
            tracker: None,
            failure: None,
            shutdown: false,
        };
        let effects = machine.reconcile(now);
        (machine, effects)
    }

    /// An alloc of an earlier life of the agent.
    pub fn recover(saved: SavedAlloc, rules: Rules, now: Now) -> (Self, Vec<AllocEffect>) {
        let mut machine = Self {
            rules,
            alloc: Arc::new(saved.alloc),
            revision: saved.revision,
            unwanted: false,
            job: saved.job,
            fetching: None,
            refused: None,
            tasks: Vec::new(),
            may_start: false,
            health: saved.health,
            tracker: None,
            failure: saved.failure,
            shutdown: false,
        };
        let mut effects = Vec::new();
        let mut kept = saved.tasks;
        let job = machine.job.clone();
        let group = job
            .as_ref()
            .and_then(|job| Some((job, job.group(machine.alloc.task_group.as_str())?)));
        if let Some((job, group)) = group {
            for task in &group.tasks {
                let (name, policy) = (task.name.clone(), policy(job, group, task, rules));
                let index = machine.tasks.len();
                let task = match kept.remove(&name) {
                    Some(saved) => {
                        let (task, todo) = TaskMachine::recover(&name, policy, saved, now);
                        effects.extend(todo.into_iter().map(|todo| AllocEffect::Task(index, todo)));
                        task
                    }
                    None => TaskMachine::new(&name, policy, now),
                };
                machine.tasks.push(task);
            }
        }
        effects.extend(machine.reconcile(now));
        (machine, effects)
    }

    pub fn id(&self) -> AllocId {
        self.alloc.id
    }

    pub fn alloc(&self) -> &Arc<Alloc> {
        &self.alloc
    }

    /// The store's revision in which the alloc was last seen.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn job(&self) -> Option<&Arc<Job>> {
        self.job.as_ref()
    }

    pub fn tasks(&self) -> &[TaskMachine] {
        &self.tasks
    }

    pub fn task_index(&self, name: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.name() == name)
    }

    /// It will run nothing any more, and nothing of it is left.
    pub fn is_over(&self) -> bool {
        if self.tasks.is_empty() {
            self.failure.is_some() || !self.is_wanted()
        } else {
            self.tasks.iter().all(TaskMachine::is_over)
        }
    }

    pub fn saved(&self) -> SavedAlloc {
        SavedAlloc {
            alloc: (*self.alloc).clone(),
            revision: self.revision,
            job: self.job.clone(),
            tasks: self
                .tasks
                .iter()
                .map(|task| (task.name().to_owned(), task.saved().clone()))
                .collect(),
            health: self.health.clone(),
            failure: self.failure.clone(),
        }
    }

    /// What the store shall know of it, but for the time.
    pub fn status(&self) -> AllocStatus {
        let (client_status, client_description) = self.client_status();
        AllocStatus {
            id: self.alloc.id,
            client_status,
            client_description,
            task_states: self
                .tasks
                .iter()
                .map(|task| (task.name().to_owned(), task.state().clone()))
                .collect(),
            deployment_status: self.health.clone(),
            job_version: self
                .job
                .as_ref()
                .map_or(self.alloc.job_version, |job| job.version),
            alloc_modify_index: self.revision,
            modify_time: 0,
        }
    }

    fn client_status(&self) -> (ClientStatus, String) {
        use rove_model::alloc::TaskLifeState::{Dead, Pending, Running};
        if let Some(failure) = &self.failure {
            return (ClientStatus::Failed, failure.clone());
        }
        let any = |check: fn(&TaskState) -> bool| self.tasks.iter().any(|task| check(task.state()));
        // Between the end of the main tasks and the start of what comes after them.
        let is_ending = others_are_dead(&self.tasks)
            && any(|task| task.state == Dead && task.started_at.is_some())
            && any(|task| task.state == Pending);
        let (status, description) = if any(|task| task.failed) {
            (ClientStatus::Failed, "Failed tasks")
        } else if is_ending || any(|task| task.state == Running) {
            (ClientStatus::Running, "Tasks are running")
        } else if any(|task| task.state == Pending) {
            (ClientStatus::Pending, "No tasks have started")
        } else if any(|task| task.state == Dead) || !self.is_wanted() {
            (ClientStatus::Complete, "All tasks have completed")
        } else {
            (ClientStatus::Pending, "No tasks have started")
        };
        (status, description.to_owned())
    }

    /// When it next has to be told the time.
    pub fn next_tick(&self) -> Option<Duration> {
        self.tasks
            .iter()
            .filter_map(TaskMachine::next_tick)
            .chain(self.tracker.as_ref().map(Tracker::next_look))
            .min()
    }

    /// Takes note of what happened and says what is to be done. `random` is from 0 to 1.
    pub fn handle(&mut self, input: AllocInput, now: Now, random: f64) -> Vec<AllocEffect> {
        let mut effects = Vec::new();
        match input {
            AllocInput::Wanted(alloc, revision) => {
                self.unwanted = false;
                self.alloc = alloc;
                self.revision = revision;
            }
            AllocInput::Unwanted => self.unwanted = true,
            AllocInput::MayStart => self.may_start = true,
            AllocInput::Spec(version, result) => self.take_spec(&version, result, now),
            AllocInput::Task(index, input) => {
                effects.extend(self.task(index, input, now, random));
            }
            AllocInput::Shutdown => self.shutdown = true,
            AllocInput::Tick => {
                for index in 0..self.tasks.len() {
                    effects.extend(self.task(index, Input::Tick, now, random));
                }
            }
        }
        effects.extend(self.reconcile(now));
        effects
    }

    /// Starts all tasks that run anew; false when there is none.
    pub fn restart(&mut self, task: Option<usize>, now: Now) -> (bool, Vec<AllocEffect>) {
        self.ask_running(task, now, &Input::Restart)
    }

    /// Whether the output of a task is kept, as its job says.
    pub fn keeps_logs(&self, task: &str) -> bool {
        self.job
            .as_ref()
            .and_then(|job| {
                let group = job.group(self.alloc.task_group.as_str())?;
                group.task(task)?.log_config.as_ref()
            })
            .is_none_or(|logs| !logs.is_disabled())
    }

    /// Starts all tasks anew, those that have ended too; false when there is none, as the alloc is about to end.
    pub fn restart_all(&mut self, now: Now) -> (bool, Vec<AllocEffect>) {
        let ends = !self.is_wanted()
            || only_clean_up_is_left(&self.tasks)
            || self
                .tasks
                .iter()
                .any(|task| task.state().failed || (task.policy().leader && task.is_dead()));
        if ends {
            return self.restart(None, now);
        }
        let mut effects = Vec::new();
        let mut any = false;
        // Each in its turn, as at the first start.
        for index in 0..self.tasks.len() {
            effects.extend(self.task(index, Input::Hold, now, 0.0));
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].policy().hook != Hook::Poststop
                && (self.tasks[index].is_running() || self.tasks[index].is_dead())
            {
                any = true;
                effects.extend(self.task(index, Input::RestartEvenEnded, now, 0.0));
            }
        }
        effects.extend(self.reconcile(now));
        (any, effects)
    }

    /// Sends a signal to all tasks that run; false when there is none.
    pub fn signal(
        &mut self,
        task: Option<usize>,
        signal: Signal,
        now: Now,
    ) -> (bool, Vec<AllocEffect>) {
        self.ask_running(task, now, &Input::Signal(signal))
    }

    fn ask_running(
        &mut self,
        task: Option<usize>,
        now: Now,
        input: &Input,
    ) -> (bool, Vec<AllocEffect>) {
        let mut effects = Vec::new();
        let mut any = false;
        for index in 0..self.tasks.len() {
            if task.is_none_or(|task| task == index) && self.tasks[index].is_running() {
                any = true;
                effects.extend(self.task(index, input.clone(), now, 0.0));
            }
        }
        effects.extend(self.reconcile(now));
        (any, effects)
    }

    fn task(&mut self, index: usize, input: Input, now: Now, random: f64) -> Vec<AllocEffect> {
        let Some(task) = self.tasks.get_mut(index) else {
            return Vec::new();
        };
        task.handle(input, now, random)
            .into_iter()
            .map(|effect| AllocEffect::Task(index, effect))
            .collect()
    }

    fn is_wanted(&self) -> bool {
        !self.unwanted && !self.shutdown && self.alloc.desired_status == DesiredStatus::Run
    }

    fn take_spec(&mut self, version: &VersionKey, result: Result<Arc<Job>, String>, now: Now) {
        if self.fetching.as_ref() != Some(version) {
            return;
        }
        self.fetching = None;
        let found = result.and_then(|job| match job.group(self.alloc.task_group.as_str()) {
            Some(group) => Ok((group.clone(), job)),
            None => Err(format!(
                "version {} of job {:?} has no group {:?}",
                version.version,
                version.job.id.as_str(),
                self.alloc.task_group.as_str()
            )),
        });
        match found {
            Err(why) if self.job.is_none() => self.failure = Some(why),
            // What runs goes on as it is; the store shows by the version that the update was not taken over.
            Err(why) => {
                tracing::warn!(alloc = %self.alloc.id, why, "can't take the new version over");
                self.refused = Some(version.clone());
            }
            Ok((group, job)) => {
                let fresh = self.job.is_none();
                for task in &group.tasks {
                    let policy = policy(&job, &group, task, self.rules);
                    match self.task_index(&task.name) {
                        Some(index) => self.tasks[index].set_policy(policy),
                        None if fresh => {
                            self.tasks.push(TaskMachine::new(&task.name, policy, now));
                        }
                        // Another set of tasks is never an in-place update.
                        None => {}
                    }
                }
                self.job = Some(job);
            }
        }
    }

    /// Brings what is going on in line with what is wanted. Done after everything that happened.
    fn reconcile(&mut self, now: Now) -> Vec<AllocEffect> {
        let mut effects = Vec::new();
        if self.is_wanted() {
            effects.extend(self.fetch_wanted_version());
        } else {
            let cause = if self.alloc.no_shutdown_delay {
                StopCause::WantedAtOnce
            } else {
                StopCause::Wanted
            };
            effects.extend(self.stop_all(&cause, now));
        }
        let failed = self
            .tasks
            .iter()
            .find(|task| task.state().failed)
            .map(|task| task.name().to_owned());
        if let Some(failed) = failed {
            effects.extend(self.stop_all(&StopCause::SiblingFailed(failed), now));
        } else if self
            .tasks
            .iter()
            .any(|task| task.policy().leader && task.is_dead())
        {
            effects.extend(self.stop_all(&StopCause::LeaderDead, now));
        }
        if only_sidecars_live(&self.tasks) {
            effects.extend(self.stop_all(&StopCause::MainDead, now));
        }
        for index in 0..self.tasks.len() {
            let input = self.turn(self.tasks[index].policy().hook);
            effects.extend(self.task(index, input, now, 0.0));
        }
        self.judge(now);
        effects
    }

    /// What a task with this hook is told of whether it may start.
    fn turn(&self, hook: Hook) -> Input {
        let is_open = is_open(hook, &self.tasks);
        if hook != Hook::Poststop {
            return if self.may_start && self.is_wanted() && is_open {
                Input::Go
            } else {
                Input::Hold
            };
        }
        // It runs also when the alloc is to end. The room of the others is free for it.
        if self.shutdown {
            Input::Stop(StopCause::Wanted)
        } else if is_open {
            Input::Go
        } else if others_are_dead(&self.tasks) {
            // Nothing was started that it could clean up after.
            Input::Stop(StopCause::Wanted)
        } else {
            Input::Hold
        }
    }

    fn fetch_wanted_version(&mut self) -> Option<AllocEffect> {
        let wanted = self.alloc.version_key();
        let has_it = self
            .job
            .as_ref()
            .is_some_and(|job| job.version == wanted.version);
        let asked = [&self.fetching, &self.refused]
            .into_iter()
            .flatten()
            .any(|version| *version == wanted);
        if has_it || asked || self.failure.is_some() {
            return None;
        }
        self.fetching = Some(wanted.clone());
        Some(AllocEffect::FetchSpec(wanted))
    }

    fn stop_all(&mut self, cause: &StopCause, now: Now) -> Vec<AllocEffect> {
        let mut effects = Vec::new();
        // The leader goes first, so that the others may still serve it; one that cleans up is not there to be served.
        let leader_lives = matches!(cause, StopCause::Wanted | StopCause::WantedAtOnce)
            && self.tasks.iter().any(|task| {
                let policy = task.policy();
                policy.leader && policy.hook != Hook::Poststop && !task.is_dead()
            });
        // Sidecars go last: the others may need them until they have ended.
        let served_live = self.tasks.iter().any(|task| {
            let hook = task.policy().hook;
            !hook.is_sidecar() && hook != Hook::Poststop && !task.is_dead()
        });
        for index in 0..self.tasks.len() {
            let policy = self.tasks[index].policy();
            let serves = policy.hook.is_sidecar() && served_live && !policy.leader;
            if (leader_lives && !policy.leader) || serves || policy.hook == Hook::Poststop {
                continue;
            }
            effects.extend(self.task(index, Input::Stop(cause.clone()), now, 0.0));
        }
        effects
    }

    fn judge(&mut self, now: Now) {
        let wanted = self.alloc.deployment_id;
        let judged = self.health.as_ref().and_then(|health| health.deployment_id);
        let Some(deployment) = wanted.filter(|_| self.is_wanted()) else {
            self.tracker = None;
            return;
        };
        if judged == Some(deployment) {
            self.tracker = None;
            return;
        }
        if self.failure.is_some() {
            self.health = Some(health(false, deployment, now));
            self.tracker = None;
            return;
        }
        let Some(job) = self.job.clone() else {
            return;
        };
        if job.version != self.alloc.job_version || job.job_type() != JobType::Service {
            // Its time would pass over and over until the version is there; a new one begins then.
            self.tracker = None;
            return;
        }
        if self
            .tracker
            .as_ref()
            .is_none_or(|tracker| tracker.deployment() != deployment)
        {
            self.health = None;
            let update = job
                .group(self.alloc.task_group.as_str())
                .and_then(|group| group.update.as_ref())
                .or(job.update.as_ref());
            self.tracker = Tracker::new(deployment, update, now.since_start);
        }
        let Some(tracker) = &mut self.tracker else {
            return;
        };
        let states: Vec<(Hook, &TaskState)> = self
            .tasks
            .iter()
            .map(|task| (task.policy().hook, task.state()))
            .collect();
        match tracker.look(&states, now.since_start) {
            None => {}
            Some(Verdict::Healthy) => {
                self.health = Some(health(true, deployment, now));
                self.tracker = None;
            }
            Some(Verdict::Unhealthy(blamed)) => {
                for (index, why) in blamed {
                    // A task that is dead has said in its events what was wrong.
                    if !self.tasks[index].is_dead() {
                        self.tasks[index].note(events::unhealthy(now.wall, &why));
                    }
                }
                self.health = Some(health(false, deployment, now));
                self.tracker = None;
            }
        }
    }
}

fn health(healthy: bool, deployment: rove_model::ids::DeploymentId, now: Now) -> AllocHealth {
    AllocHealth {
        healthy,
        timestamp: now.wall,
        deployment_id: Some(deployment),
    }
}

fn policy(job: &Job, group: &TaskGroup, task: &Task, rules: Rules) -> Policy {
    let hook = Hook::of(task);
    Policy {
        restart: task
            .restart_policy
            .clone()
            .or_else(|| group.restart_policy.clone())
            .unwrap_or_default(),
        restart_on_success: hook
            .restarts_on_success(matches!(job.job_type(), JobType::Service | JobType::System)),
        kill_timeout: task.kill_timeout().min(rules.max_kill_timeout),
        kill_signal: task.kill_signal.parse().ok(),
        shutdown_delay: task.shutdown_delay.duration(),
        leader: task.leader,
        hook,
    }
}

#[cfg(test)]
mod tests;
