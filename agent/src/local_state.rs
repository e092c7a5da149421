//! What the agent must still know after it was killed: one file for each alloc that has started anything.
//!
//! A file is replaced as a whole and durable before [`LocalState::save`] answers, so a crash leaves the old or the new
//! one. One that does not decode is put aside and its alloc is taken over anew: the driver finds what runs of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, FallocateFlags, RenameFlags, fallocate, renameat2},
};
use rove_model::{
    encoding::{self, EncodingError},
    ids::AllocId,
};
use thiserror::Error;

use crate::{
    alloc::{dir, machine::SavedAlloc},
    files::read_limited,
};

/// Larger than any state file: a specification is at most half a MiB in the store.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// How much longer than the last a record may be on a disk that is full.
const SLACK: u64 = 16 * 1024;

/// A save that takes longer than this is worth a word: the alloc waits for it.
const SLOW: Duration = Duration::from_secs(1);

/// Why local state could not be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// The system refused.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be written as JSON, or a newer rove wrote it.
    #[error("the state of alloc {alloc} can't be used")]
    Encoding {
        /// Whose.
        alloc: AllocId,
        /// Why.
        #[source]
        source: EncodingError,
    },
    /// The agent ends.
    #[error("the agent is shutting down")]
    Closed,
}

/// Where local state is kept.
#[derive(Clone, Debug)]
pub enum LocalState {
    /// In files below this directory.
    Directory(PathBuf),
    /// In memory, for simulations: clones share it, so that an agent can be killed and started over it.
    Memory(MemoryState),
}

/// Local state in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryState(Arc<Mutex<BTreeMap<AllocId, Vec<u8>>>>);

impl MemoryState {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AllocId, Vec<u8>>> {
        // An entry is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalState {
    /// Makes what is kept of an alloc durable.
    pub(crate) async fn save(&self, saved: &SavedAlloc) -> Result<(), StateError> {
        let alloc = saved.alloc.id;
        let bytes =
            encoding::encode(saved).map_err(|source| StateError::Encoding { alloc, source })?;
        match self {
            Self::Memory(memory) => {
                memory.lock().insert(alloc, bytes);
                Ok(())
            }
            Self::Directory(directory) => {
                let directory = directory.clone();
                blocking(move || {
                    let began = Instant::now();
                    let written = write(&directory, alloc, &bytes);
                    let took = began.elapsed();
                    if took > SLOW {
                        tracing::warn!(
                            %alloc,
                            ?took,
                            directory = %directory.display(),
                            "the disk is slow: saving an alloc's state took above {SLOW:?}"
                        );
                    }
                    written
                })
                .await
            }
        }
    }

    /// Forgets an alloc.
    pub(crate) async fn remove(&self, alloc: AllocId) -> Result<(), StateError> {
        match self {
            Self::Memory(memory) => {
                memory.lock().remove(&alloc);
                Ok(())
            }
            Self::Directory(directory) => {
                let path = file(directory, alloc);
                blocking(move || {
                    for path in [&path, &path.with_extension("new")] {
                        match fs::remove_file(path) {
                            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                                return Err(failed("remove", path, source));
                            }
                            _ => {}
                        }
                    }
                    Ok(())
                })
                .await
            }
        }
    }

    /// What is kept of one alloc.
    pub(crate) async fn load_one(&self, alloc: AllocId) -> Result<Option<SavedAlloc>, StateError> {
        Ok(self
            .load()
            .await?
            .into_iter()
            .find(|saved| saved.alloc.id == alloc))
    }

    /// All that is kept.
    pub(crate) async fn load(&self) -> Result<Vec<SavedAlloc>, StateError> {
        match self {
            Self::Memory(memory) => memory
                .lock()
                .iter()
                .map(|(alloc, bytes)| {
                    encoding::decode(bytes).map_err(|source| StateError::Encoding {
                        alloc: *alloc,
                        source,
                    })
                })
                .collect(),
            Self::Directory(directory) => {
                let directory = directory.clone();
                blocking(move || read(&directory)).await
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StateError::Closed)?
}

fn file(directory: &Path, alloc: AllocId) -> PathBuf {
    directory.join(format!("{alloc}.json"))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// Two files take turns: the one that isn't read keeps its room on the disk for the next save, so that what becomes of a
/// task can still be recorded when the disk is full.
fn write(directory: &Path, alloc: AllocId, bytes: &[u8]) -> Result<(), StateError> {
    let path = file(directory, alloc);
    let other = path.with_extension("new");
    let is_new = !path.exists();
    let write = || -> io::Result<()> {
        // Not cut to nothing first: that would give the room away.
        let mut file = open(&other)?;
        file.write_all(bytes)?;
        let length = bytes.len() as u64;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        file.sync_data()?;
        take_room(&file, length);
        if is_new {
            fs::rename(&other, &path)?;
            take_room(&open(&other)?, length);
            return File::open(directory)?.sync_all();
        }
        let flags = RenameFlags::RENAME_EXCHANGE;
        match renameat2(AT_FDCWD, &other, AT_FDCWD, &path, flags) {
            // A file system that can't: then there is no room kept.
            Err(Errno::EINVAL | Errno::ENOSYS) => fs::rename(&other, &path)?,
            done => done?,
        }
        // The next save writes over the other file: after a loss of power no name may mean that one any more.
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| failed("write", &path, source))
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Room for a record that is somewhat longer. Without it the next save needs what the disk has by then.
fn take_room(file: &File, length: u64) {
    let room = i64::try_from(length + SLACK).unwrap_or(i64::MAX);
    let _ = fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, room);
}

fn read(directory: &Path) -> Result<Vec<SavedAlloc>, StateError> {
    dir::make_private(directory).map_err(|error| match error {
        dir::DirError::Io {
            operation,
            path,
            source,
        } => failed(operation, &path, source),
        dir::DirError::UnknownUser(_) | dir::DirError::BadName(_) => StateError::Closed,
    })?;
    let list = |source| failed("list", directory, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(list)? {
        let path = entry.map_err(list)?.path();
        let Some(alloc) = alloc_of(&path) else {
            continue;
        };
        let bytes =
            read_limited(&path, MAX_FILE).map_err(|source| failed("read", &path, source))?;
        match encoding::decode::<SavedAlloc>(&bytes) {
            Ok(saved) => found.push(saved),
            Err(source @ EncodingError::NewerSchema { .. }) => {
                return Err(StateError::Encoding { alloc, source });
            }
            Err(error) => {
                let aside = path.with_extension("damaged");
                tracing::error!(%alloc, %error, aside = %aside.display(), "the alloc's state is damaged and put aside");
                fs::rename(&path, &aside).map_err(|source| failed("rename", &path, source))?;
            }
        }
    }
    found.sort_by_key(|saved| saved.alloc.id);
    Ok(found)
}

fn alloc_of(path: &Path) -> Option<AllocId> {
    if path.extension()? != "json" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}
