//! What a validation and a dry run say.

use std::collections::BTreeMap;

use rove_model::{diff::JobDiff, eval::AllocMetric, plan::DesiredUpdates};

use crate::{AllocStub, Eval, wire};

wire! {
    /// The answer to a validation.
    Validation {
        driver_config_validated: bool = "DriverConfigValidated",
        #[serde(serialize_with = "crate::null_when_empty")]
        errors: Vec<String> = "ValidationErrors",
        error: String = "Error",
        warnings: String = "Warnings",
    }
}

wire! {
    /// The answer to a dry run.
    Plan {
        annotations: Option<PlanAnnotations> = "Annotations",
        #[serde(serialize_with = "crate::null_when_empty")]
        failed: BTreeMap<String, AllocMetric> = "FailedTGAllocs",
        modify_index: u64 = "JobModifyIndex",
        #[serde(serialize_with = "crate::null_when_empty")]
        created: Vec<Eval> = "CreatedEvals",
        diff: Option<JobDiff> = "Diff",
        next_launch: Option<String> = "NextPeriodicLaunch",
        warnings: String = "Warnings",
        index: u64 = "Index",
        #[serde(skip_serializing_if = "Vec::is_empty")]
        unsupported: Vec<String> = "Unsupported",
    }
}

wire! {
    /// What a dry run would do, by group.
    PlanAnnotations {
        updates: BTreeMap<String, DesiredUpdates> = "DesiredTGUpdates",
        #[serde(serialize_with = "crate::null_when_empty")]
        preempted: Vec<AllocStub> = "PreemptedAllocs",
    }
}
