//! `/v1/client/…`: files, logs and usage, answered by the agent of the node that they are on.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use rove_agent::{
    drivers::Signal,
    files::FileError,
    handle::{Frame, FrameStream, HandleError, Origin, ReadOptions},
    logs::LogKind,
};
use rove_model::ids::{AllocId, NodeId};
use rove_wire::{
    AllocUsage, FileInfo, HostStats, NodeMetadata, ProofAnswer, ProofRequest, StreamFrame,
    TaskRequest,
};
use serde_json::{Value, json};

use super::route::OfAgent;
use super::route::rows::*;
use crate::{
    answer::Answer,
    blocking,
    call::{Call, Params},
    context::ApiContext,
    error::ApiError,
    local::LocalAgent,
    proxy::{self, Hop, Incoming},
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Write, "/v1/client/proof", Anyone, "Proves that the agent is that of a node, and gives a ticket for calls of the next 30 s.",
        agent!(|r| proof(r.context, r.call))).with_small_body()
        .takes(ProofRequest::schema).gives(ProofAnswer::schema),
    Route::new(Read, "/v1/client/fs/ls/{id}", ReadFs, "Lists a directory of an alloc.",
        agent!(|r| files(&r, File::List)))
        .gives(<Vec<FileInfo>>::schema),
    Route::new(Read, "/v1/client/fs/stat/{id}", ReadFs, "Says what a file of an alloc is.",
        agent!(|r| files(&r, File::Stat)))
        .gives(FileInfo::schema),
    Route::new(Read, "/v1/client/fs/cat/{id}", ReadFs, "Gives a file of an alloc.",
        agent!(|r| files(&r, File::Cat))),
    Route::new(Read, "/v1/client/fs/readat/{id}", ReadFs, "Gives a part of a file of an alloc.",
        agent!(|r| files(&r, File::ReadAt))),
    Route::new(Read, "/v1/client/fs/stream/{id}", ReadFs, "Follows a file of an alloc.",
        agent!(|r| files(&r, File::Stream))),
    Route::new(Read, "/v1/client/fs/logs/{id}", ReadLogs, "Gives or follows the log of a task.",
        agent!(|r| files(&r, File::Logs))),
    Route::new(Read, "/v1/client/allocation/{id}/stats", ReadJob, "Measures an alloc.",
        agent!(|r| of_alloc(&r, OfAlloc::Stats)))
        .gives(AllocUsage::schema),
    Route::new(Write, "/v1/client/allocation/{id}/restart", AllocLifecycle, "Restarts the tasks of an alloc.",
        agent!(|r| of_alloc(&r, OfAlloc::Restart))).with_small_body()
        .takes(TaskRequest::schema).gives(Value::schema),
    Route::new(Write, "/v1/client/allocation/{id}/signal", AllocLifecycle, "Sends a signal to the tasks of an alloc.",
        agent!(|r| of_alloc(&r, OfAlloc::Signal))).with_small_body()
        .takes(TaskRequest::schema).gives(Value::schema),
    Route::new(Read, "/v1/client/allocation/{id}/gc", AllocLifecycle, "Removes the directory of an alloc that is over.",
        agent!(|r| of_alloc(&r, OfAlloc::Collect))),
    Route::new(Write, "/v1/client/allocation/{id}/gc", AllocLifecycle, "Removes the directory of an alloc that is over.",
        agent!(|r| of_alloc(&r, OfAlloc::Collect))),
    Route::new(Read, "/v1/client/allocation/{id}/checks", ReadJob, "Gives the checks of an alloc: there are none yet.",
        agent!(|r| of_alloc(&r, OfAlloc::Checks)))
        .gives(Value::schema),
    Route::new(Read, "/v1/client/allocation/{id}/exec", AllocExec, "Runs a command in a task.",
        NotBuilt("exec")),
    Route::new(Read, "/v1/client/allocation/{id}/snapshot", Management, "Gives the disk of an alloc to the one that replaces it.",
        NotBuilt("migrating an alloc's disk")),
    Route::new(Read, "/v1/client/stats", NodeRead, "Measures a node.",
        agent!(|r| stats(&r)))
        .gives(HostStats::schema),
    Route::new(Read, "/v1/client/metadata", NodeRead, "Gives the metadata of a node.",
        agent!(|r| metadata(&r)))
        .gives(NodeMetadata::schema),
    Route::new(Read, "/v1/client/gc", NodeWrite, "Removes the directories of allocs that are over from a node.",
        agent!(|r| collect(&r))),
    Route::new(Write, "/v1/client/gc", NodeWrite, "Removes the directories of allocs that are over from a node.",
        agent!(|r| collect(&r))),
];

/// How often a stream that has nothing to say says so.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What may be asked of an alloc's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    List,
    Stat,
    Cat,
    ReadAt,
    Stream,
    Logs,
}

/// What else may be asked of an alloc where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfAlloc {
    Stats,
    Restart,
    Signal,
    Collect,
    Checks,
}

pub(super) async fn files(r: &OfAgent<'_>, what: File) -> Result<Answer, ApiError> {
    let alloc: AllocId = super::uuid(r.id(), "alloc")?;
    match place_of_alloc(r.context, r.incoming, alloc).await? {
        Place::Here(agent) => Ok(file(&*agent, what, alloc, r.call).await?.no_page()),
        place => place.pass_on(r.context, r.incoming, r.call).await,
    }
}

pub(super) async fn of_alloc(r: &OfAgent<'_>, what: OfAlloc) -> Result<Answer, ApiError> {
    let alloc: AllocId = super::uuid(r.id(), "alloc")?;
    match place_of_alloc(r.context, r.incoming, alloc).await? {
        Place::Here(agent) => asked_of_alloc(&*agent, what, alloc, r.call).await,
        place => place.pass_on(r.context, r.incoming, r.call).await,
    }
}

pub(super) async fn stats(r: &OfAgent<'_>) -> Result<Answer, ApiError> {
    match place_of_node(r.context, r.incoming, r.call).await? {
        Place::Here(agent) => Answer::json(r.call, &agent.host_stats().await.map_err(refusal)?),
        place => place.pass_on(r.context, r.incoming, r.call).await,
    }
}

pub(super) async fn metadata(r: &OfAgent<'_>) -> Result<Answer, ApiError> {
    match place_of_node(r.context, r.incoming, r.call).await? {
        Place::Here(agent) => {
            let node = agent.node();
            let answer = NodeMetadata {
                meta: node.meta.clone(),
                fixed: node.meta.clone(),
                ..NodeMetadata::default()
            };
            Answer::json(r.call, &answer)
        }
        place => place.pass_on(r.context, r.incoming, r.call).await,
    }
}

pub(super) async fn collect(r: &OfAgent<'_>) -> Result<Answer, ApiError> {
    match place_of_node(r.context, r.incoming, r.call).await? {
        Place::Here(agent) => {
            agent.collect_garbage(None).await.map_err(refusal)?;
            Ok(Answer::empty())
        }
        place => place.pass_on(r.context, r.incoming, r.call).await,
    }
}

/// Proves to a server that this is the agent of the node that it asks for.
pub(super) async fn proof(context: &ApiContext, call: &Call) -> Result<Answer, ApiError> {
    let question: ProofRequest = call.json()?;
    let answer = context.identity.as_ref().and_then(|identity| {
        let key = |salt| identity.call_key(salt);
        context.tickets.answer(identity.node_id, key, &question)
    });
    match answer {
        Some(answer) => Answer::json(call, &answer),
        None => Err(ApiError::NotFound(
            "this agent is not that node's".to_owned(),
        )),
    }
}

/// Who answers a call about a node.
enum Place {
    /// This process.
    Here(Arc<dyn LocalAgent>),
    /// The agent of this node, at the address that it named.
    There(NodeId, String),
    /// A server knows.
    Server,
}

impl Place {
    async fn pass_on(
        self,
        context: &ApiContext,
        incoming: &Incoming,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        match self {
            Self::There(node, address) => match context.server() {
                Some(server) => {
                    proxy::to_node(context, server, incoming, &call.params, node, &address).await
                }
                None => proxy::to_server(context, incoming, &call.params).await,
            },
            Self::Server => proxy::to_server(context, incoming, &call.params).await,
            Self::Here(_) => Err(ApiError::Gateway(
                "the call is to be answered here".to_owned(),
            )),
        }
    }
}

async fn place_of_alloc(
    context: &ApiContext,
    incoming: &Incoming,
    alloc: AllocId,
) -> Result<Place, ApiError> {
    if let Some(agent) = &context.agent
        && (agent.has_alloc(alloc) || incoming.hop == Hop::Node)
    {
        return Ok(Place::Here(agent.clone()));
    }
    let Some(server) = context.server() else {
        return Ok(Place::Server);
    };
    let state = blocking::ready(server).await?;
    let Some(found) = state.alloc(alloc) else {
        return Err(ApiError::NotFound(format!(
            "Unknown allocation \"{alloc}\""
        )));
    };
    node_address(context, &state, found.node_id)
}

async fn place_of_node(
    context: &ApiContext,
    incoming: &Incoming,
    call: &Call,
) -> Result<Place, ApiError> {
    let wanted: Option<NodeId> = match call.params.get("node_id") {
        Some(id) => Some(super::uuid(id, "node")?),
        None => None,
    };
    if let Some(agent) = &context.agent
        && (wanted.is_none_or(|id| id == agent.node_id()) || incoming.hop == Hop::Node)
    {
        return Ok(Place::Here(agent.clone()));
    }
    let Some(server) = context.server() else {
        return Ok(Place::Server);
    };
    let Some(node) = wanted else {
        return Err(ApiError::BadRequest(
            "missing node ID: this agent is no client".to_owned(),
        ));
    };
    let state = blocking::ready(server).await?;
    node_address(context, &state, node)
}

fn node_address(
    context: &ApiContext,
    state: &rove_store::state::State,
    node: NodeId,
) -> Result<Place, ApiError> {
    if let Some(agent) = &context.agent
        && agent.node_id() == node
    {
        return Ok(Place::Here(agent.clone()));
    }
    match state.node(node) {
        None => Err(ApiError::NotFound(format!("Unknown node \"{node}\""))),
        Some(found) if found.http_addr.is_empty() => Err(ApiError::Gateway(format!(
            "No path to node: node \"{node}\" has no address"
        ))),
        Some(found) => Ok(Place::There(node, found.http_addr.clone())),
    }
}

/// What the agent refused, with the status that Nomad has for it.
fn refusal(error: HandleError) -> ApiError {
    let text = rove_model::causes::with_causes(&error);
    match error {
        HandleError::UnknownAlloc(_)
        | HandleError::NotStarted(_)
        | HandleError::File(FileError::NotFound { .. }) => ApiError::NotFound(text),
        HandleError::UnknownTask(_) | HandleError::LogsDisabled(_) => ApiError::BadRequest(text),
        HandleError::File(FileError::IsDirectory(_) | FileError::NotDirectory(_)) => {
            ApiError::BadRequest(text)
        }
        HandleError::Log(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            ApiError::NotFound(text)
        }
        _ => ApiError::Refused(text),
    }
}

fn options(params: &Params, follow_by_default: bool) -> Result<ReadOptions, ApiError> {
    let offset = match params.get("offset") {
        None => 0,
        Some(text) => text.parse::<i64>().map_err(|_| {
            ApiError::BadRequest(format!(
                "error parsing offset: strconv.ParseInt: parsing \"{text}\": invalid syntax"
            ))
        })?,
    };
    let origin = match params.get("origin") {
        None | Some("start") => Origin::Start,
        Some("end") => Origin::End,
        Some(_) => {
            return Err(ApiError::BadRequest(
                "origin must be start or end".to_owned(),
            ));
        }
    };
    Ok(ReadOptions {
        // As in Nomad, a negative offset is none.
        offset: u64::try_from(offset).unwrap_or(0),
        origin,
        follow: params.flag("follow")?.unwrap_or(follow_by_default),
    })
}

fn path(call: &Call) -> Result<&str, ApiError> {
    call.params
        .get("path")
        .ok_or_else(|| ApiError::BadRequest("must provide a file name".to_owned()))
}

async fn file(
    agent: &dyn LocalAgent,
    what: File,
    alloc: AllocId,
    call: &Call,
) -> Result<Answer, ApiError> {
    match what {
        File::List => {
            let path = call.params.get("path").unwrap_or("/");
            Answer::json(call, &agent.list(alloc, path).await.map_err(refusal)?)
        }
        File::Stat => {
            let path = path(call)?;
            Answer::json(call, &agent.stat(alloc, path).await.map_err(refusal)?)
        }
        // Clients know these two by their text alone: what failed is said with 200.
        File::Cat => {
            let options = ReadOptions::default();
            whole(agent, alloc, path(call)?, options, None).await
        }
        File::ReadAt => {
            let number = |name: &str| {
                let text = call.params.get(name).unwrap_or_default();
                text.parse::<i64>().map_err(|_| {
                    format!(
                        "error parsing {name}: strconv.ParseInt: parsing \"{text}\": invalid syntax"
                    )
                })
            };
            let path = path(call)?;
            let (offset, limit) = match (number("offset"), number("limit")) {
                (Ok(offset), Ok(limit)) => (offset, limit),
                (Err(text), _) | (_, Err(text)) => return Ok(Answer::text(StatusCode::OK, text)),
            };
            let options = ReadOptions {
                offset: u64::try_from(offset).unwrap_or(0),
                ..ReadOptions::default()
            };
            let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
            whole(agent, alloc, path, options, limit).await
        }
        File::Stream => {
            let options = options(&call.params, true)?;
            let limit = call
                .params
                .number("limit")
                .and_then(|limit| u64::try_from(limit).ok())
                .filter(|limit| *limit > 0);
            let frames = agent
                .read(alloc, path(call)?, options, limit)
                .await
                .map_err(refusal)?;
            Ok(Answer::stream(
                "text/plain; charset=utf-8",
                framed(frames, options.follow),
            ))
        }
        File::Logs => logs(agent, alloc, call).await,
    }
}

async fn whole(
    agent: &dyn LocalAgent,
    alloc: AllocId,
    path: &str,
    options: ReadOptions,
    limit: Option<u64>,
) -> Result<Answer, ApiError> {
    match agent.read(alloc, path, options, limit).await {
        Ok(frames) => Ok(Answer::stream("text/plain; charset=utf-8", plain(frames))),
        Err(error @ HandleError::UnknownAlloc(_)) => Err(refusal(error)),
        Err(error) => {
            // What can't be opened can't be looked at either, in the words of these two calls.
            let text = rove_model::causes::with_causes(&error);
            let text = match text.strip_prefix("open ") {
                Some(rest) => format!("stat {rest}"),
                None => text,
            };
            Ok(Answer::text(StatusCode::OK, text))
        }
    }
}

async fn logs(agent: &dyn LocalAgent, alloc: AllocId, call: &Call) -> Result<Answer, ApiError> {
    let bad = |text: &str| Err(ApiError::BadRequest(text.to_owned()));
    let Some(task) = call.params.get("task") else {
        return bad("must provide task name");
    };
    let kind = match call.params.get("type") {
        Some("stdout") => LogKind::Stdout,
        Some("stderr") => LogKind::Stderr,
        _ => return bad("must provide log type (stdout/stderr)"),
    };
    let options = options(&call.params, false)?;
    let as_text = call.params.flag("plain")?.unwrap_or(false);
    let frames = agent
        .logs(alloc, task, kind, options)
        .await
        .map_err(refusal)?;
    Ok(if as_text {
        Answer::stream("text/plain", plain(frames))
    } else {
        Answer::stream("application/json", framed(frames, options.follow))
    })
}

/// The bytes alone.
fn plain(frames: FrameStream) -> Body {
    Body::from_stream(frames.map(|frame| frame.map(|frame| frame.data).map_err(text_of)))
}

fn text_of(error: HandleError) -> std::io::Error {
    std::io::Error::other(rove_model::causes::with_causes(&error))
}

/// Frames as JSON, one after the other; with a heartbeat while nothing comes, when the reader waits for more.
fn framed(frames: FrameStream, heartbeat: bool) -> Body {
    let written = frames.map(|frame| frame.map(|frame| json_frame(&frame)).map_err(text_of));
    if heartbeat {
        Body::from_stream(with_heartbeat(written))
    } else {
        Body::from_stream(written)
    }
}

fn json_frame(frame: &Frame) -> Bytes {
    if frame.data.is_empty() && frame.file.is_empty() {
        return Bytes::from_static(b"{}");
    }
    let frame = StreamFrame {
        data: STANDARD.encode(&frame.data),
        file: frame.file.clone(),
        offset: frame.offset,
    };
    json!(frame).to_string().into()
}

fn with_heartbeat<S>(
    frames: S,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin + 'static,
{
    futures::stream::unfold(frames, |mut frames| async move {
        match tokio::time::timeout(HEARTBEAT, frames.next()).await {
            Ok(Some(frame)) => Some((frame, frames)),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b"{}")), frames)),
        }
    })
}

async fn asked_of_alloc(
    agent: &dyn LocalAgent,
    what: OfAlloc,
    alloc: AllocId,
    call: &Call,
) -> Result<Answer, ApiError> {
    let done = || Answer::json(call, &json!({"Index": 0}));
    match what {
        OfAlloc::Stats => {
            let task = call.params.get("task");
            let usage = agent.alloc_stats(alloc, task).await.map_err(refusal)?;
            Answer::json(call, &usage)
        }
        OfAlloc::Restart => {
            let body: TaskRequest = call.json_or_default()?;
            match body.task() {
                Some(_) if body.all_tasks => {
                    return Err(ApiError::BadRequest(
                        "all tasks and one of them can't be restarted at once".to_owned(),
                    ));
                }
                None if body.all_tasks => agent.restart_all(alloc).await,
                task => agent.restart(alloc, task).await,
            }
            .map_err(refusal)?;
            done()
        }
        OfAlloc::Signal => {
            let body: TaskRequest = call.json_or_default()?;
            let name = if body.signal.is_empty() {
                "SIGKILL"
            } else {
                &body.signal
            };
            let signal: Signal = name
                .parse()
                .map_err(|error| refusal(HandleError::Driver(error)))?;
            agent
                .signal(alloc, body.task(), signal)
                .await
                .map_err(refusal)?;
            done()
        }
        OfAlloc::Collect => {
            agent.collect_garbage(Some(alloc)).await.map_err(refusal)?;
            Ok(Answer::empty())
        }
        OfAlloc::Checks => Answer::json(call, &serde_json::Value::Null),
    }
}
