//! Whether a running alloc can take a new version over as it runs, or has to be replaced.
//!
//! What the task itself would notice (driver, config, environment, ports, resources, …) replaces it; counts, policies,
//! constraints and services don't. Each field says so where it is declared ([`crate::job::Change`]); here is what counts
//! together with others. The scheduler still has to see that the node fulfils the new version.

use std::collections::BTreeMap;

use crate::job::{
    Affinity, Connect, Declared as _, Job, NetworkResource, Service, Spread, Task, TaskGroup,
    declare::DecidesWithin,
};

/// Whether allocs of `group` have to be replaced to run `new` instead of `old`; both are canonical.
#[must_use]
pub fn has_to_replace(old: &Job, new: &Job, group: &str) -> bool {
    match (old.group(group), new.group(group)) {
        (Some(a), Some(b)) => {
            old.is_replaced_by(new)
                || a.is_replaced_by(b)
                || affinities(old, a) != affinities(new, b)
                || spreads(old, a) != spreads(new, b)
                || connect_differs(&a.services, &b.services)
                || a.tasks.len() != b.tasks.len()
                || a.tasks.iter().any(|task| {
                    b.task(&task.name)
                        .is_none_or(|other| task_differs((old, a, task), (new, b, other)))
                })
        }
        (None, None) => false,
        _ => true,
    }
}

fn task_differs(
    (old, old_group, a): (&Job, &TaskGroup, &Task),
    (new, new_group, b): (&Job, &TaskGroup, &Task),
) -> bool {
    a.is_replaced_by(b) || combined_meta(old, old_group, a) != combined_meta(new, new_group, b)
}

fn affinities<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<&'a Affinity> {
    let of_tasks = group.tasks.iter().flat_map(|task| &task.affinities);
    let of_group = job.affinities.iter().chain(&group.affinities);
    of_group.chain(of_tasks).collect()
}

fn spreads<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<&'a Spread> {
    job.spreads.iter().chain(&group.spreads).collect()
}

/// Meta as a task sees it: its own over the group's over the job's.
#[must_use]
pub fn combined_meta<'a>(
    job: &'a Job,
    group: &'a TaskGroup,
    task: &'a Task,
) -> BTreeMap<&'a str, &'a str> {
    let all = job.meta.iter().chain(&group.meta).chain(&task.meta);
    all.map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// Whether services of before have to run with another sidecar or gateway. One without either is only announced.
fn connect_differs(a: &[Service], b: &[Service]) -> bool {
    a.iter().any(|service| {
        let Some(connect) = &service.connect else {
            return false;
        };
        b.iter()
            .find(|other| other.name == service.name)
            .is_none_or(|other| {
                other.port_label != service.port_label
                    || other
                        .connect
                        .as_ref()
                        .is_none_or(|other| sidecar_differs(connect, other))
            })
    })
}

/// Whether another sidecar or gateway has to run. What a sidecar's proxy is told reaches it as it runs.
fn sidecar_differs(a: &Connect, b: &Connect) -> bool {
    a.is_replaced_by(b)
        || match (&a.sidecar_service, &b.sidecar_service) {
            (Some(a), Some(b)) => a.is_replaced_by(b),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
}

impl DecidesWithin for Vec<NetworkResource> {
    fn replaces(&self, new: &Self) -> bool {
        self.len() != new.len()
            || self
                .iter()
                .zip(new)
                .any(|(a, b)| a.is_replaced_by(b) || ports(a) != ports(b))
    }
}

/// The ports of a network by label: whether one stands among those with a number or the others makes no difference.
fn ports(network: &NetworkResource) -> BTreeMap<&str, (i64, i64, &str)> {
    network
        .ports()
        .map(|port| {
            let host = match port.host_network.as_str() {
                "" => "default",
                other => other,
            };
            (port.label.as_str(), (port.value, port.to, host))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Change, declare::Block};

    #[test]
    fn what_counts_together_has_its_reader_here() {
        fn collect(block: &'static Block, found: &mut Vec<String>) {
            for field in block.fields {
                let name = format!("{}.{}", block.of, field.json);
                if field.change == Change::Together && !found.contains(&name) {
                    found.push(name);
                }
                if let Some(inner) = field.kind.block() {
                    collect(inner, found);
                }
            }
        }
        let mut found = Vec::new();
        collect(Job::BLOCK, &mut found);
        found.sort();
        // A further one needs a line in this list and a reader.
        let expected = [
            "Connect.SidecarService",
            "Job.Affinities",
            "Job.Meta",
            "Job.Spreads",
            "Job.TaskGroups",
            "NetworkResource.DynamicPorts",
            "NetworkResource.ReservedPorts",
            "Service.Connect",
            "Service.PortLabel",
            "Task.Affinities",
            "Task.Meta",
            "TaskGroup.Affinities",
            "TaskGroup.Meta",
            "TaskGroup.Services",
            "TaskGroup.Spreads",
            "TaskGroup.Tasks",
        ];
        assert_eq!(found, expected);
    }
}
