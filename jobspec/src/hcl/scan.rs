//! A look at a text before it is parsed: what never ends, where it began.
//!
//! The parser stops at the first mistake and, for a missing brace or quote, far behind it. This finds the place that a
//! person would point at, without building anything, in one pass.

use crate::{diagnostics::Diagnostic, source::Span};

/// The deepest nesting of brackets that is looked at.
const MAX_DEPTH: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Brace(usize),
    Bracket(usize),
    Paren(usize),
    /// `${` or `%{` in a string or heredoc.
    Template(usize),
    String(usize),
}

impl Open {
    fn at(self) -> usize {
        match self {
            Self::Brace(at)
            | Self::Bracket(at)
            | Self::Paren(at)
            | Self::Template(at)
            | Self::String(at) => at,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Brace(_) => "{",
            Self::Bracket(_) => "[",
            Self::Paren(_) => "(",
            Self::Template(_) => "${",
            Self::String(_) => "\"",
        }
    }
}

/// The first thing that keeps the text from being HCL by its brackets and quotes.
pub(crate) fn scan(text: &str) -> Option<Diagnostic> {
    Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        open: Vec::new(),
    }
    .run()
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    open: Vec<Open>,
}

impl Scanner<'_> {
    fn run(mut self) -> Option<Diagnostic> {
        while self.at < self.bytes.len() {
            let found = match self.open.last() {
                Some(Open::String(start)) => self.in_string(*start),
                _ => self.in_code(),
            };
            if found.is_some() {
                return found;
            }
            if self.open.len() > MAX_DEPTH {
                return Some(Diagnostic::error(
                    "Too deeply nested",
                    format!(
                        "Blocks and expressions may be nested {MAX_DEPTH} levels deep at most."
                    ),
                    Some(self.at.saturating_sub(1)..self.at),
                ));
            }
        }
        let unclosed = *self.open.last()?;
        let end = self.text.len();
        Some(match unclosed {
            Open::Brace(at) => Diagnostic::error(
                "Argument or block definition required",
                "An argument or block definition is required here.",
                Some(end..end),
            )
            .related(at..at + 1, "this is never closed")
            .hint("a closing brace is missing"),
            Open::String(at) => invalid_string(at..end),
            other => Diagnostic::error(
                "Missing closing bracket",
                format!(
                    "The {:?} that is opened here is never closed.",
                    other.sign()
                ),
                Some(other.at()..other.at() + 1),
            ),
        })
    }

    fn in_string(&mut self, start: usize) -> Option<Diagnostic> {
        match self.bytes[self.at] {
            b'\\' => self.at += 2,
            b'"' => {
                self.open.pop();
                self.at += 1;
            }
            b'\n' => {
                return Some(
                    invalid_string(self.at..self.at + 1)
                        .related(start..start + 1, "the string begins here")
                        .hint("is a closing quote missing?"),
                );
            }
            sign @ (b'$' | b'%') if self.bytes.get(self.at + 1) == Some(&b'{') => {
                // `$${` is a literal `${`.
                if self.at > start + 1
                    && self.bytes[self.at - 1] == sign
                    && !self.escaped_twice(sign)
                {
                    self.at += 2;
                } else {
                    self.open.push(Open::Template(self.at));
                    self.at += 2;
                }
            }
            _ => self.at += 1,
        }
        None
    }

    /// Whether the sign before is itself the end of an escape (`$$$${`): an even run of signs is literal text.
    fn escaped_twice(&self, sign: u8) -> bool {
        let run = self.bytes[..self.at]
            .iter()
            .rev()
            .take_while(|byte| **byte == sign)
            .count();
        run % 2 == 0
    }

    fn in_code(&mut self) -> Option<Diagnostic> {
        let at = self.at;
        match self.bytes[at] {
            b'#' => self.skip_line(),
            b'/' if self.bytes.get(at + 1) == Some(&b'/') => self.skip_line(),
            b'/' if self.bytes.get(at + 1) == Some(&b'*') => match self.text[at + 2..].find("*/") {
                Some(end) => self.at = at + 2 + end + 2,
                None => {
                    return Some(Diagnostic::error(
                        "Unterminated comment",
                        "The comment that begins here never ends.",
                        Some(at..at + 2),
                    ));
                }
            },
            b'"' => {
                self.open.push(Open::String(at));
                self.at += 1;
            }
            b'<' if self.bytes.get(at + 1) == Some(&b'<') => return self.heredoc(),
            b'{' => {
                self.open.push(Open::Brace(at));
                self.at += 1;
            }
            b'[' => {
                self.open.push(Open::Bracket(at));
                self.at += 1;
            }
            b'(' => {
                self.open.push(Open::Paren(at));
                self.at += 1;
            }
            closing @ (b'}' | b']' | b')') => {
                self.at += 1;
                let fits = match self.open.last() {
                    Some(Open::Brace(_) | Open::Template(_)) => closing == b'}',
                    Some(Open::Bracket(_)) => closing == b']',
                    Some(Open::Paren(_)) => closing == b')',
                    Some(Open::String(_)) | None => false,
                };
                if !fits {
                    return Some(self.mismatch(at, closing));
                }
                self.open.pop();
            }
            _ => self.at += 1,
        }
        None
    }

    fn mismatch(&self, at: usize, closing: u8) -> Diagnostic {
        let sign = char::from(closing);
        match self.open.last() {
            Some(open) => Diagnostic::error(
                "Mismatched bracket",
                format!("{sign:?} does not close {:?}.", open.sign()),
                Some(at..at + 1),
            )
            .related(open.at()..open.at() + 1, "opened here"),
            None => Diagnostic::error(
                "Argument or block definition required",
                "An argument or block definition is required here.",
                Some(at..at + 1),
            )
            .hint(format!("there is nothing that this {sign:?} closes")),
        }
    }

    fn skip_line(&mut self) {
        self.at = self.text[self.at..]
            .find('\n')
            .map_or(self.bytes.len(), |end| self.at + end);
    }

    /// `<<NAME` or `<<-NAME`: to the line that is NAME alone. Its templates are left to the parser.
    fn heredoc(&mut self) -> Option<Diagnostic> {
        let start = self.at;
        let mut name_at = start + 2;
        if self.bytes.get(name_at) == Some(&b'-') {
            name_at += 1;
        }
        let rest = &self.text[name_at..];
        let name_end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(rest.len());
        let name = &rest[..name_end];
        let is_heredoc = !name.is_empty()
            && rest[name_end..]
                .trim_start_matches(['\r', ' ', '\t'])
                .starts_with('\n');
        if !is_heredoc {
            self.at = start + 2;
            return None;
        }
        let mut line_at = name_at + self.text[name_at..].find('\n').unwrap_or(0) + 1;
        while line_at < self.text.len() {
            let line = self.text[line_at..].lines().next().unwrap_or_default();
            if line.trim() == name {
                self.at = line_at + line.len();
                return None;
            }
            line_at += self.text[line_at..]
                .find('\n')
                .map_or(self.text.len() - line_at, |end| end + 1);
        }
        Some(Diagnostic::error(
            "Unterminated template string",
            format!("No line that is only {name:?} ends the text that begins here."),
            Some(start..name_at + name_end),
        ))
    }
}

fn invalid_string(span: Span) -> Diagnostic {
    let mut found = Diagnostic::error(
        "Invalid multi-line string",
        "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.",
        Some(span),
    );
    // The reference goes on and trips over what follows.
    found.echoes = 5;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_found_where_it_began() {
        for (text, summary, at) in [
            (
                "a {\n b {\n}\n",
                "Argument or block definition required",
                11,
            ),
            ("a = \"x\nb = 1\n", "Invalid multi-line string", 6),
            ("a = [1, 2\n}\n", "Mismatched bracket", 10),
            ("a }\n", "Argument or block definition required", 2),
            ("a = <<EOF\nx\n", "Unterminated template string", 4),
            ("/* x", "Unterminated comment", 0),
            ("a = \"${foo(\"x\n\")}\"", "Invalid multi-line string", 13),
        ] {
            let found = scan(text).expect(text);
            assert_eq!(
                (found.summary.as_str(), found.span.map(|span| span.start)),
                (summary, Some(at)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_sound_is_left_alone() {
        for text in [
            "a = \"$${x} %%{y} $$${z}\"\n",
            "a = \"${b[\"x\"]}-${{ a = 1 }[\"a\"]}\"",
            "a = <<-EOF\n  \" { [\n  EOF\n",
            "# {\n// [\n/* ( */\na = \"# \\\" {\"\n",
            "a = 1 << 2",
        ] {
            assert_eq!(scan(text), None, "{text}");
        }
    }
}
