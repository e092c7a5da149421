//! Room that came free, and which blocked evaluations might use it.
//!
//! One that might is never passed over: it is woken when what it asks for fits into what a node has left by the state,
//! its own job's allocs there not counted, for they may make way. What does not fit by that count fits by none. Where
//! nobody knows what it asks for, any room will do.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use rove_model::{
    eval::{Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, JobKey, NodeId, Revision},
    resources::Room,
};
use rove_store::state::{State, Stored};
use uuid::Uuid;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gains {
    /// The newest gain of which nobody knows where it is.
    anywhere: Revision,
    /// The newest gain of each node, and the nodes by it.
    of_node: BTreeMap<NodeId, Revision>,
    by_revision: BTreeSet<(Revision, NodeId)>,
    /// Gains that the blocked evaluations were not held against yet.
    fresh: BTreeSet<NodeId>,
    /// Evaluations that wait for room, and whether there may be some for each.
    blocked: BTreeMap<EvalId, bool>,
    /// Those for which that was found since they were last taken.
    found: BTreeSet<EvalId>,
}

/// What is left of a node.
struct Left {
    class: String,
    free: Room,
    /// What each job's own allocs take there.
    own: BTreeMap<JobKey, Room>,
}

impl Left {
    /// What is left of a node that takes allocs.
    fn of(state: &State, id: NodeId) -> Option<Self> {
        let node = state.node(id).filter(|_| state.takes_allocs(id))?;
        let mut used = Room::default();
        let mut own: BTreeMap<JobKey, Room> = BTreeMap::new();
        for alloc in state.allocs_of_node(id) {
            if state.is_live(alloc) {
                let room = alloc.resources.room();
                used = used.plus(room);
                let of_job = own.entry(alloc.job()).or_default();
                *of_job = of_job.plus(room);
            }
        }
        Some(Self {
            // As the scheduler names it, which an agent of another version may do otherwise.
            class: node.compute_class(),
            free: node.room().minus(used),
            own,
        })
    }

    fn may_hold(&self, eval: &Eval, asks: &Asks) -> bool {
        if eval.class_eligibility.get(&self.class) == Some(&false) {
            return false;
        }
        let own = self.own.get(&eval.job()).copied().unwrap_or_default();
        let room = self.free.plus(own);
        match asks {
            Asks::Anything => true,
            Asks::Groups(groups) => groups.iter().any(|ask| room.exceeded_by(*ask).is_none()),
        }
    }
}

/// What a blocked evaluation waits for.
enum Asks {
    /// Nobody knows.
    Anything,
    /// Room for an alloc of one of some groups.
    Groups(Vec<Room>),
}

impl Asks {
    fn of(state: &State, eval: &Eval) -> Self {
        // Its plans were refused: of what, it does not say.
        if eval.triggered_by == TriggeredBy::MaxPlanAttempts {
            return Self::Anything;
        }
        let Some(version) = state.current_job(&eval.job()) else {
            return Self::Anything;
        };
        let queued = eval
            .queued_allocations
            .iter()
            .filter(|(_, count)| **count > 0);
        let waiting: BTreeSet<_> = queued
            .map(|(name, _)| name)
            .chain(eval.failed_groups.keys())
            .collect();
        let groups: Option<Vec<Room>> = waiting
            .iter()
            .map(|name| version.job.group(name.as_str()).map(|group| group.room()))
            .collect();
        match groups {
            Some(groups) if !groups.is_empty() => Self::Groups(groups),
            Some(_) | None => Self::Anything,
        }
    }
}

impl Gains {
    /// Takes up the evaluations that are blocked now. Each is due once, for nobody knows what was gained before `revision`.
    pub(super) fn look_at_everything(&mut self, state: &State, revision: Revision) {
        let blocked: Vec<EvalId> = state
            .evals()
            .filter(|eval| eval.status == EvalStatus::Blocked)
            .map(|eval| eval.id)
            .collect();
        *self = Self {
            anywhere: revision,
            blocked: blocked.iter().map(|id| (*id, true)).collect(),
            found: blocked.into_iter().collect(),
            ..Self::default()
        };
    }

    /// Room may have come free on a node at `revision`.
    pub(super) fn on(&mut self, node: NodeId, revision: Revision) {
        let before = self.of_node.get(&node).copied();
        if before.is_none_or(|before| before < revision) {
            if let Some(before) = before {
                self.by_revision.remove(&(before, node));
            }
            self.of_node.insert(node, revision);
            self.by_revision.insert((revision, node));
        }
        self.fresh.insert(node);
    }

    /// The node is gone.
    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(before) = self.of_node.remove(&node) {
            self.by_revision.remove(&(before, node));
        }
        self.fresh.remove(&node);
    }

    /// Room may have come free at `revision`, nobody knows where.
    pub(super) fn anywhere(&mut self, revision: Revision) {
        self.anywhere = self.anywhere.max(revision);
        for (id, due) in &mut self.blocked {
            *due = true;
            self.found.insert(*id);
        }
    }

    /// An evaluation is blocked, or isn't any more.
    pub(super) fn notice_eval(&mut self, state: &State, id: EvalId) {
        match state.eval(id) {
            Some(eval) if eval.status == EvalStatus::Blocked => {
                let due = self.since(state, eval);
                self.blocked.insert(id, due);
                if due {
                    self.found.insert(id);
                }
            }
            _ => {
                self.blocked.remove(&id);
                self.found.remove(&id);
            }
        }
    }

    /// Whether an evaluation might use what came free after it was decided on.
    fn since(&self, state: &State, eval: &Stored<Eval>) -> bool {
        // The refused plans before it gave their room back until it came into being.
        let seen = match eval.triggered_by {
            TriggeredBy::MaxPlanAttempts => eval.snapshot.max(eval.create),
            _ => eval.snapshot,
        };
        if self.anywhere > seen {
            return true;
        }
        let asks = Asks::of(state, eval);
        let later = (
            Bound::Excluded((seen, NodeId(Uuid::max()))),
            Bound::Unbounded,
        );
        self.by_revision
            .range(later)
            .any(|(_, node)| Left::of(state, *node).is_some_and(|left| left.may_hold(eval, &asks)))
    }

    /// Holds what came free against the evaluations that wait, and gives those that may use it and were not given yet.
    pub(super) fn take_due(&mut self, state: &State) -> BTreeSet<EvalId> {
        let fresh = std::mem::take(&mut self.fresh);
        if self.blocked.values().any(|due| !due) {
            let left: Vec<Left> = fresh
                .iter()
                .filter_map(|node| Left::of(state, *node))
                .collect();
            let waiting = self.blocked.iter_mut().filter(|(_, due)| !**due);
            for (id, due) in waiting.take_while(|_| !left.is_empty()) {
                if let Some(eval) = state.eval(*id) {
                    let asks = Asks::of(state, eval);
                    *due = left.iter().any(|left| left.may_hold(eval, &asks));
                    if *due {
                        self.found.insert(*id);
                    }
                }
            }
        }
        std::mem::take(&mut self.found)
    }

    /// Whether there may be room for an evaluation.
    pub(super) fn is_due(&self, id: EvalId) -> bool {
        self.blocked.get(&id).copied().unwrap_or_default()
    }
}
