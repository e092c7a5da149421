//! `job validate`.

use super::source;
use crate::app::{Context, failed};
use crate::client::views::Validation;
use crate::failure::{Failure, Outcome};
use crate::render::colour::Style;

/// Checks the job, with the places of its mistakes, then asks the agent whether it would take it.
pub async fn run(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("This command takes one argument: <path>")?;
    let (job, _) = source::job(cx, &path)?;
    let client = cx.client()?.in_namespace(source::text(&job, "Namespace"));
    let body = serde_json::json!({"Job": job});
    let answer: Validation = client
        .put("/v1/validate/job", &[], &body)
        .await
        .map_err(failed("Error validating job"))?;
    if !answer.error.is_empty() {
        cx.ui.error("Job validation errors:");
        return Err(Failure::new(answer.error));
    }
    warn(cx, &answer.warnings);
    let text = cx.ui.paint(Style::Green, "Job validation successful");
    cx.ui.line(text);
    Ok(0)
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
