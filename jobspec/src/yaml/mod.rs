//! Jobs in YAML, in the shape that Kubernetes made known.
//!
//! ```yaml
//! apiVersion: rove/v1
//! kind: Job
//! metadata:
//!   name: web            # the job's id
//!   namespace: default
//!   labels: {team: core} # further keys of the job's meta
//! spec:                  # what stands in HCL's job block; what repeats is a list under its plural
//!   groups:
//!   - name: web
//!     tasks:
//!     - name: nginx
//!       driver: docker
//!       config: {image: "nginx:1.25"}
//! ```
//!
//! A stream may hold many documents. Unknown keys are refused.

#[expect(
    clippy::result_large_err,
    reason = "a mistake ends the reading, so it is made and moved once"
)]
mod node;
mod write;

use std::sync::Arc;

pub(crate) use write::as_written;
pub use write::to_yaml;

use crate::{
    Parsed, decode,
    diagnostics::{Diagnostic, Diagnostics, Severity, nearest},
    later,
    node::{Content, Node},
    schema::{Field, JOB, Kind, Table},
    source::{Source, Span},
    tree::{Attribute, Block, Body},
    value::Value,
};

/// The `apiVersion` of a job.
pub const API_VERSION: &str = "rove/v1";

/// Every job of a stream, or everything that is wrong with it.
pub(crate) fn read(source: Source) -> Result<Vec<Parsed>, Diagnostics> {
    let source = Arc::new(source);
    let fail = |list: Vec<Diagnostic>| Diagnostics {
        source: Arc::clone(&source),
        list,
    };
    let documents = node::documents(&source).map_err(|finding| fail(vec![finding]))?;
    if documents.is_empty() {
        let finding = Diagnostic::error("Empty file", "There is no YAML document in it.", None);
        return Err(fail(vec![finding]));
    }
    let mut found = Vec::new();
    let mut jobs = Vec::new();
    for document in &documents {
        let mut reader = Reader {
            found: &mut found,
            path: Vec::new(),
        };
        let Some(block) = reader.document(document) else {
            continue;
        };
        if let (Some(job), spans) = decode::job(block, &source, &mut found) {
            jobs.push((job, spans));
        }
    }
    if found
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        return Err(fail(found));
    }
    // One list for the file: it goes with the first job.
    let parsed = jobs.into_iter().map(|(job, spans)| Parsed {
        format: crate::Format::Yaml,
        job,
        spans,
        warnings: fail(std::mem::take(&mut found)),
    });
    Ok(parsed.collect())
}

/// The value of a text of one document.
pub(crate) fn decode(text: &str) -> Result<Value, String> {
    let source = Source::new("yaml", text);
    match node::documents(&source) {
        Ok(documents) => match documents.as_slice() {
            [] if is_empty(text) => Err("missing start of document".to_owned()),
            [] => Ok(Value::Null),
            [only] => Ok(only.value()),
            _ => Err("exactly one document is expected".to_owned()),
        },
        Err(finding) => Err(finding.detail),
    }
}

/// Whether a text holds nothing but comments.
fn is_empty(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.all(|line| line.is_empty() || line.starts_with('#'))
}

/// The key that a block's label has in YAML.
pub(crate) fn label_key(table: &Table) -> Option<&'static str> {
    match table.label? {
        "Type" => Some("type"),
        "Value" => None,
        _ => Some("name"),
    }
}

struct Reader<'a> {
    found: &'a mut Vec<Diagnostic>,
    /// Where it is, for people: `spec`, `groups["web"]`.
    path: Vec<String>,
}

impl Reader<'_> {
    fn fail(&mut self, summary: &str, detail: impl Into<String>, span: &Span) {
        let finding = Diagnostic::error(summary, detail, Some(span.clone()));
        let finding = if self.path.is_empty() {
            finding
        } else {
            finding.field(self.path.join("."))
        };
        self.found.push(finding);
    }

    /// Reads something that stands under `step`.
    fn beneath<T>(&mut self, step: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.into());
        let result = read(self);
        self.path.pop();
        result
    }

    /// The entries of a mapping.
    fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(String, Span, Node)]> {
        match &node.content {
            Content::Map(map) => Some(map),
            _ => {
                self.fail(
                    "Wrong type",
                    format!("{what} is a mapping; this is {}.", node.what()),
                    &node.span,
                );
                None
            }
        }
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = match &node.content {
            Content::Scalar(value) => value.to_text(),
            _ => None,
        };
        if text.is_none() {
            self.fail(
                "Wrong type",
                format!("{what} is a text; this is {}.", node.what()),
                &node.span,
            );
        }
        text
    }

    fn unknown<'k>(&mut self, key: &str, span: &Span, known: impl IntoIterator<Item = &'k str>) {
        let near = nearest(key, known);
        let meant = near.map_or(String::new(), |near| format!(" Did you mean {near:?}?"));
        self.beneath(key, |reader| {
            reader.fail(
                "Unknown field",
                format!("A field named {key:?} is not expected here.{meant}"),
                span,
            );
        });
    }

    fn document(&mut self, node: &Node) -> Option<Block> {
        let before = self.found.len();
        let entries = self.map(node, "A document")?;
        let (mut version, mut kind, mut metadata, mut spec) = (None, None, None, None);
        for (key, span, value) in entries {
            match key.as_str() {
                "apiVersion" => version = Some(value),
                "kind" => kind = Some(value),
                "metadata" => metadata = Some(value),
                "spec" => spec = Some(value),
                other => self.unknown(other, span, ["apiVersion", "kind", "metadata", "spec"]),
            }
        }
        let place = entries
            .first()
            .map_or(node.span.clone(), |(_, span, _)| span.clone());
        let required = [("apiVersion", version, API_VERSION), ("kind", kind, "Job")];
        for (key, value, wanted) in required {
            match value {
                None => self.fail(
                    "Missing field",
                    format!("A document needs {key}: {wanted}."),
                    &place,
                ),
                Some(value) => {
                    if let Some(text) = self.text(value, key)
                        && text != wanted
                    {
                        self.fail(
                            "Unsupported document",
                            format!("{key} is {text:?}; it must be {wanted:?}."),
                            &value.span,
                        );
                    }
                }
            }
        }
        let metadata = match metadata {
            Some(metadata) => self.map(metadata, "metadata"),
            None => {
                self.fail(
                    "Missing field",
                    "A document needs metadata with a name.",
                    &place,
                );
                None
            }
        };
        let Some(spec) = spec else {
            self.fail("Missing field", "A document needs a spec.", &place);
            return None;
        };
        let mut body = self.beneath("spec", |reader| reader.body(*JOB, spec, "spec"));
        let mut label = None;
        for (key, span, value) in metadata.unwrap_or_default() {
            match key.as_str() {
                "name" => {
                    label = self
                        .text(value, "metadata.name")
                        .map(|name| (name, value.span.clone()));
                }
                "namespace" => body.attributes.push(attribute(key, span, value)),
                "labels" => self.labels(value, &mut body),
                other => self.unknown(other, span, ["name", "namespace", "labels"]),
            }
        }
        if label.is_none() && metadata.is_some() && self.found.len() == before {
            self.fail("Missing field", "metadata needs a name.", &place);
        }
        let label = label?;
        Some(Block {
            kind: "job".to_owned(),
            header: label.1.clone(),
            labels: vec![label],
            body,
        })
    }

    /// Labels are further keys of the job's meta.
    fn labels(&mut self, node: &Node, body: &mut Body) {
        let Some(entries) = self.map(node, "labels") else {
            return;
        };
        let index = body.blocks.iter().position(|block| block.kind == "meta");
        let index = index.unwrap_or_else(|| {
            body.blocks.push(Block {
                kind: "meta".to_owned(),
                labels: Vec::new(),
                header: node.span.clone(),
                body: Body::default(),
            });
            body.blocks.len() - 1
        });
        for (key, span, value) in entries {
            let meta = &mut body.blocks[index].body.attributes;
            if meta.iter().any(|known| known.name == *key) {
                self.fail(
                    "Duplicate key",
                    format!("The label {key:?} is in the job's meta as well."),
                    span,
                );
            } else {
                meta.push(attribute(key, span, value));
            }
        }
    }

    fn body(&mut self, table: &'static Table, node: &Node, what: &str) -> Body {
        let mut body = Body::default();
        // `spec:` with nothing below it.
        if matches!(node.content, Content::Scalar(Value::Null)) {
            return body;
        }
        let Some(entries) = self.map(node, what) else {
            return body;
        };
        for (key, span, value) in entries {
            let field = table.fields.iter().find(|field| field.yaml_name() == key);
            match field {
                Some(field) => self.beneath(key, |reader| {
                    reader.field(field, span, value, &mut body);
                }),
                None if is_later(table, key, span, value, &mut body) => {}
                None => self.unknown(key, span, yaml_names(table)),
            }
        }
        body
    }

    fn field(&mut self, field: &'static Field, key: &Span, value: &Node, body: &mut Body) {
        if matches!(value.content, Content::Scalar(Value::Null)) {
            return;
        }
        let name = field.name;
        let block = |body: Body, labels| Block {
            kind: name.to_owned(),
            labels,
            header: key.clone(),
            body,
        };
        match field.kind {
            Kind::TextMap | Kind::TextsMap | Kind::Free => {
                if let Some(entries) = self.map(value, name) {
                    let attributes = entries
                        .iter()
                        .map(|(key, span, value)| attribute(key, span, value))
                        .collect();
                    let inner = Body {
                        attributes,
                        blocks: Vec::new(),
                    };
                    body.blocks.push(block(inner, Vec::new()));
                }
            }
            Kind::Block(table) => {
                let inner = self.body(table, value, name);
                body.blocks.push(block(inner, Vec::new()));
            }
            Kind::Blocks(table) | Kind::NamedBlocks(table) => {
                let Content::List(list) = &value.content else {
                    return self.fail(
                        "Wrong type",
                        format!("{} is a list; this is {}.", field.yaml_name(), value.what()),
                        &value.span,
                    );
                };
                for (index, element) in list.iter().enumerate() {
                    let name = name_of(table, element).unwrap_or_else(|| index.to_string());
                    // The list's own name becomes the element's.
                    let list = self.path.pop().unwrap_or_default();
                    let block = self.beneath(format!("{list}[{name}]"), |reader| {
                        reader.element(field, table, element)
                    });
                    self.path.push(list);
                    body.blocks.extend(block);
                }
            }
            _ => body.attributes.push(attribute(name, key, value)),
        }
    }

    /// One element of a list of blocks; its name is its label.
    fn element(
        &mut self,
        field: &'static Field,
        table: &'static Table,
        node: &Node,
    ) -> Option<Block> {
        let entries = self.map(node, &format!("An element of {}", field.yaml_name()))?;
        let place = entries
            .first()
            .map_or(node.span.clone(), |(_, span, _)| span.clone());
        let mut labels = Vec::new();
        let mut body = Body::default();
        let label_key = label_key(table);
        for (key, span, value) in entries {
            if label_key == Some(key.as_str()) {
                if let Some(name) = self.text(value, key) {
                    labels.push((name, value.span.clone()));
                }
                continue;
            }
            match table.fields.iter().find(|field| field.yaml_name() == key) {
                Some(field) => self.beneath(key, |reader| {
                    reader.field(field, span, value, &mut body);
                }),
                None if is_later(table, key, span, value, &mut body) => {}
                None => self.unknown(key, span, yaml_names(table).chain(label_key)),
            }
        }
        if let Some(key) = label_key
            && labels.is_empty()
        {
            self.fail(
                "Missing field",
                format!("Each element of {} needs a {key}.", field.yaml_name()),
                &place,
            );
            return None;
        }
        let header = labels.first().map_or(place, |(_, span)| span.clone());
        Some(Block {
            kind: field.name.to_owned(),
            labels,
            header,
            body,
        })
    }
}

/// Whether it is what a later version of the language says where nothing is said. The decoder leaves it out.
fn is_later(table: &Table, key: &str, span: &Span, value: &Node, body: &mut Body) -> bool {
    if let Some(argument) = later::argument(table, key) {
        let is_default = argument.is_default(&value.value());
        if is_default {
            body.attributes.push(attribute(key, span, value));
        }
        return is_default;
    }
    let Content::Map(entries) = &value.content else {
        return false;
    };
    let attributes = entries
        .iter()
        .map(|(key, span, value)| attribute(key, span, value));
    let block = Block {
        kind: key.to_owned(),
        labels: Vec::new(),
        header: span.clone(),
        body: Body {
            attributes: attributes.collect(),
            blocks: Vec::new(),
        },
    };
    later::says_nothing(table, &block)
}

/// The label of an element of a list, in quotes.
fn name_of(table: &Table, node: &Node) -> Option<String> {
    let key = label_key(table)?;
    let Content::Map(entries) = &node.content else {
        return None;
    };
    let (_, _, value) = entries.iter().find(|(name, _, _)| name == key)?;
    match &value.content {
        Content::Scalar(Value::String(name)) => Some(format!("{name:?}")),
        _ => None,
    }
}

fn yaml_names(table: &Table) -> impl Iterator<Item = &'static str> {
    table.fields.iter().map(Field::yaml_name)
}

fn attribute(name: &str, span: &Span, value: &Node) -> Attribute {
    Attribute {
        name: name.to_owned(),
        name_span: span.clone(),
        value: value.value(),
        value_span: value.span.clone(),
    }
}
