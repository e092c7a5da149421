//! The store in etcd, and the client side of a server's port 4647, which speaks the same protocol.
//!
//! One connection at a time, to one endpoint that answered a probe; when it fails, the next endpoint's turn comes. All
//! share it, so that one call isn't answered in time is no reason to give it up: it is asked first.
//! Reads are tried again within a bound. A write is never sent twice: whether it was done is for the caller to find
//! out. A watch that breaks ends with an error, to be opened again where it ended.

mod connection;
mod convert;
mod watch;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{CompactionOptions, LeaseGrantOptions};
use rove_model::ids::Revision;

use crate::backoff::Backoff;
use crate::engine::{MAX_TTL, check_range, check_txn, check_watch};
use crate::frontend::PROGRESS_EVERY;
use crate::store::{
    KeyRange, LeaseId, Op, RangeRequest, RangeResponse, Store, StoreError, StoreStatus, Txn,
    TxnResponse, WatchRequest, WatchStream,
};
use connection::{Connection, Connector};
use convert::Verdict;

/// How often a read is tried in all.
const READ_ATTEMPTS: u32 = 3;

/// The first wait before a read is tried again, and the longest.
const READ_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// Where an etcd is and how to prove oneself to it.
#[derive(Clone)]
pub struct EtcdConfig {
    /// Addresses as `host:port` or as URLs. At least one.
    pub endpoints: Vec<String>,
    /// TLS; needed where an endpoint begins with `https://`.
    pub tls: Option<Tls>,
    /// User and password.
    pub user: Option<(String, String)>,
    /// How long a call may take.
    pub request_timeout: Duration,
    /// How long a connection may take to be made and to answer its probe.
    pub connect_timeout: Duration,
    /// A watch that says nothing for so long is asked for its progress. If it says nothing then either, it has ended as
    /// unavailable, to be opened again elsewhere.
    pub watch_silence: Duration,
}

impl EtcdConfig {
    /// With plain connections, no user, and timeouts that suit a local network.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            tls: None,
            user: None,
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            watch_silence: Duration::from_secs(10),
        }
    }

    /// The same towards port 4647 of servers, which tell every watch unasked that it lives. Thousands of nodes ask for
    /// nothing while nothing happens.
    #[must_use]
    pub fn of_servers(endpoints: Vec<String>) -> Self {
        Self {
            watch_silence: PROGRESS_EVERY + Duration::from_secs(15),
            ..Self::new(endpoints)
        }
    }
}

impl fmt::Debug for EtcdConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("tls", &self.tls.is_some())
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .finish_non_exhaustive()
    }
}

/// TLS towards etcd; all in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Certificates of the authorities that may have signed the server's.
    pub ca: Vec<u8>,
    /// Our own certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name the server's certificate must have, if not the endpoint's host.
    pub server_name: Option<String>,
}

/// See the module. Clones share the connection.
#[derive(Clone)]
pub struct EtcdStore {
    connector: Connector,
    request_timeout: Duration,
    watch_silence: Duration,
}

impl EtcdStore {
    /// A store that connects when it is first used, and again whenever it has to.
    ///
    /// # Errors
    /// When there is no endpoint.
    pub fn new(config: EtcdConfig) -> Result<Self, StoreError> {
        if config.endpoints.is_empty() {
            return Err(StoreError::Invalid("no etcd endpoint is given".to_owned()));
        }
        Ok(Self {
            request_timeout: config.request_timeout,
            watch_silence: config.watch_silence,
            connector: Connector::new(config),
        })
    }

    /// Makes one call on the current connection, within the timeout.
    async fn once<T, F>(&self, call: impl FnOnce(Connection) -> F + Send) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let connection = self.connector.get().await.map_err(CallError::Connect)?;
        let generation = connection.generation;
        match tokio::time::timeout(self.request_timeout, call(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                match convert::verdict(&error) {
                    Verdict::Alive => {}
                    Verdict::Doubtful => self.connector.doubted(generation).await,
                    Verdict::Broken => self.connector.failed(generation).await,
                }
                Err(CallError::Answer(error))
            }
            Err(_) => {
                self.connector.doubted(generation).await;
                Err(CallError::TimedOut)
            }
        }
    }

    /// A write: sent once.
    async fn write<T, F>(
        &self,
        context: Context,
        call: impl FnOnce(Connection) -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        self.once(call)
            .await
            .map_err(|error| error.into_store(context))
    }

    /// A read: tried again while the store is unavailable.
    async fn read<T, F>(
        &self,
        context: Context,
        call: impl Fn(Connection) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let mut backoff = Backoff::new(READ_BACKOFF.0, READ_BACKOFF.1, rand::random());
        loop {
            let error = match self.once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.into_store(context),
            };
            let delay = backoff.next_delay();
            if backoff.failures() >= READ_ATTEMPTS || !matches!(error, StoreError::Unavailable(_)) {
                return Err(error);
            }
            tokio::time::sleep(delay).await;
        }
    }
}

/// What a call was about, for errors that don't say so themselves.
#[derive(Clone, Copy, Default)]
struct Context {
    revision: Revision,
    lease: Option<LeaseId>,
}

enum CallError {
    Connect(StoreError),
    TimedOut,
    Answer(etcd_client::Error),
}

impl CallError {
    fn into_store(self, context: Context) -> StoreError {
        match self {
            Self::Connect(error) => error,
            Self::TimedOut => StoreError::Unavailable("no answer in time".to_owned()),
            Self::Answer(error) => convert::error(&error, context),
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        check_range(&request)?;
        let context = Context {
            revision: request.revision.unwrap_or(0),
            lease: None,
        };
        let answer = self
            .read(context, |mut connection| {
                let (key, options) = convert::get(&request);
                async move { connection.kv.get(key, Some(options)).await }
            })
            .await?;
        Ok(convert::range_response(answer.0))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        check_txn(&txn)?;
        let steps = || txn.then.iter().chain(&txn.otherwise);
        let context = Context {
            revision: steps()
                .find_map(|op| match op {
                    Op::Range(request) => request.revision,
                    Op::Put { .. } | Op::Delete(_) => None,
                })
                .unwrap_or(0),
            lease: steps().find_map(|op| match op {
                Op::Put { lease, .. } => *lease,
                Op::Range(_) | Op::Delete(_) => None,
            }),
        };
        let answer = if txn.is_read() {
            self.read(context, |mut connection| {
                let txn = convert::txn(&txn);
                async move { connection.kv.txn(txn).await }
            })
            .await?
        } else {
            let txn = convert::txn(&txn);
            self.write(context, |mut connection| async move {
                connection.kv.txn(txn).await
            })
            .await?
        };
        convert::txn_response(answer.0)
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        check_watch(&request)?;
        let connection = self.connector.get().await?;
        watch::open(
            self.connector.clone(),
            connection,
            request,
            self.request_timeout,
            self.watch_silence,
        )
        .await
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        if !(1..=MAX_TTL).contains(&ttl) {
            return Err(StoreError::Invalid(format!(
                "a lease's TTL is 1 to {MAX_TTL} seconds, not {ttl}"
            )));
        }
        let context = Context {
            lease: id,
            ..Context::default()
        };
        let options = LeaseGrantOptions::new().with_id(id.map_or(0, |id| id.0));
        let answer = self
            .write(context, |mut connection| async move {
                connection.client.lease_grant(ttl, Some(options)).await
            })
            .await?;
        Ok((LeaseId(answer.id()), answer.ttl()))
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        let context = Context {
            lease: Some(id),
            ..Context::default()
        };
        // Renewing twice does no harm, so it may be tried again. The first answer is the client's own and doesn't
        // give the TTL.
        let ttl = self
            .read(context, |mut connection| async move {
                let (mut keeper, mut answers) = connection.client.lease_keep_alive(id.0).await?;
                keeper.keep_alive().await?;
                Ok(answers.message().await?.map_or(0, |answer| answer.ttl()))
            })
            .await?;
        if ttl <= 0 {
            return Err(StoreError::LeaseNotFound(id));
        }
        Ok(ttl)
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        let context = Context {
            lease: Some(id),
            ..Context::default()
        };
        self.write(context, |mut connection| async move {
            connection.client.lease_revoke(id.0).await
        })
        .await?;
        Ok(())
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        let context = Context {
            lease: Some(id),
            ..Context::default()
        };
        let answer = self
            .read(context, |mut connection| async move {
                connection.client.lease_time_to_live(id.0, None).await
            })
            .await?;
        if answer.ttl() < 0 {
            return Err(StoreError::LeaseNotFound(id));
        }
        Ok((answer.ttl(), answer.granted_ttl()))
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        let answer = self
            .read(Context::default(), |mut connection| async move {
                connection.client.leases().await
            })
            .await?;
        let mut ids: Vec<_> = answer
            .leases()
            .iter()
            .map(|lease| LeaseId(lease.id()))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let context = Context {
            revision,
            lease: None,
        };
        self.write(context, |mut connection| async move {
            connection
                .client
                .compact(convert::signed(revision), Some(CompactionOptions::new()))
                .await
        })
        .await?;
        Ok(())
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let answer = self
            .read(Context::default(), |mut connection| async move {
                connection.client.status().await
            })
            .await?;
        let mut status = convert::status(&answer);
        // What one member says of itself may lag behind; a read does not.
        let probe = RangeRequest {
            count_only: true,
            ..RangeRequest::new(KeyRange::Key("\0".into()))
        };
        match self.range(probe).await {
            Ok(read) => status.revision = status.revision.max(read.revision),
            // Port 4647 keeps to its prefix, and answers the status for its whole store.
            Err(StoreError::PermissionDenied(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(status)
    }
}
