//! Constraints, and the policies of update, restart, reschedule, migration, disk, schedule and scaling.

use std::collections::BTreeMap;

use super::{Declared as _, declare::Stage, spec};
use crate::{duration::Nanos, ids::Revision};

spec! {
    /// What a node must fulfil.
    Constraint "constraint" {
        /// What is looked at, as ${attr.kernel.name} or ${meta.rack}.
        ltarget as "LTarget": String [hcl = "attribute"] => InPlace,
        /// What the attribute is compared with.
        rtarget as "RTarget": String [hcl = "value"] => InPlace,
        /// How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains,
        /// set_contains_all, set_contains_any, is_set, is_not_set, distinct_hosts or distinct_property.
        operand: String [hcl = "operator", default = "="] => InPlace,
    }
}

spec! {
    /// What a node should fulfil.
    Affinity "affinity" {
        /// What is looked at, as ${attr.kernel.name} or ${meta.rack}.
        ltarget as "LTarget": String [hcl = "attribute"] => Replace,
        /// What the attribute is compared with.
        rtarget as "RTarget": String [hcl = "value"] => Replace,
        /// How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains_all or
        /// set_contains_any.
        operand: String [hcl = "operator", default = "="] => Replace,
        /// From -100 to 100, but not 0. Below 0 keeps allocs away from such nodes.
        weight: Option<i64> = 50 => Replace,
    }
}

spec! {
    /// How allocs are spread over the values of an attribute.
    Spread "spread" {
        /// The attribute over whose values allocs are spread, as ${node.datacenter}.
        attribute: String => Replace,
        /// From 1 to 100: how much this spread counts beside others and affinities.
        weight: Option<i64> = 50 => Replace,
        /// The share of one value; without any, all values get the same.
        spread_target: Vec<SpreadTarget> [hcl = "target", plural = "targets"] => Replace,
    }
}

spec! {
    /// The share of one value of an attribute.
    SpreadTarget "target" {
        /// The value of the attribute.
        value: String [label_or_argument, default = "the label"] => Replace,
        /// Its share of the allocs.
        percent: i64 [unit = "%"] = 0 => Replace,
    }
}

spec! {
    /// How a new version is rolled out.
    UpdateStrategy "update" {
        /// Time between steps, for system jobs, which have no deployments.
        stagger: Option<Nanos> = "30s" => InPlace,
        /// How many allocs are replaced at a time; 0 replaces all at once, without a deployment.
        max_parallel: Option<i64> = 1 => InPlace,
        /// What the health of an alloc is judged by: its checks, its tasks' states, or an operator.
        health_check: Option<String> [values = &["checks", "task_states", "manual"]] = "checks" => InPlace,
        /// How long an alloc must be healthy to count as healthy.
        min_healthy_time: Option<Nanos> = "10s" => InPlace,
        /// By when, from its start, an alloc must be healthy.
        healthy_deadline: Option<Nanos> = "5m" => InPlace,
        /// By when the next alloc must be healthy; 0 fails the deployment on the first that is not.
        progress_deadline: Option<Nanos> = "10m" => InPlace,
        /// How many allocs of the new version first run beside the old ones, until they are promoted.
        canary: Option<i64> = 0 => InPlace,
        /// Go back to the last stable version when the deployment fails.
        auto_revert: Option<bool> = false => InPlace,
        /// Promote the canaries as soon as all are healthy.
        auto_promote: Option<bool> = false => InPlace,
    }
}

impl UpdateStrategy {
    /// Nomad's defaults.
    #[must_use]
    pub fn defaults() -> Self {
        let mut defaults = Self::default();
        defaults.fill_defaults(Stage::Reading);
        defaults
    }

    /// Allocs replaced at a time.
    #[must_use]
    pub fn max_parallel(&self) -> u64 {
        u64::try_from(self.max_parallel.unwrap_or(0)).unwrap_or(0)
    }

    /// How long an alloc must be healthy to count.
    #[must_use]
    pub fn min_healthy_time(&self) -> Nanos {
        self.min_healthy_time.unwrap_or_default()
    }

    /// By when an alloc must be healthy, from its creation.
    #[must_use]
    pub fn healthy_deadline(&self) -> Nanos {
        self.healthy_deadline.unwrap_or_default()
    }

    /// By when the next alloc must be healthy.
    #[must_use]
    pub fn progress_deadline(&self) -> Nanos {
        self.progress_deadline.unwrap_or_default()
    }

    /// Canaries.
    #[must_use]
    pub fn canary(&self) -> u64 {
        u64::try_from(self.canary.unwrap_or(0)).unwrap_or(0)
    }

    /// Go back to the last stable version on failure.
    #[must_use]
    pub fn auto_revert(&self) -> bool {
        self.auto_revert.unwrap_or(false)
    }

    /// Promote canaries when they are healthy.
    #[must_use]
    pub fn auto_promote(&self) -> bool {
        self.auto_promote.unwrap_or(false)
    }

    /// What health is judged by.
    #[must_use]
    pub fn health_check(&self) -> &str {
        self.health_check.as_deref().unwrap_or("checks")
    }

    /// It rolls: a change of it is made through a deployment.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        self.max_parallel() > 0
    }
}

/// What happens when the restarts of an interval are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartMode {
    /// The task fails for good.
    Fail,
    /// It waits for the next interval.
    Delay,
}

spec! {
    /// When a failed task is started again.
    RestartPolicy "restart" {
        /// The time in which attempts are counted.
        interval: Option<Nanos> [default = "30m (batch: 24h)"] => InPlace,
        /// How many restarts there may be in an interval.
        attempts: Option<i64> [default = "2 (batch: 3)"] => InPlace,
        /// How long to wait before a restart; up to a quarter more is added at random.
        delay: Option<Nanos> = "15s" => InPlace,
        /// What happens when the attempts are spent: the task fails, or waits for the next interval.
        mode: Option<String> [values = &["fail", "delay"]] = "fail" => InPlace,
        /// Render the templates again before each restart.
        render_templates: Option<bool> = false => ReplaceValue,
    }
}

impl RestartPolicy {
    /// The time in which attempts are counted.
    #[must_use]
    pub fn interval(&self) -> Nanos {
        self.interval.unwrap_or_default()
    }

    /// Restarts in an interval.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        u64::try_from(self.attempts.unwrap_or(0)).unwrap_or(0)
    }

    /// Time before a restart.
    #[must_use]
    pub fn delay(&self) -> Nanos {
        self.delay.unwrap_or_default()
    }

    /// What happens when the attempts are spent.
    #[must_use]
    pub fn mode(&self) -> RestartMode {
        match self.mode.as_deref() {
            Some("delay") => RestartMode::Delay,
            _ => RestartMode::Fail,
        }
    }
}

spec! {
    /// When a failed alloc is replaced.
    ReschedulePolicy "reschedule" {
        /// How many replacements there may be in an interval.
        attempts: Option<i64> [default = "0 (batch: 1)"] => InPlace,
        /// The time in which attempts are counted.
        interval: Option<Nanos> [default = "0s (batch: 24h)"] => InPlace,
        /// How long to wait before the first replacement.
        delay: Option<Nanos> [default = "30s (batch: 5s)"] => InPlace,
        /// How the delay grows from one replacement to the next.
        delay_function: Option<String> [values = &["constant", "exponential", "fibonacci"], default = "exponential (batch: constant)"] => InPlace,
        /// The longest delay.
        max_delay: Option<Nanos> [default = "1h (batch: 0s)"] => InPlace,
        /// Replace failed allocs without a limit of attempts.
        unlimited: Option<bool> [default = "true (batch: false)"] => InPlace,
    }
}

impl ReschedulePolicy {
    /// Replacements in an interval.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        u64::try_from(self.attempts.unwrap_or(0)).unwrap_or(0)
    }

    /// The time in which attempts are counted.
    #[must_use]
    pub fn interval(&self) -> Nanos {
        self.interval.unwrap_or_default()
    }

    /// Time before the first replacement.
    #[must_use]
    pub fn delay(&self) -> Nanos {
        self.delay.unwrap_or_default()
    }

    /// `constant`, `exponential` or `fibonacci`.
    #[must_use]
    pub fn delay_function(&self) -> &str {
        self.delay_function.as_deref().unwrap_or_default()
    }

    /// The longest delay.
    #[must_use]
    pub fn max_delay(&self) -> Nanos {
        self.max_delay.unwrap_or_default()
    }

    /// No limit of attempts.
    #[must_use]
    pub fn unlimited(&self) -> bool {
        self.unlimited.unwrap_or(false)
    }

    /// Allocs are replaced at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.unlimited() || self.attempts() > 0
    }
}

spec! {
    /// How allocs leave a node that is drained.
    MigrateStrategy "migrate" {
        /// How many allocs leave at a time.
        max_parallel: Option<i64> = 1 => InPlace,
        /// What the health of a successor is judged by.
        health_check: Option<String> [values = &["checks", "task_states"]] = "checks" => InPlace,
        /// How long a successor must be healthy before the next alloc leaves.
        min_healthy_time: Option<Nanos> = "10s" => InPlace,
        /// By when a successor must be healthy.
        healthy_deadline: Option<Nanos> = "5m" => InPlace,
    }
}

spec! {
    /// Disk shared by the tasks of an alloc.
    EphemeralDisk "ephemeral_disk" {
        /// Place a successor on the same node if possible, and keep the data.
        sticky: Option<bool> = false => Replace,
        /// With sticky: copy the data when the successor runs on another node.
        migrate: Option<bool> = false => Replace,
        /// How much disk is reserved for an alloc.
        size_mb as "SizeMB": Option<i64> [hcl = "size", unit = "MiB"] = 300 => Replace,
    }
}

impl EphemeralDisk {
    /// The size when none is given.
    pub const DEFAULT_SIZE_MB: i64 = Self::BLOCK.integer("SizeMB");
}

spec! {
    /// Run at set times.
    PeriodicConfig "periodic" {
        /// Off keeps the job without launching it.
        enabled: Option<bool> = true => InPlace,
        /// When to launch, as cron has it: */15 * * * * * or @daily.
        spec: String [hcl = "cron", null] => InPlace,
        /// Several schedules.
        specs: Vec<String> [hcl = "crons", null] => InPlace,
        /// `cron`.
        spec_type: Option<String> [api, quiet] = "cron" => InPlace,
        /// Do not launch while the last launch still runs.
        prohibit_overlap: Option<bool> = false => InPlace,
        /// The time zone of the schedule, as Europe/Berlin.
        time_zone: Option<String> = "UTC" => InPlace,
    }
}

spec! {
    /// Run when it is dispatched.
    ParameterizedJobConfig "parameterized" {
        /// Whether a dispatch has a payload.
        payload: String [values = &["optional", "required", "forbidden"]] = "optional" at Registration => InPlace,
        /// Keys of meta that a dispatch must give.
        meta_required: Vec<String> => InPlace,
        /// Keys of meta that a dispatch may give.
        meta_optional: Vec<String> => InPlace,
    }
}

spec! {
    /// Limits and rules for autoscaling.
    ScalingPolicy "scaling" {
        /// The fewest allocs.
        min: Option<i64> [default = "the count"] => InPlace,
        /// The most allocs. Needed.
        max: Option<i64> => InPlace,
        /// Rules that an autoscaler reads.
        policy: serde_json::Map<String, serde_json::Value> => InPlace,
        /// The autoscaler looks at it.
        enabled: Option<bool> = true => InPlace,
        /// How it scales.
        type_name as "Type": String [hcl = "type", values = &["horizontal"]] = "horizontal" => InPlace,
        /// Its id.
        id as "ID": String [api] => InPlace,
        /// Its job's namespace.
        namespace: String [api] => InPlace,
        /// What it scales.
        target: BTreeMap<String, String> [api] => InPlace,
        /// Filled in by the API.
        create_index: Revision [api] => InPlace,
        /// Filled in by the API.
        modify_index: Revision [api] => InPlace,
    }
}
