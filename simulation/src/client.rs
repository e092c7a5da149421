//! What users ask for, through the server's own writer: on that server's state and through its faulty store, so that
//! conflicts, lost answers and delays strike a registration as they strike a loop. What a user was told is held
//! against what the store has.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_controllers::{
    clock::Clock,
    facts,
    registration::{self, RegistrationError, Stamp, Stopping},
    writer::{Done, WriteError, Writer},
};
use rove_model::{
    alloc::AllocControl,
    encoding::decode,
    ids::{AllocId, EvalId, JobKey, JobUid, NodeId, Revision},
    registration::Registration,
};
use rove_store::{
    keys::{Key, Keys},
    memory::MemoryStore,
    state::StateHandle,
    store::{KeyRange, RangeRequest, Store},
};
use thiserror::Error;

use crate::{
    server::SimClock,
    workload::{JobModel, Wanted},
};

/// The cluster's region.
const REGION: &str = "global";

/// Why a user is told that nothing was done, or that nobody knows.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

/// A server as a user reaches it.
pub(crate) struct Reached {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: StateHandle,
}

/// One call of a user.
pub(crate) struct Caller {
    keys: Keys,
    clock: SimClock,
    random: Mutex<StdRng>,
    /// Every evaluation that it asked for, in vain or not.
    asked: Mutex<Vec<EvalId>>,
}

impl Caller {
    pub(crate) fn new(clock: SimClock, seed: u64) -> Self {
        Self {
            keys: Keys::default(),
            clock,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            asked: Mutex::new(Vec::new()),
        }
    }

    fn random(&self) -> [u8; 16] {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }

    fn stamp(&self, eval: EvalId) -> Stamp {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(eval);
        Stamp {
            eval,
            now: self.clock.now(),
            priority: None,
        }
    }

    /// Whether the registration that stands is one that this call wrote.
    pub(crate) fn wrote(&self, registration: &Registration) -> bool {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&registration.eval.id)
    }

    /// Registers the job as it is wanted, or stops it. `None` when it isn't there any more to be stopped.
    pub(crate) async fn write(
        &self,
        server: &Reached,
        job: &JobModel,
    ) -> Result<Option<Done>, CallError> {
        let random = || self.random();
        let writer = Writer {
            store: &*server.store,
            keys: &self.keys,
            state: &server.state,
            random: &random,
        };
        if job.wanted == Wanted::Running {
            let namespace = job.key.namespace.as_str();
            let spec = registration::examine(job.spec(), namespace, REGION, None)?.job;
            let uid = JobUid::from_random(self.random());
            let register = |state: &_, eval| {
                let stamp = self.stamp(eval);
                let change = registration::register(state, &spec, uid, None, false, stamp)?;
                Ok(Some(change))
            };
            return writer.commit(&job.key, register).await;
        }
        let how = Stopping {
            purge: job.wanted == Wanted::Purged,
            no_shutdown_delay: false,
        };
        let deregister = |state: &_, eval| {
            // Who stops what is not there any more asks for nothing.
            if facts::job(state, &job.key).is_none() {
                return Ok(None);
            }
            Ok(registration::deregister(
                state,
                &job.key,
                how,
                self.stamp(eval),
            ))
        };
        writer.commit(&job.key, deregister).await
    }

    /// Asks for an alloc to be stopped and replaced.
    pub(crate) async fn stop_alloc(
        &self,
        server: &Reached,
        node: NodeId,
        alloc: AllocId,
    ) -> Result<Revision, WriteError> {
        let random = || self.random();
        let writer = Writer {
            store: &*server.store,
            keys: &self.keys,
            state: &server.state,
            random: &random,
        };
        let eval = EvalId::from_random(self.random());
        writer
            .update(&Key::AllocControl(node, alloc), |state| {
                let asked = state.alloc_control(alloc).and_then(|asked| asked.stop);
                Ok(AllocControl {
                    stop: Some(asked.unwrap_or(eval)),
                    ..AllocControl::default()
                })
            })
            .await
    }
}

/// What the store holds of a job, beside everything: no fault strikes here.
pub(crate) async fn stored(store: &MemoryStore, job: &JobKey) -> Option<(Revision, Registration)> {
    let key = Keys::default().encode(&Key::Registration(job.clone()));
    let found = store
        .range(RangeRequest::new(KeyRange::Key(key)))
        .await
        .ok()?;
    let kv = found.kvs.into_iter().next()?;
    Some((kv.mod_revision, decode(&kv.value).ok()?))
}
