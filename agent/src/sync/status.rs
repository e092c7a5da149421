//! Tells the store what became of the allocs: a few words at once, then one transaction per 100 ms at most. That an
//! alloc waits to run is said when it has done so for a moment: most run by then, and that is said instead.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::{alloc::ClientStatus, encoding, ids::NodeId};
use rove_store::{
    backoff::{Backoff, Recovery},
    keys::{Key, Keys},
    store::{
        Compare, CompareOp, CompareTarget, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, OpResponse,
        RangeRequest, Store, StoreError, Txn,
    },
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::LONGEST_PAUSE;
use crate::{
    context::CALL,
    outbox::{Outbox, Pending},
};

/// The least time between two transactions, in the long run.
const INTERVAL: Duration = Duration::from_millis(100);

/// Transactions that may follow each other at once after a rest: a task that starts fast is told of as fast, though
/// another was told of just before.
const BURST: u32 = 3;

/// How long the word that allocs wait to run may wait itself.
const HOLD: Duration = Duration::from_millis(50);

/// Statuses of one transaction: two compares each.
const BATCH: usize = MAX_TXN_OPS / 2;

pub(crate) struct Writer {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: NodeId,
    pub outbox: Arc<Outbox>,
    pub seed: u64,
    /// Shared with whoever else waits for the store here.
    pub recovery: Recovery,
}

/// When the next transaction may go: `BURST` at once, in the long run one per `INTERVAL`.
struct Pace {
    /// When all transactions so far would be through, one per `INTERVAL`.
    through: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { through: now }
    }

    /// How long the next one has to wait.
    fn wait(&self, now: Instant) -> Duration {
        self.through
            .saturating_duration_since(now)
            .saturating_sub(INTERVAL * (BURST - 1))
    }

    /// One goes.
    fn goes(&mut self, now: Instant) {
        self.through = self.through.max(now) + INTERVAL;
    }
}

/// What one transaction is made of.
struct Batch {
    entries: Vec<(Pending, Bytes, Bytes)>,
    txn: Txn,
}

impl Batch {
    fn says_only_that_allocs_wait(&self) -> bool {
        self.entries
            .iter()
            .all(|(pending, ..)| pending.status.client_status == ClientStatus::Pending)
    }
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
        let mut backoff = Backoff::new(INTERVAL, LONGEST_PAUSE, self.seed);
        let mut pace = Pace::new(Instant::now());
        let mut held_since: Option<Instant> = None;
        loop {
            let Some(batch) = self.batch() else {
                self.outbox.changed().await;
                continue;
            };
            if batch.says_only_that_allocs_wait() {
                let since = *held_since.get_or_insert_with(Instant::now);
                let left = HOLD.saturating_sub(since.elapsed());
                if !left.is_zero() {
                    tokio::select! {
                        () = self.outbox.changed() => {}
                        () = sleep(left) => {}
                    }
                    continue;
                }
            }
            let wait = pace.wait(Instant::now());
            if !wait.is_zero() {
                // More may come in the meantime: the batch is put together anew.
                sleep(wait).await;
                continue;
            }
            pace.goes(Instant::now());
            held_since = None;
            match self.commit(batch).await {
                Ok(()) => self.recovery.succeeded(&mut backoff),
                Err(error) => {
                    if backoff.failures() == 0 {
                        tracing::warn!(%error, "can't write the allocs' statuses, trying again");
                    }
                    self.recovery.pause(backoff.next_delay()).await;
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
        for pending in self.outbox.pending(BATCH) {
            let value = match encoding::encode(&*pending.status) {
                Ok(value) => Bytes::from(value),
                Err(error) => {
                    tracing::error!(alloc = %pending.alloc, %error, "the alloc's status can't be stored");
                    self.outbox
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
                self.outbox
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
                        self.outbox.stale(pending.alloc, status);
                    }
                }
                // Forgotten by the store: nobody is to be told any more.
                None => self.outbox.written(pending.alloc, pending.version, status),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_go_at_once_then_one_per_interval_and_a_rest_makes_up_for_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let ms = Duration::from_millis;
        for (after, expected) in [
            (0, 0),
            (0, 0),
            (5, 0),
            (5, 95),
            (100, 0),
            (100, 100),
            // Rested: three at once again, not more.
            (1_000, 0),
            (1_000, 0),
            (1_000, 0),
            (1_000, 100),
        ] {
            let now = start + ms(after);
            assert_eq!(pace.wait(now), ms(expected), "after {after} ms");
            if expected == 0 {
                pace.goes(now);
            }
        }
    }
}
