//! The machine's clock, for all who read it. Decisions are handed the time; nobody else asks for it here than the
//! clocks that hand it in.

use std::time::{SystemTime, UNIX_EPOCH};

use rove_model::ids::UnixNanos;

/// The time by the machine's clock, which may jump.
#[must_use]
pub fn unix_now() -> UnixNanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixNanos::try_from(since.as_nanos()).unwrap_or(UnixNanos::MAX)
}
