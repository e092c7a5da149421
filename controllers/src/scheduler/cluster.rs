//! What the nodes are and how much of them is taken, kept up to date key by key.
//!
//! A `Cluster` is a function of one `State` and of the plans that were decided and are not in it yet; how it was
//! brought there makes no difference to a decision. An alloc counts once: as it stands in `State`, else as a plan
//! places it; it takes no room once it is wanted stopped or lost, or its tasks are over, or a plan stops it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rove_model::{
    alloc::{AllocResources, DesiredStatus},
    ids::{AllocId, EvalId, NodeId, Revision},
    node::Node,
    plan::Plan,
    resources::Room,
};
use rove_store::{
    keys::Key,
    state::{State, Stored},
};

use super::ports::PortTable;

/// A node's place in [`Cluster`].
pub(super) type SlotId = u32;

/// A node class's place in [`Cluster`].
pub(super) type ClassId = u32;

/// What ranking reads of every node: kept apart and small, so that a walk over all nodes stays in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hot {
    /// What allocs may use.
    pub room: Room,
    /// What they use.
    pub used: Room,
    /// 10 to the power of the free share of CPU and of memory.
    pub power: (f64, f64),
    /// Where the same CPU and memory sizes are found in `Cluster::sizes`.
    pub size: (u32, u32),
    /// Ports that can be handed out.
    pub dynamic_free: u32,
    /// From the node's id: decides between equal scores.
    pub tie: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub id: NodeId,
    /// `None` when allocs name a node that isn't there.
    pub node: Option<Arc<Stored<Node>>>,
    /// Its class and its place there; only of nodes that are ready for allocs.
    pub class: Option<(ClassId, u32)>,
    pub ports: PortTable,
}

/// Ready nodes that are alike to constraints.
#[derive(Debug)]
pub(super) struct Class {
    pub name: String,
    pub members: Vec<SlotId>,
}

/// What an alloc takes, as it was counted.
#[derive(Clone, Debug, PartialEq)]
struct Taken {
    slot: SlotId,
    room: Room,
    ports: Box<[u16]>,
}

#[derive(Debug)]
enum Pending {
    /// Decided in this process, and perhaps in `State` as well by now.
    Decided(Arc<Plan>),
    /// Only in `State`: another process decided it.
    Stored(Arc<Stored<Plan>>),
}

impl Pending {
    fn plan(&self) -> &Plan {
        match self {
            Self::Decided(plan) => plan,
            Self::Stored(plan) => plan,
        }
    }
}

/// The nodes and how much of them is taken.
#[derive(Debug, Default)]
pub struct Cluster {
    revision: Revision,
    pub(super) slots: Vec<Slot>,
    pub(super) hot: Vec<Hot>,
    by_id: HashMap<NodeId, SlotId>,
    /// Nodes of which something can't be read: nothing is placed there.
    held: HashSet<NodeId>,
    pub(super) classes: Vec<Class>,
    class_by_name: HashMap<String, ClassId>,
    /// Every size of CPU or memory that a node has or had: 10 to the power of an ask's share is computed once for each.
    pub(super) sizes: Vec<u64>,
    size_by_value: HashMap<u64, u32>,
    taken: HashMap<AllocId, Taken>,
    plans: HashMap<EvalId, Pending>,
    placing: HashMap<AllocId, (EvalId, u32)>,
    stopping: HashMap<AllocId, EvalId>,
}

impl Cluster {
    /// The cluster as `state` has it.
    #[must_use]
    pub fn new(state: &State) -> Self {
        let mut cluster = Self {
            revision: state.revision(),
            ..Self::default()
        };
        for node in state.nodes() {
            cluster.refresh_node(state, node.id);
        }
        for plan in state.plans() {
            let pending = Pending::Stored(plan.clone());
            cluster.index_plan(plan.eval.id, pending);
        }
        let placing = cluster.placing.keys().copied().collect::<Vec<_>>();
        for id in placing {
            cluster.refresh_alloc(state, id);
        }
        for alloc in state.allocs() {
            cluster.refresh_alloc(state, alloc.id);
        }
        cluster
    }

    /// The revision of the state it was brought up to.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes over what changed: `keys` are all keys that differ between the state it stands at and `state`. When they
    /// aren't known, make a new one and [`Cluster::reserve`] the plans again.
    pub fn update(&mut self, state: &State, keys: &[Key]) {
        let mut allocs = Vec::new();
        for key in keys {
            match key {
                Key::Plan(eval) => match state.plan(*eval) {
                    Some(plan) => {
                        if !matches!(self.plans.get(eval), Some(Pending::Decided(_))) {
                            allocs.extend(self.drop_plan(*eval));
                            let pending = Pending::Stored(plan.clone());
                            allocs.extend(self.index_plan(*eval, pending));
                        }
                    }
                    // The applier is done with it: what it placed is in `State`.
                    None => allocs.extend(self.drop_plan(*eval)),
                },
                Key::Alloc(node, id) => {
                    allocs.push(*id);
                    if self.held.contains(node) || !state.is_all_readable() {
                        self.refresh_node(state, *node);
                    }
                }
                Key::AllocStatus(_, id) => allocs.push(*id),
                Key::Node(id) | Key::NodeAlive(id) | Key::NodeStatus(id) | Key::NodeControl(id) => {
                    self.refresh_node(state, *id);
                }
                _ => {}
            }
        }
        for id in allocs {
            self.refresh_alloc(state, id);
        }
        self.revision = state.revision();
    }

    /// Forgets each plan that `state` does not show and that is not `awaited`. Its removal may never be told by a key:
    /// a plan that came and went between two states is in no difference of theirs.
    pub fn forget_gone(&mut self, state: &State, awaited: impl Fn(&EvalId) -> bool) {
        let is_gone = |eval: &&EvalId| state.plan(**eval).is_none() && !awaited(eval);
        let gone: Vec<EvalId> = self.plans.keys().filter(is_gone).copied().collect();
        for eval in gone {
            for id in self.drop_plan(eval) {
                self.refresh_alloc(state, id);
            }
        }
    }

    /// Counts a plan that was decided, until `state` shows it and shows it gone again. Call it before the plan is
    /// written.
    pub fn reserve(&mut self, state: &State, plan: Arc<Plan>) {
        let eval = plan.eval.id;
        let mut allocs = self.drop_plan(eval);
        allocs.extend(self.index_plan(eval, Pending::Decided(plan)));
        for id in allocs {
            self.refresh_alloc(state, id);
        }
    }

    /// Forgets a plan that was reserved and could not be written.
    pub fn release(&mut self, state: &State, eval: EvalId) {
        let mut allocs = self.drop_plan(eval);
        if let Some(plan) = state.plan(eval) {
            allocs.extend(self.index_plan(eval, Pending::Stored(plan.clone())));
        }
        for id in allocs {
            self.refresh_alloc(state, id);
        }
    }

    /// How many nodes are ready for allocs.
    #[must_use]
    pub fn ready_nodes(&self) -> usize {
        self.classes.iter().map(|class| class.members.len()).sum()
    }

    /// A node's room and how much of it is taken.
    #[must_use]
    pub fn usage(&self, node: NodeId) -> Option<(Room, Room)> {
        let hot = self.hot[self.slot(node)? as usize];
        Some((hot.room, hot.used))
    }

    pub(super) fn slot(&self, node: NodeId) -> Option<SlotId> {
        self.by_id.get(&node).copied()
    }

    pub(super) fn node(&self, slot: SlotId) -> Option<&Node> {
        self.slots[slot as usize]
            .node
            .as_ref()
            .map(|node| &node.value)
    }

    fn slot_or_new(&mut self, id: NodeId) -> SlotId {
        if let Some(slot) = self.slot(id) {
            return slot;
        }
        let slot = SlotId::try_from(self.slots.len()).unwrap_or(SlotId::MAX);
        self.slots.push(Slot {
            id,
            node: None,
            class: None,
            ports: PortTable::default(),
        });
        let (high, low) = id.0.as_u64_pair();
        self.hot.push(Hot {
            tie: high ^ low.rotate_left(32),
            ..Hot::default()
        });
        self.by_id.insert(id, slot);
        slot
    }

    fn size(&mut self, value: u64) -> u32 {
        if let Some(size) = self.size_by_value.get(&value) {
            return *size;
        }
        let size = u32::try_from(self.sizes.len()).unwrap_or(u32::MAX);
        self.sizes.push(value);
        self.size_by_value.insert(value, size);
        size
    }

    fn refresh_node(&mut self, state: &State, id: NodeId) {
        let slot = self.slot_or_new(id);
        let node = state.node(id).cloned();
        // Nobody knows how much of such a node is taken.
        let held = state.unreadable_use_of_node(id).is_some();
        if held {
            self.held.insert(id);
        } else {
            self.held.remove(&id);
        }
        let ready = !held && state.takes_allocs(id);
        let class = node
            .as_ref()
            .filter(|_| ready)
            .map(|node| node.compute_class());
        self.set_class(slot, class);
        let room = node.as_ref().map_or(Room::default(), |node| node.room());
        let size = (self.size(room.cpu), self.size(room.memory_mb));
        let entry = &mut self.slots[slot as usize];
        entry.ports.set_node(node.as_ref().map(|node| &node.value));
        entry.node = node;
        let hot = &mut self.hot[slot as usize];
        hot.room = room;
        hot.size = size;
        self.recompute(slot);
    }

    fn set_class(&mut self, slot: SlotId, name: Option<String>) {
        if let Some((class, place)) = self.slots[slot as usize].class.take() {
            if name.as_deref() == Some(&self.classes[class as usize].name) {
                self.slots[slot as usize].class = Some((class, place));
                return;
            }
            let members = &mut self.classes[class as usize].members;
            members.swap_remove(place as usize);
            if let Some(moved) = members.get(place as usize) {
                self.slots[*moved as usize].class = Some((class, place));
            }
        }
        let Some(name) = name else {
            return;
        };
        let class = match self.class_by_name.get(&name) {
            Some(class) => *class,
            None => {
                let class = ClassId::try_from(self.classes.len()).unwrap_or(ClassId::MAX);
                self.classes.push(Class {
                    name: name.clone(),
                    members: Vec::new(),
                });
                self.class_by_name.insert(name, class);
                class
            }
        };
        let members = &mut self.classes[class as usize].members;
        let place = u32::try_from(members.len()).unwrap_or(u32::MAX);
        members.push(slot);
        self.slots[slot as usize].class = Some((class, place));
    }

    fn recompute(&mut self, slot: SlotId) {
        let hot = &mut self.hot[slot as usize];
        hot.power = powers(hot.room, hot.used);
        hot.dynamic_free = self.slots[slot as usize].ports.dynamic_free();
    }

    fn refresh_alloc(&mut self, state: &State, id: AllocId) {
        let counted = match state.alloc(id) {
            Some(alloc) => {
                let live = state.is_live(alloc) && !self.stopping.contains_key(&id);
                live.then(|| {
                    let (room, ports) = what_it_takes(&alloc.resources);
                    (alloc.node_id, room, ports)
                })
            }
            None => self.placing.get(&id).and_then(|(eval, place)| {
                let plan = self.plans.get(eval)?.plan();
                let alloc = plan.placements.get(*place as usize)?;
                let (room, ports) = what_it_takes(&alloc.resources);
                Some((alloc.node_id, room, ports))
            }),
        };
        let now = counted.map(|(node, room, ports)| Taken {
            slot: self.slot_or_new(node),
            room,
            ports,
        });
        if self.taken.get(&id) == now.as_ref() {
            return;
        }
        if let Some(before) = self.taken.remove(&id) {
            let hot = &mut self.hot[before.slot as usize];
            hot.used = hot.used.minus(before.room);
            let ports = &mut self.slots[before.slot as usize].ports;
            before.ports.iter().for_each(|port| ports.give_back(*port));
            self.recompute(before.slot);
        }
        if let Some(now) = now {
            let hot = &mut self.hot[now.slot as usize];
            hot.used = hot.used.plus(now.room);
            let ports = &mut self.slots[now.slot as usize].ports;
            now.ports.iter().for_each(|port| ports.take(*port));
            self.recompute(now.slot);
            self.taken.insert(id, now);
        }
    }

    /// Notes a plan, and gives the allocs it is about.
    fn index_plan(&mut self, eval: EvalId, pending: Pending) -> Vec<AllocId> {
        let plan = pending.plan();
        let mut allocs = Vec::with_capacity(plan.placements.len() + plan.stops.len());
        for (place, alloc) in plan.placements.iter().enumerate() {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            self.placing.insert(alloc.id, (eval, place));
            allocs.push(alloc.id);
        }
        for stop in &plan.stops {
            if stop.desired_status != DesiredStatus::Run {
                self.stopping.insert(stop.alloc_id, eval);
                allocs.push(stop.alloc_id);
            }
        }
        self.plans.insert(eval, pending);
        allocs
    }

    fn drop_plan(&mut self, eval: EvalId) -> Vec<AllocId> {
        let Some(pending) = self.plans.remove(&eval) else {
            return Vec::new();
        };
        let plan = pending.plan();
        let mut allocs = Vec::with_capacity(plan.placements.len() + plan.stops.len());
        for alloc in &plan.placements {
            self.placing.remove(&alloc.id);
            allocs.push(alloc.id);
        }
        for stop in &plan.stops {
            if self.stopping.get(&stop.alloc_id) == Some(&eval) {
                self.stopping.remove(&stop.alloc_id);
                allocs.push(stop.alloc_id);
            }
        }
        allocs
    }
}

/// 10 to the power of the free share of CPU and of memory: what bin packing adds up.
pub(super) fn powers(room: Room, used: Room) -> (f64, f64) {
    let power = |room: u64, used: u64| {
        if room == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a score, not an amount")]
        let free = 1.0 - used as f64 / room as f64;
        10f64.powf(free)
    };
    (
        power(room.cpu, used.cpu),
        power(room.memory_mb, used.memory_mb),
    )
}

fn what_it_takes(resources: &AllocResources) -> (Room, Box<[u16]>) {
    let ports = resources.all_ports().map(|port| port.value).collect();
    (resources.room(), ports)
}
