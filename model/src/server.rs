//! Servers, as they announce themselves.

use serde::{Deserialize, Serialize};

use crate::ids::UnixNanos;

/// `servers/<name>`: on the server's lease. Written by that server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Server {
    /// `<host name>.<region>`.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Advertised host of its gossip address, shown by `server members`.
    pub addr: String,
    /// Advertised gossip port, shown by `server members`.
    pub port: u16,
    /// `host:port` of its HTTP API.
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    /// `host:port` of its store front end (4647).
    #[serde(rename = "RPCAddr")]
    pub rpc_addr: String,
    /// rove's version there.
    pub version: String,
    /// When it started.
    pub started_at: UnixNanos,
}

/// `leader/<loop>`: who runs a loop; on that server's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Leadership {
    /// The server's name.
    pub server: String,
}
