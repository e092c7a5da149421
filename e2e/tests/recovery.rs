//! Tasks outlive their agent, and nothing is lost when it or a server is killed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Child, Command};

use rove_e2e::{
    command::{available, eventually, run},
    dev::{Agent, Place},
};

const COUNTER: &str = r#"
job "counter" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo pid $$; i=0; while true; do echo line $i; i=$((i+1)); sleep 0.02; done"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
"#;

/// The numbers that were logged, and the pids that logged them.
fn logged(agent: &Agent, alloc: &str) -> (Vec<u64>, Vec<String>) {
    let text = agent.rove(&["alloc", "logs", alloc]).ok();
    let numbers = text
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.parse().ok())
        .collect();
    let pids = text
        .lines()
        .filter_map(|line| line.strip_prefix("pid ").map(str::to_owned))
        .collect();
    (numbers, pids)
}

fn survives(signal: &str) {
    let mut agent = Agent::start("");
    let job = agent.job("counter.nomad", COUNTER);
    let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
    let alloc = agent.running("counter", 1).remove(0);
    eventually("some lines", || {
        if logged(&agent, &alloc).0.len() > 20 {
            Ok(())
        } else {
            Err(String::new())
        }
    });
    for _ in 0..3 {
        agent.end(signal);
        agent.restart();
        let after = agent.running("counter", 1);
        assert_eq!(
            after,
            std::slice::from_ref(&alloc),
            "the same alloc goes on"
        );
        let before = logged(&agent, &alloc).0.len();
        eventually("more lines", || {
            if logged(&agent, &alloc).0.len() > before + 20 {
                Ok(())
            } else {
                Err(String::new())
            }
        });
    }
    let (numbers, pids) = logged(&agent, &alloc);
    assert_eq!(pids.len(), 1, "one process all the time");
    assert_eq!(
        numbers,
        (0..numbers.len() as u64).collect::<Vec<_>>(),
        "no line lost or doubled"
    );
    let status = agent.get(&format!("/v1/allocation/{alloc}")).unwrap();
    assert_eq!(status["TaskStates"]["t"]["Restarts"], 0);
}

#[test]
fn tasks_go_on_when_the_agent_is_killed() {
    survives("KILL");
}

#[test]
fn tasks_go_on_when_the_agent_is_ended() {
    survives("TERM");
}

#[test]
fn an_acknowledged_job_survives_a_kill_right_after() {
    let mut agent = Agent::start("");
    for round in 0..5 {
        let name = format!("j{round}");
        let job = agent.job(
            "job.nomad",
            &COUNTER.replace("\"counter\"", &format!("\"{name}\"")),
        );
        let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
        agent.end("KILL");
        agent.restart();
        let _ = agent.running(&name, 1);
    }
    let _ = (0..5)
        .map(|round| agent.running(&format!("j{round}"), 1))
        .collect::<Vec<_>>();
}

#[test]
fn a_task_that_ended_while_the_agent_was_away_is_known_by_its_exit() {
    let mut agent = Agent::start("");
    let job = agent.job(
        "short.nomad",
        r#"
job "short" {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "while [ ! -e ${NOMAD_TASK_DIR}/go ]; do sleep 0.05; done; exit 7"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
"#,
    );
    let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
    let alloc = agent.running("short", 1).remove(0);
    agent.end("KILL");
    std::fs::write(
        agent.data().join("alloc").join(&alloc).join("t/local/go"),
        "",
    )
    .unwrap();
    agent.restart();
    eventually("the end of the task", || {
        let status = agent.get(&format!("/v1/allocation/{alloc}"))?;
        let ended = status["TaskStates"]["t"]["Events"]
            .as_array()
            .is_some_and(|events| {
                events
                    .iter()
                    .any(|event| event["Type"] == "Terminated" && event["ExitCode"] == 7)
            });
        if status["ClientStatus"] == "failed" && ended {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

/// A process that has this pid, as after a reboot any may; `None` when another took it first.
fn stranger(pid: u32) -> Option<Child> {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let mut child = Command::new("/bin/sleep").arg("3600").spawn().unwrap();
    if child.id() == pid {
        return Some(child);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn after_a_reboot_old_pids_are_left_alone_and_the_tasks_start_anew() {
    let root = run(Command::new("id").arg("-u")).stdout.trim() == "0";
    if !available("root", root) {
        return;
    }
    let mut agent = Agent::start("");
    let job = agent.job("counter.nomad", COUNTER);
    let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
    let alloc = agent.running("counter", 1).remove(0);
    eventually("a line", || match logged(&agent, &alloc).0.len() {
        0 => Err(String::new()),
        _ => Ok(()),
    });
    // The machine goes down: the agent, the task and its supervisor end at once, and nobody is told.
    agent.end("KILL");
    let task = logged_pid(&agent, &alloc);
    let supervisor = parent(task);
    let command = std::fs::read_to_string(format!("/proc/{supervisor}/cmdline")).unwrap();
    assert!(command.contains("supervise"), "{command}");
    for pid in [supervisor, task] {
        let _ = run(Command::new("kill").args(["-KILL", &pid.to_string()]));
        eventually("its end", || {
            if std::path::Path::new("/proc").join(pid.to_string()).exists() {
                Err(pid.to_string())
            } else {
                Ok(())
            }
        });
    }
    // And others have their pids when it is up again.
    let mut strangers = [supervisor, task].map(|pid| {
        eventually("the pid", || {
            stranger(pid).ok_or_else(|| "taken".to_owned())
        })
    });
    let boot = agent.folder.path().join("boot_id");
    std::fs::write(&boot, "11111111-2222-3333-4444-555555555555\n").unwrap();
    agent.restart_by(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &format!(
                "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"",
                boot.display()
            ),
            "sh",
        ]
        .map(str::to_owned)
        .to_vec(),
    );
    eventually("its next process", || {
        let (_, pids) = logged(&agent, &alloc);
        let status = agent.get(&format!("/v1/allocation/{alloc}"))?;
        let state = &status["TaskStates"]["t"];
        if pids.len() == 2 && state["State"] == "running" && state["Restarts"] == 1 {
            Ok(())
        } else {
            Err(format!("{pids:?} {state}"))
        }
    });
    assert_eq!(agent.running("counter", 1), std::slice::from_ref(&alloc));
    let stop = ["job", "stop", "-purge", "-yes", "-detach", "counter"];
    let _ = agent.rove(&stop).ok();
    eventually("the job's end", || match agent.pids_of(&alloc).as_slice() {
        [] => Ok(()),
        pids => Err(format!("{pids:?}")),
    });
    for stranger in &mut strangers {
        assert!(
            stranger.try_wait().unwrap().is_none(),
            "a stranger was ended"
        );
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
        .unwrap()
}

fn logged_pid(agent: &Agent, alloc: &str) -> u32 {
    let log = agent
        .data()
        .join("alloc")
        .join(alloc)
        .join("alloc/logs/t.stdout.0");
    let log = std::fs::read_to_string(log).unwrap();
    log.lines()
        .find_map(|line| line.strip_prefix("pid ")?.parse().ok())
        .unwrap()
}

#[test]
fn a_clock_moved_by_an_hour_loses_and_doubles_nothing() {
    let library = format!(
        "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1",
        std::env::consts::ARCH
    );
    if !available("libfaketime", std::path::Path::new(&library).exists()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    let set = |by: &str| {
        // In one step: half a file would be no time at all.
        let new = folder.path().join("new");
        std::fs::write(&new, by).unwrap();
        std::fs::rename(new, &offset).unwrap();
    };
    set("+0");
    let place = Place {
        wrap: [
            "env",
            &format!("LD_PRELOAD={library}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", offset.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Place::default()
    };
    let mut agent = Agent::start_at(place, "server {\n  heartbeat_ttl = \"5s\"\n}\n");
    let job = agent.job("counter.nomad", COUNTER);
    let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
    let alloc = agent.running("counter", 1);
    let submitted = |name: &str| {
        let job = agent_get(&agent, &format!("/v1/job/{name}"));
        job["SubmitTime"].as_i64().unwrap()
    };
    let first = submitted("counter");
    for (step, by) in ["+1h", "-1h", "+0"].into_iter().enumerate() {
        set(by);
        // A task that fails is started again after its delay, a new job is placed, and what runs is left alone.
        let name = format!("moved{step}");
        let moved = COUNTER
            .replace("\"counter\"", &format!("\"{name}\""))
            .replace(
                "task \"t\" {",
                "restart {\n      attempts = 5\n      delay = \"1s\"\n      interval = \"1h\"\n      mode = \"fail\"\n    }\n    task \"t\" {",
            )
            .replace("while true; do", "while [ $i -lt 20 ]; do")
            .replace("sleep 0.02; done", "sleep 0.02; done; exit 1");
        let file = agent.job("moved.nomad", &moved);
        let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
        eventually("its second start", || {
            let allocs = agent.get(&format!("/v1/job/{name}/allocations"))?;
            if allocs[0]["TaskStates"]["t"]["Restarts"].as_u64() >= Some(1) {
                Ok(())
            } else {
                Err(allocs.to_string())
            }
        });
        let hours = (submitted(&name) - first + 1_800_000_000_000).div_euclid(3_600_000_000_000);
        let expected = [1, -1, 0][step];
        assert_eq!(hours.clamp(-1, 1), expected, "the agent's clock is at {by}");
        let stop = ["job", "stop", "-purge", "-yes", "-detach", &name];
        let _ = agent.rove(&stop).ok();
        assert_eq!(agent.running("counter", 1), alloc, "at {by}");
        assert_eq!(agent.get("/v1/nodes").unwrap()[0]["Status"], "ready");
    }
    set("-1h");
    agent.end("KILL");
    agent.restart();
    assert_eq!(agent.running("counter", 1), alloc);
    let (numbers, pids) = logged(&agent, &alloc[0]);
    assert_eq!(pids.len(), 1, "one process all the time");
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

fn agent_get(agent: &Agent, path: &str) -> serde_json::Value {
    agent.get(path).unwrap()
}
