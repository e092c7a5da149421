//! What the engine says of a container, as far as it is asked.

use bollard::models::{ContainerInspectResponse, ContainerState};

use crate::drivers::ExitResult;

/// What is asked of a container.
pub(super) struct Inspected {
    pub(super) running: bool,
    pub(super) pid: Option<i32>,
    pub(super) exit: ExitResult,
    pub(super) started: bool,
    pub(super) stop_signal: Option<String>,
}

impl Inspected {
    pub(super) fn read(found: ContainerInspectResponse) -> Self {
        let state = found.state.unwrap_or_default();
        let config = found.config.unwrap_or_default();
        Self {
            running: state.running.unwrap_or(false),
            pid: state
                .pid
                .and_then(|pid| i32::try_from(pid).ok())
                .filter(|pid| *pid > 0),
            // The engine's zero of time.
            started: state
                .started_at
                .as_deref()
                .is_some_and(|at| !at.starts_with("0001-")),
            exit: exit_of(&state),
            stop_signal: config.stop_signal,
        }
    }
}

fn exit_of(state: &ContainerState) -> ExitResult {
    let exit_code = state
        .exit_code
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(0);
    let oom_killed = state.oom_killed.unwrap_or(false);
    let err = if oom_killed {
        Some("OOM Killed".to_owned())
    } else if let Some(error) = state.error.as_deref().filter(|error| !error.is_empty()) {
        Some(error.to_owned())
    } else {
        (exit_code != 0)
            .then(|| format!("Docker container exited with non-zero exit code: {exit_code}"))
    };
    ExitResult {
        exit_code,
        signal: 0,
        oom_killed,
        err,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_says_what_the_engine_knows_of_it() {
        for (code, oom, error, said) in [
            (0, false, "", None),
            (
                3,
                false,
                "",
                Some("Docker container exited with non-zero exit code: 3"),
            ),
            (137, true, "", Some("OOM Killed")),
            (128, false, "no such device", Some("no such device")),
        ] {
            let exit = exit_of(&ContainerState {
                exit_code: Some(code),
                oom_killed: Some(oom),
                error: Some(error.to_owned()),
                ..ContainerState::default()
            });
            assert_eq!(i64::from(exit.exit_code), code);
            assert_eq!((exit.oom_killed, exit.err.as_deref()), (oom, said));
            assert_eq!(exit.successful(), said.is_none());
        }
    }
}
