//! A store, a node, and jobs to run on it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use rove_agent::{
    Agent, AgentConfig, GarbagePolicy, LEASE_TTL, MAX_KILL_TIMEOUT, MemoryState, NodeSource,
    Storage,
    clock::{Clock, SystemClock, TokioClock},
    drivers::mock::MockDriver,
    identity::Identity,
    registry::DriverRegistry,
};
use rove_model::{
    alloc::{
        Alloc, AllocResources, AllocStatus, AllocatedPort, ClientStatus, DesiredStatus,
        TaskResources,
    },
    duration::Nanos,
    encoding,
    eval::AllocMetric,
    ids::{AllocId, DeploymentId, EvalId, JobUid, NodeId, Revision},
    job::{Job, RestartPolicy, Task, TaskGroup, UpdateStrategy},
    node::{Node, NodeResources},
    registration::JobVersion,
};
use rove_store::{
    keys::{Key, Keys},
    memory::MemoryStore,
    store::{Event, KeyRange, Op, RangeRequest, Store, Txn, WatchEvent, WatchRequest},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub const EPOCH: i64 = 1_700_000_000_000_000_000;

pub struct World {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub node: NodeId,
    pub driver: MockDriver,
    pub state: MemoryState,
    pub clock: Arc<dyn Clock>,
    /// Tells its allocs from those of other tests, which share the host's processes with them.
    salt: u8,
}

impl World {
    pub fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub fn over(store: Arc<dyn Store>) -> Self {
        static WORLDS: AtomicU8 = AtomicU8::new(0);
        Self {
            salt: WORLDS.fetch_add(1, Ordering::Relaxed),
            store,
            keys: Keys::default(),
            node: NodeId::from_random([7; 16]),
            driver: MockDriver::new(EPOCH),
            state: MemoryState::default(),
            clock: Arc::new(TokioClock::starting_at(EPOCH)),
        }
    }

    pub fn config(&self) -> AgentConfig {
        let node = Node {
            id: self.node,
            name: "here".to_owned(),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            node_class: String::new(),
            attributes: BTreeMap::new(),
            meta: BTreeMap::new(),
            drivers: BTreeMap::new(),
            resources: NodeResources {
                cpu: 4_000,
                cores: 2,
                memory_mb: 4_096,
                disk_mb: 10_000,
                ..NodeResources::default()
            },
            reserved: Default::default(),
            http_addr: "127.0.0.1:4646".to_owned(),
            computed_class: String::new(),
            registered_at: EPOCH,
            version: "0".to_owned(),
        };
        AgentConfig {
            identity: Identity::new(self.node, [1; 32]),
            storage: Storage::Memory(self.state.clone()),
            store: Arc::clone(&self.store),
            keys: self.keys.clone(),
            drivers: DriverRegistry::new().with(Arc::new(self.driver.clone())),
            clock: Arc::clone(&self.clock),
            node: NodeSource::Told(Box::new(node)),
            region: "global".to_owned(),
            host_env: BTreeMap::new(),
            dev: false,
            lease_ttl: LEASE_TTL,
            driver_checks: None,
            max_kill_timeout: MAX_KILL_TIMEOUT,
            garbage: GarbagePolicy::default(),
            seed: 1,
        }
    }

    /// The same, with files in `data_dir` and the host's clock.
    pub fn on_disk(&self, data_dir: &std::path::Path) -> AgentConfig {
        AgentConfig {
            storage: Storage::Disk {
                data_dir: data_dir.to_owned(),
                state_dir: data_dir.join("client"),
                alloc_dir: None,
            },
            clock: Arc::new(SystemClock),
            ..self.config()
        }
    }

    pub async fn start(&self) -> Agent {
        start(self.config()).await
    }

    pub async fn put(&self, key: &Key, value: Vec<u8>) -> Revision {
        let txn = Txn {
            then: vec![Op::put(self.keys.encode(key), value)],
            ..Txn::default()
        };
        self.store.txn(txn).await.unwrap().revision
    }

    pub async fn delete(&self, key: &Key) {
        let txn = Txn {
            then: vec![Op::delete(self.keys.encode(key))],
            ..Txn::default()
        };
        self.store.txn(txn).await.unwrap();
    }

    pub async fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let request = RangeRequest::new(KeyRange::Key(self.keys.encode(key)));
        let answer = self.store.range(request).await.unwrap();
        answer.kvs.first().map(|kv| kv.value.to_vec())
    }

    /// Another way to the same store and allocs.
    pub fn by(&self, store: Arc<dyn Store>) -> Self {
        Self {
            salt: self.salt,
            ..Self::over(store)
        }
    }

    /// Writes a version of the job, and gives an alloc of its first group that isn't written yet.
    pub async fn place(&self, job: &Job, number: u8) -> Alloc {
        let alloc = self.alloc(job, number);
        let version = JobVersion { job: job.clone() };
        self.put(
            &Key::JobVersion(alloc.version_key()),
            encoding::encode(&version).unwrap(),
        )
        .await;
        alloc
    }

    pub fn alloc(&self, job: &Job, number: u8) -> Alloc {
        let group = &job.task_groups[0];
        Alloc {
            id: AllocId::from_random([[number; 8], [self.salt; 8]].concat().try_into().unwrap()),
            eval_id: EvalId::from_random([1; 16]),
            node_id: self.node,
            node_name: "here".to_owned(),
            namespace: "default".into(),
            job_id: job.id.as_str().into(),
            job_uid: JobUid::from_random([1; 16]),
            job_version: job.version,
            task_group: group.name.as_str().into(),
            index: u32::from(number),
            resources: AllocResources {
                tasks: group
                    .tasks
                    .iter()
                    .map(|task| {
                        let given = TaskResources {
                            cpu: 100,
                            memory_mb: 64,
                            ..TaskResources::default()
                        };
                        (task.name.clone(), given)
                    })
                    .collect(),
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
            create_time: EPOCH + i64::from(number),
            modify_time: EPOCH,
        }
    }

    pub async fn want(&self, alloc: &Alloc) -> Revision {
        self.put(
            &Key::Alloc(self.node, alloc.id),
            encoding::encode(&alloc.clone().with_metrics(AllocMetric::default())).unwrap(),
        )
        .await
    }

    pub async fn stop(&self, alloc: &Alloc) {
        let stopped = Alloc {
            desired_status: DesiredStatus::Stop,
            ..alloc.clone()
        };
        self.want(&stopped).await;
    }

    pub async fn forget(&self, alloc: &Alloc) {
        self.delete(&Key::Alloc(self.node, alloc.id)).await;
    }

    pub async fn status(&self, alloc: &Alloc) -> Option<AllocStatus> {
        let value = self.get(&Key::AllocStatus(self.node, alloc.id)).await?;
        Some(encoding::decode(&value).unwrap())
    }

    /// What the store was told of the alloc from `revision` on.
    pub async fn statuses_since(&self, alloc: &Alloc, revision: Revision) -> Vec<ClientStatus> {
        let key = self.keys.encode(&Key::AllocStatus(self.node, alloc.id));
        let request = WatchRequest {
            keys: KeyRange::Key(key),
            start: Some(revision),
        };
        let mut watch = self.store.watch(request).await.unwrap();
        let mut told = Vec::new();
        while let Some(Some(Ok(item))) = watch.next().now_or_never() {
            let WatchEvent::Batch { events, .. } = item else {
                continue;
            };
            for event in events {
                if let Event::Put(kv) = event {
                    let status: AllocStatus = encoding::decode(&kv.value).unwrap();
                    told.push(status.client_status);
                }
            }
        }
        told
    }

    pub async fn until(
        &self,
        alloc: &Alloc,
        what: &str,
        check: impl Fn(&AllocStatus) -> bool,
    ) -> AllocStatus {
        let mut last = None;
        for _ in 0..60_000 {
            last = self.status(alloc).await;
            if let Some(status) = last.take_if(|status| check(status)) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain for {what}, last was {last:#?}");
    }

    pub async fn until_status(&self, alloc: &Alloc, wanted: ClientStatus) -> AllocStatus {
        let what = format!("{wanted:?}");
        self.until(alloc, &what, |status| status.client_status == wanted)
            .await
    }
}

pub async fn start(config: AgentConfig) -> Agent {
    Agent::start(config, CancellationToken::new())
        .await
        .unwrap()
}

/// Starts an agent in the place of one that was dropped, as soon as that has let its directory go.
pub async fn start_after(config: AgentConfig) -> Agent {
    loop {
        match Agent::start(config.clone(), CancellationToken::new()).await {
            Err(rove_agent::AgentError::Identity(
                rove_agent::identity::IdentityError::Locked { .. },
            )) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            started => return started.unwrap(),
        }
    }
}

pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}

/// A service of one group with these tasks, by name and driver configuration.
pub fn service(tasks: &[(&str, Value)]) -> Job {
    job("service", "mock_driver", tasks)
}

pub fn batch(tasks: &[(&str, Value)]) -> Job {
    job("batch", "mock_driver", tasks)
}

pub fn job(kind: &str, driver: &str, tasks: &[(&str, Value)]) -> Job {
    let restart_policy = RestartPolicy {
        interval: Some(Nanos::mins(30)),
        attempts: Some(2),
        delay: Some(Nanos::secs(15)),
        mode: Some("fail".to_owned()),
        render_templates: None,
    };
    Job {
        region: "global".to_owned(),
        namespace: "default".to_owned(),
        id: "job".to_owned(),
        name: "job".to_owned(),
        type_name: kind.to_owned(),
        task_groups: vec![TaskGroup {
            name: "group".to_owned(),
            update: Some(UpdateStrategy::defaults()),
            restart_policy: Some(restart_policy.clone()),
            tasks: tasks
                .iter()
                .map(|(name, config)| Task {
                    name: (*name).to_owned(),
                    driver: driver.to_owned(),
                    config: config.as_object().unwrap().clone(),
                    restart_policy: Some(restart_policy.clone()),
                    kill_timeout: Some(Nanos::secs(5)),
                    ..Task::default()
                })
                .collect(),
            ..TaskGroup::default()
        }],
        ..Job::default()
    }
}

pub fn runs_on() -> Value {
    json!({"run_for": "10000h"})
}

pub fn no_restarts(mut job: Job) -> Job {
    for task in &mut job.task_groups[0].tasks {
        if let Some(policy) = &mut task.restart_policy {
            policy.attempts = Some(0);
        }
    }
    job
}

pub fn port(value: u16) -> AllocatedPort {
    AllocatedPort {
        label: "http".to_owned(),
        value,
        to: 0,
        host_ip: "127.0.0.1".to_owned(),
        dynamic: false,
    }
}

pub fn deployment(number: u8) -> DeploymentId {
    DeploymentId::from_random([number; 16])
}

/// What happened to a task, in the words of `alloc status`, oldest first.
pub fn words(status: &AllocStatus, task: &str) -> Vec<String> {
    status.task_states[task]
        .events
        .iter()
        .map(|event| {
            let kind = serde_json::to_value(&event.kind).unwrap();
            format!("{}: {}", kind.as_str().unwrap(), event.display_message)
        })
        .collect()
}
