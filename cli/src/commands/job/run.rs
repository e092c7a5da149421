//! `job run`: registers a job and follows what comes of it.

use serde_json::Value;

use super::{source, validate};
use crate::client::ApiError;
use crate::command::Context;
use crate::commands::monitor;
use crate::failure::{Failure, Outcome};
use rove_wire::Registered;

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
    let (parsed, source) = source::checked(cx, &path)?;
    let job = source::as_value(&parsed.job)?;
    let client = cx.client()?.in_namespace(source::text(&job, "Namespace"));
    let answer = register(cx, &client, &job, Some(&source)).await;
    let answer = match answer {
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
    let template = source::is_template(&job);
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

/// Sends the job with the command's conditions.
pub async fn register(
    cx: &Context,
    client: &crate::client::Client,
    job: &Value,
    source: Option<&source::Source>,
) -> Result<Registered, ApiError> {
    let mut body = serde_json::json!({"Job": job});
    if let Some(index) = cx.args.number("check-index") {
        body["EnforceIndex"] = Value::Bool(true);
        body["JobModifyIndex"] = Value::from(index);
    }
    for (flag, field) in [
        ("preserve-counts", "PreserveCounts"),
        ("policy-override", "PolicyOverride"),
    ] {
        if cx.args.is(flag) {
            body[field] = Value::Bool(true);
        }
    }
    if let Some(priority) = cx.args.number("eval-priority") {
        body["EvalPriority"] = Value::from(priority);
    }
    if let Some(source) = source {
        let given = cx
            .args
            .all("var")
            .iter()
            .filter_map(|given| given.split_once('='));
        let flags: serde_json::Map<String, Value> = given
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        body["Submission"] = serde_json::json!({
            "Source": source.text,
            "Format": source.submitted_as(),
            "VariableFlags": flags,
            "Variables": source.variables,
        });
    }
    client.put("/v1/jobs", &[], &body).await
}
