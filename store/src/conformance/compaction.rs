//! Compaction and status.

use super::Subject;
use crate::store::{KeyRange, RangeRequest, StoreError};

pub(super) async fn what_was_compacted_away_is_refused_and_the_newest_stays(subject: Subject) {
    let first = subject.put("a", "1").await;
    subject.put("gone", "1").await;
    let second = subject.put("a", "2").await;
    subject.delete("gone").await;
    let at = subject.put("b", "1").await;
    subject.store.compact(at).await.unwrap();
    let read = async |revision| {
        subject
            .store
            .range(RangeRequest {
                revision: Some(revision),
                ..RangeRequest::new(subject.all())
            })
            .await
    };
    for revision in [first, second, at - 1] {
        let error = read(revision).await.unwrap_err();
        assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
    }
    let content = [("a".into(), "2".into()), ("b".into(), "1".into())];
    assert_eq!(subject.content().await, content);
    assert_eq!(read(at).await.unwrap().kvs.len(), 2);
    let kv = subject.get("a").await.unwrap();
    assert_eq!(
        (kv.create_revision, kv.mod_revision, kv.version),
        (first, second, 2)
    );

    let error = subject.store.compact(at).await.unwrap_err();
    assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
    let error = subject.store.compact(at + 1_000).await.unwrap_err();
    assert!(
        matches!(error, StoreError::FutureRevision { .. }),
        "{error}"
    );
    assert_eq!(subject.revision().await, at);
}

pub(super) async fn a_live_watch_outlives_compaction(subject: Subject) {
    let first = subject.put("a", "1").await;
    let mut watch = subject.watch(Some(first)).await;
    assert_eq!(watch.take(1).await.len(), 1);
    let at = subject.put("a", "2").await;
    assert_eq!(watch.take(1).await.len(), 1);
    subject.store.compact(at).await.unwrap();
    subject.put("a", "3").await;
    assert_eq!(watch.take(1).await.len(), 1);
}

pub(super) async fn a_watch_from_before_compaction_is_told_or_served_in_full(subject: Subject) {
    let first = subject.put("a", "1").await;
    subject.put("a", "2").await;
    subject.delete("a").await;
    subject.put("b", "1").await;
    let at = subject.put("b", "2").await;
    subject.store.compact(at).await.unwrap();
    let mut watch = subject.watch(Some(first)).await;
    match watch.next().await {
        Err(StoreError::Compacted { oldest, .. }) => {
            assert!(oldest > first && oldest <= at, "{oldest}");
        }
        Ok(mut events) => {
            while events.len() < 5 {
                events.extend(watch.next().await.unwrap());
            }
        }
        Err(other) => panic!("{other}"),
    }
    // Listing at the compacted revision and going on from there misses nothing.
    let mut watch = subject.watch(Some(at + 1)).await;
    subject.put("b", "3").await;
    assert_eq!(watch.take(1).await.len(), 1);
}

pub(super) async fn a_status_tells_the_revision(subject: Subject) {
    let at = subject.put("a", "1").await;
    let status = subject.store.status().await.unwrap();
    assert_eq!(status.revision, at);
    assert!(!status.version.is_empty());
    let read = subject
        .read(RangeRequest::new(KeyRange::Key(subject.key("a"))))
        .await;
    assert_eq!(read.revision, at);
}
