//! More than the first syntax error: the line it is in is left out, and what follows is parsed again.

use std::ops::Range;

use hcl_edit::parser::Error;

use super::{scan, syntax_error};
use crate::{diagnostics::Diagnostic, source::Source};

/// The most syntax errors of a file that are told.
const MAX_ERRORS: usize = 10;
/// The longest text that is parsed again and again, in bytes.
const MAX_TEXT: usize = 128 << 10;

/// The error, and those in later lines that have nothing to do with it.
pub(super) fn syntax_errors(source: &Source, first: Error) -> Vec<Diagnostic> {
    let mut found = vec![syntax_error(source, &first)];
    if source.text.len() > MAX_TEXT {
        return found;
    }
    let mut text = source.text.clone();
    let mut error = first;
    while found.len() < MAX_ERRORS {
        let Some(line) = line_alone(&text, error.location().line()) else {
            break;
        };
        // Blanks of the same length keep every place.
        let blank = " ".repeat(line.len());
        text.replace_range(line, &blank);
        match hcl_edit::parser::parse_body(&text) {
            Ok(_) => break,
            Err(next) => {
                let finding = syntax_error(source, &next);
                let place = |finding: &Diagnostic| finding.span.as_ref().map_or(0, |at| at.start);
                if next.location().line() <= error.location().line()
                    || found.iter().any(|known| place(known) == place(&finding))
                {
                    break;
                }
                found.push(finding);
                error = next;
            }
        }
    }
    found
}

/// Where a line is that opens and closes nothing but itself.
fn line_alone(text: &str, number: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            let inner = line.trim_end_matches(['\n', '\r']);
            let alone = !inner.contains("<<")
                && !inner.trim().is_empty()
                && !inner.contains("/*")
                && scan::scan(inner).is_none();
            return alone.then(|| start..start + inner.len());
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::{ParseOptions, parse_hcl};

    #[test]
    fn later_syntax_errors_are_told_too() {
        let text = "job \"x\" {\n  a b c\n  type = \"batch\"\n  region = = 1\n  group \"g\" {\n    count = 1 1\n  }\n}\n";
        let found = parse_hcl("x", text, &ParseOptions::default()).expect_err("refused");
        let lines: Vec<_> = found
            .list
            .iter()
            .filter_map(|finding| found.position(finding))
            .map(|(line, _)| line)
            .collect();
        assert_eq!(lines, [2, 4, 6], "{found}");
    }
}
