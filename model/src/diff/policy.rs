//! Constraints and policies of jobs and groups.

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape, sorted},
};
use crate::job::{
    Affinity, Constraint, Consul, EphemeralDisk, MigrateStrategy, Multiregion, MultiregionRegion,
    MultiregionStrategy, ParameterizedJobConfig, PeriodicConfig, ReschedulePolicy, RestartPolicy,
    ScalingPolicy, Spread, SpreadTarget, UpdateStrategy,
};

impl Shape for Constraint {
    const NAME: &'static str = "Constraint";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            ltarget,
            rtarget,
            operand,
        } = self;
        Fields::new()
            .with("LTarget", ltarget)
            .with("RTarget", rtarget)
            .with("Operand", operand)
    }
}

impl Shape for Affinity {
    const NAME: &'static str = "Affinity";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            ltarget,
            rtarget,
            operand,
            weight,
        } = self;
        Fields::new()
            .with("LTarget", ltarget)
            .with("RTarget", rtarget)
            .with("Operand", operand)
            .with("Weight", weight)
    }
}

impl Shape for Spread {
    const NAME: &'static str = "Spread";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            attribute,
            weight,
            spread_target: _,
        } = self;
        Fields::new()
            .with("Attribute", attribute)
            .with("Weight", weight)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.set(&old.spread_target, &new.spread_target)
    }
}

impl Shape for SpreadTarget {
    const NAME: &'static str = "SpreadTarget";

    fn fields(&self, _: Detail) -> Fields {
        let Self { value, percent } = self;
        Fields::new().with("Value", value).with("Percent", percent)
    }
}

/// Spreads; one of an attribute on each side is the same.
pub(super) fn spreads(detail: Detail, old: &[Spread], new: &[Spread]) -> Vec<ObjectDiff> {
    if !detail.complete {
        return Vec::new();
    }
    detail.matched(old, new, |_, one, free| {
        free.iter()
            .find(|(_, other)| other.attribute == one.attribute)
            .map(|(index, _)| *index)
    })
}

impl Shape for RestartPolicy {
    const NAME: &'static str = "RestartPolicy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            interval,
            attempts,
            delay,
            mode,
            render_templates,
        } = self;
        Fields::new()
            .with("Interval", interval)
            .with("Attempts", attempts)
            .with("Delay", delay)
            .with("Mode", mode)
            .with("RenderTemplates", render_templates)
    }
}

impl Shape for ReschedulePolicy {
    const NAME: &'static str = "ReschedulePolicy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            attempts,
            interval,
            delay,
            delay_function,
            max_delay,
            unlimited,
        } = self;
        Fields::new()
            .with("Attempts", attempts)
            .with("Interval", interval)
            .with("Delay", delay)
            .with("DelayFunction", delay_function)
            .with("MaxDelay", max_delay)
            .with("Unlimited", unlimited)
    }
}

impl Shape for UpdateStrategy {
    const NAME: &'static str = "Update";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            stagger: _,
            max_parallel,
            health_check,
            min_healthy_time,
            healthy_deadline,
            progress_deadline,
            canary,
            auto_revert,
            auto_promote,
        } = self;
        Fields::new()
            .with("MaxParallel", max_parallel)
            .with("HealthCheck", health_check)
            .with("MinHealthyTime", min_healthy_time)
            .with("HealthyDeadline", healthy_deadline)
            .with("ProgressDeadline", progress_deadline)
            .with("Canary", canary)
            .with("AutoRevert", auto_revert)
            .with("AutoPromote", auto_promote)
    }
}

/// A roll-out's policy; its stagger is shown when it changed only.
pub(super) fn update(
    detail: Detail,
    old: Option<&UpdateStrategy>,
    new: Option<&UpdateStrategy>,
) -> Option<ObjectDiff> {
    let stagger = |side: Option<&UpdateStrategy>| side.and_then(|update| update.stagger);
    let staggers = detail.complete
        && old.is_some()
        && new.is_some()
        && stagger(old).unwrap_or_default() != stagger(new).unwrap_or_default();
    let fields = |side: Option<&UpdateStrategy>| {
        let Some(update) = side else {
            return Fields::new();
        };
        update
            .fields(detail)
            .with_if(staggers, "Stagger", &update.stagger)
    };
    detail.plain_fields(UpdateStrategy::NAME, &fields(old), &fields(new))
}

impl Shape for MigrateStrategy {
    const NAME: &'static str = "MigrateStrategy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            max_parallel,
            health_check,
            min_healthy_time,
            healthy_deadline,
        } = self;
        Fields::new()
            .with("MaxParallel", max_parallel)
            .with("HealthCheck", health_check)
            .with("MinHealthyTime", min_healthy_time)
            .with("HealthyDeadline", healthy_deadline)
    }
}

impl Shape for EphemeralDisk {
    const NAME: &'static str = "EphemeralDisk";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            sticky,
            migrate,
            size_mb,
        } = self;
        Fields::new()
            .with("Sticky", sticky)
            .with("Migrate", migrate)
            .with("SizeMB", size_mb)
    }
}

impl Shape for Consul {
    const NAME: &'static str = "Consul";

    fn fields(&self, _: Detail) -> Fields {
        let Self { namespace } = self;
        Fields::new().with("Namespace", namespace)
    }
}

impl Shape for PeriodicConfig {
    const NAME: &'static str = "Periodic";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            enabled,
            spec,
            specs: _,
            spec_type,
            prohibit_overlap,
            time_zone,
        } = self;
        Fields::new()
            .with("Enabled", enabled)
            .with("Spec", spec)
            .with("SpecType", spec_type)
            .with("ProhibitOverlap", prohibit_overlap)
            .with("TimeZone", time_zone)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let specs = detail.changed_texts("Specs", &old.specs, &new.specs);
        specs.filter(|_| detail.complete).into_iter().collect()
    }
}

/// A schedule: its fields say how it changed.
pub(super) fn periodic(
    detail: Detail,
    old: Option<&PeriodicConfig>,
    new: Option<&PeriodicConfig>,
) -> Option<ObjectDiff> {
    match (detail.plain(old, new), detail.block(old, new)) {
        (Some(plain), Some(block)) => Some(ObjectDiff {
            kind: plain.kind,
            ..block
        }),
        (_, block) => block,
    }
}

impl Shape for ParameterizedJobConfig {
    const NAME: &'static str = "ParameterizedJob";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            payload,
            meta_required: _,
            meta_optional: _,
        } = self;
        Fields::new().with("Payload", payload)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        [
            detail.texts("MetaOptional", &old.meta_optional, &new.meta_optional),
            detail.texts("MetaRequired", &old.meta_required, &new.meta_required),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Shape for Multiregion {
    const NAME: &'static str = "Multiregion";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            strategy: _,
            regions: _,
        } = self;
        Fields::new()
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let strategy = detail.plain(old.strategy.as_ref(), new.strategy.as_ref());
        let regions = detail.keyed(
            &old.regions,
            &new.regions,
            |region| &region.name,
            Detail::block,
        );
        sorted(regions.into_iter().map(Some).chain([strategy]))
    }
}

impl Shape for MultiregionStrategy {
    const NAME: &'static str = "Strategy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            max_parallel,
            on_failure,
        } = self;
        Fields::new()
            .with("MaxParallel", max_parallel)
            .with("OnFailure", on_failure)
    }
}

impl Shape for MultiregionRegion {
    const NAME: &'static str = "Region";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            name,
            count,
            datacenters: _,
            node_pool,
            meta,
        } = self;
        Fields::new()
            .with("Name", name)
            .with("Count", count)
            .with("NodePool", node_pool)
            .with_map("Meta", meta)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .changed_texts("Datacenters", &old.datacenters, &new.datacenters)
            .into_iter()
            .collect()
    }
}

impl Shape for ScalingPolicy {
    const NAME: &'static str = "Scaling";
    const CONTEXTUAL: bool = false;

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            min,
            max,
            policy: _,
            enabled,
            type_name: _,
            id: _,
            namespace: _,
            target: _,
            create_index: _,
            modify_index: _,
        } = self;
        Fields::new()
            .with("Min", min)
            .with("Max", max)
            .with("Enabled", enabled)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let detail = Detail {
            contextual: false,
            ..detail
        };
        detail
            .config("Policy", &old.policy, &new.policy)
            .into_iter()
            .collect()
    }
}
