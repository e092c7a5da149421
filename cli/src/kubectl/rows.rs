//! What each kind of thing shows in a table.

use serde_json::Value;

use super::kind::Kind;
use crate::failure::Failure;
use crate::render::{SHORT, or_none, short, time};
use rove_model::{alloc::TaskLifeState, node::Eligibility};
use rove_wire::{AllocStub, Deployment, Eval, JobStub, Node, NodeStub, status_text};

/// One thing of a list.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its whole name or id.
    pub name: String,
    /// Its namespace, empty where there is none.
    pub namespace: String,
    /// The job it belongs to, by which it is selected.
    pub job: String,
    /// What its row shows.
    pub cells: Vec<String>,
    /// What the API says.
    pub raw: Value,
}

/// The columns of a kind.
pub fn headings(kind: Kind, wide: bool) -> Vec<&'static str> {
    let (narrow, more): (&[&str], &[&str]) = match kind {
        Kind::Job => (
            &["NAME", "TYPE", "STATUS", "READY", "AGE"],
            &["PRIORITY", "DATACENTERS", "NODE POOL"],
        ),
        Kind::Node => (
            &["NAME", "ID", "STATUS", "DATACENTER", "VERSION"],
            &["ADDRESS", "NODE POOL", "CLASS", "DRIVERS"],
        ),
        Kind::Alloc => (
            &["NAME", "ALLOC", "READY", "STATUS", "RESTARTS", "AGE"],
            &["NODE", "NODE ID", "VERSION", "DESIRED"],
        ),
        Kind::Eval => (
            &["NAME", "JOB", "TRIGGERED BY", "STATUS", "AGE"],
            &["PRIORITY", "PLACEMENT FAILURES"],
        ),
        Kind::Deployment => (
            &["NAME", "JOB", "VERSION", "STATUS", "READY"],
            &["DESCRIPTION"],
        ),
    };
    let mut all = narrow.to_vec();
    if wide {
        all.extend(more);
    }
    all
}

/// The version of an alloc's job, empty where it is not told: an event has neither it nor the job.
fn version(alloc: &AllocStub, raw: &Value) -> String {
    match raw.get("JobVersion").is_some() || raw.get("Job").is_some_and(Value::is_object) {
        true => alloc.version().to_string(),
        false => String::new(),
    }
}

/// The row of a thing as a list of the API has it.
pub fn item(kind: Kind, raw: Value, wide: bool, now: i64) -> Result<Item, Failure> {
    let bad = |error: serde_json::Error| {
        Failure::new(format!(
            "error: an answer of the agent can't be understood: {error}"
        ))
    };
    let (name, namespace, job, mut cells, more) = match kind {
        Kind::Job => {
            let job: JobStub = serde_json::from_value(raw.clone()).map_err(bad)?;
            let counts = job.summary.iter().flat_map(|s| s.summary.values());
            let (running, wanted) = counts.fold((0, 0), |(r, w), g| {
                (r + g.running, w + g.running + g.queued + g.starting)
            });
            let cells = vec![
                job.id.clone(),
                job.type_name(),
                status_text(&job.status, job.stop),
                format!("{running}/{wanted}"),
                time::age(job.submit_time, now),
            ];
            let more = vec![
                job.priority.to_string(),
                job.datacenters.join(","),
                job.node_pool.clone(),
            ];
            (job.id.clone(), job.namespace, job.id, cells, more)
        }
        Kind::Node => {
            let node: NodeStub = serde_json::from_value(raw.clone()).map_err(bad)?;
            let drivers: Node = serde_json::from_value(raw.clone()).map_err(bad)?;
            let mut status = node.status.to_string();
            if node.drain {
                status.push_str(",draining");
            } else if node.eligibility == Eligibility::Ineligible {
                status.push_str(",ineligible");
            }
            let healthy = drivers
                .drivers
                .iter()
                .filter(|(_, d)| d.healthy)
                .map(|(name, _)| name.as_str());
            let cells = vec![
                node.name,
                short(&node.id, SHORT),
                status,
                node.datacenter,
                node.version,
            ];
            let more = vec![
                node.address,
                node.pool,
                node.class,
                healthy.collect::<Vec<_>>().join(","),
            ];
            (node.id, String::new(), String::new(), cells, more)
        }
        Kind::Alloc => {
            let alloc: AllocStub = serde_json::from_value(raw.clone()).map_err(bad)?;
            let running = alloc
                .states
                .values()
                .filter(|s| s.state == TaskLifeState::Running)
                .count();
            let restarts: u64 = alloc.states.values().map(|s| s.restarts).sum();
            let cells = vec![
                short(&alloc.id, SHORT),
                alloc.name.clone(),
                format!("{running}/{}", alloc.states.len()),
                alloc.client.to_string(),
                restarts.to_string(),
                time::age(alloc.create_time, now),
            ];
            let more = vec![
                alloc.node_name.clone(),
                short(&alloc.node, SHORT),
                version(&alloc, &raw),
                alloc.desired.to_string(),
            ];
            (alloc.id, alloc.namespace, alloc.job, cells, more)
        }
        Kind::Eval => {
            let eval: Eval = serde_json::from_value(raw.clone()).map_err(bad)?;
            let cells = vec![
                short(&eval.id, SHORT),
                or_none(&eval.job).to_owned(),
                eval.triggered_by.to_string(),
                eval.status.to_string(),
                time::age(eval.create_time, now),
            ];
            let more = vec![
                eval.priority.to_string(),
                crate::render::allocs::placement_failures(&eval),
            ];
            (eval.id, eval.namespace, eval.job, cells, more)
        }
        Kind::Deployment => {
            let deployment: Deployment = serde_json::from_value(raw.clone()).map_err(bad)?;
            let (healthy, desired) = deployment
                .groups
                .values()
                .fold((0, 0), |(h, d), g| (h + g.healthy, d + g.desired));
            let cells = vec![
                short(&deployment.id, SHORT),
                deployment.job.clone(),
                deployment.job_version.to_string(),
                deployment.status.to_string(),
                format!("{healthy}/{desired}"),
            ];
            (
                deployment.id,
                deployment.namespace,
                deployment.job,
                cells,
                vec![deployment.description],
            )
        }
    };
    if wide {
        cells.extend(more);
    }
    Ok(Item {
        kind,
        name,
        namespace,
        job,
        cells,
        raw,
    })
}
