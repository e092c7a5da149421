//! Files of the embedded store that are not what was written: each damage is noticed by name, or changes nothing.

#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rove_store::embedded::{EmbeddedStore, OpenError, Options};
use rove_store::store::{KeyRange, KeyValue, Op, RangeRequest, Store, StoreError, Txn};

const PAGE: usize = 4_096;

/// Panics that were shown to anybody.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    HeaderBit,
    Bytes,
    ZeroPage,
    CopiedPage,
    Truncated,
    Emptied,
    Removed,
    SwappedPages,
    ZeroRange,
    TruncatedAtPage,
    /// Cut off, and made as long as it was again.
    LostTail,
    /// A copy of an earlier time, put back whole.
    OlderCopy,
    /// Some pages of an earlier time.
    OlderPages,
    /// The later part is of an earlier time, or the earlier part.
    OlderTail,
    OlderHead,
}

const DAMAGES: [Damage; 16] = [
    Damage::Bit,
    Damage::HeaderBit,
    Damage::Bytes,
    Damage::ZeroPage,
    Damage::CopiedPage,
    Damage::Truncated,
    Damage::Emptied,
    Damage::Removed,
    Damage::SwappedPages,
    Damage::ZeroRange,
    Damage::TruncatedAtPage,
    Damage::LostTail,
    Damage::OlderCopy,
    Damage::OlderPages,
    Damage::OlderTail,
    Damage::OlderHead,
];

impl Damage {
    /// Whether what is there after it may be what was there at an earlier time: nobody can tell a copy that was put back
    /// from what it is a copy of.
    fn is_older(self) -> bool {
        matches!(
            self,
            Self::OlderCopy | Self::OlderPages | Self::OlderTail | Self::OlderHead
        )
    }

    /// Does it to the file, of which there is an older one; gives what it did.
    fn strike(self, file: &Path, older: &Path, rng: &mut StdRng) -> String {
        let older = fs::read(older).unwrap();
        let mut bytes = fs::read(file).unwrap();
        let length = bytes.len();
        let at = rng.random_range(0..length);
        match self {
            Self::Bit => bytes[at] ^= 1 << rng.random_range(0..8),
            Self::HeaderBit => bytes[at % 512] ^= 1 << rng.random_range(0..8),
            Self::Bytes => {
                let end = (at + rng.random_range(1..64)).min(length);
                bytes[at..end].fill_with(|| rng.random());
            }
            Self::ZeroPage => {
                let page = at / PAGE * PAGE;
                let end = (page + PAGE).min(length);
                bytes[page..end].fill(0);
            }
            Self::CopiedPage => {
                let (from, to) = (at / PAGE, rng.random_range(0..length / PAGE));
                let page = bytes[from * PAGE..(from + 1) * PAGE].to_vec();
                bytes[to * PAGE..(to + 1) * PAGE].copy_from_slice(&page);
            }
            Self::Truncated => bytes.truncate(at),
            Self::SwappedPages => {
                let (one, other) = (at / PAGE, rng.random_range(0..length / PAGE));
                for byte in 0..PAGE {
                    bytes.swap(one * PAGE + byte, other * PAGE + byte);
                }
            }
            Self::ZeroRange => {
                let end = (at + rng.random_range(1..3 * PAGE)).min(length);
                bytes[at..end].fill(0);
            }
            Self::TruncatedAtPage => bytes.truncate(at / PAGE * PAGE),
            Self::LostTail => {
                bytes.truncate(at);
                bytes.resize(length, 0);
            }
            Self::OlderCopy => bytes = older,
            Self::OlderPages => {
                for _ in 0..rng.random_range(1..8) {
                    let page = rng.random_range(0..length.min(older.len()) / PAGE) * PAGE;
                    bytes[page..page + PAGE].copy_from_slice(&older[page..page + PAGE]);
                }
            }
            Self::OlderTail => {
                let from = at.min(older.len()) / PAGE * PAGE;
                bytes.truncate(from);
                bytes.extend(&older[from..]);
            }
            Self::OlderHead => {
                let upto = at.min(older.len()) / PAGE * PAGE;
                bytes[..upto].copy_from_slice(&older[..upto]);
            }
            Self::Emptied => bytes.clear(),
            Self::Removed => {
                fs::remove_file(file).unwrap();
                return format!("{self:?}");
            }
        }
        fs::write(file, bytes).unwrap();
        format!("{self:?} at {at} of {length}")
    }
}

fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(dir, Options::default())
}

async fn put(store: &EmbeddedStore, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
    let txn = Txn {
        then: vec![Op::put(key.to_owned(), value)],
        ..Txn::default()
    };
    store.txn(txn).await.map(|_| ())
}

async fn all(store: &EmbeddedStore) -> Result<Vec<KeyValue>, StoreError> {
    let all = RangeRequest::new(KeyRange::From("".into()));
    Ok(store.range(all).await?.kvs)
}

/// A store that was closed, and what was in it; and a copy of it, of an earlier time when it was closed as well.
async fn written(dir: &Path, older: &Path) -> [Vec<KeyValue>; 2] {
    let store = open(dir).unwrap();
    for number in 0..60_usize {
        let key = format!("/rove/jobs/{:03}", number * 2);
        put(&store, &key, vec![b'z'; 900]).await.unwrap();
    }
    let before = all(&store).await.unwrap();
    drop(store);
    copy(dir, older);
    let store = open(dir).unwrap();
    for round in 0..3_u8 {
        for number in 0..120_usize {
            let value = vec![b'a' + round; 40 + number * 11];
            put(&store, &format!("/rove/jobs/{number:03}"), value)
                .await
                .unwrap();
        }
    }
    put(&store, "/rove/large", vec![7; 200_000]).await.unwrap();
    for number in 0..10 {
        let (lease, _) = store.lease_grant(3_600, None).await.unwrap();
        let txn = Txn {
            then: vec![Op::Put {
                key: format!("/rove/leased/{number}").into(),
                value: "alive".into(),
                lease: Some(lease),
            }],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
    }
    let gone = Txn {
        then: vec![Op::delete("/rove/jobs/007")],
        ..Txn::default()
    };
    store.txn(gone).await.unwrap();
    [all(&store).await.unwrap(), before]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn chain(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What became of a damaged store.
#[derive(Debug, PartialEq)]
enum Outcome {
    Named,
    Harmless,
}

async fn outcome(dir: &Path, either: &[Vec<KeyValue>]) -> Result<Outcome, String> {
    let damaged = fs::read(dir.join("store.redb")).ok();
    let store = match open(dir) {
        Ok(store) => store,
        Err(error) => {
            let text = chain(&error);
            if !text.contains("store.redb") {
                return Err(format!("no file is named: {text}"));
            }
            // What was refused is not changed, nor taken the next time.
            return match open(dir) {
                _ if fs::read(dir.join("store.redb")).ok() != damaged => {
                    Err("the damaged file was written to".to_owned())
                }
                Ok(_) => Err(format!("taken the second time, after {text}")),
                Err(_) => Ok(Outcome::Named),
            };
        }
    };
    let found = all(&store)
        .await
        .map_err(|error| format!("not noticed when opened: {error}"))?;
    let Some(before) = either.iter().find(|before| found == **before) else {
        return Err(format!(
            "changed in silence: {} keys of {}",
            found.len(),
            either[0].len()
        ));
    };
    put(&store, "/rove/later", vec![1; 10_000])
        .await
        .map_err(|error| format!("it can't be written: {error}"))?;
    drop(store);
    let again = open(dir).map_err(|error| format!("not the second time: {}", chain(&error)))?;
    let found = all(&again).await.map_err(|error| error.to_string())?;
    if found.iter().filter(|kv| kv.key != "/rove/later").ne(before) {
        return Err("changed once it was written to".to_owned());
    }
    Ok(Outcome::Harmless)
}

async fn strike(seeds: std::ops::Range<u64>) {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        eprintln!("{panic}");
    }));
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    let older = root.path().join("older");
    let [newest, earlier] = written(&whole, &older).await;
    let mut failures = Vec::new();
    let (mut named, mut harmless) = (0, 0);
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let damage = DAMAGES[usize::try_from(seed).unwrap() % DAMAGES.len()];
        let dir: PathBuf = root.path().join(seed.to_string());
        copy(&whole, &dir);
        let what = damage.strike(&dir.join("store.redb"), &older.join("store.redb"), &mut rng);
        let panics = PANICS.load(Ordering::Relaxed);
        let at = dir.clone();
        let mut expected = vec![newest.clone()];
        if damage.is_older() {
            expected.push(earlier.clone());
        }
        let outcome = tokio::spawn(async move { outcome(&at, &expected).await }).await;
        match outcome {
            Ok(Ok(Outcome::Named)) => named += 1,
            Ok(Ok(Outcome::Harmless)) => harmless += 1,
            Ok(Err(why)) => failures.push(format!("seed {seed}, {what}: {why}")),
            Err(error) => failures.push(format!("seed {seed}, {what}: {error}")),
        }
        if PANICS.load(Ordering::Relaxed) != panics {
            failures.push(format!("seed {seed}, {what}: a panic"));
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    let _ = std::panic::take_hook();
    println!("{named} named, {harmless} harmless");
    assert!(
        failures.is_empty(),
        "{}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_hundred_damages_is_named_or_harmless() {
    strike(0..200).await;
}

/// For nights: more of the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn each_of_five_thousand_damages_is_named_or_harmless() {
    strike(200..5_200).await;
}
