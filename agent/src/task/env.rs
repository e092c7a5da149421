//! The environment of a task: the `NOMAD_*` names that job files and programs rely on.

use std::{collections::BTreeMap, path::Path};

use rove_model::{
    alloc::{Alloc, AllocatedPort, TaskResources},
    job::{Job, Task, TaskGroup},
    node::Node,
};

use super::interpolate::Names;

/// Names of the agent's own environment that no task gets: they are somebody's keys.
const DENIED: &[&str] = &[
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_AUTH",
    "VAULT_TOKEN",
    "NOMAD_TOKEN",
    "NOMAD_LICENSE",
    "ROVE_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// The directories of a task, as it sees them itself.
#[derive(Clone, Copy, Debug)]
pub struct Dirs<'a> {
    /// Shared by the alloc's tasks.
    pub alloc: &'a Path,
    /// Its own.
    pub local: &'a Path,
    /// Its own, not shown to others.
    pub secrets: &'a Path,
}

/// What a task's environment is made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its alloc.
    pub alloc: &'a Alloc,
    /// Its job.
    pub job: &'a Job,
    /// Its group.
    pub group: &'a TaskGroup,
    /// The task.
    pub task: &'a Task,
    /// Where it runs.
    pub node: &'a Node,
    /// The region.
    pub region: &'a str,
    /// Its directories.
    pub dirs: Dirs<'a>,
    /// The agent's own environment; empty for a task that has a root of its own.
    pub host: &'a BTreeMap<String, String>,
}

/// The environment, and with it all that `${…}` may stand for.
#[must_use]
pub fn build(source: Source<'_>) -> Names {
    let Source {
        alloc,
        job,
        group,
        task,
        node,
        region,
        dirs,
        host,
    } = source;
    let mut names = Names::of_node(node, region);
    for (name, value) in host {
        if !DENIED.contains(&name.as_str()) {
            set(&mut names.env, name.clone(), value.clone());
        }
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let id = alloc.id.to_string();
    for (name, value) in [
        ("NOMAD_ALLOC_DIR", text(dirs.alloc)),
        ("NOMAD_TASK_DIR", text(dirs.local)),
        ("NOMAD_SECRETS_DIR", text(dirs.secrets)),
        ("NOMAD_ALLOC_ID", id.clone()),
        ("NOMAD_SHORT_ALLOC_ID", alloc.id.short()),
        ("NOMAD_ALLOC_NAME", alloc.name()),
        ("NOMAD_ALLOC_INDEX", alloc.index.to_string()),
        ("NOMAD_GROUP_NAME", group.name.clone()),
        ("NOMAD_TASK_NAME", task.name.clone()),
        ("NOMAD_JOB_ID", job.id.clone()),
        ("NOMAD_JOB_NAME", job.name.clone()),
        ("NOMAD_DC", node.datacenter.clone()),
        ("NOMAD_REGION", region.to_owned()),
        ("NOMAD_NAMESPACE", alloc.namespace.to_string()),
    ] {
        names.env.insert(name.to_owned(), value);
    }
    if node.attributes.contains_key("unique.cgroup.mountpoint") {
        let parent = crate::sys::cgroup::PARENT.to_owned();
        names.env.insert("NOMAD_PARENT_CGROUP".to_owned(), parent);
    }
    if !job.parent_id.is_empty() {
        names
            .env
            .insert("NOMAD_JOB_PARENT_ID".to_owned(), job.parent_id.clone());
    }
    let given = alloc.resources.tasks.get(&task.name);
    limits(&mut names.env, given);
    let map = port_map(task);
    for port in &alloc.resources.ports {
        add_port(&mut names.env, port, &map);
    }
    for port in given.iter().flat_map(|given| &given.ports) {
        add_port(&mut names.env, port, &map);
    }
    for (other, given) in &alloc.resources.tasks {
        for port in given.ports.iter().filter(|_| *other != task.name) {
            add_sibling_port(&mut names.env, other, port);
        }
    }
    for meta in [&job.meta, &group.meta, &task.meta] {
        for (key, value) in meta {
            let value = names.replace(value).into_owned();
            let upper = format!("NOMAD_META_{}", key.to_uppercase());
            set(&mut names.env, upper, value.clone());
            set(&mut names.env, format!("NOMAD_META_{key}"), value);
        }
    }
    for (name, value) in &task.env {
        let name = names.replace(name).into_owned();
        let value = names.replace(value).into_owned();
        set(&mut names.env, name, value);
    }
    names.env.retain(|name, _| cleaned(name).is_none());
    names
}

fn limits(env: &mut BTreeMap<String, String>, given: Option<&TaskResources>) {
    let Some(given) = given else {
        return;
    };
    env.insert("NOMAD_CPU_LIMIT".to_owned(), given.cpu.to_string());
    env.insert("NOMAD_MEMORY_LIMIT".to_owned(), given.memory_mb.to_string());
    if given.memory_max_mb > 0 {
        env.insert(
            "NOMAD_MEMORY_MAX_LIMIT".to_owned(),
            given.memory_max_mb.to_string(),
        );
    }
}

fn add_port(env: &mut BTreeMap<String, String>, port: &AllocatedPort, map: &BTreeMap<String, u16>) {
    let label = &port.label;
    let inside = map
        .get(&port.label)
        .copied()
        .or_else(|| (port.to != 0).then_some(port.to))
        .unwrap_or(port.value);
    let address = address(&port.host_ip, port.value);
    for (prefix, value) in [
        ("NOMAD_IP_", port.host_ip.clone()),
        ("NOMAD_PORT_", inside.to_string()),
        ("NOMAD_ALLOC_PORT_", inside.to_string()),
        ("NOMAD_ADDR_", address.clone()),
        ("NOMAD_HOST_IP_", port.host_ip.clone()),
        ("NOMAD_HOST_PORT_", port.value.to_string()),
        ("NOMAD_HOST_ADDR_", address),
    ] {
        set(env, format!("{prefix}{label}"), value);
    }
}

fn add_sibling_port(env: &mut BTreeMap<String, String>, task: &str, port: &AllocatedPort) {
    let name = format!("{task}_{}", port.label);
    set(env, format!("NOMAD_IP_{name}"), port.host_ip.clone());
    set(env, format!("NOMAD_PORT_{name}"), port.value.to_string());
    set(
        env,
        format!("NOMAD_ADDR_{name}"),
        address(&port.host_ip, port.value),
    );
}

fn address(ip: &str, port: u16) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

/// The `port_map` of a driver's configuration, a map or a list of maps: labels to ports inside of the task.
fn port_map(task: &Task) -> BTreeMap<String, u16> {
    use serde_json::Value;
    let maps = match task.config.get("port_map") {
        Some(Value::Object(map)) => vec![map],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).collect(),
        _ => Vec::new(),
    };
    maps.into_iter()
        .flatten()
        .filter_map(|(label, port)| {
            let port = match port {
                Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
                Value::String(text) => text.parse().ok(),
                _ => None,
            }?;
            Some((label.clone(), port))
        })
        .collect()
}

/// The names that are made of labels and keys of the job file: only these are rewritten for a shell.
const CLEANED: &[&str] = &[
    "NOMAD_ADDR_",
    "NOMAD_IP_",
    "NOMAD_PORT_",
    "NOMAD_HOST_PORT_",
    "NOMAD_META_",
];

/// `name` as the task sees it: in a name that is made of a label or key, every byte but letters, digits, `_` and `.`
/// becomes `_`. None when it stays as it is.
pub(super) fn cleaned(name: &str) -> Option<String> {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if !CLEANED.iter().any(|prefix| name.starts_with(prefix)) || name.bytes().all(kept) {
        return None;
    }
    Some(
        name.bytes()
            .map(|byte| if kept(byte) { char::from(byte) } else { '_' })
            .collect(),
    )
}

/// Sets a variable under its name and, until [`build`] is done, under the name that the task will see, so that `${…}`
/// finds it by either.
fn set(env: &mut BTreeMap<String, String>, name: String, value: String) {
    if let Some(cleaned) = cleaned(&name) {
        env.insert(cleaned, value.clone());
    }
    env.insert(name, value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::{
        alloc::{AllocResources, DesiredStatus},
        ids::{AllocId, EvalId, JobUid, NodeId},
    };
    use serde_json::json;

    use super::*;

    fn port(label: &str, value: u16, to: u16) -> AllocatedPort {
        AllocatedPort {
            label: label.to_owned(),
            value,
            to,
            host_ip: "fd00::1".to_owned(),
            dynamic: true,
        }
    }

    fn alloc(ports: Vec<AllocatedPort>, sibling: Vec<AllocatedPort>) -> Alloc {
        let given = TaskResources {
            ports: sibling,
            ..TaskResources::default()
        };
        Alloc {
            id: AllocId::from_random([1; 16]),
            eval_id: EvalId::from_random([1; 16]),
            node_id: NodeId::from_random([1; 16]),
            node_name: String::new(),
            namespace: "default".into(),
            job_id: "j".into(),
            job_uid: JobUid::from_random([1; 16]),
            job_version: 0,
            task_group: "g".into(),
            index: 0,
            resources: AllocResources {
                tasks: [("side-car".to_owned(), given)].into(),
                disk_mb: 1,
                ports,
            },
            desired_status: DesiredStatus::Run,
            desired_description: String::new(),
            deployment_id: None,
            canary: false,
            previous_allocation: None,
            follow_up_eval: None,
            no_shutdown_delay: false,
            reschedule_events: Vec::new(),
            metrics: Default::default(),
            create_time: 0,
            modify_time: 0,
        }
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn names(task: Task) -> Names {
        let node: Node = serde_json::from_value(json!({
            "ID": "07070707-0707-4707-8707-070707070707", "Name": "n", "Datacenter": "dc1",
            "NodePool": "default", "Attributes": {"unique.cgroup.mountpoint": "/sys/fs/cgroup"}, "Drivers": {},
            "Resources": rove_model::node::NodeResources::default(), "HTTPAddr": "", "ComputedClass": "",
            "RegisteredAt": 0, "Version": "",
        }))
        .unwrap();
        let alloc = alloc(
            vec![
                port("host-server", 20_000, 8080),
                port("web-ui", 20_003, 0),
                port("db", 20_001, 6379),
            ],
            vec![port("in", 20_002, 7)],
        );
        let path = Path::new("/x");
        build(Source {
            alloc: &alloc,
            job: &Job {
                meta: map(&[("dotted.key", "1"), ("with-dash", "2"), ("ü", "3")]),
                ..Job::default()
            },
            group: &TaskGroup::default(),
            task: &task,
            node: &node,
            region: "global",
            dirs: Dirs {
                alloc: path,
                local: path,
                secrets: path,
            },
            host: &map(&[("host.name", "h"), ("VAULT_TOKEN", "secret")]),
        })
    }

    #[test]
    fn names_of_labels_and_keys_are_made_fit_for_a_shell_and_those_of_users_stay() {
        let mut task = Task {
            env: map(&[
                ("cluster.name", "a"),
                ("with-dash", "b"),
                ("of-${NOMAD_META_with-dash}", "c"),
                (
                    "SERVER",
                    "${NOMAD_IP_host-server}:${NOMAD_PORT_host-server}",
                ),
                (
                    "CLEANED",
                    "${NOMAD_PORT_host_server} ${env[\"NOMAD_META_with-dash\"]}",
                ),
                ("NOMAD_META_own-key", "d"),
                ("NOMAD_ALLOC_PORT_own-key", "e"),
            ]),
            ..Task::default()
        };
        task.config.insert(
            "port_map".to_owned(),
            json!([{"web-ui": "8081"}, {"bad": "x"}]),
        );
        let names = names(task);
        for (name, value) in [
            ("cluster.name", Some("a")),
            ("with-dash", Some("b")),
            ("of-2", Some("c")),
            ("host.name", Some("h")),
            ("VAULT_TOKEN", None),
            ("SERVER", Some("fd00::1:8080")),
            ("CLEANED", Some("8080 2")),
            ("NOMAD_META_dotted.key", Some("1")),
            ("NOMAD_META_DOTTED.KEY", Some("1")),
            ("NOMAD_META_with_dash", Some("2")),
            ("NOMAD_META_with-dash", None),
            ("NOMAD_META___", Some("3")),
            ("NOMAD_META_own_key", Some("d")),
            ("NOMAD_ALLOC_PORT_own-key", Some("e")),
            ("NOMAD_PORT_host_server", Some("8080")),
            ("NOMAD_PORT_host-server", None),
            ("NOMAD_ALLOC_PORT_host-server", Some("8080")),
            ("NOMAD_ALLOC_PORT_db", Some("6379")),
            ("NOMAD_PORT_web_ui", Some("8081")),
            ("NOMAD_HOST_PORT_web_ui", Some("20003")),
            ("NOMAD_HOST_IP_web-ui", Some("fd00::1")),
            ("NOMAD_PORT_db", Some("6379")),
            ("NOMAD_HOST_PORT_db", Some("20001")),
            ("NOMAD_ADDR_db", Some("[fd00::1]:20001")),
            ("NOMAD_IP_db", Some("fd00::1")),
            ("NOMAD_ADDR_side_car_in", Some("[fd00::1]:20002")),
            ("NOMAD_PORT_side_car_in", Some("20002")),
            ("NOMAD_PARENT_CGROUP", Some("rove.slice")),
        ] {
            assert_eq!(names.env.get(name).map(String::as_str), value, "{name}");
        }
        // Arguments are filled in the same way, and what nobody knows stays.
        let args = json!([
            "${NOMAD_PORT_host-server}",
            "${NOMAD_META_dotted.key}",
            "${NOMAD_PORT_no-such}"
        ]);
        assert_eq!(
            names.replace_in(&args),
            json!(["8080", "1", "${NOMAD_PORT_no-such}"])
        );
    }
}
