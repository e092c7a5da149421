//! What every driver does alike, as a suite that is run over each of them.
//!
//! A failed check panics with what was expected: call it from tests only.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a suite of assertions

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use rove_model::ids::AllocId;
use serde_json::Value;

use super::{
    Driver, DriverError, ExitResult, LogLimits, ProgressSender, Recovered, Signal, TaskConfig,
    TaskHandle, TaskLimits, TaskRef,
};

/// What a task of the suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs until it is stopped, and ends at once when its stop signal comes.
    RunsOn,
    /// Ends by itself soon, with this code.
    Exits(u8),
    /// Runs on through its stop signal.
    IgnoresStop,
    /// Prints `out` to its standard output, `err` to its error output (each a line), and ends.
    Prints,
    /// Can't be started.
    CannotStart,
}

/// A driver and how to make tasks for it.
pub trait Fixture: Send + Sync {
    /// The driver.
    fn driver(&self) -> Arc<dyn Driver>;

    /// The driver as the next agent process has it: nothing in memory is left of the first.
    fn after_restart(&self) -> Arc<dyn Driver>;

    /// A new task with directories of its own.
    fn task(&self, behaviour: Behaviour) -> TaskConfig;

    /// A config that is refused, and the key that the message names.
    fn bad_config(&self) -> (serde_json::Map<String, serde_json::Value>, &'static str);

    /// How a task that ended by its stop signal shows it.
    fn stopped(&self, result: &ExitResult) -> bool {
        result.exit_code != 0
    }

    /// Whether a task that ignores its stop signal has come so far.
    fn is_ready(&self, _config: &TaskConfig) -> bool {
        true
    }

    /// Whether tasks really print.
    fn prints(&self) -> bool {
        true
    }
}

/// A task with directories of its own under `root` and this `config`, for fixtures.
#[must_use]
pub fn task(root: &Path, config: Value) -> TaskConfig {
    let alloc_id = AllocId(uuid::Uuid::new_v4());
    let base = root.join(alloc_id.to_string());
    let (state_dir, task_dir, log_dir) = (base.join("state"), base.join("t"), base.join("logs"));
    for dir in [&state_dir, &task_dir, &log_dir] {
        std::fs::create_dir_all(dir).unwrap();
    }
    let Value::Object(config) = config else {
        panic!("a config is a map");
    };
    TaskConfig {
        task: TaskRef {
            alloc_id,
            task: "t".to_owned(),
            state_dir,
        },
        namespace: "default".to_owned(),
        job: "job".to_owned(),
        group: "group".to_owned(),
        node_id: "node".to_owned(),
        config,
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        user: None,
        limits: TaskLimits {
            cpu_mhz: 100,
            memory_mb: 64,
            memory_max_mb: 0,
        },
        ports: Vec::new(),
        task_dir,
        mounts: Vec::new(),
        log_dir,
        logs: Some(LogLimits::default()),
        kill_signal: None,
    }
}

const SOON: Duration = Duration::from_secs(300);

/// Runs every check.
pub async fn check(fixture: &dyn Fixture) {
    is_healthy(fixture).await;
    refuses_a_bad_config(fixture).await;
    reports_the_exit_code_as_often_as_asked(fixture).await;
    stops_a_task_with_its_signal(fixture).await;
    kills_a_task_that_ignores_its_signal(fixture).await;
    a_second_start_is_refused_with_the_first_ones_handle(fixture).await;
    finds_what_was_not_recorded(fixture).await;
    a_restarted_agent_goes_on_with_its_tasks(fixture).await;
    learns_of_an_exit_that_nobody_waited_for(fixture).await;
    what_was_destroyed_is_gone(fixture).await;
    a_handle_of_an_earlier_start_is_gone(fixture).await;
    a_start_that_failed_leaves_nothing(fixture).await;
    measures_a_running_task_only(fixture).await;
    handles_survive_serialisation(fixture).await;
    if fixture.prints() {
        keeps_what_a_task_prints(fixture).await;
    }
}

async fn start(driver: &dyn Driver, config: &TaskConfig) -> TaskHandle {
    driver
        .start(config, &ProgressSender::ignored())
        .await
        .unwrap_or_else(|error| panic!("start {}: {}", config.task.task, error.full_message()))
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took too long"))
}

async fn end(driver: &dyn Driver, handle: &TaskHandle) {
    within("destroy", driver.destroy(handle)).await.unwrap();
}

async fn is_healthy(fixture: &dyn Fixture) {
    let found = fixture.driver().fingerprint().await;
    assert!(found.detected && found.healthy, "{found:?}");
}

async fn refuses_a_bad_config(fixture: &dyn Fixture) {
    let (config, key) = fixture.bad_config();
    let error = fixture.driver().validate_config(&config).unwrap_err();
    assert!(!error.is_recoverable(), "{error}");
    assert!(error.full_message().contains(key), "{error} names {key}");
}

async fn reports_the_exit_code_as_often_as_asked(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    for code in [0_u8, 3] {
        let config = fixture.task(Behaviour::Exits(code));
        let handle = start(&*driver, &config).await;
        for _ in 0..2 {
            let result = within("wait", driver.wait(&handle)).await.unwrap();
            assert_eq!(result.exit_code, i32::from(code), "{result:?}");
            assert_eq!(result.signal, 0, "{result:?}");
            assert!(!result.oom_killed, "{result:?}");
            assert_eq!(result.successful(), code == 0, "{result:?}");
        }
        assert!(matches!(
            driver.recover(&handle).await.unwrap(),
            Recovered::Exited(result) if result.exit_code == i32::from(code)
        ));
        within(
            "stop after the end",
            driver.stop(&handle, None, Duration::ZERO),
        )
        .await
        .unwrap();
        let error = driver.signal(&handle, Signal::HUP).await.unwrap_err();
        assert!(matches!(error, DriverError::NotRunning { .. }), "{error:?}");
        end(&*driver, &handle).await;
    }
}

async fn stops_a_task_with_its_signal(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let handle = start(&*driver, &config).await;
    assert_eq!(driver.recover(&handle).await.unwrap(), Recovered::Running);
    // Were it killed only at the timeout, this would take too long.
    within(
        "polite stop",
        driver.stop(&handle, Some(Signal::TERM), SOON * 2),
    )
    .await
    .unwrap();
    let result = within("wait", driver.wait(&handle)).await.unwrap();
    assert!(fixture.stopped(&result), "{result:?}");
    assert_ne!(result.signal, Signal::KILL.number(), "{result:?}");
    end(&*driver, &handle).await;
}

async fn kills_a_task_that_ignores_its_signal(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::IgnoresStop);
    let handle = start(&*driver, &config).await;
    within("getting ready", async {
        while !fixture.is_ready(&config) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    within(
        "stop",
        driver.stop(&handle, Some(Signal::TERM), Duration::from_millis(300)),
    )
    .await
    .unwrap();
    let result = within("wait", driver.wait(&handle)).await.unwrap();
    assert_eq!(result.exit_code, 137, "{result:?}");
    end(&*driver, &handle).await;
}

async fn a_second_start_is_refused_with_the_first_ones_handle(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let first = start(&*driver, &config).await;
    let second = driver.start(&config, &ProgressSender::ignored()).await;
    match second {
        Err(DriverError::AlreadyStarted { handle, .. }) => assert_eq!(*handle, first),
        other => panic!("a second start gave {other:?}"),
    }
    assert_eq!(driver.recover(&first).await.unwrap(), Recovered::Running);
    end(&*driver, &first).await;
}

async fn finds_what_was_not_recorded(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
    let handle = start(&*driver, &config).await;
    drop(driver);
    let next = fixture.after_restart();
    assert_eq!(
        next.find(&config.task).await.unwrap(),
        Some(handle.clone()),
        "found by who it is for"
    );
    end(&*next, &handle).await;
    assert_eq!(next.find(&config.task).await.unwrap(), None);
}

async fn a_restarted_agent_goes_on_with_its_tasks(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let handle = start(&*driver, &config).await;
    drop(driver);
    let next = fixture.after_restart();
    assert_eq!(next.recover(&handle).await.unwrap(), Recovered::Running);
    let waiting = next.wait(&handle);
    let stopping = next.stop(&handle, Some(Signal::TERM), SOON);
    let (result, stopped) =
        within("wait and stop", async { tokio::join!(waiting, stopping) }).await;
    stopped.unwrap();
    assert!(fixture.stopped(&result.unwrap()));
    end(&*next, &handle).await;
}

async fn learns_of_an_exit_that_nobody_waited_for(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::Exits(7));
    let handle = start(&*driver, &config).await;
    drop(driver);
    let next = fixture.after_restart();
    let result = within("wait", next.wait(&handle)).await.unwrap();
    assert_eq!(result.exit_code, 7, "{result:?}");
    assert_eq!(
        fixture.after_restart().recover(&handle).await.unwrap(),
        Recovered::Exited(result)
    );
    end(&*next, &handle).await;
}

async fn what_was_destroyed_is_gone(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let handle = start(&*driver, &config).await;
    end(&*driver, &handle).await;
    assert_eq!(driver.recover(&handle).await.unwrap(), Recovered::Gone);
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
    // Nothing left is no error.
    end(&*driver, &handle).await;
    driver
        .stop(&handle, None, Duration::ZERO)
        .await
        .expect("stopping what is gone");
    let error = driver.signal(&handle, Signal::HUP).await.unwrap_err();
    assert!(matches!(error, DriverError::NotRunning { .. }), "{error:?}");
}

async fn a_handle_of_an_earlier_start_is_gone(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let first = start(&*driver, &config).await;
    end(&*driver, &first).await;
    let second = start(&*driver, &config).await;
    assert_ne!(first, second);
    assert_eq!(driver.recover(&first).await.unwrap(), Recovered::Gone);
    // Whoever still holds the old one must not hit the new one.
    driver.stop(&first, None, Duration::ZERO).await.unwrap();
    end(&*driver, &first).await;
    assert_eq!(driver.recover(&second).await.unwrap(), Recovered::Running);
    end(&*driver, &second).await;
}

async fn a_start_that_failed_leaves_nothing(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::CannotStart);
    let error = driver
        .start(&config, &ProgressSender::ignored())
        .await
        .unwrap_err();
    assert!(!error.full_message().is_empty());
    assert_eq!(driver.find(&config.task).await.unwrap(), None);
}

async fn measures_a_running_task_only(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let handle = start(&*driver, &config).await;
    let stats = driver.stats(&handle).await.unwrap();
    assert!(stats.timestamp > 0);
    assert!(stats.usage.cpu.measured.contains(&"Percent"), "{stats:?}");
    assert!(stats.usage.memory.measured.contains(&"RSS"), "{stats:?}");
    driver
        .stop(&handle, Some(Signal::KILL), SOON)
        .await
        .unwrap();
    let error = driver.stats(&handle).await.unwrap_err();
    assert!(matches!(error, DriverError::NotRunning { .. }), "{error:?}");
    end(&*driver, &handle).await;
}

async fn handles_survive_serialisation(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::RunsOn);
    let handle = start(&*driver, &config).await;
    assert_eq!(handle.driver(), driver.name());
    let text = serde_json::to_string(&handle).unwrap();
    let read: TaskHandle = serde_json::from_str(&text).unwrap();
    assert_eq!(read, handle);
    assert_eq!(driver.recover(&read).await.unwrap(), Recovered::Running);
    end(&*driver, &read).await;
}

async fn keeps_what_a_task_prints(fixture: &dyn Fixture) {
    let driver = fixture.driver();
    let config = fixture.task(Behaviour::Prints);
    let handle = start(&*driver, &config).await;
    within("wait", driver.wait(&handle)).await.unwrap();
    for (kind, text) in [
        (crate::logs::LogKind::Stdout, "out\n"),
        (crate::logs::LogKind::Stderr, "err\n"),
    ] {
        let path = crate::logs::file_path(&config.log_dir, &config.task.task, kind, 0);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "{}",
            path.display()
        );
    }
    end(&*driver, &handle).await;
}
