//! Who this node is, and that it is so once: the id and secret of its data directory, and the lock on it.

use std::{
    fmt, fs,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rove_model::ids::NodeId;
use rove_store::node_secret::digest;
use thiserror::Error;
use uuid::Uuid;

use crate::alloc::dir;

/// Why a data directory can't be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Another agent uses it.
    #[error(
        "data_dir {} is in use by another agent (pid {pid}): stop that one, or give this one another data_dir",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// That agent's process, as far as it told.
        pid: String,
    },
    /// A file holds something else than it should.
    #[error(
        "{} does not hold {expected}: put it back from a backup, or remove client-id and secret-id there so that this \
         becomes a new node",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The system refused.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The lock on a data directory. The kernel lets it go with the process, however that ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: Flock<File>,
}

impl DataDirLock {
    /// Takes the lock of `directory`, made if need be, by the file `agent.lock` in it.
    ///
    /// # Errors
    /// [`IdentityError::Locked`] when another agent holds it, else when it can't be written.
    pub fn acquire(directory: &Path) -> Result<Self, IdentityError> {
        fs::create_dir_all(directory).map_err(|source| failed("create", directory, source))?;
        let path = directory.join("agent.lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed("open", &path, source))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = pid.trim();
                return Err(IdentityError::Locked {
                    path: directory.to_owned(),
                    pid: if pid.is_empty() { "unknown" } else { pid }.to_owned(),
                });
            }
            Err((_, errno)) => return Err(failed("lock", &path, errno.into())),
        };
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // The number is for people: on a full disk the lock holds without it.
        match write(&mut file) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written.map_err(|source| failed("write", &path, source))?,
        }
        Ok(Self { _file: file })
    }
}

/// A node's id and the secret by which it proves that it is that node.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id.
    pub node_id: NodeId,
    /// The secret: 64 hexadecimal digits.
    pub secret: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

/// The key by which the agent of a node and the servers prove themselves to each other: it is derived from the salted
/// hash of the node's secret, which the servers keep.
#[derive(Clone, Copy)]
pub struct CallKey(pub [u8; 32]);

impl fmt::Debug for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallKey(..)")
    }
}

impl CallKey {
    /// Of the hash of a node's secret.
    #[must_use]
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        Self(digest(&[b"call", hash]))
    }
}

impl Identity {
    /// The key for calls, where the servers keep the hash of the secret under that salt.
    #[must_use]
    pub fn call_key(&self, salt: [u8; 16]) -> CallKey {
        CallKey::of_hash(&digest(&[&salt, self.secret.as_bytes()]))
    }

    /// A node of that id, with the secret made of `secret`.
    #[must_use]
    pub fn new(node_id: NodeId, secret: [u8; 32]) -> Self {
        Self {
            node_id,
            secret: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The identity kept in `directory`, where the agent's own state is, made on first start. Both files have mode 0600.
    ///
    /// # Errors
    /// When it can't be read or written, or is damaged: another identity would leave the old node's allocs behind.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        dir::make_private(directory).map_err(|error| match error {
            dir::DirError::Io {
                operation,
                path,
                source,
            } => failed(operation, &path, source),
            dir::DirError::UnknownUser(_) | dir::DirError::BadName(_) => {
                failed("create", directory, io::ErrorKind::InvalidInput.into())
            }
        })?;
        let id_path = directory.join("client-id");
        let secret_path = directory.join("secret-id");
        let id = kept(&id_path, || Uuid::new_v4().to_string())?;
        let secret = kept(&secret_path, || {
            Self::new(NodeId(Uuid::nil()), rand::random()).secret
        })?;
        let node_id = id.parse().map_err(|_| IdentityError::Damaged {
            path: id_path,
            expected: "a node id",
        })?;
        if secret.len() != 64 || !secret.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(IdentityError::Damaged {
                path: secret_path,
                expected: "64 hexadecimal digits",
            });
        }
        Ok(Self { node_id, secret })
    }
}

/// What the file holds, or what it holds from now on.
fn kept(path: &Path, make: impl FnOnce() -> String) -> Result<String, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", path, error)),
    }
    let value = make();
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(value.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| failed("write", path, source))?;
    Ok(value)
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!(Identity::load_or_create(dir.path()).unwrap(), first);
        for name in ["client-id", "secret-id"] {
            let path = dir.path().join(name);
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
        assert!(!format!("{first:?}").contains(&first.secret));
    }

    #[test]
    fn a_damaged_identity_is_refused_rather_than_replaced() {
        for (name, content) in [("client-id", "x"), ("secret-id", "abc"), ("secret-id", "")] {
            let dir = tempfile::tempdir().unwrap();
            Identity::load_or_create(dir.path()).unwrap();
            fs::write(dir.path().join(name), content).unwrap();
            let error = Identity::load_or_create(dir.path()).unwrap_err();
            assert!(
                matches!(error, IdentityError::Damaged { .. }),
                "{name} {content:?}"
            );
        }
    }

    #[test]
    fn a_second_agent_on_a_data_dir_is_refused_and_told_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirLock::acquire(dir.path()).unwrap();
        let error = DataDirLock::acquire(dir.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("(pid {})", std::process::id())),
            "{error}"
        );
        drop(first);
        DataDirLock::acquire(dir.path()).unwrap();
    }
}
