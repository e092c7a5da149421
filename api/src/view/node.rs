//! Nodes.

use std::collections::BTreeMap;

use rove_model::{
    ids::{NodeId, Revision},
    node::{DriverInfo, Eligibility, Node, NodeReserved, NodeState},
};
use rove_store::state::{State, Stored};
use serde::Serialize;
use serde_json::{Value, json};

use super::network;
use crate::time::rfc3339;

/// A node in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeStub {
    address: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<BTreeMap<String, String>>,
    datacenter: String,
    name: String,
    node_class: String,
    node_pool: String,
    version: String,
    drain: bool,
    scheduling_eligibility: Eligibility,
    status: NodeState,
    status_description: String,
    drivers: Value,
    host_volumes: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_resources: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_resources: Option<Value>,
    last_drain: Option<()>,
    create_index: Revision,
    modify_index: Revision,
}

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

impl NodeStub {
    pub(crate) fn of(state: &State, node: &Stored<Node>, options: ListOptions) -> Self {
        let (status, status_description) = node_state(state, node.id);
        Self {
            address: host(&node.http_addr).to_owned(),
            id: node.id.to_string(),
            attributes: options.os.then(|| {
                node.attributes
                    .get_key_value("os.name")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .into_iter()
                    .collect()
            }),
            datacenter: node.datacenter.clone(),
            name: node.name.clone(),
            node_class: node.node_class.clone(),
            node_pool: node.node_pool.clone(),
            version: node.version.clone(),
            drain: false,
            scheduling_eligibility: eligibility(state, node.id),
            status,
            status_description,
            drivers: drivers(&node.drivers),
            host_volumes: None,
            node_resources: options.resources.then(|| resources(node)),
            reserved_resources: options.resources.then(|| reserved(&node.reserved)),
            last_drain: None,
            create_index: node.create,
            modify_index: index(state, node),
        }
    }
}

fn drivers(drivers: &BTreeMap<String, DriverInfo>) -> Value {
    drivers
        .iter()
        .map(|(name, driver)| {
            let view = json!({
                "Attributes": driver.attributes,
                "Detected": driver.detected,
                "Healthy": driver.healthy,
                "HealthDescription": driver.health_description,
                "UpdateTime": rfc3339(driver.update_time),
            });
            (name.clone(), view)
        })
        .collect()
}

fn resources(node: &Node) -> Value {
    let have = &node.resources;
    json!({
        "Cpu": {
            "CpuShares": have.cpu,
            "TotalCpuCores": have.cores,
            "ReservableCpuCores": (0..have.cores).collect::<Vec<_>>(),
        },
        "Memory": {"MemoryMB": have.memory_mb},
        "Disk": {"DiskMB": have.disk_mb},
        "Devices": null,
        "Networks": network::of_node(node),
        "NodeNetworks": network::interfaces(node),
        "MinDynamicPort": have.min_dynamic_port,
        "MaxDynamicPort": have.max_dynamic_port,
    })
}

fn reserved(reserved: &NodeReserved) -> Value {
    let ports: Vec<String> = reserved.ports.iter().map(ToString::to_string).collect();
    json!({
        "Cpu": {"CpuShares": reserved.cpu, "ReservedCpuCores": null},
        "Memory": {"MemoryMB": reserved.memory_mb},
        "Disk": {"DiskMB": reserved.disk_mb},
        "Networks": {"ReservedHostPorts": ports.join(",")},
    })
}

/// One node in full.
pub(crate) fn full(state: &State, node: &Stored<Node>) -> Value {
    let (status, status_description) = node_state(state, node.id);
    let since = state.node_status(node.id).map_or(0, |status| status.since);
    let event = |at, subsystem: &str, message: &str| {
        json!({
            "Timestamp": rfc3339(at),
            "Subsystem": subsystem,
            "Message": message,
            "Details": null,
            "CreateIndex": 0,
        })
    };
    let events: Vec<Value> = match state.node_status(node.id) {
        Some(status) if !status.events.is_empty() => status
            .events
            .iter()
            .map(|e| event(e.timestamp, &e.subsystem, &e.message))
            .collect(),
        // No loop has looked at it yet.
        _ => vec![event(node.registered_at, "Cluster", "Node registered")],
    };
    let have = &node.resources;
    json!({
        "ID": node.id,
        "SecretID": "",
        "Name": node.name,
        "Datacenter": node.datacenter,
        "NodePool": node.node_pool,
        "NodeClass": node.node_class,
        "ComputedClass": node.computed_class,
        "HTTPAddr": node.http_addr,
        "TLSEnabled": false,
        "Attributes": node.attributes,
        "Meta": node.meta,
        "Links": {},
        "Drivers": drivers(&node.drivers),
        "Resources": {
            "CPU": have.cpu, "Cores": 0, "MemoryMB": have.memory_mb, "MemoryMaxMB": 0, "DiskMB": have.disk_mb,
            "IOPS": 0, "Networks": network::of_node(node), "Devices": null,
        },
        "Reserved": {
            "CPU": node.reserved.cpu, "Cores": 0, "MemoryMB": node.reserved.memory_mb, "MemoryMaxMB": 0,
            "DiskMB": node.reserved.disk_mb, "IOPS": 0, "Networks": null, "Devices": null,
        },
        "NodeResources": resources(node),
        "ReservedResources": reserved(&node.reserved),
        "Status": status,
        "StatusDescription": status_description,
        "StatusUpdatedAt": since / 1_000_000_000,
        "SchedulingEligibility": eligibility(state, node.id),
        "Drain": false,
        "DrainStrategy": null,
        "LastDrain": null,
        "Events": events,
        "HostVolumes": null,
        "HostNetworks": null,
        "CSIControllerPlugins": {},
        "CSINodePlugins": {},
        "CgroupParent": "",
        "LastMissedHeartbeatIndex": 0,
        "LastAllocUpdateIndex": 0,
        "CreateIndex": node.create,
        "ModifyIndex": index(state, node),
    })
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
