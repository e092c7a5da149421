//! Tasks that misbehave: they end at once, ignore their signal, flood their log, want what isn't there.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use rove_e2e::{
    command::{available, eventually, rove, run},
    dev::Agent,
};

fn job(name: &str, group: &str, task: &str) -> String {
    format!(
        "job \"{name}\" {{\n  group \"g\" {{\n{group}\n    task \"t\" {{\n{task}\n      resources {{\n        cpu = 10\n        memory = 10\n      }}\n    }}\n  }}\n}}\n"
    )
}

fn shell(script: &str) -> String {
    format!(
        "      driver = \"raw_exec\"\n      config {{\n        command = \"/bin/sh\"\n        args = [\"-c\", {script:?}]\n      }}"
    )
}

fn alloc_of(agent: &Agent, job: &str) -> String {
    eventually("an alloc", Duration::from_secs(20), || {
        let allocs = agent.get(&format!("/v1/job/{job}/allocations"))?;
        allocs[0]["ID"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| allocs.to_string())
    })
}

fn event_of(agent: &Agent, alloc: &str, kind: &str, words: &str) {
    eventually(
        &format!("the event {kind}"),
        Duration::from_secs(60),
        || {
            let state = agent.get(&format!("/v1/allocation/{alloc}"))?;
            let events = state["TaskStates"]["t"]["Events"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let found = events.iter().any(|event| {
                event["Type"] == kind
                    && event["DisplayMessage"]
                        .as_str()
                        .is_some_and(|text| text.contains(words))
            });
            if found {
                Ok(())
            } else {
                Err(serde_json::Value::from(events).to_string())
            }
        },
    );
}

#[test]
fn a_task_that_exits_at_once_is_restarted_then_failed_then_rescheduled() {
    let agent = Agent::start("");
    let group = "    restart {\n      attempts = 1\n      delay = \"100ms\"\n      interval = \"10s\"\n      mode = \"fail\"\n    }\n    reschedule {\n      attempts = 1\n      interval = \"1h\"\n      delay = \"5s\"\n      unlimited = false\n    }";
    let file = agent.job(
        "exits.nomad",
        &job("exits", group, &shell("echo going; exit 3")),
    );
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let first = alloc_of(&agent, "exits");
    event_of(&agent, &first, "Terminated", "Exit Code: 3");
    event_of(&agent, &first, "Restarting", "Task restarting in");
    event_of(
        &agent,
        &first,
        "Not Restarting",
        "Exceeded allowed attempts 1 in interval 10s and mode is \"fail\"",
    );
    eventually(
        "its replacement failed as well",
        Duration::from_secs(60),
        || {
            let allocs = agent.get("/v1/job/exits/allocations")?;
            let failed = allocs
                .as_array()
                .into_iter()
                .flatten()
                .filter(|alloc| alloc["ClientStatus"] == "failed")
                .count();
            if failed == 2 {
                Ok(())
            } else {
                Err(allocs.to_string())
            }
        },
    );
    assert_eq!(
        agent.rove(&["alloc", "logs", &first]).ok(),
        "going\ngoing\n"
    );
}

#[test]
fn a_task_that_ignores_its_stop_signal_is_killed_after_its_timeout() {
    let agent = Agent::start("");
    let task = format!(
        "{}\n      kill_timeout = \"1s\"",
        shell("trap '' INT TERM; echo deaf; while true; do sleep 0.1; done")
    );
    let file = agent.job("deaf.nomad", &job("deaf", "", &task));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let alloc = agent.running("deaf", 1).remove(0);
    eventually("its word", Duration::from_secs(10), || {
        let logs = agent.rove(&["alloc", "logs", &alloc]).stdout;
        if logs.contains("deaf") {
            Ok(())
        } else {
            Err(logs)
        }
    });
    let _ = agent.rove(&["job", "stop", "-detach", "deaf"]).ok();
    event_of(
        &agent,
        &alloc,
        "Killing",
        "Sent interrupt. Waiting 1s before force killing",
    );
    event_of(&agent, &alloc, "Killed", "Task successfully killed");
    eventually("complete", Duration::from_secs(20), || {
        let state = agent.get(&format!("/v1/allocation/{alloc}"))?;
        if state["ClientStatus"] == "complete" {
            Ok(())
        } else {
            Err(state["ClientStatus"].to_string())
        }
    });
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or_default()
}

#[test]
fn a_gigabyte_of_log_is_rotated_and_a_reader_that_does_not_read_holds_nothing_up() {
    let agent = Agent::start("");
    let task = format!(
        "{}\n      logs {{\n        max_files = 2\n        max_file_size = 5\n      }}",
        shell(
            "yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c 1000000000; echo; echo finished; sleep 600"
        )
    );
    let file = agent.job(
        "flood.nomad",
        &job(
            "flood",
            "    ephemeral_disk {\n      size = 50\n    }",
            &task,
        ),
    );
    let before = rss_kib(agent.pid());
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let alloc = agent.running("flood", 1).remove(0);
    let mut deaf = Command::new(rove())
        .env("ROVE_ADDR", format!("http://127.0.0.1:{}", agent.http))
        .args(["alloc", "logs", "-f", &alloc])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let logs = agent.data().join("alloc").join(&alloc).join("alloc/logs");
    let mut most = 0;
    eventually("the end of the flood", Duration::from_secs(120), || {
        let size: u64 = std::fs::read_dir(&logs)
            .map(|files| {
                files
                    .flatten()
                    .filter_map(|file| file.metadata().ok())
                    .map(|data| data.len())
                    .sum()
            })
            .unwrap_or_default();
        most = most.max(size);
        let tail = agent
            .rove(&["alloc", "logs", "-tail", "-n", "1", &alloc])
            .stdout;
        if tail.contains("finished") {
            Ok(())
        } else {
            Err(format!("{} bytes, tail {tail:.80}", size))
        }
    });
    deaf.kill().unwrap();
    let _ = deaf.wait();
    assert!(
        most < 16 * 1024 * 1024,
        "two files of 5 MiB and one being rotated, found {most} bytes"
    );
    let grown = rss_kib(agent.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "the agent grew by {grown} KiB");
}

fn docker() -> Option<String> {
    let there = run(Command::new("docker").arg("version")).code == 0;
    available("a docker engine", there).then(|| {
        std::env::var("DOCKER_HOST")
            .map(|host| {
                format!("plugin \"docker\" {{\n  config {{\n    endpoint = \"{host}\"\n  }}\n}}\n")
            })
            .unwrap_or_default()
    })
}

#[test]
fn an_image_that_can_not_be_pulled_is_told_as_a_driver_failure() {
    let Some(config) = docker() else { return };
    let agent = Agent::start(&config);
    let group = "    restart {\n      attempts = 1\n      delay = \"100ms\"\n      interval = \"10m\"\n      mode = \"fail\"\n    }";
    let task = "      driver = \"docker\"\n      config {\n        image = \"localhost:1/no-such-image:1\"\n      }";
    let file = agent.job("pull.nomad", &job("pull", group, task));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let alloc = alloc_of(&agent, "pull");
    event_of(&agent, &alloc, "Driver Failure", "no-such-image");
}

#[test]
fn a_container_outlives_the_agent_and_is_found_again() {
    let Some(config) = docker() else { return };
    let mut agent = Agent::start(&config);
    let group = "    network {\n      port \"db\" {\n        to = 6379\n      }\n    }";
    let task = "      driver = \"docker\"\n      config {\n        image = \"redis:3.2\"\n        ports = [\"db\"]\n      }";
    let file = agent.job("redis.nomad", &job("redis", group, task));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let alloc = agent.running("redis", 1).remove(0);
    let id = || {
        run(Command::new("docker").args([
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &format!("name={alloc}"),
        ]))
        .ok()
    };
    let before = id();
    assert_eq!(before.lines().count(), 1, "{before}");
    agent.end("KILL");
    agent.restart();
    assert_eq!(agent.running("redis", 1), std::slice::from_ref(&alloc));
    assert_eq!(id(), before);
    let logs = agent.rove(&["alloc", "logs", &alloc]).ok();
    assert_eq!(
        logs.to_lowercase()
            .matches("ready to accept connections")
            .count(),
        1,
        "{logs}"
    );
    let _ = agent
        .rove(&["job", "stop", "-detach", "-purge", "-yes", "redis"])
        .ok();
    eventually("the container is gone", Duration::from_secs(30), || {
        let left =
            run(Command::new("docker").args(["ps", "-aq", "--filter", &format!("name={alloc}")]))
                .ok();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}
