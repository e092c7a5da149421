//! Servers, evaluations, deployments and what the search finds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Metrics, lenient, view};

view! {
    /// An evaluation.
    Eval {
        id: String = "ID",
        priority: i64 = "Priority",
        kind: String = "Type",
        triggered_by: String = "TriggeredBy",
        namespace: String = "Namespace",
        job: String = "JobID",
        node: String = "NodeID",
        deployment: String = "DeploymentID",
        status: String = "Status",
        description: String = "StatusDescription",
        wait: i64 = "Wait",
        wait_until: Option<String> = "WaitUntil",
        next: String = "NextEval",
        previous: String = "PreviousEval",
        blocked: String = "BlockedEval",
        failed: BTreeMap<String, Metrics> = "FailedTGAllocs",
        queued: BTreeMap<String, i64> = "QueuedAllocations",
        create_index: u64 = "CreateIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

view! {
    /// A deployment.
    Deployment {
        id: String = "ID",
        namespace: String = "Namespace",
        job: String = "JobID",
        job_version: u64 = "JobVersion",
        status: String = "Status",
        description: String = "StatusDescription",
        groups: BTreeMap<String, DeploymentGroup> = "TaskGroups",
        create_index: u64 = "CreateIndex",
    }
}

view! {
    /// One group of a deployment.
    DeploymentGroup {
        auto_revert: bool = "AutoRevert",
        promoted: bool = "Promoted",
        desired: i64 = "DesiredTotal",
        canaries: i64 = "DesiredCanaries",
        placed: i64 = "PlacedAllocs",
        healthy: i64 = "HealthyAllocs",
        unhealthy: i64 = "UnhealthyAllocs",
        progress: i64 = "ProgressDeadline",
        require_by: Option<String> = "RequireProgressBy",
    }
}

view! {
    /// The servers that an agent knows.
    Members {
        members: Vec<Member> = "Members",
    }
}

view! {
    /// A server.
    Member {
        name: String = "Name",
        addr: String = "Addr",
        port: i64 = "Port",
        status: String = "Status",
        protocol: i64 = "ProtocolCur",
        tags: BTreeMap<String, String> = "Tags",
    }
}

view! {
    /// What an id may be the beginning of.
    Matches {
        matches: BTreeMap<String, Option<Vec<String>>> = "Matches",
        truncations: BTreeMap<String, bool> = "Truncations",
    }
}

view! {
    /// The agent that answers.
    AgentSelf {
        stats: BTreeMap<String, BTreeMap<String, String>> = "stats",
        config: serde_json::Value = "config",
    }
}
