//! Times and durations as people read them: RFC 3339 in UTC to the second, `6m58s ago`, `1h40m32s`.

use jiff::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// `2026-11-22T05:15:50Z`; `N/A` before 1970-01-01T00:00:01Z, which stands for "never".
pub fn stamp(nanos: i64) -> String {
    if nanos < SECOND {
        return "N/A".to_owned();
    }
    match Timestamp::from_nanosecond(i128::from(nanos)) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "N/A".to_owned(),
    }
}

/// As [`stamp`], of a time that the API gives as RFC 3339 text; Go's zero time is "never".
pub fn stamp_text(text: Option<&str>) -> String {
    stamp(parse(text.unwrap_or("")).unwrap_or(0))
}

/// Nanoseconds since 1970 of an RFC 3339 text.
pub fn parse(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// How long ago `then` was: its two largest units, `18m25s ago`; later than `now` reads `3s from now`.
pub fn ago(then: i64, now: i64) -> String {
    if then == 0 {
        return String::new();
    }
    let (then, now) = (round(then), round(now));
    let suffix = if now >= then { "ago" } else { "from now" };
    format!("{} {suffix}", two_units(now.abs_diff(then)))
}

/// As [`ago`] without the words: `5m`, `2d3h`.
pub fn age(then: i64, now: i64) -> String {
    if then == 0 {
        return "<unknown>".to_owned();
    }
    two_units(round(now).saturating_sub(round(then)).max(0).unsigned_abs())
}

fn round(nanos: i64) -> i64 {
    nanos.saturating_add(SECOND / 2).div_euclid(SECOND)
}

fn two_units(seconds: u64) -> String {
    // A month has 30 days and a year 12 months here, as the words are only a hint of the age.
    let steps = [
        ("s", 60),
        ("m", 60),
        ("h", 24),
        ("d", 30),
        ("mo", 12),
        ("y", u64::MAX),
    ];
    let mut rest = seconds;
    let mut parts: Vec<String> = Vec::new();
    for (unit, size) in steps {
        let count = rest % size;
        rest /= size;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.iter().rev().take(2).map(String::as_str).collect()
}

/// A duration in Go's notation: `61.055µs`, `10s`, `1h40m32s`.
pub fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    if total < 1_000_000_000 {
        let (unit, size) = match total {
            0 => return "0s".to_owned(),
            1..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(total, size));
    }
    let seconds = total / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(total % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, m) => format!("{sign}{m}m{rest}s"),
        (h, m) => format!("{sign}{h}h{m}m{rest}s"),
    }
}

fn decimal(value: u64, size: u64) -> String {
    let (whole, fraction) = (value / size, value % size);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_to_the_second() {
        assert_eq!(stamp(1_795_324_588_194_454_788), "2026-11-22T05:16:28Z");
        assert_eq!(stamp(0), "N/A");
        assert_eq!(
            stamp_text(Some("2026-11-22T05:42:38.40083364Z")),
            "2026-11-22T05:42:38Z"
        );
        assert_eq!(
            stamp_text(Some("2026-11-22T07:42:38+02:00")),
            "2026-11-22T05:42:38Z"
        );
        assert_eq!(stamp_text(Some("0001-01-01T00:00:00Z")), "N/A");
        assert_eq!(stamp_text(None), "N/A");
        assert_eq!(stamp_text(Some("rubbish")), "N/A");
    }

    #[test]
    fn ages_show_their_two_largest_units() {
        let now = 1_795_324_588 * SECOND;
        let cases = [
            (0, "0s ago"),
            (3, "3s ago"),
            (418, "6m58s ago"),
            (703, "11m43s ago"),
            (7560, "2h6m ago"),
            (9660, "2h41m ago"),
            (7200, "2h ago"),
            (86_400 * 3 + 60, "3d1m ago"),
            (86_400 * 45, "1mo15d ago"),
            (86_400 * 30 * 25, "2y1mo ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(ago(now - seconds * SECOND, now), text);
        }
        assert_eq!(ago(now + 5 * SECOND, now), "5s from now");
        assert_eq!(ago(0, now), "");
    }

    #[test]
    fn durations_read_as_in_go() {
        let cases = [
            (61_055, "61.055µs"),
            (10 * SECOND, "10s"),
            (6032 * SECOND, "1h40m32s"),
            (1_500_000, "1.5ms"),
            (999, "999ns"),
            (0, "0s"),
            (600 * SECOND, "10m0s"),
            (-1_500_000_000, "-1.5s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
    }
}
