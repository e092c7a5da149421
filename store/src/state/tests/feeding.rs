//! The feeder against a scripted store.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::{
    ids::{JobKey, Revision},
    server::Leadership,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    script::{Calls, ScriptStore},
    taking_in::registration,
};
use crate::{
    keys::{Key, Keys, Table},
    state::{FeedItem, FeederConfig, State, StateFeeder, StateHandle, Stopped},
    store::StoreError,
};

pub(super) struct Fed {
    pub(super) store: Arc<ScriptStore>,
    pub(super) handle: StateHandle,
    pub(super) cancel: CancellationToken,
    task: JoinHandle<()>,
}

fn job(name: &str) -> Key {
    Key::Registration(JobKey::new("default", name))
}

fn has(state: &State, name: &str) -> bool {
    state.registration(&JobKey::new("default", name)).is_some()
}

fn start_with(store: Arc<ScriptStore>, feed_capacity: usize) -> Fed {
    let config = FeederConfig {
        feed_capacity,
        seed: 1,
        ..FeederConfig::default()
    };
    let (feeder, handle) = StateFeeder::new(store.clone(), Keys::default(), config);
    let cancel = CancellationToken::new();
    let task = tokio::spawn(feeder.run(cancel.clone()));
    Fed {
        store,
        handle,
        cancel,
        task,
    }
}

pub(super) fn start(store: Arc<ScriptStore>) -> Fed {
    start_with(store, 64)
}

impl Fed {
    fn put(&self, name: &str) -> Revision {
        self.store.put(&job(name), &registration(0))
    }

    pub(super) async fn at(&self, revision: Revision) -> Arc<State> {
        tokio::time::timeout(Duration::from_secs(600), self.handle.wait_for(revision))
            .await
            .expect("the state does not get there")
            .unwrap()
    }

    async fn until(&mut self, what: &str, reached: impl Fn(&State) -> bool) -> Arc<State> {
        let waits = async {
            loop {
                let state = self.handle.latest();
                if reached(&state) {
                    return state;
                }
                self.handle.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(600), waits)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Lets the feeder come to rest without time going by.
    pub(super) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_and_then_events_are_seen() {
    let store = ScriptStore::new();
    store.put(&job("before"), &registration(0));
    let fed = start(store);
    assert_eq!(fed.handle.latest().revision(), 0);
    let state = fed.handle.ready().await.unwrap();
    assert_eq!(state.revision(), 2);
    assert!(has(&state, "before"));
    fed.settle().await;
    let mut feed = fed.handle.subscribe();
    let at = fed.put("after");
    assert!(has(&*fed.at(at).await, "after"));
    let FeedItem::Change(change) = feed.next().await.unwrap() else {
        panic!("told to look at everything");
    };
    assert_eq!((change.revision, &*change.keys), (at, &[job("after")][..]));
    assert!(!has(&state, "after"), "a state that was handed out stays");

    fed.cancel.cancel();
    fed.task.await.unwrap();
    assert_eq!(fed.handle.wait_for(99).await.unwrap_err(), Stopped);
    assert_eq!(feed.next().await.unwrap_err(), Stopped);
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_is_ready_too() {
    let fed = start(ScriptStore::new());
    assert_eq!(fed.handle.ready().await.unwrap().revision(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_keys_are_read_in_pages_at_one_revision() {
    let store = ScriptStore::new();
    for number in 0..1_700 {
        store.put(&job(&format!("job{number:04}")), &registration(0));
    }
    let fed = start(store);
    let state = fed.handle.ready().await.unwrap();
    assert_eq!(state.registrations().count(), 1_700);
    assert_eq!(state.revision(), 1_701);
    assert!(fed.store.calls().pages > 17);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_asked_again() {
    let store = ScriptStore::new();
    store.put(&job("a"), &registration(0));
    store.fail_ranges(7);
    let fed = start(store);
    assert!(has(&*fed.at(2).await, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_compacted_away_under_it_begins_again() {
    let store = ScriptStore::new();
    for number in 0..600 {
        store.put(&job(&format!("job{number}")), &registration(0));
    }
    store.fail_ranges(1);
    let mut fed = start(store);
    // It stands before its pages, and then their revision is gone.
    fed.settle().await;
    fed.put("later");
    fed.store.compact();
    let state = fed
        .until("the newest revision", |state| has(state, "later"))
        .await;
    assert_eq!(state.registrations().count(), 601);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_resumes_where_it_was_without_a_list() {
    let store = ScriptStore::new();
    store.put(&job("gone"), &registration(0));
    let fed = start(store);
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    let before = fed.store.calls();
    fed.store
        .break_watches(&StoreError::Unavailable("cable".to_owned()));
    fed.put("missed");
    let at = fed.store.delete(&job("gone"));
    let state = fed.at(at).await;
    assert!(has(&state, "missed"));
    assert!(!has(&state, "gone"));
    assert_eq!(
        fed.store.calls(),
        Calls {
            watches: before.watches + 1,
            ..before
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_compacted_away_lists_again_without_losing_a_delete() {
    let store = ScriptStore::new();
    store.put(&job("stays"), &registration(0));
    store.put(&job("gone"), &registration(0));
    store.put(&job("changed"), &registration(0));
    let fed = start(store);
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    let mut feed = fed.handle.subscribe();
    fed.store
        .break_watches(&StoreError::Unavailable("cable".to_owned()));
    fed.store.delete(&job("gone"));
    fed.store.put(&job("changed"), &registration(1));
    let at = fed.put("new");
    fed.store.compact();

    let state = fed.at(at).await;
    assert_eq!(state.registrations().count(), 3);
    assert!(!has(&state, "gone"));
    assert_eq!(state.table_index(Table::Registrations), at);
    let FeedItem::Change(change) = feed.next().await.unwrap() else {
        panic!("told to look at everything");
    };
    assert_eq!(change.keys, [job("changed"), job("gone"), job("new")]);
    assert_eq!(change.revision, at);
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_error_is_compaction_lists_again() {
    let mut fed = start(ScriptStore::new());
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    fed.store.deafen_watches();
    fed.put("missed");
    fed.store.break_watches(&StoreError::Compacted {
        requested: 2,
        oldest: 9,
    });
    fed.until("the missed write", |state| has(state, "missed"))
        .await;
    assert_eq!(fed.store.calls().counts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_died_silently_is_noticed_and_opened_again() {
    let fed = start(ScriptStore::new());
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    fed.store.deafen_watches();
    let at = fed.put("unheard");
    assert!(has(&*fed.at(at).await, "unheard"));
    assert_eq!(fed.store.calls().counts, 1, "nothing was listed for it");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_store_is_left_alone() {
    let fed = start(ScriptStore::new());
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(fed.store.calls().watches, 1);
    fed.store.write_elsewhere();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(fed.store.calls().watches > 1);
    assert_eq!(fed.store.open_watches(), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_moves_the_revision_on_and_never_back() {
    let fed = start(ScriptStore::new());
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    fed.store.progress(40);
    assert_eq!(fed.at(40).await.revision(), 40);
    fed.store.progress(30);
    fed.settle().await;
    assert_eq!(fed.handle.latest().revision(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_restored_store_is_read_anew() {
    let store = ScriptStore::new();
    let copied = store.put(&job("old"), &registration(0));
    let mut fed = start(store);
    let at = fed.put("lost in the restore");
    fed.at(at).await;
    fed.settle().await;
    let mut feed = fed.handle.subscribe();
    fed.store.restore(copied);
    let state = fed
        .until("the older revision", |state| state.revision() == copied)
        .await;
    assert!(!has(&state, "lost in the restore"));
    assert_eq!(feed.next().await.unwrap(), FeedItem::LookAtEverything);
}

#[tokio::test(start_paused = true)]
async fn a_restored_store_that_has_gone_on_past_what_was_seen_is_noticed_too() {
    let store = ScriptStore::new();
    let copied = store.put(&job("old"), &registration(0));
    let mut fed = start(store);
    let at = fed.put("lost in the restore");
    fed.at(at).await;
    fed.settle().await;
    fed.store.restore(copied);
    for number in 0..5 {
        fed.put(&format!("new{number}"));
    }
    let state = fed
        .until("the other history", |state| has(state, "new4"))
        .await;
    assert!(!has(&state, "lost in the restore"));
    assert!(has(&state, "new0"), "and nothing of it is missing");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_told_so_and_finds_what_it_missed() {
    let fed = start_with(ScriptStore::new(), 2);
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    let mut feed = fed.handle.subscribe();
    let known = fed.handle.latest();
    let jobs: Vec<Key> = (0..10).map(|number| job(&format!("job{number}"))).collect();
    for number in 0..10 {
        let at = fed.put(&format!("job{number}"));
        fed.at(at).await;
    }
    assert_eq!(feed.next().await.unwrap(), FeedItem::Missed);
    assert_eq!(fed.handle.latest().changed_since(&known), jobs);
    let at = fed.put("last");
    fed.at(at).await;
    let FeedItem::Change(change) = feed.next().await.unwrap() else {
        panic!("told twice");
    };
    assert_eq!(change.keys, [job("last")]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_a_restore_is_told_to_look_at_everything() {
    let store = ScriptStore::new();
    let copied = store.put(&job("old"), &registration(0));
    let mut fed = start_with(store, 2);
    let at = fed.put("lost in the restore");
    fed.at(at).await;
    fed.settle().await;
    let mut feed = fed.handle.subscribe();
    fed.store.restore(copied);
    fed.until("the older revision", |state| state.revision() == copied)
        .await;
    for number in 0..10 {
        let at = fed.put(&format!("job{number}"));
        fed.at(at).await;
    }
    assert_eq!(feed.next().await.unwrap(), FeedItem::LookAtEverything);
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_before_a_server_began_does_not_keep_who_comes_from_another_waiting() {
    let store = ScriptStore::new();
    store.put(&job("gone"), &registration(0));
    let one = start(store.clone());
    let known = one.handle.ready().await.unwrap();
    let known = known.table_index(Table::Registrations);
    let removed = store.delete(&job("gone"));
    let other = start(store);
    let state = other.at(removed).await;
    assert!(!has(&state, "gone"));
    assert!(state.table_index(Table::Registrations) > known);
}

#[tokio::test(start_paused = true)]
async fn an_index_is_never_0_and_the_first_write_is_newer_than_any() {
    let keys = Keys::default();
    assert!(State::new(keys).table_index(Table::Registrations) > 0);
    let fed = start(ScriptStore::new());
    let state = fed.handle.ready().await.unwrap();
    let at = fed.put("first");
    for &table in Table::ALL {
        let index = state.table_index(table);
        assert!(0 < index && index < at, "{table:?}: {index}");
        assert_eq!(state.newest_of(&[table]), index);
    }
    assert!(state.newest_of(&[]) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_read_stops_nothing() {
    let store = ScriptStore::new();
    store.put_bytes(Keys::default().encode(&job("broken")), "{");
    store.put_bytes(Bytes::from_static(b"/rove/colours/red"), "?");
    let fed = start(store);
    let state = fed.handle.ready().await.unwrap();
    assert_eq!(state.unreadable().count(), 1);
    let at = fed.store.put(
        &Key::Leader("job".to_owned()),
        &Leadership {
            server: "s1".to_owned(),
        },
    );
    let state = fed.at(at).await;
    let held = state.leader("job").unwrap();
    assert_eq!((held.create, &*held.server), (at, "s1"));
}
