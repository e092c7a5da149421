//! Whether an alloc counts as healthy in its deployment.

use std::time::Duration;

use rove_model::{
    alloc::{TaskLifeState, TaskState},
    duration::Nanos,
    ids::{DeploymentId, UnixNanos},
    job::UpdateStrategy,
};

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

    /// Looks at the tasks. Once it gave a verdict it is not to be asked again.
    #[must_use]
    pub fn look(&mut self, tasks: &[&TaskState], now: Duration) -> Option<Verdict> {
        let ended = tasks
            .iter()
            .any(|task| task.failed || task.state == TaskLifeState::Dead);
        if ended {
            return Some(Verdict::Unhealthy(blame(tasks, |task| {
                (task.failed || task.state == TaskLifeState::Dead)
                    .then(|| "Unhealthy because of failed task".to_owned())
            })));
        }
        let running = tasks
            .iter()
            .all(|task| task.state == TaskLifeState::Running);
        if running && !tasks.is_empty() {
            let starts: Vec<_> = tasks.iter().map(|task| task.started_at).collect();
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
        Some(Verdict::Unhealthy(blame(tasks, |task| {
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

fn blame(tasks: &[&TaskState], why: impl Fn(&TaskState) -> Option<String>) -> Vec<(usize, String)> {
    tasks
        .iter()
        .enumerate()
        .filter_map(|(index, task)| Some((index, why(task)?)))
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
    fn healthy_once_all_tasks_ran_for_min_healthy_time() {
        let at = Duration::from_secs;
        let mut tracker = tracker();
        let (one, other) = (task(RUNNING, Some(1)), task(PENDING, None));
        assert_eq!(tracker.look(&[&one, &other], at(1)), None);
        assert_eq!(tracker.next_look(), at(300));
        let other = task(RUNNING, Some(2));
        assert_eq!(tracker.look(&[&one, &other], at(5)), None);
        assert_eq!(tracker.next_look(), at(15));
        assert_eq!(tracker.look(&[&one, &other], at(14)), None);
        assert_eq!(
            tracker.look(&[&one, &other], at(15)),
            Some(Verdict::Healthy)
        );
    }

    #[test]
    fn a_restart_begins_the_wait_anew_even_if_nobody_saw_it() {
        let at = Duration::from_secs;
        let mut tracker = tracker();
        assert_eq!(tracker.look(&[&task(RUNNING, Some(1))], at(1)), None);
        assert_eq!(tracker.look(&[&task(RUNNING, Some(9))], at(9)), None);
        assert_eq!(tracker.look(&[&task(RUNNING, Some(9))], at(12)), None);
        assert_eq!(
            tracker.look(&[&task(RUNNING, Some(9))], at(19)),
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
            let found = tracker().look(&states.iter().collect::<Vec<_>>(), time);
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
