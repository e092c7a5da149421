//! A store that fails on purpose: a wrapper for simulation and tests.
//!
//! Every fault is drawn from one seeded generator, so under a paused clock in a single-threaded runtime a seed replays
//! a run. Faults are only such as a real store shows, and each that struck is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rove_model::ids::Revision;
use tokio::task::JoinSet;

use crate::store::{
    LeaseId, Op, RangeRequest, RangeResponse, Store, StoreError, StoreStatus, Txn, TxnResponse,
    WatchEvent, WatchRequest, WatchStream,
};

/// How likely each fault is, from 0 to 1, for each call (or each delivery of a watch).
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A transaction with compares is answered as if one did not hold; its other branch is done.
    pub conflict: f64,
    /// A write is done, its answer is lost.
    pub lost_answer: f64,
    /// A write is answered as one that came to nothing, and is done later than that: it was still on its way.
    pub late_write: f64,
    /// The longest time by which such a write is late.
    pub max_lateness: Duration,
    /// A call fails before anything is done.
    pub unavailable: f64,
    /// A transaction is refused because the store is full.
    pub no_space: f64,
    /// A call or a delivery waits.
    pub delay: f64,
    /// The longest wait.
    pub max_delay: Duration,
    /// A delivery of a watch waits for seconds: what is seen by it is stale, and states in between are missed.
    pub lagging_watch: f64,
    /// The longest such wait.
    pub max_lag: Duration,
    /// A watch ends with an error instead of its next delivery.
    pub broken_watch: f64,
    /// A watch ends as compacted away instead of its next delivery.
    pub compacted_watch: f64,
    /// A watch says nothing any more and doesn't end, as behind a connection that is dead and not known to be.
    pub silent_watch: f64,
    /// A read of the newest shows an older revision.
    pub stale_read: f64,
    /// A stale read is at most so many revisions behind.
    pub max_staleness: Revision,
}

impl Default for Faults {
    /// No fault at all.
    fn default() -> Self {
        Self {
            conflict: 0.0,
            lost_answer: 0.0,
            late_write: 0.0,
            // etcd gives a request up after 7 s.
            max_lateness: Duration::from_secs(8),
            unavailable: 0.0,
            no_space: 0.0,
            delay: 0.0,
            max_delay: Duration::from_millis(500),
            lagging_watch: 0.0,
            max_lag: Duration::from_secs(5),
            broken_watch: 0.0,
            compacted_watch: 0.0,
            silent_watch: 0.0,
            stale_read: 0.0,
            max_staleness: 20,
        }
    }
}

impl Faults {
    /// Every fault that passes by itself, with the same likelihood; a full store stays full.
    #[must_use]
    pub fn all(likelihood: f64) -> Self {
        Self {
            conflict: likelihood,
            lost_answer: likelihood,
            late_write: likelihood,
            unavailable: likelihood,
            no_space: 0.0,
            delay: likelihood,
            lagging_watch: likelihood,
            broken_watch: likelihood,
            compacted_watch: likelihood,
            silent_watch: likelihood,
            stale_read: likelihood,
            ..Self::default()
        }
    }
}

/// How often each fault struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of Faults")]
pub struct FaultCounts {
    pub conflict: u64,
    pub lost_answer: u64,
    pub late_write: u64,
    pub unavailable: u64,
    pub no_space: u64,
    pub delay: u64,
    pub lagging_watch: u64,
    pub broken_watch: u64,
    pub compacted_watch: u64,
    pub silent_watch: u64,
    pub stale_read: u64,
}

impl FaultCounts {
    /// Each fault's name and count, for a report.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("conflict", self.conflict),
            ("lost_answer", self.lost_answer),
            ("late_write", self.late_write),
            ("unavailable", self.unavailable),
            ("no_space", self.no_space),
            ("delay", self.delay),
            ("lagging_watch", self.lagging_watch),
            ("broken_watch", self.broken_watch),
            ("compacted_watch", self.compacted_watch),
            ("silent_watch", self.silent_watch),
            ("stale_read", self.stale_read),
        ]
    }
}

#[derive(Default)]
struct Counters {
    conflict: AtomicU64,
    lost_answer: AtomicU64,
    late_write: AtomicU64,
    unavailable: AtomicU64,
    no_space: AtomicU64,
    delay: AtomicU64,
    lagging_watch: AtomicU64,
    broken_watch: AtomicU64,
    compacted_watch: AtomicU64,
    silent_watch: AtomicU64,
    stale_read: AtomicU64,
}

/// What the wrapper and its watches share.
struct Dice {
    rng: Mutex<StdRng>,
    faults: Mutex<Faults>,
    counters: Counters,
    /// Writes that are still on their way.
    late: Mutex<JoinSet<()>>,
    /// Writes that are answered before the process behind this wrapper stands still, if it is to.
    answers_left: Mutex<Option<u64>>,
}

impl Dice {
    fn faults(&self) -> Faults {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn strikes(&self, likelihood: f64, counter: &AtomicU64) -> bool {
        if likelihood <= 0.0 {
            return false;
        }
        let struck = self
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_bool(likelihood.min(1.0));
        if struck {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        struck
    }

    fn up_to(&self, most: u64) -> u64 {
        self.rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_range(1..=most.max(1))
    }

    fn time_up_to(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.up_to(most))
    }

    async fn delay(&self, faults: &Faults) {
        if self.strikes(faults.delay, &self.counters.delay) {
            tokio::time::sleep(self.time_up_to(faults.max_delay)).await;
        }
    }

    /// Does `write` some time later, if this fault strikes.
    fn is_late<F>(&self, faults: &Faults, write: impl FnOnce() -> F) -> Result<(), StoreError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !self.strikes(faults.late_write, &self.counters.late_write) {
            return Ok(());
        }
        let by = self.time_up_to(faults.max_lateness);
        let write = write();
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        while late.try_join_next().is_some() {}
        late.spawn(async move {
            tokio::time::sleep(by).await;
            write.await;
        });
        Err(StoreError::Unavailable(
            "injected: it is done later".to_owned(),
        ))
    }

    fn stands_still(&self) -> bool {
        *self
            .answers_left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            == Some(0)
    }

    /// A write was done: its answer comes, unless the process was to stand still by now.
    async fn answer(&self) {
        let stopped = {
            let mut left = self
                .answers_left
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match left.as_mut() {
                None => false,
                Some(left) => {
                    *left = left.saturating_sub(1);
                    *left == 0
                }
            }
        };
        if stopped {
            std::future::pending::<()>().await;
        }
    }

    /// What may happen before any call.
    async fn before(&self) -> Result<Faults, StoreError> {
        if self.stands_still() {
            std::future::pending::<()>().await;
        }
        let faults = self.faults();
        self.delay(&faults).await;
        if self.strikes(faults.unavailable, &self.counters.unavailable) {
            return Err(StoreError::Unavailable(
                "injected: nothing was done".to_owned(),
            ));
        }
        Ok(faults)
    }

    /// What may happen after a write.
    fn after<T>(&self, faults: &Faults, answer: T) -> Result<T, StoreError> {
        if self.strikes(faults.lost_answer, &self.counters.lost_answer) {
            return Err(StoreError::Unavailable(
                "injected: the answer was lost".to_owned(),
            ));
        }
        Ok(answer)
    }
}

/// See the module. Clones share the generator, the likelihoods and the counters.
pub struct FaultyStore<S: ?Sized> {
    dice: Arc<Dice>,
    store: Arc<S>,
}

impl<S: ?Sized> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self {
            dice: Arc::clone(&self.dice),
            store: Arc::clone(&self.store),
        }
    }
}

impl<S: Store + ?Sized> FaultyStore<S> {
    /// Wraps `store`.
    #[must_use]
    pub fn new(store: Arc<S>, seed: u64, faults: Faults) -> Self {
        Self {
            dice: Arc::new(Dice {
                rng: Mutex::new(StdRng::seed_from_u64(seed)),
                faults: Mutex::new(faults),
                counters: Counters::default(),
                late: Mutex::default(),
                answers_left: Mutex::default(),
            }),
            store,
        }
    }

    /// Sets the likelihoods, from now on and for open watches too.
    pub fn set_faults(&self, faults: Faults) {
        *self
            .dice
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Lets `writes` more transactions be done; the last of them and whatever is called then gets no answer any more, as
    /// if the process had been stopped just there. Until [`FaultyStore::go_on`].
    pub fn stand_still_after(&self, writes: u64) {
        self.set_answers_left(Some(writes.max(1)));
    }

    /// Answers again, as to a process that was started anew.
    pub fn go_on(&self) {
        self.set_answers_left(None);
    }

    fn set_answers_left(&self, to: Option<u64>) {
        *self
            .dice
            .answers_left
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Whether it stands still by now.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.dice.stands_still()
    }

    /// How often each fault struck so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        let counters = &self.dice.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FaultCounts {
            conflict: read(&counters.conflict),
            lost_answer: read(&counters.lost_answer),
            late_write: read(&counters.late_write),
            unavailable: read(&counters.unavailable),
            no_space: read(&counters.no_space),
            delay: read(&counters.delay),
            lagging_watch: read(&counters.lagging_watch),
            broken_watch: read(&counters.broken_watch),
            compacted_watch: read(&counters.compacted_watch),
            silent_watch: read(&counters.silent_watch),
            stale_read: read(&counters.stale_read),
        }
    }

    /// The store underneath.
    #[must_use]
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    /// An older view of what `request` asks for, if there is one.
    async fn stale(&self, request: &RangeRequest, faults: &Faults) -> Option<RangeResponse> {
        let newest = self.store.status().await.ok()?.revision;
        let revision = newest
            .checked_sub(self.dice.up_to(faults.max_staleness))
            .filter(|revision| *revision > 0)?;
        let request = RangeRequest {
            revision: Some(revision),
            ..request.clone()
        };
        let mut answer = self.store.range(request).await.ok()?;
        answer.revision = revision;
        Some(answer)
    }
}

#[async_trait]
impl<S: Store + ?Sized + 'static> Store for FaultyStore<S> {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        let faults = self.dice.before().await?;
        // Drawn first and counted only when it came about.
        let uncounted = AtomicU64::new(0);
        if request.revision.is_none()
            && self.dice.strikes(faults.stale_read, &uncounted)
            && let Some(answer) = self.stale(&request, &faults).await
        {
            self.dice
                .counters
                .stale_read
                .fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        self.store.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        let faults = self.dice.before().await?;
        if self
            .dice
            .strikes(faults.no_space, &self.dice.counters.no_space)
        {
            return Err(StoreError::NoSpace);
        }
        if !txn.compares.is_empty()
            && self
                .dice
                .strikes(faults.conflict, &self.dice.counters.conflict)
        {
            let other = Txn {
                compares: Vec::new(),
                then: txn.otherwise,
                otherwise: Vec::new(),
            };
            let mut answer = self.store.txn(other).await?;
            answer.succeeded = false;
            return Ok(answer);
        }
        let writes = txn.then.iter().chain(&txn.otherwise);
        let writes = writes.filter(|op| !matches!(op, Op::Range(_))).count() > 0;
        if writes {
            let (store, late) = (self.store.clone(), txn.clone());
            self.dice
                .is_late(&faults, || async move { drop(store.txn(late).await) })?;
        }
        let answer = self.store.txn(txn).await?;
        if !writes {
            return Ok(answer);
        }
        self.dice.answer().await;
        self.dice.after(&faults, answer)
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        self.dice.before().await?;
        let start = request.start.unwrap_or(0);
        let stream = self.store.watch(request).await?;
        let watch = FaultyWatch {
            dice: Arc::clone(&self.dice),
            stream,
            next: start,
            ended: false,
        };
        Ok(futures::stream::unfold(watch, FaultyWatch::step).boxed())
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        let faults = self.dice.before().await?;
        let store = self.store.clone();
        self.dice.is_late(
            &faults,
            || async move { drop(store.lease_grant(ttl, id).await) },
        )?;
        let answer = self.store.lease_grant(ttl, id).await?;
        self.dice.after(&faults, answer)
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        let faults = self.dice.before().await?;
        let store = self.store.clone();
        self.dice.is_late(
            &faults,
            || async move { drop(store.lease_keep_alive(id).await) },
        )?;
        let answer = self.store.lease_keep_alive(id).await?;
        self.dice.after(&faults, answer)
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        let faults = self.dice.before().await?;
        let store = self.store.clone();
        self.dice.is_late(
            &faults,
            || async move { drop(store.lease_revoke(id).await) },
        )?;
        self.store.lease_revoke(id).await?;
        self.dice.after(&faults, ())
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        self.dice.before().await?;
        self.store.lease_time_to_live(id).await
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        self.dice.before().await?;
        self.store.leases().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let faults = self.dice.before().await?;
        self.store.compact(revision).await?;
        self.dice.after(&faults, ())
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.dice.before().await?;
        self.store.status().await
    }
}

struct FaultyWatch {
    dice: Arc<Dice>,
    stream: WatchStream,
    /// The first revision not delivered yet, as far as known.
    next: Revision,
    ended: bool,
}

impl FaultyWatch {
    async fn step(mut self) -> Option<(Result<WatchEvent, StoreError>, Self)> {
        if self.ended {
            return None;
        }
        let item = self.stream.next().await?;
        let faults = self.dice.faults();
        self.dice.delay(&faults).await;
        let counters = &self.dice.counters;
        if self
            .dice
            .strikes(faults.lagging_watch, &counters.lagging_watch)
        {
            tokio::time::sleep(self.dice.time_up_to(faults.max_lag)).await;
        }
        let is_silent = self
            .dice
            .strikes(faults.silent_watch, &counters.silent_watch);
        if is_silent || self.dice.stands_still() {
            std::future::pending::<()>().await;
        }
        let item = match item {
            Ok(_)
                if self
                    .dice
                    .strikes(faults.broken_watch, &counters.broken_watch) =>
            {
                Err(StoreError::Unavailable(
                    "injected: the watch broke".to_owned(),
                ))
            }
            Ok(WatchEvent::Batch { revision, .. } | WatchEvent::Progress { revision })
                if self
                    .dice
                    .strikes(faults.compacted_watch, &counters.compacted_watch) =>
            {
                Err(StoreError::Compacted {
                    requested: self.next,
                    oldest: revision,
                })
            }
            other => other,
        };
        match &item {
            Ok(WatchEvent::Batch { revision, .. } | WatchEvent::Progress { revision }) => {
                self.next = revision + 1;
            }
            Err(_) => self.ended = true,
        }
        Some((item, self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::memory::MemoryStore;
    use crate::store::{Compare, KeyRange, Op};

    fn faulty(faults: Faults) -> FaultyStore<MemoryStore> {
        FaultyStore::new(Arc::new(MemoryStore::new()), 7, faults)
    }

    fn write(key: &'static str) -> Txn {
        Txn {
            compares: vec![Compare::absent(key)],
            then: vec![Op::put(key, "1")],
            otherwise: vec![Op::put("conflicts", "1")],
        }
    }

    #[tokio::test]
    async fn a_conflict_writes_nothing_of_the_first_branch() {
        let store = faulty(Faults {
            conflict: 1.0,
            ..Faults::default()
        });
        assert!(!store.txn(write("a")).await.unwrap().succeeded);
        let kvs = store
            .inner()
            .range(RangeRequest::new(KeyRange::From("".into())))
            .await
            .unwrap()
            .kvs;
        assert_eq!(kvs.len(), 1);
        assert_eq!(kvs[0].key, "conflicts");
        assert_eq!(store.counts().conflict, 1);
    }

    #[tokio::test]
    async fn a_lost_answer_has_written_and_an_unavailable_store_has_not() {
        let lost = faulty(Faults {
            lost_answer: 1.0,
            ..Faults::default()
        });
        assert!(lost.txn(write("a")).await.is_err());
        assert_eq!(lost.inner().status().await.unwrap().revision, 2);
        let gone = faulty(Faults {
            unavailable: 1.0,
            ..Faults::default()
        });
        assert!(gone.txn(write("a")).await.is_err());
        assert_eq!(gone.inner().status().await.unwrap().revision, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_write_is_done_after_its_caller_gave_up() {
        let store = faulty(Faults {
            late_write: 1.0,
            ..Faults::default()
        });
        assert!(store.txn(write("a")).await.is_err());
        assert_eq!(store.inner().status().await.unwrap().revision, 1);
        store.set_faults(Faults::default());
        tokio::time::sleep(Faults::default().max_lateness).await;
        assert_eq!(store.inner().status().await.unwrap().revision, 2);
        assert_eq!(store.counts().late_write, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stands_still_has_written_so_much_and_not_more() {
        let store = faulty(Faults::default());
        store.stand_still_after(2);
        assert!(store.txn(write("a")).await.unwrap().succeeded);
        for key in ["b", "c"] {
            let answer = tokio::time::timeout(Duration::from_secs(60), store.txn(write(key)));
            assert!(answer.await.is_err(), "{key}");
        }
        assert!(store.stands_still());
        assert_eq!(store.inner().status().await.unwrap().revision, 3);
        store.go_on();
        assert!(store.txn(write("c")).await.unwrap().succeeded);
    }

    #[tokio::test]
    async fn a_stale_read_shows_an_older_revision_and_says_so() {
        let store = faulty(Faults::default());
        for key in ["a", "b", "c"] {
            store.txn(write(key)).await.unwrap();
        }
        store.set_faults(Faults {
            stale_read: 1.0,
            max_staleness: 1,
            ..Faults::default()
        });
        let answer = store
            .range(RangeRequest::new(KeyRange::From("".into())))
            .await
            .unwrap();
        assert_eq!((answer.revision, answer.kvs.len()), (3, 2));
        assert_eq!(store.counts().stale_read, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_replays_the_same_faults() {
        let run = async || {
            let store = faulty(Faults::all(0.3));
            let began = tokio::time::Instant::now();
            for key in ["a", "b", "c", "d", "e", "f"] {
                let _ = store.txn(write(key)).await;
            }
            (store.counts(), began.elapsed())
        };
        assert_eq!(run().await, run().await);
    }

    #[tokio::test]
    async fn a_watch_breaks_with_an_error_and_then_ends() {
        for (faults, compacted) in [
            (
                Faults {
                    broken_watch: 1.0,
                    ..Faults::default()
                },
                false,
            ),
            (
                Faults {
                    compacted_watch: 1.0,
                    ..Faults::default()
                },
                true,
            ),
        ] {
            let store = faulty(faults);
            let mut watch = store
                .watch(WatchRequest {
                    keys: KeyRange::From("".into()),
                    start: Some(1),
                })
                .await
                .unwrap();
            store.txn(write("a")).await.unwrap();
            let error = watch.next().await.unwrap().unwrap_err();
            assert_eq!(matches!(error, StoreError::Compacted { .. }), compacted);
            assert!(watch.next().await.is_none());
        }
    }
}
