//! Texts as HCL writes them: quoted, or of several lines as heredocs.
//!
//! What the node fills in (`${attr.cpu.arch}`, `${NOMAD_PORT_http}`) stays as it is, for evaluation leaves it alone;
//! anything else that would be evaluated is escaped.

use std::fmt::Write as _;

/// A text as an expression: a heredoc where it has several lines.
pub(super) fn text(text: &str) -> String {
    heredoc(text).unwrap_or_else(|| on_one_line(text))
}

/// A text in quotes, on one line.
pub(super) fn on_one_line(text: &str) -> String {
    quoted(text, true)
}

/// A block's label or an object's key: nothing in it is evaluated.
pub(super) fn label(text: &str) -> String {
    quoted(text, false)
}

fn quoted(text: &str, interpolated: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if after.starts_with('{') => {
                match run_time_value(rest).filter(|_| interpolated) {
                    Some(length) => {
                        out.push_str(&rest[..length]);
                        rest = &rest[length..];
                        continue;
                    }
                    None => {
                        out.push(c);
                        out.push(c);
                    }
                }
            }
            // Before another sign that begins a template it would be read as the escape of that.
            '$' | '%' if after.trim_start_matches(c).starts_with('{') && after.starts_with(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if needs_escape(c) => {
                let code = u32::from(c);
                let _ = if code > 0xffff {
                    write!(out, "\\U{code:08x}")
                } else {
                    write!(out, "\\u{code:04x}")
                };
            }
            c => out.push(c),
        }
        rest = after;
    }
    out.push('"');
    out
}

/// Controls, and what looks like the end of a line or like nothing at all.
fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// The length of a `${…}` at the beginning of `text` that evaluation leaves as it is: a name that nothing defines,
/// with fields and indexes.
fn run_time_value(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("${")?;
    let end = inner.find('}')?;
    let mut rest = &inner[..end];
    let name = |rest: &str| {
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
            .unwrap_or(rest.len());
        let starts = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts.then_some(length)
    };
    let root = name(rest)?;
    // These mean something to the reader of a job file.
    if matches!(
        &rest[..root],
        "var"
            | "local"
            | "each"
            | "true"
            | "false"
            | "null"
            | "for"
            | "if"
            | "in"
            | "else"
            | "endif"
            | "endfor"
    ) {
        return None;
    }
    rest = &rest[root..];
    while !rest.is_empty() {
        if let Some(field) = rest.strip_prefix('.') {
            rest = &field[name(field)?..];
        } else {
            // An index is a plain text in quotes.
            let index = rest.strip_prefix("[\"")?;
            let close = index.find("\"]")?;
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            if close == 0 || !index[..close].chars().all(plain) {
                return None;
            }
            rest = &index[close + 2..];
        }
    }
    Some(2 + end + 1)
}

/// A text of several lines as it stands, if nothing in it needs a quoted string's escapes.
fn heredoc(text: &str) -> Option<String> {
    let body = text.strip_suffix('\n');
    let ends = body.is_some();
    let lines: Vec<&str> = body.unwrap_or(text).split('\n').collect();
    if lines.len() < 2 && !(ends && text.len() > 60) {
        return None;
    }
    let readable = |c: char| c == '\t' || !needs_escape(c);
    if !text.chars().all(|c| c == '\n' || readable(c)) {
        return None;
    }
    // A sign before the sign that begins a template can't be told from its escape here.
    if ["$${", "%%{"].iter().any(|sign| text.contains(sign)) {
        return None;
    }
    let marker = ["EOH", "EOF", "END_OF_TEXT", "END_OF_THIS_TEXT"]
        .into_iter()
        .find(|marker| lines.iter().all(|line| line.trim() != *marker))?;
    // `<<-` takes the smallest indentation away, so some line must have none of its own.
    let blank = |line: &&str| line.trim().is_empty();
    let indented = lines.iter().all(|line| line.is_empty() || !blank(line))
        && lines
            .iter()
            .any(|line| !line.starts_with([' ', '\t']) && !line.is_empty())
        && !lines
            .iter()
            .any(|line| line.starts_with(char::is_whitespace) && !line.starts_with(' '));
    let mut out = String::new();
    if !ends {
        out.push_str("chomp(");
    }
    out.push_str(if indented { "<<-" } else { "<<" });
    out.push_str(marker);
    out.push('\n');
    for line in &lines {
        if indented && !line.is_empty() {
            out.push_str("  ");
        }
        in_heredoc(line, &mut out);
        out.push('\n');
    }
    if indented {
        out.push_str("  ");
    }
    out.push_str(marker);
    if !ends {
        out.push_str("\n)");
    }
    Some(out)
}

fn in_heredoc(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let sign = &rest[..1];
        let length = run_time_value(rest);
        if let Some(length) = length {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            if rest[1..].starts_with('{') {
                out.push_str(sign);
            }
            out.push_str(sign);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_so_that_only_the_node_fills_something_in() {
        for (given, expected) in [
            ("plain", r#""plain""#),
            ("a \"b\" \\ \t", r#""a \"b\" \\ \t""#),
            ("${attr.cpu.arch}", r#""${attr.cpu.arch}""#),
            ("x-${NOMAD_PORT_http}-y", r#""x-${NOMAD_PORT_http}-y""#),
            ("${env[\"HOME\"]}", r#""${env["HOME"]}""#),
            ("${var.a}", r#""$${var.a}""#),
            ("${1 + 2}", r#""$${1 + 2}""#),
            ("${upper(\"a\")}", r#""$${upper(\"a\")}""#),
            ("%{ if x }", r#""%%{ if x }""#),
            ("$${x}", r#""\u0024${x}""#),
            ("a$b$$c%", r#""a$b$$c%""#),
            ("${", r#""$${""#),
            ("two\nlines", "chomp(<<-EOH\n  two\n  lines\n  EOH\n)"),
            ("two\nlines\n", "<<-EOH\n  two\n  lines\n  EOH"),
            ("\tone\n  two\n", "<<EOH\n\tone\n  two\nEOH"),
            ("EOH\n${a.b} ${1}\n", "<<-EOF\n  EOH\n  ${a.b} $${1}\n  EOF"),
            ("a\nb\r\n", r#""a\nb\r\n""#),
            ("a\n$${x}\n", r#""a\n\u0024${x}\n""#),
            ("one line\n", r#""one line\n""#),
        ] {
            assert_eq!(text(given), expected, "{given:?}");
        }
        assert_eq!(label("${attr.a}"), r#""$${attr.a}""#);
    }
}
