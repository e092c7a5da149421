//! The versions of a job, and what differs between them.

use std::sync::Arc;

use rove_controllers::facts::{self, ShownJob};
use rove_model::{
    diff::diff,
    ids::{JobKey, Revision},
    job::Job,
    registration::JobVersion,
};
use rove_store::state::{State, Stored};
use rove_wire::Versions;

use super::route::rows::*;
use super::{job, jobs};
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::ServerSide,
    error::ApiError,
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/job/{job*}/versions", ReadJob, "Lists the versions of a job.",
        server!(|r| list(r.server, r.call, &r.job())))
        .gives(Versions::schema),
];

pub(super) async fn list(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let diffs = call.params.flag("diffs")?.unwrap_or(false);
    let index = |state: &_| newest(state, key);
    let state = blocking::wait(server, &call.params, index).await?;
    let meta = Meta::of(&state, index(&state));
    let Some(job) = facts::job(&state, key) else {
        return Ok(Answer::missing("job versions not found").with_meta(meta));
    };
    let status = view::word(facts::of_job(&state, &job).status);
    let versions: Vec<Job> = of_job(&state, &job)
        .into_iter()
        .map(|version| {
            let mut spec = view::job::version(&state, &job, version);
            spec.status.clone_from(&status);
            spec
        })
        .collect();
    let diffs = diffs.then(|| {
        versions
            .windows(2)
            .map(|pair| diff(Some(&pair[1]), Some(&pair[0]), true))
            .collect::<Vec<_>>()
    });
    let answer = Versions {
        versions,
        diffs,
        index: meta.index,
        known_leader: meta.known_leader,
        ..Versions::default()
    };
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}

/// The versions of a job's current registration, newest first.
fn of_job<'a>(state: &'a State, job: &ShownJob<'_>) -> Vec<&'a Arc<Stored<JobVersion>>> {
    let mut versions: Vec<_> = state
        .job_versions(job.key)
        .filter(|(key, _)| key.uid == job.registration.uid)
        .map(|(_, version)| version)
        .collect();
    versions.reverse();
    versions
}

/// Everything that the versions of a job are made of.
fn newest(state: &State, key: &JobKey) -> Revision {
    match facts::job(state, key) {
        Some(_) => job::index_of(state, key),
        None => state.newest_of(&jobs::TABLES),
    }
}
