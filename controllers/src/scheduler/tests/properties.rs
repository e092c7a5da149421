//! What holds whatever is asked, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    eval::EvalStatus,
    ids::JobKey,
    job::Job,
    node::NodeState,
    resources::Room,
};

use super::super::{
    Cluster, Snapshot,
    fixtures::{SECOND, World, batch, job, node, node_id, resources, task, with_ports},
    schedule,
};

#[derive(Clone, Debug)]
enum Step {
    Register(u8, JobShape),
    Stop(u8, bool),
    Fail(usize),
    Complete(usize),
    AskToStop(usize),
    Healthy(u8),
    Node(u32, bool),
    Again(u8),
}

#[derive(Clone, Debug)]
struct JobShape {
    batch: bool,
    count: i64,
    cpu: i64,
    memory: i64,
    fixed: bool,
    dynamic: usize,
    version: u8,
}

const NODES: u32 = 6;
const JOBS: u8 = 5;

fn shape() -> impl Strategy<Value = JobShape> {
    (
        any::<bool>(),
        0..12i64,
        1..900i64,
        10..2_000i64,
        0..5u8,
        0..3usize,
        0..3u8,
    )
        .prop_map(
            |(batch, count, cpu, memory, fixed, dynamic, version)| JobShape {
                batch,
                count,
                cpu,
                memory,
                fixed: fixed == 0,
                dynamic,
                version,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..JOBS, shape()).prop_map(|(n, shape)| Step::Register(n, shape)),
        1 => (0..JOBS, any::<bool>()).prop_map(|(n, purge)| Step::Stop(n, purge)),
        2 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Complete),
        1 => any::<usize>().prop_map(Step::AskToStop),
        2 => (0..JOBS).prop_map(Step::Healthy),
        2 => (1..=NODES, any::<bool>()).prop_map(|(n, up)| Step::Node(n, up)),
        1 => (0..JOBS).prop_map(Step::Again),
    ]
}

fn name(n: u8) -> String {
    format!("j{n}")
}

fn make(n: u8, shape: &JobShape) -> Job {
    // A job's type can't change.
    let mut job = if n.is_multiple_of(2) {
        job(&name(n), shape.count)
    } else {
        batch(&name(n), shape.count)
    };
    let fixed = if shape.fixed { &[8080][..] } else { &[] };
    job = with_ports(job, fixed, shape.dynamic);
    resources(&mut job).cpu = Some(shape.cpu);
    resources(&mut job).memory_mb = Some(shape.memory);
    let version = shape.version.to_string();
    task(&mut job).env.insert("VERSION".to_owned(), version);
    if shape.batch
        && let Some(update) = &mut job.task_groups[0].update
    {
        update.max_parallel = Some(3);
    }
    job
}

fn check_nodes(world: &World) {
    for n in 1..=NODES {
        let node = world.state.node(node_id(n)).unwrap();
        let mut used = Room::default();
        let mut ports = BTreeSet::new();
        for alloc in world.state.allocs_of_node(node.id) {
            let live = alloc.desired_status == DesiredStatus::Run
                && !world.state.client_status(alloc.id).is_terminal();
            if live {
                used = used.plus(alloc.resources.room());
                for port in alloc.resources.all_ports() {
                    assert!(ports.insert(port.value), "port {} twice", port.value);
                }
            }
        }
        assert_eq!(
            node.room().exceeded_by(used),
            None,
            "node {n} holds {used:?}"
        );
    }
}

fn check_job(world: &World, id: &str) {
    let key = JobKey::new("default", id);
    let live = world.live(id);
    let numbers = live.iter().map(|alloc| alloc.index).collect::<Vec<_>>();
    let unique = numbers.iter().collect::<BTreeSet<_>>();
    assert_eq!(
        unique.len(),
        numbers.len(),
        "{id}: a number twice: {numbers:?}"
    );
    let Some(registration) = world.state.registration(&key) else {
        assert!(live.is_empty());
        return;
    };
    let job = world.state.current_job(&key).unwrap();
    if registration.stop {
        assert!(live.is_empty(), "{id} is stopped");
    } else {
        let count = job.job.task_groups[0].count() as usize;
        assert!(live.len() <= count, "{id}: {} of {count}", live.len());
    }
    let blocked = world
        .state
        .evals_of_job(&key)
        .filter(|eval| eval.status == EvalStatus::Blocked)
        .count();
    assert!(blocked <= 1, "{id} has {blocked} blocked evaluations");
}

/// Runs evaluations of all jobs, with everything healthy, until none has anything left to do.
fn settle(world: &mut World) {
    for _ in 0..80 {
        let mut quiet = true;
        for n in 0..JOBS {
            let key = JobKey::new("default", name(n).as_str());
            if world.state.current_job(&key).is_some() {
                world.all_healthy(&name(n));
                let outcome = world.run_again(&name(n));
                let waits = outcome.plan().is_some_and(|plan| {
                    !plan.placements.is_empty()
                        || !plan.stops.is_empty()
                        || !plan.in_place.is_empty()
                });
                quiet &= !waits;
            }
        }
        if quiet {
            return;
        }
        world.now += 3_600 * SECOND;
    }
    panic!("it does not come to rest");
}

fn run(steps: &[Step], seed: u64) -> World {
    let mut world = World::seeded(NODES, seed);
    for step in steps {
        world.now += SECOND;
        let allocs = world
            .state
            .allocs()
            .filter(|alloc| {
                alloc.desired_status == DesiredStatus::Run
                    && !world.state.client_status(alloc.id).is_terminal()
            })
            .map(|alloc| alloc.id)
            .collect::<Vec<_>>();
        let pick = |at: usize| allocs.get(at % allocs.len().max(1)).copied();
        let registered = |world: &World, n: u8| {
            let key = JobKey::new("default", name(n).as_str());
            world
                .state
                .registration(&key)
                .is_some_and(|registration| !registration.purge)
        };
        match step {
            Step::Register(n, shape) => {
                world.run_register(&make(*n, shape));
            }
            Step::Stop(n, purge) if registered(&world, *n) => {
                let eval = world.stop(&name(*n), *purge);
                world.run(&eval);
            }
            Step::Fail(at) => {
                if let Some(id) = pick(*at) {
                    world.report(id, ClientStatus::Failed, Some(false));
                }
            }
            Step::Complete(at) => {
                if let Some(id) = pick(*at) {
                    world.report(id, ClientStatus::Complete, None);
                }
            }
            Step::AskToStop(at) => {
                if let Some(id) = pick(*at) {
                    world.ask_to_stop(id);
                }
            }
            Step::Healthy(n) => world.all_healthy(&name(*n)),
            Step::Node(n, up) => {
                let status = if *up {
                    NodeState::Ready
                } else {
                    NodeState::Down
                };
                world.set_node(node_id(*n), status);
                for n in 0..JOBS {
                    if registered(&world, n) {
                        world.run_again(&name(n));
                    }
                }
            }
            Step::Again(n) if registered(&world, *n) => {
                world.run_again(&name(*n));
            }
            Step::Stop(..) | Step::Again(_) => {}
        }
        check_nodes(&world);
        for n in 0..JOBS {
            check_job(&world, &name(n));
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rove_testkit::cases(96), ..ProptestConfig::default() })]

    #[test]
    fn no_node_is_over_full_no_port_is_given_twice_and_no_count_exceeded(
        steps in prop::collection::vec(step(), 1..40),
        seed in any::<u64>(),
    ) {
        let mut world = run(&steps, seed);
        settle(&mut world);
        check_nodes(&world);
        // What is missing now found no place, and waits.
        for n in 0..JOBS {
            let key = JobKey::new("default", name(n).as_str());
            check_job(&world, &name(n));
            let Some(job) = world.state.current_job(&key).filter(|job| !job.job.stop) else {
                continue;
            };
            if n % 2 == 1 {
                continue;
            }
            let count = job.job.task_groups[0].count() as usize;
            let failed = world
                .state
                .allocs_of_job(&key)
                .filter(|alloc| alloc.desired_status == DesiredStatus::Run
                    && world.state.client_status(alloc.id) == ClientStatus::Failed)
                .count();
            let missing = count.saturating_sub(world.live(&name(n)).len() + failed);
            let waits = world
                .state
                .evals_of_job(&key)
                .any(|eval| eval.status == EvalStatus::Blocked);
            prop_assert!(missing == 0 || waits, "{} lacks {missing}", name(n));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_world(
        steps in prop::collection::vec(step(), 1..12),
        seed in any::<u64>(),
    ) {
        let (left, right) = (run(&steps, seed), run(&steps, seed));
        let allocs = |world: &World| {
            world.state.allocs().map(|alloc| alloc.value.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(allocs(&left), allocs(&right));
        let evals = |world: &World| {
            world.state.evals().map(|eval| eval.value.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(evals(&left), evals(&right));
    }

    #[test]
    fn the_count_is_reached_where_there_is_room(
        count in 1..60i64,
        nodes in 1..12u32,
        cpu in 50..1_500i64,
        seed in any::<u64>(),
    ) {
        let mut world = World::seeded(nodes, seed);
        let mut job = job("j", count);
        resources(&mut job).cpu = Some(cpu);
        world.run_register(&job);
        let room = i64::from(nodes) * (4_000 / cpu);
        prop_assert_eq!(world.live("j").len() as i64, count.min(room));
    }

    #[test]
    fn the_order_in_which_nodes_became_known_does_not_matter(
        seed in any::<u64>(),
        order in Just((1..=12u32).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut world = World::seeded(12, 1);
        let eval = world.register(&with_ports(job("j", 30), &[], 1));
        let decide = |cluster: &Cluster| {
            let view = Snapshot { state: &world.state, cluster };
            schedule(&view, &eval, 0, &mut StdRng::seed_from_u64(seed))
        };
        let mut empty = Cluster::new(&World::new(0).state);
        for n in order {
            for key in [
                rove_store::keys::Key::Node(node_id(n)),
                rove_store::keys::Key::NodeStatus(node_id(n)),
            ] {
                empty.update(&world.state, &[key]);
            }
        }
        prop_assert_eq!(decide(&empty), decide(&Cluster::new(&world.state)));
    }
}

#[test]
fn every_node_is_looked_at() {
    // The one with room is found among many that are full.
    let mut world = World::new(60);
    let mut filler = job("filler", 60);
    resources(&mut filler).cpu = Some(4_000);
    world.run_register(&filler);
    world.add_node(node(61));
    world.run_register(&job("j", 1));
    assert_eq!(world.live("j")[0].node_id, node_id(61));
    let by_node = world
        .live("filler")
        .iter()
        .fold(BTreeMap::new(), |mut map, alloc| {
            *map.entry(alloc.node_id).or_insert(0) += 1;
            map
        });
    assert!(by_node.values().all(|n| *n == 1));
}
