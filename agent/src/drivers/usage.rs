//! From counters to rates: what drivers report as a task's use.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{CpuStats, MemoryStats, ResourceUsage, TaskStats};
use crate::{
    supervisor::spec::Started,
    sys::{
        cgroup::TaskCgroup,
        container::ContainerUsage,
        tree, unix_now,
        usage::{self, Usage},
    },
};

/// What is measured of plain processes.
const PROCESS_CPU: &[&str] = &["System Mode", "User Mode", "Percent"];
const PROCESS_MEMORY: &[&str] = &["RSS", "Swap"];
/// What is measured of containers; the last one only where the kernel keeps it.
const CONTAINER_CPU: &[&str] = &["Throttled Periods", "Throttled Time", "Percent"];
const CONTAINER_MEMORY: &[&str] = &["RSS", "Cache", "Swap", "Usage", "Max Usage"];

/// CPU time so far, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    /// Outside the kernel.
    pub(super) user: u64,
    /// In it.
    pub(super) system: u64,
}

/// Remembers the last counters of one task. Holds a number or two for each of its processes.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last: Option<(Instant, CpuTime)>,
    last_of: HashMap<(i32, u64), CpuTime>,
}

impl Sampler {
    /// The rate since the last call: user and system, in percent of one core.
    pub(super) fn rate(&mut self, now: Instant, time: CpuTime) -> (f64, f64) {
        let last = self.last.replace((now, time));
        last.map_or((0.0, 0.0), |(then, before)| {
            percent(before, time, then, now)
        })
    }

    /// What a container uses.
    pub(super) fn container(&mut self, usage: &ContainerUsage, core_mhz: f64) -> TaskStats {
        let time = CpuTime {
            user: usage.cpu_nanos,
            system: 0,
        };
        let (percent, _) = self.rate(Instant::now(), time);
        TaskStats {
            timestamp: unix_now(),
            usage: ResourceUsage {
                cpu: CpuStats {
                    percent,
                    total_ticks: percent / 100.0 * core_mhz,
                    throttled_periods: usage.throttled_periods,
                    throttled_time: usage.throttled_nanos,
                    measured: CONTAINER_CPU,
                    ..CpuStats::default()
                },
                memory: MemoryStats {
                    rss: usage.rss,
                    cache: usage.cache,
                    swap: usage.swap,
                    mapped_file: usage.mapped_file,
                    usage: usage.usage,
                    max_usage: usage.max_usage.unwrap_or(0),
                    measured: if usage.max_usage.is_some() {
                        CONTAINER_MEMORY
                    } else {
                        &CONTAINER_MEMORY[..4]
                    },
                    ..MemoryStats::default()
                },
            },
            pids: None,
        }
    }

    /// What the processes of a supervised task use.
    pub(super) fn processes(&mut self, started: &Started, core_mhz: f64) -> TaskStats {
        // A process that left the group is the task's all the same.
        let mut pids = tree::descendants(started.supervisor.pid);
        pids.extend(started.cgroup.iter().flat_map(TaskCgroup::pids));
        pids.sort_unstable();
        pids.dedup();
        let now = Instant::now();
        let then = self.last.map(|(then, _)| then);
        let mut seen = HashMap::new();
        let mut each = BTreeMap::new();
        let mut sum = Usage::default();
        for pid in pids {
            let Some((used, start)) = usage::of_process(pid) else {
                continue;
            };
            let time = CpuTime {
                user: used.user_nanos,
                system: used.system_nanos,
            };
            let before = self.last_of.get(&(pid, start)).copied();
            let rate = match (then, before) {
                (Some(then), Some(before)) => percent(before, time, then, now),
                _ => (0.0, 0.0),
            };
            seen.insert((pid, start), time);
            sum.user_nanos += used.user_nanos;
            sum.system_nanos += used.system_nanos;
            sum.rss += used.rss;
            sum.swap += used.swap;
            each.insert(pid, process_usage(rate, &used, core_mhz));
        }
        self.last_of = seen;
        let total = started
            .cgroup
            .as_ref()
            .and_then(TaskCgroup::cpu_nanos)
            .map_or(
                CpuTime {
                    user: sum.user_nanos,
                    system: sum.system_nanos,
                },
                |(user, system)| CpuTime { user, system },
            );
        let rate = self.rate(now, total);
        TaskStats {
            timestamp: unix_now(),
            usage: process_usage(rate, &sum, core_mhz),
            pids: Some(each),
        }
    }
}

fn process_usage((user, system): (f64, f64), used: &Usage, core_mhz: f64) -> ResourceUsage {
    ResourceUsage {
        cpu: CpuStats {
            system_mode: system,
            user_mode: user,
            percent: user + system,
            total_ticks: (user + system) / 100.0 * core_mhz,
            measured: PROCESS_CPU,
            ..CpuStats::default()
        },
        memory: MemoryStats {
            rss: used.rss,
            swap: used.swap,
            measured: PROCESS_MEMORY,
            ..MemoryStats::default()
        },
    }
}

fn percent(before: CpuTime, now: CpuTime, from: Instant, to: Instant) -> (f64, f64) {
    let passed = to.saturating_duration_since(from).as_nanos();
    if passed == 0 {
        return (0.0, 0.0);
    }
    // A counter that went back (a process ended) counts as no use.
    #[allow(clippy::cast_precision_loss)] // shares of a second, shown with two digits
    let share = |before: u64, now: u64| now.saturating_sub(before) as f64 * 100.0 / passed as f64;
    (
        share(before.user, now.user),
        share(before.system, now.system),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_over_the_time_since_the_last_look() {
        let mut sampler = Sampler::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let time = |user, system| CpuTime { user, system };
        assert_eq!(sampler.rate(at(0), time(5_000_000, 0)), (0.0, 0.0));
        assert_eq!(
            sampler.rate(at(1000), time(505_000_000, 100_000_000)),
            (50.0, 10.0)
        );
        assert_eq!(sampler.rate(at(1000), time(505_000_001, 0)), (0.0, 0.0));
        assert_eq!(sampler.rate(at(2000), time(0, 0)), (0.0, 0.0));
    }
}
