//! Tells the store what became of the allocs: the first word at once, then one transaction per 100 ms at most.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::{encoding, ids::NodeId};
use rove_store::{
    backoff::Backoff,
    keys::{Key, Keys},
    store::{
        Compare, CompareOp, CompareTarget, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, OpResponse,
        RangeRequest, Store, StoreError, Txn,
    },
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    board::{Board, Pending},
    context::CALL,
};

/// The least time between two transactions.
const INTERVAL: Duration = Duration::from_millis(100);

/// Statuses of one transaction: two compares each.
const BATCH: usize = MAX_TXN_OPS / 2;

pub(crate) struct Writer {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: NodeId,
    pub board: Arc<Board>,
    pub seed: u64,
}

/// What one transaction is made of.
struct Batch {
    entries: Vec<(Pending, Bytes, Bytes)>,
    txn: Txn,
}

impl Writer {
    /// Runs until `cancel`; then writes what is pending once more.
    pub async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(self.write_all()).await;
        let _ = timeout(INTERVAL * 10, self.flush()).await;
    }

    /// Writes what is pending, as long as that succeeds.
    async fn flush(&self) {
        while let Some(batch) = self.batch() {
            if self.commit(batch).await.is_err() {
                return;
            }
        }
    }

    async fn write_all(&self) {
        let mut backoff = Backoff::new(INTERVAL, Duration::from_secs(10), self.seed);
        let mut not_before = Instant::now();
        loop {
            let Some(batch) = self.batch() else {
                self.board.changed().await;
                continue;
            };
            if Instant::now() < not_before {
                // More may come in the meantime: the batch is put together anew.
                sleep_until(not_before).await;
                continue;
            }
            not_before = Instant::now() + INTERVAL;
            match self.commit(batch).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    if backoff.failures() == 0 {
                        tracing::warn!(%error, "can't write the allocs' statuses, trying again");
                    }
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    fn batch(&self) -> Option<Batch> {
        let mut batch = Batch {
            entries: Vec::new(),
            txn: Txn::default(),
        };
        let mut bytes = 0;
        for pending in self.board.pending(BATCH) {
            let value = match encoding::encode(&*pending.status) {
                Ok(value) => Bytes::from(value),
                Err(error) => {
                    tracing::error!(alloc = %pending.alloc, %error, "the alloc's status can't be stored");
                    self.board
                        .written(pending.alloc, pending.version, pending.revision);
                    continue;
                }
            };
            if bytes + value.len() > MAX_TXN_BYTES / 2 && !batch.entries.is_empty() {
                break;
            }
            bytes += value.len();
            let status = self
                .keys
                .encode(&Key::AllocStatus(self.node, pending.alloc));
            let alloc = self.keys.encode(&Key::Alloc(self.node, pending.alloc));
            batch
                .txn
                .compares
                .push(Compare::unchanged(status.clone(), pending.revision));
            // A status of an alloc that was collected would stay for ever.
            batch.txn.compares.push(Compare {
                keys: KeyRange::Key(alloc.clone()),
                target: CompareTarget::CreateRevision(0),
                op: CompareOp::Greater,
            });
            batch.txn.then.push(Op::put(status.clone(), value));
            for key in [&status, &alloc] {
                batch.txn.otherwise.push(Op::Range(RangeRequest {
                    keys_only: true,
                    ..RangeRequest::new(KeyRange::Key(key.clone()))
                }));
            }
            batch.entries.push((pending, status, alloc));
        }
        (!batch.entries.is_empty()).then_some(batch)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { entries, txn } = batch;
        let answer = timeout(CALL, self.store.txn(txn))
            .await
            .map_err(|_| StoreError::Unavailable("a write took too long".to_owned()))??;
        if answer.succeeded {
            for (pending, ..) in &entries {
                self.board
                    .written(pending.alloc, pending.version, answer.revision);
            }
            return Ok(());
        }
        // An earlier answer was lost, or the store was restored, or allocs were collected: look which.
        let mut found = answer.responses.iter().map(|response| match response {
            OpResponse::Range(range) => range.kvs.first().map(|kv| kv.mod_revision),
            OpResponse::Put { .. } | OpResponse::Delete { .. } => None,
        });
        for (pending, ..) in &entries {
            let status = found.next().flatten().unwrap_or(0);
            match found.next().flatten() {
                Some(_) => {
                    if status != pending.revision {
                        self.board.stale(pending.alloc, status);
                    }
                }
                // Forgotten by the store: nobody is to be told any more.
                None => self.board.written(pending.alloc, pending.version, status),
            }
        }
        Ok(())
    }
}
