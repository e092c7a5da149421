//! Plans: what the scheduler decided and the applier has yet to write.

use serde::{Deserialize, Serialize};

use crate::{
    alloc::{DesiredStatus, PlacedAlloc},
    deployment::{Deployment, DeploymentStatus},
    eval::Eval,
    ids::{AllocId, DeploymentId, EvalId, JobId, JobKey, JobUid, Namespace, NodeId, Revision},
};

/// The most placements a plan holds; a larger job takes its turn again.
pub const MAX_PLACEMENTS: usize = 1_000;

/// `plans/<eval>`: written by the scheduler, removed by the applier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Plan {
    /// The evaluation as it shall stand when the plan is applied.
    pub eval: Eval,
    /// The job's namespace.
    pub namespace: Namespace,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    /// The registration it was decided for.
    #[serde(rename = "JobUID")]
    pub job_uid: JobUid,
    /// The revision it was decided on.
    pub snapshot: Revision,
    /// New allocs, ids and ports included.
    #[serde(default)]
    pub placements: Vec<PlacedAlloc>,
    /// Allocs to stop or to declare lost.
    #[serde(default)]
    pub stops: Vec<PlannedStop>,
    /// Allocs that take a new version over without a restart.
    #[serde(default)]
    pub in_place: Vec<InPlaceUpdate>,
    /// A deployment to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// Older deployments to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployment_ends: Vec<DeploymentEnd>,
    /// Evaluations to create: the blocked one, follow-ups at a set time, the job's next turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<Eval>,
    /// Blocked evaluations of the job that this one makes superfluous.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancels: Vec<EvalId>,
}

impl Plan {
    /// The job it is for.
    #[must_use]
    pub fn job(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }
}

/// An alloc to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PlannedStop {
    /// The alloc.
    #[serde(rename = "AllocID")]
    pub alloc_id: AllocId,
    /// Its node.
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    /// `Stop` or `Lost`; `Run` when only `follow_up_eval` is noted on a failed alloc.
    pub desired_status: DesiredStatus,
    /// Why; `None` when it isn't stopped.
    #[serde(rename = "DesiredDescription", with = "reason_text")]
    pub reason: Option<StopReason>,
    /// The evaluation that will replace it later.
    #[serde(
        rename = "FollowupEvalID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub follow_up_eval: Option<EvalId>,
}

/// Why an alloc is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The job wants fewer, or none at all.
    NotNeeded,
    /// It moves to another node.
    Migrating,
    /// One of the new version takes its place.
    Updating,
    /// It failed, and another one takes its place.
    Rescheduled,
    /// Its node is down.
    Lost,
}

impl StopReason {
    const ALL: [Self; 5] = [
        Self::NotNeeded,
        Self::Migrating,
        Self::Updating,
        Self::Rescheduled,
        Self::Lost,
    ];

    /// As the API writes it: tools match these sentences.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotNeeded => "alloc not needed due to job update",
            Self::Migrating => "alloc is being migrated",
            Self::Updating => "alloc is being updated due to job update",
            Self::Rescheduled => "alloc was rescheduled because it failed",
            Self::Lost => "alloc is lost since its node is down",
        }
    }

    /// Whether it is stopped only for the alloc that replaces it, and goes on while there is no place for that.
    #[must_use]
    pub fn makes_way(self) -> bool {
        match self {
            Self::Updating | Self::Rescheduled => true,
            Self::NotNeeded | Self::Migrating | Self::Lost => false,
        }
    }
}

/// A reason as its sentence; empty for none.
mod reason_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::StopReason;

    pub(super) fn serialize<S: Serializer>(
        reason: &Option<StopReason>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(reason.map_or("", StopReason::text))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<StopReason>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        StopReason::ALL
            .into_iter()
            .find(|reason| reason.text() == text)
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("no reason for a stop: {text:?}")))
    }
}

/// An alloc that takes a new job version over as it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InPlaceUpdate {
    /// The alloc.
    #[serde(rename = "AllocID")]
    pub alloc_id: AllocId,
    /// Its node.
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    /// The version it takes over.
    pub job_version: u64,
    /// The deployment it then belongs to.
    #[serde(
        rename = "DeploymentID",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
}

/// A deployment to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeploymentEnd {
    /// The deployment.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: DeploymentId,
    /// How it ends.
    pub status: DeploymentStatus,
    /// In words.
    pub status_description: String,
}

/// What an evaluation wants to do to the allocs of one task group: what `job plan` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredUpdates {
    /// Left as they are.
    pub ignore: u64,
    /// New ones.
    pub place: u64,
    /// Moved to another node.
    pub migrate: u64,
    /// Stopped.
    pub stop: u64,
    /// Taken over to the new version as they run.
    pub in_place_update: u64,
    /// Stopped and replaced by one of the new version.
    pub destructive_update: u64,
    /// New ones to try a version out.
    pub canary: u64,
    /// Others that are stopped to make room.
    pub preemptions: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_of_a_stop_is_stored_as_its_sentence_and_read_back() {
        let reasons = StopReason::ALL.map(Some);
        for reason in reasons.into_iter().chain([None]) {
            let stop = PlannedStop {
                alloc_id: AllocId::from_random([1; 16]),
                node_id: NodeId(uuid::Uuid::from_u128(2)),
                desired_status: DesiredStatus::Stop,
                reason,
                follow_up_eval: None,
            };
            let stored = serde_json::to_value(&stop).unwrap();
            assert_eq!(
                stored["DesiredDescription"],
                json!(reason.map_or("", StopReason::text))
            );
            assert_eq!(serde_json::from_value::<PlannedStop>(stored).unwrap(), stop);
        }
    }
}
