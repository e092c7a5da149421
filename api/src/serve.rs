//! The listener of the HTTP API and its limits: nobody who only connects, or who sends or reads a byte at a time, keeps
//! others out.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long calls may go on after the agent was told to end.
const GRACE: Duration = Duration::from_secs(2);

/// How long it rests after the system refused a connection, as it does when descriptors run out.
const REST: Duration = Duration::from_millis(500);

/// What is said to a caller who has too many connections.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long that may take to be sent.
const REFUSAL: Duration = Duration::from_millis(100);

/// What callers may take of an agent's HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections of one address at a time; `None` for no limit.
    pub connections_per_client: Option<usize>,
    /// The most connections in all: they must leave descriptors for the rest of the agent.
    pub connections: usize,
    /// How long a caller may take for the head of a call, counted from the end of the call before or from connecting: a
    /// connection that is kept open idles no longer than that.
    pub head: Duration,
    /// How long a caller may take for the body of a call.
    pub body: Duration,
    /// How long a caller may let an answer wait without reading any of it.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_client: Some(100),
            connections: 4_096,
            head: Duration::from_secs(30),
            body: Duration::from_secs(60),
            stall: Duration::from_secs(60),
        }
    }
}

/// Serves until it is cancelled; calls under way get a moment to end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    cancel: CancellationToken,
) -> io::Result<()> {
    let router = router.layer(axum::Extension(BodyTime(limits.body)));
    let open = Arc::new(Open::default());
    let mut calls = JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = calls.join_next(), if !calls.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        tracing::warn!(%error, "the HTTP API can't take a connection");
                        tokio::time::sleep(REST).await;
                    }
                    continue;
                }
            },
        };
        match open.enter(address.ip(), &limits) {
            Ok(entry) => {
                let (router, cancel) = (router.clone(), cancel.clone());
                calls.spawn(async move {
                    connection(stream, router, limits, cancel).await;
                    drop(entry);
                });
            }
            Err(first) => {
                if first {
                    tracing::warn!(
                        client = %address.ip(),
                        per_client = limits.connections_per_client,
                        in_all = limits.connections,
                        "a connection to the HTTP API was refused: there are too many (limits {{ http_max_conns_per_client }})"
                    );
                }
                calls.spawn(refuse(stream));
            }
        }
    }
    drop(listener);
    let ended = async { while calls.join_next().await.is_some() {} };
    // What is not over by then is cut off as the set is dropped.
    let _ = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}

/// How long the body of a call may take, for who reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTime(pub(crate) Duration);

impl Default for BodyTime {
    fn default() -> Self {
        Self(Limits::default().body)
    }
}

/// The caller went away before it was let in: no business of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, cancel: CancellationToken) {
    // Answers are small, and whoever follows a log waits for each line.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let io = TokioIo::new(Stalling::new(stream, limits.stall));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection to the HTTP API ended early");
    }
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(REFUSAL, async {
        stream.write_all(TOO_MANY).await?;
        stream.shutdown().await?;
        // What the caller has sent is taken, or the system would throw the refusal away with it.
        let mut sent = [0; 1024];
        while stream.read(&mut sent).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    by_client: Mutex<HashMap<IpAddr, usize>>,
    all: AtomicUsize,
    /// A refusal was said since the last connection that was let in.
    said: AtomicBool,
}

/// A connection that was let in; it makes room when it is dropped.
struct Entry {
    open: Arc<Open>,
    client: IpAddr,
}

impl Open {
    /// Lets a connection in; the error says whether it is the first that is refused.
    fn enter(self: &Arc<Self>, client: IpAddr, limits: &Limits) -> Result<Entry, bool> {
        let client = client.to_canonical();
        let mut by_client = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let own = by_client.get(&client).copied().unwrap_or(0);
        let full = limits
            .connections_per_client
            .is_some_and(|most| own >= most)
            || self.all.load(Ordering::Relaxed) >= limits.connections;
        if full {
            return Err(!self.said.swap(true, Ordering::Relaxed));
        }
        by_client.insert(client, own + 1);
        let all = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        // Halfway down again it is news once more.
        if all * 2 < limits.connections {
            self.said.store(false, Ordering::Relaxed);
        }
        if all * 5 >= limits.connections * 4 && (all - 1) * 5 < limits.connections * 4 {
            tracing::warn!(
                open = all,
                most = limits.connections,
                "the HTTP API is near the limit of its connections"
            );
        }
        Ok(Entry {
            open: self.clone(),
            client,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut by_client = self
            .open
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                by_client.remove(&self.client);
            }
        }
        self.open.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose writes fail when nothing of them was taken for a while.
struct Stalling {
    stream: TcpStream,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            deadline: None,
        }
    }

    /// What a write came to, or the end of its time.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.deadline = None;
            return Poll::Ready(done);
        }
        let limit = self.limit;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the answer is not read",
        )))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watched(context, |stream, context| stream.poll_write(context, data))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watched(context, |stream, context| {
            stream.poll_write_vectored(context, data)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context, |stream, context| stream.poll_shutdown(context))
    }
}
