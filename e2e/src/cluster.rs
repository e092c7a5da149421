//! Hosts made by `scripts/cluster`, removed when dropped.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::command::{Output, available, eventually, rove, run, workspace};

/// A running set of hosts.
pub struct Cluster {
    name: String,
    state: PathBuf,
    binary: PathBuf,
    /// What the hosts see as `/vagrant`.
    pub files: TempDir,
    agents: Vec<Child>,
}

impl Cluster {
    /// Makes the hosts of the `cluster.yaml` in `files`; `None` where this machine can't.
    ///
    /// # Panics
    /// When the script fails.
    #[must_use]
    pub fn up(name: &str, files: TempDir) -> Option<Self> {
        let root = nix_is_root();
        let engine =
            Path::new("/usr/sbin/dockerd").exists() || Path::new("/usr/bin/dockerd").exists();
        if !available("root", root) || !available("a docker engine", engine) {
            return None;
        }
        // Not under /tmp: the hosts have one of their own.
        let state = PathBuf::from(format!("/var/tmp/rove-e2e-{name}-{}", std::process::id()));
        let image = workspace().join("scripts/images/redis.sh");
        std::fs::copy(image, files.path().join("redis.sh"))
            .expect("the cluster's files can be written");
        let cluster = Self {
            name: format!("rv{name}"),
            state,
            binary: rove(),
            files,
            agents: Vec::new(),
        };
        let folder = cluster.files.path().to_owned();
        let _ = run(cluster.script().arg("up").arg(&folder)).ok();
        Some(cluster)
    }

    fn script(&self) -> Command {
        let mut command = Command::new(workspace().join("scripts/cluster"));
        command
            .env("ROVE_CLUSTER_STATE", &self.state)
            .env("ROVE_CLUSTER_NAME", &self.name)
            .env("ROVE_BIN", &self.binary);
        command
    }

    /// Runs a command line of a shell on `host`.
    pub fn sh(&self, host: &str, line: &str) -> Output {
        run(self.script().args(["exec", host, "sh", "-c", line]))
    }

    /// Starts `nomad agent` with the given configuration files on `host`, its output in `/tmp/nomad.log` there, and
    /// waits until it says that it runs. Gives its pid.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_agent(&mut self, host: &str, configs: &[&str]) -> u32 {
        let flags: Vec<String> = configs
            .iter()
            .map(|config| format!("-config {config}"))
            .collect();
        let line = format!(
            "cd /tmp && echo $$ > agent.pid && exec nomad agent {} > nomad.log 2>&1",
            flags.join(" ")
        );
        let child = self
            .script()
            .args(["exec", host, "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the cluster script is there");
        self.agents.push(child);
        eventually(&format!("the agent on {host}"), || {
            let log = self.sh(host, "cat /tmp/nomad.log");
            if log.stdout.contains("agent started!") {
                Ok(())
            } else {
                Err(log.stdout)
            }
        });
        self.agent_pid(host)
    }

    /// The pid of the agent on `host`.
    ///
    /// # Panics
    /// When none was started.
    #[must_use]
    pub fn agent_pid(&self, host: &str) -> u32 {
        self.sh(host, "cat /tmp/agent.pid")
            .ok()
            .trim()
            .parse()
            .expect("a pid was recorded")
    }

    /// Sends `signal` to the agent on `host` and waits until it is gone.
    pub fn kill_agent(&self, host: &str, signal: &str) {
        let pid = self.agent_pid(host);
        let _ = self.sh(host, &format!("kill -{signal} {pid}"));
        eventually(&format!("the end of the agent on {host}"), || {
            if Path::new(&format!("/proc/{pid}")).exists() {
                Err(format!("pid {pid} lives"))
            } else {
                Ok(())
            }
        });
    }

    /// Makes the `redis:3.2` image in the engine of `host`.
    pub fn load_redis(&self, host: &str) {
        let _ = self
            .sh(
                host,
                "DOCKER_HOST=unix:///run/docker.sock /vagrant/redis.sh",
            )
            .ok();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for host in ["server-one", "nomad-server", "client-one", "client-two"] {
                let log = Command::new(workspace().join("scripts/cluster"))
                    .env("ROVE_CLUSTER_STATE", &self.state)
                    .env("ROVE_CLUSTER_NAME", &self.name)
                    .args(["exec", host, "tail", "-n", "60", "/tmp/nomad.log"])
                    .output();
                if let Ok(log) = log {
                    eprintln!(
                        "--- the agent's log on {host}:\n{}",
                        String::from_utf8_lossy(&log.stdout)
                    );
                }
            }
        }
        let networks = self.networks();
        let down = run(self.script().arg("down"));
        for agent in &mut self.agents {
            let _ = agent.wait();
        }
        if !std::thread::panicking() {
            assert!(down.code == 0 && !networks.is_empty(), "{down:?}");
            eventually("nothing is left behind", || {
                let left = self.left_behind(&networks);
                if left.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{left:#?}"))
                }
            });
        }
    }
}

/// A network namespace, as `/proc/PID/ns/net` and a file below `/run/netns` tell it.
type Network = (u64, u64);

fn network(file: &Path) -> Option<Network> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

impl Cluster {
    /// The network namespaces of the hosts and their switch, while they are there.
    fn networks(&self) -> Vec<(String, Network)> {
        let mut names = names_in("/run/netns");
        names.retain(|name| name.starts_with(&format!("{}-", self.name)));
        let found = names.into_iter().filter_map(|name| {
            let id = network(&Path::new("/run/netns").join(&name))?;
            Some((name, id))
        });
        found.collect()
    }

    /// What is still there after `down`, in words.
    fn left_behind(&self, networks: &[(String, Network)]) -> Vec<String> {
        let mut left = Vec::new();
        for (name, _) in self.networks() {
            left.push(format!("the network namespace {name}"));
        }
        if self.state.exists() {
            left.push(format!("the folder {}", self.state.display()));
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in mounts.lines() {
            if mount.contains(&*self.state.to_string_lossy()) {
                left.push(format!("the mount {mount}"));
            }
        }
        for pid in names_in("/proc") {
            let Some(id) = network(&Path::new("/proc").join(&pid).join("ns/net")) else {
                continue;
            };
            if let Some((name, _)) = networks.iter().find(|(_, other)| *other == id) {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                left.push(format!("process {pid} in {name}: {line}"));
            }
        }
        left
    }
}

fn nix_is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}
