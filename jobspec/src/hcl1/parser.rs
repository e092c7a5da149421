//! HCL1 tokens to objects, lists and values as they are written.
//!
//! A mistake ends the item that it is in; reading goes on in the next line, so that one run tells them all.

use super::{
    lexer::{Kind, Lexer, Token},
    marks::{Marks, Why},
};
use crate::{
    diagnostics::Diagnostic,
    source::{Source, Span},
    value::Value,
};

/// Objects and lists inside one another.
const MAX_DEPTH: usize = 64;
/// Items and list elements of one file: far more than a job has, and few enough to be looked at one by one.
const MAX_ITEMS: usize = 100_000;
/// Mistakes that are told of one file; what follows is most likely noise.
const MAX_MISTAKES: usize = 20;

/// The inside of braces, or of the file.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) items: Vec<Item>,
    /// From brace to brace.
    pub(super) span: Span,
    /// The first comma that separates two items.
    pub(super) comma: Option<Span>,
    /// It stands behind `=` or in a list: a map in HCL2 too.
    pub(super) assigned: bool,
}

/// A name, or several, with a value.
#[derive(Debug)]
pub(super) struct Item {
    /// At least one.
    pub(super) keys: Vec<Key>,
    /// Where the `=` is, if there is one.
    pub(super) assign: Option<Span>,
    pub(super) node: Node,
}

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
    pub(super) quoted: bool,
}

/// What stands behind the names.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Value, Span),
    List(Vec<Node>, Span),
    Object(Object),
}

impl Node {
    pub(super) fn span(&self) -> &Span {
        match self {
            Self::Literal(_, span) | Self::List(_, span) => span,
            Self::Object(object) => &object.span,
        }
    }
}

/// A mistake that was told: whoever gets it goes on behind the item.
struct Broken;

/// The items of a file. What is wrong goes into `found`.
pub(super) fn parse(source: &Source, found: &mut Vec<Diagnostic>, marks: &mut Marks) -> Object {
    let json = source.text.trim_start().starts_with('{');
    let mut parser = Parser {
        source,
        lexer: Lexer::new(&source.text, json, marks),
        ahead: None,
        found,
        first: 0,
        last_line: 0,
        items: 0,
        over: false,
    };
    parser.first = parser.found.len();
    if json {
        let open = parser.take();
        parser.lexer.marks().note(Why::Json, open.span.clone());
        let object = parser.object(open.span, 0);
        let after = parser.peek();
        if object.is_ok() && after.kind != Kind::End {
            parser.told("Unexpected text", "Nothing follows the object.", after.span);
        }
        return object.unwrap_or_else(|Broken| Object::empty());
    }
    parser
        .items(None, 0)
        .unwrap_or_else(|Broken| Object::empty())
}

impl Object {
    fn empty() -> Self {
        Self {
            items: Vec::new(),
            span: 0..0,
            comma: None,
            assigned: false,
        }
    }
}

struct Parser<'a> {
    source: &'a Source,
    lexer: Lexer<'a>,
    ahead: Option<Token>,
    found: &'a mut Vec<Diagnostic>,
    /// How many findings there were before.
    first: usize,
    /// The line of the last mistake: one is told of each line.
    last_line: usize,
    items: usize,
    /// No more is read.
    over: bool,
}

impl Parser<'_> {
    /// The next token, which stays.
    fn peek(&mut self) -> Token {
        if let Some(token) = &self.ahead {
            return token.clone();
        }
        let end = self.source.text.len();
        let next = if self.over {
            Ok(Token {
                kind: Kind::End,
                span: end..end,
            })
        } else {
            self.lexer.next()
        };
        let token = next.unwrap_or_else(|finding| {
            let span = finding.span.clone().unwrap_or(end..end);
            self.tell(*finding);
            // It took the rest of the file with it: what is not closed says nothing.
            self.over |= self.lexer.is_at_end();
            Token {
                kind: Kind::Bad,
                span,
            }
        });
        self.ahead = Some(token.clone());
        token
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.ahead = None;
        token
    }

    fn tell(&mut self, finding: Diagnostic) {
        let at = finding.span.as_ref().map_or(0, |span| span.start);
        let line = self.source.line_of(at);
        if line != self.last_line {
            self.last_line = line;
            self.found.push(finding);
        }
        if self.found.len() - self.first >= MAX_MISTAKES {
            self.over = true;
        }
    }

    fn told(&mut self, summary: &str, detail: &str, span: Span) -> Broken {
        self.tell(Diagnostic::error(summary, detail, Some(span)));
        Broken
    }

    /// Over what is no token.
    fn bad(&mut self) -> Broken {
        self.take();
        Broken
    }

    /// Ends the reading: the text is out of bounds.
    fn enough(&mut self, summary: &str, detail: String, span: Span) -> Broken {
        if !self.over {
            self.found
                .push(Diagnostic::error(summary, detail, Some(span)));
            self.over = true;
            self.ahead = None;
        }
        Broken
    }

    fn count(&mut self, span: &Span) -> Result<(), Broken> {
        self.items += 1;
        if self.items > MAX_ITEMS {
            let detail = format!("A file has {MAX_ITEMS} items and list elements at most.");
            return Err(self.enough("Too many items", detail, span.clone()));
        }
        Ok(())
    }

    fn too_deep(&mut self, span: Span) -> Broken {
        let detail = format!("Objects and lists may be nested {MAX_DEPTH} levels deep at most.");
        self.enough("Too deeply nested", detail, span)
    }

    /// The items up to the brace that closes `open`, or up to the end of the file.
    fn items(&mut self, open: Option<&Span>, depth: usize) -> Result<Object, Broken> {
        let mut object = Object::empty();
        object.span.start = open.map_or(0, |open| open.start);
        loop {
            let token = self.peek();
            let broken = match token.kind {
                Kind::End => {
                    object.span.end = token.span.end;
                    let Some(open) = open else { return Ok(object) };
                    if !self.over {
                        self.tell(
                            Diagnostic::error(
                                "Unclosed block",
                                "The file ends before this \"{\" is closed.",
                                Some(open.clone()),
                            )
                            .hint("add the \"}\" that is missing"),
                        );
                        self.over = true;
                    }
                    return Err(Broken);
                }
                Kind::CloseBrace => {
                    self.take();
                    if open.is_some() {
                        object.span.end = token.span.end;
                        return Ok(object);
                    }
                    let detail = "There is nothing that this \"}\" closes.";
                    self.told("Unexpected brace", detail, token.span)
                }
                Kind::Comma if !object.items.is_empty() => {
                    self.take();
                    object.comma.get_or_insert(token.span);
                    continue;
                }
                Kind::Name(_) | Kind::Text(_) => match self.item(depth) {
                    Ok(item) => {
                        object.items.push(item);
                        continue;
                    }
                    Err(broken) => broken,
                },
                Kind::Bad => self.bad(),
                _ => {
                    let detail = format!(
                        "A name is expected here, and there is {}.",
                        token.kind.describe()
                    );
                    self.told("Name expected", &detail, token.span)
                }
            };
            self.recover(broken);
        }
    }

    /// To the next line, over whatever is opened in this one; a brace that closes the object around stays.
    fn recover(&mut self, _: Broken) {
        let line = self.last_line;
        let mut depth = 0_usize;
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return,
                Kind::OpenBrace | Kind::OpenBracket => depth += 1,
                Kind::CloseBrace if depth == 0 => return,
                Kind::CloseBrace | Kind::CloseBracket => depth = depth.saturating_sub(1),
                _ if depth == 0 && self.source.line_of(token.span.start) > line => return,
                _ => {}
            }
            self.take();
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item, Broken> {
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let token = self.peek();
            let later = |key: &Key| {
                self.source.line_of(token.span.start) > self.source.line_of(key.span.end)
            };
            match token.kind {
                // A name in another line is the next item; a quoted one may be a label.
                Kind::Name(_) if keys.last().is_some_and(later) => {
                    return Err(self.no_value(&keys));
                }
                Kind::Name(text) => self.key(text, token.span, false, &mut keys)?,
                Kind::Text(text) => self.key(text, token.span, true, &mut keys)?,
                Kind::Assign => {
                    self.take();
                    if let [_, second, ..] = keys.as_slice() {
                        let detail = "Only one name stands before \"=\".";
                        let span = second.span.clone();
                        let mut finding =
                            Diagnostic::error("Invalid assignment", detail, Some(span));
                        if self.peek().kind == Kind::OpenBrace {
                            finding =
                                finding.hint("leave the \"=\" away: it is a block with a name");
                        }
                        self.tell(finding);
                        return Err(Broken);
                    }
                    let node = self.value(depth)?;
                    return Ok(Item {
                        keys,
                        assign: Some(token.span),
                        node,
                    });
                }
                Kind::OpenBrace => {
                    self.take();
                    let node = Node::Object(self.object(token.span, depth)?);
                    return Ok(Item {
                        keys,
                        assign: None,
                        node,
                    });
                }
                Kind::Bad => return Err(self.bad()),
                _ => return Err(self.no_value(&keys)),
            }
        }
    }

    fn key(
        &mut self,
        text: String,
        span: Span,
        quoted: bool,
        keys: &mut Vec<Key>,
    ) -> Result<(), Broken> {
        self.take();
        self.count(&span)?;
        keys.push(Key { text, span, quoted });
        Ok(())
    }

    fn no_value(&mut self, keys: &[Key]) -> Broken {
        let name = keys.last().map_or("", |key| key.text.as_str());
        let span = keys.last().map_or(0..0, |key| key.span.clone());
        self.tell(
            Diagnostic::error(
                "Missing value",
                format!("\"=\" or \"{{\" is expected behind {name:?}."),
                Some(span),
            )
            .hint("write name = value, or name { … }"),
        );
        Broken
    }

    fn object(&mut self, open: Span, depth: usize) -> Result<Object, Broken> {
        if depth >= MAX_DEPTH {
            return Err(self.too_deep(open));
        }
        self.items(Some(&open), depth + 1)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Broken> {
        let token = self.peek();
        match token.kind {
            Kind::Text(text) => {
                self.take();
                Ok(Node::Literal(Value::String(text), token.span))
            }
            Kind::Value(value) => {
                self.take();
                Ok(Node::Literal(value, token.span))
            }
            Kind::OpenBrace => {
                self.take();
                let mut object = self.object(token.span, depth)?;
                object.assigned = true;
                Ok(Node::Object(object))
            }
            Kind::OpenBracket => {
                self.take();
                self.list(token.span, depth)
            }
            Kind::Name(word) => {
                self.take();
                let finding = Diagnostic::error(
                    "Text without quotes",
                    format!(
                        "{word} is no value: HCL1 has texts in quotes, numbers, true, false, lists and objects."
                    ),
                    Some(token.span.clone()),
                );
                let hint = if self.source.text[token.span.end..].starts_with('(') {
                    "HCL1 has no functions: write what comes out of it, or make the file HCL2"
                        .to_owned()
                } else if ["var.", "local.", "each."]
                    .iter()
                    .any(|root| word.starts_with(root))
                {
                    "HCL1 has no variables: write the value, or make the file HCL2".to_owned()
                } else {
                    format!("write \"{word}\"")
                };
                self.tell(finding.hint(hint));
                Err(Broken)
            }
            Kind::Bad => Err(self.bad()),
            kind => {
                let detail = format!(
                    "A value is expected here, and there is {}.",
                    kind.describe()
                );
                Err(self.told("Value expected", &detail, token.span))
            }
        }
    }

    fn list(&mut self, open: Span, depth: usize) -> Result<Node, Broken> {
        if depth >= MAX_DEPTH {
            return Err(self.too_deep(open));
        }
        let mut list = Vec::new();
        let mut separated = true;
        loop {
            let token = self.peek();
            match token.kind {
                Kind::CloseBracket => {
                    self.take();
                    return Ok(Node::List(list, open.start..token.span.end));
                }
                Kind::Comma => {
                    self.take();
                    separated = true;
                }
                Kind::End => {
                    if !self.over {
                        self.told(
                            "Unclosed list",
                            "The file ends before this \"[\" is closed.",
                            open,
                        );
                        self.over = true;
                    }
                    return Err(Broken);
                }
                Kind::CloseBrace | Kind::Assign => {
                    let finding = Diagnostic::error(
                        "Unclosed list",
                        format!(
                            "A list ends with \"]\", and there is {}.",
                            token.kind.describe()
                        ),
                        Some(token.span),
                    );
                    self.tell(finding.related(open, "the list begins here"));
                    return Err(Broken);
                }
                Kind::Bad => return Err(self.bad()),
                _ if !separated => {
                    let detail = format!(
                        "A comma or the end of the list is expected here, and there is {}.",
                        token.kind.describe()
                    );
                    return Err(self.told("Comma expected", &detail, token.span));
                }
                _ => {
                    self.count(&token.span)?;
                    list.push(self.value(depth + 1)?);
                    separated = false;
                }
            }
        }
    }
}
