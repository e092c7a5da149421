//! Services and their checks.

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape, kind_of_presence},
};
use crate::job::{CheckRestart, Service, ServiceCheck};

/// Services of a group or task. Nothing identifies one, so an old one is found again by what it has in common with a
/// new one: its name first, then its port, then its place in the list.
pub(super) fn services(detail: Detail, old: &[Service], new: &[Service]) -> Vec<ObjectDiff> {
    detail.matched(old, new, |index, one, free| {
        let mut best = None;
        for (at, other) in free {
            let score = u8::from(*at == index)
                + 2 * u8::from(other.port_label == one.port_label)
                + 3 * u8::from(other.name == one.name);
            if score > 2 && best.is_none_or(|(_, highest)| score > highest) {
                best = Some((*at, score));
            }
        }
        best.map(|(at, _)| at)
    })
}

impl Shape for Service {
    const NAME: &'static str = "Service";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.texts("CanaryTags", &old.canary_tags, &new.canary_tags));
        found.extend(detail.texts("Tags", &old.tags, &new.tags));
        found.extend(detail.keyed(&old.checks, &new.checks, |check| &check.name, Detail::block));
        // The checks have inherited it, and show it if they changed by it.
        if detail.complete && old.checks == new.checks {
            found.extend(detail.block(old.check_restart.as_ref(), new.check_restart.as_ref()));
        }
        found.extend(detail.block(old.connect.as_ref(), new.connect.as_ref()));
        found
    }
}

impl Shape for ServiceCheck {
    const NAME: &'static str = "Check";

    fn fields(&self, detail: Detail) -> Fields {
        let is_shown = detail.complete && !self.advertise.is_empty();
        Fields::of(self).without_if(!is_shown, "Advertise")
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        if old.header != new.header {
            found.push(ObjectDiff {
                kind: kind_of_presence(!old.header.is_empty(), !new.header.is_empty()),
                name: "Header".to_owned(),
                fields: Fields::of_lists(&old.header)
                    .diff(&Fields::of_lists(&new.header), detail.contextual),
                objects: Vec::new(),
            });
        }
        found.extend(detail.block(old.check_restart.as_ref(), new.check_restart.as_ref()));
        if detail.complete {
            found.extend(detail.changed_texts("Args", &old.args, &new.args));
        }
        found
    }
}

impl Shape for CheckRestart {
    const NAME: &'static str = "CheckRestart";
}
