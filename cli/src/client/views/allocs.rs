//! Allocs: what they were given, what they do and use, their files.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Job, Metrics, lenient, view};

view! {
    /// An alloc in a list.
    AllocStub {
        id: String = "ID",
        eval: String = "EvalID",
        name: String = "Name",
        namespace: String = "Namespace",
        node: String = "NodeID",
        node_name: String = "NodeName",
        job: String = "JobID",
        job_version: u64 = "JobVersion",
        whole_job: Option<JobVersion> = "Job",
        group: String = "TaskGroup",
        desired: String = "DesiredStatus",
        desired_description: String = "DesiredDescription",
        client: String = "ClientStatus",
        client_description: String = "ClientDescription",
        states: BTreeMap<String, TaskState> = "TaskStates",
        deployment_status: Option<DeploymentStatus> = "DeploymentStatus",
        create_index: u64 = "CreateIndex",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
        followup: String = "FollowupEvalID",
    }
}

view! {
    /// The version of the job that comes with an alloc.
    JobVersion {
        version: u64 = "Version",
    }
}

impl AllocStub {
    /// The version of its job: a node's allocs come whole, with their job in place of its version.
    pub fn version(&self) -> u64 {
        self.whole_job
            .as_ref()
            .map_or(self.job_version, |job| job.version)
    }
}

view! {
    /// An alloc.
    Alloc {
        id: String = "ID",
        eval: String = "EvalID",
        name: String = "Name",
        namespace: String = "Namespace",
        node: String = "NodeID",
        node_name: String = "NodeName",
        job_id: String = "JobID",
        job: Option<Job> = "Job",
        group: String = "TaskGroup",
        resources: Option<AllocResources> = "AllocatedResources",
        metrics: Option<Metrics> = "Metrics",
        desired: String = "DesiredStatus",
        desired_description: String = "DesiredDescription",
        client: String = "ClientStatus",
        client_description: String = "ClientDescription",
        states: BTreeMap<String, TaskState> = "TaskStates",
        deployment: String = "DeploymentID",
        deployment_status: Option<DeploymentStatus> = "DeploymentStatus",
        followup: String = "FollowupEvalID",
        previous: String = "PreviousAllocation",
        next: String = "NextAllocation",
        reschedule: Option<RescheduleTracker> = "RescheduleTracker",
        create_time: i64 = "CreateTime",
        modify_time: i64 = "ModifyTime",
    }
}

view! {
    /// When an alloc was rescheduled before.
    RescheduleTracker {
        events: Vec<serde_json::Value> = "Events",
    }
}

view! {
    /// What an alloc was given.
    AllocResources {
        shared: SharedResources = "Shared",
        tasks: BTreeMap<String, GivenResources> = "Tasks",
    }
}

view! {
    /// What the tasks of an alloc share.
    SharedResources {
        disk: i64 = "DiskMB",
        networks: Vec<Network> = "Networks",
        ports: Vec<GivenPort> = "Ports",
    }
}

view! {
    /// What a task was given.
    GivenResources {
        cpu: GivenCpu = "Cpu",
        memory: GivenMemory = "Memory",
        networks: Vec<Network> = "Networks",
    }
}

view! {
    /// The share of the processors.
    GivenCpu {
        shares: i64 = "CpuShares",
    }
}

view! {
    /// The share of the memory.
    GivenMemory {
        memory: i64 = "MemoryMB",
        max: i64 = "MemoryMaxMB",
    }
}

view! {
    /// A network of an alloc, a task or a node.
    Network {
        mode: String = "Mode",
        ip: String = "IP",
        dynamic: Vec<Port> = "DynamicPorts",
        reserved: Vec<Port> = "ReservedPorts",
    }
}

view! {
    /// A port of a network.
    Port {
        label: String = "Label",
        value: i64 = "Value",
        to: i64 = "To",
    }
}

view! {
    /// A port that an alloc was given.
    GivenPort {
        label: String = "Label",
        value: i64 = "Value",
        to: i64 = "To",
        host: String = "HostIP",
    }
}

view! {
    /// The health of an alloc within its deployment.
    DeploymentStatus {
        healthy: Option<bool> = "Healthy",
        canary: bool = "Canary",
    }
}

view! {
    /// What a task does.
    TaskState {
        state: String = "State",
        failed: bool = "Failed",
        restarts: u64 = "Restarts",
        last_restart: Option<String> = "LastRestart",
        started: Option<String> = "StartedAt",
        finished: Option<String> = "FinishedAt",
        events: Vec<TaskEvent> = "Events",
    }
}

view! {
    /// What happened to a task.
    TaskEvent {
        kind: String = "Type",
        time: i64 = "Time",
        display: String = "DisplayMessage",
        message: String = "Message",
        fails_task: bool = "FailsTask",
        exit_code: i64 = "ExitCode",
        signal: i64 = "Signal",
    }
}

impl TaskEvent {
    /// It tells of a failure, by itself or by how the task ended.
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
    pub fn text(&self) -> &str {
        if self.display.is_empty() {
            &self.message
        } else {
            &self.display
        }
    }
}

view! {
    /// What the tasks of an alloc use.
    AllocUsage {
        usage: Option<Usage> = "ResourceUsage",
        tasks: BTreeMap<String, TaskUsage> = "Tasks",
    }
}

view! {
    /// What a task uses.
    TaskUsage {
        usage: Option<Usage> = "ResourceUsage",
    }
}

view! {
    /// Memory and processor use.
    Usage {
        cpu: Option<CpuUsage> = "CpuStats",
        memory: Option<MemoryUsage> = "MemoryStats",
    }
}

view! {
    /// Processor use.
    CpuUsage {
        measured: Vec<String> = "Measured",
        percent: f64 = "Percent",
        system: f64 = "SystemMode",
        user: f64 = "UserMode",
        throttled_periods: u64 = "ThrottledPeriods",
        throttled_time: u64 = "ThrottledTime",
        ticks: f64 = "TotalTicks",
    }
}

view! {
    /// Memory use in bytes.
    MemoryUsage {
        measured: Vec<String> = "Measured",
        rss: u64 = "RSS",
        cache: u64 = "Cache",
        swap: u64 = "Swap",
        usage: u64 = "Usage",
        max: u64 = "MaxUsage",
        kernel: u64 = "KernelUsage",
        kernel_max: u64 = "KernelMaxUsage",
    }
}

view! {
    /// A file or folder of an alloc.
    FileInfo {
        name: String = "Name",
        dir: bool = "IsDir",
        size: i64 = "Size",
        mode: String = "FileMode",
        modified: Option<String> = "ModTime",
        content: String = "ContentType",
    }
}
