//! `job scale`, `job eval`, `job deployments` and `job scaling-events`.

use serde_json::Value;

use super::versions::follow;
use crate::client::{ApiError, Client};
use crate::command::{Context, failed};
use crate::commands::lookup::{self, segment};
use crate::failure::{Failure, Outcome};
use crate::render::table::Table;
use crate::render::{allocs, deployment, short, time};
use rove_model::job::Job;
use rove_wire::{
    Deployment, EvaluateOptions, EvaluateRequest, Registered, ScaleRequest, ScaleStatus,
};

/// Sets how many instances of a group run.
pub async fn scale(cx: &mut Context) -> Outcome {
    let complaint = "This command takes two or three arguments: <job> [<group>] <count>";
    let (prefix, group, count) = match cx.args.positional.as_slice() {
        [job, count] => (job.clone(), None, count.clone()),
        [job, group, count] => (job.clone(), Some(group.clone()), count.clone()),
        _ => return Err(Failure::usage(complaint)),
    };
    let count: i64 = count
        .parse()
        .map_err(|_| Failure::new(format!("Failed to convert count string to int: {count:?}")))?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let path = format!("/v1/job/{}", segment(&stub.id));
    let job: Job = client
        .get(&path, &[])
        .await
        .map_err(failed("Error querying job"))?;
    let group = match (group, job.task_groups.as_slice()) {
        (Some(group), groups) if groups.iter().any(|g| g.name == group) => group,
        (Some(group), _) => {
            return Err(Failure::new(format!("Group {group} not found within job")));
        }
        (None, [only]) => only.name.clone(),
        (None, groups) => {
            let names: Vec<&str> = groups.iter().map(|g| g.name.as_str()).collect();
            return Err(Failure::new(format!(
                "Group name required; the job has the groups {}",
                names.join(", ")
            )));
        }
    };
    let request = ScaleRequest {
        count: Some(count),
        ..ScaleRequest::default()
    };
    let answer = send(&client, &path, &group, request, &cx.program)
        .await
        .map_err(failed("Error submitting scaling request"))?;
    super::validate::warn(cx, &answer.warnings);
    follow(cx, &client, &answer).await
}

/// Sends a scaling request for a group, in the name of this command.
pub async fn send(
    client: &Client,
    path: &str,
    group: &str,
    request: ScaleRequest,
    program: &str,
) -> Result<Registered, ApiError> {
    let body = ScaleRequest {
        target: [("Group".to_owned(), group.to_owned())].into(),
        message: format!("submitted using {program} job scale"),
        ..request
    };
    client.put(&format!("{path}/scale"), &[], &body).await
}

/// Lets the scheduler look at a job again.
pub async fn evaluate(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let body = EvaluateRequest {
        job: stub.id.clone(),
        options: EvaluateOptions {
            force_reschedule: cx.args.is("force-reschedule"),
        },
    };
    let answer: Registered = client
        .put(
            &format!("/v1/job/{}/evaluate", segment(&stub.id)),
            &[],
            &body,
        )
        .await
        .map_err(failed("Error evaluating job"))?;
    if cx.args.is("detach") {
        cx.ui.line(format!(
            "Created eval ID: \"{}\" ",
            short(&answer.eval, allocs::length(cx.args.is("verbose")))
        ));
        return Ok(0);
    }
    follow(cx, &client, &answer).await
}

/// The deployments of a job, or its last one.
pub async fn deployments(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let path = format!("/v1/job/{}", segment(&stub.id));
    let length = allocs::length(cx.args.is("verbose"));
    if cx.args.is("latest") {
        let path = format!("{path}/deployment");
        if cx.wants_format() {
            let latest: Value = client
                .get(&path, &[])
                .await
                .map_err(failed("Error retrieving deployments"))?;
            return cx.print_format(&latest);
        }
        let latest: Option<Deployment> = client
            .get(&path, &[])
            .await
            .map_err(failed("Error retrieving deployments"))?;
        let text = match &latest {
            Some(latest) => deployment::whole(latest, length, &|text| cx.ui.bold(text)),
            None => "No deployment found".to_owned(),
        };
        cx.ui.line(text);
        return Ok(0);
    }
    let path = format!("{path}/deployments");
    let query: &[(&str, &str)] = if cx.args.is("all") {
        &[("all", "true")]
    } else {
        &[]
    };
    if cx.wants_format() {
        let all: Value = client
            .get(&path, query)
            .await
            .map_err(failed("Error retrieving deployments"))?;
        return cx.print_format(&all);
    }
    let mut all: Vec<Deployment> = client
        .get(&path, query)
        .await
        .map_err(failed("Error retrieving deployments"))?;
    all.sort_by_key(|d| std::cmp::Reverse(d.create_index));
    cx.ui.line(deployment::list(&all, length, false));
    Ok(0)
}

/// How a job was scaled.
pub async fn events(cx: &mut Context) -> Outcome {
    let [prefix] = cx.arguments("This command takes one argument: <job>")?;
    let client = cx.client()?;
    let stub = lookup::job(cx, &client, &prefix).await?;
    let client = client.in_namespace(&stub.namespace);
    let status: ScaleStatus = client
        .get(&format!("/v1/job/{}/scale", segment(&stub.id)), &[])
        .await
        .map_err(failed("Error listing scaling events"))?;
    let mut rows: Vec<_> = status
        .groups
        .iter()
        .flat_map(|(name, g)| g.events.iter().map(move |e| (name, e)))
        .collect();
    if rows.is_empty() {
        cx.ui.line("No events found");
        return Ok(0);
    }
    rows.sort_by_key(|(_, e)| std::cmp::Reverse(e.time));
    let verbose = cx.args.is("verbose");
    let mut headings = vec!["Task Group", "Count", "PrevCount"];
    if verbose {
        headings.extend(["Error", "Message", "Eval ID"]);
    }
    headings.push("Date");
    let mut table = Table::new(headings);
    for (group, event) in rows {
        let mut row = vec![
            group.clone(),
            event
                .count
                .map_or_else(|| "<none>".to_owned(), |n| n.to_string()),
            event.previous.to_string(),
        ];
        if verbose {
            row.extend([
                event.error.to_string(),
                event.message.clone(),
                event.eval.clone().unwrap_or_default(),
            ]);
        }
        row.push(time::stamp(event.time));
        table.row(row);
    }
    cx.ui.line(table.render());
    Ok(0)
}
