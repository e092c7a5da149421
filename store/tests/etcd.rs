//! The store in a real etcd.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rove_store::etcd::{EtcdConfig, EtcdStore};
use rove_store::store::{
    Event, KeyRange, Op, RangeRequest, Store, StoreError, Txn, WatchEvent, WatchRequest,
};
use support::{Etcd, PATIENCE, etcdctl, eventually, is_there};

fn put(key: &str, value: impl Into<bytes::Bytes>) -> Txn {
    Txn {
        then: vec![Op::put(key.to_owned(), value)],
        ..Txn::default()
    }
}

fn everything(start: Option<u64>) -> WatchRequest {
    WatchRequest {
        keys: KeyRange::prefix("/"),
        start,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_every_promise_of_a_store() {
    if !is_there("etcd") {
        return;
    }
    let etcd = Etcd::start(&[]).await;
    rove_store::conformance::run_all(Arc::new(etcd.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_breaks_when_etcd_is_killed_and_goes_on_where_it_was() {
    if !is_there("etcd") {
        return;
    }
    let mut etcd = Etcd::start(&[]).await;
    let store = etcd.store();
    let first = store.txn(put("/a", "1")).await.unwrap().revision;
    let mut watch = store.watch(everything(Some(first))).await.unwrap();
    assert!(watch.next().await.unwrap().is_ok());
    etcd.kill();
    assert!(matches!(
        watch.next().await,
        Some(Err(StoreError::Unavailable(_)))
    ));
    assert!(watch.next().await.is_none());
    let error = store.txn(put("/a", "2")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    etcd.run();
    let second = eventually("it answers again", async || {
        store.txn(put("/a", "3")).await.ok()
    })
    .await
    .revision;
    let mut watch = store.watch(everything(Some(first + 1))).await.unwrap();
    let Some(Ok(WatchEvent::Batch { revision, .. })) = watch.next().await else {
        panic!("the watch goes on");
    };
    assert_eq!(revision, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_and_a_hung_endpoint_are_passed_over() {
    if !is_there("etcd") {
        return;
    }
    let hung = Etcd::start(&[]).await;
    let good = Etcd::start(&[]).await;
    let dead = format!("127.0.0.1:{}", rove_testkit::free_port());
    let store = EtcdStore::new(EtcdConfig::new(vec![
        dead,
        hung.endpoint(),
        good.endpoint(),
    ]))
    .unwrap();
    store.txn(put("/on-hung", "1")).await.unwrap();
    let mut watch = store.watch(everything(None)).await.unwrap();
    hung.signal("-STOP");
    let read = store
        .range(RangeRequest::new(KeyRange::prefix("/")))
        .await
        .unwrap();
    assert!(read.kvs.is_empty(), "read at the endpoint that answers");
    let broken = tokio::time::timeout(PATIENCE, watch.next()).await;
    assert!(
        matches!(broken, Ok(Some(Err(_)))),
        "a dead watch is noticed"
    );
    hung.signal("-CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_out_of_space_says_so_and_takes_deletes() {
    if !is_there("etcd") {
        return;
    }
    let etcd = Etcd::start(&["--quota-backend-bytes", "4194304"]).await;
    let store = etcd.store();
    let error = loop {
        if let Err(error) = store.txn(put("/a", vec![1; 500_000])).await {
            break error;
        }
    };
    assert!(matches!(error, StoreError::NoSpace), "{error}");
    let delete = Txn {
        then: vec![Op::delete("/a")],
        ..Txn::default()
    };
    store.txn(delete).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_put_back_to_an_older_state_is_seen_by_revision_and_id() {
    if !is_there("etcd") {
        return;
    }
    let mut etcd = Etcd::start(&[]).await;
    let store = etcd.store();
    for number in 0..20 {
        store.txn(put("/a", number.to_string())).await.unwrap();
    }
    let before = store.status().await.unwrap();
    etcd.kill();
    etcd.wipe();
    etcd.arguments(&["--initial-cluster-token", "another"]);
    etcd.run();
    let after = eventually("it answers again", async || store.status().await.ok()).await;
    assert!(after.revision < before.revision);
    assert_ne!(after.store_id, before.store_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_and_password_are_used_and_a_wrong_one_is_refused() {
    if !is_there("etcd") || !is_there("etcdctl") {
        return;
    }
    // Tokens that run out at once must be renewed unasked.
    let etcd = Etcd::start(&["--auth-token-ttl", "1"]).await;
    for arguments in [
        &["user", "add", "root:secret"][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        let output = etcdctl(&etcd.endpoint(), arguments).await;
        assert!(output.status.success(), "{output:?}");
    }
    let with = |password: &str| {
        let mut config = EtcdConfig::new(vec![etcd.endpoint()]);
        config.user = Some(("root".to_owned(), password.to_owned()));
        EtcdStore::new(config).unwrap()
    };
    let store = with("secret");
    store.txn(put("/a", "1")).await.unwrap();
    let error = etcd.store().txn(put("/a", "2")).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::PermissionDenied(_) | StoreError::Invalid(_)
        ),
        "{error}"
    );
    let error = with("wrong").txn(put("/a", "2")).await.unwrap_err();
    assert!(matches!(error, StoreError::PermissionDenied(_)), "{error}");
    // The condition waited for is the time itself: longer than any token lives. Looking would keep it alive.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    store.txn(put("/a", "3")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reader_gets_more_than_four_megabytes_in_whole_revisions() {
    if !is_there("etcd") {
        return;
    }
    let etcd = Etcd::start(&[]).await;
    let store = etcd.store();
    let start = store.status().await.unwrap().revision + 1;
    for number in 0..60 {
        let txn = Txn {
            then: (0..10)
                .map(|part| Op::put(format!("/{part}"), vec![number; 20_000]))
                .collect(),
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
    }
    let mut watch = store.watch(everything(Some(start))).await.unwrap();
    let mut events: Vec<Event> = Vec::new();
    while events.len() < 600 {
        let Some(Ok(WatchEvent::Batch { events: more, .. })) = watch.next().await else {
            panic!("the watch goes on");
        };
        assert_eq!(more.len() % 10, 0, "whole revisions");
        events.extend(more);
    }
}
