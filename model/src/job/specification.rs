//! Job and task group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Affinity, Constraint, EphemeralDisk, MigrateStrategy, NetworkResource, ParameterizedJobConfig,
    PeriodicConfig, ReschedulePolicy, RestartPolicy, ScalingPolicy, Service, Spread, Task,
    UpdateStrategy, VolumeRequest, spec,
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

spec! {
    /// A job specification.
    Job {
        /// The region, `global` by default.
        region: String => InPlace,
        /// The namespace, `default` by default.
        namespace: String => InPlace,
        /// The id, unique in the namespace.
        #[serde(rename = "ID")]
        id: String => InPlace,
        /// The name shown to people; the id by default.
        name: String => InPlace,
        /// `service`, `batch`, `system` or `sysbatch`; anything else doesn't pass validation. See [`Job::job_type`].
        #[serde(rename = "Type")]
        type_name: String => InPlace,
        /// 1–100, 50 by default; higher is placed first.
        priority: Option<i64> => InPlace,
        /// Place all or nothing.
        all_at_once: bool => InPlace,
        /// Datacenters it may run in; `*` is any.
        datacenters: Vec<String> => InPlace,
        /// The pool of nodes it may run on; empty means `default` once it is registered.
        node_pool: String => InPlace,
        /// What a node must fulfil.
        constraints: Vec<Constraint> => InPlace,
        /// What a node should fulfil.
        affinities: Vec<Affinity> => Together,
        /// The task groups.
        task_groups: Vec<TaskGroup> => Together,
        /// How new versions are rolled out; inherited by the groups.
        update: Option<UpdateStrategy> => InPlace,
        /// Roll-out over several regions.
        multiregion: Option<Multiregion> => InPlace,
        /// How allocs are spread over nodes.
        spreads: Vec<Spread> => Together,
        /// Run at set times.
        periodic: Option<PeriodicConfig> => InPlace,
        /// Run when it is dispatched.
        parameterized_job: Option<ParameterizedJobConfig> => InPlace,
        /// Rescheduling, inherited by the groups; a registered job has it there only.
        #[serde(skip_serializing_if = "Option::is_none")]
        reschedule: Option<ReschedulePolicy> => InPlace,
        /// Migration, inherited by the groups; a registered job has it there only.
        #[serde(skip_serializing_if = "Option::is_none")]
        migrate: Option<MigrateStrategy> => InPlace,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => Together,
        /// Given at registration, never stored.
        consul_token: String => InPlace,
        /// Given at registration, never stored.
        vault_token: String => InPlace,
        /// Stopped: nothing of it should run.
        stop: bool => InPlace,
        /// The job this one was dispatched or launched from.
        #[serde(rename = "ParentID")]
        parent_id: String => InPlace,
        /// It was dispatched.
        dispatched: bool => InPlace,
        /// The token it was dispatched with.
        dispatch_idempotency_token: String => InPlace,
        /// The dispatch payload, base64.
        payload: Option<String> => InPlace,
        /// Consul's namespace.
        consul_namespace: String => InPlace,
        /// Vault's namespace.
        vault_namespace: String => InPlace,
        /// Who registered it.
        #[serde(rename = "NomadTokenID")]
        nomad_token_id: String => InPlace,
        /// `pending`, `running` or `dead`; computed, never stored.
        status: String => InPlace,
        /// The status in words.
        status_description: String => InPlace,
        /// This version ran healthy; computed, never stored.
        stable: bool => InPlace,
        /// Counts registrations, from 0.
        version: u64 => InPlace,
        /// When it was registered.
        submit_time: Option<UnixNanos> => InPlace,
        /// Filled in by the API.
        create_index: Revision => InPlace,
        /// Filled in by the API.
        modify_index: Revision => InPlace,
        /// Filled in by the API.
        job_modify_index: Revision => InPlace,
    }
}

/// The priority of a job that gives none.
pub const DEFAULT_PRIORITY: i64 = 50;

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
    TaskGroup {
        /// Its name within the job.
        name: String => InPlace,
        /// How many allocs of it run, 1 by default. See [`TaskGroup::count`].
        count: Option<i64> => InPlace,
        /// What a node must fulfil.
        constraints: Vec<Constraint> => InPlace,
        /// What a node should fulfil.
        affinities: Vec<Affinity> => Together,
        /// The tasks.
        tasks: Vec<Task> => Together,
        /// How allocs are spread over nodes.
        spreads: Vec<Spread> => Together,
        /// Volumes by name.
        volumes: BTreeMap<String, VolumeRequest> => Replace,
        /// When a failed task is started again.
        restart_policy: Option<RestartPolicy> => Within,
        /// When a failed alloc is replaced.
        reschedule_policy: Option<ReschedulePolicy> => InPlace,
        /// Disk shared by the tasks.
        ephemeral_disk: Option<EphemeralDisk> => Replace,
        /// How a new version is rolled out.
        update: Option<UpdateStrategy> => InPlace,
        /// How allocs leave a node that is drained.
        migrate: Option<MigrateStrategy> => InPlace,
        /// Networks, at most one.
        networks: Vec<NetworkResource> => Within,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => Together,
        /// Services of the group.
        services: Vec<Service> => Together,
        /// Time between deregistering services and stopping tasks.
        shutdown_delay: Option<Nanos> => InPlace,
        /// Stop allocs when the node can't reach a server for so long.
        stop_after_client_disconnect: Option<Nanos> => InPlace,
        /// Let allocs go on for so long on a node that can't be reached.
        max_client_disconnect: Option<Nanos> => InPlace,
        /// Limits for autoscaling.
        scaling: Option<ScalingPolicy> => InPlace,
        /// Consul of the group.
        consul: Option<Consul> => Within,
    }
}

impl TaskGroup {
    /// How many allocs of it run.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.count.unwrap_or(1)).unwrap_or(0)
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
    Consul {
        /// Its namespace.
        namespace: String => Replace,
    }
}

spec! {
    /// Roll-out over several regions.
    Multiregion {
        /// How.
        strategy: Option<MultiregionStrategy> => InPlace,
        /// Where.
        regions: Vec<MultiregionRegion> => InPlace,
    }
}

spec! {
    /// How a roll-out goes over regions.
    MultiregionStrategy {
        /// Regions at a time.
        max_parallel: Option<i64> => InPlace,
        /// What a failed region does to the others.
        on_failure: String => InPlace,
    }
}

spec! {
    /// One region of a roll-out.
    MultiregionRegion {
        /// Its name.
        name: String => InPlace,
        /// Allocs there.
        count: Option<i64> => InPlace,
        /// Datacenters there.
        datacenters: Vec<String> => InPlace,
        /// Node pool there.
        node_pool: String => InPlace,
        /// Meta there.
        meta: BTreeMap<String, String> => InPlace,
    }
}
