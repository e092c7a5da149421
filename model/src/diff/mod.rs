//! What changed between two versions of a job, field by field and object by object, in the shape of the plan call.
//!
//! Works on the canonical form ([`Job::server_canonicalize`]). Lists of objects are compared as sets: an object that
//! changed is one that was deleted and one that was added, as in the reference. With `contextual`, objects that
//! changed are shown with their unchanged fields as well.

mod annotate;
mod objects;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use annotate::annotate;

use crate::job::{Job, Task, TaskGroup};

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
#[serde(rename_all = "PascalCase")]
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
#[serde(rename_all = "PascalCase")]
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
#[serde(rename_all = "PascalCase")]
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
#[serde(rename_all = "PascalCase")]
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
#[serde(rename_all = "PascalCase")]
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

/// Fields of a job that say nothing about what it asks for.
const JOB_BOOKKEEPING: [&str; 13] = [
    "ID",
    "Status",
    "StatusDescription",
    "Version",
    "Stable",
    "CreateIndex",
    "ModifyIndex",
    "JobModifyIndex",
    "SubmitTime",
    "NomadTokenID",
    "VaultToken",
    "ConsulToken",
    "Payload",
];

/// What changed from `old` to `new`; `None` where there is no such job.
#[must_use]
pub fn diff(old: Option<&Job>, new: Option<&Job>, contextual: bool) -> JobDiff {
    let (before, after) = (json(old), json(new));
    let Some(job) = new.or(old) else {
        return JobDiff::default();
    };
    let fields = objects::field_diffs(
        &objects::flat(&before, &JOB_BOOKKEEPING),
        &objects::flat(&after, &JOB_BOOKKEEPING),
        false,
    );
    let pair = objects::Pair::new(&before, &after, contextual);
    let mut found = Vec::new();
    pair.texts("Datacenters", "Datacenters", &mut found);
    pair.set("Constraints", "Constraint", &[], &mut found);
    pair.set("Affinities", "Affinity", &[], &mut found);
    pair.spreads(&mut found);
    pair.object_with_lists("Periodic", "Periodic", &["Specs"], &mut found);
    pair.object_with_lists(
        "ParameterizedJob",
        "ParameterizedJob",
        &["MetaRequired", "MetaOptional"],
        &mut found,
    );
    pair.whole("Multiregion", "Multiregion", &mut found);
    let groups = |job: Option<&Job>| -> BTreeMap<String, TaskGroup> {
        let groups = job.map(|job| job.task_groups.clone()).unwrap_or_default();
        groups
            .into_iter()
            .map(|group| (group.name.clone(), group))
            .collect()
    };
    let (old_groups, new_groups) = (groups(old), groups(new));
    let mut names: Vec<&String> = old_groups.keys().chain(new_groups.keys()).collect();
    names.sort();
    names.dedup();
    let task_groups: Vec<_> = names
        .into_iter()
        .map(|name| group_diff(name, old_groups.get(name), new_groups.get(name), contextual))
        .collect();
    let changed = !fields.is_empty()
        || !found.is_empty()
        || task_groups.iter().any(|group| group.kind != DiffType::None);
    JobDiff {
        kind: kind(old.is_some(), new.is_some(), changed),
        id: job.id.clone(),
        fields,
        objects: found,
        task_groups,
    }
}

fn kind(old: bool, new: bool, changed: bool) -> DiffType {
    match (old, new, changed) {
        (false, true, _) => DiffType::Added,
        (true, false, _) => DiffType::Deleted,
        (_, _, true) => DiffType::Edited,
        _ => DiffType::None,
    }
}

fn json<T: Serialize>(value: Option<&T>) -> Value {
    value
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or(Value::Null)
}

fn group_diff(
    name: &str,
    old: Option<&TaskGroup>,
    new: Option<&TaskGroup>,
    contextual: bool,
) -> TaskGroupDiff {
    let (before, after) = (json(old), json(new));
    let fields = objects::field_diffs(
        &objects::flat(&before, &["Name"]),
        &objects::flat(&after, &["Name"]),
        false,
    );
    let pair = objects::Pair::new(&before, &after, contextual);
    let mut found = Vec::new();
    pair.set("Constraints", "Constraint", &[], &mut found);
    pair.set("Affinities", "Affinity", &[], &mut found);
    pair.spreads(&mut found);
    pair.object("RestartPolicy", "RestartPolicy", &[], &mut found);
    pair.object("ReschedulePolicy", "ReschedulePolicy", &[], &mut found);
    pair.object("EphemeralDisk", "EphemeralDisk", &[], &mut found);
    pair.object("Consul", "Consul", &[], &mut found);
    // Stagger is the job's since 0.7.
    pair.object("Update", "Update", &["Stagger"], &mut found);
    pair.networks("Networks", &mut found);
    pair.services("Services", &mut found);
    pair.named("Volumes", "Volume", &mut found);
    pair.whole("Scaling", "Scaling", &mut found);
    let tasks = |group: Option<&TaskGroup>| -> BTreeMap<String, Task> {
        let tasks = group.map(|group| group.tasks.clone()).unwrap_or_default();
        tasks
            .into_iter()
            .map(|task| (task.name.clone(), task))
            .collect()
    };
    let (old_tasks, new_tasks) = (tasks(old), tasks(new));
    let mut names: Vec<&String> = old_tasks.keys().chain(new_tasks.keys()).collect();
    names.sort();
    names.dedup();
    let tasks: Vec<_> = names
        .into_iter()
        .map(|name| task_diff(name, old_tasks.get(name), new_tasks.get(name), contextual))
        .collect();
    let changed = !fields.is_empty()
        || !found.is_empty()
        || tasks.iter().any(|task| task.kind != DiffType::None);
    TaskGroupDiff {
        kind: kind(old.is_some(), new.is_some(), changed),
        name: name.to_owned(),
        fields,
        objects: found,
        tasks,
        updates: None,
    }
}

fn task_diff(name: &str, old: Option<&Task>, new: Option<&Task>, contextual: bool) -> TaskDiff {
    let (before, after) = (json(old), json(new));
    let fields = objects::field_diffs(
        &objects::flat(&before, &["Name"]),
        &objects::flat(&after, &["Name"]),
        false,
    );
    let pair = objects::Pair::new(&before, &after, contextual);
    let mut found = Vec::new();
    pair.set("Constraints", "Constraint", &[], &mut found);
    pair.set("Affinities", "Affinity", &[], &mut found);
    pair.whole("Config", "Config", &mut found);
    pair.resources(&mut found);
    pair.object("LogConfig", "LogConfig", &["Enabled"], &mut found);
    pair.object("DispatchPayload", "DispatchPayload", &[], &mut found);
    pair.artifacts(&mut found);
    pair.services("Services", &mut found);
    pair.object_with_lists("Vault", "Vault", &["Policies"], &mut found);
    pair.templates(&mut found);
    pair.object("CSIPluginConfig", "CSIPluginConfig", &[], &mut found);
    pair.set("VolumeMounts", "VolumeMount", &[], &mut found);
    pair.object("Lifecycle", "Lifecycle", &[], &mut found);
    pair.object("Identity", "Identity", &[], &mut found);
    let changed = !fields.is_empty() || !found.is_empty();
    TaskDiff {
        kind: kind(old.is_some(), new.is_some(), changed),
        name: name.to_owned(),
        fields,
        objects: found,
        annotations: Vec::new(),
    }
}
