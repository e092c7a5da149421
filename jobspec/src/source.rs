//! Text with positions.

use std::ops::Range;

/// A range of bytes.
pub type Span = Range<usize>;

/// A file's text and where its lines begin.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name shown in messages.
    pub name: String,
    /// The text.
    pub text: String,
    line_starts: Vec<usize>,
}

/// A place in a text, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Source {
    /// A text under a name; a byte order mark is left out.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(ends.map(|(index, _)| index + 1))
            .collect();
        Self {
            name: name.to_owned(),
            text,
            line_starts,
        }
    }

    /// The line that a byte is in, counted from 1.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Where a byte is.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_of(offset);
        let start = self.line_starts[line - 1];
        let column = self
            .text
            .get(start..offset)
            .map_or(offset - start, |before| before.chars().count());
        Position {
            line,
            column: column + 1,
        }
    }

    /// A line's text without its end; counted from 1.
    #[must_use]
    pub fn line(&self, line: usize) -> &str {
        let Some(start) = line
            .checked_sub(1)
            .and_then(|index| self.line_starts.get(index))
        else {
            return "";
        };
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text[*start..end.max(*start)].trim_end_matches('\r')
    }

    /// A range as the reference prints it: `3,14-18`, or `4,25-5,1` over several lines.
    #[must_use]
    pub fn range(&self, span: &Span) -> String {
        let (from, to) = (self.position(span.start), self.position(span.end));
        if from.line == to.line {
            format!("{},{}-{}", from.line, from.column, to.column)
        } else {
            format!("{},{}-{},{}", from.line, from.column, to.line, to.column)
        }
    }

    /// The text of a range; empty where it isn't one.
    #[must_use]
    pub fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("f", "a\nbé€d\n");
        for (offset, line, column) in [
            (0, 1, 1),
            (2, 2, 1),
            (5, 2, 3),
            (8, 2, 4),
            (10, 3, 1),
            (99, 3, 1),
        ] {
            assert_eq!(
                source.position(offset),
                Position { line, column },
                "{offset}"
            );
        }
        assert_eq!(source.line(2), "bé€d");
        assert_eq!(source.range(&(0..3)), "1,1-2,2");
    }
}
