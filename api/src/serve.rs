//! The listener of the HTTP API and its limits: nobody who only connects, or who sends or reads a byte at a time, keeps
//! others out.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
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

/// So many callers are waited for at a time until they have heard it; further ones are told and left.
const REFUSALS: usize = 64;

/// The most bytes that are kept of what a connection sends or is to be sent, a head among it.
const BUFFER: usize = 64 * 1024;

/// How long a caller's next refusals are not logged.
const QUIET: Duration = Duration::from_secs(60);

/// So many callers are remembered for that; while there are more, refusals of others are not logged.
const REMEMBERED: usize = 1_024;

/// What callers may take of an agent's HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections of one address at a time; `None` for no limit.
    pub connections_per_client: Option<usize>,
    /// The most connections in all: they must leave descriptors for the rest of the agent.
    pub connections: usize,
    /// How long a caller may take for the head of the first call, counted from connecting.
    pub head: Duration,
    /// How long a caller may take for the head of a further call, counted from the end of the call before: so long a
    /// connection that is kept open may idle.
    pub idle: Duration,
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
            idle: Duration::from_secs(120),
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
    let refusals = Arc::new(Semaphore::new(REFUSALS));
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
            Err(is_news) => {
                if is_news {
                    tracing::warn!(
                        client = %address.ip(),
                        per_client = limits.connections_per_client,
                        in_all = limits.connections,
                        "a connection to the HTTP API was refused: there are too many (limits {{ http_max_conns_per_client }})"
                    );
                }
                match refusals.clone().try_acquire_owned() {
                    Ok(room) => {
                        calls.spawn(async move {
                            refuse(stream).await;
                            drop(room);
                        });
                    }
                    Err(_) => refuse_at_once(stream),
                }
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
    let calls = TowerToHyperService::new(router);
    let (called, first_call) = watch::channel(false);
    let service = service_fn(move |request| {
        called.send_replace(true);
        calls.call(request)
    });
    let io = TokioIo::new(Stalling::new(stream, limits.stall));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(BUFFER)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let nothing_asked = async {
        tokio::time::sleep(limits.head).await;
        if *first_call.borrow() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = nothing_asked => return,
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

/// Says it without waiting: it fits into the system's buffer of a connection that is new.
fn refuse_at_once(stream: TcpStream) {
    let said = stream.into_std().and_then(|mut stream| {
        // Whatever was sent is taken, as far as it has come: see `refuse`.
        let mut sent = [0; 1024];
        let _ = io::Read::read(&mut stream, &mut sent);
        io::Write::write_all(&mut stream, TOO_MANY)?;
        stream.shutdown(std::net::Shutdown::Write)
    });
    if let Err(error) = said {
        tracing::trace!(%error, "a caller was not told that there are too many connections");
    }
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    by_client: Mutex<HashMap<IpAddr, usize>>,
    all: AtomicUsize,
    /// Whose refusal was logged, and when.
    logged: Mutex<HashMap<IpAddr, Instant>>,
}

/// A connection that was let in; it makes room when it is dropped.
struct Entry {
    open: Arc<Open>,
    client: IpAddr,
}

impl Open {
    /// Lets a connection in; the error says whether its refusal is to be logged.
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
            drop(by_client);
            return Err(self.is_news(client, Instant::now()));
        }
        by_client.insert(client, own + 1);
        let all = self.all.fetch_add(1, Ordering::Relaxed) + 1;
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

    /// Whether no refusal of that caller was logged of late.
    fn is_news(&self, client: IpAddr, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late = |at: &Instant| now.saturating_duration_since(*at) < QUIET;
        if logged.get(&client).is_some_and(is_late) {
            return false;
        }
        if logged.len() >= REMEMBERED {
            logged.retain(|_, at| is_late(at));
        }
        let has_room = logged.len() < REMEMBERED;
        if has_room {
            logged.insert(client, now);
        }
        has_room
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_logged_once_a_minute_for_each_of_so_many_callers() {
        let open = Open::default();
        let now = Instant::now();
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!(open.is_news(client(0), now));
        assert!(!open.is_news(client(0), now + QUIET / 2));
        assert!(open.is_news(client(0), now + QUIET));
        let news = (1..10_000).filter(|number| open.is_news(client(*number), now + QUIET));
        assert_eq!(news.count(), REMEMBERED - 1);
        assert!(open.is_news(client(20_000), now + QUIET * 2));
    }
}
