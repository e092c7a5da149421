//! What a job means by what it doesn't say, where that isn't plainly a default: what is inherited, computed or depends
//! on something else. Plain defaults stand where a field is declared ([`crate::job::declare`]).
//!
//! Two steps, as the reference has them. [`Job::canonicalize`] is done where a job is read (parse call, command
//! line); [`Job::server_canonicalize`] does that and what only registration does, and gives the form that is stored,
//! planned with and compared. Both leave a job that went through them as it is.
//!
//! A rule comes before the plain defaults of the block that it looks at, so that it still sees what was said. Where what
//! is inside inherits from a block, it is taken out until the block is whole.

use crate::{
    duration::Nanos,
    job::{
        CheckRestart, Connect, Declared as _, Job, JobType, MigrateStrategy, ReschedulePolicy,
        Resources, RestartPolicy, Service, ServiceCheck, Task, TaskArtifact, TaskGroup, Template,
        UpdateStrategy,
        declare::{Fill as _, Stage},
    },
};

impl Job {
    /// Fills in the defaults of a job that was read.
    pub fn canonicalize(&mut self) {
        let mut groups = std::mem::take(&mut self.task_groups);
        self.name.fill(self.id.as_str());
        if ["", JobType::Service.name()].contains(&self.type_name.as_str()) {
            self.update.get_or_insert_default();
        }
        if let Some(multiregion) = &mut self.multiregion {
            multiregion.strategy.get_or_insert_default();
        }
        if let Some(periodic) = &mut self.periodic {
            periodic.time_zone.take_if(|zone| zone.is_empty());
        }
        self.fill_defaults(Stage::Reading);
        for group in &mut groups {
            group.canonicalize(self);
        }
        self.task_groups = groups;
    }

    /// Brings the job into the form that is stored: all defaults, no tokens, and at the job's level only what
    /// registration keeps there.
    pub fn server_canonicalize(&mut self) {
        self.canonicalize();
        if self.datacenters.is_empty() {
            self.datacenters.push("*".to_owned());
        }
        self.reschedule = None;
        self.migrate = None;
        self.consul_token.clear();
        self.vault_token.clear();
        // The groups have inherited the rest.
        self.update = Some(match &self.update {
            Some(update) if update.max_parallel() > 0 => UpdateStrategy {
                stagger: update.stagger,
                max_parallel: update.max_parallel,
                ..UpdateStrategy::zero()
            },
            _ => UpdateStrategy::zero(),
        });
        let job_id = self.id.clone();
        let namespace = self.namespace.clone();
        for group in &mut self.task_groups {
            for service in &mut group.services {
                service.server_canonicalize(&namespace, &job_id, &group.name, None);
            }
            for task in &mut group.tasks {
                for service in &mut task.services {
                    service.server_canonicalize(&namespace, &job_id, &group.name, Some(&task.name));
                }
                if let Some(resources) = &mut task.resources {
                    // Read and dropped since 0.9: a group has the disk.
                    resources.disk_mb = Some(0);
                }
                if let Some(log) = &mut task.log_config {
                    if log.enabled == Some(false) {
                        log.disabled = Some(true);
                    }
                    log.enabled = None;
                }
                for policy in &mut task.scaling_policies {
                    policy.min.fill(0);
                    policy.fill_defaults(Stage::Registration);
                }
            }
        }
        self.fill_defaults(Stage::Registration);
    }
}

impl UpdateStrategy {
    /// Nothing set: what a stored job has where no update applies.
    #[must_use]
    pub fn zero() -> Self {
        let mut zero = Self::default();
        zero.fill_zeros();
        zero
    }

    /// Says nothing, or only zeros.
    fn is_empty(&self) -> bool {
        let mut said = self.clone();
        said.fill_zeros();
        said == Self::zero()
    }
}

impl RestartPolicy {
    /// The reference's defaults.
    #[must_use]
    pub fn defaults(job_type: JobType) -> Self {
        let (attempts, interval) = match job_type {
            JobType::Service | JobType::System => (2, Nanos::mins(30)),
            JobType::Batch | JobType::Sysbatch => (3, Nanos::hours(24)),
        };
        let mut defaults = Self {
            interval: Some(interval),
            attempts: Some(attempts),
            ..Self::default()
        };
        defaults.fill_defaults(Stage::Reading);
        defaults
    }
}

impl ReschedulePolicy {
    /// The reference's defaults.
    #[must_use]
    pub fn defaults(job_type: JobType) -> Self {
        let (attempts, interval, delay, function, max_delay, unlimited) = match job_type {
            JobType::Service => (
                0,
                Nanos::ZERO,
                Nanos::secs(30),
                "exponential",
                Nanos::hours(1),
                true,
            ),
            JobType::Batch => (
                1,
                Nanos::hours(24),
                Nanos::secs(5),
                "constant",
                Nanos::ZERO,
                false,
            ),
            JobType::System | JobType::Sysbatch => {
                (0, Nanos::ZERO, Nanos::ZERO, "", Nanos::ZERO, false)
            }
        };
        Self {
            attempts: Some(attempts),
            interval: Some(interval),
            delay: Some(delay),
            delay_function: Some(function.to_owned()),
            max_delay: Some(max_delay),
            unlimited: Some(unlimited),
        }
    }

    fn canonicalize(&mut self, job_type: JobType) {
        let said = std::mem::replace(self, Self::defaults(job_type));
        self.take_said(&said);
    }
}

impl TaskGroup {
    fn canonicalize(&mut self, job: &Job) {
        // A type that isn't known is refused later; its defaults are those of a job that ends by itself.
        let job_type = JobType::from_name(&job.type_name).unwrap_or(JobType::Sysbatch);
        let count = *self.count.get_or_insert_with(|| {
            self.scaling
                .as_ref()
                .and_then(|scaling| scaling.min)
                .unwrap_or(Self::DEFAULT_COUNT)
        });
        if let Some(scaling) = &mut self.scaling {
            scaling.min.fill(count);
        }
        self.ephemeral_disk.get_or_insert_default();
        let consul = self.consul.get_or_insert_default();
        consul.namespace.fill(job.consul_namespace.as_str());

        self.update = match (job.update.as_ref(), self.update.take()) {
            (Some(inherited), Some(own)) => {
                let mut merged = inherited.clone();
                merged.take_said(&own);
                Some(merged)
            }
            (Some(inherited), None) if !inherited.is_empty() => Some(inherited.clone()),
            (_, own) => own,
        };

        self.reschedule_policy = match (&job.reschedule, self.reschedule_policy.take()) {
            (Some(inherited), Some(own)) => {
                let mut merged = inherited.clone();
                merged.take_said(&own);
                Some(merged)
            }
            (Some(inherited), None) => Some(inherited.clone()),
            (None, None) if job_type != JobType::System => {
                Some(ReschedulePolicy::defaults(job_type))
            }
            (None, own) => own,
        };
        if let Some(reschedule) = &mut self.reschedule_policy {
            reschedule.canonicalize(job_type);
        }

        self.migrate = match (&job.migrate, self.migrate.take()) {
            (Some(inherited), Some(own)) => {
                let mut merged = inherited.clone();
                merged.take_said(&own);
                Some(merged)
            }
            (Some(inherited), None) => Some(inherited.clone()),
            (None, None) if job_type == JobType::Service => Some(MigrateStrategy::default()),
            (None, own) => own,
        };

        let mut restart = RestartPolicy::defaults(job_type);
        if let Some(own) = &self.restart_policy {
            restart.take_said(own);
        }
        self.restart_policy = Some(restart.clone());

        for (name, volume) in &mut self.volumes {
            volume.name.fill(name.as_str());
        }
        for service in &mut self.services {
            service.canonicalize(&job.name, &self.name, None);
        }
        for task in &mut self.tasks {
            task.canonicalize(&job.name, &self.name, &restart);
        }
        self.fill_defaults(Stage::Reading);
    }
}

impl Task {
    fn canonicalize(&mut self, job_name: &str, group: &str, restart: &RestartPolicy) {
        self.resources.get_or_insert_default().canonicalize();
        self.log_config.get_or_insert_default();
        self.artifacts
            .iter_mut()
            .for_each(TaskArtifact::canonicalize);
        self.templates.iter_mut().for_each(Template::canonicalize);
        for service in &mut self.services {
            service.canonicalize(job_name, group, Some(&self.name));
        }
        // Without a hook it says nothing.
        self.lifecycle
            .take_if(|lifecycle| lifecycle.hook.is_empty());
        let mut merged = restart.clone();
        if let Some(own) = &self.restart_policy {
            merged.take_said(own);
        }
        self.restart_policy = Some(merged);
    }
}

impl Resources {
    fn canonicalize(&mut self) {
        // A task that asks for whole cores has no share of its own.
        if self.cores.is_some() {
            self.cpu.fill(0);
        }
    }
}

impl TaskArtifact {
    fn canonicalize(&mut self) {
        if self.relative_dest.is_none() {
            let file = self.getter_mode.as_deref() == Some("file");
            let source = self.getter_source.trim_end_matches('/');
            let name = source.rsplit('/').next().unwrap_or_default();
            self.relative_dest = Some(match (file, name) {
                (false, _) => "local/".to_owned(),
                (true, "") => "local".to_owned(),
                (true, name) => format!("local/{name}"),
            });
        }
    }
}

impl Template {
    fn canonicalize(&mut self) {
        let signals = self.change_mode.as_deref() == Some("signal");
        match &mut self.change_signal {
            Some(signal) => *signal = signal.to_uppercase(),
            None => {
                self.change_signal = Some(if signals { "SIGHUP" } else { "" }.to_owned());
            }
        }
    }
}

impl Service {
    fn canonicalize(&mut self, job_name: &str, group: &str, task: Option<&str>) {
        if self.name.is_empty() {
            self.name = match task {
                Some(task) => format!("{job_name}-{group}-{task}"),
                None => format!("{job_name}-{group}"),
            };
        }
        if let Some(connect) = &mut self.connect {
            connect.canonicalize();
        }
        let mut checks = std::mem::take(&mut self.checks);
        self.fill_defaults(Stage::Reading);
        for check in &mut checks {
            check.canonicalize(self.check_restart.as_ref(), &self.on_update);
        }
        self.checks = checks;
    }

    /// As registration keeps it: names filled in, the namespace noted.
    fn server_canonicalize(
        &mut self,
        namespace: &str,
        job_id: &str,
        group: &str,
        task: Option<&str>,
    ) {
        let task = task.unwrap_or("group");
        for (variable, value) in [
            ("JOB", job_id),
            ("TASKGROUP", group),
            ("GROUP", group),
            ("TASK", task),
        ] {
            self.name = self.name.replace(&format!("${{{variable}}}"), value);
        }
        self.name = self
            .name
            .replace("${BASE}", &format!("{job_id}-{group}-{task}"));
        for check in &mut self.checks {
            if check.name.is_empty() {
                check.name = format!("service: {:?} check", self.name);
            }
        }
        if self.provider == "nomad" {
            self.namespace.fill(namespace);
        } else {
            self.namespace.fill("default");
        }
    }
}

impl ServiceCheck {
    fn canonicalize(&mut self, of_service: Option<&CheckRestart>, on_update: &str) {
        self.check_restart = match (of_service, self.check_restart.take()) {
            (Some(inherited), Some(own)) => Some(CheckRestart {
                limit: if own.limit > 0 {
                    own.limit
                } else {
                    inherited.limit
                },
                grace: own.grace.or(inherited.grace),
                ignore_warnings: own.ignore_warnings || inherited.ignore_warnings,
            }),
            (Some(inherited), None) => Some(inherited.clone()),
            (None, own) => own,
        };
        self.success_before_passing = self.success_before_passing.max(0);
        self.failures_before_critical = self.failures_before_critical.max(0);
        self.on_update.fill(on_update);
    }
}

impl Connect {
    fn canonicalize(&mut self) {
        if let Some(task) = &mut self.sidecar_task {
            task.resources.get_or_insert_default().canonicalize();
            task.log_config.get_or_insert_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(json: serde_json::Value) -> Job {
        serde_json::from_value(json).expect("a job")
    }

    #[test]
    fn canonical_jobs_stay_as_they_are() {
        for job_type in ["service", "batch", "system", "sysbatch"] {
            let mut once = job(serde_json::json!({
                "ID": "j", "Type": job_type, "Update": {"MaxParallel": 2},
                "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Artifacts": [{"GetterSource": "a"}]}],
                    "Services": [{"Checks": [{}]}], "Networks": [{"DynamicPorts": [{"Label": "a"}]}]}]
            }));
            once.canonicalize();
            let mut twice = once.clone();
            twice.canonicalize();
            assert_eq!(once, twice, "{job_type}");
            once.server_canonicalize();
            let mut twice = once.clone();
            twice.server_canonicalize();
            assert_eq!(once, twice, "{job_type}, on the server");
        }
    }

    #[test]
    fn a_group_inherits_what_it_does_not_say_itself() {
        let mut job = job(serde_json::json!({
            "ID": "j",
            "Update": {"MaxParallel": 3, "Canary": 1},
            "Reschedule": {"Attempts": 7, "Unlimited": false},
            "TaskGroups": [
                {"Name": "a", "Update": {"Canary": 0}},
                {"Name": "b", "ReschedulePolicy": {"Delay": 5}},
            ]
        }));
        job.canonicalize();
        let (a, b) = (&job.task_groups[0], &job.task_groups[1]);
        let update = a.update.as_ref().expect("filled");
        assert_eq!((update.max_parallel(), update.canary()), (3, 0));
        assert_eq!(b.update.as_ref().expect("filled").canary(), 1);
        let reschedule = b.reschedule_policy.as_ref().expect("filled");
        assert_eq!((reschedule.attempts(), reschedule.delay()), (7, Nanos(5)));
    }
}
