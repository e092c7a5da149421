//! What a task asks for.

use super::{Affinity, Constraint, NetworkResource, spec};

spec! {
    /// What a task asks for.
    Resources {
        /// CPU in MHz.
        #[serde(rename = "CPU")]
        cpu: Option<i64> => ReplaceValue,
        /// Whole cores instead of a share.
        cores: Option<i64> => ReplaceValue,
        /// Memory in MiB.
        #[serde(rename = "MemoryMB")]
        memory_mb: Option<i64> => ReplaceValue,
        /// The most memory it may use when there is some to spare, in MiB.
        #[serde(rename = "MemoryMaxMB")]
        memory_max_mb: Option<i64> => ReplaceValue,
        /// Disk of 2017; without effect.
        #[serde(rename = "DiskMB")]
        disk_mb: Option<i64> => InPlace,
        /// Networks of 2017.
        networks: Vec<NetworkResource> => Within,
        /// Devices.
        devices: Vec<DeviceRequest> => Replace,
        /// I/O operations of 2017; without effect.
        #[serde(rename = "IOPS")]
        iops: Option<i64> => InPlace,
    }
}

impl Resources {
    /// CPU of a task that gives none, in MHz.
    pub const DEFAULT_CPU: i64 = 100;
    /// Memory of a task that gives none, in MiB.
    pub const DEFAULT_MEMORY_MB: i64 = 300;

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
    DeviceRequest {
        /// `<type>`, `<vendor>/<type>` or `<vendor>/<type>/<model>`.
        name: String => Replace,
        /// How many, 1 by default.
        count: Option<i64> => Replace,
        /// What a device must fulfil.
        constraints: Vec<Constraint> => Replace,
        /// What a device should fulfil.
        affinities: Vec<Affinity> => Replace,
    }
}
