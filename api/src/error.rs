//! Why a call was not answered, with the status and text that Nomad's clients look for.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rove_controllers::{
    registration::{Refusal, RegistrationError},
    writer::WriteError,
};
use rove_wire::Problem;
use thiserror::Error;

/// Why a call was not answered. Texts are part of the API: tools match them.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The request was understood and refused; Nomad answers most refusals with 500.
    #[error("{0}")]
    Refused(String),
    /// The thing is not there.
    #[error("{0}")]
    NotFound(String),
    /// Nobody may do that from there.
    #[error("{0}")]
    Forbidden(String),
    /// No such path.
    #[error("")]
    NoSuchPath,
    /// The path is there, the method isn't.
    #[error("Invalid method")]
    MethodNotAllowed,
    /// The body is larger than is read.
    #[error("the request body is above {0} bytes")]
    TooLarge(usize),
    /// Others' bodies fill the memory that there is for them.
    #[error("too many request bodies are being read at once: try again in a moment")]
    NoRoom,
    /// The body was not there in time.
    #[error("the request body did not come within {} s", .0.as_secs())]
    SlowBody(Duration),
    /// Nomad has it, rove hasn't yet.
    #[error("{0} is not supported by rove yet")]
    NotBuilt(&'static str),
    /// The job can't be written as asked.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// It was not written, or nobody knows whether it was.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// State has not been read from the store yet, or is no longer kept.
    #[error("No cluster leader: the state has not been read from the store yet")]
    NotReady,
    /// Another agent that the call was passed on to did not answer.
    #[error("{0}")]
    Gateway(String),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Timeout(String),
}

impl ApiError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotBuilt(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Registration(error) => registration_status(error),
            Self::Refused(_) | Self::Write(_) | Self::NotReady | Self::Gateway(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

/// Nomad answers most refusals of a job with 500, and those of a scaling with 400.
fn registration_status(error: &RegistrationError) -> StatusCode {
    match error {
        RegistrationError::UnknownGroup(_)
        | RegistrationError::OutOfBounds { .. }
        | RegistrationError::TooMany { .. }
        | RegistrationError::OtherCount { .. }
        | RegistrationError::ActiveDeployment => StatusCode::BAD_REQUEST,
        RegistrationError::UnknownRegion(_)
        | RegistrationError::Refused(_)
        | RegistrationError::Moved { .. }
        | RegistrationError::OtherKind(_)
        | RegistrationError::CurrentVersion
        | RegistrationError::UnknownVersion { .. }
        | RegistrationError::OtherVersion { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ApiError {
    /// The answer for a caller that reads refusals field by field ([`rove_wire::Refusal`]); others get the text alone.
    pub(crate) fn by_field(self) -> Response {
        let Self::Registration(RegistrationError::Refused(refused)) = &self else {
            return self.into_response();
        };
        let status = self.status();
        let body = rove_wire::Refusal {
            status: status.as_u16(),
            detail: self.to_string(),
            problems: problems(refused),
        };
        match serde_json::to_vec(&body) {
            Ok(body) => {
                let kind = HeaderValue::from_static(rove_wire::Refusal::CONTENT_TYPE);
                (status, [(header::CONTENT_TYPE, kind)], body).into_response()
            }
            Err(_) => self.into_response(),
        }
    }
}

/// Each reason of a refusal with its field.
pub(crate) fn problems(refused: &Refusal) -> Vec<Problem> {
    let reasons = refused.reasons().into_iter();
    reasons
        .map(|reason| Problem {
            field: reason.path.to_string(),
            keys: reason.path.keys_outwards(),
            message: reason.message,
            hint: reason.hint.to_owned(),
            unsupported: reason.unsupported,
        })
        .collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if matches!(self, Self::NoSuchPath) {
            return status.into_response();
        }
        (status, self.to_string()).into_response()
    }
}
