//! What becomes of an alloc when nothing goes wrong but its tasks.

use std::time::Duration;

use rove_model::{
    alloc::{Alloc, AllocStatus, ClientStatus, TaskLifeState},
    encoding,
    node::Node,
};
use rove_store::keys::Key;
use serde_json::json;

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn the_node_registers_and_is_alive() {
    let world = World::new();
    let agent = world.start().await;
    while !agent.handle().connected() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let node: Node = encoding::decode(&world.get(&Key::Node(world.node)).await.unwrap()).unwrap();
    assert_eq!(node.attributes["driver.mock_driver"], "1");
    assert!(node.drivers["mock_driver"].healthy);
    assert_eq!(node.computed_class, node.compute_class());
    assert!(world.get(&Key::NodeAlive(world.node)).await.is_some());
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_runs_until_it_is_stopped() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Running).await;
    assert_eq!(status.client_description, "Tasks are running");
    assert_eq!(
        words(&status, "web"),
        [
            "Received: Task received by client",
            "Task Setup: Building Task Directory",
            "Started: Task started by client",
        ]
    );
    world.stop(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(status.client_description, "All tasks have completed");
    assert_eq!(
        words(&status, "web")[3..],
        [
            "Killing: Sent interrupt. Waiting 5s before force killing",
            "Terminated: Exit Code: 130, Signal: 2",
            "Killed: Task successfully killed",
        ]
    );
    assert!(!status.task_states["web"].failed);
    assert!(world.driver.running().is_empty());
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_word_on_an_alloc_is_that_it_runs_unless_that_takes_long() {
    for (takes, expected) in [
        ("0s", vec![ClientStatus::Running]),
        ("10s", vec![ClientStatus::Pending, ClientStatus::Running]),
    ] {
        let world = World::new();
        let agent = world.start().await;
        let task = json!({"run_for": "10000h", "start_block_for": takes});
        let alloc = world.place(&service(&[("web", task)]), 1).await;
        let start = world.want(&alloc).await;
        world.until_status(&alloc, ClientStatus::Running).await;
        assert_eq!(world.statuses_since(&alloc, start).await, expected);
        agent.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_task_ends_well_or_fails_for_good() {
    let world = World::new();
    let agent = world.start().await;
    let good = world.place(&batch(&[("t", json!({}))]), 1).await;
    world.want(&good).await;
    let status = world.until_status(&good, ClientStatus::Complete).await;
    assert_eq!(status.task_states["t"].restarts, 0);
    agent.stop().await;

    let world = World::new();
    let agent = world.start().await;
    let job = no_restarts(batch(&[("t", json!({"exit_code": 1}))]));
    let bad = world.place(&job, 2).await;
    world.want(&bad).await;
    let status = world.until_status(&bad, ClientStatus::Failed).await;
    assert_eq!(status.client_description, "Failed tasks");
    assert_eq!(
        words(&status, "t")[3..],
        [
            "Terminated: Exit Code: 1",
            "Not Restarting: Policy allows no restarts",
        ]
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_is_restarted_until_its_policy_is_spent() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"run_for": "1s", "exit_code": 1}))]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Failed).await;
    let words = words(&status, "web");
    assert_eq!(
        words.last().unwrap(),
        "Not Restarting: Exceeded allowed attempts 2 in interval 30m0s and mode is \"fail\""
    );
    let restarting: Vec<_> = words
        .iter()
        .filter(|word| word.starts_with("Restarting: Task restarting in 1"))
        .collect();
    assert_eq!(restarting.len(), 2, "{words:#?}");
    assert_eq!(status.task_states["web"].restarts, 2);
    assert_eq!(world.driver.started(), 3);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_start_says_why() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"start_error": "no such image"}))]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Failed).await;
    assert_eq!(
        words(&status, "web")[2..],
        [
            "Driver Failure: no such image",
            "Not Restarting: Error was unrecoverable",
        ]
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_not_there_fails_the_task() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world
        .place(&job("batch", "qemu", &[("vm", json!({}))]), 1)
        .await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Failed).await;
    assert_eq!(
        words(&status, "vm")[2],
        "Driver Failure: driver \"qemu\" is not enabled on this client"
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_one_task_stops_its_siblings() {
    let world = World::new();
    let agent = world.start().await;
    let job = no_restarts(service(&[
        ("web", runs_on()),
        ("side", json!({"run_for": "5s", "exit_code": 3})),
    ]));
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world
        .until(&alloc, "both dead", |status| {
            status
                .task_states
                .values()
                .all(|task| task.state == TaskLifeState::Dead)
                && !status.task_states.is_empty()
        })
        .await;
    assert_eq!(status.client_status, ClientStatus::Failed);
    assert!(
        words(&status, "web")
            .contains(&"Sibling Task Failed: Task's sibling \"side\" failed".to_owned())
    );
    assert!(!status.task_states["web"].failed);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_leader_ends_the_group() {
    let world = World::new();
    let agent = world.start().await;
    let mut job = batch(&[("main", json!({"run_for": "5s"})), ("log", runs_on())]);
    job.task_groups[0].tasks[0].leader = true;
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Complete).await;
    assert!(
        words(&status, "log").contains(&"Leader Task Dead: Leader Task in Group dead".to_owned())
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_taken_over_in_place_without_a_restart() {
    let world = World::new();
    let agent = world.start().await;
    let mut job = service(&[("web", runs_on())]);
    let alloc = Alloc {
        deployment_id: Some(deployment(1)),
        ..world.place(&job, 1).await
    };
    world.want(&alloc).await;
    let healthy = |number| {
        move |status: &rove_model::alloc::AllocStatus| {
            status.deployment_status.as_ref().is_some_and(|health| {
                health.healthy && health.deployment_id == Some(deployment(number))
            })
        }
    };
    let status = world.until(&alloc, "healthy", healthy(1)).await;
    let started_at = status.task_states["web"].started_at;
    job.version = 1;
    let next = Alloc {
        deployment_id: Some(deployment(2)),
        ..world.place(&job, 1).await
    };
    let revision = world.want(&next).await;
    let status = world.until(&next, "healthy again", healthy(2)).await;
    assert_eq!(status.job_version, 1);
    assert_eq!(status.alloc_modify_index, revision);
    assert_eq!(status.task_states["web"].started_at, started_at);
    assert_eq!(world.driver.started(), 1);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alloc_whose_task_fails_is_unhealthy_and_one_that_hangs_too() {
    let world = World::new();
    let agent = world.start().await;
    let failing = no_restarts(service(&[(
        "web",
        json!({"run_for": "2s", "exit_code": 1}),
    )]));
    let hanging = service(&[("web", json!({"start_block_for": "1h"}))]);
    for (number, job) in [(1, failing), (2, hanging)] {
        let job = rove_model::job::Job {
            id: format!("job-{number}"),
            ..job
        };
        let alloc = Alloc {
            deployment_id: Some(deployment(1)),
            ..world.place(&job, number).await
        };
        world.want(&alloc).await;
        let status = world
            .until(&alloc, "a verdict", |status| {
                status.deployment_status.is_some()
            })
            .await;
        assert!(!status.deployment_status.unwrap().healthy);
    }
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_is_called_off_by_a_stop() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"start_block_for": "10h", "run_for": "1h"}))]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Pending).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(world.driver.started(), 0);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alloc_waits_until_its_port_is_really_free() {
    let world = World::new();
    let agent = world.start().await;
    let job = service(&[("web", json!({"run_for": "10000h", "kill_after": "4s"}))]);
    let mut old = world.place(&job, 1).await;
    let mut new = world.place(&job, 2).await;
    old.resources.ports.push(port(8080));
    new.resources.ports.push(port(8080));
    world.want(&old).await;
    world.until_status(&old, ClientStatus::Running).await;
    world.stop(&old).await;
    world.want(&new).await;
    world.until_status(&new, ClientStatus::Pending).await;
    assert_eq!(world.driver.started(), 1);
    let status = world.until_status(&new, ClientStatus::Running).await;
    let over = world.until_status(&old, ClientStatus::Complete).await;
    assert!(status.task_states["web"].started_at >= over.task_states["web"].finished_at);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_store_forgets_is_stopped_and_forgotten() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    world.forget(&alloc).await;
    let handle = agent.handle();
    eventually("the alloc to be forgotten", || handle.allocs().is_empty()).await;
    assert!(world.driver.running().is_empty());
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alloc_that_was_stopped_before_it_was_seen_is_complete() {
    let world = World::new();
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.stop(&alloc).await;
    let agent = world.start().await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(world.driver.started(), 0);
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alloc_without_a_specification_fails_with_the_reason() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world.alloc(&service(&[("web", runs_on())]), 1);
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Failed).await;
    assert_eq!(
        status.client_description,
        "version 0 of job default/job is not in the store"
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_restarts_and_signals_a_task() {
    let world = World::new();
    let agent = world.start().await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    let handle = agent.handle();
    handle
        .signal(alloc.id, Some("web"), rove_agent::drivers::Signal::HUP)
        .await
        .unwrap();
    handle.restart(alloc.id, None).await.unwrap();
    let status = world
        .until(&alloc, "a restart", |status| {
            status.task_states["web"].restarts == 1 && status.client_status == ClientStatus::Running
        })
        .await;
    assert_eq!(
        words(&status, "web")[3..],
        [
            "Signaling: Task being sent a signal",
            "Restart Signaled: User requested task to restart",
            "Terminated: Exit Code: 130, Signal: 2",
            "Restarting: Task restarting in 0s",
            "Started: Task started by client",
        ]
    );
    let unknown = handle.restart(alloc.id, Some("zz")).await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "Could not find task runner for task: zz"
    );
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_restarts_all_tasks_and_those_that_have_ended_only_when_asked_to() {
    let world = World::new();
    let agent = world.start().await;
    let job = batch(&[("once", json!({"run_for": "1s"})), ("on", runs_on())]);
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let restarts = |status: &AllocStatus, task: &str| status.task_states[task].restarts;
    let once_is = |status: &AllocStatus, state| status.task_states["once"].state == state;
    world
        .until(&alloc, "the one to end", |status| {
            once_is(status, TaskLifeState::Dead)
        })
        .await;
    let handle = agent.handle();
    handle.restart(alloc.id, None).await.unwrap();
    let status = world
        .until(&alloc, "a restart", |status| restarts(status, "on") == 1)
        .await;
    assert_eq!(restarts(&status, "once"), 0);
    world
        .until(&alloc, "its start", |status| {
            status.task_states["on"].state == TaskLifeState::Running
        })
        .await;
    handle.restart_all(alloc.id).await.unwrap();
    world
        .until(&alloc, "all to be restarted", |status| {
            restarts(status, "on") == 2
                && restarts(status, "once") == 1
                && once_is(status, TaskLifeState::Dead)
        })
        .await;
    assert_eq!(world.driver.started(), 5);
    // An alloc that is over stays over.
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    assert!(handle.restart_all(alloc.id).await.is_err());
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_development_agent_stops_its_tasks_when_it_ends() {
    let world = World::new();
    let agent = start(rove_agent::AgentConfig {
        dev: true,
        ..world.config()
    })
    .await;
    let alloc = world.place(&service(&[("web", runs_on())]), 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    agent.stop().await;
    assert!(world.driver.running().is_empty());
    let status = world.status(&alloc).await.unwrap();
    assert_eq!(status.client_status, ClientStatus::Complete);
    assert!(world.get(&Key::NodeAlive(world.node)).await.is_none());
}

#[tokio::test]
async fn logs_that_the_job_switches_off_are_refused_and_state_is_kept_where_the_operator_wants_it()
{
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut config = world.on_disk(dir.path());
    let own = dir.path().join("own");
    if let rove_agent::Storage::Disk { state_dir, .. } = &mut config.storage {
        state_dir.clone_from(&own);
    }
    let agent = start(config).await;
    let mut job = service(&[
        ("quiet", json!({"run_for": "10000h", "stdout_string": "x"})),
        ("loud", json!({"run_for": "10000h", "stdout_string": "x"})),
    ]);
    job.task_groups[0].tasks[0].log_config = Some(rove_model::job::LogConfig {
        disabled: Some(true),
        ..rove_model::job::LogConfig::default()
    });
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    world.until_status(&alloc, ClientStatus::Running).await;
    let logs = dir.path().join(format!("alloc/{}/alloc/logs", alloc.id));
    eventually("the other task's log", || {
        logs.join("loud.stdout.0").exists()
    })
    .await;
    assert!(!logs.join("quiet.stdout.0").exists());
    let handle = agent.handle();
    let read = |task: &'static str| {
        let options = rove_agent::handle::ReadOptions::default();
        handle.logs(alloc.id, task, rove_agent::logs::LogKind::Stdout, options)
    };
    assert!(read("loud").await.is_ok());
    assert_eq!(
        read("quiet").await.err().unwrap().to_string(),
        "logs of task \"quiet\" are disabled: its job says logs { disabled = true }"
    );
    assert!(own.join(format!("allocs/{}.json", alloc.id)).exists());
    assert!(own.join("tasks").join(alloc.id.to_string()).exists());
    assert!(!dir.path().join("client").exists());
    agent.stop().await;
}
