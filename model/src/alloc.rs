//! Allocs: what is wanted on a node, and what its agent observed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::{
    eval::AllocMetric,
    ids::{
        AllocId, DeploymentId, EvalId, GroupName, JobId, JobKey, JobUid, Namespace, NodeId,
        Revision, UnixNanos, VersionKey,
    },
};

/// What is wanted of an alloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredStatus {
    /// Run it.
    Run,
    /// Stop it.
    Stop,
    /// Its node is gone: replaced elsewhere; the agent stops it should it come back.
    Lost,
}

/// What is known of an alloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    /// Not started yet.
    Pending,
    /// At least one task runs.
    Running,
    /// All tasks ended well or were stopped.
    Complete,
    /// A task failed for good.
    Failed,
    /// Its node is gone.
    Lost,
}

impl ClientStatus {
    /// Whether the tasks are over.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Complete | Self::Failed | Self::Lost => true,
        }
    }
}

/// What a stored value has and a copy of it does not: it can be read, from anything, and not be written, so that a value
/// with a part left out is never stored in the place of the whole one.
///
/// ```compile_fail,E0277
/// # use rove_model::{alloc::Alloc, encoding::encode};
/// fn store(of_state: &Alloc) -> Vec<u8> {
///     encode(of_state).unwrap()
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut;

impl<'de> Deserialize<'de> for LeftOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// An alloc as it is stored under `allocs/<node>/<id>`. Written by the applier alone.
pub type PlacedAlloc = Alloc<AllocMetric>;

/// What is wanted of an alloc: as it is stored ([`PlacedAlloc`]), or without what the scheduler saw, as State and agents
/// hold it, which can't be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "PascalCase",
    bound(deserialize = "M: Deserialize<'de> + Default")
)]
pub struct Alloc<M = LeftOut> {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: AllocId,
    /// The evaluation that placed or last changed it.
    #[serde(rename = "EvalID")]
    pub eval_id: EvalId,
    /// Where it runs.
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    /// That node's name.
    pub node_name: String,
    /// The job's namespace.
    pub namespace: Namespace,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    /// The registration.
    #[serde(rename = "JobUID")]
    pub job_uid: JobUid,
    /// The version it runs.
    pub job_version: u64,
    /// The task group.
    pub task_group: GroupName,
    /// Its number within the group, from 0.
    pub index: u32,
    /// What it may use, and its ports.
    pub resources: AllocResources,
    /// What is wanted.
    pub desired_status: DesiredStatus,
    /// Why it is stopped or lost.
    #[serde(default)]
    pub desired_description: String,
    /// It is stopped without the shutdown delay that its job asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_shutdown_delay: bool,
    /// The deployment it was placed in or updated by.
    #[serde(
        rename = "DeploymentID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
    /// Placed as a canary of that deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The one it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_allocation: Option<AllocId>,
    /// The evaluation that will reschedule it, set when it failed and must wait.
    #[serde(
        rename = "FollowupEvalID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub follow_up_eval: Option<EvalId>,
    /// Former reschedules of this index, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reschedule_events: Vec<RescheduleEvent>,
    /// What the scheduler saw.
    #[serde(default)]
    pub metrics: M,
    /// When it was placed.
    pub create_time: UnixNanos,
    /// When what is wanted last changed.
    pub modify_time: UnixNanos,
}

impl<M> Alloc<M> {
    /// The same alloc with `metrics` for what the scheduler saw.
    #[must_use]
    pub fn with_metrics<N>(self, metrics: N) -> Alloc<N> {
        let Self {
            id,
            eval_id,
            node_id,
            node_name,
            namespace,
            job_id,
            job_uid,
            job_version,
            task_group,
            index,
            resources,
            desired_status,
            desired_description,
            no_shutdown_delay,
            deployment_id,
            canary,
            previous_allocation,
            follow_up_eval,
            reschedule_events,
            metrics: _,
            create_time,
            modify_time,
        } = self;
        Alloc {
            id,
            eval_id,
            node_id,
            node_name,
            namespace,
            job_id,
            job_uid,
            job_version,
            task_group,
            index,
            resources,
            desired_status,
            desired_description,
            no_shutdown_delay,
            deployment_id,
            canary,
            previous_allocation,
            follow_up_eval,
            reschedule_events,
            metrics,
            create_time,
            modify_time,
        }
    }

    /// `<job>.<group>[<index>]`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}[{}]", self.job_id, self.task_group, self.index)
    }

    /// The job it belongs to.
    #[must_use]
    pub fn job(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }

    /// The specification it runs.
    #[must_use]
    pub fn version_key(&self) -> VersionKey {
        VersionKey {
            job: self.job(),
            uid: self.job_uid,
            version: self.job_version,
        }
    }
}

/// One reschedule of an alloc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RescheduleEvent {
    /// When.
    pub reschedule_time: UnixNanos,
    /// The alloc that failed.
    #[serde(rename = "PrevAllocID")]
    pub previous_alloc: AllocId,
    /// Its node.
    #[serde(rename = "PrevNodeID")]
    pub previous_node: NodeId,
    /// The delay that was waited, in ns.
    pub delay: i64,
}

/// What an alloc may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocResources {
    /// By task.
    pub tasks: BTreeMap<String, TaskResources>,
    /// Disk for the alloc directory, in MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// Ports of the group's networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AllocatedPort>,
}

/// What one task may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskResources {
    /// CPU in MHz.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// The most memory it may use when there is some to spare, in MiB; 0 means `memory_mb`.
    #[serde(rename = "MemoryMaxMB", default)]
    pub memory_max_mb: u64,
    /// Ports of the task's own (2017) network block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AllocatedPort>,
}

/// A host port that was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocatedPort {
    /// Its label.
    pub label: String,
    /// The port on the host.
    pub value: u16,
    /// The port inside the task's network; 0 when the same.
    pub to: u16,
    /// The address on the host.
    #[serde(rename = "HostIP")]
    pub host_ip: String,
    /// Chosen by the scheduler, not by the job.
    #[serde(default)]
    pub dynamic: bool,
}

impl AllocResources {
    /// CPU of all tasks, in MHz.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        self.tasks.values().map(|task| task.cpu).sum()
    }

    /// Memory of all tasks, in MiB.
    #[must_use]
    pub fn memory_mb(&self) -> u64 {
        self.tasks.values().map(|task| task.memory_mb).sum()
    }

    /// Every port, the group's first.
    pub fn all_ports(&self) -> impl Iterator<Item = &AllocatedPort> {
        self.ports
            .iter()
            .chain(self.tasks.values().flat_map(|task| &task.ports))
    }
}

/// A status as State holds it: without the tasks' events, so that it can't be stored. Who shows them asks the store.
pub type KnownStatus = AllocStatus<LeftOut>;

/// `alloc-status/<node>/<id>`: what the node's agent observed. Written by that agent alone. `E` is what is held of the
/// tasks' events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "PascalCase",
    bound(
        serialize = "E: Serialize + Default + PartialEq",
        deserialize = "E: Deserialize<'de> + Default"
    )
)]
pub struct AllocStatus<E = Vec<TaskEvent>> {
    /// The alloc.
    #[serde(rename = "ID")]
    pub id: AllocId,
    /// What is known.
    pub client_status: ClientStatus,
    /// In words, as `Tasks are running`.
    #[serde(default)]
    pub client_description: String,
    /// By task.
    #[serde(default)]
    pub task_states: BTreeMap<String, TaskState<E>>,
    /// Health for the deployment, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_status: Option<AllocHealth>,
    /// The job version it reports on: an in-place update is taken over when this equals the wanted one.
    #[serde(default)]
    pub job_version: u64,
    /// Newest revision of `allocs/<node>/<id>` that the agent had seen.
    #[serde(default)]
    pub alloc_modify_index: Revision,
    /// When it last changed.
    pub modify_time: UnixNanos,
}

/// Whether an alloc counts as healthy in its deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocHealth {
    /// The verdict.
    pub healthy: bool,
    /// When it was reached.
    pub timestamp: UnixNanos,
    /// The deployment it was reached for.
    #[serde(
        rename = "DeploymentID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskLifeState {
    /// Waits to start or to start again.
    Pending,
    /// Runs.
    Running,
    /// Over.
    Dead,
}

/// What is known of a task; `E` is what is held of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "PascalCase",
    bound(
        serialize = "E: Serialize + Default + PartialEq",
        deserialize = "E: Deserialize<'de> + Default"
    )
)]
pub struct TaskState<E = Vec<TaskEvent>> {
    /// Where it is.
    pub state: TaskLifeState,
    /// It failed for good.
    #[serde(default)]
    pub failed: bool,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u64,
    /// When it was last started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<UnixNanos>,
    /// When it last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<UnixNanos>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<UnixNanos>,
    /// What happened, oldest first, at most ten.
    #[serde(default, skip_serializing_if = "is_default")]
    pub events: E,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Something that happened to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskEvent {
    /// When.
    pub time: UnixNanos,
    /// What, in the words of `alloc status`: `Received`, `Task Setup`, `Started`, `Terminated`, …
    #[serde(rename = "Type")]
    pub kind: TaskEventKind,
    /// What is shown to people.
    #[serde(default)]
    pub display_message: String,
    /// Facts by name (`exit_code`, `signal`, `restart_reason`, `oom_killed`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// The kinds of task events, in the words of Nomad's API. An agent of a later version may know more of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskEventKind {
    /// The agent took the task over.
    Received,
    /// Its directory was built.
    #[serde(rename = "Task Setup")]
    TaskSetup,
    /// It could not be set up.
    #[serde(rename = "Setup Failure")]
    SetupFailure,
    /// Its driver refused it.
    #[serde(rename = "Driver Failure")]
    DriverFailure,
    /// A word from its driver, as the progress of a pull.
    Driver,
    /// It started.
    Started,
    /// It ended.
    Terminated,
    /// It will be started again.
    Restarting,
    /// It will not be started again.
    #[serde(rename = "Not Restarting")]
    NotRestarting,
    /// It was asked to stop.
    Killing,
    /// It stopped.
    Killed,
    /// A sibling failed, so it was stopped.
    #[serde(rename = "Sibling Task Failed")]
    SiblingFailed,
    /// The leader of its group ended, so it was stopped.
    #[serde(rename = "Leader Task Dead")]
    LeaderDead,
    /// The tasks that it served ended, so it was stopped.
    #[serde(rename = "Main Tasks Dead")]
    MainDead,
    /// A signal was sent to it.
    Signaling,
    /// A user asked for its restart.
    #[serde(rename = "Restart Signaled")]
    RestartSignaled,
    /// The alloc did not become healthy in time.
    #[serde(rename = "Alloc Unhealthy")]
    AllocUnhealthy,
    /// Artifacts are being fetched.
    #[serde(rename = "Downloading Artifacts")]
    DownloadingArtifacts,
    /// An artifact could not be fetched.
    #[serde(rename = "Failed Artifact Download")]
    FailedArtifactDownload,
    /// One that this rove doesn't know, in its own words.
    #[serde(untagged)]
    Other(String),
}

/// `alloc-control/<node>/<id>`: what a user asked of one alloc. Written by the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocControl {
    /// The user asked for it to be stopped and replaced; the evaluation asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<EvalId>,
    /// Without the shutdown delay that its job asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_shutdown_delay: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_an_event_of_a_kind_that_is_not_known_is_read_and_keeps_its_words() {
        for (word, kind) in [
            ("Started", TaskEventKind::Started),
            ("Task Setup", TaskEventKind::TaskSetup),
            ("Frozen", TaskEventKind::Other("Frozen".to_owned())),
            ("", TaskEventKind::Other(String::new())),
        ] {
            let event = format!(r#"{{"Time":1,"Type":"{word}","DisplayMessage":"m"}}"#);
            let event: TaskEvent = serde_json::from_str(&event).expect("it is read");
            assert_eq!(event.kind, kind, "{word}");
            let again = serde_json::to_value(&event).expect("it is written");
            assert_eq!(again["Type"], word);
        }
        let no_word = r#"{"Time":1,"Type":7}"#;
        assert!(serde_json::from_str::<TaskEvent>(no_word).is_err());
    }
}
