//! The agent's log: lines on standard output as operators know them, or JSON.

use std::fmt;

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false);
    // A second start (a test's) keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.event_format(Lines).try_init()
    };
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
        // Writing to a String can't fail. A line of the log stays one line whatever a value holds.
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let text = format!("{value:?}");
            let text = text.replace('\n', "\\n");
            let _ = if text.contains(' ') && !text.starts_with('"') {
                write!(self.others, " {}={text:?}", field.name())
            } else {
                write!(self.others, " {}={text}", field.name())
            };
        }
    }
}
