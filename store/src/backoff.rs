//! The delay before a failed call is tried again: doubles up to a limit, with jitter, and starts over on success.

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

/// Delays that double from one failure to the next.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
    rng: StdRng,
}

impl Backoff {
    /// Delays around `first`, then around twice that, up to `limit`. The jitter follows from `seed`.
    #[must_use]
    pub fn new(first: Duration, limit: Duration, seed: u64) -> Self {
        Self {
            first,
            limit,
            failures: 0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// The delay after one more failure: between half and all of the doubled one, so that many callers spread out.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures.min(30)).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let whole = self.first.saturating_mul(factor).min(self.limit);
        whole.mul_f64(self.rng.random_range(0.5..=1.0))
    }

    /// It went well: the next failure waits briefly again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since it last went well.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Between several who try the same thing again, each with delays of its own: when it goes well for one, the others
/// try at once. Clones are of one circle.
#[derive(Clone, Debug, Default)]
pub struct Recovery(Arc<Notify>);

impl Recovery {
    /// It went well: `backoff` starts over, and if that was after a failure, whoever pauses now goes on.
    pub fn succeeded(&self, backoff: &mut Backoff) {
        if backoff.failures() > 0 {
            self.tell();
        }
        backoff.reset();
    }

    /// It went well again, after a failure: whoever pauses now goes on.
    pub fn tell(&self) {
        self.0.notify_waiters();
    }

    /// Waits for `delay`, or until it went well for another.
    pub async fn pause(&self, delay: Duration) {
        tokio::select! {
            () = self.0.notified() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_start_over_after_a_success() {
        let (first, limit) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, limit, 7);
        for failure in 0..100_u32 {
            let whole = first
                .saturating_mul(2_u32.saturating_pow(failure))
                .min(limit);
            let delay = backoff.next_delay();
            assert!(
                whole / 2 <= delay && delay <= whole,
                "failure {failure}: {delay:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay() <= first);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_goes_well_wakes_the_others_and_nobody_else_is_hurried() {
        let recovery = Recovery::default();
        recovery.tell();
        let began = tokio::time::Instant::now();
        recovery.pause(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let pauses = [(); 3].map(|()| recovery.pause(Duration::from_secs(5)));
        let tell = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            recovery.tell();
        };
        tokio::join!(futures::future::join_all(pauses), tell);
        assert_eq!(began.elapsed(), Duration::from_secs(6));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let delays = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1), seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }
}
