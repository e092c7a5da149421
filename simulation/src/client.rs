//! What the API writes for a user: a job's version and its registration in one transaction, on the revision it read.

use std::sync::Arc;

use rand::{RngExt, rngs::StdRng};
use rove_model::{
    alloc::AllocControl,
    encoding::{decode, encode},
    eval::TriggeredBy,
    ids::{AllocId, EvalId, JobUid, NodeId, UnixNanos, VersionKey},
    registration::{EvalRequest, JobVersion, Registration},
};
use rove_store::{
    keys::{Key, Keys},
    memory::MemoryStore,
    store::{Compare, KeyRange, Op, RangeRequest, Store, Txn},
};

use crate::workload::{JobModel, Wanted};

/// The user's way to the store, which never fails: what is asked for is known for sure.
pub(crate) struct Client {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) keys: Keys,
}

impl Client {
    async fn get(&self, key: &Key) -> Option<(u64, Vec<u8>)> {
        let key = KeyRange::Key(self.keys.encode(key));
        let found = self.store.range(RangeRequest::new(key)).await.ok()?;
        let kv = found.kvs.into_iter().next()?;
        Some((kv.mod_revision, kv.value.to_vec()))
    }

    /// Registers the job as it is wanted. False when it isn't there any more to be stopped.
    pub(crate) async fn write(&self, job: &JobModel, now: UnixNanos, rng: &mut StdRng) -> bool {
        let key = Key::Registration(job.key.clone());
        let before = self.get(&key).await;
        let held: Option<Registration> = before.as_ref().and_then(|(_, value)| decode(value).ok());
        let stop = job.wanted != Wanted::Running;
        if stop && held.as_ref().is_none_or(|held| held.purge) {
            return false;
        }
        let held = held.filter(|held| !held.purge);
        let uid = held
            .as_ref()
            .map_or_else(|| JobUid::from_random(rng.random()), |held| held.uid);
        let version = held.as_ref().map_or(0, |held| held.version + 1);
        let mut spec = job.spec();
        spec.version = version;
        spec.stop = stop;
        spec.submit_time = Some(now);
        let registration = Registration {
            uid,
            version,
            stop,
            purge: job.wanted == Wanted::Purged,
            no_shutdown_delay: false,
            eval: EvalRequest {
                id: EvalId::from_random(rng.random()),
                triggered_by: if stop {
                    TriggeredBy::JobDeregister
                } else {
                    TriggeredBy::JobRegister
                },
                priority: 50,
                create_time: now,
            },
            scalings: Vec::new(),
        };
        let version = Key::JobVersion(VersionKey {
            job: job.key.clone(),
            uid,
            version,
        });
        let (Ok(spec), Ok(registration)) =
            (encode(&JobVersion { job: spec }), encode(&registration))
        else {
            return false;
        };
        let bytes = self.keys.encode(&key);
        let txn = Txn {
            compares: vec![match before {
                Some((revision, _)) => Compare::unchanged(bytes.clone(), revision),
                None => Compare::absent(bytes.clone()),
            }],
            then: vec![
                Op::put(self.keys.encode(&version), spec),
                Op::put(bytes, registration),
            ],
            otherwise: Vec::new(),
        };
        // Nobody runs between the read and the write: there is one thread, and the memory store never waits.
        self.store
            .txn(txn)
            .await
            .is_ok_and(|answer| answer.succeeded)
    }

    /// Asks for an alloc to be stopped and replaced.
    pub(crate) async fn stop_alloc(&self, node: NodeId, alloc: AllocId, rng: &mut StdRng) -> bool {
        let control = AllocControl {
            stop: Some(EvalId::from_random(rng.random())),
            ..AllocControl::default()
        };
        let Ok(value) = encode(&control) else {
            return false;
        };
        let key = self.keys.encode(&Key::AllocControl(node, alloc));
        let txn = Txn {
            compares: vec![Compare::absent(key.clone())],
            then: vec![Op::put(key, value)],
            otherwise: Vec::new(),
        };
        self.store
            .txn(txn)
            .await
            .is_ok_and(|answer| answer.succeeded)
    }
}
