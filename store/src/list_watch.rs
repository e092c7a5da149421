//! List and watch: how a part of the store is followed, for all who do.
//!
//! A machine with a position. Every outcome of every step names the position to go on from:
//!
//! - nothing is known → the caller lists, and says at which revision;
//! - a watch that breaks resumes where it was, after a look whether the store is still that far;
//! - a start that was compacted away lists again, after the same look;
//! - a store whose revision is behind what was seen of it, or whose history is another, was restored from a copy: list
//!   again, and trust nothing that was known;
//! - silence is death: a watch that says nothing is kept only if the store says that there is nothing to say.
//!
//! [`Position`] and its outcomes are pure; [`ListWatch`] drives them with time limits, and pauses that grow.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use rove_model::ids::Revision;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    backoff::{Backoff, Recovery},
    store::{Event, KeyRange, Store, StoreError, WatchEvent, WatchRequest, WatchStream},
};

/// Where one who follows the store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Nothing is known, or it is not the store's history any more: list.
    Empty(Why),
    /// What came after this revision is gone from the store: look whether it is the same one, then list.
    Lost(Revision),
    /// All is known up to this revision, and no watch runs: look whether the store is that far.
    Known(Revision),
    /// The store is as far as that: open a watch.
    Checked(Revision),
    /// A watch runs, and has told everything up to this revision.
    Watching(Revision),
    /// It has said nothing for long: ask the store whether there is anything to say.
    Silent(Revision),
}

/// Why a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the first.
    First,
    /// The caller wants one.
    Asked,
    /// What came since is gone from the store.
    Compacted,
    /// The store is another, or an older copy of itself.
    Restored,
}

/// What a look at the store found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is at this revision.
    At(Revision),
    /// What it could be known again by is forgotten.
    Unknown,
    /// Its history is another.
    Another,
}

/// What a watch said.
#[derive(Clone, Copy, Debug)]
enum Said<'a> {
    Batch(Revision),
    Progress(Revision),
    Nothing,
    End,
    Error(&'a StoreError),
}

/// Where to go on, and whether to pause before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    to: Position,
    pause: bool,
}

impl Move {
    fn on(to: Position) -> Self {
        Self { to, pause: false }
    }

    fn after_pause(to: Position) -> Self {
        Self { to, pause: true }
    }
}

impl Position {
    /// After a failure that leaves all up to `known` true, unless it says otherwise.
    fn failed(known: Revision, error: &StoreError) -> Move {
        Move::after_pause(match error {
            StoreError::Compacted { .. } => Self::Lost(known),
            StoreError::FutureRevision { .. } => Self::Empty(Why::Restored),
            StoreError::LeaseNotFound(_)
            | StoreError::LeaseExists(_)
            | StoreError::NoSpace
            | StoreError::Invalid(_)
            | StoreError::PermissionDenied(_)
            | StoreError::Unavailable(_)
            | StoreError::Disk(_)
            | StoreError::Corrupt(_) => Self::Known(known),
        })
    }

    /// `Lost`: the store was looked at.
    fn looked(known: Revision, found: Result<Checked, &StoreError>) -> Move {
        match found {
            Ok(Checked::At(revision)) if revision < known => Move::on(Self::Empty(Why::Restored)),
            Ok(Checked::At(_) | Checked::Unknown) => Move::on(Self::Empty(Why::Compacted)),
            Ok(Checked::Another) => Move::on(Self::Empty(Why::Restored)),
            Err(StoreError::FutureRevision { .. }) => Move::after_pause(Self::Empty(Why::Restored)),
            Err(_) => Move::after_pause(Self::Lost(known)),
        }
    }

    /// `Known`: the store was looked at.
    fn checked(known: Revision, found: Result<Checked, &StoreError>) -> Move {
        match found {
            Ok(Checked::At(revision)) if revision >= known => Move::on(Self::Checked(known)),
            Ok(Checked::At(_) | Checked::Another) => Move::on(Self::Empty(Why::Restored)),
            Ok(Checked::Unknown) => Move::on(Self::Empty(Why::Compacted)),
            Err(error) => Self::failed(known, error),
        }
    }

    /// `Checked`: a watch was opened.
    fn opened(known: Revision, opened: Result<(), &StoreError>) -> Move {
        match opened {
            Ok(()) => Move::on(Self::Watching(known)),
            Err(error) => Self::failed(known, error),
        }
    }

    /// `Watching`: the watch said something, or nothing for too long.
    fn said(known: Revision, said: Said<'_>) -> Move {
        match said {
            // Whole revisions after the start: one that is not newer is of another history.
            Said::Batch(revision) if revision <= known => Move::on(Self::Empty(Why::Restored)),
            Said::Batch(revision) => Move::on(Self::Watching(revision)),
            // From a server that is behind: says nothing new.
            Said::Progress(revision) => Move::on(Self::Watching(revision.max(known))),
            Said::Nothing => Move::on(Self::Silent(known)),
            Said::End => Move::after_pause(Self::Known(known)),
            Said::Error(error) => Self::failed(known, error),
        }
    }

    /// `Silent`: the store was asked. When it was as far as `looked` the watch was opened, and would have told what
    /// there was, unless `doubted`.
    fn asked(
        known: Revision,
        looked: Revision,
        doubted: bool,
        found: Result<Checked, &StoreError>,
    ) -> Move {
        let seen = known.max(looked);
        match found {
            Ok(Checked::At(revision)) if revision == known => Move::on(Self::Watching(known)),
            Ok(Checked::At(revision)) if revision == seen && !doubted => {
                Move::on(Self::Watching(known))
            }
            // Other keys may have been written, or the watch is dead: a new one knows.
            Ok(Checked::At(revision)) if revision >= seen => Move::on(Self::Checked(known)),
            Ok(Checked::At(_) | Checked::Another) => Move::on(Self::Empty(Why::Restored)),
            Ok(Checked::Unknown) => Move::on(Self::Empty(Why::Compacted)),
            Err(error) => Self::failed(known, error),
        }
    }

    /// What is known.
    fn revision(self) -> Option<Revision> {
        match self {
            Self::Empty(_) => None,
            Self::Lost(revision)
            | Self::Known(revision)
            | Self::Checked(revision)
            | Self::Watching(revision)
            | Self::Silent(revision) => Some(revision),
        }
    }
}

/// How patient one who follows the store is.
#[derive(Clone, Debug)]
pub struct Patience {
    /// A watch that says nothing for so long is not believed without a look at the store.
    pub silence: Duration,
    /// The longest wait for an answer.
    pub call: Duration,
    /// The first pause after a failure.
    pub min_pause: Duration,
    /// The longest.
    pub max_pause: Duration,
    /// Seed of the pauses' jitter.
    pub seed: u64,
}

/// What is next for the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// List, then call [`ListWatch::listed`] or [`ListWatch::list_failed`].
    List(Why),
    /// These events, of whole revisions up to this one.
    Events {
        /// The newest revision among them.
        revision: Revision,
        /// The events.
        events: Vec<Event>,
    },
    /// Nothing happened up to this revision.
    Reached(Revision),
}

/// Follows a range of keys.
pub struct ListWatch {
    /// What is followed, for the log.
    what: &'static str,
    store: Arc<dyn Store>,
    keys: KeyRange,
    patience: Patience,
    backoff: Backoff,
    recovery: Recovery,
    position: Position,
    stream: Option<WatchStream>,
    opened: Instant,
    /// How far the store was when the watch was opened, as far as that was asked.
    looked: Revision,
    /// How often in a row the watch said nothing while the store was not further than that.
    silences: u32,
    pause: bool,
    list_at: Option<Instant>,
}

impl ListWatch {
    /// Follows `keys`; `what` they are, for the log. Nothing is done before [`ListWatch::next`].
    #[must_use]
    pub fn new(
        what: &'static str,
        store: Arc<dyn Store>,
        keys: KeyRange,
        patience: Patience,
    ) -> Self {
        Self {
            what,
            store,
            keys,
            backoff: Backoff::new(patience.min_pause, patience.max_pause, patience.seed),
            patience,
            recovery: Recovery::default(),
            position: Position::Empty(Why::First),
            stream: None,
            opened: Instant::now(),
            looked: 0,
            silences: 0,
            pause: false,
            list_at: None,
        }
    }

    /// Pauses end when it went well for another of that circle.
    #[must_use]
    pub fn recovering_with(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// Everything up to `revision` was listed.
    pub fn listed(&mut self, revision: Revision) {
        self.recovery.succeeded(&mut self.backoff);
        self.go(Move::on(Position::Checked(revision)));
    }

    /// The list failed, and is to be tried again after a pause.
    pub fn list_failed(&mut self, error: &StoreError) {
        self.note(error);
        let why = match self.position {
            Position::Empty(why) => why,
            Position::Lost(_)
            | Position::Known(_)
            | Position::Checked(_)
            | Position::Watching(_)
            | Position::Silent(_) => Why::Asked,
        };
        self.go(Move::after_pause(Position::Empty(why)));
    }

    /// A list is wanted next.
    pub fn list_again(&mut self) {
        self.go(Move::on(Position::Empty(Why::Asked)));
    }

    /// A list is wanted after a pause, that grows from one to the next.
    pub fn list_again_after_pause(&mut self) {
        self.go(Move::after_pause(Position::Empty(Why::Asked)));
    }

    /// A list is wanted at that time, whatever the watch says until then.
    pub fn list_again_at(&mut self, at: Option<Instant>) {
        self.list_at = at;
    }

    /// What comes next. Safe to cancel.
    pub async fn next(&mut self) -> Next {
        let store = self.store.clone();
        self.next_checked(move || {
            let store = store.clone();
            async move {
                store
                    .status()
                    .await
                    .map(|status| Checked::At(status.revision))
            }
        })
        .await
    }

    /// As [`ListWatch::next`], with a look of the caller's own whether the store is the one that was seen.
    pub async fn next_checked<F>(&mut self, check: impl Fn() -> F) -> Next
    where
        F: Future<Output = Result<Checked, StoreError>>,
    {
        let longest = self.patience.call;
        loop {
            if self.pause {
                let delay = self.backoff.next_delay();
                let recovery = self.recovery.clone();
                // Taken only when it is over: one who is cancelled in it pauses again.
                recovery.pause(delay).await;
                self.pause = false;
            }
            match self.position {
                Position::Empty(why) => return Next::List(why),
                Position::Lost(known) => {
                    let found = within(longest, check()).await;
                    self.settle(
                        Position::looked(known, found.as_ref().copied()),
                        found.err(),
                    );
                }
                Position::Known(known) => {
                    let found = within(longest, check()).await;
                    self.saw(&found);
                    self.settle(
                        Position::checked(known, found.as_ref().copied()),
                        found.err(),
                    );
                }
                Position::Checked(known) => {
                    let request = WatchRequest {
                        keys: self.keys.clone(),
                        start: Some(known + 1),
                    };
                    let store = self.store.clone();
                    let (opened, error) = match within(longest, store.watch(request)).await {
                        Ok(stream) => (Some(stream), None),
                        Err(error) => (None, Some(error)),
                    };
                    let outcome = error.as_ref().map_or(Ok(()), Err);
                    self.settle(Position::opened(known, outcome), error);
                    self.stream = opened;
                    self.opened = Instant::now();
                }
                Position::Watching(known) => {
                    if let Some(next) = self.listen(known).await {
                        return next;
                    }
                }
                Position::Silent(known) => {
                    let found = within(longest, check()).await;
                    self.silences = self.silences.saturating_add(1);
                    // Ever less often, so that a store that others write to is not troubled for it.
                    let doubted = self.silences.is_power_of_two();
                    let to = Position::asked(known, self.looked, doubted, found.as_ref().copied());
                    self.saw(&found);
                    if to.to == Position::Watching(known) {
                        self.recovery.succeeded(&mut self.backoff);
                    }
                    self.settle(to, found.err());
                }
            }
        }
    }

    /// What the watch has said already, without waiting.
    pub fn ready(&mut self) -> Option<Next> {
        let Position::Watching(known) = self.position else {
            return None;
        };
        let item = self.stream.as_mut()?.next().now_or_never()?;
        self.take(known, item)
    }

    async fn listen(&mut self, known: Revision) -> Option<Next> {
        let Some(stream) = self.stream.as_mut() else {
            self.go(Move::on(Position::Checked(known)));
            return None;
        };
        let list_at = self.list_at;
        let again = async {
            match list_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = again => {
                self.list_at = None;
                self.list_again();
                None
            }
            item = timeout(self.patience.silence, stream.next()) => match item {
                Ok(item) => self.take(known, item),
                Err(_silent) => {
                    self.go(Position::said(known, Said::Nothing));
                    None
                }
            },
        }
    }

    fn take(
        &mut self,
        known: Revision,
        item: Option<Result<WatchEvent, StoreError>>,
    ) -> Option<Next> {
        let said = match &item {
            Some(Ok(WatchEvent::Batch { revision, .. })) => Said::Batch(*revision),
            Some(Ok(WatchEvent::Progress { revision })) => Said::Progress(*revision),
            Some(Err(error)) => Said::Error(error),
            None => Said::End,
        };
        let to = Position::said(known, said);
        let error = match &item {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(error.clone()),
            None => Some(StoreError::Unavailable("the watch ended".to_owned())),
        };
        let lived = self.opened.elapsed() > self.patience.call * 2;
        if lived || to.to.revision().is_some_and(|reached| reached > known) {
            self.recovery.succeeded(&mut self.backoff);
        }
        self.silences = 0;
        self.settle(to, error);
        match (item, to.to) {
            (Some(Ok(WatchEvent::Batch { revision, events })), Position::Watching(_)) => {
                Some(Next::Events { revision, events })
            }
            (Some(Ok(WatchEvent::Progress { revision })), Position::Watching(_))
                if revision > known =>
            {
                Some(Next::Reached(revision))
            }
            _ => None,
        }
    }

    fn settle(&mut self, to: Move, error: Option<StoreError>) {
        match error {
            Some(error) => self.note(&error),
            None => {
                if let Position::Empty(Why::Restored) = to.to {
                    tracing::warn!(
                        what = self.what,
                        seen = self.position.revision(),
                        "the store was restored from a copy: everything is read again"
                    );
                }
            }
        }
        self.go(to);
    }

    /// A watch that is opened now tells all there is up to what the store said.
    fn saw(&mut self, found: &Result<Checked, StoreError>) {
        if let Ok(Checked::At(revision)) = found
            && self.looked != *revision
        {
            self.looked = *revision;
            self.silences = 0;
        }
    }

    fn go(&mut self, to: Move) {
        match to.to {
            Position::Watching(_) | Position::Silent(_) => {}
            Position::Known(_) | Position::Checked(_) => self.stream = None,
            Position::Empty(_) | Position::Lost(_) => {
                self.stream = None;
                self.looked = 0;
            }
        }
        self.position = to.to;
        self.pause = to.pause;
    }

    /// Says so once for a row of failures.
    fn note(&self, error: &StoreError) {
        if self.backoff.failures() == 0 {
            tracing::warn!(what = self.what, %error, "the store can't be followed, trying again");
        } else {
            tracing::debug!(what = self.what, %error, "the store still can't be followed");
        }
    }
}

/// The answer, or [`StoreError::Unavailable`] when it doesn't come in time.
///
/// # Errors
/// Those of the call, and that.
pub async fn within<T>(
    longest: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(longest, answer).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!(
            "no answer within {longest:?}"
        )))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
        store::{LeaseId, Op, RangeRequest, Txn},
    };

    const COMPACTED: StoreError = StoreError::Compacted {
        requested: 1,
        oldest: 9,
    };
    const FUTURE: StoreError = StoreError::FutureRevision {
        requested: 9,
        current: 1,
    };

    /// Every failure, and where each leads from what is known up to revision 7.
    fn failures() -> Vec<(StoreError, Position)> {
        vec![
            (COMPACTED, Position::Lost(7)),
            (FUTURE, Position::Empty(Why::Restored)),
            (StoreError::LeaseNotFound(LeaseId(1)), Position::Known(7)),
            (StoreError::LeaseExists(LeaseId(1)), Position::Known(7)),
            (StoreError::NoSpace, Position::Known(7)),
            (StoreError::Invalid(String::new()), Position::Known(7)),
            (
                StoreError::PermissionDenied(String::new()),
                Position::Known(7),
            ),
            (StoreError::Unavailable(String::new()), Position::Known(7)),
            (StoreError::Disk(String::new()), Position::Known(7)),
        ]
    }

    #[test]
    fn every_outcome_of_every_step_names_where_to_go_on() {
        use Position::{Checked as Open, Empty, Known, Silent, Watching};
        let restored = Move::on(Empty(Why::Restored));
        for (what, got, wanted) in [
            (
                "looked, further",
                Position::checked(7, Ok(Checked::At(8))),
                Move::on(Open(7)),
            ),
            (
                "looked, as far",
                Position::checked(7, Ok(Checked::At(7))),
                Move::on(Open(7)),
            ),
            (
                "looked, behind",
                Position::checked(7, Ok(Checked::At(6))),
                restored,
            ),
            (
                "looked, another",
                Position::checked(7, Ok(Checked::Another)),
                restored,
            ),
            (
                "looked, not to be known",
                Position::checked(7, Ok(Checked::Unknown)),
                Move::on(Empty(Why::Compacted)),
            ),
            ("opened", Position::opened(7, Ok(())), Move::on(Watching(7))),
            (
                "events",
                Position::said(7, Said::Batch(9)),
                Move::on(Watching(9)),
            ),
            (
                "events of what is known",
                Position::said(7, Said::Batch(7)),
                restored,
            ),
            (
                "events from before",
                Position::said(7, Said::Batch(3)),
                restored,
            ),
            (
                "progress",
                Position::said(7, Said::Progress(9)),
                Move::on(Watching(9)),
            ),
            (
                "old progress",
                Position::said(7, Said::Progress(3)),
                Move::on(Watching(7)),
            ),
            (
                "silence",
                Position::said(7, Said::Nothing),
                Move::on(Silent(7)),
            ),
            (
                "the end",
                Position::said(7, Said::End),
                Move::after_pause(Known(7)),
            ),
            (
                "asked, as far",
                Position::asked(7, 0, false, Ok(Checked::At(7))),
                Move::on(Watching(7)),
            ),
            (
                "asked, further",
                Position::asked(7, 0, false, Ok(Checked::At(8))),
                Move::on(Open(7)),
            ),
            (
                "asked, behind",
                Position::asked(7, 0, false, Ok(Checked::At(6))),
                restored,
            ),
            (
                "asked, as far as when the watch was opened",
                Position::asked(7, 9, false, Ok(Checked::At(9))),
                Move::on(Watching(7)),
            ),
            (
                "asked, as far as when the watch was opened, and in doubt",
                Position::asked(7, 9, true, Ok(Checked::At(9))),
                Move::on(Open(7)),
            ),
            (
                "asked, as far as is known, and in doubt",
                Position::asked(7, 7, true, Ok(Checked::At(7))),
                Move::on(Watching(7)),
            ),
            (
                "asked, further than when the watch was opened",
                Position::asked(7, 9, false, Ok(Checked::At(10))),
                Move::on(Open(7)),
            ),
            (
                "asked, behind what it was when the watch was opened",
                Position::asked(7, 9, false, Ok(Checked::At(8))),
                restored,
            ),
            (
                "lost, the same",
                Position::looked(7, Ok(Checked::At(9))),
                Move::on(Empty(Why::Compacted)),
            ),
            (
                "lost, not to be known",
                Position::looked(7, Ok(Checked::Unknown)),
                Move::on(Empty(Why::Compacted)),
            ),
            (
                "lost, behind",
                Position::looked(7, Ok(Checked::At(6))),
                restored,
            ),
            (
                "lost, another",
                Position::looked(7, Ok(Checked::Another)),
                restored,
            ),
            (
                "asked, another",
                Position::asked(7, 0, false, Ok(Checked::Another)),
                restored,
            ),
            (
                "asked, not to be known",
                Position::asked(7, 0, false, Ok(Checked::Unknown)),
                Move::on(Empty(Why::Compacted)),
            ),
        ] {
            assert_eq!(got, wanted, "{what}");
        }
        for (error, to) in failures() {
            let wanted = Move::after_pause(to);
            let lost = match to {
                Known(known) => Position::Lost(known),
                to => to,
            };
            assert_eq!(
                Position::looked(7, Err(&error)),
                Move::after_pause(lost),
                "{error}"
            );
            assert_eq!(Position::checked(7, Err(&error)), wanted, "{error}");
            assert_eq!(Position::opened(7, Err(&error)), wanted, "{error}");
            assert_eq!(Position::said(7, Said::Error(&error)), wanted, "{error}");
            assert_eq!(Position::asked(7, 0, false, Err(&error)), wanted, "{error}");
        }
    }

    fn patience(seed: u64) -> Patience {
        Patience {
            silence: Duration::from_secs(10),
            call: Duration::from_secs(5),
            min_pause: Duration::from_millis(50),
            max_pause: Duration::from_secs(5),
            seed,
        }
    }

    async fn put(store: &MemoryStore, op: Op) -> Revision {
        let txn = Txn {
            then: vec![op],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap().revision
    }

    async fn listed(store: &dyn Store, keys: KeyRange) -> (Revision, BTreeMap<Bytes, Bytes>) {
        let answer = store.range(RangeRequest::new(keys)).await.unwrap();
        let pairs = answer.kvs.into_iter().map(|kv| (kv.key, kv.value));
        (answer.revision, pairs.collect())
    }

    #[tokio::test(start_paused = true)]
    async fn under_every_fault_what_is_followed_comes_to_what_the_store_holds() {
        for seed in 0..20 {
            let memory = Arc::new(MemoryStore::new());
            // A list that shows an older revision is the caller's to notice.
            let faults = Faults {
                stale_read: 0.0,
                ..Faults::all(0.1)
            };
            let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(memory.clone(), seed, faults));
            let keys = KeyRange::prefix("/a/");
            let mut follows =
                ListWatch::new("a test", faulty.clone(), keys.clone(), patience(seed));
            let writes = async {
                for step in 0_u64..300 {
                    let key = format!("/a/{}", (step * 7 + seed) % 23);
                    let op = if step % 5 == 0 {
                        Op::delete(key)
                    } else {
                        Op::put(key, step.to_string())
                    };
                    let revision = put(&memory, op).await;
                    if step % 50 == 49 {
                        memory.compact(revision).await.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(step % 40)).await;
                }
                put(&memory, Op::put("/a/last", "")).await
            };
            let follow = async {
                let mut held = BTreeMap::new();
                while !held.contains_key(&b"/a/last"[..]) {
                    match follows.next().await {
                        Next::List(_) => {
                            match faulty.range(RangeRequest::new(keys.clone())).await {
                                Ok(answer) => {
                                    let pairs = answer.kvs.into_iter().map(|kv| (kv.key, kv.value));
                                    held = pairs.collect();
                                    follows.listed(answer.revision);
                                }
                                Err(error) => follows.list_failed(&error),
                            }
                        }
                        Next::Events { events, .. } => {
                            for event in events {
                                match event {
                                    Event::Put(kv) => drop(held.insert(kv.key, kv.value)),
                                    Event::Delete { key, .. } => drop(held.remove(&key)),
                                }
                            }
                        }
                        Next::Reached(_) => {}
                    }
                }
                held
            };
            let both = async { tokio::join!(writes, follow) };
            let (_, held) = timeout(Duration::from_secs(3_600), both).await.unwrap();
            assert_eq!(held, listed(&*memory, keys.clone()).await.1, "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_behind_what_was_seen_is_listed_again() {
        let memory = Arc::new(MemoryStore::new());
        let mut follows = ListWatch::new("a test", memory, KeyRange::prefix("/a/"), patience(1));
        assert_eq!(follows.next().await, Next::List(Why::First));
        // As from a store that was put back: nothing would ever come, for the watch starts ahead of it.
        follows.listed(100);
        assert_eq!(follows.next().await, Next::List(Why::Restored));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_comes_at_the_time_it_is_wanted_while_nothing_happens() {
        let memory = Arc::new(MemoryStore::new());
        let keys = KeyRange::prefix("/a/");
        let mut follows = ListWatch::new("a test", memory.clone(), keys.clone(), patience(1));
        assert_eq!(follows.next().await, Next::List(Why::First));
        follows.listed(listed(&*memory, keys).await.0);
        let wanted = Instant::now() + Duration::from_secs(300);
        follows.list_again_at(Some(wanted));
        assert_eq!(follows.next().await, Next::List(Why::Asked));
        assert_eq!(Instant::now(), wanted);
    }
}
