//! Writes to a job: each is one transaction that compares the registration it was decided on.
//!
//! Nothing is done twice: when the answer of a transaction is lost, the same transaction is sent again, and the id of
//! the evaluation in the registration tells whether it had been done.

pub(crate) mod job;
pub(crate) mod quota;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rand::RngExt;
use rove_model::{
    encoding::{EncodingError, decode, encode},
    ids::{EvalId, JobKey, Revision},
    registration::{JobVersion, Registration},
};
use rove_store::{
    StoreError,
    keys::Key,
    state::State,
    store::{Compare, KeyRange, Op, OpResponse, RangeRequest, RangeResponse, Txn, TxnResponse},
};

use crate::{
    blocking,
    context::{ApiContext, ServerSide},
    error::ApiError,
};

/// How often a write is decided again because another came first.
const MAX_CONFLICTS: usize = 10;

/// How often a transaction whose answer was lost is sent again.
const MAX_RESENDS: u32 = 5;

/// The pause before it is sent again; doubles each time.
const RESEND_PAUSE: Duration = Duration::from_millis(100);

/// How long a write waits for State to show it, so that who asks next sees it.
const CATCH_UP: Duration = Duration::from_secs(3);

/// What is to be written to a job.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) registration: Registration,
    /// The specification of the version that the registration names, if it is a new one.
    pub(crate) version: Option<JobVersion>,
}

/// A write that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) index: Revision,
    pub(crate) eval: EvalId,
    /// When the current version came into being.
    pub(crate) job_modify_index: Revision,
}

/// Decides and writes until it is done, refused, or given up. `decide` is called again with a new evaluation's id
/// when another write came first; it gives `None` when there is nothing to do.
pub(crate) async fn commit(
    context: &ApiContext,
    server: &ServerSide,
    job: &JobKey,
    mut decide: impl FnMut(&State, EvalId) -> Result<Option<Change>, ApiError>,
) -> Result<Option<Done>, ApiError> {
    let key = Key::Registration(job.clone());
    // Decided on what the store holds now, not on what this server last heard: another may have written.
    let now = server
        .store
        .range(RangeRequest {
            keys_only: true,
            ..RangeRequest::new(KeyRange::Key(server.keys.encode(&key)))
        })
        .await?;
    let mut state = seen(server, &key, &now).await?;
    for _ in 0..MAX_CONFLICTS {
        let eval = EvalId::from_random(context.sources.random());
        let Some(change) = decide(&state, eval)? else {
            return Ok(None);
        };
        let known = state.registration(job).map_or(0, |found| found.modify);
        let new_version = change.version.is_some();
        let unchanged_since = state.job_modify_index(job);
        let txn = transaction(server, job, &change, known)?;
        let done = |index| Done {
            index,
            eval,
            job_modify_index: if new_version { index } else { unchanged_since },
        };
        let answer = send(server, txn).await?;
        if answer.succeeded {
            catch_up(server, answer.revision).await;
            return Ok(Some(done(answer.revision)));
        }
        if let Some(index) = written_at(&answer, eval) {
            catch_up(server, index).await;
            return Ok(Some(done(index)));
        }
        if let Some(OpResponse::Range(found)) = answer.responses.first() {
            state = seen(server, &key, found).await?;
        }
    }
    Err(ApiError::Refused(format!(
        "job \"{}\" was changed by others {MAX_CONFLICTS} times in a row: try again",
        job.id
    )))
}

fn transaction(
    server: &ServerSide,
    job: &JobKey,
    change: &Change,
    known: Revision,
) -> Result<Txn, ApiError> {
    let too_large =
        |error: EncodingError| ApiError::Refused(format!("job can't be stored: {error}"));
    let key = server.keys.encode(&Key::Registration(job.clone()));
    let mut txn = Txn {
        // An absent key compares as revision 0.
        compares: vec![Compare::unchanged(key.clone(), known)],
        then: Vec::new(),
        otherwise: vec![Op::Range(RangeRequest::new(KeyRange::Key(key.clone())))],
    };
    if let Some(version) = &change.version {
        let version_key = server
            .keys
            .encode(&Key::JobVersion(change.registration.version_key(job)));
        txn.compares.push(Compare::absent(version_key.clone()));
        let bytes = encode(version).map_err(too_large)?;
        txn.then.push(Op::put(version_key, bytes));
    }
    let bytes = encode(&change.registration).map_err(too_large)?;
    txn.then.push(Op::put(key, bytes));
    Ok(txn)
}

/// Sends a transaction, and sends it again while its answer is lost. It can't be done twice, because it changes a key
/// that it compares.
pub(crate) async fn send(server: &ServerSide, txn: Txn) -> Result<TxnResponse, ApiError> {
    let mut pause = RESEND_PAUSE;
    for _ in 0..MAX_RESENDS {
        match server.store.txn(txn.clone()).await {
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(reason, "the answer of a write was lost, it is sent again");
                let jitter = rand::rng().random_range(0.5..1.5);
                tokio::time::sleep(pause.mul_f64(jitter)).await;
                pause *= 2;
            }
            answer => return answer.map_err(ApiError::Store),
        }
    }
    server.store.txn(txn).await.map_err(|error| {
        ApiError::Refused(format!(
            "{error}; the write may have been done: look before you repeat it"
        ))
    })
}

/// Where the registration that was found asks for this very evaluation: an earlier sending of the write was done.
fn written_at(answer: &TxnResponse, eval: EvalId) -> Option<Revision> {
    let OpResponse::Range(found) = answer.responses.first()? else {
        return None;
    };
    let kv = found.kvs.first()?;
    let registration: Registration = decode(&kv.value).ok()?;
    (registration.eval.id == eval).then_some(kv.mod_revision)
}

/// The state, if possible of at least that revision.
pub(crate) async fn catch_up(server: &ServerSide, revision: Revision) -> Arc<State> {
    match tokio::time::timeout(CATCH_UP, server.state.wait_for(revision)).await {
        Ok(Ok(state)) => state,
        Ok(Err(_)) | Err(_) => server.state.latest(),
    }
}

/// The state, once it shows `key` as a read of the store found it, or as it was written since.
async fn seen(
    server: &ServerSide,
    key: &Key,
    found: &RangeResponse,
) -> Result<Arc<State>, ApiError> {
    let stored = found.kvs.first().map_or(0, |kv| kv.mod_revision);
    let shows = |state: &State| {
        let known = state.revisions(key).map_or(0, |(_, modify)| modify);
        known == stored || known > found.revision || state.revision() >= found.revision
    };
    let mut state = blocking::ready(server).await?;
    let mut handle = server.state.clone();
    let waits = async {
        while !shows(&state) {
            state = handle.changed().await.map_err(|_| ApiError::NotReady)?;
        }
        Ok(state)
    };
    tokio::time::timeout(CATCH_UP, waits)
        .await
        .unwrap_or(Err(ApiError::NotReady))
}

/// Writes one key of the API's own, deciding again when another write came first.
pub(crate) async fn update<T: serde::Serialize>(
    server: &ServerSide,
    key: &Key,
    mut decide: impl FnMut(&State) -> Result<T, ApiError>,
) -> Result<Revision, ApiError> {
    let bytes: Bytes = server.keys.encode(key);
    let mut state = blocking::ready(server).await?;
    for _ in 0..MAX_CONFLICTS {
        let value = encode(&decide(&state)?)
            .map_err(|error| ApiError::Refused(format!("it can't be stored: {error}")))?;
        let known = state.revisions(key).map_or(0, |(_, modify)| modify);
        let txn = Txn {
            compares: vec![Compare::unchanged(bytes.clone(), known)],
            then: vec![Op::put(bytes.clone(), value.clone())],
            otherwise: vec![Op::Range(RangeRequest::new(KeyRange::Key(bytes.clone())))],
        };
        let answer = send(server, txn).await?;
        if answer.succeeded {
            catch_up(server, answer.revision).await;
            return Ok(answer.revision);
        }
        // What stands there may be our own, from a sending whose answer was lost: then it is as wanted.
        if let Some(OpResponse::Range(found)) = answer.responses.first()
            && let Some(kv) = found.kvs.first()
            && kv.value.as_ref() == value.as_slice()
        {
            catch_up(server, kv.mod_revision).await;
            return Ok(kv.mod_revision);
        }
        if let Some(OpResponse::Range(found)) = answer.responses.first() {
            state = seen(server, key, found).await?;
        }
    }
    Err(ApiError::Refused(format!(
        "{key} was changed by others {MAX_CONFLICTS} times in a row: try again"
    )))
}
