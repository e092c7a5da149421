//! What the store wants of this node, kept by list and watch.
//!
//! How it goes on after a failure is [`ListWatch`]'s to know. A key that is absent means "stop" only in a list whose revision is
//! not below any this agent has seen: so neither a server that is behind nor a store restored from an older copy stops
//! what runs. Nor is anything stopped for its absence while the node is not registered: a node that the servers have
//! forgotten stops what they don't know once they know it again, by a whole list.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rove_model::{
    alloc::{Alloc, AllocStatus},
    encoding,
    ids::{AllocId, NodeId, Revision},
};
use rove_store::{
    backoff::Recovery,
    keys::{Key, Keys},
    list_watch::{ListWatch, Next, Patience, within},
    store::{Event, KeyRange, KeyValue, RangeRequest, RangeResponse, Store, StoreError},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::LONGEST_PAUSE;
use crate::{context::CALL, outbox::Outbox};

/// Changes that may wait for the manager; the watch waits when it is full.
pub(crate) const CHANGES: usize = 64;

/// Keys of a page of a list: at some 2 KB each, well below what a message may hold.
const PAGE: usize = 500;

/// A watch that says nothing for so long, not even that it lives, is not believed. Every node has one, and they may be
/// thousands.
const SILENCE: Duration = Duration::from_secs(180);

/// A store that was behind is asked again so often before it is taken for one restored from an older copy.
const BEHIND_TRIES: u32 = 5;

/// How often such a store is listed again, until it has caught up.
const BEHIND_EVERY: Duration = Duration::from_secs(30);

/// What changed in what is wanted.
#[derive(Debug)]
pub(crate) enum Desired {
    /// Everything there is. Allocs that are not in `present` are to be stopped; without it, nothing is said of them.
    Listed {
        allocs: Vec<(Arc<Alloc>, Revision)>,
        present: Option<BTreeSet<AllocId>>,
    },
    /// One alloc.
    Put(Arc<Alloc>, Revision),
    /// The store has forgotten an alloc.
    Deleted(AllocId),
}

pub(crate) struct Sync {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: NodeId,
    pub outbox: Arc<Outbox>,
    /// Whether the node is registered.
    pub registered: watch::Receiver<bool>,
    pub out: mpsc::Sender<Desired>,
    /// The newest revision that was seen, in an earlier life of the agent too.
    pub newest_seen: Revision,
    pub seed: u64,
    /// Shared with whoever else waits for the store here.
    pub recovery: Recovery,
}

impl Sync {
    /// Runs until `cancel`, or until nobody listens any more.
    pub async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(self.follow()).await;
    }

    async fn follow(self) {
        let patience = Patience {
            silence: SILENCE,
            call: CALL,
            min_pause: Duration::from_millis(100),
            max_pause: LONGEST_PAUSE,
            seed: self.seed,
        };
        let keys = self.keys.allocs_of_node(self.node);
        let store = self.store.clone();
        let mut follows = ListWatch::new("what is wanted of this node", store, keys, patience)
            .recovering_with(self.recovery.clone());
        let mut newest_seen = self.newest_seen;
        let mut behind = 0;
        // All is listed again once the node is registered.
        let mut unsure = false;
        loop {
            let next = tokio::select! {
                biased;
                () = self.until_registered(), if unsure => {
                    unsure = false;
                    follows.list_again_at(Some(Instant::now()));
                    continue;
                }
                next = follows.next() => next,
            };
            match next {
                Next::List(_) => match self.list().await {
                    Ok(listed) => {
                        let is_behind = listed.revision < newest_seen;
                        behind = if is_behind { behind + 1 } else { 0 };
                        if is_behind && behind <= BEHIND_TRIES {
                            follows.list_again_after_pause();
                            continue;
                        }
                        if behind == BEHIND_TRIES + 1 {
                            tracing::error!(
                                seen = newest_seen,
                                now = listed.revision,
                                "the store is behind what it was: it seems restored from an older copy; allocs it does not know go on"
                            );
                        }
                        unsure = !listed.registered;
                        newest_seen = newest_seen.max(listed.revision);
                        follows.listed(listed.revision);
                        follows.list_again_at(is_behind.then(|| Instant::now() + BEHIND_EVERY));
                        let change = Desired::Listed {
                            allocs: listed.allocs,
                            present: (!is_behind && listed.registered).then_some(listed.present),
                        };
                        if self.out.send(change).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => follows.list_failed(&error),
                },
                Next::Events { revision, events } => {
                    for change in events.into_iter().filter_map(|event| self.change(event)) {
                        if matches!(change, Desired::Deleted(_)) && !*self.registered.borrow() {
                            unsure = true;
                            continue;
                        }
                        if self.out.send(change).await.is_err() {
                            return;
                        }
                    }
                    newest_seen = newest_seen.max(revision);
                }
                Next::Reached(revision) => newest_seen = newest_seen.max(revision),
            }
        }
    }

    async fn list(&self) -> Result<Listed, StoreError> {
        let mut listed = Listed {
            registered: *self.registered.borrow(),
            ..Listed::default()
        };
        let range = self.keys.allocs_of_node(self.node);
        listed.revision = self
            .pages(range, |kv| match self.alloc_of(&kv.key) {
                Some(id) => {
                    listed.present.insert(id);
                    if let Some(alloc) = decode::<Alloc>(kv) {
                        listed.allocs.push((Arc::new(alloc), kv.mod_revision));
                    }
                }
                None => report(&kv.key),
            })
            .await?;
        // What the store knows of this node's allocs may have been lost or changed with it.
        let mut statuses = BTreeMap::new();
        let range = self.keys.alloc_statuses_of_node(self.node);
        self.pages(range, |kv| {
            if let Ok(Key::AllocStatus(_, id)) = self.keys.parse(&kv.key) {
                statuses.insert(id, (kv.mod_revision, decode::<AllocStatus>(kv)));
            }
        })
        .await?;
        self.outbox.compare(&statuses);
        Ok(listed)
    }

    /// Reads a span in pages, all at the revision of the first.
    async fn pages(
        &self,
        mut keys: KeyRange,
        mut take: impl FnMut(&KeyValue),
    ) -> Result<Revision, StoreError> {
        let mut revision = None;
        loop {
            let request = RangeRequest {
                revision,
                limit: Some(PAGE),
                ..RangeRequest::new(keys.clone())
            };
            let RangeResponse {
                revision: at,
                kvs,
                more,
                ..
            } = within(CALL, self.store.range(request)).await?;
            let at = *revision.get_or_insert(at);
            kvs.iter().for_each(&mut take);
            let rest = kvs.last().filter(|_| more);
            match rest.and_then(|last| keys.after(&last.key)) {
                Some(rest) => keys = rest,
                None => return Ok(at),
            }
        }
    }

    async fn until_registered(&self) {
        let mut registered = self.registered.clone();
        if registered.wait_for(|registered| *registered).await.is_err() {
            // Whoever registers has ended, and soon this does.
            std::future::pending().await
        }
    }

    fn change(&self, event: Event) -> Option<Desired> {
        match event {
            Event::Put(kv) => {
                if self.alloc_of(&kv.key).is_none() {
                    report(&kv.key);
                    return None;
                }
                let alloc = decode::<Alloc>(&kv)?;
                Some(Desired::Put(Arc::new(alloc), kv.mod_revision))
            }
            Event::Delete { key, .. } => Some(Desired::Deleted(self.alloc_of(&key)?)),
        }
    }

    fn alloc_of(&self, key: &[u8]) -> Option<AllocId> {
        match self.keys.parse(key) {
            Ok(Key::Alloc(node, alloc)) if node == self.node => Some(alloc),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Listed {
    /// The node was registered before the list began.
    registered: bool,
    revision: Revision,
    allocs: Vec<(Arc<Alloc>, Revision)>,
    present: BTreeSet<AllocId>,
}

fn report(key: &[u8]) {
    tracing::warn!(key = %String::from_utf8_lossy(key), "a key that is no alloc's is skipped");
}

/// The value, unless it can't be read: that is reported, and the alloc left as it is.
fn decode<T: serde::de::DeserializeOwned>(kv: &KeyValue) -> Option<T> {
    encoding::decode(&kv.value)
        .inspect_err(|error| {
            tracing::error!(key = %String::from_utf8_lossy(&kv.key), %error, "a stored value can't be read and is skipped");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use rove_store::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
        store::{Op, Txn},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_an_outage_the_list_comes_as_soon_as_the_lease_is_back() {
        let store = FaultyStore::new(
            Arc::new(MemoryStore::new()),
            1,
            Faults {
                unavailable: 1.0,
                ..Faults::default()
            },
        );
        let (out, mut desired) = mpsc::channel(CHANGES);
        let recovery = Recovery::default();
        let sync = Sync {
            store: Arc::new(store.clone()),
            keys: Keys::default(),
            node: NodeId::from_random([1; 16]),
            outbox: Arc::default(),
            registered: watch::channel(true).1,
            out,
            newest_seen: 0,
            seed: 1,
            recovery: recovery.clone(),
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(sync.run(cancel.clone()));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(desired.is_empty());
        store.set_faults(Faults::default());
        let back = Instant::now();
        recovery.tell();
        let listed = desired.recv().await;
        assert!(matches!(listed, Some(Desired::Listed { .. })), "{listed:?}");
        assert_eq!(back.elapsed(), Duration::ZERO);
        cancel.cancel();
        assert!(task.await.is_ok());
    }
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_died_in_silence_keeps_nothing_from_the_node() {
        let memory = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(memory.clone(), 1, Faults::default());
        let (out, mut desired) = mpsc::channel(CHANGES);
        let node = NodeId::from_random([1; 16]);
        let sync = Sync {
            store: Arc::new(store.clone()),
            keys: Keys::default(),
            node,
            outbox: Arc::default(),
            registered: watch::channel(true).1,
            out,
            newest_seen: 0,
            seed: 1,
            recovery: Recovery::default(),
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(sync.run(cancel.clone()));
        let listed = desired.recv().await;
        assert!(matches!(listed, Some(Desired::Listed { .. })), "{listed:?}");
        let alloc = AllocId::from_random([2; 16]);
        let key = Keys::default().encode(&Key::Alloc(node, alloc));
        for (silent_watch, op) in [(1.0, Op::put(key.clone(), "{")), (0.0, Op::delete(key))] {
            store.set_faults(Faults {
                silent_watch,
                ..Faults::default()
            });
            let txn = Txn {
                then: vec![op],
                ..Txn::default()
            };
            assert!(memory.txn(txn).await.is_ok());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let told = tokio::time::timeout(Duration::from_secs(3_600), desired.recv()).await;
        assert!(
            matches!(told, Ok(Some(Desired::Deleted(id))) if id == alloc),
            "{told:?}"
        );
        cancel.cancel();
        assert!(task.await.is_ok());
    }
}
