//! What a job must fulfil to be registered.
//!
//! The complaints have the reference's words and the reference's nested lists (tabs, line ends and all), because
//! clients show and compare them; each also says which field it is about, so that a command line can point at the
//! place in the file. All mistakes are reported, not the first only. The job must be canonical
//! ([`Job::server_canonicalize`]).

mod connect;
mod constraint;
mod cron;
mod group;
mod policy;
mod report;
mod service;
mod task;
mod version;
mod warnings;

pub use group::{MAX_COUNT, too_many};
pub use report::{FieldPath, Problem, Report};
pub use version::VersionConstraint;
pub use warnings::{Warning, Warnings};

use std::collections::BTreeSet;

use crate::job::{Job, JobType};

/// The lowest priority.
pub const MIN_PRIORITY: i64 = 1;
/// The highest priority.
pub const MAX_PRIORITY: i64 = 100;

/// What validation found.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// What keeps the job from being registered.
    pub errors: Report,
    /// What should be changed.
    pub warnings: Warnings,
}

impl Validation {
    /// The warnings, if there are no errors.
    ///
    /// # Errors
    /// When there are errors.
    pub fn into_result(self) -> Result<Warnings, Report> {
        if self.errors.is_empty() {
            Ok(self.warnings)
        } else {
            Err(self.errors)
        }
    }
}

/// Looks at the whole of a canonical job, where nobody knows which drivers the nodes have.
#[must_use]
pub fn validate(job: &Job) -> Validation {
    validate_for(job, None)
}

/// Looks at the whole of a canonical job. `drivers` are those that some node has; `None` where that isn't known.
#[must_use]
pub fn validate_for(job: &Job, drivers: Option<&BTreeSet<String>>) -> Validation {
    let mut errors = Report::default();
    let path = FieldPath::default();
    connect::admission(job, &mut errors);
    vault_is_off(job, &mut errors);
    the_job(job, &path, &mut errors);
    if job
        .payload
        .as_ref()
        .is_some_and(|payload| !payload.is_empty())
    {
        errors.add(
            path.field("payload"),
            "job can't be submitted with a payload, only dispatched",
        );
    }
    if !(MIN_PRIORITY..=MAX_PRIORITY).contains(&job.priority.unwrap_or(MIN_PRIORITY)) {
        errors.add(
            path.field("priority"),
            format!("job priority must be between [{MIN_PRIORITY}, {MAX_PRIORITY}]"),
        );
    }
    Validation {
        errors,
        warnings: warnings::warnings(job, drivers),
    }
}

/// There is no Vault yet.
fn vault_is_off(job: &Job, errors: &mut Report) {
    let root = FieldPath::default();
    for (g, group) in job.task_groups.iter().enumerate() {
        for (t, task) in group.tasks.iter().enumerate() {
            if task.vault.is_some() {
                let path = root
                    .block("group", g, &group.name)
                    .block("task", t, &task.name)
                    .block("vault", 0, "");
                errors.add(path, "Vault not enabled but used in the job");
                return;
            }
        }
    }
}

fn the_job(job: &Job, path: &FieldPath, errors: &mut Report) {
    if job.region.is_empty() {
        errors.add(path.field("region"), "Missing job region");
    }
    if job.id.is_empty() {
        errors.add(path.field("id"), "Missing job ID");
    } else if job.id.contains(' ') {
        errors.add(path.field("id"), "Job ID contains a space");
    } else if job.id.contains('\0') {
        errors.add(path.field("id"), "Job ID contains a null character");
    }
    if job.name.is_empty() {
        errors.add(path.field("name"), "Missing job name");
    } else if job.name.contains('\0') {
        errors.add(path.field("name"), "Job Name contains a null character");
    }
    if job.namespace.is_empty() {
        errors.add(path.field("namespace"), "Job must be in a namespace");
    }
    if job.type_name.is_empty() {
        errors.add(path.field("type"), "Missing job type");
    } else if JobType::from_name(&job.type_name).is_none() {
        errors.add(
            path.field("type"),
            format!("Invalid job type: {:?}", job.type_name),
        );
    }
    if job.datacenters.is_empty() && job.multiregion.is_none() {
        errors.add(path.field("datacenters"), "Missing job datacenters");
    }
    if job.datacenters.iter().any(String::is_empty) {
        errors.add(
            path.field("datacenters"),
            "Job datacenter must be non-empty string",
        );
    }
    if job.task_groups.is_empty() {
        errors.add(path.clone(), "Missing job task groups");
    }
    let system = job.type_name == JobType::System.name();
    constraint::constraints(&job.constraints, path, errors);
    constraint::affinities(&job.affinities, system, path, errors);
    constraint::spreads(&job.spreads, system, path, errors);
    the_groups(job, path, errors);
    group::counts(job, path, errors);
    if let Some(periodic) = &job.periodic
        && periodic.enabled != Some(false)
    {
        let path = path.block("periodic", 0, "");
        if !matches!(job.type_name.as_str(), "batch" | "sysbatch") {
            errors.add(
                path.clone(),
                "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler",
            );
        }
        let mut inner = Report::default();
        policy::periodic(periodic, &path, &mut inner);
        errors.nest("", inner);
    }
    if let Some(parameterized) = &job.parameterized_job {
        let path = path.block("parameterized", 0, "");
        if !matches!(job.type_name.as_str(), "batch" | "sysbatch") {
            errors.add(
                path.clone(),
                "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler",
            );
        }
        let mut inner = Report::default();
        policy::parameterized(parameterized, &path, &mut inner);
        errors.nest("", inner);
    }
}

fn the_groups(job: &Job, path: &FieldPath, errors: &mut Report) {
    for (index, group) in job.task_groups.iter().enumerate() {
        let path = path.block("group", index, &group.name);
        let first = job
            .task_groups
            .iter()
            .position(|other| other.name == group.name)
            .unwrap_or(index);
        if group.name.is_empty() {
            errors.add(
                path.clone(),
                format!("Job task group {} missing name", index + 1),
            );
        } else if first < index {
            errors.add(
                path.clone(),
                format!(
                    "Job task group {} redefines '{}' from group {}",
                    index + 1,
                    group.name,
                    first + 1
                ),
            );
        }
        if group.shutdown_delay.is_some_and(|delay| delay.0 < 0) {
            errors.add(
                path.field("shutdown_delay"),
                "ShutdownDelay must be a positive value",
            );
        }
        if let Some(stop) = group.stop_after_client_disconnect {
            let path = path.field("stop_after_client_disconnect");
            if stop.0 < 0 {
                errors.add(
                    path,
                    "stop_after_client_disconnect must be a positive value",
                );
            } else if stop.0 > 0 && !matches!(job.type_name.as_str(), "batch" | "service") {
                errors.add(
                    path,
                    "stop_after_client_disconnect can only be set in batch and service jobs",
                );
            }
        }
        if job.type_name == JobType::System.name() && group.count() > 1 {
            errors.add(
                path.field("count"),
                format!(
                    "Job task group {} has count {}. Count cannot exceed 1 with system scheduler",
                    group.name,
                    group.count()
                ),
            );
        }
    }
    for (index, group) in job.task_groups.iter().enumerate() {
        let path = path.block("group", index, &group.name);
        let mut inner = Report::default();
        group::group(job, group, &path, &mut inner);
        errors.nest(
            &format!("Task group {} validation failed: ", group.name),
            inner,
        );
    }
}
