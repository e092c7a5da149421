#![allow(clippy::unwrap_used)]

use tokio::task::JoinSet;

use std::sync::atomic::Ordering;

use tokio::time::sleep;

use super::*;
use crate::faults::{Faults, FaultyStore};
use crate::frontend::budget::CONNECTION_BYTES;
use crate::keys::Keys;
use crate::memory::MemoryStore;
use crate::store::{Op, Txn};
use crate::wrapped::Wrapped;

/// A hub being fed from a store; it ends with the test.
struct Fed {
    hub: Arc<Hub>,
    _task: JoinSet<()>,
}

fn fed(store: Arc<dyn Store>, ring_events: usize) -> Fed {
    let mut config = FrontendConfig::new(Keys::default());
    config.ring_events = ring_events;
    let hub = Arc::new(Hub::new(store, &Access::new(&config), &config));
    let mut task = JoinSet::new();
    task.spawn({
        let hub = Arc::clone(&hub);
        async move { hub.run(&CancellationToken::new()).await }
    });
    Fed { hub, _task: task }
}

struct Reader {
    outlet: Outlet,
    queue: mpsc::Receiver<Delivery>,
    backlog: Backlog,
    _registration: Registration,
}

impl Reader {
    /// Events until `count` are there.
    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(batch) = self.backlog.next_batch().unwrap() {
            events.extend(batch);
        }
        while events.len() < count {
            match self.queue.recv().await.unwrap() {
                Delivery::Events { events: more, .. } => events.extend(more),
                Delivery::Progress(_) | Delivery::Notify(_) => {}
            }
        }
        events
            .iter()
            .map(|event| {
                let key = String::from_utf8_lossy(event.key()).into_owned();
                format!("{key}@{}", event.revision())
            })
            .collect()
    }

    async fn lost(&self) -> Loss {
        loop {
            if let Some(loss) = self.outlet.lost.lock().unwrap().get(&7) {
                return *loss;
            }
            self.outlet.wake.notified().await;
        }
    }
}

async fn watch(hub: &Hub, keys: KeyRange, start: Revision, room: usize) -> Option<Reader> {
    let (sender, queue) = mpsc::channel(room);
    let outlet = Outlet {
        budget: Budget::default(),
        queue: sender,
        lost: Arc::default(),
        wake: Arc::default(),
    };
    match hub.register(7, vec![keys], start, &outlet).await {
        Ok((registration, backlog)) => Some(Reader {
            outlet,
            queue,
            backlog,
            _registration: registration,
        }),
        Err(Refusal::Compacted(_)) => None,
        Err(Refusal::Status(status)) => panic!("{status}"),
    }
}

async fn put(store: &dyn Store, keys: &[&str]) -> Revision {
    let txn = Txn {
        then: keys
            .iter()
            .map(|&key| Op::put(key.to_owned(), "x"))
            .collect(),
        ..Txn::default()
    };
    store.txn(txn).await.unwrap().revision
}

/// Waits until the hub has been handed `revision`.
async fn reached(hub: &Hub, revision: Revision) {
    while hub.head() < revision {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn watchers_are_kept_where_their_events_are_looked_up() {
    let prefix = "/rove/".len();
    let span =
        |start: &str, end: &str| KeyRange::Span(start.to_owned().into(), end.to_owned().into());
    let rows = [
        (
            KeyRange::prefix("/rove/allocs/n1/"),
            Some("/rove/allocs/n1/"),
        ),
        (
            KeyRange::prefix("/rove/allocs/n1/a"),
            Some("/rove/allocs/n1/"),
        ),
        (KeyRange::prefix("/rove/allocs/"), Some("/rove/allocs/")),
        (KeyRange::prefix("/rove/allocs/n"), Some("/rove/allocs/")),
        (
            KeyRange::Key("/rove/nodes/n1".into()),
            Some("/rove/nodes/n1"),
        ),
        (KeyRange::prefix("/rove/"), None),
        (KeyRange::prefix("/rove/al"), None),
        (span("/rove/allocs/n1/", "/rove/evals/"), None),
        (KeyRange::From("/rove/allocs/n1/".into()), None),
    ];
    for (keys, expected) in rows {
        let expected = expected.map(Bytes::from);
        assert_eq!(bucket(&keys, prefix), expected, "{keys:?}");
    }
    let [table, second] = segments(&"/rove/allocs/n1/a1".into(), prefix);
    assert_eq!(table, Some("/rove/allocs/".into()));
    assert_eq!(second, Some("/rove/allocs/n1/".into()));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_its_keys_once_wherever_it_is_kept() {
    let store = Arc::new(MemoryStore::new());
    let fed = fed(store.clone(), 1_000);
    let rows: [(KeyRange, &[&str]); 6] = [
        (
            KeyRange::prefix("/rove/"),
            &[
                "/rove/nodes/a@2",
                "/rove/allocs/a/1@2",
                "/rove/allocs/b/2@3",
                "/rove/nodes/a/x@3",
            ],
        ),
        (KeyRange::prefix("/rove/allocs/a/"), &["/rove/allocs/a/1@2"]),
        (
            KeyRange::prefix("/rove/allocs/"),
            &["/rove/allocs/a/1@2", "/rove/allocs/b/2@3"],
        ),
        (KeyRange::Key("/rove/nodes/a".into()), &["/rove/nodes/a@2"]),
        (
            KeyRange::Key("/rove/allocs/a/1".into()),
            &["/rove/allocs/a/1@2"],
        ),
        (
            KeyRange::prefix("/rove/nodes/"),
            &["/rove/nodes/a@2", "/rove/nodes/a/x@3"],
        ),
    ];
    let mut readers = Vec::new();
    for (keys, _) in &rows {
        readers.push(watch(&fed.hub, keys.clone(), 2, 16).await.unwrap());
    }
    put(&*store, &["/rove/nodes/a", "/rove/allocs/a/1"]).await;
    let last = put(&*store, &["/rove/allocs/b/2", "/rove/nodes/a/x"]).await;
    reached(&fed.hub, last).await;
    for (mut live, (keys, expected)) in readers.into_iter().zip(rows) {
        assert_eq!(live.take(expected.len()).await, expected, "{keys:?}");
        assert!(live.queue.try_recv().is_err(), "{keys:?}: once");
        let mut late = watch(&fed.hub, keys.clone(), 2, 16).await.unwrap();
        assert_eq!(late.take(expected.len()).await, expected, "{keys:?}, late");
    }
    let state = lock(&fed.hub.state);
    assert!(state.watchers.is_empty() && state.buckets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_older_than_the_ring_is_refused_and_one_ahead_waits() {
    let store = Arc::new(MemoryStore::new());
    let fed = fed(store.clone(), 10);
    let evals = KeyRange::prefix("/rove/evals/");
    for _ in 0..30 {
        put(&*store, &["/rove/evals/a"]).await;
        reached(&fed.hub, store.status().await.unwrap().revision).await;
    }
    assert!(watch(&fed.hub, evals.clone(), 21, 16).await.is_none());
    let mut oldest = watch(&fed.hub, evals.clone(), 22, 16).await.unwrap();
    assert_eq!(oldest.take(10).await[0], "/rove/evals/a@22");
    let mut ahead = watch(&fed.hub, evals, 33, 16).await.unwrap();
    put(&*store, &["/rove/evals/a"]).await;
    put(&*store, &["/rove/evals/a"]).await;
    assert_eq!(ahead.take(1).await, ["/rove/evals/a@33"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_too_slow_is_lost_and_holds_up_nobody() {
    let store = Arc::new(MemoryStore::new());
    let fed = fed(store.clone(), 1_000);
    let all = KeyRange::prefix("/rove/");
    let slow = watch(&fed.hub, all.clone(), 2, 3).await.unwrap();
    let mut quick = watch(&fed.hub, all, 2, 64).await.unwrap();
    for _ in 0..20 {
        let at = put(&*store, &["/rove/evals/a"]).await;
        reached(&fed.hub, at).await;
    }
    assert_eq!(quick.take(20).await.len(), 20);
    assert!(matches!(slow.lost().await, Loss::Compacted(_)));
    assert_eq!(lock(&fed.hub.state).watchers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_one_connection_is_bounded_in_bytes_and_given_back() {
    let store = Arc::new(MemoryStore::new());
    let fed = fed(store.clone(), 1_000);
    let mut reader = watch(&fed.hub, KeyRange::prefix("/rove/"), 2, 256)
        .await
        .unwrap();
    let budget = reader.outlet.budget.clone();
    let put = async || {
        let txn = Txn {
            then: vec![Op::put("/rove/jobs/a", vec![1; 1_000 << 10])],
            ..Txn::default()
        };
        let at = store.txn(txn).await.unwrap().revision;
        reached(&fed.hub, at).await;
    };
    for _ in 0..10 {
        put().await;
    }
    assert_eq!(reader.take(10).await.len(), 10);
    assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    for _ in 0..20 {
        put().await;
    }
    reader.lost().await;
    assert!(budget.0.load(Ordering::Relaxed) <= CONNECTION_BYTES);
    drop(reader);
    assert_eq!(budget.0.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_with_what_was_before_keeps_nothing_of_it_alive() {
    let store = Arc::new(MemoryStore::new());
    let fed = fed(store.clone(), 10);
    for _ in 0..10 {
        let at = put(&*store, &["/rove/evals/a"]).await;
        reached(&fed.hub, at).await;
    }
    let all = KeyRange::prefix("/rove/");
    let mut reader = watch(&fed.hub, all.clone(), 2, 64).await.unwrap();
    let mut same = watch(&fed.hub, all, 2, 64).await.unwrap();
    assert_eq!(same.take(10).await.len(), 10);
    let held = {
        let state = lock(&fed.hub.state);
        Arc::downgrade(&state.ring.since(2).next().unwrap().events)
    };
    for _ in 0..20 {
        let at = put(&*store, &["/rove/evals/a"]).await;
        reached(&fed.hub, at).await;
        let at = store.status().await.unwrap().revision;
        store.compact(at).await.unwrap();
    }
    assert_eq!(
        held.strong_count(),
        0,
        "the ring went on, and so nobody has it"
    );
    assert_eq!(reader.backlog.next_batch(), Err(Overtaken(22)));
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_below_goes_unnoticed_above() {
    let memory = Arc::new(MemoryStore::new());
    let faults = Faults {
        broken_watch: 0.3,
        unavailable: 0.3,
        ..Faults::default()
    };
    let faulty = FaultyStore::new(Arc::clone(&memory), 11, faults);
    let fed = fed(Arc::new(faulty.clone()), 1_000);
    let mut reader = watch(&fed.hub, KeyRange::prefix("/rove/"), 2, 256)
        .await
        .unwrap();
    for _ in 0..100 {
        let at = put(&*memory, &["/rove/evals/a"]).await;
        reached(&fed.hub, at).await;
    }
    let seen = reader.take(100).await;
    let expected: Vec<_> = (2..102).map(|at| format!("/rove/evals/a@{at}")).collect();
    assert_eq!(seen, expected);
    let counts = faulty.counts();
    assert!(
        counts.broken_watch > 10 && counts.unavailable > 5,
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_below_that_was_compacted_loses_every_watcher() {
    let memory = Arc::new(MemoryStore::new());
    let faulty = FaultyStore::new(Arc::clone(&memory), 11, Faults::default());
    let fed = fed(Arc::new(faulty.clone()), 1_000);
    let reader = watch(&fed.hub, KeyRange::prefix("/rove/"), 2, 16)
        .await
        .unwrap();
    faulty.set_faults(Faults {
        compacted_watch: 1.0,
        ..Faults::default()
    });
    let at = put(&*memory, &["/rove/evals/a"]).await;
    reader.lost().await;
    faulty.set_faults(Faults::default());
    reached(&fed.hub, at).await;
    assert!(
        watch(&fed.hub, KeyRange::prefix("/rove/"), at + 1, 16)
            .await
            .is_some()
    );
}

/// A store that can be put back to an older state: the one or the other of two.
struct Restorable {
    now: std::sync::Mutex<Arc<FaultyStore<MemoryStore>>>,
}

impl Restorable {
    fn get(&self) -> Arc<FaultyStore<MemoryStore>> {
        Arc::clone(&self.now.lock().unwrap())
    }
}

impl Wrapped for Restorable {
    fn inner(&self) -> Arc<dyn Store> {
        self.get()
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_store_loses_every_watcher_and_is_served_from_where_it_is() {
    let faulty = || {
        Arc::new(FaultyStore::new(
            Arc::new(MemoryStore::new()),
            1,
            Faults::default(),
        ))
    };
    let (before, after) = (faulty(), faulty());
    let store = Arc::new(Restorable {
        now: std::sync::Mutex::new(Arc::clone(&before)),
    });
    let fed = fed(store.clone(), 1_000);
    for _ in 0..10 {
        put(&*store, &["/rove/evals/a"]).await;
    }
    reached(&fed.hub, 11).await;
    let reader = watch(&fed.hub, KeyRange::prefix("/rove/"), 12, 16)
        .await
        .unwrap();
    *store.now.lock().unwrap() = after;
    before.set_faults(Faults {
        broken_watch: 1.0,
        ..Faults::default()
    });
    put(before.inner().as_ref(), &["/rove/evals/a"]).await;
    reader.lost().await;
    let at = put(&*store, &["/rove/evals/b"]).await;
    let mut anew = watch(&fed.hub, KeyRange::prefix("/rove/"), at, 16)
        .await
        .unwrap();
    assert_eq!(anew.take(1).await, ["/rove/evals/b@2"]);
}

#[tokio::test(start_paused = true)]
async fn watchers_are_sent_away_while_the_store_does_not_answer_and_served_again_after() {
    let memory = Arc::new(MemoryStore::new());
    let faulty = FaultyStore::new(Arc::clone(&memory), 11, Faults::default());
    let fed = fed(Arc::new(faulty.clone()), 1_000);
    let all = KeyRange::prefix("/rove/");
    let reader = watch(&fed.hub, all.clone(), 2, 16).await.unwrap();
    // A store that answers and has nothing to say is alive.
    sleep(PATIENCE * 10).await;
    assert!(reader.outlet.lost.lock().unwrap().is_empty());
    faulty.set_faults(Faults {
        unavailable: 1.0,
        broken_watch: 1.0,
        ..Faults::default()
    });
    let began = Instant::now();
    assert_eq!(reader.lost().await, Loss::Unavailable);
    assert!(began.elapsed() <= PATIENCE + SILENCE * 2, "{began:?}");
    let refused = fed.hub.register(8, vec![all.clone()], 2, &reader.outlet);
    assert!(matches!(refused.await, Err(Refusal::Status(_))));
    faulty.set_faults(Faults::default());
    let at = put(&*memory, &["/rove/evals/a"]).await;
    reached(&fed.hub, at).await;
    let mut again = watch(&fed.hub, all, 2, 16).await.unwrap();
    assert_eq!(again.take(1).await, ["/rove/evals/a@2"]);
}

/// A store whose watches fall silent, while it goes on answering.
struct Silent {
    store: Arc<MemoryStore>,
    mute: Arc<std::sync::atomic::AtomicBool>,
    opened: std::sync::atomic::AtomicU32,
}

#[async_trait::async_trait]
impl Wrapped for Silent {
    fn inner(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        let mute = Arc::clone(&self.mute);
        // One looks for the begin, one follows.
        let first = self
            .opened
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            < 2;
        let stream = self.store.watch(request).await?;
        Ok(stream
            .then(move |item| {
                let mute = first && mute.load(std::sync::atomic::Ordering::Relaxed);
                async move {
                    if mute {
                        std::future::pending::<()>().await;
                    }
                    item
                }
            })
            .boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_below_that_is_stuck_in_silence_is_replaced_and_nothing_is_missed() {
    let store = Arc::new(Silent {
        store: Arc::new(MemoryStore::new()),
        mute: Arc::default(),
        opened: 0.into(),
    });
    let fed = fed(store.clone(), 1_000);
    let mut reader = watch(&fed.hub, KeyRange::prefix("/rove/"), 2, 16)
        .await
        .unwrap();
    put(&*store, &["/rove/evals/a"]).await;
    assert_eq!(reader.take(1).await, ["/rove/evals/a@2"]);
    store.mute.store(true, std::sync::atomic::Ordering::Relaxed);
    put(&*store, &["/rove/evals/b"]).await;
    put(&*store, &["/rove/evals/c"]).await;
    assert_eq!(reader.take(2).await, ["/rove/evals/b@3", "/rove/evals/c@4"]);
    // Writes of others in the store are no reason to open one watch after the other.
    let opened = || store.opened.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(opened(), 3);
    put(&*store, &["/another/a"]).await;
    sleep(SILENCE * 100).await;
    assert!((4..=12).contains(&opened()), "{}", opened());
}
