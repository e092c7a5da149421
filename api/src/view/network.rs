//! Networks and ports as allocs and nodes show them.

use rove_model::{
    alloc::AllocatedPort,
    job::NetworkResource,
    node::{Node, NodeNetwork},
};
use rove_wire::{GivenPort, Network, NetworkPort, NodeAddress};

/// The ports that were handed out, as the network that they are on; nothing without any.
///
/// `spec` is the job's own network block: its mode and bandwidth are shown as they were written.
pub(crate) fn allocated(ports: &[AllocatedPort], spec: Option<&NetworkResource>) -> Vec<Network> {
    let Some(first) = ports.first() else {
        return Vec::new();
    };
    let list = |dynamic: bool| {
        ports
            .iter()
            .filter(|port| port.dynamic == dynamic)
            .map(|port| NetworkPort {
                label: port.label.clone(),
                value: port.value.into(),
                to: port.to.into(),
                host_network: "default".to_owned(),
            })
            .collect()
    };
    vec![Network {
        mode: spec.map_or_else(String::new, |spec| spec.mode.clone()),
        ip: first.host_ip.clone(),
        mbits: spec.and_then(|spec| spec.mbits).unwrap_or(0),
        dns: spec.and_then(|spec| spec.dns.clone()),
        dynamic: list(true),
        reserved: list(false),
        ..Network::default()
    }]
}

/// The ports alone.
pub(crate) fn ports(ports: &[AllocatedPort]) -> Vec<GivenPort> {
    ports
        .iter()
        .map(|port| GivenPort {
            label: port.label.clone(),
            value: port.value.into(),
            to: port.to.into(),
            host: port.host_ip.clone(),
        })
        .collect()
}

/// A node's networks, as `Networks` lists them.
pub(crate) fn of_node(node: &Node) -> Vec<Network> {
    node.resources.networks.iter().map(network).collect()
}

fn network(network: &NodeNetwork) -> Network {
    Network {
        mode: "host".to_owned(),
        device: network.device.clone(),
        cidr: network.cidr.clone(),
        ip: network.ip.clone(),
        mbits: i64::try_from(network.mbits).unwrap_or(i64::MAX),
        ..Network::default()
    }
}

/// A node's interfaces with the addresses of each, as `NodeNetworks` lists them.
pub(crate) fn interfaces(node: &Node) -> Vec<rove_wire::NodeNetwork> {
    let mut interfaces: Vec<rove_wire::NodeNetwork> = Vec::new();
    for network in &node.resources.networks {
        let family = if network.ip.contains(':') {
            "ipv6"
        } else {
            "ipv4"
        };
        let address = NodeAddress {
            address: network.ip.clone(),
            alias: "default".to_owned(),
            family: family.to_owned(),
            ..NodeAddress::default()
        };
        match interfaces
            .iter_mut()
            .find(|interface| interface.device == network.device)
        {
            Some(interface) => interface.addresses.push(address),
            None => interfaces.push(rove_wire::NodeNetwork {
                mode: "host".to_owned(),
                device: network.device.clone(),
                mac: String::new(),
                speed: network.mbits,
                addresses: vec![address],
            }),
        }
    }
    interfaces
}
