//! Directories that a task may write, opened so that nothing it puts there leads out of them.
//!
//! Invariant: only the path that a [`Dir`] is first opened by is trusted. Everything beneath is reached name by name
//! through the descriptor, and no link is ever followed.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat},
    unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat},
};

use super::{acl, unix_now};

/// How often what is in the way is moved aside, against a task that puts something there again and again.
const TRIES: u32 = 16;

/// A directory that is open, whatever its path leads to by now.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens the directory at a path that only its owner can change; links in it are followed.
    ///
    /// # Errors
    /// It isn't there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens a directory whose last name tasks can change, but no name before it.
    ///
    /// # Errors
    /// It isn't there, or is something else.
    pub fn open_last(path: &Path) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        Self::open(parent)?.enter(name)
    }

    /// As [`Dir::open_last`], but makes it when it isn't there, with that mode, and moves aside what else is there.
    ///
    /// # Errors
    /// It can't be made.
    pub fn ensure_last(path: &Path, mode: u32) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        Self::open(parent)?.ensure(name, mode)
    }

    /// Opens a directory in it.
    ///
    /// # Errors
    /// It isn't there, or is no directory.
    pub fn enter(&self, name: &str) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self(fd)),
            // What the kernel says of a link depends on its version.
            Err(Errno::ELOOP) => Err(Errno::ENOTDIR.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a directory in it. One that is missing is made with that mode.
    ///
    /// # Errors
    /// It can't be made, or something else has its name.
    pub fn make(&self, name: &str, mode: u32) -> io::Result<Self> {
        match mkdirat(&self.0, name, Mode::from_bits_truncate(mode & 0o700)) {
            Ok(()) => {
                let made = self.enter(name)?;
                // Set apart from making it: the umask would take bits away.
                fchmod(&made.0, Mode::from_bits_truncate(mode))?;
                Ok(made)
            }
            // Made before, or by a sibling just now; a task may have changed its mode since.
            Err(Errno::EEXIST) => self.enter(name),
            Err(errno) => Err(errno.into()),
        }
    }

    /// As [`Dir::make`], but moves aside what else has the name.
    ///
    /// # Errors
    /// It can't be made.
    pub fn ensure(&self, name: &str, mode: u32) -> io::Result<Self> {
        for _ in 0..TRIES {
            match self.make(name, mode) {
                Err(error) if error.raw_os_error() == Some(Errno::ENOTDIR as i32) => {
                    self.set_aside(name)?;
                }
                // Moved away between two looks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        Err(Errno::ENOTDIR.into())
    }

    /// Sets its mode.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.0, Mode::from_bits_truncate(mode))?)
    }

    /// Lets `users` pass it beside its owner, and nobody else. With none of them only the owner does.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the file system can't tell users apart; or what the system says.
    pub fn let_pass(&self, users: &BTreeSet<u32>) -> io::Result<()> {
        if users.is_empty() {
            acl::clear(self.0.as_fd())?;
            return self.set_mode(0o700);
        }
        acl::let_pass(self.0.as_fd(), users)
    }

    /// Lets all pass it that `mode` says, whomever it named before.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open_to(&self, mode: u32) -> io::Result<()> {
        acl::clear(self.0.as_fd())?;
        self.set_mode(mode)
    }

    /// Gives it to a user.
    ///
    /// # Errors
    /// The system refuses.
    pub fn give_to(&self, user: Uid, group: Gid) -> io::Result<()> {
        Ok(fchown(&self.0, Some(user), Some(group))?)
    }

    /// Opens a file in it to add to its end, making it if need be. What has the name and is no file of one name (a
    /// link, a pipe, a directory) is moved aside first.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn append(&self, name: &str) -> io::Result<File> {
        for _ in 0..TRIES {
            let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CLOEXEC;
            match self.probe(name) {
                Ok(found) if is_own_file(&found)? => return reopen(&found, flags),
                Ok(_) => self.set_aside(name)?,
                Err(Errno::ENOENT) => {
                    let new = flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
                    match openat(&self.0, name, new, Mode::from_bits_truncate(0o666)) {
                        Ok(fd) => return Ok(fd.into()),
                        Err(Errno::EEXIST) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::EEXIST.into())
    }

    /// Opens a regular file in it for reading.
    ///
    /// # Errors
    /// It isn't there (`NotFound`, also when it is anything else).
    pub fn read(&self, name: &str) -> io::Result<File> {
        let found = self.probe(name)?;
        if !is_file(&found)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        reopen(&found, OFlag::O_RDONLY | OFlag::O_CLOEXEC)
    }

    /// The regular files in it whose names `take` makes something of, with their sizes in bytes.
    ///
    /// # Errors
    /// It can't be read.
    pub fn files<T>(&self, take: impl Fn(&str) -> Option<T>) -> io::Result<Vec<(T, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(own_fd_path(self.0.as_fd()))? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(&take) else {
                continue;
            };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => found.push((name, metadata.len())),
                Ok(_) => {}
                // Gone since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Gives what has the name `from` the name `to`, in place of what has that; a directory there is moved aside.
    ///
    /// # Errors
    /// It isn't there, or the system refuses.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match renameat(&self.0, from, &self.0, to) {
            Err(Errno::EISDIR | Errno::EEXIST | Errno::ENOTEMPTY) => {
                self.set_aside(to)?;
                Ok(renameat(&self.0, from, &self.0, to)?)
            }
            other => Ok(other?),
        }
    }

    /// Whether the directory at `path`, whose last name tasks can change, is still this one.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let same = |one: &OwnedFd, other: &OwnedFd| {
            let (one, other) = (fstat(one)?, fstat(other)?);
            Ok::<_, Errno>((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
        };
        Self::open_last(path).is_ok_and(|there| same(&self.0, &there.0).unwrap_or(false))
    }

    /// Removes a name that is no directory.
    ///
    /// # Errors
    /// It isn't there, or the system refuses.
    pub fn unlink(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// What has a name in it, be it a link.
    ///
    /// # Errors
    /// There is nothing.
    pub fn entry(&self, name: &str) -> io::Result<Entry> {
        Ok(Entry(self.probe(name)?))
    }

    fn probe(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.0, name, flags, Mode::empty())
    }

    /// A link or pipe is removed, a directory gets another name, as there may be something in it.
    fn set_aside(&self, name: &str) -> io::Result<()> {
        let done = match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR | Errno::EPERM) => {
                let aside = format!(".{name}.{}", unix_now());
                renameat(&self.0, name, &self.0, aside.as_str())
            }
            other => other,
        };
        match done {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What has a name in a directory, kept open: nothing else is ever taken for it.
#[derive(Debug)]
pub struct Entry(OwnedFd);

impl Entry {
    /// It leads elsewhere.
    #[must_use]
    pub fn is_link(&self) -> bool {
        fstat(&self.0).is_ok_and(|stat| {
            SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK
        })
    }

    /// Both are one and the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (fstat(&self.0), fstat(&other.0)) {
            (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
            _ => false,
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(|name| (parent.unwrap_or(Path::new(".")), name))
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The path by which this process reaches what it has open, whatever its names lead to by now.
#[must_use]
pub fn own_fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn is_file(fd: &OwnedFd) -> Result<bool, Errno> {
    let stat = fstat(fd)?;
    Ok(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG)
}

/// One with a further name may be somebody else's.
fn is_own_file(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(is_file(fd)? && fstat(fd)?.st_nlink == 1)
}

/// Opens the very file that was looked at.
fn reopen(found: &OwnedFd, flags: OFlag) -> io::Result<File> {
    let path = own_fd_path(found.as_fd());
    Ok(open(&path, flags | OFlag::O_NONBLOCK, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        fs,
        io::Write,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    /// A directory, and a file outside of it that must not change.
    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let (inside, outside) = (base.path().join("in"), base.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, "untouched").unwrap();
        (base, inside, outside)
    }

    #[test]
    fn a_file_is_added_to_and_whatever_else_has_its_name_is_moved_aside() {
        type Put = fn(&Path, &Path);
        for (what, put) in [
            ("nothing", (|_, _| {}) as Put),
            ("a link", |at, outside| symlink(outside, at).unwrap()),
            ("a link that dangles", |at, outside| {
                symlink(outside.with_file_name("new"), at).unwrap();
            }),
            ("a further name of another file", |at, outside| {
                fs::hard_link(outside, at).unwrap();
            }),
            ("a pipe", |at, _| {
                nix::unistd::mkfifo(at, Mode::from_bits_truncate(0o666)).unwrap();
            }),
            ("a directory with something in it", |at, _| {
                fs::create_dir(at).unwrap();
                fs::write(at.join("x"), "x").unwrap();
            }),
        ] {
            let (base, inside, outside) = world();
            put(&inside.join("log"), &outside);
            let dir = Dir::open(&inside).unwrap();
            for _ in 0..2 {
                dir.append("log").unwrap().write_all(b"line\n").unwrap();
            }
            let written = fs::read_to_string(inside.join("log")).unwrap();
            assert_eq!(written, "line\nline\n", "{what}");
            assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched", "{what}");
            assert!(!base.path().join("new").exists(), "{what}");
        }
    }

    #[test]
    fn only_regular_files_are_read_and_listed() {
        let (_base, inside, outside) = world();
        fs::write(inside.join("file"), "data").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        nix::unistd::mkfifo(&inside.join("pipe"), Mode::from_bits_truncate(0o666)).unwrap();
        fs::create_dir(inside.join("dir")).unwrap();
        let dir = Dir::open(&inside).unwrap();
        assert!(dir.read("file").is_ok());
        for other in ["link", "pipe", "dir", "missing"] {
            assert_eq!(
                dir.read(other).unwrap_err().kind(),
                io::ErrorKind::NotFound,
                "{other}"
            );
        }
        let listed = dir.files(|name| Some(name.to_owned())).unwrap();
        assert_eq!(listed, [("file".to_owned(), 4)]);
    }

    #[test]
    fn a_directory_is_made_where_a_link_led_elsewhere_and_the_mode_of_that_stays() {
        let (base, inside, _outside) = world();
        let elsewhere = base.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&elsewhere, inside.join("logs")).unwrap();
        assert!(Dir::open_last(&inside.join("logs")).is_err());
        assert!(Dir::open(&inside).unwrap().make("logs", 0o777).is_err());
        let made = Dir::ensure_last(&inside.join("logs"), 0o777).unwrap();
        made.append("x").unwrap();
        let found = fs::symlink_metadata(inside.join("logs")).unwrap();
        assert!(found.is_dir());
        assert_eq!(found.permissions().mode() & 0o7777, 0o777);
        assert!(inside.join("logs/x").exists());
        let kept = fs::metadata(&elsewhere).unwrap();
        assert_eq!(kept.permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
