//! What the store keeps of a job beside its specification.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    eval::TriggeredBy,
    ids::{EvalId, GroupName, JobKey, JobUid, Revision, UnixNanos, VersionKey},
    job::Job,
};

/// `jobs/<ns>/<job>`: which version is wanted, and the evaluation asked for. Written by the API alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Registration {
    /// This registration; a job purged and registered again gets another.
    #[serde(rename = "UID")]
    pub uid: JobUid,
    /// The current version.
    pub version: u64,
    /// Stopped by the user: nothing of it should run.
    pub stop: bool,
    /// Purged: as stopped, no longer shown, and collected as soon as nothing refers to it.
    pub purge: bool,
    /// Its allocs are stopped without the shutdown delay that it asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_shutdown_delay: bool,
    /// The evaluation this write asks for.
    pub eval: EvalRequest,
    /// How its groups were scaled by calls of their own, the newest first: at most [`MAX_SCALINGS`] in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scalings: Vec<Scaling>,
}

impl Registration {
    /// The key of its current version; `job` is whose registration it is.
    #[must_use]
    pub fn version_key(&self, job: &JobKey) -> VersionKey {
        VersionKey {
            job: job.clone(),
            uid: self.uid,
            version: self.version,
        }
    }
}

/// Scalings of a job that are kept: loops read a registration at each of its changes.
pub const MAX_SCALINGS: usize = 20;

/// One group was set to another count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scaling {
    /// The group.
    pub group: GroupName,
    /// When.
    pub time: UnixNanos,
    /// The count that was asked for.
    pub count: u64,
    /// The count before.
    pub previous: u64,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// More of that, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
    /// The evaluation that it asked for.
    #[serde(rename = "EvalID")]
    pub eval: EvalId,
    /// The job's version that came of it.
    pub version: u64,
}

/// The evaluation that a write to a job asks for: its id is fixed here, so that it is minted once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EvalRequest {
    /// The id it will have.
    #[serde(rename = "ID")]
    pub id: EvalId,
    /// Why.
    pub triggered_by: TriggeredBy,
    /// Its priority (1–100), by default the job's.
    pub priority: i32,
    /// When it was asked for.
    pub create_time: UnixNanos,
}

/// `job-versions/<ns>/<job>/<uid>/<version>`: an immutable specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobVersion {
    /// The canonical job, with `Version`, `SubmitTime` and `Stop` of this version.
    pub job: Job,
}

/// `job-evaluated/<ns>/<job>`: the last evaluation made for a job. Written by the job loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobEvaluated {
    /// The registration it was made for.
    #[serde(rename = "UID")]
    pub uid: JobUid,
    /// The evaluation.
    #[serde(rename = "EvalID")]
    pub eval: EvalId,
    /// The revision the decision was made on.
    pub snapshot: Revision,
}

/// `job-stable/<ns>/<job>`: versions that ran healthy. Written by the deployment loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobStable {
    /// The registration they belong to.
    #[serde(rename = "UID")]
    pub uid: JobUid,
    /// The versions.
    pub versions: BTreeSet<u64>,
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Nothing of it was placed yet, and an evaluation is open.
    Pending,
    /// It has live allocs, or waits for its next launch.
    Running,
    /// All that was to be done is done, or it was stopped.
    Dead,
}

/// `job-collected/<ns>/<job>`: how many allocs gc removed, so that a job's summary does not forget them. Written by
/// gc in the transaction that removes the allocs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobCollected {
    /// The registration the counts belong to.
    #[serde(rename = "UID")]
    pub uid: Option<JobUid>,
    /// Counts by task group.
    pub groups: BTreeMap<GroupName, CollectedCounts>,
}

/// Allocs of a task group that were collected, by their last status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CollectedCounts {
    /// Ended well.
    pub complete: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Lost with their node.
    pub lost: u64,
}
