//! One watch on the store below, for all watches of this process.
//!
//! Recent events are kept in a ring, bounded in bytes and number. A watcher that starts within the ring is served from
//! it; from then on its events are put into its stream's bounded queue as they come. Watchers are found by the table
//! and node in a key, not tried in turn. Whoever starts before the ring, or doesn't keep up with its queue, is told that its
//! start was compacted away. While the store gives no sign of life, nobody is kept waiting here: watchers are ended as
//! unavailable, so that they go to another server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rove_model::ids::Revision;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::FrontendConfig;
use super::access::Access;
use crate::store::{Event, KeyRange, Store, StoreError, WatchEvent, WatchRequest, WatchStream};

/// How far back the ring reaches when a server starts, so that agents coming back from another find their place.
const BACKLOG: Revision = 5_000;

/// Waits between tries at the store.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(2);

/// How long a watcher waits for a server that is just starting.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A watch on the store that says nothing for so long makes the hub ask the store; an answer takes no longer either.
const SILENCE: Duration = Duration::from_secs(3);

/// Without a sign of life from the store for so long, watchers are sent elsewhere. Above twice the silence, so that
/// one question can be answered before.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a second watch may take to show what the first one keeps back.
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

/// The most bytes of events that wait for the readers of one connection: as many as the ring holds.
const CONNECTION_BYTES: usize = 16 << 20;

/// The most that wait for the readers of all connections. What is new for a reader that was told all before gets
/// through beyond it, up to the second bound.
const ALL_BYTES: usize = 48 << 20;
const ALL_BYTES_AT_MOST: usize = 80 << 20;

/// Bytes that wait for the readers of one connection, and of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(pub(super) Arc<AtomicUsize>, pub(super) Arc<AtomicUsize>);

impl Budget {
    fn add(&self, bytes: usize) -> (usize, usize, Held) {
        let own = self.0.fetch_add(bytes, Ordering::Relaxed);
        let all = self.1.fetch_add(bytes, Ordering::Relaxed);
        let held = Held {
            bytes,
            budget: self.clone(),
        };
        (own, all + bytes, held)
    }

    /// Takes some, if they are left.
    fn take(&self, bytes: usize) -> Option<Held> {
        let (before, all, held) = self.add(bytes);
        // Whatever their size, events of one delivery get through when nothing else waits.
        let is_first = before == 0;
        let fits = is_first || before + bytes <= CONNECTION_BYTES;
        let most = if is_first {
            ALL_BYTES_AT_MOST
        } else {
            ALL_BYTES
        };
        (fits && all <= most).then_some(held)
    }

    /// Takes some for events that were taken in before and are on their way out now.
    pub(super) fn carry(&self, bytes: usize) -> Option<Held> {
        let (_, all, held) = self.add(bytes);
        (all <= ALL_BYTES_AT_MOST).then_some(held)
    }
}

/// Bytes of a budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    budget: Budget,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.1.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the ring holds of a watch that begins: its batches, shared, to be looked through as they are sent.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    batches: VecDeque<Arc<[Event]>>,
    pieces: Vec<KeyRange>,
    start: Revision,
}

impl Backlog {
    /// The events of one more batch that are the watch's; `None` at the end.
    pub(super) fn next_batch(&mut self) -> Option<Vec<Event>> {
        let batch = self.batches.pop_front()?;
        let wanted = batch.iter().filter(|event| {
            event.revision() >= self.start
                && self.pieces.iter().any(|piece| piece.contains(event.key()))
        });
        Some(wanted.cloned().collect())
    }
}

/// A stream's end of things.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) budget: Budget,
    pub(super) queue: mpsc::Sender<Delivery>,
    pub(super) lost: Lost,
    /// Woken when something is lost, for the queue may be empty then.
    pub(super) wake: Arc<tokio::sync::Notify>,
}

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

#[derive(Default)]
struct State {
    /// Batches of whole revisions, in order, without gaps from `oldest` to `head`.
    ring: VecDeque<Arc<[Event]>>,
    events: usize,
    bytes: usize,
    /// The first revision that a watcher may start at.
    oldest: Revision,
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
    ring_bytes: usize,
    ring_events: usize,
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

pub(super) fn event_bytes(event: &Event) -> usize {
    // The allocation around an event counts too: many are small.
    const AROUND: usize = 128;
    AROUND
        + match event {
            Event::Put(kv) => kv.key.len() + kv.value.len(),
            Event::Delete { key, .. } => key.len(),
        }
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
        self.ring.clear();
        self.events = 0;
        self.bytes = 0;
        self.oldest = oldest;
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
                self.lose(id, Loss::Compacted(self.oldest));
            }
        }
        self.events += events.len();
        self.bytes += events.iter().map(event_bytes).sum::<usize>();
        self.ring.push_back(events.into());
        self.head = revision;
    }

    fn trim(&mut self, events: usize, bytes: usize) {
        while self.events > events || self.bytes > bytes {
            let Some(batch) = self.ring.pop_front() else {
                break;
            };
            self.events -= batch.len();
            self.bytes -= batch.iter().map(event_bytes).sum::<usize>();
            if let Some(last) = batch.last() {
                self.oldest = last.revision() + 1;
            }
        }
    }

    /// Everything kept from `start` on that lies in `pieces`.
    fn backlog(&self, pieces: &[KeyRange], start: Revision) -> Backlog {
        let from = self
            .ring
            .partition_point(|batch| batch.last().is_none_or(|event| event.revision() < start));
        Backlog {
            batches: self.ring.iter().skip(from).cloned().collect(),
            pieces: pieces.to_vec(),
            start,
        }
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
            ring_bytes: config.ring_bytes,
            ring_events: config.ring_events,
            state: Arc::default(),
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
        let mut state = lock(&self.state);
        while state
            .ring
            .front()
            .and_then(|batch| batch.last())
            .is_some_and(|event| event.revision() < revision)
        {
            if let Some(batch) = state.ring.pop_front() {
                state.events -= batch.len();
                state.bytes -= batch.iter().map(event_bytes).sum::<usize>();
            }
        }
        state.oldest = state.oldest.max(revision);
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
        if start < state.oldest {
            return Err(Refusal::Compacted(state.oldest));
        }
        let backlog = state.backlog(&pieces, start);
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

    /// Feeds the ring until `cancel`.
    pub(super) async fn run(&self, cancel: &CancellationToken) {
        self.hears();
        let feed = async {
            let mut wait = *BACKOFF.start();
            let mut resume = None;
            loop {
                let (next, error) = self.feed(resume).await;
                if next != resume {
                    wait = *BACKOFF.start();
                }
                resume = next;
                tracing::warn!(%error, "the watch on the store broke");
                sleep(wait).await;
                wait = (wait * 2).min(*BACKOFF.end());
            }
        };
        let both = async { tokio::join!(feed, self.sends_away()) };
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

    /// Watches the store from `resume` on, or from where it begins, until the watch ends; gives where to go on.
    async fn feed(&self, resume: Option<Revision>) -> (Option<Revision>, StoreError) {
        let (mut next, mut stream) = match self.open(resume).await {
            Ok(opened) => opened,
            Err(error) => return (resume, error),
        };
        let mut looked = 0;
        loop {
            let item = self.item(&mut stream, next, &mut looked).await;
            if matches!(item, Some(Ok(_))) {
                self.hears();
            }
            match item {
                Some(Ok(WatchEvent::Batch { revision, events })) => {
                    let mut state = lock(&self.state);
                    state.push(events, revision, self.prefix);
                    state.trim(self.ring_events, self.ring_bytes);
                    next = revision + 1;
                }
                Some(Ok(WatchEvent::Progress { revision })) => {
                    let mut state = lock(&self.state);
                    state.head = state.head.max(revision);
                    next = next.max(revision + 1);
                }
                Some(Err(error @ StoreError::Compacted { .. })) => return (None, error),
                Some(Err(error)) => return (Some(next), error),
                None => {
                    let ended = StoreError::Unavailable("the watch ended".to_owned());
                    return (Some(next), ended);
                }
            }
        }
    }

    /// The next item. In silence the store is asked whether it is still there and has anything since `next`; what it
    /// has may be of keys that are not served, so a second watch tells, once for each revision `looked` at.
    async fn item(
        &self,
        stream: &mut WatchStream,
        next: Revision,
        looked: &mut Revision,
    ) -> Option<Result<WatchEvent, StoreError>> {
        loop {
            if let Ok(item) = timeout(SILENCE, stream.next()).await {
                return item;
            }
            let revision = match within(self.store.status()).await {
                Ok(status) => status.revision,
                Err(error) => return Some(Err(error)),
            };
            if revision + 1 < next {
                return Some(Err(StoreError::Unavailable(format!(
                    "the store went back to revision {revision}"
                ))));
            }
            if revision >= next && revision > *looked {
                let mut second = match within(self.watch(next)).await {
                    Ok(second) => second,
                    Err(error) => return Some(Err(error)),
                };
                *looked = revision;
                tokio::select! {
                    biased;
                    item = stream.next() => return item,
                    item = second.next() => if let Some(Ok(event)) = item {
                        tracing::warn!(next, "the watch on the store was stuck");
                        *stream = second;
                        return Some(Ok(event));
                    },
                    () = sleep(PROBE) => {}
                }
            }
            self.hears();
        }
    }

    async fn open(&self, resume: Option<Revision>) -> Result<(Revision, WatchStream), StoreError> {
        let revision = within(self.store.status()).await?.revision;
        // A store that is behind what was seen of it was restored: what watchers know may never have been.
        let resume = resume.filter(|resume| *resume <= revision + 1);
        if let Some(next) = resume {
            let stream = within(self.watch(next)).await?;
            self.hears();
            return Ok((next, stream));
        }
        let mut start = revision.saturating_sub(BACKLOG).max(1);
        loop {
            let mut stream = within(self.watch(start)).await?;
            // Whether the start is gone shows with the first item, which only an empty backlog keeps waiting for.
            let first = if start > revision {
                None
            } else {
                timeout(PROBE, stream.next()).await.ok().flatten()
            };
            let first = match first {
                Some(Err(StoreError::Compacted { oldest, .. })) => {
                    start = if oldest >= start && oldest > 0 && oldest <= revision {
                        oldest + 1
                    } else {
                        revision + 1
                    };
                    continue;
                }
                Some(Err(error)) => return Err(error),
                first => first,
            };
            self.hears();
            let mut state = lock(&self.state);
            state.reset(start);
            self.up.send_replace(Feed::Up);
            return Ok((start, futures::stream::iter(first).chain(stream).boxed()));
        }
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

async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(SILENCE, answer)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
}

/// What watchers are told while the store can't be reached.
pub(super) fn unavailable() -> Status {
    Status::unavailable("etcdserver: the store behind this server does not answer")
}

#[cfg(test)]
mod tests;
