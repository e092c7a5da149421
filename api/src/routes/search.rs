//! `/v1/search`: what begins with a text.

use std::collections::BTreeMap;

use rove_controllers::facts;
use rove_store::state::{State, Table};
use rove_wire::{Matches, SearchRequest};

use super::route::rows::*;
use super::{evals, nodes};
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::{Call, Namespaces},
    context::ServerSide,
    error::ApiError,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Write, "/v1/search", ReadJob, "Finds ids by their beginning.",
        server!(|r| prefix(r.server, r.call))).with_small_body()
        .takes(SearchRequest::schema).gives(Matches::schema),
    Route::new(Write, "/v1/search/fuzzy", ReadJob, "Finds names by a part of them.",
        NotBuilt("fuzzy search")),
];

/// The most matches of one kind.
const MOST: usize = 20;

/// Every kind that can be asked for, in the words of the API. rove has nothing yet of those from `plugins` on.
const CONTEXTS: [&str; 11] = [
    "allocs",
    "jobs",
    "nodes",
    "node_pools",
    "evals",
    "deployment",
    "plugins",
    "volumes",
    "scaling_policy",
    "vars",
    "namespaces",
];

pub(super) async fn prefix(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let body: SearchRequest = call.json()?;
    let wanted: Vec<&str> = match body.context.as_str() {
        "all" | "" => CONTEXTS.to_vec(),
        one => match CONTEXTS.iter().find(|context| **context == one) {
            Some(context) => vec![context],
            None => {
                return Err(ApiError::Refused(format!(
                    "context must be one of [{}] or 'all' for all contexts; got \"{one}\"",
                    CONTEXTS.join(" ")
                )));
            }
        },
    };
    let index = |state: &State| {
        state
            .newest_of(&[Table::Registrations, Table::Allocs, Table::Deployments])
            .max(state.newest_of(&evals::TABLES))
            .max(state.newest_of(&nodes::TABLES))
    };
    let state = blocking::wait(server, &call.params, index).await?;
    let namespaces = call.namespaces();
    let mut matches = BTreeMap::new();
    let mut truncations = BTreeMap::new();
    for context in wanted {
        let mut found = find(&state, context, &body.prefix, &namespaces);
        truncations.insert(context.to_owned(), found.len() > MOST);
        found.truncate(MOST);
        matches.insert(context.to_owned(), (!found.is_empty()).then_some(found));
    }
    let meta = Meta::of(&state, index(&state));
    let answer = Matches {
        matches,
        truncations,
        index: meta.index,
        known_leader: meta.known_leader,
        ..Matches::default()
    };
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}

/// One more than is shown, so that the caller knows whether there are more.
fn find(state: &State, context: &str, prefix: &str, namespaces: &Namespaces) -> Vec<String> {
    let take = |ids: &mut dyn Iterator<Item = String>| {
        ids.filter(|id| id.starts_with(prefix))
            .take(MOST + 1)
            .collect()
    };
    match context {
        "jobs" => take(
            &mut facts::jobs(state)
                .filter(|job| namespaces.contains(job.key.namespace.as_str()))
                .map(|job| job.key.id.to_string()),
        ),
        "allocs" => take(
            &mut state
                .allocs()
                .filter(|alloc| namespaces.contains(alloc.namespace.as_str()))
                .map(|alloc| alloc.id.to_string()),
        ),
        "evals" => take(
            &mut state
                .evals()
                .filter(|eval| namespaces.contains(eval.namespace.as_str()))
                .map(|eval| eval.id.to_string()),
        ),
        "deployment" => take(
            &mut state
                .deployments()
                .filter(|deployment| namespaces.contains(deployment.namespace.as_str()))
                .map(|deployment| deployment.id.to_string()),
        ),
        "nodes" => take(&mut state.nodes().map(|node| node.id.to_string())),
        "namespaces" => take(&mut std::iter::once("default".to_owned())),
        "node_pools" => take(&mut ["all".to_owned(), "default".to_owned()].into_iter()),
        _ => Vec::new(),
    }
}
