//! What job files say since later versions of the language. rove does not know it, but where a file says only what is so
//! anyway, it harms nothing.

use crate::{
    node::{Content, Node},
    schema::{Field, Table},
    source::Span,
    tree::Block,
    value::Value,
};

/// An argument of a later version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later {
    block: &'static str,
    name: &'static str,
    default: Default,
}

#[derive(Clone, Copy, Debug)]
enum Default {
    Text(&'static str),
    Off,
    Zero,
    Empty,
}

const fn row(block: &'static str, name: &'static str, default: Default) -> Later {
    Later {
        block,
        name,
        default,
    }
}

/// The arguments, by the block that they stand in.
const ARGUMENTS: [Later; 24] = [
    row("vault", "cluster", Default::Text("default")),
    row("vault", "role", Default::Empty),
    row("vault", "allow_token_expiration", Default::Off),
    row("consul", "cluster", Default::Text("default")),
    row("consul", "partition", Default::Text("default")),
    row("consul", "namespace", Default::Text("default")),
    row("service", "cluster", Default::Text("default")),
    row("service", "kind", Default::Empty),
    row("check", "failures_before_warning", Default::Zero),
    row("check", "notes", Default::Empty),
    row("group", "prevent_reschedule_on_lost", Default::Off),
    row("port", "ignore_collision", Default::Off),
    row("resources", "secrets", Default::Zero),
    row("numa", "affinity", Default::Text("none")),
    row("artifact", "insecure", Default::Off),
    row("artifact", "chown", Default::Off),
    row("template", "once", Default::Off),
    row("volume", "sticky", Default::Off),
    row("volume_mount", "selinux_label", Default::Empty),
    row("identity", "name", Default::Text("default")),
    row("identity", "change_mode", Default::Text("noop")),
    row("identity", "change_signal", Default::Empty),
    row("identity", "filepath", Default::Empty),
    row("identity", "aud", Default::Empty),
];

/// Blocks of a later version, with what they stand in.
const BLOCKS: [(&str, &str); 2] = [("task", "consul"), ("resources", "numa")];

impl Later {
    /// Whether it says what is so without it.
    pub(crate) fn is_default(&self, value: &Value) -> bool {
        match (self.default, value) {
            (_, Value::Null) => true,
            (_, Value::List(list)) => list.is_empty(),
            (Default::Off, value) => value.to_bool() == Some(false),
            (Default::Zero, Value::Number(number)) => number.as_i64() == Some(0),
            (Default::Text(default), Value::String(text)) => text.is_empty() || text == default,
            (Default::Empty, Value::String(text)) => text.is_empty(),
            (Default::Zero | Default::Text(_) | Default::Empty, _) => false,
        }
    }

    /// What to do about another value.
    pub(crate) fn hint(&self) -> String {
        let default = match self.default {
            Default::Text(text) => format!("{text:?}"),
            Default::Off => "false".to_owned(),
            Default::Zero => "0".to_owned(),
            Default::Empty => "empty".to_owned(),
        };
        format!("it is of a later version, and taken only where it is {default}")
    }
}

fn find(block: &str, name: &str) -> Option<&'static Later> {
    ARGUMENTS
        .iter()
        .find(|later| later.block == block && later.name == name)
}

/// The argument of a later version that this is.
pub(crate) fn argument(table: &Table, name: &str) -> Option<&'static Later> {
    find(table.title, name)
}

/// The argument of a later version that has this name in JSON.
pub(crate) fn json_argument(block: &str, key: &str) -> Option<&'static Later> {
    const OTHERWISE: [(&str, &str); 3] = [
        ("getterinsecure", "insecure"),
        ("audience", "aud"),
        ("secretsmb", "secrets"),
    ];
    let key = key.to_ascii_lowercase();
    let other = OTHERWISE.iter().find(|(json, _)| *json == key);
    let name = other.map_or(key.as_str(), |(_, name)| name);
    ARGUMENTS
        .iter()
        .find(|later| later.block == block && later.name.replace('_', "") == name)
}

/// Whether a block inside of `table`'s says nothing but what is so without it: one that only later versions know, or
/// vault, whose being there asks for Vault, with the word of a later version and nothing beside but defaults.
pub(crate) fn says_nothing(table: &Table, block: &Block) -> bool {
    let kind = block.kind.as_str();
    let attributes = &block.body.attributes;
    let is_later = BLOCKS.contains(&(table.title, kind));
    let is_vault = kind == "vault"
        && attributes
            .iter()
            .any(|attribute| find(kind, &attribute.name).is_some());
    let known = table.field(kind).and_then(Field::table);
    (is_later || is_vault)
        && block.labels.is_empty()
        && block.body.blocks.is_empty()
        && attributes
            .iter()
            .all(|attribute| match find(kind, &attribute.name) {
                Some(later) => later.is_default(&attribute.value),
                None => known
                    .and_then(|known| known.field(&attribute.name))
                    .is_some_and(|field| says_default(field, &attribute.value)),
            })
}

/// As [`says_nothing`], of the value that an object of JSON has under a name.
pub(crate) fn says_nothing_in_json(table: &Table, name: &str, node: &Node) -> bool {
    let Content::Map(entries) = &node.content else {
        return false;
    };
    let field = table
        .fields
        .iter()
        .find(|field| field.json.eq_ignore_ascii_case(name));
    let kind = field.map_or(name.to_ascii_lowercase(), |field| field.name.to_owned());
    let later = |(key, _, _): &(String, Span, Node)| json_argument(&kind, key);
    let is_later = BLOCKS.contains(&(table.title, kind.as_str()));
    let is_vault = kind == "vault" && entries.iter().any(|entry| later(entry).is_some());
    let known = field.and_then(Field::table);
    (is_later || is_vault)
        && entries.iter().all(|entry| match later(entry) {
            Some(later) => later.is_default(&entry.2.value()),
            None => known
                .and_then(|known| {
                    let mut fields = known.fields.iter();
                    fields.find(|field| field.json.eq_ignore_ascii_case(&entry.0))
                })
                .is_some_and(|field| says_default(field, &entry.2.value())),
        })
}

/// Whether a value is nothing, or what the field is without it.
fn says_default(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(list) => list.is_empty(),
        value => value
            .to_text()
            .is_some_and(|text| text.is_empty() || text == field.default),
    }
}
