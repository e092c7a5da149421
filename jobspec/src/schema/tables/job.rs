//! The job itself, and where and when it runs.

use super::{
    group::GROUP,
    placement::{AFFINITY, CONSTRAINT, SPREAD},
    policy::{MIGRATE, RESCHEDULE, UPDATE},
    row,
    shapes::finish_job,
    task::{TASK, VAULT},
};
use crate::schema::{Kind, Table};

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

/// The fields of `periodic`.
pub(super) static PERIODIC: Table = Table {
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
pub(super) static PARAMETERIZED: Table = Table {
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
pub(super) static MULTIREGION: Table = Table {
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
pub(super) static MULTIREGION_STRATEGY: Table = Table {
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
pub(super) static MULTIREGION_REGION: Table = Table {
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
