//! The task: one program.

use super::{
    files::{ARTIFACT, TEMPLATE},
    placement::{AFFINITY, CONSTRAINT},
    policy::RESTART,
    resources::RESOURCES,
    row,
    service::SERVICE,
    shapes::{finish_task_scaling, restore_task_scaling},
};
use crate::schema::{Kind, Table};

/// The fields of `task`.
pub(super) static TASK: Table = Table {
    title: "task",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "driver",
            "",
            "Driver",
            Kind::Text,
            "What runs the task, as docker or raw_exec. Needed.",
        ),
        row(
            "user",
            "",
            "User",
            Kind::Text,
            "The user that the task runs as; by default the driver decides.",
        ),
        row(
            "lifecycle",
            "",
            "Lifecycle",
            Kind::Block(&LIFECYCLE),
            "When the task runs relative to the main tasks. Without it, it is a main task.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told; each driver has arguments of its own.",
        ),
        row(
            "constraint",
            "constraints",
            "Constraints",
            Kind::Blocks(&CONSTRAINT),
            "What a node must fulfil to run the task.",
        ),
        row(
            "affinity",
            "affinities",
            "Affinities",
            Kind::Blocks(&AFFINITY),
            "What a node should fulfil to be preferred.",
        ),
        row(
            "env",
            "",
            "Env",
            Kind::TextMap,
            "Environment variables of the task.",
        ),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&SERVICE),
            "A service that is announced while the task runs.",
        ),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What the task may use, and what is reserved for it.",
        ),
        row(
            "restart",
            "",
            "RestartPolicy",
            Kind::Block(&RESTART),
            "When the task is started again; what is left out is as in the group.",
        )
        .default("the group's"),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs of your own, over those of the group.",
        ),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "How long the task has between its stop signal and the kill.",
        )
        .default("5s"),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "How much of the task's output is kept.",
        ),
        row(
            "artifact",
            "artifacts",
            "Artifacts",
            Kind::Blocks(&ARTIFACT),
            "A file or archive that is fetched before the task starts.",
        ),
        row(
            "vault",
            "",
            "Vault",
            Kind::Block(&VAULT),
            "Access to Vault.",
        ),
        row(
            "template",
            "templates",
            "Templates",
            Kind::Blocks(&TEMPLATE),
            "A file that is rendered before the task starts.",
        ),
        row(
            "dispatch_payload",
            "",
            "DispatchPayload",
            Kind::Block(&DISPATCH_PAYLOAD),
            "Where the payload of a dispatched job goes.",
        ),
        row(
            "volume_mount",
            "volume_mounts",
            "VolumeMounts",
            Kind::Blocks(&VOLUME_MOUNT),
            "A volume of the group inside the task.",
        ),
        row(
            "leader",
            "",
            "Leader",
            Kind::Bool,
            "When this task ends, the others of its group are stopped.",
        )
        .default("false"),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "How long to wait after services are deregistered before the task is stopped.",
        )
        .default("0s"),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The signal that asks the task to stop.",
        )
        .default("the driver's"),
        row(
            "kind",
            "",
            "Kind",
            Kind::Text,
            "Set for tasks that are added automatically, as connect-proxy:<service>.",
        ),
        row(
            "scaling",
            "scalings",
            "ScalingPolicies",
            Kind::Blocks(&TASK_SCALING),
            "Limits and rules for vertical autoscaling.",
        ),
        row(
            "identity",
            "",
            "Identity",
            Kind::Block(&IDENTITY),
            "Access to the API as this workload.",
        ),
        row(
            "csi_plugin",
            "",
            "CSIPluginConfig",
            Kind::Block(&CSI_PLUGIN),
            "The task is a CSI plugin.",
        ),
    ],
    finish: None,
};

/// The fields of `lifecycle`.
pub(super) static LIFECYCLE: Table = Table {
    title: "lifecycle",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "hook",
            "",
            "Hook",
            Kind::Text,
            "When the task starts: before the main tasks, after they have started, or after they have ended.").values(&["prestart", "poststart", "poststop"]),
        row(
            "sidecar",
            "",
            "Sidecar",
            Kind::Bool,
            "The task runs as long as the main tasks, and is started again if it ends.").default("false"),
    ],
    finish: None,
};

/// The fields of `logs`.
pub(super) static LOGS: Table = Table {
    title: "logs",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "max_files",
            "",
            "MaxFiles",
            Kind::Integer,
            "How many log files are kept, for each of stdout and stderr.",
        )
        .default("10"),
        row(
            "max_file_size",
            "",
            "MaxFileSizeMB",
            Kind::Integer,
            "How large a file grows before the next is begun.",
        )
        .default("10")
        .unit("MiB"),
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "The opposite of disabled, of before 1.6.",
        )
        .default("true"),
        row("disabled", "", "Disabled", Kind::Bool, "Collect no output.").default("false"),
    ],
    finish: None,
};

/// The fields of `dispatch_payload`.
pub(super) static DISPATCH_PAYLOAD: Table = Table {
    title: "dispatch_payload",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "file",
        "",
        "File",
        Kind::Text,
        "The file that gets the payload, below the task's local directory.",
    )],
    finish: None,
};

/// The fields of `identity`.
pub(super) static IDENTITY: Table = Table {
    title: "identity",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "env",
            "",
            "Env",
            Kind::Bool,
            "Put the token into the environment, as NOMAD_TOKEN.",
        )
        .default("false"),
        row(
            "file",
            "",
            "File",
            Kind::Bool,
            "Write the token to secrets/nomad_token.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `csi_plugin`.
pub(super) static CSI_PLUGIN: Table = Table {
    title: "csi_plugin",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("id", "", "ID", Kind::Text, "The id of the plugin. Needed."),
        row(
            "type",
            "",
            "Type",
            Kind::Text,
            "Which half of a CSI plugin the task is, or both.",
        )
        .values(&["node", "controller", "monolith"]),
        row(
            "mount_dir",
            "",
            "MountDir",
            Kind::Text,
            "Where the plugin's socket is, inside the task.",
        )
        .default("/csi"),
        row(
            "stage_publish_base_dir",
            "",
            "StagePublishBaseDir",
            Kind::Text,
            "Where volumes are staged and published, inside the task.",
        )
        .default("/local/csi"),
        row(
            "health_timeout",
            "",
            "HealthTimeout",
            Kind::Duration,
            "By when the plugin must be healthy.",
        )
        .default("30s"),
    ],
    finish: None,
};

/// The fields of `volume_mount`.
pub(super) static VOLUME_MOUNT: Table = Table {
    title: "volume_mount",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "volume",
            "",
            "Volume",
            Kind::Text,
            "The name of the volume in the group.",
        ),
        row(
            "destination",
            "",
            "Destination",
            Kind::Text,
            "Where it is, inside the task.",
        ),
        row(
            "read_only",
            "",
            "ReadOnly",
            Kind::Bool,
            "Mount for reading only.",
        )
        .default("false"),
        row(
            "propagation_mode",
            "",
            "PropagationMode",
            Kind::Text,
            "Whether mounts below it are seen on the other side.",
        )
        .default("private")
        .values(&["private", "host-to-task", "bidirectional"]),
    ],
    finish: None,
};

/// The fields of `scaling`.
pub(super) static TASK_SCALING: Table = Table {
    title: "scaling",
    label: Some("Type"),
    label_optional: false,
    restore: Some(restore_task_scaling),
    fields: &[
        row(
            "min",
            "",
            "Min",
            Kind::Integer,
            "The least of the resource.",
        )
        .default("0"),
        row("max", "", "Max", Kind::Integer, "The most of the resource."),
        row(
            "policy",
            "",
            "Policy",
            Kind::Free,
            "Rules that an autoscaler reads.",
        ),
        row(
            "enabled",
            "",
            "Enabled",
            Kind::Bool,
            "The autoscaler looks at it.",
        )
        .default("true"),
    ],
    finish: Some(finish_task_scaling),
};

/// The fields of `vault`.
pub(super) static VAULT: Table = Table {
    title: "vault",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "policies",
            "",
            "Policies",
            Kind::Texts,
            "Policies of the task's token.",
        ),
        row(
            "namespace",
            "",
            "Namespace",
            Kind::Text,
            "The namespace in Vault.",
        ),
        row(
            "env",
            "",
            "Env",
            Kind::Bool,
            "Put the token into the environment, as VAULT_TOKEN.",
        )
        .default("true"),
        row(
            "disable_file",
            "",
            "DisableFile",
            Kind::Bool,
            "Do not write the token to secrets/vault_token.",
        )
        .default("false"),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What happens to the task when the token is a new one.",
        )
        .default("restart")
        .values(&["noop", "signal", "restart"]),
        row(
            "change_signal",
            "",
            "ChangeSignal",
            Kind::Text,
            "The signal for change_mode = \"signal\".",
        )
        .default("SIGHUP"),
    ],
    finish: None,
};
