//! Reads, transactions that only read among them: at the newest durable revision, beside the writer.
//!
//! Invariant: the lock is held for a look at the index and no longer, never over a value or a wait. All that is read
//! for one answer is of one revision; when a compaction overtakes it, it is begun anew.

use std::sync::{Arc, RwLockReadGuard, TryLockError};

use bytes::Bytes;
use rove_model::ids::Revision;

use super::Shared;
use super::disk::ReadRows;
use crate::engine::{Engine, Found, Listing, holds};
use crate::store::{
    KeyRange, Op, OpResponse, RangeRequest, RangeResponse, StoreError, Txn, TxnResponse,
};

/// The most bytes that a transaction's reads give.
const MAX_READ: usize = 64 << 20;

/// A transaction that reads is begun anew so often.
const TRIES: u32 = 16;

/// What a look at the index gave, and the rows to fetch its values from.
struct Look {
    listing: Listing<()>,
    revision: Revision,
    rows: Option<ReadRows>,
}

impl Look {
    fn new(
        shared: &Shared,
        engine: &Engine<()>,
        request: &RangeRequest,
    ) -> Result<Self, StoreError> {
        let revision = shared.durable();
        let at = engine.readable(request.revision, revision)?;
        let listing = engine.list(request, at);
        // Opened under the lock: compaction takes a version from the index before it takes its row.
        let rows = if request.keys_only || listing.found.is_empty() {
            None
        } else {
            Some(shared.disk.read()?)
        };
        Ok(Self {
            listing,
            revision,
            rows,
        })
    }

    fn fetch(self) -> Result<RangeResponse, StoreError> {
        let Listing { found, more, count } = self.listing;
        let kvs = found
            .into_iter()
            .map(|found| {
                let value = match &self.rows {
                    Some(rows) => rows.value(found.place)?,
                    None => Bytes::new(),
                };
                Ok(found.with_value(value))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(RangeResponse {
            revision: self.revision,
            kvs,
            more,
            count,
        })
    }
}

/// Does `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Disk(error.to_string()))?
}

/// The lock, if it is free.
fn try_engine(shared: &Shared) -> Option<RwLockReadGuard<'_, Engine<()>>> {
    match shared.engine.try_read() {
        Ok(engine) => Some(engine),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A range. One key is looked up in place when nothing stands in the way.
pub(super) async fn range(
    shared: &Arc<Shared>,
    request: RangeRequest,
) -> Result<RangeResponse, StoreError> {
    if matches!(request.keys, KeyRange::Key(_)) {
        let look = try_engine(shared)
            .map(|engine| Look::new(shared, &engine, &request))
            .transpose()?;
        if let Some(look) = look {
            return look.fetch();
        }
    }
    let shared = Arc::clone(shared);
    blocking(move || {
        let look = Look::new(&shared, &shared.engine(), &request)?;
        look.fetch()
    })
    .await
}

/// A transaction that only reads.
pub(super) async fn txn(shared: &Arc<Shared>, txn: Txn) -> Result<TxnResponse, StoreError> {
    let shared = Arc::clone(shared);
    blocking(move || {
        for _ in 0..TRIES {
            if let Some(answer) = try_txn(&shared, &txn)? {
                return Ok(answer);
            }
        }
        Err(StoreError::Unavailable(
            "compaction overtook the transaction's reads".to_owned(),
        ))
    })
    .await
}

/// All reads of a transaction at one revision, or nothing when that was compacted away in between.
fn try_txn(shared: &Shared, txn: &Txn) -> Result<Option<TxnResponse>, StoreError> {
    let (at, rows) = {
        let _engine = shared.engine();
        (shared.durable(), shared.disk.read()?)
    };
    let list = |request: &RangeRequest| -> Result<Option<Listing<()>>, StoreError> {
        let engine = shared.engine();
        if engine.compacted() > at {
            return Ok(None);
        }
        let at = engine.readable(request.revision, at)?;
        Ok(Some(engine.list(request, at)))
    };
    let value = |found: &Found<()>| rows.value(found.place);
    let mut succeeded = true;
    for compare in &txn.compares {
        let Some(listing) = list(&RangeRequest::new(compare.keys.clone()))? else {
            return Ok(None);
        };
        if !holds(compare, &listing.found, value)? {
            succeeded = false;
            break;
        }
    }
    let ops = if succeeded { &txn.then } else { &txn.otherwise };
    let mut responses = Vec::with_capacity(ops.len());
    let mut bytes = 0;
    for op in ops {
        let Op::Range(request) = op else {
            return Err(StoreError::Invalid("a read that writes".to_owned()));
        };
        let Some(listing) = list(request)? else {
            return Ok(None);
        };
        let Listing { found, more, count } = listing;
        let mut kvs = Vec::with_capacity(found.len());
        for found in found {
            let value = if request.keys_only {
                Bytes::new()
            } else {
                value(&found)?
            };
            bytes += found.key.len() + value.len() + std::mem::size_of_val(&found);
            if bytes > MAX_READ {
                return Err(too_large());
            }
            kvs.push(found.with_value(value));
        }
        responses.push(OpResponse::Range(RangeResponse {
            revision: at,
            kvs,
            more,
            count,
        }));
    }
    Ok(Some(TxnResponse {
        revision: at,
        succeeded,
        responses,
    }))
}

fn too_large() -> StoreError {
    StoreError::Invalid(format!(
        "the answer is too large: above {} MiB; read with a limit, page by page",
        MAX_READ >> 20
    ))
}
