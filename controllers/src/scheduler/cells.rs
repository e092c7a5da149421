//! The nodes that a group may use, kept apart by the values that its spreads and distinct properties look at.
//!
//! The nodes of a cell share all those values: a placement changes what the spreads and properties say of whole cells,
//! and the order of the nodes within a cell only for the node it lands on. So each cell keeps its nodes in order, and
//! the best of all is the best of the cells' best, with what the spreads say of each added. A group without spreads and
//! distinct properties has one cell.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use rove_model::node::Node;

use super::{
    cluster::SlotId, constraints::DistinctProperty, feasibility::Requirements,
    preferences::SpreadTally,
};

/// Up to so many best nodes of a cell are kept in order during the walk; beyond, all of them go into a heap.
const KEPT_IN_ORDER: usize = 16;

/// The parts that a score may have before spreads come in: bin packing, anti-affinity, affinity.
const PARTS: usize = 3;

/// A node that would do, and its score as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Without what spreads say.
    pub score: Base,
    pub tie: u64,
    pub slot: SlotId,
    /// Outdated when the node was changed since.
    pub stamp: u32,
}

/// The sum of a score's parts, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base {
    pub sum: f64,
    pub parts: usize,
}

impl Base {
    /// The mean of the parts, with what spreads say as one more; where they say 0 they have no part.
    pub(super) fn mean(self, spread: Option<f64>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let parts = |more: usize| (self.parts + more).max(1) as f64;
        match spread {
            Some(spread) => (self.sum + spread) / parts(1),
            None => self.sum / parts(0),
        }
    }
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
        let mean = |candidate: &Self| candidate.score.mean(None);
        mean(self)
            .total_cmp(&mean(other))
            .then(self.tie.cmp(&other.tie))
    }
}

/// What is to be said of a node of a feasible class, but for its cell.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    RuledOut(String),
    Exhausted(String),
    Fits(Base),
}

/// Nodes that won't do, by why and by node class.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub by_reason: BTreeMap<String, u64>,
    pub by_class: BTreeMap<String, u64>,
    pub nodes: u64,
}

impl Tally {
    pub(super) fn count(&mut self, reason: &str, class: &str, change: i64) {
        self.nodes = self.nodes.saturating_add_signed(change);
        for (counts, name) in [(&mut self.by_reason, reason), (&mut self.by_class, class)] {
            if name.is_empty() {
                continue;
            }
            let now = counts
                .get(name)
                .copied()
                .unwrap_or(0)
                .saturating_add_signed(change);
            if now == 0 {
                counts.remove(name);
            } else if let Some(count) = counts.get_mut(name) {
                *count = now;
            } else {
                counts.insert(name.to_owned(), now);
            }
        }
    }
}

/// The best candidates of a cell.
#[derive(Debug)]
struct Best {
    /// During the walk, where few are enough: the best first.
    few: Vec<Candidate>,
    enough: usize,
    heap: BinaryHeap<Candidate>,
}

impl Best {
    fn new(enough: usize) -> Self {
        Self {
            few: Vec::new(),
            enough,
            heap: BinaryHeap::new(),
        }
    }

    /// Takes in a candidate that the walk found.
    fn add(&mut self, candidate: Candidate) {
        if self.enough > KEPT_IN_ORDER {
            self.heap.push(candidate);
            return;
        }
        let best = &mut self.few;
        if best.len() == self.enough && best.last().is_none_or(|last| candidate <= *last) {
            return;
        }
        let place = best.partition_point(|other| *other > candidate);
        best.insert(place, candidate);
        best.truncate(self.enough);
    }

    /// All of them, when the walk is over.
    fn heap(&mut self) -> &mut BinaryHeap<Candidate> {
        self.heap.extend(self.few.drain(..));
        &mut self.heap
    }
}

/// Nodes that share all values that count.
#[derive(Debug)]
struct Cell {
    /// Of the spreads, then of the properties.
    values: Box<[Option<u32>]>,
    /// By how many parts their scores have, as what the spreads add weighs differently; all in the first without
    /// spreads.
    candidates: [Best; PARTS],
    /// Why none of them will do.
    shut: Option<String>,
    /// Its nodes that are not ruled out but for that, by node class; kept where there are properties.
    open: BTreeMap<String, u64>,
    /// Those of them that are exhausted, by reason and node class.
    exhausted: BTreeMap<(String, String), u64>,
}

/// How many allocs each value of a distinct property has.
#[derive(Debug)]
struct PropertyTally<'s, 'j> {
    property: &'s DistinctProperty<'j>,
    places: HashMap<String, u32>,
    names: Vec<String>,
    used: Vec<u64>,
    /// The cells that have the value.
    cells: Vec<Vec<usize>>,
}

impl PropertyTally<'_, '_> {
    fn value(&mut self, node: &Node) -> Option<u32> {
        let value = self.property.value(node)?;
        if let Some(place) = self.places.get(&value) {
            return Some(*place);
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.places.insert(value.clone(), place);
        self.names.push(value);
        self.used.push(0);
        self.cells.push(Vec::new());
        Some(place)
    }

    fn refusal(&self, value: Option<u32>) -> Option<String> {
        let Some(place) = value.map(|value| value as usize) else {
            return Some(self.property.missing());
        };
        let used = self.used[place];
        (used >= self.property.allowed).then(|| self.property.used_up(&self.names[place], used))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cells<'s, 'j> {
    spreads: Vec<SpreadTally<'s>>,
    properties: Vec<PropertyTally<'s, 'j>>,
    places: HashMap<Box<[Option<u32>]>, usize>,
    cells: Vec<Cell>,
    stamps: HashMap<SlotId, u32>,
    /// How many best nodes each cell keeps at least.
    enough: usize,
    pub ruled_out: Tally,
    pub exhausted: Tally,
}

impl<'s, 'j> Cells<'s, 'j> {
    pub(super) fn new(requirements: &'s Requirements<'j>, enough: usize) -> Self {
        let tally = |property| PropertyTally {
            property,
            places: HashMap::new(),
            names: Vec::new(),
            used: Vec::new(),
            cells: Vec::new(),
        };
        let mut cells = Self {
            spreads: requirements.preferences.tallies(),
            properties: requirements.distinct_properties.iter().map(tally).collect(),
            places: HashMap::new(),
            cells: Vec::new(),
            stamps: HashMap::new(),
            enough,
            ruled_out: Tally::default(),
            exhausted: Tally::default(),
        };
        if cells.is_one() {
            cells.make(Box::default());
        }
        cells
    }

    /// All nodes are of the first cell.
    pub(super) fn is_one(&self) -> bool {
        self.spreads.is_empty() && self.properties.is_empty()
    }

    fn make(&mut self, values: Box<[Option<u32>]>) -> usize {
        let cell = self.cells.len();
        let of_properties = &values[self.spreads.len()..];
        for (property, value) in self.properties.iter_mut().zip(of_properties) {
            if let Some(value) = value {
                property.cells[*value as usize].push(cell);
            }
        }
        self.places.insert(values.clone(), cell);
        self.cells.push(Cell {
            shut: self.refusal(&values),
            values,
            candidates: std::array::from_fn(|_| Best::new(self.enough)),
            open: BTreeMap::new(),
            exhausted: BTreeMap::new(),
        });
        cell
    }

    fn refusal(&self, values: &[Option<u32>]) -> Option<String> {
        self.properties
            .iter()
            .zip(&values[self.spreads.len()..])
            .find_map(|(property, value)| property.refusal(*value))
    }

    /// The cell of a node.
    pub(super) fn cell(&mut self, node: &Node) -> usize {
        if self.is_one() {
            return 0;
        }
        let spreads = self.spreads.iter_mut().map(|spread| spread.value(node));
        let properties = self.properties.iter_mut().map(|tally| tally.value(node));
        let values: Box<[Option<u32>]> = spreads.chain(properties).collect();
        match self.places.get(&values) {
            Some(cell) => *cell,
            None => self.make(values),
        }
    }

    /// Allocs of the job and of the group came to a node, or went.
    pub(super) fn count(&mut self, node: &Node, of_job: i64, of_group: i64) {
        for spread in &mut self.spreads {
            if let Some(value) = spread.value(node) {
                spread.count(value, of_group);
            }
        }
        let mut changed: Vec<usize> = Vec::new();
        for tally in &mut self.properties {
            let change = if tally.property.of_job {
                of_job
            } else {
                of_group
            };
            if change != 0
                && let Some(value) = tally.value(node)
            {
                let used = &mut tally.used[value as usize];
                *used = used.saturating_add_signed(change);
                changed.extend(&tally.cells[value as usize]);
            }
        }
        for cell in changed {
            let now = self.refusal(&self.cells[cell].values);
            if now != self.cells[cell].shut {
                self.tell_open(cell, -1);
                self.cells[cell].shut = now;
                self.tell_open(cell, 1);
            }
        }
    }

    /// Adds what a cell's nodes come to, or takes it off.
    fn tell_open(&mut self, cell: usize, sign: i64) {
        let signed = |nodes: u64| sign * i64::try_from(nodes).unwrap_or(i64::MAX);
        let cell = &self.cells[cell];
        match &cell.shut {
            Some(reason) => {
                for (class, nodes) in &cell.open {
                    self.ruled_out.count(reason, class, signed(*nodes));
                }
            }
            None => {
                for ((reason, class), nodes) in &cell.exhausted {
                    self.exhausted.count(reason, class, signed(*nodes));
                }
            }
        }
    }

    /// Counts a node for what was said of it, or takes that back.
    fn tell(&mut self, cell: usize, verdict: &Verdict, class: &str, change: i64) {
        let reason = match verdict {
            Verdict::RuledOut(reason) => {
                self.ruled_out.count(reason, class, change);
                return;
            }
            Verdict::Exhausted(reason) => Some(reason),
            Verdict::Fits(_) => None,
        };
        let cell = &mut self.cells[cell];
        if !self.properties.is_empty() {
            let add = |nodes: &mut u64| *nodes = nodes.saturating_add_signed(change);
            add(cell.open.entry(class.to_owned()).or_default());
            if let Some(reason) = reason {
                let key = (reason.clone(), class.to_owned());
                add(cell.exhausted.entry(key).or_default());
            }
        }
        match (&cell.shut, reason) {
            (Some(shut), _) => self.ruled_out.count(shut, class, change),
            (None, Some(reason)) => self.exhausted.count(reason, class, change),
            (None, None) => {}
        }
    }

    fn list(&mut self, cell: usize, candidate: Candidate, walk: bool) {
        let list = if self.spreads.is_empty() {
            0
        } else {
            candidate.score.parts.clamp(1, PARTS) - 1
        };
        let best = &mut self.cells[cell].candidates[list];
        if walk {
            best.add(candidate);
        } else {
            best.heap().push(candidate);
        }
    }

    /// Takes in what the walk says of a node.
    pub(super) fn add(
        &mut self,
        cell: usize,
        verdict: &Verdict,
        class: &str,
        candidate: impl FnOnce(Base, u32) -> Candidate,
    ) {
        self.tell(cell, verdict, class, 1);
        if let Verdict::Fits(score) = verdict {
            self.list(cell, candidate(*score, 0), true);
        }
    }

    /// Takes in what is said of a node that changed, in place of what was said before.
    pub(super) fn replace(
        &mut self,
        node: &Node,
        slot: SlotId,
        (before, now): (Option<Verdict>, Option<Verdict>),
        class: &str,
        candidate: impl FnOnce(Base, u32) -> Candidate,
    ) {
        let cell = self.cell(node);
        if let Some(before) = before {
            self.tell(cell, &before, class, -1);
        }
        let stamp = self.stamps.entry(slot).or_default();
        *stamp += 1;
        let stamp = *stamp;
        let Some(now) = now else {
            return;
        };
        self.tell(cell, &now, class, 1);
        if let Verdict::Fits(score) = now {
            self.list(cell, candidate(score, stamp), false);
        }
    }

    /// What the spreads say of one more alloc in a cell; `None` where nothing.
    pub(super) fn spread(&self, cell: usize) -> Option<f64> {
        let values = &self.cells.get(cell)?.values;
        let sum: f64 = self
            .spreads
            .iter()
            .zip(values)
            .map(|(spread, value)| spread.score(*value))
            .sum();
        (sum != 0.0).then_some(sum)
    }

    /// Why none of the cell's nodes will do.
    pub(super) fn shut(&self, cell: usize) -> Option<&str> {
        self.cells.get(cell)?.shut.as_deref()
    }

    /// Takes the best node of all out, and its score.
    pub(super) fn pop(&mut self) -> Option<(f64, Candidate, Taken)> {
        let mut best: Option<(f64, Candidate, Taken)> = None;
        for place in 0..self.cells.len() {
            if self.cells[place].shut.is_some() {
                continue;
            }
            let spread = self.spread(place);
            for list in 0..PARTS {
                let heap = self.cells[place].candidates[list].heap();
                let head = loop {
                    let Some(head) = heap.peek().copied() else {
                        break None;
                    };
                    if head.stamp == self.stamps.get(&head.slot).copied().unwrap_or(0) {
                        break Some(head);
                    }
                    heap.pop();
                };
                let Some(head) = head else {
                    continue;
                };
                let score = head.score.mean(spread);
                let is_better = best.as_ref().is_none_or(|(found, other, _)| {
                    score
                        .total_cmp(found)
                        .then(head.tie.cmp(&other.tie))
                        .is_gt()
                });
                if is_better {
                    best = Some((score, head, Taken { cell: place, list }));
                }
            }
        }
        if let Some((_, _, taken)) = &best {
            self.cells[taken.cell].candidates[taken.list].heap().pop();
        }
        best
    }

    /// Puts back what [`Cells::pop`] took out.
    pub(super) fn put_back(&mut self, candidate: Candidate, taken: Taken) {
        self.cells[taken.cell].candidates[taken.list]
            .heap()
            .push(candidate);
    }
}

/// Where a candidate was taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    cell: usize,
    list: usize,
}
