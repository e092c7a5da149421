//! Nodes.

use std::collections::BTreeMap;

use rove_model::{
    ids::{NodeId, Revision},
    node::{DriverInfo, Eligibility, Node, NodeReserved, NodeState},
};
use rove_store::state::{State, Stored};
use rove_wire::{
    Driver, LegacyResources, NodeCpu, NodeDisk, NodeEvent, NodeMemory, NodeResources, NodeStub,
    ReservedCpu, ReservedPorts, ReservedResources,
};

use super::network;
use crate::time::rfc3339;

/// Parts of a list that are shown on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOptions {
    pub(crate) resources: bool,
    pub(crate) os: bool,
}

/// The newest change of a node, of what the servers think of it and of what was asked of it.
pub(crate) fn index(state: &State, node: &Stored<Node>) -> Revision {
    let status = state.node_status(node.id).map_or(0, |status| status.modify);
    let control = state
        .node_control(node.id)
        .map_or(0, |control| control.modify);
    node.modify.max(status).max(control)
}

fn node_state(state: &State, id: NodeId) -> (NodeState, String) {
    state
        .node_status(id)
        .map_or((NodeState::Initializing, String::new()), |status| {
            (status.status, status.status_description.clone())
        })
}

fn eligibility(state: &State, id: NodeId) -> Eligibility {
    state
        .node_control(id)
        .map_or(Eligibility::Eligible, |control| {
            control.scheduling_eligibility
        })
}

/// The address without its port.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| {
        host.trim_start_matches('[').trim_end_matches(']')
    })
}

/// A node in a list.
pub(crate) fn stub(state: &State, node: &Stored<Node>, options: ListOptions) -> NodeStub {
    let (status, status_description) = node_state(state, node.id);
    NodeStub {
        address: host(&node.http_addr).to_owned(),
        id: node.id.to_string(),
        attributes: node
            .attributes
            .get_key_value("os.name")
            .filter(|_| options.os)
            .map(|(name, value)| (name.clone(), value.clone()))
            .into_iter()
            .collect(),
        datacenter: node.datacenter.clone(),
        name: node.name.clone(),
        class: node.node_class.clone(),
        pool: node.node_pool.clone(),
        version: node.version.clone(),
        drain: false,
        eligibility: eligibility(state, node.id).into(),
        status: status.into(),
        status_description,
        drivers: drivers(&node.drivers),
        host_volumes: BTreeMap::new(),
        resources: options.resources.then(|| resources(node)),
        reserved: options.resources.then(|| reserved(&node.reserved)),
        last_drain: None,
        create_index: node.create,
        modify_index: index(state, node),
    }
}

fn drivers(drivers: &BTreeMap<String, DriverInfo>) -> BTreeMap<String, Driver> {
    drivers
        .iter()
        .map(|(name, driver)| {
            let view = Driver {
                attributes: driver.attributes.clone(),
                detected: driver.detected,
                healthy: driver.healthy,
                description: driver.health_description.clone(),
                updated: Some(rfc3339(driver.update_time)),
            };
            (name.clone(), view)
        })
        .collect()
}

fn resources(node: &Node) -> NodeResources {
    let have = &node.resources;
    NodeResources {
        cpu: NodeCpu {
            shares: have.cpu,
            total_cores: have.cores,
            reservable_cores: (0..have.cores).collect(),
        },
        memory: NodeMemory {
            memory: have.memory_mb,
        },
        disk: NodeDisk { disk: have.disk_mb },
        devices: Vec::new(),
        networks: network::of_node(node),
        node_networks: network::interfaces(node),
        min_dynamic_port: have.min_dynamic_port,
        max_dynamic_port: have.max_dynamic_port,
    }
}

fn reserved(reserved: &NodeReserved) -> ReservedResources {
    let ports: Vec<String> = reserved.ports.iter().map(ToString::to_string).collect();
    ReservedResources {
        cpu: ReservedCpu {
            shares: reserved.cpu,
            cores: Vec::new(),
        },
        memory: NodeMemory {
            memory: reserved.memory_mb,
        },
        disk: NodeDisk {
            disk: reserved.disk_mb,
        },
        networks: ReservedPorts {
            host_ports: ports.join(","),
        },
    }
}

/// One node in full.
pub(crate) fn full(state: &State, node: &Stored<Node>) -> rove_wire::Node {
    let (status, status_description) = node_state(state, node.id);
    let since = state.node_status(node.id).map_or(0, |status| status.since);
    let event = |at, subsystem: &str, message: &str| NodeEvent {
        time: Some(rfc3339(at)),
        subsystem: subsystem.to_owned(),
        message: message.to_owned(),
        ..NodeEvent::default()
    };
    let events = match state.node_status(node.id) {
        Some(status) if !status.events.is_empty() => status
            .events
            .iter()
            .map(|e| event(e.timestamp, &e.subsystem, &e.message))
            .collect(),
        // No loop has looked at it yet.
        _ => vec![event(node.registered_at, "Cluster", "Node registered")],
    };
    let have = &node.resources;
    rove_wire::Node {
        id: node.id.to_string(),
        name: node.name.clone(),
        datacenter: node.datacenter.clone(),
        pool: node.node_pool.clone(),
        class: node.node_class.clone(),
        computed_class: node.computed_class.clone(),
        http_addr: node.http_addr.clone(),
        attributes: node.attributes.clone(),
        meta: node.meta.clone(),
        drivers: drivers(&node.drivers),
        legacy_resources: LegacyResources {
            cpu: have.cpu,
            memory: have.memory_mb,
            disk: have.disk_mb,
            networks: Some(network::of_node(node)),
            ..LegacyResources::default()
        },
        legacy_reserved: LegacyResources {
            cpu: node.reserved.cpu,
            memory: node.reserved.memory_mb,
            disk: node.reserved.disk_mb,
            ..LegacyResources::default()
        },
        resources: resources(node),
        reserved: reserved(&node.reserved),
        status: status.into(),
        status_description,
        status_updated_at: since / 1_000_000_000,
        eligibility: eligibility(state, node.id).into(),
        events,
        create_index: node.create,
        modify_index: index(state, node),
        ..rove_wire::Node::default()
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_of_an_address_is_found() {
        for (address, expected) in [
            ("10.0.0.1:4646", "10.0.0.1"),
            ("[fe80::1]:4646", "fe80::1"),
            ("name", "name"),
        ] {
            assert_eq!(host(address), expected);
        }
    }
}
