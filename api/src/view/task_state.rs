//! What is known of a task, in the many fields of Nomad's events.

use std::collections::BTreeMap;

use rove_model::alloc::{TaskEvent, TaskEventKind, TaskState};
use serde_json::{Value, json};

use crate::time::rfc3339_option;

/// The states of an alloc's tasks; `null` while there are none.
pub(crate) fn task_states(states: &BTreeMap<String, TaskState>) -> Value {
    if states.is_empty() {
        return Value::Null;
    }
    states
        .iter()
        .map(|(name, state)| (name.clone(), task_state(state)))
        .collect()
}

fn task_state(state: &TaskState) -> Value {
    json!({
        "State": state.state,
        "Failed": state.failed,
        "Restarts": state.restarts,
        "LastRestart": rfc3339_option(state.last_restart),
        "StartedAt": rfc3339_option(state.started_at),
        "FinishedAt": rfc3339_option(state.finished_at),
        "Events": state.events.iter().map(event).collect::<Vec<_>>(),
        "TaskHandle": null,
    })
}

/// An event: its facts under `Details`, and once more in the fields of their own that older clients read.
fn event(event: &TaskEvent) -> Value {
    let detail = |name: &str| event.details.get(name).map_or("", String::as_str);
    let number = |name: &str| detail(name).parse::<i64>().unwrap_or(0);
    let truth = |name: &str| detail(name) == "true";
    let kill_timeout = detail("kill_timeout")
        .parse::<rove_model::duration::Nanos>()
        .unwrap_or_default();
    let driver_message = if event.kind == TaskEventKind::Driver {
        event.display_message.as_str()
    } else {
        ""
    };
    json!({
        "Type": event.kind,
        "Time": event.time,
        "DisplayMessage": event.display_message,
        "Details": event.details,
        "Message": detail("message"),
        "FailsTask": truth("fails_task"),
        "RestartReason": detail("restart_reason"),
        "SetupError": detail("setup_error"),
        "DriverError": detail("driver_error"),
        "DriverMessage": driver_message,
        "ExitCode": number("exit_code"),
        "Signal": number("signal"),
        "KillTimeout": kill_timeout,
        "KillError": detail("kill_error"),
        "KillReason": detail("kill_reason"),
        "StartDelay": number("start_delay"),
        "DownloadError": detail("download_error"),
        "ValidationError": detail("validation_error"),
        "DiskLimit": 0,
        "FailedSibling": detail("failed_sibling"),
        "VaultError": "",
        "TaskSignalReason": detail("task_signal_reason"),
        "TaskSignal": detail("task_signal"),
        "GenericSource": "",
    })
}
