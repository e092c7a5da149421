//! Tasks outlive their agent, and nothing is lost when it or a server is killed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use rove_e2e::{command::eventually, dev::Agent};

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
    eventually("some lines", Duration::from_secs(20), || {
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
        eventually("more lines", Duration::from_secs(20), || {
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
    eventually("the end of the task", Duration::from_secs(30), || {
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
