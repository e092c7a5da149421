//! `/v1/event/stream`: what changes, as it changes, one JSON object a line.
//!
//! A subscriber that reads too slowly is cut off with an error, as Nomad does it: it then knows that it missed
//! something, and lists again.

use std::{collections::BTreeMap, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use rove_model::ids::Revision;
use rove_store::{
    keys::Key,
    state::{ChangeFeed, FeedItem, State, StateHandle},
};
use rove_wire::Event;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::route::rows::*;
use crate::{
    answer::Answer,
    blocking,
    call::{Call, Namespaces, Params},
    context::ServerSide,
    error::ApiError,
    view::event,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/event/stream", Anyone, "Tells what changes.",
        server!(|r| stream(r.server, r.call))),
];

/// How often a stream that has nothing to say says so.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The most events of the past that a subscriber is given.
const PAST: usize = 100;

/// What a subscriber wants to hear.
#[derive(Debug)]
struct Wanted {
    /// By topic, the keys; no topics are all of them.
    topics: BTreeMap<String, Vec<String>>,
    namespaces: Namespaces,
}

impl Wanted {
    fn of(call: &Call) -> Self {
        let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for topic in call.params.all("topic") {
            let (topic, key) = topic.split_once(':').unwrap_or((topic, "*"));
            topics
                .entry(topic.to_owned())
                .or_default()
                .push(key.to_owned());
        }
        Self {
            topics,
            namespaces: call.namespaces(),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        if !event.namespace.is_empty() && !self.namespaces.contains(&event.namespace) {
            return false;
        }
        let chosen = |keys: &Vec<String>| {
            keys.iter()
                .any(|key| key == "*" || *key == event.key || event.filter_keys.contains(key))
        };
        if self.topics.is_empty() {
            return true;
        }
        [event.topic.as_str(), "*"]
            .iter()
            .filter_map(|topic| self.topics.get(*topic))
            .any(chosen)
    }
}

pub(super) async fn stream(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call);
    let since = since(&call.params)?;
    // Subscribed before it is read: nothing falls between.
    let feed = server.state.subscribe();
    let state = blocking::ready(server).await?;
    let past = match since {
        Some(since) => past(&state, since, &wanted),
        None => Vec::new(),
    };
    let listening = Listening {
        state: server.state.clone(),
        feed,
        wanted,
        told: state.revision(),
        first: Some(lines(past)),
        ended: false,
    };
    let body = stream::unfold(listening, |mut listening| async move {
        let line = listening.next().await?;
        Some((Ok::<_, std::io::Error>(line), listening))
    });
    Ok(Answer::stream("application/json", Body::from_stream(body)))
}

fn since(params: &Params) -> Result<Option<Revision>, ApiError> {
    match params.get("index") {
        None | Some("0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            ApiError::BadRequest(format!("Invalid index: strconv.Atoi: parsing \"{text}\""))
        }),
    }
}

/// What changed at `since` or later, as it stands now, oldest first: the last of it, when it is much.
fn past(state: &State, since: Revision, wanted: &Wanted) -> Vec<Event> {
    let mut keys: Vec<(Revision, Key)> = Vec::new();
    let mut note = |revision: Revision, key: Key| {
        if revision >= since {
            keys.push((revision, key));
        }
    };
    for (job, registration) in state.registrations() {
        note(registration.modify, Key::Registration(job.clone()));
    }
    for eval in state.evals() {
        note(eval.modify, Key::Eval(eval.id));
    }
    for alloc in state.allocs() {
        match state.alloc_status(alloc.id) {
            Some(status) if status.modify > alloc.modify => {
                note(status.modify, Key::AllocStatus(alloc.node_id, alloc.id));
            }
            _ => note(alloc.modify, Key::Alloc(alloc.node_id, alloc.id)),
        }
    }
    for deployment in state.deployments() {
        note(deployment.modify, Key::Deployment(deployment.id));
    }
    for node in state.nodes() {
        note(node.modify, Key::Node(node.id));
    }
    keys.sort_by_key(|(revision, _)| *revision);
    let mut events: Vec<Event> = keys
        .iter()
        .rev()
        .filter_map(|(_, key)| event::of(state, key))
        .filter(|event| wanted.wants(event))
        .take(PAST)
        .collect();
    events.reverse();
    events
}

/// Events in the layout of the stream: those of one revision together.
fn lines(events: Vec<Event>) -> Bytes {
    let mut out = String::from("{}\n");
    write(&mut out, events);
    out.into()
}

fn write(out: &mut String, mut events: Vec<Event>) {
    events.sort_by_key(|event| event.index);
    let mut rest = events.into_iter().peekable();
    while let Some(first) = rest.next() {
        let index = first.index;
        let mut list = vec![first];
        while let Some(next) = rest.next_if(|next| next.index == index) {
            list.push(next);
        }
        out.push_str(&json!({"Index": index, "Events": list}).to_string());
        out.push('\n');
    }
}

struct Listening {
    state: StateHandle,
    feed: ChangeFeed,
    wanted: Wanted,
    /// Changes up to this revision were told already.
    told: Revision,
    first: Option<Bytes>,
    ended: bool,
}

impl Listening {
    /// The next lines; `None` when there is no more.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.ended {
            return None;
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            match timeout_at(heartbeat, self.feed.next()).await {
                Err(_) => return Some(Bytes::from_static(b"{}\n")),
                Ok(Err(_)) => return None,
                Ok(Ok(FeedItem::Missed | FeedItem::LookAtEverything)) => {
                    self.ended = true;
                    let error = json!({"Error": {"Message": "subscription closed by server, client should resubscribe"}});
                    return Some(format!("{error}\n").into());
                }
                Ok(Ok(FeedItem::Change(change))) => {
                    if change.revision <= self.told {
                        continue;
                    }
                    self.told = change.revision;
                    let state = self.state.latest();
                    let events: Vec<Event> = change
                        .keys
                        .iter()
                        .filter_map(|key| event::of(&state, key))
                        .filter(|event| self.wanted.wants(event))
                        .collect();
                    if !events.is_empty() {
                        let mut out = String::new();
                        write(&mut out, events);
                        return Some(out.into());
                    }
                }
            }
        }
    }
}
