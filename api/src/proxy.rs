//! Passing a call on to another agent: a client to a server, a server to the node that an alloc is on.
//!
//! A header says how far a call has come, so that two agents that take each other for something else can't pass it
//! to and fro. A node says itself where its agent is, so nothing of a call goes there before that agent has proven to be
//! the node's, and the caller's headers, with his token, never do; see [`crate::proof`].

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri,
        header::{self},
        uri::{Authority, Scheme},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use rove_agent::identity::CallKey;
use rove_model::ids::NodeId;
use rove_store::node_secret;
use rove_wire::ProofAnswer;

use crate::{
    answer::Answer,
    blocking::Wait,
    call::Params,
    context::{ApiContext, Mode, ServerSide},
    error::ApiError,
    origin,
    proof::Question,
};

/// Says where a call that was passed on is to be answered.
const HOP: HeaderName = HeaderName::from_static("x-rove-hop");

/// How long another agent may take to begin its answer, beside the time that a query asks it to block.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a body that is not followed may stand still.
const STALL: Duration = Duration::from_secs(60);

/// Proves to an agent that a call comes from a server.
const WORD: HeaderName = HeaderName::from_static("x-rove-call");

/// Where agents prove themselves.
const PROOF: &str = "/v1/client/proof";

/// How long an agent may take to prove itself.
const PROVE: Duration = Duration::from_secs(10);

/// The most bytes of a proof.
const MAX_PROOF: usize = 4 * 1024;

/// What a node's agent is told of a caller: how he writes and what he reads, not who he is.
const FOR_NODES: [HeaderName; 3] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::ACCEPT_ENCODING,
];

/// What of the headers of a node's agent reaches the caller: that agent sets no cookies for the servers.
const OF_NODES: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_ENCODING];

/// What browsers and the proxies before an agent add for the agent that was asked: it has looked at them, and no address
/// of another agent would fit them.
const OF_BROWSERS: [HeaderName; 3] = [
    header::ORIGIN,
    origin::SEC_FETCH_SITE,
    origin::FORWARDED_HOST,
];

/// The most bytes of an agent's address: a name has 253 at most.
const MAX_ADDRESS: usize = 255;

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
    /// How far a call has come by its own word; that it was passed on to a node only counts with a server's proof.
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
        let headers = passed_on(call, Hop::Server, |name| {
            !OF_THE_CONNECTION.contains(name) && !OF_BROWSERS.contains(name)
        });
        match send(context, call, params, &servers[index], headers).await {
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

/// Refuses a call that says to be passed on by a server and does not prove it.
pub(crate) fn check_hop(context: &ApiContext, call: &Incoming) -> Result<(), ApiError> {
    let Some(identity) = &context.identity else {
        return Ok(());
    };
    if call.hop != Hop::Node {
        return Ok(());
    }
    let word = call.headers.get(WORD).and_then(|word| word.to_str().ok());
    let proven = word.is_some_and(|word| {
        context.tickets.proves(
            identity.node_id,
            |salt| identity.call_key(salt),
            word,
            call.method.as_str(),
            &call.path_and_query,
        )
    });
    if proven {
        Ok(())
    } else {
        Err(ApiError::Forbidden(
            "the call says that a server passed it on, and does not prove it".to_owned(),
        ))
    }
}

/// Lets the agent at `address` prove to be the node's; the word that proves the call to it.
async fn prove(
    context: &ApiContext,
    server: &ServerSide,
    call: &Incoming,
    node: NodeId,
    address: &str,
) -> Result<String, ApiError> {
    let no_path = |why: String| ApiError::Gateway(format!("No path to node: {why}"));
    let kept = node_secret::read(&*server.store, &server.keys, node)
        .await
        .map_err(|error| no_path(error.to_string()))?
        .ok_or_else(|| no_path(format!("node \"{node}\" has registered no secret")))?;
    let key = CallKey::of_hash(&kept.hash);
    let question = Question::new(node, &key, kept.salt, context.sources.random());
    let uri = uri(address, PROOF).map_err(no_path)?;
    let body = serde_json::to_vec(&question.request()).map_err(|e| no_path(e.to_string()))?;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let answered = async {
        let response = context.http.request(request).await.map_err(|error| {
            no_path(if error.is_connect() {
                format!("{address}: can't connect")
            } else {
                format!("{address} did not answer: {error}")
            })
        })?;
        let status = response.status();
        let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_PROOF).await;
        body.map(|body| (status, body))
            .map_err(|error| no_path(format!("{address} did not answer: {error}")))
    };
    let (status, body) = tokio::time::timeout(PROVE, answered)
        .await
        .map_err(|_| ApiError::Timeout(address.to_owned()))??;
    // The answer to a path that the agent does not know; one that does says why not.
    if status == StatusCode::NOT_FOUND && body.is_empty() {
        tracing::info!(%node, address, "the agent of a node is older and can't prove itself: upgrade it");
        return Err(no_path(format!(
            "the agent of node \"{node}\" at {address} is older and can't prove itself: upgrade it"
        )));
    }
    serde_json::from_slice::<ProofAnswer>(&body)
        .ok()
        .and_then(|answer| question.word(&answer, call.method.as_str(), &call.path_and_query))
        .ok_or_else(|| {
            tracing::warn!(%node, address, "who answers at the address of a node is not its agent");
            no_path(format!(
                "who answers at {address} is not the agent of node \"{node}\""
            ))
        })
}

/// Where to ask the agent at `address`, which is a host and a port and nothing else: it was named by the agent itself.
fn uri(address: &str, path_and_query: &str) -> Result<Uri, String> {
    let no_address = || {
        let shown: String = address.chars().take(64).collect();
        let cut = if shown.len() < address.len() {
            "…"
        } else {
            ""
        };
        let shown = shown.escape_debug();
        format!("\"{shown}{cut}\" is no address: expected host:port")
    };
    if address.len() > MAX_ADDRESS {
        return Err(no_address());
    }
    let authority: Authority = address.parse().map_err(|_| no_address())?;
    if authority.host().is_empty() || authority.port().is_none() || address.contains('@') {
        return Err(no_address());
    }
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path_and_query)
        .build()
        .map_err(|error| format!("the call can't be passed on: {error}"))
}

/// The headers of a call that go along with it.
fn passed_on(call: &Incoming, hop: Hop, goes_along: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        if goes_along(name) && name != WORD {
            headers.append(name, value.clone());
        }
    }
    headers.insert(HOP, hop.value());
    headers
}

/// Passes a call on to the agent of a node.
pub(crate) async fn to_node(
    context: &ApiContext,
    server: &ServerSide,
    call: &Incoming,
    params: &Params,
    node: NodeId,
    address: &str,
) -> Result<Answer, ApiError> {
    if call.hop == Hop::Node {
        return Err(ApiError::Gateway(
            "the node that the call was passed on to does not know the alloc".to_owned(),
        ));
    }
    let word = prove(context, server, call, node, address).await?;
    let mut headers = passed_on(call, Hop::Node, |name| FOR_NODES.contains(name));
    let word = HeaderValue::from_str(&word)
        .map_err(|_| ApiError::Gateway(format!("No path to node: {address} gave no ticket")))?;
    headers.insert(WORD, word);
    let answer = send(context, call, params, address, headers).await;
    answer
        .map(|answer| answer.with_headers_only(&OF_NODES).no_page())
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
    headers: HeaderMap,
) -> Result<Answer, Failure> {
    let uri = uri(address, &call.path_and_query).map_err(Failure::NotSent)?;
    let mut request = Request::new(Body::from(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
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
        Ok(Err(error)) if was_refused(&error) => {
            return Err(Failure::NotSent(format!(
                "{address} ended the connection before the call was sent"
            )));
        }
        Ok(Err(error)) => {
            return Err(Failure::Sent(ApiError::Gateway(format!(
                "{address} did not answer: {error}"
            ))));
        }
        // Only the limit of connections answers so, before it looks at a call.
        Ok(Ok(response)) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::NotSent(format!(
                "{address} takes no more connections from here (limits {{ http_max_conns_per_client }})"
            )));
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

/// The connection ended before anything of the call was written to it.
fn was_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_canceled)
}

/// A body that ends with an error when it stands still.
fn with_stall_limit(body: Body) -> Body {
    let chunks = tokio_stream::StreamExt::timeout(body.into_data_stream(), STALL);
    Body::from_stream(StreamExt::map(chunks, |chunk| match chunk {
        Ok(chunk) => chunk,
        Err(_) => Err(axum::Error::new(ApiError::Timeout("the agent".to_owned()))),
    }))
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for fine in ["10.0.0.5:8080", "node-1.example:4646", "[::1]:4646"] {
            let made = uri(fine, "/v1/client/stats?a=b").map(|uri| uri.to_string());
            assert_eq!(made, Ok(format!("http://{fine}/v1/client/stats?a=b")));
        }
        for bad in [
            "",
            ":80",
            "10.0.0.5",
            "10.0.0.5:",
            "10.0.0.5:99999",
            "10.0.0.5:8080/admin?x=",
            "10.0.0.5:8080?x=",
            "10.0.0.5:8080#",
            "user@host:1",
            "user:word@host:1",
            "http://host:1",
            "host:1\r\nX: y",
            "a b:1",
            &format!("{}:1", "a".repeat(10_000)),
        ] {
            let refused = uri(bad, "/v1/client/stats").unwrap_or_default().to_string();
            assert_eq!(refused, "/", "{bad}");
            let why = uri(bad, "/").err().unwrap_or_default();
            assert!(why.contains("is no address") && why.len() < 300, "{why}");
        }
    }
}
