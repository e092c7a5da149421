//! From the words on the command line to a command, and from its outcome to an exit code.

use std::path::PathBuf;

use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::args::{self, Flag, ParseError, Parsed};
use crate::client::{ApiError, Client, Settings};
use crate::clock::Clock;
use crate::commands;
use crate::env::Env;
use crate::failure::{Failure, Outcome};
use crate::render::{json, template};
use crate::ui::Ui;

/// The exit code of a command that does not exist.
const UNKNOWN: u8 = 127;

/// One command.
pub struct Command {
    /// Its words: `job run`.
    pub name: &'static str,
    /// How it is called, without the program: `job run [options] <path>`.
    pub usage: &'static str,
    /// What it does, in paragraphs parted by an empty line; the first sentence stands in lists.
    pub about: &'static str,
    /// The flags it takes.
    pub flags: &'static [&'static [Flag]],
    /// It is one of kubectl's verbs: values may be attached to one-letter flags.
    pub verb: bool,
    /// What to do.
    pub run: for<'a> fn(&'a mut Context) -> LocalBoxFuture<'a, Outcome>,
}

/// What a command works with.
pub struct Context {
    /// The name the program was called by.
    pub program: String,
    /// The command's words.
    pub name: &'static str,
    /// Its flags and arguments.
    pub args: Parsed,
    /// The environment.
    pub env: Env,
    /// Where it writes.
    pub ui: Ui,
    /// What time it is.
    pub clock: Clock,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
}

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

impl Context {
    /// The agent to talk to.
    pub fn client(&self) -> Result<Client, Failure> {
        let client = Settings::from(&self.args, &self.env).and_then(Client::new);
        client.map_err(|e| Failure::new(format!("Error initializing client: {e}")))
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Every namespace was asked for.
    pub fn all_namespaces(&self) -> bool {
        self.args
            .last("namespace")
            .or_else(|| self.env.setting("NAMESPACE"))
            == Some("*")
    }

    /// The arguments, if there are as many as wanted.
    pub fn arguments<const N: usize>(&self, complaint: &str) -> Result<[String; N], Failure> {
        <[String; N]>::try_from(self.args.positional.clone()).map_err(|_| Failure::usage(complaint))
    }

    /// There may be one argument.
    pub fn one_or_none(&self, complaint: &str) -> Result<Option<String>, Failure> {
        match self.args.positional.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Err(Failure::usage(complaint)),
        }
    }

    /// `-json` or `-t` was given.
    pub fn wants_format(&self) -> bool {
        self.args.is("json") || self.args.last("t").is_some()
    }

    /// Prints `value` as `-json` or `-t` want it.
    pub fn print_format(&mut self, value: &Value) -> Outcome {
        let text = match self.args.last("t") {
            Some(_) if self.args.is("json") => {
                return Err(Failure::new(
                    "Both json and template formatting are not allowed",
                ));
            }
            Some(format) => {
                template::render(format, value).map_err(|e| Failure::new(e.to_string()))?
            }
            None => json::pretty(value),
        };
        self.ui.line(text);
        Ok(0)
    }
}

/// `failed("Error querying jobs")(error)`.
pub fn failed(what: impl Into<String>) -> impl FnOnce(ApiError) -> Failure {
    let what = what.into();
    move |error| Failure::new(format!("{what}: {}", error.full()))
}

/// Runs the command that `words` name, and gives its exit code.
pub async fn run(words: &[String], mut world: World) -> (u8, Ui) {
    let first = words.first().map(String::as_str).unwrap_or("");
    if matches!(first, "-v" | "-version" | "--version") {
        let (code, ui) = Box::pin(run_named("version", &[], world)).await;
        return (code, ui);
    }
    if matches!(first, "" | "-h" | "-help" | "--help" | "help") {
        world.ui.line(commands::overview(&world.program));
        return (if first.is_empty() { UNKNOWN } else { 0 }, world.ui);
    }
    let Some((command, used)) = commands::find(words) else {
        return no_such_command(words, world);
    };
    run_command(command, &words[used..], world).await
}

async fn run_named(name: &str, words: &[String], mut world: World) -> (u8, Ui) {
    match commands::named(name) {
        Some(command) => run_command(command, words, world).await,
        None => {
            world.ui.error(format!("no command {name}"));
            (UNKNOWN, world.ui)
        }
    }
}

fn no_such_command(words: &[String], mut world: World) -> (u8, Ui) {
    let group = commands::group(&words[0]);
    let asks_help = |w: &String| matches!(w.as_str(), "-h" | "-help" | "--help");
    if let Some(group) = group {
        let help = commands::group_help(&world.program, group);
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
        world.ui.line(commands::overview(&world.program));
    }
    match commands::nearest(words) {
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
            return (1, world.ui);
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
            }
            failure.code
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
