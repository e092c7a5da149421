//! Taking events in. Pure: the same events on the same state give the same state, and nothing else happens but a log
//! line for what can't be read.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use rove_model::{
    alloc::{Alloc, AllocStatus},
    encoding::{EncodingError, decode, encode},
    eval::{AllocMetric, Eval},
    ids::{AllocId, DeploymentId, EvalId, JobId, JobKey, Namespace, NodeId, Revision},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{ById, State, Stored};
use crate::{
    keys::Key,
    store::{Event, KeyValue},
};

/// Why a stored value is not taken in.
#[derive(Debug, Error)]
enum NotTaken {
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    #[error("the value is not that of its key")]
    OtherKey,
}

impl State {
    /// Takes in the events of whole revisions, of which `revision` is the newest, and gives the keys they touched.
    ///
    /// A value that can't be read is reported, and its key then counts as absent and as [unreadable](State::unreadable). Keys of unknown kinds are passed
    /// over: a newer server may know them.
    pub fn apply(&mut self, events: &[Event], revision: Revision) -> Vec<Key> {
        let mut touched = Vec::with_capacity(events.len());
        for event in events {
            let key = match self.keys.parse(event.key()) {
                Ok(key) => key,
                Err(error) => {
                    tracing::debug!(%error, "passed over");
                    continue;
                }
            };
            self.changed[key.table() as usize] = event.revision();
            match event {
                Event::Put(kv) => self.put_kv(&key, kv),
                Event::Delete { .. } => self.remove(&key),
            }
            touched.push(key);
        }
        self.revision = revision;
        touched
    }

    /// Takes in what a list at `revision` found, in any order.
    pub(super) fn load(&mut self, kvs: &[KeyValue], revision: Revision) {
        for kv in kvs {
            if let Ok(key) = self.keys.parse(&kv.key) {
                let changed = &mut self.changed[key.table() as usize];
                *changed = (*changed).max(kv.mod_revision);
                self.put_kv(&key, kv);
            }
        }
        self.revision = revision;
    }

    /// Counts every table as changed at `revision`: after a list nobody knows what was removed, and when.
    pub(super) fn touch_all_tables(&mut self, revision: Revision) {
        self.changed.fill(revision);
    }

    /// Takes the tables' revisions over from the state it replaces: a table that lost keys changed now.
    pub(super) fn carry_indexes(&mut self, old: &Self, differing: &[Key]) {
        for (changed, before) in self.changed.iter_mut().zip(old.changed) {
            *changed = (*changed).max(before);
        }
        for key in differing {
            if self.revisions(key).is_none() {
                self.changed[key.table() as usize] = self.revision;
            }
        }
    }

    /// Writes `value` as if the store had, at the next revision, which is returned: for dry runs and tests.
    ///
    /// # Errors
    /// When the value can't be stored.
    pub fn put<T: Serialize>(&mut self, key: &Key, value: &T) -> Result<Revision, EncodingError> {
        let revision = self.revision + 1;
        let bytes = self.keys.encode(key);
        let create_revision = self.create_revision(key).unwrap_or(revision);
        self.apply(
            &[Event::Put(KeyValue {
                key: bytes,
                value: Bytes::from(encode(value)?),
                create_revision,
                mod_revision: revision,
                version: 1,
                lease: None,
            })],
            revision,
        );
        Ok(revision)
    }

    /// Removes `key` as if the store had, at the next revision, which is returned: for dry runs and tests.
    pub fn delete(&mut self, key: &Key) -> Revision {
        let revision = self.revision + 1;
        self.apply(
            &[Event::Delete {
                key: self.keys.encode(key),
                mod_revision: revision,
            }],
            revision,
        );
        revision
    }

    /// The revisions at which a key came into being and was last written.
    #[must_use]
    pub fn revisions(&self, key: &Key) -> Option<(Revision, Revision)> {
        fn of<T>(stored: Option<&Arc<Stored<T>>>) -> Option<(Revision, Revision)> {
            stored.map(|stored| (stored.create, stored.modify))
        }
        match key {
            Key::Registration(job) => of(self.registrations.get(job)),
            Key::JobVersion(version) => of(self.job_versions.get(version)),
            Key::JobEvaluated(job) => of(self.evaluated.get(job)),
            Key::JobStable(job) => of(self.stable.get(job)),
            Key::JobCollected(job) => of(self.collected.get(job)),
            Key::Eval(id) => of(self.evals.get(id)),
            Key::Plan(id) => of(self.plans.get(id)),
            Key::Alloc(node, id) => of(self.allocs.get(id).filter(|alloc| alloc.node_id == *node)),
            Key::AllocStatus(node, id) => of(self.alloc_statuses.get(&(*id, *node))),
            Key::AllocControl(node, id) => of(self.alloc_controls.get(&(*id, *node))),
            Key::Node(id) => of(self.nodes.get(id)),
            Key::NodeAlive(id) => of(self.nodes_alive.get(id)),
            Key::NodeStatus(id) => of(self.node_statuses.get(id)),
            Key::NodeControl(id) => of(self.node_controls.get(id)),
            Key::NodeSecret(_) => None,
            Key::Deployment(id) => of(self.deployments.get(id)),
            Key::Server(name) => of(self.servers.get(name)),
            Key::Leader(name) => of(self.leaders.get(name)),
        }
    }

    fn create_revision(&self, key: &Key) -> Option<Revision> {
        self.revisions(key).map(|(create, _)| create)
    }

    fn put_kv(&mut self, key: &Key, kv: &KeyValue) {
        match self.try_put(key, kv) {
            Ok(()) => self.unreadable.remove(key),
            Err(error) => {
                tracing::error!(%key, revision = kv.mod_revision, error = &error as &dyn std::error::Error,
                    "a stored value can't be read: nothing is decided that rests on it until it is written anew");
                self.remove(key);
                self.unreadable.insert(key, kv.mod_revision, &kv.value);
            }
        }
    }

    fn try_put(&mut self, key: &Key, kv: &KeyValue) -> Result<(), NotTaken> {
        match key {
            Key::Registration(job) => insert(&mut self.registrations, job, kv)?,
            Key::JobVersion(version) => insert(&mut self.job_versions, version, kv)?,
            Key::JobEvaluated(job) => insert(&mut self.evaluated, job, kv)?,
            Key::JobStable(job) => insert(&mut self.stable, job, kv)?,
            Key::JobCollected(job) => insert(&mut self.collected, job, kv)?,
            Key::Eval(id) => self.put_eval(*id, kv)?,
            Key::Plan(id) => insert(&mut self.plans, id, kv)?,
            Key::Alloc(node, id) => self.put_alloc(*node, *id, kv)?,
            Key::AllocStatus(node, id) => {
                let mut status: Stored<AllocStatus> = read(kv)?;
                if status.id != *id {
                    return Err(NotTaken::OtherKey);
                }
                for task in status.value.task_states.values_mut() {
                    task.events = Vec::new();
                }
                self.alloc_statuses.insert((*id, *node), Arc::new(status));
            }
            Key::AllocControl(node, id) => insert(&mut self.alloc_controls, &(*id, *node), kv)?,
            Key::Node(id) => {
                let node: Stored<rove_model::node::Node> = read(kv)?;
                if node.id != *id {
                    return Err(NotTaken::OtherKey);
                }
                self.nodes.insert(*id, Arc::new(node));
            }
            Key::NodeAlive(id) => insert(&mut self.nodes_alive, id, kv)?,
            Key::NodeStatus(id) => insert(&mut self.node_statuses, id, kv)?,
            Key::NodeControl(id) => insert(&mut self.node_controls, id, kv)?,
            Key::NodeSecret(_) => {}
            Key::Deployment(id) => self.put_deployment(*id, kv)?,
            Key::Server(name) => insert(&mut self.servers, name, kv)?,
            Key::Leader(name) => insert(&mut self.leaders, name, kv)?,
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) {
        self.unreadable.remove(key);
        match key {
            Key::Registration(job) => drop(self.registrations.remove(job)),
            Key::JobVersion(version) => drop(self.job_versions.remove(version)),
            Key::JobEvaluated(job) => drop(self.evaluated.remove(job)),
            Key::JobStable(job) => drop(self.stable.remove(job)),
            Key::JobCollected(job) => drop(self.collected.remove(job)),
            Key::Eval(id) => {
                if let Some(eval) = self.evals.remove(id) {
                    unlink(&mut self.evals_of_job, &eval.job(), id);
                }
            }
            Key::Plan(id) => drop(self.plans.remove(id)),
            Key::Alloc(node, id) => {
                // The same id under another node's key would be another key: it stays.
                if self
                    .allocs
                    .get(id)
                    .is_some_and(|alloc| alloc.node_id == *node)
                    && let Some(alloc) = self.allocs.remove(id)
                {
                    self.unlink_alloc(&alloc);
                }
            }
            Key::AllocStatus(node, id) => drop(self.alloc_statuses.remove(&(*id, *node))),
            Key::AllocControl(node, id) => drop(self.alloc_controls.remove(&(*id, *node))),
            Key::Node(id) => drop(self.nodes.remove(id)),
            Key::NodeAlive(id) => drop(self.nodes_alive.remove(id)),
            Key::NodeStatus(id) => drop(self.node_statuses.remove(id)),
            Key::NodeControl(id) => drop(self.node_controls.remove(id)),
            Key::NodeSecret(_) => {}
            Key::Deployment(id) => {
                if let Some(deployment) = self.deployments.remove(id) {
                    unlink(&mut self.deployments_of_job, &deployment.job(), id);
                }
            }
            Key::Server(name) => drop(self.servers.remove(name)),
            Key::Leader(name) => drop(self.leaders.remove(name)),
        }
    }

    fn put_eval(&mut self, id: EvalId, kv: &KeyValue) -> Result<(), NotTaken> {
        let mut eval: Stored<Eval> = read(kv)?;
        if eval.id != id {
            return Err(NotTaken::OtherKey);
        }
        let job = self.share(&mut eval.value.namespace, &mut eval.value.job_id);
        let eval = Arc::new(eval);
        if let Some(old) = self.evals.insert(id, eval.clone())
            && old.job() != job
        {
            unlink(&mut self.evals_of_job, &old.job(), &id);
        }
        self.evals_of_job.entry(job).or_default().insert(id, eval);
        Ok(())
    }

    fn put_deployment(&mut self, id: DeploymentId, kv: &KeyValue) -> Result<(), NotTaken> {
        let mut deployment: Stored<rove_model::deployment::Deployment> = read(kv)?;
        if deployment.id != id {
            return Err(NotTaken::OtherKey);
        }
        let job = self.share(
            &mut deployment.value.namespace,
            &mut deployment.value.job_id,
        );
        let deployment = Arc::new(deployment);
        if let Some(old) = self.deployments.insert(id, deployment.clone())
            && old.job() != job
        {
            unlink(&mut self.deployments_of_job, &old.job(), &id);
        }
        self.deployments_of_job
            .entry(job)
            .or_default()
            .insert(id, deployment);
        Ok(())
    }

    fn put_alloc(&mut self, node: NodeId, id: AllocId, kv: &KeyValue) -> Result<(), NotTaken> {
        let mut alloc: Stored<Alloc> = read(kv)?;
        if alloc.id != id || alloc.node_id != node {
            return Err(NotTaken::OtherKey);
        }
        let job = self.share(&mut alloc.value.namespace, &mut alloc.value.job_id);
        alloc.value.metrics = AllocMetric::default();
        let alloc = Arc::new(alloc);
        if let Some(old) = self.allocs.insert(id, alloc.clone()) {
            let same_places = old.node_id == alloc.node_id
                && old.eval_id == alloc.eval_id
                && old.deployment_id == alloc.deployment_id
                && old.job_id == alloc.job_id
                && old.namespace == alloc.namespace;
            if !same_places {
                self.unlink_alloc(&old);
            }
        }
        self.allocs_of_node.insert((node, id), alloc.clone());
        self.allocs_of_eval
            .insert((alloc.eval_id, id), alloc.clone());
        if let Some(deployment) = alloc.deployment_id {
            self.allocs_of_deployment
                .insert((deployment, id), alloc.clone());
        }
        self.allocs_of_job.entry(job).or_default().insert(id, alloc);
        Ok(())
    }

    fn unlink_alloc(&mut self, alloc: &Alloc) {
        self.allocs_of_node.remove(&(alloc.node_id, alloc.id));
        self.allocs_of_eval.remove(&(alloc.eval_id, alloc.id));
        if let Some(deployment) = alloc.deployment_id {
            self.allocs_of_deployment.remove(&(deployment, alloc.id));
        }
        unlink(&mut self.allocs_of_job, &alloc.job(), &alloc.id);
    }

    /// Makes a job's name share the text that is held already, where it is.
    fn share(&self, namespace: &mut Namespace, id: &mut JobId) -> JobKey {
        let job = JobKey {
            namespace: namespace.clone(),
            id: id.clone(),
        };
        let held = self
            .registrations
            .get_key_value(&job)
            .map(|(held, _)| held)
            .or_else(|| self.allocs_of_job.get_key_value(&job).map(|(held, _)| held))
            .or_else(|| self.evals_of_job.get_key_value(&job).map(|(held, _)| held));
        match held {
            Some(held) => {
                *namespace = held.namespace.clone();
                *id = held.id.clone();
                held.clone()
            }
            None => job,
        }
    }
}

fn read<T: DeserializeOwned>(kv: &KeyValue) -> Result<Stored<T>, NotTaken> {
    Ok(Stored {
        create: kv.create_revision,
        modify: kv.mod_revision,
        value: decode(&kv.value)?,
    })
}

fn insert<K: Ord + Clone, T: DeserializeOwned>(
    map: &mut ById<K, T>,
    key: &K,
    kv: &KeyValue,
) -> Result<(), NotTaken> {
    map.insert(key.clone(), Arc::new(read(kv)?));
    Ok(())
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
