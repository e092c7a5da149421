//! A small world for tests: nodes and jobs in a `State`, and the applier's part done at once.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::{
        Alloc, AllocControl, AllocHealth, AllocResources, AllocStatus, ClientStatus, DesiredStatus,
        LeftOut, TaskEvent, TaskLifeState, TaskState,
    },
    deployment::{Deployment, DeploymentStatus},
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, EvalId, GroupName, JobKey, JobUid, Namespace, NodeId, UnixNanos, VersionKey},
    job::{Job, JobType, NetworkResource, Port, Resources, Task, TaskGroup, UpdateStrategy},
    node::{DriverInfo, Node, NodeControl, NodeNetwork, NodeResources, NodeState, NodeStatus},
    plan::{Plan, StopReason},
    registration::{EvalRequest, JobVersion, Registration},
};
use rove_store::{
    keys::{Key, Keys},
    state::State,
};
use uuid::Uuid;

use super::{Cluster, Conclusion, Outcome, Snapshot, check_plan, schedule};

pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn node_id(n: u32) -> NodeId {
    NodeId(Uuid::from_u128(
        0x1000_0000_0000_0000_0000_0000_0000 + u128::from(n),
    ))
}

/// 4,000 MHz, 8,192 MiB, ports 20000–20099.
pub(super) fn node(n: u32) -> Node {
    let driver = DriverInfo {
        detected: true,
        healthy: true,
        ..DriverInfo::default()
    };
    Node {
        id: node_id(n),
        name: format!("node-{n}"),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        node_class: String::new(),
        attributes: [
            ("kernel.name", "linux".to_owned()),
            ("cpu.arch", "amd64".to_owned()),
            ("unique.hostname", format!("node-{n}")),
            ("nomad.advertise.address", format!("node-{n}:4646")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        meta: Default::default(),
        drivers: [
            ("raw_exec".to_owned(), driver.clone()),
            ("docker".to_owned(), driver),
        ]
        .into(),
        resources: NodeResources {
            cpu: 4_000,
            cores: 4,
            memory_mb: 8_192,
            disk_mb: 100_000,
            networks: vec![NodeNetwork {
                device: "eth0".to_owned(),
                ip: format!("10.0.{}.{}", n / 250, n % 250 + 1),
                ..NodeNetwork::default()
            }],
            min_dynamic_port: 20_000,
            max_dynamic_port: 20_099,
        },
        reserved: Default::default(),
        http_addr: String::new(),
        computed_class: String::new(),
        registered_at: 0,
        version: String::new(),
    }
}

/// A canonical service job: group `g` with task `t` of 100 MHz and 100 MiB.
pub(super) fn job(id: &str, count: i64) -> Job {
    let mut job = Job {
        id: id.to_owned(),
        datacenters: vec!["dc1".to_owned()],
        task_groups: vec![group("g", count)],
        ..Job::default()
    };
    job.canonicalize();
    job
}

pub(super) fn batch(id: &str, count: i64) -> Job {
    let mut job = Job {
        id: id.to_owned(),
        type_name: "batch".to_owned(),
        datacenters: vec!["dc1".to_owned()],
        task_groups: vec![group("g", count)],
        ..Job::default()
    };
    job.canonicalize();
    job
}

pub(super) fn group(name: &str, count: i64) -> TaskGroup {
    TaskGroup {
        name: name.to_owned(),
        count: Some(count),
        tasks: vec![Task {
            name: "t".to_owned(),
            driver: "raw_exec".to_owned(),
            resources: Some(Resources {
                cpu: Some(100),
                memory_mb: Some(100),
                ..Resources::default()
            }),
            ..Task::default()
        }],
        ..TaskGroup::default()
    }
}

/// The first task of the first group.
pub(super) fn task(job: &mut Job) -> &mut Task {
    &mut job.task_groups[0].tasks[0]
}

pub(super) fn resources(job: &mut Job) -> &mut Resources {
    task(job).resources.as_mut().unwrap()
}

pub(super) fn update(job: &mut Job) -> &mut UpdateStrategy {
    job.task_groups[0].update.as_mut().unwrap()
}

pub(super) fn with_ports(mut job: Job, fixed: &[i64], dynamic: usize) -> Job {
    job.task_groups[0].networks = vec![NetworkResource {
        reserved_ports: fixed
            .iter()
            .map(|value| Port {
                label: format!("p{value}"),
                value: *value,
                ..Port::default()
            })
            .collect(),
        dynamic_ports: (0..dynamic)
            .map(|n| Port {
                label: format!("d{n}"),
                ..Port::default()
            })
            .collect(),
        ..NetworkResource::default()
    }];
    job
}

pub(super) fn bare_alloc() -> Alloc {
    Alloc {
        id: AllocId(Uuid::from_u128(1)),
        eval_id: EvalId(Uuid::nil()),
        node_id: node_id(1),
        node_name: String::new(),
        namespace: Namespace::default(),
        job_id: "j".into(),
        job_uid: JobUid(Uuid::nil()),
        job_version: 0,
        task_group: GroupName::from("g"),
        index: 0,
        resources: AllocResources::default(),
        desired_status: DesiredStatus::Run,
        desired_description: String::new(),
        deployment_id: None,
        canary: false,
        previous_allocation: None,
        follow_up_eval: None,
        no_shutdown_delay: false,
        reschedule_events: Vec::new(),
        metrics: LeftOut,
        create_time: 0,
        modify_time: 0,
    }
}

/// Nodes, jobs and allocs, and a clock that stands still until it is moved.
pub(super) struct World {
    pub state: State,
    pub now: UnixNanos,
    rng: StdRng,
}

impl World {
    pub(super) fn new(nodes: u32) -> Self {
        Self::seeded(nodes, 0)
    }

    pub(super) fn seeded(nodes: u32, seed: u64) -> Self {
        let mut world = Self {
            state: State::new(Keys::default()),
            now: 1_000 * SECOND,
            rng: StdRng::seed_from_u64(seed),
        };
        for n in 1..=nodes {
            world.add_node(node(n));
        }
        world
    }

    /// Another world that goes on from here.
    pub(super) fn fork(&self) -> Self {
        Self {
            state: self.state.clone(),
            now: self.now,
            rng: StdRng::seed_from_u64(1),
        }
    }

    pub(super) fn put<T: serde::Serialize>(&mut self, key: &Key, value: &T) {
        self.state.put(key, value).unwrap();
    }

    pub(super) fn add_node(&mut self, mut node: Node) {
        node.computed_class = node.compute_class();
        self.put(&Key::Node(node.id), &node);
        self.set_node(node.id, NodeState::Ready);
    }

    pub(super) fn set_node(&mut self, id: NodeId, status: NodeState) {
        let status = NodeStatus {
            status,
            status_description: String::new(),
            since: self.now,
            events: Vec::new(),
        };
        self.put(&Key::NodeStatus(id), &status);
    }

    pub(super) fn control_node(&mut self, n: u32, control: &NodeControl) {
        self.put(&Key::NodeControl(node_id(n)), control);
    }

    fn draw(&mut self) -> [u8; 16] {
        super::draw_id(&mut self.rng)
    }

    /// Registers a job as the API does, and makes the evaluation it asks for.
    pub(super) fn register(&mut self, job: &Job) -> Eval {
        let key = job.key();
        let old = self.state.registration(&key).map(|old| old.value.clone());
        let old = old.filter(|old| !old.purge);
        let uid = match &old {
            Some(old) => old.uid,
            None => JobUid::from_random(self.draw()),
        };
        let version = old.map_or(0, |old| old.version + 1);
        self.write_version(job, uid, version, false)
    }

    pub(super) fn stop(&mut self, id: &str, purge: bool) -> Eval {
        let key = JobKey::new("default", id);
        let old = self.state.registration(&key).unwrap().value.clone();
        let mut job = self.state.current_job(&key).unwrap().job.clone();
        job.stop = true;
        self.write_version(&job, old.uid, old.version + 1, purge)
    }

    fn write_version(&mut self, job: &Job, uid: JobUid, version: u64, purge: bool) -> Eval {
        let key = job.key();
        let mut job = job.clone();
        job.version = version;
        let request = EvalRequest {
            id: EvalId::from_random(self.draw()),
            triggered_by: TriggeredBy::JobRegister,
            priority: job.priority(),
            create_time: self.now,
        };
        let version_key = VersionKey {
            job: key.clone(),
            uid,
            version,
        };
        let stop = job.stop;
        let job_type = job.job_type();
        self.put(&Key::JobVersion(version_key), &JobVersion { job });
        let registration = Registration {
            uid,
            version,
            stop,
            purge,
            no_shutdown_delay: false,
            eval: request.clone(),
            scalings: Vec::new(),
        };
        self.put(&Key::Registration(key.clone()), &registration);
        self.write_eval(&key, uid, job_type, request.id, TriggeredBy::JobRegister)
    }

    /// A pending evaluation of a job.
    pub(super) fn ask(&mut self, id: &str, triggered_by: TriggeredBy) -> Eval {
        let key = JobKey::new("default", id);
        let eval = EvalId::from_random(self.draw());
        let uid = self.state.registration(&key).unwrap().uid;
        let job_type = self.state.current_job(&key).unwrap().job.job_type();
        self.write_eval(&key, uid, job_type, eval, triggered_by)
    }

    fn write_eval(
        &mut self,
        key: &JobKey,
        job_uid: JobUid,
        job_type: JobType,
        id: EvalId,
        triggered_by: TriggeredBy,
    ) -> Eval {
        let eval = Eval {
            id,
            namespace: key.namespace.clone(),
            job_id: key.id.clone(),
            job_uid,
            job_type,
            priority: 50,
            triggered_by,
            status: EvalStatus::Pending,
            status_description: String::new(),
            node_id: None,
            deployment_id: None,
            job_modify_index: self.state.job_modify_index(key),
            snapshot: 0,
            wait_until: None,
            previous_eval: None,
            next_eval: None,
            blocked_eval: None,
            failed_groups: Default::default(),
            class_eligibility: Default::default(),
            queued_allocations: Default::default(),
            plan_refusals: 0,
            create_time: self.now,
            modify_time: self.now,
        };
        self.put(&Key::Eval(eval.id), &eval);
        eval
    }

    pub(super) fn decide(&mut self, eval: &Eval) -> Outcome {
        let cluster = Cluster::new(&self.state);
        let view = Snapshot {
            state: &self.state,
            cluster: &cluster,
        };
        schedule(&view, eval, self.now, &mut self.rng)
    }

    /// Decides and writes what was decided.
    pub(super) fn run(&mut self, eval: &Eval) -> Outcome {
        let outcome = self.decide(eval);
        self.write(&outcome);
        outcome
    }

    pub(super) fn run_register(&mut self, job: &Job) -> Outcome {
        let eval = self.register(job);
        self.run(&eval)
    }

    /// Another evaluation of the job as it is.
    pub(super) fn run_again(&mut self, id: &str) -> Outcome {
        let eval = self.ask(id, TriggeredBy::NodeUpdate);
        self.run(&eval)
    }

    pub(super) fn write(&mut self, outcome: &Outcome) {
        match &outcome.conclusion {
            Conclusion::Eval(eval) => self.put(&Key::Eval(eval.id), &**eval),
            Conclusion::Plan(plan) => self.apply(plan),
        }
    }

    /// Writes an alloc that stays without metrics.
    pub(super) fn put_alloc(&mut self, alloc: Alloc) {
        let key = Key::Alloc(alloc.node_id, alloc.id);
        self.put(&key, &alloc.with_metrics(AllocMetric::default()));
    }

    /// The applier's part.
    pub(super) fn apply(&mut self, plan: &Plan) {
        assert!(
            check_plan(&self.state, plan).is_whole(),
            "the plan does not fit"
        );
        for stop in &plan.stops {
            let mut alloc = self.state.alloc(stop.alloc_id).unwrap().value.clone();
            alloc.desired_status = stop.desired_status;
            alloc.desired_description = stop.reason.map_or("", StopReason::text).to_owned();
            alloc.follow_up_eval = stop.follow_up_eval.or(alloc.follow_up_eval);
            alloc.modify_time = self.now;
            self.put_alloc(alloc);
        }
        for update in &plan.in_place {
            let mut alloc = self.state.alloc(update.alloc_id).unwrap().value.clone();
            alloc.job_version = update.job_version;
            alloc.deployment_id = update.deployment_id;
            self.put_alloc(alloc);
        }
        for alloc in &plan.placements {
            self.put(&Key::Alloc(alloc.node_id, alloc.id), alloc);
        }
        for end in &plan.deployment_ends {
            self.end_deployment(end.deployment_id, end.status);
        }
        if let Some(deployment) = &plan.deployment {
            self.put(&Key::Deployment(deployment.id), deployment);
        }
        for eval in &plan.follow_ups {
            self.put(&Key::Eval(eval.id), eval);
        }
        for id in &plan.cancels {
            let mut eval = self.state.eval(*id).unwrap().value.clone();
            eval.status = EvalStatus::Canceled;
            self.put(&Key::Eval(eval.id), &eval);
        }
        self.put(&Key::Eval(plan.eval.id), &plan.eval);
    }

    pub(super) fn end_deployment(
        &mut self,
        id: rove_model::ids::DeploymentId,
        status: DeploymentStatus,
    ) {
        let mut deployment = self.state.deployment(id).unwrap().value.clone();
        deployment.status = status;
        self.put(&Key::Deployment(id), &deployment);
    }

    /// The job's allocs that should run and are not over, by index.
    pub(super) fn live(&self, id: &str) -> Vec<Arc<rove_store::state::Stored<Alloc>>> {
        let mut live = self
            .state
            .allocs_of_job(&JobKey::new("default", id))
            .filter(|alloc| {
                alloc.desired_status == DesiredStatus::Run
                    && !self.state.client_status(alloc.id).is_terminal()
            })
            .cloned()
            .collect::<Vec<_>>();
        live.sort_by_key(|alloc| (alloc.index, alloc.id));
        live
    }

    pub(super) fn deployment(&self, id: &str) -> Option<Deployment> {
        self.state
            .deployments_of_job(&JobKey::new("default", id))
            .max_by_key(|deployment| deployment.create)
            .map(|deployment| deployment.value.clone())
    }

    /// What the agent says of an alloc.
    pub(super) fn report(&mut self, id: AllocId, client: ClientStatus, healthy: Option<bool>) {
        let alloc = self.state.alloc(id).unwrap().value.clone();
        let dead = client.is_terminal();
        let status = AllocStatus {
            id,
            client_status: client,
            client_description: String::new(),
            task_states: [(
                "t".to_owned(),
                TaskState {
                    state: if dead {
                        TaskLifeState::Dead
                    } else {
                        TaskLifeState::Running
                    },
                    failed: client == ClientStatus::Failed,
                    restarts: 0,
                    last_restart: None,
                    started_at: Some(self.now),
                    finished_at: dead.then_some(self.now),
                    events: Vec::<TaskEvent>::new(),
                },
            )]
            .into(),
            deployment_status: healthy.map(|healthy| AllocHealth {
                healthy,
                timestamp: self.now,
                deployment_id: alloc.deployment_id,
            }),
            job_version: alloc.job_version,
            alloc_modify_index: 0,
            modify_time: self.now,
        };
        self.put(&Key::AllocStatus(alloc.node_id, id), &status);
    }

    /// All live allocs of a job run and are healthy.
    pub(super) fn all_healthy(&mut self, id: &str) {
        for alloc in self.live(id) {
            self.report(alloc.id, ClientStatus::Running, Some(true));
        }
    }

    pub(super) fn ask_to_stop(&mut self, id: AllocId) {
        let node = self.state.alloc(id).unwrap().node_id;
        let control = AllocControl {
            stop: Some(EvalId(Uuid::from_u128(9))),
            ..AllocControl::default()
        };
        self.put(&Key::AllocControl(node, id), &control);
    }
}
