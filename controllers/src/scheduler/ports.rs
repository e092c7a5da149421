//! Host ports: which are taken on a node, which an alloc asks for, and how they are handed out.
//!
//! No port is handed out twice on a node, whichever alloc, group network or task network asks.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt};
use rove_model::{
    alloc::AllocatedPort,
    job::{NetworkResource, Port, TaskGroup},
    node::Node,
};

/// How often a port is drawn before the range is searched through.
const DRAWS: usize = 20;

/// The taken ports of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PortTable {
    /// How many allocs hold a port: one, save when two were placed on the same by a fault.
    used: BTreeMap<u16, u32>,
    reserved: BTreeSet<u16>,
    first_dynamic: u16,
    last_dynamic: u16,
    /// Ports of the dynamic range that are used or reserved.
    dynamic_taken: u32,
}

impl PortTable {
    /// Takes over the node's range and what is kept back; a node that is gone has neither.
    pub(super) fn set_node(&mut self, node: Option<&Node>) {
        self.first_dynamic = node.map_or(0, |node| node.resources.min_dynamic_port);
        self.last_dynamic = node.map_or(0, |node| node.resources.max_dynamic_port);
        self.reserved = node
            .map(|node| node.reserved.ports.iter().copied().collect())
            .unwrap_or_default();
        let dynamic = self.first_dynamic..=self.last_dynamic;
        let taken = self
            .used
            .keys()
            .chain(&self.reserved)
            .filter(|port| dynamic.contains(port))
            .collect::<BTreeSet<_>>();
        self.dynamic_taken = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    }

    pub(super) fn is_dynamic(&self, port: u16) -> bool {
        (self.first_dynamic..=self.last_dynamic).contains(&port)
    }

    pub(super) fn is_taken(&self, port: u16) -> bool {
        self.used.contains_key(&port) || self.reserved.contains(&port)
    }

    /// Ports that can still be handed out without being asked for by number.
    pub(super) fn dynamic_free(&self) -> u32 {
        let range = (u32::from(self.last_dynamic) + 1).saturating_sub(self.first_dynamic.into());
        // A range that begins at 0 was never set.
        if self.first_dynamic == 0 {
            return 0;
        }
        range.saturating_sub(self.dynamic_taken)
    }

    pub(super) fn take(&mut self, port: u16) {
        let before = self.is_taken(port);
        *self.used.entry(port).or_insert(0) += 1;
        if !before && self.is_dynamic(port) {
            self.dynamic_taken += 1;
        }
    }

    pub(super) fn give_back(&mut self, port: u16) {
        let Some(holders) = self.used.get_mut(&port) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.used.remove(&port);
            if !self.is_taken(port) && self.is_dynamic(port) {
                self.dynamic_taken = self.dynamic_taken.saturating_sub(1);
            }
        }
    }

    /// A free port of the dynamic range: drawn at first, then the lowest.
    fn draw(&self, rng: &mut dyn Rng) -> Option<u16> {
        if self.dynamic_free() == 0 {
            return None;
        }
        (0..DRAWS)
            .map(|_| rng.random_range(self.first_dynamic..=self.last_dynamic))
            .find(|port| !self.is_taken(*port))
            .or_else(|| (self.first_dynamic..=self.last_dynamic).find(|port| !self.is_taken(*port)))
    }
}

/// The ports that an alloc of a group asks for.
#[derive(Debug, Default)]
pub(super) struct PortAsk<'j> {
    group: Vec<&'j Port>,
    tasks: Vec<(&'j str, Vec<&'j Port>)>,
    /// With a set number, with their labels.
    fixed: Vec<(&'j str, i64)>,
    dynamic: u32,
}

/// The ports that an alloc got.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// Of the group's networks.
    pub group: Vec<AllocatedPort>,
    /// Of the tasks' own.
    pub tasks: BTreeMap<String, Vec<AllocatedPort>>,
}

impl<'j> PortAsk<'j> {
    pub(super) fn of(group: &'j TaskGroup) -> Self {
        let ports = |networks: &'j [NetworkResource]| {
            networks
                .iter()
                .flat_map(NetworkResource::ports)
                .collect::<Vec<_>>()
        };
        let mut ask = Self {
            group: ports(&group.networks),
            ..Self::default()
        };
        for task in &group.tasks {
            let Some(resources) = &task.resources else {
                continue;
            };
            let ports = ports(&resources.networks);
            if !ports.is_empty() {
                ask.tasks.push((&task.name, ports));
            }
        }
        for port in ask.group.iter().chain(ask.tasks.iter().flat_map(|t| &t.1)) {
            if port.value == 0 {
                ask.dynamic += 1;
            } else {
                ask.fixed.push((&port.label, port.value));
            }
        }
        ask
    }

    pub(super) fn is_empty(&self) -> bool {
        self.group.is_empty() && self.tasks.is_empty()
    }

    /// Only the number of free ports matters, not which.
    pub(super) fn is_dynamic_only(&self) -> bool {
        self.fixed.is_empty()
    }

    pub(super) fn dynamic(&self) -> u32 {
        self.dynamic
    }

    /// Why a node with these taken ports can't serve it, in the words of a placement failure.
    pub(super) fn refused_by(&self, taken: &PortTable) -> Option<String> {
        let mut fixed_dynamic = 0;
        for (at, (label, value)) in self.fixed.iter().enumerate() {
            let twice = self.fixed[..at].iter().any(|(_, other)| other == value);
            match u16::try_from(*value) {
                Err(_) => {
                    return Some(format!("network: invalid port {value} (out of range)"));
                }
                Ok(port) if twice || taken.is_taken(port) => {
                    return Some(format!("network: reserved port collision {label}={port}"));
                }
                Ok(port) => fixed_dynamic += u32::from(taken.is_dynamic(port)),
            }
        }
        (self.dynamic > 0 && taken.dynamic_free() < self.dynamic + fixed_dynamic)
            .then(|| "network: dynamic port selection failed".to_owned())
    }

    /// Hands the ports out on the address `host_ip` and marks them as taken; `None` when they aren't free, and then
    /// nothing is marked.
    pub(super) fn hand_out(
        &self,
        taken: &mut PortTable,
        host_ip: &str,
        rng: &mut dyn Rng,
    ) -> Option<Handed> {
        if self.refused_by(taken).is_some() {
            return None;
        }
        // Those with a set number first, so that no drawn one takes their place.
        for (_, value) in &self.fixed {
            taken.take(u16::try_from(*value).ok()?);
        }
        let mut hand = |port: &Port| {
            let dynamic = port.value == 0;
            let value = if dynamic {
                let value = taken.draw(rng)?;
                taken.take(value);
                value
            } else {
                u16::try_from(port.value).ok()?
            };
            Some(AllocatedPort {
                label: port.label.clone(),
                value,
                to: match port.to {
                    -1 => value,
                    to => u16::try_from(to).unwrap_or(0),
                },
                host_ip: host_ip.to_owned(),
                dynamic,
            })
        };
        Some(Handed {
            group: self
                .group
                .iter()
                .map(|port| hand(port))
                .collect::<Option<_>>()?,
            tasks: self
                .tasks
                .iter()
                .map(|(task, ports)| {
                    let handed = ports.iter().map(|port| hand(port)).collect::<Option<_>>()?;
                    Some(((*task).to_owned(), handed))
                })
                .collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::{SeedableRng, rngs::StdRng};
    use rove_model::job::{Resources, Task};

    use super::*;

    fn numbers(handed: &Handed) -> impl Iterator<Item = u16> {
        handed
            .group
            .iter()
            .chain(handed.tasks.values().flatten())
            .map(|port| port.value)
    }

    fn table(first: u16, last: u16, reserved: &[u16]) -> PortTable {
        PortTable {
            first_dynamic: first,
            last_dynamic: last,
            reserved: reserved.iter().copied().collect(),
            dynamic_taken: u32::try_from(
                reserved
                    .iter()
                    .filter(|port| (first..=last).contains(*port))
                    .count(),
            )
            .unwrap(),
            ..PortTable::default()
        }
    }

    fn port(label: &str, value: i64, to: i64) -> Port {
        Port {
            label: label.to_owned(),
            value,
            to,
            ..Port::default()
        }
    }

    fn group(fixed: &[Port], dynamic: &[Port], of_task: &[Port]) -> TaskGroup {
        let network = |reserved_ports: &[Port], dynamic_ports: &[Port]| NetworkResource {
            reserved_ports: reserved_ports.to_vec(),
            dynamic_ports: dynamic_ports.to_vec(),
            ..NetworkResource::default()
        };
        TaskGroup {
            networks: vec![network(fixed, dynamic)],
            tasks: vec![Task {
                name: "t".to_owned(),
                resources: Some(Resources {
                    networks: vec![network(&[], of_task)],
                    ..Resources::default()
                }),
                ..Task::default()
            }],
            ..TaskGroup::default()
        }
    }

    #[test]
    fn a_range_is_handed_out_to_its_last_port_and_none_twice() {
        let mut taken = table(100, 119, &[105, 500]);
        let group = group(&[], &[port("a", 0, 80)], &[port("b", 0, -1)]);
        let ask = PortAsk::of(&group);
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = BTreeSet::new();
        for _ in 0..9 {
            let handed = ask.hand_out(&mut taken, "10.0.0.1", &mut rng).unwrap();
            assert_eq!(handed.group[0].to, 80);
            assert_eq!(handed.tasks["t"][0].to, handed.tasks["t"][0].value);
            for number in numbers(&handed) {
                assert!(seen.insert(number), "{number} was handed out twice");
            }
        }
        assert!(!seen.contains(&105), "a port that is kept back");
        assert!(ask.hand_out(&mut taken, "10.0.0.1", &mut rng).is_none());
        assert_eq!(taken.dynamic_free(), 1, "the refusal left nothing marked");
        assert_eq!(
            ask.refused_by(&taken).unwrap(),
            "network: dynamic port selection failed"
        );
        let given_back = *seen.first().unwrap();
        taken.give_back(given_back);
        assert!(ask.hand_out(&mut taken, "10.0.0.1", &mut rng).is_some());
    }

    #[test]
    fn a_set_number_is_refused_where_it_is_taken_kept_back_or_no_port() {
        let mut taken = table(100, 110, &[22]);
        taken.take(80);
        for (value, refusal) in [
            (81, None),
            (105, None),
            (80, Some("network: reserved port collision http=80")),
            (22, Some("network: reserved port collision http=22")),
            (70_000, Some("network: invalid port 70000 (out of range)")),
        ] {
            let group = group(&[port("http", value, 0)], &[], &[]);
            assert_eq!(PortAsk::of(&group).refused_by(&taken).as_deref(), refusal);
        }
        let twice = group(&[port("a", 81, 0), port("b", 81, 0)], &[], &[]);
        assert_eq!(
            PortAsk::of(&twice).refused_by(&taken).unwrap(),
            "network: reserved port collision b=81"
        );
    }

    #[test]
    fn a_set_number_within_the_range_is_not_drawn_as_well() {
        let mut taken = table(100, 101, &[]);
        let both = group(&[port("a", 100, 0)], &[port("b", 0, 0)], &[]);
        let ask = PortAsk::of(&both);
        let handed = ask
            .hand_out(&mut taken, "::1", &mut StdRng::seed_from_u64(7))
            .unwrap();
        assert_eq!(numbers(&handed).collect::<Vec<_>>(), [100, 101]);
        let three = group(
            &[port("a", 100, 0)],
            &[port("b", 0, 0), port("c", 0, 0)],
            &[],
        );
        assert!(
            PortAsk::of(&three)
                .refused_by(&table(100, 101, &[]))
                .is_some()
        );
    }

    #[test]
    fn a_port_held_twice_is_free_when_both_gave_it_back() {
        let mut taken = table(100, 101, &[]);
        taken.take(100);
        taken.take(100);
        taken.give_back(100);
        assert!(taken.is_taken(100));
        assert_eq!(taken.dynamic_free(), 1);
        taken.give_back(100);
        taken.give_back(100);
        assert_eq!(taken.dynamic_free(), 2);
    }
}
