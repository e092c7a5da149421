//! `node eligibility`.

use serde_json::Value;

use crate::command::{Context, failed};
use crate::commands::lookup;
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use rove_wire::EligibilityRequest;

/// Sets whether new allocs may be placed on a node.
pub async fn run(cx: &mut Context) -> Outcome {
    let word = match (cx.args.is("enable"), cx.args.is("disable")) {
        (true, false) => "eligible",
        (false, true) => "ineligible",
        _ => {
            return Err(Failure::usage(
                "Either the '-enable' or '-disable' flag must be set",
            ));
        }
    };
    let given = cx.one_or_none("This command takes one argument: <node>")?;
    let client = cx.client()?;
    let id = match (given, cx.args.is("self")) {
        (None, true) => lookup::own_node(&client).await?,
        (Some(prefix), false) => {
            let verbose = cx.args.is("verbose");
            lookup::node(&client, &prefix, |nodes| {
                super::status::table(nodes, verbose)
            })
            .await?
            .id
        }
        _ => {
            return Err(Failure::usage(
                "Node ID must be specified if -self isn't being used",
            ));
        }
    };
    let _: Value = client
        .put(
            &format!("/v1/node/{id}/eligibility"),
            &[],
            &EligibilityRequest {
                node: id.clone(),
                eligibility: word.to_owned(),
            },
        )
        .await
        .map_err(failed("Error updating scheduling eligibility"))?;
    cx.ui.line(format!(
        "Node {} scheduling eligibility set: {word} for scheduling",
        quoted(&id)
    ));
    Ok(0)
}
