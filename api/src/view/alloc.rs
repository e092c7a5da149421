//! Allocs.

use std::collections::BTreeMap;

use rove_controllers::facts::{self, alloc_index};
use rove_model::{
    alloc::{Alloc, AllocStatus, ClientStatus, DesiredStatus, TaskState},
    ids::{AllocId, JobKey, Revision, UnixNanos},
    job::{Job, TaskGroup},
};
use rove_store::state::{State, Stored};
use serde::Serialize;
use serde_json::{Value, json};

use super::{id_or_empty, network, task_state::task_states};
use crate::time::rfc3339_option;

/// An alloc in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AllocStub {
    #[serde(rename = "ID")]
    id: AllocId,
    #[serde(rename = "EvalID")]
    eval_id: String,
    name: String,
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    node_name: String,
    #[serde(rename = "JobID")]
    job_id: String,
    job_type: &'static str,
    job_version: u64,
    task_group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_resources: Option<Value>,
    desired_status: &'static str,
    desired_description: String,
    client_status: ClientStatus,
    client_description: String,
    desired_transition: DesiredTransition,
    task_states: Value,
    deployment_status: Option<DeploymentStatusView>,
    #[serde(rename = "FollowupEvalID")]
    follow_up_eval: String,
    next_allocation: String,
    reschedule_tracker: Option<Value>,
    preempted_allocations: Option<()>,
    preempted_by_allocation: &'static str,
    create_index: Revision,
    modify_index: Revision,
    create_time: UnixNanos,
    modify_time: UnixNanos,
}

/// What users and drains asked of an alloc.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DesiredTransition {
    migrate: Option<bool>,
    reschedule: Option<bool>,
    force_reschedule: Option<bool>,
    no_shutdown_delay: Option<bool>,
}

/// An alloc's part in its deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeploymentStatusView {
    healthy: Option<bool>,
    timestamp: Option<String>,
    canary: bool,
    modify_index: Revision,
}

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

impl AllocStub {
    /// `status` is what is known of the alloc, with task events where they are to be shown.
    pub(crate) fn of(
        state: &State,
        alloc: &Stored<Alloc>,
        next: Option<AllocId>,
        status: Option<&AllocStatus>,
        options: ListOptions,
    ) -> Self {
        let version = state.job_version(&alloc.version_key());
        Self {
            id: alloc.id,
            eval_id: alloc.eval_id.to_string(),
            name: alloc.name(),
            namespace: alloc.namespace.to_string(),
            node_id: alloc.node_id.to_string(),
            node_name: alloc.node_name.clone(),
            job_id: alloc.job_id.to_string(),
            job_type: version.map_or("", |version| version.job.job_type().name()),
            job_version: alloc.job_version,
            task_group: alloc.task_group.to_string(),
            allocated_resources: options
                .resources
                .then(|| allocated_resources(alloc, version.map(|version| &version.job))),
            desired_status: desired(alloc),
            desired_description: alloc.desired_description.clone(),
            client_status: state.client_status(alloc.id),
            client_description: status
                .map(|status| status.client_description.clone())
                .unwrap_or_default(),
            desired_transition: transition(state, alloc.id),
            task_states: match status {
                Some(status) if options.task_states => task_states(&status.task_states),
                _ => Value::Null,
            },
            deployment_status: deployment_status(state, alloc),
            follow_up_eval: id_or_empty(alloc.follow_up_eval),
            next_allocation: id_or_empty(next),
            reschedule_tracker: reschedule_tracker(alloc),
            preempted_allocations: None,
            preempted_by_allocation: "",
            create_index: alloc.create,
            modify_index: alloc_index(state, alloc),
            create_time: alloc.create_time,
            modify_time: modify_time(alloc, status),
        }
    }
}

/// What the store keeps of an alloc beyond what State does.
#[derive(Debug, Default)]
pub(crate) struct FromStore {
    /// The alloc with its metrics.
    pub(crate) alloc: Option<Alloc>,
    /// The status with its task events.
    pub(crate) status: Option<AllocStatus>,
}

/// One alloc in full.
pub(crate) fn full(state: &State, alloc: &Stored<Alloc>, more: &FromStore) -> Value {
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
    let states: Option<&BTreeMap<String, TaskState>> = more
        .status
        .as_ref()
        .map(|status| &status.task_states)
        .or_else(|| known.map(|status| &status.task_states));
    let shared_network = group_network(alloc, group);
    let metrics = more
        .alloc
        .as_ref()
        .map_or(&alloc.metrics, |alloc| &alloc.metrics);
    let next = successors(state, &alloc.job()).remove(&alloc.id);
    let resources = &alloc.resources;
    json!({
        "ID": alloc.id,
        "Namespace": alloc.namespace,
        "EvalID": alloc.eval_id,
        "Name": alloc.name(),
        "NodeID": alloc.node_id,
        "NodeName": alloc.node_name,
        "JobID": alloc.job_id,
        "TaskGroup": alloc.task_group,
        "AllocatedResources": allocated_resources(alloc, job.as_ref()),
        "Resources": legacy(
            resources.cpu(),
            resources.memory_mb(),
            resources.tasks.values().map(|task| task.memory_max_mb.max(task.memory_mb)).sum(),
            resources.disk_mb,
            all_networks(alloc, group),
        ),
        "SharedResources": legacy(0, 0, 0, resources.disk_mb, shared_network),
        "TaskResources": resources.tasks.iter().map(|(name, task)| {
            let networks = network::allocated(&task.ports, task_network(group, name), "");
            (name.clone(), legacy(task.cpu, task.memory_mb, task.memory_max_mb, 0, networks))
        }).collect::<Value>(),
        "Metrics": metrics,
        "DesiredStatus": desired(alloc),
        "DesiredDescription": alloc.desired_description,
        "DesiredTransition": transition(state, alloc.id),
        "ClientStatus": state.client_status(alloc.id),
        "ClientDescription": known.map_or("", |status| status.client_description.as_str()),
        "TaskStates": states.map_or(Value::Null, task_states),
        "PreviousAllocation": id_or_empty(alloc.previous_allocation),
        "NextAllocation": id_or_empty(next),
        "DeploymentID": id_or_empty(alloc.deployment_id),
        "DeploymentStatus": deployment_status(state, alloc),
        "FollowupEvalID": id_or_empty(alloc.follow_up_eval),
        "RescheduleTracker": reschedule_tracker(alloc),
        "NetworkStatus": {"InterfaceName": "", "Address": "", "DNS": null},
        "PreemptedAllocations": null,
        "PreemptedByAllocation": "",
        "Job": job,
        "CreateIndex": alloc.create,
        "ModifyIndex": alloc_index(state, alloc),
        "AllocModifyIndex": alloc.modify,
        "CreateTime": alloc.create_time,
        "ModifyTime": modify_time(alloc, known.map(|status| &status.value)),
    })
}

/// Lost is no desired status to Nomad's clients: such an alloc is wanted no more.
fn desired(alloc: &Alloc) -> &'static str {
    match alloc.desired_status {
        DesiredStatus::Run => "run",
        DesiredStatus::Stop | DesiredStatus::Lost => "stop",
    }
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

fn deployment_status(state: &State, alloc: &Stored<Alloc>) -> Option<DeploymentStatusView> {
    let status = state.alloc_status(alloc.id);
    match status.and_then(|status| status.deployment_status.as_ref()) {
        Some(health) => Some(DeploymentStatusView {
            healthy: Some(health.healthy),
            timestamp: rfc3339_option(Some(health.timestamp)),
            canary: alloc.canary,
            modify_index: status.map_or(0, |status| status.modify),
        }),
        None => alloc.canary.then_some(DeploymentStatusView {
            healthy: None,
            timestamp: None,
            canary: true,
            modify_index: alloc.modify,
        }),
    }
}

fn modify_time(alloc: &Alloc, status: Option<&AllocStatus>) -> UnixNanos {
    status
        .map_or(0, |status| status.modify_time)
        .max(alloc.modify_time)
}

fn reschedule_tracker(alloc: &Alloc) -> Option<Value> {
    if alloc.reschedule_events.is_empty() {
        return None;
    }
    let events: Vec<Value> = alloc
        .reschedule_events
        .iter()
        .map(|event| {
            json!({
                "RescheduleTime": event.reschedule_time,
                "PrevAllocID": event.previous_alloc,
                "PrevNodeID": event.previous_node,
                "Delay": event.delay,
            })
        })
        .collect();
    Some(json!({"Events": events}))
}

fn task_network<'a>(
    group: Option<&'a TaskGroup>,
    task: &str,
) -> Option<&'a rove_model::job::NetworkResource> {
    group?.task(task)?.resources.as_ref()?.networks.first()
}

fn group_network(alloc: &Alloc, group: Option<&TaskGroup>) -> Value {
    let spec = group.and_then(|group| group.networks.first());
    network::allocated(&alloc.resources.ports, spec, "")
}

fn all_networks(alloc: &Alloc, group: Option<&TaskGroup>) -> Value {
    let mut all = Vec::new();
    let mut take = |networks: Value| {
        if let Value::Array(networks) = networks {
            all.extend(networks);
        }
    };
    take(group_network(alloc, group));
    for (name, task) in &alloc.resources.tasks {
        take(network::allocated(
            &task.ports,
            task_network(group, name),
            "",
        ));
    }
    if all.is_empty() {
        Value::Null
    } else {
        all.into()
    }
}

fn allocated_resources(alloc: &Alloc, job: Option<&Job>) -> Value {
    let group = job.and_then(|job| job.group(alloc.task_group.as_str()));
    let tasks: Value = alloc
        .resources
        .tasks
        .iter()
        .map(|(name, task)| {
            let view = json!({
                "Cpu": {"CpuShares": task.cpu, "ReservedCores": null},
                "Memory": {"MemoryMB": task.memory_mb, "MemoryMaxMB": task.memory_max_mb},
                "Networks": network::allocated(&task.ports, task_network(group, name), ""),
                "Devices": null,
            });
            (name.clone(), view)
        })
        .collect();
    let lifecycles: Value = alloc
        .resources
        .tasks
        .keys()
        .map(|name| {
            let lifecycle = group
                .and_then(|group| group.task(name))
                .and_then(|task| task.lifecycle.as_ref());
            (name.clone(), json!(lifecycle))
        })
        .collect();
    json!({
        "Tasks": tasks,
        "TaskLifecycles": lifecycles,
        "Shared": {
            "Networks": group_network(alloc, group),
            "DiskMB": alloc.resources.disk_mb,
            "Ports": network::ports(&alloc.resources.ports),
        },
    })
}

/// Resources in the shape of 2017, which web pages still read.
fn legacy(cpu: u64, memory_mb: u64, memory_max_mb: u64, disk_mb: u64, networks: Value) -> Value {
    json!({
        "CPU": cpu, "Cores": 0, "MemoryMB": memory_mb, "MemoryMaxMB": memory_max_mb, "DiskMB": disk_mb, "IOPS": 0,
        "Networks": networks, "Devices": null,
    })
}
