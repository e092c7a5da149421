//! The clock that loops are handed, so that a simulation can turn it.

use rove_model::ids::UnixNanos;

/// Tells the time. Waiting is tokio's, so that its paused clock and this one can go together.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> UnixNanos;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixNanos {
        rove_store::wall_clock::unix_now()
    }
}

/// Nanoseconds in a second.
pub const SECOND: UnixNanos = 1_000_000_000;

/// A clock that goes back by more than this was set, not corrected.
const CORRECTION: UnixNanos = SECOND;

/// Notices that a clock was set back: what was due by it would be waited for until it comes there again.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    newest: UnixNanos,
}

impl Watcher {
    /// One that has seen `now`.
    #[must_use]
    pub fn new(now: UnixNanos) -> Self {
        Self { newest: now }
    }

    /// Takes the time in. The nanoseconds that the clock was set back by, if it was.
    pub fn look(&mut self, now: UnixNanos) -> Option<UnixNanos> {
        let back = self.newest.saturating_sub(now);
        if back > CORRECTION {
            self.newest = now;
            return Some(back);
        }
        self.newest = self.newest.max(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_noticed_once_and_a_correction_is_none() {
        let mut watcher = Watcher::new(100 * SECOND);
        for (now, back) in [
            (101, None),
            (100, None),
            (3_701, None),
            (101, Some(3_600)),
            (102, None),
            (103, None),
            (100, Some(3)),
        ] {
            assert_eq!(
                watcher.look(now * SECOND),
                back.map(|back: i64| back * SECOND),
                "at {now}"
            );
        }
    }
}
