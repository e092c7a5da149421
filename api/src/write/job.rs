//! What the writes to a job are: register, stop, scale, evaluate, revert.

use rove_model::{
    eval::TriggeredBy,
    ids::{EvalId, JobKey, JobUid, Revision, UnixNanos},
    job::Job,
    registration::{EvalRequest, JobVersion, MAX_SCALINGS, Registration, Scaling},
    supported,
    validate::{too_many, validate},
};
use rove_store::{keys::Key, state::State};

use super::Change;
use crate::{
    context::AgentInfo,
    error::ApiError,
    status::{self, ShownJob},
};

/// The namespace there is until namespaces can be made.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// A list of complaints in the layout that clients know.
pub(crate) fn complaints(list: &[String]) -> String {
    let noun = if list.len() == 1 { "error" } else { "errors" };
    let mut text = format!("{} {noun} occurred:\n", list.len());
    for complaint in list {
        text.push_str("\t* ");
        text.push_str(complaint);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A job that may be registered, and what should be said about it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) job: Job,
    pub(crate) warnings: String,
}

/// A job without a mistake, what should be said about it, and what of it rove can't run yet.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) job: Job,
    pub(crate) warnings: String,
    /// A complaint for each feature; a job that has any isn't registered.
    pub(crate) unsupported: Vec<String>,
}

/// Fills in what the user left out.
pub(crate) fn canonical(mut job: Job, namespace: &str, info: &AgentInfo) -> Job {
    // Whoever names another namespace beside the job means that one.
    if namespace != DEFAULT_NAMESPACE || job.namespace.is_empty() {
        job.namespace = namespace.to_owned();
    }
    if job.region.is_empty() || job.region == "global" {
        job.region.clone_from(&info.region);
    }
    job.server_canonicalize();
    job.add_implied_constraints();
    job.consul_token = String::new();
    job.vault_token = String::new();
    job.status = String::new();
    job.status_description = String::new();
    job.stable = false;
    job.create_index = 0;
    job.modify_index = 0;
    job.job_modify_index = 0;
    job
}

/// A job that may be registered: nothing is wrong with it, and rove can run all of it.
pub(crate) fn admit(job: Job, namespace: &str, info: &AgentInfo) -> Result<Admitted, ApiError> {
    let Examined {
        job,
        warnings,
        unsupported,
    } = examine(job, namespace, info)?;
    if !unsupported.is_empty() {
        return Err(ApiError::Refused(complaints(&unsupported)));
    }
    Ok(Admitted { job, warnings })
}

/// Looks at all of a job: what is wrong, what rove can't run yet, what should be changed.
pub(crate) fn examine(job: Job, namespace: &str, info: &AgentInfo) -> Result<Examined, ApiError> {
    let job = canonical(job, namespace, info);
    if job.namespace != DEFAULT_NAMESPACE {
        return Err(ApiError::Refused(complaints(&[format!(
            "job \"{}\" is in nonexistent namespace \"{}\"",
            job.id, job.namespace
        )])));
    }
    if job.region != info.region {
        return Err(ApiError::no_path_to_region(&job.region));
    }
    let warnings = validate(&job)
        .into_result()
        .map_err(|report| ApiError::Refused(report.to_string()))?;
    let unsupported = supported::check(&job)
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(Examined {
        job,
        warnings: warnings.to_string(),
        unsupported,
    })
}

/// When and as whose evaluation a write is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) eval: EvalId,
    pub(crate) now: UnixNanos,
    /// Priority of the evaluation, if another than the job's.
    pub(crate) priority: Option<i32>,
}

impl Stamp {
    fn request(self, triggered_by: TriggeredBy, job: &Job) -> EvalRequest {
        self.request_at(triggered_by, job.priority())
    }

    fn request_at(self, triggered_by: TriggeredBy, priority: i32) -> EvalRequest {
        EvalRequest {
            id: self.eval,
            triggered_by,
            priority: self.priority.unwrap_or(priority),
            create_time: self.now,
        }
    }
}

/// A new version of a job that is there.
fn next_version(
    current: &ShownJob<'_>,
    mut job: Job,
    triggered_by: TriggeredBy,
    stamp: Stamp,
) -> Change {
    let version = current.registration.version + 1;
    job.version = version;
    job.submit_time = Some(stamp.now);
    Change {
        registration: Registration {
            uid: current.registration.uid,
            version,
            stop: job.stop,
            purge: false,
            no_shutdown_delay: false,
            eval: stamp.request(triggered_by, &job),
            scalings: current.registration.scalings.clone(),
        },
        version: Some(JobVersion { job }),
    }
}

/// The same version, evaluated again.
fn again(current: &ShownJob<'_>, triggered_by: TriggeredBy, stamp: Stamp) -> Change {
    Change {
        registration: Registration {
            eval: stamp.request(triggered_by, &current.version.job),
            ..current.registration.value.clone()
        },
        version: None,
    }
}

/// Whether two specifications are the same but for what a registration fills in.
pub(crate) fn same_spec(old: &Job, new: &Job) -> bool {
    let mut new = new.clone();
    new.status.clone_from(&old.status);
    new.status_description.clone_from(&old.status_description);
    new.stable = old.stable;
    new.version = old.version;
    new.submit_time = old.submit_time;
    new.nomad_token_id.clone_from(&old.nomad_token_id);
    new.create_index = old.create_index;
    new.modify_index = old.modify_index;
    new.job_modify_index = old.job_modify_index;
    new == *old
}

/// Refuses when the job isn't as the caller last saw it.
pub(crate) fn enforce_index(
    current: Option<&ShownJob<'_>>,
    enforced: Option<Revision>,
) -> Result<(), ApiError> {
    let Some(index) = enforced else {
        return Ok(());
    };
    let why = match current {
        Some(_) if index == 0 => "job already exists".to_owned(),
        Some(job) if job.version.create != index => format!(
            "job exists with conflicting job modify index: {}",
            job.version.create
        ),
        None if index != 0 => "job does not exist".to_owned(),
        Some(_) | None => return Ok(()),
    };
    Err(ApiError::Refused(format!(
        "Enforcing job modify index {index}: {why}"
    )))
}

/// Registers a job: a new one, a new version, or (when nothing changed) only a new evaluation.
pub(crate) fn register(
    state: &State,
    job: &Job,
    uid: JobUid,
    enforced: Option<Revision>,
    preserve_counts: bool,
    stamp: Stamp,
) -> Result<Change, ApiError> {
    let key = job.key();
    let current = status::job(state, &key);
    enforce_index(current.as_ref(), enforced)?;
    let mut job = job.clone();
    let Some(current) = current else {
        job.version = 0;
        job.submit_time = Some(stamp.now);
        return Ok(Change {
            registration: Registration {
                uid,
                version: 0,
                stop: job.stop,
                purge: false,
                no_shutdown_delay: false,
                eval: stamp.request(TriggeredBy::JobRegister, &job),
                scalings: Vec::new(),
            },
            version: Some(JobVersion { job }),
        });
    };
    if preserve_counts {
        for group in &mut job.task_groups {
            if let Some(old) = current.version.job.group(&group.name) {
                group.count = old.count;
            }
        }
    }
    if same_spec(&current.version.job, &job) {
        return Ok(again(&current, TriggeredBy::JobRegister, stamp));
    }
    Ok(next_version(&current, job, TriggeredBy::JobRegister, stamp))
}

/// How a job is stopped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stopping {
    /// For good: it is forgotten.
    pub(crate) purge: bool,
    /// At once, whatever its tasks' `shutdown_delay` says.
    pub(crate) no_shutdown_delay: bool,
}

/// Stops a job whose specification can't be read, by its registration alone: no version can be made of it.
fn deregister_unreadable(
    state: &State,
    key: &JobKey,
    how: Stopping,
    stamp: Stamp,
) -> Option<Change> {
    let registration = state.registration(key).filter(|held| !held.purge)?;
    state.unreadable_key(&Key::JobVersion(registration.version_key(key)))?;
    Some(Change {
        registration: Registration {
            stop: true,
            purge: how.purge,
            no_shutdown_delay: how.no_shutdown_delay,
            eval: stamp.request_at(TriggeredBy::JobDeregister, registration.eval.priority),
            ..registration.value.clone()
        },
        version: None,
    })
}

/// Stops a job. `None` when it isn't there.
pub(crate) fn deregister(
    state: &State,
    key: &JobKey,
    how: Stopping,
    stamp: Stamp,
) -> Option<Change> {
    let Some(current) = status::job(state, key) else {
        return deregister_unreadable(state, key, how, stamp);
    };
    let mut change = if current.registration.stop {
        again(&current, TriggeredBy::JobDeregister, stamp)
    } else {
        let mut job = current.version.job.clone();
        job.stop = true;
        next_version(&current, job, TriggeredBy::JobDeregister, stamp)
    };
    change.registration.purge = how.purge;
    change.registration.no_shutdown_delay = how.no_shutdown_delay;
    Some(change)
}

/// A count that a group is to have, and why.
#[derive(Clone, Debug)]
pub(crate) struct NewCount {
    pub(crate) group: String,
    pub(crate) count: i64,
    pub(crate) message: String,
    pub(crate) meta: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Sets the count of a group, and remembers that.
pub(crate) fn scale(
    state: &State,
    current: &ShownJob<'_>,
    wanted: &NewCount,
    stamp: Stamp,
) -> Result<Change, ApiError> {
    let (group, count) = (wanted.group.as_str(), wanted.count);
    let mut job = current.version.job.clone();
    let Some(found) = job.group_mut(group) else {
        return Err(ApiError::BadRequest(format!(
            "task group \"{group}\" specified for scaling does not exist in job"
        )));
    };
    if let Some(limits) = &found.scaling {
        let bad = |what: &str, limit: i64| {
            Err(ApiError::BadRequest(format!(
                "group count was {what} than scaling policy {}: {count} {} {limit}",
                if what == "greater" {
                    "maximum"
                } else {
                    "minimum"
                },
                if what == "greater" { ">" } else { "<" },
            )))
        };
        if let Some(max) = limits.max.filter(|max| count > *max) {
            return bad("greater", max);
        }
        if let Some(min) = limits.min.filter(|min| count < *min) {
            return bad("less", min);
        }
    }
    let active = state.deployments_of_job(current.key).any(|deployment| {
        deployment.job_uid == current.registration.uid && deployment.status.is_active()
    });
    if active {
        return Err(ApiError::BadRequest(
            "job scaling blocked due to active deployment".to_owned(),
        ));
    }
    let previous = found.count();
    let is_same = found.count == Some(count);
    found.count = Some(count);
    let wanted_count = found.count();
    let mut change = if is_same {
        again(current, TriggeredBy::JobScaling, stamp)
    } else {
        if let Some((_, complaint)) = too_many(&job) {
            return Err(ApiError::BadRequest(format!(
                "scaling action count can't be {count}: {complaint}"
            )));
        }
        next_version(current, job, TriggeredBy::JobScaling, stamp)
    };
    let registration = &mut change.registration;
    registration.scalings.insert(
        0,
        Scaling {
            group: group.into(),
            time: stamp.now,
            count: wanted_count,
            previous,
            message: wanted.message.clone(),
            meta: wanted.meta.clone(),
            eval: stamp.eval,
            version: registration.version,
        },
    );
    registration.scalings.truncate(MAX_SCALINGS);
    Ok(change)
}

/// Evaluates the job as it is.
pub(crate) fn evaluate(current: &ShownJob<'_>, stamp: Stamp) -> Change {
    again(current, TriggeredBy::JobRegister, stamp)
}

/// Goes back to the specification of an earlier version, as a new version.
pub(crate) fn revert(
    state: &State,
    current: &ShownJob<'_>,
    version: u64,
    prior: Option<u64>,
    stamp: Stamp,
) -> Result<Change, ApiError> {
    let now_at = current.registration.version;
    if version == now_at {
        return Err(ApiError::Refused(
            "can't revert to current version".to_owned(),
        ));
    }
    let Some(found) = current.version(state, version) else {
        return Err(ApiError::Refused(format!(
            "job \"{}\" in namespace \"{}\" at version {version} not found",
            current.key.id, current.key.namespace
        )));
    };
    if let Some(prior) = prior.filter(|prior| *prior != now_at) {
        return Err(ApiError::Refused(format!(
            "Current job has version {now_at}; enforcing version {prior}"
        )));
    }
    if same_spec(&current.version.job, &found.job) {
        return Ok(again(current, TriggeredBy::JobRegister, stamp));
    }
    Ok(next_version(
        current,
        found.job.clone(),
        TriggeredBy::JobRegister,
        stamp,
    ))
}
