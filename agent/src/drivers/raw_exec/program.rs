//! What a job file says is to be run, and where that is on the host.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use serde_json::{Map, Value};

use super::NAME;
use crate::{
    drivers::{
        DriverError,
        config::{ConfigProblem, Reader},
    },
    supervisor::LaunchProblem,
};

/// The command and its arguments.
pub(super) fn read_config(
    config: &Map<String, Value>,
) -> Result<(String, Vec<String>), DriverError> {
    let read = || {
        let config = Reader::new(config, &rove_model::drivers::RAW_EXEC)?;
        Ok((config.required_text("command")?, config.texts("args")?))
    };
    read().map_err(|problem: ConfigProblem| DriverError::Config {
        driver: NAME,
        problem,
    })
}

/// Looks for the program as Nomad does: in the task's `local`, in its directory, then on the agent's PATH.
pub(super) fn find_program(command: &str, task_dir: &Path) -> Result<PathBuf, DriverError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = |command: &str| {
        std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(command))
            .find(|candidate| candidate.is_file() && access(candidate, AccessFlags::X_OK).is_ok())
    };
    let found = if Path::new(command).is_absolute() {
        Some(PathBuf::from(command)).filter(|path| path.exists())
    } else {
        [task_dir.join("local").join(command), task_dir.join(command)]
            .into_iter()
            .find(|path| path.is_file())
            .or_else(|| (!command.contains('/')).then(|| in_path(command)).flatten())
    };
    found.ok_or_else(|| DriverError::Launch {
        problem: LaunchProblem::NotFound {
            command: command.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_that_can_not_be_run_is_refused_by_name() {
        for (config, message) in [
            (
                json!({}),
                r#"invalid raw_exec config: key "command" is required"#,
            ),
            (
                json!({"command": ""}),
                r#"invalid raw_exec config: key "command" is required"#,
            ),
            (
                json!({"comand": "x"}),
                r#"invalid raw_exec config: unknown key "comand"; did you mean "command"?"#,
            ),
            (
                json!({"command": "x", "args": "y"}),
                r#"invalid raw_exec config: key "args" must be a list of strings"#,
            ),
        ] {
            let error = read_config(config.as_object().unwrap()).unwrap_err();
            assert_eq!(error.full_message(), message);
            assert!(!error.is_recoverable());
        }
    }

    #[test]
    fn programs_are_looked_for_in_the_task_then_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("local")).unwrap();
        std::fs::write(dir.path().join("local/mine"), b"").unwrap();
        std::fs::write(dir.path().join("mine"), b"").unwrap();
        let find = |command: &str| find_program(command, dir.path());
        assert_eq!(find("mine").unwrap(), dir.path().join("local/mine"));
        assert_eq!(find("local/mine").unwrap(), dir.path().join("local/mine"));
        assert!(find("sh").unwrap().is_absolute());
        for missing in ["/no/such/binary", "no/such", "surely-not-there"] {
            assert_eq!(
                find(missing).unwrap_err().to_string(),
                format!(
                    "failed to launch command with executor: binary {missing:?} could not be found"
                )
            );
        }
    }
}
