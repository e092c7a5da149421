//! `get`: lists and single things, as tables, JSON, YAML or names; with `-w` as they change.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use rove_jobspec::yaml::API_VERSION;
use rove_model::job::Job;
use serde_json::{Value, json};

use super::kind::{Kind, Target, targets};
use super::rows::{Item, headings, item};
use super::selector::Selector;
use crate::client::{ApiError, Client};
use crate::command::Context;
use crate::commands::lookup::segment;
use crate::failure::{Failure, Outcome};
use crate::render::table::Table;
use crate::render::{FULL, json as text, yaml};
use rove_wire::{JobStub, Node};

/// So many nodes are asked for their meta at a time.
const AT_ONCE: usize = 8;
/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

impl Output {
    pub(super) fn of(cx: &Context) -> Result<Self, Failure> {
        match cx.args.last("output") {
            None | Some("") => Ok(Self::Table),
            Some("wide") => Ok(Self::Wide),
            Some("json") => Ok(Self::Json),
            Some("yaml") => Ok(Self::Yaml),
            Some("name") => Ok(Self::Name),
            Some(other) => Err(Failure::new(format!(
                "error: unable to match a printer suitable for the output format {other:?}, allowed formats are: \
                 json,name,wide,yaml"
            ))),
        }
    }
}

/// Any error of the agent, in kubectl's words.
pub fn server(error: ApiError) -> Failure {
    match (error.status(), error.body()) {
        (Some(_), Some(body)) => Failure::new(format!("Error from server: {body}")),
        _ => Failure::new(format!("error: {}", error.full())),
    }
}

/// No such thing.
pub fn not_found(kind: Kind, name: &str) -> Failure {
    Failure::new(format!(
        "Error from server (NotFound): {} {name:?} not found",
        kind.plural()
    ))
}

/// The agent to ask, in the namespace that `-n` and `-A` name.
pub fn client(cx: &Context) -> Result<Client, Failure> {
    let client = cx
        .client()
        .map_err(|f| Failure::new(format!("error: {}", f.message)))?;
    Ok(if cx.args.is("all-namespaces") {
        client.in_namespace("*")
    } else {
        client
    })
}

/// Prints what is asked for.
pub async fn run(cx: &mut Context) -> Outcome {
    let targets = targets(&cx.args.positional)?;
    let output = Output::of(cx)?;
    let selector = Selector::parse(cx.args.last("selector").unwrap_or(""))?;
    selector.without_names(&targets)?;
    let client = client(cx)?;
    let mut items = Vec::new();
    let mut missing = 0;
    let mut failed = None;
    for target in &targets {
        match fetch(cx, &client, target, output, &selector).await {
            Ok((found, _)) => {
                if found.is_empty() {
                    missing += 1;
                }
                items.push((target.kind, found));
            }
            Err(failure) => {
                cx.ui.error(&failure.message);
                failed = Some(failure);
            }
        }
    }
    let single = targets.len() == 1 && targets[0].name.is_some();
    let all: Vec<Item> = items.into_iter().flat_map(|(_, found)| found).collect();
    if failed.is_none()
        && missing == targets.len()
        && matches!(output, Output::Table | Output::Wide)
    {
        let scope = match (
            cx.args.is("all-namespaces"),
            targets.iter().any(|t| t.kind.namespaced()),
        ) {
            (true, _) | (_, false) => String::new(),
            _ => format!(" in {} namespace.", client.namespace().unwrap_or("default")),
        };
        cx.ui.error(format!("No resources found{scope}"));
        return Ok(0);
    }
    print(cx, &all, output, single, targets_of_several_kinds(&targets))?;
    match failed {
        Some(failure) => Err(Failure {
            message: String::new(),
            ..failure
        }),
        None => Ok(0),
    }
}

fn targets_of_several_kinds(targets: &[Target]) -> bool {
    targets.iter().any(|t| t.kind != targets[0].kind)
}

pub(super) fn print(
    cx: &mut Context,
    items: &[Item],
    output: Output,
    single: bool,
    mixed: bool,
) -> Result<(), Failure> {
    match output {
        Output::Name => {
            for item in items {
                cx.ui
                    .line(format!("{}/{}", item.kind.singular(), item.name));
            }
        }
        Output::Json => {
            let mut objects: Vec<Value> = items.iter().map(object).collect();
            let value = match (single, objects.len()) {
                (true, 0) => return Ok(()),
                (true, 1) => objects.remove(0),
                _ => json!({"apiVersion": API_VERSION, "kind": "List", "items": objects}),
            };
            let rendered =
                text::pretty_as_is(&value).map_err(|e| Failure::new(format!("error: {e}")))?;
            cx.ui.line(rendered);
        }
        Output::Yaml => {
            let documents: Vec<String> = items.iter().map(document).collect::<Result<_, _>>()?;
            cx.ui.write(documents.join("---\n").as_bytes());
            cx.ui.flush();
        }
        Output::Table | Output::Wide => {
            let mut kinds: Vec<Kind> = Vec::new();
            for item in items {
                if !kinds.contains(&item.kind) {
                    kinds.push(item.kind);
                }
            }
            let mut tables = Vec::new();
            for kind in kinds {
                let namespaces = cx.args.is("all-namespaces") && kind.namespaced();
                let mut table = Table::new(columns(kind, output, namespaces));
                for item in items.iter().filter(|i| i.kind == kind) {
                    table.row(cells(item, namespaces, mixed));
                }
                tables.push(table.render_wide());
            }
            if !tables.is_empty() {
                cx.ui.line(tables.join("\n\n"));
            }
        }
    }
    Ok(())
}

pub(super) fn columns(kind: Kind, output: Output, namespaces: bool) -> Vec<&'static str> {
    let mut all = headings(kind, output == Output::Wide);
    if namespaces {
        all.insert(0, "NAMESPACE");
    }
    all
}

pub(super) fn cells(item: &Item, namespaces: bool, mixed: bool) -> Vec<String> {
    let mut cells = item.cells.clone();
    if mixed && let Some(first) = cells.first_mut() {
        *first = format!("{}/{first}", item.kind.singular());
    }
    if namespaces {
        cells.insert(0, item.namespace.clone());
    }
    cells
}

/// A thing as JSON: a job as the API has it, which `apply` takes too; others with what the API says as their status.
fn object(item: &Item) -> Value {
    if item.kind == Kind::Job {
        return text::sorted(&item.raw);
    }
    let mut metadata = json!({"name": item.name});
    if !item.namespace.is_empty() {
        metadata["namespace"] = Value::String(item.namespace.clone());
    }
    json!({"apiVersion": API_VERSION, "kind": item.kind.title(), "metadata": metadata,
        "status": text::sorted(&item.raw)})
}

/// A thing as a YAML document: a job as `apply` takes it.
fn document(item: &Item) -> Result<String, Failure> {
    if item.kind != Kind::Job {
        return Ok(yaml::text(&object(item)));
    }
    let job: Job = serde_json::from_value(item.raw.clone()).map_err(|e| {
        Failure::new(format!(
            "error: job {:?} can't be written as YAML: {e}",
            item.name
        ))
    })?;
    Ok(rove_jobspec::to_yaml(&job))
}

fn list_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Job => "/v1/jobs",
        Kind::Node => "/v1/nodes",
        Kind::Alloc => "/v1/allocations",
        Kind::Eval => "/v1/evaluations",
        Kind::Deployment => "/v1/deployments",
    }
}

pub(super) async fn fetch(
    cx: &Context,
    client: &Client,
    target: &Target,
    output: Output,
    selector: &Selector,
) -> Result<(Vec<Item>, u64), Failure> {
    let name = target.name.as_deref();
    let (list, index) = list(client, target, None).await.map_err(server)?;
    let mut items = choose(cx, target, list, output)?;
    if let Some(name) = name {
        if items.is_empty() {
            return Err(not_found(target.kind, name));
        }
        if items.len() > 1 {
            let names: Vec<&str> = items.iter().map(|i| i.name.as_str()).collect();
            return Err(Failure::new(format!(
                "error: {name:?} is the beginning of several {}: {}",
                target.kind.plural(),
                names.join(", ")
            )));
        }
    }
    if !selector.is_empty() {
        items = selected(client, items, target.kind, selector).await?;
    }
    if matches!(output, Output::Json | Output::Yaml) {
        items = whole(client, items).await?;
    }
    Ok((items, index))
}

pub(super) async fn list(
    client: &Client,
    target: &Target,
    index: Option<u64>,
) -> Result<(Vec<Value>, u64), ApiError> {
    let path = list_path(target.kind);
    // An id is found by whole bytes; names of nodes are not ids, so all are looked at.
    let prefix = match (&target.name, target.kind) {
        (Some(name), Kind::Job) => Some(name.clone()),
        (Some(name), Kind::Alloc | Kind::Eval | Kind::Deployment) if name.len() >= 2 => {
            let hex = name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            let even = name.len() == FULL || name.chars().filter(|c| *c != '-').count() % 2 == 0;
            (hex && even).then(|| name.clone())
        }
        _ => None,
    };
    let query: Vec<(&str, &str)> = prefix.iter().map(|p| ("prefix", p.as_str())).collect();
    match index {
        Some(index) => client.wait(path, &query, index).await,
        None => client.get_at(path, &query).await,
    }
}

pub(super) fn choose(
    cx: &Context,
    target: &Target,
    list: Vec<Value>,
    output: Output,
) -> Result<Vec<Item>, Failure> {
    let wide = output == Output::Wide;
    let mut items: Vec<Item> = list
        .into_iter()
        .map(|raw| item(target.kind, raw, wide, cx.now()))
        .collect::<Result<_, _>>()?;
    let Some(name) = target.name.as_deref() else {
        // Newest first, as the other lists have it; jobs and nodes by name.
        if matches!(target.kind, Kind::Alloc | Kind::Eval | Kind::Deployment) {
            items.sort_by_key(|i| {
                std::cmp::Reverse(i.raw.get("CreateIndex").and_then(Value::as_u64))
            });
        }
        return Ok(items);
    };
    match target.kind {
        Kind::Job => items.retain(|i| i.name == name),
        Kind::Node => {
            let named = items
                .iter()
                .any(|i| i.cells.first().is_some_and(|n| n == name));
            items.retain(|i| {
                if named {
                    i.cells.first().is_some_and(|n| n == name)
                } else {
                    i.name.starts_with(name)
                }
            });
        }
        Kind::Alloc => {
            // An alloc's name is as good as its id while only one that runs has it.
            let by_id: Vec<Item> = items
                .iter()
                .filter(|i| i.name.starts_with(name))
                .cloned()
                .collect();
            let by_name = |i: &&Item| {
                i.raw.get("Name").and_then(Value::as_str) == Some(name)
                    && i.raw.get("DesiredStatus").and_then(Value::as_str) == Some("run")
            };
            items = if by_id.is_empty() {
                items.iter().filter(by_name).cloned().collect()
            } else {
                by_id
            };
        }
        _ => items.retain(|i| i.name.starts_with(name)),
    }
    Ok(items)
}

pub(super) async fn selected(
    client: &Client,
    items: Vec<Item>,
    kind: Kind,
    selector: &Selector,
) -> Result<Vec<Item>, Failure> {
    let mut kept = Vec::new();
    if kind == Kind::Node {
        let mut nodes = futures::stream::iter(items.into_iter().map(|item| {
            let path = format!("/v1/node/{}", item.name);
            async move { (client.get::<Node>(&path, &[]).await, item) }
        }))
        .buffered(AT_ONCE);
        while let Some((node, item)) = nodes.next().await {
            match node {
                Ok(node) if selector.matches(&node.meta) => kept.push(item),
                Err(error) if !error.not_found() => return Err(server(error)),
                _ => {}
            }
        }
        return Ok(kept);
    }
    let jobs: Vec<JobStub> = client
        .get("/v1/jobs", &[("meta", "true")])
        .await
        .map_err(server)?;
    let meta: BTreeMap<(&str, &str), &BTreeMap<String, String>> = jobs
        .iter()
        .map(|j| ((j.namespace.as_str(), j.id.as_str()), &j.meta))
        .collect();
    let empty = BTreeMap::new();
    kept.extend(items.into_iter().filter(|item| {
        let found = meta
            .get(&(item.namespace.as_str(), item.job.as_str()))
            .copied()
            .unwrap_or(&empty);
        selector.matches(found)
    }));
    Ok(kept)
}

/// Lists leave parts out; JSON and YAML have everything.
pub(super) async fn whole(client: &Client, items: Vec<Item>) -> Result<Vec<Item>, Failure> {
    let mut asked = futures::stream::iter(items.into_iter().map(|item| {
        let path = match item.kind {
            Kind::Job => format!("/v1/job/{}", segment(&item.name)),
            Kind::Node => format!("/v1/node/{}", item.name),
            Kind::Alloc => format!("/v1/allocation/{}", item.name),
            Kind::Eval => format!("/v1/evaluation/{}", item.name),
            Kind::Deployment => format!("/v1/deployment/{}", item.name),
        };
        let client = client.in_namespace(&item.namespace);
        async move { (client.get::<Value>(&path, &[]).await, item) }
    }))
    .buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some((raw, mut item)) = asked.next().await {
        match raw {
            Ok(raw) => {
                item.raw = raw;
                all.push(item);
            }
            // It went away in between.
            Err(error) if error.not_found() => {}
            Err(error) => return Err(server(error)),
        }
    }
    Ok(all)
}
