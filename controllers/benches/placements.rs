//! How many placements a second the scheduler decides, without store and agents. Prints numbers, checks none.
//!
//! `cargo bench -p rove-controllers --bench placements`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use rove_controllers::scheduler::{Cluster, Snapshot, check_plan, schedule};
use rove_model::{
    encoding::encode,
    eval::{Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, JobUid, NodeId, VersionKey},
    job::{Constraint, Job, NetworkResource, Port, Resources, Spread, Task, TaskGroup},
    node::{DriverInfo, Node, NodeNetwork, NodeReserved, NodeResources, NodeState, NodeStatus},
    plan::Plan,
    registration::{EvalRequest, JobVersion, Registration},
};
use rove_store::{
    keys::{Key, Keys},
    state::State,
};
use uuid::Uuid;

fn node(n: u32) -> Node {
    let driver = DriverInfo {
        detected: true,
        healthy: true,
        ..DriverInfo::default()
    };
    let mut node = Node {
        id: NodeId(Uuid::from_u128(
            u128::from(n) * 0x9e37_79b9_7f4a_7c15_f39c_0000_0001,
        )),
        name: format!("node-{n}"),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        node_class: String::new(),
        attributes: [
            ("kernel.name".to_owned(), "linux".to_owned()),
            // Ten kinds of machines.
            ("platform.kind".to_owned(), (n % 10).to_string()),
        ]
        .into(),
        meta: BTreeMap::new(),
        drivers: [("raw_exec".to_owned(), driver)].into(),
        resources: NodeResources {
            cpu: 64_000 + u64::from(n % 10) * 1_000,
            cores: 32,
            memory_mb: 128_000,
            disk_mb: 2_000_000,
            networks: vec![NodeNetwork {
                ip: format!("10.{}.{}.1", n / 250, n % 250),
                ..NodeNetwork::default()
            }],
            min_dynamic_port: 20_000,
            max_dynamic_port: 32_000,
        },
        reserved: NodeReserved::default(),
        http_addr: String::new(),
        computed_class: String::new(),
        registered_at: 0,
        version: String::new(),
    };
    node.computed_class = node.compute_class();
    node
}

fn job(n: usize, count: i64, ports: usize) -> Job {
    let mut job = Job {
        id: format!("job-{n}"),
        datacenters: vec!["dc1".to_owned()],
        task_groups: vec![TaskGroup {
            name: "g".to_owned(),
            count: Some(count),
            networks: vec![NetworkResource {
                dynamic_ports: (0..ports)
                    .map(|port| Port {
                        label: format!("p{port}"),
                        ..Port::default()
                    })
                    .collect(),
                ..NetworkResource::default()
            }],
            tasks: vec![Task {
                name: "t".to_owned(),
                driver: "raw_exec".to_owned(),
                resources: Some(Resources {
                    cpu: Some(50 + n as i64 % 7 * 10),
                    memory_mb: Some(100),
                    ..Resources::default()
                }),
                ..Task::default()
            }],
            ..TaskGroup::default()
        }],
        ..Job::default()
    };
    job.server_canonicalize();
    job
}

fn register(state: &mut State, job: &Job, n: usize) -> Eval {
    let key = job.key();
    let uid = JobUid(Uuid::from_u128(n as u128 + 1));
    let id = EvalId(Uuid::from_u128(n as u128 + 1));
    let version = VersionKey {
        job: key.clone(),
        uid,
        version: 0,
    };
    let value = JobVersion { job: job.clone() };
    state.put(&Key::JobVersion(version), &value).unwrap();
    let registration = Registration {
        uid,
        version: 0,
        stop: false,
        purge: false,
        no_shutdown_delay: false,
        eval: EvalRequest {
            id,
            triggered_by: TriggeredBy::JobRegister,
            priority: 50,
            create_time: 0,
        },
        scalings: Vec::new(),
    };
    state
        .put(&Key::Registration(key.clone()), &registration)
        .unwrap();
    Eval {
        id,
        namespace: key.namespace,
        job_id: key.id,
        job_uid: uid,
        job_type: job.job_type(),
        priority: 50,
        triggered_by: TriggeredBy::JobRegister,
        status: EvalStatus::Pending,
        status_description: String::new(),
        node_id: None,
        deployment_id: None,
        job_modify_index: 1,
        snapshot: 0,
        wait_until: None,
        previous_eval: None,
        next_eval: None,
        blocked_eval: None,
        failed_groups: BTreeMap::new(),
        class_eligibility: BTreeMap::new(),
        queued_allocations: BTreeMap::new(),
        plan_refusals: 0,
        create_time: 0,
        modify_time: 0,
    }
}

#[derive(Default)]
struct Times {
    decide: Duration,
    reserve: Duration,
    placements: usize,
    largest: Option<Arc<Plan>>,
}

/// Decides every evaluation on one state; each plan is reserved, as the loop does it.
fn run(state: &State, cluster: &mut Cluster, evals: &[Eval]) -> Times {
    let mut rng = StdRng::seed_from_u64(1);
    let mut times = Times::default();
    for eval in evals {
        let begun = Instant::now();
        let view = Snapshot {
            state,
            cluster: &*cluster,
        };
        let outcome = schedule(&view, eval, 0, &mut rng);
        times.decide += begun.elapsed();
        let plan = Arc::new(outcome.plan().unwrap().clone());
        times.placements += plan.placements.len();
        let begun = Instant::now();
        cluster.reserve(state, plan.clone());
        times.reserve += begun.elapsed();
        let larger = times
            .largest
            .as_ref()
            .is_none_or(|largest| largest.placements.len() < plan.placements.len());
        if larger {
            times.largest = Some(plan);
        }
    }
    times
}

fn report(what: &str, evals: usize, times: &Times) {
    let all = times.decide + times.reserve;
    println!(
        "{what}: {} placements of {evals} evaluations in {:.1} ms: {:.0} placements/s \
         ({:.1} us an evaluation, of that {:.1} us to count its plan)",
        times.placements,
        all.as_secs_f64() * 1e3,
        times.placements as f64 / all.as_secs_f64(),
        all.as_secs_f64() * 1e6 / evals as f64,
        times.reserve.as_secs_f64() * 1e6 / evals as f64,
    );
}

fn world(nodes: u32) -> State {
    let mut state = State::new(Keys::default());
    for n in 1..=nodes {
        let node = node(n);
        let status = NodeStatus {
            status: NodeState::Ready,
            status_description: String::new(),
            since: 0,
            events: Vec::new(),
        };
        state.put(&Key::Node(node.id), &node).unwrap();
        state.put(&Key::NodeStatus(node.id), &status).unwrap();
    }
    state
}

/// Puts `jobs` jobs of 1,000 allocs with two ports each into the state.
fn fill(state: &mut State, jobs: usize) {
    let mut rng = StdRng::seed_from_u64(2);
    let mut cluster = Cluster::new(state);
    for n in 0..jobs {
        let n = 1_000_000 + n;
        let eval = register(state, &job(n, 1_000, 2), n);
        let view = Snapshot {
            state,
            cluster: &cluster,
        };
        let outcome = schedule(&view, &eval, 0, &mut rng);
        let plan = outcome.plan().unwrap();
        let mut keys = Vec::new();
        for alloc in &plan.placements {
            let key = Key::Alloc(alloc.node_id, alloc.id);
            state.put(&key, alloc).unwrap();
            keys.push(key);
        }
        cluster.update(state, &keys);
    }
}

fn measure(nodes: u32, filled_jobs: usize) {
    println!("{nodes} nodes, {} allocs there", filled_jobs * 1_000);
    let mut state = world(nodes);
    fill(&mut state, filled_jobs);
    for (what, jobs, count, ports) in [
        ("  100 jobs of 100", 100, 100, 0),
        ("  100 jobs of 100 with two ports", 100, 100, 2),
        ("  2,000 jobs of 1", 2_000, 1, 0),
        ("  10 jobs of 1,000 with two ports", 10, 1_000, 2),
    ] {
        let mut state = state.clone();
        let evals = (0..jobs)
            .map(|n| register(&mut state, &job(n, count, ports), n))
            .collect::<Vec<_>>();
        let begun = Instant::now();
        let mut cluster = Cluster::new(&state);
        let made = begun.elapsed();
        let times = run(&state, &mut cluster, &evals);
        report(what, evals.len(), &times);
        if count == 1_000 {
            let plan = times.largest.unwrap();
            let begun = Instant::now();
            black_box(check_plan(&state, &plan));
            println!(
                "  a plan of {}: {} bytes stored, checked in {:.1} ms; a cluster is made in {:.1} ms",
                plan.placements.len(),
                encode(&*plan).map_or(0, |bytes| bytes.len()),
                begun.elapsed().as_secs_f64() * 1e3,
                made.as_secs_f64() * 1e3,
            );
        }
    }
}

/// What a placement costs with a spread or a distinct property, by how many values there are.
fn measure_values(nodes: u32) {
    println!("{nodes} nodes, 10 jobs of 1,000");
    let spread = |attribute: &str| Spread {
        attribute: attribute.to_owned(),
        ..Spread::default()
    };
    let distinct = |attribute: &str, allowed: &str| Constraint {
        ltarget: attribute.to_owned(),
        rtarget: allowed.to_owned(),
        operand: "distinct_property".to_owned(),
    };
    let (kind, id) = ("${attr.platform.kind}", "${node.unique.id}");
    for (what, spreads, constraints) in [
        ("  a spread over 10 values", vec![spread(kind)], vec![]),
        ("  a spread over all nodes", vec![spread(id)], vec![]),
        (
            "  a distinct property of 10 values",
            vec![],
            vec![distinct(kind, "200")],
        ),
        (
            "  a distinct property of all nodes",
            vec![],
            vec![distinct(id, "")],
        ),
    ] {
        let mut state = world(nodes);
        let evals = (0..10)
            .map(|n| {
                let mut job = job(n, 1_000, 0);
                (job.spreads, job.constraints) = (spreads.clone(), constraints.clone());
                register(&mut state, &job, n)
            })
            .collect::<Vec<_>>();
        let mut cluster = Cluster::new(&state);
        let times = run(&state, &mut cluster, &evals);
        println!(
            "{what}: {:.1} us a placement",
            times.decide.as_secs_f64() * 1e6 / times.placements as f64
        );
    }
}

fn main() {
    measure_values(5_000);
    measure(1_000, 0);
    measure(5_000, 200);
}
