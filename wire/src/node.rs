//! Nodes: what they are and have.

use std::collections::BTreeMap;

use rove_model::node::{Eligibility, NodeState};
use serde_json::Value;

use crate::{LegacyResources, Network, Word, wire};

wire! {
    /// A node in a list.
    NodeStub {
        address: String = "Address",
        id: String = "ID",
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, String> = "Attributes",
        datacenter: String = "Datacenter",
        name: String = "Name",
        class: String = "NodeClass",
        pool: String = "NodePool",
        version: String = "Version",
        drain: bool = "Drain",
        eligibility: Word<Eligibility> = "SchedulingEligibility",
        status: Word<NodeState> = "Status",
        status_description: String = "StatusDescription",
        drivers: BTreeMap<String, Driver> = "Drivers",
        #[serde(serialize_with = "crate::null_when_empty")]
        host_volumes: BTreeMap<String, HostVolume> = "HostVolumes",
        #[serde(skip_serializing_if = "Option::is_none")]
        resources: Option<NodeResources> = "NodeResources",
        #[serde(skip_serializing_if = "Option::is_none")]
        reserved: Option<ReservedResources> = "ReservedResources",
        last_drain: Option<Value> = "LastDrain",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// A node in full.
    Node {
        id: String = "ID",
        secret: String = "SecretID",
        name: String = "Name",
        datacenter: String = "Datacenter",
        pool: String = "NodePool",
        class: String = "NodeClass",
        computed_class: String = "ComputedClass",
        http_addr: String = "HTTPAddr",
        tls: bool = "TLSEnabled",
        attributes: BTreeMap<String, String> = "Attributes",
        meta: BTreeMap<String, String> = "Meta",
        links: BTreeMap<String, String> = "Links",
        drivers: BTreeMap<String, Driver> = "Drivers",
        legacy_resources: LegacyResources = "Resources",
        legacy_reserved: LegacyResources = "Reserved",
        resources: NodeResources = "NodeResources",
        reserved: ReservedResources = "ReservedResources",
        status: Word<NodeState> = "Status",
        status_description: String = "StatusDescription",
        status_updated_at: i64 = "StatusUpdatedAt",
        eligibility: Word<Eligibility> = "SchedulingEligibility",
        drain: bool = "Drain",
        drain_strategy: Option<Value> = "DrainStrategy",
        last_drain: Option<Value> = "LastDrain",
        events: Vec<NodeEvent> = "Events",
        #[serde(serialize_with = "crate::null_when_empty")]
        host_volumes: BTreeMap<String, HostVolume> = "HostVolumes",
        #[serde(serialize_with = "crate::null_when_empty")]
        host_networks: BTreeMap<String, HostNetwork> = "HostNetworks",
        csi_controllers: BTreeMap<String, Value> = "CSIControllerPlugins",
        csi_nodes: BTreeMap<String, Value> = "CSINodePlugins",
        cgroup_parent: String = "CgroupParent",
        last_missed_heartbeat: u64 = "LastMissedHeartbeatIndex",
        last_alloc_update: u64 = "LastAllocUpdateIndex",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// A driver of a node.
    Driver {
        attributes: BTreeMap<String, String> = "Attributes",
        detected: bool = "Detected",
        healthy: bool = "Healthy",
        description: String = "HealthDescription",
        updated: Option<String> = "UpdateTime",
    }
}

wire! {
    /// What happened to a node.
    NodeEvent {
        time: Option<String> = "Timestamp",
        subsystem: String = "Subsystem",
        message: String = "Message",
        #[serde(serialize_with = "crate::null_when_empty")]
        details: BTreeMap<String, String> = "Details",
        create_index: u64 = "CreateIndex",
    }
}

wire! {
    /// A host volume of a node.
    HostVolume {
        path: String = "Path",
        read_only: bool = "ReadOnly",
    }
}

wire! {
    /// A named network of a node.
    HostNetwork {
        cidr: String = "CIDR",
        interface: String = "Interface",
        reserved_ports: String = "ReservedPorts",
    }
}

wire! {
    /// What a node has.
    NodeResources {
        cpu: NodeCpu = "Cpu",
        memory: NodeMemory = "Memory",
        disk: NodeDisk = "Disk",
        #[serde(serialize_with = "crate::null_when_empty")]
        devices: Vec<Value> = "Devices",
        networks: Vec<Network> = "Networks",
        node_networks: Vec<NodeNetwork> = "NodeNetworks",
        min_dynamic_port: u16 = "MinDynamicPort",
        max_dynamic_port: u16 = "MaxDynamicPort",
    }
}

wire! {
    /// The processors of a node, in MHz and cores.
    NodeCpu {
        shares: u64 = "CpuShares",
        total_cores: u32 = "TotalCpuCores",
        reservable_cores: Vec<u32> = "ReservableCpuCores",
    }
}

wire! {
    /// The memory of a node, in MiB.
    NodeMemory {
        memory: u64 = "MemoryMB",
    }
}

wire! {
    /// The disk of a node, in MiB.
    NodeDisk {
        disk: u64 = "DiskMB",
    }
}

wire! {
    /// An interface of a node; its speed in Mbit/s.
    NodeNetwork {
        mode: String = "Mode",
        device: String = "Device",
        mac: String = "MacAddress",
        speed: u64 = "Speed",
        addresses: Vec<NodeAddress> = "Addresses",
    }
}

wire! {
    /// An address of an interface.
    NodeAddress {
        address: String = "Address",
        alias: String = "Alias",
        family: String = "Family",
        gateway: String = "Gateway",
        reserved_ports: String = "ReservedPorts",
    }
}

wire! {
    /// What a node keeps for itself.
    ReservedResources {
        cpu: ReservedCpu = "Cpu",
        memory: NodeMemory = "Memory",
        disk: NodeDisk = "Disk",
        networks: ReservedPorts = "Networks",
    }
}

wire! {
    /// The share of the processors that a node keeps for itself, in MHz.
    ReservedCpu {
        shares: u64 = "CpuShares",
        #[serde(serialize_with = "crate::null_when_empty")]
        cores: Vec<u32> = "ReservedCpuCores",
    }
}

wire! {
    /// The ports that a node keeps for itself, with commas between them.
    ReservedPorts {
        host_ports: String = "ReservedHostPorts",
    }
}

wire! {
    /// A node pool.
    NodePool {
        name: String = "Name",
        description: String = "Description",
        meta: Option<BTreeMap<String, String>> = "Meta",
        scheduler_configuration: Option<Value> = "SchedulerConfiguration",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// What a change of a node gives back.
    NodeChanged {
        evals: Option<Vec<String>> = "EvalIDs",
        eval_create_index: u64 = "EvalCreateIndex",
        modify_index: u64 = "NodeModifyIndex",
        index: u64 = "Index",
    }
}

wire! {
    /// The metadata of a node: what its configuration says, and what was set since.
    NodeMetadata {
        meta: BTreeMap<String, String> = "Meta",
        fixed: BTreeMap<String, String> = "Static",
        dynamic: BTreeMap<String, Option<String>> = "Dynamic",
    }
}
