//! Objects of HCL1 to the tree that the decoder reads.
//!
//! HCL1 does not tell arguments from blocks, takes blocks of one kind together and turns values into the type that is
//! wanted. The tables say what is meant, so it is all done here and the decoder sees what HCL2 would have given it.

use std::collections::{BTreeMap, HashMap};

use super::{
    marks::{Marks, Why},
    parser::{Item, Key, Node, Object},
};
use crate::{
    diagnostics::Diagnostic,
    schema::{Field, Kind, Table},
    source::{Source, Span},
    tree::{Attribute, Block, Body},
    value::{Number, Value},
};

/// Blocks of a file that may add to one before them.
const MAX_MERGED: usize = 2_000;

/// What the inside of a block is.
#[derive(Clone, Copy)]
enum Inside {
    /// Fields of a table.
    Table(&'static Table),
    /// Anything.
    Free,
    /// Texts by name.
    Texts,
    /// Lists of texts by name.
    TextLists,
}

/// Makes the tree.
pub(super) struct Shaper<'a> {
    pub(super) source: &'a Source,
    pub(super) found: &'a mut Vec<Diagnostic>,
    pub(super) marks: &'a mut Marks,
    /// The blocks around, as people see them.
    pub(super) path: Vec<String>,
    /// Blocks that were added to one before them.
    pub(super) merged: usize,
}

impl Shaper<'_> {
    /// The blocks that an item of this table stands for: several where it is a list of objects. `None` where it is no
    /// object.
    pub(super) fn blocks_of(
        &mut self,
        item: Item,
        table: &'static Table,
    ) -> Result<Vec<Block>, Box<Item>> {
        self.note_header(&item, Inside::Table(table));
        let mut blocks = Vec::new();
        self.unfold(item, Inside::Table(table), &mut blocks)?;
        Ok(blocks)
    }

    fn note_header(&mut self, item: &Item, inside: Inside) {
        if let (Some(assign), Node::Object(_), false) =
            (&item.assign, &item.node, may_be_argument(inside))
        {
            self.marks.note(Why::AssignedBlock, assign.clone());
        }
    }

    fn unfold(
        &mut self,
        item: Item,
        inside: Inside,
        out: &mut Vec<Block>,
    ) -> Result<(), Box<Item>> {
        match item.node {
            Node::List(nodes, span)
                if !nodes.is_empty()
                    && nodes.iter().all(|node| matches!(node, Node::Object(_))) =>
            {
                self.marks.note(Why::ListOfBlocks, span);
                for node in nodes {
                    let item = Item {
                        keys: item.keys.clone(),
                        assign: None,
                        node,
                    };
                    self.unfold(item, inside, out)?;
                }
                Ok(())
            }
            Node::Object(object) => {
                let mut keys = item.keys.into_iter();
                let Some(kind) = keys.next() else {
                    return Ok(());
                };
                let labels: Vec<Key> = keys.collect();
                match inside {
                    Inside::Table(table) if labels.is_empty() && holds_labels(table, &object) => {
                        self.marks.note(Why::LabelInside, kind.span.clone());
                        for mut inner in object.items {
                            inner.keys.insert(0, kind.clone());
                            inner.assign = None;
                            // It was looked at: every one of them is an object or a list of objects.
                            self.unfold(inner, inside, out)?;
                        }
                    }
                    _ => out.extend(self.block(&kind, labels, object, inside)),
                }
                Ok(())
            }
            Node::Literal(..) | Node::List(..) => Err(Box::new(item)),
        }
    }

    fn block(
        &mut self,
        kind: &Key,
        labels: Vec<Key>,
        object: Object,
        inside: Inside,
    ) -> Option<Block> {
        let header = kind.span.start..labels.last().map_or(kind.span.end, |label| label.span.end);
        let shown = match labels.first() {
            // A task of the job stands for a group of its name.
            Some(label) if self.path.len() == 1 && kind.text == "task" => {
                format!("group[{:?}].task[{:?}]", label.text, label.text)
            }
            Some(label) => format!("{}[{:?}]", kind.text, label.text),
            None => kind.text.clone(),
        };
        // The job is the root of all paths.
        let at_root = self.path.is_empty();
        self.path.push(if at_root { String::new() } else { shown });
        let body = match inside {
            Inside::Table(table) => self.body(table, object),
            Inside::Free => {
                self.no_label(kind, &labels);
                self.free(object)
            }
            Inside::Texts | Inside::TextLists => {
                self.no_label(kind, &labels);
                self.texts(object, matches!(inside, Inside::TextLists))
            }
        };
        self.path.pop();
        let mut body = body;
        for (name, value) in defaults(&kind.text, inside) {
            if !body
                .attributes
                .iter()
                .any(|attribute| attribute.name == name)
            {
                body.attributes.push(Attribute {
                    name: name.to_owned(),
                    name_span: kind.span.clone(),
                    value,
                    value_span: kind.span.clone(),
                });
            }
        }
        let off = |attribute: &Attribute| {
            attribute.name == "distinct_hosts" && attribute.value.to_bool() == Some(false)
        };
        if kind.text == "constraint" && body.attributes.iter().any(off) {
            return None;
        }
        Some(Block {
            kind: kind.text.clone(),
            labels: labels
                .into_iter()
                .map(|label| (label.text, label.span))
                .collect(),
            header,
            body,
        })
    }

    /// Blocks that a table does not describe: the decoder takes no notice of their labels.
    fn no_label(&mut self, kind: &Key, labels: &[Key]) {
        if let Some(label) = labels.first() {
            let kind = &kind.text;
            let finding = Diagnostic::error(
                format!("Extraneous label for {kind}"),
                format!("No labels are expected for {kind} blocks."),
                Some(label.span.clone()),
            );
            self.found.push(finding.field(self.shown("")));
        }
    }

    /// The path of a field of the block that is being read; of the block itself for no name.
    fn shown(&self, name: &str) -> String {
        let parts = self.path.iter().map(String::as_str);
        let parts: Vec<&str> = parts
            .chain([name])
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(".")
    }

    /// What shows in the way a block is written that it is HCL1.
    fn note_form(&mut self, object: &Object) {
        if object.assigned {
            return;
        }
        if let Some(comma) = &object.comma {
            self.marks.note(Why::Comma, comma.clone());
        }
        let line = |at: usize| self.source.line_of(at);
        let (open, close) = (line(object.span.start), line(object.span.end));
        // `{ a = 1 }` is the only form on one line that HCL2 has.
        let short =
            open == close && matches!(object.items.as_slice(), [only] if only.assign.is_some());
        let mut last = open;
        for item in object.items.iter().filter(|_| !short) {
            let start = item.keys.first().map_or(0, |key| key.span.start);
            let end = item.node.span().end;
            if line(start) == last || line(end) == close {
                self.marks.note(Why::OneLine, start..start + 1);
                break;
            }
            last = line(end);
        }
        for key in object.items.iter().filter_map(|item| item.keys.first()) {
            self.note_name(key);
        }
    }

    fn note_name(&mut self, key: &Key) {
        if key.quoted {
            self.marks.note(
                Why::QuotedName,
                key.span.start.saturating_sub(1)..key.span.end + 1,
            );
        } else if key.text.contains('.') {
            self.marks.note(Why::DottedName, key.span.clone());
        }
    }

    fn body(&mut self, table: &'static Table, object: Object) -> Body {
        self.note_form(&object);
        let mut arguments = Arguments::default();
        let mut blocks: Vec<Block> = Vec::new();
        for item in object.items {
            let Some(key) = item.keys.first() else {
                continue;
            };
            let Some(field) = table.field(&key.text) else {
                self.unknown(item, &mut arguments, &mut blocks);
                continue;
            };
            let Some(inside) = inside_of(field) else {
                self.scalar(field, item, &mut arguments);
                continue;
            };
            self.note_header(&item, inside);
            let before = blocks.len();
            match self.unfold(item, inside, &mut blocks) {
                Ok(()) if is_merged(table, field) => self.merge(before, inside, &mut blocks),
                Ok(()) => {}
                // The decoder says that a block is expected.
                Err(item) => self.argument(*item, &mut arguments),
            }
        }
        // A scalar that is written as a block: the decoder says what is expected.
        blocks.append(&mut arguments.blocks);
        Body {
            attributes: arguments.list,
            blocks,
        }
    }

    /// What the table does not have, told by the decoder.
    fn unknown(&mut self, item: Item, arguments: &mut Arguments, blocks: &mut Vec<Block>) {
        match (&item.node, item.assign.is_some()) {
            (Node::Object(_), false) => blocks.push(self.unknown_block(item)),
            _ => self.argument(item, arguments),
        }
    }

    /// With what it says: a block of a later version may say nothing.
    fn unknown_block(&mut self, item: Item) -> Block {
        let mut inside = Arguments::default();
        let Item { keys, node, .. } = item;
        if let Node::Object(object) = node {
            for inner in object.items {
                self.argument(inner, &mut inside);
            }
        }
        let mut block = bare_block(keys);
        block.body.attributes = inside.list;
        block
    }

    fn argument(&mut self, item: Item, arguments: &mut Arguments) {
        let value_span = item.node.span().clone();
        let value = self.value(item.node);
        if let Some(key) = item.keys.into_iter().next() {
            arguments.list.push(attribute(key, value, value_span));
        }
    }

    fn scalar(&mut self, field: &Field, item: Item, arguments: &mut Arguments) {
        if matches!(item.node, Node::Object(_)) && item.assign.is_none() {
            arguments.blocks.push(bare_block(item.keys));
            return;
        }
        let value_span = item.node.span().clone();
        let value = self.value(item.node);
        let value = self.converted(field.kind, value, &value_span);
        let Some(key) = item.keys.into_iter().next() else {
            return;
        };
        self.set(attribute(key, value, value_span), arguments);
    }

    /// An argument; lists of one name are taken together, of other values the last counts.
    fn set(&mut self, new: Attribute, arguments: &mut Arguments) {
        let Some(index) = arguments.index.get(&new.name).copied() else {
            arguments
                .index
                .insert(new.name.clone(), arguments.list.len());
            arguments.list.push(new);
            return;
        };
        let old = &mut arguments.list[index];
        match (&mut old.value, new.value) {
            (Value::List(old), Value::List(mut more)) => {
                self.marks.note(Why::Merged, new.name_span);
                old.append(&mut more);
            }
            (_, value) => {
                let slip = Diagnostic::warning(
                    "Set twice",
                    format!("{} is set twice; the last one counts.", new.name),
                    Some(new.name_span.clone()),
                )
                .related(old.name_span.clone(), "set here before")
                .field(self.shown(&new.name));
                self.marks.slip(slip);
                arguments.list[index] = Attribute { value, ..new };
            }
        }
    }

    /// Joins the blocks from `from` on with the one of the same kind before them.
    fn merge(&mut self, from: usize, inside: Inside, blocks: &mut Vec<Block>) {
        for later in blocks.split_off(from) {
            let Some(first) = blocks.iter_mut().find(|block| block.kind == later.kind) else {
                blocks.push(later);
                continue;
            };
            // What is merged is looked through for each of them.
            self.merged += 1;
            if self.merged > MAX_MERGED {
                if self.merged == MAX_MERGED + 1 {
                    let detail = format!(
                        "A file has {MAX_MERGED} blocks at most that add to one before them."
                    );
                    self.found.push(Diagnostic::error(
                        "Too many blocks",
                        detail,
                        Some(later.header),
                    ));
                }
                continue;
            }
            self.marks.note(Why::Merged, later.header);
            let lists = matches!(inside, Inside::TextLists);
            for attribute in &later.body.attributes {
                let same = |old: &Attribute| old.name == attribute.name && !lists;
                first.body.attributes.retain(|old| !same(old));
                first.body.blocks.retain(|old| old.kind != attribute.name);
            }
            for block in &later.body.blocks {
                first.body.attributes.retain(|old| old.name != block.kind);
                first.body.blocks.retain(|old| old.kind != block.kind);
            }
            for attribute in later.body.attributes {
                let old = first.body.attributes.iter_mut();
                match old
                    .filter(|old| old.name == attribute.name)
                    .map(|old| &mut old.value)
                    .next()
                {
                    Some(Value::List(old)) => {
                        if let Value::List(more) = attribute.value {
                            old.extend(more);
                        }
                    }
                    _ => first.body.attributes.push(attribute),
                }
            }
            first.body.blocks.extend(later.body.blocks);
        }
    }

    /// The inside of a block of texts, or lists of texts, by name.
    fn texts(&mut self, object: Object, lists: bool) -> Body {
        self.note_form(&object);
        let mut arguments = Arguments::default();
        for item in object.items {
            if matches!(item.node, Node::Object(_)) {
                arguments.blocks.push(bare_block(item.keys));
                continue;
            }
            let value_span = item.node.span().clone();
            let value = self.value(item.node);
            let kind = if lists { Kind::Texts } else { Kind::Text };
            let value = self.converted(kind, value, &value_span);
            if let Some(key) = item.keys.into_iter().next() {
                self.set(attribute(key, value, value_span), &mut arguments);
            }
        }
        Body {
            attributes: arguments.list,
            blocks: arguments.blocks,
        }
    }

    /// The inside of a block that only its reader understands.
    fn free(&mut self, object: Object) -> Body {
        self.note_form(&object);
        let mut arguments = Arguments::default();
        for item in object.items {
            let Item { mut keys, node, .. } = item;
            match node {
                Node::Object(object) => {
                    let labels = keys.split_off(1);
                    let Some(kind) = keys.pop() else { continue };
                    let header =
                        kind.span.start..labels.last().map_or(kind.span.end, |key| key.span.end);
                    let body = if object.assigned {
                        self.free_map(object)
                    } else {
                        self.free(object)
                    };
                    arguments.blocks.push(Block {
                        kind: kind.text,
                        labels: labels.into_iter().map(|key| (key.text, key.span)).collect(),
                        header,
                        body,
                    });
                }
                node => {
                    let span = node.span().clone();
                    let value = self.value(node);
                    if let Some(key) = keys.into_iter().next() {
                        self.set(attribute(key, value, span), &mut arguments);
                    }
                }
            }
        }
        Body {
            attributes: arguments.list,
            blocks: arguments.blocks,
        }
    }

    /// The inside of an object that is assigned in such a block: a map in HCL2 too, in whose forms nothing is odd.
    fn free_map(&mut self, object: Object) -> Body {
        let entries = self.entries(object);
        Body {
            attributes: entries
                .into_iter()
                .map(|(name, (value, span))| Attribute {
                    name,
                    name_span: span.clone(),
                    value,
                    value_span: span,
                })
                .collect(),
            blocks: Vec::new(),
        }
    }

    fn value(&mut self, node: Node) -> Value {
        match node {
            Node::Literal(value, _) => value,
            Node::List(nodes, _) => {
                Value::List(nodes.into_iter().map(|node| self.value(node)).collect())
            }
            Node::Object(object) => {
                let entries = self.entries(object);
                let plain = entries.into_iter().map(|(name, (value, _))| (name, value));
                Value::Map(plain.collect())
            }
        }
    }

    /// An object as a map: objects and lists of one name are taken together, of other values the last counts.
    fn entries(&mut self, object: Object) -> BTreeMap<String, (Value, Span)> {
        let mut map: BTreeMap<String, (Value, Span)> = BTreeMap::new();
        for item in object.items {
            let mut keys = item.keys.into_iter();
            let Some(key) = keys.next() else { continue };
            let mut value = self.value(item.node);
            for label in keys.rev() {
                value = Value::Map(BTreeMap::from([(label.text, value)]));
            }
            let Some((old, span)) = map.get_mut(&key.text) else {
                map.insert(key.text, (value, key.span));
                continue;
            };
            self.marks.note(Why::Merged, key.span.clone());
            match (&mut *old, value) {
                (Value::List(old), Value::List(more)) => old.extend(more),
                (Value::List(old), map @ Value::Map(_)) => old.push(map),
                (Value::Map(_), map @ Value::Map(_)) => {
                    let first = std::mem::replace(old, Value::Null);
                    *old = Value::List(vec![first, map]);
                }
                (_, value) => {
                    let slip = Diagnostic::warning(
                        "Set twice",
                        format!("{} is set twice; the last one counts.", key.text),
                        Some(key.span),
                    );
                    self.marks
                        .slip(slip.related(span.clone(), "set here before"));
                    *old = value;
                }
            }
        }
        map
    }

    /// A value as the type that its field has, as far as HCL1 converts it; what it does not is left to the decoder.
    fn converted(&mut self, kind: Kind, value: Value, span: &Span) -> Value {
        let loose = |marks: &mut Marks, value| {
            marks.note(Why::LooseValue, span.clone());
            value
        };
        match (kind, value) {
            (Kind::Text, Value::Bool(value)) => {
                self.marks.note(Why::BoolAsDigit, span.clone());
                as_digit(value)
            }
            (Kind::Integer, Value::Bool(value)) => loose(self.marks, Value::int(i128::from(value))),
            (Kind::Integer, Value::String(text)) => match integer(&text) {
                Some(number) if text.parse::<i64>().is_ok() => Value::Number(number),
                Some(number) => loose(self.marks, Value::Number(number)),
                None => Value::String(text),
            },
            (Kind::Bool, Value::Number(number)) => {
                loose(self.marks, Value::Bool(number.as_f64() != 0.0))
            }
            (Kind::Bool, Value::String(text)) => match bool_word(&text) {
                Some(value) if matches!(text.as_str(), "true" | "false") => Value::Bool(value),
                Some(value) => loose(self.marks, Value::Bool(value)),
                None => Value::String(text),
            },
            (Kind::Texts, Value::List(list)) => {
                let text = |value| match value {
                    Value::Bool(value) => {
                        self.marks.note(Why::BoolAsDigit, span.clone());
                        as_digit(value)
                    }
                    other => other,
                };
                Value::List(list.into_iter().map(text).collect())
            }
            (Kind::Texts, value @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
                self.marks.note(Why::SingleForList, span.clone());
                let list = Value::List(vec![value]);
                self.converted(Kind::Texts, list, span)
            }
            (_, value) => value,
        }
    }
}

/// Arguments that were read, and where to find one by its name.
#[derive(Default)]
struct Arguments {
    list: Vec<Attribute>,
    index: HashMap<String, usize>,
    /// What is written as a block.
    blocks: Vec<Block>,
}

fn attribute(key: Key, value: Value, value_span: Span) -> Attribute {
    Attribute {
        name: key.text,
        name_span: key.span,
        value,
        value_span,
    }
}

/// What HCL1 says in a block where nothing is said, though nobody asked for the defaults of the job.
fn defaults(kind: &str, inside: Inside) -> Vec<(&'static str, Value)> {
    match (kind, inside) {
        ("template", Inside::Table(table)) => told(
            table,
            &[
                "change_mode",
                "splay",
                "perms",
                "uid",
                "gid",
                "error_on_missing_key",
            ],
        ),
        ("vault", Inside::Table(table)) => told(table, &["env", "disable_file", "change_mode"]),
        _ => Vec::new(),
    }
}

/// The defaults of these fields, as the table tells them.
fn told(table: &Table, names: &'static [&'static str]) -> Vec<(&'static str, Value)> {
    let value = |field: &Field| match field.kind {
        Kind::Integer => field.default.parse::<i64>().map_or(Value::Null, Value::int),
        Kind::Bool => field.default.parse().map_or(Value::Null, Value::Bool),
        Kind::Text
        | Kind::Duration
        | Kind::Texts
        | Kind::TextMap
        | Kind::TextsMap
        | Kind::Free
        | Kind::Block(_)
        | Kind::Blocks(_)
        | Kind::NamedBlocks(_) => Value::text(field.default),
    };
    let names = names.iter();
    names
        .filter_map(|name| Some((*name, value(table.field(name)?))))
        .collect()
}

/// A block of which only the kind counts: it is refused.
fn bare_block(keys: Vec<Key>) -> Block {
    let mut keys = keys.into_iter();
    let (kind, span) = keys
        .next()
        .map_or((String::new(), 0..0), |key| (key.text, key.span));
    Block {
        kind,
        labels: keys.map(|key| (key.text, key.span)).collect(),
        header: span,
        body: Body::default(),
    }
}

/// The inside of a field that is a block, or may be one.
fn inside_of(field: &Field) -> Option<Inside> {
    match field.kind {
        Kind::Block(table) | Kind::Blocks(table) | Kind::NamedBlocks(table) => {
            Some(Inside::Table(table))
        }
        Kind::Free => Some(Inside::Free),
        Kind::TextMap => Some(Inside::Texts),
        Kind::TextsMap => Some(Inside::TextLists),
        Kind::Text | Kind::Integer | Kind::Bool | Kind::Duration | Kind::Texts => None,
    }
}

/// HCL2 takes it with `=` too.
fn may_be_argument(inside: Inside) -> bool {
    matches!(inside, Inside::Texts | Inside::TextLists)
}

/// Several blocks of it are one.
fn is_merged(table: &Table, field: &Field) -> bool {
    match field.kind {
        Kind::TextMap | Kind::TextsMap => field.name != "options",
        Kind::Free => field.name == "config" && matches!(table.title, "task" | "sidecar_task"),
        _ => false,
    }
}

/// The block has a label, and its inside are only objects with the labels as their names.
fn holds_labels(table: &Table, object: &Object) -> bool {
    let is_block = |node: &Node| match node {
        Node::Object(_) => true,
        Node::List(nodes, _) => {
            !nodes.is_empty() && nodes.iter().all(|node| matches!(node, Node::Object(_)))
        }
        Node::Literal(..) => false,
    };
    let is_label = |item: &Item| {
        let is_known = |key: &Key| table.field(&key.text).is_some();
        is_block(&item.node) && matches!(item.keys.as_slice(), [key] if !is_known(key))
    };
    table.label.is_some()
        && !table.label_optional
        && !object.items.is_empty()
        && object.items.iter().all(is_label)
}

/// HCL1 has bools in texts as digits.
fn as_digit(value: bool) -> Value {
    Value::text(if value { "1" } else { "0" })
}

/// A whole number in a text: decimal, `0x1f`, `0o17`, `017` or `0b1`.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0b", 2), ("0o", 8)]
        .iter()
        .find_map(|(prefix, radix)| Some((*radix, lower.strip_prefix(prefix)?)))
        .unwrap_or(match lower.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => (8, octal),
            _ => (10, lower.as_str()),
        });
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    i64::try_from(value)
        .ok()
        .map(|value| Number::Int(value.into()))
}

/// What counts as a bool in a text.
fn bool_word(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_texts_may_have_a_base() {
        for (text, expected) in [
            ("3", Some(3)),
            ("-3", Some(-3)),
            ("+3", Some(3)),
            ("0", Some(0)),
            ("0x10", Some(16)),
            ("-0X1f", Some(-31)),
            ("010", Some(8)),
            ("0o10", Some(8)),
            ("0b101", Some(5)),
            ("", None),
            ("3.5", None),
            ("08", None),
            ("9223372036854775808", None),
            ("many", None),
        ] {
            assert_eq!(integer(text), expected.map(Number::Int), "{text}");
        }
    }
}
