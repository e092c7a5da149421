//! `job plan`: what running a file would change, and whether there is room for it.

use super::{source, validate};
use crate::command::Context;
use crate::commands::lookup::segment;
use crate::failure::{Failure, Outcome};
use crate::render::colour::Style;
use crate::render::quote::quoted;
use crate::render::{diff, metrics, time};
use rove_jobspec::Parsed;
use rove_wire::{Plan, PlanRequest};

/// The exit code of every error, so that it can't be taken for "there are changes".
const ERROR: u8 = 255;

/// The dry run; exits 1 when allocs would be created or destroyed.
pub async fn run(cx: &mut Context) -> Outcome {
    plan(cx).await.map_err(|failure| failure.with_code(ERROR))
}

async fn plan(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("This command takes one argument: <path>")?;
    let (parsed, _) = source::checked(cx, &path).await?;
    let job = &parsed.job;
    if job.id.is_empty() {
        return Err(Failure::new("Error during plan: the job has no id"));
    }
    let client = cx.client()?.in_namespace(&job.namespace);
    let verbose = cx.args.is("verbose");
    let body = PlanRequest {
        job: Some(job.clone()),
        diff: cx.args.switch("diff").unwrap_or(true),
        policy_override: cx.args.is("policy-override"),
    };
    let answer: Plan = client
        .put(&format!("/v1/job/{}/plan", segment(&job.id)), &[], &body)
        .await
        .map_err(|error| source::refused(cx, "Error during plan", &error, &parsed))?;
    if let (true, Some(found)) = (body.diff, &answer.diff) {
        let text = diff::job(found, verbose, cx.ui.colour);
        cx.ui.line(format!("{text}\n"));
    }
    let title = cx.ui.bold("Scheduler dry-run:");
    cx.ui.line(title);
    dry_run(cx, &answer);
    cx.ui.line("");
    if !answer.unsupported.is_empty() {
        let text = format!("Error during plan: {}", answer.warnings.trim_end());
        return Err(unsupported(cx, text, &answer, &parsed));
    }
    validate::warn(cx, &answer.warnings);
    if !answer
        .annotations
        .as_ref()
        .is_none_or(|a| a.preempted.is_empty())
    {
        preempted(cx, &answer);
    }
    how_to_run(cx, answer.modify_index, &path);
    Ok(u8::from(changes(&answer)))
}

/// What of the job the agent can't run yet, at its places, behind a text that says so.
pub fn unsupported(cx: &Context, text: String, answer: &Plan, parsed: &Parsed) -> Failure {
    let places = match answer.problems.as_slice() {
        [] => source::refusals(cx, parsed),
        problems => Some(source::placed(cx, parsed, problems)),
    };
    Failure::new(match places {
        Some(places) => format!("{text}\n\n{places}"),
        None => text,
    })
}

fn dry_run(cx: &mut Context, answer: &Plan) {
    if !answer.unsupported.is_empty() {
        let text = "- WARNING: Not tried: the job uses what this version of rove can't run.";
        let text = cx.ui.paint(Style::Yellow, text);
        cx.ui.line(text);
        return;
    }
    if answer.failed.is_empty() {
        let text = cx
            .ui
            .paint(Style::Green, "- All tasks successfully allocated.");
        cx.ui.line(text);
    } else {
        let mut text = "- WARNING: Failed to place all allocations.".to_owned();
        for (group, why) in &answer.failed {
            text.push_str(&format!(
                "\n  Task Group {} {}:\n",
                quoted(group),
                metrics::failed_count(why)
            ));
            text.push_str(&metrics::reasons(why, "    "));
        }
        let text = cx.ui.paint(Style::Yellow, &text);
        cx.ui.line(text);
    }
    for eval in answer
        .created
        .iter()
        .filter(|e| e.triggered_by.as_str() == "rolling-update")
    {
        let wait = time::duration(eval.wait);
        cx.ui.line(format!(
            "- Rolling update, next evaluation will be in {wait}."
        ));
    }
    if let Some(launch) = answer
        .next_launch
        .as_deref()
        .and_then(time::parse)
        .filter(|t| *t > 0)
    {
        let from_now = time::duration((launch - cx.now()) / 1_000_000_000 * 1_000_000_000);
        let text = format!(
            "- If submitted now, next periodic launch would be at {} ({from_now} from now).",
            time::stamp(launch)
        );
        let text = cx.ui.paint(Style::Green, &text);
        cx.ui.line(text);
    }
}

fn preempted(cx: &mut Context, answer: &Plan) {
    let Some(annotations) = &answer.annotations else {
        return;
    };
    let title = cx.ui.paint(Style::Yellow, "Preemptions:");
    cx.ui.line(format!("{title}\n"));
    let text = crate::render::allocs::list(&annotations.preempted, cx.args.is("verbose"), cx.now());
    cx.ui.line(format!("{text}\n"));
}

fn how_to_run(cx: &mut Context, index: u64, path: &str) {
    let mut flags = String::new();
    if cx.args.is("json") {
        flags.push_str("-json ");
    }
    if cx.args.is("hcl1") {
        flags.push_str("-hcl1 ");
    }
    for name in ["var", "var-file", "namespace"] {
        for value in cx.args.all(name) {
            flags.push_str(&format!("-{name}={} ", quoted(value)));
        }
    }
    let program = &cx.program;
    let text = format!(
        "Job Modify Index: {index}\nTo submit the job with version verification run:\n\n\
         {program} job run -check-index {index} {flags}{path}\n\n\
         When running the job with the check-index flag, the job will only be run if the\n\
         job modify index given matches the server-side version. If the index has\n\
         changed, another user has modified the job and the plan's results are\n\
         potentially invalid."
    );
    cx.ui.line(text);
}

fn changes(answer: &Plan) -> bool {
    let updates = answer.annotations.iter().flat_map(|a| a.updates.values());
    updates
        .map(|u| u.stop + u.place + u.migrate + u.destructive_update + u.canary)
        .any(|count| count > 0)
}
