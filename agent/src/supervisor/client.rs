//! The agent's side: asking the launcher for supervisors, and talking to them.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::OwnedWriteHalf},
    process::{Child, Command},
    sync::oneshot,
};
use tokio_util::task::AbortOnDropHandle;

pub use super::launcher::Work;
use super::{
    Outcome,
    launcher::{Reply, Request},
    spec::{CONTROL, StateDir},
};

/// How long a launch may take on a host that is busy.
const LAUNCH_LIMIT: Duration = Duration::from_secs(30);
/// How long a supervisor may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How `rove supervise` is called.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// What stands before `--launcher`.
    pub args: Vec<OsString>,
}

impl Program {
    /// The binary that runs now, also when its file was replaced since.
    #[must_use]
    pub fn this_binary() -> Self {
        Self {
            path: "/proc/self/exe".into(),
            args: vec!["supervise".into()],
        }
    }
}

/// Starts supervisors through a launcher process, which is started when it is first needed and again when it is gone.
/// Dropping this ends the launcher, and leaves the supervisors.
#[derive(Debug)]
pub struct Launcher {
    program: Program,
    ids: AtomicU64,
    running: tokio::sync::Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    writer: OwnedWriteHalf,
    waiting: Waiting,
    reader: AbortOnDropHandle<()>,
    /// Reaped by the runtime when it ends.
    _process: Child,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Outcome>>>>;

impl Launcher {
    /// A launcher that runs `program`.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            ids: AtomicU64::new(0),
            running: tokio::sync::Mutex::new(None),
        }
    }

    /// Asks for a supervisor over `dir`, where a specification was offered.
    ///
    /// # Errors
    /// The launcher can't be run, or gave no answer: whether there is a supervisor is not known.
    pub async fn launch(&self, work: Work, dir: &Path) -> io::Result<Outcome> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            id,
            dir: dir.to_owned(),
            work,
        };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        let (sender, receiver) = oneshot::channel();
        let launched = async {
            self.send(id, &line, sender).await?;
            receiver
                .await
                .map_err(|_| io::Error::other("the launcher ended"))
        };
        match tokio::time::timeout(LAUNCH_LIMIT, launched).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn send(&self, id: u64, line: &[u8], sender: oneshot::Sender<Outcome>) -> io::Result<()> {
        let mut running = self.running.lock().await;
        // Taken while it is used: half a line, left by a caller that was dropped, would spoil the next.
        let mut current = match running.take() {
            Some(current) if !current.reader.is_finished() => current,
            _ => self.spawn()?,
        };
        lock(&current.waiting).insert(id, sender);
        current.writer.write_all(line).await?;
        *running = Some(current);
        Ok(())
    }

    fn spawn(&self) -> io::Result<Running> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new(&self.program.path)
            .args(&self.program.args)
            .arg("--launcher")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let waiting = Waiting::default();
        let answers = Arc::clone(&waiting);
        let reader = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str::<Reply>(&line) {
                    Ok(reply) => {
                        if let Some(waits) = lock(&answers).remove(&reply.id) {
                            // Who asked may have gone.
                            let _ = waits.send(reply.outcome);
                        }
                    }
                    Err(error) => tracing::warn!(%error, "launcher answered nonsense"),
                }
            }
            lock(&answers).clear();
        }));
        Ok(Running {
            writer,
            waiting,
            reader,
            _process: process,
        })
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a supervisor answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// The task has ended.
    Ended,
    /// It could not be done.
    Refused,
}

/// A connection to the supervisor of one task.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// Connects. None when no supervisor is there.
    ///
    /// # Errors
    /// It can't be told.
    pub async fn open(state: &StateDir) -> io::Result<Option<Self>> {
        let dir = match File::open(state.path()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match UnixStream::connect(short_path(&dir, CONTROL)).await {
            Ok(stream) => Ok(Some(Self(BufReader::with_capacity(64, stream)))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends one line and waits for the answer.
    ///
    /// # Errors
    /// It did not answer in time.
    pub async fn order(&mut self, line: &str) -> io::Result<Answer> {
        let exchange = async {
            // An end of the connection at any point means that the task has ended.
            if self
                .0
                .write_all(format!("{line}\n").as_bytes())
                .await
                .is_err()
            {
                return Ok(Answer::Ended);
            }
            let mut answer = String::new();
            match self.0.read_line(&mut answer).await {
                Ok(0) => return Ok(Answer::Ended),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Answer::Ended);
                }
                read => read?,
            };
            Ok(match answer.trim_end() {
                "ok" => Answer::Done,
                "ended" => Answer::Ended,
                _ => Answer::Refused,
            })
        };
        match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Waits until the supervisor has recorded the exit, or is gone.
    pub async fn closed(&mut self) {
        let mut rest = [0; 16];
        while matches!(self.0.read(&mut rest).await, Ok(read) if read > 0) {}
    }
}

/// A path to `name` in an open directory that fits into a socket's address.
pub(super) fn short_path(dir: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}
