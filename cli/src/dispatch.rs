//! From the words on the command line to a command, and from its outcome to an exit code.

use std::path::PathBuf;

use crate::args::{self, Asked, ParseError};
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
    let (front, rest) = match args::flags_in_front(words, catalogue::IN_FRONT) {
        Ok(count) => words.split_at(count),
        Err(error) => {
            world.ui.error(error.see(&world.program));
            return (UNKNOWN, world.ui);
        }
    };
    let Some(first) = rest.first() else {
        world.ui.line(catalogue::overview(&world.program));
        return (UNKNOWN, world.ui);
    };
    match args::asks_for(first) {
        Some(Asked::Version) => return Box::pin(run_named("version", &[], world)).await,
        Some(Asked::Help) => {
            world.ui.line(catalogue::overview(&world.program));
            return (0, world.ui);
        }
        None => {}
    }
    if first == "help" {
        world.ui.line(catalogue::overview(&world.program));
        return (0, world.ui);
    }
    if first == catalogue::AGENT.0 {
        world.ui.error(format!(
            "The flags of \"agent\" stand behind it, and none in front of it. See \"{} agent -help\".",
            world.program
        ));
        return (1, world.ui);
    }
    let words = command_first(front, rest);
    let Some((command, used)) = catalogue::find(&words) else {
        return no_such_command(&words, world);
    };
    run_command(command, &words[used..], world).await
}

/// Puts flags that stand before the command behind its name: `-n default get jobs`.
fn command_first(front: &[String], rest: &[String]) -> Vec<String> {
    match catalogue::find(rest) {
        Some((_, used)) => [&rest[..used], front, &rest[used..]].concat(),
        None => rest.to_vec(),
    }
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
    let mut help = format!("{} -help", world.program);
    if let Some(group) = catalogue::group(words) {
        let code = match words.get(group.split(' ').count()).map(String::as_str) {
            None => Some(1),
            Some("-h" | "-help" | "--help") => Some(0),
            Some(_) => None,
        };
        if let Some(code) = code {
            world.ui.line(catalogue::group_help(&world.program, group));
            return (code, world.ui);
        }
        help = format!("{} {group} -help", world.program);
    }
    let (given, near) = catalogue::nearest(words);
    let way = match (catalogue::instead_of(&given), near) {
        (Some(instead), _) => format!(" Use {instead} instead."),
        (None, Some(near)) => format!(" Did you mean {near:?}?"),
        (None, None) => String::new(),
    };
    world.ui.error(format!(
        "There is no command {given:?}.{way} See \"{help}\"."
    ));
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
            let called = format!("{} {}", world.program, command.name);
            world.ui.error(error.see(&called));
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
