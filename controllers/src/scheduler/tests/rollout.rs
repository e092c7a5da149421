//! New versions of running jobs, step by step.

use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    deployment::DeploymentStatus,
    duration::Nanos,
    eval::EvalStatus,
    job::{Constraint, ReschedulePolicy},
    node::NodeState,
    plan::StopReason,
};

use super::super::{
    Conclusion,
    fixtures::{World, job, node_id, task, update},
};

/// A job of 4 that runs healthy on 4 nodes, and a version of it that needs new allocs.
fn running(max_parallel: i64) -> (World, rove_model::job::Job) {
    let mut world = World::new(4);
    let mut job = job("j", 4);
    update(&mut job).max_parallel = Some(max_parallel);
    world.run_register(&job);
    world.all_healthy("j");
    if let Some(deployment) = world.deployment("j") {
        world.end_deployment(deployment.id, DeploymentStatus::Successful);
    }
    task(&mut job)
        .env
        .insert("VERSION".to_owned(), "2".to_owned());
    (world, job)
}

fn versions(world: &World) -> Vec<u64> {
    world
        .live("j")
        .iter()
        .map(|alloc| alloc.job_version)
        .collect()
}

#[test]
fn a_destructive_update_goes_max_parallel_at_a_time_as_its_allocs_become_healthy() {
    let (mut world, changed) = running(2);
    let outcome = world.run_register(&changed);
    let desired = outcome.desired[&"g".into()];
    assert_eq!((desired.destructive_update, desired.ignore), (2, 2));
    let plan = outcome.plan().unwrap();
    let deployment = plan.deployment.as_ref().unwrap();
    assert_eq!(deployment.task_groups[&"g".into()].desired_total, 4);
    for (stop, alloc) in plan.stops.iter().zip(&plan.placements) {
        assert_eq!(
            stop.reason.map(StopReason::text),
            Some("alloc is being updated due to job update")
        );
        assert_eq!(alloc.previous_allocation, Some(stop.alloc_id));
        assert!(alloc.reschedule_events.is_empty());
    }
    assert_eq!(versions(&world), [1, 1, 0, 0]);

    assert!(
        matches!(world.run_again("j").conclusion, Conclusion::Eval(_)),
        "none is healthy yet"
    );
    let first = world.live("j")[0].id;
    world.report(first, ClientStatus::Running, Some(true));
    world.run_again("j");
    assert_eq!(versions(&world), [1, 1, 1, 0]);
    let second = world.live("j")[1].id;
    world.report(second, ClientStatus::Running, Some(false));
    assert!(
        matches!(world.run_again("j").conclusion, Conclusion::Eval(_)),
        "an unhealthy one holds the rest back"
    );
    world.all_healthy("j");
    world.run_again("j");
    assert_eq!(versions(&world), [1, 1, 1, 1]);
}

#[test]
fn without_a_rolling_update_all_are_replaced_at_once() {
    let (mut world, changed) = running(0);
    let outcome = world.run_register(&changed);
    assert_eq!(outcome.desired[&"g".into()].destructive_update, 4);
    assert!(outcome.plan().unwrap().deployment.is_none());
    assert_eq!(versions(&world), [1, 1, 1, 1]);
}

#[test]
fn a_version_that_changes_no_task_is_taken_over_in_place() {
    let (mut world, _) = running(1);
    let mut changed = job("j", 4);
    changed.meta.clear();
    changed.priority = Some(70);
    update(&mut changed).max_parallel = Some(1);
    let before = world
        .live("j")
        .iter()
        .map(|alloc| alloc.id)
        .collect::<Vec<_>>();
    let outcome = world.run_register(&changed);
    assert_eq!(outcome.desired[&"g".into()].in_place_update, 4);
    assert!(outcome.plan().unwrap().stops.is_empty());
    let after = world
        .live("j")
        .iter()
        .map(|alloc| alloc.id)
        .collect::<Vec<_>>();
    assert_eq!(before, after);
    assert_eq!(versions(&world), [1, 1, 1, 1]);
}

#[test]
fn a_constraint_that_the_node_does_not_meet_replaces_the_alloc() {
    let mut world = World::new(1);
    let mut other = super::super::fixtures::node(2);
    other.meta.insert("rack".to_owned(), "r2".to_owned());
    world.run_register(&job("j", 1));
    world.add_node(other);
    let mut picky = job("j", 1);
    picky.constraints = vec![Constraint {
        ltarget: "${meta.rack}".to_owned(),
        rtarget: "r2".to_owned(),
        operand: "=".to_owned(),
    }];
    let outcome = world.run_register(&picky);
    assert_eq!(outcome.desired[&"g".into()].destructive_update, 1);
    assert_eq!(world.live("j")[0].node_id, node_id(2));
}

#[test]
fn a_newer_version_cancels_the_deployment_of_the_older() {
    let (mut world, mut changed) = running(1);
    world.run_register(&changed);
    let old = world.deployment("j").unwrap().id;
    task(&mut changed)
        .env
        .insert("VERSION".to_owned(), "3".to_owned());
    let outcome = world.run_register(&changed);
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.deployment_ends[0].deployment_id, old);
    assert_eq!(plan.deployment_ends[0].status, DeploymentStatus::Cancelled);
    assert_eq!(
        plan.deployment_ends[0].status_description,
        "Cancelled due to newer version of job"
    );
    assert_eq!(plan.deployment.as_ref().unwrap().job_version, 2);
}

#[test]
fn a_paused_or_failed_deployment_replaces_nothing_but_what_is_lost() {
    for status in [DeploymentStatus::Paused, DeploymentStatus::Failed] {
        let (mut world, changed) = running(1);
        world.run_register(&changed);
        world.all_healthy("j");
        let deployment = world.deployment("j").unwrap().id;
        world.end_deployment(deployment, status);
        let outcome = world.run_again("j");
        assert!(
            matches!(outcome.conclusion, Conclusion::Eval(_)),
            "{status:?}"
        );
        assert_eq!(outcome.desired[&"g".into()].ignore, 4);
        // An alloc that ended by itself is not placed anew either.
        let last = world.live("j")[3].clone();
        world.report(last.id, ClientStatus::Complete, None);
        assert!(matches!(
            world.run_again("j").conclusion,
            Conclusion::Eval(_)
        ));
        let lost = world.live("j")[0].clone();
        world.set_node(lost.node_id, NodeState::Down);
        let outcome = world.run_again("j");
        let plan = outcome.plan().unwrap();
        assert!(
            plan.placements
                .iter()
                .any(|alloc| alloc.previous_allocation == Some(lost.id)),
            "{status:?}"
        );
    }
}

#[test]
fn what_failed_in_a_deployment_that_was_given_up_is_not_replaced() {
    let (mut world, mut changed) = running(1);
    changed.task_groups[0].reschedule_policy = Some(ReschedulePolicy {
        unlimited: Some(true),
        delay: Some(Nanos::secs(0)),
        ..ReschedulePolicy::default()
    });
    world.run_register(&changed);
    let new = world.live("j")[0].clone();
    assert_eq!(new.job_version, 1);
    let old = world.live("j")[1].clone();
    let deployment = world.deployment("j").unwrap().id;
    world.end_deployment(deployment, DeploymentStatus::Failed);
    world.report(new.id, ClientStatus::Failed, Some(false));
    assert!(matches!(
        world.run_again("j").conclusion,
        Conclusion::Eval(_)
    ));
    // One that does not belong to it is.
    world.report(old.id, ClientStatus::Failed, None);
    world.now += 3_600 * super::super::fixtures::SECOND;
    let outcome = world.run_again("j");
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.placements.len(), 1);
    assert_eq!(plan.placements[0].previous_allocation, Some(old.id));
}

#[test]
fn without_a_progress_deadline_a_failure_waits_for_the_deployment_to_end() {
    let mut world = World::new(2);
    let mut job = job("j", 1);
    update(&mut job).progress_deadline = Some(Nanos::secs(0));
    job.task_groups[0].reschedule_policy = Some(ReschedulePolicy {
        unlimited: Some(true),
        delay: Some(Nanos::secs(0)),
        ..ReschedulePolicy::default()
    });
    world.run_register(&job);
    let id = world.live("j")[0].id;
    world.report(id, ClientStatus::Failed, Some(false));
    assert!(matches!(
        world.run_again("j").conclusion,
        Conclusion::Eval(_)
    ));
    let deployment = world.deployment("j").unwrap().id;
    world.end_deployment(deployment, DeploymentStatus::Successful);
    assert_eq!(world.run_again("j").plan().unwrap().placements.len(), 1);
}

#[test]
fn a_running_alloc_is_not_stopped_when_its_successor_finds_no_place() {
    let (mut world, mut changed) = running(4);
    super::super::fixtures::resources(&mut changed).memory_mb = Some(9_000_000);
    let outcome = world.run_register(&changed);
    let plan = outcome.plan().unwrap();
    assert!(plan.stops.is_empty() && plan.placements.is_empty());
    assert_eq!(plan.eval.status, EvalStatus::Complete);
    assert_eq!(plan.eval.queued_allocations[&"g".into()], 4);
    assert_eq!(plan.eval.failed_groups[&"g".into()].coalesced_failures, 3);
    assert_eq!(outcome.desired[&"g".into()].destructive_update, 4);
    assert_eq!(versions(&world), [0, 0, 0, 0]);
}

#[test]
fn a_successor_may_use_the_room_of_the_one_it_replaces() {
    let mut world = World::new(1);
    let mut job = super::super::fixtures::with_ports(job("j", 1), &[8080], 0);
    super::super::fixtures::resources(&mut job).memory_mb = Some(8_000);
    world.run_register(&job);
    world.all_healthy("j");
    task(&mut job)
        .env
        .insert("VERSION".to_owned(), "2".to_owned());
    let outcome = world.run_register(&job);
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.placements.len(), 1);
    assert_eq!(plan.stops[0].desired_status, DesiredStatus::Stop);
    assert_eq!(plan.placements[0].resources.ports[0].value, 8080);
}
