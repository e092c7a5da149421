//! The directories of the host that a container is shown, when the operator allows none but the alloc's own.
//!
//! What counts is where a source really is, not how it is spelt: `..` and links that lead to something within the
//! alloc's directory are right, and what leads out of it is refused. The engine is given the path without links, which
//! is opened name by name, and looked at again just before the start: it must still be the same. It takes the path out of
//! a text whose parts are separated by colons, so a path that holds one is refused.

use std::{
    fs::File,
    os::fd::AsFd,
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

use super::{Allowed, config::DockerConfig};
use crate::{
    drivers::{DriverError, TaskConfig},
    sys::dir::{Dir, Entry, own_fd_path},
};

const HINT: &str = "its source leads out of the alloc's directory; the operator has to set volumes.enabled in the \
                    docker plugin's config";
const COLON: &str =
    "the real path of its source holds a colon, behind which the engine would read something else";
const TARGET: &str = "what follows its source has to be an absolute path in the container";
const CHANGED: &str = "its source was exchanged while the container was made";

/// The mode of a source that is missing, as the engine would make it.
const MODE: u32 = 0o755;

/// What is shown, kept open until the container was started.
#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Source>,
    binds: Vec<String>,
}

#[derive(Debug)]
struct Source {
    /// As people know it.
    what: String,
    /// Which only its owner can change.
    base: PathBuf,
    /// The names beneath.
    names: Vec<String>,
    /// What it was when it was first looked at.
    found: Entry,
}

impl Sources {
    /// Opens the sources within the task's directory, and makes those that are missing.
    pub(super) fn open(
        task: &TaskConfig,
        config: &DockerConfig,
        allowed: Allowed,
    ) -> Result<Self, DriverError> {
        let mut wanted = Vec::new();
        // These lie in a directory that a task without a root of its own may write to.
        for mount in &task.mounts {
            if let (Some(base), Some(name)) = (mount.host.parent(), mount.host.file_name()) {
                let what = format!("the mount of {:?}", mount.task.display().to_string());
                let names = vec![name.to_string_lossy().into_owned()];
                wanted.push((what, base.to_owned(), names));
            }
        }
        let mut binds = config.volumes.clone();
        if !allowed.volumes {
            let outside = |what: &str| DriverError::Forbidden {
                what: what.to_owned(),
                hint: HINT,
            };
            for bind in &mut binds {
                let what = format!("the volume {bind:?}");
                let (base, name) = task
                    .task_dir
                    .parent()
                    .zip(task.task_dir.file_name())
                    .ok_or_else(|| outside(&what))?;
                let (source, rest) = bind.split_once(':').ok_or_else(|| outside(&what))?;
                if !rest.starts_with('/') {
                    return Err(DriverError::Forbidden { what, hint: TARGET });
                }
                let names = resolve(&what, base, &Path::new(name).join(source))?;
                let mut path = base.to_owned();
                path.extend(&names);
                match path.to_str() {
                    Some(path) if !path.contains(':') => *bind = format!("{path}:{rest}"),
                    Some(_) | None => return Err(DriverError::Forbidden { what, hint: COLON }),
                }
                wanted.push((what, base.to_owned(), names));
            }
        }
        wanted
            .into_iter()
            .map(|(what, base, names)| {
                let found = look_at_target(&what, &base, &names)?;
                Ok(Source {
                    what,
                    base,
                    names,
                    found,
                })
            })
            .collect::<Result<_, DriverError>>()
            .map(|sources| Self { sources, binds })
    }

    /// The volumes, as the engine is to be told of them.
    pub(super) fn binds(&self) -> &[String] {
        &self.binds
    }

    /// Refuses those that are not what they were.
    pub(super) fn check(&self) -> Result<(), DriverError> {
        for source in &self.sources {
            let now = look_at_target(&source.what, &source.base, &source.names)?;
            if !now.is_same(&source.found) {
                return Err(DriverError::Forbidden {
                    what: source.what.clone(),
                    hint: CHANGED,
                });
            }
        }
        Ok(())
    }
}

/// The names beneath `base`, none of them a link, of what `inside` leads to. What is missing is made.
fn resolve(what: &str, base: &Path, inside: &Path) -> Result<Vec<String>, DriverError> {
    let outside = || DriverError::Forbidden {
        what: what.to_owned(),
        hint: HINT,
    };
    let failed = |source: std::io::Error| DriverError::File {
        operation: "open",
        path: base.join(inside),
        source,
    };
    let root = File::open(base).map_err(failed)?;
    let real_root = std::fs::read_link(own_fd_path(root.as_fd())).map_err(failed)?;
    let mut names: Vec<String> = Vec::new();
    for part in inside.components() {
        let name = match part {
            Component::CurDir => continue,
            Component::ParentDir => {
                names.pop().ok_or_else(outside)?;
                continue;
            }
            Component::Normal(name) => name.to_str().ok_or_else(outside)?,
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        };
        names.push(name.to_owned());
        if !look(what, base, &names)?.is_link() {
            continue;
        }
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let found = openat2(&root, names.join("/").as_str(), how).map_err(|errno| match errno {
            // Out of the directory, in a circle, to nothing; or a kernel that can't tell.
            Errno::EXDEV | Errno::ELOOP | Errno::ENOENT | Errno::ENOSYS | Errno::EPERM => outside(),
            errno => failed(errno.into()),
        })?;
        let real = std::fs::read_link(own_fd_path(found.as_fd())).map_err(failed)?;
        let beneath = real.strip_prefix(&real_root).map_err(|_| outside())?;
        names = beneath
            .components()
            .map(|part| part.as_os_str().to_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(outside)?;
    }
    Ok(names)
}

fn look(what: &str, base: &Path, names: &[String]) -> Result<Entry, DriverError> {
    let failed = |source| DriverError::File {
        operation: "open",
        path: base.join(names.join("/")),
        source,
    };
    let mut at = Dir::open(base).map_err(failed)?;
    let Some((last, above)) = names.split_last() else {
        return at.entry(".").map_err(failed);
    };
    for name in above {
        at = match at.entry(name) {
            Ok(entry) if entry.is_link() => return Err(link(what)),
            // A link that was put there since is no directory.
            Ok(_) => at.enter(name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => at.make(name, MODE),
            Err(error) => Err(error),
        }
        .map_err(failed)?;
    }
    let entry = match at.entry(last) {
        // The engine would make it, wherever a link leads by then.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            at.make(last, MODE).and_then(|_| at.entry(last))
        }
        other => other,
    }
    .map_err(failed)?;
    Ok(entry)
}

/// As [`look`], and refuses a link.
fn look_at_target(what: &str, base: &Path, names: &[String]) -> Result<Entry, DriverError> {
    let entry = look(what, base, names)?;
    if entry.is_link() {
        return Err(link(what));
    }
    Ok(entry)
}

fn link(what: &str) -> DriverError {
    DriverError::Forbidden {
        what: what.to_owned(),
        hint: HINT,
    }
}
