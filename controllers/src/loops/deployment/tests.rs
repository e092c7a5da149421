#![allow(clippy::unwrap_used)]

use rove_model::{
    alloc::{ClientStatus, RescheduleEvent},
    duration::Nanos,
    job::ReschedulePolicy,
};

use super::*;
use crate::{
    clock::SECOND,
    loops::testing::{World, decide},
};

#[test]
fn it_succeeds_when_every_alloc_is_healthy_and_marks_the_version_as_stable() {
    let mut world = World::new();
    let job = world.placed("web", 3);
    let id = world.deployment(&job, 3, 600);
    let allocs = world.allocs(&job);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    for alloc in &allocs[..2] {
        world.health(*alloc, id, true);
    }
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    world.health(allocs[2], id, true);
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision.branch, SUCCESSFUL);
    world.apply(&decision);
    let deployment = world.state.deployment(id).unwrap();
    assert_eq!(
        deployment.status_description,
        "Deployment completed successfully"
    );
    assert!(world.state.stable(&job).unwrap().versions.contains(&0));
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, OVER);
}

#[test]
fn the_next_step_is_asked_for_once_for_each_newly_healthy_alloc() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let id = world.deployment(&job, 3, 600);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    world.health(world.allocs(&job)[0], id, true);
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision.branch, STEP);
    world.apply(&decision);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    world.complete_evals(&job);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
}

#[test]
fn a_newly_healthy_alloc_is_no_reason_to_look_for_room_that_was_not_there() {
    let mut world = World::new();
    let job = world.placed("web", 3);
    let id = world.deployment(&job, 5, 600);
    world.block(&job, []);
    for alloc in world.allocs(&job) {
        world.health(alloc, id, true);
        assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    }
    // What is still to be replaced waits for health, room or not.
    let node = world.state.alloc(world.allocs(&job)[0]).unwrap().node_id;
    let old = world.new_alloc(&job, node, 3);
    world.state.put(&Key::Alloc(node, old.id), &old).unwrap();
    world.update(&job, 5);
    world.ask(&job);
    world.complete_evals(&job);
    let new = world.new_alloc(&job, node, 4);
    world.state.put(&Key::Alloc(node, new.id), &new).unwrap();
    let id = world.deployment(&job, 5, 600);
    world.block(&job, []);
    world.status(new.id, ClientStatus::Running);
    world.health(new.id, id, true);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, STEP);
}

#[test]
fn it_goes_on_while_an_alloc_of_an_older_version_runs() {
    let mut world = World::new();
    let job = world.placed("web", 2);
    let old = world.allocs(&job)[0];
    world.update(&job, 2);
    world.ask(&job);
    world.complete_evals(&job);
    let node = world.state.alloc(old).unwrap().node_id;
    let new = world.new_alloc(&job, node, 1);
    world.state.put(&Key::Alloc(node, new.id), &new).unwrap();
    world.desire(
        world.allocs(&job)[1],
        rove_model::alloc::DesiredStatus::Stop,
    );
    let id = world.deployment(&job, 1, 600);
    let mut stays = world.state.alloc(old).unwrap().value.clone();
    stays.deployment_id = None;
    world.put_alloc(stays);
    world.status(new.id, ClientStatus::Running);
    world.health(new.id, id, true);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, STEP);
    world.desire(old, rove_model::alloc::DesiredStatus::Stop);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, SUCCESSFUL);
}

#[test]
fn it_fails_when_no_alloc_becomes_healthy_before_the_deadline() {
    let mut world = World::new();
    let job = world.placed("web", 2);
    let id = world.deployment(&job, 2, 600);
    let started = world.now;
    world.now += 500 * SECOND;
    world.health(world.allocs(&job)[0], id, true);
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision, Decision::at(UNDER_WAY, started + 1_100 * SECOND));
    world.now = started + 1_100 * SECOND;
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision.branch, LATE);
    world.apply(&decision);
    let deployment = world.state.deployment(id).unwrap();
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    assert_eq!(
        deployment.status_description,
        "Failed due to progress deadline"
    );
}

#[test]
fn it_ends_at_its_deadline_even_when_nothing_of_it_lives() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let id = world.deployment(&job, 1, 600);
    world.status(world.allocs(&job)[0], ClientStatus::Failed);
    let due = world.now + 600 * SECOND;
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision, Decision::at(UNDER_WAY, due));
    world.now = due;
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, LATE);
}

#[test]
fn an_unhealthy_alloc_fails_it_only_where_no_deadline_gives_it_another_chance() {
    for (deadline, branch) in [(600, UNDER_WAY), (0, UNHEALTHY)] {
        let mut world = World::new();
        let job = world.placed("web", 2);
        let id = world.deployment(&job, 2, deadline);
        world.health(world.allocs(&job)[0], id, false);
        assert_eq!(
            decide(&DeploymentLoop, &world, &id).branch,
            branch,
            "{deadline} s"
        );
    }
}

#[test]
fn a_replacement_gives_it_no_more_time_and_a_healthy_alloc_does() {
    for (what, begun, replaced_after, healthy_after, due) in [
        ("one alloc", false, None, None, 600),
        ("replaced early", false, Some(100), None, 600),
        ("replaced late", false, Some(590), None, 600),
        ("its successor is healthy", false, Some(100), Some(300), 900),
        (
            "its time was fixed when it was planned",
            true,
            Some(100),
            None,
            550,
        ),
        (
            "its time was fixed and one is healthy",
            true,
            None,
            Some(300),
            900,
        ),
    ] {
        let mut world = World::new();
        let job = world.placed("web", 1);
        let id = world.deployment(&job, 2, 600);
        let started = world.now;
        if begun {
            let mut deployment = world.state.deployment(id).unwrap().value.clone();
            let group = deployment.task_groups.get_mut(&"group".into()).unwrap();
            group.require_progress_by = Some(started + 550 * SECOND);
            world.state.put(&Key::Deployment(id), &deployment).unwrap();
        }
        let mut last = world.allocs(&job)[0];
        if let Some(after) = replaced_after {
            world.now = started + after * SECOND;
            world.status(last, ClientStatus::Failed);
            world.desire(last, DesiredStatus::Stop);
            let node = world.state.alloc(last).unwrap().node_id;
            let mut next = world.new_alloc(&job, node, 0);
            next.deployment_id = Some(id);
            next.previous_allocation = Some(last);
            world.state.put(&Key::Alloc(node, next.id), &next).unwrap();
            last = next.id;
        }
        if let Some(after) = healthy_after {
            world.now = started + after * SECOND;
            world.health(last, id, true);
        }
        let deployment = world.state.deployment(id).unwrap();
        let progress = Progress::of(&world.state, deployment, &"group".into());
        assert_eq!(progress.deadline, Some(started + due * SECOND), "{what}");
    }
}

#[test]
fn it_fails_at_once_when_an_unhealthy_alloc_is_not_replaced_any_more() {
    for (what, attempts, former, desired, branch) in [
        ("unlimited", None, 7, DesiredStatus::Run, UNDER_WAY),
        (
            "none to begin with",
            Some(0),
            0,
            DesiredStatus::Run,
            UNHEALTHY,
        ),
        ("one is left", Some(2), 1, DesiredStatus::Run, UNDER_WAY),
        ("none is left", Some(2), 2, DesiredStatus::Run, UNHEALTHY),
        (
            "it was replaced",
            Some(2),
            2,
            DesiredStatus::Stop,
            UNDER_WAY,
        ),
    ] {
        let mut world = World::new();
        let job = world.placed("web", 2);
        let mut version = world.state.current_job(&job).unwrap().value.clone();
        version.job.task_groups[0].reschedule_policy = Some(ReschedulePolicy {
            attempts,
            unlimited: Some(attempts.is_none()),
            interval: Some(Nanos::secs(3_600)),
            delay: Some(Nanos::secs(5)),
            ..ReschedulePolicy::default()
        });
        let key = Key::JobVersion(world.version_key(&job));
        world.state.put(&key, &version).unwrap();
        let id = world.deployment(&job, 2, 600);
        let mut alloc = world
            .state
            .alloc(world.allocs(&job)[0])
            .unwrap()
            .value
            .clone();
        for _ in 0..former {
            alloc.reschedule_events.push(RescheduleEvent {
                reschedule_time: world.now,
                previous_alloc: alloc.id,
                previous_node: alloc.node_id,
                delay: 5 * SECOND,
            });
        }
        alloc.desired_status = desired;
        let of = alloc.id;
        world.put_alloc(alloc);
        world.health(of, id, false);
        let decision = decide(&DeploymentLoop, &world, &id);
        assert_eq!(decision.branch, branch, "{what}");
    }
}

#[test]
fn an_alloc_that_is_no_longer_live_does_not_count_as_healthy() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let id = world.deployment(&job, 1, 600);
    let alloc = world.allocs(&job)[0];
    world.health(alloc, id, true);
    world.status(alloc, ClientStatus::Failed);
    // Its health was news, so the next step is asked for; the roll-out is not over.
    assert_ne!(decide(&DeploymentLoop, &world, &id).branch, SUCCESSFUL);
}

#[test]
fn what_it_had_reached_stays_when_its_allocs_move_on() {
    for cancelled in [false, true] {
        let mut world = World::new();
        let job = world.placed("web", 3);
        let id = world.deployment(&job, 3, 600);
        let allocs = world.allocs(&job);
        world.health(allocs[0], id, true);
        world.health(allocs[1], id, true);
        world.health(allocs[2], id, !cancelled);
        if cancelled {
            world.update(&job, 3);
        }
        let counts = |world: &World| {
            let deployment = world.state.deployment(id).unwrap();
            facts::deployment_counts(&world.state, deployment)[&"group".into()].clone()
        };
        let reached = counts(&world);
        assert_eq!(
            (reached.placed, reached.healthy),
            (3, 3 - u64::from(cancelled))
        );
        let decision = decide(&DeploymentLoop, &world, &id);
        world.apply(&decision);
        assert!(!world.state.deployment(id).unwrap().status.is_active());
        for alloc in allocs {
            let mut alloc = world.state.alloc(alloc).unwrap().value.clone();
            alloc.deployment_id = None;
            world.put_alloc(alloc);
        }
        assert_eq!(counts(&world), reached, "cancelled: {cancelled}");
    }
}

#[test]
fn a_verdict_of_another_deployment_is_none_of_this_one() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let before = world.deployment(&job, 1, 600);
    let alloc = world.allocs(&job)[0];
    world.health(alloc, before, true);
    let id = world.deployment(&job, 1, 600);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, UNDER_WAY);
    world.health(alloc, id, true);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, SUCCESSFUL);
}

#[test]
fn it_is_cancelled_when_the_job_moved_on() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let id = world.deployment(&job, 1, 600);
    world.update(&job, 2);
    assert_eq!(decide(&DeploymentLoop, &world, &id).branch, SUPERSEDED);
    world.stop(&job, false);
    let decision = decide(&DeploymentLoop, &world, &id);
    assert_eq!(decision.branch, STOPPED);
    world.apply(&decision);
    assert_eq!(
        world.state.deployment(id).unwrap().status,
        DeploymentStatus::Cancelled
    );
}
