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
            names.env.insert(name.clone(), value.clone());
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
            let name = format!("NOMAD_META_{}", clean(key));
            let upper = format!("NOMAD_META_{}", clean(&key.to_uppercase()));
            names.env.insert(upper, value.clone());
            names.env.insert(name, value);
        }
    }
    for (name, value) in &task.env {
        let name = clean(&names.replace(name));
        let value = names.replace(value).into_owned();
        names.env.insert(name, value);
    }
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
    let label = clean(&port.label);
    let inside = map
        .get(&port.label)
        .copied()
        .or_else(|| (port.to != 0).then_some(port.to))
        .unwrap_or(port.value);
    let address = address(&port.host_ip, port.value);
    for (prefix, value) in [
        ("NOMAD_IP_", port.host_ip.clone()),
        ("NOMAD_PORT_", inside.to_string()),
        ("NOMAD_ADDR_", address.clone()),
        ("NOMAD_HOST_IP_", port.host_ip.clone()),
        ("NOMAD_HOST_PORT_", port.value.to_string()),
        ("NOMAD_HOST_ADDR_", address),
    ] {
        env.insert(format!("{prefix}{label}"), value);
    }
}

fn add_sibling_port(env: &mut BTreeMap<String, String>, task: &str, port: &AllocatedPort) {
    let name = format!("{}_{}", clean(task), clean(&port.label));
    env.insert(format!("NOMAD_IP_{name}"), port.host_ip.clone());
    env.insert(format!("NOMAD_PORT_{name}"), port.value.to_string());
    env.insert(
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

/// A name that a shell can read: everything but letters, digits and `_` becomes `_`.
fn clean(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_a_shell_can_read_and_ports_as_the_task_sees_them() {
        let port = |label: &str, value, to| AllocatedPort {
            label: label.to_owned(),
            value,
            to,
            host_ip: "fd00::1".to_owned(),
            dynamic: true,
        };
        let mut env = BTreeMap::new();
        let mut task = Task::default();
        task.config.insert(
            "port_map".to_owned(),
            json!([{"web-ui": "8080"}, {"bad": "x"}]),
        );
        let map = port_map(&task);
        add_port(&mut env, &port("web-ui", 20_000, 0), &map);
        add_port(&mut env, &port("db", 20_001, 6379), &map);
        add_sibling_port(&mut env, "side.car", &port("in", 20_002, 7));
        for (name, value) in [
            ("NOMAD_PORT_web_ui", "8080"),
            ("NOMAD_HOST_PORT_web_ui", "20000"),
            ("NOMAD_PORT_db", "6379"),
            ("NOMAD_HOST_PORT_db", "20001"),
            ("NOMAD_ADDR_db", "[fd00::1]:20001"),
            ("NOMAD_IP_db", "fd00::1"),
            ("NOMAD_ADDR_side_car_in", "[fd00::1]:20002"),
            ("NOMAD_PORT_side_car_in", "20002"),
        ] {
            assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
}
