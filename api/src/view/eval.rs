//! Evaluations.

use std::sync::Arc;

use rove_model::eval::Eval;
use rove_store::state::{State, Stored};
use rove_wire::RelatedEval;
use serde_json::{Value, json};

use super::id_or_empty;
use crate::time::rfc3339;

/// An evaluation as it is shown.
pub(crate) fn of(eval: &Stored<Eval>) -> rove_wire::Eval {
    rove_wire::Eval {
        id: eval.id.to_string(),
        namespace: eval.namespace.to_string(),
        priority: eval.priority,
        kind: eval.job_type.into(),
        triggered_by: eval.triggered_by.into(),
        job: eval.job_id.to_string(),
        job_modify_index: eval.job_modify_index,
        node: id_or_empty(eval.node_id),
        deployment: id_or_empty(eval.deployment_id),
        status: eval.status.into(),
        description: eval.status_description.clone(),
        wait: 0,
        wait_until: eval.wait_until.map(rfc3339),
        next: id_or_empty(eval.next_eval),
        previous: id_or_empty(eval.previous_eval),
        blocked: id_or_empty(eval.blocked_eval),
        related: None,
        failed: super::by_group(&eval.failed_groups),
        class_eligibility: eval.class_eligibility.clone(),
        queued: super::by_group(&eval.queued_allocations),
        snapshot: eval.snapshot,
        create_index: eval.create,
        modify_index: eval.modify,
        create_time: eval.create_time,
        modify_time: eval.modify_time,
    }
}

/// The fields that an evaluation leaves out while they are empty.
pub(crate) fn left_out(_: &Arc<Stored<Eval>>) -> Value {
    json!({
        "JobModifyIndex": 0, "NodeID": "", "DeploymentID": "", "Wait": 0, "WaitUntil": null, "RelatedEvals": null,
        "SnapshotIndex": 0,
    })
}

/// With those that it is linked to, directly or over others.
pub(crate) fn with_related(state: &State, eval: &Stored<Eval>) -> rove_wire::Eval {
    let links = |eval: &Eval| {
        [eval.next_eval, eval.previous_eval, eval.blocked_eval]
            .into_iter()
            .flatten()
    };
    let mut seen = vec![eval.id];
    let mut open: Vec<_> = links(eval).collect();
    let mut list = Vec::new();
    while let Some(id) = open.pop() {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        let Some(other) = state.eval(id) else {
            continue;
        };
        open.extend(links(other));
        list.push(related(other));
    }
    list.sort_by(|a, b| a.id.cmp(&b.id));
    rove_wire::Eval {
        related: (!list.is_empty()).then_some(list),
        ..of(eval)
    }
}

fn related(eval: &Stored<Eval>) -> RelatedEval {
    RelatedEval {
        id: eval.id.to_string(),
        priority: eval.priority,
        kind: eval.job_type.into(),
        triggered_by: eval.triggered_by.into(),
        namespace: eval.namespace.to_string(),
        job: eval.job_id.to_string(),
        node: id_or_empty(eval.node_id),
        deployment: id_or_empty(eval.deployment_id),
        status: eval.status.into(),
        description: eval.status_description.clone(),
        wait_until: eval.wait_until.map(rfc3339),
        next: id_or_empty(eval.next_eval),
        previous: id_or_empty(eval.previous_eval),
        blocked: id_or_empty(eval.blocked_eval),
        create_index: eval.create,
        modify_index: eval.modify,
        create_time: eval.create_time,
        modify_time: eval.modify_time,
    }
}
