//! `deployment`: watches the health of a roll-out's allocs, asks for its next step, and ends it: successful when every
//! group has as many healthy allocs as it wants, failed at its deadline, cancelled when the job moved on.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rove_model::{
    alloc::{Alloc, DesiredStatus},
    deployment::{Deployment, DeploymentStatus},
    eval::{EvalStatus, TriggeredBy},
    ids::{DeploymentId, GroupName, UnixNanos},
    registration::JobStable,
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use crate::{
    decision::{Decision, Object, Write},
    facts::{self, Progress, health},
    loops::asking::{asks_for_eval, derived_id, new_eval},
    runtime::{Began, Loop, News, View},
    scheduler::reschedule,
};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeploymentLoop;

const OVER: &str = "over or held";
const STOPPED: &str = "cancelled, the job is stopped";
const SUPERSEDED: &str = "cancelled, a newer version is there";
const SUCCESSFUL: &str = "successful";
const UNHEALTHY: &str = "failed for an unhealthy alloc";
const LATE: &str = "failed at its deadline";
const STEP: &str = "eval for the next step";
const UNDER_WAY: &str = "under way";

/// Versions that are kept as having run healthy.
const STABLE_VERSIONS: usize = 10;

/// Whether an unhealthy alloc of the group stays as it is: it is wanted, and its reschedule policy gives it no successor.
fn is_given_up(state: &State, deployment: &Deployment, name: &GroupName, now: UnixNanos) -> bool {
    let is_given_up = |alloc: &Alloc| {
        let status = state.alloc_status(alloc.id)?;
        let health = health(status.deployment_status.as_ref(), deployment.id)?;
        let version = state.job_version(&alloc.version_key())?;
        let policy = &version.job.group(name.as_str())?.reschedule_policy;
        let left = policy
            .as_ref()
            .is_some_and(|policy| reschedule::has_attempt_left(alloc, status, policy, now));
        Some(!health.healthy && !left)
    };
    state
        .allocs_of_deployment(deployment.id)
        .filter(|alloc| alloc.task_group == *name && alloc.desired_status == DesiredStatus::Run)
        .any(|alloc| is_given_up(alloc).unwrap_or(false))
}

fn end(
    view: &View<'_, DeploymentLoop>,
    deployment: &Stored<Deployment>,
    branch: &'static str,
    status: DeploymentStatus,
    description: &str,
) -> Decision {
    let ended = facts::ended(view.state, deployment, status, description, view.now);
    Decision::write(branch, vec![Write::deployment(ended, deployment.modify)])
}

fn stable(state: &State, deployment: &Deployment) -> Write {
    let job = deployment.job();
    let before = state.stable(&job);
    let mut versions: BTreeSet<u64> = before
        .filter(|before| before.uid == deployment.job_uid)
        .map(|before| before.versions.clone())
        .unwrap_or_default();
    versions.insert(deployment.job_version);
    while versions.len() > STABLE_VERSIONS {
        versions.pop_first();
    }
    let stable = Object::JobStable(JobStable {
        uid: deployment.job_uid,
        versions,
    });
    match before {
        Some(before) => Write::Update(Key::JobStable(job), stable, before.modify),
        None => Write::Create(Key::JobStable(job), stable),
    }
}

impl Loop for DeploymentLoop {
    const NAME: &'static str = "deployment";
    const BRANCHES: &'static [&'static str] = &[
        OVER, STOPPED, SUPERSEDED, SUCCESSFUL, UNHEALTHY, LATE, STEP, UNDER_WAY,
    ];
    type Key = DeploymentId;
    type Memory = ();
    type Memo = ();

    fn begin(&self, _: Began) {}

    fn notice(
        &self,
        (): &mut (),
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(DeploymentId, UnixNanos, i32),
    ) {
        let mut of_job = |job| {
            for deployment in state.deployments_of_job(&job) {
                if deployment.status.is_active() {
                    wake(deployment.id, now, 0);
                }
            }
        };
        let keys = match news {
            News::Everything => {
                for deployment in state.deployments() {
                    wake(deployment.id, now, 0);
                }
                return;
            }
            News::Keys(keys) => keys,
        };
        for key in keys {
            match key {
                Key::Registration(job) => of_job(job.clone()),
                // A step may have been asked for on an older state than its plan's.
                Key::Eval(id) => {
                    if let Some(eval) = state
                        .eval(*id)
                        .filter(|eval| eval.status != EvalStatus::Pending)
                    {
                        of_job(eval.job());
                    }
                }
                _ => {}
            }
        }
        for key in keys {
            match key {
                Key::Deployment(id) => wake(*id, now, 0),
                Key::AllocStatus(_, id) | Key::Alloc(_, id) => {
                    if let Some(id) = state.alloc(*id).and_then(|alloc| alloc.deployment_id) {
                        wake(id, now, 0);
                    }
                }
                _ => {}
            }
        }
    }

    fn unreadable<'s>(&self, state: &'s State, id: &DeploymentId) -> Option<&'s Key> {
        let deployment = state.deployment(*id)?;
        state.unreadable_of_job(&deployment.job())
    }

    fn decide(&self, view: &View<'_, Self>, id: &DeploymentId, _: &mut StdRng) -> Decision {
        let state = view.state;
        let Some(deployment) = state
            .deployment(*id)
            .filter(|deployment| deployment.status == DeploymentStatus::Running)
        else {
            return Decision::wait(OVER);
        };
        let job = deployment.job();
        let registration = state
            .registration(&job)
            .filter(|registration| registration.uid == deployment.job_uid && !registration.stop);
        let cancel = |branch, why| end(view, deployment, branch, DeploymentStatus::Cancelled, why);
        match registration {
            None => return cancel(STOPPED, "Cancelled because job is stopped"),
            Some(registration) if registration.version > deployment.job_version => {
                return cancel(SUPERSEDED, "Cancelled due to newer version of job");
            }
            Some(_) => {}
        }

        let waits_for_room = state
            .evals_of_job(&job)
            .any(|eval| eval.status == EvalStatus::Blocked);
        let mut complete = true;
        let mut unfinished_step = false;
        let mut newest = 0;
        let mut deadline: Option<UnixNanos> = None;
        for (name, group) in &deployment.task_groups {
            let progress = Progress::of(state, deployment, name);
            newest = newest.max(progress.newest);
            if progress.is_complete(group) {
                continue;
            }
            complete = false;
            unfinished_step |= progress.needs_step(group, waits_for_room);
            let is_over = || {
                group.auto_revert
                    || group.progress_deadline == 0
                    || is_given_up(state, deployment, name, view.now)
            };
            if progress.counts.unhealthy > 0 && is_over() {
                let why = "Failed due to unhealthy allocations";
                return end(view, deployment, UNHEALTHY, DeploymentStatus::Failed, why);
            }
            deadline = match (deadline, progress.deadline) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        if complete {
            let why = "Deployment completed successfully";
            let mut decision = end(
                view,
                deployment,
                SUCCESSFUL,
                DeploymentStatus::Successful,
                why,
            );
            decision.commit.last.push(stable(state, deployment));
            return decision;
        }
        if deadline.is_some_and(|deadline| deadline <= view.now) {
            let why = "Failed due to progress deadline";
            return end(view, deployment, LATE, DeploymentStatus::Failed, why);
        }
        if unfinished_step && newest > 0 && asks_for_eval(state, &job, newest, view.now) {
            let eval = derived_id(&[
                b"deployment-watcher",
                deployment.id.0.as_bytes(),
                &newest.to_be_bytes(),
            ]);
            if state.eval(eval).is_none()
                && let Some(mut eval) =
                    new_eval(state, &job, eval, TriggeredBy::DeploymentWatcher, view.now)
            {
                eval.deployment_id = Some(deployment.id);
                eval.priority = deployment.eval_priority;
                return Decision::write(STEP, vec![Write::new_eval(eval)]).then_at(deadline);
            }
        }
        Decision::wait(UNDER_WAY).then_at(deadline)
    }
}

#[cfg(test)]
mod tests {
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
}
