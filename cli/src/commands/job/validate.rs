//! `job validate`.

use rove_jobspec::Parsed;
use rove_model::validate::validate;

use super::source;
use crate::client::ApiError;
use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::render::colour::Style;
use rove_wire::{PlanRequest, Validation};

/// Checks the job, with the places of its mistakes, then asks the agent whether it would take it.
pub async fn run(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("This command takes one argument: <path>")?;
    let (parsed, _) = source::checked(cx, &path).await?;
    let client = cx.client()?.in_namespace(&parsed.job.namespace);
    let body = PlanRequest {
        job: Some(parsed.job.clone()),
        ..PlanRequest::default()
    };
    match client.put("/v1/validate/job", &[], &body).await {
        Ok(Validation {
            error,
            warnings,
            problems,
            ..
        }) => {
            if !error.is_empty() {
                let places = match problems.as_slice() {
                    [] => source::refusals(cx, &parsed),
                    problems => Some(source::placed(cx, &parsed, problems)),
                };
                let error = parsed.redacted(error);
                cx.ui.error("Job validation errors:");
                return Err(Failure::new(match places {
                    Some(places) => format!(
                        "{}\n\n{places}\nThe job would not be registered.",
                        error.trim_end()
                    ),
                    None => error,
                }));
            }
            warn(cx, &warnings);
        }
        Err(ApiError::Transport { .. }) => alone(cx, &parsed),
        Err(error) => return Err(source::refused(cx, "Error validating job", &error, &parsed)),
    }
    if let Some(found) = source::refusals(cx, &parsed) {
        return Err(Failure::new(format!(
            "Job validation errors:\n{found}\nThe job would not be registered."
        )));
    }
    let text = cx.ui.paint(Style::Green, "Job validation successful");
    cx.ui.line(text);
    Ok(0)
}

/// What is to be said where no agent answers: the file was checked all the same.
fn alone(cx: &mut Context, parsed: &Parsed) {
    let text = cx.ui.paint(
        Style::Yellow,
        "The cluster's drivers were not looked at since connection to an agent couldn't be established.\n",
    );
    cx.ui.line(text);
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let warnings = parsed.redacted(validate(&job).warnings.to_string());
    warn(cx, &warnings);
}

/// Prints the warnings that came with an answer.
pub fn warn(cx: &mut Context, warnings: &str) {
    if !warnings.is_empty() {
        let text = cx
            .ui
            .paint(Style::Yellow, &format!("Job Warnings:\n{warnings}"));
        cx.ui.line(format!("{text}\n"));
    }
}
