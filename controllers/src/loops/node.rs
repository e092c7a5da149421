//! `node`: a node whose sign of life is there is ready; one whose is gone is down, and each job with allocs on it asks
//! for an evaluation. Room that came free wakes the blocked evaluations that could use it.
//!
//! Only the store says that a node is gone. For a grace after it began to lead, or lost track of the store, the loop
//! declares down only nodes that it has seen alive in that time: a store that was away may have ended leases whose
//! holders are well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use rand::rngs::StdRng;
use rove_model::{
    alloc::DesiredStatus,
    eval::{EvalStatus, TriggeredBy},
    ids::{EvalId, JobKey, NodeId, Revision, UnixNanos},
    job::JobType,
    node::{NodeEvent, NodeState, NodeStatus},
};
use rove_store::{keys::Key, state::State};

use crate::{
    decision::{Again, Decision, Object, Require, Write},
    facts::{self, ShownJob},
    loops::{
        asking::{asks_for_eval, derived_id, new_eval, woken},
        gains::Gains,
    },
    runtime::{Began, Loop, News, View},
    scheduler::{self, is_for_every_node, may_use},
};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct NodeLoop {
    /// The grace.
    pub grace: Duration,
    /// What is broken on purpose.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<crate::Sabotage>,
}

/// What the loop looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeLoopKey {
    /// A node.
    Node(NodeId),
    /// An evaluation that waits for room.
    Blocked(EvalId),
}

impl fmt::Display for NodeLoopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node {node}"),
            Self::Blocked(eval) => write!(f, "blocked evaluation {eval}"),
        }
    }
}

/// What the loop noted while it leads.
#[derive(Debug)]
pub struct NodeMemory {
    grace_until: Option<UnixNanos>,
    began: Began,
    seen_alive: BTreeSet<NodeId>,
    gains: Gains,
    /// How often plans of an eval were refused, of those of which any was.
    refusals: BTreeMap<EvalId, u32>,
    /// The jobs that every node is to have allocs of.
    for_every_node: BTreeSet<JobKey>,
}

const GONE: &str = "node gone";
const WELL: &str = "ready already";
const NOT_YET: &str = "not alive yet";
const READY: &str = "declared ready";
const BACK: &str = "declared ready again";
const GRACE: &str = "within the grace";
const DOWN: &str = "declared down";
const AFFECTED: &str = "evals for affected jobs";
const STAYS_DOWN: &str = "down already";
const WOKEN: &str = "blocked eval woken";
const NO_GAIN: &str = "no room gained";
const NOT_BLOCKED: &str = "not blocked";
const LACKING: &str = "evals for jobs of every node";

/// Evaluations of affected jobs made in one transaction.
const JOBS_AT_ONCE: usize = 100;

/// Events that a node keeps.
const EVENTS: usize = 10;

impl NodeLoop {
    fn node(&self, view: &View<'_, Self>, id: NodeId) -> Decision {
        let state = view.state;
        if state.node(id).is_none() {
            return Decision::wait(GONE);
        }
        let alive = state.node_alive(id);
        let status = state.node_status(id);
        let known = status.map(|status| status.status);
        match (alive, known) {
            (Some(_), Some(NodeState::Ready)) => self.lacking(view, id),
            (Some(alive), _) => {
                let (branch, message) = match known {
                    None | Some(NodeState::Initializing) => (READY, "Node registered"),
                    Some(_) => (BACK, "Node reregistered by heartbeat"),
                };
                self.declare(view, id, NodeState::Ready, branch, message)
                    .requiring([Require::Unchanged(Key::NodeAlive(id), alive.modify)])
            }
            (None, Some(NodeState::Ready)) => {
                if let Some(until) = view.memory.grace_until
                    && view.now < until
                    && !view.memory.seen_alive.contains(&id)
                {
                    return Decision::at(GRACE, until);
                }
                self.declare(view, id, NodeState::Down, DOWN, "Node heartbeat missed")
                    .requiring([Require::Absent(Key::NodeAlive(id))])
            }
            (None, Some(NodeState::Down | NodeState::Disconnected)) => {
                let cause = status.map_or(0, |status| status.modify);
                self.affected(view, id, cause)
            }
            (None, None | Some(NodeState::Initializing)) => Decision::wait(NOT_YET),
        }
    }

    fn declare(
        &self,
        view: &View<'_, Self>,
        id: NodeId,
        to: NodeState,
        branch: &'static str,
        message: &str,
    ) -> Decision {
        let before = view.state.node_status(id);
        let mut events = before.map_or_else(Vec::new, |before| before.events.clone());
        events.push(NodeEvent {
            timestamp: view.now,
            subsystem: "Cluster".to_owned(),
            message: message.to_owned(),
        });
        let excess = events.len().saturating_sub(EVENTS);
        events.drain(..excess);
        let status = Object::NodeStatus(NodeStatus {
            status: to,
            status_description: String::new(),
            since: view.now,
            events,
        });
        let key = Key::NodeStatus(id);
        Decision::write(
            branch,
            vec![match before {
                Some(before) => Write::Update(key, status, before.modify),
                None => Write::Create(key, status),
            }],
        )
    }

    /// The node is down since revision `cause`: each job with something on it is to be looked at.
    fn affected(&self, view: &View<'_, Self>, id: NodeId, cause: Revision) -> Decision {
        let state = view.state;
        let jobs: BTreeSet<JobKey> = state
            .allocs_of_node(id)
            .filter(|alloc| state.is_live(alloc))
            .map(|alloc| alloc.job())
            .collect();
        #[cfg(feature = "sabotage")]
        let jobs: BTreeSet<JobKey> = match self.sabotage {
            Some(crate::Sabotage::LostAlloc) => jobs.into_iter().take(1).collect(),
            _ => jobs,
        };
        let evals = jobs
            .iter()
            .filter(|job| asks_for_eval(state, job, cause, view.now))
            .filter_map(|job| eval_for(view, b"node-update", id, cause, job));
        ask(evals, AFFECTED, STAYS_DOWN)
    }

    /// The node is ready: each job that every node is to have and that it lacks is to be looked at.
    fn lacking(&self, view: &View<'_, Self>, id: NodeId) -> Decision {
        let state = view.state;
        let Some(node) = state.node(id).filter(|_| state.takes_allocs(id)) else {
            return Decision::wait(WELL);
        };
        let cause = changed(state, id);
        let evals = view.memory.for_every_node.iter().filter_map(|key| {
            let job = facts::job(state, key)?;
            let asks = !job.registration.stop
                && may_use(&job.version.job, node)
                && lacks(state, id, &job)
                && asks_for_eval(state, key, cause, view.now);
            asks.then(|| eval_for(view, b"node-ready", id, cause, key))?
        });
        ask(evals, LACKING, WELL)
    }

    fn blocked(&self, view: &View<'_, Self>, id: EvalId) -> Decision {
        let Some(eval) = view
            .state
            .eval(id)
            .filter(|eval| eval.status == EvalStatus::Blocked)
        else {
            return Decision::wait(NOT_BLOCKED);
        };
        if !view.memory.gains.is_due(id) {
            return Decision::wait(NO_GAIN);
        }
        Decision::write(WOKEN, vec![woken(eval, view.now)])
    }
}

/// The evaluation that a job asks for as the node changed at revision `cause`; `None` where it was made already. `what`
/// tells those for one change of a node apart.
fn eval_for(
    view: &View<'_, NodeLoop>,
    what: &[u8],
    node: NodeId,
    cause: Revision,
    job: &JobKey,
) -> Option<Write> {
    let eval_id = derived_id(&[
        what,
        node.0.as_bytes(),
        &cause.to_be_bytes(),
        job.to_string().as_bytes(),
    ]);
    let mut eval = new_eval(view.state, job, eval_id, TriggeredBy::NodeUpdate, view.now)?;
    eval.node_id = Some(node);
    let is_new = view.state.eval(eval_id).is_none();
    is_new.then(|| Write::new_eval(eval))
}

/// Makes some of the evaluations, and comes again for the rest; waits as `none` says where there is none.
fn ask(
    mut evals: impl Iterator<Item = Write>,
    branch: &'static str,
    none: &'static str,
) -> Decision {
    let now: Vec<Write> = evals.by_ref().take(JOBS_AT_ONCE).collect();
    if now.is_empty() {
        return Decision::wait(none);
    }
    let mut decision = Decision::write(branch, now);
    if evals.next().is_some() {
        // Nothing else would say that there are more.
        decision.again = Again::WhenSettled;
    }
    decision
}

impl NodeMemory {
    /// A plan that was refused since the last look set room free, even if the eval was planned again or ended by now.
    fn notice_refusals(&mut self, state: &State, id: EvalId) {
        let Some(eval) = state.eval(id) else {
            self.refusals.remove(&id);
            return;
        };
        if eval.plan_refusals == 0 {
            return;
        }
        let before = self.refusals.insert(id, eval.plan_refusals);
        if before.unwrap_or_default() < eval.plan_refusals {
            self.gains.anywhere(eval.modify);
        }
    }

    /// Takes one changed key in.
    fn take_in(&mut self, state: &State, key: &Key) {
        let gains = &mut self.gains;
        match key {
            Key::NodeAlive(id) if state.node_alive(*id).is_some() => {
                self.seen_alive.insert(*id);
            }
            Key::Node(id) => match state.node(*id) {
                Some(node) => gains.on(*id, node.modify),
                None => {
                    gains.forget(*id);
                    self.seen_alive.remove(id);
                }
            },
            Key::NodeStatus(id) => {
                if let Some(status) = state.node_status(*id) {
                    gains.on(*id, status.modify);
                }
            }
            Key::NodeControl(id) => gains.on(*id, state.revision()),
            Key::Alloc(node, id) => {
                match state.alloc(*id) {
                    Some(alloc) if alloc.desired_status != DesiredStatus::Run => {
                        gains.on(*node, alloc.modify);
                    }
                    // It may have been stopped and removed between two looks.
                    None if state.node(*node).is_some() => gains.on(*node, state.revision()),
                    Some(_) | None => {}
                }
            }
            Key::AllocStatus(node, id) => {
                if let Some(status) = state.alloc_status(*id)
                    && status.client_status.is_terminal()
                {
                    gains.on(*node, status.modify);
                }
            }
            // A plan whose eval goes again or was given up was refused: the room it held is free, wherever it was.
            Key::Plan(id) => {
                let refused = state.plan(*id).is_none()
                    && state.eval(*id).is_some_and(|eval| {
                        matches!(eval.status, EvalStatus::Pending | EvalStatus::Failed)
                    });
                if refused {
                    gains.anywhere(state.revision());
                }
            }
            Key::Registration(job) => {
                let is_one =
                    facts::job(state, job).is_some_and(|job| is_for_every_node(&job.version.job));
                if is_one {
                    self.for_every_node.insert(job.clone());
                } else {
                    self.for_every_node.remove(job);
                }
            }
            Key::Eval(id) => {
                gains.notice_eval(state, *id);
                self.notice_refusals(state, *id);
            }
            _ => {}
        }
    }
}

impl Loop for NodeLoop {
    const NAME: &'static str = "node";
    const BRANCHES: &'static [&'static str] = &[
        GONE,
        WELL,
        NOT_YET,
        READY,
        BACK,
        GRACE,
        DOWN,
        AFFECTED,
        STAYS_DOWN,
        WOKEN,
        NO_GAIN,
        NOT_BLOCKED,
        LACKING,
    ];
    type Key = NodeLoopKey;
    type Memory = NodeMemory;
    type Memo = ();

    fn begin(&self, began: Began) -> NodeMemory {
        NodeMemory {
            grace_until: None,
            began,
            seen_alive: BTreeSet::new(),
            gains: Gains::default(),
            refusals: BTreeMap::new(),
            for_every_node: BTreeSet::new(),
        }
    }

    fn notice(
        &self,
        memory: &mut NodeMemory,
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(NodeLoopKey, UnixNanos, i32),
    ) {
        match news {
            News::Everything => {
                let grace = UnixNanos::try_from(self.grace.as_nanos()).unwrap_or(UnixNanos::MAX);
                let whole = now.saturating_add(grace);
                // Looking again is no reason to wait longer, but for a clock that was set back.
                let until = memory.grace_until.map_or(whole, |until| until.min(whole));
                memory.grace_until = Some(until);
                let alive = state.nodes().map(|node| node.id);
                memory
                    .seen_alive
                    .extend(alive.filter(|id| state.node_alive(*id).is_some()));
                // What was gained before is not known: each blocked eval is woken once.
                let revision = memory.began.revision.max(state.revision());
                memory.gains.look_at_everything(state, revision);
                memory.refusals = state
                    .evals()
                    .filter(|eval| eval.plan_refusals > 0)
                    .map(|eval| (eval.id, eval.plan_refusals))
                    .collect();
                memory.for_every_node = facts::jobs(state)
                    .filter(|job| is_for_every_node(&job.version.job))
                    .map(|job| job.key.clone())
                    .collect();
                for node in state.nodes() {
                    wake(NodeLoopKey::Node(node.id), now, 1);
                }
            }
            News::Keys(keys) => {
                for key in keys {
                    memory.take_in(state, key);
                    match key {
                        Key::Node(id)
                        | Key::NodeAlive(id)
                        | Key::NodeStatus(id)
                        | Key::NodeControl(id) => {
                            wake(NodeLoopKey::Node(*id), now, 1);
                        }
                        Key::Eval(id) => self.notice_eval(memory, state, *id, now, wake),
                        _ => {}
                    }
                }
            }
        }
        for id in memory.gains.take_due(state) {
            let priority = state.eval(id).map_or(0, |eval| eval.priority);
            wake(NodeLoopKey::Blocked(id), now, -100 + priority);
        }
    }

    fn missed(&self, memory: &mut NodeMemory, state: &State) {
        // A plan or an alloc that came and went meanwhile is in no difference: whatever it set free may be used.
        memory.gains.anywhere(state.revision());
    }

    fn lost_track(&self, memory: &mut NodeMemory) {
        memory.grace_until = None;
        memory.seen_alive = BTreeSet::new();
    }

    fn unreadable<'s>(&self, state: &'s State, key: &NodeLoopKey) -> Option<&'s Key> {
        match key {
            NodeLoopKey::Node(id) => state.unreadable_of_node(*id),
            NodeLoopKey::Blocked(_) => None,
        }
    }

    fn decide(&self, view: &View<'_, Self>, key: &NodeLoopKey, _: &mut StdRng) -> Decision {
        match key {
            NodeLoopKey::Node(id) => self.node(view, *id),
            NodeLoopKey::Blocked(id) => self.blocked(view, *id),
        }
    }
}

impl NodeLoop {
    fn notice_eval(
        &self,
        memory: &NodeMemory,
        state: &State,
        id: EvalId,
        now: UnixNanos,
        wake: &mut dyn FnMut(NodeLoopKey, UnixNanos, i32),
    ) {
        let Some(eval) = state.eval(id) else {
            return;
        };
        match eval.status {
            EvalStatus::Pending => return,
            EvalStatus::Blocked => {
                wake(NodeLoopKey::Blocked(id), now, -100 + eval.priority);
            }
            EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled => {}
        }
        // It may have been decided on before a node of the job's went down: also one that waits for room may have
        // placed a part.
        for alloc in state.allocs_of_job(&eval.job()) {
            let down = || {
                state
                    .node_status(alloc.node_id)
                    .is_some_and(|status| status.status == NodeState::Down)
            };
            if state.is_live(alloc) && down() {
                wake(NodeLoopKey::Node(alloc.node_id), now, 1);
            }
        }
        // Nor may it have seen nodes that came meanwhile.
        if memory.for_every_node.contains(&eval.job()) {
            for node in state.nodes() {
                if changed(state, node.id) > eval.snapshot {
                    wake(NodeLoopKey::Node(node.id), now, 1);
                }
            }
        }
    }
}

/// When what says whether a node takes allocs last changed.
fn changed(state: &State, id: NodeId) -> Revision {
    let node = state.node(id).map(|node| node.modify);
    let status = state.node_status(id).map(|status| status.modify);
    let control = state.node_control(id).map(|control| control.modify);
    node.max(status).max(control).unwrap_or_default()
}

/// Whether a node has no alloc of a group that every node is to have one of.
fn lacks(state: &State, id: NodeId, job: &ShownJob<'_>) -> bool {
    let mut lacking = scheduler::groups(&job.version.job);
    let once = job.version.job.job_type() == JobType::Sysbatch;
    for alloc in state.allocs_of_node(id) {
        let of_job = alloc.job_uid == job.registration.uid && alloc.job() == *job.key;
        let done = || {
            let client = state.status_of(alloc);
            once && scheduler::had_its_turn(alloc, client, job.registration.version)
        };
        if of_job && (state.is_live(alloc) || done()) {
            lacking.remove(&alloc.task_group);
        }
    }
    !lacking.is_empty()
}

#[cfg(test)]
mod tests;
