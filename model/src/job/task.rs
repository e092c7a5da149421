//! Tasks and what belongs to one.

use std::collections::BTreeMap;

use super::{
    Affinity, Constraint, Declared as _, Resources, RestartPolicy, ScalingPolicy, Service, spec,
};
use crate::duration::Nanos;

spec! {
    /// One program.
    Task "task" {
        /// Its name within the group.
        name: String [label] => InPlace,
        /// What runs the task, as docker or raw_exec. Needed.
        driver: String => Replace,
        /// The user that the task runs as; by default the driver decides.
        user: String => Replace,
        /// When the task runs relative to the main tasks. Without it, it is a main task.
        lifecycle: Option<Lifecycle> => InPlace,
        /// What the driver is told; each driver has arguments of its own.
        config: serde_json::Map<String, serde_json::Value> => Replace,
        /// What a node must fulfil to run the task.
        constraints: Vec<Constraint> [each = "constraint"] => InPlace,
        /// What a node should fulfil to be preferred.
        affinities: Vec<Affinity> [each = "affinity"] => Together,
        /// Environment variables of the task.
        env: BTreeMap<String, String> => Replace,
        /// A service that is announced while the task runs.
        services: Vec<Service> [each = "service"] => InPlace,
        /// What the task may use, and what is reserved for it.
        resources: Option<Resources> => Within,
        /// When the task is started again; what is left out is as in the group.
        restart_policy: Option<RestartPolicy> [hcl = "restart", default = "the group's"] => Within,
        /// Key-value pairs of your own, over those of the group.
        meta: BTreeMap<String, String> => Together,
        /// How long the task has between its stop signal and the kill.
        kill_timeout: Option<Nanos> = "5s" => InPlace,
        /// How much of the task's output is kept.
        log_config: Option<LogConfig> [hcl = "logs"] => Within,
        /// A file or archive that is fetched before the task starts.
        artifacts: Vec<TaskArtifact> [each = "artifact"] => Replace,
        /// Access to Vault.
        vault: Option<Vault> => Replace,
        /// A file that is rendered before the task starts.
        templates: Vec<Template> [each = "template"] => Replace,
        /// Where the payload of a dispatched job goes.
        dispatch_payload: Option<DispatchPayload> => InPlace,
        /// A volume of the group inside the task.
        volume_mounts: Vec<VolumeMount> [each = "volume_mount"] => Replace,
        /// When this task ends, the others of its group are stopped.
        leader: bool = false => InPlace,
        /// How long to wait after services are deregistered before the task is stopped.
        shutdown_delay: Nanos = "0s" => InPlace,
        /// The signal that asks the task to stop.
        kill_signal: String [default = "the driver's"] => InPlace,
        /// Set for tasks that are added automatically, as connect-proxy:<service>.
        kind: String => InPlace,
        /// Limits and rules for vertical autoscaling.
        scaling_policies: Vec<ScalingPolicy> [hcl = "scaling", plural = "scalings"] => InPlace by_hand,
        /// Access to the API as this workload.
        identity: Option<WorkloadIdentity> => Replace,
        /// The task is a CSI plugin.
        #[serde(skip_serializing_if = "Option::is_none")]
        csi_plugin_config as "CSIPluginConfig": Option<CsiPluginConfig> [hcl = "csi_plugin"] => Replace,
    }
}

impl Task {
    /// Time between the stop signal and the kill when none is given.
    pub const DEFAULT_KILL_TIMEOUT: Nanos = Self::BLOCK.seconds("KillTimeout");

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
    Lifecycle "lifecycle" {
        /// When the task starts: before the main tasks, after they have started, or after they have ended.
        hook: String [values = &["prestart", "poststart", "poststop"]] => InPlace,
        /// The task runs as long as the main tasks, and is started again if it ends.
        sidecar: bool = false => InPlace,
    }
}

spec! {
    /// Log files of a task.
    LogConfig "logs" {
        /// How many log files are kept, for each of stdout and stderr.
        max_files: Option<i64> = 10 => InPlace,
        /// How large a file grows before the next is begun.
        max_file_size_mb as "MaxFileSizeMB": Option<i64> [hcl = "max_file_size", unit = "MiB"] = 10 => InPlace,
        /// The opposite of disabled, as files from before 1.6 have it.
        #[serde(skip_serializing_if = "Option::is_none")]
        enabled: Option<bool> [default = "true"] => InPlace,
        /// Collect no output.
        disabled: Option<bool> = false => ReplaceValue,
    }
}

impl LogConfig {
    /// Files kept when nothing is said.
    pub const DEFAULT_MAX_FILES: i64 = Self::BLOCK.integer("MaxFiles");
    /// Size of one in MiB when nothing is said.
    pub const DEFAULT_MAX_FILE_SIZE_MB: i64 = Self::BLOCK.integer("MaxFileSizeMB");

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
    TaskArtifact "artifact" {
        /// Where to fetch from: a URL, also with git::, s3:: and their like. Needed.
        getter_source: String [hcl = "source"] => Replace,
        /// Options of the fetch, as checksum = "sha256:…".
        getter_options: BTreeMap<String, String> [hcl = "options"] => Replace,
        /// HTTP headers of the request.
        getter_headers: BTreeMap<String, String> [hcl = "headers"] => Replace,
        /// What is fetched: file keeps it as one file, dir expands archives, any decides by what it is.
        getter_mode: Option<String> [hcl = "mode", values = &["any", "file", "dir"]] = "any" => Replace,
        /// Where it goes, relative to the task's directory.
        relative_dest: Option<String> [hcl = "destination", default = "local/"] => Replace,
    }
}

spec! {
    /// Access to Vault.
    Vault "vault" {
        /// Policies of the task's token.
        policies: Vec<String> => Replace,
        /// The namespace in Vault.
        namespace: Option<String> = "" => Replace,
        /// Put the token into the environment, as VAULT_TOKEN.
        env: Option<bool> = true at Parsing => Replace,
        /// Do not write the token to secrets/vault_token.
        disable_file: Option<bool> = false => Replace,
        /// What happens to the task when the token is a new one.
        change_mode: Option<String> [values = &["noop", "signal", "restart"]] = "restart" at Parsing => Replace,
        /// The signal for change_mode = "signal".
        change_signal: Option<String> = "SIGHUP" => Replace,
    }
}

spec! {
    /// A file to render.
    Template "template" {
        /// The file to render from; instead of data.
        source_path: Option<String> [hcl = "source"] = "" => Replace,
        /// Where the file goes, relative to the task's directory. Needed.
        dest_path: Option<String> [hcl = "destination"] = "" => Replace,
        /// The text to render; instead of source.
        embedded_tmpl: Option<String> [hcl = "data"] = "" => Replace,
        /// What happens to the task when the rendered text changes.
        change_mode: Option<String> [values = &["noop", "signal", "script", "restart"]] = "restart" at Parsing => Replace,
        /// The script for change_mode = "script".
        change_script: Option<ChangeScript> => Replace,
        /// The signal for change_mode = "signal".
        change_signal: Option<String> [default = "SIGHUP"] => Replace,
        /// Up to this much time, at random, passes before the change is acted on.
        splay: Option<Nanos> = "5s" at Parsing => Replace,
        /// The permissions of the file, in octal digits.
        perms: Option<String> = "0644" at Parsing => Replace,
        /// The owner of the file; -1 is whoever the agent runs as.
        uid: Option<i64> [default = "-1"] => Replace,
        /// The group of the file; -1 is that of the agent.
        gid: Option<i64> [default = "-1"] => Replace,
        /// What opens an action in the template.
        left_delim: Option<String> [hcl = "left_delimiter"] = "{{" => Replace,
        /// What closes an action in the template.
        right_delim: Option<String> [hcl = "right_delimiter"] = "}}" => Replace,
        /// Read the rendered lines KEY=value into the task's environment.
        envvars: Option<bool> [hcl = "env"] = false => Replace,
        /// Read and without effect.
        vault_grace: Option<Nanos> = "0s" => Replace,
        /// How long changes are collected before the text is rendered.
        wait: Option<WaitConfig> => Replace,
        /// A key that is missing fails the rendering.
        err_missing_key: Option<bool> [hcl = "error_on_missing_key"] = false at Parsing => Replace,
    }
}

spec! {
    /// A script to run when a template changed.
    ChangeScript "change_script" {
        /// The program, inside the task. Needed.
        command: Option<String> = "" => Replace,
        /// Its arguments.
        args: Vec<String> => Replace,
        /// How long it may take.
        timeout: Option<Nanos> = "5s" at Parsing => Replace,
        /// Its failure ends the task.
        fail_on_error: Option<bool> = false at Parsing => Replace,
    }
}

spec! {
    /// How long changes of a template are collected.
    WaitConfig "wait" {
        /// The least time to wait after a change.
        min: Option<Nanos> => Replace,
        /// The most time to wait while changes go on.
        max: Option<Nanos> => Replace,
    }
}

spec! {
    /// Where the dispatch payload goes.
    DispatchPayload "dispatch_payload" {
        /// The file that gets the payload, below the task's local directory.
        file: String => InPlace,
    }
}

spec! {
    /// Access to the API as this workload.
    WorkloadIdentity "identity" {
        /// Put the token into the environment, as NOMAD_TOKEN.
        env: bool = false => Replace,
        /// Write the token to secrets/nomad_token.
        file: bool = false => Replace,
    }
}

spec! {
    /// A CSI plugin.
    CsiPluginConfig "csi_plugin" {
        /// The id of the plugin. Needed.
        id as "ID": String => Replace,
        /// Which half of a CSI plugin the task is, or both.
        type_name as "Type": String [hcl = "type", values = &["node", "controller", "monolith"]] => Replace,
        /// Where the plugin's socket is, inside the task.
        mount_dir: String = "/csi" => Replace,
        /// Where volumes are staged and published, inside the task.
        stage_publish_base_dir: String = "/local/csi" => Replace,
        /// By when the plugin must be healthy.
        health_timeout: Nanos = "30s" => Replace,
    }
}

spec! {
    /// A volume the group asks for.
    VolumeRequest "volume" {
        /// Its name within the group.
        name: String [label] => Replace,
        /// Which kind of volume.
        type_name as "Type": String [hcl = "type", values = &["host", "csi"]] => Replace,
        /// The name of the host's volume, or the id of the CSI volume.
        source: String => Replace,
        /// Mount for reading only.
        read_only: bool = false => Replace,
        /// Who may use a CSI volume, as single-node-writer or multi-node-reader-only.
        access_mode: String => Replace,
        /// How a CSI volume is attached.
        attachment_mode: String [values = &["file-system", "block-device"]] => Replace,
        /// How a CSI volume is mounted.
        mount_options: Option<MountOptions> => Replace,
        /// Each alloc has a volume of its own: source[0], source[1] …
        per_alloc: bool = false => Replace,
    }
}

spec! {
    /// How a volume is mounted.
    MountOptions "mount_options" {
        /// The file system.
        fs_type as "FSType": String => Replace,
        /// Flags of the mount, as noatime.
        mount_flags: Vec<String> => Replace,
    }
}

spec! {
    /// A volume of the group inside a task.
    VolumeMount "volume_mount" {
        /// The name of the volume in the group.
        volume: Option<String> => Replace,
        /// Where it is, inside the task.
        destination: Option<String> => Replace,
        /// Mount for reading only.
        read_only: Option<bool> = false => Replace,
        /// Whether mounts below it are seen on the other side.
        propagation_mode: Option<String> [values = &["private", "host-to-task", "bidirectional"]] = "private" => Replace,
    }
}
