//! The language of job files as tables: a row for each field, a table for each block.
//!
//! One table serves HCL, YAML, the way back to either, and what `explain` says. The rows are those that a job's fields are
//! declared by ([`rove_model::job::declare`]). A field that has no counterpart of the same shape in the API's JSON goes
//! under a name with `~` in front, which the table's `finish` turns into what it stands for.

mod explain;
mod json_schema;
mod language;
mod reference;
mod shapes;
mod tables;

use rove_model::job::declare::Block;
use serde_json::{Map, Value as Json};

pub use explain::{Found, NotFound, find};
pub use json_schema::{json_schema, json_schema_text};
pub(crate) use language::is_short_form;
pub use reference::markdown;
pub use tables::JOB;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text; numbers and bools are taken too.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Bool,
    /// A duration: `"30s"` or nanoseconds.
    Duration,
    /// A list of texts.
    Texts,
    /// Texts by name, as an attribute or a block.
    TextMap,
    /// Lists of texts by name, as an attribute or a block.
    TextsMap,
    /// Anything by name, as an attribute or a block: what a driver or an autoscaler understands.
    Free,
    /// One block.
    Block(&'static Table),
    /// Several blocks.
    Blocks(&'static Table),
    /// Several blocks by name: an object in JSON.
    NamedBlocks(&'static Table),
}

/// One field of a block.
#[derive(Debug)]
pub struct Field {
    /// Its name in HCL.
    pub name: &'static str,
    /// Its name in YAML, where there are several of it.
    pub plural: &'static str,
    /// Its name in JSON.
    pub json: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is, in a sentence or two.
    pub doc: &'static str,
    /// What it is when it is left out; empty where that is nothing.
    pub default: &'static str,
    /// The unit of a number; empty where it has none or the value names it.
    pub unit: &'static str,
    /// The words it may be; empty where it may be anything.
    pub values: &'static [&'static str],
    /// A zero in it says nothing.
    pub quiet: bool,
}

/// One kind of block.
#[derive(Debug)]
pub struct Table {
    /// The block whose fields it has.
    pub block: &'static Block,
    /// The name of what is described, for people.
    pub title: &'static str,
    /// The JSON name of its label, for blocks that have one.
    pub label: Option<&'static str>,
    /// Its label may be left out.
    pub label_optional: bool,
    /// Its fields.
    pub fields: &'static [Field],
    /// Turns what was read into the API's shape.
    pub finish: Option<fn(&mut Map<String, Json>)>,
    /// Turns the API's shape back into what is written.
    pub restore: Option<fn(&mut Map<String, Json>)>,
    /// What its fields hold in the API's JSON where a job file doesn't write them.
    pub unsaid: Map<String, Json>,
}

impl Table {
    /// The field with this name in HCL.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Names that may be set as attributes.
    pub fn attribute_names(&self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .filter(|field| !field.is_block_only())
            .map(|field| field.name)
    }

    /// Names that may be blocks.
    pub fn block_names(&self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .filter(|field| field.may_be_block())
            .map(|field| field.name)
    }
}

impl Field {
    /// It can be written as a block.
    #[must_use]
    pub fn may_be_block(&self) -> bool {
        matches!(
            self.kind,
            Kind::TextMap
                | Kind::TextsMap
                | Kind::Free
                | Kind::Block(_)
                | Kind::Blocks(_)
                | Kind::NamedBlocks(_)
        )
    }

    /// It can only be written as a block.
    #[must_use]
    pub fn is_block_only(&self) -> bool {
        matches!(
            self.kind,
            Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_)
        ) || (matches!(self.kind, Kind::Free) && self.name == "config")
    }

    /// The table of the block it is.
    #[must_use]
    pub fn table(&self) -> Option<&'static Table> {
        match self.kind {
            Kind::Block(table) | Kind::Blocks(table) | Kind::NamedBlocks(table) => Some(table),
            _ => None,
        }
    }

    /// Its name in YAML.
    #[must_use]
    pub fn yaml_name(&self) -> &'static str {
        if self.plural.is_empty() {
            self.name
        } else {
            self.plural
        }
    }
}
