//! The `config` block of a docker task.

use std::{collections::BTreeMap, time::Duration};

use rove_model::{drivers, duration::Nanos};
use serde_json::{Map, Value};

use crate::drivers::{
    DriverError,
    config::{ConfigProblem, Reader},
};

use super::NAME;

/// What a container may be given back of what is taken from it, without the operator's word.
const ALLOWED_CAPS: &[&str] = &[
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

/// How long a pull may go without finishing.
const PULL_TIMEOUT: Duration = Duration::from_secs(300);

/// What the operator of a node allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Privileged containers, and sharing the host's namespaces.
    pub privileged: bool,
    /// Host paths as volumes.
    pub volumes: bool,
}

/// A docker task's config, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DockerConfig {
    pub(super) image: String,
    pub(super) command: Option<String>,
    pub(super) args: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) port_map: BTreeMap<String, u16>,
    pub(super) network_mode: Option<String>,
    pub(super) network_aliases: Vec<String>,
    pub(super) hostname: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) work_dir: Option<String>,
    pub(super) force_pull: bool,
    pub(super) pull_timeout: Duration,
    pub(super) auth: BTreeMap<String, String>,
    pub(super) privileged: bool,
    pub(super) volumes: Vec<String>,
    pub(super) cap_add: Vec<String>,
    pub(super) cap_drop: Vec<String>,
    pub(super) security_opt: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) dns_search: Vec<String>,
    pub(super) dns_options: Vec<String>,
    pub(super) extra_hosts: Vec<String>,
    pub(super) group_add: Vec<String>,
    pub(super) tty: bool,
    pub(super) interactive: bool,
    pub(super) init: bool,
    pub(super) readonly_rootfs: bool,
    pub(super) shm_size: Option<i64>,
    pub(super) sysctl: BTreeMap<String, String>,
    pub(super) ulimit: Vec<(String, i64, i64)>,
    /// Above zero; without one there is no limit.
    pub(super) pids_limit: Option<i64>,
    pub(super) cpu_hard_limit: bool,
    pub(super) memory_hard_limit_mb: Option<u64>,
    pub(super) pid_mode: Option<String>,
    pub(super) ipc_mode: Option<String>,
    pub(super) uts_mode: Option<String>,
    pub(super) userns_mode: Option<String>,
}

impl DockerConfig {
    pub(super) fn read(config: &Map<String, Value>, allowed: Allowed) -> Result<Self, DriverError> {
        let config = Self::parse(config).map_err(|problem| DriverError::Config {
            driver: NAME,
            problem,
        })?;
        config.check(allowed)?;
        Ok(config)
    }

    fn parse(config: &Map<String, Value>) -> Result<Self, ConfigProblem> {
        let config = Reader::new(config, &drivers::DOCKER)?;
        let flag = |key| Ok(config.boolean(key)?.unwrap_or(false));
        Ok(Self {
            image: config.required_text("image")?,
            command: config.text("command")?.filter(|text| !text.is_empty()),
            args: config.texts("args")?,
            entrypoint: match config.value("entrypoint") {
                Some(Value::String(_)) => config.text("entrypoint")?.into_iter().collect(),
                _ => config.texts("entrypoint")?,
            },
            ports: config.texts("ports")?,
            port_map: port_map(&config)?,
            network_mode: config.text("network_mode")?.filter(|text| !text.is_empty()),
            network_aliases: config.texts("network_aliases")?,
            hostname: config.text("hostname")?,
            labels: config.map("labels")?,
            work_dir: config.text("work_dir")?,
            force_pull: flag("force_pull")?,
            pull_timeout: pull_timeout(&config)?,
            auth: config.map("auth")?,
            privileged: flag("privileged")?,
            volumes: config.texts("volumes")?,
            cap_add: config.texts("cap_add")?,
            cap_drop: config.texts("cap_drop")?,
            security_opt: config.texts("security_opt")?,
            dns: config.texts("dns_servers")?,
            dns_search: config.texts("dns_search_domains")?,
            dns_options: config.texts("dns_options")?,
            extra_hosts: config.texts("extra_hosts")?,
            group_add: config.texts("group_add")?,
            tty: flag("tty")?,
            interactive: flag("interactive")?,
            init: flag("init")?,
            readonly_rootfs: flag("readonly_rootfs")?,
            shm_size: signed(&config, "shm_size")?,
            sysctl: config.map("sysctl")?,
            ulimit: ulimits(&config)?,
            pids_limit: config
                .signed_number("pids_limit")?
                .filter(|limit| *limit > 0),
            cpu_hard_limit: flag("cpu_hard_limit")?,
            memory_hard_limit_mb: config.number("memory_hard_limit")?.filter(|mb| *mb > 0),
            pid_mode: config.text("pid_mode")?,
            ipc_mode: config.text("ipc_mode")?,
            uts_mode: config.text("uts_mode")?,
            userns_mode: config.text("userns_mode")?,
        })
    }

    fn check(&self, allowed: Allowed) -> Result<(), DriverError> {
        const PRIVILEGED: &str =
            "the operator has to set allow_privileged in the docker plugin's config";
        let forbidden = |what: String, hint| Err(DriverError::Forbidden { what, hint });
        if !allowed.privileged {
            if self.privileged {
                return forbidden("\"privileged\"".to_owned(), PRIVILEGED);
            }
            for (key, mode) in [
                ("pid_mode", &self.pid_mode),
                ("ipc_mode", &self.ipc_mode),
                ("uts_mode", &self.uts_mode),
                ("userns_mode", &self.userns_mode),
            ] {
                // "container:…" would join one of someone else's.
                if mode
                    .as_deref()
                    .is_some_and(|mode| !matches!(mode, "" | "private" | "shareable" | "none"))
                {
                    return forbidden(format!("{key:?} other than private"), PRIVILEGED);
                }
            }
            if let Some(cap) = self.cap_add.iter().find(|cap| {
                let name = cap.to_ascii_lowercase();
                !ALLOWED_CAPS.contains(&name.strip_prefix("cap_").unwrap_or(&name))
            }) {
                return forbidden(format!("\"cap_add\" of {cap:?}"), PRIVILEGED);
            }
            if let Some(option) = self
                .security_opt
                .iter()
                .find(|option| option.contains("unconfined") || option.contains("disable"))
            {
                return forbidden(format!("\"security_opt\" of {option:?}"), PRIVILEGED);
            }
        }
        if !allowed.volumes
            && let Some(volume) = self.volumes.iter().find(|volume| !is_beneath(volume))
        {
            return forbidden(
                format!("the volume {volume:?}"),
                "the operator has to set volumes.enabled in the docker plugin's config",
            );
        }
        Ok(())
    }
}

/// Whether a volume's source may be within the alloc's directory: it counts from the task's, which is one below. Where
/// its names really lead is seen when it is opened.
fn is_beneath(volume: &str) -> bool {
    use std::path::Component;

    let source = volume.split(':').next().unwrap_or_default();
    let mut depth = Some(1_usize);
    for part in std::path::Path::new(source).components() {
        depth = match part {
            Component::Normal(_) => depth.map(|depth| depth + 1),
            Component::CurDir => depth,
            Component::ParentDir => depth.and_then(|depth| depth.checked_sub(1)),
            Component::RootDir | Component::Prefix(_) => None,
        };
    }
    volume.contains(':') && depth.is_some()
}

fn port_map(config: &Reader<'_>) -> Result<BTreeMap<String, u16>, ConfigProblem> {
    config
        .map("port_map")?
        .into_iter()
        .map(|(label, port)| match port.parse() {
            Ok(number) => Ok((label, number)),
            Err(_) => Err(ConfigProblem::BadValue {
                key: format!("port_map.{label}"),
                value: port,
                expected: "a port".to_owned(),
            }),
        })
        .collect()
}

fn pull_timeout(config: &Reader<'_>) -> Result<Duration, ConfigProblem> {
    let Some(text) = config.text("image_pull_timeout")? else {
        return Ok(PULL_TIMEOUT);
    };
    match text.parse::<Nanos>() {
        Ok(nanos) if nanos.0 > 0 => Ok(nanos.duration()),
        _ => Err(ConfigProblem::BadValue {
            key: "image_pull_timeout".to_owned(),
            value: text,
            expected: "a duration such as \"5m\"".to_owned(),
        }),
    }
}

fn signed(config: &Reader<'_>, key: &str) -> Result<Option<i64>, ConfigProblem> {
    config
        .number(key)?
        .map(|value| {
            i64::try_from(value).map_err(|_| ConfigProblem::BadValue {
                key: key.to_owned(),
                value: value.to_string(),
                expected: "a number of 63 bits".to_owned(),
            })
        })
        .transpose()
}

/// `nofile = "1024:2048"`: the soft limit and the hard one, which is the soft one when absent.
fn ulimits(config: &Reader<'_>) -> Result<Vec<(String, i64, i64)>, ConfigProblem> {
    config
        .map("ulimit")?
        .into_iter()
        .map(|(name, text)| match drivers::ulimit(&text) {
            Some((soft, hard)) => Ok((name, soft, hard)),
            None => Err(ConfigProblem::BadValue {
                key: format!("ulimit.{name}"),
                value: text.clone(),
                expected: "a limit such as \"1024:2048\"".to_owned(),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn read(config: Value, allowed: Allowed) -> Result<DockerConfig, String> {
        DockerConfig::read(config.as_object().unwrap(), allowed)
            .map_err(|error| error.full_message())
    }

    #[test]
    fn the_forms_that_job_files_of_all_years_use_are_read() {
        let allowed = Allowed::default();
        let new = read(
            json!({"image": "redis:3.2", "ports": ["db"], "labels": {"a": "b"}}),
            allowed,
        )
        .unwrap();
        assert_eq!(new.ports, ["db"]);
        assert_eq!(new.labels["a"], "b");
        let old = read(
            json!({"image": "redis:3.2", "port_map": [{"db": 6379}], "labels": [{"a": "b"}], "entrypoint": "/x"}),
            allowed,
        )
        .unwrap();
        assert_eq!(old.port_map["db"], 6379);
        assert_eq!(old.labels["a"], "b");
        assert_eq!(old.entrypoint, ["/x"]);
        let full = read(
            json!({"image": "i", "image_pull_timeout": "1m30s", "ulimit": [{"nofile": "1:2", "core": 0}]}),
            allowed,
        )
        .unwrap();
        assert_eq!(full.pull_timeout, Duration::from_secs(90));
        assert_eq!(
            full.ulimit,
            [("core".to_owned(), 0, 0), ("nofile".to_owned(), 1, 2)]
        );
    }

    #[test]
    fn a_limit_of_processes_that_is_not_above_zero_is_none() {
        for (given, limit) in [
            (json!(100), Some(100)),
            (json!("100"), Some(100)),
            (json!(0), None),
            (json!(-1), None),
            (json!("-1"), None),
        ] {
            let config = read(
                json!({"image": "x", "pids_limit": given}),
                Allowed::default(),
            );
            assert_eq!(config.unwrap().pids_limit, limit, "{given}");
        }
        let error = read(json!({"image": "x", "pids_limit": 1.5}), Allowed::default());
        assert!(error.unwrap_err().contains("must be a whole number"));
    }

    #[test]
    fn what_can_not_be_run_is_refused_by_name() {
        for (config, message) in [
            (
                json!({}),
                r#"invalid docker config: key "image" is required"#,
            ),
            (
                json!({"image": "x", "prots": []}),
                r#"invalid docker config: unknown key "prots"; did you mean "ports"?"#,
            ),
            (
                json!({"image": "x", "logging": []}),
                r#"invalid docker config: key "logging" is not supported yet"#,
            ),
            (
                json!({"image": "x", "ports": ["a"], "port_map": {"a": 1}}),
                r#"invalid docker config: key "port_map" is "a", which is not allowed together with "ports""#,
            ),
            (
                json!({"image": "x", "port_map": {"a": 70000}}),
                r#"invalid docker config: key "port_map.a" is "70000", which is not a port"#,
            ),
            (
                json!({"image": "x", "image_pull_timeout": "5"}),
                r#"invalid docker config: key "image_pull_timeout" is "5", which is not a duration such as "5m""#,
            ),
            (
                json!({"image": "x", "auth": [{"user": "u"}]}),
                r#"invalid docker config: unknown key "auth.user""#,
            ),
        ] {
            assert_eq!(read(config, Allowed::default()).unwrap_err(), message);
        }
    }

    #[test]
    fn what_reaches_out_of_the_container_needs_the_operators_word() {
        let all = Allowed {
            privileged: true,
            volumes: true,
        };
        for (config, named) in [
            (json!({"image": "x", "privileged": true}), "\"privileged\""),
            (json!({"image": "x", "pid_mode": "host"}), "\"pid_mode\""),
            (
                json!({"image": "x", "ipc_mode": "container:y"}),
                "\"ipc_mode\"",
            ),
            (json!({"image": "x", "cap_add": ["SYS_ADMIN"]}), "SYS_ADMIN"),
            (json!({"image": "x", "cap_add": ["all"]}), "all"),
            (
                json!({"image": "x", "security_opt": ["seccomp=unconfined"]}),
                "seccomp",
            ),
            (json!({"image": "x", "volumes": ["/etc:/etc"]}), "/etc:/etc"),
            (
                json!({"image": "x", "volumes": ["../../x:/y"]}),
                "../../x:/y",
            ),
            (json!({"image": "x", "volumes": ["named:/y", "/a"]}), "/a"),
        ] {
            let error = read(config.clone(), Allowed::default()).unwrap_err();
            assert!(
                error.contains(named) && error.contains("not allowed"),
                "{error}"
            );
            assert!(read(config, all).is_ok());
        }
        for config in [
            json!({"image": "x", "cap_add": ["CAP_CHOWN", "kill"], "cap_drop": ["all"]}),
            json!({"image": "x", "volumes": ["local/data:/data", "./x:/y:ro", "../alloc/data:/shared", "local/../../:/all"]}),
        ] {
            assert!(read(config, Allowed::default()).is_ok());
        }
    }
}
