//! The time that relative times are counted from; fixed in tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where "now" comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that stands still at a number of nanoseconds since 1970.
    #[cfg(test)]
    Fixed(i64),
}

impl Clock {
    /// Nanoseconds since 1970.
    pub fn now(self) -> i64 {
        match self {
            Self::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            }
            #[cfg(test)]
            Self::Fixed(nanos) => nanos,
        }
    }
}
