//! A job as HCL that reads back as the same job, laid out as `fmt` lays it out.

use std::fmt::Write as _;

use hcl_edit::Ident;
use rove_model::job::Job;
use serde_json::{Map, Value as Json};

use super::{format, quote};
use crate::{
    encode::{self, Detail, Said, Written},
    schema::{Field, Kind},
};

/// Lists and objects longer than this take a line for each element.
const MAX_LINE: usize = 80;

/// A job that was read as HCL: what it says, no more and no less.
///
/// A driver's argument whose name can't be one in HCL is written all the same; it does not read back.
pub(crate) fn as_written(job: &Job) -> String {
    let block = encode::job(job, Detail::AsWritten);
    let mut out = String::new();
    write_block("job", block, &mut out);
    format::tidy(&out)
}

fn write_block(kind: &str, block: Written, out: &mut String) {
    open(kind, block.label.as_deref(), out);
    let mut body = Body::default();
    for (field, said) in block.fields {
        body.field(field, said);
    }
    body.close(out);
}

fn open(kind: &str, label: Option<&str>, out: &mut String) {
    out.push_str(kind);
    if let Some(label) = label {
        out.push(' ');
        out.push_str(&quote::label(label));
    }
    out.push_str(" {");
}

/// The inside of a block, its arguments before its blocks.
#[derive(Default)]
struct Body {
    arguments: Vec<String>,
    blocks: Vec<String>,
    /// What a reader looks for last, as the groups of a job.
    last: Vec<String>,
}

impl Body {
    fn field(&mut self, field: &'static Field, said: Said) {
        match said {
            Said::Value(value) => self.argument(field.name, &value),
            Said::Map(map) => {
                let as_block = field.is_block_only() || map.keys().all(|key| is_name(key));
                if as_block {
                    self.block(free_block(field.name, map));
                } else {
                    let value = match field.kind {
                        Kind::Free => unlisted_inside(Json::Object(map)),
                        _ => Json::Object(map),
                    };
                    self.blocks
                        .push(format!("{} = {}\n", field.name, expression(&value)));
                }
            }
            Said::Block(block) => {
                let mut text = String::new();
                write_block(field.name, block, &mut text);
                self.block(text);
            }
            Said::Blocks(blocks) => {
                for block in blocks {
                    let mut text = String::new();
                    write_block(field.name, block, &mut text);
                    if matches!(field.name, "group" | "task") {
                        self.last.push(text);
                    } else {
                        self.block(text);
                    }
                }
            }
        }
    }

    fn argument(&mut self, name: &str, value: &Json) {
        self.arguments
            .push(format!("{name} = {}\n", expression(value)));
    }

    fn block(&mut self, text: String) {
        self.blocks.push(text);
    }

    /// Writes it behind the opening brace, and the closing one.
    fn close(self, out: &mut String) {
        let only_argument = self.blocks.is_empty() && self.last.is_empty();
        match self.arguments.as_slice() {
            [] if only_argument => {
                out.push_str("}\n");
                return;
            }
            [only] if only_argument && out.starts_with("port ") && is_one_line(only) => {
                let _ = writeln!(out, " {} }}", only.trim_end());
                return;
            }
            _ => out.push('\n'),
        }
        let mut before = None;
        for argument in self.arguments {
            out.push_str(&argument);
            before = Some(true);
        }
        for block in self.blocks.iter().chain(&self.last) {
            // What stands on one line needs no air around it.
            let small = is_one_line(block);
            if before.is_some_and(|before_small| !(small && before_small))
                || before == Some(true) && !small
            {
                out.push('\n');
            }
            out.push_str(block);
            before = Some(small);
        }
        out.push_str("}\n");
    }
}

fn is_one_line(text: &str) -> bool {
    text.matches('\n').count() == 1
}

/// Whether it can be the name of an argument.
pub(crate) fn is_name(name: &str) -> bool {
    Ident::try_new(name).is_ok()
}

/// A block that only its reader understands.
fn free_block(kind: &str, map: Map<String, Json>) -> String {
    let mut out = String::new();
    open(kind, None, &mut out);
    let mut body = Body::default();
    for (name, value) in map {
        match value {
            Json::Array(list) if is_blocks(&name, &list) => {
                for element in list {
                    if let Json::Object(map) = element {
                        body.block(free_block(&name, map));
                    }
                }
            }
            value => body.argument(&name, &unlisted(value)),
        }
    }
    body.close(&mut out);
    out
}

/// A list of one object as the object, which is read as the list.
fn unlisted(value: Json) -> Json {
    match value {
        Json::Array(mut list) if list.len() == 1 && list[0].is_object() => {
            unlisted_inside(list.remove(0))
        }
        value => unlisted_inside(value),
    }
}

fn unlisted_inside(value: Json) -> Json {
    match value {
        Json::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, unlisted(value)))
            .collect(),
        // Inside a list an object is itself.
        Json::Array(list) => list.into_iter().map(unlisted_inside).collect(),
        value => value,
    }
}

/// Whether a list can be written as blocks: objects whose keys are names.
fn is_blocks(name: &str, list: &[Json]) -> bool {
    // A `dynamic` block would be unfolded.
    let is_body = |value: &Json| {
        value
            .as_object()
            .is_some_and(|map| map.keys().all(|key| is_name(key)))
    };
    !list.is_empty() && is_name(name) && name != "dynamic" && list.iter().all(is_body)
}

/// A value as an expression.
fn expression(value: &Json) -> String {
    match value {
        Json::String(text) => quote::text(text),
        Json::Array(list) => {
            let elements: Vec<String> = list.iter().map(element).collect();
            let line = format!("[{}]", elements.join(", "));
            if elements.is_empty() || (line.len() <= MAX_LINE && !line.contains('\n')) {
                return line;
            }
            let mut out = String::from("[\n");
            for element in elements {
                let _ = writeln!(out, "{element},");
            }
            out.push(']');
            out
        }
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let mut out = String::from("{\n");
            for (key, value) in map {
                let _ = writeln!(out, "{} = {}", object_key(key), element(value));
            }
            out.push('}');
            out
        }
        other => other.to_string(),
    }
}

/// An element of a list or object: a heredoc would not end there.
fn element(value: &Json) -> String {
    match value {
        Json::String(text) => quote::on_one_line(text),
        other => expression(other),
    }
}

fn object_key(key: &str) -> String {
    // A bare `for` would begin a for expression.
    let is_word = matches!(key, "for" | "true" | "false" | "null" | "if" | "in");
    if is_name(key) && !is_word {
        key.to_owned()
    } else {
        quote::label(key)
    }
}
