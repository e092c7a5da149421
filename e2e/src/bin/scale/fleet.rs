//! Many agents in one process: the real agent with the mock driver, each on a connection of its own to a server's
//! port 4647, proving itself by its own secret.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rove_agent::{
    Agent, AgentConfig, DRIVER_CHECKS, GarbagePolicy, LEASE_TTL, MAX_KILL_TIMEOUT, MemoryState,
    NodeSource, Storage,
    clock::{Clock, SystemClock},
    drivers::mock::MockDriver,
    identity::Identity,
    registry::DriverRegistry,
};
use rove_model::{
    ids::NodeId,
    node::{Node, NodeNetwork, NodeReserved, NodeResources},
};
use rove_store::{
    etcd::{EtcdConfig, EtcdStore},
    keys::Keys,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Agents that start at the same time: a fleet is rarely switched on in one moment.
const AT_ONCE: usize = 50;

/// The agents.
pub struct Fleet {
    agents: Vec<Agent>,
}

impl Fleet {
    /// Starts `count` nodes of the server at that port of loopback.
    pub async fn start(count: u32, rpc: u16) -> Self {
        let mut agents: Vec<Agent> = Vec::with_capacity(count as usize);
        for number in 0..count {
            agents.push(start(number, rpc).await);
            // Registration goes on in the background; the next waits while too many are at it.
            while agents
                .iter()
                .rev()
                .take(AT_ONCE * 4)
                .filter(|agent| !agent.handle().connected())
                .count()
                >= AT_ONCE
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let fleet = Self { agents };
        let end = Instant::now() + Duration::from_secs(120);
        while fleet.connected() < fleet.agents.len() {
            assert!(
                Instant::now() < end,
                "{} of {count} nodes are connected",
                fleet.connected()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fleet
    }

    fn connected(&self) -> usize {
        self.agents
            .iter()
            .filter(|agent| agent.handle().connected())
            .count()
    }

    /// How many allocs the agents hold, and on how many of them.
    pub fn allocs(&self) -> (usize, usize) {
        let held = self
            .agents
            .iter()
            .map(|agent| agent.handle().allocs().len());
        held.fold((0, 0), |(allocs, nodes), held| {
            (allocs + held, nodes + usize::from(held > 0))
        })
    }
}

async fn start(number: u32, rpc: u16) -> Agent {
    let mut id: [u8; 16] = rand::random();
    id[..4].copy_from_slice(&number.to_be_bytes());
    let identity = Identity::new(NodeId::from_random(id), rand::random());
    let store = EtcdStore::new(EtcdConfig {
        user: Some((identity.node_id.to_string(), identity.secret.clone())),
        ..EtcdConfig::of_servers(vec![format!("http://127.0.0.1:{rpc}")])
    })
    .unwrap();
    let clock = SystemClock;
    Agent::start(
        AgentConfig {
            identity,
            storage: Storage::Memory(MemoryState::default()),
            store: Arc::new(store),
            keys: Keys::default(),
            drivers: DriverRegistry::new().with(Arc::new(MockDriver::new(clock.wall()))),
            clock: Arc::new(clock),
            node: NodeSource::Told(Box::new(node(number, clock.wall()))),
            region: "global".to_owned(),
            host_env: BTreeMap::new(),
            dev: false,
            lease_ttl: LEASE_TTL,
            driver_checks: Some(DRIVER_CHECKS),
            max_kill_timeout: MAX_KILL_TIMEOUT,
            garbage: GarbagePolicy::default(),
            seed: u64::from(number),
        },
        CancellationToken::new(),
    )
    .await
    .unwrap()
}

/// A machine of four cores.
fn node(number: u32, now: i64) -> Node {
    let ip = format!("10.{}.{}.1", number / 250, number % 250);
    let attributes = [
        ("kernel.name", "linux"),
        ("cpu.arch", "amd64"),
        ("cpu.numcores", "4"),
        ("os.name", "debian"),
    ];
    let mut node = Node {
        id: NodeId(Uuid::nil()),
        name: format!("node-{number}"),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        node_class: String::new(),
        attributes: attributes
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        meta: BTreeMap::new(),
        drivers: BTreeMap::new(),
        resources: NodeResources {
            cpu: 8_000,
            cores: 4,
            memory_mb: 16_384,
            disk_mb: 100_000,
            networks: vec![NodeNetwork {
                device: "eth0".to_owned(),
                cidr: format!("{ip}/8"),
                ip,
                mbits: 1_000,
            }],
            min_dynamic_port: 20_000,
            max_dynamic_port: 32_000,
        },
        reserved: NodeReserved::default(),
        http_addr: String::new(),
        computed_class: String::new(),
        registered_at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    node.computed_class = node.compute_class();
    node
}
