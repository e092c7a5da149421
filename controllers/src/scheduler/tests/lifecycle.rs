//! Register, scale, stop, failure and loss.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::{Alloc, ClientStatus, DesiredStatus},
    deployment::DeploymentStatus,
    duration::Nanos,
    encoding::encode,
    eval::{EvalStatus, TriggeredBy},
    ids::{AllocId, JobKey},
    job::{Job, ReschedulePolicy},
    node::NodeState,
    plan::{DesiredUpdates, Plan, StopReason},
};
use rove_store::keys::Key;

use super::super::{
    Conclusion, Outcome,
    fixtures::{SECOND, World, bare_alloc, batch, group, job, node_id, task},
};

fn desired(outcome: &Outcome) -> DesiredUpdates {
    outcome.desired[&"g".into()]
}

fn updates(change: impl FnOnce(&mut DesiredUpdates)) -> DesiredUpdates {
    let mut desired = DesiredUpdates::default();
    change(&mut desired);
    desired
}

fn stops(plan: &Plan) -> Vec<(DesiredStatus, &str)> {
    plan.stops
        .iter()
        .map(|stop| {
            (
                stop.desired_status,
                stop.reason.map_or("", StopReason::text),
            )
        })
        .collect()
}

fn indexes(world: &World, id: &str) -> Vec<u32> {
    world.live(id).iter().map(|alloc| alloc.index).collect()
}

fn reschedule(job: &mut Job, policy: ReschedulePolicy) {
    job.task_groups[0].reschedule_policy = Some(policy);
}

fn unlimited(delay: i64) -> ReschedulePolicy {
    ReschedulePolicy {
        unlimited: Some(true),
        delay: Some(Nanos::secs(delay)),
        max_delay: Some(Nanos::mins(60)),
        delay_function: Some("exponential".to_owned()),
        ..ReschedulePolicy::default()
    }
}

#[test]
fn a_new_job_is_placed_with_a_deployment() {
    let mut world = World::new(2);
    let outcome = world.run_register(&job("j", 3));
    assert_eq!(desired(&outcome), updates(|d| d.place = 3));
    let plan = outcome.plan().unwrap();
    let deployment = plan.deployment.as_ref().unwrap();
    assert_eq!(deployment.status_description, "Deployment is running");
    let group = &deployment.task_groups[&"g".into()];
    assert_eq!(group.desired_total, 3);
    assert_eq!(group.progress_deadline, 600 * SECOND);
    assert_eq!(group.require_progress_by, Some(world.now + 600 * SECOND));
    assert!(!group.promoted);
    for alloc in &plan.placements {
        assert_eq!(alloc.deployment_id, Some(deployment.id));
        assert_eq!(alloc.eval_id, plan.eval.id);
        assert_eq!(alloc.create_time, world.now);
        assert_eq!(alloc.resources.cpu(), 100);
    }
    assert_eq!(plan.eval.status, EvalStatus::Complete);
    assert_eq!(plan.eval.deployment_id, Some(deployment.id));
    assert_eq!(plan.eval.queued_allocations[&"g".into()], 0);
    assert_eq!(indexes(&world, "j"), [0, 1, 2]);
}

#[test]
fn a_second_evaluation_finds_nothing_to_do() {
    let mut world = World::new(2);
    world.run_register(&job("j", 3));
    let outcome = world.run_again("j");
    assert!(matches!(outcome.conclusion, Conclusion::Eval(_)));
    assert_eq!(outcome.eval().status, EvalStatus::Complete);
    assert_eq!(desired(&outcome), updates(|d| d.ignore = 3));
}

#[test]
fn a_job_whose_update_is_not_rolling_has_no_deployment() {
    let mut world = World::new(1);
    let mut not_rolling = job("j", 1);
    not_rolling.task_groups[0]
        .update
        .as_mut()
        .unwrap()
        .max_parallel = Some(0);
    for job in [not_rolling, batch("b", 1)] {
        let outcome = world.run_register(&job);
        let plan = outcome.plan().unwrap();
        assert!(plan.deployment.is_none(), "{}", job.id);
        assert_eq!(plan.placements[0].deployment_id, None);
    }
}

#[test]
fn scaling_up_keeps_the_running_alloc_and_updates_it_in_place() {
    let mut world = World::new(2);
    world.run_register(&job("j", 1));
    world.all_healthy("j");
    let first = world.live("j")[0].id;
    let old = world.deployment("j").unwrap();
    world.end_deployment(old.id, DeploymentStatus::Successful);
    let outcome = world.run_register(&job("j", 3));
    assert_eq!(
        desired(&outcome),
        updates(|d| {
            d.place = 2;
            d.in_place_update = 1;
        })
    );
    let plan = outcome.plan().unwrap();
    let deployment = plan.deployment.as_ref().unwrap();
    assert_eq!(deployment.task_groups[&"g".into()].desired_total, 3);
    assert_eq!(plan.in_place[0].alloc_id, first);
    assert_eq!(plan.in_place[0].job_version, 1);
    assert_eq!(plan.in_place[0].deployment_id, Some(deployment.id));
    assert!(plan.stops.is_empty());
    assert_eq!(indexes(&world, "j"), [0, 1, 2]);
    assert_eq!(world.live("j")[0].id, first);
}

#[test]
fn scaling_down_stops_the_highest_numbers() {
    let mut world = World::new(2);
    world.run_register(&job("j", 5));
    let outcome = world.run_register(&job("j", 2));
    assert_eq!(desired(&outcome).stop, 3);
    assert_eq!(desired(&outcome).in_place_update, 2);
    assert_eq!(
        stops(outcome.plan().unwrap()),
        [(DesiredStatus::Stop, "alloc not needed due to job update"); 3]
    );
    assert_eq!(indexes(&world, "j"), [0, 1]);
}

#[test]
fn scaling_down_stops_what_failed_before_what_runs() {
    for waits in [true, false] {
        let mut world = World::new(2);
        let mut job = job("j", 2);
        let policy = if waits {
            unlimited(30)
        } else {
            ReschedulePolicy::default()
        };
        reschedule(&mut job, policy);
        world.run_register(&job);
        let failed = world.live("j")[0].id;
        world.report(failed, ClientStatus::Failed, Some(false));
        job.task_groups[0].count = Some(1);
        let outcome = world.run_register(&job);
        let plan = outcome.plan().unwrap();
        assert_eq!(plan.stops.len(), 1);
        assert_eq!(plan.stops[0].alloc_id, failed);
        assert!(plan.follow_ups.is_empty());
        world.now += 3_600 * SECOND;
        world.run_again("j");
        assert_eq!(indexes(&world, "j"), [1]);
    }
}

#[test]
fn a_count_of_zero_stops_all() {
    let mut world = World::new(1);
    world.run_register(&job("j", 2));
    world.run_register(&job("j", 0));
    assert!(world.live("j").is_empty());
}

#[test]
fn a_group_that_is_gone_is_stopped_and_a_new_one_placed() {
    let mut world = World::new(1);
    world.run_register(&job("j", 2));
    let mut other = job("j", 2);
    other.task_groups = vec![group("h", 1)];
    other.canonicalize();
    let outcome = world.run_register(&other);
    assert_eq!(desired(&outcome), updates(|d| d.stop = 2));
    assert_eq!(outcome.desired[&"h".into()].place, 1);
    assert_eq!(world.live("j").len(), 1);
}

#[test]
fn a_stopped_job_is_stopped_with_its_deployment() {
    for purge in [false, true] {
        let mut world = World::new(1);
        world.run_register(&job("j", 2));
        let deployment = world.deployment("j").unwrap().id;
        let eval = world.stop("j", purge);
        let outcome = world.run(&eval);
        let plan = outcome.plan().unwrap();
        assert_eq!(
            stops(plan),
            [(DesiredStatus::Stop, "alloc not needed due to job update"); 2]
        );
        assert_eq!(plan.deployment_ends.len(), 1);
        let end = &plan.deployment_ends[0];
        assert_eq!(end.deployment_id, deployment);
        assert_eq!(end.status, DeploymentStatus::Cancelled);
        assert_eq!(end.status_description, "Cancelled because job is stopped");
        assert!(matches!(
            world.run_again("j").conclusion,
            Conclusion::Eval(_)
        ));
    }
}

#[test]
fn a_job_registered_again_after_a_purge_starts_anew() {
    let mut world = World::new(1);
    world.run_register(&job("j", 2));
    let before = world
        .live("j")
        .iter()
        .map(|a| a.id)
        .collect::<BTreeSet<_>>();
    world.stop("j", true);
    // The evaluation of the stop is late: the new registration is there first.
    world.run_register(&job("j", 2));
    let after = world
        .live("j")
        .iter()
        .map(|a| a.id)
        .collect::<BTreeSet<_>>();
    assert_eq!(after.len(), 2);
    assert!(before.is_disjoint(&after));
}

#[test]
fn a_job_whose_keys_are_gone_is_stopped() {
    let mut world = World::new(1);
    let eval = world.register(&job("j", 2));
    world.run(&eval);
    world
        .state
        .delete(&Key::Registration(JobKey::new("default", "j")));
    let outcome = world.run(&eval);
    assert_eq!(outcome.plan().unwrap().stops.len(), 2);
}

#[test]
fn allocs_of_a_node_that_is_down_are_lost_and_replaced() {
    let mut world = World::new(2);
    world.run_register(&job("j", 1));
    let lost = world.live("j")[0].clone();
    for gone in [false, true] {
        let mut world = world.fork();
        if gone {
            world.state.delete(&Key::Node(lost.node_id));
        } else {
            world.set_node(lost.node_id, NodeState::Down);
        }
        let outcome = world.run_again("j");
        let plan = outcome.plan().unwrap();
        assert_eq!(
            stops(plan),
            [(DesiredStatus::Lost, "alloc is lost since its node is down")]
        );
        let successor = &plan.placements[0];
        assert_eq!(successor.previous_allocation, Some(lost.id));
        assert_eq!(successor.index, lost.index);
        assert_ne!(successor.node_id, lost.node_id);
        assert!(successor.reschedule_events.is_empty());
        assert_eq!(world.state.client_status(lost.id), ClientStatus::Lost);
        assert!(matches!(
            world.run_again("j").conclusion,
            Conclusion::Eval(_)
        ));
    }
}

#[test]
fn what_was_being_stopped_on_a_node_that_went_down_is_lost() {
    let mut world = World::new(1);
    world.run_register(&job("j", 1));
    let id = world.live("j")[0].id;
    world.report(id, ClientStatus::Running, None);
    let eval = world.stop("j", false);
    world.run(&eval);
    world.set_node(node_id(1), NodeState::Down);
    let outcome = world.run_again("j");
    assert_eq!(
        outcome.plan().unwrap().stops[0].desired_status,
        DesiredStatus::Lost
    );
    assert!(matches!(
        world.run_again("j").conclusion,
        Conclusion::Eval(_)
    ));
}

#[test]
fn an_alloc_that_was_asked_to_stop_is_replaced() {
    let mut world = World::new(2);
    world.run_register(&job("j", 2));
    let stopped = world.live("j")[1].clone();
    world.ask_to_stop(stopped.id);
    let outcome = world.run_again("j");
    assert_eq!(
        desired(&outcome),
        updates(|d| {
            d.migrate = 1;
            d.ignore = 1;
        })
    );
    let plan = outcome.plan().unwrap();
    assert_eq!(
        stops(plan),
        [(DesiredStatus::Stop, "alloc is being migrated")]
    );
    assert_eq!(plan.placements[0].previous_allocation, Some(stopped.id));
    assert_eq!(indexes(&world, "j"), [0, 1]);
}

#[test]
fn a_failed_alloc_waits_as_its_policy_says_and_is_then_replaced_elsewhere() {
    let mut world = World::new(3);
    let mut job = job("j", 1);
    reschedule(&mut job, unlimited(30));
    world.run_register(&job);
    let failed = world.live("j")[0].clone();
    world.report(failed.id, ClientStatus::Failed, Some(false));

    let outcome = world.run_again("j");
    let plan = outcome.plan().unwrap();
    assert!(plan.placements.is_empty());
    let follow_up = plan.follow_ups[0].clone();
    assert_eq!(follow_up.triggered_by, TriggeredBy::AllocFailure);
    assert_eq!(follow_up.status, EvalStatus::Pending);
    assert_eq!(
        follow_up.status_description,
        "created for delayed rescheduling"
    );
    assert_eq!(follow_up.wait_until, Some(world.now + 30 * SECOND));
    assert_eq!(stops(plan), [(DesiredStatus::Run, "")]);
    assert_eq!(plan.stops[0].follow_up_eval, Some(follow_up.id));
    // Another evaluation in the meantime does not ask again.
    assert!(matches!(
        world.run_again("j").conclusion,
        Conclusion::Eval(_)
    ));

    world.now += 30 * SECOND;
    let outcome = world.run(&follow_up);
    assert_eq!(desired(&outcome).place, 1);
    assert_eq!(desired(&outcome).stop, 1);
    let plan = outcome.plan().unwrap();
    assert_eq!(
        stops(plan),
        [(
            DesiredStatus::Stop,
            "alloc was rescheduled because it failed"
        )]
    );
    let successor = &plan.placements[0];
    assert_eq!(successor.previous_allocation, Some(failed.id));
    assert_ne!(successor.node_id, failed.node_id);
    assert_eq!(successor.reschedule_events.len(), 1);
    let event = &successor.reschedule_events[0];
    assert_eq!(event.previous_alloc, failed.id);
    assert_eq!(event.previous_node, failed.node_id);
    assert_eq!(event.delay, 30 * SECOND);
    assert_eq!(event.reschedule_time, world.now);

    // The second failure waits twice as long.
    world.report(successor.id, ClientStatus::Failed, Some(false));
    let outcome = world.run_again("j");
    let wait = outcome.plan().unwrap().follow_ups[0].wait_until;
    assert_eq!(wait, Some(world.now + 60 * SECOND));
}

#[test]
fn a_failed_alloc_whose_time_has_come_is_replaced_by_any_evaluation() {
    let mut world = World::new(2);
    let mut job = job("j", 1);
    reschedule(&mut job, unlimited(30));
    world.run_register(&job);
    let failed = world.live("j")[0].id;
    world.report(failed, ClientStatus::Failed, Some(false));
    world.now += 29 * SECOND;
    let outcome = world.run_again("j");
    assert_eq!(outcome.plan().unwrap().placements.len(), 1);
}

#[test]
fn a_node_whose_clock_is_an_hour_off_delays_no_replacement_and_hurries_none() {
    for hours in [-1, 1] {
        let mut world = World::new(3);
        let mut job = job("j", 1);
        reschedule(&mut job, unlimited(30));
        world.run_register(&job);
        let failed = world.live("j")[0].id;
        world.now += 10 * SECOND;
        let real = world.now;
        world.now += hours * 3_600 * SECOND;
        world.report(failed, ClientStatus::Failed, Some(false));
        world.now = real;
        let outcome = world.run_again("j");
        let plan = outcome.plan().unwrap();
        assert!(plan.placements.is_empty());
        // At the latest its delay from now, at the soonest its delay from when it was placed.
        let expected = if hours > 0 { 30 } else { 20 };
        assert_eq!(
            plan.follow_ups[0].wait_until,
            Some(real + expected * SECOND),
            "{hours} h"
        );
    }
}

#[test]
fn however_many_allocs_wait_to_be_replaced_each_plan_can_be_stored_and_all_get_their_evaluation() {
    const FAILED: u32 = 24_000;
    let mut world = World::new(1);
    let mut job = job("j", i64::from(FAILED));
    reschedule(&mut job, unlimited(3_600));
    let mut eval = world.register(&job);
    let mut rng = StdRng::seed_from_u64(5);
    for index in 0..FAILED {
        let mut alloc = bare_alloc();
        alloc.id = AllocId::from_random(rng.random());
        (alloc.index, alloc.job_uid) = (index, eval.job_uid);
        alloc.create_time = world.now;
        let id = alloc.id;
        world.put_alloc(alloc);
        world.report(id, ClientStatus::Failed, None);
        // Some hundred of them share an evaluation at first, the last ones have one each.
        world.now += if index < FAILED - 500 {
            SECOND / 100
        } else {
            6 * SECOND
        };
    }
    let mut turns = 0;
    loop {
        turns += 1;
        assert!(turns < 50, "it goes on and on");
        let outcome = world.run(&eval);
        let Some(plan) = outcome.plan() else { break };
        let size = encode(plan).expect("it can be stored").len();
        assert!(size < 400_000, "{size} bytes");
        match plan.eval.next_eval {
            Some(next) => eval = world.state.eval(next).unwrap().value.clone(),
            None => break,
        }
    }
    let waits = |alloc: &Alloc| {
        let follow_up = alloc.follow_up_eval.and_then(|id| world.state.eval(id));
        follow_up
            .is_some_and(|eval| eval.status == EvalStatus::Pending && eval.wait_until.is_some())
    };
    let key = JobKey::new("default", "j");
    let there: Vec<_> = world.state.allocs_of_job(&key).collect();
    let waiting = there.iter().filter(|alloc| waits(alloc)).count();
    assert_eq!((waiting, there.len()), (FAILED as usize, FAILED as usize));
}

#[test]
fn failures_close_together_share_an_evaluation() {
    let mut world = World::new(2);
    let mut job = job("j", 3);
    reschedule(&mut job, unlimited(30));
    world.run_register(&job);
    for (n, alloc) in world.live("j").iter().enumerate() {
        // At 0, 3 and 6 s: the third is more than 5 s after the first.
        world.report(alloc.id, ClientStatus::Failed, Some(false));
        world.now += if n < 2 { 3 * SECOND } else { 0 };
    }
    let outcome = world.run_again("j");
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.follow_ups.len(), 2);
    let asked = plan.stops.iter().filter_map(|stop| stop.follow_up_eval);
    let of_first = asked.filter(|id| *id == plan.follow_ups[0].id).count();
    assert_eq!(of_first, 2);
}

#[test]
fn a_failed_alloc_without_attempts_left_is_not_replaced() {
    for mut job in [job("j", 1), batch("j", 1)] {
        let mut world = World::new(1);
        reschedule(
            &mut job,
            ReschedulePolicy {
                attempts: Some(0),
                unlimited: Some(false),
                ..ReschedulePolicy::default()
            },
        );
        world.run_register(&job);
        let id = world.live("j")[0].id;
        world.report(id, ClientStatus::Failed, Some(false));
        assert!(matches!(
            world.run_again("j").conclusion,
            Conclusion::Eval(_)
        ));
    }
}

#[test]
fn a_failed_alloc_that_finds_no_new_place_stays_and_is_tried_again() {
    let mut world = World::new(1);
    let mut job = job("j", 1);
    reschedule(&mut job, unlimited(0));
    world.run_register(&job);
    let failed = world.live("j")[0].clone();
    world.report(failed.id, ClientStatus::Failed, Some(false));
    world.set_node(failed.node_id, NodeState::Initializing);
    let outcome = world.run_again("j");
    let plan = outcome.plan().unwrap();
    assert!(plan.stops.is_empty(), "it is not stopped for nothing");
    let blocked = plan.follow_ups[0].clone();
    world.set_node(failed.node_id, NodeState::Ready);
    let outcome = world.run(&blocked);
    let successor = &outcome.plan().unwrap().placements[0];
    assert_eq!(successor.reschedule_events.len(), 1, "its history is kept");
}

#[test]
fn a_batch_alloc_that_ended_is_done() {
    let mut world = World::new(1);
    world.run_register(&batch("j", 2));
    let allocs = world.live("j");
    world.report(allocs[0].id, ClientStatus::Complete, None);
    let outcome = world.run_again("j");
    assert!(matches!(outcome.conclusion, Conclusion::Eval(_)));
    assert_eq!(desired(&outcome).ignore, 2);
    // Its node goes down: what ran well need not run again.
    world.set_node(node_id(1), NodeState::Down);
    world.add_node(super::super::fixtures::node(2));
    let outcome = world.run_again("j");
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.placements.len(), 1);
    assert_eq!(plan.placements[0].previous_allocation, Some(allocs[1].id));
}

#[test]
fn a_new_version_of_a_batch_job_runs_again() {
    let mut world = World::new(1);
    world.run_register(&batch("j", 2));
    for alloc in world.live("j") {
        world.report(alloc.id, ClientStatus::Complete, None);
    }
    let mut changed = batch("j", 2);
    task(&mut changed)
        .env
        .insert("A".to_owned(), "b".to_owned());
    let outcome = world.run_register(&changed);
    assert_eq!(
        desired(&outcome),
        updates(|d| {
            d.ignore = 2;
            d.place = 2;
        })
    );
}

#[test]
fn a_service_alloc_that_ended_by_itself_is_replaced() {
    let mut world = World::new(1);
    world.run_register(&job("j", 1));
    let id = world.live("j")[0].id;
    world.report(id, ClientStatus::Complete, None);
    let outcome = world.run_again("j");
    assert_eq!(outcome.plan().unwrap().placements.len(), 1);
}

#[test]
fn a_template_does_not_run() {
    let mut world = World::new(1);
    let mut periodic = batch("p", 1);
    periodic.periodic = Some(Default::default());
    let outcome = world.run_register(&periodic);
    assert_eq!(outcome.eval().status, EvalStatus::Complete);
    assert!(outcome.plan().is_none());
}

#[test]
fn a_large_job_takes_more_than_one_turn() {
    let mut world = World::new(40);
    let mut large = job("j", 1_500);
    task(&mut large).resources.as_mut().unwrap().cpu = Some(10);
    let outcome = world.run_register(&large);
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.placements.len(), 1_000);
    assert_eq!(plan.eval.queued_allocations[&"g".into()], 500);
    let next = plan.follow_ups[0].clone();
    assert_eq!(plan.eval.next_eval, Some(next.id));
    assert_eq!(next.status, EvalStatus::Pending);
    assert_eq!(next.previous_eval, Some(plan.eval.id));
    let deployment = plan.deployment.as_ref().unwrap();
    assert_eq!(deployment.task_groups[&"g".into()].desired_total, 1_500);
    let id = deployment.id;
    let outcome = world.run(&next);
    let plan = outcome.plan().unwrap();
    assert_eq!(plan.placements.len(), 500);
    assert!(plan.follow_ups.is_empty() && plan.deployment.is_none());
    assert!(
        plan.placements
            .iter()
            .all(|alloc| alloc.deployment_id == Some(id))
    );
    assert_eq!(world.live("j").len(), 1_500);
}

#[test]
fn no_count_costs_memory_or_turns_that_lead_nowhere() {
    for (count, nodes, placed, coalesced) in [
        (3_000_000_000, 40, 1_000, None),
        (3_000_000_000, 1, 333, Some(3_000_000_000 - 333 - 1)),
        (3_000_000_000, 0, 0, Some(3_000_000_000 - 1)),
        (1_500, 1, 333, Some(1_500 - 333 - 1)),
    ] {
        let what = format!("{count} on {nodes} nodes");
        let mut world = World::new(nodes);
        let mut large = job("j", count);
        task(&mut large).resources.as_mut().unwrap().cpu = Some(10);
        task(&mut large).resources.as_mut().unwrap().memory_mb = Some(10);
        let outcome = world.run_register(&large);
        assert_eq!(outcome.desired[&"g".into()].place, count as u64, "{what}");
        let plan = outcome.plan().unwrap();
        assert_eq!(plan.placements.len(), placed, "{what}");
        assert_eq!(
            plan.eval.queued_allocations[&"g".into()],
            count as u64 - placed as u64,
            "{what}"
        );
        let failure = plan.eval.failed_groups.get(&"g".into());
        assert_eq!(
            failure.map(|failure| failure.coalesced_failures),
            coalesced,
            "{what}"
        );
        let next = &plan.follow_ups[0];
        let waits = if coalesced.is_some() {
            EvalStatus::Blocked
        } else {
            EvalStatus::Pending
        };
        assert_eq!((plan.follow_ups.len(), next.status), (1, waits), "{what}");
    }
}
