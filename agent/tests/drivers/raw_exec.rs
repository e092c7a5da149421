//! raw_exec and its supervisor, with real processes.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rove_agent::{
    drivers::{
        Driver, LogLimits, ProgressSender, Recovered, Signal, TaskConfig, TaskHandle,
        conformance::{self, Behaviour, Fixture},
        raw_exec::{RawExecDriver, RawExecOptions},
    },
    logs::{LogKind, file_path, list},
    supervisor::{Program, spec::StateDir},
    sys::ProcessId,
};
use serde_json::{Map, Value, json};

use crate::{
    groups::{driver_without_groups, is_gone, printed, ready},
    support::{self, until},
};

pub struct RawExec {
    pub root: tempfile::TempDir,
    pub driver: fn() -> RawExecDriver,
}

pub fn driver() -> RawExecDriver {
    RawExecDriver::new(RawExecOptions {
        enabled: true,
        program: Program {
            path: env!("CARGO_BIN_EXE_rove-supervise").into(),
            args: Vec::new(),
        },
        core_mhz: 2000.0,
    })
}

pub fn shell(root: &Path, script: &str) -> TaskConfig {
    support::task(root, json!({"command": "/bin/sh", "args": ["-c", script]}))
}

pub fn supervisor(handle: &TaskHandle) -> ProcessId {
    let stored = serde_json::to_value(handle).unwrap();
    serde_json::from_value(stored["supervisor"].clone()).unwrap()
}

pub async fn start(driver: &dyn Driver, config: &TaskConfig) -> TaskHandle {
    driver
        .start(config, &ProgressSender::ignored())
        .await
        .unwrap()
}

pub fn read_log(config: &TaskConfig, kind: LogKind) -> String {
    fs::read_to_string(file_path(&config.log_dir, &config.task.task, kind, 0)).unwrap_or_default()
}

impl Fixture for RawExec {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new((self.driver)())
    }

    fn after_restart(&self) -> Arc<dyn Driver> {
        Arc::new((self.driver)())
    }

    fn task(&self, behaviour: Behaviour) -> TaskConfig {
        let script = match behaviour {
            Behaviour::RunsOn => "exec sleep 1000",
            Behaviour::Exits(0) => "exit 0",
            Behaviour::Exits(code) => return shell(self.root.path(), &format!("exit {code}")),
            Behaviour::IgnoresStop => "trap '' TERM; echo ready; while :; do sleep 1000; done",
            Behaviour::Prints => "echo out; echo err >&2",
            Behaviour::CannotStart => {
                return support::task(self.root.path(), json!({"command": "/no/such/binary"}));
            }
        };
        shell(self.root.path(), script)
    }

    fn bad_config(&self) -> (Map<String, Value>, &'static str) {
        let config = json!({"comand": "x"});
        (config.as_object().unwrap().clone(), "command")
    }

    fn is_ready(&self, config: &TaskConfig) -> bool {
        read_log(config, LogKind::Stdout) == "ready\n"
    }

    fn stopped(&self, result: &rove_agent::drivers::ExitResult) -> bool {
        result.exit_code == 143 && result.signal == 15
    }
}

#[tokio::test]
async fn raw_exec_does_what_all_drivers_do() {
    let fixture = RawExec {
        root: tempfile::tempdir().unwrap(),
        driver,
    };
    conformance::check(&fixture).await;
}

#[tokio::test]
async fn raw_exec_does_the_same_where_there_are_no_control_groups() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: hiding the control groups needs root");
        return;
    }
    let fixture = RawExec {
        root: tempfile::tempdir().unwrap(),
        driver: driver_without_groups,
    };
    conformance::check(&fixture).await;
    let driver = driver_without_groups();
    let config = shell(
        fixture.root.path(),
        "setsid sh -c 'trap \"\" TERM INT HUP; sleep 1000' & echo $!; exit 4",
    );
    let handle = start(&driver, &config).await;
    assert!(
        StateDir::new(config.task.dir())
            .started()
            .unwrap()
            .unwrap()
            .cgroup
            .is_none()
    );
    assert_eq!(driver.wait(&handle).await.unwrap().exit_code, 4);
    let pid = read_log(&config, LogKind::Stdout);
    assert!(!Path::new("/proc").join(pid.trim()).join("exe").exists());
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_task_goes_on_when_the_agent_and_its_launcher_are_killed() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(
        root.path(),
        "n=0; while [ ! -e stop ]; do n=$((n+1)); echo $n; sleep 0.01; done",
    );
    let first = driver();
    let handle = start(&first, &config).await;
    // The launcher ends with its agent, as it does when the agent is killed: both lose the connection.
    drop(first);
    let lines = || read_log(&config, LogKind::Stdout).lines().count();
    let seen = lines();
    until("more output", || (lines() > seen + 3).then_some(())).await;
    let next = driver();
    assert_eq!(next.recover(&handle).await.unwrap(), Recovered::Running);
    fs::write(config.task_dir.join("stop"), b"").unwrap();
    assert_eq!(next.wait(&handle).await.unwrap().exit_code, 0);
    let log = read_log(&config, LogKind::Stdout);
    let expected: String = (1..=log.lines().count())
        .map(|number| format!("{number}\n"))
        .collect();
    assert_eq!(log, expected, "no line lost and none twice");
    next.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_late_supervisor_finds_nothing_once_the_next_agent_has_looked() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "exec sleep 1000");
    let first = driver();
    let handle = start(&first, &config).await;
    first.destroy(&handle).await.unwrap();
    // An agent that died after it asked, before its launcher came to it.
    let state = StateDir::new(config.task.dir());
    state
        .offer(&json!({
            "task": "t", "program": "/bin/sleep", "called": "sleep", "args": ["1000"], "env": {},
            "work_dir": "/", "identity": null, "cgroup": "late-test.scope",
            "log_dir": config.log_dir, "logs": {"max_files": 1, "max_file_mb": 1}
        }))
        .unwrap();
    let next = driver();
    assert_eq!(next.find(&config.task).await.unwrap(), None);
    let late = std::process::Command::new(env!("CARGO_BIN_EXE_rove-supervise"))
        .arg(config.task.dir())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&late.stderr).contains("claim"));
    assert_eq!(next.find(&config.task).await.unwrap(), None);
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_task_along_and_the_next_look_says_so() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "sleep 1000 & echo $! $$; wait");
    let driver = driver();
    let handle = start(&driver, &config).await;
    let pids = until("the pids", || {
        let log = read_log(&config, LogKind::Stdout);
        log.ends_with('\n').then_some(log)
    })
    .await;
    let supervisor = supervisor(&handle);
    let waiting = driver.wait(&handle);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(supervisor.pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let result = waiting.await.unwrap();
    assert_eq!((result.exit_code, result.signal), (137, 9));
    assert!(result.err.unwrap().contains("supervisor"));
    for pid in pids.split_whitespace() {
        assert!(
            !Path::new("/proc").join(pid).join("exe").exists(),
            "{pid} lives"
        );
    }
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn nothing_that_a_task_left_behind_lives_on_or_holds_up_its_end() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(
        root.path(),
        "setsid sh -c 'trap \"\" TERM INT HUP; sleep 1000' & echo $!; exit 4",
    );
    let driver = driver();
    let handle = start(&driver, &config).await;
    assert_eq!(driver.wait(&handle).await.unwrap().exit_code, 4);
    let pid = read_log(&config, LogKind::Stdout);
    assert!(!Path::new("/proc").join(pid.trim()).join("exe").exists());
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_gigabyte_of_output_leaves_full_files_within_the_limit_and_a_small_supervisor() {
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(
        root.path(),
        "yes 0123456789012345678901234567890123456789 | head -c 1073741823; echo end; sleep 1000",
    );
    config.logs = Some(LogLimits {
        max_files: 3,
        max_file_mb: 5,
    });
    let driver = driver();
    let handle = start(&driver, &config).await;
    let files = || list(&config.log_dir, "t", LogKind::Stdout).unwrap();
    until("the end", || {
        for file in files() {
            assert!(file.size <= 5 << 20, "{file:?}");
        }
        let last = files().last().copied()?;
        let path = file_path(&config.log_dir, "t", LogKind::Stdout, last.index);
        fs::read_to_string(path)
            .ok()?
            .ends_with("end\n")
            .then_some(())
    })
    .await;
    let files = files();
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(files.last().unwrap().index, 204, "{files:?}");
    let supervisor = supervisor(&handle);
    let memory = support::private_kib(supervisor.pid);
    assert!(memory < 1024, "the supervisor has {memory} KiB of its own");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_task_sees_its_own_environment_directory_and_signals_only() {
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(
        root.path(),
        "env | sort; pwd; grep -E 'SigBlk|SigIgn' /proc/self/status | tr 18 00; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0",
    );
    config.env.insert("GREETING".to_owned(), "a b".to_owned());
    let driver = driver();
    let handle = start(&driver, &config).await;
    driver.wait(&handle).await.unwrap();
    let log = read_log(&config, LogKind::Stdout);
    let dir = config.task_dir.display();
    // The fourth descriptor is the one that `ls` reads the directory with. The two signals that the C library keeps
    // for itself, which nobody but it can set, may be ignored by whoever runs the tests.
    assert_eq!(
        log,
        format!(
            "GREETING=a b\nPATH=/usr/bin:/bin\nPWD={dir}\n{dir}\n\
             SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n4\n/dev/null\n"
        )
    );
    let state: Vec<_> = fs::read_dir(config.task.dir())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("GREETING"))
        })
        .collect();
    assert!(
        state.is_empty(),
        "the environment stays on no disk: {state:?}"
    );
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_supervisor_whose_directory_was_removed_ends_with_its_task() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "while [ ! -e stop ]; do sleep 0.01; done");
    let handle = start(&driver(), &config).await;
    let supervisor = supervisor(&handle);
    fs::remove_dir_all(config.task.dir()).unwrap();
    assert!(supervisor.is_alive(), "the task goes on");
    fs::write(config.task_dir.join("stop"), b"").unwrap();
    until("the supervisor's end", || {
        (!supervisor.is_alive()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_launch_that_fails_says_why() {
    let root = tempfile::tempdir().unwrap();
    let script = root.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let mut user = shell(root.path(), "true");
    user.user = Some("nobody-of-that-name".to_owned());
    let mut gone = shell(root.path(), "true");
    gone.task_dir = root.path().join("gone");
    let driver = driver();
    for (config, message) in [
        (
            support::task(root.path(), json!({"command": "/no/such/binary"})),
            r#"binary "/no/such/binary" could not be found"#,
        ),
        (
            support::task(root.path(), json!({"command": script})),
            "could not be found",
        ),
        (
            support::task(root.path(), json!({"command": "/etc"})),
            "could not be executed: Permission denied",
        ),
        (user, r#"there is no user "nobody-of-that-name""#),
        (gone, "failed to enter the working directory"),
    ] {
        let error = driver
            .start(&config, &ProgressSender::ignored())
            .await
            .unwrap_err();
        let text = error.full_message();
        assert!(
            text.starts_with("failed to launch command with executor: ") && text.contains(message),
            "{text}"
        );
        assert!(error.is_recoverable());
        assert_eq!(driver.find(&config.task).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_driver_that_is_not_enabled_starts_nothing() {
    let root = tempfile::tempdir().unwrap();
    let driver = RawExecDriver::new(RawExecOptions {
        enabled: false,
        program: Program::this_binary(),
        core_mhz: 1.0,
    });
    assert!(!driver.fingerprint().await.detected);
    let error = driver
        .start(&shell(root.path(), "true"), &ProgressSender::ignored())
        .await
        .unwrap_err();
    assert!(!error.is_recoverable(), "{error}");
}

#[tokio::test]
async fn a_handle_of_another_boot_is_gone_and_its_number_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "exec sleep 1000");
    let driver = driver();
    let handle = start(&driver, &config).await;
    // As after a reboot: the files say an earlier boot, the lock is free, the number belongs to someone else.
    driver
        .stop(&handle, Some(Signal::KILL), Duration::ZERO)
        .await
        .unwrap();
    let state = StateDir::new(config.task.dir());
    let mut started = state.started().unwrap().unwrap();
    let mut bystander = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    started.supervisor.pid = i32::try_from(bystander.id()).unwrap();
    started.supervisor.boot_id = "another".to_owned();
    fs::remove_file(state.file("exit.json")).unwrap();
    state.record_started(&started).unwrap();
    let handle = driver.find(&config.task).await.unwrap().unwrap();
    assert_eq!(driver.recover(&handle).await.unwrap(), Recovered::Gone);
    driver.stop(&handle, None, Duration::ZERO).await.unwrap();
    driver.destroy(&handle).await.unwrap();
    assert!(
        bystander.try_wait().unwrap().is_none(),
        "a stranger was killed"
    );
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_record_that_was_lost_with_the_power_is_of_a_task_that_is_gone() {
    for (what, boot, held, gone) in [
        ("after a reboot", Some("another"), false, true),
        ("when its supervisor is gone", None, false, true),
        ("but not while a supervisor lives", None, true, false),
    ] {
        for content in [&b""[..], &[0; 100], b"{\"supervisor\":"] {
            let root = tempfile::tempdir().unwrap();
            let config = shell(root.path(), "exec sleep 1000");
            let driver = driver();
            let mut handle = start(&driver, &config).await;
            driver
                .stop(&handle, Some(Signal::KILL), Duration::ZERO)
                .await
                .unwrap();
            driver.wait(&handle).await.unwrap();
            let state = StateDir::new(config.task.dir());
            fs::remove_file(state.file("exit.json")).unwrap();
            fs::write(state.file("supervisor.json"), content).unwrap();
            if let Some(boot) = boot {
                let mut stored = serde_json::to_value(&handle).unwrap();
                stored["supervisor"]["boot_id"] = boot.into();
                handle = serde_json::from_value(stored).unwrap();
            }
            let lock = held.then(|| state.lock_in_time().unwrap().unwrap());
            let found = driver.recover(&handle).await;
            match found {
                Ok(found) => assert_eq!((found, gone), (Recovered::Gone, true), "{what}"),
                Err(_) => assert!(!gone, "{what}"),
            }
            drop(lock);
            // Nothing is in the way of the next start.
            driver.destroy(&handle).await.unwrap();
            let next = start(&driver, &config).await;
            assert_eq!(driver.recover(&next).await.unwrap(), Recovered::Running);
            driver.destroy(&next).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_task_without_logs_writes_none_and_runs_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(root.path(), "echo out && echo err >&2 && echo done > said");
    config.logs = None;
    let driver = driver();
    let handle = start(&driver, &config).await;
    assert!(driver.wait(&handle).await.unwrap().successful());
    assert_eq!(
        fs::read_to_string(config.task_dir.join("said")).unwrap(),
        "done\n"
    );
    assert_eq!(fs::read_dir(&config.log_dir).unwrap().count(), 0);
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn fifty_tasks_start_at_once() {
    let root = tempfile::tempdir().unwrap();
    let driver = driver();
    let configs: Vec<_> = (0..50)
        .map(|_| shell(root.path(), "exec sleep 1000"))
        .collect();
    let begun = Instant::now();
    let handles =
        futures::future::join_all(configs.iter().map(|config| start(&driver, config))).await;
    let took = begun.elapsed();
    let supervisors: Vec<i32> = handles
        .iter()
        .map(|handle| supervisor(handle).pid)
        .collect();
    let pss: u64 = supervisors
        .iter()
        .map(|pid| {
            fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
                .unwrap()
                .lines()
                .find_map(|line| line.strip_prefix("Pss:"))
                .unwrap()
                .trim()
                .strip_suffix(" kB")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    println!(
        "50 tasks started in {took:?}; {} KiB PSS a supervisor",
        pss / 50
    );
    futures::future::join_all(handles.iter().map(|handle| driver.destroy(handle)))
        .await
        .into_iter()
        .for_each(|done| done.unwrap());
    for pid in supervisors {
        assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
    }
}

#[tokio::test]
#[ignore = "is run by the next test, and killed"]
async fn agent_that_starts_a_process() {
    let Some(root) = support::agent_root() else {
        return;
    };
    let config = shell(&root, "echo started >> once; exec sleep 1000");
    support::note(&root, &config);
    start(&driver(), &config).await;
    std::future::pending().await
}

#[tokio::test]
async fn a_process_whose_agent_was_killed_before_it_recorded_it_is_found_and_not_started_twice() {
    // Killed at several moments: while the launcher starts, while the supervisor does, after it did.
    for delay in [0, 2, 4, 8, 16, 32, 64, 128] {
        let root = tempfile::tempdir().unwrap();
        let mut agent =
            support::agent_process("raw_exec::agent_that_starts_a_process", root.path());
        let task = until("the note", || support::noted(root.path())).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        agent.kill().unwrap();
        agent.wait().unwrap();
        let mut config = shell(root.path(), "echo started >> once; exec sleep 1000");
        config.task_dir = task.dir().parent().unwrap().join("t");
        config.task = task;
        let next = driver();
        let found = next.find(&config.task).await.unwrap();
        let handle = match found {
            Some(handle) => handle,
            None => start(&next, &config).await,
        };
        assert_eq!(next.recover(&handle).await.unwrap(), Recovered::Running);
        let once = until("the task's word", || {
            fs::read_to_string(config.task_dir.join("once")).ok()
        })
        .await;
        assert_eq!(once, "started\n", "killed after {delay} ms");
        next.destroy(&handle).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_that_removes_the_way_to_its_supervisor_is_stopped_all_the_same() {
    for what in [
        "removed",
        "a file in its place",
        "a socket that ends every connection",
    ] {
        let root = tempfile::tempdir().unwrap();
        let driver = driver();
        let script = "trap '' INT TERM; echo $$; echo ready; while :; do sleep 1000; done";
        let config = shell(root.path(), script);
        let handle = start(&driver, &config).await;
        ready(&config).await;
        // As a task can that runs as the agent's user.
        let control = config.task.dir().join("control");
        fs::remove_file(&control).unwrap();
        let mut closing = None;
        if what.starts_with("a file") {
            fs::write(&control, b"").unwrap();
        } else if what.starts_with("a socket") {
            let listener = tokio::net::UnixListener::bind(&control).unwrap();
            closing = Some(tokio::spawn(async move {
                while listener.accept().await.is_ok() {}
            }));
        }
        driver
            .stop(&handle, None, Duration::from_millis(100))
            .await
            .unwrap_or_else(|error| panic!("{what}: {}", error.full_message()));
        for pid in printed(&config) {
            assert!(is_gone(pid), "{what}: {pid} lives");
        }
        let exit = driver.wait(&handle).await.unwrap();
        assert_eq!((exit.exit_code, exit.signal), (137, 9), "{what}");
        driver.destroy(&handle).await.unwrap();
        assert_eq!(driver.find(&config.task).await.unwrap(), None, "{what}");
        if let Some(closing) = closing {
            closing.abort();
        }
    }
}

#[tokio::test]
async fn a_task_with_a_stopped_supervisor_is_removed_and_its_end_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let driver = driver();
    // At once, before its supervisor could record that it runs: the start is seen all the same.
    let config = shell(root.path(), "kill -STOP $PPID; exit 5");
    let handle = start(&driver, &config).await;
    let exit = driver.wait(&handle).await.unwrap();
    assert_eq!(exit.exit_code, 5);
    driver.destroy(&handle).await.unwrap();

    let script = "until [ -e go ]; do sleep 0.01; done; kill -STOP $PPID; exit 5";
    let config = shell(root.path(), script);
    let handle = start(&driver, &config).await;
    fs::write(config.task_dir.join("go"), b"").unwrap();
    let exit = tokio::time::timeout(rove_testkit::PATIENCE, driver.wait(&handle))
        .await
        .expect("the end of the task is seen")
        .unwrap();
    assert_eq!(exit.exit_code, 5);
    driver.destroy(&handle).await.unwrap();

    let script = "until [ -e go ]; do sleep 0.01; done; kill -STOP $PPID; exec sleep 1000";
    let config = shell(root.path(), script);
    let handle = start(&driver, &config).await;
    fs::write(config.task_dir.join("go"), b"").unwrap();
    let supervisor = supervisor(&handle);
    until("the supervisor to be stopped", || {
        let stat = rove_agent::sys::process::stat(supervisor.pid).unwrap();
        (stat.state == b'T').then_some(())
    })
    .await;
    driver.destroy(&handle).await.unwrap();
    assert!(!supervisor.is_alive());
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
}

#[tokio::test]
async fn a_supervisor_that_is_killed_while_it_starts_is_answered_for_at_once() {
    use rove_agent::supervisor::{Launcher, Outcome, client::Work};

    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "exec sleep 1000");
    let state = StateDir::new(config.task.dir());
    // It waits for whoever writes the specification.
    nix::unistd::mkfifo(
        &state.file("spec.json"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    let launcher = Launcher::new(Program {
        path: env!("CARGO_BIN_EXE_rove-supervise").into(),
        args: Vec::new(),
    });
    let launch = launcher.launch(Work::Task, config.task.dir());
    let kill = async {
        let lock = state.file("lock");
        let holder = until("the supervisor", || {
            fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let open = fs::read_dir(entry.path().join("fd")).ok()?;
                open.flatten()
                    .any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == lock))
                    .then_some(pid)
            })
        })
        .await;
        until("it to claim", || {
            state.file("claimed.json").exists().then_some(())
        })
        .await;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(holder),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
    };
    let (outcome, ()) = tokio::join!(launch, kill);
    let Ok(Outcome::Failed(problem)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(problem.to_string().contains("was killed"), "{problem}");
}

#[tokio::test]
async fn a_task_on_a_full_disk_is_stopped_and_its_end_is_told() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: a disk of its own needs root");
        return;
    }
    for killed in [false, true] {
        let disk = rove_testkit::SmallDisk::mount(1);
        let driver = driver();
        let config = shell(disk.path(), "exec sleep 1000");
        let handle = start(&driver, &config).await;
        disk.fill();
        if killed {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(supervisor(&handle).pid),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
        } else {
            driver
                .stop(&handle, Some(Signal::TERM), Duration::from_secs(10))
                .await
                .unwrap();
        }
        let exit = tokio::time::timeout(rove_testkit::PATIENCE, driver.wait(&handle))
            .await
            .expect("its end is told while the disk is full")
            .unwrap();
        assert_eq!(exit.signal, if killed { 9 } else { 15 });
        driver.destroy(&handle).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_runs_as_its_user_with_the_groups_of_that() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: becoming another user needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let driver = driver();
    let mut config = shell(
        root.path(),
        "id -un; id -gn; id -G; grep CapEff /proc/self/status",
    );
    config.user = Some("daemon".to_owned());
    let handle = start(&driver, &config).await;
    assert_eq!(driver.wait(&handle).await.unwrap().exit_code, 0);
    let log = read_log(&config, LogKind::Stdout);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..3], ["daemon", "daemon", "1"]);
    assert!(lines[3].ends_with("0000000000000000"), "{log}");
    driver.destroy(&handle).await.unwrap();

    for (user, said) in [("1", "1 1"), ("0", "0 0"), ("54321", "54321 54321")] {
        let mut config = shell(root.path(), "echo $(id -u) $(id -g); id -G | wc -w");
        config.user = Some(user.to_owned());
        let handle = start(&driver, &config).await;
        assert_eq!(driver.wait(&handle).await.unwrap().exit_code, 0, "{user}");
        let log = read_log(&config, LogKind::Stdout);
        assert!(log.starts_with(&format!("{said}\n")), "{user}: {log}");
        if user == "54321" {
            assert!(log.ends_with("\n1\n"), "{user}: {log}");
        }
        driver.destroy(&handle).await.unwrap();
    }

    for user in [
        "no-such-user",
        "-1",
        "+1",
        "4294967295",
        "99999999999",
        "1 ",
        "1:1",
    ] {
        let mut config = shell(root.path(), "id");
        config.user = Some(user.to_owned());
        let error = driver
            .start(&config, &ProgressSender::ignored())
            .await
            .unwrap_err();
        assert_eq!(
            error.full_message(),
            format!("failed to launch command with executor: there is no user {user:?}")
        );
        assert_eq!(driver.find(&config.task).await.unwrap(), None);
    }
}
