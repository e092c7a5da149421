//! Anyone may watch rove at work with etcdctl: on a real etcd and, through port 4647, on the embedded store.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Stdio};

use rove_e2e::{
    command::{available, eventually},
    dev::Agent,
    etcd::{Etcd, etcdctl},
};

const SLEEP: &str = r#"
job "sleep" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["600"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
"#;

fn etcdctl_is_there() -> bool {
    available("etcdctl", std::path::Path::new("/usr/bin/etcdctl").exists())
}

fn keys_pass_by(agent: &Agent, endpoint: &str) {
    let seen = agent.folder.path().join("watch.txt");
    // From now on, so that nothing is missed while etcdctl starts.
    let now = etcdctl(endpoint, &["get", "/rove/jobs/", "-w", "json"]).ok();
    let now: serde_json::Value = serde_json::from_str(&now).unwrap();
    let revision = (now["header"]["revision"].as_u64().unwrap() + 1).to_string();
    let mut watch = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args([
            "--endpoints",
            endpoint,
            "watch",
            "--prefix",
            "/rove/",
            "--rev",
            &revision,
        ])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&seen).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let job = agent.job("sleep.nomad", SLEEP);
    let _ = agent.rove(&["job", "run", "-detach", &job]).ok();
    let order = [
        "/rove/jobs/default/sleep",
        "/rove/evals/",
        "/rove/plans/",
        "/rove/allocs/",
        "/rove/alloc-status/",
    ];
    eventually("the keys of a job's way", || {
        let text = std::fs::read_to_string(&seen).unwrap_or_default();
        let mut rest = text.lines().filter(|line| line.starts_with("/rove/"));
        for wanted in order {
            if !rest.any(|line| line.starts_with(wanted)) {
                return Err(format!("{wanted} did not pass in:\n{text}"));
            }
        }
        Ok(())
    });
    watch.kill().unwrap();
    let _ = watch.wait();
}

#[test]
fn the_embedded_store_is_watched_through_port_4647() {
    if !etcdctl_is_there() {
        return;
    }
    let agent = Agent::start("");
    keys_pass_by(&agent, &format!("127.0.0.1:{}", agent.rpc));
}

#[test]
fn a_real_etcd_is_watched_itself() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let agent = Agent::start(&format!(
        "server {{\n  etcd {{\n    endpoints = [\"{}\"]\n  }}\n}}\n",
        etcd.endpoint()
    ));
    keys_pass_by(&agent, &etcd.endpoint());
    keys_pass_by_front_end_too(&agent);
}

fn keys_pass_by_front_end_too(agent: &Agent) {
    let listed = etcdctl(
        &format!("127.0.0.1:{}", agent.rpc),
        &["get", "--prefix", "--keys-only", "/rove/jobs/"],
    )
    .ok();
    assert!(listed.contains("/rove/jobs/default/sleep"), "{listed}");
}

#[test]
fn people_only_read_at_port_4647_and_see_no_secret() {
    if !etcdctl_is_there() {
        return;
    }
    let agent = Agent::start("");
    let endpoint = format!("127.0.0.1:{}", agent.rpc);
    let ctl = |args: &[&str]| etcdctl(&endpoint, args);
    for write in [
        &["put", "/rove/jobs/default/x", "{}"][..],
        &["put", "elsewhere", "x"],
        &["del", "--prefix", "/rove/"],
        &["lease", "grant", "60"],
        &["compaction", "5"],
    ] {
        let refused = ctl(write);
        assert!(
            refused.code != 0 && refused.stderr.contains("permission denied"),
            "{write:?}: {refused:?}"
        );
    }
    let all = ctl(&["get", "--prefix", "--keys-only", "/rove/"]).ok();
    assert!(all.contains("/rove/nodes/"), "{all}");
    for secret in ["/rove/node-secret/", "/rove/variables/", "/rove/acl/"] {
        assert!(!all.contains(secret), "{all}");
        assert_eq!(ctl(&["get", "--prefix", secret]).stdout, "");
    }
    let node = all
        .lines()
        .find_map(|key| key.strip_prefix("/rove/nodes/"))
        .unwrap()
        .to_owned();
    let wrong = ctl(&[
        "--user",
        &format!("{node}:not-the-secret"),
        "put",
        &format!("/rove/nodes/{node}"),
        "{}",
    ]);
    assert_ne!(wrong.code, 0, "{wrong:?}");
}
