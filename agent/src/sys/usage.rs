//! What processes use, from `/proc`.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use super::process;

/// CPU time so far and memory now, of one process or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time outside the kernel, in ns.
    pub user_nanos: u64,
    /// CPU time in the kernel, in ns.
    pub system_nanos: u64,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Swapped out, in bytes.
    pub swap: u64,
}

/// What a process uses. None when it is gone.
#[must_use]
pub fn of_process(pid: i32) -> Option<(Usage, u64)> {
    let stat = process::stat(pid).ok().filter(|stat| !stat.is_dead())?;
    let swap = fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmSwap:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        })
        .unwrap_or(0);
    let usage = Usage {
        user_nanos: ticks_to_nanos(stat.user_ticks),
        system_nanos: ticks_to_nanos(stat.system_ticks),
        rss: stat.resident_pages.saturating_mul(page_size()),
        swap: swap.saturating_mul(1024),
    };
    Some((usage, stat.start_time))
}

fn ticks_to_nanos(ticks: u64) -> u64 {
    let per_second = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok())
        .filter(|ticks| *ticks > 0)
        .unwrap_or(100);
    ticks.saturating_mul(1_000_000_000 / per_second)
}

fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let me = i32::try_from(std::process::id()).unwrap();
        let (usage, _) = of_process(me).unwrap();
        assert!(usage.rss > 0);
    }
}
