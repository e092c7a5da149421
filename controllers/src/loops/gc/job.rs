//! What of a job is over, and for how long.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rove_model::{
    alloc::{Alloc, ClientStatus, DesiredStatus},
    eval::Eval,
    ids::{DeploymentId, EvalId, JobKey, UnixNanos, VersionKey},
    job::JobType,
    node::NodeState,
    registration::{JobCollected, Registration},
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use super::{
    ALLOCS_REMOVED, DEPLOYMENTS_REMOVED, EVALS_REMOVED, GcLoop, JOB_IN_USE, JOB_REMOVED, JOB_WAITS,
    VERSIONS_REMOVED, after,
};
use crate::{
    decision::{Again, Commit, Decision, Object, Require, Write},
    runtime::View,
};

/// Allocs removed in one transaction: each has up to three keys.
const ALLOCS_AT_ONCE: usize = 40;

/// Keys removed in one transaction.
const KEYS_AT_ONCE: usize = 100;

/// Keys removed in one decision.
const KEYS_A_DECISION: usize = 2_000;

/// Versions of a job that are kept, as the reference keeps them.
const VERSIONS: usize = 6;

/// Whether nothing of the alloc can run any more.
fn is_over(state: &State, alloc: &Alloc) -> bool {
    if alloc.desired_status == DesiredStatus::Run {
        return state.client_status(alloc.id).is_terminal();
    }
    let said = state
        .alloc_status(alloc.id)
        .is_some_and(|status| status.client_status.is_terminal());
    let reachable = state.node(alloc.node_id).is_some()
        && state
            .node_status(alloc.node_id)
            .is_none_or(|status| status.status != NodeState::Down);
    said || !reachable
}

/// When it last changed, as wanted or as observed.
fn changed(state: &State, alloc: &Alloc) -> UnixNanos {
    state
        .alloc_status(alloc.id)
        .map_or(alloc.modify_time, |status| {
            status.modify_time.max(alloc.modify_time)
        })
}

fn delete(state: &State, key: Key) -> Option<Write> {
    let (_, modify) = state.revisions(&key)?;
    Some(Write::Delete(key, modify))
}

fn delete_alloc(state: &State, alloc: &Stored<Alloc>) -> Vec<Write> {
    let (node, id) = (alloc.node_id, alloc.id);
    [
        Key::Alloc(node, id),
        Key::AllocStatus(node, id),
        Key::AllocControl(node, id),
    ]
    .into_iter()
    .filter_map(|key| delete(state, key))
    .collect()
}

fn requirement(job: &JobKey, registration: Option<&Arc<Stored<Registration>>>) -> Require {
    let key = Key::Registration(job.clone());
    match registration {
        Some(registration) => Require::Unchanged(key, registration.modify),
        None => Require::Absent(key),
    }
}

impl GcLoop {
    pub(super) fn job(&self, view: &View<'_, Self>, job: &JobKey) -> Decision {
        let state = view.state;
        let registration = state.registration(job);
        match self.ends(view, job) {
            Some(at) if at <= view.now => self.remove(view, job, registration),
            ends => {
                let mut decision = self.trim(view, job, registration);
                if let (Again::OnChange, Some(at)) = (decision.again, ends) {
                    decision.again = Again::At(at);
                } else if let (Again::At(one), Some(other)) = (decision.again, ends) {
                    decision.again = Again::At(one.min(other));
                }
                decision
            }
        }
    }

    /// When all of the job may go; `None` while it lives.
    fn ends(&self, view: &View<'_, Self>, job: &JobKey) -> Option<UnixNanos> {
        let state = view.state;
        let registration = match state.registration(job) {
            None => return Some(UnixNanos::MIN),
            Some(registration) if registration.purge => return Some(UnixNanos::MIN),
            Some(registration) => registration,
        };
        let asked = registration.eval.id;
        let evaluated = state
            .evaluated(job)
            .is_some_and(|evaluated| evaluated.eval == asked);
        let batch = state
            .current_job(job)
            .is_some_and(|version| match version.job.job_type() {
                JobType::Batch | JobType::Sysbatch => true,
                JobType::Service | JobType::System => false,
            });
        let over = evaluated
            && (registration.stop || batch)
            && state.evals_of_job(job).all(|eval| eval.status.is_terminal())
            && state.allocs_of_job(job).all(|alloc| is_over(state, alloc))
            // Work that was never placed is not done.
            && (registration.stop || state.allocs_of_job(job).next().is_some());
        if !over {
            return None;
        }
        let newest = state
            .allocs_of_job(job)
            .map(|alloc| changed(state, alloc))
            .chain(state.evals_of_job(job).map(|eval| eval.modify_time))
            .max()
            .unwrap_or(registration.eval.create_time);
        Some(after(newest, self.settings.job))
    }

    /// Until when evaluations that are over name deployments: who follows an evaluation looks up the deployment too.
    fn followed(&self, state: &State, job: &JobKey) -> BTreeMap<DeploymentId, UnixNanos> {
        let mut followed = BTreeMap::new();
        for eval in state.evals_of_job(job) {
            if let Some(id) = eval.deployment_id.filter(|_| eval.status.is_terminal()) {
                let until = after(eval.modify_time, self.settings.eval);
                let latest = followed.entry(id).or_insert(until);
                *latest = until.max(*latest);
            }
        }
        followed
    }

    /// Removes all of a job, its registration last, but for evaluations that ended a short while ago and the deployments
    /// that they name.
    fn remove(
        &self,
        view: &View<'_, Self>,
        job: &JobKey,
        registration: Option<&Arc<Stored<Registration>>>,
    ) -> Decision {
        let state = view.state;
        let asked_for = registration.is_some_and(|registration| {
            state
                .evaluated(job)
                .is_none_or(|evaluated| evaluated.eval != registration.eval.id)
        });
        let busy = asked_for
            || state.evals_of_job(job).any(|eval| {
                registration.is_some() && !eval.status.is_terminal()
                    || state.plan(eval.id).is_some()
            });
        if busy || state.allocs_of_job(job).any(|alloc| !is_over(state, alloc)) {
            return Decision::wait(JOB_WAITS);
        }
        let mut groups: Vec<Vec<Write>> = state
            .allocs_of_job(job)
            .map(|alloc| delete_alloc(state, alloc))
            .collect();
        // Whoever asked for an evaluation follows it, whatever has become of its job: it stays as long as any other.
        let over_at = |eval: &Eval| after(eval.modify_time, self.settings.eval);
        let stays = |eval: &Eval| eval.status.is_terminal() && over_at(eval) > view.now;
        let followed = self.followed(state, job);
        let next = state
            .evals_of_job(job)
            .filter(|eval| stays(eval))
            .map(|eval| over_at(eval))
            .min();
        let others = state
            .evals_of_job(job)
            .filter(|eval| !stays(eval))
            .map(|eval| Key::Eval(eval.id))
            .chain(
                state
                    .deployments_of_job(job)
                    .map(|deployment| deployment.id)
                    .filter(|id| followed.get(id).is_none_or(|until| *until <= view.now))
                    .map(Key::Deployment),
            )
            .chain(
                state
                    .job_versions(job)
                    .map(|(version, _)| Key::JobVersion(version.clone())),
            );
        groups.extend(others.filter_map(|key| Some(vec![delete(state, key)?])));
        let mut taken = 0;
        let fitting = groups
            .iter()
            .take_while(|group| {
                taken += group.len();
                taken <= KEYS_A_DECISION
            })
            .count();
        let all = fitting == groups.len();
        groups.truncate(fitting);
        let last: Vec<Write> = [
            Key::JobEvaluated(job.clone()),
            Key::JobStable(job.clone()),
            Key::JobCollected(job.clone()),
            Key::Registration(job.clone()),
        ]
        .into_iter()
        .filter_map(|key| delete(state, key))
        .collect();
        if groups.is_empty() && last.is_empty() {
            return Decision::wait(JOB_IN_USE).then_at(next);
        }
        // The registration is compared by its own removal where the commit has just that one transaction; the
        // condition stands in the others.
        Decision {
            commit: Commit {
                requires: vec![requirement(job, registration)],
                groups,
                last: if all { last } else { Vec::new() },
                ..Commit::default()
            },
            again: match next {
                _ if !all => Again::WhenSettled,
                Some(at) => Again::At(at),
                None => Again::OnChange,
            },
            ..Decision::wait(JOB_REMOVED)
        }
    }

    /// Removes what is over of a job that lives.
    fn trim(
        &self,
        view: &View<'_, Self>,
        job: &JobKey,
        registration: Option<&Arc<Stored<Registration>>>,
    ) -> Decision {
        let state = view.state;
        let mut next: Option<UnixNanos> = None;
        let mut is_due = |at: UnixNanos| {
            if at > view.now {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            at <= view.now
        };

        let allocs: Vec<&Arc<Stored<Alloc>>> = state
            .allocs_of_job(job)
            .filter(|alloc| alloc.desired_status != DesiredStatus::Run && is_over(state, alloc))
            .filter(|alloc| is_due(after(changed(state, alloc), self.settings.eval)))
            .collect();
        let newest = state
            .evals_of_job(job)
            .filter(|eval| eval.status.is_terminal())
            .max_by_key(|eval| (eval.snapshot, eval.modify))
            .map(|eval| eval.id);
        let asked = registration.map(|registration| registration.eval.id);
        let kept = |id: EvalId| Some(id) == newest || Some(id) == asked;
        let evals: Vec<Key> = state
            .evals_of_job(job)
            .filter(|eval| eval.status.is_terminal() && !kept(eval.id))
            .filter(|eval| state.plan(eval.id).is_none())
            .filter(|eval| is_due(after(eval.modify_time, self.settings.eval)))
            .filter(|eval| state.allocs_of_eval(eval.id).next().is_none())
            .map(|eval| Key::Eval(eval.id))
            .collect();
        let followed = self.followed(state, job);
        let deployments: Vec<Key> = state
            .deployments_of_job(job)
            .filter(|deployment| !deployment.status.is_active())
            .filter(|deployment| {
                !state
                    .allocs_of_deployment(deployment.id)
                    .any(|alloc| state.is_live(alloc))
            })
            .filter(|deployment| {
                let old = after(deployment.modify_time, self.settings.deployment);
                is_due(
                    followed
                        .get(&deployment.id)
                        .map_or(old, |until| old.max(*until)),
                )
            })
            .map(|deployment| Key::Deployment(deployment.id))
            .collect();
        let versions = superfluous_versions(state, job, registration);

        let require = requirement(job, registration);
        if !allocs.is_empty() {
            return self.collect(view, job, registration, &allocs);
        }
        for (branch, keys) in [
            (EVALS_REMOVED, evals),
            (DEPLOYMENTS_REMOVED, deployments),
            (VERSIONS_REMOVED, versions),
        ] {
            let writes: Vec<Write> = keys
                .into_iter()
                .take(KEYS_AT_ONCE)
                .filter_map(|key| delete(state, key))
                .collect();
            if !writes.is_empty() {
                let mut decision = Decision::write(branch, writes).requiring([require]);
                decision.again = Again::WhenSettled;
                return decision;
            }
        }
        Decision::wait(JOB_IN_USE).then_at(next)
    }

    /// Removes allocs and keeps count of them in the same transaction.
    fn collect(
        &self,
        view: &View<'_, Self>,
        job: &JobKey,
        registration: Option<&Arc<Stored<Registration>>>,
        allocs: &[&Arc<Stored<Alloc>>],
    ) -> Decision {
        let state = view.state;
        let uid = registration.map(|registration| registration.uid);
        let before = state.collected(job);
        let mut collected = before
            .filter(|before| before.uid == uid)
            .map(|before| before.value.clone())
            .unwrap_or_default();
        collected.uid = uid;
        let mut writes = Vec::new();
        for alloc in allocs.iter().take(ALLOCS_AT_ONCE) {
            writes.extend(delete_alloc(state, alloc));
            if Some(alloc.job_uid) == uid {
                count(state, &mut collected, alloc);
            }
        }
        let key = Key::JobCollected(job.clone());
        let object = Object::JobCollected(collected);
        writes.push(match before {
            Some(before) => Write::Update(key, object, before.modify),
            None => Write::Create(key, object),
        });
        let mut decision =
            Decision::write(ALLOCS_REMOVED, writes).requiring([requirement(job, registration)]);
        decision.again = Again::WhenSettled;
        decision
    }
}

fn count(state: &State, collected: &mut JobCollected, alloc: &Alloc) {
    let counts = collected
        .groups
        .entry(alloc.task_group.clone())
        .or_default();
    match state.client_status(alloc.id) {
        ClientStatus::Failed => counts.failed += 1,
        ClientStatus::Lost => counts.lost += 1,
        ClientStatus::Complete | ClientStatus::Pending | ClientStatus::Running => {
            counts.complete += 1;
        }
    }
}

/// Versions of former registrations, and old ones of this one, that no alloc runs.
fn superfluous_versions(
    state: &State,
    job: &JobKey,
    registration: Option<&Arc<Stored<Registration>>>,
) -> Vec<Key> {
    let Some(registration) = registration else {
        return Vec::new();
    };
    let used: BTreeSet<VersionKey> = state
        .allocs_of_job(job)
        .map(|alloc| alloc.version_key())
        .collect();
    let stable = state
        .stable(job)
        .filter(|stable| stable.uid == registration.uid)
        .and_then(|stable| stable.versions.last().copied());
    let mut by_uid: BTreeMap<bool, Vec<&VersionKey>> = BTreeMap::new();
    for (version, _) in state.job_versions(job) {
        by_uid
            .entry(version.uid == registration.uid)
            .or_default()
            .push(version);
    }
    let own = by_uid.remove(&true).unwrap_or_default();
    let old = own.len().saturating_sub(VERSIONS);
    by_uid
        .remove(&false)
        .unwrap_or_default()
        .into_iter()
        .chain(
            own.into_iter()
                .take(old)
                .filter(|version| Some(version.version) != stable)
                .filter(|version| version.version != registration.version),
        )
        .filter(|version| !used.contains(*version))
        .map(|version| Key::JobVersion(version.clone()))
        .collect()
}
