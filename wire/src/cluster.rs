//! Agents, servers, namespaces, the scheduler's configuration, what a search finds, and events.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire;

wire! {
    /// The servers that an agent knows.
    Members {
        server_name: String = "ServerName",
        region: String = "ServerRegion",
        datacenter: String = "ServerDC",
        members: Vec<Member> = "Members",
    }
}

wire! {
    /// A server as a member of the cluster.
    Member {
        name: String = "Name",
        addr: String = "Addr",
        port: i64 = "Port",
        status: String = "Status",
        tags: BTreeMap<String, String> = "Tags",
        protocol_min: i64 = "ProtocolMin",
        protocol_max: i64 = "ProtocolMax",
        protocol: i64 = "ProtocolCur",
        delegate_min: i64 = "DelegateMin",
        delegate_max: i64 = "DelegateMax",
        delegate: i64 = "DelegateCur",
    }
}

wire! {
    /// The agent that answers.
    AgentSelf {
        config: Value = "config",
        member: Value = "member",
        stats: BTreeMap<String, BTreeMap<String, String>> = "stats",
    }
}

wire! {
    /// A namespace.
    NamespaceView {
        name: String = "Name",
        description: String = "Description",
        quota: String = "Quota",
        capabilities: Option<Value> = "Capabilities",
        meta: Option<BTreeMap<String, String>> = "Meta",
        node_pools: Option<Value> = "NodePoolConfiguration",
        hash: Option<String> = "Hash",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// How the scheduler is set, as it is answered.
    SchedulerConfigurationAnswer {
        config: SchedulerConfiguration = "SchedulerConfig",
    } with meta
}

wire! {
    /// How the scheduler is set.
    SchedulerConfiguration {
        algorithm: String = "SchedulerAlgorithm",
        memory_oversubscription: bool = "MemoryOversubscriptionEnabled",
        reject_registration: bool = "RejectJobRegistration",
        pause_broker: bool = "PauseEvalBroker",
        preemption: PreemptionConfiguration = "PreemptionConfig",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// Which kinds of jobs may stop others to make room.
    PreemptionConfiguration {
        system: bool = "SystemSchedulerEnabled",
        sysbatch: bool = "SysBatchSchedulerEnabled",
        batch: bool = "BatchSchedulerEnabled",
        service: bool = "ServiceSchedulerEnabled",
    }
}

wire! {
    /// What an id may be the beginning of, by kind.
    Matches {
        matches: BTreeMap<String, Option<Vec<String>>> = "Matches",
        truncations: BTreeMap<String, bool> = "Truncations",
    } with meta
}

wire! {
    /// An event of the stream; what its payload holds is named by its topic.
    Event {
        topic: String = "Topic",
        kind: String = "Type",
        key: String = "Key",
        #[serde(serialize_with = "crate::null_when_empty")]
        filter_keys: Vec<String> = "FilterKeys",
        namespace: String = "Namespace",
        index: u64 = "Index",
        payload: Value = "Payload",
    }
}
