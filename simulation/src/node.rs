//! A simulated machine: a real agent over a mock driver, whose tasks outlive the agent and not the machine.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rove_agent::{
    Agent, AgentConfig, GarbagePolicy, MAX_KILL_TIMEOUT, MemoryState, NodeSource, Storage,
    clock::TokioClock,
    drivers::{ExitResult, TaskRef, mock::MockDriver},
    identity::Identity,
    registry::DriverRegistry,
};
use rove_model::{
    ids::{AllocId, NodeId},
    node::{Node, NodeNetwork, NodeReserved, NodeResources},
};
use rove_store::{
    faults::{Faults, FaultyStore},
    keys::Keys,
    memory::MemoryStore,
};
use tokio_util::sync::CancellationToken;

use crate::EPOCH;

/// Seconds of a node's lease.
const LEASE: i64 = 15;

pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) store: FaultyStore<MemoryStore>,
    /// It is gone for good.
    pub(crate) scrapped: bool,
    /// It can't reach the store.
    pub(crate) cut_off: bool,
    number: u64,
    clock: TokioClock,
    driver: MockDriver,
    state: MemoryState,
    agent: Option<Agent>,
    starts: u64,
}

impl Machine {
    pub(crate) fn new(number: u64, id: NodeId, store: FaultyStore<MemoryStore>) -> Self {
        Self {
            id,
            store,
            scrapped: false,
            cut_off: false,
            number,
            clock: TokioClock::starting_at(EPOCH),
            driver: MockDriver::new(EPOCH),
            state: MemoryState::default(),
            agent: None,
            starts: 0,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.agent.is_some()
    }

    fn node(&self) -> Node {
        let mut node = Node {
            id: self.id,
            name: format!("node{}", self.number),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            // Two classes, so that what one rules out does not wake for the other.
            node_class: if self.number.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            }
            .to_owned(),
            // As real nodes have them: they must not make a class of each node.
            attributes: [
                ("kernel.name", "linux".to_owned()),
                ("unique.hostname", format!("node{}", self.number)),
                (
                    "nomad.advertise.address",
                    format!("10.0.0.{}:4646", self.number + 1),
                ),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
            meta: Default::default(),
            drivers: Default::default(),
            resources: NodeResources {
                cpu: 5_000,
                cores: 4,
                memory_mb: 8_000,
                disk_mb: 100_000,
                networks: vec![NodeNetwork {
                    device: "eth0".to_owned(),
                    ip: format!("10.0.0.{}", self.number + 1),
                    cidr: format!("10.0.0.{}/24", self.number + 1),
                    mbits: 1_000,
                }],
                min_dynamic_port: 20_000,
                max_dynamic_port: 20_060,
            },
            reserved: NodeReserved::default(),
            http_addr: format!("10.0.0.{}:4646", self.number + 1),
            computed_class: String::new(),
            registered_at: EPOCH,
            version: "0".to_owned(),
        };
        node.computed_class = node.compute_class();
        node
    }

    pub(crate) async fn start(&mut self, seed: u64) {
        self.starts += 1;
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.number.to_be_bytes());
        let config = AgentConfig {
            identity: Identity::new(self.id, secret),
            storage: Storage::Memory(self.state.clone()),
            store: Arc::new(self.store.clone()),
            keys: Keys::default(),
            drivers: DriverRegistry::new().with(Arc::new(self.driver.clone())),
            clock: Arc::new(self.clock),
            node: NodeSource::Told(Box::new(self.node())),
            region: "global".to_owned(),
            host_env: Default::default(),
            dev: false,
            lease_ttl: LEASE,
            driver_checks: None,
            max_kill_timeout: MAX_KILL_TIMEOUT,
            garbage: GarbagePolicy {
                every: Duration::from_secs(600),
                ..GarbagePolicy::default()
            },
            seed: seed ^ self.starts,
        };
        self.agent = Agent::start(config, CancellationToken::new()).await.ok();
    }

    /// The agent ends at once, its tasks go on.
    pub(crate) fn kill_agent(&mut self) -> bool {
        self.agent.take().is_some()
    }

    /// Everything on it ends at once.
    pub(crate) fn power_off(&mut self) -> bool {
        let ran = self.agent.take().is_some();
        self.driver.reboot();
        ran
    }

    pub(crate) fn cut_off(&mut self) {
        self.cut_off = true;
        self.store.set_faults(Faults {
            unavailable: 1.0,
            broken_watch: 1.0,
            ..Faults::default()
        });
    }

    pub(crate) fn reconnect(&mut self, faults: &Faults) {
        self.cut_off = false;
        self.store.set_faults(faults.clone());
    }

    /// Allocs that have a task that runs.
    pub(crate) fn running(&self) -> BTreeSet<AllocId> {
        self.driver
            .running()
            .into_iter()
            .map(|task| task.alloc_id)
            .collect()
    }

    /// Ends the n-th running task with this exit code.
    pub(crate) fn end_task(&self, nth: usize, exit_code: i32) -> bool {
        let mut tasks: Vec<TaskRef> = self.driver.running();
        tasks.sort_by_key(|task| (task.alloc_id, task.task.clone()));
        let Some(task) = tasks.get(nth % tasks.len().max(1)) else {
            return false;
        };
        let result = ExitResult {
            exit_code,
            ..ExitResult::default()
        };
        self.driver.end(task, result)
    }
}
