//! The runtime over a store in memory, with a loop and a clock of the test's own.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rove_store::{
    election::Election,
    lease_keeper::{LeaseConfig, LeaseKeeper},
    memory::MemoryStore,
    state::{FeederConfig, StateFeeder},
};
use tokio::time::Instant;

use super::*;

/// Looks again each second, and counts.
#[derive(Default)]
struct Ticks(Arc<AtomicU64>);

const TICKED: &str = "ticked";

impl Loop for Ticks {
    const NAME: &'static str = "ticks";
    const BRANCHES: &'static [&'static str] = &[TICKED];
    type Key = u8;
    type Memory = ();
    type Memo = ();

    fn begin(&self, _: Began) {}

    fn notice(
        &self,
        (): &mut (),
        _: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(u8, UnixNanos, i32),
    ) {
        if matches!(news, News::Everything) {
            wake(0, now, 0);
        }
    }

    fn decide(&self, view: &View<'_, Self>, _: &u8, _: &mut StdRng) -> Decision {
        self.0.fetch_add(1, Ordering::Relaxed);
        Decision::at(TICKED, view.now + SECOND)
    }
}

/// Tokio's clock, moved by some nanoseconds.
struct Moved {
    began: Instant,
    by: Arc<AtomicI64>,
}

impl Clock for Moved {
    fn now(&self) -> UnixNanos {
        let since = i64::try_from(self.began.elapsed().as_nanos()).unwrap();
        100_000 * SECOND + since + self.by.load(Ordering::Relaxed)
    }
}

/// One loop that leads over a store in memory.
pub(crate) struct Led {
    pub(crate) state: StateHandle,
    pub(crate) counters: Counters,
    /// By how much the clock is moved, in ns.
    pub(crate) moved: Arc<AtomicI64>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Led {
    pub(crate) fn new<L: Loop>(store: Arc<dyn Store>, looper: L) -> Self {
        let keys = Keys::default();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (feeder, state) =
            StateFeeder::new(store.clone(), keys.clone(), FeederConfig::default());
        tasks.spawn(feeder.run(cancel.clone()));
        let lease = LeaseConfig {
            ttl: 10,
            resume: None,
            recovery: Default::default(),
            revoke_on_stop: true,
            seed: 1,
        };
        let keeper = LeaseKeeper::start(store.clone(), lease, &cancel);
        let election = Election {
            store: store.clone(),
            keys: keys.clone(),
            loops: vec![L::NAME.to_owned()],
            server: "one".to_owned(),
            seed: 1,
        };
        let (publish, term) = watch::channel(None);
        let lease = keeper.lease();
        let of_election = cancel.clone();
        tasks.spawn(async move {
            let _keeper = keeper;
            election.run(lease, publish, of_election).await;
        });
        let moved = Arc::new(AtomicI64::new(0));
        let counters = Counters::default();
        let runtime = Runtime {
            store,
            keys,
            state: state.clone(),
            clock: Arc::new(Moved {
                began: Instant::now(),
                by: moved.clone(),
            }),
            counters: counters.clone(),
            seed: 1,
        };
        tasks.spawn(runtime.run(looper, term, cancel.clone()));
        Self {
            state,
            counters,
            moved,
            cancel,
            tasks,
        }
    }

    /// Waits until the state is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&State) -> bool) {
        while !wanted(&self.state.latest()) {
            self.state.changed().await.unwrap();
        }
    }

    pub(crate) async fn end(mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_moved_by_an_hour_either_way_holds_nothing_up() {
    let ticks = Ticks::default();
    let count = ticks.0.clone();
    let led = Led::new(Arc::new(MemoryStore::new()), ticks);
    for moved in [0, 3_600, -3_600, 3_600, 0] {
        led.moved.store(moved * SECOND, Ordering::Relaxed);
        let before = count.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ticked = count.load(Ordering::Relaxed) - before;
        assert!((58..=62).contains(&ticked), "{ticked} at {moved}");
    }
    led.end().await;
}
