//! Plain fields: their texts, and what differs between two sets of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::{DiffType, FieldDiff};
use crate::{
    duration::Nanos,
    job::{Declared, declare::Kind},
};

/// A value that a diff shows as text. What isn't set shows as the zero of its kind.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

impl Shown for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Nanos {
    fn shown(&self) -> String {
        self.0.to_string()
    }
}

impl<T: Shown + Default> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref()
            .map_or_else(|| T::default().shown(), Shown::shown)
    }
}

/// The plain fields of an object by name. A field that isn't there counts as an empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Every plain field of a block, by its name in JSON: single values, and texts by name as `Name[key]`. What isn't
    /// set shows as the zero of its kind. Lists and blocks are objects of their own.
    pub(super) fn of<T: Declared>(block: &T) -> Self {
        let json = serde_json::to_value(block).unwrap_or_default();
        let mut fields = Self::new();
        for field in T::BLOCK.fields {
            let value = &json[field.json];
            let zero = match field.kind {
                Kind::Text => "",
                Kind::Integer | Kind::Duration => "0",
                Kind::Bool => "false",
                Kind::TextMap => {
                    for (key, value) in value.as_object().into_iter().flatten() {
                        let text = value.as_str().unwrap_or_default();
                        fields
                            .0
                            .insert(format!("{}[{key}]", field.json), text.to_owned());
                    }
                    continue;
                }
                Kind::Texts
                | Kind::TextsMap
                | Kind::Free
                | Kind::Block(_)
                | Kind::Blocks(_)
                | Kind::NamedBlocks(_) => continue,
            };
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => zero.to_owned(),
                other => other.to_string(),
            };
            fields.0.insert(field.json.to_owned(), text);
        }
        fields
    }

    /// Without these fields, and without the pairs of maps of these names.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.0
            .retain(|name, _| !names.contains(&name.split('[').next().unwrap_or(name)));
        self
    }

    /// As [`Fields::without`], where `hidden` says so.
    pub(super) fn without_if(self, hidden: bool, name: &str) -> Self {
        if hidden { self.without(&[name]) } else { self }
    }

    pub(super) fn with(mut self, name: &str, value: &impl Shown) -> Self {
        self.0.insert(name.to_owned(), value.shown());
        self
    }

    /// A field that is left out where nothing is said.
    pub(super) fn with_some(self, name: &str, value: &Option<impl Shown>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A field that is left out where `shown` says so.
    pub(super) fn with_if(self, shown: bool, name: &str, value: &impl Shown) -> Self {
        if shown { self.with(name, value) } else { self }
    }

    /// Every leaf of a free-form value by its path, as `labels[0][a]`.
    pub(super) fn of_config(config: &Map<String, Value>) -> Self {
        let mut fields = Self::new();
        for (key, value) in config {
            fields.add_leaves(key.clone(), value);
        }
        fields
    }

    /// The values of lists as `Name[0]`.
    pub(super) fn of_lists(lists: &BTreeMap<String, Vec<String>>) -> Self {
        let mut fields = Self::new();
        for (name, values) in lists {
            for (index, value) in values.iter().enumerate() {
                fields.0.insert(format!("{name}[{index}]"), value.clone());
            }
        }
        fields
    }

    fn add_leaves(&mut self, path: String, value: &Value) {
        let text = match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.add_leaves(format!("{path}[{key}]"), value);
                }
                return;
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.add_leaves(format!("{path}[{index}]"), value);
                }
                return;
            }
            Value::Null => "nil".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number_text(number),
            Value::String(text) => text.clone(),
        };
        self.0.insert(path, text);
    }

    /// The fields that differ from `self` to `new`; with `contextual` those that don't as well.
    pub(super) fn diff(&self, new: &Self, contextual: bool) -> Vec<FieldDiff> {
        let names: BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        let text = |fields: &Self, name: &String| fields.0.get(name).cloned().unwrap_or_default();
        names
            .into_iter()
            .map(|name| field_diff(name, text(self, name), text(new, name)))
            .filter(|field| contextual || field.kind != DiffType::None)
            .collect()
    }
}

/// A number as clients know it: large and small ones with an exponent of two digits.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let scientific = format!("{float:e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<i32>().ok()?)));
    match exponent {
        Some((mantissa, exponent)) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => float.to_string(),
    }
}

/// One field; an empty text counts as absent.
pub(super) fn field_diff(name: &str, old: String, new: String) -> FieldDiff {
    let kind = match (old.is_empty(), new.is_empty()) {
        _ if old == new => DiffType::None,
        (true, _) => DiffType::Added,
        (_, true) => DiffType::Deleted,
        _ => DiffType::Edited,
    };
    FieldDiff {
        name: name.to_owned(),
        old,
        new,
        kind,
        annotations: Vec::new(),
    }
}

/// What the fields of an object make of it.
pub(super) fn kind_of(fields: &[FieldDiff]) -> DiffType {
    let any = |kind| fields.iter().any(|field| field.kind == kind);
    match (
        any(DiffType::Added),
        any(DiffType::Deleted),
        any(DiffType::Edited),
    ) {
        (_, _, true) | (true, true, _) => DiffType::Edited,
        (true, false, false) => DiffType::Added,
        (false, true, false) => DiffType::Deleted,
        (false, false, false) => DiffType::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_of_a_free_form_value_have_their_path_as_name() {
        let Value::Object(config) = json!({
            "image": "redis:3.2", "args": ["-c", "x"], "empty": [], "none": null, "on": true, "size": 512,
            "port_map": [{"db": 6379}], "half": 0.5, "whole": 30000000.0, "huge": 1e21, "tiny": 0.00001,
        }) else {
            return;
        };
        let fields: Vec<String> = Fields::of_config(&config)
            .0
            .into_iter()
            .map(|(name, text)| format!("{name}={text}"))
            .collect();
        assert_eq!(
            fields,
            [
                "args[0]=-c",
                "args[1]=x",
                "half=0.5",
                "huge=1e+21",
                "image=redis:3.2",
                "none=nil",
                "on=true",
                "port_map[0][db]=6379",
                "size=512",
                "tiny=1e-05",
                "whole=30000000",
            ]
        );
    }
}
