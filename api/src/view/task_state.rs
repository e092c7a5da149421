//! What is known of a task, in the many fields of Nomad's events.

use std::collections::BTreeMap;

use rove_model::alloc::{LeftOut, TaskEvent, TaskEventKind, TaskState};

use crate::time::rfc3339_option;

/// Events as far as they are at hand.
pub(crate) trait Events {
    fn events(&self) -> &[TaskEvent];
}

impl Events for Vec<TaskEvent> {
    fn events(&self) -> &[TaskEvent] {
        self
    }
}

impl Events for LeftOut {
    fn events(&self) -> &[TaskEvent] {
        &[]
    }
}

/// The states of an alloc's tasks.
pub(crate) fn task_states<E: Events>(
    states: &BTreeMap<String, TaskState<E>>,
) -> BTreeMap<String, rove_wire::TaskState> {
    states
        .iter()
        .map(|(name, state)| (name.clone(), task_state(state)))
        .collect()
}

fn task_state<E: Events>(state: &TaskState<E>) -> rove_wire::TaskState {
    rove_wire::TaskState {
        state: state.state.into(),
        failed: state.failed,
        restarts: state.restarts,
        last_restart: rfc3339_option(state.last_restart),
        started: rfc3339_option(state.started_at),
        finished: rfc3339_option(state.finished_at),
        events: state.events.events().iter().map(event).collect(),
        handle: None,
    }
}

fn event(event: &TaskEvent) -> rove_wire::TaskEvent {
    let detail = |name: &str| event.details.get(name).map_or("", String::as_str);
    let text = |name: &str| detail(name).to_owned();
    let number = |name: &str| detail(name).parse::<i64>().unwrap_or(0);
    let driver_message = if event.kind == TaskEventKind::Driver {
        event.display_message.clone()
    } else {
        String::new()
    };
    rove_wire::TaskEvent {
        kind: event.kind.clone().into(),
        time: event.time,
        display: event.display_message.clone(),
        details: event.details.clone(),
        message: text("message"),
        fails_task: detail("fails_task") == "true",
        restart_reason: text("restart_reason"),
        setup_error: text("setup_error"),
        driver_error: text("driver_error"),
        driver_message,
        exit_code: number("exit_code"),
        signal: number("signal"),
        kill_timeout: detail("kill_timeout").parse().unwrap_or_default(),
        kill_error: text("kill_error"),
        kill_reason: text("kill_reason"),
        start_delay: number("start_delay"),
        download_error: text("download_error"),
        validation_error: text("validation_error"),
        failed_sibling: text("failed_sibling"),
        task_signal_reason: text("task_signal_reason"),
        task_signal: text("task_signal"),
        ..rove_wire::TaskEvent::default()
    }
}
