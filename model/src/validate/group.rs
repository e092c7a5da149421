//! Task groups: their policies, networks, volumes and tasks as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{FieldPath, Report, constraint, policy, service, task};
use crate::job::{Job, JobType, NetworkResource, Port, TaskGroup, VolumeRequest};

const MAX_PORT: i64 = 65_535;
/// The least disk a group can ask for, in MiB.
const MIN_DISK_MB: i64 = 10;

/// The most allocs that a job may ask for, all its groups together: what a cluster of rove's size holds.
pub const MAX_COUNT: u64 = 1_000_000;

/// What is wrong with the counts of a job, taken by itself or together: the group it shows at, by its place in the job,
/// and the complaint.
#[must_use]
pub fn too_many(job: &Job) -> Option<(usize, String)> {
    let mut sum: u64 = 0;
    for (place, group) in job.task_groups.iter().enumerate() {
        let count = group.count();
        if count > MAX_COUNT {
            return Some((
                place,
                format!(
                    "Task group {} has count {count}: a count can't be above {MAX_COUNT}",
                    group.name
                ),
            ));
        }
        sum = sum.saturating_add(count);
        if sum > MAX_COUNT {
            return Some((
                place,
                format!(
                    "The counts of the job's task groups come to {sum} with that of {}: together they can't be above \
                     {MAX_COUNT}",
                    group.name
                ),
            ));
        }
    }
    None
}

pub(super) fn counts(job: &Job, path: &FieldPath, errors: &mut Report) {
    if let Some((place, complaint)) = too_many(job) {
        let name = &job.task_groups[place].name;
        errors.add(path.block("group", place, name).field("count"), complaint);
    }
}

pub(super) fn group(job: &Job, group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let job_type = job.job_type();
    let system = job.type_name == JobType::System.name();
    if group.name.is_empty() {
        errors.add(path.clone(), "Missing task group name");
    } else if group.name.contains('\0') {
        errors.add(path.clone(), "Task group name contains null character");
    }
    if group.count.is_some_and(|count| count < 0) {
        errors.add(path.field("count"), "Task group count can't be negative");
    }
    if group.tasks.is_empty() {
        errors.add(path.clone(), "Missing tasks for task group");
    }
    if group.max_client_disconnect.is_some() && group.stop_after_client_disconnect.is_some() {
        errors.add(
            path.field("max_client_disconnect"),
            "Task group cannot be configured with both max_client_disconnect and stop_after_client_disconnect",
        );
    }
    if group.max_client_disconnect.is_some_and(|time| time.0 < 0) {
        errors.add(
            path.field("max_client_disconnect"),
            "max_client_disconnect cannot be negative",
        );
    }
    constraint::constraints(&group.constraints, path, errors);
    constraint::affinities(&group.affinities, system, path, errors);
    policies(group, job_type, system, path, errors);
    task_names(group, path, errors);
    for (index, (name, volume)) in group.volumes.iter().enumerate() {
        let path = path.block("volume", index, name);
        if !matches!(volume.type_name.as_str(), "host" | "csi") {
            errors.add(
                path.field("type"),
                format!(
                    "Task group volume validation for {name} failed: volume has unrecognized type {}",
                    volume.type_name
                ),
            );
            continue;
        }
        let mut inner = Report::default();
        the_volume(volume, group, job_type, &path, &mut inner);
        errors.nest(
            &format!("Task group volume validation for {name} failed: "),
            inner,
        );
    }
    let mut inner = Report::default();
    networks(group, path, &mut inner);
    errors.nest("Task group network validation failed: ", inner);

    let mut inner = Report::default();
    service::group_services(group, path, &mut inner);
    errors.nest("Task group service validation failed: ", inner);

    if let Some(scaling) = &group.scaling {
        let mut inner = Report::default();
        policy::scaling(
            scaling,
            group.count(),
            &path.block("scaling", 0, ""),
            &mut inner,
        );
        errors.nest("Task group scaling policy validation failed: ", inner);
    }
    for (index, task) in group.tasks.iter().enumerate() {
        let path = path.block("task", index, &task.name);
        let mut inner = Report::default();
        task::task(task, job_type, system, group, &path, &mut inner);
        errors.nest(&format!("Task {} validation failed: ", task.name), inner);
    }
}

fn policies(
    group: &TaskGroup,
    job_type: JobType,
    system: bool,
    path: &FieldPath,
    errors: &mut Report,
) {
    let mut nested = |name, check: &dyn Fn(&FieldPath, &mut Report)| {
        let mut inner = Report::default();
        check(&path.block(name, 0, ""), &mut inner);
        errors.nest("", inner);
    };
    if let Some(restart) = &group.restart_policy {
        nested("restart", &|path, inner| {
            policy::restart(restart, path, inner)
        });
    }
    constraint::spreads(&group.spreads, system, path, errors);
    let mut nested = |name, check: &dyn Fn(&FieldPath, &mut Report)| {
        let mut inner = Report::default();
        check(&path.block(name, 0, ""), &mut inner);
        errors.nest("", inner);
    };
    if let Some(reschedule) = &group.reschedule_policy {
        if !system {
            nested("reschedule", &|path, inner| {
                policy::reschedule(reschedule, path, inner);
            });
        } else {
            errors.add(
                path.block("reschedule", 0, ""),
                "System jobs should not have a reschedule policy",
            );
        }
    }
    if let Some(disk) = &group.ephemeral_disk {
        let size = disk.size_mb.unwrap_or(0);
        if size < MIN_DISK_MB {
            errors.add(
                path.block("ephemeral_disk", 0, "").field("size"),
                format!("minimum DiskMB value is {MIN_DISK_MB}; got {size}"),
            );
        }
    }
    let name = job_type.name();
    if let Some(update) = &group.update {
        let path = path.block("update", 0, "");
        if matches!(job_type, JobType::Batch | JobType::Sysbatch) {
            errors.add(
                path.clone(),
                format!("Job type {name:?} does not allow update block"),
            );
        }
        let mut inner = Report::default();
        policy::update(update, &path, &mut inner);
        errors.nest("", inner);
    }
    if let Some(migrate) = &group.migrate {
        let path = path.block("migrate", 0, "");
        if job_type == JobType::Service {
            let mut inner = Report::default();
            policy::migrate(migrate, &path, &mut inner);
            errors.nest("", inner);
        } else {
            errors.add(
                path,
                format!("Job type {name:?} does not allow migrate block"),
            );
        }
    }
}

fn task_names(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    for (index, task) in group.tasks.iter().enumerate() {
        let path = path.block("task", index, &task.name);
        if task.name.is_empty() {
            errors.add(path, format!("Task {} missing name", index + 1));
            continue;
        }
        let first = group
            .tasks
            .iter()
            .position(|other| other.name == task.name)
            .unwrap_or(index);
        if first < index {
            errors.add(
                path,
                format!(
                    "Task {} redefines '{}' from task {}",
                    index + 1,
                    task.name,
                    first + 1
                ),
            );
        }
    }
    let leaders: Vec<_> = (0..)
        .zip(&group.tasks)
        .filter(|(_, task)| task.leader)
        .collect();
    if let [_, (index, second), ..] = leaders.as_slice() {
        errors.add(
            path.block("task", *index, &second.name).field("leader"),
            "Only one task may be marked as leader",
        );
    }
}

fn the_volume(
    volume: &VolumeRequest,
    group: &TaskGroup,
    job_type: JobType,
    path: &FieldPath,
    errors: &mut Report,
) {
    if volume.source.is_empty() {
        errors.add(path.field("source"), "volume has an empty source");
    }
    if volume.per_alloc {
        if matches!(job_type, JobType::System | JobType::Sysbatch) {
            errors.add(
                path.field("per_alloc"),
                "volume cannot be per_alloc for system or sysbatch jobs",
            );
        }
        if group.update.as_ref().map_or(0, |update| update.canary()) > 0 {
            errors.add(
                path.field("per_alloc"),
                "volume cannot be per_alloc when canaries are in use",
            );
        }
    }
    match volume.type_name.as_str() {
        "host" => {
            if !volume.attachment_mode.is_empty() {
                errors.add(
                    path.field("attachment_mode"),
                    "host volumes cannot have an attachment mode",
                );
            }
            if !volume.access_mode.is_empty() {
                errors.add(
                    path.field("access_mode"),
                    "host volumes cannot have an access mode",
                );
            }
            if volume.mount_options.is_some() {
                errors.add(
                    path.block("mount_options", 0, ""),
                    "host volumes cannot have mount options",
                );
            }
        }
        "csi" => csi_volume(volume, group.count(), path, errors),
        _ => {}
    }
}

fn csi_volume(volume: &VolumeRequest, count: u64, path: &FieldPath, errors: &mut Report) {
    match volume.attachment_mode.as_str() {
        "" => errors.add(
            path.field("attachment_mode"),
            "CSI volumes must have an attachment mode",
        ),
        "block-device" if volume.mount_options.is_some() => errors.add(
            path.block("mount_options", 0, ""),
            "block devices cannot have mount options",
        ),
        _ => {}
    }
    let mode = volume.access_mode.as_str();
    let read_only = |errors: &mut Report| {
        if !volume.read_only {
            errors.add(
                path.field("read_only"),
                format!("{mode} volumes must be read-only"),
            );
        }
    };
    let only_one = |whom: &str, errors: &mut Report| {
        if count > 1 && !volume.per_alloc {
            errors.add(
                path.field("access_mode"),
                format!("volume with {mode} access mode allows only one {whom}"),
            );
        }
    };
    match mode {
        "" => errors.add(
            path.field("access_mode"),
            "CSI volumes must have an access mode",
        ),
        "single-node-reader-only" => {
            read_only(errors);
            only_one("reader", errors);
        }
        "single-node-writer" => only_one("reader or writer", errors),
        "multi-node-reader-only" => read_only(errors),
        "multi-node-single-writer" if !volume.read_only => only_one("writer", errors),
        _ => {}
    }
}

/// Labels and set ports that are taken, over the whole group.
#[derive(Default)]
struct Taken {
    labels: BTreeSet<String>,
    ports: BTreeMap<(String, i64), String>,
}

fn networks(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut taken = Taken::default();
    for (index, network) in group.networks.iter().enumerate() {
        let path = path.block("network", index, "");
        for (position, port) in network_ports(network) {
            let path = path.block("port", position, &port.label);
            if !taken.labels.insert(port.label.clone()) {
                errors.add(
                    path.clone(),
                    format!(
                        "Port label {} already in use by taskgroup network",
                        port.label
                    ),
                );
            }
            static_port(port, "taskgroup network", &mut taken, &path, errors);
            if port.to < -1 {
                errors.add(
                    path.field("to"),
                    format!(
                        "Port {:?} cannot be mapped to negative value {}",
                        port.label, port.to
                    ),
                );
            } else if port.to > MAX_PORT {
                errors.add(
                    path.field("to"),
                    format!(
                        "Port {:?} cannot be mapped to a port ({}) greater than {MAX_PORT}",
                        port.label, port.to
                    ),
                );
            }
        }
        if !network.hostname.is_empty()
            && !network.hostname.contains("${")
            && !is_host_name(&network.hostname)
        {
            errors.add(path.field("hostname"), "Hostname is not a valid DNS name");
        }
    }
    for (index, task) in group.tasks.iter().enumerate() {
        let Some(resources) = &task.resources else {
            continue;
        };
        let path = path
            .block("task", index, &task.name)
            .block("resources", 0, "");
        for (index, network) in resources.networks.iter().enumerate() {
            let path = path.block("network", index, "");
            for (position, port) in network_ports(network) {
                let path = path.block("port", position, &port.label);
                if taken.labels.contains(&port.label) {
                    errors.add(
                        path.clone(),
                        format!(
                            "Port label {} already in use by taskgroup network",
                            port.label
                        ),
                    );
                }
                static_port(port, &task.name, &mut taken, &path, errors);
            }
        }
    }
}

/// The ports with the number they have among the network's ports in the file: set ones come first here, but their
/// place in the file is not known, so a label that stands once is found by it.
fn network_ports(network: &NetworkResource) -> impl Iterator<Item = (usize, &Port)> {
    network.ports().enumerate()
}

fn static_port(port: &Port, owner: &str, taken: &mut Taken, path: &FieldPath, errors: &mut Report) {
    if port.value == 0 {
        return;
    }
    let path = path.field("static");
    let network = if port.host_network.is_empty() {
        "default"
    } else {
        &port.host_network
    };
    if port.value < 0 {
        errors.add(
            path,
            format!("Port {} ({}) cannot be negative", port.label, port.value),
        );
        return;
    }
    if port.value > MAX_PORT {
        errors.add(
            path,
            format!(
                "Port {} ({}) cannot be greater than {MAX_PORT}",
                port.label, port.value
            ),
        );
        return;
    }
    let key = (network.to_owned(), port.value);
    if let Some(other) = taken.ports.get(&key) {
        errors.add(
            path,
            format!("Static port {} already reserved by {other}", port.value),
        );
    } else {
        taken.ports.insert(key, format!("{owner}:{}", port.label));
    }
}

fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.trim_end_matches('.').split('.').all(|part| {
            !part.is_empty()
                && part.len() <= 63
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_asks_for_no_more_allocs_than_a_cluster_holds() {
        for (what, counts, complaint) in [
            ("none", vec![None, Some(0)], None),
            ("the most", vec![Some(999_999), None], None),
            (
                "one count",
                vec![Some(1), Some(1_000_001)],
                Some((1, "has count 1000001")),
            ),
            (
                "the largest",
                vec![Some(i64::MAX)],
                Some((0, "can't be above 1000000")),
            ),
            (
                "all counts",
                vec![Some(600_000), Some(400_000), Some(1)],
                Some((2, "come to 1000001")),
            ),
        ] {
            let job = Job {
                task_groups: counts
                    .into_iter()
                    .map(|count| TaskGroup {
                        count,
                        ..TaskGroup::default()
                    })
                    .collect(),
                ..Job::default()
            };
            let found = too_many(&job);
            assert_eq!(
                found.as_ref().map(|(place, _)| *place),
                complaint.map(|(place, _)| place),
                "{what}"
            );
            if let (Some((_, found)), Some((_, text))) = (found, complaint) {
                assert!(found.contains(text), "{what}: {found}");
            }
        }
    }
}
