//! What becomes of allocs when their agent is killed and started again.

use std::{sync::Arc, time::Duration};

use rove_agent::{
    Agent, AgentError,
    drivers::{Driver, ExitResult, ProgressSender, TaskConfig, TaskLimits, TaskRef},
};
use rove_model::{
    alloc::{Alloc, ClientStatus},
    encoding,
    eval::AllocMetric,
};
use rove_store::keys::Key;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::*;

/// As `kill -9` does: nothing is written or told any more.
fn kill(agent: Agent) {
    drop(agent);
}

async fn running(world: &World, number: u8) -> Alloc {
    let alloc = world.place(&service(&[("web", runs_on())]), number).await;
    world.want(&alloc).await;
    alloc
}

fn task_ref(alloc: &Alloc) -> TaskRef {
    TaskRef {
        alloc_id: alloc.id,
        task: "web".to_owned(),
        state_dir: format!("/nonexistent/{}/web", alloc.id).into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_task_goes_on_under_the_next_agent() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = running(&world, 1).await;
    let before = world.until_status(&alloc, ClientStatus::Running).await;
    kill(agent);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let agent = world.start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status(&alloc).await.unwrap(), before);
    assert_eq!(world.driver.started(), 1);
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_saw_is_told_once_and_followed_by_a_restart() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = running(&world, 1).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    kill(agent);
    let ended = ExitResult {
        exit_code: 7,
        ..ExitResult::default()
    };
    assert!(world.driver.end(&task_ref(&alloc), ended));
    let agent = world.start().await;
    let status = world
        .until(&alloc, "a restart", |status| {
            status.task_states["web"].restarts == 1 && status.client_status == ClientStatus::Running
        })
        .await;
    let ends = words(&status, "web")
        .iter()
        .filter(|word| *word == "Terminated: Exit Code: 7")
        .count();
    assert_eq!(ends, 1);
    assert_eq!(world.driver.started(), 2);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_started_but_not_recorded_is_found_and_not_started_twice() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"start_block_for": "1h", "run_for": "10000h"}))]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Pending).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill(agent);
    let config = TaskConfig {
        task: task_ref(&alloc),
        namespace: String::new(),
        job: String::new(),
        group: String::new(),
        node_id: String::new(),
        config: runs_on().as_object().unwrap().clone(),
        env: Default::default(),
        user: None,
        limits: TaskLimits::default(),
        ports: Vec::new(),
        task_dir: Default::default(),
        mounts: Vec::new(),
        log_dir: Default::default(),
        logs: Default::default(),
        kill_signal: None,
    };
    world
        .driver
        .start(&config, &ProgressSender::ignored())
        .await
        .unwrap();
    let agent = world.start().await;
    let status = world.until_status(&alloc, ClientStatus::Running).await;
    assert_eq!(
        words(&status, "web").last().unwrap(),
        "Started: Task started by client"
    );
    assert_eq!(world.driver.started(), 1);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_tasks_start_anew() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = running(&world, 1).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    kill(agent);
    world.driver.reboot();
    let agent = world.start().await;
    let status = world
        .until(&alloc, "a restart", |status| {
            status.task_states["web"].restarts == 1 && status.client_status == ClientStatus::Running
        })
        .await;
    assert!(words(&status, "web").iter().any(|word| {
        word == "Restarting: Task was gone when the agent came back - Task restarting in 0s"
    }));
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_or_forgotten_meanwhile_is_stopped() {
    let world = World::new();
    let agent = world.start().await;
    let (stopped, forgotten) = (running(&world, 1).await, running(&world, 2).await);
    for alloc in [&stopped, &forgotten] {
        world.until_status(alloc, ClientStatus::Running).await;
    }
    kill(agent);
    world.stop(&stopped).await;
    world.forget(&forgotten).await;
    let agent = world.start().await;
    world.until_status(&stopped, ClientStatus::Complete).await;
    eventually("both to be stopped", || world.driver.running().is_empty()).await;
    let handle = agent.handle();
    eventually("one to be forgotten", || handle.allocs() == [stopped.id]).await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_run_again() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world.place(&batch(&[("t", json!({}))]), 1).await;
    world.want(&alloc).await;
    let before = world.until_status(&alloc, ClientStatus::Complete).await;
    for restarts in 1..=3 {
        kill(agent_after(&world, Duration::from_secs(30)).await);
        assert_eq!(world.driver.started(), 1, "after {restarts} restarts");
    }
    kill(agent);
    world.delete(&Key::AllocStatus(world.node, alloc.id)).await;
    let agent = world.start().await;
    let status = world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(status.task_states, before.task_states);
    agent.stop().await;
}

async fn agent_after(world: &World, time: Duration) -> Agent {
    let agent = world.start().await;
    tokio::time::sleep(time).await;
    agent
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_was_waited_for_is_made_by_the_next_agent() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"run_for": "100s", "exit_code": 1}))]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    world
        .until(&alloc, "the wait", |status| {
            status
                .task_states
                .get("web")
                .is_some_and(|task| task.restarts == 1)
        })
        .await;
    kill(agent);
    let agent = world.start().await;
    world.until_status(&alloc, ClientStatus::Running).await;
    assert_eq!(world.driver.started(), 2);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn agents_killed_at_any_moment_start_no_task_twice_and_forget_none() {
    for step in 0..60 {
        let world = World::new();
        let mut agent = world.start().await;
        let alloc = running(&world, 1).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(step * 2)).await;
            kill(agent);
            assert!(world.driver.running().len() <= 1);
            agent = world.start().await;
        }
        world.until_status(&alloc, ClientStatus::Running).await;
        assert_eq!(world.driver.started(), 1, "killed every {} ms", step * 2);
        world.stop(&alloc).await;
        world.until_status(&alloc, ClientStatus::Complete).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn state_files_survive_damage_but_not_a_newer_version() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(world.on_disk(dir.path())).await;
    let alloc = running(&world, 1).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    kill(agent);
    let file = dir.path().join(format!("client/allocs/{}.json", alloc.id));
    let newer =
        std::fs::read_to_string(&file)
            .unwrap()
            .replacen("{\"schema\":1", "{\"schema\":99", 1);

    std::fs::write(&file, "{").unwrap();
    let agent = restart(&world, dir.path()).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    eventually("one task", || world.driver.running().len() == 1).await;
    kill(agent);

    std::fs::write(&file, newer).unwrap();
    let refused = loop {
        match Agent::start(world.on_disk(dir.path()), CancellationToken::new()).await {
            Err(AgentError::Identity(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => break other,
        }
    };
    assert!(matches!(refused, Err(AgentError::State(_))));
}

/// The lock of the killed one goes with its last task.
async fn restart(world: &World, dir: &std::path::Path) -> Agent {
    loop {
        match Agent::start(world.on_disk(dir), CancellationToken::new()).await {
            Ok(agent) => return agent,
            Err(AgentError::Identity(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_second_agent_on_the_same_data_dir_is_refused() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let first = start(world.on_disk(dir.path())).await;
    let second = Agent::start(world.on_disk(dir.path()), CancellationToken::new()).await;
    let error = second.map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("(pid {})", std::process::id()))
    );
    first.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_after_a_restart_stops_nothing() {
    let store = Arc::new(rove_store::faults::FaultyStore::new(
        Arc::new(rove_store::memory::MemoryStore::new()),
        3,
        Default::default(),
    ));
    let world = World::over(store.clone());
    let agent = world.start().await;
    let alloc = running(&world, 1).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    kill(agent);
    store.set_faults(rove_store::faults::Faults {
        stale_read: 0.9,
        max_staleness: 4,
        ..Default::default()
    });
    for _ in 0..10 {
        kill(agent_after(&world, Duration::from_secs(60)).await);
        assert_eq!(world.driver.running().len(), 1);
    }
    let agent = world.start().await;
    assert_eq!(world.driver.started(), 1);
    assert!(store.counts().stale_read > 0);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_alloc_is_left_as_it_is() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = running(&world, 1).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    world
        .put(&Key::Alloc(world.node, alloc.id), b"{".to_vec())
        .await;
    kill(agent);
    let agent = world.start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.driver.running().len(), 1);
    world
        .put(
            &Key::Alloc(world.node, alloc.id),
            encoding::encode(&alloc.clone().with_metrics(AllocMetric::default())).unwrap(),
        )
        .await;
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    agent.stop().await;
}
