//! What tests against real parts share: an etcd process, a served front end, `etcdctl`.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rove_store::etcd::{EtcdConfig, EtcdStore};
use rove_store::frontend::{FrontendConfig, serve};
use rove_store::keys::Keys;
use rove_store::store::Store;
pub use rove_testkit::{PATIENCE, program as is_there};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A process of etcd in a folder of its own; both are gone when it is dropped.
pub struct Etcd {
    process: rove_testkit::etcd::Etcd,
    dir: TempDir,
}

impl Etcd {
    pub async fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = rove_testkit::etcd::Etcd::start(&dir.path().join("data"), arguments);
        let etcd = Self { process, dir };
        etcd.wait().await;
        etcd
    }

    pub fn run(&mut self) {
        self.process.run();
    }

    pub async fn wait(&self) {
        eventually("etcd answers", async || {
            self.store().status().await.is_ok().then_some(())
        })
        .await;
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// More arguments for the next run.
    pub fn arguments(&mut self, more: &[&str]) {
        self.process.arguments(more);
    }

    /// Removes everything it stored.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.dir.path().join("data")).unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.process.pid().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn endpoint(&self) -> String {
        self.process.endpoint()
    }

    pub fn store(&self) -> EtcdStore {
        EtcdStore::new(EtcdConfig::new(vec![self.endpoint()])).unwrap()
    }
}

/// A front end that is served until it is dropped.
pub struct Served {
    pub endpoint: String,
    cancel: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Served {
    pub async fn start(store: Arc<dyn Store>, config: FrontendConfig) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let cancel = cancel.clone();
            async move { serve(listener, store, config, cancel).await.unwrap() }
        });
        Self {
            endpoint,
            cancel,
            task: Some(task),
        }
    }

    pub async fn open(store: Arc<dyn Store>) -> Self {
        let mut config = FrontendConfig::new(Keys::default());
        config.open = true;
        Self::start(store, config).await
    }

    pub fn store(&self) -> EtcdStore {
        EtcdStore::new(EtcdConfig::new(vec![self.endpoint.clone()])).unwrap()
    }

    pub fn store_of(&self, user: &str, password: &str) -> EtcdStore {
        let mut config = EtcdConfig::new(vec![self.endpoint.clone()]);
        config.user = Some((user.to_owned(), password.to_owned()));
        EtcdStore::new(config).unwrap()
    }

    pub async fn stop(mut self) {
        self.cancel.cancel();
        self.task.take().unwrap().await.unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Runs etcdctl to its end.
pub async fn etcdctl(endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoint, "--command-timeout", "60s"])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("etcdctl ends")
        .unwrap()
}

pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stands between a client and a server of HTTP/2. Muted, it keeps back what the server has to say, but not its signs
/// of life: as a server does that hangs behind a connection that is alive.
pub struct Mute {
    pub endpoint: String,
    muted: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Mute {
    pub async fn before(server: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let muted = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let (muted, server) = (Arc::clone(&muted), server.to_owned());
            let accepted = Arc::clone(&accepted);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let server = tokio::net::TcpStream::connect(&server).await.unwrap();
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    connections.spawn(async move {
                        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                    });
                    connections.spawn(Self::frames(from_server, to_client, Arc::clone(&muted)));
                }
            }
        });
        Self {
            endpoint,
            muted,
            accepted,
            task,
        }
    }

    /// How many connections came.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn set(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    async fn frames(
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        muted: Arc<AtomicBool>,
    ) {
        const HEAD: usize = 9;
        const DATA: u8 = 0;
        loop {
            let mut frame = vec![0; HEAD];
            if from.read_exact(&mut frame).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
            frame.resize(HEAD + length as usize, 0);
            if from.read_exact(&mut frame[HEAD..]).await.is_err() {
                return;
            }
            let kept_back = frame[3] == DATA && muted.load(Ordering::Relaxed);
            if !kept_back && to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.task.abort();
    }
}
