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
fn a_plan_that_came_and_went_while_the_loop_was_behind_holds_nothing() {
    let mut world = World::new();
    world.node(1);
    let (taker, waiter) = (world.register("taker", 33), world.register("waiter", 1));
    world.ask(&taker);
    world.ask(&waiter);
    let mut memory = memory(&world);
    let taking = decide_with(&looper(), &world, &memory, &taker);
    let plan = taking.memo.clone().expect("it takes room");
    looper().decided(&mut memory, &world.state, &plan);
    world.apply(&taking);
    looper().settled(&mut memory, &world.state, &plan, true, &mut |_, _| {});
    // It is dropped, and no key says so: it is in neither of the states that are compared.
    world.state.delete(&Key::Plan(plan.eval.id));
    notice(&world, &mut memory, News::Keys(&[]));
    let waiting = decide_with(&looper(), &world, &memory, &waiter);
    let placed = waiting.memo.map(|plan| plan.placements.len());
    assert_eq!(placed, Some(1));
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
