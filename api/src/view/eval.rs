//! Evaluations.

use std::collections::BTreeMap;

use rove_model::{
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{GroupName, Revision, UnixNanos},
    job::JobType,
};
use rove_store::state::{State, Stored};
use serde::Serialize;

use super::id_or_empty;
use crate::time::rfc3339;

/// An evaluation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EvalView {
    #[serde(rename = "ID")]
    id: String,
    namespace: String,
    priority: i32,
    #[serde(rename = "Type")]
    job_type: JobType,
    triggered_by: TriggeredBy,
    #[serde(rename = "JobID")]
    job_id: String,
    #[serde(skip_serializing_if = "is_zero")]
    job_modify_index: Revision,
    #[serde(rename = "NodeID", skip_serializing_if = "String::is_empty")]
    node_id: String,
    #[serde(rename = "DeploymentID", skip_serializing_if = "String::is_empty")]
    deployment_id: String,
    status: EvalStatus,
    status_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_until: Option<String>,
    next_eval: String,
    previous_eval: String,
    blocked_eval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    related_evals: Option<Vec<RelatedEval>>,
    #[serde(rename = "FailedTGAllocs")]
    failed_groups: Option<BTreeMap<GroupName, AllocMetric>>,
    class_eligibility: Option<BTreeMap<String, bool>>,
    queued_allocations: Option<BTreeMap<GroupName, u64>>,
    #[serde(skip_serializing_if = "is_zero")]
    snapshot_index: Revision,
    create_index: Revision,
    modify_index: Revision,
    create_time: UnixNanos,
    modify_time: UnixNanos,
}

/// An evaluation that came before or after another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RelatedEval {
    #[serde(rename = "ID")]
    id: String,
    priority: i32,
    #[serde(rename = "Type")]
    job_type: JobType,
    triggered_by: TriggeredBy,
    namespace: String,
    #[serde(rename = "JobID")]
    job_id: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    #[serde(rename = "DeploymentID")]
    deployment_id: String,
    status: EvalStatus,
    status_description: String,
    wait_until: Option<String>,
    next_eval: String,
    previous_eval: String,
    blocked_eval: String,
    create_index: Revision,
    modify_index: Revision,
    create_time: UnixNanos,
    modify_time: UnixNanos,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(revision: &Revision) -> bool {
    *revision == 0
}

fn some<K: Clone, V: Clone>(map: &BTreeMap<K, V>) -> Option<BTreeMap<K, V>> {
    (!map.is_empty()).then(|| map.clone())
}

impl EvalView {
    pub(crate) fn of(eval: &Stored<Eval>) -> Self {
        Self {
            id: eval.id.to_string(),
            namespace: eval.namespace.to_string(),
            priority: eval.priority,
            job_type: eval.job_type,
            triggered_by: eval.triggered_by,
            job_id: eval.job_id.to_string(),
            job_modify_index: eval.job_modify_index,
            node_id: id_or_empty(eval.node_id),
            deployment_id: id_or_empty(eval.deployment_id),
            status: eval.status,
            status_description: eval.status_description.clone(),
            wait_until: eval.wait_until.map(rfc3339),
            next_eval: id_or_empty(eval.next_eval),
            previous_eval: id_or_empty(eval.previous_eval),
            blocked_eval: id_or_empty(eval.blocked_eval),
            related_evals: None,
            failed_groups: some(&eval.failed_groups),
            class_eligibility: some(&eval.class_eligibility),
            queued_allocations: some(&eval.queued_allocations),
            snapshot_index: eval.snapshot,
            create_index: eval.create,
            modify_index: eval.modify,
            create_time: eval.create_time,
            modify_time: eval.modify_time,
        }
    }

    /// With those that it is linked to, directly or over others.
    pub(crate) fn with_related(mut self, state: &State, eval: &Stored<Eval>) -> Self {
        let links = |eval: &Eval| {
            [eval.next_eval, eval.previous_eval, eval.blocked_eval]
                .into_iter()
                .flatten()
        };
        let mut seen = vec![eval.id];
        let mut open: Vec<_> = links(eval).collect();
        let mut related = Vec::new();
        while let Some(id) = open.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let Some(other) = state.eval(id) else {
                continue;
            };
            open.extend(links(other));
            related.push(RelatedEval::of(other));
        }
        related.sort_by(|a, b| a.id.cmp(&b.id));
        self.related_evals = (!related.is_empty()).then_some(related);
        self
    }
}

impl RelatedEval {
    fn of(eval: &Stored<Eval>) -> Self {
        Self {
            id: eval.id.to_string(),
            priority: eval.priority,
            job_type: eval.job_type,
            triggered_by: eval.triggered_by,
            namespace: eval.namespace.to_string(),
            job_id: eval.job_id.to_string(),
            node_id: id_or_empty(eval.node_id),
            deployment_id: id_or_empty(eval.deployment_id),
            status: eval.status,
            status_description: eval.status_description.clone(),
            wait_until: eval.wait_until.map(rfc3339),
            next_eval: id_or_empty(eval.next_eval),
            previous_eval: id_or_empty(eval.previous_eval),
            blocked_eval: id_or_empty(eval.blocked_eval),
            create_index: eval.create,
            modify_index: eval.modify,
            create_time: eval.create_time,
            modify_time: eval.modify_time,
        }
    }
}
