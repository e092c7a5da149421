//! A store that is full, that was restored, or whose disk is full: said clearly, nothing lost, and it goes on after.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{process::Command, time::Duration};

use rove_e2e::{
    command::{available, eventually, run},
    dev::Agent,
    etcd::Etcd,
};

fn job(name: &str) -> String {
    format!(
        "job \"{name}\" {{\n  group \"g\" {{\n    ephemeral_disk {{\n      size = 10\n    }}\n    task \"t\" {{\n      logs {{\n        max_files = 1\n        max_file_size = 1\n      }}\n      driver = \"raw_exec\"\n      config {{\n        command = \"/bin/sleep\"\n        args = [\"600\"]\n      }}\n      resources {{\n        cpu = 10\n        memory = 10\n      }}\n    }}\n  }}\n}}\n"
    )
}

fn on(etcd: &Etcd) -> String {
    format!(
        "server {{\n  etcd {{\n    endpoints = [\"{}\"]\n  }}\n}}\n",
        etcd.endpoint()
    )
}

fn accepted_again(agent: &Agent, name: &str) {
    let file = agent.job("again.nomad", &job(name));
    eventually("a job is accepted again", Duration::from_secs(90), || {
        let output = agent.rove(&["job", "run", "-detach", &file]);
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    });
    let _ = agent.running(name, 1);
}

#[test]
fn an_etcd_near_its_quota_refuses_new_jobs_with_the_reason_until_there_is_room() {
    let Some(etcd) = Etcd::start(&["--quota-backend-bytes", "33554432"]) else {
        return;
    };
    let agent = Agent::start(&on(&etcd));
    let file = agent.job("first.nomad", &job("first"));
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let before = agent.running("first", 1);
    let filler = agent.folder.path().join("filler");
    std::fs::write(&filler, vec![b'x'; 1_000_000]).unwrap();
    let fill = format!(
        "ETCDCTL_API=3 etcdctl --endpoints {} put filler < {}",
        etcd.endpoint(),
        filler.display()
    );
    eventually("a refusal", Duration::from_secs(60), || {
        let _ = run(Command::new("sh").args(["-c", &fill]));
        let refused = agent.rove(&[
            "job",
            "run",
            "-detach",
            &agent.job("more.nomad", &job("more")),
        ]);
        let told = refused.code == 1 && refused.stderr.to_lowercase().contains("space");
        if told {
            Ok(())
        } else {
            Err(format!("{refused:?}"))
        }
    });
    assert_eq!(agent.running("first", 1), before);
    let revision = etcd.ctl(&["get", "filler", "-w", "json"]).ok();
    let revision: serde_json::Value = serde_json::from_str(&revision).unwrap();
    let _ = etcd.ctl(&["del", "filler"]).ok();
    let _ = etcd.ctl(&["compaction", &revision["header"]["revision"].to_string()]);
    let _ = etcd.ctl(&["defrag"]).ok();
    let _ = etcd.ctl(&["alarm", "disarm"]).ok();
    accepted_again(&agent, "after");
    assert_eq!(agent.running("first", 1), before);
}

#[test]
fn an_etcd_restored_from_an_older_snapshot_is_noticed() {
    let Some(mut etcd) = Etcd::start(&[]) else {
        return;
    };
    let agent = Agent::start(&on(&etcd));
    let _ = agent
        .rove(&[
            "job",
            "run",
            "-detach",
            &agent.job("old.nomad", &job("old")),
        ])
        .ok();
    let before = agent.running("old", 1);
    let snapshot = agent.folder.path().join("snapshot.db");
    etcd.snapshot(&snapshot);
    let _ = agent
        .rove(&[
            "job",
            "run",
            "-detach",
            &agent.job("forgotten.nomad", &job("forgotten")),
        ])
        .ok();
    let _ = agent.running("forgotten", 1);
    etcd.kill();
    etcd.restore(&snapshot);
    etcd.restart();
    eventually(
        "the job that the snapshot does not hold is gone",
        Duration::from_secs(60),
        || {
            let jobs = agent.get("/v1/jobs")?;
            let ids: Vec<_> = jobs
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|job| job["ID"].as_str())
                .collect();
            if ids == ["old"] {
                Ok(())
            } else {
                Err(jobs.to_string())
            }
        },
    );
    accepted_again(&agent, "after");
    assert_eq!(agent.running("old", 1), before);
}

#[test]
fn a_full_disk_under_the_embedded_store_refuses_writes_and_loses_nothing() {
    let root = run(Command::new("id").arg("-u")).stdout.trim() == "0";
    if !available("root", root) {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let mount = run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
        .arg(disk.path()));
    if !available("a mount", mount.code == 0) {
        return;
    }
    let unmount = Unmount(disk);
    let mut agent = Agent::start(&format!(
        "data_dir = \"{}\"\n",
        unmount.0.path().join("data").display()
    ));
    let _ = agent
        .rove(&[
            "job",
            "run",
            "-detach",
            &agent.job("kept.nomad", &job("kept")),
        ])
        .ok();
    let before = agent.running("kept", 1);
    let filler = unmount.0.path().join("filler");
    let _ = run(Command::new("dd").args([
        "if=/dev/zero",
        "bs=64k",
        &format!("of={}", filler.display()),
    ]));
    let mut accepted = Vec::new();
    eventually("a refusal", Duration::from_secs(60), || {
        let name = format!("try{}", accepted.len());
        let output = agent.rove(&[
            "job",
            "run",
            "-detach",
            &agent.job("try.nomad", &job(&name)),
        ]);
        if output.code == 0 {
            accepted.push(name);
            return Err("accepted".to_owned());
        }
        Ok(())
    });
    std::fs::remove_file(&filler).unwrap();
    accepted_again(&agent, "after");
    agent.end("KILL");
    agent.restart();
    assert_eq!(agent.running("kept", 1), before);
    for name in ["after".to_owned()].iter().chain(&accepted) {
        let _ = agent.running(name, 1);
    }
    drop(agent);
    drop(unmount);
}

struct Unmount(tempfile::TempDir);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}
