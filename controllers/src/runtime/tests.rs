//! The runtime over a store in memory, with a loop and a clock of the test's own.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use rove_model::{encoding::encode, server::Leadership};
use rove_store::{
    election::Election,
    lease_keeper::{LeaseConfig, LeaseKeeper},
    memory::MemoryStore,
    state::{FeederConfig, StateFeeder},
    store::{Op, Txn},
};
use tokio::time::Instant;

use super::*;
use crate::clock::SECOND;

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
        Self::with(store, looper, FeederConfig::default(), None)
    }

    fn with<L: Loop>(
        store: Arc<dyn Store>,
        looper: L,
        feeder: FeederConfig,
        threads: Option<Handle>,
    ) -> Self {
        let keys = Keys::default();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (feeder, state) = StateFeeder::new(store.clone(), keys.clone(), feeder);
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
        let (publish, mut term) = watch::channel(None);
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
            threads,
        };
        let told = runtime.spawn(looper, &cancel, &mut tasks);
        tasks.spawn(async move {
            while term.changed().await.is_ok() {
                told.send_replace(term.borrow_and_update().clone());
            }
        });
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

/// Notes what it is told of.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<(u64, BTreeSet<Key>)>>);

impl Loop for Notes {
    const NAME: &'static str = "notes";
    const BRANCHES: &'static [&'static str] = &[];
    type Key = u8;
    type Memory = ();
    type Memo = ();

    fn begin(&self, _: Began) {}

    fn notice(
        &self,
        (): &mut (),
        _: &State,
        news: News<'_>,
        _: UnixNanos,
        _: &mut dyn FnMut(u8, UnixNanos, i32),
    ) {
        let mut notes = self.0.lock().unwrap();
        match news {
            News::Everything => notes.0 += 1,
            News::Keys(keys) => notes.1.extend(keys.iter().cloned()),
        }
    }

    fn decide(&self, _: &View<'_, Self>, _: &u8, _: &mut StdRng) -> Decision {
        unreachable!("nothing is ever woken")
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_fell_behind_is_told_what_changed_and_never_begins_anew() {
    const WRITES: usize = 20_000;
    let store = Arc::new(MemoryStore::new());
    let notes = Notes::default();
    let feeder = FeederConfig {
        feed_capacity: 1,
        ..FeederConfig::default()
    };
    let mut led = Led::with(store.clone(), notes.clone(), feeder, None);
    led.until(|state| state.leader("notes").is_some()).await;
    while notes.0.lock().unwrap().0 == 0 {
        tokio::task::yield_now().await;
    }
    let keys = Keys::default();
    let mut written = BTreeSet::new();
    let mut put = async |number: usize| {
        let key = Key::Leader(format!("other-{number:05}"));
        let value = Leadership {
            server: "two".to_owned(),
        };
        let txn = Txn {
            then: vec![Op::put(keys.encode(&key), encode(&value).unwrap())],
            ..Txn::default()
        };
        written.insert(key);
        store.txn(txn).await.unwrap().revision
    };
    let mut last = 0;
    for number in 0..WRITES {
        last = put(number).await;
    }
    led.until(|state| state.revision() >= last).await;
    last = put(WRITES).await;
    led.until(|state| state.revision() >= last).await;
    let told = || notes.0.lock().unwrap().clone();
    while !written.is_subset(&told().1) && told().0 == 1 {
        tokio::task::yield_now().await;
    }
    let (everything, _) = told();
    assert_eq!(everything, 1, "at the start of the term, and not again");
    led.end().await;
}

/// Decides for as long as it takes until it is told to go on.
struct Long {
    began: Mutex<mpsc::Sender<()>>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Loop for Long {
    const NAME: &'static str = "long";
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

    fn decide(&self, _: &View<'_, Self>, _: &u8, _: &mut StdRng) -> Decision {
        self.began.lock().unwrap().send(()).unwrap();
        // Far beyond what the others need, so that a failure is told.
        let told = self
            .go_on
            .lock()
            .unwrap()
            .recv_timeout(Duration::from_secs(20));
        told.expect("nothing went on meanwhile");
        Decision::wait(TICKED)
    }
}

#[test]
fn while_a_decision_is_made_everything_else_goes_on() {
    let of_loops = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let others = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (began, has_begun) = mpsc::channel();
    let (tell, go_on) = mpsc::channel();
    let long = Long {
        began: Mutex::new(began),
        go_on: Mutex::new(go_on),
    };
    others.block_on(async {
        let store = Arc::new(MemoryStore::new());
        let threads = Some(of_loops.handle().clone());
        let mut led = Led::with(store.clone(), long, FeederConfig::default(), threads);
        while has_begun.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // While it decides, a write is made and seen.
        let key = Keys::default().encode(&Key::Leader("other".to_owned()));
        let value = encode(&Leadership {
            server: "two".to_owned(),
        });
        let txn = Txn {
            then: vec![Op::put(key, value.unwrap())],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        led.until(|state| state.leader("other").is_some()).await;
        tell.send(()).unwrap();
        led.end().await;
    });
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
