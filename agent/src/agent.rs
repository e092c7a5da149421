//! Puts an agent together and runs it. Nothing here is global: a process may run thousands, each with its own store
//! handle, drivers and clock.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use rove_model::node::Node;
use rove_store::{backoff::Recovery, keys::Keys, store::Store};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};

pub use crate::manager::GarbagePolicy;
use crate::{
    alloc::{
        dir::{self, DirError},
        machine::Rules,
    },
    clock::Clock,
    context::{Context, Specs},
    fingerprint::{self, FingerprintError, NodeSettings, Roots},
    handle::AgentHandle,
    host_stats::HostMeter,
    identity::{DataDirLock, Identity, IdentityError},
    local_state::{LocalState, MemoryState, StateError},
    manager::{Ending, Manager},
    outbox::Outbox,
    registry::DriverRegistry,
    shared::Shared,
    sync::{
        desired::{CHANGES, Sync},
        registration::Registration,
        status::Writer,
    },
};

/// Seconds that a node counts as alive after its last sign of life.
pub const LEASE_TTL: i64 = 15;

/// The longest time that a task gets between its stop signal and its end, when the operator sets none.
pub const MAX_KILL_TIMEOUT: Duration = Duration::from_secs(30);

/// How often drivers are asked for their health; six times as often while one is ill.
pub const DRIVER_CHECKS: Duration = Duration::from_secs(30);

/// With less on its disk, in MiB, a node can take hardly any job, and is looked at more often.
const LITTLE_DISK_MB: u64 = 300;

/// How long the first registration of the node waits for its drivers; the slow ones follow.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Where an agent keeps what is its own.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Below this directory: `client` and `alloc`.
    Disk {
        /// The agent's `data_dir`.
        data_dir: PathBuf,
        /// Where its own state is.
        state_dir: PathBuf,
        /// Where allocs' directories are, if not in `data_dir/alloc`.
        alloc_dir: Option<PathBuf>,
    },
    /// Nowhere on disk: for simulations. Tasks get no directories. Clones of the state are the same state.
    Memory(MemoryState),
}

/// How the node is known.
#[derive(Clone, Debug)]
pub enum NodeSource {
    /// Found out from the host.
    Host {
        /// What the operator says.
        settings: Box<NodeSettings>,
        /// Where the host's files are.
        roots: Roots,
    },
    /// Told: for simulations. Drivers are asked all the same, once.
    Told(Box<Node>),
}

/// All that an agent needs.
#[derive(Clone)]
pub struct AgentConfig {
    /// Who it is.
    pub identity: Identity,
    /// Where it keeps what is its own.
    pub storage: Storage,
    /// The store: the servers' in the same process, or theirs at port 4647.
    pub store: Arc<dyn Store>,
    /// The layout of its keys.
    pub keys: Keys,
    /// What runs tasks.
    pub drivers: DriverRegistry,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The node.
    pub node: NodeSource,
    /// The region.
    pub region: String,
    /// The environment that tasks without a root of their own begin with; what is secret is left out.
    pub host_env: BTreeMap<String, String>,
    /// A development agent: when it ends cleanly its tasks end with it, and its node is gone at once.
    pub dev: bool,
    /// Seconds that the node counts as alive after its last sign of life.
    pub lease_ttl: i64,
    /// How often drivers are asked for their health; never again if none.
    pub driver_checks: Option<Duration>,
    /// The longest time that a task gets between its stop signal and its end, whatever its job asks for.
    pub max_kill_timeout: Duration,
    /// When directories of ended allocs are removed.
    pub garbage: GarbagePolicy,
    /// Seed of all jitter.
    pub seed: u64,
}

/// Why an agent could not start.
#[derive(Debug, Error)]
pub enum AgentError {
    /// Another agent uses its data directory, or that can't be written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A directory can't be made.
    #[error("failed to set up data_dir")]
    Directory(#[from] DirError),
    /// The host could not be fingerprinted.
    #[error("failed to fingerprint the host")]
    Fingerprint(#[from] FingerprintError),
    /// What an earlier life of the agent left can't be read.
    #[error("failed to read the state of the client")]
    State(#[from] StateError),
}

/// An agent that runs. Dropped, it ends at once, as if it was killed: its tasks go on.
#[derive(Debug)]
pub struct Agent {
    handle: AgentHandle,
    cancel: CancellationToken,
    done: AbortOnDropHandle<()>,
}

impl Agent {
    /// Starts an agent: takes over what runs of an earlier life, registers the node, and follows what the store wants.
    /// The store need not be reachable. When `cancel` is cancelled it ends as [`Agent::stop`] does.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn start(config: AgentConfig, cancel: CancellationToken) -> Result<Self, AgentError> {
        let AgentConfig {
            identity,
            storage,
            store,
            keys,
            drivers,
            clock,
            node,
            region,
            host_env,
            dev,
            lease_ttl,
            driver_checks,
            max_kill_timeout,
            garbage,
            seed,
        } = config;
        let disk = Disk::prepare(storage).await?;
        let saved = disk.state.load().await?;
        let proc = match &node {
            NodeSource::Host { roots, .. } => roots.proc.clone(),
            NodeSource::Told(_) => Roots::default().proc,
        };
        let watched_disk = match &node {
            // Unless the operator says how much there is.
            NodeSource::Host { settings, .. } if settings.disk_total_mb.is_none() => {
                disk.alloc_dir.clone()
            }
            NodeSource::Host { .. } | NodeSource::Told(_) => None,
        };
        let found = find_node(node, &identity, &disk, &*clock).await?;
        let (found, all_answered) =
            fingerprint::with_quick_drivers(&found, &drivers, FIRST_LOOK, clock.wall()).await;
        let core_mhz = found.resources.cpu / u64::from(found.resources.cores.max(1));
        #[expect(clippy::cast_precision_loss, reason = "a frequency in MHz")]
        let meter = HostMeter::new(proc, disk.alloc_dir.clone(), core_mhz as f64);
        let (publish_node, node) = watch::channel(Arc::new(found));
        let (shared, commands) = Shared::new(
            Arc::clone(&node.borrow()),
            disk.alloc_dir.clone(),
            Arc::clone(&clock),
            meter,
        );
        let outbox = Arc::new(Outbox::default());
        let context = Arc::new(Context {
            store: Arc::clone(&store),
            keys: keys.clone(),
            drivers: drivers.clone(),
            clock,
            began: Instant::now(),
            shared: Arc::clone(&shared),
            outbox: Arc::clone(&outbox),
            state: disk.state,
            specs: Specs::default(),
            alloc_dir: disk.alloc_dir,
            task_state_dir: disk.task_state_dir,
            rules: Rules {
                max_kill_timeout: max_kill_timeout.into(),
            },
            region,
            host_env,
            seed,
        });
        let ending = if dev {
            Ending::StopTasks
        } else {
            Ending::Leave
        };
        let mut manager = Manager::new(Arc::clone(&context), garbage, ending);
        let newest_seen = saved.iter().map(|saved| saved.revision).max().unwrap_or(0);
        manager.recover(saved);
        let (changes, desired) = mpsc::channel(CHANGES);
        let recovery = Recovery::default();
        let parts = Parts {
            sync: Sync {
                store: Arc::clone(&store),
                keys: keys.clone(),
                node: identity.node_id,
                outbox: Arc::clone(&outbox),
                registered: shared.connection(),
                out: changes,
                newest_seen,
                seed,
                recovery: recovery.clone(),
            },
            registration: Registration {
                store: Arc::clone(&store),
                keys: keys.clone(),
                node,
                shared: Arc::clone(&shared),
                lease_ttl,
                revoke_on_stop: dev,
                seed,
                recovery: recovery.clone(),
            },
            writer: Writer {
                store,
                keys,
                node: identity.node_id,
                outbox,
                seed,
                recovery: recovery.clone(),
            },
            checks: DriverChecks {
                every: driver_checks,
                all_answered,
                publish: publish_node,
                watched_disk,
                context,
            },
        };
        let cancel = cancel.child_token();
        let run = parts.run(manager, desired, commands, cancel.clone(), disk.lock);
        let ended = cancel.clone().drop_guard();
        let run = async move {
            let _ended = ended;
            run.await;
        };
        Ok(Self {
            handle: AgentHandle { shared },
            cancel,
            done: AbortOnDropHandle::new(tokio::spawn(run)),
        })
    }

    /// Waits until it begins to end: it was told to, or a part of it failed.
    pub fn ending(&self) -> WaitForCancellationFutureOwned {
        self.cancel.clone().cancelled_owned()
    }

    /// How others in the process ask it.
    #[must_use]
    pub fn handle(&self) -> AgentHandle {
        self.handle.clone()
    }

    /// Ends it, and waits until it has ended. Tasks go on, but those of a development agent are stopped.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.wait().await;
    }

    /// Waits until it has ended.
    pub async fn wait(self) {
        if let Err(error) = self.done.await
            && error.is_panic()
        {
            tracing::error!(
                %error,
                "the client failed, which is a fault in rove: its tasks go on; start the agent again, and report this line \
                 with those before it"
            );
        }
    }
}

/// What is made on disk before anything else.
struct Disk {
    alloc_dir: Option<PathBuf>,
    task_state_dir: PathBuf,
    state: LocalState,
    lock: Option<DataDirLock>,
}

impl Disk {
    async fn prepare(storage: Storage) -> Result<Self, AgentError> {
        let (data_dir, state_dir, alloc_dir) = match storage {
            Storage::Memory(state) => {
                return Ok(Self {
                    alloc_dir: None,
                    task_state_dir: PathBuf::from("/nonexistent"),
                    state: LocalState::Memory(state),
                    lock: None,
                });
            }
            Storage::Disk {
                data_dir,
                state_dir,
                alloc_dir,
            } => (data_dir, state_dir, alloc_dir),
        };
        let prepared = tokio::task::spawn_blocking(move || {
            dir::make_private(&state_dir)?;
            let lock = DataDirLock::acquire(&state_dir)?;
            let alloc_dir = alloc_dir.unwrap_or_else(|| data_dir.join("alloc"));
            make_searchable(&alloc_dir)?;
            let task_state_dir = state_dir.join("tasks");
            dir::make_private(&task_state_dir)?;
            let state = state_dir.join("allocs");
            dir::make_private(&state)?;
            Ok::<_, AgentError>(Self {
                alloc_dir: Some(alloc_dir),
                task_state_dir,
                state: LocalState::Directory(state),
                lock: Some(lock),
            })
        });
        prepared
            .await
            .map_err(|_| AgentError::State(StateError::Closed))?
    }
}

/// Tasks of any user reach their own directory by its path, and can't list those of others.
fn make_searchable(path: &Path) -> Result<(), AgentError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| DirError::Io {
        operation: "create",
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).map_err(failed)?;
    Ok(())
}

async fn find_node(
    source: NodeSource,
    identity: &Identity,
    disk: &Disk,
    clock: &dyn Clock,
) -> Result<Node, FingerprintError> {
    match source {
        NodeSource::Told(node) => Ok(Node {
            id: identity.node_id,
            ..*node
        }),
        NodeSource::Host { settings, roots } => {
            let alloc_dir = disk.alloc_dir.clone().unwrap_or_else(|| "/".into());
            let (id, now) = (identity.node_id, clock.wall());
            tokio::task::spawn_blocking(move || {
                let interfaces = fingerprint::host_interfaces();
                fingerprint::host(id, &settings, &roots, &alloc_dir, &interfaces, now)
            })
            .await
            .map_err(|_| FingerprintError::Interrupted)?
        }
    }
}

/// Looks at the drivers and the disk again and again; what changed is registered.
struct DriverChecks {
    every: Option<Duration>,
    /// None was slow before the node was registered.
    all_answered: bool,
    publish: watch::Sender<Arc<Node>>,
    /// The directory whose disk is looked at as well.
    watched_disk: Option<PathBuf>,
    context: Arc<Context>,
}

impl DriverChecks {
    async fn run(self) {
        if !self.all_answered {
            self.look(Subject::All).await;
        }
        let Some(every) = self.every else {
            return std::future::pending().await;
        };
        let mut asked = Instant::now();
        loop {
            let node = self.context.shared.node();
            let ill = node
                .drivers
                .values()
                .any(|driver| driver.detected && !driver.healthy);
            let full = self.watched_disk.is_some() && node.resources.disk_mb < LITTLE_DISK_MB;
            let (pause, subject) = next_look(every, ill, full, asked.elapsed());
            tokio::time::sleep(pause).await;
            self.look(subject).await;
            match subject {
                Subject::All => asked = Instant::now(),
                Subject::Disk => {}
            }
        }
    }

    async fn look(&self, subject: Subject) {
        let now = self.context.clock.wall();
        let before = self.context.shared.node();
        let mut node = match subject {
            Subject::All => fingerprint::with_drivers(&before, &self.context.drivers, now).await,
            Subject::Disk => Node::clone(&before),
        };
        if let Some(path) = self.watched_disk.clone() {
            let looked_at = node.clone();
            let grown = tokio::task::spawn_blocking(move || {
                fingerprint::with_grown_disk(&looked_at, &path)
            });
            if let Ok(Some(grown)) = grown.await {
                tracing::info!(
                    disk_mb = grown.resources.disk_mb,
                    "there is more room on the disk"
                );
                node = grown;
            }
        }
        if node != *before {
            let node = Arc::new(node);
            self.context.shared.set_node(Arc::clone(&node));
            self.publish.send_replace(node);
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The drivers, and the disk.
    All,
    /// The disk alone, which costs nothing.
    Disk,
}

/// How long until the next look, and at what. A driver that is ill may be well again any moment, as a full disk may have
/// room, and jobs wait for it. `asked` is how long ago the drivers were.
fn next_look(every: Duration, ill: bool, full: bool, asked: Duration) -> (Duration, Subject) {
    let (often, due) = (every / 6, every.saturating_sub(asked));
    if ill {
        (often, Subject::All)
    } else if full && often < due {
        (often, Subject::Disk)
    } else {
        (due, Subject::All)
    }
}

struct Parts {
    sync: Sync,
    registration: Registration,
    writer: Writer,
    checks: DriverChecks,
}

impl Parts {
    /// Runs all loops, in the order in which they have to end: first nothing new is taken, then runners end, then the
    /// last statuses are written, then the lease goes.
    async fn run(
        self,
        manager: Manager,
        desired: mpsc::Receiver<crate::sync::desired::Desired>,
        commands: mpsc::Receiver<crate::shared::Command>,
        cancel: CancellationToken,
        lock: Option<DataDirLock>,
    ) {
        let (last, lease) = (CancellationToken::new(), CancellationToken::new());
        let mut first_parts = JoinSet::new();
        let part = |name, run: BoxFuture<'static, ()>| whole_or_none(name, run, cancel.clone());
        first_parts.spawn(part("the watch of its allocs", {
            Box::pin(self.sync.run(cancel.clone()))
        }));
        let checks = cancel.clone();
        first_parts.spawn(part("the checks of its drivers", {
            Box::pin(async move {
                let _ = checks.run_until_cancelled(self.checks.run()).await;
            })
        }));
        let mut writer = JoinSet::new();
        writer.spawn(part("the writer of statuses", {
            Box::pin(self.writer.run(last.clone()))
        }));
        let mut registration = JoinSet::new();
        registration.spawn(part("the node's registration", {
            Box::pin(self.registration.run(lease.clone()))
        }));
        let manager = manager.run(desired, commands, cancel.clone());
        part("the manager of its allocs", Box::pin(manager)).await;
        join(first_parts).await;
        last.cancel();
        join(writer).await;
        lease.cancel();
        join(registration).await;
        drop(lock);
    }
}

/// Runs a part of the agent. One that panics ends the agent: without it the node would seem alive and follow nothing.
async fn whole_or_none(name: &'static str, run: BoxFuture<'static, ()>, cancel: CancellationToken) {
    if let Err(panic) = AssertUnwindSafe(run).catch_unwind().await {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        tracing::error!(
            part = name,
            panic = said,
            "a part of the client failed, which is a fault in rove: the client ends and its tasks go on; start the \
             agent again, and report this line with those before it"
        );
        cancel.cancel();
    }
}

async fn join(mut parts: JoinSet<()>) {
    while parts.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_looked_at_often_and_the_drivers_only_while_one_is_ill() {
        let seconds = Duration::from_secs;
        for (what, ill, full, asked, expected) in [
            ("all is well", false, false, 0, (30, Subject::All)),
            ("an ill driver", true, false, 0, (5, Subject::All)),
            ("both", true, true, 0, (5, Subject::All)),
            ("a full disk", false, true, 0, (5, Subject::Disk)),
            ("a full disk for long", false, true, 24, (5, Subject::Disk)),
            ("drivers are due", false, true, 25, (5, Subject::All)),
            (
                "a disk with room again",
                false,
                false,
                10,
                (20, Subject::All),
            ),
            ("drivers are overdue", false, true, 40, (0, Subject::All)),
        ] {
            let (pause, subject) = next_look(seconds(30), ill, full, seconds(asked));
            assert_eq!((pause.as_secs(), subject), expected, "{what}");
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_ends_the_agent_and_one_that_ends_does_not() {
        let cancel = CancellationToken::new();
        whole_or_none("a part", Box::pin(async {}), cancel.clone()).await;
        assert!(!cancel.is_cancelled());
        let broken = async {
            std::panic::panic_any("as the test wants it");
        };
        whole_or_none("a part", Box::pin(broken), cancel.clone()).await;
        assert!(cancel.is_cancelled());
    }
}
