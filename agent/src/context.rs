//! What every runner of an agent uses.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use rove_model::{
    alloc::Alloc,
    encoding::{self, EncodingError},
    ids::{AllocId, Revision, VersionKey},
    job::Job,
    registration::JobVersion,
};
use rove_store::{
    backoff::Backoff,
    keys::{Key, Keys},
    store::{KeyRange, RangeRequest, Store, StoreError},
};
use thiserror::Error;
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep, timeout},
};

use crate::{
    alloc::{dir::AllocDir, machine::Rules},
    clock::{Clock, Now},
    drivers::{Driver, TaskRef},
    local_state::LocalState,
    outbox::Outbox,
    registry::DriverRegistry,
    shared::Shared,
};

/// How long a call to the store may take; the store's own limits are shorter.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// How often a specification that isn't there is looked for again: a store that was restored from a backup, or a bug.
const MISSING_TRIES: u32 = 4;

pub(crate) struct Context {
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub drivers: DriverRegistry,
    pub clock: Arc<dyn Clock>,
    pub began: Instant,
    pub shared: Arc<Shared>,
    pub outbox: Arc<Outbox>,
    pub state: LocalState,
    pub specs: Specs,
    /// `data_dir/alloc`; none in a simulation.
    pub alloc_dir: Option<PathBuf>,
    /// Where drivers keep what is theirs.
    pub task_state_dir: PathBuf,
    pub rules: Rules,
    pub region: String,
    pub host_env: BTreeMap<String, String>,
    pub seed: u64,
}

impl Context {
    pub fn now(&self) -> Now {
        Now {
            wall: self.clock.wall(),
            since_start: self.began.elapsed(),
        }
    }

    pub fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.drivers.get(name).cloned()
    }

    pub fn dir(&self, alloc: AllocId) -> AllocDir {
        let base = self.alloc_dir.as_ref().unwrap_or(&self.task_state_dir);
        AllocDir::new(base.join(alloc.to_string()))
    }

    pub fn task_ref(&self, alloc: AllocId, task: &str) -> TaskRef {
        TaskRef {
            alloc_id: alloc,
            task: task.to_owned(),
            state_dir: self.task_state_dir(alloc).join(task),
        }
    }

    pub fn task_state_dir(&self, alloc: AllocId) -> PathBuf {
        self.task_state_dir.join(alloc.to_string())
    }

    /// A seed that differs from alloc to alloc and is the same in every replay.
    pub fn seed_of(&self, alloc: AllocId) -> u64 {
        let (high, low) = alloc.0.as_u64_pair();
        self.seed ^ high.rotate_left(17) ^ low
    }

    /// The specification that an alloc names; asks until the store answers, as of `seen` or later.
    pub async fn fetch_spec(&self, alloc: &Alloc, seen: Revision) -> Result<Arc<Job>, String> {
        let version = alloc.version_key();
        let mut backoff = Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(15),
            self.seed_of(alloc.id),
        );
        let mut missing = 0;
        loop {
            let error = match self.specs.get(self, &version, seen).await {
                Ok(job) => return Ok(job),
                Err(error) => error,
            };
            if let SpecError::Missing { .. } = error {
                missing += 1;
            }
            if missing >= MISSING_TRIES || !error.is_transient() {
                return Err(error.in_words());
            }
            tracing::warn!(alloc = %alloc.id, error = error.in_words(), "can't read the job's specification yet");
            sleep(backoff.next_delay()).await;
        }
    }
}

/// Why a specification could not be had.
#[derive(Debug, Error)]
pub(crate) enum SpecError {
    #[error("version {version} of job {job} is not in the store")]
    Missing { job: String, version: u64 },
    #[error("version {version} of job {job} can't be read")]
    Damaged {
        job: String,
        version: u64,
        #[source]
        source: EncodingError,
    },
    #[error("the job's specification can't be fetched")]
    Store(#[source] StoreError),
    #[error("the store did not answer in time")]
    Slow,
    #[error("the store answered as of a time before the alloc")]
    Behind,
}

impl SpecError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Slow | Self::Behind => true,
            // An agent may be refused until its first allocs are known to the server it talks to.
            Self::Store(_) => true,
            Self::Damaged { .. } => false,
        }
    }

    fn in_words(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// Specifications in use, each fetched and held once however many allocs run it.
#[derive(Debug, Default)]
pub(crate) struct Specs(Mutex<HashMap<VersionKey, Weak<OnceCell<Weak<Job>>>>>);

impl Specs {
    async fn get(
        &self,
        context: &Context,
        version: &VersionKey,
        seen: Revision,
    ) -> Result<Arc<Job>, SpecError> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match cells.get(version).and_then(Weak::upgrade) {
                Some(cell) => cell,
                None => {
                    let cell = Arc::new(OnceCell::new());
                    cells.retain(|_, cell| cell.strong_count() > 0);
                    cells.insert(version.clone(), Arc::downgrade(&cell));
                    cell
                }
            }
        };
        let mut fetched = None;
        let held = cell
            .get_or_try_init(|| async {
                let job = fetch(context, version, seen).await?;
                let weak = Arc::downgrade(&job);
                fetched = Some(job);
                Ok::<_, SpecError>(weak)
            })
            .await?;
        match fetched.or_else(|| held.upgrade()) {
            Some(job) => Ok(job),
            None => fetch(context, version, seen).await,
        }
    }
}

async fn fetch(
    context: &Context,
    version: &VersionKey,
    seen: Revision,
) -> Result<Arc<Job>, SpecError> {
    let key = context.keys.encode(&Key::JobVersion(version.clone()));
    let request = RangeRequest::new(KeyRange::Key(key));
    let answer = timeout(CALL, context.store.range(request))
        .await
        .map_err(|_| SpecError::Slow)?
        .map_err(SpecError::Store)?;
    let Some(found) = answer.kvs.first() else {
        if answer.revision < seen {
            return Err(SpecError::Behind);
        }
        return Err(SpecError::Missing {
            job: version.job.to_string(),
            version: version.version,
        });
    };
    let decoded: JobVersion =
        encoding::decode(&found.value).map_err(|source| SpecError::Damaged {
            job: version.job.to_string(),
            version: version.version,
            source,
        })?;
    Ok(Arc::new(decoded.job))
}
