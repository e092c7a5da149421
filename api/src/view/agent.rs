//! What agents say of themselves and of one another.

use std::collections::BTreeMap;

use rove_model::server::Server;
use rove_store::state::State;
use rove_wire::Member;

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
pub(crate) fn member(state: &State, server: &Server) -> Member {
    let (rpc_host, rpc_port) = server
        .rpc_addr
        .rsplit_once(':')
        .unwrap_or((server.rpc_addr.as_str(), ""));
    let expect = state.servers().count().to_string();
    Member {
        name: server.name.clone(),
        addr: server.addr.clone(),
        port: server.port.into(),
        status: "alive".to_owned(),
        tags: [
            ("role", "nomad"),
            ("region", &server.region),
            ("dc", &server.datacenter),
            ("build", &server.version),
            ("vsn", "1"),
            ("raft_vsn", "3"),
            ("expect", &expect),
            ("id", &server.name),
            ("rpc_addr", rpc_host),
            ("port", rpc_port),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect(),
        protocol_min: 1,
        protocol_max: 5,
        protocol: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate: 4,
    }
}
