//! A driver and a store that fail as tests want them to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rove_agent::drivers::{
    Driver, DriverError, ExitResult, Fingerprint, ProgressSender, Recovered, Signal, TaskConfig,
    TaskHandle, TaskRef, TaskStats, mock::MockDriver,
};
use rove_store::{
    store::{Op, Store, StoreError, Txn, TxnResponse},
    wrapped::Wrapped,
};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// The mock driver, behind an engine that may be away or break.
#[derive(Debug)]
pub struct Flaky {
    pub inner: MockDriver,
    pub away: AtomicBool,
    pub panic_once: AtomicBool,
    /// It takes a connection and says nothing.
    pub mute: AtomicBool,
}

impl Flaky {
    pub fn new(inner: MockDriver) -> Arc<Self> {
        Arc::new(Self {
            inner,
            away: AtomicBool::new(false),
            panic_once: AtomicBool::new(false),
            mute: AtomicBool::new(false),
        })
    }

    fn check(&self) -> Result<(), DriverError> {
        assert!(
            !self.panic_once.swap(false, Ordering::SeqCst),
            "as the test wants it"
        );
        if self.away.load(Ordering::SeqCst) {
            return Err(DriverError::Simulated {
                message: "the engine is away".to_owned(),
                recoverable: true,
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Driver for Flaky {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn fingerprint(&self) -> Fingerprint {
        while self.mute.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Fingerprint::default();
        }
        self.inner.fingerprint().await
    }

    fn validate_config(&self, config: &Map<String, Value>) -> Result<(), DriverError> {
        self.inner.validate_config(config)
    }

    async fn start(
        &self,
        config: &TaskConfig,
        progress: &ProgressSender,
    ) -> Result<TaskHandle, DriverError> {
        self.check()?;
        progress.say("Downloading image", []);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.inner.start(config, progress).await
    }

    async fn recover(&self, handle: &TaskHandle) -> Result<Recovered, DriverError> {
        self.check()?;
        self.inner.recover(handle).await
    }

    async fn find(&self, task: &TaskRef) -> Result<Option<TaskHandle>, DriverError> {
        self.check()?;
        self.inner.find(task).await
    }

    async fn wait(&self, handle: &TaskHandle) -> Result<ExitResult, DriverError> {
        loop {
            self.check()?;
            let tick = Duration::from_secs(1);
            if let Ok(exit) = tokio::time::timeout(tick, self.inner.wait(handle)).await {
                self.check()?;
                return exit;
            }
        }
    }

    async fn stop(
        &self,
        handle: &TaskHandle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        self.check()?;
        self.inner.stop(handle, signal, timeout).await
    }

    async fn signal(&self, handle: &TaskHandle, signal: Signal) -> Result<(), DriverError> {
        self.check()?;
        self.inner.signal(handle, signal).await
    }

    async fn stats(&self, handle: &TaskHandle) -> Result<TaskStats, DriverError> {
        self.check()?;
        self.inner.stats(handle).await
    }

    async fn destroy(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        self.check()?;
        self.inner.destroy(handle).await
    }
}

/// A store that remembers when it was asked to write statuses, and how many.
pub struct Watched {
    pub inner: Arc<dyn Store>,
    pub writes: Mutex<Vec<(Instant, usize)>>,
}

#[async_trait]
impl Wrapped for Watched {
    fn inner(&self) -> Arc<dyn Store> {
        self.inner.clone()
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        let statuses = txn
            .then
            .iter()
            .filter(
                |op| matches!(op, Op::Put { key, .. } if key.starts_with(b"/rove/alloc-status/")),
            )
            .count();
        if statuses > 0 {
            self.writes.lock().unwrap().push((Instant::now(), statuses));
        }
        self.inner.txn(txn).await
    }
}
