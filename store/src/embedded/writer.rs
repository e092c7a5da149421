//! The one thread that writes: requests in groups, lease ends, and compaction's sweep in small steps between them.
//!
//! Invariant: `durable` never passes what the disk holds. When the disk fails, the group's callers are told, and the
//! index is read back from the disk before anything else is written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rove_model::ids::Revision;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use redb::WriteTransaction;

use super::disk::{Tables, Unopened, failed};
use super::guard::guarded;
use super::{RING_REVISIONS, Shared, quota};
use crate::engine::Rows as _;
use crate::keys::Keys;
use crate::store::{Event, KeyRange, LeaseId, Op, RangeRequest, StoreError, Txn, TxnResponse};

/// The most requests in a group, and the bytes after which no more are taken in.
const GROUP_REQUESTS: usize = 128;
const GROUP_BYTES: usize = 4 << 20;

/// Rows that one step of a sweep looks at.
const SWEEP_ROWS: usize = 2_000;

/// While the quota is nearly used up, history is given up no more often than this.
const RELIEVE_EVERY: Duration = Duration::from_secs(1);

/// A failed disk is tried again no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_millis(200);

/// A full disk is written to again no sooner than this, twice as long after each failure, up to the longest: each costs
/// opening the file anew.
const REWRITE_AFTER: Duration = Duration::from_millis(200);
const REWRITE_AFTER_AT_MOST: Duration = Duration::from_secs(10);

/// A commit that takes longer than this is worth a word: everything waits for it.
const SLOW: Duration = Duration::from_secs(1);

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What is asked of the writer.
pub(super) enum Request {
    Txn(Txn, Reply<TxnResponse>),
    Grant {
        ttl: i64,
        id: Option<LeaseId>,
        reply: Reply<(LeaseId, i64)>,
    },
    Revoke(LeaseId, Reply<()>),
    Compact(Revision, Reply<()>),
}

/// A request and its place in the queue.
pub(super) struct Work {
    pub(super) request: Request,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// An answer that waits for the disk.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    inbox: Receiver<Work>,
    swept: Revision,
    quota: u64,
    keys: Keys,
    /// A write found the quota used up.
    full: bool,
    /// When history may be given up again.
    relieve_at: Instant,
    /// When a failed disk is tried again.
    retry_at: Option<Instant>,
    /// The disk had no room: since how many tries, and when the next is due. Reads go on meanwhile.
    starved: Option<(u32, Instant)>,
}

/// What a group did so far.
#[derive(Default)]
struct Group {
    answers: Vec<Answer>,
    events: Vec<(Revision, Vec<Event>)>,
    /// Something is to be committed.
    dirty: bool,
}

impl Group {
    /// Keeps an answer until the disk has the group. A refusal that changed nothing waits too: it may rest on what
    /// the group wrote before it.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, result: Result<T, StoreError>) {
        self.answers.push(Box::new(move |disk| {
            // A caller that has gone doesn't need the answer.
            let _ = reply.send(disk.and(result));
        }));
    }

    fn wrote(&mut self, revision: Revision, events: Vec<Event>) {
        if !events.is_empty() {
            self.dirty = true;
            self.events.push((revision, events));
        }
    }
}

fn commit(write: WriteTransaction) -> Result<(), StoreError> {
    let began = Instant::now();
    let committed = write.commit().map_err(failed);
    let took = began.elapsed();
    if took > SLOW {
        tracing::warn!(
            ?took,
            "the disk under the store is slow: a commit took above {SLOW:?}"
        );
    }
    committed
}

/// Whether an error is the disk's, after which the index can't be trusted.
fn is_fatal(error: &StoreError) -> bool {
    matches!(error, StoreError::Disk(_) | StoreError::Corrupt(_))
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Work>,
        swept: Revision,
        quota: u64,
        keys: Keys,
    ) -> Self {
        Self {
            shared,
            inbox,
            swept,
            quota,
            keys,
            full: false,
            relieve_at: Instant::now(),
            retry_at: None,
            starved: None,
        }
    }

    pub(super) fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        loop {
            let first = match self.next() {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(error) = self.recover() {
                if let Some(work) = first {
                    refuse(work.request, error);
                }
                continue;
            }
            self.group(first);
            self.relieve();
            self.sweep();
        }
        self.shared.disk.close();
    }

    /// The next request, unless a lease's end or the sweep is due before.
    fn next(&self) -> Result<Work, RecvTimeoutError> {
        let wait = if self.retry_at.is_some() {
            REOPEN_AFTER
        } else if self.sweeping() {
            Duration::ZERO
        } else {
            let deadline = self.shared.engine().leases.next_deadline();
            deadline.map_or(Duration::from_secs(3_600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            })
        };
        // A file that is closed is opened for those who read, whatever else has to wait.
        let wait = if self.retry_at.is_some() {
            wait
        } else {
            wait.max(self.starves_for().unwrap_or_default())
        };
        self.inbox.recv_timeout(wait)
    }

    /// How long nothing is written yet because the disk had no room.
    fn starves_for(&self) -> Option<Duration> {
        let (_, due) = self.starved?;
        let left = due.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Opens the disk again after it failed.
    fn recover(&mut self) -> Result<(), StoreError> {
        let Some(retry_at) = self.retry_at else {
            return Ok(());
        };
        if Instant::now() < retry_at {
            return Err(StoreError::Disk(
                "it failed a moment ago and is not tried again yet".to_owned(),
            ));
        }
        match self.shared.disk.open(false) {
            Ok(loaded) => {
                let revision = loaded.engine.revision();
                tracing::info!(revision, "the store's disk works again");
                self.shared.in_use.store(loaded.in_use, Ordering::Relaxed);
                self.swept = loaded.swept;
                // What was committed as the disk failed is not in the ring: watchers read it from the disk.
                self.shared.ring().clear(None);
                *self.shared.engine_mut() = loaded.engine;
                self.shared.durable.send_replace(revision);
                self.retry_at = None;
                Ok(())
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + REOPEN_AFTER);
                Err(match error {
                    Unopened::Store(error) => error,
                    Unopened::Damaged(why) => StoreError::Corrupt(why),
                })
            }
        }
    }

    fn fail(&mut self, error: &StoreError) {
        let now = Instant::now();
        tracing::error!(%error, file = %self.shared.disk.path().display(), "the store's disk failed");
        self.shared.disk.close();
        self.retry_at = Some(now);
        if matches!(error, StoreError::NoSpace) {
            let tries = self.starved.map_or(0, |(tries, _)| tries.saturating_add(1));
            let pause = REWRITE_AFTER.saturating_mul(1 << tries.min(10));
            self.starved = Some((tries, now + pause.min(REWRITE_AFTER_AT_MOST)));
        }
    }

    fn group(&mut self, first: Option<Work>) {
        let expired = self
            .shared
            .engine()
            .leases
            .expired(Instant::now())
            .is_some();
        if first.is_none() && !expired {
            return;
        }
        if self.starves_for().is_some() {
            if let Some(work) = first {
                refuse(work.request, StoreError::NoSpace);
            }
            return;
        }
        let mut group = Group::default();
        // Permits are given back only when the group is done.
        let mut permits = Vec::new();
        let result = guarded(|| self.write(first, &mut group, &mut permits));
        match &result {
            Ok(()) => {
                self.starved = None;
                if let Some((revision, _)) = group.events.last() {
                    let revision = *revision;
                    {
                        let mut ring = self.shared.ring();
                        for (revision, events) in group.events {
                            ring.push(revision, events);
                        }
                    }
                    self.shared.durable.send_replace(revision);
                }
            }
            Err(error) => self.fail(error),
        }
        for answer in group.answers {
            answer(result.clone());
        }
    }

    fn write(
        &mut self,
        first: Option<Work>,
        group: &mut Group,
        permits: &mut Vec<OwnedSemaphorePermit>,
    ) -> Result<(), StoreError> {
        let mut failure = None;
        let write = match self.shared.disk.begin() {
            Ok(write) => write,
            Err(error) => {
                if let Some(work) = first {
                    refuse(work.request, error.clone());
                }
                return Err(error);
            }
        };
        let mut tables = match Tables::open(&write) {
            Ok(tables) => tables,
            Err(error) => {
                if let Some(work) = first {
                    refuse(work.request, error.clone());
                }
                return Err(error);
            }
        };
        let mut bytes = 0;
        let mut next = first;
        if let Err(error) = self.expire(&mut tables, group) {
            failure = Some(error);
        }
        while let Some(Work { request, _permit }) = next.take() {
            permits.push(_permit);
            if let Some(error) = &failure {
                refuse(request, error.clone());
            } else {
                if let Request::Txn(txn, _) = &request {
                    bytes += crate::engine::txn_size(txn);
                }
                failure = self.one(request, &mut tables, group).err();
            }
            if permits.len() < GROUP_REQUESTS && bytes < GROUP_BYTES && failure.is_none() {
                next = self.inbox.try_recv().ok();
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !group.dirty {
            return Ok(());
        }
        let revision = self.shared.engine().revision();
        tables.mark("revision", revision)?;
        let (added, removed) = tables.finish()?;
        commit(write)?;
        self.account(added, removed);
        Ok(())
    }

    fn account(&self, added: u64, removed: u64) {
        let in_use = self.shared.in_use.load(Ordering::Relaxed);
        self.shared
            .in_use
            .store((in_use + added).saturating_sub(removed), Ordering::Relaxed);
    }

    /// Removes the leases whose time is up.
    fn expire(&self, tables: &mut Tables<'_>, group: &mut Group) -> Result<(), StoreError> {
        let now = Instant::now();
        loop {
            let mut engine = self.shared.engine_mut();
            let Some(id) = engine.leases.expired(now) else {
                return Ok(());
            };
            let events = engine.revoke(id, tables)?;
            let revision = engine.revision();
            drop(engine);
            tables.remove_lease(id)?;
            group.dirty = true;
            group.wrote(revision, events);
        }
    }

    /// Does one request. An error is the disk's; the request has been answered then, or will be with the group.
    fn one(
        &mut self,
        request: Request,
        tables: &mut Tables<'_>,
        group: &mut Group,
    ) -> Result<(), StoreError> {
        match request {
            Request::Txn(txn, reply) => {
                let puts = |ops: &[Op]| ops.iter().any(|op| matches!(op, Op::Put { .. }));
                if (puts(&txn.then) || puts(&txn.otherwise)) && self.is_full(tables) {
                    self.full = true;
                    match self.takes_when_full(&txn, tables) {
                        Ok(true) => {}
                        Ok(false) => {
                            group.answer(reply, Err(StoreError::NoSpace));
                            return Ok(());
                        }
                        Err(error) => {
                            group.answer(reply, Err(error.clone()));
                            return Err(error);
                        }
                    }
                }
                let mut engine = self.shared.engine_mut();
                let applied = engine.txn(&txn, tables);
                drop(engine);
                settle(applied, reply, group, |group, applied| {
                    group.wrote(applied.response.revision, applied.events);
                    applied.response
                })
            }
            Request::Grant { ttl, id, reply } => {
                let granted = self
                    .shared
                    .engine_mut()
                    .grant(ttl, id, Instant::now(), || rand::random::<i64>() >> 1);
                if let Ok((id, ttl)) = &granted {
                    group.dirty = true;
                    if let Err(error) = tables.put_lease(*id, *ttl) {
                        group.answer(reply, Err(error.clone()));
                        return Err(error);
                    }
                }
                group.answer(reply, granted);
                Ok(())
            }
            Request::Revoke(id, reply) => {
                let mut engine = self.shared.engine_mut();
                let events = engine.revoke(id, tables);
                let revision = engine.revision();
                drop(engine);
                let revoked = events.and_then(|events| {
                    tables.remove_lease(id)?;
                    Ok(events)
                });
                settle(revoked, reply, group, |group, events| {
                    group.dirty = true;
                    group.wrote(revision, events);
                })
            }
            Request::Compact(revision, reply) => {
                let checked = {
                    let mut engine = self.shared.engine_mut();
                    let newest = engine.revision();
                    let checked = engine.check_compact(revision, newest);
                    if checked.is_ok() {
                        engine.mark_compacted(revision);
                    }
                    checked
                };
                let marked = checked.and_then(|()| tables.mark("compacted", revision));
                settle(marked, reply, group, |group, ()| group.dirty = true)
            }
        }
    }

    fn in_use(&self, tables: &Tables<'_>) -> u64 {
        let in_use = self.shared.in_use.load(Ordering::Relaxed) + tables.added;
        in_use.saturating_sub(tables.removed)
    }

    fn is_full(&self, tables: &Tables<'_>) -> bool {
        self.in_use(tables) >= self.quota
    }

    fn takes_when_full(&self, txn: &Txn, tables: &Tables<'_>) -> Result<bool, StoreError> {
        let engine = self.shared.engine();
        let length = |key: &bytes::Bytes| {
            let request = RangeRequest::new(KeyRange::Key(key.clone()));
            let found = engine.list(&request, engine.revision()).found.pop();
            found
                .map(|found| tables.value(found.place, &()).map(|value| value.len()))
                .transpose()
        };
        let need = quota::need(&self.keys, txn, length)?;
        Ok(self.in_use(tables) < need.limit(self.quota))
    }

    /// Gives history up, whoever else compacts, when the quota is nearly used up: all but what watchers are likely to
    /// want still, and all of it when it is used up.
    fn relieve(&mut self) {
        let full = std::mem::take(&mut self.full);
        let in_use = self.shared.in_use.load(Ordering::Relaxed);
        let now = Instant::now();
        let due = full || (in_use >= self.quota - self.quota / 16 && now >= self.relieve_at);
        if !due || self.retry_at.is_some() || self.starves_for().is_some() || self.sweeping() {
            return;
        }
        let newest = self.shared.durable();
        let upto = if full {
            newest
        } else {
            newest.saturating_sub(RING_REVISIONS as Revision)
        };
        if upto <= self.shared.engine().compacted() {
            return;
        }
        self.relieve_at = now + RELIEVE_EVERY;
        if let Err(error) = guarded(|| self.give_up(upto)) {
            self.fail(&error);
            return;
        }
        tracing::info!(
            in_use,
            quota = self.quota,
            upto,
            "the store is nearly full: its history is given up"
        );
    }

    fn give_up(&self, upto: Revision) -> Result<(), StoreError> {
        let write = self.shared.disk.begin()?;
        let mut tables = Tables::open(&write)?;
        tables.mark("compacted", upto)?;
        tables.finish()?;
        self.shared.engine_mut().mark_compacted(upto);
        commit(write)
    }

    fn sweeping(&self) -> bool {
        self.swept < self.shared.engine().compacted()
    }

    /// One step of taking away the rows that compaction has given up.
    fn sweep(&mut self) {
        if self.retry_at.is_some() || self.starves_for().is_some() || !self.sweeping() {
            return;
        }
        if let Err(error) = guarded(|| self.sweep_step()) {
            self.fail(&error);
        }
    }

    fn sweep_step(&mut self) -> Result<(), StoreError> {
        let compacted = self.shared.engine().compacted();
        let write = self.shared.disk.begin()?;
        let mut tables = Tables::open(&write)?;
        let (keys, next) = tables.keys(self.swept, compacted, SWEEP_ROWS)?;
        for key in keys {
            let places = self.shared.engine_mut().prune(&key);
            for place in places {
                tables.remove_row(place)?;
            }
        }
        tables.mark("swept", next)?;
        let (added, removed) = tables.finish()?;
        commit(write)?;
        self.account(added, removed);
        self.swept = next;
        Ok(())
    }
}

/// Takes a result into the group: what was done is kept, a refusal is answered, and an error of the disk is both
/// answered and given back.
fn settle<R, T: Send + 'static>(
    result: Result<R, StoreError>,
    reply: Reply<T>,
    group: &mut Group,
    done: impl FnOnce(&mut Group, R) -> T,
) -> Result<(), StoreError> {
    match result {
        Ok(result) => {
            let answer = done(group, result);
            group.answer(reply, Ok(answer));
            Ok(())
        }
        Err(error) => {
            let fatal = is_fatal(&error) || matches!(error, StoreError::NoSpace);
            group.answer(reply, Err(error.clone()));
            if fatal { Err(error) } else { Ok(()) }
        }
    }
}

fn refuse(request: Request, error: StoreError) {
    // A caller that has gone doesn't need the answer.
    match request {
        Request::Txn(_, reply) => drop(reply.send(Err(error))),
        Request::Grant { reply, .. } => drop(reply.send(Err(error))),
        Request::Revoke(_, reply) | Request::Compact(_, reply) => {
            drop(reply.send(Err(error)));
        }
    }
}

/// Tells watchers when the writer ends, even by a panic.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.durable.send_modify(|_| {});
    }
}
