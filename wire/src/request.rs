//! What is sent to the API.

use std::collections::BTreeMap;

use rove_model::job::Job;
use serde_json::{Map, Value};

use crate::wire;

wire! {
    /// A registration. With `enforce_index` only over the job of that modify index, 0 for none.
    RegisterRequest {
        job: Option<Job> = "Job",
        enforce_index: bool = "EnforceIndex",
        job_modify_index: u64 = "JobModifyIndex",
        preserve_counts: bool = "PreserveCounts",
        eval_priority: Option<i32> = "EvalPriority",
    }
}

wire! {
    /// A dry run, or a validation.
    PlanRequest {
        job: Option<Job> = "Job",
        diff: bool = "Diff",
    }
}

wire! {
    /// A job file that is to be read.
    ParseRequest {
        job_hcl: String = "JobHCL",
        variables: String = "Variables",
        canonicalize: bool = "Canonicalize",
        hcl_v1: bool = "HCLv1",
    }
}

wire! {
    /// A new evaluation of a job.
    EvaluateRequest {
        job: String = "JobID",
        options: EvaluateOptions = "EvalOptions",
    }
}

wire! {
    /// What a new evaluation is to do beyond the usual.
    EvaluateOptions {
        force_reschedule: bool = "ForceReschedule",
    }
}

wire! {
    /// Back to an older version of a job.
    RevertRequest {
        job: String = "JobID",
        version: u64 = "JobVersion",
        enforce_prior_version: Option<u64> = "EnforcePriorVersion",
    }
}

wire! {
    /// A new count of a group, which `target` names under `Group`.
    ScaleRequest {
        count: Option<i64> = "Count",
        target: BTreeMap<String, String> = "Target",
        error: bool = "Error",
        message: String = "Message",
        meta: Option<Map<String, Value>> = "Meta",
    }
}

wire! {
    /// Whether a node takes new allocs: `eligible` or `ineligible`.
    EligibilityRequest {
        eligibility: String = "Eligibility",
    }
}

wire! {
    /// What is to be done to the tasks of an alloc. Which task is named by either field.
    TaskRequest {
        task_name: String = "TaskName",
        task: String = "Task",
        signal: String = "Signal",
        all_tasks: bool = "AllTasks",
    }
}

impl TaskRequest {
    /// The task it is about; none for all.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        [self.task_name.as_str(), self.task.as_str()]
            .into_iter()
            .find(|name| !name.is_empty())
    }
}

wire! {
    /// The beginning of an id that is looked for, and among what.
    SearchRequest {
        prefix: String = "Prefix",
        context: String = "Context",
    }
}
