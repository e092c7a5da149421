//! Which servers there are, as the store says: what a client's API passes calls on to.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use rove_model::{encoding::decode, server::Server};
use rove_store::{
    Store, StoreError,
    backoff::Backoff,
    keys::{Keys, Table},
    store::{RangeRequest, WatchRequest},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Follows `servers/` until `cancel` and publishes the HTTP addresses; the last known stay while the store is away.
pub async fn follow(
    store: Arc<dyn Store>,
    keys: Keys,
    publish: watch::Sender<Vec<String>>,
    cancel: CancellationToken,
) {
    let mut backoff = Backoff::new(
        Duration::from_millis(100),
        Duration::from_secs(5),
        rand::random(),
    );
    while !cancel.is_cancelled() {
        let followed = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            followed = follow_once(&*store, &keys, &publish, &mut backoff) => followed,
        };
        if let Err(error) = followed {
            debug!(%error, "can't follow the servers");
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
}

async fn follow_once(
    store: &dyn Store,
    keys: &Keys,
    publish: &watch::Sender<Vec<String>>,
    backoff: &mut Backoff,
) -> Result<(), StoreError> {
    let range = keys.table(Table::Servers);
    loop {
        let listed = store.range(RangeRequest::new(range.clone())).await?;
        let addresses = listed
            .kvs
            .iter()
            .filter_map(|kv| match decode::<Server>(&kv.value) {
                Ok(server) => Some(server.http_addr),
                Err(error) => {
                    warn!(key = %String::from_utf8_lossy(&kv.key), %error, "a server's key can't be read");
                    None
                }
            })
            .collect::<Vec<_>>();
        publish.send_if_modified(|known| {
            let changed = *known != addresses;
            *known = addresses;
            changed
        });
        backoff.reset();
        let mut changes = store
            .watch(WatchRequest {
                keys: range.clone(),
                start: Some(listed.revision + 1),
            })
            .await?;
        loop {
            match changes.next().await {
                Some(Ok(rove_store::store::WatchEvent::Batch { .. })) => break,
                Some(Ok(rove_store::store::WatchEvent::Progress { .. })) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
