//! What registering a job would lead to, without writing anything.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rove_model::{
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, GroupName, JobUid, UnixNanos},
    job::Job,
    plan::{DesiredUpdates, Plan},
};

use super::{JobView, Outcome, Snapshot, decide, draw_id};

/// A job that might be registered.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The canonical job.
    pub job: &'a Job,
    /// Registering it makes a new version; the API finds this out as it does when it registers.
    pub makes_version: bool,
}

/// What would come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// What would be done with each group's allocs.
    pub desired: BTreeMap<GroupName, DesiredUpdates>,
    /// Why allocs of a group would find no place.
    pub failed_groups: BTreeMap<GroupName, AllocMetric>,
    /// Evaluations that would follow, the blocked one among them.
    pub created_evals: Vec<Eval>,
    /// Everything that would be done, when there is something to do.
    pub plan: Option<Plan>,
    /// The evaluation as it would end.
    pub eval: Eval,
}

/// Decides on `view` as if `proposal` had been registered.
pub fn dry_run(
    view: &Snapshot<'_>,
    proposal: Proposal<'_>,
    now: UnixNanos,
    rng: &mut impl Rng,
) -> DryRun {
    let key = proposal.job.key();
    let is = JobView::of(view.state, &key);
    let purged = view
        .state
        .registration(&key)
        .is_some_and(|registration| registration.purge);
    let uid = is
        .uid
        .filter(|_| !purged)
        .unwrap_or_else(|| JobUid::from_random(rng.random()));
    let would_be = JobView {
        key: &key,
        uid: Some(uid),
        version: match is.uid {
            Some(_) if !purged => is.version + u64::from(proposal.makes_version),
            _ => 0,
        },
        // As if the next write registered it.
        modify_index: if proposal.makes_version || is.modify_index == 0 {
            view.state.revision() + 1
        } else {
            is.modify_index
        },
        job: Some(proposal.job),
        stopped: proposal.job.is_stopped(),
    };
    let eval = Eval {
        id: EvalId::from_random(draw_id(rng)),
        namespace: key.namespace.clone(),
        job_id: key.id.clone(),
        job_uid: uid,
        job_type: proposal.job.job_type(),
        priority: proposal.job.priority(),
        triggered_by: TriggeredBy::JobRegister,
        status: EvalStatus::Pending,
        status_description: String::new(),
        node_id: None,
        deployment_id: None,
        job_modify_index: would_be.modify_index,
        snapshot: 0,
        wait_until: None,
        previous_eval: None,
        next_eval: None,
        blocked_eval: None,
        failed_groups: BTreeMap::new(),
        class_eligibility: BTreeMap::new(),
        queued_allocations: BTreeMap::new(),
        plan_refusals: 0,
        create_time: now,
        modify_time: now,
    };
    let outcome = decide(view, &would_be, &eval, now, rng);
    let eval = outcome.eval().clone();
    let Outcome {
        conclusion,
        desired,
    } = outcome;
    let plan = match conclusion {
        super::Conclusion::Plan(plan) => Some(*plan),
        super::Conclusion::Eval(_) => None,
    };
    DryRun {
        desired,
        failed_groups: eval.failed_groups.clone(),
        created_evals: plan
            .as_ref()
            .map_or_else(Vec::new, |plan| plan.follow_ups.clone()),
        plan,
        eval,
    }
}
