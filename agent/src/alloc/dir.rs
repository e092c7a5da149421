//! The directories of an alloc: `alloc/{data,logs,tmp}`, shared by its tasks, and `<task>/{local,secrets,tmp}`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid};
use thiserror::Error;

use crate::sys::{dir::Dir, user};

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

/// Who has to reach the directories of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A task that sees the host's files.
    Host {
        /// Its user, if not the agent's.
        user: Option<String>,
    },
    /// A task with a root of its own, which is shown them there, whatever users it has.
    OwnRoot {
        /// Whoever shows them has all rights on the host.
        privileged: bool,
    },
}

/// Who but the agent's user passes the directory of an alloc.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Passage {
    /// These users, by number, with their primary groups; nobody else if there are none.
    Users(BTreeMap<u32, u32>),
    Everybody,
}

impl Passage {
    /// The least that all need.
    fn of(all: &[Access]) -> Self {
        let mut users = BTreeMap::new();
        for access in all {
            match access {
                Access::Host { user: None } | Access::OwnRoot { privileged: true } => {}
                Access::Host { user: Some(name) } if Uid::effective().is_root() => {
                    // One that the host doesn't have is refused when its turn comes.
                    if let Some(user) = user::look_up(name) {
                        users.insert(user.uid, user.gid);
                    }
                }
                Access::Host { user: Some(_) } | Access::OwnRoot { privileged: false } => {
                    return Self::Everybody;
                }
            }
        }
        users.remove(&Uid::effective().as_raw());
        Self::Users(users)
    }

    fn is_shut(&self) -> bool {
        match self {
            Self::Users(users) => users.is_empty(),
            Self::Everybody => false,
        }
    }

    fn grant(&self, root: &Dir) -> io::Result<()> {
        root.give_to(Uid::effective(), Gid::effective())?;
        match self {
            Self::Everybody => root.open_to(0o711),
            Self::Users(users) => match root.let_pass(&users.keys().copied().collect()) {
                // A file system without lists of users.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let groups: BTreeSet<u32> = users.values().copied().collect();
                    match groups.first() {
                        Some(group) if groups.len() == 1 => {
                            root.give_to(Uid::effective(), Gid::from_raw(*group))?;
                            root.set_mode(0o710)
                        }
                        _ => root.set_mode(0o711),
                    }
                }
                done => done,
            },
        }
    }
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

    /// Makes what is missing, for one task. What is for everybody (`local`, `alloc/data`) lies beneath a directory that
    /// only those pass who run there. `all` is how the tasks of the alloc reach theirs.
    ///
    /// # Errors
    /// See [`DirError`].
    pub fn build(&self, task: &str, access: &Access, all: &[Access]) -> Result<(), DirError> {
        if task.contains('/') || matches!(task, "" | "." | ".." | "alloc") {
            return Err(DirError::BadName(task.to_owned()));
        }
        // Known before anything is made.
        let owner = match access {
            Access::Host { user: Some(name) } if Uid::effective().is_root() => {
                Some(user::look_up(name).ok_or_else(|| DirError::UnknownUser(name.clone()))?)
            }
            Access::Host { .. } | Access::OwnRoot { .. } => None,
        };
        let passage = Passage::of(all);
        make(&self.0, 0o700)?;
        let root = Dir::open(&self.0).map_err(|source| failed("open", &self.0, source))?;
        // Each time: an earlier version may have made it, or one that knew less of the engine.
        passage
            .grant(&root)
            .map_err(|source| failed("set who passes", &self.0, source))?;
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
        let (mode, secrets_mode) = match access {
            Access::Host { user: None } if passage.is_shut() => (0o777, 0o700),
            Access::Host { .. } => (0o700, 0o700),
            // Who runs there is not known here, and nobody else passes.
            Access::OwnRoot { privileged: true } if passage.is_shut() => (0o777, 0o777),
            Access::OwnRoot { privileged: true } => (0o700, 0o777),
            Access::OwnRoot { privileged: false } => (0o711, 0o700),
        };
        let own = root.make(task, mode).map_err(made(task))?;
        let within = |name: &str, mode| {
            own.make(name, mode)
                .map_err(made(&format!("{task}/{name}")))
        };
        within("local", 0o777)?;
        within("tmp", 0o1777)?;
        let secrets = within("secrets", secrets_mode)?;
        if let Some(owner) = owner {
            for (dir, path) in [
                (&own, self.task(task)),
                (&secrets, self.task(task).join("secrets")),
            ] {
                dir.give_to(Uid::from_raw(owner.uid), Gid::from_raw(owner.gid))
                    .map_err(|source| failed("chown", &path, source))?;
            }
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

    use std::os::unix::fs::MetadataExt;

    use super::*;

    const AGENT: Access = Access::Host { user: None };

    #[test]
    fn the_layout_is_the_one_that_people_look_for() {
        let base = tempfile::tempdir().unwrap();
        let dir = AllocDir::new(base.path().join("alloc/1"));
        dir.build("web", &AGENT, &[AGENT]).unwrap();
        dir.build("web", &AGENT, &[AGENT]).unwrap();
        for (path, mode) in [
            ("", 0o700),
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
    fn only_those_who_run_there_pass_to_what_is_for_everybody() {
        if !Uid::effective().is_root() {
            println!("skipped: giving directories away needs root");
            return;
        }
        let user = |name: &str| Access::Host {
            user: Some(name.to_owned()),
        };
        let (nobody, daemon) = (user("nobody"), user("daemon"));
        let (engine, other_engine) = (
            Access::OwnRoot { privileged: true },
            Access::OwnRoot { privileged: false },
        );
        for (what, access, beside, root, own, secrets) in [
            (
                "the agent's user",
                &AGENT,
                &AGENT,
                0o700,
                (0o777, 0),
                (0o700, 0),
            ),
            (
                "a user",
                &nobody,
                &nobody,
                0o710,
                (0o700, 65534),
                (0o700, 65534),
            ),
            (
                "a user beside root",
                &nobody,
                &AGENT,
                0o710,
                (0o700, 65534),
                (0o700, 65534),
            ),
            (
                "root beside a user",
                &AGENT,
                &nobody,
                0o710,
                (0o700, 0),
                (0o700, 0),
            ),
            (
                "users of two groups",
                &nobody,
                &daemon,
                0o710,
                (0o700, 65534),
                (0o700, 65534),
            ),
            ("an engine", &engine, &AGENT, 0o700, (0o777, 0), (0o777, 0)),
            (
                "an engine beside a user",
                &engine,
                &nobody,
                0o710,
                (0o700, 0),
                (0o777, 0),
            ),
            (
                "an engine without rights",
                &other_engine,
                &AGENT,
                0o711,
                (0o711, 0),
                (0o700, 0),
            ),
        ] {
            let base = tempfile::tempdir().unwrap();
            let dir = AllocDir::new(base.path().join("1"));
            let all = [access.clone(), beside.clone()];
            dir.build("web", access, &all).unwrap();
            let found = |inside: &str| {
                let found = fs::metadata(dir.root().join(inside)).unwrap();
                (found.permissions().mode() & 0o7777, found.uid())
            };
            assert_eq!(found(""), (root, 0), "{what}");
            assert_eq!(found("web"), own, "{what}");
            assert_eq!(found("web/secrets"), secrets, "{what}");
            assert_eq!(found("web/local").0, 0o777, "{what}");
        }
    }

    #[test]
    fn others_of_the_groups_of_those_who_run_there_do_not_pass() {
        use std::os::unix::process::CommandExt;

        if !Uid::effective().is_root() {
            println!("skipped: giving directories away needs root");
            return;
        }
        let user = |name: &str| Access::Host {
            user: Some(name.to_owned()),
        };
        let nobody = user::look_up("nobody").unwrap();
        let daemon = user::look_up("daemon").unwrap();
        let number = user("54321");
        for (what, access, beside, may, may_not) in [
            (
                "a user",
                user("nobody"),
                AGENT,
                vec![(nobody.uid, nobody.gid)],
                vec![(54322, nobody.gid), (54322, 0), (daemon.uid, daemon.gid)],
            ),
            (
                "users of two groups",
                user("nobody"),
                user("daemon"),
                vec![(nobody.uid, nobody.gid), (daemon.uid, daemon.gid)],
                vec![(54322, nobody.gid), (54322, daemon.gid), (54322, 54322)],
            ),
            (
                "a number",
                number.clone(),
                number,
                vec![(54321, 54321)],
                vec![(54322, 54321)],
            ),
        ] {
            let base = tempfile::tempdir().unwrap();
            fs::set_permissions(base.path(), fs::Permissions::from_mode(0o711)).unwrap();
            let dir = AllocDir::new(base.path().join("1"));
            let all = [access.clone(), beside];
            dir.build("web", &access, &all).unwrap();
            dir.build("web", &access, &all).unwrap();
            let passes = |(uid, gid): (u32, u32)| {
                std::process::Command::new("/usr/bin/stat")
                    .arg(dir.shared())
                    .uid(uid)
                    .gid(gid)
                    .output()
                    .unwrap()
                    .status
                    .success()
            };
            for who in may {
                assert!(passes(who), "{what}: {who:?} has to pass");
            }
            for who in may_not {
                assert!(!passes(who), "{what}: {who:?} must not pass");
            }
            // Nobody of them runs there any more.
            dir.build("web", &AGENT, &[AGENT]).unwrap();
            assert!(!passes((nobody.uid, nobody.gid)), "{what}");
            assert!(!passes((54321, 54321)), "{what}");
        }
    }

    #[test]
    fn who_passes_is_set_right_in_a_directory_that_was_made_otherwise() {
        let base = tempfile::tempdir().unwrap();
        let dir = AllocDir::new(base.path().join("1"));
        let engine = |privileged| Access::OwnRoot { privileged };
        for (what, made, access, mode) in [
            ("by an earlier version", 0o755, AGENT, 0o700),
            ("before the engine was seen", 0o711, engine(true), 0o700),
            ("by its own task", 0o777, AGENT, 0o700),
            ("too narrow", 0o700, engine(false), 0o711),
        ] {
            make(dir.root(), 0o700).unwrap();
            fs::set_permissions(dir.root(), fs::Permissions::from_mode(made)).unwrap();
            let all = [access.clone()];
            dir.build("web", &access, &all).unwrap();
            let found = fs::metadata(dir.root()).unwrap();
            assert_eq!(found.permissions().mode() & 0o7777, mode, "{what}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_and_files_in_the_way_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let dir = AllocDir::new(base.path().join("1"));
        for name in ["", ".", "..", "alloc", "a/b"] {
            assert!(
                matches!(dir.build(name, &AGENT, &[AGENT]), Err(DirError::BadName(_))),
                "{name}"
            );
        }
        fs::create_dir(dir.root()).unwrap();
        fs::write(dir.root().join("web"), "x").unwrap();
        assert!(dir.build("web", &AGENT, &[AGENT]).is_err());
        if Uid::effective().is_root() {
            let access = Access::Host {
                user: Some("no-such-user".to_owned()),
            };
            let unknown = dir.build("other", &access, &[]);
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
        dir.build("web", &AGENT, &[AGENT]).unwrap();
        fs::remove_dir(dir.logs()).unwrap();
        symlink(&host, dir.logs()).unwrap();
        dir.build("web", &AGENT, &[AGENT]).unwrap();
        assert!(fs::symlink_metadata(dir.logs()).unwrap().is_dir());
        for inside in ["alloc/data", "web/secrets", "web/local"] {
            let path = dir.root().join(inside);
            fs::remove_dir(&path).unwrap();
            symlink(&host, &path).unwrap();
            assert!(dir.build("web", &AGENT, &[AGENT]).is_err(), "{inside}");
            fs::remove_file(&path).unwrap();
        }
        let mode = fs::metadata(&host).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
