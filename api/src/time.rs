//! Points in time as Go writes them in JSON.

use jiff::Timestamp;
use rove_model::ids::UnixNanos;

/// RFC 3339 in UTC with as many digits as are needed.
pub(crate) fn rfc3339(nanos: UnixNanos) -> String {
    Timestamp::from_nanosecond(i128::from(nanos))
        .map(|at| at.to_string())
        .unwrap_or_default()
}

/// As [`rfc3339`], with `None` for what never was.
pub(crate) fn rfc3339_option(nanos: Option<UnixNanos>) -> Option<String> {
    nanos.filter(|&at| at != 0).map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (nanos, text) in [
            (1_795_325_558_400_833_640, "2026-11-22T05:32:38.40083364Z"),
            (1_795_325_558_000_000_000, "2026-11-22T05:32:38Z"),
            (0, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(nanos), text);
        }
        assert_eq!(rfc3339_option(Some(0)), None);
        assert_eq!(rfc3339_option(None), None);
    }
}
