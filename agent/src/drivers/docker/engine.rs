//! Talking to a docker engine that may come, go and come back.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bollard::Docker;

use crate::drivers::DriverError;

/// Where an engine usually listens.
pub const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";

/// How long a call may take that only asks or changes the engine's books. Busy disks make a start slow.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long an engine may take to say that it is there.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// An engine by its address.
#[derive(Debug)]
pub(super) struct Engine {
    endpoint: String,
    client: Mutex<Option<Docker>>,
}

impl Engine {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            client: Mutex::new(None),
        }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client whose calls take so long at most. Each call makes its own connection, so an engine that was restarted
    /// is found again.
    pub(super) fn within(&self, limit: Duration) -> Result<Docker, DriverError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let docker = match &*client {
            Some(docker) => docker.clone(),
            None => client
                .insert(
                    Docker::connect_with_host(&self.endpoint)
                        .map_err(|source| self.failed("connect to the docker engine", source))?,
                )
                .clone(),
        };
        // Whole seconds, and none of them means none.
        Ok(docker.with_timeout(Duration::from_secs(limit.as_secs().max(1))))
    }

    /// A client for what is done at once.
    pub(super) fn client(&self) -> Result<Docker, DriverError> {
        self.within(CALL_LIMIT)
    }

    /// A client for asking whether there is an engine.
    pub(super) fn probe(&self) -> Result<Docker, DriverError> {
        self.within(PING_LIMIT)
    }

    /// What failed, in an error.
    pub(super) fn failed(
        &self,
        operation: &'static str,
        source: bollard::errors::Error,
    ) -> DriverError {
        DriverError::Docker {
            operation,
            endpoint: self.endpoint.clone(),
            source: Box::new(source),
        }
    }
}

/// What the engine says by its status code.
pub(super) fn status_of(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Whether the engine itself refused, in contrast to not being there.
pub(super) fn is_answer(error: &DriverError) -> bool {
    matches!(error, DriverError::Docker { source, .. } if status_of(source).is_some())
}
