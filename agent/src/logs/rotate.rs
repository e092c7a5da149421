//! Writing a log that starts a new file when one is full and removes the oldest.
//!
//! A file ends where a line does: the beginning of a line that no longer fits is moved to the next file, whatever the
//! portions in which it came. Only a line longer than a whole file is cut.
//!
//! The task can write to the directory as well: whatever it puts there or removes, nothing outside of the directory is
//! written and the log goes on.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{LogError, LogKind, LogLimits, file_name, file_path, list_in};
use crate::sys::dir::{Dir, own_fd_path};

/// The mode of the directory when it has to be made anew: a task that runs as anyone may write there.
const DIR_MODE: u32 = 0o777;

/// Bytes that are read or moved at once.
const PORTION: usize = 16 << 10;

/// How often it is looked whether the directory is still the one at its path.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Writes one stream of a task. Keeps no data in memory.
#[derive(Debug)]
pub struct Rotator {
    dir: Dir,
    path: PathBuf,
    task: String,
    kind: LogKind,
    limits: LogLimits,
    index: u64,
    size: u64,
    /// Where the line that is being written begins in the file; its size at the end of a line.
    line_start: u64,
    file: File,
    looked: Instant,
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
        Self::open_from(dir, task, kind, limits, 0)
    }

    /// As [`Rotator::open`], at a number of at least `least`: numbers never go back for who follows.
    fn open_from(
        dir: &Path,
        task: &str,
        kind: LogKind,
        limits: LogLimits,
        least: u64,
    ) -> Result<Self, LogError> {
        let failed = |operation, path: &Path, source| LogError {
            operation,
            path: path.to_owned(),
            source,
        };
        let open_dir =
            Dir::ensure_last(dir, DIR_MODE).map_err(|error| failed("open", dir, error))?;
        let files = list_in(&open_dir, task, kind).map_err(|error| failed("list", dir, error))?;
        let newest = files.last().map_or(0, |file| file.index).max(least);
        let newest = finish_move(&open_dir, task, kind, newest);
        let (file, size, line_start) = open(&open_dir, &file_name(task, kind, newest))
            .map_err(|error| failed("open", &file_path(dir, task, kind, newest), error))?;
        let rotator = Self {
            dir: open_dir,
            path: dir.to_owned(),
            task: task.to_owned(),
            kind,
            limits,
            index: newest,
            size,
            line_start,
            file,
            looked: Instant::now(),
        };
        for old in files
            .iter()
            .filter(|file| file.index + rotator.max_files() <= newest)
        {
            rotator.remove(old.index);
        }
        Ok(rotator)
    }

    fn max_files(&self) -> u64 {
        u64::from(self.limits.max_files.max(1))
    }

    fn max_size(&self) -> u64 {
        self.limits.max_file_mb.max(1).saturating_mul(1 << 20)
    }

    /// Adds `data`. A line stays whole unless it is longer than a file.
    ///
    /// # Errors
    /// The disk is full, or the like. Data may have been written in part; calling again with all of it repeats some.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), LogError> {
        self.reopen_if_gone()?;
        while !data.is_empty() {
            let room = usize::try_from(self.max_size().saturating_sub(self.size)).unwrap_or(0);
            let part = if data.len() <= room {
                data
            } else {
                let line_end = data[..room].iter().rposition(|byte| *byte == b'\n');
                match line_end {
                    Some(end) => &data[..=end],
                    // A new file takes the line, unless it began with this one: then it is longer than any file.
                    None if room == 0 || self.line_start > 0 => {
                        self.rotate()?;
                        continue;
                    }
                    None => &data[..room],
                }
            };
            if let Err(source) = self.file.write_all(part) {
                // Some of it may be there.
                if let Ok(metadata) = self.file.metadata() {
                    self.size = metadata.len();
                    self.line_start = line_start(&self.file, self.size).unwrap_or(self.line_start);
                }
                return Err(self.failed("write", source));
            }
            if let Some(end) = part.iter().rposition(|byte| *byte == b'\n') {
                self.line_start = self.size + end as u64 + 1;
            }
            self.size += part.len() as u64;
            data = &data[part.len()..];
        }
        Ok(())
    }

    /// Goes on in the next file, which begins with what there is of the current line.
    fn rotate(&mut self) -> Result<(), LogError> {
        let next = self.index + 1;
        let begun = 0 < self.line_start && self.line_start < self.size;
        if begun && let Err(error) = self.or_with_room(next, |log| log.move_line(next)) {
            // Cut, then: better than lost.
            tracing::debug!(%error, task = self.task, "a line of the log is cut by the end of a file");
        }
        let name = file_name(&self.task, self.kind, next);
        let (file, size, line_start) = self
            .or_with_room(next, |log| open(&log.dir, &name))
            .map_err(|source| self.failed("open", source))?;
        self.file = file;
        self.size = size;
        self.line_start = line_start;
        self.index = next;
        if let Some(oldest) = next.checked_sub(self.max_files()) {
            self.remove(oldest);
        }
        Ok(())
    }

    /// Does what file `next` needs; on a full disk once more, when the file is gone that has to go for it.
    fn or_with_room<T>(
        &mut self,
        next: u64,
        mut act: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = act(self);
        let is_full = result.as_ref().is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        });
        match next.checked_sub(self.max_files()) {
            Some(oldest) if is_full && oldest < self.index => {
                self.remove(oldest);
                act(self)
            }
            _ => result,
        }
    }

    /// Moves the line that is being written to file `next`. Under another name at first, so that at no point both files
    /// have it under names that are read: who has read it in this file goes on behind it in the next.
    fn move_line(&mut self, next: u64) -> io::Result<()> {
        let (name, temporary) = (
            file_name(&self.task, self.kind, next),
            moving_name(&self.task, self.kind, next),
        );
        // Somebody else may have cut it meanwhile.
        if self.file.metadata()?.len() != self.size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let _ = self.dir.unlink(&temporary);
        let mut copy = self.dir.append(&temporary)?;
        let original = File::open(own_fd_path(self.file.as_fd()))?;
        let mut portion = vec![0; PORTION];
        let mut at = self.line_start;
        let copied = loop {
            match original.read_at(&mut portion, at) {
                Ok(0) => break Ok(()),
                Ok(read) => match copy.write_all(&portion[..read]) {
                    Ok(()) => at += read as u64,
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = copied {
            let _ = self.dir.unlink(&temporary);
            return Err(error);
        }
        self.hand_over(&copy, &temporary, &name)
    }

    /// Cuts the line that is being written off this file, and gives its `copy` the name of the next. When that fails
    /// the line is written back.
    fn hand_over(&mut self, copy: &File, temporary: &str, name: &str) -> io::Result<()> {
        // Opened while nothing is cut yet.
        let mut copied = File::open(own_fd_path(copy.as_fd()))?;
        self.file.set_len(self.line_start)?;
        self.size = self.line_start;
        let renamed = self.dir.rename(temporary, name);
        if renamed.is_err() {
            let restored = io::copy(&mut copied, &mut self.file);
            self.size = self.file.metadata()?.len();
            restored?;
            let _ = self.dir.unlink(temporary);
        }
        renamed
    }

    /// Opens everything anew when somebody removed the file or the directory, or put another in its place, and sees what
    /// somebody else wrote to the file or cut off it.
    fn reopen_if_gone(&mut self) -> Result<(), LogError> {
        let there = self.file.metadata().ok();
        let gone = there.as_ref().is_some_and(|there| there.nlink() == 0)
            || (self.looked.elapsed() >= LOOK_EVERY && {
                self.looked = Instant::now();
                !self.dir.is_at(&self.path)
            });
        if gone {
            let (path, task) = (self.path.clone(), self.task.clone());
            *self = Self::open_from(&path, &task, self.kind, self.limits, self.index)?;
        } else if let Some(size) = there.map(|there| there.len())
            && size != self.size
        {
            self.size = size;
            self.line_start = line_start(&self.file, size).unwrap_or(size);
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

/// What a file is called while a line is moved there.
fn moving_name(task: &str, kind: LogKind, index: u64) -> String {
    format!(".{}.new", file_name(task, kind, index))
}

/// The number of the newest file, once a move that was broken off behind file `newest` is done or undone.
fn finish_move(dir: &Dir, task: &str, kind: LogKind, newest: u64) -> u64 {
    let next = newest + 1;
    let temporary = moving_name(task, kind, next);
    if dir.read(&temporary).is_err() {
        return newest;
    }
    let is_moved = dir
        .read(&file_name(task, kind, newest))
        .and_then(|file| {
            let size = file.metadata()?.len();
            Ok(line_start(&file, size)? == size)
        })
        .unwrap_or(false);
    if is_moved && dir.rename(&temporary, &file_name(task, kind, next)).is_ok() {
        next
    } else {
        let _ = dir.unlink(&temporary);
        newest
    }
}

/// Where the last line of a file of `size` bytes begins.
fn line_start(file: &File, size: u64) -> io::Result<u64> {
    let file = File::open(own_fd_path(file.as_fd()))?;
    let mut portion = vec![0; PORTION];
    let mut end = size;
    while end > 0 {
        let length = end.min(PORTION as u64);
        let from = end - length;
        let portion = &mut portion[..usize::try_from(length).unwrap_or(PORTION)];
        file.read_exact_at(portion, from)?;
        if let Some(at) = portion.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// The file, its size, and where its last line begins.
fn open(dir: &Dir, name: &str) -> io::Result<(File, u64, u64)> {
    let file = dir.append(name)?;
    let size = file.metadata()?.len();
    let line_start = line_start(&file, size).unwrap_or(size);
    Ok((file, size, line_start))
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

    /// What `seq` and most programs do: lines of all lengths, flushed whenever so many bytes are there.
    fn flushed(lines: &[u8], portion: usize, log: &mut Rotator) {
        for part in lines.chunks(portion) {
            log.write(part).unwrap();
        }
    }

    fn all(dir: &Path) -> Vec<Vec<u8>> {
        list(dir, "say", LogKind::Stdout)
            .unwrap()
            .iter()
            .map(|file| fs::read(file_path(dir, "say", LogKind::Stdout, file.index)).unwrap())
            .collect()
    }

    #[test]
    fn files_end_with_a_line_whatever_the_portions_in_which_it_is_flushed() {
        let numbers: Vec<u8> = (0..400_000)
            .flat_map(|number| format!("{number}\n").into_bytes())
            .collect();
        let long: Vec<u8> = (0..30)
            .flat_map(|number| {
                let mut line = vec![b'a' + number; 150_000 + usize::from(number) * 1000];
                line.push(b'\n');
                line
            })
            .collect();
        for (what, lines, portion) in [
            ("short lines", &numbers, 4096),
            ("short lines a few bytes at a time", &numbers, 7),
            ("short lines in large portions", &numbers, 300_000),
            ("long lines", &long, 4096),
            ("long lines whole", &long, 65_536),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = open_in(dir.path(), 99);
            flushed(lines, portion, &mut log);
            let files = all(dir.path());
            assert!(files.len() > 2, "{what}");
            for file in &files {
                assert_eq!(file.last(), Some(&b'\n'), "{what}");
                assert!(file.len() <= 1 << 20, "{what}");
            }
            assert!(
                files.concat() == *lines,
                "{what}: nothing is lost and nothing twice"
            );
        }
    }

    #[test]
    fn a_line_that_was_begun_in_another_life_is_moved_whole() {
        let dir = tempfile::tempdir().unwrap();
        let filled = [&vec![b'x'; (1 << 20) - 20][..], b"\nbegun"].concat();
        open_in(dir.path(), 9).write(&filled).unwrap();
        open_in(dir.path(), 9)
            .write(b" and ended much later\n")
            .unwrap();
        let files = all(dir.path());
        assert_eq!(files[0].len(), (1 << 20) - 19);
        assert_eq!(files[1], b"begun and ended much later\n");
    }

    #[test]
    fn a_move_that_was_broken_off_is_ended_or_undone() {
        for (what, first, expected) in [
            (
                "after the cut",
                &b"one\n"[..],
                &[&b"one\n"[..], b"two\n"][..],
            ),
            ("before the cut", b"one\ntw", &[b"one\ntwo\n"]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = file_path(dir.path(), "say", LogKind::Stdout, 0);
            fs::write(&path, first).unwrap();
            fs::write(dir.path().join(".say.stdout.1.new"), "tw").unwrap();
            open_in(dir.path(), 9).write(b"o\n").unwrap();
            assert_eq!(all(dir.path()), expected, "{what}");
            assert!(!dir.path().join(".say.stdout.1.new").exists(), "{what}");
        }
    }

    #[test]
    fn a_line_whose_copy_can_not_get_its_name_stays_where_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_in(dir.path(), 9);
        log.write(b"one\ntw").unwrap();
        let mut copy = log.dir.append(".copy").unwrap();
        copy.write_all(b"tw").unwrap();
        // As the task may do.
        fs::remove_file(dir.path().join(".copy")).unwrap();
        let name = file_name("say", LogKind::Stdout, 1);
        assert!(log.hand_over(&copy, ".copy", &name).is_err());
        assert_eq!(all(dir.path()), [b"one\ntw"]);
        log.write(b"o\n").unwrap();
        assert_eq!(all(dir.path()), [b"one\ntwo\n"]);
        assert_eq!((log.size, log.line_start), (8, 8));
    }

    #[test]
    fn the_log_goes_on_when_its_file_or_directory_was_removed() {
        let base = tempfile::tempdir().unwrap();
        let logs = base.path().join("logs");
        let mut log = open_in(&logs, 9);
        log.write(&vec![b'x'; (1 << 20) + 1]).unwrap();
        log.write(b"\n").unwrap();
        fs::remove_dir_all(&logs).unwrap();
        log.write(b"second\n").unwrap();
        let files = list(&logs, "say", LogKind::Stdout).unwrap();
        assert_eq!(files, [super::super::LogFile { index: 1, size: 7 }]);
        fs::remove_file(file_path(&logs, "say", LogKind::Stdout, 1)).unwrap();
        log.write(b"third\n").unwrap();
        assert_eq!(all(&logs), [b"third\n"]);
        // Another directory in its place.
        fs::rename(&logs, base.path().join("old")).unwrap();
        log.looked -= LOOK_EVERY;
        log.write(b"fourth\n").unwrap();
        assert_eq!(all(&logs), [b"fourth\n"]);
    }

    #[test]
    fn what_others_write_to_the_file_or_cut_off_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = |index| file_path(dir.path(), "say", LogKind::Stdout, index);
        let mut log = open_in(dir.path(), 9);
        log.write(&[b'a'; 600_000]).unwrap();
        // As a program does that empties its log.
        File::options()
            .write(true)
            .open(path(0))
            .unwrap()
            .set_len(0)
            .unwrap();
        log.write(&[b'b'; 600_000]).unwrap();
        assert_eq!(all(dir.path()), [vec![b'b'; 600_000]]);
        // As a program does that writes there itself.
        let mut other = File::options().append(true).open(path(0)).unwrap();
        other.write_all(&[b'c'; 400_000]).unwrap();
        other.write_all(b"\nbegun").unwrap();
        log.write(&[b'd'; 100_000]).unwrap();
        let files = all(dir.path());
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].len(), files[0].last()), (1_000_001, Some(&b'\n')));
        assert!(files[1].starts_with(b"begund"));
    }

    #[test]
    fn a_full_disk_cuts_no_line_where_the_oldest_file_goes_anyway() {
        if !nix::unistd::Uid::effective().is_root() {
            println!("skipped: a disk of its own needs root");
            return;
        }
        let disk = rove_testkit::SmallDisk::mount(4);
        let dir = disk.path().join("logs");
        let mut log = open_in(&dir, 2);
        log.write(&[&[b'a'; (1 << 20) - 1][..], b"\n"].concat())
            .unwrap();
        log.write(&[&[b'b'; (1 << 20) - 100_001][..], b"\n"].concat())
            .unwrap();
        log.write(&[b'c'; 90_000]).unwrap();
        disk.fill();
        log.write(&[&[b'c'; 20_000][..], b"\n"].concat()).unwrap();
        let files = all(&dir);
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].last(), Some(&b'\n'));
        assert_eq!(files[1], [&[b'c'; 110_000][..], b"\n"].concat());
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
