//! Tasks with directories of their own.

use std::{collections::BTreeMap, path::Path, time::Instant};

use rove_agent::drivers::{LogLimits, TaskConfig, TaskLimits, TaskRef};
use rove_model::ids::AllocId;
use serde_json::Value;

/// A task under `root` with this driver config.
pub fn task(root: &Path, config: Value) -> TaskConfig {
    let alloc_id = AllocId(uuid::Uuid::new_v4());
    let base = root.join(alloc_id.to_string());
    let (state_dir, task_dir, log_dir) = (base.join("state"), base.join("t"), base.join("logs"));
    for dir in [&state_dir, &task_dir, &log_dir] {
        std::fs::create_dir_all(dir).unwrap();
    }
    TaskConfig {
        task: TaskRef {
            alloc_id,
            task: "t".to_owned(),
            state_dir,
        },
        namespace: "default".to_owned(),
        job: "job".to_owned(),
        group: "group".to_owned(),
        node_id: "node".to_owned(),
        config: config.as_object().unwrap().clone(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        user: None,
        limits: TaskLimits {
            cpu_mhz: 100,
            memory_mb: 64,
            memory_max_mb: 0,
        },
        ports: Vec::new(),
        task_dir,
        mounts: Vec::new(),
        log_dir,
        logs: Some(LogLimits::default()),
        kill_signal: None,
    }
}

/// Waits until `found` gives something.
pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + rove_testkit::PATIENCE;
    while Instant::now() < end {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("waited for {what} in vain");
}

/// Memory that no other process has a part in.
pub fn private_kib(pid: i32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum()
}

/// Runs the ignored test `name` of this binary as a process of its own, as an agent that will be killed.
pub fn agent_process(name: &str, root: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("ROVE_TEST_ROOT", root)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Where [`agent_process`] was told to work; None in an ordinary run of all ignored tests.
pub fn agent_root() -> Option<std::path::PathBuf> {
    std::env::var_os("ROVE_TEST_ROOT").map(Into::into)
}

/// Notes which task is about to be started, as an agent does.
pub fn note(root: &Path, config: &TaskConfig) {
    let text = serde_json::to_string(&config.task).unwrap();
    std::fs::write(root.join("task.new"), text).unwrap();
    std::fs::rename(root.join("task.new"), root.join("task")).unwrap();
}

/// What was noted.
pub fn noted(root: &Path) -> Option<TaskRef> {
    let text = std::fs::read_to_string(root.join("task")).ok()?;
    serde_json::from_str(&text).ok()
}
