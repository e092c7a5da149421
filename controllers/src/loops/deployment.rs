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
mod tests;
