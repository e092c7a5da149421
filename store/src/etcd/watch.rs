//! A watch on etcd as whole revisions.
//!
//! Unless fragments are asked for, which they aren't, etcd sends all events of a revision in one response, catching up
//! included (its batches end between revisions). This is checked all the same: a response that goes on with a revision
//! already delivered ends the watch with an error rather than showing half of one.
//!
//! A watch that has no events tells its progress now and then, which is a sign of life. One that says nothing is asked for
//! it; one that doesn't answer either is broken, though its connection may be alive. How far the progress is said to be is
//! not believed: etcd 3.4's may run ahead of events.

use std::time::Duration;

use etcd_client::proto::PbEvent;
use etcd_client::{Error, WatchOptions, WatchResponse};
use futures::StreamExt;
use rove_model::ids::Revision;
use tokio::time::timeout;

use super::Context;
use super::connection::{Connection, Connector};
use super::convert::{self, Verdict, bounds, key_value, signed, unsigned};
use crate::store::{Event, StoreError, WatchEvent, WatchRequest, WatchStream};

/// How long an answer to that question may take.
const ANSWER: Duration = Duration::from_secs(10);

/// So many silences in a row, all but the first of them after a question, and the watch is broken.
const SILENCES: u32 = 3;

struct Watching {
    connector: Connector,
    generation: u64,
    silence: Duration,
    stream: etcd_client::WatchStream,
    /// Revisions before this one were delivered, or not asked for.
    next: Revision,
    events: Vec<Event>,
    ended: bool,
}

/// Why a watch ended.
enum Ended {
    Silent,
    Error(Error),
}

pub(super) async fn open(
    connector: Connector,
    mut connection: Connection,
    request: WatchRequest,
    patience: Duration,
    silence: Duration,
) -> Result<WatchStream, StoreError> {
    let (key, end) = bounds(&request.keys);
    let start = request.start.unwrap_or(0);
    let mut options = WatchOptions::new()
        .with_start_revision(signed(start))
        .with_progress_notify();
    if let Some(end) = end {
        options = options.with_range(end);
    }
    let generation = connection.generation;
    let opened = timeout(patience, async {
        let mut stream = connection.watch.watch(key, Some(options)).await?;
        let first = stream.message().await?;
        Ok::<_, Error>((stream, first))
    })
    .await;
    let (stream, first) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            match convert::verdict(&error) {
                Verdict::Alive => {}
                Verdict::Doubtful => connector.ask(generation).await,
                Verdict::Broken => connector.failed(generation).await,
            }
            return Err(convert::error(&error, Context::default()));
        }
        Err(_) => {
            connector.doubted(generation).await;
            return Err(StoreError::Unavailable("no answer in time".to_owned()));
        }
    };
    let Some(first) = first else {
        return Err(ended());
    };
    let mut watching = Watching {
        connector,
        generation,
        silence,
        stream,
        next: start,
        events: Vec::new(),
        ended: false,
    };
    if start == 0 {
        watching.next = first
            .header()
            .map_or(0, |header| unsigned(header.revision()))
            + 1;
    }
    if let Some(error) = watching.cancelled(&first) {
        return match error {
            // A start that is gone is told by the watch, as by every store.
            StoreError::Compacted { .. } => Ok(futures::stream::once(async { Err(error) }).boxed()),
            error => Err(error),
        };
    }
    Ok(futures::stream::unfold(watching, Watching::step).boxed())
}

fn ended() -> StoreError {
    StoreError::Unavailable("the watch ended".to_owned())
}

impl Watching {
    fn cancelled(&self, response: &WatchResponse) -> Option<StoreError> {
        if !response.canceled() {
            return None;
        }
        if response.compact_revision() > 0 {
            return Some(StoreError::Compacted {
                requested: self.next,
                oldest: unsigned(response.compact_revision()),
            });
        }
        let reason = response.cancel_reason();
        Some(if reason.contains("permission denied") {
            StoreError::PermissionDenied(reason.to_owned())
        } else {
            StoreError::Unavailable(format!("the watch was cancelled: {reason}"))
        })
    }

    async fn step(mut self) -> Option<(Result<WatchEvent, StoreError>, Self)> {
        if self.ended {
            return None;
        }
        let item = self.receive().await;
        self.ended = item.is_err();
        Some((item, self))
    }

    /// The next message, of whatever kind. In silence it is asked for.
    async fn message(&mut self) -> Result<Option<WatchResponse>, Ended> {
        let answer = self.silence.min(ANSWER);
        let mut patience = self.silence;
        for _ in 1..SILENCES {
            if let Ok(message) = timeout(patience, self.stream.message()).await {
                return message.map_err(Ended::Error);
            }
            patience = answer;
            // A request that can't even be sent is answered by the silence that follows.
            if let Ok(asked) = timeout(answer, self.stream.request_progress()).await {
                asked.map_err(Ended::Error)?;
            }
        }
        match timeout(answer, self.stream.message()).await {
            Ok(message) => message.map_err(Ended::Error),
            Err(_) => Err(Ended::Silent),
        }
    }

    /// Tells the connection of it, which may live on for others.
    async fn break_off(&self, ended: &Ended) -> StoreError {
        match ended {
            Ended::Silent => {
                self.connector.ask(self.generation).await;
                StoreError::Unavailable(format!(
                    "the watch was silent for {:?}, and when it was asked",
                    self.silence
                ))
            }
            Ended::Error(error) => {
                match convert::verdict(error) {
                    Verdict::Alive | Verdict::Doubtful => self.connector.ask(self.generation).await,
                    Verdict::Broken => self.connector.failed(self.generation).await,
                }
                convert::error(error, Context::default())
            }
        }
    }

    async fn receive(&mut self) -> Result<WatchEvent, StoreError> {
        loop {
            let response = match self.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return Err(ended()),
                Err(ended) => return Err(self.break_off(&ended).await),
            };
            if let Some(error) = self.cancelled(&response) {
                return Err(error);
            }
            // Told unasked, by the watch itself: an answer to a question is the whole stream's.
            let is_progress = response.0.events.is_empty() && response.watch_id() >= 0;
            if is_progress && self.events.is_empty() {
                return Ok(WatchEvent::Progress {
                    revision: self.next.saturating_sub(1),
                });
            }
            let fragment = response.0.fragment;
            for event in response.0.events {
                self.events.push(take(event)?);
            }
            if fragment || self.events.is_empty() {
                continue;
            }
            let events = std::mem::take(&mut self.events);
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                continue;
            };
            let revision = last.revision();
            if first.revision() < self.next {
                return Err(StoreError::Unavailable(format!(
                    "the watch goes back to revision {} after {}",
                    first.revision(),
                    self.next - 1
                )));
            }
            self.next = revision + 1;
            return Ok(WatchEvent::Batch { revision, events });
        }
    }
}

fn take(event: PbEvent) -> Result<Event, StoreError> {
    let kv = event
        .kv
        .map(key_value)
        .ok_or_else(|| StoreError::Unavailable("an event without its key".to_owned()))?;
    match event.r#type {
        0 => Ok(Event::Put(kv)),
        1 => Ok(Event::Delete {
            key: kv.key,
            mod_revision: kv.mod_revision,
        }),
        other => Err(StoreError::Unavailable(format!(
            "an event of the unknown kind {other}"
        ))),
    }
}
