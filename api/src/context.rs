//! What the API of one agent stands on.

use std::sync::Arc;

use hyper_util::client::legacy::{Client, connect::HttpConnector};
use rove_agent::identity::Identity;
use rove_model::ids::UnixNanos;
use rove_store::{Store, keys::Keys, state::StateHandle};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    body::Bodies,
    connections::{self, LastServer},
    local::LocalAgent,
    proof::Tickets,
    quota::Quota,
};

/// Time and randomness, handed in.
pub trait Sources: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> UnixNanos;

    /// Random bytes for an id.
    fn random(&self) -> [u8; 16];
}

/// The machine's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn now(&self) -> UnixNanos {
        rove_store::wall_clock::unix_now()
    }

    fn random(&self) -> [u8; 16] {
        rand::random()
    }
}

/// What an agent says of itself.
#[derive(Clone, Debug, Default)]
pub struct AgentInfo {
    /// The name of the agent's node or server, without its region.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its datacenter.
    pub datacenter: String,
    /// rove's version, as clients compare it.
    pub version: String,
    /// It is a development agent that only this machine reaches.
    pub local_only: bool,
    /// `host:port` of its HTTP API as others reach it.
    pub http_addr: String,
    /// Its configuration as `/v1/agent/self` shows it, secrets left out.
    pub config: Value,
}

/// What a server answers from.
pub struct ServerSide {
    /// The store it writes to.
    pub store: Arc<dyn Store>,
    /// The layout of its keys.
    pub keys: Keys,
    /// The state it reads from.
    pub state: StateHandle,
    pub(crate) quota: Quota,
}

impl ServerSide {
    /// A server over that store and state.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keys: Keys, state: StateHandle) -> Self {
        Self {
            store,
            keys,
            state,
            quota: Quota::default(),
        }
    }
}

/// What this agent can answer by itself.
pub enum Mode {
    /// All of it.
    Server(Box<ServerSide>),
    /// What is of its own node; the rest is passed on to one of these servers, `host:port` of their HTTP API, the
    /// best first.
    Client(watch::Receiver<Vec<String>>),
}

/// What the API of one agent stands on.
pub struct ApiContext {
    pub(crate) mode: Mode,
    pub(crate) agent: Option<Arc<dyn LocalAgent>>,
    pub(crate) info: AgentInfo,
    pub(crate) sources: Arc<dyn Sources>,
    pub(crate) http: Client<HttpConnector, axum::body::Body>,
    pub(crate) last_server: LastServer,
    pub(crate) identity: Option<Identity>,
    pub(crate) tickets: Tickets,
    pub(crate) bodies: Bodies,
}

impl ApiContext {
    /// The context of an agent; `agent` is its node's part, where it has one.
    #[must_use]
    pub fn new(
        mode: Mode,
        agent: Option<Arc<dyn LocalAgent>>,
        info: AgentInfo,
        sources: Arc<dyn Sources>,
    ) -> Self {
        Self {
            mode,
            agent,
            info,
            sources,
            http: connections::client(),
            last_server: LastServer::default(),
            identity: None,
            tickets: Tickets::new(),
            bodies: Bodies::default(),
        }
    }

    /// With the identity of the agent's node, by which it proves itself to servers that pass calls on to it.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    pub(crate) fn server(&self) -> Option<&ServerSide> {
        match &self.mode {
            Mode::Server(server) => Some(server),
            Mode::Client(_) => None,
        }
    }
}
