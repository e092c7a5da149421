//! Whether a running alloc can take a new version over as it runs, or has to be replaced.
//!
//! What the task itself would notice (driver, config, environment, ports, resources, …) replaces it; counts, policies,
//! constraints and services don't. The scheduler still has to see that the node fulfils the new version.

use std::collections::BTreeMap;

use crate::job::{
    Affinity, Connect, Job, NetworkResource, Resources, RestartPolicy, Service, Spread, Task,
    TaskGroup,
};

/// Whether allocs of `group` have to be replaced to run `new` instead of `old`; both are canonical.
#[must_use]
pub fn tasks_updated(old: &Job, new: &Job, group: &str) -> bool {
    match (old.group(group), new.group(group)) {
        (Some(a), Some(b)) => {
            a.tasks.len() != b.tasks.len()
                || group_differs(a, b)
                || affinities(old, a) != affinities(new, b)
                || spreads(old, a) != spreads(new, b)
                || a.tasks.iter().any(|task| {
                    b.task(&task.name)
                        .is_none_or(|other| task_differs((old, a, task), (new, b, other)))
                })
        }
        (None, None) => false,
        _ => true,
    }
}

fn group_differs(a: &TaskGroup, b: &TaskGroup) -> bool {
    let consul = |group: &TaskGroup| group.consul.clone().unwrap_or_default().namespace;
    a.ephemeral_disk != b.ephemeral_disk
        || networks_differ(&a.networks, &b.networks)
        || consul(a) != consul(b)
        || connect_differs(&a.services, &b.services)
        || a.volumes != b.volumes
        || renders(a.restart_policy.as_ref()) != renders(b.restart_policy.as_ref())
}

fn renders(policy: Option<&RestartPolicy>) -> bool {
    policy.is_some_and(|policy| policy.render_templates == Some(true))
}

fn affinities<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<&'a Affinity> {
    let of_tasks = group.tasks.iter().flat_map(|task| &task.affinities);
    let of_group = job.affinities.iter().chain(&group.affinities);
    of_group.chain(of_tasks).collect()
}

fn spreads<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<&'a Spread> {
    job.spreads.iter().chain(&group.spreads).collect()
}

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
    let port = |connect: &Connect| {
        let sidecar = connect.sidecar_service.as_ref();
        sidecar.map(|sidecar| sidecar.port.clone())
    };
    a.native != b.native
        || a.gateway != b.gateway
        || a.sidecar_task != b.sidecar_task
        || port(a) != port(b)
}

fn task_differs(
    (old, old_group, a): (&Job, &TaskGroup, &Task),
    (new, new_group, b): (&Job, &TaskGroup, &Task),
) -> bool {
    let disabled = |task: &Task| {
        task.log_config
            .as_ref()
            .is_some_and(|log| log.is_disabled())
    };
    a.driver != b.driver
        || a.user != b.user
        || a.config != b.config
        || a.env != b.env
        || a.artifacts != b.artifacts
        || a.vault != b.vault
        || a.templates != b.templates
        || a.csi_plugin_config != b.csi_plugin_config
        || a.volume_mounts != b.volume_mounts
        || combined_meta(old, old_group, a) != combined_meta(new, new_group, b)
        || resources_differ(a.resources.as_ref(), b.resources.as_ref())
        || a.identity != b.identity
        || disabled(a) != disabled(b)
        || renders(a.restart_policy.as_ref()) != renders(b.restart_policy.as_ref())
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

fn resources_differ(a: Option<&Resources>, b: Option<&Resources>) -> bool {
    let none = Resources::default();
    let (a, b) = (a.unwrap_or(&none), b.unwrap_or(&none));
    a.cpu() != b.cpu()
        || a.cores.unwrap_or(0) != b.cores.unwrap_or(0)
        || a.memory_mb() != b.memory_mb()
        || a.memory_max_mb() != b.memory_max_mb()
        || a.devices != b.devices
        || networks_differ(&a.networks, &b.networks)
}

fn networks_differ(a: &[NetworkResource], b: &[NetworkResource]) -> bool {
    a.len() != b.len() || a.iter().zip(b).any(|(a, b)| network_differs(a, b))
}

fn network_differs(a: &NetworkResource, b: &NetworkResource) -> bool {
    let ports = |network: &NetworkResource| -> BTreeMap<String, (i64, i64, String)> {
        network
            .ports()
            .map(|port| {
                let host = match port.host_network.as_str() {
                    "" => "default".to_owned(),
                    other => other.to_owned(),
                };
                (port.label.clone(), (port.value, port.to, host))
            })
            .collect()
    };
    a.mode != b.mode
        || a.mbits.unwrap_or(0) != b.mbits.unwrap_or(0)
        || a.hostname != b.hostname
        || a.dns != b.dns
        || ports(a) != ports(b)
}
