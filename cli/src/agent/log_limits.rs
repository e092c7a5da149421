//! What the log may take: a line has a length, and what repeats is left out after some lines and counted. A fault that
//! strikes a thousand things at once has to be told, not told a thousand times.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::Hash,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, Metadata, callsite::Identifier};
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of a line.
const LINE: usize = 4 << 10;

/// Lines from one place in the code that are written in a window.
const LINES: u64 = 50;

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(10);

/// How often each place has spoken in its window.
struct Repeats<K> {
    windows: HashMap<K, (Instant, u64)>,
}

impl<K: Eq + Hash> Repeats<K> {
    /// Whether one more line of a place is written, and how many were left out before it.
    fn admit(&mut self, place: K, now: Instant) -> Option<u64> {
        let (began, lines) = self.windows.entry(place).or_insert((now, 0));
        let mut left_out = 0;
        if now.saturating_duration_since(*began) >= WINDOW {
            left_out = lines.saturating_sub(LINES);
            (*began, *lines) = (now, 0);
        }
        *lines += 1;
        (*lines <= LINES).then_some(left_out)
    }
}

/// A line as long as it may be, of whole characters; one of JSON stays JSON.
fn cut(line: &[u8], json: bool) -> Cow<'_, [u8]> {
    if line.len() <= LINE {
        return Cow::Borrowed(line);
    }
    let end = (0..=LINE)
        .rev()
        .find(|at| line.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80))
        .unwrap_or(LINE);
    let mut cut = line.get(..end).unwrap_or(line).to_vec();
    if json {
        let text = String::from_utf8_lossy(&cut);
        let whole = serde_json::json!({"message": "a long line was cut", "bytes": line.len(), "line": text});
        return Cow::Owned(format!("{whole}\n").into_bytes());
    }
    cut.extend_from_slice(format!("… ({} bytes)\n", line.len()).as_bytes());
    Cow::Owned(cut)
}

/// Makes writers that keep these limits.
#[derive(Clone)]
pub(super) struct Limited<F> {
    inner: F,
    json: bool,
    repeats: Arc<Mutex<Repeats<Identifier>>>,
}

impl<F> Limited<F> {
    pub(super) fn new(inner: F, json: bool) -> Self {
        Self {
            inner,
            json,
            repeats: Arc::new(Mutex::new(Repeats {
                windows: HashMap::new(),
            })),
        }
    }
}

/// Writes one line, or none.
pub(super) struct Line<W> {
    to: Option<W>,
    json: bool,
    before: Option<String>,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(to) = &mut self.to {
            if let Some(before) = self.before.take() {
                to.write_all(before.as_bytes())?;
            }
            to.write_all(&cut(bytes, self.json))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<'a, F, W> MakeWriter<'a> for Limited<F>
where
    F: Fn() -> W,
    W: Write,
{
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            to: Some((self.inner)()),
            json: self.json,
            before: None,
        }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Self::Writer {
        // Whoever asks for more than the usual wants all of it.
        if *about.level() > Level::INFO {
            return self.make_writer();
        }
        let admitted = self
            .repeats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(about.callsite(), Instant::now());
        let before = admitted.filter(|left_out| *left_out > 0).map(|left_out| {
            let text = format!("{left_out} lines like the next one were left out");
            if self.json {
                format!("{}\n", serde_json::json!({"message": text}))
            } else {
                format!("    {text}\n")
            }
        });
        Line {
            to: admitted.map(|_| (self.inner)()),
            json: self.json,
            before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_left_out_and_counted_and_others_are_told() {
        let mut repeats = Repeats {
            windows: HashMap::new(),
        };
        let began = Instant::now();
        let told = (0..1_000)
            .filter(|_| repeats.admit("refused", began).is_some())
            .count();
        assert_eq!(told, 50);
        assert_eq!(repeats.admit("elected", began), Some(0));
        assert_eq!(repeats.admit("refused", began + WINDOW), Some(950));
        assert_eq!(repeats.admit("refused", began + WINDOW), Some(0));
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_how_long_it_was() {
        assert_eq!(&*cut(b"short\n", false), b"short\n");
        let long = format!("{}\n", "ü".repeat(10_000));
        let text = String::from_utf8(cut(long.as_bytes(), false).into_owned());
        let text = text.expect("whole characters");
        assert!(text.len() < LINE + 50, "{}", text.len());
        assert!(text.ends_with("… (20001 bytes)\n"));
        let json: serde_json::Value =
            serde_json::from_slice(&cut(long.as_bytes(), true)).expect("it stays JSON");
        assert_eq!(json["bytes"], 20_001);
    }
}
