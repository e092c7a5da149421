//! `/v1/job/<id>…`, and registration.

use std::sync::Arc;

use rove_controllers::{
    facts::{self, ShownJob},
    registration::{self, Change, NewCount, RegistrationError, Stamp, Stopping, admit},
};
use rove_model::job::Job;
use rove_model::{
    alloc::ClientStatus,
    ids::{EvalId, GroupName, JobKey, JobUid, Revision},
};
use rove_store::state::{State, Table};
use rove_wire::{
    AllocStub, Deployment, Deregistered, Eval, EvaluateRequest, GroupScale, JobSummary,
    RegisterRequest, Registered, RevertRequest, ScaleRequest, ScaleStatus, ScalingEvent,
};

use super::route::rows::*;
use super::{allocs, deployments, evals};
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    view,
    write::{self, Done},
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Write, "/v1/jobs", SubmitJob, "Registers a job.",
        server!(|r| register(r.context, r.server, r.call)))
        .takes(RegisterRequest::schema).gives(Registered::schema),
    Route::new(Read, "/v1/job/{job*}/actions", ReadJob, "Lists the actions of a job.",
        NotBuilt("the actions of a job")),
    Route::new(Read, "/v1/job/{job*}/allocations", ReadJob, "Lists the allocs of a job.",
        server!(|r| allocations(r.server, r.call, &r.job())))
        .gives(<Vec<AllocStub>>::schema),
    Route::new(Read, "/v1/job/{job*}/deployment", ReadJob, "Gives the latest deployment of a job.",
        server!(|r| latest_deployment(r.server, r.call, &r.job())))
        .gives(<Option<Deployment>>::schema),
    Route::new(Read, "/v1/job/{job*}/deployments", ReadJob, "Lists the deployments of a job.",
        server!(|r| deployments_of(r.server, r.call, &r.job())))
        .gives(<Vec<Deployment>>::schema),
    Route::new(Write, "/v1/job/{job*}/dispatch", DispatchJob, "Dispatches a parameterized job.",
        NotBuilt("dispatching a job")),
    Route::new(Write, "/v1/job/{job*}/evaluate", ReadJob, "Makes a new evaluation of a job.",
        server!(|r| evaluate(r.context, r.server, r.call, &r.job())))
        .takes(EvaluateRequest::schema).gives(Registered::schema),
    Route::new(Read, "/v1/job/{job*}/evaluations", ReadJob, "Lists the evaluations of a job.",
        server!(|r| evaluations(r.server, r.call, &r.job())))
        .gives(<Vec<Eval>>::schema),
    Route::new(Write, "/v1/job/{job*}/periodic/force", SubmitJob, "Launches a periodic job now.",
        NotBuilt("launching a periodic job")),
    Route::new(Write, "/v1/job/{job*}/revert", SubmitJob, "Makes an earlier version of a job the current one.",
        server!(|r| revert(r.context, r.server, r.call, &r.job())))
        .takes(RevertRequest::schema).gives(Registered::schema),
    Route::new(Read, "/v1/job/{job*}/scale", ReadJobScaling, "Says how a job is and was scaled.",
        server!(|r| scale_status(r.server, r.call, &r.job())))
        .gives(ScaleStatus::schema),
    Route::new(Write, "/v1/job/{job*}/scale", ScaleJob, "Gives a group of a job another count.",
        server!(|r| scale(r.context, r.server, r.call, &r.job())))
        .takes(ScaleRequest::schema).gives(Registered::schema),
    Route::new(Write, "/v1/job/{job*}/stable", SubmitJob, "Marks a version of a job as stable or not.",
        NotBuilt("marking a version stable by hand")),
    Route::new(Read, "/v1/job/{job*}/submission", ReadJob, "Gives the source of a job: none is kept yet.",
        server!(|r| submission(r.server))),
    Route::new(Read, "/v1/job/{job*}/summary", ReadJob, "Counts a job's allocs by group and status.",
        server!(|r| summary(r.server, r.call, &r.job())))
        .gives(JobSummary::schema),
    Route::new(Read, "/v1/job/{job*}", ReadJob, "Gives a job.",
        server!(|r| read(r.server, r.call, &r.job())))
        .gives(Job::schema),
    Route::new(Write, "/v1/job/{job*}", SubmitJob, "Registers a job anew.",
        server!(|r| update(r.context, r.server, r.call, &r.job())))
        .takes(RegisterRequest::schema).gives(Registered::schema),
    Route::new(Delete, "/v1/job/{job*}", SubmitJob, "Stops a job, and with purge forgets it.",
        server!(|r| deregister(r.context, r.server, r.call, &r.job())))
        .gives(Deregistered::schema),
];

/// The index of answers about one job: the newest change of the job, else of the tables it would come from.
pub(super) fn index_of(state: &State, key: &JobKey) -> Revision {
    match facts::job(state, key) {
        Some(job) => facts::job_index(state, &job, &facts::of_job(state, &job)),
        None => state.newest_of(&[Table::Registrations, Table::JobVersions]),
    }
}

pub(super) async fn read(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let state = blocking::wait(server, &call.params, |state| index_of(state, key)).await?;
    let meta = Meta::of(&state, index_of(&state, key));
    Ok(match facts::job(&state, key) {
        None => Answer::missing("job not found"),
        Some(job) => {
            let facts = facts::of_job(&state, &job);
            Answer::json(call, &view::job::current(&state, &job, &facts))?
        }
    }
    .with_meta(meta))
}

pub(super) async fn summary(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let state = blocking::wait(server, &call.params, |state| index_of(state, key)).await?;
    let meta = Meta::of(&state, index_of(&state, key));
    Ok(match facts::job(&state, key) {
        None => Answer::missing("job not found"),
        Some(job) => {
            let facts = facts::of_job(&state, &job);
            Answer::json(call, &view::job::summary(&state, &job, &facts))?
        }
    }
    .with_meta(meta))
}

/// The registration whose things are listed: only the current one's, unless all are asked for.
fn only_of(state: &State, call: &Call, key: &JobKey) -> Result<Option<JobUid>, ApiError> {
    if call.params.flag("all")?.unwrap_or(false) {
        return Ok(None);
    }
    Ok(facts::job(state, key).map(|job| job.registration.uid))
}

pub(super) async fn allocations(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    // Refused before anything waits.
    call.params.flag("all")?;
    allocs::of(server, call, |state| {
        let uid = only_of(state, call, key).ok().flatten();
        state
            .allocs_of_job(key)
            .filter(|alloc| uid.is_none_or(|uid| alloc.job_uid == uid))
            .cloned()
            .collect()
    })
    .await
}

pub(super) async fn evaluations(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let index = |state: &State| {
        let asked = facts::asked_eval(state, key).map(|eval| eval.modify);
        state
            .evals_of_job(key)
            .map(|eval| eval.modify)
            .chain(asked)
            .max()
            .unwrap_or_else(|| state.newest_of(&evals::TABLES))
    };
    let state = blocking::wait(server, &call.params, index).await?;
    let asked = facts::asked_eval(&state, key).map(Arc::new);
    let list: Vec<rove_wire::Eval> = state
        .evals_of_job(key)
        .cloned()
        .chain(asked)
        .map(|eval| view::eval::of(&eval))
        .collect();
    Ok(Answer::json(call, &list)?.with_meta(Meta::of(&state, index(&state))))
}

fn deployments_index(state: &State, key: &JobKey) -> Revision {
    state
        .deployments_of_job(key)
        .map(|deployment| facts::deployment_index(state, deployment))
        .max()
        .unwrap_or_else(|| state.newest_of(&deployments::TABLES))
}

pub(super) async fn deployments_of(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let index = |state: &State| deployments_index(state, key);
    let state = blocking::wait(server, &call.params, index).await?;
    let uid = only_of(&state, call, key)?;
    let list: Vec<rove_wire::Deployment> = state
        .deployments_of_job(key)
        .filter(|deployment| uid.is_none_or(|uid| deployment.job_uid == uid))
        .map(|deployment| view::deployment::of(&state, deployment))
        .collect();
    Ok(Answer::json(call, &list)?.with_meta(Meta::of(&state, index(&state))))
}

pub(super) async fn latest_deployment(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let index = |state: &State| deployments_index(state, key);
    let state = blocking::wait(server, &call.params, index).await?;
    let uid = only_of(&state, call, key)?;
    let latest = state
        .deployments_of_job(key)
        .filter(|deployment| uid.is_none_or(|uid| deployment.job_uid == uid))
        .max_by_key(|deployment| deployment.create)
        .map(|deployment| view::deployment::of(&state, deployment));
    Ok(Answer::json(call, &latest)?.with_meta(Meta::of(&state, index(&state))))
}

pub(super) async fn scale_status(
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let state = blocking::wait(server, &call.params, |state| index_of(state, key)).await?;
    let meta = Meta::of(&state, index_of(&state, key));
    Ok(match facts::job(&state, key) {
        None => Answer::missing("job not found"),
        Some(job) => Answer::json(call, &group_counts(&state, &job, meta.index))?,
    }
    .with_meta(meta))
}

fn group_counts(state: &State, job: &ShownJob<'_>, index: Revision) -> ScaleStatus {
    let groups = job
        .version
        .job
        .task_groups
        .iter()
        .map(|group| {
            let (mut placed, mut running, mut healthy, mut unhealthy) = (0, 0, 0, 0);
            for alloc in state.allocs_of_job(job.key).filter(|alloc| {
                alloc.job_uid == job.registration.uid
                    && alloc.task_group.as_str() == group.name
                    && state.is_live(alloc)
                    && !alloc.canary
            }) {
                placed += 1;
                running += u64::from(state.status_of(alloc) == ClientStatus::Running);
                let health = alloc
                    .deployment_id
                    .and_then(|deployment| facts::stored_health(state, alloc.id, deployment))
                    .map(|(health, _)| health.healthy);
                healthy += u64::from(health == Some(true));
                unhealthy += u64::from(health == Some(false));
            }
            let view = GroupScale {
                desired: group.count(),
                placed,
                running,
                healthy,
                unhealthy,
                events: scalings(state, job, &group.name),
            };
            (group.name.clone(), view)
        })
        .collect();
    ScaleStatus {
        job: job.key.id.to_string(),
        namespace: job.key.namespace.to_string(),
        create_index: job.create_index(state),
        modify_index: index,
        stopped: job.registration.stop,
        groups,
    }
}

/// The answer to a write of a job.
fn written(call: &Call, done: Done, warnings: &str) -> Result<Answer, ApiError> {
    let answer = Registered {
        eval: done.eval.to_string(),
        eval_create_index: done.index,
        modify_index: done.job_modify_index,
        warnings: warnings.to_owned(),
        index: done.index,
        ..Registered::default()
    };
    Ok(Answer::json(call, &answer)?.with_index(done.index))
}

fn eval_priority(priority: Option<i32>) -> Result<Option<i32>, ApiError> {
    match priority {
        None | Some(0) => Ok(None),
        Some(priority) if (1..=100).contains(&priority) => Ok(Some(priority)),
        Some(_) => Err(ApiError::BadRequest(
            "eval priority must be between 1 and 100 inclusively".to_owned(),
        )),
    }
}

pub(super) async fn register(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
) -> Result<Answer, ApiError> {
    let body: RegisterRequest = call.json()?;
    let job = body
        .job
        .ok_or_else(|| ApiError::BadRequest("Job must be specified".to_owned()))?;
    if job.id.is_empty() {
        return Err(ApiError::BadRequest(
            "Job ID hasn't been provided".to_owned(),
        ));
    }
    let priority = eval_priority(body.eval_priority)?;
    let enforced = body.enforce_index.then_some(body.job_modify_index);
    let preserve_counts = body.preserve_counts;
    let state = blocking::ready(server).await?;
    let drivers = facts::drivers(&state);
    let region = &context.info.region;
    let admitted = admit(job, call.namespace(), region, drivers.as_ref())?;
    let key = admitted.job.key();
    if facts::job(&state, &key).is_none() {
        server.quota.check(&*server.store).await?;
    }
    let uid = JobUid::from_random(context.sources.random());
    let done = write::commit(context, server, &key, |state, eval| {
        let stamp = Stamp {
            eval,
            now: context.sources.now(),
            priority,
        };
        let change =
            registration::register(state, &admitted.job, uid, enforced, preserve_counts, stamp)?;
        Ok(Some(change))
    })
    .await?;
    match done {
        Some(done) => written(call, done, &admitted.warnings),
        None => Err(ApiError::Refused("job was not registered".to_owned())),
    }
}

/// As Nomad has it: an update is a registration.
pub(super) async fn update(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: RegisterRequest = call.json()?;
    if body.job.is_some_and(|job| job.id != key.id.as_str()) {
        return Err(ApiError::BadRequest(
            "Job ID does not match name".to_owned(),
        ));
    }
    register(context, server, call).await
}

/// The source of a job, of which none is kept.
pub(super) async fn submission(server: &ServerSide) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    Ok(Answer::missing("job source not found").with_meta(Meta::of(&state, 0)))
}

pub(super) async fn deregister(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let purge = call.params.flag("purge")?.unwrap_or(false);
    let no_shutdown_delay = call.params.flag("no_shutdown_delay")?.unwrap_or(false);
    let priority = call
        .params
        .number("eval_priority")
        .and_then(|number| i32::try_from(number).ok());
    let priority = eval_priority(priority)?;
    let done = write::commit(context, server, key, |state, eval| {
        let stamp = Stamp {
            eval,
            now: context.sources.now(),
            priority,
        };
        let how = Stopping {
            purge,
            no_shutdown_delay,
        };
        Ok(registration::deregister(state, key, how, stamp))
    })
    .await?;
    let (eval, index, job_modify_index) = done.map_or((String::new(), 0, 0), |done| {
        (done.eval.to_string(), done.index, done.job_modify_index)
    });
    let answer = Deregistered {
        eval,
        eval_create_index: index,
        modify_index: job_modify_index,
        index,
        ..Deregistered::default()
    };
    Ok(Answer::json(call, &answer)?.with_index(index))
}

/// Writes to a job that must be there.
async fn change(
    context: &ApiContext,
    server: &ServerSide,
    key: &JobKey,
    not_found: impl Fn() -> ApiError,
    decide: impl Fn(&State, &ShownJob<'_>, Stamp) -> Result<Change, RegistrationError>,
) -> Result<Done, ApiError> {
    let done = write::commit(context, server, key, |state, eval: EvalId| {
        let job = facts::job(state, key).ok_or_else(&not_found)?;
        let stamp = Stamp {
            eval,
            now: context.sources.now(),
            priority: None,
        };
        Ok(Some(decide(state, &job, stamp)?))
    })
    .await?;
    done.ok_or_else(not_found)
}

pub(super) async fn evaluate(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: EvaluateRequest = call.json_or_default()?;
    if !body.job.is_empty() && body.job != key.id.as_str() {
        return Err(ApiError::BadRequest(
            "JobID not same as job name".to_owned(),
        ));
    }
    if body.options.force_reschedule {
        return Err(ApiError::NotBuilt("rescheduling by force"));
    }
    let not_found = || ApiError::Refused("job not found".to_owned());
    let done = change(context, server, key, not_found, |_, job, stamp| {
        Ok(registration::evaluate(job, stamp))
    })
    .await?;
    written(call, done, "")
}

pub(super) async fn revert(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: RevertRequest = call.json()?;
    if body.job.is_empty() {
        return Err(ApiError::BadRequest("JobID must be specified".to_owned()));
    }
    if body.job != key.id.as_str() {
        return Err(ApiError::BadRequest("Job ID does not match".to_owned()));
    }
    let not_found = || {
        ApiError::Refused(format!(
            "job \"{}\" in namespace \"{}\" doesn't exist",
            key.id, key.namespace
        ))
    };
    let done = change(context, server, key, not_found, |state, job, stamp| {
        registration::revert(state, job, body.version, body.enforce_prior_version, stamp)
    })
    .await?;
    written(call, done, "")
}

/// The most bytes that the words and the meta of a scaling may have.
const MAX_REASON: usize = 1024;

pub(super) async fn scale(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    key: &JobKey,
) -> Result<Answer, ApiError> {
    let body: ScaleRequest = call.json()?;
    let bad = |text: &str| Err(ApiError::BadRequest(text.to_owned()));
    let group = match body.target.get("Group") {
        Some(group) if !group.is_empty() => GroupName::from(group.as_str()),
        _ => return bad("missing task group name for scaling action"),
    };
    if body.error && body.count.is_some() {
        return bad("scaling action should not contain count if error is true");
    }
    let Some(count) = body.count else {
        return Err(ApiError::NotBuilt(
            "recording a scaling event without a count",
        ));
    };
    if count < 0 {
        return bad("scaling action count can't be negative");
    }
    let meta = serde_json::to_vec(&body.meta).map_or(0, |bytes| bytes.len());
    if body.message.len() + meta > MAX_REASON {
        return bad("scaling action message and meta may have 1 KiB at most");
    }
    let wanted = NewCount {
        group,
        count,
        message: body.message,
        meta: body.meta,
        current: body.current_count,
        replace_deployment: body.replace_deployment,
    };
    let not_found = || ApiError::NotFound(format!("job \"{}\" not found", key.id));
    let done = change(context, server, key, not_found, |state, job, stamp| {
        registration::scale(state, job, &wanted, stamp)
    })
    .await?;
    written(call, done, "")
}

/// How a group was scaled, the newest first.
fn scalings(state: &State, job: &ShownJob<'_>, group: &str) -> Vec<ScalingEvent> {
    let made = |version| job.version(state, version).map_or(0, |made| made.create);
    job.registration
        .scalings
        .iter()
        .filter(|scaling| scaling.group.as_str() == group)
        .map(|scaling| ScalingEvent {
            time: scaling.time,
            count: i64::try_from(scaling.count).ok(),
            previous: i64::try_from(scaling.previous).unwrap_or(i64::MAX),
            message: scaling.message.clone(),
            error: false,
            meta: scaling.meta.clone(),
            eval: Some(scaling.eval.to_string()),
            create_index: made(scaling.version),
        })
        .collect()
}
