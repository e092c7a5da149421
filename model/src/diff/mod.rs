//! What changed between two versions of a job, field by field and object by object, in the shape of the plan call.
//!
//! Works on the canonical form ([`Job::server_canonicalize`]). Names, order and texts are those that clients of Nomad
//! 1.6 know, and so is what corresponds: constraints and networks are sets (a changed one is one that is gone and one
//! that is new), services, templates and the like are found again. With `contextual`, objects that changed are shown
//! with their unchanged fields as well. Plain fields are compared as they are declared ([`crate::job::declare`]).
//!
//! Nomad's diff leaves some of a job out: spreads, migration, a task's life cycle and mounts, the arguments of a
//! check. Here a change of theirs is shown, in the same shape: a test changes every field there is and looks for it.

mod annotate;
mod connect;
mod fields;
mod object;
mod parts;
mod policy;
mod resources;
mod service;
mod task;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use annotate::annotate;
pub use parts::diff;

/// How something changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiffType {
    /// Not at all.
    #[default]
    None,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// It is another.
    Edited,
}

/// Go writes an empty list as null.
fn null_when_empty<T: Serialize, S: Serializer>(
    list: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if list.is_empty() {
        serializer.serialize_none()
    } else {
        list.serialize(serializer)
    }
}

fn null_as_empty<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A changed field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldDiff {
    /// Its name, as `Count`, `Env[A]` or `ports[0]`.
    pub name: String,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
    /// How it changed.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// What follows from it.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub annotations: Vec<String>,
}

/// A changed object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectDiff {
    /// How it changed.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// What it is, as `RestartPolicy`.
    pub name: String,
    /// Its fields.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub fields: Vec<FieldDiff>,
    /// Objects inside.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub objects: Vec<ObjectDiff>,
}

/// A task, changed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDiff {
    /// How it changed.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// Its name.
    pub name: String,
    /// Its fields.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub fields: Vec<FieldDiff>,
    /// Objects inside.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub objects: Vec<ObjectDiff>,
    /// What follows.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub annotations: Vec<String>,
}

/// A task group, changed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroupDiff {
    /// How it changed.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// Its name.
    pub name: String,
    /// Its fields.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub fields: Vec<FieldDiff>,
    /// Objects inside.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub objects: Vec<ObjectDiff>,
    /// Its tasks.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub tasks: Vec<TaskDiff>,
    /// Allocs by what happens to them, as `create`; set by [`annotate()`].
    pub updates: Option<BTreeMap<String, u64>>,
}

/// A job's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDiff {
    /// How it changed.
    #[serde(rename = "Type")]
    pub kind: DiffType,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its fields.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub fields: Vec<FieldDiff>,
    /// Objects inside.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub objects: Vec<ObjectDiff>,
    /// Its groups.
    #[serde(
        serialize_with = "null_when_empty",
        deserialize_with = "null_as_empty",
        default
    )]
    pub task_groups: Vec<TaskGroupDiff>,
}
