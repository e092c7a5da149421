//! A job, its groups and their tasks against those of another version.

use std::collections::BTreeSet;

use super::{
    DiffType, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff,
    fields::Fields,
    object::{Detail, kind_of_presence},
    policy::{periodic, spreads, update},
    service::services,
    task::{self, Inherited},
};
use crate::{
    duration::Nanos,
    job::{Job, KEPT_BY_THE_SERVER, Task, TaskGroup},
};

/// What changed from `old` to `new`; `None` where there is no such job.
#[must_use]
pub fn diff(old: Option<&Job>, new: Option<&Job>, contextual: bool) -> JobDiff {
    let Some(job) = new.or(old) else {
        return JobDiff::default();
    };
    let detail = Detail {
        contextual,
        complete: old.is_some() && new.is_some(),
    };
    let none = Job::default();
    let (before, after) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let fields = flat(old, job_fields).diff(&flat(new, job_fields), false);
    let objects = job_objects(detail, before, after);
    let groups = by_name(&before.task_groups, &after.task_groups, |group| &group.name);
    let task_groups: Vec<_> = groups
        .into_iter()
        .map(|(old, new)| group_diff(contextual, old, new))
        .collect();
    let changed = !fields.is_empty()
        || !objects.is_empty()
        || task_groups.iter().any(TaskGroupDiff::is_changed);
    JobDiff {
        kind: kind(old.is_some(), new.is_some(), changed),
        id: job.id.clone(),
        fields,
        objects,
        task_groups,
    }
}

/// Both sides of everything that has a name, in the order of the names; of several with one name the last counts.
fn by_name<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let names: BTreeSet<&str> = old.iter().chain(new).map(&name).collect();
    let find = |list: &'a [T], wanted: &str| list.iter().rev().find(|one| name(one) == wanted);
    names
        .into_iter()
        .map(|wanted| (find(old, wanted), find(new, wanted)))
        .collect()
}

fn flat<T>(side: Option<&T>, fields: impl Fn(&T) -> Fields) -> Fields {
    side.map(fields).unwrap_or_default()
}

fn kind(old: bool, new: bool, changed: bool) -> DiffType {
    match kind_of_presence(old, new) {
        DiffType::Edited if !changed => DiffType::None,
        kind => kind,
    }
}

fn job_fields(job: &Job) -> Fields {
    Fields::of(job)
        .without(&[
            // Two versions of one job have the same.
            "ID",
            // Never stored, and nobody's to read.
            "ConsulToken",
            "VaultToken",
            "Payload",
        ])
        .without(&KEPT_BY_THE_SERVER)
}

fn job_objects(detail: Detail, old: &Job, new: &Job) -> Vec<ObjectDiff> {
    let mut found = Vec::new();
    found.extend(detail.changed_texts("Datacenters", &old.datacenters, &new.datacenters));
    found.extend(detail.set(&old.constraints, &new.constraints));
    found.extend(detail.set(&old.affinities, &new.affinities));
    found.extend(spreads(detail, &old.spreads, &new.spreads));
    found.extend(periodic(
        detail,
        old.periodic.as_ref(),
        new.periodic.as_ref(),
    ));
    found.extend(detail.block(
        old.parameterized_job.as_ref(),
        new.parameterized_job.as_ref(),
    ));
    found.extend(detail.block(old.multiregion.as_ref(), new.multiregion.as_ref()));
    // The groups have inherited it, and show it if they changed by it.
    let in_groups = |job: &Job| -> Vec<_> {
        let groups = job.task_groups.iter();
        groups.map(|group| group.update.clone()).collect()
    };
    if detail.complete && in_groups(old) == in_groups(new) {
        found.extend(update(detail, old.update.as_ref(), new.update.as_ref()));
    }
    found
}

fn group_fields(group: &TaskGroup, detail: Detail) -> Fields {
    let is_hidden = |time: Option<Nanos>| !detail.complete || time.is_none();
    Fields::of(group)
        .without(&["Name"])
        .without_if(is_hidden(group.shutdown_delay), "ShutdownDelay")
        .without_if(
            is_hidden(group.stop_after_client_disconnect),
            "StopAfterClientDisconnect",
        )
        .without_if(
            is_hidden(group.max_client_disconnect),
            "MaxClientDisconnect",
        )
}

fn group_objects(detail: Detail, old: &TaskGroup, new: &TaskGroup) -> Vec<ObjectDiff> {
    let mut found = Vec::new();
    found.extend(detail.set(&old.constraints, &new.constraints));
    found.extend(detail.set(&old.affinities, &new.affinities));
    found.extend(spreads(detail, &old.spreads, &new.spreads));
    found.extend(detail.plain(old.restart_policy.as_ref(), new.restart_policy.as_ref()));
    found.extend(detail.plain(
        old.reschedule_policy.as_ref(),
        new.reschedule_policy.as_ref(),
    ));
    if detail.complete {
        found.extend(detail.plain(old.migrate.as_ref(), new.migrate.as_ref()));
    }
    found.extend(detail.plain(old.ephemeral_disk.as_ref(), new.ephemeral_disk.as_ref()));
    found.extend(detail.plain(old.consul.as_ref(), new.consul.as_ref()));
    found.extend(update(detail, old.update.as_ref(), new.update.as_ref()));
    found.extend(detail.set(&old.networks, &new.networks));
    found.extend(detail.block(old.scaling.as_ref(), new.scaling.as_ref()));
    found.extend(services(detail, &old.services, &new.services));
    found.extend(task::volumes(detail, &old.volumes, &new.volumes));
    found
}

fn group_diff(contextual: bool, old: Option<&TaskGroup>, new: Option<&TaskGroup>) -> TaskGroupDiff {
    let detail = Detail {
        contextual,
        complete: old.is_some() && new.is_some(),
    };
    let none = TaskGroup::default();
    let of = |side| flat(side, |group| group_fields(group, detail));
    let (before, after) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let inherited = Inherited {
        old: before.restart_policy.as_ref(),
        new: after.restart_policy.as_ref(),
    };
    let tasks = by_name(&before.tasks, &after.tasks, |task| &task.name);
    TaskGroupDiff {
        kind: kind(old.is_some(), new.is_some(), old != new),
        name: new
            .or(old)
            .map(|group| group.name.clone())
            .unwrap_or_default(),
        fields: of(old).diff(&of(new), false),
        objects: group_objects(detail, before, after),
        tasks: tasks
            .into_iter()
            .map(|(old, new)| task_diff(contextual, inherited, old, new))
            .collect(),
        updates: None,
    }
}

fn task_diff(
    contextual: bool,
    inherited: Inherited<'_>,
    old: Option<&Task>,
    new: Option<&Task>,
) -> TaskDiff {
    let detail = Detail {
        contextual,
        complete: old.is_some() && new.is_some(),
    };
    let none = Task::default();
    TaskDiff {
        kind: kind(old.is_some(), new.is_some(), old != new),
        name: new
            .or(old)
            .map(|task| task.name.clone())
            .unwrap_or_default(),
        fields: flat(old, task::fields).diff(&flat(new, task::fields), false),
        objects: task::objects(
            detail,
            inherited,
            old.unwrap_or(&none),
            new.unwrap_or(&none),
        ),
        annotations: Vec::new(),
    }
}
