//! The store in this process, on disk: what one server uses that has no etcd.
//!
//! One thread writes. It takes what waits as a group, does each transaction at a revision of its own, and only when
//! the group is safe on disk are answers given and watchers told: readers see up to the newest durable revision and
//! no further. Values live in the database file and its bounded cache; memory holds the index, some 250 bytes a key
//! and 40 bytes for each older version not compacted away yet.

mod careful;
mod disk;
mod guard;
mod quota;
mod read;
#[cfg(test)]
mod tests;
pub mod tools;
mod watch;
mod writer;

use std::fs::{File, Permissions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rove_model::ids::Revision;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::engine::{Engine, check_range, check_txn, check_watch};
use crate::event_ring::{Bounds, EventRing};
use crate::keys::Keys;
use crate::store::{
    LeaseId, RangeRequest, RangeResponse, Store, StoreError, StoreStatus, Txn, TxnResponse,
    WatchRequest, WatchStream,
};
use disk::{Disk, Unopened};
use writer::{Request, Work, Writer};

/// Requests that may wait for the writer at a time; more wait for their turn to wait.
const QUEUE: usize = 1_024;

/// A call that the disk keeps longer than this fails as unavailable.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of data that a store takes unless it is told otherwise: etcd's default.
pub const DEFAULT_QUOTA: u64 = 2 << 30;

/// What recent events are kept in memory for watchers: revisions, and bytes.
const RING_REVISIONS: usize = 1_024;
const RING_BYTES: usize = 4 << 20;

/// How an embedded store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of database pages kept in memory.
    pub cache_bytes: usize,
    /// Bytes of data that the store takes before it refuses writes. Those that make room, and those without which no
    /// server leads, are taken all the same.
    pub quota_bytes: u64,
    /// By these keys it knows which writes are which.
    pub keys: Keys,
    #[cfg(test)]
    pub(crate) room: Option<Arc<tests::Room>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 8 << 20,
            quota_bytes: DEFAULT_QUOTA,
            keys: Keys::default(),
            #[cfg(test)]
            room: None,
        }
    }
}

/// Why an embedded store can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its folder or lock can't be made.
    #[error("can't use {path} for the store")]
    Folder {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is none.
    #[error("there is no embedded store in {}; name the data_dir of a server that uses no etcd", .path.display())]
    Absent {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("the store in {path} is in use by process {pid}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, as far as it said so.
        pid: String,
    },
    /// Its file is not what was written.
    #[error(
        "the store's file {file} is damaged: {why}; put back a copy of {dir}, or see with `rove operator store check {dir}` what is left and keep it with `rove operator store repair {dir}`",
        file = file.display(),
        dir = file.parent().unwrap_or(file).display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Its content can't be read.
    #[error("can't open the store in {path}")]
    Content {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The thread that writes can't be started.
    #[error("can't start the store's writer")]
    Thread(#[source] std::io::Error),
}

/// See the module. Clones share one store; it is closed when the last is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// `None` once closed.
    work: Option<mpsc::Sender<Work>>,
    queue: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    quota: u64,
    /// Held, and so locked, as long as the store is open.
    _lock: File,
}

/// What the writer, readers and watchers share.
struct Shared {
    /// May be ahead of `durable` while a group is being written: read it at `durable`.
    engine: RwLock<Engine<()>>,
    disk: Disk,
    durable: tokio::sync::watch::Sender<Revision>,
    /// The newest revisions' events.
    ring: Mutex<EventRing>,
    /// Bytes of rows.
    in_use: AtomicU64,
    closed: AtomicBool,
}

impl Shared {
    fn engine(&self) -> RwLockReadGuard<'_, Engine<()>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine_mut(&self) -> RwLockWriteGuard<'_, Engine<()>> {
        self.engine.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, EventRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> Revision {
        *self.durable.borrow()
    }
}

impl EmbeddedStore {
    /// Opens the store in the folder `dir`, making both if they aren't there. Reads the whole index: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// When the folder can't be used, another process uses it, or its content can't be read.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let lock = lock(dir)?;
        let content = |source| OpenError::Content {
            path: dir.to_owned(),
            source,
        };
        let path = dir.join(FILE);
        let disk = Disk::new(path.clone(), &options);
        begin(&disk, dir)?;
        let loaded = disk.open(true).map_err(|error| match error {
            Unopened::Store(source) => content(source),
            Unopened::Damaged(why) => OpenError::Damaged { file: path, why },
        })?;
        mark(dir, disk.id())?;
        let shared = Arc::new(Shared {
            durable: tokio::sync::watch::Sender::new(loaded.engine.revision()),
            engine: RwLock::new(loaded.engine),
            disk,
            ring: Mutex::new(EventRing::new(Bounds {
                batches: RING_REVISIONS,
                bytes: RING_BYTES,
                ..Bounds::NONE
            })),
            in_use: AtomicU64::new(loaded.in_use),
            closed: AtomicBool::new(false),
        });
        let (work, inbox) = mpsc::channel();
        let writer = Writer::new(
            Arc::clone(&shared),
            inbox,
            loaded.swept,
            options.quota_bytes,
            options.keys,
        );
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                work: Some(work),
                queue: Arc::new(Semaphore::new(QUEUE)),
                writer: Some(writer),
                quota: options.quota_bytes,
                _lock: lock,
            }),
        })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the embedded store is closed".to_owned());
        let handle = &self.handle;
        let call = async {
            let permit = Arc::clone(&handle.queue)
                .acquire_owned()
                .await
                .map_err(|_| gone())?;
            let (reply, answer) = oneshot::channel();
            let work = Work {
                request: request(reply),
                _permit: permit,
            };
            let sender = handle.work.as_ref().ok_or_else(gone)?;
            sender.send(work).map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        tokio::time::timeout(PATIENCE, call)
            .await
            .unwrap_or_else(|_| {
                Err(StoreError::Unavailable(
                    "the disk did not answer in time".to_owned(),
                ))
            })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }
}

/// Makes a folder that nobody but its owner enters: what is stored are jobs with their environment, and secrets' hashes.
/// One that is there is closed to others.
///
/// # Errors
/// When it can't be made, or is another's.
pub fn make_private(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Opens a file for its owner alone, making it if it isn't there.
fn private_file(path: &Path) -> std::io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The database file of a store's folder.
const FILE: &str = "store.redb";

/// Beside the file: that a store is here, and its id. A file that is empty or gone is then no new store's.
const MARKER: &str = "store.id";

/// Makes the file, if there is none and never was one. An empty one is never made, so one that is there was emptied.
fn begin(disk: &Disk, dir: &Path) -> Result<(), OpenError> {
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    let damaged = |why: &str| OpenError::Damaged {
        file: disk.path().to_owned(),
        why: why.to_owned(),
    };
    let marker = dir.join(MARKER);
    match std::fs::metadata(disk.path()) {
        Ok(file) if file.len() == 0 => Err(damaged("it is empty")),
        Ok(_) => private_file(disk.path())
            .map(drop)
            .map_err(folder(disk.path())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if marker.try_exists().map_err(folder(&marker))? {
                return Err(damaged(
                    "it is gone, though there was a store here (to begin an empty one, remove the whole folder)",
                ));
            }
            disk.create().map_err(|source| OpenError::Content {
                path: dir.to_owned(),
                source,
            })
        }
        Err(error) => Err(folder(disk.path())(error)),
    }
}

/// Notes beside the file which store is here.
fn mark(dir: &Path, id: u64) -> Result<(), OpenError> {
    let path = dir.join(MARKER);
    let text = format!("{id:016x}\n");
    if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let mut file = private_file(&path)?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| OpenError::Folder { path, source })
}

/// One process per folder: the lock ends with the process, however it ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    make_private(dir).map_err(folder(dir))?;
    let path = dir.join("lock");
    let mut file = private_file(&path).map_err(folder(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(OpenError::InUse {
                path: dir.to_owned(),
                pid: if pid.is_empty() {
                    "unknown".to_owned()
                } else {
                    pid
                },
            });
        }
        Err(TryLockError::Error(source)) => return Err(folder(&path)(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(folder(&path))?;
    Ok(file)
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        check_range(&request)?;
        read::range(&self.handle.shared, request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        check_txn(&txn)?;
        if txn.is_read() {
            return read::txn(&self.handle.shared, txn).await;
        }
        self.ask(|reply| Request::Txn(txn, reply)).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        check_watch(&request)?;
        Ok(watch::open(Arc::clone(&self.handle.shared), request))
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        self.ask(|reply| Request::Grant { ttl, id, reply }).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        let shared = &self.handle.shared;
        if let Ok(mut engine) = shared.engine.try_write() {
            return engine.leases.keep_alive(id, Instant::now());
        }
        let shared = Arc::clone(shared);
        read::blocking(move || shared.engine_mut().leases.keep_alive(id, Instant::now())).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Request::Revoke(id, reply)).await
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        let shared = Arc::clone(&self.handle.shared);
        read::blocking(move || shared.engine().leases.time_to_live(id, Instant::now())).await
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        let shared = Arc::clone(&self.handle.shared);
        read::blocking(move || Ok(shared.engine().leases.ids())).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.ask(|reply| Request::Compact(revision, reply)).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let shared = &self.handle.shared;
        if shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("the store's writer ended".into()));
        }
        Ok(StoreStatus {
            revision: shared.durable(),
            db_size: shared.disk.file_size(),
            db_size_in_use: shared.in_use.load(Ordering::Relaxed),
            quota: Some(self.handle.quota),
            quota_counts_use: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_id: shared.disk.id(),
        })
    }
}
