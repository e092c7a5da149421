//! Writes that a call asks for, with this agent's time and randomness.

use rove_controllers::{registration::Change, writer::Writer};
use rove_model::ids::{EvalId, JobKey, Revision};
use rove_store::{keys::Key, state::State};

pub(crate) use rove_controllers::writer::Done;

use crate::{
    context::{ApiContext, ServerSide},
    error::ApiError,
};

/// Decides and writes to a job until it is done, refused, or given up: see [`Writer::commit`].
pub(crate) async fn commit(
    context: &ApiContext,
    server: &ServerSide,
    job: &JobKey,
    decide: impl FnMut(&State, EvalId) -> Result<Option<Change>, ApiError>,
) -> Result<Option<Done>, ApiError> {
    let random = || context.sources.random();
    writer(server, &random).commit(job, decide).await
}

/// Writes one key of the API's own: see [`Writer::update`].
pub(crate) async fn update<T: serde::Serialize>(
    context: &ApiContext,
    server: &ServerSide,
    key: &Key,
    decide: impl FnMut(&State) -> Result<T, ApiError>,
) -> Result<Revision, ApiError> {
    let random = || context.sources.random();
    writer(server, &random).update(key, decide).await
}

fn writer<'a>(
    server: &'a ServerSide,
    random: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
) -> Writer<'a> {
    Writer {
        store: &*server.store,
        keys: &server.keys,
        state: &server.state,
        random,
    }
}
