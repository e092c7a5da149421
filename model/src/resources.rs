//! Room on a node: what it has, what an alloc takes, and whether the one fits into the other.
//!
//! The scheduler, the applier's check and the agent count with the same functions, so they can't disagree.

use crate::{alloc::AllocResources, job::TaskGroup, node::Node};

/// An amount of what allocs share on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Room {
    /// CPU in MHz.
    pub cpu: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Disk in MiB.
    pub disk_mb: u64,
}

/// What there may be too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

impl Dimension {
    /// Its name in placement failures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

impl Room {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory_mb: self.memory_mb.saturating_add(other.memory_mb),
            disk_mb: self.disk_mb.saturating_add(other.disk_mb),
        }
    }

    /// What is left of it, nothing at least.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
            disk_mb: self.disk_mb.saturating_sub(other.disk_mb),
        }
    }

    /// The first dimension in which `used` is more than this; `None` when it fits.
    #[must_use]
    pub fn exceeded_by(self, used: Self) -> Option<Dimension> {
        if used.cpu > self.cpu {
            Some(Dimension::Cpu)
        } else if used.memory_mb > self.memory_mb {
            Some(Dimension::Memory)
        } else if used.disk_mb > self.disk_mb {
            Some(Dimension::Disk)
        } else {
            None
        }
    }
}

impl Node {
    /// What allocs may use of it: all it has without what is kept back.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            cpu: self.resources.cpu,
            memory_mb: self.resources.memory_mb,
            disk_mb: self.resources.disk_mb,
        }
        .minus(Room {
            cpu: self.reserved.cpu,
            memory_mb: self.reserved.memory_mb,
            disk_mb: self.reserved.disk_mb,
        })
    }
}

impl AllocResources {
    /// What it takes of a node.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            cpu: self.cpu(),
            memory_mb: self.memory_mb(),
            disk_mb: self.disk_mb,
        }
    }
}

impl TaskGroup {
    /// What an alloc of it takes of a node.
    #[must_use]
    pub fn room(&self) -> Room {
        self.tasks.iter().fold(
            Room {
                disk_mb: self.disk_mb(),
                ..Room::default()
            },
            |room, task| {
                room.plus(Room {
                    cpu: task.cpu(),
                    memory_mb: task.memory_mb(),
                    disk_mb: 0,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dimension_that_lacks_is_named() {
        let room = |cpu, memory_mb, disk_mb| Room {
            cpu,
            memory_mb,
            disk_mb,
        };
        for (used, lacking) in [
            (room(10, 10, 10), None),
            (room(11, 11, 11), Some(Dimension::Cpu)),
            (room(10, 11, 11), Some(Dimension::Memory)),
            (room(0, 0, 11), Some(Dimension::Disk)),
        ] {
            assert_eq!(room(10, 10, 10).exceeded_by(used), lacking, "{used:?}");
        }
    }

    #[test]
    fn sums_stop_at_the_ends_of_the_range() {
        let all = Room {
            cpu: u64::MAX,
            memory_mb: u64::MAX,
            disk_mb: u64::MAX,
        };
        assert_eq!(all.plus(all), all);
        assert_eq!(Room::default().minus(all), Room::default());
    }
}
