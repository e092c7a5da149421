//! What a task asks for.

use super::{Affinity, Constraint, Declared as _, NetworkResource, spec};

spec! {
    /// What a task asks for.
    Resources "resources" {
        /// How much CPU is reserved for the task.
        cpu as "CPU": Option<i64> [unit = "MHz"] = 100 => ReplaceValue,
        /// Whole CPU cores for the task alone, instead of cpu.
        cores: Option<i64> [quiet] = 0 => ReplaceValue,
        /// How much memory is reserved for the task; without memory_max also the most it may use.
        memory_mb as "MemoryMB": Option<i64> [hcl = "memory", unit = "MiB"] = 300 => ReplaceValue,
        /// The most memory the task may use when the node has some to spare.
        memory_max_mb as "MemoryMaxMB": Option<i64> [hcl = "memory_max", unit = "MiB", quiet] = 0 at Registration => ReplaceValue,
        /// Read and without effect: a group has ephemeral_disk.
        disk_mb as "DiskMB": Option<i64> [hcl = "disk", unit = "MiB", quiet] => InPlace,
        /// The network and ports of a task, as in files of 2017; a group has network.
        networks: Vec<NetworkResource> [each = "network"] => Within,
        /// A device, as a GPU, by <type>, <vendor>/<type> or <vendor>/<type>/<model>.
        devices: Vec<DeviceRequest> [each = "device"] => Replace,
        /// Read and without effect.
        iops as "IOPS": Option<i64> [quiet] = 0 at Registration => InPlace,
    }
}

impl Resources {
    /// CPU of a task that gives none, in MHz.
    pub const DEFAULT_CPU: i64 = Self::BLOCK.integer("CPU");
    /// Memory of a task that gives none, in MiB.
    pub const DEFAULT_MEMORY_MB: i64 = Self::BLOCK.integer("MemoryMB");

    /// CPU in MHz.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        let default = if self.cores.unwrap_or(0) > 0 {
            0
        } else {
            Self::DEFAULT_CPU
        };
        u64::try_from(self.cpu.unwrap_or(default)).unwrap_or(0)
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mb(&self) -> u64 {
        u64::try_from(self.memory_mb.unwrap_or(Self::DEFAULT_MEMORY_MB)).unwrap_or(0)
    }

    /// The most memory in MiB; 0 means [`Resources::memory_mb`].
    #[must_use]
    pub fn memory_max_mb(&self) -> u64 {
        u64::try_from(self.memory_max_mb.unwrap_or(0)).unwrap_or(0)
    }
}

spec! {
    /// Devices a task asks for.
    DeviceRequest "device" {
        /// `<type>`, `<vendor>/<type>` or `<vendor>/<type>/<model>`.
        name: String [label] => Replace,
        /// How many of them.
        count: Option<i64> = 1 => Replace,
        /// What a device must fulfil, as ${device.attr.memory}.
        constraints: Vec<Constraint> [each = "constraint"] => Replace,
        /// What a device should fulfil.
        affinities: Vec<Affinity> [each = "affinity"] => Replace,
    }
}
