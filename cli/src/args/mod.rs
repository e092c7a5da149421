//! What a command may be given: one table of flags per command, which the help and clap's description of the command
//! are made from; clap parses, and completions and manual pages come from the same description.
//!
//! Flags are written as Go programs take them: one dash or two, `-flag value` or `-flag=value`, a switch takes
//! `=true` or `=false`. They may stand before, between and after the arguments; `--` ends them.

mod dashes;
pub mod description;
pub mod help;
mod parsed;
mod parser;

pub use dashes::{Asked, asks_for, flags_in_front};
pub use parsed::{ParseError, Parsed};
pub use parser::parse;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or `=true`/`=false`.
    Switch,
    /// Any text, named so in the help.
    Text(&'static str),
    /// A whole number.
    Number(&'static str),
    /// Any text, and the flag may be repeated.
    Many(&'static str),
    /// Nothing, or a whole number after `=`.
    SwitchOrNumber(&'static str),
}

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The name, without dashes.
    pub name: &'static str,
    /// Other names for the same, as `n` for `namespace`.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// What it does, for the help.
    pub help: &'static str,
    /// Every command that talks to an agent has it: the help names it last.
    pub common: bool,
}

impl Flag {
    /// A flag without other names.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            help,
            common: false,
        }
    }

    /// The same flag with other names.
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn of_every_command(mut self) -> Self {
        self.common = true;
        self
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Its name and its other names.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// A value follows as a word of its own unless one is attached.
    fn takes_a_word(&self) -> bool {
        match self.kind {
            Kind::Switch | Kind::SwitchOrNumber(_) => false,
            Kind::Text(_) | Kind::Number(_) | Kind::Many(_) => true,
        }
    }
}

/// The flags of `tables`, each name once: the first table that has it has the word on it.
fn flags<'a>(tables: &'a [&'a [Flag]]) -> impl Iterator<Item = &'a Flag> {
    let all = move || tables.iter().flat_map(|table| table.iter());
    all()
        .enumerate()
        .filter(move |(at, flag)| all().take(*at).all(|earlier| earlier.name != flag.name))
        .map(|(_, flag)| flag)
}

/// The one of `known` that `given` is a slip of: a third of the letters may be wrong, more is another word.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(given, known), known))
        .filter(|(distance, known)| distance * 3 <= known.chars().count())
        .min()
        .map(|(_, known)| known)
}

/// The flag of that name or spelling.
fn find<'a>(tables: &'a [&'a [Flag]], name: &str) -> Option<&'a Flag> {
    flags(tables).find(|flag| flag.is_called(name))
}

/// A switch.
pub const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Switch, help)
}

/// A flag with a text.
pub const fn text(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Text(value), help)
}

/// A flag with a whole number.
pub const fn number(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Number(value), help)
}

/// A flag that may be repeated.
pub const fn many(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Many(value), help)
}

/// The flags that every command that talks to an agent has.
pub const COMMON: &[Flag] = &[
    text(
        "address",
        "url",
        "The agent's HTTP address; ROVE_ADDR or NOMAD_ADDR, else http://127.0.0.1:4646.",
    )
    .of_every_command(),
    text(
        "namespace",
        "name",
        "The namespace to work in; ROVE_NAMESPACE or NOMAD_NAMESPACE. \"*\" reads all of them.",
    )
    .also(&["ns"])
    .of_every_command(),
    text(
        "region",
        "name",
        "The region to send the request to; ROVE_REGION or NOMAD_REGION.",
    )
    .of_every_command(),
    text(
        "token",
        "secret",
        "The ACL token to send; ROVE_TOKEN or NOMAD_TOKEN.",
    )
    .of_every_command(),
    text(
        "ca-cert",
        "file",
        "Trust the certificates in this PEM file; ROVE_CACERT or NOMAD_CACERT.",
    )
    .of_every_command(),
    text(
        "client-cert",
        "file",
        "The client certificate to present; ROVE_CLIENT_CERT or NOMAD_CLIENT_CERT.",
    )
    .of_every_command(),
    text(
        "client-key",
        "file",
        "The key of -client-cert; ROVE_CLIENT_KEY or NOMAD_CLIENT_KEY.",
    )
    .of_every_command(),
    switch(
        "tls-skip-verify",
        "Do not verify the agent's certificate; ROVE_SKIP_VERIFY or NOMAD_SKIP_VERIFY.",
    )
    .of_every_command(),
    switch("no-color", "Disable colours.").of_every_command(),
    switch(
        "force-color",
        "Use colours even if the output is not a terminal.",
    )
    .of_every_command(),
];

/// `-json` and `-t`.
pub const FORMAT: &[Flag] = &[
    switch("json", "Print the API's answer as JSON."),
    text(
        "t",
        "template",
        "Format the output with this Go template: '{{.ID}}'.",
    ),
];

/// `-verbose`.
pub const VERBOSE: &[Flag] = &[switch("verbose", "Show full ids and more detail.").also(&["v"])];

#[cfg(test)]
mod tests;
