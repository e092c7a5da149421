//! Which log files there are.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::sys::dir::Dir;

/// One of the two streams of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogKind {
    /// As it stands in file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of a task's output is kept, for each of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Files.
    pub max_files: u32,
    /// Size of a file, in MiB.
    pub max_file_mb: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_files: 10,
            max_file_mb: 10,
        }
    }
}

/// A log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} {}", path.display())]
pub struct LogError {
    /// What was tried.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A log file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its number.
    pub index: u64,
    /// Its size in bytes when it was looked at.
    pub size: u64,
}

/// The highest number that is taken for one of ours; a task may make files of any name.
const MAX_INDEX: u64 = u64::MAX / 2;

/// What file `index` of a stream is called.
#[must_use]
pub fn file_name(task: &str, kind: LogKind, index: u64) -> String {
    format!("{task}.{kind}.{index}")
}

/// Where file `index` of a stream is.
#[must_use]
pub fn file_path(dir: &Path, task: &str, kind: LogKind, index: u64) -> PathBuf {
    dir.join(file_name(task, kind, index))
}

/// The files of a stream, oldest first. None when there is no directory.
///
/// # Errors
/// The directory can't be read.
pub fn list(dir: &Path, task: &str, kind: LogKind) -> Result<Vec<LogFile>, LogError> {
    let failed = |source| LogError {
        operation: "list",
        path: dir.to_owned(),
        source,
    };
    match Dir::open_last(dir) {
        Ok(dir) => list_in(&dir, task, kind).map_err(failed),
        // Also when the task has put something else there.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(failed(error)),
    }
}

/// As [`list`], in a directory that is open.
pub(crate) fn list_in(dir: &Dir, task: &str, kind: LogKind) -> io::Result<Vec<LogFile>> {
    let prefix = format!("{task}.{kind}.");
    let mut files: Vec<LogFile> = dir
        .files(|name| {
            let digits = name.strip_prefix(&prefix)?;
            digits
                .bytes()
                .all(|digit| digit.is_ascii_digit())
                .then(|| digits.parse().ok())?
                .filter(|index| *index <= MAX_INDEX)
        })?
        .into_iter()
        .map(|(index, size)| LogFile { index, size })
        .collect();
    files.sort_unstable_by_key(|file| file.index);
    Ok(files)
}

/// Adds to a file, making it if need be.
///
/// # Errors
/// It can't be written.
pub fn append(path: &Path, data: &[u8]) -> Result<(), LogError> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(data))
        .map_err(|source| LogError {
            operation: "write",
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_are_listed_by_number_and_only_those_of_the_stream() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "say.stdout.10",
            "say.stdout.9",
            "say.stderr.0",
            "say.stdout.x",
            "say.stdout.+1",
            "say.stdout.",
            "say2.stdout.1",
            "say.stdout.18446744073709551615",
            ".say.stdout.fifo",
        ] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let found = list(dir.path(), "say", LogKind::Stdout).unwrap();
        let numbers: Vec<u64> = found.iter().map(|file| file.index).collect();
        assert_eq!(numbers, [9, 10]);
        assert_eq!(found[0].size, 12);
    }

    #[test]
    fn no_directory_means_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("logs");
        assert_eq!(list(&missing, "say", LogKind::Stderr).unwrap(), []);
    }
}
