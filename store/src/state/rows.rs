//! How the state holds its tables: one field for each row of [`crate::tables`], so that none can be forgotten where a
//! value is taken in, removed, found again or compared with another list's.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

use imbl::{OrdMap, ordmap::DiffItem};
use rove_model::{
    alloc::{Alloc, AllocControl, KnownStatus},
    deployment::Deployment,
    encoding::{EncodingError, decode},
    eval::Eval,
    ids::{AllocId, DeploymentId, EvalId, JobId, JobKey, Namespace, NodeId, Revision, VersionKey},
    node::{Node, NodeAlive, NodeControl, NodeStatus},
    plan::Plan,
    registration::{JobCollected, JobEvaluated, JobStable, JobVersion, Registration},
    server::{Leadership, Server},
};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{ById, Shared, Stored};
use crate::{keys::Key, store::KeyValue, tables::every_table};

/// Why a stored value is not taken in.
#[derive(Debug, Error)]
pub(super) enum NotTaken {
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    #[error("the value is not that of its key")]
    OtherKey,
}

/// The values of one table.
pub(super) trait Rows {
    /// What of a key tells its values apart.
    type Id;
    /// What is held.
    type Value: DeserializeOwned;

    /// The value of `kv` as it is held, or nothing where none is.
    fn read(kv: &KeyValue) -> Result<Option<Stored<Self::Value>>, NotTaken> {
        Ok(Some(Stored {
            create: kv.create_revision,
            modify: kv.mod_revision,
            value: decode(&kv.value)?,
        }))
    }

    /// Holds a value in the place of the one before.
    fn put(&mut self, id: Self::Id, value: Shared<Self::Value>);

    /// Drops a value, if it is there.
    fn remove(&mut self, id: &Self::Id);

    /// The revisions at which a key came into being and was last written.
    fn revisions(&self, id: &Self::Id) -> Option<(Revision, Revision)>;

    /// Every id that is in one of two alone, or whose value differs, in order.
    fn differing(&self, other: &Self, found: &mut dyn FnMut(&Self::Id));
}

/// The parts of an id as a tuple: an id of one part is none yet.
macro_rules! wrapped {
    ($one:ident; $id:expr) => {
        ($id,)
    };
    ($one:ident, $two:ident; $id:expr) => {
        $id
    };
}

macro_rules! rows {
    ($(
        $(#[doc = $doc:literal])+
        $table:ident, $key:ident($($part:ident: $Part:ty),+) = $segment:literal {
            owner: $owner:ident,
            state: $field:ident: $Rows:ty,
            take: $take:ident,
            about: $about:ident,
            volume: $volume:ident,
            when_full: $when_full:ident,
            seen_by: $seen_by:ident,
            example: $example:expr,
        }
    )+) => {
        /// The values of every table.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Tables {
            $($(#[doc = $doc])+ pub(super) $field: $Rows,)+
        }

        impl Tables {
            pub(super) fn put(&mut self, key: &Key, kv: &KeyValue) -> Result<(), NotTaken> {
                match key {
                    $(Key::$key($($part),+) => {
                        let id = ($($part.clone()),+);
                        if let Some(mut stored) = <$Rows>::read(kv)? {
                            take::$take(&id, &mut stored.value, self)?;
                            self.$field.put(id, Arc::new(stored));
                        }
                    })+
                }
                Ok(())
            }

            pub(super) fn remove(&mut self, key: &Key) {
                match key {
                    $(Key::$key($($part),+) => {
                        Rows::remove(&mut self.$field, &($($part.clone()),+));
                    })+
                }
            }

            /// The revisions at which a key came into being and was last written.
            pub(super) fn revisions(&self, key: &Key) -> Option<(Revision, Revision)> {
                match key {
                    $(Key::$key($($part),+) => self.$field.revisions(&($($part.clone()),+)),)+
                }
            }

            /// Gives every key that is in one of two alone, or whose value differs: by table, each in order.
            pub(super) fn differing(&self, other: &Self, found: &mut impl FnMut(Key)) {
                $(self.$field.differing(&other.$field, &mut |id| {
                    let ($($part,)+) = wrapped!($($part),+; id.clone());
                    found(Key::$key($($part),+));
                });)+
            }
        }
    };
}

every_table!(rows);

/// A table that is held by its keys alone.
impl<K: Ord + Clone, T: DeserializeOwned + PartialEq> Rows for ById<K, T> {
    type Id = K;
    type Value = T;

    fn put(&mut self, id: K, value: Shared<T>) {
        self.insert(id, value);
    }

    fn remove(&mut self, id: &K) {
        OrdMap::remove(self, id);
    }

    fn revisions(&self, id: &K) -> Option<(Revision, Revision)> {
        self.get(id).map(|stored| (stored.create, stored.modify))
    }

    fn differing(&self, other: &Self, found: &mut dyn FnMut(&K)) {
        differing(self, other, found);
    }
}

/// A table that the state keeps nothing of.
#[derive(Clone, Debug)]
pub(super) struct NotKept<K>(PhantomData<K>);

impl<K> Default for NotKept<K> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<K> Rows for NotKept<K> {
    type Id = K;
    type Value = serde::de::IgnoredAny;

    fn read(_: &KeyValue) -> Result<Option<Stored<Self::Value>>, NotTaken> {
        Ok(None)
    }

    fn put(&mut self, _: K, _: Shared<Self::Value>) {}

    fn remove(&mut self, _: &K) {}

    fn revisions(&self, _: &K) -> Option<(Revision, Revision)> {
        None
    }

    fn differing(&self, _: &Self, _: &mut dyn FnMut(&K)) {}
}

/// A value that says which key it belongs to, and which job.
pub(super) trait Named {
    type Id: PartialEq;

    fn id(&self) -> &Self::Id;

    fn job_mut(&mut self) -> (&mut Namespace, &mut JobId);

    fn job(&self) -> JobKey;
}

macro_rules! named {
    ($($value:ty: $id:ty),+) => {$(
        impl Named for $value {
            type Id = $id;

            fn id(&self) -> &$id {
                &self.id
            }

            fn job_mut(&mut self) -> (&mut Namespace, &mut JobId) {
                (&mut self.namespace, &mut self.job_id)
            }

            fn job(&self) -> JobKey {
                <$value>::job(self)
            }
        }
    )+};
}

named!(Eval: EvalId, Deployment: DeploymentId, Alloc: AllocId);

/// A table whose values are looked for by their job too.
#[derive(Clone, Debug)]
pub(super) struct OfJob<K: Ord, T> {
    pub(super) by_id: ById<K, T>,
    pub(super) by_job: OrdMap<JobKey, ById<K, T>>,
}

impl<K: Ord + Clone, T> Default for OfJob<K, T> {
    fn default() -> Self {
        Self {
            by_id: OrdMap::new(),
            by_job: OrdMap::new(),
        }
    }
}

impl<K: Ord + Clone, T: Named + DeserializeOwned + PartialEq> Rows for OfJob<K, T> {
    type Id = K;
    type Value = T;

    fn put(&mut self, id: K, value: Shared<T>) {
        let job = value.job();
        if let Some(old) = self.by_id.insert(id.clone(), value.clone())
            && old.job() != job
        {
            unlink(&mut self.by_job, &old.job(), &id);
        }
        self.by_job.entry(job).or_default().insert(id, value);
    }

    fn remove(&mut self, id: &K) {
        if let Some(old) = self.by_id.remove(id) {
            unlink(&mut self.by_job, &old.job(), id);
        }
    }

    fn revisions(&self, id: &K) -> Option<(Revision, Revision)> {
        self.by_id.revisions(id)
    }

    fn differing(&self, other: &Self, found: &mut dyn FnMut(&K)) {
        differing(&self.by_id, &other.by_id, found);
    }
}

/// The allocs, and what they are looked for by.
#[derive(Clone, Debug, Default)]
pub(super) struct Allocs {
    pub(super) by_id: ById<AllocId, Alloc>,
    pub(super) by_node: ById<(NodeId, AllocId), Alloc>,
    pub(super) by_job: OrdMap<JobKey, ById<AllocId, Alloc>>,
    pub(super) by_eval: ById<(EvalId, AllocId), Alloc>,
    pub(super) by_deployment: ById<(DeploymentId, AllocId), Alloc>,
}

impl Allocs {
    fn unlink(&mut self, alloc: &Alloc) {
        self.by_node.remove(&(alloc.node_id, alloc.id));
        self.by_eval.remove(&(alloc.eval_id, alloc.id));
        if let Some(deployment) = alloc.deployment_id {
            self.by_deployment.remove(&(deployment, alloc.id));
        }
        unlink(&mut self.by_job, &alloc.job(), &alloc.id);
    }
}

impl Rows for Allocs {
    type Id = (NodeId, AllocId);
    type Value = Alloc;

    fn put(&mut self, (node, id): Self::Id, alloc: Shared<Alloc>) {
        if let Some(old) = self.by_id.insert(id, alloc.clone()) {
            let same_places = old.node_id == alloc.node_id
                && old.eval_id == alloc.eval_id
                && old.deployment_id == alloc.deployment_id
                && old.job_id == alloc.job_id
                && old.namespace == alloc.namespace;
            if !same_places {
                self.unlink(&old);
            }
        }
        self.by_node.insert((node, id), alloc.clone());
        self.by_eval.insert((alloc.eval_id, id), alloc.clone());
        if let Some(deployment) = alloc.deployment_id {
            self.by_deployment.insert((deployment, id), alloc.clone());
        }
        self.by_job
            .entry(alloc.job())
            .or_default()
            .insert(id, alloc);
    }

    fn remove(&mut self, (node, id): &Self::Id) {
        // The same id under another node's key would be another key: it stays.
        if self
            .by_id
            .get(id)
            .is_some_and(|alloc| alloc.node_id == *node)
            && let Some(alloc) = self.by_id.remove(id)
        {
            self.unlink(&alloc);
        }
    }

    fn revisions(&self, id: &Self::Id) -> Option<(Revision, Revision)> {
        self.by_node.revisions(id)
    }

    fn differing(&self, other: &Self, found: &mut dyn FnMut(&Self::Id)) {
        differing(&self.by_node, &other.by_node, found);
    }
}

/// Takes `id` out of its job's entries, and the entry out with its last.
fn unlink<K: Ord + Clone, T>(index: &mut OrdMap<JobKey, OrdMap<K, Arc<T>>>, job: &JobKey, id: &K) {
    let empty = index.get_mut(job).is_some_and(|entries| {
        entries.remove(id);
        entries.is_empty()
    });
    if empty {
        index.remove(job);
    }
}

/// Gives what is in one of two maps alone, or differs, in order; what they share is passed over.
pub(super) fn differing<K: Ord, T: PartialEq>(
    one: &OrdMap<K, T>,
    other: &OrdMap<K, T>,
    found: &mut dyn FnMut(&K),
) {
    for item in one.diff(other) {
        match item {
            DiffItem::Add(id, _) | DiffItem::Remove(id, _) => found(id),
            DiffItem::Update { new: (id, _), .. } => found(id),
        }
    }
}

/// What is checked of a value that is of some key, and shared with what is held or left out, before it is held too.
mod take {
    use super::*;

    #[allow(clippy::unnecessary_wraps)] // as the others
    pub(super) fn whole<K, T>(_: &K, _: &mut T, _: &Tables) -> Result<(), NotTaken> {
        Ok(())
    }

    /// Of the id in its key; its job's name is shared.
    pub(super) fn named<T: Named>(
        id: &T::Id,
        value: &mut T,
        tables: &Tables,
    ) -> Result<(), NotTaken> {
        if value.id() != id {
            return Err(NotTaken::OtherKey);
        }
        let job = value.job();
        // The text of a job's name is held once, where there is one to share.
        let held = tables
            .registrations
            .get_key_value(&job)
            .map(|(held, _)| held)
            .or_else(|| {
                let by_job = &tables.allocs.by_job;
                by_job.get_key_value(&job).map(|(held, _)| held)
            })
            .or_else(|| {
                let by_job = &tables.evals.by_job;
                by_job.get_key_value(&job).map(|(held, _)| held)
            });
        if let Some(held) = held {
            let (namespace, id) = value.job_mut();
            *namespace = held.namespace.clone();
            *id = held.id.clone();
        }
        Ok(())
    }

    /// As any that is named, on the node of its key.
    pub(super) fn alloc(
        (node, id): &(NodeId, AllocId),
        alloc: &mut Alloc,
        tables: &Tables,
    ) -> Result<(), NotTaken> {
        if alloc.node_id != *node {
            return Err(NotTaken::OtherKey);
        }
        named(id, alloc, tables)
    }

    /// Of the alloc of its key.
    pub(super) fn status(
        (_, id): &(NodeId, AllocId),
        status: &mut KnownStatus,
        _: &Tables,
    ) -> Result<(), NotTaken> {
        if status.id == *id {
            Ok(())
        } else {
            Err(NotTaken::OtherKey)
        }
    }

    /// Of the node of its key.
    pub(super) fn node(id: &NodeId, node: &mut Node, _: &Tables) -> Result<(), NotTaken> {
        if node.id == *id {
            Ok(())
        } else {
            Err(NotTaken::OtherKey)
        }
    }
}
