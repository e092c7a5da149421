//! `status`: whatever an id is the beginning of.

use crate::args::{COMMON, FORMAT, VERBOSE, switch};
use crate::command::{Command, Context, failed};
use crate::commands::{alloc, deployment, eval, job, node};
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use rove_wire::{Matches, SearchRequest};

/// The commands.
pub const COMMANDS: &[Command] = &[Command {
    name: "status",
    usage: "status [options] <identifier>",
    about: "Shows whatever the argument names: a job, an alloc, a node, an evaluation or a deployment. Without an \
            argument it lists the jobs.",
    flags: &[
        &[
            switch("short", "Show less."),
            switch("evals", "For a job: show its evaluations."),
            switch(
                "all-allocs",
                "For a job: include allocs of an earlier job with the same id.",
            ),
            switch(
                "stats",
                "For an alloc or a node: show its resource usage in detail.",
            ),
        ],
        FORMAT,
        VERBOSE,
        COMMON,
    ],
    verb: false,
    misuse: 1,
    run: |cx| Box::pin(status(cx)),
}];

/// What the search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Job,
    Alloc,
    Node,
    Eval,
    Deployment,
}

/// What the search calls things, and how they are named in a list.
const KINDS: &[(&str, Found, &str)] = &[
    ("jobs", Found::Job, "Jobs"),
    ("allocs", Found::Alloc, "Allocations"),
    ("nodes", Found::Node, "Nodes"),
    ("evals", Found::Eval, "Evaluations"),
    ("deployment", Found::Deployment, "Deployments"),
];

async fn status(cx: &mut Context) -> Outcome {
    let Some(given) = cx.one_or_none("This command takes at most one argument")? else {
        return job::status::list(cx).await;
    };
    let client = cx.client()?;
    let body = SearchRequest {
        prefix: given.clone(),
        context: "all".to_owned(),
    };
    let found: Matches = match client.post("/v1/search", &[], &body).await {
        Ok(found) => found,
        // An agent without a search still knows jobs.
        Err(error) if error.not_found() => return job::status::one(cx, &given).await,
        Err(error) => {
            return Err(failed(format!(
                "Error querying search with id: {}",
                quoted(&given)
            ))(error));
        }
    };
    let mut matching: Vec<(Found, &'static str, Vec<String>)> = Vec::new();
    for (kind, what, title) in KINDS {
        let ids = found
            .matches
            .get(*kind)
            .cloned()
            .flatten()
            .unwrap_or_default();
        if !ids.is_empty() {
            matching.push((*what, title, ids));
        }
    }
    // The very id of a job wins over ids that merely begin like it.
    if let Some(at) = matching
        .iter()
        .position(|(what, _, ids)| *what == Found::Job && ids.contains(&given))
    {
        matching = vec![matching.swap_remove(at)];
    }
    match matching.as_slice() {
        [] => Err(Failure::new(format!(
            "Unable to resolve ID: {}",
            quoted(&given)
        ))),
        [(Found::Job, ..)] => job::status::run(cx).await,
        [(Found::Alloc, ..)] => alloc::status::run(cx).await,
        [(Found::Node, ..)] => node::status::run(cx).await,
        [(Found::Eval, ..)] => eval::status(cx).await,
        [(Found::Deployment, ..)] => deployment::status(cx).await,
        several => {
            let mut text = format!("Multiple matches found for id {}", quoted(&given));
            for (_, title, ids) in several {
                text.push_str(&format!("\n{title}:\n{}", ids.join(", ")));
            }
            Err(Failure::new(text))
        }
    }
}
