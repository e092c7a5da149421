//! Writing a decision to the store: packed into few transactions, each fenced and each comparing what it was decided
//! on, so that any of them may fail or be sent twice without harm.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use rove_model::{
    alloc::Alloc,
    encoding::{EncodingError, decode, encode},
    eval::AllocMetric,
    ids::Revision,
};
use rove_store::{
    backoff::Backoff,
    election::Fence,
    keys::{Key, Keys},
    store::{
        Compare, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, OpResponse, RangeRequest, Store,
        StoreError, Txn,
    },
};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::decision::{Commit, Require, Write};

/// The longest wait for an answer: etcd's own request timeout is 7 s.
const CALL: Duration = Duration::from_secs(10);

/// Transactions of one commit under way at once: four keep etcd busy.
const IN_FLIGHT: usize = 4;

/// What a transaction takes on the wire beside its keys and values, for each step; generously.
const OVERHEAD: usize = 64;

/// What came of a commit. The revision is one at which what it did, and what stood against it, can be seen. It is that of
/// a key of ours, not the store's: a store that others write to as well may be ahead of what the state will ever show.
/// What was removed meanwhile has no revision to wait for.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is written.
    Committed(Revision),
    /// Something had changed, so part or all of it is not written.
    Conflict(Revision),
    /// An answer was lost: whether it is written is to be seen.
    Unknown(Revision),
    /// It can't be written as it is.
    Refused(CommitError),
}

/// Why a decision can't be written at all.
#[derive(Debug, Error)]
pub enum CommitError {
    /// A value can't be stored.
    #[error("{key} can't be stored")]
    Encoding {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: EncodingError,
    },
    /// Writes that belong together don't fit into one transaction.
    #[error("{writes} writes of {bytes} bytes belong together and don't fit into one transaction")]
    GroupTooLarge {
        /// How many.
        writes: usize,
        /// Their size.
        bytes: usize,
    },
    /// A mistake in the code.
    #[error("the commit panicked")]
    Panic,
    /// The store does not take it.
    #[error("the store refuses the decision")]
    Store(#[source] StoreError),
}

/// A write as it goes to the store.
struct Encoded {
    compare: Option<Compare>,
    op: Op,
    bytes: usize,
}

/// Writes that go together.
#[derive(Default)]
struct Batch {
    writes: Vec<Encoded>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, other: &Self, most: usize) -> bool {
        self.writes.len() + other.writes.len() <= most && self.bytes + other.bytes <= MAX_TXN_BYTES
    }

    fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
        self.bytes += other.bytes;
    }
}

/// What the scheduler saw of allocs, by their keys.
type Metrics = BTreeMap<Key, AllocMetric>;

/// The stages of a commit: each is sent when the one before is acknowledged, its transactions in any order.
type Stages = Vec<Vec<Batch>>;

/// What a loop writes with.
#[derive(Clone)]
pub struct Committer {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
}

impl Committer {
    /// Commits one decision under `fence`.
    pub async fn commit(&self, fence: &Fence, commit: Commit, seed: u64) -> Outcome {
        // What it rests on as well: of a plan that was applied and removed meanwhile the evaluation tells.
        let about: Vec<Bytes> = commit
            .writes()
            .map(Write::key)
            .chain(commit.requires.iter().map(Require::key))
            .map(|key| self.keys.encode(key))
            .collect();
        let metrics = match self.stored_metrics(&commit).await {
            Ok(metrics) => metrics,
            Err(error) => return self.after_failure(&about, error, seed).await,
        };
        let common: Vec<Compare> = std::iter::once(fence.compare())
            .chain(
                commit
                    .requires
                    .iter()
                    .map(|require| require.compare(&self.keys)),
            )
            .collect();
        let most = MAX_TXN_OPS.saturating_sub(common.len()).max(1);
        let stages = match self.pack(&commit, &metrics, most) {
            Ok(stages) => stages,
            Err(error) => return Outcome::Refused(error),
        };
        let mut newest = 0;
        for stage in stages {
            let answers: Vec<_> = stream::iter(stage)
                .map(|batch| self.send(&common, batch))
                .buffer_unordered(IN_FLIGHT)
                .collect()
                .await;
            let mut conflict = false;
            let mut failure = None;
            for answer in answers {
                match answer {
                    Ok((succeeded, revision)) => {
                        conflict |= !succeeded;
                        newest = newest.max(revision);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                return self.after_failure(&about, error, seed).await;
            }
            if conflict {
                return Outcome::Conflict(newest);
            }
        }
        Outcome::Committed(newest)
    }

    async fn send(&self, common: &[Compare], batch: Batch) -> Result<(bool, Revision), StoreError> {
        let mut txn = Txn {
            compares: common.to_vec(),
            ..Txn::default()
        };
        for write in batch.writes {
            txn.compares.extend(write.compare);
            txn.then.push(write.op);
        }
        txn.otherwise = txn
            .compares
            .iter()
            .map(|compare| newest(compare.keys.clone()))
            .collect();
        let response = call(self.store.txn(txn)).await?;
        let revision = if response.succeeded {
            response.revision
        } else {
            newest_of(&response.responses)
        };
        Ok((response.succeeded, revision))
    }

    fn pack(&self, commit: &Commit, metrics: &Metrics, most: usize) -> Result<Stages, CommitError> {
        let one = |writes: &[Write]| -> Result<Batch, CommitError> {
            let mut batch = Batch::default();
            for write in writes {
                let write = self.encode(write, metrics)?;
                batch.bytes += write.bytes;
                batch.writes.push(write);
            }
            if batch.writes.len() > most || batch.bytes > MAX_TXN_BYTES {
                return Err(CommitError::GroupTooLarge {
                    writes: batch.writes.len(),
                    bytes: batch.bytes,
                });
            }
            Ok(batch)
        };
        let pack = |groups: &[Vec<Write>]| -> Result<Vec<Batch>, CommitError> {
            let mut batches: Vec<Batch> = Vec::new();
            for group in groups.iter().filter(|group| !group.is_empty()) {
                let group = one(group)?;
                match batches.last_mut() {
                    Some(batch) if batch.takes(&group, most) => batch.append(group),
                    _ => batches.push(group),
                }
            }
            Ok(batches)
        };
        let mut stages = vec![
            pack(&commit.first)?,
            pack(&commit.groups)?,
            pack(std::slice::from_ref(&commit.last))?,
        ];
        let writes: usize = stages
            .iter()
            .flatten()
            .map(|batch| batch.writes.len())
            .sum();
        let bytes: usize = stages.iter().flatten().map(|batch| batch.bytes).sum();
        if writes <= most && bytes <= MAX_TXN_BYTES {
            let mut all = Batch::default();
            stages
                .into_iter()
                .flatten()
                .for_each(|batch| all.append(batch));
            return Ok(vec![vec![all]]);
        }
        stages.retain(|stage| !stage.is_empty());
        Ok(stages)
    }

    fn encode(&self, write: &Write, metrics: &Metrics) -> Result<Encoded, CommitError> {
        let key = self.keys.encode(write.key());
        let put = |value: Result<Vec<u8>, EncodingError>| {
            let value = value.map_err(|source| CommitError::Encoding {
                key: write.key().to_string(),
                source,
            })?;
            let size = value.len();
            Ok((Op::put(key.clone(), value), size))
        };
        let (op, value) = match write {
            Write::Create(_, object) | Write::Update(_, object, _) => put(object.encode())?,
            Write::UpdateAlloc(id, alloc, _) => {
                let metrics = metrics.get(id).cloned().unwrap_or_default();
                put(encode(&Alloc::clone(alloc).with_metrics(metrics)))?
            }
            Write::Delete(..) | Write::Forget(_) => (Op::delete(key.clone()), 0),
        };
        Ok(Encoded {
            compare: write.compare(&self.keys),
            op,
            bytes: value + 3 * key.len() + OVERHEAD,
        })
    }

    /// What the scheduler saw of the allocs that are written again: it stands in the store alone. Nothing of one that is
    /// gone or can't be read: the former's write is refused by what it compares.
    async fn stored_metrics(&self, commit: &Commit) -> Result<Metrics, StoreError> {
        let changed: Vec<&Key> = commit
            .writes()
            .filter_map(|write| match write {
                Write::UpdateAlloc(key, ..) => Some(key),
                Write::Create(..) | Write::Update(..) | Write::Delete(..) | Write::Forget(_) => {
                    None
                }
            })
            .collect();
        let mut metrics = Metrics::new();
        for chunk in changed.chunks(MAX_TXN_OPS) {
            let reads = chunk
                .iter()
                .map(|key| Op::Range(RangeRequest::new(KeyRange::Key(self.keys.encode(key)))))
                .collect();
            let answer = call(self.store.txn(Txn {
                then: reads,
                ..Txn::default()
            }))
            .await?;
            for (key, response) in chunk.iter().zip(answer.responses) {
                if let OpResponse::Range(found) = response
                    && let Some(kv) = found.kvs.first()
                    && let Ok(stored) = decode::<MetricsOnly>(&kv.value)
                {
                    metrics.insert((*key).clone(), stored.metrics);
                }
            }
        }
        Ok(metrics)
    }

    /// After an answer that was lost: reads the keys it was about until the store answers, so that a state at the newest
    /// of their revisions shows whatever was done.
    async fn after_failure(&self, about: &[Bytes], error: StoreError, seed: u64) -> Outcome {
        if !matches!(
            error,
            StoreError::Unavailable(_)
                | StoreError::NoSpace
                | StoreError::Disk(_)
                | StoreError::Corrupt(_)
        ) {
            return Outcome::Refused(CommitError::Store(error));
        }
        warn!(%error, "a write got no answer, looking what came of it");
        let revision = stream::iter(about.iter().cloned())
            .map(|key| self.last_written(key, seed))
            .buffer_unordered(IN_FLIGHT)
            .fold(0, async |newest, revision| revision.max(newest))
            .await;
        Outcome::Unknown(revision)
    }

    /// When a key was last written; 0 when it isn't there. Asks until the store answers.
    async fn last_written(&self, key: Bytes, seed: u64) -> Revision {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5), seed);
        let request = RangeRequest {
            keys_only: true,
            ..RangeRequest::new(KeyRange::Key(key))
        };
        loop {
            match call(self.store.range(request.clone())).await {
                Ok(found) => return found.kvs.first().map_or(0, |kv| kv.mod_revision),
                Err(error) => {
                    debug!(%error, "the store still gives no answer");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

/// Asks when keys were last written.
fn newest(keys: KeyRange) -> Op {
    Op::Range(RangeRequest {
        keys_only: true,
        ..RangeRequest::new(keys)
    })
}

/// The newest revision of the keys that were found.
fn newest_of(responses: &[OpResponse]) -> Revision {
    responses
        .iter()
        .filter_map(|response| match response {
            OpResponse::Range(found) => found.kvs.iter().map(|kv| kv.mod_revision).max(),
            _ => None,
        })
        .max()
        .unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsOnly {
    #[serde(default)]
    metrics: AllocMetric,
}

async fn call<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(CALL, answer).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!(
            "no answer within {CALL:?}"
        )))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::FutureExt;
    use rove_model::{
        alloc::{LeftOut, PlacedAlloc},
        ids::EvalId,
        node::NodeState,
    };
    use rove_store::{
        faults::{Faults, FaultyStore},
        keys::Table,
        memory::MemoryStore,
        state::State,
        store::{Event, WatchEvent, WatchRequest},
    };

    use super::*;
    use crate::{decision::Decision, loops::testing::World};

    /// A store that holds what `world` does, at other revisions.
    async fn stored(world: &World) -> (Arc<MemoryStore>, State) {
        let store = Arc::new(MemoryStore::new());
        let keys = Keys::default();
        let leader = keys.encode(&Key::Leader("applier".to_owned()));
        let txn = Txn {
            then: vec![Op::put(leader, "x")],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        (store, world.state.clone())
    }

    fn fence(create_revision: Revision) -> Fence {
        Fence {
            key: Keys::default().encode(&Key::Leader("applier".to_owned())),
            create_revision,
        }
    }

    fn placements(world: &mut World, count: u32) -> Vec<Vec<Write>> {
        let job = world.register("web", i64::from(count));
        let node = world.node(1);
        (0..count)
            .map(|index| world.new_alloc(&job, node, index))
            .map(|alloc| vec![Write::new_alloc(alloc)])
            .collect()
    }

    fn last() -> Vec<Write> {
        vec![Write::Forget(Key::Plan(EvalId(uuid::Uuid::nil())))]
    }

    async fn revisions(store: &MemoryStore, keys: KeyRange) -> Vec<Vec<Event>> {
        let request = WatchRequest {
            keys,
            start: Some(1),
        };
        let mut watch = store.watch(request).await.unwrap();
        let mut found = Vec::new();
        while let Some(Some(Ok(item))) = watch.next().now_or_never() {
            if let WatchEvent::Batch { events, .. } = item {
                let chunks = events.chunk_by(|a, b| a.revision() == b.revision());
                found.extend(chunks.map(<[Event]>::to_vec));
            }
        }
        found
    }

    fn committer(store: Arc<dyn Store>) -> Committer {
        Committer {
            store,
            keys: Keys::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_decision_takes_several_transactions_and_its_end_comes_last() {
        let mut world = World::new();
        let groups = placements(&mut world, 300);
        let (store, _) = stored(&world).await;
        let plan = Keys::default().encode(&Key::Plan(EvalId(uuid::Uuid::nil())));
        let txn = Txn {
            then: vec![Op::put(plan.clone(), "plan")],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        let commit = Commit {
            groups,
            last: last(),
            ..Commit::default()
        };
        let outcome = committer(store.clone()).commit(&fence(2), commit, 1).await;
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        let all = revisions(&store, Keys::default().all()).await;
        let writes: Vec<usize> = all[2..].iter().map(Vec::len).collect();
        assert_eq!(writes, [127, 127, 46, 1]);
        assert_eq!(all.last().unwrap()[0].key(), &plan);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_decision_is_one_transaction() {
        let mut world = World::new();
        let groups = placements(&mut world, 20);
        let (store, _) = stored(&world).await;
        let commit = Commit {
            groups,
            last: last(),
            ..Commit::default()
        };
        committer(store.clone()).commit(&fence(2), commit, 1).await;
        let allocs = revisions(&store, Keys::default().table(Table::Allocs)).await;
        assert_eq!(allocs.iter().map(Vec::len).collect::<Vec<_>>(), [20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deposed_leader_and_a_changed_key_write_nothing() {
        let mut world = World::new();
        let groups = placements(&mut world, 2);
        let (store, _) = stored(&world).await;
        let commit = |requires| Commit {
            requires,
            groups: groups.clone(),
            ..Commit::default()
        };
        let other = Require::Unchanged(Key::Leader("job".to_owned()), 7);
        for (fence, requires, what) in [
            (fence(1), Vec::new(), "another election"),
            (fence(2), vec![other], "a key that changed"),
        ] {
            let outcome = committer(store.clone())
                .commit(&fence, commit(requires), 1)
                .await;
            assert!(
                matches!(outcome, Outcome::Conflict(2)),
                "{what}: {outcome:?}"
            );
        }
        assert_eq!(store.status().await.unwrap().revision, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lost_answer_the_state_is_told_from_when_on_the_outcome_shows() {
        let mut world = World::new();
        let groups = placements(&mut world, 2);
        let (memory, _) = stored(&world).await;
        let faults = Faults {
            lost_answer: 1.0,
            ..Faults::default()
        };
        let store = Arc::new(FaultyStore::new(memory, 1, faults));
        let commit = Commit {
            groups,
            ..Commit::default()
        };
        let outcome = committer(store).commit(&fence(2), commit, 1).await;
        assert!(matches!(outcome, Outcome::Unknown(3)), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_write_to_the_store_is_not_waited_for() {
        for (what, lost, expected) in [("a conflict", 0.0, 2), ("a lost answer", 1.0, 23)] {
            let mut world = World::new();
            let groups = placements(&mut world, 2);
            let (memory, _) = stored(&world).await;
            for _ in 0..20 {
                let txn = Txn {
                    then: vec![Op::put("/others/key", "x")],
                    ..Txn::default()
                };
                memory.txn(txn).await.unwrap();
            }
            let faults = Faults {
                lost_answer: lost,
                ..Faults::default()
            };
            let store = Arc::new(FaultyStore::new(memory.clone(), 1, faults));
            let fence = fence(if lost > 0.0 { 2 } else { 1 });
            let commit = Commit {
                groups,
                ..Commit::default()
            };
            let outcome = committer(store).commit(&fence, commit, 1).await;
            let (Outcome::Conflict(revision) | Outcome::Unknown(revision)) = outcome else {
                panic!("{what}: {outcome:?}");
            };
            assert_eq!(revision, expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_was_written_beside_a_conflict_is_waited_for() {
        let mut world = World::new();
        let groups = placements(&mut world, 300);
        let (store, _) = stored(&world).await;
        let last = groups.last().unwrap()[0].key().clone();
        let txn = Txn {
            then: vec![Op::put(Keys::default().encode(&last), "x")],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        let commit = Commit {
            groups,
            ..Commit::default()
        };
        let outcome = committer(store.clone()).commit(&fence(2), commit, 1).await;
        assert!(matches!(outcome, Outcome::Conflict(5)), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_alloc_that_is_written_again_keeps_its_placement_metrics() {
        let mut world = World::new();
        let job = world.register("web", 1);
        let node = world.node(1);
        let mut alloc = world.new_alloc(&job, node, 0);
        alloc.metrics.nodes_evaluated = 42;
        let key = Key::Alloc(node, alloc.id);
        let (store, _) = stored(&world).await;
        let committer = committer(store.clone());
        let create = vec![Write::new_alloc(alloc.clone())];
        committer
            .commit(&fence(2), Decision::<()>::write("", create).commit, 1)
            .await;
        let update = vec![Write::alloc(alloc.with_metrics(LeftOut), 3)];
        let outcome = committer
            .commit(&fence(2), Decision::<()>::write("", update).commit, 1)
            .await;
        assert!(matches!(outcome, Outcome::Committed(4)), "{outcome:?}");
        let key = KeyRange::Key(Keys::default().encode(&key));
        let found = store.range(RangeRequest::new(key)).await.unwrap();
        let stored: PlacedAlloc = decode(&found.kvs[0].value).unwrap();
        assert_eq!(stored.metrics.nodes_evaluated, 42);
    }

    #[test]
    fn what_belongs_together_and_is_too_large_is_refused() {
        let mut world = World::new();
        world.node_status(rove_model::ids::NodeId(uuid::Uuid::nil()), NodeState::Ready);
        let group: Vec<Write> = placements(&mut world, 200).into_iter().flatten().collect();
        let commit = Commit {
            groups: vec![group],
            ..Commit::default()
        };
        let refused = committer(Arc::new(MemoryStore::new())).pack(&commit, &Metrics::new(), 127);
        assert!(matches!(
            refused,
            Err(CommitError::GroupTooLarge { writes: 200, .. })
        ));
    }
}
