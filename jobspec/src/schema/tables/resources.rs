//! What a task may use: CPU, memory, devices, networks and ports.

use super::{
    placement::{AFFINITY, CONSTRAINT},
    row,
    shapes::{finish_network, restore_network},
};
use crate::schema::{Kind, Table};

/// The fields of `resources`.
pub(super) static RESOURCES: Table = Table {
    title: "resources",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "cpu",
            "",
            "CPU",
            Kind::Integer,
            "How much CPU is reserved for the task.").default("100").unit("MHz"),
        row(
            "cores",
            "",
            "Cores",
            Kind::Integer,
            "Whole CPU cores for the task alone, instead of cpu."),
        row(
            "memory",
            "",
            "MemoryMB",
            Kind::Integer,
            "How much memory is reserved for the task; without memory_max also the most it may use.").default("300").unit("MiB"),
        row(
            "memory_max",
            "",
            "MemoryMaxMB",
            Kind::Integer,
            "The most memory the task may use when the node has some to spare.").unit("MiB"),
        row(
            "disk",
            "",
            "DiskMB",
            Kind::Integer,
            "Read and without effect: a group has ephemeral_disk.").unit("MiB"),
        row(
            "network",
            "networks",
            "Networks",
            Kind::Blocks(&NETWORK),
            "The network and ports of a task, as in files of 2017; a group has network."),
        row(
            "device",
            "devices",
            "Devices",
            Kind::Blocks(&DEVICE),
            "A device, as a GPU, by <type>, <vendor>/<type> or <vendor>/<type>/<model>."),
        row("iops", "", "IOPS", Kind::Integer, "Read and without effect."),
    ],
    finish: None,
};

/// The fields of `device`.
pub(super) static DEVICE: Table = Table {
    title: "device",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row("count", "", "Count", Kind::Integer, "How many of it.").default("1"),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a device must fulfil, as ${device.attr.memory}.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a device should fulfil.",
        ),
    ],
    finish: None,
};

/// The fields of `network`.
pub(super) static NETWORK: Table = Table {
    title: "network",
    label: None,
    label_optional: false,
    restore: Some(restore_network),
    fields: &[
        row(
            "mode",
            "",
            "Mode",
            Kind::Text,
            "host, bridge, none or cni/<name>.",
        )
        .default("host"),
        row(
            "device",
            "",
            "Device",
            Kind::Text,
            "The interface; set by the scheduler.",
        ),
        row(
            "cidr",
            "",
            "CIDR",
            Kind::Text,
            "The range of the interface; set by the scheduler.",
        ),
        row(
            "ip",
            "",
            "IP",
            Kind::Text,
            "The address; set by the scheduler.",
        ),
        row(
            "dns",
            "",
            "DNS",
            Kind::Block(&DNS),
            "How names are resolved inside.",
        ),
        row(
            "port",
            "ports",
            "~Ports",
            Kind::Blocks(&PORT),
            "A port; its label is its name in services and in NOMAD_PORT_<label>.",
        ),
        row(
            "hostname",
            "",
            "Hostname",
            Kind::Text,
            "The host name inside, in bridge mode.",
        ),
        row(
            "mbits",
            "",
            "MBits",
            Kind::Integer,
            "Bandwidth; read and without effect.",
        )
        .unit("Mbit/s"),
    ],
    finish: Some(finish_network),
};

/// The fields of `dns`.
pub(super) static DNS: Table = Table {
    title: "dns",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "servers",
            "",
            "Servers",
            Kind::Texts,
            "Addresses of name servers.",
        ),
        row(
            "searches",
            "",
            "Searches",
            Kind::Texts,
            "Domains that are searched.",
        ),
        row(
            "options",
            "",
            "Options",
            Kind::Texts,
            "Options of resolv.conf.",
        ),
    ],
    finish: None,
};

/// The fields of `port`.
pub(super) static PORT: Table = Table {
    title: "port",
    label: Some("Label"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "static",
            "",
            "Value",
            Kind::Integer,
            "The port's number on the host; without it one is chosen.",
        ),
        row(
            "to",
            "",
            "To",
            Kind::Integer,
            "The port's number inside the network; -1 means the same as on the host.",
        )
        .default("the number on the host"),
        row(
            "host_network",
            "",
            "HostNetwork",
            Kind::Text,
            "The network of the host that the port is on.",
        )
        .default("default"),
    ],
    finish: None,
};
