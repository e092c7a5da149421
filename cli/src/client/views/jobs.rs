//! Jobs, their versions and how they are scaled.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{JobDiff, lenient, view};

view! {
    /// A job in a list.
    JobStub {
        id: String = "ID",
        namespace: String = "Namespace",
        kind: String = "Type",
        priority: i64 = "Priority",
        datacenters: Vec<String> = "Datacenters",
        node_pool: String = "NodePool",
        status: String = "Status",
        stop: bool = "Stop",
        periodic: bool = "Periodic",
        parameterized: bool = "ParameterizedJob",
        submit_time: i64 = "SubmitTime",
        summary: Option<JobSummary> = "JobSummary",
        meta: BTreeMap<String, String> = "Meta",
    }
}

view! {
    /// How many allocs of each group are in which state.
    JobSummary {
        summary: BTreeMap<String, GroupSummary> = "Summary",
        children: Option<Children> = "Children",
    }
}

view! {
    /// How many children of a periodic or parameterized job are in which state.
    Children {
        pending: i64 = "Pending",
        running: i64 = "Running",
        dead: i64 = "Dead",
    }
}

view! {
    /// One group of a summary.
    GroupSummary {
        queued: i64 = "Queued",
        starting: i64 = "Starting",
        running: i64 = "Running",
        failed: i64 = "Failed",
        complete: i64 = "Complete",
        lost: i64 = "Lost",
        unknown: i64 = "Unknown",
    }
}

view! {
    /// A job, as far as the commands print it.
    Job {
        id: String = "ID",
        name: String = "Name",
        namespace: String = "Namespace",
        kind: String = "Type",
        priority: i64 = "Priority",
        datacenters: Vec<String> = "Datacenters",
        node_pool: String = "NodePool",
        status: String = "Status",
        stop: bool = "Stop",
        stable: bool = "Stable",
        version: u64 = "Version",
        submit_time: i64 = "SubmitTime",
        modify_index: u64 = "JobModifyIndex",
        parent: String = "ParentID",
        dispatched: bool = "Dispatched",
        periodic: Option<Periodic> = "Periodic",
        parameterized: Option<Parameterized> = "ParameterizedJob",
        groups: Vec<Group> = "TaskGroups",
        meta: BTreeMap<String, String> = "Meta",
    }
}

view! {
    /// The periodic block of a job.
    Periodic {
        enabled: Option<bool> = "Enabled",
        spec: String = "Spec",
    }
}

view! {
    /// The parameterized block of a job.
    Parameterized {
        payload: String = "Payload",
        required: Vec<String> = "MetaRequired",
        optional: Vec<String> = "MetaOptional",
    }
}

view! {
    /// A group of a job.
    Group {
        name: String = "Name",
        count: i64 = "Count",
        tasks: Vec<Task> = "Tasks",
        reschedule: Option<ReschedulePolicy> = "ReschedulePolicy",
    }
}

view! {
    /// How often the allocs of a group are rescheduled.
    ReschedulePolicy {
        attempts: i64 = "Attempts",
        interval: i64 = "Interval",
        unlimited: bool = "Unlimited",
    }
}

view! {
    /// A task of a group.
    Task {
        name: String = "Name",
        driver: String = "Driver",
        lifecycle: Option<Lifecycle> = "Lifecycle",
        resources: Option<TaskResources> = "Resources",
    }
}

view! {
    /// What a task asks for.
    TaskResources {
        cpu: i64 = "CPU",
        memory: i64 = "MemoryMB",
    }
}

view! {
    /// When a task runs within its group.
    Lifecycle {
        hook: String = "Hook",
        sidecar: bool = "Sidecar",
    }
}

view! {
    /// The versions of a job, with what changed between them.
    Versions {
        versions: Vec<serde_json::Value> = "Versions",
        diffs: Vec<JobDiff> = "Diffs",
    }
}

view! {
    /// What a registration, a stop, a scaling, … gives back.
    Registered {
        eval: String = "EvalID",
        modify_index: u64 = "JobModifyIndex",
        warnings: String = "Warnings",
    }
}

view! {
    /// How a job may be scaled.
    ScaleStatus {
        groups: BTreeMap<String, GroupScale> = "TaskGroups",
    }
}

view! {
    /// How a group was scaled.
    GroupScale {
        desired: i64 = "Desired",
        events: Vec<ScalingEvent> = "Events",
    }
}

view! {
    /// One scaling.
    ScalingEvent {
        count: Option<i64> = "Count",
        previous: i64 = "PreviousCount",
        error: bool = "Error",
        message: String = "Message",
        eval: Option<String> = "EvalID",
        time: i64 = "Time",
    }
}

impl JobStub {
    /// `batch/periodic`, `service`, …
    pub fn type_name(&self) -> String {
        match (self.periodic, self.parameterized) {
            (true, _) => format!("{}/periodic", self.kind),
            (_, true) => format!("{}/parameterized", self.kind),
            _ => self.kind.clone(),
        }
    }
}

impl Job {
    /// It is started by its schedule.
    pub fn is_periodic(&self) -> bool {
        self.periodic
            .as_ref()
            .is_some_and(|p| p.enabled.unwrap_or(true))
    }

    /// It is a template that is dispatched.
    pub fn is_parameterized(&self) -> bool {
        self.parameterized.is_some() && !self.dispatched
    }
}

/// `dead (stopped)` of a job that was stopped, else its status.
pub fn status_text(status: &str, stop: bool) -> String {
    if stop {
        format!("{status} (stopped)")
    } else {
        status.to_owned()
    }
}
