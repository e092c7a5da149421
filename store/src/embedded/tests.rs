#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::StreamExt;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::store::{KeyRange, KeyValue, Op, WatchEvent};

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
