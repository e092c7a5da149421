//! The dry run of a registration, and the history of a job: what differs, and what it would lead to.

use std::{collections::BTreeMap, sync::Arc};

use rand::{SeedableRng, rngs::StdRng};
use rove_controllers::scheduler::{Cluster, Proposal, View, dry_run};
use rove_model::{
    diff::{JobDiff, annotate, diff},
    ids::{GroupName, JobKey},
    job::Job,
    plan::DesiredUpdates,
};
use rove_store::state::Stored;
use serde::Deserialize;
use serde_json::json;

use super::job::{versions_index, versions_of};
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    status,
    view::{self, eval::EvalView},
    write::job::{admit, same_spec},
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PlanBody {
    job: Option<Job>,
    diff: Option<bool>,
}

pub(super) async fn plan(
    context: &Arc<ApiContext>,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: PlanBody = call.json()?;
    let job = body
        .job
        .ok_or_else(|| ApiError::BadRequest("Job must be specified".to_owned()))?;
    if job.id.is_empty() {
        return Err(ApiError::BadRequest("Job must have a valid ID".to_owned()));
    }
    if job.id != key.id.as_str() {
        return Err(ApiError::BadRequest("Job ID does not match".to_owned()));
    }
    let admitted = admit(job, call.namespace(), &context.info)?;
    let (job, warnings) = (admitted.job, admitted.warnings);
    let state = blocking::ready(server).await?;
    let now = context.sources.now();
    let seed = context.sources.random();
    let wants_diff = body.diff.unwrap_or(false);
    // The decision takes as long as the scheduler's own: it does not hold up other calls.
    let answer = tokio::task::spawn_blocking(move || {
        let mut wide = [0; 32];
        wide[..16].copy_from_slice(&seed);
        let mut rng = StdRng::from_seed(wide);
        let cluster = Cluster::new(&state);
        let key = job.key();
        let current = status::job(&state, &key);
        let makes_version = current
            .as_ref()
            .is_none_or(|current| !same_spec(&current.version.job, &job));
        let run = dry_run(
            &View {
                state: &state,
                cluster: &cluster,
            },
            Proposal {
                job: &job,
                makes_version,
            },
            now,
            &mut rng,
        );
        let index = current.as_ref().map_or(0, |current| current.version.create);
        let created: Vec<EvalView> = run
            .created_evals
            .iter()
            .map(|eval| {
                EvalView::of(&Stored {
                    create: 0,
                    modify: 0,
                    value: eval.clone(),
                })
            })
            .collect();
        let old = current.as_ref().map(|current| &current.version.job);
        let diff = wants_diff.then(|| planned_diff(old, &job, &run.desired));
        let answer = json!({
            "Annotations": {"DesiredTGUpdates": run.desired, "PreemptedAllocs": null},
            "FailedTGAllocs": if run.failed_groups.is_empty() { None } else { Some(&run.failed_groups) },
            "JobModifyIndex": index,
            "CreatedEvals": if created.is_empty() { None } else { Some(created) },
            "Diff": diff,
            "NextPeriodicLaunch": null,
            "Warnings": warnings,
            "Index": index,
        });
        (answer, index)
    })
    .await;
    let (answer, index) =
        answer.map_err(|error| ApiError::Refused(format!("the dry run failed: {error}")))?;
    Ok(Answer::json(call, &answer)?.with_index(index))
}

pub(super) async fn versions(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let diffs = call.params.flag("diffs")?.unwrap_or(false);
    let index = |state: &_| versions_index(state, key);
    let state = blocking::wait(server, &call.params, index).await?;
    let meta = Meta::of(&state, index(&state));
    let Some(job) = status::job(&state, key) else {
        return Ok(Answer::missing("job versions not found").with_meta(meta));
    };
    let status = status::facts(&state, &job).status.text();
    let versions: Vec<Job> = versions_of(&state, &job)
        .into_iter()
        .map(|version| {
            let mut spec = view::job::version(&state, &job, version);
            spec.status = status.to_owned();
            spec
        })
        .collect();
    let diffs = diffs.then(|| {
        versions
            .windows(2)
            .map(|pair| diff(Some(&pair[1]), Some(&pair[0]), true))
            .collect::<Vec<_>>()
    });
    let answer = json!({
        "Versions": versions,
        "Diffs": diffs,
        "Index": meta.index,
        "LastContact": 0,
        "KnownLeader": meta.known_leader,
        "NextToken": "",
    });
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}

/// What a registration changes, with what each change would do.
fn planned_diff(
    old: Option<&Job>,
    new: &Job,
    desired: &BTreeMap<GroupName, DesiredUpdates>,
) -> JobDiff {
    let mut changes = diff(old, Some(new), true);
    annotate(&mut changes, desired);
    changes
}
