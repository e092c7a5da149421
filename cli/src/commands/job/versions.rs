//! `job history`, `job revert` and `job inspect`: what a job was and is.

use serde_json::Value;

use crate::client::Client;
use crate::command::{Context, failed};
use crate::commands::lookup::{self, segment};
use crate::commands::monitor;
use crate::failure::{Failure, Outcome};
use crate::render::table::Fields;
use crate::render::{diff, json, time};
use rove_model::{diff::JobDiff, job::Job};
use rove_wire::{Registered, RevertRequest};

/// Prints the versions of a job, with what changed if asked.
pub async fn history(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let differences = cx.args.is("p");
    if cx.wants_format() && (differences || cx.args.is("full")) {
        return Err(Failure::new("-json and -t are exclusive with -p and -full"));
    }
    let mut found = versions(&client, &stub.id, differences).await?;
    if let Some(wanted) = cx.args.number("version") {
        let wanted =
            u64::try_from(wanted).map_err(|_| Failure::new("-version takes a number from 0"))?;
        let at = found
            .versions
            .iter()
            .position(|v| v.get("Version").and_then(Value::as_u64) == Some(wanted));
        let Some(at) = at else {
            return Err(Failure::new(format!(
                "version {wanted} for job {:?} not found",
                stub.id
            )));
        };
        found.versions = vec![found.versions.swap_remove(at)];
        found.diffs = if at < found.diffs.len() {
            vec![found.diffs.swap_remove(at)]
        } else {
            Vec::new()
        };
    }
    if cx.wants_format() {
        let value = if cx.args.last("version").is_some() {
            found.versions.pop().unwrap_or_default()
        } else {
            Value::Array(found.versions)
        };
        return cx.print_format(&value);
    }
    let full = cx.args.is("full");
    let mut texts = Vec::new();
    for (index, version) in found.versions.iter().enumerate() {
        let job: Job = serde_json::from_value(version.clone())
            .map_err(|e| Failure::new(format!("Error retrieving job versions: {e}")))?;
        let mut fields = Fields::new();
        fields
            .add("Version", job.version.to_string())
            .add("Stable", job.stable.to_string())
            .add(
                "Submit Date",
                time::stamp(job.submit_time.unwrap_or_default()),
            );
        let difference = found.diffs.get(index).filter(|_| differences);
        if let Some(difference) = difference {
            let text = diff::job(difference, false, cx.ui.colour);
            fields.add("Diff", format!("\n{text}"));
        }
        let mut text = fields.render();
        if full {
            text.push_str(&format!("\n\n{}", json::pretty(version)));
        }
        texts.push(text);
    }
    cx.ui.line(texts.join("\n\n"));
    Ok(0)
}

/// The versions of a job, which are printed as the agent wrote them, and what differs between them.
struct Versions {
    versions: Vec<Value>,
    diffs: Vec<JobDiff>,
}

async fn versions(client: &Client, id: &str, diffs: bool) -> Result<Versions, Failure> {
    let query: &[(&str, &str)] = if diffs { &[("diffs", "true")] } else { &[] };
    let mut answer: Value = client
        .get(&format!("/v1/job/{}/versions", segment(id)), query)
        .await
        .map_err(failed("Error retrieving job versions"))?;
    let diffs: Option<Vec<JobDiff>> = serde_json::from_value(answer["Diffs"].take())
        .map_err(|e| Failure::new(format!("Error retrieving job versions: {e}")))?;
    let versions = match answer["Versions"].take() {
        Value::Array(versions) => versions,
        _ => Vec::new(),
    };
    Ok(Versions {
        versions,
        diffs: diffs.unwrap_or_default(),
    })
}

/// Makes an earlier version the current one again.
pub async fn revert(cx: &mut Context) -> Outcome {
    let [prefix, version] = cx.arguments("This command takes two arguments: <job> <version>")?;
    let version: u64 = version
        .parse()
        .map_err(|_| Failure::new(format!("Job version {version:?} is not a number from 0")))?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let body = RevertRequest {
        job: stub.id.clone(),
        version,
        enforce_prior_version: None,
    };
    let answer: Registered = client
        .put(&format!("/v1/job/{}/revert", segment(&stub.id)), &[], &body)
        .await
        .map_err(failed("Error retrieving job versions"))?;
    follow(cx, &client, &answer).await
}

/// With `-detach` the evaluation's id, else its progress.
pub async fn follow(cx: &mut Context, client: &Client, answer: &Registered) -> Outcome {
    if answer.eval.is_empty() {
        return Ok(0);
    }
    if cx.args.is("detach") {
        cx.ui.line(format!("Evaluation ID: {}", answer.eval));
        return Ok(0);
    }
    let verbose = cx.args.is("verbose");
    monitor::evaluation(cx, client, &answer.eval, verbose).await
}

/// Prints a job as the API has it.
pub async fn inspect(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let job: Value = match cx.args.number("version") {
        Some(wanted) => {
            let found = versions(&client, &stub.id, false).await?;
            let matching = found
                .versions
                .into_iter()
                .find(|v| v.get("Version").and_then(Value::as_i64) == Some(wanted));
            matching.ok_or_else(|| {
                Failure::new(format!(
                    "Error inspecting job: version {wanted} of job {:?} not found",
                    stub.id
                ))
            })?
        }
        None => client
            .get(&format!("/v1/job/{}", segment(&stub.id)), &[])
            .await
            .map_err(failed("Error inspecting job"))?,
    };
    if cx.wants_format() {
        return cx.print_format(&job);
    }
    cx.ui.line(json::pretty(&serde_json::json!({"Job": job})));
    Ok(0)
}
