//! Keys whose value can't be read: damaged, or written by a newer rove. Their content counts as absent, so a decision
//! that rests on one of them would take what runs for gone. Whoever decides asks here first.

use imbl::{OrdMap, OrdSet};
use rove_model::{
    encoding::decode_any_schema,
    ids::{AllocId, JobId, JobKey, Namespace, NodeId, Revision},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{State, rows::differing};
use crate::keys::{About, Key};

/// The keys, and the jobs they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreadable {
    keys: OrdMap<Key, (Revision, Option<JobKey>)>,
    of_job: OrdMap<JobKey, OrdSet<Key>>,
}

/// What most values say of their job, whatever else they hold.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Owner {
    namespace: Namespace,
    #[serde(rename = "JobID")]
    job_id: JobId,
}

impl Unreadable {
    pub(super) fn insert(&mut self, key: &Key, revision: Revision, value: &[u8]) {
        self.remove(key);
        let job = match key.table().about() {
            About::InKey => key.job().cloned(),
            About::InValue => {
                let owner: Option<Owner> = decode_any_schema(value).ok();
                owner.map(|owner| JobKey {
                    namespace: owner.namespace,
                    id: owner.job_id,
                })
            }
            // What is about an alloc is found by the job's allocs.
            About::Nowhere => None,
        };
        if let Some(job) = &job {
            let keys = self.of_job.entry(job.clone()).or_default();
            keys.insert(key.clone());
        }
        self.keys.insert(key.clone(), (revision, job));
    }

    /// Gives every key that one of two has alone, or that was written since.
    pub(super) fn differing(&self, other: &Self, found: &mut dyn FnMut(&Key)) {
        differing(&self.keys, &other.keys, found);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if self.keys.is_empty() {
            return;
        }
        let Some((_, Some(job))) = self.keys.remove(key) else {
            return;
        };
        if let Some(keys) = self.of_job.get_mut(&job) {
            keys.remove(key);
            if keys.is_empty() {
                self.of_job.remove(&job);
            }
        }
    }
}

impl State {
    /// Keys whose value could not be read, and the revision of that value: they are as absent here.
    pub fn unreadable(&self) -> impl Iterator<Item = (&Key, Revision)> {
        self.unreadable
            .keys
            .iter()
            .map(|(key, (revision, _))| (key, *revision))
    }

    /// Whether there is a key that can't be read.
    #[must_use]
    pub fn is_all_readable(&self) -> bool {
        self.unreadable.keys.is_empty()
    }

    /// Whether a key is there and can't be read.
    #[must_use]
    pub fn is_unreadable(&self, key: &Key) -> bool {
        self.unreadable.keys.contains_key(key)
    }

    /// A key that can't be read and that decisions on a job rest on. A job that is stopped can be stopped without its
    /// specification and without what is known of its allocs, so those don't count for it; nor do versions other than
    /// the current one for any.
    #[must_use]
    pub fn unreadable_of_job(&self, job: &JobKey) -> Option<&Key> {
        if self.is_all_readable() {
            return None;
        }
        let registration = self.registration(job);
        let is_stopped =
            registration.is_none_or(|registration| registration.stop || registration.purge);
        let own = self
            .unreadable
            .of_job
            .get(job)
            .into_iter()
            .flatten()
            .find(|key| match key {
                Key::JobVersion(version) => {
                    !is_stopped
                        && registration.is_some_and(|registration| {
                            registration.uid == version.uid
                                && registration.version == version.version
                        })
                }
                Key::JobStable(_) | Key::JobCollected(_) => !is_stopped,
                _ => true,
            });
        own.or_else(|| {
            if is_stopped {
                return None;
            }
            self.allocs_of_job(job).find_map(|alloc| {
                self.first_unreadable([
                    Key::AllocStatus(alloc.node_id, alloc.id),
                    Key::AllocControl(alloc.node_id, alloc.id),
                ])
            })
        })
    }

    /// A key that can't be read and that says what a node is, whether it lives or what is wanted of it.
    #[must_use]
    pub fn unreadable_of_node(&self, node: NodeId) -> Option<&Key> {
        if self.is_all_readable() {
            return None;
        }
        self.first_unreadable([
            Key::Node(node),
            Key::NodeAlive(node),
            Key::NodeStatus(node),
            Key::NodeControl(node),
        ])
    }

    /// A key that can't be read and that may say that a node lives or is used.
    #[must_use]
    pub fn unreadable_sign_of_node(&self, node: NodeId) -> Option<&Key> {
        if self.is_all_readable() {
            return None;
        }
        let alive = self.unreadable_key(&Key::NodeAlive(node));
        alive.or_else(|| self.unreadable_alloc_of_node(node))
    }

    /// A key that can't be read and without which nobody knows how much of a node is taken.
    #[must_use]
    pub fn unreadable_use_of_node(&self, node: NodeId) -> Option<&Key> {
        if self.is_all_readable() {
            return None;
        }
        self.unreadable_of_node(node)
            .or_else(|| self.unreadable_alloc_of_node(node))
    }

    fn unreadable_alloc_of_node(&self, node: NodeId) -> Option<&Key> {
        let bound = |alloc| Key::Alloc(node, AllocId(alloc));
        let mut allocs = self
            .unreadable
            .keys
            .range(bound(Uuid::nil())..=bound(Uuid::max()));
        allocs.next().map(|(key, _)| key)
    }

    /// The revision of a key's value, whether that can be read or not.
    #[must_use]
    pub fn written_at(&self, key: &Key) -> Option<Revision> {
        let unreadable = || self.unreadable.keys.get(key).map(|(revision, _)| *revision);
        self.revisions(key)
            .map(|(_, modify)| modify)
            .or_else(unreadable)
    }

    fn first_unreadable<const N: usize>(&self, keys: [Key; N]) -> Option<&Key> {
        keys.iter().find_map(|key| self.unreadable_key(key))
    }

    /// The key itself, if it is there and can't be read.
    #[must_use]
    pub fn unreadable_key(&self, key: &Key) -> Option<&Key> {
        self.unreadable.keys.get_key_value(key).map(|(key, _)| key)
    }
}
