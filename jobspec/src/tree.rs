//! What a job file says, whichever language it is in: blocks and attributes with values and places.
//!
//! HCL and YAML both come to this, so one table-driven decoder reads them.

use crate::{source::Span, value::Value};

/// The inside of a block.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Attributes in their order.
    pub attributes: Vec<Attribute>,
    /// Blocks in their order.
    pub blocks: Vec<Block>,
}

/// A name with a value.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// Where the name is.
    pub name_span: Span,
    /// The value.
    pub value: Value,
    /// Where the value is.
    pub value_span: Span,
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// What it is.
    pub kind: String,
    /// Its labels and where they are.
    pub labels: Vec<(String, Span)>,
    /// Where its header is: kind and labels.
    pub header: Span,
    /// Its inside.
    pub body: Body,
}
