//! The server's part of an agent: store, State, elections, loops, the store front end.

use std::{num::NonZero, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use rove_controllers::{
    ControllersConfig, Settings, clock::SystemClock, loops::gc::GcSettings,
    runtime::counters::Counters,
};
use rove_model::{ids::UnixNanos, server::Server};
use rove_store::{
    Store,
    backoff::Recovery,
    embedded::{self, EmbeddedStore, Options},
    etcd::{EtcdConfig, EtcdStore, Tls},
    frontend::{self, FrontendConfig, JoinToken},
    keys::Keys,
    lease_keeper::{LeaseConfig, LeaseKeeper},
    state::{FeederConfig, StateFeeder, StateHandle},
};
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{addresses::AgentAddresses, announce::announce, config::AgentConfig};

/// Seconds after which a dead server's loops are taken over by another.
const SERVER_TTL: i64 = 5;

/// A server that runs.
pub struct ServerPart {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
    /// The typed copy of it.
    pub state: StateHandle,
    lease: LeaseKeeper,
    _threads: Threads,
}

/// Threads for what computes for long: State and the loops. Leases, elections, port 4647 and the API have others, so that
/// no decision keeps them waiting.
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let threads = tokio::runtime::Builder::new_multi_thread()
            // One more than may decide at once on a small machine, so that State moves on meanwhile.
            .worker_threads(cores.clamp(2, 7) + 1)
            .thread_name("rove-loops")
            .enable_all()
            .build()
            .context("no threads for the reconcile loops")?;
        Ok(Self(Some(threads)))
    }

    fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|threads| threads.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// Opens the store that `config` asks for.
async fn open_store(config: &AgentConfig, data_dir: &Path) -> Result<Arc<dyn Store>> {
    let etcd = &config.server.etcd;
    if etcd.endpoints.is_empty() {
        let folder = data_dir.join("server");
        embedded::make_private(&folder).with_context(|| {
            format!(
                "data_dir: can't use {} for the server; name a folder that the agent may write to",
                folder.display()
            )
        })?;
        let folder = folder.join("store");
        let options = Options {
            quota_bytes: config.server.embedded_quota,
            keys: Keys::new(&config.server.prefix),
            ..Options::default()
        };
        let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(folder, options));
        return Ok(Arc::new(opened.await??));
    }
    let pem = |name: &str, path: &Option<std::path::PathBuf>| -> Result<Option<Vec<u8>>> {
        path.as_ref()
            .map(|path| {
                std::fs::read(path).with_context(|| {
                    let path = path.display();
                    format!("server.etcd.{name}: can't read {path}; name a PEM file that the agent may read")
                })
            })
            .transpose()
    };
    let (ca, cert, key) = (
        pem("ca_file", &etcd.ca_file)?,
        pem("cert_file", &etcd.cert_file)?,
        pem("key_file", &etcd.key_file)?,
    );
    let tls = match (ca, cert, key) {
        (None, None, None) => None,
        (Some(ca), None, None) => Some(Tls {
            ca,
            identity: None,
            server_name: None,
        }),
        (Some(ca), Some(cert), Some(key)) => Some(Tls {
            ca,
            identity: Some((cert, key)),
            server_name: None,
        }),
        _ => anyhow::bail!("server.etcd: give ca_file, and cert_file and key_file together"),
    };
    let user = match (&etcd.username, &etcd.password) {
        (Some(name), Some(password)) => Some((name.clone(), password.clone())),
        (None, None) => None,
        _ => anyhow::bail!("server.etcd: username and password go together"),
    };
    Ok(Arc::new(EtcdStore::new(EtcdConfig {
        user,
        tls,
        ..EtcdConfig::new(etcd.endpoints.clone())
    })?))
}

impl ServerPart {
    /// Starts the server's tasks into `tasks`.
    pub async fn start(
        config: &AgentConfig,
        data_dir: &Path,
        addresses: &AgentAddresses,
        rpc: TcpListener,
        started_at: UnixNanos,
        tasks: &mut JoinSet<Result<()>>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let store = open_store(config, data_dir).await?;
        let keys = Keys::new(&config.server.prefix);
        let (feeder, state) =
            StateFeeder::new(store.clone(), keys.clone(), FeederConfig::default());
        let token = cancel.clone();
        let threads = Threads::new()?;
        let feeds = async move {
            feeder.run(token).await;
            Ok(())
        };
        match threads.handle() {
            Some(of_loops) => tasks.spawn_on(feeds, &of_loops),
            None => tasks.spawn(feeds),
        };

        let front = frontend::serve(
            rpc,
            store.clone(),
            FrontendConfig {
                join: config
                    .server
                    .join_token
                    .as_ref()
                    .map(|token| JoinToken::new(&token.0)),
                quota: config.server.etcd.quota,
                ..FrontendConfig::new(keys.clone())
            },
            cancel.clone(),
        );
        tasks.spawn(async move { front.await.context("the store front end ended") });

        let lease = LeaseKeeper::start(
            store.clone(),
            LeaseConfig {
                ttl: SERVER_TTL,
                resume: None,
                revoke_on_stop: true,
                seed: rand::random(),
                recovery: Recovery::default(),
            },
            // Not with the rest: the loops give leadership up while they still hold the lease.
            &CancellationToken::new(),
        );
        let name = server_name(config);
        let (addr, port) = addresses
            .serf
            .rsplit_once(':')
            .unwrap_or((&addresses.serf, "0"));
        let server = Server {
            name: name.clone(),
            region: config.region.clone(),
            datacenter: config.datacenter.clone(),
            addr: addr.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(0),
            http_addr: addresses.http.clone(),
            rpc_addr: addresses.rpc.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
        };
        let announced = announce(
            store.clone(),
            keys.clone(),
            server,
            lease.lease(),
            state.clone(),
            cancel.clone(),
        );
        tasks.spawn(async move { announced.await.context("this server can't be announced") });

        let controllers = rove_controllers::run(
            ControllersConfig {
                store: store.clone(),
                keys: keys.clone(),
                state: state.clone(),
                server: name,
                lease: lease.lease(),
                clock: Arc::new(SystemClock),
                seed: rand::random(),
                settings: settings(config),
                counters: Counters::default(),
                threads: threads.handle(),
            },
            cancel.clone(),
        );
        tasks.spawn(async move { controllers.await.context("the reconcile loops ended") });
        Ok(Self {
            store,
            keys,
            state,
            lease,
            _threads: threads,
        })
    }

    /// Gives the server's lease up, so that others need not wait for its end.
    pub async fn stop(self) {
        self.lease.stop().await;
    }

    /// Waits until the store's content was read, for as long as a healthy store takes.
    pub async fn ready(&self, patience: Duration) -> bool {
        let state = self.state.clone();
        tokio::time::timeout(patience, state.ready())
            .await
            .is_ok_and(|ready| ready.is_ok())
    }
}

/// The name under which this agent is a server: `<host>.<region>`.
#[must_use]
pub fn server_name(config: &AgentConfig) -> String {
    format!(
        "{}.{}",
        config.name.as_deref().unwrap_or("unnamed"),
        config.region
    )
}

/// The time between two compactions: the usual one, shorter only where less than that is kept.
fn compaction_every(retention: Duration) -> Duration {
    retention.clamp(Duration::from_secs(1), GcSettings::default().compaction)
}

fn settings(config: &AgentConfig) -> Settings {
    Settings {
        gc: GcSettings {
            eval: config.server.eval_gc_threshold,
            job: config.server.job_gc_threshold,
            deployment: config.server.deployment_gc_threshold,
            node: config.server.node_gc_threshold,
            history: config.server.compaction_retention,
            compaction: compaction_every(config.server.compaction_retention),
            ..GcSettings::default()
        },
        // Longer than a lease that began just before this server leads.
        node_grace: config.server.heartbeat_ttl + Duration::from_secs(5),
        ..Settings::default()
    }
}
