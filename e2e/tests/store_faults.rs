//! A store that is full, that was restored, or whose disk is full: said clearly, nothing lost, and it goes on after.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

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
    eventually("a job is accepted again", || {
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
fn an_etcd_near_and_out_of_its_quota_refuses_with_the_reason_until_there_is_room() {
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
    eventually("a refusal", || {
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

    // Past what rove leaves free: etcd itself is out of space now, and takes no write of anyone.
    eventually("the alarm", || {
        let _ = run(Command::new("sh").args(["-c", &fill]));
        let alarms = etcd.ctl(&["alarm", "list"]).stdout;
        if alarms.contains("NOSPACE") {
            Ok(())
        } else {
            Err(alarms)
        }
    });
    for args in [
        &["job", "run", "-detach", &file][..],
        &["job", "stop", "-detach", "-yes", "first"],
    ] {
        let refused = agent.rove(args);
        assert_eq!(refused.code, 1, "{args:?}: {refused:?}");
        assert!(
            refused.stderr.to_lowercase().contains("space") || refused.stderr.contains("quota"),
            "{args:?}: {refused:?}"
        );
    }
    // Meanwhile the task ends and is started again, which can't be told yet.
    let task = agent.pids_of(&before[0]).remove(0);
    let _ = run(Command::new("kill").args(["-KILL", &task.to_string()])).ok();
    eventually("the next process", || {
        match agent.pids_of(&before[0]).as_slice() {
            [next] if *next != task => Ok(()),
            others => Err(format!("{others:?}")),
        }
    });
    assert_eq!(agent.get("/v1/nodes").unwrap()[0]["Status"], "ready");

    let revision = etcd.ctl(&["get", "filler", "-w", "json"]).ok();
    let revision: serde_json::Value = serde_json::from_str(&revision).unwrap();
    let _ = etcd.ctl(&["del", "filler"]).ok();
    let _ = etcd.ctl(&["compaction", &revision["header"]["revision"].to_string()]);
    let _ = etcd.ctl(&["defrag"]).ok();
    let _ = etcd.ctl(&["alarm", "disarm"]).ok();
    accepted_again(&agent, "after");
    assert_eq!(agent.running("first", 1), before);
    eventually("the restart is told", || {
        let alloc = agent.get(&format!("/v1/allocation/{}", before[0]))?;
        if alloc["TaskStates"]["t"]["Restarts"] == 1 {
            Ok(())
        } else {
            Err(alloc["TaskStates"].to_string())
        }
    });
    assert_eq!(agent.pids_of(&before[0]).len(), 1);
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
    let forgotten = agent.running("forgotten", 1);
    etcd.kill();
    etcd.restore(&snapshot);
    etcd.restart();
    eventually("the job that the snapshot does not hold is gone", || {
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
    });
    accepted_again(&agent, "after");
    assert_eq!(agent.running("old", 1), before);
    assert_eq!(agent.pids_of(&before[0]).len(), 1);
    assert!(
        agent.log().contains("the store was restored from a copy"),
        "the operator is told"
    );
    // Once the store has come as far as it was before, what it does not know of is no longer wanted.
    eventually("the end of the forgotten", || {
        match agent.pids_of(&forgotten[0]).as_slice() {
            [] => Ok(()),
            pids => Err(format!("{pids:?}")),
        }
    });
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
    // It counts what it said where there is room.
    let counter = tempfile::NamedTempFile::new().unwrap();
    let talk = format!(
        "i=0; while true; do echo line $i and a few words that take some room; i=$((i+1)); echo $i > {}; sleep 0.01; done",
        counter.path().display()
    );
    let talks = job("talks")
        .replace("\"/bin/sleep\"", "\"/bin/sh\"")
        .replace("[\"600\"]", &format!("[\"-c\", {talk:?}]"));
    let _ = agent
        .rove(&["job", "run", "-detach", &agent.job("talks.nomad", &talks)])
        .ok();
    let talking = agent.running("talks", 1);
    let filler = unmount.0.path().join("filler");
    for size in ["64k", "1k"] {
        let _ = run(Command::new("dd")
            .args(["if=/dev/zero", "oflag=append", "conv=notrunc"])
            .args([format!("bs={size}"), format!("of={}", filler.display())]));
    }
    let mut accepted = Vec::new();
    eventually("a refusal", || {
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
    let logged = || {
        let folder = unmount.0.path().join("data/alloc").join(&talking[0]);
        std::fs::read_to_string(folder.join("alloc/logs/t.stdout.0")).unwrap()
    };
    // The task goes on though its lines find no room.
    let said = || -> u64 {
        let text = std::fs::read_to_string(counter.path()).unwrap();
        text.trim().parse().unwrap_or_default()
    };
    let mut since = (logged().len(), said());
    eventually("the log to stand still", || {
        let now = (logged().len(), said());
        if now.0 != since.0 {
            since = now;
        }
        // So many lines fill every buffer on the way: some were lost.
        if now.1 >= since.1 + 200 {
            Ok(())
        } else {
            Err(format!("{now:?} since {since:?}"))
        }
    });
    std::fs::remove_file(&filler).unwrap();
    eventually("its next lines", || {
        let log = logged();
        match log.split_once("bytes of output were lost\n") {
            Some((_, after)) if after.contains("line ") => Ok(()),
            _ => Err(log.chars().rev().take(200).collect()),
        }
    });
    accepted_again(&agent, "after");
    agent.end("KILL");
    agent.restart();
    assert_eq!(agent.running("kept", 1), before);
    assert_eq!(agent.running("talks", 1), talking);
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
