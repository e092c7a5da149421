//! An etcd as operators run it: with TLS, users and an end to its growth; and what an agent's log keeps to itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{path::Path, process::Command};

use rove_e2e::{
    command::{eventually, run},
    dev::Agent,
    etcd::Etcd,
    tls::Certificates,
};

const PASSWORD: &str = "correct-horse-battery";

fn job(name: &str, meta: &str) -> String {
    format!(
        "job \"{name}\" {{\n  meta {{\n    m = \"{meta}\"\n  }}\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"raw_exec\"\n      env {{\n        PIN = \"the-pin-of-a-job\"\n      }}\n      config {{\n        command = \"/bin/sleep\"\n        args = [\"600\"]\n      }}\n      resources {{\n        cpu = 10\n        memory = 10\n      }}\n    }}\n  }}\n}}\n"
    )
}

fn config(etcd: &Etcd, ca: &Path, certificates: &Certificates, password: &str) -> String {
    format!(
        "log_level = \"TRACE\"\nserver {{\n  etcd {{\n    endpoints = [\"{}\"]\n    ca_file = \"{}\"\n    cert_file = \"{}\"\n    key_file = \"{}\"\n    username = \"rove\"\n    password = \"{password}\"\n  }}\n}}\n",
        etcd.endpoint(),
        ca.display(),
        certificates.path("client.pem").display(),
        certificates.path("client.key").display(),
    )
}

#[test]
fn an_etcd_with_tls_and_users_is_used_as_the_file_says_and_no_secret_is_logged() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(etcd) = Etcd::start_tls(&certificates) else {
        return;
    };
    let root = "root:root-password";
    for args in [
        &["user", "add", root][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "rove"],
        &[
            "role",
            "grant-permission",
            "rove",
            "--prefix=true",
            "readwrite",
            "/rove/",
        ],
        &["user", "add", &format!("rove:{PASSWORD}")],
        &["user", "grant-role", "rove", "rove"],
        &["auth", "enable"],
    ] {
        let _ = etcd.ctl(args).ok();
    }
    let ca = certificates.path("ca.pem");
    let server = Agent::server(&config(&etcd, &ca, &certificates, PASSWORD));
    let client = Agent::client(&[server.rpc], "log_level = \"TRACE\"\n");
    eventually("a ready node", || {
        let nodes = client.get("/v1/nodes")?;
        if nodes[0]["Status"] == "ready" {
            Ok(())
        } else {
            Err(nodes.to_string())
        }
    });
    let file = client.job("tls.nomad", &job("tls", "x"));
    let _ = client.rove(&["job", "run", "-detach", &file]).ok();
    let _ = client.running("tls", 1);
    let stored = etcd
        .ctl(&["--user", root, "get", "--prefix", "/rove/"])
        .ok();
    assert!(stored.contains("/rove/jobs/default/tls"), "{stored}");

    let secret = std::fs::read_to_string(client.data().join("client/secret-id")).unwrap();
    assert!(!stored.contains(secret.trim()), "only its hash is stored");
    for log in [server.log(), client.log()] {
        assert!(log.contains("[DEBUG]"), "it is a talkative log");
        for word in [secret.trim(), PASSWORD, "the-pin-of-a-job", "PRIVATE KEY"] {
            let line = log.lines().find(|line| line.contains(word));
            assert_eq!(line, None, "{word} is logged");
        }
    }

    for (what, ca, password, reason) in [
        (
            "another authority",
            certificates.path("other-ca.pem"),
            PASSWORD,
            "certificate",
        ),
        ("a wrong password", ca, "guess", "authentication failed"),
    ] {
        let agent = Agent::server(&config(&etcd, &ca, &certificates, password));
        eventually(what, || {
            let log = agent.log();
            let told = log
                .lines()
                .any(|line| line.contains("[WARN]") && line.contains(reason));
            if told { Ok(()) } else { Err(log) }
        });
        let refused = agent.rove(&["job", "run", "-detach", &file]);
        assert_eq!(refused.code, 1, "{what}: {refused:?}");
        assert!(!agent.log().contains(password), "{what}");
    }
}

#[test]
fn rove_compacts_etcd_so_that_it_does_not_grow_without_bound() {
    let Some(etcd) = Etcd::start(&[]) else { return };
    let agent = Agent::start(&format!(
        "server {{\n  compaction_retention = \"1s\"\n  etcd {{\n    endpoints = [\"{}\"]\n  }}\n}}\n",
        etcd.endpoint()
    ));
    let filler = agent.folder.path().join("filler");
    std::fs::write(&filler, vec![b'x'; 1_000_000]).unwrap();
    let fill = format!(
        "for i in 1 2 3 4 5 6 7 8; do ETCDCTL_API=3 etcdctl --endpoints {} put filler < {} || exit 1; done",
        etcd.endpoint(),
        filler.display()
    );
    // Forty megabytes pass through: what is not compacted away is kept.
    for round in 0..5 {
        let now = etcd.ctl(&["get", "filler", "-w", "json"]).ok();
        let now: serde_json::Value = serde_json::from_str(&now).unwrap();
        let revision = now["header"]["revision"].to_string();
        let _ = run(Command::new("sh").args(["-c", &fill])).ok();
        let file = agent.job("churn.nomad", &job("churn", &format!("round {round}")));
        let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
        eventually("compaction", || {
            let past = etcd.ctl(&["get", "filler", "--keys-only", "--rev", &revision]);
            if past.stderr.contains("compacted") {
                Ok(())
            } else {
                Err(format!("{past:?}"))
            }
        });
    }
    let _ = agent.running("churn", 1);
    let status = etcd.ctl(&["endpoint", "status", "-w", "json"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let size = status[0]["Status"]["dbSize"].as_u64().unwrap();
    assert!(size < 32_000_000, "{size} bytes after 40 MB of writes");
}
