//! Going on with a container's output where the files leave off.
//!
//! The engine's own log says when it took each line, the files only when they were last written, and the engine may
//! have taken a line a moment before or after it was written here. So the engine's lines are asked for from somewhat
//! earlier, and those that the files end with are left out.

use std::{
    io::{self, Read},
    path::Path,
};

use rove_model::ids::UnixNanos;

use super::{ContainerLog, Sinks, frames::Frames, http::Connection};
use crate::{
    logs::{LogKind, file_name, list_in},
    sys::{dir::Dir, unix_now},
};

/// How far the engine's clock for a line and the time it was written here may be apart.
const MARGIN: UnixNanos = 2_000_000_000;
/// The most that is compared. The engine keeps less: its own log has a limit.
const MAX_OVERLAP: u64 = 32 << 20;

/// Lines of one stream, each behind the other, and where each ends.
#[derive(Debug, Default)]
struct Lines {
    data: Vec<u8>,
    ends: Vec<usize>,
}

/// Writes what was printed since `written` and is not in the files; the stream of what follows is returned.
pub(super) fn resume(
    log: &ContainerLog,
    written: UnixNanos,
    sinks: &mut Sinks,
) -> io::Result<Connection> {
    // A time to come is of a clock that was set back since: the engine would wait for it.
    let from = written.min(unix_now()).saturating_sub(MARGIN).max(0);
    let mut past = Vec::new();
    ask(log, from, "timestamps=1")?
        .take(MAX_OVERLAP)
        .read_to_end(&mut past)?;
    let (stdout, stderr, newest) = parse(&past, log.tty);
    for (kind, lines) in [(LogKind::Stdout, stdout), (LogKind::Stderr, stderr)] {
        let tail = tail(&log.log_dir, &log.task, kind, lines.data.len())?;
        let new = &lines.data[known(&tail, &lines)..];
        if !new.is_empty() {
            sinks.of(kind).write(new);
        }
    }
    let next = newest.map_or(from, |newest| newest.saturating_add(1).min(unix_now()));
    let stream = ask(log, next, "follow=1")?;
    // It may print nothing for days.
    stream.limit(None)?;
    Ok(stream)
}

fn ask(log: &ContainerLog, since: UnixNanos, how: &str) -> io::Result<Connection> {
    let mut connection = Connection::open(&log.endpoint)?;
    // In the old version of the protocol the answer ends with the connection and has no chunks.
    let status = connection.request(&format!(
        "GET /containers/{}/logs?stdout=1&stderr=1&since={}.{:09}&{how} HTTP/1.0\r\nHost: docker\r\n\r\n",
        log.container,
        since / 1_000_000_000,
        since % 1_000_000_000
    ))?;
    match status {
        200 => Ok(connection),
        other => Err(io::Error::other(format!("the engine answered {other}"))),
    }
}

/// The two streams without their times, and the newest time.
fn parse(answer: &[u8], tty: bool) -> (Lines, Lines, Option<UnixNanos>) {
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    let mut newest = None;
    let mut add = |lines: &mut Lines, line: &[u8]| {
        let (time, text) = match line.iter().position(|byte| *byte == b' ') {
            Some(blank) => (nanos(&line[..blank]), &line[blank + 1..]),
            None => (None, line),
        };
        newest = newest.max(time);
        lines.data.extend_from_slice(text);
        lines.ends.push(lines.data.len());
    };
    if tty {
        for line in answer.split_inclusive(|byte| *byte == b'\n') {
            add(&mut stdout, line);
        }
    } else {
        let mut frames = Frames::default();
        let mut line = Vec::new();
        frames.split(answer, |kind, part, last| {
            line.extend_from_slice(part);
            if last {
                let lines = match kind {
                    LogKind::Stdout => &mut stdout,
                    LogKind::Stderr => &mut stderr,
                };
                add(lines, &line);
                line.clear();
            }
        });
    }
    (stdout, stderr, newest)
}

/// How much of `lines` the files end with already: as many of the first ones as can be.
fn known(tail: &[u8], lines: &Lines) -> usize {
    lines
        .ends
        .iter()
        .rev()
        .copied()
        .find(|end| tail.ends_with(&lines.data[..*end]))
        .unwrap_or(0)
}

/// The last `length` bytes of a stream's files, or what there is.
fn tail(dir: &Path, task: &str, kind: LogKind, length: usize) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let dir = Dir::open_last(dir)?;
    for file in list_in(&dir, task, kind)?.iter().rev() {
        if tail.len() >= length {
            break;
        }
        // A file is no longer than its limit, and only what is missing of it is read.
        let missing = (length - tail.len()) as u64;
        let mut part = Vec::new();
        let mut from = dir.read(&file_name(task, kind, file.index))?;
        io::Seek::seek(
            &mut from,
            io::SeekFrom::Start(file.size.saturating_sub(missing)),
        )?;
        from.take(missing).read_to_end(&mut part)?;
        part.append(&mut tail);
        tail = part;
    }
    Ok(tail)
}

/// Reads `2026-11-22T22:32:29.123456789Z`, the engine's way to write a time.
fn nanos(text: &[u8]) -> Option<UnixNanos> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.split(':');
    let (hour, minute) = (
        time.next()?.parse::<i64>().ok()?,
        time.next()?.parse::<i64>().ok()?,
    );
    let (second, fraction) = time.next()?.split_once('.')?;
    let fraction: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let seconds = days(year, month, day)?
        .checked_mul(86_400)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second.parse().ok()?)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::logs::file_path;

    fn lines(parts: &[&str]) -> Lines {
        let mut lines = Lines::default();
        for part in parts {
            lines.data.extend_from_slice(part.as_bytes());
            lines.ends.push(lines.data.len());
        }
        lines
    }

    #[test]
    fn what_the_files_end_with_is_not_written_again() {
        for (tail, asked, known_bytes) in [
            ("", &["a\n", "b\n"][..], 0),
            ("x\na\n", &["a\n", "b\n"], 2),
            ("x\na\nb\n", &["a\n", "b\n"], 4),
            ("x\ny\n", &["a\n", "b\n"], 0),
            ("tick\ntick\n", &["tick\n", "tick\n", "tick\n"], 10),
            ("a\nhalf of ", &["a\n", "half of ", "a line\n"], 10),
            ("a\n", &[], 0),
        ] {
            assert_eq!(
                known(tail.as_bytes(), &lines(asked)),
                known_bytes,
                "{tail:?} {asked:?}"
            );
        }
    }

    #[test]
    fn the_engines_times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.0Z", Some(0)),
            ("2000-02-29T12:00:01.5Z", Some(951_825_601_500_000_000)),
            (
                "2026-11-22T22:32:29.123456789Z",
                Some(1_795_386_749_123_456_789),
            ),
            ("2026-13-22T22:32:29.1Z", None),
            ("9999-12-31T23:59:59.999999999Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(nanos(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn lines_come_without_their_times_and_the_newest_time_is_known() {
        let mut answer = Vec::new();
        for (stream, text) in [
            (1_u8, "2026-11-22T22:32:29.000000002Z out\n"),
            (2, "2026-11-22T22:32:29.000000003Z err\n"),
            (1, "2026-11-22T22:32:29.000000001Z half"),
        ] {
            answer.extend([stream, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            answer.extend(text.as_bytes());
        }
        let (stdout, stderr, newest) = parse(&answer, false);
        assert_eq!(stdout.data, b"out\nhalf");
        assert_eq!(stdout.ends, [4, 8]);
        assert_eq!(stderr.data, b"err\n");
        assert_eq!(newest.unwrap() % 1_000_000_000, 3);
    }

    #[test]
    fn the_end_of_a_log_may_span_files() {
        let dir = tempfile::tempdir().unwrap();
        for (index, text) in [(3, "abc"), (4, "defg"), (5, "h")] {
            std::fs::write(file_path(dir.path(), "t", LogKind::Stderr, index), text).unwrap();
        }
        for (length, expected) in [
            (0, ""),
            (1, "h"),
            (3, "fgh"),
            (6, "cdefgh"),
            (99, "abcdefgh"),
        ] {
            let found = tail(dir.path(), "t", LogKind::Stderr, length).unwrap();
            assert_eq!(found, expected.as_bytes(), "{length}");
        }
    }
}
