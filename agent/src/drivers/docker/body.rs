//! What the engine is asked to create.

use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, PortBinding, PortMap, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use rove_model::ids::UnixNanos;

use super::config::DockerConfig;
use crate::drivers::{DriverError, TaskConfig, TaskPort, TaskRef};

/// The engine's own copy of the output: enough for `docker logs`, and bounded. rove keeps its own.
const ENGINE_LOG_FILES: &str = "2";
const ENGINE_LOG_SIZE: &str = "2m";
/// The least share that the kernel takes.
const MIN_CPU_SHARES: u64 = 2;

pub(super) const LABEL_ALLOC: &str = "rove.alloc_id";
pub(super) const LABEL_TASK: &str = "rove.task";
pub(super) const LABEL_STARTED: &str = "rove.started_at";

/// The labels by which a task's container is found.
pub(super) fn key_labels(task: &TaskRef) -> Vec<String> {
    vec![
        format!("{LABEL_ALLOC}={}", task.alloc_id),
        format!("{LABEL_TASK}={}", task.task),
    ]
}

/// What to create for a task.
pub(super) fn create(
    task: &TaskConfig,
    config: &DockerConfig,
    started_at: UnixNanos,
    cores: u32,
    core_mhz: f64,
) -> Result<ContainerCreateBody, DriverError> {
    let (exposed, bindings) = ports(task, config)?;
    let memory_mb = task.limits.memory_mb;
    let most_mb = config
        .memory_hard_limit_mb
        .unwrap_or(0)
        .max(task.limits.memory_max_mb)
        .max(memory_mb);
    let bytes =
        |mb: u64| (mb > 0).then(|| i64::try_from(mb.saturating_mul(1 << 20)).unwrap_or(i64::MAX));
    let host = HostConfig {
        cpu_shares: Some(
            i64::try_from(task.limits.cpu_mhz.max(MIN_CPU_SHARES)).unwrap_or(i64::MAX),
        ),
        nano_cpus: config
            .cpu_hard_limit
            .then(|| nano_cpus(task.limits.cpu_mhz, cores, core_mhz)),
        memory: bytes(most_mb),
        memory_reservation: bytes(memory_mb).filter(|_| most_mb > memory_mb),
        // No swap beside it.
        memory_swap: bytes(most_mb),
        pids_limit: config.pids_limit,
        binds: Some(volumes(task, config)).filter(|binds| !binds.is_empty()),
        mounts: Some(mounts(task)),
        port_bindings: Some(bindings),
        network_mode: config.network_mode.clone(),
        privileged: Some(config.privileged),
        cap_add: some(&config.cap_add),
        cap_drop: some(&config.cap_drop),
        security_opt: some(&config.security_opt),
        dns: some(&config.dns),
        dns_search: some(&config.dns_search),
        dns_options: some(&config.dns_options),
        extra_hosts: some(&config.extra_hosts),
        group_add: some(&config.group_add),
        init: config.init.then_some(true),
        readonly_rootfs: Some(config.readonly_rootfs),
        shm_size: config.shm_size,
        sysctls: (!config.sysctl.is_empty()).then(|| config.sysctl.clone().into_iter().collect()),
        ulimits: (!config.ulimit.is_empty()).then(|| {
            config
                .ulimit
                .iter()
                .map(|(name, soft, hard)| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(*soft),
                    hard: Some(*hard),
                })
                .collect()
        }),
        pid_mode: config.pid_mode.clone(),
        ipc_mode: config.ipc_mode.clone(),
        uts_mode: config.uts_mode.clone(),
        userns_mode: config.userns_mode.clone(),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-file".to_owned(), ENGINE_LOG_FILES.to_owned()),
                ("max-size".to_owned(), ENGINE_LOG_SIZE.to_owned()),
            ])),
        }),
        // Restarts are the agent's.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    };
    let command: Vec<String> = config.command.iter().chain(&config.args).cloned().collect();
    let aliases = (!config.network_aliases.is_empty()).then(|| {
        let network = config
            .network_mode
            .clone()
            .unwrap_or_else(|| "bridge".to_owned());
        NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                network,
                EndpointSettings {
                    aliases: Some(config.network_aliases.clone()),
                    ..EndpointSettings::default()
                },
            )])),
        }
    });
    Ok(ContainerCreateBody {
        image: Some(config.image.clone()),
        hostname: config.hostname.clone(),
        user: task.user.clone(),
        working_dir: config.work_dir.clone(),
        entrypoint: some(&config.entrypoint),
        cmd: some(&command),
        env: Some(
            task.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        tty: Some(config.tty),
        open_stdin: Some(config.interactive),
        exposed_ports: some(&exposed),
        labels: Some(labels(task, config, started_at)),
        stop_signal: task.kill_signal.map(|signal| signal.name().to_owned()),
        host_config: Some(host),
        networking_config: aliases,
        ..ContainerCreateBody::default()
    })
}

fn some(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a share of some cores
fn nano_cpus(mhz: u64, cores: u32, core_mhz: f64) -> i64 {
    let share = mhz as f64 / core_mhz.max(1.0);
    (share.clamp(0.01, f64::from(cores.max(1))) * 1e9) as i64
}

fn labels(
    task: &TaskConfig,
    config: &DockerConfig,
    started_at: UnixNanos,
) -> HashMap<String, String> {
    let alloc = task.task.alloc_id.to_string();
    let ours = [
        ("com.hashicorp.nomad.alloc_id", alloc.clone()),
        (LABEL_ALLOC, alloc),
        (LABEL_TASK, task.task.task.clone()),
        (LABEL_STARTED, started_at.to_string()),
        ("rove.namespace", task.namespace.clone()),
        ("rove.job", task.job.clone()),
        ("rove.group", task.group.clone()),
        ("rove.node_id", task.node_id.clone()),
    ];
    // Ours last: tasks are found by them.
    config
        .labels
        .clone()
        .into_iter()
        .chain(ours.map(|(name, value)| (name.to_owned(), value)))
        .collect()
}

fn mounts(task: &TaskConfig) -> Vec<Mount> {
    task.mounts
        .iter()
        .map(|mount| Mount {
            typ: Some(MountType::BIND),
            source: Some(mount.host.display().to_string()),
            target: Some(mount.task.display().to_string()),
            read_only: Some(mount.read_only),
            ..Mount::default()
        })
        .collect()
}

/// Relative sources are within the task's directory.
fn volumes(task: &TaskConfig, config: &DockerConfig) -> Vec<String> {
    config
        .volumes
        .iter()
        .map(|volume| match volume.split_once(':') {
            Some((source, rest)) if !source.starts_with('/') => {
                format!("{}:{rest}", task.task_dir.join(source).display())
            }
            _ => volume.clone(),
        })
        .collect()
}

/// Which ports are exposed and published: those that `ports` names, else those of `port_map` with the others of the
/// task's own network block, each for TCP and UDP. A container that shares another's network publishes none.
fn ports(task: &TaskConfig, config: &DockerConfig) -> Result<(Vec<String>, PortMap), DriverError> {
    let find = |label: &String, key: &'static str| {
        task.ports
            .iter()
            .find(|port| port.label == *label)
            .ok_or_else(|| DriverError::UnknownPort {
                label: label.clone(),
                key,
            })
    };
    let mut wanted: Vec<(&TaskPort, u16)> = Vec::new();
    for label in &config.ports {
        let port = find(label, "ports")?;
        wanted.push((port, port.inside()));
    }
    for (label, inside) in &config.port_map {
        wanted.push((find(label, "port_map")?, *inside));
    }
    if config.ports.is_empty() {
        let own = task.ports.iter().filter(|port| port.of_task);
        wanted.extend(
            own.filter(|port| !config.port_map.contains_key(&port.label))
                .map(|port| (port, port.inside())),
        );
    }
    let shares = |mode: &str| mode == "host" || mode == "none" || mode.starts_with("container:");
    if config.network_mode.as_deref().is_some_and(shares) {
        wanted.clear();
    }
    let mut exposed = Vec::new();
    let mut bindings = PortMap::new();
    for (port, inside) in wanted {
        for protocol in ["tcp", "udp"] {
            let key = format!("{inside}/{protocol}");
            bindings
                .entry(key.clone())
                .or_insert_with(|| Some(Vec::new()))
                .get_or_insert_default()
                .push(PortBinding {
                    host_ip: port.host_ip.map(|address: IpAddr| address.to_string()),
                    host_port: Some(port.host.to_string()),
                });
            exposed.push(key);
        }
    }
    exposed.sort();
    exposed.dedup();
    Ok((exposed, bindings))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::drivers::{LogLimits, TaskLimits, TaskMount, docker::Allowed};

    fn task(config: Value, limits: TaskLimits) -> (TaskConfig, DockerConfig) {
        let port = |label: &str, host, to, of_task| TaskPort {
            label: label.to_owned(),
            host,
            to,
            host_ip: Some("10.0.0.1".parse().unwrap()),
            of_task,
        };
        let config = config.as_object().unwrap().clone();
        let read = DockerConfig::read(
            &config,
            Allowed {
                privileged: false,
                volumes: true,
            },
        )
        .unwrap();
        let task = TaskConfig {
            task: TaskRef {
                alloc_id: rove_model::ids::AllocId::from_random([7; 16]),
                task: "web".to_owned(),
                state_dir: "/state".into(),
            },
            namespace: "default".to_owned(),
            job: "job".to_owned(),
            group: "group".to_owned(),
            node_id: "node".to_owned(),
            config,
            env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            user: None,
            limits,
            ports: vec![
                port("db", 20_001, 6379, false),
                port("http", 20_002, 0, true),
                port("admin", 20_003, 0, true),
            ],
            task_dir: "/alloc/web".into(),
            mounts: vec![TaskMount {
                host: "/alloc/a:b".into(),
                task: "/alloc".into(),
                read_only: false,
            }],
            log_dir: "/logs".into(),
            logs: Some(LogLimits::default()),
            kill_signal: None,
        };
        (task, read)
    }

    fn body(config: Value, limits: TaskLimits) -> ContainerCreateBody {
        let (task, read) = task(config, limits);
        create(&task, &read, 1, 4, 2000.0).unwrap()
    }

    #[test]
    fn sources_in_the_tasks_directory_are_shown_but_not_what_a_link_there_leads_to() {
        use std::os::unix::fs::symlink;

        use crate::drivers::docker::sources::Sources;

        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("1/web");
        std::fs::create_dir_all(dir.join("local/data")).unwrap();
        std::fs::write(dir.join("local/file"), "x").unwrap();
        symlink("/", dir.join("local/root")).unwrap();
        symlink("data", dir.join("local/near")).unwrap();
        symlink("../../alloc/data", dir.join("local/shared")).unwrap();
        symlink("../../..", dir.join("local/above")).unwrap();
        symlink("nowhere", dir.join("local/dangling")).unwrap();
        symlink("circle", dir.join("local/circle")).unwrap();
        std::fs::create_dir_all(base.path().join("1/alloc/data")).unwrap();
        let open = |volume: &str, volumes| {
            let config = json!({"image": "redis", "volumes": [volume]});
            let (mut task, read) = task(config, TaskLimits::default());
            task.task_dir = dir.clone();
            task.mounts[0].host = dir.join("local");
            let allowed = Allowed {
                privileged: false,
                volumes,
            };
            Sources::open(&task, &read, allowed)
        };
        for fine in [
            "local/data:/d",
            "./local//file:/f:ro",
            "local/new/er:/n",
            ".:/all",
            "../alloc/data:/shared",
            "../alloc/new:/shared:ro",
            "..:/all",
            "local/near:/n",
            "local/shared:/s",
            "local/shared/../../web/local:/l",
        ] {
            open(fine, false).unwrap().check().unwrap();
        }
        assert!(dir.join("local/new/er").is_dir());
        assert!(base.path().join("1/alloc/new").is_dir());
        for (volume, bind) in [
            ("../alloc/data:/shared", "1/alloc/data:/shared"),
            ("local/shared:/s:ro", "1/alloc/data:/s:ro"),
            ("local/near:/n", "1/web/local/data:/n"),
        ] {
            let real = base.path().join(bind).display().to_string();
            assert_eq!(open(volume, false).unwrap().binds(), [real], "{volume}");
        }
        for bad in ["../../2:/x", "/etc:/etc", "local/../../../etc:/x"] {
            let config = json!({"image": "redis", "volumes": [bad]});
            let read = DockerConfig::read(config.as_object().unwrap(), Allowed::default());
            let error = read.unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
        for bad in [
            "local/root:/host",
            "local/root/etc:/etc",
            "local/above:/n",
            "local/above/etc:/n",
            "local/dangling:/n",
            "local/circle:/n",
        ] {
            let error = open(bad, false).unwrap_err();
            assert!(
                !error.is_recoverable() && error.to_string().contains(bad),
                "{error}"
            );
            assert_eq!(open(bad, true).unwrap().binds(), [bad]);
        }
        // What would be read by the engine as another source than the one that was looked at.
        std::fs::create_dir_all(base.path().join("1/alloc/data/p:/m")).unwrap();
        symlink("/", base.path().join("1/alloc/data/p")).unwrap();
        symlink("../../alloc/data/p:/m", dir.join("local/colon")).unwrap();
        symlink("../../alloc/data/p:", dir.join("local/above-colon")).unwrap();
        for bad in [
            "local/colon:/d:rw",
            "local/above-colon/m:/d",
            "local/data:",
            "local/data:d",
            "local/data::/d",
            "local/data:../d:ro",
        ] {
            let error = open(bad, false).unwrap_err();
            assert!(
                !error.is_recoverable() && error.to_string().contains(bad),
                "{error}"
            );
        }
        // Exchanged between the look and the start.
        for put in [
            (|at| std::fs::create_dir(at).unwrap()) as fn(&std::path::Path),
            |at| symlink("/", at).unwrap(),
        ] {
            let sources = open("local/data:/d", false).unwrap();
            let _ = std::fs::remove_dir_all(dir.join("moved"));
            std::fs::rename(dir.join("local/data"), dir.join("moved")).unwrap();
            put(&dir.join("local/data"));
            let error = sources.check().unwrap_err();
            assert!(error.to_string().contains("local/data:/d"), "{error}");
        }
        // The directories that every container is shown.
        std::fs::rename(dir.join("local"), dir.join("away")).unwrap();
        symlink("/", dir.join("local")).unwrap();
        let error = open("tmp:/t", true).unwrap_err();
        assert!(error.to_string().contains("\"/alloc\""), "{error}");
    }

    #[test]
    fn ports_are_published_as_the_job_files_of_their_year_mean_them() {
        let limits = TaskLimits::default();
        for (config, expected) in [
            (
                json!({"image": "x", "ports": ["db"]}),
                &["6379/tcp=20001"][..],
            ),
            (
                json!({"image": "x", "port_map": [{"http": 80}]}),
                &["20003/tcp=20003", "80/tcp=20002"],
            ),
            (
                json!({"image": "x"}),
                &["20002/tcp=20002", "20003/tcp=20003"],
            ),
            (
                json!({"image": "x", "ports": ["db"], "network_mode": "host"}),
                &[],
            ),
        ] {
            let body = body(config.clone(), limits);
            let mut published: Vec<String> = body
                .host_config
                .unwrap()
                .port_bindings
                .unwrap()
                .into_iter()
                .filter(|(port, _)| port.ends_with("/tcp"))
                .map(|(port, to)| format!("{port}={}", to.unwrap()[0].host_port.clone().unwrap()))
                .collect();
            published.sort();
            assert_eq!(published, expected, "{config}");
        }
    }

    #[test]
    fn limits_become_the_engines() {
        let limits = TaskLimits {
            cpu_mhz: 500,
            memory_mb: 100,
            memory_max_mb: 300,
        };
        let host = body(json!({"image": "x", "cpu_hard_limit": true}), limits)
            .host_config
            .unwrap();
        assert_eq!(host.cpu_shares, Some(500));
        assert_eq!(host.nano_cpus, Some(250_000_000));
        assert_eq!(host.memory, Some(300 << 20));
        assert_eq!(host.memory_swap, Some(300 << 20));
        assert_eq!(host.memory_reservation, Some(100 << 20));
        let tiny = TaskLimits {
            cpu_mhz: 1,
            memory_mb: 100,
            memory_max_mb: 0,
        };
        let host = body(json!({"image": "x"}), tiny).host_config.unwrap();
        assert_eq!((host.cpu_shares, host.nano_cpus), (Some(2), None));
        assert_eq!(
            (host.memory, host.memory_reservation),
            (Some(100 << 20), None)
        );
    }

    #[test]
    fn what_rove_finds_its_containers_by_can_not_be_overwritten() {
        let body = body(
            json!({"image": "x", "labels": {"rove.task": "other", "mine": "1"}, "command": "c", "args": ["a"],
                   "volumes": ["data:/data", "/etc:/etc:ro"]}),
            TaskLimits::default(),
        );
        let labels = body.labels.unwrap();
        assert_eq!(labels["rove.task"], "web");
        assert_eq!(labels["mine"], "1");
        assert_eq!(body.cmd.unwrap(), ["c", "a"]);
        assert_eq!(body.env.unwrap(), ["A=b=c"]);
        let host = body.host_config.unwrap();
        assert_eq!(
            host.binds.unwrap(),
            ["/alloc/web/data:/data", "/etc:/etc:ro"]
        );
        assert_eq!(
            host.mounts.unwrap()[0].source.as_deref(),
            Some("/alloc/a:b")
        );
    }
}
