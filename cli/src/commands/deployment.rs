//! The commands about deployments.

use serde_json::Value;

use crate::args::{COMMON, FORMAT, VERBOSE, switch};
use crate::command::{Command, Context, failed};
use crate::commands::{job, lookup, monitor};
use crate::failure::{Failure, Outcome};
use crate::render::{allocs, deployment};
use rove_model::deployment::DeploymentStatus;
use rove_wire::Deployment;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "deployment list",
        usage: "deployment list [options]",
        about: "Lists the deployments, newest first.",
        flags: &[job::FILTER, FORMAT, VERBOSE, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(list(cx)),
    },
    Command {
        name: "deployment status",
        usage: "deployment status [options] <deployment>",
        about: "Shows the progress of a deployment.",
        flags: &[
            &[switch(
                "monitor",
                "Keep showing its progress until it has ended.",
            )],
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(status(cx)),
    },
];

async fn list(cx: &mut Context) -> Outcome {
    if !cx.args.positional.is_empty() {
        return Err(Failure::usage("This command takes no arguments"));
    }
    let client = cx.client()?;
    let filter = cx.args.last("filter").map(str::to_owned);
    let query: Vec<(&str, &str)> = filter.iter().map(|f| ("filter", f.as_str())).collect();
    let what = "Error retrieving deployments";
    if cx.wants_format() {
        let all: Value = client
            .get("/v1/deployments", &query)
            .await
            .map_err(failed(what))?;
        return cx.print_format(&all);
    }
    let mut all: Vec<Deployment> = client
        .get("/v1/deployments", &query)
        .await
        .map_err(failed(what))?;
    all.sort_by_key(|d| std::cmp::Reverse(d.create_index));
    let length = allocs::length(cx.args.is("verbose"));
    let text = deployment::list(&all, length, cx.all_namespaces());
    cx.ui.line(text);
    Ok(0)
}

/// Shows the one that is named.
pub async fn status(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <deployment>")?;
    let verbose = cx.args.is("verbose");
    let client = cx.client()?;
    let found = lookup::deployment(cx, &client, &prefix, verbose).await?;
    let client = client.in_namespace(&found.namespace);
    if cx.wants_format() {
        let value: Value = client
            .get(&format!("/v1/deployment/{}", found.id), &[])
            .await
            .map_err(failed("Error retrieving deployment"))?;
        return cx.print_format(&value);
    }
    if cx.args.is("monitor") {
        let status = monitor::deployment_status(cx, &client, &found.id, verbose, "").await?;
        return Ok(u8::from(status != DeploymentStatus::Successful));
    }
    let text = deployment::whole(&found, allocs::length(verbose), &|text| cx.ui.bold(text));
    cx.ui.line(text);
    Ok(0)
}
