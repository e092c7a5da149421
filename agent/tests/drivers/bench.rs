//! Numbers, not verdicts: `cargo test -p rove-agent --test drivers bench -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use rove_agent::drivers::{Driver, ProgressSender};
use serde_json::json;

use crate::{docker, raw_exec, support};

fn pss_kib(pid: i32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .unwrap()
        .lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .unwrap()
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

#[tokio::test]
#[ignore = "a measurement"]
async fn bench_raw_exec() {
    let root = tempfile::tempdir().unwrap();
    let driver = raw_exec::driver();
    let task = || {
        support::task(
            root.path(),
            json!({"command": "/bin/sleep", "args": ["1000"]}),
        )
    };
    let before = pss_kib(i32::try_from(std::process::id()).unwrap());
    let mut handles = Vec::new();
    let mut times = Vec::new();
    for _ in 0..50 {
        let config = task();
        let begun = Instant::now();
        handles.push(
            driver
                .start(&config, &ProgressSender::ignored())
                .await
                .unwrap(),
        );
        times.push(begun.elapsed());
    }
    let (typical, worst) = median(times);
    println!("raw_exec, one after the other: start {typical:?}, worst {worst:?}");
    let pids = handles.iter().map(|handle| {
        let stored = serde_json::to_value(handle).unwrap();
        i32::try_from(stored["supervisor"]["pid"].as_i64().unwrap()).unwrap()
    });
    let supervisors: u64 = pids.map(pss_kib).sum();
    let after = pss_kib(i32::try_from(std::process::id()).unwrap());
    println!(
        "memory a task: {} KiB PSS in its supervisor, {} KiB in the agent",
        supervisors / 50,
        after.saturating_sub(before) / 50
    );
    for handle in handles {
        driver.destroy(&handle).await.unwrap();
    }
    let configs: Vec<_> = (0..50).map(|_| task()).collect();
    let ignored = ProgressSender::ignored();
    let begun = Instant::now();
    let handles =
        futures::future::join_all(configs.iter().map(|config| driver.start(config, &ignored)))
            .await;
    println!("raw_exec, 50 at once: {:?}", begun.elapsed());
    for handle in handles {
        driver.destroy(&handle.unwrap()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn bench_docker_beside_docker_run() {
    let Some(driver) = docker::engine().await else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let config = support::task(root.path(), json!({"image": docker::IMAGE}));
        let begun = Instant::now();
        let handle = driver
            .start(&config, &ProgressSender::ignored())
            .await
            .unwrap();
        ours.push(begun.elapsed());
        driver.destroy(&handle).await.unwrap();
        let begun = Instant::now();
        let id = docker::docker(&["run", "-d", docker::IMAGE]);
        theirs.push(begun.elapsed());
        docker::docker(&["rm", "-f", &id]);
    }
    println!(
        "docker: start {:?}, docker run {:?} (median, worst of 10)",
        median(ours),
        median(theirs)
    );
}
