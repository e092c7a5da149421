//! HCL text to a tree of evaluated blocks.

mod eval;
mod format;
pub mod functions;
mod heredoc;
mod quote;
mod recover;
mod scan;
mod types;
mod variables;
mod write;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use hcl_edit::{
    Span as _,
    expr::Expression,
    structure::{self, BlockLabel, Structure},
};

pub use self::format::format;
pub(crate) use self::write::{as_written, is_name};

use self::eval::Evaluator;
use crate::{
    ParseOptions,
    diagnostics::{Diagnostic, Diagnostics, unknown_argument, unknown_block},
    source::{Source, Span},
    tree,
    value::Value,
};

/// Blocks inside one another, `dynamic` ones unfolded.
const MAX_BLOCK_DEPTH: usize = 64;
/// Blocks that `dynamic` may make in one file.
const MAX_DYNAMIC_BLOCKS: usize = 50_000;

/// The blocks a file may hold.
const ROOT_BLOCKS: [&str; 4] = ["job", "variable", "variables", "locals"];

/// The job block of a file, evaluated, and the values that no message may hold. What is wrong goes into `found`.
pub(crate) fn read(
    source: &Source,
    options: &ParseOptions,
    found: &mut Vec<Diagnostic>,
) -> (Option<tree::Block>, Vec<String>) {
    let mut secrets = Vec::new();
    let block = block(source, options, found, &mut secrets);
    (block, secrets)
}

fn block(
    source: &Source,
    options: &ParseOptions,
    found: &mut Vec<Diagnostic>,
    secrets: &mut Vec<String>,
) -> Option<tree::Block> {
    if source.text.trim_start().starts_with('{') {
        found.push(json_instead(source));
        return None;
    }
    if let Some(finding) = scan::scan(&source.text) {
        found.push(finding);
        return None;
    }
    let body = match hcl_edit::parser::parse_body(&source.text) {
        Ok(body) => body,
        Err(error) => {
            found.extend(recover::syntax_errors(source, error));
            return None;
        }
    };
    let mut jobs: Vec<&structure::Block> = Vec::new();
    for item in &body {
        match item {
            Structure::Attribute(attribute) => found.push(unknown_argument(
                attribute.key.as_str(),
                span_of(attribute.key.span()),
                ROOT_BLOCKS,
            )),
            Structure::Block(block) => match block.ident.as_str() {
                "job" => jobs.push(block),
                "variable" | "variables" | "locals" => {}
                other => found.push(unknown_block(other, header(block), ROOT_BLOCKS)),
            },
        }
    }
    let Some(job) = jobs.first().copied() else {
        if found.is_empty() {
            let mut finding =
                Diagnostic::error("Missing job block", "A job block is required", Some(0..0));
            finding.placeless = true;
            found.push(finding);
        }
        return None;
    };
    for other in &jobs[1..] {
        let first = header(job);
        found.push(
            Diagnostic::error(
                "Duplicate job block",
                format!(
                    "Only one block of type \"job\" is allowed. Previous definition was at {}:{}.",
                    source.name,
                    source.range(&first)
                ),
                Some(header(other)),
            )
            .related(first, "the first one"),
        );
    }
    let mut evaluator = Evaluator::new(source, options.files.as_ref());
    variables::define(&body, source, options, &mut evaluator);
    let mut unfolder = Unfolder {
        evaluator: &mut evaluator,
        dynamic_blocks: 0,
    };
    let block = unfolder.block(job, 0);
    let (mut own, kept) = evaluator.finish();
    *secrets = kept;
    found.append(&mut own);
    // `"job" "<name>"` is the only form with labels that counts.
    if job.labels.is_empty() {
        let brace = source.text[header(job).end..]
            .find('{')
            .map_or(0, |at| at + header(job).end);
        found.push(
            Diagnostic::error(
                "Missing name for job",
                "All job blocks must have 1 labels (name).",
                Some(brace..brace + 1),
            )
            .hint("write job \"<name>\" {"),
        );
        return None;
    }
    Some(block)
}

/// The value of an expression on its own: names are left for the node, files are read through `files`.
///
/// # Errors
/// Everything that is wrong with it, with places.
pub fn expression(
    name: &str,
    text: &str,
    files: &dyn functions::Files,
) -> Result<Value, Diagnostics> {
    let source = Arc::new(Source::new(name, text.trim_end_matches(['\r', '\n'])));
    let fail = |list: Vec<Diagnostic>| Diagnostics {
        source: Arc::clone(&source),
        list,
    };
    if let Some(finding) = scan::scan(&source.text) {
        return Err(fail(vec![finding]));
    }
    let parsed: Expression = match hcl_edit::parser::parse_expr(&source.text) {
        Ok(parsed) => parsed,
        Err(error) => return Err(fail(vec![syntax_error(&source, &error)])),
    };
    let mut evaluator = Evaluator::new(&source, files);
    let value = evaluator.eval(&parsed);
    if evaluator.found.is_empty() {
        Ok(value)
    } else {
        let found = evaluator.found;
        Err(fail(found))
    }
}

/// What to say of a text that begins as JSON does.
fn json_instead(source: &Source) -> Diagnostic {
    let error = match serde_json::from_str::<serde::de::IgnoredAny>(&source.text) {
        Ok(_) => {
            return Diagnostic::error(
                "JSON instead of HCL",
                "This is JSON. A job in the API's JSON is read from a file whose name ends in .json.",
                Some(0..1),
            );
        }
        Err(error) => error,
    };
    let line_start: usize = source
        .text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (line_start + error.column().saturating_sub(1)).min(source.text.len());
    let bytes = source.text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = at
        - bytes[..at]
            .iter()
            .rev()
            .take_while(|byte| is_word(byte))
            .count();
    let end = at + bytes[at..].iter().take_while(|byte| is_word(byte)).count();
    let word = source.slice(&(start..end));
    let mut finding = if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Diagnostic::error(
            "Invalid JSON keyword",
            format!("{word:?} is not a valid JSON keyword."),
            Some(start..end),
        )
    } else {
        let text = error.to_string();
        let message = text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        Diagnostic::error("Invalid JSON", format!("{message}."), Some(start..end))
    };
    // The reference goes on and trips over what follows.
    finding.echoes = 3;
    finding.hint("job files are HCL, YAML (.yaml) or the API's JSON (.json)")
}

fn span_of(span: Option<Range<usize>>) -> Span {
    span.unwrap_or(0..0)
}

/// Where a value is; a quoted text without its quotes, as the reference has it.
fn value_span(value: &Expression) -> Span {
    let span = span_of(value.span());
    match value {
        Expression::String(_) if span.len() >= 2 => span.start + 1..span.end - 1,
        _ => span,
    }
}

/// Where a block's kind and labels are.
fn header(block: &structure::Block) -> Span {
    let start = span_of(block.ident.span());
    let end = block
        .labels
        .last()
        .and_then(label_span)
        .map_or(start.end, |span| span.end);
    start.start..end
}

fn label_span(label: &BlockLabel) -> Option<Span> {
    match label {
        BlockLabel::Ident(name) => name.span(),
        BlockLabel::String(text) => text.span(),
    }
}

/// The parser's complaint in words that help.
fn syntax_error(source: &Source, error: &hcl_edit::parser::Error) -> Diagnostic {
    let mut at = error.location().offset().min(source.text.len());
    // The parser counts bytes, also within a character.
    while !source.text.is_char_boundary(at) {
        at -= 1;
    }
    let line = error.location().line();
    let message = error.message();
    if message.contains("redefined attribute") {
        return redefined(source, at);
    }
    if message.contains("nesting depth") || message.contains("nested") {
        return Diagnostic::error("Too deeply nested", message, Some(at..at));
    }
    let text = source.line(line).trim();
    let first = source.text[at..].chars().next();
    let width = first.map_or(0, char::len_utf8);
    let finding =
        |summary: &str, detail: &str| Diagnostic::error(summary, detail, Some(at..at + width));
    if message.contains("escape sequence") || message.contains("hex code") {
        return bad_escape(source, at);
    }
    if first == Some('\'') {
        return finding(
            "Invalid character",
            "Single quotes are not valid. Use double quotes (\") to enclose strings.",
        );
    }
    if message.contains("redefined object key") {
        return finding(
            "Duplicate object key",
            "This key is set twice in the map. Each key may be set only once.",
        );
    }
    let quoted_key = text.starts_with('"') && text.contains('=');
    if quoted_key {
        return finding(
            "Invalid argument name",
            "Argument names must not be quoted.",
        )
        .hint("inside a block a name stands without quotes; with quotes it goes into a map: name = { \"a.b\" = … }");
    }
    if text.contains('{') && text.contains('=') && text.ends_with('}') && message.contains('}') {
        return finding(
            "Invalid single-argument block definition",
            "A single-line block definition must end with a closing brace immediately after its single argument definition.",
        )
        .hint("put each argument on a line of its own");
    }
    finding(
        "Invalid expression or block",
        &format!("Parsing stopped here: {message}."),
    )
}

/// A backslash that isn't followed by what it may be followed by; the parser says where it noticed.
fn bad_escape(source: &Source, noticed: usize) -> Diagnostic {
    let before = source.text.get(..noticed).unwrap_or_default();
    let start = before.rfind('\\').unwrap_or(before.len());
    let symbol = source.text[start..].chars().nth(1);
    let end = start + 1 + symbol.map_or(0, char::len_utf8);
    let detail = match symbol {
        Some('u') => "The \\u escape sequence must be followed by four hexadecimal digits that are a character's number.".to_owned(),
        Some('U') => "The \\U escape sequence must be followed by eight hexadecimal digits that are a character's number.".to_owned(),
        Some(symbol) => format!(
            "The symbol {:?} is not a valid escape sequence selector.",
            symbol.to_string()
        ),
        None => "A backslash is followed by what it stands for.".to_owned(),
    };
    Diagnostic::error("Invalid escape sequence", detail, Some(start..end))
        .hint("write \\n, \\r, \\t, \\\", \\\\, \\uNNNN or \\UNNNNNNNN")
}

fn redefined(source: &Source, at: usize) -> Diagnostic {
    let name_end = |from: usize| {
        let rest = &source.text[from..];
        from + rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(rest.len())
    };
    let span = at..name_end(at);
    let name = source.slice(&span).to_owned();
    // The one before: the last line above, at the same depth, that begins with the name.
    let mut earlier = None;
    let mut depth: i64 = 0;
    let here = source.position(at).line;
    for number in (1..here).rev() {
        let line = source.line(number);
        depth += line.matches('}').count() as i64 - line.matches('{').count() as i64;
        let trimmed = line.trim_start();
        let after = trimmed.strip_prefix(&name).map(str::trim_start);
        if depth <= 0 && after.is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("=="))
        {
            earlier = Some((number, line.len() - trimmed.len()));
            break;
        }
        if depth < 0 {
            break;
        }
    }
    let place = earlier.map(|(line, indent)| {
        let start = source
            .text
            .lines()
            .take(line - 1)
            .map(|line| line.len() + 1)
            .sum::<usize>()
            + indent;
        start..start + name.len()
    });
    let detail = match &place {
        Some(place) => format!(
            "The argument {name:?} was already set at {}:{}. Each argument may be set only once.",
            source.name,
            source.range(place)
        ),
        None => {
            format!("The argument {name:?} was already set. Each argument may be set only once.")
        }
    };
    let finding = Diagnostic::error("Attribute redefined", detail, Some(span));
    match place {
        Some(place) => finding.related(place, "set here before"),
        None => finding,
    }
}

/// Evaluates blocks and unfolds `dynamic` ones.
struct Unfolder<'e, 'a> {
    evaluator: &'e mut Evaluator<'a>,
    dynamic_blocks: usize,
}

impl Unfolder<'_, '_> {
    fn block(&mut self, block: &structure::Block, depth: usize) -> tree::Block {
        // In free form each label nests what is inside once more.
        let inner = depth + 1 + block.labels.len();
        let labels = block.labels.iter().take(MAX_BLOCK_DEPTH);
        tree::Block {
            kind: block.ident.as_str().to_owned(),
            labels: labels
                .map(|label| (label.as_str().to_owned(), span_of(label_span(label))))
                .collect(),
            header: header(block),
            body: self.body(&block.body, inner),
        }
    }

    fn body(&mut self, body: &structure::Body, depth: usize) -> tree::Body {
        let mut out = tree::Body::default();
        if depth > MAX_BLOCK_DEPTH {
            self.evaluator.found.push(Diagnostic::error(
                "Too deeply nested",
                format!(
                    "Blocks may be nested {MAX_BLOCK_DEPTH} levels deep at most, their labels included."
                ),
                body.span(),
            ));
            return out;
        }
        for item in body {
            match item {
                Structure::Attribute(attribute) => out.attributes.push(tree::Attribute {
                    name: attribute.key.as_str().to_owned(),
                    name_span: span_of(attribute.key.span()),
                    value: self.evaluator.eval_shallow(&attribute.value),
                    value_span: value_span(&attribute.value),
                }),
                Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                    self.dynamic(block, depth, &mut out.blocks);
                }
                Structure::Block(block) => out.blocks.push(self.block(block, depth)),
            }
        }
        out
    }

    fn dynamic(&mut self, block: &structure::Block, depth: usize, out: &mut Vec<tree::Block>) {
        let place = header(block);
        let fail = |detail: &str, span: Span, evaluator: &mut Evaluator<'_>| {
            evaluator.found.push(Diagnostic::error(
                "Invalid dynamic block",
                detail,
                Some(span),
            ));
        };
        let [kind] = block.labels.as_slice() else {
            return fail(
                "A dynamic block has one label: the kind of block that it makes.",
                place,
                self.evaluator,
            );
        };
        let kind = kind.as_str();
        for item in &block.body {
            let finding = match item {
                Structure::Attribute(attribute) => {
                    let known = ["for_each", "labels", "iterator"];
                    let name = attribute.key.as_str();
                    (!known.contains(&name))
                        .then(|| unknown_argument(name, span_of(attribute.key.span()), known))
                }
                Structure::Block(inner) => (inner.ident.as_str() != "content")
                    .then(|| unknown_block(inner.ident.as_str(), header(inner), ["content"])),
            };
            self.evaluator.found.extend(finding);
        }
        let (Some(for_each), Some(content)) = (
            block.body.get_attribute("for_each"),
            block.body.get_blocks("content").next(),
        ) else {
            return fail(
                "A dynamic block needs for_each and a content block.",
                place,
                self.evaluator,
            );
        };
        let iterator = match block.body.get_attribute("iterator").map(|it| &it.value) {
            None => kind.to_owned(),
            Some(Expression::Variable(name)) => name.as_str().to_owned(),
            Some(other) => {
                let span = span_of(other.span());
                return fail("The iterator is a bare name.", span, self.evaluator);
            }
        };
        let collection = self.evaluator.eval_shallow(&for_each.value);
        let unknown = collection == Value::Unknown;
        let Some(pairs) = eval::pairs(collection) else {
            if !unknown {
                let span = span_of(for_each.value.span());
                fail(
                    "Cannot use this value in for_each: an iterable collection is required.",
                    span,
                    self.evaluator,
                );
            }
            return;
        };
        let mark = self.evaluator.scope.mark();
        for (key, value) in pairs {
            if self.evaluator.is_exhausted() {
                break;
            }
            self.dynamic_blocks += 1;
            if self.dynamic_blocks > MAX_DYNAMIC_BLOCKS {
                fail(
                    "Dynamic blocks make too many blocks.",
                    place.clone(),
                    self.evaluator,
                );
                break;
            }
            let each = BTreeMap::from([("key".to_owned(), key), ("value".to_owned(), value)]);
            self.evaluator.scope.set(&iterator, Value::Map(each));
            let labels = self.dynamic_labels(block);
            if let Some(labels) = labels {
                out.push(tree::Block {
                    kind: kind.to_owned(),
                    header: place.clone(),
                    body: self.body(&content.body, depth + 1 + labels.len()),
                    labels,
                });
            }
            self.evaluator.scope.back_to(mark);
        }
    }

    fn dynamic_labels(&mut self, block: &structure::Block) -> Option<Vec<(String, Span)>> {
        let Some(labels) = block.body.get_attribute("labels") else {
            return Some(Vec::new());
        };
        let span = span_of(labels.value.span());
        let value = self.evaluator.eval(&labels.value);
        let texts = match &value {
            Value::List(list) => list
                .iter()
                .take(MAX_BLOCK_DEPTH)
                .map(|label| label.to_text().map(|text| (text, span.clone())))
                .collect(),
            _ => None,
        };
        if texts.is_none() && !value.has_unknown() {
            self.evaluator.found.push(Diagnostic::error(
                "Invalid dynamic block",
                "The labels are a list of texts, as [\"name\"].",
                Some(span),
            ));
        }
        texts
    }
}
