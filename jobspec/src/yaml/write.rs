//! A job as YAML that reads back as the same job.

use rove_model::job::Job;
use serde_json::Value as Json;

use super::{API_VERSION, label_key};
use crate::{
    encode::{self, Detail, Said, Written},
    schema::Table,
};

/// A registered job as one YAML document, without what says nothing.
#[must_use]
pub fn to_yaml(job: &Job) -> String {
    document(job, Detail::Registered)
}

/// A job that was read as one YAML document: what it says, no more and no less.
pub(crate) fn as_written(job: &Job) -> String {
    document(job, Detail::AsWritten)
}

fn document(job: &Job, detail: Detail) -> String {
    let mut spec = Vec::new();
    for (name, value) in fields(encode::job(job, detail)) {
        match name.as_str() {
            // In metadata.
            "id" | "namespace" => {}
            "name" if value == Yaml::Text(job.id.clone()) => {}
            _ => spec.push((name, value)),
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

fn fields(block: Written) -> Vec<(String, Yaml)> {
    let fields = block.fields.into_iter().map(|(field, said)| {
        let value = match said {
            Said::Value(value) => any(&value),
            Said::Map(map) => any(&Json::Object(map)),
            Said::Block(block) => Yaml::Map(fields(block)),
            Said::Blocks(blocks) => {
                let table = field.table();
                let elements = blocks.into_iter().map(|block| element(table, block));
                Yaml::List(elements.collect())
            }
        };
        (field.yaml_name().to_owned(), value)
    });
    fields.collect()
}

/// One of a list of blocks: its label is a key.
fn element(table: Option<&'static Table>, mut block: Written) -> Yaml {
    let mut map = Vec::new();
    if let (Some(table), Some(label)) = (table, block.label.take()) {
        let key = label_key(table).or_else(|| {
            let label = table.label?;
            let field = table.fields.iter().find(|field| field.json == label)?;
            Some(field.yaml_name())
        });
        if let Some(key) = key {
            map.push((key.to_owned(), Yaml::Text(label)));
        }
    }
    map.extend(fields(block));
    Yaml::Map(map)
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
