//! A server over a store in memory, without loops: tests write what the loops would.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use rove_model::{
    alloc::{
        Alloc, AllocHealth, AllocResources, AllocStatus, AllocatedPort, ClientStatus,
        DesiredStatus, PlacedAlloc, TaskEvent, TaskEventKind, TaskLifeState, TaskResources,
        TaskState,
    },
    deployment::{Deployment, DeploymentGroup, DeploymentStatus},
    encoding::encode,
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, DeploymentId, EvalId, JobKey, NodeId, Revision, UnixNanos},
    node::{DriverInfo, Node, NodeNetwork, NodeResources, NodeState, NodeStatus},
    server::{Leadership, Server},
};
use rove_store::{
    Store,
    faults::{Faults, FaultyStore},
    keys::{Key, Keys},
    memory::MemoryStore,
    state::{FeederConfig, State, StateFeeder, StateHandle},
    store::{Op, Txn},
};
use rove_testkit::PATIENCE;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;
use uuid::Uuid;

use crate::{AgentInfo, ApiContext, LocalAgent, Mode, ServerSide, Sources, router};

/// A clock that goes a second on at each look, and ids in order.
#[derive(Debug)]
pub(super) struct TestSources {
    now: AtomicI64,
    next: AtomicU64,
}

impl Default for TestSources {
    fn default() -> Self {
        Self {
            now: AtomicI64::new(1_795_325_548_000_000_000),
            next: AtomicU64::new(1),
        }
    }
}

impl Sources for TestSources {
    fn now(&self) -> UnixNanos {
        self.now.fetch_add(1_000_000_000, Ordering::Relaxed)
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn index(&self) -> Revision {
        self.headers["x-nomad-index"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

pub(super) struct World {
    pub(super) store: Arc<FaultyStore<MemoryStore>>,
    pub(super) keys: Keys,
    pub(super) state: StateHandle,
    pub(super) router: Router,
    _stop: DropGuard,
}

pub(super) fn info() -> AgentInfo {
    AgentInfo {
        name: "dev-1".to_owned(),
        region: "global".to_owned(),
        datacenter: "dc1".to_owned(),
        version: "1.6.5".to_owned(),
        local_only: false,
        http_addr: "127.0.0.1:4646".to_owned(),
        config: Value::Null,
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_agent(None).await
    }

    pub(super) async fn with_agent(agent: Option<Arc<dyn LocalAgent>>) -> Self {
        let store = Arc::new(FaultyStore::new(
            Arc::new(MemoryStore::new()),
            1,
            Faults::default(),
        ));
        let keys = Keys::default();
        let (feeder, state) =
            StateFeeder::new(store.clone(), keys.clone(), FeederConfig::default());
        let cancel = CancellationToken::new();
        // The guard ends it with the world.
        tokio::spawn(feeder.run(cancel.clone()));
        let server = ServerSide::new(store.clone(), keys.clone(), state.clone());
        let context = ApiContext::new(
            Mode::Server(Box::new(server)),
            agent,
            info(),
            Arc::new(TestSources::default()),
        );
        let world = Self {
            store,
            keys,
            state,
            router: router(context),
            _stop: cancel.drop_guard(),
        };
        world.state.ready().await.unwrap();
        world
            .put(
                &Key::Leader("scheduler".to_owned()),
                &Leadership {
                    server: "dev-1.global".to_owned(),
                },
            )
            .await;
        world
    }

    pub(super) async fn put<T: Serialize>(&self, key: &Key, value: &T) -> Revision {
        let txn = Txn {
            then: vec![Op::put(self.keys.encode(key), encode(value).unwrap())],
            ..Txn::default()
        };
        self.commit(txn).await
    }

    async fn commit(&self, txn: Txn) -> Revision {
        let revision = self.store.inner().txn(txn).await.unwrap().revision;
        self.at(revision).await;
        revision
    }

    pub(super) async fn at(&self, revision: Revision) -> Arc<State> {
        tokio::time::timeout(PATIENCE, self.state.wait_for(revision))
            .await
            .expect("the state does not get there")
            .unwrap()
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = match body {
            Value::Null => Body::empty(),
            Value::String(text) => Body::from(text.clone()),
            value => Body::from(value.to_string()),
        };
        send(&self.router, method, path, body).await
    }

    /// A call of somebody who says what he reads.
    pub(super) async fn call_accepting(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        kind: &str,
    ) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", kind);
        taken_apart(
            &self.router,
            request.body(Body::from(body.to_string())).unwrap(),
        )
        .await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &Value::Null).await
    }

    /// Registers a job and gives the answer's index and evaluation.
    pub(super) async fn register(&self, job: &Value) -> (Revision, EvalId) {
        let reply = self
            .call("PUT", "/v1/jobs", &serde_json::json!({"Job": job}))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let answer = reply.json();
        (
            answer["JobModifyIndex"].as_u64().unwrap(),
            answer["EvalID"].as_str().unwrap().parse().unwrap(),
        )
    }
}

pub(super) async fn send(router: &Router, method: &str, path: &str, body: Body) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .unwrap();
    taken_apart(router, request).await
}

async fn taken_apart(router: &Router, request: Request<Body>) -> Reply {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let reply = Reply {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    };
    super::schemas::check(&method, &path, reply.status.as_u16(), &reply.text);
    reply
}

pub(super) fn uuid(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

/// A service of one group and one task.
pub(super) fn small_job(id: &str) -> Value {
    serde_json::json!({
        "ID": id, "Type": "service", "Datacenters": ["dc1"],
        "TaskGroups": [{
            "Name": "g", "Count": 1,
            "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sleep", "args": ["300"]},
                "Resources": {"CPU": 20, "MemoryMB": 20},
            }],
        }],
    })
}

pub(super) fn node(number: u8) -> Node {
    let mut node = Node {
        id: NodeId(uuid(number)),
        name: "dev-1".to_owned(),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        node_class: String::new(),
        attributes: BTreeMap::from([
            ("kernel.name".to_owned(), "linux".to_owned()),
            ("os.name".to_owned(), "debian".to_owned()),
        ]),
        meta: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        drivers: ["docker", "raw_exec"]
            .map(|name| {
                let driver = DriverInfo {
                    detected: true,
                    healthy: true,
                    health_description: "Healthy".to_owned(),
                    attributes: BTreeMap::from([(format!("driver.{name}"), "true".to_owned())]),
                    update_time: 1_795_325_546_565_394_538,
                };
                (name.to_owned(), driver)
            })
            .into(),
        resources: NodeResources {
            cpu: 4_998,
            cores: 2,
            memory_mb: 24_105,
            disk_mb: 53_114,
            networks: vec![NodeNetwork {
                device: "lo".to_owned(),
                ip: "127.0.0.1".to_owned(),
                cidr: "127.0.0.1/32".to_owned(),
                mbits: 1_000,
            }],
            min_dynamic_port: 20_000,
            max_dynamic_port: 21_999,
        },
        reserved: rove_model::node::NodeReserved::default(),
        http_addr: "127.0.0.1:17070".to_owned(),
        computed_class: String::new(),
        registered_at: 1_795_325_547_000_000_000,
        version: "1.6.5".to_owned(),
    };
    node.computed_class = node.compute_class();
    node
}

pub(super) fn server() -> Server {
    Server {
        name: "dev-1.global".to_owned(),
        region: "global".to_owned(),
        datacenter: "dc1".to_owned(),
        addr: "127.0.0.1".to_owned(),
        port: 17_072,
        http_addr: "127.0.0.1:17070".to_owned(),
        rpc_addr: "127.0.0.1:17071".to_owned(),
        version: "1.6.5".to_owned(),
        started_at: 1,
    }
}

/// An alloc of the small job, or of the reference's redis.
pub(super) fn alloc(state: &State, job: &JobKey, number: u8, eval: EvalId) -> PlacedAlloc {
    let registration = state.registration(job).unwrap();
    let spec = &state.current_job(job).unwrap().job;
    let group = &spec.task_groups[0];
    PlacedAlloc {
        id: AllocId(uuid(number)),
        eval_id: eval,
        node_id: NodeId(uuid(1)),
        node_name: "dev-1".to_owned(),
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        job_uid: registration.uid,
        job_version: registration.version,
        task_group: group.name.as_str().into(),
        index: 0,
        resources: AllocResources {
            tasks: group
                .tasks
                .iter()
                .map(|task| {
                    let resources = TaskResources {
                        cpu: task.cpu(),
                        memory_mb: task.memory_mb(),
                        ..TaskResources::default()
                    };
                    (task.name.clone(), resources)
                })
                .collect(),
            disk_mb: 300,
            ports: group
                .networks
                .iter()
                .flat_map(|network| network.ports())
                .map(|port| AllocatedPort {
                    label: port.label.clone(),
                    value: 20_835,
                    to: u16::try_from(port.to).unwrap(),
                    host_ip: "127.0.0.1".to_owned(),
                    dynamic: true,
                })
                .collect(),
        },
        desired_status: DesiredStatus::Run,
        desired_description: String::new(),
        deployment_id: Some(DeploymentId(uuid(7))),
        canary: false,
        previous_allocation: None,
        follow_up_eval: None,
        no_shutdown_delay: false,
        reschedule_events: Vec::new(),
        metrics: AllocMetric {
            nodes_evaluated: 1,
            nodes_in_pool: 1,
            nodes_available: BTreeMap::from([("dc1".to_owned(), 1)]),
            ..AllocMetric::default()
        },
        create_time: 1_795_325_548_060_703_151,
        modify_time: 1_795_325_548_060_703_151,
    }
}

pub(super) fn running<M>(alloc: &Alloc<M>) -> AllocStatus {
    let event = |kind, message: &str, details: &[(&str, &str)]| TaskEvent {
        time: 1_795_325_548_064_242_888,
        kind,
        display_message: message.to_owned(),
        details: details
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    AllocStatus {
        id: alloc.id,
        client_status: ClientStatus::Running,
        client_description: "Tasks are running".to_owned(),
        task_states: alloc
            .resources
            .tasks
            .keys()
            .map(|name| {
                let state = TaskState {
                    state: TaskLifeState::Running,
                    failed: false,
                    restarts: 0,
                    last_restart: None,
                    started_at: Some(1_795_325_548_400_278_019),
                    finished_at: None,
                    events: vec![
                        event(TaskEventKind::Received, "Task received by client", &[]),
                        event(
                            TaskEventKind::TaskSetup,
                            "Building Task Directory",
                            &[("message", "Building Task Directory")],
                        ),
                        event(TaskEventKind::Started, "Task started by client", &[]),
                    ],
                };
                (name.clone(), state)
            })
            .collect(),
        deployment_status: Some(AllocHealth {
            healthy: true,
            timestamp: 1_795_325_558_400_833_640,
            deployment_id: alloc.deployment_id,
        }),
        job_version: alloc.job_version,
        alloc_modify_index: 1,
        modify_time: 1_795_325_558_693_503_553,
    }
}

pub(super) fn complete_eval(state: &State, job: &JobKey, id: EvalId) -> Eval {
    let spec = &state.current_job(job).unwrap();
    Eval {
        id,
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        job_uid: state.registration(job).unwrap().uid,
        job_type: spec.job.job_type(),
        priority: 50,
        triggered_by: TriggeredBy::JobRegister,
        status: EvalStatus::Complete,
        status_description: String::new(),
        node_id: None,
        deployment_id: Some(DeploymentId(uuid(7))),
        job_modify_index: spec.create,
        snapshot: spec.create,
        wait_until: None,
        previous_eval: None,
        next_eval: None,
        blocked_eval: None,
        failed_groups: BTreeMap::new(),
        class_eligibility: BTreeMap::new(),
        queued_allocations: spec
            .job
            .task_groups
            .iter()
            .map(|group| (group.name.as_str().into(), 0))
            .collect(),
        plan_refusals: 0,
        create_time: 1_795_325_548_059_538_674,
        modify_time: 1_795_325_548_062_133_593,
    }
}

pub(super) fn deployment(state: &State, job: &JobKey) -> Deployment {
    let version = state.current_job(job).unwrap();
    Deployment {
        id: DeploymentId(uuid(7)),
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        job_uid: state.registration(job).unwrap().uid,
        job_version: version.job.version,
        job_modify_index: version.create,
        status: DeploymentStatus::Successful,
        status_description: "Deployment completed successfully".to_owned(),
        task_groups: version
            .job
            .task_groups
            .iter()
            .map(|group| {
                let intent = DeploymentGroup {
                    auto_revert: false,
                    auto_promote: false,
                    promoted: false,
                    desired_canaries: 0,
                    desired_total: u32::try_from(group.count()).unwrap(),
                    progress_deadline: 600_000_000_000,
                    require_progress_by: Some(1_795_326_158_400_833_640),
                    reached: None,
                };
                (group.name.as_str().into(), intent)
            })
            .collect(),
        eval_priority: 50,
        eval_id: None,
        create_time: 1,
        modify_time: 1,
    }
}

pub(super) fn ready_status() -> NodeStatus {
    NodeStatus {
        status: NodeState::Ready,
        status_description: String::new(),
        since: 1_795_325_547_000_000_000,
        events: Vec::new(),
    }
}

impl World {
    /// Does what the loops and the agent would: the job's evaluation completes, its alloc runs, its deployment ends.
    pub(super) async fn settle(&self, job: &JobKey, eval: EvalId) -> AllocId {
        let state = self.state.latest();
        let done = complete_eval(&state, job, eval);
        self.put(&Key::Eval(eval), &done).await;
        let placed = alloc(&state, job, 4, eval);
        self.put(&Key::Alloc(placed.node_id, placed.id), &placed)
            .await;
        let rollout = deployment(&state, job);
        self.put(&Key::Deployment(rollout.id), &rollout).await;
        self.put(
            &Key::AllocStatus(placed.node_id, placed.id),
            &running(&placed),
        )
        .await;
        self.put(
            &Key::JobEvaluated(job.clone()),
            &rove_model::registration::JobEvaluated {
                uid: placed.job_uid,
                eval,
                snapshot: state.revision(),
            },
        )
        .await;
        self.put(
            &Key::JobStable(job.clone()),
            &rove_model::registration::JobStable {
                uid: placed.job_uid,
                versions: [placed.job_version].into(),
            },
        )
        .await;
        placed.id
    }

    pub(super) async fn with_node(&self) -> NodeId {
        let node = node(1);
        self.put(&Key::Node(node.id), &node).await;
        self.put(&Key::NodeStatus(node.id), &ready_status()).await;
        node.id
    }
}
