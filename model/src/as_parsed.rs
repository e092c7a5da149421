//! A job as a parser gives it, before defaults: what nobody wrote is `null`.
//!
//! The structs of [`crate::job`] keep an empty text or a zero where nothing is said, which is enough for whoever works
//! with a job. A client that looks at a job that was only parsed can tell "not said" from zero, so here is that form.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    duration::Nanos,
    job::{Job, PeriodicConfig},
};

/// A job that was read and not canonicalised, for output.
#[derive(Clone, Debug)]
pub struct AsParsed<'a> {
    job: Job,
    written: Written<'a>,
}

/// Whether the file says something about a field of the job, by the field's name in job files.
#[derive(Clone, Copy)]
struct Written<'a>(&'a dyn Fn(&str) -> bool);

impl std::fmt::Debug for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

impl<'a> AsParsed<'a> {
    /// The job with what the reference's parser fills in by itself: the name, and some fields of periodic, vault and
    /// template blocks. `written` tells whether the file names a field of the job.
    #[must_use]
    pub fn new(job: &Job, written: &'a dyn Fn(&str) -> bool) -> Self {
        let mut job = job.clone();
        if job.name.is_empty() {
            job.name.clone_from(&job.id);
        }
        if let Some(periodic) = &mut job.periodic
            && (!periodic.spec.is_empty() || !periodic.specs.is_empty())
        {
            periodic.spec_type.get_or_insert_with(|| "cron".to_owned());
        }
        let tasks = job
            .task_groups
            .iter_mut()
            .flat_map(|group| &mut group.tasks);
        for task in tasks {
            if let Some(vault) = &mut task.vault {
                vault.env.get_or_insert(true);
                vault
                    .change_mode
                    .get_or_insert_with(|| "restart".to_owned());
            }
            for template in &mut task.templates {
                template
                    .change_mode
                    .get_or_insert_with(|| "restart".to_owned());
                template.perms.get_or_insert_with(|| "0644".to_owned());
                template.splay.get_or_insert(Nanos::secs(5));
                template.err_missing_key.get_or_insert(false);
                if let Some(script) = &mut template.change_script {
                    script.timeout.get_or_insert(Nanos::secs(5));
                    script.fail_on_error.get_or_insert(false);
                }
            }
        }
        Self {
            job,
            written: Written(written),
        }
    }
}

/// Nothing for an empty text.
fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Nothing for zero.
fn number(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Periodic<'a> {
    enabled: Option<bool>,
    spec: Option<&'a str>,
    specs: Option<&'a [String]>,
    spec_type: Option<&'a str>,
    prohibit_overlap: Option<bool>,
    time_zone: Option<&'a str>,
}

impl<'a> From<&'a PeriodicConfig> for Periodic<'a> {
    fn from(config: &'a PeriodicConfig) -> Self {
        Self {
            enabled: config.enabled,
            spec: text(&config.spec),
            specs: (!config.specs.is_empty()).then_some(&config.specs),
            spec_type: config.spec_type.as_deref(),
            prohibit_overlap: config.prohibit_overlap,
            time_zone: config.time_zone.as_deref(),
        }
    }
}

impl Serialize for AsParsed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const FIELDS: usize = 40;
        let job = &self.job;
        let written = |name: &str, value: bool| (value || (self.written.0)(name)).then_some(value);
        let mut out = serializer.serialize_struct("Job", FIELDS)?;
        out.serialize_field("Region", &text(&job.region))?;
        out.serialize_field("Namespace", &text(&job.namespace))?;
        out.serialize_field("ID", &text(&job.id))?;
        out.serialize_field("Name", &text(&job.name))?;
        out.serialize_field("Type", &text(&job.type_name))?;
        out.serialize_field("Priority", &job.priority)?;
        out.serialize_field("AllAtOnce", &written("all_at_once", job.all_at_once))?;
        out.serialize_field("Datacenters", &job.datacenters)?;
        out.serialize_field("NodePool", &text(&job.node_pool))?;
        out.serialize_field("Constraints", &job.constraints)?;
        out.serialize_field("Affinities", &job.affinities)?;
        out.serialize_field("TaskGroups", &job.task_groups)?;
        out.serialize_field("Update", &job.update)?;
        out.serialize_field("Multiregion", &job.multiregion)?;
        out.serialize_field("Spreads", &job.spreads)?;
        out.serialize_field("Periodic", &job.periodic.as_ref().map(Periodic::from))?;
        out.serialize_field("ParameterizedJob", &job.parameterized_job)?;
        out.serialize_field("Reschedule", &job.reschedule)?;
        out.serialize_field("Migrate", &job.migrate)?;
        out.serialize_field("Meta", &job.meta)?;
        out.serialize_field("ConsulToken", &text(&job.consul_token))?;
        out.serialize_field("VaultToken", &text(&job.vault_token))?;
        out.serialize_field("Stop", &written("stop", job.stop))?;
        out.serialize_field("ParentID", &text(&job.parent_id))?;
        out.serialize_field("Dispatched", &job.dispatched)?;
        out.serialize_field(
            "DispatchIdempotencyToken",
            &text(&job.dispatch_idempotency_token),
        )?;
        out.serialize_field("Payload", &job.payload)?;
        out.serialize_field("ConsulNamespace", &text(&job.consul_namespace))?;
        out.serialize_field("VaultNamespace", &text(&job.vault_namespace))?;
        out.serialize_field("NomadTokenID", &text(&job.nomad_token_id))?;
        out.serialize_field("Status", &text(&job.status))?;
        out.serialize_field("StatusDescription", &text(&job.status_description))?;
        out.serialize_field("Stable", &written("stable", job.stable))?;
        out.serialize_field("Version", &number(job.version))?;
        out.serialize_field("SubmitTime", &job.submit_time)?;
        out.serialize_field("CreateIndex", &number(job.create_index))?;
        out.serialize_field("ModifyIndex", &number(job.modify_index))?;
        out.serialize_field("JobModifyIndex", &number(job.job_modify_index))?;
        out.end()
    }
}
