//! How a job's tasks use their drivers: their config blocks, the ports these name, and drivers that there are not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    BUILT_IN, ConfigProblem, Holds, LATER, has_interpolation, scalar, schema,
    schema::{Entry, MOST},
};
use crate::{
    job::{Job, Task, TaskGroup},
    nearest::nearest,
    shortened::quoted,
    validate::{FieldPath, Warning},
};

/// The labels of the ports that a task may name: its group's and its own.
#[must_use]
pub fn port_labels<'a>(group: &'a TaskGroup, task: &'a Task) -> BTreeSet<&'a str> {
    let own = task
        .resources
        .iter()
        .flat_map(|resources| &resources.networks);
    group
        .networks
        .iter()
        .chain(own)
        .flat_map(|network| network.ports())
        .map(|port| port.label.as_str())
        .collect()
}

/// A port label of a `config` block that no network of the task's has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownPort {
    /// The key of the `config` block.
    pub(crate) key: &'static str,
    /// What is wrong.
    pub(crate) message: String,
}

/// What is wrong with the config block of a task.
pub(crate) fn config_problems(task: &Task) -> Vec<ConfigProblem> {
    schema(&task.driver).map_or_else(Vec::new, |schema| schema.check(&task.config))
}

/// The ports that a task's config block names and that there are not.
pub(crate) fn unknown_ports(group: &TaskGroup, task: &Task) -> Vec<UnknownPort> {
    let Some(schema) = schema(&task.driver) else {
        return Vec::new();
    };
    let labels = port_labels(group, task);
    let (mut found, mut left_out) = (Vec::new(), 0);
    for key in schema.keys {
        let named: Vec<String> = match (key.holds, task.config.get(key.name)) {
            (Holds::PortLabels, Some(Value::Array(list))) => {
                list.iter().filter_map(scalar).collect()
            }
            (Holds::Map(Entry::Port), Some(Value::Object(map))) => map.keys().cloned().collect(),
            (Holds::Map(Entry::Port), Some(Value::Array(maps))) => maps
                .iter()
                .filter_map(Value::as_object)
                .flat_map(|map| map.keys().cloned())
                .collect(),
            _ => continue,
        };
        for label in named {
            if labels.contains(label.as_str()) || has_interpolation(&label) {
                continue;
            }
            left_out += usize::from(found.len() >= MOST);
            if left_out > 0 {
                continue;
            }
            let mut message = format!(
                "{:?} names the port {}, which no network block of the group or the task has",
                key.name,
                quoted(&label)
            );
            if let Some(near) = nearest(&label, labels.iter().copied()) {
                message.push_str(&format!("; did you mean {near:?}?"));
            }
            found.push(UnknownPort {
                key: key.name,
                message,
            });
        }
    }
    if let Some(last) = found.last_mut().filter(|_| left_out > 0) {
        last.message
            .push_str(&format!("; and {left_out} further ones like it"));
    }
    found
}

/// A warning for each task whose driver is none of `available`; with what is spelt most like it. Where nobody knows the
/// cluster's drivers (`None`), those that are built in are meant.
#[must_use]
pub fn missing_drivers(job: &Job, available: Option<&BTreeSet<String>>) -> Vec<Warning> {
    let mut found = Vec::new();
    let root = FieldPath::default();
    let built_in = || BUILT_IN.iter().map(|schema| schema.driver);
    for (g, group) in job.task_groups.iter().enumerate() {
        for (t, task) in group.tasks.iter().enumerate() {
            let driver = task.driver.as_str();
            let (name, shown) = (quoted(&task.name), quoted(driver));
            let (is_there, mut message) = match available {
                Some(available) => (
                    available.contains(driver),
                    format!("Task {name}: no node has the driver {shown}"),
                ),
                None => (
                    schema(driver).is_some(),
                    format!("Task {name}: the driver {shown} is not built in"),
                ),
            };
            if is_there || driver.is_empty() || LATER.contains(&driver) {
                continue;
            }
            let known = available.into_iter().flatten().map(String::as_str);
            let near = nearest(driver, known.chain(built_in()));
            if let Some(near) = near.filter(|near| *near != driver) {
                message.push_str(&format!("; did you mean {near:?}?"));
            } else if available.is_some() && schema(driver).is_some() {
                message.push_str("; is its plugin enabled in the agents' files?");
            }
            found.push(Warning {
                path: root
                    .block("group", g, &group.name)
                    .block("task", t, &task.name)
                    .field("driver"),
                message,
            });
        }
    }
    found
}
