//! Which servers there are, as the store says: what a client's API passes calls on to.

use std::{sync::Arc, time::Duration};

use rove_model::{encoding::decode, server::Server};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    keys::{Keys, Table},
    list_watch::{ListWatch, Next, Patience, within},
    store::{RangeRequest, Store, StoreError},
};

/// The longest wait for an answer.
const CALL: Duration = Duration::from_secs(10);

/// A watch that says nothing for so long, not even that it lives, is not believed. Every client has one, and they may be
/// thousands.
const SILENCE: Duration = Duration::from_secs(180);

/// The list is read anew so often, whatever the watch says: a store that was put back and went on from there looks like
/// the one it was.
const EVERY: Duration = Duration::from_secs(300);

/// Follows `servers/` until `cancel` and publishes the HTTP addresses; the last known stay while the store is away.
/// `seed` is that of the pauses' jitter.
pub async fn follow(
    store: Arc<dyn Store>,
    keys: Keys,
    publish: watch::Sender<Vec<String>>,
    seed: u64,
    cancel: CancellationToken,
) {
    cancel
        .run_until_cancelled(follow_for_ever(store, &keys, &publish, seed))
        .await;
}

async fn follow_for_ever(
    store: Arc<dyn Store>,
    keys: &Keys,
    publish: &watch::Sender<Vec<String>>,
    seed: u64,
) {
    let range = keys.table(Table::Servers);
    let patience = Patience {
        silence: SILENCE,
        call: CALL,
        min_pause: Duration::from_millis(100),
        max_pause: Duration::from_secs(5),
        seed,
    };
    let request = RangeRequest::new(range.clone());
    let mut follows = ListWatch::new("the servers", store.clone(), range, patience);
    loop {
        match follows.next().await {
            Next::List(_) => match list(&*store, request.clone(), publish).await {
                Ok(revision) => {
                    follows.listed(revision);
                    follows.list_again_at(Some(Instant::now() + EVERY));
                }
                Err(error) => follows.list_failed(&error),
            },
            // They are few: read again rather than kept by their keys.
            Next::Events { .. } => follows.list_again(),
            Next::Reached(_) => {}
        }
    }
}

async fn list(
    store: &dyn Store,
    request: RangeRequest,
    publish: &watch::Sender<Vec<String>>,
) -> Result<u64, StoreError> {
    let listed = within(CALL, store.range(request)).await?;
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
    Ok(listed.revision)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        faults::{Faults, FaultyStore},
        keys::Key,
        memory::MemoryStore,
        store::{Op, Txn},
    };
    use rove_model::encoding::encode;

    struct Followed {
        memory: Arc<MemoryStore>,
        faulty: FaultyStore<MemoryStore>,
        addresses: watch::Receiver<Vec<String>>,
        cancel: CancellationToken,
    }

    impl Followed {
        fn start(seed: u64) -> Self {
            let memory = Arc::new(MemoryStore::new());
            let faulty = FaultyStore::new(memory.clone(), seed, Faults::default());
            let (publish, addresses) = watch::channel(Vec::new());
            let cancel = CancellationToken::new();
            let store = Arc::new(faulty.clone());
            tokio::spawn(follow(
                store,
                Keys::default(),
                publish,
                seed,
                cancel.clone(),
            ));
            Self {
                memory,
                faulty,
                addresses,
                cancel,
            }
        }

        async fn write(&self, op: Op) {
            let txn = Txn {
                then: vec![op],
                ..Txn::default()
            };
            self.memory.txn(txn).await.unwrap();
        }

        fn key(name: &str) -> bytes::Bytes {
            Keys::default().encode(&Key::Server(name.to_owned()))
        }

        async fn comes(&self, name: &str) {
            let server = Server {
                name: name.to_owned(),
                region: "global".to_owned(),
                datacenter: "dc1".to_owned(),
                addr: String::new(),
                port: 0,
                http_addr: format!("{name}:4646"),
                rpc_addr: format!("{name}:4647"),
                version: String::new(),
                started_at: 0,
            };
            self.write(Op::put(Self::key(name), encode(&server).unwrap()))
                .await;
        }

        async fn goes(&self, name: &str) {
            self.write(Op::delete(Self::key(name))).await;
        }

        async fn are(&mut self, wanted: &[&str]) {
            let wanted: Vec<String> = wanted.iter().map(|name| format!("{name}:4646")).collect();
            let known = self.addresses.wait_for(|known| *known == wanted);
            let known = tokio::time::timeout(Duration::from_secs(600), known).await;
            assert!(known.is_ok(), "never {wanted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_come_and_go_are_known() {
        let mut servers = Followed::start(1);
        servers.comes("a").await;
        servers.are(&["a"]).await;
        servers.comes("b").await;
        servers.are(&["a", "b"]).await;
        servers.goes("a").await;
        servers.are(&["b"]).await;
        servers.cancel.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_whose_value_is_damaged_hides_no_other() {
        let mut servers = Followed::start(1);
        servers.write(Op::put(Followed::key("a"), "{")).await;
        servers.comes("b").await;
        servers.are(&["b"]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_died_in_silence_hides_no_server() {
        let mut servers = Followed::start(1);
        servers.comes("a").await;
        servers.are(&["a"]).await;
        servers.faulty.set_faults(Faults {
            silent_watch: 1.0,
            ..Faults::default()
        });
        servers.comes("b").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        servers.faulty.set_faults(Faults::default());
        servers.are(&["a", "b"]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_known_servers_stay_while_the_store_is_away() {
        let mut servers = Followed::start(1);
        servers.comes("a").await;
        servers.are(&["a"]).await;
        servers.faulty.set_faults(Faults {
            unavailable: 1.0,
            broken_watch: 1.0,
            ..Faults::default()
        });
        servers.comes("b").await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(*servers.addresses.borrow(), ["a:4646"]);
        servers.faulty.set_faults(Faults::default());
        servers.are(&["a", "b"]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn under_every_fault_the_servers_are_known_at_last() {
        for seed in 0..10 {
            let mut servers = Followed::start(seed);
            servers.faulty.set_faults(Faults::all(0.2));
            for step in 0..40_u64 {
                let name = format!("s{}", (step * 7 + seed) % 5);
                if step % 3 == 0 {
                    servers.goes(&name).await;
                } else {
                    servers.comes(&name).await;
                }
                tokio::time::sleep(Duration::from_secs(step % 4)).await;
            }
            for number in 0..5 {
                servers.goes(&format!("s{number}")).await;
            }
            servers.comes("last").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            servers.faulty.set_faults(Faults::default());
            servers.are(&["last"]).await;
            servers.cancel.cancel();
        }
    }
}
