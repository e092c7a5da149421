//! `job status`: the list of jobs, or all about one.

use crate::client::Client;
use crate::command::{Context, failed};
use crate::commands::lookup::{self, segment};
use crate::failure::Outcome;
use crate::render::quote::quoted;
use crate::render::table::{Fields, Table};
use crate::render::{allocs, deployment, metrics, or_none, short, time};
use rove_model::{eval::EvalStatus, job::Job};
use rove_wire::{AllocStub, Deployment, Eval, JobStub, JobSummary, status_text};

/// So many groups that could not be placed are explained.
const EXPLAINED: usize = 5;

/// Lists the jobs, or shows the one that is named.
pub async fn run(cx: &mut Context) -> Outcome {
    match cx.one_or_none("This command takes either no arguments or one: <job>")? {
        None => list(cx).await,
        Some(prefix) => one(cx, &prefix).await,
    }
}

/// All jobs.
pub async fn list(cx: &mut Context) -> Outcome {
    let client = cx.client()?;
    if cx.wants_format() {
        let jobs: serde_json::Value = client
            .get("/v1/jobs", &[])
            .await
            .map_err(failed("Error querying jobs"))?;
        return cx.print_format(&jobs);
    }
    let jobs: Vec<JobStub> = client
        .get("/v1/jobs", &[])
        .await
        .map_err(failed("Error querying jobs"))?;
    let text = if jobs.is_empty() {
        "No running jobs".to_owned()
    } else {
        allocs::jobs(&jobs, cx.all_namespaces())
    };
    cx.ui.line(text);
    Ok(0)
}

/// One job.
pub async fn one(cx: &mut Context, prefix: &str) -> Outcome {
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let path = format!("/v1/job/{}", segment(&stub.id));
    if cx.wants_format() {
        let job: serde_json::Value = client
            .get(&path, &[])
            .await
            .map_err(failed("Error querying job"))?;
        return cx.print_format(&job);
    }
    let job: Job = client
        .get(&path, &[])
        .await
        .map_err(failed("Error querying job"))?;
    let text = header(&job);
    cx.ui.line(text);
    if cx.args.is("short") {
        return Ok(0);
    }
    if job.is_periodic() || job.is_parameterized() {
        children(cx, &client, &job, &path).await
    } else {
        details(cx, &client, &path).await
    }
}

fn header(job: &Job) -> String {
    let mut fields = Fields::new();
    fields
        .add("ID", &job.id)
        .add("Name", &job.name)
        .add(
            "Submit Date",
            time::stamp(job.submit_time.unwrap_or_default()),
        )
        .add("Type", job.job_type().name())
        .add("Priority", job.priority().to_string())
        .add("Datacenters", job.datacenters.join(","))
        .add("Namespace", &job.namespace)
        .add("Node Pool", &job.node_pool)
        .add("Status", status_text(&job.status, job.stop))
        .add("Periodic", job.is_periodic().to_string())
        .add("Parameterized", job.is_parameterized().to_string());
    fields.render()
}

async fn children(cx: &mut Context, client: &Client, job: &Job, path: &str) -> Outcome {
    let (kind, title, none, list) = if job.is_periodic() {
        (
            "periodic",
            "Children Job Summary",
            "No instances of periodic job found",
            "Previously Launched Jobs",
        )
    } else {
        (
            "dispatch",
            "Parameterized Job Summary",
            "No dispatched instances of parameterized job found",
            "Dispatched Jobs",
        )
    };
    if let Some(block) = job
        .parameterized_job
        .as_ref()
        .filter(|_| !job.is_periodic())
    {
        let title = cx.ui.bold("Parameterized Job");
        let mut fields = Fields::new();
        fields
            .add("Payload", &block.payload)
            .add("Required Metadata", block.meta_required.join(", "))
            .add("Optional Metadata", block.meta_optional.join(", "));
        cx.ui.line(format!("\n{title}\n{}", fields.render()));
    }
    let summary: JobSummary = client
        .get(&format!("{path}/summary"), &[])
        .await
        .map_err(failed("Error querying job summary"))?;
    if let Some(counts) = summary.children {
        let mut table = Table::new(["Pending", "Running", "Dead"]);
        table.row([counts.pending, counts.running, counts.dead].map(|n| n.to_string()));
        let title = cx.ui.bold(title);
        cx.ui.line(format!("\n{title}\n{}", table.render()));
    }
    let prefix = format!("{}/{kind}-", job.id);
    let found: Vec<JobStub> = client
        .get("/v1/jobs", &[("prefix", &prefix)])
        .await
        .map_err(failed("Error querying child jobs"))?;
    if found.is_empty() {
        cx.ui.line(format!("\n{none}"));
        return Ok(0);
    }
    let mut table = Table::new(["ID", "Status"]);
    for child in &found {
        table.row([child.id.clone(), status_text(&child.status, child.stop)]);
    }
    let title = cx.ui.bold(list);
    cx.ui.line(format!("\n{title}\n{}", table.render()));
    Ok(0)
}

async fn details(cx: &mut Context, client: &Client, path: &str) -> Outcome {
    let verbose = cx.args.is("verbose");
    let length = allocs::length(verbose);
    let summary: JobSummary = client
        .get(&format!("{path}/summary"), &[])
        .await
        .map_err(failed("Error querying job summary"))?;
    let all: &[(&str, &str)] = if cx.args.is("all-allocs") {
        &[("all", "true")]
    } else {
        &[]
    };
    let mut placed: Vec<AllocStub> = client
        .get(&format!("{path}/allocations"), all)
        .await
        .map_err(failed("Error querying job allocations"))?;
    allocs::newest_first(&mut placed);
    let mut evals: Vec<Eval> = client
        .get(&format!("{path}/evaluations"), &[])
        .await
        .map_err(failed("Error querying job evaluations"))?;
    evals.sort_by_key(|e| std::cmp::Reverse(e.create_index));
    let latest: Option<Deployment> = client
        .get(&format!("{path}/deployment"), &[])
        .await
        .map_err(failed("Error querying latest job deployment"))?;

    groups(cx, &summary);
    if (verbose || cx.args.is("evals")) && !evals.is_empty() {
        let title = cx.ui.bold("Evaluations");
        cx.ui.line(format!(
            "\n{title}\n{}",
            allocs::evals_of_job(&evals, length)
        ));
    }
    placement_failure(cx, &evals);
    rescheduling(cx, &evals, &placed, length);
    if let Some(latest) = latest {
        let mut fields = Fields::new();
        fields
            .add("ID", short(&latest.id, length))
            .add("Status", &latest.status)
            .add("Description", &latest.description);
        let title = cx.ui.bold("Latest Deployment");
        cx.ui.line(format!("\n{title}\n{}", fields.render()));
        if !latest.groups.is_empty() {
            let title = cx.ui.bold("Deployed");
            cx.ui
                .line(format!("\n{title}\n{}", deployment::groups(&latest)));
        }
    }
    let title = cx.ui.bold("Allocations");
    let text = allocs::list(&placed, verbose, cx.now());
    cx.ui.line(format!("\n{title}\n{text}"));
    Ok(0)
}

fn groups(cx: &mut Context, summary: &JobSummary) {
    let mut table = Table::new([
        "Task Group",
        "Queued",
        "Starting",
        "Running",
        "Failed",
        "Complete",
        "Lost",
        "Unknown",
    ]);
    for (name, g) in &summary.summary {
        let mut row = vec![name.clone()];
        let counts = [
            g.queued, g.starting, g.running, g.failed, g.complete, g.lost, g.unknown,
        ];
        row.extend(counts.map(|n| n.to_string()));
        table.row(row);
    }
    let title = cx.ui.bold("Summary");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
}

fn placement_failure(cx: &mut Context, evals: &[Eval]) {
    if !evals.iter().any(|e| e.status == EvalStatus::Blocked) {
        return;
    }
    let Some(eval) = evals
        .iter()
        .filter(|e| !e.failed.is_empty())
        .max_by_key(|e| e.create_index)
    else {
        return;
    };
    let title = cx.ui.bold("Placement Failure");
    let shown: Vec<String> = eval
        .failed
        .iter()
        .take(EXPLAINED)
        .map(|(group, why)| {
            format!(
                "Task Group {}:\n{}",
                quoted(group),
                metrics::reasons(why, "  ")
            )
        })
        .collect();
    cx.ui.line(format!("\n{title}\n{}", shown.join("\n\n")));
    if eval.failed.len() > EXPLAINED {
        let text = format!(
            "\nPlacement failures truncated. To see remainder run:\n{} eval status {}",
            cx.program, eval.id
        );
        cx.ui.line(text);
    }
}

fn rescheduling(cx: &mut Context, evals: &[Eval], placed: &[AllocStub], length: usize) {
    let now = cx.now();
    let mut table = Table::new(["Task Group", "Eval ID", "Eval Time"]);
    let mut any = false;
    for eval in evals.iter().filter(|e| e.status == EvalStatus::Pending) {
        let Some(due) = eval
            .wait_until
            .as_deref()
            .and_then(time::parse)
            .filter(|t| *t > now)
        else {
            continue;
        };
        let groups = placed
            .iter()
            .filter(|a| a.followup == eval.id)
            .map(|a| a.group.clone());
        for group in groups.collect::<std::collections::BTreeSet<_>>() {
            any = true;
            table.row([group, short(&eval.id, length), time::ago(due, now)]);
        }
    }
    if any {
        let title = cx.ui.bold("Future Rescheduling Attempts");
        cx.ui.line(format!("\n{title}\n{}", table.render()));
    }
}

/// The allocs of one job.
pub async fn job_allocs(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let path = format!("/v1/job/{}/allocations", segment(&stub.id));
    let all: &[(&str, &str)] = if cx.args.is("all") {
        &[("all", "true")]
    } else {
        &[]
    };
    let what = format!("Error retrieving allocations for {}", or_none(&stub.id));
    if cx.wants_format() {
        let found: serde_json::Value = client.get(&path, all).await.map_err(failed(what))?;
        return cx.print_format(&found);
    }
    let mut found: Vec<AllocStub> = client.get(&path, all).await.map_err(failed(what))?;
    allocs::newest_first(&mut found);
    let verbose = cx.args.is("verbose");
    let text = allocs::list(&found, verbose, cx.now());
    cx.ui.line(text);
    Ok(0)
}
