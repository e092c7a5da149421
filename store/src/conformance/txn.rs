//! Transactions.

use bytes::Bytes;
use futures::future::join_all;

use super::Subject;
use crate::store::{
    Compare, CompareOp, CompareTarget, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, OpResponse,
    RangeRequest, StoreError, Txn,
};

async fn holds(subject: &Subject, keys: KeyRange, target: CompareTarget, op: CompareOp) -> bool {
    let txn = Txn {
        compares: vec![Compare { keys, target, op }],
        ..Txn::default()
    };
    subject.store.txn(txn).await.unwrap().succeeded
}

pub(super) async fn compares_hold_as_etcds(subject: Subject) {
    let create = subject.put("a", "m").await;
    let modify = subject.put("a", "m").await;
    let (lease, _) = subject.store.lease_grant(60, None).await.unwrap();
    subject.put_on("leased", lease).await;
    // The key, what of it, then whether each of = > < != holds.
    let rows = [
        (
            "a",
            CompareTarget::CreateRevision(create),
            [true, false, false, false],
        ),
        (
            "a",
            CompareTarget::CreateRevision(create - 1),
            [false, true, false, true],
        ),
        (
            "a",
            CompareTarget::ModRevision(modify),
            [true, false, false, false],
        ),
        (
            "a",
            CompareTarget::ModRevision(modify + 1),
            [false, false, true, true],
        ),
        (
            "a",
            CompareTarget::ModRevision(0),
            [false, true, false, true],
        ),
        ("a", CompareTarget::Version(2), [true, false, false, false]),
        ("a", CompareTarget::Version(1), [false, true, false, true]),
        (
            "a",
            CompareTarget::Value("m".into()),
            [true, false, false, false],
        ),
        (
            "a",
            CompareTarget::Value("a".into()),
            [false, true, false, true],
        ),
        (
            "a",
            CompareTarget::Value("z".into()),
            [false, false, true, true],
        ),
        ("a", CompareTarget::Lease(0), [true, false, false, false]),
        (
            "leased",
            CompareTarget::Lease(lease.0),
            [true, false, false, false],
        ),
        (
            "leased",
            CompareTarget::Lease(0),
            [false, true, false, true],
        ),
        (
            "absent",
            CompareTarget::CreateRevision(0),
            [true, false, false, false],
        ),
        (
            "absent",
            CompareTarget::ModRevision(0),
            [true, false, false, false],
        ),
        (
            "absent",
            CompareTarget::ModRevision(5),
            [false, false, true, true],
        ),
        (
            "absent",
            CompareTarget::Version(0),
            [true, false, false, false],
        ),
        (
            "absent",
            CompareTarget::Lease(0),
            [true, false, false, false],
        ),
        ("absent", CompareTarget::Value(Bytes::new()), [false; 4]),
        ("absent", CompareTarget::Value("m".into()), [false; 4]),
    ];
    let ops = [
        CompareOp::Equal,
        CompareOp::Greater,
        CompareOp::Less,
        CompareOp::NotEqual,
    ];
    for (name, target, expected) in rows {
        for (op, expected) in ops.into_iter().zip(expected) {
            let keys = KeyRange::Key(subject.key(name));
            assert_eq!(
                holds(&subject, keys, target.clone(), op).await,
                expected,
                "{name} {target:?} {op:?}"
            );
        }
    }
    subject.store.lease_revoke(lease).await.unwrap();
}

pub(super) async fn compares_over_a_range_must_hold_for_every_key(subject: Subject) {
    subject.put("a/1", "x").await;
    let last = subject.put("a/2", "x").await;
    let range = || KeyRange::prefix(subject.key("a/"));
    let value = |text: &'static str| CompareTarget::Value(text.into());
    assert!(holds(&subject, range(), value("x"), CompareOp::Equal).await);
    let upto = CompareTarget::ModRevision(last + 1);
    assert!(holds(&subject, range(), upto, CompareOp::Less).await);
    let below = CompareTarget::ModRevision(last);
    assert!(!holds(&subject, range(), below, CompareOp::Less).await);
    subject.put("a/3", "y").await;
    assert!(!holds(&subject, range(), value("x"), CompareOp::Equal).await);
    let none = || KeyRange::prefix(subject.key("none/"));
    let absent = CompareTarget::Version(0);
    assert!(holds(&subject, none(), absent, CompareOp::Equal).await);
    assert!(!holds(&subject, none(), value("x"), CompareOp::NotEqual).await);
}

pub(super) async fn the_other_branch_is_done_when_a_compare_fails(subject: Subject) {
    let first = subject.put("a", "1").await;
    let txn = |revision| Txn {
        compares: vec![
            Compare::unchanged(subject.key("a"), revision),
            Compare::absent(subject.key("b")),
        ],
        then: vec![Op::put(subject.key("a"), "then")],
        otherwise: vec![
            Op::put(subject.key("c"), "else"),
            Op::Range(RangeRequest::new(KeyRange::Key(subject.key("a")))),
        ],
    };
    let answer = subject.store.txn(txn(first - 1)).await.unwrap();
    assert!(!answer.succeeded);
    assert_eq!(answer.responses.len(), 2);
    let OpResponse::Range(read) = &answer.responses[1] else {
        panic!("{:?}", answer.responses);
    };
    assert_eq!(read.kvs[0].value, "1");
    let expected = [("a".into(), "1".into()), ("c".into(), "else".into())];
    assert_eq!(subject.content().await, expected);
    let answer = subject.store.txn(txn(first)).await.unwrap();
    assert!(answer.succeeded);
    assert_eq!(subject.get("a").await.unwrap().value, "then");
}

pub(super) async fn a_transaction_is_one_revision_and_reads_its_own_writes(subject: Subject) {
    subject.put("a", "old").await;
    subject.put("d", "old").await;
    let before = subject.revision().await;
    let read = |name: &str| Op::Range(RangeRequest::new(KeyRange::Key(subject.key(name))));
    let answer = subject
        .txn(vec![
            read("a"),
            Op::put(subject.key("a"), "new"),
            read("a"),
            Op::delete(subject.key("d")),
            read("d"),
            Op::put(subject.key("b"), "new"),
        ])
        .await;
    assert_eq!(answer.revision, before + 1);
    let seen: Vec<String> = answer
        .responses
        .iter()
        .map(|response| match response {
            OpResponse::Range(read) => format!(
                "range {}",
                read.kvs
                    .first()
                    .map_or("-".into(), |kv| String::from_utf8_lossy(&kv.value))
            ),
            OpResponse::Put { previous } => format!(
                "put over {}",
                previous
                    .as_ref()
                    .map_or("-".into(), |kv| String::from_utf8_lossy(&kv.value))
            ),
            OpResponse::Delete { previous } => format!("delete {}", previous.len()),
        })
        .collect();
    assert_eq!(
        seen,
        [
            "range old",
            "put over old",
            "range new",
            "delete 1",
            "range -",
            "put over -"
        ]
    );
    for name in ["a", "b"] {
        assert_eq!(subject.get(name).await.unwrap().mod_revision, before + 1);
    }
}

pub(super) async fn a_transaction_that_only_reads_raises_no_revision(subject: Subject) {
    let at = subject.put("a", "1").await;
    let answer = subject
        .txn(vec![Op::Range(RangeRequest::new(subject.all()))])
        .await;
    assert_eq!(answer.revision, at);
    assert_eq!(subject.txn(vec![]).await.revision, at);
    assert_eq!(subject.revision().await, at);
}

pub(super) async fn what_breaks_a_limit_is_refused_and_leaves_no_trace(subject: Subject) {
    subject.put("a", "1").await;
    let before = subject.revision().await;
    let puts = |count: usize| -> Vec<Op> {
        (0..count)
            .map(|n| Op::put(subject.key(&format!("many/{n}")), "x"))
            .collect()
    };
    let a = || subject.key("a");
    let rows = [
        (
            "too many steps",
            Txn {
                then: puts(MAX_TXN_OPS + 1),
                ..Txn::default()
            },
        ),
        (
            "too many steps in the other branch",
            Txn {
                otherwise: puts(MAX_TXN_OPS + 1),
                ..Txn::default()
            },
        ),
        (
            "too many compares",
            Txn {
                compares: (0..=MAX_TXN_OPS)
                    .map(|n| Compare::absent(subject.key(&n.to_string())))
                    .collect(),
                then: vec![Op::put(a(), "2")],
                ..Txn::default()
            },
        ),
        (
            "a key written twice",
            Txn {
                then: vec![Op::put(a(), "2"), Op::put(a(), "3")],
                ..Txn::default()
            },
        ),
        (
            "a key written and removed",
            Txn {
                then: vec![Op::put(a(), "2"), Op::Delete(subject.all())],
                ..Txn::default()
            },
        ),
        (
            "a key written twice in the branch that is not done",
            Txn {
                then: vec![Op::put(subject.key("b"), "2")],
                otherwise: vec![Op::put(a(), "2"), Op::put(a(), "3")],
                ..Txn::default()
            },
        ),
        (
            "too many bytes",
            Txn {
                then: vec![Op::put(a(), vec![0; MAX_TXN_BYTES + 1])],
                ..Txn::default()
            },
        ),
    ];
    for (what, txn) in rows {
        let error = subject.store.txn(txn).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{what}: {error}");
        assert_eq!(subject.revision().await, before, "{what}");
    }
    // A read that can't be answered stops the writes before it.
    let error = subject
        .store
        .txn(Txn {
            then: vec![
                Op::put(a(), "2"),
                Op::Range(RangeRequest {
                    revision: Some(before + 1_000),
                    ..RangeRequest::new(subject.all())
                }),
            ],
            ..Txn::default()
        })
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::FutureRevision { .. }),
        "{error}"
    );
    assert_eq!(subject.revision().await, before);
    // What just keeps the limits is done.
    assert_eq!(subject.txn(puts(MAX_TXN_OPS)).await.responses.len(), 128);
}

pub(super) async fn racing_compare_and_swap_loses_no_increment(subject: Subject) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 5;
    subject.put("counter", "0").await;
    let writer = async |subject: Subject| {
        let mut done = 0;
        while done < EACH {
            let kv = subject.get("counter").await.unwrap();
            let count: u64 = String::from_utf8_lossy(&kv.value).parse().unwrap();
            let txn = Txn {
                compares: vec![Compare::unchanged(kv.key.clone(), kv.mod_revision)],
                then: vec![Op::put(kv.key, (count + 1).to_string())],
                ..Txn::default()
            };
            if subject.store.txn(txn).await.unwrap().succeeded {
                done += 1;
            }
        }
    };
    join_all((0..WRITERS).map(|_| writer(subject.clone()))).await;
    let kv = subject.get("counter").await.unwrap();
    assert_eq!(kv.value, (WRITERS * EACH).to_string());
    assert_eq!(kv.version, WRITERS * EACH + 1);
}
