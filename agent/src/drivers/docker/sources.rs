//! The directories of the host that a container is shown, when the operator allows none but the task's own.
//!
//! A source that lies in the task's directory by its spelling may be reached through a link that an earlier container
//! of the task put there. So each is opened name by name without following any, and looked at again just before the
//! start: it must still be the same.

use std::path::{Component, Path, PathBuf};

use super::{Allowed, config::DockerConfig};
use crate::{
    drivers::{DriverError, TaskConfig},
    sys::dir::{Dir, Entry},
};

const HINT: &str = "its source has a link in it, which may lead out of the task's directory; the operator has to set \
                    volumes.enabled in the docker plugin's config";
const CHANGED: &str = "its source was exchanged while the container was made";

/// The mode of a source that is missing, as the engine would make it.
const MODE: u32 = 0o755;

/// What is shown, kept open until the container was started.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

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
        if !allowed.volumes {
            for volume in &config.volumes {
                let source = volume.split(':').next().unwrap_or_default();
                let names = Path::new(source)
                    .components()
                    .filter_map(|part| match part {
                        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                        // Others than these are refused by their spelling.
                        Component::CurDir
                        | Component::ParentDir
                        | Component::RootDir
                        | Component::Prefix(_) => None,
                    })
                    .collect();
                wanted.push((
                    format!("the volume {volume:?}"),
                    task.task_dir.clone(),
                    names,
                ));
            }
        }
        wanted
            .into_iter()
            .map(|(what, base, names)| {
                let found = look(&what, &base, &names)?;
                Ok(Source {
                    what,
                    base,
                    names,
                    found,
                })
            })
            .collect::<Result<_, DriverError>>()
            .map(Self)
    }

    /// Refuses those that are not what they were.
    pub(super) fn check(&self) -> Result<(), DriverError> {
        for source in &self.0 {
            let now = look(&source.what, &source.base, &source.names)?;
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
