//! Keeps the node known and alive: `nodes/<id>`, and `node-alive/<id>` on a lease.
//!
//! Whatever is gone is written again: after a lost lease, a restored store, or a collection of the node's key. A lease
//! that the store refuses is replaced.

use std::{sync::Arc, time::Duration};

use rove_model::{
    encoding,
    ids::{NodeId, UnixNanos},
    node::{Node, NodeAlive},
};
use rove_store::{
    backoff::{Backoff, Recovery},
    keys::{Key, Keys},
    lease_keeper::{LeaseConfig, LeaseKeeper},
    store::{
        Compare, KeyRange, KeyValue, LeaseId, Op, OpResponse, RangeRequest, Store, StoreError, Txn,
    },
};
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::LONGEST_PAUSE;
use crate::{context::CALL, shared::Shared};

/// How often it is made sure that both keys are there, though nothing hints at a loss.
const CHECK_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Registration {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: watch::Receiver<Arc<Node>>,
    pub shared: Arc<Shared>,
    /// Seconds.
    pub lease_ttl: i64,
    pub revoke_on_stop: bool,
    pub seed: u64,
    /// Shared with whoever else waits for the store here.
    pub recovery: Recovery,
}

#[derive(Debug, Error)]
enum RegistrationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the node can't be stored")]
    Encoding(#[from] encoding::EncodingError),
    #[error("the node was written by another at the same time")]
    Conflict,
}

impl Registration {
    /// Runs until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        // The lease outlives `cancel` by the time it takes to give it up.
        let keep = CancellationToken::new();
        let config = LeaseConfig {
            ttl: self.lease_ttl,
            resume: None,
            revoke_on_stop: self.revoke_on_stop,
            seed: self.seed,
            recovery: self.recovery.clone(),
        };
        let keeper = LeaseKeeper::start(Arc::clone(&self.store), config, &keep);
        let (lease, refused) = (keeper.lease(), keeper.refused());
        let _ = cancel.run_until_cancelled(self.keep(lease, refused)).await;
        self.shared.set_connected(false);
        keeper.stop().await;
    }

    async fn keep(
        &mut self,
        mut lease: watch::Receiver<Option<LeaseId>>,
        refused: watch::Sender<Option<LeaseId>>,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE, self.seed);
        let mut since: Option<(LeaseId, UnixNanos)> = None;
        loop {
            let held = *lease.borrow_and_update();
            let node = Arc::clone(&self.node.borrow_and_update());
            let Some(held) = held else {
                self.shared.set_connected(false);
                if lease.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let began = match since {
                Some((id, began)) if id == held => began,
                _ => self.shared.wall(),
            };
            since = Some((held, began));
            match self.register(&node, held, began).await {
                Ok(()) => {
                    self.recovery.succeeded(&mut backoff);
                    self.shared.set_connected(true);
                    tokio::select! {
                        biased;
                        changed = lease.changed() => if changed.is_err() {
                            return;
                        },
                        changed = self.node.changed() => if changed.is_err() {
                            return;
                        },
                        () = sleep(CHECK_EVERY) => {}
                    }
                }
                Err(error) => {
                    if backoff.failures() == 0 {
                        tracing::warn!(%error, "can't register the node, trying again");
                    }
                    let is_refused = matches!(
                        error,
                        RegistrationError::Store(
                            StoreError::PermissionDenied(_) | StoreError::LeaseNotFound(_)
                        )
                    );
                    let delay = backoff.next_delay();
                    if is_refused {
                        self.shared.set_connected(false);
                    }
                    tokio::select! {
                        biased;
                        () = self.recovery.pause(delay) => {
                            if is_refused {
                                refused.send_replace(Some(held));
                            }
                        }
                        changed = lease.changed() => if changed.is_err() {
                            return;
                        },
                    }
                }
            }
        }
    }

    /// Writes what of both keys isn't as it should be.
    async fn register(
        &self,
        node: &Node,
        lease: LeaseId,
        since: UnixNanos,
    ) -> Result<(), RegistrationError> {
        let (node_key, alive_key) = node_keys(&self.keys, node.id);
        let look = |key: &bytes::Bytes| Op::Range(RangeRequest::new(KeyRange::Key(key.clone())));
        let answer = self
            .txn(Txn {
                then: vec![look(&node_key), look(&alive_key)],
                ..Txn::default()
            })
            .await?;
        let mut found = answer.responses.into_iter().map(first);
        let (stored, alive) = (found.next().flatten(), found.next().flatten());
        let mut wanted = node.clone();
        let before = stored
            .as_ref()
            .and_then(|kv| encoding::decode::<Node>(&kv.value).ok());
        if let Some(before) = &before {
            wanted.registered_at = before.registered_at;
        }
        let mut txn = Txn::default();
        if before.as_ref() != Some(&wanted) {
            txn.then
                .push(Op::put(node_key.clone(), encoding::encode(&wanted)?));
        }
        if alive.is_none_or(|kv| kv.lease != Some(lease)) {
            txn.then.push(Op::Put {
                key: alive_key,
                value: encoding::encode(&NodeAlive { since })?.into(),
                lease: Some(lease),
            });
        }
        if txn.then.is_empty() {
            return Ok(());
        }
        txn.compares.push(match &stored {
            Some(kv) => Compare::unchanged(node_key, kv.mod_revision),
            None => Compare::absent(node_key),
        });
        let answer = self.txn(txn).await?;
        if answer.succeeded {
            tracing::info!(node = %node.id, "node registered");
            Ok(())
        } else {
            Err(RegistrationError::Conflict)
        }
    }

    async fn txn(&self, txn: Txn) -> Result<rove_store::store::TxnResponse, StoreError> {
        timeout(CALL, self.store.txn(txn))
            .await
            .map_err(|_| StoreError::Unavailable("a registration took too long".to_owned()))?
    }
}

fn node_keys(keys: &Keys, node: NodeId) -> (bytes::Bytes, bytes::Bytes) {
    (
        keys.encode(&Key::Node(node)),
        keys.encode(&Key::NodeAlive(node)),
    )
}

fn first(response: OpResponse) -> Option<KeyValue> {
    match response {
        OpResponse::Range(range) => range.kvs.into_iter().next(),
        OpResponse::Put { .. } | OpResponse::Delete { .. } => None,
    }
}
