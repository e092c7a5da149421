//! `job stop`.

use crate::client::Client;
use crate::command::{Context, failed};
use crate::commands::lookup::{self, segment};
use crate::commands::monitor;
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use rove_wire::Deregistered;

/// Stops the jobs that are named, one after the other.
pub async fn run(cx: &mut Context) -> Outcome {
    let given = cx.args.positional.clone();
    if given.is_empty() {
        return Err(Failure::usage(
            "This command takes at least one argument: <job>",
        ));
    }
    let client = cx.client()?;
    let mut code = 0;
    for prefix in given {
        match one(cx, &client, &prefix).await {
            Ok(result) => code = code.max(result),
            Err(failure) => {
                cx.ui.error(&failure.message);
                code = code.max(failure.code);
            }
        }
    }
    Ok(code)
}

async fn one(cx: &mut Context, client: &Client, prefix: &str) -> Outcome {
    let job = lookup::job(cx, client, prefix).await?;
    if job.id != prefix.trim() {
        if cx.args.is("yes") {
            return Err(Failure::new(format!(
                "-yes takes exact names only: {} is the beginning of {}",
                quoted(prefix.trim()),
                quoted(&job.id)
            )));
        }
        let question = format!(
            "Are you sure you want to stop job {}? [y/N]",
            quoted(&job.id)
        );
        let otherwise = format!(
            "Stopping job {} needs -yes and its exact name where nobody can answer: {} job stop -yes {}",
            quoted(&job.id),
            cx.program,
            job.id
        );
        if !confirmed(cx, &question, "Cancelling job stop", &otherwise)? {
            return Ok(0);
        }
    }
    let client = client.in_namespace(&job.namespace);
    let answer = stop(cx, &client, &job.id).await?;
    if answer.eval.is_empty() {
        return Ok(0);
    }
    if cx.args.is("detach") {
        cx.ui.line(answer.eval);
        return Ok(0);
    }
    let verbose = cx.args.is("verbose");
    monitor::evaluation(cx, &client, &answer.eval, verbose).await
}

/// Asks the agent to stop the job.
pub async fn stop(cx: &Context, client: &Client, id: &str) -> Result<Deregistered, Failure> {
    let mut query = Vec::new();
    for (flag, name) in [
        ("purge", "purge"),
        ("global", "global"),
        ("no-shutdown-delay", "no_shutdown_delay"),
    ] {
        if cx.args.is(flag) {
            query.push((name, "true"));
        }
    }
    let priority = cx.args.number("eval-priority").map(|n| n.to_string());
    if let Some(priority) = &priority {
        query.push(("eval_priority", priority));
    }
    client
        .delete(&format!("/v1/job/{}", segment(id)), &query)
        .await
        .map_err(failed("Error deregistering job"))
}

/// Asks; anything but a clear yes is no, and a slip is said to be one. Where nobody can answer, `otherwise` says what to
/// do.
fn confirmed(
    cx: &mut Context,
    question: &str,
    cancelled: &str,
    otherwise: &str,
) -> Result<bool, Failure> {
    let Some(answer) = cx.ui.ask(question) else {
        cx.ui.line("");
        return Err(Failure::new(otherwise));
    };
    match answer.as_str() {
        "y" => Ok(true),
        "" => {
            cx.ui.line(cancelled);
            Ok(false)
        }
        no if no.to_lowercase().starts_with('n') => {
            cx.ui.line(cancelled);
            Ok(false)
        }
        yes if yes.to_lowercase().starts_with('y') => {
            Err(Failure::new("For confirmation, an exact 'y' is required."))
        }
        _ => Err(Failure::new(
            "No confirmation detected. For confirmation, an exact 'y' is required.",
        )),
    }
}
