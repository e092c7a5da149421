//! The agent's log: lines on standard output as operators know them, or JSON.

use std::{fmt, io::Write};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::log_limits::Limited;

/// Starts logging at `level` (TRACE, DEBUG, INFO, WARN, ERROR); `ROVE_LOG` overrides it with a filter of its own.
pub fn start(level: &str, json: bool) {
    let filter = std::env::var("ROVE_LOG")
        .ok()
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| {
            // What the libraries below say is only of use at TRACE.
            let level = level.to_ascii_lowercase();
            let others = if level == "trace" { "debug" } else { "warn" };
            EnvFilter::new(format!(
                "{others},rove={level},rove_agent={level},rove_api={level},rove_controllers={level},rove_store={level}"
            ))
        });
    // Whoever reads the log may go away; the agent and its tasks go on.
    let builder = tracing_subscriber::fmt()
        .with_writer(Limited::new(|| Unread(std::io::stdout()), json))
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(false);
    // A second start (a test's) keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.event_format(Lines).try_init()
    };
}

/// A stream that takes everything, also when nobody reads it any more.
struct Unread<W>(W);

impl<W: Write> Write for Unread<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// `2026-11-22T05:15:50.123Z [INFO]  controllers.node: node is down: node=… reason=…`
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let target = event.metadata().target();
        let target = target
            .strip_prefix("rove_")
            .unwrap_or(target)
            .replace("::", ".");
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(writer, "    {now} {level} {target}: {}", fields.message)?;
        if !fields.others.is_empty() {
            write!(writer, ":{}", fields.others)?;
        }
        writeln!(writer)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        if field.name() == "message" {
            self.message.push_str(&one_line(&format!("{value:?}")));
        } else {
            // An error speaks to people already.
            let text = match field.name() {
                "error" => format!("{value:?}"),
                _ => plain(&format!("{value:?}")),
            };
            let text = one_line(&text);
            // Writing to a String can't fail.
            let _ = if text.contains(' ') && !text.starts_with('"') {
                write!(self.others, " {}={text:?}", field.name())
            } else {
                write!(self.others, " {}={text}", field.name())
            };
        }
    }
}

/// A line of the log stays one line whatever a text holds.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

/// A value as people write it, from what Rust prints for debugging: the names of types and variants around values go,
/// so that `Some(3)` is `3` and `Key { id: 1 }` is `{ id: 1 }`.
fn plain(debug: &str) -> String {
    let mut out = String::with_capacity(debug.len());
    let mut word = String::new();
    // Of each open bracket, whether it is shown.
    let mut open = Vec::new();
    let mut quoted = false;
    let mut chars = debug.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            match c {
                '\\' => out.extend(chars.next()),
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        if is_name(c) {
            word.push(c);
            continue;
        }
        let named = word.starts_with(char::is_uppercase);
        if named && (c == '(' || (c == ' ' && chars.peek() == Some(&'{'))) {
            word.clear();
            if c == '(' {
                open.push(false);
            }
            continue;
        }
        out.push_str(&std::mem::take(&mut word));
        match c {
            '(' => open.push(true),
            ')' if open.pop() == Some(false) => continue,
            '"' => quoted = true,
            _ => {}
        }
        out.push(c);
    }
    out.push_str(&word);
    if out == "None" {
        "none".to_owned()
    } else {
        out
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_without_the_names_of_rusts_types() {
        for (debug, expected) in [
            ("Some(3)", "3"),
            ("None", "none"),
            ("NodeId(6309fb8e)", "6309fb8e"),
            (
                "JobKey { namespace: Name(\"default\"), id: \"a(b)\" }",
                "{ namespace: \"default\", id: \"a(b)\" }",
            ),
            ("[Some(Id(1)), Other]", "[1, Other]"),
            ("(1, Two(2))", "(1, 2)"),
            ("1.5ms", "1.5ms"),
            ("\"a \\\" Some(1)\"", "\"a \\\" Some(1)\""),
            (")", ")"),
        ] {
            assert_eq!(plain(debug), expected, "{debug}");
        }
    }

    #[test]
    fn a_line_of_the_log_stays_one_line() {
        #[derive(Clone)]
        struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                if let Ok(mut all) = self.0.lock() {
                    all.extend_from_slice(bytes);
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let writer = Kept(lines.clone());
        let subscriber = tracing_subscriber::fmt()
            .event_format(Lines)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = "no\nway";
            tracing::info!(%error, "it\nfailed: {}", "a\r\nb");
        });
        let text = lines.lock().map(|text| text.clone()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("it\\nfailed: a\\r\\nb: error=no"), "{text}");
    }

    #[test]
    fn a_log_that_nobody_reads_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut log = Unread(Gone);
        assert_eq!(log.write(b"line").ok(), Some(4));
        assert!(log.flush().is_ok());
    }
}
