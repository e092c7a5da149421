//! Resource use in the shape of the API: of an alloc and its tasks, and of the host.

use std::collections::BTreeMap;

use rove_model::ids::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::drivers::{CpuStats, MemoryStats, ResourceUsage, TaskStats};

/// What an alloc uses: `/v1/client/allocation/<id>/stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocUsage {
    /// All tasks together.
    pub resource_usage: UsageView,
    /// By task; only those that run.
    pub tasks: BTreeMap<String, TaskUsage>,
    /// When it was measured.
    pub timestamp: UnixNanos,
}

/// What a task uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskUsage {
    /// By process id, where the driver measures them apart.
    pub pids: Option<BTreeMap<String, UsageView>>,
    /// All its processes together.
    pub resource_usage: UsageView,
    /// When it was measured.
    pub timestamp: UnixNanos,
}

/// CPU and memory in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UsageView {
    /// CPU.
    pub cpu_stats: CpuView,
    /// Devices: none are supported yet, so an alloc has an empty list and a task none.
    pub device_stats: Option<Vec<serde_json::Value>>,
    /// Memory.
    pub memory_stats: MemoryView,
}

/// CPU in use; see [`CpuStats`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CpuView {
    /// Which fields count.
    pub measured: Vec<String>,
    /// Percent of one core.
    pub percent: f64,
    /// Percent of one core, in the kernel.
    pub system_mode: f64,
    /// How often it was held back by its quota.
    pub throttled_periods: u64,
    /// How long, in ns.
    pub throttled_time: u64,
    /// In MHz.
    pub total_ticks: f64,
    /// Percent of one core, outside of the kernel.
    pub user_mode: f64,
}

/// Memory in use, in bytes; see [`MemoryStats`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MemoryView {
    /// Files kept in memory.
    pub cache: u64,
    /// The most it ever was in the kernel.
    pub kernel_max_usage: u64,
    /// In the kernel.
    pub kernel_usage: u64,
    /// Files mapped.
    pub mapped_file: u64,
    /// The most it ever was.
    pub max_usage: u64,
    /// Which fields count.
    pub measured: Vec<String>,
    /// Resident, without files.
    #[serde(rename = "RSS")]
    pub rss: u64,
    /// Swapped out.
    pub swap: u64,
    /// All that counts towards the limit.
    pub usage: u64,
}

/// What the host uses: `/v1/client/stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostStats {
    /// The disk that alloc directories lie on.
    pub alloc_dir_stats: DiskView,
    /// By core.
    #[serde(rename = "CPU")]
    pub cpu: Vec<CoreView>,
    /// CPU in use, in MHz.
    #[serde(rename = "CPUTicksConsumed")]
    pub cpu_ticks_consumed: f64,
    /// Devices: none are supported yet.
    pub device_stats: Option<Vec<serde_json::Value>>,
    /// Disks, by where they are mounted.
    pub disk_stats: Vec<DiskView>,
    /// Memory.
    pub memory: HostMemoryView,
    /// When it was measured.
    pub timestamp: UnixNanos,
    /// Seconds since the host was started.
    pub uptime: u64,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskView {
    /// Bytes that may still be written.
    pub available: u64,
    /// Its device; empty for the alloc directory.
    pub device: String,
    /// Inodes in use, in percent.
    pub inodes_used_percent: f64,
    /// Where it is mounted; empty for the alloc directory.
    pub mountpoint: String,
    /// Bytes.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes in use, in percent of those that may be used.
    pub used_percent: f64,
}

/// A core, in percent of the time since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CoreView {
    /// As `cpu0`.
    #[serde(rename = "CPU")]
    pub cpu: String,
    /// Idle.
    pub idle: f64,
    /// In the kernel.
    pub system: f64,
    /// Not idle.
    pub total_percent: f64,
    /// Not idle, in MHz.
    pub total_ticks: f64,
    /// Outside of the kernel.
    pub user: f64,
}

/// The host's memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostMemoryView {
    /// What may still be used.
    pub available: u64,
    /// What nobody uses.
    pub free: u64,
    /// All of it.
    pub total: u64,
    /// In use.
    pub used: u64,
}

impl AllocUsage {
    /// The usage of an alloc made of that of its tasks.
    #[must_use]
    pub fn of_tasks(tasks: BTreeMap<String, TaskUsage>, timestamp: UnixNanos) -> Self {
        let mut all = UsageView {
            device_stats: Some(Vec::new()),
            ..UsageView::default()
        };
        for task in tasks.values() {
            all.add(&task.resource_usage);
        }
        Self {
            resource_usage: all,
            tasks,
            timestamp,
        }
    }
}

impl UsageView {
    fn add(&mut self, other: &Self) {
        let (cpu, more) = (&mut self.cpu_stats, &other.cpu_stats);
        merge_names(&mut cpu.measured, &more.measured);
        cpu.percent += more.percent;
        cpu.system_mode += more.system_mode;
        cpu.throttled_periods += more.throttled_periods;
        cpu.throttled_time += more.throttled_time;
        cpu.total_ticks += more.total_ticks;
        cpu.user_mode += more.user_mode;
        let (memory, more) = (&mut self.memory_stats, &other.memory_stats);
        merge_names(&mut memory.measured, &more.measured);
        memory.cache += more.cache;
        memory.kernel_max_usage += more.kernel_max_usage;
        memory.kernel_usage += more.kernel_usage;
        memory.mapped_file += more.mapped_file;
        memory.max_usage += more.max_usage;
        memory.rss += more.rss;
        memory.swap += more.swap;
        memory.usage += more.usage;
    }
}

fn merge_names(into: &mut Vec<String>, more: &[String]) {
    for name in more {
        if !into.contains(name) {
            into.push(name.clone());
        }
    }
}

fn names(measured: &[&'static str]) -> Vec<String> {
    measured.iter().map(|name| (*name).to_owned()).collect()
}

impl From<&TaskStats> for TaskUsage {
    fn from(stats: &TaskStats) -> Self {
        Self {
            pids: stats.pids.as_ref().map(|pids| {
                pids.iter()
                    .map(|(pid, usage)| (pid.to_string(), usage.into()))
                    .collect()
            }),
            resource_usage: (&stats.usage).into(),
            timestamp: stats.timestamp,
        }
    }
}

impl From<&ResourceUsage> for UsageView {
    fn from(usage: &ResourceUsage) -> Self {
        Self {
            cpu_stats: (&usage.cpu).into(),
            device_stats: None,
            memory_stats: (&usage.memory).into(),
        }
    }
}

impl From<&CpuStats> for CpuView {
    fn from(cpu: &CpuStats) -> Self {
        Self {
            measured: names(cpu.measured),
            percent: cpu.percent,
            system_mode: cpu.system_mode,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_time,
            total_ticks: cpu.total_ticks,
            user_mode: cpu.user_mode,
        }
    }
}

impl From<&MemoryStats> for MemoryView {
    fn from(memory: &MemoryStats) -> Self {
        Self {
            cache: memory.cache,
            kernel_max_usage: memory.kernel_max_usage,
            kernel_usage: memory.kernel_usage,
            mapped_file: memory.mapped_file,
            max_usage: memory.max_usage,
            measured: names(memory.measured),
            rss: memory.rss,
            swap: memory.swap,
            usage: memory.usage,
        }
    }
}
