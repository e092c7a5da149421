//! A docker engine of a test's own, which may be away, killed and started again.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::command::{Output, available, run, workspace};

/// The engine; ended when dropped. It has a network of its own: two engines in one would fight over it.
#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
}

impl Engine {
    /// One that is not started yet; `None` where none can be.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn prepared() -> Option<Self> {
        let there =
            Path::new("/usr/sbin/dockerd").exists() || Path::new("/usr/bin/dockerd").exists();
        let root = run(Command::new("id").arg("-u")).stdout.trim() == "0";
        if !available("root", root) || !available("a docker engine", there) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Some(Self { folder })
    }

    /// `unix://…`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }

    /// What an agent's file says of it.
    #[must_use]
    pub fn config(&self) -> String {
        format!(
            "plugin \"docker\" {{\n  config {{\n    endpoint = \"{}\"\n  }}\n}}\n",
            self.endpoint()
        )
    }

    fn script(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args([
                "--net",
                "--",
                "sh",
                "-c",
                "ip link set lo up; exec \"$@\"",
                "sh",
            ])
            .arg(workspace().join("scripts").join(script))
            .env("DOCKER_HOST", self.endpoint());
        command
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self) {
        let mut start = self.script("docker-engine");
        let _ = run(start.arg("start").arg(self.folder.path())).ok();
    }

    /// Makes the image `redis:3.2` in it.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn load_redis(&self) {
        let _ = run(&mut self.script("images/redis.sh")).ok();
    }

    /// Kills the engine, not what it runs, and waits for its end.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("docker.pid"))
            .expect("the engine recorded its pid");
        let _ = run(Command::new("kill").args(["-KILL", pid.trim()])).ok();
        crate::command::eventually("the engine's end", || {
            if Path::new("/proc").join(pid.trim()).exists() {
                Err(format!("{pid} lives"))
            } else {
                Ok(())
            }
        });
    }

    /// Runs docker's own command line.
    pub fn docker(&self, args: &[&str]) -> Output {
        run(Command::new("docker")
            .env("DOCKER_HOST", self.endpoint())
            .args(args))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = run(self
            .script("docker-engine")
            .arg("stop")
            .arg(self.folder.path()));
    }
}
