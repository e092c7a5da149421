//! The control group that holds every process of a task, so that all of them can be found and killed.
//!
//! Works with the unified hierarchy (also where it is mounted beside the old ones), else with the old `freezer`. Sets
//! no limits: `raw_exec` has none. Where none is writable a task has no group, and its process tree is used instead.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// The group that all of rove's are in.
pub const PARENT: &str = "rove.slice";

/// How long killed processes may take to go away; longer only when the kernel holds them.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Which kind of hierarchy a group is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hierarchy {
    /// The unified one.
    Unified,
    /// The old one of the freezer.
    Freezer,
}

/// A task's control group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCgroup {
    /// Its kind.
    pub hierarchy: Hierarchy,
    /// Its directory.
    pub path: PathBuf,
}

impl TaskCgroup {
    /// Makes the group `name`, or takes the one that is there. None when this host or user has no way to.
    #[must_use]
    pub fn create(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        Self::create_in(&roots(&mounts), name)
    }

    fn create_in(roots: &[(Hierarchy, PathBuf)], name: &str) -> Option<Self> {
        roots.iter().find_map(|(hierarchy, root)| {
            let group = Self {
                hierarchy: *hierarchy,
                path: root.join(PARENT).join(name),
            };
            fs::create_dir_all(&group.path).ok()?;
            // A container may show the hierarchy read-only, or a user own nothing in it.
            group.procs_file().ok()?;
            Some(group)
        })
    }

    /// The file that a process writes `0` to in order to join.
    ///
    /// # Errors
    /// The group is gone or not ours.
    pub fn procs_file(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .open(self.path.join("cgroup.procs"))
    }

    /// The groups `name` that are there already, in whatever hierarchy: of a supervisor that was killed before it
    /// could record its own.
    #[must_use]
    pub fn existing(name: &str) -> Vec<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        roots(&mounts)
            .into_iter()
            .map(|(hierarchy, root)| Self {
                hierarchy,
                path: root.join(PARENT).join(name),
            })
            .filter(|group| group.path.is_dir())
            .collect()
    }

    /// The processes in it and in the groups that a task made within; none when it is gone.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .groups()
            .iter()
            .flat_map(|group| {
                fs::read_to_string(group.join("cgroup.procs"))
                    .unwrap_or_default()
                    .lines()
                    .filter_map(|line| line.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Its own directory and those within, each before those that are in it.
    fn groups(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path.clone()];
        let mut next = 0;
        while let Some(group) = found.get(next) {
            let within = fs::read_dir(group)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect::<Vec<_>>();
            found.extend(within);
            next += 1;
        }
        found
    }

    /// Moves the caller out of it, where a task may have put it.
    pub fn leave(&self) {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        if self.pids().contains(&me)
            && let Some(root) = self.path.ancestors().nth(2)
        {
            let _ = OpenOptions::new()
                .write(true)
                .open(root.join("cgroup.procs"))
                .and_then(|mut procs| procs.write_all(b"0"));
        }
    }

    /// CPU time of all processes that were ever in it, in ns: outside the kernel, and in it. None where the hierarchy
    /// doesn't count it.
    #[must_use]
    pub fn cpu_nanos(&self) -> Option<(u64, u64)> {
        let text = fs::read_to_string(self.path.join("cpu.stat")).ok()?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        let (user, system): (u64, u64) = (value("user_usec")?, value("system_usec")?);
        Some((user.saturating_mul(1000), system.saturating_mul(1000)))
    }

    /// Kills every process in it, those that are being born too. Blocks until they are gone, at most some seconds.
    ///
    /// # Errors
    /// Some are still there.
    pub fn kill(&self) -> io::Result<()> {
        let deadline = Instant::now() + KILL_LIMIT;
        loop {
            if self.pids().is_empty() {
                return Ok(());
            }
            self.kill_once();
            if Instant::now() > deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGKILL to every process in it, and doesn't wait.
    pub fn kill_once(&self) {
        if self.hierarchy == Hierarchy::Unified && self.write("cgroup.kill", "1").is_ok() {
            return;
        }
        // Frozen processes can't fork while their list is read. They die when thawed.
        let frozen =
            self.hierarchy == Hierarchy::Freezer && self.write("freezer.state", "FROZEN").is_ok();
        for pid in self.pids() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if frozen {
            for group in self.groups() {
                let _ = write(&group.join("freezer.state"), "THAWED");
            }
        }
    }

    /// Removes it. Not there is no error.
    ///
    /// # Errors
    /// A process is still in it.
    pub fn remove(&self) -> io::Result<()> {
        for group in self.groups().iter().rev() {
            match fs::remove_dir(group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        write(&self.path.join(file), value)
    }
}

/// Whether a process is held by a control group that somebody froze, its own or one above it.
#[must_use]
pub fn is_frozen(pid: i32) -> bool {
    !freezing(pid).is_empty()
}

/// Takes a process out of the control groups that freeze it, so that it goes on: in the old hierarchy it could not even
/// be killed. Those who stay there are left as they are. True when it was frozen.
pub fn release(pid: i32) -> bool {
    let frozen = freezing(pid);
    for Membership {
        hierarchy,
        root,
        group,
    } in &frozen
    {
        if write(&root.join("cgroup.procs"), &pid.to_string()).is_ok() {
            continue;
        }
        // A root that takes no processes of its own.
        let (file, on) = match hierarchy {
            Hierarchy::Unified => ("cgroup.freeze", "0"),
            Hierarchy::Freezer => ("freezer.state", "THAWED"),
        };
        for above in up_to(group, root) {
            let _ = write(&above.join(file), on);
        }
    }
    !frozen.is_empty()
}

/// A group that a process is in.
struct Membership {
    hierarchy: Hierarchy,
    /// Where its hierarchy is mounted.
    root: PathBuf,
    group: PathBuf,
}

/// The groups of a process that freeze it.
fn freezing(pid: i32) -> Vec<Membership> {
    let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
        return Vec::new();
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    roots(&mounts)
        .into_iter()
        .filter_map(|(hierarchy, root)| {
            let group = root.join(path_in(hierarchy, &groups)?.trim_start_matches('/'));
            Some(Membership {
                hierarchy,
                root,
                group,
            })
        })
        .filter(|membership| match membership.hierarchy {
            // Of the old ones, the state tells of those above as well.
            Hierarchy::Freezer => fs::read_to_string(membership.group.join("freezer.state"))
                .is_ok_and(|state| state.trim() != "THAWED"),
            Hierarchy::Unified => up_to(&membership.group, &membership.root).any(|group| {
                fs::read_to_string(group.join("cgroup.freeze"))
                    .is_ok_and(|state| state.trim() == "1")
            }),
        })
        .collect()
}

/// A group and those above it, without the root.
fn up_to<'a>(group: &'a Path, root: &'a Path) -> impl Iterator<Item = &'a Path> {
    group
        .ancestors()
        .take_while(move |above| *above != root && above.starts_with(root))
}

/// The path of a process in a hierarchy, as `/proc/<pid>/cgroup` tells it.
fn path_in(hierarchy: Hierarchy, groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        let is_it = match hierarchy {
            Hierarchy::Unified => number == "0" && names.is_empty(),
            Hierarchy::Freezer => names.split(',').any(|name| name == "freezer"),
        };
        is_it.then_some(path)
    })
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all(value.as_bytes())
}

/// Where hierarchies that can hold tasks are mounted, the best first.
fn roots(mounts: &str) -> Vec<(Hierarchy, PathBuf)> {
    let mut found: Vec<(Hierarchy, PathBuf)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, path, kind, options) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let hierarchy = match kind {
                "cgroup2" => Hierarchy::Unified,
                "cgroup" if options.split(',').any(|option| option == "freezer") => {
                    Hierarchy::Freezer
                }
                _ => return None,
            };
            Some((hierarchy, Path::new(path).to_owned()))
        })
        .collect();
    found.sort_by_key(|(hierarchy, _)| *hierarchy == Hierarchy::Freezer);
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_unified_hierarchy_is_taken_before_the_freezer() {
        let mounts = "\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
";
        assert_eq!(
            roots(mounts),
            [
                (Hierarchy::Unified, "/sys/fs/cgroup/unified".into()),
                (Hierarchy::Freezer, "/sys/fs/cgroup/freezer".into())
            ]
        );
        assert_eq!(roots("proc /proc proc rw 0 0\n"), []);
    }

    #[test]
    fn the_group_of_a_process_is_found_in_either_hierarchy() {
        let groups = "\
8:pids:/a
6:cpu,freezer:/b/c
1:name=systemd:/d
0::/e:f
";
        assert_eq!(path_in(Hierarchy::Freezer, groups), Some("/b/c"));
        assert_eq!(path_in(Hierarchy::Unified, groups), Some("/e:f"));
        assert_eq!(path_in(Hierarchy::Freezer, "0::/e\n"), None);
        let above: Vec<&Path> = up_to(Path::new("/x/b/c"), Path::new("/x")).collect();
        assert_eq!(above, [Path::new("/x/b/c"), Path::new("/x/b")]);
        assert_eq!(up_to(Path::new("/x"), Path::new("/x")).count(), 0);
    }

    #[test]
    fn without_a_writable_hierarchy_there_is_no_group() {
        let dir = tempfile::tempdir().unwrap();
        let plain = [(Hierarchy::Unified, dir.path().to_owned())];
        assert_eq!(TaskCgroup::create_in(&plain, "a"), None);
    }
}
