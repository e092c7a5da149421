//! The flags of `rove agent`, laid over its configuration files.

use std::path::PathBuf;

use thiserror::Error;

use super::config::{AgentConfig, ConfigErrors};
use crate::args::{self, Flag, ParseError, help, many, switch, text};

/// How `rove agent` is called.
pub const USAGE: &str = "agent [options]";

/// What it does.
pub const ABOUT: &str = "Runs a rove agent until it is told to stop: a server, a client, or both.\n\n\
    A server keeps the cluster's state, in etcd or in an embedded store, and decides what runs where. A client runs \
    tasks on its machine. A client's tasks go on when its agent ends with SIGTERM, and are found again when it comes \
    back.";

/// The flags, by what they are about.
pub const FLAGS: &[(&str, &[Flag])] = &[
    ("General options", GENERAL),
    ("Server options", SERVER),
    ("Client options", CLIENT),
];

const GENERAL: &[Flag] = &[
    many(
        "config",
        "path",
        "A configuration file (.hcl or .json), or a folder of them. Later files win, lists append.",
    ),
    switch(
        "dev",
        "A server and client in one for development: listens on 127.0.0.1 only, raw_exec is on, state goes with the \
         agent unless -data-dir is given, and its tasks are stopped with it.",
    ),
    text(
        "bind",
        "address",
        "The address to listen on (default 0.0.0.0).",
    ),
    text("data-dir", "path", "The folder that state is kept in."),
    text("dc", "name", "The datacenter (default dc1)."),
    text(
        "log-level",
        "level",
        "TRACE, DEBUG, INFO, WARN or ERROR (default INFO).",
    ),
    switch("log-json", "Write log lines as JSON."),
    text(
        "node",
        "name",
        "The agent's name (default: the host's name).",
    ),
    text("region", "name", "The region (default global)."),
];

const SERVER: &[Flag] = &[
    switch("server", "Run as a server."),
    text(
        "bootstrap-expect",
        "number",
        "How many servers the cluster will have (default 1); more than one needs an etcd.",
    ),
];

const CLIENT: &[Flag] = &[
    switch("client", "Run as a client."),
    many(
        "servers",
        "host:port,...",
        "The servers' addresses (port 4647).",
    ),
    many("meta", "key=value,...", "Metadata of the node."),
    text(
        "network-interface",
        "name",
        "The interface whose address tasks get.",
    ),
    text("node-class", "class", "The node's class."),
    text("node-pool", "pool", "The node's pool (default default)."),
];

/// What `rove agent -h` prints.
pub fn help(program: &str) -> String {
    help::of_sections(&format!("{program} {USAGE}"), ABOUT, FLAGS)
}

/// Why the agent's command line was refused.
#[derive(Debug, Error)]
pub enum FlagError {
    /// The words can't be understood.
    #[error(transparent)]
    Words(#[from] ParseError),
    /// A value that does not fit.
    #[error("invalid value {value:?} for flag -{flag}: expected {expected}")]
    BadValue {
        /// The flag.
        flag: String,
        /// What was given.
        value: String,
        /// What would fit.
        expected: &'static str,
    },
    /// Something that is no flag.
    #[error("the agent takes no arguments, got {0:?}; a configuration file is named with -config")]
    Argument(String),
    /// A mistake in a configuration file.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// The configuration that `words` ask for and the files it was read from; `None` when they ask for help.
///
/// # Errors
/// What is wrong with the flags or the files.
pub fn parse(words: &[String]) -> Result<Option<(AgentConfig, Vec<PathBuf>)>, FlagError> {
    let tables: Vec<&[Flag]> = FLAGS.iter().map(|(_, flags)| *flags).collect();
    let given = match args::parse(words, &tables, false) {
        Err(ParseError::Help) => return Ok(None),
        given => given?,
    };
    if let Some(argument) = given.positional.first() {
        return Err(FlagError::Argument(argument.clone()));
    }
    let mut config = if given.is("dev") {
        AgentConfig::dev()
    } else {
        AgentConfig::default()
    };
    let files: Vec<PathBuf> = given.all("config").iter().map(PathBuf::from).collect();
    config.load(&files)?;
    for flag in tables.iter().flat_map(|table| table.iter()) {
        for value in given.all(flag.name) {
            set(&mut config, flag.name, value)?;
        }
    }
    Ok(Some((config, files)))
}

fn set(config: &mut AgentConfig, flag: &str, value: &str) -> Result<(), FlagError> {
    let bad = |expected| FlagError::BadValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        expected,
    };
    let on = value == "true";
    match flag {
        "server" => config.server.enabled = on,
        "client" => config.client.enabled = on,
        "log-json" => config.log_json = on,
        "bind" => value.clone_into(&mut config.bind_addr),
        "data-dir" => config.data_dir = Some(value.into()),
        "dc" => value.clone_into(&mut config.datacenter),
        "log-level" => {
            if !["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]
                .iter()
                .any(|level| level.eq_ignore_ascii_case(value))
            {
                return Err(bad("TRACE, DEBUG, INFO, WARN or ERROR"));
            }
            value.clone_into(&mut config.log_level);
        }
        "node" => config.name = Some(value.to_owned()),
        "region" => value.clone_into(&mut config.region),
        "bootstrap-expect" => {
            config.server.bootstrap_expect = value
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| bad("a number of at least 1"))?;
        }
        "servers" => config
            .client
            .servers
            .extend(value.split(',').map(|server| server.trim().to_owned())),
        "meta" => {
            for pair in value.split(',') {
                let (key, value) = pair.split_once('=').ok_or_else(|| bad("key=value"))?;
                config
                    .client
                    .meta
                    .insert(key.trim().to_owned(), value.to_owned());
            }
        }
        "network-interface" => config.client.network_interface = Some(value.to_owned()),
        "node-class" => value.clone_into(&mut config.client.node_class),
        "node-pool" => value.clone_into(&mut config.client.node_pool),
        // Read before the files, or answered before them.
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse_line(line: &str) -> Result<Option<(AgentConfig, Vec<PathBuf>)>, FlagError> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn flags_take_one_dash_or_two_and_a_blank_or_an_equals_sign() {
        for line in [
            "-dev -dc=x -node n",
            "--dev --dc x --node=n",
            "-dev=true -dc x -node n",
        ] {
            let (config, _) = parse_line(line).unwrap().unwrap();
            assert!(
                config.dev && config.server.enabled && config.client.enabled,
                "{line}"
            );
            assert_eq!(
                (config.datacenter.as_str(), config.name.as_deref()),
                ("x", Some("n")),
                "{line}"
            );
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (line, expected) in [
            ("-bogus", "flag provided but not defined: -bogus"),
            ("-dc", "flag needs an argument: -dc"),
            (
                "-log-level=loud",
                "expected TRACE, DEBUG, INFO, WARN or ERROR",
            ),
            ("server.hcl", "the agent takes no arguments"),
            (
                "-config no-such-file.hcl",
                "==> Error loading configuration from no-such-file.hcl: stat no-such-file.hcl: no such file or directory",
            ),
        ] {
            let error = parse_line(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
