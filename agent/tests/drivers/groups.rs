//! raw_exec and control groups: a task leaves its own in every way it can, on each kind of hierarchy and on none.

use std::{fs, path::Path, time::Duration};

use rove_agent::{
    drivers::{
        Driver, Recovered, TaskConfig, conformance,
        raw_exec::{RawExecDriver, RawExecOptions},
    },
    logs::LogKind,
    supervisor::{Program, spec::StateDir},
    sys::{cgroup::Hierarchy, tree},
};

use crate::{
    raw_exec::{RawExec, driver, read_log, shell, start, supervisor},
    support::until,
};

/// Supervisors in a mount namespace of their own, in which `hide` was run.
fn driver_behind(hide: &str) -> RawExecDriver {
    let hide = format!("{hide}; exec \"$0\" \"$@\"");
    let args = ["--mount", "--", "/bin/sh", "-c", &hide];
    RawExecDriver::new(RawExecOptions {
        enabled: true,
        program: Program {
            path: "/usr/bin/unshare".into(),
            args: args
                .into_iter()
                .chain([env!("CARGO_BIN_EXE_rove-supervise")])
                .map(Into::into)
                .collect(),
        },
        core_mhz: 2000.0,
    })
}

/// Supervisors that see no control groups, as in many containers.
pub fn driver_without_groups() -> RawExecDriver {
    driver_behind("umount -l /sys/fs/cgroup")
}

/// Supervisors that see only the old hierarchies, as on hosts of some years ago.
fn driver_with_old_groups() -> RawExecDriver {
    driver_behind(
        "grep ' cgroup2 ' /proc/mounts | while read -r _ path _; do umount -l \"$path\"; done",
    )
}

/// The old hierarchy of the freezer, mounted for as long as this lives where the host has it nowhere.
struct Freezer(Option<tempfile::TempDir>);

impl Freezer {
    /// None where there is none and none can be had.
    fn find() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: leaving a control group needs root");
            return None;
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let is_freezer = |line: &str| {
            let fields: Vec<&str> = line.split(' ').collect();
            fields[2] == "cgroup" && fields[3].split(',').any(|option| option == "freezer")
        };
        if mounts.lines().any(is_freezer) {
            return Some(Self(None));
        }
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "cgroup", "-o", "freezer", "rove-test"])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        rove_testkit::available("the old hierarchy of the freezer", mounted)
            .then_some(Self(Some(dir)))
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(dir.path())
                .status();
        }
    }
}

/// Control groups beside those of tasks, which are removed in the end.
struct Beside(String);

impl Beside {
    fn new(name: &str) -> Self {
        Self(format!("rove-test-{}-{name}", std::process::id()))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for line in fs::read_to_string("/proc/mounts").unwrap().lines() {
            if let Some(root) = line.split(' ').nth(1) {
                let own = Path::new(root).join(&self.0);
                let _ = fs::remove_dir(own.join("within"));
                let _ = fs::remove_dir(own);
            }
        }
    }
}

/// In the shell: `move PID GROUP` moves a process in every hierarchy that holds tasks (`.` is the root), `freeze GROUP`
/// freezes one there, `own` is the task's own.
const WORDS: &str = r#"
move() {
    while read -r _ root kind options _; do
        case "$kind,$options," in
            cgroup2,*|cgroup,*,freezer,*) mkdir -p "$root/$2"; echo "$1" > "$root/$2/cgroup.procs" ;;
        esac
    done < /proc/mounts
}
freeze() {
    while read -r _ root kind options _; do
        [ -d "$root/$1" ] && case "$kind,$options," in
            cgroup2,*) echo 1 > "$root/$1/cgroup.freeze" ;;
            cgroup,*,freezer,*) echo FROZEN > "$root/$1/freezer.state" ;;
        esac
    done < /proc/mounts
}
own() {
    grep rove.slice /proc/self/cgroup | sed -n 's/^0:://p; s/^[0-9]*:freezer://p' | head -n 1
}
"#;

/// The numbers that a task printed, one a line.
pub fn printed(config: &TaskConfig) -> Vec<i32> {
    read_log(config, LogKind::Stdout)
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect()
}

pub fn is_gone(pid: i32) -> bool {
    !rove_agent::sys::process::stat(pid).is_ok_and(|stat| !stat.is_dead())
}

pub async fn ready(config: &TaskConfig) {
    until("the task to be ready", || {
        read_log(config, LogKind::Stdout)
            .contains("ready\n")
            .then_some(())
    })
    .await;
}

/// A task that says which one it is in its environment, and these words before its script.
fn task(root: &Path, script: &str, beside: &Beside) -> TaskConfig {
    let script = format!("{WORDS}{}", script.replace("OTHER", &beside.0));
    let mut config = shell(root, &script);
    for (name, value) in [
        ("NOMAD_ALLOC_ID", config.task.alloc_id.to_string()),
        ("NOMAD_TASK_NAME", config.task.task.clone()),
    ] {
        config.env.insert(name.to_owned(), value);
    }
    config
}

/// What lives that was started with the task's own variables.
fn left_of(config: &TaskConfig) -> Vec<i32> {
    tree::with_environment(&[("NOMAD_ALLOC_ID", &config.task.alloc_id.to_string())])
}

/// The kind of hierarchy that the task's group is in.
fn hierarchy(config: &TaskConfig) -> Option<Hierarchy> {
    let started = StateDir::new(config.task.dir()).started().unwrap().unwrap();
    started.cgroup.map(|group| group.hierarchy)
}

type Drivers = [(&'static str, fn() -> RawExecDriver)];

const WITH_GROUPS: &Drivers = &[
    ("the host's own hierarchy", driver),
    ("the old hierarchy", driver_with_old_groups),
];

const ALL: &Drivers = &[
    ("the host's own hierarchy", driver),
    ("the old hierarchy", driver_with_old_groups),
    ("no hierarchy", driver_without_groups),
];

#[tokio::test]
async fn raw_exec_does_the_same_where_there_are_only_the_old_groups() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    let fixture = RawExec {
        root: tempfile::tempdir().unwrap(),
        driver: driver_with_old_groups,
    };
    conformance::check(&fixture).await;
    let config = shell(fixture.root.path(), "exec sleep 1000");
    let driver = driver_with_old_groups();
    let handle = start(&driver, &config).await;
    assert_eq!(hierarchy(&config), Some(Hierarchy::Freezer));
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_what_left_the_tasks_control_group() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    let ways = [
        (
            "the task itself",
            WITH_GROUPS,
            "move $$ .; trap '' INT TERM; echo $$; echo ready; while :; do sleep 1000; done",
        ),
        (
            "a daemon",
            WITH_GROUPS,
            "(setsid sh -c 'trap \"\" INT TERM HUP; echo $$; while :; do sleep 1000; done' &); \
             until [ -n \"$d\" ]; do d=$(head -n 1 ../logs/t.stdout.0); done; move $d .; echo ready; exec sleep 1000",
        ),
        (
            "a child in the group of another",
            WITH_GROUPS,
            "sleep 1000 & move $! OTHER; echo $!; echo $$; trap '' INT; echo ready; wait; wait; sleep 1000",
        ),
        (
            "a child in a group within the task's own",
            WITH_GROUPS,
            "sleep 1000 & move $! $(own)/within; echo $!; echo ready; exec sleep 1000",
        ),
        (
            "the supervisor in the task's own group",
            WITH_GROUPS,
            "move $PPID $(own); setsid sleep 1000 & move $! .; echo $!; echo ready; exec sleep 1000",
        ),
        (
            "a task that freezes itself",
            WITH_GROUPS,
            "sleep 1000 & echo $!; echo $$; echo ready; freeze $(own); sleep 1000",
        ),
        (
            "a child in a frozen group within the task's own",
            WITH_GROUPS,
            "own=$(own); sleep 1000 & move $! $own/within; freeze $own/within; echo $!; echo ready; exec sleep 1000",
        ),
        (
            "a child in a frozen group of another",
            WITH_GROUPS,
            "sleep 1000 & move $! OTHER; freeze OTHER; echo $!; echo ready; exec sleep 1000",
        ),
        (
            "a child in a group within a frozen one of another",
            WITH_GROUPS,
            "sleep 1000 & move $! OTHER/within; freeze OTHER; echo $!; echo ready; exec sleep 1000",
        ),
        (
            "a supervisor in a frozen group",
            WITH_GROUPS,
            "trap '' INT; exec >> ../logs/t.stdout.0; setsid sleep 1000 & echo $!; echo $$; move $PPID OTHER; \
             freeze OTHER; echo ready; while :; do sleep 1000; done",
        ),
        (
            "a daemon of a daemon",
            ALL,
            "(setsid sh -c '(setsid sh -c \"trap \\\"\\\" INT TERM HUP; echo \\$\\$; echo ready; \
             while :; do sleep 1000; done\" &)' &); exec sleep 1000",
        ),
        (
            "a daemon that stops itself",
            ALL,
            "(setsid sh -c 'echo $$; echo ready; kill -STOP $$; sleep 1000' &); exec sleep 1000",
        ),
    ];
    for (what, drivers, script) in ways {
        for (number, (on, driver)) in drivers.iter().enumerate() {
            let beside = Beside::new(&format!("{number}"));
            let root = tempfile::tempdir().unwrap();
            let driver = driver();
            let config = task(root.path(), script, &beside);
            let handle = start(&driver, &config).await;
            ready(&config).await;
            let pids = printed(&config);
            assert!(!pids.is_empty(), "{what}, {on}");
            driver
                .stop(&handle, None, Duration::from_millis(200))
                .await
                .unwrap_or_else(|error| panic!("{what}, {on}: {}", error.full_message()));
            let exit = driver.wait(&handle).await.unwrap();
            assert_ne!(exit.exit_code, 0, "{what}, {on}");
            for pid in pids {
                assert!(is_gone(pid), "{what}, {on}: {pid} lives");
            }
            assert_eq!(left_of(&config), Vec::<i32>::new(), "{what}, {on}");
            driver.destroy(&handle).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_stop_ends_a_task_that_forks_without_end() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    for (on, driver) in ALL {
        let beside = Beside::new("forks");
        let root = tempfile::tempdir().unwrap();
        let driver = driver();
        let script = "ulimit -u 60; bomb() { while :; do ( bomb ) & done; }; (bomb) 2> /dev/null & \
                      trap '' INT; echo ready; sleep 1000";
        let mut config = task(root.path(), script, &beside);
        config.user = Some("nobody".to_owned());
        let handle = start(&driver, &config).await;
        ready(&config).await;
        driver
            .stop(&handle, None, Duration::from_millis(100))
            .await
            .unwrap_or_else(|error| panic!("{on}: {}", error.full_message()));
        driver.wait(&handle).await.unwrap();
        assert_eq!(left_of(&config), Vec::<i32>::new(), "{on}");
        driver.destroy(&handle).await.unwrap();
    }
}

#[tokio::test]
async fn the_end_of_a_task_is_seen_whose_supervisor_is_in_a_frozen_group() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    for (on, driver) in WITH_GROUPS {
        let beside = Beside::new("frozen");
        let root = tempfile::tempdir().unwrap();
        let driver = driver();
        let script = "until [ -e go ]; do sleep 0.01; done; move $PPID OTHER; freeze OTHER; exit 5";
        let config = task(root.path(), script, &beside);
        let handle = start(&driver, &config).await;
        fs::write(config.task_dir.join("go"), b"").unwrap();
        let exit = tokio::time::timeout(rove_testkit::PATIENCE, driver.wait(&handle))
            .await
            .unwrap_or_else(|_| panic!("{on}: the end of the task is not seen"))
            .unwrap();
        assert_eq!(exit.exit_code, 5, "{on}");
        driver.destroy(&handle).await.unwrap();
    }
}

#[tokio::test]
async fn the_agent_ends_a_task_whose_supervisor_does_not_answer() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    let ways = [
        (
            "stopped before",
            "trap '' INT; setsid sleep 1000 & echo $!; echo $$; until [ -e go ]; do sleep 0.01; done; kill -STOP $PPID; echo ready; \
             while :; do sleep 1000; done",
        ),
        (
            "stopped when it is asked",
            "trap 'kill -STOP $PPID' INT; setsid sleep 1000 & echo $!; echo $$; echo ready; while :; do wait; done",
        ),
        (
            "stopped, and the task ends politely",
            "trap 'exit 7' INT; sleep 1000 & echo $!; echo $$; until [ -e go ]; do sleep 0.01; done; kill -STOP $PPID; echo ready; wait",
        ),
    ];
    for (what, script) in ways {
        for (on, driver) in ALL {
            let root = tempfile::tempdir().unwrap();
            let driver = driver();
            // Past its supervisor, which may be stopped before it has written anything.
            let script = format!("exec >> ../logs/t.stdout.0; {script}");
            let config = shell(root.path(), &script);
            let handle = start(&driver, &config).await;
            fs::write(config.task_dir.join("go"), b"").unwrap();
            ready(&config).await;
            let supervisor = supervisor(&handle);
            let timeout = if what.contains("politely") { 120 } else { 2 };
            driver
                .stop(&handle, None, Duration::from_secs(timeout))
                .await
                .unwrap_or_else(|error| panic!("{what}, {on}: {}", error.full_message()));
            let exit = driver.wait(&handle).await.unwrap();
            assert!(
                exit.err.unwrap_or_default().contains("did not answer"),
                "{what}, {on}"
            );
            if what.contains("politely") {
                assert_eq!((exit.exit_code, exit.signal), (7, 0), "{what}, {on}");
            } else {
                assert_eq!((exit.exit_code, exit.signal), (137, 9), "{what}, {on}");
            }
            for pid in printed(&config) {
                assert!(is_gone(pid), "{what}, {on}: {pid} lives");
            }
            assert!(!supervisor.is_alive(), "{what}, {on}");
            driver.destroy(&handle).await.unwrap();
            assert_eq!(
                driver.find(&config.task).await.unwrap(),
                None,
                "{what}, {on}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_killed_supervisor_leaves_is_killed_also_outside_of_its_group() {
    let Some(_freezer) = Freezer::find() else {
        return;
    };
    let daemon = "(setsid sh -c 'trap \"\" INT TERM HUP; echo $$; while :; do sleep 1000; done' &); \
                  until [ -n \"$d\" ]; do d=$(head -n 1 ../logs/t.stdout.0); done;";
    for (what, left) in [
        ("moved away", "move $d ."),
        ("moved away and frozen", "move $d OTHER; freeze OTHER"),
        ("stopped", "kill -STOP $d"),
    ] {
        for (on, driver) in WITH_GROUPS {
            let beside = Beside::new("left");
            let root = tempfile::tempdir().unwrap();
            let driver = driver();
            let script = format!("{daemon} {left}; echo ready; exec sleep 1000");
            let config = task(root.path(), &script, &beside);
            let handle = start(&driver, &config).await;
            ready(&config).await;
            let daemon = printed(&config)[0];
            assert!(!is_gone(daemon), "{what}, {on}");
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(supervisor(&handle).pid),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
            let exit = driver.wait(&handle).await.unwrap();
            assert_eq!(exit.signal, 9, "{what}, {on}");
            assert!(
                matches!(driver.recover(&handle).await.unwrap(), Recovered::Exited(_)),
                "{what}, {on}"
            );
            until("the daemon's end", || is_gone(daemon).then_some(())).await;
            driver.destroy(&handle).await.unwrap();
            assert_eq!(left_of(&config), Vec::<i32>::new(), "{what}, {on}");
        }
    }
}
