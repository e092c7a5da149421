//! What the tests of several drivers need.

use std::{path::Path, time::Instant};

pub use rove_agent::drivers::conformance::task;
use rove_agent::drivers::{TaskConfig, TaskRef};

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
