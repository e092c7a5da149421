//! Jobs in lists, their summaries and versions, and how they are scaled. A job itself is [`rove_model::job::Job`].

use std::collections::BTreeMap;

use rove_model::{
    diff::JobDiff,
    job::{Job, JobType, Multiregion},
};
use serde_json::{Map, Value};

use crate::{Word, wire};

pub use rove_model::registration::JobStatus;

wire! {
    /// A job in a list.
    JobStub {
        id: String = "ID",
        parent: String = "ParentID",
        name: String = "Name",
        namespace: String = "Namespace",
        datacenters: Vec<String> = "Datacenters",
        node_pool: String = "NodePool",
        multiregion: Option<Multiregion> = "Multiregion",
        kind: Word<JobType> = "Type",
        priority: i32 = "Priority",
        periodic: bool = "Periodic",
        parameterized: bool = "ParameterizedJob",
        stop: bool = "Stop",
        status: Word<JobStatus> = "Status",
        status_description: String = "StatusDescription",
        summary: Option<JobSummary> = "JobSummary",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
        job_modify_index: u64 = "JobModifyIndex",
        submit_time: i64 = "SubmitTime",
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        meta: BTreeMap<String, String> = "Meta",
    }
}

impl JobStub {
    /// `batch/periodic`, `service`, …
    #[must_use]
    pub fn type_name(&self) -> String {
        match (self.periodic, self.parameterized) {
            (true, _) => format!("{}/periodic", self.kind),
            (_, true) => format!("{}/parameterized", self.kind),
            _ => self.kind.to_string(),
        }
    }
}

wire! {
    /// What became of a job's allocs, by group.
    JobSummary {
        job: String = "JobID",
        namespace: String = "Namespace",
        summary: BTreeMap<String, GroupSummary> = "Summary",
        children: Option<Children> = "Children",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// How many children of a periodic or parameterized job are in which state.
    Children {
        pending: u64 = "Pending",
        running: u64 = "Running",
        dead: u64 = "Dead",
    }
}

wire! {
    /// How many allocs of a group are in which state.
    GroupSummary {
        queued: u64 = "Queued",
        complete: u64 = "Complete",
        failed: u64 = "Failed",
        running: u64 = "Running",
        starting: u64 = "Starting",
        lost: u64 = "Lost",
        unknown: u64 = "Unknown",
    }
}

wire! {
    /// The versions of a job, with what changed between them.
    Versions {
        versions: Vec<Job> = "Versions",
        diffs: Option<Vec<JobDiff>> = "Diffs",
    } with meta
}

wire! {
    /// What a registration, a scaling, … gives back.
    Registered {
        eval: String = "EvalID",
        eval_create_index: u64 = "EvalCreateIndex",
        modify_index: u64 = "JobModifyIndex",
        warnings: String = "Warnings",
    } with meta
}

wire! {
    /// What the stop of a job gives back.
    Deregistered {
        eval: String = "EvalID",
        eval_create_index: u64 = "EvalCreateIndex",
        modify_index: u64 = "JobModifyIndex",
        volume_eval: String = "VolumeEvalID",
        volume_eval_index: u64 = "VolumeEvalIndex",
    } with meta
}

wire! {
    /// How a job may be scaled, and was.
    ScaleStatus {
        job: String = "JobID",
        namespace: String = "Namespace",
        create_index: u64 = "JobCreateIndex",
        modify_index: u64 = "JobModifyIndex",
        stopped: bool = "JobStopped",
        groups: BTreeMap<String, GroupScale> = "TaskGroups",
    }
}

wire! {
    /// The scale of a group; its scalings are newest first.
    GroupScale {
        desired: u64 = "Desired",
        placed: u64 = "Placed",
        running: u64 = "Running",
        healthy: u64 = "Healthy",
        unhealthy: u64 = "Unhealthy",
        #[serde(serialize_with = "crate::null_when_empty")]
        events: Vec<ScalingEvent> = "Events",
    }
}

wire! {
    /// One scaling.
    ScalingEvent {
        time: i64 = "Time",
        count: Option<i64> = "Count",
        previous: i64 = "PreviousCount",
        message: String = "Message",
        error: bool = "Error",
        meta: Option<Map<String, Value>> = "Meta",
        eval: Option<String> = "EvalID",
        create_index: u64 = "CreateIndex",
    }
}

/// `dead (stopped)` of a job that was stopped, else its status.
#[must_use]
pub fn status_text(status: &str, stop: bool) -> String {
    if stop {
        format!("{status} (stopped)")
    } else {
        status.to_owned()
    }
}
