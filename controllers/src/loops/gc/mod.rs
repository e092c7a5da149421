//! `gc`: removes what is over and what nothing refers to, after a while; a purged job as soon as nothing of it runs.
//! Lets the store forget old revisions in small steps.
//!
//! It keeps the newest evaluation of a job that lives, because what that was decided on says which causes were seen.

mod job;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use rand::rngs::StdRng;
use rove_model::{
    alloc::DesiredStatus,
    ids::{AllocId, JobKey, NodeId, Revision, UnixNanos},
    node::NodeState,
};
use rove_store::{keys::Key, state::State};

use crate::{
    clock::SECOND,
    decision::{Decision, Require, Write},
    runtime::{Began, Loop, News, View},
};

/// How long things that are over are kept.
#[derive(Clone, Debug)]
pub struct GcSettings {
    /// Evaluations, and allocs that are over.
    pub eval: Duration,
    /// Jobs that are stopped or whose work is done.
    pub job: Duration,
    /// Deployments.
    pub deployment: Duration,
    /// Nodes that are down.
    pub node: Duration,
    /// History that watchers may come back to.
    pub history: Duration,
    /// The time between two compactions of the store.
    pub compaction: Duration,
    /// Revisions after which the store is compacted before that time.
    pub compaction_revisions: u64,
}

impl Default for GcSettings {
    fn default() -> Self {
        const HOUR: u64 = 3_600;
        Self {
            eval: Duration::from_secs(HOUR),
            job: Duration::from_secs(4 * HOUR),
            deployment: Duration::from_secs(HOUR),
            node: Duration::from_secs(24 * HOUR),
            history: Duration::from_secs(300),
            compaction: Duration::from_secs(60),
            compaction_revisions: 10_000,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct GcLoop {
    /// How long things are kept.
    pub settings: GcSettings,
}

/// What the loop looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GcKey {
    /// A job and all that belongs to it.
    Job(JobKey),
    /// A node.
    Node(NodeId),
    /// What a node said of an alloc.
    Status(NodeId, AllocId),
    /// The store's history.
    History,
}

impl fmt::Display for GcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job {job}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Status(node, alloc) => write!(f, "status of alloc {alloc} on node {node}"),
            Self::History => f.write_str("history"),
        }
    }
}

/// What the loop remembers of earlier looks.
#[derive(Debug, Default)]
pub struct GcMemory {
    /// When the store was at which revision.
    samples: VecDeque<(UnixNanos, Revision)>,
    /// Nodes of which something can't be read, so that nobody says when they went down; and since when that was seen.
    unreadable: BTreeMap<NodeId, UnixNanos>,
}

const JOB_IN_USE: &str = "job in use";
const JOB_WAITS: &str = "job waits for its allocs";
const JOB_REMOVED: &str = "job removed";
const ALLOCS_REMOVED: &str = "allocs removed";
const EVALS_REMOVED: &str = "evals removed";
const DEPLOYMENTS_REMOVED: &str = "deployments removed";
const VERSIONS_REMOVED: &str = "versions removed";
const NODE_IN_USE: &str = "node in use";
const NODE_DOWN: &str = "node not down for long";
const NODE_REMOVED: &str = "node removed";
const STATUS_IN_USE: &str = "status in use";
const STATUS_REMOVED: &str = "status of no alloc removed";
const HISTORY_KEPT: &str = "history kept";
const HISTORY_COMPACTED: &str = "history compacted";

/// Changes of a job are looked at together, since nothing waits for them.
const SOON: UnixNanos = SECOND / 5;

/// At most so many points in time are kept to compact at: the history over the interval, with room.
const SAMPLES: usize = 1_000;

fn nanos(duration: Duration) -> UnixNanos {
    UnixNanos::try_from(duration.as_nanos()).unwrap_or(UnixNanos::MAX)
}

fn after(at: UnixNanos, duration: Duration) -> UnixNanos {
    at.saturating_add(nanos(duration))
}

/// What there is of a node beside its sign of life and its secret.
fn of_node(id: NodeId) -> [Key; 3] {
    [Key::Node(id), Key::NodeStatus(id), Key::NodeControl(id)]
}

impl GcMemory {
    /// Notes whether all can be read that says what a node is.
    fn look_at(&mut self, state: &State, id: NodeId, now: UnixNanos) {
        if of_node(id).iter().any(|key| state.is_unreadable(key)) {
            self.unreadable.entry(id).or_insert(now);
        } else {
            self.unreadable.remove(&id);
        }
    }
}

impl GcLoop {
    fn node(&self, view: &View<'_, Self>, id: NodeId) -> Decision {
        let state = view.state;
        let status = state.node_status(id);
        let gone = state.node(id).is_none();
        let used = state.node_alive(id).is_some() || state.allocs_of_node(id).next().is_some();
        let down = status.filter(|status| status.status == NodeState::Down);
        let unreadable = view.memory.unreadable.get(&id).copied();
        if used || (down.is_none() && unreadable.is_none() && !gone) {
            return Decision::wait(NODE_IN_USE);
        }
        let since = unreadable.or(down.filter(|_| !gone).map(|down| down.since));
        if let Some(since) = since {
            let due = after(since, self.settings.node);
            if due > view.now {
                return Decision::at(NODE_DOWN, due);
            }
        }
        let mut writes: Vec<Write> = of_node(id)
            .into_iter()
            .filter_map(|key| {
                let modify = state.written_at(&key)?;
                Some(Write::Delete(key, modify))
            })
            .collect();
        if writes.is_empty() {
            return Decision::wait(NODE_IN_USE);
        }
        if !gone || unreadable.is_some() {
            writes.push(Write::Forget(Key::NodeSecret(id)));
        }
        Decision::write(NODE_REMOVED, writes).requiring([Require::Absent(Key::NodeAlive(id))])
    }

    fn status(view: &View<'_, Self>, node: NodeId, id: AllocId) -> Decision {
        let state = view.state;
        let used = state.alloc(id).is_some_and(|alloc| alloc.node_id == node);
        let writes: Vec<Write> = [Key::AllocStatus(node, id), Key::AllocControl(node, id)]
            .into_iter()
            .filter_map(|key| {
                // What is said of nothing goes, whether it can be read or not.
                let modify = state.written_at(&key)?;
                Some(Write::Delete(key, modify))
            })
            .collect();
        if used || writes.is_empty() {
            return Decision::wait(STATUS_IN_USE);
        }
        Decision::write(STATUS_REMOVED, writes).requiring([Require::Absent(Key::Alloc(node, id))])
    }

    fn history(&self, view: &View<'_, Self>) -> Decision {
        let samples = &view.memory.samples;
        let old_enough = view.now.saturating_sub(nanos(self.settings.history));
        let again = samples
            .iter()
            .find(|(at, _)| *at > old_enough)
            .map(|(at, _)| after(*at, self.settings.history))
            .map(|at| at.max(after(view.now, self.settings.compaction)));
        let newest = samples
            .iter()
            .take_while(|(at, _)| *at <= old_enough)
            .last();
        match newest {
            None => Decision::wait(HISTORY_KEPT).then_at(again),
            Some((_, revision)) => Decision {
                compact: Some(*revision),
                ..Decision::wait(HISTORY_COMPACTED).then_at(again)
            },
        }
    }

    fn wake_for(
        state: &State,
        key: &Key,
        now: UnixNanos,
        wake: &mut dyn FnMut(GcKey, UnixNanos, i32),
    ) {
        let soon = now + SOON;
        match key {
            Key::Registration(job) | Key::JobEvaluated(job) => {
                wake(GcKey::Job(job.clone()), soon, 0);
            }
            Key::JobVersion(version) => wake(GcKey::Job(version.job.clone()), soon, 0),
            Key::Eval(id) | Key::Plan(id) => {
                if let Some(eval) = state.eval(*id).filter(|eval| eval.status.is_terminal()) {
                    wake(GcKey::Job(eval.job()), soon, 0);
                }
            }
            Key::Deployment(id) => {
                if let Some(deployment) = state
                    .deployment(*id)
                    .filter(|deployment| !deployment.status.is_active())
                {
                    wake(GcKey::Job(deployment.job()), soon, 0);
                }
            }
            Key::Alloc(node, id) => match state.alloc(*id) {
                Some(alloc) if alloc.desired_status != DesiredStatus::Run => {
                    wake(GcKey::Job(alloc.job()), soon, 0);
                }
                Some(_) => {}
                None => {
                    wake(GcKey::Status(*node, *id), soon, 0);
                    wake(GcKey::Node(*node), soon, 0);
                }
            },
            Key::AllocStatus(node, id) | Key::AllocControl(node, id) => match state.alloc(*id) {
                Some(alloc) if state.client_status(*id).is_terminal() => {
                    wake(GcKey::Job(alloc.job()), soon, 0);
                }
                Some(_) => {}
                None => wake(GcKey::Status(*node, *id), soon, 0),
            },
            Key::Node(id) | Key::NodeAlive(id) | Key::NodeControl(id) => {
                wake(GcKey::Node(*id), soon, 0);
            }
            Key::NodeStatus(id) => {
                wake(GcKey::Node(*id), soon, 0);
                // What was to be stopped there is no longer waited for.
                for alloc in state.allocs_of_node(*id) {
                    if alloc.desired_status != DesiredStatus::Run {
                        wake(GcKey::Job(alloc.job()), soon, 0);
                    }
                }
            }
            Key::JobStable(_)
            | Key::JobCollected(_)
            | Key::NodeSecret(_)
            | Key::Server(_)
            | Key::Leader(_) => {}
        }
    }

    fn wake_all(state: &State, now: UnixNanos, wake: &mut dyn FnMut(GcKey, UnixNanos, i32)) {
        let mut job = |job: JobKey| wake(GcKey::Job(job), now, 0);
        for (key, _) in state.registrations() {
            job(key.clone());
        }
        for (key, _) in state.all_job_versions() {
            job(key.job.clone());
        }
        for (key, _) in state.all_evaluated() {
            job(key.clone());
        }
        state.evals().for_each(|eval| job(eval.job()));
        state.allocs().for_each(|alloc| job(alloc.job()));
        state
            .deployments()
            .for_each(|deployment| job(deployment.job()));
        for node in state.nodes() {
            wake(GcKey::Node(node.id), now, 0);
        }
        let said = state.alloc_statuses().map(|(node, id, _)| (node, id));
        let asked = state.alloc_controls().map(|(node, id, _)| (node, id));
        for (node, id) in said.chain(asked) {
            if state.alloc(id).is_none_or(|alloc| alloc.node_id != node) {
                wake(GcKey::Status(node, id), now, 0);
            }
        }
        for (key, _) in state.unreadable() {
            match key {
                Key::AllocStatus(node, id) | Key::AllocControl(node, id)
                    if state.alloc(*id).is_none() =>
                {
                    wake(GcKey::Status(*node, *id), now, 0);
                }
                Key::Node(id) | Key::NodeStatus(id) | Key::NodeControl(id) => {
                    wake(GcKey::Node(*id), now, 0);
                }
                _ => {}
            }
        }
    }

    fn sample(&self, memory: &mut GcMemory, state: &State, now: UnixNanos) -> bool {
        // Of before the clock was set back: by them nothing would be old enough until it comes there again.
        memory.samples.retain(|(at, _)| *at <= now);
        let due = memory.samples.back().is_none_or(|(at, revision)| {
            now >= after(*at, self.settings.compaction)
                || state.revision() >= revision.saturating_add(self.settings.compaction_revisions)
        });
        if due {
            memory.samples.push_back((now, state.revision()));
            let old = now.saturating_sub(nanos(self.settings.history));
            // The newest that is old enough is what the store is compacted to.
            while memory.samples.len() > SAMPLES
                || memory.samples.get(1).is_some_and(|(at, _)| *at <= old)
            {
                memory.samples.pop_front();
            }
        }
        due
    }
}

impl Loop for GcLoop {
    const NAME: &'static str = "gc";
    const BRANCHES: &'static [&'static str] = &[
        JOB_IN_USE,
        JOB_WAITS,
        JOB_REMOVED,
        ALLOCS_REMOVED,
        EVALS_REMOVED,
        DEPLOYMENTS_REMOVED,
        VERSIONS_REMOVED,
        NODE_IN_USE,
        NODE_DOWN,
        NODE_REMOVED,
        STATUS_IN_USE,
        STATUS_REMOVED,
        HISTORY_KEPT,
        HISTORY_COMPACTED,
    ];
    type Key = GcKey;
    type Memory = GcMemory;
    type Memo = ();

    fn begin(&self, _: Began) -> GcMemory {
        GcMemory::default()
    }

    fn notice(
        &self,
        memory: &mut GcMemory,
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(GcKey, UnixNanos, i32),
    ) {
        if self.sample(memory, state, now) {
            wake(GcKey::History, now, 0);
        }
        match news {
            News::Everything => {
                let known: Vec<_> = memory.unreadable.keys().copied().collect();
                let unreadable = state.unreadable().filter_map(|(key, _)| key.node());
                for id in unreadable.chain(known) {
                    memory.look_at(state, id, now);
                }
                Self::wake_all(state, now, wake);
            }
            News::Keys(keys) => {
                for key in keys {
                    if let Some(id) = key.node() {
                        memory.look_at(state, id, now);
                    }
                    Self::wake_for(state, key, now, wake);
                }
            }
        }
    }

    fn unreadable<'s>(&self, state: &'s State, key: &GcKey) -> Option<&'s Key> {
        match key {
            GcKey::Job(job) => state.unreadable_of_job(job),
            // What can't be read of a node goes with it; not so what may say that it lives.
            GcKey::Node(id) => state.unreadable_sign_of_node(*id),
            // What it says of an alloc that can't be read is not said of nothing.
            GcKey::Status(node, id) => state.unreadable_key(&Key::Alloc(*node, *id)),
            GcKey::History => None,
        }
    }

    fn decide(&self, view: &View<'_, Self>, key: &GcKey, _: &mut StdRng) -> Decision {
        match key {
            GcKey::Job(job) => self.job(view, job),
            GcKey::Node(id) => self.node(view, *id),
            GcKey::Status(node, id) => Self::status(view, *node, *id),
            GcKey::History => self.history(view),
        }
    }
}

#[cfg(test)]
mod tests;
