//! Nodes: what an agent says of its machine, and what the servers think of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, UnixNanos};

/// `nodes/<node>`: the fingerprint. Written by the node's agent alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: NodeId,
    /// Its name, by default the host's.
    pub name: String,
    /// Where it stands.
    pub datacenter: String,
    /// The pool it belongs to.
    pub node_pool: String,
    /// A class the operator gave it.
    #[serde(default)]
    pub node_class: String,
    /// What was found out about it (`kernel.name`, `cpu.arch`, `driver.docker`, …).
    pub attributes: BTreeMap<String, String>,
    /// What the operator says about it.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// By driver name.
    pub drivers: BTreeMap<String, DriverInfo>,
    /// What it has.
    pub resources: NodeResources,
    /// What is kept back for the system.
    #[serde(default)]
    pub reserved: NodeReserved,
    /// `host:port` of its agent's HTTP API, as others reach it.
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    /// Hash over what may decide feasibility: nodes of one class are alike to the scheduler. See `compute_class`.
    pub computed_class: String,
    /// When the agent first registered.
    pub registered_at: UnixNanos,
    /// rove's version there.
    pub version: String,
}

/// A driver on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverInfo {
    /// It is there.
    pub detected: bool,
    /// It works.
    pub healthy: bool,
    /// In words.
    pub health_description: String,
    /// `driver.docker.version` and the like.
    pub attributes: BTreeMap<String, String>,
    /// When it was last looked at.
    pub update_time: UnixNanos,
}

/// What a node has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeResources {
    /// CPU in MHz, all cores together.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Cores.
    pub cores: u32,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Disk in MiB under the alloc directory.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// Addresses; the first is the one that ports are handed out on.
    pub networks: Vec<NodeNetwork>,
    /// First dynamic port.
    pub min_dynamic_port: u16,
    /// Last dynamic port.
    pub max_dynamic_port: u16,
}

/// A network interface of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetwork {
    /// Its name.
    pub device: String,
    /// An address on it.
    #[serde(rename = "IP")]
    pub ip: String,
    /// That address with its prefix length.
    #[serde(rename = "CIDR")]
    pub cidr: String,
    /// Speed in Mbit/s.
    #[serde(rename = "MBits")]
    pub mbits: u64,
}

/// What is kept back on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeReserved {
    /// CPU in MHz.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Disk in MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// Host ports that are never handed out.
    pub ports: Vec<u16>,
}

/// Whether nodes that are otherwise alike differ in an attribute: it has no part in their class, and what asks for it is
/// asked of each node. By their names those that begin with `unique.`, and the address an agent is reached at.
#[must_use]
pub fn is_unique_attribute(name: &str) -> bool {
    name.starts_with("unique.") || name == "nomad.advertise.address"
}

impl Node {
    /// A hash over the attributes that are not [unique](is_unique_attribute), the datacenter, pool, class, meta and healthy drivers:
    /// nodes with the same are alike to a constraint. In the form `v1:<number>`.
    #[must_use]
    pub fn compute_class(&self) -> String {
        // FNV-1a, 64 bit: stable across builds, unlike the standard library's hasher.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut feed = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        feed(&self.datacenter);
        feed(&self.node_pool);
        feed(&self.node_class);
        for (table, entries) in [("attr", &self.attributes), ("meta", &self.meta)] {
            for (key, value) in entries.iter().filter(|(key, _)| !is_unique_attribute(key)) {
                feed(table);
                feed(key);
                feed(value);
            }
        }
        for (name, _) in self
            .drivers
            .iter()
            .filter(|(_, driver)| driver.detected && driver.healthy)
        {
            feed("driver");
            feed(name);
        }
        format!("v1:{hash}")
    }
}

/// `node-alive/<node>`: attached to the node's lease, gone when the node is. Written by the node's agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeAlive {
    /// When this lease began.
    pub since: UnixNanos,
}

/// What the servers think of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Registered, and not alive yet.
    Initializing,
    /// Alive.
    Ready,
    /// Its lease ran out.
    Down,
    /// Its lease ran out, and its allocs may go on for a while.
    Disconnected,
}

/// `node-status/<node>`: written by the node loop alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeStatus {
    /// What the servers think.
    pub status: NodeState,
    /// In words.
    #[serde(default)]
    pub status_description: String,
    /// Since when.
    pub since: UnixNanos,
    /// What happened to it, oldest first, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NodeEvent>,
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeEvent {
    /// When.
    pub timestamp: UnixNanos,
    /// What part of rove says so.
    pub subsystem: String,
    /// In words.
    pub message: String,
}

/// Whether new allocs may be placed on a node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Eligibility {
    /// Yes.
    #[default]
    Eligible,
    /// No.
    Ineligible,
}

/// `node-control/<node>`: what the operator asked of a node. Written by the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeControl {
    /// Whether new allocs may be placed.
    pub scheduling_eligibility: Eligibility,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node {
            id: NodeId(uuid::Uuid::nil()),
            name: "n".to_owned(),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            node_class: String::new(),
            attributes: BTreeMap::new(),
            meta: BTreeMap::new(),
            drivers: BTreeMap::new(),
            resources: NodeResources::default(),
            reserved: NodeReserved::default(),
            http_addr: String::new(),
            computed_class: String::new(),
            registered_at: 0,
            version: String::new(),
        }
    }

    #[test]
    fn nodes_that_differ_only_in_what_is_unique_are_of_one_class() {
        let plain = node().compute_class();
        for (table, name, alike) in [
            ("attr", "unique.hostname", true),
            ("attr", "unique.network.ip-address", true),
            ("attr", "nomad.advertise.address", true),
            ("attr", "nomad.version", false),
            ("attr", "cpu.arch", false),
            ("meta", "unique.rack", true),
            ("meta", "rack", false),
        ] {
            let mut other = node();
            let entries = match table {
                "attr" => &mut other.attributes,
                _ => &mut other.meta,
            };
            entries.insert(name.to_owned(), "x".to_owned());
            assert_eq!(other.compute_class() == plain, alike, "{table} {name}");
        }
    }
}
