//! Leases: their ends, and the keys that go with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::store::{LeaseId, StoreError};

/// The longest TTL in seconds, etcd's.
pub(crate) const MAX_TTL: i64 = 9_000_000_000;

/// One lease.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// Granted seconds.
    pub(crate) ttl: i64,
    deadline: Instant,
    keys: BTreeSet<Bytes>,
}

/// All leases. Invariant: a key is in the lease that its newest version names, and in no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    by_deadline: BTreeSet<(Instant, LeaseId)>,
}

impl Leases {
    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn ids(&self) -> Vec<LeaseId> {
        self.by_id.keys().copied().collect()
    }

    pub(crate) fn insert(&mut self, id: LeaseId, ttl: i64, now: Instant) {
        let deadline = deadline(now, ttl);
        self.by_deadline.insert((deadline, id));
        let keys = BTreeSet::new();
        self.by_id.insert(
            id,
            Lease {
                ttl,
                deadline,
                keys,
            },
        );
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_deadline.remove(&(lease.deadline, id));
        }
    }

    /// Starts the TTL anew; gives it. A lease whose time is up is not renewed, even before it is removed.
    pub(crate) fn keep_alive(&mut self, id: LeaseId, now: Instant) -> Result<i64, StoreError> {
        let lease = self
            .by_id
            .get_mut(&id)
            .filter(|lease| lease.deadline > now)
            .ok_or(StoreError::LeaseNotFound(id))?;
        self.by_deadline.remove(&(lease.deadline, id));
        lease.deadline = deadline(now, lease.ttl);
        self.by_deadline.insert((lease.deadline, id));
        Ok(lease.ttl)
    }

    /// Seconds left, and granted.
    pub(crate) fn time_to_live(&self, id: LeaseId, now: Instant) -> Result<(i64, i64), StoreError> {
        let lease = self.by_id.get(&id).ok_or(StoreError::LeaseNotFound(id))?;
        let left = lease.deadline.saturating_duration_since(now).as_secs();
        Ok((i64::try_from(left).unwrap_or(i64::MAX), lease.ttl))
    }

    /// When the next lease runs out.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// The lease that ran out first, if one has.
    pub(crate) fn expired(&self, now: Instant) -> Option<LeaseId> {
        self.by_deadline
            .first()
            .filter(|(deadline, _)| *deadline <= now)
            .map(|(_, id)| *id)
    }

    pub(crate) fn keys_of(&self, id: LeaseId) -> Option<Vec<Bytes>> {
        Some(self.by_id.get(&id)?.keys.iter().cloned().collect())
    }

    /// Moves `key` from one lease to another; 0 is none.
    pub(crate) fn attach(&mut self, key: &Bytes, old: i64, new: i64) {
        if old == new {
            return;
        }
        if let Some(lease) = self.by_id.get_mut(&LeaseId(old)) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.by_id.get_mut(&LeaseId(new)) {
            lease.keys.insert(key.clone());
        }
    }
}

/// The timer's reach is bounded: a lease of centuries is due in thirty years at the earliest, renewed or not.
fn deadline(now: Instant, ttl: i64) -> Instant {
    const REACH: u64 = 30 * 365 * 86_400;
    now + Duration::from_secs(u64::try_from(ttl).unwrap_or(0).min(REACH))
}
