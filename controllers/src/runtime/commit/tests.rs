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
async fn while_the_store_is_away_a_large_decision_asks_seldom_and_then_for_many_keys_at_once() {
    let mut world = World::new();
    let groups = placements(&mut world, 1_000);
    let (memory, _) = stored(&world).await;
    // Each call is counted as a delay.
    let here = Faults {
        delay: 1.0,
        max_delay: Duration::from_millis(1),
        ..Faults::default()
    };
    let away = Faults {
        unavailable: 1.0,
        ..here.clone()
    };
    let store = Arc::new(FaultyStore::new(memory, 1, away));
    let commit = Commit {
        groups,
        ..Commit::default()
    };
    let committer = committer(store.clone());
    let outage = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        store.set_faults(here);
        store.counts().delay
    };
    let fence = fence(2);
    let (outcome, during) = tokio::join!(committer.commit(&fence, commit, 1), outage);
    assert!(matches!(outcome, Outcome::Unknown(0)), "{outcome:?}");
    assert!(
        during < 60,
        "{during} calls in a minute of a store that is away"
    );
    let after = store.counts().delay - during;
    assert!(
        after <= 10,
        "{after} calls to look what became of 1,000 keys"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_still_on_its_way_when_the_outcome_is_told_is_never_written() {
    let mut world = World::new();
    let groups = placements(&mut world, 300);
    let (memory, _) = stored(&world).await;
    let plan = Key::Plan(EvalId(uuid::Uuid::nil()));
    let put = Op::put(Keys::default().encode(&plan), "plan");
    let txn = Txn {
        then: vec![put],
        ..Txn::default()
    };
    let written = memory.txn(txn).await.unwrap().revision;
    let late = Faults {
        late_write: 1.0,
        ..Faults::default()
    };
    let store = Arc::new(FaultyStore::new(memory.clone(), 1, late));
    let commit = Commit {
        requires: vec![Require::Unchanged(plan.clone(), written)],
        groups,
        seal: Some(plan.clone()),
        ..Commit::default()
    };
    let (committer, fence) = (committer(store.clone()), fence(2));
    let heals = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        store.set_faults(Faults::default());
    };
    let (outcome, ()) = tokio::join!(committer.commit(&fence, commit, 1), heals);
    let Outcome::Unknown(shown) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(shown > written, "the state shows the plan's new revision");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let allocs = revisions(&memory, Keys::default().table(Table::Allocs)).await;
    assert_eq!(allocs.len(), 0);
    let key = KeyRange::Key(Keys::default().encode(&plan));
    let found = memory.range(RangeRequest::new(key)).await.unwrap();
    assert_eq!(found.kvs[0].value, "plan");
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
