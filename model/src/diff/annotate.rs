//! What follows from a change: which allocs are made, stopped, replaced.

use std::collections::BTreeMap;

use super::{DiffType, FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};
use crate::{ids::GroupName, plan::DesiredUpdates};

/// Notes on each group, count and task what its change does; `updates` is by group.
pub fn annotate(diff: &mut JobDiff, updates: &BTreeMap<GroupName, DesiredUpdates>) {
    for group in &mut diff.task_groups {
        if let Some(desired) = updates.get(&GroupName::from(group.name.as_str())) {
            group.updates = Some(counts(desired));
        }
        if let Some(count) = group.fields.iter_mut().find(|field| field.name == "Count") {
            annotate_count(count);
        }
        let parent = group.kind;
        for task in &mut group.tasks {
            annotate_task(task, parent);
        }
    }
}

fn counts(desired: &DesiredUpdates) -> BTreeMap<String, u64> {
    [
        ("ignore", desired.ignore),
        ("create", desired.place),
        ("migrate", desired.migrate),
        ("destroy", desired.stop),
        ("canary", desired.canary),
        ("in-place update", desired.in_place_update),
        ("create/destroy update", desired.destructive_update),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

fn annotate_count(count: &mut FieldDiff) {
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    match number(&count.old).cmp(&number(&count.new)) {
        std::cmp::Ordering::Less => count.annotations.push("forces create".to_owned()),
        std::cmp::Ordering::Greater => count.annotations.push("forces destroy".to_owned()),
        std::cmp::Ordering::Equal => {}
    }
}

fn annotate_task(task: &mut TaskDiff, group: DiffType) {
    let note = match (group, task.kind) {
        (_, DiffType::None) => return,
        (DiffType::Added | DiffType::Deleted, DiffType::Added) => "forces create",
        (DiffType::Added | DiffType::Deleted, DiffType::Deleted) => "forces destroy",
        _ if is_destructive(task) => "forces create/destroy update",
        _ => "forces in-place update",
    };
    task.annotations.push(note.to_owned());
}

/// As the reference judges it from the diff alone: every field but the kill timeout, and every object but those that a
/// running task takes over as it is.
fn is_destructive(task: &TaskDiff) -> bool {
    let changed = |fields: &[FieldDiff], name: &str| {
        let of_name = |field: &&FieldDiff| field.name == name;
        fields
            .iter()
            .filter(of_name)
            .any(|field| field.kind != DiffType::None)
    };
    let field = |field: &FieldDiff| field.kind != DiffType::None && field.name != "KillTimeout";
    let object = |object: &ObjectDiff| match object.name.as_str() {
        _ if object.kind == DiffType::None => false,
        "Service" | "Constraint" | "Lifecycle" | "Scaling" => false,
        "LogConfig" => changed(&object.fields, "Disabled"),
        "RestartPolicy" => changed(&object.fields, "RenderTemplates"),
        _ => true,
    };
    task.fields.iter().any(field) || task.objects.iter().any(object)
}

impl TaskGroupDiff {
    /// Whether anything in it changed.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.kind != DiffType::None
    }
}
