//! Defaults: what a job means by what it doesn't say.
//!
//! Two steps, as the reference has them. [`Job::canonicalize`] is done where a job is read (parse call, command
//! line); [`Job::server_canonicalize`] does that and what only registration does, and gives the form that is stored,
//! planned with and compared. Both leave a job that went through them as it is.

use crate::{
    duration::Nanos,
    job::{
        Affinity, CheckRestart, Connect, EphemeralDisk, Gateway, Job, JobType, LogConfig,
        MigrateStrategy, Multiregion, NetworkResource, PeriodicConfig, ReschedulePolicy, Resources,
        RestartPolicy, ScalingPolicy, Service, ServiceCheck, Spread, Task, TaskArtifact, TaskGroup,
        Template, UpdateStrategy, Vault, VolumeMount,
    },
};

/// Fills `field` with `default` where nothing is said.
fn fill<T>(field: &mut Option<T>, default: T) {
    if field.is_none() {
        *field = Some(default);
    }
}

/// Fills an empty text.
fn fill_text(field: &mut String, default: &str) {
    if field.is_empty() {
        default.clone_into(field);
    }
}

/// Takes what `other` says over.
fn take<T: Clone>(field: &mut Option<T>, other: &Option<T>) {
    if other.is_some() {
        field.clone_from(other);
    }
}

impl Job {
    /// Fills in the defaults of a job that was read.
    pub fn canonicalize(&mut self) {
        fill_text(&mut self.region, "global");
        fill_text(&mut self.namespace, "default");
        let id = self.id.clone();
        fill_text(&mut self.name, &id);
        fill_text(&mut self.type_name, JobType::Service.name());
        fill(&mut self.priority, crate::job::DEFAULT_PRIORITY);
        match &mut self.update {
            Some(update) => update.canonicalize(),
            None if self.type_name == JobType::Service.name() => {
                self.update = Some(UpdateStrategy::defaults());
            }
            None => {}
        }
        if let Some(multiregion) = &mut self.multiregion {
            multiregion.canonicalize();
        }
        if let Some(periodic) = &mut self.periodic {
            periodic.canonicalize();
        }
        self.spreads.iter_mut().for_each(Spread::canonicalize);
        self.affinities.iter_mut().for_each(Affinity::canonicalize);
        let mut groups = std::mem::take(&mut self.task_groups);
        for group in &mut groups {
            group.canonicalize(self);
        }
        self.task_groups = groups;
    }

    /// Brings the job into the form that is stored: all defaults, no tokens, and at the job's level only what
    /// registration keeps there.
    pub fn server_canonicalize(&mut self) {
        self.canonicalize();
        fill_text(&mut self.node_pool, "default");
        if self.datacenters.is_empty() {
            self.datacenters.push("*".to_owned());
        }
        if let Some(parameterized) = &mut self.parameterized_job {
            fill_text(&mut parameterized.payload, "optional");
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
            for network in &mut group.networks {
                network.server_canonicalize();
            }
            for service in &mut group.services {
                service.server_canonicalize(&namespace, &job_id, &group.name, None);
            }
            for task in &mut group.tasks {
                for service in &mut task.services {
                    service.server_canonicalize(&namespace, &job_id, &group.name, Some(&task.name));
                }
                if let Some(resources) = &mut task.resources {
                    fill(&mut resources.memory_max_mb, 0);
                    // Read and dropped since 0.9: a group has the disk.
                    resources.disk_mb = Some(0);
                    fill(&mut resources.iops, 0);
                    for network in &mut resources.networks {
                        network.server_canonicalize();
                    }
                }
                if let Some(log) = &mut task.log_config {
                    if log.enabled == Some(false) {
                        log.disabled = Some(true);
                    }
                    log.enabled = None;
                }
                for policy in &mut task.scaling_policies {
                    policy.canonicalize(0);
                }
            }
        }
    }
}

impl UpdateStrategy {
    /// Nothing set: what a stored job has where no update applies.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            stagger: Some(Nanos::ZERO),
            max_parallel: Some(0),
            health_check: Some(String::new()),
            min_healthy_time: Some(Nanos::ZERO),
            healthy_deadline: Some(Nanos::ZERO),
            progress_deadline: Some(Nanos::ZERO),
            canary: Some(0),
            auto_revert: Some(false),
            auto_promote: Some(false),
        }
    }

    fn canonicalize(&mut self) {
        let said = std::mem::replace(self, Self::defaults());
        self.merge(&said);
    }

    fn merge(&mut self, other: &Self) {
        take(&mut self.stagger, &other.stagger);
        take(&mut self.max_parallel, &other.max_parallel);
        take(&mut self.health_check, &other.health_check);
        take(&mut self.min_healthy_time, &other.min_healthy_time);
        take(&mut self.healthy_deadline, &other.healthy_deadline);
        take(&mut self.progress_deadline, &other.progress_deadline);
        take(&mut self.canary, &other.canary);
        take(&mut self.auto_revert, &other.auto_revert);
        take(&mut self.auto_promote, &other.auto_promote);
    }

    /// Says nothing, or only zeros.
    fn is_empty(&self) -> bool {
        let zero_time = |time: Option<Nanos>| time.unwrap_or_default() == Nanos::ZERO;
        zero_time(self.stagger)
            && self.max_parallel() == 0
            && self.health_check.as_deref().unwrap_or_default().is_empty()
            && zero_time(self.min_healthy_time)
            && zero_time(self.healthy_deadline)
            && zero_time(self.progress_deadline)
            && !self.auto_revert()
            && !self.auto_promote()
            && self.canary() == 0
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
        Self {
            interval: Some(interval),
            attempts: Some(attempts),
            delay: Some(Nanos::secs(15)),
            mode: Some("fail".to_owned()),
            render_templates: Some(false),
        }
    }

    fn merge(&mut self, other: &Self) {
        take(&mut self.interval, &other.interval);
        take(&mut self.attempts, &other.attempts);
        take(&mut self.delay, &other.delay);
        take(&mut self.mode, &other.mode);
        take(&mut self.render_templates, &other.render_templates);
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
        self.merge(&said);
    }

    fn merge(&mut self, other: &Self) {
        take(&mut self.attempts, &other.attempts);
        take(&mut self.interval, &other.interval);
        take(&mut self.delay, &other.delay);
        take(&mut self.delay_function, &other.delay_function);
        take(&mut self.max_delay, &other.max_delay);
        take(&mut self.unlimited, &other.unlimited);
    }
}

impl MigrateStrategy {
    fn canonicalize(&mut self) {
        let said = std::mem::replace(self, Self::defaults());
        self.merge(&said);
    }

    fn merge(&mut self, other: &Self) {
        take(&mut self.max_parallel, &other.max_parallel);
        take(&mut self.health_check, &other.health_check);
        take(&mut self.min_healthy_time, &other.min_healthy_time);
        take(&mut self.healthy_deadline, &other.healthy_deadline);
    }
}

impl EphemeralDisk {
    fn canonicalize(&mut self) {
        fill(&mut self.sticky, false);
        fill(&mut self.migrate, false);
        fill(&mut self.size_mb, Self::DEFAULT_SIZE_MB);
    }
}

impl PeriodicConfig {
    fn canonicalize(&mut self) {
        fill(&mut self.enabled, true);
        fill(&mut self.spec_type, "cron".to_owned());
        fill(&mut self.prohibit_overlap, false);
        if self.time_zone.as_deref().unwrap_or_default().is_empty() {
            self.time_zone = Some("UTC".to_owned());
        }
    }
}

impl Multiregion {
    fn canonicalize(&mut self) {
        let strategy = self.strategy.get_or_insert_default();
        fill(&mut strategy.max_parallel, 0);
        for region in &mut self.regions {
            fill(&mut region.count, 1);
        }
    }
}

impl Spread {
    fn canonicalize(&mut self) {
        fill(&mut self.weight, 50);
    }
}

impl Affinity {
    fn canonicalize(&mut self) {
        fill(&mut self.weight, 50);
    }
}

impl ScalingPolicy {
    fn canonicalize(&mut self, count: i64) {
        fill(&mut self.enabled, true);
        fill(&mut self.min, count);
        fill_text(&mut self.type_name, "horizontal");
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
                .unwrap_or(1)
        });
        if let Some(scaling) = &mut self.scaling {
            scaling.canonicalize(count);
        }
        self.ephemeral_disk.get_or_insert_default().canonicalize();
        let consul = self.consul.get_or_insert_default();
        fill_text(&mut consul.namespace, &job.consul_namespace);

        self.update = match (job.update.as_ref(), self.update.take()) {
            (Some(inherited), Some(own)) => {
                let mut merged = inherited.clone();
                merged.merge(&own);
                Some(merged)
            }
            (Some(inherited), None) if !inherited.is_empty() => Some(inherited.clone()),
            (_, own) => own,
        };
        if let Some(update) = &mut self.update {
            update.canonicalize();
        }

        self.reschedule_policy = match (&job.reschedule, self.reschedule_policy.take()) {
            (Some(inherited), Some(own)) => {
                let mut merged = inherited.clone();
                merged.merge(&own);
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
                merged.merge(&own);
                Some(merged)
            }
            (Some(inherited), None) => Some(inherited.clone()),
            (None, None) if job_type == JobType::Service => Some(MigrateStrategy::default()),
            (None, own) => own,
        };
        if let Some(migrate) = &mut self.migrate {
            migrate.canonicalize();
        }

        let mut restart = RestartPolicy::defaults(job_type);
        if let Some(own) = &self.restart_policy {
            restart.merge(own);
        }
        self.restart_policy = Some(restart.clone());

        self.spreads.iter_mut().for_each(Spread::canonicalize);
        self.affinities.iter_mut().for_each(Affinity::canonicalize);
        for (name, volume) in &mut self.volumes {
            fill_text(&mut volume.name, name);
        }
        for service in &mut self.services {
            service.canonicalize(&job.name, &self.name, None);
        }
        for task in &mut self.tasks {
            task.canonicalize(&job.name, &self.name, &restart);
        }
    }
}

impl Task {
    fn canonicalize(&mut self, job_name: &str, group: &str, restart: &RestartPolicy) {
        self.resources.get_or_insert_default().canonicalize();
        fill(&mut self.kill_timeout, Self::DEFAULT_KILL_TIMEOUT);
        self.log_config.get_or_insert_default().canonicalize();
        self.artifacts
            .iter_mut()
            .for_each(TaskArtifact::canonicalize);
        if let Some(vault) = &mut self.vault {
            vault.canonicalize();
        }
        self.templates.iter_mut().for_each(Template::canonicalize);
        for service in &mut self.services {
            service.canonicalize(job_name, group, Some(&self.name));
        }
        self.affinities.iter_mut().for_each(Affinity::canonicalize);
        self.volume_mounts
            .iter_mut()
            .for_each(VolumeMount::canonicalize);
        // Without a hook it says nothing.
        self.lifecycle
            .take_if(|lifecycle| lifecycle.hook.is_empty());
        if let Some(plugin) = &mut self.csi_plugin_config {
            if plugin.mount_dir.is_empty() {
                plugin.mount_dir = "/csi".to_owned();
            }
            fill_text(&mut plugin.stage_publish_base_dir, "/local/csi");
            if plugin.health_timeout == Nanos::ZERO {
                plugin.health_timeout = Nanos::secs(30);
            }
        }
        let mut merged = restart.clone();
        if let Some(own) = &self.restart_policy {
            merged.merge(own);
        }
        self.restart_policy = Some(merged);
    }
}

impl Resources {
    fn canonicalize(&mut self) {
        // A task that asks for whole cores has no share of its own.
        let default_cpu = if self.cores.is_some() {
            0
        } else {
            Self::DEFAULT_CPU
        };
        fill(&mut self.cpu, default_cpu);
        fill(&mut self.cores, 0);
        fill(&mut self.memory_mb, Self::DEFAULT_MEMORY_MB);
        for device in &mut self.devices {
            fill(&mut device.count, 1);
            device
                .affinities
                .iter_mut()
                .for_each(Affinity::canonicalize);
        }
    }
}

impl LogConfig {
    fn canonicalize(&mut self) {
        fill(&mut self.max_files, Self::DEFAULT_MAX_FILES);
        fill(&mut self.max_file_size_mb, Self::DEFAULT_MAX_FILE_SIZE_MB);
        fill(&mut self.disabled, false);
    }
}

impl TaskArtifact {
    fn canonicalize(&mut self) {
        fill(&mut self.getter_mode, "any".to_owned());
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

impl Vault {
    fn canonicalize(&mut self) {
        fill(&mut self.env, true);
        fill(&mut self.disable_file, false);
        fill(&mut self.namespace, String::new());
        fill(&mut self.change_mode, "restart".to_owned());
        fill(&mut self.change_signal, "SIGHUP".to_owned());
    }
}

impl Template {
    fn canonicalize(&mut self) {
        fill(&mut self.source_path, String::new());
        fill(&mut self.dest_path, String::new());
        fill(&mut self.embedded_tmpl, String::new());
        fill(&mut self.change_mode, "restart".to_owned());
        let signals = self.change_mode.as_deref() == Some("signal");
        match &mut self.change_signal {
            Some(signal) => *signal = signal.to_uppercase(),
            None => {
                self.change_signal = Some(if signals { "SIGHUP" } else { "" }.to_owned());
            }
        }
        if let Some(script) = &mut self.change_script {
            fill(&mut script.command, String::new());
            fill(&mut script.timeout, Nanos::secs(5));
            fill(&mut script.fail_on_error, false);
        }
        fill(&mut self.splay, Nanos::secs(5));
        fill(&mut self.perms, "0644".to_owned());
        fill(&mut self.left_delim, "{{".to_owned());
        fill(&mut self.right_delim, "}}".to_owned());
        fill(&mut self.envvars, false);
        fill(&mut self.vault_grace, Nanos::ZERO);
        fill(&mut self.err_missing_key, false);
    }
}

impl VolumeMount {
    fn canonicalize(&mut self) {
        fill(&mut self.propagation_mode, "private".to_owned());
        fill(&mut self.read_only, false);
    }
}

impl NetworkResource {
    fn server_canonicalize(&mut self) {
        fill(&mut self.mbits, 0);
        for port in self
            .dynamic_ports
            .iter_mut()
            .chain(&mut self.reserved_ports)
        {
            fill_text(&mut port.host_network, "default");
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
        fill_text(&mut self.address_mode, "auto");
        fill_text(&mut self.on_update, "require_healthy");
        fill_text(&mut self.provider, "consul");
        if let Some(connect) = &mut self.connect {
            connect.canonicalize();
        }
        for check in &mut self.checks {
            check.canonicalize(self.check_restart.as_ref(), &self.on_update);
        }
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
            fill_text(&mut self.namespace, namespace);
        } else {
            fill_text(&mut self.namespace, "default");
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
        if let Some(restart) = &mut self.check_restart {
            fill(&mut restart.grace, Nanos::secs(1));
        }
        self.success_before_passing = self.success_before_passing.max(0);
        self.failures_before_critical = self.failures_before_critical.max(0);
        fill_text(&mut self.on_update, on_update);
    }
}

impl Connect {
    fn canonicalize(&mut self) {
        if let Some(task) = &mut self.sidecar_task {
            task.resources.get_or_insert_default().canonicalize();
            task.log_config.get_or_insert_default().canonicalize();
            fill(&mut task.kill_timeout, Nanos::secs(5));
            fill(&mut task.shutdown_delay, Nanos::ZERO);
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.canonicalize();
        }
    }
}

impl Gateway {
    fn canonicalize(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            fill(&mut proxy.connect_timeout, Nanos::secs(5));
        }
        let listeners = self
            .ingress
            .iter_mut()
            .flat_map(|ingress| &mut ingress.listeners);
        for listener in listeners {
            fill_text(&mut listener.protocol, "tcp");
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
