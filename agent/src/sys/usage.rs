//! What processes use, from `/proc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

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

/// A process and all that descend from it, as far as their parents still live.
#[must_use]
pub fn tree_of(root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Ok(stat) = process::stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        if found.insert(pid) {
            queue.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found.into_iter().collect()
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
    fn this_process_uses_memory_and_has_a_parent_that_it_descends_from() {
        let me = i32::try_from(std::process::id()).unwrap();
        let (usage, _) = of_process(me).unwrap();
        assert!(usage.rss > 0);
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        assert!(tree_of(parent).contains(&me));
        assert_eq!(tree_of(me)[0], me);
    }
}
