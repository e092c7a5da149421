//! The process that splits off supervisors.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use serde::{Deserialize, Serialize};

use super::{LaunchProblem, Outcome, container_log, run};
use crate::sys::fork::{
    Side, close_inherited, fork_single_threaded, reap_automatically, reap_ourselves,
};

/// What the agent asks for: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Names the answer.
    pub(super) id: u64,
    /// The task's state directory.
    pub(super) dir: PathBuf,
    /// What to run there.
    pub(super) work: Work,
}

/// What a supervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Runs the task.
    Task,
    /// Keeps the output of a container.
    ContainerLog,
}

/// What the agent is told: a line of JSON, short enough to be written at once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Which request.
    pub(super) id: u64,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// Serves the agent until it closes its end. The supervisors stay.
pub(super) fn serve() -> io::Result<()> {
    close_inherited()?;
    // What is typed at the agent's terminal is not for us.
    let _ = nix::unistd::setsid();
    let agent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    std::env::set_current_dir("/")?;
    reap_automatically()?;
    let mut lines = BufReader::with_capacity(4096, agent.try_clone()?);
    let mut line = String::new();
    let mut starting: Vec<Starting> = Vec::new();
    loop {
        if !lines.buffer().contains(&b'\n') && !wait(&agent, &mut starting)? {
            continue;
        }
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Ok(request) = serde_json::from_str::<Request>(&line) else {
            continue;
        };
        let split = io::pipe().and_then(|pipe| Ok((pipe, fork_single_threaded()?)));
        match split {
            Ok(((answered, end), Side::Parent(_))) => {
                // The supervisor has the only one, so that its death shows.
                drop(end);
                starting.push(Starting {
                    id: request.id,
                    answered,
                });
            }
            Ok(((other, end), Side::Child)) => {
                reap_ourselves()?;
                drop((lines, starting, other));
                return split_off(&request, agent, end);
            }
            Err(error) => reply(
                &agent,
                request.id,
                Outcome::Failed(LaunchProblem::Setup {
                    step: "split off a supervisor".to_owned(),
                    reason: error.to_string(),
                }),
            ),
        }
    }
}

/// A supervisor that has not answered yet.
struct Starting {
    id: u64,
    /// Its other end is the supervisor's, which writes a byte once it has answered.
    answered: io::PipeReader,
}

/// Waits for the agent or a supervisor: true when the agent has something to say, or is gone. Supervisors that ended
/// without an answer are answered for.
fn wait(agent: &UnixStream, starting: &mut Vec<Starting>) -> io::Result<bool> {
    let fds = std::iter::once(agent.as_fd()).chain(
        starting
            .iter()
            .map(|supervisor| supervisor.answered.as_fd()),
    );
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    }
    let mut ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    drop(fds);
    let agent_speaks = ready.remove(0);
    let mut ready = ready.into_iter();
    starting.retain_mut(|supervisor| {
        if !ready.next().unwrap_or(false) {
            return true;
        }
        if !matches!(supervisor.answered.read(&mut [0]), Ok(1)) {
            let problem = LaunchProblem::Setup {
                step: "start".to_owned(),
                reason: "the supervisor was killed before the task ran".to_owned(),
            };
            reply(agent, supervisor.id, Outcome::Failed(problem));
        }
        false
    });
    Ok(agent_speaks)
}

fn split_off(request: &Request, agent: UnixStream, mut answered: io::PipeWriter) -> io::Result<()> {
    let id = request.id;
    let answer = move |outcome: Outcome| {
        reply(&agent, id, outcome);
        let _ = answered.write_all(&[1]);
        drop((agent, answered));
        // The agent's end must not be held open by those that outlive it.
        if let Ok(nowhere) = std::fs::File::open("/dev/null") {
            let _ = nix::unistd::dup2_stdin(nowhere);
        }
    };
    match request.work {
        Work::Task => run::supervise(&request.dir, answer),
        Work::ContainerLog => container_log::collect(&request.dir, answer),
    }
}

/// An agent that is gone needs no answer.
fn reply(mut agent: &UnixStream, id: u64, outcome: Outcome) {
    if let Ok(mut line) = serde_json::to_vec(&Reply { id, outcome }) {
        line.push(b'\n');
        let _ = agent.write_all(&line);
    }
}
