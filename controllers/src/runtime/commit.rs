//! Writing a decision to the store: packed into few transactions, each fenced and each comparing what it was decided
//! on, so that any of them may fail or be sent twice without harm.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use rove_model::{
    alloc::Alloc,
    encoding::{EncodingError, decode, encode},
    eval::AllocMetric,
    ids::Revision,
};
use rove_store::{
    backoff::Backoff,
    election::Fence,
    keys::{Key, Keys},
    store::{
        Compare, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, OpResponse, RangeRequest, Store,
        StoreError, Txn,
    },
};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::decision::{Commit, Require, Write};

/// The longest wait for an answer: etcd's own request timeout is 7 s.
const CALL: Duration = Duration::from_secs(10);

/// Transactions of one commit under way at once: four keep etcd busy.
const IN_FLIGHT: usize = 4;

/// What a transaction takes on the wire beside its keys and values, for each step; generously.
const OVERHEAD: usize = 64;

/// What came of a commit. The revision is one at which what it did, and what stood against it, can be seen. It is that of
/// a key of ours, not the store's: a store that others write to as well may be ahead of what the state will ever show.
/// What was removed meanwhile has no revision to wait for.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is written.
    Committed(Revision),
    /// Something had changed, so part or all of it is not written.
    Conflict(Revision),
    /// An answer was lost: whether it is written is to be seen.
    Unknown(Revision),
    /// It can't be written as it is.
    Refused(CommitError),
}

/// Why a decision can't be written at all.
#[derive(Debug, Error)]
pub enum CommitError {
    /// A value can't be stored.
    #[error("{key} can't be stored")]
    Encoding {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: EncodingError,
    },
    /// Writes that belong together don't fit into one transaction.
    #[error("{writes} writes of {bytes} bytes belong together and don't fit into one transaction")]
    GroupTooLarge {
        /// How many.
        writes: usize,
        /// Their size.
        bytes: usize,
    },
    /// A mistake in the code.
    #[error("the commit panicked")]
    Panic,
    /// The store does not take it.
    #[error("the store refuses the decision")]
    Store(#[source] StoreError),
}

/// A write as it goes to the store.
struct Encoded {
    compare: Option<Compare>,
    op: Op,
    bytes: usize,
}

/// Writes that go together.
#[derive(Default)]
struct Batch {
    writes: Vec<Encoded>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, other: &Self, most: usize) -> bool {
        self.writes.len() + other.writes.len() <= most && self.bytes + other.bytes <= MAX_TXN_BYTES
    }

    fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
        self.bytes += other.bytes;
    }
}

/// What the scheduler saw of allocs, by their keys.
type Metrics = BTreeMap<Key, AllocMetric>;

/// The stages of a commit: each is sent when the one before is acknowledged, its transactions in any order.
type Stages = Vec<Vec<Batch>>;

/// What a loop writes with.
#[derive(Clone)]
pub struct Committer {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
}

impl Committer {
    /// Commits one decision under `fence`.
    pub async fn commit(&self, fence: &Fence, commit: Commit, seed: u64) -> Outcome {
        // What it rests on as well: of a plan that was applied and removed meanwhile the evaluation tells.
        let about: Vec<Bytes> = commit
            .writes()
            .map(Write::key)
            .chain(commit.requires.iter().map(Require::key))
            .map(|key| self.keys.encode(key))
            .collect();
        let metrics = match self.stored_metrics(&commit).await {
            Ok(metrics) => metrics,
            // Nothing was written yet.
            Err(error) => return self.after_failure(fence, &about, None, error, seed).await,
        };
        let common: Vec<Compare> = std::iter::once(fence.compare())
            .chain(
                commit
                    .requires
                    .iter()
                    .map(|require| require.compare(&self.keys)),
            )
            .collect();
        let most = MAX_TXN_OPS.saturating_sub(common.len()).max(1);
        let stages = match self.pack(&commit, &metrics, most) {
            Ok(stages) => stages,
            Err(error) => return Outcome::Refused(error),
        };
        let mut newest = 0;
        for stage in stages {
            let answers: Vec<_> = stream::iter(stage)
                .map(|batch| self.send(&common, batch))
                .buffer_unordered(IN_FLIGHT)
                .collect()
                .await;
            let mut conflict = false;
            let mut failure = None;
            for answer in answers {
                match answer {
                    Ok((succeeded, revision)) => {
                        conflict |= !succeeded;
                        newest = newest.max(revision);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                let seal = commit.seal.as_ref();
                return self.after_failure(fence, &about, seal, error, seed).await;
            }
            if conflict {
                return Outcome::Conflict(newest);
            }
        }
        Outcome::Committed(newest)
    }

    async fn send(&self, common: &[Compare], batch: Batch) -> Result<(bool, Revision), StoreError> {
        let mut txn = Txn {
            compares: common.to_vec(),
            ..Txn::default()
        };
        for write in batch.writes {
            txn.compares.extend(write.compare);
            txn.then.push(write.op);
        }
        txn.otherwise = txn
            .compares
            .iter()
            .map(|compare| newest(compare.keys.clone()))
            .collect();
        let response = call(self.store.txn(txn)).await?;
        let revision = if response.succeeded {
            response.revision
        } else {
            newest_of(&response.responses)
        };
        Ok((response.succeeded, revision))
    }

    fn pack(&self, commit: &Commit, metrics: &Metrics, most: usize) -> Result<Stages, CommitError> {
        let one = |writes: &[Write]| -> Result<Batch, CommitError> {
            let mut batch = Batch::default();
            for write in writes {
                let write = self.encode(write, metrics)?;
                batch.bytes += write.bytes;
                batch.writes.push(write);
            }
            if batch.writes.len() > most || batch.bytes > MAX_TXN_BYTES {
                return Err(CommitError::GroupTooLarge {
                    writes: batch.writes.len(),
                    bytes: batch.bytes,
                });
            }
            Ok(batch)
        };
        let pack = |groups: &[Vec<Write>]| -> Result<Vec<Batch>, CommitError> {
            let mut batches: Vec<Batch> = Vec::new();
            for group in groups.iter().filter(|group| !group.is_empty()) {
                let group = one(group)?;
                match batches.last_mut() {
                    Some(batch) if batch.takes(&group, most) => batch.append(group),
                    _ => batches.push(group),
                }
            }
            Ok(batches)
        };
        let mut stages = vec![
            pack(&commit.first)?,
            pack(&commit.groups)?,
            pack(std::slice::from_ref(&commit.last))?,
        ];
        let writes: usize = stages
            .iter()
            .flatten()
            .map(|batch| batch.writes.len())
            .sum();
        let bytes: usize = stages.iter().flatten().map(|batch| batch.bytes).sum();
        if writes <= most && bytes <= MAX_TXN_BYTES {
            let mut all = Batch::default();
            stages
                .into_iter()
                .flatten()
                .for_each(|batch| all.append(batch));
            return Ok(vec![vec![all]]);
        }
        stages.retain(|stage| !stage.is_empty());
        Ok(stages)
    }

    fn encode(&self, write: &Write, metrics: &Metrics) -> Result<Encoded, CommitError> {
        let key = self.keys.encode(write.key());
        let put = |value: Result<Vec<u8>, EncodingError>| {
            let value = value.map_err(|source| CommitError::Encoding {
                key: write.key().to_string(),
                source,
            })?;
            let size = value.len();
            Ok((Op::put(key.clone(), value), size))
        };
        let (op, value) = match write {
            Write::Create(_, object) | Write::Update(_, object, _) => put(object.encode())?,
            Write::UpdateAlloc(id, alloc, _) => {
                let metrics = metrics.get(id).cloned().unwrap_or_default();
                put(encode(&Alloc::clone(alloc).with_metrics(metrics)))?
            }
            Write::Delete(..) | Write::Forget(_) => (Op::delete(key.clone()), 0),
        };
        Ok(Encoded {
            compare: write.compare(&self.keys),
            op,
            bytes: value + 3 * key.len() + OVERHEAD,
        })
    }

    /// What the scheduler saw of the allocs that are written again: it stands in the store alone. Nothing of one that is
    /// gone or can't be read: the former's write is refused by what it compares.
    async fn stored_metrics(&self, commit: &Commit) -> Result<Metrics, StoreError> {
        let changed: Vec<&Key> = commit
            .writes()
            .filter_map(|write| match write {
                Write::UpdateAlloc(key, ..) => Some(key),
                Write::Create(..) | Write::Update(..) | Write::Delete(..) | Write::Forget(_) => {
                    None
                }
            })
            .collect();
        let mut metrics = Metrics::new();
        for chunk in changed.chunks(MAX_TXN_OPS) {
            let reads = chunk
                .iter()
                .map(|key| Op::Range(RangeRequest::new(KeyRange::Key(self.keys.encode(key)))))
                .collect();
            let answer = call(self.store.txn(Txn {
                then: reads,
                ..Txn::default()
            }))
            .await?;
            for (key, response) in chunk.iter().zip(answer.responses) {
                if let OpResponse::Range(found) = response
                    && let Some(kv) = found.kvs.first()
                    && let Ok(stored) = decode::<MetricsOnly>(&kv.value)
                {
                    metrics.insert((*key).clone(), stored.metrics);
                }
            }
        }
        Ok(metrics)
    }

    /// After an answer that was lost: reads the keys it was about until the store answers, so that a state at the newest
    /// of their revisions shows whatever was done.
    async fn after_failure(
        &self,
        fence: &Fence,
        about: &[Bytes],
        seal: Option<&Key>,
        error: StoreError,
        seed: u64,
    ) -> Outcome {
        if !matches!(
            error,
            StoreError::Unavailable(_)
                | StoreError::NoSpace
                | StoreError::Disk(_)
                | StoreError::Corrupt(_)
        ) {
            return Outcome::Refused(CommitError::Store(error));
        }
        warn!(%error, "a write got no answer, looking what came of it");
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5), seed);
        if let Some(key) = seal {
            self.seal(fence, self.keys.encode(key), &mut backoff).await;
        }
        let mut revision = 0;
        // One after the other: while the store is away, one call at a time asks for it.
        for keys in about.chunks(MAX_TXN_OPS) {
            revision = revision.max(self.last_written(keys, &mut backoff).await);
        }
        Outcome::Unknown(revision)
    }

    /// Writes a key anew as it is, so that a transaction that rests on it and is still on its way is refused when it
    /// arrives. Tries until the store answers: whether it is written now, or was changed by others, comes to the same.
    async fn seal(&self, fence: &Fence, key: Bytes, backoff: &mut Backoff) {
        let write = async || {
            let range = RangeRequest::new(KeyRange::Key(key.clone()));
            let found = call(self.store.range(range)).await?;
            let Some(kv) = found.kvs.into_iter().next() else {
                return Ok(());
            };
            let txn = Txn {
                compares: vec![
                    fence.compare(),
                    Compare::unchanged(key.clone(), kv.mod_revision),
                ],
                then: vec![Op::put(key.clone(), kv.value)],
                otherwise: Vec::new(),
            };
            call(self.store.txn(txn)).await.map(|_| ())
        };
        while let Err::<(), StoreError>(error) = write().await {
            debug!(%error, "what is on its way to the store can't be stopped yet");
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// When the last of some keys was written; 0 when none is there. Asks until the store answers.
    async fn last_written(&self, keys: &[Bytes], backoff: &mut Backoff) -> Revision {
        let txn = Txn {
            then: keys
                .iter()
                .cloned()
                .map(KeyRange::Key)
                .map(newest)
                .collect(),
            ..Txn::default()
        };
        loop {
            match call(self.store.txn(txn.clone())).await {
                Ok(found) => return newest_of(&found.responses),
                Err(error) => {
                    debug!(%error, "the store still gives no answer");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

/// Asks when keys were last written.
fn newest(keys: KeyRange) -> Op {
    Op::Range(RangeRequest {
        keys_only: true,
        ..RangeRequest::new(keys)
    })
}

/// The newest revision of the keys that were found.
fn newest_of(responses: &[OpResponse]) -> Revision {
    responses
        .iter()
        .filter_map(|response| match response {
            OpResponse::Range(found) => found.kvs.iter().map(|kv| kv.mod_revision).max(),
            _ => None,
        })
        .max()
        .unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsOnly {
    #[serde(default)]
    metrics: AllocMetric,
}

async fn call<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(CALL, answer).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!(
            "no answer within {CALL:?}"
        )))
    })
}

#[cfg(test)]
mod tests;
