//! One watch on the store below, for all watches of this process.
//!
//! Recent events are kept in a ring, bounded in bytes and number. A watcher that starts within the ring is served from
//! it; from then on its events are put into its stream's bounded queue as they come. Watchers are found by the table
//! and node in a key, not tried in turn. Whoever starts before the ring, or doesn't keep up with its queue, is told that its
//! start was compacted away. While the store gives no sign of life, nobody is kept waiting here: watchers are ended as
//! unavailable, so that they go to another server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rove_model::ids::Revision;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::FrontendConfig;
use super::access::Access;
use super::budget::{Budget, Held};
use crate::event_ring::{Bounds, EventRing, event_bytes};
use crate::list_watch::{Checked, ListWatch, Next, Patience, within};
use crate::store::{Event, KeyRange, Store, StoreError, WatchRequest, WatchStream};

/// How far back the ring reaches when a server starts, so that agents coming back from another find their place.
const BACKLOG: Revision = 5_000;

/// The first wait between tries at the store, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a watcher waits for a server that is just starting.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A watch on the store that says nothing for so long makes the hub ask the store; an answer takes no longer either.
const SILENCE: Duration = Duration::from_secs(3);

/// Without a sign of life from the store for so long, watchers are sent elsewhere. Above twice the silence, so that
/// one question can be answered before.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a watch may take to show the first of what is kept.
const PROBE: Duration = Duration::from_secs(1);

/// What a watcher's stream is handed.
#[derive(Debug)]
pub(super) enum Delivery {
    /// Events for a watch of that id.
    Events {
        watch: i64,
        events: Vec<Event>,
        head: Revision,
        held: Held,
    },
    /// Nothing is missing on the stream up to this revision.
    Progress(Revision),
    /// The same, for the watches that want to be told unasked.
    Notify(Revision),
}

/// Why a watch was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its stream's queue was full, or its place in the ring was lost: the oldest revision that is kept.
    Compacted(Revision),
    /// The store gives no sign of life.
    Unavailable,
}

/// Ids of watches that were dropped.
pub(super) type Lost = Arc<Mutex<BTreeMap<i64, Loss>>>;

/// What is kept for a watch that begins: a place in the ring, so that a slow reader keeps nothing of it alive.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Arc<Mutex<State>>,
    pieces: Vec<KeyRange>,
    next: Revision,
    /// What comes later is delivered.
    end: Revision,
}

/// The reader was so slow that the ring went on without it: the oldest revision that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overtaken(pub(super) Revision);

impl Backlog {
    /// Where it goes on.
    pub(super) fn next(&self) -> Revision {
        self.next
    }

    /// The events of one more batch that are the watch's; `None` at the end.
    pub(super) fn next_batch(&mut self) -> Result<Option<Vec<Event>>, Overtaken> {
        if self.next > self.end {
            return Ok(None);
        }
        let batch = {
            let state = lock(&self.state);
            if self.next < state.oldest() {
                return Err(Overtaken(state.oldest()));
            }
            state.ring.since(self.next).next().cloned()
        };
        let Some(batch) = batch.filter(|batch| batch.revision <= self.end) else {
            return Ok(None);
        };
        let wanted = batch.events.iter().filter(|event| {
            event.revision() >= self.next
                && self.pieces.iter().any(|piece| piece.contains(event.key()))
        });
        let wanted = wanted.cloned().collect();
        self.next = batch.revision + 1;
        Ok(Some(wanted))
    }
}

/// A stream's end of things.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    pub(super) budget: Budget,
    pub(super) queue: mpsc::Sender<Delivery>,
    pub(super) lost: Lost,
    /// Woken when something is lost, for the queue may be empty then.
    pub(super) wake: Arc<tokio::sync::Notify>,
}

#[derive(Debug)]
struct Watcher {
    watch: i64,
    pieces: Vec<KeyRange>,
    buckets: Vec<Option<Bytes>>,
    next: Revision,
    outlet: Outlet,
}

/// How the watch on the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// Not opened yet.
    Starting,
    /// Alive.
    Up,
    /// Without a sign of life for too long.
    Down,
}

#[derive(Debug)]
struct State {
    /// Whole revisions from where a watcher may start up to `head`.
    ring: EventRing,
    /// The newest revision delivered.
    head: Revision,
    next_watcher: u64,
    watchers: BTreeMap<u64, Watcher>,
    /// Watchers by what their keys begin with; `None` for those that span tables.
    buckets: HashMap<Option<Bytes>, Vec<u64>>,
}

pub(super) struct Hub {
    store: Arc<dyn Store>,
    served: KeyRange,
    prefix: usize,
    state: Arc<Mutex<State>>,
    /// Changed under the state's lock only.
    up: tokio::sync::watch::Sender<Feed>,
    /// The last sign of life from the store.
    heard: Mutex<Instant>,
}

/// A registered watch; dropping it ends it.
pub(super) struct Registration {
    state: Arc<Mutex<State>>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.state).remove(self.id);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `key` up to and with its first `/` after the prefix, and its second.
fn segments(key: &Bytes, prefix: usize) -> [Option<Bytes>; 2] {
    let slash = |from: usize| {
        key.get(from..)?
            .iter()
            .position(|byte| *byte == b'/')
            .map(|at| from + at + 1)
    };
    let first = slash(prefix);
    let second = first.and_then(slash);
    [first, second].map(|end| end.map(|end| key.slice(..end)))
}

/// Where watchers of `keys` are kept.
fn bucket(keys: &KeyRange, prefix: usize) -> Option<Bytes> {
    let (start, end) = match keys {
        KeyRange::Key(key) => return Some(key.clone()),
        KeyRange::Span(start, end) => (start, end),
        KeyRange::From(_) => return None,
    };
    let [table, second] = segments(start, prefix);
    [second, table].into_iter().flatten().find(|segment| {
        matches!(KeyRange::prefix(segment.clone()), KeyRange::Span(_, last) if *end <= last)
    })
}

impl State {
    fn new(bounds: Bounds) -> Self {
        Self {
            ring: EventRing::new(bounds),
            head: 0,
            next_watcher: 0,
            watchers: BTreeMap::new(),
            buckets: HashMap::new(),
        }
    }

    /// The first revision that a watcher may start at.
    fn oldest(&self) -> Revision {
        self.ring.start().unwrap_or(self.head + 1)
    }

    fn remove(&mut self, id: u64) -> Option<Watcher> {
        let watcher = self.watchers.remove(&id)?;
        for bucket in &watcher.buckets {
            if let Some(ids) = self.buckets.get_mut(bucket) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.buckets.remove(bucket);
                }
            }
        }
        Some(watcher)
    }

    /// Ends a watch.
    fn lose(&mut self, id: u64, loss: Loss) {
        if let Some(watcher) = self.remove(id) {
            watcher
                .outlet
                .lost
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(watcher.watch, loss);
            watcher.outlet.wake.notify_one();
        }
    }

    /// Starts anew at `oldest`: nothing of what was is sure any more.
    fn reset(&mut self, oldest: Revision) {
        self.ring.clear(Some(oldest));
        self.head = oldest.saturating_sub(1);
        self.lose_all(Loss::Compacted(oldest));
    }

    fn lose_all(&mut self, loss: Loss) {
        let ids: Vec<_> = self.watchers.keys().copied().collect();
        for id in ids {
            self.lose(id, loss);
        }
    }

    fn push(&mut self, events: Vec<Event>, revision: Revision, prefix: usize) {
        let mut wanted: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
        for event in &events {
            let [table, second] = segments(event.key(), prefix);
            let exact = Some(event.key().clone());
            for bucket in [None, table, second, exact]
                .into_iter()
                .enumerate()
                // `None` is the bucket of those that span tables, and only the first.
                .filter(|(at, bucket)| *at == 0 || bucket.is_some())
                .map(|(_, bucket)| bucket)
            {
                for id in self.buckets.get(&bucket).into_iter().flatten() {
                    let Some(watcher) = self.watchers.get(id) else {
                        continue;
                    };
                    if event.revision() >= watcher.next
                        && watcher
                            .pieces
                            .iter()
                            .any(|piece| piece.contains(event.key()))
                    {
                        wanted.entry(*id).or_default().push(event.clone());
                    }
                }
            }
        }
        for (id, events) in wanted {
            let bytes = events.iter().map(event_bytes).sum();
            let sent = self.watchers.get(&id).is_none_or(|watcher| {
                let Some(held) = watcher.outlet.budget.take(bytes) else {
                    return false;
                };
                let delivery = Delivery::Events {
                    watch: watcher.watch,
                    events,
                    head: revision,
                    held,
                };
                watcher.outlet.queue.try_send(delivery).is_ok()
            });
            if !sent {
                // Its reader must list again.
                self.lose(id, Loss::Compacted(self.oldest()));
            }
        }
        self.ring.push(revision, events);
        self.head = revision;
    }
}

/// Why a watch was not registered.
pub(super) enum Refusal {
    /// Its start is not in the ring any more.
    Compacted(Revision),
    /// The server can't serve it now.
    Status(Status),
}

impl Hub {
    pub(super) fn new(store: Arc<dyn Store>, access: &Access, config: &FrontendConfig) -> Self {
        Self {
            store,
            served: access.served(),
            prefix: config.keys.prefix().len(),
            state: Arc::new(Mutex::new(State::new(Bounds {
                events: config.ring_events,
                bytes: config.ring_bytes,
                ..Bounds::NONE
            }))),
            up: tokio::sync::watch::Sender::new(Feed::Starting),
            heard: Mutex::new(Instant::now()),
        }
    }

    /// The newest revision that watchers have been handed.
    pub(super) fn head(&self) -> Revision {
        lock(&self.state).head
    }

    /// Forgets what lies before `revision`, as the store did.
    pub(super) fn compacted(&self, revision: Revision) {
        lock(&self.state).ring.forget_before(revision);
    }

    /// Registers a watch from `start` on; gives what is kept from there. What comes later goes to `outlet`.
    pub(super) async fn register(
        &self,
        watch: i64,
        pieces: Vec<KeyRange>,
        start: Revision,
        outlet: &Outlet,
    ) -> Result<(Registration, Backlog), Refusal> {
        let mut up = self.up.subscribe();
        let started = timeout(START_PATIENCE, up.wait_for(|feed| *feed != Feed::Starting));
        if !matches!(started.await, Ok(Ok(_))) {
            return Err(Refusal::Status(unavailable()));
        }
        let mut state = lock(&self.state);
        if *self.up.borrow() == Feed::Down {
            return Err(Refusal::Status(unavailable()));
        }
        if start < state.oldest() {
            return Err(Refusal::Compacted(state.oldest()));
        }
        let backlog = Backlog {
            state: Arc::clone(&self.state),
            pieces: pieces.clone(),
            next: start,
            end: state.head,
        };
        let id = state.next_watcher;
        state.next_watcher += 1;
        let mut buckets: Vec<_> = pieces
            .iter()
            .map(|piece| bucket(piece, self.prefix))
            .collect();
        buckets.sort();
        buckets.dedup();
        for bucket in &buckets {
            state.buckets.entry(bucket.clone()).or_default().push(id);
        }
        let next = start.max(state.head + 1);
        state.watchers.insert(
            id,
            Watcher {
                watch,
                pieces,
                buckets,
                next,
                outlet: outlet.clone(),
            },
        );
        let registration = Registration {
            state: Arc::clone(&self.state),
            id,
        };
        Ok((registration, backlog))
    }

    /// Puts the present head behind all that is queued. A full queue gets none: progress is a courtesy.
    pub(super) fn progress(&self, outlet: &Outlet) {
        let state = lock(&self.state);
        let _ = outlet.queue.try_send(Delivery::Progress(state.head));
    }

    /// The same, for the watches that want to be told unasked.
    pub(super) fn notify(&self, outlet: &Outlet) {
        let state = lock(&self.state);
        let _ = outlet.queue.try_send(Delivery::Notify(state.head));
    }

    /// Feeds the ring until `cancel`.
    pub(super) async fn run(&self, cancel: &CancellationToken) {
        self.hears();
        let both = async { tokio::join!(self.feed(), self.sends_away()) };
        cancel.run_until_cancelled(both).await;
    }

    /// Notes a sign of life.
    fn hears(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let _state = lock(&self.state);
        self.up.send_if_modified(|feed| {
            let was_down = *feed == Feed::Down;
            if was_down {
                *feed = Feed::Up;
            }
            was_down
        });
    }

    /// Ends the watchers whenever the store has given no sign of life for too long.
    async fn sends_away(&self) {
        let mut up = self.up.subscribe();
        loop {
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let due = heard + PATIENCE;
            if Instant::now() < due {
                sleep_until(due).await;
                continue;
            }
            {
                let mut state = lock(&self.state);
                tracing::warn!(
                    watchers = state.watchers.len(),
                    "the store gives no sign of life: watchers are sent to other servers"
                );
                self.up.send_replace(Feed::Down);
                state.lose_all(Loss::Unavailable);
            }
            // The sender is this hub's own.
            let _ = up.wait_for(|feed| *feed == Feed::Up).await;
        }
    }

    /// Follows the store. To list is to find where its history begins.
    async fn feed(&self) {
        let store = Arc::clone(&self.store);
        let patience = Patience {
            silence: SILENCE,
            call: SILENCE,
            min_pause: BACKOFF.0,
            max_pause: BACKOFF.1,
            seed: rand::random(),
        };
        let mut follows =
            ListWatch::new("what is watched here", store, self.served.clone(), patience);
        loop {
            let next = follows.next_checked(|| async {
                let status = self.store.status().await?;
                self.hears();
                Ok(Checked::At(status.revision))
            });
            match next.await {
                Next::List(_) => match self.begin().await {
                    Ok(start) => follows.listed(start - 1),
                    Err(error) => follows.list_failed(&error),
                },
                Next::Events { revision, events } => {
                    self.hears();
                    lock(&self.state).push(events, revision, self.prefix);
                }
                Next::Reached(revision) => {
                    self.hears();
                    let mut state = lock(&self.state);
                    state.head = state.head.max(revision);
                }
            }
        }
    }

    /// Starts the ring anew, as far back as the store still knows but not further than new watchers need; gives where.
    async fn begin(&self) -> Result<Revision, StoreError> {
        let revision = within(SILENCE, self.store.status()).await?.revision;
        let mut start = revision.saturating_sub(BACKLOG).max(1);
        while start <= revision {
            // Whether the start is gone shows with the first item, which only an empty backlog keeps waiting for.
            let mut stream = within(SILENCE, self.watch(start)).await?;
            match timeout(PROBE, stream.next()).await.ok().flatten() {
                Some(Err(StoreError::Compacted { oldest, .. })) => {
                    start = if oldest >= start && oldest <= revision {
                        oldest + 1
                    } else {
                        revision + 1
                    };
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(_)) | None => break,
            }
        }
        self.hears();
        let mut state = lock(&self.state);
        state.reset(start);
        self.up.send_replace(Feed::Up);
        Ok(start)
    }

    async fn watch(&self, start: Revision) -> Result<WatchStream, StoreError> {
        self.store
            .watch(WatchRequest {
                keys: self.served.clone(),
                start: Some(start),
            })
            .await
    }
}

/// What watchers are told while the store can't be reached.
pub(super) fn unavailable() -> Status {
    Status::unavailable("etcdserver: the store behind this server does not answer")
}

#[cfg(test)]
mod tests;
