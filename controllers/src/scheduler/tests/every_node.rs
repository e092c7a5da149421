//! System and sysbatch jobs: one alloc of each group on each node that will do.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    duration::Nanos,
    eval::{EvalStatus, TriggeredBy},
    ids::{JobKey, NodeId},
    job::{Constraint, Job, UpdateStrategy},
    node::{Eligibility, NodeControl, NodeState},
};

use super::super::fixtures::{SECOND, World, group, job, node, node_id, resources, task};

fn of_type(name: &str) -> Job {
    let mut job = job("j", 1);
    job.type_name = name.to_owned();
    job.update = None;
    for group in &mut job.task_groups {
        (group.update, group.reschedule_policy) = (None, None);
    }
    job
}

fn nodes(world: &World) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = world.live("j").iter().map(|alloc| alloc.node_id).collect();
    nodes.sort_unstable();
    nodes
}

fn these(numbers: impl IntoIterator<Item = u32>) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = numbers.into_iter().map(node_id).collect();
    nodes.sort_unstable();
    nodes
}

fn blocked(world: &World) -> usize {
    world
        .state
        .evals_of_job(&JobKey::new("default", "j"))
        .filter(|eval| eval.status == EvalStatus::Blocked)
        .count()
}

#[test]
fn each_node_that_will_do_has_one_and_each_new_one_gets_its_own() {
    for kind in ["system", "sysbatch"] {
        let mut world = World::new(3);
        let mut windows = node(4);
        windows
            .attributes
            .insert("kernel.name".to_owned(), "windows".to_owned());
        world.add_node(windows);
        let mut moon = node(5);
        moon.datacenter = "moon".to_owned();
        world.add_node(moon);
        let mut job = of_type(kind);
        job.constraints = vec![Constraint {
            ltarget: "${attr.kernel.name}".to_owned(),
            rtarget: "linux".to_owned(),
            operand: "=".to_owned(),
        }];
        job.task_groups.push(group("h", 1));
        let outcome = world.run_register(&job);
        let plan = outcome.plan().unwrap();
        assert!(plan.deployment.is_none(), "{kind}");
        assert_eq!(nodes(&world), these([1, 1, 2, 2, 3, 3]), "{kind}");
        assert_eq!(outcome.desired[&"g".into()].place, 3);
        assert_eq!(outcome.eval().status, EvalStatus::Complete);
        assert!(outcome.eval().failed_groups.is_empty());
        assert_eq!(outcome.eval().queued_allocations[&"g".into()], 0);
        assert!(world.live("j").iter().all(|alloc| alloc.index == 0));
        let shown = &plan.placements[0].metrics;
        assert_eq!((shown.nodes_evaluated, shown.score_meta_data.len()), (1, 1));
        assert!(
            world.run_again("j").plan().is_none(),
            "{kind}: all are there"
        );
        world.add_node(node(6));
        world.run_again("j");
        assert_eq!(nodes(&world), these([1, 1, 2, 2, 3, 3, 6, 6]), "{kind}");
    }
}

#[test]
fn a_node_that_takes_nothing_new_keeps_its_own_and_one_that_is_lost_gets_it_back() {
    for kind in ["system", "sysbatch"] {
        let mut world = World::new(3);
        world.run_register(&of_type(kind));
        let closed = NodeControl {
            scheduling_eligibility: Eligibility::Ineligible,
        };
        world.control_node(1, &closed);
        world.set_node(node_id(2), NodeState::Down);
        world.add_node(node(4));
        world.control_node(4, &closed);
        let outcome = world.run_again("j");
        assert_eq!(nodes(&world), these([1, 3]), "{kind}");
        let stops = &outcome.plan().unwrap().stops;
        assert_eq!(stops.len(), 1, "{kind}");
        assert_eq!(stops[0].desired_status, DesiredStatus::Lost);
        assert!(world.run_again("j").plan().is_none(), "{kind}");
        world.set_node(node_id(2), NodeState::Ready);
        world.run_again("j");
        assert_eq!(nodes(&world), these([1, 2, 3]), "{kind}: it is back");
    }
}

#[test]
fn what_ended_has_its_successor_on_its_node_unless_it_was_to_run_once() {
    for (kind, client, successor) in [
        ("system", ClientStatus::Failed, true),
        ("system", ClientStatus::Complete, true),
        ("sysbatch", ClientStatus::Complete, false),
        ("sysbatch", ClientStatus::Failed, false),
    ] {
        let what = format!("{kind} {client:?}");
        let mut world = World::new(2);
        let mut job = of_type(kind);
        world.run_register(&job);
        let first = world.live("j")[0].clone();
        world.report(first.id, client, None);
        let outcome = world.run_again("j");
        let placed = outcome.plan().map_or(&[][..], |plan| &plan.placements);
        assert_eq!(placed.len(), usize::from(successor), "{what}");
        for alloc in placed {
            assert_eq!(alloc.node_id, first.node_id, "{what}");
            assert_eq!(alloc.previous_allocation, Some(first.id), "{what}");
        }
        // Nothing is wanted of what has its successor: else it would never be collected.
        let wanted = world.state.alloc(first.id).unwrap().desired_status;
        let still = wanted == DesiredStatus::Run;
        assert_eq!(still, !successor, "{what}");
        // A new version runs everywhere.
        task(&mut job).env.insert("A".to_owned(), "b".to_owned());
        world.run_register(&job);
        let versions: BTreeSet<u64> = world.live("j").iter().map(|a| a.job_version).collect();
        assert_eq!(
            (nodes(&world), versions),
            (these([1, 2]), [1].into()),
            "{what}"
        );
    }
}

#[test]
fn what_was_asked_to_stop_is_started_anew_on_its_node() {
    for kind in ["system", "sysbatch"] {
        let mut world = World::new(2);
        world.run_register(&of_type(kind));
        let stopped = world.live("j")[0].clone();
        world.ask_to_stop(stopped.id);
        let outcome = world.run_again("j");
        let plan = outcome.plan().unwrap();
        assert_eq!(plan.stops[0].alloc_id, stopped.id, "{kind}");
        assert_eq!(plan.placements[0].node_id, stopped.node_id, "{kind}");
        assert_eq!(nodes(&world), these([1, 2]), "{kind}");
        assert!(world.run_again("j").plan().is_none(), "{kind}");
    }
}

#[test]
fn a_full_node_is_waited_for_and_one_that_will_never_do_is_not() {
    let mut world = World::new(2);
    let mut small = node(3);
    small.resources.cpu = 1_000;
    world.add_node(small.clone());
    let mut job = of_type("system");
    resources(&mut job).cpu = Some(2_000);
    let outcome = world.run_register(&job);
    assert_eq!(nodes(&world), these([1, 2]));
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(failure.dimension_exhausted["cpu"], 1);
    assert_eq!(outcome.eval().queued_allocations[&"g".into()], 1);
    assert_eq!(blocked(&world), 1);
    small.resources.cpu = 4_000;
    world.add_node(small);
    world.run_again("j");
    assert_eq!((nodes(&world), blocked(&world)), (these([1, 2, 3]), 0));

    let mut job = of_type("system");
    job.id = "never".to_owned();
    job.constraints = vec![Constraint {
        ltarget: "${attr.kernel.name}".to_owned(),
        rtarget: "plan9".to_owned(),
        operand: "=".to_owned(),
    }];
    let outcome = world.run_register(&job);
    let eval = outcome.eval();
    let failure = &eval.failed_groups[&"g".into()];
    assert_eq!(
        failure.constraint_filtered["${attr.kernel.name} = plan9"],
        3
    );
    assert_eq!(
        (eval.status, eval.blocked_eval),
        (EvalStatus::Complete, None)
    );
    assert_eq!(eval.queued_allocations[&"g".into()], 0);
}

#[test]
fn an_update_replaces_each_on_its_node_and_rolls_as_far_as_it_may() {
    let stagger = |seconds, most| UpdateStrategy {
        stagger: Some(Nanos::secs(seconds)),
        max_parallel: Some(most),
        ..UpdateStrategy::zero()
    };
    for (what, update, steps) in [
        ("without an update block", None, &[5][..]),
        ("without a stagger", Some(stagger(0, 2)), &[5]),
        ("two at a time", Some(stagger(10, 2)), &[2, 2, 1]),
    ] {
        let mut world = World::new(5);
        let mut job = of_type("system");
        job.update = update;
        world.run_register(&job);
        task(&mut job).env.insert("A".to_owned(), "b".to_owned());
        let mut eval = world.register(&job);
        for (step, replaced) in steps.iter().enumerate() {
            let outcome = world.run(&eval);
            let plan = outcome.plan().unwrap();
            assert_eq!(plan.placements.len(), *replaced, "{what}, step {step}");
            let before: BTreeMap<_, _> = plan
                .stops
                .iter()
                .map(|stop| (stop.alloc_id, stop.node_id))
                .collect();
            for alloc in &plan.placements {
                let previous = alloc.previous_allocation.unwrap();
                assert_eq!(before[&previous], alloc.node_id, "{what}");
            }
            assert_eq!(nodes(&world), these(1..=5), "{what}");
            let last = step + 1 == steps.len();
            assert_eq!(plan.eval.next_eval.is_none(), last, "{what}");
            if let Some(next) = plan.eval.next_eval {
                let rolls = world.state.evals().filter(|eval| {
                    eval.status == EvalStatus::Pending
                        && eval.triggered_by == TriggeredBy::RollingUpdate
                });
                assert_eq!(rolls.count(), 1, "{what}: one chain, step {step}");
                eval = world.state.eval(next).unwrap().value.clone();
                assert_eq!(eval.triggered_by, TriggeredBy::RollingUpdate);
                assert_eq!(eval.wait_until, Some(world.now + 10 * SECOND));
                world.now += 10 * SECOND;
            }
        }
        // What a task doesn't see is taken over as it runs.
        job.priority = Some(70);
        let outcome = world.run_register(&job);
        assert_eq!(outcome.plan().unwrap().in_place.len(), 5, "{what}");
    }
}

#[test]
fn what_is_wanted_no_more_is_stopped() {
    for (what, change, left) in [
        (
            "a count of none",
            (|job: &mut Job| job.task_groups[0].count = Some(0)) as fn(&mut Job),
            0,
        ),
        (
            "another datacenter",
            |job| job.datacenters = vec!["moon".to_owned()],
            0,
        ),
        (
            "another group",
            |job| job.task_groups[0].name = "h".to_owned(),
            2,
        ),
        ("stopped", |job| job.stop = true, 0),
    ] {
        let mut world = World::new(2);
        let mut job = of_type("system");
        world.run_register(&job);
        change(&mut job);
        let outcome = world.run_register(&job);
        assert_eq!(outcome.plan().unwrap().stops.len(), 2, "{what}");
        assert_eq!(world.live("j").len(), left, "{what}");
        assert!(world.run_again("j").plan().is_none(), "{what}");
    }
}

#[test]
fn more_nodes_than_a_plan_holds_take_more_turns() {
    let mut world = World::new(1_100);
    // Full nodes take none of the turns.
    for n in 2_000..2_200 {
        let mut full = node(n);
        full.resources.cpu = 50;
        world.add_node(full);
    }
    let first = world.run_register(&of_type("system"));
    assert_eq!(first.plan().unwrap().placements.len(), 1_000);
    let next = first.eval().next_eval.unwrap();
    let next = world.state.eval(next).unwrap().value.clone();
    let second = world.run(&next);
    assert_eq!(second.plan().unwrap().placements.len(), 100);
    assert_eq!(second.eval().next_eval, None);
    assert_eq!(second.eval().queued_allocations[&"g".into()], 200);
    assert_eq!((nodes(&world), blocked(&world)), (these(1..=1_100), 1));
}
