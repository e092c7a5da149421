//! The commands about evaluations.

use serde_json::Value;

use crate::args::{COMMON, FORMAT, VERBOSE, number, switch, text};
use crate::command::{Command, Context, failed};
use crate::commands::{job, lookup, monitor};
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use crate::render::table::Fields;
use crate::render::{allocs, metrics, short, time};
use rove_model::eval::TriggeredBy;
use rove_wire::Eval;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "eval status",
        usage: "eval status [options] <evaluation>",
        about: "Shows an evaluation, and why something could not be placed.",
        flags: &[
            &[switch("monitor", "Follow its progress until it is done.")],
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(status(cx)),
    },
    Command {
        name: "eval list",
        usage: "eval list [options]",
        about: "Lists evaluations, newest first.",
        flags: &[
            &[
                text("job", "id", "Show only those of this job."),
                text("status", "status", "Show only those with this status."),
                number("per-page", "number", "How many to show at a time."),
                text("page-token", "token", "Start from this page."),
            ],
            job::FILTER,
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(list(cx)),
    },
];

/// Shows the one that is named.
pub async fn status(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <evaluation>")?;
    let verbose = cx.args.is("verbose");
    let client = cx.client()?;
    let found = lookup::eval(&client, &prefix, verbose).await?;
    let client = client.in_namespace(&found.namespace);
    if cx.args.is("monitor") {
        return monitor::evaluation(cx, &client, &found.id, verbose).await;
    }
    let path = format!("/v1/evaluation/{}", found.id);
    if cx.wants_format() {
        let eval: Value = client
            .get(&path, &[])
            .await
            .map_err(failed("Error querying evaluation"))?;
        return cx.print_format(&eval);
    }
    let eval: Eval = client
        .get(&path, &[])
        .await
        .map_err(failed("Error querying evaluation"))?;
    let length = allocs::length(verbose);
    let when = |at: i64| {
        if verbose {
            time::stamp(at)
        } else {
            time::ago(at, cx.now())
        }
    };
    let mut fields = Fields::new();
    fields
        .add("ID", short(&eval.id, length))
        .add("Create Time", when(eval.create_time))
        .add("Modify Time", when(eval.modify_time))
        .add("Status", &eval.status)
        .add(
            "Status Description",
            if eval.description.is_empty() {
                eval.status.as_str()
            } else {
                eval.description.as_str()
            },
        )
        .add("Type", &eval.kind)
        .add("TriggeredBy", &eval.triggered_by);
    if eval.triggered_by == TriggeredBy::NodeUpdate && !eval.node.is_empty() {
        fields.add("Node ID", short(&eval.node, length));
    } else {
        fields.add("Job ID", &eval.job);
    }
    fields
        .add("Namespace", &eval.namespace)
        .add("Priority", eval.priority.to_string())
        .add("Placement Failures", allocs::placement_failures(&eval));
    if let Some(due) = eval
        .wait_until
        .as_deref()
        .and_then(time::parse)
        .filter(|t| *t > 0)
    {
        fields.add("Wait Until", time::stamp(due));
    }
    if verbose {
        fields
            .add("Previous Eval", &eval.previous)
            .add("Next Eval", &eval.next)
            .add("Blocked Eval", &eval.blocked);
    }
    cx.ui.line(fields.render());
    if !eval.failed.is_empty() {
        let title = cx.ui.bold("Failed Placements");
        cx.ui.line(format!("\n{title}"));
        for (group, why) in &eval.failed {
            let reasons = metrics::reasons(why, "  ");
            cx.ui.line(format!(
                "Task Group {} {}:\n{reasons}\n",
                quoted(group),
                metrics::failed_count(why)
            ));
        }
        if !eval.blocked.is_empty() {
            let blocked = quoted(&short(&eval.blocked, length));
            cx.ui.line(format!(
                "Evaluation {blocked} waiting for additional capacity to place remainder"
            ));
        }
    }
    Ok(0)
}

async fn list(cx: &mut Context) -> Outcome {
    if !cx.args.positional.is_empty() {
        return Err(Failure::usage("This command takes no arguments"));
    }
    let client = cx.client()?;
    let wanted: Vec<(&str, String)> = [
        ("job", "job"),
        ("status", "status"),
        ("filter", "filter"),
        ("per-page", "per_page"),
        ("page-token", "next_token"),
    ]
    .into_iter()
    .filter_map(|(flag, name)| Some((name, cx.args.last(flag)?.to_owned())))
    .collect();
    let query: Vec<(&str, &str)> = wanted.iter().map(|(k, v)| (*k, v.as_str())).collect();
    if cx.wants_format() {
        let all: Value = client
            .get("/v1/evaluations", &query)
            .await
            .map_err(failed("Error querying evaluations"))?;
        return cx.print_format(&all);
    }
    let mut all: Vec<Eval> = client
        .get("/v1/evaluations", &query)
        .await
        .map_err(failed("Error querying evaluations"))?;
    if all.is_empty() {
        cx.ui.line("No evals found");
        return Ok(0);
    }
    all.sort_by_key(|e| std::cmp::Reverse(e.create_index));
    let verbose = cx.args.is("verbose");
    cx.ui.line(allocs::evals(&all, allocs::length(verbose)));
    Ok(0)
}
