//! From the words on the command line to a command, and from its outcome to an exit code.

use std::path::PathBuf;

use crate::args::{self, ParseError};
use crate::catalogue;
use crate::clock::Clock;
use crate::command::{Command, Context};
use crate::env::Env;
use crate::ui::Ui;

/// The exit code of a command that does not exist.
const UNKNOWN: u8 = 127;

/// Everything around a command, for the process or for a test.
pub struct World {
    /// The name the program was called by.
    pub program: String,
    /// The environment.
    pub env: Env,
    /// The streams.
    pub ui: Ui,
    /// What time it is.
    pub clock: Clock,
    /// The current folder.
    pub folder: PathBuf,
}

/// Runs the command that `words` name, and gives its exit code.
pub async fn run(words: &[String], mut world: World) -> (u8, Ui) {
    let first = words.first().map(String::as_str).unwrap_or("");
    if matches!(first, "-v" | "-version" | "--version") {
        let (code, ui) = Box::pin(run_named("version", &[], world)).await;
        return (code, ui);
    }
    if matches!(first, "" | "-h" | "-help" | "--help" | "help") {
        world.ui.line(catalogue::overview(&world.program));
        return (if first.is_empty() { UNKNOWN } else { 0 }, world.ui);
    }
    let Some((command, used)) = catalogue::find(words) else {
        return no_such_command(words, world);
    };
    run_command(command, &words[used..], world).await
}

async fn run_named(name: &str, words: &[String], mut world: World) -> (u8, Ui) {
    match catalogue::named(name) {
        Some(command) => run_command(command, words, world).await,
        None => {
            world.ui.error(format!("no command {name}"));
            (UNKNOWN, world.ui)
        }
    }
}

fn no_such_command(words: &[String], mut world: World) -> (u8, Ui) {
    let group = catalogue::group(&words[0]);
    let asks_help = |w: &String| matches!(w.as_str(), "-h" | "-help" | "--help");
    if let Some(group) = group {
        let help = catalogue::group_help(&world.program, group);
        match words.get(1) {
            None => {
                world.ui.line(help);
                return (1, world.ui);
            }
            Some(word) if asks_help(word) => {
                world.ui.line(help);
                return (0, world.ui);
            }
            Some(_) => world.ui.line(help),
        }
    } else {
        world.ui.line(catalogue::overview(&world.program));
    }
    match catalogue::nearest(words) {
        (given, Some(near)) => world.ui.error(format!(
            "There is no command \"{given}\". Did you mean \"{near}\"?"
        )),
        // The list of the noun's commands does not say by itself what was wrong.
        (given, None) if group.is_some() => {
            world.ui.error(format!("There is no command \"{given}\"."))
        }
        (_, None) => {}
    }
    (UNKNOWN, world.ui)
}

async fn run_command(command: &'static Command, words: &[String], mut world: World) -> (u8, Ui) {
    let help = || {
        args::help::of_command(
            &format!("{} {}", world.program, command.usage),
            command.about,
            command.flags,
        )
    };
    let args = match args::parse(words, command.flags, command.verb) {
        Ok(args) => args,
        Err(ParseError::Help) => {
            let help = help();
            world.ui.line(help);
            return (0, world.ui);
        }
        Err(error) => {
            let help = help();
            world.ui.error(error.to_string());
            world.ui.line(help);
            return (command.misuse, world.ui);
        }
    };
    if args.is("no-color") {
        (world.ui.colour, world.ui.colour_errors) = (false, false);
    } else if args.is("force-color") {
        (world.ui.colour, world.ui.colour_errors) = (true, true);
    }
    let World {
        program,
        env,
        ui,
        clock,
        folder,
    } = world;
    let mut cx = Context {
        program,
        name: command.name,
        args,
        env,
        ui,
        clock,
        folder,
        all_commands: catalogue::described,
    };
    let code = match (command.run)(&mut cx).await {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                cx.ui.error(&failure.message);
            }
            if failure.usage {
                let line = format!("For additional help try '{} {} -help'", cx.program, cx.name);
                cx.ui.error(line);
                failure.code.max(command.misuse)
            } else {
                failure.code
            }
        }
    };
    cx.ui.flush();
    if let Some(error) = cx.ui.lost() {
        let line = format!("Error writing to standard output: {error}");
        cx.ui.error(line);
        return (code.max(1), cx.ui);
    }
    (code, cx.ui)
}
