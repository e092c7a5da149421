//! What strangers can do to port 4647, with small numbers; `scripts/nightly` runs the same with large ones
//! (`ROVE_ATTACK=large`).

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rove_model::ids::{AllocId, NodeId};
use rove_store::embedded::{EmbeddedStore, Options};
use rove_store::frontend::FrontendConfig;
use rove_store::keys::{Key, Keys};
use rove_store::memory::MemoryStore;
use rove_store::store::{
    Compare, CompareOp, CompareTarget, KeyRange, Op, RangeRequest, Store, StoreError, Txn,
};
use support::{Etcd, Served, eventually, is_there};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// One test at a time: they measure the memory of the process they share.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The most that the server may take above what it takes at rest.
const GROWTH: u64 = 200 << 20;

fn is_large() -> bool {
    std::env::var("ROVE_ATTACK").is_ok_and(|size| size == "large")
}

fn node(number: u32) -> NodeId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    NodeId::from_random(id)
}

fn keys() -> Keys {
    Keys::default()
}

fn config() -> FrontendConfig {
    FrontendConfig::new(keys())
}

async fn put(
    store: &dyn Store,
    key: impl Into<bytes::Bytes>,
    value: Vec<u8>,
) -> Result<(), StoreError> {
    let txn = Txn {
        then: vec![Op::put(key, value)],
        ..Txn::default()
    };
    store.txn(txn).await.map(|_| ())
}

async fn count(store: &dyn Store) -> u64 {
    let request = RangeRequest {
        count_only: true,
        ..RangeRequest::new(keys().all())
    };
    store.range(request).await.unwrap().count
}

/// Bytes of memory that this process has.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// A connection of HTTP/2 that asks and never reads.
struct Unread(TcpStream);

impl Unread {
    fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        bytes.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend([kind, flags]);
        bytes.extend(id.to_be_bytes());
        bytes.extend(payload);
    }

    fn head(path: &str) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "rove"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            head.push(0);
            for text in [name, value] {
                head.push(u8::try_from(text.len()).unwrap());
                head.extend(text.as_bytes());
            }
        }
        head
    }

    /// Asks `path` for `message` on so many streams. The window is large: only the reader is slow.
    async fn ask(endpoint: &str, path: &str, message: &[u8], streams: u32) -> Self {
        let mut stream = TcpStream::connect(endpoint).await.unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // The streams' window and the connection's.
        Self::frame(
            &mut bytes,
            4,
            0,
            0,
            &[&[0, 4][..], &(64_u32 << 20).to_be_bytes()].concat(),
        );
        Self::frame(&mut bytes, 8, 0, 0, &(1_u32 << 30).to_be_bytes());
        let head = Self::head(path);
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        for number in 0..streams {
            let id = 2 * number + 1;
            Self::frame(&mut bytes, 1, 4, id, &head);
            Self::frame(&mut bytes, 0, 1, id, &body);
        }
        stream.write_all(&bytes).await.unwrap();
        Self(stream)
    }
}

/// etcd's `RangeRequest` of everything that begins with the prefix.
fn everything() -> Vec<u8> {
    let mut message = Vec::new();
    for (field, key) in [(1_u8, &b"/rove/"[..]), (2, b"/rove0")] {
        message.push(field << 3 | 2);
        message.push(u8::try_from(key.len()).unwrap());
        message.extend(key);
    }
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_take_bounded_memory_and_others_are_answered() {
    let _alone = ALONE.lock().await;
    let (connections, streams) = if is_large() { (40, 60) } else { (3, 20) };
    let store = Arc::new(MemoryStore::new());
    for number in 0..36 {
        put(
            &*store,
            format!("/rove/evals/{number:03}"),
            vec![b'x'; 800_000],
        )
        .await
        .unwrap();
    }
    put(&*store, "/rove/jobs/default/web", vec![b'y'; 1_000])
        .await
        .unwrap();
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config()).await;
    let client = served.store();
    client.status().await.unwrap();
    let rest = memory();
    let mut unread = Vec::new();
    for _ in 0..connections {
        unread.push(
            Unread::ask(
                &served.endpoint,
                "/etcdserverpb.KV/Range",
                &everything(),
                streams,
            )
            .await,
        );
    }
    grows_little(rest, &format!("{connections} x {streams} unread answers")).await;
    let jobs = RangeRequest::new(KeyRange::prefix("/rove/jobs/"));
    assert_eq!(client.range(jobs).await.unwrap().kvs.len(), 1);
    // A large answer finds room as well: those who don't read make way.
    let all = RangeRequest::new(KeyRange::prefix("/rove/evals/"));
    let answer = eventually("a large answer", async || {
        client.range(all.clone()).await.ok()
    })
    .await;
    assert_eq!(answer.kvs.len(), 36);
    // Whoever reads in the end gets what was promised, or an end.
    for Unread(mut stream) in unread {
        let mut buffer = vec![0; 1 << 16];
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await;
    }
}

/// Holds that the memory stays near what it was at `rest`, in bytes. An attack takes its time: until nothing more comes,
/// or what comes is too much.
async fn grows_little(rest: u64, attack: &str) {
    let mut most = 0;
    let mut still = 0;
    let mut last = 0;
    while still < 20 && most < 2 * GROWTH {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = memory().saturating_sub(rest);
        still = if now.abs_diff(last) < 1 << 20 {
            still + 1
        } else {
            0
        };
        last = now;
        most = most.max(now);
    }
    println!("{attack}: {} MiB above rest", most >> 20);
    assert!(most <= GROWTH, "{} MiB", most >> 20);
}

/// The body of a request of which a part comes, and then nothing.
struct Half(std::collections::VecDeque<bytes::Bytes>);

impl Half {
    /// A message of a megabyte, but for its last byte.
    fn new() -> Self {
        static PART: [u8; 16 << 10] = [0; 16 << 10];
        const PARTS: u32 = 64;
        let length = PARTS * (16 << 10) + 1;
        let head = [&[0][..], &length.to_be_bytes()].concat();
        let mut frames = std::collections::VecDeque::from([head.into()]);
        frames.extend((0..PARTS).map(|_| bytes::Bytes::from_static(&PART)));
        Self(frames)
    }
}

impl http_body::Body for Half {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        match self.0.pop_front() {
            Some(data) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(data)))),
            None => std::task::Poll::Pending,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_never_sent_to_their_end_take_bounded_memory() {
    let _alone = ALONE.lock().await;
    let (connections, streams) = if is_large() { (40, 60) } else { (12, 30) };
    let store = Arc::new(MemoryStore::new());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config()).await;
    let known = served.store_of(&node(1).to_string(), SECRET);
    let key = keys().encode(&Key::Node(node(1)));
    put(&known, key.clone(), vec![b'n'; 2_000]).await.unwrap();
    let rest = memory();
    let mut halves = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let channel =
            tonic::transport::Endpoint::from_shared(format!("http://{}", served.endpoint))
                .unwrap()
                .connect()
                .await
                .unwrap();
        for _ in 0..streams {
            let mut channel = channel.clone();
            let address = format!("http://{}/etcdserverpb.KV/Txn", served.endpoint);
            halves.spawn(async move {
                let request = tonic::codegen::http::Request::post(address)
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(tonic::body::Body::new(Half::new()))
                    .unwrap();
                std::future::poll_fn(|cx| tonic::codegen::Service::poll_ready(&mut channel, cx))
                    .await
                    .is_ok_and(|()| true)
                    && tonic::codegen::Service::call(&mut channel, request)
                        .await
                        .is_ok()
            });
        }
    }
    grows_little(rest, &format!("{connections} x {streams} half requests")).await;
    // One that comes whole finds room: those that don't go on make way.
    eventually("a whole request", async || {
        put(&known, key.clone(), vec![b'n'; 100_000]).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_nobody_reads_take_bounded_memory() {
    let _alone = ALONE.lock().await;
    let (connections, streams) = if is_large() { (40, 60) } else { (6, 30) };
    let store = Arc::new(MemoryStore::new());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config()).await;
    let client = served.store();
    client.status().await.unwrap();
    let rest = memory();
    // A watch of everything: a create request of `key` and `range_end`.
    let range = everything();
    let mut message = vec![1 << 3 | 2, u8::try_from(range.len()).unwrap()];
    message.extend(range);
    let mut unread = Vec::new();
    for _ in 0..connections {
        unread.push(
            Unread::ask(
                &served.endpoint,
                "/etcdserverpb.Watch/Watch",
                &message,
                streams,
            )
            .await,
        );
    }
    let mut most = 0;
    for number in 0..60 {
        // One key, so that the store itself doesn't grow by more than its history.
        put(&*store, "/rove/evals/one", vec![b'x'; 500_000])
            .await
            .unwrap();
        if number % 10 == 0 {
            let at = store.status().await.unwrap().revision;
            store.compact(at).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        most = most.max(memory().saturating_sub(rest));
    }
    println!(
        "{connections} x {streams} unread watches: {} MiB above rest",
        most >> 20
    );
    assert!(most <= GROWTH, "{} MiB", most >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_ins_leave_nothing_in_the_store() {
    let _alone = ALONE.lock().await;
    let log_ins = if is_large() { 5_000 } else { 100 };
    let store = Arc::new(MemoryStore::new());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config()).await;
    let rest = memory();
    for number in 0..log_ins {
        let client = served.store_of(&node(number).to_string(), SECRET);
        client.status().await.unwrap();
    }
    assert_eq!(count(&*store).await, 0);
    println!(
        "{log_ins} log-ins: {} MiB above rest",
        memory().saturating_sub(rest) >> 20
    );
    assert!(memory().saturating_sub(rest) <= GROWTH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_has_few_leases() {
    let _alone = ALONE.lock().await;
    let store = Arc::new(MemoryStore::new());
    let served = Served::start(Arc::clone(&store) as Arc<dyn Store>, config()).await;
    let client = served.store_of(&node(1).to_string(), SECRET);
    let mut given = 0;
    while given < 100 && client.lease_grant(86_400, None).await.is_ok() {
        given += 1;
    }
    assert!((1..=16).contains(&given), "{given}");
    // For which no secret stands yet, they last no longer than it takes to register.
    for lease in store.leases().await.unwrap() {
        let (left, _) = store.lease_time_to_live(lease).await.unwrap();
        assert!(left <= 60, "{left}");
    }
}

/// A made-up node fills what it can; then a job is stopped, and a node that is known says that it is alive.
async fn fills(store: Arc<dyn Store>, quota: u64) {
    let keys = keys();
    let known = node(1);
    let job: bytes::Bytes = "/rove/jobs/default/web".into();
    put(&*store, job.clone(), vec![b'x'; 1_000]).await.unwrap();
    let alloc = AllocId::from_random([3; 16]);
    put(
        &*store,
        keys.encode(&Key::Alloc(known, alloc)),
        vec![b'x'; 1_000],
    )
    .await
    .unwrap();
    let served = Served::start(Arc::clone(&store), config()).await;
    let honest = served.store_of(&known.to_string(), SECRET);
    put(&honest, keys.encode(&Key::Node(known)), vec![b'n'; 2_000])
        .await
        .unwrap();
    let made_up = node(2);
    let client = served.store_of(&made_up.to_string(), SECRET);
    put(&client, keys.encode(&Key::Node(made_up)), vec![b'n'; 2_000])
        .await
        .unwrap();
    let before = count(&*store).await;
    let mut taken = 0;
    for number in 0..84_u8 {
        let alloc = AllocId::from_random([number; 16]);
        let key = keys.encode(&Key::AllocStatus(made_up, alloc));
        taken += usize::from(put(&client, key, vec![b's'; 400_000]).await.is_ok());
        // Nor where it says that the alloc is there.
        let txn = Txn {
            compares: vec![Compare {
                keys: KeyRange::Key(keys.encode(&Key::Alloc(made_up, alloc))),
                target: CompareTarget::CreateRevision(0),
                op: CompareOp::Greater,
            }],
            then: vec![],
            otherwise: vec![Op::put(
                keys.encode(&Key::AllocStatus(made_up, alloc)),
                vec![b's'; 100_000],
            )],
        };
        taken += usize::from(client.txn(txn).await.is_ok_and(|answer| !answer.succeeded));
    }
    assert_eq!(taken, 0, "statuses of allocs that are not there");
    assert_eq!(count(&*store).await, before);
    // What is its own it may overwrite, but not without end.
    for _ in 0..400 {
        let _ = put(
            &client,
            keys.encode(&Key::Node(made_up)),
            vec![b'n'; 100_000],
        )
        .await;
    }
    let status = store.status().await.unwrap();
    println!("{} of {quota} bytes after a made-up node", status.counted());
    assert!(status.counted() < quota, "{status:?}");
    // A status of an alloc that is there is taken, the stop of a job too, and a sign of life.
    put(
        &honest,
        keys.encode(&Key::AllocStatus(known, alloc)),
        vec![b's'; 2_000],
    )
    .await
    .unwrap();
    put(&honest, keys.encode(&Key::NodeAlive(known)), b"{}".to_vec())
        .await
        .unwrap();
    put(&*store, job, vec![b'y'; 1_000]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_up_node_does_not_fill_the_embedded_store() {
    let _alone = ALONE.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        quota_bytes: 32 << 20,
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    fills(Arc::new(store), 32 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_up_node_does_not_fill_etcd() {
    let _alone = ALONE.lock().await;
    if !is_there("etcd") {
        return;
    }
    let quota = 32 << 20;
    let argument = format!("--quota-backend-bytes={quota}");
    let etcd = Etcd::start(&[&argument]).await;
    fills(Arc::new(etcd.store()), quota).await;
}
