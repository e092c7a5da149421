//! Job and task group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Affinity, Constraint, Declared as _, EphemeralDisk, MigrateStrategy, NetworkResource,
    ParameterizedJobConfig, PeriodicConfig, ReschedulePolicy, RestartPolicy, ScalingPolicy,
    Service, Spread, Task, UpdateStrategy, VolumeRequest, spec,
};
use crate::{
    duration::Nanos,
    ids::{JobKey, Revision, UnixNanos},
};

/// The kinds of jobs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum JobType {
    /// Runs until it is stopped.
    #[default]
    Service,
    /// Runs until it ends.
    Batch,
    /// Runs on every node.
    System,
    /// Runs to its end on every node.
    Sysbatch,
}

impl JobType {
    /// All of them with the names they have in a job.
    pub const ALL: [(&'static str, Self); 4] = [
        ("service", Self::Service),
        ("batch", Self::Batch),
        ("system", Self::System),
        ("sysbatch", Self::Sysbatch),
    ];

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, job_type)| *job_type)
    }

    /// Its name in a job.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
            Self::System => "system",
            Self::Sysbatch => "sysbatch",
        }
    }
}

/// The fields of a job, by their names in JSON, that the server fills in and keeps: they say nothing about what the job
/// is.
pub const KEPT_BY_THE_SERVER: [&str; 9] = [
    "Status",
    "StatusDescription",
    "Stable",
    "Version",
    "SubmitTime",
    "CreateIndex",
    "ModifyIndex",
    "JobModifyIndex",
    "NomadTokenID",
];

spec! {
    /// A job specification.
    Job "job" {
        /// The region that the job runs in.
        region: String [null] = "global" => InPlace,
        /// The namespace that the job belongs to.
        namespace: String [null] = "default" => InPlace,
        /// The id of the job, unique in its namespace.
        id as "ID": String [label_and_argument, default = "the label", null] => InPlace,
        /// The name that is shown to people.
        name: String [default = "the id", null] => InPlace,
        /// How the job lives: a service runs until it is stopped, a batch job until its tasks end; system and
        /// sysbatch do the same on every node that fits.
        type_name as "Type": String [hcl = "type", values = &["service", "batch", "system", "sysbatch"], null] = "service" => InPlace,
        /// From 1 to 100. Jobs of higher priority are placed first.
        priority: Option<i64> = 50 => InPlace,
        /// Place all allocs of an evaluation or none.
        all_at_once: bool [null] = false => InPlace,
        /// The datacenters that the job may run in; a name may hold * as a wildcard.
        datacenters: Vec<String> [default = "[\"*\"]"] => InPlace,
        /// The pool of nodes that the job may run on.
        node_pool: String [null] = "default" at Registration => InPlace,
        /// What a node must fulfil to run any of the job.
        constraints: Vec<Constraint> [each = "constraint"] => InPlace,
        /// What a node should fulfil to be preferred.
        affinities: Vec<Affinity> [each = "affinity"] => Together,
        /// Tasks that run together on one node. At least one is needed.
        task_groups: Vec<TaskGroup> [hcl = "group", plural = "groups"] => Together,
        /// How new versions are rolled out. Groups inherit it, and may set parts of it anew.
        update: Option<UpdateStrategy> => InPlace,
        /// Roll-out over several regions.
        multiregion: Option<Multiregion> => InPlace,
        /// How allocs are spread over the values of an attribute.
        spreads: Vec<Spread> [each = "spread"] => Together,
        /// The job is launched at set times.
        periodic: Option<PeriodicConfig> => InPlace,
        /// The job is a template that runs when it is dispatched.
        parameterized_job: Option<ParameterizedJobConfig> [hcl = "parameterized"] => InPlace,
        /// When failed allocs are replaced. Groups inherit it, and may set parts of it anew.
        #[serde(skip_serializing_if = "Option::is_none")]
        reschedule: Option<ReschedulePolicy> => InPlace,
        /// How allocs leave a node that is drained. Groups inherit it, and may set parts of it anew.
        #[serde(skip_serializing_if = "Option::is_none")]
        migrate: Option<MigrateStrategy> => InPlace by_hand,
        /// Key-value pairs of your own. Tasks see them as NOMAD_META_<key>.
        meta: BTreeMap<String, String> => Together,
        /// Proves at registration that the job may use Consul. It is not stored.
        consul_token: String [null] => InPlace,
        /// Proves at registration that the job may use Vault. It is not stored.
        vault_token: String [null] => InPlace,
        /// Stopped: nothing of it should run.
        stop: bool [api, null] => InPlace,
        /// The job this one was dispatched or launched from.
        parent_id as "ParentID": String [api, null] => InPlace,
        /// It was dispatched.
        dispatched: bool [api] => InPlace,
        /// The token it was dispatched with.
        dispatch_idempotency_token: String [api, null] => InPlace,
        /// The dispatch payload, base64.
        payload: Option<String> [api] => InPlace,
        /// Consul's namespace.
        consul_namespace: String [api, null] => InPlace,
        /// Vault's namespace.
        vault_namespace: String [api, null] => InPlace,
        /// Who registered it.
        nomad_token_id as "NomadTokenID": String [api, null] => InPlace,
        /// `pending`, `running` or `dead`; computed, never stored.
        status: String [api, null] => InPlace,
        /// The status in words.
        status_description: String [api, null] => InPlace,
        /// This version ran healthy; computed, never stored.
        stable: bool [api, null] => InPlace,
        /// Counts registrations, from 0.
        version: u64 [api, null] => InPlace,
        /// When it was registered.
        submit_time: Option<UnixNanos> [api] => InPlace,
        /// Filled in by the API.
        create_index: Revision [api, null] => InPlace,
        /// Filled in by the API.
        modify_index: Revision [api, null] => InPlace,
        /// Filled in by the API.
        job_modify_index: Revision [api, null] => InPlace,
    }
}

/// The priority of a job that gives none.
pub const DEFAULT_PRIORITY: i64 = Job::BLOCK.integer("Priority");

impl Job {
    /// Its namespace and id.
    #[must_use]
    pub fn key(&self) -> JobKey {
        let namespace = if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        };
        JobKey::new(namespace, self.id.as_str())
    }

    /// Its type; a name that is none (which validation refuses) counts as service.
    #[must_use]
    pub fn job_type(&self) -> JobType {
        JobType::from_name(&self.type_name).unwrap_or_default()
    }

    /// Its priority.
    #[must_use]
    pub fn priority(&self) -> i32 {
        i32::try_from(self.priority.unwrap_or(DEFAULT_PRIORITY)).unwrap_or(i32::MAX)
    }

    /// The group with this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&TaskGroup> {
        self.task_groups.iter().find(|group| group.name == name)
    }

    /// The group with this name, to be changed.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut TaskGroup> {
        self.task_groups.iter_mut().find(|group| group.name == name)
    }

    /// Nothing of it should run.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop
    }

    /// It runs at set times.
    #[must_use]
    pub fn is_periodic(&self) -> bool {
        self.periodic.is_some()
    }

    /// It is a template that is dispatched, not run.
    #[must_use]
    pub fn is_parameterized(&self) -> bool {
        self.parameterized_job.is_some() && !self.dispatched
    }
}

spec! {
    /// Tasks that run together on one node.
    TaskGroup "group" {
        /// Its name within the job.
        name: String [label] => InPlace,
        /// How many allocs of the group run (of a job at most 1,000,000); with scaling and no count, its min.
        count: Option<i64> = 1 => InPlace,
        /// What a node must fulfil to run the group.
        constraints: Vec<Constraint> [each = "constraint"] => InPlace,
        /// What a node should fulfil to be preferred.
        affinities: Vec<Affinity> [each = "affinity"] => Together,
        /// One program of the group. At least one is needed.
        tasks: Vec<Task> [each = "task"] => Together,
        /// How allocs of the group are spread over the values of an attribute.
        spreads: Vec<Spread> [each = "spread"] => Together,
        /// A volume that the group's tasks may mount with volume_mount.
        volumes: BTreeMap<String, VolumeRequest> [each = "volume"] => Replace,
        /// When a failed task is started again on the same node.
        restart_policy: Option<RestartPolicy> [hcl = "restart"] => Within,
        /// When a failed alloc is replaced, on another node if possible.
        reschedule_policy: Option<ReschedulePolicy> [hcl = "reschedule"] => InPlace,
        /// The disk that the tasks of an alloc share.
        ephemeral_disk: Option<EphemeralDisk> => Replace,
        /// How a new version of the group is rolled out.
        update: Option<UpdateStrategy> => InPlace,
        /// How allocs leave a node that is drained.
        migrate: Option<MigrateStrategy> => InPlace,
        /// The network of the group and its ports. At most one.
        networks: Vec<NetworkResource> [each = "network"] => Within,
        /// Key-value pairs of your own, over those of the job.
        meta: BTreeMap<String, String> => Together,
        /// A service that is announced while an alloc runs.
        services: Vec<Service> [each = "service"] => Together,
        /// How long to wait after services are deregistered before tasks are stopped.
        shutdown_delay: Option<Nanos> [default = "0s"] => InPlace,
        /// Stop the allocs of a node that has not reached a server for this long.
        stop_after_client_disconnect: Option<Nanos> => InPlace,
        /// Let allocs go on for this long on a node that can't be reached, and take them back if it returns.
        max_client_disconnect: Option<Nanos> => InPlace,
        /// Limits and rules for an autoscaler.
        scaling: Option<ScalingPolicy> => InPlace,
        /// How the group uses Consul.
        consul: Option<Consul> => Within,
    }
}

impl TaskGroup {
    /// How many allocs of it run when nothing is said.
    pub const DEFAULT_COUNT: i64 = Self::BLOCK.integer("Count");

    /// How many allocs of it run.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.count.unwrap_or(Self::DEFAULT_COUNT)).unwrap_or(0)
    }

    /// The task with this name.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Disk it reserves, in MiB.
    #[must_use]
    pub fn disk_mb(&self) -> u64 {
        let size = self.ephemeral_disk.as_ref().and_then(|disk| disk.size_mb);
        u64::try_from(size.unwrap_or(EphemeralDisk::DEFAULT_SIZE_MB)).unwrap_or(0)
    }
}

spec! {
    /// Consul of a group.
    Consul "consul" {
        /// The namespace in Consul.
        namespace: String => Replace,
    }
}

spec! {
    /// Roll-out over several regions.
    Multiregion "multiregion" {
        /// How the roll-out goes from region to region.
        strategy: Option<MultiregionStrategy> => InPlace,
        /// One region. At least one is needed.
        regions: Vec<MultiregionRegion> [each = "region"] => InPlace,
    }
}

spec! {
    /// How a roll-out goes over regions.
    MultiregionStrategy "strategy" {
        /// How many regions are updated at a time; 0 means all.
        max_parallel: Option<i64> = 0 => InPlace,
        /// What a failed region does to the others; by default only those that come later fail.
        on_failure: String [values = &["fail_all", "fail_local"]] => InPlace,
    }
}

spec! {
    /// One region of a roll-out.
    MultiregionRegion "region" {
        /// Its name.
        name: String [label] => InPlace,
        /// How many allocs groups without a count run there.
        count: Option<i64> = 1 => InPlace,
        /// The datacenters there.
        datacenters: Vec<String> => InPlace,
        /// The node pool there.
        node_pool: String => InPlace,
        /// Key-value pairs there, over those of the job.
        meta: BTreeMap<String, String> => InPlace,
    }
}
