//! A command's flags as clap describes them.

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, ValueHint};

use super::{Flag, Kind, flags};

/// What the arguments that are no flags are called.
pub(super) const ARGUMENTS: &str = "arguments";
const HELP: &str = "help";

/// What a description is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To parse: a switch takes `=true` and `=false` too.
    Parsing,
    /// For people: a switch is a switch.
    Showing,
}

/// The description of the command `name` with the flags of `tables` and any number of arguments.
pub fn command(name: &'static str, tables: &[&[Flag]], purpose: Purpose) -> Command {
    let mut command = Command::new(name)
        .no_binary_name(purpose == Purpose::Parsing)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    let taken = |name: &str| flags(tables).any(|flag| flag.is_called(name));
    if !taken(HELP) {
        let help = Arg::new(HELP)
            .long(HELP)
            .action(ArgAction::Help)
            .help("Show what the command does and takes.");
        let help = if taken("h") { help } else { help.short('h') };
        command = command.arg(help);
    }
    for flag in flags(tables) {
        command = command.arg(arg(flag, purpose));
    }
    command.arg(
        Arg::new(ARGUMENTS)
            .num_args(0..)
            .action(ArgAction::Append)
            .value_parser(Text("")),
    )
}

fn arg(flag: &Flag, purpose: Purpose) -> Arg {
    let mut arg = Arg::new(flag.name).help(flag.help);
    for name in std::iter::once(&flag.name).chain(flag.aliases) {
        let mut letters = name.chars();
        arg = match (letters.next(), letters.next(), *name == flag.name) {
            (Some(letter), None, true) => arg.short(letter),
            // The first letter that stands for a flag is its short form.
            (Some(letter), None, false) if arg.get_short().is_none() => arg.short(letter),
            (Some(letter), None, false) => arg.visible_short_alias(letter),
            (_, _, true) => arg.long(flag.name),
            (_, _, false) => arg.visible_alias(*name),
        };
    }
    let switch = |arg: Arg, parser: Checked| match purpose {
        Purpose::Showing => arg.action(ArgAction::SetTrue),
        Purpose::Parsing => arg
            .action(ArgAction::Append)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(parser),
    };
    let valued = |arg: Arg, name: &'static str| {
        let hint = match name {
            "path" | "file" | "file|folder|-" => ValueHint::AnyPath,
            _ => ValueHint::Unknown,
        };
        arg.action(ArgAction::Append)
            .num_args(1)
            .allow_hyphen_values(true)
            .value_name(name)
            .value_hint(hint)
    };
    match flag.kind {
        Kind::Switch => switch(arg, Checked(truth)),
        Kind::SwitchOrNumber(_) => switch(arg, Checked(truth_or_number)),
        Kind::Text(value) | Kind::Many(value) => valued(arg, value).value_parser(Text(value)),
        Kind::Number(value) => valued(arg, value).value_parser(Checked(number)),
    }
}

/// Any text; the words that stand in its name are offered to who completes it.
#[derive(Clone)]
struct Text(&'static str);

impl TypedValueParser for Text {
    type Value = String;

    fn parse_ref(
        &self,
        _: &Command,
        _: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        Ok(value.to_string_lossy().into_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0
            .contains('|')
            .then(|| Box::new(self.0.split('|').map(PossibleValue::new)) as Box<_>)
    }
}

/// A text that a function takes, as it hands it on.
#[derive(Clone)]
struct Checked(fn(&str) -> Option<String>);

impl TypedValueParser for Checked {
    type Value = String;

    fn parse_ref(
        &self,
        _: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        let text = value.to_string_lossy();
        (self.0)(&text).ok_or_else(|| {
            let mut error = clap::Error::new(ErrorKind::ValueValidation);
            if let Some(arg) = arg {
                let name = ContextValue::String(arg.get_id().to_string());
                error.insert(ContextKind::InvalidArg, name);
            }
            error.insert(
                ContextKind::InvalidValue,
                ContextValue::String(text.into_owned()),
            );
            error
        })
    }
}

fn truth(text: &str) -> Option<String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some("true".to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some("false".to_owned()),
        _ => None,
    }
}

fn number(text: &str) -> Option<String> {
    text.parse::<i64>().ok().map(|_| text.to_owned())
}

fn truth_or_number(text: &str) -> Option<String> {
    number(text).or_else(|| truth(text))
}
