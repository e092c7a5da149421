//! The words that a driver and its caller exchange.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use rove_model::ids::{AllocId, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DriverError;
use crate::logs::LogLimits;

/// Which task: the same for all its starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskRef {
    /// Its alloc.
    pub alloc_id: AllocId,
    /// Its name within the group.
    pub task: String,
    /// A directory for the driver's own use, which the caller made and recorded before the first start. Mode 0700,
    /// not within reach of the task.
    pub state_dir: PathBuf,
}

/// All that a driver needs to start a task. Values are interpolated already.
#[derive(Clone, Debug)]
pub struct TaskConfig {
    /// Which task.
    pub task: TaskRef,
    /// The job's namespace.
    pub namespace: String,
    /// The job's id.
    pub job: String,
    /// The task group.
    pub group: String,
    /// The node's id.
    pub node_id: String,
    /// The driver's own block.
    pub config: Map<String, Value>,
    /// The environment; the task sees nothing of the agent's but this.
    pub env: BTreeMap<String, String>,
    /// Run as this user; the driver's default if none.
    pub user: Option<String>,
    /// What it may use.
    pub limits: TaskLimits,
    /// Host ports that it was given, the group's and its own.
    pub ports: Vec<TaskPort>,
    /// The task's directory: its working directory where it runs on the host.
    pub task_dir: PathBuf,
    /// The directories that a driver with its own root shows to the task (`/alloc`, `/local`, `/secrets`).
    pub mounts: Vec<TaskMount>,
    /// Where `<task>.stdout.N` and `<task>.stderr.N` go.
    pub log_dir: PathBuf,
    /// How much of them is kept; nothing is collected if none.
    pub logs: Option<LogLimits>,
    /// What ends the task politely; the driver's default if none.
    pub kill_signal: Option<Signal>,
}

/// What a task sees of the host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskRoot {
    /// All that its user may see: its directories have the host's paths, and it gets the host's environment.
    Host,
    /// A root of its own, where its directories are at `/alloc`, `/local` and `/secrets`.
    Own {
        /// Whoever puts them there has all rights on the host. An engine without root, or one that maps users, has to
        /// be let through the directories above.
        privileged: bool,
    },
}

/// What a task may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLimits {
    /// CPU, in MHz.
    pub cpu_mhz: u64,
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// The most memory, in MiB; 0 means `memory_mb`.
    pub memory_max_mb: u64,
}

/// A host port of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPort {
    /// Its label.
    pub label: String,
    /// On the host.
    pub host: u16,
    /// Inside the task; 0 when the same.
    pub to: u16,
    /// The node's address that it is published on; every address if none.
    pub host_ip: Option<IpAddr>,
    /// Of the task's own network block, as in 2017, not of its group's.
    pub of_task: bool,
}

impl TaskPort {
    /// The port that the task listens on.
    #[must_use]
    pub fn inside(&self) -> u16 {
        if self.to == 0 { self.host } else { self.to }
    }
}

/// A directory shown to the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskMount {
    /// On the host.
    pub host: PathBuf,
    /// As the task sees it.
    pub task: PathBuf,
    /// It may not write there.
    pub read_only: bool,
}

/// What became of a task while nobody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It runs; wait for it.
    Running,
    /// It has ended.
    Exited(ExitResult),
    /// There is no trace of it: the host was rebooted, or someone removed it. Nothing of it runs.
    Gone,
}

/// How a task ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitResult {
    /// Its exit code; 128 + the signal's number when one ended it.
    pub exit_code: i32,
    /// The signal that ended it, 0 if none.
    pub signal: i32,
    /// It ran out of memory.
    pub oom_killed: bool,
    /// What else is to be said, as `Exit Message` in the task's event.
    pub err: Option<String>,
}

impl ExitResult {
    /// It did what it should.
    #[must_use]
    pub fn successful(&self) -> bool {
        self.exit_code == 0 && self.signal == 0 && self.err.is_none()
    }
}

/// What is known of a driver on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// It is there.
    pub detected: bool,
    /// It works.
    pub healthy: bool,
    /// In words.
    pub description: String,
    /// `driver.docker.version` and the like.
    pub attributes: BTreeMap<String, String>,
}

/// A word from the driver while it starts a task, for a `Driver` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// In words, as `Downloading image`.
    pub message: String,
    /// Facts by name.
    pub details: BTreeMap<String, String>,
}

/// Where progress goes: at most [`super::PROGRESS_CAPACITY`] wait, further ones are dropped.
#[derive(Clone, Debug)]
pub struct ProgressSender(Option<tokio::sync::mpsc::Sender<Progress>>);

impl ProgressSender {
    /// A sender and its receiver.
    #[must_use]
    pub fn channel() -> (Self, tokio::sync::mpsc::Receiver<Progress>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(super::PROGRESS_CAPACITY);
        (Self(Some(sender)), receiver)
    }

    /// A sender that nobody listens to.
    #[must_use]
    pub fn ignored() -> Self {
        Self(None)
    }

    /// Says it, if there is room.
    pub fn say(
        &self,
        message: impl Into<String>,
        details: impl IntoIterator<Item = (String, String)>,
    ) {
        if let Some(sender) = &self.0 {
            // A full or closed channel loses a word for people, nothing else.
            let _ = sender.try_send(Progress {
                message: message.into(),
                details: details.into_iter().collect(),
            });
        }
    }
}

/// What a task uses, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStats {
    /// When it was measured.
    pub timestamp: UnixNanos,
    /// All its processes together.
    pub usage: ResourceUsage,
    /// By process id, where the driver measures them apart.
    pub pids: Option<BTreeMap<i32, ResourceUsage>>,
}

/// CPU and memory in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceUsage {
    /// CPU.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
}

/// CPU in use. A field counts only if its name is in `measured`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuStats {
    /// Time in the kernel, in percent of one core.
    pub system_mode: f64,
    /// Time outside of it, in percent of one core.
    pub user_mode: f64,
    /// Both, in percent of one core.
    pub percent: f64,
    /// The same in MHz.
    pub total_ticks: f64,
    /// How often it was held back by its quota.
    pub throttled_periods: u64,
    /// How long, in ns.
    pub throttled_time: u64,
    /// What is measured, in the words of the API.
    pub measured: &'static [&'static str],
}

/// Memory in use, in bytes. A field counts only if its name is in `measured`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Resident, without files.
    pub rss: u64,
    /// Files kept in memory.
    pub cache: u64,
    /// Swapped out.
    pub swap: u64,
    /// Files mapped.
    pub mapped_file: u64,
    /// All that counts towards the limit.
    pub usage: u64,
    /// The most it ever was.
    pub max_usage: u64,
    /// In the kernel.
    pub kernel_usage: u64,
    /// The most it ever was in the kernel.
    pub kernel_max_usage: u64,
    /// What is measured, in the words of the API.
    pub measured: &'static [&'static str],
}

/// A signal that this host knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(nix::sys::signal::Signal);

impl Signal {
    /// SIGINT.
    pub const INT: Self = Self(nix::sys::signal::Signal::SIGINT);
    /// SIGTERM.
    pub const TERM: Self = Self(nix::sys::signal::Signal::SIGTERM);
    /// SIGKILL.
    pub const KILL: Self = Self(nix::sys::signal::Signal::SIGKILL);
    /// SIGHUP.
    pub const HUP: Self = Self(nix::sys::signal::Signal::SIGHUP);

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0 as i32
    }

    /// As `SIGTERM`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.as_str()
    }

    /// As the system's library has it.
    #[must_use]
    pub fn as_nix(self) -> nix::sys::signal::Signal {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Signal {
    type Err = DriverError;

    /// Reads `SIGHUP`, `hup` or `1`.
    fn from_str(text: &str) -> Result<Self, DriverError> {
        let unknown = || DriverError::UnknownSignal {
            name: text.to_owned(),
        };
        if let Ok(number) = text.parse::<i32>() {
            return nix::sys::signal::Signal::try_from(number)
                .map(Self)
                .map_err(|_| unknown());
        }
        let upper = text.to_ascii_uppercase();
        let name = if upper.starts_with("SIG") {
            upper
        } else {
            format!("SIG{upper}")
        };
        nix::sys::signal::Signal::from_str(&name)
            .map(Self)
            .map_err(|_| unknown())
    }
}

impl TaskRef {
    /// A file in the state directory.
    #[must_use]
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.state_dir.join(name)
    }

    /// As `<task>-<alloc>`: unique on a host, and a legal name of a container.
    #[must_use]
    pub fn unique_name(&self) -> String {
        format!("{}-{}", self.task, self.alloc_id)
    }

    /// The state directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.state_dir
    }
}
