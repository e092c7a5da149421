//! What every form of [`Store`] promises, as checks that run against any of them.
//!
//! Each check keeps to a prefix of its own and counts revisions from where it finds the store, so one store serves all
//! of them, one after the other. A check panics with what was broken.

#![allow(
    clippy::unwrap_used,
    reason = "a check is a test: it ends at the first thing broken"
)]

mod compaction;
mod kv;
mod lease;
mod txn;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use rove_model::ids::Revision;

use crate::store::{
    Event, KeyRange, KeyValue, LeaseId, Op, RangeRequest, RangeResponse, Store, StoreError, Txn,
    TxnResponse, WatchEvent, WatchRequest, WatchStream,
};

/// How long a check waits for what must come: longer than a busy disk takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// A store under test, and the prefix to keep to.
#[derive(Clone)]
pub struct Subject {
    store: Arc<dyn Store>,
    prefix: String,
}

/// One promise.
#[derive(Clone, Copy)]
pub struct Check {
    /// The promise in words.
    pub name: &'static str,
    run: fn(Subject) -> LocalBoxFuture<'static, ()>,
}

macro_rules! checks {
    ($($module:ident :: $name:ident,)*) => {
        /// All checks.
        pub const CHECKS: &[Check] = &[
            $(Check { name: stringify!($name), run: |subject| $module::$name(subject).boxed_local() },)*
        ];
    };
}

checks! {
    kv::a_put_key_is_read_with_all_its_revisions,
    kv::a_range_is_ordered_limited_and_counted,
    kv::a_range_of_an_empty_span_finds_nothing,
    kv::an_older_revision_is_read_as_it_was,
    kv::a_revision_not_reached_is_refused,
    kv::a_delete_gives_what_was_there_and_of_nothing_raises_no_revision,
    kv::a_key_made_again_begins_at_version_one,
    kv::an_empty_key_is_refused,
    kv::values_of_every_size_and_byte_come_back,
    txn::compares_hold_as_etcds,
    txn::compares_over_a_range_must_hold_for_every_key,
    txn::the_other_branch_is_done_when_a_compare_fails,
    txn::a_transaction_is_one_revision_and_reads_its_own_writes,
    txn::a_transaction_that_only_reads_raises_no_revision,
    txn::what_breaks_a_limit_is_refused_and_leaves_no_trace,
    txn::racing_compare_and_swap_loses_no_increment,
    watch::a_watch_from_now_sees_what_comes_and_only_its_keys,
    watch::a_watch_from_the_past_misses_nothing,
    watch::a_transaction_is_seen_in_one_piece,
    watch::a_watch_that_starts_ahead_waits,
    watch::a_watch_that_reads_late_gets_everything_in_order,
    watch::a_dropped_watch_leaves_the_others,
    watch::a_watch_over_an_empty_span_is_refused,
    lease::a_lease_is_granted_renewed_listed_and_revoked_with_its_keys,
    lease::a_lease_that_is_not_renewed_takes_its_keys_along,
    lease::an_unknown_lease_is_refused_and_leaves_no_trace,
    lease::a_key_written_anew_leaves_its_lease,
    lease::a_lease_id_is_given_once,
    compaction::what_was_compacted_away_is_refused_and_the_newest_stays,
    compaction::a_live_watch_outlives_compaction,
    compaction::a_watch_from_before_compaction_is_told_or_served_in_full,
    compaction::a_status_tells_the_revision,
}

/// Runs all checks, one after the other.
///
/// # Panics
/// At the first promise that is broken.
pub async fn run_all(store: Arc<dyn Store>) {
    for (number, check) in CHECKS.iter().enumerate() {
        let subject = Subject {
            store: Arc::clone(&store),
            prefix: format!("/rove/conformance-{number:02}/"),
        };
        println!("conformance: {}", check.name);
        (check.run)(subject).await;
    }
}

impl Subject {
    fn key(&self, name: &str) -> Bytes {
        format!("{}{name}", self.prefix).into()
    }

    fn all(&self) -> KeyRange {
        KeyRange::prefix(self.prefix.clone())
    }

    async fn revision(&self) -> Revision {
        self.store
            .range(RangeRequest::new(self.all()))
            .await
            .unwrap()
            .revision
    }

    async fn txn(&self, then: Vec<Op>) -> TxnResponse {
        self.store
            .txn(Txn {
                then,
                ..Txn::default()
            })
            .await
            .unwrap()
    }

    async fn put(&self, name: &str, value: &str) -> Revision {
        self.txn(vec![Op::put(self.key(name), value.to_owned())])
            .await
            .revision
    }

    async fn put_on(&self, name: &str, lease: LeaseId) -> Revision {
        self.txn(vec![Op::Put {
            key: self.key(name),
            value: "leased".into(),
            lease: Some(lease),
        }])
        .await
        .revision
    }

    async fn delete(&self, name: &str) -> Revision {
        self.txn(vec![Op::delete(self.key(name))]).await.revision
    }

    async fn get(&self, name: &str) -> Option<KeyValue> {
        self.read(RangeRequest::new(KeyRange::Key(self.key(name))))
            .await
            .kvs
            .pop()
    }

    async fn read(&self, request: RangeRequest) -> RangeResponse {
        self.store.range(request).await.unwrap()
    }

    async fn watch(&self, start: Option<Revision>) -> Watching {
        let stream = self
            .store
            .watch(WatchRequest {
                keys: self.all(),
                start,
            })
            .await
            .unwrap();
        Watching { stream, last: 0 }
    }

    /// The names and values under the prefix.
    async fn content(&self) -> Vec<(String, String)> {
        let kvs = self.read(RangeRequest::new(self.all())).await.kvs;
        kvs.iter()
            .map(|kv| {
                let key = String::from_utf8(kv.key.to_vec()).unwrap();
                let value = String::from_utf8(kv.value.to_vec()).unwrap();
                (key[self.prefix.len()..].to_owned(), value)
            })
            .collect()
    }
}

/// A watch whose deliveries are checked: revisions rise, and none is in two batches.
struct Watching {
    stream: WatchStream,
    last: Revision,
}

impl Watching {
    /// The next batch, or the error the watch ends with.
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            let item = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("the watch delivers in time")
                .expect("the watch goes on");
            match item? {
                WatchEvent::Progress { .. } => {}
                WatchEvent::Batch { revision, events } => {
                    let first = events.first().expect("no empty batch").revision();
                    assert!(
                        first > self.last,
                        "revision {first} after {} was delivered",
                        self.last
                    );
                    assert!(events.is_sorted_by_key(Event::revision));
                    assert_eq!(events.last().unwrap().revision(), revision);
                    self.last = revision;
                    return Ok(events);
                }
            }
        }
    }

    /// Events until `count` are there.
    async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().await.unwrap());
        }
        assert_eq!(events.len(), count, "no more events than were made");
        events
    }
}

/// Tries until `condition` gives something.
async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: never");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
