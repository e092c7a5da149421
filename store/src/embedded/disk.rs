//! The database file: its tables, its rows, and how the index is read back from it.
//!
//! A row is one write of one key, at (revision, sub), as in etcd; so the file is also the history that late watchers
//! read. The file is closed and opened anew after an I/O error, for redb takes no more writes after one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use rove_model::ids::Revision;
use tokio::time::Instant;

use super::Options;
use crate::engine::{Engine, Live, Place, Rows};
use crate::store::{Event, KeyValue, LeaseId, StoreError};

const ROWS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("rows");
const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The layout written here. A file of a later one is refused.
const FORMAT: u64 = 1;

/// A file this much larger than its rows is rewritten when it is opened.
const SLACK: u64 = 64 << 20;

/// The fixed part of a row: flags, key length, create revision, version, lease.
const HEAD: usize = 1 + 4 + 8 + 8 + 8;

/// What a row costs beside its bytes.
const ROW_COST: u64 = 16;

pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
            ) =>
        {
            StoreError::NoSpace
        }
        error => StoreError::Disk(error.to_string()),
    }
}

/// The file, open or not.
pub(super) struct Disk {
    path: PathBuf,
    options: Options,
    database: RwLock<Option<Database>>,
    id: AtomicU64,
}

/// What opening it gives.
pub(super) struct Loaded {
    pub(super) engine: Engine<()>,
    pub(super) in_use: u64,
    /// Rows before this revision have been swept by compaction.
    pub(super) swept: Revision,
}

impl Disk {
    pub(super) fn new(path: PathBuf, options: &Options) -> Self {
        Self {
            path,
            options: options.clone(),
            database: RwLock::new(None),
            id: AtomicU64::new(0),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(super) fn file_size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// Opens the file, closing it first if it was open, and reads the index back.
    pub(super) fn open(&self) -> Result<Loaded, StoreError> {
        let mut slot = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
        let mut database = self.open_file().map_err(failed)?;
        self.prepare(&database)?;
        let loaded = load(&database)?;
        if self.file_size() > 2 * loaded.in_use + SLACK {
            database.compact().map_err(failed)?;
        }
        *slot = Some(database);
        Ok(loaded)
    }

    fn open_file(&self) -> Result<Database, redb::DatabaseError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        #[cfg(test)]
        if let Some(room) = &self.options.room {
            return builder.create_with_backend(super::tests::Bounded::open(&self.path, room)?);
        }
        builder.create(&self.path)
    }

    fn prepare(&self, database: &Database) -> Result<(), StoreError> {
        let write = database.begin_write().map_err(failed)?;
        {
            write.open_table(ROWS).map_err(failed)?;
            write.open_table(LEASES).map_err(failed)?;
            let mut meta = write.open_table(META).map_err(failed)?;
            let format = meta
                .get("format")
                .map_err(failed)?
                .map(|found| found.value());
            let id = meta.get("id").map_err(failed)?.map(|found| found.value());
            match format {
                Some(FORMAT) => {
                    self.id.store(id.unwrap_or(0), Ordering::Relaxed);
                    return Ok(());
                }
                Some(later) => {
                    return Err(StoreError::Disk(format!(
                        "its layout is {later}, this version reads {FORMAT}"
                    )));
                }
                None => {
                    let id = rand::random::<u64>() | 1;
                    meta.insert("format", FORMAT).map_err(failed)?;
                    meta.insert("id", id).map_err(failed)?;
                    self.id.store(id, Ordering::Relaxed);
                }
            }
        }
        write.commit().map_err(failed)
    }

    /// The rows as they are now.
    pub(super) fn read(&self) -> Result<ReadRows, StoreError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or_else(closed)?;
        let read = database.begin_read().map_err(failed)?;
        let rows = read.open_table(ROWS).map_err(failed)?;
        Ok(ReadRows { rows })
    }

    pub(super) fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref()
            .ok_or_else(closed)?
            .begin_write()
            .map_err(failed)
    }

    pub(super) fn close(&self) {
        let mut slot = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
    }
}

fn closed() -> StoreError {
    StoreError::Disk("the database is closed after an earlier failure".to_owned())
}

fn load(database: &Database) -> Result<Loaded, StoreError> {
    let read = database.begin_read().map_err(failed)?;
    let mut engine = Engine::new();
    let now = Instant::now();
    for lease in read
        .open_table(LEASES)
        .map_err(failed)?
        .iter()
        .map_err(failed)?
    {
        let (id, ttl) = lease.map_err(failed)?;
        engine.leases.insert(LeaseId(id.value()), ttl.value(), now);
    }
    let mut in_use = 0;
    for row in read
        .open_table(ROWS)
        .map_err(failed)?
        .iter()
        .map_err(failed)?
    {
        let (place, bytes) = row.map_err(failed)?;
        let (revision, sub) = place.value();
        let place = Place { revision, sub };
        let row = Row::parse(place, bytes.value())?;
        in_use += bytes.value().len() as u64 + ROW_COST;
        let live = row.live.then_some(Live {
            create_revision: row.create_revision,
            version: row.version,
            lease: row.lease,
            slot: (),
        });
        engine.restore(Bytes::copy_from_slice(row.key), place, live);
    }
    let meta = read.open_table(META).map_err(failed)?;
    let mark = |name: &str| -> Result<u64, StoreError> {
        Ok(meta
            .get(name)
            .map_err(failed)?
            .map_or(0, |found| found.value()))
    };
    engine.restore_marks(mark("revision")?, mark("compacted")?);
    Ok(Loaded {
        engine,
        in_use,
        swept: mark("swept")?,
    })
}

/// A row taken apart.
struct Row<'a> {
    live: bool,
    create_revision: Revision,
    version: u64,
    lease: i64,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Row<'a> {
    fn parse(place: Place, bytes: &'a [u8]) -> Result<Self, StoreError> {
        Self::take(bytes).ok_or_else(|| {
            StoreError::Disk(format!(
                "the row at {}.{} can't be read",
                place.revision, place.sub
            ))
        })
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let number = |at: usize| -> Option<[u8; 8]> { head.get(at..at + 8)?.try_into().ok() };
        let key_length = u32::from_le_bytes(head.get(1..5)?.try_into().ok()?);
        let (key, value) = rest.split_at_checked(usize::try_from(key_length).ok()?)?;
        Some(Self {
            live: *head.first()? == 1,
            create_revision: u64::from_le_bytes(number(5)?),
            version: u64::from_le_bytes(number(13)?),
            lease: i64::from_le_bytes(number(21)?),
            key,
            value,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.key.len() + self.value.len());
        bytes.push(u8::from(self.live));
        // Keys are bounded by the size of a transaction, far below u32's end.
        bytes.extend(
            u32::try_from(self.key.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        bytes.extend(self.create_revision.to_le_bytes());
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.lease.to_le_bytes());
        bytes.extend(self.key);
        bytes.extend(self.value);
        bytes
    }
}

fn value_at(
    rows: &impl ReadableTable<(u64, u32), &'static [u8]>,
    place: Place,
) -> Result<Bytes, StoreError> {
    let found = rows
        .get((place.revision, place.sub))
        .map_err(failed)?
        .ok_or_else(|| {
            StoreError::Disk(format!(
                "the row at {}.{} is missing",
                place.revision, place.sub
            ))
        })?;
    Ok(Bytes::copy_from_slice(
        Row::parse(place, found.value())?.value,
    ))
}

/// Rows as of one moment.
pub(super) struct ReadRows {
    rows: ReadOnlyTable<(u64, u32), &'static [u8]>,
}

impl ReadRows {
    pub(super) fn value(&self, place: Place) -> Result<Bytes, StoreError> {
        value_at(&self.rows, place)
    }

    /// Whole revisions from `next` to `last`, until `enough` events are there; and where to go on.
    pub(super) fn events(
        &self,
        next: Revision,
        last: Revision,
        enough: usize,
    ) -> Result<(Vec<Event>, Revision), StoreError> {
        let mut events: Vec<Event> = Vec::new();
        let range = self
            .rows
            .range((next, 0)..=(last, u32::MAX))
            .map_err(failed)?;
        for entry in range {
            let (place, bytes) = entry.map_err(failed)?;
            let (revision, sub) = place.value();
            if events.len() >= enough && events.last().is_some_and(|e| e.revision() != revision) {
                return Ok((events, revision));
            }
            let row = Row::parse(Place { revision, sub }, bytes.value())?;
            let key = Bytes::copy_from_slice(row.key);
            events.push(if row.live {
                Event::Put(KeyValue {
                    key,
                    value: Bytes::copy_from_slice(row.value),
                    create_revision: row.create_revision,
                    mod_revision: revision,
                    version: row.version,
                    lease: (row.lease != 0).then_some(LeaseId(row.lease)),
                })
            } else {
                Event::Delete {
                    key,
                    mod_revision: revision,
                }
            });
        }
        Ok((events, next.max(last + 1)))
    }
}

/// The tables of an open write.
pub(super) struct Tables<'t> {
    rows: Table<'t, (u64, u32), &'static [u8]>,
    leases: Table<'t, i64, i64>,
    meta: Table<'t, &'static str, u64>,
    /// Bytes of rows added.
    pub(super) added: u64,
    /// Bytes of rows removed.
    pub(super) removed: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn open(write: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            rows: write.open_table(ROWS).map_err(failed)?,
            leases: write.open_table(LEASES).map_err(failed)?,
            meta: write.open_table(META).map_err(failed)?,
            added: 0,
            removed: 0,
        })
    }

    pub(super) fn mark(&mut self, name: &'static str, value: u64) -> Result<(), StoreError> {
        self.meta.insert(name, value).map_err(failed)?;
        Ok(())
    }

    pub(super) fn put_lease(&mut self, id: LeaseId, ttl: i64) -> Result<(), StoreError> {
        self.leases.insert(id.0, ttl).map_err(failed)?;
        Ok(())
    }

    pub(super) fn remove_lease(&mut self, id: LeaseId) -> Result<(), StoreError> {
        self.leases.remove(id.0).map_err(failed)?;
        Ok(())
    }

    /// The keys written from `next` to `last`, of about `enough` rows; and where to go on.
    pub(super) fn keys(
        &self,
        next: Revision,
        last: Revision,
        enough: usize,
    ) -> Result<(std::collections::BTreeSet<Bytes>, Revision), StoreError> {
        let mut keys = std::collections::BTreeSet::new();
        let mut seen = (0, next);
        let range = self
            .rows
            .range((next, 0)..=(last, u32::MAX))
            .map_err(failed)?;
        for entry in range {
            let (place, bytes) = entry.map_err(failed)?;
            let (revision, sub) = place.value();
            if seen.0 >= enough && revision != seen.1 {
                return Ok((keys, revision));
            }
            seen = (seen.0 + 1, revision);
            let row = Row::parse(Place { revision, sub }, bytes.value())?;
            keys.insert(Bytes::copy_from_slice(row.key));
        }
        Ok((keys, last))
    }

    pub(super) fn remove_row(&mut self, place: Place) -> Result<(), StoreError> {
        if let Some(row) = self
            .rows
            .remove((place.revision, place.sub))
            .map_err(failed)?
        {
            self.removed += row.value().len() as u64 + ROW_COST;
        }
        Ok(())
    }

    fn write(&mut self, place: Place, row: &Row<'_>) -> Result<(), StoreError> {
        let bytes = row.bytes();
        self.added += bytes.len() as u64 + ROW_COST;
        self.rows
            .insert((place.revision, place.sub), bytes.as_slice())
            .map_err(failed)?;
        Ok(())
    }
}

impl Rows for Tables<'_> {
    type Slot = ();

    fn put(&mut self, place: Place, kv: &KeyValue) -> Result<(), StoreError> {
        self.write(
            place,
            &Row {
                live: true,
                create_revision: kv.create_revision,
                version: kv.version,
                lease: kv.lease.map_or(0, |id| id.0),
                key: &kv.key,
                value: &kv.value,
            },
        )
    }

    fn tombstone(&mut self, place: Place, key: &Bytes) -> Result<(), StoreError> {
        self.write(
            place,
            &Row {
                live: false,
                create_revision: 0,
                version: 0,
                lease: 0,
                key,
                value: &[],
            },
        )
    }

    fn value(&self, place: Place, (): &()) -> Result<Bytes, StoreError> {
        value_at(&self.rows, place)
    }
}
