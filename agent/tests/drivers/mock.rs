//! The mock driver, under a clock that stands still until everyone waits for it.

use std::sync::Arc;

use rove_agent::drivers::{
    Driver, ExitResult, TaskConfig,
    conformance::{self, Behaviour, Fixture},
    mock::MockDriver,
};
use serde_json::{Map, Value, json};

use crate::support;

struct Mock {
    driver: MockDriver,
    root: tempfile::TempDir,
}

impl Fixture for Mock {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.driver.clone())
    }

    fn after_restart(&self) -> Arc<dyn Driver> {
        Arc::new(self.driver.clone())
    }

    fn task(&self, behaviour: Behaviour) -> TaskConfig {
        let config = match behaviour {
            Behaviour::RunsOn => json!({"run_for": "10h"}),
            Behaviour::Exits(code) => json!({"run_for": "10ms", "exit_code": code}),
            Behaviour::IgnoresStop => json!({"run_for": "10h", "kill_after": "10h"}),
            Behaviour::Prints => json!({"run_for": "10ms", "stdout_string": "out\n"}),
            Behaviour::CannotStart => json!({"start_error": "no luck"}),
        };
        support::task(self.root.path(), config)
    }

    fn bad_config(&self) -> (Map<String, Value>, &'static str) {
        let config = json!({"run_for": "soon"});
        (config.as_object().unwrap().clone(), "run_for")
    }

    fn stopped(&self, result: &ExitResult) -> bool {
        result.signal == 15
    }

    fn prints(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn the_mock_driver_does_what_all_drivers_do() {
    let fixture = Mock {
        driver: MockDriver::default(),
        root: tempfile::tempdir().unwrap(),
    };
    conformance::check(&fixture).await;
}
