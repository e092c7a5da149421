//! The tables of job files, made from the declarations of a job's fields ([`rove_model::job::declare`]) and from what
//! the language has beyond them.

use std::{collections::HashMap, sync::LazyLock};

use rove_model::job::{
    Declared as _, Job,
    declare::{self, Place},
};
use serde_json::Value as Json;

use super::{
    Field, Kind, Table,
    language::{self, Row},
};

/// The fields of `job`.
pub static JOB: LazyLock<&'static Table> =
    LazyLock::new(|| Tables::default().table(Job::BLOCK.of, Job::BLOCK));

/// The tables that were made, by name. They live as long as the process, as the declarations do.
#[derive(Default)]
struct Tables {
    made: HashMap<&'static str, &'static Table>,
}

impl Tables {
    /// The table of this name, made of a block if there is none yet.
    fn table(&mut self, name: &'static str, block: &'static declare::Block) -> &'static Table {
        if let Some(made) = self.made.get(name) {
            return made;
        }
        let beyond = language::of(name);
        let label = block.fields.iter().find(|field| match field.place {
            Place::Label | Place::LabelAndArgument | Place::LabelOrArgument => true,
            Place::Body | Place::Api => Some(field.json) == beyond.label,
        });
        let mut fields = Vec::new();
        for declared in block.fields {
            let is_label = label.is_some_and(|label| label.json == declared.json);
            let is_written = match declared.place {
                Place::Body => !is_label,
                Place::LabelAndArgument | Place::LabelOrArgument => true,
                Place::Label | Place::Api => false,
            };
            if is_written {
                fields.push(self.field(name, declared));
            }
        }
        for (rank, first) in beyond.first.iter().enumerate() {
            if let Some(at) = fields.iter().position(|field| field.name == *first) {
                fields[rank..=at].rotate_right(1);
            }
        }
        for (behind, rows) in beyond.rows {
            let at = fields.iter().position(|field| field.name == *behind);
            let at = at.map_or(fields.len(), |at| at + 1);
            let rows: Vec<Field> = rows.iter().map(|row| self.row(name, row)).collect();
            fields.splice(at..at, rows);
        }
        for (of, doc, default) in beyond.texts {
            if let Some(field) = fields.iter_mut().find(|field| field.name == *of) {
                field.doc = doc;
                field.default = default;
            }
        }
        let table: &'static Table = Box::leak(Box::new(Table {
            block,
            title: block.name,
            label: label.map(|label| label.json),
            label_optional: label.is_some_and(|label| label.place == Place::LabelOrArgument),
            fields: Vec::leak(fields),
            finish: beyond.finish,
            restore: beyond.restore,
            unsaid: unsaid(block, &beyond),
        }));
        self.made.insert(name, table);
        table
    }

    fn field(&mut self, around: &'static str, declared: &declare::Field) -> Field {
        Field {
            name: declared.name,
            plural: declared.plural,
            json: declared.json,
            kind: self.kind(around, declared.kind),
            doc: declared.doc,
            default: declared.default,
            unit: declared.unit,
            values: declared.values,
            quiet: declared.quiet,
        }
    }

    fn row(&mut self, around: &'static str, row: &Row) -> Field {
        Field {
            name: row.name,
            plural: row.plural,
            json: row.json,
            kind: self.kind(around, row.kind),
            doc: row.doc,
            default: row.default,
            unit: "",
            values: &[],
            quiet: false,
        }
    }

    fn kind(&mut self, around: &'static str, kind: declare::Kind) -> Kind {
        let mut table = |block: &'static declare::Block| {
            self.table(language::name_within(around, block.of), block)
        };
        match kind {
            declare::Kind::Text => Kind::Text,
            declare::Kind::Integer => Kind::Integer,
            declare::Kind::Bool => Kind::Bool,
            declare::Kind::Duration => Kind::Duration,
            declare::Kind::Texts => Kind::Texts,
            declare::Kind::TextMap => Kind::TextMap,
            declare::Kind::TextsMap => Kind::TextsMap,
            declare::Kind::Free => Kind::Free,
            declare::Kind::Block(block) => Kind::Block(table(block)),
            declare::Kind::Blocks(block) => Kind::Blocks(table(block)),
            declare::Kind::NamedBlocks(block) => Kind::NamedBlocks(table(block)),
        }
    }
}

/// What the fields of a block hold where a job file doesn't write them.
fn unsaid(
    block: &'static declare::Block,
    beyond: &language::Beyond,
) -> serde_json::Map<String, Json> {
    let Json::Object(mut unsaid) = (block.unsaid)() else {
        return serde_json::Map::new();
    };
    if let Some(finish) = beyond.finish {
        let mut finished = serde_json::Map::new();
        finish(&mut finished);
        unsaid.extend(finished);
    }
    if let Some(restore) = beyond.restore {
        restore(&mut unsaid);
    }
    unsaid
}
