//! From the beginning of an id to the one thing it names, or the list of what it could be.

use crate::client::Client;
use crate::command::{Context, failed};
use crate::failure::Failure;
use crate::render::quote::quoted;
use crate::render::{allocs, deployment};
use rove_wire::{AllocStub, Deployment, Eval, JobStub, NodeStub};

/// The shortest beginning of an id that is looked for: a single character names nearly everything.
const SHORTEST: usize = 2;

/// What to say behind "not found" of what can't be the beginning of an id.
const NO_ID: &str = "an id is made of hexadecimal digits, as 6309fb8e-8378-1610-df56-ca973156b735 or the beginning of it";

/// It could be an id or its beginning: hexadecimal digits, with dashes where ids have them.
pub fn could_be_id(text: &str) -> bool {
    text.len() <= crate::render::FULL
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

fn no_id(prefix: &str, not_found: String) -> Result<(), Failure> {
    if could_be_id(prefix) {
        return Ok(());
    }
    Err(Failure::new(format!("{not_found}: {NO_ID}")))
}

fn long_enough(prefix: &str) -> Result<(), Failure> {
    if prefix.chars().count() < SHORTEST {
        return Err(Failure::new(
            "Identifier must contain at least two characters.",
        ));
    }
    Ok(())
}

/// What is asked of the API: it finds ids by whole bytes, two characters each.
fn even(prefix: &str) -> &str {
    let digits = prefix.chars().filter(|c| *c != '-').count();
    match prefix.char_indices().next_back() {
        Some((last, _)) if digits % 2 == 1 && prefix.len() < crate::render::FULL => {
            prefix[..last].trim_end_matches('-')
        }
        _ => prefix,
    }
}

/// The job that `prefix` names: that very id, else the only one that begins so.
pub async fn job(cx: &Context, client: &Client, prefix: &str) -> Result<JobStub, Failure> {
    let prefix = prefix.trim();
    let what = format!("Error querying job prefix {}", quoted(prefix));
    let jobs: Vec<JobStub> = client
        .get("/v1/jobs", &[("prefix", prefix)])
        .await
        .map_err(failed(what))?;
    let mut exact = jobs.iter().filter(|j| j.id == prefix);
    if let (Some(job), None) = (exact.next(), exact.next()) {
        return Ok(job.clone());
    }
    match jobs.as_slice() {
        [] => Err(Failure::new(format!(
            "No job(s) with prefix or ID {} found",
            quoted(prefix)
        ))),
        [job] => Ok(job.clone()),
        _ => Err(Failure::new(format!(
            "Prefix {} matched multiple jobs\n\n{}",
            quoted(prefix),
            allocs::jobs(&jobs, cx.all_namespaces())
        ))),
    }
}

/// The alloc that `prefix` names.
pub async fn alloc(
    cx: &Context,
    client: &Client,
    prefix: &str,
    verbose: bool,
) -> Result<AllocStub, Failure> {
    long_enough(prefix)?;
    let none = format!(
        "No allocation(s) with prefix or id {} found",
        quoted(prefix)
    );
    no_id(prefix, none.clone())?;
    let mut found: Vec<AllocStub> = client
        .get("/v1/allocations", &[("prefix", even(prefix))])
        .await
        .map_err(failed("Error querying allocation"))?;
    found.retain(|a| a.id.starts_with(prefix));
    allocs::newest_first(&mut found);
    match found.as_slice() {
        [] => Err(Failure::new(none)),
        [alloc] => Ok(alloc.clone()),
        _ => Err(Failure::new(format!(
            "Prefix matched multiple allocations\n\n{}",
            allocs::list(&found, verbose, cx.now())
        ))),
    }
}

/// The evaluation that `prefix` names.
pub async fn eval(client: &Client, prefix: &str, verbose: bool) -> Result<Eval, Failure> {
    long_enough(prefix)?;
    let none = format!(
        "No evaluation(s) with prefix or id {} found",
        quoted(prefix)
    );
    no_id(prefix, none.clone())?;
    let mut found: Vec<Eval> = client
        .get("/v1/evaluations", &[("prefix", even(prefix))])
        .await
        .map_err(failed("Error querying evaluation"))?;
    found.retain(|e| e.id.starts_with(prefix));
    match found.as_slice() {
        [] => Err(Failure::new(none)),
        [eval] => Ok(eval.clone()),
        _ => Err(Failure::new(format!(
            "Prefix matched multiple evaluations\n\n{}",
            allocs::evals(&found, allocs::length(verbose))
        ))),
    }
}

/// The node that `prefix` names.
pub async fn node(
    client: &Client,
    prefix: &str,
    list: impl Fn(&[NodeStub]) -> String,
) -> Result<NodeStub, Failure> {
    long_enough(prefix)?;
    let none = format!("No node(s) with prefix {} found", quoted(prefix));
    no_id(prefix, none.clone())?;
    let mut found: Vec<NodeStub> = client
        .get("/v1/nodes", &[("prefix", even(prefix))])
        .await
        .map_err(failed("Error querying node info"))?;
    found.retain(|n| n.id.starts_with(prefix));
    match found.as_slice() {
        [] => Err(Failure::new(none)),
        [node] => Ok(node.clone()),
        _ => Err(Failure::new(format!(
            "Prefix matched multiple nodes\n\n{}",
            list(&found)
        ))),
    }
}

/// The deployment that `prefix` names.
pub async fn deployment(
    cx: &Context,
    client: &Client,
    prefix: &str,
    verbose: bool,
) -> Result<Deployment, Failure> {
    long_enough(prefix)?;
    let none = format!(
        "Error retrieving deployment: Deployment ID {} matched no deployments",
        quoted(prefix)
    );
    no_id(prefix, none.clone())?;
    let mut found: Vec<Deployment> = client
        .get("/v1/deployments", &[("prefix", even(prefix))])
        .await
        .map_err(failed("Error retrieving deployment"))?;
    found.retain(|d| d.id.starts_with(prefix));
    match found.as_slice() {
        [] => Err(Failure::new(none)),
        [one] => Ok(one.clone()),
        _ => Err(Failure::new(format!(
            "Prefix matched multiple deployments\n\n{}",
            deployment::list(&found, allocs::length(verbose), cx.all_namespaces())
        ))),
    }
}

/// The node that answers, when it is a client.
pub async fn own_node(client: &Client) -> Result<String, Failure> {
    let this: rove_wire::AgentSelf = client
        .get("/v1/agent/self", &[])
        .await
        .map_err(failed("Error querying agent info"))?;
    let id = this
        .stats
        .get("client")
        .and_then(|c| c.get("node_id"))
        .cloned()
        .unwrap_or_default();
    if id.is_empty() {
        return Err(Failure::new(
            "The agent that answers is no client: it has no node of its own",
        ));
    }
    Ok(id)
}

/// A job's id as a part of a path.
pub fn segment(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uneven_beginning_is_shortened_for_the_question_only() {
        assert_eq!(even("abc"), "ab");
        assert_eq!(even("abcd"), "abcd");
        assert_eq!(even("6309fb8e-8"), "6309fb8e");
        assert_eq!(
            even("6309fb8e-8378-1610-df56-ca973156b735"),
            "6309fb8e-8378-1610-df56-ca973156b735"
        );
    }

    #[test]
    fn a_job_id_with_a_slash_is_one_part_of_a_path() {
        assert_eq!(segment("disp/dispatch-1"), "disp%2Fdispatch%2D1");
    }
}
