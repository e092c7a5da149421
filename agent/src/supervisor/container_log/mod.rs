//! Keeping the output of a container: a process like a supervisor, which is attached to it and outlives the agent.
//!
//! It is attached before the container starts, so it has every line, and the engine makes the container wait when the
//! disk is slow. When the engine goes away and comes back over a container that lives on, or another process takes
//! over, it goes on with what the engine has logged since (see [`resume`]). It ends with the container.

mod frames;
mod http;
mod resume;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rove_model::ids::UnixNanos;
use serde::{Deserialize, Serialize};

use self::{frames::Frames, http::Connection};
use super::{
    LaunchProblem, Outcome,
    output::Sink,
    spec::{Started, StateDir},
};
use crate::{
    logs::{LogKind, LogLimits, Rotator, file_name, list_in},
    sys::{ProcessId, dir::Dir, fork, unix_now},
};

/// As much as is read at once.
const CHUNK: usize = 64 << 10;
/// Between two looks for an engine that is away.
const RETRY: Duration = Duration::from_millis(200);
/// After so long without an engine it gives up; the agent starts another one when the engine and the container are
/// there again.
const ENGINE_LIMIT: Duration = Duration::from_secs(600);
/// The longest description of a container that is read.
const MAX_BODY: u64 = 4 << 20;

/// Whose output goes where.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContainerLog {
    /// The engine, `unix://…` or `tcp://…`.
    pub(crate) endpoint: String,
    /// The container's id.
    pub(crate) container: String,
    /// It has a terminal: one stream without frames.
    pub(crate) tty: bool,
    /// The task's name.
    pub(crate) task: String,
    /// Where the files go.
    pub(crate) log_dir: PathBuf,
    /// How much of them is kept.
    pub(crate) logs: LogLimits,
    /// Only what was printed after that; from now on if none.
    pub(crate) since: Option<UnixNanos>,
}

/// Keeps the output of the container that the offer in `dir` names, until it ends. `report` is called once, when it is
/// attached or can't be.
pub(crate) fn collect(dir: &Path, report: impl FnOnce(Outcome)) -> io::Result<()> {
    let state = StateDir::new(dir);
    let attached = (|| {
        let _ = nix::unistd::setsid();
        fork::block_signals()?;
        let lock = state
            .lock_in_time()?
            .ok_or_else(|| io::Error::other("another process keeps its output"))?;
        let log: ContainerLog = state.claim()?;
        let mut sinks = Sinks::open(&log)?;
        let stream = match log.since {
            None => attach(&log)?,
            Some(since) => resume::resume(&log, since, &mut sinks)?,
        };
        let started = Started {
            supervisor: ProcessId::current()?,
            task_pid: 0,
            started_at: unix_now(),
            cgroup: None,
        };
        Ok::<_, io::Error>((lock, log, sinks, stream, started))
    })();
    let (lock, log, mut sinks, stream, started) = match attached {
        Ok(attached) => attached,
        Err(error) => {
            report(Outcome::Failed(LaunchProblem::Setup {
                step: "keep the container's output".to_owned(),
                reason: error.to_string(),
            }));
            return Ok(());
        }
    };
    report(Outcome::Started(started));
    let mut next = Some(stream);
    while let Some(stream) = next {
        // An error is the end of the stream as well.
        let _ = sinks.copy(stream, log.tty);
        next = go_on(&log, &state, unix_now(), &mut sinks);
    }
    drop(lock);
    Ok(())
}

/// The output since the stream broke off, if there may be any.
fn go_on(
    log: &ContainerLog,
    state: &StateDir,
    broke_off: UnixNanos,
    sinks: &mut Sinks,
) -> Option<Connection> {
    let begun = Instant::now();
    let mut engine_was_away = false;
    // Without its directory nobody knows of the task any more.
    while begun.elapsed() < ENGINE_LIMIT && state.path().exists() {
        match is_running(log) {
            Ok(Some(false)) if !engine_was_away => return None,
            Ok(None) => return None,
            // What it printed before it ended with its engine is asked for too.
            Ok(Some(_)) => {
                if let Ok(stream) = resume::resume(log, broke_off, sinks) {
                    return Some(stream);
                }
            }
            Err(_) => engine_was_away = true,
        }
        std::thread::sleep(RETRY);
    }
    None
}

fn attach(log: &ContainerLog) -> io::Result<Connection> {
    let mut connection = Connection::open(&log.endpoint)?;
    let status = connection.request(&format!(
        "POST /containers/{}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n",
        log.container
    ))?;
    match status {
        101 | 200 => {
            // It may print nothing for days.
            connection.limit(None)?;
            Ok(connection)
        }
        other => Err(io::Error::other(format!("the engine answered {other}"))),
    }
}

/// Whether it runs; None when there is no such container.
fn is_running(log: &ContainerLog) -> io::Result<Option<bool>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Description {
        state: State,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        running: bool,
    }
    let mut connection = Connection::open(&log.endpoint)?;
    let status = connection.request(&format!(
        "GET /containers/{}/json HTTP/1.0\r\nHost: docker\r\n\r\n",
        log.container
    ))?;
    match status {
        200 => {
            let mut body = Vec::new();
            connection.take(MAX_BODY).read_to_end(&mut body)?;
            let description: Description = serde_json::from_slice(&body)?;
            Ok(Some(description.state.running))
        }
        404 => Ok(None),
        other => Err(io::Error::other(format!("the engine answered {other}"))),
    }
}

/// The two logs of a task.
struct Sinks {
    stdout: Sink,
    stderr: Sink,
}

impl Sinks {
    /// Goes on in the newest files.
    fn open(log: &ContainerLog) -> io::Result<Self> {
        let open = |kind| {
            Rotator::open(&log.log_dir, &log.task, kind, log.logs)
                .map(Sink::new)
                .map_err(|error| error.source)
        };
        Ok(Self {
            stdout: open(LogKind::Stdout)?,
            stderr: open(LogKind::Stderr)?,
        })
    }

    fn of(&mut self, kind: LogKind) -> &mut Sink {
        match kind {
            LogKind::Stdout => &mut self.stdout,
            LogKind::Stderr => &mut self.stderr,
        }
    }

    /// Copies until the stream ends.
    fn copy(&mut self, mut stream: impl Read, raw: bool) -> io::Result<()> {
        // Above the allocator's limit for memory of its own: pages that no chunk reached are never there.
        let mut buffer = vec![0_u8; CHUNK * 4];
        let mut frames = Frames::default();
        loop {
            let length = match stream.read(&mut buffer[..CHUNK]) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let data = &buffer[..length];
            if raw {
                self.stdout.write(data);
            } else {
                frames.split(data, |kind, part, _| self.of(kind).write(part));
            }
        }
    }
}

/// When the newest line of a task's log was written, so that a follower knows where to go on.
pub(crate) fn last_written(dir: &Path, task: &str) -> Option<UnixNanos> {
    let dir = Dir::open_last(dir).ok()?;
    [LogKind::Stdout, LogKind::Stderr]
        .into_iter()
        .filter_map(|kind| {
            let newest = list_in(&dir, task, kind).ok()?.last()?.index;
            let file = dir.read(&file_name(task, kind, newest)).ok()?;
            let modified = file.metadata().ok()?.modified().ok()?;
            let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_nanos()).ok()
        })
        .max()
}
