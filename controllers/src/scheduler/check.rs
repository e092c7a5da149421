//! The applier's last look: does what a plan places still fit, by the newest state?
//!
//! It counts the nodes' allocs itself and shares nothing with the search, so a fault there can't put two allocs into
//! the same room.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::{Alloc, DesiredStatus, PlacedAlloc},
    ids::{AllocId, NodeId},
    plan::{Plan, StopReason},
    resources::{Dimension, Room},
};
use rove_store::state::State;
use thiserror::Error;

/// Why a placement is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its node is gone, or not ready for allocs, or nobody knows how much of it is taken.
    #[error("its node is not ready for allocs")]
    NodeNotReady,
    /// Its node has too little of this.
    #[error("its node has too little {}", .0.name())]
    Exhausted(Dimension),
    /// Its node has given this port to another alloc.
    #[error("port {0} of its node is taken")]
    PortTaken(u16),
}

/// What of a plan may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanVerdict {
    /// Placements that fit, or are written already.
    pub accepted: BTreeSet<AllocId>,
    /// Placements that must not be written, and why.
    pub refused: BTreeMap<AllocId, Refusal>,
    /// Stops that must not be written, as the placement they make way for is refused.
    pub held: BTreeSet<AllocId>,
}

impl PlanVerdict {
    /// Everything may be written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty()
    }
}

struct NodeUse {
    room: Room,
    used: Room,
    ports: BTreeSet<u16>,
}

/// Whether each placement of a plan still fits. A stop frees its room for the placements of the same plan.
#[must_use]
pub fn check_plan(state: &State, plan: &Plan) -> PlanVerdict {
    check_plan_beside(state, plan, &[])
}

/// As [`check_plan`], where `under_way` are placements that are being written and that `state` does not show yet.
#[must_use]
pub fn check_plan_beside(state: &State, plan: &Plan, under_way: &[&Alloc]) -> PlanVerdict {
    let mut by_node: BTreeMap<NodeId, Vec<&Alloc>> = BTreeMap::new();
    for alloc in under_way {
        by_node.entry(alloc.node_id).or_default().push(alloc);
    }
    let mut verdict = PlanVerdict::default();
    loop {
        let held = verdict.held.len();
        verdict = check(state, plan, &by_node, verdict.held);
        // A stop that is held keeps its room, so that another placement may not fit any more.
        if verdict.held.len() == held {
            return verdict;
        }
    }
}

fn check(
    state: &State,
    plan: &Plan,
    under_way: &BTreeMap<NodeId, Vec<&Alloc>>,
    mut held: BTreeSet<AllocId>,
) -> PlanVerdict {
    let stopped = plan
        .stops
        .iter()
        .filter(|stop| stop.desired_status != DesiredStatus::Run)
        .map(|stop| stop.alloc_id)
        .filter(|id| !held.contains(id))
        .collect::<BTreeSet<_>>();
    let mut verdict = PlanVerdict::default();
    let mut nodes: BTreeMap<NodeId, Option<NodeUse>> = BTreeMap::new();
    for alloc in &plan.placements {
        if state.alloc(alloc.id).is_some() {
            verdict.accepted.insert(alloc.id);
            continue;
        }
        let node = nodes
            .entry(alloc.node_id)
            .or_insert_with(|| node_use(state, alloc.node_id, under_way, &stopped));
        match place(node.as_mut(), alloc) {
            Ok(()) => {
                verdict.accepted.insert(alloc.id);
            }
            Err(refusal) => {
                verdict.refused.insert(alloc.id, refusal);
                // What is lost or moved away is stopped all the same; what makes way is not.
                let makes_way = alloc.previous_allocation.filter(|previous| {
                    plan.stops.iter().any(|stop| {
                        stop.alloc_id == *previous && stop.reason.is_some_and(StopReason::makes_way)
                    })
                });
                held.extend(makes_way);
            }
        }
    }
    verdict.held = held;
    verdict
}

fn node_use(
    state: &State,
    id: NodeId,
    under_way: &BTreeMap<NodeId, Vec<&Alloc>>,
    stopped: &BTreeSet<AllocId>,
) -> Option<NodeUse> {
    let node = state.node(id)?;
    if !state.takes_allocs(id) || state.unreadable_use_of_node(id).is_some() {
        return None;
    }
    let mut found = NodeUse {
        room: node.room(),
        used: Room::default(),
        ports: node.reserved.ports.iter().copied().collect(),
    };
    let there = state
        .allocs_of_node(id)
        .filter(|alloc| !state.status_of(alloc).is_terminal())
        .map(|alloc| &alloc.value);
    let coming = under_way
        .get(&id)
        .into_iter()
        .flatten()
        .copied()
        .filter(|alloc| state.alloc(alloc.id).is_none());
    for alloc in there.chain(coming) {
        if alloc.desired_status == DesiredStatus::Run && !stopped.contains(&alloc.id) {
            found.used = found.used.plus(alloc.resources.room());
            found
                .ports
                .extend(alloc.resources.all_ports().map(|port| port.value));
        }
    }
    Some(found)
}

fn place(node: Option<&mut NodeUse>, alloc: &PlacedAlloc) -> Result<(), Refusal> {
    let node = node.ok_or(Refusal::NodeNotReady)?;
    let used = node.used.plus(alloc.resources.room());
    if let Some(dimension) = node.room.exceeded_by(used) {
        return Err(Refusal::Exhausted(dimension));
    }
    let mut ports = BTreeSet::new();
    for port in alloc.resources.all_ports() {
        if node.ports.contains(&port.value) || !ports.insert(port.value) {
            return Err(Refusal::PortTaken(port.value));
        }
    }
    node.used = used;
    node.ports.extend(ports);
    Ok(())
}
