//! How the rest of the process reads the state: the newest one at any time, a wait for a revision, and a bounded feed
//! of which keys changed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rove_model::ids::Revision;
use thiserror::Error;
use tokio::sync::{broadcast, watch};

use super::State;
use crate::keys::Key;

/// Which keys a step of the state touched. The state of at least that revision can be read when it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The revision after it.
    pub revision: Revision,
    /// The keys, in the order of the events.
    pub keys: Vec<Key>,
}

/// What a reader of the feed gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// These keys changed.
    Change(Arc<StateChange>),
    /// Changes were missed: what they were is the [difference](State::changed_since) to the state that was known.
    Missed,
    /// The store has another history than was seen, or was read for the first time: look at everything.
    LookAtEverything,
}

/// The feeder of the state ended: there will be nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the state is no longer kept up to date")]
pub struct Stopped;

/// Reads the state. Clones are cheap and independent.
#[derive(Clone, Debug)]
pub struct StateHandle {
    latest: watch::Receiver<Arc<State>>,
    feed: broadcast::WeakSender<FeedItem>,
    /// How often the state was replaced by one of another history.
    histories: Arc<AtomicU64>,
}

impl StateHandle {
    /// The newest state. At revision 0 before the store was first read.
    #[must_use]
    pub fn latest(&self) -> Arc<State> {
        self.latest.borrow().clone()
    }

    /// The state once it has reached `revision`. Set a deadline around it: a store that was restored to an older
    /// revision may take long to get there.
    ///
    /// # Errors
    /// When the feeder ended.
    pub async fn wait_for(&self, revision: Revision) -> Result<Arc<State>, Stopped> {
        let mut latest = self.latest.clone();
        let state = latest
            .wait_for(|state| state.revision() >= revision)
            .await
            .map_err(|_| Stopped)?;
        Ok(state.clone())
    }

    /// The first state that was read from the store.
    ///
    /// # Errors
    /// When the feeder ended.
    pub async fn ready(&self) -> Result<Arc<State>, Stopped> {
        self.wait_for(1).await
    }

    /// The next state that this handle has not given yet by this call.
    ///
    /// # Errors
    /// When the feeder ended.
    pub async fn changed(&mut self) -> Result<Arc<State>, Stopped> {
        self.latest.changed().await.map_err(|_| Stopped)?;
        Ok(self.latest.borrow_and_update().clone())
    }

    /// From now on, which keys change. Subscribe first, then look at everything once.
    #[must_use]
    pub fn subscribe(&self) -> ChangeFeed {
        ChangeFeed {
            feed: self.feed.upgrade().map(|feed| feed.subscribe()),
            histories: self.histories.clone(),
            known: self.histories.load(Ordering::Acquire),
        }
    }
}

/// The bounded feed of changes; a reader that falls behind is told so.
#[derive(Debug)]
pub struct ChangeFeed {
    feed: Option<broadcast::Receiver<FeedItem>>,
    histories: Arc<AtomicU64>,
    /// How many of them this reader knows of.
    known: u64,
}

impl ChangeFeed {
    /// The next change. Safe to cancel: nothing is lost.
    ///
    /// # Errors
    /// When the feeder ended.
    pub async fn next(&mut self) -> Result<FeedItem, Stopped> {
        let feed = self.feed.as_mut().ok_or(Stopped)?;
        match feed.recv().await {
            Ok(item) => {
                if item == FeedItem::LookAtEverything {
                    self.known = self.histories.load(Ordering::Acquire);
                }
                Ok(item)
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "a reader of changes fell behind");
                // What is still queued is covered by the newest state.
                *feed = feed.resubscribe();
                let histories = self.histories.load(Ordering::Acquire);
                Ok(
                    if std::mem::replace(&mut self.known, histories) == histories {
                        FeedItem::Missed
                    } else {
                        FeedItem::LookAtEverything
                    },
                )
            }
            Err(broadcast::error::RecvError::Closed) => Err(Stopped),
        }
    }
}

/// The writing side: one per process, held by the feeder (or by a simulation that feeds by itself).
#[derive(Debug)]
pub struct StatePublisher {
    latest: watch::Sender<Arc<State>>,
    feed: broadcast::Sender<FeedItem>,
    histories: Arc<AtomicU64>,
}

impl StatePublisher {
    /// A publisher that begins with `state`, and whose readers may fall `capacity` changes behind.
    #[must_use]
    pub fn new(state: State, capacity: usize) -> (Self, StateHandle) {
        let (latest, reader) = watch::channel(Arc::new(state));
        let (feed, _) = broadcast::channel(capacity.max(1));
        let handle = StateHandle {
            latest: reader,
            feed: feed.downgrade(),
            histories: Arc::default(),
        };
        let publisher = Self {
            latest,
            feed,
            histories: handle.histories.clone(),
        };
        (publisher, handle)
    }

    /// The state that readers see.
    #[must_use]
    pub fn latest(&self) -> Arc<State> {
        self.latest.borrow().clone()
    }

    /// Shows readers `state`, and says which keys it changed.
    pub fn publish(&self, state: Arc<State>, keys: Vec<Key>) {
        let revision = state.revision();
        self.latest.send_replace(state);
        // Without keys as well: a reader keeps in step with the revision that it was told of.
        self.send(FeedItem::Change(Arc::new(StateChange { revision, keys })));
    }

    /// Shows readers `state`, and tells them to look at everything.
    pub fn replace(&self, state: Arc<State>) {
        self.latest.send_replace(state);
        self.histories.fetch_add(1, Ordering::Release);
        self.send(FeedItem::LookAtEverything);
    }

    fn send(&self, item: FeedItem) {
        // Nobody listening is no fault.
        let _ = self.feed.send(item);
    }
}
