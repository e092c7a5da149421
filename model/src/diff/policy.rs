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
}

impl Shape for Affinity {
    const NAME: &'static str = "Affinity";
}

impl Shape for Spread {
    const NAME: &'static str = "Spread";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.set(&old.spread_target, &new.spread_target)
    }
}

impl Shape for SpreadTarget {
    const NAME: &'static str = "SpreadTarget";
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
}

impl Shape for ReschedulePolicy {
    const NAME: &'static str = "ReschedulePolicy";
}

impl Shape for UpdateStrategy {
    const NAME: &'static str = "Update";

    fn fields(&self, _: Detail) -> Fields {
        Fields::of(self).without(&["Stagger"])
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
}

impl Shape for EphemeralDisk {
    const NAME: &'static str = "EphemeralDisk";
}

impl Shape for Consul {
    const NAME: &'static str = "Consul";
}

impl Shape for PeriodicConfig {
    const NAME: &'static str = "Periodic";

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
}

impl Shape for MultiregionRegion {
    const NAME: &'static str = "Region";

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
        Fields::of(self).without(&[
            "Type",
            "ID",
            "Namespace",
            "Target",
            "CreateIndex",
            "ModifyIndex",
        ])
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
