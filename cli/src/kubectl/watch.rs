//! `get -w`: what changes, as it changes.
//!
//! The list says what there is and what has gone; the event stream wakes the command at once and holds what came and
//! went between two looks at the list.

use std::collections::BTreeMap;
use std::time::Duration;

use rove_jobspec::yaml::API_VERSION;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::get::{
    Output, cells, choose, client, columns, fetch, list, print, selected, server, whole,
};
use super::kind::{Kind, Target, targets};
use super::rows::{Item, headings};
use super::selector::Selector;
use crate::client::{ApiError, Client, Stream};
use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::render::{json as text, or_none, yaml};

/// The pause before a list is asked for again after the agent did not answer, or answered without waiting.
const PAUSE: Duration = Duration::from_secs(1);
/// So often in a row the agent may fail to answer a watch.
const RETRIES: u32 = 10;
/// The longest pause before the event stream is opened again; until then the lists tell what changes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What stands for the status of something that is no more.
const GONE: &str = "gone";
/// The most of an event that is kept until its line is whole.
const LONGEST_LINE: usize = 16 << 20;

/// Prints the list, and then each row that is new, has changed or has gone, until it is interrupted or nobody reads.
pub async fn run(cx: &mut Context) -> Outcome {
    let targets = targets(&cx.args.positional)?;
    let output = Output::of(cx)?;
    let selector = Selector::parse(cx.args.last("selector").unwrap_or(""))?;
    selector.without_names(&targets)?;
    let client = client(cx)?;
    let [target] = targets.as_slice() else {
        return Err(Failure::new(
            "error: you may only watch a single resource or type of resource at a time",
        ));
    };
    let live = cx.ui.live;
    tokio::select! {
        outcome = watch(cx, &client, target, output, &selector) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(0),
        () = reader_leaves(live) => Ok(0),
    }
}

async fn reader_leaves(live: bool) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if !live && crate::commands::alloc::logs::reader_gone() {
            return;
        }
    }
}

async fn watch(
    cx: &mut Context,
    client: &Client,
    target: &Target,
    output: Output,
    selector: &Selector,
) -> Outcome {
    // Subscribed before the list is read: nothing falls between.
    let mut events = Events::subscribe(client, target.kind).await;
    let (items, mut index) = fetch(cx, client, target, output, selector).await?;
    let mut shown = Shown::new(cx, target.kind, output);
    if cx.args.is("watch-only") {
        shown.seen = items.into_iter().map(|item| (key(&item), item)).collect();
    } else {
        shown.begin(cx, items)?;
    }
    let mut failures = 0;
    let mut rest = Duration::ZERO;
    // What the events told since the list was read last.
    let mut told = Vec::new();
    loop {
        let changed = async {
            tokio::time::sleep(rest).await;
            list(client, target, Some(index)).await
        };
        let answer = tokio::select! {
            next = events.next(index) => {
                told.extend(next);
                list(client, target, None).await
            }
            answer = changed => answer,
        };
        rest = Duration::ZERO;
        let (raw, now) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                failures += 1;
                if failures > RETRIES {
                    return Err(server(error));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        failures = 0;
        if now <= index {
            rest = PAUSE;
        }
        // A store that was restored begins again at an older index.
        index = now;
        let mut passing = choose(cx, target, std::mem::take(&mut told), output)?;
        let mut items = choose(cx, target, raw, output)?;
        if !selector.is_empty() {
            items = selected(client, items, target.kind, selector).await?;
            passing = selected(client, passing, target.kind, selector).await?;
        }
        let known = |item: &Item, all: &[Item]| all.iter().any(|other| key(other) == key(item));
        for item in passing {
            // An event has not all that a row shows, and may be older than the list: only what came and went between
            // two lists has its row from it.
            if !known(&item, &items) && !shown.seen.contains_key(&key(&item)) {
                shown.show(cx, client, item).await?;
            }
        }
        let gone: Vec<Item> = shown
            .seen
            .values()
            .filter(|item| !known(item, &items))
            .cloned()
            .collect();
        for item in items {
            shown.show(cx, client, item).await?;
        }
        for item in gone {
            shown.gone(cx, &item)?;
        }
        if cx.ui.closed() {
            return Ok(0);
        }
    }
}

fn key(item: &Item) -> String {
    format!("{}/{}", item.namespace, item.name)
}

/// What has been printed, and how wide.
struct Shown {
    kind: Kind,
    output: Output,
    namespaces: bool,
    head: Vec<&'static str>,
    widths: Vec<usize>,
    age: Option<usize>,
    status: Option<usize>,
    seen: BTreeMap<String, Item>,
    documents: bool,
}

impl Shown {
    fn new(cx: &Context, kind: Kind, output: Output) -> Self {
        let namespaces = cx.args.is("all-namespaces") && kind.namespaced();
        let head = columns(kind, output, namespaces);
        let own = headings(kind, false);
        let at = |heading: &str| own.iter().position(|h| *h == heading);
        Self {
            kind,
            output,
            namespaces,
            widths: head.iter().map(|heading| heading.chars().count()).collect(),
            head,
            age: at("AGE"),
            status: at("STATUS"),
            seen: BTreeMap::new(),
            documents: false,
        }
    }

    fn begin(&mut self, cx: &mut Context, items: Vec<Item>) -> Result<(), Failure> {
        if matches!(self.output, Output::Table | Output::Wide) {
            for item in &items {
                self.widen(&cells(item, self.namespaces, false));
            }
            if items.is_empty() {
                self.widths = self.head.iter().map(|h| usual_width(h)).collect();
            } else if let Some(age) = self.head.iter().position(|h| *h == "AGE") {
                // It grows by itself.
                self.widths[age] = self.widths[age].max(usual_width("AGE"));
            }
            let head: Vec<String> = self.head.iter().map(|h| (*h).to_owned()).collect();
            cx.ui.line(padded(&head, &self.widths));
        }
        for item in items {
            self.print(cx, &item)?;
            self.seen.insert(key(&item), item);
        }
        Ok(())
    }

    /// Prints a thing unless it looks as it did; what only got older has not changed.
    async fn show(&mut self, cx: &mut Context, client: &Client, item: Item) -> Result<(), Failure> {
        let key = key(&item);
        let before = self.seen.insert(key, item.clone());
        if before.is_some_and(|before| self.looks(&before) == self.looks(&item)) {
            return Ok(());
        }
        let mut whole_item = item;
        if matches!(self.output, Output::Json | Output::Yaml) {
            // What has gone meanwhile is printed as the list or the event had it.
            if let Some(found) = whole(client, vec![whole_item.clone()]).await?.pop() {
                whole_item = found;
            }
        }
        self.print(cx, &whole_item)
    }

    fn looks(&self, item: &Item) -> Vec<String> {
        let mut cells = item.cells.clone();
        if let Some(age) = self.age.and_then(|age| cells.get_mut(age)) {
            age.clear();
        }
        cells
    }

    fn print(&mut self, cx: &mut Context, item: &Item) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Wide => {
                let cells = cells(item, self.namespaces, false);
                self.widen(&cells);
                cx.ui.line(padded(&cells, &self.widths));
                Ok(())
            }
            Output::Name | Output::Json => {
                print(cx, std::slice::from_ref(item), self.output, true, false)
            }
            Output::Yaml => {
                self.part(cx);
                print(cx, std::slice::from_ref(item), self.output, true, false)
            }
        }
    }

    /// Says that a thing is no more.
    fn gone(&mut self, cx: &mut Context, item: &Item) -> Result<(), Failure> {
        self.seen.remove(&key(item));
        let mut metadata = json!({"name": item.name});
        if !item.namespace.is_empty() {
            metadata["namespace"] = Value::String(item.namespace.clone());
        }
        let object = json!({"apiVersion": API_VERSION, "kind": self.kind.title(), "metadata": metadata,
            "status": GONE});
        match self.output {
            Output::Table | Output::Wide => {
                let mut item = item.clone();
                if let Some(status) = self.status.and_then(|at| item.cells.get_mut(at)) {
                    GONE.clone_into(status);
                }
                self.print(cx, &item)?;
            }
            Output::Name => cx
                .ui
                .line(format!("{}/{} {GONE}", self.kind.singular(), item.name)),
            Output::Json => {
                let rendered =
                    text::pretty_as_is(&object).map_err(|e| Failure::new(format!("error: {e}")))?;
                cx.ui.line(rendered);
            }
            Output::Yaml => {
                self.part(cx);
                cx.ui.write(yaml::text(&object).as_bytes());
                cx.ui.flush();
            }
        }
        Ok(())
    }

    fn part(&mut self, cx: &mut Context) {
        if std::mem::replace(&mut self.documents, true) {
            cx.ui.line("---");
        }
    }

    fn widen(&mut self, cells: &[String]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(or_none(cell).chars().count());
        }
    }
}

/// Room for what usually stands below a heading, so that rows which come later stand in line with those before.
fn usual_width(heading: &str) -> usize {
    let usual = match heading {
        "NAME" | "JOB" => 20,
        "ALLOC" => 24,
        "ID" | "NODE ID" => 8,
        "TYPE" => 8,
        "STATUS" => 16,
        "TRIGGERED BY" => 18,
        "NAMESPACE" | "NODE" => 12,
        "AGE" => 7,
        "ADDRESS" => 15,
        "CLASS" => 12,
        _ => 0,
    };
    usual.max(heading.chars().count())
}

fn padded(cells: &[String], widths: &[usize]) -> String {
    let last = cells.len().saturating_sub(1);
    let line: Vec<String> = cells
        .iter()
        .enumerate()
        .map(|(at, cell)| {
            let cell = or_none(cell);
            let width = if at == last {
                0
            } else {
                widths.get(at).copied().unwrap_or(0)
            };
            format!("{cell:width$}")
        })
        .collect();
    line.join("   ")
}

/// The event stream of one kind of thing.
struct Events {
    client: Client,
    kind: Kind,
    source: Source,
    /// The pause before the stream is opened the next time.
    pause: Duration,
    held: Vec<u8>,
}

/// Where events come from.
enum Source {
    Open(Box<Stream>),
    /// It broke, or the agent was not reached: it is opened at that time.
    Broken(Instant),
    /// The agent has no stream: its lists alone say what changes.
    Missing,
}

impl Events {
    async fn subscribe(client: &Client, kind: Kind) -> Self {
        let mut events = Self {
            client: client.clone(),
            kind,
            source: Source::Missing,
            pause: PAUSE,
            held: Vec::new(),
        };
        events.open().await;
        events
    }

    async fn open(&mut self) {
        self.held.clear();
        self.source = match open(&self.client, self.kind).await {
            Ok(stream) => Source::Open(Box::new(stream)),
            Err(error) if matches!(error.status(), Some(404 | 405 | 501)) => Source::Missing,
            Err(_) => self.broken(),
        };
    }

    /// The stream is to be opened again after a pause, which doubles until an event is heard.
    fn broken(&mut self) -> Source {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Source::Broken(Instant::now() + pause)
    }

    /// The things of the next events that are newer than `index`; none when something else happened for which the list
    /// is to be looked at. It waits for ever if there is no stream, and may be dropped while it waits.
    async fn next(&mut self, index: u64) -> Vec<Value> {
        loop {
            let piece = match &mut self.source {
                Source::Missing => return std::future::pending().await,
                Source::Broken(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.open().await;
                    if matches!(self.source, Source::Open(_)) {
                        // What was missed is in the list.
                        return Vec::new();
                    }
                    continue;
                }
                Source::Open(stream) => stream.next().await,
            };
            let Ok(Some(piece)) = piece else {
                self.source = self.broken();
                continue;
            };
            self.held.extend(piece);
            if self.held.len() > LONGEST_LINE {
                self.held.clear();
                return Vec::new();
            }
            let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = self.held.split_off(end + 1);
            let whole = std::mem::replace(&mut self.held, rest);
            let lines = whole.split(|byte| *byte == b'\n');
            let events: Vec<Value> = lines
                .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
                // The list that was shown has what is as old as it.
                .filter(|batch| batch["Index"].as_u64().is_none_or(|at| at > index))
                .filter_map(|mut batch| match batch["Events"].take() {
                    Value::Array(events) => Some(events),
                    _ => None,
                })
                .flatten()
                .collect();
            if events.is_empty() {
                continue;
            }
            self.pause = PAUSE;
            let topic = topic(self.kind);
            return events
                .into_iter()
                .filter(|event| event["Topic"] == topic)
                .map(|mut event| event["Payload"][topic].take())
                .filter(Value::is_object)
                .collect();
        }
    }
}

async fn open(client: &Client, kind: Kind) -> Result<Stream, ApiError> {
    let mut query = vec![("topic", topic(kind))];
    if kind == Kind::Job {
        // A job's row counts its allocs.
        query.push(("topic", topic(Kind::Alloc)));
    }
    client.stream("/v1/event/stream", &query).await
}

/// What the stream calls a kind, both as its topic and in the payload.
fn topic(kind: Kind) -> &'static str {
    match kind {
        Kind::Job => "Job",
        Kind::Node => "Node",
        Kind::Alloc => "Allocation",
        Kind::Eval => "Evaluation",
        Kind::Deployment => "Deployment",
    }
}
