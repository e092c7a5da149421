//! Objects compared as JSON: flat fields, nested objects, sets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{DiffType, FieldDiff, ObjectDiff};

/// Fields that are maps of texts: shown as `Name[key]` beside the plain fields.
const MAPS: [&str; 6] = [
    "Meta",
    "Env",
    "GetterOptions",
    "GetterHeaders",
    "CanaryMeta",
    "TaggedAddresses",
];

/// Plain fields by name, without those in `filter`; null counts as absent.
pub(super) fn flat(object: &Value, filter: &[&str]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let Value::Object(object) = object else {
        return fields;
    };
    for (name, value) in object {
        if filter.contains(&name.as_str()) {
            continue;
        }
        match value {
            Value::Object(map) if MAPS.contains(&name.as_str()) => {
                for (key, value) in map {
                    if let Some(text) = plain(value) {
                        fields.insert(format!("{name}[{key}]"), text);
                    }
                }
            }
            value => {
                if let Some(text) = plain(value) {
                    fields.insert(name.clone(), text);
                }
            }
        }
    }
    fields
}

/// Every leaf by its path, as `labels[0][a]`.
fn deep(value: &Value, prefix: &str, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}[{key}]")
                };
                deep(value, &path, fields);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                deep(value, &format!("{prefix}[{index}]"), fields);
            }
        }
        value => {
            if let Some(text) = plain(value) {
                fields.insert(prefix.to_owned(), text);
            }
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The fields that differ; with `contextual` those that don't as well. Absent and empty are the same.
pub(super) fn field_diffs(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    contextual: bool,
) -> Vec<FieldDiff> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let text = |fields: &BTreeMap<String, String>, name: &String| {
        fields.get(name).cloned().unwrap_or_default()
    };
    names
        .into_iter()
        .map(|name| field_diff(name, text(old, name), text(new, name)))
        .filter(|field| contextual || field.kind != DiffType::None)
        .collect()
}

fn field_diff(name: &str, old: String, new: String) -> FieldDiff {
    let kind = if old == new {
        DiffType::None
    } else if old.is_empty() {
        DiffType::Added
    } else if new.is_empty() {
        DiffType::Deleted
    } else {
        DiffType::Edited
    };
    FieldDiff {
        name: name.to_owned(),
        old,
        new,
        kind,
        annotations: Vec::new(),
    }
}

/// What an object's fields make of it.
fn kind_of_fields(fields: &[FieldDiff]) -> DiffType {
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

fn kind_of_presence(old: &Value, new: &Value) -> DiffType {
    match (old.is_null(), new.is_null()) {
        (true, false) => DiffType::Added,
        (false, true) => DiffType::Deleted,
        _ => DiffType::Edited,
    }
}

/// Two objects whose parts are compared.
pub(super) struct Pair<'a> {
    old: &'a Value,
    new: &'a Value,
    contextual: bool,
}

impl<'a> Pair<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value, contextual: bool) -> Self {
        Self {
            old,
            new,
            contextual,
        }
    }

    fn part(&self, name: &str) -> Pair<'a> {
        Pair::new(&self.old[name], &self.new[name], self.contextual)
    }

    fn lists(&self, name: &str) -> (&'a [Value], &'a [Value]) {
        (list(&self.old[name]), list(&self.new[name]))
    }

    /// An object of plain fields.
    pub(super) fn object(
        &self,
        name: &str,
        shown: &str,
        filter: &[&str],
        found: &mut Vec<ObjectDiff>,
    ) {
        found.extend(self.part(name).primitive(shown, filter));
    }

    fn primitive(&self, shown: &str, filter: &[&str]) -> Option<ObjectDiff> {
        let fields = field_diffs(
            &flat(self.old, filter),
            &flat(self.new, filter),
            self.contextual,
        );
        let kind = kind_of_fields(&fields);
        (kind != DiffType::None).then(|| ObjectDiff {
            kind,
            name: shown.to_owned(),
            fields,
            objects: Vec::new(),
        })
    }

    /// An object of plain fields and lists of texts.
    pub(super) fn object_with_lists(
        &self,
        name: &str,
        shown: &str,
        lists: &[&str],
        found: &mut Vec<ObjectDiff>,
    ) {
        let part = self.part(name);
        let mut objects = Vec::new();
        for list in lists {
            part.texts(list, list, &mut objects);
        }
        found.extend(part.with_objects(shown, &[], objects));
    }

    /// The object with what differs inside it; `None` when nothing does.
    fn with_objects(
        &self,
        shown: &str,
        filter: &[&str],
        objects: Vec<ObjectDiff>,
    ) -> Option<ObjectDiff> {
        if self.old.is_null() && self.new.is_null() {
            return None;
        }
        let fields = field_diffs(
            &flat(self.old, filter),
            &flat(self.new, filter),
            self.contextual,
        );
        if kind_of_fields(&fields) == DiffType::None && objects.is_empty() {
            return None;
        }
        Some(ObjectDiff {
            kind: kind_of_presence(self.old, self.new),
            name: shown.to_owned(),
            fields,
            objects,
        })
    }

    /// An object with everything inside it as fields.
    pub(super) fn whole(&self, name: &str, shown: &str, found: &mut Vec<ObjectDiff>) {
        let (old, new) = (&self.old[name], &self.new[name]);
        let flatten = |value| {
            let mut fields = BTreeMap::new();
            deep(value, "", &mut fields);
            fields
        };
        let (old_fields, new_fields) = (flatten(old), flatten(new));
        let fields = field_diffs(&old_fields, &new_fields, self.contextual);
        if kind_of_fields(&fields) != DiffType::None {
            let empty = |fields: &BTreeMap<_, _>| fields.is_empty();
            found.push(ObjectDiff {
                kind: match (empty(&old_fields), empty(&new_fields)) {
                    (true, _) => DiffType::Added,
                    (_, true) => DiffType::Deleted,
                    _ => DiffType::Edited,
                },
                name: shown.to_owned(),
                fields,
                objects: Vec::new(),
            });
        }
    }

    /// A list of texts, compared as a set.
    pub(super) fn texts(&self, name: &str, shown: &str, found: &mut Vec<ObjectDiff>) {
        let (old, new) = self.lists(name);
        let texts = |list: &[Value]| -> Vec<String> {
            let mut texts: Vec<String> = list.iter().filter_map(plain).collect();
            texts.sort();
            texts.dedup();
            texts
        };
        let (old, new) = (texts(old), texts(new));
        let mut fields: Vec<FieldDiff> = Vec::new();
        for text in &old {
            if new.contains(text) {
                if self.contextual {
                    fields.push(field_diff(shown, text.clone(), text.clone()));
                }
            } else {
                fields.push(field_diff(shown, text.clone(), String::new()));
            }
        }
        for text in &new {
            if !old.contains(text) {
                fields.push(field_diff(shown, String::new(), text.clone()));
            }
        }
        let kind = kind_of_fields(&fields);
        if kind != DiffType::None {
            fields.sort();
            found.push(ObjectDiff {
                kind,
                name: shown.to_owned(),
                fields,
                objects: Vec::new(),
            });
        }
    }

    /// A list of objects of plain fields, compared as a set.
    pub(super) fn set(
        &self,
        name: &str,
        shown: &str,
        filter: &[&str],
        found: &mut Vec<ObjectDiff>,
    ) {
        self.set_with(name, found, |pair| pair.primitive(shown, filter));
    }

    /// A list of objects, compared as a set: those that are on one side only are told by `one`.
    fn set_with(
        &self,
        name: &str,
        found: &mut Vec<ObjectDiff>,
        one: impl Fn(Pair<'_>) -> Option<ObjectDiff>,
    ) {
        let (old, new) = self.lists(name);
        let mut diffs = Vec::new();
        for value in old.iter().filter(|value| !new.contains(value)) {
            diffs.extend(one(Pair::new(value, &Value::Null, self.contextual)));
        }
        for value in new.iter().filter(|value| !old.contains(value)) {
            diffs.extend(one(Pair::new(&Value::Null, value, self.contextual)));
        }
        diffs.sort_by(object_order);
        found.append(&mut diffs);
    }

    /// Objects by name.
    pub(super) fn named(&self, name: &str, shown: &str, found: &mut Vec<ObjectDiff>) {
        let none = Map::new();
        let map = |value: &'a Value| value.as_object();
        let (old, new) = (map(&self.old[name]), map(&self.new[name]));
        let mut keys: Vec<&String> = old
            .unwrap_or(&none)
            .keys()
            .chain(new.unwrap_or(&none).keys())
            .collect();
        keys.sort();
        keys.dedup();
        let of = |map: Option<&'a Map<String, Value>>, key: &String| {
            map.and_then(|map| map.get(key)).unwrap_or(&Value::Null)
        };
        for key in keys {
            let pair = Pair::new(of(old, key), of(new, key), self.contextual);
            let mut inner = Vec::new();
            pair.object_with_lists("MountOptions", "MountOptions", &["MountFlags"], &mut inner);
            found.extend(pair.with_objects(shown, &[], inner));
        }
    }

    pub(super) fn spreads(&self, found: &mut Vec<ObjectDiff>) {
        self.set_with("Spreads", found, |pair| {
            let mut targets = Vec::new();
            pair.set("SpreadTarget", "SpreadTarget", &[], &mut targets);
            pair.with_objects("Spread", &[], targets)
        });
    }

    pub(super) fn networks(&self, name: &str, found: &mut Vec<ObjectDiff>) {
        self.set_with(name, found, |pair| {
            let mut objects = Vec::new();
            pair.set("ReservedPorts", "Static Port", &[], &mut objects);
            pair.set("DynamicPorts", "Dynamic Port", &["Value"], &mut objects);
            pair.object_with_lists(
                "DNS",
                "DNS",
                &["Servers", "Searches", "Options"],
                &mut objects,
            );
            pair.with_objects("Network", &["Device", "CIDR", "IP"], objects)
        });
    }

    pub(super) fn resources(&self, found: &mut Vec<ObjectDiff>) {
        let part = self.part("Resources");
        let mut objects = Vec::new();
        part.networks("Networks", &mut objects);
        part.set_with("Devices", &mut objects, |pair| {
            let mut inner = Vec::new();
            pair.set("Constraints", "Constraint", &[], &mut inner);
            pair.set("Affinities", "Affinity", &[], &mut inner);
            pair.with_objects("Device", &[], inner)
        });
        found.extend(part.with_objects("Resources", &[], objects));
    }

    pub(super) fn artifacts(&self, found: &mut Vec<ObjectDiff>) {
        self.set("Artifacts", "Artifact", &[], found);
    }

    pub(super) fn templates(&self, found: &mut Vec<ObjectDiff>) {
        self.set_with("Templates", found, |pair| {
            let mut inner = Vec::new();
            pair.object("Wait", "Template", &[], &mut inner);
            pair.object_with_lists("ChangeScript", "ChangeScript", &["Args"], &mut inner);
            pair.with_objects("Template", &[], inner)
        });
    }

    /// Services: a lone one on each side is the same service, others are found again by name.
    pub(super) fn services(&self, name: &str, found: &mut Vec<ObjectDiff>) {
        let (old, new) = self.lists(name);
        for pair in self.matched(old, new) {
            found.extend(pair.service());
        }
    }

    fn matched(&self, old: &'a [Value], new: &'a [Value]) -> Vec<Pair<'a>> {
        if let ([old], [new]) = (old, new) {
            return vec![Pair::new(old, new, self.contextual)];
        }
        let mut pairs = Vec::new();
        let mut taken = vec![false; new.len()];
        for old in old {
            let same = new
                .iter()
                .enumerate()
                .position(|(index, new)| !taken[index] && new["Name"] == old["Name"]);
            let new = same.map_or(&Value::Null, |index| {
                taken[index] = true;
                &new[index]
            });
            pairs.push(Pair::new(old, new, self.contextual));
        }
        let rest = new.iter().zip(taken).filter(|(_, taken)| !taken);
        pairs.extend(rest.map(|(new, _)| Pair::new(&Value::Null, new, self.contextual)));
        pairs
    }

    fn service(&self) -> Option<ObjectDiff> {
        let mut objects = Vec::new();
        self.object("CheckRestart", "CheckRestart", &[], &mut objects);
        self.texts("CanaryTags", "CanaryTags", &mut objects);
        self.texts("Tags", "Tags", &mut objects);
        let (old, new) = self.lists("Checks");
        for pair in self.matched(old, new) {
            let mut inner = Vec::new();
            pair.whole("Header", "Header", &mut inner);
            pair.texts("Args", "Args", &mut inner);
            pair.object("CheckRestart", "CheckRestart", &[], &mut inner);
            objects.extend(pair.with_objects("Check", &["Advertise"], inner));
        }
        self.whole("Connect", "ConsulConnect", &mut objects);
        self.with_objects("Service", &[], objects)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// As the reference sorts the members of a set: what is gone first, then by what they say.
fn object_order(a: &ObjectDiff, b: &ObjectDiff) -> std::cmp::Ordering {
    a.name
        .cmp(&b.name)
        .then_with(|| a.fields.cmp(&b.fields))
        .then_with(|| a.objects.cmp(&b.objects))
}
