//! What happens to a task, in the words that people and tools know.

use std::collections::BTreeMap;

use rove_model::{
    alloc::{TaskEvent, TaskEventKind, TaskState},
    duration::Nanos,
    ids::UnixNanos,
};

use crate::drivers::{ExitResult, Progress, Signal};

/// Events kept of a task; the oldest goes first.
pub const KEPT: usize = 10;

/// Appends an event.
pub fn push(state: &mut TaskState, event: TaskEvent) {
    if state.events.len() >= KEPT {
        state.events.drain(..=state.events.len() - KEPT);
    }
    state.events.push(event);
}

fn event<const N: usize>(
    time: UnixNanos,
    kind: TaskEventKind,
    display_message: impl Into<String>,
    details: [(&str, String); N],
) -> TaskEvent {
    TaskEvent {
        time,
        kind,
        display_message: display_message.into(),
        details: details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// The agent took the task over.
#[must_use]
pub fn received(time: UnixNanos) -> TaskEvent {
    event(time, TaskEventKind::Received, "Task received by client", [])
}

/// Its directory is being built.
#[must_use]
pub fn setup(time: UnixNanos) -> TaskEvent {
    let message = "Building Task Directory";
    event(
        time,
        TaskEventKind::TaskSetup,
        message,
        [("message", message.to_owned())],
    )
}

/// It could not be set up.
#[must_use]
pub fn setup_failure(time: UnixNanos, error: &str) -> TaskEvent {
    event(
        time,
        TaskEventKind::SetupFailure,
        error,
        [("setup_error", error.to_owned())],
    )
}

/// Its driver could not start it.
#[must_use]
pub fn driver_failure(time: UnixNanos, error: &str) -> TaskEvent {
    event(
        time,
        TaskEventKind::DriverFailure,
        error,
        [("driver_error", error.to_owned())],
    )
}

/// A word from its driver.
#[must_use]
pub fn driver_message(time: UnixNanos, progress: Progress) -> TaskEvent {
    let mut details: BTreeMap<String, String> = progress.details;
    details.insert("driver_message".to_owned(), progress.message.clone());
    TaskEvent {
        time,
        kind: TaskEventKind::Driver,
        display_message: progress.message,
        details,
    }
}

/// It started.
#[must_use]
pub fn started(time: UnixNanos) -> TaskEvent {
    event(time, TaskEventKind::Started, "Task started by client", [])
}

/// It ended.
#[must_use]
pub fn terminated(time: UnixNanos, exit: &ExitResult) -> TaskEvent {
    let mut message = format!("Exit Code: {}", exit.exit_code);
    if exit.signal != 0 {
        message.push_str(&format!(", Signal: {}", exit.signal));
    }
    let said = exit
        .err
        .clone()
        .or_else(|| exit.oom_killed.then(|| "OOM Killed".to_owned()));
    if let Some(said) = &said {
        message.push_str(&format!(", Exit Message: {said:?}"));
    }
    let mut event = event(
        time,
        TaskEventKind::Terminated,
        message,
        [
            ("exit_code", exit.exit_code.to_string()),
            ("signal", exit.signal.to_string()),
            ("oom_killed", exit.oom_killed.to_string()),
        ],
    );
    if let Some(said) = said {
        event.details.insert("exit_message".to_owned(), said);
    }
    event
}

/// It will be started again after `delay`.
#[must_use]
pub fn restarting(time: UnixNanos, delay: Nanos, reason: &str) -> TaskEvent {
    let message = if reason.is_empty() || reason == super::restart::WITHIN_POLICY {
        format!("Task restarting in {delay}")
    } else {
        format!("{reason} - Task restarting in {delay}")
    };
    event(
        time,
        TaskEventKind::Restarting,
        message,
        [
            ("restart_reason", reason.to_owned()),
            ("start_delay", delay.0.to_string()),
        ],
    )
}

/// It will not be started again.
#[must_use]
pub fn not_restarting(time: UnixNanos, reason: &str) -> TaskEvent {
    event(
        time,
        TaskEventKind::NotRestarting,
        reason,
        [
            ("restart_reason", reason.to_owned()),
            ("fails_task", "true".to_owned()),
        ],
    )
}

/// It was asked to end.
#[must_use]
pub fn killing(time: UnixNanos, kill_timeout: Nanos) -> TaskEvent {
    event(
        time,
        TaskEventKind::Killing,
        format!("Sent interrupt. Waiting {kill_timeout} before force killing"),
        [("kill_timeout", kill_timeout.to_string())],
    )
}

/// It ended as it was asked to.
#[must_use]
pub fn killed(time: UnixNanos) -> TaskEvent {
    event(time, TaskEventKind::Killed, "Task successfully killed", [])
}

/// A task of its group failed.
#[must_use]
pub fn sibling_failed(time: UnixNanos, sibling: &str) -> TaskEvent {
    event(
        time,
        TaskEventKind::SiblingFailed,
        format!("Task's sibling {sibling:?} failed"),
        [("failed_sibling", sibling.to_owned())],
    )
}

/// The leader of its group ended.
#[must_use]
pub fn leader_dead(time: UnixNanos) -> TaskEvent {
    event(
        time,
        TaskEventKind::LeaderDead,
        "Leader Task in Group dead",
        [],
    )
}

/// The tasks that it served ended.
#[must_use]
pub fn main_dead(time: UnixNanos) -> TaskEvent {
    event(
        time,
        TaskEventKind::MainDead,
        "Main tasks in the group died",
        [],
    )
}

/// A signal is sent to it.
#[must_use]
pub fn signaling(time: UnixNanos, signal: Signal) -> TaskEvent {
    event(
        time,
        TaskEventKind::Signaling,
        "Task being sent a signal",
        [("signal", signal.name().to_owned())],
    )
}

/// A user asked for its restart.
#[must_use]
pub fn restart_requested(time: UnixNanos) -> TaskEvent {
    let reason = "User requested task to restart";
    event(
        time,
        TaskEventKind::RestartSignaled,
        reason,
        [("restart_reason", reason.to_owned())],
    )
}

/// It kept its alloc from becoming healthy.
#[must_use]
pub fn unhealthy(time: UnixNanos, why: &str) -> TaskEvent {
    event(
        time,
        TaskEventKind::AllocUnhealthy,
        why,
        [("message", why.to_owned())],
    )
}

#[cfg(test)]
mod tests {
    use rove_model::alloc::TaskLifeState;

    use super::*;

    #[test]
    fn the_words_are_those_of_the_reference() {
        let exit = |exit_code, signal, oom_killed, err: Option<&str>| ExitResult {
            exit_code,
            signal,
            oom_killed,
            err: err.map(str::to_owned),
        };
        for (event, words) in [
            (terminated(0, &exit(1, 0, false, None)), "Exit Code: 1"),
            (
                terminated(0, &exit(130, 2, false, None)),
                "Exit Code: 130, Signal: 2",
            ),
            (
                terminated(0, &exit(137, 9, true, None)),
                "Exit Code: 137, Signal: 9, Exit Message: \"OOM Killed\"",
            ),
            (
                terminated(0, &exit(2, 0, false, Some("no"))),
                "Exit Code: 2, Exit Message: \"no\"",
            ),
            (
                restarting(0, Nanos(15_200_000_000), "Restart within policy"),
                "Task restarting in 15.2s",
            ),
            (restarting(0, Nanos(0), ""), "Task restarting in 0s"),
            (
                restarting(
                    0,
                    Nanos::mins(3),
                    "Exceeded allowed attempts, applying a delay",
                ),
                "Exceeded allowed attempts, applying a delay - Task restarting in 3m0s",
            ),
            (
                killing(0, Nanos::secs(5)),
                "Sent interrupt. Waiting 5s before force killing",
            ),
            (sibling_failed(0, "web"), "Task's sibling \"web\" failed"),
        ] {
            assert_eq!(event.display_message, words);
        }
    }

    #[test]
    fn the_oldest_of_more_than_ten_events_goes() {
        let mut state = TaskState {
            state: TaskLifeState::Pending,
            failed: false,
            restarts: 0,
            last_restart: None,
            started_at: None,
            finished_at: None,
            events: Vec::new(),
        };
        for time in 0..25 {
            push(&mut state, received(time));
        }
        let times: Vec<i64> = state.events.iter().map(|event| event.time).collect();
        assert_eq!(times, (15..25).collect::<Vec<_>>());
    }
}
