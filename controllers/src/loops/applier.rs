//! `applier`: writes what plans hold. The one writer of allocs: before a placement is written it is checked once more
//! that it fits, and what is under way counts as there.
//!
//! A plan of many keys takes several transactions. Each may be the last that is written before a crash: what exists is
//! skipped, so the next leader finishes the plan, and the transaction that ends the evaluation and removes the plan is
//! sent when all others are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::rngs::StdRng;
use rove_model::{
    alloc::{Alloc, DesiredStatus, LeftOut, PlacedAlloc},
    eval::{Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, EvalId, NodeId, UnixNanos},
    plan::{InPlaceUpdate, Plan, PlannedStop, StopReason},
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use crate::{
    decision::{Again, Commit, Decision, Object, Require, Write},
    facts,
    loops::asking::derived_id,
    runtime::{Began, Loop, News, View},
    scheduler::{PlanVerdict, check_plan_beside},
};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct ApplierLoop {
    /// Refusals after which an evaluation waits for room.
    pub max_refusals: u32,
    /// Placements under way on a plan's nodes that its check takes in; with more the plan waits.
    pub overlay: usize,
}

/// Placements that are written and that the state does not show yet.
pub type Placements = Arc<Vec<Alloc>>;

const GONE: &str = "plan or eval gone";
const OUTDATED: &str = "job changed, eval pending again";
const WAITS: &str = "waits for plans on its nodes";
const APPLIED: &str = "applied";
const REFUSED: &str = "refused in part, eval pending again";
const GIVEN_UP: &str = "refused too often, blocked";

impl Loop for ApplierLoop {
    const NAME: &'static str = "applier";
    const BRANCHES: &'static [&'static str] = &[GONE, OUTDATED, WAITS, APPLIED, REFUSED, GIVEN_UP];
    type Key = EvalId;
    type Memory = ();
    type Memo = Placements;

    fn begin(&self, _: Began) {}

    fn notice(
        &self,
        (): &mut (),
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(EvalId, UnixNanos, i32),
    ) {
        match news {
            News::Everything => {
                for plan in state.plans() {
                    wake(plan.eval.id, now, plan.eval.priority);
                }
            }
            News::Keys(keys) => {
                for key in keys {
                    if let Key::Plan(id) = key
                        && let Some(plan) = state.plan(*id)
                    {
                        wake(*id, now, plan.eval.priority);
                    }
                }
            }
        }
    }

    fn unreadable<'s>(&self, state: &'s State, id: &EvalId) -> Option<&'s Key> {
        let plan = state.plan(*id)?;
        state
            .unreadable_key(&Key::Eval(*id))
            .or_else(|| state.unreadable_of_job(&plan.job()))
    }

    fn decide(&self, view: &View<'_, Self>, id: &EvalId, _: &mut StdRng) -> Decision<Placements> {
        let state = view.state;
        let Some(plan) = state.plan(*id) else {
            return Decision::wait(GONE);
        };
        let Some(eval) = state.eval(*id) else {
            let remove = Write::Delete(Key::Plan(*id), plan.modify);
            return Decision::write(GONE, vec![remove])
                .requiring([Require::Absent(Key::Eval(*id))]);
        };
        let Some(requires) = still_wanted(state, plan) else {
            let mut again = eval.value.clone();
            again.status = EvalStatus::Pending;
            again.modify_time = view.now;
            // It named the deployment of this plan, which is not made.
            again.deployment_id = again
                .deployment_id
                .filter(|id| state.deployment(*id).is_some());
            return Decision::write(
                OUTDATED,
                vec![
                    Write::eval(again, eval.modify),
                    Write::Delete(Key::Plan(*id), plan.modify),
                ],
            );
        };
        let Some(under_way) = under_way(view, plan, self.overlay) else {
            return Decision {
                again: Again::WhenSettled,
                ..Decision::wait(WAITS)
            };
        };
        let verdict = check_plan_beside(state, plan, &under_way);
        tracing::debug!(
            eval = %id,
            placements = plan.placements.len(),
            stops = plan.stops.len(),
            in_place = plan.in_place.len(),
            deployment = plan.deployment.is_some(),
            deployment_ends = plan.deployment_ends.len(),
            follow_ups = plan.follow_ups.len(),
            cancels = plan.cancels.len(),
            "applying a plan"
        );
        let mut last = vec![Write::Delete(Key::Plan(*id), plan.modify)];
        let whole = verdict.is_whole();
        let (branch, ending) = if whole {
            (APPLIED, ended(plan, eval, view.now))
        } else {
            tracing::info!(eval = %id, refused = %list(&verdict), "a plan is refused in part");
            refused(state, plan, eval, self.max_refusals, view.now)
        };
        last.extend(ending);
        let (stops, mut groups) = allocs(state, plan, &verdict, view.now);
        groups.extend(further_evals(state, plan, whole, view.now).map(|write| vec![write]));
        let mut first = vec![deployments(state, plan, view.now)];
        first.extend(stops);
        let placements: Vec<Alloc> = accepted(state, plan, &verdict)
            .map(|alloc| alloc.clone().with_metrics(LeftOut))
            .collect();
        Decision {
            branch,
            commit: Commit {
                requires,
                first,
                groups,
                last,
                // A placement that arrives late would take room that others were given meanwhile.
                seal: Some(Key::Plan(*id)),
            },
            memo: (!placements.is_empty()).then(|| Arc::new(placements)),
            again: Again::OnChange,
            compact: None,
        }
    }
}

/// Refusals that a log line names.
const LISTED: usize = 3;

/// The first of what is refused, and how many more, for a log line.
fn list(verdict: &PlanVerdict) -> String {
    let mut text: Vec<String> = verdict
        .refused
        .iter()
        .take(LISTED)
        .map(|(alloc, refusal)| format!("{alloc}: {refusal}"))
        .collect();
    if let Some(more @ 1..) = verdict.refused.len().checked_sub(LISTED) {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}

/// What the plan rests on; `None` when the job was changed since, so that its next evaluation decides anew.
fn still_wanted(state: &State, plan: &Stored<Plan>) -> Option<Vec<Require>> {
    let job = plan.job();
    let registration = Key::Registration(job.clone());
    let require = match state.registration(&job) {
        Some(held) if held.modify <= plan.snapshot => Require::Unchanged(registration, held.modify),
        None if plan.placements.is_empty() => Require::Absent(registration),
        _ => return None,
    };
    let plan = Require::Unchanged(Key::Plan(plan.eval.id), plan.modify);
    Some(vec![plan, require])
}

/// What is being written to the plan's nodes and is not in the state yet; `None` when that is too much to look at.
fn under_way<'v>(view: &View<'v, ApplierLoop>, plan: &Plan, most: usize) -> Option<Vec<&'v Alloc>> {
    let nodes: BTreeSet<NodeId> = plan.placements.iter().map(|alloc| alloc.node_id).collect();
    let under_way: Vec<&Alloc> = view
        .in_flight
        .iter()
        .flat_map(|placements| placements.iter())
        .filter(|alloc| nodes.contains(&alloc.node_id) && view.state.alloc(alloc.id).is_none())
        .take(most.saturating_add(1))
        .collect();
    (under_way.len() <= most).then_some(under_way)
}

fn accepted<'a>(
    state: &State,
    plan: &'a Plan,
    verdict: &PlanVerdict,
) -> impl Iterator<Item = &'a PlacedAlloc> {
    plan.placements
        .iter()
        .filter(|alloc| verdict.accepted.contains(&alloc.id) && state.alloc(alloc.id).is_none())
}

/// What a deployment of the plan needs before allocs may refer to it.
fn deployments(state: &State, plan: &Plan, now: UnixNanos) -> Vec<Write> {
    let created = plan
        .deployment
        .iter()
        .filter(|deployment| state.deployment(deployment.id).is_none())
        .map(|deployment| {
            Write::Create(
                Key::Deployment(deployment.id),
                Object::Deployment(Box::new(deployment.clone())),
            )
        });
    let ended = plan.deployment_ends.iter().filter_map(|end| {
        let deployment = state
            .deployment(end.deployment_id)
            .filter(|deployment| deployment.status.is_active())?;
        let ended = facts::ended(state, deployment, end.status, &end.status_description, now);
        Some(Write::deployment(ended, deployment.modify))
    });
    created.chain(ended).collect()
}

/// The writes to allocs: what is to be stopped before anything is placed, and what may follow in any order. A stop and
/// the successor on its node go together, so that nobody else gets the room; another's stop goes first, so that no
/// index is ever wanted twice.
fn allocs(
    state: &State,
    plan: &Plan,
    verdict: &PlanVerdict,
    now: UnixNanos,
) -> (Vec<Vec<Write>>, Vec<Vec<Write>>) {
    let mut stops: BTreeMap<AllocId, (NodeId, Write)> = plan
        .stops
        .iter()
        .filter(|stop| !verdict.held.contains(&stop.alloc_id))
        .filter_map(|stop| Some((stop.alloc_id, (stop.node_id, stopped(state, stop, now)?))))
        .collect();
    let mut groups = Vec::new();
    for alloc in accepted(state, plan, verdict) {
        let predecessor = alloc.previous_allocation.filter(|id| {
            stops
                .get(id)
                .is_some_and(|(node, _)| *node == alloc.node_id)
        });
        let stop = predecessor.and_then(|id| stops.remove(&id));
        let create = Write::new_alloc(alloc.clone());
        groups.push(
            stop.map(|(_, stop)| stop)
                .into_iter()
                .chain([create])
                .collect(),
        );
    }
    let updates = plan
        .in_place
        .iter()
        .filter_map(|update| updated(state, plan, update, now));
    groups.extend(updates.map(|update| vec![update]));
    let first = stops.into_values().map(|(_, stop)| vec![stop]).collect();
    (first, groups)
}

fn stopped(state: &State, stop: &PlannedStop, now: UnixNanos) -> Option<Write> {
    let before = state
        .alloc(stop.alloc_id)
        .filter(|alloc| alloc.desired_status == DesiredStatus::Run)?;
    let mut alloc = before.value.clone();
    if stop.follow_up_eval.is_some() {
        alloc.follow_up_eval = stop.follow_up_eval;
    }
    if stop.desired_status != DesiredStatus::Run {
        alloc.desired_status = stop.desired_status;
        alloc.desired_description = stop.reason.map_or("", StopReason::text).to_owned();
        alloc.no_shutdown_delay = skips_shutdown_delay(state, before);
    }
    if alloc == before.value {
        return None;
    }
    alloc.modify_time = now;
    Some(Write::alloc(alloc, before.modify))
}

/// Whether a user asked for it to be stopped at once, or for all of its job.
fn skips_shutdown_delay(state: &State, alloc: &Alloc) -> bool {
    let asked = state
        .alloc_control(alloc.id)
        .is_some_and(|control| control.stop.is_some() && control.no_shutdown_delay);
    asked
        || state
            .registration(&alloc.job())
            .is_some_and(|job| (job.stop || job.purge) && job.no_shutdown_delay)
}

fn updated(state: &State, plan: &Plan, update: &InPlaceUpdate, now: UnixNanos) -> Option<Write> {
    let before = state
        .alloc(update.alloc_id)
        .filter(|alloc| alloc.desired_status == DesiredStatus::Run)?;
    let mut alloc = before.value.clone();
    alloc.job_version = update.job_version;
    alloc.deployment_id = update.deployment_id;
    if alloc == before.value {
        return None;
    }
    alloc.eval_id = plan.eval.id;
    alloc.modify_time = now;
    Some(Write::alloc(alloc, before.modify))
}

/// The other evaluations that a plan creates or ends, which are as many as it holds. As long as it stands the job is
/// not decided on, so they may be there before it is done. When it is refused in part, what failed allocs wait for has
/// to be there all the same; the rest comes of the next decision.
fn further_evals(
    state: &State,
    plan: &Plan,
    whole: bool,
    now: UnixNanos,
) -> impl Iterator<Item = Write> {
    // What replaces the next allocs follows on the plan that replaced all of these; the one that is decided anew has
    // its own, and two would go on side by side.
    let is_due = move |further: &Eval| {
        whole
            || (further.wait_until.is_some() && further.triggered_by != TriggeredBy::RollingUpdate)
    };
    let created = plan
        .follow_ups
        .iter()
        .filter(move |further| is_due(further) && state.eval(further.id).is_none())
        .map(|further| Write::new_eval(further.clone()));
    let cancels = if whole { &plan.cancels[..] } else { &[] };
    let canceled = cancels.iter().filter_map(move |id| {
        let before = state
            .eval(*id)
            .filter(|further| !further.status.is_terminal())?;
        let mut canceled = before.value.clone();
        canceled.status = EvalStatus::Canceled;
        canceled.status_description = format!("evaluation {} successful", plan.eval.id);
        canceled.modify_time = now;
        Some(Write::eval(canceled, before.modify))
    });
    created.chain(canceled)
}

/// The end of a plan that is applied whole.
fn ended(plan: &Plan, eval: &Stored<Eval>, now: UnixNanos) -> Vec<Write> {
    let mut ended = plan.eval.clone();
    ended.modify_time = now;
    ended.plan_refusals = eval.plan_refusals;
    vec![Write::eval(ended, eval.modify)]
}

/// The end of a plan of which something no longer fits.
fn refused(
    state: &State,
    plan: &Plan,
    eval: &Stored<Eval>,
    most: u32,
    now: UnixNanos,
) -> (&'static str, Vec<Write>) {
    let mut again = eval.value.clone();
    again.plan_refusals += 1;
    again.modify_time = now;
    let mut writes = Vec::new();
    let branch = if again.plan_refusals < most {
        again.status = EvalStatus::Pending;
        REFUSED
    } else {
        again.status = EvalStatus::Failed;
        again.status_description = format!("maximum attempts reached ({most})");
        again.snapshot = plan.snapshot;
        let mut blocked = plan.eval.clone();
        blocked.id = derived_id(&[b"max-plan-attempts", plan.eval.id.0.as_bytes()]);
        blocked.triggered_by = TriggeredBy::MaxPlanAttempts;
        blocked.status = EvalStatus::Blocked;
        blocked.status_description = "created due to placement conflicts".to_owned();
        blocked.snapshot = plan.snapshot;
        blocked.previous_eval = Some(plan.eval.id);
        (blocked.next_eval, blocked.blocked_eval) = (None, None);
        (blocked.create_time, blocked.modify_time) = (now, now);
        again.blocked_eval = Some(blocked.id);
        if state.eval(blocked.id).is_none() {
            writes.push(Write::new_eval(blocked));
        }
        GIVEN_UP
    };
    writes.push(Write::eval(again, eval.modify));
    (branch, writes)
}

#[cfg(test)]
mod tests;
