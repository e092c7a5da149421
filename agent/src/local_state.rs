//! What the agent must still know after it was killed: one file for each alloc that has started anything.
//!
//! A file is replaced as a whole and durable before [`LocalState::save`] answers, so a crash leaves the old or the new
//! one. One that does not decode is put aside and its alloc is taken over anew: the driver finds what runs of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
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
                blocking(move || match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        Err(failed("remove", &path, source))
                    }
                    _ => Ok(()),
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

fn write(directory: &Path, alloc: AllocId, bytes: &[u8]) -> Result<(), StateError> {
    let path = file(directory, alloc);
    let new = path.with_extension("new");
    let is_new = !path.exists();
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, &path)?;
        if is_new {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| failed("write", &path, source))
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
