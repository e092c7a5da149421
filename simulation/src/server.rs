//! A simulated server: its state, its lease and its loops. Crashed, everything stops at once and nothing is given up.

use std::{sync::Arc, time::Duration};

use rove_controllers::{
    ControllersConfig, Settings, clock::Clock, loops::gc::GcSettings, runtime::counters::Counters,
};
use rove_model::ids::UnixNanos;
use rove_store::{
    faults::FaultyStore,
    keys::Keys,
    lease_keeper::{LeaseConfig, LeaseKeeper},
    memory::MemoryStore,
    state::{FeederConfig, StateFeeder, StateHandle},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{EPOCH, Options, client::Reached};

/// Tokio's clock, from a set time on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimClock {
    began: Instant,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixNanos {
        EPOCH + UnixNanos::try_from(self.began.elapsed().as_nanos()).unwrap_or(UnixNanos::MAX)
    }
}

/// Seconds of a server's lease.
const LEASE: i64 = 10;

pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) store: FaultyStore<MemoryStore>,
    running: Option<Running>,
}

struct Running {
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    keeper: LeaseKeeper,
    state: StateHandle,
}

/// Everything is over sooner than in earnest, so that a run sees it go.
pub(crate) fn settings(options: Options) -> Settings {
    Settings {
        gc: GcSettings {
            eval: Duration::from_secs(30),
            job: Duration::from_secs(60),
            deployment: Duration::from_secs(40),
            node: Duration::from_secs(45),
            history: Duration::from_secs(30),
            compaction: Duration::from_secs(10),
            compaction_revisions: 500,
        },
        node_grace: Duration::from_secs(20),
        max_plan_refusals: 2,
        max_plan_overlay: 12,
        sabotage: options.sabotage,
    }
}

impl Server {
    pub(crate) fn new(name: String, store: FaultyStore<MemoryStore>) -> Self {
        Self {
            name,
            store,
            running: None,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// As a user reaches it, while it runs.
    pub(crate) fn reach(&self) -> Option<Reached> {
        let running = self.running.as_ref()?;
        Some(Reached {
            store: Arc::new(self.store.clone()),
            state: running.state.clone(),
        })
    }

    pub(crate) fn start(
        &mut self,
        clock: SimClock,
        counters: Counters,
        options: Options,
        seed: u64,
    ) {
        let store: Arc<FaultyStore<MemoryStore>> = Arc::new(self.store.clone());
        let cancel = CancellationToken::new();
        let keys = Keys::default();
        let config = FeederConfig {
            seed,
            ..FeederConfig::default()
        };
        let (feeder, state) = StateFeeder::new(store.clone(), keys.clone(), config);
        let lease = LeaseConfig {
            ttl: LEASE,
            resume: None,
            recovery: Default::default(),
            revoke_on_stop: true,
            seed,
        };
        let keeper = LeaseKeeper::start(store.clone(), lease, &cancel);
        let config = ControllersConfig {
            store,
            keys,
            state: state.clone(),
            server: self.name.clone(),
            lease: keeper.lease(),
            clock: Arc::new(clock),
            seed,
            settings: settings(options),
            counters: counters.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(feeder.run(cancel.clone()));
        let ends = cancel.clone();
        tasks.spawn(async move {
            if rove_controllers::run(config, ends).await.is_err() {
                counters.count("server", LOOP_PANICKED);
            }
        });
        self.running = Some(Running {
            cancel,
            tasks,
            keeper,
            state,
        });
    }

    /// Ends at once, as by kill -9.
    pub(crate) fn crash(&mut self) -> bool {
        self.running.take().is_some()
    }

    /// Ends as asked to.
    pub(crate) async fn stop(&mut self) {
        if let Some(Running {
            cancel,
            mut tasks,
            keeper,
            state: _,
        }) = self.running.take()
        {
            cancel.cancel();
            while tasks.join_next().await.is_some() {}
            keeper.stop().await;
        }
    }
}

/// Counted, and never expected.
pub(crate) const LOOP_PANICKED: &str = "a loop panicked";
