//! Writes from outside of the loops: each is one transaction that compares what it was decided on.
//!
//! Nothing is done twice: when the answer of a transaction is lost, the same transaction is sent again, and what then
//! stands in its keys tells whether it had been done.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::{
    encoding::{EncodingError, decode, encode},
    ids::{EvalId, JobKey, Revision},
    registration::Registration,
};
use rove_store::{
    StoreError,
    keys::{Key, Keys},
    state::{State, StateHandle},
    store::{
        Compare, KeyRange, Op, OpResponse, RangeRequest, RangeResponse, Store, Txn, TxnResponse,
    },
};
use thiserror::Error;
use tracing::warn;

use crate::registration::Change;

/// How often a write is decided again because another came first.
const MAX_CONFLICTS: usize = 10;

/// How often a transaction whose answer was lost is sent again.
const MAX_RESENDS: u32 = 5;

/// The pause before it is sent again; doubles each time.
const RESEND_PAUSE: Duration = Duration::from_millis(100);

/// How long a write waits for State to show it, so that who asks next sees it.
const CATCH_UP: Duration = Duration::from_secs(3);

/// How long a call waits for State to be there at all.
const READY_WAIT: Duration = Duration::from_secs(5);

/// Why nothing was written, or why nobody knows.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The store refused it or can't be reached; nothing was written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An answer was lost, and sending the write again told nothing of what became of it.
    #[error("{0}; the write may have been done: look before you repeat it")]
    Unanswered(StoreError),
    /// Others wrote first, again and again; nothing was written.
    #[error("{what} was changed by others {MAX_CONFLICTS} times in a row: try again")]
    Contended {
        /// What was to be changed.
        what: String,
    },
    /// It is larger than the store holds.
    #[error("{what} can't be stored: {error}")]
    TooLarge {
        /// What was to be written.
        what: &'static str,
        /// How it is too large.
        error: EncodingError,
    },
    /// State has not been read from the store yet, is behind it for too long, or is no longer kept.
    #[error("No cluster leader: the state has not been read from the store yet")]
    NotReady,
}

/// A write to a job that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The revision of the write.
    pub index: Revision,
    /// The evaluation that it asks for.
    pub eval: EvalId,
    /// When the current version came into being.
    pub job_modify_index: Revision,
}

/// Writes to the store of one server.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Its keys.
    pub keys: &'a Keys,
    /// What the server knows of it.
    pub state: &'a StateHandle,
    /// Gives random bytes, for ids and pauses.
    pub random: &'a (dyn Fn() -> [u8; 16] + Send + Sync),
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// The state, once it was read from the store.
///
/// # Errors
/// When that takes too long, or the state is no longer kept.
pub async fn ready(state: &StateHandle) -> Result<Arc<State>, WriteError> {
    let latest = state.latest();
    if latest.revision() > 0 {
        return Ok(latest);
    }
    tokio::time::timeout(READY_WAIT, state.ready())
        .await
        .map_err(|_| WriteError::NotReady)?
        .map_err(|_| WriteError::NotReady)
}

impl Writer<'_> {
    /// Decides and writes to a job until it is done, refused, or given up. `decide` is called again with a new
    /// evaluation's id when another write came first; it gives `None` when there is nothing to do.
    ///
    /// # Errors
    /// What `decide` refuses, and why it could not be written.
    pub async fn commit<E: From<WriteError>>(
        &self,
        job: &JobKey,
        mut decide: impl FnMut(&State, EvalId) -> Result<Option<Change>, E>,
    ) -> Result<Option<Done>, E> {
        let key = Key::Registration(job.clone());
        // Decided on what the store holds now, not on what this server last heard: another may have written.
        let now = self
            .store
            .range(RangeRequest {
                keys_only: true,
                ..RangeRequest::new(KeyRange::Key(self.keys.encode(&key)))
            })
            .await
            .map_err(WriteError::Store)?;
        let mut state = self.seen(&key, &now).await?;
        for _ in 0..MAX_CONFLICTS {
            let eval = EvalId::from_random((self.random)());
            let Some(change) = decide(&state, eval)? else {
                return Ok(None);
            };
            let known = state.registration(job).map_or(0, |found| found.modify);
            let new_version = change.version.is_some();
            let unchanged_since = state.job_modify_index(job);
            let txn = self.transaction(job, &change, known)?;
            let version = written_version(&txn);
            let done = |index| Done {
                index,
                eval,
                job_modify_index: if new_version { index } else { unchanged_since },
            };
            let answer = self.send(txn).await?;
            if answer.succeeded {
                self.catch_up(answer.revision).await;
                return Ok(Some(done(answer.revision)));
            }
            if let Some(index) = written_at(&answer, eval, version.as_deref()) {
                self.catch_up(index).await;
                return Ok(Some(done(index)));
            }
            if let Some(OpResponse::Range(found)) = answer.responses.first() {
                state = self.seen(&key, found).await?;
            }
        }
        let what = format!("job \"{}\"", job.id);
        Err(WriteError::Contended { what }.into())
    }

    fn transaction(
        &self,
        job: &JobKey,
        change: &Change,
        known: Revision,
    ) -> Result<Txn, WriteError> {
        let too_large = |error| WriteError::TooLarge { what: "job", error };
        let key = self.keys.encode(&Key::Registration(job.clone()));
        let mut txn = Txn {
            // An absent key compares as revision 0.
            compares: vec![Compare::unchanged(key.clone(), known)],
            then: Vec::new(),
            otherwise: vec![Op::Range(RangeRequest::new(KeyRange::Key(key.clone())))],
        };
        if let Some(version) = &change.version {
            let version_key = self
                .keys
                .encode(&Key::JobVersion(change.registration.version_key(job)));
            txn.compares.push(Compare::absent(version_key.clone()));
            let what_is_there = RangeRequest::new(KeyRange::Key(version_key.clone()));
            txn.otherwise.push(Op::Range(what_is_there));
            let bytes = encode(version).map_err(too_large)?;
            txn.then.push(Op::put(version_key, bytes));
        }
        let bytes = encode(&change.registration).map_err(too_large)?;
        txn.then.push(Op::put(key, bytes));
        Ok(txn)
    }

    /// Sends a transaction, and sends it again while its answer is lost. It can't be done twice, because it changes a
    /// key that it compares. Once an answer was lost, no error says any more that nothing was written.
    async fn send(&self, txn: Txn) -> Result<TxnResponse, WriteError> {
        let mut pause = RESEND_PAUSE;
        let mut resends = 0;
        loop {
            match self.store.txn(txn.clone()).await {
                Err(StoreError::Unavailable(reason)) if resends < MAX_RESENDS => {
                    warn!(reason, "the answer of a write was lost, it is sent again");
                    // Half to one and a half of it, so that not all come back at once.
                    let jitter = 0.5 + f64::from((self.random)()[0]) / 256.0;
                    tokio::time::sleep(pause.mul_f64(jitter)).await;
                    pause *= 2;
                    resends += 1;
                }
                Err(error) if resends > 0 => return Err(WriteError::Unanswered(error)),
                answer => return answer.map_err(WriteError::Store),
            }
        }
    }

    /// The state, if possible of at least that revision.
    async fn catch_up(&self, revision: Revision) -> Arc<State> {
        match tokio::time::timeout(CATCH_UP, self.state.wait_for(revision)).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) | Err(_) => self.state.latest(),
        }
    }

    /// The state, once it shows `key` as a read of the store found it, or as it was written since.
    async fn seen(&self, key: &Key, found: &RangeResponse) -> Result<Arc<State>, WriteError> {
        let stored = found.kvs.first().map_or(0, |kv| kv.mod_revision);
        let shows = |state: &State| {
            let known = state.revisions(key).map_or(0, |(_, modify)| modify);
            known == stored || known > found.revision || state.revision() >= found.revision
        };
        let mut state = ready(self.state).await?;
        let mut handle = self.state.clone();
        let waits = async {
            while !shows(&state) {
                state = handle.changed().await.map_err(|_| WriteError::NotReady)?;
            }
            Ok(state)
        };
        tokio::time::timeout(CATCH_UP, waits)
            .await
            .unwrap_or(Err(WriteError::NotReady))
    }

    /// Writes one key that no loop writes, deciding again when another write came first.
    ///
    /// # Errors
    /// What `decide` refuses, and why it could not be written.
    pub async fn update<T: serde::Serialize, E: From<WriteError>>(
        &self,
        key: &Key,
        mut decide: impl FnMut(&State) -> Result<T, E>,
    ) -> Result<Revision, E> {
        let bytes: Bytes = self.keys.encode(key);
        let mut state = ready(self.state).await?;
        for _ in 0..MAX_CONFLICTS {
            let value = encode(&decide(&state)?)
                .map_err(|error| WriteError::TooLarge { what: "it", error })?;
            let known = state.revisions(key).map_or(0, |(_, modify)| modify);
            let txn = Txn {
                compares: vec![Compare::unchanged(bytes.clone(), known)],
                then: vec![Op::put(bytes.clone(), value.clone())],
                otherwise: vec![Op::Range(RangeRequest::new(KeyRange::Key(bytes.clone())))],
            };
            let answer = self.send(txn).await?;
            if answer.succeeded {
                self.catch_up(answer.revision).await;
                return Ok(answer.revision);
            }
            // What stands there may be our own, from a sending whose answer was lost: then it is as wanted.
            if let Some(OpResponse::Range(found)) = answer.responses.first()
                && let Some(kv) = found.kvs.first()
                && kv.value.as_ref() == value.as_slice()
            {
                self.catch_up(kv.mod_revision).await;
                return Ok(kv.mod_revision);
            }
            if let Some(OpResponse::Range(found)) = answer.responses.first() {
                state = self.seen(key, found).await?;
            }
        }
        let what = key.to_string();
        Err(WriteError::Contended { what }.into())
    }
}

/// The new version that a transaction writes beside the registration.
fn written_version(txn: &Txn) -> Option<Bytes> {
    match txn.then.as_slice() {
        [Op::Put { value, .. }, _] => Some(value.clone()),
        _ => None,
    }
}

/// When an earlier sending of the write was done: the registration asks for this very evaluation, or, where others
/// have written since, the version that was to be made is there.
fn written_at(answer: &TxnResponse, eval: EvalId, version: Option<&[u8]>) -> Option<Revision> {
    let found = |place: usize| match answer.responses.get(place)? {
        OpResponse::Range(found) => found.kvs.first(),
        OpResponse::Put { .. } | OpResponse::Delete { .. } => None,
    };
    let asks = |value: &[u8]| {
        decode::<Registration>(value).is_ok_and(|registration| registration.eval.id == eval)
    };
    let asked = found(0).filter(|kv| asks(&kv.value));
    let made = || found(1).filter(|kv| Some(kv.value.as_ref()) == version);
    asked
        .map(|kv| kv.mod_revision)
        .or_else(|| made().map(|kv| kv.create_revision))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::{
        ids::JobUid,
        job::{Job, TaskGroup},
    };
    use rove_store::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
        state::{FeederConfig, StateFeeder},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::registration::{RegistrationError, Stamp, register};

    #[derive(Debug, Error)]
    enum Failed {
        #[error(transparent)]
        Write(#[from] WriteError),
        #[error(transparent)]
        Registration(#[from] RegistrationError),
    }

    fn web(count: i64) -> Job {
        Job {
            id: "web".to_owned(),
            namespace: "default".to_owned(),
            task_groups: vec![TaskGroup {
                name: "group".to_owned(),
                count: Some(count),
                ..TaskGroup::default()
            }],
            ..Job::default()
        }
    }

    async fn write(writer: Writer<'_>, count: i64) -> Done {
        let (job, key) = (web(count), web(1).key());
        let done = writer.commit(&key, |state, eval| {
            let stamp = Stamp {
                eval,
                now: count,
                priority: None,
            };
            let change = register(
                state,
                &job,
                JobUid::from_random([7; 16]),
                None,
                false,
                stamp,
            )?;
            Ok::<_, Failed>(Some(change))
        });
        done.await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_not_called_undone_once_an_answer_to_it_was_lost() {
        let lost = Faults {
            lost_answer: 1.0,
            ..Faults::default()
        };
        let full = Faults {
            no_space: 1.0,
            ..Faults::default()
        };
        for (first, may_be_done) in [(lost, true), (full.clone(), false)] {
            let memory = Arc::new(MemoryStore::new());
            let faulty = FaultyStore::new(memory.clone(), 1, first);
            let keys = Keys::default();
            let (feeder, state) =
                StateFeeder::new(memory.clone(), keys.clone(), FeederConfig::default());
            let cancel = CancellationToken::new();
            let fed = tokio::spawn(feeder.run(cancel.clone()));
            let writer = Writer {
                store: &faulty,
                keys: &keys,
                state: &state,
                random: &|| rand::random(),
            };
            ready(&state).await.unwrap();
            let key = Key::Registration(web(1).key());
            let write = writer.update(&key, |_| Ok::<_, WriteError>(1));
            let fills = async {
                tokio::time::sleep(RESEND_PAUSE / 4).await;
                faulty.set_faults(full.clone());
            };
            let (written, ()) = tokio::join!(write, fills);
            let error = written.unwrap_err();
            assert_eq!(
                matches!(error, WriteError::Unanswered(StoreError::NoSpace)),
                may_be_done,
                "{error:?}"
            );
            let read = RangeRequest::new(KeyRange::Key(keys.encode(&key)));
            let found = memory.range(read).await.unwrap();
            assert_eq!(found.kvs.len(), usize::from(may_be_done));
            cancel.cancel();
            fed.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_was_overtaken_before_its_answer_came_is_not_done_again() {
        let memory = Arc::new(MemoryStore::new());
        let faulty = FaultyStore::new(memory.clone(), 1, Faults::default());
        let keys = Keys::default();
        let (feeder, state) =
            StateFeeder::new(memory.clone(), keys.clone(), FeederConfig::default());
        let cancel = CancellationToken::new();
        let fed = tokio::spawn(feeder.run(cancel.clone()));
        let random = || rand::random();
        let through = |store| Writer {
            store,
            keys: &keys,
            state: &state,
            random: &random,
        };
        write(through(&*memory), 1).await;

        faulty.set_faults(Faults {
            lost_answer: 1.0,
            ..Faults::default()
        });
        let other = async {
            tokio::time::sleep(RESEND_PAUSE / 4).await;
            faulty.set_faults(Faults::default());
            write(through(&*memory), 3).await
        };
        let (one, other) = tokio::join!(write(through(&faulty), 2), other);

        let state = state.wait_for(other.index).await.unwrap();
        let key = web(1).key();
        let versions: Vec<(u64, u64, Revision)> = state
            .job_versions(&key)
            .map(|(key, made)| (key.version, made.job.task_groups[0].count(), made.create))
            .collect();
        assert_eq!(
            versions[1..],
            [(1, 2, one.index), (2, 3, other.index)],
            "{versions:?}"
        );
        assert_eq!(state.registration(&key).unwrap().version, 2);
        cancel.cancel();
        fed.await.unwrap();
    }
}
