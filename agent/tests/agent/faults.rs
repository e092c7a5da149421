//! What becomes of allocs when the store fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rove_agent::{
    AgentConfig,
    clock::{Clock, TokioClock},
    registry::DriverRegistry,
};
use rove_model::{alloc::ClientStatus, ids::UnixNanos};
use rove_store::{
    faults::{Faults, FaultyStore},
    keys::Key,
    memory::MemoryStore,
    store::Store,
};
use serde_json::json;

use crate::{
    flaky::{Flaky, Watched},
    world::*,
};

fn faulty(seed: u64) -> (Arc<FaultyStore<MemoryStore>>, World) {
    let store = Arc::new(FaultyStore::new(
        Arc::new(MemoryStore::new()),
        seed,
        Faults::default(),
    ));
    let world = World::over(store.clone());
    (store, world)
}

#[tokio::test(start_paused = true)]
async fn tasks_go_on_while_the_store_is_gone_and_it_is_told_afterwards() {
    let (store, mut world) = faulty(1);
    let agent = world.start().await;
    let on = world.place(&service(&[("web", runs_on())]), 1).await;
    let ending = rove_model::job::Job {
        id: "ending".to_owned(),
        ..batch(&[("t", json!({"run_for": "20s"}))])
    };
    let ends = world.place(&ending, 2).await;
    for alloc in [&on, &ends] {
        world.want(alloc).await;
        world.until_status(alloc, ClientStatus::Running).await;
    }
    store.set_faults(Faults {
        unavailable: 1.0,
        broken_watch: 1.0,
        ..Faults::default()
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.driver.running().len(), 1);
    store.set_faults(Faults::default());
    world.store = store.clone();
    world.until_status(&ends, ClientStatus::Complete).await;
    world.stop(&on).await;
    world.until_status(&on, ClientStatus::Complete).await;
    assert_eq!(world.driver.started(), 2);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_replaced_and_the_node_alive_again() {
    let world = World::new();
    let agent = world.start().await;
    let alive = Key::NodeAlive(world.node);
    for _ in 0..3 {
        while world.get(&alive).await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let range = rove_store::store::RangeRequest::new(rove_store::store::KeyRange::Key(
            world.keys.encode(&alive),
        ));
        let found = world.store.range(range).await.unwrap();
        world
            .store
            .lease_revoke(found.kvs[0].lease.unwrap())
            .await
            .unwrap();
        world.delete(&Key::Node(world.node)).await;
    }
    while world.get(&alive).await.is_none() || world.get(&Key::Node(world.node)).await.is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_starts_without_a_store_registers_when_it_comes() {
    let (store, world) = faulty(2);
    store.set_faults(Faults {
        unavailable: 1.0,
        ..Faults::default()
    });
    let agent = world.start().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(!agent.handle().connected());
    store.set_faults(Faults::default());
    let handle = agent.handle();
    eventually("the node to be registered", || handle.connected()).await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_compacted_away_misses_neither_a_stop_nor_a_new_alloc() {
    let (store, world) = faulty(3);
    let agent = world.start().await;
    let job = service(&[("web", runs_on())]);
    let (first, gone) = (world.place(&job, 1).await, world.place(&job, 2).await);
    for alloc in [&first, &gone] {
        world.want(alloc).await;
        world.until_status(alloc, ClientStatus::Running).await;
    }
    store.set_faults(Faults {
        unavailable: 1.0,
        compacted_watch: 1.0,
        ..Faults::default()
    });
    let inner = world.by(store.inner().clone());
    let next = inner.place(&job, 3).await;
    inner.stop(&first).await;
    inner.forget(&gone).await;
    let revision = inner.want(&next).await;
    store.inner().compact(revision).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    store.set_faults(Faults::default());
    world.until_status(&next, ClientStatus::Running).await;
    world.until_status(&first, ClientStatus::Complete).await;
    eventually("only the new one to run", || {
        world.driver.running().len() == 1
    })
    .await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn under_every_fault_at_once_each_alloc_comes_to_its_end() {
    for seed in 0..20 {
        let (store, world) = faulty(seed);
        store.set_faults(Faults::all(0.1));
        let inner = world.by(store.inner().clone());
        let mut agent = world.start().await;
        let mut stopped = Vec::new();
        for number in 1..=8 {
            let job = rove_model::job::Job {
                id: format!("job-{number}"),
                ..service(&[("web", runs_on())])
            };
            let alloc = inner.place(&job, number).await;
            inner.want(&alloc).await;
            inner.until_status(&alloc, ClientStatus::Running).await;
            if number % 2 == 0 {
                inner.stop(&alloc).await;
                stopped.push(alloc);
            }
            if number == 4 {
                drop(agent);
                agent = world.start().await;
            }
        }
        for alloc in &stopped {
            inner.until_status(alloc, ClientStatus::Complete).await;
        }
        assert_eq!(world.driver.running().len(), 4, "seed {seed}");
        assert_eq!(world.driver.started(), 8, "seed {seed}");
        agent.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_restored_from_an_older_copy_stops_nothing_and_is_followed() {
    let (_, mut world) = faulty(5);
    let agent = world.start().await;
    let job = service(&[("web", runs_on())]);
    let kept = world.place(&job, 1).await;
    let lost = world.place(&job, 2).await;
    for alloc in [&kept, &lost] {
        world.want(alloc).await;
        world.until_status(alloc, ClientStatus::Running).await;
    }
    drop(agent);
    // The copy knows one of the two, and its revisions are lower.
    let copy = Arc::new(MemoryStore::new());
    world.store = copy.clone();
    world.place(&job, 1).await;
    world.want(&kept).await;
    let agent = world.start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.driver.running().len(), 2);
    world.stop(&kept).await;
    world.until_status(&kept, ClientStatus::Complete).await;
    assert_eq!(world.driver.running().len(), 1);
    agent.stop().await;
}

fn with_flaky(world: &World) -> (Arc<Flaky>, rove_agent::AgentConfig) {
    let driver = Flaky::new(world.driver.clone());
    let config = rove_agent::AgentConfig {
        drivers: DriverRegistry::new().with(driver.clone()),
        driver_checks: Some(Duration::from_secs(5)),
        ..world.config()
    };
    (driver, config)
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_costs_no_task_and_shows_in_the_node() {
    let world = World::new();
    let (driver, config) = with_flaky(&world);
    let agent = start(config.clone()).await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Running).await;
    assert_eq!(words(&status, "web")[2], "Driver: Downloading image");
    driver.away.store(true, Ordering::SeqCst);
    let handle = agent.handle();
    eventually("the driver to be ill", || {
        !handle.node().drivers["mock_driver"].healthy
    })
    .await;
    let other = rove_model::job::Job {
        id: "other".to_owned(),
        ..service(&[("web", runs_on())])
    };
    let waits = world.place(&other, 2).await;
    world.want(&waits).await;
    let status = world
        .until(&waits, "a failure", |status| {
            status
                .task_states
                .get("web")
                .is_some_and(|task| task.restarts > 0)
        })
        .await;
    assert!(words(&status, "web").contains(&"Driver Failure: the engine is away".to_owned()));
    // The agent is restarted meanwhile, and the alloc is to be stopped.
    drop(agent);
    let agent = start(config).await;
    world.stop(&alloc).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        world.status(&alloc).await.unwrap().client_status,
        ClientStatus::Running
    );
    driver.away.store(false, Ordering::SeqCst);
    world.until_status(&alloc, ClientStatus::Complete).await;
    let node = || async {
        let value = world.get(&Key::Node(world.node)).await.unwrap();
        rove_model::encoding::decode::<rove_model::node::Node>(&value).unwrap()
    };
    while !node().await.drivers["mock_driver"].healthy {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_breaks_is_started_anew_and_its_task_goes_on() {
    let world = World::new();
    let (driver, config) = with_flaky(&world);
    let agent = start(config).await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    driver.panic_once.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!driver.panic_once.load(Ordering::SeqCst));
    assert_eq!(world.driver.started(), 1);
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn statuses_go_out_at_once_and_then_together() {
    let watched = Arc::new(Watched {
        inner: Arc::new(MemoryStore::new()),
        writes: Default::default(),
    });
    let world = World::over(watched.clone());
    let agent = world.start().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let job = service(&[("web", runs_on())]);
    let mut allocs = Vec::new();
    for number in 1..=100 {
        allocs.push(world.place(&job, number).await);
    }
    let began = tokio::time::Instant::now();
    for alloc in &allocs {
        world.want(alloc).await;
    }
    for alloc in &allocs {
        world.until_status(alloc, ClientStatus::Running).await;
    }
    let writes = watched.writes.lock().unwrap().clone();
    assert!(
        writes[0].0 - began < Duration::from_millis(5),
        "{:?}",
        writes[0].0 - began
    );
    // Three may follow each other at once after a rest; in the long run it is one per 100 ms.
    for four in writes.windows(4) {
        assert!(four[3].0 - four[0].0 >= Duration::from_millis(100));
    }
    assert!(writes.len() <= 8, "{writes:?}");
    agent.stop().await;
}

#[tokio::test]
async fn without_room_for_its_record_nothing_is_started() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(world.on_disk(dir.path())).await;
    let records = dir.path().join("client/allocs");
    std::fs::remove_dir(&records).unwrap();
    let mut job = service(&[("web", runs_on())]);
    if let Some(policy) = &mut job.task_groups[0].tasks[0].restart_policy {
        policy.delay = Some(rove_model::duration::Nanos(1_000_000));
        policy.attempts = Some(1_000_000);
    }
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world
        .until(&alloc, "a failure", |status| {
            status
                .task_states
                .get("web")
                .is_some_and(|task| task.restarts > 0)
        })
        .await;
    assert_eq!(world.driver.started(), 0);
    let said = words(&status, "web");
    assert!(
        said.iter()
            .any(|word| word
                .starts_with("Setup Failure: failed to record the task before its start")),
        "{said:?}"
    );
    std::fs::create_dir(&records).unwrap();
    world.until_status(&alloc, ClientStatus::Running).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_task_that_ended_while_the_disk_was_full_is_not_run_again() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: a disk of its own needs root");
        return;
    }
    let world = World::new();
    let disk = rove_testkit::SmallDisk::mount(4);
    let agent = start(world.on_disk(disk.path())).await;
    let alloc = world
        .place(&batch(&[("t", json!({"run_for": "300ms"}))]), 1)
        .await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    disk.fill();
    world.until_status(&alloc, ClientStatus::Complete).await;
    drop(agent);
    let agent = start_after(world.on_disk(disk.path())).await;
    let next = rove_model::job::Job {
        id: "next".to_owned(),
        ..batch(&[("t", json!({"run_for": "1ms"}))])
    };
    let next = world.place(&next, 2).await;
    world.want(&next).await;
    // What has no room for its record waits.
    world
        .until(&next, "a failure", |status| {
            status
                .task_states
                .get("t")
                .is_some_and(|task| task.restarts > 0)
        })
        .await;
    disk.make_room();
    world.until_status(&next, ClientStatus::Complete).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(world.driver.started(), 2);
    agent.stop().await;
}

#[tokio::test]
async fn how_a_task_ended_is_not_forgotten_while_it_can_not_be_recorded() {
    for restarted in [false, true] {
        let world = World::new();
        let dir = tempfile::tempdir().unwrap();
        let mut agent = Some(start(world.on_disk(dir.path())).await);
        let alloc = world
            .place(&batch(&[("t", json!({"run_for": "300ms"}))]), 1)
            .await;
        world.want(&alloc).await;
        world.until_status(&alloc, ClientStatus::Running).await;
        let (records, aside) = (dir.path().join("client/allocs"), dir.path().join("aside"));
        std::fs::rename(&records, &aside).unwrap();
        world.until_status(&alloc, ClientStatus::Complete).await;
        if restarted {
            agent = None;
        }
        std::fs::rename(&aside, &records).unwrap();
        let agent = match agent {
            Some(agent) => agent,
            None => start_after(world.on_disk(dir.path())).await,
        };
        let next = rove_model::job::Job {
            id: "next".to_owned(),
            ..batch(&[("t", json!({"run_for": "1ms"}))])
        };
        let next = world.place(&next, 2).await;
        world.want(&next).await;
        world.until_status(&next, ClientStatus::Complete).await;
        // Recorded and removed, whoever does it.
        eventually("it to be over", || world.driver.known() == 0).await;
        world.until_status(&alloc, ClientStatus::Complete).await;
        assert_eq!(world.driver.started(), 2, "restarted: {restarted}");
        agent.stop().await;
    }
}

#[tokio::test]
async fn directories_of_ended_allocs_are_collected_oldest_first() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(rove_agent::AgentConfig {
        garbage: rove_agent::GarbagePolicy {
            max_ended: 1,
            disk_usage_percent: 100.0,
            every: Duration::from_secs(1),
            ..rove_agent::GarbagePolicy::default()
        },
        ..world.on_disk(dir.path())
    })
    .await;
    let job = batch(&[("t", json!({}))]);
    let mut allocs = Vec::new();
    for number in 1..=3 {
        let alloc = world.place(&job, number).await;
        world.want(&alloc).await;
        world.until_status(&alloc, ClientStatus::Complete).await;
        allocs.push(alloc);
    }
    let there = |alloc: &rove_model::alloc::Alloc| {
        dir.path().join("alloc").join(alloc.id.to_string()).exists()
    };
    eventually("the older two to be collected", || {
        !there(&allocs[0]) && !there(&allocs[1])
    })
    .await;
    assert!(there(&allocs[2]));
    let handle = agent.handle();
    handle.collect_garbage(None).await.unwrap();
    assert!(!there(&allocs[2]));
    assert_eq!(world.driver.started(), 3);
    agent.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_long_in_going_holds_up_nothing_else() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(rove_agent::AgentConfig {
        garbage: rove_agent::GarbagePolicy {
            // Every removal waits for ever.
            at_once: 0,
            ..rove_agent::GarbagePolicy::default()
        },
        ..world.on_disk(dir.path())
    })
    .await;
    let job = batch(&[("t", json!({}))]);
    let (ended, forgotten) = (world.place(&job, 1).await, world.place(&job, 2).await);
    for alloc in [&ended, &forgotten] {
        world.want(alloc).await;
        world.until_status(alloc, ClientStatus::Complete).await;
    }
    world.forget(&forgotten).await;
    let handle = agent.handle();
    let asked = tokio::spawn(async move { handle.collect_garbage(Some(ended.id)).await });
    let next = world.place(&job, 3).await;
    world.want(&next).await;
    world.until_status(&next, ClientStatus::Complete).await;
    assert!(!asked.is_finished());
    let directory =
        |alloc: &rove_model::alloc::Alloc| dir.path().join("alloc").join(alloc.id.to_string());
    assert!(directory(&forgotten).exists());
    // It ends all the same, and the next life of the agent removes them.
    agent.stop().await;
    let agent = start(world.on_disk(dir.path())).await;
    eventually("the forgotten one to be removed", || {
        !directory(&forgotten).exists()
    })
    .await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_answer_holds_up_neither_the_start_nor_the_registration() {
    let world = World::new();
    let driver = Flaky::new(world.driver.clone());
    driver.mute.store(true, Ordering::SeqCst);
    let agent = start(rove_agent::AgentConfig {
        drivers: DriverRegistry::new().with(driver.clone()),
        ..world.config()
    })
    .await;
    let node = async || -> Option<rove_model::node::Node> {
        let value = world.get(&Key::Node(world.node)).await?;
        Some(rove_model::encoding::decode(&value).unwrap())
    };
    let first = loop {
        match node().await {
            Some(node) => break node,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(!first.drivers["mock_driver"].detected);
    assert!(!first.attributes.contains_key("driver.mock_driver"));
    driver.mute.store(false, Ordering::SeqCst);
    let then = loop {
        match node().await {
            Some(node) if node.drivers["mock_driver"].healthy => break node,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(then.attributes["driver.mock_driver"], "1");
    assert_ne!(then.computed_class, first.computed_class);
    agent.stop().await;
}

/// A clock that breaks when the test wants it.
#[derive(Debug)]
struct Breaking {
    clock: TokioClock,
    broken: AtomicBool,
}

impl Clock for Breaking {
    fn wall(&self) -> UnixNanos {
        assert!(
            !self.broken.load(Ordering::SeqCst),
            "broken, as the test wants it"
        );
        self.clock.wall()
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_which_a_part_breaks_says_that_it_ends() {
    let world = World::new();
    let clock = Arc::new(Breaking {
        clock: TokioClock::starting_at(EPOCH),
        broken: AtomicBool::new(false),
    });
    let agent = start(AgentConfig {
        clock: clock.clone(),
        driver_checks: Some(Duration::from_secs(30)),
        ..world.config()
    })
    .await;
    let handle = agent.handle();
    eventually("the node to be registered", || handle.connected()).await;
    let mut ending = std::pin::pin!(agent.ending());
    let early = tokio::time::timeout(Duration::from_secs(300), &mut ending).await;
    assert!(early.is_err(), "nothing is broken yet");
    clock.broken.store(true, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(300), ending)
        .await
        .expect("it ends");
    tokio::time::timeout(Duration::from_secs(300), agent.wait())
        .await
        .expect("it has ended");
}
