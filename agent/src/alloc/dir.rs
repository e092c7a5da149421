//! The directories of an alloc: `alloc/{data,logs,tmp}`, shared by its tasks, and `<task>/{local,secrets,tmp}`.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use thiserror::Error;

use crate::sys::dir::Dir;

/// A directory could not be made or removed.
#[derive(Debug, Error)]
pub enum DirError {
    /// The system refused.
    #[error("failed to {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said; part of the message, as it is shown in an event.
        source: io::Error,
    },
    /// The host has no such user.
    #[error("unknown user {0:?}")]
    UnknownUser(String),
    /// A name that would lead out of the alloc's directory.
    #[error("task name {0:?} can't be a directory")]
    BadName(String),
}

/// The directory of one alloc.
#[derive(Clone, Debug)]
pub struct AllocDir(PathBuf);

impl AllocDir {
    /// The one at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its own path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Shared by the tasks.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.0.join("alloc")
    }

    /// Where the tasks' output goes.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("alloc/logs")
    }

    /// A task's own.
    #[must_use]
    pub fn task(&self, task: &str) -> PathBuf {
        self.0.join(task)
    }

    /// Makes what is missing, for one task.
    ///
    /// # Errors
    /// See [`DirError`].
    pub fn build(&self, task: &str, user: Option<&str>) -> Result<(), DirError> {
        if task.contains('/') || matches!(task, "" | "." | ".." | "alloc") {
            return Err(DirError::BadName(task.to_owned()));
        }
        make(&self.0, 0o755)?;
        let root = Dir::open(&self.0).map_err(|source| failed("open", &self.0, source))?;
        let made = |inside: &str| {
            let path = self.0.join(inside);
            move |source| failed("create", &path, source)
        };
        // From here on tasks have a say in what is there: no link is followed.
        let shared = root.make("alloc", 0o777).map_err(made("alloc"))?;
        for name in ["data", "tmp"] {
            shared
                .make(name, 0o777)
                .map_err(made(&format!("alloc/{name}")))?;
        }
        shared.ensure("logs", 0o777).map_err(made("alloc/logs"))?;
        let own = root.make(task, 0o777).map_err(made(task))?;
        let within = |name: &str, mode| {
            own.make(name, mode)
                .map_err(made(&format!("{task}/{name}")))
        };
        within("local", 0o777)?;
        within("tmp", 0o1777)?;
        let secrets = within("secrets", 0o700)?;
        if let Some(name) = user.filter(|_| Uid::effective().is_root()) {
            let found = User::from_name(name)
                .ok()
                .flatten()
                .ok_or_else(|| DirError::UnknownUser(name.to_owned()))?;
            secrets
                .give_to(found.uid, found.gid)
                .map_err(|source| failed("chown", &self.task(task).join("secrets"), source))?;
        }
        Ok(())
    }

    /// Removes all of it. Nothing there is no error.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn remove(&self) -> Result<(), DirError> {
        remove_all(&self.0)
    }
}

/// Makes a private directory, parents included.
///
/// # Errors
/// What could not be made.
pub fn make_private(path: &Path) -> Result<(), DirError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| failed("create", parent, source))?;
    }
    make(path, 0o700)
}

/// Removes a directory and all in it. Nothing there is no error.
///
/// # Errors
/// What could not be removed.
pub fn remove_all(path: &Path) -> Result<(), DirError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", path, source))
        }
        _ => Ok(()),
    }
}

fn make(path: &Path, mode: u32) -> Result<(), DirError> {
    match fs::create_dir(path) {
        Ok(()) => {}
        // Made before, or by a sibling just now; a task may have changed its mode since.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            let there =
                fs::symlink_metadata(path).map_err(|source| failed("stat", path, source))?;
            return if there.is_dir() {
                Ok(())
            } else {
                Err(failed("create", path, io::ErrorKind::NotADirectory.into()))
            };
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        }
        Err(source) => return Err(failed("create", path, source)),
    }
    // Set apart from making it: the umask would take bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| failed("chmod", path, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> DirError {
    DirError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_layout_is_the_one_that_people_look_for() {
        let base = tempfile::tempdir().unwrap();
        let dir = AllocDir::new(base.path().join("alloc/1"));
        dir.build("web", None).unwrap();
        dir.build("web", None).unwrap();
        for (path, mode) in [
            ("", 0o755),
            ("alloc", 0o777),
            ("alloc/data", 0o777),
            ("alloc/logs", 0o777),
            ("alloc/tmp", 0o777),
            ("web", 0o777),
            ("web/local", 0o777),
            ("web/tmp", 0o1777),
            ("web/secrets", 0o700),
        ] {
            let found = fs::metadata(dir.root().join(path)).unwrap();
            assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        }
        dir.remove().unwrap();
        dir.remove().unwrap();
        assert!(!dir.root().exists());
    }

    #[test]
    fn names_that_lead_elsewhere_and_files_in_the_way_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let dir = AllocDir::new(base.path().join("1"));
        for name in ["", ".", "..", "alloc", "a/b"] {
            assert!(
                matches!(dir.build(name, None), Err(DirError::BadName(_))),
                "{name}"
            );
        }
        fs::create_dir(dir.root()).unwrap();
        fs::write(dir.root().join("web"), "x").unwrap();
        assert!(dir.build("web", None).is_err());
        if Uid::effective().is_root() {
            let unknown = dir.build("other", Some("no-such-user"));
            assert!(matches!(unknown, Err(DirError::UnknownUser(_))));
        }
    }

    #[test]
    fn what_tasks_put_in_the_place_of_directories_leads_nowhere() {
        use std::os::unix::fs::symlink;

        let base = tempfile::tempdir().unwrap();
        let host = base.path().join("host");
        fs::create_dir(&host).unwrap();
        fs::set_permissions(&host, fs::Permissions::from_mode(0o700)).unwrap();
        let dir = AllocDir::new(base.path().join("1"));
        dir.build("web", None).unwrap();
        fs::remove_dir(dir.logs()).unwrap();
        symlink(&host, dir.logs()).unwrap();
        dir.build("web", None).unwrap();
        assert!(fs::symlink_metadata(dir.logs()).unwrap().is_dir());
        for inside in ["alloc/data", "web/secrets", "web/local"] {
            let path = dir.root().join(inside);
            fs::remove_dir(&path).unwrap();
            symlink(&host, &path).unwrap();
            assert!(dir.build("web", None).is_err(), "{inside}");
            fs::remove_file(&path).unwrap();
        }
        let mode = fs::metadata(&host).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
