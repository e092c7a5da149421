//! Port 4647: etcd's v3 gRPC API over whichever store a server has, for agents and for `etcdctl`.
//!
//! Reads and transactions pass through. Watches are served from one watch on the store below ([`hub`]). Who may do
//! what is decided in one place ([`access`]): without proof everything but secrets is read and nothing is written; a
//! node that proved itself writes its own keys, on leases of its own.

mod access;
mod auth;
mod budget;
mod convert;
mod hub;
mod kv;
mod lease;
mod limits;
mod maintenance;
mod sending;
mod sweep;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::keys::Keys;
use crate::store::{MAX_TXN_BYTES, Store};
use access::Access;
use auth::{AuthService, Tokens};
pub use auth::{JOIN_SEPARATOR, JoinToken};
use hub::Hub;

/// The most a request may hold: a transaction of the largest size, and room for its keys and framing.
const MAX_REQUEST: usize = MAX_TXN_BYTES + (512 << 10);

/// The most that a request may hold which carries no values.
const MAX_SMALL_REQUEST: usize = 64 << 10;

/// Streams that one connection may have open: an agent needs a handful.
const MAX_STREAMS: u32 = 64;

/// A peer that is silent this long is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long open calls may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(2);

/// A watch that asks for it is told that it lives after so long without events. Every node has some, so it is not often.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(60);

/// How the front end is run.
#[derive(Clone, Debug)]
pub struct FrontendConfig {
    /// The keys it serves: nothing outside their prefix is shown.
    pub keys: Keys,
    /// How many bytes of recent events are kept for watchers that come or come back.
    pub ring_bytes: usize,
    /// How many events are kept at most.
    pub ring_events: usize,
    /// What a node has to show before it registers; without one, any node may.
    pub join: Option<JoinToken>,
    /// The quota of a store that doesn't say its own, in bytes: what nodes write leaves its last part to others.
    pub quota: Option<u64>,
    /// How often secrets are looked for whose nodes are not there. One that is found twice is forgotten.
    pub sweep_every: Duration,
    /// After how long without events a watch that asks for it is told that it lives.
    pub progress_every: Duration,
    /// Everything is open to everyone, outside the prefix too. For tests of the protocol only.
    #[cfg(any(test, feature = "conformance"))]
    pub open: bool,
}

impl FrontendConfig {
    /// The usual bounds.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            ring_bytes: 16 << 20,
            ring_events: 50_000,
            join: None,
            quota: None,
            sweep_every: sweep::EVERY,
            progress_every: PROGRESS_EVERY,
            #[cfg(any(test, feature = "conformance"))]
            open: false,
        }
    }
}

/// Why the front end ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The listener can't be used.
    #[error("can't serve on the port")]
    Transport(#[source] tonic::transport::Error),
}

/// What the services share.
struct Shared {
    store: Arc<dyn Store>,
    access: Access,
    tokens: Tokens,
    join: Option<JoinToken>,
    hub: Hub,
    budgets: budget::Budgets,
    limits: limits::Limits,
    progress_every: Duration,
    waiting: Arc<sending::Waiting>,
    lists: kv::Lists,
    long_reads: Arc<tokio::sync::Semaphore>,
    cancel: CancellationToken,
}

/// Serves `store` on `listener` until `cancel`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    store: Arc<dyn Store>,
    config: FrontendConfig,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let access = Access::new(&config);
    let hub = Hub::new(Arc::clone(&store), &access, &config);
    let shared = Arc::new(Shared {
        tokens: Tokens::default(),
        join: config.join.clone(),
        hub,
        budgets: budget::Budgets::default(),
        limits: limits::Limits::new(config.quota),
        progress_every: config.progress_every,
        waiting: Arc::new(sending::Waiting::of_answers()),
        lists: kv::Lists::default(),
        long_reads: Arc::new(tokio::sync::Semaphore::new(kv::LONG_READS)),
        access,
        store,
        cancel: cancel.clone(),
    });
    let incoming = sending::incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .layer(sending::SendingLayer::new())
        .add_service(
            PbKvServer::new(kv::KvService(Arc::clone(&shared)))
                .max_decoding_message_size(MAX_REQUEST),
        )
        .add_service(
            PbWatchServer::new(watch::WatchService(Arc::clone(&shared)))
                .max_decoding_message_size(MAX_SMALL_REQUEST),
        )
        .add_service(
            PbLeaseServer::new(lease::LeaseService(Arc::clone(&shared)))
                .max_decoding_message_size(MAX_SMALL_REQUEST),
        )
        .add_service(
            PbMaintenanceServer::new(maintenance::MaintenanceService(Arc::clone(&shared)))
                .max_decoding_message_size(MAX_SMALL_REQUEST),
        )
        .add_service(AuthService(Arc::clone(&shared)))
        .serve_with_incoming_shutdown(incoming, cancel.clone().cancelled_owned());
    let late = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served.map_err(ServeError::Transport),
        // Ends when it is cancelled; the server then ends in its own time.
        () = async { tokio::join!(shared.hub.run(&cancel), late); } => Ok(()),
        () = sweep::run(&shared, config.sweep_every) => Ok(()),
    }
}
