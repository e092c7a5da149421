//! Objects and lists of them: which of two versions correspond, and what differs between them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    DiffType, ObjectDiff,
    fields::{Fields, field_diff, kind_of},
};
use crate::job::Declared;

/// How much a diff tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Changed objects are shown with their unchanged fields as well.
    pub(super) contextual: bool,
    /// What Nomad's diff leaves out is shown too. Off inside a job, group or task that is new or gone as a whole:
    /// there it would hide nothing, and clients get what they know.
    pub(super) complete: bool,
}

/// What a kind of object consists of.
pub(super) trait Shape: PartialEq + Declared {
    /// What it is called in a diff.
    const NAME: &'static str;
    /// Whether its unchanged fields are shown in a contextual diff.
    const CONTEXTUAL: bool = true;

    /// Its plain fields.
    fn fields(&self, _detail: Detail) -> Fields {
        Fields::of(self)
    }

    /// What differs in the objects inside; the side that isn't there is the default.
    fn objects(_old: &Self, _new: &Self, _detail: Detail) -> Vec<ObjectDiff> {
        Vec::new()
    }
}

impl Detail {
    /// An object that is there or isn't: the kind of its diff says which.
    pub(super) fn block<T: Shape>(self, old: Option<&T>, new: Option<&T>) -> Option<ObjectDiff> {
        if old == new {
            return None;
        }
        let fields = |side: Option<&T>| side.map(|side| side.fields(self)).unwrap_or_default();
        let none = T::default();
        Some(ObjectDiff {
            kind: kind_of_presence(old.is_some(), new.is_some()),
            name: T::NAME.to_owned(),
            fields: fields(old).diff(&fields(new), self.contextual && T::CONTEXTUAL),
            objects: T::objects(old.unwrap_or(&none), new.unwrap_or(&none), self),
        })
    }

    /// An object of plain fields: they say how it changed.
    pub(super) fn plain<T: Shape>(self, old: Option<&T>, new: Option<&T>) -> Option<ObjectDiff> {
        let fields = |side: Option<&T>| side.map(|side| side.fields(self)).unwrap_or_default();
        self.plain_fields(T::NAME, &fields(old), &fields(new))
    }

    pub(super) fn plain_fields(self, name: &str, old: &Fields, new: &Fields) -> Option<ObjectDiff> {
        let fields = old.diff(new, self.contextual);
        let kind = kind_of(&fields);
        (kind != DiffType::None).then(|| ObjectDiff {
            kind,
            name: name.to_owned(),
            fields,
            objects: Vec::new(),
        })
    }

    /// Objects that nothing identifies: whichever is on one side only is new or gone.
    pub(super) fn set<T: Shape>(self, old: &[T], new: &[T]) -> Vec<ObjectDiff> {
        let gone = old.iter().filter(|one| !new.contains(one));
        let come = new.iter().filter(|one| !old.contains(one));
        sorted(
            gone.map(|one| self.block(Some(one), None))
                .chain(come.map(|one| self.block(None, Some(one)))),
        )
    }

    /// Objects with a key; several of one key correspond in their order.
    pub(super) fn keyed<'a, T: 'a, K: Ord + Clone>(
        self,
        old: &'a [T],
        new: &'a [T],
        key: impl Fn(&'a T) -> K,
        diff: impl Fn(Self, Option<&'a T>, Option<&'a T>) -> Option<ObjectDiff>,
    ) -> Vec<ObjectDiff> {
        let by_key = |list: &'a [T]| -> BTreeMap<(K, usize), &'a T> {
            let mut seen = BTreeMap::new();
            list.iter()
                .map(|one| {
                    let key = key(one);
                    let nth = seen.entry(key.clone()).or_insert(0);
                    *nth += 1;
                    ((key, *nth), one)
                })
                .collect()
        };
        let (old, new) = (by_key(old), by_key(new));
        let keys: BTreeSet<&(K, usize)> = old.keys().chain(new.keys()).collect();
        sorted(
            keys.into_iter()
                .map(|key| diff(self, old.get(key).copied(), new.get(key).copied())),
        )
    }

    /// Objects of which each old one finds its new one by `pick`; a lone one on each side is the same.
    pub(super) fn matched<T: Shape>(
        self,
        old: &[T],
        new: &[T],
        pick: impl Fn(usize, &T, &[(usize, &T)]) -> Option<usize>,
    ) -> Vec<ObjectDiff> {
        if let ([old], [new]) = (old, new) {
            return self.block(Some(old), Some(new)).into_iter().collect();
        }
        let mut free: Vec<(usize, &T)> = new.iter().enumerate().collect();
        let mut diffs = Vec::new();
        for (index, one) in old.iter().enumerate() {
            let found = pick(index, one, &free)
                .and_then(|index| free.iter().position(|(at, _)| *at == index))
                .map(|at| free.remove(at).1);
            diffs.push(self.block(Some(one), found));
        }
        diffs.extend(free.into_iter().map(|(_, one)| self.block(None, Some(one))));
        sorted(diffs)
    }

    /// A list of texts as a set. In a contextual diff a set that didn't change is shown as well.
    pub(super) fn texts(self, name: &str, old: &[String], new: &[String]) -> Option<ObjectDiff> {
        let set = |list: &[String]| -> BTreeSet<String> { list.iter().cloned().collect() };
        let (old, new) = (set(old), set(new));
        let mut fields: Vec<_> = old
            .union(&new)
            .map(|text| {
                let side = |set: &BTreeSet<String>| set.get(text).cloned().unwrap_or_default();
                field_diff(name, side(&old), side(&new))
            })
            .filter(|field| self.contextual || field.kind != DiffType::None)
            .collect();
        fields.sort();
        (!fields.is_empty()).then(|| ObjectDiff {
            kind: kind_of(&fields),
            name: name.to_owned(),
            fields,
            objects: Vec::new(),
        })
    }

    /// As [`Detail::texts`], but a set that didn't change is never shown.
    pub(super) fn changed_texts(
        self,
        name: &str,
        old: &[String],
        new: &[String],
    ) -> Option<ObjectDiff> {
        self.texts(name, old, new)
            .filter(|texts| texts.kind != DiffType::None)
    }

    /// What a driver or a proxy is told.
    pub(super) fn config(
        self,
        name: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Option<ObjectDiff> {
        (old != new).then(|| ObjectDiff {
            kind: kind_of_presence(!old.is_empty(), !new.is_empty()),
            name: name.to_owned(),
            fields: Fields::of_config(old).diff(&Fields::of_config(new), self.contextual),
            objects: Vec::new(),
        })
    }
}

/// What became of something that is or isn't there on each side; on both, it changed.
pub(super) fn kind_of_presence(old: bool, new: bool) -> DiffType {
    match (old, new) {
        (false, true) => DiffType::Added,
        (true, false) => DiffType::Deleted,
        (true, true) => DiffType::Edited,
        (false, false) => DiffType::None,
    }
}

/// Objects of a list, in the order in which they are shown.
pub(super) fn sorted(diffs: impl IntoIterator<Item = Option<ObjectDiff>>) -> Vec<ObjectDiff> {
    let mut diffs: Vec<ObjectDiff> = diffs.into_iter().flatten().collect();
    diffs.sort_by(order);
    diffs
}

/// By name, then edited before added before deleted, then the smaller ones, then by what they say.
fn order(a: &ObjectDiff, b: &ObjectDiff) -> std::cmp::Ordering {
    let rank = |kind| match kind {
        DiffType::Edited => 0,
        DiffType::Added => 1,
        DiffType::Deleted => 2,
        DiffType::None => 3,
    };
    let size = |object: &ObjectDiff| (rank(object.kind), object.fields.len(), object.objects.len());
    a.name
        .cmp(&b.name)
        .then_with(|| size(a).cmp(&size(b)))
        .then_with(|| a.fields.cmp(&b.fields))
        .then_with(|| a.objects.cmp(&b.objects))
}
