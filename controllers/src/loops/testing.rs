//! A state put together by hand, for the tables of the loops.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use rove_model::{
    alloc::{
        Alloc, AllocHealth, AllocResources, AllocStatus, ClientStatus, DesiredStatus, KnownStatus,
        PlacedAlloc, TaskResources,
    },
    deployment::{Deployment, DeploymentGroup, DeploymentStatus},
    encoding::{EncodingError, encode},
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, DeploymentId, EvalId, JobKey, JobUid, NodeId, Revision, UnixNanos, VersionKey},
    job::{Job, TaskGroup},
    node::{DriverInfo, Node, NodeAlive, NodeReserved, NodeResources, NodeState, NodeStatus},
    plan::Plan,
    registration::{EvalRequest, JobEvaluated, JobVersion, Registration},
};
use rove_store::{
    keys::{Key, Keys},
    memory::MemoryStore,
    state::State,
    store::{Event, KeyValue, Op, Store, Txn},
};
use uuid::Uuid;

use super::asking::new_eval;
use crate::{
    clock::SECOND,
    decision::{Decision, Require, Write},
    runtime::{Loop, View},
};

/// See the module.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: UnixNanos,
    ids: u128,
}

pub(crate) fn decide<L: Loop<Memory = ()>>(
    looper: &L,
    world: &World,
    key: &L::Key,
) -> Decision<L::Memo> {
    decide_with(looper, world, &(), key)
}

pub(crate) fn decide_with<L: Loop>(
    looper: &L,
    world: &World,
    memory: &L::Memory,
    key: &L::Key,
) -> Decision<L::Memo> {
    let view = View {
        state: &world.state,
        memory,
        in_flight: &[],
        now: world.now,
    };
    let decision = looper.decide(&view, key, &mut StdRng::seed_from_u64(7));
    assert!(
        L::BRANCHES.contains(&decision.branch),
        "{}",
        decision.branch
    );
    decision
}

fn whole(alloc: Alloc) -> PlacedAlloc {
    alloc.with_metrics(AllocMetric::default())
}

fn pending(id: AllocId) -> AllocStatus {
    AllocStatus {
        id,
        client_status: ClientStatus::Pending,
        client_description: String::new(),
        task_states: Default::default(),
        deployment_status: None,
        job_version: 0,
        alloc_modify_index: 0,
        modify_time: 0,
    }
}

/// What an agent may have said so that this is known; of tasks nothing is said here.
fn reported(known: &KnownStatus) -> AllocStatus {
    AllocStatus {
        client_status: known.client_status,
        deployment_status: known.deployment_status.clone(),
        modify_time: known.modify_time,
        ..pending(known.id)
    }
}

fn job(key: &JobKey, count: i64, version: u64) -> Job {
    let mut job = Job {
        id: key.id.to_string(),
        namespace: key.namespace.to_string(),
        datacenters: vec!["*".to_owned()],
        task_groups: vec![TaskGroup {
            name: "group".to_owned(),
            count: Some(count),
            ..TaskGroup::default()
        }],
        version,
        ..Job::default()
    };
    job.canonicalize();
    job
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            state: State::new(Keys::default()),
            now: 1_000 * SECOND,
            ids: 1_000,
        }
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub(crate) fn register(&mut self, id: &str, count: i64) -> JobKey {
        let key = JobKey::new("default", id);
        let uid = JobUid(self.id());
        self.version(&key, uid, 0, count, TriggeredBy::JobRegister, |_| {});
        key
    }

    pub(crate) fn update(&mut self, key: &JobKey, count: i64) {
        let before = self.state.registration(key).unwrap().value.clone();
        let version = before.version + 1;
        self.version(
            key,
            before.uid,
            version,
            count,
            TriggeredBy::JobRegister,
            |_| {},
        );
    }

    pub(crate) fn stop(&mut self, key: &JobKey, purge: bool) {
        let before = self.state.registration(key).unwrap().value.clone();
        let version = before.version + 1;
        let why = TriggeredBy::JobDeregister;
        self.version(key, before.uid, version, 0, why, |registration| {
            registration.stop = true;
            registration.purge = purge;
        });
    }

    fn version(
        &mut self,
        key: &JobKey,
        uid: JobUid,
        version: u64,
        count: i64,
        triggered_by: TriggeredBy,
        change: impl FnOnce(&mut Registration),
    ) {
        let spec = JobVersion {
            job: job(key, count, version),
        };
        let version_key = VersionKey {
            job: key.clone(),
            uid,
            version,
        };
        self.state
            .put(&Key::JobVersion(version_key), &spec)
            .unwrap();
        let mut registration = Registration {
            uid,
            version,
            stop: false,
            purge: false,
            no_shutdown_delay: false,
            eval: EvalRequest {
                id: EvalId(self.id()),
                triggered_by,
                priority: 50,
                create_time: self.now,
            },
            scalings: Vec::new(),
        };
        change(&mut registration);
        self.state
            .put(&Key::Registration(key.clone()), &registration)
            .unwrap();
    }

    /// Its current version is another one than it was.
    pub(crate) fn change_job(&mut self, key: &JobKey, change: impl FnOnce(&mut Job)) {
        let version = Key::JobVersion(self.version_key(key));
        let mut spec = self.state.current_job(key).unwrap().value.clone();
        change(&mut spec.job);
        self.state.put(&version, &spec).unwrap();
    }

    pub(crate) fn version_key(&self, key: &JobKey) -> VersionKey {
        let registration = self.state.registration(key).unwrap();
        VersionKey {
            job: key.clone(),
            uid: registration.uid,
            version: registration.version,
        }
    }

    /// The job loop's part.
    pub(crate) fn ask(&mut self, key: &JobKey) -> EvalId {
        let registration = self.state.registration(key).unwrap().value.clone();
        let mut id = registration.eval.id;
        if self.state.eval(id).is_some() {
            id = EvalId(self.id());
        }
        let eval = new_eval(
            &self.state,
            key,
            id,
            registration.eval.triggered_by,
            self.now,
        )
        .unwrap();
        self.state.put(&Key::Eval(id), &eval).unwrap();
        let evaluated = JobEvaluated {
            uid: registration.uid,
            eval: registration.eval.id,
            snapshot: self.state.revision(),
        };
        self.state
            .put(&Key::JobEvaluated(key.clone()), &evaluated)
            .unwrap();
        id
    }

    /// The scheduler's part: an empty plan for the eval that is due.
    pub(crate) fn plan(&mut self, key: &JobKey) -> EvalId {
        let eval = self
            .state
            .evals_of_job(key)
            .find(|eval| eval.status == EvalStatus::Pending)
            .unwrap()
            .value
            .clone();
        let id = eval.id;
        let plan = self.empty_plan(eval);
        self.state.put(&Key::Plan(id), &plan).unwrap();
        id
    }

    pub(crate) fn empty_plan(&self, mut eval: Eval) -> Plan {
        eval.status = EvalStatus::Complete;
        eval.snapshot = self.state.revision();
        Plan {
            namespace: eval.namespace.clone(),
            job_id: eval.job_id.clone(),
            job_uid: eval.job_uid,
            snapshot: self.state.revision(),
            eval,
            placements: Vec::new(),
            stops: Vec::new(),
            in_place: Vec::new(),
            deployment: None,
            deployment_ends: Vec::new(),
            follow_ups: Vec::new(),
            cancels: Vec::new(),
        }
    }

    /// What comes after the plans: all evals that were due were decided on the state as it is now.
    pub(crate) fn complete_evals(&mut self, key: &JobKey) {
        let snapshot = self.state.revision();
        let due: Vec<Eval> = self
            .state
            .evals_of_job(key)
            .filter(|eval| eval.status == EvalStatus::Pending)
            .map(|eval| eval.value.clone())
            .collect();
        for mut eval in due {
            eval.status = EvalStatus::Complete;
            eval.snapshot = snapshot;
            eval.modify_time = self.now;
            self.state.put(&Key::Eval(eval.id), &eval).unwrap();
            self.state.delete(&Key::Plan(eval.id));
        }
    }

    pub(crate) fn block<'a>(
        &mut self,
        key: &JobKey,
        classes: impl IntoIterator<Item = (&'a str, bool)>,
    ) -> EvalId {
        let id = EvalId(self.id());
        let why = TriggeredBy::QueuedAllocs;
        let mut eval = new_eval(&self.state, key, id, why, self.now).unwrap();
        eval.status = EvalStatus::Blocked;
        eval.snapshot = self.state.revision();
        eval.class_eligibility = classes
            .into_iter()
            .map(|(class, can)| (class.to_owned(), can))
            .collect();
        self.state.put(&Key::Eval(id), &eval).unwrap();
        id
    }

    pub(crate) fn node_without_life(&mut self, number: u128) -> NodeId {
        let id = NodeId(Uuid::from_u128(number));
        let mut node = Node {
            id,
            name: format!("node{number}"),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            node_class: String::new(),
            attributes: [
                ("unique.hostname", format!("node{number}")),
                ("nomad.advertise.address", format!("node{number}:4646")),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
            meta: Default::default(),
            drivers: [(
                "mock".to_owned(),
                DriverInfo {
                    detected: true,
                    healthy: true,
                    ..DriverInfo::default()
                },
            )]
            .into(),
            resources: NodeResources {
                cpu: 1_000,
                cores: 1,
                memory_mb: 1_000,
                disk_mb: 10_000,
                networks: Vec::new(),
                min_dynamic_port: 20_000,
                max_dynamic_port: 32_000,
            },
            reserved: NodeReserved::default(),
            http_addr: String::new(),
            computed_class: String::new(),
            registered_at: self.now,
            version: "0".to_owned(),
        };
        node.computed_class = node.compute_class();
        self.state.put(&Key::Node(id), &node).unwrap();
        id
    }

    pub(crate) fn node(&mut self, number: u128) -> NodeId {
        let id = self.node_without_life(number);
        let alive = NodeAlive { since: self.now };
        self.state.put(&Key::NodeAlive(id), &alive).unwrap();
        self.node_status(id, NodeState::Ready);
        id
    }

    pub(crate) fn node_status(&mut self, id: NodeId, status: NodeState) {
        let status = NodeStatus {
            status,
            status_description: String::new(),
            since: self.now,
            events: Vec::new(),
        };
        self.state.put(&Key::NodeStatus(id), &status).unwrap();
    }

    pub(crate) fn new_alloc(&mut self, key: &JobKey, node: NodeId, index: u32) -> PlacedAlloc {
        let registration = self.state.registration(key).unwrap().value.clone();
        PlacedAlloc {
            id: AllocId(self.id()),
            eval_id: registration.eval.id,
            node_id: node,
            node_name: "node".to_owned(),
            namespace: key.namespace.clone(),
            job_id: key.id.clone(),
            job_uid: registration.uid,
            job_version: registration.version,
            task_group: "group".into(),
            index,
            resources: AllocResources {
                tasks: [(
                    "task".to_owned(),
                    TaskResources {
                        cpu: 100,
                        memory_mb: 10,
                        ..TaskResources::default()
                    },
                )]
                .into(),
                disk_mb: 10,
                ports: Vec::new(),
            },
            desired_status: DesiredStatus::Run,
            desired_description: String::new(),
            deployment_id: None,
            canary: false,
            previous_allocation: None,
            follow_up_eval: None,
            no_shutdown_delay: false,
            reschedule_events: Vec::new(),
            metrics: Default::default(),
            create_time: self.now,
            modify_time: self.now,
        }
    }

    /// A job that is evaluated and has `count` allocs running on node 1.
    pub(crate) fn placed(&mut self, id: &str, count: u32) -> JobKey {
        let node = NodeId(Uuid::from_u128(1));
        if self.state.node(node).is_none() {
            self.node(1);
        }
        let key = self.register(id, i64::from(count));
        self.ask(&key);
        for index in 0..count {
            let alloc = self.new_alloc(&key, node, index);
            self.state.put(&Key::Alloc(node, alloc.id), &alloc).unwrap();
            self.status(alloc.id, ClientStatus::Running);
        }
        self.complete_evals(&key);
        key
    }

    pub(crate) fn allocs(&self, key: &JobKey) -> Vec<AllocId> {
        self.state
            .allocs_of_job(key)
            .map(|alloc| alloc.id)
            .collect()
    }

    pub(crate) fn desire(&mut self, id: AllocId, desired: DesiredStatus) {
        let mut alloc = self.state.alloc(id).unwrap().value.clone();
        alloc.desired_status = desired;
        alloc.modify_time = self.now;
        self.put_alloc(alloc);
    }

    /// Writes an alloc with metrics, as any that is stored has them.
    pub(crate) fn put_alloc(&mut self, alloc: Alloc) {
        let key = Key::Alloc(alloc.node_id, alloc.id);
        self.state.put(&key, &whole(alloc)).unwrap();
    }

    pub(crate) fn status(&mut self, id: AllocId, client_status: ClientStatus) {
        self.set_status(id, |status| status.client_status = client_status);
    }

    pub(crate) fn health(&mut self, id: AllocId, deployment: DeploymentId, healthy: bool) {
        let timestamp = self.now;
        self.set_status(id, |status| {
            status.deployment_status = Some(AllocHealth {
                healthy,
                timestamp,
                deployment_id: Some(deployment),
            });
        });
    }

    fn set_status(&mut self, id: AllocId, change: impl FnOnce(&mut AllocStatus)) {
        let node = self.state.alloc(id).unwrap().node_id;
        let before = self.state.alloc_status(id);
        let mut status = before.map_or_else(|| pending(id), |status| reported(status));
        status.modify_time = self.now;
        change(&mut status);
        self.state
            .put(&Key::AllocStatus(node, id), &status)
            .unwrap();
    }

    /// A deployment of the job's current version that all its allocs belong to.
    pub(crate) fn deployment(&mut self, key: &JobKey, total: u32, deadline: i64) -> DeploymentId {
        let id = DeploymentId(self.id());
        let registration = self.state.registration(key).unwrap().value.clone();
        let deployment = Deployment {
            id,
            eval_id: None,
            namespace: key.namespace.clone(),
            job_id: key.id.clone(),
            job_uid: registration.uid,
            job_version: registration.version,
            job_modify_index: self.state.job_modify_index(key),
            status: DeploymentStatus::Running,
            status_description: "Deployment is running".to_owned(),
            task_groups: [(
                "group".into(),
                DeploymentGroup {
                    auto_revert: false,
                    auto_promote: false,
                    promoted: false,
                    desired_canaries: 0,
                    desired_total: total,
                    progress_deadline: deadline * SECOND,
                    require_progress_by: None,
                    reached: None,
                },
            )]
            .into(),
            eval_priority: 50,
            create_time: self.now,
            modify_time: self.now,
        };
        self.state.put(&Key::Deployment(id), &deployment).unwrap();
        for alloc in self.allocs(key) {
            let mut alloc = self.state.alloc(alloc).unwrap().value.clone();
            alloc.deployment_id = Some(id);
            self.put_alloc(alloc);
        }
        id
    }

    /// A store that holds what decisions look at, at revisions of its own.
    pub(crate) async fn stored(&self) -> MemoryStore {
        fn pair<T: serde::Serialize>(key: Key, value: &T) -> (Key, Vec<u8>) {
            (key, encode(value).unwrap())
        }
        let state = &self.state;
        let mut pairs = Vec::new();
        for (job, registration) in state.registrations() {
            pairs.push(pair(Key::Registration(job.clone()), &registration.value));
        }
        for (version, spec) in state.all_job_versions() {
            pairs.push(pair(Key::JobVersion(version.clone()), &spec.value));
        }
        for (job, evaluated) in state.all_evaluated() {
            pairs.push(pair(Key::JobEvaluated(job.clone()), &evaluated.value));
        }
        pairs.extend(
            state
                .evals()
                .map(|eval| pair(Key::Eval(eval.id), &eval.value)),
        );
        pairs.extend(
            state
                .plans()
                .map(|plan| pair(Key::Plan(plan.eval.id), &plan.value)),
        );
        for alloc in state.allocs() {
            let key = Key::Alloc(alloc.node_id, alloc.id);
            pairs.push(pair(key, &whole(alloc.value.clone())));
        }
        for (node, id, status) in state.alloc_statuses() {
            pairs.push(pair(Key::AllocStatus(node, id), &reported(status)));
        }
        for node in state.nodes() {
            pairs.push(pair(Key::Node(node.id), &node.value));
            if let Some(status) = state.node_status(node.id) {
                pairs.push(pair(Key::NodeStatus(node.id), &status.value));
            }
        }
        let store = MemoryStore::new();
        for (key, value) in pairs {
            let put = Op::put(state.keys().encode(&key), value);
            let txn = Txn {
                then: vec![put],
                ..Txn::default()
            };
            store.txn(txn).await.unwrap();
        }
        store
    }

    /// Writes a decision as the store would, in one revision. Its conditions must hold.
    pub(crate) fn apply<M>(&mut self, decision: &Decision<M>) -> Revision {
        let modify = |key: &Key| self.state.written_at(key).unwrap_or(0);
        for require in &decision.commit.requires {
            match require {
                Require::Unchanged(key, revision) => assert_eq!(modify(key), *revision, "{key}"),
                Require::Absent(key) => assert_eq!(modify(key), 0, "{key}"),
            }
        }
        let revision = self.state.revision() + 1;
        let put = |key: &Key, bytes: Result<Vec<u8>, EncodingError>| {
            Event::Put(KeyValue {
                key: self.state.keys().encode(key),
                value: Bytes::from(bytes.unwrap()),
                create_revision: self
                    .state
                    .revisions(key)
                    .map_or(revision, |(create, _)| create),
                mod_revision: revision,
                version: 1,
                lease: None,
            })
        };
        let events: Vec<Event> = decision
            .commit
            .writes()
            .map(|write| {
                let expected = match write {
                    Write::Create(..) => 0,
                    Write::Update(_, _, revision)
                    | Write::UpdateAlloc(_, _, revision)
                    | Write::Delete(_, revision) => *revision,
                    Write::Forget(key) => modify(key),
                };
                assert_eq!(modify(write.key()), expected, "{}", write.key());
                match write {
                    Write::Create(key, object) | Write::Update(key, object, _) => {
                        put(key, object.encode())
                    }
                    Write::UpdateAlloc(key, alloc, _) => {
                        put(key, encode(&whole(Alloc::clone(alloc))))
                    }
                    Write::Delete(key, _) | Write::Forget(key) => Event::Delete {
                        key: self.state.keys().encode(key),
                        mod_revision: revision,
                    },
                }
            })
            .collect();
        if !events.is_empty() {
            self.state.apply(&events, revision);
        }
        revision
    }
}
