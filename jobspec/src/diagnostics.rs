//! Everything that is wrong with a file, each with its place, what was expected and, for a slip, what was meant.
//!
//! Two ways to print them: [`Diagnostics::render`] for people (the line with a marker) and
//! [`Diagnostics::reference_text`], the form that clients of the parse call know.

use std::{fmt, fmt::Write as _, sync::Arc};

pub use rove_model::nearest::nearest;

use crate::source::{Source, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The job can't be read.
    Error,
    /// It can, but should be changed.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// In a few words, as `Unsupported argument`.
    pub summary: String,
    /// In a sentence.
    pub detail: String,
    /// Where; `None` for the file as a whole.
    pub span: Option<Span>,
    /// A second place that explains the first.
    pub related: Option<(Span, String)>,
    /// The field it is about, as `group["cache"].count`.
    pub field: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
    /// The reference says no place for it.
    pub placeless: bool,
    /// How many further findings the reference makes of it.
    pub echoes: usize,
    /// Follows from another finding: only the reference says it.
    pub echo: bool,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn error(
        summary: impl Into<String>,
        detail: impl Into<String>,
        span: Option<Span>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            summary: summary.into(),
            detail: detail.into(),
            span,
            related: None,
            field: None,
            hint: None,
            placeless: false,
            echoes: 0,
            echo: false,
        }
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(
        summary: impl Into<String>,
        detail: impl Into<String>,
        span: Option<Span>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(summary, detail, span)
        }
    }

    /// With a second place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related = Some((span, text.into()));
        self
    }

    /// With the field it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Without any of these texts in what it says; the longest come first.
    pub(crate) fn redact(&mut self, secrets: &[String]) {
        const INSTEAD: &str = "(sensitive value)";
        /// More are not looked for one by one.
        const MAX_SECRETS: usize = 1_000;
        if secrets.len() > MAX_SECRETS {
            self.detail = "What is wrong is not said: it may hold a sensitive value.".to_owned();
            self.field = None;
            self.hint = None;
            return;
        }
        let parts = [&mut self.summary, &mut self.detail]
            .into_iter()
            .chain(&mut self.field)
            .chain(&mut self.hint);
        for part in parts {
            for secret in secrets {
                if part.contains(secret.as_str()) {
                    *part = part.replace(secret.as_str(), INSTEAD);
                }
            }
        }
    }

    /// With what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The findings of one file.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The file.
    pub source: Arc<Source>,
    /// The findings, in the order they were made.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Whether any is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Takes these texts out of what is said; the longest come first.
    pub(crate) fn redact(&mut self, secrets: &[String]) {
        for finding in &mut self.list {
            finding.redact(secrets);
        }
    }

    /// Leaves each finding once: what a loop or a dynamic block makes again and again says nothing new.
    pub(crate) fn each_once(&mut self) {
        let mut seen = std::collections::HashSet::new();
        self.list.retain(|finding| {
            let span = finding.span.clone();
            seen.insert((span, finding.summary.clone(), finding.detail.clone()))
        });
    }

    /// The errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
    }

    /// The line and column of a finding, both from 1.
    #[must_use]
    pub fn position(&self, finding: &Diagnostic) -> Option<(usize, usize)> {
        let position = self.source.position(finding.span.as_ref()?.start);
        Some((position.line, position.column))
    }

    /// As the parse call of the reference says it, after `Failed to parse job: `.
    #[must_use]
    pub fn reference_text(&self) -> String {
        let text = |finding: &Diagnostic| {
            let place = match &finding.span {
                Some(span) if !finding.placeless => {
                    format!("{}:{}", self.source.name, self.source.range(span))
                }
                _ => "<nil>".to_owned(),
            };
            format!("{place}: {}; {}", finding.summary, finding.detail)
        };
        let errors: Vec<_> = self.errors().collect();
        let Some(first) = errors.first() else {
            return "no diagnostics".to_owned();
        };
        // What has no place ends the reference's parsing, a failed call is told with a count, anything else in lines.
        if first.placeless {
            return text(first);
        }
        if first.echoes > 0 {
            let own = errors.iter().filter(|finding| !finding.echo);
            let others: usize = own.map(|finding| 1 + finding.echoes).sum();
            return format!("{}, and {} other diagnostic(s)", text(first), others - 1);
        }
        let lines: Vec<_> = errors.iter().map(|finding| text(finding)).collect();
        lines.join("\n")
    }

    /// For people: every finding with its line and a marker under the place.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        let own = self.list.iter().filter(|finding| !finding.echo);
        for (index, finding) in own.enumerate() {
            if index > 0 {
                out.push('\n');
            }
            self.render_one(finding, color, &mut out);
        }
        out
    }

    fn render_one(&self, finding: &Diagnostic, color: bool, out: &mut String) {
        let paint = |code: &str, text: &str| {
            if color {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let (word, code) = match finding.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let place = match &finding.span {
            Some(span) => {
                let position = self.source.position(span.start);
                format!("{}:{}:{}", self.source.name, position.line, position.column)
            }
            None => self.source.name.clone(),
        };
        let _ = writeln!(
            out,
            "{place}: {}: {}",
            paint(code, word),
            paint("1", &finding.summary)
        );
        if let Some(span) = &finding.span {
            self.marked_line(span, "", &|text| paint(code, text), out);
        }
        if let Some((span, text)) = &finding.related {
            self.marked_line(span, text, &|text| paint("1;34", text), out);
        }
        let detail = finding.detail.trim_end();
        if !detail.is_empty() {
            for line in detail.lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        if let Some(field) = &finding.field {
            let _ = writeln!(out, "  field: {field}");
        }
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }

    fn marked_line(
        &self,
        span: &Span,
        text: &str,
        paint: &dyn Fn(&str) -> String,
        out: &mut String,
    ) {
        // A line that a machine wrote may be a megabyte long.
        const WIDTH: usize = 160;
        let position = self.source.position(span.start);
        let line = self.source.line(position.line);
        let number = position.line.to_string();
        let gutter = " ".repeat(number.len());
        let shift = position.column.saturating_sub(WIDTH / 2);
        let shown: String = line
            .chars()
            .skip(if position.column > WIDTH { shift } else { 0 })
            .take(WIDTH)
            .map(|c| if c == '\t' { ' ' } else { c })
            .filter(|c| !c.is_control())
            .collect();
        let column = if position.column > WIDTH {
            position.column - shift
        } else {
            position.column
        };
        let end = self.source.position(span.end);
        let width = if end.line == position.line {
            end.column.saturating_sub(position.column)
        } else {
            line.chars().count().saturating_sub(position.column - 1)
        };
        let width = width.clamp(1, WIDTH);
        let marker = paint(&"^".repeat(width));
        let _ = writeln!(out, " {number} | {shown}");
        let space = " ".repeat(column - 1);
        let text = if text.is_empty() {
            String::new()
        } else {
            format!(" {text}")
        };
        let _ = writeln!(out, " {gutter} | {space}{marker}{text}");
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

/// An attribute that isn't known here.
pub(crate) fn unknown_argument<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let near = nearest(name, known).map(str::to_owned);
    let meant = near
        .as_ref()
        .map_or(String::new(), |near| format!(" Did you mean {near:?}?"));
    Diagnostic::error(
        "Unsupported argument",
        format!("An argument named {name:?} is not expected here.{meant}"),
        Some(span),
    )
}

/// A block that isn't known here.
pub(crate) fn unknown_block<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let near = nearest(name, known).map(str::to_owned);
    let meant = near
        .as_ref()
        .map_or(String::new(), |near| format!(" Did you mean {near:?}?"));
    // The reference points at the kind alone.
    let span = span.start..span.start + name.len();
    Diagnostic::error(
        "Unsupported block type",
        format!("Blocks of type {name:?} are not expected here.{meant}"),
        Some(span),
    )
}
