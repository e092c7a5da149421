//! The time that relative times are counted from; fixed in tests.

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
            Self::System => rove_store::wall_clock::unix_now(),
            #[cfg(test)]
            Self::Fixed(nanos) => nanos,
        }
    }
}
