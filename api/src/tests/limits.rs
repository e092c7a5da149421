//! Callers who take connections, or who send and read as slowly as they can, keep nobody out.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use rove_testkit::PATIENCE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::world::World;
use crate::{Limits, serve};

fn limits() -> Limits {
    Limits {
        connections_per_client: Some(5),
        connections: 100,
        head: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        body: Duration::from_millis(300),
        stall: Duration::from_millis(300),
    }
}

/// The same, with all the time in the world for what is on the line.
fn unhurried() -> Limits {
    Limits {
        head: PATIENCE,
        idle: PATIENCE,
        ..limits()
    }
}

async fn listen(world: &World, limits: Limits) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let (router, until) = (world.router.clone(), cancel.clone());
    tokio::spawn(async move { serve(listener, router, limits, until).await.unwrap() });
    (address, cancel.drop_guard())
}

/// What comes on a connection until the other side ends it.
async fn until_its_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text));
    match read.await.expect("the connection is never ended") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

const CALL: &[u8] = b"GET /v1/regions HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn answer(stream: &mut TcpStream) -> String {
    let _ = stream.write_all(CALL).await;
    let mut buffer = [0; 1024];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
    let count = read.expect("no answer").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

/// So many connections that are answered, and stay.
async fn hold(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    held
}

/// Whether a new connection is answered in the end.
async fn is_let_in(address: SocketAddr) -> bool {
    let tries = async {
        loop {
            let mut next = TcpStream::connect(address).await.unwrap();
            if answer(&mut next).await.starts_with("HTTP/1.1 200") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.is_ok()
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_is_told_when_it_wants_more() {
    let world = World::new().await;
    let (address, _stop) = listen(&world, unhurried()).await;
    let mut held = hold(address, 5).await;
    let mut sixth = TcpStream::connect(address).await.unwrap();
    let refusal = until_its_end(&mut sixth).await;
    assert!(refusal.starts_with("HTTP/1.1 429"), "{refusal}");
    held.pop();
    // Room is made as soon as the server sees the end.
    assert!(is_let_in(address).await);
}

#[tokio::test]
async fn however_many_are_refused_at_a_time_each_is_told() {
    let world = World::new().await;
    let (address, _stop) = listen(&world, unhurried()).await;
    let _held = hold(address, 5).await;
    // All stay on the line, so that none makes way for the next.
    let mut refused = Vec::new();
    for _ in 0..300 {
        refused.push(TcpStream::connect(address).await.unwrap());
    }
    for stream in &mut refused {
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
        let count = read.expect("no answer").unwrap_or(0);
        let refusal = String::from_utf8_lossy(&buffer[..count]);
        assert!(refusal.starts_with("HTTP/1.1 429"), "{refusal}");
    }
}

#[tokio::test]
async fn without_a_limit_of_one_address_the_limit_of_all_holds() {
    let world = World::new().await;
    let wide = Limits {
        connections_per_client: None,
        connections: 20,
        ..unhurried()
    };
    let (address, _stop) = listen(&world, wide).await;
    let _held = hold(address, 20).await;
    let mut next = TcpStream::connect(address).await.unwrap();
    let refusal = until_its_end(&mut next).await;
    assert!(refusal.starts_with("HTTP/1.1 429"), "{refusal}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_a_byte_at_a_time_is_ended() {
    let world = World::new().await;
    let (address, _stop) = listen(&world, limits()).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    let mut slow = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = slow.split();
    let drip = async {
        writing
            .write_all(b"GET /v1/regions HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        while writing.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let end = async {
        let mut text = Vec::new();
        let _ = reading.read_to_end(&mut text).await;
    };
    tokio::time::timeout(PATIENCE, async {
        tokio::select! { () = drip => {}, () = end => {} }
    })
    .await
    .expect("a head that never ends is read for ever");
    until_its_end(&mut silent).await;
    until_its_end(&mut idle).await;
}

#[tokio::test]
async fn a_body_that_comes_a_byte_at_a_time_is_ended_and_the_caller_is_told() {
    let world = World::new().await;
    let (address, _stop) = listen(&world, limits()).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = slow.split();
    writing
        .write_all(b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        .await
        .unwrap();
    let drip = async {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut text = vec![0; 4096];
    let count = tokio::select! {
        () = drip => 0,
        read = tokio::time::timeout(PATIENCE, reading.read(&mut text)) => {
            read.expect("a body that never ends is read for ever").unwrap()
        }
    };
    let text = String::from_utf8_lossy(&text[..count]);
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let world = World::new().await;
    for number in 0..400 {
        let mut job = super::world::small_job(&format!("job-{number}"));
        job["Meta"] = serde_json::json!({"long": "x".repeat(40_000)});
        world.register(&job).await;
    }
    let one = Limits {
        connections_per_client: Some(1),
        ..limits()
    };
    let (address, _stop) = listen(&world, one).await;
    let mut unread = TcpStream::connect(address).await.unwrap();
    unread
        .write_all(b"GET /v1/jobs?meta=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(
        is_let_in(address).await,
        "the connection whose answer is not read is held for ever"
    );
}

/// How many connections an attacker opens: more in the nightly run, which sets `ROVE_ATTACK=large`.
fn many() -> usize {
    if std::env::var_os("ROVE_ATTACK").is_some_and(|size| size == "large") {
        5_000
    } else {
        50
    }
}

#[tokio::test]
async fn who_opens_one_connection_after_the_other_keeps_no_other_address_out() {
    let world = World::new().await;
    let (address, _stop) = listen(&world, unhurried()).await;
    let mut held = Vec::new();
    for _ in 0..many() {
        held.push(TcpStream::connect(address).await.unwrap());
        if held.len() > 200 {
            held.drain(5..100);
        }
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(address).await.unwrap();
    let answered = answer(&mut other).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_reads_waits_for_no_body_and_keeps_none() {
    let world = World::new().await;
    let never = || {
        let chunks = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        axum::body::Body::from_stream(chunks)
    };
    for (method, path, status) in [
        ("GET", "/v1/regions", 200),
        ("GET", "/v1/jobs?index=1&wait=1s", 200),
        ("DELETE", "/v1/job/none", 200),
        ("PUT", "/v1/search/fuzzy", 501),
        ("PUT", "/v1/jobs", 408),
    ] {
        let reply = super::world::send(&world.router, method, path, never()).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.text);
    }
    let long = |bytes: usize| axum::body::Body::from(vec![b' '; bytes]);
    for (method, path, bytes, status) in [
        ("GET", "/v1/regions", 1_000, 200),
        ("GET", "/v1/regions", 65 * 1024, 413),
        ("PUT", "/v1/search", 5 * 1024, 413),
        ("PUT", "/v1/client/proof", 5 * 1024, 413),
        ("PUT", "/v1/jobs", 5 * 1024 * 1024, 413),
    ] {
        let reply = super::world::send(&world.router, method, path, long(bytes)).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_connection_that_has_made_a_call_may_idle_longer_than_one_that_never_did() {
    let world = World::new().await;
    let patient = Limits {
        idle: PATIENCE,
        ..limits()
    };
    let (address, _stop) = listen(&world, patient).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    assert!(answer(&mut kept).await.starts_with("HTTP/1.1 200"));
    let mut silent = TcpStream::connect(address).await.unwrap();
    until_its_end(&mut silent).await;
    let answered = answer(&mut kept).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}
