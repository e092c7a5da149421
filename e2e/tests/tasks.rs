//! Tasks that misbehave: they end at once, ignore their signal, flood their log, want what isn't there.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Stdio};

use rove_e2e::{
    command::{available, eventually, rove, run},
    dev::Agent,
    engine::Engine,
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
    eventually("an alloc", || {
        let allocs = agent.get(&format!("/v1/job/{job}/allocations"))?;
        allocs[0]["ID"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| allocs.to_string())
    })
}

fn event_of(agent: &Agent, alloc: &str, kind: &str, words: &str) {
    eventually(&format!("the event {kind}"), || {
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
    });
}

#[test]
fn a_task_that_exits_at_once_is_restarted_then_failed_then_rescheduled() {
    let agent = Agent::start("");
    let group = "    restart {\n      attempts = 1\n      delay = \"100ms\"\n      interval = \"1h\"\n      mode = \"fail\"\n    }\n    reschedule {\n      attempts = 1\n      interval = \"1h\"\n      delay = \"5s\"\n      unlimited = false\n    }";
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
        "Exceeded allowed attempts 1 in interval 1h0m0s and mode is \"fail\"",
    );
    eventually("its replacement failed as well", || {
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
    });
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
    eventually("its word", || {
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
    eventually("complete", || {
        let state = agent.get(&format!("/v1/allocation/{alloc}"))?;
        if state["ClientStatus"] == "complete" {
            Ok(())
        } else {
            Err(state["ClientStatus"].to_string())
        }
    });
}

/// The most memory that a process ever had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap()
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
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let alloc = agent.running("flood", 1).remove(0);
    let before = peak_kib(agent.pid());
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
    eventually("the end of the flood", || {
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
    // As much for a gigabyte as for a megabyte: some buffers.
    let grown = peak_kib(agent.pid()) - before;
    assert!(grown < 24 * 1024, "the agent grew by {grown} KiB");
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
    for signal in ["KILL", "TERM"] {
        agent.end(signal);
        assert_eq!(id(), before, "it outlives {signal}");
        agent.restart();
        assert_eq!(agent.running("redis", 1), std::slice::from_ref(&alloc));
        assert_eq!(id(), before);
    }
    let ready = || {
        let logs = agent.rove(&["alloc", "logs", &alloc]).ok();
        logs.to_lowercase()
            .matches("ready to accept connections")
            .count()
    };
    eventually("redis is ready", || {
        if ready() > 0 {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    assert_eq!(ready(), 1, "it started once");
    let _ = agent
        .rove(&["job", "stop", "-detach", "-purge", "-yes", "redis"])
        .ok();
    eventually("the container is gone", || {
        let left =
            run(Command::new("docker").args(["ps", "-aq", "--filter", &format!("name={alloc}")]))
                .ok();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn an_agent_killed_while_it_starts_containers_leaves_one_for_each_alloc() {
    let Some(config) = docker() else { return };
    let mut agent = Agent::start(&config);
    let task = "      driver = \"docker\"\n      config {\n        image = \"redis:3.2\"\n        command = \"/bin/sleep\"\n        args = [\"600\"]\n      }";
    let file = agent.job("many.nomad", &job("many", "    count = 4", task));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let mut allocs = eventually("the allocs", || {
        let allocs = agent.get("/v1/job/many/allocations")?;
        let ids: Vec<String> = allocs
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|alloc| alloc["ID"].as_str().map(str::to_owned))
            .collect();
        if ids.len() == 4 {
            Ok(ids)
        } else {
            Err(allocs.to_string())
        }
    });
    let containers = |alloc: &str| {
        let label = format!("label=rove.alloc_id={alloc}");
        let ps = ["ps", "-aq", "--no-trunc", "--filter", &label];
        run(Command::new("docker").args(ps)).ok().lines().count()
    };
    // Each time when one container more is there: its agent hardly had the time to write that down.
    for known in 1..=3 {
        eventually("one more container", || {
            let there: usize = allocs.iter().map(|alloc| containers(alloc)).sum();
            if there >= known {
                Ok(())
            } else {
                Err(there.to_string())
            }
        });
        agent.end("KILL");
        agent.restart();
    }
    let mut running = agent.running("many", 4);
    running.sort();
    allocs.sort();
    assert_eq!(running, allocs, "the same allocs");
    for alloc in &allocs {
        assert_eq!(containers(alloc), 1, "of {alloc}");
        let state = agent.get(&format!("/v1/allocation/{alloc}")).unwrap();
        assert_eq!(state["TaskStates"]["t"]["Restarts"], 0, "{state}");
    }
    let _ = agent
        .rove(&["job", "stop", "-detach", "-purge", "-yes", "many"])
        .ok();
    eventually("the containers are gone", || {
        match allocs.iter().map(|alloc| containers(alloc)).sum() {
            0_usize => Ok(()),
            left => Err(left.to_string()),
        }
    });
}

#[test]
fn an_engine_that_does_not_run_is_told_waited_for_and_gone_on_with_when_it_is_back() {
    let Some(engine) = Engine::prepared() else {
        return;
    };
    let agent = Agent::start(&engine.config());
    let group = "    restart {\n      attempts = 1000\n      delay = \"200ms\"\n      interval = \"10m\"\n      mode = \"fail\"\n    }";
    let task = "      driver = \"docker\"\n      config {\n        image = \"redis:3.2\"\n        command = \"/bin/sleep\"\n        args = [\"600\"]\n      }";
    let submit = |name: &str| {
        let file = agent.job("engine.nomad", &job(name, group, task));
        let run = agent.rove(&["job", "run", "-detach", &file]).ok();
        run.split_whitespace().last().unwrap().to_owned()
    };
    // It does not run yet.
    let eval = submit("first");
    eventually("the reason", || {
        let status = agent.rove(&["eval", "status", &eval]).stdout;
        if status.contains("missing drivers") {
            Ok(())
        } else {
            Err(status)
        }
    });
    engine.start();
    engine.load_redis();
    let first = agent.running("first", 1);
    // It is killed, and another job comes before the agent has noticed.
    engine.kill();
    let _ = submit("second");
    let second = alloc_of(&agent, "second");
    event_of(&agent, &second, "Driver Failure", &engine.endpoint());
    engine.start();
    assert_eq!(agent.running("second", 1), [second]);
    assert_eq!(agent.running("first", 1), first, "the same alloc goes on");
    let ps = engine.docker(&["ps", "--format", "{{.Names}}"]).ok();
    assert_eq!(ps.lines().count(), 2, "{ps}");
    let all = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(all.lines().count(), 2, "nothing is left of before: {all}");
}
