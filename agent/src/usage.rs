//! Resource use, from what the drivers measure into the shape of the API.

pub use rove_wire::{
    AllocUsage, CoreView, CpuView, DiskView, HostMemoryView, HostStats, MemoryView, TaskUsage,
    UsageView,
};

use crate::drivers::{CpuStats, MemoryStats, ResourceUsage, TaskStats};

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
