//! Evaluations.

use std::collections::BTreeMap;

use rove_model::{
    eval::{AllocMetric, EvalStatus, TriggeredBy},
    job::JobType,
};

use crate::{Word, wire};

wire! {
    /// An evaluation.
    Eval {
        id: String = "ID",
        namespace: String = "Namespace",
        priority: i32 = "Priority",
        kind: Word<JobType> = "Type",
        triggered_by: Word<TriggeredBy> = "TriggeredBy",
        job: String = "JobID",
        #[serde(skip_serializing_if = "crate::is_default")]
        job_modify_index: u64 = "JobModifyIndex",
        #[serde(skip_serializing_if = "String::is_empty")]
        node: String = "NodeID",
        #[serde(skip_serializing_if = "String::is_empty")]
        deployment: String = "DeploymentID",
        status: Word<EvalStatus> = "Status",
        description: String = "StatusDescription",
        #[serde(skip_serializing_if = "crate::is_default")]
        wait: i64 = "Wait",
        #[serde(skip_serializing_if = "Option::is_none")]
        wait_until: Option<String> = "WaitUntil",
        next: String = "NextEval",
        previous: String = "PreviousEval",
        blocked: String = "BlockedEval",
        #[serde(skip_serializing_if = "Option::is_none")]
        related: Option<Vec<RelatedEval>> = "RelatedEvals",
        #[serde(serialize_with = "crate::null_when_empty")]
        failed: BTreeMap<String, AllocMetric> = "FailedTGAllocs",
        #[serde(serialize_with = "crate::null_when_empty")]
        class_eligibility: BTreeMap<String, bool> = "ClassEligibility",
        #[serde(serialize_with = "crate::null_when_empty")]
        queued: BTreeMap<String, u64> = "QueuedAllocations",
        #[serde(skip_serializing_if = "crate::is_default")]
        snapshot: u64 = "SnapshotIndex",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

wire! {
    /// An evaluation that came before or after another.
    RelatedEval {
        id: String = "ID",
        priority: i32 = "Priority",
        kind: Word<JobType> = "Type",
        triggered_by: Word<TriggeredBy> = "TriggeredBy",
        namespace: String = "Namespace",
        job: String = "JobID",
        node: String = "NodeID",
        deployment: String = "DeploymentID",
        status: Word<EvalStatus> = "Status",
        description: String = "StatusDescription",
        wait_until: Option<String> = "WaitUntil",
        next: String = "NextEval",
        previous: String = "PreviousEval",
        blocked: String = "BlockedEval",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

wire! {
    /// How many evaluations there are.
    EvalCount {
        count: u64 = "Count",
    } with meta
}
