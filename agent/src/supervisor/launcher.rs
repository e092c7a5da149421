//! The process that splits off supervisors.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
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
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Ok(request) = serde_json::from_str::<Request>(&line) else {
            continue;
        };
        match fork_single_threaded() {
            Ok(Side::Parent(_)) => {}
            Ok(Side::Child) => {
                reap_ourselves()?;
                drop(lines);
                return split_off(&request, agent);
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

fn split_off(request: &Request, agent: UnixStream) -> io::Result<()> {
    let id = request.id;
    let answer = move |outcome: Outcome| {
        reply(&agent, id, outcome);
        drop(agent);
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
