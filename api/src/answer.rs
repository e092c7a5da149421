//! An answer: a status, the index that a blocking query goes on from, and a body.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rove_model::ids::Revision;
use rove_store::state::State;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::{blocking::known, call::Call, error::ApiError};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How the state stood when a read was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) index: Revision,
    pub(crate) known_leader: bool,
}

impl Meta {
    pub(crate) fn of(state: &State, index: Revision) -> Self {
        Self {
            index: known(index),
            known_leader: state.leaders().next().is_some(),
        }
    }
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Answer(Response);

impl Answer {
    /// A value, in the layout that the call asks for.
    pub(crate) fn json<T: Serialize>(call: &Call, value: &T) -> Result<Self, ApiError> {
        let body = if call.params.has("pretty") {
            let mut out = Vec::new();
            let formatter = PrettyFormatter::with_indent(b"    ");
            value
                .serialize(&mut serde_json::Serializer::with_formatter(
                    &mut out, formatter,
                ))
                .map(|()| out)
        } else {
            serde_json::to_vec(value)
        };
        let body = body.map_err(|error| ApiError::Refused(error.to_string()))?;
        Ok(Self(([(header::CONTENT_TYPE, JSON)], body).into_response()))
    }

    /// The thing is not there; a blocking query can wait for it all the same.
    pub(crate) fn missing(text: &'static str) -> Self {
        Self((StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, TEXT)], text).into_response())
    }

    /// Nothing to say.
    pub(crate) fn empty() -> Self {
        Self(StatusCode::OK.into_response())
    }

    /// Bytes as they come.
    pub(crate) fn stream(content_type: &'static str, body: Body) -> Self {
        Self(([(header::CONTENT_TYPE, content_type)], body).into_response())
    }

    /// Text with a status.
    pub(crate) fn text(status: StatusCode, text: String) -> Self {
        Self((status, [(header::CONTENT_TYPE, TEXT)], text).into_response())
    }

    /// With what a reader is told of the state.
    pub(crate) fn with_meta(mut self, meta: Meta) -> Self {
        let known = if meta.known_leader { "true" } else { "false" };
        let headers = self.0.headers_mut();
        headers.insert("x-nomad-knownleader", HeaderValue::from_static(known));
        headers.insert("x-nomad-lastcontact", HeaderValue::from_static("0"));
        self.with_index(meta.index)
    }

    /// With the index alone, as writes have it.
    pub(crate) fn with_index(mut self, index: Revision) -> Self {
        self.0
            .headers_mut()
            .insert("x-nomad-index", HeaderValue::from(known(index)));
        self
    }

    /// With no other headers than these.
    pub(crate) fn with_headers_only(mut self, kept: &[HeaderName]) -> Self {
        let headers = self.0.headers_mut();
        for (name, value) in &std::mem::take(headers) {
            if kept.contains(name) {
                headers.append(name, value.clone());
            }
        }
        self
    }

    /// With what keeps a browser from taking it for a page of the API's own: its bytes come from a task or a node.
    pub(crate) fn no_page(mut self) -> Self {
        let headers = self.0.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox"),
        );
        self
    }

    /// With where the next page begins.
    pub(crate) fn with_next_token(mut self, token: Option<String>) -> Self {
        if let Some(token) = token.and_then(|token| HeaderValue::from_str(&token).ok()) {
            self.0.headers_mut().insert("x-nomad-nexttoken", token);
        }
        self
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self(response)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.0
    }
}
