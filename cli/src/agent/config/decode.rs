//! Lays the tree of one agent file over a configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    AgentConfig, ConfigError, Hidden, Position,
    tree::{Item, Value},
};

const TOP: &[&str] = &[
    "region",
    "datacenter",
    "name",
    "data_dir",
    "log_level",
    "log_json",
    "bind_addr",
    "ports",
    "addresses",
    "advertise",
    "server",
    "client",
    "limits",
    "plugin",
    "enable_debug",
    "disable_update_check",
    "leave_on_interrupt",
    "leave_on_terminate",
];
/// What is shorter is guessed.
const JOIN_TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

const ADDRESSES: &[&str] = &["http", "rpc", "serf"];
const SERVER: &[&str] = &[
    "enabled",
    "bootstrap_expect",
    "etcd",
    "embedded",
    "prefix",
    "heartbeat_ttl",
    "eval_gc_threshold",
    "job_gc_threshold",
    "deployment_gc_threshold",
    "node_gc_threshold",
    "compaction_retention",
    "join_token",
];
const ETCD: &[&str] = &[
    "endpoints",
    "username",
    "password",
    "ca_file",
    "cert_file",
    "key_file",
    "quota",
];
const EMBEDDED: &[&str] = &["quota"];
const CLIENT: &[&str] = &[
    "enabled",
    "servers",
    "join_token",
    "node_class",
    "node_pool",
    "meta",
    "network_interface",
    "min_dynamic_port",
    "max_dynamic_port",
    "reserved",
    "heartbeat_ttl",
    "state_dir",
    "alloc_dir",
    "cpu_total_compute",
    "memory_total_mb",
    "gc_max_allocs",
    "max_kill_timeout",
    "options",
];
const LIMITS: &[&str] = &[
    "https_handshake_timeout",
    "http_max_conns_per_client",
    "rpc_handshake_timeout",
    "rpc_max_conns_per_client",
];
const RESERVED: &[&str] = &["cpu", "memory", "disk", "reserved_ports"];

/// Keys of Nomad's agent files that rove knows of and can't honour yet.
const NOT_YET: &[&str] = &[
    "acl",
    "audit",
    "autopilot",
    "consul",
    "http_api_response_headers",
    "log_file",
    "plugin_dir",
    "reporting",
    "sentinel",
    "syslog_facility",
    "enable_syslog",
    "telemetry",
    "tls",
    "ui",
    "vault",
];
const NOT_YET_SERVER: &[&str] = &[
    "authoritative_region",
    "csi_plugin_gc_threshold",
    "csi_volume_claim_gc_threshold",
    "data_dir",
    "default_scheduler_config",
    "enabled_schedulers",
    "encrypt",
    "heartbeat_grace",
    "license_path",
    "max_heartbeats_per_second",
    "min_heartbeat_ttl",
    "node_threshold",
    "num_schedulers",
    "plan_rejection_tracker",
    "protocol_version",
    "raft_protocol",
    "raft_multiplier",
    "rejoin_after_leave",
    "retry_interval",
    "retry_join",
    "retry_max",
    "root_key_gc_interval",
    "search",
    "server_join",
    "start_join",
    "upgrade_version",
];
const NOT_YET_CLIENT: &[&str] = &[
    "artifact",
    "bridge_network_name",
    "bridge_network_subnet",
    "cgroup_parent",
    "chroot_env",
    "cni_config_dir",
    "cni_path",
    "disk_total_mb",
    "drain_on_shutdown",
    "gc_disk_usage_threshold",
    "gc_inode_usage_threshold",
    "gc_interval",
    "gc_parallel_destroys",
    "host_network",
    "host_volume",
    "max_dynamic_port_range",
    "network_speed",
    "no_host_uuid",
    "reserveable_cores",
    "server_join",
    "template",
];

/// Lays `items`, read from `file`, over `config`; gives every mistake.
pub fn apply(config: &mut AgentConfig, file: &Path, items: &[Item]) -> Vec<ConfigError> {
    let mut decoder = Decoder {
        file,
        errors: Vec::new(),
    };
    for item in items {
        let field = item.key.as_str();
        match field {
            "region" => decoder.string(field, item, &mut config.region),
            "datacenter" => decoder.string(field, item, &mut config.datacenter),
            "name" => decoder.optional_string(field, item, &mut config.name),
            "data_dir" => decoder.path(field, item, &mut config.data_dir),
            "log_level" => {
                decoder.string(field, item, &mut config.log_level);
                let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
                if !levels
                    .iter()
                    .any(|level| level.eq_ignore_ascii_case(&config.log_level))
                {
                    decoder.refuse(
                        item.at,
                        field,
                        format!(
                            "expected one of {}, this is {:?}",
                            levels.join(", "),
                            config.log_level
                        ),
                    );
                }
            }
            "log_json" => decoder.boolean(field, item, &mut config.log_json),
            "bind_addr" => decoder.string(field, item, &mut config.bind_addr),
            "ports" => {
                for item in decoder.block(field, item) {
                    let path = format!("ports.{}", item.key);
                    match item.key.as_str() {
                        "http" => decoder.port(&path, item, &mut config.ports.http),
                        "rpc" => decoder.port(&path, item, &mut config.ports.rpc),
                        "serf" => decoder.port(&path, item, &mut config.ports.serf),
                        _ => decoder.unknown(&path, item, ADDRESSES, &[]),
                    }
                }
            }
            "addresses" | "advertise" => {
                let addresses = if field == "addresses" {
                    &mut config.addresses
                } else {
                    &mut config.advertise
                };
                for item in decoder.block(field, item) {
                    let path = format!("{field}.{}", item.key);
                    match item.key.as_str() {
                        "http" => decoder.optional_string(&path, item, &mut addresses.http),
                        "rpc" => decoder.optional_string(&path, item, &mut addresses.rpc),
                        "serf" => decoder.optional_string(&path, item, &mut addresses.serf),
                        _ => decoder.unknown(&path, item, ADDRESSES, &[]),
                    }
                }
            }
            "server" => decoder.server(config, item),
            "client" => decoder.client(config, item),
            "limits" => {
                let limits = &mut config.limits;
                let most = i64::from(u32::MAX);
                for item in decoder.block(field, item) {
                    let path = format!("limits.{}", item.key);
                    match item.key.as_str() {
                        "https_handshake_timeout" => {
                            decoder.duration(&path, item, &mut limits.https_handshake_timeout)
                        }
                        "http_max_conns_per_client" => decoder.integer(
                            &path,
                            item,
                            0,
                            most,
                            &mut limits.http_max_conns_per_client,
                        ),
                        "rpc_handshake_timeout" => {
                            decoder.duration(&path, item, &mut limits.rpc_handshake_timeout)
                        }
                        "rpc_max_conns_per_client" => decoder.integer(
                            &path,
                            item,
                            0,
                            most,
                            &mut limits.rpc_max_conns_per_client,
                        ),
                        _ => decoder.unknown(&path, item, LIMITS, &[]),
                    }
                }
            }
            "plugin" => decoder.plugin(config, item),
            // Taken for the sake of existing files: rove has no such endpoint, phones nowhere, and leaves by its lease.
            "enable_debug"
            | "disable_update_check"
            | "leave_on_interrupt"
            | "leave_on_terminate" => {
                decoder.boolean(field, item, &mut false);
            }
            _ => decoder.unknown(field, item, TOP, NOT_YET),
        }
    }
    decoder.errors
}

/// A store of less would be full with its first jobs.
const LEAST_SIZE: u64 = 16 << 20;

/// `2GiB` in bytes; without a unit they are bytes. Units of 1000 are taken for what they say.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

struct Decoder<'a> {
    file: &'a Path,
    errors: Vec<ConfigError>,
}

impl Decoder<'_> {
    fn server(&mut self, config: &mut AgentConfig, item: &Item) {
        let server = &mut config.server;
        for item in self.block("server", item) {
            let path = format!("server.{}", item.key);
            match item.key.as_str() {
                "enabled" => self.boolean(&path, item, &mut server.enabled),
                "bootstrap_expect" => self.integer(
                    &path,
                    item,
                    1,
                    i64::from(u32::MAX),
                    &mut server.bootstrap_expect,
                ),
                "prefix" => self.string(&path, item, &mut server.prefix),
                "heartbeat_ttl" => self.duration(&path, item, &mut server.heartbeat_ttl),
                "eval_gc_threshold" => self.duration(&path, item, &mut server.eval_gc_threshold),
                "job_gc_threshold" => self.duration(&path, item, &mut server.job_gc_threshold),
                "deployment_gc_threshold" => {
                    self.duration(&path, item, &mut server.deployment_gc_threshold)
                }
                "node_gc_threshold" => self.duration(&path, item, &mut server.node_gc_threshold),
                "compaction_retention" => {
                    self.duration(&path, item, &mut server.compaction_retention)
                }
                "join_token" => self.join_token(&path, item, &mut server.join_token),
                "etcd" => {
                    for item in self.block(&path, item) {
                        let path = format!("server.etcd.{}", item.key);
                        match item.key.as_str() {
                            "endpoints" => self.strings(&path, item, &mut server.etcd.endpoints),
                            "username" => {
                                self.optional_string(&path, item, &mut server.etcd.username)
                            }
                            "password" => {
                                self.optional_string(&path, item, &mut server.etcd.password)
                            }
                            "ca_file" => self.path(&path, item, &mut server.etcd.ca_file),
                            "cert_file" => self.path(&path, item, &mut server.etcd.cert_file),
                            "key_file" => self.path(&path, item, &mut server.etcd.key_file),
                            "quota" => {
                                let mut quota = 0;
                                self.size(&path, item, &mut quota);
                                server.etcd.quota = (quota > 0).then_some(quota);
                            }
                            _ => self.unknown(&path, item, ETCD, &[]),
                        }
                    }
                }
                "embedded" => {
                    for item in self.block(&path, item) {
                        let path = format!("server.embedded.{}", item.key);
                        match item.key.as_str() {
                            "quota" => self.size(&path, item, &mut server.embedded_quota),
                            _ => self.unknown(&path, item, EMBEDDED, &[]),
                        }
                    }
                }
                _ => self.unknown(&path, item, SERVER, NOT_YET_SERVER),
            }
        }
    }

    fn client(&mut self, config: &mut AgentConfig, item: &Item) {
        let plugins = &mut config.plugins;
        let client = &mut config.client;
        for item in self.block("client", item) {
            let path = format!("client.{}", item.key);
            match item.key.as_str() {
                "enabled" => self.boolean(&path, item, &mut client.enabled),
                "servers" => self.strings(&path, item, &mut client.servers),
                "join_token" => self.join_token(&path, item, &mut client.join_token),
                "node_class" => self.string(&path, item, &mut client.node_class),
                "node_pool" => self.string(&path, item, &mut client.node_pool),
                "network_interface" => {
                    self.optional_string(&path, item, &mut client.network_interface)
                }
                "min_dynamic_port" => self.port(&path, item, &mut client.min_dynamic_port),
                "max_dynamic_port" => self.port(&path, item, &mut client.max_dynamic_port),
                "heartbeat_ttl" => {
                    let mut ttl = Duration::default();
                    self.duration(&path, item, &mut ttl);
                    client.heartbeat_ttl = Some(ttl);
                }
                "state_dir" => self.path(&path, item, &mut client.state_dir),
                "alloc_dir" => self.path(&path, item, &mut client.alloc_dir),
                "cpu_total_compute" => {
                    self.optional_integer(&path, item, &mut client.cpu_total_compute)
                }
                "memory_total_mb" => {
                    self.optional_integer(&path, item, &mut client.memory_total_mb)
                }
                "gc_max_allocs" => self.integer(
                    &path,
                    item,
                    0,
                    i64::from(u32::MAX),
                    &mut client.gc_max_allocs,
                ),
                "max_kill_timeout" => self.duration(&path, item, &mut client.max_kill_timeout),
                "meta" => {
                    for item in self.block(&path, item) {
                        let mut value = String::new();
                        self.text(&format!("client.meta.{}", item.key), item, &mut value);
                        client.meta.insert(item.key.clone(), value);
                    }
                }
                "reserved" => {
                    for item in self.block(&path, item) {
                        let path = format!("client.reserved.{}", item.key);
                        match item.key.as_str() {
                            "cpu" => {
                                self.integer(&path, item, 0, i64::MAX, &mut client.reserved.cpu)
                            }
                            "memory" => {
                                self.integer(&path, item, 0, i64::MAX, &mut client.reserved.memory)
                            }
                            "disk" => {
                                self.integer(&path, item, 0, i64::MAX, &mut client.reserved.disk)
                            }
                            "reserved_ports" => {
                                self.port_list(&path, item, &mut client.reserved.ports)
                            }
                            _ => self.unknown(&path, item, RESERVED, &[]),
                        }
                    }
                }
                "options" => {
                    for item in self.block(&path, item) {
                        let path = format!("client.options.{}", item.key);
                        let mut value = String::new();
                        self.text(&path, item, &mut value);
                        let (driver, key, value) = match item.key.as_str() {
                            "driver.raw_exec.enable" => (
                                "raw_exec",
                                "enabled",
                                (value == "1" || value == "true").into(),
                            ),
                            "docker.endpoint" => ("docker", "endpoint", value.into()),
                            _ => {
                                self.unknown(
                                    &path,
                                    item,
                                    &["driver.raw_exec.enable", "docker.endpoint"],
                                    &[],
                                );
                                continue;
                            }
                        };
                        plugins
                            .entry(driver.to_owned())
                            .or_default()
                            .insert(key.to_owned(), value);
                    }
                }
                _ => self.unknown(&path, item, CLIENT, NOT_YET_CLIENT),
            }
        }
    }

    fn plugin(&mut self, config: &mut AgentConfig, item: &Item) {
        let pairs: Vec<(String, &[Item])> = match (item.labels.as_slice(), &item.value) {
            ([driver], Value::Block(items)) => vec![(driver.clone(), items.as_slice())],
            // JSON has the driver's name as a key.
            ([], Value::Block(drivers)) if item.at == Position::default() => drivers
                .iter()
                .filter_map(|driver| match &driver.value {
                    Value::Block(items) => Some((driver.key.clone(), items.as_slice())),
                    _ => None,
                })
                .collect(),
            _ => {
                self.refuse(
                    item.at,
                    "plugin",
                    "expected one label, the driver's name: plugin \"docker\" { … }".to_owned(),
                );
                return;
            }
        };
        for (driver, items) in pairs {
            for item in items {
                let path = format!("plugin.{driver}.{}", item.key);
                match item.key.as_str() {
                    "config" => {
                        let fields = self.block(&path, item).to_vec();
                        let target = config.plugins.entry(driver.clone()).or_default();
                        for field in fields {
                            let value = to_json(&field.value);
                            match (target.get_mut(&field.key), value) {
                                (
                                    Some(serde_json::Value::Object(old)),
                                    serde_json::Value::Object(new),
                                ) => old.extend(new),
                                (_, value) => {
                                    target.insert(field.key.clone(), value);
                                }
                            }
                        }
                    }
                    _ => self.unknown(&path, item, &["config"], &["args"]),
                }
            }
        }
    }

    fn refuse(&mut self, at: Position, field: &str, message: String) {
        self.errors.push(ConfigError::Invalid {
            path: self.file.to_owned(),
            at,
            field: field.to_owned(),
            message,
            line: None,
        });
    }

    fn mismatch(&mut self, item: &Item, field: &str, expected: &str) {
        let found = match &item.value {
            Value::String(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::List(_) | Value::Block(_) | Value::Null => item.value.kind().to_owned(),
        };
        self.refuse(
            item.at,
            field,
            format!("expected {expected}, this is {found}"),
        );
    }

    fn unknown(&mut self, field: &str, item: &Item, known: &[&str], not_yet: &[&str]) {
        if not_yet.contains(&item.key.as_str()) {
            return self.refuse(
                item.at,
                field,
                "not supported by this version of rove; remove it".to_owned(),
            );
        }
        let nearest = known
            .iter()
            .map(|name| (strsim::damerau_levenshtein(name, &item.key), *name))
            .min()
            .filter(|(distance, name)| *distance <= 2.max(name.len() / 3));
        let message = match nearest {
            Some((_, name)) => format!("unknown key; did you mean `{name}`?"),
            None => format!("unknown key; known here are {}", known.join(", ")),
        };
        self.refuse(item.at, field, message);
    }

    fn block<'i>(&mut self, field: &str, item: &'i Item) -> &'i [Item] {
        match &item.value {
            Value::Block(items) if item.labels.is_empty() => items,
            Value::Block(_) => {
                self.refuse(item.at, field, "this block takes no label".to_owned());
                &[]
            }
            _ => {
                self.mismatch(item, field, "a block { … }");
                &[]
            }
        }
    }

    fn string(&mut self, field: &str, item: &Item, target: &mut String) {
        match &item.value {
            Value::String(text) => target.clone_from(text),
            _ => self.mismatch(item, field, "a string"),
        }
    }

    /// A string, or a number or boolean taken as its text.
    fn text(&mut self, field: &str, item: &Item, target: &mut String) {
        match &item.value {
            Value::String(text) => target.clone_from(text),
            Value::Integer(number) => *target = number.to_string(),
            Value::Float(number) => *target = number.to_string(),
            Value::Bool(value) => *target = value.to_string(),
            Value::List(_) | Value::Block(_) | Value::Null => {
                self.mismatch(item, field, "a string")
            }
        }
    }

    fn optional_string(&mut self, field: &str, item: &Item, target: &mut Option<String>) {
        let mut text = String::new();
        self.string(field, item, &mut text);
        *target = (!text.is_empty()).then_some(text);
    }

    /// A token by which new nodes are let in. It is not repeated in what is said of it.
    fn join_token(&mut self, field: &str, item: &Item, target: &mut Option<Hidden>) {
        let mut text = None;
        self.optional_string(field, item, &mut text);
        let Some(text) = text else {
            return;
        };
        if JOIN_TOKEN_LENGTHS.contains(&text.len()) && !text.chars().any(char::is_control) {
            *target = Some(Hidden(text));
        } else {
            self.refuse(
                item.at,
                field,
                "expected 16 to 256 characters, none of them a control character".to_owned(),
            );
        }
    }

    fn path(&mut self, field: &str, item: &Item, target: &mut Option<PathBuf>) {
        let mut text = None;
        self.optional_string(field, item, &mut text);
        *target = text.map(PathBuf::from);
    }

    fn strings(&mut self, field: &str, item: &Item, target: &mut Vec<String>) {
        let Value::List(values) = &item.value else {
            return self.mismatch(item, field, "a list of strings");
        };
        for value in values {
            match value {
                Value::String(text) => target.push(text.clone()),
                _ => self.refuse(
                    item.at,
                    field,
                    format!("expected a list of strings, it holds {}", value.kind()),
                ),
            }
        }
    }

    fn boolean(&mut self, field: &str, item: &Item, target: &mut bool) {
        match &item.value {
            Value::Bool(value) => *target = *value,
            Value::String(text) if text == "true" || text == "false" => *target = text == "true",
            _ => self.mismatch(item, field, "true or false"),
        }
    }

    fn integer<T: TryFrom<i64>>(
        &mut self,
        field: &str,
        item: &Item,
        least: i64,
        most: i64,
        target: &mut T,
    ) {
        let number = match &item.value {
            Value::Integer(number) => Some(*number),
            Value::String(text) => text.parse().ok(),
            Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Block(_) | Value::Null => {
                None
            }
        };
        match number
            .filter(|number| (least..=most).contains(number))
            .and_then(|number| T::try_from(number).ok())
        {
            Some(number) => *target = number,
            None => self.mismatch(item, field, &format!("a whole number of at least {least}")),
        }
    }

    /// Bytes: a number, or a text with a unit.
    fn size(&mut self, field: &str, item: &Item, target: &mut u64) {
        let bytes = match &item.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => bytes_of(text),
            Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Block(_) | Value::Null => {
                None
            }
        };
        match bytes.filter(|bytes| *bytes >= LEAST_SIZE) {
            Some(bytes) => *target = bytes,
            None => self.mismatch(
                item,
                field,
                "a size of at least 16 MiB, such as \"512MiB\" or \"2GiB\"",
            ),
        }
    }

    fn optional_integer(&mut self, field: &str, item: &Item, target: &mut Option<u64>) {
        let mut number = 0;
        self.integer(field, item, 0, i64::MAX, &mut number);
        *target = (number > 0).then_some(number);
    }

    fn port(&mut self, field: &str, item: &Item, target: &mut u16) {
        match &item.value {
            Value::Integer(number @ 1..=65_535) => {
                *target = u16::try_from(*number).unwrap_or(*target)
            }
            _ => self.mismatch(item, field, "a port from 1 to 65535"),
        }
    }

    fn port_list(&mut self, field: &str, item: &Item, target: &mut Vec<u16>) {
        let mut text = String::new();
        self.text(field, item, &mut text);
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                (Ok(first), Ok(last)) if first > 0 && first <= last => target.extend(first..=last),
                _ => self.mismatch(item, field, "ports such as \"22,80,8000-8100\""),
            }
        }
        target.sort_unstable();
        target.dedup();
    }

    fn duration(&mut self, field: &str, item: &Item, target: &mut Duration) {
        let parsed = match &item.value {
            Value::String(text) => parse_duration(text),
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Block(_) | Value::Null => {
                None
            }
        };
        match parsed {
            Some(duration) => *target = duration,
            None => self.mismatch(item, field, "a duration such as \"30s\" or \"1h30m\""),
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let nanos: rove_model::duration::Nanos = text.parse().ok()?;
    u64::try_from(nanos.0).ok().map(Duration::from_nanos)
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(value) => (*value).into(),
        Value::Null => serde_json::Value::Null,
        Value::List(values) => values.iter().map(to_json).collect(),
        Value::Block(items) => items
            .iter()
            .map(|item| (item.key.clone(), to_json(&item.value)))
            .collect(),
    }
}
