//! What keeps nodes out of the search for a place, in whole sentences: which pools, datacenters and drivers there are,
//! which nodes take no allocs, and what to do about it. Of rove alone, beside what Nomad says in numbers.

use std::collections::BTreeMap;

use rove_model::node::{DriverInfo, Node, NodeState};
use rove_store::state::State;

use super::feasibility::{Requirements, has_driver};

/// Names that a sentence lists at most.
const LISTED: usize = 3;

/// Bytes of what a node says of a driver, at most.
const MAX_DESCRIPTION: usize = 200;

const NO_NODES: &str = "No client node has registered: start an agent with client { enabled = true }, and \
                        client { servers = [...] } where its server is another agent";

/// Why nodes were not looked at, or could not be used for what the group asks of all of them.
pub(super) fn causes(state: &State, requirements: &Requirements<'_>) -> Vec<String> {
    let all: Vec<&Node> = state.nodes().map(|node| &node.value).collect();
    if all.is_empty() {
        return vec![NO_NODES.to_owned()];
    }
    let in_pool: Vec<&Node> = only(&all, |node| requirements.is_in_pool(node));
    if in_pool.is_empty() {
        return vec![format!(
            "No node is in node pool \"{}\"; there are nodes in {}",
            requirements.pool(),
            tally(all.iter().map(|node| node.node_pool.as_str()))
        )];
    }
    let in_scope: Vec<&Node> = only(&in_pool, |node| requirements.is_in_datacenter(node));
    if in_scope.is_empty() {
        let wanted: Vec<String> = requirements
            .datacenters()
            .iter()
            .map(|pattern| format!("\"{pattern}\""))
            .collect();
        return vec![format!(
            "No node is in datacenter {}; there are nodes in {}",
            wanted.join(" or "),
            tally(in_pool.iter().map(|node| node.datacenter.as_str()))
        )];
    }
    let mut found = out_of_use(state, &in_scope);
    let usable = only(&in_scope, |node| why_not_used(state, node).is_none());
    for driver in requirements.drivers() {
        found.extend(driver_lacks(driver, &all, &usable));
    }
    found
}

fn only<'n>(nodes: &[&'n Node], fits: impl Fn(&Node) -> bool) -> Vec<&'n Node> {
    nodes.iter().copied().filter(|node| fits(node)).collect()
}

/// `"dc1" (2 nodes) and "dc3" (1 node)`, the first few.
fn tally<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let parts = counts
        .iter()
        .map(|(name, count)| format!("\"{name}\" ({})", counted(*count)));
    listed(parts.collect())
}

fn counted(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        more => format!("{more} nodes"),
    }
}

/// The first few in one phrase, and how many more there are.
fn listed(mut parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(LISTED);
    parts.truncate(LISTED);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn names(nodes: &[&Node]) -> String {
    listed(nodes.iter().map(|node| node.name.clone()).collect())
}

/// Why a node takes no new allocs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OutOfUse {
    Starting,
    Down,
    Disconnected,
    Ineligible,
    Unreadable,
}

impl OutOfUse {
    /// Said of `nodes`, which are called `names`.
    fn sentence(self, nodes: usize, names: &str) -> String {
        let who = format!(
            "{} {}",
            counted(nodes),
            if nodes == 1 { "is" } else { "are" }
        );
        match self {
            Self::Starting => format!("{who} starting and not ready yet ({names})"),
            Self::Down => format!("{who} down ({names})"),
            Self::Disconnected => format!("{who} disconnected ({names})"),
            Self::Ineligible => format!(
                "{who} not eligible for new allocations ({names}): \"node eligibility -enable\" lets them in again"
            ),
            Self::Unreadable => format!(
                "{who} held back, as something of it can't be read from the store ({names}): the server's log names \
                 the keys"
            ),
        }
    }
}

fn why_not_used(state: &State, node: &Node) -> Option<OutOfUse> {
    match state.node_status(node.id).map(|status| status.status) {
        None | Some(NodeState::Initializing) => Some(OutOfUse::Starting),
        Some(NodeState::Down) => Some(OutOfUse::Down),
        Some(NodeState::Disconnected) => Some(OutOfUse::Disconnected),
        Some(NodeState::Ready) if !state.takes_allocs(node.id) => Some(OutOfUse::Ineligible),
        Some(NodeState::Ready) => state
            .unreadable_use_of_node(node.id)
            .map(|_| OutOfUse::Unreadable),
    }
}

fn out_of_use(state: &State, nodes: &[&Node]) -> Vec<String> {
    let mut by_reason: BTreeMap<OutOfUse, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        if let Some(why) = why_not_used(state, node) {
            by_reason.entry(why).or_default().push(node);
        }
    }
    by_reason
        .into_iter()
        .map(|(why, nodes)| why.sentence(nodes.len(), &names(&nodes)))
        .collect()
}

/// How to turn a driver on that is off until somebody does.
fn turned_on_by(driver: &str) -> Option<&'static str> {
    (driver == "raw_exec").then_some(
        "plugin \"raw_exec\" { config { enabled = true } } in the agent's configuration turns it on",
    )
}

/// What is to be said of a driver that some of `usable` lack; `all` are the nodes that tell which drivers there are.
fn driver_lacks(driver: &str, all: &[&Node], usable: &[&Node]) -> Vec<String> {
    let lacking = only(usable, |node| !has_driver(node, driver));
    if lacking.is_empty() {
        return Vec::new();
    }
    if !all.iter().any(|node| node.drivers.contains_key(driver)) {
        let mut known: Vec<String> = all
            .iter()
            .flat_map(|node| node.drivers.keys().cloned())
            .collect();
        known.sort_unstable();
        known.dedup();
        let known = if known.is_empty() {
            "no driver at all".to_owned()
        } else {
            known.join(", ")
        };
        return vec![format!(
            "No node has a driver \"{driver}\"; there is {known}"
        )];
    }
    let mut by_reason: BTreeMap<String, Vec<&Node>> = BTreeMap::new();
    for node in lacking {
        let why = driver_state(driver, node.drivers.get(driver));
        by_reason.entry(why).or_default().push(node);
    }
    by_reason
        .into_iter()
        .take(LISTED)
        .map(|(why, nodes)| {
            format!(
                "Driver \"{driver}\" {why} on {} ({})",
                counted(nodes.len()),
                names(&nodes)
            )
        })
        .chain(turned_on_by(driver).map(str::to_owned))
        .collect()
}

fn driver_state(driver: &str, info: Option<&DriverInfo>) -> String {
    let state = match info {
        Some(info) if info.detected => "is unhealthy",
        Some(_) | None if turned_on_by(driver).is_some() => "is off",
        Some(_) | None => "is not there",
    };
    let mut description = info.map_or("", |info| info.health_description.as_str());
    while description.len() > MAX_DESCRIPTION {
        description = match description.char_indices().next_back() {
            Some((last, _)) => &description[..last],
            None => "",
        };
    }
    match description.trim() {
        "" | "disabled" => state.to_owned(),
        said => format!("{state}, \"{said}\","),
    }
}
