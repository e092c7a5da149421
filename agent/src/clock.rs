//! Time, handed in: what people read from the host's clock, and what waits from one that never jumps.

use std::{fmt, time::Duration};

use rove_model::ids::UnixNanos;
use rove_store::wall_clock::unix_now;
use tokio::time::Instant;

/// One moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// By the host's clock, which may jump: for people only.
    pub wall: UnixNanos,
    /// Since the agent started, never going back: for every decision about time.
    pub since_start: Duration,
}

/// A clock.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The host's clock.
    fn wall(&self) -> UnixNanos;
}

/// The clock of this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> UnixNanos {
        unix_now()
    }
}

/// A clock that begins at a chosen time and goes as tokio's does: under its paused clock, only as tests let it.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    began: Instant,
    at: UnixNanos,
}

impl TokioClock {
    /// A clock that shows `at` now.
    #[must_use]
    pub fn starting_at(at: UnixNanos) -> Self {
        Self {
            began: Instant::now(),
            at,
        }
    }
}

impl Clock for TokioClock {
    fn wall(&self) -> UnixNanos {
        self.at
            .saturating_add(i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }
}
