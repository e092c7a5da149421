//! What a driver is told about a task, put together from the job file, the alloc and the node.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rove_model::{
    alloc::{Alloc, AllocatedPort},
    job::{Job, LogConfig, Task, TaskGroup},
    node::Node,
};
use serde_json::Value;

use super::dir::AllocDir;
use crate::{
    drivers::{LogLimits, Signal, TaskConfig, TaskLimits, TaskMount, TaskPort, TaskRef, TaskRoot},
    task::{
        env::{self, Dirs, Source},
        interpolate::Names,
    },
};

/// What the agent knows beside the job file.
pub(crate) struct Surroundings<'a> {
    pub node: &'a Node,
    pub region: &'a str,
    pub host_env: &'a BTreeMap<String, String>,
    pub dir: &'a AllocDir,
    /// What its driver shows it of the host's files.
    pub root: TaskRoot,
}

/// What `${…}` stands for in a task, its environment among it.
fn names(
    alloc: &Alloc,
    job: &Job,
    group: &TaskGroup,
    task: &Task,
    around: &Surroundings<'_>,
) -> Names {
    let own_root = around.root != TaskRoot::Host;
    let task_dir = around.dir.task(&task.name);
    let (shared, local, secrets) = (
        around.dir.shared(),
        task_dir.join("local"),
        task_dir.join("secrets"),
    );
    let nothing = BTreeMap::new();
    env::build(Source {
        alloc,
        job,
        group,
        task,
        node: around.node,
        region: around.region,
        dirs: if own_root {
            Dirs {
                alloc: Path::new("/alloc"),
                local: Path::new("/local"),
                secrets: Path::new("/secrets"),
            }
        } else {
            Dirs {
                alloc: &shared,
                local: &local,
                secrets: &secrets,
            }
        },
        host: if own_root { &nothing } else { around.host_env },
    })
}

/// The user that a task runs as, if it names one.
pub(crate) fn user(
    alloc: &Alloc,
    job: &Job,
    group: &TaskGroup,
    task: &Task,
    around: &Surroundings<'_>,
) -> Option<String> {
    let user = if task.user.contains("${") {
        names(alloc, job, group, task, around)
            .replace(&task.user)
            .into_owned()
    } else {
        task.user.clone()
    };
    (!user.is_empty()).then_some(user)
}

/// What the driver is told; an error in words when the job file can't be followed.
pub(crate) fn build(
    alloc: &Alloc,
    job: &Job,
    task_ref: TaskRef,
    around: &Surroundings<'_>,
) -> Result<TaskConfig, String> {
    let Surroundings { node, dir, .. } = around;
    let group = job
        .group(alloc.task_group.as_str())
        .ok_or_else(|| format!("the job has no group {:?}", alloc.task_group.as_str()))?;
    let task = group
        .task(&task_ref.task)
        .ok_or_else(|| format!("the group has no task {:?}", task_ref.task))?;
    let task_dir = dir.task(&task.name);
    let names = names(alloc, job, group, task, around);
    let config = task
        .config
        .iter()
        .map(|(key, value)| (key.clone(), names.replace_in(value)))
        .collect::<serde_json::Map<String, Value>>();
    let kill_signal = match task.kill_signal.as_str() {
        "" => None,
        signal => Some(
            signal
                .parse::<Signal>()
                .map_err(|_| format!("unknown kill_signal {signal:?}"))?,
        ),
    };
    let given = alloc.resources.tasks.get(&task.name);
    let user = names.replace(&task.user).into_owned();
    let (local, secrets) = (task_dir.join("local"), task_dir.join("secrets"));
    let mount = |host: PathBuf, task: &str| TaskMount {
        host,
        task: task.into(),
        read_only: false,
    };
    Ok(TaskConfig {
        namespace: alloc.namespace.to_string(),
        job: alloc.job_id.to_string(),
        group: group.name.clone(),
        node_id: node.id.to_string(),
        config,
        env: names.env,
        user: (!user.is_empty()).then_some(user),
        limits: given.map_or_else(TaskLimits::default, |given| TaskLimits {
            cpu_mhz: given.cpu,
            memory_mb: given.memory_mb,
            memory_max_mb: given.memory_max_mb,
        }),
        ports: alloc
            .resources
            .ports
            .iter()
            .map(|found| port(found, false))
            .chain(
                given
                    .iter()
                    .flat_map(|given| &given.ports)
                    .map(|found| port(found, true)),
            )
            .collect(),
        task_dir,
        mounts: vec![
            mount(dir.shared(), "/alloc"),
            mount(local, "/local"),
            mount(secrets, "/secrets"),
        ],
        log_dir: dir.logs(),
        logs: log_limits(task.log_config.as_ref()),
        kill_signal,
        task: task_ref,
    })
}

fn port(port: &AllocatedPort, of_task: bool) -> TaskPort {
    TaskPort {
        label: port.label.clone(),
        host: port.value,
        to: port.to,
        host_ip: port.host_ip.parse().ok(),
        of_task,
    }
}

/// None when the job switches logs off.
fn log_limits(config: Option<&LogConfig>) -> Option<LogLimits> {
    let Some(config) = config else {
        return Some(LogLimits::default());
    };
    (!config.is_disabled()).then(|| LogLimits {
        max_files: u32::try_from(config.max_files()).unwrap_or(u32::MAX).max(1),
        max_file_mb: config.max_file_size_mb().max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_kept_unless_the_job_switches_them_off() {
        let config = |disabled| LogConfig {
            disabled,
            ..LogConfig::default()
        };
        assert_eq!(log_limits(None), Some(LogLimits::default()));
        assert!(log_limits(Some(&config(None))).is_some());
        assert!(log_limits(Some(&config(Some(false)))).is_some());
        assert_eq!(log_limits(Some(&config(Some(true)))), None);
    }
}
