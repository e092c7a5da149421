//! The canonical layout of HCL, as hclfmt has it: two spaces a level, one space around operators, the `=` of
//! consecutive arguments and the comments behind consecutive lines in one column. Lines are neither joined nor parted,
//! blank ones stay, and so does the inside of strings, heredocs and comments: only blanks between tokens change, so
//! the text means what it meant.

mod tokens;

use std::sync::Arc;

use self::tokens::{Kind, Token};
use super::{scan, syntax_error};
use crate::{
    diagnostics::{Diagnostic, Diagnostics},
    source::Source,
};

/// Spaces of one level.
const INDENT: usize = 2;

/// The text in canonical layout, with an end to its last line.
///
/// # Errors
/// The text is no HCL; with the place.
pub fn format(name: &str, text: &str) -> Result<String, Diagnostics> {
    let source = Arc::new(Source::new(name, text));
    let fail = |finding: Diagnostic| Diagnostics {
        source: Arc::clone(&source),
        list: vec![finding],
    };
    if let Some(finding) = scan::scan(&source.text) {
        return Err(fail(finding));
    }
    if let Err(error) = hcl_edit::parser::parse_body(&source.text) {
        return Err(fail(syntax_error(&source, &error)));
    }
    let formatted = lay_out(&source.text, Heredocs::AsTheyAre);
    if !same_tokens(&source.text, &formatted) {
        return Err(fail(Diagnostic::error(
            "Can't be laid out",
            "A change of the blanks would change what the file means; it is left as it is.",
            None,
        )));
    }
    Ok(formatted)
}

/// The layout of a text that was made here, with its `<<-` heredocs indented along.
pub(super) fn tidy(text: &str) -> String {
    lay_out(text, Heredocs::Indented)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heredocs {
    AsTheyAre,
    Indented,
}

/// Both texts differ in nothing but blanks between tokens.
fn same_tokens(a: &str, b: &str) -> bool {
    let (left, right) = (tokens::tokens(a), tokens::tokens(b));
    let right = match right.as_slice() {
        // The end that the last line was given.
        [all @ .., last] if right.len() == left.len() + 1 && last.kind == Kind::Newline => all,
        all => all,
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(l, r)| l.kind == r.kind && a.get(l.span.clone()) == b.get(r.span.clone()))
}

/// One token of a line and the spaces before it.
struct Cell {
    token: Token,
    spaces: usize,
}

/// A line: what comes first, from its `=` on, and the comment behind it.
#[derive(Default)]
struct Line {
    lead: Vec<Cell>,
    assign: Vec<Cell>,
    comment: Vec<Cell>,
}

/// What is brought into a column.
#[derive(Clone, Copy)]
enum Part {
    Assign,
    Comment,
}

impl Line {
    fn part(&self, part: Part) -> &[Cell] {
        match part {
            Part::Assign => &self.assign,
            Part::Comment => &self.comment,
        }
    }
}

fn lay_out(text: &str, heredocs: Heredocs) -> String {
    let mut lines = lines(text);
    space(text, &mut lines);
    indent(&mut lines);
    lines.iter_mut().for_each(split);
    align(text, &mut lines, Part::Assign);
    align(text, &mut lines, Part::Comment);
    let mut out = String::with_capacity(text.len());
    for line in &lines {
        let level = line.lead.first().map_or(0, |cell| cell.spaces);
        for cell in line.lead.iter().chain(&line.assign).chain(&line.comment) {
            out.extend(std::iter::repeat_n(' ', cell.spaces));
            let token = &text[cell.token.span.clone()];
            let shifts = heredocs == Heredocs::Indented
                && cell.token.kind == Kind::Heredoc
                && token.starts_with("<<-");
            if shifts {
                shift(token, level, &mut out);
            } else {
                out.push_str(token);
            }
        }
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// A heredoc with so many spaces more before its lines.
fn shift(heredoc: &str, spaces: usize, out: &mut String) {
    for (index, line) in heredoc.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            if !line.is_empty() {
                out.extend(std::iter::repeat_n(' ', spaces));
            }
        }
        out.push_str(line);
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    for token in tokens::tokens(text) {
        let ends = token.kind == Kind::Newline;
        line.lead.push(Cell { token, spaces: 0 });
        if ends {
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.lead.is_empty() {
        lines.push(line);
    }
    lines
}

/// How a token changes the depth of brackets.
fn depth_change(kind: Kind) -> isize {
    match kind {
        Kind::Open(_) => 1,
        Kind::Close(_) => -1,
        _ => 0,
    }
}

fn net(cells: &[Cell]) -> isize {
    cells.iter().map(|cell| depth_change(cell.token.kind)).sum()
}

/// A line that opens brackets indents those that follow by one level, however many it opens, until they are closed.
fn indent(lines: &mut [Line]) {
    let mut levels: Vec<isize> = Vec::new();
    for line in lines {
        let change = net(&line.lead);
        let mut closed = -change;
        while closed > 0 {
            match levels.last_mut() {
                Some(open) if *open > closed => {
                    *open -= closed;
                    closed = 0;
                }
                Some(open) => {
                    closed -= *open;
                    levels.pop();
                }
                None => break,
            }
        }
        if let Some(first) = line.lead.first_mut()
            && first.token.kind != Kind::Newline
        {
            first.spaces = INDENT * levels.len();
        }
        if change > 0 {
            levels.push(change);
        }
    }
}

fn space(text: &str, lines: &mut [Line]) {
    for line in lines {
        for index in 1..line.lead.len() {
            let before = index.checked_sub(2).map(|index| &line.lead[index].token);
            let (left, right) = (&line.lead[index - 1].token, &line.lead[index].token);
            let spaces = usize::from(has_space(text, before, left, right));
            line.lead[index].spaces = spaces;
        }
    }
}

/// Whether a space stands between `left` and `right`; `before` comes before them.
fn has_space(text: &str, before: Option<&Token>, left: &Token, right: &Token) -> bool {
    let word = |token: &Token| {
        let is_keyword = matches!(&text[token.span.clone()], "in" | "if");
        token.kind == Kind::Name && is_keyword
    };
    match (left.kind, right.kind) {
        (_, Kind::Newline) => false,
        (Kind::Comment, _) | (_, Kind::Comment) => true,
        (_, Kind::Comma | Kind::Ellipsis | Kind::Dot | Kind::Path)
        | (Kind::Dot | Kind::Path, _) => false,
        (Kind::Open(b'{'), Kind::Close(b'}')) => false,
        (Kind::Open(b'{'), _) | (_, Kind::Close(b'}')) => true,
        (Kind::Open(_), _) | (_, Kind::Close(_)) => false,
        (Kind::Bang, _) => false,
        (Kind::Minus, _) => before.is_some_and(|before| ends_value(before) && !word(before)),
        // A call, an index.
        (Kind::Name, Kind::Open(b'(' | b'[')) => word(left),
        (Kind::Number | Kind::Close(_), Kind::Open(b'[')) => false,
        _ => true,
    }
}

/// Whether what follows can go on with the value that ends here: a minus is then an operator.
fn ends_value(token: &Token) -> bool {
    matches!(
        token.kind,
        Kind::Name | Kind::Number | Kind::String | Kind::Heredoc | Kind::Close(_) | Kind::Comment
    )
}

/// Parts a line into its cells. What opens brackets that it does not close is no argument of one line.
fn split(line: &mut Line) {
    let newline = matches!(line.lead.last(), Some(cell) if cell.token.kind == Kind::Newline);
    let newline = if newline { line.lead.pop() } else { None };
    if line.lead.len() > 1
        && let Some(cell) = line.lead.pop_if(|cell| cell.token.kind == Kind::Comment)
    {
        line.comment.push(cell);
    }
    let equal = line
        .lead
        .iter()
        .position(|cell| cell.token.kind == Kind::Equal);
    if let Some(at) = equal
        && at > 0
        && net(&line.lead[at..]) == 0
    {
        line.assign = line.lead.split_off(at);
    }
    if let Some(newline) = newline {
        let last = [&mut line.comment, &mut line.assign]
            .into_iter()
            .find(|cells| !cells.is_empty());
        last.unwrap_or(&mut line.lead).push(newline);
    }
}

fn columns(text: &str, cells: &[Cell]) -> usize {
    let width = |cell: &Cell| match cell.token.kind {
        Kind::Newline => 0,
        _ => cell.spaces + text[cell.token.span.clone()].chars().count(),
    };
    cells.iter().map(width).sum()
}

/// Brings one part of consecutive lines into one column.
fn align(text: &str, lines: &mut [Line], part: Part) {
    let mut start = 0;
    while start < lines.len() {
        let has_part = |line: &&Line| !line.part(part).is_empty();
        let chain = lines[start..].iter().take_while(has_part).count();
        let chained = &mut lines[start..start + chain];
        let width = |line: &Line| {
            let lead = columns(text, &line.lead);
            match part {
                Part::Assign => lead,
                Part::Comment => lead + columns(text, &line.assign),
            }
        };
        let widest = chained.iter().map(width).max().unwrap_or(0);
        for line in chained {
            let spaces = widest - width(line) + 1;
            let cells = match part {
                Part::Assign => &mut line.assign,
                Part::Comment => &mut line.comment,
            };
            if let Some(first) = cells.first_mut() {
                first.spaces = spaces;
            }
        }
        start += chain.max(1);
    }
}

#[cfg(test)]
mod tests;
