//! A server's own key: `servers/<name>`, on its lease, put again whenever it is not there.

use std::{sync::Arc, time::Duration};

use rove_model::{
    encoding::{EncodingError, encode},
    server::Server,
};
use rove_store::{
    Store,
    backoff::Backoff,
    keys::{Key, Keys},
    state::StateHandle,
    store::{LeaseId, Op, Txn},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Keeps the key of `server` in the store until `cancel`; it goes with the lease.
///
/// # Errors
/// When the server's description can't be stored.
pub async fn announce(
    store: Arc<dyn Store>,
    keys: Keys,
    server: Server,
    mut lease: watch::Receiver<Option<LeaseId>>,
    mut state: StateHandle,
    cancel: CancellationToken,
) -> Result<(), EncodingError> {
    let key = keys.encode(&Key::Server(server.name.clone()));
    let value = encode(&server)?;
    let mut backoff = Backoff::new(
        Duration::from_millis(100),
        Duration::from_secs(5),
        rand::random(),
    );
    // The lease that the key was last put on.
    let mut put_on = None;
    while !cancel.is_cancelled() {
        let held = *lease.borrow_and_update();
        let shown = state
            .latest()
            .servers()
            .any(|shown| shown.value.name == server.name);
        if let Some(id) = held.filter(|id| put_on != Some(*id) || !shown) {
            let put = Op::Put {
                key: key.clone(),
                value: value.clone().into(),
                lease: Some(id),
            };
            match store
                .txn(Txn {
                    then: vec![put],
                    ..Txn::default()
                })
                .await
            {
                Ok(done) => {
                    put_on = Some(id);
                    backoff.reset();
                    // Look again only at a state that can show it.
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => return Ok(()),
                        changed = lease.changed() => if changed.is_err() { return Ok(()) },
                        reached = state.wait_for(done.revision) => if reached.is_err() { return Ok(()) },
                    }
                    continue;
                }
                Err(error) => {
                    warn!(%error, "can't announce this server");
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => return Ok(()),
                        () = tokio::time::sleep(backoff.next_delay()) => continue,
                    }
                }
            }
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            changed = lease.changed() => if changed.is_err() { return Ok(()) },
            changed = state.changed() => if changed.is_err() { return Ok(()) },
        }
    }
    Ok(())
}
