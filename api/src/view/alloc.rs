//! Allocs.

use std::collections::BTreeMap;

use rove_controllers::facts::{self, alloc_index};
use rove_model::{
    alloc::{Alloc, AllocStatus, DesiredStatus, PlacedAlloc},
    ids::{AllocId, JobKey, UnixNanos},
    job::{Job, NetworkResource, TaskGroup},
};
use rove_store::state::{State, Stored};
use rove_wire::{
    AllocDeploymentStatus, AllocResources, AllocStub, DesiredTransition, GivenCpu, GivenMemory,
    GivenResources, LegacyResources, Network, NetworkStatus, RescheduleEvent, RescheduleTracker,
    SharedResources, Word,
};

use super::{
    id_or_empty, network,
    task_state::{Events, task_states},
};
use crate::time::rfc3339_option;

/// Parts of a list that are shown on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOptions {
    pub(crate) resources: bool,
    pub(crate) task_states: bool,
}

/// Which alloc replaced which: of one job.
pub(crate) type Successors = BTreeMap<AllocId, AllocId>;

/// The successors of a job's allocs.
pub(crate) fn successors(state: &State, job: &JobKey) -> Successors {
    state
        .allocs_of_job(job)
        .filter_map(|alloc| alloc.previous_allocation.map(|before| (before, alloc.id)))
        .collect()
}

/// An alloc in a list. `status` is what is known of the alloc, with task events where they are to be shown.
pub(crate) fn stub<E: Events>(
    state: &State,
    alloc: &Stored<Alloc>,
    next: Option<AllocId>,
    status: Option<&AllocStatus<E>>,
    options: ListOptions,
) -> AllocStub {
    let version = state.job_version(&alloc.version_key());
    AllocStub {
        id: alloc.id.to_string(),
        eval: alloc.eval_id.to_string(),
        name: alloc.name(),
        namespace: alloc.namespace.to_string(),
        node: alloc.node_id.to_string(),
        node_name: alloc.node_name.clone(),
        job: alloc.job_id.to_string(),
        job_type: version.map_or_else(Word::default, |version| version.job.job_type().into()),
        job_version: alloc.job_version,
        whole_job: None,
        group: alloc.task_group.to_string(),
        resources: options
            .resources
            .then(|| allocated_resources(alloc, version.map(|version| &version.job))),
        desired: desired(alloc),
        desired_description: alloc.desired_description.clone(),
        client: state.client_status(alloc.id).into(),
        client_description: status
            .map(|status| status.client_description.clone())
            .unwrap_or_default(),
        transition: transition(state, alloc.id),
        states: match status {
            Some(status) if options.task_states => task_states(&status.task_states),
            _ => BTreeMap::new(),
        },
        deployment_status: deployment_status(state, alloc),
        followup: id_or_empty(alloc.follow_up_eval),
        next: id_or_empty(next),
        reschedule: reschedule_tracker(alloc),
        preempted: Vec::new(),
        preempted_by: String::new(),
        create_index: alloc.create,
        modify_index: alloc_index(state, alloc),
        create_time: alloc.create_time,
        modify_time: modify_time(alloc, status),
    }
}

/// What the store keeps of an alloc beyond what State does.
#[derive(Debug, Default)]
pub(crate) struct FromStore {
    /// The alloc with its metrics.
    pub(crate) alloc: Option<PlacedAlloc>,
    /// The status with its task events.
    pub(crate) status: Option<AllocStatus>,
}

/// One alloc in full.
pub(crate) fn full(state: &State, alloc: &Stored<Alloc>, more: &FromStore) -> rove_wire::Alloc {
    let known = state.alloc_status(alloc.id);
    let version = state.job_version(&alloc.version_key());
    let job = version.map(|version| {
        let mut job = version.job.clone();
        job.create_index = facts::job(state, &alloc.job()).map_or(0, |job| job.create_index(state));
        job.modify_index = version.create;
        job.job_modify_index = version.create;
        // As it stood when the alloc was placed, which is all that clients may expect of this copy.
        job.status = "pending".to_owned();
        job
    });
    let group = job
        .as_ref()
        .and_then(|job| job.group(alloc.task_group.as_str()));
    let states = match (&more.status, known) {
        (Some(status), _) => task_states(&status.task_states),
        (None, Some(known)) => task_states(&known.task_states),
        (None, None) => BTreeMap::new(),
    };
    let metrics = more.alloc.as_ref().map(|alloc| alloc.metrics.clone());
    let next = successors(state, &alloc.job()).remove(&alloc.id);
    let resources = &alloc.resources;
    rove_wire::Alloc {
        id: alloc.id.to_string(),
        namespace: alloc.namespace.to_string(),
        eval: alloc.eval_id.to_string(),
        name: alloc.name(),
        node: alloc.node_id.to_string(),
        node_name: alloc.node_name.clone(),
        job_id: alloc.job_id.to_string(),
        group: alloc.task_group.to_string(),
        resources: Some(allocated_resources(alloc, job.as_ref())),
        legacy_resources: LegacyResources {
            cpu: resources.cpu(),
            memory: resources.memory_mb(),
            memory_max: resources
                .tasks
                .values()
                .map(|task| task.memory_max_mb.max(task.memory_mb))
                .sum(),
            disk: resources.disk_mb,
            networks: some(all_networks(alloc, group)),
            ..LegacyResources::default()
        },
        legacy_shared: LegacyResources {
            disk: resources.disk_mb,
            networks: some(group_network(alloc, group)),
            ..LegacyResources::default()
        },
        legacy_tasks: resources
            .tasks
            .iter()
            .map(|(name, task)| {
                let view = LegacyResources {
                    cpu: task.cpu,
                    memory: task.memory_mb,
                    memory_max: task.memory_max_mb,
                    networks: some(network::allocated(&task.ports, task_network(group, name))),
                    ..LegacyResources::default()
                };
                (name.clone(), view)
            })
            .collect(),
        metrics: Some(metrics.unwrap_or_default()),
        desired: desired(alloc),
        desired_description: alloc.desired_description.clone(),
        transition: transition(state, alloc.id),
        client: state.client_status(alloc.id).into(),
        client_description: known
            .map(|status| status.client_description.clone())
            .unwrap_or_default(),
        states,
        previous: id_or_empty(alloc.previous_allocation),
        next: id_or_empty(next),
        deployment: id_or_empty(alloc.deployment_id),
        deployment_status: deployment_status(state, alloc),
        followup: id_or_empty(alloc.follow_up_eval),
        reschedule: reschedule_tracker(alloc),
        network_status: Some(NetworkStatus::default()),
        preempted: Vec::new(),
        preempted_by: String::new(),
        job,
        create_index: alloc.create,
        modify_index: alloc_index(state, alloc),
        alloc_modify_index: alloc.modify,
        create_time: alloc.create_time,
        modify_time: modify_time(alloc, known.map(|status| &status.value)),
    }
}

/// A list that is `null` without anything in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Lost is no desired status to Nomad's clients: such an alloc is wanted no more.
fn desired(alloc: &Alloc) -> Word<DesiredStatus> {
    match alloc.desired_status {
        DesiredStatus::Run => DesiredStatus::Run,
        DesiredStatus::Stop | DesiredStatus::Lost => DesiredStatus::Stop,
    }
    .into()
}

fn transition(state: &State, id: AllocId) -> DesiredTransition {
    match state.alloc_control(id) {
        Some(control) if control.stop.is_some() => DesiredTransition {
            migrate: Some(true),
            no_shutdown_delay: Some(control.no_shutdown_delay),
            ..DesiredTransition::default()
        },
        Some(_) | None => DesiredTransition::default(),
    }
}

fn deployment_status(state: &State, alloc: &Stored<Alloc>) -> Option<AllocDeploymentStatus> {
    let status = state.alloc_status(alloc.id);
    match status.and_then(|status| status.deployment_status.as_ref()) {
        Some(health) => Some(AllocDeploymentStatus {
            healthy: Some(health.healthy),
            timestamp: rfc3339_option(Some(health.timestamp)),
            canary: alloc.canary,
            modify_index: status.map_or(0, |status| status.modify),
        }),
        None => alloc.canary.then_some(AllocDeploymentStatus {
            healthy: None,
            timestamp: None,
            canary: true,
            modify_index: alloc.modify,
        }),
    }
}

fn modify_time<E>(alloc: &Alloc, status: Option<&AllocStatus<E>>) -> UnixNanos {
    status
        .map_or(0, |status| status.modify_time)
        .max(alloc.modify_time)
}

fn reschedule_tracker(alloc: &Alloc) -> Option<RescheduleTracker> {
    if alloc.reschedule_events.is_empty() {
        return None;
    }
    let events = alloc
        .reschedule_events
        .iter()
        .map(|event| RescheduleEvent {
            time: event.reschedule_time,
            previous_alloc: event.previous_alloc.to_string(),
            previous_node: event.previous_node.to_string(),
            delay: event.delay,
        })
        .collect();
    Some(RescheduleTracker { events })
}

fn task_network<'a>(group: Option<&'a TaskGroup>, task: &str) -> Option<&'a NetworkResource> {
    group?.task(task)?.resources.as_ref()?.networks.first()
}

fn group_network(alloc: &Alloc, group: Option<&TaskGroup>) -> Vec<Network> {
    let spec = group.and_then(|group| group.networks.first());
    network::allocated(&alloc.resources.ports, spec)
}

fn all_networks(alloc: &Alloc, group: Option<&TaskGroup>) -> Vec<Network> {
    let mut all = group_network(alloc, group);
    for (name, task) in &alloc.resources.tasks {
        all.extend(network::allocated(&task.ports, task_network(group, name)));
    }
    all
}

fn allocated_resources(alloc: &Alloc, job: Option<&Job>) -> AllocResources {
    let group = job.and_then(|job| job.group(alloc.task_group.as_str()));
    let tasks = alloc
        .resources
        .tasks
        .iter()
        .map(|(name, task)| {
            let view = GivenResources {
                cpu: GivenCpu {
                    shares: task.cpu,
                    reserved_cores: Vec::new(),
                },
                memory: GivenMemory {
                    memory: task.memory_mb,
                    max: task.memory_max_mb,
                },
                networks: network::allocated(&task.ports, task_network(group, name)),
                devices: Vec::new(),
            };
            (name.clone(), view)
        })
        .collect();
    let lifecycles = alloc
        .resources
        .tasks
        .keys()
        .map(|name| {
            let lifecycle = group
                .and_then(|group| group.task(name))
                .and_then(|task| task.lifecycle.clone());
            (name.clone(), lifecycle)
        })
        .collect();
    AllocResources {
        tasks,
        lifecycles,
        shared: SharedResources {
            networks: group_network(alloc, group),
            disk: alloc.resources.disk_mb,
            ports: network::ports(&alloc.resources.ports),
        },
    }
}
