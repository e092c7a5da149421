//! Passing a call on to another agent: a client to a server, a server to the node that an alloc is on.
//!
//! A header says how far a call has come, so that two agents that take each other for something else can't pass it
//! to and fro.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
        header::{self},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::{
    answer::Answer,
    blocking::Wait,
    call::Params,
    context::{ApiContext, Mode},
    error::ApiError,
};

/// Says where a call that was passed on is to be answered.
const HOP: HeaderName = HeaderName::from_static("x-rove-hop");

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long another agent may take to begin its answer, beside the time that a query asks it to block.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a body that is not followed may stand still.
const STALL: Duration = Duration::from_secs(60);

/// Headers that belong to one connection and are never passed on.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHORIZATION,
];

/// Who is to answer a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// It came from a user.
    None,
    /// A client passed it on to a server.
    Server,
    /// A server passed it on to the node it is about.
    Node,
}

impl Hop {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(HOP).map(HeaderValue::as_bytes) {
            Some(b"server") => Self::Server,
            Some(_) => Self::Node,
            None => Self::None,
        }
    }

    fn value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Server => "server",
            Self::Node | Self::None => "node",
        })
    }
}

/// Which of the servers answered last: it is asked first the next time, so that who writes reads from the same.
#[derive(Debug, Default)]
pub(crate) struct LastServer(AtomicUsize);

/// The connector for calls to other agents.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(Duration::from_secs(15)));
    connector.set_nodelay(true);
    connector
}

/// A call as it came, its body read.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) hop: Hop,
}

/// Why a call could not be passed on.
enum Failure {
    /// It was not sent: another may be asked.
    NotSent(String),
    /// It may have been done.
    Sent(ApiError),
}

/// Passes a call on to a live server.
pub(crate) async fn to_server(
    context: &ApiContext,
    call: &Incoming,
    params: &Params,
) -> Result<Answer, ApiError> {
    let Mode::Client(servers) = &context.mode else {
        return Err(ApiError::Gateway("this agent is a server".to_owned()));
    };
    if call.hop != Hop::None {
        return Err(ApiError::Gateway(
            "this agent is no server: the call was passed on to the wrong one".to_owned(),
        ));
    }
    let servers = servers.borrow().clone();
    let mut last = "no server is known to this agent".to_owned();
    let first = context.last_server.0.load(Ordering::Relaxed);
    for step in 0..servers.len() {
        let index = (first + step) % servers.len();
        match send(context, call, params, &servers[index], Hop::Server).await {
            Ok(answer) => {
                context.last_server.0.store(index, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(Failure::NotSent(why)) => last = why,
            Err(Failure::Sent(error)) if call.method == Method::GET => last = error.to_string(),
            Err(Failure::Sent(error)) => return Err(error),
        }
    }
    Err(ApiError::Gateway(format!("No path to a server: {last}")))
}

/// Passes a call on to the agent of a node.
pub(crate) async fn to_node(
    context: &ApiContext,
    call: &Incoming,
    params: &Params,
    address: &str,
) -> Result<Answer, ApiError> {
    if call.hop == Hop::Node {
        return Err(ApiError::Gateway(
            "the node that the call was passed on to does not know the alloc".to_owned(),
        ));
    }
    send(context, call, params, address, Hop::Node)
        .await
        .map_err(|failure| match failure {
            Failure::NotSent(why) => ApiError::Gateway(format!("No path to node: {why}")),
            Failure::Sent(error) => error,
        })
}

async fn send(
    context: &ApiContext,
    call: &Incoming,
    params: &Params,
    address: &str,
    hop: Hop,
) -> Result<Answer, Failure> {
    let uri: Uri = format!("http://{address}{}", call.path_and_query)
        .parse()
        .map_err(|_| Failure::NotSent(format!("{address:?} is no address")))?;
    let mut request = Request::new(Body::from(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    for (name, value) in &call.headers {
        if !OF_THE_CONNECTION.contains(name) {
            request.headers_mut().append(name, value.clone());
        }
    }
    request.headers_mut().insert(HOP, hop.value());
    let blocks = Wait::of(params)
        .ok()
        .filter(|wait| wait.newer_than > 0)
        .map_or(Duration::ZERO, |wait| wait.at_most + wait.at_most / 8);
    let answer = tokio::time::timeout(ANSWER + blocks, context.http.request(request)).await;
    let response = match answer {
        Err(_) => return Err(Failure::Sent(ApiError::Timeout(address.to_owned()))),
        Ok(Err(error)) if error.is_connect() => {
            return Err(Failure::NotSent(format!("{address}: can't connect")));
        }
        Ok(Err(error)) => {
            return Err(Failure::Sent(ApiError::Gateway(format!(
                "{address} did not answer: {error}"
            ))));
        }
        Ok(Ok(response)) => response,
    };
    let (mut parts, body) = response.into_parts();
    for name in &OF_THE_CONNECTION {
        parts.headers.remove(name);
    }
    let body = Body::new(body);
    let follows = params.flag("follow").ok().flatten() != Some(false)
        && call.path_and_query.contains("/fs/")
        || call.path_and_query.starts_with("/v1/event/stream")
        || call.path_and_query.starts_with("/v1/agent/monitor");
    let body = if follows {
        body
    } else {
        with_stall_limit(body)
    };
    Ok(Answer::from(
        Response::from_parts(parts, body).into_response(),
    ))
}

/// A body that ends with an error when it stands still.
fn with_stall_limit(body: Body) -> Body {
    let chunks = tokio_stream::StreamExt::timeout(body.into_data_stream(), STALL);
    Body::from_stream(StreamExt::map(chunks, |chunk| match chunk {
        Ok(chunk) => chunk,
        Err(_) => Err(axum::Error::new(ApiError::Timeout("the agent".to_owned()))),
    }))
}
