//! HCL1 text to tokens.
//!
//! Tokens are made one at a time, so memory follows the tree and not the text. A text that can't be a token is told
//! once, and reading goes on behind it.

use super::{
    literal,
    marks::{Marks, Why},
};
use crate::{
    diagnostics::Diagnostic,
    source::Span,
    value::{Number, Value},
};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A bare name.
    Name(String),
    /// A quoted text, read.
    Text(String),
    /// A number, a bool or a heredoc: what can only be a value.
    Value(Value),
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `=`, in JSON `:`
    Assign,
    /// `,`
    Comma,
    /// A text that is no token: it was told.
    Bad,
    /// The end of the text.
    End,
}

impl Kind {
    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("the name {name:?}"),
            Self::Text(_) => "a text".to_owned(),
            Self::Value(Value::Number(_)) => "a number".to_owned(),
            Self::Value(Value::Bool(value)) => format!("{value}"),
            Self::Value(_) => "a heredoc".to_owned(),
            Self::OpenBrace => "\"{\"".to_owned(),
            Self::CloseBrace => "\"}\"".to_owned(),
            Self::OpenBracket => "\"[\"".to_owned(),
            Self::CloseBracket => "\"]\"".to_owned(),
            Self::Assign => "\"=\"".to_owned(),
            Self::Comma => "\",\"".to_owned(),
            Self::Bad => "something else".to_owned(),
            Self::End => "the end of the file".to_owned(),
        }
    }
}

/// A token and where it is; a text without its quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Makes tokens.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    json: bool,
    marks: &'a mut Marks,
}

impl<'a> Lexer<'a> {
    /// Over a text; in JSON `:` assigns and `null` is a value.
    pub(super) fn new(text: &'a str, json: bool, marks: &'a mut Marks) -> Self {
        Self {
            text,
            at: 0,
            json,
            marks,
        }
    }

    /// What the text shows about its language.
    pub(super) fn marks(&mut self) -> &mut Marks {
        self.marks
    }

    /// Nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The next token.
    ///
    /// # Errors
    /// What is wrong with the text there; the next call goes on behind it.
    pub(super) fn next(&mut self) -> Result<Token, Box<Diagnostic>> {
        self.blank()?;
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Token {
                kind: Kind::End,
                span: start..start,
            });
        };
        let single = |kind| Ok((kind, 1));
        let (kind, length) = match first {
            '{' => single(Kind::OpenBrace),
            '}' => single(Kind::CloseBrace),
            '[' => single(Kind::OpenBracket),
            ']' => single(Kind::CloseBracket),
            '=' => single(Kind::Assign),
            ':' if self.json => single(Kind::Assign),
            ',' => single(Kind::Comma),
            '"' => return self.quoted(),
            '<' => return self.heredoc(),
            '-' | '.' | '0'..='9' if self.begins_number() => return self.number(),
            _ if first.is_alphabetic() || first == '_' => Ok(self.word()),
            _ => Err(self.unexpected(first)),
        }?;
        self.at += length;
        Ok(Token {
            kind,
            span: start..self.at,
        })
    }

    /// Over blanks and comments.
    fn blank(&mut self) -> Result<(), Box<Diagnostic>> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(inside) = rest.strip_prefix("/*") {
                match inside.find("*/") {
                    Some(end) => self.at += end + 4,
                    None => return Err(self.open_comment(self.at)),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn open_comment(&mut self, start: usize) -> Box<Diagnostic> {
        self.at = self.text.len();
        Box::new(Diagnostic::error(
            "Unterminated comment",
            "No \"*/\" ends the comment that begins here.",
            Some(start..start + 2),
        ))
    }

    fn word(&self) -> (Kind, usize) {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_alphabetic() || c.is_numeric() || matches!(c, '_' | '-' | '.')))
            .unwrap_or(rest.len());
        let kind = match &rest[..length] {
            "true" => Kind::Value(Value::Bool(true)),
            "false" => Kind::Value(Value::Bool(false)),
            "null" if self.json => Kind::Value(Value::Null),
            name => Kind::Name(name.to_owned()),
        };
        (kind, length)
    }

    fn begins_number(&self) -> bool {
        let mut chars = self.rest().chars();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        match chars.next() {
            Some('-' | '.') => digit(chars.next()),
            first => digit(first),
        }
    }

    /// The whole run of characters is one number, or it is none.
    fn number(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        let rest = self.rest();
        let mut before = ' ';
        let length = rest
            .find(|c: char| {
                let sign = matches!(c, '+' | '-') && (before == ' ' || matches!(before, 'e' | 'E'));
                before = c;
                !(sign || c.is_alphanumeric() || matches!(c, '.' | '_'))
            })
            .unwrap_or(rest.len());
        self.at += length;
        let span = start..self.at;
        let number = literal::number(&rest[..length]).map_err(|detail| {
            let word: String = rest[..length].chars().take(40).collect();
            Box::new(
                Diagnostic::error("Invalid number", detail, Some(span.clone()))
                    .hint(format!("a text stands in quotes: \"{word}\"")),
            )
        })?;
        let plain = rest[..length].trim_start_matches('-');
        let octal = plain.len() > 1
            && plain.starts_with('0')
            && plain.bytes().all(|byte| byte.is_ascii_digit());
        if octal && let Number::Int(value) = number {
            self.marks.octal(span.clone(), &rest[..length], value);
        } else if plain.starts_with("0x") || plain.starts_with("0X") {
            self.marks.note(Why::NumberForm, span.clone());
        }
        Ok(Token {
            kind: Kind::Value(Value::Number(number)),
            span,
        })
    }

    /// A text in quotes. Within `${…}` quotes and line ends do not end it, and nothing is an escape.
    fn quoted(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at + 1;
        let mut depth = 0_usize;
        let mut opened = start;
        // An interpolation that does not end in its line: if something is wrong later, then it is this.
        let mut over_lines = None;
        let mut chars = self.text[start..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let at = start + at;
            match c {
                '"' if depth == 0 => {
                    self.at = at + 1;
                    let raw = &self.text[start..at];
                    self.marks.templates(raw, start);
                    let text = literal::unquote(raw, start, self.marks)?;
                    return Ok(Token {
                        kind: Kind::Text(text),
                        span: start..at,
                    });
                }
                '\n' if depth == 0 => {
                    return Err(match over_lines {
                        Some(opened) => self.open_interpolation(opened),
                        None => self.open_text(start, at),
                    });
                }
                '\n' => {
                    over_lines.get_or_insert(opened);
                }
                '$' if depth == 0 && chars.peek().is_some_and(|(_, next)| *next == '{') => {
                    chars.next();
                    (depth, opened) = (1, at);
                }
                '{' if depth > 0 => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '\\' if depth == 0 && chars.peek().is_some_and(|(_, next)| *next != '\n') => {
                    chars.next();
                }
                _ => {}
            }
        }
        Err(match over_lines.or((depth > 0).then_some(opened)) {
            Some(opened) => self.open_interpolation(opened),
            None => self.open_text(start, self.text.len()),
        })
    }

    fn open_interpolation(&mut self, opened: usize) -> Box<Diagnostic> {
        // What follows is most likely sound: go on in the next line.
        let line = self.text[opened..].find('\n');
        self.at = line.map_or(self.text.len(), |end| opened + end);
        Box::new(
            Diagnostic::error(
                "Unterminated interpolation",
                "No \"}\" closes the \"${\" that begins here.",
                Some(opened..opened + 2),
            )
            .hint("every \"{\" behind \"${\" needs its \"}\""),
        )
    }

    fn open_text(&mut self, start: usize, end: usize) -> Box<Diagnostic> {
        self.at = end;
        Box::new(
            Diagnostic::error(
                "Unterminated text",
                "A quoted text ends in the line in which it begins.",
                Some(start - 1..end),
            )
            .hint("close it with a quote; a text of several lines is a heredoc: <<EOF"),
        )
    }

    /// `<<NAME` or `<<-NAME` to the line that is NAME alone.
    fn heredoc(&mut self) -> Result<Token, Box<Diagnostic>> {
        let start = self.at;
        let line_end = self
            .rest()
            .find('\n')
            .map_or(self.text.len(), |end| start + end);
        let opening = self.text[start..line_end].trim_end_matches('\r');
        let fail = |lexer: &mut Self, detail: &str| {
            lexer.at = line_end;
            Err(Box::new(
                Diagnostic::error(
                    "Invalid heredoc",
                    detail,
                    Some(start..start + opening.len()),
                )
                .hint("write <<NAME at the end of the line; the text begins in the next one"),
            ))
        };
        let Some(anchor) = opening.strip_prefix("<<") else {
            return fail(self, "A heredoc begins with \"<<\".");
        };
        let dash = anchor.starts_with('-');
        let name = anchor.strip_prefix('-').unwrap_or(anchor);
        if name.is_empty() {
            return fail(self, "The heredoc has no name.");
        }
        let plain = |c: char| c.is_alphabetic() || c.is_numeric() || c == '_';
        if !name.chars().all(plain) {
            return fail(
                self,
                "The name of a heredoc has letters and digits, and nothing follows it.",
            );
        }
        let body = (line_end + 1).min(self.text.len());
        let mut line_at = body;
        // Where another heredoc of this name begins before it ends, that one's end would be taken for this one's.
        let mut swallowed = false;
        while line_at < self.text.len() {
            let rest = &self.text[line_at..];
            let length = rest.find('\n').unwrap_or(rest.len());
            let line = rest[..length].trim_end_matches('\r');
            let indent = line.len() - line.trim_start().len();
            if &line[indent..] == name {
                if swallowed {
                    break;
                }
                self.at = line_at + line.len();
                let raw = &self.text[body..line_at + indent];
                self.marks.templates(raw, body);
                return Ok(Token {
                    kind: Kind::Value(Value::String(literal::heredoc(raw, dash))),
                    span: start..self.at,
                });
            }
            swallowed |= opens(line, name);
            line_at += length + 1;
        }
        self.at = self.text.len();
        Err(Box::new(
            Diagnostic::error(
                "Unterminated heredoc",
                format!("No line that is only {name:?} ends the text that begins here."),
                Some(start..start + opening.len()),
            )
            .hint(format!("write {name} on a line of its own")),
        ))
    }

    fn unexpected(&mut self, c: char) -> Box<Diagnostic> {
        let start = self.at;
        self.at += c.len_utf8();
        let finding = Diagnostic::error(
            "Unexpected character",
            format!("{c:?} has no meaning here."),
            Some(start..self.at),
        );
        let hint = match c {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '`' => {
                "texts stand in double quotes"
            }
            ':' => "a name and its value are joined by \"=\"",
            ';' => "items stand on lines of their own",
            '(' | ')' | '?' | '+' | '*' | '/' | '!' | '>' | '&' | '|' | '-' => {
                "HCL1 has values only, no expressions"
            }
            '$' | '%' => "an interpolation stands within a text: \"${…}\"",
            _ => return Box::new(finding),
        };
        Box::new(finding.hint(hint))
    }
}

/// Whether a line begins a heredoc of this name as a value of the file, not as a word of a script in a heredoc.
fn opens(line: &str, name: &str) -> bool {
    line.trim_end()
        .strip_suffix(name)
        .map(|rest| rest.strip_suffix('-').unwrap_or(rest))
        .and_then(|rest| rest.strip_suffix("<<"))
        .map(str::trim_end)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(['=', '[', ',']))
}
