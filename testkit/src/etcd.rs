//! A real etcd of one member, for tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::free_port;

/// A process of etcd; killed when dropped.
#[derive(Debug)]
pub struct Etcd {
    child: Option<Child>,
    data: PathBuf,
    port: u16,
    peer: u16,
    arguments: Vec<String>,
}

impl Etcd {
    /// Starts one whose data lies in `data`, with more arguments; it answers a moment later.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut etcd = Self {
            child: None,
            data: data.to_owned(),
            port: free_port(),
            peer: free_port(),
            arguments: Vec::new(),
        };
        etcd.arguments(arguments);
        etcd.run();
        etcd
    }

    /// More arguments for the next run.
    pub fn arguments(&mut self, more: &[&str]) {
        self.arguments
            .extend(more.iter().map(|&text| text.to_owned()));
    }

    /// Starts it again on its data.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run(&mut self) {
        let client = format!("http://127.0.0.1:{}", self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(&self.data)
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd can be started");
        self.child = Some(child);
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it answers.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it, and waits for its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}
