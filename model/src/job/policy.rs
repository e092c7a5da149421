//! Constraints, and the policies of update, restart, reschedule, migration, disk, schedule and scaling.

use std::collections::BTreeMap;

use super::spec;
use crate::{duration::Nanos, ids::Revision};

spec! {
    /// What a node must fulfil.
    Constraint {
        /// What is looked at, as `${attr.kernel.name}`.
        #[serde(rename = "LTarget")]
        ltarget: String => InPlace,
        /// What it is compared with.
        #[serde(rename = "RTarget")]
        rtarget: String => InPlace,
        /// How, as `=`, `regexp`, `version`.
        operand: String => InPlace,
    }
}

spec! {
    /// What a node should fulfil.
    Affinity {
        /// What is looked at.
        #[serde(rename = "LTarget")]
        ltarget: String => Replace,
        /// What it is compared with.
        #[serde(rename = "RTarget")]
        rtarget: String => Replace,
        /// How.
        operand: String => Replace,
        /// -100 to 100, 50 by default.
        weight: Option<i64> => Replace,
    }
}

spec! {
    /// How allocs are spread over the values of an attribute.
    Spread {
        /// The attribute.
        attribute: String => Replace,
        /// 1–100, 50 by default.
        weight: Option<i64> => Replace,
        /// How many percent each value gets; evenly where none is given.
        spread_target: Vec<SpreadTarget> => Replace,
    }
}

spec! {
    /// The share of one value of an attribute.
    SpreadTarget {
        /// The value.
        value: String => Replace,
        /// Its share.
        percent: i64 => Replace,
    }
}

spec! {
    /// How a new version is rolled out.
    UpdateStrategy {
        /// Time between steps for jobs without deployments.
        stagger: Option<Nanos> => InPlace,
        /// Allocs replaced at a time; 0 all at once without a deployment.
        max_parallel: Option<i64> => InPlace,
        /// What health is judged by: `checks`, `task_states`, `manual`.
        health_check: Option<String> => InPlace,
        /// How long an alloc must be healthy to count.
        min_healthy_time: Option<Nanos> => InPlace,
        /// By when an alloc must be healthy.
        healthy_deadline: Option<Nanos> => InPlace,
        /// By when the next alloc must be healthy; 0: the first failure ends the deployment.
        progress_deadline: Option<Nanos> => InPlace,
        /// Canaries.
        canary: Option<i64> => InPlace,
        /// Go back to the last stable version on failure.
        auto_revert: Option<bool> => InPlace,
        /// Promote canaries when they are healthy.
        auto_promote: Option<bool> => InPlace,
    }
}

impl UpdateStrategy {
    /// Nomad's defaults.
    #[must_use]
    pub fn defaults() -> Self {
        Self {
            stagger: Some(Nanos::secs(30)),
            max_parallel: Some(1),
            health_check: Some("checks".to_owned()),
            min_healthy_time: Some(Nanos::secs(10)),
            healthy_deadline: Some(Nanos::mins(5)),
            progress_deadline: Some(Nanos::mins(10)),
            canary: Some(0),
            auto_revert: Some(false),
            auto_promote: Some(false),
        }
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
    RestartPolicy {
        /// The time in which `attempts` are counted.
        interval: Option<Nanos> => InPlace,
        /// Restarts in an interval.
        attempts: Option<i64> => InPlace,
        /// Time before a restart.
        delay: Option<Nanos> => InPlace,
        /// `fail` or `delay`.
        mode: Option<String> => InPlace,
        /// Render templates again before a restart.
        render_templates: Option<bool> => ReplaceValue,
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
    ReschedulePolicy {
        /// Replacements in an interval.
        attempts: Option<i64> => InPlace,
        /// The time in which `attempts` are counted.
        interval: Option<Nanos> => InPlace,
        /// Time before the first replacement.
        delay: Option<Nanos> => InPlace,
        /// `constant`, `exponential` or `fibonacci`.
        delay_function: Option<String> => InPlace,
        /// The longest delay.
        max_delay: Option<Nanos> => InPlace,
        /// No limit of attempts.
        unlimited: Option<bool> => InPlace,
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
    MigrateStrategy {
        /// Allocs at a time.
        max_parallel: Option<i64> => InPlace,
        /// What health of a successor is judged by.
        health_check: Option<String> => InPlace,
        /// How long a successor must be healthy to count.
        min_healthy_time: Option<Nanos> => InPlace,
        /// By when a successor must be healthy.
        healthy_deadline: Option<Nanos> => InPlace,
    }
}

impl MigrateStrategy {
    /// Nomad's defaults.
    #[must_use]
    pub fn defaults() -> Self {
        Self {
            max_parallel: Some(1),
            health_check: Some("checks".to_owned()),
            min_healthy_time: Some(Nanos::secs(10)),
            healthy_deadline: Some(Nanos::mins(5)),
        }
    }
}

spec! {
    /// Disk shared by the tasks of an alloc.
    EphemeralDisk {
        /// Place a successor on the same node and keep the data.
        sticky: Option<bool> => Replace,
        /// Take the data along to another node.
        migrate: Option<bool> => Replace,
        /// Its size in MiB.
        #[serde(rename = "SizeMB")]
        size_mb: Option<i64> => Replace,
    }
}

impl EphemeralDisk {
    /// The size when none is given.
    pub const DEFAULT_SIZE_MB: i64 = 300;
}

spec! {
    /// Run at set times.
    PeriodicConfig {
        /// Off keeps the job without launching it.
        enabled: Option<bool> => InPlace,
        /// The schedule, as cron has it.
        spec: String => InPlace,
        /// Several schedules.
        specs: Vec<String> => InPlace,
        /// `cron`.
        spec_type: Option<String> => InPlace,
        /// Don't launch while the last one runs.
        prohibit_overlap: Option<bool> => InPlace,
        /// The time zone the schedule is in.
        time_zone: Option<String> => InPlace,
    }
}

spec! {
    /// Run when it is dispatched.
    ParameterizedJobConfig {
        /// `optional`, `required` or `forbidden`.
        payload: String => InPlace,
        /// Keys a dispatch must give.
        meta_required: Vec<String> => InPlace,
        /// Keys a dispatch may give.
        meta_optional: Vec<String> => InPlace,
    }
}

spec! {
    /// Limits and rules for autoscaling.
    ScalingPolicy {
        /// The fewest allocs.
        min: Option<i64> => InPlace,
        /// The most allocs.
        max: Option<i64> => InPlace,
        /// The rules, read by an autoscaler.
        policy: serde_json::Map<String, serde_json::Value> => InPlace,
        /// In force.
        enabled: Option<bool> => InPlace,
        /// `horizontal`, `vertical_cpu`, `vertical_mem`.
        #[serde(rename = "Type")]
        type_name: String => InPlace,
        /// Its id.
        #[serde(rename = "ID")]
        id: String => InPlace,
        /// Its job's namespace.
        namespace: String => InPlace,
        /// What it scales.
        target: BTreeMap<String, String> => InPlace,
        /// Filled in by the API.
        create_index: Revision => InPlace,
        /// Filled in by the API.
        modify_index: Revision => InPlace,
    }
}
