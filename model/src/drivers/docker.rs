//! The `config` block of a docker task.

use super::{
    ConfigSchema, Holds,
    schema::{Entry, Key},
};

/// Sizes and limits are signed in the engine's API.
const SIGNED: u64 = i64::MAX as u64;

/// The `config` block of a docker task.
pub static DOCKER: ConfigSchema = ConfigSchema {
    driver: "docker",
    keys: &[
        Key::required("image", Holds::Text),
        Key::new("command", Holds::Text),
        Key::new("args", Holds::Texts),
        Key::new("entrypoint", Holds::TextOrTexts),
        Key::new("ports", Holds::PortLabels),
        Key::new("port_map", Holds::Map(Entry::Port)),
        Key::new("network_mode", Holds::Text),
        Key::new("network_aliases", Holds::Texts),
        Key::new("hostname", Holds::Text),
        Key::new("labels", Holds::Map(Entry::Text)),
        Key::new("work_dir", Holds::Text),
        Key::new("force_pull", Holds::Bool),
        Key::new("image_pull_timeout", Holds::Duration { positive: true }),
        Key::new(
            "auth",
            Holds::MapOf(&["username", "password", "email", "server_address"]),
        ),
        Key::new("privileged", Holds::Bool),
        Key::new("volumes", Holds::Texts),
        Key::new("cap_add", Holds::Texts),
        Key::new("cap_drop", Holds::Texts),
        Key::new("security_opt", Holds::Texts),
        Key::new("dns_servers", Holds::Texts),
        Key::new("dns_search_domains", Holds::Texts),
        Key::new("dns_options", Holds::Texts),
        Key::new("extra_hosts", Holds::Texts),
        Key::new("group_add", Holds::Texts),
        Key::new("tty", Holds::Bool),
        Key::new("interactive", Holds::Bool),
        Key::new("init", Holds::Bool),
        Key::new("readonly_rootfs", Holds::Bool),
        Key::new("shm_size", Holds::Number(SIGNED)),
        Key::new("sysctl", Holds::Map(Entry::Text)),
        Key::new(
            "ulimit",
            Holds::Map(Entry::Checked(
                |text| ulimit(text).is_some(),
                "a limit such as \"1024:2048\"",
            )),
        ),
        Key::new("pids_limit", Holds::Signed),
        Key::new("cpu_hard_limit", Holds::Bool),
        Key::new("memory_hard_limit", Holds::Number(u64::MAX)),
        Key::new("pid_mode", Holds::Text),
        Key::new("ipc_mode", Holds::Text),
        Key::new("uts_mode", Holds::Text),
        Key::new("userns_mode", Holds::Text),
    ],
    unsupported: &[
        "advertise_ipv6_address",
        "auth_soft_fail",
        "cgroupns",
        "container_exists_attempts",
        "cpu_cfs_period",
        "cpuset_cpus",
        "devices",
        "healthchecks",
        "image_pull_retries",
        "ipv4_address",
        "ipv6_address",
        "isolation",
        "load",
        "logging",
        "mac_address",
        "mount",
        "mounts",
        "oom_score_adj",
        "runtime",
        "storage_opt",
        "volume_driver",
        "windows_allow_insecure_container_admin",
    ],
    exclusive: &[("ports", "port_map")],
};

/// A limit as `1024:2048`: the soft one and the hard one, which is the soft one when absent.
#[must_use]
pub fn ulimit(text: &str) -> Option<(i64, i64)> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    Some((soft.parse().ok()?, hard.parse().ok()?))
}
