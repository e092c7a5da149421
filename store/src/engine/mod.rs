//! The multi-version engine under the memory and the embedded store: pure and synchronous, so that both keep exactly
//! the same promises. It holds the index (key → versions); where values and rows live is its owner's affair
//! ([`Rows`]).
//!
//! Invariant: a request is checked whole before anything is changed, so a refusal leaves no trace. Only an error of
//! the rows themselves may leave a transaction half applied; the owner then loads the engine anew.

mod check;
mod leases;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use rove_model::ids::Revision;
use tokio::time::Instant;

use crate::store::{
    Compare, CompareOp, CompareTarget, Event, KeyRange, KeyValue, LeaseId, Op, OpResponse,
    RangeRequest, RangeResponse, StoreError, Txn, TxnResponse,
};

pub(crate) use check::{check_range, check_txn, check_watch, size as txn_size};
pub(crate) use leases::{Leases, MAX_TTL};

/// Where a version's row is: etcd's main and sub revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The transaction's revision.
    pub(crate) revision: Revision,
    /// Which of the transaction's writes.
    pub(crate) sub: u32,
}

/// Where the values are.
pub(crate) trait Rows {
    /// What the index keeps of a value.
    type Slot: Clone + Send + Sync;
    /// Stores a written pair.
    fn put(&mut self, place: Place, kv: &KeyValue) -> Result<Self::Slot, StoreError>;
    /// Stores that a key was removed.
    fn tombstone(&mut self, place: Place, key: &Bytes) -> Result<(), StoreError>;
    /// Gives a value back.
    fn value(&self, place: Place, slot: &Self::Slot) -> Result<Bytes, StoreError>;
}

/// What one version of a key is when it isn't a removal.
#[derive(Clone, Debug)]
pub(crate) struct Live<S> {
    pub(crate) create_revision: Revision,
    pub(crate) version: u64,
    /// 0 for none.
    pub(crate) lease: i64,
    pub(crate) slot: S,
}

#[derive(Clone, Debug)]
struct Version<S> {
    place: Place,
    live: Option<Live<S>>,
}

/// A pair whose value hasn't been fetched.
#[derive(Clone, Debug)]
pub(crate) struct Found<S> {
    pub(crate) key: Bytes,
    pub(crate) place: Place,
    pub(crate) live: Live<S>,
}

impl<S> Found<S> {
    pub(crate) fn with_value(self, value: Bytes) -> KeyValue {
        KeyValue {
            key: self.key,
            value,
            create_revision: self.live.create_revision,
            mod_revision: self.place.revision,
            version: self.live.version,
            lease: (self.live.lease != 0).then_some(LeaseId(self.live.lease)),
        }
    }
}

/// What a range found: which pairs, whether there are more, how many there are.
pub(crate) struct Listing<S> {
    pub(crate) found: Vec<Found<S>>,
    pub(crate) more: bool,
    pub(crate) count: u64,
}

/// A transaction that was done.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) response: TxnResponse,
    /// What watchers are told; empty if nothing was written.
    pub(crate) events: Vec<Event>,
}

/// See the module.
pub(crate) struct Engine<S> {
    index: BTreeMap<Bytes, Vec<Version<S>>>,
    revision: Revision,
    compacted: Revision,
    pub(crate) leases: Leases,
}

impl<S: Clone + Send + Sync> Engine<S> {
    /// An empty store is at revision 1, as etcd's.
    pub(crate) fn new() -> Self {
        Self {
            index: BTreeMap::new(),
            revision: 1,
            compacted: 0,
            leases: Leases::default(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// Puts back a row read from disk; rows come in the order of their places.
    pub(crate) fn restore(&mut self, key: Bytes, place: Place, live: Option<Live<S>>) {
        let old = self.lease_of(&key);
        let new = live.as_ref().map_or(0, |live| live.lease);
        self.index
            .entry(key.clone())
            .or_default()
            .push(Version { place, live });
        self.leases.attach(&key, old, new);
        self.revision = self.revision.max(place.revision);
    }

    /// Sets what the rows alone don't say.
    pub(crate) fn restore_marks(&mut self, revision: Revision, compacted: Revision) {
        self.revision = self.revision.max(revision);
        self.compacted = compacted;
    }

    /// Checks that `requested` can be read when the newest is `newest`; gives the revision to read at.
    pub(crate) fn readable(
        &self,
        requested: Option<Revision>,
        newest: Revision,
    ) -> Result<Revision, StoreError> {
        match requested {
            None | Some(0) => Ok(newest),
            Some(requested) if requested > newest => Err(StoreError::FutureRevision {
                requested,
                current: newest,
            }),
            Some(requested) if requested < self.compacted => Err(StoreError::Compacted {
                requested,
                oldest: self.compacted,
            }),
            Some(requested) => Ok(requested),
        }
    }

    /// The keys of `request` as of revision `at`, without their values.
    pub(crate) fn list(&self, request: &RangeRequest, at: Revision) -> Listing<S> {
        let limit = request.limit.filter(|limit| *limit > 0);
        let mut listing = Listing {
            found: Vec::new(),
            more: false,
            count: 0,
        };
        let Some(bounds) = bounds(&request.keys) else {
            return listing;
        };
        for (key, versions) in self.index.range::<[u8], _>(bounds) {
            let Some((place, live)) = live_at(versions, at) else {
                continue;
            };
            listing.count += 1;
            if request.count_only {
                continue;
            }
            if limit.is_some_and(|limit| listing.found.len() >= limit) {
                listing.more = true;
                continue;
            }
            listing.found.push(Found {
                key: key.clone(),
                place,
                live: live.clone(),
            });
        }
        listing
    }

    /// Reads `request` as of `at`, values included.
    pub(crate) fn range(
        &self,
        request: &RangeRequest,
        at: Revision,
        revision: Revision,
        rows: &impl Rows<Slot = S>,
    ) -> Result<RangeResponse, StoreError> {
        let listing = self.list(request, at);
        let mut kvs = Vec::with_capacity(listing.found.len());
        for found in listing.found {
            let value = if request.keys_only {
                Bytes::new()
            } else {
                rows.value(found.place, &found.live.slot)?
            };
            kvs.push(found.with_value(value));
        }
        Ok(RangeResponse {
            revision,
            kvs,
            more: listing.more,
            count: listing.count,
        })
    }

    /// Does a transaction that [`check_txn`] let through.
    pub(crate) fn txn(
        &mut self,
        txn: &Txn,
        rows: &mut impl Rows<Slot = S>,
    ) -> Result<Applied, StoreError> {
        let mut succeeded = true;
        for compare in &txn.compares {
            if !self.holds(compare, rows)? {
                succeeded = false;
                break;
            }
        }
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        for op in ops {
            match op {
                Op::Put {
                    lease: Some(lease), ..
                } if !self.leases.contains(*lease) => {
                    return Err(StoreError::LeaseNotFound(*lease));
                }
                Op::Range(request) => {
                    self.readable(request.revision, self.revision)?;
                }
                Op::Put { .. } | Op::Delete(_) => {}
            }
        }
        let mut write = Write {
            revision: self.revision + 1,
            events: Vec::new(),
        };
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            responses.push(match op {
                Op::Range(request) => {
                    let now = if write.events.is_empty() {
                        self.revision
                    } else {
                        write.revision
                    };
                    let at = match request.revision {
                        None | Some(0) => now,
                        Some(at) => at,
                    };
                    OpResponse::Range(self.range(request, at, now, rows)?)
                }
                Op::Put { key, value, lease } => OpResponse::Put {
                    previous: self.put(key, value, lease.map_or(0, |id| id.0), &mut write, rows)?,
                },
                Op::Delete(keys) => OpResponse::Delete {
                    previous: self.delete(keys, &mut write, rows)?,
                },
            });
        }
        if !write.events.is_empty() {
            self.revision = write.revision;
        }
        Ok(Applied {
            response: TxnResponse {
                revision: self.revision,
                succeeded,
                responses,
            },
            events: write.events,
        })
    }

    /// Ends a lease: its keys are removed in one revision.
    pub(crate) fn revoke(
        &mut self,
        id: LeaseId,
        rows: &mut impl Rows<Slot = S>,
    ) -> Result<Vec<Event>, StoreError> {
        let keys = self
            .leases
            .keys_of(id)
            .ok_or(StoreError::LeaseNotFound(id))?;
        let mut write = Write {
            revision: self.revision + 1,
            events: Vec::new(),
        };
        for key in keys {
            self.delete(&KeyRange::Key(key), &mut write, rows)?;
        }
        if !write.events.is_empty() {
            self.revision = write.revision;
        }
        self.leases.remove(id);
        Ok(write.events)
    }

    /// Makes a lease; without an id, under the one that `mint` makes up.
    pub(crate) fn grant(
        &mut self,
        ttl: i64,
        id: Option<LeaseId>,
        now: Instant,
        mut mint: impl FnMut() -> i64,
    ) -> Result<(LeaseId, i64), StoreError> {
        if !(1..=MAX_TTL).contains(&ttl) {
            return Err(StoreError::Invalid(format!(
                "a lease's TTL is 1 to {MAX_TTL} seconds, not {ttl}"
            )));
        }
        let id = match id {
            Some(id) if id.0 != 0 => id,
            _ => loop {
                let id = LeaseId(mint());
                if id.0 > 0 && !self.leases.contains(id) {
                    break id;
                }
            },
        };
        if self.leases.contains(id) {
            return Err(StoreError::LeaseExists(id));
        }
        self.leases.insert(id, ttl, now);
        Ok((id, ttl))
    }

    /// Checks a compaction before it is done.
    pub(crate) fn check_compact(
        &self,
        revision: Revision,
        newest: Revision,
    ) -> Result<(), StoreError> {
        if revision > newest {
            return Err(StoreError::FutureRevision {
                requested: revision,
                current: newest,
            });
        }
        if revision <= self.compacted {
            return Err(StoreError::Compacted {
                requested: revision,
                oldest: self.compacted,
            });
        }
        Ok(())
    }

    /// Marks all before `revision` as gone.
    pub(crate) fn mark_compacted(&mut self, revision: Revision) {
        self.compacted = self.compacted.max(revision);
    }

    /// Forgets the versions of `key` that nobody may read any more; gives the places of their rows. A removal at the
    /// compacted revision itself stays, for a watch may start there.
    pub(crate) fn prune(&mut self, key: &Bytes) -> Vec<Place> {
        let compacted = self.compacted;
        let Some(versions) = self.index.get_mut(key) else {
            return Vec::new();
        };
        let upto = versions.partition_point(|version| version.place.revision <= compacted);
        let Some(mut gone) = upto.checked_sub(1) else {
            return Vec::new();
        };
        let last = &versions[gone];
        if last.live.is_none() && last.place.revision < compacted {
            gone = upto;
        }
        let dropped = versions
            .drain(..gone)
            .map(|version| version.place)
            .collect();
        if versions.is_empty() {
            self.index.remove(key);
        } else if versions.len() * 4 < versions.capacity() {
            versions.shrink_to_fit();
        }
        dropped
    }

    fn newest(&self, key: &[u8]) -> Option<(Place, &Live<S>)> {
        let version = self.index.get(key)?.last()?;
        Some((version.place, version.live.as_ref()?))
    }

    fn lease_of(&self, key: &[u8]) -> i64 {
        self.newest(key).map_or(0, |(_, live)| live.lease)
    }

    fn previous(
        &self,
        key: &Bytes,
        rows: &impl Rows<Slot = S>,
    ) -> Result<Option<KeyValue>, StoreError> {
        let Some((place, live)) = self.newest(key) else {
            return Ok(None);
        };
        let value = rows.value(place, &live.slot)?;
        let found = Found {
            key: key.clone(),
            place,
            live: live.clone(),
        };
        Ok(Some(found.with_value(value)))
    }

    fn put(
        &mut self,
        key: &Bytes,
        value: &Bytes,
        lease: i64,
        write: &mut Write,
        rows: &mut impl Rows<Slot = S>,
    ) -> Result<Option<KeyValue>, StoreError> {
        let previous = self.previous(key, rows)?;
        let kv = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: previous
                .as_ref()
                .map_or(write.revision, |previous| previous.create_revision),
            mod_revision: write.revision,
            version: previous
                .as_ref()
                .map_or(1, |previous| previous.version.saturating_add(1)),
            lease: (lease != 0).then_some(LeaseId(lease)),
        };
        let place = write.place();
        let slot = rows.put(place, &kv)?;
        let old = previous
            .as_ref()
            .and_then(|previous| previous.lease)
            .map_or(0, |id| id.0);
        self.leases.attach(key, old, lease);
        self.index.entry(key.clone()).or_default().push(Version {
            place,
            live: Some(Live {
                create_revision: kv.create_revision,
                version: kv.version,
                lease,
                slot,
            }),
        });
        write.events.push(Event::Put(kv));
        Ok(previous)
    }

    fn delete(
        &mut self,
        keys: &KeyRange,
        write: &mut Write,
        rows: &mut impl Rows<Slot = S>,
    ) -> Result<Vec<KeyValue>, StoreError> {
        let listing = self.list(&RangeRequest::new(keys.clone()), write.revision);
        let mut previous = Vec::with_capacity(listing.found.len());
        for found in listing.found {
            let key = found.key.clone();
            let value = rows.value(found.place, &found.live.slot)?;
            let place = write.place();
            rows.tombstone(place, &key)?;
            self.leases.attach(&key, found.live.lease, 0);
            if let Some(versions) = self.index.get_mut(&key) {
                versions.push(Version { place, live: None });
            }
            write.events.push(Event::Delete {
                key,
                mod_revision: write.revision,
            });
            previous.push(found.with_value(value));
        }
        Ok(previous)
    }

    fn holds(&self, compare: &Compare, rows: &impl Rows<Slot = S>) -> Result<bool, StoreError> {
        let listing = self.list(&RangeRequest::new(compare.keys.clone()), self.revision);
        holds(compare, &listing.found, |found| {
            rows.value(found.place, &found.live.slot)
        })
    }
}

/// Whether a compare holds over the pairs that there are. As etcd: over no key at all, a value never compares and
/// everything else compares as 0; over several, every one must hold.
pub(crate) fn holds<S>(
    compare: &Compare,
    found: &[Found<S>],
    value: impl Fn(&Found<S>) -> Result<Bytes, StoreError>,
) -> Result<bool, StoreError> {
    if found.is_empty() {
        return Ok(match &compare.target {
            CompareTarget::CreateRevision(operand) | CompareTarget::ModRevision(operand) => {
                verdict(compare.op, &0, operand)
            }
            CompareTarget::Version(operand) => verdict(compare.op, &0, operand),
            CompareTarget::Lease(operand) => verdict(compare.op, &0, operand),
            CompareTarget::Value(_) => false,
        });
    }
    for found in found {
        let holds = match &compare.target {
            CompareTarget::CreateRevision(operand) => {
                verdict(compare.op, &found.live.create_revision, operand)
            }
            CompareTarget::ModRevision(operand) => {
                verdict(compare.op, &found.place.revision, operand)
            }
            CompareTarget::Version(operand) => verdict(compare.op, &found.live.version, operand),
            CompareTarget::Lease(operand) => verdict(compare.op, &found.live.lease, operand),
            CompareTarget::Value(operand) => verdict(compare.op, &value(found)?, operand),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A transaction being applied.
struct Write {
    revision: Revision,
    events: Vec<Event>,
}

impl Write {
    fn place(&self) -> Place {
        Place {
            revision: self.revision,
            // A transaction's writes are bounded by the number of keys, far below u32's end.
            sub: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
        }
    }
}

fn verdict<T: Ord>(op: CompareOp, is: &T, operand: &T) -> bool {
    match op {
        CompareOp::Equal => is == operand,
        CompareOp::Greater => is > operand,
        CompareOp::Less => is < operand,
        CompareOp::NotEqual => is != operand,
    }
}

fn live_at<S>(versions: &[Version<S>], at: Revision) -> Option<(Place, &Live<S>)> {
    let upto = versions.partition_point(|version| version.place.revision <= at);
    let version = &versions[upto.checked_sub(1)?];
    Some((version.place, version.live.as_ref()?))
}

type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The range as `BTreeMap` wants it; `None` for an empty one, on which it would panic.
fn bounds(keys: &KeyRange) -> Option<KeyBounds<'_>> {
    match keys {
        KeyRange::Key(key) => Some((Bound::Included(key), Bound::Included(key))),
        KeyRange::Span(start, end) if start < end => {
            Some((Bound::Included(start), Bound::Excluded(end)))
        }
        KeyRange::Span(..) => None,
        KeyRange::From(start) => Some((Bound::Included(start), Bound::Unbounded)),
    }
}

/// The keys that `events` are about, each once.
pub(crate) fn keys_of(events: &[Event]) -> BTreeSet<Bytes> {
    events.iter().map(|event| event.key().clone()).collect()
}
