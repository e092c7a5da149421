//! How allocs are rolled out, started again, replaced and moved.

use super::row;
use crate::schema::{Kind, Table};

/// The fields of `update`.
pub(super) static UPDATE: Table = Table {
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
pub(super) static RESTART: Table = Table {
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
pub(super) static RESCHEDULE: Table = Table {
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
pub(super) static MIGRATE: Table = Table {
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
