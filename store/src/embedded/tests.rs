#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::StreamExt;
use redb::StorageBackend;
use redb::backends::FileBackend;

use rove_model::ids::{JobKey, JobUid, VersionKey};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::backoff::Recovery;
use crate::election::Election;
use crate::keys::{Key, Keys};
use crate::lease_keeper::{LeaseConfig, LeaseKeeper};
use crate::store::{
    Compare, CompareOp, CompareTarget, Event, KeyRange, KeyValue, Op, OpResponse, WatchEvent,
};

/// A disk of bounded room, for a file that finds it full.
#[derive(Debug)]
pub(crate) struct Room(AtomicU64);

#[derive(Debug)]
pub(super) struct Bounded {
    file: FileBackend,
    room: Arc<Room>,
}

impl Bounded {
    pub(super) fn open(path: &Path, room: &Arc<Room>) -> Result<Self, redb::DatabaseError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(redb::StorageError::Io)?;
        Ok(Self {
            file: FileBackend::new(file)?,
            room: Arc::clone(room),
        })
    }

    fn check(&self, end: u64) -> io::Result<()> {
        if end > self.room.0.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for Bounded {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(len)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset + data.len() as u64)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Options::default()).unwrap()
}

async fn put(
    store: &EmbeddedStore,
    key: &str,
    value: impl Into<Bytes>,
) -> Result<Revision, StoreError> {
    let txn = Txn {
        then: vec![Op::put(key.to_owned(), value)],
        ..Txn::default()
    };
    Ok(store.txn(txn).await?.revision)
}

async fn get(store: &EmbeddedStore, key: &str) -> Option<KeyValue> {
    let request = RangeRequest::new(KeyRange::Key(key.to_owned().into()));
    store.range(request).await.unwrap().kvs.pop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_every_promise_of_a_store() {
    let dir = tempfile::tempdir().unwrap();
    crate::conformance::run_all(Arc::new(open(dir.path()))).await;
    // The file it left behind reads back.
    let store = open(dir.path());
    assert!(store.status().await.unwrap().revision > 1_000);
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.status().await.unwrap().store_id;
    let first = put(&store, "a", "1").await.unwrap();
    let (lease, _) = store.lease_grant(60, None).await.unwrap();
    let txn = Txn {
        then: vec![Op::Put {
            key: "leased".into(),
            value: "x".into(),
            lease: Some(lease),
        }],
        ..Txn::default()
    };
    store.txn(txn).await.unwrap();
    put(&store, "a", "2").await.unwrap();
    put(&store, "gone", "1").await.unwrap();
    let delete = Txn {
        then: vec![Op::delete("gone")],
        ..Txn::default()
    };
    let last = store.txn(delete).await.unwrap().revision;
    let before = get(&store, "a").await;
    drop(store);

    let store = open(dir.path());
    let status = store.status().await.unwrap();
    assert_eq!((status.revision, status.store_id), (last, id));
    assert_eq!(get(&store, "a").await, before);
    assert_eq!(get(&store, "gone").await, None);
    assert_eq!(store.lease_time_to_live(lease).await.unwrap().1, 60);
    let old = RangeRequest {
        revision: Some(first),
        ..RangeRequest::new(KeyRange::Key("a".into()))
    };
    assert_eq!(store.range(old).await.unwrap().kvs[0].value, "1");
    let mut watch = store
        .watch(WatchRequest {
            keys: KeyRange::From(Bytes::new()),
            start: Some(first),
        })
        .await
        .unwrap();
    let Some(Ok(WatchEvent::Batch { events, revision })) = watch.next().await else {
        panic!("history is read from the disk");
    };
    assert_eq!((events.len(), revision), (5, last));
    store.lease_revoke(lease).await.unwrap();
    assert_eq!(get(&store, "leased").await, None);
    drop(store);
    let store = open(dir.path());
    assert!(store.leases().await.unwrap().is_empty());
    assert_eq!(get(&store, "leased").await, None);
}

#[tokio::test]
async fn nobody_but_its_owner_reads_it_though_others_once_could() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for _ in 0..2 {
        drop(open(&folder));
        assert_eq!(mode(&folder), 0o700);
        for file in ["store.redb", "lock"] {
            let path = folder.join(file);
            assert_eq!(mode(&path), 0o600, "{file}");
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = EmbeddedStore::open(dir.path(), Options::default())
        .err()
        .unwrap()
        .to_string();
    let pid = std::process::id();
    assert!(
        error.ends_with(&format!("in use by process {pid}")),
        "{error}"
    );
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn compaction_gives_the_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let value = Bytes::from(vec![1; 10_000]);
    let mut sizes = Vec::new();
    for _ in 0..8 {
        let mut last = 0;
        for _ in 0..40 {
            last = put(&store, "a", value.clone()).await.unwrap();
        }
        store.compact(last).await.unwrap();
        // What is swept between requests shows in the count of bytes.
        while store.status().await.unwrap().db_size_in_use > 30_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sizes.push(store.status().await.unwrap().db_size);
    }
    assert!(
        sizes[7] <= 2 * sizes[0],
        "3 MB went through, the file stays: {sizes:?}"
    );
    drop(store);
    let store = open(dir.path());
    assert_eq!(get(&store, "a").await.unwrap().version, 320);
    assert!(store.status().await.unwrap().db_size_in_use < 30_000);
}

#[tokio::test]
async fn a_compaction_cut_short_is_finished_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..50 {
        let keys: Vec<_> = (0..60).map(|number| format!("{}", number % 10)).collect();
        let puts = keys.iter().map(|key| put(&store, key, round.to_string()));
        futures::future::try_join_all(puts).await.unwrap();
    }
    let last = store.status().await.unwrap().revision;
    store.compact(last).await.unwrap();
    drop(store);
    let store = open(dir.path());
    while store.status().await.unwrap().db_size_in_use > 10 * 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(
        store.compact(last).await,
        Err(StoreError::Compacted { .. })
    ));
    let all = RangeRequest::new(KeyRange::From(Bytes::new()));
    assert_eq!(store.range(all).await.unwrap().kvs.len(), 10);
}

#[tokio::test]
async fn over_its_quota_it_refuses_writes_and_takes_deletes_and_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        quota_bytes: 50_000,
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let value = Bytes::from(vec![1; 10_000]);
    let mut count = 0;
    let error = loop {
        match put(&store, &format!("a/{count}"), value.clone()).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::NoSpace), "{error}");
    assert_eq!(count, 5);
    assert_eq!(store.status().await.unwrap().quota, Some(50_000));
    let delete = Txn {
        then: vec![Op::Delete(KeyRange::prefix("a/"))],
        ..Txn::default()
    };
    let at = store.txn(delete).await.unwrap().revision;
    store.compact(at).await.unwrap();
    while put(&store, "b", value.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_only_reads_does_not_wait_for_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = put(&store, "a", "1").await.unwrap();
    put(&store, "b", "2").await.unwrap();
    let read = Txn {
        compares: vec![
            Compare::unchanged("a", at),
            Compare {
                keys: KeyRange::Key("b".into()),
                target: CompareTarget::Value("2".into()),
                op: CompareOp::Equal,
            },
        ],
        then: vec![
            Op::Range(RangeRequest::new(KeyRange::From(Bytes::new()))),
            Op::Range(RangeRequest {
                revision: Some(at),
                ..RangeRequest::new(KeyRange::Key("b".into()))
            }),
        ],
        otherwise: Vec::new(),
    };
    // The writer is kept from the disk: it has one writing transaction at a time.
    let writing = store.handle.shared.disk.begin().unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { put(&store, "c", "3").await }
    });
    let answer = store.txn(read).await.unwrap();
    assert_eq!((answer.succeeded, answer.revision), (true, at + 1));
    let counts: Vec<_> = answer
        .responses
        .iter()
        .map(|response| match response {
            OpResponse::Range(range) => range.kvs.len(),
            _ => panic!("{response:?}"),
        })
        .collect();
    assert_eq!(counts, [2, 0]);
    assert!(!waiting.is_finished());
    drop(writing);
    waiting.await.unwrap().unwrap();
}

/// A write as the job loop's, an election's, or any other's.
async fn put_on(
    store: &EmbeddedStore,
    key: &Key,
    length: usize,
    lease: Option<LeaseId>,
) -> Result<Revision, StoreError> {
    let txn = Txn {
        then: vec![Op::Put {
            key: Keys::default().encode(key),
            value: vec![1; length].into(),
            lease,
        }],
        ..Txn::default()
    };
    Ok(store.txn(txn).await?.revision)
}

#[tokio::test]
async fn a_store_that_was_opened_full_still_elects_collects_and_takes_jobs_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        quota_bytes: 200_000,
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options.clone()).unwrap();
    let job = |number: u8| {
        Key::JobVersion(VersionKey {
            job: JobKey::new("default", number.to_string()),
            uid: JobUid::from_random([number; 16]),
            version: 0,
        })
    };
    let mut jobs = 0;
    while put_on(&store, &job(jobs), 10_000, None).await.is_ok() {
        jobs += 1;
    }
    drop(store);
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir.path(), options.clone()).unwrap());
    let keeper = LeaseKeeper::start(
        Arc::clone(&store),
        LeaseConfig {
            ttl: 5,
            resume: None,
            revoke_on_stop: true,
            seed: 1,
            recovery: Recovery::default(),
        },
        &CancellationToken::new(),
    );
    let (publish, mut term) = tokio::sync::watch::channel(None);
    let election = Election {
        store: Arc::clone(&store),
        keys: Keys::default(),
        loops: vec!["gc".to_owned()],
        server: "one".to_owned(),
        seed: 1,
    };
    let mut tasks = tokio::task::JoinSet::new();
    let cancel = CancellationToken::new();
    tasks.spawn(election.run(keeper.lease(), publish, cancel.clone()));
    let term = term
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    // What gc does for a purged job.
    let collected = Txn {
        compares: vec![term.fence("gc").compare()],
        then: vec![
            Op::delete(Keys::default().encode(&job(0))),
            Op::delete(Keys::default().encode(&job(1))),
        ],
        ..Txn::default()
    };
    assert!(store.txn(collected).await.unwrap().succeeded);
    cancel.cancel();
    while tasks.join_next().await.is_some() {}
    keeper.stop().await;
    drop(store);
    // Nobody compacts, and there is room all the same.
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    while put_on(&store, &job(jobs), 10_000, None).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn overwriting_without_anyone_compacting_never_fills_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        quota_bytes: 1_000_000,
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    for round in 0..600_u32 {
        put(&store, &format!("{}", round % 10), vec![1; 5_000])
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    let status = store.status().await.unwrap();
    assert!(status.db_size_in_use <= 1_200_000, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let room = Arc::new(Room(AtomicU64::new(3 << 20)));
    let options = Options {
        cache_bytes: 1 << 20,
        room: Some(Arc::clone(&room)),
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options.clone()).unwrap();
    let mut watch = store
        .watch(WatchRequest {
            keys: KeyRange::prefix("a/"),
            start: None,
        })
        .await
        .unwrap();
    let mut acknowledged = 0;
    let mut seen = 0;
    for round in 0..3 {
        let value = Bytes::from(vec![round; 50_000]);
        let error = loop {
            match put(&store, &format!("a/{acknowledged:04}"), value.clone()).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, StoreError::NoSpace | StoreError::Disk(_)),
            "{error}"
        );
        assert!(
            acknowledged > 10 * (usize::from(round) + 1),
            "{acknowledged}"
        );
        // The file grows in steps of up to its own size.
        room.0.fetch_add(3 << (20 + round), Ordering::Relaxed);
        // It mends itself: reads come back without a write.
        while store
            .range(RangeRequest::new(KeyRange::prefix("a/")))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while put(&store, &format!("a/{acknowledged:04}"), value.clone())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged += 1;
        while seen < acknowledged {
            let Some(Ok(WatchEvent::Batch { events, .. })) = watch.next().await else {
                panic!("the watch goes on over a full disk");
            };
            seen += events.len();
        }
    }
    let check = async |store: &EmbeddedStore| {
        let all = RangeRequest::new(KeyRange::prefix("a/"));
        let kvs = store.range(all).await.unwrap().kvs;
        assert!(kvs.len() >= acknowledged);
        for (number, kv) in kvs.iter().enumerate() {
            assert_eq!(kv.key, format!("a/{number:04}"));
            assert_eq!(kv.value.len(), 50_000);
        }
    };
    check(&store).await;
    drop(watch);
    drop(store);
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    check(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_read_on_and_not_opened_anew_for_each_write() {
    let dir = tempfile::tempdir().unwrap();
    let room = Arc::new(Room(AtomicU64::new(3 << 20)));
    let options = Options {
        cache_bytes: 1 << 20,
        room: Some(Arc::clone(&room)),
        ..Options::default()
    };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let mut written = 0;
    while put(&store, &format!("{written:04}"), vec![1; 50_000])
        .await
        .is_ok()
    {
        written += 1;
    }
    let before = store.handle.shared.disk.opened();
    for _ in 0..200 {
        assert!(put(&store, "more", vec![1; 50_000]).await.is_err());
    }
    let opened = store.handle.shared.disk.opened() - before;
    assert!(opened <= 5, "{opened}");
    // It is read all the while, once it is open again.
    while store
        .range(RangeRequest::new(KeyRange::Key("0000".into())))
        .await
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(get(&store, "0000").await.is_some());
    room.0.store(u64::MAX, Ordering::Relaxed);
    while put(&store, "more", vec![1; 50_000]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes of a store's file one as earlier versions wrote it: rows without checksums, and no totals.
fn without_sums(dir: &Path) {
    use redb::ReadableTable as _;

    let database = redb::Database::open(dir.join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut rows = write.open_table(disk::ROWS).unwrap();
        let all: Vec<_> = rows
            .iter()
            .unwrap()
            .map(|row| {
                let (place, bytes) = row.unwrap();
                (place.value(), bytes.value().to_vec())
            })
            .collect();
        for (place, bytes) in all {
            rows.insert(place, &bytes[..bytes.len() - 8]).unwrap();
        }
        let mut meta = write.open_table(disk::META).unwrap();
        meta.insert("format", 1).unwrap();
        for mark in ["rows", "digest", "leases", "check"] {
            meta.remove(mark).unwrap();
        }
    }
    write.commit().unwrap();
    drop(database);
    std::fs::remove_file(dir.join(MARKER)).unwrap();
}

#[tokio::test]
async fn a_store_of_an_earlier_version_gains_checksums_and_its_damage_is_noticed_then() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.status().await.unwrap().store_id;
    for number in 0..2_500 {
        put(&store, &format!("{number:04}"), vec![b'v'; 20])
            .await
            .unwrap();
    }
    store.lease_grant(600, None).await.unwrap();
    let all = async |store: &EmbeddedStore| {
        let all = RangeRequest::new(KeyRange::From(Bytes::new()));
        store.range(all).await.unwrap()
    };
    let before = all(&store).await;
    drop(store);
    without_sums(dir.path());
    let store = open(dir.path());
    assert_eq!(all(&store).await, before);
    assert_eq!(store.status().await.unwrap().store_id, id);
    drop(store);
    let store = open(dir.path());
    assert_eq!(all(&store).await, before);
    drop(store);
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(20)
        .rposition(|window| window == [b'v'; 20])
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = EmbeddedStore::open(dir.path(), Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("store.redb") && error.contains("repair"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_left_of_a_damaged_store_is_kept_and_the_rest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let count = 2_000;
    for number in 0..count {
        put(
            &store,
            &format!("/rove/{number:04}"),
            format!("{{\"n\":{number}}}"),
        )
        .await
        .unwrap();
    }
    let revision = store.status().await.unwrap().revision;
    assert!(matches!(
        tools::check(dir.path()),
        Err(OpenError::InUse { .. })
    ));
    drop(store);
    let report = tools::check(dir.path()).unwrap();
    assert_eq!((report.keys, report.revision), (count, revision));
    assert_eq!(tools::repair(dir.path()).unwrap().damaged, None);
    // A page of rows is gone, and one row on another.
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let find = |bytes: &[u8], text: &str| {
        let text = text.as_bytes();
        bytes
            .windows(text.len())
            .enumerate()
            .filter(|(_, window)| *window == text)
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    for at in find(&bytes, "{\"n\":1500}") {
        bytes[at + 5] = b'9';
    }
    // Of the pages that hold the other, most are old ones; and one of an inner page leaves nothing to keep.
    let whole = bytes.clone();
    let mut pages: Vec<_> = find(&whole, "{\"n\":300}")
        .into_iter()
        .map(|at| at / 4_096 * 4_096)
        .collect();
    pages.dedup();
    let repaired = pages.into_iter().find_map(|page| {
        bytes.clone_from(&whole);
        bytes[page..page + 4_096].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let checked = tools::check(dir.path());
        assert!(matches!(checked, Err(OpenError::Damaged { .. })));
        assert!(EmbeddedStore::open(dir.path(), Options::default()).is_err());
        let repaired = match tools::repair(dir.path()) {
            Ok(repaired) => repaired,
            Err(OpenError::Damaged { .. }) => return None,
            Err(error) => panic!("{error}"),
        };
        (repaired.kept < count - 1).then_some(repaired)
    });
    let repaired = repaired.unwrap();
    assert!(repaired.kept > count / 2, "{repaired:?}");
    assert!(repaired.lost >= 1, "{repaired:?}");
    assert_eq!(
        std::fs::read(repaired.damaged.clone().unwrap()).unwrap(),
        bytes
    );
    let mut lines = Vec::new();
    let exported = tools::export(dir.path(), &mut lines).unwrap();
    assert_eq!(exported, repaired.kept);
    let lines = String::from_utf8(lines).unwrap();
    assert!(
        lines.contains("{\"key\":\"/rove/1999\",\"mod_revision\":"),
        "{lines}"
    );
    assert!(
        !lines.contains("\"n\":300}") && !lines.contains("9500"),
        "{lines}"
    );
    let store = open(dir.path());
    for number in 0..count {
        if let Some(kv) = get(&store, &format!("/rove/{number:04}")).await {
            assert_eq!(kv.value, format!("{{\"n\":{number}}}"));
        }
    }
    assert_eq!(
        put(&store, "/rove/new", "1").await.unwrap(),
        repaired.revision + 1
    );
    drop(store);
    // Nothing is kept of an empty one.
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        tools::repair(dir.path()),
        Err(OpenError::Damaged { .. })
    ));
}

#[tokio::test]
async fn a_file_of_a_later_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let database = redb::Database::open(dir.path().join("store.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(redb::TableDefinition::<&str, u64>::new("meta"))
        .unwrap()
        .insert("format", 9)
        .unwrap();
    write.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(dir.path(), Options::default())
        .err()
        .unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("its layout is 9"), "{source}");
}

#[tokio::test]
async fn a_lease_ends_while_nobody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (lease, _) = store.lease_grant(1, None).await.unwrap();
    let txn = Txn {
        then: vec![Op::Put {
            key: "a".into(),
            value: "1".into(),
            lease: Some(lease),
        }],
        ..Txn::default()
    };
    let at = store.txn(txn).await.unwrap().revision;
    let mut watch = store
        .watch(WatchRequest {
            keys: KeyRange::Key("a".into()),
            start: Some(at + 1),
        })
        .await
        .unwrap();
    let Some(Ok(WatchEvent::Batch { events, .. })) = watch.next().await else {
        panic!("the end of a lease is told");
    };
    assert_eq!(
        events,
        [Event::Delete {
            key: "a".into(),
            mod_revision: at + 1
        }]
    );
}
