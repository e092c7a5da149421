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
        #[serde(skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem> = "Problems",
    }
}

wire! {
    /// Why a job is refused, for a caller that accepts [`Refusal::CONTENT_TYPE`].
    Refusal {
        status: u16 = "status",
        detail: String = "detail",
        problems: Vec<Problem> = "problems",
    }
}

impl Refusal {
    /// The media type of RFC 9457.
    pub const CONTENT_TYPE: &str = "application/problem+json";
}

wire! {
    /// One reason why a job is refused, and the field that it is about, as people read it. `Keys` are where to look for
    /// its place in a job file: the field's own first, then those of the blocks around it.
    Problem {
        field: String = "Field",
        keys: Vec<String> = "Keys",
        message: String = "Message",
        #[serde(skip_serializing_if = "String::is_empty")]
        hint: String = "Hint",
        unsupported: bool = "Unsupported",
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
        #[serde(skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem> = "Problems",
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
