//! `scheduler`: takes a job's evaluations one at a time, the most urgent first, and writes the plan that each leads to,
//! or the evaluation as it ends when there is nothing to do.
//!
//! Plans that are decided and not yet in the state count as used. A job that has a plan waits until it is applied. What
//! finds no room beside such plans is blocked like any other: should one of them come to nothing, the room it gives
//! back is news to nobody else, so the loop wakes what was blocked meanwhile.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
};

use rand::rngs::StdRng;
use rove_model::{
    alloc::DesiredStatus,
    eval::{Eval, EvalStatus},
    ids::{EvalId, JobKey, Revision, UnixNanos},
    plan::Plan,
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use crate::{
    clock::SECOND,
    decision::{Again, Decision, Object, Require, Write},
    loops::asking::woken,
    runtime::{Began, Loop, News, View},
    scheduler::{self, Cluster},
};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedulerLoop {
    /// What is broken on purpose.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<crate::Sabotage>,
}

/// The nodes and what is taken of them.
#[derive(Debug, Default)]
pub struct SchedulerMemory {
    cluster: Cluster,
    /// Plans that take or give room and that the state does not show yet.
    reserved: BTreeMap<EvalId, Arc<Plan>>,
    /// Revisions at which a plan counted as used that came to nothing, oldest first.
    in_vain: VecDeque<RangeInclusive<Revision>>,
}

impl SchedulerMemory {
    /// Whether an evaluation waits for room that it may have seen taken by a plan that came to nothing.
    fn waits_in_vain(&self, eval: &Eval) -> bool {
        eval.status == EvalStatus::Blocked
            && self
                .in_vain
                .iter()
                .any(|span| span.contains(&eval.snapshot))
    }

    fn note_in_vain(&mut self, span: RangeInclusive<Revision>) {
        self.in_vain.push_back(span);
        if self.in_vain.len() > SPANS
            && let (Some(first), Some(second)) =
                (self.in_vain.pop_front(), self.in_vain.front_mut())
        {
            // Too much is woken rather than too little.
            *second = *first.start().min(second.start())..=*first.end().max(second.end());
        }
    }
}

/// Spans of `in_vain` that are told apart.
const SPANS: usize = 100;

const NOTHING: &str = "nothing pending";
const PLANNED: &str = "plan under way";
const NOT_DUE: &str = "not due yet";
const PLAN: &str = "planned";
const COMPLETE: &str = "complete, nothing to do";
const BLOCKED: &str = "blocked again";
const WOKEN: &str = "woken, a plan came to nothing";

/// Clocks of servers may differ by this.
const SKEW: UnixNanos = 60 * SECOND;

/// What a delayed evaluation waits for. One that was made in times to come was made before the clock was set back: it
/// would wait as much longer, and is due.
fn due_at(eval: &Eval, now: UnixNanos) -> Option<UnixNanos> {
    eval.wait_until
        .filter(|_| eval.create_time <= now.saturating_add(SKEW))
}

impl Loop for SchedulerLoop {
    const NAME: &'static str = "scheduler";
    const BRANCHES: &'static [&'static str] =
        &[NOTHING, PLANNED, NOT_DUE, PLAN, COMPLETE, BLOCKED, WOKEN];
    type Key = JobKey;
    type Memory = SchedulerMemory;
    type Memo = Arc<Plan>;

    fn begin(&self, _: Began) -> SchedulerMemory {
        SchedulerMemory::default()
    }

    fn notice(
        &self,
        memory: &mut SchedulerMemory,
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(JobKey, UnixNanos, i32),
    ) {
        match news {
            News::Everything => {
                memory.cluster = Cluster::new(state);
                for plan in memory.reserved.values() {
                    memory.cluster.reserve(state, plan.clone());
                }
            }
            News::Keys(keys) => {
                memory.cluster.update(state, keys);
                let reserved = &memory.reserved;
                memory
                    .cluster
                    .forget_gone(state, |eval| reserved.contains_key(eval));
            }
        }
        let mut due = |eval: &Eval| {
            if eval.status == EvalStatus::Pending {
                let at = due_at(eval, now).map_or(now, |until| until.max(now));
                wake(eval.job(), at, eval.priority);
            } else if memory.waits_in_vain(eval) {
                wake(eval.job(), now, eval.priority);
            }
        };
        match news {
            News::Everything => state.evals().for_each(|eval| due(eval)),
            News::Keys(keys) => {
                for key in keys {
                    match key {
                        Key::Eval(id) => {
                            if let Some(eval) = state.eval(*id) {
                                due(eval);
                            }
                        }
                        // The job's other evaluations may have waited for it.
                        Key::Plan(id) if state.plan(*id).is_none() => {
                            if let Some(eval) = state.eval(*id) {
                                state.evals_of_job(&eval.job()).for_each(|eval| due(eval));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn decided(&self, memory: &mut SchedulerMemory, state: &State, plan: &Arc<Plan>) {
        memory.reserved.insert(plan.eval.id, plan.clone());
        memory.cluster.reserve(state, plan.clone());
    }

    fn settled(
        &self,
        memory: &mut SchedulerMemory,
        state: &State,
        plan: &Arc<Plan>,
        written: bool,
        wake: &mut dyn FnMut(JobKey, i32),
    ) {
        memory.reserved.remove(&plan.eval.id);
        // Written and gone again means applied: the state says what is left of it.
        if !written || state.plan(plan.eval.id).is_none() {
            memory.cluster.release(state, plan.eval.id);
        }
        if !written {
            let span = plan.snapshot..=state.revision().max(plan.snapshot);
            let seen =
                |eval: &Eval| eval.status == EvalStatus::Blocked && span.contains(&eval.snapshot);
            for eval in state.evals().filter(|eval| seen(eval)) {
                wake(eval.job(), eval.priority);
            }
            // Of others the state shows only later that they are blocked.
            memory.note_in_vain(span);
        }
    }

    fn unreadable<'s>(&self, state: &'s State, job: &JobKey) -> Option<&'s Key> {
        state.unreadable_of_job(job)
    }

    fn decide(&self, view: &View<'_, Self>, job: &JobKey, rng: &mut StdRng) -> Decision<Arc<Plan>> {
        let state = view.state;
        let planned = state
            .evals_of_job(job)
            .any(|eval| state.plan(eval.id).is_some());
        #[cfg(feature = "sabotage")]
        let planned = planned && self.sabotage != Some(crate::Sabotage::DoublePlacement);
        if planned {
            return Decision::wait(PLANNED);
        }
        let pending = || {
            state
                .evals_of_job(job)
                .filter(|eval| eval.status == EvalStatus::Pending && state.plan(eval.id).is_none())
        };
        let is_due = |eval: &Eval| due_at(eval, view.now).is_none_or(|until| until <= view.now);
        let next = pending()
            .filter(|eval| is_due(eval))
            .min_by_key(|eval| (Reverse(eval.priority), eval.create, eval.id));
        let Some(eval) = next else {
            let in_vain = state
                .evals_of_job(job)
                .find(|eval| view.memory.waits_in_vain(eval));
            if let Some(eval) = in_vain {
                return Decision::write(WOKEN, vec![woken(eval, view.now)]);
            }
            return match pending().filter_map(|eval| due_at(eval, view.now)).min() {
                Some(at) => Decision::at(NOT_DUE, at),
                None => Decision::wait(NOTHING),
            };
        };
        let on = scheduler::Snapshot {
            state,
            cluster: &view.memory.cluster,
        };
        let outcome = scheduler::schedule(&on, eval, view.now, rng);
        let registration = Key::Registration(job.clone());
        let require = match state.registration(job) {
            Some(held) => Require::Unchanged(registration, held.modify),
            None => Require::Absent(registration),
        };
        let mut decision = match outcome.conclusion {
            scheduler::Conclusion::Plan(plan) => plan_for(eval, *plan, view.now),
            scheduler::Conclusion::Eval(ended) => {
                let branch = match ended.status {
                    EvalStatus::Blocked => BLOCKED,
                    EvalStatus::Complete
                    | EvalStatus::Pending
                    | EvalStatus::Failed
                    | EvalStatus::Canceled => COMPLETE,
                };
                Decision::write(branch, vec![Write::eval(*ended, eval.modify)])
            }
        };
        decision.commit.requires.push(require);
        // There may be another one.
        if pending().nth(1).is_some() {
            decision.again = Again::At(view.now);
        }
        decision
    }
}

fn plan_for(eval: &Stored<Eval>, plan: Plan, now: UnixNanos) -> Decision<Arc<Plan>> {
    let plan = Arc::new(plan);
    let write = Write::Create(
        Key::Plan(eval.id),
        Object::Plan(Box::new(Plan::clone(&plan))),
    );
    // Who follows the evaluation learns of its deployment before its allocs can be read.
    let deployment = plan.eval.deployment_id.filter(|id| {
        eval.deployment_id != Some(*id) && !(plan.placements.is_empty() && plan.in_place.is_empty())
    });
    let mut decision = match deployment {
        Some(id) => {
            let mut within = eval.value.clone();
            within.deployment_id = Some(id);
            within.modify_time = now;
            Decision::write(PLAN, vec![write, Write::eval(within, eval.modify)])
        }
        None => Decision::write(PLAN, vec![write])
            .requiring([Require::Unchanged(Key::Eval(eval.id), eval.modify)]),
    };
    let holds_room = !plan.placements.is_empty()
        || plan
            .stops
            .iter()
            .any(|stop| stop.desired_status != DesiredStatus::Run);
    decision.memo = holds_room.then_some(plan);
    decision
}

#[cfg(test)]
mod tests;
