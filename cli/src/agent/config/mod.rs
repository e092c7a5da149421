//! The agent's configuration: files in HCL or JSON, later ones over earlier ones, flags over all.
//!
//! Unknown keys are refused with the nearest known one; keys of Nomad's that rove can't honour yet are refused by name,
//! so that nobody believes a setting to be in force that is not.

mod decode;
mod lines;
mod tree;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::failure::plain;

pub use tree::Position;

/// What an agent is told.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentConfig {
    /// The region.
    pub region: String,
    /// The datacenter.
    pub datacenter: String,
    /// The node's name; the host's when absent.
    pub name: Option<String>,
    /// Where state is kept.
    pub data_dir: Option<PathBuf>,
    /// How much is logged: TRACE, DEBUG, INFO, WARN, ERROR.
    pub log_level: String,
    /// Log lines as JSON.
    pub log_json: bool,
    /// The address to listen on.
    pub bind_addr: String,
    /// Ports to listen on.
    pub ports: Ports,
    /// Addresses to listen on, over `bind_addr`.
    pub addresses: Addresses,
    /// Addresses that others are told.
    pub advertise: Addresses,
    /// The server's part.
    pub server: ServerConfig,
    /// The client's part.
    pub client: ClientConfig,
    /// What callers may take.
    pub limits: LimitsConfig,
    /// `plugin "<driver>" { config { … } }`, by driver.
    pub plugins: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// A development agent: server and client in one, in memory-light defaults, tasks stopped at its end.
    pub dev: bool,
}

/// What callers may take; 0 connections stand for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// How long a TLS handshake may take; of no effect as long as the HTTP API is plain.
    pub https_handshake_timeout: Duration,
    /// The most connections of one address to the HTTP API.
    pub http_max_conns_per_client: u32,
    /// How long a TLS handshake may take; of no effect, as the store front end is plain.
    pub rpc_handshake_timeout: Duration,
    /// The most connections of one address to the store front end; of no effect, as that bounds itself: thousands of
    /// agents may share an address.
    pub rpc_max_conns_per_client: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            https_handshake_timeout: Duration::from_secs(5),
            http_max_conns_per_client: 100,
            rpc_handshake_timeout: Duration::from_secs(5),
            rpc_max_conns_per_client: 100,
        }
    }
}

/// Ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The HTTP API.
    pub http: u16,
    /// The store front end that agents talk to.
    pub rpc: u16,
    /// Gossip in Nomad; only shown, rove's servers find each other in the store.
    pub serf: u16,
}

/// An address for each kind of traffic, with or without a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The HTTP API.
    pub http: Option<String>,
    /// The store front end.
    pub rpc: Option<String>,
    /// Shown as a member's address.
    pub serf: Option<String>,
}

/// The server's part.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// Whether this agent is a server.
    pub enabled: bool,
    /// How many servers there shall be; more than one needs etcd.
    pub bootstrap_expect: u32,
    /// The etcd behind it; without one the store is embedded.
    pub etcd: EtcdConfig,
    /// Bytes of data that the embedded store takes before it refuses new ones.
    pub embedded_quota: u64,
    /// Key prefix in the store.
    pub prefix: String,
    /// Seconds a node's lease lasts.
    pub heartbeat_ttl: Duration,
    /// How long ended evals (and their allocs) are kept.
    pub eval_gc_threshold: Duration,
    /// How long dead jobs are kept.
    pub job_gc_threshold: Duration,
    /// How long ended deployments are kept.
    pub deployment_gc_threshold: Duration,
    /// How long down nodes are kept.
    pub node_gc_threshold: Duration,
    /// How much of the store's history is kept when it is compacted.
    pub compaction_retention: Duration,
    /// What new nodes have to show; without one any node may register.
    pub join_token: Option<Hidden>,
}

/// What is told to nobody: it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<hidden>")
    }
}

/// An etcd to use.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `http://host:port` or `https://host:port`.
    pub endpoints: Vec<String>,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// PEM file of the authority that signed etcd's certificate.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// Its `--quota-backend-bytes`, for an etcd that doesn't tell it.
    pub quota: Option<u64>,
}

impl std::fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "<hidden>"))
            .field("ca_file", &self.ca_file)
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("quota", &self.quota)
            .finish()
    }
}

/// The client's part.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// Whether this agent runs tasks.
    pub enabled: bool,
    /// `host:port` of servers' store front ends.
    pub servers: Vec<String>,
    /// What this node shows to servers that let only invited ones in.
    pub join_token: Option<Hidden>,
    /// A class the operator gives the node.
    pub node_class: String,
    /// The pool it belongs to.
    pub node_pool: String,
    /// What the operator says about it.
    pub meta: BTreeMap<String, String>,
    /// The interface whose address tasks get; the default route's when absent.
    pub network_interface: Option<String>,
    /// First dynamic port.
    pub min_dynamic_port: u16,
    /// Last dynamic port.
    pub max_dynamic_port: u16,
    /// What is kept back.
    pub reserved: Reserved,
    /// A node whose lease was not renewed for so long is down; the server's when absent.
    pub heartbeat_ttl: Option<Duration>,
    /// Where the agent's own state is, `<data_dir>/client` when absent.
    pub state_dir: Option<PathBuf>,
    /// Where alloc directories are, `<data_dir>/alloc` when absent.
    pub alloc_dir: Option<PathBuf>,
    /// MHz, over what was found out.
    pub cpu_total_compute: Option<u64>,
    /// MiB, over what was found out.
    pub memory_total_mb: Option<u64>,
    /// The most directories of ended allocs that are kept.
    pub gc_max_allocs: u32,
    /// The longest time a task may ask for between its stop signal and its end.
    pub max_kill_timeout: Duration,
}

/// What is kept back on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// MHz.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB.
    pub disk: u64,
    /// Ports, as `22,80,8000-8100`.
    pub ports: Vec<u16>,
}

const HOUR: Duration = Duration::from_secs(3_600);

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            name: None,
            data_dir: None,
            log_level: "INFO".to_owned(),
            log_json: false,
            bind_addr: "0.0.0.0".to_owned(),
            ports: Ports {
                http: 4646,
                rpc: 4647,
                serf: 4648,
            },
            addresses: Addresses::default(),
            advertise: Addresses::default(),
            server: ServerConfig {
                enabled: false,
                bootstrap_expect: 1,
                etcd: EtcdConfig::default(),
                embedded_quota: rove_store::embedded::DEFAULT_QUOTA,
                prefix: "/rove/".to_owned(),
                heartbeat_ttl: Duration::from_secs(15),
                eval_gc_threshold: HOUR,
                job_gc_threshold: 4 * HOUR,
                deployment_gc_threshold: HOUR,
                node_gc_threshold: 24 * HOUR,
                compaction_retention: Duration::from_secs(300),
                join_token: None,
            },
            client: ClientConfig {
                enabled: false,
                servers: Vec::new(),
                join_token: None,
                node_class: String::new(),
                node_pool: "default".to_owned(),
                meta: BTreeMap::new(),
                network_interface: None,
                min_dynamic_port: 20_000,
                max_dynamic_port: 32_000,
                reserved: Reserved::default(),
                heartbeat_ttl: None,
                state_dir: None,
                alloc_dir: None,
                cpu_total_compute: None,
                memory_total_mb: None,
                gc_max_allocs: 50,
                max_kill_timeout: rove_agent::MAX_KILL_TIMEOUT,
            },
            limits: LimitsConfig::default(),
            plugins: BTreeMap::new(),
            dev: false,
        }
    }
}

impl AgentConfig {
    /// How long the node of this agent counts as alive after its last sign of life: the agent grants its own lease, so
    /// a separate client's is not set by its servers.
    #[must_use]
    pub fn heartbeat_ttl(&self) -> Duration {
        self.client
            .heartbeat_ttl
            .unwrap_or(self.server.heartbeat_ttl)
    }

    /// Where the agent of this node keeps its own state.
    #[must_use]
    pub fn state_dir(&self, data_dir: &Path) -> PathBuf {
        let usual = || data_dir.join("client");
        self.client.state_dir.clone().unwrap_or_else(usual)
    }

    /// What `-dev` starts from: server and client on 127.0.0.1, with `raw_exec` on.
    #[must_use]
    pub fn dev() -> Self {
        let mut config = Self {
            dev: true,
            bind_addr: "127.0.0.1".to_owned(),
            ..Self::default()
        };
        config.server.enabled = true;
        config.client.enabled = true;
        config.log_level = "INFO".to_owned();
        let mut raw_exec = serde_json::Map::new();
        raw_exec.insert("enabled".to_owned(), true.into());
        config.plugins.insert("raw_exec".to_owned(), raw_exec);
        config
    }

    /// Reads `paths` in order into `self`; a folder stands for its `.hcl` and `.json` files by name.
    ///
    /// # Errors
    /// Every mistake of every file, at once.
    pub fn load(&mut self, paths: &[PathBuf]) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        for path in paths {
            match files_of(path) {
                Ok(files) => {
                    for file in files {
                        let found = match tree::read(&file) {
                            Ok(items) => decode::apply(self, &file, &items),
                            Err(error) => vec![error],
                        };
                        if !found.is_empty() {
                            let text = tree::text(&file).unwrap_or_default();
                            errors.extend(found.into_iter().map(|error| error.shown(&text)));
                        }
                    }
                }
                Err(source) => errors.push(ConfigError::Missing {
                    path: path.clone(),
                    source,
                }),
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(errors))
        }
    }
}

fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let known = file
            .extension()
            .is_some_and(|extension| extension == "hcl" || extension == "json");
        if known && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The longest line of an agent file that a message shows, in characters.
const LONGEST_SHOWN: usize = 200;

/// A mistake in an agent file.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file or folder is not there.
    #[error("Error loading configuration from {path}: stat {path}: {why}", path = path.display(), why = plain(source))]
    Missing {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It can't be read.
    #[error("Error loading configuration from {}: {}", path.display(), plain(source))]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large to be an agent file.
    #[error("Error loading configuration from {}: {size} bytes, at most {} are read", path.display(), tree::MAX_FILE)]
    TooLarge {
        /// Its path.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Something in it is wrong.
    #[error("Error loading configuration from {}{}", place(path, *at, field, message), marked(*at, line.as_deref()))]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// Where.
        at: Position,
        /// Which field.
        field: String,
        /// What is wrong and what to do.
        message: String,
        /// The line of the file, where it can be shown.
        line: Option<String>,
    },
}

impl ConfigError {
    /// With the line that it is about, unless that could hold a secret.
    fn shown(mut self, text: &str) -> Self {
        if let Self::Invalid { at, line, .. } = &mut self
            && let Some(found) = at.line.checked_sub(1).and_then(|at| text.lines().nth(at))
        {
            let lower = found.to_ascii_lowercase();
            let secret = ["password", "secret", "token", "key"]
                .iter()
                .any(|word| lower.contains(word));
            // A marker under a line that is longer than a screen shows nothing.
            if !secret && found.chars().count() <= LONGEST_SHOWN {
                *line = Some(found.to_owned());
            }
        }
        self
    }
}

fn place(path: &Path, at: Position, field: &str, message: &str) -> String {
    let mut text = path.display().to_string();
    if at.line > 0 {
        // Writing to a String can't fail.
        let _ = write!(text, ":{}:{}", at.line, at.column);
    }
    if !field.is_empty() {
        let _ = write!(text, ": {field}");
    }
    let _ = write!(text, ": {message}");
    text
}

/// The line with a marker below, as job files have it.
fn marked(at: Position, line: Option<&str>) -> String {
    let Some(line) = line else {
        return String::new();
    };
    let number = at.line.to_string();
    // Tabs stay, so that the marker stands where the terminal puts the character.
    let before: String = line
        .chars()
        .take(at.column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("\n {number} | {line}\n {:1$} | {before}^", "", number.len())
}

/// All mistakes of all files, each with its line.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "==> {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<AgentConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = files
            .iter()
            .map(|(name, text)| {
                let path = dir.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            })
            .collect();
        let mut config = AgentConfig::default();
        config.load(&paths).map_err(|errors| {
            errors
                .to_string()
                .replace(&format!("{}/", dir.path().display()), "")
        })?;
        Ok(config)
    }

    #[test]
    fn a_server_file_is_read() {
        let config = load(&[(
            "server.hcl",
            r#"
            log_level = "DEBUG"
            data_dir = "/tmp/server1"
            server {
              enabled = true
              bootstrap_expect = 1
            }
            advertise {
              http = "172.17.8.101:4646"
              rpc  = "172.17.8.101:4647"
              serf = "172.17.8.101:4648"
            }"#,
        )])
        .unwrap();
        assert!(config.server.enabled && !config.client.enabled);
        assert_eq!(config.log_level, "DEBUG");
        assert_eq!(config.data_dir, Some(PathBuf::from("/tmp/server1")));
        assert_eq!(config.advertise.rpc.as_deref(), Some("172.17.8.101:4647"));
    }

    #[test]
    fn limits_are_read_as_the_reference_spells_them() {
        assert_eq!(AgentConfig::default().limits.http_max_conns_per_client, 100);
        let text = "limits {\n http_max_conns_per_client = 7\n https_handshake_timeout = \"1m\"\n \
                    rpc_handshake_timeout = \"10s\"\n rpc_max_conns_per_client = 0\n}";
        let limits = load(&[("agent.hcl", text)]).unwrap().limits;
        let expected = LimitsConfig {
            https_handshake_timeout: Duration::from_secs(60),
            http_max_conns_per_client: 7,
            rpc_handshake_timeout: Duration::from_secs(10),
            rpc_max_conns_per_client: 0,
        };
        assert_eq!(limits, expected);
        for (wrong, word) in [
            (
                "limits { http_max_conns_per_client = -1 }",
                "http_max_conns_per_client",
            ),
            (
                "limits { http_max_cons_per_client = 1 }",
                "http_max_conns_per_client",
            ),
        ] {
            let said = load(&[("agent.hcl", wrong)]).unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn later_files_win_and_lists_append() {
        let config = load(&[
            (
                "1.hcl",
                "datacenter = \"a\"\nclient {\n servers = [\"x:1\"]\n meta { rack = \"1\" }\n}",
            ),
            (
                "2.json",
                r#"{"datacenter": "b", "client": {"servers": ["y:2"], "meta": {"row": "2"}}}"#,
            ),
        ])
        .unwrap();
        assert_eq!(config.datacenter, "b");
        assert_eq!(config.client.servers, ["x:1", "y:2"]);
        assert_eq!(config.client.meta.len(), 2);
    }

    #[test]
    fn a_folder_stands_for_its_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.hcl", "region = \"b\""),
            ("a.hcl", "region = \"a\""),
            ("c.txt", "nonsense {"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut config = AgentConfig::default();
        config.load(&[dir.path().to_owned()]).unwrap();
        assert_eq!(config.region, "b");
    }

    #[test]
    fn a_node_has_its_own_heartbeat_ttl_and_the_servers_in_the_same_files_otherwise() {
        for (text, seconds) in [
            ("", 15),
            ("server { heartbeat_ttl = \"5s\" }", 5),
            ("client { heartbeat_ttl = \"7s\" }", 7),
            (
                "client { heartbeat_ttl = \"7s\" }\nserver { heartbeat_ttl = \"5s\" }",
                7,
            ),
        ] {
            let config = load(&[("agent.hcl", text)]).unwrap();
            assert_eq!(
                config.heartbeat_ttl(),
                Duration::from_secs(seconds),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_name_the_place_and_what_to_do() {
        let table = [
            (
                "an unknown key",
                "log_levle = \"x\"",
                "1:1: log_levle: unknown key; did you mean `log_level`?",
            ),
            (
                "an unknown key in a block",
                "server {\n  enable = true\n}",
                "2:3: server.enable: unknown key; did you mean `enabled`?",
            ),
            (
                "a wrong type",
                "server {\n  enabled = \"perhaps\"\n}",
                "2:3: server.enabled: expected true or false, this is \"perhaps\"",
            ),
            (
                "a missing brace",
                "server {\n  enabled = true\n",
                ":2:18: invalid block body; expected `}`",
            ),
            (
                "a port that is none",
                "ports { http = 70000 }",
                "ports.http: expected a port from 1 to 65535, this is 70000",
            ),
            (
                "a key of Nomad's that is not built yet",
                "tls { http = true }",
                "tls: not supported by this version of rove; remove it",
            ),
            (
                "an expression",
                "region = upper(\"x\")",
                "region: agent files hold plain values only",
            ),
            (
                "a bad duration",
                "server { heartbeat_ttl = \"soon\" }",
                "server.heartbeat_ttl: expected a duration such as \"30s\" or \"1h30m\"",
            ),
            (
                "a bad size",
                "server {\n  embedded {\n    quota = \"2 gigs\"\n  }\n}",
                "3:5: server.embedded.quota: expected a size of at least 16 MiB, such as \"512MiB\" or \"2GiB\", \
                 this is \"2 gigs\"",
            ),
            (
                "a size too small",
                "server {\n  embedded {\n    quota = 1000\n  }\n}",
                "server.embedded.quota: expected a size of at least 16 MiB",
            ),
        ];
        for (what, text, expected) in table {
            let error = load(&[("agent.hcl", text)]).unwrap_err();
            assert!(
                error.contains("agent.hcl:") && error.contains(expected),
                "{what}: {error}"
            );
        }
    }

    #[test]
    fn a_size_has_a_unit_or_is_in_bytes() {
        for (text, expected) in [
            ("\"2GiB\"", 2 << 30),
            ("\"512 MiB\"", 512 << 20),
            ("\"3GB\"", 3_000_000_000),
            ("67108864", 64 << 20),
        ] {
            let text = format!("server {{\n  embedded {{\n    quota = {text}\n  }}\n}}");
            let config = load(&[("agent.hcl", &text)]).unwrap();
            assert_eq!(config.server.embedded_quota, expected, "{text}");
        }
    }

    #[test]
    fn blocks_may_stand_on_one_line() {
        let config = load(&[(
            "agent.hcl",
            "plugin \"raw_exec\" { config { enabled = true } }\n\
             client { enabled = true, servers = [\"a:1\", \"b:2\"], meta { rack = \"1\" } }\n\
             server { etcd { endpoints = [\"http://x:1\"] } heartbeat_ttl = \"5s\" }\n\
             ports { http = 1234 } # as { before }\n",
        )])
        .unwrap();
        assert_eq!(
            config.plugins["raw_exec"]["enabled"],
            serde_json::json!(true)
        );
        assert!(config.client.enabled);
        assert_eq!(config.client.servers, ["a:1", "b:2"]);
        assert_eq!(config.client.meta["rack"], "1");
        assert_eq!(config.server.etcd.endpoints, ["http://x:1"]);
        assert_eq!(config.heartbeat_ttl(), Duration::from_secs(5));
        assert_eq!(config.ports.http, 1234);
    }

    #[test]
    fn a_mistake_is_shown_with_its_line() {
        for (text, shown) in [
            (
                "server {\n  enable = true\n}",
                "agent.hcl:2:3: server.enable: unknown key; did you mean `enabled`?\n 2 |   enable = true\n   |   ^",
            ),
            (
                "plugin \"raw_exec\" { config { enabled = true } }\nserver { etcd { endpoint = 3 } }",
                "\n 2 | server { etcd { endpoint = 3 } }\n   |                 ^",
            ),
            (
                "region = \"x\"\nserver { etcd { endpoints = } }\n",
                "\n 2 | server { etcd { endpoints = } }\n   |                             ^",
            ),
        ] {
            let error = load(&[("agent.hcl", text)]).unwrap_err();
            assert!(error.contains(shown), "{error}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let error = load(&[("a.hcl", "x = 1\ny = 2"), ("b.hcl", "z = 3")]).unwrap_err();
        let told = error.lines().filter(|line| line.starts_with("==> "));
        assert_eq!(told.count(), 3, "{error}");
    }

    #[test]
    fn a_join_token_is_taken_on_both_sides_and_never_printed() {
        let config = load(&[(
            "a.hcl",
            "server {\n join_token = \"let-them-all-in-by-this\"\n}\nclient {\n join_token = \"let-me-in-by-this-token\"\n}",
        )])
        .unwrap();
        assert_eq!(
            config.server.join_token,
            Some(Hidden("let-them-all-in-by-this".to_owned()))
        );
        assert_eq!(
            config.client.join_token,
            Some(Hidden("let-me-in-by-this-token".to_owned()))
        );
        assert!(!format!("{config:?}").contains("let-"));
        let error = load(&[("a.hcl", "server {\n join_token = \"too-short\"\n}")]).unwrap_err();
        assert!(
            error.contains("server.join_token: expected 16") && !error.contains("too-short"),
            "{error}"
        );
    }

    #[test]
    fn a_password_is_never_printed() {
        let config = load(&[(
            "a.hcl",
            "server { etcd {\n endpoints = [\"http://x:1\"]\n username = \"u\"\n password = \"hush\"\n} }",
        )]);
        assert!(!format!("{:?}", config.unwrap()).contains("hush"));
        let error =
            load(&[("a.hcl", "server {\n etcd {\n password = [\"hush\"]\n }\n}")]).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
