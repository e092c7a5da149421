//! Who may start: an alloc waits until what it replaces here, and whoever holds its ports or its room, is really gone.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::Alloc,
    ids::AllocId,
    node::{Node, NodeReserved, NodeResources},
};

/// What a node has, and which allocs hold or wait for a part of it.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    cpu: u64,
    memory_mb: u64,
    disk_mb: u64,
    claims: BTreeMap<AllocId, Claim>,
}

#[derive(Debug)]
struct Claim {
    holds: bool,
    /// It is to end, so its room will be free.
    ending: bool,
    placed: (i64, AllocId),
    previous: Option<AllocId>,
    ports: BTreeSet<u16>,
    cpu: u64,
    memory_mb: u64,
    disk_mb: u64,
}

impl Admission {
    /// The room of this node.
    pub fn set_capacity(&mut self, node: &Node) {
        let (all, kept): (&NodeResources, &NodeReserved) = (&node.resources, &node.reserved);
        self.cpu = all.cpu.saturating_sub(kept.cpu);
        self.memory_mb = all.memory_mb.saturating_sub(kept.memory_mb);
        self.disk_mb = all.disk_mb.saturating_sub(kept.disk_mb);
    }

    /// An alloc that wants room; `holds` when it has it already, from an earlier life of the agent.
    pub fn add(&mut self, alloc: &Alloc, holds: bool) {
        self.claims.insert(
            alloc.id,
            Claim {
                holds,
                ending: false,
                placed: (alloc.create_time, alloc.id),
                previous: alloc.previous_allocation,
                ports: alloc.resources.all_ports().map(|port| port.value).collect(),
                cpu: alloc.resources.cpu(),
                memory_mb: alloc.resources.memory_mb(),
                disk_mb: alloc.resources.disk_mb,
            },
        );
    }

    /// It shall end, or go on after all.
    pub fn set_ending(&mut self, alloc: AllocId, ending: bool) {
        if let Some(claim) = self.claims.get_mut(&alloc) {
            claim.ending = ending;
        }
    }

    /// It is over: its room is free.
    pub fn remove(&mut self, alloc: AllocId) {
        self.claims.remove(&alloc);
    }

    /// Whether an alloc holds its room.
    pub fn holds(&self, alloc: AllocId) -> bool {
        self.claims.get(&alloc).is_some_and(|claim| claim.holds)
    }

    /// Those of `candidates` that may start now, the ones placed first before others; they hold their room from now on.
    pub fn admit(&mut self, candidates: &BTreeSet<AllocId>) -> Vec<AllocId> {
        let mut waiting: Vec<_> = self
            .claims
            .iter()
            .filter(|(alloc, claim)| !claim.holds && !claim.ending && candidates.contains(*alloc))
            .map(|(_, claim)| claim.placed)
            .collect();
        waiting.sort_unstable();
        let mut admitted = Vec::new();
        for (_, alloc) in waiting {
            if self.may_start(alloc) {
                if let Some(claim) = self.claims.get_mut(&alloc) {
                    claim.holds = true;
                }
                admitted.push(alloc);
            }
        }
        admitted
    }

    fn may_start(&self, alloc: AllocId) -> bool {
        let Some(wants) = self.claims.get(&alloc) else {
            return false;
        };
        let holders = || self.claims.values().filter(|claim| claim.holds);
        let replaced_is_here = wants
            .previous
            .and_then(|previous| self.claims.get(&previous))
            .is_some_and(|previous| previous.holds);
        if replaced_is_here || holders().any(|held| !held.ports.is_disjoint(&wants.ports)) {
            return false;
        }
        // Nothing will become free: the servers, who know the whole node, decided that it fits.
        if !holders().any(|held| held.ending) {
            return true;
        }
        let sum = |what: fn(&Claim) -> u64| holders().map(what).sum::<u64>();
        sum(|claim| claim.cpu) + wants.cpu <= self.cpu
            && sum(|claim| claim.memory_mb) + wants.memory_mb <= self.memory_mb
            && sum(|claim| claim.disk_mb) + wants.disk_mb <= self.disk_mb
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::{
        alloc::{AllocResources, AllocatedPort, DesiredStatus, TaskResources},
        ids::{EvalId, JobUid, NodeId},
    };

    use super::*;

    fn alloc(number: u8, cpu: u64, port: Option<u16>, previous: Option<u8>) -> Alloc {
        let id = |number: u8| AllocId::from_random([number; 16]);
        let given = TaskResources {
            cpu,
            memory_mb: 10,
            ..TaskResources::default()
        };
        Alloc {
            id: id(number),
            eval_id: EvalId::from_random([1; 16]),
            node_id: NodeId::from_random([1; 16]),
            node_name: String::new(),
            namespace: "default".into(),
            job_id: "j".into(),
            job_uid: JobUid::from_random([1; 16]),
            job_version: 0,
            task_group: "g".into(),
            index: 0,
            resources: AllocResources {
                tasks: [("t".to_owned(), given)].into(),
                disk_mb: 1,
                ports: port
                    .map(|value| AllocatedPort {
                        label: "p".to_owned(),
                        value,
                        to: 0,
                        host_ip: String::new(),
                        dynamic: false,
                    })
                    .into_iter()
                    .collect(),
            },
            desired_status: DesiredStatus::Run,
            desired_description: String::new(),
            deployment_id: None,
            canary: false,
            previous_allocation: previous.map(id),
            follow_up_eval: None,
            no_shutdown_delay: false,
            reschedule_events: Vec::new(),
            metrics: Default::default(),
            create_time: i64::from(number),
            modify_time: 0,
        }
    }

    #[test]
    fn who_may_start_beside_one_that_holds_room() {
        for (what, held, ending, wants, may) in [
            (
                "there is plenty",
                alloc(1, 100, None, None),
                true,
                alloc(2, 100, None, None),
                true,
            ),
            (
                "the CPU is still used",
                alloc(1, 900, None, None),
                true,
                alloc(2, 200, None, None),
                false,
            ),
            (
                "the servers say that it fits",
                alloc(1, 900, None, None),
                false,
                alloc(2, 200, None, None),
                true,
            ),
            (
                "the port is still used",
                alloc(1, 1, Some(80), None),
                true,
                alloc(2, 1, Some(80), None),
                false,
            ),
            (
                "the port is used by one that stays",
                alloc(1, 1, Some(80), None),
                false,
                alloc(2, 1, Some(80), None),
                false,
            ),
            (
                "other ports",
                alloc(1, 1, Some(80), None),
                true,
                alloc(2, 1, Some(81), None),
                true,
            ),
            (
                "it replaces it",
                alloc(1, 1, None, None),
                true,
                alloc(2, 1, None, Some(1)),
                false,
            ),
        ] {
            let mut admission = Admission {
                cpu: 1_000,
                memory_mb: 1_000,
                disk_mb: 1_000,
                ..Admission::default()
            };
            admission.add(&held, true);
            admission.set_ending(held.id, ending);
            admission.add(&wants, false);
            let all = [held.id, wants.id].into();
            assert_eq!(admission.admit(&all).contains(&wants.id), may, "{what}");
            assert_eq!(admission.holds(wants.id), may, "{what}");
            admission.remove(held.id);
            assert!(
                may || admission.admit(&all) == [wants.id],
                "{what}: afterwards"
            );
            assert!(admission.admit(&all).is_empty(), "{what}: once");
        }
    }

    #[test]
    fn of_two_that_want_a_port_the_one_placed_first_gets_it() {
        let mut admission = Admission::default();
        let (late, early) = (alloc(2, 1, Some(80), None), alloc(1, 1, Some(80), None));
        admission.add(&late, false);
        admission.add(&early, false);
        assert_eq!(admission.admit(&[late.id, early.id].into()), [early.id]);
    }

    #[test]
    fn one_that_shall_end_or_is_not_confirmed_does_not_start() {
        let mut admission = Admission::default();
        let waits = alloc(1, 1, None, None);
        admission.add(&waits, false);
        assert!(admission.admit(&BTreeSet::new()).is_empty());
        admission.set_ending(waits.id, true);
        assert!(admission.admit(&[waits.id].into()).is_empty());
        admission.set_ending(waits.id, false);
        assert_eq!(admission.admit(&[waits.id].into()), [waits.id]);
    }
}
