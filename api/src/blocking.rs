//! Blocking queries: an answer waits until what it is made of is newer than what the caller has seen.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use rove_controllers::writer;
use rove_model::{duration::Nanos, ids::Revision};
use rove_store::state::{FIRST_REVISION, State};
use tokio::time::Instant;

use crate::{call::Params, context::ServerSide, error::ApiError};

/// How long a query blocks when it names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(300);

/// The longest a query may block.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Up to this part of the time is added, so that many waiters do not come back at once.
const JITTER_DIVISOR: u32 = 16;

/// A waiter rests so many times as long as a look at the index takes: under a storm of changes it costs at most a
/// twentieth of a core.
const REST: u32 = 20;

/// The shortest rest.
const MIN_REST: Duration = Duration::from_millis(1);

/// The longest rest: what a slow look may add to the time a waiter learns of a change.
const MAX_REST: Duration = Duration::from_millis(100);

/// An index as callers are told it, and as queries that go on from it are compared with. It is never 0: a query that
/// goes on from 0 does not block, so whoever watches would ask in a hot loop.
pub(crate) fn known(index: Revision) -> Revision {
    index.max(FIRST_REVISION)
}

/// What a query says about waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) newer_than: Revision,
    pub(crate) at_most: Duration,
}

impl Wait {
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let at_most = match params.get("wait") {
            None => DEFAULT_WAIT,
            Some(text) => text
                .parse::<Nanos>()
                .map_err(|_| ApiError::BadRequest("Invalid wait time".to_owned()))?
                .duration()
                .min(MAX_WAIT),
        };
        let newer_than = match params.get("index") {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| ApiError::BadRequest("Invalid index".to_owned()))?,
        };
        Ok(Self {
            newer_than,
            at_most,
        })
    }
}

/// The state, once it was read from the store.
pub(crate) async fn ready(server: &ServerSide) -> Result<Arc<State>, ApiError> {
    Ok(writer::ready(&server.state).await?)
}

/// The state to answer from: at once when the query does not block, else the first in which `index` is newer than
/// what the caller has seen, or the last one when its time is over.
pub(crate) async fn wait(
    server: &ServerSide,
    params: &Params,
    index: impl Fn(&State) -> Revision,
) -> Result<Arc<State>, ApiError> {
    let wait = Wait::of(params)?;
    let mut state = ready(server).await?;
    if wait.newer_than == 0 {
        return Ok(state);
    }
    let jitter = rand::rng().random_range(Duration::ZERO..=wait.at_most / JITTER_DIVISOR);
    let deadline = Instant::now() + wait.at_most + jitter;
    let mut handle = server.state.clone();
    loop {
        let looked = std::time::Instant::now();
        if known(index(&state)) > wait.newer_than {
            return Ok(state);
        }
        let rest = (looked.elapsed() * REST).clamp(MIN_REST, MAX_REST);
        let next = async {
            let changed = handle.changed().await;
            tokio::time::sleep(rest).await;
            changed
        };
        match tokio::time::timeout_at(deadline, next).await {
            Ok(Ok(_)) => state = server.state.latest(),
            Ok(Err(_)) => return Err(ApiError::NotReady),
            Err(_) => return Ok(server.state.latest()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_query_says_about_waiting_is_read_or_refused() {
        let wait = |query| Wait::of(&Params::parse(Some(query)));
        assert_eq!(
            wait("index=7&wait=5s").unwrap(),
            Wait {
                newer_than: 7,
                at_most: Duration::from_secs(5)
            }
        );
        assert_eq!(wait("wait=90m").unwrap().at_most, MAX_WAIT);
        assert_eq!(wait("").unwrap().newer_than, 0);
        for (query, text) in [
            ("index=1&wait=nope", "Invalid wait time"),
            ("index=nope&wait=1s", "Invalid index"),
            ("index=-1", "Invalid index"),
        ] {
            let error = wait(query).unwrap_err();
            assert_eq!((error.status().as_u16(), &*error.to_string()), (400, text));
        }
    }
}
