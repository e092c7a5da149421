//! Watch: several watches on one stream, each a registration at the hub. The stream has no task of its own: it is
//! driven by its reader, so a reader that stops costs no more than its queue.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use etcd_client::proto::{
    PbEvent, PbKeyValue, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse, PbWatchService,
};
use futures::Stream;
use rove_model::ids::Revision;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::budget::Held;
use super::hub::{Backlog, Delivery, Loss, Outlet, Overtaken, Refusal, Registration, unavailable};
use super::sending::Peer;
use super::{Shared, convert};
use crate::event_ring::event_bytes;
use crate::store::{Event, KeyRange, KeyValue, RangeRequest};

/// Deliveries that wait for a stream's reader; past them its watches are lost.
const QUEUE: usize = 256;

/// Watches on one stream.
const MAX_WATCHES: usize = 256;

/// A response holds no more events and bytes than this, unless a single revision does.
const BATCH_EVENTS: usize = 1_000;
const BATCH_BYTES: usize = 128 << 10;

/// Not all at once: thousands of streams may have begun in one moment.
fn progress_at(every: Duration) -> Instant {
    Instant::now() + every.mul_f64(rand::random_range(0.75..=1.0))
}

pub(super) struct WatchService(pub(super) Arc<Shared>);

type Responses = Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

/// How a watch wants its events.
struct Wants {
    previous: bool,
    no_put: bool,
    no_delete: bool,
    /// Tell it now and then that it lives.
    progress: bool,
    /// Dropping it ends the watch.
    _registration: Registration,
}

struct Session {
    shared: Arc<Shared>,
    requests: Streaming<PbWatchRequest>,
    outlet: Outlet,
    queue: mpsc::Receiver<Delivery>,
    watches: BTreeMap<i64, Wants>,
    next_id: i64,
    out: VecDeque<PbWatchResponse>,
    /// What comes behind `out`: events that are not made into responses before there is room for them.
    pending: Option<Pending>,
    /// What was handed over last and isn't encoded or taken yet.
    sent: Option<Held>,
    asking: bool,
    /// When its watches are told that they live, unless events come before.
    progress_at: Instant,
}

/// Events of one watch that are being sent.
struct Pending {
    watch: i64,
    head: Revision,
    /// What comes before anything new; `None` once it was sent.
    backlog: Option<Backlog>,
    events: VecDeque<Event>,
    /// The events' place in the budget.
    held: Option<Held>,
}

impl Pending {
    /// The next event, if there is one.
    ///
    /// # Errors
    /// When its reader was so slow that what it waits for isn't kept any more.
    fn front(&mut self, outlet: &Outlet) -> Result<Option<&Event>, Overtaken> {
        while self.events.is_empty() {
            let Some(backlog) = &mut self.backlog else {
                return Ok(None);
            };
            let Some(events) = backlog.next_batch()? else {
                self.backlog = None;
                return Ok(None);
            };
            self.held = None;
            if !events.is_empty() {
                let bytes = events.iter().map(event_bytes).sum();
                let held = outlet.budget.take(bytes);
                self.held = Some(held.ok_or(Overtaken(backlog.next()))?);
            }
            self.events = events.into();
        }
        Ok(self.events.front())
    }
}

/// What a stream's driver wakes for.
enum Wake {
    Request(Box<Option<Result<PbWatchRequest, Status>>>),
    Delivery(Delivery),
    Lost,
    Quiet,
    Cancelled,
}

#[async_trait]
impl PbWatchService for WatchService {
    type WatchStream = Responses;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.0.caller(request.metadata())?;
        let peer = request.extensions().get::<Peer>();
        let budget = self.0.budgets.of(peer.and_then(|peer| peer.addr));
        let (sender, queue) = mpsc::channel(QUEUE);
        let session = Session {
            shared: Arc::clone(&self.0),
            requests: request.into_inner(),
            outlet: Outlet {
                budget,
                queue: sender,
                lost: Arc::default(),
                wake: Arc::default(),
            },
            queue,
            watches: BTreeMap::new(),
            next_id: 0,
            out: VecDeque::new(),
            pending: None,
            sent: None,
            asking: true,
            progress_at: progress_at(self.0.progress_every),
        };
        let responses = futures::stream::try_unfold(session, |mut session| async {
            Ok(session.next().await?.map(|response| (response, session)))
        });
        Ok(Response::new(Box::pin(responses)))
    }
}

impl Session {
    async fn next(&mut self) -> Result<Option<PbWatchResponse>, Status> {
        self.sent = None;
        loop {
            if let Some(response) = self.out.pop_front() {
                return Ok(Some(response));
            }
            if let Some(watch) = self.pending.as_ref().map(|pending| pending.watch) {
                let lost = match self.respond().await {
                    Ok(None) => None,
                    Ok(Some((response, bytes))) => {
                        self.sent = self.outlet.budget.carry(bytes);
                        if self.sent.is_some() {
                            return Ok(Some(response));
                        }
                        Some(self.shared.hub.head())
                    }
                    Err(Overtaken(oldest)) => Some(oldest),
                };
                // There is no room for what its reader doesn't take: it must list again.
                if let Some(oldest) = lost {
                    self.pending = None;
                    if self.watches.remove(&watch).is_some() {
                        let response = self.compacted(watch, oldest);
                        self.out.push_back(response);
                    }
                    continue;
                }
            }
            self.take_lost()?;
            if !self.out.is_empty() {
                continue;
            }
            let wake = tokio::select! {
                request = self.requests.message(), if self.asking => {
                    Wake::Request(Box::new(request.transpose()))
                }
                // This end holds a sender itself, so it is never closed.
                Some(delivery) = self.queue.recv() => Wake::Delivery(delivery),
                () = self.outlet.wake.notified() => Wake::Lost,
                () = sleep_until(self.progress_at), if self.wants_progress() => Wake::Quiet,
                () = self.shared.cancel.cancelled() => Wake::Cancelled,
            };
            if !matches!(wake, Wake::Lost | Wake::Cancelled) {
                self.progress_at = progress_at(self.shared.progress_every);
            }
            match wake {
                Wake::Request(request) => match *request {
                    Some(request) => self.request(request?).await?,
                    // The client asks no more; its watches go on.
                    None if self.watches.is_empty() => return Ok(None),
                    None => self.asking = false,
                },
                Wake::Delivery(Delivery::Events {
                    watch,
                    events,
                    head,
                    held,
                }) => {
                    self.pending = Some(Pending {
                        watch,
                        head,
                        backlog: None,
                        events: events.into(),
                        held: Some(held),
                    });
                }
                Wake::Delivery(Delivery::Progress(revision)) => {
                    self.out.push_back(PbWatchResponse {
                        header: Some(convert::header(revision, 0)),
                        // As etcd: progress of the whole stream.
                        watch_id: -1,
                        ..PbWatchResponse::default()
                    });
                }
                Wake::Delivery(Delivery::Notify(revision)) => {
                    let told = self.watches.iter().filter(|(_, wants)| wants.progress);
                    let told = told.map(|(watch, _)| PbWatchResponse {
                        header: Some(convert::header(revision, 0)),
                        watch_id: *watch,
                        ..PbWatchResponse::default()
                    });
                    self.out.extend(told);
                }
                // Behind what is queued, so that it is true when it comes.
                Wake::Quiet => self.shared.hub.notify(&self.outlet),
                Wake::Lost => {}
                Wake::Cancelled => {
                    return Err(Status::unavailable("etcdserver: the server is stopping"));
                }
            }
        }
    }

    fn wants_progress(&self) -> bool {
        self.watches.values().any(|wants| wants.progress)
    }

    fn response(&self, watch_id: i64) -> PbWatchResponse {
        PbWatchResponse {
            header: Some(convert::header(self.shared.hub.head(), 0)),
            watch_id,
            ..PbWatchResponse::default()
        }
    }

    /// Cancels what the hub gave up; what still waits for it in the queue is dropped when it comes. The whole stream
    /// ends when the store can't be reached: its client is to go elsewhere.
    fn take_lost(&mut self) -> Result<(), Status> {
        let lost = std::mem::take(
            &mut *self
                .outlet
                .lost
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for (watch, loss) in lost {
            if self.watches.remove(&watch).is_none() {
                continue;
            }
            match loss {
                Loss::Compacted(oldest) => {
                    let response = self.compacted(watch, oldest);
                    self.out.push_back(response);
                }
                Loss::Unavailable => return Err(unavailable()),
            }
        }
        Ok(())
    }

    fn compacted(&self, watch: i64, oldest: Revision) -> PbWatchResponse {
        PbWatchResponse {
            canceled: true,
            compact_revision: convert::signed(oldest.max(1)),
            cancel_reason: "etcdserver: mvcc: required revision has been compacted".to_owned(),
            ..self.response(watch)
        }
    }

    async fn request(&mut self, request: PbWatchRequest) -> Result<(), Status> {
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(create)) => {
                let id = if create.watch_id == 0 {
                    while self.watches.contains_key(&self.next_id) {
                        self.next_id += 1;
                    }
                    let id = self.next_id;
                    self.next_id += 1;
                    id
                } else {
                    create.watch_id
                };
                let keys = convert::keys(create.key, create.range_end);
                let refused = |reason: &str| PbWatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason: format!("etcdserver: {reason}"),
                    ..self.response(-1)
                };
                let empty = match &keys {
                    KeyRange::Key(key) => key.is_empty(),
                    KeyRange::Span(start, end) => start >= end,
                    KeyRange::From(_) => false,
                };
                let refusal = if empty {
                    Some("mvcc: watcher range is empty")
                } else if self.watches.contains_key(&id) {
                    Some("mvcc: duplicate watch ID provided on the WatchStream")
                } else if self.watches.len() >= MAX_WATCHES {
                    Some("too many watches on one stream")
                } else {
                    None
                };
                if let Some(reason) = refusal {
                    let response = refused(reason);
                    self.out.push_back(response);
                    return Ok(());
                }
                let Ok(pieces) = self.shared.access.readable(&keys) else {
                    let response = refused("permission denied");
                    self.out.push_back(response);
                    return Ok(());
                };
                let start = convert::positive(create.start_revision);
                let wants = |registration| Wants {
                    previous: create.prev_kv,
                    no_put: create.filters.contains(&0),
                    no_delete: create.filters.contains(&1),
                    progress: create.progress_notify,
                    _registration: registration,
                };
                self.create(id, pieces, start, wants).await
            }
            Some(PbWatchRequestUnion::CancelRequest(cancel)) => {
                if self.watches.remove(&cancel.watch_id).is_some() {
                    let response = PbWatchResponse {
                        canceled: true,
                        ..self.response(cancel.watch_id)
                    };
                    self.out.push_back(response);
                }
                Ok(())
            }
            Some(PbWatchRequestUnion::ProgressRequest(_)) => {
                self.shared.hub.progress(&self.outlet);
                Ok(())
            }
            None => Err(Status::invalid_argument("etcdserver: an empty request")),
        }
    }

    async fn create(
        &mut self,
        id: i64,
        pieces: Vec<KeyRange>,
        start: Option<Revision>,
        wants: impl FnOnce(Registration) -> Wants,
    ) -> Result<(), Status> {
        // Without a start it is what comes after now, and now is the store's, which the hub may be behind.
        let now = match start {
            Some(start) => start.saturating_sub(1),
            None => {
                let status = self.shared.store.status().await;
                status.map_err(|error| convert::status(&error))?.revision
            }
        };
        let registered = self
            .shared
            .hub
            .register(id, pieces, now + 1, &self.outlet)
            .await;
        let mut created = PbWatchResponse {
            created: true,
            ..self.response(id)
        };
        if start.is_none() {
            created.header = Some(convert::header(now, 0));
        }
        match registered {
            Ok((registration, backlog)) => {
                self.watches.insert(id, wants(registration));
                self.out.push_back(created);
                self.pending = Some(Pending {
                    watch: id,
                    head: self.shared.hub.head(),
                    backlog: Some(backlog),
                    events: VecDeque::new(),
                    held: None,
                });
            }
            Err(Refusal::Compacted(oldest)) => {
                self.out.push_back(created);
                let response = self.compacted(id, oldest);
                self.out.push_back(response);
            }
            Err(Refusal::Status(status)) => return Err(status),
        }
        Ok(())
    }

    /// The next response of what is pending, of whole revisions; and its bytes.
    async fn respond(&mut self) -> Result<Option<(PbWatchResponse, usize)>, Overtaken> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(None);
        };
        let Some(wants) = self.watches.get(&pending.watch) else {
            return Ok(None);
        };
        let (previous, no_put, no_delete) = (wants.previous, wants.no_put, wants.no_delete);
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut last = 0;
        while let Some(front) = pending.front(&self.outlet)? {
            let is_full = batch.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES;
            if is_full && front.revision() != last {
                break;
            }
            last = front.revision();
            let Some(event) = pending.events.pop_front() else {
                break;
            };
            let unwanted = match event {
                Event::Put(_) => no_put,
                Event::Delete { .. } => no_delete,
            };
            if unwanted {
                continue;
            }
            let prev_kv = if previous {
                self.previous(&event).await
            } else {
                None
            };
            bytes += event_bytes(&event);
            batch.push(pb_event(event, prev_kv));
        }
        let response = PbWatchResponse {
            header: Some(convert::header(pending.head, 0)),
            watch_id: pending.watch,
            events: batch,
            ..PbWatchResponse::default()
        };
        if pending.front(&self.outlet)?.is_some() {
            self.pending = Some(pending);
        }
        Ok((!response.events.is_empty()).then_some((response, bytes)))
    }

    /// What stood there before; nothing if it can't be read any more, as with etcd.
    async fn previous(&self, event: &Event) -> Option<PbKeyValue> {
        let before = event.revision().checked_sub(1)?;
        if let Event::Put(kv) = event
            && kv.version == 1
        {
            return None;
        }
        let request = RangeRequest {
            revision: Some(before),
            ..RangeRequest::new(KeyRange::Key(event.key().clone()))
        };
        let answer = self.shared.store.range(request).await.ok()?;
        answer.kvs.into_iter().next().map(convert::key_value)
    }
}

fn pb_event(event: Event, prev_kv: Option<PbKeyValue>) -> PbEvent {
    let (kind, kv) = match event {
        Event::Put(kv) => (0, convert::key_value(kv)),
        Event::Delete { key, mod_revision } => {
            let kv = KeyValue {
                key,
                value: bytes::Bytes::new(),
                create_revision: 0,
                mod_revision,
                version: 0,
                lease: None,
            };
            (1, convert::key_value(kv))
        }
    };
    PbEvent {
        r#type: kind,
        kv: Some(kv),
        prev_kv,
    }
}
