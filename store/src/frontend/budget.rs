//! What events wait for readers, in bytes: budgeted per connection and in all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The most bytes of events that wait for the readers of one connection: as many as the ring holds.
pub(super) const CONNECTION_BYTES: usize = 16 << 20;

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
    pub(super) fn take(&self, bytes: usize) -> Option<Held> {
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

/// What waits for the readers of each connection, and of all.
#[derive(Default)]
pub(super) struct Budgets {
    all: Arc<AtomicUsize>,
    connections: Mutex<HashMap<SocketAddr, Weak<AtomicUsize>>>,
}

impl Budgets {
    /// The one of the connection from there; one of its own where that isn't known.
    pub(super) fn of(&self, peer: Option<SocketAddr>) -> Budget {
        const KEPT: usize = 1_024;
        let Some(peer) = peer else {
            return self.budget(Arc::default());
        };
        let mut known = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = known.get(&peer).and_then(Weak::upgrade) {
            return self.budget(budget);
        }
        if known.len() >= KEPT && known.len() == known.capacity() {
            known.retain(|_, budget| budget.strong_count() > 0);
        }
        let own = Arc::default();
        known.insert(peer, Arc::downgrade(&own));
        self.budget(own)
    }

    fn budget(&self, own: Arc<AtomicUsize>) -> Budget {
        Budget(own, Arc::clone(&self.all))
    }
}
