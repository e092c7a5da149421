//! Leases.

use super::{Subject, eventually};
use crate::store::{Event, LeaseId, Op, StoreError, Txn};

pub(super) async fn a_lease_is_granted_renewed_listed_and_revoked_with_its_keys(subject: Subject) {
    let (lease, ttl) = subject.store.lease_grant(60, None).await.unwrap();
    assert!(lease.0 != 0);
    assert_eq!(ttl, 60);
    assert_eq!(subject.store.lease_keep_alive(lease).await.unwrap(), 60);
    let (left, granted) = subject.store.lease_time_to_live(lease).await.unwrap();
    assert!((1..=60).contains(&left), "{left}");
    assert_eq!(granted, 60);
    assert!(subject.store.leases().await.unwrap().contains(&lease));
    subject.put("stays", "1").await;
    let mut watch = subject.watch(None).await;
    subject.put_on("b", lease).await;
    let at = subject.put_on("a", lease).await;
    assert_eq!(subject.get("a").await.unwrap().lease, Some(lease));
    subject.store.lease_revoke(lease).await.unwrap();
    assert_eq!(subject.content().await, [("stays".into(), "1".into())]);
    let events = watch.take(4).await;
    for (event, name) in events[2..].iter().zip(["a", "b"]) {
        let expected = Event::Delete {
            key: subject.key(name),
            mod_revision: at + 1,
        };
        assert_eq!(*event, expected, "in one revision, by key");
    }
    assert!(!subject.store.leases().await.unwrap().contains(&lease));
}

pub(super) async fn a_lease_that_is_not_renewed_takes_its_keys_along(subject: Subject) {
    let (renewed, _) = subject.store.lease_grant(2, None).await.unwrap();
    let (left, _) = subject.store.lease_grant(2, None).await.unwrap();
    subject.put_on("renewed", renewed).await;
    subject.put_on("left", left).await;
    let mut watch = subject.watch(None).await;
    // Renewed for longer than its TTL, it is there after the other one ran out.
    eventually("the lease left alone runs out", async || {
        subject.store.lease_keep_alive(renewed).await.unwrap();
        subject.get("left").await.is_none().then_some(())
    })
    .await;
    assert!(subject.get("renewed").await.is_some());
    assert_eq!(watch.take(1).await[0].key(), &subject.key("left"));
    eventually("then the other one, too", async || {
        subject.get("renewed").await.is_none().then_some(())
    })
    .await;
    assert_eq!(watch.take(1).await[0].key(), &subject.key("renewed"));
    let error = subject.store.lease_keep_alive(left).await.unwrap_err();
    assert!(
        matches!(error, StoreError::LeaseNotFound(id) if id == left),
        "{error}"
    );
}

pub(super) async fn an_unknown_lease_is_refused_and_leaves_no_trace(subject: Subject) {
    let unknown = LeaseId(0x7fff_ffff_ffff_0001);
    let before = subject.revision().await;
    let put = subject
        .store
        .txn(Txn {
            then: vec![
                Op::put(subject.key("a"), "1"),
                Op::Put {
                    key: subject.key("b"),
                    value: "1".into(),
                    lease: Some(unknown),
                },
            ],
            ..Txn::default()
        })
        .await
        .map(|_| ());
    let errors = [
        ("put", put),
        (
            "keep alive",
            subject.store.lease_keep_alive(unknown).await.map(|_| ()),
        ),
        ("revoke", subject.store.lease_revoke(unknown).await),
        (
            "time to live",
            subject.store.lease_time_to_live(unknown).await.map(|_| ()),
        ),
    ];
    for (what, result) in errors {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::LeaseNotFound(_)),
            "{what}: {error}"
        );
    }
    assert_eq!(subject.revision().await, before);
    let error = subject.store.lease_grant(0, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
}

pub(super) async fn a_key_written_anew_leaves_its_lease(subject: Subject) {
    let (old, _) = subject.store.lease_grant(60, None).await.unwrap();
    let (new, _) = subject.store.lease_grant(60, None).await.unwrap();
    for name in ["freed", "moved", "kept"] {
        subject.put_on(name, old).await;
    }
    subject.put("freed", "1").await;
    subject.put_on("moved", new).await;
    subject.store.lease_revoke(old).await.unwrap();
    let expected = [
        ("freed".into(), "1".into()),
        ("moved".into(), "leased".into()),
    ];
    assert_eq!(subject.content().await, expected);
    subject.store.lease_revoke(new).await.unwrap();
    assert_eq!(subject.content().await, expected[..1]);
}

pub(super) async fn a_lease_id_is_given_once(subject: Subject) {
    let (lease, _) = subject.store.lease_grant(60, None).await.unwrap();
    let error = subject
        .store
        .lease_grant(60, Some(lease))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::LeaseExists(_)), "{error}");
    subject.store.lease_revoke(lease).await.unwrap();
    let (again, _) = subject.store.lease_grant(60, Some(lease)).await.unwrap();
    assert_eq!(again, lease);
    subject.store.lease_revoke(lease).await.unwrap();
}
