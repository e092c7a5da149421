//! Deployments.

use std::collections::BTreeMap;

use rove_model::deployment::DeploymentStatus;

use crate::{Word, wire};

wire! {
    /// A deployment, its counts filled in.
    Deployment {
        id: String = "ID",
        namespace: String = "Namespace",
        job: String = "JobID",
        job_version: u64 = "JobVersion",
        job_modify_index: u64 = "JobModifyIndex",
        job_spec_modify_index: u64 = "JobSpecModifyIndex",
        job_create_index: u64 = "JobCreateIndex",
        multiregion: bool = "IsMultiregion",
        groups: BTreeMap<String, DeploymentGroup> = "TaskGroups",
        status: Word<DeploymentStatus> = "Status",
        description: String = "StatusDescription",
        eval_priority: i32 = "EvalPriority",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// One group of a deployment; the deadline in ns.
    DeploymentGroup {
        auto_revert: bool = "AutoRevert",
        auto_promote: bool = "AutoPromote",
        progress: i64 = "ProgressDeadline",
        require_by: Option<String> = "RequireProgressBy",
        promoted: bool = "Promoted",
        #[serde(serialize_with = "crate::null_when_empty")]
        placed_canaries: Vec<String> = "PlacedCanaries",
        canaries: u64 = "DesiredCanaries",
        desired: u64 = "DesiredTotal",
        placed: u64 = "PlacedAllocs",
        healthy: u64 = "HealthyAllocs",
        unhealthy: u64 = "UnhealthyAllocs",
    }
}
