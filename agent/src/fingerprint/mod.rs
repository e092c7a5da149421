//! What a node is and has, found out from the host. All roots of the filesystem are handed in.

mod cgroup;
mod cpu;
mod memory;
mod network;
mod os;
mod storage;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use network::{InterfaceAddress, host_interfaces};
use rove_model::{
    ids::{NodeId, UnixNanos},
    node::{DriverInfo, Node, NodeReserved, NodeResources},
};
use thiserror::Error;

use crate::{drivers::Fingerprint, registry::DriverRegistry};

/// The version of Nomad whose jobs and API this build is compatible with; constraints of job files ask for it.
pub const NOMAD_VERSION: &str = "1.6.5";

/// Ports that are handed out when a job leaves the choice to rove, as the reference has it.
const DYNAMIC_PORTS: (u16, u16) = (20_000, 32_000);

/// Why the host could not be fingerprinted.
#[derive(Debug, Error)]
pub enum FingerprintError {
    /// The interface that the operator chose is not there, or has no address.
    #[error(
        "client.network_interface {chosen:?} has no address on this host; those that have are {known}"
    )]
    NoInterface {
        /// The one that was chosen.
        chosen: String,
        /// Those that are there, with commas between them.
        known: String,
    },
    /// The system does not tell its name.
    #[error("failed to ask the system for its name")]
    Name(#[source] std::io::Error),
    /// A file of the system could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The fingerprint was cut short.
    #[error("the fingerprint was interrupted")]
    Interrupted,
}

/// Where the host's own files are.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `/etc`.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            etc: "/etc".into(),
        }
    }
}

/// What the operator says about the node.
#[derive(Clone, Debug, Default)]
pub struct NodeSettings {
    /// Its name; the host's if empty.
    pub name: String,
    /// Where it stands.
    pub datacenter: String,
    /// Its pool; `default` if empty.
    pub node_pool: String,
    /// Its class.
    pub node_class: String,
    /// What else the operator says about it.
    pub meta: BTreeMap<String, String>,
    /// `host:port` of its HTTP API, as others reach it.
    pub http_addr: String,
    /// The interface that ports are handed out on; by default that of the default route.
    pub network_interface: Option<String>,
    /// Use the loopback interface, as a development agent does.
    pub loopback: bool,
    /// CPU in MHz, where the operator knows better.
    pub cpu_total_compute: Option<u64>,
    /// Memory in MiB, where the operator knows better.
    pub memory_total_mb: Option<u64>,
    /// Disk in MiB, where the operator knows better.
    pub disk_total_mb: Option<u64>,
    /// First and last dynamic port.
    pub dynamic_ports: Option<(u16, u16)>,
    /// What is kept back for the system.
    pub reserved: NodeReserved,
}

/// A part of the fingerprint.
#[derive(Debug, Default)]
struct Found {
    attributes: BTreeMap<String, String>,
    resources: NodeResources,
}

impl Found {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.attributes.insert(name.to_owned(), value.into());
    }
}

/// Finds out all but the drivers. `alloc_dir` is where allocs' directories will be.
///
/// # Errors
/// See [`FingerprintError`].
pub fn host(
    id: NodeId,
    settings: &NodeSettings,
    roots: &Roots,
    alloc_dir: &std::path::Path,
    interfaces: &[InterfaceAddress],
    now: UnixNanos,
) -> Result<Node, FingerprintError> {
    let mut found = Found::default();
    let name = os::fingerprint(roots, &mut found)?;
    cpu::fingerprint(roots, settings.cpu_total_compute, &mut found)?;
    memory::fingerprint(roots, settings.memory_total_mb, &mut found)?;
    storage::fingerprint(roots, alloc_dir, settings.disk_total_mb, &mut found);
    network::fingerprint(roots, settings, interfaces, &mut found)?;
    cgroup::fingerprint(roots, &mut found);
    found.set("nomad.version", NOMAD_VERSION);
    found.set("rove.version", env!("CARGO_PKG_VERSION"));
    found.set("nomad.advertise.address", settings.http_addr.as_str());
    let (first, last) = settings.dynamic_ports.unwrap_or(DYNAMIC_PORTS);
    found.resources.min_dynamic_port = first;
    found.resources.max_dynamic_port = last;
    let or = |value: &str, default: &str| if value.is_empty() { default } else { value }.to_owned();
    Ok(Node {
        id,
        name: or(&settings.name, &name),
        datacenter: or(&settings.datacenter, "dc1"),
        node_pool: or(&settings.node_pool, "default"),
        node_class: settings.node_class.clone(),
        attributes: found.attributes,
        meta: settings.meta.clone(),
        drivers: BTreeMap::new(),
        resources: found.resources,
        reserved: settings.reserved.clone(),
        http_addr: settings.http_addr.clone(),
        computed_class: String::new(),
        registered_at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

pub(crate) use storage::with_grown_disk;

/// The node with what its drivers say of themselves now. What did not change keeps its time.
pub async fn with_drivers(node: &Node, drivers: &DriverRegistry, now: UnixNanos) -> Node {
    ask_drivers(node, drivers, None, now).await.0
}

/// As [`with_drivers`], but a driver that has not answered after `limit` is taken for one that isn't there. False when
/// there is such a one: it has to be asked again.
pub async fn with_quick_drivers(
    node: &Node,
    drivers: &DriverRegistry,
    limit: Duration,
    now: UnixNanos,
) -> (Node, bool) {
    ask_drivers(node, drivers, Some(limit), now).await
}

async fn ask_drivers(
    node: &Node,
    drivers: &DriverRegistry,
    limit: Option<Duration>,
    now: UnixNanos,
) -> (Node, bool) {
    let mut node = node.clone();
    let asked = futures::future::join_all(drivers.iter().map(|(name, driver)| async move {
        let answer = match limit {
            Some(limit) => tokio::time::timeout(limit, driver.fingerprint()).await.ok(),
            None => Some(driver.fingerprint().await),
        };
        (name, answer)
    }))
    .await;
    let mut all = true;
    for (name, fingerprint) in asked {
        all &= fingerprint.is_some();
        let fingerprint = fingerprint.unwrap_or_else(|| Fingerprint {
            description: "has not answered yet".to_owned(),
            ..Fingerprint::default()
        });
        add_driver(&mut node, name, fingerprint, now);
    }
    node.computed_class = node.compute_class();
    (node, all)
}

fn add_driver(node: &mut Node, name: &str, fingerprint: Fingerprint, now: UnixNanos) {
    let Fingerprint {
        detected,
        healthy,
        description,
        attributes,
    } = fingerprint;
    let own = format!("driver.{name}");
    let prefix = format!("{own}.");
    node.attributes
        .retain(|attribute, _| *attribute != own && !attribute.starts_with(&prefix));
    if detected && healthy {
        node.attributes.extend(
            attributes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        node.attributes.insert(own, "1".to_owned());
    }
    let mut info = DriverInfo {
        detected,
        healthy,
        health_description: description,
        attributes,
        update_time: now,
    };
    if let Some(before) = node.drivers.get(name) {
        let same = DriverInfo {
            update_time: before.update_time,
            ..info.clone()
        };
        if same == *before {
            info = same;
        }
    }
    node.drivers.insert(name.to_owned(), info);
}

fn read(path: PathBuf) -> Result<String, FingerprintError> {
    std::fs::read_to_string(&path).map_err(|source| FingerprintError::Read { path, source })
}

#[cfg(test)]
mod tests;
