//! A tree and the tables to a job, with every mistake and the place of every field.

use std::collections::{BTreeSet, HashMap};

use rove_model::{duration::Nanos, job::Job, validate::FieldPath};
use serde_json::{Map, Value as Json};

use crate::{
    diagnostics::{Diagnostic, nearest, unknown_argument, unknown_block},
    later, rules,
    schema::{Field, JOB, Kind, Table},
    source::{Source, Span},
    tree::{Attribute, Block, Body},
    value::{Number, Value},
};

/// Where each field of a job is written, by the key of its path ([`FieldPath::key`]).
#[derive(Clone, Debug, Default)]
pub struct Spans {
    by_key: HashMap<String, Span>,
    /// Values that no message may hold, the longest first.
    secrets: Vec<String>,
}

impl Spans {
    /// The place of a field; of the block around it where it isn't written.
    #[must_use]
    pub fn place(&self, path: &FieldPath) -> Option<Span> {
        self.first(&path.keys_outwards())
    }

    /// The place of the first of these keys that is written.
    pub(crate) fn first(&self, keys: &[String]) -> Option<Span> {
        keys.iter()
            .find_map(|key| self.by_key.get(key).or_else(|| self.inherited(key)))
            .cloned()
    }

    pub(crate) fn keep_secret(&mut self, secrets: Vec<String>) {
        self.secrets = secrets;
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Whether the file has something under this key ([`FieldPath::key`]).
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Where a block stands that a group or task has from the block around it.
    fn inherited(&self, key: &str) -> Option<&Span> {
        const BLOCKS: [&str; 5] = ["update", "reschedule", "migrate", "vault", "restart"];
        let mut parts: Vec<&str> = key.split('.').collect();
        let is_inherited = |part: &str| {
            part.strip_suffix("[0]")
                .is_some_and(|name| BLOCKS.contains(&name))
        };
        let at = parts.iter().position(|part| is_inherited(part))?;
        let own = parts[..=at].join(".");
        // A vault block is taken as it is, the others field by field.
        if self.by_key.contains_key(&own) && (parts.len() == at + 1 || parts[at] == "vault[0]") {
            return None;
        }
        // Outwards, a block at a time.
        for outer in (0..at).rev() {
            parts.remove(outer);
            if let Some(span) = self.by_key.get(&parts.join(".")) {
                return Some(span);
            }
        }
        None
    }

    pub(crate) fn note(&mut self, key: String, span: &Span) {
        self.by_key.entry(key).or_insert_with(|| span.clone());
    }
}

/// Where the decoder is: the key for positions, and the path for people.
#[derive(Clone)]
struct Path {
    key: String,
    shown: String,
}

impl Path {
    fn root() -> Self {
        Self {
            key: String::new(),
            shown: String::new(),
        }
    }

    fn field(&self, name: &str) -> Self {
        let join = |base: &str| {
            if base.is_empty() {
                name.to_owned()
            } else {
                format!("{base}.{name}")
            }
        };
        Self {
            key: join(&self.key),
            shown: join(&self.shown),
        }
    }

    fn block(&self, kind: &str, index: usize, label: Option<&str>) -> Self {
        let mut path = self.field(kind);
        path.key.push_str(&format!("[{index}]"));
        match label {
            Some(label) => path.shown.push_str(&format!("[{label:?}]")),
            None if index > 0 => path.shown.push_str(&format!("[{index}]")),
            None => {}
        }
        path
    }
}

/// The job that a block describes; what is wrong goes into `found`.
pub(crate) fn job(
    block: Block,
    source: &Source,
    found: &mut Vec<Diagnostic>,
) -> (Option<Job>, Spans) {
    let mut decoder = Decoder {
        source,
        found,
        spans: Spans::default(),
    };
    decoder.spans.note(String::new(), &block.header);
    if let Some((_, label)) = block.labels.first() {
        decoder.spans.note("id".to_owned(), label);
        decoder.spans.note("name".to_owned(), label);
    }
    let object = decoder.block(*JOB, groups_for_lone_tasks(block), &Path::root());
    let spans = decoder.spans;
    match serde_json::from_value(Json::Object(object)) {
        Ok(job) => (Some(job), spans),
        Err(error) => {
            found.push(Diagnostic::error("Invalid job", error.to_string(), None));
            (None, spans)
        }
    }
}

/// A task right under the job stands for a group of the same name; these come first.
fn groups_for_lone_tasks(mut job: Block) -> Block {
    let (tasks, others): (Vec<_>, Vec<_>) = std::mem::take(&mut job.body.blocks)
        .into_iter()
        .partition(|block| block.kind == "task");
    let groups = tasks.into_iter().map(|task| Block {
        kind: "group".to_owned(),
        labels: task.labels.clone(),
        header: task.header.clone(),
        body: Body {
            attributes: Vec::new(),
            blocks: vec![task],
        },
    });
    job.body.blocks = groups.chain(others).collect();
    job
}

struct Decoder<'a> {
    source: &'a Source,
    found: &'a mut Vec<Diagnostic>,
    spans: Spans,
}

impl Decoder<'_> {
    fn block(&mut self, table: &'static Table, block: Block, path: &Path) -> Map<String, Json> {
        let mut object = Map::new();
        self.labels(table, &block, path, &mut object);
        let header = block.header;
        let body = block.body;
        for attribute in body.attributes {
            self.attribute(table, attribute, path, &mut object);
        }
        self.blocks(table, body.blocks, path, &mut object);
        if let Some(finish) = table.finish {
            finish(&mut object);
        }
        for (summary, detail) in rules::hints(table, &object) {
            let finding = Diagnostic::warning(summary, detail, Some(header.clone()));
            self.found.push(finding.field(&path.shown));
        }
        for (field, summary, detail) in rules::mistakes(table, &object) {
            let span = self.spans.by_key.get(&path.field(field).key);
            let span = span.cloned().unwrap_or_else(|| header.clone());
            self.found.push(
                Diagnostic::error(summary, detail, Some(span)).field(path.field(field).shown),
            );
        }
        object
    }

    fn labels(
        &mut self,
        table: &Table,
        block: &Block,
        path: &Path,
        object: &mut Map<String, Json>,
    ) {
        let kind = &block.kind;
        match (table.label, block.labels.as_slice()) {
            (Some(json), [(label, _), rest @ ..]) => {
                object.insert(json.to_owned(), label.clone().into());
                if let Some((_, span)) = rest.first() {
                    self.found.push(
                        Diagnostic::error(
                            format!("Extraneous label for {kind}"),
                            format!("Only 1 labels (name) are expected for {kind} blocks."),
                            Some(span.clone()),
                        )
                        .field(&path.shown),
                    );
                }
            }
            (Some(_), []) if table.label_optional => {}
            (Some(_), []) => self.found.push(
                Diagnostic::error(
                    format!("Missing name for {kind}"),
                    format!("All {kind} blocks must have 1 labels (name)."),
                    Some(block.header.clone()),
                )
                .field(&path.shown)
                .hint(format!("write {kind} \"<name>\" {{")),
            ),
            (None, [(_, span), ..]) => self.found.push(
                Diagnostic::error(
                    format!("Extraneous label for {kind}"),
                    format!("No labels are expected for {kind} blocks."),
                    Some(span.clone()),
                )
                .field(&path.shown),
            ),
            (None, []) => {}
        }
    }

    fn attribute(
        &mut self,
        table: &'static Table,
        attribute: Attribute,
        path: &Path,
        object: &mut Map<String, Json>,
    ) {
        let name = attribute.name.as_str();
        let Some(field) = table.field(name).filter(|field| !field.is_block_only()) else {
            let later = later::argument(table, name);
            if later.is_some_and(|later| later.is_default(&attribute.value)) {
                return;
            }
            let mut finding = unknown_argument(name, attribute.name_span, table.attribute_names());
            if table.field(name).is_some() {
                finding.detail = format!(
                    "An argument named {name:?} is not expected here. Did you mean to define a block of type {name:?}?"
                );
            } else if !finding.detail.contains("Did you mean") {
                let near = nearest(name, table.block_names());
                finding.hint = near.map(|near| format!("there is a block {near:?} {{ … }}"));
            }
            if let Some(later) = later {
                finding.hint = Some(later.hint());
            }
            self.found.push(finding.field(path.field(name).shown));
            return;
        };
        // Validation speaks of the long form.
        for long in rules::long_form(table, name) {
            self.spans.note(path.field(long).key, &attribute.value_span);
        }
        let path = path.field(name);
        self.spans.note(path.key.clone(), &attribute.value_span);
        if attribute.value == Value::Unknown {
            let mut echo = Diagnostic::error(
                "Unsuitable value type",
                "Unsuitable value: value must be known",
                Some(attribute.value_span),
            );
            echo.echo = true;
            self.found.push(echo);
            return;
        }
        match scalar(field.kind, &attribute.value) {
            Ok(Json::Null) => {}
            Ok(value) => {
                if matches!(field.kind, Kind::Duration)
                    && let Some(hint) = bare_duration(&attribute)
                {
                    self.found.push(hint.field(&path.shown));
                }
                object.insert(field.json.to_owned(), value);
            }
            Err(detail) => self.found.push(
                Diagnostic::error("Unsuitable value type", detail, Some(attribute.value_span))
                    .field(path.shown),
            ),
        }
    }

    fn blocks(
        &mut self,
        table: &'static Table,
        blocks: Vec<Block>,
        path: &Path,
        object: &mut Map<String, Json>,
    ) {
        let mut seen: HashMap<String, Vec<Span>> = HashMap::new();
        let mut labels: BTreeSet<(String, String)> = BTreeSet::new();
        for block in in_order(table, blocks) {
            if later::says_nothing(table, &block) {
                continue;
            }
            let kind = block.kind.clone();
            let Some(field) = table.field(&kind).filter(|field| field.may_be_block()) else {
                let mut finding = unknown_block(&kind, block.header.clone(), table.block_names());
                if table.field(&kind).is_some() {
                    finding.detail = format!(
                        "Blocks of type {kind:?} are not expected here. Did you mean to define argument {kind:?}? If so, use the equals sign to assign it a value."
                    );
                }
                self.found.push(finding.field(path.field(&kind).shown));
                continue;
            };
            let places = seen.entry(kind.clone()).or_default();
            let index = places.len();
            places.push(block.header.clone());
            let first = places[0].clone();
            let label = block.labels.first().map(|(label, _)| label.clone());
            let path = path.block(&kind, index, label.as_deref());
            self.spans.note(path.key.clone(), &block.header);
            let single = !matches!(field.kind, Kind::Blocks(_) | Kind::NamedBlocks(_));
            if single && index > 0 {
                self.found.push(
                    Diagnostic::error(
                        format!("Duplicate {kind} block"),
                        format!(
                            "Only one {kind} block is allowed. Another was defined at {}:{}.",
                            self.source.name,
                            self.source.range(&first)
                        ),
                        Some(block.header.clone()),
                    )
                    .field(&path.shown)
                    .related(first, "the first one"),
                );
                continue;
            }
            if single && object.contains_key(field.json) {
                self.found.push(
                    Diagnostic::error(
                        format!("Duplicate {kind} block"),
                        format!("{kind} is given as an argument and as a block."),
                        Some(block.header.clone()),
                    )
                    .field(&path.shown),
                );
                continue;
            }
            match field.kind {
                Kind::Block(table) => {
                    let inner = self.block(table, block, &path);
                    object.insert(field.json.to_owned(), Json::Object(inner));
                }
                Kind::Blocks(table) => {
                    let twice = rules::labels_are_unique(table)
                        && label.is_some_and(|label| {
                            !labels.insert((kind.clone(), label.to_ascii_lowercase()))
                        });
                    if twice {
                        self.found.push(
                            Diagnostic::error(
                                format!("Duplicate {kind} block"),
                                format!("Only one {kind} block of each name is allowed."),
                                Some(block.header.clone()),
                            )
                            .field(&path.shown)
                            .related(first, "the first one"),
                        );
                        continue;
                    }
                    let inner = self.block(table, block, &path);
                    push(object, field.json, Json::Object(inner));
                }
                Kind::NamedBlocks(table) => {
                    let Some(label) = label else {
                        self.labels(table, &block, &path, &mut Map::new());
                        continue;
                    };
                    if !labels.insert((kind.clone(), label.clone())) {
                        self.found.push(
                            Diagnostic::error(
                                format!("Duplicate {kind} block"),
                                format!("A {kind} named {label:?} is there already."),
                                Some(block.header.clone()),
                            )
                            .field(&path.shown),
                        );
                        continue;
                    }
                    let inner = self.block(table, block, &path);
                    let named = object
                        .entry(field.json)
                        .or_insert_with(|| Json::Object(Map::new()));
                    if let Json::Object(named) = named {
                        named.insert(label, Json::Object(inner));
                    }
                }
                Kind::Free => {
                    let value = Json::Object(self.free(block.body, &path));
                    object.insert(field.json.to_owned(), value);
                }
                Kind::TextMap | Kind::TextsMap => {
                    let value = self.map_block(field, block.body, &path);
                    object.insert(field.json.to_owned(), value);
                }
                _ => {}
            }
        }
    }

    /// A block of texts by name.
    fn map_block(&mut self, field: &Field, body: Body, path: &Path) -> Json {
        let mut map = Map::new();
        for attribute in body.attributes {
            let path = path.field(&attribute.name);
            self.spans.note(path.key.clone(), &attribute.value_span);
            let kind = if matches!(field.kind, Kind::TextsMap) {
                Kind::Texts
            } else {
                Kind::Text
            };
            match scalar(kind, &attribute.value) {
                Ok(Json::Null) => {}
                Ok(value) => {
                    map.insert(attribute.name, value);
                }
                Err(detail) => self.found.push(
                    Diagnostic::error("Unsuitable value type", detail, Some(attribute.value_span))
                        .field(path.shown),
                ),
            }
        }
        for block in body.blocks {
            let finding = unknown_block(&block.kind, block.header, []);
            self.found.push(
                finding
                    .field(path.field(&block.kind).shown)
                    .hint("only names with values stand here"),
            );
        }
        Json::Object(map)
    }

    /// A block that only its reader understands: nested blocks become lists of objects, labels further objects.
    fn free(&mut self, body: Body, path: &Path) -> Map<String, Json> {
        let mut object = Map::new();
        for attribute in body.attributes {
            let path = path.field(&attribute.name);
            self.spans.note(path.key, &attribute.value_span);
            if !attribute.value.has_unknown() {
                object.insert(attribute.name, free_value(&attribute.value));
            }
        }
        for block in body.blocks {
            // A driver's complaint names the block as it names an argument.
            self.spans.note(path.field(&block.kind).key, &block.header);
            let path = path.block(&block.kind, 0, None);
            self.spans.note(path.key.clone(), &block.header);
            let mut value = Json::Object(self.free(block.body, &path));
            for (label, _) in block.labels.into_iter().rev() {
                let mut outer = Map::new();
                outer.insert(label, Json::Array(vec![value]));
                value = Json::Object(outer);
            }
            push(&mut object, &block.kind, value);
        }
        object
    }
}

/// A warning where a duration is a bare number so small that seconds or milliseconds were meant.
fn bare_duration(attribute: &Attribute) -> Option<Diagnostic> {
    let Value::Number(number) = &attribute.value else {
        return None;
    };
    let nanos = number.as_i64()?;
    if nanos == 0 || nanos.unsigned_abs() >= Nanos::secs(1).0.unsigned_abs() {
        return None;
    }
    let detail = format!(
        "{number} is read as {}: a bare number counts nanoseconds.",
        Nanos(nanos)
    );
    Some(
        Diagnostic::warning(
            "Duration without a unit",
            detail,
            Some(attribute.value_span.clone()),
        )
        .hint(format!("write \"{number}s\" if seconds are meant")),
    )
}

/// The blocks in the order that the API's JSON has, where it isn't that of the file.
fn in_order(table: &Table, mut blocks: Vec<Block>) -> Vec<Block> {
    let is_dynamic_port = |block: &Block| {
        block.kind == "port"
            && !block.body.attributes.iter().any(|attribute| {
                attribute.name == "static"
                    && attribute
                        .value
                        .to_number()
                        .is_some_and(|number| number.as_f64() > 0.0)
            })
    };
    let is_named = |kind: &str| {
        table
            .field(kind)
            .is_some_and(|field| matches!(field.kind, Kind::NamedBlocks(_)))
    };
    blocks.sort_by_cached_key(|block| {
        let name = is_named(&block.kind)
            .then(|| block.labels.first().map(|(label, _)| label.clone()))
            .flatten();
        (is_dynamic_port(block), name)
    });
    blocks
}

fn push(object: &mut Map<String, Json>, name: &str, value: Json) {
    match object.get_mut(name) {
        Some(Json::Array(list)) => list.push(value),
        // An argument and a block of one name in free form: the block joins it.
        Some(other) => {
            let first = other.take();
            *other = Json::Array(vec![first, value]);
        }
        None => {
            object.insert(name.to_owned(), Json::Array(vec![value]));
        }
    }
}

/// A value as a field of this kind; null where nothing is said or it isn't known.
fn scalar(kind: Kind, value: &Value) -> Result<Json, String> {
    if matches!(value, Value::Null | Value::Unknown) {
        return Ok(Json::Null);
    }
    let required = |what: &str| Err(format!("Unsuitable value: {what} required"));
    match kind {
        Kind::Text => match value.to_text() {
            Some(text) => Ok(text.into()),
            None => required("string"),
        },
        Kind::Integer => match value.to_number() {
            Some(Number::Int(number)) => match i64::try_from(number) {
                Ok(number) => Ok(number.into()),
                Err(_) => required("a number of 64 bits is"),
            },
            Some(Number::Float(_)) => required("a whole number is"),
            None => required("a number is"),
        },
        Kind::Bool => match value.to_bool() {
            Some(value) => Ok(value.into()),
            None => required("a bool is"),
        },
        Kind::Duration => match value {
            Value::Number(number) => match number.as_i64() {
                Some(nanos) => Ok(nanos.into()),
                None => required("a whole number of nanoseconds is"),
            },
            Value::String(text) => match text.parse::<Nanos>() {
                Ok(nanos) => Ok(nanos.0.into()),
                Err(error) => Err(format!("Unsuitable duration value: time: {error}")),
            },
            _ => required("a duration is"),
        },
        Kind::Texts => match value {
            Value::List(list) => texts(list).map_or_else(|| required("list of string"), Ok),
            _ => required("list of string"),
        },
        Kind::TextMap => match value {
            Value::Map(map) => {
                let mut out = Map::new();
                for (key, value) in map {
                    match value {
                        Value::Null | Value::Unknown => {}
                        _ => match value.to_text() {
                            Some(text) => {
                                out.insert(key.clone(), text.into());
                            }
                            None => {
                                return Err(format!(
                                    "Unsuitable value: element {key:?}: string required"
                                ));
                            }
                        },
                    }
                }
                Ok(Json::Object(out))
            }
            _ => required("map of string"),
        },
        Kind::TextsMap => match value {
            Value::Map(map) => {
                let mut out = Map::new();
                for (key, value) in map {
                    let list = match value {
                        Value::List(list) => texts(list),
                        single => texts(std::slice::from_ref(single)),
                    };
                    match list {
                        Some(list) => {
                            out.insert(key.clone(), list);
                        }
                        None => return required("map of list of string"),
                    }
                }
                Ok(Json::Object(out))
            }
            _ => required("map of list of string"),
        },
        Kind::Free => match value {
            Value::Map(map) => Ok(free_map(map)),
            _ => required("a map is"),
        },
        Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_) => required("a block is"),
    }
}

/// A value in free form: an object is a list of one, as blocks are, but inside a list.
fn free_value(value: &Value) -> Json {
    match value {
        Value::Map(map) => Json::Array(vec![free_map(map)]),
        Value::List(list) => list
            .iter()
            .map(|element| match element {
                Value::Map(map) => free_map(map),
                other => free_value(other),
            })
            .collect(),
        other => other.to_json(),
    }
}

fn free_map(map: &std::collections::BTreeMap<String, Value>) -> Json {
    map.iter()
        .map(|(key, value)| (key.clone(), free_value(value)))
        .collect()
}

fn texts(list: &[Value]) -> Option<Json> {
    let known = list.iter().filter(|value| **value != Value::Unknown);
    let texts: Option<Vec<Json>> = known.map(|value| value.to_text().map(Json::from)).collect();
    texts.map(Json::Array)
}
