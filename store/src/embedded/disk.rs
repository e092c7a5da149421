//! The database file: its tables, its rows, and how the index is read back from it.
//!
//! A row is one write of one key, at (revision, sub), as in etcd; so the file is also the history that late watchers
//! read. The file is closed and opened anew after an I/O error, for redb takes no more writes after one.
//!
//! Nothing is taken from a damaged file: each row carries a checksum, which is looked at whenever it is read, and the
//! file says how many rows and leases there are and what their checksums come to, which is looked at when it is opened.
//! So rows that were lost are noticed as well as rows that were changed.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, WriteTransaction,
};
use rove_model::ids::Revision;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Options;
use super::careful::{Careful, Inner};
use super::guard::guarded;
use crate::engine::{Engine, Live, Place, Rows};
use crate::store::{Event, KeyValue, LeaseId, StoreError};

pub(super) const ROWS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("rows");
pub(super) const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The layout written here. A file of a later one is refused.
const FORMAT: u64 = 2;

/// The layout whose rows have no checksums; they gain them when it is opened.
const WITHOUT_SUMS: u64 = 1;

/// What a lease is given whose length was lost, in seconds; and the longest that is believed of a damaged file.
const LOST_TTL: i64 = 60;
const SANE_TTL: i64 = 86_400;

/// Rows that gain their checksums at a time.
const STEP: usize = 1_000;

/// What is counted of the file, in its table of marks.
const SUMMED: [&str; 7] = [
    "id",
    "revision",
    "compacted",
    "swept",
    "rows",
    "digest",
    "leases",
];

/// A file this much larger than its rows is rewritten when it is opened.
const SLACK: u64 = 64 << 20;

/// The end of a row: its checksum.
const SUM: usize = 8;

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
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData
            ) =>
        {
            StoreError::Corrupt(error.to_string())
        }
        error @ (redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_)) => StoreError::Corrupt(error.to_string()),
        error => StoreError::Disk(error.to_string()),
    }
}

/// A checksum: the first bytes of SHA-256.
fn sum(parts: &[&[u8]]) -> u64 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    let digest: [u8; 32] = sha.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn row_sum(place: Place, row: &[u8]) -> u64 {
    sum(&[&place.revision.to_le_bytes(), &place.sub.to_le_bytes(), row])
}

fn lease_sum(id: i64, ttl: i64) -> u64 {
    sum(&[b"lease", &id.to_le_bytes(), &ttl.to_le_bytes()])
}

/// Why the file can't be opened.
#[derive(Debug)]
pub(super) enum Unopened {
    /// The disk, or what is around the file.
    Store(StoreError),
    /// It isn't what was written.
    Damaged(String),
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(why) => Self::Damaged(why),
            error => Self::Store(error),
        }
    }
}

/// The file, open or not.
pub(super) struct Disk {
    path: PathBuf,
    options: Options,
    database: RwLock<Option<Database>>,
    id: AtomicU64,
    opened: AtomicU64,
}

/// What the marks say of rows and leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    rows: u64,
    /// Checksums of all rows, put together so that each can be put in and taken out by itself.
    digest: u64,
    /// The same of leases.
    leases: u64,
}

/// What opening it gives.
pub(super) struct Loaded {
    pub(super) engine: Engine<()>,
    pub(super) in_use: u64,
    /// Rows before this revision have been swept by compaction.
    pub(super) swept: Revision,
    totals: Totals,
}

impl Loaded {
    /// By which a state is told from another.
    fn state(&self) -> (Totals, Revision, Revision, Revision) {
        let engine = &self.engine;
        (
            self.totals,
            engine.revision(),
            engine.compacted(),
            self.swept,
        )
    }
}

impl Disk {
    pub(super) fn new(path: PathBuf, options: &Options) -> Self {
        Self {
            path,
            options: options.clone(),
            database: RwLock::new(None),
            id: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(super) fn file_size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// How often the file was opened.
    #[cfg(test)]
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an empty file if there is none. Under another name first, so that an empty one is never this one's doing.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let io = |error: std::io::Error| failed(redb::StorageError::Io(error));
        let _ = std::fs::remove_file(&new);
        drop(super::private_file(&new).map_err(io)?);
        {
            let (database, _) = self.open_file(&new, false).map_err(failed)?;
            self.lay_out(&database)?;
        }
        std::fs::rename(&new, &self.path).map_err(io)?;
        if let Some(folder) = self.path.parent() {
            std::fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io)?;
        }
        Ok(())
    }

    /// Opens the file, closing it first if it was open, and reads the index back. The first time all of it is looked at,
    /// and nothing is written to it before it is known to be whole.
    pub(super) fn open(&self, is_first: bool) -> Result<Loaded, Unopened> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut slot = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = slot.take();
        let (database, loaded) = guarded(|| {
            drop(before);
            let (mut database, file) = self.open_file(&self.path, is_first).map_err(failed)?;
            let has_sums = self.layout(&database)?;
            let loaded = load(&database, has_sums, is_first)?;
            if is_first && !database.check_integrity().map_err(failed)? {
                // It put something right that isn't ours. What is ours has to be as it was.
                if load(&database, has_sums, true)?.state() != loaded.state() {
                    return Err(StoreError::Corrupt(
                        "its newest changes are damaged".to_owned(),
                    ));
                }
                tracing::warn!(file = %self.path.display(), "the store's file was mended: its content is whole");
            }
            file.release()
                .map_err(|error| failed(redb::StorageError::Io(error)))?;
            if !has_sums {
                self.give_sums(&database)?;
            }
            if self.file_size() > 2 * loaded.in_use + SLACK {
                database.compact().map_err(failed)?;
            }
            Ok((database, loaded))
        })?;
        *slot = Some(database);
        Ok(loaded)
    }

    fn open_file(
        &self,
        path: &Path,
        keeps_back: bool,
    ) -> Result<(Database, Arc<Inner>), redb::DatabaseError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        let io = redb::StorageError::Io;
        #[cfg(test)]
        if let Some(room) = &self.options.room {
            let file = super::tests::Bounded::open(path, room)?;
            let (careful, inner) = Careful::new(file, keeps_back).map_err(io)?;
            return Ok((builder.create_with_backend(careful)?, inner));
        }
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let (careful, inner) = Careful::new(FileBackend::new(file)?, keeps_back).map_err(io)?;
        Ok((builder.create_with_backend(careful)?, inner))
    }

    /// Whether rows have their checksums.
    fn layout(&self, database: &Database) -> Result<bool, StoreError> {
        let read = database.begin_read().map_err(failed)?;
        let meta = read.open_table(META).map_err(failed)?;
        let format = meta.get("format").map_err(failed)?;
        let has_sums = match format.map(|format| format.value()) {
            Some(FORMAT) => true,
            Some(WITHOUT_SUMS) => false,
            Some(later) => {
                return Err(StoreError::Disk(format!(
                    "its layout is {later}, this version reads {FORMAT}"
                )));
            }
            None => {
                return Err(StoreError::Corrupt("it does not say its layout".to_owned()));
            }
        };
        self.id.store(mark_of(&meta, "id")?, Ordering::Relaxed);
        Ok(has_sums)
    }

    /// Makes the tables of an empty file.
    fn lay_out(&self, database: &Database) -> Result<(), StoreError> {
        let write = database.begin_write().map_err(failed)?;
        {
            write.open_table(ROWS).map_err(failed)?;
            write.open_table(LEASES).map_err(failed)?;
            let mut meta = write.open_table(META).map_err(failed)?;
            meta.insert("format", FORMAT).map_err(failed)?;
            let id = rand::random::<u64>() | 1;
            meta.insert("id", id).map_err(failed)?;
            write_totals(&mut meta, Totals::default())?;
        }
        write.commit().map_err(failed)
    }

    /// Gives the rows of an earlier layout their checksums.
    fn give_sums(&self, database: &Database) -> Result<(), StoreError> {
        tracing::info!(file = %self.path.display(), "the rows of the store gain their checksums");
        let write = database.begin_write().map_err(failed)?;
        {
            let mut rows = write.open_table(ROWS).map_err(failed)?;
            let leases = write.open_table(LEASES).map_err(failed)?;
            let mut meta = write.open_table(META).map_err(failed)?;
            let mut totals = Totals::default();
            add_sums(&mut rows, &mut totals)?;
            for lease in leases.iter().map_err(failed)? {
                let (id, ttl) = lease.map_err(failed)?;
                totals.leases ^= lease_sum(id.value(), ttl.value());
            }
            meta.insert("format", FORMAT).map_err(failed)?;
            write_totals(&mut meta, totals)?;
        }
        write.commit().map_err(failed)
    }

    /// Reads of a damaged file, without changing it; and what has to live as long. Read only, less of it has to be sound;
    /// one that wasn't closed can't be, and is mended in memory.
    fn read_damaged(&self, damaged: &Path) -> Result<(ReadTransaction, Box<dyn Any>), StoreError> {
        let read_only = guarded(|| {
            let database = Builder::new().open_read_only(damaged).map_err(failed)?;
            let read = database.begin_read().map_err(failed)?;
            Ok((read, Box::new(database) as Box<dyn Any>))
        });
        read_only.or_else(|_| {
            guarded(|| {
                let (database, _) = self.open_file(damaged, true).map_err(failed)?;
                let read = database.begin_read().map_err(failed)?;
                Ok((read, Box::new(database) as Box<dyn Any>))
            })
        })
    }

    /// Fills this file, which is not there yet, with what can be read of a damaged one.
    pub(super) fn salvage(&self, damaged: &Path) -> Result<Salvaged, Unopened> {
        let (read, source) = self.read_damaged(damaged)?;
        let rows = guarded(|| read.open_table(ROWS).map_err(failed))?;
        let has_sums = guarded(|| {
            let meta = read.open_table(META).map_err(failed)?;
            mark_of(&meta, "format")
        })
        .map_or(true, |format| format != WITHOUT_SUMS);
        drop(
            super::private_file(&self.path)
                .map_err(|error| failed(redb::StorageError::Io(error)))?,
        );
        let (target, _) = self.open_file(&self.path, false).map_err(failed)?;
        self.lay_out(&target)?;
        let write = target.begin_write().map_err(failed)?;
        let mut salvaged = Salvaged::default();
        {
            let mut tables = Tables::open(&write)?;
            let mut leases = std::collections::BTreeSet::new();
            salvage_rows(&rows, (0, u64::MAX), &mut 2_000, &mut |place, bytes| {
                let Ok(row) = Row::of(place, bytes, has_sums) else {
                    salvaged.lost += 1;
                    return Ok(());
                };
                if tables
                    .rows
                    .get((place.revision, place.sub))
                    .map_err(failed)?
                    .is_some()
                {
                    return Ok(());
                }
                leases.insert(row.lease);
                salvaged.kept += 1;
                salvaged.revision = salvaged.revision.max(place.revision);
                tables.write(place, &row)
            })?;
            if salvaged.kept == 0 {
                return Err(Unopened::Damaged("nothing of it can be read".to_owned()));
            }
            leases.remove(&0);
            for id in leases {
                let ttl = guarded(|| {
                    let table = read.open_table(LEASES).map_err(failed)?;
                    let ttl = table.get(id).map_err(failed)?.map(|ttl| ttl.value());
                    Ok(ttl)
                });
                let ttl = ttl
                    .ok()
                    .flatten()
                    .filter(|ttl| (1..=SANE_TTL).contains(ttl));
                tables.put_lease(LeaseId(id), ttl.unwrap_or(LOST_TTL))?;
            }
            tables.mark("revision", salvaged.revision)?;
            tables.mark("compacted", salvaged.revision)?;
            tables.finish()?;
        }
        write.commit().map_err(failed)?;
        drop(rows);
        // A damaged file may not even be closed.
        let _ = guarded(|| {
            drop(read);
            drop(source);
            Ok(())
        });
        Ok(salvaged)
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

/// Adds a checksum to each row of a file that has none.
fn add_sums(
    rows: &mut Table<'_, (u64, u32), &'static [u8]>,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    let mut next = (0, 0);
    loop {
        let mut step = Vec::new();
        for entry in rows.range(next..).map_err(failed)?.take(STEP) {
            let (place, bytes) = entry.map_err(failed)?;
            step.push((place.value(), bytes.value().to_vec()));
        }
        let Some(((revision, sub), _)) = step.last() else {
            return Ok(());
        };
        next = (*revision, sub.saturating_add(1));
        for ((revision, sub), mut bytes) in step {
            let place = Place { revision, sub };
            if Row::take(&bytes).is_none() {
                return Err(unreadable(place));
            }
            let sum = row_sum(place, &bytes);
            bytes.extend(sum.to_le_bytes());
            totals.rows += 1;
            totals.digest ^= sum;
            rows.insert((revision, sub), bytes.as_slice())
                .map_err(failed)?;
        }
    }
}

fn mark_of(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    let found = meta.get(name).map_err(failed)?;
    Ok(found.map_or(0, |found| found.value()))
}

fn sum_of_marks(meta: &impl ReadableTable<&'static str, u64>) -> Result<u64, StoreError> {
    let mut marks = Vec::new();
    for name in SUMMED {
        marks.extend(mark_of(meta, name)?.to_le_bytes());
    }
    Ok(sum(&[b"marks", &marks]))
}

/// Writes the totals, and the checksum of all marks.
fn write_totals(meta: &mut Table<'_, &'static str, u64>, totals: Totals) -> Result<(), StoreError> {
    for (name, value) in [
        ("rows", totals.rows),
        ("digest", totals.digest),
        ("leases", totals.leases),
    ] {
        meta.insert(name, value).map_err(failed)?;
    }
    let sum = sum_of_marks(meta)?;
    meta.insert("check", sum).map_err(failed)?;
    Ok(())
}

fn totals_of(meta: &impl ReadableTable<&'static str, u64>) -> Result<Totals, StoreError> {
    Ok(Totals {
        rows: mark_of(meta, "rows")?,
        digest: mark_of(meta, "digest")?,
        leases: mark_of(meta, "leases")?,
    })
}

/// Reads the index back. Rows without checksums are taken as they are. With `each`, every row is also looked up by its place, as it will be later.
fn load(database: &Database, has_sums: bool, each: bool) -> Result<Loaded, StoreError> {
    let read = database.begin_read().map_err(failed)?;
    let mut engine = Engine::new();
    let now = Instant::now();
    let mut totals = Totals::default();
    for lease in read
        .open_table(LEASES)
        .map_err(failed)?
        .iter()
        .map_err(failed)?
    {
        let (id, ttl) = lease.map_err(failed)?;
        let (id, ttl) = (id.value(), ttl.value());
        totals.leases ^= lease_sum(id, ttl);
        engine.leases.insert(LeaseId(id), ttl, now);
    }
    let mut in_use = 0;
    let rows = read.open_table(ROWS).map_err(failed)?;
    for row in rows.iter().map_err(failed)? {
        let (place, bytes) = row.map_err(failed)?;
        let (revision, sub) = place.value();
        let place = Place { revision, sub };
        let row = Row::of(place, bytes.value(), has_sums)?;
        totals.rows += 1;
        totals.digest ^= row.sum;
        in_use += row.cost();
        if each {
            let found = rows.get((revision, sub)).map_err(failed)?;
            let found = found.ok_or_else(|| missing(place))?;
            if Row::of(place, found.value(), has_sums)?.sum != row.sum {
                return Err(unreadable(place));
            }
        }
        let live = row.live.then_some(Live {
            create_revision: row.create_revision,
            version: row.version,
            lease: row.lease,
            slot: (),
        });
        engine.restore(Bytes::copy_from_slice(row.key), place, live);
    }
    let meta = read.open_table(META).map_err(failed)?;
    let written = totals_of(&meta)?;
    if has_sums && mark_of(&meta, "check")? != sum_of_marks(&meta)? {
        return Err(StoreError::Corrupt(
            "its marks are not what was written".to_owned(),
        ));
    }
    if has_sums && written != totals {
        return Err(StoreError::Corrupt(format!(
            "of its {} rows {} are there, and rows and leases are not those that were written",
            written.rows, totals.rows
        )));
    }
    engine.restore_marks(mark_of(&meta, "revision")?, mark_of(&meta, "compacted")?);
    Ok(Loaded {
        engine,
        in_use,
        swept: mark_of(&meta, "swept")?,
        totals,
    })
}

fn unreadable(place: Place) -> StoreError {
    StoreError::Corrupt(format!(
        "the row at {}.{} is not what was written",
        place.revision, place.sub
    ))
}

fn missing(place: Place) -> StoreError {
    StoreError::Corrupt(format!(
        "the row at {}.{} is missing",
        place.revision, place.sub
    ))
}

/// What was kept of a damaged file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Salvaged {
    pub(super) kept: u64,
    pub(super) lost: u64,
    pub(super) revision: Revision,
}

/// What is done with a row that was found.
type Take<'t> = dyn FnMut(Place, &[u8]) -> Result<(), StoreError> + 't;

/// Gives `take` every row from the first to the last of `revisions` that can be reached. Where a part can't be read, it
/// is divided, at most `tries` times.
fn salvage_rows(
    rows: &ReadOnlyTable<(u64, u32), &'static [u8]>,
    revisions: (Revision, Revision),
    tries: &mut u32,
    take: &mut Take<'_>,
) -> Result<(), StoreError> {
    let (from, to) = revisions;
    let mut last = from;
    // What `take` says is no word on the damaged file.
    let mut taken = Ok(());
    let read = guarded(|| {
        for entry in rows.range((from, 0)..=(to, u32::MAX)).map_err(failed)? {
            let (place, bytes) = entry.map_err(failed)?;
            let (revision, sub) = place.value();
            last = last.max(revision);
            taken = take(Place { revision, sub }, bytes.value());
            if taken.is_err() {
                break;
            }
        }
        Ok(())
    });
    taken?;
    if read.is_ok() || *tries == 0 || from == to {
        return Ok(());
    }
    *tries -= 1;
    let middle = last + (to - last) / 2;
    if last > from {
        // The rest of the revision that broke off, and what is behind it.
        return salvage_rows(rows, (last, to), tries, take);
    }
    salvage_rows(rows, (from, middle), tries, take)?;
    salvage_rows(rows, (middle + 1, to), tries, take)
}

/// A row taken apart.
struct Row<'a> {
    live: bool,
    create_revision: Revision,
    version: u64,
    lease: i64,
    key: &'a [u8],
    value: &'a [u8],
    /// Known of rows that were read.
    sum: u64,
}

impl<'a> Row<'a> {
    /// One that has a checksum or not.
    fn of(place: Place, bytes: &'a [u8], has_sum: bool) -> Result<Self, StoreError> {
        if has_sum {
            return Self::parse(place, bytes);
        }
        let row = Self::take(bytes).ok_or_else(|| unreadable(place))?;
        Ok(Self {
            sum: row_sum(place, bytes),
            ..row
        })
    }

    /// What it counts against the quota. Its checksum doesn't.
    fn cost(&self) -> u64 {
        (HEAD + self.key.len() + self.value.len()) as u64 + ROW_COST
    }

    fn parse(place: Place, bytes: &'a [u8]) -> Result<Self, StoreError> {
        let checked = || {
            let (row, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
            let sum = u64::from_le_bytes(sum.try_into().ok()?);
            if row_sum(place, row) != sum {
                return None;
            }
            Some(Self {
                sum,
                ..Self::take(row)?
            })
        };
        checked().ok_or_else(|| unreadable(place))
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
            sum: 0,
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
        .ok_or_else(|| missing(place))?;
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
        guarded(|| value_at(&self.rows, place))
    }

    /// Whole revisions from `next` to `last`, until `enough` events are there; and where to go on.
    pub(super) fn events(
        &self,
        next: Revision,
        last: Revision,
        enough: usize,
    ) -> Result<(Vec<Event>, Revision), StoreError> {
        guarded(|| self.read_events(next, last, enough))
    }

    fn read_events(
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
    totals: Totals,
    /// Bytes of rows added.
    pub(super) added: u64,
    /// Bytes of rows removed.
    pub(super) removed: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn open(write: &'t WriteTransaction) -> Result<Self, StoreError> {
        let meta = write.open_table(META).map_err(failed)?;
        Ok(Self {
            rows: write.open_table(ROWS).map_err(failed)?,
            leases: write.open_table(LEASES).map_err(failed)?,
            totals: totals_of(&meta)?,
            meta,
            added: 0,
            removed: 0,
        })
    }

    pub(super) fn mark(&mut self, name: &'static str, value: u64) -> Result<(), StoreError> {
        self.meta.insert(name, value).map_err(failed)?;
        Ok(())
    }

    /// Says what all comes to, before it is committed.
    pub(super) fn finish(mut self) -> Result<(u64, u64), StoreError> {
        write_totals(&mut self.meta, self.totals)?;
        Ok((self.added, self.removed))
    }

    pub(super) fn put_lease(&mut self, id: LeaseId, ttl: i64) -> Result<(), StoreError> {
        let before = self.leases.insert(id.0, ttl).map_err(failed)?;
        self.totals.leases ^= lease_sum(id.0, ttl);
        if let Some(before) = before {
            self.totals.leases ^= lease_sum(id.0, before.value());
        }
        Ok(())
    }

    pub(super) fn remove_lease(&mut self, id: LeaseId) -> Result<(), StoreError> {
        if let Some(before) = self.leases.remove(id.0).map_err(failed)? {
            self.totals.leases ^= lease_sum(id.0, before.value());
        }
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
            let row = Row::parse(place, row.value())?;
            self.removed += row.cost();
            self.totals.rows = self.totals.rows.saturating_sub(1);
            self.totals.digest ^= row.sum;
        }
        Ok(())
    }

    fn write(&mut self, place: Place, row: &Row<'_>) -> Result<(), StoreError> {
        let mut bytes = row.bytes();
        let sum = row_sum(place, &bytes);
        bytes.extend(sum.to_le_bytes());
        self.added += row.cost();
        self.totals.rows += 1;
        self.totals.digest ^= sum;
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
                sum: 0,
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
                sum: 0,
            },
        )
    }

    fn value(&self, place: Place, (): &()) -> Result<Bytes, StoreError> {
        value_at(&self.rows, place)
    }
}
