//! Which node is chosen, and what it is asked.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::ClientStatus,
    duration::Nanos,
    ids::NodeId,
    job::{Affinity, Constraint, EphemeralDisk, Job, ReschedulePolicy, Spread, SpreadTarget},
    node::{Eligibility, NodeControl, NodeState},
};

use super::super::{
    fixtures::{World, job, node, node_id, resources, task, with_ports},
    rank::LOOKED_AT,
};

fn nodes_of(world: &World, id: &str) -> Vec<NodeId> {
    world.live(id).iter().map(|alloc| alloc.node_id).collect()
}

fn distinct(world: &World, id: &str) -> usize {
    nodes_of(world, id)
        .into_iter()
        .collect::<BTreeSet<_>>()
        .len()
}

fn constraint(left: &str, operand: &str, right: &str) -> Constraint {
    Constraint {
        ltarget: left.to_owned(),
        rtarget: right.to_owned(),
        operand: operand.to_owned(),
    }
}

#[test]
fn the_fuller_node_is_better() {
    let mut world = World::new(1);
    world.run_register(&job("first", 1));
    for n in 2..=20 {
        world.add_node(node(n));
    }
    world.run_register(&job("second", 1));
    assert_eq!(nodes_of(&world, "second"), [node_id(1)]);
}

#[test]
fn allocs_of_a_group_keep_away_from_each_other() {
    let mut world = World::new(5);
    world.run_register(&job("j", 5));
    assert_eq!(distinct(&world, "j"), 5);
    world.run_register(&job("j", 10));
    let mut by_node = BTreeMap::<_, u32>::new();
    for node in nodes_of(&world, "j") {
        *by_node.entry(node).or_default() += 1;
    }
    assert!(by_node.values().all(|allocs| *allocs == 2), "{by_node:?}");
}

#[test]
fn equal_nodes_are_drawn_by_the_seed() {
    let chosen = |seed| {
        let mut world = World::seeded(20, seed);
        world.run_register(&job("j", 1));
        nodes_of(&world, "j")[0]
    };
    assert_eq!(chosen(1), chosen(1));
    let drawn = (0..10).map(chosen).collect::<BTreeSet<_>>();
    assert!(drawn.len() > 3, "{drawn:?}");
}

#[test]
fn a_node_that_will_not_do_is_not_chosen() {
    type Change = fn(&mut World, &mut Job);
    let rows: [(&str, Change); 9] = [
        ("it is down", |world, _| {
            world.set_node(node_id(1), NodeState::Down)
        }),
        ("it was never alive", |world, _| {
            world.set_node(node_id(1), NodeState::Initializing);
        }),
        ("it is ineligible", |world, _| {
            let control = NodeControl {
                scheduling_eligibility: Eligibility::Ineligible,
            };
            world.control_node(1, &control);
        }),
        ("its datacenter", |world, job| {
            let mut node = node(1);
            node.datacenter = "dc9".to_owned();
            world.add_node(node);
            job.datacenters = vec!["dc1".to_owned(), "dc2*".to_owned()];
        }),
        ("its pool", |world, _| {
            let mut node = node(1);
            node.node_pool = "gpu".to_owned();
            world.add_node(node);
        }),
        ("a missing driver", |world, _| {
            let mut node = node(1);
            node.drivers.remove("raw_exec");
            world.add_node(node);
        }),
        ("a constraint on its class", |world, job| {
            let mut node = node(1);
            node.attributes
                .insert("kernel.name".to_owned(), "plan9".to_owned());
            world.add_node(node);
            job.constraints = vec![constraint("${attr.kernel.name}", "!=", "plan9")];
        }),
        ("a constraint on itself", |_, job| {
            job.task_groups[0].constraints = vec![constraint("${node.unique.name}", "=", "node-2")];
        }),
        ("no room", |world, _| {
            let mut node = node(1);
            node.reserved.memory_mb = 8_100;
            world.add_node(node);
        }),
    ];
    for (what, change) in rows {
        let mut world = World::new(1);
        let mut job = job("j", 1);
        change(&mut world, &mut job);
        world.run_register(&job);
        assert!(world.live("j").is_empty(), "{what}");
        world.add_node(node(2));
        world.run_again("j");
        assert_eq!(nodes_of(&world, "j"), [node_id(2)], "{what}");
    }
}

#[test]
fn distinct_hosts_of_a_group_and_of_a_job() {
    let mut world = World::new(3);
    let mut job = job("j", 5);
    job.task_groups[0].constraints = vec![constraint("", "distinct_hosts", "true")];
    let outcome = world.run_register(&job);
    assert_eq!(distinct(&world, "j"), 3);
    assert_eq!(world.live("j").len(), 3);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(failure.constraint_filtered["distinct_hosts"], 3);
    assert_eq!(failure.nodes_filtered, 3);
    // The second evaluation counts those that are there.
    world.add_node(node(4));
    world.run_again("j");
    assert_eq!(distinct(&world, "j"), 4);
    assert_eq!(world.live("j").len(), 4);

    let mut two_groups = super::super::fixtures::job("two", 1);
    two_groups.constraints = vec![constraint("", "distinct_hosts", "")];
    two_groups
        .task_groups
        .push(super::super::fixtures::group("h", 1));
    two_groups.canonicalize();
    world.run_register(&two_groups);
    assert_eq!(distinct(&world, "two"), 2);
}

#[test]
fn distinct_property_limits_allocs_by_value() {
    let mut world = World::new(0);
    for n in 1..=6 {
        let mut node = node(n);
        if n < 6 {
            let rack = format!("r{}", n % 2);
            node.meta.insert("rack".to_owned(), rack);
        }
        world.add_node(node);
    }
    let mut job = job("j", 5);
    job.task_groups[0].constraints = vec![constraint("${meta.rack}", "distinct_property", "2")];
    let outcome = world.run_register(&job);
    let mut by_rack = BTreeMap::<_, u32>::new();
    for id in nodes_of(&world, "j") {
        let rack = world.state.node(id).unwrap().meta["rack"].clone();
        *by_rack.entry(rack).or_default() += 1;
    }
    assert_eq!(by_rack, [("r0".to_owned(), 2), ("r1".to_owned(), 2)].into());
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(
        failure.constraint_filtered,
        [
            (
                "distinct_property: ${meta.rack}=r0 used by 2 allocs".to_owned(),
                2
            ),
            (
                "distinct_property: ${meta.rack}=r1 used by 2 allocs".to_owned(),
                3
            ),
            ("missing property \"${meta.rack}\"".to_owned(), 1),
        ]
        .into()
    );
}

fn affinity(left: &str, right: &str, weight: i64) -> Affinity {
    Affinity {
        ltarget: left.to_owned(),
        rtarget: right.to_owned(),
        operand: "=".to_owned(),
        weight: Some(weight),
    }
}

/// Ten nodes in three racks: 1, 4, 7, 10 in `r1`; 2, 5, 8 in `r2`; 3, 6, 9 in `r0`.
fn racks() -> World {
    let mut world = World::new(0);
    for n in 1..=10 {
        let mut node = node(n);
        node.meta.insert("rack".to_owned(), format!("r{}", n % 3));
        world.add_node(node);
    }
    world
}

fn by_rack(world: &World, id: &str) -> BTreeMap<String, u32> {
    let mut by_rack = BTreeMap::new();
    for id in nodes_of(world, id) {
        let rack = world.state.node(id).unwrap().meta["rack"].clone();
        *by_rack.entry(rack).or_default() += 1;
    }
    by_rack
}

#[test]
fn affinities_draw_allocs_to_nodes_and_away_from_them() {
    let mut world = racks();
    let mut liked = job("liked", 3);
    liked.affinities = vec![affinity("${meta.rack}", "r2", 50)];
    let outcome = world.run_register(&liked);
    assert_eq!(by_rack(&world, "liked"), [("r2".to_owned(), 3)].into());
    let score = &outcome.plan().unwrap().placements[0]
        .metrics
        .score_meta_data[0];
    assert!((score.scores["node-affinity"] - 1.0).abs() < 1e-9);

    // Of two that pull apart the stronger wins; that of a task counts as well.
    let mut torn = job("torn", 3);
    torn.affinities = vec![affinity("${meta.rack}", "r2", -100)];
    torn.task_groups[0].affinities = vec![affinity("${meta.rack}", "r1", 20)];
    task(&mut torn).affinities = vec![affinity("${node.unique.name}", "node-3", 90)];
    let outcome = world.run_register(&torn);
    assert!(nodes_of(&world, "torn").contains(&node_id(3)));
    assert_eq!(by_rack(&world, "torn").get("r2"), None);
    let scores = &outcome.plan().unwrap().placements[0]
        .metrics
        .score_meta_data;
    assert!((scores[0].scores["node-affinity"] - 90.0 / 210.0).abs() < 1e-9);

    // It is a wish: without a better node the disliked one will do.
    let mut all = job("all", 12);
    all.affinities = vec![affinity("${meta.rack}", "r2", -100)];
    world.run_register(&all);
    assert_eq!(world.live("all").len(), 12);
}

#[test]
fn a_spread_gives_each_value_its_share() {
    let target = |value: &str, percent| SpreadTarget {
        value: value.to_owned(),
        percent,
    };
    for (what, targets, expected) in [
        ("evenly", vec![], [4, 4, 4]),
        (
            "by percent",
            vec![target("r0", 50), target("r1", 25), target("r2", 25)],
            [6, 3, 3],
        ),
        (
            "the rest to the others",
            vec![target("r0", 50), target("r1", 25)],
            [6, 3, 3],
        ),
    ] {
        let mut world = racks();
        let mut job = job("j", 12);
        job.spreads = vec![Spread {
            attribute: "${meta.rack}".to_owned(),
            weight: Some(100),
            spread_target: targets,
        }];
        world.run_register(&job);
        let found = by_rack(&world, "j");
        let found = ["r0", "r1", "r2"].map(|rack| found.get(rack).copied().unwrap_or(0));
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_spread_counts_what_runs_already() {
    let mut world = racks();
    let mut job = job("j", 3);
    job.task_groups[0].spreads = vec![Spread {
        attribute: "${meta.rack}".to_owned(),
        weight: Some(50),
        spread_target: Vec::new(),
    }];
    world.run_register(&job);
    job.task_groups[0].count = Some(6);
    world.run_register(&job);
    assert!(by_rack(&world, "j").values().all(|allocs| *allocs == 2));
}

#[test]
fn ports_are_given_on_the_first_address_and_none_twice() {
    let mut world = World::new(1);
    let mut job = with_ports(job("j", 20), &[], 2);
    job.task_groups[0].networks[0].dynamic_ports[0].to = 6_379;
    resources(&mut job).networks = with_ports(super::super::fixtures::job("x", 1), &[], 1)
        .task_groups
        .remove(0)
        .networks;
    world.run_register(&job);
    let mut seen = BTreeSet::new();
    for alloc in world.live("j") {
        assert_eq!(alloc.resources.ports.len(), 2);
        assert_eq!(alloc.resources.ports[0].to, 6_379);
        assert_eq!(alloc.resources.tasks["t"].ports.len(), 1);
        for port in alloc.resources.all_ports() {
            assert_eq!(port.host_ip, "10.0.0.2");
            assert!(port.dynamic);
            assert!((20_000..=20_099).contains(&port.value));
            assert!(seen.insert(port.value));
        }
    }
    assert_eq!(seen.len(), 60);
    // 40 of the range are left: 13 more allocs.
    job.task_groups[0].count = Some(40);
    let outcome = world.run_register(&job);
    assert_eq!(world.live("j").len(), 33);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(
        failure.dimension_exhausted["network: dynamic port selection failed"],
        1
    );
}

#[test]
fn a_port_with_a_set_number_is_given_once_per_node() {
    let mut world = World::new(2);
    let outcome = world.run_register(&with_ports(job("j", 3), &[8080], 0));
    assert_eq!(world.live("j").len(), 2);
    assert_eq!(distinct(&world, "j"), 2);
    let port = &world.live("j")[0].resources.ports[0];
    assert_eq!((port.value, port.to, port.dynamic), (8080, 0, false));
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(
        failure.dimension_exhausted["network: reserved port collision p8080=8080"],
        2
    );
    assert_eq!(failure.nodes_exhausted, 2);
}

#[test]
fn room_is_free_once_an_alloc_is_to_be_stopped_or_is_over() {
    let mut world = World::new(1);
    let mut big = job("big", 1);
    resources(&mut big).memory_mb = Some(8_000);
    world.run_register(&big);
    let mut next = job("next", 1);
    resources(&mut next).memory_mb = Some(8_000);
    world.run_register(&next);
    assert!(world.live("next").is_empty());
    let running = world.live("big")[0].id;
    world.report(running, ClientStatus::Running, None);
    let eval = world.stop("big", false);
    world.run(&eval);
    world.run_again("next");
    assert_eq!(world.live("next").len(), 1);
    let id = world.live("next")[0].id;
    world.report(id, ClientStatus::Failed, None);
    big.id = "third".to_owned();
    world.run_register(&big);
    assert_eq!(world.live("third").len(), 1);
}

#[test]
fn a_failed_alloc_prefers_another_node_even_a_worse_one() {
    let mut world = World::new(2);
    let mut job = job("j", 1);
    job.task_groups[0].reschedule_policy = Some(ReschedulePolicy {
        unlimited: Some(true),
        delay: Some(Nanos::secs(0)),
        ..ReschedulePolicy::default()
    });
    world.run_register(&job);
    let mut seen = nodes_of(&world, "j");
    for _ in 0..2 {
        let failed = world.live("j")[0].id;
        world.report(failed, ClientStatus::Failed, Some(false));
        let outcome = world.run_again("j");
        let chosen = &outcome.plan().unwrap().placements[0];
        let scores = &chosen.metrics.score_meta_data;
        let penalised = scores
            .iter()
            .filter(|score| score.scores["node-reschedule-penalty"] < 0.0)
            .count();
        assert_eq!(penalised, seen.iter().collect::<BTreeSet<_>>().len());
        seen.extend(nodes_of(&world, "j"));
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_sticky_disk_stays_on_its_node() {
    for seed in 0..5 {
        let mut world = World::seeded(10, seed);
        let mut job = job("j", 1);
        job.task_groups[0].ephemeral_disk = Some(EphemeralDisk {
            sticky: Some(true),
            size_mb: Some(300),
            ..EphemeralDisk::default()
        });
        world.run_register(&job);
        let before = nodes_of(&world, "j");
        // A fuller node would be better.
        world.run_register(&super::super::fixtures::job("other", 3));
        task(&mut job).env.insert("A".to_owned(), "b".to_owned());
        world.run_register(&job);
        assert_eq!(nodes_of(&world, "j"), before);
    }
}

#[test]
fn the_scores_of_the_best_nodes_are_kept() {
    let mut world = World::new(8);
    let outcome = world.run_register(&job("j", 12));
    let plan = outcome.plan().unwrap();
    let first = &plan.placements[0].metrics;
    assert_eq!(first.score_meta_data.len(), 5);
    assert_eq!(first.score_meta_data[0].node_id, plan.placements[0].node_id);
    assert_eq!(first.nodes_evaluated, 8);
    assert_eq!(first.nodes_available["dc1"], 8);
    let scores = first.score_meta_data.iter().map(|score| score.norm_score);
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let ninth = &plan.placements[8].metrics.score_meta_data[0];
    // The second of 12 on a node: -(1 + 1) / 12, and the mean of both scores.
    assert!((ninth.scores["job-anti-affinity"] + 2.0 / 12.0).abs() < 1e-9);
    let mean = f64::midpoint(ninth.scores["binpack"], -2.0 / 12.0);
    assert!((ninth.norm_score - mean).abs() < 1e-9);
    assert_eq!(plan.placements[11].metrics.score_meta_data.len(), 1);
}

#[test]
fn a_placement_with_a_spread_or_a_distinct_property_looks_at_few_nodes() {
    const NODES: u32 = 600;
    const ALLOCS: i64 = 200;
    let spread = |attribute: &str| Spread {
        attribute: attribute.to_owned(),
        weight: Some(50),
        spread_target: Vec::new(),
    };
    type Change = Box<dyn Fn(&mut Job)>;
    let rows: [(&str, Change); 4] = [
        (
            "a spread over racks",
            Box::new(move |job| job.spreads = vec![spread("${meta.rack}")]),
        ),
        (
            "a spread over nodes",
            Box::new(move |job| job.spreads = vec![spread("${node.unique.id}")]),
        ),
        (
            "a distinct rack for each ten",
            Box::new(|job| {
                job.constraints = vec![constraint("${meta.rack}", "distinct_property", "10")];
            }),
        ),
        (
            "a distinct node for each, over racks",
            Box::new(move |job| {
                let property = constraint("${node.unique.id}", "distinct_property", "");
                job.task_groups[0].constraints = vec![property];
                job.spreads = vec![spread("${meta.rack}"), spread("${node.datacenter}")];
            }),
        ),
    ];
    for (what, change) in rows {
        let mut world = World::new(0);
        for n in 1..=NODES {
            let mut node = node(n);
            node.meta.insert("rack".to_owned(), format!("r{}", n % 20));
            world.add_node(node);
        }
        let mut job = job("j", ALLOCS);
        change(&mut job);
        let before = LOOKED_AT.with(std::cell::Cell::get);
        world.run_register(&job);
        let looked_at = LOOKED_AT.with(std::cell::Cell::get) - before;
        assert_eq!(world.live("j").len(), ALLOCS as usize, "{what}");
        // Each node once, and for each placement the node that it lands on, before and after.
        let most = (NODES + 2 * ALLOCS as u32) as usize;
        assert!(looked_at <= most, "{what}: {looked_at} of {most}");
        // The fuller node is better, and may outweigh a spread where allocs may share one.
        if what.contains("distinct node") {
            let mut by_rack = BTreeMap::<_, u32>::new();
            for id in nodes_of(&world, "j") {
                let rack = world.state.node(id).unwrap().meta["rack"].clone();
                *by_rack.entry(rack).or_default() += 1;
            }
            assert!(by_rack.values().all(|allocs| *allocs == 10), "{by_rack:?}");
        }
    }
}

#[test]
fn the_reasons_of_a_distinct_property_with_many_values_are_bounded_and_counted() {
    let mut world = World::new(300);
    let mut job = job("j", 400);
    job.constraints = vec![constraint("${node.unique.id}", "distinct_property", "")];
    let outcome = world.run_register(&job);
    assert_eq!(world.live("j").len(), 300);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(failure.nodes_filtered, 300);
    assert_eq!(failure.constraint_filtered.len(), 21);
    assert_eq!(failure.constraint_filtered["other reasons"], 280);
    let size = rove_model::encoding::encode(outcome.plan().unwrap())
        .unwrap()
        .len();
    assert!(size < 200_000, "{size} bytes");
}
