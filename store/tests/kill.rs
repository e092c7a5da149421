//! A process with an embedded store is killed at any moment: nothing it acknowledged is lost.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rove_store::embedded::{EmbeddedStore, Options};
use rove_store::store::{KeyRange, Op, RangeRequest, Store, Txn};

const DIR: &str = "ROVE_TEST_KILL_DIR";
/// How often it is killed, where nothing else is asked for.
const ROUNDS: u32 = 25;

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(EmbeddedStore::open(dir, Options::default()).unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                for number in 0u64.. {
                    let value = format!("{number}:{}", "x".repeat((number % 3_000) as usize));
                    let txn = Txn {
                        then: vec![
                            Op::put(format!("last/{writer}"), number.to_string()),
                            Op::put(format!("all/{writer}/{}", number % 50), value),
                        ],
                        ..Txn::default()
                    };
                    let revision = store.txn(txn).await.unwrap().revision;
                    let line = format!("ack {writer} {number} {revision}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    if number % 40 == 39 && writer == 0 {
                        let _ = store.compact(revision - 20).await;
                    }
                }
            });
        }
        while writers.join_next().await.is_some() {}
    });
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(20_261_122);
    let mut revision = 0;
    for round in 0..rove_testkit::cases(ROUNDS) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        let mut note = |line: &str| {
            let mut words = line.split(' ').skip_while(|word| !word.ends_with("ack"));
            let mut word = || words.next().unwrap().parse::<u64>();
            let _ = word();
            let (Ok(writer), Ok(number), Ok(at)) = (word(), word(), word()) else {
                return;
            };
            last.insert(writer, number);
            revision = revision.max(at);
        };
        // A few acknowledgements, then a moment of no particular length.
        let until = rng.random_range(1..150);
        let mut acks = 0;
        while acks < until {
            let line = lines.next().unwrap().unwrap();
            if line.contains("ack ") {
                note(&line);
                acks += 1;
            }
        }
        std::thread::sleep(std::time::Duration::from_micros(rng.random_range(0..4_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        for line in &rest {
            // The last line may have been cut.
            if line.split(' ').count() == 4 && line.contains("ack ") {
                note(line);
            }
        }

        let store = EmbeddedStore::open(dir.path(), Options::default()).unwrap();
        assert!(
            store.status().await.unwrap().revision >= revision,
            "round {round}"
        );
        for (writer, number) in last {
            let read = async |key: String| {
                let request = RangeRequest::new(KeyRange::Key(key.into()));
                let kv = store.range(request).await.unwrap().kvs.pop().unwrap();
                String::from_utf8(kv.value.to_vec()).unwrap()
            };
            let stored: u64 = read(format!("last/{writer}")).await.parse().unwrap();
            assert!(stored >= number, "round {round}: {stored} after {number}");
            // A transaction is there whole or not at all.
            let other = read(format!("all/{writer}/{}", stored % 50)).await;
            assert_eq!(
                other,
                format!("{stored}:{}", "x".repeat((stored % 3_000) as usize))
            );
        }
    }
}
