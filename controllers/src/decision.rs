//! What a loop decided: which keys to write on which conditions, and when to look again. Plain values, so that a
//! decision can be made and checked without a store.

use rove_model::{
    alloc::{Alloc, PlacedAlloc},
    deployment::Deployment,
    encoding::{EncodingError, encode},
    eval::Eval,
    ids::{Revision, UnixNanos},
    node::NodeStatus,
    plan::Plan,
    registration::{JobCollected, JobEvaluated, JobStable},
};
use rove_store::{
    keys::{Key, Keys},
    store::Compare,
};

/// A value that a loop writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// Of the job loop.
    JobEvaluated(JobEvaluated),
    /// Of the deployment loop.
    JobStable(JobStable),
    /// Of gc.
    JobCollected(JobCollected),
    /// Of the loop that asks, then the scheduler and the applier.
    Eval(Box<Eval>),
    /// Of the scheduler.
    Plan(Box<Plan>),
    /// Of the applier, when it is placed; it is changed by [`Write::UpdateAlloc`].
    Alloc(Box<PlacedAlloc>),
    /// Of the node loop.
    NodeStatus(NodeStatus),
    /// Of the applier and the deployment loop.
    Deployment(Box<Deployment>),
}

impl Object {
    /// The bytes to store.
    ///
    /// # Errors
    /// When it is too large.
    pub fn encode(&self) -> Result<Vec<u8>, EncodingError> {
        match self {
            Self::JobEvaluated(value) => encode(value),
            Self::JobStable(value) => encode(value),
            Self::JobCollected(value) => encode(value),
            Self::Eval(value) => encode(value),
            Self::Plan(value) => encode(value),
            Self::Alloc(value) => encode(value),
            Self::NodeStatus(value) => encode(value),
            Self::Deployment(value) => encode(value),
        }
    }
}

/// One write, with what it was decided on.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The key is absent.
    Create(Key, Object),
    /// The key was last written at that revision.
    Update(Key, Object, Revision),
    /// As an update, of an alloc. What the scheduler saw of it stays as it is stored: State does not have it.
    UpdateAlloc(Key, Box<Alloc>, Revision),
    /// The key was last written at that revision.
    Delete(Key, Revision),
    /// Removed whatever it holds; for what State does not keep.
    Forget(Key),
}

impl Write {
    /// The key it writes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Create(key, _)
            | Self::Update(key, _, _)
            | Self::UpdateAlloc(key, _, _)
            | Self::Delete(key, _)
            | Self::Forget(key) => key,
        }
    }

    /// The condition that it was decided on.
    #[must_use]
    pub fn compare(&self, keys: &Keys) -> Option<Compare> {
        let key = keys.encode(self.key());
        match self {
            Self::Create(..) => Some(Compare::absent(key)),
            Self::Update(_, _, revision)
            | Self::UpdateAlloc(_, _, revision)
            | Self::Delete(_, revision) => Some(Compare::unchanged(key, *revision)),
            Self::Forget(_) => None,
        }
    }

    /// Creates an alloc.
    #[must_use]
    pub fn new_alloc(alloc: PlacedAlloc) -> Self {
        Self::Create(
            Key::Alloc(alloc.node_id, alloc.id),
            Object::Alloc(Box::new(alloc)),
        )
    }

    /// Writes an alloc that was last written at `revision`.
    #[must_use]
    pub fn alloc(alloc: Alloc, revision: Revision) -> Self {
        Self::UpdateAlloc(
            Key::Alloc(alloc.node_id, alloc.id),
            Box::new(alloc),
            revision,
        )
    }

    /// Creates an evaluation.
    #[must_use]
    pub fn new_eval(eval: Eval) -> Self {
        Self::Create(Key::Eval(eval.id), Object::Eval(Box::new(eval)))
    }

    /// Writes an evaluation that was last written at `revision`.
    #[must_use]
    pub fn eval(eval: Eval, revision: Revision) -> Self {
        Self::Update(Key::Eval(eval.id), Object::Eval(Box::new(eval)), revision)
    }

    /// Writes a deployment that was last written at `revision`.
    #[must_use]
    pub fn deployment(deployment: Deployment, revision: Revision) -> Self {
        Self::Update(
            Key::Deployment(deployment.id),
            Object::Deployment(Box::new(deployment)),
            revision,
        )
    }
}

/// A key that is not written but that the decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Require {
    /// Last written at that revision.
    Unchanged(Key, Revision),
    /// Not there.
    Absent(Key),
}

impl Require {
    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Unchanged(key, _) | Self::Absent(key) => key,
        }
    }

    /// As a condition of a transaction.
    #[must_use]
    pub fn compare(&self, keys: &Keys) -> Compare {
        match self {
            Self::Unchanged(key, revision) => Compare::unchanged(keys.encode(key), *revision),
            Self::Absent(key) => Compare::absent(keys.encode(key)),
        }
    }
}

/// What to write. One transaction when it fits into one; else the groups of `first`, then `groups`, each in any order,
/// and `last` when all of them are there. A group is never torn apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Conditions of every transaction.
    pub requires: Vec<Require>,
    /// Groups that others build on.
    pub first: Vec<Vec<Write>>,
    /// Writes that belong together.
    pub groups: Vec<Vec<Write>>,
    /// What says that all is done.
    pub last: Vec<Write>,
    /// A key that is required unchanged and that is written anew, as it is, when an answer was lost: what is still on its
    /// way is refused then. For a decision that must not be done beside those that are made once its outcome is known.
    pub seal: Option<Key>,
}

impl Commit {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes().next().is_none()
    }

    /// Every write.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.first
            .iter()
            .chain(&self.groups)
            .flatten()
            .chain(&self.last)
    }
}

/// When to look at a key again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// When something changes.
    OnChange,
    /// Then, or earlier when something changes.
    At(UnixNanos),
    /// When a decision that is under way has become visible.
    WhenSettled,
}

/// What a loop decided for one key. `M` is what other decisions need to know of it before it is visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<M = ()> {
    /// Which way the decision took, one of the loop's `BRANCHES`.
    pub branch: &'static str,
    /// What to write.
    pub commit: Commit,
    /// What decisions on an older state are told of this one.
    pub memo: Option<M>,
    /// When to look again.
    pub again: Again,
    /// Let the store forget what is older than this revision.
    pub compact: Option<Revision>,
}

impl<M> Decision<M> {
    /// Nothing to write until something changes.
    #[must_use]
    pub fn wait(branch: &'static str) -> Self {
        Self {
            branch,
            commit: Commit::default(),
            memo: None,
            again: Again::OnChange,
            compact: None,
        }
    }

    /// Nothing to write before `at`.
    #[must_use]
    pub fn at(branch: &'static str, at: UnixNanos) -> Self {
        Self {
            again: Again::At(at),
            ..Self::wait(branch)
        }
    }

    /// Writes all of `writes` together, or in any order when they don't fit one transaction.
    #[must_use]
    pub fn write(branch: &'static str, writes: Vec<Write>) -> Self {
        Self {
            commit: Commit {
                last: writes,
                ..Commit::default()
            },
            ..Self::wait(branch)
        }
    }

    /// Also rests on `requires`.
    #[must_use]
    pub fn requiring(mut self, requires: impl IntoIterator<Item = Require>) -> Self {
        self.commit.requires.extend(requires);
        self
    }

    /// Looks again then, when nothing changes before.
    #[must_use]
    pub fn then_at(mut self, at: Option<UnixNanos>) -> Self {
        if let Some(at) = at {
            self.again = Again::At(at);
        }
        self
    }
}
