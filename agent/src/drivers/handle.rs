//! How a started task is found again, by this process or the next.

use std::borrow::Cow;

use rove_model::ids::UnixNanos;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{DriverError, TaskRef};

/// A started task as its driver knows it. Kept in the agent's local state file.
///
/// What only the driver understands (a container's id, a supervisor's process) is opaque to everyone else: it is stored
/// beside the common fields, as a flat JSON object whose `driver` names who can read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct TaskHandle {
    driver: Cow<'static, str>,
    task: TaskRef,
    started_at: UnixNanos,
    /// A JSON object, as text: a node of many tasks holds thousands of these.
    own: Box<str>,
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    driver: String,
    task: TaskRef,
    started_at: UnixNanos,
    #[serde(flatten)]
    own: Map<String, Value>,
}

impl TaskHandle {
    /// The handle of a task that `driver` started at `started_at`, by the host's clock. `own` is whatever the driver
    /// needs to find it again: a value that serializes to a JSON object without the fields `driver`, `task` and
    /// `started_at`.
    #[must_use]
    pub fn new(
        driver: &'static str,
        task: TaskRef,
        started_at: UnixNanos,
        own: &impl Serialize,
    ) -> Self {
        // Numbers and texts under names of our own: nothing in it can fail to be written.
        let own = match serde_json::to_value(own) {
            Ok(Value::Object(own)) => own,
            Ok(_) | Err(_) => Map::new(),
        };
        Self {
            driver: driver.into(),
            task,
            started_at,
            own: text(&own),
        }
    }

    /// Which task.
    #[must_use]
    pub fn task(&self) -> &TaskRef {
        &self.task
    }

    /// When it was started, by the host's clock.
    #[must_use]
    pub fn started_at(&self) -> UnixNanos {
        self.started_at
    }

    /// The name of the driver that it belongs to.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// What the driver `ours` put into it.
    ///
    /// # Errors
    /// It belongs to another driver, or holds something that this version of `ours` does not understand.
    pub fn own<T: DeserializeOwned>(&self, ours: &'static str) -> Result<T, DriverError> {
        if self.driver != ours {
            return Err(DriverError::WrongDriver {
                ours,
                theirs: self.driver.clone().into_owned(),
            });
        }
        serde_json::from_str(&self.own).map_err(|source| DriverError::Handle {
            driver: ours,
            task: self.task.task.clone(),
            source,
        })
    }
}

impl PartialEq for TaskHandle {
    fn eq(&self, other: &Self) -> bool {
        self.driver == other.driver
            && self.task == other.task
            && self.started_at == other.started_at
            && self.own == other.own
    }
}

impl Eq for TaskHandle {}

/// The same text for the same object, in whatever order its fields were read.
fn text(own: &Map<String, Value>) -> Box<str> {
    Value::Object(own.clone()).to_string().into_boxed_str()
}

impl From<Stored> for TaskHandle {
    fn from(stored: Stored) -> Self {
        Self {
            driver: stored.driver.into(),
            task: stored.task,
            started_at: stored.started_at,
            own: text(&stored.own),
        }
    }
}

impl From<TaskHandle> for Stored {
    fn from(handle: TaskHandle) -> Self {
        Self {
            driver: handle.driver.into_owned(),
            task: handle.task,
            started_at: handle.started_at,
            own: serde_json::from_str(&handle.own).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::{drivers::raw_exec, sys::ProcessId};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Own {
        container_id: String,
    }

    #[test]
    fn handles_that_earlier_versions_stored_are_read_and_written_in_the_same_form() {
        let task = json!({
            "alloc_id": "07070707-0707-4707-8707-070707070707", "task": "web", "state_dir": "/state/web",
        });
        for (what, stored) in [
            (
                "raw_exec",
                json!({
                    "driver": "raw_exec", "task": task, "started_at": 5,
                    "supervisor": {"pid": 7, "start_time": 8, "boot_id": "b"},
                }),
            ),
            (
                "docker",
                json!({"driver": "docker", "task": task, "container_id": "abc", "started_at": 5}),
            ),
            (
                "a driver of a later version",
                json!({"driver": "podman", "task": task, "started_at": 5, "pod": {"x": [1]}}),
            ),
        ] {
            let handle: TaskHandle = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(handle.driver(), stored["driver"], "{what}");
            assert_eq!(handle.started_at(), 5, "{what}");
            assert_eq!(handle.task().task, "web", "{what}");
            assert_eq!(serde_json::to_value(&handle).unwrap(), stored, "{what}");
        }
    }

    #[test]
    fn only_the_driver_that_made_a_handle_reads_what_is_in_it() {
        let task = TaskRef {
            alloc_id: rove_model::ids::AllocId::from_random([7; 16]),
            task: "web".to_owned(),
            state_dir: "/state".into(),
        };
        let own = Own {
            container_id: "abc".to_owned(),
        };
        let handle = TaskHandle::new("docker", task.clone(), 5, &own);
        assert_eq!(handle.own::<Own>("docker").unwrap(), own);
        let error = handle.own::<Own>("raw_exec").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a docker task was handed to the raw_exec driver"
        );
        let read: TaskHandle =
            serde_json::from_str(&serde_json::to_string(&handle).unwrap()).unwrap();
        assert_eq!(read, handle);
        assert_ne!(TaskHandle::new("docker", task.clone(), 6, &own), handle);
        let empty = TaskHandle::new(raw_exec::NAME, task, 5, &json!({}));
        let error = empty.own::<ProcessId>(raw_exec::NAME).unwrap_err();
        assert!(error.full_message().contains("\"web\""), "{error}");
    }
}
