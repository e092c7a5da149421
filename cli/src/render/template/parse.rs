//! From text to a tree.

use serde_json::Value;

use super::TemplateError;

/// How deep blocks and parentheses may be nested.
const DEPTH: usize = 100;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Text(String),
    Print(Pipeline),
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range {
        names: Vec<String>,
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// Commands whose results are handed on, perhaps into a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub set: Option<(String, bool)>,
    pub commands: Vec<Vec<Expr>>,
    pub source: String,
}

/// An operand.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Literal(Value),
    Dot(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Group(Box<Pipeline>, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Variable(String),
    Text(String),
    Number(String),
    Dot,
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
    Blank,
}

struct Piece {
    line: usize,
    kind: PieceKind,
}

enum PieceKind {
    Text(String),
    Action(String),
}

/// The tree of a template.
pub fn parse(template: &str) -> Result<Vec<Node>, TemplateError> {
    let pieces = split(template)?;
    let mut reader = Reader {
        pieces: &pieces,
        at: 0,
        loops: 0,
    };
    let (nodes, end) = reader.block(0)?;
    match end {
        Close::Nothing => Ok(nodes),
        Close::End => Err(reader.wrong("unexpected {{end}}")),
        Close::Else(_) => Err(reader.wrong("unexpected {{else}}")),
    }
}

fn syntax(line: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::Syntax {
        line,
        message: message.into(),
    }
}

fn split(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut line = 1;
    let mut trim_next = false;
    loop {
        let Some(start) = rest.find("{{") else {
            let text = if trim_next { rest.trim_start() } else { rest };
            pieces.push(Piece {
                line,
                kind: PieceKind::Text(text.to_owned()),
            });
            return Ok(pieces);
        };
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        let mut text = if trim_next {
            before.trim_start()
        } else {
            before
        };
        let trims_before = after.starts_with('-') && after[1..].starts_with(char::is_whitespace);
        if trims_before {
            text = text.trim_end();
        }
        pieces.push(Piece {
            line,
            kind: PieceKind::Text(text.to_owned()),
        });
        line += before.matches('\n').count();
        let inside = if trims_before { &after[1..] } else { after };
        let end = action_end(inside).ok_or_else(|| syntax(line, "unclosed action"))?;
        let (mut action, after) = (&inside[..end], &inside[end + 2..]);
        let lines = action.matches('\n').count();
        trim_next =
            action.ends_with('-') && action[..action.len() - 1].ends_with(char::is_whitespace);
        if trim_next {
            action = &action[..action.len() - 1];
        }
        let action = action.trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece {
                line,
                kind: PieceKind::Action(action.to_owned()),
            });
        }
        line += lines;
        rest = after;
    }
}

fn action_end(text: &str) -> Option<usize> {
    if text.trim_start().starts_with("/*") {
        let comment = text.find("*/")?;
        return Some(comment + text[comment..].find("}}")?);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some('`') if c == '`' => quote = None,
            Some('`') => {}
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            // A quote that is not closed is found again when the action is read.
            Some(_) if c == '\n' => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`' | '\'') => quote = Some(c),
            None if text[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    text.find("}}")
}

/// What a block ended with.
enum Close {
    Nothing,
    End,
    Else(String),
}

struct Reader<'a> {
    pieces: &'a [Piece],
    at: usize,
    loops: usize,
}

impl Reader<'_> {
    fn line(&self) -> usize {
        let at = self
            .at
            .saturating_sub(1)
            .min(self.pieces.len().saturating_sub(1));
        self.pieces.get(at).map_or(1, |p| p.line)
    }

    fn wrong(&self, message: impl Into<String>) -> TemplateError {
        syntax(self.line(), message)
    }

    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, Close), TemplateError> {
        if depth > DEPTH {
            return Err(self.wrong("blocks are nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            let action = match &piece.kind {
                PieceKind::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text.clone()));
                    }
                    continue;
                }
                PieceKind::Action(action) => action.as_str(),
            };
            let (word, rest) = action
                .split_once(char::is_whitespace)
                .unwrap_or((action, ""));
            let rest = rest.trim();
            match word {
                "end" => return Ok((nodes, Close::End)),
                "else" => return Ok((nodes, Close::Else(rest.to_owned()))),
                "if" => nodes.push(self.conditional(rest, depth)?),
                "with" => {
                    let on = self.pipeline(rest)?;
                    let (body, otherwise) = self.body(depth)?;
                    nodes.push(Node::With(on, body, otherwise));
                }
                "range" => {
                    let (names, over) = self.range_head(rest)?;
                    self.loops += 1;
                    let (body, otherwise) = self.body(depth)?;
                    self.loops -= 1;
                    nodes.push(Node::Range {
                        names,
                        over,
                        body,
                        otherwise,
                    });
                }
                "break" | "continue" if self.loops == 0 => {
                    return Err(self.wrong(format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "template" | "define" | "block" => {
                    return Err(self.wrong("named templates are not supported"));
                }
                _ => nodes.push(Node::Print(self.pipeline(action)?)),
            }
        }
        Ok((nodes, Close::Nothing))
    }

    fn body(&mut self, depth: usize) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
        let (body, end) = self.block(depth + 1)?;
        match end {
            Close::End => Ok((body, Vec::new())),
            Close::Nothing => Err(self.wrong("unexpected EOF")),
            Close::Else(rest) if rest.is_empty() => match self.block(depth + 1)? {
                (otherwise, Close::End) => Ok((body, otherwise)),
                (_, Close::Nothing) => Err(self.wrong("unexpected EOF")),
                (_, Close::Else(_)) => Err(self.wrong("unexpected {{else}}")),
            },
            Close::Else(_) => Err(self.wrong("only {{if}} may have an {{else if}}")),
        }
    }

    fn conditional(&mut self, condition: &str, depth: usize) -> Result<Node, TemplateError> {
        let mut arms = Vec::new();
        let mut condition = self.pipeline(condition)?;
        loop {
            let (body, end) = self.block(depth + 1)?;
            arms.push((condition, body));
            match end {
                Close::End => return Ok(Node::If(arms, Vec::new())),
                Close::Nothing => return Err(self.wrong("unexpected EOF")),
                Close::Else(rest) if rest.is_empty() => {
                    return match self.block(depth + 1)? {
                        (otherwise, Close::End) => Ok(Node::If(arms, otherwise)),
                        (_, Close::Nothing) => Err(self.wrong("unexpected EOF")),
                        (_, Close::Else(_)) => Err(self.wrong("unexpected {{else}}")),
                    };
                }
                Close::Else(rest) => {
                    let next = rest
                        .strip_prefix("if")
                        .filter(|r| r.starts_with(char::is_whitespace))
                        .ok_or_else(|| self.wrong("unexpected words after {{else}}"))?;
                    condition = self.pipeline(next.trim())?;
                }
            }
        }
    }

    fn range_head(&self, text: &str) -> Result<(Vec<String>, Pipeline), TemplateError> {
        let tokens = self.tokens(text)?;
        let declared = tokens.iter().position(|t| *t == Token::Declare);
        let Some(at) = declared else {
            return Ok((Vec::new(), self.pipeline(text)?));
        };
        let mut names = Vec::new();
        for token in &tokens[..at] {
            match token {
                Token::Variable(name) => names.push(name.clone()),
                Token::Comma | Token::Blank => {}
                _ => return Err(self.wrong("unexpected words before :=")),
            }
        }
        if names.is_empty() || names.len() > 2 {
            return Err(self.wrong("range can only initialize variables"));
        }
        Ok((names, self.commands(&tokens[at + 1..], text, None)?))
    }

    fn pipeline(&self, text: &str) -> Result<Pipeline, TemplateError> {
        let tokens = self.tokens(text)?;
        let mut significant = tokens
            .iter()
            .enumerate()
            .filter(|(_, t)| **t != Token::Blank);
        if let (
            Some((_, Token::Variable(name))),
            Some((at, token @ (Token::Declare | Token::Assign))),
        ) = (significant.next(), significant.next())
        {
            return self.commands(
                &tokens[at + 1..],
                text,
                Some((name.clone(), *token == Token::Declare)),
            );
        }
        self.commands(&tokens, text, None)
    }

    fn commands(
        &self,
        tokens: &[Token],
        source: &str,
        set: Option<(String, bool)>,
    ) -> Result<Pipeline, TemplateError> {
        let mut at = 0;
        let commands = self.until(tokens, &mut at, 0)?;
        if at < tokens.len() {
            return Err(self.wrong("unexpected right paren"));
        }
        Ok(Pipeline {
            set,
            commands,
            source: source.to_owned(),
        })
    }

    fn until(
        &self,
        tokens: &[Token],
        at: &mut usize,
        depth: usize,
    ) -> Result<Vec<Vec<Expr>>, TemplateError> {
        if depth > DEPTH {
            return Err(self.wrong("parentheses are nested too deeply"));
        }
        let mut commands = vec![Vec::new()];
        while let Some(token) = tokens.get(*at) {
            let expr = match token {
                Token::Close => break,
                Token::Blank => {
                    *at += 1;
                    continue;
                }
                Token::Pipe => {
                    commands.push(Vec::new());
                    *at += 1;
                    continue;
                }
                Token::Open => {
                    *at += 1;
                    let inner = self.until(tokens, at, depth + 1)?;
                    if tokens.get(*at) != Some(&Token::Close) {
                        return Err(self.wrong("unclosed left paren"));
                    }
                    *at += 1;
                    let pipeline = Pipeline {
                        set: None,
                        commands: inner,
                        source: String::new(),
                    };
                    let fields = fields_after(tokens, at);
                    Expr::Group(Box::new(pipeline), fields)
                }
                Token::Dot => {
                    *at += 1;
                    Expr::Dot(Vec::new())
                }
                Token::Field(_) => Expr::Dot(fields_after(tokens, at)),
                Token::Variable(name) => {
                    *at += 1;
                    Expr::Variable(name.clone(), fields_after(tokens, at))
                }
                Token::Text(text) => {
                    *at += 1;
                    Expr::Literal(Value::String(text.clone()))
                }
                Token::Number(text) => {
                    *at += 1;
                    let number = serde_json::from_str(text)
                        .map_err(|_| self.wrong(format!("bad number syntax: {text:?}")))?;
                    Expr::Literal(number)
                }
                Token::Word(word) => {
                    *at += 1;
                    match word.as_str() {
                        "true" => Expr::Literal(Value::Bool(true)),
                        "false" => Expr::Literal(Value::Bool(false)),
                        "nil" => Expr::Literal(Value::Null),
                        name if super::eval::is_function(name) => Expr::Function(name.to_owned()),
                        name => return Err(self.wrong(format!("function {name:?} not defined"))),
                    }
                }
                Token::Comma | Token::Declare | Token::Assign => {
                    return Err(self.wrong("unexpected punctuation in command"));
                }
            };
            if let Some(last) = commands.last_mut() {
                last.push(expr);
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(self.wrong("missing value for command"));
        }
        Ok(commands)
    }

    fn tokens(&self, text: &str) -> Result<Vec<Token>, TemplateError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let name_end = |from: usize| {
                rest[from..]
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .map_or(rest.len(), |n| n + from)
            };
            let (token, used) = match first {
                c if c.is_whitespace() => (Token::Blank, c.len_utf8()),
                '(' => (Token::Open, 1),
                ')' => (Token::Close, 1),
                '|' => (Token::Pipe, 1),
                ',' => (Token::Comma, 1),
                ':' if rest.starts_with(":=") => (Token::Declare, 2),
                '=' => (Token::Assign, 1),
                '"' => {
                    let end =
                        string_end(rest).ok_or_else(|| self.wrong("unterminated quoted string"))?;
                    let text = serde_json::from_str(&rest[..end])
                        .map_err(|_| self.wrong(format!("bad string {}", &rest[..end])))?;
                    (Token::Text(text), end)
                }
                '`' => {
                    let end = rest[1..]
                        .find('`')
                        .ok_or_else(|| self.wrong("unterminated raw quoted string"))?;
                    (Token::Text(rest[1..=end].to_owned()), end + 2)
                }
                '.' => match name_end(1) {
                    1 => (Token::Dot, 1),
                    end => (Token::Field(rest[1..end].to_owned()), end),
                },
                '$' => {
                    let end = name_end(1);
                    (Token::Variable(rest[..end].to_owned()), end)
                }
                c if c.is_ascii_digit() || ((c == '-' || c == '+') && rest.len() > 1) => {
                    let end = rest[1..]
                        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                        .map_or(rest.len(), |n| n + 1);
                    (
                        Token::Number(rest[..end].trim_start_matches('+').to_owned()),
                        end,
                    )
                }
                c if c.is_alphabetic() || c == '_' => {
                    let end = name_end(0);
                    (Token::Word(rest[..end].to_owned()), end)
                }
                c => return Err(self.wrong(format!("unexpected {c:?} in command"))),
            };
            tokens.push(token);
            rest = &rest[used..];
        }
        Ok(tokens)
    }
}

fn fields_after(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let mut fields = Vec::new();
    while let Some(Token::Field(name)) = tokens.get(*at) {
        fields.push(name.clone());
        *at += 1;
    }
    fields
}

fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            '\n' => return None,
            _ => {}
        }
    }
    None
}
