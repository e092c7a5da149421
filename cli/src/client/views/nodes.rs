//! Nodes: what they are, have and use.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{GivenCpu, GivenMemory, lenient, view};

view! {
    /// A node in a list.
    NodeStub {
        id: String = "ID",
        name: String = "Name",
        datacenter: String = "Datacenter",
        pool: String = "NodePool",
        class: String = "NodeClass",
        address: String = "Address",
        version: String = "Version",
        drain: bool = "Drain",
        eligibility: String = "SchedulingEligibility",
        status: String = "Status",
        attributes: BTreeMap<String, String> = "Attributes",
    }
}

view! {
    /// A node.
    Node {
        id: String = "ID",
        name: String = "Name",
        datacenter: String = "Datacenter",
        pool: String = "NodePool",
        class: String = "NodeClass",
        drain: bool = "Drain",
        drain_strategy: Option<serde_json::Value> = "DrainStrategy",
        eligibility: String = "SchedulingEligibility",
        status: String = "Status",
        attributes: BTreeMap<String, String> = "Attributes",
        meta: BTreeMap<String, String> = "Meta",
        drivers: BTreeMap<String, Driver> = "Drivers",
        events: Vec<NodeEvent> = "Events",
        host_volumes: BTreeMap<String, HostVolume> = "HostVolumes",
        host_networks: BTreeMap<String, HostNetwork> = "HostNetworks",
        csi_controllers: BTreeMap<String, serde_json::Value> = "CSIControllerPlugins",
        csi_nodes: BTreeMap<String, serde_json::Value> = "CSINodePlugins",
        resources: NodeResources = "NodeResources",
        reserved: NodeResources = "ReservedResources",
    }
}

view! {
    /// A driver of a node.
    Driver {
        detected: bool = "Detected",
        healthy: bool = "Healthy",
        description: String = "HealthDescription",
        updated: Option<String> = "UpdateTime",
    }
}

view! {
    /// What happened to a node.
    NodeEvent {
        message: String = "Message",
        subsystem: String = "Subsystem",
        details: BTreeMap<String, String> = "Details",
        time: Option<String> = "Timestamp",
    }
}

view! {
    /// A host volume of a node.
    HostVolume {
        path: String = "Path",
        read_only: bool = "ReadOnly",
    }
}

view! {
    /// A named network of a node.
    HostNetwork {
        cidr: String = "CIDR",
        interface: String = "Interface",
        reserved_ports: String = "ReservedPorts",
    }
}

view! {
    /// What a node has.
    NodeResources {
        cpu: GivenCpu = "Cpu",
        memory: GivenMemory = "Memory",
        disk: NodeDisk = "Disk",
    }
}

view! {
    /// The disk of a node.
    NodeDisk {
        disk: i64 = "DiskMB",
    }
}

view! {
    /// What a node's host uses.
    HostUsage {
        cpus: Vec<HostCpu> = "CPU",
        ticks: f64 = "CPUTicksConsumed",
        memory: Option<HostMemory> = "Memory",
        disks: Vec<HostDisk> = "DiskStats",
        alloc_dir: Option<HostDisk> = "AllocDirStats",
        uptime: u64 = "Uptime",
    }
}

view! {
    /// One processor.
    HostCpu {
        name: String = "CPU",
        user: f64 = "User",
        system: f64 = "System",
        idle: f64 = "Idle",
    }
}

view! {
    /// The memory of a host, in bytes.
    HostMemory {
        total: u64 = "Total",
        available: u64 = "Available",
        used: u64 = "Used",
        free: u64 = "Free",
    }
}

view! {
    /// A file system of a host, in bytes.
    HostDisk {
        device: String = "Device",
        mount: String = "Mountpoint",
        size: u64 = "Size",
        used: u64 = "Used",
        available: u64 = "Available",
        used_percent: f64 = "UsedPercent",
        inodes_percent: f64 = "InodesUsedPercent",
    }
}
