//! A store of a few lines that does what a test tells it to: keeps history, forgets it, breaks watches, goes silent,
//! is restored from a copy.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use rove_model::{encoding::encode, ids::Revision};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    keys::{Key, Keys},
    store::{
        Event, KeyValue, LeaseId, RangeRequest, RangeResponse, Store, StoreError, StoreStatus, Txn,
        TxnResponse, WatchEvent, WatchRequest, WatchStream,
    },
};

type Watcher = mpsc::UnboundedSender<Result<WatchEvent, StoreError>>;

#[derive(Default)]
struct Inner {
    revision: Revision,
    oldest: Revision,
    history: Vec<Event>,
    watchers: Vec<(WatchRequest, Watcher)>,
    fail_ranges: usize,
    deaf: bool,
    calls: Calls,
}

/// What was asked of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) counts: usize,
    pub(super) pages: usize,
    pub(super) watches: usize,
}

#[derive(Default)]
pub(super) struct ScriptStore(Mutex<Inner>);

impl ScriptStore {
    pub(super) fn new() -> Arc<Self> {
        let store = Self::default();
        store.inner().revision = 1;
        Arc::new(store)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(super) fn put<T: Serialize>(&self, key: &Key, value: &T) -> Revision {
        self.put_bytes(Keys::default().encode(key), encode(value).unwrap())
    }

    pub(super) fn put_bytes(&self, key: Bytes, value: impl Into<Bytes>) -> Revision {
        let mut inner = self.inner();
        let revision = inner.revision + 1;
        let create_revision = inner
            .at(inner.revision)
            .get(&key)
            .map_or(revision, |kv| kv.create_revision);
        let kv = KeyValue {
            key,
            value: value.into(),
            create_revision,
            mod_revision: revision,
            version: 1,
            lease: None,
        };
        inner.write(Event::Put(kv));
        revision
    }

    pub(super) fn delete(&self, key: &Key) -> Revision {
        let mut inner = self.inner();
        let revision = inner.revision + 1;
        inner.write(Event::Delete {
            key: Keys::default().encode(key),
            mod_revision: revision,
        });
        revision
    }

    /// Every pair that is there.
    pub(super) fn all(&self) -> Vec<KeyValue> {
        let inner = self.inner();
        inner.at(inner.revision).into_values().collect()
    }

    /// A revision that changes none of the keys that are watched.
    pub(super) fn write_elsewhere(&self) {
        self.put_bytes(Bytes::from_static(b"/other/key"), "x");
    }

    pub(super) fn compact(&self) {
        let mut inner = self.inner();
        inner.oldest = inner.revision;
    }

    pub(super) fn break_watches(&self, error: &StoreError) {
        for (_, watcher) in self.inner().watchers.drain(..) {
            let _ = watcher.send(Err(error.clone()));
        }
    }

    pub(super) fn progress(&self, revision: Revision) {
        for (_, watcher) in &self.inner().watchers {
            let _ = watcher.send(Ok(WatchEvent::Progress { revision }));
        }
    }

    /// From now on, open watches say nothing any more, as behind a connection that is dead and not known to be.
    pub(super) fn deafen_watches(&self) {
        self.inner().deaf = true;
    }

    pub(super) fn fail_ranges(&self, times: usize) {
        self.inner().fail_ranges = times;
    }

    /// Goes back to what was at `revision`, as a restore from a copy does.
    pub(super) fn restore(&self, revision: Revision) {
        let mut inner = self.inner();
        inner.history.retain(|event| event.revision() <= revision);
        inner.revision = revision;
        drop(inner);
        self.break_watches(&StoreError::Unavailable("restarted".to_owned()));
    }

    pub(super) fn calls(&self) -> Calls {
        self.inner().calls
    }

    pub(super) fn open_watches(&self) -> usize {
        let mut inner = self.inner();
        inner.watchers.retain(|(_, watcher)| !watcher.is_closed());
        inner.watchers.len()
    }
}

impl Inner {
    fn write(&mut self, event: Event) {
        self.revision = event.revision();
        self.history.push(event.clone());
        if self.deaf {
            return;
        }
        let batch = WatchEvent::Batch {
            revision: event.revision(),
            events: vec![event.clone()],
        };
        for (request, watcher) in &self.watchers {
            if request.keys.contains(event.key()) {
                let _ = watcher.send(Ok(batch.clone()));
            }
        }
    }

    fn at(&self, revision: Revision) -> BTreeMap<Bytes, KeyValue> {
        let mut found = BTreeMap::new();
        for event in self.history.iter().filter(|e| e.revision() <= revision) {
            match event {
                Event::Put(kv) => drop(found.insert(kv.key.clone(), kv.clone())),
                Event::Delete { key, .. } => drop(found.remove(key)),
            }
        }
        found
    }
}

#[async_trait]
impl Store for ScriptStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        let mut inner = self.inner();
        if request.count_only {
            inner.calls.counts += 1;
        } else if request.limit.is_some() {
            inner.calls.pages += 1;
        }
        if inner.fail_ranges > 0 {
            inner.fail_ranges -= 1;
            return Err(StoreError::Unavailable("told to fail".to_owned()));
        }
        let revision = request.revision.unwrap_or(inner.revision);
        if revision > inner.revision {
            return Err(StoreError::FutureRevision {
                requested: revision,
                current: inner.revision,
            });
        }
        if revision < inner.oldest {
            return Err(StoreError::Compacted {
                requested: revision,
                oldest: inner.oldest,
            });
        }
        let mut kvs: Vec<KeyValue> = inner
            .at(revision)
            .into_values()
            .filter(|kv| request.keys.contains(&kv.key))
            .collect();
        let count = kvs.len() as u64;
        let limit = request.limit.unwrap_or(usize::MAX);
        let more = kvs.len() > limit;
        kvs.truncate(if request.count_only { 0 } else { limit });
        Ok(RangeResponse {
            revision: inner.revision,
            kvs,
            more,
            count,
        })
    }

    async fn txn(&self, _: Txn) -> Result<TxnResponse, StoreError> {
        Err(StoreError::Invalid("not scripted".to_owned()))
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        let mut inner = self.inner();
        inner.calls.watches += 1;
        inner.deaf = false;
        let start = request.start.unwrap_or(inner.revision + 1);
        if start <= inner.oldest {
            return Err(StoreError::Compacted {
                requested: start,
                oldest: inner.oldest,
            });
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        for event in &inner.history {
            if event.revision() >= start && request.keys.contains(event.key()) {
                let _ = sender.send(Ok(WatchEvent::Batch {
                    revision: event.revision(),
                    events: vec![event.clone()],
                }));
            }
        }
        inner.watchers.push((request, sender));
        Ok(UnboundedReceiverStream::new(receiver).boxed())
    }

    async fn lease_grant(&self, _: i64, _: Option<LeaseId>) -> Result<(LeaseId, i64), StoreError> {
        Err(StoreError::Invalid("not scripted".to_owned()))
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        Err(StoreError::LeaseNotFound(id))
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        Err(StoreError::LeaseNotFound(id))
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        Err(StoreError::LeaseNotFound(id))
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        Ok(Vec::new())
    }

    async fn compact(&self, _: Revision) -> Result<(), StoreError> {
        Ok(())
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        Ok(StoreStatus::default())
    }
}
