//! The docker driver on a real engine, with the local image `redis:3.2` that `scripts/images/redis.sh` makes.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rove_agent::{
    drivers::{
        Driver, DriverError, LogLimits, ProgressSender, Recovered, Signal, TaskConfig, TaskHandle,
        TaskMount, TaskPort,
        conformance::{self, Behaviour, Fixture},
        docker::{Allowed, DockerDriver, DockerOptions},
    },
    logs::{LogKind, file_path, list},
    supervisor::Program,
};
use serde_json::{Map, Value, json};

use crate::support::{self, until};

pub const IMAGE: &str = "redis:3.2";

fn options(endpoint: Option<String>) -> DockerOptions {
    let usual = DockerOptions::new(2000.0, 2);
    DockerOptions {
        endpoint: endpoint.unwrap_or(usual.endpoint.clone()),
        program: Program {
            path: env!("CARGO_BIN_EXE_rove-supervise").into(),
            args: Vec::new(),
        },
        ..usual
    }
}

/// The driver, or None where no engine is: tests are skipped then.
pub async fn engine() -> Option<DockerDriver> {
    let driver = DockerDriver::new(options(None));
    let what = format!("a docker engine at {}", options(None).endpoint);
    let there = driver.fingerprint().await.healthy;
    rove_testkit::available(&what, there).then_some(driver)
}

fn shell(root: &Path, script: &str) -> TaskConfig {
    support::task(
        root,
        json!({"image": IMAGE, "command": "/bin/sh", "args": ["-c", script]}),
    )
}

fn id(handle: &TaskHandle) -> String {
    let stored = serde_json::to_value(handle).unwrap();
    stored["container_id"].as_str().unwrap().to_owned()
}

async fn start(driver: &dyn Driver, config: &TaskConfig) -> TaskHandle {
    driver
        .start(config, &ProgressSender::ignored())
        .await
        .unwrap_or_else(|error| panic!("{}", error.full_message()))
}

fn read_log(config: &TaskConfig, kind: LogKind) -> String {
    fs::read_to_string(file_path(&config.log_dir, &config.task.task, kind, 0)).unwrap_or_default()
}

/// Runs docker's own command line.
pub fn docker(args: &[&str]) -> String {
    let done = std::process::Command::new("docker")
        .args(args)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// The process that keeps a task's output, found as an operator would; None when there is none.
fn keeper(config: &TaskConfig) -> Option<i32> {
    let lock = fs::metadata(config.task.dir().join("lock")).ok()?;
    let inode = std::os::unix::fs::MetadataExt::ino(&lock);
    fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .find(|line| line.contains("FLOCK") && line.contains(&format!(":{inode} ")))
        .and_then(|line| line.split_whitespace().nth(4)?.parse().ok())
}

/// Kills it, and waits until it is gone: a killed process holds its lock for a while.
async fn kill_keeper(config: &TaskConfig) {
    let pid = keeper(config).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    until("the keeper to be gone", || {
        (keeper(config) != Some(pid)).then_some(())
    })
    .await;
}

struct Docker {
    root: tempfile::TempDir,
}

impl Fixture for Docker {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(DockerDriver::new(options(None)))
    }

    fn after_restart(&self) -> Arc<dyn Driver> {
        self.driver()
    }

    fn task(&self, behaviour: Behaviour) -> TaskConfig {
        let script = match behaviour {
            // A first process without a handler gets no signal but the last.
            Behaviour::RunsOn => "trap 'exit 143' TERM INT; sleep 1000 & wait",
            Behaviour::Exits(code) => return shell(self.root.path(), &format!("exit {code}")),
            Behaviour::IgnoresStop => "trap '' TERM; echo ready; sleep 1000",
            Behaviour::Prints => "echo out; echo err >&2",
            Behaviour::CannotStart => {
                return support::task(
                    self.root.path(),
                    json!({"image": IMAGE, "command": "/no/such/binary"}),
                );
            }
        };
        shell(self.root.path(), script)
    }

    fn bad_config(&self) -> (Map<String, Value>, &'static str) {
        let config = json!({"image": IMAGE, "imag": "x"});
        (config.as_object().unwrap().clone(), "imag")
    }

    fn is_ready(&self, config: &TaskConfig) -> bool {
        read_log(config, LogKind::Stdout) == "ready\n"
    }

    fn stopped(&self, result: &rove_agent::drivers::ExitResult) -> bool {
        matches!(result.exit_code, 137 | 143)
    }
}

#[tokio::test]
async fn docker_does_what_all_drivers_do() {
    if engine().await.is_none() {
        return;
    }
    let fixture = Docker {
        root: tempfile::tempdir().unwrap(),
    };
    conformance::check(&fixture).await;
}

#[tokio::test]
async fn redis_runs_as_the_job_file_says_and_answers_on_its_published_port() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = support::task(
        root.path(),
        json!({"image": IMAGE, "ports": ["db"], "labels": [{"team": "cache"}], "hostname": "inside"}),
    );
    let port = rove_testkit::free_port();
    config.ports = vec![TaskPort {
        label: "db".to_owned(),
        host: port,
        to: 6379,
        host_ip: Some("127.0.0.1".parse().unwrap()),
        of_task: false,
    }];
    config
        .env
        .insert("NOMAD_PORT_db".to_owned(), "6379".to_owned());
    let shared = root.path().join("alloc");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("word"), "hello").unwrap();
    config.mounts = vec![TaskMount {
        host: shared,
        task: "/alloc".into(),
        read_only: false,
    }];
    let handle = start(&driver, &config).await;
    let answer = until("redis", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).ok()?;
        Some(answer)
    })
    .await;
    assert_eq!(&answer, b"+PONG\r\n");
    let name = config.task.unique_name();
    assert_eq!(docker(&["exec", &name, "cat", "/alloc/word"]), "hello");
    let env = docker(&["exec", &name, "env"]);
    assert!(
        env.contains("NOMAD_PORT_db=6379") && env.contains("HOSTNAME=inside"),
        "{env}"
    );
    let described = docker(&["inspect", "--format", "{{json .}}", &id(&handle)]);
    let described: Value = serde_json::from_str(&described).unwrap();
    let labels = &described["Config"]["Labels"];
    assert_eq!(labels["team"], "cache");
    let alloc = config.task.alloc_id.to_string();
    assert_eq!(labels["com.hashicorp.nomad.alloc_id"], alloc);
    let host = &described["HostConfig"];
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["CpuShares"], 100);
    assert_eq!(
        host["PortBindings"]["6379/udp"],
        json!([{"HostIp": "127.0.0.1", "HostPort": port.to_string()}])
    );
    until("the banner", || {
        read_log(&config, LogKind::Stdout)
            .contains("Ready to accept connections")
            .then_some(())
    })
    .await;
    driver.stats(&handle).await.unwrap();
    let stats = driver.stats(&handle).await.unwrap().usage;
    assert!(stats.memory.rss > 100_000, "{stats:?}");
    assert!(stats.memory.usage >= stats.memory.rss, "{stats:?}");
    // redis ends politely: 0, not the signal's code.
    driver
        .stop(&handle, None, Duration::from_secs(120))
        .await
        .unwrap();
    let result = driver.wait(&handle).await.unwrap();
    assert!(result.successful(), "{result:?}");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_port_that_the_task_was_not_given_is_refused() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    for key in ["ports", "port_map"] {
        let value = if key == "ports" {
            json!(["db"])
        } else {
            json!({"db": 1})
        };
        let config = support::task(root.path(), json!({"image": IMAGE, key: value}));
        let error = driver
            .start(&config, &ProgressSender::ignored())
            .await
            .unwrap_err();
        assert!(
            matches!(error, DriverError::UnknownPort { .. }),
            "{error:?}"
        );
        assert!(!error.is_recoverable());
    }
}

#[tokio::test]
async fn a_port_in_use_fails_the_start_with_the_engines_reason_and_leaves_nothing() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut config = support::task(root.path(), json!({"image": IMAGE, "ports": ["db"]}));
    config.ports = vec![TaskPort {
        label: "db".to_owned(),
        host: port,
        to: 6379,
        host_ip: Some("127.0.0.1".parse().unwrap()),
        of_task: false,
    }];
    let error = driver
        .start(&config, &ProgressSender::ignored())
        .await
        .unwrap_err();
    let message = error.full_message();
    assert!(
        message.contains("failed to start the container") && message.contains(&port.to_string()),
        "{message}"
    );
    assert!(error.is_recoverable());
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
    let left = docker(&[
        "ps",
        "-aq",
        "--filter",
        &format!("name={}", config.task.unique_name()),
    ]);
    assert_eq!(left, "");
}

#[tokio::test]
async fn an_image_that_can_not_be_pulled_says_why_and_may_be_tried_again() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let config = support::task(root.path(), json!({"image": "localhost:1/none:7"}));
    let (sender, mut progress) = ProgressSender::channel();
    let error = driver.start(&config, &sender).await.unwrap_err();
    let message = error.full_message();
    assert!(
        message.starts_with("Failed to pull `localhost:1/none:7`: ")
            && message.contains("connection refused"),
        "{message}"
    );
    assert!(error.is_recoverable());
    let word = progress.recv().await.unwrap();
    assert_eq!(word.message, "Downloading image");
    assert_eq!(word.details["image"], "localhost:1/none:7");
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
}

#[tokio::test]
async fn a_container_made_but_not_started_by_a_killed_agent_is_removed_and_made_anew() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let config = shell(root.path(), "exec sleep 1000");
    let label = |name: &str, value: &str| format!("--label={name}={value}");
    let left = docker(&[
        "create",
        "--name",
        &config.task.unique_name(),
        &label("rove.alloc_id", &config.task.alloc_id.to_string()),
        &label("rove.task", &config.task.task),
        IMAGE,
    ]);
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
    let handle = start(&driver, &config).await;
    assert_ne!(id(&handle), left);
    let filter = format!("label=rove.alloc_id={}", config.task.alloc_id);
    let all = docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]);
    assert_eq!(all, id(&handle), "one container for one task");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_when_the_agent_dies_or_the_keeper_of_the_output_is_killed() {
    let Some(first) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(
        root.path(),
        "n=0; while [ ! -e /alloc/stop ]; do n=$((n+1)); echo $n; sleep 0.05; done; echo end",
    );
    let shared = root.path().join("alloc");
    fs::create_dir(&shared).unwrap();
    config.mounts = vec![TaskMount {
        host: shared.clone(),
        task: "/alloc".into(),
        read_only: true,
    }];
    let handle = start(&first, &config).await;
    drop(first);
    let lines = || read_log(&config, LogKind::Stdout).lines().count();
    until("output without an agent", || (lines() > 10).then_some(())).await;
    let next = Arc::new(DockerDriver::new(options(None)));
    assert_eq!(next.recover(&handle).await.unwrap(), Recovered::Running);
    let seen = lines();
    until("more output", || (lines() > seen + 3).then_some(())).await;
    kill_keeper(&config).await;
    let seen = lines();
    assert_eq!(next.recover(&handle).await.unwrap(), Recovered::Running);
    until("output again", || (lines() > seen + 3).then_some(())).await;
    // Who waits for the container's end replaces it without being asked.
    let (waiting, of) = (Arc::clone(&next), handle.clone());
    let waiting = tokio::spawn(async move { waiting.wait(&of).await });
    kill_keeper(&config).await;
    let seen = lines();
    until("output once more", || (lines() > seen + 3).then_some(())).await;
    fs::write(shared.join("stop"), b"").unwrap();
    assert!(waiting.await.unwrap().unwrap().successful());
    let log = read_log(&config, LogKind::Stdout);
    let last = log.lines().count() - 1;
    let expected: String = (1..=last).map(|number| format!("{number}\n")).collect();
    assert_eq!(log, expected + "end\n");
    next.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_container_without_logs_has_no_keeper_and_no_files() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(root.path(), "echo out; exit 3");
    config.logs = None;
    let handle = start(&driver, &config).await;
    assert_eq!(driver.wait(&handle).await.unwrap().exit_code, 3);
    assert_eq!(fs::read_dir(&config.log_dir).unwrap().count(), 0);
    assert_eq!(fs::read_dir(config.task.dir()).unwrap().count(), 0);
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_output_leaves_full_files_within_the_limit_and_little_memory() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(
        root.path(),
        "busybox=/bin/busybox; $busybox yes 0123456789012345678901234567890123456789 | $busybox head -c 268435455; \
         echo end; sleep 1000",
    );
    config.logs = Some(LogLimits {
        max_files: 3,
        max_file_mb: 5,
    });
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
    assert_eq!(
        files.last().unwrap().index,
        51,
        "every byte came: {files:?}"
    );
    let memory = support::private_kib(keeper(&config).unwrap());
    assert!(memory < 1024, "its keeper has {memory} KiB of its own");
    println!("{memory} KiB for the keeper of a container's output");
    let engines = docker(&["inspect", "--format", "{{.LogPath}}", &id(&handle)]);
    let engines: u64 = fs::read_dir(Path::new(&engines).parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(engines < 6 << 20, "the engine keeps {engines} bytes");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_task_without_memory_left_says_so() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(root.path(), "exec /bin/busybox tail /dev/zero");
    config.limits.memory_mb = 16;
    let handle = start(&driver, &config).await;
    let result = driver.wait(&handle).await.unwrap();
    assert!(result.oom_killed, "{result:?}");
    assert_eq!(result.err.as_deref(), Some("OOM Killed"));
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn the_jobs_own_stop_signal_is_the_containers_as_well() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let mut config = shell(
        root.path(),
        "trap 'echo interrupted; exit 5' INT; echo ready; sleep 1000 & wait",
    );
    config.kill_signal = Some(Signal::INT);
    let handle = start(&driver, &config).await;
    until("the trap", || {
        (read_log(&config, LogKind::Stdout) == "ready\n").then_some(())
    })
    .await;
    driver
        .stop(&handle, Some(Signal::INT), Duration::from_secs(120))
        .await
        .unwrap();
    let result = driver.wait(&handle).await.unwrap();
    assert_eq!(result.exit_code, 5, "{result:?}");
    assert_eq!(read_log(&config, LogKind::Stdout), "ready\ninterrupted\n");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn a_terminal_has_one_stream() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let config = support::task(
        root.path(),
        json!({"image": IMAGE, "command": "/bin/sh", "args": ["-c", "echo a; echo b >&2"], "tty": true}),
    );
    let handle = start(&driver, &config).await;
    driver.wait(&handle).await.unwrap();
    assert_eq!(read_log(&config, LogKind::Stdout), "a\r\nb\r\n");
    driver.destroy(&handle).await.unwrap();
}

#[tokio::test]
async fn without_an_engine_the_driver_is_not_there_and_nothing_starts() {
    let root = tempfile::tempdir().unwrap();
    let endpoint = format!("unix://{}/none.sock", root.path().display());
    let driver = DockerDriver::new(options(Some(endpoint.clone())));
    let found = driver.fingerprint().await;
    assert!(!found.detected && !found.healthy, "{found:?}");
    let error = driver
        .start(&shell(root.path(), "true"), &ProgressSender::ignored())
        .await
        .unwrap_err();
    assert!(error.is_recoverable());
    assert!(
        error.full_message().contains(&endpoint),
        "{}",
        error.full_message()
    );
}

#[tokio::test]
async fn what_is_forbidden_on_the_node_is_not_started() {
    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let config = support::task(root.path(), json!({"image": IMAGE, "privileged": true}));
    let error = driver
        .start(&config, &ProgressSender::ignored())
        .await
        .unwrap_err();
    assert!(matches!(error, DriverError::Forbidden { .. }), "{error:?}");
    let allowing = DockerDriver::new(DockerOptions {
        allowed: Allowed {
            privileged: true,
            volumes: true,
        },
        ..options(None)
    });
    let found = allowing.fingerprint().await.attributes;
    assert_eq!(found["driver.docker.volumes.enabled"], "true");
}

/// An engine of the test's own, which may be killed. In a network of its own: two engines in one would fight over it.
struct OwnEngine {
    folder: tempfile::TempDir,
}

impl OwnEngine {
    fn script(&self, action: &str) -> std::process::Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--net", "--"])
            .arg(root.join("scripts").join(action))
            .env("DOCKER_HOST", self.endpoint());
        command
    }

    fn start(&self) {
        let started = self
            .script("docker-engine")
            .arg("start")
            .arg(self.folder.path())
            .status()
            .unwrap();
        assert!(started.success(), "no engine of the test's own");
    }

    fn pid(&self) -> nix::unistd::Pid {
        let text = fs::read_to_string(self.folder.path().join("docker.pid")).unwrap();
        nix::unistd::Pid::from_raw(text.trim().parse().unwrap())
    }

    fn endpoint(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let _ = self
            .script("docker-engine")
            .arg("stop")
            .arg(self.folder.path())
            .status();
    }
}

#[tokio::test]
async fn an_engine_that_is_killed_and_started_again_gives_back_its_tasks_with_their_exits() {
    // Without an engine to begin with there is no way to start another either.
    if engine().await.is_none() {
        return;
    }
    let own = OwnEngine {
        folder: tempfile::tempdir().unwrap(),
    };
    own.start();
    assert!(own.script("images/redis.sh").status().unwrap().success());
    let root = tempfile::tempdir().unwrap();
    let driver = Arc::new(DockerDriver::new(options(Some(own.endpoint()))));
    assert!(driver.fingerprint().await.healthy);
    let running = shell(root.path(), "echo up; exec sleep 1000");
    let handle = start(&*driver, &running).await;
    let short = shell(root.path(), "exit 3");
    let over = start(&*driver, &short).await;
    driver.wait(&over).await.unwrap();
    let waiting = {
        let (driver, handle) = (Arc::clone(&driver), handle.clone());
        tokio::spawn(async move { driver.wait(&handle).await })
    };
    nix::sys::signal::kill(own.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the engine's end", || {
        (!Path::new("/proc").join(own.pid().to_string()).exists()).then_some(())
    })
    .await;
    let away = driver.fingerprint().await;
    assert!(away.detected && !away.healthy, "{away:?}");
    assert!(
        driver.find(&running.task).await.is_err(),
        "not known is not gone"
    );
    assert!(
        driver.recover(&handle).await.is_err(),
        "not known is not gone"
    );
    assert!(!waiting.is_finished(), "an engine that is away is no exit");
    own.start();
    assert!(driver.fingerprint().await.healthy);
    // The engine ends what ran without it.
    let exit = waiting.await.unwrap().unwrap();
    assert_ne!(exit.exit_code, 0, "{exit:?}");
    assert_eq!(
        driver.recover(&handle).await.unwrap(),
        Recovered::Exited(exit)
    );
    assert!(matches!(
        driver.recover(&over).await.unwrap(),
        Recovered::Exited(result) if result.exit_code == 3
    ));
    assert_eq!(read_log(&running, LogKind::Stdout), "up\n");
    driver.destroy(&handle).await.unwrap();
    let again = start(&*driver, &running).await;
    assert_eq!(driver.recover(&again).await.unwrap(), Recovered::Running);
    driver.destroy(&again).await.unwrap();
    driver.destroy(&over).await.unwrap();
    // Nobody keeps the output of a task that is forgotten, though the engine is away and can't say that it has ended.
    let last = shell(root.path(), "exec sleep 1000");
    start(&*driver, &last).await;
    let pid = keeper(&last).unwrap();
    drop(own);
    assert!(keeper(&last).is_some(), "it waits for the engine");
    drop(root);
    until("the keeper to be gone", || {
        (!Path::new("/proc").join(pid.to_string()).exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn volumes_are_the_directories_that_they_lead_to() {
    use std::os::unix::fs::symlink;

    let Some(driver) = engine().await else { return };
    let root = tempfile::tempdir().unwrap();
    let script = "echo d > /d/f; cat /near/f; echo w > '/a name/f'; cat /shared/s; echo x 2>&1 > /shared/x || echo no; \
                  echo u > /ü/f; echo n > /new/f";
    let mut config = shell(root.path(), script);
    let local = config.task_dir.join("local");
    let shared = config.task_dir.parent().unwrap().join("alloc/data");
    for dir in [&local.join("data"), &local.join("with space"), &shared] {
        fs::create_dir_all(dir).unwrap();
    }
    symlink("data", local.join("near")).unwrap();
    symlink("/etc", local.join("out")).unwrap();
    symlink("../../../..", local.join("up")).unwrap();
    fs::write(shared.join("s"), "s\n").unwrap();
    config.config.insert(
        "volumes".to_owned(),
        json!([
            "local/data:/d",
            "local/../local/near:/near",
            "local/with space:/a name",
            "../alloc/data:/shared:ro",
            "local/ü:/ü",
            "local/new/er:/new",
        ]),
    );
    let handle = start(&driver, &config).await;
    let exit = driver.wait(&handle).await.unwrap();
    let out = read_log(&config, LogKind::Stdout);
    assert_eq!(
        exit.exit_code,
        0,
        "{out} {}",
        read_log(&config, LogKind::Stderr)
    );
    assert!(out.starts_with("d\ns\n") && out.ends_with("no\n"), "{out}");
    for (path, text) in [
        ("data/f", "d\n"),
        ("with space/f", "w\n"),
        ("ü/f", "u\n"),
        ("new/er/f", "n\n"),
    ] {
        assert_eq!(
            fs::read_to_string(local.join(path)).unwrap(),
            text,
            "{path}"
        );
    }
    assert!(!shared.join("x").exists());
    driver.destroy(&handle).await.unwrap();

    for volume in ["local/out:/x", "local/up/etc:/x", "local/out/ssl:/x:ro"] {
        let mut config = config.clone();
        config.config.insert("volumes".to_owned(), json!([volume]));
        let error = driver
            .start(&config, &ProgressSender::ignored())
            .await
            .unwrap_err();
        assert!(
            error.full_message().contains(volume),
            "{}",
            error.full_message()
        );
        assert_eq!(driver.find(&config.task).await.unwrap(), None, "{volume}");
    }
}

#[tokio::test]
#[ignore = "is run by the next test, and killed"]
async fn agent_that_starts_a_container() {
    let Some(root) = support::agent_root() else {
        return;
    };
    let config = shell(&root, "exec sleep 1000");
    support::note(&root, &config);
    start(&DockerDriver::new(options(None)), &config).await;
    std::future::pending().await
}

#[tokio::test]
async fn a_container_whose_agent_was_killed_before_it_recorded_it_is_found_and_not_started_twice() {
    let Some(driver) = engine().await else { return };
    // Killed at several moments: before and after the container is made, while it starts, and after.
    for delay in [0, 10, 20, 40, 80, 160, 320, 640] {
        let root = tempfile::tempdir().unwrap();
        let mut agent =
            support::agent_process("docker::agent_that_starts_a_container", root.path());
        let task = until("the note", || support::noted(root.path())).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        agent.kill().unwrap();
        agent.wait().unwrap();
        let mut config = shell(root.path(), "exec sleep 1000");
        config.task = task;
        let handle = match driver.find(&config.task).await.unwrap() {
            Some(handle) => handle,
            // One that the dead agent asked for may come at the very last moment, and is then the one.
            None => match driver.start(&config, &ProgressSender::ignored()).await {
                Ok(handle) => handle,
                Err(DriverError::AlreadyStarted { handle, .. }) => *handle,
                Err(error) => panic!("{}", error.full_message()),
            },
        };
        assert_eq!(driver.recover(&handle).await.unwrap(), Recovered::Running);
        let filter = format!("label=rove.alloc_id={}", config.task.alloc_id);
        let all = docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]);
        assert_eq!(all, id(&handle), "killed after {delay} ms");
        driver.destroy(&handle).await.unwrap();
    }
}
