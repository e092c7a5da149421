//! What the agent has to tell the store: the newest status of each alloc, and which of them the store has.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rove_model::{
    alloc::AllocStatus,
    ids::{AllocId, Revision, UnixNanos},
};
use tokio::sync::Notify;

/// The statuses of this agent's allocs.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: Mutex<BTreeMap<AllocId, Entry>>,
    changed: Notify,
}

#[derive(Debug)]
struct Entry {
    status: Arc<AllocStatus>,
    /// Counts the changes.
    version: u64,
    /// The change that the store has.
    written: Option<u64>,
    /// The revision of the key in the store, as far as known; 0 when there is none.
    revision: Revision,
}

/// A status that the store does not have.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub alloc: AllocId,
    pub status: Arc<AllocStatus>,
    pub version: u64,
    pub revision: Revision,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AllocId, Entry>> {
        // An entry is changed in steps that can't panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a status over; whether it says anything new.
    pub fn put(&self, mut status: AllocStatus, now: UnixNanos) -> bool {
        let mut entries = self.lock();
        match entries.get_mut(&status.id) {
            Some(entry) => {
                status.modify_time = entry.status.modify_time;
                if *entry.status == status {
                    return false;
                }
                status.modify_time = now;
                entry.status = Arc::new(status);
                entry.version += 1;
            }
            None => {
                status.modify_time = now;
                entries.insert(
                    status.id,
                    Entry {
                        status: Arc::new(status),
                        version: 1,
                        written: None,
                        revision: 0,
                    },
                );
            }
        }
        drop(entries);
        self.changed.notify_one();
        true
    }

    /// Forgets an alloc.
    pub fn remove(&self, alloc: AllocId) {
        self.lock().remove(&alloc);
    }

    /// At most `limit` statuses that the store does not have.
    pub fn pending(&self, limit: usize) -> Vec<Pending> {
        self.lock()
            .iter()
            .filter(|(_, entry)| entry.written != Some(entry.version))
            .take(limit)
            .map(|(alloc, entry)| Pending {
                alloc: *alloc,
                status: Arc::clone(&entry.status),
                version: entry.version,
                revision: entry.revision,
            })
            .collect()
    }

    /// The store has `version` of this status, at `revision`.
    pub fn written(&self, alloc: AllocId, version: u64, revision: Revision) {
        if let Some(entry) = self.lock().get_mut(&alloc) {
            entry.written = Some(version);
            entry.revision = revision;
        }
    }

    /// The store has something else than was believed: `revision` is where the key stands.
    pub fn stale(&self, alloc: AllocId, revision: Revision) {
        if let Some(entry) = self.lock().get_mut(&alloc) {
            entry.written = None;
            entry.revision = revision;
        }
    }

    /// Compares with all that the store has: what differs will be written. `found` are key revisions and, where they
    /// were read, values.
    pub fn compare(&self, found: &BTreeMap<AllocId, (Revision, Option<AllocStatus>)>) {
        let mut entries = self.lock();
        for (alloc, entry) in entries.iter_mut() {
            match found.get(alloc) {
                None => {
                    entry.revision = 0;
                    entry.written = None;
                }
                Some((revision, value)) => {
                    let same = value.as_ref().is_some_and(|value| {
                        let mut mine = (*entry.status).clone();
                        mine.modify_time = value.modify_time;
                        mine == *value
                    });
                    if same {
                        entry.written = Some(entry.version);
                    } else if entry.revision != *revision {
                        entry.written = None;
                    }
                    entry.revision = *revision;
                }
            }
        }
        drop(entries);
        self.changed.notify_one();
    }

    /// Waits until something may have changed since it was last waited for.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::alloc::ClientStatus;

    use super::*;

    fn status(number: u8, description: &str) -> AllocStatus {
        AllocStatus {
            id: AllocId::from_random([number; 16]),
            client_status: ClientStatus::Running,
            client_description: description.to_owned(),
            task_states: BTreeMap::new(),
            deployment_status: None,
            job_version: 0,
            alloc_modify_index: 0,
            modify_time: 0,
        }
    }

    #[test]
    fn a_status_is_pending_until_the_store_has_its_newest_change() {
        let outbox = Outbox::default();
        let id = status(1, "").id;
        assert!(outbox.put(status(1, "a"), 10));
        assert!(!outbox.put(status(1, "a"), 20), "nothing new");
        let pending = outbox.pending(9).remove(0);
        assert_eq!(
            (
                pending.version,
                pending.revision,
                pending.status.modify_time
            ),
            (1, 0, 10)
        );
        assert!(outbox.put(status(1, "b"), 30));
        outbox.written(id, pending.version, 7);
        let pending = outbox.pending(9).remove(0);
        assert_eq!((pending.version, pending.revision), (2, 7));
        outbox.written(id, 2, 8);
        assert!(outbox.pending(9).is_empty());
        outbox.stale(id, 9);
        assert_eq!(outbox.pending(9)[0].revision, 9);
        outbox.remove(id);
        assert!(outbox.pending(9).is_empty());
    }

    #[test]
    fn what_the_store_has_lost_or_holds_otherwise_is_told_again() {
        let outbox = Outbox::default();
        for number in 1..=3 {
            outbox.put(status(number, "x"), 5);
        }
        let (same, other, lost) = (status(1, "x"), status(2, "y"), status(3, "x"));
        for (status, revision) in [(&same, 4), (&other, 4), (&lost, 4)] {
            outbox.written(status.id, 1, revision);
        }
        let found = [
            (same.id, (40, Some(same.clone()))),
            (other.id, (41, Some(other.clone()))),
        ];
        outbox.compare(&found.into());
        let pending: Vec<_> = outbox
            .pending(9)
            .iter()
            .map(|pending| (pending.alloc, pending.revision))
            .collect();
        assert_eq!(pending, [(other.id, 41), (lost.id, 0)]);
    }
}
