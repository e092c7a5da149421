//! YAML text to nodes with places.
//!
//! Aliases are unfolded as they are met, and what they add is counted: a text whose nodes would be many times its own
//! size is refused, as is deep nesting.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use crate::{
    diagnostics::Diagnostic,
    node::{Content, Node},
    source::{Source, Span},
    value::{Number, Value},
};

/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most nodes that aliases may add.
const MAX_ALIASED: usize = 10_000;

/// The documents of a stream; empty ones are left out.
pub(super) fn documents(source: &Source) -> Result<Vec<Node>, Diagnostic> {
    let mut builder = Builder {
        parser: Parser::new_from_str(&source.text),
        offsets: Offsets::new(&source.text),
        anchors: HashMap::new(),
        aliased: 0,
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::DocumentStart(_) => {
                builder.anchors.clear();
                let (event, span) = builder.must_next(&span)?;
                let node = builder.node(event, span, 0)?;
                if !matches!(node.content, Content::Scalar(Value::Null)) {
                    documents.push(node);
                }
            }
            Event::StreamEnd => break,
            _ => {}
        }
    }
    Ok(documents)
}

/// Character numbers to byte numbers.
struct Offsets {
    /// Empty where each character is a byte.
    bytes: Vec<usize>,
    length: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            bytes,
            length: text.len(),
        }
    }

    fn byte(&self, index: usize) -> usize {
        if self.bytes.is_empty() {
            return index.min(self.length);
        }
        self.bytes.get(index).copied().unwrap_or(self.length)
    }
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    offsets: Offsets,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Diagnostic> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let start = self.offsets.byte(span.start.index());
                let end = self.offsets.byte(span.end.index());
                Ok(Some((event, start..end.max(start))))
            }
            Some(Err(error)) => Err(self.syntax_error(&error)),
        }
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = self.offsets.byte(error.marker().index());
        let mut finding = Diagnostic::error("Invalid YAML", error.info().to_owned(), Some(at..at));
        if error.info().contains("tab") {
            finding.hint = Some("YAML is indented with spaces".to_owned());
        }
        finding
    }

    fn must_next(&mut self, before: &Span) -> Result<(Event<'a>, Span), Diagnostic> {
        let end = before.clone();
        self.next()?
            .ok_or_else(|| Diagnostic::error("Invalid YAML", "The text ends too early.", Some(end)))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::error(
                "Too deeply nested",
                format!("YAML may be nested {MAX_DEPTH} levels deep at most."),
                Some(span),
            ));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_ref());
                let content = Content::Scalar(value);
                (Node { span, content }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut list = Vec::new();
                loop {
                    let (event, inner) = self.must_next(&span)?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    list.push(self.node(event, inner, depth + 1)?);
                }
                let content = Content::List(list);
                (Node { span, content }, anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(span, depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(Diagnostic::error(
                        "Invalid YAML",
                        "The alias names an anchor that isn't complete here.",
                        Some(span),
                    ));
                };
                self.aliased = self.aliased.saturating_add(node.size());
                if self.aliased > MAX_ALIASED {
                    return Err(Diagnostic::error(
                        "Too many aliases",
                        format!(
                            "Aliases may stand for {MAX_ALIASED} values at most, all together."
                        ),
                        Some(span),
                    ));
                }
                let content = node.content.clone();
                (Node { span, content }, 0)
            }
            _ => {
                return Err(Diagnostic::error(
                    "Invalid YAML",
                    "A value is expected here.",
                    Some(span),
                ));
            }
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        let mut map: Vec<(String, Span, Node)> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, key_span) = self.must_next(&span)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, key_span.clone(), depth + 1)?;
            let Some(name) = key.value().to_text() else {
                return Err(Diagnostic::error(
                    "Invalid key",
                    format!("A key is a text, not {}.", key.what()),
                    Some(key_span),
                ));
            };
            let (event, inner) = self.must_next(&key_span)?;
            let node = self.node(event, inner, depth + 1)?;
            if name == "<<" {
                return Err(Diagnostic::error(
                    "Merge keys are not supported",
                    "YAML 1.2 has no merge keys; write the fields out.",
                    Some(key_span),
                ));
            }
            if let Some(first) = seen.insert(name.clone(), key_span.clone()) {
                return Err(Diagnostic::error(
                    "Duplicate key",
                    format!("The key {name:?} is set twice in this mapping."),
                    Some(key_span),
                )
                .related(first, "set here before"));
            }
            map.push((name, key_span, node));
        }
        let content = Content::Map(map);
        Ok(Node { span, content })
    }
}

/// A scalar by the core schema of YAML 1.2: plain `true`, `12`, `null` have types, everything quoted is text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return Value::text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        i128::from_str_radix(digits, radix).ok()
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::int(number);
    }
    let starts_as_number = text
        .trim_start_matches(['-', '+', '.'])
        .starts_with(|c: char| c.is_ascii_digit());
    match Number::parse(text) {
        Some(number) if starts_as_number => Value::Number(number),
        _ => Value::text(text),
    }
}
