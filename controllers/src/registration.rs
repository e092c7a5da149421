//! What the writes to a job are: register, stop, scale, evaluate, revert. Pure: the same state and stamp give the same
//! [`Change`], whoever asks for it: the API for a user, or a loop for itself. [`crate::writer`] commits it.

use std::{collections::BTreeSet, fmt};

use rove_model::{
    eval::TriggeredBy,
    ids::{EvalId, GroupName, JobKey, JobUid, Revision, UnixNanos},
    job::Job,
    registration::{EvalRequest, JobVersion, MAX_SCALINGS, Registration, Scaling},
    supported::{self, Unsupported},
    validate::{FieldPath, Report, too_many, validate_for},
};
use rove_store::{keys::Key, state::State};
use thiserror::Error;

use crate::facts::{self, ShownJob};

/// The namespace there is until namespaces can be made.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Why a write to a job is refused. Texts are part of the API: tools match them.
#[derive(Clone, Debug, Error)]
pub enum RegistrationError {
    /// This is no cluster of that region.
    #[error("No path to region \"{0}\"")]
    UnknownRegion(String),
    /// The job can't be registered: all that stands in the way.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The job is not as the caller last saw it.
    #[error("Enforcing job modify index {enforced}: {found}")]
    Moved {
        /// The Job Modify Index that the caller asked for.
        enforced: Revision,
        /// What is there instead.
        found: Found,
    },
    /// The job has no such group to scale.
    #[error("task group \"{0}\" specified for scaling does not exist in job")]
    UnknownGroup(GroupName),
    /// The group's scaling policy allows no such count.
    #[error("group count was {} than scaling policy {}: {count} {} {limit}", .bound.compared(), .bound.name(), .bound.sign())]
    OutOfBounds {
        /// The count that was asked for.
        count: i64,
        /// What it is beyond.
        bound: Bound,
        /// The policy's limit.
        limit: i64,
    },
    /// More allocs than a job may have.
    #[error("scaling action count can't be {count}: {complaint}")]
    TooMany {
        /// The count that was asked for.
        count: i64,
        /// What a job may have.
        complaint: String,
    },
    /// A job stays what it is.
    #[error("cannot update {0}")]
    OtherKind(OtherKind),
    /// The group has not as many instances as the caller thinks.
    #[error("Expected replicas to be {expected}, was {found}")]
    OtherCount {
        /// What the caller thinks.
        expected: i64,
        /// What it has.
        found: u64,
    },
    /// A roll-out of the job is under way.
    #[error("job scaling blocked due to active deployment")]
    ActiveDeployment,
    /// It is reverted to where it is.
    #[error("can't revert to current version")]
    CurrentVersion,
    /// The version to revert to is not there.
    #[error("job \"{}\" in namespace \"{}\" at version {version} not found", .job.id, .job.namespace)]
    UnknownVersion {
        /// The job.
        job: JobKey,
        /// The version.
        version: u64,
    },
    /// The job's current version is not the one that the caller knows.
    #[error("Current job has version {current}; enforcing version {enforced}")]
    OtherVersion {
        /// What it is at.
        current: u64,
        /// What the caller asked for.
        enforced: u64,
    },
}

/// What a caller that enforces a Job Modify Index finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Found {
    /// There was to be none.
    #[error("job already exists")]
    Job,
    /// It has changed since; now it is at this index.
    #[error("job exists with conflicting job modify index: {0}")]
    Index(Revision),
    /// There was to be one.
    #[error("job does not exist")]
    Nothing,
}

/// What a job can't become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OtherKind {
    /// Of another type.
    #[error("job from type \"{from}\" to \"{to}\"")]
    Type {
        /// What it is.
        from: &'static str,
        /// What it was to be.
        to: &'static str,
    },
    /// A periodic job.
    #[error("non-periodic job to being periodic")]
    Periodic,
    /// One that is no longer periodic.
    #[error("periodic job to being non-periodic")]
    NotPeriodic,
    /// A parameterized job.
    #[error("non-parameterized job to being parameterized")]
    Parameterized,
    /// One that is no longer parameterized.
    #[error("parameterized job to being non-parameterized")]
    NotParameterized,
}

impl OtherKind {
    /// What `new` would make of `old` that can't be.
    fn of(old: &Job, new: &Job) -> Option<Self> {
        let (from, to) = (old.job_type(), new.job_type());
        if from != to {
            let (from, to) = (from.name(), to.name());
            return Some(Self::Type { from, to });
        }
        match (old.is_periodic(), new.is_periodic()) {
            (false, true) => return Some(Self::Periodic),
            (true, false) => return Some(Self::NotPeriodic),
            (true, true) | (false, false) => {}
        }
        match (old.is_parameterized(), new.is_parameterized()) {
            (false, true) => Some(Self::Parameterized),
            (true, false) => Some(Self::NotParameterized),
            (true, true) | (false, false) => None,
        }
    }
}

/// A limit of a scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The most.
    Maximum,
    /// The least.
    Minimum,
}

impl Bound {
    fn name(self) -> &'static str {
        match self {
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
        }
    }

    fn compared(self) -> &'static str {
        match self {
            Self::Maximum => "greater",
            Self::Minimum => "less",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Maximum => '>',
            Self::Minimum => '<',
        }
    }
}

/// What is to be written to a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The registration as it shall stand.
    pub registration: Registration,
    /// The specification of the version that the registration names, if it is a new one.
    pub version: Option<JobVersion>,
}

/// A list of complaints in the layout that clients know.
#[must_use]
pub fn complaints(list: impl IntoIterator<Item = impl ToString>) -> String {
    let lines: Vec<String> = list
        .into_iter()
        .map(|complaint| format!("\t* {}\n", complaint.to_string()))
        .collect();
    let noun = if lines.len() == 1 { "error" } else { "errors" };
    format!("{} {noun} occurred:\n{}\n", lines.len(), lines.concat())
}

/// Everything that keeps a job from being registered, so that nobody finds one after the other.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// The region that it names and this cluster is not of.
    region: Option<String>,
    /// The job's id and the namespace that it names and that isn't there.
    namespace: Option<(String, String)>,
    /// Its mistakes.
    report: Report,
    /// What it asks for beyond what this version runs.
    unsupported: Vec<Unsupported>,
}

impl Refusal {
    /// What stands in the way of a job with this report, in a cluster of this region.
    fn of(job: &Job, region: &str, report: Report) -> Self {
        Self {
            region: (job.region != region).then(|| job.region.clone()),
            namespace: (job.namespace != DEFAULT_NAMESPACE)
                .then(|| (job.id.clone(), job.namespace.clone())),
            report,
            unsupported: supported::check(job),
        }
    }

    /// Whether nothing stands in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_sound() && self.unsupported.is_empty()
    }

    /// Whether nothing but what this version can't run stands in the way.
    fn is_sound(&self) -> bool {
        self.region.is_none() && self.namespace.is_none() && self.report.is_empty()
    }

    /// It without what this version can't run, unless there is nothing else: clients know the list of a job's mistakes.
    #[must_use]
    pub fn mistakes_first(&self) -> Self {
        let mut first = self.clone();
        if !self.is_sound() {
            first.unsupported.clear();
        }
        first
    }

    /// The outermost entries of it: `ValidationErrors` of the API.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.elsewhere()
            .map(|(_, message)| message)
            .chain(self.report.messages())
            .chain(self.unsupported.iter().map(ToString::to_string))
            .collect()
    }

    /// Every single reason with the field that it is about.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let elsewhere = self.elsewhere().map(|(field, message)| Reason {
            path: FieldPath::default().field(field),
            message,
            hint: "",
            unsupported: false,
        });
        let mistakes = self.report.problems().into_iter().map(|problem| Reason {
            path: problem.path.clone(),
            message: problem.message.clone(),
            hint: "",
            unsupported: false,
        });
        let unsupported = self.unsupported.iter().map(|found| Reason {
            path: found.path.clone(),
            message: format!("This version of rove does not support {}.", found.feature),
            hint: found.hint,
            unsupported: true,
        });
        elsewhere.chain(mistakes).chain(unsupported).collect()
    }

    /// What only this cluster knows to be wrong: the field and the message.
    fn elsewhere(&self) -> impl Iterator<Item = (&'static str, String)> {
        let region = self.region.iter().map(|region| ("region", no_path(region)));
        let namespace = self.namespace.iter().map(|(job, namespace)| {
            let message = format!("job \"{job}\" is in nonexistent namespace \"{namespace}\"");
            ("namespace", message)
        });
        region.chain(namespace)
    }
}

fn no_path(region: &str) -> String {
    format!("No path to region \"{region}\"")
}

impl fmt::Display for Refusal {
    /// The region alone is said as Nomad says it; everything else in lists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone =
            self.namespace.is_none() && self.report.is_empty() && self.unsupported.is_empty();
        if let (Some(region), true) = (&self.region, alone) {
            return f.write_str(&no_path(region));
        }
        let elsewhere: Vec<String> = self.elsewhere().map(|(_, message)| message).collect();
        if !elsewhere.is_empty() {
            f.write_str(&complaints(elsewhere))?;
        }
        write!(f, "{}", self.report)?;
        if !self.unsupported.is_empty() {
            f.write_str(&complaints(&self.unsupported))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// One reason why a job can't be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The field it is about.
    pub path: FieldPath,
    /// What is wrong.
    pub message: String,
    /// What to do instead; may be empty.
    pub hint: &'static str,
    /// Nothing is wrong: this version can't run it yet.
    pub unsupported: bool,
}

/// A job that may be registered, and what should be said about it.
#[derive(Debug)]
pub struct Admitted {
    /// The job, canonical.
    pub job: Job,
    /// In the layout that clients know; empty when there are none.
    pub warnings: String,
}

/// A job without a mistake, what should be said about it, and what of it rove can't run yet.
#[derive(Debug)]
pub struct Examined {
    /// The job, canonical.
    pub job: Job,
    /// In the layout that clients know; empty when there are none.
    pub warnings: String,
    /// What of it this version can't run. A job with any of that isn't registered.
    pub refusal: Refusal,
}

/// Fills in what the user left out. `region` is the cluster's.
fn canonical(mut job: Job, namespace: &str, region: &str) -> Job {
    // Whoever names another namespace beside the job means that one.
    if namespace != DEFAULT_NAMESPACE || job.namespace.is_empty() {
        job.namespace = namespace.to_owned();
    }
    if job.region.is_empty() || job.region == "global" {
        region.clone_into(&mut job.region);
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
///
/// # Errors
/// When there is something wrong with it, or of it what rove can't run: all of it at once.
pub fn admit(
    job: Job,
    namespace: &str,
    region: &str,
    drivers: Option<&BTreeSet<String>>,
) -> Result<Admitted, RegistrationError> {
    let Examined {
        job,
        warnings,
        refusal,
    } = examine(job, namespace, region, drivers)?;
    if !refusal.is_empty() {
        return Err(RegistrationError::Refused(Box::new(refusal)));
    }
    Ok(Admitted { job, warnings })
}

/// Looks at all of a job: what is wrong, what rove can't run yet, what should be changed. `drivers` are those that some
/// node has ([`facts::drivers`]).
///
/// # Errors
/// When there is something wrong with it; what rove can't run yet is then told as well.
pub fn examine(
    job: Job,
    namespace: &str,
    region: &str,
    drivers: Option<&BTreeSet<String>>,
) -> Result<Examined, RegistrationError> {
    let (job, refusal, warnings) = look_through(job, namespace, region, drivers);
    if !refusal.is_sound() {
        return Err(RegistrationError::Refused(Box::new(refusal)));
    }
    Ok(Examined {
        job,
        warnings,
        refusal,
    })
}

/// The canonical job, all that stands in the way of its registration, and what should be changed in it, in the layout
/// that clients know.
#[must_use]
pub fn look_through(
    job: Job,
    namespace: &str,
    region: &str,
    drivers: Option<&BTreeSet<String>>,
) -> (Job, Refusal, String) {
    let job = canonical(job, namespace, region);
    let found = validate_for(&job, drivers);
    let refusal = Refusal::of(&job, region, found.errors);
    (job, refusal, found.warnings.to_string())
}

/// When and as whose evaluation a write is made.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The id that the evaluation will have.
    pub eval: EvalId,
    /// The time of the write.
    pub now: UnixNanos,
    /// Priority of the evaluation, if another than the job's.
    pub priority: Option<i32>,
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
#[must_use]
pub fn same_spec(old: &Job, new: &Job) -> bool {
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
fn enforce_index(
    current: Option<&ShownJob<'_>>,
    enforced: Option<Revision>,
) -> Result<(), RegistrationError> {
    let Some(enforced) = enforced else {
        return Ok(());
    };
    let found = match current {
        Some(_) if enforced == 0 => Found::Job,
        Some(job) if job.version.create != enforced => Found::Index(job.version.create),
        None if enforced != 0 => Found::Nothing,
        Some(_) | None => return Ok(()),
    };
    Err(RegistrationError::Moved { enforced, found })
}

/// Registers a job: a new one (as `uid`), a new version, or (when nothing changed) only a new evaluation. With
/// `enforced` only when the job's current version was made at that revision, or, for 0, when there is no such job.
///
/// # Errors
/// When the job isn't as the caller last saw it, or is of another kind.
pub fn register(
    state: &State,
    job: &Job,
    uid: JobUid,
    enforced: Option<Revision>,
    preserve_counts: bool,
    stamp: Stamp,
) -> Result<Change, RegistrationError> {
    let key = job.key();
    let current = facts::job(state, &key);
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
    if let Some(kind) = OtherKind::of(&current.version.job, &job) {
        return Err(RegistrationError::OtherKind(kind));
    }
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
pub struct Stopping {
    /// For good: it is forgotten.
    pub purge: bool,
    /// At once, whatever its tasks' `shutdown_delay` says.
    pub no_shutdown_delay: bool,
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
#[must_use]
pub fn deregister(state: &State, key: &JobKey, how: Stopping, stamp: Stamp) -> Option<Change> {
    let Some(current) = facts::job(state, key) else {
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
pub struct NewCount {
    /// The group.
    pub group: GroupName,
    /// Its count.
    pub count: i64,
    /// Why, in words.
    pub message: String,
    /// More of that, as it was sent.
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
    /// How many the caller thinks there are; it is not done where there are others.
    pub current: Option<i64>,
    /// A deployment that is under way gives way to the new version; else it stands in the way.
    pub replace_deployment: bool,
}

/// Sets the count of a group, and remembers that.
///
/// # Errors
/// When there is no such group, when its scaling policy or a job's limits don't allow the count, when it has another
/// count than the caller thinks, and, unless it is to be replaced, while a roll-out of the job is under way.
pub fn scale(
    state: &State,
    current: &ShownJob<'_>,
    wanted: &NewCount,
    stamp: Stamp,
) -> Result<Change, RegistrationError> {
    let (group, count) = (&wanted.group, wanted.count);
    let mut job = current.version.job.clone();
    let Some(found) = job.group_mut(group.as_str()) else {
        return Err(RegistrationError::UnknownGroup(group.clone()));
    };
    if let Some(limits) = &found.scaling {
        let beyond = |bound, limit| {
            Err(RegistrationError::OutOfBounds {
                count,
                bound,
                limit,
            })
        };
        if let Some(max) = limits.max.filter(|max| count > *max) {
            return beyond(Bound::Maximum, max);
        }
        if let Some(min) = limits.min.filter(|min| count < *min) {
            return beyond(Bound::Minimum, min);
        }
    }
    let active = state.deployments_of_job(current.key).any(|deployment| {
        deployment.job_uid == current.registration.uid && deployment.status.is_active()
    });
    if active && !wanted.replace_deployment {
        return Err(RegistrationError::ActiveDeployment);
    }
    let previous = found.count();
    let found_count = i64::try_from(previous).unwrap_or(i64::MAX);
    if let Some(expected) = wanted.current.filter(|current| *current != found_count) {
        return Err(RegistrationError::OtherCount {
            expected,
            found: previous,
        });
    }
    let is_same = found.count == Some(count);
    found.count = Some(count);
    let wanted_count = found.count();
    let mut change = if is_same {
        again(current, TriggeredBy::JobScaling, stamp)
    } else {
        if let Some((_, complaint)) = too_many(&job) {
            return Err(RegistrationError::TooMany { count, complaint });
        }
        next_version(current, job, TriggeredBy::JobScaling, stamp)
    };
    let registration = &mut change.registration;
    registration.scalings.insert(
        0,
        Scaling {
            group: group.clone(),
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
#[must_use]
pub fn evaluate(current: &ShownJob<'_>, stamp: Stamp) -> Change {
    again(current, TriggeredBy::JobRegister, stamp)
}

/// Goes back to the specification of an earlier version, as a new version. With `prior` only when that is the current
/// one.
///
/// # Errors
/// When there is no such version, it is the current one, or the current one is not `prior`.
pub fn revert(
    state: &State,
    current: &ShownJob<'_>,
    version: u64,
    prior: Option<u64>,
    stamp: Stamp,
) -> Result<Change, RegistrationError> {
    let now_at = current.registration.version;
    if version == now_at {
        return Err(RegistrationError::CurrentVersion);
    }
    let Some(found) = current.version(state, version) else {
        return Err(RegistrationError::UnknownVersion {
            job: current.key.clone(),
            version,
        });
    };
    if let Some(prior) = prior.filter(|prior| *prior != now_at) {
        return Err(RegistrationError::OtherVersion {
            current: now_at,
            enforced: prior,
        });
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

#[cfg(test)]
mod tests;
