//! The life of one task, as a state machine without any I/O.
//!
//! What was observed goes in, what is to be done comes out; the caller makes the new state durable before it does it.
//! So [`Effect::Start`] is only ever done when the state file says that something may be there, and after a crash at
//! any point the task is looked for before it is started: never two at a time, never one forgotten.

use std::time::Duration;

use rove_model::{
    alloc::{TaskEvent, TaskLifeState, TaskState},
    duration::Nanos,
    ids::UnixNanos,
    job::RestartPolicy,
};
use serde::{Deserialize, Serialize};

use super::{
    events,
    hook::Hook,
    restart::{Ending, Tracker, Verdict},
};
use crate::{
    clock::Now,
    drivers::{ExitResult, Progress, Signal, TaskHandle},
};

/// What the job file says about a task's life.
#[derive(Clone, Debug)]
pub struct Policy {
    /// When it is started again.
    pub restart: RestartPolicy,
    /// Also when it ended well.
    pub restart_on_success: bool,
    /// How long it may take to end when asked to.
    pub kill_timeout: Nanos,
    /// What asks it to end; its driver's own if none.
    pub kill_signal: Option<Signal>,
    /// How long it goes on before it is asked to end.
    pub shutdown_delay: Duration,
    /// Its end ends its group.
    pub leader: bool,
    /// When in the life of its group it runs.
    pub hook: Hook,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// It may start. Told again and again; only the first counts.
    Go,
    /// It may not start any more, until it is told again that it may. What runs goes on.
    Hold,
    /// Its directory was built, or not, in words.
    Built(Result<(), String>),
    /// A word from its driver.
    Progress(Progress),
    /// The start that was asked for came to its end.
    Started(Result<TaskHandle, StartFailure>),
    /// The start was called off, and nothing of it is left.
    StartAborted,
    /// It ended.
    Exited(ExitResult),
    /// What was left of it is gone.
    Destroyed,
    /// It shall end for good.
    Stop(StopCause),
    /// A user wants it started anew, if it runs.
    Restart,
    /// A user wants it started anew, also when it has ended.
    RestartEvenEnded,
    /// A user wants a signal sent.
    Signal(Signal),
    /// What became of it while the agent was away.
    Recovered(Found),
    /// Time has passed.
    Tick,
}

/// Why a start did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// In words.
    pub message: String,
    /// Trying again may help.
    pub recoverable: bool,
    /// It did not come to the driver.
    pub in_setup: bool,
}

/// Why a task shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// The alloc is to stop, or the agent with its tasks.
    Wanted,
    /// The same, without its shutdown delay.
    WantedAtOnce,
    /// A sibling failed; its name.
    SiblingFailed(String),
    /// The leader ended.
    LeaderDead,
    /// Those that it served ended.
    MainDead,
}

/// What was found of a task after the agent was away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It runs.
    Running(TaskHandle),
    /// It has ended.
    Exited(TaskHandle, ExitResult),
    /// It ran, and no trace of it is left.
    Gone,
    /// It was never started.
    NeverStarted,
}

/// What is to be done. Each is done once, and answered by the input it names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Build its directory: [`Input::Built`].
    Build,
    /// Start it: [`Input::Started`].
    Start,
    /// Call the start off: [`Input::Started`] if that was faster, else [`Input::StartAborted`].
    AbortStart,
    /// Wait for its end: [`Input::Exited`].
    Wait(TaskHandle),
    /// Ask it to end, and make it: then the wait ends.
    Stop {
        /// Which.
        handle: TaskHandle,
        /// What asks it.
        signal: Option<Signal>,
        /// How long it may take.
        timeout: Duration,
    },
    /// Send a signal; no answer.
    Signal(TaskHandle, Signal),
    /// Remove what is left of it: [`Input::Destroyed`].
    Destroy(TaskHandle),
    /// Find out what became of it: [`Input::Recovered`].
    Recover(Option<TaskHandle>),
}

/// What is kept of a task across the agent's lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// What is known of it.
    pub state: TaskState,
    /// It was about to be started: something of it may be there, even without a handle.
    #[serde(default)]
    pub intent: bool,
    /// How to find it.
    #[serde(default)]
    pub handle: Option<TaskHandle>,
    /// The end of what `handle` names was taken note of: it only has to be removed.
    #[serde(default)]
    pub ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Recovering,
    Building,
    Starting,
    Aborting,
    Running,
    Draining { until: Duration },
    Stopping,
    Delayed { until: Duration },
    Dead,
}

/// One task.
#[derive(Clone, Debug)]
pub struct TaskMachine {
    name: String,
    policy: Policy,
    tracker: Tracker,
    saved: Saved,
    phase: Phase,
    /// It may start, as was said in this life of the agent. Not even a restart that was due before is done without.
    may_start: bool,
    stop_wanted: bool,
    /// Its shutdown delay is skipped.
    without_delay: bool,
    restart_wanted: bool,
    was_lost: bool,
}

/// How a task that is gone is spoken of.
const GONE: &str = "Task was gone when the agent came back";

impl TaskMachine {
    /// A task that the agent has just taken over.
    #[must_use]
    pub fn new(name: &str, policy: Policy, now: Now) -> Self {
        let mut state = TaskState {
            state: TaskLifeState::Pending,
            failed: false,
            restarts: 0,
            last_restart: None,
            started_at: None,
            finished_at: None,
            events: Vec::new(),
        };
        events::push(&mut state, events::received(now.wall));
        Self {
            name: name.to_owned(),
            tracker: tracker(&policy, now),
            policy,
            saved: Saved {
                state,
                intent: false,
                handle: None,
                ended: false,
            },
            phase: Phase::Waiting,
            may_start: false,
            stop_wanted: false,
            without_delay: false,
            restart_wanted: false,
            was_lost: false,
        }
    }

    /// A task of an earlier life of the agent, and what is to be done first.
    pub fn recover(name: &str, policy: Policy, saved: Saved, now: Now) -> (Self, Vec<Effect>) {
        let (phase, effects) = match (&saved.handle, saved.intent, saved.ended) {
            (Some(handle), _, true) => {
                let phase = if saved.state.state == TaskLifeState::Dead {
                    Phase::Dead
                } else {
                    Phase::Delayed {
                        until: now.since_start,
                    }
                };
                (phase, vec![Effect::Destroy(handle.clone())])
            }
            (Some(handle), _, false) => (
                Phase::Recovering,
                vec![Effect::Recover(Some(handle.clone()))],
            ),
            (None, true, _) => (Phase::Recovering, vec![Effect::Recover(None)]),
            (None, false, _) if saved.state.state == TaskLifeState::Dead => {
                (Phase::Dead, Vec::new())
            }
            (None, false, _) => (Phase::Waiting, Vec::new()),
        };
        let machine = Self {
            name: name.to_owned(),
            tracker: tracker(&policy, now),
            policy,
            saved,
            phase,
            may_start: false,
            stop_wanted: false,
            without_delay: false,
            restart_wanted: false,
            was_lost: false,
        };
        (machine, effects)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the job file says about its life.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes a changed job file over. What runs goes on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.tracker.set_policy(policy.restart.clone());
        self.policy = policy;
    }

    /// What is known of it.
    #[must_use]
    pub fn state(&self) -> &TaskState {
        &self.saved.state
    }

    /// What has to be kept.
    #[must_use]
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// How to reach it, while it runs.
    #[must_use]
    pub fn running_handle(&self) -> Option<&TaskHandle> {
        match self.phase {
            Phase::Running | Phase::Draining { .. } | Phase::Stopping => self.saved.handle.as_ref(),
            Phase::Waiting
            | Phase::Recovering
            | Phase::Building
            | Phase::Starting
            | Phase::Aborting
            | Phase::Delayed { .. }
            | Phase::Dead => None,
        }
    }

    /// It runs, and nobody has asked it to end.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running && !self.restart_wanted
    }

    /// It was asked to start anew, and has still to end.
    #[must_use]
    pub fn ends_to_start_anew(&self) -> bool {
        self.restart_wanted
    }

    /// It will not start again.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// It will not start again, and nothing of it is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_dead() && !self.is_dirty()
    }

    /// When it next has to be told the time.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        match self.phase {
            Phase::Draining { until } => Some(until),
            // Until it may start and what was there is removed there is nothing to do.
            Phase::Delayed { until } if self.may_start && !self.is_dirty() => Some(until),
            _ => None,
        }
    }

    /// Appends an event that has its cause outside of the task.
    pub fn note(&mut self, event: TaskEvent) {
        events::push(&mut self.saved.state, event);
    }

    /// Takes note of what happened and says what is to be done. `random` is from 0 to 1.
    pub fn handle(&mut self, input: Input, now: Now, random: f64) -> Vec<Effect> {
        match input {
            Input::Go => self.go(now),
            Input::Hold => {
                self.may_start = false;
                Vec::new()
            }
            Input::Built(result) => self.built(result, now, random),
            Input::Progress(progress) => {
                if self.phase == Phase::Starting {
                    self.note(events::driver_message(now.wall, progress));
                }
                Vec::new()
            }
            Input::Started(Ok(handle)) => self.started(handle, now),
            Input::Started(Err(failure)) => self.not_started(&failure, now, random),
            Input::StartAborted => {
                if self.phase == Phase::Aborting {
                    self.saved.intent = false;
                    self.die(false, now.wall);
                }
                Vec::new()
            }
            Input::Exited(exit) => self.exited(&exit, now, random),
            Input::Destroyed => {
                self.saved.handle = None;
                self.saved.intent = false;
                self.saved.ended = false;
                self.tick(now)
            }
            Input::Stop(cause) => self.stop(&cause, now),
            Input::Restart => self.restart(now),
            Input::RestartEvenEnded if self.is_dead() => self.revive(now, random),
            Input::RestartEvenEnded => self.restart(now),
            Input::Signal(signal) => match self.running_handle().cloned() {
                Some(handle) => {
                    self.note(events::signaling(now.wall, signal));
                    vec![Effect::Signal(handle, signal)]
                }
                None => Vec::new(),
            },
            Input::Recovered(found) => self.recovered(found, now, random),
            Input::Tick => self.tick(now),
        }
    }

    fn is_dirty(&self) -> bool {
        self.saved.intent || self.saved.handle.is_some()
    }

    fn go(&mut self, now: Now) -> Vec<Effect> {
        let first = !std::mem::replace(&mut self.may_start, true);
        if self.phase != Phase::Waiting {
            // A restart may have been due before it was allowed.
            return if first { self.tick(now) } else { Vec::new() };
        }
        if self.was_lost {
            self.was_lost = false;
            self.count_restart(Duration::ZERO, GONE, now);
        } else if self.saved.state.started_at.is_none() {
            self.note(events::setup(now.wall));
        }
        self.phase = Phase::Building;
        vec![Effect::Build]
    }

    fn built(&mut self, result: Result<(), String>, now: Now, random: f64) -> Vec<Effect> {
        if self.phase != Phase::Building {
            return Vec::new();
        }
        if self.stop_wanted {
            self.die(false, now.wall);
            return Vec::new();
        }
        match result {
            Ok(()) => self.start(),
            Err(message) => {
                let failure = StartFailure {
                    message,
                    recoverable: true,
                    in_setup: true,
                };
                self.phase = Phase::Starting;
                self.not_started(&failure, now, random)
            }
        }
    }

    fn start(&mut self) -> Vec<Effect> {
        self.phase = Phase::Starting;
        self.saved.intent = true;
        vec![Effect::Start]
    }

    fn started(&mut self, handle: TaskHandle, now: Now) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Starting | Phase::Aborting) {
            return Vec::new();
        }
        self.run(handle.clone(), now.wall, now.wall);
        let mut effects = vec![Effect::Wait(handle)];
        if self.stop_wanted {
            effects.extend(self.drain(now));
        }
        effects
    }

    fn run(&mut self, handle: TaskHandle, started_at: UnixNanos, now: UnixNanos) {
        self.phase = Phase::Running;
        self.saved.handle = Some(handle);
        self.saved.intent = true;
        self.saved.ended = false;
        self.saved.state.state = TaskLifeState::Running;
        self.saved.state.started_at = Some(started_at);
        self.note(events::started(now));
    }

    fn not_started(&mut self, failure: &StartFailure, now: Now, random: f64) -> Vec<Effect> {
        let aborting = self.phase == Phase::Aborting;
        if !aborting && self.phase != Phase::Starting {
            return Vec::new();
        }
        self.saved.intent = false;
        self.note(if failure.in_setup {
            events::setup_failure(now.wall, &failure.message)
        } else {
            events::driver_failure(now.wall, &failure.message)
        });
        if aborting {
            self.die(false, now.wall);
            return Vec::new();
        }
        let ending = Ending::NotStarted {
            recoverable: failure.recoverable,
        };
        self.after(ending, now, random);
        self.tick(now)
    }

    fn exited(&mut self, exit: &ExitResult, now: Now, random: f64) -> Vec<Effect> {
        if !matches!(
            self.phase,
            Phase::Running | Phase::Draining { .. } | Phase::Stopping
        ) {
            return Vec::new();
        }
        self.note(events::terminated(now.wall, exit));
        self.saved.ended = true;
        let effects: Vec<Effect> = self
            .saved
            .handle
            .clone()
            .map(Effect::Destroy)
            .into_iter()
            .collect();
        if self.stop_wanted {
            if self.phase == Phase::Stopping {
                self.note(events::killed(now.wall));
            }
            self.die(false, now.wall);
        } else if std::mem::take(&mut self.restart_wanted) {
            self.after(Ending::Asked, now, random);
        } else {
            self.after(Ending::Exited(exit), now, random);
        }
        effects
    }

    fn after(&mut self, ending: Ending<'_>, now: Now, random: f64) {
        match self.tracker.decide(ending, now.since_start, random) {
            Verdict::Restart { after, reason } => {
                self.count_restart(after, &reason, now);
                self.phase = Phase::Delayed {
                    until: now.since_start.saturating_add(after),
                };
            }
            Verdict::Done => self.die(false, now.wall),
            Verdict::Fail { reason } => {
                self.note(events::not_restarting(now.wall, &reason));
                self.die(true, now.wall);
            }
        }
    }

    fn count_restart(&mut self, after: Duration, reason: &str, now: Now) {
        self.note(events::restarting(now.wall, after.into(), reason));
        self.saved.state.state = TaskLifeState::Pending;
        self.saved.state.restarts += 1;
        self.saved.state.last_restart = Some(now.wall);
    }

    fn die(&mut self, failed: bool, now: UnixNanos) {
        self.phase = Phase::Dead;
        self.saved.state.state = TaskLifeState::Dead;
        self.saved.state.failed = failed;
        self.saved.state.finished_at = Some(now);
    }

    fn stop(&mut self, cause: &StopCause, now: Now) -> Vec<Effect> {
        if *cause == StopCause::WantedAtOnce {
            self.without_delay = true;
            if matches!(self.phase, Phase::Draining { .. }) {
                return self.kill(now);
            }
        }
        if self.stop_wanted || self.is_dead() {
            return Vec::new();
        }
        self.stop_wanted = true;
        match cause {
            StopCause::Wanted | StopCause::WantedAtOnce => {}
            StopCause::SiblingFailed(sibling) => {
                self.note(events::sibling_failed(now.wall, sibling));
            }
            StopCause::LeaderDead => self.note(events::leader_dead(now.wall)),
            StopCause::MainDead => self.note(events::main_dead(now.wall)),
        }
        match self.phase {
            Phase::Waiting | Phase::Delayed { .. } => {
                self.die(false, now.wall);
                Vec::new()
            }
            Phase::Starting => {
                self.phase = Phase::Aborting;
                vec![Effect::AbortStart]
            }
            Phase::Running => self.drain(now),
            // It was to be restarted: the end that is under way is now the last one.
            Phase::Stopping => {
                self.note(events::killing(now.wall, self.policy.kill_timeout));
                Vec::new()
            }
            Phase::Building
            | Phase::Recovering
            | Phase::Aborting
            | Phase::Draining { .. }
            | Phase::Dead => Vec::new(),
        }
    }

    fn drain(&mut self, now: Now) -> Vec<Effect> {
        if self.without_delay || self.policy.shutdown_delay.is_zero() {
            return self.kill(now);
        }
        self.phase = Phase::Draining {
            until: now.since_start.saturating_add(self.policy.shutdown_delay),
        };
        Vec::new()
    }

    fn kill(&mut self, now: Now) -> Vec<Effect> {
        let Some(handle) = self.saved.handle.clone() else {
            return Vec::new();
        };
        self.phase = Phase::Stopping;
        if self.stop_wanted {
            self.note(events::killing(now.wall, self.policy.kill_timeout));
        }
        vec![Effect::Stop {
            handle,
            signal: self.policy.kill_signal,
            timeout: self.policy.kill_timeout.duration(),
        }]
    }

    fn restart(&mut self, now: Now) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        self.note(events::restart_requested(now.wall));
        self.restart_wanted = true;
        self.kill(now)
    }

    /// Starts a task that has ended, but for one that was to end.
    fn revive(&mut self, now: Now, random: f64) -> Vec<Effect> {
        if self.stop_wanted {
            return Vec::new();
        }
        self.note(events::restart_requested(now.wall));
        self.saved.state.failed = false;
        self.saved.state.finished_at = None;
        self.after(Ending::Asked, now, random);
        // What is left of it is removed first.
        self.tick(now)
    }

    fn recovered(&mut self, found: Found, now: Now, random: f64) -> Vec<Effect> {
        if self.phase != Phase::Recovering {
            return Vec::new();
        }
        match found {
            Found::Running(handle) => {
                self.take_over(handle.clone(), now);
                let mut effects = vec![Effect::Wait(handle)];
                if self.stop_wanted {
                    effects.extend(self.drain(now));
                }
                effects
            }
            Found::Exited(handle, exit) => {
                self.take_over(handle, now);
                self.exited(&exit, now, random)
            }
            Found::Gone | Found::NeverStarted => {
                self.was_lost = found == Found::Gone;
                self.saved.handle = None;
                self.saved.intent = false;
                if self.stop_wanted {
                    self.die(false, now.wall);
                } else {
                    self.phase = Phase::Waiting;
                    self.saved.state.state = TaskLifeState::Pending;
                }
                Vec::new()
            }
        }
    }

    fn take_over(&mut self, handle: TaskHandle, now: Now) {
        if self.saved.state.state == TaskLifeState::Running {
            self.phase = Phase::Running;
            self.saved.handle = Some(handle);
            self.saved.intent = true;
        } else {
            // It was started, and the agent died before it could say so.
            let started_at = handle.started_at();
            self.run(handle, started_at, now.wall);
        }
    }

    fn tick(&mut self, now: Now) -> Vec<Effect> {
        match self.phase {
            Phase::Draining { until } if until <= now.since_start => self.kill(now),
            Phase::Delayed { until }
                if self.may_start && until <= now.since_start && !self.is_dirty() =>
            {
                self.start()
            }
            _ => Vec::new(),
        }
    }
}

fn tracker(policy: &Policy, now: Now) -> Tracker {
    Tracker::new(
        policy.restart.clone(),
        policy.restart_on_success,
        now.since_start,
    )
}

#[cfg(test)]
mod tests;
