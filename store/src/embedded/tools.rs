//! What an operator does with the file of a store that no server has open: look whether it is whole, keep what can be
//! kept of a damaged one, and write out what is in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rove_model::encoding;
use serde_json::{Value, json};

use super::disk::{Disk, Salvaged, Unopened};
use super::{FILE, MARKER, OpenError, Options, lock};
use crate::store::{KeyRange, RangeRequest, StoreError};

/// What is in a store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its newest revision.
    pub revision: u64,
    /// Its keys.
    pub keys: u64,
    /// Bytes of them and of the history that is kept.
    pub bytes: u64,
}

/// What was kept of a store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The file that was made.
    pub file: PathBuf,
    /// Where the damaged one is now; `None` when it was whole and was left as it is.
    pub damaged: Option<PathBuf>,
    /// Rows, writes of keys, that were kept.
    pub kept: u64,
    /// Rows that were found and are not what was written.
    pub lost: u64,
    /// Its newest revision.
    pub revision: u64,
}

/// The folder of the store that is meant by `path`: itself, or that of the agent's data directory `path`.
#[must_use]
pub fn folder(path: &Path) -> PathBuf {
    ["", "store", "server/store"]
        .into_iter()
        .map(|below| path.join(below))
        .find(|folder| folder.join(FILE).exists() || folder.join(MARKER).exists())
        .unwrap_or_else(|| path.to_owned())
}

fn absent(dir: &Path) -> OpenError {
    OpenError::Absent {
        path: dir.to_owned(),
    }
}

fn unopened(dir: &Path, error: Unopened) -> OpenError {
    match error {
        Unopened::Store(source) => OpenError::Content {
            path: dir.to_owned(),
            source,
        },
        Unopened::Damaged(why) => OpenError::Damaged {
            file: dir.join(FILE),
            why,
        },
    }
}

/// Whether there is something to be looked at in a store's folder.
fn require(dir: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(dir.join(FILE)) {
        Ok(file) if file.len() > 0 => Ok(()),
        Ok(_) => Err(OpenError::Damaged {
            file: dir.join(FILE),
            why: "it is empty: nothing of it can be kept".to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(absent(dir)),
        Err(source) => Err(OpenError::Folder {
            path: dir.join(FILE),
            source,
        }),
    }
}

/// Looks at all of the store in the folder `dir`.
///
/// # Errors
/// When it is damaged, in use, or can't be read.
pub fn check(dir: &Path) -> Result<Report, OpenError> {
    require(dir)?;
    let _lock = lock(dir)?;
    let disk = Disk::new(dir.join(FILE), &Options::default());
    let loaded = disk.open(true).map_err(|error| unopened(dir, error))?;
    let revision = loaded.engine.revision();
    let all = RangeRequest {
        count_only: true,
        ..RangeRequest::new(KeyRange::From(Bytes::new()))
    };
    Ok(Report {
        file: dir.join(FILE),
        revision,
        keys: loaded.engine.list(&all, revision).count,
        bytes: loaded.in_use,
    })
}

/// Makes a new file of what can be read in a damaged one, and keeps that beside it. History is given up: it would have
/// holes. One that is whole is left as it is.
///
/// # Errors
/// When nothing can be read, or the new file can't be written. Then the damaged one is as it was.
pub fn repair(dir: &Path) -> Result<Repaired, OpenError> {
    match check(dir) {
        Ok(report) => {
            return Ok(Repaired {
                file: report.file,
                damaged: None,
                kept: report.keys,
                lost: 0,
                revision: report.revision,
            });
        }
        Err(OpenError::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    require(dir)?;
    let _lock = lock(dir)?;
    let file = dir.join(FILE);
    let new = dir.join("store.redb.repaired");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    let _ = std::fs::remove_file(&new);
    let salvaged = Disk::new(new.clone(), &Options::default()).salvage(&file);
    let Salvaged {
        kept,
        lost,
        revision,
    } = match salvaged {
        Ok(salvaged) => salvaged,
        Err(error) => {
            let _ = std::fs::remove_file(&new);
            return Err(unopened(dir, error));
        }
    };
    let damaged = (1_u32..)
        .map(|number| dir.join(format!("{FILE}.damaged-{number}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| dir.join("store.redb.damaged"));
    std::fs::rename(&file, &damaged).map_err(io(&damaged))?;
    std::fs::rename(&new, &file).map_err(io(&file))?;
    Ok(Repaired {
        file,
        damaged: Some(damaged),
        kept,
        lost,
        revision,
    })
}

/// Why a store was not written out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A value can't be read.
    #[error("can't read the store")]
    Read(#[source] StoreError),
    /// What it is written to fails.
    #[error("can't write the export")]
    Write(#[source] std::io::Error),
}

/// Writes what is in the store in the folder `dir` to `out`: a line of JSON for each key, with its value as JSON, or in
/// base64 where it is none. Gives how many there were.
///
/// # Errors
/// See [`ExportError`].
pub fn export(dir: &Path, out: &mut dyn Write) -> Result<u64, ExportError> {
    require(dir)?;
    let _lock = lock(dir)?;
    let disk = Disk::new(dir.join(FILE), &Options::default());
    let loaded = disk.open(true).map_err(|error| unopened(dir, error))?;
    let all = RangeRequest::new(KeyRange::From(Bytes::new()));
    let found = loaded.engine.list(&all, loaded.engine.revision()).found;
    let rows = disk.read().map_err(ExportError::Read)?;
    let mut lines = 0;
    for found in found {
        let value = rows.value(found.place).map_err(ExportError::Read)?;
        let mut line = BTreeMap::from([(
            "key",
            Value::from(String::from_utf8_lossy(&found.key).into_owned()),
        )]);
        line.insert("mod_revision", json!(found.place.revision));
        match encoding::decode::<Value>(&value) {
            Ok(value) => line.insert("value", value),
            Err(_) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(&value);
                line.insert("base64", Value::from(text))
            }
        };
        let line = serde_json::to_string(&line)
            .map_err(|error| ExportError::Write(std::io::Error::other(error)))?;
        writeln!(out, "{line}").map_err(ExportError::Write)?;
        lines += 1;
    }
    Ok(lines)
}
