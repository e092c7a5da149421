//! The clock that loops are handed, so that a simulation can turn it.

use std::time::{SystemTime, UNIX_EPOCH};

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
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixNanos::try_from(since.as_nanos()).unwrap_or(UnixNanos::MAX)
    }
}

/// Nanoseconds in a second.
pub const SECOND: UnixNanos = 1_000_000_000;
