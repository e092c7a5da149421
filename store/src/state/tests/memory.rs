//! The feeder over the store in memory, while everything that can go wrong does.

use std::{sync::Arc, time::Duration};

use rove_model::{encoding::encode, ids::JobKey};

use super::taking_in::registration;
use crate::{
    faults::{Faults, FaultyStore},
    keys::{Key, Keys},
    memory::MemoryStore,
    state::{FeederConfig, State, StateFeeder, list::difference},
    store::{Op, RangeRequest, Store, Txn},
};

#[tokio::test(start_paused = true)]
async fn under_every_fault_the_state_comes_to_what_the_store_holds() {
    for seed in 0..20 {
        let memory = Arc::new(MemoryStore::new());
        let faulty = Arc::new(FaultyStore::new(memory.clone(), seed, Faults::all(0.1)));
        let keys = Keys::default();
        let config = FeederConfig {
            seed,
            ..FeederConfig::default()
        };
        let (feeder, handle) = StateFeeder::new(faulty.clone(), keys.clone(), config);
        let cancel = tokio_util::sync::CancellationToken::new();
        let task = tokio::spawn(feeder.run(cancel.clone()));

        let mut revision = 0;
        for step in 0_u64..300 {
            let name = format!("job{}", (step * 7 + seed) % 23);
            let key = keys.encode(&Key::Registration(JobKey::new("default", name)));
            let op = if step % 5 == 0 {
                Op::delete(key)
            } else {
                Op::put(key, encode(&registration(step)).unwrap())
            };
            let txn = Txn {
                then: vec![op],
                ..Txn::default()
            };
            revision = memory.txn(txn).await.unwrap().revision;
            if step % 50 == 49 {
                memory.compact(revision).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(step % 40)).await;
        }
        faulty.set_faults(Faults::default());
        let seen = tokio::time::timeout(Duration::from_secs(600), handle.wait_for(revision))
            .await
            .expect("the state does not get there")
            .unwrap();

        let held = memory.range(RangeRequest::new(keys.all())).await.unwrap();
        let mut listed = State::new(keys);
        listed.load(&held.kvs, held.revision);
        assert_eq!(difference(&seen, &listed), [], "seed {seed}");
        cancel.cancel();
        task.await.unwrap();
    }
}
