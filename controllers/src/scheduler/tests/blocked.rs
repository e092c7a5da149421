//! What finds no place.

use rove_model::{
    eval::{EvalStatus, TriggeredBy},
    ids::JobKey,
    job::Constraint,
    node::NodeState,
};

use super::super::{
    Conclusion,
    fixtures::{World, group, job, node, node_id, resources},
};

fn blocked_of(world: &World, id: &str) -> Vec<rove_model::eval::Eval> {
    world
        .state
        .evals_of_job(&JobKey::new("default", id))
        .filter(|eval| eval.status == EvalStatus::Blocked)
        .map(|eval| eval.value.clone())
        .collect()
}

#[test]
fn what_finds_no_place_waits_in_a_blocked_evaluation() {
    let mut world = World::new(2);
    let mut big = job("big", 5);
    resources(&mut big).cpu = Some(2_000);
    let outcome = world.run_register(&big);
    let eval = outcome.eval();
    assert_eq!(world.live("big").len(), 4);
    assert_eq!(eval.status, EvalStatus::Complete);
    assert_eq!(eval.queued_allocations[&"g".into()], 1);
    let failure = &eval.failed_groups[&"g".into()];
    assert_eq!(failure.dimension_exhausted["cpu"], 2);
    assert_eq!(failure.resources_exhausted["t"].cpu, 2_000);
    let blocked = blocked_of(&world, "big").remove(0);
    assert_eq!(eval.blocked_eval, Some(blocked.id));
    assert_eq!(blocked.triggered_by, TriggeredBy::QueuedAllocs);
    assert_eq!(
        blocked.status_description,
        "created to place remaining allocations"
    );
    assert_eq!(blocked.previous_eval, Some(eval.id));
    assert_eq!(blocked.failed_groups, eval.failed_groups);
    assert_eq!(blocked.snapshot, outcome.plan().unwrap().snapshot);
    let class = node(1).compute_class();
    assert_eq!(blocked.class_eligibility, [(class, true)].into());
    // The deployment wants all of them.
    let deployment = world.deployment("big").unwrap();
    assert_eq!(deployment.task_groups[&"g".into()].desired_total, 5);
}

#[test]
fn a_blocked_evaluation_that_is_woken_in_vain_is_blocked_again() {
    let mut world = World::new(1);
    let mut big = job("big", 3);
    resources(&mut big).cpu = Some(2_000);
    world.run_register(&big);
    let mut woken = blocked_of(&world, "big").remove(0);
    woken.status = EvalStatus::Pending;
    world.now += 1;
    let outcome = world.run(&woken);
    let Conclusion::Eval(again) = &outcome.conclusion else {
        panic!("nothing is to be done");
    };
    assert_eq!(again.status, EvalStatus::Blocked);
    assert_eq!(again.id, woken.id);
    assert!(again.snapshot > woken.snapshot);
    // Room for it.
    world.add_node(node(2));
    let outcome = world.run(&woken);
    assert_eq!(outcome.eval().status, EvalStatus::Complete);
    assert_eq!(world.live("big").len(), 3);
    assert!(blocked_of(&world, "big").is_empty());
}

#[test]
fn a_job_has_one_blocked_evaluation_at_most() {
    let mut world = World::new(1);
    let mut big = job("big", 3);
    resources(&mut big).cpu = Some(2_000);
    world.run_register(&big);
    let first = blocked_of(&world, "big").remove(0).id;
    let outcome = world.run_again("big");
    assert_eq!(outcome.plan().unwrap().cancels, [first]);
    let blocked = blocked_of(&world, "big");
    assert_eq!(blocked.len(), 1);
    assert_ne!(blocked[0].id, first);
    world.add_node(node(2));
    world.run_again("big");
    assert!(blocked_of(&world, "big").is_empty(), "all are placed");
    let outcome = world.run_again("big");
    assert!(outcome.plan().is_none());
}

#[test]
fn a_stopped_job_waits_for_nothing() {
    let mut world = World::new(0);
    world.run_register(&job("j", 1));
    assert_eq!(blocked_of(&world, "j").len(), 1);
    let eval = world.stop("j", false);
    world.run(&eval);
    assert!(blocked_of(&world, "j").is_empty());
}

#[test]
fn classes_are_noted_as_they_could_hold_what_is_missing() {
    let mut world = World::new(0);
    let mut windows = node(1);
    windows
        .attributes
        .insert("kernel.name".to_owned(), "windows".to_owned());
    let mut moon = node(2);
    moon.datacenter = "moon".to_owned();
    let mut down = node(3);
    down.node_class = "broken".to_owned();
    for node in [&windows, &moon, &down, &node(4)] {
        world.add_node(node.clone());
    }
    world.set_node(node_id(3), NodeState::Down);
    let mut big = job("big", 2);
    resources(&mut big).cpu = Some(9_000);
    big.task_groups.push(group("h", 1));
    big.canonicalize();
    big.constraints = vec![Constraint {
        ltarget: "${attr.kernel.name}".to_owned(),
        rtarget: "linux".to_owned(),
        operand: "=".to_owned(),
    }];
    world.run_register(&big);
    let blocked = blocked_of(&world, "big").remove(0);
    assert_eq!(
        blocked.class_eligibility,
        [
            (windows.compute_class(), false),
            (node(4).compute_class(), true),
        ]
        .into(),
        "what was not looked at is absent"
    );
    assert!(!blocked.failed_groups.contains_key(&"h".into()));
    assert_eq!(blocked.failed_groups[&"g".into()].coalesced_failures, 1);
}

#[test]
fn a_constraint_on_a_node_itself_rules_no_class_out() {
    let mut world = World::new(2);
    let mut picky = job("picky", 1);
    picky.constraints = vec![Constraint {
        ltarget: "${node.unique.name}".to_owned(),
        rtarget: "node-9".to_owned(),
        operand: "=".to_owned(),
    }];
    let outcome = world.run_register(&picky);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(
        failure.constraint_filtered["${node.unique.name} = node-9"],
        2
    );
    let blocked = blocked_of(&world, "picky").remove(0);
    assert!(blocked.class_eligibility.values().all(|eligible| *eligible));
}

#[test]
fn node_classes_are_counted_by_name() {
    let mut world = World::new(0);
    for n in 1..=4 {
        let mut node = node(n);
        node.node_class = if n == 1 { "small" } else { "large" }.to_owned();
        if n == 4 {
            node.drivers.clear();
        }
        world.add_node(node);
    }
    let mut big = job("big", 1);
    resources(&mut big).memory_mb = Some(9_000);
    let outcome = world.run_register(&big);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(failure.class_filtered, [("large".to_owned(), 1)].into());
    assert_eq!(
        failure.class_exhausted,
        [("large".to_owned(), 2), ("small".to_owned(), 1)].into()
    );
    assert_eq!(failure.constraint_filtered["missing drivers"], 1);
    assert_eq!(failure.dimension_exhausted["memory"], 3);
    assert_eq!(failure.nodes_evaluated, 4);
    assert_eq!((failure.nodes_filtered, failure.nodes_exhausted), (1, 3));
}
