//! What a driver is told about a task, put together from the job file, the alloc and the node.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rove_model::{
    alloc::{Alloc, AllocatedPort},
    job::{Job, LogConfig},
    node::Node,
};
use serde_json::Value;

use super::dir::AllocDir;
use crate::{
    drivers::{LogLimits, Signal, TaskConfig, TaskLimits, TaskMount, TaskPort, TaskRef, TaskRoot},
    task::env::{self, Dirs, Source},
};

/// What the agent knows beside the job file.
pub(crate) struct Surroundings<'a> {
    pub node: &'a Node,
    pub region: &'a str,
    pub host_env: &'a BTreeMap<String, String>,
    pub dir: &'a AllocDir,
    pub task: TaskRef,
    /// What its driver shows it of the host's files.
    pub root: TaskRoot,
}

/// What the driver is told; an error in words when the job file can't be followed.
pub(crate) fn build(
    alloc: &Alloc,
    job: &Job,
    around: Surroundings<'_>,
) -> Result<TaskConfig, String> {
    let Surroundings {
        node,
        region,
        host_env,
        dir,
        task: task_ref,
        root,
    } = around;
    let group = job
        .group(alloc.task_group.as_str())
        .ok_or_else(|| format!("the job has no group {:?}", alloc.task_group.as_str()))?;
    let task = group
        .task(&task_ref.task)
        .ok_or_else(|| format!("the group has no task {:?}", task_ref.task))?;
    let own_root = root != TaskRoot::Host;
    let task_dir = dir.task(&task.name);
    let host_dirs = (
        dir.shared(),
        task_dir.join("local"),
        task_dir.join("secrets"),
    );
    let nothing = BTreeMap::new();
    let names = env::build(Source {
        alloc,
        job,
        group,
        task,
        node,
        region,
        dirs: if own_root {
            Dirs {
                alloc: Path::new("/alloc"),
                local: Path::new("/local"),
                secrets: Path::new("/secrets"),
            }
        } else {
            Dirs {
                alloc: &host_dirs.0,
                local: &host_dirs.1,
                secrets: &host_dirs.2,
            }
        },
        host: if own_root { &nothing } else { host_env },
    });
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
            mount(host_dirs.0, "/alloc"),
            mount(host_dirs.1, "/local"),
            mount(host_dirs.2, "/secrets"),
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
