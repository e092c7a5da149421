#![allow(clippy::unwrap_used)]

use rove_model::{alloc::ClientStatus, deployment::DeploymentStatus, ids::JobKey};
use uuid::Uuid;

use super::*;
use crate::loops::testing::{World, decide};

const LOOP: ApplierLoop = ApplierLoop {
    max_refusals: 5,
    overlay: 200,
};

fn planned(world: &mut World, job: &JobKey, change: impl FnOnce(&mut Plan)) -> EvalId {
    let id = world.ask(job);
    let eval = world.state.eval(id).unwrap().value.clone();
    let mut plan = world.empty_plan(eval);
    change(&mut plan);
    world.state.put(&Key::Plan(id), &plan).unwrap();
    id
}

fn with_placements(world: &mut World, job: &JobKey, count: u32) -> EvalId {
    let node = NodeId(Uuid::from_u128(1));
    let allocs: Vec<PlacedAlloc> = (0..count)
        .map(|index| world.new_alloc(job, node, index))
        .collect();
    planned(world, job, |plan| plan.placements = allocs)
}

fn status(world: &World, eval: EvalId) -> EvalStatus {
    world.state.eval(eval).unwrap().status
}

#[test]
fn a_plan_becomes_allocs_and_ends_its_eval() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("web", 3);
    let eval = with_placements(&mut world, &job, 3);
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, APPLIED);
    assert_eq!(decision.memo.as_ref().unwrap().len(), 3);
    world.apply(&decision);
    assert_eq!(world.allocs(&job).len(), 3);
    assert_eq!(status(&world, eval), EvalStatus::Complete);
    assert!(world.state.plan(eval).is_none());
    assert_eq!(decide(&LOOP, &world, &eval).branch, GONE);
}

#[test]
fn a_half_written_plan_is_finished_without_a_second_alloc() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("web", 3);
    let eval = with_placements(&mut world, &job, 3);
    let one = world.state.plan(eval).unwrap().placements[1].clone();
    world
        .state
        .put(&Key::Alloc(one.node_id, one.id), &one)
        .unwrap();
    world.status(one.id, ClientStatus::Running);
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, APPLIED);
    world.apply(&decision);
    let indexes: BTreeSet<u32> = world
        .state
        .allocs_of_job(&job)
        .map(|alloc| alloc.index)
        .collect();
    assert_eq!(world.allocs(&job).len(), 3);
    assert_eq!(indexes.len(), 3);
}

#[test]
fn what_does_not_fit_any_more_is_not_written_and_the_eval_goes_again_until_it_blocks() {
    let mut world = World::new();
    world.node(1);
    let full = world.placed("full", 9);
    let job = world.register("web", 2);
    let eval = with_placements(&mut world, &job, 2);
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, REFUSED);
    world.apply(&decision);
    assert_eq!(world.allocs(&job).len(), 1, "one fits");
    for attempt in 2..=5 {
        let node = NodeId(Uuid::from_u128(1));
        let alloc = world.new_alloc(&job, node, 1);
        let before = world.state.eval(eval).unwrap().value.clone();
        assert_eq!(
            (before.status, before.plan_refusals),
            (EvalStatus::Pending, attempt - 1)
        );
        let mut plan = world.empty_plan(before);
        plan.placements = vec![alloc];
        world.state.put(&Key::Plan(eval), &plan).unwrap();
        let decision = decide(&LOOP, &world, &eval);
        world.apply(&decision);
    }
    assert_eq!(status(&world, eval), EvalStatus::Failed);
    let blocked = world.state.eval(eval).unwrap().blocked_eval.unwrap();
    assert_eq!(status(&world, blocked), EvalStatus::Blocked);
    assert_eq!(world.allocs(&full).len(), 9);
}

#[test]
fn what_is_being_written_counts_as_there() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("web", 6);
    let eval = with_placements(&mut world, &job, 6);
    let other = world.register("other", 6);
    let node = NodeId(Uuid::from_u128(1));
    let under_way: Placements = Arc::new(
        (0..6)
            .map(|index| world.new_alloc(&other, node, index).with_metrics(LeftOut))
            .collect(),
    );
    let in_flight = [under_way];
    let view = View {
        state: &world.state,
        memory: &(),
        in_flight: &in_flight,
        now: world.now,
    };
    let mut rng = rand::SeedableRng::seed_from_u64(1);
    let decision = LOOP.decide(&view, &eval, &mut rng);
    assert_eq!(decision.branch, REFUSED);
    assert_eq!(decision.memo.unwrap().len(), 4);
}

#[test]
fn a_plan_of_a_job_that_changed_since_is_dropped() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("web", 1);
    let eval = with_placements(&mut world, &job, 1);
    world.stop(&job, false);
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, OUTDATED);
    world.apply(&decision);
    assert!(world.allocs(&job).is_empty() && world.state.plan(eval).is_none());
    assert_eq!(status(&world, eval), EvalStatus::Pending);
}

#[test]
fn a_stop_and_its_successor_on_the_same_node_are_one_group() {
    let mut world = World::new();
    let job = world.placed("web", 2);
    let old = world.allocs(&job);
    world.update(&job, 2);
    let node = NodeId(Uuid::from_u128(1));
    let mut new = world.new_alloc(&job, node, 0);
    new.previous_allocation = Some(old[0]);
    let eval = planned(&mut world, &job, |plan| {
        plan.placements = vec![new];
        plan.stops = vec![PlannedStop {
            alloc_id: old[0],
            node_id: node,
            desired_status: DesiredStatus::Stop,
            reason: Some(StopReason::Updating),
            follow_up_eval: None,
        }];
        plan.in_place = vec![InPlaceUpdate {
            alloc_id: old[1],
            node_id: node,
            job_version: 1,
            deployment_id: None,
        }];
    });
    let decision = decide(&LOOP, &world, &eval);
    let sizes: Vec<usize> = decision.commit.groups.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 1]);
    world.apply(&decision);
    let state = &world.state;
    assert_eq!(
        state.alloc(old[0]).unwrap().desired_status,
        DesiredStatus::Stop
    );
    assert_eq!(state.alloc(old[1]).unwrap().job_version, 1);
    assert_eq!(state.alloc(old[1]).unwrap().eval_id, eval);
    assert_eq!(world.allocs(&job).len(), 3);
}

#[test]
fn a_deployment_stands_before_the_allocs_that_refer_to_it_and_the_older_one_ends() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let old = world.deployment(&job, 1, 600);
    world.update(&job, 1);
    let mut new = world.state.deployment(old).unwrap().value.clone();
    new.id = rove_model::ids::DeploymentId(Uuid::from_u128(99));
    let eval = planned(&mut world, &job, |plan| {
        plan.deployment = Some(new.clone());
        plan.deployment_ends = vec![rove_model::plan::DeploymentEnd {
            deployment_id: old,
            status: DeploymentStatus::Cancelled,
            status_description: "Cancelled due to newer version of job".to_owned(),
        }];
    });
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.commit.first.iter().flatten().count(), 2);
    world.apply(&decision);
    assert!(world.state.deployment(new.id).is_some());
    assert_eq!(
        world.state.deployment(old).unwrap().status,
        DeploymentStatus::Cancelled
    );
}

#[test]
fn stops_of_allocs_that_are_gone_or_stopped_already_are_skipped() {
    let mut world = World::new();
    let job = world.placed("web", 1);
    let alloc = world.allocs(&job)[0];
    world.desire(alloc, DesiredStatus::Stop);
    world.stop(&job, false);
    let stop = |alloc_id| PlannedStop {
        alloc_id,
        node_id: NodeId(Uuid::from_u128(1)),
        desired_status: DesiredStatus::Stop,
        reason: None,
        follow_up_eval: None,
    };
    let eval = planned(&mut world, &job, |plan| {
        plan.stops = vec![stop(alloc), stop(AllocId(Uuid::from_u128(5)))];
    });
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, APPLIED);
    assert!(decision.commit.groups.is_empty());
}

#[test]
fn an_alloc_that_is_to_stop_at_once_is_told_so() {
    for (what, asked, of_job, expected) in [
        ("asked for the alloc", true, false, true),
        ("asked for the job", false, true, true),
        ("not asked", false, false, false),
    ] {
        let mut world = World::new();
        let job = world.placed("web", 1);
        let alloc = world.allocs(&job)[0];
        let node = NodeId(Uuid::from_u128(1));
        world.stop(&job, false);
        let mut registration = world.state.registration(&job).unwrap().value.clone();
        registration.no_shutdown_delay = of_job;
        world
            .state
            .put(&Key::Registration(job.clone()), &registration)
            .unwrap();
        let control = rove_model::alloc::AllocControl {
            stop: asked.then(|| EvalId(Uuid::from_u128(9))),
            no_shutdown_delay: asked,
        };
        world
            .state
            .put(&Key::AllocControl(node, alloc), &control)
            .unwrap();
        let eval = planned(&mut world, &job, |plan| {
            plan.stops = vec![PlannedStop {
                alloc_id: alloc,
                node_id: node,
                desired_status: DesiredStatus::Stop,
                reason: None,
                follow_up_eval: None,
            }];
        });
        let decision = decide(&LOOP, &world, &eval);
        world.apply(&decision);
        let found = world.state.alloc(alloc).unwrap();
        assert_eq!(found.desired_status, DesiredStatus::Stop, "{what}");
        assert_eq!(found.no_shutdown_delay, expected, "{what}");
    }
}

#[test]
fn a_plan_without_its_eval_is_removed() {
    let mut world = World::new();
    world.node(1);
    let job = world.register("web", 1);
    let eval = with_placements(&mut world, &job, 1);
    world.state.delete(&Key::Eval(eval));
    let decision = decide(&LOOP, &world, &eval);
    assert_eq!(decision.branch, GONE);
    world.apply(&decision);
    assert!(world.state.plan(eval).is_none());
}

#[test]
fn every_follow_up_is_made_however_many_there_are() {
    for (what, fits, branch) in [
        ("applied whole", true, APPLIED),
        ("refused in part", false, REFUSED),
    ] {
        let mut world = World::new();
        world.node(1);
        let (job, other) = (world.register("web", 1), world.register("other", 1));
        let node = NodeId(Uuid::from_u128(1));
        let mut placement = world.new_alloc(&job, node, 0);
        if !fits {
            placement.resources.disk_mb = 1_000_000;
        }
        let waiting = world.block(&other, []);
        let blocked = world.state.eval(waiting).unwrap().value.clone();
        let mut ids = Vec::new();
        let eval = planned(&mut world, &job, |plan| {
            plan.placements = vec![placement];
            for number in 0..300_u32 {
                let id = derived_id(&[&number.to_be_bytes()]);
                let mut later = plan.eval.following(id, TriggeredBy::AllocFailure, 1);
                later.wait_until = Some(i64::from(number) + 1);
                plan.follow_ups.push(later);
                ids.push(id);
            }
            if fits {
                let id = derived_id(&[b"remainder"]);
                let mut remainder = plan.eval.following(id, TriggeredBy::QueuedAllocs, 1);
                remainder.status = EvalStatus::Blocked;
                plan.follow_ups.push(remainder);
                ids.push(id);
                plan.cancels = vec![blocked.id];
            }
        });
        let decision = decide(&LOOP, &world, &eval);
        assert_eq!(decision.branch, branch, "{what}");
        // What ends the plan goes in one transaction, so it is small whatever the plan holds.
        assert!(decision.commit.last.len() < 10, "{what}");
        world.apply(&decision);
        let missing = ids.iter().filter(|id| world.state.eval(**id).is_none());
        assert_eq!(missing.count(), 0, "{what}");
        let canceled = status(&world, waiting) == EvalStatus::Canceled;
        assert_eq!(canceled, fits, "{what}");
    }
}
