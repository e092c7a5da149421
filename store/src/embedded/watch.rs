//! Watches: each a cursor into the ring of recent events and, behind it, into the rows on disk. So a slow reader holds
//! nothing in memory; one that compaction overtakes is told so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use rove_model::ids::Revision;

use super::Shared;
use crate::store::{Event, KeyRange, StoreError, WatchEvent, WatchRequest, WatchStream};

/// A batch holds no more events than this, unless a single revision does.
const BATCH_EVENTS: usize = 1_000;

struct Cursor {
    shared: Arc<Shared>,
    durable: tokio::sync::watch::Receiver<Revision>,
    keys: KeyRange,
    next: Revision,
    ended: bool,
}

pub(super) fn open(shared: Arc<Shared>, request: WatchRequest) -> WatchStream {
    let durable = shared.durable.subscribe();
    let next = match request.start {
        None | Some(0) => shared.durable() + 1,
        Some(start) => start,
    };
    let cursor = Cursor {
        shared,
        durable,
        keys: request.keys,
        next,
        ended: false,
    };
    futures::stream::unfold(cursor, Cursor::step).boxed()
}

impl Cursor {
    async fn step(mut self) -> Option<(Result<WatchEvent, StoreError>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            let durable = *self.durable.borrow_and_update();
            let found = if self.shared.closed.load(Ordering::Acquire) {
                Err(StoreError::Unavailable("the store's writer ended".into()))
            } else if self.next > durable {
                Ok(Vec::new())
            } else {
                self.advance(durable).await
            };
            match found {
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error), self));
                }
                Ok(events) => {
                    if let Some(last) = events.last() {
                        let revision = last.revision();
                        return Some((Ok(WatchEvent::Batch { revision, events }), self));
                    }
                }
            }
            if self.next > durable && self.durable.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The next events for it up to `durable`, whole revisions; moves on behind them.
    async fn advance(&mut self, durable: Revision) -> Result<Vec<Event>, StoreError> {
        if let Some((events, next)) = self.ring_events(durable) {
            self.next = next;
            return Ok(events);
        }
        let shared = Arc::clone(&self.shared);
        let start = self.next;
        let read = move || {
            let rows = {
                // Opened under the lock, so that compaction can't take a row between the check and the look.
                let engine = shared.engine();
                let compacted = engine.compacted();
                if start < compacted {
                    return Err(StoreError::Compacted {
                        requested: start,
                        oldest: compacted,
                    });
                }
                shared.disk.read()?
            };
            rows.events(start, durable, BATCH_EVENTS)
        };
        let (mut events, next) = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| StoreError::Disk(error.to_string()))??;
        events.retain(|event| self.keys.contains(event.key()));
        self.next = next;
        Ok(events)
    }

    fn ring_events(&self, durable: Revision) -> Option<(Vec<Event>, Revision)> {
        let ring = self.shared.ring();
        let known = ring.start().is_some_and(|start| start <= self.next);
        known.then(|| ring.events(&self.keys, self.next, durable, BATCH_EVENTS))
    }
}
