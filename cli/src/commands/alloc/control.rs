//! `alloc stop`, `alloc restart` and `alloc signal`.

use serde_json::Value;

use crate::command::{Context, failed};
use crate::commands::{lookup, monitor};
use crate::failure::{Failure, Outcome};
use rove_wire::{AllocStopped, TaskRequest};

/// Stops an alloc.
pub async fn stop(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one alloc-id argument")?;
    let verbose = cx.args.is("verbose");
    let client = cx.client()?;
    let stub = lookup::alloc(cx, &client, &prefix, verbose).await?;
    let client = client.in_namespace(&stub.namespace);
    let query: &[(&str, &str)] = if cx.args.is("no-shutdown-delay") {
        &[("no_shutdown_delay", "true")]
    } else {
        &[]
    };
    let answer: AllocStopped = client
        .put(
            &format!("/v1/allocation/{}/stop", stub.id),
            query,
            &Value::Null,
        )
        .await
        .map_err(failed("Error stopping allocation"))?;
    if cx.args.is("detach") || answer.eval.is_empty() {
        cx.ui.line(answer.eval);
        return Ok(0);
    }
    monitor::evaluation(cx, &client, &answer.eval, verbose).await
}

fn target(cx: &Context) -> Result<(String, String), Failure> {
    let task = cx.args.last("task").unwrap_or("").to_owned();
    match cx.args.positional.as_slice() {
        [alloc] => Ok((alloc.clone(), task)),
        [alloc, task] => Ok((alloc.clone(), task.clone())),
        _ => Err(Failure::usage(
            "This command takes one or two arguments: <alloc-id> <task-name>",
        )),
    }
}

/// Restarts tasks.
pub async fn restart(cx: &mut Context) -> Outcome {
    let (prefix, task) = target(cx)?;
    let all = cx.args.is("all-tasks");
    if all && !task.is_empty() {
        return Err(Failure::new(
            "The -all-tasks option is not allowed when restarting a specific task.",
        ));
    }
    let client = cx.client()?;
    let stub = lookup::alloc(cx, &client, &prefix, cx.args.is("verbose")).await?;
    let client = client.in_namespace(&stub.namespace);
    let body = TaskRequest {
        task_name: task,
        all_tasks: all,
        ..TaskRequest::default()
    };
    let _: Value = client
        .put(
            &format!("/v1/client/allocation/{}/restart", stub.id),
            &[],
            &body,
        )
        .await
        .map_err(failed("Failed to restart allocation"))?;
    Ok(0)
}

/// Sends a signal.
pub async fn signal(cx: &mut Context) -> Outcome {
    let (prefix, task) = target(cx)?;
    let client = cx.client()?;
    let stub = lookup::alloc(cx, &client, &prefix, cx.args.is("verbose")).await?;
    let client = client.in_namespace(&stub.namespace);
    let body = TaskRequest {
        task,
        signal: cx.args.last("s").unwrap_or("SIGKILL").to_owned(),
        ..TaskRequest::default()
    };
    let _: Value = client
        .put(
            &format!("/v1/client/allocation/{}/signal", stub.id),
            &[],
            &body,
        )
        .await
        .map_err(failed("Error signalling allocation"))?;
    Ok(0)
}
