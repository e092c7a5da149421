//! The secret of the node that a server's own agent is: the agent writes to the store itself, so nobody fixes it for
//! the node as it logs in.

use std::{sync::Arc, time::Duration};

use rove_agent::identity::Identity;
use rove_store::{
    Store,
    backoff::Backoff,
    keys::Keys,
    node_secret::{self, SecretError},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Fixes the secret, with pauses for as long as the store fails, until it is done, can never be done, or `cancel`.
pub async fn fix(store: Arc<dyn Store>, keys: Keys, identity: Identity, cancel: CancellationToken) {
    let mut backoff = Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(30),
        rand::random(),
    );
    loop {
        let tried = node_secret::fix(&*store, &keys, identity.node_id, &identity.secret);
        let fixed = tokio::select! {
            () = cancel.cancelled() => return,
            fixed = tried => fixed,
        };
        match fixed {
            Ok(()) => {
                if backoff.failures() > 0 {
                    info!("other servers can pass calls on to this node now");
                }
                return;
            }
            Err(SecretError::Store(error)) => {
                if backoff.failures() == 0 {
                    warn!(%error, "other servers can't pass calls on to this node yet; the agent goes on trying");
                }
            }
            Err(
                error @ (SecretError::Another(_)
                | SecretError::Damaged { .. }
                | SecretError::Encode { .. }),
            ) => {
                warn!(%error, "other servers can't pass calls on to this node");
                return;
            }
        }
        let delay = backoff.next_delay();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::ids::NodeId;
    use rove_store::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
        node_secret::SecretHash,
    };
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_at_the_start_learns_the_secret_later() {
        let down = Faults {
            unavailable: 1.0,
            ..Faults::default()
        };
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), 1, down));
        let keys = Keys::default();
        let node = NodeId(Uuid::from_u128(7));
        let identity = |secret| Identity::new(node, [secret; 32]);
        let cancel = CancellationToken::new();
        let fixing = tokio::spawn(fix(
            store.clone(),
            keys.clone(),
            identity(1),
            cancel.clone(),
        ));
        while store.counts().unavailable < 10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(!fixing.is_finished());
        store.set_faults(Faults::default());
        fixing.await.unwrap();
        let kept = node_secret::read(&**store.inner(), &keys, node).await;
        let own = SecretHash::new(node, &identity(1).secret);
        assert_eq!(kept.unwrap(), Some(own));

        // Another secret stands: that is said, not tried again.
        fix(store.clone(), keys.clone(), identity(2), cancel.clone()).await;
        store.set_faults(Faults {
            unavailable: 1.0,
            ..Faults::default()
        });
        cancel.cancel();
        fix(store, keys, identity(2), cancel).await;
    }
}
