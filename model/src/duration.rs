//! Durations as Go writes them: nanoseconds in JSON, `1h30m` in text.
//!
//! Parsing never panics and never wraps: what does not fit into 64 bits of nanoseconds is refused.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

/// A span of time in nanoseconds, negative ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Nanos(pub i64);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Nothing there, or no number where one is needed.
    #[error("invalid duration {0:?}")]
    Invalid(String),
    /// A number without its unit.
    #[error("missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that isn't `ns`, `us`, `ms`, `s`, `m` or `h`.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands after the number.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many seconds.
    #[must_use]
    pub const fn secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// So many minutes.
    #[must_use]
    pub const fn mins(minutes: i64) -> Self {
        Self::secs(minutes.saturating_mul(60))
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self::mins(hours.saturating_mul(60))
    }

    /// As the standard library has it; a negative span is zero.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Nanos {
    /// Saturates at some 292 years.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for Nanos {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let number_end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at(number_end);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
                return Err(invalid());
            }
            let unit_end = after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_end);
            let scale: i128 = match unit {
                "" => return Err(DurationError::MissingUnit(text.to_owned())),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => {
                    return Err(DurationError::UnknownUnit {
                        unit: unit.to_owned(),
                        text: text.to_owned(),
                    });
                }
            };
            // 19 digits hold every i64; more can only be too much (or zeros, which nobody writes).
            if whole.len() > 19 {
                return Err(invalid());
            }
            let whole: i128 = if whole.is_empty() {
                0
            } else {
                whole.parse().map_err(|_| invalid())?
            };
            total += whole * scale;
            let mut digit_scale = scale;
            for digit in fraction.bytes() {
                digit_scale /= 10;
                total += i128::from(digit - b'0') * digit_scale;
            }
            if total > i128::from(i64::MAX) {
                return Err(invalid());
            }
            rest = next;
        }
        let total = i64::try_from(total).map_err(|_| invalid())?;
        Ok(Self(if negative { -total } else { total }))
    }
}

impl fmt::Display for Nanos {
    /// As Go's `Duration.String`: `1h30m0s`, `1.5s`, `100ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let with_fraction = |value: u64, unit: u64, digits: usize| {
            let (whole, part) = (value / unit, value % unit);
            if part == 0 {
                return whole.to_string();
            }
            let part = format!("{part:0digits$}");
            format!("{whole}.{}", part.trim_end_matches('0'))
        };
        match nanos {
            0..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", with_fraction(nanos, 1_000, 3)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", with_fraction(nanos, 1_000_000, 6)),
            _ => {
                let hours = nanos / 3_600_000_000_000;
                let minutes = nanos / 60_000_000_000 % 60;
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                let seconds = nanos % 60_000_000_000;
                write!(f, "{}s", with_fraction(seconds, 1_000_000_000, 9))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Nanos;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration: nanoseconds, or a text like \"30s\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Nanos, E> {
                Ok(Nanos(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Nanos, E> {
                i64::try_from(value)
                    .map(Nanos)
                    .map_err(|_| E::custom("duration too long"))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Nanos, E> {
                value.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("30s", 30_000_000_000),
            ("1h2m3s", 3_723_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("+5m", 300_000_000_000),
            ("100ms", 100_000_000),
            (".5s", 500_000_000),
            ("3us", 3_000),
            ("2µs", 2_000),
            ("7ns", 7),
        ] {
            assert_eq!(text.parse(), Ok(Nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "-",
            "s",
            "5",
            "5x",
            "1..2s",
            "5 s",
            ".s",
            "9999999999h",
            "1s2",
            "1e3s",
            "１s",
        ] {
            assert!(text.parse::<Nanos>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (15_000_000_000, "15s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (-5_000_000_000, "-5s"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in (i64::MIN + 1)..=i64::MAX) {
            prop_assert_eq!(Nanos(nanos).to_string().parse(), Ok(Nanos(nanos)));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Nanos>();
        }
    }
}
