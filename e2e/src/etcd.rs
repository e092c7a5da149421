//! A real etcd as a process of its own.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use rove_testkit::free_port;
use tempfile::TempDir;

use crate::{
    command::{Output, available, eventually, run},
    tls::Certificates,
};

/// A running etcd, ended when dropped.
pub struct Etcd {
    child: Child,
    port: u16,
    peer_port: u16,
    data: TempDir,
    extra: Vec<String>,
    /// Flags that let `etcdctl` in; with some, etcd wants TLS.
    entry: Vec<String>,
}

impl Etcd {
    /// Starts one on loopback with further flags; `None` where none is installed.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(extra: &[&str]) -> Option<Self> {
        Self::start_with(extra, Vec::new())
    }

    /// Starts one that wants TLS and a client's certificate.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_tls(certificates: &Certificates) -> Option<Self> {
        let path = |name: &str| certificates.path(name).display().to_string();
        let entry = [
            ("--cacert", "ca.pem"),
            ("--cert", "client.pem"),
            ("--key", "client.key"),
        ];
        Self::start_with(
            &[
                "--cert-file",
                &path("server.pem"),
                "--key-file",
                &path("server.key"),
                "--trusted-ca-file",
                &path("ca.pem"),
                "--client-cert-auth",
            ],
            entry
                .into_iter()
                .flat_map(|(flag, name)| [flag.to_owned(), path(name)])
                .collect(),
        )
    }

    fn start_with(extra: &[&str], entry: Vec<String>) -> Option<Self> {
        if !available("etcd", Path::new("/usr/bin/etcd").exists()) {
            return None;
        }
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let (port, peer_port) = (free_port(), free_port());
        let extra: Vec<String> = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let child = spawn(scheme(&entry), port, peer_port, data.path(), &extra);
        let etcd = Self {
            child,
            port,
            peer_port,
            data,
            extra,
            entry,
        };
        etcd.ready();
        Some(etcd)
    }

    fn ready(&self) {
        eventually("etcd", || {
            let health = self.ctl(&["endpoint", "health"]);
            if health.code == 0 {
                Ok(())
            } else {
                Err(health.stderr)
            }
        });
    }

    /// `http://host:port`, or `https://…`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", scheme(&self.entry), self.port)
    }

    /// Runs `etcdctl` against it.
    pub fn ctl(&self, args: &[&str]) -> Output {
        let entry: Vec<&str> = self.entry.iter().map(String::as_str).collect();
        etcdctl(&self.endpoint(), &[&entry, args].concat())
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder its data is in.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Ends it with SIGKILL; its data stays.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Saves a snapshot of it as `file`.
    ///
    /// # Panics
    /// When etcd refuses.
    pub fn snapshot(&self, file: &Path) {
        let _ = self
            .ctl(&["snapshot", "save", &file.display().to_string()])
            .ok();
    }

    /// Puts it, ended, back to a snapshot; start it again with [`Etcd::restart`].
    ///
    /// # Panics
    /// When the snapshot can't be read.
    pub fn restore(&mut self, file: &Path) {
        let data = self.data.path().join("etcd");
        std::fs::remove_dir_all(&data).expect("etcd has left its data");
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let _ = run(Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .arg(file)
            .arg("--data-dir")
            .arg(&data)
            .args([
                "--initial-cluster",
                &format!("default={peer}"),
                "--initial-advertise-peer-urls",
                &peer,
            ]))
        .ok();
    }

    /// Starts it again on its data.
    pub fn restart(&mut self) {
        self.child = spawn(
            scheme(&self.entry),
            self.port,
            self.peer_port,
            self.data.path(),
            &self.extra,
        );
        self.ready();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `etcdctl` against an endpoint.
pub fn etcdctl(endpoint: &str, args: &[&str]) -> Output {
    run(Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .arg("--endpoints")
        .arg(endpoint)
        .args(args))
}

fn scheme(entry: &[String]) -> &'static str {
    if entry.is_empty() { "http" } else { "https" }
}

fn spawn(scheme: &str, port: u16, peer_port: u16, data: &Path, extra: &[String]) -> Child {
    let client = format!("{scheme}://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    Command::new("etcd")
        .arg("--data-dir")
        .arg(data.join("etcd"))
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args([
            "--initial-cluster",
            &format!("default={peer}"),
            "--log-level",
            "error",
        ])
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd can be started")
}
