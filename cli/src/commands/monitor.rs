//! Watching what a registration, a stop or a scaling leads to: first the evaluation, then the deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::{ApiError, Client};
use crate::command::{Context, failed};
use crate::failure::{Failure, Outcome};
use crate::render::colour::Style;
use crate::render::quote::quoted;
use crate::render::{allocs, deployment, metrics, short, time};
use rove_model::{
    alloc::DesiredStatus,
    deployment::DeploymentStatus,
    eval::{EvalStatus, TriggeredBy},
};
use rove_wire::{AllocStub, Deployment, Eval, Word};

/// The exit code when something could not be placed.
const NOT_PLACED: u8 = 2;
/// An evaluation is mostly done in some milliseconds; the pause doubles up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a request is sent again when the agent does not answer, before the command gives up.
const RETRIES: u32 = 5;

/// Prints the progress of an evaluation, of those that follow from it, and of its deployment.
pub async fn evaluation(cx: &mut Context, client: &Client, id: &str, verbose: bool) -> Outcome {
    let length = allocs::length(verbose);
    let mut next = Some((id.to_owned(), Duration::ZERO));
    let mut placed = true;
    let mut stopped = false;
    let mut within = String::new();
    while let Some((id, wait)) = next.take() {
        if !wait.is_zero() {
            let wait_text = time::duration(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
            head(
                cx,
                &format!(
                    "Monitoring next evaluation {} in {wait_text}",
                    quoted(&short(&id, length))
                ),
            );
            tokio::time::sleep(wait).await;
        }
        let seen = one(cx, client, &id, length).await?;
        placed &= seen.failed.is_empty();
        stopped |= seen.triggered_by == TriggeredBy::JobDeregister;
        if !seen.deployment.is_empty() {
            within.clone_from(&seen.deployment);
        }
        if !seen.next.is_empty() {
            next = Some((
                seen.next,
                Duration::from_nanos(u64::try_from(seen.wait).unwrap_or(0)),
            ));
        }
    }
    if !within.is_empty() {
        head(
            cx,
            &format!("Monitoring deployment {}", quoted(&short(&within, length))),
        );
        match followed(cx, client, &within, verbose, "    ").await? {
            // It went with its job, or was never made: what the evaluation did is all there is to tell.
            End::Missing(_) => detail(cx, "The deployment is no more"),
            // What had no room at first was placed later.
            End::Status(status) if status == DeploymentStatus::Successful => return Ok(0),
            // Who stops a job wants its roll-out cancelled.
            End::Status(status) if stopped && status == DeploymentStatus::Cancelled => {}
            End::Status(_) => return Ok(1),
        }
    }
    Ok(if placed { 0 } else { NOT_PLACED })
}

fn head(cx: &mut Context, text: &str) {
    let line = format!("==> {}: {text}", time::stamp(cx.now()));
    let line = cx.ui.paint(Style::Cyan, &line);
    cx.ui.line(line);
}

fn detail(cx: &mut Context, text: &str) {
    let line = format!("    {}: {text}", time::stamp(cx.now()));
    cx.ui.line(line);
}

/// What has been printed about an evaluation.
#[derive(Default)]
struct Seen {
    job: bool,
    deployment: String,
    status: String,
    allocs: BTreeMap<String, String>,
}

async fn one(cx: &mut Context, client: &Client, id: &str, length: usize) -> Result<Eval, Failure> {
    head(
        cx,
        &format!("Monitoring evaluation {}", quoted(&short(id, length))),
    );
    let mut seen = Seen {
        status: "pending".to_owned(),
        ..Seen::default()
    };
    let mut pause = FIRST_PAUSE;
    let path = format!("/v1/evaluation/{id}");
    let placed_path = format!("{path}/allocations");
    loop {
        // The evaluation is read after its allocs, so that it knows the deployment of each; when it is over, they are
        // read once more, so that none is missed.
        let mut placed = placed_by(client, &placed_path).await?;
        let eval: Eval = patiently(|| client.get(&path, &[]))
            .await
            .map_err(failed("Error reading evaluation"))?;
        let over = matches!(
            eval.status.as_str(),
            "complete" | "failed" | "cancelled" | "canceled"
        );
        if over {
            placed = placed_by(client, &placed_path).await?;
        }
        update(cx, &mut seen, &eval, &placed, length);
        if over {
            finished(cx, &eval, length);
            return Ok(eval);
        }
        if cx.ui.closed() {
            return Err(Failure::silent());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn placed_by(client: &Client, path: &str) -> Result<Vec<AllocStub>, Failure> {
    patiently(|| client.get(path, &[]))
        .await
        .map_err(failed("Error reading allocations"))
}

fn update(cx: &mut Context, seen: &mut Seen, eval: &Eval, placed: &[AllocStub], length: usize) {
    if !seen.job && eval.triggered_by == TriggeredBy::NodeUpdate && !eval.node.is_empty() {
        detail(
            cx,
            &format!(
                "Evaluation triggered by node {}",
                quoted(&short(&eval.node, length))
            ),
        );
        seen.job = true;
    } else if !seen.job && !eval.job.is_empty() {
        detail(
            cx,
            &format!("Evaluation triggered by job {}", quoted(&eval.job)),
        );
        seen.job = true;
    }
    if seen.deployment != eval.deployment && !eval.deployment.is_empty() {
        detail(
            cx,
            &format!(
                "Evaluation within deployment: {}",
                quoted(&short(&eval.deployment, length))
            ),
        );
        seen.deployment.clone_from(&eval.deployment);
    }
    for alloc in placed {
        let name = quoted(&short(&alloc.id, length));
        match seen.allocs.get(&alloc.id) {
            None => {
                let place = format!(
                    "node {}, group {}",
                    quoted(&short(&alloc.node, length)),
                    quoted(&alloc.group)
                );
                if alloc.create_index < eval.create_index {
                    detail(cx, &format!("Allocation {name} modified: {place}"));
                } else if alloc.desired == DesiredStatus::Run {
                    detail(cx, &format!("Allocation {name} created: {place}"));
                }
            }
            Some(before) if **before != *alloc.client => {
                let why = match alloc.client_description.as_str() {
                    "" => String::new(),
                    why => format!(" ({why})"),
                };
                let (before, now) = (quoted(before), quoted(&alloc.client));
                detail(
                    cx,
                    &format!("Allocation {name} status changed: {before} -> {now}{why}"),
                );
            }
            Some(_) => {}
        }
        seen.allocs
            .insert(alloc.id.clone(), alloc.client.to_string());
    }
    if eval.status != EvalStatus::Pending && *eval.status != *seen.status {
        let (before, now) = (quoted(&seen.status), quoted(&eval.status));
        detail(cx, &format!("Evaluation status changed: {before} -> {now}"));
    }
    seen.status = eval.status.to_string();
}

fn finished(cx: &mut Context, eval: &Eval, length: usize) {
    let name = quoted(&short(&eval.id, length));
    let status = quoted(&eval.status);
    if eval.failed.is_empty() {
        head(
            cx,
            &format!("Evaluation {name} finished with status {status}"),
        );
        if eval.status != EvalStatus::Complete && !eval.description.is_empty() {
            detail(cx, &eval.description);
        }
        return;
    }
    head(
        cx,
        &format!(
            "Evaluation {name} finished with status {status} but failed to place all allocations:"
        ),
    );
    for (group, why) in &eval.failed {
        detail(
            cx,
            &format!(
                "Task Group {} {}:",
                quoted(group),
                metrics::failed_count(why)
            ),
        );
        for line in metrics::reasons(why, "  ").lines() {
            cx.ui.line(format!("    {line}"));
        }
    }
    if !eval.blocked.is_empty() {
        let blocked = quoted(&short(&eval.blocked, length));
        detail(
            cx,
            &format!("Evaluation {blocked} waiting for additional capacity to place remainder"),
        );
    }
}

/// How the watch of a deployment ended.
enum End {
    Status(Word<DeploymentStatus>),
    /// The agent has no such deployment, or not any more.
    Missing(ApiError),
}

/// Prints a deployment each time it changes, until it ends; gives its last status. The first line of each print stands
/// behind `prefix`.
pub async fn deployment_status(
    cx: &mut Context,
    client: &Client,
    id: &str,
    verbose: bool,
    prefix: &str,
) -> Result<Word<DeploymentStatus>, Failure> {
    match followed(cx, client, id, verbose, prefix).await? {
        End::Status(status) => Ok(status),
        End::Missing(error) => Err(failed("Error fetching deployment")(error)),
    }
}

async fn followed(
    cx: &mut Context,
    client: &Client,
    id: &str,
    verbose: bool,
    prefix: &str,
) -> Result<End, Failure> {
    let path = format!("/v1/deployment/{id}");
    let first = patiently(|| client.get_at(&path, &[])).await;
    let (mut current, mut index): (Deployment, u64) = match first {
        Ok(found) => found,
        Err(error) if error.not_found() => return Ok(End::Missing(error)),
        Err(error) => return Err(failed("Error fetching deployment")(error)),
    };
    let mut drawn = 0;
    let mut last = String::new();
    let mut told = BTreeSet::new();
    loop {
        if failed_tasks(cx, client, &current, verbose, &mut told).await? {
            drawn = 0;
            last.clear();
        }
        let body = describe(cx, client, &current, verbose).await?;
        if body != last {
            drawn = draw(cx, &body, prefix, drawn);
            last = body;
        }
        if !matches!(
            current.status.as_str(),
            "running" | "paused" | "blocked" | "pending" | "unblocking" | "initializing"
        ) {
            return Ok(End::Status(current.status));
        }
        if cx.ui.closed() {
            return Err(Failure::silent());
        }
        let before = index;
        (current, index) = match patiently(|| client.wait(&path, &[], index)).await {
            Ok(found) => found,
            Err(error) if error.not_found() => return Ok(End::Missing(error)),
            Err(error) => return Err(failed("Error fetching deployment")(error)),
        };
        if index <= before {
            // The agent answers without waiting: it must not be asked in a hot loop.
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
    }
}

/// Tells of each task of a deployment that has failed by which event it did, once; whether anything was told.
async fn failed_tasks(
    cx: &mut Context,
    client: &Client,
    current: &Deployment,
    verbose: bool,
    told: &mut BTreeSet<(String, String, i64)>,
) -> Result<bool, Failure> {
    if current.groups.values().all(|group| group.unhealthy == 0) {
        return Ok(false);
    }
    let placed = placed_within(client, &current.id).await?;
    let mut any = false;
    for alloc in &placed {
        for (task, state) in &alloc.states {
            let Some(event) = state.events.iter().rev().find(|event| event.is_failure()) else {
                continue;
            };
            if told.insert((alloc.id.clone(), task.clone(), event.time)) {
                let name = quoted(&short(&alloc.id, allocs::length(verbose)));
                let text = format!(
                    "Allocation {name} task {}: {}: {}",
                    quoted(task),
                    event.kind,
                    event.text()
                );
                detail(cx, &text);
                any = true;
            }
        }
    }
    Ok(any)
}

/// The allocs of a deployment; none when it went meanwhile.
async fn placed_within(client: &Client, deployment: &str) -> Result<Vec<AllocStub>, Failure> {
    let path = format!("/v1/deployment/allocations/{deployment}");
    match patiently(|| client.get(&path, &[])).await {
        Err(error) if error.not_found() => Ok(Vec::new()),
        answer => answer.map_err(failed("Error fetching allocations")),
    }
}

async fn describe(
    cx: &Context,
    client: &Client,
    current: &Deployment,
    verbose: bool,
) -> Result<String, Failure> {
    let bold = |text: &str| cx.ui.bold(text);
    let mut body = deployment::whole(current, allocs::length(verbose), &bold);
    if verbose {
        let mut placed = placed_within(client, &current.id).await?;
        allocs::newest_first(&mut placed);
        body.push_str(&format!(
            "\n\n{}\n{}",
            bold("Allocations"),
            allocs::list(&placed, true, cx.now())
        ));
    }
    Ok(body)
}

/// Writes the block; on a terminal over the one of `drawn` lines that was written before. Gives its number of lines.
fn draw(cx: &mut Context, body: &str, prefix: &str, drawn: usize) -> usize {
    if cx.ui.live && drawn > 0 {
        cx.ui.write(format!("\x1b[{drawn}A\x1b[J").as_bytes());
    }
    let stamp = time::stamp(cx.now());
    let text = format!("{prefix}\n{stamp}\n{body}");
    let lines = text.lines().count();
    cx.ui.line(text);
    lines
}

/// Asks again for a while when the agent is away; what it answers is final.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let mut pause = FIRST_PAUSE * 4;
    for _ in 0..RETRIES {
        match ask().await {
            Err(error) if error.status().is_none_or(|code| code >= 500) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE * 4);
            }
            done => return done,
        }
    }
    ask().await
}
