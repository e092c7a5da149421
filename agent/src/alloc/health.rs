//! Whether an alloc counts as healthy in its deployment.

use std::time::Duration;

use rove_model::{
    alloc::{TaskLifeState, TaskState},
    duration::Nanos,
    ids::{DeploymentId, UnixNanos},
    job::UpdateStrategy,
};

use crate::task::hook::Hook;

/// The verdict on an alloc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All tasks ran long enough.
    Healthy,
    /// A task ended, or time is up; by the task's index, why.
    Unhealthy(Vec<(usize, String)>),
}

/// Watches the tasks of one alloc for one deployment.
#[derive(Clone, Debug)]
pub struct Tracker {
    deployment: DeploymentId,
    min_healthy_time: Nanos,
    healthy_deadline: Nanos,
    began: Duration,
    steady: Option<Steady>,
}

/// All tasks run, in these starts, since then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Steady {
    starts: Vec<Option<UnixNanos>>,
    since: Duration,
}

impl Tracker {
    /// A tracker for `deployment` that begins at `now`; none when health isn't told by the tasks.
    #[must_use]
    pub fn new(
        deployment: DeploymentId,
        update: Option<&UpdateStrategy>,
        now: Duration,
    ) -> Option<Self> {
        let update = update?;
        if update.health_check() == "manual" {
            return None;
        }
        Some(Self {
            deployment,
            min_healthy_time: update.min_healthy_time(),
            healthy_deadline: update.healthy_deadline(),
            began: now,
            steady: None,
        })
    }

    /// The deployment it watches for.
    #[must_use]
    pub fn deployment(&self) -> DeploymentId {
        self.deployment
    }

    /// Looks at the tasks. Once it gave a verdict it is not to be asked again. What runs after the others says nothing
    /// of their health, and what does its work once counts as long as it has not ended well.
    #[must_use]
    pub fn look(&mut self, tasks: &[(Hook, &TaskState)], now: Duration) -> Option<Verdict> {
        let lasting = tasks.iter().filter(|(hook, _)| !hook.is_once());
        let tasks: Vec<Option<&TaskState>> = tasks
            .iter()
            .map(|(hook, task)| {
                let is_done = hook.is_once() && task.state == TaskLifeState::Dead && !task.failed;
                (*hook != Hook::Poststop && !is_done).then_some(*task)
            })
            .collect();
        let counted = || tasks.iter().copied().flatten();
        let has_ended = |task: &TaskState| task.failed || task.state == TaskLifeState::Dead;
        if counted().any(has_ended) {
            return Some(Verdict::Unhealthy(blame(&tasks, |task| {
                has_ended(task).then(|| "Unhealthy because of failed task".to_owned())
            })));
        }
        let running = counted().all(|task| task.state == TaskLifeState::Running);
        if running && counted().next().is_some() {
            let starts: Vec<_> = lasting.map(|(_, task)| task.started_at).collect();
            if self
                .steady
                .as_ref()
                .is_none_or(|steady| steady.starts != starts)
            {
                self.steady = Some(Steady { starts, since: now });
            }
        } else {
            self.steady = None;
        }
        if self.steady_until().is_some_and(|until| until <= now) {
            return Some(Verdict::Healthy);
        }
        if self.deadline() > now {
            return None;
        }
        Some(Verdict::Unhealthy(blame(&tasks, |task| {
            Some(if task.state == TaskLifeState::Running {
                format!(
                    "Task not running for min_healthy_time of {} by healthy_deadline of {}",
                    self.min_healthy_time, self.healthy_deadline
                )
            } else {
                format!(
                    "Task not running by healthy_deadline of {}",
                    self.healthy_deadline
                )
            })
        })))
    }

    /// When it has to look again though nothing happens.
    #[must_use]
    pub fn next_look(&self) -> Duration {
        let deadline = self.deadline();
        self.steady_until()
            .map_or(deadline, |until| until.min(deadline))
    }

    fn steady_until(&self) -> Option<Duration> {
        let since = self.steady.as_ref()?.since;
        Some(since.saturating_add(self.min_healthy_time.duration()))
    }

    fn deadline(&self) -> Duration {
        self.began.saturating_add(self.healthy_deadline.duration())
    }
}

/// Whose fault it is, of those who count.
fn blame(
    tasks: &[Option<&TaskState>],
    why: impl Fn(&TaskState) -> Option<String>,
) -> Vec<(usize, String)> {
    tasks
        .iter()
        .enumerate()
        .filter_map(|(index, task)| Some((index, why((*task)?)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn task(state: TaskLifeState, started_at: Option<UnixNanos>) -> TaskState {
        TaskState {
            state,
            failed: false,
            restarts: 0,
            last_restart: None,
            started_at,
            finished_at: None,
            events: Vec::new(),
        }
    }

    fn main<'a>(tasks: &[&'a TaskState]) -> Vec<(Hook, &'a TaskState)> {
        tasks.iter().map(|task| (Hook::Main, *task)).collect()
    }

    fn tracker() -> Tracker {
        Tracker::new(
            DeploymentId::from_random([1; 16]),
            Some(&UpdateStrategy::defaults()),
            Duration::ZERO,
        )
        .unwrap()
    }

    const RUNNING: TaskLifeState = TaskLifeState::Running;
    const PENDING: TaskLifeState = TaskLifeState::Pending;

    #[test]
    fn what_does_its_work_once_may_have_ended_well_and_what_comes_after_does_not_count() {
        let at = Duration::from_secs;
        let once = Hook::Prestart { sidecar: false };
        let after = Hook::Poststart { sidecar: false };
        let sidecar = Hook::Poststart { sidecar: true };
        let dead = |failed| TaskState {
            failed,
            ..task(TaskLifeState::Dead, Some(1))
        };
        let (ended, failed) = (dead(false), dead(true));
        let (runs, waits) = (task(RUNNING, Some(2)), task(PENDING, None));
        for (what, tasks, verdict) in [
            (
                "all as it should be",
                vec![
                    (once, &ended),
                    (Hook::Main, &runs),
                    (after, &ended),
                    (Hook::Poststop, &waits),
                ],
                Some(Verdict::Healthy),
            ),
            (
                "what comes after the start runs",
                vec![(Hook::Main, &runs), (after, &runs), (sidecar, &runs)],
                Some(Verdict::Healthy),
            ),
            (
                "what comes before has not ended",
                vec![(once, &runs), (Hook::Main, &waits)],
                None,
            ),
            (
                "what comes after the start waits",
                vec![(Hook::Main, &runs), (after, &waits)],
                None,
            ),
            (
                "what comes before failed",
                vec![(once, &failed), (Hook::Main, &waits)],
                Some(Verdict::Unhealthy(vec![(
                    0,
                    "Unhealthy because of failed task".to_owned(),
                )])),
            ),
            (
                "a sidecar ended",
                vec![(Hook::Main, &runs), (sidecar, &ended)],
                Some(Verdict::Unhealthy(vec![(
                    1,
                    "Unhealthy because of failed task".to_owned(),
                )])),
            ),
        ] {
            let mut tracker = tracker();
            let first = tracker.look(&tasks, at(1));
            let found = first.or_else(|| tracker.look(&tasks, at(12)));
            assert_eq!(found, verdict, "{what}");
        }
    }

    #[test]
    fn healthy_once_all_tasks_ran_for_min_healthy_time() {
        let at = Duration::from_secs;
        let mut tracker = tracker();
        let (one, other) = (task(RUNNING, Some(1)), task(PENDING, None));
        assert_eq!(tracker.look(&main(&[&one, &other]), at(1)), None);
        assert_eq!(tracker.next_look(), at(300));
        let other = task(RUNNING, Some(2));
        assert_eq!(tracker.look(&main(&[&one, &other]), at(5)), None);
        assert_eq!(tracker.next_look(), at(15));
        assert_eq!(tracker.look(&main(&[&one, &other]), at(14)), None);
        assert_eq!(
            tracker.look(&main(&[&one, &other]), at(15)),
            Some(Verdict::Healthy)
        );
    }

    #[test]
    fn a_restart_begins_the_wait_anew_even_if_nobody_saw_it() {
        let at = Duration::from_secs;
        let mut tracker = tracker();
        assert_eq!(tracker.look(&main(&[&task(RUNNING, Some(1))]), at(1)), None);
        assert_eq!(tracker.look(&main(&[&task(RUNNING, Some(9))]), at(9)), None);
        assert_eq!(
            tracker.look(&main(&[&task(RUNNING, Some(9))]), at(12)),
            None
        );
        assert_eq!(
            tracker.look(&main(&[&task(RUNNING, Some(9))]), at(19)),
            Some(Verdict::Healthy)
        );
    }

    #[test]
    fn unhealthy_by_a_task_that_ends_or_by_the_deadline() {
        let at = Duration::from_secs;
        for (what, states, time, expected) in [
            (
                "a task is dead",
                vec![task(RUNNING, Some(1)), task(TaskLifeState::Dead, Some(1))],
                at(2),
                Some(vec![(1, "Unhealthy because of failed task")]),
            ),
            ("nothing yet", vec![task(PENDING, None)], at(299), None),
            (
                "time is up",
                vec![task(PENDING, None), task(RUNNING, Some(1))],
                at(300),
                Some(vec![
                    (0, "Task not running by healthy_deadline of 5m0s"),
                    (
                        1,
                        "Task not running for min_healthy_time of 10s by healthy_deadline of 5m0s",
                    ),
                ]),
            ),
        ] {
            let found = tracker().look(&main(&states.iter().collect::<Vec<_>>()), time);
            let expected = expected.map(|blamed| {
                Verdict::Unhealthy(
                    blamed
                        .into_iter()
                        .map(|(index, why)| (index, why.to_owned()))
                        .collect(),
                )
            });
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn health_that_an_operator_tells_is_not_judged() {
        let manual = UpdateStrategy {
            health_check: Some("manual".to_owned()),
            ..UpdateStrategy::defaults()
        };
        let id = DeploymentId::from_random([1; 16]);
        assert!(Tracker::new(id, Some(&manual), Duration::ZERO).is_none());
        assert!(Tracker::new(id, None, Duration::ZERO).is_none());
    }
}
