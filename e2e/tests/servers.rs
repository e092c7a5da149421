//! Three servers on one etcd, a store that goes away, nodes that go away.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use rove_e2e::{
    command::{eventually, rove, wait},
    dev::{Agent, Place},
    etcd::Etcd,
    netns::Host,
};

fn job(name: &str, count: usize) -> String {
    format!(
        r#"
job "{name}" {{
  group "g" {{
    count = {count}
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["600"]
      }}
      resources {{
        cpu    = 10
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

fn etcd_config(etcd: &Etcd) -> String {
    format!(
        "server {{\n  bootstrap_expect = 3\n  etcd {{\n    endpoints = [\"{}\"]\n  }}\n}}\n",
        etcd.endpoint()
    )
}

/// The index among `servers` of the one that leads.
fn leader(asked: &Agent, servers: &[Agent]) -> usize {
    eventually("a leader", || {
        let leader = asked.get("/v1/status/leader")?;
        let address = leader.as_str().unwrap_or_default().to_owned();
        servers
            .iter()
            .position(|server| address.ends_with(&format!(":{}", server.rpc)))
            .ok_or_else(|| leader.to_string())
    })
}

#[test]
fn a_killed_leader_costs_a_running_job_run_nothing() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let mut servers: Vec<Agent> = (0..3).map(|_| Agent::server(&etcd_config(&etcd))).collect();
    let ports: Vec<u16> = servers.iter().map(|server| server.rpc).collect();
    let client = Agent::client(&ports, "");
    eventually("a ready node", || {
        let nodes = client.get("/v1/nodes")?;
        if nodes[0]["Status"] == "ready" {
            Ok(())
        } else {
            Err(nodes.to_string())
        }
    });
    for round in 0..2 {
        let name = format!("crash{round}");
        let file = client.job("crash.nomad", &job(&name, 20));
        let mut monitor = Command::new(rove())
            .env("ROVE_ADDR", format!("http://127.0.0.1:{}", client.http))
            .args(["job", "run", &file])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the job's key", || {
            let listed = etcd
                .ctl(&["get", "--keys-only", &format!("/rove/jobs/default/{name}")])
                .stdout;
            if listed.contains(&name) {
                Ok(())
            } else {
                Err(listed)
            }
        });
        let leading = leader(&client, &servers);
        servers[leading].end("KILL");
        let running = client.running(&name, 20);
        assert_eq!(running.len(), 20);
        let ended = wait(&mut monitor);
        assert!(
            ended.is_some_and(|status| status.success()),
            "job run ended with {ended:?}"
        );
        let allocs = client.get(&format!("/v1/job/{name}/allocations")).unwrap();
        assert_eq!(allocs.as_array().unwrap().len(), 20, "none twice: {allocs}");
        servers[leading].restart();
    }
}

#[test]
fn etcd_may_go_away_for_half_a_minute() {
    let Some(mut etcd) = Etcd::start(&[]) else {
        return;
    };
    let agent =
        Agent::start(&etcd_config(&etcd).replace("bootstrap_expect = 3", "bootstrap_expect = 1"));
    let file = agent.job("before.nomad", &job("before", 3));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let mut before = agent.running("before", 3);
    etcd.kill();
    let refused = agent.rove(&[
        "job",
        "run",
        "-detach",
        &agent.job("during.nomad", &job("during", 1)),
    ]);
    assert_eq!(refused.code, 1, "{refused:?}");
    // The condition waited for is the time itself: longer than any lease lasts.
    std::thread::sleep(Duration::from_secs(30));
    etcd.restart();
    let file = agent.job("after.nomad", &job("after", 3));
    eventually("a job after the store came back", || {
        let run = agent.rove(&["job", "run", "-detach", &file]);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    let _ = agent.running("after", 3);
    let mut still = agent.running("before", 3);
    before.sort();
    still.sort();
    assert_eq!(before, still, "what ran goes on");
    let states = agent.get(&format!("/v1/allocation/{}", still[0])).unwrap();
    assert_eq!(states["TaskStates"]["t"]["Restarts"], 0);
}

#[test]
fn allocs_of_a_dead_node_are_replaced_and_it_comes_back() {
    let server = Agent::server("server {\n  heartbeat_ttl = \"5s\"\n}\n");
    let mut clients = [
        Agent::client(&[server.rpc], ""),
        Agent::client(&[server.rpc], ""),
    ];
    eventually("two ready nodes", || {
        let nodes = server.get("/v1/nodes")?;
        let ready = nodes
            .as_array()
            .into_iter()
            .flatten()
            .filter(|node| node["Status"] == "ready")
            .count();
        if ready == 2 {
            Ok(())
        } else {
            Err(nodes.to_string())
        }
    });
    let file = server.job("pair.nomad", &job("pair", 4));
    let _ = server.rove(&["job", "run", "-detach", &file]).ok();
    let _ = server.running("pair", 4);
    clients[0].end("KILL");
    eventually("four on the node that is left", || {
        let allocs = server.get("/v1/job/pair/allocations")?;
        let all = allocs.as_array().cloned().unwrap_or_default();
        let running = all
            .iter()
            .filter(|alloc| alloc["ClientStatus"] == "running" && alloc["DesiredStatus"] == "run");
        let lost = all
            .iter()
            .filter(|alloc| alloc["ClientStatus"] == "lost")
            .count();
        if running.count() == 4 && lost == 2 {
            Ok(())
        } else {
            Err(allocs.to_string())
        }
    });
    clients[0].restart();
    eventually("the node is back and runs nothing that was lost", || {
        let nodes = server.get("/v1/nodes")?;
        let ready = nodes
            .as_array()
            .into_iter()
            .flatten()
            .filter(|node| node["Status"] == "ready")
            .count();
        let allocs = server.get("/v1/job/pair/allocations")?;
        let live = allocs
            .as_array()
            .into_iter()
            .flatten()
            .filter(|alloc| alloc["ClientStatus"] == "running")
            .count();
        if ready == 2 && live == 4 {
            Ok(())
        } else {
            Err(format!("{nodes} {allocs}"))
        }
    });
}

/// How many processes on this machine have exactly this command line.
fn processes(words: &[&str]) -> usize {
    let wanted: String = words.iter().map(|word| format!("{word}\0")).collect();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| line == wanted.as_bytes())
        })
        .count()
}

#[test]
fn a_client_that_is_cut_off_keeps_its_tasks_and_ends_those_that_were_replaced_when_it_is_back() {
    let Some(host) = Host::up() else { return };
    let outside = Place {
        address: host.outside.clone(),
        wrap: Vec::new(),
    };
    let server = Agent::server_at(outside.clone(), "server {\n  heartbeat_ttl = \"5s\"\n}\n");
    let servers = [format!("{}:{}", server.address, server.rpc)];
    let far = Agent::client_at(host.place(), &servers, "");
    let near = Agent::client_at(outside, &servers, "");
    let state_of = |agent: &Agent| {
        let nodes = server.get("/v1/nodes")?;
        nodes
            .as_array()
            .into_iter()
            .flatten()
            .find(|node| node["Name"] == format!("host-{}", agent.http))
            .and_then(|node| node["Status"].as_str().map(str::to_owned))
            .ok_or_else(|| nodes.to_string())
    };
    let until = |agent: &Agent, wanted: &str| {
        eventually(wanted, || match state_of(agent)? {
            state if state == wanted => Ok(()),
            state => Err(state),
        });
    };
    until(&far, "ready");
    until(&near, "ready");
    // A time of its own tells its processes from all others.
    let seconds = format!("9{}", server.http);
    let words = ["/bin/sleep", &seconds];
    let file = server.job(
        "cut.nomad",
        &job("cut", 4).replace("\"600\"", &format!("{seconds:?}")),
    );
    let _ = server.rove(&["job", "run", "-detach", &file]).ok();
    let before = server.running("cut", 4);
    assert_eq!(processes(&words), 4);

    host.cut();
    until(&far, "down");
    let after = server.running("cut", 4);
    let replaced = after.iter().filter(|id| !before.contains(id)).count();
    assert_eq!(replaced, 2, "{before:?} {after:?}");
    assert_eq!(processes(&words), 6, "what is cut off goes on");

    host.mend();
    until(&far, "ready");
    eventually("the replaced to end", || match processes(&words) {
        4 => Ok(()),
        others => Err(others.to_string()),
    });
    let mut still = server.running("cut", 4);
    let mut after = after;
    still.sort();
    after.sort();
    assert_eq!(still, after, "and nothing else changes");
    let allocs = server.get("/v1/job/cut/allocations").unwrap();
    assert_eq!(allocs.as_array().unwrap().len(), 6, "{allocs}");
}

#[test]
fn a_client_without_a_server_says_so_and_goes_to_work_when_there_is_one() {
    let mut server = Agent::server("");
    server.end("KILL");
    let client = Agent::client(&[server.rpc], "");
    let refused = client.rove(&["job", "status"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.to_lowercase().contains("no server")
            || refused.stderr.contains("No cluster leader"),
        "{refused:?}"
    );
    eventually("its reason", || {
        let log = client.log();
        let port = format!("127.0.0.1:{}", server.rpc);
        if log.contains("[WARN]") && log.contains(&port) {
            Ok(())
        } else {
            Err(log)
        }
    });
    server.restart();
    let file = client.job("late.nomad", &job("late", 1));
    eventually("its node", || {
        let nodes = client.get("/v1/nodes")?;
        if nodes[0]["Status"] == "ready" {
            Ok(())
        } else {
            Err(nodes.to_string())
        }
    });
    let _ = client.rove(&["job", "run", "-detach", &file]).ok();
    let _ = client.running("late", 1);
}
