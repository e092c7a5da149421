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
const ENDED: &str = "failed or canceled";
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
    const BRANCHES: &'static [&'static str] = &[
        NOTHING, PLANNED, NOT_DUE, PLAN, COMPLETE, BLOCKED, ENDED, WOKEN,
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
        match news {
            News::Everything => {
                memory.cluster = Cluster::new(state);
                for plan in memory.reserved.values() {
                    memory.cluster.reserve(state, plan.clone());
                }
            }
            News::Keys(keys) => memory.cluster.update(state, keys),
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
mod tests {
    use std::time::Duration;

    use rove_model::{encoding::encode, plan::MAX_PLACEMENTS};
    use rove_store::store::{Op, Store, Txn};

    use super::*;
    use crate::{
        loops::{
            applier::ApplierLoop,
            testing::{World, decide, decide_with},
        },
        runtime::{UNREADABLE, tests::Led},
    };

    fn looper() -> SchedulerLoop {
        SchedulerLoop::default()
    }

    fn memory(world: &World) -> SchedulerMemory {
        let mut memory = looper().begin(Began::default());
        notice(world, &mut memory, News::Everything);
        memory
    }

    /// Takes news in, and gives the jobs that it wakes.
    fn notice(world: &World, memory: &mut SchedulerMemory, news: News<'_>) -> Vec<JobKey> {
        let mut woken = Vec::new();
        looper().notice(memory, &world.state, news, world.now, &mut |job, _, _| {
            woken.push(job);
        });
        woken
    }

    /// Writes a decision and has its plan applied, and gives the jobs that it wakes.
    fn carry_out(
        world: &mut World,
        memory: &mut SchedulerMemory,
        decision: &Decision<Arc<Plan>>,
    ) -> Vec<JobKey> {
        world.apply(decision);
        let mut keys: Vec<Key> = decision
            .commit
            .writes()
            .map(|write| write.key().clone())
            .collect();
        let plans: Vec<EvalId> = world.state.plans().map(|plan| plan.eval.id).collect();
        for id in plans {
            let applier = ApplierLoop {
                max_refusals: 5,
                overlay: MAX_PLACEMENTS,
            };
            let applied = decide(&applier, world, &id);
            world.apply(&applied);
            keys.extend(applied.commit.writes().map(|write| write.key().clone()));
        }
        notice(world, memory, News::Keys(&keys))
    }

    #[test]
    fn what_was_blocked_beside_a_plan_that_came_to_nothing_is_woken_once() {
        for blocked_first in [true, false] {
            let what = format!("blocked before the plan failed: {blocked_first}");
            let mut world = World::new();
            world.node(1);
            let (taker, waiter) = (world.register("taker", 33), world.register("waiter", 1));
            world.ask(&taker);
            world.ask(&waiter);
            let mut memory = memory(&world);
            let taking = decide_with(&looper(), &world, &memory, &taker);
            let plan = taking.memo.clone().expect("it takes room");
            assert_eq!(plan.placements.len(), 33, "{what}");
            looper().decided(&mut memory, &world.state, &plan);

            let blocked = decide_with(&looper(), &world, &memory, &waiter);
            assert_eq!(
                (blocked.branch, blocked.memo.is_none()),
                (PLAN, true),
                "{what}"
            );
            let mut woken = Vec::new();
            if blocked_first {
                woken.extend(carry_out(&mut world, &mut memory, &blocked));
                assert_eq!(
                    decide_with(&looper(), &world, &memory, &waiter).branch,
                    NOTHING,
                    "{what}"
                );
                woken.clear();
            }
            let settled = |memory: &mut SchedulerMemory, world: &World| {
                let mut woken = Vec::new();
                let mut wake = |job, _| woken.push(job);
                looper().settled(memory, &world.state, &plan, false, &mut wake);
                woken
            };
            woken.extend(settled(&mut memory, &world));
            if !blocked_first {
                woken.extend(carry_out(&mut world, &mut memory, &blocked));
            }
            assert!(woken.contains(&waiter), "{what}: {woken:?}");

            let decision = decide_with(&looper(), &world, &memory, &waiter);
            assert_eq!(decision.branch, WOKEN, "{what}");
            let woken = carry_out(&mut world, &mut memory, &decision);
            assert!(woken.contains(&waiter), "{what}: {woken:?}");
            let decision = decide_with(&looper(), &world, &memory, &waiter);
            assert_eq!(
                decision.memo.as_ref().map(|plan| plan.placements.len()),
                Some(1),
                "{what}"
            );
            carry_out(&mut world, &mut memory, &decision);
            assert_eq!(
                decide_with(&looper(), &world, &memory, &waiter).branch,
                NOTHING,
                "{what}"
            );
        }
    }

    #[test]
    fn what_fits_in_part_is_placed_in_part_beside_plans_under_way() {
        let mut world = World::new();
        world.node(1);
        let (first, second) = (world.register("first", 3), world.register("second", 50));
        world.ask(&first);
        world.ask(&second);
        let mut memory = memory(&world);
        let plan = decide_with(&looper(), &world, &memory, &first)
            .memo
            .expect("it takes room");
        looper().decided(&mut memory, &world.state, &plan);
        let decision = decide_with(&looper(), &world, &memory, &second);
        let plan = decision.memo.expect("it takes room");
        assert_eq!(plan.placements.len(), 30);
        assert_eq!(plan.follow_ups[0].status, EvalStatus::Blocked);
    }

    #[test]
    fn an_evaluation_names_its_deployment_before_its_allocs_can_be_read() {
        let mut world = World::new();
        world.node(1);
        let job = world.register("web", 2);
        let id = world.ask(&job);
        let memory = memory(&world);
        let decision = decide_with(&looper(), &world, &memory, &job);
        world.apply(&decision);
        let eval = world.state.eval(id).expect("it is there");
        let plan = world.state.plan(id).expect("it is planned");
        let created = plan.deployment.as_ref().map(|deployment| deployment.id);
        assert!(created.is_some() && world.state.alloc_count() == 0);
        assert_eq!(
            (eval.deployment_id, eval.status),
            (created, EvalStatus::Pending)
        );
        assert_eq!(plan.eval.deployment_id, created);

        // A plan that comes to nothing leaves no name of a deployment that is never made.
        world.update(&job, 3);
        let applier = ApplierLoop {
            max_refusals: 5,
            overlay: MAX_PLACEMENTS,
        };
        let outdated = decide(&applier, &world, &id);
        world.apply(&outdated);
        let eval = world.state.eval(id).expect("it is pending again");
        assert_eq!(
            (eval.deployment_id, eval.status),
            (None, EvalStatus::Pending)
        );
    }

    #[test]
    fn spans_in_vain_are_bounded_and_none_is_lost() {
        let mut memory = looper().begin(Began::default());
        for revision in 0..3 * SPANS as u64 {
            memory.note_in_vain(10 * revision..=10 * revision + 1);
        }
        assert_eq!(memory.in_vain.len(), SPANS);
        for revision in 0..3 * SPANS as u64 {
            assert!(
                memory
                    .in_vain
                    .iter()
                    .any(|span| span.contains(&(10 * revision))),
                "{revision}"
            );
        }
        assert!(
            !memory
                .in_vain
                .iter()
                .any(|span| span.contains(&(30 * SPANS as u64 - 5)))
        );
    }

    #[test]
    fn nothing_is_placed_beside_an_alloc_that_can_not_be_read() {
        let mut world = World::new();
        let web = world.placed("web", 1);
        let node = world.node(1);
        let alloc = world.allocs(&web)[0];
        let alloc = world
            .state
            .alloc(alloc)
            .expect("it is placed")
            .value
            .clone();
        let key = Key::Alloc(node, alloc.id);
        let mut memory = memory(&world);
        let later = serde_json::json!({"Namespace": "default", "JobID": "web"});
        world.state.put(&key, &later).expect("it can be stored");
        notice(&world, &mut memory, News::Keys(std::slice::from_ref(&key)));
        let other = world.register("other", 1);
        world.ask(&other);
        assert_eq!(looper().unreadable(&world.state, &web), Some(&key));
        assert_eq!(looper().unreadable(&world.state, &other), None);
        let placed = |world: &World, memory: &SchedulerMemory| {
            let plan = decide_with(&looper(), world, memory, &other).memo;
            plan.map_or(0, |plan| plan.placements.len())
        };
        assert_eq!(placed(&world, &memory), 0);
        world.put_alloc(alloc);
        notice(&world, &mut memory, News::Keys(std::slice::from_ref(&key)));
        assert_eq!(looper().unreadable(&world.state, &web), None);
        assert_eq!(placed(&world, &memory), 1);
    }

    #[test]
    fn allocs_on_a_node_whose_fingerprint_can_not_be_read_are_not_lost() {
        let mut world = World::new();
        let web = world.placed("web", 1);
        let node = world.node(1);
        for (unreadable, stops) in [(true, 0), (false, 1)] {
            if unreadable {
                world
                    .state
                    .put(&Key::Node(node), &"no node")
                    .expect("it can be stored");
            } else {
                world.state.delete(&Key::Node(node));
            }
            world.ask(&web);
            let decision = decide_with(&looper(), &world, &memory(&world), &web);
            let stopped = decision.memo.map_or(0, |plan| plan.stops.len());
            assert_eq!(stopped, stops, "unreadable: {unreadable}");
            world.complete_evals(&web);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_decided_on_when_what_could_not_be_read_is_mended() {
        let mut world = World::new();
        world.node(1);
        let job = world.register("web", 1);
        world.ask(&job);
        let version = Key::JobVersion(world.version_key(&job));
        let good = world
            .state
            .current_job(&job)
            .expect("it is there")
            .value
            .clone();
        let store = Arc::new(world.stored().await);
        let put = async |value: Vec<u8>| {
            let txn = Txn {
                then: vec![Op::put(world.state.keys().encode(&version), value)],
                ..Txn::default()
            };
            store.txn(txn).await.expect("it is written").revision
        };
        let revision = put(b"{".to_vec()).await;
        let mut led = Led::new(store.clone(), looper());
        led.until(|state| state.revision() >= revision).await;
        while !led
            .counters
            .snapshot()
            .contains_key(&(SchedulerLoop::NAME, UNREADABLE))
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(led.state.latest().plans().count(), 0);
        put(encode(&good).expect("it can be stored")).await;
        led.until(|state| state.plans().count() == 1).await;
        led.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_that_fit_nowhere_are_each_decided_on_once() {
        const JOBS: usize = 200;
        let mut world = World::new();
        let full = world.placed("full", 1);
        let alloc = world.allocs(&full)[0];
        let mut alloc = world
            .state
            .alloc(alloc)
            .expect("it is placed")
            .value
            .clone();
        alloc.resources.disk_mb = 10_000;
        world.put_alloc(alloc);
        for number in 0..JOBS {
            let job = world.register(&format!("job-{number}"), 1);
            world.ask(&job);
        }
        let store = Arc::new(world.stored().await);
        let mut led = Led::new(store, looper());
        led.until(|state| state.plans().count() == JOBS).await;
        let decided: u64 = SchedulerLoop::BRANCHES
            .iter()
            .filter_map(|branch| {
                led.counters
                    .snapshot()
                    .get(&(SchedulerLoop::NAME, branch))
                    .copied()
            })
            .sum();
        // Each once, and again at most when its plan shows.
        assert!(
            (JOBS as u64..=2 * JOBS as u64).contains(&decided),
            "{decided} decisions"
        );
        led.end().await;
    }

    #[test]
    fn a_delayed_evaluation_is_due_at_its_time_or_when_the_clock_was_set_back_before_it_was_made() {
        let mut world = World::new();
        let job = world.register("web", 1);
        let id = world.state.registration(&job).map(|found| found.eval.id);
        let mut eval = id
            .and_then(|id| {
                let now = world.now;
                crate::loops::asking::new_eval(
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
