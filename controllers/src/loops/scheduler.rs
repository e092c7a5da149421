//! `scheduler`: takes a job's evaluations one at a time, the most urgent first, and writes the plan that each leads to,
//! or the evaluation as it ends when there is nothing to do.
//!
//! Plans that are decided and not yet in the state count as used. A job that has a plan waits until it is applied.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use rand::rngs::StdRng;
use rove_model::{
    eval::{Eval, EvalStatus},
    ids::{EvalId, JobKey, UnixNanos},
    plan::Plan,
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use crate::{
    clock::SECOND,
    decision::{Again, Decision, Object, Require, Write},
    runtime::{Began, Loop, News},
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
    /// Plans that the state does not show yet.
    reserved: BTreeMap<EvalId, Arc<Plan>>,
}

const NOTHING: &str = "nothing pending";
const PLANNED: &str = "plan under way";
const NOT_DUE: &str = "not due yet";
const CONTENDED: &str = "waits for plans under way";
const PLAN: &str = "planned";
const COMPLETE: &str = "complete, nothing to do";
const BLOCKED: &str = "blocked again";
const ENDED: &str = "failed or canceled";

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
    const BRANCHES: &'static [&'static str] = &[
        NOTHING, PLANNED, NOT_DUE, CONTENDED, PLAN, COMPLETE, BLOCKED, ENDED,
    ];
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
        let mut due = |eval: &Eval| {
            if eval.status == EvalStatus::Pending {
                let at = due_at(eval, now).map_or(now, |until| until.max(now));
                wake(eval.job(), at, eval.priority);
            }
        };
        match news {
            News::Everything => {
                memory.cluster = Cluster::new(state);
                for plan in memory.reserved.values() {
                    memory.cluster.reserve(state, plan.clone());
                }
                state.evals().for_each(|eval| due(eval));
            }
            News::Keys(keys) => {
                memory.cluster.update(state, keys);
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
    ) {
        memory.reserved.remove(&plan.eval.id);
        // Written and gone again means applied: the state says what is left of it.
        if !written || state.plan(plan.eval.id).is_none() {
            memory.cluster.release(state, plan.eval.id);
        }
    }

    fn decide(
        &self,
        view: &crate::runtime::View<'_, Self>,
        job: &JobKey,
        rng: &mut StdRng,
    ) -> Decision<Arc<Plan>> {
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
            return match pending().filter_map(|eval| due_at(eval, view.now)).min() {
                Some(at) => Decision::at(NOT_DUE, at),
                None => Decision::wait(NOTHING),
            };
        };
        let on = scheduler::View {
            state,
            cluster: &view.memory.cluster,
        };
        let outcome = scheduler::schedule(&on, eval, view.now, rng);
        let waits_for_room = outcome.eval().status == EvalStatus::Blocked
            || outcome.plan().is_some_and(|plan| {
                plan.follow_ups
                    .iter()
                    .any(|eval| eval.status == EvalStatus::Blocked)
            });
        if waits_for_room && !view.in_flight.is_empty() {
            // Should one of them fail, its room is free, and nobody would say so.
            return Decision {
                again: Again::WhenSettled,
                ..Decision::wait(CONTENDED)
            };
        }
        let registration = Key::Registration(job.clone());
        let require = match state.registration(job) {
            Some(held) => Require::Unchanged(registration, held.modify),
            None => Require::Absent(registration),
        };
        let mut decision = match outcome.decision {
            scheduler::Decision::Plan(plan) => plan_for(eval, *plan),
            scheduler::Decision::Eval(ended) => {
                let branch = match ended.status {
                    EvalStatus::Complete | EvalStatus::Pending => COMPLETE,
                    EvalStatus::Blocked => BLOCKED,
                    EvalStatus::Failed | EvalStatus::Canceled => ENDED,
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

fn plan_for(eval: &Stored<Eval>, plan: Plan) -> Decision<Arc<Plan>> {
    let plan = Arc::new(plan);
    let write = Write::Create(
        Key::Plan(eval.id),
        Object::Plan(Box::new(Plan::clone(&plan))),
    );
    let mut decision = Decision::write(PLAN, vec![write])
        .requiring([Require::Unchanged(Key::Eval(eval.id), eval.modify)]);
    decision.memo = Some(plan);
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::testing::World;

    #[test]
    fn a_delayed_evaluation_is_due_at_its_time_or_when_the_clock_was_set_back_before_it_was_made() {
        let mut world = World::new();
        let job = world.register("web", 1);
        let id = world.state.registration(&job).map(|found| found.eval.id);
        let mut eval = id
            .and_then(|id| {
                let now = world.now;
                crate::loops::cause::new_eval(
                    &world.state,
                    &job,
                    id,
                    rove_model::eval::TriggeredBy::AllocFailure,
                    now,
                )
            })
            .expect("the job is registered");
        let made = world.now;
        assert_eq!(due_at(&eval, made), None);
        eval.wait_until = Some(made + 30 * SECOND);
        for (now, due) in [
            (made, eval.wait_until),
            (made + 3_600 * SECOND, eval.wait_until),
            (made - SECOND, eval.wait_until),
            (made - 3_600 * SECOND, None),
        ] {
            assert_eq!(due_at(&eval, now), due, "{} s", (now - made) / SECOND);
        }
    }
}
