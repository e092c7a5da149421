//! The dry run of a registration: what differs, and what it would lead to.

use std::{collections::BTreeMap, sync::Arc};

use rand::{SeedableRng, rngs::StdRng};
use rove_controllers::{
    facts,
    registration::{Examined, complaints, examine, same_spec},
    scheduler::{Cluster, DryRun, Proposal, Snapshot, dry_run},
};
use rove_model::{
    diff::{JobDiff, annotate, diff},
    ids::{GroupName, JobKey, UnixNanos},
    job::Job,
    plan::DesiredUpdates,
};
use rove_store::state::{State, Stored};
use rove_wire::{Plan, PlanAnnotations, PlanRequest};

use super::route::rows::*;
use crate::{
    answer::Answer,
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::{ApiError, problems},
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Write, "/v1/job/{job*}/plan", SubmitJob, "Says what a registration would lead to.",
        server!(|r| plan(r.context, r.server, r.call, &r.job())))
        .takes(PlanRequest::schema).gives(Plan::schema),
];

pub(super) async fn plan(
    context: &Arc<ApiContext>,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: PlanRequest = call.json()?;
    let job = body
        .job
        .ok_or_else(|| ApiError::BadRequest("Job must be specified".to_owned()))?;
    if job.id.is_empty() {
        return Err(ApiError::BadRequest("Job must have a valid ID".to_owned()));
    }
    if job.id != key.id.as_str() {
        return Err(ApiError::BadRequest("Job ID does not match".to_owned()));
    }
    let state = blocking::ready(server).await?;
    let drivers = facts::drivers(&state);
    let Examined {
        job,
        mut warnings,
        refusal,
    } = examine(
        job,
        call.namespace(),
        &context.info.region,
        drivers.as_ref(),
    )?;
    let unsupported = refusal.messages();
    let problems = if call.problems {
        problems(&refusal)
    } else {
        Vec::new()
    };
    if !unsupported.is_empty() {
        let list = complaints(&unsupported);
        warnings = format!("This job can't be registered: {list}{warnings}");
    }
    let now = context.sources.now();
    let seed = context.sources.random();
    let wants_diff = body.diff;
    // The decision takes as long as the scheduler's own: it does not hold up other calls.
    let answer = tokio::task::spawn_blocking(move || {
        let key = job.key();
        let current = facts::job(&state, &key);
        let old = current.as_ref().map(|current| &current.version.job);
        let index = current.as_ref().map_or(0, |current| current.version.create);
        // The scheduler is not asked about what it can't decide; what would change is shown all the same.
        let run = unsupported.is_empty().then(|| {
            let makes_version = old.is_none_or(|old| !same_spec(old, &job));
            try_out(&state, &job, makes_version, now, seed)
        });
        let desired = run.as_ref().map(|run| &run.desired);
        let diff = wants_diff.then(|| planned_diff(old, &job, desired.unwrap_or(&BTreeMap::new())));
        let created: Vec<rove_wire::Eval> = run
            .iter()
            .flat_map(|run| &run.created_evals)
            .map(|eval| {
                view::eval::of(&Stored {
                    create: 0,
                    modify: 0,
                    value: eval.clone(),
                })
            })
            .collect();
        let answer = Plan {
            annotations: desired.map(|desired| PlanAnnotations {
                updates: view::by_group(desired),
                preempted: Vec::new(),
            }),
            failed: run
                .as_ref()
                .map(|run| view::by_group(&run.failed_groups))
                .unwrap_or_default(),
            modify_index: index,
            created,
            diff,
            next_launch: None,
            warnings,
            index,
            unsupported,
            problems,
        };
        (answer, index)
    })
    .await;
    let (answer, index) =
        answer.map_err(|error| ApiError::Refused(format!("the dry run failed: {error}")))?;
    Ok(Answer::json(call, &answer)?.with_index(index))
}

/// What the scheduler would do.
fn try_out(
    state: &State,
    job: &Job,
    makes_version: bool,
    now: UnixNanos,
    seed: [u8; 16],
) -> DryRun {
    let mut wide = [0; 32];
    wide[..16].copy_from_slice(&seed);
    let mut rng = StdRng::from_seed(wide);
    let cluster = Cluster::new(state);
    dry_run(
        &Snapshot {
            state,
            cluster: &cluster,
        },
        Proposal { job, makes_version },
        now,
        &mut rng,
    )
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
