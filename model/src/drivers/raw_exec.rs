//! The `config` block of a raw_exec task.

use super::{ConfigSchema, Holds, schema::Key};

/// The `config` block of a raw_exec task.
pub static RAW_EXEC: ConfigSchema = ConfigSchema {
    driver: "raw_exec",
    keys: &[
        Key::required("command", Holds::Text),
        Key::new("args", Holds::Texts),
    ],
    unsupported: &[
        "cgroup_v1_override",
        "cgroup_v2_override",
        "denied_envvars",
        "oom_score_adj",
        "work_dir",
    ],
    exclusive: &[],
};
