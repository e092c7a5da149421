//! A job as YAML that reads back as the same job.

use rove_model::{duration::Nanos, job::Job};
use serde_json::{Map, Value as Json};

use super::{API_VERSION, label_key};
use crate::schema::{Field, JOB, Kind, Table};

/// Numbers and bools whose zero says nothing.
const ZERO_SAYS_NOTHING: [&str; 19] = [
    "all_at_once",
    "cores",
    "disable_default_tcp_check",
    "disk",
    "enable_tag_override",
    "expose",
    "failures_before_critical",
    "grpc_use_tls",
    "ignore_warnings",
    "iops",
    "leader",
    "mbits",
    "memory_max",
    "native",
    "per_alloc",
    "static",
    "success_before_passing",
    "tls_skip_verify",
    "to",
];

/// The job as one YAML document, with its defaults where they are filled in.
#[must_use]
pub fn to_yaml(job: &Job) -> String {
    let json = serde_json::to_value(job).unwrap_or(Json::Null);
    let mut spec = Vec::new();
    if let Json::Object(object) = &json {
        for (name, value) in fields(&JOB, object) {
            match name {
                // In metadata.
                "id" | "namespace" => {}
                "name" if value == Yaml::Text(job.id.clone()) => {}
                name => spec.push((name.to_owned(), value)),
            }
        }
    }
    let mut metadata = vec![("name".to_owned(), Yaml::Text(job.id.clone()))];
    if !job.namespace.is_empty() {
        metadata.push(("namespace".to_owned(), Yaml::Text(job.namespace.clone())));
    }
    let document = Yaml::Map(vec![
        ("apiVersion".to_owned(), Yaml::Text(API_VERSION.to_owned())),
        ("kind".to_owned(), Yaml::Text("Job".to_owned())),
        ("metadata".to_owned(), Yaml::Map(metadata)),
        ("spec".to_owned(), Yaml::Map(spec)),
    ]);
    let mut out = String::new();
    document.write(0, &mut out);
    out
}

#[derive(Debug, PartialEq)]
enum Yaml {
    Plain(String),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

/// The fields of an object that say something.
fn fields(table: &'static Table, object: &Map<String, Json>) -> Vec<(&'static str, Yaml)> {
    let mut found: Vec<(&'static str, Yaml)> = Vec::new();
    for field in table.fields {
        let value = match field.json {
            "~Ports" => Some(all_ports(object)),
            "Update" if std::ptr::eq(table, &raw const JOB) => {
                object.get("Update").map(without_zeros)
            }
            json => object.get(json).cloned(),
        };
        let Some(value) = value else { continue };
        // These say something by being zero or empty.
        let explicit = match field.name {
            "cores" => value == 0 && object.get("CPU").is_none_or(Json::is_null),
            "destination" => value == "" && table.title == "artifact",
            _ => false,
        };
        if explicit {
            found.push((field.yaml_name(), any(&value)));
        } else if let Some(value) = one(field, &value) {
            found.push((field.yaml_name(), value));
        }
    }
    found
}

/// Both lists of a network.
fn all_ports(network: &Map<String, Json>) -> Json {
    let list = |name: &str| {
        network
            .get(name)
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut ports = list("ReservedPorts");
    ports.extend(list("DynamicPorts"));
    Json::Array(ports)
}

/// A registered job keeps only two fields there; the zeros of the others are no wish of anyone.
fn without_zeros(update: &Json) -> Json {
    let Json::Object(update) = update else {
        return update.clone();
    };
    // Only a registered job's update has an empty text here.
    if update.get("HealthCheck").is_none_or(|check| check != "") {
        return Json::Object(update.clone());
    }
    let said = |value: &Json| {
        !matches!(value.as_i64(), Some(0)) && *value != Json::Bool(false) && *value != ""
    };
    let kept: Map<String, Json> = update
        .iter()
        .filter(|(_, value)| said(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if kept.is_empty() {
        Json::Null
    } else {
        Json::Object(kept)
    }
}

/// The block that says nothing when it is empty: any other says something by being there.
const SAYS_NOTHING_EMPTY: &str = "consul";

fn one(field: &'static Field, value: &Json) -> Option<Yaml> {
    let is_zero = matches!(value.as_i64(), Some(0)) || *value == Json::Bool(false);
    if is_zero && ZERO_SAYS_NOTHING.contains(&field.name) {
        return None;
    }
    match (field.kind, value) {
        (_, Json::Null) => None,
        (_, Json::String(text)) if text.is_empty() => None,
        (_, Json::Array(list)) if list.is_empty() => None,
        (Kind::Duration, Json::Number(nanos)) => {
            let text = Nanos(nanos.as_i64().unwrap_or(0)).to_string();
            Some(Yaml::Text(short(&text).to_owned()))
        }
        (Kind::Block(table), Json::Object(object)) => {
            let fields = fields(table, object);
            let says = !fields.is_empty() || field.name != SAYS_NOTHING_EMPTY;
            says.then(|| Yaml::Map(owned(fields)))
        }
        (Kind::Blocks(table), Json::Array(list)) => Some(Yaml::List(
            list.iter().map(|value| element(table, value)).collect(),
        )),
        (Kind::NamedBlocks(table), Json::Object(map)) if !map.is_empty() => {
            let named = map.iter().map(|(name, value)| {
                let mut value = value.clone();
                value[table.label.unwrap_or("Name")] = name.clone().into();
                element(table, &value)
            });
            Some(Yaml::List(named.collect()))
        }
        (Kind::NamedBlocks(_) | Kind::TextMap | Kind::TextsMap, Json::Object(map))
            if map.is_empty() =>
        {
            None
        }
        (_, value) => Some(any(value)),
    }
}

fn owned(fields: Vec<(&'static str, Yaml)>) -> Vec<(String, Yaml)> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn element(table: &'static Table, value: &Json) -> Yaml {
    let Json::Object(object) = value else {
        return any(value);
    };
    let mut map = Vec::new();
    if let (Some(key), Some(label)) = (label_key(table), table.label)
        && let Some(label) = object.get(label).and_then(Json::as_str)
    {
        map.push((key.to_owned(), Yaml::Text(label.to_owned())));
    }
    map.extend(owned(fields(table, object)));
    Yaml::Map(map)
}

/// A duration without the zeros that Go ends it with.
fn short(text: &str) -> &str {
    let text = text
        .strip_suffix("m0s")
        .map_or(text, |rest| &text[..rest.len() + 1]);
    text.strip_suffix("h0m")
        .map_or(text, |rest| &text[..rest.len() + 1])
}

fn any(value: &Json) -> Yaml {
    match value {
        Json::String(text) => Yaml::Text(text.clone()),
        Json::Array(list) => Yaml::List(list.iter().map(any).collect()),
        Json::Object(map) => Yaml::Map(
            map.iter()
                .map(|(key, value)| (key.clone(), any(value)))
                .collect(),
        ),
        other => Yaml::Plain(other.to_string()),
    }
}

impl Yaml {
    /// Writes it where a line's indentation has been written.
    fn write(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(map) => {
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        pad(indent, out);
                    }
                    out.push_str(&scalar(key));
                    out.push(':');
                    value.write_after_key(indent, out);
                }
            }
            Self::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    if index > 0 {
                        pad(indent, out);
                    }
                    out.push('-');
                    match value {
                        Self::Map(map) if !map.is_empty() => {
                            out.push(' ');
                            value.write(indent + 2, out);
                        }
                        _ => value.write_after_key(indent, out),
                    }
                }
            }
            _ => self.write_after_key(indent, out),
        }
    }

    /// Writes it after `key:` or `-`.
    fn write_after_key(&self, indent: usize, out: &mut String) {
        match self {
            Self::Plain(text) => {
                out.push(' ');
                out.push_str(text);
                out.push('\n');
            }
            Self::Text(text) if is_block_text(text) => block_text(text, indent, out),
            Self::Text(text) => {
                out.push(' ');
                out.push_str(&scalar(text));
                out.push('\n');
            }
            Self::List(list) if list.is_empty() => out.push_str(" []\n"),
            Self::Map(map) if map.is_empty() => out.push_str(" {}\n"),
            Self::List(_) | Self::Map(_) => {
                out.push('\n');
                pad(indent + 2, out);
                self.write(indent + 2, out);
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Whether a text of several lines can stand as it is, indented.
fn is_block_text(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.contains('\t')
        && text.chars().all(|c| c == '\n' || is_printable(c))
        && text.lines().all(|line| !line.ends_with(' '))
}

fn is_printable(c: char) -> bool {
    // YAML's own breaks and marks would end a line or the text.
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{85}')
}

fn block_text(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => " |-\n",
        1 => " |\n",
        _ => " |+\n",
    });
    for line in text.lines() {
        if !line.is_empty() {
            pad(indent + 2, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// A text plain where nobody could take it for anything else, in JSON's quotes otherwise.
fn scalar(text: &str) -> String {
    let plain_start =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '.'));
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ' | '+' | '=' | '@')
    };
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let looks_like_number = text
        .trim_start_matches('.')
        .starts_with(|c: char| c.is_ascii_digit());
    if plain_start
        && !word
        && !looks_like_number
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && text != "."
        && !text.contains("  ")
    {
        return text.to_owned();
    }
    // Beyond ASCII everything is escaped that YAML might read as a break.
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) <= 0xff => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
