//! The flags of `rove agent`, laid over its configuration files.

use std::path::PathBuf;

use thiserror::Error;

use super::config::{AgentConfig, ConfigErrors};

/// What `rove agent -h` prints.
pub const HELP: &str = "\
Usage: rove agent [options]

  Runs a rove agent until it is told to stop: a server, a client, or both.

  A server keeps the cluster's state, in etcd or in an embedded store, and decides what runs where. A client runs tasks
  on its machine. A client's tasks go on when its agent ends with SIGTERM, and are found again when it comes back.

General options:

  -config=<path>
    A configuration file (.hcl or .json), or a folder of them. May be repeated: later files win, lists append.

  -dev
    A server and client in one for development: listens on 127.0.0.1 only, raw_exec is on, state goes with the agent
    unless -data-dir is given, and its tasks are stopped with it.

  -bind=<address>           The address to listen on (default 0.0.0.0).
  -data-dir=<path>          Where state is kept.
  -dc=<name>                The datacenter (default dc1).
  -log-level=<level>        TRACE, DEBUG, INFO, WARN or ERROR (default INFO).
  -log-json                 Log lines as JSON.
  -node=<name>              The agent's name (default: the host's name).
  -region=<name>            The region (default global).

Server options:

  -server                   Be a server.
  -bootstrap-expect=<n>     How many servers there shall be (default 1); more than one needs an etcd.

Client options:

  -client                   Be a client.
  -servers=<host:port,…>    The servers' addresses (port 4647). May be repeated.
  -meta=<key=value,…>       Facts about the node. May be repeated.
  -network-interface=<name> The interface whose address tasks get.
  -node-class=<class>       The node's class.
  -node-pool=<pool>         The node's pool (default default).
";

/// Why the agent's command line was refused.
#[derive(Debug, Error)]
pub enum FlagError {
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// A flag without its value.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
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
    #[error("the agent takes no arguments, got {0:?}")]
    Argument(String),
    /// A mistake in a configuration file.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// The configuration that `args` ask for and the files it was read from; `None` when they ask for help.
///
/// # Errors
/// What is wrong with the flags or the files.
pub fn parse(args: &[String]) -> Result<Option<(AgentConfig, Vec<PathBuf>)>, FlagError> {
    let flags = split(args)?;
    if flags.iter().any(|(name, _)| name == "h" || name == "help") {
        return Ok(None);
    }
    let dev = flags
        .iter()
        .any(|(name, value)| name == "dev" && value != "false");
    let mut config = if dev {
        AgentConfig::dev()
    } else {
        AgentConfig::default()
    };
    let files: Vec<PathBuf> = flags
        .iter()
        .filter(|(name, _)| name == "config")
        .map(|(_, value)| PathBuf::from(value))
        .collect();
    config.load(&files)?;
    for (flag, value) in flags {
        set(&mut config, &flag, &value)?;
    }
    Ok(Some((config, files)))
}

const SWITCHES: &[&str] = &["dev", "server", "client", "log-json", "h", "help"];
const VALUES: &[&str] = &[
    "config",
    "bind",
    "data-dir",
    "dc",
    "log-level",
    "node",
    "region",
    "bootstrap-expect",
    "servers",
    "meta",
    "network-interface",
    "node-class",
    "node-pool",
];

fn split(args: &[String]) -> Result<Vec<(String, String)>, FlagError> {
    let mut flags = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg
            .strip_prefix("--")
            .or_else(|| arg.strip_prefix('-'))
            .filter(|flag| !flag.is_empty())
        else {
            return Err(FlagError::Argument(arg.clone()));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let value = if SWITCHES.contains(&name) {
            value.unwrap_or_else(|| "true".to_owned())
        } else if VALUES.contains(&name) {
            value
                .or_else(|| args.next().cloned())
                .ok_or_else(|| FlagError::NoValue(name.to_owned()))?
        } else {
            return Err(FlagError::Unknown(name.to_owned()));
        };
        flags.push((name.to_owned(), value));
    }
    Ok(flags)
}

fn set(config: &mut AgentConfig, flag: &str, value: &str) -> Result<(), FlagError> {
    let bad = |expected| FlagError::BadValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        expected,
    };
    let switch = || value.parse::<bool>().map_err(|_| bad("true or false"));
    match flag {
        "dev" => drop(switch()?),
        "server" => config.server.enabled = switch()?,
        "client" => config.client.enabled = switch()?,
        "log-json" => config.log_json = switch()?,
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
