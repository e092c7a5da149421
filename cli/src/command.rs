//! What a command is, and what it works with.

use std::path::PathBuf;

use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::args::{Flag, Parsed};
use crate::client::{ApiError, Client, Settings};
use crate::clock::Clock;
use crate::env::Env;
use crate::failure::{Failure, Outcome};
use crate::render::{json, template};
use crate::ui::Ui;

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
    /// The exit code when it is called as it does not want to be: 1, unless that is a result already.
    pub misuse: u8,
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
    /// All commands, as clap describes them for completions and manual pages.
    pub all_commands: fn(&str) -> clap::Command,
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
