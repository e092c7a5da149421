//! The jobs of a run: what kinds there are, and what is expected of each.

use rove_model::{
    duration::Nanos,
    ids::JobKey,
    job::{
        Job, NetworkResource, Port, ReschedulePolicy, Resources, RestartPolicy, Task, TaskGroup,
        UpdateStrategy,
    },
};
use serde_json::json;

/// The one group of every job.
pub(crate) const GROUP: &str = "group";

/// What a job is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs on; rolled out in steps.
    Service,
    /// Runs on; updated all at once, without deployments.
    Plain,
    /// Runs on, with ports chosen by the scheduler.
    Ports,
    /// Runs on, with a port of its own: one a node.
    StaticPort,
    /// Ends well after a while.
    Batch,
    /// Ends with an error after a while; replaced a few times.
    Failing,
    /// Can't be started; the deployment ends at its deadline.
    Broken,
    /// Can't be started; the deployment ends with the first failure.
    Impatient,
    /// Fits no node.
    TooLarge,
    /// Runs on, one on each node.
    System,
    /// Ends well after a while, once on each node.
    Sysbatch,
}

impl Kind {
    /// One of each, and the common ones again.
    pub(crate) const ALL: [Self; 13] = [
        Self::Service,
        Self::Plain,
        Self::Ports,
        Self::Batch,
        Self::StaticPort,
        Self::Service,
        Self::Failing,
        Self::Broken,
        Self::Impatient,
        Self::TooLarge,
        Self::Ports,
        Self::System,
        Self::Sysbatch,
    ];

    /// How many allocs it begins with, at least and at most.
    pub(crate) fn counts(self) -> (u32, u32) {
        match self {
            Self::Service | Self::Plain | Self::Ports => (17, 22),
            Self::Batch => (6, 10),
            Self::StaticPort => (2, 8),
            Self::Failing | Self::Broken | Self::Impatient => (2, 4),
            Self::TooLarge => (1, 2),
            Self::System | Self::Sysbatch => (1, 1),
        }
    }

    /// Whether each node has one.
    pub(crate) fn is_for_every_node(self) -> bool {
        matches!(self, Self::System | Self::Sysbatch)
    }

    /// Whether allocs of it end badly by themselves.
    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Failing | Self::Broken | Self::Impatient)
    }
}

/// What is wanted of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Running,
    Stopped,
    Purged,
}

/// A job as the user of the run knows it.
#[derive(Clone, Debug)]
pub(crate) struct JobModel {
    pub(crate) key: JobKey,
    pub(crate) kind: Kind,
    pub(crate) count: u32,
    /// A change of it replaces every alloc.
    pub(crate) variant: u32,
    pub(crate) wanted: Wanted,
}

fn task(kind: Kind, variant: u32) -> Task {
    let config = match kind {
        Kind::Batch | Kind::Sysbatch => json!({"run_for": "8s"}),
        Kind::Failing => json!({"run_for": "3s", "exit_code": 1}),
        Kind::Broken | Kind::Impatient => json!({"start_error": "it is broken"}),
        _ => json!({"run_for": "1000h", "kill_after": "300ms"}),
    };
    Task {
        name: "task".to_owned(),
        driver: rove_agent::drivers::mock::NAME.to_owned(),
        config: config.as_object().cloned().unwrap_or_default(),
        env: [("VARIANT".to_owned(), variant.to_string())].into(),
        resources: Some(Resources {
            cpu: Some(if kind == Kind::TooLarge { 50_000 } else { 150 }),
            memory_mb: Some(50),
            ..Resources::default()
        }),
        kill_timeout: Some(Nanos::secs(2)),
        ..Task::default()
    }
}

fn networks(kind: Kind) -> Vec<NetworkResource> {
    let port = |value| {
        vec![Port {
            label: "http".to_owned(),
            value,
            ..Port::default()
        }]
    };
    match kind {
        Kind::Ports => vec![NetworkResource {
            dynamic_ports: port(0),
            ..NetworkResource::default()
        }],
        Kind::StaticPort => vec![NetworkResource {
            reserved_ports: port(8_080),
            ..NetworkResource::default()
        }],
        _ => Vec::new(),
    }
}

fn update(kind: Kind) -> UpdateStrategy {
    UpdateStrategy {
        max_parallel: Some(if kind == Kind::Plain { 0 } else { 6 }),
        health_check: Some("task_states".to_owned()),
        min_healthy_time: Some(Nanos::secs(1)),
        healthy_deadline: Some(Nanos::secs(20)),
        progress_deadline: Some(if kind == Kind::Impatient {
            Nanos::default()
        } else {
            Nanos::secs(40)
        }),
        ..UpdateStrategy::defaults()
    }
}

impl JobModel {
    /// Its specification.
    pub(crate) fn spec(&self) -> Job {
        let kind = self.kind;
        let system = kind.is_for_every_node();
        let group = TaskGroup {
            name: GROUP.to_owned(),
            // A system job has one on each node at most, and no successor elsewhere.
            count: Some(if system {
                i64::from(self.count.min(1))
            } else {
                i64::from(self.count)
            }),
            tasks: vec![task(kind, self.variant)],
            networks: networks(kind),
            restart_policy: Some(RestartPolicy {
                attempts: Some(1),
                interval: Some(Nanos::secs(3_600)),
                delay: Some(Nanos::secs(1)),
                mode: Some("fail".to_owned()),
                ..RestartPolicy::default()
            }),
            reschedule_policy: (!system).then(|| ReschedulePolicy {
                attempts: Some(if kind.fails() { 2 } else { 0 }),
                interval: Some(Nanos::secs(7_200)),
                delay: Some(Nanos::secs(5)),
                delay_function: Some("constant".to_owned()),
                max_delay: Some(Nanos::secs(60)),
                unlimited: Some(!kind.fails()),
            }),
            ..TaskGroup::default()
        };
        let mut job = Job {
            id: self.key.id.to_string(),
            namespace: self.key.namespace.to_string(),
            type_name: match kind {
                Kind::Batch => "batch",
                Kind::System => "system",
                Kind::Sysbatch => "sysbatch",
                _ => "service",
            }
            .to_owned(),
            datacenters: vec!["dc1".to_owned()],
            task_groups: vec![group],
            update: (kind != Kind::Batch && !system).then(|| update(kind)),
            ..Job::default()
        };
        job.canonicalize();
        job
    }
}
