//! `delete`: stops jobs and forgets them; an alloc that is deleted is replaced by another.

use std::time::Duration;

use serde_json::Value;

use super::documents;
use super::get::{client, not_found, server};
use super::kind::{Kind, Target, targets};
use super::selector::Selector;
use crate::client::Client;
use crate::command::Context;
use crate::commands::lookup::{self, segment};
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use rove_wire::{AllocStub, JobStub};

/// How often the allocs of a job that was stopped are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long their end is waited for, unless -timeout says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// Deletes what is named, in files or on the command line.
pub async fn run(cx: &mut Context) -> Outcome {
    let client = client(cx)?;
    let patience = match cx.args.last("timeout") {
        Some(text) => super::duration(text)?,
        None => PATIENCE,
    };
    let files = cx.args.all("filename").to_vec();
    let selector = Selector::parse(cx.args.last("selector").unwrap_or(""))?;
    let mut wanted: Vec<(Target, String)> = Vec::new();
    if files.is_empty() {
        let targets = targets(&cx.args.positional)?;
        selector.without_names(&targets)?;
        for target in targets {
            match (&target.name, target.kind) {
                (Some(_), _) => wanted.push((target, String::new())),
                (None, Kind::Job) if cx.args.is("all") || !selector.is_empty() => {
                    let jobs: Vec<JobStub> = client
                        .get("/v1/jobs", &[("meta", "true")])
                        .await
                        .map_err(server)?;
                    wanted.extend(jobs.into_iter().filter(|j| selector.matches(&j.meta)).map(
                        |j| {
                            (
                                Target {
                                    kind: Kind::Job,
                                    name: Some(j.id),
                                },
                                j.namespace,
                            )
                        },
                    ));
                }
                _ => {
                    return Err(Failure::new(
                        "error: resource(s) were provided, but no name was specified",
                    ));
                }
            }
        }
    } else {
        if !cx.args.positional.is_empty() {
            return Err(Failure::new("error: files and names can't be combined"));
        }
        for document in documents::read(cx, &files)? {
            let job = document.job;
            if !selector.matches(&job.meta) {
                continue;
            }
            let target = Target {
                kind: Kind::Job,
                name: Some(job.id),
            };
            wanted.push((target, job.namespace));
        }
    }
    let mut code = 0;
    for (target, namespace) in wanted {
        let client = client.in_namespace(&namespace);
        if let Err(failure) = one(cx, &client, &target, patience).await {
            cx.ui.error(&failure.message);
            code = 1;
        }
    }
    Ok(code)
}

async fn one(
    cx: &mut Context,
    client: &Client,
    target: &Target,
    patience: Duration,
) -> Result<(), Failure> {
    let name = target.name.clone().unwrap_or_default();
    match target.kind {
        Kind::Job => job(cx, client, &name, patience).await,
        Kind::Alloc => {
            let stub = lookup::alloc(cx, client, &name, false).await?;
            let _: Value = client
                .in_namespace(&stub.namespace)
                .put(
                    &format!("/v1/allocation/{}/stop", stub.id),
                    &[],
                    &Value::Null,
                )
                .await
                .map_err(server)?;
            cx.ui.line(format!("alloc {} deleted", quoted(&stub.id)));
            Ok(())
        }
        kind => Err(Failure::new(format!(
            "Error from server (MethodNotAllowed): {} can't be deleted",
            kind.plural()
        ))),
    }
}

async fn job(
    cx: &mut Context,
    client: &Client,
    name: &str,
    patience: Duration,
) -> Result<(), Failure> {
    let path = format!("/v1/job/{}", segment(name));
    let found: Result<Value, _> = client.get(&path, &[]).await;
    match found {
        Ok(_) => {}
        Err(error) if error.not_found() && cx.args.is("ignore-not-found") => return Ok(()),
        Err(error) if error.not_found() => return Err(not_found(Kind::Job, name)),
        Err(error) => return Err(server(error)),
    }
    if cx.args.is("dry-run") {
        cx.ui
            .line(format!("job {} deleted (dry run)", quoted(name)));
        return Ok(());
    }
    let purge = cx.args.switch("purge").unwrap_or(true);
    let query: &[(&str, &str)] = if purge { &[("purge", "true")] } else { &[] };
    let _: Value = client.delete(&path, query).await.map_err(server)?;
    cx.ui.line(format!("job {} deleted", quoted(name)));
    if cx.args.switch("wait").unwrap_or(true) {
        ended(client, &path, name, patience).await?;
    }
    Ok(())
}

/// Waits until nothing of the job runs any more.
async fn ended(client: &Client, path: &str, name: &str, patience: Duration) -> Result<(), Failure> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let allocs: Vec<AllocStub> = client
            .get(&format!("{path}/allocations"), &[])
            .await
            .map_err(server)?;
        if allocs.iter().all(|a| {
            matches!(
                a.client.as_str(),
                "complete" | "failed" | "lost" | "unknown"
            )
        }) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= until {
            return Err(Failure::new(format!(
                "error: timed out waiting for the allocs of job {} to end",
                quoted(name)
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
