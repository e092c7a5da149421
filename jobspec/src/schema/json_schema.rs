//! The JSON schema of the YAML form, for editors: draft-07, which every YAML language server takes.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use super::{Field, JOB, Kind, Table};
use crate::yaml::{API_VERSION, label_key};

/// A duration's text.
const DURATION: &str = r"^([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^[+-]?0$";

/// The schema of one document.
#[must_use]
pub fn json_schema() -> Json {
    let mut definitions = Definitions::default();
    definitions.table(*JOB, "spec");
    let spec = json!({"$ref": "#/definitions/spec"});
    let text = |doc: &str| json!({"type": "string", "minLength": 1, "description": doc});
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "rove job",
        "description": "A job of rove in YAML.",
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "The version of this form."},
            "kind": {"const": "Job", "description": "What the document describes."},
            "metadata": {
                "description": "What the job is called.",
                "type": "object",
                "properties": {
                    "name": text("The id of the job, unique in its namespace."),
                    "namespace": text("The namespace that the job belongs to."),
                    "labels": {
                        "description": "Further keys of the job's meta.",
                        "$ref": "#/definitions/texts_by_name",
                    },
                },
                "required": ["name"],
                "additionalProperties": false,
            },
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "definitions": definitions.finish(),
    })
}

/// The schema as text, with an end to its last line.
#[must_use]
pub fn json_schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&json_schema()).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Default)]
struct Definitions {
    /// Tables by address, with the names of their definitions.
    names: Vec<(&'static Table, String)>,
    used: HashSet<String>,
    made: Map<String, Json>,
}

impl Definitions {
    /// The name of a table's definition, made if there is none yet.
    fn table(&mut self, table: &'static Table, around: &str) -> String {
        if let Some((_, name)) = self
            .names
            .iter()
            .find(|(known, _)| std::ptr::eq(*known, table))
        {
            return name.clone();
        }
        let title = if std::ptr::eq(table, *JOB) {
            "spec"
        } else {
            table.title
        };
        let mut name = title.to_owned();
        if !self.used.insert(name.clone()) {
            name = format!("{around}_{title}");
            self.used.insert(name.clone());
        }
        self.names.push((table, name.clone()));
        let mut properties = Map::new();
        let mut required = Vec::new();
        if let Some(key) = label_key(table)
            && !std::ptr::eq(table, *JOB)
        {
            let doc = format!("The label of the {title}.");
            properties.insert(
                key.to_owned(),
                json!({"type": ["string", "number", "boolean"], "description": doc}),
            );
            required.push(key);
        }
        for field in table.fields {
            let schema = self.field(field, &name);
            properties.insert(field.yaml_name().to_owned(), schema);
        }
        let mut definition = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            definition["required"] = json!(required);
        }
        self.made.insert(name.clone(), definition);
        name
    }

    fn field(&mut self, field: &'static Field, around: &str) -> Json {
        let reference = |name: &str| json!({"$ref": format!("#/definitions/{name}")});
        let mut schema = match field.kind {
            Kind::Text if field.values.is_empty() => reference("text"),
            // An empty text says nothing and is no word to offer.
            Kind::Text => {
                json!({"anyOf": [{"enum": field.values}, {"type": "string", "maxLength": 0}]})
            }
            Kind::Integer => json!({"type": "integer"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Duration => reference("duration"),
            Kind::Texts => json!({"type": "array", "items": {"$ref": "#/definitions/text"}}),
            Kind::TextMap => reference("texts_by_name"),
            Kind::TextsMap => reference("lists_by_name"),
            Kind::Free => json!({"type": "object"}),
            Kind::Block(table) => reference(&self.table(table, around)),
            Kind::Blocks(table) | Kind::NamedBlocks(table) => {
                json!({"type": "array", "items": reference(&self.table(table, around))})
            }
        };
        // Draft-07 readers ignore what stands beside a $ref, so it stands in an allOf.
        if let Some(target) = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("$ref"))
        {
            schema = json!({"allOf": [{"$ref": target}]});
        }
        schema["description"] = description(field).into();
        if let Some(default) = default(field) {
            schema["default"] = default;
        }
        schema
    }

    fn finish(mut self) -> Json {
        let text = json!({"type": ["string", "number", "boolean"]});
        self.made.insert("text".to_owned(), text.clone());
        self.made.insert(
            "texts_by_name".to_owned(),
            json!({"type": "object", "additionalProperties": text}),
        );
        let lists = json!({"anyOf": [text, {"type": "array", "items": text}]});
        self.made.insert(
            "lists_by_name".to_owned(),
            json!({"type": "object", "additionalProperties": lists}),
        );
        self.made.insert(
            "duration".to_owned(),
            json!({"type": ["string", "integer"], "pattern": DURATION}),
        );
        Json::Object(self.made)
    }
}

fn description(field: &Field) -> String {
    let mut text = field.doc.to_owned();
    if !field.unit.is_empty() {
        text.push_str(&format!(" In {}.", field.unit));
    }
    if !field.default.is_empty() {
        text.push_str(&format!(" Default: {}.", field.default));
    }
    text
}

/// The default as a value, where it is one.
fn default(field: &Field) -> Option<Json> {
    let text = field.default;
    if text.is_empty() {
        return None;
    }
    match field.kind {
        Kind::Integer => text.parse::<i64>().ok().map(Json::from),
        Kind::Bool => text.parse::<bool>().ok().map(Json::from),
        Kind::Duration => {
            let duration = text.parse::<rove_model::duration::Nanos>();
            duration.is_ok().then(|| text.into())
        }
        Kind::Text => {
            let is_value = field.values.contains(&text)
                || (field.values.is_empty() && !text.contains([' ', '<', '\'']));
            is_value.then(|| text.into())
        }
        Kind::Texts => serde_json::from_str(text).ok(),
        Kind::TextMap | Kind::TextsMap | Kind::Free => None,
        Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_) => None,
    }
}

#[cfg(test)]
mod tests;
