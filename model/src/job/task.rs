//! Tasks and what belongs to one.

use std::collections::BTreeMap;

use super::{Affinity, Constraint, Resources, RestartPolicy, ScalingPolicy, Service, spec};
use crate::duration::Nanos;

spec! {
    /// One program.
    Task {
        /// Its name within the group.
        name: String => InPlace,
        /// What runs it, as `docker` or `raw_exec`.
        driver: String => Replace,
        /// Whom it runs as.
        user: String => Replace,
        /// When it runs relative to the main tasks.
        lifecycle: Option<Lifecycle> => InPlace,
        /// What the driver is told.
        config: serde_json::Map<String, serde_json::Value> => Replace,
        /// What a node must fulfil.
        constraints: Vec<Constraint> => InPlace,
        /// What a node should fulfil.
        affinities: Vec<Affinity> => Together,
        /// Its environment.
        env: BTreeMap<String, String> => Replace,
        /// Its services.
        services: Vec<Service> => InPlace,
        /// What it may use.
        resources: Option<Resources> => Within,
        /// When it is started again; the group's by default.
        restart_policy: Option<RestartPolicy> => Within,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => Together,
        /// Time between the stop signal and the kill, 5 s by default.
        kill_timeout: Option<Nanos> => InPlace,
        /// Log files.
        log_config: Option<LogConfig> => Within,
        /// Files to fetch.
        artifacts: Vec<TaskArtifact> => Replace,
        /// Access to Vault.
        vault: Option<Vault> => Replace,
        /// Files to render.
        templates: Vec<Template> => Replace,
        /// Where the dispatch payload goes.
        dispatch_payload: Option<DispatchPayload> => InPlace,
        /// Volumes to mount.
        volume_mounts: Vec<VolumeMount> => Replace,
        /// When it ends, the others are stopped.
        leader: bool => InPlace,
        /// Time between deregistering services and stopping.
        shutdown_delay: Nanos => InPlace,
        /// The stop signal; the driver's own when empty.
        kill_signal: String => InPlace,
        /// Set for tasks that rove adds itself.
        kind: String => InPlace,
        /// Limits for vertical autoscaling.
        scaling_policies: Vec<ScalingPolicy> => InPlace,
        /// Access to the API as this workload.
        identity: Option<WorkloadIdentity> => Replace,
        /// It is a CSI plugin.
        #[serde(rename = "CSIPluginConfig", skip_serializing_if = "Option::is_none")]
        csi_plugin_config: Option<CsiPluginConfig> => Replace,
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
        hook: String => InPlace,
        /// It runs as long as the main tasks.
        sidecar: bool => InPlace,
    }
}

spec! {
    /// Log files of a task.
    LogConfig {
        /// Files kept.
        max_files: Option<i64> => InPlace,
        /// Size of one, in MiB.
        #[serde(rename = "MaxFileSizeMB")]
        max_file_size_mb: Option<i64> => InPlace,
        /// The opposite of `disabled`, of before 1.6.
        #[serde(skip_serializing_if = "Option::is_none")]
        enabled: Option<bool> => InPlace,
        /// No logs are collected.
        disabled: Option<bool> => ReplaceValue,
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
        getter_source: String => Replace,
        /// Options, as `checksum`.
        getter_options: BTreeMap<String, String> => Replace,
        /// HTTP headers.
        getter_headers: BTreeMap<String, String> => Replace,
        /// `any`, `file` or `dir`.
        getter_mode: Option<String> => Replace,
        /// Where to, relative to the task's directory; `local/` by default.
        relative_dest: Option<String> => Replace,
    }
}

spec! {
    /// Access to Vault.
    Vault {
        /// Policies of the token.
        policies: Vec<String> => Replace,
        /// Vault's namespace.
        namespace: Option<String> => Replace,
        /// Put the token into the environment.
        env: Option<bool> => Replace,
        /// Don't write the token to a file.
        disable_file: Option<bool> => Replace,
        /// What a new token does to the task.
        change_mode: Option<String> => Replace,
        /// The signal for `change_mode = "signal"`.
        change_signal: Option<String> => Replace,
    }
}

spec! {
    /// A file to render.
    Template {
        /// A file to render from.
        source_path: Option<String> => Replace,
        /// Where to.
        dest_path: Option<String> => Replace,
        /// The text to render.
        embedded_tmpl: Option<String> => Replace,
        /// What a change does to the task.
        change_mode: Option<String> => Replace,
        /// The script for `change_mode = "script"`.
        change_script: Option<ChangeScript> => Replace,
        /// The signal for `change_mode = "signal"`.
        change_signal: Option<String> => Replace,
        /// Random time before the change is told.
        splay: Option<Nanos> => Replace,
        /// The file's permissions.
        perms: Option<String> => Replace,
        /// Its owner.
        uid: Option<i64> => Replace,
        /// Its group.
        gid: Option<i64> => Replace,
        /// Left delimiter.
        left_delim: Option<String> => Replace,
        /// Right delimiter.
        right_delim: Option<String> => Replace,
        /// Read the file into the environment.
        envvars: Option<bool> => Replace,
        /// Without effect.
        vault_grace: Option<Nanos> => Replace,
        /// How long to collect changes.
        wait: Option<WaitConfig> => Replace,
        /// A missing key is an error.
        err_missing_key: Option<bool> => Replace,
    }
}

spec! {
    /// A script to run when a template changed.
    ChangeScript {
        /// The program.
        command: Option<String> => Replace,
        /// Its arguments.
        args: Vec<String> => Replace,
        /// How long it may take.
        timeout: Option<Nanos> => Replace,
        /// Its failure ends the task.
        fail_on_error: Option<bool> => Replace,
    }
}

spec! {
    /// How long changes of a template are collected.
    WaitConfig {
        /// At least.
        min: Option<Nanos> => Replace,
        /// At most.
        max: Option<Nanos> => Replace,
    }
}

spec! {
    /// Where the dispatch payload goes.
    DispatchPayload {
        /// File under the task's local directory.
        file: String => InPlace,
    }
}

spec! {
    /// Access to the API as this workload.
    WorkloadIdentity {
        /// Put the token into the environment.
        env: bool => Replace,
        /// Write the token to a file.
        file: bool => Replace,
    }
}

spec! {
    /// A CSI plugin.
    CsiPluginConfig {
        /// Its id.
        #[serde(rename = "ID")]
        id: String => Replace,
        /// `node`, `controller` or `monolith`.
        #[serde(rename = "Type")]
        type_name: String => Replace,
        /// Where its socket is, inside.
        mount_dir: String => Replace,
        /// Where volumes are staged, inside.
        stage_publish_base_dir: String => Replace,
        /// By when it must be healthy.
        health_timeout: Nanos => Replace,
    }
}

spec! {
    /// A volume the group asks for.
    VolumeRequest {
        /// Its name within the group.
        name: String => Replace,
        /// `host` or `csi`.
        #[serde(rename = "Type")]
        type_name: String => Replace,
        /// The volume.
        source: String => Replace,
        /// For reading only.
        read_only: bool => Replace,
        /// CSI access mode.
        access_mode: String => Replace,
        /// CSI attachment mode.
        attachment_mode: String => Replace,
        /// How it is mounted.
        mount_options: Option<MountOptions> => Replace,
        /// Each alloc has its own, `source[index]`.
        per_alloc: bool => Replace,
    }
}

spec! {
    /// How a volume is mounted.
    MountOptions {
        /// File system.
        #[serde(rename = "FSType")]
        fs_type: String => Replace,
        /// Flags.
        mount_flags: Vec<String> => Replace,
    }
}

spec! {
    /// A volume of the group inside a task.
    VolumeMount {
        /// The volume's name in the group.
        volume: Option<String> => Replace,
        /// Where, inside.
        destination: Option<String> => Replace,
        /// For reading only.
        read_only: Option<bool> => Replace,
        /// `private`, `host-to-task` or `bidirectional`.
        propagation_mode: Option<String> => Replace,
    }
}
