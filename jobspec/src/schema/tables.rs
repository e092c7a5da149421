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
        default: "",
        unit: "",
        values: &[],
    }
}

/// The fields of `job`.
pub static JOB: Table = Table {
    title: "job",
    label: Some("ID"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "id",
            "",
            "ID",
            Kind::Text,
            "The id of the job, unique in its namespace.").default("the label"),
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "The name that is shown to people.").default("the id"),
        row(
            "region",
            "",
            "Region",
            Kind::Text,
            "The region that the job runs in.").default("global"),
        row(
            "namespace",
            "",
            "Namespace",
            Kind::Text,
            "The namespace that the job belongs to.").default("default"),
        row(
            "type",
            "",
            "Type",
            Kind::Text,
            "How the job lives: a service runs until it is stopped, a batch job until its tasks end; system and sysbatch do the same on every node that fits.").default("service").values(&["service", "batch", "system", "sysbatch"]),
        row(
            "priority",
            "",
            "Priority",
            Kind::Integer,
            "From 1 to 100. Jobs of higher priority are placed first.").default("50"),
        row(
            "all_at_once",
            "",
            "AllAtOnce",
            Kind::Bool,
            "Place all allocs of an evaluation or none.").default("false"),
        row(
            "datacenters",
            "",
            "Datacenters",
            Kind::Texts,
            "The datacenters that the job may run in; a name may hold * as a wildcard.").default("[\"*\"]"),
        row(
            "node_pool",
            "",
            "NodePool",
            Kind::Text,
            "The pool of nodes that the job may run on.").default("default"),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil to run any of the job."),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil to be preferred."),
        row(
            "group",
            "groups",
            "TaskGroups",
            Kind::Blocks(&GROUP),
            "Tasks that run together on one node. At least one is needed."),
        row(
            "update",
            "",
            "Update",
            Kind::Block(&UPDATE),
            "How new versions are rolled out. Groups inherit it, and may set parts of it anew."),
        row(
            "multiregion",
            "",
            "Multiregion",
            Kind::Block(&MULTIREGION),
            "Roll-out over several regions."),
        row(
            "spread",
            "spreads",
            "Spreads",
            Kind::Blocks(&SPREAD),
            "How allocs are spread over the values of an attribute."),
        row(
            "periodic",
            "",
            "Periodic",
            Kind::Block(&PERIODIC),
            "The job is launched at set times."),
        row(
            "parameterized",
            "",
            "ParameterizedJob",
            Kind::Block(&PARAMETERIZED),
            "The job is a template that runs when it is dispatched."),
        row(
            "reschedule",
            "",
            "Reschedule",
            Kind::Block(&RESCHEDULE),
            "When failed allocs are replaced. Groups inherit it, and may set parts of it anew."),
        row(
            "migrate",
            "",
            "Migrate",
            Kind::Block(&MIGRATE),
            "How allocs leave a node that is drained. Groups inherit it, and may set parts of it anew."),
        row("meta", "", "Meta", Kind::TextMap, "Key-value pairs of your own. Tasks see them as NOMAD_META_<key>."),
        row(
            "consul_token",
            "",
            "ConsulToken",
            Kind::Text,
            "Proves at registration that the job may use Consul. It is not stored."),
        row(
            "vault_token",
            "",
            "VaultToken",
            Kind::Text,
            "Proves at registration that the job may use Vault. It is not stored."),
        row(
            "task",
            "tasks",
            "~Tasks",
            Kind::Blocks(&TASK),
            "A task without a group: it makes a group of the same name."),
        row(
            "vault",
            "",
            "~Vault",
            Kind::Block(&VAULT),
            "Access to Vault, for every task that says nothing of its own."),
    ],
    finish: Some(finish_job),
};

/// The fields of `group`.
static GROUP: Table = Table {
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

/// The fields of `task`.
static TASK: Table = Table {
    title: "task",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "driver",
            "",
            "Driver",
            Kind::Text,
            "What runs the task, as docker or raw_exec. Needed.",
        ),
        row(
            "user",
            "",
            "User",
            Kind::Text,
            "The user that the task runs as; by default the driver decides.",
        ),
        row(
            "lifecycle",
            "",
            "Lifecycle",
            Kind::Block(&LIFECYCLE),
            "When the task runs relative to the main tasks. Without it, it is a main task.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told; each driver has arguments of its own.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil to run the task.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil to be preferred.",
        ),
        row(
            "env",
            "",
            "Env",
            Kind::TextMap,
            "Environment variables of the task.",
        ),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&SERVICE),
            "A service that is announced while the task runs.",
        ),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What the task may use, and what is reserved for it.",
        ),
        row(
            "restart",
            "",
            "RestartPolicy",
            Kind::Block(&RESTART),
            "When the task is started again; what is left out is as in the group.",
        )
        .default("the group's"),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs of your own, over those of the group.",
        ),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "How long the task has between its stop signal and the kill.",
        )
        .default("5s"),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "How much of the task's output is kept.",
        ),
        row(
            "artifact",
            "artifacts",
            "Artifacts",
            Kind::Blocks(&ARTIFACT),
            "A file or archive that is fetched before the task starts.",
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
            "A file that is rendered before the task starts.",
        ),
        row(
            "dispatch_payload",
            "",
            "DispatchPayload",
            Kind::Block(&DISPATCH_PAYLOAD),
            "Where the payload of a dispatched job goes.",
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
            "When this task ends, the others of its group are stopped.",
        )
        .default("false"),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "How long to wait after services are deregistered before the task is stopped.",
        )
        .default("0s"),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The signal that asks the task to stop.",
        )
        .default("the driver's"),
        row(
            "kind",
            "",
            "Kind",
            Kind::Text,
            "Set for tasks that are added automatically, as connect-proxy:<service>.",
        ),
        row(
            "scaling",
            "scalings",
            "ScalingPolicies",
            Kind::Blocks(&TASK_SCALING),
            "Limits and rules for vertical autoscaling.",
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
            "The task is a CSI plugin.",
        ),
    ],
    finish: None,
};

/// The fields of `constraint`.
static CONSTRAINT: Table = Table {
    title: "constraint",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name} or ${meta.rack}."),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains, set_contains_all, set_contains_any, is_set, is_not_set, distinct_hosts or distinct_property.").default("="),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What the attribute is compared with."),
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
            "No two allocs of the job, or of the group, on one node.").default("false"),
        row(
            "distinct_property",
            "",
            "~distinct_property",
            Kind::Text,
            "So many allocs as value says, 1 by default, for each value of this attribute."),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `affinity`.
static AFFINITY: Table = Table {
    title: "affinity",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name} or ${meta.rack}."),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains_all or set_contains_any.").default("="),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What the attribute is compared with."),
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
            "From -100 to 100, but not 0. Below 0 keeps allocs away from such nodes.").default("50"),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `spread`.
static SPREAD: Table = Table {
    title: "spread",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "Attribute",
            Kind::Text,
            "The attribute over whose values allocs are spread, as ${node.datacenter}.",
        ),
        row(
            "weight",
            "",
            "Weight",
            Kind::Integer,
            "From 1 to 100: how much this spread counts beside others and affinities.",
        )
        .default("50"),
        row(
            "target",
            "targets",
            "SpreadTarget",
            Kind::Blocks(&SPREAD_TARGET),
            "The share of one value; without any, all values get the same.",
        ),
    ],
    finish: None,
};

/// The fields of `target`.
static SPREAD_TARGET: Table = Table {
    title: "target",
    label: Some("Value"),
    label_optional: true,
    restore: None,
    fields: &[
        row(
            "value",
            "",
            "Value",
            Kind::Text,
            "The value of the attribute.",
        )
        .default("the label"),
        row(
            "percent",
            "",
            "Percent",
            Kind::Integer,
            "Its share of the allocs.",
        )
        .default("0")
        .unit("%"),
    ],
    finish: None,
};

/// The fields of `update`.
static UPDATE: Table = Table {
    title: "update",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "stagger",
            "",
            "Stagger",
            Kind::Duration,
            "Time between steps, for system jobs, which have no deployments.").default("30s"),
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "How many allocs are replaced at a time; 0 replaces all at once, without a deployment.").default("1"),
        row(
            "health_check",
            "",
            "HealthCheck",
            Kind::Text,
            "What the health of an alloc is judged by: its checks, its tasks' states, or somebody.").default("checks").values(&["checks", "task_states", "manual"]),
        row(
            "min_healthy_time",
            "",
            "MinHealthyTime",
            Kind::Duration,
            "How long an alloc must be healthy to count as healthy.").default("10s"),
        row(
            "healthy_deadline",
            "",
            "HealthyDeadline",
            Kind::Duration,
            "By when, from its start, an alloc must be healthy.").default("5m"),
        row(
            "progress_deadline",
            "",
            "ProgressDeadline",
            Kind::Duration,
            "By when the next alloc must be healthy; 0 fails the deployment on the first that is not.").default("10m"),
        row(
            "canary",
            "",
            "Canary",
            Kind::Integer,
            "How many allocs of the new version first run beside the old ones, until they are promoted.").default("0"),
        row(
            "auto_revert",
            "",
            "AutoRevert",
            Kind::Bool,
            "Go back to the last stable version when the deployment fails.").default("false"),
        row(
            "auto_promote",
            "",
            "AutoPromote",
            Kind::Bool,
            "Promote the canaries as soon as all are healthy.").default("false"),
    ],
    finish: None,
};

/// The fields of `restart`.
static RESTART: Table = Table {
    title: "restart",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "The time in which attempts are counted.").default("30m (batch: 24h)"),
        row(
            "attempts",
            "",
            "Attempts",
            Kind::Integer,
            "How many restarts there may be in an interval.").default("2 (batch: 3)"),
        row(
            "delay",
            "",
            "Delay",
            Kind::Duration,
            "How long to wait before a restart; up to a quarter more is added at random.").default("15s"),
        row(
            "mode",
            "",
            "Mode",
            Kind::Text,
            "What happens when the attempts are spent: the task fails, or waits for the next interval.").default("fail").values(&["fail", "delay"]),
        row(
            "render_templates",
            "",
            "RenderTemplates",
            Kind::Bool,
            "Render the templates again before each restart.").default("false"),
    ],
    finish: None,
};

/// The fields of `reschedule`.
static RESCHEDULE: Table = Table {
    title: "reschedule",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attempts",
            "",
            "Attempts",
            Kind::Integer,
            "How many replacements there may be in an interval.",
        )
        .default("0 (batch: 1)"),
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "The time in which attempts are counted.",
        )
        .default("0s (batch: 24h)"),
        row(
            "delay",
            "",
            "Delay",
            Kind::Duration,
            "How long to wait before the first replacement.",
        )
        .default("30s (batch: 5s)"),
        row(
            "delay_function",
            "",
            "DelayFunction",
            Kind::Text,
            "How the delay grows from one replacement to the next.",
        )
        .default("exponential (batch: constant)")
        .values(&["constant", "exponential", "fibonacci"]),
        row(
            "max_delay",
            "",
            "MaxDelay",
            Kind::Duration,
            "The longest delay.",
        )
        .default("1h (batch: 0s)"),
        row(
            "unlimited",
            "",
            "Unlimited",
            Kind::Bool,
            "Replace failed allocs without a limit of attempts.",
        )
        .default("true (batch: false)"),
    ],
    finish: None,
};

/// The fields of `migrate`.
static MIGRATE: Table = Table {
    title: "migrate",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "How many allocs leave at a time.",
        )
        .default("1"),
        row(
            "health_check",
            "",
            "HealthCheck",
            Kind::Text,
            "What the health of a successor is judged by.",
        )
        .default("checks")
        .values(&["checks", "task_states"]),
        row(
            "min_healthy_time",
            "",
            "MinHealthyTime",
            Kind::Duration,
            "How long a successor must be healthy before the next alloc leaves.",
        )
        .default("10s"),
        row(
            "healthy_deadline",
            "",
            "HealthyDeadline",
            Kind::Duration,
            "By when a successor must be healthy.",
        )
        .default("5m"),
    ],
    finish: None,
};

/// The fields of `ephemeral_disk`.
static DISK: Table = Table {
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

/// The fields of `periodic`.
static PERIODIC: Table = Table {
    title: "periodic",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "Off keeps the job without launching it.",
        )
        .default("true"),
        row(
            "cron",
            "",
            "Spec",
            Kind::Text,
            "When to launch, as cron has it: */15 * * * * * or @daily.",
        ),
        row("crons", "", "Specs", Kind::Texts, "Several schedules."),
        row(
            "prohibit_overlap",
            "",
            "ProhibitOverlap",
            Kind::Bool,
            "Do not launch while the last launch still runs.",
        )
        .default("false"),
        row(
            "time_zone",
            "",
            "TimeZone",
            Kind::Text,
            "The time zone of the schedule, as Europe/Berlin.",
        )
        .default("UTC"),
    ],
    finish: None,
};

/// The fields of `parameterized`.
static PARAMETERIZED: Table = Table {
    title: "parameterized",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "payload",
            "",
            "Payload",
            Kind::Text,
            "Whether a dispatch has a payload.",
        )
        .default("optional")
        .values(&["optional", "required", "forbidden"]),
        row(
            "meta_required",
            "",
            "MetaRequired",
            Kind::Texts,
            "Keys of meta that a dispatch must give.",
        ),
        row(
            "meta_optional",
            "",
            "MetaOptional",
            Kind::Texts,
            "Keys of meta that a dispatch may give.",
        ),
    ],
    finish: None,
};

/// The fields of `multiregion`.
static MULTIREGION: Table = Table {
    title: "multiregion",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "strategy",
            "",
            "Strategy",
            Kind::Block(&MULTIREGION_STRATEGY),
            "How the roll-out goes from region to region.",
        ),
        row(
            "region",
            "regions",
            "Regions",
            Kind::Blocks(&MULTIREGION_REGION),
            "One region. At least one is needed.",
        ),
    ],
    finish: None,
};

/// The fields of `strategy`.
static MULTIREGION_STRATEGY: Table = Table {
    title: "strategy",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "max_parallel",
            "",
            "MaxParallel",
            Kind::Integer,
            "How many regions are updated at a time; 0 means all.",
        )
        .default("0"),
        row(
            "on_failure",
            "",
            "OnFailure",
            Kind::Text,
            "What a failed region does to the others; by default only those that come later fail.",
        )
        .values(&["fail_all", "fail_local"]),
    ],
    finish: None,
};

/// The fields of `region`.
static MULTIREGION_REGION: Table = Table {
    title: "region",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "count",
            "",
            "Count",
            Kind::Integer,
            "How many allocs groups without a count run there.",
        )
        .default("1"),
        row(
            "datacenters",
            "",
            "Datacenters",
            Kind::Texts,
            "The datacenters there.",
        ),
        row(
            "node_pool",
            "",
            "NodePool",
            Kind::Text,
            "The node pool there.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs there, over those of the job.",
        ),
    ],
    finish: None,
};

/// The fields of `network`.
static NETWORK: Table = Table {
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
static DNS: Table = Table {
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
static PORT: Table = Table {
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

/// The fields of `resources`.
static RESOURCES: Table = Table {
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
static DEVICE: Table = Table {
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

/// The fields of `lifecycle`.
static LIFECYCLE: Table = Table {
    title: "lifecycle",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "hook",
            "",
            "Hook",
            Kind::Text,
            "When the task starts: before the main tasks, after they have started, or after they have ended.").values(&["prestart", "poststart", "poststop"]),
        row(
            "sidecar",
            "",
            "Sidecar",
            Kind::Bool,
            "The task runs as long as the main tasks, and is started again if it ends.").default("false"),
    ],
    finish: None,
};

/// The fields of `logs`.
static LOGS: Table = Table {
    title: "logs",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "max_files",
            "",
            "MaxFiles",
            Kind::Integer,
            "How many log files are kept, for each of stdout and stderr.",
        )
        .default("10"),
        row(
            "max_file_size",
            "",
            "MaxFileSizeMB",
            Kind::Integer,
            "How large a file grows before the next is begun.",
        )
        .default("10")
        .unit("MiB"),
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "The opposite of disabled, of before 1.6.",
        )
        .default("true"),
        row("disabled", "", "Disabled", Kind::Bool, "Collect no output.").default("false"),
    ],
    finish: None,
};

/// The fields of `artifact`.
static ARTIFACT: Table = Table {
    title: "artifact",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("source", "", "GetterSource", Kind::Text, "Where to fetch from: a URL, also with git::, s3:: and their like. Needed."),
        row(
            "options",
            "",
            "GetterOptions",
            Kind::TextMap,
            "Options of the fetch, as checksum = \"sha256:…\"."),
        row(
            "headers",
            "",
            "GetterHeaders",
            Kind::TextMap,
            "HTTP headers of the request."),
        row("mode", "", "GetterMode", Kind::Text, "What comes: file keeps it as one file, dir expands archives, any decides by what it is.").default("any").values(&["any", "file", "dir"]),
        row(
            "destination",
            "",
            "RelativeDest",
            Kind::Text,
            "Where it goes, relative to the task's directory.").default("local/"),
    ],
    finish: None,
};

/// The fields of `vault`.
static VAULT: Table = Table {
    title: "vault",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "policies",
            "",
            "Policies",
            Kind::Texts,
            "Policies of the task's token.",
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
            "Put the token into the environment, as VAULT_TOKEN.",
        )
        .default("true"),
        row(
            "disable_file",
            "",
            "DisableFile",
            Kind::Bool,
            "Do not write the token to secrets/vault_token.",
        )
        .default("false"),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What happens to the task when the token is a new one.",
        )
        .default("restart")
        .values(&["noop", "signal", "restart"]),
        row(
            "change_signal",
            "",
            "ChangeSignal",
            Kind::Text,
            "The signal for change_mode = \"signal\".",
        )
        .default("SIGHUP"),
    ],
    finish: None,
};

/// The fields of `template`.
static TEMPLATE: Table = Table {
    title: "template",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "source",
            "",
            "SourcePath",
            Kind::Text,
            "The file to render from; instead of data.",
        ),
        row(
            "destination",
            "",
            "DestPath",
            Kind::Text,
            "Where the file goes, relative to the task's directory. Needed.",
        ),
        row(
            "data",
            "",
            "EmbeddedTmpl",
            Kind::Text,
            "The text to render; instead of source.",
        ),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What happens to the task when the rendered text changes.",
        )
        .default("restart")
        .values(&["noop", "signal", "script", "restart"]),
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
        )
        .default("SIGHUP"),
        row(
            "splay",
            "",
            "Splay",
            Kind::Duration,
            "Up to this much time, at random, passes before the change is acted on.",
        )
        .default("5s"),
        row(
            "perms",
            "",
            "Perms",
            Kind::Text,
            "The permissions of the file, in octal digits.",
        )
        .default("0644"),
        row(
            "uid",
            "",
            "Uid",
            Kind::Integer,
            "The owner of the file; -1 is whoever the agent runs as.",
        )
        .default("-1"),
        row(
            "gid",
            "",
            "Gid",
            Kind::Integer,
            "The group of the file; -1 is that of the agent.",
        )
        .default("-1"),
        row(
            "left_delimiter",
            "",
            "LeftDelim",
            Kind::Text,
            "What opens an action in the template.",
        )
        .default("{{"),
        row(
            "right_delimiter",
            "",
            "RightDelim",
            Kind::Text,
            "What closes an action in the template.",
        )
        .default("}}"),
        row(
            "env",
            "",
            "Envvars",
            Kind::Bool,
            "Read the rendered lines KEY=value into the task's environment.",
        )
        .default("false"),
        row(
            "vault_grace",
            "",
            "VaultGrace",
            Kind::Duration,
            "Read and without effect.",
        )
        .default("0s"),
        row(
            "wait",
            "",
            "Wait",
            Kind::Block(&WAIT),
            "How long changes are collected before the text is rendered.",
        ),
        row(
            "error_on_missing_key",
            "",
            "ErrMissingKey",
            Kind::Bool,
            "A key that is missing fails the rendering.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `change_script`.
static CHANGE_SCRIPT: Table = Table {
    title: "change_script",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "command",
            "",
            "Command",
            Kind::Text,
            "The program, inside the task. Needed.",
        ),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long it may take.",
        )
        .default("5s"),
        row(
            "fail_on_error",
            "",
            "FailOnError",
            Kind::Bool,
            "Its failure ends the task.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `wait`.
static WAIT: Table = Table {
    title: "wait",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "min",
            "",
            "Min",
            Kind::Duration,
            "The least time to wait after a change.",
        ),
        row(
            "max",
            "",
            "Max",
            Kind::Duration,
            "The most time to wait while changes go on.",
        ),
    ],
    finish: None,
};

/// The fields of `dispatch_payload`.
static DISPATCH_PAYLOAD: Table = Table {
    title: "dispatch_payload",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "file",
        "",
        "File",
        Kind::Text,
        "The file that gets the payload, below the task's local directory.",
    )],
    finish: None,
};

/// The fields of `identity`.
static IDENTITY: Table = Table {
    title: "identity",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "env",
            "",
            "Env",
            Kind::Bool,
            "Put the token into the environment, as NOMAD_TOKEN.",
        )
        .default("false"),
        row(
            "file",
            "",
            "File",
            Kind::Bool,
            "Write the token to secrets/nomad_token.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `csi_plugin`.
static CSI_PLUGIN: Table = Table {
    title: "csi_plugin",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("id", "", "ID", Kind::Text, "The id of the plugin. Needed."),
        row(
            "type",
            "",
            "Type",
            Kind::Text,
            "Which half of a CSI plugin the task is, or both.",
        )
        .values(&["node", "controller", "monolith"]),
        row(
            "mount_dir",
            "",
            "MountDir",
            Kind::Text,
            "Where the plugin's socket is, inside the task.",
        )
        .default("/csi"),
        row(
            "stage_publish_base_dir",
            "",
            "StagePublishBaseDir",
            Kind::Text,
            "Where volumes are staged and published, inside the task.",
        )
        .default("/local/csi"),
        row(
            "health_timeout",
            "",
            "HealthTimeout",
            Kind::Duration,
            "By when the plugin must be healthy.",
        )
        .default("30s"),
    ],
    finish: None,
};

/// The fields of `volume`.
static VOLUME: Table = Table {
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
static MOUNT_OPTIONS: Table = Table {
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

/// The fields of `volume_mount`.
static VOLUME_MOUNT: Table = Table {
    title: "volume_mount",
    label: None,
    label_optional: false,
    restore: None,
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
            "Where it is, inside the task.",
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
            "propagation_mode",
            "",
            "PropagationMode",
            Kind::Text,
            "Whether mounts below it are seen on the other side.",
        )
        .default("private")
        .values(&["private", "host-to-task", "bidirectional"]),
    ],
    finish: None,
};

/// The fields of `scaling`.
static SCALING: Table = Table {
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

/// The fields of `scaling`.
static TASK_SCALING: Table = Table {
    title: "scaling",
    label: Some("Type"),
    label_optional: false,
    restore: Some(restore_task_scaling),
    fields: &[
        row(
            "min",
            "",
            "Min",
            Kind::Integer,
            "The least of the resource.",
        )
        .default("0"),
        row("max", "", "Max", Kind::Integer, "The most of the resource."),
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
    ],
    finish: Some(finish_task_scaling),
};

/// The fields of `consul`.
static CONSUL: Table = Table {
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

/// The fields of `service`.
static SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "The name that is announced; it may hold ${JOB}, ${GROUP}, ${TASK} and ${BASE}.",
        )
        .default("<job>-<group>-<task>"),
        row("tags", "", "Tags", Kind::Texts, "Tags of the service."),
        row(
            "canary_tags",
            "",
            "CanaryTags",
            Kind::Texts,
            "Tags instead of these while the alloc is a canary.",
        ),
        row(
            "enable_tag_override",
            "",
            "EnableTagOverride",
            Kind::Bool,
            "Keep tags that somebody changed in Consul.",
        )
        .default("false"),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "The label or number of the port that is announced.",
        ),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "Which address is announced: of the host, of the driver's network, or of the alloc.",
        )
        .default("auto")
        .values(&["auto", "host", "driver", "alloc"]),
        row(
            "address",
            "",
            "Address",
            Kind::Text,
            "An address to announce instead.",
        ),
        row(
            "check",
            "checks",
            "Checks",
            Kind::Blocks(&CHECK),
            "A check of the service's health.",
        ),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "When failing checks restart the task; checks inherit it.",
        ),
        row(
            "connect",
            "",
            "Connect",
            Kind::Block(&CONNECT),
            "Consul Connect.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs that are announced.",
        ),
        row(
            "canary_meta",
            "",
            "CanaryMeta",
            Kind::TextMap,
            "Pairs instead of these while the alloc is a canary.",
        ),
        row(
            "tagged_addresses",
            "",
            "TaggedAddresses",
            Kind::TextMap,
            "Further addresses by tag.",
        ),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task that a group's service is about.",
        ),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What checks must say for a deployment to go on.",
        )
        .default("require_healthy")
        .values(&["require_healthy", "ignore_warnings", "ignore"]),
        row(
            "provider",
            "",
            "Provider",
            Kind::Text,
            "Where the service is announced.",
        )
        .default("consul")
        .values(&["consul", "nomad"]),
    ],
    finish: None,
};

/// The fields of `check`.
static CHECK: Table = Table {
    title: "check",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the check.")
            .default("service: \"<name>\" check"),
        row("type", "", "Type", Kind::Text, "What is checked.")
            .values(&["http", "tcp", "grpc", "script"]),
        row(
            "command",
            "",
            "Command",
            Kind::Text,
            "The program of a script check, inside the task.",
        ),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row(
            "path",
            "",
            "Path",
            Kind::Text,
            "The path that an http check asks for.",
        ),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "How an http check asks.",
        )
        .default("http")
        .values(&["http", "https"]),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "The label or number of the port to check.",
        )
        .default("the service's"),
        row(
            "expose",
            "",
            "Expose",
            Kind::Bool,
            "Expose the path through the sidecar's proxy.",
        )
        .default("false"),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "Which address is checked.",
        )
        .default("host")
        .values(&["auto", "host", "driver", "alloc"]),
        row(
            "advertise",
            "",
            "Advertise",
            Kind::Text,
            "The address that is advertised for the check.",
        ),
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "Time between two checks. Needed.",
        ),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long a check may take. Needed.",
        ),
        row(
            "initial_status",
            "",
            "InitialStatus",
            Kind::Text,
            "The status before the first check: passing, warning or critical.",
        )
        .default("critical"),
        row(
            "tls_server_name",
            "",
            "TLSServerName",
            Kind::Text,
            "The server's name for TLS.",
        ),
        row(
            "tls_skip_verify",
            "",
            "TLSSkipVerify",
            Kind::Bool,
            "Do not verify the server's certificate.",
        )
        .default("false"),
        row(
            "header",
            "",
            "Header",
            Kind::TextsMap,
            "HTTP headers; each has a list of values.",
        ),
        row("method", "", "Method", Kind::Text, "The HTTP method.").default("GET"),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "When failures restart the task.",
        )
        .default("the service's"),
        row(
            "grpc_service",
            "",
            "GRPCService",
            Kind::Text,
            "The service that a grpc check asks about.",
        ),
        row(
            "grpc_use_tls",
            "",
            "GRPCUseTLS",
            Kind::Bool,
            "Ask a grpc check over TLS.",
        )
        .default("false"),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task that a check of a group's service runs in.",
        ),
        row(
            "success_before_passing",
            "",
            "SuccessBeforePassing",
            Kind::Integer,
            "How many successes in a row it takes to be passing.",
        )
        .default("0"),
        row(
            "failures_before_critical",
            "",
            "FailuresBeforeCritical",
            Kind::Integer,
            "How many failures in a row it takes to be critical.",
        )
        .default("0"),
        row(
            "body",
            "",
            "Body",
            Kind::Text,
            "The body of the HTTP request.",
        ),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What the check must say for a deployment to go on.",
        )
        .default("the service's")
        .values(&["require_healthy", "ignore_warnings", "ignore"]),
    ],
    finish: None,
};

/// The fields of `check_restart`.
static CHECK_RESTART: Table = Table {
    title: "check_restart",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "limit",
            "",
            "Limit",
            Kind::Integer,
            "Restart the task after so many failures in a row; 0 never does.",
        )
        .default("0"),
        row(
            "grace",
            "",
            "Grace",
            Kind::Duration,
            "How long after a start failures don't count.",
        )
        .default("1s"),
        row(
            "ignore_warnings",
            "",
            "IgnoreWarnings",
            Kind::Bool,
            "A warning is no failure.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `connect`.
static CONNECT: Table = Table {
    title: "connect",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "native",
            "",
            "Native",
            Kind::Bool,
            "The task speaks Connect itself.",
        )
        .default("false"),
        row(
            "gateway",
            "",
            "Gateway",
            Kind::Block(&GATEWAY),
            "The service is a gateway.",
        ),
        row(
            "sidecar_service",
            "",
            "SidecarService",
            Kind::Block(&SIDECAR_SERVICE),
            "The service has a sidecar that carries its traffic.",
        ),
        row(
            "sidecar_task",
            "",
            "SidecarTask",
            Kind::Block(&SIDECAR_TASK),
            "What is set for the sidecar's task.",
        ),
    ],
    finish: None,
};

/// The fields of `sidecar_service`.
static SIDECAR_SERVICE: Table = Table {
    title: "sidecar_service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "tags",
            "",
            "Tags",
            Kind::Texts,
            "Tags of the sidecar's service.",
        ),
        row("port", "", "Port", Kind::Text, "The label of its port."),
        row("proxy", "", "Proxy", Kind::Block(&PROXY), "Its proxy."),
        row(
            "disable_default_tcp_check",
            "",
            "DisableDefaultTCPCheck",
            Kind::Bool,
            "Do not check the sidecar's port.",
        )
        .default("false"),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs that are announced.",
        ),
    ],
    finish: None,
};

/// The fields of `sidecar_task`.
static SIDECAR_TASK: Table = Table {
    title: "sidecar_task",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the task.")
            .default("connect-proxy-<service>"),
        row("driver", "", "Driver", Kind::Text, "What runs it.").default("docker"),
        row("user", "", "User", Kind::Text, "The user that it runs as."),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told.",
        ),
        row("env", "", "Env", Kind::TextMap, "Environment variables."),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What it may use.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs of your own.",
        ),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "How long it has between its stop signal and the kill.",
        )
        .default("5s"),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "How much of its output is kept.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "How long to wait after services are deregistered before it is stopped.",
        )
        .default("0s"),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The signal that asks it to stop.",
        )
        .default("the driver's"),
    ],
    finish: None,
};

/// The fields of `proxy`.
static PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "local_service_address",
            "",
            "LocalServiceAddress",
            Kind::Text,
            "Where the service listens.",
        )
        .default("127.0.0.1"),
        row(
            "local_service_port",
            "",
            "LocalServicePort",
            Kind::Integer,
            "The port that it listens at.",
        )
        .default("the service's"),
        row(
            "expose",
            "",
            "Expose",
            Kind::Block(&EXPOSE),
            "Paths that are reached from outside of the mesh.",
        ),
        row(
            "upstreams",
            "",
            "Upstreams",
            Kind::Blocks(&UPSTREAM),
            "A service that this one reaches through the proxy.",
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
    restore: None,
    fields: &[row(
        "path",
        "paths",
        "Paths",
        Kind::Blocks(&EXPOSE_PATH),
        "One path.",
    )],
    finish: None,
};

/// The fields of `path`.
static EXPOSE_PATH: Table = Table {
    title: "path",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("path", "", "Path", Kind::Text, "The path, as /health."),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "How it is asked for.",
        )
        .default("http")
        .values(&["http", "http2"]),
        row(
            "local_path_port",
            "",
            "LocalPathPort",
            Kind::Integer,
            "The port of the service that answers.",
        ),
        row(
            "listener_port",
            "",
            "ListenerPort",
            Kind::Text,
            "The label of the port that it is reached at.",
        ),
    ],
    finish: None,
};

/// The fields of `upstreams`.
static UPSTREAM: Table = Table {
    title: "upstreams",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "destination_name",
            "",
            "DestinationName",
            Kind::Text,
            "The name of the service that is reached.",
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
            "The peer that it is in.",
        ),
        row(
            "destination_type",
            "",
            "DestinationType",
            Kind::Text,
            "What is reached.",
        )
        .default("service")
        .values(&["service", "prepared_query"]),
        row(
            "local_bind_port",
            "",
            "LocalBindPort",
            Kind::Integer,
            "The port that the service has locally.",
        ),
        row(
            "datacenter",
            "",
            "Datacenter",
            Kind::Text,
            "The datacenter that it is in.",
        ),
        row(
            "local_bind_address",
            "",
            "LocalBindAddress",
            Kind::Text,
            "The address that the service has locally.",
        )
        .default("127.0.0.1"),
        row(
            "local_bind_socket_path",
            "",
            "LocalBindSocketPath",
            Kind::Text,
            "A socket instead of address and port.",
        ),
        row(
            "local_bind_socket_mode",
            "",
            "LocalBindSocketMode",
            Kind::Text,
            "The mode of the socket, in octal digits.",
        ),
        row(
            "mesh_gateway",
            "",
            "MeshGateway",
            Kind::Block(&MESH_GATEWAY),
            "How other datacenters are reached.",
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
    restore: None,
    fields: &[row(
        "mode",
        "",
        "Mode",
        Kind::Text,
        "Which gateway the traffic goes through.",
    )
    .values(&["local", "remote", "none"])],
    finish: None,
};

/// The fields of `gateway`.
static GATEWAY: Table = Table {
    title: "gateway",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "proxy",
            "",
            "Proxy",
            Kind::Block(&GATEWAY_PROXY),
            "The gateway's proxy.",
        ),
        row(
            "ingress",
            "",
            "Ingress",
            Kind::Block(&INGRESS),
            "It lets traffic into the mesh.",
        ),
        row(
            "terminating",
            "",
            "Terminating",
            Kind::Block(&TERMINATING),
            "It lets traffic out of the mesh.",
        ),
        row(
            "mesh",
            "",
            "Mesh",
            Kind::Block(&MESH),
            "It carries traffic between datacenters.",
        ),
    ],
    finish: None,
};

/// The fields of `proxy`.
static GATEWAY_PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "connect_timeout",
            "",
            "ConnectTimeout",
            Kind::Duration,
            "How long a connection may take.",
        )
        .default("5s"),
        row(
            "envoy_gateway_bind_tagged_addresses",
            "",
            "EnvoyGatewayBindTaggedAddresses",
            Kind::Bool,
            "Listen at the tagged addresses.",
        )
        .default("false"),
        row(
            "envoy_gateway_bind_addresses",
            "",
            "EnvoyGatewayBindAddresses",
            Kind::NamedBlocks(&BIND_ADDRESS),
            "A further address to listen at.",
        ),
        row(
            "envoy_gateway_no_default_bind",
            "",
            "EnvoyGatewayNoDefaultBind",
            Kind::Bool,
            "Listen at no address of its own.",
        )
        .default("false"),
        row(
            "envoy_dns_discovery_type",
            "",
            "EnvoyDNSDiscoveryType",
            Kind::Text,
            "How names are resolved, as STRICT_DNS or LOGICAL_DNS.",
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
    restore: None,
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
    restore: None,
    fields: &[
        row(
            "tls",
            "",
            "TLS",
            Kind::Block(&GATEWAY_TLS),
            "TLS of the listeners.",
        ),
        row(
            "listener",
            "listeners",
            "Listeners",
            Kind::Blocks(&LISTENER),
            "Where the gateway listens. At least one is needed.",
        ),
    ],
    finish: None,
};

/// The fields of `tls`.
static GATEWAY_TLS: Table = Table {
    title: "tls",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("enabled", "", "Enabled", Kind::Bool, "Speak TLS.").default("false"),
        row(
            "tls_min_version",
            "",
            "TLSMinVersion",
            Kind::Text,
            "The oldest version, as TLSv1_2.",
        ),
        row(
            "tls_max_version",
            "",
            "TLSMaxVersion",
            Kind::Text,
            "The newest version.",
        ),
        row(
            "cipher_suites",
            "",
            "CipherSuites",
            Kind::Texts,
            "The cipher suites.",
        ),
    ],
    finish: None,
};

/// The fields of `listener`.
static LISTENER: Table = Table {
    title: "listener",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("port", "", "Port", Kind::Integer, "The port to listen at."),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "What is spoken there.",
        )
        .default("tcp")
        .values(&["tcp", "http", "http2", "grpc"]),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&INGRESS_SERVICE),
            "A service behind the listener. At least one is needed.",
        ),
    ],
    finish: None,
};

/// The fields of `service`.
static INGRESS_SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "The name of the service; * is every one, for http.",
        ),
        row(
            "hosts",
            "",
            "Hosts",
            Kind::Texts,
            "Host names that lead to it.",
        ),
    ],
    finish: None,
};

/// The fields of `terminating`.
static TERMINATING: Table = Table {
    title: "terminating",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "service",
        "services",
        "Services",
        Kind::Blocks(&LINKED_SERVICE),
        "A service outside of the mesh. At least one is needed.",
    )],
    finish: None,
};

/// The fields of `service`.
static LINKED_SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the service."),
        row(
            "ca_file",
            "",
            "CAFile",
            Kind::Text,
            "The certificate authority that is trusted.",
        ),
        row(
            "cert_file",
            "",
            "CertFile",
            Kind::Text,
            "The certificate to show.",
        ),
        row("key_file", "", "KeyFile", Kind::Text, "Its key."),
        row("sni", "", "SNI", Kind::Text, "The server's name for TLS."),
    ],
    finish: None,
};

/// The fields of `mesh`.
static MESH: Table = Table {
    title: "mesh",
    label: None,
    label_optional: false,
    restore: None,
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

/// One list of ports again, those with a number first.
fn restore_network(network: &mut Map<String, Json>) {
    let mut ports = Vec::new();
    for name in ["ReservedPorts", "DynamicPorts"] {
        if let Some(Json::Array(list)) = network.remove(name) {
            ports.extend(list);
        }
    }
    network.insert("~Ports".to_owned(), Json::Array(ports));
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

fn restore_task_scaling(scaling: &mut Map<String, Json>) {
    let name = match scaling.get("Type").and_then(Json::as_str) {
        Some("vertical_cpu") => "cpu",
        Some("vertical_mem") => "mem",
        _ => return,
    };
    scaling.insert("Type".to_owned(), name.into());
}
