//! `/v1/jobs`, `/v1/jobs/parse`, `/v1/validate/job`.

use rove_controllers::{
    facts::{self, ShownJob},
    registration::look_through,
};
use rove_jobspec::{Diagnostics, ParseOptions, Parsed};
use rove_model::as_parsed::AsParsed;
use rove_store::state::{State, Table};
use rove_wire::{JobStub, ParseRequest, PlanRequest, Validation};
use serde_json::{Map, Value};

use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::{ApiError, problems},
    long_work::off_the_workers,
    page::{ByJob, Paging},
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/jobs", ListJobs, "Lists the jobs.",
        server!(|r| list(r.server, r.call)))
        .gives(<Vec<JobStub>>::schema),
    Route::new(Write, "/v1/jobs/parse", ParseJob, "Reads a job file and gives the job as JSON.",
        server!(|r| off_the_workers(|| parse(r.call))))
        .takes(ParseRequest::schema).gives(<Map<String, Value>>::schema),
    Route::new(Write, "/v1/validate/job", ReadJob, "Says what is wrong with a job.",
        server!(|r| off_the_workers(|| validate(r.context, r.server, r.call))))
        .takes(PlanRequest::schema).gives(Validation::schema),
];

/// Everything that a job's status and summary are made of.
pub(super) const TABLES: [Table; 7] = [
    Table::Registrations,
    Table::JobVersions,
    Table::JobStable,
    Table::JobCollected,
    Table::Evals,
    Table::Allocs,
    Table::AllocStatuses,
];

pub(super) async fn list(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let mut paging = Paging::of(call)?;
    // Nomad's list of jobs has one order, whatever is asked.
    paging.reverse = false;
    let meta = call.params.flag("meta")?.unwrap_or(false);
    let index = |state: &State| state.newest_of(&TABLES);
    let state = blocking::wait(server, &call.params, index).await?;
    let namespaces = call.namespaces();
    let prefix = call.params.get("prefix").unwrap_or_default();
    off_the_workers(|| {
        let jobs = facts::jobs(&state).filter(|job| {
            namespaces.contains(job.key.namespace.as_str())
                && job.key.id.as_str().starts_with(prefix)
        });
        let view =
            |job: &ShownJob<'_>| view::job::stub(&state, job, &facts::of_job(&state, job), meta);
        let whole =
            |job: &ShownJob<'_>| view::job::current(&state, job, &facts::of_job(&state, job));
        let page = paging.page(jobs, |job| ByJob(job.key.clone()), view, whole)?;
        let list: Vec<JobStub> = page.entries.iter().map(view).collect();
        Ok(Answer::json(call, &list)?
            .with_meta(Meta::of(&state, index(&state)))
            .with_next_token(page.next_token))
    })
    .await
}

/// A job file as JSON.
pub(super) fn parse(call: &Call) -> Result<Answer, ApiError> {
    let body: ParseRequest = call.json()?;
    let text = body.job_hcl;
    if text.trim().is_empty() {
        return Err(ApiError::BadRequest("Job spec is empty".to_owned()));
    }
    let variables = Some(body.variables).filter(|text| !text.trim().is_empty());
    let mut parsed = if body.hcl_v1 {
        if variables.is_some() {
            return Err(ApiError::BadRequest(
                "Failed to parse job: cannot use variables with HCLv1.".to_owned(),
            ));
        }
        as_answered(rove_jobspec::parse_hcl1(
            FILE,
            &text,
            &ParseOptions::default(),
        ))?
    } else {
        read_file(&text, variables)?
    };
    if body.canonicalize {
        parsed.job.canonicalize();
        return Answer::json(call, &parsed.job);
    }
    let written = |field: &str| parsed.spans.has(field);
    Answer::json(call, &AsParsed::new(&parsed.job, &written))
}

/// The name of the text that was sent, in complaints.
const FILE: &str = "input.hcl";

fn read_file(text: &str, variables: Option<String>) -> Result<Parsed, ApiError> {
    let options = ParseOptions {
        variable_files: variables
            .map(|variables| ("input.vars".to_owned(), variables))
            .into_iter()
            .collect(),
        ..ParseOptions::default()
    };
    as_answered(rove_jobspec::parse_hcl(FILE, text, &options))
}

fn as_answered(read: Result<Parsed, Diagnostics>) -> Result<Parsed, ApiError> {
    read.map_err(|found| {
        ApiError::BadRequest(format!("Failed to parse job: {}", found.reference_text()))
    })
}

/// Says why a job would not be registered; with 200, whatever it is. A job with mistakes gets the list of them that
/// clients know, a job without any what this version does not run yet; whoever asks for fields gets all of it.
pub(super) fn validate(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
) -> Result<Answer, ApiError> {
    let body: PlanRequest = call.json()?;
    let job = body
        .job
        .ok_or_else(|| ApiError::BadRequest("Job must be specified".to_owned()))?;
    // A job is checked also where the cluster can't be seen.
    let drivers = facts::drivers(&server.state.latest());
    let region = &context.info.region;
    let (_, refusal, warnings) = look_through(job, call.namespace(), region, drivers.as_ref());
    let told = refusal.mistakes_first();
    let answer = Validation {
        driver_config_validated: true,
        errors: told.messages(),
        error: told.to_string(),
        warnings,
        problems: if call.problems {
            problems(&refusal)
        } else {
            Vec::new()
        },
    };
    Answer::json(call, &answer)
}
