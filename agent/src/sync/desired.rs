//! What the store wants of this node, kept by list and watch.
//!
//! The watch is a state machine with a position. A key that is absent means "stop" only in a list whose revision is
//! not below any this agent has seen: so neither a server that is behind nor a store restored from an older copy stops
//! what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use rove_model::{
    alloc::{Alloc, AllocStatus},
    encoding,
    ids::{AllocId, NodeId, Revision},
};
use rove_store::{
    backoff::{Backoff, Recovery},
    keys::{Key, Keys},
    store::{
        Event, KeyRange, KeyValue, RangeRequest, RangeResponse, Store, StoreError, WatchEvent,
        WatchRequest,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::LONGEST_PAUSE;
use crate::{context::CALL, outbox::Outbox};

/// Changes that may wait for the manager; the watch waits when it is full.
pub(crate) const CHANGES: usize = 64;

/// Keys of a page of a list: at some 2 KB each, well below what a message may hold.
const PAGE: usize = 500;

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

/// Where the watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Nothing is known: list.
    Empty,
    /// All is known up to this revision: watch from the next.
    At(Revision),
}

pub(crate) struct Sync {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: NodeId,
    pub outbox: Arc<Outbox>,
    pub out: mpsc::Sender<Desired>,
    /// The newest revision that was seen, in an earlier life of the agent too.
    pub newest_seen: Revision,
    pub seed: u64,
    /// Shared with whoever else waits for the store here.
    pub recovery: Recovery,
}

/// Why the feed has to take another step.
enum Next {
    /// Go on from the position.
    Resume,
    /// List again.
    List,
    /// The receiver is gone.
    End,
}

impl Sync {
    /// Runs until `cancel`, or until nobody listens any more.
    pub async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(self.follow()).await;
    }

    async fn follow(self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE, self.seed);
        let mut position = Position::Empty;
        let mut newest_seen = self.newest_seen;
        let mut behind = 0;
        let mut list_again_at = None;
        loop {
            let step = match position {
                Position::Empty => match self.list().await {
                    Ok(listed) => {
                        let is_behind = listed.revision < newest_seen;
                        behind = if is_behind { behind + 1 } else { 0 };
                        if is_behind && behind <= BEHIND_TRIES {
                            sleep(backoff.next_delay()).await;
                            continue;
                        }
                        if behind == BEHIND_TRIES + 1 {
                            tracing::error!(
                                seen = newest_seen,
                                now = listed.revision,
                                "the store is behind what it was: it seems restored from an older copy; allocs it does not know go on"
                            );
                        }
                        list_again_at = is_behind.then(|| Instant::now() + BEHIND_EVERY);
                        newest_seen = newest_seen.max(listed.revision);
                        position = Position::At(listed.revision);
                        self.recovery.succeeded(&mut backoff);
                        let change = Desired::Listed {
                            allocs: listed.allocs,
                            present: (!is_behind).then_some(listed.present),
                        };
                        if self.out.send(change).await.is_err() {
                            return;
                        }
                        Ok(Next::Resume)
                    }
                    Err(error) => Err(error),
                },
                Position::At(revision) => {
                    let began = Instant::now();
                    let (at, step) = self.watch(revision, list_again_at).await;
                    // One that lived went well, though nothing may have changed meanwhile.
                    if at > revision || began.elapsed() > 2 * CALL {
                        self.recovery.succeeded(&mut backoff);
                    }
                    newest_seen = newest_seen.max(at);
                    position = Position::At(at);
                    step
                }
            };
            match step {
                Ok(Next::Resume) => {}
                Ok(Next::List) => position = Position::Empty,
                Ok(Next::End) => return,
                Err(StoreError::Compacted { .. } | StoreError::FutureRevision { .. }) => {
                    position = Position::Empty;
                }
                Err(error) => {
                    if backoff.failures() == 0 {
                        tracing::warn!(%error, "can't follow what is wanted of this node, trying again");
                    }
                    self.recovery.pause(backoff.next_delay()).await;
                }
            }
        }
    }

    async fn list(&self) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
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
            } = timeout(CALL, self.store.range(request))
                .await
                .map_err(|_| StoreError::Unavailable("a list took too long".to_owned()))??;
            let at = *revision.get_or_insert(at);
            kvs.iter().for_each(&mut take);
            let rest = kvs.last().filter(|_| more);
            match rest.and_then(|last| keys.after(&last.key)) {
                Some(rest) => keys = rest,
                None => return Ok(at),
            }
        }
    }

    /// Watches from after `revision`; where it came to, and what is to be done next.
    async fn watch(
        &self,
        mut revision: Revision,
        list_again_at: Option<Instant>,
    ) -> (Revision, Result<Next, StoreError>) {
        // A watch that starts ahead of a restored store would wait in silence until the store has caught up.
        match timeout(CALL, self.store.status()).await {
            Ok(Ok(status)) if status.revision < revision => {
                let restored = StoreError::FutureRevision {
                    requested: revision,
                    current: status.revision,
                };
                return (revision, Err(restored));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return (revision, Err(error)),
            Err(_) => {
                let slow = StoreError::Unavailable("the store's status took too long".to_owned());
                return (revision, Err(slow));
            }
        }
        let request = WatchRequest {
            keys: self.keys.allocs_of_node(self.node),
            start: Some(revision + 1),
        };
        let mut stream = match timeout(CALL, self.store.watch(request)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return (revision, Err(error)),
            Err(_) => {
                let slow = StoreError::Unavailable("a watch took too long to open".to_owned());
                return (revision, Err(slow));
            }
        };
        let again = async {
            match list_again_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(again);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut again => return (revision, Ok(Next::List)),
                event = stream.next() => event,
            };
            match event {
                Some(Ok(WatchEvent::Batch {
                    revision: newest,
                    events,
                })) => {
                    for event in events {
                        if event.revision() <= revision {
                            continue;
                        }
                        let Some(change) = self.change(event) else {
                            continue;
                        };
                        if self.out.send(change).await.is_err() {
                            return (revision, Ok(Next::End));
                        }
                    }
                    revision = revision.max(newest);
                }
                Some(Ok(WatchEvent::Progress { revision: newest })) => {
                    revision = revision.max(newest);
                }
                Some(Err(error)) => return (revision, Err(error)),
                None => {
                    let ended = StoreError::Unavailable("the watch ended".to_owned());
                    return (revision, Err(ended));
                }
            }
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
            out,
            newest_seen: 0,
            seed: 1,
            recovery: recovery.clone(),
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(sync.run(cancel.clone()));
        sleep(Duration::from_secs(600)).await;
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
}
