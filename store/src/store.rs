//! The trait [`Store`]: etcd's data model, and no more of it than rove uses.
//!
//! Every form keeps the same promises, checked by one conformance suite: a transaction is atomic and durable before
//! it is acknowledged, raises the revision by one if it writes anything, and a watch delivers whole revisions in order.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use rove_model::ids::Revision;
use thiserror::Error;

/// A lease's id, as etcd's: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Revision at which the key came into being.
    pub create_revision: Revision,
    /// Revision at which it was last written.
    pub mod_revision: Revision,
    /// Writes since it came into being.
    pub version: u64,
    /// The lease it is attached to.
    pub lease: Option<LeaseId>,
}

/// Which keys: one, or all in `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// One key.
    Key(Bytes),
    /// From the first (included) to the second (not included).
    Span(Bytes, Bytes),
    /// From this key to the end.
    From(Bytes),
}

impl KeyRange {
    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let prefix = prefix.into();
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return Self::Span(prefix, end.into());
            }
        }
        Self::From(prefix)
    }

    /// Those of them that come after `key`, for the next page; none are left of a single key.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Option<Self> {
        let next = Bytes::from([key, b"\0"].concat());
        match self {
            Self::Key(_) => None,
            Self::Span(_, end) => Some(Self::Span(next, end.clone())),
            Self::From(_) => Some(Self::From(next)),
        }
    }

    /// Whether `key` is one of them.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(one) => one == key,
            Self::Span(start, end) => start.as_ref() <= key && key < end.as_ref(),
            Self::From(start) => start.as_ref() <= key,
        }
    }
}

/// A read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// Which keys.
    pub keys: KeyRange,
    /// As of this revision; `None` for the newest.
    pub revision: Option<Revision>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Leave the values out.
    pub keys_only: bool,
    /// Only count.
    pub count_only: bool,
}

impl RangeRequest {
    /// All of `keys` as they are now.
    #[must_use]
    pub fn new(keys: KeyRange) -> Self {
        Self {
            keys,
            revision: None,
            limit: None,
            keys_only: false,
            count_only: false,
        }
    }
}

/// The answer to a read, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision when it was read.
    pub revision: Revision,
    /// What was found.
    pub kvs: Vec<KeyValue>,
    /// There is more than the limit let through.
    pub more: bool,
    /// How many keys there are, whatever the limit.
    pub count: u64,
}

/// What a compare holds against its operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The revision at which the key came into being; 0 when it is absent.
    CreateRevision(Revision),
    /// The revision at which it was last written; 0 when it is absent.
    ModRevision(Revision),
    /// The number of writes; 0 when it is absent.
    Version(u64),
    /// The value; an absent key never compares.
    Value(Bytes),
    /// The lease; 0 when there is none.
    Lease(i64),
}

/// How a compare holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// The key's is equal to the operand.
    Equal,
    /// The key's is greater.
    Greater,
    /// The key's is less.
    Less,
    /// The key's is another.
    NotEqual,
}

/// One condition of a transaction. On a range it must hold for every key there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Which keys.
    pub keys: KeyRange,
    /// What of them.
    pub target: CompareTarget,
    /// How.
    pub op: CompareOp,
}

impl Compare {
    /// `key` is absent.
    #[must_use]
    pub fn absent(key: impl Into<Bytes>) -> Self {
        Self {
            keys: KeyRange::Key(key.into()),
            target: CompareTarget::ModRevision(0),
            op: CompareOp::Equal,
        }
    }

    /// `key` was last written at `revision`.
    #[must_use]
    pub fn unchanged(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self {
            keys: KeyRange::Key(key.into()),
            target: CompareTarget::ModRevision(revision),
            op: CompareOp::Equal,
        }
    }

    /// `key` came into being at `revision` and is still there: how a leader proves that it still leads.
    #[must_use]
    pub fn created_at(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self {
            keys: KeyRange::Key(key.into()),
            target: CompareTarget::CreateRevision(revision),
            op: CompareOp::Equal,
        }
    }
}

/// One step of a transaction's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read.
    Range(RangeRequest),
    /// Write.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The lease to attach it to.
        lease: Option<LeaseId>,
    },
    /// Remove.
    Delete(KeyRange),
}

impl Op {
    /// Write `value` to `key`, on no lease.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        }
    }

    /// Remove `key`.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete(KeyRange::Key(key.into()))
    }
}

/// The most compares, and the most steps of a branch, that one transaction may hold (etcd's default).
pub const MAX_TXN_OPS: usize = 128;

/// The most bytes one transaction may hold (etcd refuses above 1.5 MiB).
pub const MAX_TXN_BYTES: usize = 1024 * 1024;

/// A transaction: if every compare holds, `then` is done, else `otherwise`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions.
    pub compares: Vec<Compare>,
    /// Done when they hold.
    pub then: Vec<Op>,
    /// Done when one does not.
    pub otherwise: Vec<Op>,
}

impl Txn {
    /// Whether neither branch writes.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.then
            .iter()
            .chain(&self.otherwise)
            .all(|op| matches!(op, Op::Range(_)))
    }
}

/// The answer to one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResponse {
    /// What was read.
    Range(RangeResponse),
    /// It was written; what stood there before.
    Put {
        /// The pair that was overwritten.
        previous: Option<KeyValue>,
    },
    /// It was removed.
    Delete {
        /// The pairs that were removed.
        previous: Vec<KeyValue>,
    },
}

/// The answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResponse {
    /// The store's revision after it.
    pub revision: Revision,
    /// Whether the compares held.
    pub succeeded: bool,
    /// One for each step of the branch that was done.
    pub responses: Vec<OpResponse>,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was written.
    Put(KeyValue),
    /// It was removed, by a user or with its lease, at this revision.
    Delete {
        /// The key.
        key: Bytes,
        /// The revision.
        mod_revision: Revision,
    },
}

impl Event {
    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The revision at which it happened.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(kv) => kv.mod_revision,
            Self::Delete { mod_revision, .. } => *mod_revision,
        }
    }
}

/// What a watch delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// All events of one or more whole revisions, in order; never part of a revision.
    Batch {
        /// The newest revision among them.
        revision: Revision,
        /// The events.
        events: Vec<Event>,
    },
    /// Nothing is missing up to this revision.
    Progress {
        /// The revision.
        revision: Revision,
    },
}

/// A running watch. It ends with an error: [`StoreError::Compacted`] when its start is gone or it read too slowly,
/// another when the connection broke. Dropping it cancels it.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchEvent, StoreError>> + Send>>;

/// A watch to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which keys.
    pub keys: KeyRange,
    /// The first revision to deliver; `None` for what comes after now. One ahead of the store waits for it.
    pub start: Option<Revision>,
}

/// What a store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Its newest revision.
    pub revision: Revision,
    /// Bytes it takes on disk.
    pub db_size: u64,
    /// Bytes of them in use.
    pub db_size_in_use: u64,
    /// Bytes it may take; `None` when unknown or without limit.
    pub quota: Option<u64>,
    /// The quota counts the bytes in use rather than those on disk.
    pub quota_counts_use: bool,
    /// The store's version, as `3.4.23`.
    pub version: String,
    /// Which store this is: another one stands behind the same address when it was restored or replaced. 0 when
    /// unknown.
    pub store_id: u64,
}

impl StoreStatus {
    /// Bytes that count against the quota.
    #[must_use]
    pub fn counted(&self) -> u64 {
        if self.quota_counts_use {
            self.db_size_in_use
        } else {
            self.db_size
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The revision asked for was compacted away: list again.
    #[error("revision {requested} was compacted away, the oldest kept is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest that can be read.
        oldest: Revision,
    },
    /// A read at a revision that the store has not reached.
    #[error("revision {requested} is in the future, the store is at {current}")]
    FutureRevision {
        /// What was asked for.
        requested: Revision,
        /// Where the store is.
        current: Revision,
    },
    /// No such lease: it ran out or was revoked.
    #[error("lease {0:?} was not found")]
    LeaseNotFound(LeaseId),
    /// A lease of that id is there already.
    #[error("lease {0:?} exists already")]
    LeaseExists(LeaseId),
    /// The store is out of space; reads, deletes and compaction go on.
    #[error("the store is out of space")]
    NoSpace,
    /// The request breaks a limit of the store.
    #[error("the store refused the request: {0}")]
    Invalid(String),
    /// The caller may not do that.
    #[error("permission denied: {0}")]
    PermissionDenied(String),
    /// The store can't be reached, or did not answer in time. A write may have been done all the same.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk under the store failed.
    #[error("the store's disk failed: {0}")]
    Disk(String),
    /// The store's file is not what was written.
    #[error("the store's file is damaged: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::NoSpace | Self::Disk(_) => true,
            Self::Compacted { .. }
            | Self::FutureRevision { .. }
            | Self::LeaseNotFound(_)
            | Self::LeaseExists(_)
            | Self::Invalid(_)
            | Self::PermissionDenied(_)
            | Self::Corrupt(_) => false,
        }
    }
}

/// A store. All calls are linearizable; every implementation bounds how long a call takes.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads keys.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError>;

    /// Does a transaction. When it answers, what was written is durable.
    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError>;

    /// Opens a watch.
    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError>;

    /// Makes a lease of `ttl` seconds; with `id`, of that id. Gives its id and the TTL granted, in seconds.
    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError>;

    /// Renews a lease; gives its TTL in seconds.
    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError>;

    /// Ends a lease and removes the keys attached to it.
    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError>;

    /// Seconds a lease has left, and the TTL it was granted with.
    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError>;

    /// Every lease there is, in order.
    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError>;

    /// Forgets what was overwritten or removed before `revision`.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// What the store says of itself.
    async fn status(&self) -> Result<StoreStatus, StoreError>;
}
