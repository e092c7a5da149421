//! A node that its servers forgot: whatever of it they refuse, it registers anew, and its tasks go on meanwhile.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rove_agent::{Agent, AgentConfig};
use rove_model::{
    alloc::{Alloc, ClientStatus},
    encoding,
    ids::Revision,
    job::Job,
    registration::JobVersion,
};
use rove_store::{
    embedded::{EmbeddedStore, Options},
    etcd::{EtcdConfig, EtcdStore},
    frontend::{FrontendConfig, serve},
    keys::Key,
    memory::MemoryStore,
    store::{KeyRange, KeyValue, LeaseId, RangeRequest, Store, StoreError, Txn, TxnResponse},
    wrapped::Wrapped,
};
use rove_testkit::etcd::Etcd;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::world::*;

/// How the store came to know nothing of the node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// The node was away for long, and was collected.
    Collected,
    /// The store was put back from a copy that is older than the node.
    Restored,
    /// The store was emptied.
    Emptied,
}

/// What of the node's is gone, the rest being there still or put back by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Secret,
    Lease,
    Token,
}

/// What a server keeps its state in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Embedded,
    Etcd,
}

/// A server: a store in a folder, and port 4647 before it.
struct Server {
    kind: Kind,
    endpoint: String,
    store: Arc<dyn Store>,
    etcd: Option<Etcd>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(kind: Kind, dir: &Path, at: &str) -> Self {
        let listener = loop {
            match TcpListener::bind(at).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let endpoint = listener.local_addr().unwrap().to_string();
        let (store, etcd): (Arc<dyn Store>, _) = match kind {
            Kind::Embedded => (
                Arc::new(EmbeddedStore::open(dir, Options::default()).unwrap()),
                None,
            ),
            Kind::Etcd => {
                let etcd = Etcd::start(dir, &[]);
                let config = EtcdConfig::new(vec![etcd.endpoint()]);
                let store = EtcdStore::new(config).unwrap();
                until("etcd answers", async || store.status().await.is_ok()).await;
                (Arc::new(store), Some(etcd))
            }
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            let config = FrontendConfig::new(Default::default());
            async move { serve(listener, store, config, cancel).await.unwrap() }
        });
        Self {
            kind,
            endpoint,
            store,
            etcd,
            cancel,
            task,
        }
    }

    /// Ends it, and waits until its store is closed.
    async fn stop(self, dir: &Path) {
        self.cancel.cancel();
        self.task.await.unwrap();
        drop(self.store);
        drop(self.etcd);
        // What is being answered still may hold the store a moment longer.
        while self.kind == Kind::Embedded && EmbeddedStore::open(dir, Options::default()).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn client(&self, config: &AgentConfig) -> EtcdStore {
        EtcdStore::new(EtcdConfig {
            user: Some((
                config.identity.node_id.to_string(),
                config.identity.secret.clone(),
            )),
            ..EtcdConfig::new(vec![self.endpoint.clone()])
        })
        .unwrap()
    }
}

/// Copies a folder and what is beneath it.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn found(store: &dyn Store, world: &World, key: &Key) -> Option<KeyValue> {
    let request = RangeRequest::new(KeyRange::Key(world.keys.encode(key)));
    store.range(request).await.unwrap().kvs.pop()
}

/// Whether all is there that a node is known by, its sign of life on a lease that lives.
async fn is_registered(store: &dyn Store, world: &World) -> bool {
    let leases = store.leases().await.unwrap();
    let alive = found(store, world, &Key::NodeAlive(world.node)).await;
    found(store, world, &Key::Node(world.node)).await.is_some()
        && found(store, world, &Key::NodeSecret(world.node))
            .await
            .is_some()
        && alive.is_some_and(|kv| kv.lease.is_some_and(|lease| leases.contains(&lease)))
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(rove_testkit::PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(patience.await.is_ok(), "waited in vain: {what}");
}

async fn fill(store: &dyn Store, beyond: Revision) {
    while store.status().await.unwrap().revision <= beyond {
        let txn = Txn {
            then: vec![rove_store::store::Op::put("/rove/filler", "x")],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
    }
}

fn endless() -> Job {
    service(&[("web", json!({"run_for": "100000s"}))])
}

async fn comes_back(kind: Kind, how: How, what: What) {
    let name = format!("{what:?} of a node that was {how:?} in {kind:?}");
    let root = tempfile::tempdir().unwrap();
    let (dir, copy) = (root.path().join("store"), root.path().join("copy"));
    let server = Server::start(
        kind,
        &dir,
        &format!("127.0.0.1:{}", rove_testkit::free_port()),
    )
    .await;
    let endpoint = server.endpoint.clone();
    let world = World::over(server.store.clone());
    let job = endless();
    let kept = world.place(&job, 1).await;
    let unknown = world.place(&job, 2).await;
    // A store's folder as it was before the node first came.
    let world = {
        drop(world.store.clone());
        let node = world.node;
        let driver = world.driver.clone();
        drop(world);
        server.stop(&dir).await;
        copy_all(&dir, &copy);
        let mut world = World::new();
        (world.node, world.driver) = (node, driver);
        world
    };
    let server = Server::start(kind, &dir, &endpoint).await;
    let mut config = world.config();
    config.store = Arc::new(server.client(&config));
    config.lease_ttl = 3;
    let agent: Agent = start(config).await;
    let direct = world.by(server.store.clone());
    until("the node registers", async || {
        is_registered(&*server.store, &world).await
    })
    .await;
    // So far ahead that a store put back stays behind it, however often the agent writes there: what the agent knows of
    // is not taken for unknown before the test wants it again.
    let now = server.store.status().await.unwrap().revision;
    fill(&*server.store, now + 200).await;
    for alloc in [&kept, &unknown] {
        direct.want(alloc).await;
        direct.until_status(alloc, ClientStatus::Running).await;
    }
    let secret = found(&*server.store, &world, &Key::NodeSecret(world.node)).await;
    let alive = found(&*server.store, &world, &Key::NodeAlive(world.node)).await;
    let lease = alive.and_then(|kv| kv.lease).unwrap();
    let seen = server.store.status().await.unwrap().revision;
    drop(direct);

    // It is forgotten: its keys, and of secret, lease and token the one that the row is about.
    let server = match how {
        How::Collected => {
            if what == What::Token {
                server.stop(&dir).await;
                Server::start(kind, &dir, &endpoint).await
            } else {
                server
            }
        }
        How::Restored | How::Emptied => {
            server.stop(&dir).await;
            std::fs::remove_dir_all(&dir).unwrap();
            if how == How::Restored {
                std::fs::rename(&copy, &dir).unwrap();
            }
            Server::start(kind, &dir, &endpoint).await
        }
    };
    let direct = world.by(server.store.clone());
    for key in [
        Key::Node(world.node),
        Key::NodeStatus(world.node),
        Key::NodeAlive(world.node),
    ] {
        direct.delete(&key).await;
    }
    let has_lease = server.store.leases().await.unwrap().contains(&lease);
    match what {
        What::Lease if has_lease => server.store.lease_revoke(lease).await.unwrap(),
        What::Secret | What::Token if !has_lease => {
            // The agent may have come before: then it has another already.
            let _ = server.store.lease_grant(3, Some(lease)).await;
        }
        What::Secret | What::Lease | What::Token => {}
    }
    match (what, secret) {
        (What::Secret, _) => direct.delete(&Key::NodeSecret(world.node)).await,
        (What::Lease | What::Token, Some(secret)) => {
            direct
                .put(&Key::NodeSecret(world.node), secret.value.to_vec())
                .await;
        }
        (What::Lease | What::Token, None) => panic!("it had a secret"),
    }
    // One alloc is wanted still, one is not known any more.
    let version = JobVersion { job: job.clone() };
    direct
        .put(
            &Key::JobVersion(kept.version_key()),
            encoding::encode(&version).unwrap(),
        )
        .await;
    direct.want(&kept).await;
    direct.forget(&unknown).await;
    assert!(
        found(&*server.store, &world, &Key::Alloc(world.node, unknown.id))
            .await
            .is_none()
    );

    until(&name, async || is_registered(&*server.store, &world).await).await;
    // Its secret is fixed again: another can't take the node's place.
    let thief = EtcdStore::new(EtcdConfig {
        user: Some((
            world.node.to_string(),
            "another-secret-of-some-length".into(),
        )),
        ..EtcdConfig::new(vec![endpoint.clone()])
    })
    .unwrap();
    assert!(thief.status().await.is_err(), "{name}");
    // From a store that is behind what was seen nothing is concluded; from one that is not, it is.
    fill(&*server.store, seen).await;
    until(
        &format!("the unknown alloc ends after {name}"),
        async || world.driver.running().len() == 1,
    )
    .await;
    assert_eq!(world.driver.started(), 2, "{name}: nothing was restarted");
    direct.stop(&kept).await;
    direct.until_status(&kept, ClientStatus::Complete).await;
    until(&format!("it stays registered after {name}"), async || {
        is_registered(&*server.store, &world).await
    })
    .await;
    agent.stop().await;
}

/// All nine ways, `at_once` at a time.
async fn every_way(kind: Kind, at_once: usize) {
    let mut ways = Vec::new();
    for how in [How::Collected, How::Restored, How::Emptied] {
        for what in [What::Secret, What::Lease, What::Token] {
            ways.push((how, what));
        }
    }
    let failed = tokio::task::LocalSet::new()
        .run_until(async {
            let mut failed = Vec::new();
            for ways in ways.chunks(at_once) {
                let rows: Vec<_> = ways
                    .iter()
                    .map(|&(how, what)| tokio::task::spawn_local(comes_back(kind, how, what)))
                    .collect();
                for (way, row) in ways.iter().zip(rows) {
                    if row.await.is_err() {
                        failed.push(*way);
                    }
                }
            }
            failed
        })
        .await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_forgotten_comes_back_whatever_is_refused() {
    every_way(Kind::Embedded, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_forgotten_comes_back_over_etcd_whatever_is_refused() {
    if rove_testkit::program("etcd") {
        every_way(Kind::Etcd, 3).await;
    }
}

/// A store that, while it is told to, lets its caller read and refuses the rest, as one does in which another secret
/// stands for the node.
struct Refusing {
    inner: Arc<MemoryStore>,
    refuses: AtomicBool,
}

impl Refusing {
    fn check(&self) -> Result<(), StoreError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(StoreError::PermissionDenied("not you".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Wrapped for Refusing {
    fn inner(&self) -> Arc<dyn Store> {
        self.inner.clone()
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        self.check()?;
        self.inner.txn(txn).await
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        self.check()?;
        self.inner.lease_grant(ttl, id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        self.check()?;
        self.inner.lease_keep_alive(id).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        self.check()?;
        self.inner.lease_revoke(id).await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stopped_while_the_node_is_refused_and_what_is_unknown_once_it_is_registered() {
    let memory = Arc::new(MemoryStore::new());
    let refusing = Arc::new(Refusing {
        inner: Arc::clone(&memory),
        refuses: AtomicBool::new(false),
    });
    let world = World::over(memory);
    let job = endless();
    let allocs: Vec<Alloc> = vec![
        world.place(&job, 1).await,
        world.place(&job, 2).await,
        world.place(&job, 3).await,
    ];
    let config = || AgentConfig {
        store: refusing.clone(),
        ..world.config()
    };
    let agent = start(config()).await;
    for alloc in &allocs {
        world.want(alloc).await;
        world.until_status(alloc, ClientStatus::Running).await;
    }
    refusing.refuses.store(true, Ordering::Relaxed);
    // Until it knows that it is refused.
    eventually("the node is not connected", || !agent.handle().connected()).await;
    // Seen by the watch of an agent that runs, and in the list of one that starts.
    world.forget(&allocs[0]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.driver.running().len(), 3);
    drop(agent);
    world.forget(&allocs[1]).await;
    let agent = start(config()).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.driver.running().len(), 3);
    refusing.refuses.store(false, Ordering::Relaxed);
    eventually("the unknown ones end", || world.driver.running().len() == 1).await;
    assert!(agent.handle().connected());
    assert_eq!(world.driver.started(), 3);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_only_the_writes_find_refused_is_replaced() {
    /// Refuses one lease, in writes only.
    struct Picky {
        inner: Arc<MemoryStore>,
        lease: std::sync::Mutex<Option<LeaseId>>,
    }

    #[async_trait]
    impl Wrapped for Picky {
        fn inner(&self) -> Arc<dyn Store> {
            self.inner.clone()
        }

        async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
            let refused = *self.lease.lock().unwrap();
            let uses = txn.then.iter().any(|op| {
                matches!(op, rove_store::store::Op::Put { lease, .. } if lease.is_some() && *lease == refused)
            });
            if uses {
                return Err(StoreError::PermissionDenied("not your lease".to_owned()));
            }
            self.inner.txn(txn).await
        }

        async fn lease_grant(
            &self,
            ttl: i64,
            id: Option<LeaseId>,
        ) -> Result<(LeaseId, i64), StoreError> {
            let granted = self.inner.lease_grant(ttl, id).await?;
            self.lease.lock().unwrap().get_or_insert(granted.0);
            Ok(granted)
        }
    }

    let memory = Arc::new(MemoryStore::new());
    let world = World::over(memory.clone());
    let picky = Picky {
        inner: memory,
        lease: std::sync::Mutex::default(),
    };
    let agent = start(AgentConfig {
        store: Arc::new(picky),
        ..world.config()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(agent.handle().connected());
    agent.stop().await;
}
