//! The tables.

use serde_json::{Map, Value as Json};

use super::{Field, Kind, Table};

const fn row(
    name: &'static str,
    plural: &'static str,
    json: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Field {
    Field {
        name,
        plural,
        json,
        kind,
        doc,
    }
}

/// The fields of `job`.
pub static JOB: Table = Table {
    title: "job",
    label: Some("ID"),
    label_optional: false,
    fields: &[
        row(
            "id",
            "",
            "ID",
            Kind::Text,
            "The id, by default the name of the block.",
        ),
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "The name shown to people, by default the id.",
        ),
        row(
            "region",
            "",
            "Region",
            Kind::Text,
            "The region, global by default.",
        ),
        row(
            "namespace",
            "",
            "Namespace",
            Kind::Text,
            "The namespace, default by default.",
        ),
        row(
            "type",
            "",
            "Type",
            Kind::Text,
            "service, batch, system or sysbatch; service by default.",
        ),
        row(
            "priority",
            "",
            "Priority",
            Kind::Integer,
            "1 to 100, 50 by default; higher is placed first.",
        ),
        row(
            "all_at_once",
            "",
            "AllAtOnce",
            Kind::Bool,
            "Place all or nothing.",
        ),
        row(
            "datacenters",
            "",
            "Datacenters",
            Kind::Texts,
            "Datacenters it may run in, any by default.",
        ),
        row(
            "node_pool",
            "",
            "NodePool",
            Kind::Text,
            "The pool of nodes it may run on.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil.",
        ),
        row(
            "group",
            "groups",
            "TaskGroups",
            Kind::Blocks(&GROUP),
            "Tasks that run together on one node.",
        ),
        row(
            "update",
            "",
            "Update",
            Kind::Block(&UPDATE),
            "How new versions are rolled out; groups inherit it.",
        ),
        row(
            "multiregion",
            "",
            "Multiregion",
            Kind::Block(&MULTIREGION),
            "Roll-out over several regions.",
        ),
        row(
            "spread",
            "spreads",
            "Spreads",
            Kind::Blocks(&SPREAD),
            "How allocs are spread over the values of an attribute.",
        ),
        row(
            "periodic",
            "",
            "Periodic",
            Kind::Block(&PERIODIC),
            "Run at set times.",
        ),
        row(
            "parameterized",
            "",
            "ParameterizedJob",
            Kind::Block(&PARAMETERIZED),
            "Run when it is dispatched.",
        ),
        row(
            "reschedule",
            "",
            "Reschedule",
            Kind::Block(&RESCHEDULE),
            "When failed allocs are replaced; groups inherit it.",
        ),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Block(&MIGRATE),
            "How allocs leave a drained node; groups inherit it.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
        row(
            "consul_token",
            "",
            "ConsulToken",
            Kind::Text,
            "Proves that Consul may be used.",
        ),
        row(
            "vault_token",
            "",
            "VaultToken",
            Kind::Text,
            "Proves that Vault may be used.",
        ),
        row(
            "task",
            "tasks",
            "~Tasks",
            Kind::Blocks(&TASK),
            "A task without a group: makes a group of the same name.",
        ),
        row(
            "vault",
            "",
            "~Vault",
            Kind::Block(&VAULT),
            "Access to Vault, inherited by the tasks.",
        ),
    ],
    finish: Some(finish_job),
};

/// The fields of `group`.
static GROUP: Table = Table {
    title: "group",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row(
            "count",
            "",
            "Count",
            Kind::Integer,
            "How many allocs of it run, 1 by default.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil.",
        ),
        row(
            "task",
            "tasks",
            "Tasks",
            Kind::Blocks(&TASK),
            "One program.",
        ),
        row(
            "spread",
            "spreads",
            "Spreads",
            Kind::Blocks(&SPREAD),
            "How allocs are spread over the values of an attribute.",
        ),
        row(
            "volume",
            "volumes",
            "Volumes",
            Kind::NamedBlocks(&VOLUME),
            "A volume that tasks may mount.",
        ),
        row(
            "restart",
            "",
            "RestartPolicy",
            Kind::Block(&RESTART),
            "When a failed task is started again.",
        ),
        row(
            "reschedule",
            "",
            "ReschedulePolicy",
            Kind::Block(&RESCHEDULE),
            "When a failed alloc is replaced.",
        ),
        row(
            "ephemeral_disk",
            "",
            "EphemeralDisk",
            Kind::Block(&DISK),
            "Disk shared by the tasks.",
        ),
        row(
            "update",
            "",
            "Update",
            Kind::Block(&UPDATE),
            "How a new version is rolled out.",
        ),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Block(&MIGRATE),
            "How allocs leave a drained node.",
        ),
        row(
            "network",
            "networks",
            "Networks",
            Kind::Blocks(&NETWORK),
            "Its network and ports.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&SERVICE),
            "A service that is announced.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "Time between deregistering services and stopping tasks.",
        ),
        row(
            "stop_after_client_disconnect",
            "",
            "StopAfterClientDisconnect",
            Kind::Duration,
            "Stop allocs when their node has not reached a server for so long.",
        ),
        row(
            "max_client_disconnect",
            "",
            "MaxClientDisconnect",
            Kind::Duration,
            "Let allocs go on for so long on a node that can not be reached.",
        ),
        row(
            "scaling",
            "",
            "Scaling",
            Kind::Block(&SCALING),
            "Limits for autoscaling.",
        ),
        row(
            "consul",
            "",
            "Consul",
            Kind::Block(&CONSUL),
            "Consul of the group.",
        ),
        row(
            "vault",
            "",
            "~Vault",
            Kind::Block(&VAULT),
            "Access to Vault, inherited by the tasks.",
        ),
    ],
    finish: Some(finish_group),
};

/// The fields of `task`.
static TASK: Table = Table {
    title: "task",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row(
            "driver",
            "",
            "Driver",
            Kind::Text,
            "What runs it, as docker or raw_exec.",
        ),
        row("user", "", "User", Kind::Text, "Whom it runs as."),
        row(
            "lifecycle",
            "",
            "Lifecycle",
            Kind::Block(&LIFECYCLE),
            "When it runs relative to the main tasks.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil.",
        ),
        row("env", "", "Env", Kind::TextMap, "Its environment."),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&SERVICE),
            "A service that is announced.",
        ),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What it may use.",
        ),
        row(
            "restart",
            "",
            "RestartPolicy",
            Kind::Block(&RESTART),
            "When it is started again.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "Time between the stop signal and the kill, 5s by default.",
        ),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "Its log files.",
        ),
        row(
            "artifact",
            "artifacts",
            "Artifacts",
            Kind::Blocks(&ARTIFACT),
            "A file or archive to fetch.",
        ),
        row(
            "vault",
            "",
            "Vault",
            Kind::Block(&VAULT),
            "Access to Vault.",
        ),
        row(
            "template",
            "templates",
            "Templates",
            Kind::Blocks(&TEMPLATE),
            "A file to render.",
        ),
        row(
            "dispatch_payload",
            "",
            "DispatchPayload",
            Kind::Block(&DISPATCH_PAYLOAD),
            "Where the dispatch payload goes.",
        ),
        row(
            "volume_mount",
            "volume_mounts",
            "VolumeMounts",
            Kind::Blocks(&VOLUME_MOUNT),
            "A volume of the group inside the task.",
        ),
        row(
            "leader",
            "",
            "Leader",
            Kind::Bool,
            "When it ends, the others are stopped.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "Time between deregistering services and stopping.",
        ),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The stop signal.",
        ),
        row(
            "kind",
            "",
            "Kind",
            Kind::Text,
            "Set for tasks that are added automatically.",
        ),
        row(
            "scaling",
            "scalings",
            "ScalingPolicies",
            Kind::Blocks(&TASK_SCALING),
            "Limits for vertical autoscaling.",
        ),
        row(
            "identity",
            "",
            "Identity",
            Kind::Block(&IDENTITY),
            "Access to the API as this workload.",
        ),
        row(
            "csi_plugin",
            "",
            "CSIPluginConfig",
            Kind::Block(&CSI_PLUGIN),
            "It is a CSI plugin.",
        ),
    ],
    finish: None,
};

/// The fields of `constraint`.
static CONSTRAINT: Table = Table {
    title: "constraint",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name}.",
        ),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How it is compared, = by default.",
        ),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What it is compared with.",
        ),
        row(
            "version",
            "",
            "~version",
            Kind::Text,
            "Short for operator = \"version\".",
        ),
        row(
            "semver",
            "",
            "~semver",
            Kind::Text,
            "Short for operator = \"semver\".",
        ),
        row(
            "regexp",
            "",
            "~regexp",
            Kind::Text,
            "Short for operator = \"regexp\".",
        ),
        row(
            "set_contains",
            "",
            "~set_contains",
            Kind::Text,
            "Short for operator = \"set_contains\".",
        ),
        row(
            "set_contains_all",
            "",
            "~set_contains_all",
            Kind::Text,
            "Short for operator = \"set_contains_all\".",
        ),
        row(
            "set_contains_any",
            "",
            "~set_contains_any",
            Kind::Text,
            "Short for operator = \"set_contains_any\".",
        ),
        row(
            "distinct_hosts",
            "",
            "~distinct_hosts",
            Kind::Bool,
            "No two allocs on one node.",
        ),
        row(
            "distinct_property",
            "",
            "~distinct_property",
            Kind::Text,
            "No more than value allocs on nodes with one value of this attribute.",
        ),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `affinity`.
static AFFINITY: Table = Table {
    title: "affinity",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name}.",
        ),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How it is compared, = by default.",
        ),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What it is compared with.",
        ),
        row(
            "version",
            "",
            "~version",
            Kind::Text,
            "Short for operator = \"version\".",
        ),
        row(
            "semver",
            "",
            "~semver",
            Kind::Text,
            "Short for operator = \"semver\".",
        ),
        row(
            "regexp",
            "",
            "~regexp",
            Kind::Text,
            "Short for operator = \"regexp\".",
        ),
        row(
            "set_contains",
            "",
            "~set_contains",
            Kind::Text,
            "Short for operator = \"set_contains\".",
        ),
        row(
            "set_contains_all",
            "",
            "~set_contains_all",
            Kind::Text,
            "Short for operator = \"set_contains_all\".",
        ),
        row(
            "set_contains_any",
            "",
            "~set_contains_any",
            Kind::Text,
            "Short for operator = \"set_contains_any\".",
        ),
        row(
            "weight",
            "",
            "Weight",
            Kind::Integer,
            "-100 to 100, 50 by default; below 0 keeps away.",
        ),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `spread`.
static SPREAD: Table = Table {
    title: "spread",
    label: None,
    label_optional: false,
    fields: &[
        row("attribute", "", "Attribute", Kind::Text, "The attribute."),
        row(
            "weight",
            "",
            "Weight",
            Kind::Integer,
            "1 to 100, 50 by default.",
        ),
        row(
            "target",
            "targets",
            "SpreadTarget",
            Kind::Blocks(&SPREAD_TARGET),
            "The share of one value.",
        ),
    ],
    finish: None,
};

/// The fields of `target`.
static SPREAD_TARGET: Table = Table {
    title: "target",
    label: Some("Value"),
    label_optional: true,
    fields: &[
        row(
            "value",
            "",
            "Value",
            Kind::Text,
            "The value, by default the name of the block.",
        ),
        row("percent", "", "Percent", Kind::Integer, "Its share."),
    ],
    finish: None,
};

/// The fields of `update`.
static UPDATE: Table = Table {
    title: "update",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "stagger",
            "",
            "Stagger",
            Kind::Duration,
            "Time between steps for jobs without deployments.",
        ),
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "Allocs replaced at a time.",
        ),
        row(
            "health_check",
            "",
            "HealthCheck",
            Kind::Text,
            "What health is judged by: checks, task_states or manual.",
        ),
        row(
            "min_healthy_time",
            "",
            "MinHealthyTime",
            Kind::Duration,
            "How long an alloc must be healthy to count.",
        ),
        row(
            "healthy_deadline",
            "",
            "HealthyDeadline",
            Kind::Duration,
            "By when an alloc must be healthy.",
        ),
        row(
            "progress_deadline",
            "",
            "ProgressDeadline",
            Kind::Duration,
            "By when the next alloc must be healthy.",
        ),
        row(
            "canary",
            "",
            "Canary",
            Kind::Integer,
            "Allocs of the new version to run beside the old ones first.",
        ),
        row(
            "auto_revert",
            "",
            "AutoRevert",
            Kind::Bool,
            "Go back to the last stable version on failure.",
        ),
        row(
            "auto_promote",
            "",
            "AutoPromote",
            Kind::Bool,
            "Promote canaries when they are healthy.",
        ),
    ],
    finish: None,
};

/// The fields of `restart`.
static RESTART: Table = Table {
    title: "restart",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "The time in which attempts are counted.",
        ),
        row(
            "attempts",
            "",
            "Attempts",
            Kind::Integer,
            "Restarts in an interval.",
        ),
        row(
            "delay",
            "",
            "Delay",
            Kind::Duration,
            "Time before a restart.",
        ),
        row(
            "mode",
            "",
            "Mode",
            Kind::Text,
            "What happens when the attempts are spent: fail or delay.",
        ),
        row(
            "render_templates",
            "",
            "RenderTemplates",
            Kind::Bool,
            "Render templates again before a restart.",
        ),
    ],
    finish: None,
};

/// The fields of `reschedule`.
static RESCHEDULE: Table = Table {
    title: "reschedule",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "attempts",
            "",
            "Attempts",
            Kind::Integer,
            "Replacements in an interval.",
        ),
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "The time in which attempts are counted.",
        ),
        row(
            "delay",
            "",
            "Delay",
            Kind::Duration,
            "Time before the first replacement.",
        ),
        row(
            "delay_function",
            "",
            "DelayFunction",
            Kind::Text,
            "constant, exponential or fibonacci.",
        ),
        row(
            "max_delay",
            "",
            "MaxDelay",
            Kind::Duration,
            "The longest delay.",
        ),
        row(
            "unlimited",
            "",
            "Unlimited",
            Kind::Bool,
            "No limit of attempts.",
        ),
    ],
    finish: None,
};

/// The fields of `migrate`.
static MIGRATE: Table = Table {
    title: "migrate",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "Allocs at a time.",
        ),
        row(
            "health_check",
            "",
            "HealthCheck",
            Kind::Text,
            "What health of a successor is judged by.",
        ),
        row(
            "min_healthy_time",
            "",
            "MinHealthyTime",
            Kind::Duration,
            "How long a successor must be healthy to count.",
        ),
        row(
            "healthy_deadline",
            "",
            "HealthyDeadline",
            Kind::Duration,
            "By when a successor must be healthy.",
        ),
    ],
    finish: None,
};

/// The fields of `ephemeral_disk`.
static DISK: Table = Table {
    title: "ephemeral_disk",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "sticky",
            "",
            "Sticky",
            Kind::Bool,
            "Place a successor on the same node and keep the data.",
        ),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Bool,
            "Take the data along to another node.",
        ),
        row(
            "size",
            "",
            "SizeMB",
            Kind::Integer,
            "Its size in MiB, 300 by default.",
        ),
    ],
    finish: None,
};

/// The fields of `periodic`.
static PERIODIC: Table = Table {
    title: "periodic",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "Off keeps the job without launching it.",
        ),
        row("cron", "", "Spec", Kind::Text, "The schedule."),
        row("crons", "", "Specs", Kind::Texts, "Several schedules."),
        row(
            "prohibit_overlap",
            "",
            "ProhibitOverlap",
            Kind::Bool,
            "Do not launch while the last one runs.",
        ),
        row(
            "time_zone",
            "",
            "TimeZone",
            Kind::Text,
            "The time zone of the schedule, UTC by default.",
        ),
    ],
    finish: None,
};

/// The fields of `parameterized`.
static PARAMETERIZED: Table = Table {
    title: "parameterized",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "payload",
            "",
            "Payload",
            Kind::Text,
            "optional, required or forbidden.",
        ),
        row(
            "meta_required",
            "",
            "MetaRequired",
            Kind::Texts,
            "Keys a dispatch must give.",
        ),
        row(
            "meta_optional",
            "",
            "MetaOptional",
            Kind::Texts,
            "Keys a dispatch may give.",
        ),
    ],
    finish: None,
};

/// The fields of `multiregion`.
static MULTIREGION: Table = Table {
    title: "multiregion",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "strategy",
            "",
            "Strategy",
            Kind::Block(&MULTIREGION_STRATEGY),
            "How.",
        ),
        row(
            "region",
            "regions",
            "Regions",
            Kind::Blocks(&MULTIREGION_REGION),
            "Where.",
        ),
    ],
    finish: None,
};

/// The fields of `strategy`.
static MULTIREGION_STRATEGY: Table = Table {
    title: "strategy",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "Regions at a time.",
        ),
        row(
            "on_failure",
            "",
            "OnFailure",
            Kind::Text,
            "What a failed region does to the others.",
        ),
    ],
    finish: None,
};

/// The fields of `region`.
static MULTIREGION_REGION: Table = Table {
    title: "region",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row("count", "", "Count", Kind::Integer, "Allocs there."),
        row(
            "datacenters",
            "",
            "Datacenters",
            Kind::Texts,
            "Datacenters there.",
        ),
        row("node_pool", "", "NodePool", Kind::Text, "Node pool there."),
        row("meta", "", "Meta", Kind::TextMap, "Meta there."),
    ],
    finish: None,
};

/// The fields of `network`.
static NETWORK: Table = Table {
    title: "network",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "mode",
            "",
            "Mode",
            Kind::Text,
            "host, bridge, none or cni/<name>; host by default.",
        ),
        row("device", "", "Device", Kind::Text, "The interface."),
        row("cidr", "", "CIDR", Kind::Text, "Its range."),
        row("ip", "", "IP", Kind::Text, "Its address."),
        row(
            "dns",
            "",
            "DNS",
            Kind::Block(&DNS),
            "Name resolution inside.",
        ),
        row("port", "ports", "~Ports", Kind::Blocks(&PORT), "A port."),
        row("hostname", "", "Hostname", Kind::Text, "Host name inside."),
        row(
            "mbits",
            "",
            "MBits",
            Kind::Integer,
            "Bandwidth; without effect.",
        ),
    ],
    finish: Some(finish_network),
};

/// The fields of `dns`.
static DNS: Table = Table {
    title: "dns",
    label: None,
    label_optional: false,
    fields: &[
        row("servers", "", "Servers", Kind::Texts, "Servers."),
        row("searches", "", "Searches", Kind::Texts, "Search domains."),
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
static PORT: Table = Table {
    title: "port",
    label: Some("Label"),
    label_optional: false,
    fields: &[
        row(
            "static",
            "",
            "Value",
            Kind::Integer,
            "Its number on the host; chosen freely when left out.",
        ),
        row(
            "to",
            "",
            "To",
            Kind::Integer,
            "Its number inside the network; -1 for the one on the host.",
        ),
        row(
            "host_network",
            "",
            "HostNetwork",
            Kind::Text,
            "The host network it is on.",
        ),
    ],
    finish: None,
};

/// The fields of `resources`.
static RESOURCES: Table = Table {
    title: "resources",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "cpu",
            "",
            "CPU",
            Kind::Integer,
            "CPU in MHz, 100 by default.",
        ),
        row(
            "cores",
            "",
            "Cores",
            Kind::Integer,
            "Whole cores instead of a share.",
        ),
        row(
            "memory",
            "",
            "MemoryMB",
            Kind::Integer,
            "Memory in MiB, 300 by default.",
        ),
        row(
            "memory_max",
            "",
            "MemoryMaxMB",
            Kind::Integer,
            "The most memory it may use when there is some to spare, in MiB.",
        ),
        row(
            "disk",
            "",
            "DiskMB",
            Kind::Integer,
            "Without effect; a group has ephemeral_disk.",
        ),
        row(
            "network",
            "networks",
            "Networks",
            Kind::Blocks(&NETWORK),
            "Its network and ports; a group has network.",
        ),
        row(
            "device",
            "devices",
            "Devices",
            Kind::Blocks(&DEVICE),
            "Devices.",
        ),
        row("iops", "", "IOPS", Kind::Integer, "Without effect."),
    ],
    finish: None,
};

/// The fields of `device`.
static DEVICE: Table = Table {
    title: "device",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row(
            "count",
            "",
            "Count",
            Kind::Integer,
            "How many, 1 by default.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil.",
        ),
    ],
    finish: None,
};

/// The fields of `lifecycle`.
static LIFECYCLE: Table = Table {
    title: "lifecycle",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "hook",
            "",
            "Hook",
            Kind::Text,
            "prestart, poststart or poststop.",
        ),
        row(
            "sidecar",
            "",
            "Sidecar",
            Kind::Bool,
            "It runs as long as the main tasks.",
        ),
    ],
    finish: None,
};

/// The fields of `logs`.
static LOGS: Table = Table {
    title: "logs",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "max_files",
            "",
            "MaxFiles",
            Kind::Integer,
            "Files kept, 10 by default.",
        ),
        row(
            "max_file_size",
            "",
            "MaxFileSizeMB",
            Kind::Integer,
            "Size of one in MiB, 10 by default.",
        ),
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "The opposite of disabled.",
        ),
        row(
            "disabled",
            "",
            "Disabled",
            Kind::Bool,
            "No logs are collected.",
        ),
    ],
    finish: None,
};

/// The fields of `artifact`.
static ARTIFACT: Table = Table {
    title: "artifact",
    label: None,
    label_optional: false,
    fields: &[
        row("source", "", "GetterSource", Kind::Text, "Where from."),
        row(
            "options",
            "",
            "GetterOptions",
            Kind::TextMap,
            "Options, as checksum.",
        ),
        row(
            "headers",
            "",
            "GetterHeaders",
            Kind::TextMap,
            "HTTP headers.",
        ),
        row("mode", "", "GetterMode", Kind::Text, "any, file or dir."),
        row(
            "destination",
            "",
            "RelativeDest",
            Kind::Text,
            "Where to, local/ by default.",
        ),
    ],
    finish: None,
};

/// The fields of `vault`.
static VAULT: Table = Table {
    title: "vault",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "policies",
            "",
            "Policies",
            Kind::Texts,
            "Policies of the token.",
        ),
        row(
            "namespace",
            "",
            "Namespace",
            Kind::Text,
            "The namespace in Vault.",
        ),
        row(
            "env",
            "",
            "Env",
            Kind::Bool,
            "Put the token into the environment.",
        ),
        row(
            "disable_file",
            "",
            "DisableFile",
            Kind::Bool,
            "Do not write the token to a file.",
        ),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What a new token does to the task: noop, signal or restart.",
        ),
        row(
            "change_signal",
            "",
            "ChangeSignal",
            Kind::Text,
            "The signal for change_mode = \"signal\".",
        ),
    ],
    finish: None,
};

/// The fields of `template`.
static TEMPLATE: Table = Table {
    title: "template",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "source",
            "",
            "SourcePath",
            Kind::Text,
            "A file to render from.",
        ),
        row("destination", "", "DestPath", Kind::Text, "Where to."),
        row(
            "data",
            "",
            "EmbeddedTmpl",
            Kind::Text,
            "The text to render.",
        ),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What a change does to the task: noop, signal, script or restart.",
        ),
        row(
            "change_script",
            "",
            "ChangeScript",
            Kind::Block(&CHANGE_SCRIPT),
            "The script for change_mode = \"script\".",
        ),
        row(
            "change_signal",
            "",
            "ChangeSignal",
            Kind::Text,
            "The signal for change_mode = \"signal\".",
        ),
        row(
            "splay",
            "",
            "Splay",
            Kind::Duration,
            "Random time before the change is told.",
        ),
        row(
            "perms",
            "",
            "Perms",
            Kind::Text,
            "Permissions of the file, 0644 by default.",
        ),
        row("uid", "", "Uid", Kind::Integer, "Owner of the file."),
        row("gid", "", "Gid", Kind::Integer, "Group of the file."),
        row(
            "left_delimiter",
            "",
            "LeftDelim",
            Kind::Text,
            "Left delimiter, {{ by default.",
        ),
        row(
            "right_delimiter",
            "",
            "RightDelim",
            Kind::Text,
            "Right delimiter, }} by default.",
        ),
        row(
            "env",
            "",
            "Envvars",
            Kind::Bool,
            "Read the file into the environment.",
        ),
        row(
            "vault_grace",
            "",
            "VaultGrace",
            Kind::Duration,
            "Without effect.",
        ),
        row(
            "wait",
            "",
            "Wait",
            Kind::Block(&WAIT),
            "How long changes are collected.",
        ),
        row(
            "error_on_missing_key",
            "",
            "ErrMissingKey",
            Kind::Bool,
            "A missing key is an error.",
        ),
    ],
    finish: None,
};

/// The fields of `change_script`.
static CHANGE_SCRIPT: Table = Table {
    title: "change_script",
    label: None,
    label_optional: false,
    fields: &[
        row("command", "", "Command", Kind::Text, "The program."),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long it may take.",
        ),
        row(
            "fail_on_error",
            "",
            "FailOnError",
            Kind::Bool,
            "Its failure ends the task.",
        ),
    ],
    finish: None,
};

/// The fields of `wait`.
static WAIT: Table = Table {
    title: "wait",
    label: None,
    label_optional: false,
    fields: &[
        row("min", "", "Min", Kind::Duration, "At least."),
        row("max", "", "Max", Kind::Duration, "At most."),
    ],
    finish: None,
};

/// The fields of `dispatch_payload`.
static DISPATCH_PAYLOAD: Table = Table {
    title: "dispatch_payload",
    label: None,
    label_optional: false,
    fields: &[row(
        "file",
        "",
        "File",
        Kind::Text,
        "File below the local directory of the task.",
    )],
    finish: None,
};

/// The fields of `identity`.
static IDENTITY: Table = Table {
    title: "identity",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "env",
            "",
            "Env",
            Kind::Bool,
            "Put the token into the environment.",
        ),
        row("file", "", "File", Kind::Bool, "Write the token to a file."),
    ],
    finish: None,
};

/// The fields of `csi_plugin`.
static CSI_PLUGIN: Table = Table {
    title: "csi_plugin",
    label: None,
    label_optional: false,
    fields: &[
        row("id", "", "ID", Kind::Text, "Its id."),
        row(
            "type",
            "",
            "Type",
            Kind::Text,
            "node, controller or monolith.",
        ),
        row(
            "mount_dir",
            "",
            "MountDir",
            Kind::Text,
            "Where its socket is.",
        ),
        row(
            "stage_publish_base_dir",
            "",
            "StagePublishBaseDir",
            Kind::Text,
            "Where volumes are staged.",
        ),
        row(
            "health_timeout",
            "",
            "HealthTimeout",
            Kind::Duration,
            "By when it must be healthy.",
        ),
    ],
    finish: None,
};

/// The fields of `volume`.
static VOLUME: Table = Table {
    title: "volume",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row("type", "", "Type", Kind::Text, "host or csi."),
        row("source", "", "Source", Kind::Text, "The volume."),
        row("read_only", "", "ReadOnly", Kind::Bool, "For reading only."),
        row(
            "access_mode",
            "",
            "AccessMode",
            Kind::Text,
            "CSI access mode.",
        ),
        row(
            "attachment_mode",
            "",
            "AttachmentMode",
            Kind::Text,
            "CSI attachment mode.",
        ),
        row(
            "mount_options",
            "",
            "MountOptions",
            Kind::Block(&MOUNT_OPTIONS),
            "How it is mounted.",
        ),
        row(
            "per_alloc",
            "",
            "PerAlloc",
            Kind::Bool,
            "Each alloc has its own.",
        ),
    ],
    finish: None,
};

/// The fields of `mount_options`.
static MOUNT_OPTIONS: Table = Table {
    title: "mount_options",
    label: None,
    label_optional: false,
    fields: &[
        row("fs_type", "", "FSType", Kind::Text, "File system."),
        row("mount_flags", "", "MountFlags", Kind::Texts, "Flags."),
    ],
    finish: None,
};

/// The fields of `volume_mount`.
static VOLUME_MOUNT: Table = Table {
    title: "volume_mount",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "volume",
            "",
            "Volume",
            Kind::Text,
            "The name of the volume in the group.",
        ),
        row(
            "destination",
            "",
            "Destination",
            Kind::Text,
            "Where, inside.",
        ),
        row("read_only", "", "ReadOnly", Kind::Bool, "For reading only."),
        row(
            "propagation_mode",
            "",
            "PropagationMode",
            Kind::Text,
            "private, host-to-task or bidirectional.",
        ),
    ],
    finish: None,
};

/// The fields of `scaling`.
static SCALING: Table = Table {
    title: "scaling",
    label: None,
    label_optional: false,
    fields: &[
        row("min", "", "Min", Kind::Integer, "The fewest allocs."),
        row("max", "", "Max", Kind::Integer, "The most allocs."),
        row(
            "policy",
            "",
            "Policy",
            Kind::Free,
            "Rules, read by an autoscaler.",
        ),
        row("enabled", "", "Enabled", Kind::Bool, "In force."),
        row("type", "", "Type", Kind::Text, "horizontal."),
    ],
    finish: Some(finish_scaling),
};

/// The fields of `scaling`.
static TASK_SCALING: Table = Table {
    title: "scaling",
    label: Some("Type"),
    label_optional: false,
    fields: &[
        row("min", "", "Min", Kind::Integer, "The least."),
        row("max", "", "Max", Kind::Integer, "The most."),
        row(
            "policy",
            "",
            "Policy",
            Kind::Free,
            "Rules, read by an autoscaler.",
        ),
        row("enabled", "", "Enabled", Kind::Bool, "In force."),
    ],
    finish: Some(finish_task_scaling),
};

/// The fields of `consul`.
static CONSUL: Table = Table {
    title: "consul",
    label: None,
    label_optional: false,
    fields: &[row(
        "namespace",
        "",
        "Namespace",
        Kind::Text,
        "Its namespace.",
    )],
    finish: None,
};

/// The fields of `service`.
static SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "Its name, made of job, group and task by default.",
        ),
        row("tags", "", "Tags", Kind::Texts, "Tags."),
        row(
            "canary_tags",
            "",
            "CanaryTags",
            Kind::Texts,
            "Tags while its alloc is a canary.",
        ),
        row(
            "enable_tag_override",
            "",
            "EnableTagOverride",
            Kind::Bool,
            "Consul keeps tags changed there.",
        ),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "A label or number of a port.",
        ),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "auto, host, driver or alloc.",
        ),
        row("address", "", "Address", Kind::Text, "A set address."),
        row(
            "check",
            "checks",
            "Checks",
            Kind::Blocks(&CHECK),
            "A check.",
        ),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "What failing checks do to the task.",
        ),
        row(
            "connect",
            "",
            "Connect",
            Kind::Block(&CONNECT),
            "Consul Connect.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
        row(
            "canary_meta",
            "",
            "CanaryMeta",
            Kind::TextMap,
            "The pairs while its alloc is a canary.",
        ),
        row(
            "tagged_addresses",
            "",
            "TaggedAddresses",
            Kind::TextMap,
            "Addresses by tag.",
        ),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task of a service of a group.",
        ),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What checks mean to a deployment.",
        ),
        row("provider", "", "Provider", Kind::Text, "consul or nomad."),
    ],
    finish: None,
};

/// The fields of `check`.
static CHECK: Table = Table {
    title: "check",
    label: None,
    label_optional: false,
    fields: &[
        row("name", "", "Name", Kind::Text, "Its name."),
        row("type", "", "Type", Kind::Text, "http, tcp, grpc or script."),
        row("command", "", "Command", Kind::Text, "The script."),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row("path", "", "Path", Kind::Text, "The path of an http check."),
        row("protocol", "", "Protocol", Kind::Text, "http or https."),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "A label or number of a port.",
        ),
        row(
            "expose",
            "",
            "Expose",
            Kind::Bool,
            "Expose the path through the sidecar.",
        ),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "As the one of the service.",
        ),
        row(
            "advertise",
            "",
            "Advertise",
            Kind::Text,
            "An address to advertise.",
        ),
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "Time between checks.",
        ),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long one may take.",
        ),
        row(
            "initial_status",
            "",
            "InitialStatus",
            Kind::Text,
            "The status before the first.",
        ),
        row(
            "tls_server_name",
            "",
            "TLSServerName",
            Kind::Text,
            "Server name for TLS.",
        ),
        row(
            "tls_skip_verify",
            "",
            "TLSSkipVerify",
            Kind::Bool,
            "Do not verify the certificate.",
        ),
        row("header", "", "Header", Kind::TextsMap, "HTTP headers."),
        row("method", "", "Method", Kind::Text, "HTTP method."),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "What its failures do to the task.",
        ),
        row(
            "grpc_service",
            "",
            "GRPCService",
            Kind::Text,
            "gRPC service.",
        ),
        row(
            "grpc_use_tls",
            "",
            "GRPCUseTLS",
            Kind::Bool,
            "gRPC over TLS.",
        ),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task of a check of a group.",
        ),
        row(
            "success_before_passing",
            "",
            "SuccessBeforePassing",
            Kind::Integer,
            "Successes before it counts as passing.",
        ),
        row(
            "failures_before_critical",
            "",
            "FailuresBeforeCritical",
            Kind::Integer,
            "Failures before it counts as critical.",
        ),
        row("body", "", "Body", Kind::Text, "HTTP body."),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What it means to a deployment.",
        ),
    ],
    finish: None,
};

/// The fields of `check_restart`.
static CHECK_RESTART: Table = Table {
    title: "check_restart",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "limit",
            "",
            "Limit",
            Kind::Integer,
            "Failures in a row before a restart.",
        ),
        row(
            "grace",
            "",
            "Grace",
            Kind::Duration,
            "Time after a start in which failures do not count.",
        ),
        row(
            "ignore_warnings",
            "",
            "IgnoreWarnings",
            Kind::Bool,
            "A warning is no failure.",
        ),
    ],
    finish: None,
};

/// The fields of `connect`.
static CONNECT: Table = Table {
    title: "connect",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "native",
            "",
            "Native",
            Kind::Bool,
            "The task speaks Connect itself.",
        ),
        row(
            "gateway",
            "",
            "Gateway",
            Kind::Block(&GATEWAY),
            "It is a gateway.",
        ),
        row(
            "sidecar_service",
            "",
            "SidecarService",
            Kind::Block(&SIDECAR_SERVICE),
            "It has a sidecar.",
        ),
        row(
            "sidecar_task",
            "",
            "SidecarTask",
            Kind::Block(&SIDECAR_TASK),
            "The task of the sidecar.",
        ),
    ],
    finish: None,
};

/// The fields of `sidecar_service`.
static SIDECAR_SERVICE: Table = Table {
    title: "sidecar_service",
    label: None,
    label_optional: false,
    fields: &[
        row("tags", "", "Tags", Kind::Texts, "Tags."),
        row("port", "", "Port", Kind::Text, "Its port."),
        row("proxy", "", "Proxy", Kind::Block(&PROXY), "Its proxy."),
        row(
            "disable_default_tcp_check",
            "",
            "DisableDefaultTCPCheck",
            Kind::Bool,
            "No TCP check of its own.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
    ],
    finish: None,
};

/// The fields of `sidecar_task`.
static SIDECAR_TASK: Table = Table {
    title: "sidecar_task",
    label: None,
    label_optional: false,
    fields: &[
        row("name", "", "Name", Kind::Text, "Its name."),
        row("driver", "", "Driver", Kind::Text, "What runs it."),
        row("user", "", "User", Kind::Text, "Whom it runs as."),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told.",
        ),
        row("env", "", "Env", Kind::TextMap, "Its environment."),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What it may use.",
        ),
        row("meta", "", "Meta", Kind::TextMap, "Free key-value pairs."),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "Time between the stop signal and the kill.",
        ),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "Its log files.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "Time between deregistering and stopping.",
        ),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The stop signal.",
        ),
    ],
    finish: None,
};

/// The fields of `proxy`.
static PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "local_service_address",
            "",
            "LocalServiceAddress",
            Kind::Text,
            "Where the service listens.",
        ),
        row(
            "local_service_port",
            "",
            "LocalServicePort",
            Kind::Integer,
            "Its port.",
        ),
        row(
            "expose",
            "",
            "Expose",
            Kind::Block(&EXPOSE),
            "Paths outside of the mesh.",
        ),
        row(
            "upstreams",
            "",
            "Upstreams",
            Kind::Blocks(&UPSTREAM),
            "A service that it reaches.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the proxy is told.",
        ),
    ],
    finish: None,
};

/// The fields of `expose`.
static EXPOSE: Table = Table {
    title: "expose",
    label: None,
    label_optional: false,
    fields: &[row(
        "path",
        "paths",
        "Paths",
        Kind::Blocks(&EXPOSE_PATH),
        "A path.",
    )],
    finish: None,
};

/// The fields of `path`.
static EXPOSE_PATH: Table = Table {
    title: "path",
    label: None,
    label_optional: false,
    fields: &[
        row("path", "", "Path", Kind::Text, "The path."),
        row("protocol", "", "Protocol", Kind::Text, "http or http2."),
        row(
            "local_path_port",
            "",
            "LocalPathPort",
            Kind::Integer,
            "The port of the service.",
        ),
        row(
            "listener_port",
            "",
            "ListenerPort",
            Kind::Text,
            "The port it is reached at.",
        ),
    ],
    finish: None,
};

/// The fields of `upstreams`.
static UPSTREAM: Table = Table {
    title: "upstreams",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "destination_name",
            "",
            "DestinationName",
            Kind::Text,
            "Its name.",
        ),
        row(
            "destination_namespace",
            "",
            "DestinationNamespace",
            Kind::Text,
            "Its namespace.",
        ),
        row(
            "destination_peer",
            "",
            "DestinationPeer",
            Kind::Text,
            "Its peer.",
        ),
        row(
            "destination_type",
            "",
            "DestinationType",
            Kind::Text,
            "service or prepared_query.",
        ),
        row(
            "local_bind_port",
            "",
            "LocalBindPort",
            Kind::Integer,
            "The port it has locally.",
        ),
        row(
            "datacenter",
            "",
            "Datacenter",
            Kind::Text,
            "Its datacenter.",
        ),
        row(
            "local_bind_address",
            "",
            "LocalBindAddress",
            Kind::Text,
            "The address it has locally.",
        ),
        row(
            "local_bind_socket_path",
            "",
            "LocalBindSocketPath",
            Kind::Text,
            "Or the socket.",
        ),
        row(
            "local_bind_socket_mode",
            "",
            "LocalBindSocketMode",
            Kind::Text,
            "The mode of the socket.",
        ),
        row(
            "mesh_gateway",
            "",
            "MeshGateway",
            Kind::Block(&MESH_GATEWAY),
            "Gateway between datacenters.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the proxy is told.",
        ),
    ],
    finish: None,
};

/// The fields of `mesh_gateway`.
static MESH_GATEWAY: Table = Table {
    title: "mesh_gateway",
    label: None,
    label_optional: false,
    fields: &[row(
        "mode",
        "",
        "Mode",
        Kind::Text,
        "local, remote or none.",
    )],
    finish: None,
};

/// The fields of `gateway`.
static GATEWAY: Table = Table {
    title: "gateway",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "proxy",
            "",
            "Proxy",
            Kind::Block(&GATEWAY_PROXY),
            "Its proxy.",
        ),
        row(
            "ingress",
            "",
            "Ingress",
            Kind::Block(&INGRESS),
            "From outside in.",
        ),
        row(
            "terminating",
            "",
            "Terminating",
            Kind::Block(&TERMINATING),
            "From inside out.",
        ),
        row(
            "mesh",
            "",
            "Mesh",
            Kind::Block(&MESH),
            "Between datacenters.",
        ),
    ],
    finish: None,
};

/// The fields of `proxy`.
static GATEWAY_PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    fields: &[
        row(
            "connect_timeout",
            "",
            "ConnectTimeout",
            Kind::Duration,
            "How long a connection may take.",
        ),
        row(
            "envoy_gateway_bind_tagged_addresses",
            "",
            "EnvoyGatewayBindTaggedAddresses",
            Kind::Bool,
            "Bind the tagged addresses.",
        ),
        row(
            "envoy_gateway_bind_addresses",
            "",
            "EnvoyGatewayBindAddresses",
            Kind::NamedBlocks(&BIND_ADDRESS),
            "An address to bind.",
        ),
        row(
            "envoy_gateway_no_default_bind",
            "",
            "EnvoyGatewayNoDefaultBind",
            Kind::Bool,
            "Bind nothing by default.",
        ),
        row(
            "envoy_dns_discovery_type",
            "",
            "EnvoyDNSDiscoveryType",
            Kind::Text,
            "How names are resolved.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the proxy is told.",
        ),
    ],
    finish: None,
};

/// The fields of `envoy_gateway_bind_addresses`.
static BIND_ADDRESS: Table = Table {
    title: "envoy_gateway_bind_addresses",
    label: Some("Name"),
    label_optional: false,
    fields: &[
        row("address", "", "Address", Kind::Text, "The address."),
        row("port", "", "Port", Kind::Integer, "The port."),
    ],
    finish: None,
};

/// The fields of `ingress`.
static INGRESS: Table = Table {
    title: "ingress",
    label: None,
    label_optional: false,
    fields: &[
        row("tls", "", "TLS", Kind::Block(&GATEWAY_TLS), "TLS."),
        row(
            "listener",
            "listeners",
            "Listeners",
            Kind::Blocks(&LISTENER),
            "Where it listens.",
        ),
    ],
    finish: None,
};

/// The fields of `tls`.
static GATEWAY_TLS: Table = Table {
    title: "tls",
    label: None,
    label_optional: false,
    fields: &[
        row("enabled", "", "Enabled", Kind::Bool, "On."),
        row(
            "tls_min_version",
            "",
            "TLSMinVersion",
            Kind::Text,
            "Oldest version.",
        ),
        row(
            "tls_max_version",
            "",
            "TLSMaxVersion",
            Kind::Text,
            "Newest version.",
        ),
        row(
            "cipher_suites",
            "",
            "CipherSuites",
            Kind::Texts,
            "Cipher suites.",
        ),
    ],
    finish: None,
};

/// The fields of `listener`.
static LISTENER: Table = Table {
    title: "listener",
    label: None,
    label_optional: false,
    fields: &[
        row("port", "", "Port", Kind::Integer, "Its port."),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "tcp, http, http2 or grpc.",
        ),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&INGRESS_SERVICE),
            "A service behind it.",
        ),
    ],
    finish: None,
};

/// The fields of `service`.
static INGRESS_SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    fields: &[
        row("name", "", "Name", Kind::Text, "Its name."),
        row("hosts", "", "Hosts", Kind::Texts, "Host names."),
    ],
    finish: None,
};

/// The fields of `terminating`.
static TERMINATING: Table = Table {
    title: "terminating",
    label: None,
    label_optional: false,
    fields: &[row(
        "service",
        "services",
        "Services",
        Kind::Blocks(&LINKED_SERVICE),
        "A service outside.",
    )],
    finish: None,
};

/// The fields of `service`.
static LINKED_SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    fields: &[
        row("name", "", "Name", Kind::Text, "Its name."),
        row(
            "ca_file",
            "",
            "CAFile",
            Kind::Text,
            "Certificate authority.",
        ),
        row("cert_file", "", "CertFile", Kind::Text, "Certificate."),
        row("key_file", "", "KeyFile", Kind::Text, "Key."),
        row("sni", "", "SNI", Kind::Text, "Server name for TLS."),
    ],
    finish: None,
};

/// The fields of `mesh`.
static MESH: Table = Table {
    title: "mesh",
    label: None,
    label_optional: false,
    fields: &[],
    finish: None,
};

/// Takes a pseudo field out.
fn take(object: &mut Map<String, Json>, name: &str) -> Option<Json> {
    object.remove(name).filter(|value| !value.is_null())
}

/// Vault is inherited by the tasks.
fn finish_job(job: &mut Map<String, Json>) {
    if let Some(vault) = take(job, "~Vault")
        && let Some(Json::Array(groups)) = job.get_mut("TaskGroups")
    {
        for group in groups {
            inherit_vault(group, &vault);
        }
    }
}

fn finish_group(group: &mut Map<String, Json>) {
    if let Some(vault) = take(group, "~Vault") {
        let mut whole = Json::Object(std::mem::take(group));
        inherit_vault(&mut whole, &vault);
        if let Json::Object(whole) = whole {
            *group = whole;
        }
    }
}

fn inherit_vault(group: &mut Json, vault: &Json) {
    if let Some(Json::Array(tasks)) = group.get_mut("Tasks") {
        for task in tasks {
            if task["Vault"].is_null() {
                task["Vault"] = vault.clone();
            }
        }
    }
}

/// The short forms of constraints: `regexp = "x"` for `operator = "regexp"`, `value = "x"`.
fn finish_constraint(constraint: &mut Map<String, Json>) {
    for operand in [
        "version",
        "semver",
        "regexp",
        "set_contains",
        "set_contains_all",
        "set_contains_any",
    ] {
        if let Some(value) = take(constraint, &format!("~{operand}"))
            && value != ""
        {
            constraint.insert("Operand".to_owned(), operand.into());
            constraint.insert("RTarget".to_owned(), value);
        }
    }
    if let Some(Json::Bool(distinct)) = take(constraint, "~distinct_hosts") {
        constraint.insert("Operand".to_owned(), "distinct_hosts".into());
        constraint.insert("RTarget".to_owned(), distinct.to_string().into());
    }
    if let Some(attribute) = take(constraint, "~distinct_property")
        && attribute != ""
    {
        constraint.insert("Operand".to_owned(), "distinct_property".into());
        constraint.insert("LTarget".to_owned(), attribute);
    }
    let operand = constraint.get("Operand").and_then(Json::as_str);
    if operand.unwrap_or_default().is_empty() {
        constraint.insert("Operand".to_owned(), "=".into());
    }
}

/// Ports with a number and ports without are two lists.
fn finish_network(network: &mut Map<String, Json>) {
    if let Some(Json::Array(ports)) = take(network, "~Ports") {
        let is_set = |port: &Json| port["Value"].as_i64().unwrap_or(0) > 0;
        let (reserved, dynamic): (Vec<Json>, Vec<Json>) = ports.into_iter().partition(is_set);
        network.insert("ReservedPorts".to_owned(), Json::Array(reserved));
        network.insert("DynamicPorts".to_owned(), Json::Array(dynamic));
    }
}

fn finish_scaling(scaling: &mut Map<String, Json>) {
    scaling.entry("Type").or_insert_with(|| "horizontal".into());
}

/// `cpu` and `mem` are short for the names of the policies.
fn finish_task_scaling(scaling: &mut Map<String, Json>) {
    let short = scaling.get("Type").and_then(Json::as_str);
    let name = match short.map(str::to_ascii_lowercase).as_deref() {
        Some("cpu") => "vertical_cpu",
        Some("mem") => "vertical_mem",
        _ => return,
    };
    scaling.insert("Type".to_owned(), name.into());
}
