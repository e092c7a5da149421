//! HCL text as tokens: all but the blanks between them. Strings and heredocs are one token each, for their inside is
//! never laid out anew: what the node fills in keeps its spelling.

use crate::source::Span;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of a line.
    Newline,
    /// `# …`, `// …` or `/* … */`, without the end of the line.
    Comment,
    /// A name or keyword.
    Name,
    Number,
    /// A string with its quotes.
    String,
    /// From `<<` to the marker that ends it.
    Heredoc,
    /// `{`, `[`, `(`
    Open(u8),
    /// `}`, `]`, `)`
    Close(u8),
    Dot,
    /// `::`
    Path,
    Comma,
    /// `...`
    Ellipsis,
    Equal,
    Minus,
    Bang,
    /// Any other sign.
    Sign,
}

/// A token and where it is.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next() {
        tokens.push(token);
    }
    tokens
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t'))
            || (self.bytes.get(self.at) == Some(&b'\r')
                && self.bytes.get(self.at + 1) != Some(&b'\n'))
        {
            self.at += 1;
        }
        let start = self.at;
        let rest = self.text.get(start..)?;
        let first = rest.chars().next()?;
        let (kind, length) = kind_at(rest, first);
        self.at = (start + length).min(self.bytes.len());
        Some(Token {
            kind,
            span: start..self.at,
        })
    }
}

fn kind_at(rest: &str, first: char) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let line = || rest.find('\n').unwrap_or(rest.len());
    match first {
        '\n' => (Kind::Newline, 1),
        '\r' => (Kind::Newline, 2),
        '#' => (Kind::Comment, without_blanks(rest, line())),
        '/' if rest.starts_with("//") => (Kind::Comment, without_blanks(rest, line())),
        '/' if rest.starts_with("/*") => {
            let end = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
            (Kind::Comment, end)
        }
        '"' => (Kind::String, string_length(rest)),
        '<' if rest.starts_with("<<") => match heredoc_length(rest) {
            Some(length) => (Kind::Heredoc, length),
            None => (Kind::Sign, 1),
        },
        '{' | '[' | '(' => (Kind::Open(bytes[0]), 1),
        '}' | ']' | ')' => (Kind::Close(bytes[0]), 1),
        '.' if rest.starts_with("...") => (Kind::Ellipsis, 3),
        '.' => (Kind::Dot, 1),
        ':' if rest.starts_with("::") => (Kind::Path, 2),
        ',' => (Kind::Comma, 1),
        '-' => (Kind::Minus, 1),
        '0'..='9' => (Kind::Number, number_length(bytes)),
        '!' if !rest.starts_with("!=") => (Kind::Bang, 1),
        '=' if !rest.starts_with("==") && !rest.starts_with("=>") => (Kind::Equal, 1),
        _ => {
            let two = ["==", "!=", "<=", ">=", "=>", "&&", "||"];
            if two.iter().any(|sign| rest.starts_with(sign)) {
                return (Kind::Sign, 2);
            }
            if is_name_part(first) {
                let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
                return (Kind::Name, end);
            }
            (Kind::Sign, first.len_utf8())
        }
    }
}

/// The end of a comment: blanks behind it are none of it.
fn without_blanks(rest: &str, end: usize) -> usize {
    rest[..end].trim_end_matches([' ', '\t', '\r']).len()
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || !c.is_ascii()
}

fn number_length(bytes: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

/// A quoted string with the templates in it, and the strings in those.
fn string_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    // What is open, innermost last: a string, or a bracket in a template.
    let mut open = vec![b'"'];
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        if open.last() == Some(&b'"') {
            match byte {
                b'\\' => at += 1,
                b'"' => {
                    open.pop();
                }
                b'$' | b'%'
                    if bytes.get(at + 1) == Some(&byte) && bytes.get(at + 2) == Some(&b'{') =>
                {
                    at += 2
                }
                b'$' | b'%' if bytes.get(at + 1) == Some(&b'{') => {
                    open.push(b'{');
                    at += 1;
                }
                _ => {}
            }
        } else {
            match byte {
                b'"' => open.push(b'"'),
                b'{' => open.push(b'{'),
                b'}' => {
                    open.pop();
                }
                _ => {}
            }
        }
        at += 1;
        if open.is_empty() {
            return at;
        }
    }
    rest.len()
}

/// `<<NAME` or `<<-NAME`, to the line that is only NAME.
fn heredoc_length(rest: &str) -> Option<usize> {
    let after = rest[2..].strip_prefix('-').unwrap_or(&rest[2..]);
    let name_at = rest.len() - after.len();
    let name = &after[..after.find(|c| !is_name_part(c)).unwrap_or(after.len())];
    let first_line = after.find('\n')?;
    if name.is_empty() || !after[name.len()..first_line].trim().is_empty() {
        return None;
    }
    let mut at = name_at + first_line + 1;
    for line in rest[at..].split_inclusive('\n') {
        if line.trim() == name {
            return Some(at + line.trim_end().len());
        }
        at += line.len();
    }
    Some(rest.len())
}
