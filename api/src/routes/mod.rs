//! The router: finds the row of the table that a call is for, reads the call, and lets it be answered.

mod agent;
mod allocs;
mod client;
mod deployments;
mod evals;
mod events;
mod job;
mod jobs;
mod nodes;
mod openapi;
mod plan;
pub(crate) mod route;
mod search;
mod system;
mod table;
mod versions;

pub use openapi::openapi;

use std::{str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use rove_controllers::registration::RegistrationError;
use rove_wire::Refusal;
use uuid::Uuid;

use self::{
    route::{Handler, OfAgent, OfServer},
    table::ROUTES,
};
use crate::{
    answer::Answer,
    body,
    call::{Call, Params, Verb},
    context::ApiContext,
    error::ApiError,
    origin,
    proxy::{self, Hop, Incoming},
    serve::BodyTime,
};

/// Every row of the table.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static route::Route> {
    ROUTES.iter().copied().flatten()
}

/// The row for a call.
#[cfg(test)]
pub(crate) fn found(verb: Verb, path: &str) -> Option<&'static route::Route> {
    route::find(ROUTES, verb, path).ok().map(|(route, _)| route)
}

/// The API as a router: all of `/v1`.
pub fn router(context: ApiContext) -> Router {
    Router::new().fallback(handle).with_state(Arc::new(context))
}

async fn handle(State(context): State<Arc<ApiContext>>, request: Request) -> Response {
    let by_field = wants_problems(request.headers());
    match answer(&context, request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            if error.status().is_server_error() {
                tracing::debug!(%error, "a call was not answered");
            }
            if by_field {
                error.by_field()
            } else {
                error.into_response()
            }
        }
    }
}

/// The caller reads refusals field by field.
fn wants_problems(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().map(str::trim) == Some(Refusal::CONTENT_TYPE))
}

async fn answer(context: &Arc<ApiContext>, request: Request) -> Result<Answer, ApiError> {
    let BodyTime(time) = request.extensions().get().copied().unwrap_or_default();
    let (parts, sent) = request.into_parts();
    let verb = Verb::of(&parts.method)?;
    let (route, names) = route::find(ROUTES, verb, parts.uri.path())?;
    // Also when the call says that it was passed on, which anybody can: an agent that does so leaves out what browsers add.
    if context.info.local_only {
        origin::refuse_foreign_host(&parts.headers)?;
    }
    if verb != Verb::Read || route.right.changes() {
        origin::refuse_other_sites(&parts.headers)?;
    }
    let problems = wants_problems(&parts.headers);
    let mut incoming = Incoming {
        method: parts.method.clone(),
        path_and_query: parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
        hop: Hop::of(&parts.headers),
        headers: parts.headers,
        body: Bytes::new(),
    };
    proxy::check_hop(context, &incoming)?;
    let params = Params::parse(parts.uri.query());
    if let Some(region) = params.get("region")
        && region != context.info.region
    {
        return Err(RegistrationError::UnknownRegion(region.to_owned()).into());
    }
    match route.handler {
        Handler::Agent(_) | Handler::Server(_) if route.body > 0 => {
            incoming.body = context.bodies.read(sent, route.body, time).await?;
        }
        Handler::Agent(_) | Handler::Server(_) | Handler::NotBuilt(_) => body::ignore(sent).await?,
    }
    let call = Call {
        params,
        body: incoming.body.clone(),
        problems,
    };
    match route.handler {
        Handler::NotBuilt(what) => Err(ApiError::NotBuilt(what)),
        Handler::Agent(answer) => {
            answer(OfAgent {
                context,
                incoming: &incoming,
                call: &call,
                names,
            })
            .await
        }
        Handler::Server(answer) => match context.server() {
            None => proxy::to_server(context, &incoming, &call.params).await,
            Some(server) => {
                answer(OfServer {
                    context,
                    server,
                    call: &call,
                    names,
                })
                .await
            }
        },
    }
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
