//! What this version does not run yet: refused at registration by name, never silently ignored.
//!
//! One row of [`FEATURES`] a feature; when it is built, its `built` becomes true and nothing else changes here.

use std::fmt;

use crate::{
    job::{Job, Service, Task, TaskGroup},
    validate::FieldPath,
};

/// A part of a job that can't be run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it is used.
    pub path: FieldPath,
    /// Its name, as `canaries`.
    pub feature: &'static str,
    /// What to do instead.
    pub hint: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: this version of rove does not support {}",
            self.path, self.feature
        )?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// Where in a job a feature is used.
type Uses = fn(&Job) -> Vec<FieldPath>;

/// One feature of the specification.
struct Feature {
    name: &'static str,
    built: bool,
    hint: &'static str,
    uses: Uses,
}

const fn row(built: bool, name: &'static str, hint: &'static str, uses: Uses) -> Feature {
    Feature {
        name,
        built,
        hint,
        uses,
    }
}

/// Operators of constraints that the scheduler decides.
const OPERATORS: [&str; 19] = [
    "=",
    "==",
    "is",
    "!=",
    "not",
    "<",
    "<=",
    ">",
    ">=",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "is_set",
    "is_not_set",
    "distinct_hosts",
    "distinct_property",
];
const DRIVER_HINT: &str = "the drivers are docker and raw_exec";

/// Every feature that isn't taken for granted.
const FEATURES: &[Feature] = &[
    row(false, "periodic jobs", "run it from a timer", |job| {
        job_block(job, "periodic", |job| job.periodic.is_some())
    }),
    row(
        false,
        "parameterized jobs",
        "register a job for each run",
        |job| job_block(job, "parameterized", |job| job.parameterized_job.is_some()),
    ),
    row(
        false,
        "multiregion jobs",
        "register the job in each region",
        |job| job_block(job, "multiregion", |job| job.multiregion.is_some()),
    ),
    row(false, "all_at_once", "", |job| {
        at_job(job, "all_at_once", |job| job.all_at_once)
    }),
    row(false, "node pools other than default", "", |job| {
        at_job(job, "node_pool", |job| {
            !matches!(job.node_pool.as_str(), "" | "default")
        })
    }),
    row(true, "regions other than global", "", |job| {
        at_job(job, "region", |job| {
            !matches!(job.region.as_str(), "" | "global")
        })
    }),
    row(true, "constraints", "", |job| constraints(job, |_| true)),
    row(false, "constraints with this operator", "", |job| {
        constraints(job, |operand| !OPERATORS.contains(&operand))
    }),
    row(true, "affinities", "", affinities),
    row(true, "spreads", "", spreads),
    row(false, "canaries", "set canary = 0", |job| {
        updates(job, "canary", |update| update.canary() > 0)
    }),
    row(
        false,
        "automatic revert",
        "set auto_revert = false",
        |job| updates(job, "auto_revert", |update| update.auto_revert()),
    ),
    row(
        false,
        "automatic promotion",
        "set auto_promote = false",
        |job| updates(job, "auto_promote", |update| update.auto_promote()),
    ),
    row(
        false,
        "health by hand",
        "set health_check = \"task_states\" or \"checks\"",
        |job| {
            updates(job, "health_check", |update| {
                update.health_check() == "manual"
            })
        },
    ),
    row(false, "sticky disks", "", |job| {
        disks(job, "sticky", |disk| disk.sticky == Some(true))
    }),
    row(false, "disks that move along", "", |job| {
        disks(job, "migrate", |disk| disk.migrate == Some(true))
    }),
    row(false, "volumes", "", |job| {
        in_groups(job, |group, path| {
            let volumes = (0..).zip(group.volumes.keys());
            volumes
                .map(|(index, name)| path.block("volume", index, name))
                .collect()
        })
    }),
    row(
        false,
        "network modes other than host",
        "leave mode out",
        |job| {
            networks(job, "mode", |network| {
                !matches!(network.mode.as_str(), "" | "host")
            })
        },
    ),
    row(false, "name resolution of a network", "", |job| {
        networks(job, "dns", |network| network.dns.is_some())
    }),
    row(false, "host names of a network", "", |job| {
        networks(job, "hostname", |network| !network.hostname.is_empty())
    }),
    row(false, "host networks", "leave host_network out", |job| {
        ports(job, |port| {
            !matches!(port.host_network.as_str(), "" | "default")
        })
    }),
    row(false, "services", "leave the service block out", services),
    row(
        false,
        "delays at shutdown of a group",
        "leave shutdown_delay out",
        |job| {
            in_groups(job, |group, path| {
                let set = group.shutdown_delay.is_some_and(|delay| delay.0 > 0);
                set.then(|| path.field("shutdown_delay"))
                    .into_iter()
                    .collect()
            })
        },
    ),
    row(
        false,
        "rules for clients that lost their server",
        "leave max_client_disconnect and stop_after_client_disconnect out",
        |job| {
            in_groups(job, |group, path| {
                let max = group.max_client_disconnect.map(|_| "max_client_disconnect");
                let stop = group
                    .stop_after_client_disconnect
                    .map(|_| "stop_after_client_disconnect");
                let set = max.into_iter().chain(stop);
                set.map(|field| path.field(field)).collect()
            })
        },
    ),
    row(
        false,
        "scaling policies",
        "leave the scaling block out",
        |job| {
            in_groups(job, |group, path| {
                let set = group.scaling.is_some();
                set.then(|| path.block("scaling", 0, ""))
                    .into_iter()
                    .collect()
            })
        },
    ),
    row(false, "scaling policies of tasks", "", |job| {
        task_blocks(job, "scaling", |task| !task.scaling_policies.is_empty())
    }),
    row(false, "the exec driver", DRIVER_HINT, |job| {
        driver(job, "exec")
    }),
    row(false, "the java driver", DRIVER_HINT, |job| {
        driver(job, "java")
    }),
    row(false, "the qemu driver", DRIVER_HINT, |job| {
        driver(job, "qemu")
    }),
    row(false, "the lxc driver", DRIVER_HINT, |job| {
        driver(job, "lxc")
    }),
    row(false, "the podman driver", DRIVER_HINT, |job| {
        driver(job, "podman")
    }),
    row(
        false,
        "artifacts",
        "put the files into the image or on the node",
        |job| task_blocks(job, "artifact", |task| !task.artifacts.is_empty()),
    ),
    row(
        false,
        "templates",
        "use env, or put the file into the image",
        |job| task_blocks(job, "template", |task| !task.templates.is_empty()),
    ),
    row(false, "vault", "", |job| {
        task_blocks(job, "vault", |task| task.vault.is_some())
    }),
    row(false, "volume mounts", "", |job| {
        task_blocks(job, "volume_mount", |task| !task.volume_mounts.is_empty())
    }),
    row(true, "lifecycle hooks", "", |job| {
        task_blocks(job, "lifecycle", |task| task.lifecycle.is_some())
    }),
    row(true, "leader tasks", "", |job| {
        task_fields(job, "leader", |task| task.leader)
    }),
    row(false, "dispatch payloads", "", |job| {
        task_blocks(job, "dispatch_payload", |task| {
            task.dispatch_payload.is_some()
        })
    }),
    row(false, "workload identity", "", |job| {
        task_blocks(job, "identity", |task| {
            task.identity
                .as_ref()
                .is_some_and(|identity| identity.env || identity.file)
        })
    }),
    row(false, "csi plugins", "", |job| {
        task_blocks(job, "csi_plugin", |task| task.csi_plugin_config.is_some())
    }),
    row(false, "devices", "", |job| {
        task_resources(job, "device", |resources| !resources.devices.is_empty())
    }),
    row(false, "whole cores", "use cpu", |job| {
        task_resources(job, "cores", |resources| resources.cores.unwrap_or(0) > 0)
    }),
    row(true, "memory_max", "", |job| {
        task_resources(job, "memory_max", |resources| resources.memory_max_mb() > 0)
    }),
    row(false, "rendering templates at a restart", "", |job| {
        in_groups(job, |group, path| {
            let set = group
                .restart_policy
                .as_ref()
                .is_some_and(|policy| policy.render_templates == Some(true));
            let field = path.block("restart", 0, "").field("render_templates");
            set.then_some(field).into_iter().collect()
        })
    }),
];

/// Whatever of the job this version can't run, in the order of the table.
#[must_use]
pub fn check(job: &Job) -> Vec<Unsupported> {
    FEATURES
        .iter()
        .filter(|feature| !feature.built)
        .flat_map(|feature| {
            (feature.uses)(job).into_iter().map(|path| Unsupported {
                path,
                feature: feature.name,
                hint: feature.hint,
            })
        })
        .collect()
}

fn at_job(job: &Job, field: &'static str, uses: impl Fn(&Job) -> bool) -> Vec<FieldPath> {
    let path = FieldPath::default().field(field);
    uses(job).then_some(path).into_iter().collect()
}

fn job_block(job: &Job, block: &'static str, uses: impl Fn(&Job) -> bool) -> Vec<FieldPath> {
    let path = FieldPath::default().block(block, 0, "");
    uses(job).then_some(path).into_iter().collect()
}

fn in_groups(job: &Job, uses: impl Fn(&TaskGroup, FieldPath) -> Vec<FieldPath>) -> Vec<FieldPath> {
    let root = FieldPath::default();
    let groups = job.task_groups.iter().enumerate();
    groups
        .flat_map(|(index, group)| uses(group, root.block("group", index, &group.name)))
        .collect()
}

fn in_tasks(job: &Job, uses: impl Fn(&Task, FieldPath) -> Vec<FieldPath>) -> Vec<FieldPath> {
    in_groups(job, |group, path| {
        let tasks = group.tasks.iter().enumerate();
        tasks
            .flat_map(|(index, task)| uses(task, path.block("task", index, &task.name)))
            .collect()
    })
}

fn task_fields(job: &Job, field: &'static str, uses: impl Fn(&Task) -> bool) -> Vec<FieldPath> {
    in_tasks(job, |task, path| {
        uses(task).then(|| path.field(field)).into_iter().collect()
    })
}

fn driver(job: &Job, name: &str) -> Vec<FieldPath> {
    task_fields(job, "driver", |task| task.driver == name)
}

fn task_blocks(job: &Job, block: &'static str, uses: impl Fn(&Task) -> bool) -> Vec<FieldPath> {
    in_tasks(job, |task, path| {
        uses(task)
            .then(|| path.block(block, 0, ""))
            .into_iter()
            .collect()
    })
}

fn task_resources(
    job: &Job,
    field: &'static str,
    uses: impl Fn(&crate::job::Resources) -> bool,
) -> Vec<FieldPath> {
    in_tasks(job, |task, path| {
        let used = task.resources.as_ref().is_some_and(&uses);
        used.then(|| path.block("resources", 0, "").field(field))
            .into_iter()
            .collect()
    })
}

fn constraints(job: &Job, uses: impl Fn(&str) -> bool) -> Vec<FieldPath> {
    let of = |list: &[crate::job::Constraint], path: &FieldPath| -> Vec<FieldPath> {
        let used = list
            .iter()
            .enumerate()
            .filter(|(_, constraint)| uses(&constraint.operand));
        used.map(|(index, _)| path.block("constraint", index, ""))
            .collect()
    };
    let mut found = of(&job.constraints, &FieldPath::default());
    found.extend(in_groups(job, |group, path| of(&group.constraints, &path)));
    found.extend(in_tasks(job, |task, path| of(&task.constraints, &path)));
    found
}

fn affinities(job: &Job) -> Vec<FieldPath> {
    let first = |any: bool, path: FieldPath| -> Vec<FieldPath> {
        any.then(|| path.block("affinity", 0, ""))
            .into_iter()
            .collect()
    };
    let mut found = first(!job.affinities.is_empty(), FieldPath::default());
    found.extend(in_groups(job, |group, path| {
        first(!group.affinities.is_empty(), path)
    }));
    found.extend(in_tasks(job, |task, path| {
        first(!task.affinities.is_empty(), path)
    }));
    found
}

fn spreads(job: &Job) -> Vec<FieldPath> {
    let mut found = job_block(job, "spread", |job| !job.spreads.is_empty());
    found.extend(in_groups(job, |group, path| {
        (!group.spreads.is_empty())
            .then(|| path.block("spread", 0, ""))
            .into_iter()
            .collect()
    }));
    found
}

fn updates(
    job: &Job,
    field: &'static str,
    uses: impl Fn(&crate::job::UpdateStrategy) -> bool,
) -> Vec<FieldPath> {
    in_groups(job, |group, path| {
        let used = group.update.as_ref().is_some_and(&uses);
        used.then(|| path.block("update", 0, "").field(field))
            .into_iter()
            .collect()
    })
}

fn disks(
    job: &Job,
    field: &'static str,
    uses: impl Fn(&crate::job::EphemeralDisk) -> bool,
) -> Vec<FieldPath> {
    in_groups(job, |group, path| {
        let used = group.ephemeral_disk.as_ref().is_some_and(&uses);
        used.then(|| path.block("ephemeral_disk", 0, "").field(field))
            .into_iter()
            .collect()
    })
}

/// Networks of groups and of tasks.
fn each_network(
    job: &Job,
    uses: impl Fn(&crate::job::NetworkResource, FieldPath) -> Vec<FieldPath>,
) -> Vec<FieldPath> {
    let of = |list: &[crate::job::NetworkResource], path: &FieldPath| -> Vec<FieldPath> {
        let networks = list.iter().enumerate();
        networks
            .flat_map(|(index, network)| uses(network, path.block("network", index, "")))
            .collect()
    };
    let mut found = in_groups(job, |group, path| of(&group.networks, &path));
    found.extend(in_tasks(job, |task, path| {
        let resources = task.resources.as_ref();
        resources.map_or_else(Vec::new, |resources| {
            of(&resources.networks, &path.block("resources", 0, ""))
        })
    }));
    found
}

fn networks(
    job: &Job,
    field: &'static str,
    uses: impl Fn(&crate::job::NetworkResource) -> bool,
) -> Vec<FieldPath> {
    each_network(job, |network, path| {
        uses(network)
            .then(|| path.field(field))
            .into_iter()
            .collect()
    })
}

fn ports(job: &Job, uses: impl Fn(&crate::job::Port) -> bool) -> Vec<FieldPath> {
    each_network(job, |network, path| {
        let used = network.ports().enumerate().filter(|(_, port)| uses(port));
        used.map(|(index, port)| path.block("port", index, &port.label).field("host_network"))
            .collect()
    })
}

fn services(job: &Job) -> Vec<FieldPath> {
    let of = |list: &[Service], path: &FieldPath| -> Vec<FieldPath> {
        let services = list.iter().enumerate();
        services
            .map(|(index, service)| path.block("service", index, &service.name))
            .collect()
    };
    let mut found = in_groups(job, |group, path| of(&group.services, &path));
    found.extend(in_tasks(job, |task, path| of(&task.services, &path)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(job: Value) -> Vec<String> {
        let mut job: Job = serde_json::from_value(job).expect("a job");
        job.server_canonicalize();
        check(&job).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_first_version_runs_passes() {
        let job = json!({"ID": "j", "Constraints": [{"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}],
            "TaskGroups": [{"Name": "g", "Count": 3,
                "Networks": [{"DynamicPorts": [{"Label": "db", "To": 6379}]}],
                "Tasks": [{"Name": "t", "Driver": "docker", "KillSignal": "SIGINT", "ShutdownDelay": 5,
                    "Resources": {"MemoryMaxMB": 512, "Networks": [{"MBits": 10}]}}]}]});
        assert_eq!(found(job), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_built_is_refused_by_name_and_place() {
        let group = |extra: Value| {
            let mut group = json!({"Name": "g", "Tasks": [{"Name": "t", "Driver": "docker"}]});
            for (key, value) in extra.as_object().expect("an object") {
                group[key] = value.clone();
            }
            json!({"ID": "j", "TaskGroups": [group]})
        };
        for (job, expected) in [
            (
                group(json!({"Update": {"Canary": 1}})),
                "group[\"g\"].update.canary: this version of rove does not support canaries; set canary = 0",
            ),
            (
                group(json!({"Tasks": [{"Name": "t", "Driver": "java"}]})),
                "group[\"g\"].task[\"t\"].driver: this version of rove does not support the java driver; the drivers are docker and raw_exec",
            ),
            (
                group(
                    json!({"Tasks": [{"Name": "t", "Driver": "docker", "Artifacts": [{"GetterSource": "x"}]}]}),
                ),
                "group[\"g\"].task[\"t\"].artifact: this version of rove does not support artifacts; put the files into the image or on the node",
            ),
            (
                group(json!({"Constraints": [{"Operand": "resembles"}]})),
                "group[\"g\"].constraint: this version of rove does not support constraints with this operator",
            ),
            (
                json!({"ID": "j", "Multiregion": {}}),
                "multiregion: this version of rove does not support multiregion jobs; register the job in each region",
            ),
        ] {
            assert_eq!(found(job), [expected]);
        }
    }
}
