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
    loops::asking::{asks_for_eval, derived_id, new_eval, woken},
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
    blocked: BTreeSet<EvalId>,
    /// The jobs that every node is to have allocs of.
    for_every_node: BTreeSet<JobKey>,
    /// The newest gain that may be anywhere.
    gain: Revision,
    /// The newest gain by class.
    gains: BTreeMap<String, Revision>,
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
        let mut evals = jobs
            .iter()
            .filter(|job| asks_for_eval(state, job, cause, view.now))
            .filter_map(|job| {
                let eval_id = derived_id(&[
                    b"node-update",
                    id.0.as_bytes(),
                    &cause.to_be_bytes(),
                    job.to_string().as_bytes(),
                ]);
                let mut eval = new_eval(state, job, eval_id, TriggeredBy::NodeUpdate, view.now)?;
                eval.node_id = Some(id);
                state.eval(eval_id).is_none().then(|| Write::new_eval(eval))
            });
        let now: Vec<Write> = evals.by_ref().take(JOBS_AT_ONCE).collect();
        if now.is_empty() {
            return Decision::wait(STAYS_DOWN);
        }
        let mut decision = Decision::write(AFFECTED, now);
        if evals.next().is_some() {
            // Nothing else would say that there are more.
            decision.again = Again::WhenSettled;
        }
        decision
    }

    /// The node is ready: each job that every node is to have and that it lacks is to be looked at.
    fn lacking(&self, view: &View<'_, Self>, id: NodeId) -> Decision {
        let state = view.state;
        let Some(node) = state.node(id).filter(|_| state.takes_allocs(id)) else {
            return Decision::wait(WELL);
        };
        let cause = changed(state, id);
        let mut evals = view.memory.for_every_node.iter().filter_map(|key| {
            let job = facts::job(state, key)?;
            let asks = !job.registration.stop
                && may_use(&job.version.job, node)
                && lacks(state, id, &job)
                && asks_for_eval(state, key, cause, view.now);
            if !asks {
                return None;
            }
            let eval_id = derived_id(&[
                b"node-ready",
                id.0.as_bytes(),
                &cause.to_be_bytes(),
                key.to_string().as_bytes(),
            ]);
            let mut eval = new_eval(state, key, eval_id, TriggeredBy::NodeUpdate, view.now)?;
            eval.node_id = Some(id);
            state.eval(eval_id).is_none().then(|| Write::new_eval(eval))
        });
        let now: Vec<Write> = evals.by_ref().take(JOBS_AT_ONCE).collect();
        if now.is_empty() {
            return Decision::wait(WELL);
        }
        let mut decision = Decision::write(LACKING, now);
        if evals.next().is_some() {
            // Nothing else would say that there are more.
            decision.again = Again::WhenSettled;
        }
        decision
    }

    fn blocked(&self, view: &View<'_, Self>, id: EvalId) -> Decision {
        let Some(eval) = view
            .state
            .eval(id)
            .filter(|eval| eval.status == EvalStatus::Blocked)
        else {
            return Decision::wait(NOT_BLOCKED);
        };
        let memory = view.memory;
        let gain = memory
            .gains
            .iter()
            .filter(|(class, _)| eval.class_eligibility.get(*class) != Some(&false))
            .map(|(_, revision)| *revision)
            .max()
            .unwrap_or_default()
            .max(memory.gain);
        // The refused plans before it gave their room back until it came into being.
        let seen = match eval.triggered_by {
            TriggeredBy::MaxPlanAttempts => eval.snapshot.max(eval.create),
            _ => eval.snapshot,
        };
        if gain <= seen {
            return Decision::wait(NO_GAIN);
        }
        Decision::write(WOKEN, vec![woken(eval, view.now)])
    }
}

impl NodeMemory {
    fn gained(&mut self, state: &State, node: NodeId, revision: Revision) -> bool {
        match state.node(node).filter(|_| state.takes_allocs(node)) {
            // As the scheduler names it, which an agent of another version may do otherwise.
            Some(node) => {
                let newest = self.gains.entry(node.compute_class()).or_default();
                let grew = revision > *newest;
                *newest = revision.max(*newest);
                grew
            }
            None => false,
        }
    }

    /// Takes one changed key in. Whether room may have come free.
    fn take_in(&mut self, state: &State, key: &Key) -> bool {
        match key {
            Key::NodeAlive(id) => {
                if state.node_alive(*id).is_some() {
                    self.seen_alive.insert(*id);
                }
                false
            }
            Key::Node(id) => state
                .node(*id)
                .is_some_and(|node| self.gained(state, *id, node.modify)),
            Key::NodeStatus(id) => state
                .node_status(*id)
                .is_some_and(|status| self.gained(state, *id, status.modify)),
            Key::NodeControl(id) => self.gained(state, *id, state.revision()),
            Key::Alloc(node, id) => state
                .alloc(*id)
                .filter(|alloc| alloc.desired_status != DesiredStatus::Run)
                .is_some_and(|alloc| self.gained(state, *node, alloc.modify)),
            Key::AllocStatus(node, id) => state
                .alloc_status(*id)
                .filter(|status| status.client_status.is_terminal())
                .is_some_and(|status| self.gained(state, *node, status.modify)),
            // A plan whose eval goes again or was given up was refused: the room it held is free, wherever it was.
            Key::Plan(id) => {
                let refused = state.plan(*id).is_none()
                    && state.eval(*id).is_some_and(|eval| {
                        matches!(eval.status, EvalStatus::Pending | EvalStatus::Failed)
                    });
                if refused {
                    self.gain = state.revision();
                }
                refused
            }
            Key::Registration(job) => {
                let is_one =
                    facts::job(state, job).is_some_and(|job| is_for_every_node(&job.version.job));
                if is_one {
                    self.for_every_node.insert(job.clone());
                } else {
                    self.for_every_node.remove(job);
                }
                false
            }
            Key::Eval(id) => {
                match state.eval(*id) {
                    Some(eval) if eval.status == EvalStatus::Blocked => {
                        self.blocked.insert(*id);
                    }
                    _ => {
                        self.blocked.remove(id);
                    }
                }
                false
            }
            _ => false,
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
            blocked: BTreeSet::new(),
            for_every_node: BTreeSet::new(),
            gain: 0,
            gains: BTreeMap::new(),
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
        let gained = match news {
            News::Everything => {
                let grace = UnixNanos::try_from(self.grace.as_nanos()).unwrap_or(UnixNanos::MAX);
                memory.grace_until = Some(now.saturating_add(grace));
                memory.seen_alive = state
                    .nodes()
                    .map(|node| node.id)
                    .filter(|id| state.node_alive(*id).is_some())
                    .collect();
                // What was gained before is not known: each blocked eval is woken once.
                memory.gain = memory.began.revision.max(state.revision());
                memory.blocked = state
                    .evals()
                    .filter(|eval| eval.status == EvalStatus::Blocked)
                    .map(|eval| eval.id)
                    .collect();
                memory.for_every_node = facts::jobs(state)
                    .filter(|job| is_for_every_node(&job.version.job))
                    .map(|job| job.key.clone())
                    .collect();
                for node in state.nodes() {
                    wake(NodeLoopKey::Node(node.id), now, 1);
                }
                true
            }
            News::Keys(keys) => {
                let mut gained = false;
                for key in keys {
                    gained |= memory.take_in(state, key);
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
                gained
            }
        };
        if gained {
            for id in &memory.blocked {
                let priority = state.eval(*id).map_or(0, |eval| eval.priority);
                wake(NodeLoopKey::Blocked(*id), now, -100 + priority);
            }
        }
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
        let had_its_turn = once && alloc.job_version == job.registration.version;
        if of_job && (state.is_live(alloc) || had_its_turn) {
            lacking.remove(&alloc.task_group);
        }
    }
    !lacking.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::{
        alloc::ClientStatus,
        node::{Eligibility, NodeAlive, NodeControl},
    };

    use super::*;
    use crate::{
        clock::SECOND,
        loops::testing::{World, decide_with},
    };

    const LOOP: NodeLoop = NodeLoop {
        grace: Duration::from_secs(10),
        #[cfg(feature = "sabotage")]
        sabotage: None,
    };

    fn memory(world: &World) -> NodeMemory {
        let mut memory = LOOP.begin(Began {
            revision: world.state.revision(),
            at: world.now,
        });
        LOOP.notice(
            &mut memory,
            &world.state,
            News::Everything,
            world.now,
            &mut |_, _, _| {},
        );
        memory
    }

    fn look(world: &World, memory: &NodeMemory, key: NodeLoopKey) -> Decision {
        decide_with(&LOOP, world, memory, &key)
    }

    fn news(world: &World, memory: &mut NodeMemory, keys: &[Key]) {
        LOOP.notice(
            memory,
            &world.state,
            News::Keys(keys),
            world.now,
            &mut |_, _, _| {},
        );
    }

    #[test]
    fn a_node_is_ready_with_its_sign_of_life_and_down_without() {
        let mut world = World::new();
        let id = world.node_without_life(1);
        let key = NodeLoopKey::Node(id);
        let mut memory = memory(&world);
        assert_eq!(look(&world, &memory, key).branch, NOT_YET);
        for (alive, branch, then) in [
            (true, READY, WELL),
            (false, DOWN, STAYS_DOWN),
            (true, BACK, WELL),
        ] {
            if alive {
                world
                    .state
                    .put(&Key::NodeAlive(id), &NodeAlive { since: 0 })
                    .unwrap();
            } else {
                world.state.delete(&Key::NodeAlive(id));
            }
            news(&world, &mut memory, &[Key::NodeAlive(id)]);
            let decision = look(&world, &memory, key);
            assert_eq!(decision.branch, branch);
            world.apply(&decision);
            assert_eq!(look(&world, &memory, key).branch, then);
        }
        assert_eq!(world.state.node_status(id).unwrap().events.len(), 3);
    }

    #[test]
    fn a_new_leader_gives_a_node_it_has_not_seen_time_to_come_back() {
        let mut world = World::new();
        let id = world.node(1);
        world.state.delete(&Key::NodeAlive(id));
        let memory = memory(&world);
        let decision = look(&world, &memory, NodeLoopKey::Node(id));
        assert_eq!(decision, Decision::at(GRACE, world.now + 10 * SECOND));
        world.now += 10 * SECOND;
        assert_eq!(look(&world, &memory, NodeLoopKey::Node(id)).branch, DOWN);
    }

    #[test]
    fn each_job_on_a_lost_node_gets_one_eval() {
        let mut world = World::new();
        let (a, b) = (world.placed("a", 3), world.placed("b", 1));
        let done = world.placed("done", 1);
        for alloc in world.allocs(&done) {
            world.status(alloc, ClientStatus::Complete);
        }
        let id = world.state.nodes().next().unwrap().id;
        let mut memory = memory(&world);
        world.state.delete(&Key::NodeAlive(id));
        news(&world, &mut memory, &[Key::NodeAlive(id)]);
        let down = look(&world, &memory, NodeLoopKey::Node(id));
        assert_eq!(down.branch, DOWN);
        world.apply(&down);
        let decision = look(&world, &memory, NodeLoopKey::Node(id));
        assert_eq!(decision.branch, AFFECTED);
        assert_eq!(decision.commit.writes().count(), 2);
        world.apply(&decision);
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Node(id)).branch,
            STAYS_DOWN
        );
        // Decided on, and still something there: the scheduler has its reasons, and is not asked again.
        for job in [&a, &b] {
            world.complete_evals(job);
        }
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Node(id)).branch,
            STAYS_DOWN
        );
    }

    #[test]
    fn every_job_on_a_lost_node_gets_its_eval_however_many_there_are() {
        let mut world = World::new();
        let jobs = 2 * JOBS_AT_ONCE + 50;
        for number in 0..jobs {
            world.placed(&format!("job-{number}"), 1);
        }
        let id = world.state.nodes().next().unwrap().id;
        let mut memory = memory(&world);
        world.state.delete(&Key::NodeAlive(id));
        news(&world, &mut memory, &[Key::NodeAlive(id)]);
        let down = look(&world, &memory, NodeLoopKey::Node(id));
        world.apply(&down);
        let mut made = Vec::new();
        loop {
            let decision = look(&world, &memory, NodeLoopKey::Node(id));
            assert_eq!(decision.branch, AFFECTED);
            made.push(decision.commit.writes().count());
            world.apply(&decision);
            if decision.again == Again::OnChange {
                break;
            }
        }
        assert_eq!(made, [JOBS_AT_ONCE, JOBS_AT_ONCE, 50]);
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Node(id)).branch,
            STAYS_DOWN
        );
    }

    #[test]
    fn a_blocked_eval_is_woken_by_newer_room_in_a_class_it_did_not_rule_out() {
        let mut world = World::new();
        let node = world.node(1);
        let job = world.register("big", 1);
        let eval = world.block(&job, [("other", false)]);
        let mut memory = memory(&world);
        memory.gain = 0;
        let key = NodeLoopKey::Blocked(eval);
        assert_eq!(look(&world, &memory, key).branch, NO_GAIN);

        let status = world.state.node_status(node).unwrap().value.clone();
        world.state.put(&Key::NodeStatus(node), &status).unwrap();
        news(&world, &mut memory, &[Key::NodeStatus(node)]);
        let decision = look(&world, &memory, key);
        assert_eq!(decision.branch, WOKEN);
        world.apply(&decision);
        assert_eq!(look(&world, &memory, key).branch, NOT_BLOCKED);

        let class = world.state.node(node).unwrap().compute_class();
        let ruled_out = world.block(&job, [(class.as_str(), false)]);
        world.state.put(&Key::NodeStatus(node), &status).unwrap();
        news(&world, &mut memory, &[Key::NodeStatus(node)]);
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Blocked(ruled_out)).branch,
            NO_GAIN
        );
    }

    #[test]
    fn what_was_decided_before_a_node_went_down_is_looked_at_again_however_the_eval_stands() {
        for status in [
            EvalStatus::Complete,
            EvalStatus::Blocked,
            EvalStatus::Failed,
            EvalStatus::Canceled,
        ] {
            let mut world = World::new();
            let node = world.node(1);
            let job = world.register("web", 2);
            world.ask(&job);
            world.complete_evals(&job);
            let id = world.block(&job, []);
            let mut memory = memory(&world);
            let mut eval = world.state.eval(id).unwrap().value.clone();
            // Woken, and decided on while the node was well.
            eval.snapshot = world.state.revision();
            world.node_status(node, NodeState::Down);
            world.state.delete(&Key::NodeAlive(node));
            let down = NodeLoopKey::Node(node);
            assert_eq!(look(&world, &memory, down).branch, STAYS_DOWN);
            let alloc = world.new_alloc(&job, node, 0);
            let placed = Key::Alloc(node, alloc.id);
            world.state.put(&placed, &alloc).unwrap();
            eval.status = status;
            world.state.put(&Key::Eval(id), &eval).unwrap();

            let mut woken = BTreeSet::new();
            LOOP.notice(
                &mut memory,
                &world.state,
                News::Keys(&[placed, Key::Eval(id)]),
                world.now,
                &mut |key, _, _| {
                    woken.insert(key);
                },
            );
            assert!(woken.contains(&down), "{status:?}: {woken:?}");
            let decision = look(&world, &memory, down);
            assert_eq!(decision.branch, AFFECTED, "{status:?}");
        }
    }

    #[test]
    fn a_job_of_every_node_is_looked_at_once_for_a_node_that_lacks_it() {
        for kind in ["system", "sysbatch", "service"] {
            let every_node = kind != "service";
            let mut world = World::new();
            let first = world.node(1);
            let job = world.placed("agent", 1);
            world.change_job(&job, |job| job.type_name = kind.to_owned());
            let mut memory = memory(&world);
            let (first, second) = (NodeLoopKey::Node(first), NodeLoopKey::Node(world.node(2)));
            let wants = |world: &World, memory: &NodeMemory, node| {
                let decision = look(world, memory, node);
                (decision.branch == LACKING).then_some(decision)
            };
            assert!(
                wants(&world, &memory, first).is_none(),
                "{kind}: it has one"
            );
            let decision = wants(&world, &memory, second);
            assert_eq!(decision.is_some(), every_node, "{kind}");
            let Some(decision) = decision else { continue };
            assert_eq!(decision.commit.writes().count(), 1, "{kind}");
            world.apply(&decision);
            assert!(
                wants(&world, &memory, second).is_none(),
                "{kind}: it is due"
            );

            // It was decided on before the node came: that is noticed when it ends.
            let NodeLoopKey::Node(id) = second else {
                unreachable!()
            };
            let pending = world
                .state
                .evals_of_job(&job)
                .find(|eval| eval.status == EvalStatus::Pending);
            let mut eval = pending.unwrap().value.clone();
            (eval.status, eval.snapshot) = (EvalStatus::Complete, changed(&world.state, id) - 1);
            world.state.put(&Key::Eval(eval.id), &eval).unwrap();
            let mut woken = BTreeSet::new();
            let ended = [Key::Eval(eval.id)];
            LOOP.notice(
                &mut memory,
                &world.state,
                News::Keys(&ended),
                world.now,
                &mut |key, _, _| {
                    woken.insert(key);
                },
            );
            assert!(woken.contains(&second), "{kind}: {woken:?}");

            eval.snapshot = world.state.revision();
            world.state.put(&Key::Eval(eval.id), &eval).unwrap();
            assert!(
                wants(&world, &memory, second).is_none(),
                "{kind}: it was decided on"
            );
            // Closed and opened again.
            for (eligibility, asks) in [
                (Eligibility::Ineligible, false),
                (Eligibility::Eligible, true),
            ] {
                let control = NodeControl {
                    scheduling_eligibility: eligibility,
                };
                world.state.put(&Key::NodeControl(id), &control).unwrap();
                assert_eq!(
                    wants(&world, &memory, second).is_some(),
                    asks,
                    "{kind} {eligibility:?}"
                );
            }
            world.stop(&job, false);
            assert!(
                wants(&world, &memory, second).is_none(),
                "{kind}: it is stopped"
            );
        }
    }

    #[test]
    fn a_new_leader_wakes_each_blocked_eval_once() {
        let mut world = World::new();
        world.node(1);
        let job = world.register("big", 1);
        let eval = world.block(&job, []);
        let memory = memory(&world);
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Blocked(eval)).branch,
            WOKEN
        );
        let again = world.block(&job, []);
        assert_eq!(
            look(&world, &memory, NodeLoopKey::Blocked(again)).branch,
            NO_GAIN
        );
    }
}
