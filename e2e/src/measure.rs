//! What the benches read of this machine and of running processes.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use crate::command::{run, workspace};

/// Where and of what the numbers are: the commit, the machine and its load, in one line each.
#[must_use]
pub fn heading() -> String {
    format!("rove {}\n{}", commit(), machine())
}

/// The commit that is checked out, `+` behind it when files differ from it.
#[must_use]
pub fn commit() -> String {
    let git = |args: &[&str]| run(Command::new("git").current_dir(workspace()).args(args)).stdout;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])
        .trim()
        .is_empty();
    format!(
        "{}{}",
        git(&["rev-parse", "--short", "HEAD"]).trim(),
        if changed { "+" } else { "" }
    )
}

/// Cores, kind of processor, memory, kernel, and how busy the machine is.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("an unknown processor", |(_, model)| model.trim());
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or(0) / (1 << 20);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    format!(
        "{cores} cores of {model}, {memory} GiB, Linux {}, load {} before the start",
        kernel.trim(),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

/// The kB of a line `key:  123 kB`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(':')?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse()
            .ok()
    })
}

/// Resident memory of a process in KiB; 0 when it has ended.
#[must_use]
pub fn rss_kib(pid: u32) -> u64 {
    kib(pid, "status", "VmRSS")
}

/// The most resident memory a process has had, in KiB.
#[must_use]
pub fn peak_rss_kib(pid: u32) -> u64 {
    kib(pid, "status", "VmHWM")
}

/// A process's memory in KiB, each shared page counted in parts.
#[must_use]
pub fn pss_kib(pid: u32) -> u64 {
    kib(pid, "smaps_rollup", "Pss")
}

fn kib(pid: u32, file: &str, key: &str) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .ok()
        .and_then(|text| field(&text, key))
        .unwrap_or_default()
}

/// The processes that run the program at this path.
#[must_use]
pub fn processes_of(program: &Path) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
        })
        .collect()
}

/// `pid`, and of those processes that it started, directly or through others, all that run the program at this path.
#[must_use]
pub fn family(pid: u32, program: &Path) -> BTreeSet<u32> {
    let candidates = processes_of(program);
    let mut family = BTreeSet::from([pid]);
    loop {
        let before = family.len();
        family.extend(
            candidates
                .iter()
                .filter(|pid| parent(**pid).is_some_and(|parent| family.contains(&parent)))
                .copied()
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            return family;
        }
    }
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid).get(1)?.parse().ok()
}

/// The fields of `/proc/<pid>/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Vec<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .unwrap_or_default()
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// How long a process has kept a core busy, in user space and in the kernel.
#[must_use]
pub fn cpu_time(pid: u32) -> Duration {
    // Ticks of a hundredth of a second: Linux fixes that number towards user space.
    const TICK: Duration = Duration::from_millis(10);
    let fields = stat(pid);
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<u32>().ok())
            .unwrap_or_default()
    };
    TICK * (ticks(11) + ticks(12))
}

/// Bytes of all files below a folder.
#[must_use]
pub fn folder_bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The median and the largest; zero of none.
#[must_use]
pub fn median_and_worst(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median, times.last().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_of_proc_is_read_in_kib() {
        for (text, key, expected) in [
            ("VmPeak:\t   9 kB\nVmRSS:\t   123 kB\n", "VmRSS", Some(123)),
            ("Pss_Dirty: 7 kB\nPss:       5 kB\n", "Pss", Some(5)),
            ("Pss:       5 pages\n", "Pss", None),
            ("", "Pss", None),
        ] {
            assert_eq!(field(text, key), expected, "{text:?}");
        }
    }

    #[test]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        let here = std::process::id();
        assert!(rss_kib(here) > 0 && pss_kib(here) > 0);
        assert!(peak_rss_kib(here) >= rss_kib(here) / 2);
        assert_eq!((rss_kib(0), cpu_time(0)), (0, Duration::ZERO));
    }

    #[test]
    fn a_family_is_the_process_and_what_of_its_program_it_started() {
        let mut sleeps = Command::new("sleep").arg("60").spawn().unwrap();
        let here = std::process::id();
        let sleep = std::fs::read_link(format!("/proc/{}/exe", sleeps.id())).unwrap();
        let with_sleep = family(here, &sleep);
        let without = family(here, Path::new("/nonexistent"));
        sleeps.kill().unwrap();
        sleeps.wait().unwrap();
        assert!(with_sleep.contains(&here) && with_sleep.contains(&sleeps.id()));
        assert_eq!(without, BTreeSet::from([here]));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_upper_of_the_two() {
        let ms = |ms: &[u64]| ms.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(
            median_and_worst(ms(&[9, 1, 5, 7])),
            (Duration::from_millis(7), Duration::from_millis(9))
        );
        assert_eq!(
            median_and_worst(Vec::new()),
            (Duration::ZERO, Duration::ZERO)
        );
    }
}
