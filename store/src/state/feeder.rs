//! The feeder: keeps the state up to date with one list and one watch.
//!
//! Readers see whole revisions only, and the state they see never goes back but when the store itself did. How it goes
//! on after a failure is [`ListWatch`]'s to know; a list is swapped in whole.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::ids::Revision;
use tokio_util::sync::CancellationToken;

use super::{
    State, StateHandle, StatePublisher,
    list::{difference, list},
};
use crate::{
    keys::{Key, Keys},
    list_watch::{Checked, ListWatch, Next, Patience, Why},
    store::{Event, KeyRange, KeyValue, RangeRequest, RangeResponse, Store, StoreError},
};

/// The longest wait for an answer to a look at the store.
const CALL: Duration = Duration::from_secs(10);

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

/// Lists and watches one store, and publishes what it sees.
pub struct StateFeeder {
    store: Arc<dyn Store>,
    keys: Keys,
    config: FeederConfig,
    publisher: StatePublisher,
    /// The newest pair that was seen: by it the store's history is known again.
    anchor: Option<KeyValue>,
}

impl StateFeeder {
    /// A feeder, and the handle by which its state is read. It does nothing before [`StateFeeder::run`].
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keys: Keys, config: FeederConfig) -> (Self, StateHandle) {
        let (publisher, handle) =
            StatePublisher::new(State::new(keys.clone()), config.feed_capacity);
        let feeder = Self {
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
        let patience = Patience {
            silence: self.config.silence,
            call: CALL,
            min_pause: self.config.min_pause,
            max_pause: self.config.max_pause,
            seed: self.config.seed,
        };
        let keys = self.keys.all();
        let mut follows = ListWatch::new("the state", self.store.clone(), keys, patience);
        loop {
            let known = self.known();
            match follows.next_checked(|| known.clone().history()).await {
                Next::List(why) => match self.list(why).await {
                    Ok(revision) => follows.listed(revision),
                    Err(error) => follows.list_failed(&error),
                },
                next @ (Next::Events { .. } | Next::Reached(_)) => self.take_in(next, &mut follows),
            }
        }
    }

    /// Reads everything at one revision, which is given, and swaps it in.
    async fn list(&mut self, why: Why) -> Result<Revision, StoreError> {
        let request = RangeRequest {
            count_only: true,
            ..RangeRequest::new(self.keys.all())
        };
        let RangeResponse {
            revision, count, ..
        } = self.store.range(request).await?;
        let listed = list(&*self.store, &self.keys, revision, count).await?;
        let old = self.publisher.latest();
        let mut new = listed.state;
        let follows = match why {
            Why::First | Why::Restored => false,
            Why::Asked | Why::Compacted => old.revision() <= revision,
        };
        self.anchor = listed.newest;
        if follows {
            let keys = difference(&old, &new);
            new.carry_indexes(&old, &keys);
            tracing::info!(revision, changed = keys.len(), "listed again");
            self.publisher.publish(Arc::new(new), keys);
        } else {
            new.touch_all_tables(revision);
            self.publisher.replace(Arc::new(new));
        }
        Ok(revision)
    }

    /// Takes in one step of the watch and all that are ready behind it, and shows readers the outcome at once.
    fn take_in(&mut self, first: Next, follows: &mut ListWatch) {
        let mut state = State::clone(&self.publisher.latest());
        let mut touched: Vec<Key> = Vec::new();
        let mut next = Some(first);
        while let Some(step) = next {
            match step {
                Next::Events { revision, events } => {
                    touched.extend(state.apply(&events, revision));
                    let newest = events.iter().rev().find_map(|event| match event {
                        Event::Put(kv) => Some(kv.clone()),
                        Event::Delete { .. } => None,
                    });
                    if newest.is_some() {
                        self.anchor = newest;
                    }
                }
                Next::Reached(revision) => drop(state.apply(&[], revision)),
                // Comes again when it is asked for.
                Next::List(_) => break,
            }
            if touched.len() >= EVENTS_AT_ONCE {
                break;
            }
            next = follows.ready();
        }
        self.publisher.publish(Arc::new(state), touched);
    }

    fn known(&self) -> Known {
        Known {
            store: self.store.clone(),
            prefix: self.keys.prefix().to_owned().into(),
            anchor: self.anchor.clone(),
            seen: self.publisher.latest().revision(),
        }
    }
}

/// By what the store is known again.
#[derive(Clone)]
struct Known {
    store: Arc<dyn Store>,
    prefix: Bytes,
    anchor: Option<KeyValue>,
    seen: Revision,
}

impl Known {
    /// Asks the store for the newest pair that was seen, as it was then: a store that was restored from a copy and
    /// went on from there has another in its place, or is not that far yet.
    async fn history(self) -> Result<Checked, StoreError> {
        let Some(anchor) = &self.anchor else {
            let request = RangeRequest::new(KeyRange::Key(self.prefix));
            let revision = self.store.range(request).await?.revision;
            return Ok(if revision < self.seen {
                Checked::Another
            } else {
                Checked::At(revision)
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
            Err(StoreError::FutureRevision { .. }) => return Ok(Checked::Another),
            answer => (answer?, false),
        };
        if answer.revision < self.seen {
            return Ok(Checked::Another);
        }
        let known = answer.kvs.iter().any(|kv| {
            kv.mod_revision == anchor.mod_revision
                && kv.create_revision == anchor.create_revision
                && kv.value == anchor.value
        });
        Ok(if known {
            Checked::At(answer.revision)
        } else if forgotten {
            Checked::Unknown
        } else {
            Checked::Another
        })
    }
}
