//! Deployments: the roll-out of one job version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{
    AllocId, DeploymentId, EvalId, GroupName, JobId, JobKey, JobUid, Namespace, Revision, UnixNanos,
};

/// Where a deployment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    /// Under way.
    Running,
    /// Held by a user.
    Paused,
    /// Every group is healthy.
    Successful,
    /// Given up.
    Failed,
    /// Made superfluous by a newer version or a stop.
    Cancelled,
}

impl DeploymentStatus {
    /// Whether it still goes on.
    #[must_use]
    pub fn is_active(self) -> bool {
        match self {
            Self::Running | Self::Paused => true,
            Self::Successful | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// `deployments/<id>`: intent and status; the counts are computed from the allocs. Created by the applier with the
/// plan, updated by the deployment loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deployment {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: DeploymentId,
    /// The job's namespace.
    pub namespace: Namespace,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    /// The registration.
    #[serde(rename = "JobUID")]
    pub job_uid: JobUid,
    /// The version rolled out.
    pub job_version: u64,
    /// JobModifyIndex of that version.
    pub job_modify_index: Revision,
    /// Where it is.
    pub status: DeploymentStatus,
    /// In words.
    pub status_description: String,
    /// By task group.
    pub task_groups: BTreeMap<GroupName, DeploymentGroup>,
    /// Priority of its evaluations.
    pub eval_priority: i32,
    /// The last evaluation the deployment loop asked for.
    #[serde(rename = "EvalID", default, skip_serializing_if = "Option::is_none")]
    pub eval_id: Option<EvalId>,
    /// When it was made.
    pub create_time: UnixNanos,
    /// When it last changed.
    pub modify_time: UnixNanos,
}

impl Deployment {
    /// The job it belongs to.
    #[must_use]
    pub fn job(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }
}

/// What a deployment intends for one task group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeploymentGroup {
    /// Revert to the last stable version when it fails.
    pub auto_revert: bool,
    /// Promote when all canaries are healthy.
    pub auto_promote: bool,
    /// Its canaries were promoted; without canaries it stays false.
    pub promoted: bool,
    /// Canaries wanted.
    pub desired_canaries: u32,
    /// Allocs wanted.
    pub desired_total: u32,
    /// Longest time without a newly healthy alloc, in ns; 0 means none is set.
    pub progress_deadline: i64,
    /// The point in time of that deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_progress_by: Option<UnixNanos>,
    /// What it had come to when the deployment ended; absent while it goes on, when the allocs tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<DeploymentCounts>,
}

/// What the allocs of a deployment's group came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentCounts {
    /// Allocs that were placed for it.
    pub placed: u64,
    /// Those of them that were found healthy.
    pub healthy: u64,
    /// Those that were found unhealthy.
    pub unhealthy: u64,
    /// Those that try the version out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<AllocId>,
}
