//! What is computed from State and never stored, once for loops and API: a job's status and summary, the health of an
//! alloc and the counts of a deployment, the evaluation that was asked for and isn't made yet. Whether an alloc is live
//! is [`State::is_live`].

mod deployment;

pub use self::deployment::{
    Progress, deployment_counts, deployment_index, ended, health, stored_health,
};

use std::{collections::BTreeMap, sync::Arc};

use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    eval::{Asked, Eval, TriggeredBy},
    ids::{EvalId, GroupName, JobKey, Revision, VersionKey},
    job::JobType,
    registration::{EvalRequest, JobStatus, JobVersion, Registration},
};
use rove_store::state::{State, Stored};

/// A job that is there: registered, and not purged.
#[derive(Clone, Copy, Debug)]
pub struct ShownJob<'a> {
    /// Its namespace and id.
    pub key: &'a JobKey,
    /// What is wanted of it.
    pub registration: &'a Stored<Registration>,
    /// Its current version.
    pub version: &'a Stored<JobVersion>,
}

/// The job of that name.
#[must_use]
pub fn job<'a>(state: &'a State, key: &'a JobKey) -> Option<ShownJob<'a>> {
    let registration = state.registration(key)?;
    shown(state, key, registration)
}

/// Every job, by namespace and id.
pub fn jobs(state: &State) -> impl Iterator<Item = ShownJob<'_>> {
    state
        .registrations()
        .filter_map(|(key, registration)| shown(state, key, registration))
}

fn shown<'a>(
    state: &'a State,
    key: &'a JobKey,
    registration: &'a Arc<Stored<Registration>>,
) -> Option<ShownJob<'a>> {
    let version = state.job_version(&registration.version_key(key))?;
    (!registration.purge).then_some(ShownJob {
        key,
        registration,
        version,
    })
}

impl ShownJob<'_> {
    /// When this registration of the job came into being.
    #[must_use]
    pub fn create_index(&self, state: &State) -> Revision {
        self.version(state, 0)
            .map_or(self.registration.create, |first| first.create)
    }

    /// One of the versions of this registration.
    #[must_use]
    pub fn version<'s>(
        &self,
        state: &'s State,
        version: u64,
    ) -> Option<&'s Arc<Stored<JobVersion>>> {
        state.job_version(&VersionKey {
            version,
            ..self.registration.version_key(self.key)
        })
    }
}

/// Allocs of a task group, by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Wait for a place.
    pub queued: u64,
    /// Ended well.
    pub complete: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Run.
    pub running: u64,
    /// Placed, and not started yet.
    pub starting: u64,
    /// Lost with their node.
    pub lost: u64,
}

/// What a look over a job's allocs and evaluations finds.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// Where it is in its life.
    pub status: JobStatus,
    /// Its allocs by group.
    pub groups: BTreeMap<GroupName, GroupCounts>,
    /// Newest change of the allocs and evaluations that were counted.
    pub newest: Revision,
}

/// Looks over a job's allocs and evaluations.
#[must_use]
pub fn of_job(state: &State, job: &ShownJob<'_>) -> JobFacts {
    let uid = job.registration.uid;
    let mut groups: BTreeMap<GroupName, GroupCounts> = job
        .version
        .job
        .task_groups
        .iter()
        .map(|group| (GroupName::from(group.name.as_str()), GroupCounts::default()))
        .collect();
    let mut newest = job.version.create;
    if let Some(collected) = state.collected(job.key)
        && collected.uid == Some(uid)
    {
        newest = newest.max(collected.modify);
        for (name, counts) in &collected.groups {
            let group = groups.entry(name.clone()).or_default();
            group.complete += counts.complete;
            group.failed += counts.failed;
            group.lost += counts.lost;
        }
    }
    let (mut any_alloc, mut any_live) = (false, false);
    for alloc in state.allocs_of_job(job.key) {
        if alloc.job_uid != uid {
            continue;
        }
        let client = state.client_status(alloc.id);
        newest = newest.max(alloc_index(state, alloc));
        any_alloc = true;
        any_live |= state.is_live(alloc);
        let group = groups.entry(alloc.task_group.clone()).or_default();
        match client {
            ClientStatus::Pending => group.starting += 1,
            ClientStatus::Running => group.running += 1,
            ClientStatus::Complete => group.complete += 1,
            ClientStatus::Failed => group.failed += 1,
            ClientStatus::Lost => group.lost += 1,
        }
    }
    let mut any_open = asked_eval(state, job.key).is_some();
    let mut any_eval = any_open;
    let mut counted: Option<&Stored<Eval>> = None;
    for eval in state.evals_of_job(job.key) {
        if eval.job_uid != uid {
            continue;
        }
        newest = newest.max(eval.modify);
        any_eval = true;
        any_open |= !eval.status.is_terminal();
        if !eval.queued_allocations.is_empty()
            && counted.is_none_or(|other| other.modify < eval.modify)
        {
            counted = Some(eval);
        }
    }
    // What a stopped job waited for before it was stopped it waits for no more.
    if let Some(eval) = counted.filter(|_| !job.registration.stop) {
        for (name, queued) in &eval.queued_allocations {
            if let Some(group) = groups.get_mut(name) {
                group.queued = *queued;
            }
        }
    }
    let spec = &job.version.job;
    // It waits for nodes or for its next launch, and is over when it is stopped.
    let stays = spec.job_type() == JobType::System || spec.is_periodic() || spec.is_parameterized();
    let status = if any_live || (stays && !job.registration.stop) {
        JobStatus::Running
    } else if any_open {
        JobStatus::Pending
    } else if any_eval || any_alloc || job.registration.stop {
        JobStatus::Dead
    } else if state.evaluated(job.key).is_some_and(|done| done.uid == uid) {
        // Its evaluations were collected: it had its turn.
        JobStatus::Dead
    } else {
        JobStatus::Pending
    };
    JobFacts {
        status,
        groups,
        newest,
    }
}

/// The newest change of anything that an answer about this job is made of.
#[must_use]
pub fn job_index(state: &State, job: &ShownJob<'_>, facts: &JobFacts) -> Revision {
    let stable = state.stable(job.key).map_or(0, |stable| stable.modify);
    job.registration.modify.max(stable).max(facts.newest)
}

/// The newest change of an alloc or of what is known of it.
#[must_use]
pub fn alloc_index(state: &State, alloc: &Stored<rove_model::alloc::Alloc>) -> Revision {
    let status = state
        .alloc_status(alloc.id)
        .map_or(0, |status| status.modify);
    alloc.modify.max(status)
}

/// The evaluation that a job asks for, where the job loop has not made it yet: shown as pending.
#[must_use]
pub fn asked_eval(state: &State, key: &JobKey) -> Option<Stored<Eval>> {
    let registration = state.registration(key)?;
    let asked = &registration.eval;
    let made = state.eval(asked.id).is_some()
        || state
            .evaluated(key)
            .is_some_and(|done| done.uid == registration.uid && done.eval == asked.id);
    if made {
        return None;
    }
    pending(state, key, asked, registration.modify)
}

/// An evaluation that was asked for at `revision`, as it will be made.
fn pending(
    state: &State,
    key: &JobKey,
    asked: &EvalRequest,
    revision: Revision,
) -> Option<Stored<Eval>> {
    let registration = state.registration(key)?;
    let version = state.current_job(key)?;
    Some(Stored {
        create: revision,
        modify: revision,
        value: Eval::new(
            asked.id,
            key,
            registration.uid,
            version.job.job_type(),
            version.create,
            Asked {
                triggered_by: asked.triggered_by,
                priority: asked.priority,
                at: asked.create_time,
            },
        ),
    })
}

/// An evaluation, made or only asked for.
#[must_use]
pub fn eval(state: &State, id: EvalId) -> Option<Stored<Eval>> {
    if let Some(eval) = state.eval(id) {
        return Some(Stored::clone(eval));
    }
    let of_job = state
        .registrations()
        .find(|(_, registration)| registration.eval.id == id)
        .and_then(|(key, _)| asked_eval(state, key));
    of_job.or_else(|| {
        let (_, alloc, control) = state
            .alloc_controls()
            .find(|(_, _, control)| control.stop == Some(id))?;
        let alloc = state.alloc(alloc)?;
        // Once the alloc is stopped, its evaluation was made (and collected).
        if alloc.desired_status != DesiredStatus::Run {
            return None;
        }
        let key = alloc.job();
        let asked = EvalRequest {
            id,
            triggered_by: TriggeredBy::AllocStop,
            priority: state.current_job(&key)?.job.priority(),
            create_time: alloc.modify_time,
        };
        pending(state, &key, &asked, control.modify)
    })
}

/// The drivers that some node has; `None` where no node has told of any.
#[must_use]
pub fn drivers(state: &State) -> Option<std::collections::BTreeSet<String>> {
    let nodes = state.nodes();
    let all = nodes.flat_map(|node| node.value.drivers.iter());
    let found: std::collections::BTreeSet<String> = all
        .filter(|(_, driver)| driver.detected)
        .map(|(name, _)| name.clone())
        .collect();
    (!found.is_empty()).then_some(found)
}
