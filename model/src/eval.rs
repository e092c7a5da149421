//! Evaluations: why a job is looked at, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{
        DeploymentId, EvalId, GroupName, JobId, JobKey, JobUid, Namespace, NodeId, Revision,
        UnixNanos,
    },
    job::JobType,
};

/// Why an evaluation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggeredBy {
    /// A job was registered or changed.
    JobRegister,
    /// A job was stopped or purged.
    JobDeregister,
    /// A job's count was set through the scale call.
    JobScaling,
    /// A periodic job's time came.
    PeriodicJob,
    /// A node went down, came back or changed.
    NodeUpdate,
    /// A node is being drained.
    NodeDrain,
    /// An alloc was asked to stop.
    AllocStop,
    /// An alloc failed and is to be rescheduled.
    AllocFailure,
    /// Allocs that did not fit wait for room.
    QueuedAllocs,
    /// A deployment went a step on.
    DeploymentWatcher,
    /// The plan was refused too often.
    MaxPlanAttempts,
    /// The next allocs of a rolling update are due.
    RollingUpdate,
}

/// Where an evaluation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvalStatus {
    /// To be scheduled, now or at `WaitUntil`.
    Pending,
    /// Waits for capacity.
    Blocked,
    /// Done.
    Complete,
    /// Given up.
    Failed,
    /// Made superfluous by a newer one.
    Canceled,
}

impl EvalStatus {
    /// Whether nothing will change it any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Blocked => false,
            Self::Complete | Self::Failed | Self::Canceled => true,
        }
    }
}

/// `evals/<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Eval {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: EvalId,
    /// The job's namespace.
    pub namespace: Namespace,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    /// The registration it was made for.
    #[serde(rename = "JobUID")]
    pub job_uid: JobUid,
    /// The job's type: which scheduler decides.
    #[serde(rename = "Type")]
    pub job_type: JobType,
    /// 1–100, higher first.
    pub priority: i32,
    /// Why.
    pub triggered_by: TriggeredBy,
    /// Where it is.
    pub status: EvalStatus,
    /// In words.
    #[serde(default)]
    pub status_description: String,
    /// The node whose change caused it.
    #[serde(rename = "NodeID", default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// The deployment it belongs to.
    #[serde(
        rename = "DeploymentID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
    /// JobModifyIndex of the version it was made for.
    #[serde(default)]
    pub job_modify_index: Revision,
    /// The revision of the state it was last decided on.
    #[serde(rename = "SnapshotIndex", default)]
    pub snapshot: Revision,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<UnixNanos>,
    /// The one it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_eval: Option<EvalId>,
    /// The one that follows at a set time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_eval: Option<EvalId>,
    /// The blocked one made for what did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_eval: Option<EvalId>,
    /// Why allocs of a group could not be placed.
    #[serde(
        rename = "FailedTGAllocs",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub failed_groups: BTreeMap<GroupName, AllocMetric>,
    /// Computed node classes that were looked at: can they hold the job at all? A class that is absent was not seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub class_eligibility: BTreeMap<String, bool>,
    /// Allocs per group that still wait for a place.
    #[serde(default)]
    pub queued_allocations: BTreeMap<GroupName, u64>,
    /// How often the applier refused its plan.
    #[serde(default)]
    pub plan_refusals: u32,
    /// When it was made.
    pub create_time: UnixNanos,
    /// When it last changed.
    pub modify_time: UnixNanos,
}

impl Eval {
    /// A pending evaluation of a job, with nothing decided yet. `job_modify_index` is that of the version it is made
    /// for.
    #[must_use]
    pub fn new(
        id: EvalId,
        job: &JobKey,
        job_uid: JobUid,
        job_type: JobType,
        job_modify_index: Revision,
        asked: Asked,
    ) -> Self {
        Self {
            id,
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            job_uid,
            job_type,
            priority: asked.priority,
            triggered_by: asked.triggered_by,
            status: EvalStatus::Pending,
            status_description: String::new(),
            node_id: None,
            deployment_id: None,
            job_modify_index,
            snapshot: 0,
            wait_until: None,
            previous_eval: None,
            next_eval: None,
            blocked_eval: None,
            failed_groups: BTreeMap::new(),
            class_eligibility: BTreeMap::new(),
            queued_allocations: BTreeMap::new(),
            plan_refusals: 0,
            create_time: asked.at,
            modify_time: asked.at,
        }
    }

    /// A pending evaluation of the same job that follows from this one.
    #[must_use]
    pub fn following(&self, id: EvalId, triggered_by: TriggeredBy, at: UnixNanos) -> Self {
        let asked = Asked {
            triggered_by,
            priority: self.priority,
            at,
        };
        Self {
            snapshot: self.snapshot,
            previous_eval: Some(self.id),
            ..Self::new(
                id,
                &self.job(),
                self.job_uid,
                self.job_type,
                self.job_modify_index,
                asked,
            )
        }
    }

    /// The job it is for.
    #[must_use]
    pub fn job(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }
}

/// Why an evaluation is made, how urgent it is, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Why.
    pub triggered_by: TriggeredBy,
    /// 1–100, higher first.
    pub priority: i32,
    /// When.
    pub at: UnixNanos,
}

/// What the scheduler saw while it looked for a place; kept with the alloc, or with the eval when it found none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocMetric {
    /// Nodes looked at.
    pub nodes_evaluated: u64,
    /// Nodes ruled out by a constraint or a missing driver.
    pub nodes_filtered: u64,
    /// Nodes in the job's node pool.
    pub nodes_in_pool: u64,
    /// Nodes without enough room.
    pub nodes_exhausted: u64,
    /// Ready nodes by datacenter.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub nodes_available: BTreeMap<String, u64>,
    /// Ruled-out nodes by node class.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub class_filtered: BTreeMap<String, u64>,
    /// Ruled-out nodes by the constraint's text.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub constraint_filtered: BTreeMap<String, u64>,
    /// Full nodes by node class.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub class_exhausted: BTreeMap<String, u64>,
    /// Full nodes by what was missing (`cpu`, `memory`, `disk`, `network: port collision`, …).
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub dimension_exhausted: BTreeMap<String, u64>,
    /// What was missing, by task.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub resources_exhausted: BTreeMap<String, ExhaustedResources>,
    /// Further allocs of the group that failed for the same reason.
    pub coalesced_failures: u64,
    /// Nanoseconds the search took; 0 where the decision has no clock.
    pub allocation_time: i64,
    /// The best nodes and their scores, at most five.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub score_meta_data: Vec<NodeScore>,
    /// What keeps nodes out, in whole sentences: which datacenters, pools and drivers there are, and what to do. Of
    /// rove alone.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::job::null_as_default"
    )]
    pub causes: Vec<String>,
}

/// What a task asked for in the dimensions that no node had enough of, all failed allocs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExhaustedResources {
    /// CPU in MHz.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
}

/// The scores of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeScore {
    /// The node.
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    /// Scores by the ranker's name (`binpack`, `job-anti-affinity`, …).
    pub scores: BTreeMap<String, f64>,
    /// Their mean: what decides.
    pub norm_score: f64,
}
