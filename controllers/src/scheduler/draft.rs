//! The cluster as the evaluation at hand has changed it so far: what it stops is free, what it places is taken.

use std::collections::HashMap;

use rand::Rng;
use rove_model::resources::Room;

use super::{
    cluster::{Cluster, SlotId, powers},
    feasibility::Requirements,
    ports::{Handed, PortTable},
};

/// A node as this evaluation has changed it.
#[derive(Debug)]
struct Touched {
    used: Room,
    power: (f64, f64),
    ports: Option<PortTable>,
}

/// The cluster, and what this evaluation has changed so far.
pub(super) struct Draft<'c> {
    pub cluster: &'c Cluster,
    touched: HashMap<SlotId, Touched>,
    /// Live allocs of the job by node, and by node and group.
    pub of_job: HashMap<SlotId, u64>,
    pub of_group: HashMap<(SlotId, usize), u64>,
    pub seed: u64,
}

impl<'c> Draft<'c> {
    pub(super) fn new(cluster: &'c Cluster, seed: u64) -> Self {
        Self {
            cluster,
            touched: HashMap::new(),
            of_job: HashMap::new(),
            of_group: HashMap::new(),
            seed,
        }
    }

    /// Counts an alloc of the job that takes room already.
    pub(super) fn count(&mut self, slot: SlotId, group: usize) {
        *self.of_job.entry(slot).or_default() += 1;
        *self.of_group.entry((slot, group)).or_default() += 1;
    }

    fn uncount(&mut self, slot: SlotId, group: usize) {
        for count in [
            self.of_job.get_mut(&slot),
            self.of_group.get_mut(&(slot, group)),
        ]
        .into_iter()
        .flatten()
        {
            *count = count.saturating_sub(1);
        }
    }

    fn touch(&mut self, slot: SlotId) -> &mut Touched {
        let hot = &self.cluster.hot[slot as usize];
        self.touched.entry(slot).or_insert(Touched {
            used: hot.used,
            power: hot.power,
            ports: None,
        })
    }

    fn change(&mut self, slot: SlotId, change: impl FnOnce(Room) -> Room) {
        let room = self.cluster.hot[slot as usize].room;
        let touched = self.touch(slot);
        touched.used = change(touched.used);
        touched.power = powers(room, touched.used);
    }

    fn ports_to_change(&mut self, slot: SlotId) -> &mut PortTable {
        let cluster = self.cluster;
        self.touch(slot)
            .ports
            .get_or_insert_with(|| cluster.slots[slot as usize].ports.clone())
    }

    /// Gives back what an alloc took that is to be stopped.
    pub(super) fn free(
        &mut self,
        slot: SlotId,
        group: usize,
        room: Room,
        ports: impl Iterator<Item = u16>,
    ) {
        self.uncount(slot, group);
        self.change(slot, |used| used.minus(room));
        for port in ports {
            self.ports_to_change(slot).give_back(port);
        }
    }

    /// Takes back a [`Draft::free`].
    pub(super) fn unfree(
        &mut self,
        slot: SlotId,
        group: usize,
        room: Room,
        ports: impl Iterator<Item = u16>,
    ) {
        self.count(slot, group);
        self.change(slot, |used| used.plus(room));
        for port in ports {
            self.ports_to_change(slot).take(port);
        }
    }

    pub(super) fn take(
        &mut self,
        slot: SlotId,
        group: usize,
        requirements: &Requirements<'_>,
        rng: &mut dyn Rng,
    ) -> Option<Handed> {
        let handed = if requirements.ports.is_empty() {
            Handed::default()
        } else {
            let node = self.cluster.node(slot)?;
            let host_ip = &node.resources.networks.first()?.ip;
            requirements
                .ports
                .hand_out(self.ports_to_change(slot), host_ip, rng)?
        };
        self.change(slot, |used| used.plus(requirements.room));
        self.count(slot, group);
        Some(handed)
    }

    pub(super) fn used(&self, slot: SlotId) -> Room {
        self.touched
            .get(&slot)
            .map_or(self.cluster.hot[slot as usize].used, |t| t.used)
    }

    pub(super) fn power(&self, slot: SlotId) -> (f64, f64) {
        self.touched
            .get(&slot)
            .map_or(self.cluster.hot[slot as usize].power, |t| t.power)
    }

    pub(super) fn ports(&self, slot: SlotId) -> &PortTable {
        self.touched
            .get(&slot)
            .and_then(|touched| touched.ports.as_ref())
            .unwrap_or(&self.cluster.slots[slot as usize].ports)
    }

    pub(super) fn is_special(&self, slot: SlotId) -> bool {
        self.touched.contains_key(&slot) || self.of_job.contains_key(&slot)
    }

    pub(super) fn allocs_of_group(&self, slot: SlotId, group: usize) -> u64 {
        self.of_group.get(&(slot, group)).copied().unwrap_or(0)
    }

    /// Whether an alloc of the group could stay on a node as it is, were it there alone of its kind: what it takes
    /// now is counted as free.
    pub(super) fn could_stay(
        &self,
        slot: SlotId,
        requirements: &Requirements<'_>,
        takes: Room,
    ) -> bool {
        let used = self.used(slot).minus(takes).plus(requirements.room);
        let room = self.cluster.hot[slot as usize].room;
        room.exceeded_by(used).is_none()
    }
}
