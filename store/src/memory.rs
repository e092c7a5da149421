//! The store in memory: what simulation and tests run on.
//!
//! It has no thread and no task of its own: leases run out when somebody looks, and whoever waits on a watch wakes at
//! the next lease's end. Under tokio's paused clock in a single-threaded runtime it is deterministic. A watch is a
//! cursor into the shared history, so a slow reader costs nothing; one that is overtaken by compaction is told so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use rove_model::ids::Revision;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::engine::{Engine, Place, Rows, check_range, check_txn, keys_of};
use crate::event_ring::{Batch, Bounds, EventRing};
use crate::store::{
    Event, KeyRange, KeyValue, LeaseId, RangeRequest, RangeResponse, Store, StoreError,
    StoreStatus, Txn, TxnResponse, WatchEvent, WatchRequest, WatchStream,
};

/// Past this many revisions the oldest is compacted away unasked, so that a store nobody compacts stays bounded.
const MAX_HISTORY: usize = 200_000;

/// A batch holds no more events than this, unless a single revision does.
const BATCH_EVENTS: usize = 1_000;

/// See the module. Clones share one store.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Told whenever a watcher may have something to do.
    changed: Notify,
}

struct State {
    engine: Engine<Bytes>,
    /// Every revision not compacted away.
    history: EventRing,
    next_lease: i64,
}

/// Values stay in the index.
struct Inline;

impl Rows for Inline {
    type Slot = Bytes;

    fn put(&mut self, _: Place, kv: &KeyValue) -> Result<Bytes, StoreError> {
        Ok(kv.value.clone())
    }

    fn tombstone(&mut self, _: Place, _: &Bytes) -> Result<(), StoreError> {
        Ok(())
    }

    fn value(&self, _: Place, slot: &Bytes) -> Result<Bytes, StoreError> {
        Ok(slot.clone())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store, at revision 1.
    #[must_use]
    pub fn new() -> Self {
        Self::with_history(MAX_HISTORY)
    }

    /// An empty store that compacts itself when it holds more than `revisions` of history.
    #[must_use]
    pub fn with_history(revisions: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State {
                    engine: Engine::new(),
                    history: EventRing::new(Bounds {
                        batches: revisions.max(1),
                        ..Bounds::NONE
                    }),
                    next_lease: 0x1000,
                }),
                changed: Notify::new(),
            }),
        }
    }

    /// The state with all leases ended whose time is up.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self
            .inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some(lease) = state.engine.leases.expired(now) {
            match state.engine.revoke(lease, &mut Inline) {
                Ok(events) => self.record(&mut state, events),
                Err(_) => state.engine.leases.remove(lease),
            }
        }
        state
    }

    fn record(&self, state: &mut State, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let revision = state.engine.revision();
        let dropped = state.history.push(revision, events);
        if let Some(oldest) = state.history.start().filter(|_| !dropped.is_empty()) {
            state.compact(oldest, &dropped);
        }
        self.inner.changed.notify_waiters();
    }
}

impl State {
    /// Compacts at `revision`; `dropped` is what the history gave up for it before.
    fn compact(&mut self, revision: Revision, dropped: &[Batch]) {
        self.engine.mark_compacted(revision);
        let forgotten = self.history.forget_before(revision);
        let at = self.history.since(revision).next();
        let keys: BTreeSet<_> = dropped
            .iter()
            .chain(&forgotten)
            .chain(at.filter(|batch| batch.revision == revision))
            .flat_map(|batch| keys_of(&batch.events))
            .collect();
        for key in keys {
            self.engine.prune(&key);
        }
    }

    /// The next whole revisions from `next` on that touch `keys`, and where to go on.
    fn batch(&self, keys: &KeyRange, next: Revision) -> (Vec<Event>, Revision) {
        self.history
            .events(keys, next, self.engine.revision(), BATCH_EVENTS)
    }
}

struct Cursor {
    store: MemoryStore,
    keys: KeyRange,
    next: Revision,
    ended: bool,
}

impl Cursor {
    async fn step(mut self) -> Option<(Result<WatchEvent, StoreError>, Self)> {
        if self.ended {
            return None;
        }
        // Wakes watchers in the order in which they began to wait, which a watch channel does not.
        let store = self.store.clone();
        loop {
            let changed = store.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let deadline = {
                let state = self.store.state();
                let compacted = state.engine.compacted();
                if self.next < compacted {
                    self.ended = true;
                    let error = StoreError::Compacted {
                        requested: self.next,
                        oldest: compacted,
                    };
                    drop(state);
                    return Some((Err(error), self));
                }
                let (events, next) = state.batch(&self.keys, self.next);
                self.next = next;
                if let Some(last) = events.last() {
                    let batch = WatchEvent::Batch {
                        revision: last.revision(),
                        events,
                    };
                    drop(state);
                    return Some((Ok(batch), self));
                }
                state.engine.leases.next_deadline()
            };
            match deadline {
                Some(deadline) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(deadline) => {}
                },
                None => changed.await,
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        check_range(&request)?;
        let state = self.state();
        let revision = state.engine.revision();
        let at = state.engine.readable(request.revision, revision)?;
        state.engine.range(&request, at, revision, &Inline)
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        check_txn(&txn)?;
        let mut state = self.state();
        let applied = state.engine.txn(&txn, &mut Inline)?;
        self.record(&mut state, applied.events);
        Ok(applied.response)
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        crate::engine::check_watch(&request)?;
        let next = match request.start {
            None | Some(0) => self.state().engine.revision() + 1,
            Some(start) => start,
        };
        let cursor = Cursor {
            store: self.clone(),
            keys: request.keys,
            next,
            ended: false,
        };
        Ok(futures::stream::unfold(cursor, Cursor::step).boxed())
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        let mut state = self.state();
        let State {
            engine, next_lease, ..
        } = &mut *state;
        let granted = engine.grant(ttl, id, Instant::now(), || {
            *next_lease += 1;
            *next_lease
        })?;
        // Watchers look when the next lease ends: that may be sooner now.
        self.inner.changed.notify_waiters();
        Ok(granted)
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        self.state().engine.leases.keep_alive(id, Instant::now())
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        let mut state = self.state();
        let events = state.engine.revoke(id, &mut Inline)?;
        self.record(&mut state, events);
        Ok(())
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        self.state().engine.leases.time_to_live(id, Instant::now())
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        Ok(self.state().engine.leases.ids())
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let mut state = self.state();
        state
            .engine
            .check_compact(revision, state.engine.revision())?;
        state.compact(revision, &[]);
        self.inner.changed.notify_waiters();
        Ok(())
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let state = self.state();
        Ok(StoreStatus {
            quota_counts_use: true,
            revision: state.engine.revision(),
            db_size: state.history.bytes() as u64,
            db_size_in_use: state.history.bytes() as u64,
            quota: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_id: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::store::{Compare, Op};

    async fn put(store: &MemoryStore, key: &str, value: &str) -> Revision {
        let txn = Txn {
            then: vec![Op::put(key.to_owned(), value.to_owned())],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap().revision
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_every_promise_of_a_store() {
        crate::conformance::run_all(Arc::new(MemoryStore::new())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_runs_out_wakes_the_watcher_at_its_very_moment() {
        let store = MemoryStore::new();
        let (lease, _) = store.lease_grant(5, None).await.unwrap();
        let txn = Txn {
            then: vec![Op::Put {
                key: "a".into(),
                value: "1".into(),
                lease: Some(lease),
            }],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        let mut watch = store
            .watch(WatchRequest {
                keys: KeyRange::prefix("a"),
                start: None,
            })
            .await
            .unwrap();
        let began = Instant::now();
        let event = watch.next().await.unwrap().unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert_eq!(
            event,
            WatchEvent::Batch {
                revision: 3,
                events: vec![Event::Delete {
                    key: "a".into(),
                    mod_revision: 3
                }]
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_lease_granted_later_still_wakes_a_waiting_watcher() {
        let store = MemoryStore::new();
        store.lease_grant(100, None).await.unwrap();
        let mut watch = store
            .watch(WatchRequest {
                keys: KeyRange::prefix("a"),
                start: None,
            })
            .await
            .unwrap();
        let began = Instant::now();
        let grant = async {
            let (lease, _) = store.lease_grant(2, None).await.unwrap();
            let txn = Txn {
                then: vec![Op::Put {
                    key: "a".into(),
                    value: "1".into(),
                    lease: Some(lease),
                }],
                ..Txn::default()
            };
            store.txn(txn).await.unwrap();
        };
        let (_, put) = tokio::join!(grant, watch.next());
        put.unwrap().unwrap();
        watch.next().await.unwrap().unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn history_past_its_bound_is_compacted_and_a_watcher_left_behind_is_told() {
        let store = MemoryStore::with_history(10);
        let mut slow = store
            .watch(WatchRequest {
                keys: KeyRange::prefix("a"),
                start: None,
            })
            .await
            .unwrap();
        for number in 0..30 {
            put(&store, "a", &number.to_string()).await;
        }
        assert!(matches!(
            slow.next().await.unwrap(),
            Err(StoreError::Compacted {
                requested: 2,
                oldest: 22
            })
        ));
        assert!(slow.next().await.is_none());
        assert_eq!(store.state().history.since(0).count(), 10);
    }

    #[tokio::test]
    async fn a_lost_race_does_the_other_branch() {
        let store = MemoryStore::new();
        let at = put(&store, "a", "1").await;
        put(&store, "a", "2").await;
        let txn = Txn {
            compares: vec![Compare::unchanged("a", at)],
            then: vec![Op::put("a", "3")],
            otherwise: vec![],
        };
        let answer = store.txn(txn).await.unwrap();
        assert!(!answer.succeeded);
        assert_eq!(answer.revision, 3);
    }
}
