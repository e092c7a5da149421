//! Port 4647: etcd's protocol over each store, with rove's own client and with `etcdctl`.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use rove_model::ids::NodeId;
use rove_store::embedded::{EmbeddedStore, Options};
use rove_store::etcd::{EtcdConfig, EtcdStore};
use rove_store::frontend::FrontendConfig;
use rove_store::keys::Keys;
use rove_store::memory::MemoryStore;
use rove_store::store::{
    Compare, KeyRange, LeaseId, Op, RangeRequest, RangeResponse, Store, StoreError, Txn,
    WatchEvent, WatchRequest,
};
use rove_store::wrapped::Wrapped;
use support::{Etcd, Mute, PATIENCE, Served, etcdctl, eventually, is_there};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_through_the_port_over_memory() {
    let served = Served::open(Arc::new(MemoryStore::new())).await;
    rove_store::conformance::run_all(Arc::new(served.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_through_the_port_over_the_embedded_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
    let served = Served::open(Arc::new(store)).await;
    rove_store::conformance::run_all(Arc::new(served.store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_through_the_port_over_etcd() {
    if !is_there("etcd") {
        return;
    }
    let etcd = Etcd::start(&[]).await;
    let served = Served::open(Arc::new(etcd.store())).await;
    rove_store::conformance::run_all(Arc::new(served.store())).await;
}

async fn put(store: &MemoryStore, key: &str, value: &str) -> u64 {
    let txn = Txn {
        then: vec![Op::put(key.to_owned(), value.to_owned())],
        ..Txn::default()
    };
    store.txn(txn).await.unwrap().revision
}

/// A store with a job and secrets in it, served as to the world.
async fn world() -> (Arc<MemoryStore>, Served) {
    let store = Arc::new(MemoryStore::new());
    for key in [
        "/other/x",
        "/rove/acl/token",
        "/rove/jobs/default/web",
        "/rove/node-secret/n",
        "/rove/nodes/n",
        "/rove/variables/default/v",
        "/rove/zzz/last",
    ] {
        put(&store, key, "value").await;
    }
    let config = FrontendConfig::new(Keys::default());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config).await;
    (store, served)
}

fn node(byte: u8) -> NodeId {
    NodeId::from_random([byte; 16])
}

struct Ctl {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn ctl(served: &Served, arguments: &[&str]) -> Ctl {
    let output = etcdctl(&served.endpoint, arguments).await;
    Ctl {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_reads_everything_but_secrets() {
    if !is_there("etcdctl") {
        return;
    }
    let (_, served) = world().await;
    let shown = "/rove/jobs/default/web\n\n/rove/nodes/n\n\n/rove/zzz/last\n\n";
    for arguments in [
        &["get", "--prefix", "/rove/", "--keys-only"][..],
        &["get", "--prefix", "", "--keys-only"],
        &["get", "--from-key", "/", "--keys-only"],
    ] {
        let got = ctl(&served, arguments).await;
        assert_eq!(got.out, shown, "{arguments:?}: {}", got.err);
    }
    let got = ctl(&served, &["get", "/rove/jobs/default/web"]).await;
    assert_eq!(got.out, "/rove/jobs/default/web\nvalue\n");
    let got = ctl(
        &served,
        &["get", "--prefix", "/rove/", "--limit", "2", "--keys-only"],
    )
    .await;
    assert_eq!(got.out, "/rove/jobs/default/web\n\n/rove/nodes/n\n\n");
    let got = ctl(
        &served,
        &[
            "get",
            "--prefix",
            "/rove/",
            "--keys-only",
            "--order",
            "DESCEND",
            "--sort-by",
            "MODIFY",
            "--limit",
            "1",
        ],
    )
    .await;
    assert_eq!(got.out, "/rove/zzz/last\n\n");
    for arguments in [
        &["get", "/rove/node-secret/n"][..],
        &["get", "--prefix", "/rove/node-secret/"],
        &["get", "--prefix", "/rove/variables/"],
        &["get", "--prefix", "/rove/acl/"],
        &["get", "/other/x"],
        &["get", "--prefix", "/other/"],
    ] {
        let got = ctl(&served, arguments).await;
        assert_eq!(got.out, "", "{arguments:?}");
        assert!(
            got.err.contains("permission denied"),
            "{arguments:?}: {}",
            got.err
        );
        assert_ne!(got.code, Some(0));
    }
    let got = ctl(&served, &["endpoint", "status"]).await;
    assert!(
        got.out.starts_with(&served.endpoint),
        "{} {}",
        got.out,
        got.err
    );
    let got = ctl(&served, &["endpoint", "health"]).await;
    let both = got.out + &got.err;
    assert!(both.contains("is healthy"), "{both}");
    let got = ctl(&served, &["alarm", "list"]).await;
    assert_eq!((got.code, got.out.as_str()), (Some(0), ""), "{}", got.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_without_proof_writes_nothing() {
    if !is_there("etcdctl") {
        return;
    }
    let (store, served) = world().await;
    let before = store.status().await.unwrap().revision;
    let id = node(1);
    let own = format!("/rove/nodes/{id}");
    for arguments in [
        &["put", "/rove/jobs/default/web", "x"][..],
        &["put", &own, "x"],
        &["put", "/other/x", "x"],
        &["del", "/rove/jobs/default/web"],
        &["del", "--prefix", "/rove/"],
        &["del", "--prefix", ""],
        &["lease", "grant", "60"],
        &["lease", "revoke", "1001"],
        &["lease", "keep-alive", "--once", "1001"],
        &["compaction", "5"],
    ] {
        let got = ctl(&served, arguments).await;
        assert!(
            got.err.contains("permission denied"),
            "{arguments:?}: {}{}",
            got.out,
            got.err
        );
        assert_ne!(got.code, Some(0), "{arguments:?}");
    }
    for arguments in [
        &["snapshot", "save", "/dev/null"][..],
        &["defrag"],
        &["user", "list"],
        &["auth", "enable"],
        &["member", "list"],
    ] {
        let got = ctl(&served, arguments).await;
        assert_ne!(got.code, Some(0), "{arguments:?}");
    }
    assert_eq!(store.status().await.unwrap().revision, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_as_a_node_writes_its_own_keys_only() {
    if !is_there("etcdctl") {
        return;
    }
    let (store, served) = world().await;
    let (id, other) = (node(0xab), node(2));
    let user = format!("{id}:{SECRET}");
    let alloc = rove_model::ids::AllocId::from_random([5; 16]);
    put(&store, &format!("/rove/allocs/{id}/{alloc}"), "placed").await;
    let own = [
        format!("/rove/nodes/{id}"),
        format!("/rove/node-alive/{id}"),
        format!("/rove/alloc-status/{id}/{alloc}"),
    ];
    for key in &own {
        let got = ctl(&served, &["--user", &user, "put", key, "x"]).await;
        assert_eq!(got.out, "OK\n", "{}", got.err);
    }
    let got = ctl(&served, &["--user", &user, "del", &own[2]]).await;
    assert_eq!(got.out, "1\n", "{}", got.err);
    let before = store.status().await.unwrap().revision;
    for key in [
        "/rove/jobs/default/web".to_owned(),
        format!("/rove/nodes/{other}"),
        format!("/rove/nodes/{id}/more"),
        format!("/rove/alloc-status/{other}/a"),
        format!("/rove/allocs/{id}/a"),
        format!("/rove/node-secret/{id}"),
        format!("/rove/node-control/{id}"),
    ] {
        for verb in [&["put", &key, "x"][..], &["del", &key]] {
            let got = ctl(&served, &[&["--user", &user], verb].concat()).await;
            assert!(
                got.err.contains("permission denied"),
                "{verb:?}: {}{}",
                got.out,
                got.err
            );
        }
    }
    let secret = format!("/rove/node-secret/{id}");
    let got = ctl(&served, &["--user", &user, "get", &secret]).await;
    assert!(got.err.contains("permission denied"), "{}", got.err);
    assert_eq!(store.status().await.unwrap().revision, before);
    for wrong in [
        format!("{id}:another-secret-of-some-length"),
        format!("{other}:short"),
        "root:0123456789abcdef".to_owned(),
        format!("{}:{SECRET}", id.to_string().to_uppercase()),
    ] {
        let got = ctl(&served, &["--user", &wrong, "put", &own[0], "y"]).await;
        assert!(
            got.err.contains("authentication failed"),
            "{wrong}: {}",
            got.err
        );
    }
    assert_eq!(store.status().await.unwrap().revision, before);
    let all = ctl(&served, &["get", "--prefix", "/rove/", "--keys-only"]).await;
    assert!(
        all.out.contains(&own[0]) && !all.out.contains("secret"),
        "{}",
        all.out
    );
    let stored = store
        .range(RangeRequest::new(KeyRange::Key(secret.into())))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&stored.kvs[0].value).into_owned();
    assert!(!text.contains(SECRET), "only a hash is kept: {text}");

    let got = ctl(&served, &["--user", &user, "lease", "grant", "60"]).await;
    let lease = got.out.split(' ').nth(1).unwrap().to_owned();
    for arguments in [
        &["put", "--lease", &lease, &own[1], "alive"][..],
        &["lease", "keep-alive", "--once", &lease],
        &["lease", "timetolive", &lease],
        &["lease", "list"],
    ] {
        let got = ctl(&served, &[&["--user", &user], arguments].concat()).await;
        assert_eq!(got.code, Some(0), "{arguments:?}: {}", got.err);
    }
    let theirs = format!("{other}:{SECRET}");
    let their_key = format!("/rove/node-alive/{other}");
    for arguments in [
        &["put", "--lease", &lease, &their_key, "x"][..],
        &["lease", "keep-alive", "--once", &lease],
        &["lease", "revoke", &lease],
    ] {
        let got = ctl(&served, &[&["--user", &theirs], arguments].concat()).await;
        assert!(
            got.err.contains("permission denied"),
            "{arguments:?}: {}{}",
            got.out,
            got.err
        );
    }
    let got = ctl(&served, &["--user", &user, "lease", "revoke", &lease]).await;
    assert_eq!(got.code, Some(0), "{}", got.err);
    let alive = store
        .range(RangeRequest::new(KeyRange::Key(own[1].clone().into())))
        .await
        .unwrap();
    assert!(alive.kvs.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_watches_what_comes_and_what_was_without_secrets() {
    if !is_there("etcdctl") {
        return;
    }
    let (store, served) = world().await;
    let first = put(&store, "/rove/evals/e1", "pending").await;
    let watch = async |arguments: &[&str], until: &str| -> String {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let mut child = tokio::process::Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &served.endpoint, "watch"])
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut text = String::new();
        let read = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                text += &line;
                text += "\n";
                if line == until {
                    break;
                }
            }
        };
        // What is written until the reader has what it waits for.
        let write = async {
            let mut number = 0;
            loop {
                put(&store, "/rove/variables/default/v", "secret").await;
                put(&store, "/rove/evals/e2", &format!("n{number}")).await;
                number += 1;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = read => {}
            () = write => {}
            () = tokio::time::sleep(PATIENCE) => panic!("{text}"),
        }
        child.kill().await.unwrap();
        text
    };
    let live = watch(&["--prefix", "/rove/"], "/rove/evals/e2").await;
    assert_eq!(live, "PUT\n/rove/evals/e2\n");
    let revision = first.to_string();
    let past = watch(&["--prefix", "/rove/", "--rev", &revision], "n0").await;
    assert!(
        past.starts_with("PUT\n/rove/evals/e1\npending\nPUT\n/rove/evals/e2\n"),
        "{past}"
    );
    assert!(!past.contains("secret"));
    let previous = watch(&["/rove/evals/e2", "--prev-kv"], "n1").await;
    assert!(previous.contains("/rove/evals/e2\n"), "{previous}");
    let got = ctl(&served, &["watch", "/rove/acl/token"]).await;
    assert!(
        got.err.contains("permission denied"),
        "{}{}",
        got.out,
        got.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_its_lease_and_its_rights_at_another_server() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = FrontendConfig::new(Keys::default());
    let one = Served::start(Arc::clone(&store), config.clone()).await;
    let two = Served::start(Arc::clone(&store), config).await;
    let id = node(1);
    let user = id.to_string();
    let (lease, _) = one
        .store_of(&user, SECRET)
        .lease_grant(60, None)
        .await
        .unwrap();
    one.stop().await;
    let at_two = two.store_of(&user, SECRET);
    assert_eq!(at_two.lease_keep_alive(lease).await.unwrap(), 60);
    let txn = Txn {
        compares: vec![Compare::absent(format!("/rove/node-alive/{id}"))],
        then: vec![Op::Put {
            key: format!("/rove/node-alive/{id}").into(),
            value: "1".into(),
            lease: Some(lease),
        }],
        ..Txn::default()
    };
    assert!(at_two.txn(txn).await.unwrap().succeeded);
    let error = two
        .store_of(&user, "another-secret-of-some-length")
        .status()
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermissionDenied(_)), "{error}");
    let stolen = two.store_of(&node(2).to_string(), SECRET);
    for result in [
        stolen.lease_keep_alive(lease).await.map(|_| ()),
        stolen.lease_revoke(lease).await,
        stolen.lease_grant(60, Some(LeaseId(77))).await.map(|_| ()),
    ] {
        assert!(matches!(result, Err(StoreError::PermissionDenied(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_with_the_join_token_register_where_there_is_one() {
    use rove_store::frontend::{JOIN_SEPARATOR, JoinToken};

    const JOIN: &str = "let-me-in-by-this-token";

    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let invites = FrontendConfig {
        join: Some(JoinToken::new(JOIN)),
        ..FrontendConfig::new(Keys::default())
    };
    let open = Served::start(Arc::clone(&store), FrontendConfig::new(Keys::default())).await;
    let served = Served::start(Arc::clone(&store), invites).await;
    let register = async |served: &Served, number: u8, password: &str| {
        let id = node(number);
        let client = served.store_of(&id.to_string(), password);
        let txn = Txn {
            then: vec![Op::put(format!("/rove/nodes/{id}"), "x")],
            ..Txn::default()
        };
        client.txn(txn).await.map(|_| ())
    };
    let with = |join: &str| format!("{SECRET}{JOIN_SEPARATOR}{join}");
    let rows = [
        ("none", 1, SECRET.to_owned(), false),
        ("another", 1, with("let-me-in-by-this-tokem"), false),
        ("an empty one", 1, with(""), false),
        ("the one", 1, with(JOIN), true),
        // Who is registered needs none, as long as it is known; its secret it does need.
        ("registered", 1, SECRET.to_owned(), true),
        ("registered, another", 1, with("an-older-join-token"), true),
        (
            "registered, another secret",
            1,
            format!("fedcba9876543210{JOIN_SEPARATOR}{JOIN}"),
            false,
        ),
    ];
    for (what, number, password, expected) in rows {
        let result = register(&served, number, &password).await;
        assert_eq!(result.is_ok(), expected, "{what}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, StoreError::PermissionDenied(_)), "{error}");
            assert!(!error.to_string().contains(JOIN), "{error}");
        }
    }
    // A server that asks for none takes in a node that shows one, and one that doesn't.
    register(&open, 2, &with(JOIN)).await.unwrap();
    register(&open, 3, SECRET).await.unwrap();
    register(&open, 2, SECRET).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_whose_node_never_came_is_forgotten_and_one_in_use_is_not() {
    let store = Arc::new(MemoryStore::new());
    for number in [1, 2] {
        put(&store, &format!("/rove/node-secret/{}", node(number)), "{}").await;
    }
    put(&store, &format!("/rove/nodes/{}", node(1)), "x").await;
    let config = FrontendConfig {
        sweep_every: Duration::from_millis(50),
        ..FrontendConfig::new(Keys::default())
    };
    let _served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config).await;
    let secrets = async || {
        let all = RangeRequest::new(KeyRange::prefix("/rove/node-secret/"));
        store.range(all).await.unwrap().kvs
    };
    let left = support::eventually("one is left", async || {
        Some(secrets().await).filter(|left| left.len() == 1)
    })
    .await;
    assert_eq!(left[0].key, format!("/rove/node-secret/{}", node(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_server_forgot_its_token_proves_itself_anew() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = FrontendConfig::new(Keys::default());
    let served = Served::start(Arc::clone(&store), config.clone()).await;
    let id = node(1);
    let key = format!("/rove/nodes/{id}");
    let client = served.store_of(&id.to_string(), SECRET);
    let write = || Txn {
        then: vec![Op::put(key.clone(), "x")],
        ..Txn::default()
    };
    client.txn(write()).await.unwrap();
    let endpoint = served.endpoint.clone();
    served.stop().await;
    let listener = support::eventually("the port is free again", async || {
        tokio::net::TcpListener::bind(&endpoint).await.ok()
    })
    .await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let again = tokio::spawn(rove_store::frontend::serve(
        listener,
        Arc::clone(&store),
        config,
        cancel.clone(),
    ));
    support::eventually("it writes again", async || client.txn(write()).await.ok()).await;
    cancel.cancel();
    again.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_a_node_are_checked_in_both_branches_and_never_nested() {
    let (_, served) = world().await;
    let id = node(1);
    let mut client = etcd_client::Client::connect(
        [&served.endpoint],
        Some(etcd_client::ConnectOptions::new().with_user(id.to_string(), SECRET)),
    )
    .await
    .unwrap();
    let own = format!("/rove/nodes/{id}");
    let put = |key: &str| etcd_client::TxnOp::put(key, "x", None);
    let nested = etcd_client::TxnOp::txn(etcd_client::Txn::new().and_then([put(&own)]));
    let secret =
        etcd_client::Compare::version("/rove/node-secret/n", etcd_client::CompareOp::Greater, 0);
    let rows = [
        (
            "its own",
            etcd_client::Txn::new().and_then([put(&own)]),
            true,
        ),
        ("nested", etcd_client::Txn::new().and_then([nested]), false),
        (
            "another's in the branch not done",
            etcd_client::Txn::new()
                .and_then([put(&own)])
                .or_else([put("/rove/jobs/default/web")]),
            false,
        ),
        (
            "a compare of a secret",
            etcd_client::Txn::new().when([secret]).and_then([put(&own)]),
            false,
        ),
    ];
    for (what, txn, allowed) in rows {
        let result = client.txn(txn).await;
        assert_eq!(result.is_ok(), allowed, "{what}: {result:?}");
    }
    // What is larger than any transaction isn't read to its end.
    let large = vec![0; 3 << 20];
    assert!(client.put(own, large, None).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_stuck_behind_a_living_connection_ends_and_an_idle_one_does_not() {
    let store = Arc::new(MemoryStore::new());
    let served = Served::open(Arc::clone(&store) as Arc<dyn Store>).await;
    let mute = Mute::before(&served.endpoint).await;
    // Longer than a busy machine takes for an answer.
    let silence = Duration::from_secs(2);
    let client = EtcdStore::new(EtcdConfig {
        watch_silence: silence,
        ..EtcdConfig::new(vec![mute.endpoint.clone(), served.endpoint.clone()])
    })
    .unwrap();
    let request = |start| WatchRequest {
        keys: KeyRange::prefix("a"),
        start: Some(start),
    };
    let mut watch = client.watch(request(2)).await.unwrap();
    // Silent for longer than a connection may be, but it answers when asked.
    let idle = tokio::time::timeout(silence * 3, watch.next()).await;
    assert!(idle.is_err(), "{idle:?}");
    put(&store, "a", "1").await;
    assert!(matches!(watch.next().await, Some(Ok(_))));
    mute.set(true);
    put(&store, "a", "2").await;
    let ended = watch.next().await;
    assert!(
        matches!(&ended, Some(Err(StoreError::Unavailable(why))) if why.contains("silent")),
        "{ended:?}"
    );
    // It is opened again elsewhere, where it ended.
    let mut watch = client.watch(request(3)).await.unwrap();
    let Some(Ok(WatchEvent::Batch { revision, .. })) = watch.next().await else {
        panic!("the other server answers");
    };
    assert_eq!(revision, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_watch_is_told_unasked_that_it_lives_and_of_nothing_that_it_was_not_sent() {
    let store = Arc::new(MemoryStore::new());
    let mut config = FrontendConfig::new(Keys::default());
    config.progress_every = Duration::from_millis(100);
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config).await;
    // It asks for nothing by itself.
    let client = EtcdStore::new(EtcdConfig {
        watch_silence: PATIENCE,
        ..EtcdConfig::new(vec![served.endpoint.clone()])
    })
    .unwrap();
    let node = node(1);
    let mut watch = client
        .watch(WatchRequest {
            keys: KeyRange::prefix(format!("/rove/allocs/{node}/")),
            start: Some(2),
        })
        .await
        .unwrap();
    // What others are written is no news for it.
    put(&store, "/rove/jobs/default/web", "1").await;
    for _ in 0..3 {
        let progress = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
        assert!(
            matches!(progress, Some(Ok(WatchEvent::Progress { revision: 1 }))),
            "{progress:?}"
        );
    }
    let at = put(&store, &format!("/rove/allocs/{node}/a"), "1").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match tokio::time::timeout(PATIENCE, watch.next()).await.unwrap() {
            Some(Ok(WatchEvent::Batch { revision, .. })) => seen.push(revision),
            // Before the batch it is told of what was before, and then of that.
            Some(Ok(WatchEvent::Progress { revision })) if !seen.is_empty() => seen.push(revision),
            Some(Ok(WatchEvent::Progress { revision: 1 })) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [at; 3]);
}

/// A store that never answers for one key.
struct Sticky(Arc<MemoryStore>);

#[async_trait::async_trait]
impl Wrapped for Sticky {
    fn inner(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        if request.keys == KeyRange::Key("stuck".into()) {
            std::future::pending::<()>().await;
        }
        self.0.range(request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_that_is_not_answered_in_time_costs_the_others_no_connection() {
    let memory = Arc::new(MemoryStore::new());
    put(&memory, "a", "0").await;
    let served = Served::open(Arc::new(Sticky(memory.clone()))).await;
    let mute = Mute::before(&served.endpoint).await;
    let client = EtcdStore::new(EtcdConfig {
        // Longer than a busy machine takes for an answer.
        request_timeout: Duration::from_secs(2),
        connect_timeout: PATIENCE,
        ..EtcdConfig::new(vec![mute.endpoint.clone()])
    })
    .unwrap();
    let (lease, _) = client.lease_grant(60, None).await.unwrap();
    let mut watch = client
        .watch(WatchRequest {
            keys: KeyRange::prefix("a"),
            start: None,
        })
        .await
        .unwrap();
    let stuck = client.range(RangeRequest::new(KeyRange::Key("stuck".into())));
    assert!(matches!(stuck.await, Err(StoreError::Unavailable(_))));
    client.lease_keep_alive(lease).await.unwrap();
    put(&memory, "a", "1").await;
    assert!(matches!(watch.next().await, Some(Ok(_))));
    assert_eq!(mute.accepted(), 1, "all on the one connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_answers_nothing_is_given_up_for_the_next_server() {
    let store = Arc::new(MemoryStore::new());
    let served = Served::open(Arc::clone(&store) as Arc<dyn Store>).await;
    let mute = Mute::before(&served.endpoint).await;
    let client = EtcdStore::new(EtcdConfig {
        request_timeout: Duration::from_secs(1),
        ..EtcdConfig::new(vec![mute.endpoint.clone(), served.endpoint.clone()])
    })
    .unwrap();
    client.status().await.unwrap();
    mute.set(true);
    // A write is sent once, and it is by writes alone that it shows.
    let write = || Txn {
        then: vec![Op::put("a", "1")],
        ..Txn::default()
    };
    eventually("the other server answers", async || {
        client.txn(write()).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_above_the_bound_is_refused_and_one_below_it_is_whole() {
    let store = Arc::new(MemoryStore::new());
    let value = "x".repeat(900_000);
    for number in 0..80 {
        // Above 64 MiB in two tables, each below.
        let table = if number % 2 == 0 { "evals" } else { "plans" };
        put(&store, &format!("/rove/{table}/{number:03}"), &value).await;
    }
    for number in 0..1_700 {
        put(&store, &format!("/rove/jobs/{number:04}"), "small").await;
    }
    let config = FrontendConfig::new(Keys::default());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config).await;
    let client = served.store();
    let all = RangeRequest::new(KeyRange::prefix("/rove/"));
    let refused = client.range(all.clone()).await;
    assert!(
        matches!(&refused, Err(StoreError::Invalid(why)) if why.contains("--limit")),
        "{:?}",
        refused.map(|answer| answer.kvs.len())
    );
    let many = Txn {
        then: vec![Op::Range(all.clone()); 2],
        ..Txn::default()
    };
    assert!(client.txn(many).await.is_err());
    let jobs = RangeRequest::new(KeyRange::prefix("/rove/jobs/"));
    let answer = client.range(jobs.clone()).await.unwrap();
    assert_eq!(
        (answer.kvs.len(), answer.count, answer.more),
        (1_700, 1_700, false)
    );
    let limited = RangeRequest {
        limit: Some(1_200),
        ..jobs
    };
    let answer = client.range(limited).await.unwrap();
    assert_eq!(
        (answer.kvs.len(), answer.count, answer.more),
        (1_200, 1_700, true)
    );
    for (limit, expected) in [(3, 3), (41, 41), (1_740, 1_740), (5_000, 1_780)] {
        let keys = RangeRequest {
            keys_only: true,
            limit: Some(limit),
            ..all.clone()
        };
        let answer = client.range(keys).await.unwrap();
        assert_eq!(answer.kvs.len(), expected, "{limit}");
        assert_eq!(
            (answer.count, answer.more),
            (1_780, limit < 1_780),
            "{limit}"
        );
    }
}

/// Notes how many lists are read at a time; each takes a while.
struct Crowded {
    inner: Arc<MemoryStore>,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl Wrapped for Crowded {
    fn inner(&self) -> Arc<dyn Store> {
        self.inner.clone()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        // The front end's own looks are not counted, which go on beside.
        let is_users = match &request.keys {
            KeyRange::Key(start) | KeyRange::Span(start, _) | KeyRange::From(start) => {
                start.starts_with(b"/rove/allocs/")
            }
        };
        if !is_users {
            return self.inner.range(request).await;
        }
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::Relaxed);
        self.inner.range(request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_list_at_once_a_few_do_at_a_time_and_all_are_answered() {
    let memory = Arc::new(MemoryStore::new());
    for node in 0..300 {
        put(&memory, &format!("/rove/allocs/{node}/a"), "1").await;
    }
    let crowded = Arc::new(Crowded {
        inner: memory,
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let served = Served::open(crowded.clone()).await;
    let store = served.store();
    let lists = (0..300).map(|node| {
        let keys = KeyRange::prefix(format!("/rove/allocs/{node}/"));
        store.range(RangeRequest::new(keys))
    });
    for answer in futures::future::join_all(lists).await {
        assert_eq!(answer.unwrap().kvs.len(), 1);
    }
    let most = crowded.most.load(Ordering::Relaxed);
    assert!(most <= 16, "{most} lists at a time");
}
