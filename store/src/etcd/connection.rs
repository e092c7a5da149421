//! One connection at a time, probed before it is used, and given up for the next endpoint when it fails.
//!
//! Loops, leases and watches share it. One call that isn't answered in time may be the call's own fault, or the load's: so
//! the connection is only doubted then, which is to ask it once, beside all that goes on, and to give it up if it does not
//! answer.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, GetOptions, Identity, KvClient, TlsOptions, WatchClient,
};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::convert::Verdict;
use super::{Context, EtcdConfig, convert};
use crate::store::StoreError;

/// A connection whose peer is silent this long is asked, and given up after as long again: a server that hangs is
/// noticed in twice this time.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What a message may hold: lists are read in pages and values are bounded, so this is only against a lying peer.
const MAX_MESSAGE: usize = 256 << 20;

/// After no endpoint answered, calls fail at once for this long.
const REST: Duration = Duration::from_millis(100);

/// Clients of one connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) kv: KvClient,
    pub(super) watch: WatchClient,
    pub(super) generation: u64,
}

/// Makes connections; clones share the current one.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<EtcdConfig>,
    state: Arc<Mutex<State>>,
}

struct State {
    current: Option<Connection>,
    /// Index of the endpoint to try first.
    next: usize,
    generation: u64,
    failed: Option<(Instant, StoreError)>,
    /// Asks a connection that is doubted.
    asking: JoinSet<()>,
}

impl Connector {
    pub(super) fn new(config: EtcdConfig) -> Self {
        Self {
            config: Arc::new(config),
            state: Arc::new(Mutex::new(State {
                current: None,
                next: 0,
                generation: 0,
                failed: None,
                asking: JoinSet::new(),
            })),
        }
    }

    /// The current connection, or one to the first endpoint that answers.
    pub(super) async fn get(&self) -> Result<Connection, StoreError> {
        let mut state = self.state.lock().await;
        if let Some(current) = &state.current {
            return Ok(current.clone());
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < REST
        {
            return Err(error.clone());
        }
        let endpoints = &self.config.endpoints;
        let mut last = StoreError::Unavailable("no endpoint".to_owned());
        for _ in 0..endpoints.len() {
            let endpoint = &endpoints[state.next % endpoints.len()];
            match self.connect(endpoint, state.generation + 1).await {
                Ok(connection) => {
                    state.generation = connection.generation;
                    state.failed = None;
                    state.current = Some(connection.clone());
                    return Ok(connection);
                }
                Err(error) => {
                    tracing::debug!(endpoint, %error, "the endpoint does not answer");
                    last = error;
                    state.next = (state.next + 1) % endpoints.len();
                }
            }
        }
        state.failed = Some((Instant::now(), last.clone()));
        Err(last)
    }

    /// Gives up the connection of that generation; a newer one stays.
    pub(super) async fn failed(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.current.take().is_some() {
            state.next = (state.next + 1) % self.config.endpoints.len();
        }
    }

    /// A call on the connection of that generation had no answer, or one that tells of trouble: asks it, if nobody does
    /// already, and gives it up when it is silent.
    pub(super) async fn doubted(&self, generation: u64) {
        let mut state = self.state.lock().await;
        while state.asking.try_join_next().is_some() {}
        if state.asking.is_empty() {
            let connector = Self {
                config: Arc::clone(&self.config),
                state: Arc::clone(&self.state),
            };
            state
                .asking
                .spawn(async move { connector.ask(generation).await });
        }
    }

    /// Asks the connection of that generation, and gives it up when it is silent.
    pub(super) async fn ask(&self, generation: u64) {
        let current = {
            let state = self.state.lock().await;
            let current = state.current.as_ref();
            current
                .filter(|current| current.generation == generation)
                .cloned()
        };
        let Some(mut connection) = current else {
            return;
        };
        let asked = async {
            let status = connection.client.status().await?;
            // A member without its cluster knows its status still, so it has to read as well.
            let read = connection
                .kv
                .get("\0", Some(GetOptions::new().with_count_only()))
                .await;
            match read {
                Err(error) if convert::verdict(&error) != Verdict::Alive => Err(error),
                Ok(_) | Err(_) => Ok(status.leader() != 0),
            }
        };
        match timeout(self.config.connect_timeout, asked).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) | Err(_) => self.failed(generation).await,
        }
    }

    async fn connect(&self, endpoint: &str, generation: u64) -> Result<Connection, StoreError> {
        let attempt = async {
            let mut client = Client::connect([endpoint], Some(self.options()))
                .await
                .map_err(|error| convert::error(&error, Context::default()))?;
            let status = client
                .status()
                .await
                .map_err(|error| convert::error(&error, Context::default()))?;
            if status.leader() == 0 {
                return Err(StoreError::Unavailable(
                    "the member knows no leader".to_owned(),
                ));
            }
            Ok(Connection {
                kv: client.kv_client().max_decoding_message_size(MAX_MESSAGE),
                watch: client.watch_client().max_decoding_message_size(MAX_MESSAGE),
                client,
                generation,
            })
        };
        let answer = timeout(self.config.connect_timeout, attempt)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())));
        answer.map_err(|error| match error {
            StoreError::Unavailable(why) => StoreError::Unavailable(format!("{endpoint}: {why}")),
            other => other,
        })
    }

    fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true)
            .with_connect_timeout(self.config.connect_timeout)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &self.config.user {
            options = options.with_user(name, password);
        }
        if let Some(tls) = &self.config.tls {
            let mut client = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((certificate, key)) = &tls.identity {
                client = client.identity(Identity::from_pem(certificate, key));
            }
            if let Some(name) = &tls.server_name {
                client = client.domain_name(name);
            }
            options = options.with_tls(client);
        }
        options
    }
}
