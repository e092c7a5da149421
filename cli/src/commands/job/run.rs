//! `job run`: registers a job and follows what comes of it.

use rove_model::job::Job;

use super::source::{self, Source};
use super::validate;
use crate::command::Context;
use crate::commands::monitor;
use crate::failure::{Failure, Outcome};
use rove_wire::{RegisterRequest, Registered, Submission};

/// How the refusal of an index that does not match begins.
const MISMATCH: &str = "Enforcing job modify index";

/// Registers the job.
pub async fn run(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("This command takes one argument: <path>")?;
    if cx.args.is("output") {
        let text = source::pretty(cx, &path)?;
        cx.ui.line(text);
        return Ok(0);
    }
    let (parsed, source) = source::checked(cx, &path).await?;
    let job = &parsed.job;
    let client = cx.client()?.in_namespace(&job.namespace);
    let request = request(cx, job, &source)?;
    let answer = match client.put::<_, Registered>("/v1/jobs", &[], &request).await {
        Ok(answer) => answer,
        Err(error) => {
            return Err(
                match error
                    .body()
                    .and_then(|body| body.find(MISMATCH).map(|at| &body[at..]))
                {
                    Some(refusal) => Failure::new(format!("{refusal}\nJob not updated")),
                    None => source::refused(cx, "Error submitting job", &error, &parsed),
                },
            );
        }
    };
    validate::warn(cx, &answer.warnings);
    let template = source::is_template(job);
    if cx.args.is("detach") || template || answer.eval.is_empty() {
        cx.ui.line("Job registration successful");
        if !answer.eval.is_empty() && !template {
            cx.ui.line(format!("Evaluation ID: {}", answer.eval));
        }
        return Ok(0);
    }
    let verbose = cx.args.is("verbose");
    monitor::evaluation(cx, &client, &answer.eval, verbose).await
}

/// The job with the command's conditions.
fn request(cx: &Context, job: &Job, source: &Source) -> Result<RegisterRequest, Failure> {
    let index = cx.args.number("check-index").map(u64::try_from).transpose();
    let index = index.map_err(|_| Failure::new("-check-index takes a number from 0"))?;
    let given = cx.args.all("var").iter();
    Ok(RegisterRequest {
        job: Some(job.clone()),
        enforce_index: index.is_some(),
        job_modify_index: index.unwrap_or_default(),
        preserve_counts: cx.args.is("preserve-counts"),
        policy_override: cx.args.is("policy-override"),
        eval_priority: cx
            .args
            .number("eval-priority")
            .map(|priority| i32::try_from(priority).unwrap_or(i32::MAX)),
        submission: Some(Submission {
            source: source.text.clone(),
            format: source.submitted_as().to_owned(),
            variable_flags: given
                .filter_map(|given| given.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            variables: source.variables.clone(),
        }),
    })
}
