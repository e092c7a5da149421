//! The cluster brought up to date key by key is the one that is made anew.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::ClientStatus,
    ids::AllocId,
    node::{Eligibility, NodeControl, NodeState},
    plan::Plan,
};
use rove_store::keys::Key;

use super::super::{
    Cluster, Conclusion, Snapshot,
    check::Refusal,
    check_plan,
    fixtures::{World, job, node, node_id, resources, with_ports},
    schedule,
};

/// What decisions read of it, by node.
fn shape(cluster: &Cluster) -> BTreeMap<String, String> {
    cluster
        .slots
        .iter()
        .zip(&cluster.hot)
        .filter(|(slot, hot)| slot.node.is_some() || hot.used != Default::default())
        .map(|(slot, hot)| {
            let class = slot.class.map(|(class, place)| {
                let class = &cluster.classes[class as usize];
                let member = class.members[place as usize];
                assert_eq!(cluster.slots[member as usize].id, slot.id);
                class.name.clone()
            });
            let text = format!(
                "{class:?} {:?} {:?} {:?} {} {:?}",
                hot.room, hot.used, hot.power, hot.dynamic_free, slot.ports
            );
            (slot.id.to_string(), text)
        })
        .collect()
}

#[test]
fn an_update_gives_what_a_new_one_has() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut world = World::new(6);
    let mut cluster = Cluster::new(&world.state);
    for step in 0..400 {
        let before = world.state.clone();
        match rng.random_range(0..9) {
            0 | 1 => {
                let n = rng.random_range(0..6);
                let count = rng.random_range(0..8);
                world.run_register(&with_ports(job(&format!("j{n}"), count), &[], 2));
            }
            2 => {
                let n = rng.random_range(1..9);
                let state = [NodeState::Ready, NodeState::Down][rng.random_range(0..2)];
                world.set_node(node_id(n), state);
            }
            3 => {
                let mut changed = node(rng.random_range(1..9));
                changed.reserved.ports = vec![20_001];
                changed.resources.cpu = rng.random_range(3_000..6_000);
                changed.node_class = ["", "a"][rng.random_range(0..2)].to_owned();
                world.add_node(changed);
            }
            4 => {
                world
                    .state
                    .delete(&Key::Node(node_id(rng.random_range(1..9))));
            }
            5 => {
                let control = NodeControl {
                    scheduling_eligibility: [Eligibility::Eligible, Eligibility::Ineligible]
                        [rng.random_range(0..2)],
                };
                world.control_node(rng.random_range(1..9), &control);
            }
            6 => {
                let ids = world.state.allocs().map(|a| a.id).collect::<Vec<_>>();
                if let Some(id) = ids.get(rng.random_range(0..ids.len().max(1))) {
                    let status = [ClientStatus::Running, ClientStatus::Failed];
                    world.report(*id, status[rng.random_range(0..2)], None);
                }
            }
            7 => {
                let alloc = world.state.allocs().next().map(|a| (a.node_id, a.id));
                if let Some((node, id)) = alloc {
                    world.state.delete(&Key::Alloc(node, id));
                }
            }
            _ => {
                let id = format!("j{}", rng.random_range(0..6));
                let key = rove_model::ids::JobKey::new("default", id.as_str());
                if world.state.current_job(&key).is_some() {
                    world.run_again(&id);
                }
            }
        }
        let keys = changed_keys(&before, &world.state);
        cluster.update(&world.state, &keys);
        assert_eq!(
            shape(&cluster),
            shape(&Cluster::new(&world.state)),
            "step {step}"
        );
        assert_eq!(cluster.revision(), world.state.revision());
    }
}

/// Every key that may differ.
fn changed_keys(before: &rove_store::state::State, after: &rove_store::state::State) -> Vec<Key> {
    let mut keys = Vec::new();
    for state in [before, after] {
        keys.extend(state.nodes().map(|node| Key::Node(node.id)));
        keys.extend(state.nodes().map(|node| Key::NodeStatus(node.id)));
        keys.extend(state.nodes().map(|node| Key::NodeControl(node.id)));
        keys.extend(state.allocs().map(|a| Key::Alloc(a.node_id, a.id)));
        keys.extend(
            state
                .alloc_statuses()
                .map(|(n, a, _)| Key::AllocStatus(n, a)),
        );
        keys.extend(state.plans().map(|plan| Key::Plan(plan.eval.id)));
    }
    keys.extend((1..9).map(|n| Key::NodeStatus(node_id(n))));
    keys.extend((1..9).map(|n| Key::NodeControl(node_id(n))));
    keys.retain(|key| before.revisions(key) != after.revisions(key));
    keys.sort();
    keys.dedup();
    keys
}

fn plan_of(world: &mut World, cluster: &Cluster, id: &str, memory: i64) -> Arc<Plan> {
    let mut job = job(id, 1);
    resources(&mut job).memory_mb = Some(memory);
    let eval = world.register(&job);
    let view = Snapshot {
        state: &world.state,
        cluster,
    };
    let seed = id.bytes().map(u64::from).sum();
    match schedule(&view, &eval, 0, &mut StdRng::seed_from_u64(seed)).conclusion {
        Conclusion::Plan(plan) => Arc::new(*plan),
        Conclusion::Eval(_) => panic!("there is something to do"),
    }
}

#[test]
fn a_decided_plan_counts_until_the_state_shows_it_done() {
    let mut world = World::new(2);
    let mut cluster = Cluster::new(&world.state);
    let first = plan_of(&mut world, &cluster, "first", 8_000);
    cluster.reserve(&world.state, first.clone());
    let second = plan_of(&mut world, &cluster, "second", 8_000);
    assert_ne!(first.placements[0].node_id, second.placements[0].node_id);
    cluster.reserve(&world.state, second.clone());
    assert!(
        plan_of(&mut world, &cluster, "third", 8_000)
            .placements
            .is_empty()
    );

    // The second could not be written: its room is free again.
    cluster.release(&world.state, second.eval.id);
    assert_eq!(
        plan_of(&mut world, &cluster, "third", 8_000)
            .placements
            .len(),
        1
    );

    // The first is written, then its alloc, then it is removed: it counts once all the time.
    let node = first.placements[0].node_id;
    let used = |cluster: &Cluster| cluster.usage(node).unwrap().1.memory_mb;
    let plan_key = Key::Plan(first.eval.id);
    let alloc_key = Key::Alloc(node, first.placements[0].id);
    world.put(&plan_key, &*first);
    cluster.update(&world.state, std::slice::from_ref(&plan_key));
    assert_eq!(used(&cluster), 8_000);
    world.put(&alloc_key, &first.placements[0]);
    cluster.update(&world.state, std::slice::from_ref(&alloc_key));
    assert_eq!(used(&cluster), 8_000);
    world.state.delete(&plan_key);
    cluster.update(&world.state, std::slice::from_ref(&plan_key));
    assert_eq!(used(&cluster), 8_000);
    world.state.delete(&alloc_key);
    cluster.update(&world.state, std::slice::from_ref(&alloc_key));
    assert_eq!(used(&cluster), 0);
}

#[test]
fn a_plan_that_another_process_left_in_the_state_counts() {
    let mut world = World::new(1);
    let cluster = Cluster::new(&world.state);
    let plan = plan_of(&mut world, &cluster, "first", 8_000);
    world.put(&Key::Plan(plan.eval.id), &*plan);
    let cluster = Cluster::new(&world.state);
    assert_eq!(cluster.usage(node_id(1)).unwrap().1.memory_mb, 8_000);
    assert_eq!(cluster.ready_nodes(), 1);
}

#[test]
fn a_plan_is_checked_against_the_newest_state() {
    let mut world = World::new(2);
    let mut job = with_ports(job("j", 2), &[8080], 0);
    resources(&mut job).memory_mb = Some(5_000);
    let eval = world.register(&job);
    let plan = world.decide(&eval).plan().unwrap().clone();
    assert!(check_plan(&world.state, &plan).is_whole());
    let ids = plan
        .placements
        .iter()
        .map(|a| a.id)
        .collect::<Vec<AllocId>>();

    let refusals = |world: &World, plan: &Plan| {
        let verdict = check_plan(&world.state, plan);
        ids.iter()
            .map(|id| verdict.refused.get(id).copied())
            .collect::<Vec<_>>()
    };
    let first = plan.placements[0].node_id;
    let mut down = world.fork();
    down.set_node(first, NodeState::Down);
    assert_eq!(refusals(&down, &plan), [Some(Refusal::NodeNotReady), None]);

    // Twice in one plan.
    let mut doubled = plan.clone();
    doubled.placements[1].node_id = first;
    let refused = refusals(&world, &doubled);
    assert!(matches!(refused[..], [None, Some(Refusal::Exhausted(_))]));
    for alloc in &mut doubled.placements {
        alloc.resources.tasks.get_mut("t").unwrap().memory_mb = 1;
    }
    assert_eq!(
        refusals(&world, &doubled),
        [None, Some(Refusal::PortTaken(8080))]
    );

    // What is written already is accepted.
    world.apply(&plan);
    assert_eq!(check_plan(&world.state, &plan).accepted.len(), 2);
}

#[test]
fn a_stop_whose_successor_is_refused_is_held() {
    let mut world = World::new(2);
    let mut job = job("j", 2);
    resources(&mut job).memory_mb = Some(8_000);
    job.task_groups[0].update.as_mut().unwrap().max_parallel = Some(2);
    world.run_register(&job);
    resources(&mut job).memory_mb = Some(8_100);
    let eval = world.register(&job);
    let mut plan = world.decide(&eval).plan().unwrap().clone();
    assert_eq!((plan.placements.len(), plan.stops.len()), (2, 2));
    // Each successor uses the room of the other's predecessor; one node goes down.
    let (a, b) = (plan.placements[0].node_id, plan.placements[1].node_id);
    plan.placements[0].node_id = b;
    plan.placements[1].node_id = a;
    world.set_node(b, NodeState::Down);
    let verdict = check_plan(&world.state, &plan);
    assert_eq!(verdict.refused.len(), 2);
    assert_eq!(verdict.held.len(), 2);
}
