#![allow(clippy::unwrap_used)]

use rove_model::{
    alloc::ClientStatus,
    node::{Eligibility, NodeAlive, NodeControl},
};

use super::*;
use crate::{
    clock::SECOND,
    loops::testing::{World, decide_with},
};

const LOOP: NodeLoop = NodeLoop {
    grace: Duration::from_secs(10),
    #[cfg(feature = "sabotage")]
    sabotage: None,
};

fn memory(world: &World) -> NodeMemory {
    let mut memory = LOOP.begin(Began {
        revision: world.state.revision(),
        at: world.now,
    });
    LOOP.notice(
        &mut memory,
        &world.state,
        News::Everything,
        world.now,
        &mut |_, _, _| {},
    );
    memory
}

fn everything(world: &World, memory: &mut NodeMemory) {
    let state = &world.state;
    LOOP.notice(
        memory,
        state,
        News::Everything,
        world.now,
        &mut |_, _, _| {},
    );
}

fn look(world: &World, memory: &NodeMemory, key: NodeLoopKey) -> Decision {
    decide_with(&LOOP, world, memory, &key)
}

fn news(world: &World, memory: &mut NodeMemory, keys: &[Key]) {
    LOOP.notice(
        memory,
        &world.state,
        News::Keys(keys),
        world.now,
        &mut |_, _, _| {},
    );
}

#[test]
fn a_node_is_ready_with_its_sign_of_life_and_down_without() {
    let mut world = World::new();
    let id = world.node_without_life(1);
    let key = NodeLoopKey::Node(id);
    let mut memory = memory(&world);
    assert_eq!(look(&world, &memory, key).branch, NOT_YET);
    for (alive, branch, then) in [
        (true, READY, WELL),
        (false, DOWN, STAYS_DOWN),
        (true, BACK, WELL),
    ] {
        if alive {
            world
                .state
                .put(&Key::NodeAlive(id), &NodeAlive { since: 0 })
                .unwrap();
        } else {
            world.state.delete(&Key::NodeAlive(id));
        }
        news(&world, &mut memory, &[Key::NodeAlive(id)]);
        let decision = look(&world, &memory, key);
        assert_eq!(decision.branch, branch);
        world.apply(&decision);
        assert_eq!(look(&world, &memory, key).branch, then);
    }
    assert_eq!(world.state.node_status(id).unwrap().events.len(), 3);
}

#[test]
fn a_new_leader_gives_a_node_it_has_not_seen_time_to_come_back() {
    let mut world = World::new();
    let id = world.node(1);
    world.state.delete(&Key::NodeAlive(id));
    let memory = memory(&world);
    let decision = look(&world, &memory, NodeLoopKey::Node(id));
    assert_eq!(decision, Decision::at(GRACE, world.now + 10 * SECOND));
    world.now += 10 * SECOND;
    assert_eq!(look(&world, &memory, NodeLoopKey::Node(id)).branch, DOWN);
}

#[test]
fn however_often_everything_is_looked_at_a_lost_node_is_declared_down() {
    for was_seen in [false, true] {
        let mut world = World::new();
        let id = world.node(1);
        if !was_seen {
            world.state.delete(&Key::NodeAlive(id));
        }
        let mut memory = memory(&world);
        world.state.delete(&Key::NodeAlive(id));
        let key = NodeLoopKey::Node(id);
        for seconds in [3, 6, 9, 12] {
            world.now += 3 * SECOND;
            everything(&world, &mut memory);
            let expected = if was_seen || seconds > 10 {
                DOWN
            } else {
                GRACE
            };
            let branch = look(&world, &memory, key).branch;
            assert_eq!(branch, expected, "seen: {was_seen}, after {seconds} s");
        }
    }
}

#[test]
fn after_the_store_was_restored_nodes_have_time_to_come_back_again() {
    let mut world = World::new();
    let id = world.node(1);
    let mut memory = memory(&world);
    world.now += 60 * SECOND;
    world.state.delete(&Key::NodeAlive(id));
    LOOP.lost_track(&mut memory);
    everything(&world, &mut memory);
    let until = world.now + 10 * SECOND;
    let key = NodeLoopKey::Node(id);
    assert_eq!(look(&world, &memory, key), Decision::at(GRACE, until));
}

#[test]
fn each_job_on_a_lost_node_gets_one_eval() {
    let mut world = World::new();
    let (a, b) = (world.placed("a", 3), world.placed("b", 1));
    let done = world.placed("done", 1);
    for alloc in world.allocs(&done) {
        world.status(alloc, ClientStatus::Complete);
    }
    let id = world.state.nodes().next().unwrap().id;
    let mut memory = memory(&world);
    world.state.delete(&Key::NodeAlive(id));
    news(&world, &mut memory, &[Key::NodeAlive(id)]);
    let down = look(&world, &memory, NodeLoopKey::Node(id));
    assert_eq!(down.branch, DOWN);
    world.apply(&down);
    let decision = look(&world, &memory, NodeLoopKey::Node(id));
    assert_eq!(decision.branch, AFFECTED);
    assert_eq!(decision.commit.writes().count(), 2);
    world.apply(&decision);
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Node(id)).branch,
        STAYS_DOWN
    );
    // Decided on, and still something there: the scheduler has its reasons, and is not asked again.
    for job in [&a, &b] {
        world.complete_evals(job);
    }
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Node(id)).branch,
        STAYS_DOWN
    );
}

#[test]
fn every_job_on_a_lost_node_gets_its_eval_however_many_there_are() {
    let mut world = World::new();
    let jobs = 2 * JOBS_AT_ONCE + 50;
    for number in 0..jobs {
        world.placed(&format!("job-{number}"), 1);
    }
    let id = world.state.nodes().next().unwrap().id;
    let mut memory = memory(&world);
    world.state.delete(&Key::NodeAlive(id));
    news(&world, &mut memory, &[Key::NodeAlive(id)]);
    let down = look(&world, &memory, NodeLoopKey::Node(id));
    world.apply(&down);
    let mut made = Vec::new();
    loop {
        let decision = look(&world, &memory, NodeLoopKey::Node(id));
        assert_eq!(decision.branch, AFFECTED);
        made.push(decision.commit.writes().count());
        world.apply(&decision);
        if decision.again == Again::OnChange {
            break;
        }
    }
    assert_eq!(made, [JOBS_AT_ONCE, JOBS_AT_ONCE, 50]);
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Node(id)).branch,
        STAYS_DOWN
    );
}

#[test]
fn a_blocked_eval_is_woken_by_newer_room_in_a_class_it_did_not_rule_out() {
    let mut world = World::new();
    let node = world.node(1);
    let job = world.register("big", 1);
    let eval = world.block(&job, [("other", false)]);
    let mut memory = memory(&world);
    memory.gains = Gains::default();
    news(&world, &mut memory, &[Key::Eval(eval)]);
    let key = NodeLoopKey::Blocked(eval);
    assert_eq!(look(&world, &memory, key).branch, NO_GAIN);

    let status = world.state.node_status(node).unwrap().value.clone();
    world.state.put(&Key::NodeStatus(node), &status).unwrap();
    news(&world, &mut memory, &[Key::NodeStatus(node)]);
    let decision = look(&world, &memory, key);
    assert_eq!(decision.branch, WOKEN);
    world.apply(&decision);
    assert_eq!(look(&world, &memory, key).branch, NOT_BLOCKED);

    let class = world.state.node(node).unwrap().compute_class();
    let ruled_out = world.block(&job, [(class.as_str(), false)]);
    news(&world, &mut memory, &[Key::Eval(ruled_out)]);
    world.state.put(&Key::NodeStatus(node), &status).unwrap();
    news(&world, &mut memory, &[Key::NodeStatus(node)]);
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Blocked(ruled_out)).branch,
        NO_GAIN
    );
}

#[test]
fn what_was_decided_before_a_node_went_down_is_looked_at_again_however_the_eval_stands() {
    for status in [
        EvalStatus::Complete,
        EvalStatus::Blocked,
        EvalStatus::Failed,
        EvalStatus::Canceled,
    ] {
        let mut world = World::new();
        let node = world.node(1);
        let job = world.register("web", 2);
        world.ask(&job);
        world.complete_evals(&job);
        let id = world.block(&job, []);
        let mut memory = memory(&world);
        let mut eval = world.state.eval(id).unwrap().value.clone();
        // Woken, and decided on while the node was well.
        eval.snapshot = world.state.revision();
        world.node_status(node, NodeState::Down);
        world.state.delete(&Key::NodeAlive(node));
        let down = NodeLoopKey::Node(node);
        assert_eq!(look(&world, &memory, down).branch, STAYS_DOWN);
        let alloc = world.new_alloc(&job, node, 0);
        let placed = Key::Alloc(node, alloc.id);
        world.state.put(&placed, &alloc).unwrap();
        eval.status = status;
        world.state.put(&Key::Eval(id), &eval).unwrap();

        let mut woken = BTreeSet::new();
        LOOP.notice(
            &mut memory,
            &world.state,
            News::Keys(&[placed, Key::Eval(id)]),
            world.now,
            &mut |key, _, _| {
                woken.insert(key);
            },
        );
        assert!(woken.contains(&down), "{status:?}: {woken:?}");
        let decision = look(&world, &memory, down);
        assert_eq!(decision.branch, AFFECTED, "{status:?}");
    }
}

#[test]
fn only_room_that_a_blocked_eval_could_use_wakes_it() {
    // Of 10,000 MiB of disk on the node, where the group asks for 300.
    for (what, large, own, stops, expected) in [
        ("too little came free", 9_980, 0, [false, true], NO_GAIN),
        ("enough came free", 9_980, 0, [true, false], WOKEN),
        ("enough with what was left", 9_695, 0, [false, true], WOKEN),
        (
            "enough once its own alloc makes way",
            9_980,
            290,
            [false, true],
            WOKEN,
        ),
    ] {
        let mut world = World::new();
        let node = world.node(1);
        let [full, job] = ["full", "big"].map(|id| world.register(id, 1));
        let place = |world: &mut World, job: &JobKey, disk: u64| {
            let mut alloc = world.new_alloc(job, node, 0);
            alloc.resources.disk_mb = disk;
            let key = Key::Alloc(node, alloc.id);
            world.state.put(&key, &alloc).unwrap();
            alloc.id
        };
        let placed = [large - own, 10].map(|disk| place(&mut world, &full, disk));
        place(&mut world, &job, own);
        let mut memory = memory(&world);
        let id = world.block(&job, []);
        let mut eval = world.state.eval(id).unwrap().value.clone();
        eval.failed_groups
            .insert("group".into(), Default::default());
        eval.snapshot = world.state.revision();
        world.state.put(&Key::Eval(id), &eval).unwrap();
        news(&world, &mut memory, &[Key::Eval(id)]);
        let key = NodeLoopKey::Blocked(id);
        assert_eq!(look(&world, &memory, key).branch, NO_GAIN, "{what}");
        for (alloc, stops) in placed.into_iter().zip(stops) {
            if stops {
                world.desire(alloc, DesiredStatus::Stop);
                news(&world, &mut memory, &[Key::Alloc(node, alloc)]);
            }
        }
        assert_eq!(look(&world, &memory, key).branch, expected, "{what}");
    }
}

#[test]
fn a_node_whose_alloc_was_lost_lacks_it_and_one_that_had_its_turn_does_not() {
    for (kind, desired, client, lacking) in [
        (
            "sysbatch",
            DesiredStatus::Run,
            ClientStatus::Complete,
            false,
        ),
        ("sysbatch", DesiredStatus::Run, ClientStatus::Failed, false),
        ("sysbatch", DesiredStatus::Lost, ClientStatus::Lost, true),
        (
            "sysbatch",
            DesiredStatus::Stop,
            ClientStatus::Complete,
            true,
        ),
        ("system", DesiredStatus::Lost, ClientStatus::Lost, true),
        ("system", DesiredStatus::Run, ClientStatus::Running, false),
    ] {
        let what = format!("{kind} {desired:?} {client:?}");
        let mut world = World::new();
        let node = world.node(1);
        let job = world.placed("agent", 1);
        world.change_job(&job, |job| job.type_name = kind.to_owned());
        // Of the version that is current now.
        let id = world.allocs(&job)[0];
        let mut alloc = world.state.alloc(id).unwrap().value.clone();
        alloc.job_version = world.version_key(&job).version;
        world.put_alloc(alloc);
        world.status(id, client);
        if desired != DesiredStatus::Run {
            world.desire(id, desired);
        }
        world.node_status(node, NodeState::Ready);
        let branch = look(&world, &memory(&world), NodeLoopKey::Node(node)).branch;
        assert_eq!(branch == LACKING, lacking, "{what}: {branch}");
    }
}

#[test]
fn a_refused_plan_sets_room_free_even_if_its_eval_was_planned_again_by_now() {
    let mut world = World::new();
    world.node(1);
    let (taker, waiter) = (world.register("taker", 1), world.register("waiter", 1));
    world.ask(&taker);
    let taking = world.plan(&taker);
    let waiting = world.ask(&waiter);
    let mut memory = memory(&world);
    let mut blocked = world.state.eval(waiting).unwrap().value.clone();
    blocked.status = EvalStatus::Blocked;
    blocked.triggered_by = TriggeredBy::MaxPlanAttempts;
    blocked.snapshot = world.state.revision();
    world.state.put(&Key::Eval(waiting), &blocked).unwrap();
    let see = |world: &World, memory: &mut NodeMemory, id| {
        let keys = [Key::Eval(id)];
        LOOP.notice(
            memory,
            &world.state,
            News::Keys(&keys),
            world.now,
            &mut |_, _, _| {},
        );
    };
    see(&world, &mut memory, waiting);
    let key = NodeLoopKey::Blocked(waiting);
    assert_eq!(look(&world, &memory, key).branch, NO_GAIN);
    // The plan stands: the eval was planned again before anybody looked.
    let mut again = world.state.eval(taking).unwrap().value.clone();
    again.plan_refusals += 1;
    world.state.put(&Key::Eval(taking), &again).unwrap();
    see(&world, &mut memory, taking);
    assert_eq!(look(&world, &memory, key).branch, WOKEN);
}

#[test]
fn a_job_of_every_node_is_looked_at_once_for_a_node_that_lacks_it() {
    for kind in ["system", "sysbatch", "service"] {
        let every_node = kind != "service";
        let mut world = World::new();
        let first = world.node(1);
        let job = world.placed("agent", 1);
        world.change_job(&job, |job| job.type_name = kind.to_owned());
        let mut memory = memory(&world);
        let (first, second) = (NodeLoopKey::Node(first), NodeLoopKey::Node(world.node(2)));
        let wants = |world: &World, memory: &NodeMemory, node| {
            let decision = look(world, memory, node);
            (decision.branch == LACKING).then_some(decision)
        };
        assert!(
            wants(&world, &memory, first).is_none(),
            "{kind}: it has one"
        );
        let decision = wants(&world, &memory, second);
        assert_eq!(decision.is_some(), every_node, "{kind}");
        let Some(decision) = decision else { continue };
        assert_eq!(decision.commit.writes().count(), 1, "{kind}");
        world.apply(&decision);
        assert!(
            wants(&world, &memory, second).is_none(),
            "{kind}: it is due"
        );

        // It was decided on before the node came: that is noticed when it ends.
        let NodeLoopKey::Node(id) = second else {
            unreachable!()
        };
        let pending = world
            .state
            .evals_of_job(&job)
            .find(|eval| eval.status == EvalStatus::Pending);
        let mut eval = pending.unwrap().value.clone();
        (eval.status, eval.snapshot) = (EvalStatus::Complete, changed(&world.state, id) - 1);
        world.state.put(&Key::Eval(eval.id), &eval).unwrap();
        let mut woken = BTreeSet::new();
        let ended = [Key::Eval(eval.id)];
        LOOP.notice(
            &mut memory,
            &world.state,
            News::Keys(&ended),
            world.now,
            &mut |key, _, _| {
                woken.insert(key);
            },
        );
        assert!(woken.contains(&second), "{kind}: {woken:?}");

        eval.snapshot = world.state.revision();
        world.state.put(&Key::Eval(eval.id), &eval).unwrap();
        assert!(
            wants(&world, &memory, second).is_none(),
            "{kind}: it was decided on"
        );
        // Closed and opened again.
        for (eligibility, asks) in [
            (Eligibility::Ineligible, false),
            (Eligibility::Eligible, true),
        ] {
            let control = NodeControl {
                scheduling_eligibility: eligibility,
            };
            world.state.put(&Key::NodeControl(id), &control).unwrap();
            assert_eq!(
                wants(&world, &memory, second).is_some(),
                asks,
                "{kind} {eligibility:?}"
            );
        }
        world.stop(&job, false);
        assert!(
            wants(&world, &memory, second).is_none(),
            "{kind}: it is stopped"
        );
    }
}

#[test]
fn a_new_leader_wakes_each_blocked_eval_once() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("big", 1);
    let eval = world.block(&job, []);
    let memory = memory(&world);
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Blocked(eval)).branch,
        WOKEN
    );
    let again = world.block(&job, []);
    assert_eq!(
        look(&world, &memory, NodeLoopKey::Blocked(again)).branch,
        NO_GAIN
    );
}
