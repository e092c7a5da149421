//! The feeder: keeps the state up to date with one list and one watch.
//!
//! A machine with a position. Readers see whole revisions only, and the state they see never goes back but when the
//! store itself did. Every failure names the position to go on from: a broken watch resumes, a compacted one lists
//! again and swaps the new state in whole.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_model::ids::Revision;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    State, StateHandle, StatePublisher,
    list::{difference, list},
};
use crate::{
    keys::{Key, Keys},
    store::{
        Event, KeyRange, KeyValue, RangeRequest, Store, StoreError, WatchEvent, WatchRequest,
        WatchStream,
    },
};

/// At most so many events are taken in before readers see them.
const EVENTS_AT_ONCE: usize = 4_096;

/// What the feeder may be tuned by.
#[derive(Clone, Debug)]
pub struct FeederConfig {
    /// A watch that says nothing for so long is asked whether it still lives.
    pub silence: Duration,
    /// The first pause after a failure; it doubles up to `max_pause`.
    pub min_pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
    /// How many changes a reader may fall behind before it is told to look at everything.
    pub feed_capacity: usize,
    /// Seeds the jitter of the pauses.
    pub seed: u64,
}

impl Default for FeederConfig {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            min_pause: Duration::from_millis(50),
            max_pause: Duration::from_secs(5),
            feed_capacity: 4_096,
            seed: rand::random(),
        }
    }
}

/// Where the feeder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Nothing is known of the store, or what was known is no longer its history.
    Empty,
    /// All keys are to be read as of this revision; so many there are.
    Paging(Revision, u64),
    /// Everything up to this revision is in the state.
    Watching(Revision),
}

/// Where to go on, and whether to pause first because something failed.
struct Step {
    next: Position,
    failed: bool,
}

impl Step {
    fn to(next: Position) -> Self {
        Self {
            next,
            failed: false,
        }
    }

    fn after_failure(next: Position) -> Self {
        Self { next, failed: true }
    }
}

/// Whether the store is still in the history that the state was read from.
enum History {
    Same {
        revision: Revision,
    },
    /// What it could be known by is forgotten.
    Unknown,
    Another,
}

/// Lists and watches one store, and publishes what it sees.
pub struct StateFeeder {
    store: Arc<dyn Store>,
    keys: Keys,
    config: FeederConfig,
    publisher: StatePublisher,
    /// The newest pair that was seen: by it the store's history is known again.
    anchor: Option<KeyValue>,
    rng: StdRng,
}

impl StateFeeder {
    /// A feeder, and the handle by which its state is read. It does nothing before [`StateFeeder::run`].
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keys: Keys, config: FeederConfig) -> (Self, StateHandle) {
        let (publisher, handle) =
            StatePublisher::new(State::new(keys.clone()), config.feed_capacity);
        let feeder = Self {
            rng: StdRng::seed_from_u64(config.seed),
            store,
            keys,
            config,
            publisher,
            anchor: None,
        };
        (feeder, handle)
    }

    /// Feeds until it is cancelled; then readers learn that nothing more comes.
    pub async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.feed()).await;
    }

    async fn feed(&mut self) {
        let mut position = Position::Empty;
        let mut pause = self.config.min_pause;
        loop {
            let step = match position {
                Position::Empty => self.look().await,
                Position::Paging(revision, count) => self.page(revision, count).await,
                Position::Watching(revision) => self.watch(revision).await,
            };
            let progressed = matches!(
                (position, step.next),
                (Position::Watching(before), Position::Watching(after)) if after > before
            );
            if progressed || !step.failed {
                pause = self.config.min_pause;
            }
            if step.failed {
                tokio::time::sleep(pause.mul_f64(self.rng.random_range(0.5..1.0))).await;
                pause = (pause * 2).min(self.config.max_pause);
            }
            position = step.next;
        }
    }

    /// `Empty`: finds the revision to list at.
    async fn look(&mut self) -> Step {
        let request = RangeRequest {
            count_only: true,
            ..RangeRequest::new(self.keys.all())
        };
        match self.store.range(request).await {
            Ok(answer) => Step::to(Position::Paging(answer.revision, answer.count)),
            Err(error) => {
                tracing::warn!(%error, "the store can't be read");
                Step::after_failure(Position::Empty)
            }
        }
    }

    /// `Paging`: reads everything at one revision, then swaps it in.
    async fn page(&mut self, revision: Revision, count: u64) -> Step {
        let listed = match list(&*self.store, &self.keys, revision, count).await {
            Ok(listed) => listed,
            Err(error @ (StoreError::Compacted { .. } | StoreError::FutureRevision { .. })) => {
                tracing::warn!(%error, "the list is begun again");
                return Step::after_failure(Position::Empty);
            }
            Err(error) => {
                tracing::warn!(%error, revision, "the list failed");
                return Step::after_failure(Position::Paging(revision, count));
            }
        };
        let old = self.publisher.latest();
        let mut new = listed.state;
        let follows = old.revision() > 0
            && old.revision() <= revision
            && matches!(
                self.history().await,
                Ok(History::Same { .. } | History::Unknown)
            );
        self.anchor = listed.newest;
        if follows {
            let keys = difference(&old, &new);
            new.carry_indexes(&old, &keys);
            tracing::info!(revision, changed = keys.len(), "listed again");
            self.publisher.publish(Arc::new(new), keys);
        } else {
            if old.revision() > 0 {
                tracing::warn!(
                    seen = old.revision(),
                    revision,
                    "the store was restored from a copy: everything was read again"
                );
            }
            new.touch_all_tables(revision);
            self.publisher.replace(Arc::new(new));
        }
        Step::to(Position::Watching(revision))
    }

    /// `Watching`: takes events in until the watch fails.
    async fn watch(&mut self, mut revision: Revision) -> Step {
        match self.history().await {
            Ok(History::Same { .. }) => {}
            Ok(History::Unknown | History::Another) => return Step::to(Position::Empty),
            Err(error) => {
                tracing::warn!(%error, revision, "the store can't be read");
                return Step::after_failure(Position::Watching(revision));
            }
        }
        let request = WatchRequest {
            keys: self.keys.all(),
            start: Some(revision + 1),
        };
        let mut stream = match self.store.watch(request).await {
            Ok(stream) => stream,
            Err(error) => return Self::watch_failed(revision, &error),
        };
        loop {
            let first = match timeout(self.config.silence, stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Self::watch_failed(revision, &error),
                Ok(None) => {
                    tracing::warn!(revision, "the watch ended without a word");
                    return Step::after_failure(Position::Watching(revision));
                }
                Err(_silent) => match self.history().await {
                    Ok(History::Same { revision: current }) if current == revision => continue,
                    // Other keys may have been written, or the watch is dead: a new one knows.
                    Ok(History::Same { .. }) => return Step::to(Position::Watching(revision)),
                    Ok(History::Unknown | History::Another) => {
                        return Step::to(Position::Empty);
                    }
                    Err(error) => {
                        tracing::warn!(%error, revision, "the watch is silent and the store too");
                        return Step::after_failure(Position::Watching(revision));
                    }
                },
            };
            match self.take_in(first, &mut stream, &mut revision) {
                Taken::Goes => {}
                Taken::Failed(error) => return Self::watch_failed(revision, &error),
                Taken::Back(found) => {
                    tracing::warn!(revision, found, "the store's revision went back");
                    return Step::to(Position::Empty);
                }
            }
        }
    }

    fn watch_failed(revision: Revision, error: &StoreError) -> Step {
        match error {
            StoreError::Compacted { .. } => {
                tracing::warn!(%error, revision, "the watch fell behind: listing again");
                Step::to(Position::Empty)
            }
            error => {
                tracing::warn!(%error, revision, "the watch broke");
                Step::after_failure(Position::Watching(revision))
            }
        }
    }

    /// Takes in one event and all that are ready behind it, and shows readers the outcome at once.
    fn take_in(
        &mut self,
        first: WatchEvent,
        stream: &mut WatchStream,
        revision: &mut Revision,
    ) -> Taken {
        let mut state: Option<State> = None;
        let mut touched: Vec<Key> = Vec::new();
        let mut taken = Taken::Goes;
        let mut item = first;
        loop {
            match item {
                WatchEvent::Batch {
                    revision: reached,
                    events,
                } => {
                    if reached <= *revision {
                        taken = Taken::Back(reached);
                        break;
                    }
                    let state = state.get_or_insert_with(|| State::clone(&self.publisher.latest()));
                    touched.extend(state.apply(&events, reached));
                    *revision = reached;
                    let newest = events.iter().rev().find_map(|event| match event {
                        Event::Put(kv) => Some(kv.clone()),
                        Event::Delete { .. } => None,
                    });
                    if newest.is_some() {
                        self.anchor = newest;
                    }
                }
                WatchEvent::Progress { revision: reached } if reached > *revision => {
                    state
                        .get_or_insert_with(|| State::clone(&self.publisher.latest()))
                        .apply(&[], reached);
                    *revision = reached;
                }
                // From a server that is behind: says nothing new.
                WatchEvent::Progress { .. } => {}
            }
            if touched.len() >= EVENTS_AT_ONCE {
                break;
            }
            match stream.next().now_or_never() {
                Some(Some(Ok(next))) => item = next,
                Some(Some(Err(error))) => {
                    taken = Taken::Failed(error);
                    break;
                }
                // The end is seen again by the caller's own read.
                Some(None) | None => break,
            }
        }
        if let Some(state) = state {
            self.publisher.publish(Arc::new(state), touched);
        }
        taken
    }

    /// Asks the store for the newest pair that was seen, as it was then: a store that was restored from a copy and
    /// went on from there has another in its place, or is not that far yet.
    async fn history(&self) -> Result<History, StoreError> {
        let seen = self.publisher.latest().revision();
        let Some(anchor) = &self.anchor else {
            let request = RangeRequest::new(KeyRange::Key(self.keys.prefix().to_owned().into()));
            let revision = self.store.range(request).await?.revision;
            return Ok(if revision < seen {
                History::Another
            } else {
                History::Same { revision }
            });
        };
        let request = RangeRequest {
            revision: Some(anchor.mod_revision),
            ..RangeRequest::new(KeyRange::Key(anchor.key.clone()))
        };
        let (answer, forgotten) = match self.store.range(request.clone()).await {
            // While nobody wrote it since, it can still be looked at.
            Err(StoreError::Compacted { .. }) => {
                let now = RangeRequest {
                    revision: None,
                    ..request
                };
                (self.store.range(now).await?, true)
            }
            Err(StoreError::FutureRevision { .. }) => return Ok(History::Another),
            answer => (answer?, false),
        };
        if answer.revision < seen {
            return Ok(History::Another);
        }
        let known = answer.kvs.iter().any(|kv| {
            kv.mod_revision == anchor.mod_revision
                && kv.create_revision == anchor.create_revision
                && kv.value == anchor.value
        });
        Ok(if known {
            History::Same {
                revision: answer.revision,
            }
        } else if forgotten {
            History::Unknown
        } else {
            History::Another
        })
    }
}

/// How taking events in ended.
enum Taken {
    Goes,
    Failed(StoreError),
    Back(Revision),
}
