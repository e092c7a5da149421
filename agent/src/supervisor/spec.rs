//! The files in a task's state directory, and who may write them when.
//!
//! - `spec.json`: what to run. Written by the driver before it asks for a supervisor. Whoever renames it away decides:
//!   the supervisor claims it, the driver revokes it. So a supervisor that comes late starts nothing.
//! - `lock`: held (flock) by the supervisor while it lives. A free lock means that there is none, whatever numbers say.
//! - `supervisor.json`: who runs. Written by the supervisor once the task was started, durably.
//! - `exit.json`: how it ended. Written once, durably.
//! - `control`: the supervisor's socket.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rove_model::ids::UnixNanos;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    drivers::ExitResult,
    logs::LogLimits,
    sys::{ProcessId, cgroup::TaskCgroup, fork::Identity},
};

/// What the supervisor runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The task's name, for its log files.
    pub task: String,
    /// The program, found already.
    pub program: PathBuf,
    /// Its first argument: the name it is called by.
    pub called: String,
    /// The further ones.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub work_dir: PathBuf,
    /// Who to run as, if not as the agent.
    pub identity: Option<Identity>,
    /// The control group's name.
    pub cgroup: String,
    /// Where the log files go.
    pub log_dir: PathBuf,
    /// How much of them is kept; the output goes nowhere if none.
    pub logs: Option<LogLimits>,
}

/// Who runs a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The supervisor.
    pub supervisor: ProcessId,
    /// The task's first process.
    pub task_pid: i32,
    /// When it was started.
    pub started_at: UnixNanos,
    /// What holds its processes.
    pub cgroup: Option<TaskCgroup>,
}

/// Whether a record is there but can't be understood: a file system that lost its newest data with its power may leave
/// it empty or full of zeros.
#[must_use]
pub fn is_damaged(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// The state directory of one task.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

const LOCK_TRIES: u32 = 200;
const LOCK_TICK: Duration = Duration::from_millis(1);

const SPEC: &str = "spec.json";
const CLAIMED: &str = "claimed.json";
const LOCK: &str = "lock";
const STARTED: &str = "supervisor.json";
const EXIT: &str = "exit.json";
const EXIT_NEW: &str = "exit.json.new";
/// As much as any exit takes, with what is said of it.
const EXIT_ROOM: usize = 1024;
/// The name of the control socket.
pub const CONTROL: &str = "control";

impl StateDir {
    /// The state directory at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where one of its files is.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts what is to be run there.
    ///
    /// # Errors
    /// It can't be written.
    pub fn offer<T: Serialize>(&self, spec: &T) -> io::Result<()> {
        self.write(SPEC, spec, false)
    }

    /// Takes back what no supervisor has claimed. True when one has.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn revoke(&self) -> io::Result<bool> {
        match fs::remove_file(self.file(SPEC)) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.file(CLAIMED).exists())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes what is to be run, once. What is read is removed, as it may hold secrets.
    ///
    /// # Errors
    /// There is nothing, or it is no specification.
    pub fn claim<T: DeserializeOwned>(&self) -> io::Result<T> {
        fs::rename(self.file(SPEC), self.file(CLAIMED))?;
        let text = fs::read(self.file(CLAIMED))?;
        File::create(self.file(CLAIMED))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Locks it for the caller's life; None when another process has it.
    ///
    /// # Errors
    /// The lock's file can't be opened.
    pub fn lock(&self) -> io::Result<Option<Flock<File>>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.file(LOCK))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// As [`StateDir::lock`], but not put off by those who only look, who hold it for some microseconds. Says there who
    /// holds it.
    ///
    /// # Errors
    /// The lock's file can't be opened.
    pub fn lock_in_time(&self) -> io::Result<Option<Flock<File>>> {
        for _ in 0..LOCK_TRIES {
            if let Some(mut lock) = self.lock()? {
                let text = serde_json::to_vec(&ProcessId::current()?)?;
                // For the case that it is stopped before it could record anything; the lock holds without it.
                let _ = lock.set_len(0).and_then(|()| lock.write_all(&text));
                return Ok(Some(lock));
            }
            std::thread::sleep(LOCK_TICK);
        }
        Ok(None)
    }

    /// Who last held the lock, as far as they said so.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        self.read(LOCK).ok().flatten()
    }

    /// Whether a supervisor lives.
    ///
    /// # Errors
    /// The lock can't be tried.
    pub fn is_supervised(&self) -> io::Result<bool> {
        let file = match File::open(self.file(LOCK)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Shared, so that two who look don't take each other for a supervisor. Given back at once.
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Who runs the task.
    ///
    /// # Errors
    /// It can't be read.
    pub fn started(&self) -> io::Result<Option<Started>> {
        self.read(STARTED)
    }

    /// Says who runs the task; on disk when it returns, so that a loss of power leaves no empty record.
    ///
    /// # Errors
    /// It can't be written.
    pub fn record_started(&self, started: &Started) -> io::Result<()> {
        self.write(STARTED, started, true)
    }

    /// How the task ended.
    ///
    /// # Errors
    /// It can't be read.
    pub fn exit(&self) -> io::Result<Option<ExitResult>> {
        self.read(EXIT)
    }

    /// Takes the room on the disk that [`StateDir::record_exit`] will need: by then the disk may be full.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve_exit(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.file(EXIT_NEW))?;
        file.write_all(&[b' '; EXIT_ROOM])?;
        file.sync_all()
    }

    /// Says how the task ended; on disk when it returns.
    ///
    /// # Errors
    /// It can't be written.
    pub fn record_exit(&self, exit: &ExitResult) -> io::Result<()> {
        let mut text = serde_json::to_vec(exit)?;
        let temporary = self.file(EXIT_NEW);
        // Not cut to nothing first: that would give the room away.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&temporary)?;
        let there = usize::try_from(file.metadata()?.len()).unwrap_or(EXIT_ROOM);
        if text.len() < there {
            text.resize(there, b' ');
        }
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, self.file(EXIT))?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes everything in it. Only when no supervisor lives.
    ///
    /// # Errors
    /// Something can't be removed.
    pub fn clear(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            match fs::remove_file(entry?.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// A record of its own; None when it isn't there.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.file(name)) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all: a reader never sees a part.
    pub(crate) fn write<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        durable: bool,
    ) -> io::Result<()> {
        let text = serde_json::to_vec(value)?;
        let temporary = self.file(&format!("{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, self.file(name))?;
        if durable {
            File::open(&self.0)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn spec() -> Spec {
        Spec {
            task: "say".to_owned(),
            program: "/bin/true".into(),
            called: "true".to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            work_dir: "/".into(),
            identity: None,
            cgroup: "x".to_owned(),
            log_dir: "/".into(),
            logs: Some(LogLimits::default()),
        }
    }

    #[test]
    fn what_was_revoked_can_not_be_claimed_and_what_was_claimed_not_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert!(!state.revoke().unwrap(), "nothing was offered");
        state.offer(&spec()).unwrap();
        assert!(!state.revoke().unwrap());
        assert!(state.claim::<Spec>().is_err());
        state.offer(&spec()).unwrap();
        assert_eq!(state.claim::<Spec>().unwrap().task, "say");
        assert!(state.revoke().unwrap());
        assert!(state.claim::<Spec>().is_err(), "claimed twice");
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held_and_looking_takes_it_from_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert!(!state.is_supervised().unwrap());
        let held = state.lock().unwrap().unwrap();
        assert!(state.lock().unwrap().is_none());
        assert!(state.is_supervised().unwrap());
        drop(held);
        assert!(!state.is_supervised().unwrap());
    }

    #[test]
    fn a_damaged_record_is_an_error_and_not_an_absence() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert_eq!(state.exit().unwrap(), None);
        for damaged in [&b"{"[..], b"", &[0; 64], b"{}"] {
            fs::write(state.file(STARTED), damaged).unwrap();
            assert!(is_damaged(&state.started().unwrap_err()));
        }
        fs::write(state.file(EXIT), b"").unwrap();
        assert!(is_damaged(&state.exit().unwrap_err()));
    }

    #[test]
    fn an_exit_is_read_as_it_was_recorded_with_and_without_room_reserved_for_it() {
        for reserved in [false, true] {
            for length in [0, 10, 5000] {
                let dir = tempfile::tempdir().unwrap();
                let state = StateDir::new(dir.path());
                if reserved {
                    state.reserve_exit().unwrap();
                }
                assert_eq!(state.exit().unwrap(), None);
                let exit = ExitResult {
                    exit_code: 3,
                    err: Some("x".repeat(length)),
                    ..ExitResult::default()
                };
                state.record_exit(&exit).unwrap();
                assert_eq!(state.exit().unwrap(), Some(exit));
            }
        }
    }
}
