//! What a dry run and a diff say, and why placements came out as they did.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{AllocStub, Eval, lenient, view};

view! {
    /// The answer to a validation.
    Validation {
        error: String = "Error",
        warnings: String = "Warnings",
    }
}

view! {
    /// The answer to a dry run.
    Plan {
        annotations: Option<Annotations> = "Annotations",
        diff: Option<JobDiff> = "Diff",
        failed: BTreeMap<String, Metrics> = "FailedTGAllocs",
        modify_index: u64 = "JobModifyIndex",
        next_launch: Option<String> = "NextPeriodicLaunch",
        warnings: String = "Warnings",
        created: Vec<Eval> = "CreatedEvals",
        unsupported: Vec<String> = "Unsupported",
    }
}

view! {
    /// What the dry run would do.
    Annotations {
        updates: BTreeMap<String, Updates> = "DesiredTGUpdates",
        preempted: Vec<AllocStub> = "PreemptedAllocs",
    }
}

view! {
    /// What the dry run would do to one group.
    Updates {
        place: u64 = "Place",
        stop: u64 = "Stop",
        migrate: u64 = "Migrate",
        in_place: u64 = "InPlaceUpdate",
        destructive: u64 = "DestructiveUpdate",
        canary: u64 = "Canary",
        preemptions: u64 = "Preemptions",
    }
}

view! {
    /// What differs between two jobs.
    JobDiff {
        kind: String = "Type",
        id: String = "ID",
        fields: Vec<FieldDiff> = "Fields",
        objects: Vec<ObjectDiff> = "Objects",
        groups: Vec<GroupDiff> = "TaskGroups",
    }
}

view! {
    /// What differs in a group.
    GroupDiff {
        kind: String = "Type",
        name: String = "Name",
        fields: Vec<FieldDiff> = "Fields",
        objects: Vec<ObjectDiff> = "Objects",
        tasks: Vec<TaskDiff> = "Tasks",
        updates: BTreeMap<String, u64> = "Updates",
    }
}

view! {
    /// What differs in a task.
    TaskDiff {
        kind: String = "Type",
        name: String = "Name",
        fields: Vec<FieldDiff> = "Fields",
        objects: Vec<ObjectDiff> = "Objects",
        annotations: Vec<String> = "Annotations",
    }
}

view! {
    /// What differs in a block.
    ObjectDiff {
        kind: String = "Type",
        name: String = "Name",
        fields: Vec<FieldDiff> = "Fields",
        objects: Vec<ObjectDiff> = "Objects",
    }
}

view! {
    /// One value that differs.
    FieldDiff {
        kind: String = "Type",
        name: String = "Name",
        old: String = "Old",
        new: String = "New",
        annotations: Vec<String> = "Annotations",
    }
}

view! {
    /// Why a placement came out as it did.
    Metrics {
        nodes_evaluated: i64 = "NodesEvaluated",
        nodes_filtered: i64 = "NodesFiltered",
        nodes_exhausted: i64 = "NodesExhausted",
        nodes_available: BTreeMap<String, i64> = "NodesAvailable",
        class_filtered: BTreeMap<String, i64> = "ClassFiltered",
        constraint_filtered: BTreeMap<String, i64> = "ConstraintFiltered",
        class_exhausted: BTreeMap<String, i64> = "ClassExhausted",
        dimension_exhausted: BTreeMap<String, i64> = "DimensionExhausted",
        quota_exhausted: Vec<String> = "QuotaExhausted",
        scores: Vec<NodeScore> = "ScoreMetaData",
        allocation_time: i64 = "AllocationTime",
        coalesced: i64 = "CoalescedFailures",
    }
}

view! {
    /// How well a node fitted.
    NodeScore {
        node: String = "NodeID",
        scores: BTreeMap<String, f64> = "Scores",
        norm: f64 = "NormScore",
    }
}
