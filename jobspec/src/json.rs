//! Jobs in the API's JSON.
//!
//! All mistakes are told at once, each with its place. What is not known is named and otherwise left out, as the API
//! does it; keys may be written in any case, as there.

mod text;
mod write;

use std::sync::Arc;

use rove_model::job::Job;
use serde_json::{Map, Value as Json};
use serde_path_to_error::{Path, Segment};

use crate::{
    Parsed, Spans,
    diagnostics::{Diagnostic, Diagnostics, nearest},
    later,
    node::{Content, Node},
    schema::{JOB, Kind, Table},
    source::{Source, Span},
};

pub(crate) use write::as_written;

/// The most mistakes that are looked for.
const MOST_MISTAKES: usize = 100;

/// What may stand beside the job where it is wrapped.
const REQUEST: [&str; 12] = [
    "Job",
    "EnforceIndex",
    "JobModifyIndex",
    "PolicyOverride",
    "PreserveCounts",
    "EvalPriority",
    "Submission",
    "Diff",
    "Region",
    "Namespace",
    "SecretID",
    "AuthToken",
];

/// The job of a JSON text, bare or under `Job`.
pub(crate) fn read(source: Source) -> Result<Parsed, Diagnostics> {
    let source = Arc::new(source);
    let mut found = Vec::new();
    let job = job(&source, &mut found);
    let findings = Diagnostics {
        source,
        list: found,
    };
    match job {
        Some((job, spans)) if !findings.has_errors() => Ok(Parsed {
            format: crate::Format::Json,
            job,
            warnings: findings,
            spans,
        }),
        _ => Err(findings),
    }
}

fn job(source: &Source, found: &mut Vec<Diagnostic>) -> Option<(Job, Spans)> {
    if let Err(error) = serde_json::from_str::<Json>(&source.text) {
        found.push(Diagnostic::error(
            "Invalid JSON",
            message(&error),
            place(source, &error),
        ));
        return None;
    }
    let root = text::node(&source.text);
    let Content::Map(entries) = &root.content else {
        found.push(Diagnostic::error(
            "Wrong type",
            format!("A job is an object; this is {}.", root.what()),
            Some(root.span),
        ));
        return None;
    };
    let mut reader = Reader {
        found,
        spans: Spans::default(),
    };
    let wrapped = entries
        .iter()
        .find(|(key, _, node)| key.eq_ignore_ascii_case("Job") && !is_null(node));
    let node = match wrapped {
        Some((_, _, node)) => {
            for (key, span, _) in entries {
                if !REQUEST.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                    reader.unknown(key, span, REQUEST.into_iter());
                }
            }
            node
        }
        None => &root,
    };
    reader.spans.note(String::new(), &start_of(node));
    let object = reader.object(*JOB, node, "");
    let spans = reader.spans;
    let job = typed(object, node, found)?;
    if job.id.is_empty() {
        let finding = Diagnostic::error(
            "Missing field",
            "The job has no ID: is this a job of the API?",
            Some(start_of(node)),
        );
        found.push(finding.field("ID"));
        return None;
    }
    Some((job, spans))
}

/// The job of a value. A mistake is told and taken out, until none is left.
fn typed(mut value: Json, node: &Node, found: &mut Vec<Diagnostic>) -> Option<Job> {
    let mut last: Vec<Step> = Vec::new();
    for _ in 0..MOST_MISTAKES {
        let error = match serde_path_to_error::deserialize::<_, Job>(&value) {
            Ok(job) => return Some(job),
            Err(error) => error,
        };
        let mut steps = steps(error.path());
        let repeated = steps == last;
        if !repeated {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let span = at(node, &steps).map(|node| node.span.clone());
            let finding = Diagnostic::error("Wrong type", for_people(&message(&inner)), span);
            found.push(if path == "." {
                finding
            } else {
                finding.field(path)
            });
            last.clone_from(&steps);
        }
        // What stays wrong as null is taken out with what holds it.
        loop {
            if repeated || steps.is_empty() {
                steps.pop()?;
            }
            if let Some(slot) = slot(&mut value, &steps)
                && !slot.is_null()
            {
                *slot = Json::Null;
                break;
            }
            steps.pop()?;
        }
    }
    None
}

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn slot<'v>(value: &'v mut Json, steps: &[Step]) -> Option<&'v mut Json> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn at<'n>(node: &'n Node, steps: &[Step]) -> Option<&'n Node> {
    steps
        .iter()
        .try_fold(node, |node, step| match (step, &node.content) {
            (Step::Key(key), Content::Map(map)) => map
                .iter()
                .rev()
                .find(|(name, _, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, _, node)| node),
            (Step::Index(index), Content::List(list)) => list.get(*index),
            _ => None,
        })
}

struct Reader<'a> {
    found: &'a mut Vec<Diagnostic>,
    spans: Spans,
}

impl Reader<'_> {
    fn unknown<'k>(&mut self, key: &str, span: &Span, known: impl Iterator<Item = &'k str>) {
        let near = nearest(key, known);
        let meant = near.map_or(String::new(), |near| format!(" Did you mean {near:?}?"));
        self.found.push(Diagnostic::warning(
            "Unknown field",
            format!("A field named {key:?} is not known here and is left out.{meant}"),
            Some(span.clone()),
        ));
    }

    /// An object of the API with its keys as they should be; `path` is the key of its place.
    fn object(&mut self, table: &'static Table, node: &Node, path: &str) -> Json {
        let Content::Map(entries) = &node.content else {
            return node.value().to_json();
        };
        let inside = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        let mut object = Map::new();
        for (key, span, value) in entries {
            if later::says_nothing_in_json(table, key, value) {
                continue;
            }
            let is = |name: &&str| name.eq_ignore_ascii_case(key);
            let field = table.fields.iter().find(|field| is(&field.json));
            if let Some(field) = field {
                let read = self.field(field.kind, value, &inside(field.name));
                object.insert(field.json.to_owned(), read);
                continue;
            }
            let Some(name) = further(table).find(is) else {
                let later = later::json_argument(table.title, key);
                let fields = table.fields.iter().map(|field| field.json);
                let known = fields.filter(|name| !name.starts_with('~'));
                let known: Vec<&str> = known.chain(further(table)).collect();
                // An empty value under a name that is nearly a known one is a slip all the same.
                let near = nearest(key, known.iter().copied());
                if later.is_some_and(|later| later.is_default(&value.value()))
                    || (is_nothing(value) && near.is_none())
                {
                    continue;
                }
                self.unknown(key, span, known.into_iter());
                if let (Some(later), Some(finding)) = (later, self.found.last_mut()) {
                    finding.hint = Some(later.hint());
                }
                continue;
            };
            let read = match (table.title, name) {
                ("network", "ReservedPorts" | "DynamicPorts") => {
                    // Those with a number come first in places, as in a job file.
                    let first = if name == "ReservedPorts" {
                        0
                    } else {
                        length_of(entries, "ReservedPorts")
                    };
                    self.list(port_table(table), value, &inside("port"), first)
                }
                ("proxy", "ExposeConfig") => match named_table(table, "expose") {
                    Some(expose) => self.object(expose, value, &inside("expose[0]")),
                    None => value.value().to_json(),
                },
                _ => value.value().to_json(),
            };
            object.insert(name.to_owned(), read);
        }
        Json::Object(object)
    }

    fn field(&mut self, kind: Kind, node: &Node, path: &str) -> Json {
        match (kind, &node.content) {
            (Kind::Block(table), Content::Map(_)) => {
                let path = format!("{path}[0]");
                self.spans.note(path.clone(), &start_of(node));
                self.object(table, node, &path)
            }
            (Kind::Blocks(table), Content::List(_)) => self.list(Some(table), node, path, 0),
            (Kind::NamedBlocks(table), Content::Map(map)) => {
                let mut names: Vec<_> = map.iter().collect();
                names.sort_by_key(|(name, _, _)| name);
                let object = names
                    .into_iter()
                    .enumerate()
                    .map(|(index, (name, _, node))| {
                        let path = format!("{path}[{index}]");
                        self.spans.note(path.clone(), &start_of(node));
                        (name.clone(), self.object(table, node, &path))
                    });
                Json::Object(object.collect())
            }
            (Kind::TextMap | Kind::TextsMap | Kind::Free, Content::Map(map)) => {
                self.spans.note(format!("{path}[0]"), &start_of(node));
                for (name, _, node) in map {
                    self.spans.note(format!("{path}[0].{name}"), &node.span);
                }
                node.value().to_json()
            }
            _ => {
                self.spans.note(path.to_owned(), &node.span);
                node.value().to_json()
            }
        }
    }

    fn list(
        &mut self,
        table: Option<&'static Table>,
        node: &Node,
        path: &str,
        first: usize,
    ) -> Json {
        let (Some(table), Content::List(list)) = (table, &node.content) else {
            return node.value().to_json();
        };
        let list = list.iter().enumerate().map(|(index, node)| {
            let path = format!("{path}[{}]", first + index);
            self.spans.note(path.clone(), &start_of(node));
            self.object(table, node, &path)
        });
        list.collect()
    }
}

/// Names of the API that no job file has.
fn further(table: &'static Table) -> impl Iterator<Item = &'static str> {
    let fields = table.block.fields.iter();
    let is_further = |json: &str| table.fields.iter().all(|field| field.json != json);
    fields
        .map(|field| field.json)
        .filter(move |json| is_further(json))
}

fn port_table(network: &Table) -> Option<&'static Table> {
    named_table(network, "port")
}

fn named_table(table: &Table, field: &str) -> Option<&'static Table> {
    table.field(field).and_then(|field| field.table())
}

fn length_of(entries: &[(String, Span, Node)], name: &str) -> usize {
    let entry = entries
        .iter()
        .find(|(key, _, _)| key.eq_ignore_ascii_case(name));
    match entry.map(|(_, _, node)| &node.content) {
        Some(Content::List(list)) => list.len(),
        _ => 0,
    }
}

/// Whether it says nothing, whatever its name is.
fn is_nothing(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(value) => *value == crate::value::Value::Null,
        Content::List(list) => list.is_empty(),
        Content::Map(map) => map.is_empty(),
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.content, Content::Scalar(crate::value::Value::Null))
}

/// Where an object or a list begins: pointing at all of it helps nobody.
fn start_of(node: &Node) -> Span {
    match &node.content {
        Content::Scalar(_) => node.span.clone(),
        Content::List(_) | Content::Map(_) => node.span.start..node.span.start + 1,
    }
}

/// The message in words that name JSON's types.
fn for_people(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("expected i64", "a whole number is required"),
        ("expected u64", "a whole number of 0 or more is required"),
        ("expected a boolean", "true or false is required"),
        ("expected a string", "a string is required"),
        ("expected a sequence", "a list is required"),
        ("expected a map", "an object is required"),
        ("expected struct", "an object is required"),
        ("invalid type: ", "this is "),
        ("invalid value: ", "this is "),
    ];
    let mut text = message.to_owned();
    if let Some(at) = text.find("expected struct") {
        text.truncate(at + "expected struct".len());
    }
    for (from, to) in WORDS {
        text = text.replace(from, to);
    }
    text.push('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => text,
    }
}

/// The message without the place that serde adds.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

fn place(source: &Source, error: &serde_json::Error) -> Option<Span> {
    let line = error.line().checked_sub(1)?;
    let starts = source.text.split_inclusive('\n').take(line);
    let start: usize = starts.map(str::len).sum();
    // Columns count bytes there, from 1.
    let at = (start + error.column().saturating_sub(1)).min(source.text.len());
    Some(at..at)
}
