//! When in the life of its group a task runs.

use rove_model::job::Task;

/// When in the life of its group a task runs, as its `lifecycle` block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It is what the group is for.
    Main,
    /// Before the main tasks: they start once it has ended well, or once it runs, if it is a sidecar.
    Prestart {
        /// It runs as long as the main tasks.
        sidecar: bool,
    },
    /// Once the main tasks run.
    Poststart {
        /// It runs as long as the main tasks.
        sidecar: bool,
    },
    /// Once all others have ended, in whatever way, if any of them was started.
    Poststop,
}

impl Hook {
    /// The hook of a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        match &task.lifecycle {
            None => Self::Main,
            Some(lifecycle) => {
                let sidecar = lifecycle.sidecar;
                match lifecycle.hook.as_str() {
                    "prestart" => Self::Prestart { sidecar },
                    "poststart" => Self::Poststart { sidecar },
                    "poststop" => Self::Poststop,
                    // Refused at registration.
                    _ => Self::Main,
                }
            }
        }
    }

    /// It only serves the others: when nobody else runs it has to end.
    #[must_use]
    pub fn is_sidecar(self) -> bool {
        match self {
            Self::Prestart { sidecar } | Self::Poststart { sidecar } => sidecar,
            Self::Main | Self::Poststop => false,
        }
    }

    /// It does its work once, and is done when that has ended well.
    #[must_use]
    pub fn is_once(self) -> bool {
        match self {
            Self::Prestart { sidecar } | Self::Poststart { sidecar } => !sidecar,
            Self::Poststop => true,
            Self::Main => false,
        }
    }

    /// Whether it is started again when it ended well; `main` is what holds for the job's main tasks.
    #[must_use]
    pub fn restarts_on_success(self, main: bool) -> bool {
        match self {
            Self::Main => main,
            Self::Prestart { .. } | Self::Poststart { .. } | Self::Poststop => self.is_sidecar(),
        }
    }
}
