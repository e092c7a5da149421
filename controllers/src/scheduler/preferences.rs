//! What a group would rather have: affinities, which like or dislike nodes, and spreads, which like values of an
//! attribute that have fewer of its allocs than they should.
//!
//! The scores are the reference's. Neither rules a node out.

use std::collections::{BTreeMap, HashMap};

use rove_model::{
    job::{Affinity, Constraint, Job, Spread, TaskGroup},
    node::Node,
};

use super::constraints::{NodeConstraint, NodeProperty};

/// Weight of an affinity or a spread that names none.
const DEFAULT_WEIGHT: i64 = 50;

/// All wishes of a group, its job's and its tasks' among them.
#[derive(Debug, Default)]
pub(super) struct Preferences {
    affinities: Vec<(Constraint, f64)>,
    /// The sum of the affinities' weights without their signs.
    affinity_weights: f64,
    spreads: Vec<SpreadRule>,
}

/// One spread, as counts of the group.
#[derive(Debug)]
struct SpreadRule {
    attribute: String,
    /// Its share of all spreads' weights.
    weight: f64,
    /// How many allocs each value should have; empty: all values alike.
    desired: HashMap<String, f64>,
    /// What is left for each value that isn't named.
    others: Option<f64>,
}

impl Preferences {
    pub(super) fn of(job: &Job, group: &TaskGroup) -> Self {
        let of_tasks = group.tasks.iter().flat_map(|task| &task.affinities);
        let affinities: Vec<_> = job
            .affinities
            .iter()
            .chain(&group.affinities)
            .chain(of_tasks)
            .map(|affinity| (as_constraint(affinity), weight(affinity.weight)))
            .collect();
        let spreads = || job.spreads.iter().chain(&group.spreads);
        let spread_weights: f64 = spreads().map(|spread| weight(spread.weight)).sum();
        Self {
            affinity_weights: affinities.iter().map(|(_, weight)| weight.abs()).sum(),
            affinities,
            spreads: spreads()
                .map(|spread| SpreadRule::of(spread, group.count(), spread_weights))
                .collect(),
        }
    }

    /// Ready to be decided on nodes.
    pub(super) fn compile(&self) -> Compiled<'_> {
        Compiled {
            affinities: self
                .affinities
                .iter()
                .filter_map(|(constraint, weight)| {
                    Some((NodeConstraint::compile(constraint)?, *weight))
                })
                .collect(),
            affinity_weights: self.affinity_weights,
        }
    }

    /// The counts of its spreads, with nothing counted yet.
    pub(super) fn tallies(&self) -> Vec<SpreadTally<'_>> {
        self.spreads
            .iter()
            .map(|rule| SpreadTally::new(NodeProperty::parse(&rule.attribute), rule))
            .collect()
    }
}

impl SpreadRule {
    fn of(spread: &Spread, count: u64, weights: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
        let count = count as f64;
        let desired: HashMap<String, f64> = spread
            .spread_target
            .iter()
            .map(|target| {
                #[expect(clippy::cast_precision_loss, reason = "1 to 100")]
                let share = target.percent as f64 / 100.0;
                (target.value.clone(), share * count)
            })
            .collect();
        let sum: f64 = desired.values().sum();
        Self {
            attribute: spread.attribute.clone(),
            weight: if weights > 0.0 {
                weight(spread.weight) / weights
            } else {
                0.0
            },
            others: (sum > 0.0 && sum < count).then_some(count - sum),
            desired,
        }
    }
}

/// The score of one more alloc at a value that has `used`, where all should have as many as each other and have from
/// the least to the most of `range`.
#[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
fn even(used: u64, range: Option<(u64, u64)>) -> f64 {
    let Some((least, most)) = range else {
        // Nothing is placed yet.
        return 0.0;
    };
    if used != least {
        return (least as f64 - used as f64) / least as f64;
    }
    if least == most {
        return -1.0;
    }
    (most - least) as f64 / least as f64
}

fn as_constraint(affinity: &Affinity) -> Constraint {
    Constraint {
        ltarget: affinity.ltarget.clone(),
        rtarget: affinity.rtarget.clone(),
        operand: affinity.operand.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "-100 to 100")]
fn weight(given: Option<i64>) -> f64 {
    given.unwrap_or(DEFAULT_WEIGHT) as f64
}

/// How many allocs of the group each value of a spread's attribute has, kept as allocs come and go.
#[derive(Debug)]
pub(super) struct SpreadTally<'p> {
    property: NodeProperty<'p>,
    rule: &'p SpreadRule,
    places: HashMap<String, u32>,
    values: Vec<SpreadValue>,
    /// How many the values have together that the spread doesn't name.
    unnamed: u64,
    /// How many values have that many allocs; none has 0.
    by_count: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct SpreadValue {
    used: u64,
    /// What it should have, when the spread names it.
    desired: Option<f64>,
}

impl<'p> SpreadTally<'p> {
    fn new(property: NodeProperty<'p>, rule: &'p SpreadRule) -> Self {
        Self {
            property,
            rule,
            places: HashMap::new(),
            values: Vec::new(),
            unnamed: 0,
            by_count: BTreeMap::new(),
        }
    }

    fn place(&mut self, value: String) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let rule = self.rule;
        *self.places.entry(value).or_insert_with_key(|value| {
            self.values.push(SpreadValue {
                used: 0,
                desired: rule.desired.get(value).copied(),
            });
            next
        })
    }

    /// Which of the values a node has; `None` without any.
    pub(super) fn value(&mut self, node: &Node) -> Option<u32> {
        let value = self.property.value(node)?;
        Some(self.place(value))
    }

    /// So many allocs more, or fewer, at a value.
    pub(super) fn count(&mut self, value: u32, change: i64) {
        let Some(value) = self.values.get_mut(value as usize) else {
            return;
        };
        let before = value.used;
        value.used = before.saturating_add_signed(change);
        if value.desired.is_none() {
            self.unnamed = self.unnamed.saturating_sub(before) + value.used;
        }
        if before > 0
            && let Some(values) = self.by_count.get_mut(&before)
        {
            *values -= 1;
            if *values == 0 {
                self.by_count.remove(&before);
            }
        }
        if value.used > 0 {
            *self.by_count.entry(value.used).or_default() += 1;
        }
    }

    /// The score of one more alloc at a value.
    pub(super) fn score(&self, value: Option<u32>) -> f64 {
        let Some(value) = value.and_then(|value| self.values.get(value as usize)) else {
            return -1.0;
        };
        if self.rule.desired.is_empty() {
            let least = self.by_count.first_key_value();
            let range = least.zip(self.by_count.last_key_value());
            return even(
                value.used,
                range.map(|((least, _), (most, _))| (*least, *most)),
            );
        }
        let (desired, used) = match value.desired {
            Some(desired) => (Some(desired), value.used),
            // Together, so that what is named gets its share; the reference gives as much to each.
            None => (self.rule.others, self.unnamed),
        };
        match desired {
            Some(desired) if desired > 0.0 => {
                #[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
                let used = (used + 1) as f64;
                (desired - used) / desired * self.rule.weight
            }
            _ => -1.0,
        }
    }
}

/// [`Preferences`], ready to be decided on nodes.
#[derive(Debug)]
pub(super) struct Compiled<'p> {
    affinities: Vec<(NodeConstraint<'p>, f64)>,
    affinity_weights: f64,
}

impl Compiled<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.affinities.is_empty()
    }

    /// What the affinities say of a node, from -1 to 1; `None` where nothing.
    pub(super) fn affinity(&self, node: &Node) -> Option<f64> {
        let sum: f64 = self
            .affinities
            .iter()
            .filter(|(constraint, _)| constraint.is_met_by(node))
            .map(|(_, weight)| weight)
            .sum();
        (sum != 0.0 && self.affinity_weights > 0.0).then(|| sum / self.affinity_weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(rule: &SpreadRule, value: Option<&str>, of: &[(&str, u64)]) -> f64 {
        let mut tally = SpreadTally::new(NodeProperty::parse("${node.datacenter}"), rule);
        for (value, used) in of {
            let place = tally.place((*value).to_owned());
            // One more that is given back leaves no trace.
            for change in [1, *used as i64, -1] {
                tally.count(place, change);
            }
        }
        let value = value.map(|value| tally.place(value.to_owned()));
        tally.score(value)
    }

    #[test]
    fn values_without_targets_get_as_many_each() {
        for (what, value, of, expected) in [
            ("the first goes anywhere", Some("a"), &[][..], 0.0),
            ("a node without the attribute", None, &[("a", 1)], -1.0),
            ("a value that has none", Some("b"), &[("a", 2)], 1.0),
            ("the only value again", Some("a"), &[("a", 2)], -1.0),
            ("all alike", Some("a"), &[("a", 2), ("b", 2)], -1.0),
            ("the least", Some("b"), &[("a", 3), ("b", 1)], 2.0),
            ("the most", Some("a"), &[("a", 3), ("b", 1)], -2.0),
            ("given back counts as none", Some("a"), &[("a", 0)], 0.0),
        ] {
            let rule = SpreadRule::of(&Spread::default(), 4, 50.0);
            let score = score(&rule, value, of);
            assert!((score - expected).abs() < 1e-9, "{what}: {score}");
        }
    }

    #[test]
    fn values_with_targets_get_their_share() {
        let target = |value: &str, percent| rove_model::job::SpreadTarget {
            value: value.to_owned(),
            percent,
        };
        let spread = Spread {
            attribute: "${node.datacenter}".to_owned(),
            weight: Some(100),
            spread_target: vec![target("a", 60), target("b", 30), target("z", 0)],
        };
        for (what, value, of, expected) in [
            ("none of six yet", Some("a"), &[][..], 5.0 / 6.0),
            ("half of six", Some("a"), &[("a", 2)], 0.5),
            ("all six", Some("a"), &[("a", 5)], 0.0),
            ("one too many", Some("a"), &[("a", 6)], -1.0 / 6.0),
            ("one that isn't named", Some("c"), &[("a", 6)], 0.0),
            (
                "one beside another that isn't",
                Some("c"),
                &[("d", 1)],
                -1.0,
            ),
            ("a share of nothing", Some("z"), &[], -1.0),
            ("no value", None, &[], -1.0),
        ] {
            let rule = SpreadRule::of(&spread, 10, 100.0);
            let score = score(&rule, value, of);
            assert!((score - expected).abs() < 1e-9, "{what}: {score}");
        }
        // Another spread of the same weight halves the say of this one.
        let half = SpreadRule::of(&spread, 10, 200.0);
        assert!((score(&half, Some("a"), &[("a", 2)]) - 0.25).abs() < 1e-9);
    }
}
