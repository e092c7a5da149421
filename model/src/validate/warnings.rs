//! What should be changed in a job, though it is registered as it is.

use std::{collections::BTreeSet, fmt};

use super::FieldPath;
use crate::drivers::missing_drivers;
use crate::job::{Job, Task, TaskGroup};

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The field it is about.
    pub path: FieldPath,
    /// What should be changed.
    pub message: String,
}

/// Warnings, kept in the lists that the reference prints.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    /// Each group's: name, the group's own, and those of its tasks.
    groups: Vec<GroupWarnings>,
    job: Vec<Warning>,
}

#[derive(Clone, Debug, Default)]
struct GroupWarnings {
    name: String,
    own: Vec<Warning>,
    /// Each task's list is one entry, as the reference nests them.
    tasks: Vec<Vec<TaskWarning>>,
}

#[derive(Clone, Debug)]
struct TaskWarning {
    task: String,
    /// A warning inside a list of its own.
    nested: bool,
    warning: Warning,
}

impl Warnings {
    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.job.is_empty()
    }

    /// Every single warning.
    #[must_use]
    pub fn all(&self) -> Vec<&Warning> {
        self.groups
            .iter()
            .flat_map(|group| {
                let tasks = group.tasks.iter().flatten().map(|entry| &entry.warning);
                group.own.iter().chain(tasks)
            })
            .chain(&self.job)
            .collect()
    }
}

/// A list as `multierror` formats it.
fn list(entries: &[String]) -> String {
    match entries {
        [only] => format!("1 error occurred:\n\t* {only}\n\n"),
        _ => format!(
            "{} errors occurred:\n\t* {}\n\n",
            entries.len(),
            entries.join("\n\t* ")
        ),
    }
}

impl fmt::Display for Warnings {
    /// The `Warnings` text of the API; empty without warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<String> = self
            .groups
            .iter()
            .map(|group| {
                let own = group.own.iter().map(|warning| warning.message.clone());
                let tasks = group.tasks.iter().map(|task| {
                    let lines: Vec<_> = task
                        .iter()
                        .map(|entry| {
                            let message = &entry.warning.message;
                            if entry.nested {
                                format!(
                                    "Task {:?}: {}",
                                    entry.task,
                                    list(std::slice::from_ref(message))
                                )
                            } else {
                                format!("Task {:?}: {message}", entry.task)
                            }
                        })
                        .collect();
                    list(&lines)
                });
                let all: Vec<_> = own.chain(tasks).collect();
                format!("Group {:?} has warnings: {}", group.name, list(&all))
            })
            .collect();
        entries.extend(self.job.iter().map(|warning| warning.message.clone()));
        if entries.is_empty() {
            return Ok(());
        }
        let noun = if entries.len() == 1 {
            "warning"
        } else {
            "warnings"
        };
        let text = format!("{} {noun}:\n\n* {}", entries.len(), entries.join("\n* "));
        f.write_str(text.trim_end())
    }
}

pub(super) fn warnings(job: &Job, drivers: Option<&BTreeSet<String>>) -> Warnings {
    let root = FieldPath::default();
    let mut found = Warnings {
        job: missing_drivers(job, drivers),
        ..Warnings::default()
    };
    for (index, group) in job.task_groups.iter().enumerate() {
        let warnings = of_group(group, &root.block("group", index, &group.name));
        if !warnings.own.is_empty() || !warnings.tasks.is_empty() {
            found.groups.push(warnings);
        }
    }
    let promotes = |group: &TaskGroup| {
        group
            .update
            .as_ref()
            .is_some_and(|update| update.auto_promote())
    };
    let by_itself = |group: &TaskGroup| {
        group
            .update
            .as_ref()
            .is_none_or(|update| update.canary() == 0 || update.auto_promote())
    };
    if job.task_groups.iter().any(promotes) && !job.task_groups.iter().all(by_itself) {
        found.job.push(Warning {
            path: root.block("update", 0, "").field("auto_promote"),
            message: "auto_promote must be true for all groups to enable automatic promotion"
                .to_owned(),
        });
    }
    if job
        .periodic
        .as_ref()
        .is_some_and(|periodic| !periodic.spec.is_empty())
    {
        found.job.push(Warning {
            path: root.block("periodic", 0, "").field("cron"),
            message: "cron is deprecated and may be removed in a future release. Use crons instead"
                .to_owned(),
        });
    }
    found
}

fn of_group(group: &TaskGroup, path: &FieldPath) -> GroupWarnings {
    let mut found = GroupWarnings {
        name: group.name.clone(),
        ..GroupWarnings::default()
    };
    if let Some(update) = &group.update {
        let (count, parallel) = (group.count(), update.max_parallel());
        if count > 1 && parallel > count {
            found.own.push(Warning {
                path: path.block("update", 0, "").field("max_parallel"),
                message: format!(
                    "Update max parallel count is greater than task group count ({parallel} > {count}). A destructive change would result in the simultaneous replacement of all allocations."
                ),
            });
        }
    }
    if group
        .networks
        .first()
        .is_some_and(|network| network.mbits.unwrap_or(0) > 0)
    {
        found.own.push(Warning {
            path: path.block("network", 0, "").field("mbits"),
            message: "mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block"
                .to_owned(),
        });
    }
    for (index, task) in group.tasks.iter().enumerate() {
        let warnings = of_task(task, &path.block("task", index, &task.name));
        if !warnings.is_empty() {
            found.tasks.push(warnings);
        }
    }
    found
}

fn of_task(task: &Task, path: &FieldPath) -> Vec<TaskWarning> {
    let mut found = Vec::new();
    let mut add = |path: FieldPath, nested: bool, message: String| {
        found.push(TaskWarning {
            task: task.name.clone(),
            nested,
            warning: Warning { path, message },
        });
    };
    if let Some(resources) = &task.resources {
        let path = path.block("resources", 0, "");
        if resources.iops.unwrap_or(0) != 0 {
            add(
                path.field("iops"),
                false,
                "IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block."
                    .to_owned(),
            );
        }
        if !resources.networks.is_empty() {
            add(
                path.block("network", 0, ""),
                false,
                "task network resources have been deprecated as of Nomad 0.12.0. Please configure networking via group network block."
                    .to_owned(),
            );
        }
    }
    for (index, template) in task.templates.iter().enumerate() {
        if template.vault_grace.unwrap_or_default().0 != 0 {
            add(
                path.block("template", index, "").field("vault_grace"),
                true,
                format!(
                    "Template[{index}] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. Please remove VaultGrace / vault_grace from template block."
                ),
            );
        }
    }
    found
}
