//! `alloc logs`.

use std::time::Duration;

use super::follow::Frames;
use super::{From, from, last_lines};
use crate::client::{ApiError, Client, Stream};
use crate::command::{Context, failed};
use crate::commands::lookup::{self, segment};
use crate::failure::{Failure, Outcome};
use crate::render::quote::quoted;
use crate::render::{allocs, short};
use rove_model::{alloc::ClientStatus, job::Task};
use rove_wire::{Alloc, AllocStub};

/// A guess at the length of a line; when it is too short, more is fetched.
const LINE: u64 = 160;
/// The most that is fetched to find the last lines.
const MOST: u64 = 64 << 20;
/// How often the output of a followed log is looked at for a reader that has gone.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait for the part of a followed log that was there before: it comes at once or not at all.
const BACKLOG: Duration = Duration::from_secs(2);

/// Prints the log of a task.
pub async fn run(cx: &mut Context) -> Outcome {
    let (given, task) = match cx.args.positional.as_slice() {
        [] if cx.args.is("job") => return Err(Failure::usage("A job ID is required")),
        [] => return Err(Failure::usage("An allocation ID is required")),
        [one] => (one.clone(), None),
        [one, task] => (one.clone(), Some(task.clone())),
        _ => return Err(Failure::usage("This command takes one or two arguments")),
    };
    let task = task.or_else(|| cx.args.last("task").map(str::to_owned));
    let from = from(&cx.args)?;
    let client = cx.client()?;
    let stub = named(cx, &client, &given).await?;
    let client = client.in_namespace(&stub.namespace);
    let alloc: Alloc = client
        .get(&format!("/v1/allocation/{}", stub.id), &[])
        .await
        .map_err(failed("Error querying allocation"))?;
    let task = match task {
        Some(task) => task,
        None => only_task(&alloc)?,
    };
    let follow = cx.args.is("f");
    let streams: &[&str] = match (cx.args.is("stdout"), cx.args.is("stderr")) {
        (true, true) => &["stdout", "stderr"],
        (true, false) => &["stdout"],
        (false, true) => &["stderr"],
        (false, false) if follow => &["stdout", "stderr"],
        (false, false) => &["stdout"],
    };
    let both = streams.len() > 1;
    let logs: Vec<Log<'_>> = streams
        .iter()
        .map(|kind| Log {
            client: &client,
            alloc: &alloc.id,
            task: &task,
            kind,
            errors: both && *kind == "stderr",
        })
        .collect();
    if follow {
        return follow_all(cx, &logs, from).await;
    }
    for log in &logs {
        log.print(cx, from).await.map_err(|e| log.failed(&e))?;
    }
    Ok(0)
}

/// The alloc that the argument names: an alloc, `job/NAME` or with `-job` a job.
pub async fn named(cx: &mut Context, client: &Client, given: &str) -> Result<AllocStub, Failure> {
    let verb = given
        .split_once('/')
        .filter(|(kind, _)| matches!(*kind, "job" | "jobs" | "job.batch" | "j"));
    match (verb, cx.args.is("job")) {
        (Some((_, job)), _) => of_job(cx, client, job).await,
        (None, true) => of_job(cx, client, given).await,
        (None, false) => {
            let given = given
                .split_once('/')
                .filter(|(kind, _)| matches!(*kind, "alloc" | "allocs" | "allocation" | "pod"))
                .map_or(given, |(_, id)| id);
            if !lookup::could_be_id(given) && !given.is_empty() {
                let command = format!("{} {} job/{given}", cx.program, cx.name);
                return lookup::alloc(cx, client, given, false)
                    .await
                    .map_err(|failure| {
                        Failure::new(format!(
                            "{}. An alloc of a job is named by the job: {command}",
                            failure.message
                        ))
                    });
            }
            lookup::alloc(cx, client, given, cx.args.is("verbose")).await
        }
    }
}

async fn of_job(cx: &mut Context, client: &Client, job: &str) -> Result<AllocStub, Failure> {
    let stub = lookup::job(cx, client, job).await?;
    let client = client.in_namespace(&stub.namespace);
    let mut placed: Vec<AllocStub> = client
        .get(&format!("/v1/job/{}/allocations", segment(&stub.id)), &[])
        .await
        .map_err(failed("Error querying job allocations"))?;
    if let Some(group) = cx.args.last("group") {
        placed.retain(|a| a.group == group);
    }
    // Of several groups one that has the task is meant.
    let given = cx.args.positional.get(1).map(String::as_str);
    if let Some(task) = given.or_else(|| cx.args.last("task"))
        && placed.iter().any(|a| a.states.contains_key(task))
    {
        placed.retain(|a| a.states.contains_key(task));
    }
    // A running one tells more than a dead one, and a new one more than an old one.
    placed.sort_by_key(|a| {
        (
            a.client != ClientStatus::Running,
            std::cmp::Reverse(a.create_index),
        )
    });
    // Those that have ended don't make it unclear which is meant as long as one runs.
    let running = placed
        .iter()
        .filter(|a| a.client == ClientStatus::Running)
        .count();
    let count = if running > 0 { running } else { placed.len() };
    let found = placed.into_iter().next();
    if let Some(found) = found.as_ref().filter(|_| count > 1) {
        let name = short(&found.id, allocs::length(cx.args.is("verbose")));
        let text = format!(
            "Found {count} allocations of job {}, showing {name}.\n",
            quoted(&stub.id)
        );
        cx.ui.write_error(text.as_bytes());
    }
    found.ok_or_else(|| Failure::new(format!("No allocations for job {} found", quoted(&stub.id))))
}

fn only_task(alloc: &Alloc) -> Result<String, Failure> {
    let tasks: Vec<Task> = alloc
        .job
        .iter()
        .flat_map(|job| job.task_groups.iter())
        .find(|group| group.name == alloc.group)
        .map(|group| group.tasks.clone())
        .unwrap_or_default();
    let main: Vec<&Task> = tasks.iter().filter(|t| t.lifecycle.is_none()).collect();
    match (tasks.as_slice(), main.as_slice()) {
        ([only], _) => Ok(only.name.clone()),
        (_, [only]) => Ok(only.name.clone()),
        _ => {
            let mut names: Vec<&str> = tasks.iter().map(|t| t.name.as_str()).collect();
            if names.is_empty() {
                names = alloc.states.keys().map(String::as_str).collect();
            }
            if let [only] = names.as_slice() {
                return Ok((*only).to_owned());
            }
            names.sort_unstable();
            Err(Failure::new(format!(
                "Allocation {} is running the following tasks:\n  * {}\n\nPlease specify the task.",
                quoted(&alloc.id[..alloc.id.len().min(crate::render::SHORT)]),
                names.join("\n  * ")
            )))
        }
    }
}

/// One of the two logs of a task.
struct Log<'a> {
    client: &'a Client,
    alloc: &'a str,
    task: &'a str,
    kind: &'a str,
    errors: bool,
}

impl Log<'_> {
    fn path(&self) -> String {
        format!("/v1/client/fs/logs/{}", self.alloc)
    }

    fn failed(&self, error: &ApiError) -> Failure {
        Failure::new(format!(
            "Failed to read {} file: error reading file: {}",
            self.kind,
            error.full()
        ))
    }

    /// What there is, from the start or so many bytes from the end.
    async fn fetch(&self, end: Option<u64>) -> Result<Stream, ApiError> {
        let offset = end.map(|n| n.to_string());
        let mut query = vec![("task", self.task), ("type", self.kind), ("plain", "true")];
        if let Some(offset) = &offset {
            query.extend([("origin", "end"), ("offset", offset)]);
        }
        self.client.stream(&self.path(), &query).await
    }

    async fn print(&self, cx: &mut Context, from: From) -> Result<(), ApiError> {
        let mut stream = match from {
            From::Start => self.fetch(None).await?,
            From::Bytes(count) => self.fetch(Some(count)).await?,
            From::Lines(0) => return Ok(()),
            From::Lines(count) => {
                let (bytes, _) = self.backlog(count).await?;
                print(cx, last_lines(&bytes, count), self.errors);
                return Ok(());
            }
        };
        while let Some(piece) = stream.next().await? {
            print(cx, &piece, self.errors);
            if cx.ui.closed() {
                break;
            }
        }
        Ok(())
    }

    /// Enough of the end to hold `count` lines, and how much was asked for.
    async fn backlog(&self, count: u64) -> Result<(Vec<u8>, u64), ApiError> {
        let mut size = count.saturating_mul(LINE).clamp(LINE, MOST);
        loop {
            let mut bytes = Vec::new();
            let mut stream = self.fetch(Some(size)).await?;
            while let Some(piece) = stream.next().await? {
                bytes.extend(piece);
            }
            let lines = bytes.iter().filter(|b| **b == b'\n').count() as u64;
            let whole = (bytes.len() as u64) < size;
            if whole || lines > count || size >= MOST {
                return Ok((bytes, size));
            }
            size = (size * 4).min(MOST);
        }
    }

    /// Opens the log to follow it; the second value is how much of it was there before and is cut to so many lines.
    async fn open(&self, from: From) -> Result<(Frames, usize, u64), ApiError> {
        let (size, old, lines) = match from {
            From::Start => (None, 0, 0),
            From::Bytes(count) => (Some(count), 0, 0),
            From::Lines(0) => (Some(0), 0, 0),
            From::Lines(count) => {
                let (bytes, size) = self.backlog(count).await?;
                (Some(size), bytes.len(), count)
            }
        };
        let offset = size.unwrap_or(0).to_string();
        let mut query = vec![("task", self.task), ("type", self.kind), ("follow", "true")];
        query.extend([
            ("origin", if size.is_some() { "end" } else { "start" }),
            ("offset", offset.as_str()),
        ]);
        let stream = self.client.stream(&self.path(), &query).await?;
        Ok((Frames::new(stream), old, lines))
    }
}

/// The part of a log that was there before is held back until it is whole, and then cut to its last lines.
struct Cut {
    held: Vec<u8>,
    expected: usize,
    lines: u64,
}

impl Cut {
    fn take(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.expected == 0 {
            return bytes;
        }
        self.held.extend(bytes);
        if self.held.len() < self.expected {
            return Vec::new();
        }
        self.release()
    }

    fn release(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let (old, new) = held.split_at(self.expected.min(held.len()));
        self.expected = 0;
        let mut bytes = last_lines(old, self.lines).to_vec();
        bytes.extend_from_slice(new);
        bytes
    }
}

async fn follow_all(cx: &mut Context, logs: &[Log<'_>], from: From) -> Outcome {
    let mut readers = Vec::new();
    for log in logs {
        let (frames, expected, lines) = log.open(from).await.map_err(|e| log.failed(&e))?;
        readers.push((
            frames,
            Cut {
                held: Vec::new(),
                expected,
                lines,
            },
            log.errors,
        ));
    }
    let mut look = tokio::time::interval(LOOK);
    let patience = tokio::time::Instant::now() + BACKLOG;
    loop {
        if readers.is_empty() {
            return Ok(0);
        }
        let next = futures::future::select_all(
            readers
                .iter_mut()
                .map(|(frames, ..)| Box::pin(frames.next())),
        );
        let event = tokio::select! {
            (result, at, _) = next => Some((result, at)),
            _ = look.tick() => None,
            _ = tokio::signal::ctrl_c() => return Ok(0),
        };
        match event {
            Some((Ok(Some(bytes)), at)) => {
                let (_, cut, errors) = &mut readers[at];
                let (bytes, errors) = (cut.take(bytes), *errors);
                print(cx, &bytes, errors);
            }
            Some((Ok(None), at)) => {
                let (_, mut cut, errors) = readers.swap_remove(at);
                print(cx, &cut.release(), errors);
            }
            Some((Err(failure), _)) => return Err(failure),
            None if tokio::time::Instant::now() > patience => {
                for (_, cut, errors) in &mut readers {
                    if cut.expected > 0 {
                        let bytes = cut.release();
                        print(cx, &bytes, *errors);
                    }
                }
            }
            None => {}
        }
        if cx.ui.closed() || (!cx.ui.live && reader_gone()) {
            return Ok(0);
        }
    }
}

fn print(cx: &mut Context, bytes: &[u8], errors: bool) {
    if bytes.is_empty() {
        return;
    }
    if errors {
        cx.ui.write_error(bytes);
    } else {
        cx.ui.write(bytes);
        cx.ui.flush();
    }
}

/// Standard output is a pipe that nobody reads any more. Without this look a quiet log would be followed for ever.
pub fn reader_gone() -> bool {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let stdout = std::io::stdout();
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match poll(&mut watched, PollTimeout::ZERO) {
        Ok(_) => watched[0]
            .revents()
            .is_some_and(|r| r.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_cut_and_what_is_new_is_not() {
        let mut cut = Cut {
            held: Vec::new(),
            expected: 6,
            lines: 1,
        };
        assert_eq!(cut.take(b"a\nb".to_vec()), b"");
        assert_eq!(cut.take(b"\nc\nd\ne".to_vec()), b"c\nd\ne");
        assert_eq!(cut.take(b"\nf\n".to_vec()), b"\nf\n");
        let mut cut = Cut {
            held: Vec::new(),
            expected: 100,
            lines: 1,
        };
        assert_eq!(cut.take(b"a\nb\n".to_vec()), b"");
        assert_eq!(cut.release(), b"b\n");
    }
}
