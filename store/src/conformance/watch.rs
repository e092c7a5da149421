//! Watches.

use futures::StreamExt;

use super::{Subject, eventually};
use crate::store::{Event, KeyRange, KeyValue, Op, StoreError, WatchRequest};

fn shown(subject: &Subject, events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let name = String::from_utf8_lossy(&event.key()[subject.prefix.len()..]).into_owned();
            match event {
                Event::Put(kv) => format!("{name}={}", String::from_utf8_lossy(&kv.value)),
                Event::Delete { .. } => format!("{name} gone"),
            }
        })
        .collect()
}

pub(super) async fn a_watch_from_now_sees_what_comes_and_only_its_keys(subject: Subject) {
    subject.put("before", "1").await;
    let mut all = subject.watch(None).await;
    let mut one = super::Watching {
        stream: subject
            .store
            .watch(WatchRequest {
                keys: KeyRange::Key(subject.key("a")),
                start: None,
            })
            .await
            .unwrap(),
        last: 0,
    };
    let first = subject.put("a", "1").await;
    subject.put("ab", "2").await;
    let second = subject.put("a", "3").await;
    subject.delete("a").await;
    subject.delete("a").await;
    subject.put("end", "4").await;
    let events = all.take(5).await;
    assert_eq!(
        shown(&subject, &events),
        ["a=1", "ab=2", "a=3", "a gone", "end=4"]
    );
    let expected = KeyValue {
        key: subject.key("a"),
        value: "3".into(),
        create_revision: first,
        mod_revision: second,
        version: 2,
        lease: None,
    };
    assert_eq!(events[2], Event::Put(expected));
    assert_eq!(
        events[3],
        Event::Delete {
            key: subject.key("a"),
            mod_revision: second + 1
        }
    );
    let events = one.take(3).await;
    assert_eq!(shown(&subject, &events), ["a=1", "a=3", "a gone"]);
}

pub(super) async fn a_watch_from_the_past_misses_nothing(subject: Subject) {
    let first = subject.put("a", "1").await;
    subject.put("b", "2").await;
    subject.delete("a").await;
    let mut watch = subject.watch(Some(first)).await;
    assert_eq!(
        shown(&subject, &watch.take(3).await),
        ["a=1", "b=2", "a gone"]
    );
    subject.put("c", "3").await;
    assert_eq!(shown(&subject, &watch.take(1).await), ["c=3"]);
    let mut late = subject.watch(Some(first + 1)).await;
    assert_eq!(
        shown(&subject, &late.take(3).await),
        ["b=2", "a gone", "c=3"]
    );
}

pub(super) async fn a_transaction_is_seen_in_one_piece(subject: Subject) {
    let start = subject.put("b", "0").await + 1;
    let mut live = subject.watch(Some(start)).await;
    let revision = subject
        .txn(vec![
            Op::put(subject.key("c"), "1"),
            Op::delete(subject.key("b")),
            Op::put(subject.key("a"), "2"),
        ])
        .await
        .revision;
    let mut late = subject.watch(Some(start)).await;
    for watch in [&mut live, &mut late] {
        let events = watch.next().await.unwrap();
        assert_eq!(shown(&subject, &events), ["c=1", "b gone", "a=2"]);
        assert!(events.iter().all(|event| event.revision() == revision));
    }
}

pub(super) async fn a_watch_that_starts_ahead_waits(subject: Subject) {
    let now = subject.put("a", "1").await;
    let mut watch = subject.watch(Some(now + 3)).await;
    subject.put("a", "2").await;
    subject.put("a", "3").await;
    let third = subject.put("a", "4").await;
    let events = watch.next().await.unwrap();
    assert_eq!(shown(&subject, &events), ["a=4"]);
    assert_eq!(events[0].revision(), third);
}

pub(super) async fn a_watch_that_reads_late_gets_everything_in_order(subject: Subject) {
    // More than etcd puts into one of its catch-up batches; written many at a time, so in any order.
    const REVISIONS: usize = 1_500;
    const AT_A_TIME: usize = 50;
    let start = subject.revision().await + 1;
    let mut watch = subject.watch(Some(start)).await;
    let write = |number: usize| {
        subject.txn(vec![
            Op::put(subject.key("a"), number.to_string()),
            Op::put(subject.key(&format!("b/{number}")), "x"),
        ])
    };
    futures::stream::iter((0..REVISIONS).map(write))
        .buffer_unordered(AT_A_TIME)
        .for_each(|_| std::future::ready(()))
        .await;
    let mut again = subject.watch(Some(start)).await;
    for watch in [&mut watch, &mut again] {
        let events = watch.take(2 * REVISIONS).await;
        let mut numbers = std::collections::BTreeSet::new();
        for (at, pair) in events.chunks(2).enumerate() {
            assert_eq!(pair[0].revision(), start + at as u64);
            assert_eq!(pair[1].revision(), start + at as u64);
            let shown = shown(&subject, pair);
            let number = shown[0].strip_prefix("a=").expect("in the order of steps");
            assert_eq!(shown[1], format!("b/{number}=x"));
            numbers.insert(number.to_owned());
        }
        assert_eq!(numbers.len(), REVISIONS);
    }
}

pub(super) async fn a_dropped_watch_leaves_the_others(subject: Subject) {
    let dropped = subject.watch(None).await;
    let mut kept = subject.watch(None).await;
    drop(dropped);
    subject.put("a", "1").await;
    assert_eq!(shown(&subject, &kept.take(1).await), ["a=1"]);
    eventually("the store answers", async || subject.get("a").await).await;
}

pub(super) async fn a_watch_over_an_empty_span_is_refused(subject: Subject) {
    let result = subject
        .store
        .watch(WatchRequest {
            keys: KeyRange::Span(subject.key("b"), subject.key("a")),
            start: None,
        })
        .await;
    assert!(matches!(result.err(), Some(StoreError::Invalid(_))));
}
