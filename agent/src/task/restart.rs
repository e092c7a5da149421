//! Whether and when a task that ended is started again: the restart policy, on a clock that never jumps.

use std::time::Duration;

use rove_model::{
    duration::Nanos,
    job::{RestartMode, RestartPolicy},
};

use crate::drivers::ExitResult;

/// The reason that is not worth a word.
pub const WITHIN_POLICY: &str = "Restart within policy";

/// The most that jitter adds to a delay.
const JITTER: f64 = 0.25;

/// How a task came to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending<'a> {
    /// It ran, and ended by itself.
    Exited(&'a ExitResult),
    /// It could not be started.
    NotStarted {
        /// Trying again may help.
        recoverable: bool,
    },
    /// A user asked for its restart.
    Asked,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Started again after the delay.
    Restart {
        /// The delay.
        after: Duration,
        /// Why, in words.
        reason: String,
    },
    /// It did what it should.
    Done,
    /// It failed for good.
    Fail {
        /// Why, in words.
        reason: String,
    },
}

/// Counts the restarts of one task.
#[derive(Clone, Debug)]
pub struct Tracker {
    policy: RestartPolicy,
    on_success: bool,
    count: u64,
    interval_began: Duration,
}

impl Tracker {
    /// A tracker that begins to count at `now`. `on_success`: a task that ends well is started again, as services are.
    #[must_use]
    pub fn new(policy: RestartPolicy, on_success: bool, now: Duration) -> Self {
        Self {
            policy,
            on_success,
            count: 0,
            interval_began: now,
        }
    }

    /// Takes a changed policy over; what was counted stays.
    pub fn set_policy(&mut self, policy: RestartPolicy) {
        self.policy = policy;
    }

    /// Decides. `random` is from 0 to 1.
    #[must_use]
    pub fn decide(&mut self, ending: Ending<'_>, now: Duration, random: f64) -> Verdict {
        let done = matches!(ending, Ending::Exited(exit) if exit.successful() && !self.on_success);
        if ending == Ending::Asked {
            return Verdict::Restart {
                after: Duration::ZERO,
                reason: String::new(),
            };
        }
        if done {
            return Verdict::Done;
        }
        let attempts = self.policy.attempts();
        if attempts == 0 && self.policy.mode() == RestartMode::Fail {
            return Verdict::Fail {
                reason: "Policy allows no restarts".to_owned(),
            };
        }
        let interval = self.policy.interval();
        if now > self.interval_began.saturating_add(interval.duration()) {
            self.count = 0;
            self.interval_began = now;
        }
        self.count += 1;
        if ending == (Ending::NotStarted { recoverable: false }) {
            return Verdict::Fail {
                reason: "Error was unrecoverable".to_owned(),
            };
        }
        if self.count <= attempts {
            return Verdict::Restart {
                after: with_jitter(self.policy.delay(), random),
                reason: WITHIN_POLICY.to_owned(),
            };
        }
        match self.policy.mode() {
            RestartMode::Fail => Verdict::Fail {
                reason: format!(
                    "Exceeded allowed attempts {attempts} in interval {interval} and mode is \"fail\""
                ),
            },
            RestartMode::Delay => Verdict::Restart {
                after: self
                    .interval_began
                    .saturating_add(interval.duration())
                    .saturating_sub(now),
                reason: "Exceeded allowed attempts, applying a delay".to_owned(),
            },
        }
    }
}

/// Rounded to the millisecond: people read it.
fn with_jitter(delay: Nanos, random: f64) -> Duration {
    let delay = delay.duration();
    let whole = delay.saturating_add(delay.mul_f64(JITTER * random.clamp(0.0, 1.0)));
    Duration::from_millis(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts: i64, mode: &str) -> RestartPolicy {
        RestartPolicy {
            interval: Some(Nanos::mins(30)),
            attempts: Some(attempts),
            delay: Some(Nanos::secs(15)),
            mode: Some(mode.to_owned()),
            render_templates: None,
        }
    }

    fn bad() -> ExitResult {
        ExitResult {
            exit_code: 1,
            ..ExitResult::default()
        }
    }

    fn restart(seconds: u64, reason: &str) -> Verdict {
        Verdict::Restart {
            after: Duration::from_secs(seconds),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn one_ending_of_a_fresh_task() {
        let good = ExitResult::default();
        let bad = bad();
        let not_started = |recoverable| Ending::NotStarted { recoverable };
        let fail = |reason: &str| Verdict::Fail {
            reason: reason.to_owned(),
        };
        for (what, attempts, mode, on_success, ending, expected) in [
            (
                "a service that fails is restarted",
                2,
                "fail",
                true,
                Ending::Exited(&bad),
                restart(15, WITHIN_POLICY),
            ),
            (
                "a service that ends well too",
                2,
                "fail",
                true,
                Ending::Exited(&good),
                restart(15, WITHIN_POLICY),
            ),
            (
                "a batch task that ends well is done",
                2,
                "fail",
                false,
                Ending::Exited(&good),
                Verdict::Done,
            ),
            (
                "a batch task that fails is restarted",
                2,
                "fail",
                false,
                Ending::Exited(&bad),
                restart(15, WITHIN_POLICY),
            ),
            (
                "no attempts",
                0,
                "fail",
                false,
                Ending::Exited(&bad),
                fail("Policy allows no restarts"),
            ),
            (
                "no attempts, but done",
                0,
                "fail",
                false,
                Ending::Exited(&good),
                Verdict::Done,
            ),
            (
                "no attempts waits for the next interval in mode delay",
                0,
                "delay",
                true,
                Ending::Exited(&bad),
                restart(1800, "Exceeded allowed attempts, applying a delay"),
            ),
            (
                "a start that may work later",
                2,
                "fail",
                true,
                not_started(true),
                restart(15, WITHIN_POLICY),
            ),
            (
                "a start that never will",
                2,
                "fail",
                true,
                not_started(false),
                fail("Error was unrecoverable"),
            ),
            (
                "a user's wish counts even without attempts",
                0,
                "fail",
                true,
                Ending::Asked,
                restart(0, ""),
            ),
        ] {
            let mut tracker = Tracker::new(policy(attempts, mode), on_success, Duration::ZERO);
            assert_eq!(
                tracker.decide(ending, Duration::ZERO, 0.0),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn attempts_are_spent_within_an_interval_and_come_back_in_the_next() {
        let bad = bad();
        let mut tracker = Tracker::new(policy(2, "fail"), true, Duration::ZERO);
        let at = Duration::from_secs;
        assert_eq!(
            tracker.decide(Ending::Exited(&bad), at(10), 0.0),
            restart(15, WITHIN_POLICY)
        );
        assert_eq!(tracker.decide(Ending::Asked, at(15), 0.0), restart(0, ""));
        assert_eq!(
            tracker.decide(Ending::Exited(&bad), at(20), 0.0),
            restart(15, WITHIN_POLICY)
        );
        assert_eq!(
            tracker.clone().decide(Ending::Exited(&bad), at(30), 0.0),
            Verdict::Fail {
                reason: "Exceeded allowed attempts 2 in interval 30m0s and mode is \"fail\""
                    .to_owned()
            }
        );
        assert_eq!(
            tracker.decide(Ending::Exited(&bad), at(1900), 0.0),
            restart(15, WITHIN_POLICY)
        );
    }

    #[test]
    fn mode_delay_waits_for_the_end_of_the_interval() {
        let bad = bad();
        let mut tracker = Tracker::new(policy(1, "delay"), true, Duration::ZERO);
        let at = Duration::from_secs;
        let _ = tracker.decide(Ending::Exited(&bad), at(0), 0.0);
        assert_eq!(
            tracker.decide(Ending::Exited(&bad), at(600), 0.0),
            restart(1200, "Exceeded allowed attempts, applying a delay")
        );
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        assert_eq!(with_jitter(Nanos::secs(15), 0.0), Duration::from_secs(15));
        assert_eq!(with_jitter(Nanos::secs(16), 1.0), Duration::from_secs(20));
        assert_eq!(with_jitter(Nanos(i64::MAX), 2.0).as_secs(), 11_529_215_046);
    }
}
