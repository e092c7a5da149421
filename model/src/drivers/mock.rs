//! The `config` block of a task of the mock driver, which runs nothing.

use super::{ConfigSchema, Holds, schema::Key};

/// The mock driver's numbers are exit codes and signals.
const SMALL: u64 = i32::MAX as u64;
const TIME: Holds = Holds::Duration { positive: false };

/// The `config` block of a task of the mock driver.
pub static MOCK: ConfigSchema = ConfigSchema {
    driver: "mock_driver",
    keys: &[
        Key::new("start_error", Holds::Text),
        Key::new("start_error_recoverable", Holds::Bool),
        Key::new("start_block_for", TIME),
        Key::new("run_for", TIME),
        Key::new("kill_after", TIME),
        Key::new("exit_code", Holds::Number(SMALL)),
        Key::new("exit_signal", Holds::Number(SMALL)),
        Key::new("exit_err_msg", Holds::Text),
        Key::new("signal_error", Holds::Text),
        Key::new("stdout_string", Holds::Text),
        Key::new("stdout_repeat", Holds::Number(u64::MAX)),
        Key::new("stdout_repeat_duration", TIME),
    ],
    unsupported: &[],
    exclusive: &[],
};
