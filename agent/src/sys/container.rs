//! What a container uses, from the control groups of its first process.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// CPU time so far and memory now, of all processes of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// CPU time, in ns.
    pub cpu_nanos: u64,
    /// How often it was held back by its quota.
    pub throttled_periods: u64,
    /// How long, in ns.
    pub throttled_nanos: u64,
    /// Resident, without files, in bytes.
    pub rss: u64,
    /// Files kept in memory, in bytes.
    pub cache: u64,
    /// Files mapped, in bytes.
    pub mapped_file: u64,
    /// Swapped out, in bytes.
    pub swap: u64,
    /// All that counts towards the limit, in bytes.
    pub usage: u64,
    /// The most it ever was, in bytes; None where it isn't kept.
    pub max_usage: Option<u64>,
}

/// What the container `id` uses, of which `pid` was the first process. None when that process is gone (or the number
/// is someone else's now).
#[must_use]
pub fn usage(pid: i32, id: &str) -> Option<ContainerUsage> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    read(&groups, &mounts, id)
}

fn read(groups: &str, mounts: &str, id: &str) -> Option<ContainerUsage> {
    match group(groups, "memory", id) {
        Some(memory) => {
            let memory = beneath(mount(mounts, "memory")?, memory);
            let cpu = |controller: &str| {
                Some(beneath(
                    mount(mounts, controller)?,
                    group(groups, controller, id)?,
                ))
            };
            old(&memory, cpu("cpuacct").as_deref(), cpu("cpu").as_deref())
        }
        None => unified(&beneath(mount(mounts, "")?, group(groups, "", id)?)),
    }
}

fn old(memory: &Path, cpuacct: Option<&Path>, cpu: Option<&Path>) -> Option<ContainerUsage> {
    let stat = fs::read_to_string(memory.join("memory.stat")).ok()?;
    // The sums over what the container's own processes divided further; absent in its absence.
    let sum = |name: &str| field(&stat, &format!("total_{name}")).or_else(|| field(&stat, name));
    let throttling = cpu
        .and_then(|path| fs::read_to_string(path.join("cpu.stat")).ok())
        .unwrap_or_default();
    Some(ContainerUsage {
        cpu_nanos: cpuacct
            .and_then(|path| number(&path.join("cpuacct.usage")))
            .unwrap_or(0),
        throttled_periods: field(&throttling, "nr_throttled").unwrap_or(0),
        throttled_nanos: field(&throttling, "throttled_time").unwrap_or(0),
        rss: sum("rss")?,
        cache: sum("cache").unwrap_or(0),
        mapped_file: sum("mapped_file").unwrap_or(0),
        swap: sum("swap").unwrap_or(0),
        usage: number(&memory.join("memory.usage_in_bytes"))?,
        max_usage: number(&memory.join("memory.max_usage_in_bytes")),
    })
}

fn unified(path: &Path) -> Option<ContainerUsage> {
    let stat = fs::read_to_string(path.join("memory.stat")).ok()?;
    let cpu = fs::read_to_string(path.join("cpu.stat")).ok()?;
    Some(ContainerUsage {
        cpu_nanos: field(&cpu, "usage_usec")?.saturating_mul(1000),
        throttled_periods: field(&cpu, "nr_throttled").unwrap_or(0),
        throttled_nanos: field(&cpu, "throttled_usec")
            .unwrap_or(0)
            .saturating_mul(1000),
        rss: field(&stat, "anon")?,
        cache: field(&stat, "file").unwrap_or(0),
        mapped_file: field(&stat, "file_mapped").unwrap_or(0),
        swap: number(&path.join("memory.swap.current")).unwrap_or(0),
        usage: number(&path.join("memory.current"))?,
        max_usage: number(&path.join("memory.peak")),
    })
}

/// The path of the container's group in the hierarchy of a controller; the unified one has no name.
fn group<'a>(groups: &'a str, controller: &str, id: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        (names.split(',').any(|name| name == controller) && path.contains(id)).then_some(path)
    })
}

/// Where that hierarchy is mounted.
fn mount<'a>(mounts: &'a str, controller: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let found = if controller.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|option| option == controller)
        };
        found.then_some(path)
    })
}

fn beneath(mount: &str, path: &str) -> PathBuf {
    Path::new(mount).join(path.trim_start_matches('/'))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn write(dir: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(dir).unwrap();
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_old_hierarchies_are_read() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        write(
            &at("memory/docker/abc"),
            &[
                (
                    "memory.stat",
                    "cache 1\nrss 2\nmapped_file 3\nswap 4\ntotal_cache 10\ntotal_rss 20\n",
                ),
                ("memory.usage_in_bytes", "99\n"),
                ("memory.max_usage_in_bytes", "100\n"),
            ],
        );
        write(&at("cpuacct/docker/abc"), &[("cpuacct.usage", "12345\n")]);
        write(
            &at("cpu/docker/abc"),
            &[(
                "cpu.stat",
                "nr_periods 9\nnr_throttled 7\nthrottled_time 8\n",
            )],
        );
        let mounts = format!(
            "cgroup {0}/memory cgroup rw,memory 0 0\ncgroup {0}/cpu cgroup rw,cpu 0 0\n\
             cgroup {0}/cpuacct cgroup rw,cpuacct 0 0\ncgroup2 {0}/unified cgroup2 rw 0 0\n",
            root.path().display()
        );
        let groups =
            "4:memory:/docker/abc\n2:cpuacct:/docker/abc\n1:cpu:/docker/abc\n0::/docker/abc\n";
        assert_eq!(
            read(groups, &mounts, "abc").unwrap(),
            ContainerUsage {
                cpu_nanos: 12345,
                throttled_periods: 7,
                throttled_nanos: 8,
                rss: 20,
                cache: 10,
                mapped_file: 3,
                swap: 4,
                usage: 99,
                max_usage: Some(100),
            }
        );
        assert_eq!(
            read(groups, &mounts, "other"),
            None,
            "someone else's process"
        );
    }

    #[test]
    fn the_unified_hierarchy_is_read() {
        let root = tempfile::tempdir().unwrap();
        write(
            &root.path().join("system.slice/docker-abc.scope"),
            &[
                ("memory.stat", "anon 5\nfile 6\nfile_mapped 7\n"),
                ("memory.current", "8\n"),
                (
                    "cpu.stat",
                    "usage_usec 9\nuser_usec 4\nnr_throttled 1\nthrottled_usec 2\n",
                ),
            ],
        );
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", root.path().display());
        let usage = read("0::/system.slice/docker-abc.scope\n", &mounts, "abc").unwrap();
        assert_eq!(
            (usage.cpu_nanos, usage.rss, usage.cache, usage.usage),
            (9000, 5, 6, 8)
        );
        assert_eq!((usage.throttled_nanos, usage.max_usage), (2000, None));
    }
}
