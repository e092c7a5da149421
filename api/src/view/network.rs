//! Networks and ports as allocs and nodes show them.

use rove_model::{
    alloc::AllocatedPort,
    job::NetworkResource,
    node::{Node, NodeNetwork},
};
use serde_json::{Value, json};

/// The ports that were handed out, as the network that they are on; `null` without any.
///
/// `spec` is the job's own network block: its mode and bandwidth are shown as they were written.
pub(crate) fn allocated(
    ports: &[AllocatedPort],
    spec: Option<&NetworkResource>,
    device: &str,
) -> Value {
    let Some(first) = ports.first() else {
        return Value::Null;
    };
    let list = |dynamic: bool| {
        let chosen: Vec<Value> = ports
            .iter()
            .filter(|port| port.dynamic == dynamic)
            .map(|port| {
                json!({
                    "Label": port.label, "Value": port.value, "To": port.to, "HostNetwork": "default",
                })
            })
            .collect();
        if chosen.is_empty() {
            Value::Null
        } else {
            chosen.into()
        }
    };
    json!([{
        "Mode": spec.map_or("", |spec| spec.mode.as_str()),
        "Device": device,
        "CIDR": "",
        "IP": first.host_ip,
        "MBits": spec.and_then(|spec| spec.mbits).unwrap_or(0),
        "DNS": spec.and_then(|spec| spec.dns.as_ref()),
        "DynamicPorts": list(true),
        "ReservedPorts": list(false),
    }])
}

/// The ports alone; `null` without any.
pub(crate) fn ports(ports: &[AllocatedPort]) -> Value {
    if ports.is_empty() {
        return Value::Null;
    }
    ports
        .iter()
        .map(|port| {
            json!({"Label": port.label, "Value": port.value, "To": port.to, "HostIP": port.host_ip})
        })
        .collect()
}

/// A node's networks, as `Networks` lists them.
pub(crate) fn of_node(node: &Node) -> Value {
    node.resources.networks.iter().map(network).collect()
}

fn network(network: &NodeNetwork) -> Value {
    json!({
        "Mode": "host", "Device": network.device, "CIDR": network.cidr, "IP": network.ip, "MBits": network.mbits,
        "DNS": null, "DynamicPorts": null, "ReservedPorts": null,
    })
}

/// A node's interfaces with the addresses of each, as `NodeNetworks` lists them.
pub(crate) fn interfaces(node: &Node) -> Value {
    let mut devices: Vec<(&str, u64, Vec<Value>)> = Vec::new();
    for network in &node.resources.networks {
        let family = if network.ip.contains(':') {
            "ipv6"
        } else {
            "ipv4"
        };
        let address = json!({
            "Address": network.ip, "Alias": "default", "Family": family, "Gateway": "", "ReservedPorts": "",
        });
        match devices
            .iter_mut()
            .find(|(device, ..)| *device == network.device)
        {
            Some((_, _, addresses)) => addresses.push(address),
            None => devices.push((&network.device, network.mbits, vec![address])),
        }
    }
    devices
        .into_iter()
        .map(|(device, mbits, addresses)| {
            json!({"Mode": "host", "Device": device, "MacAddress": "", "Speed": mbits, "Addresses": addresses})
        })
        .collect()
}
