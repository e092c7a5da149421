//! The processes that descend from one, wherever they went: into a session, a process group or a control group of
//! their own.
//!
//! A process that adopts orphans ([`nix::sys::prctl::set_child_subreaper`]) keeps every descendant, so nothing that a
//! task starts gets out of the tree of its supervisor.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::process;

/// How often a tree is looked through for those who were born meanwhile, before it is killed as it is. Who kills calls
/// again until nothing is left.
const ROUNDS: usize = 16;

/// The living processes that descend from `root`, without itself.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let all = (!fs::exists("/proc/thread-self/children").unwrap_or(false)).then(children_of_all);
    let mut found = BTreeSet::new();
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        let children = match &all {
            Some(all) => all.get(&pid).cloned().unwrap_or_default(),
            None => children_of(pid),
        };
        for child in children {
            if child != root && found.insert(child) {
                queue.push(child);
            }
        }
    }
    found.into_iter().filter(|pid| is_living(*pid)).collect()
}

/// Sends SIGKILL to every process that descends from `root`, not to itself. Those that others wait for are zombies
/// afterwards until they are reaped.
pub fn kill_descendants(root: i32) {
    // All are stopped first: one that forks while the others are looked for would hide its child.
    let mut stopped = BTreeSet::new();
    for _ in 0..ROUNDS {
        let before = stopped.len();
        for pid in descendants(root) {
            if stopped.insert(pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            }
        }
        if stopped.len() == before {
            break;
        }
    }
    for pid in stopped {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Whether there is such a process, and it is no zombie.
#[must_use]
pub fn is_living(pid: i32) -> bool {
    process::stat(pid).is_ok_and(|stat| !stat.is_dead())
}

/// Living processes that were started with all of these variables: descendants of a parent that is gone.
#[must_use]
pub fn with_environment(variables: &[(&str, &str)]) -> Vec<i32> {
    let wanted: Vec<Vec<u8>> = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}").into_bytes())
        .collect();
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    all_pids()
        .filter(|pid| *pid != me)
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                let has = |wanted: &Vec<u8>| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|entry| entry == wanted.as_slice())
                };
                wanted.iter().all(has)
            })
        })
        .filter(|pid| is_living(*pid))
        .collect()
}

/// From the kernel's own lists, one for each thread.
fn children_of(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Where the kernel keeps no such lists: by the parents of all processes.
fn children_of_all() -> BTreeMap<i32, Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all_pids() {
        if let Ok(stat) = process::stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    children
}

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_tree_is_found_and_killed_in_whatever_session_its_processes_are() {
        let script =
            "sleep 1000 & echo $!; setsid sh -c 'echo $$; sleep 1000 & echo $!; wait' & wait";
        let mut root = Command::new("/bin/sh")
            .args(["-c", script])
            .env("ROVE_TREE_TEST", "1")
            .env("ROVE_TREE_PID", std::process::id().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(root.id()).unwrap();
        let mut expected: Vec<i32> = BufReader::new(root.stdout.take().unwrap())
            .lines()
            .take(3)
            .map(|line| line.unwrap().parse().unwrap())
            .collect();
        expected.sort_unstable();
        assert_eq!(descendants(pid), expected);
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(me).contains(&expected[0]));
        let by_parents = children_of_all();
        assert!(
            expected
                .iter()
                .all(|pid| by_parents.values().flatten().any(|found| found == pid))
        );
        let mut cookies = with_environment(&[
            ("ROVE_TREE_TEST", "1"),
            ("ROVE_TREE_PID", &std::process::id().to_string()),
        ]);
        cookies.retain(|found| *found != pid);
        assert_eq!(cookies, expected);
        kill_descendants(pid);
        root.kill().unwrap();
        root.wait().unwrap();
        let gone = || expected.iter().all(|pid| !is_living(*pid));
        while !gone() {
            std::thread::yield_now();
        }
        assert!(descendants(pid).is_empty());
    }
}
