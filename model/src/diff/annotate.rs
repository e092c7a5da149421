//! What follows from a change: which allocs are made, stopped, replaced.

use std::collections::BTreeMap;

use super::{DiffType, FieldDiff, JobDiff, TaskDiff, TaskGroupDiff};
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

/// As the reference judges it from the diff alone: everything but the kill timeout, logs, services and constraints.
fn is_destructive(task: &TaskDiff) -> bool {
    let field = |field: &FieldDiff| field.kind != DiffType::None && field.name != "KillTimeout";
    task.fields.iter().any(field)
        || task.objects.iter().any(|object| {
            object.kind != DiffType::None
                && !matches!(object.name.as_str(), "LogConfig" | "Service" | "Constraint")
        })
}

impl TaskGroupDiff {
    /// Whether anything in it changed.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.kind != DiffType::None
    }
}
