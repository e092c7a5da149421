//! What a node may write, however much room there is: how large its values are, how fast they come, and how many leases
//! it has; and what it may write still when the store is nearly full.
//!
//! Whoever can reach the port may come as a node, unless a join token is asked for. So what comes from a node leaves
//! the last part of the store to those who can make room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rove_model::ids::NodeId;
use tokio::time::Instant;
use tonic::Status;

use super::convert;
use crate::keys::{Key, Keys, Table};
use crate::store::{Op, Store, StoreError, Txn};

/// The largest value of a node: its fingerprint takes some 10 KiB.
const NODE_BYTES: usize = 128 << 10;

/// The largest status of an alloc: ten events for each of its tasks take some 5 KiB.
const STATUS_BYTES: usize = 256 << 10;

/// The largest sign of life.
const ALIVE_BYTES: usize = 4 << 10;

/// Leases that a node has at a time: it needs one, and another while the first runs out.
const LEASES: usize = 8;

/// Seconds that a lease of a node lasts for which no secret stands yet, and how many of those there are.
const STRANGER_TTL: i64 = 60;
const STRANGER_LEASES: usize = 20_000;

/// What a node writes at once, and per second in the long run: some 2,000 statuses, and some 50.
const NODE: Rate = Rate {
    burst: 8 << 20,
    second: 256 << 10,
};

/// The same of all nodes together for which no secret stands yet: 5,000 may come at once.
const STRANGERS: Rate = Rate {
    burst: 16 << 20,
    second: 256 << 10,
};

/// Nodes that are kept account of; past it, those that have been quiet are forgotten.
const ACCOUNTS: usize = 30_000;

/// Parts of the quota, in percent, from which on no new nodes are taken in, nothing large is, and nothing but signs of
/// life. Where the store keeps a reserve above its quota, the last half of that is left to others.
const NO_STRANGERS: u64 = 80;
const NOTHING_LARGE: u64 = 90;
const NOTHING: u64 = 95;
const NOTHING_WITH_RESERVE: u64 = 106;

/// What is large when the store is nearly full.
const LARGE: usize = 8 << 10;

/// How long the store's word on its room is believed.
const BELIEVED: Duration = Duration::from_secs(2);

struct Rate {
    burst: usize,
    second: usize,
}

/// Bytes that were written of late: what counts against a rate.
#[derive(Clone, Copy, Debug)]
struct Account {
    bytes: usize,
    at: Instant,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { bytes: 0, at: now }
    }

    fn settle(&mut self, rate: &Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_millis();
        let paid = usize::try_from(seconds)
            .unwrap_or(usize::MAX)
            .saturating_mul(rate.second)
            / 1_000;
        if paid > 0 {
            self.bytes = self.bytes.saturating_sub(paid);
            self.at = now;
        }
    }

    fn takes(&mut self, bytes: usize, rate: &Rate, now: Instant) -> bool {
        self.settle(rate, now);
        let fits = self.bytes + bytes <= rate.burst;
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

struct Node {
    account: Account,
    /// Its leases, and when they run out unless they are renewed.
    leases: Vec<(i64, Instant)>,
}

#[derive(Default)]
struct Nodes {
    by_id: HashMap<NodeId, Node>,
    strangers: Option<Account>,
    /// When the leases of strangers run out, in order.
    stranger_leases: VecDeque<Instant>,
}

impl Nodes {
    fn node(&mut self, id: NodeId, now: Instant) -> &mut Node {
        if self.by_id.len() >= ACCOUNTS {
            self.by_id.retain(|_, node| {
                node.account.settle(&NODE, now);
                node.account.bytes > 0 || node.leases.iter().any(|(_, until)| *until > now)
            });
        }
        self.by_id.entry(id).or_insert_with(|| Node {
            account: Account::new(now),
            leases: Vec::new(),
        })
    }
}

/// What the store said of its room, and what was written since.
#[derive(Clone, Copy, Debug)]
struct Room {
    at: Instant,
    used: u64,
    quota: u64,
    has_reserve: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Limits {
    nodes: Mutex<Nodes>,
    room: Mutex<Option<Room>>,
    /// The quota of a store that doesn't say it.
    quota: Option<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn puts(txn: &Txn) -> impl Iterator<Item = (&bytes::Bytes, &bytes::Bytes)> {
    txn.then
        .iter()
        .chain(&txn.otherwise)
        .filter_map(|op| match op {
            Op::Put { key, value, .. } => Some((key, value)),
            Op::Range(_) | Op::Delete(_) => None,
        })
}

fn bytes_of(txn: &Txn) -> usize {
    puts(txn).map(|(key, value)| key.len() + value.len()).sum()
}

fn no_space() -> Status {
    convert::status(&StoreError::NoSpace)
}

impl Limits {
    pub(super) fn new(quota: Option<u64>) -> Self {
        Self {
            quota,
            ..Self::default()
        }
    }

    /// Whether all that a node's transaction writes is of a size that a node writes.
    pub(super) fn sizes(keys: &Keys, txn: &Txn) -> Result<(), Status> {
        for (key, value) in puts(txn) {
            let most = match keys.parse(key).ok().map(|key| key.table()) {
                Some(Table::Nodes) => NODE_BYTES,
                Some(Table::NodesAlive) => ALIVE_BYTES,
                _ => STATUS_BYTES,
            };
            if value.len() > most {
                return Err(Status::invalid_argument(format!(
                    "rove: the value of {} has {} bytes, at most {most} are taken of a node",
                    String::from_utf8_lossy(key),
                    value.len()
                )));
            }
        }
        Ok(())
    }

    /// Counts what a node writes.
    pub(super) fn takes(&self, id: NodeId, txn: &Txn, is_stranger: bool) -> Result<(), Status> {
        let bytes = bytes_of(txn);
        let now = Instant::now();
        let mut nodes = lock(&self.nodes);
        let too_fast =
            || Status::resource_exhausted("rove: the node writes too much, try again later");
        if is_stranger
            && !nodes
                .strangers
                .get_or_insert_with(|| Account::new(now))
                .takes(bytes, &STRANGERS, now)
        {
            return Err(too_fast());
        }
        if !nodes.node(id, now).account.takes(bytes, &NODE, now) {
            return Err(too_fast());
        }
        drop(nodes);
        if let Some(room) = &mut *lock(&self.room) {
            room.used = room.used.saturating_add(bytes as u64);
        }
        Ok(())
    }

    async fn room_of(&self, store: &dyn Store) -> Option<Room> {
        let known = *lock(&self.room);
        if let Some(room) = known
            && room.at.elapsed() < BELIEVED
        {
            return Some(room);
        }
        let Ok(status) = store.status().await else {
            return known;
        };
        let room = Room {
            at: Instant::now(),
            used: status.counted(),
            quota: self.quota.or(status.quota)?,
            has_reserve: status.quota_counts_use,
        };
        *lock(&self.room) = Some(room);
        Some(room)
    }

    /// Whether the store has room for what a node writes.
    pub(super) async fn room(
        &self,
        store: &dyn Store,
        keys: &Keys,
        txn: &Txn,
        is_stranger: bool,
    ) -> Result<(), Status> {
        let Some(room) = self.room_of(store).await else {
            return Ok(());
        };
        let bytes = bytes_of(txn) as u64;
        let percent =
            u128::from(room.used.saturating_add(bytes)) * 100 / u128::from(room.quota.max(1));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let nothing = if room.has_reserve {
            NOTHING_WITH_RESERVE
        } else {
            NOTHING
        };
        if is_stranger && percent >= NO_STRANGERS {
            return Err(no_space());
        }
        let only_alive = puts(txn).all(|(key, value)| {
            value.len() <= 1 << 10 && matches!(keys.parse(key), Ok(Key::NodeAlive(_)))
        });
        let has_large = puts(txn).any(|(_, value)| value.len() > LARGE);
        if only_alive || (percent < NOTHING_LARGE || !has_large) && percent < nothing {
            Ok(())
        } else {
            Err(no_space())
        }
    }

    /// Whether a node may have another lease; gives the seconds it lasts.
    pub(super) fn may_lease(&self, id: NodeId, ttl: i64, is_stranger: bool) -> Result<i64, Status> {
        let now = Instant::now();
        let mut nodes = lock(&self.nodes);
        let node = nodes.node(id, now);
        node.leases.retain(|(_, until)| *until > now);
        if node.leases.len() >= LEASES {
            return Err(Status::resource_exhausted(format!(
                "rove: the node has {LEASES} leases, no more are given to one"
            )));
        }
        if !is_stranger {
            return Ok(ttl);
        }
        while nodes
            .stranger_leases
            .front()
            .is_some_and(|until| *until <= now)
        {
            nodes.stranger_leases.pop_front();
        }
        if nodes.stranger_leases.len() >= STRANGER_LEASES {
            return Err(Status::resource_exhausted(
                "rove: too many new nodes come at once, try again later",
            ));
        }
        let ttl = ttl.min(STRANGER_TTL);
        nodes.stranger_leases.push_back(now + seconds(STRANGER_TTL));
        Ok(ttl)
    }

    /// Notes a lease that a node was given, or that it renewed.
    pub(super) fn leased(&self, id: NodeId, lease: i64, ttl: i64) {
        let now = Instant::now();
        let until = now + seconds(ttl);
        let mut nodes = lock(&self.nodes);
        let leases = &mut nodes.node(id, now).leases;
        match leases.iter_mut().find(|(known, _)| *known == lease) {
            Some(known) => known.1 = until,
            None => leases.push((lease, until)),
        }
    }

    /// Notes that a lease of a node has ended.
    pub(super) fn unleased(&self, id: NodeId, lease: i64) {
        if let Some(node) = lock(&self.nodes).by_id.get_mut(&id) {
            node.leases.retain(|(known, _)| *known != lease);
        }
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(ttl.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::memory::MemoryStore;
    use rove_model::ids::AllocId;

    fn node(byte: u8) -> NodeId {
        NodeId::from_random([byte; 16])
    }

    fn write(key: &Key, bytes: usize) -> Txn {
        Txn {
            then: vec![Op::put(Keys::default().encode(key), vec![1; bytes])],
            ..Txn::default()
        }
    }

    fn status(byte: u8) -> Key {
        Key::AllocStatus(node(1), AllocId::from_random([byte; 16]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_writes_a_burst_and_then_at_its_rate() {
        let limits = Limits::default();
        let large = write(&status(1), STATUS_BYTES);
        let written = |id: NodeId, is_stranger: bool| {
            (0..1_000)
                .take_while(|_| limits.takes(id, &large, is_stranger).is_ok())
                .count()
        };
        let burst = NODE.burst / bytes_of(&large);
        assert_eq!(written(node(1), false), burst);
        // Another is not held up by it; strangers are, by each other.
        assert_eq!(written(node(2), false), burst);
        let strangers: usize = (10..20).map(|byte| written(node(byte), true)).sum();
        assert!(
            strangers <= STRANGERS.burst / bytes_of(&large),
            "{strangers}"
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        // And what was left of the burst.
        let more = written(node(1), false);
        let expected = 10 * NODE.second / bytes_of(&large);
        assert!((expected..=expected + 1).contains(&more), "{more}");
    }

    #[test]
    fn what_is_too_large_for_a_node_is_refused_by_the_name_of_its_key() {
        let keys = Keys::default();
        let rows = [
            (Key::Node(node(1)), NODE_BYTES),
            (Key::NodeAlive(node(1)), ALIVE_BYTES),
            (status(1), STATUS_BYTES),
        ];
        for (key, most) in rows {
            assert!(Limits::sizes(&keys, &write(&key, most)).is_ok());
            let refused = Limits::sizes(&keys, &write(&key, most + 1)).unwrap_err();
            let name = String::from_utf8(keys.encode(&key).to_vec()).unwrap();
            assert!(refused.message().contains(&name), "{refused}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn leases_are_bounded_per_node_and_those_of_strangers_in_all() {
        let limits = Limits::default();
        for lease in 0..LEASES {
            assert_eq!(limits.may_lease(node(1), 600, false).unwrap(), 600);
            limits.leased(node(1), i64::try_from(lease).unwrap(), 600);
        }
        assert!(limits.may_lease(node(1), 600, false).is_err());
        limits.unleased(node(1), 0);
        assert!(limits.may_lease(node(1), 600, false).is_ok());
        let given = (100..30_000_u32)
            .take_while(|number| {
                let mut id = [0; 16];
                id[..4].copy_from_slice(&number.to_le_bytes());
                matches!(
                    limits.may_lease(NodeId::from_random(id), 86_400, true),
                    Ok(STRANGER_TTL)
                )
            })
            .count();
        assert_eq!(given, STRANGER_LEASES);
        tokio::time::advance(seconds(STRANGER_TTL)).await;
        assert!(limits.may_lease(node(9), 15, true).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_nearly_full_takes_little_of_nodes_and_leaves_the_rest_to_others() {
        // Full or not: what is new, large, small, and a sign of life.
        let rows = [
            (50, true, [true, true, true, true]),
            (85, true, [false, true, true, true]),
            (92, true, [false, false, true, true]),
            (97, true, [false, false, true, true]),
            (97, false, [false, false, false, true]),
            (107, true, [false, false, false, true]),
        ];
        let keys = Keys::default();
        let store = MemoryStore::new();
        for (percent, has_reserve, expected) in rows {
            let limits = Limits::default();
            *lock(&limits.room) = Some(Room {
                at: Instant::now(),
                used: percent * 1_000_000,
                quota: 100_000_000,
                has_reserve,
            });
            let cases = [
                (write(&Key::Node(node(1)), 2_000), true),
                (write(&status(1), LARGE + 1), false),
                (write(&status(1), 2_000), false),
                (write(&Key::NodeAlive(node(1)), 90), false),
            ];
            for ((txn, is_stranger), expected) in cases.iter().zip(expected) {
                let taken = limits.room(&store, &keys, txn, *is_stranger).await;
                assert_eq!(taken.is_ok(), expected, "{percent} {has_reserve} {txn:?}");
            }
        }
    }
}
