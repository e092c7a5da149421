//! The best node for an alloc, over all nodes.
//!
//! Scores are Nomad's: bin packing (a node that is fuller after the placement is better), lowered where the group has
//! allocs already and where the alloc failed before, and moved by affinities and spreads; the mean of what applies
//! decides, and a draw between equals.
//! A [`GroupSearch`] walks all nodes once for a group and is then updated node by node as its allocs land, so that the
//! second of a thousand placements costs no second walk.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use rand::Rng;
use rove_model::{
    eval::{AllocMetric, NodeScore},
    ids::NodeId,
    node::Node,
    resources::{Dimension, Room},
};

use super::{
    cluster::{Cluster, SlotId, powers},
    constraints::DistinctProperty,
    draft::Draft,
    feasibility::{ClassVerdict, Requirements},
    ports::Handed,
    preferences::{Compiled, SpreadCounts},
};

/// The best sum of powers is 2, the worst 20: scores are scaled by the difference.
const BIN_PACKING_MAX: f64 = 18.0;

/// How many nodes' scores a placement shows.
const SHOWN_SCORES: usize = 5;

/// How many placements of a group show the scores of other nodes as well: they take more bytes than the alloc.
const PLACEMENTS_WITH_SCORES: usize = 10;

/// Up to so many best nodes are kept in order during the walk; beyond, all of them go into a heap.
const KEPT_IN_ORDER: usize = 16;

/// A node that would do, and its score as it is now.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f64,
    tie: u64,
    slot: SlotId,
    /// Outdated when the node was changed since.
    stamp: u32,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(self.tie.cmp(&other.tie))
    }
}

/// What is to be said of a node of a feasible class.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    RuledOut(String),
    Exhausted(String),
    Fits(f64),
}

/// What one placement wishes.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Nodes where its predecessors failed.
    pub penalties: Vec<NodeId>,
    /// The node that has its data.
    pub preferred: Option<NodeId>,
}

/// A node that was chosen.
#[derive(Debug)]
pub(super) struct Chosen {
    pub node: NodeId,
    pub ports: Handed,
    pub metric: AllocMetric,
}

/// The search for places for the allocs of one group.
pub(super) struct GroupSearch<'s, 'j> {
    requirements: &'s Requirements<'j>,
    verdicts: &'s [ClassVerdict],
    /// The group's place in the job.
    group: usize,
    /// How many allocs of it are wanted.
    desired: u64,
    candidates: BinaryHeap<Candidate>,
    stamps: HashMap<SlotId, u32>,
    /// 10 to the power of what the ask takes of each size of node, for CPU and memory.
    factors: (Vec<f64>, Vec<f64>),
    /// Without what changes from placement to placement.
    metric: AllocMetric,
    /// Nodes in scope by their verdict, but for those that fit: reason, node class.
    ruled_out: BTreeMap<(String, String), u64>,
    exhausted: BTreeMap<(String, String), u64>,
    /// For each distinct property, how many allocs there are by its value.
    by_property: Vec<HashMap<String, u64>>,
    preferences: Compiled<'s>,
    by_spread: SpreadCounts,
    placed: usize,
}

/// What makes up a node's score.
#[derive(Clone, Copy, Debug)]
struct Score {
    packing: f64,
    anti_affinity: Option<f64>,
    affinity: Option<f64>,
    spread: Option<f64>,
    /// The alloc failed there before.
    penalty: bool,
}

impl Score {
    /// The mean of what applies.
    fn mean(self) -> f64 {
        let penalty = self.penalty.then_some(-1.0);
        let further = [self.anti_affinity, self.affinity, self.spread, penalty];
        let (sum, parts) = further
            .into_iter()
            .flatten()
            .fold((self.packing, 1.0), |(sum, parts), score| {
                (sum + score, parts + 1.0)
            });
        sum / parts
    }
}

impl<'s, 'j> GroupSearch<'s, 'j> {
    /// Walks all nodes. At most `wanted` placements will be asked for, with at most `penalties` penalised nodes each.
    pub(super) fn new(
        draft: &Draft<'_>,
        requirements: &'s Requirements<'j>,
        verdicts: &'s [ClassVerdict],
        (group, desired): (usize, u64),
        metric: AllocMetric,
        (wanted, penalties): (usize, usize),
    ) -> Self {
        let factors = |ask: u64| {
            draft
                .cluster
                .sizes
                .iter()
                .map(|size| factor(ask, *size))
                .collect()
        };
        let mut search = Self {
            requirements,
            verdicts,
            group,
            desired,
            candidates: BinaryHeap::new(),
            stamps: HashMap::new(),
            factors: (
                factors(requirements.room.cpu),
                factors(requirements.room.memory_mb),
            ),
            metric,
            ruled_out: BTreeMap::new(),
            exhausted: BTreeMap::new(),
            by_property: Vec::new(),
            preferences: requirements.preferences.compile(),
            by_spread: SpreadCounts::default(),
            placed: 0,
        };
        // A placement takes one node of those kept, and the end of its predecessor another.
        search.walk(draft, 2 * wanted + penalties + SHOWN_SCORES);
        search
    }

    /// Looks at every node of the feasible classes, and keeps at least the best `enough`.
    fn walk(&mut self, draft: &Draft<'_>, enough: usize) {
        self.ruled_out.clear();
        self.exhausted.clear();
        self.by_property = self.count_properties(draft);
        self.by_spread = self.count_spreads(draft);
        let mut best = Best::new(enough);
        let cluster = draft.cluster;
        let room = self.requirements.room;
        let plain = !self.requirements.asks_each_node();
        let alone = self.requirements.distinct_properties.is_empty() && self.preferences.is_empty();
        let ports_by_count = self.requirements.ports.is_dynamic_only();
        for (class, verdict) in cluster.classes.iter().zip(self.verdicts) {
            match verdict {
                ClassVerdict::OutOfScope => continue,
                ClassVerdict::RuledOut(reason) => {
                    if let Some(slot) = class.members.first() {
                        let nodes = class.members.len() as i64;
                        count(
                            &mut self.ruled_out,
                            reason,
                            node_class(cluster, *slot),
                            nodes,
                        );
                    }
                    continue;
                }
                ClassVerdict::Feasible => {}
            }
            // Counted apart, as a full cluster has thousands of them.
            let mut full = [0; 3];
            for &slot in &class.members {
                let hot = &cluster.hot[slot as usize];
                let quick = alone
                    && (plain || self.has_network_only(draft, slot))
                    && ports_by_count
                    && hot.dynamic_free >= self.requirements.ports.dynamic()
                    && !draft.is_special(slot);
                if quick {
                    match hot.room.exceeded_by(hot.used.plus(room)) {
                        Some(dimension) => full[dimension as usize] += 1,
                        None => {
                            let score = self.bin_packing(hot.power, hot.size);
                            best.add(self.candidate(draft, slot, score, 0));
                        }
                    }
                    continue;
                }
                match self.look_at(draft, slot) {
                    Verdict::Fits(score) => best.add(self.candidate(draft, slot, score, 0)),
                    Verdict::Exhausted(reason) => {
                        count(&mut self.exhausted, &reason, node_class(cluster, slot), 1);
                    }
                    Verdict::RuledOut(reason) => {
                        count(&mut self.ruled_out, &reason, node_class(cluster, slot), 1);
                    }
                }
            }
            for dimension in [Dimension::Cpu, Dimension::Memory, Dimension::Disk] {
                if let (Some(slot), nodes @ 1..) = (class.members.first(), full[dimension as usize])
                {
                    let node_class = node_class(cluster, *slot);
                    count(&mut self.exhausted, dimension.name(), node_class, nodes);
                }
            }
        }
        self.stamps.clear();
        self.candidates = best.into_heap();
    }

    /// Nothing but room and ports is asked of each node, and it has a network.
    fn has_network_only(&self, draft: &Draft<'_>, slot: SlotId) -> bool {
        draft
            .cluster
            .node(slot)
            .is_some_and(|node| self.requirements.ruled_out_alone(node).is_none())
    }

    fn candidate(&self, draft: &Draft<'_>, slot: SlotId, score: f64, stamp: u32) -> Candidate {
        Candidate {
            score,
            tie: mix(draft.cluster.hot[slot as usize].tie ^ draft.seed),
            slot,
            stamp,
        }
    }

    /// The score of bin packing, from 0 to 1.
    fn bin_packing(&self, power: (f64, f64), size: (u32, u32)) -> f64 {
        let cpu = power.0 * self.factors.0[size.0 as usize];
        let memory = power.1 * self.factors.1[size.1 as usize];
        (20.0 - (cpu + memory)).clamp(0.0, BIN_PACKING_MAX) / BIN_PACKING_MAX
    }

    /// What an alloc of the group beside others of it costs.
    fn anti_affinity(&self, beside: u64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
        (beside > 0).then(|| -((beside + 1) as f64) / self.desired.max(1) as f64)
    }

    fn look_at(&self, draft: &Draft<'_>, slot: SlotId) -> Verdict {
        let Some(node) = draft.cluster.node(slot) else {
            return Verdict::RuledOut("missing node".to_owned());
        };
        if let Some(reason) = self.requirements.ruled_out_alone(node) {
            return Verdict::RuledOut(reason.to_owned());
        }
        let of_job = draft.of_job.get(&slot).copied().unwrap_or(0);
        let of_group = draft.allocs_of_group(slot, self.group);
        if let Some(reason) = self.requirements.ruled_out_beside(of_job, of_group) {
            return Verdict::RuledOut(reason.to_owned());
        }
        if let Some(reason) = self.ruled_out_by_property(node) {
            return Verdict::RuledOut(reason);
        }
        let ports = &self.requirements.ports;
        if let Some(reason) = ports.refused_by(draft.ports(slot)) {
            return Verdict::Exhausted(reason);
        }
        let hot = &draft.cluster.hot[slot as usize];
        let used = draft.used(slot).plus(self.requirements.room);
        if let Some(dimension) = hot.room.exceeded_by(used) {
            return Verdict::Exhausted(dimension.name().to_owned());
        }
        Verdict::Fits(self.score(draft, slot, node, false).mean())
    }

    fn score(&self, draft: &Draft<'_>, slot: SlotId, node: &Node, penalty: bool) -> Score {
        let size = draft.cluster.hot[slot as usize].size;
        Score {
            packing: self.bin_packing(draft.power(slot), size),
            anti_affinity: self.anti_affinity(draft.allocs_of_group(slot, self.group)),
            affinity: self.preferences.affinity(node),
            spread: self.preferences.spread(node, &self.by_spread),
            penalty,
        }
    }

    fn count_spreads(&self, draft: &Draft<'_>) -> SpreadCounts {
        let allocs = draft
            .of_group
            .iter()
            .filter(|((_, group), _)| *group == self.group)
            .filter_map(|((slot, _), allocs)| Some((draft.cluster.node(*slot)?, *allocs)));
        self.preferences.count(allocs)
    }

    fn count_properties(&self, draft: &Draft<'_>) -> Vec<HashMap<String, u64>> {
        let properties = &self.requirements.distinct_properties;
        let count = |property: &DistinctProperty<'_>| {
            let mut counts = HashMap::new();
            let mut add = |slot: SlotId, allocs: u64| {
                let node = draft.cluster.node(slot);
                if let Some(value) = node.and_then(|node| property.value(node)) {
                    *counts.entry(value).or_default() += allocs;
                }
            };
            if property.of_job {
                draft.of_job.iter().for_each(|(slot, n)| add(*slot, *n));
            } else {
                for ((slot, group), allocs) in &draft.of_group {
                    if *group == self.group {
                        add(*slot, *allocs);
                    }
                }
            }
            counts
        };
        properties.iter().map(count).collect()
    }

    fn ruled_out_by_property(&self, node: &Node) -> Option<String> {
        let properties = &self.requirements.distinct_properties;
        properties
            .iter()
            .zip(&self.by_property)
            .find_map(|(property, counts)| {
                let Some(value) = property.value(node) else {
                    return Some(property.missing());
                };
                let used = counts.get(&value).copied().unwrap_or(0);
                (used >= property.allowed).then(|| property.used_up(&value, used))
            })
    }

    /// To be called around every change of a node: `before` with what [`GroupSearch::verdict`] said then.
    fn changed(&mut self, draft: &Draft<'_>, slot: SlotId, before: Option<Verdict>) {
        let node_class = node_class(draft.cluster, slot);
        match before {
            Some(Verdict::Exhausted(reason)) => {
                count(&mut self.exhausted, &reason, node_class, -1);
            }
            Some(Verdict::RuledOut(reason)) => {
                count(&mut self.ruled_out, &reason, node_class, -1);
            }
            Some(Verdict::Fits(_)) | None => {}
        }
        let stamp = self.stamps.entry(slot).or_default();
        *stamp += 1;
        let stamp = *stamp;
        match self.verdict(draft, slot) {
            Some(Verdict::Fits(score)) => {
                let candidate = self.candidate(draft, slot, score, stamp);
                self.candidates.push(candidate);
            }
            Some(Verdict::Exhausted(reason)) => {
                count(&mut self.exhausted, &reason, node_class, 1);
            }
            Some(Verdict::RuledOut(reason)) => {
                count(&mut self.ruled_out, &reason, node_class, 1);
            }
            None => {}
        }
    }

    /// The verdict on a node as it is now; `None` where its class isn't feasible or it isn't ready.
    fn verdict(&self, draft: &Draft<'_>, slot: SlotId) -> Option<Verdict> {
        let (class, _) = draft.cluster.slots[slot as usize].class?;
        (self.verdicts.get(class as usize) == Some(&ClassVerdict::Feasible))
            .then(|| self.look_at(draft, slot))
    }

    /// Frees what an alloc takes, to place its successor.
    pub(super) fn free(
        &mut self,
        draft: &mut Draft<'_>,
        slot: SlotId,
        room: Room,
        ports: impl Iterator<Item = u16>,
    ) {
        let before = self.verdict(draft, slot);
        draft.free(slot, self.group, room, ports);
        self.changed(draft, slot, before);
    }

    /// Takes back a [`GroupSearch::free`].
    pub(super) fn unfree(
        &mut self,
        draft: &mut Draft<'_>,
        slot: SlotId,
        room: Room,
        ports: impl Iterator<Item = u16>,
    ) {
        let before = self.verdict(draft, slot);
        draft.unfree(slot, self.group, room, ports);
        self.changed(draft, slot, before);
    }

    /// The best node for the next alloc, which takes its room there; else why there is none.
    pub(super) fn place(
        &mut self,
        draft: &mut Draft<'_>,
        wish: &Wish,
        rng: &mut dyn Rng,
    ) -> Result<Chosen, Box<AllocMetric>> {
        if !self.requirements.distinct_properties.is_empty() || self.preferences.has_spreads() {
            // One placement may rule out nodes that it did not touch, or change what they are worth.
            self.walk(draft, SHOWN_SCORES + wish.penalties.len());
        }
        let scores = if self.placed < PLACEMENTS_WITH_SCORES {
            SHOWN_SCORES
        } else {
            1
        };
        let ranked = self.preferred(draft, wish).map_or_else(
            || self.best(draft, wish, scores),
            |candidate| vec![(candidate.score, candidate)],
        );
        let Some((_, first)) = ranked.first().copied() else {
            return Err(Box::new(self.metric_now()));
        };
        let mut metric = self.metric_now();
        metric.score_meta_data = ranked
            .iter()
            .filter_map(|(_, candidate)| self.shown(draft, wish, candidate.slot))
            .collect();
        let before = self.verdict(draft, first.slot);
        let Some(ports) = draft.take(first.slot, self.group, self.requirements, rng) else {
            return Err(Box::new(metric));
        };
        self.changed(draft, first.slot, before);
        self.placed += 1;
        Ok(Chosen {
            node: draft.cluster.slots[first.slot as usize].id,
            ports,
            metric,
        })
    }

    /// The node that the alloc would rather have than the best one.
    fn preferred(&self, draft: &Draft<'_>, wish: &Wish) -> Option<Candidate> {
        let slot = draft.cluster.slot(wish.preferred?)?;
        match self.verdict(draft, slot)? {
            Verdict::Fits(score) => Some(self.candidate(draft, slot, score, 0)),
            _ => None,
        }
    }

    /// The best `shown` nodes, best first, with the scores that count for this alloc.
    fn best(&mut self, draft: &Draft<'_>, wish: &Wish, shown: usize) -> Vec<(f64, Candidate)> {
        let penalised = wish
            .penalties
            .iter()
            .filter_map(|node| draft.cluster.slot(*node))
            .collect::<Vec<_>>();
        let mut unpenalised = 0;
        let mut ranked = Vec::with_capacity(shown + penalised.len());
        while unpenalised < shown {
            let Some(candidate) = self.candidates.pop() else {
                break;
            };
            let stamp = self.stamps.get(&candidate.slot).copied().unwrap_or(0);
            if candidate.stamp != stamp {
                continue;
            }
            if penalised.contains(&candidate.slot) {
                ranked.push((self.penalised_score(draft, candidate.slot), candidate));
            } else {
                ranked.push((candidate.score, candidate));
                unpenalised += 1;
            }
        }
        self.candidates
            .extend(ranked.iter().map(|(_, candidate)| *candidate));
        ranked.sort_by(|(left, a), (right, b)| right.total_cmp(left).then(b.tie.cmp(&a.tie)));
        ranked.truncate(shown);
        ranked
    }

    fn penalised_score(&self, draft: &Draft<'_>, slot: SlotId) -> f64 {
        draft
            .cluster
            .node(slot)
            .map_or(f64::MIN, |node| self.score(draft, slot, node, true).mean())
    }

    fn shown(&self, draft: &Draft<'_>, wish: &Wish, slot: SlotId) -> Option<NodeScore> {
        let hot = &draft.cluster.hot[slot as usize];
        let node = draft.cluster.node(slot)?;
        let penalty = wish.penalties.contains(&node.id);
        // Bin packing anew, without what rounding the quick way adds up.
        let power = powers(hot.room, draft.used(slot).plus(self.requirements.room));
        let score = Score {
            packing: (20.0 - (power.0 + power.1)).clamp(0.0, BIN_PACKING_MAX) / BIN_PACKING_MAX,
            ..self.score(draft, slot, node, penalty)
        };
        let shown = [
            ("binpack", Some(score.packing)),
            (
                "job-anti-affinity",
                Some(score.anti_affinity.unwrap_or(0.0)),
            ),
            ("node-affinity", Some(score.affinity.unwrap_or(0.0))),
            (
                "node-reschedule-penalty",
                Some(if penalty { -1.0 } else { 0.0 }),
            ),
            ("allocation-spread", score.spread),
        ];
        Some(NodeScore {
            node_id: node.id,
            scores: shown
                .into_iter()
                .filter_map(|(name, score)| Some((name.to_owned(), score?)))
                .collect(),
            norm_score: score.mean(),
        })
    }

    fn metric_now(&self) -> AllocMetric {
        let mut metric = self.metric.clone();
        for ((reason, class), nodes) in &self.ruled_out {
            metric.nodes_filtered += nodes;
            *metric
                .constraint_filtered
                .entry(reason.clone())
                .or_default() += nodes;
            if !class.is_empty() {
                *metric.class_filtered.entry(class.clone()).or_default() += nodes;
            }
        }
        for ((reason, class), nodes) in &self.exhausted {
            metric.nodes_exhausted += nodes;
            *metric
                .dimension_exhausted
                .entry(reason.clone())
                .or_default() += nodes;
            if !class.is_empty() {
                *metric.class_exhausted.entry(class.clone()).or_default() += nodes;
            }
        }
        metric
    }
}

/// The best candidates of a walk.
enum Best {
    /// In order, the best first, at most so many.
    Few(Vec<Candidate>, usize),
    All(Vec<Candidate>),
}

impl Best {
    fn new(enough: usize) -> Self {
        if enough <= KEPT_IN_ORDER {
            Self::Few(Vec::with_capacity(enough + 1), enough)
        } else {
            Self::All(Vec::new())
        }
    }

    fn add(&mut self, candidate: Candidate) {
        match self {
            Self::All(all) => all.push(candidate),
            Self::Few(best, enough) => {
                if best.len() == *enough && best.last().is_none_or(|last| candidate <= *last) {
                    return;
                }
                let place = best.partition_point(|other| *other > candidate);
                best.insert(place, candidate);
                best.truncate(*enough);
            }
        }
    }

    fn into_heap(self) -> BinaryHeap<Candidate> {
        match self {
            Self::Few(candidates, _) | Self::All(candidates) => candidates.into(),
        }
    }
}

fn node_class(cluster: &Cluster, slot: SlotId) -> &str {
    cluster
        .node(slot)
        .map_or("", |node| node.node_class.as_str())
}

fn count(counts: &mut BTreeMap<(String, String), u64>, reason: &str, class: &str, nodes: i64) {
    let key = (reason.to_owned(), class.to_owned());
    let now = counts
        .get(&key)
        .copied()
        .unwrap_or(0)
        .saturating_add_signed(nodes);
    if now == 0 {
        counts.remove(&key);
    } else {
        counts.insert(key, now);
    }
}

/// By how much an ask lowers 10 to the power of the free share of a node of this size.
fn factor(ask: u64, size: u64) -> f64 {
    if size == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
    let share = ask as f64 / size as f64;
    10f64.powf(-share)
}

/// Spreads the bits of a number over all of it (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
