//! What the agent's loops and its handle share: a small table of allocs, each entry replaced as a whole.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rove_model::{
    ids::{AllocId, NodeId, UnixNanos},
    node::Node,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock::Clock,
    drivers::{Driver, Signal, TaskHandle},
    handle_error::HandleError,
    host_stats::HostMeter,
    usage::HostStats,
};

/// How many commands of users may wait.
pub(crate) const COMMANDS: usize = 64;

pub(crate) type Reply = oneshot::Sender<Result<(), HandleError>>;

/// Which tasks of an alloc a user wants started anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that run.
    Running,
    /// Those that have ended, too.
    All,
    /// This one, if it runs.
    One(String),
}

/// What a user asked of the agent.
#[derive(Debug)]
pub(crate) enum Command {
    Restart {
        alloc: AllocId,
        which: Which,
        reply: Reply,
    },
    Signal {
        alloc: AllocId,
        task: Option<String>,
        signal: Signal,
        reply: Reply,
    },
    CollectGarbage {
        alloc: Option<AllocId>,
        reply: Reply,
    },
}

/// A task as others may look at it.
#[derive(Clone)]
pub(crate) struct TaskView {
    pub driver: Option<Arc<dyn Driver>>,
    /// How to reach it while it runs.
    pub handle: Option<TaskHandle>,
    /// It was started once, in whatever life of the agent.
    pub started: bool,
    /// It will not start again.
    pub over: bool,
    /// Its output is kept.
    pub logs: bool,
}

/// A task that runs: its name, its driver, and how that finds it.
pub(crate) type RunningTask = (String, Arc<dyn Driver>, TaskHandle);

/// An alloc as others may look at it.
pub(crate) type AllocView = BTreeMap<String, TaskView>;

pub(crate) struct Shared {
    pub node_id: NodeId,
    pub commands: mpsc::Sender<Command>,
    alloc_dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    meter: HostMeter,
    node: Mutex<Arc<Node>>,
    allocs: Mutex<BTreeMap<AllocId, Arc<AllocView>>>,
    connected: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

/// Every value under these locks is replaced as a whole, so a panic leaves it sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        node: Arc<Node>,
        alloc_dir: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        meter: HostMeter,
    ) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let shared = Self {
            node_id: node.id,
            commands,
            alloc_dir,
            clock,
            meter,
            node: Mutex::new(node),
            allocs: Mutex::default(),
            connected: watch::Sender::new(false),
        };
        (Arc::new(shared), receiver)
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&lock(&self.node))
    }

    pub(crate) fn set_node(&self, node: Arc<Node>) {
        *lock(&self.node) = node;
    }

    pub(crate) fn wall(&self) -> UnixNanos {
        self.clock.wall()
    }

    pub(crate) fn connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Whether the node is registered, followed.
    pub(crate) fn connection(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.send_replace(connected);
    }

    pub(crate) fn alloc_ids(&self) -> Vec<AllocId> {
        lock(&self.allocs).keys().copied().collect()
    }

    pub(crate) fn publish(&self, alloc: AllocId, view: AllocView) {
        lock(&self.allocs).insert(alloc, Arc::new(view));
    }

    pub(crate) fn forget(&self, alloc: AllocId) {
        lock(&self.allocs).remove(&alloc);
    }

    fn view(&self, alloc: AllocId) -> Result<Arc<AllocView>, HandleError> {
        lock(&self.allocs)
            .get(&alloc)
            .cloned()
            .ok_or(HandleError::UnknownAlloc(alloc))
    }

    pub(crate) fn task_names(&self, alloc: AllocId) -> Result<Vec<String>, HandleError> {
        Ok(self.view(alloc)?.keys().cloned().collect())
    }

    pub(crate) fn is_task_over(&self, alloc: AllocId, task: &str) -> bool {
        self.view(alloc)
            .ok()
            .and_then(|view| view.get(task).map(|task| task.over))
            .unwrap_or(true)
    }

    /// Whether there may be logs of a task now, or for who waits for more: it was started once, or still may be. Refuses
    /// questions about one that keeps none.
    pub(crate) fn may_have_logs(
        &self,
        alloc: AllocId,
        task: &str,
        waits: bool,
    ) -> Result<bool, HandleError> {
        let view = self.view(alloc)?;
        let found = view
            .get(task)
            .ok_or_else(|| HandleError::UnknownTask(task.to_owned()))?;
        if !found.logs {
            return Err(HandleError::LogsDisabled(task.to_owned()));
        }
        Ok(found.started || (waits && !found.over))
    }

    pub(crate) fn running_tasks(&self, alloc: AllocId) -> Result<Vec<RunningTask>, HandleError> {
        let view = self.view(alloc)?;
        Ok(view
            .iter()
            .filter_map(|(name, task)| {
                let driver = task.driver.clone()?;
                let handle = task.handle.clone()?;
                Some((name.clone(), driver, handle))
            })
            .collect())
    }

    /// The alloc's directory, known or not yet collected.
    pub(crate) fn alloc_path(&self, alloc: AllocId) -> Result<PathBuf, HandleError> {
        self.view(alloc)?;
        self.alloc_dir
            .as_ref()
            .map(|directory| directory.join(alloc.to_string()))
            .ok_or(HandleError::UnknownAlloc(alloc))
    }

    pub(crate) async fn host_stats(&self) -> Result<HostStats, HandleError> {
        self.meter
            .measure(self.wall())
            .await
            .map_err(HandleError::Measure)
    }
}
