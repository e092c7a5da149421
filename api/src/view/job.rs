//! Jobs, their summaries and versions.

use std::collections::BTreeMap;

use rove_controllers::facts::{GroupCounts, JobFacts, ShownJob, job_index};
use rove_model::{job::Job, registration::JobVersion};
use rove_store::state::{State, Stored};
use rove_wire::{Children, GroupSummary, JobStub, JobSummary};

/// The job as it stands, with everything that is computed filled in.
pub(crate) fn current(state: &State, job: &ShownJob<'_>, facts: &JobFacts) -> Job {
    let mut spec = version(state, job, job.version);
    spec.status = super::word(facts.status);
    spec.modify_index = job_index(state, job, facts);
    spec
}

/// One version of the job.
pub(crate) fn version(state: &State, job: &ShownJob<'_>, stored: &Stored<JobVersion>) -> Job {
    let mut spec = stored.job.clone();
    spec.stable = state.stable(job.key).is_some_and(|stable| {
        stable.uid == job.registration.uid && stable.versions.contains(&spec.version)
    });
    spec.create_index = job.create_index(state);
    spec.modify_index = stored.create;
    spec.job_modify_index = stored.create;
    spec
}

/// What became of a job's allocs.
pub(crate) fn summary(state: &State, job: &ShownJob<'_>, facts: &JobFacts) -> JobSummary {
    JobSummary {
        job: job.key.id.to_string(),
        namespace: job.key.namespace.to_string(),
        summary: facts
            .groups
            .iter()
            .map(|(name, counts)| (name.to_string(), group_summary(*counts)))
            .collect(),
        children: Some(Children::default()),
        create_index: job.create_index(state),
        modify_index: facts.newest,
    }
}

fn group_summary(counts: GroupCounts) -> GroupSummary {
    GroupSummary {
        queued: counts.queued,
        complete: counts.complete,
        failed: counts.failed,
        running: counts.running,
        starting: counts.starting,
        lost: counts.lost,
        unknown: 0,
    }
}

/// A job in a list; with its meta on demand.
pub(crate) fn stub(state: &State, job: &ShownJob<'_>, facts: &JobFacts, meta: bool) -> JobStub {
    let spec = &job.version.job;
    JobStub {
        id: spec.id.clone(),
        parent: spec.parent_id.clone(),
        name: spec.name.clone(),
        namespace: job.key.namespace.to_string(),
        datacenters: spec.datacenters.clone(),
        node_pool: spec.node_pool.clone(),
        multiregion: None,
        kind: spec.job_type().into(),
        priority: spec.priority(),
        periodic: spec.is_periodic(),
        parameterized: spec.is_parameterized(),
        stop: job.registration.stop,
        status: facts.status.into(),
        status_description: String::new(),
        summary: Some(summary(state, job, facts)),
        create_index: job.create_index(state),
        modify_index: job_index(state, job, facts),
        job_modify_index: job.version.create,
        submit_time: spec.submit_time.unwrap_or_default(),
        meta: if meta {
            spec.meta.clone()
        } else {
            BTreeMap::new()
        },
    }
}
