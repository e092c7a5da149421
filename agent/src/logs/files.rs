//! Which log files there are.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

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

/// Where file `index` of a stream is.
#[must_use]
pub fn file_path(dir: &Path, task: &str, kind: LogKind, index: u64) -> PathBuf {
    dir.join(format!("{task}.{kind}.{index}"))
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
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let prefix = format!("{task}.{kind}.");
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(index) = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix))
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
        else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push(LogFile {
                index,
                size: metadata.len(),
            }),
            Ok(_) => {}
            // Rotated away just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
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
