//! Reads and single writes.

use bytes::Bytes;

use super::Subject;
use crate::store::{
    Compare, KeyRange, KeyValue, MAX_TXN_BYTES, Op, OpResponse, RangeRequest, StoreError, Txn,
};

pub(super) async fn a_put_key_is_read_with_all_its_revisions(subject: Subject) {
    let before = subject.revision().await;
    let first = subject.put("a", "1").await;
    assert_eq!(first, before + 1);
    let second = subject.put("a", "2").await;
    assert_eq!(second, first + 1);
    let expected = KeyValue {
        key: subject.key("a"),
        value: "2".into(),
        create_revision: first,
        mod_revision: second,
        version: 2,
        lease: None,
    };
    assert_eq!(subject.get("a").await, Some(expected));
    assert_eq!(subject.get("b").await, None);
}

pub(super) async fn a_range_is_ordered_limited_and_counted(subject: Subject) {
    for name in ["b", "a/2", "c", "a/1", "a"] {
        subject.put(name, name).await;
    }
    let names = |kvs: &[KeyValue]| -> Vec<String> {
        kvs.iter()
            .map(|kv| String::from_utf8_lossy(&kv.key[subject.prefix.len()..]).into_owned())
            .collect()
    };
    let all = subject.read(RangeRequest::new(subject.all())).await;
    assert_eq!(names(&all.kvs), ["a", "a/1", "a/2", "b", "c"]);
    assert_eq!((all.count, all.more), (5, false));
    assert_eq!(all.revision, subject.revision().await);

    type Row<'a> = (&'a str, KeyRange, Option<usize>, &'a [&'a str], u64, bool);
    let rows: [Row<'_>; 6] = [
        (
            "one key is not its prefix",
            KeyRange::Key(subject.key("a")),
            None,
            &["a"],
            1,
            false,
        ),
        (
            "a prefix",
            KeyRange::prefix(subject.key("a/")),
            None,
            &["a/1", "a/2"],
            2,
            false,
        ),
        (
            "a span leaves its end out",
            KeyRange::Span(subject.key("a/2"), subject.key("c")),
            None,
            &["a/2", "b"],
            2,
            false,
        ),
        ("a limit", subject.all(), Some(2), &["a", "a/1"], 5, true),
        (
            "a limit just reached",
            subject.all(),
            Some(5),
            &["a", "a/1", "a/2", "b", "c"],
            5,
            false,
        ),
        (
            "an absent key",
            KeyRange::Key(subject.key("0")),
            None,
            &[],
            0,
            false,
        ),
    ];
    for (what, keys, limit, expected, count, more) in rows {
        let answer = subject
            .read(RangeRequest {
                limit,
                ..RangeRequest::new(keys)
            })
            .await;
        assert_eq!(names(&answer.kvs), expected, "{what}");
        assert_eq!((answer.count, answer.more), (count, more), "{what}");
    }

    let from = subject
        .read(RangeRequest {
            limit: Some(1),
            ..RangeRequest::new(KeyRange::From(subject.key("b")))
        })
        .await;
    assert_eq!(names(&from.kvs), ["b"]);
    let keys = subject
        .read(RangeRequest {
            keys_only: true,
            ..RangeRequest::new(subject.all())
        })
        .await;
    assert!(keys.kvs.iter().all(|kv| kv.value.is_empty()));
    assert_eq!(keys.kvs.len(), 5);
    let count = subject
        .read(RangeRequest {
            count_only: true,
            ..RangeRequest::new(subject.all())
        })
        .await;
    assert_eq!((count.kvs.len(), count.count), (0, 5));
}

pub(super) async fn a_range_of_an_empty_span_finds_nothing(subject: Subject) {
    subject.put("b", "1").await;
    for (start, end) in [("b", "b"), ("c", "a")] {
        let span = KeyRange::Span(subject.key(start), subject.key(end));
        let answer = subject.read(RangeRequest::new(span)).await;
        assert_eq!((answer.kvs.len(), answer.count), (0, 0), "{start}..{end}");
    }
}

pub(super) async fn an_older_revision_is_read_as_it_was(subject: Subject) {
    let empty = subject.revision().await;
    let one = subject.put("a", "1").await;
    let two = subject.put("a", "2").await;
    let gone = subject.delete("a").await;
    let again = subject.put("a", "3").await;
    for (revision, value) in [
        (empty, None),
        (one, Some("1")),
        (two, Some("2")),
        (gone, None),
        (again, Some("3")),
    ] {
        let answer = subject
            .read(RangeRequest {
                revision: Some(revision),
                ..RangeRequest::new(subject.all())
            })
            .await;
        let found = answer.kvs.first().map(|kv| kv.value.clone());
        assert_eq!(found, value.map(Bytes::from), "at {revision}");
        assert_eq!(answer.revision, again, "the answer tells the newest");
    }
}

pub(super) async fn a_revision_not_reached_is_refused(subject: Subject) {
    let now = subject.revision().await;
    let error = subject
        .store
        .range(RangeRequest {
            revision: Some(now + 1_000),
            ..RangeRequest::new(subject.all())
        })
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::FutureRevision { .. }),
        "{error}"
    );
}

pub(super) async fn a_delete_gives_what_was_there_and_of_nothing_raises_no_revision(
    subject: Subject,
) {
    for name in ["a", "b", "c"] {
        subject.put(name, name).await;
    }
    let before = subject.revision().await;
    let span = KeyRange::Span(subject.key("a"), subject.key("c"));
    let answer = subject.txn(vec![Op::Delete(span.clone())]).await;
    assert_eq!(answer.revision, before + 1, "two keys, one revision");
    let [OpResponse::Delete { previous }] = &answer.responses[..] else {
        panic!("{:?}", answer.responses);
    };
    let values: Vec<_> = previous.iter().map(|kv| kv.value.clone()).collect();
    assert_eq!(values, ["a", "b"]);
    let answer = subject.txn(vec![Op::Delete(span)]).await;
    assert_eq!(answer.revision, before + 1);
    assert_eq!(answer.responses, [OpResponse::Delete { previous: vec![] }]);
    assert_eq!(subject.content().await, [("c".into(), "c".into())]);
}

pub(super) async fn a_key_made_again_begins_at_version_one(subject: Subject) {
    subject.put("a", "1").await;
    subject.put("a", "2").await;
    subject.delete("a").await;
    let again = subject.put("a", "3").await;
    let kv = subject.get("a").await.unwrap();
    assert_eq!((kv.version, kv.create_revision), (1, again));
}

pub(super) async fn an_empty_key_is_refused(subject: Subject) {
    let before = subject.revision().await;
    let error = subject
        .store
        .txn(Txn {
            then: vec![Op::put("", "1")],
            ..Txn::default()
        })
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    let error = subject
        .store
        .range(RangeRequest::new(KeyRange::Key(Bytes::new())))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    let error = subject
        .store
        .txn(Txn {
            compares: vec![Compare::absent("")],
            ..Txn::default()
        })
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(subject.revision().await, before);
}

pub(super) async fn values_of_every_size_and_byte_come_back(subject: Subject) {
    let every: Bytes = (0..=255u8).collect::<Vec<_>>().into();
    let key: Bytes = [subject.prefix.as_bytes(), &every].concat().into();
    let large = Bytes::from(vec![7u8; MAX_TXN_BYTES - 1_000]);
    for value in [Bytes::new(), every, large] {
        subject.txn(vec![Op::put(key.clone(), value.clone())]).await;
        let answer = subject
            .read(RangeRequest::new(KeyRange::Key(key.clone())))
            .await;
        assert_eq!(answer.kvs[0].value.len(), value.len());
        assert_eq!(answer.kvs[0].value, value);
    }
}
