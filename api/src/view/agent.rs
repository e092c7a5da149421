//! What agents say of themselves and of one another.

use std::collections::BTreeMap;

use rove_model::server::Server;
use rove_store::state::State;
use serde_json::{Value, json};

/// The server that runs the loops: the one that holds most elections.
pub(crate) fn leader(state: &State) -> Option<&Server> {
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, leadership) in state.leaders() {
        *held.entry(leadership.server.as_str()).or_default() += 1;
    }
    let most = held.values().max()?;
    let name = held.iter().find(|(_, count)| *count == most)?.0;
    state
        .servers()
        .find(|server| server.name == **name)
        .map(|server| &server.value)
}

/// A server as a member of the cluster.
pub(crate) fn member(state: &State, server: &Server) -> Value {
    let (rpc_host, rpc_port) = server
        .rpc_addr
        .rsplit_once(':')
        .unwrap_or((server.rpc_addr.as_str(), ""));
    json!({
        "Name": server.name,
        "Addr": server.addr,
        "Port": server.port,
        "Status": "alive",
        "Tags": {
            "role": "nomad",
            "region": server.region,
            "dc": server.datacenter,
            "build": server.version,
            "vsn": "1",
            "raft_vsn": "3",
            "expect": state.servers().count().to_string(),
            "id": server.name,
            "rpc_addr": rpc_host,
            "port": rpc_port,
        },
        "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2,
        "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 4,
    })
}
