//! JSON in the order of the API: that in which fields are declared.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value as Json};

use super::declare::{Block, Kind};

/// The JSON of a block, written in the order in which its fields are declared.
#[derive(Clone, Copy, Debug)]
pub struct InOrder<'a> {
    block: &'static Block,
    object: &'a Map<String, Json>,
}

impl<'a> InOrder<'a> {
    /// `object` is JSON of `block`; what the block doesn't declare isn't written.
    #[must_use]
    pub fn new(block: &'static Block, object: &'a Map<String, Json>) -> Self {
        Self { block, object }
    }
}

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for field in self.block.fields {
            if let Some(value) = self.object.get(field.json) {
                let kind = field.kind;
                out.serialize_entry(field.json, &ValueInOrder { kind, value })?;
            }
        }
        out.end()
    }
}

/// A value of a field, its blocks in order.
struct ValueInOrder<'a> {
    kind: Kind,
    value: &'a Json,
}

impl Serialize for ValueInOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let single = |block, value| ValueInOrder {
            kind: Kind::Block(block),
            value,
        };
        match (self.kind, self.value) {
            (Kind::Block(block), Json::Object(object)) => {
                InOrder::new(block, object).serialize(serializer)
            }
            (Kind::Blocks(block), Json::Array(list)) => {
                serializer.collect_seq(list.iter().map(|value| single(block, value)))
            }
            (Kind::NamedBlocks(block), Json::Object(map)) => {
                serializer.collect_map(map.iter().map(|(name, value)| (name, single(block, value))))
            }
            (_, value) => value.serialize(serializer),
        }
    }
}
