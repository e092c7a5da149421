//! `State`: the typed, indexed copy of the store that decisions and answers are made from.
//!
//! A `State` is the content of the keys at one revision and a function of it alone: how it came there, by a list or
//! event by event, makes no difference. It is a value: cloning costs a few counters, and a clone never changes.

mod apply;
mod feeder;
mod handle;
mod list;
mod rows;
#[cfg(test)]
mod tests;
mod unreadable;

use std::{ops::Deref, sync::Arc};

use imbl::OrdMap;
use rove_model::{
    alloc::{Alloc, AllocControl, ClientStatus, DesiredStatus, KnownStatus},
    deployment::Deployment,
    eval::Eval,
    ids::{AllocId, DeploymentId, EvalId, JobKey, JobUid, NodeId, Revision, VersionKey},
    node::{Eligibility, Node, NodeAlive, NodeControl, NodeState, NodeStatus},
    plan::Plan,
    registration::{JobCollected, JobEvaluated, JobStable, JobVersion, Registration},
    server::{Leadership, Server},
};
use uuid::Uuid;

pub use self::{
    feeder::{FeederConfig, StateFeeder},
    handle::{ChangeFeed, FeedItem, StateChange, StateHandle, StatePublisher, Stopped},
};
use self::{rows::Tables, unreadable::Unreadable};
use crate::keys::Keys;
pub use crate::keys::Table;

/// The revision of a store that nothing was ever written to.
pub const FIRST_REVISION: Revision = 1;

/// A value and the revisions of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T> {
    /// When the key came into being.
    pub create: Revision,
    /// When it was last written.
    pub modify: Revision,
    /// The value.
    pub value: T,
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

type Shared<T> = Arc<Stored<T>>;
type ById<K, T> = OrdMap<K, Shared<T>>;

/// What the store holds at one revision. Task events and placement metrics are left out (ask the store for
/// them): values of types that can't be written.
#[derive(Clone, Debug)]
pub struct State {
    keys: Keys,
    revision: Revision,
    changed: [Revision; Table::ALL.len()],
    tables: Tables,
    unreadable: Unreadable,
}

impl State {
    /// The state of an empty store, at revision 0.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            revision: 0,
            changed: [0; Table::ALL.len()],
            tables: Tables::default(),
            unreadable: Unreadable::default(),
        }
    }

    /// The layout of the keys it was read from.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The revision it stands at; 0 before anything was read.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The newest revision that changed a table, removals included: never below [`FIRST_REVISION`], so that whoever
    /// waits for a newer one waits.
    #[must_use]
    pub fn table_index(&self, table: Table) -> Revision {
        self.newest_of(&[table])
    }

    /// The newest revision that changed any of these tables, as [`State::table_index`].
    #[must_use]
    pub fn newest_of(&self, tables: &[Table]) -> Revision {
        tables
            .iter()
            .map(|&table| self.changed[table as usize])
            .fold(FIRST_REVISION, Revision::max)
    }

    /// A job's registration; a purged one is still there until it is collected.
    #[must_use]
    pub fn registration(&self, job: &JobKey) -> Option<&Arc<Stored<Registration>>> {
        self.tables.registrations.get(job)
    }

    /// Every registration, by namespace and id.
    pub fn registrations(&self) -> impl Iterator<Item = (&JobKey, &Arc<Stored<Registration>>)> {
        self.tables.registrations.iter()
    }

    /// One version of a job's specification.
    #[must_use]
    pub fn job_version(&self, key: &VersionKey) -> Option<&Arc<Stored<JobVersion>>> {
        self.tables.job_versions.get(key)
    }

    /// The version that a job's registration names.
    #[must_use]
    pub fn current_job(&self, job: &JobKey) -> Option<&Arc<Stored<JobVersion>>> {
        let registration = self.registration(job)?;
        self.job_version(&registration.version_key(job))
    }

    /// The JobModifyIndex: when the current version came into being. 0 for a job that isn't there.
    #[must_use]
    pub fn job_modify_index(&self, job: &JobKey) -> Revision {
        self.current_job(job).map_or(0, |version| version.create)
    }

    /// Every version of a job, of all its registrations, each oldest first.
    pub fn job_versions(
        &self,
        job: &JobKey,
    ) -> impl Iterator<Item = (&VersionKey, &Arc<Stored<JobVersion>>)> {
        let bound = |uid, version| VersionKey {
            job: job.clone(),
            uid: JobUid(uid),
            version,
        };
        self.tables
            .job_versions
            .range(bound(Uuid::nil(), 0)..=bound(Uuid::max(), u64::MAX))
    }

    /// Every version of every job.
    pub fn all_job_versions(
        &self,
    ) -> impl Iterator<Item = (&VersionKey, &Arc<Stored<JobVersion>>)> {
        self.tables.job_versions.iter()
    }

    /// The last evaluation made for a job.
    #[must_use]
    pub fn evaluated(&self, job: &JobKey) -> Option<&Arc<Stored<JobEvaluated>>> {
        self.tables.evaluated.get(job)
    }

    /// The last evaluation made for every job.
    pub fn all_evaluated(&self) -> impl Iterator<Item = (&JobKey, &Arc<Stored<JobEvaluated>>)> {
        self.tables.evaluated.iter()
    }

    /// Which versions of a job ran healthy.
    #[must_use]
    pub fn stable(&self, job: &JobKey) -> Option<&Arc<Stored<JobStable>>> {
        self.tables.stable.get(job)
    }

    /// Which versions of every job ran healthy.
    pub fn all_stable(&self) -> impl Iterator<Item = (&JobKey, &Arc<Stored<JobStable>>)> {
        self.tables.stable.iter()
    }

    /// Counts of a job's allocs that were collected.
    #[must_use]
    pub fn collected(&self, job: &JobKey) -> Option<&Arc<Stored<JobCollected>>> {
        self.tables.collected.get(job)
    }

    /// Counts of every job's allocs that were collected.
    pub fn all_collected(&self) -> impl Iterator<Item = (&JobKey, &Arc<Stored<JobCollected>>)> {
        self.tables.collected.iter()
    }

    /// An evaluation.
    #[must_use]
    pub fn eval(&self, id: EvalId) -> Option<&Arc<Stored<Eval>>> {
        self.tables.evals.by_id.get(&id)
    }

    /// Every evaluation, by id.
    pub fn evals(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<Eval>>> {
        self.tables.evals.by_id.values()
    }

    /// A job's evaluations, by id.
    pub fn evals_of_job(&self, job: &JobKey) -> impl Iterator<Item = &Arc<Stored<Eval>>> {
        self.tables
            .evals
            .by_job
            .get(job)
            .into_iter()
            .flat_map(OrdMap::values)
    }

    /// The plan of an evaluation.
    #[must_use]
    pub fn plan(&self, eval: EvalId) -> Option<&Arc<Stored<Plan>>> {
        self.tables.plans.get(&eval)
    }

    /// Every plan, by its evaluation.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<Stored<Plan>>> {
        self.tables.plans.values()
    }

    /// An alloc.
    #[must_use]
    pub fn alloc(&self, id: AllocId) -> Option<&Arc<Stored<Alloc>>> {
        self.tables.allocs.by_id.get(&id)
    }

    /// Every alloc, by id.
    pub fn allocs(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<Alloc>>> {
        self.tables.allocs.by_id.values()
    }

    /// How many allocs there are.
    #[must_use]
    pub fn alloc_count(&self) -> usize {
        self.tables.allocs.by_id.len()
    }

    /// A node's allocs, by id.
    pub fn allocs_of_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Stored<Alloc>>> {
        self.tables
            .allocs
            .by_node
            .range((node, AllocId(Uuid::nil()))..=(node, AllocId(Uuid::max())))
            .map(|(_, alloc)| alloc)
    }

    /// A job's allocs, by id.
    pub fn allocs_of_job(&self, job: &JobKey) -> impl Iterator<Item = &Arc<Stored<Alloc>>> {
        self.tables
            .allocs
            .by_job
            .get(job)
            .into_iter()
            .flat_map(OrdMap::values)
    }

    /// The allocs that an evaluation placed or last changed, by id.
    pub fn allocs_of_eval(&self, eval: EvalId) -> impl Iterator<Item = &Arc<Stored<Alloc>>> {
        self.tables
            .allocs
            .by_eval
            .range((eval, AllocId(Uuid::nil()))..=(eval, AllocId(Uuid::max())))
            .map(|(_, alloc)| alloc)
    }

    /// A deployment's allocs, by id.
    pub fn allocs_of_deployment(
        &self,
        deployment: DeploymentId,
    ) -> impl Iterator<Item = &Arc<Stored<Alloc>>> {
        self.tables
            .allocs
            .by_deployment
            .range((deployment, AllocId(Uuid::nil()))..=(deployment, AllocId(Uuid::max())))
            .map(|(_, alloc)| alloc)
    }

    /// What the agent of an alloc's node said of it last.
    #[must_use]
    pub fn alloc_status(&self, id: AllocId) -> Option<&Arc<Stored<KnownStatus>>> {
        let node = self.alloc(id)?.node_id;
        self.tables.alloc_statuses.get(&(node, id))
    }

    /// Every status, also of allocs that are gone.
    pub fn alloc_statuses(
        &self,
    ) -> impl Iterator<Item = (NodeId, AllocId, &Arc<Stored<KnownStatus>>)> {
        self.tables
            .alloc_statuses
            .iter()
            .map(|((node, id), status)| (*node, *id, status))
    }

    /// What was asked of an alloc.
    #[must_use]
    pub fn alloc_control(&self, id: AllocId) -> Option<&Arc<Stored<AllocControl>>> {
        let node = self.alloc(id)?.node_id;
        self.tables.alloc_controls.get(&(node, id))
    }

    /// Everything asked of allocs, also of those that are gone.
    pub fn alloc_controls(
        &self,
    ) -> impl Iterator<Item = (NodeId, AllocId, &Arc<Stored<AllocControl>>)> {
        self.tables
            .alloc_controls
            .iter()
            .map(|((node, id), control)| (*node, *id, control))
    }

    /// An alloc's status as it is shown and decided on: lost over the agent's last word once it was declared lost,
    /// pending while its agent has said nothing.
    #[must_use]
    pub fn client_status(&self, id: AllocId) -> ClientStatus {
        self.alloc(id)
            .map_or(ClientStatus::Pending, |alloc| self.status_of(alloc))
    }

    /// Whether an alloc is wanted and its tasks are not over.
    #[must_use]
    pub fn is_live(&self, alloc: &Alloc) -> bool {
        alloc.desired_status == DesiredStatus::Run && !self.status_of(alloc).is_terminal()
    }

    /// Whether a node is ready, and nobody keeps new allocs from it.
    #[must_use]
    pub fn takes_allocs(&self, node: NodeId) -> bool {
        self.node_status(node)
            .is_some_and(|status| status.status == NodeState::Ready)
            && self
                .node_control(node)
                .is_none_or(|control| control.scheduling_eligibility == Eligibility::Eligible)
    }

    /// [`State::client_status`] of an alloc that is at hand.
    #[must_use]
    pub fn status_of(&self, alloc: &Alloc) -> ClientStatus {
        if alloc.desired_status == DesiredStatus::Lost {
            return ClientStatus::Lost;
        }
        self.tables
            .alloc_statuses
            .get(&(alloc.node_id, alloc.id))
            .map_or(ClientStatus::Pending, |status| status.client_status)
    }

    /// A node's fingerprint.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Stored<Node>>> {
        self.tables.nodes.get(&id)
    }

    /// Every node, by id.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<Node>>> {
        self.tables.nodes.values()
    }

    /// A node's sign of life.
    #[must_use]
    pub fn node_alive(&self, id: NodeId) -> Option<&Arc<Stored<NodeAlive>>> {
        self.tables.nodes_alive.get(&id)
    }

    /// What the servers think of a node.
    #[must_use]
    pub fn node_status(&self, id: NodeId) -> Option<&Arc<Stored<NodeStatus>>> {
        self.tables.node_statuses.get(&id)
    }

    /// What was asked of a node.
    #[must_use]
    pub fn node_control(&self, id: NodeId) -> Option<&Arc<Stored<NodeControl>>> {
        self.tables.node_controls.get(&id)
    }

    /// A deployment.
    #[must_use]
    pub fn deployment(&self, id: DeploymentId) -> Option<&Arc<Stored<Deployment>>> {
        self.tables.deployments.by_id.get(&id)
    }

    /// Every deployment, by id.
    pub fn deployments(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<Deployment>>> {
        self.tables.deployments.by_id.values()
    }

    /// A job's deployments, by id.
    pub fn deployments_of_job(
        &self,
        job: &JobKey,
    ) -> impl Iterator<Item = &Arc<Stored<Deployment>>> {
        self.tables
            .deployments
            .by_job
            .get(job)
            .into_iter()
            .flat_map(OrdMap::values)
    }

    /// Every server that is there, by name.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Stored<Server>>> {
        self.tables.servers.values()
    }

    /// Who runs a loop.
    #[must_use]
    pub fn leader(&self, name: &str) -> Option<&Arc<Stored<Leadership>>> {
        self.tables.leaders.get(name)
    }

    /// Every election that is held, by the loop's name.
    pub fn leaders(&self) -> impl Iterator<Item = (&String, &Arc<Stored<Leadership>>)> {
        self.tables.leaders.iter()
    }
}
