//! What the tests of every crate share: where test data lies, and what a machine has to run them with.
//!
//! A clone of this repository is green wherever it stands. What a test needs beyond it (the recorded answers of the
//! reference, an etcd, a docker engine) is looked for here; a test that doesn't find its part says "skipped" and
//! ends. `ROVE_REQUIRE_ALL=1`, which `.ci/run` sets after it has installed those parts, makes a missing one a failure.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

pub mod etcd;
mod small_disk;

use std::env;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use small_disk::SmallDisk;

/// How long a test waits for what has to happen. It only ends a wait that is in vain: no test is to fail because a
/// machine is busy, and what a test asserts never depends on it.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder of the files that tests of several crates read; it is part of the repository.
#[must_use]
pub fn testdata() -> PathBuf {
    workspace().join("testdata")
}

/// The folder of what was recorded of the reference, which `ROVE_REFERENCE` names; `None` (with a word) where it
/// names none.
///
/// # Panics
/// When `ROVE_REFERENCE` names what is not a folder: a slip there must not pass for "skipped".
#[must_use]
pub fn reference() -> Option<PathBuf> {
    let named = env::var_os("ROVE_REFERENCE").filter(|name| !name.is_empty());
    let Some(folder) = named.map(PathBuf::from) else {
        println!("skipped: ROVE_REFERENCE names no folder of recorded answers");
        return None;
    };
    assert!(
        folder.is_dir(),
        "ROVE_REFERENCE names no folder: {}",
        folder.display()
    );
    Some(folder)
}

/// The roots of sample job files: the repository's own, and the reference's where it is named. Beneath each lie
/// `jobspec/` (`NN-name.nomad.hcl`, the job it becomes as `.json`, what is said of that as `.validate.json`) and
/// `jobspec-invalid/` (what is refused, and in which words as `.err.txt`).
///
/// # Panics
/// As [`reference`] does.
#[must_use]
pub fn samples() -> Vec<PathBuf> {
    let mut roots = vec![testdata()];
    roots.extend(reference());
    roots
}

/// Whether the expectations beside the repository's own samples are to be written anew instead of compared with
/// (`ROVE_UPDATE_TESTDATA=1`). What changed is then read in the difference that is committed.
#[must_use]
pub fn updates(root: &Path) -> bool {
    root == testdata() && env::var_os("ROVE_UPDATE_TESTDATA").is_some_and(|value| value == "1")
}

/// How many cases a property is tried with: what `PROPTEST_CASES` says, or else what is usual for it.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// Neither the kernel nor rove takes these ports by itself: those of outgoing connections lie above, the dynamic ones of
/// allocs too.
const PORTS: Range<u16> = 10_000..20_000;

/// A port of this host that no other test is given while this process lives, so that a server may end and start again
/// on it.
///
/// # Panics
/// When there is none, or the folder that says which are taken can't be written.
#[must_use]
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

    let user =
        std::fs::metadata("/proc/self").map_or(0, |own| std::os::unix::fs::MetadataExt::uid(&own));
    let folder = env::temp_dir().join(format!("rove-test-ports-{user}"));
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    // Processes begin at different places, so that they seldom meet.
    let count = usize::from(PORTS.end - PORTS.start);
    let begin = std::process::id() as usize * 97 % count;
    for port in PORTS.cycle().skip(begin).take(count) {
        let path = folder.join(port.to_string());
        let file =
            File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            held.push(file);
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Whether a part that a test needs is there. Without it the test is skipped with a word.
///
/// # Panics
/// When it is missing where all tests have to run (`ROVE_REQUIRE_ALL=1`).
#[must_use]
pub fn available(what: &str, there: bool) -> bool {
    if !there {
        let required = env::var_os("ROVE_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{what} is missing");
        println!("skipped: {what} is missing");
    }
    there
}

/// Whether a program that a test starts can be started, as [`available`] says.
///
/// # Panics
/// As [`available`] does.
#[must_use]
pub fn program(name: &str) -> bool {
    let there = Command::new(name)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    available(name, there)
}
