//! Which path is answered by what.

mod agent;
mod allocs;
mod client;
mod deployments;
mod evals;
mod events;
mod job;
mod jobs;
mod nodes;
mod plan;
mod search;
mod system;

use std::{io, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use rove_controllers::registration::RegistrationError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    answer::Answer,
    apart::apart,
    call::{Call, Params, Verb},
    context::{ApiContext, ServerSide},
    error::ApiError,
    origin,
    proxy::{self, Hop, Incoming},
};

/// The most bytes of a request's body: a job specification of 512 KiB compressed has room, and little more.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How long calls may go on after the agent was told to end.
const GRACE: Duration = Duration::from_secs(2);

/// The API as a router: all of `/v1`.
pub fn router(context: ApiContext) -> Router {
    Router::new().fallback(handle).with_state(Arc::new(context))
}

/// Serves until it is cancelled; calls under way get a moment to end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    cancel: CancellationToken,
) -> io::Result<()> {
    let grace = {
        let cancel = cancel.clone();
        async move {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        }
    };
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async move { cancel.cancelled().await });
    tokio::select! {
        ended = server => ended,
        () = grace => Ok(()),
    }
}

async fn handle(State(context): State<Arc<ApiContext>>, request: Request) -> Response {
    match answer(&context, request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            if error.status().is_server_error() {
                tracing::debug!(%error, "a call was not answered");
            }
            error.into_response()
        }
    }
}

async fn answer(context: &Arc<ApiContext>, request: Request) -> Result<Answer, ApiError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Some(path) = path.strip_prefix("/v1/") else {
        return Err(ApiError::NoSuchPath);
    };
    let verb = Verb::of(&parts.method)?;
    let hop = Hop::of(&parts.headers);
    if hop == Hop::None {
        if context.info.local_only {
            origin::refuse_foreign_host(&parts.headers)?;
        }
        // That call reads by its method and frees disk space.
        if verb != Verb::Read || path == "client/gc" {
            origin::refuse_other_sites(&parts.headers)?;
        }
    }
    let incoming = Incoming {
        method: parts.method.clone(),
        path_and_query: parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
        hop,
        headers: parts.headers.clone(),
        body: read(body).await?,
    };
    let call = Call {
        params: Params::parse(parts.uri.query()),
        body: incoming.body.clone(),
    };
    if let Some(region) = call.params.get("region")
        && region != context.info.region
    {
        return Err(RegistrationError::UnknownRegion(region.to_owned()).into());
    }
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match segments.as_slice() {
        ["client", rest @ ..] => client::answer(context, verb, rest, &incoming, &call).await,
        ["agent", rest @ ..] => agent::answer(context, verb, rest, &incoming, &call).await,
        segments => match context.server() {
            Some(server) => of_server(context, server, verb, segments, &call).await,
            None => proxy::to_server(context, &incoming, &call.params).await,
        },
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, ApiError> {
    axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| ApiError::TooLarge(MAX_BODY))
}

/// Refuses all verbs but one.
fn only(verb: Verb, wanted: Verb) -> Result<(), ApiError> {
    if verb == wanted {
        Ok(())
    } else {
        Err(ApiError::MethodNotAllowed)
    }
}

/// A part of a path, as it was meant.
fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// An id in a path; `kind` says in an error what was looked for.
fn uuid<T: FromStr>(text: &str, kind: &str) -> Result<T, ApiError> {
    let lookup_failed =
        |why: String| ApiError::Refused(format!("{kind} lookup failed: index error: {why}"));
    if text.len() != 36 {
        return Err(lookup_failed("UUID must be 36 characters".to_owned()));
    }
    text.parse()
        .map_err(|_| lookup_failed(format!("Invalid UUID: {text:?}")))
}

/// The beginning of ids, as people type it.
#[derive(Debug)]
struct UuidPrefix(String);

impl UuidPrefix {
    fn fits(&self, id: Uuid) -> bool {
        let mut buffer = Uuid::encode_buffer();
        id.as_hyphenated()
            .encode_lower(&mut buffer)
            .starts_with(&self.0)
    }
}

/// The `prefix` parameter of a list of things with ids.
fn uuid_prefix(call: &Call, kind: &str) -> Result<Option<UuidPrefix>, ApiError> {
    let Some(text) = call.params.get("prefix") else {
        return Ok(None);
    };
    let lookup_failed =
        |why: String| ApiError::Refused(format!("{kind} lookup failed: index error: {why}"));
    if text.len() > 36 {
        return Err(lookup_failed("UUID must be 36 characters".to_owned()));
    }
    if let Some(other) = text.chars().find(|c| !c.is_ascii_hexdigit() && *c != '-') {
        return Err(lookup_failed(format!(
            "Invalid UUID: encoding/hex: invalid byte: U+{:04X} '{other}'",
            u32::from(other)
        )));
    }
    Ok(Some(UuidPrefix(text.to_ascii_lowercase())))
}

async fn of_server(
    context: &Arc<ApiContext>,
    server: &ServerSide,
    verb: Verb,
    segments: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    use Verb::{Delete, Read, Write};
    match segments {
        ["jobs"] => match verb {
            Read => jobs::list(server, call).await,
            Write => job::register(context, server, call).await,
            Delete => Err(ApiError::MethodNotAllowed),
        },
        ["jobs", "parse"] => {
            only(verb, Write)?;
            apart(|| jobs::parse(call)).await
        }
        ["validate", "job"] => {
            only(verb, Write)?;
            apart(|| jobs::validate(context, call)).await
        }
        ["job", rest @ ..] if !rest.is_empty() => {
            job::answer(context, server, verb, &rest.join("/"), call).await
        }
        ["evaluations"] => {
            only(verb, Read)?;
            evals::list(server, call).await
        }
        ["evaluations", "count"] => {
            only(verb, Read)?;
            evals::count(server, call).await
        }
        ["evaluation", id] => {
            only(verb, Read)?;
            evals::read(server, call, &decoded(id)).await
        }
        ["evaluation", id, "allocations"] => {
            only(verb, Read)?;
            evals::allocations(server, call, &decoded(id)).await
        }
        ["allocations"] => {
            only(verb, Read)?;
            allocs::list(server, call).await
        }
        ["allocation", id] => {
            only(verb, Read)?;
            allocs::read(server, call, &decoded(id)).await
        }
        ["allocation", id, "stop"] => {
            only(verb, Write)?;
            allocs::stop(context, server, call, &decoded(id)).await
        }
        ["allocation", _, "services"] => {
            only(verb, Read)?;
            system::nothing_yet(server, call).await
        }
        ["deployments"] => {
            only(verb, Read)?;
            deployments::list(server, call).await
        }
        ["deployment", "allocations", id] => {
            only(verb, Read)?;
            deployments::allocations(server, call, &decoded(id)).await
        }
        ["deployment", "fail" | "pause" | "promote" | "unblock", _] => {
            only(verb, Write)?;
            Err(ApiError::NotBuilt("changing a deployment by hand"))
        }
        ["deployment", id] => {
            only(verb, Read)?;
            deployments::read(server, call, &decoded(id)).await
        }
        ["nodes"] => {
            only(verb, Read)?;
            nodes::list(server, call).await
        }
        ["node", "pools"] => {
            only(verb, Read)?;
            nodes::pools(server, call).await
        }
        ["node", id] => {
            only(verb, Read)?;
            nodes::read(server, call, &decoded(id)).await
        }
        ["node", id, "allocations"] => {
            only(verb, Read)?;
            nodes::allocations(server, call, &decoded(id)).await
        }
        ["node", id, "eligibility"] => {
            only(verb, Write)?;
            nodes::eligibility(context, server, call, &decoded(id)).await
        }
        ["node", _, "drain"] => {
            only(verb, Write)?;
            Err(ApiError::NotBuilt("draining a node"))
        }
        ["node", _, "evaluate"] => {
            only(verb, Write)?;
            Err(ApiError::NotBuilt("evaluating all jobs of a node"))
        }
        ["node", _, "purge"] => {
            only(verb, Write)?;
            Err(ApiError::NotBuilt("purging a node"))
        }
        ["search"] => {
            only(verb, Write)?;
            search::prefix(server, call).await
        }
        rest => system::answer(context, server, verb, rest, call).await,
    }
}
