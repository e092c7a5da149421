//! What is sent to the API.

use std::collections::BTreeMap;

use rove_model::job::Job;
use serde_json::{Map, Value};

use crate::{is_default, wire};

wire! {
    /// A registration. With `enforce_index` only over the job of that modify index, 0 for none.
    RegisterRequest {
        job: Option<Job> = "Job",
        #[serde(skip_serializing_if = "is_default")]
        enforce_index: bool = "EnforceIndex",
        job_modify_index: u64 = "JobModifyIndex",
        #[serde(skip_serializing_if = "is_default")]
        preserve_counts: bool = "PreserveCounts",
        #[serde(skip_serializing_if = "is_default")]
        policy_override: bool = "PolicyOverride",
        #[serde(skip_serializing_if = "is_default")]
        eval_priority: Option<i32> = "EvalPriority",
        #[serde(skip_serializing_if = "is_default")]
        submission: Option<Submission> = "Submission",
    }
}

wire! {
    /// The file that a job was read from, its language (`hcl2`, `hcl1`, `json` or `yaml`), and its variables: those given
    /// one by one, and the text of the files of them.
    Submission {
        source: String = "Source",
        format: String = "Format",
        variable_flags: BTreeMap<String, String> = "VariableFlags",
        variables: String = "Variables",
    }
}

wire! {
    /// A dry run, or a validation.
    PlanRequest {
        job: Option<Job> = "Job",
        #[serde(skip_serializing_if = "is_default")]
        diff: bool = "Diff",
        #[serde(skip_serializing_if = "is_default")]
        policy_override: bool = "PolicyOverride",
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
        #[serde(skip_serializing_if = "is_default")]
        enforce_prior_version: Option<u64> = "EnforcePriorVersion",
    }
}

wire! {
    /// A new count of a group, which `target` names under `Group`. With `current_count` only where the group has so many;
    /// with `replace_deployment` also while a deployment of the job is under way, whose place the new version takes.
    ScaleRequest {
        count: Option<i64> = "Count",
        target: BTreeMap<String, String> = "Target",
        #[serde(skip_serializing_if = "is_default")]
        error: bool = "Error",
        #[serde(skip_serializing_if = "is_default")]
        message: String = "Message",
        #[serde(skip_serializing_if = "is_default")]
        meta: Option<Map<String, Value>> = "Meta",
        #[serde(skip_serializing_if = "is_default")]
        current_count: Option<i64> = "CurrentCount",
        #[serde(skip_serializing_if = "is_default")]
        replace_deployment: bool = "ReplaceDeployment",
    }
}

wire! {
    /// Whether a node takes new allocs: `eligible` or `ineligible`.
    EligibilityRequest {
        #[serde(skip_serializing_if = "is_default")]
        node: String = "NodeID",
        eligibility: String = "Eligibility",
    }
}

wire! {
    /// What is to be done to the tasks of an alloc. Which task is named by either field.
    TaskRequest {
        #[serde(skip_serializing_if = "is_default")]
        task_name: String = "TaskName",
        #[serde(skip_serializing_if = "is_default")]
        task: String = "Task",
        #[serde(skip_serializing_if = "is_default")]
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
