//! Values with places, as YAML and JSON texts hold them.

use crate::{source::Span, value::Value};

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    /// Keys with their places, in order.
    Map(Vec<(String, Span, Node)>),
}

impl Node {
    /// Its value, places forgotten.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(list) => Value::List(list.iter().map(Self::value).collect()),
            Content::Map(map) => Value::Map(
                map.iter()
                    .map(|(key, _, node)| (key.clone(), node.value()))
                    .collect(),
            ),
        }
    }

    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// How many values and keys it holds, itself included.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Scalar(_) => 1,
            Content::List(list) => 1 + list.iter().map(Self::size).sum::<usize>(),
            Content::Map(map) => {
                1 + map
                    .iter()
                    .map(|(_, _, node)| 1 + node.size())
                    .sum::<usize>()
            }
        }
    }
}
