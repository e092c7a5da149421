//! `scale job/NAME --replicas=N`.

use serde_json::{Value, json};

use super::apply::{ATTEMPTS, changed_meanwhile};
use super::get::{client, not_found, server};
use super::kind::{Kind, targets};
use crate::client::{ApiError, Client};
use crate::command::Context;
use crate::commands::job::scale::send;
use crate::commands::lookup::segment;
use crate::failure::{Failure, Outcome};
use rove_model::job::Job;
use rove_wire::Registered;

/// Sets how many instances of a group run.
pub async fn run(cx: &mut Context) -> Outcome {
    let Some(count) = cx.args.number("replicas") else {
        return Err(Failure::new("error: required flag(s) \"replicas\" not set"));
    };
    if count < 0 {
        return Err(Failure::new(
            "error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    }
    let client = client(cx)?;
    let mut code = 0;
    for target in targets(&cx.args.positional)? {
        let Some(name) = target.name.filter(|_| target.kind == Kind::Job) else {
            return Err(Failure::new(
                "error: only jobs can be scaled, by name: job/NAME",
            ));
        };
        if let Err(failure) = one(cx, &client, &name, count).await {
            cx.ui.error(&failure.message);
            code = 1;
        }
    }
    Ok(code)
}

async fn one(cx: &mut Context, client: &Client, name: &str, count: i64) -> Result<(), Failure> {
    let path = format!("/v1/job/{}", segment(name));
    let job: Job = match client.get(&path, &[]).await {
        Ok(job) => job,
        Err(error) if error.not_found() => return Err(not_found(Kind::Job, name)),
        Err(error) => return Err(server(error)),
    };
    let wanted = cx.args.last("group");
    let group = match (wanted, job.task_groups.as_slice()) {
        (Some(wanted), groups) => groups.iter().find(|g| g.name == wanted),
        (None, [only]) => Some(only),
        (None, groups) => {
            let names: Vec<&str> = groups.iter().map(|g| g.name.as_str()).collect();
            return Err(Failure::new(format!(
                "error: job/{name} has several groups, name one with --group: {}",
                names.join(", ")
            )));
        }
    };
    let Some(group) = group else {
        return Err(Failure::new(format!(
            "error: job/{name} has no group {:?}",
            wanted.unwrap_or_default()
        )));
    };
    let current = cx.args.number("current-replicas");
    expect(current, i64::try_from(group.count()).unwrap_or(i64::MAX))?;
    match send(client, &path, &group.name, count, &cx.program).await {
        Ok(_) => {}
        // A new version takes the place of one that is being rolled out, as with apply.
        Err(error) if rolls_out(&error) => {
            register(client, &path, &group.name, count, current).await?;
        }
        Err(error) => return Err(server(error)),
    }
    cx.ui.line(format!("job/{name} scaled"));
    Ok(())
}

/// Whether a group has as many instances as it is thought to have.
fn expect(current: Option<i64>, count: i64) -> Result<(), Failure> {
    match current {
        Some(current) if current != count => Err(Failure::new(format!(
            "error: Expected replicas to be {current}, was {count}"
        ))),
        _ => Ok(()),
    }
}

/// The agent scales no job while a deployment of it is under way.
fn rolls_out(error: &ApiError) -> bool {
    error
        .body()
        .is_some_and(|body| body.contains("blocked due to active deployment"))
}

/// Registers the job as it is with another count, if it has the `current` one still.
async fn register(
    client: &Client,
    path: &str,
    group: &str,
    count: i64,
    current: Option<i64>,
) -> Result<(), Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut job: Value = client.get(path, &[]).await.map_err(server)?;
        let index = job["JobModifyIndex"].clone();
        let groups = job["TaskGroups"].as_array_mut().into_iter().flatten();
        for found in groups.filter(|found| found["Name"] == group) {
            let before = found["Count"].as_i64();
            // A job that was written without a count runs one.
            expect(current, before.unwrap_or(1))?;
            found["Count"] = Value::from(count);
        }
        let body = json!({"Job": job, "EnforceIndex": true, "JobModifyIndex": index});
        match client.put::<_, Registered>("/v1/jobs", &[], &body).await {
            Ok(_) => return Ok(()),
            Err(error) if attempt < ATTEMPTS && changed_meanwhile(&error) => {}
            Err(error) => return Err(server(error)),
        }
    }
}
