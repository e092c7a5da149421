//! The group: tasks that run together, their disk and their volumes.

use super::{
    placement::{AFFINITY, CONSTRAINT, SPREAD},
    policy::{MIGRATE, RESCHEDULE, RESTART, UPDATE},
    resources::NETWORK,
    row,
    service::SERVICE,
    shapes::{finish_group, finish_scaling},
    task::{TASK, VAULT},
};
use crate::schema::{Kind, Table};

/// The fields of `group`.
pub(super) static GROUP: Table = Table {
    title: "group",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "count",
            "",
            "Count",
            Kind::Integer,
            "How many allocs of the group run (of a job at most 1,000,000); with scaling and no count, its min.",
        )
        .default("1"),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil to run the group.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil to be preferred.",
        ),
        row(
            "task",
            "tasks",
            "Tasks",
            Kind::Blocks(&TASK),
            "One program of the group. At least one is needed.",
        ),
        row(
            "spread",
            "spreads",
            "Spreads",
            Kind::Blocks(&SPREAD),
            "How allocs of the group are spread over the values of an attribute.",
        ),
        row(
            "volume",
            "volumes",
            "Volumes",
            Kind::NamedBlocks(&VOLUME),
            "A volume that the group's tasks may mount with volume_mount.",
        ),
        row(
            "restart",
            "",
            "RestartPolicy",
            Kind::Block(&RESTART),
            "When a failed task is started again on the same node.",
        ),
        row(
            "reschedule",
            "",
            "ReschedulePolicy",
            Kind::Block(&RESCHEDULE),
            "When a failed alloc is replaced, on another node if possible.",
        ),
        row(
            "ephemeral_disk",
            "",
            "EphemeralDisk",
            Kind::Block(&DISK),
            "The disk that the tasks of an alloc share.",
        ),
        row(
            "update",
            "",
            "Update",
            Kind::Block(&UPDATE),
            "How a new version of the group is rolled out.",
        ),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Block(&MIGRATE),
            "How allocs leave a node that is drained.",
        ),
        row(
            "network",
            "networks",
            "Networks",
            Kind::Blocks(&NETWORK),
            "The network of the group and its ports. At most one.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs of your own, over those of the job.",
        ),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&SERVICE),
            "A service that is announced while an alloc runs.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "How long to wait after services are deregistered before tasks are stopped.",
        )
        .default("0s"),
        row(
            "stop_after_client_disconnect",
            "",
            "StopAfterClientDisconnect",
            Kind::Duration,
            "Stop the allocs of a node that has not reached a server for so long.",
        ),
        row(
            "max_client_disconnect",
            "",
            "MaxClientDisconnect",
            Kind::Duration,
            "Let allocs go on for so long on a node that can't be reached, and take them back if it returns.",
        ),
        row(
            "scaling",
            "",
            "Scaling",
            Kind::Block(&SCALING),
            "Limits and rules for an autoscaler.",
        ),
        row(
            "consul",
            "",
            "Consul",
            Kind::Block(&CONSUL),
            "How the group uses Consul.",
        ),
        row(
            "vault",
            "",
            "~Vault",
            Kind::Block(&VAULT),
            "Access to Vault, for every task that says nothing of its own.",
        ),
    ],
    finish: Some(finish_group),
};

/// The fields of `ephemeral_disk`.
pub(super) static DISK: Table = Table {
    title: "ephemeral_disk",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "sticky",
            "",
            "Sticky",
            Kind::Bool,
            "Place a successor on the same node if possible, and keep the data.",
        )
        .default("false"),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Bool,
            "With sticky: copy the data when the successor runs on another node.",
        )
        .default("false"),
        row(
            "size",
            "",
            "SizeMB",
            Kind::Integer,
            "How much disk is reserved for an alloc.",
        )
        .default("300")
        .unit("MiB"),
    ],
    finish: None,
};

/// The fields of `volume`.
pub(super) static VOLUME: Table = Table {
    title: "volume",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row("type", "", "Type", Kind::Text, "Which kind of volume.").values(&["host", "csi"]),
        row(
            "source",
            "",
            "Source",
            Kind::Text,
            "The name of the host's volume, or the id of the CSI volume.",
        ),
        row(
            "read_only",
            "",
            "ReadOnly",
            Kind::Bool,
            "Mount for reading only.",
        )
        .default("false"),
        row(
            "access_mode",
            "",
            "AccessMode",
            Kind::Text,
            "Who may use a CSI volume, as single-node-writer or multi-node-reader-only.",
        ),
        row(
            "attachment_mode",
            "",
            "AttachmentMode",
            Kind::Text,
            "How a CSI volume is attached.",
        )
        .values(&["file-system", "block-device"]),
        row(
            "mount_options",
            "",
            "MountOptions",
            Kind::Block(&MOUNT_OPTIONS),
            "How a CSI volume is mounted.",
        ),
        row(
            "per_alloc",
            "",
            "PerAlloc",
            Kind::Bool,
            "Each alloc has a volume of its own: source[0], source[1] …",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `mount_options`.
pub(super) static MOUNT_OPTIONS: Table = Table {
    title: "mount_options",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("fs_type", "", "FSType", Kind::Text, "The file system."),
        row(
            "mount_flags",
            "",
            "MountFlags",
            Kind::Texts,
            "Flags of the mount, as noatime.",
        ),
    ],
    finish: None,
};

/// The fields of `scaling`.
pub(super) static SCALING: Table = Table {
    title: "scaling",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("min", "", "Min", Kind::Integer, "The fewest allocs.").default("the count"),
        row("max", "", "Max", Kind::Integer, "The most allocs. Needed."),
        row(
            "policy",
            "",
            "Policy",
            Kind::Free,
            "Rules that an autoscaler reads.",
        ),
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "The autoscaler looks at it.",
        )
        .default("true"),
        row("type", "", "Type", Kind::Text, "How it scales.")
            .default("horizontal")
            .values(&["horizontal"]),
    ],
    finish: Some(finish_scaling),
};

/// The fields of `consul`.
pub(super) static CONSUL: Table = Table {
    title: "consul",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "namespace",
        "",
        "Namespace",
        Kind::Text,
        "The namespace in Consul.",
    )],
    finish: None,
};
