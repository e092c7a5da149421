//! The reconcile loops of rove. Each looks at the state, decides, and writes keys; none calls another.
//!
//! [`run`] campaigns for all of them on one server and runs them while it leads.

pub mod clock;
pub mod decision;
pub mod facts;
pub mod loops;
pub mod registration;
pub mod runtime;
pub mod scheduler;
pub mod writer;

use std::{sync::Arc, time::Duration};

use rove_store::{
    election::{Election, Term},
    keys::Keys,
    state::StateHandle,
    store::{LeaseId, Store},
};
use thiserror::Error;
use tokio::{runtime::Handle, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    clock::Clock,
    loops::{
        alloc::AllocLoop,
        applier::ApplierLoop,
        deployment::DeploymentLoop,
        gc::{GcLoop, GcSettings},
        job::JobLoop,
        node::NodeLoop,
        scheduler::SchedulerLoop,
    },
    runtime::{Loop, Runtime, counters::Counters},
};

/// The names of the loops: `leader/<name>` says which server runs it. One server runs them all.
pub const LOOPS: [&str; 7] = [
    JobLoop::NAME,
    SchedulerLoop::NAME,
    ApplierLoop::NAME,
    NodeLoop::NAME,
    AllocLoop::NAME,
    DeploymentLoop::NAME,
    GcLoop::NAME,
];

/// The loop whose leader is shown as the cluster's.
pub const LEADER: &str = SchedulerLoop::NAME;

/// What may be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long things that are over are kept.
    pub gc: GcSettings,
    /// How long a new leader waits for nodes that it has not seen alive: longer than a node's usual lease of 15 s.
    pub node_grace: Duration,
    /// Refusals of its plan after which an evaluation waits for room.
    pub max_plan_refusals: u32,
    /// Placements under way on a plan's nodes that the check of the plan takes in; with more the plan waits.
    pub max_plan_overlay: usize,
    /// What is broken on purpose.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<Sabotage>,
}

/// Mistakes that a simulation has to find.
#[cfg(feature = "sabotage")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The scheduler plans a job again though a plan of it is under way.
    DoublePlacement,
    /// The node loop forgets all but one of the jobs that a lost node held.
    LostAlloc,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gc: GcSettings::default(),
            node_grace: Duration::from_secs(20),
            max_plan_refusals: 5,
            // What sixteen plans of 250 placements write: a check of so many takes some hundred microseconds.
            max_plan_overlay: 4_000,
            #[cfg(feature = "sabotage")]
            sabotage: None,
        }
    }
}

/// What the loops of one server run with.
#[derive(Clone)]
pub struct ControllersConfig {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
    /// The state, kept up to date by its feeder.
    pub state: StateHandle,
    /// This server's name, alone of its kind.
    pub server: String,
    /// The server's lease, as its keeper publishes it.
    pub lease: watch::Receiver<Option<LeaseId>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Seeds all that is random; from the system's randomness outside of simulations.
    pub seed: u64,
    /// What may be set.
    pub settings: Settings,
    /// Counts which ways decisions take.
    pub counters: Counters,
    /// The threads that loops run on. Where they are others than the caller's, no decision keeps leases, elections and
    /// calls waiting, however long it takes.
    pub threads: Option<Handle>,
}

/// A loop ended by a mistake in its code: this server has given leadership up, and another may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a reconcile loop panicked")]
pub struct LoopPanicked;

/// Campaigns, and runs all loops while this server leads, until `cancel`. Gives leadership up before it returns.
///
/// # Errors
/// When a loop panicked.
pub async fn run(config: ControllersConfig, cancel: CancellationToken) -> Result<(), LoopPanicked> {
    let (publish, mut term) = watch::channel(None);
    let loops_end = cancel.child_token();
    let mut tasks = JoinSet::new();
    let told = spawn_loops(&config, &loops_end, &mut tasks);
    let election = Election {
        store: config.store.clone(),
        keys: config.keys.clone(),
        loops: LOOPS.map(str::to_owned).to_vec(),
        server: config.server.clone(),
        seed: config.seed,
    };
    // The loops end first: what they still write has to find the election held.
    let election_ends = CancellationToken::new();
    let campaign = election.run(config.lease.clone(), publish, election_ends.clone());
    let loops = async {
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a loop ended badly");
                outcome = Err(LoopPanicked);
                loops_end.cancel();
            }
        }
        election_ends.cancel();
        outcome
    };
    // Each loop is told by itself, in order: a watch channel wakes several readers in an order of its own, and a
    // simulation could not be replayed.
    let herald = async {
        while term.changed().await.is_ok() {
            let now = term.borrow_and_update().clone();
            for told in &told {
                told.send_replace(now.clone());
            }
        }
    };
    let ((), (), outcome) = tokio::join!(campaign, herald, loops);
    outcome
}

fn spawn_loops(
    config: &ControllersConfig,
    cancel: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Vec<watch::Sender<Option<Term>>> {
    let runtime = Runtime {
        store: config.store.clone(),
        keys: config.keys.clone(),
        state: config.state.clone(),
        clock: config.clock.clone(),
        counters: config.counters.clone(),
        seed: config.seed,
        threads: config.threads.clone(),
    };
    let gc = GcLoop {
        settings: config.settings.gc.clone(),
    };
    let node = NodeLoop {
        grace: config.settings.node_grace,
        #[cfg(feature = "sabotage")]
        sabotage: config.settings.sabotage,
    };
    let scheduler = SchedulerLoop {
        #[cfg(feature = "sabotage")]
        sabotage: config.settings.sabotage,
    };
    let applier = ApplierLoop {
        max_refusals: config.settings.max_plan_refusals,
        overlay: config.settings.max_plan_overlay,
    };
    macro_rules! spawn {
        ($($looper:expr),* $(,)?) => {
            vec![$(runtime.spawn($looper, cancel, tasks)),*]
        };
    }
    spawn!(
        JobLoop,
        scheduler,
        applier,
        node,
        AllocLoop,
        DeploymentLoop,
        gc,
    )
}
