//! Writing a log that starts a new file when one is full and removes the oldest.
//!
//! The task can write to the directory as well: whatever it puts there, nothing outside of the directory is written
//! and the log goes on.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{LogError, LogKind, LogLimits, file_name, file_path, list_in};
use crate::sys::dir::Dir;

/// The mode of the directory when it has to be made anew: a task that runs as anyone may write there.
const DIR_MODE: u32 = 0o777;

/// Writes one stream of a task. Keeps no data in memory.
#[derive(Debug)]
pub struct Rotator {
    dir: Dir,
    path: PathBuf,
    task: String,
    kind: LogKind,
    max_files: u64,
    max_size: u64,
    index: u64,
    size: u64,
    file: File,
}

impl Rotator {
    /// Goes on at the end of the newest file that is there, or starts the first.
    ///
    /// # Errors
    /// The directory can't be read or the file not be opened.
    pub fn open(
        dir: &Path,
        task: &str,
        kind: LogKind,
        limits: LogLimits,
    ) -> Result<Self, LogError> {
        let failed = |operation, path: &Path, source| LogError {
            operation,
            path: path.to_owned(),
            source,
        };
        let open_dir =
            Dir::ensure_last(dir, DIR_MODE).map_err(|error| failed("open", dir, error))?;
        let files = list_in(&open_dir, task, kind).map_err(|error| failed("list", dir, error))?;
        let newest = files.last().map_or(0, |file| file.index);
        let (file, size) = open(&open_dir, &file_name(task, kind, newest))
            .map_err(|error| failed("open", &file_path(dir, task, kind, newest), error))?;
        let rotator = Self {
            dir: open_dir,
            path: dir.to_owned(),
            task: task.to_owned(),
            kind,
            max_files: u64::from(limits.max_files.max(1)),
            max_size: limits.max_file_mb.max(1).saturating_mul(1 << 20),
            index: newest,
            size,
            file,
        };
        for old in files
            .iter()
            .filter(|file| file.index + rotator.max_files <= newest)
        {
            rotator.remove(old.index);
        }
        Ok(rotator)
    }

    /// Adds `data`. A line stays whole unless it is longer than a file.
    ///
    /// # Errors
    /// The disk is full, or the like. Data may have been written in part; calling again with all of it repeats some.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), LogError> {
        while !data.is_empty() {
            let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(0);
            let part = if data.len() <= room {
                data
            } else {
                let line_end = data[..room].iter().rposition(|byte| *byte == b'\n');
                match line_end {
                    Some(end) => &data[..=end],
                    // A new file takes the line, unless this one is new and the line longer than any file.
                    None if self.size > 0 => &data[..0],
                    None => &data[..room],
                }
            };
            if let Err(source) = self.file.write_all(part) {
                // Some of it may be there.
                self.size = self
                    .file
                    .metadata()
                    .map_or(self.size, |metadata| metadata.len());
                return Err(self.failed("write", source));
            }
            self.size += part.len() as u64;
            data = &data[part.len()..];
            if !data.is_empty() || self.size >= self.max_size {
                self.rotate()?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let next = self.index + 1;
        let (file, size) = open(&self.dir, &file_name(&self.task, self.kind, next))
            .map_err(|source| self.failed("open", source))?;
        self.file = file;
        self.size = size;
        self.index = next;
        if let Some(oldest) = next.checked_sub(self.max_files) {
            self.remove(oldest);
        }
        Ok(())
    }

    /// Not removed is not fatal: the next start looks for it again.
    fn remove(&self, index: u64) {
        let _ = self.dir.unlink(&file_name(&self.task, self.kind, index));
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> LogError {
        LogError {
            operation,
            path: file_path(&self.path, &self.task, self.kind, self.index),
            source,
        }
    }
}

fn open(dir: &Dir, name: &str) -> io::Result<(File, u64)> {
    let file = dir.append(name)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::symlink};

    use super::{super::list, *};

    fn limits(max_files: u32) -> LogLimits {
        LogLimits {
            max_files,
            max_file_mb: 1,
        }
    }

    fn open_in(dir: &Path, max_files: u32) -> Rotator {
        Rotator::open(dir, "say", LogKind::Stdout, limits(max_files)).unwrap()
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_in(dir.path(), 3);
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..6 * 1024 + 5 {
            log.write(&line).unwrap();
        }
        let files = list(dir.path(), "say", LogKind::Stdout).unwrap();
        let numbers: Vec<u64> = files.iter().map(|file| file.index).collect();
        assert_eq!(numbers, [4, 5, 6]);
        assert_eq!(files[0].size, 1 << 20);
        assert_eq!(files[2].size, 5 * 1024);
    }

    #[test]
    fn a_line_is_not_cut_by_the_end_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_in(dir.path(), 9);
        log.write(&vec![b'a'; (1 << 20) - 10]).unwrap();
        log.write(b"\nsecond line that is too long\nthird\n")
            .unwrap();
        let second = fs::read(file_path(dir.path(), "say", LogKind::Stdout, 1)).unwrap();
        assert_eq!(second, b"second line that is too long\nthird\n");
    }

    #[test]
    fn a_line_longer_than_a_file_is_cut_and_nothing_of_it_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_in(dir.path(), 9);
        log.write(b"short\n").unwrap();
        log.write(&vec![b'z'; 5 << 19]).unwrap();
        let files = list(dir.path(), "say", LogKind::Stdout).unwrap();
        let sizes: Vec<u64> = files.iter().map(|file| file.size).collect();
        assert_eq!(sizes, [6, 1 << 20, 1 << 20, 1 << 19]);
    }

    #[test]
    fn it_goes_on_in_the_newest_file_and_removes_what_a_smaller_limit_forbids() {
        let dir = tempfile::tempdir().unwrap();
        for index in 3..8 {
            fs::write(
                file_path(dir.path(), "say", LogKind::Stdout, index),
                b"old\n",
            )
            .unwrap();
        }
        open_in(dir.path(), 2).write(b"new\n").unwrap();
        let files = list(dir.path(), "say", LogKind::Stdout).unwrap();
        assert_eq!(
            files,
            [
                super::super::LogFile { index: 6, size: 4 },
                super::super::LogFile { index: 7, size: 8 }
            ]
        );
    }

    #[test]
    fn links_that_a_task_puts_there_are_not_followed_at_the_start_nor_at_the_next_file() {
        let base = tempfile::tempdir().unwrap();
        let (logs, outside) = (base.path().join("logs"), base.path().join("outside"));
        fs::create_dir(&logs).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("host"), "untouched").unwrap();
        symlink(
            outside.join("host"),
            file_path(&logs, "say", LogKind::Stdout, 0),
        )
        .unwrap();
        let mut log = open_in(&logs, 3);
        log.write(b"first\n").unwrap();
        symlink(
            outside.join("new"),
            file_path(&logs, "say", LogKind::Stdout, 1),
        )
        .unwrap();
        log.write(&vec![b'x'; 1 << 20]).unwrap();
        log.write(b"second\n").unwrap();
        // The whole directory is exchanged for a link.
        drop(log);
        fs::rename(&logs, base.path().join("moved")).unwrap();
        symlink(&outside, &logs).unwrap();
        assert_eq!(list(&logs, "say", LogKind::Stdout).unwrap(), []);
        open_in(&logs, 3).write(b"third\n").unwrap();

        let names: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["host"]);
        assert_eq!(
            fs::read_to_string(outside.join("host")).unwrap(),
            "untouched"
        );
        let third = fs::read(file_path(&logs, "say", LogKind::Stdout, 0)).unwrap();
        assert_eq!(third, b"third\n");
    }
}
