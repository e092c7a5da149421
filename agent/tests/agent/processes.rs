//! The agent with raw_exec: real processes, files and logs.

use std::{path::Path, sync::Arc, time::Duration};

use futures::StreamExt;
use rove_agent::{
    AgentConfig,
    drivers::raw_exec::{RawExecDriver, RawExecOptions},
    handle::{AgentHandle, HandleError, Origin, ReadOptions},
    logs::LogKind,
    registry::DriverRegistry,
    supervisor::Program,
};
use rove_model::{alloc::ClientStatus, ids::AllocId, job::Job};
use serde_json::json;

use crate::world::*;

fn config(world: &World, data_dir: &Path) -> AgentConfig {
    AgentConfig {
        drivers: DriverRegistry::new().with(Arc::new(RawExecDriver::new(RawExecOptions {
            enabled: true,
            program: Program {
                path: env!("CARGO_BIN_EXE_rove-supervise").into(),
                args: Vec::new(),
            },
            core_mhz: 2000.0,
        }))),
        host_env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        ..world.on_disk(data_dir)
    }
}

fn shell(kind: &str, script: &str) -> Job {
    job(
        kind,
        "raw_exec",
        &[("t", json!({"command": "/bin/sh", "args": ["-c", script]}))],
    )
}

async fn read_log(
    handle: &AgentHandle,
    alloc: AllocId,
    kind: LogKind,
    options: ReadOptions,
) -> String {
    let mut stream = handle.logs(alloc, "t", kind, options).await.unwrap();
    let mut text = Vec::new();
    while let Some(frame) = stream.next().await {
        text.extend_from_slice(&frame.unwrap().data);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_process_runs_with_its_environment_and_its_files_and_logs_can_be_read() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let mut job = shell(
        "batch",
        "tr '\\0' '\\n' </proc/$$/environ | sort; echo $NOMAD_PORT_http >local/f; echo oops >&2; sleep 0.2; echo done",
    );
    job.meta.insert("who.am-i".to_owned(), "me".to_owned());
    job.task_groups[0].tasks[0].env.insert(
        "WHERE".to_owned(),
        "${node.unique.name}:${NOMAD_ADDR_http}".to_owned(),
    );
    let mut alloc = world.place(&job, 1).await;
    alloc.resources.ports.push(port(8080));
    world.want(&alloc).await;
    let handle = agent.handle();
    world.until_status(&alloc, ClientStatus::Running).await;
    let follow = ReadOptions {
        follow: true,
        ..ReadOptions::default()
    };
    let out = read_log(&handle, alloc.id, LogKind::Stdout, follow).await;
    for line in [
        format!("NOMAD_ALLOC_ID={}", alloc.id),
        format!(
            "NOMAD_ALLOC_DIR={}/alloc/{}/alloc",
            dir.path().display(),
            alloc.id
        ),
        format!(
            "NOMAD_TASK_DIR={}/alloc/{}/t/local",
            dir.path().display(),
            alloc.id
        ),
        format!(
            "NOMAD_SECRETS_DIR={}/alloc/{}/t/secrets",
            dir.path().display(),
            alloc.id
        ),
        "NOMAD_ALLOC_NAME=job.group[1]".to_owned(),
        "NOMAD_JOB_NAME=job".to_owned(),
        "NOMAD_GROUP_NAME=group".to_owned(),
        "NOMAD_TASK_NAME=t".to_owned(),
        "NOMAD_PORT_http=8080".to_owned(),
        "NOMAD_HOST_PORT_http=8080".to_owned(),
        "NOMAD_IP_http=127.0.0.1".to_owned(),
        "NOMAD_ADDR_http=127.0.0.1:8080".to_owned(),
        "NOMAD_META_who.am_i=me".to_owned(),
        "NOMAD_META_WHO.AM_I=me".to_owned(),
        "NOMAD_CPU_LIMIT=100".to_owned(),
        "NOMAD_MEMORY_LIMIT=64".to_owned(),
        "NOMAD_DC=dc1".to_owned(),
        "NOMAD_REGION=global".to_owned(),
        "NOMAD_NAMESPACE=default".to_owned(),
        "WHERE=here:127.0.0.1:8080".to_owned(),
        "PATH=/usr/bin:/bin".to_owned(),
        "done".to_owned(),
    ] {
        assert!(
            out.lines().any(|found| found == line),
            "{line} in {out} {:#?}",
            world.status(&alloc).await
        );
    }
    let status = world.until_status(&alloc, ClientStatus::Complete).await;
    assert_eq!(words(&status, "t")[3], "Terminated: Exit Code: 0");
    let tail = ReadOptions {
        offset: 5,
        origin: Origin::End,
        follow: false,
    };
    assert_eq!(
        read_log(&handle, alloc.id, LogKind::Stdout, tail).await,
        "done\n"
    );
    let plain = ReadOptions::default();
    assert_eq!(
        read_log(&handle, alloc.id, LogKind::Stderr, plain).await,
        "oops\n"
    );
    files(&handle, alloc.id).await;
    let unknown = handle.logs(alloc.id, "zz", LogKind::Stdout, plain).await;
    assert!(matches!(
        unknown.map(|_| ()),
        Err(HandleError::UnknownTask(_))
    ));
    agent.stop().await;
}

async fn files(handle: &AgentHandle, alloc: AllocId) {
    let names = |found: Vec<rove_agent::files::FileInfo>| {
        found
            .into_iter()
            .map(|file| format!("{} {}", file.file_mode, file.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(handle.list(alloc, "/").await.unwrap()),
        ["drwxrwxrwx alloc", "drwxrwxrwx t"]
    );
    let found = handle.stat(alloc, "t/local/f").await.unwrap();
    assert_eq!((found.size, found.is_dir), (5, false));
    for (path, error) in [
        ("../..", "Path escapes the alloc directory"),
        ("t/secrets", "Reading secret file prohibited: t/secrets"),
        ("nothing", "no such file or directory"),
    ] {
        let refused = handle.list(alloc, path).await.unwrap_err().to_string();
        assert!(refused.contains(error), "{path}: {refused}");
    }
}

#[tokio::test]
async fn a_process_and_its_log_outlive_the_agent() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let job = shell(
        "service",
        "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done",
    );
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let before = world.until_status(&alloc, ClientStatus::Running).await;
    let written = dir
        .path()
        .join("alloc")
        .join(alloc.id.to_string())
        .join("alloc/logs/t.stdout.0");
    let lines = || std::fs::read_to_string(&written).map_or(0, |text| text.lines().count());
    drop(agent);
    let while_alone = lines() + 20;
    eventually("what it says while alone", || lines() > while_alone).await;
    let agent = start(config(&world, dir.path())).await;
    let handle = agent.handle();
    let stats = loop {
        let stats = handle.alloc_stats(alloc.id, None).await.unwrap();
        if stats.tasks.contains_key("t") {
            break stats;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(stats.resource_usage.memory_stats.rss > 0);
    let with_the_next = lines() + 20;
    eventually("what it says next", || lines() > with_the_next).await;
    assert_eq!(
        world.status(&alloc).await.unwrap().task_states,
        before.task_states
    );
    world.stop(&alloc).await;
    world.until_status(&alloc, ClientStatus::Complete).await;
    let log = read_log(&handle, alloc.id, LogKind::Stdout, ReadOptions::default()).await;
    let lines: Vec<usize> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines, (0..lines.len()).collect::<Vec<_>>());
    assert!(lines.len() > with_the_next);
    agent.stop().await;
}

#[tokio::test]
async fn fifty_processes_start_together() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let job = shell("service", "exec sleep 1000");
    let mut allocs = Vec::new();
    for number in 1..=50 {
        allocs.push(world.place(&job, number).await);
    }
    let began = std::time::Instant::now();
    for alloc in &allocs {
        world.want(alloc).await;
    }
    for alloc in &allocs {
        world.until_status(alloc, ClientStatus::Running).await;
    }
    println!("50 processes run after {:?}", began.elapsed());
    for alloc in &allocs {
        world.forget(alloc).await;
    }
    let handle = agent.handle();
    eventually("all to be forgotten", || handle.allocs().is_empty()).await;
    eventually("nothing of them to be left", || {
        ["alloc", "client/allocs", "client/tasks"]
            .iter()
            .all(|name| {
                std::fs::read_dir(dir.path().join(name))
                    .unwrap()
                    .next()
                    .is_none()
            })
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn what_is_filled_in_on_the_node_is_filled_in_everywhere() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: becoming another user needs root");
        return;
    }
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let mut job = job(
        "batch",
        "raw_exec",
        &[(
            "t",
            json!({
                "command": "/bin/${NOMAD_META_shell}",
                "args": [
                    "-c",
                    "id -un; echo \"$0\" ${NOMAD_TASK_NAME}; echo $made; ls $NOMAD_TASK_DIR/..",
                    "${NOMAD_META_of.meta} ${meta.none}",
                ],
            }),
        )],
    );
    let task = &mut job.task_groups[0].tasks[0];
    for (key, value) in [
        ("shell", "sh"),
        ("who", "nobody"),
        ("of.meta", "${node.datacenter}-${attr.none}"),
    ] {
        task.meta.insert(key.to_owned(), value.to_owned());
    }
    task.user = "${NOMAD_META_who}".to_owned();
    let (name, value) = ("m${NOMAD_META_none}ade", "${NOMAD_JOB_NAME}");
    task.env.insert(name.to_owned(), value.to_owned());
    task.env
        .insert("made".to_owned(), "as ${NOMAD_META_who}".to_owned());
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world
        .until(&alloc, "its end", |status| {
            matches!(
                status.client_status,
                ClientStatus::Complete | ClientStatus::Failed
            )
        })
        .await;
    let handle = agent.handle();
    let out = read_log(&handle, alloc.id, LogKind::Stdout, ReadOptions::default()).await;
    assert_eq!(
        out, "nobody\ndc1-${attr.none} ${meta.none} t\nas nobody\nlocal\nsecrets\ntmp\n",
        "{status:#?}"
    );
    let root = std::fs::metadata(dir.path().join("alloc").join(alloc.id.to_string())).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(root.mode() & 0o7777, 0o710);
    agent.stop().await;
}

#[tokio::test]
async fn processes_with_hooks_run_in_their_turn() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let say = |word: &str| format!("echo {word} >> $NOMAD_ALLOC_DIR/data/said");
    let tasks = [
        // In another order than their turns.
        ("clean", Some(("poststop", false)), say("clean")),
        (
            "main",
            None,
            format!(
                "{}; until [ -e $NOMAD_ALLOC_DIR/data/after ]; do sleep 0.01; done",
                say("main")
            ),
        ),
        (
            "side",
            Some(("prestart", true)),
            format!(
                "trap 'sleep 0.2; {}; exit 0' INT; {}; while :; do sleep 0.01; done",
                say("side-ends"),
                say("side")
            ),
        ),
        (
            "init",
            Some(("prestart", false)),
            format!(
                "until grep -q side $NOMAD_ALLOC_DIR/data/said; do sleep 0.01; done; sleep 0.2; {}",
                say("init")
            ),
        ),
        (
            "after",
            Some(("poststart", false)),
            format!(
                "until grep -q main $NOMAD_ALLOC_DIR/data/said; do sleep 0.01; done; {}; touch $NOMAD_ALLOC_DIR/data/after",
                say("after")
            ),
        ),
    ];
    let scripts: Vec<(&str, serde_json::Value)> = tasks
        .iter()
        .map(|(name, _, script)| (*name, json!({"command": "/bin/sh", "args": ["-c", script]})))
        .collect();
    let mut job = job("batch", "raw_exec", &scripts);
    for (task, (_, hook, _)) in job.task_groups[0].tasks.iter_mut().zip(&tasks) {
        task.lifecycle = hook.map(|(hook, sidecar)| rove_model::job::Lifecycle {
            hook: hook.to_owned(),
            sidecar,
        });
    }
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world
        .until(&alloc, "its end", |status| {
            matches!(
                status.client_status,
                ClientStatus::Complete | ClientStatus::Failed
            )
        })
        .await;
    let said = dir
        .path()
        .join("alloc")
        .join(alloc.id.to_string())
        .join("alloc/data/said");
    assert_eq!(
        std::fs::read_to_string(said).unwrap(),
        "side\ninit\nmain\nafter\nside-ends\nclean\n",
        "{status:#?}"
    );
    assert_eq!(status.client_status, ClientStatus::Complete);
    let words = words(&status, "side");
    assert!(
        words.contains(&"Main Tasks Dead: Main tasks in the group died".to_owned()),
        "{words:?}"
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let job = no_restarts(job(
        "batch",
        "raw_exec",
        &[("t", json!({"command": "/no/such/binary"}))],
    ));
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let status = world.until_status(&alloc, ClientStatus::Failed).await;
    let words = words(&status, "t");
    assert!(words[2].starts_with("Driver Failure: "), "{words:?}");
    assert!(words[2].contains("\"/no/such/binary\""), "{words:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nothing_back() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let mut job = shell(
        "batch",
        "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end",
    );
    job.task_groups[0].tasks[0].log_config = Some(rove_model::job::LogConfig {
        max_files: Some(2),
        max_file_size_mb: Some(1),
        ..Default::default()
    });
    let alloc = world.place(&job, 1).await;
    world.want(&alloc).await;
    let handle = agent.handle();
    world
        .until(&alloc, "a start", |status| !status.task_states.is_empty())
        .await;
    let follow = ReadOptions {
        follow: true,
        ..ReadOptions::default()
    };
    let mut stalled = handle
        .logs(alloc.id, "t", LogKind::Stdout, follow)
        .await
        .unwrap();
    world.until_status(&alloc, ClientStatus::Complete).await;
    let mut last = Vec::new();
    let mut total = 0;
    while let Some(frame) = stalled.next().await {
        last = frame.unwrap().data.to_vec();
        total += last.len();
    }
    assert!(last.ends_with(b"\nend\n"));
    assert!(total < 3 * 1024 * 1024, "{total} bytes were kept");
    agent.stop().await;
}

#[tokio::test]
async fn a_task_that_was_never_started_has_no_logs() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(config(&world, dir.path())).await;
    let missing = job(
        "batch",
        "raw_exec",
        &[("t", json!({"command": "/no/such/binary"}))],
    );
    let silent = shell("batch", "exit 0");
    let mut allocs = Vec::new();
    for (number, mut job) in [(1, missing), (2, silent)] {
        job.id = format!("job-{number}");
        if let Some(policy) = &mut job.task_groups[0].tasks[0].restart_policy {
            policy.attempts = Some(0);
        }
        let alloc = world.place(&job, number).await;
        world.want(&alloc).await;
        allocs.push(alloc);
    }
    world.until_status(&allocs[0], ClientStatus::Failed).await;
    world.until_status(&allocs[1], ClientStatus::Complete).await;
    let handle = agent.handle();
    for follow in [false, true] {
        let options = ReadOptions {
            follow,
            ..ReadOptions::default()
        };
        let kind = LogKind::Stdout;
        let error = handle.logs(allocs[0].id, "t", kind, options).await.err();
        assert_eq!(
            error.unwrap().to_string(),
            "task \"t\" not started yet. No logs available"
        );
        // It ran and said nothing: that is an empty log.
        assert_eq!(read_log(&handle, allocs[1].id, kind, options).await, "");
    }
    agent.stop().await;
}
