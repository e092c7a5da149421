//! `describe`: all about a thing, as the commands of its noun show it.

use super::get::{client, not_found, server};
use super::kind::{Kind, targets};
use crate::client::Client;
use crate::command::Context;
use crate::commands::lookup::segment;
use crate::commands::{alloc, deployment, eval, job, node};
use crate::failure::{Failure, Outcome};
use crate::render::table::{Fields, Table};
use rove_model::job::Job;
use rove_wire::NodeStub;

/// Describes what is named; without a name all of the kind.
pub async fn run(cx: &mut Context) -> Outcome {
    let targets = targets(&cx.args.positional)?;
    let client = client(cx)?;
    let mut first = true;
    let mut code = 0;
    for target in targets {
        let names = match &target.name {
            Some(name) => vec![name.clone()],
            None => all(&client, target.kind).await?,
        };
        for name in names {
            if !first {
                cx.ui.line("\n");
            }
            first = false;
            if let Err(failure) = one(cx, &client, target.kind, &name).await {
                cx.ui.error(&failure.message);
                code = 1;
            }
        }
    }
    Ok(code)
}

async fn all(client: &Client, kind: Kind) -> Result<Vec<String>, Failure> {
    let path = match kind {
        Kind::Job => "/v1/jobs",
        Kind::Node => "/v1/nodes",
        Kind::Alloc => "/v1/allocations",
        Kind::Eval => "/v1/evaluations",
        Kind::Deployment => "/v1/deployments",
    };
    let list: Vec<serde_json::Value> = client.get(path, &[]).await.map_err(server)?;
    Ok(list
        .iter()
        .filter_map(|item| Some(item.get("ID")?.as_str()?.to_owned()))
        .collect())
}

async fn one(cx: &mut Context, client: &Client, kind: Kind, name: &str) -> Outcome {
    match kind {
        Kind::Job => {
            let spec: Job = match client.get(&format!("/v1/job/{}", segment(name)), &[]).await {
                Ok(spec) => spec,
                Err(error) if error.not_found() => return Err(not_found(kind, name)),
                Err(error) => return Err(server(error)),
            };
            cx.args.positional = vec![name.to_owned()];
            job::status::one(cx, name).await?;
            groups(cx, &spec);
            Ok(0)
        }
        Kind::Node => {
            let nodes: Vec<NodeStub> = client.get("/v1/nodes", &[]).await.map_err(server)?;
            let named = nodes.into_iter().find(|n| n.name == name);
            cx.args.positional = vec![named.map_or_else(|| name.to_owned(), |node| node.id)];
            node::status::run(cx).await
        }
        Kind::Alloc => {
            cx.args.positional = vec![name.to_owned()];
            alloc::status::run(cx).await
        }
        Kind::Eval => {
            cx.args.positional = vec![name.to_owned()];
            eval::status(cx).await
        }
        Kind::Deployment => {
            cx.args.positional = vec![name.to_owned()];
            deployment::status(cx).await
        }
    }
}

fn groups(cx: &mut Context, spec: &Job) {
    let mut table = Table::new(["Task Group", "Count", "Task", "Driver", "CPU", "Memory"]);
    for group in &spec.task_groups {
        for task in &group.tasks {
            table.row([
                group.name.clone(),
                group.count().to_string(),
                task.name.clone(),
                task.driver.clone(),
                format!("{} MHz", task.cpu()),
                crate::render::size::mebibytes(task.memory_mb()),
            ]);
        }
    }
    let title = cx.ui.bold("Tasks");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
    if !spec.meta.is_empty() {
        let mut fields = Fields::new();
        for (key, value) in &spec.meta {
            fields.add(key, value);
        }
        let title = cx.ui.bold("Meta");
        cx.ui.line(format!("\n{title}\n{}", fields.render()));
    }
}
