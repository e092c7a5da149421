#![allow(clippy::unwrap_used)]

use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    deployment::DeploymentStatus,
    ids::DeploymentId,
};
use uuid::Uuid;

use super::*;
use crate::{
    decision::Again,
    loops::testing::{World, decide_with},
};

const HOUR: UnixNanos = 3_600 * SECOND;

fn look(world: &World, key: GcKey) -> Decision {
    decide_with(&GcLoop::default(), world, &GcMemory::default(), &key)
}

fn job(world: &World, job: &JobKey) -> Decision {
    look(world, GcKey::Job(job.clone()))
}

#[test]
fn a_purged_job_goes_as_soon_as_nothing_of_it_runs_and_leaves_nothing_behind() {
    let mut world = World::new();
    let key = world.placed("web", 3);
    world.deployment(&key, 3, 600);
    assert_eq!(job(&world, &key).branch, JOB_IN_USE);
    world.stop(&key, true);
    assert_eq!(
        job(&world, &key).branch,
        JOB_WAITS,
        "its eval is not made yet"
    );
    world.ask(&key);
    assert_eq!(job(&world, &key).branch, JOB_WAITS, "its eval is due");
    for alloc in world.allocs(&key) {
        world.desire(alloc, DesiredStatus::Stop);
    }
    world.complete_evals(&key);
    assert_eq!(job(&world, &key).branch, JOB_WAITS, "its tasks still run");
    for alloc in world.allocs(&key) {
        world.status(alloc, ClientStatus::Complete);
    }
    let decision = job(&world, &key);
    assert_eq!(decision.branch, JOB_REMOVED);
    world.apply(&decision);
    let state = &world.state;
    assert!(state.registration(&key).is_none() && state.evaluated(&key).is_none());
    assert_eq!(state.alloc_count(), 0);
    assert_eq!(
        state.all_job_versions().count() + state.deployments().count(),
        0
    );
    assert_eq!(state.alloc_statuses().count(), 0);
    // Who asked for the purge follows its evaluation: it lives as long as any other.
    let evals = state.evals().count();
    assert!(evals >= 2, "{evals}");
    let waits = job(&world, &key);
    assert_eq!(waits, Decision::at(JOB_IN_USE, world.now + HOUR));
    assert_eq!(decision.again, waits.again);
    world.now += HOUR;
    let decision = job(&world, &key);
    assert_eq!(decision.branch, JOB_REMOVED);
    world.apply(&decision);
    assert_eq!(world.state.evals().count(), 0);
    assert_eq!(
        job(&world, &key),
        Decision::wait(JOB_IN_USE),
        "and nothing is left to do"
    );
}

/// The evaluations of a job name this deployment, which has ended.
fn names(world: &mut World, key: &JobKey, id: DeploymentId) {
    let mut deployment = world.state.deployment(id).unwrap().value.clone();
    deployment.status = DeploymentStatus::Successful;
    world.state.put(&Key::Deployment(id), &deployment).unwrap();
    let evals: Vec<_> = world.state.evals_of_job(key).cloned().collect();
    for eval in evals {
        let mut eval = eval.value.clone();
        eval.deployment_id = Some(id);
        world.state.put(&Key::Eval(eval.id), &eval).unwrap();
    }
}

#[test]
fn a_deployment_stays_as_long_as_an_evaluation_that_names_it() {
    for purge in [true, false] {
        let mut world = World::new();
        let key = world.placed("web", 1);
        let id = world.deployment(&key, 1, 600);
        // The roll-out ended long ago.
        world.now += 3 * HOUR;
        world.stop(&key, purge);
        let stop = world.ask(&key);
        let alloc = world.allocs(&key)[0];
        world.desire(alloc, DesiredStatus::Stop);
        world.status(alloc, ClientStatus::Complete);
        world.complete_evals(&key);
        names(&mut world, &key, id);
        let ended = world.now;
        for _ in 0..20 {
            let decision = job(&world, &key);
            if decision.branch != JOB_IN_USE {
                world.apply(&decision);
                continue;
            }
            if world.state.deployment(id).is_none() {
                break;
            }
            assert!(world.state.eval(stop).is_some(), "purge {purge}");
            let Again::At(next) = decision.again else {
                panic!("purge {purge}: nobody looks again");
            };
            world.now = next;
        }
        assert!(world.state.deployment(id).is_none(), "purge {purge}");
        assert_eq!(world.now, ended + HOUR, "purge {purge}");
    }
}

#[test]
fn an_evaluation_of_a_purged_job_stays_when_the_job_is_registered_again() {
    let mut world = World::new();
    let key = world.register("web", 1);
    world.stop(&key, true);
    let purge = world.ask(&key);
    world.complete_evals(&key);
    let decision = job(&world, &key);
    world.apply(&decision);
    assert!(world.state.registration(&key).is_none());
    let again = world.register("web", 1);
    assert_eq!(again, key);
    world.ask(&key);
    world.complete_evals(&key);
    assert_eq!(job(&world, &key).branch, JOB_IN_USE);
    assert!(world.state.eval(purge).is_some());
    world.now += HOUR;
    let decision = job(&world, &key);
    assert_eq!(decision.branch, EVALS_REMOVED);
    world.apply(&decision);
    assert!(world.state.eval(purge).is_none());
}

#[test]
fn what_is_to_stop_on_a_node_that_is_down_is_not_waited_for() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    world.stop(&key, true);
    world.ask(&key);
    world.desire(world.allocs(&key)[0], DesiredStatus::Lost);
    world.complete_evals(&key);
    assert_eq!(job(&world, &key).branch, JOB_WAITS);
    world.node_status(NodeId(Uuid::from_u128(1)), NodeState::Down);
    assert_eq!(job(&world, &key).branch, JOB_REMOVED);
}

#[test]
fn a_stopped_job_goes_after_its_time_and_a_running_one_never() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    world.now += 100 * HOUR;
    assert_eq!(job(&world, &key).branch, JOB_IN_USE);
    world.stop(&key, false);
    world.ask(&key);
    let alloc = world.allocs(&key)[0];
    world.desire(alloc, DesiredStatus::Stop);
    world.status(alloc, ClientStatus::Complete);
    world.complete_evals(&key);
    let stopped = world.now;
    assert!(matches!(job(&world, &key).again, Again::At(at) if at <= stopped + 4 * HOUR));
    world.now += 4 * HOUR;
    assert_eq!(job(&world, &key).branch, JOB_REMOVED);
}

#[test]
fn allocs_that_are_over_go_with_a_count_and_wanted_ones_stay() {
    let mut world = World::new();
    let key = world.placed("web", 4);
    let allocs = world.allocs(&key);
    for (alloc, desired, client) in [
        (allocs[0], DesiredStatus::Stop, ClientStatus::Complete),
        (allocs[1], DesiredStatus::Stop, ClientStatus::Failed),
        (allocs[2], DesiredStatus::Lost, ClientStatus::Complete),
        (allocs[3], DesiredStatus::Run, ClientStatus::Failed),
    ] {
        world.desire(alloc, desired);
        world.status(alloc, client);
    }
    let due = world.now + HOUR;
    assert_eq!(job(&world, &key), Decision::at(JOB_IN_USE, due));
    world.now = due;
    let decision = job(&world, &key);
    assert_eq!(decision.branch, ALLOCS_REMOVED);
    world.apply(&decision);
    assert_eq!(world.allocs(&key), [allocs[3]]);
    let collected = world.state.collected(&key).unwrap();
    let counts = collected.groups.values().next().unwrap();
    assert_eq!((counts.complete, counts.failed, counts.lost), (1, 1, 1));
}

#[test]
fn old_evals_go_but_the_newest_one_stays_while_the_job_lives() {
    let mut world = World::new();
    let key = world.placed("web", 0);
    for _ in 0..3 {
        world.ask(&key);
        world.complete_evals(&key);
    }
    world.now += HOUR;
    let decision = job(&world, &key);
    assert_eq!(decision.branch, EVALS_REMOVED);
    world.apply(&decision);
    let left: Vec<_> = world.state.evals_of_job(&key).map(|eval| eval.id).collect();
    let newest = world
        .state
        .evals_of_job(&key)
        .map(|eval| eval.snapshot)
        .max();
    assert!(left.len() <= 2 && newest.is_some(), "{left:?}");
    assert_eq!(job(&world, &key).branch, JOB_IN_USE);
}

#[test]
fn a_deployment_that_is_over_stays_while_allocs_of_it_run() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    let id = world.deployment(&key, 1, 600);
    let mut deployment = world.state.deployment(id).unwrap().value.clone();
    deployment.status = DeploymentStatus::Successful;
    world.state.put(&Key::Deployment(id), &deployment).unwrap();
    world.now += 2 * HOUR;
    assert_eq!(job(&world, &key).branch, JOB_IN_USE);
    let alloc = world.allocs(&key)[0];
    world.desire(alloc, DesiredStatus::Stop);
    world.status(alloc, ClientStatus::Complete);
    assert_eq!(job(&world, &key).branch, DEPLOYMENTS_REMOVED);
}

#[test]
fn old_versions_go_but_the_last_six_and_those_that_run() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    for count in 0..10 {
        world.update(&key, count);
    }
    let decision = job(&world, &key);
    assert_eq!(decision.branch, VERSIONS_REMOVED);
    world.apply(&decision);
    let versions: Vec<u64> = world
        .state
        .job_versions(&key)
        .map(|(version, _)| version.version)
        .collect();
    assert_eq!(versions, [0, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_node_goes_a_day_after_it_went_down_unless_something_is_on_it() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    let id = NodeId(Uuid::from_u128(1));
    let decide = |world: &World| look(world, GcKey::Node(id));
    assert_eq!(decide(&world).branch, NODE_IN_USE);
    world.state.delete(&Key::NodeAlive(id));
    world.node_status(id, NodeState::Down);
    assert_eq!(decide(&world).branch, NODE_IN_USE, "an alloc is on it");
    let alloc = world.allocs(&key)[0];
    world.state.delete(&Key::Alloc(id, alloc));
    assert_eq!(decide(&world).branch, NODE_DOWN);
    world.now += 24 * HOUR;
    let decision = decide(&world);
    assert_eq!(decision.branch, NODE_REMOVED);
    world.apply(&decision);
    assert!(world.state.node(id).is_none() && world.state.node_status(id).is_none());

    assert_eq!(
        look(&world, GcKey::Status(id, alloc)).branch,
        STATUS_REMOVED
    );
    let decision = look(&world, GcKey::Status(id, alloc));
    world.apply(&decision);
    assert_eq!(look(&world, GcKey::Status(id, alloc)).branch, STATUS_IN_USE);
}

#[test]
fn a_node_of_which_something_can_not_be_read_goes_a_day_after_that_was_seen_unless_it_lives() {
    let id = NodeId(Uuid::from_u128(1));
    let looper = GcLoop::default();
    for key in of_node(id) {
        let mut world = World::new();
        let job = world.placed("web", 1);
        let alloc = world.allocs(&job)[0];
        world.state.put(&key, &"no such thing").unwrap();
        assert!(world.state.is_unreadable(&key));
        let mut memory = GcMemory::default();
        let mut woken = Vec::new();
        looper.notice(
            &mut memory,
            &world.state,
            News::Everything,
            world.now,
            &mut |key, _, _| woken.push(key),
        );
        let about = GcKey::Node(id);
        assert!(woken.contains(&about), "{key:?}");
        assert_eq!(looper.unreadable(&world.state, &about), None, "{key:?}");
        let decide = |world: &World| decide_with(&looper, world, &memory, &about);
        assert_eq!(decide(&world).branch, NODE_IN_USE, "{key:?}");
        world.state.delete(&Key::NodeAlive(id));
        assert_eq!(decide(&world).branch, NODE_IN_USE, "an alloc is on it");
        world
            .state
            .put(&Key::Alloc(id, alloc), &"no alloc")
            .unwrap();
        assert!(
            looper.unreadable(&world.state, &about).is_some(),
            "may be one"
        );
        world.state.delete(&Key::Alloc(id, alloc));
        assert_eq!(decide(&world).branch, NODE_DOWN, "{key:?}");
        world.now += 24 * HOUR;
        let decision = decide(&world);
        assert_eq!(decision.branch, NODE_REMOVED, "{key:?}");
        world.apply(&decision);
        assert!(
            world.state.node(id).is_none() && world.state.is_all_readable(),
            "{key:?}"
        );
    }
}

#[test]
fn a_node_that_can_be_read_again_is_kept() {
    let id = NodeId(Uuid::from_u128(1));
    let looper = GcLoop::default();
    let mut world = World::new();
    world.placed("web", 1);
    let key = Key::NodeControl(id);
    let mut memory = GcMemory::default();
    let mut notice = |world: &World| {
        let news = [key.clone()];
        let news = News::Keys(&news);
        looper.notice(
            &mut memory,
            &world.state,
            news,
            world.now,
            &mut |_, _, _| {},
        );
        memory.unreadable.contains_key(&id)
    };
    world.state.put(&key, &"no such thing").unwrap();
    assert!(notice(&world));
    world.state.delete(&key);
    assert!(!notice(&world));
}

#[test]
fn the_store_forgets_in_small_steps_and_keeps_five_minutes() {
    let looper = GcLoop::default();
    let mut world = World::new();
    let mut memory = GcMemory::default();
    world.register("web", 1);
    for minute in 0..10 {
        looper.notice(
            &mut memory,
            &world.state,
            News::Keys(&[]),
            world.now,
            &mut |_, _, _| {},
        );
        let decision = decide_with(&looper, &world, &memory, &GcKey::History);
        let revision = world.state.revision();
        if minute < 5 {
            assert_eq!(decision.branch, HISTORY_KEPT, "minute {minute}");
        } else {
            // One revision a minute: the one of five minutes ago.
            assert_eq!(decision.compact, Some(revision - 5), "minute {minute}");
        }
        assert!(matches!(decision.again, Again::At(at) if at > world.now));
        world.state.delete(&Key::Leader("none".to_owned()));
        world.now += 60 * SECOND;
    }
}

#[test]
fn what_a_node_said_of_no_alloc_goes_though_it_can_not_be_read() {
    let mut world = World::new();
    let key = world.placed("web", 1);
    let alloc = world.allocs(&key)[0];
    let node = world.state.alloc(alloc).unwrap().node_id;
    let gone = AllocId(Uuid::from_u128(77));
    for id in [alloc, gone] {
        let said = Key::AllocStatus(node, id);
        world.state.put(&said, &"no status").unwrap();
        assert!(world.state.is_unreadable(&said));
    }
    let looper = GcLoop::default();
    let mut woken = Vec::new();
    looper.notice(
        &mut GcMemory::default(),
        &world.state,
        News::Everything,
        world.now,
        &mut |key, _, _| woken.push(key),
    );
    let about = GcKey::Status(node, gone);
    assert!(woken.contains(&about) && !woken.contains(&GcKey::Status(node, alloc)));
    assert_eq!(looper.unreadable(&world.state, &about), None);
    assert_eq!(
        look(&world, GcKey::Status(node, alloc)).branch,
        STATUS_IN_USE
    );
    let decision = look(&world, about);
    assert_eq!(decision.branch, STATUS_REMOVED);
    let revision = world
        .state
        .unreadable()
        .find(|(key, _)| **key == Key::AllocStatus(node, gone))
        .map(|(_, revision)| revision);
    let writes: Vec<_> = decision.commit.writes().collect();
    assert!(
        matches!(
            writes[..],
            [Write::Delete(Key::AllocStatus(of, id), at)]
                if (*of, *id, Some(*at)) == (node, gone, revision)
        ),
        "{writes:?}"
    );
    // An alloc that can't be read may be the one.
    world
        .state
        .put(&Key::Alloc(node, gone), &"no alloc")
        .unwrap();
    assert!(
        looper
            .unreadable(&world.state, &GcKey::Status(node, gone))
            .is_some()
    );
}

#[test]
fn a_clock_that_is_set_back_stops_no_compaction() {
    let looper = GcLoop::default();
    let mut world = World::new();
    world.now = 10_000 * SECOND;
    let mut memory = GcMemory::default();
    world.register("web", 1);
    let mut compacted = Vec::new();
    for minute in 0..20 {
        if minute == 8 {
            world.now -= 3_600 * SECOND;
        }
        looper.notice(
            &mut memory,
            &world.state,
            News::Keys(&[]),
            world.now,
            &mut |_, _, _| {},
        );
        let decision = decide_with(&looper, &world, &memory, &GcKey::History);
        if decision.compact.is_some() {
            compacted.push(minute);
        }
        world.state.delete(&Key::Leader("none".to_owned()));
        world.now += 60 * SECOND;
    }
    let expected: Vec<_> = (5..8).chain(13..20).collect();
    assert_eq!(compacted, expected, "five minutes after each start");
}
