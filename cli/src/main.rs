//! rove: server, node agent and command line in one binary.
//!
//! The first word decides: `supervise` is the small process that keeps a task, and runs before anything else exists;
//! `agent` is a server or a client; everything else is a command that asks an agent over HTTP.

mod agent;
mod args;
mod catalogue;
mod client;
mod clock;
mod command;
mod commands;
mod dispatch;
mod env;
mod failure;
mod kubectl;
mod panics;
mod render;
#[cfg(test)]
mod tests;
mod ui;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clock::Clock;
use dispatch::World;
use env::Env;
use ui::Ui;

fn main() -> ExitCode {
    panics::tell();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|w| w == "supervise") {
        return rove_agent::supervisor::main(&words[2..]);
    }
    let program = program_name(words.first());
    let words: Vec<String> = words
        .drain(..)
        .skip(1)
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    if words.first().is_some_and(|w| w == "agent") {
        return agent::run(&program, &words[1..]);
    }
    command(program, &words)
}

/// The name that the program was called by, as it stands in the commands that it prints for people to run.
fn program_name(first: Option<&OsString>) -> String {
    first
        .and_then(|path| Path::new(path).file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|| "rove".to_owned())
}

fn command(program: String, words: &[String]) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "{program}: the runtime can't be started: {error}"
            );
            return ExitCode::FAILURE;
        }
    };
    let env = Env::of_process();
    let ui = Ui::for_process(&env);
    // Without a current folder relative paths fail with the reason that the system gives.
    let folder = std::env::current_dir().unwrap_or_default();
    let world = World {
        program,
        env,
        ui,
        clock: Clock::System,
        folder,
    };
    let (code, ui) = runtime.block_on(dispatch::run(words, world));
    drop(ui);
    ExitCode::from(code)
}
