//! `scale job/NAME --replicas=N`.

use super::get::{client, not_found, server};
use super::kind::{Kind, targets};
use crate::client::Client;
use crate::command::Context;
use crate::commands::job::scale::send;
use crate::commands::lookup::segment;
use crate::failure::{Failure, Outcome};
use rove_model::job::Job;
use rove_wire::ScaleRequest;

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
    if let Some(word) = cx.args.positional.iter().find(|word| !word.contains('/'))
        && let [alone] = cx.args.positional.as_slice()
        && Kind::parse(alone).is_none()
    {
        return Err(Failure::new(format!(
            "error: only jobs can be scaled, by name: job/{word}"
        )));
    }
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
    // As with apply, a new version takes the place of one that is being rolled out.
    let request = ScaleRequest {
        count: Some(count),
        current_count: current,
        replace_deployment: true,
        ..ScaleRequest::default()
    };
    send(client, &path, &group.name, request, &cx.program)
        .await
        .map_err(server)?;
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
