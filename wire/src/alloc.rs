//! Allocs: what they were given, and what they do.

use std::collections::BTreeMap;

use rove_model::{
    alloc::{ClientStatus, DesiredStatus, TaskEventKind, TaskLifeState},
    duration::Nanos,
    eval::AllocMetric,
    job::{DnsConfig, Job, JobType, Lifecycle},
};
use serde_json::Value;

use crate::{Word, wire};

wire! {
    /// An alloc in a list.
    AllocStub {
        id: String = "ID",
        eval: String = "EvalID",
        name: String = "Name",
        namespace: String = "Namespace",
        node: String = "NodeID",
        node_name: String = "NodeName",
        job: String = "JobID",
        job_type: Word<JobType> = "JobType",
        job_version: u64 = "JobVersion",
        #[serde(skip_serializing_if = "Option::is_none")]
        whole_job: Option<JobVersion> = "Job",
        group: String = "TaskGroup",
        #[serde(skip_serializing_if = "Option::is_none")]
        resources: Option<AllocResources> = "AllocatedResources",
        desired: Word<DesiredStatus> = "DesiredStatus",
        desired_description: String = "DesiredDescription",
        client: Word<ClientStatus> = "ClientStatus",
        client_description: String = "ClientDescription",
        transition: DesiredTransition = "DesiredTransition",
        #[serde(serialize_with = "crate::null_when_empty")]
        states: BTreeMap<String, TaskState> = "TaskStates",
        deployment_status: Option<AllocDeploymentStatus> = "DeploymentStatus",
        followup: String = "FollowupEvalID",
        next: String = "NextAllocation",
        reschedule: Option<RescheduleTracker> = "RescheduleTracker",
        #[serde(serialize_with = "crate::null_when_empty")]
        preempted: Vec<String> = "PreemptedAllocations",
        preempted_by: String = "PreemptedByAllocation",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

wire! {
    /// The version of the job that comes with an alloc in full.
    JobVersion {
        version: u64 = "Version",
    }
}

impl AllocStub {
    /// The version of its job: a node's allocs come whole, with their job in place of its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.whole_job
            .as_ref()
            .map_or(self.job_version, |job| job.version)
    }
}

wire! {
    /// An alloc in full.
    Alloc {
        id: String = "ID",
        namespace: String = "Namespace",
        eval: String = "EvalID",
        name: String = "Name",
        node: String = "NodeID",
        node_name: String = "NodeName",
        job_id: String = "JobID",
        job: Option<Job> = "Job",
        group: String = "TaskGroup",
        resources: Option<AllocResources> = "AllocatedResources",
        legacy_resources: LegacyResources = "Resources",
        legacy_shared: LegacyResources = "SharedResources",
        legacy_tasks: BTreeMap<String, LegacyResources> = "TaskResources",
        metrics: Option<AllocMetric> = "Metrics",
        desired: Word<DesiredStatus> = "DesiredStatus",
        desired_description: String = "DesiredDescription",
        transition: DesiredTransition = "DesiredTransition",
        client: Word<ClientStatus> = "ClientStatus",
        client_description: String = "ClientDescription",
        #[serde(serialize_with = "crate::null_when_empty")]
        states: BTreeMap<String, TaskState> = "TaskStates",
        previous: String = "PreviousAllocation",
        next: String = "NextAllocation",
        deployment: String = "DeploymentID",
        deployment_status: Option<AllocDeploymentStatus> = "DeploymentStatus",
        followup: String = "FollowupEvalID",
        reschedule: Option<RescheduleTracker> = "RescheduleTracker",
        network_status: Option<NetworkStatus> = "NetworkStatus",
        #[serde(serialize_with = "crate::null_when_empty")]
        preempted: Vec<String> = "PreemptedAllocations",
        preempted_by: String = "PreemptedByAllocation",
        create_index: u64 = "CreateIndex",
        modify_index: u64 = "ModifyIndex",
        alloc_modify_index: u64 = "AllocModifyIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

wire! {
    /// What users and drains asked of an alloc.
    DesiredTransition {
        migrate: Option<bool> = "Migrate",
        reschedule: Option<bool> = "Reschedule",
        force_reschedule: Option<bool> = "ForceReschedule",
        no_shutdown_delay: Option<bool> = "NoShutdownDelay",
    }
}

wire! {
    /// The network that an alloc has of its own.
    NetworkStatus {
        interface: String = "InterfaceName",
        address: String = "Address",
        dns: Option<DnsConfig> = "DNS",
    }
}

wire! {
    /// When an alloc was rescheduled before.
    RescheduleTracker {
        events: Vec<RescheduleEvent> = "Events",
    }
}

wire! {
    /// One replacement of a failed alloc; times in ns.
    RescheduleEvent {
        time: i64 = "RescheduleTime",
        previous_alloc: String = "PrevAllocID",
        previous_node: String = "PrevNodeID",
        delay: i64 = "Delay",
    }
}

wire! {
    /// What an alloc was given.
    AllocResources {
        shared: SharedResources = "Shared",
        tasks: BTreeMap<String, GivenResources> = "Tasks",
        lifecycles: BTreeMap<String, Option<Lifecycle>> = "TaskLifecycles",
    }
}

wire! {
    /// What the tasks of an alloc share.
    SharedResources {
        disk: u64 = "DiskMB",
        #[serde(serialize_with = "crate::null_when_empty")]
        networks: Vec<Network> = "Networks",
        #[serde(serialize_with = "crate::null_when_empty")]
        ports: Vec<GivenPort> = "Ports",
    }
}

wire! {
    /// What a task was given.
    GivenResources {
        cpu: GivenCpu = "Cpu",
        memory: GivenMemory = "Memory",
        #[serde(serialize_with = "crate::null_when_empty")]
        networks: Vec<Network> = "Networks",
        #[serde(serialize_with = "crate::null_when_empty")]
        devices: Vec<Value> = "Devices",
    }
}

wire! {
    /// The share of the processors, in MHz.
    GivenCpu {
        shares: u64 = "CpuShares",
        #[serde(serialize_with = "crate::null_when_empty")]
        reserved_cores: Vec<u32> = "ReservedCores",
    }
}

wire! {
    /// The share of the memory, in MiB.
    GivenMemory {
        memory: u64 = "MemoryMB",
        max: u64 = "MemoryMaxMB",
    }
}

wire! {
    /// Resources in the shape of 2017, which web pages still read.
    LegacyResources {
        cpu: u64 = "CPU",
        cores: u64 = "Cores",
        memory: u64 = "MemoryMB",
        memory_max: u64 = "MemoryMaxMB",
        disk: u64 = "DiskMB",
        iops: u64 = "IOPS",
        networks: Option<Vec<Network>> = "Networks",
        #[serde(serialize_with = "crate::null_when_empty")]
        devices: Vec<Value> = "Devices",
    }
}

wire! {
    /// A network of an alloc, a task or a node.
    Network {
        mode: String = "Mode",
        device: String = "Device",
        cidr: String = "CIDR",
        ip: String = "IP",
        mbits: i64 = "MBits",
        dns: Option<DnsConfig> = "DNS",
        #[serde(serialize_with = "crate::null_when_empty")]
        dynamic: Vec<NetworkPort> = "DynamicPorts",
        #[serde(serialize_with = "crate::null_when_empty")]
        reserved: Vec<NetworkPort> = "ReservedPorts",
    }
}

wire! {
    /// A port of a network.
    NetworkPort {
        label: String = "Label",
        value: i64 = "Value",
        to: i64 = "To",
        host_network: String = "HostNetwork",
    }
}

wire! {
    /// A port that an alloc was given.
    GivenPort {
        label: String = "Label",
        value: i64 = "Value",
        to: i64 = "To",
        host: String = "HostIP",
    }
}

wire! {
    /// An alloc's part in its deployment.
    AllocDeploymentStatus {
        healthy: Option<bool> = "Healthy",
        timestamp: Option<String> = "Timestamp",
        canary: bool = "Canary",
        modify_index: u64 = "ModifyIndex",
    }
}

wire! {
    /// What a task does.
    TaskState {
        state: Word<TaskLifeState> = "State",
        failed: bool = "Failed",
        restarts: u64 = "Restarts",
        last_restart: Option<String> = "LastRestart",
        started: Option<String> = "StartedAt",
        finished: Option<String> = "FinishedAt",
        events: Vec<TaskEvent> = "Events",
        handle: Option<Value> = "TaskHandle",
    }
}

wire! {
    /// What happened to a task: its facts under `Details`, and once more in the fields that older clients read.
    TaskEvent {
        kind: Word<TaskEventKind> = "Type",
        time: i64 = "Time",
        display: String = "DisplayMessage",
        details: BTreeMap<String, String> = "Details",
        message: String = "Message",
        fails_task: bool = "FailsTask",
        restart_reason: String = "RestartReason",
        setup_error: String = "SetupError",
        driver_error: String = "DriverError",
        driver_message: String = "DriverMessage",
        exit_code: i64 = "ExitCode",
        signal: i64 = "Signal",
        kill_timeout: Nanos = "KillTimeout",
        kill_error: String = "KillError",
        kill_reason: String = "KillReason",
        start_delay: i64 = "StartDelay",
        download_error: String = "DownloadError",
        validation_error: String = "ValidationError",
        disk_limit: i64 = "DiskLimit",
        failed_sibling: String = "FailedSibling",
        vault_error: String = "VaultError",
        task_signal_reason: String = "TaskSignalReason",
        task_signal: String = "TaskSignal",
        generic_source: String = "GenericSource",
    }
}

impl TaskEvent {
    /// It tells of a failure, by itself or by how the task ended.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self.kind.as_str() {
            "Driver Failure"
            | "Setup Failure"
            | "Failed Validation"
            | "Failed Artifact Download"
            | "Task hook failed"
            | "Alloc Unhealthy" => true,
            "Terminated" => self.exit_code != 0 || self.signal != 0,
            "Not Restarting" => false,
            _ => self.fails_task,
        }
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        if self.display.is_empty() {
            &self.message
        } else {
            &self.display
        }
    }
}

wire! {
    /// The answer to the stop of an alloc.
    AllocStopped {
        eval: String = "EvalID",
        index: u64 = "Index",
    }
}
