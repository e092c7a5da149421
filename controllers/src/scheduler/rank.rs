//! The best node for an alloc, over all nodes.
//!
//! Scores are Nomad's: bin packing (a node that is fuller after the placement is better), lowered where the group has
//! allocs already and where the alloc failed before, and moved by affinities and spreads; the mean of what applies
//! decides, and a draw between equals.
//! A [`GroupSearch`] walks all nodes once for a group and is then updated node by node as its allocs land, so that the
//! second of a thousand placements costs no second walk.

use std::collections::BTreeMap;

use rand::Rng;
use rove_model::{
    eval::{AllocMetric, NodeScore},
    ids::NodeId,
    node::Node,
    resources::{Dimension, Room},
};

use super::{
    cells::{Base, Candidate, Cells, Tally, Verdict},
    cluster::{Cluster, SlotId, powers},
    draft::Draft,
    feasibility::{ClassVerdict, Requirements},
    ports::Handed,
    preferences::Compiled,
};

/// The best sum of powers is 2, the worst 20: scores are scaled by the difference.
const BIN_PACKING_MAX: f64 = 18.0;

/// How many nodes' scores a placement shows.
const SHOWN_SCORES: usize = 5;

/// How many reasons for ruling nodes out a placement shows one by one.
const SHOWN_REASONS: usize = 20;

/// What stands for the others.
const OTHER_REASONS: &str = "other reasons";

/// How many placements of a group show the scores of other nodes as well: they take more bytes than the alloc.
const PLACEMENTS_WITH_SCORES: usize = 10;

#[cfg(test)]
thread_local! {
    /// How often a node was looked at, in a test.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
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
    cells: Cells<'s, 'j>,
    /// 10 to the power of what the ask takes of each size of node, for CPU and memory.
    factors: (Vec<f64>, Vec<f64>),
    /// Without what changes from placement to placement.
    metric: AllocMetric,
    preferences: Compiled<'s>,
    placed: usize,
}

/// What makes up a node's score, but for what spreads say.
#[derive(Clone, Copy, Debug)]
struct Score {
    packing: f64,
    anti_affinity: Option<f64>,
    affinity: Option<f64>,
    /// The alloc failed there before.
    penalty: bool,
}

impl Score {
    fn base(self) -> Base {
        let penalty = self.penalty.then_some(-1.0);
        let further = [self.anti_affinity, self.affinity, penalty];
        let first = Base {
            sum: self.packing,
            parts: 1,
        };
        further
            .into_iter()
            .flatten()
            .fold(first, |base, score| Base {
                sum: base.sum + score,
                parts: base.parts + 1,
            })
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
            // A placement takes one node of those kept, and the end of its predecessor another.
            cells: Cells::new(requirements, 2 * wanted + penalties + SHOWN_SCORES),
            factors: (
                factors(requirements.room.cpu),
                factors(requirements.room.memory_mb),
            ),
            metric,
            preferences: requirements.preferences.compile(),
            placed: 0,
        };
        search.count_allocs(draft);
        search.walk(draft);
        search
    }

    /// Counts the allocs that there are by the values that spreads and distinct properties look at.
    fn count_allocs(&mut self, draft: &Draft<'_>) {
        if self.cells.is_one() {
            return;
        }
        let signed = |allocs: u64| i64::try_from(allocs).unwrap_or(i64::MAX);
        for (slot, allocs) in &draft.of_job {
            if let Some(node) = draft.cluster.node(*slot) {
                let of_group = draft.allocs_of_group(*slot, self.group);
                self.cells.count(node, signed(*allocs), signed(of_group));
            }
        }
    }

    /// Looks at every node of the feasible classes.
    fn walk(&mut self, draft: &Draft<'_>) {
        let cluster = draft.cluster;
        let room = self.requirements.room;
        let plain = !self.requirements.asks_each_node();
        let alone = self.cells.is_one() && self.preferences.is_empty();
        let ports_by_count = self.requirements.ports.is_dynamic_only();
        for (class, verdict) in cluster.classes.iter().zip(self.verdicts) {
            match verdict {
                ClassVerdict::OutOfScope => continue,
                ClassVerdict::RuledOut(reason) => {
                    if let Some(slot) = class.members.first() {
                        let nodes = class.members.len() as i64;
                        let class = node_class(cluster, *slot);
                        self.cells.ruled_out.count(reason, class, nodes);
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
                let (cell, verdict) = if quick {
                    match hot.room.exceeded_by(hot.used.plus(room)) {
                        Some(dimension) => {
                            full[dimension as usize] += 1;
                            continue;
                        }
                        None => {
                            let sum = self.bin_packing(hot.power, hot.size);
                            (0, Verdict::Fits(Base { sum, parts: 1 }))
                        }
                    }
                } else {
                    let Some(node) = cluster.node(slot) else {
                        continue;
                    };
                    (self.cells.cell(node), self.look_at(draft, slot, node))
                };
                let candidate = |score, stamp| candidate(draft, slot, score, stamp);
                let class = node_class(cluster, slot);
                self.cells.add(cell, &verdict, class, candidate);
            }
            for dimension in [Dimension::Cpu, Dimension::Memory, Dimension::Disk] {
                if let (Some(slot), nodes @ 1..) = (class.members.first(), full[dimension as usize])
                {
                    let node_class = node_class(cluster, *slot);
                    let exhausted = &mut self.cells.exhausted;
                    exhausted.count(dimension.name(), node_class, nodes);
                }
            }
        }
    }

    /// Nothing but room and ports is asked of each node, and it has a network.
    fn has_network_only(&self, draft: &Draft<'_>, slot: SlotId) -> bool {
        draft
            .cluster
            .node(slot)
            .is_some_and(|node| self.requirements.ruled_out_alone(node).is_none())
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

    fn look_at(&self, draft: &Draft<'_>, slot: SlotId, node: &Node) -> Verdict {
        #[cfg(test)]
        LOOKED_AT.with(|looked_at| looked_at.set(looked_at.get() + 1));
        if let Some(reason) = self.requirements.ruled_out_alone(node) {
            return Verdict::RuledOut(reason.to_owned());
        }
        let of_job = draft.of_job.get(&slot).copied().unwrap_or(0);
        let of_group = draft.allocs_of_group(slot, self.group);
        if let Some(reason) = self.requirements.ruled_out_beside(of_job, of_group) {
            return Verdict::RuledOut(reason.to_owned());
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
        Verdict::Fits(self.score(draft, slot, node, false).base())
    }

    fn score(&self, draft: &Draft<'_>, slot: SlotId, node: &Node, penalty: bool) -> Score {
        let size = draft.cluster.hot[slot as usize].size;
        Score {
            packing: self.bin_packing(draft.power(slot), size),
            anti_affinity: self.anti_affinity(draft.allocs_of_group(slot, self.group)),
            affinity: self.preferences.affinity(node),
            penalty,
        }
    }

    /// To be called after every change of a node that takes an alloc of the group or gives one back: `before` with what
    /// [`GroupSearch::verdict`] said before it.
    fn changed(&mut self, draft: &Draft<'_>, slot: SlotId, before: Option<Verdict>, allocs: i64) {
        let Some(node) = draft.cluster.node(slot) else {
            return;
        };
        if !self.cells.is_one() {
            self.cells.count(node, allocs, allocs);
        }
        let verdicts = (before, self.verdict(draft, slot));
        let class = node_class(draft.cluster, slot);
        let candidate = |score, stamp| candidate(draft, slot, score, stamp);
        self.cells.replace(node, slot, verdicts, class, candidate);
    }

    /// The verdict on a node as it is now; `None` where its class isn't feasible or it isn't ready.
    fn verdict(&self, draft: &Draft<'_>, slot: SlotId) -> Option<Verdict> {
        let (class, _) = draft.cluster.slots[slot as usize].class?;
        let node = draft.cluster.node(slot)?;
        (self.verdicts.get(class as usize) == Some(&ClassVerdict::Feasible))
            .then(|| self.look_at(draft, slot, node))
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
        self.changed(draft, slot, before, -1);
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
        self.changed(draft, slot, before, 1);
    }

    /// The best node for the next alloc, which takes its room there; else why there is none.
    pub(super) fn place(
        &mut self,
        draft: &mut Draft<'_>,
        wish: &Wish,
        rng: &mut dyn Rng,
    ) -> Result<Chosen, Box<AllocMetric>> {
        let scores = if self.placed < PLACEMENTS_WITH_SCORES {
            SHOWN_SCORES
        } else {
            1
        };
        let ranked = self
            .preferred(draft, wish)
            .map_or_else(|| self.best(draft, wish, scores), |slot| vec![slot]);
        let Some(first) = ranked.first().copied() else {
            return Err(Box::new(self.metric_now()));
        };
        let mut metric = self.metric_now();
        metric.score_meta_data = ranked
            .iter()
            .filter_map(|slot| self.shown(draft, wish, *slot))
            .collect();
        let before = self.verdict(draft, first);
        let Some(ports) = draft.take(first, self.group, self.requirements, rng) else {
            return Err(Box::new(metric));
        };
        self.changed(draft, first, before, 1);
        self.placed += 1;
        Ok(Chosen {
            node: draft.cluster.slots[first as usize].id,
            ports,
            metric,
        })
    }

    /// A place on that node for the next alloc, which takes its room there; else why there is none.
    pub(super) fn place_on(
        &mut self,
        draft: &mut Draft<'_>,
        node: NodeId,
        rng: &mut dyn Rng,
    ) -> Result<Chosen, Box<AllocMetric>> {
        let mut metric = AllocMetric {
            nodes_evaluated: 1,
            ..self.metric.clone()
        };
        let found = draft.cluster.slot(node);
        let Some((slot, node)) = found.and_then(|slot| Some((slot, draft.cluster.node(slot)?)))
        else {
            metric.nodes_filtered = 1;
            return Err(Box::new(metric));
        };
        let before = self.verdict(draft, slot);
        let cell = self.cells.cell(node);
        let shut = self.cells.shut(cell).map(str::to_owned);
        let class = node.node_class.clone();
        match (&before, shut) {
            (Some(Verdict::Fits(_)), None) => {}
            (Some(Verdict::Exhausted(reason)), None) => {
                metric.nodes_exhausted = 1;
                metric.dimension_exhausted = [(reason.clone(), 1)].into();
                if !class.is_empty() {
                    metric.class_exhausted = [(class, 1)].into();
                }
                return Err(Box::new(metric));
            }
            (verdict, shut) => {
                let own = match verdict {
                    Some(Verdict::RuledOut(reason)) => Some(reason.clone()),
                    _ => None,
                };
                metric.nodes_filtered = 1;
                let reason = own.or(shut);
                metric.constraint_filtered = reason.map(|reason| (reason, 1)).into_iter().collect();
                return Err(Box::new(metric));
            }
        }
        let wish = Wish::default();
        metric.score_meta_data = self.shown(draft, &wish, slot).into_iter().collect();
        let id = node.id;
        let Some(ports) = draft.take(slot, self.group, self.requirements, rng) else {
            return Err(Box::new(metric));
        };
        self.changed(draft, slot, before, 1);
        Ok(Chosen {
            node: id,
            ports,
            metric,
        })
    }

    /// The node that the alloc would rather have than the best one.
    fn preferred(&mut self, draft: &Draft<'_>, wish: &Wish) -> Option<SlotId> {
        let slot = draft.cluster.slot(wish.preferred?)?;
        let cell = self.cells.cell(draft.cluster.node(slot)?);
        let fits = matches!(self.verdict(draft, slot)?, Verdict::Fits(_));
        (fits && self.cells.shut(cell).is_none()).then_some(slot)
    }

    /// The best `shown` nodes, best first, by the scores that count for this alloc.
    fn best(&mut self, draft: &Draft<'_>, wish: &Wish, shown: usize) -> Vec<SlotId> {
        let penalised = wish
            .penalties
            .iter()
            .filter_map(|node| draft.cluster.slot(*node))
            .collect::<Vec<_>>();
        let mut unpenalised = 0;
        let mut ranked = Vec::with_capacity(shown + penalised.len());
        let mut taken = Vec::with_capacity(shown + penalised.len());
        while unpenalised < shown {
            let Some((score, candidate, from)) = self.cells.pop() else {
                break;
            };
            taken.push((candidate, from));
            if penalised.contains(&candidate.slot) {
                ranked.push((self.penalised_score(draft, candidate.slot), candidate));
            } else {
                ranked.push((score, candidate));
                unpenalised += 1;
            }
        }
        for (candidate, from) in taken {
            self.cells.put_back(candidate, from);
        }
        ranked.sort_by(|(left, a), (right, b)| right.total_cmp(left).then(b.tie.cmp(&a.tie)));
        ranked.truncate(shown);
        ranked
            .into_iter()
            .map(|(_, candidate)| candidate.slot)
            .collect()
    }

    fn penalised_score(&mut self, draft: &Draft<'_>, slot: SlotId) -> f64 {
        let Some(node) = draft.cluster.node(slot) else {
            return f64::MIN;
        };
        let cell = self.cells.cell(node);
        let score = self.score(draft, slot, node, true);
        score.base().mean(self.cells.spread(cell))
    }

    fn shown(&mut self, draft: &Draft<'_>, wish: &Wish, slot: SlotId) -> Option<NodeScore> {
        let hot = &draft.cluster.hot[slot as usize];
        let node = draft.cluster.node(slot)?;
        let penalty = wish.penalties.contains(&node.id);
        // Bin packing anew, without what rounding the quick way adds up.
        let power = powers(hot.room, draft.used(slot).plus(self.requirements.room));
        let score = Score {
            packing: (20.0 - (power.0 + power.1)).clamp(0.0, BIN_PACKING_MAX) / BIN_PACKING_MAX,
            ..self.score(draft, slot, node, penalty)
        };
        let cell = self.cells.cell(node);
        let spread = self.cells.spread(cell);
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
            ("allocation-spread", spread),
        ];
        Some(NodeScore {
            node_id: node.id,
            scores: shown
                .into_iter()
                .filter_map(|(name, score)| Some((name.to_owned(), score?)))
                .collect(),
            norm_score: score.base().mean(spread),
        })
    }

    fn metric_now(&self) -> AllocMetric {
        let mut metric = self.metric.clone();
        let (ruled_out, exhausted) = (&self.cells.ruled_out, &self.cells.exhausted);
        metric.nodes_filtered = ruled_out.nodes;
        metric.constraint_filtered = some_reasons(ruled_out);
        metric.class_filtered.clone_from(&ruled_out.by_class);
        metric.nodes_exhausted = exhausted.nodes;
        metric.dimension_exhausted = some_reasons(exhausted);
        metric.class_exhausted.clone_from(&exhausted.by_class);
        metric
    }
}

/// The reasons that a metric shows: a distinct property has one for each of its values, which may be as many as nodes.
fn some_reasons(tally: &Tally) -> BTreeMap<String, u64> {
    if tally.by_reason.len() <= SHOWN_REASONS {
        return tally.by_reason.clone();
    }
    let shown = tally.by_reason.iter().take(SHOWN_REASONS);
    let mut shown: BTreeMap<String, u64> = shown
        .map(|(reason, nodes)| (reason.clone(), *nodes))
        .collect();
    let others = tally.nodes.saturating_sub(shown.values().sum());
    shown.insert(OTHER_REASONS.to_owned(), others);
    shown
}

fn candidate(draft: &Draft<'_>, slot: SlotId, score: Base, stamp: u32) -> Candidate {
    Candidate {
        score,
        tie: mix(draft.cluster.hot[slot as usize].tie ^ draft.seed),
        slot,
        stamp,
    }
}

fn node_class(cluster: &Cluster, slot: SlotId) -> &str {
    cluster
        .node(slot)
        .map_or("", |node| node.node_class.as_str())
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
