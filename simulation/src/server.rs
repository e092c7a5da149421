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
        self.store.go_on();
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
        let keeper = LeaseKeeper::start(store.clone(), lease, &CancellationToken::new());
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
            threads: None,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use rove_model::ids::JobKey;
    use rove_store::{faults::Faults, store::Store};

    use super::*;
    use crate::{
        client::Caller,
        workload::{JobModel, Kind, Wanted},
    };

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn lead_for_a_while_and_stop() {
        let memory = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(memory.clone(), 1, Faults::default());
        let clock = SimClock::new();
        let mut server = Server::new("one".to_owned(), store);
        let options = Options { sabotage: None };
        server.start(clock, Counters::default(), options, 1);
        let mut state = server.reach().unwrap().state;
        while state.latest().leader(rove_controllers::LEADER).is_none() {
            state.changed().await.unwrap();
        }
        let job = JobModel {
            key: JobKey::new("default", "web"),
            kind: Kind::Plain,
            count: 1,
            variant: 0,
            wanted: Wanted::Running,
        };
        let caller = Caller::new(clock, 1);
        caller.write(&server.reach().unwrap(), &job).await.unwrap();
        while state.latest().evaluated(&job.key).is_none() {
            state.changed().await.unwrap();
        }
        server.stop().await;
        assert!(memory.leases().await.unwrap().is_empty());
    }

    #[test]
    fn a_clean_stop_warns_of_nothing_and_log_lines_are_for_people() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(lead_for_a_while_and_stop());
        });
        let text = String::from_utf8(log.bytes().clone()).unwrap();
        assert!(text.contains("lease held"), "{text}");
        assert!(text.contains("decided"), "{text}");
        assert!(!text.contains("WARN"), "{text}");
        for rust in ["JobKey", "Job(", "EvalId(", "Node(", "History"] {
            assert!(!text.contains(rust), "{rust} in {text}");
        }
    }
}
