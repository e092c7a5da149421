//! Jobs, their summaries and versions.

use std::collections::BTreeMap;

use rove_controllers::facts::{GroupCounts, JobFacts, ShownJob, job_index};
use rove_model::{
    ids::{GroupName, Revision, UnixNanos},
    job::Job,
    registration::JobVersion,
};
use rove_store::state::{State, Stored};
use serde::Serialize;

/// The job as it stands, with everything that is computed filled in.
pub(crate) fn current(state: &State, job: &ShownJob<'_>, facts: &JobFacts) -> Job {
    let mut spec = version(state, job, job.version);
    spec.status = facts.status.text().to_owned();
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

/// A job in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JobStub {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ParentID")]
    parent_id: String,
    name: String,
    namespace: String,
    datacenters: Vec<String>,
    node_pool: String,
    multiregion: Option<()>,
    #[serde(rename = "Type")]
    job_type: &'static str,
    priority: i32,
    periodic: bool,
    parameterized_job: bool,
    stop: bool,
    status: &'static str,
    status_description: String,
    job_summary: JobSummary,
    create_index: Revision,
    modify_index: Revision,
    job_modify_index: Revision,
    submit_time: UnixNanos,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<BTreeMap<String, String>>,
}

/// What became of a job's allocs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JobSummary {
    #[serde(rename = "JobID")]
    job_id: String,
    namespace: String,
    summary: BTreeMap<GroupName, GroupSummary>,
    children: Children,
    create_index: Revision,
    modify_index: Revision,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupSummary {
    queued: u64,
    complete: u64,
    failed: u64,
    running: u64,
    starting: u64,
    lost: u64,
    unknown: u64,
}

/// Jobs launched from this one, by status.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Children {
    pending: u64,
    running: u64,
    dead: u64,
}

impl JobSummary {
    pub(crate) fn of(state: &State, job: &ShownJob<'_>, facts: &JobFacts) -> Self {
        Self {
            job_id: job.key.id.to_string(),
            namespace: job.key.namespace.to_string(),
            summary: facts
                .groups
                .iter()
                .map(|(name, counts)| (name.clone(), GroupSummary::of(*counts)))
                .collect(),
            children: Children::default(),
            create_index: job.create_index(state),
            modify_index: facts.newest,
        }
    }
}

impl GroupSummary {
    fn of(counts: GroupCounts) -> Self {
        Self {
            queued: counts.queued,
            complete: counts.complete,
            failed: counts.failed,
            running: counts.running,
            starting: counts.starting,
            lost: counts.lost,
            unknown: 0,
        }
    }
}

impl JobStub {
    pub(crate) fn of(state: &State, job: &ShownJob<'_>, facts: &JobFacts, meta: bool) -> Self {
        let spec = &job.version.job;
        Self {
            id: spec.id.clone(),
            parent_id: spec.parent_id.clone(),
            name: spec.name.clone(),
            namespace: job.key.namespace.to_string(),
            datacenters: spec.datacenters.clone(),
            node_pool: spec.node_pool.clone(),
            multiregion: None,
            job_type: spec.job_type().name(),
            priority: spec.priority(),
            periodic: spec.is_periodic(),
            parameterized_job: spec.is_parameterized(),
            stop: job.registration.stop,
            status: facts.status.text(),
            status_description: String::new(),
            job_summary: JobSummary::of(state, job, facts),
            create_index: job.create_index(state),
            modify_index: job_index(state, job, facts),
            job_modify_index: job.version.create,
            submit_time: spec.submit_time.unwrap_or_default(),
            meta: meta.then(|| spec.meta.clone()),
        }
    }
}
