//! Restart, reschedule, update, migration, schedule, dispatch, scaling.

use super::{FieldPath, Report, cron};
use crate::{
    duration::Nanos,
    job::{
        MigrateStrategy, ParameterizedJobConfig, PeriodicConfig, ReschedulePolicy, RestartPolicy,
        ScalingPolicy, UpdateStrategy,
    },
};

const MIN_RESTART_INTERVAL: Nanos = Nanos::secs(5);
const MIN_RESCHEDULE_DELAY: Nanos = Nanos::secs(5);
const MIN_RESCHEDULE_INTERVAL: Nanos = Nanos::secs(15);

pub(super) fn restart(policy: &RestartPolicy, path: &FieldPath, errors: &mut Report) {
    let mode = policy.mode.as_deref().unwrap_or_default();
    if !matches!(mode, "delay" | "fail") {
        errors.add(
            path.field("mode"),
            format!("Unsupported restart mode: {mode:?}"),
        );
    }
    let attempts = policy.attempts.unwrap_or(0);
    if attempts == 0 && mode != "fail" {
        errors.add(
            path.field("attempts"),
            format!("Restart policy {mode:?} with {attempts} attempts is ambiguous"),
        );
    }
    let (interval, delay) = (policy.interval(), policy.delay());
    if interval < MIN_RESTART_INTERVAL {
        errors.add(
            path.field("interval"),
            format!("Interval can not be less than {MIN_RESTART_INTERVAL} (got {interval})"),
        );
    }
    if attempts.saturating_mul(delay.0) > interval.0 {
        errors.add(
            path.field("interval"),
            format!(
                "Nomad can't restart the TaskGroup {attempts} times in an interval of {interval} with a delay of {delay}"
            ),
        );
    }
}

pub(super) fn reschedule(policy: &ReschedulePolicy, path: &FieldPath, errors: &mut Report) {
    if !policy.is_enabled() {
        return;
    }
    let attempts = policy.attempts.unwrap_or(0);
    let (interval, delay, max_delay) = (policy.interval(), policy.delay(), policy.max_delay());
    if attempts > 0 {
        if interval.0 <= 0 {
            errors.add(
                path.field("interval"),
                "Interval must be a non zero value if Attempts > 0",
            );
        }
        if policy.unlimited() {
            errors.add(
                path.field("unlimited"),
                format!(
                    "Reschedule Policy with Attempts = {attempts}, Interval = {interval}, and Unlimited = true is ambiguous"
                ),
            );
        }
    }
    let mut sound = true;
    if delay < MIN_RESCHEDULE_DELAY {
        errors.add(
            path.field("delay"),
            format!("Delay cannot be less than {MIN_RESCHEDULE_DELAY} (got {delay})"),
        );
        sound = false;
    }
    let function = policy.delay_function();
    if !matches!(function, "constant" | "exponential" | "fibonacci") {
        errors.add(
            path.field("delay_function"),
            format!(
                "Invalid delay function {function:?}, must be one of [\"constant\" \"exponential\" \"fibonacci\"]"
            ),
        );
        sound = false;
    }
    if function != "constant" {
        if max_delay < MIN_RESCHEDULE_DELAY {
            errors.add(
                path.field("max_delay"),
                format!("Max Delay cannot be less than {MIN_RESCHEDULE_DELAY} (got {max_delay})"),
            );
            sound = false;
        }
        if max_delay < delay {
            errors.add(
                path.field("max_delay"),
                format!("Max Delay cannot be less than Delay {delay} (got {max_delay})"),
            );
            sound = false;
        }
    }
    if policy.unlimited() {
        return;
    }
    if interval < MIN_RESCHEDULE_INTERVAL {
        errors.add(
            path.field("interval"),
            format!("Interval cannot be less than {MIN_RESCHEDULE_INTERVAL} (got {interval})"),
        );
    }
    if !sound {
        return;
    }
    if let Some((possible, needed)) = too_many_attempts(policy) {
        let limit = if function == "constant" {
            format!("with initial delay {delay} and delay function {function:?}")
        } else {
            format!(
                "with initial delay {delay}, delay function {function:?}, and max delay {max_delay}"
            )
        };
        let mut inner = Report::default();
        inner.add(
            path.field("attempts"),
            format!("Nomad can only make {possible} attempts in {interval} {limit}"),
        );
        inner.add(
            path.field("interval"),
            format!("Set the interval to at least {needed} to accommodate {attempts} attempts"),
        );
        errors.nest("", inner);
    }
}

/// Attempts that fit into the interval and the interval that would do, where they don't all fit.
fn too_many_attempts(policy: &ReschedulePolicy) -> Option<(i64, Nanos)> {
    // More attempts than this take longer than any interval, the shortest delay being 5 s.
    const MOST: i64 = 2_000_000;
    let attempts = policy.attempts.unwrap_or(0).min(MOST);
    let (interval, delay) = (policy.interval().0, policy.delay().0);
    let max_delay = policy.max_delay().0;
    let seconds =
        |nanos: i64| Nanos(nanos.saturating_add(500_000_000) / 1_000_000_000 * 1_000_000_000);
    match policy.delay_function() {
        "constant" => {
            let needed = attempts.saturating_mul(delay);
            (interval < needed).then(|| (interval / delay, seconds(needed)))
        }
        "exponential" => {
            let mut needed: i64 = 0;
            let mut possible = 0;
            let mut next = delay;
            for _ in 0..attempts {
                needed = if next > max_delay {
                    needed.saturating_add(max_delay)
                } else {
                    next
                };
                next = next.saturating_mul(2);
                if needed < interval {
                    possible += 1;
                }
            }
            (possible < attempts).then(|| (possible, seconds(needed)))
        }
        _ => {
            let mut slots = vec![delay, delay];
            let mut at_ceiling = false;
            for index in 2..usize::try_from(attempts).unwrap_or(0) {
                let last = slots[index - 1];
                let next = if at_ceiling {
                    last.saturating_add(max_delay)
                } else {
                    let next = last.saturating_add(slots[index - 2]);
                    at_ceiling = next > max_delay;
                    next.min(max_delay)
                };
                slots.push(next);
            }
            let needed = slots.last().copied().unwrap_or(0);
            (interval < needed).then(|| {
                let possible = slots.iter().position(|slot| *slot > interval).unwrap_or(0);
                (i64::try_from(possible).unwrap_or(0), seconds(needed))
            })
        }
    }
}

pub(super) fn update(update: &UpdateStrategy, path: &FieldPath, errors: &mut Report) {
    let health = update.health_check.as_deref().unwrap_or_default();
    if !matches!(health, "checks" | "task_states" | "manual") {
        errors.add(
            path.field("health_check"),
            format!("Invalid health check given: {health:?}"),
        );
    }
    let max_parallel = update.max_parallel.unwrap_or(0);
    if max_parallel < 0 {
        errors.add(
            path.field("max_parallel"),
            format!("Max parallel can not be less than zero: {max_parallel} < 0"),
        );
    }
    let canary = update.canary.unwrap_or(0);
    if canary < 0 {
        errors.add(
            path.field("canary"),
            format!("Canary count can not be less than zero: {canary} < 0"),
        );
    }
    if canary == 0 && update.auto_promote() {
        errors.add(
            path.field("auto_promote"),
            "Auto Promote requires a Canary count greater than zero",
        );
    }
    let (min_healthy, healthy, progress) = (
        update.min_healthy_time(),
        update.healthy_deadline(),
        update.progress_deadline(),
    );
    if min_healthy.0 < 0 {
        errors.add(
            path.field("min_healthy_time"),
            format!("Minimum healthy time may not be less than zero: {min_healthy}"),
        );
    }
    if healthy.0 <= 0 {
        errors.add(
            path.field("healthy_deadline"),
            format!("Healthy deadline must be greater than zero: {healthy}"),
        );
    }
    if progress.0 < 0 {
        errors.add(
            path.field("progress_deadline"),
            format!("Progress deadline must be zero or greater: {progress}"),
        );
    }
    if min_healthy >= healthy {
        errors.add(
            path.field("min_healthy_time"),
            format!(
                "Minimum healthy time must be less than healthy deadline: {min_healthy} > {healthy}"
            ),
        );
    }
    if progress != Nanos::ZERO && healthy >= progress {
        errors.add(
            path.field("healthy_deadline"),
            format!("Healthy deadline must be less than progress deadline: {healthy} > {progress}"),
        );
    }
    let stagger = update.stagger.unwrap_or_default();
    if stagger.0 <= 0 {
        errors.add(
            path.field("stagger"),
            format!("Stagger must be greater than zero: {stagger}"),
        );
    }
}

pub(super) fn migrate(migrate: &MigrateStrategy, path: &FieldPath, errors: &mut Report) {
    let max_parallel = migrate.max_parallel.unwrap_or(0);
    if max_parallel < 0 {
        errors.add(
            path.field("max_parallel"),
            format!("MaxParallel must be >= 0 but found {max_parallel}"),
        );
    }
    match migrate.health_check.as_deref().unwrap_or_default() {
        "checks" | "task_states" => {}
        "" if max_parallel > 0 => errors.add(path.field("health_check"), "Missing HealthCheck"),
        "" => {}
        other => errors.add(
            path.field("health_check"),
            format!("Invalid HealthCheck: {other:?}"),
        ),
    }
    let min_healthy = migrate.min_healthy_time.unwrap_or_default();
    let deadline = migrate.healthy_deadline.unwrap_or_default();
    if min_healthy.0 < 0 {
        errors.add(
            path.field("min_healthy_time"),
            format!("MinHealthyTime is {min_healthy} and must be >= 0"),
        );
    }
    if deadline.0 < 0 {
        errors.add(
            path.field("healthy_deadline"),
            format!("HealthyDeadline is {deadline} and must be >= 0"),
        );
    }
    if min_healthy > deadline {
        errors.add(
            path.field("min_healthy_time"),
            "MinHealthyTime must be less than HealthyDeadline",
        );
    }
}

pub(super) fn periodic(config: &PeriodicConfig, path: &FieldPath, errors: &mut Report) {
    if config.enabled == Some(false) {
        return;
    }
    if config.spec.is_empty() && config.specs.is_empty() {
        errors.add(path.clone(), "Must specify a spec");
    }
    if !config.spec.is_empty() && !config.specs.is_empty() {
        errors.add(path.field("crons"), "Only cron or crons may be used");
    }
    match config.spec_type.as_deref().unwrap_or_default() {
        "cron" => {
            let single = (!config.spec.is_empty()).then_some((&config.spec, "cron"));
            let several = config.specs.iter().map(|spec| (spec, "crons"));
            for (spec, field) in single.into_iter().chain(several) {
                if let Err(error) = cron::check(spec) {
                    errors.add(
                        path.field(field),
                        format!("Invalid cron spec {spec:?}: {error}"),
                    );
                }
            }
        }
        other => errors.add(
            path.clone(),
            format!("Unknown periodic specification type {other:?}"),
        ),
    }
    let zone = config.time_zone.as_deref().unwrap_or_default();
    let known = matches!(zone, "" | "UTC" | "Local") || jiff::tz::TimeZone::get(zone).is_ok();
    if !known {
        errors.add(
            path.field("time_zone"),
            format!("Invalid time zone {zone:?}: unknown time zone {zone}"),
        );
    }
}

pub(super) fn parameterized(
    config: &ParameterizedJobConfig,
    path: &FieldPath,
    errors: &mut Report,
) {
    if !matches!(
        config.payload.as_str(),
        "optional" | "required" | "forbidden"
    ) {
        errors.add(
            path.field("payload"),
            format!("Unknown payload requirement: {:?}", config.payload),
        );
    }
    let both: Vec<_> = config
        .meta_required
        .iter()
        .filter(|key| config.meta_optional.contains(key))
        .map(String::as_str)
        .collect();
    if !both.is_empty() {
        errors.add(
            path.field("meta_optional"),
            format!(
                "Required and optional meta keys should be disjoint. Following keys exist in both: [{}]",
                both.join(" ")
            ),
        );
    }
}

pub(super) fn scaling(policy: &ScalingPolicy, count: u64, path: &FieldPath, errors: &mut Report) {
    let (min, max) = (policy.min.unwrap_or(0), policy.max.unwrap_or(0));
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut add = |field, text: &str| {
        errors.add(path.field(field), format!("Scaling policy invalid: {text}"));
    };
    if policy.max.is_none() || max < 0 {
        add("max", "maximum count must be specified and non-negative");
    } else if max < min {
        add("max", "maximum count must not be less than minimum count");
    }
    if min < 0 {
        add("min", "minimum count must be specified and non-negative");
    }
    if max < count {
        add(
            "max",
            "task group count must not be greater than maximum count in scaling policy",
        );
    }
    if count < min {
        add(
            "min",
            "task group count must not be less than minimum count in scaling policy",
        );
    }
}
