//! What waits to be sent, and what came of requests that are not whole yet: budgeted per connection and in all.
//!
//! An answer leaves this process in small frames, as its reader takes them, and its bytes count from when it is built
//! until its last byte is taken. Where there is no room for more, the connection that holds the most and doesn't move
//! is ended, so that whoever reads is answered.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::codegen::{Service, http};
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::{Extensions, Status};
use tower::Layer;

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
struct Most {
    /// Of one connection.
    connection: usize,
    all: usize,
}

/// Of answers: of one connection above the largest of them.
const ANSWERS: Most = Most {
    connection: 34 << 20,
    all: 64 << 20,
};

/// Of requests that are not whole yet: above what a node sends at a time. In memory they take some three times as much.
const REQUESTS: Most = Most {
    connection: 8 << 20,
    all: 24 << 20,
};

/// A request has come whole within this time.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// A reader that has taken nothing for so long makes room when there is none. So does one that has held much for longer,
/// however it moves.
const PATIENCE: Duration = Duration::from_secs(1);
const MUCH_OF_ALL: usize = 8;
const PATIENCE_WITH_MUCH: Duration = Duration::from_secs(5);

/// What of a request is not counted: most are smaller.
const SMALL_REQUEST: usize = 4 << 10;

/// An answer is handed to the connection in frames of this size.
const FRAME: usize = 64 << 10;

/// Connections at a time: thousands of agents may share an address, so they are counted in all.
pub(super) const MAX_CONNECTIONS: usize = 16_384;

/// What is known of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) addr: Option<SocketAddr>,
    number: u64,
    end: CancellationToken,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Waiting {
    most: Most,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// By the number of the connection.
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    bytes: usize,
    /// Since when it holds anything.
    since: Instant,
    /// When its reader last took something, or its sender sent something.
    moved: Instant,
    end: CancellationToken,
}

/// Bytes that wait to be sent; they do no longer once it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    waiting: Arc<Waiting>,
    connection: u64,
    bytes: usize,
}

impl Charge {
    /// Holds from now on what another of the same connection held.
    fn take_in(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut held = self.waiting.lock();
        if let Some(connection) = held.connections.get_mut(&self.connection) {
            connection.bytes = connection.bytes.saturating_sub(self.bytes);
            if connection.bytes == 0 {
                held.connections.remove(&self.connection);
            }
            held.all = held.all.saturating_sub(self.bytes);
        }
    }
}

pub(super) fn exhausted() -> Status {
    Status::resource_exhausted(
        "rove: too much waits to be read from this server, read what was asked for before asking for more",
    )
}

impl Waiting {
    /// Of answers.
    pub(super) fn of_answers() -> Self {
        Self {
            most: ANSWERS,
            held: Mutex::default(),
        }
    }

    fn of_requests() -> Self {
        Self {
            most: REQUESTS,
            held: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer of so many bytes.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) fn charge(
        self: &Arc<Self>,
        extensions: &Extensions,
        bytes: usize,
    ) -> Result<Option<Charge>, Status> {
        extensions
            .get::<Peer>()
            .map(|peer| self.charge_peer(peer, bytes))
            .transpose()
    }

    fn charge_peer(self: &Arc<Self>, peer: &Peer, bytes: usize) -> Result<Charge, Status> {
        // One that was ended holds nothing any more, and what it still sends is not begun to be counted anew.
        if peer.end.is_cancelled() {
            return Err(exhausted());
        }
        let mut held = self.lock();
        let own = held
            .connections
            .get(&peer.number)
            .map_or(0, |own| own.bytes);
        if own > 0 && own + bytes > self.most.connection {
            return Err(exhausted());
        }
        let now = Instant::now();
        while held.all > 0 && held.all + bytes > self.most.all {
            let most = held
                .connections
                .iter()
                .filter(|(number, other)| {
                    let much = other.bytes > self.most.all / MUCH_OF_ALL
                        && now >= other.since + PATIENCE_WITH_MUCH;
                    **number != peer.number && (much || now >= other.moved + PATIENCE)
                })
                .max_by_key(|(_, other)| other.bytes)
                .map(|(number, _)| *number);
            let Some(ended) = most.and_then(|most| held.connections.remove(&most)) else {
                return Err(exhausted());
            };
            tracing::warn!(
                bytes = ended.bytes,
                "a connection that does not read its answers, or does not end its requests, is ended"
            );
            held.all = held.all.saturating_sub(ended.bytes);
            ended.end.cancel();
        }
        held.all += bytes;
        let connection = held
            .connections
            .entry(peer.number)
            .or_insert_with(|| Connection {
                bytes: 0,
                since: now,
                moved: now,
                end: peer.end.clone(),
            });
        if connection.bytes == 0 {
            connection.moved = now;
        }
        connection.bytes += bytes;
        Ok(Charge {
            waiting: Arc::clone(self),
            connection: peer.number,
            bytes,
        })
    }

    fn moved(&self, connection: u64) {
        if let Some(connection) = self.lock().connections.get_mut(&connection) {
            connection.moved = Instant::now();
        }
    }

    #[cfg(test)]
    fn all(&self) -> usize {
        self.lock().all
    }
}

/// What goes with an answer until it is sent: its bytes' place in the budget, and until it is encoded its turn among long
/// reads.
#[derive(Debug, Default)]
pub(super) struct Answer {
    charge: Option<Charge>,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Answer {
    pub(super) fn new(charge: Option<Charge>, turn: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        Arc::new(Self {
            charge,
            turn: Mutex::new(turn),
        })
    }
}

/// Lets an answer's body hold what goes with it, and counts what came of a request that isn't whole yet.
#[derive(Clone, Debug)]
pub(super) struct SendingLayer(Arc<Waiting>);

impl SendingLayer {
    pub(super) fn new() -> Self {
        Self(Arc::new(Waiting::of_requests()))
    }
}

impl<S> Layer<S> for SendingLayer {
    type Service = Sending<S>;

    fn layer(&self, inner: S) -> Sending<S> {
        Sending {
            inner,
            coming: Arc::clone(&self.0),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sending<S> {
    inner: S,
    coming: Arc<Waiting>,
}

impl<S> Service<http::Request<tonic::body::Body>> for Sending<S>
where
    S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Slices>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>().cloned();
        let waiting = Arc::clone(&self.coming);
        // What a stream of requests is made of is small each, and taken as it comes.
        let is_stream = request.uri().path().ends_with("/Watch")
            || request.uri().path().ends_with("/LeaseKeepAlive");
        let request = match peer {
            Some(peer) if !is_stream => request.map(|inner| {
                tonic::body::Body::new(Coming {
                    inner,
                    small: 0,
                    held: None,
                    peer,
                    waiting,
                    end: Box::pin(tokio::time::sleep(REQUEST_TIME)),
                })
            }),
            Some(_) | None => request,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let answer = response.extensions_mut().remove::<Arc<Answer>>();
            Ok(response.map(|inner| Slices {
                inner,
                rest: Bytes::new(),
                answer,
            }))
        })
    }
}

/// The body of a request: what came of it counts until all has come.
struct Coming {
    inner: tonic::body::Body,
    small: usize,
    held: Option<Charge>,
    peer: Peer,
    waiting: Arc<Waiting>,
    end: Pin<Box<tokio::time::Sleep>>,
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Status::deadline_exceeded(
                "rove: the request did not come to its end in time",
            ))));
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            if self.small < SMALL_REQUEST {
                self.small += data.len();
            } else {
                let charge = self.waiting.charge_peer(&self.peer, data.len())?;
                self.waiting.moved(self.peer.number);
                match &mut self.held {
                    Some(held) => held.take_in(charge),
                    none => *none = Some(charge),
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body in small frames, so that what isn't read yet stays here and is counted.
pub(super) struct Slices {
    inner: tonic::body::Body,
    rest: Bytes,
    answer: Option<Arc<Answer>>,
}

impl Body for Slices {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        if let Some(answer) = &self.answer {
            drop(
                answer
                    .turn
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
            if let Some(charge) = &answer.charge {
                charge.waiting.moved(charge.connection);
            }
        }
        let length = self.rest.len().min(FRAME);
        let frame = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Connections as they come, at most so many at a time. Each can be ended from here.
pub(super) fn incoming(
    listener: TcpIncoming,
) -> impl Stream<Item = io::Result<Endable>> + Send + 'static {
    let open = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    futures::stream::unfold(
        (listener, open, 0_u64),
        |(mut listener, open, number)| async move {
            // Closed by nobody. Those that come meanwhile wait in the listener's queue.
            let permit = Arc::clone(&open).acquire_owned().await.ok()?;
            let stream = futures::StreamExt::next(&mut listener).await?;
            let connection = stream.map(|stream| {
                let end = CancellationToken::new();
                Endable {
                    peer: Peer {
                        addr: stream.peer_addr().ok(),
                        number,
                        end: end.clone(),
                    },
                    ended: Box::pin(end.cancelled_owned()),
                    stream,
                    _permit: permit,
                }
            });
            Some((connection, (listener, open, number + 1)))
        },
    )
}

/// A connection that can be ended from outside.
pub(super) struct Endable {
    stream: TcpStream,
    peer: Peer,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

impl Endable {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Connected for Endable {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Endable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Endable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn peer(number: u64) -> (Extensions, CancellationToken) {
        let end = CancellationToken::new();
        let mut extensions = Extensions::new();
        extensions.insert(Peer {
            addr: None,
            number,
            end: end.clone(),
        });
        (extensions, end)
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded_and_who_does_not_read_makes_room() {
        let waiting = Arc::new(Waiting::of_answers());
        let (greedy, ended) = peer(1);
        let (other, other_ended) = peer(2);
        let (third, _) = peer(3);
        let large = ANSWERS.connection - 1;
        let first = waiting.charge(&greedy, large).unwrap().unwrap();
        assert!(waiting.charge(&greedy, 2).is_err(), "the connection's own");
        let second = waiting
            .charge(&other, ANSWERS.all - large)
            .unwrap()
            .unwrap();
        // Both were just answered: neither is known not to read.
        assert!(waiting.charge(&third, 1).is_err());
        tokio::time::advance(PATIENCE).await;
        waiting.moved(2);
        let _third = waiting.charge(&third, 1).unwrap().unwrap();
        assert!(ended.is_cancelled() && !other_ended.is_cancelled());
        // What the ended one held is given back once.
        drop(first);
        assert_eq!(waiting.all(), ANSWERS.all - large + 1);
        drop(second);
        assert_eq!(waiting.all(), 1);
    }
}
