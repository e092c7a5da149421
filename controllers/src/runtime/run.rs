//! One term of a loop: what changed is noticed, keys are decided on, decisions are committed and waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use rand::{RngExt, rngs::StdRng};
use rove_model::ids::{Revision, UnixNanos};
use rove_store::{
    election::Fence,
    state::{ChangeFeed, FeedItem, State},
    store::StoreError,
};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::{
    Began, COMMITTED, Loop, News, PANICKED, REFUSED, Runtime, UNREADABLE, View,
    commit::{CommitError, Committer, Outcome},
    queue::WorkQueue,
};
use crate::{
    clock::{SECOND, Watcher},
    decision::Again,
};

/// Keys a loop may have to look at; more, and it looks at everything again when it is through.
const QUEUE_LIMIT: usize = 1_000_000;

/// Decisions of one loop under way at once.
const IN_FLIGHT: usize = 16;

/// The longest sleep, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_secs(30);

/// Changes taken in before the next decision is made.
const CHANGES_AT_ONCE: usize = 1_024;

/// The first pause of a key whose decision met a conflict, and the longest of one that can't be committed.
const PAUSE: (UnixNanos, UnixNanos) = (SECOND / 100, 60 * SECOND);

/// When a key is looked at again that rests on something that can't be read: what mends it need not wake the key.
const UNREADABLE_PAUSE: UnixNanos = 10 * SECOND;

/// A decision that is committed.
struct UnderWay<L: Loop> {
    key: L::Key,
    again: Again,
    memo: Option<L::Memo>,
}

/// A decision whose outcome the state will show.
struct Settled<L: Loop> {
    ticket: u64,
    key: L::Key,
    again: Option<UnixNanos>,
    memo: Option<L::Memo>,
    written: bool,
}

/// One term of a loop.
pub(super) struct Run<'a, L: Loop> {
    runtime: &'a Runtime,
    looper: &'a L,
    memory: L::Memory,
    state: Arc<State>,
    /// What the loop was told of: it decides only when that is all there is in the state.
    noticed: Revision,
    /// A state that it was told all of: what it missed since is found by it.
    known: Arc<State>,
    fence: Fence,
    queue: WorkQueue<L::Key>,
    commits: JoinSet<(u64, Outcome)>,
    /// By ticket.
    under_way: BTreeMap<u64, UnderWay<L>>,
    /// By the revision at which the outcome shows, and the ticket.
    awaited: BTreeMap<(Revision, u64), Settled<L>>,
    /// Failures of a key since it last went well.
    failures: BTreeMap<L::Key, u32>,
    /// Of decisions under way or awaited, by ticket.
    memos: BTreeMap<u64, L::Memo>,
    /// Keys that wait until a decision under way is settled.
    parked: Vec<L::Key>,
    /// Keys that rest on something that can't be read; that was said once of each.
    held: BTreeSet<L::Key>,
    tickets: u64,
    watcher: Watcher,
    rng: &'a mut StdRng,
}

impl<'a, L: Loop> Run<'a, L> {
    /// A term that begins on `state`, with everything to be looked at.
    pub(super) fn new(
        runtime: &'a Runtime,
        looper: &'a L,
        began: Began,
        state: Arc<State>,
        fence: Fence,
        rng: &'a mut StdRng,
    ) -> Self {
        let mut run = Self {
            runtime,
            looper,
            memory: looper.begin(began),
            queue: WorkQueue::new(QUEUE_LIMIT),
            commits: JoinSet::new(),
            under_way: BTreeMap::new(),
            awaited: BTreeMap::new(),
            failures: BTreeMap::new(),
            memos: BTreeMap::new(),
            parked: Vec::new(),
            held: BTreeSet::new(),
            tickets: 0,
            watcher: Watcher::new(began.at),
            noticed: state.revision(),
            known: state.clone(),
            state,
            fence,
            rng,
        };
        run.notice(News::Everything);
        run
    }

    /// Goes on until the feed of changes ends or another server leads.
    pub(super) async fn go(&mut self, mut feed: ChangeFeed) {
        loop {
            for _ in 0..CHANGES_AT_ONCE {
                match feed.next().now_or_never() {
                    Some(Ok(item)) => self.take_in(&item).await,
                    Some(Err(_)) => return,
                    None => break,
                }
            }
            while let Some(ended) = self.commits.try_join_next() {
                self.ended(ended);
            }
            self.settle();
            if !self.leads() {
                return;
            }
            let now = self.runtime.clock.now();
            if let Some(back) = self.watcher.look(now) {
                warn!(
                    name = L::NAME,
                    seconds = back / SECOND,
                    "the clock was set back: everything is looked at again"
                );
                self.notice(News::Everything);
            }
            if self.under_way.len() < IN_FLIGHT
                && self.noticed >= self.state.revision()
                && let Some(key) = self.queue.pop(now)
            {
                self.decide(key, now);
                tokio::task::yield_now().await;
                continue;
            }
            if self.queue.asks_for_everything(now) {
                self.notice(News::Everything);
                continue;
            }
            let nap = match self.queue.next_due() {
                Some(due)
                    if self.under_way.len() < IN_FLIGHT
                        && self.noticed >= self.state.revision() =>
                {
                    Duration::from_nanos(due.saturating_sub(now).max(0).unsigned_abs()).min(NAP)
                }
                _ => NAP,
            };
            tokio::select! {
                biased;
                item = feed.next() => match item {
                    Ok(item) => self.take_in(&item).await,
                    Err(_) => return,
                },
                Some(ended) = self.commits.join_next() => self.ended(ended),
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Whether the state still shows this server's election.
    fn leads(&self) -> bool {
        self.state
            .leader(L::NAME)
            .is_some_and(|held| held.create == self.fence.create_revision)
    }

    async fn take_in(&mut self, item: &FeedItem) {
        self.state = self.runtime.state.latest();
        match item {
            FeedItem::Change(change) => {
                self.notice(News::Keys(&change.keys));
                self.noticed = self.noticed.max(change.revision);
            }
            FeedItem::Missed => {
                let keys = self.state.changed_since(&self.known);
                info!(
                    name = L::NAME,
                    changed = keys.len(),
                    revisions = self.state.revision().saturating_sub(self.known.revision()),
                    "the loop fell behind and catches up"
                );
                self.looper.missed(&mut self.memory, &self.state);
                for keys in keys.chunks(CHANGES_AT_ONCE) {
                    self.notice(News::Keys(keys));
                    tokio::task::yield_now().await;
                }
                self.noticed = self.noticed.max(self.state.revision());
            }
            FeedItem::LookAtEverything => {
                if self.state.revision() < self.noticed {
                    // The store was restored from a copy: what was awaited may never come.
                    for (_, settled) in std::mem::take(&mut self.awaited) {
                        self.let_go(settled);
                    }
                }
                self.looper.lost_track(&mut self.memory);
                self.notice(News::Everything);
                self.noticed = self.state.revision();
            }
        }
        if self.noticed >= self.state.revision() {
            self.known = self.state.clone();
        }
    }

    fn notice(&mut self, news: News<'_>) {
        let now = self.runtime.clock.now();
        let queue = &mut self.queue;
        self.looper.notice(
            &mut self.memory,
            &self.state,
            news,
            now,
            &mut |key, due, priority| queue.push(key, due, priority),
        );
    }

    /// Lets go of the keys whose outcome the state shows by now.
    fn settle(&mut self) {
        while let Some(entry) = self.awaited.first_entry()
            && entry.key().0 <= self.state.revision()
        {
            let settled = entry.remove();
            self.let_go(settled);
        }
    }

    /// A decision is visible or came to nothing: others need not know of it, and who waited for that goes on.
    fn let_go(&mut self, settled: Settled<L>) {
        if let Some(memo) = settled.memo {
            self.memos.remove(&settled.ticket);
            let now = self.runtime.clock.now();
            let queue = &mut self.queue;
            self.looper.settled(
                &mut self.memory,
                &self.state,
                &memo,
                settled.written,
                &mut |key, priority| queue.push(key, now, priority),
            );
            for key in std::mem::take(&mut self.parked) {
                self.queue.put_back(key, now);
            }
        }
        self.queue.done(settled.key, settled.again);
    }

    /// Whether nothing is decided on `key` for now, since something it rests on can't be read.
    fn is_held(&mut self, key: &L::Key, now: UnixNanos) -> bool {
        let Some(culprit) = self.looper.unreadable(&self.state, key) else {
            if self.held.remove(key) {
                info!(name = L::NAME, %key, "all can be read again");
            }
            return false;
        };
        self.runtime.counters.count(L::NAME, UNREADABLE);
        if self.held.insert(key.clone()) {
            error!(
                name = L::NAME,
                %key,
                unreadable = %culprit,
                "nothing is decided: a stored value can't be read. Upgrade this server, or write that key anew or remove it"
            );
        }
        self.queue.done(key.clone(), Some(now + UNREADABLE_PAUSE));
        true
    }

    fn decide(&mut self, key: L::Key, now: UnixNanos) {
        if self.is_held(&key, now) {
            return;
        }
        let in_flight: Vec<L::Memo> = self.memos.values().cloned().collect();
        let view = View {
            state: &self.state,
            memory: &self.memory,
            in_flight: &in_flight,
            now,
        };
        let rng = &mut *self.rng;
        let decided =
            std::panic::catch_unwind(AssertUnwindSafe(|| self.looper.decide(&view, &key, rng)));
        let Ok(decision) = decided else {
            // One job that trips over a mistake in a decision must not hold up all others.
            error!(name = L::NAME, %key, "a decision panicked");
            self.runtime.counters.count(L::NAME, PANICKED);
            *self.failures.entry(key.clone()).or_default() += 8;
            let again = self.pause(&key, now);
            self.queue.done(key, Some(again));
            return;
        };
        debug_assert!(
            L::BRANCHES.contains(&decision.branch),
            "{} has no branch {:?}",
            L::NAME,
            decision.branch
        );
        self.runtime.counters.count(L::NAME, decision.branch);
        debug!(
            name = L::NAME,
            %key,
            branch = decision.branch,
            revision = self.state.revision(),
            "decided"
        );
        if let Some(revision) = decision.compact {
            self.compact(revision);
        }
        if decision.commit.is_empty() {
            self.failures.remove(&key);
            let again = match decision.again {
                Again::OnChange => None,
                Again::At(at) => Some(at),
                Again::WhenSettled if self.memos.is_empty() => Some(now + PAUSE.0),
                Again::WhenSettled => {
                    self.parked.push(key);
                    return;
                }
            };
            self.queue.done(key, again);
            return;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        if let Some(memo) = &decision.memo {
            self.looper.decided(&mut self.memory, &self.state, memo);
            self.memos.insert(ticket, memo.clone());
        }
        self.under_way.insert(
            ticket,
            UnderWay {
                key,
                again: decision.again,
                memo: decision.memo,
            },
        );
        let committer = Committer {
            store: self.runtime.store.clone(),
            keys: self.runtime.keys.clone(),
        };
        let fence = self.fence.clone();
        let seed = self.rng.random();
        self.commits.spawn(async move {
            let commit = committer.commit(&fence, decision.commit, seed);
            let outcome = AssertUnwindSafe(commit)
                .catch_unwind()
                .await
                .unwrap_or(Outcome::Refused(CommitError::Panic));
            (ticket, outcome)
        });
    }

    fn ended(&mut self, ended: Result<(u64, Outcome), tokio::task::JoinError>) {
        let (ticket, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                error!(name = L::NAME, %error, "a task of the loop panicked");
                return;
            }
        };
        let Some(UnderWay { key, again, memo }) = self.under_way.remove(&ticket) else {
            return;
        };
        let now = self.runtime.clock.now();
        let (way, revision, again) = match outcome {
            Outcome::Committed(revision) => {
                self.failures.remove(&key);
                let again = match again {
                    Again::OnChange => None,
                    Again::At(at) => Some(at),
                    Again::WhenSettled => Some(now),
                };
                (COMMITTED, revision, again)
            }
            Outcome::Conflict(revision) => ("conflict", revision, Some(self.pause(&key, now))),
            Outcome::Unknown(revision) => ("lost answer", revision, Some(self.pause(&key, now))),
            Outcome::Refused(error) => {
                error!(
                    name = L::NAME,
                    %key,
                    error = &error as &dyn std::error::Error,
                    "a decision can't be committed"
                );
                *self.failures.entry(key.clone()).or_default() += 8;
                (REFUSED, self.state.revision(), Some(self.pause(&key, now)))
            }
        };
        self.runtime.counters.count(L::NAME, way);
        debug!(name = L::NAME, %key, way, revision, "committed");
        let settled = Settled {
            ticket,
            key,
            again,
            memo,
            written: way == COMMITTED,
        };
        self.awaited.insert((revision, ticket), settled);
    }

    /// When a key that failed is looked at again: at once the first time, since the state will be newer by then.
    fn pause(&mut self, key: &L::Key, now: UnixNanos) -> UnixNanos {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures += 1;
        let Some(doublings) = failures.checked_sub(2) else {
            return now;
        };
        let whole = PAUSE
            .0
            .saturating_mul(1_i64.checked_shl(doublings).unwrap_or(i64::MAX))
            .min(PAUSE.1);
        now + self.rng.random_range(whole / 2..=whole)
    }

    fn compact(&mut self, revision: Revision) {
        let store = self.runtime.store.clone();
        // Bounded by the minute between two of them; a failure is made up for by the next.
        self.commits.spawn(async move {
            match store.compact(revision).await {
                Ok(()) | Err(StoreError::Compacted { .. }) => debug!(revision, "compacted"),
                Err(error) => warn!(%error, revision, "the store was not compacted"),
            }
            (0, Outcome::Committed(0))
        });
    }
}
