//! Tasks and what belongs to one.

use std::collections::BTreeMap;

use super::{Affinity, Constraint, Resources, RestartPolicy, ScalingPolicy, Service, spec};
use crate::duration::Nanos;

spec! {
    /// One program.
    Task {
        /// Its name within the group.
        name: String,
        /// What runs it, as `docker` or `raw_exec`.
        driver: String,
        /// Whom it runs as.
        user: String,
        /// When it runs relative to the main tasks.
        lifecycle: Option<Lifecycle>,
        /// What the driver is told.
        config: serde_json::Map<String, serde_json::Value>,
        /// What a node must fulfil.
        constraints: Vec<Constraint>,
        /// What a node should fulfil.
        affinities: Vec<Affinity>,
        /// Its environment.
        env: BTreeMap<String, String>,
        /// Its services.
        services: Vec<Service>,
        /// What it may use.
        resources: Option<Resources>,
        /// When it is started again; the group's by default.
        restart_policy: Option<RestartPolicy>,
        /// Free key-value pairs.
        meta: BTreeMap<String, String>,
        /// Time between the stop signal and the kill, 5 s by default.
        kill_timeout: Option<Nanos>,
        /// Log files.
        log_config: Option<LogConfig>,
        /// Files to fetch.
        artifacts: Vec<TaskArtifact>,
        /// Access to Vault.
        vault: Option<Vault>,
        /// Files to render.
        templates: Vec<Template>,
        /// Where the dispatch payload goes.
        dispatch_payload: Option<DispatchPayload>,
        /// Volumes to mount.
        volume_mounts: Vec<VolumeMount>,
        /// When it ends, the others are stopped.
        leader: bool,
        /// Time between deregistering services and stopping.
        shutdown_delay: Nanos,
        /// The stop signal; the driver's own when empty.
        kill_signal: String,
        /// Set for tasks that rove adds itself.
        kind: String,
        /// Limits for vertical autoscaling.
        scaling_policies: Vec<ScalingPolicy>,
        /// Access to the API as this workload.
        identity: Option<WorkloadIdentity>,
        /// It is a CSI plugin.
        #[serde(rename = "CSIPluginConfig", skip_serializing_if = "Option::is_none")]
        csi_plugin_config: Option<CsiPluginConfig>,
    }
}

impl Task {
    /// Time between the stop signal and the kill when none is given.
    pub const DEFAULT_KILL_TIMEOUT: Nanos = Nanos::secs(5);

    /// Time between the stop signal and the kill.
    #[must_use]
    pub fn kill_timeout(&self) -> Nanos {
        self.kill_timeout.unwrap_or(Self::DEFAULT_KILL_TIMEOUT)
    }

    /// CPU in MHz.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        self.resources
            .as_ref()
            .map_or_else(|| Resources::default().cpu(), Resources::cpu)
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mb(&self) -> u64 {
        self.resources
            .as_ref()
            .map_or_else(|| Resources::default().memory_mb(), Resources::memory_mb)
    }

    /// The most memory in MiB; 0 means [`Task::memory_mb`].
    #[must_use]
    pub fn memory_max_mb(&self) -> u64 {
        self.resources.as_ref().map_or(0, Resources::memory_max_mb)
    }
}

spec! {
    /// When a task runs relative to the main tasks.
    Lifecycle {
        /// `prestart`, `poststart` or `poststop`.
        hook: String,
        /// It runs as long as the main tasks.
        sidecar: bool,
    }
}

spec! {
    /// Log files of a task.
    LogConfig {
        /// Files kept.
        max_files: Option<i64>,
        /// Size of one, in MiB.
        #[serde(rename = "MaxFileSizeMB")]
        max_file_size_mb: Option<i64>,
        /// The opposite of `disabled`, of before 1.6.
        #[serde(skip_serializing_if = "Option::is_none")]
        enabled: Option<bool>,
        /// No logs are collected.
        disabled: Option<bool>,
    }
}

impl LogConfig {
    /// Files kept when nothing is said.
    pub const DEFAULT_MAX_FILES: i64 = 10;
    /// Size of one in MiB when nothing is said.
    pub const DEFAULT_MAX_FILE_SIZE_MB: i64 = 10;

    /// Files kept.
    #[must_use]
    pub fn max_files(&self) -> u64 {
        u64::try_from(self.max_files.unwrap_or(Self::DEFAULT_MAX_FILES)).unwrap_or(0)
    }

    /// Size of one, in MiB.
    #[must_use]
    pub fn max_file_size_mb(&self) -> u64 {
        u64::try_from(
            self.max_file_size_mb
                .unwrap_or(Self::DEFAULT_MAX_FILE_SIZE_MB),
        )
        .unwrap_or(0)
    }

    /// No logs are collected.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled.unwrap_or(false)
    }
}

spec! {
    /// A file or archive to fetch.
    TaskArtifact {
        /// Where from.
        getter_source: String,
        /// Options, as `checksum`.
        getter_options: BTreeMap<String, String>,
        /// HTTP headers.
        getter_headers: BTreeMap<String, String>,
        /// `any`, `file` or `dir`.
        getter_mode: Option<String>,
        /// Where to, relative to the task's directory; `local/` by default.
        relative_dest: Option<String>,
    }
}

spec! {
    /// Access to Vault.
    Vault {
        /// Policies of the token.
        policies: Vec<String>,
        /// Vault's namespace.
        namespace: Option<String>,
        /// Put the token into the environment.
        env: Option<bool>,
        /// Don't write the token to a file.
        disable_file: Option<bool>,
        /// What a new token does to the task.
        change_mode: Option<String>,
        /// The signal for `change_mode = "signal"`.
        change_signal: Option<String>,
    }
}

spec! {
    /// A file to render.
    Template {
        /// A file to render from.
        source_path: Option<String>,
        /// Where to.
        dest_path: Option<String>,
        /// The text to render.
        embedded_tmpl: Option<String>,
        /// What a change does to the task.
        change_mode: Option<String>,
        /// The script for `change_mode = "script"`.
        change_script: Option<ChangeScript>,
        /// The signal for `change_mode = "signal"`.
        change_signal: Option<String>,
        /// Random time before the change is told.
        splay: Option<Nanos>,
        /// The file's permissions.
        perms: Option<String>,
        /// Its owner.
        uid: Option<i64>,
        /// Its group.
        gid: Option<i64>,
        /// Left delimiter.
        left_delim: Option<String>,
        /// Right delimiter.
        right_delim: Option<String>,
        /// Read the file into the environment.
        envvars: Option<bool>,
        /// Without effect.
        vault_grace: Option<Nanos>,
        /// How long to collect changes.
        wait: Option<WaitConfig>,
        /// A missing key is an error.
        err_missing_key: Option<bool>,
    }
}

spec! {
    /// A script to run when a template changed.
    ChangeScript {
        /// The program.
        command: Option<String>,
        /// Its arguments.
        args: Vec<String>,
        /// How long it may take.
        timeout: Option<Nanos>,
        /// Its failure ends the task.
        fail_on_error: Option<bool>,
    }
}

spec! {
    /// How long changes of a template are collected.
    WaitConfig {
        /// At least.
        min: Option<Nanos>,
        /// At most.
        max: Option<Nanos>,
    }
}

spec! {
    /// Where the dispatch payload goes.
    DispatchPayload {
        /// File under the task's local directory.
        file: String,
    }
}

spec! {
    /// Access to the API as this workload.
    WorkloadIdentity {
        /// Put the token into the environment.
        env: bool,
        /// Write the token to a file.
        file: bool,
    }
}

spec! {
    /// A CSI plugin.
    CsiPluginConfig {
        /// Its id.
        #[serde(rename = "ID")]
        id: String,
        /// `node`, `controller` or `monolith`.
        #[serde(rename = "Type")]
        type_name: String,
        /// Where its socket is, inside.
        mount_dir: String,
        /// Where volumes are staged, inside.
        stage_publish_base_dir: String,
        /// By when it must be healthy.
        health_timeout: Nanos,
    }
}

spec! {
    /// A volume the group asks for.
    VolumeRequest {
        /// Its name within the group.
        name: String,
        /// `host` or `csi`.
        #[serde(rename = "Type")]
        type_name: String,
        /// The volume.
        source: String,
        /// For reading only.
        read_only: bool,
        /// CSI access mode.
        access_mode: String,
        /// CSI attachment mode.
        attachment_mode: String,
        /// How it is mounted.
        mount_options: Option<MountOptions>,
        /// Each alloc has its own, `source[index]`.
        per_alloc: bool,
    }
}

spec! {
    /// How a volume is mounted.
    MountOptions {
        /// File system.
        #[serde(rename = "FSType")]
        fs_type: String,
        /// Flags.
        mount_flags: Vec<String>,
    }
}

spec! {
    /// A volume of the group inside a task.
    VolumeMount {
        /// The volume's name in the group.
        volume: Option<String>,
        /// Where, inside.
        destination: Option<String>,
        /// For reading only.
        read_only: Option<bool>,
        /// `private`, `host-to-task` or `bidirectional`.
        propagation_mode: Option<String>,
    }
}
