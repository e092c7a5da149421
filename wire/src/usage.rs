//! Resource use: of an alloc and its tasks, and of the host.

use std::collections::BTreeMap;

use rove_model::ids::UnixNanos;
use serde_json::Value;

use crate::wire;

wire! {
    /// What an alloc uses: `/v1/client/allocation/<id>/stats`.
    AllocUsage {
        /// All tasks together.
        resource_usage: UsageView = "ResourceUsage",
        /// By task; only those that run.
        tasks: BTreeMap<String, TaskUsage> = "Tasks",
        /// When it was measured.
        timestamp: UnixNanos = "Timestamp",
    }
}

wire! {
    /// What a task uses.
    TaskUsage {
        /// By process id, where the driver measures them apart.
        pids: Option<BTreeMap<String, UsageView>> = "Pids",
        /// All its processes together.
        resource_usage: UsageView = "ResourceUsage",
        /// When it was measured.
        timestamp: UnixNanos = "Timestamp",
    }
}

wire! {
    /// CPU and memory in use.
    UsageView {
        /// CPU.
        cpu_stats: CpuView = "CpuStats",
        /// Devices: none are supported yet, so an alloc has an empty list and a task none.
        device_stats: Option<Vec<Value>> = "DeviceStats",
        /// Memory.
        memory_stats: MemoryView = "MemoryStats",
    }
}

wire! {
    /// CPU in use.
    CpuView {
        /// Which fields count.
        measured: Vec<String> = "Measured",
        /// Percent of one core.
        percent: f64 = "Percent",
        /// Percent of one core, in the kernel.
        system_mode: f64 = "SystemMode",
        /// How often it was held back by its quota.
        throttled_periods: u64 = "ThrottledPeriods",
        /// How long, in ns.
        throttled_time: u64 = "ThrottledTime",
        /// In MHz.
        total_ticks: f64 = "TotalTicks",
        /// Percent of one core, outside of the kernel.
        user_mode: f64 = "UserMode",
    }
}

wire! {
    /// Memory in use, in bytes.
    MemoryView {
        /// Files kept in memory.
        cache: u64 = "Cache",
        /// The most it ever was in the kernel.
        kernel_max_usage: u64 = "KernelMaxUsage",
        /// In the kernel.
        kernel_usage: u64 = "KernelUsage",
        /// Files mapped.
        mapped_file: u64 = "MappedFile",
        /// The most it ever was.
        max_usage: u64 = "MaxUsage",
        /// Which fields count.
        measured: Vec<String> = "Measured",
        /// Resident, without files.
        rss: u64 = "RSS",
        /// Swapped out.
        swap: u64 = "Swap",
        /// All that counts towards the limit.
        usage: u64 = "Usage",
    }
}

wire! {
    /// What the host uses: `/v1/client/stats`.
    HostStats {
        /// The disk that alloc directories lie on.
        alloc_dir_stats: DiskView = "AllocDirStats",
        /// By core.
        cpu: Vec<CoreView> = "CPU",
        /// CPU in use, in MHz.
        cpu_ticks_consumed: f64 = "CPUTicksConsumed",
        /// Devices: none are supported yet.
        device_stats: Option<Vec<Value>> = "DeviceStats",
        /// Disks, by where they are mounted.
        disk_stats: Vec<DiskView> = "DiskStats",
        /// Memory.
        memory: HostMemoryView = "Memory",
        /// When it was measured.
        timestamp: UnixNanos = "Timestamp",
        /// Seconds since the host was started.
        uptime: u64 = "Uptime",
    }
}

wire! {
    /// A disk.
    DiskView {
        /// Bytes that may still be written.
        available: u64 = "Available",
        /// Its device; empty for the alloc directory.
        device: String = "Device",
        /// Inodes in use, in percent.
        inodes_used_percent: f64 = "InodesUsedPercent",
        /// Where it is mounted; empty for the alloc directory.
        mountpoint: String = "Mountpoint",
        /// Bytes.
        size: u64 = "Size",
        /// Bytes in use.
        used: u64 = "Used",
        /// Bytes in use, in percent of those that may be used.
        used_percent: f64 = "UsedPercent",
    }
}

wire! {
    /// A core, in percent of the time since it was last asked.
    CoreView {
        /// As `cpu0`.
        cpu: String = "CPU",
        /// Idle.
        idle: f64 = "Idle",
        /// In the kernel.
        system: f64 = "System",
        /// Not idle.
        total_percent: f64 = "TotalPercent",
        /// Not idle, in MHz.
        total_ticks: f64 = "TotalTicks",
        /// Outside of the kernel.
        user: f64 = "User",
    }
}

wire! {
    /// The host's memory, in bytes.
    HostMemoryView {
        /// What may still be used.
        available: u64 = "Available",
        /// What nobody uses.
        free: u64 = "Free",
        /// All of it.
        total: u64 = "Total",
        /// In use.
        used: u64 = "Used",
    }
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
