//! Files of an alloc, for people who look at them from afar.
//!
//! Every path is opened beneath the alloc's directory by the kernel (`openat2`, or a walk that follows no link where
//! that is missing), so neither `..` nor a link that a task made leads out of it. What lies in a task's `secrets`
//! directory is never given out, by whatever link it was reached.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileExt, FileTypeExt, MetadataExt},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::stream::BoxStream;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
};
pub use rove_wire::FileInfo;
use thiserror::Error;

use crate::{
    frames::{Frame, Origin, ReadOptions},
    sys::dir::own_fd_path,
};

/// The most entries of a directory that are listed: as many fit an answer of some 10 MB.
const MAX_LISTED: usize = 100_000;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// How often a followed file is looked at for more.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// Why a file was not given.
#[derive(Debug, Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{operation} {path}: no such file or directory")]
    NotFound {
        /// What was tried: `open` or `stat`.
        operation: &'static str,
        /// The path on the host.
        path: PathBuf,
    },
    /// It lies outside of the alloc's directory.
    #[error("Path escapes the alloc directory")]
    Escapes,
    /// It is one of a task's secrets.
    #[error("Reading secret file prohibited: {0}")]
    Secret(String),
    /// A directory can't be read as a file.
    #[error("file \"{0}\" is a directory")]
    IsDirectory(String),
    /// A socket, pipe or device can't be read as a file.
    #[error("file \"{0}\" is not a regular file")]
    NotRegular(String),
    /// A directory was expected.
    #[error("\"{0}\" is not a directory")]
    NotDirectory(String),
    /// It has too many entries to be listed.
    #[error("directory \"{0}\" has more than {MAX_LISTED} entries")]
    TooManyEntries(String),
    /// The system refused.
    #[error("{operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The path on the host.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// An alloc's directory, opened.
#[derive(Debug)]
pub struct AllocRoot {
    path: PathBuf,
    real: PathBuf,
    directory: OwnedFd,
}

impl AllocRoot {
    /// Opens the directory of an alloc.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let directory: OwnedFd = File::open(path)
            .map_err(|source| io_error("open", path, source))?
            .into();
        let real = real_path(directory.as_fd()).map_err(|source| io_error("open", path, source))?;
        Ok(Self {
            path: path.to_owned(),
            real,
            directory,
        })
    }

    /// What is known of one file.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn stat(&self, path: &str) -> Result<FileInfo, FileError> {
        let inside = clean(path)?;
        let fd = self.open_beneath("stat", &inside, OFlag::O_PATH)?;
        self.refuse_secrets(fd.as_fd(), path, true)?;
        let metadata = self.metadata(fd, &inside)?;
        let name = inside.file_name().map_or_else(
            || ".".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let mut info = info(name, &metadata);
        if metadata.is_file() {
            info.content_type = match content_type_by_name(&info.name) {
                Some(known) => known.to_owned(),
                None => {
                    let (file, _) = self.open_file(path)?;
                    let mut head = [0; 512];
                    let read = file
                        .read_at(&mut head, 0)
                        .map_err(|source| io_error("read", &self.path.join(&inside), source))?;
                    content_type_by_content(&head[..read]).to_owned()
                }
            };
        }
        Ok(info)
    }

    /// The entries of a directory, by name.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn list(&self, path: &str) -> Result<Vec<FileInfo>, FileError> {
        let inside = clean(path)?;
        let fd = self
            .open_beneath("open", &inside, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .map_err(|error| match error {
                FileError::Io { ref source, .. }
                    if source.raw_os_error() == Some(Errno::ENOTDIR as i32) =>
                {
                    FileError::NotDirectory(path.to_owned())
                }
                other => other,
            })?;
        self.refuse_secrets(fd.as_fd(), path, false)?;
        let failed = |source| io_error("read", &self.path.join(&inside), source);
        // The opened directory itself, whatever its path leads to by now.
        let entries = std::fs::read_dir(own_fd_path(fd.as_fd())).map_err(failed)?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Gone since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            if found.len() == MAX_LISTED {
                return Err(FileError::TooManyEntries(path.to_owned()));
            }
            found.push(info(
                entry.file_name().to_string_lossy().into_owned(),
                &metadata,
            ));
        }
        found.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    /// A regular file, opened for reading, and its size.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn open_file(&self, path: &str) -> Result<(File, u64), FileError> {
        let inside = clean(path)?;
        // Without O_NONBLOCK a pipe would hold the caller until somebody writes.
        let probe = self.open_beneath("stat", &inside, OFlag::O_PATH)?;
        let metadata = self.metadata(probe, &inside)?;
        if metadata.is_dir() {
            return Err(FileError::IsDirectory(path.to_owned()));
        }
        if !metadata.is_file() {
            return Err(FileError::NotRegular(path.to_owned()));
        }
        let fd = self.open_beneath("open", &inside, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        self.refuse_secrets(fd.as_fd(), path, false)?;
        let file = File::from(fd);
        let metadata = file
            .metadata()
            .map_err(|source| io_error("stat", &self.path.join(&inside), source))?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular(path.to_owned()));
        }
        Ok((file, metadata.size()))
    }

    fn open_beneath(
        &self,
        operation: &'static str,
        inside: &Path,
        flags: OFlag,
    ) -> Result<OwnedFd, FileError> {
        let flags = flags | OFlag::O_CLOEXEC;
        let target = if inside.as_os_str().is_empty() {
            Path::new(".")
        } else {
            inside
        };
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let opened = match openat2(&self.directory, target, how) {
            // A kernel before 5.6, or a sandbox that does not know the call.
            Err(Errno::ENOSYS | Errno::EPERM) => self.walk(target, flags),
            other => other,
        };
        opened.map_err(|errno| match errno {
            Errno::EXDEV | Errno::ELOOP => FileError::Escapes,
            errno => self.error(operation, inside, errno),
        })
    }

    /// Opens component by component and follows no link at all.
    fn walk(&self, target: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let mut at = openat(
            &self.directory,
            Path::new("."),
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let mut components = target.components().peekable();
        while let Some(component) = components.next() {
            let flags = if components.peek().is_some() {
                OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
            } else {
                flags
            };
            at = openat(
                &at,
                component.as_os_str(),
                flags | OFlag::O_NOFOLLOW,
                Mode::empty(),
            )?;
        }
        Ok(at)
    }

    /// Refuses what lies in `<task>/secrets`, judged by where the opened file really is.
    fn refuse_secrets(
        &self,
        fd: BorrowedFd<'_>,
        asked: &str,
        directory_itself: bool,
    ) -> Result<(), FileError> {
        let real = real_path(fd).map_err(|source| io_error("open", &self.path, source))?;
        let inside = real
            .strip_prefix(&self.real)
            .map_err(|_| FileError::Escapes)?;
        let mut components = inside.components().skip(1);
        let is_secret = components.next() == Some(Component::Normal(OsStr::new("secrets")));
        if is_secret && !(directory_itself && components.next().is_none()) {
            return Err(FileError::Secret(asked.to_owned()));
        }
        Ok(())
    }

    fn metadata(&self, fd: OwnedFd, inside: &Path) -> Result<Metadata, FileError> {
        File::from(fd)
            .metadata()
            .map_err(|source| io_error("stat", &self.path.join(inside), source))
    }

    fn error(&self, operation: &'static str, inside: &Path, errno: Errno) -> FileError {
        io_error(operation, &self.path.join(inside), errno.into())
    }
}

/// A file as a stream of frames, read only as fast as the caller takes them.
///
/// # Errors
/// When it can't be opened; see [`FileError`].
pub fn stream(
    root: &AllocRoot,
    path: &str,
    options: ReadOptions,
    limit: Option<u64>,
) -> Result<BoxStream<'static, Result<Frame, FileError>>, FileError> {
    let (file, size) = root.open_file(path)?;
    let start = match options.origin {
        Origin::Start => options.offset,
        Origin::End => size.saturating_sub(options.offset),
    };
    let state = Reading {
        file: Arc::new(file),
        host_path: root.path.join(clean(path)?),
        name: clean(path)?.to_string_lossy().into_owned(),
        offset: start,
        left: limit.unwrap_or(u64::MAX),
        follow: options.follow,
    };
    Ok(Box::pin(futures::stream::try_unfold(
        state,
        |mut state| async move {
            loop {
                if state.left == 0 {
                    return Ok(None);
                }
                let data = state.next_chunk().await?;
                if !data.is_empty() {
                    state.offset += data.len() as u64;
                    state.left -= data.len() as u64;
                    let frame = Frame {
                        data,
                        file: state.name.clone(),
                        offset: state.offset,
                    };
                    return Ok(Some((frame, state)));
                }
                if !state.follow {
                    return Ok(None);
                }
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        },
    )))
}

struct Reading {
    file: Arc<File>,
    host_path: PathBuf,
    name: String,
    offset: u64,
    left: u64,
    follow: bool,
}

impl Reading {
    async fn next_chunk(&mut self) -> Result<Bytes, FileError> {
        let file = Arc::clone(&self.file);
        let offset = self.offset;
        let most = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
        let (read, now_at) = tokio::task::spawn_blocking(move || -> io::Result<(Vec<u8>, u64)> {
            // A file that was cut is read again from where it now ends.
            let size = file.metadata()?.size();
            let offset = if size < offset { size } else { offset };
            let mut buffer = vec![0; most];
            let read = file.read_at(&mut buffer, offset)?;
            buffer.truncate(read);
            Ok((buffer, offset))
        })
        .await
        .map_err(|error| io_error("read", &self.host_path, io::Error::other(error)))?
        .map_err(|source| io_error("read", &self.host_path, source))?;
        self.offset = now_at;
        Ok(read.into())
    }
}

/// A whole small file; for state files of our own.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    if size > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes, at most {limit} are expected"),
        ));
    }
    file.rewind()?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// The path without `.`, `..` and a leading `/`; an error when it leads above the root.
fn clean(path: &str) -> Result<PathBuf, FileError> {
    if path.contains('\0') {
        return Err(FileError::NotFound {
            operation: "open",
            path: path.replace('\0', "\\0").into(),
        });
    }
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir => {
                if !inside.pop() {
                    return Err(FileError::Escapes);
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(inside)
}

fn real_path(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(own_fd_path(fd))
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> FileError {
    if source.kind() == io::ErrorKind::NotFound {
        return FileError::NotFound {
            operation,
            path: path.to_owned(),
        };
    }
    FileError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

fn info(name: String, metadata: &Metadata) -> FileInfo {
    let modified = jiff::Timestamp::new(
        metadata.mtime(),
        i32::try_from(metadata.mtime_nsec()).unwrap_or(0),
    )
    .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    FileInfo {
        name,
        is_dir: metadata.is_dir(),
        size: metadata.size(),
        file_mode: mode_text(metadata),
        mod_time: modified.to_string(),
        content_type: String::new(),
    }
}

/// The mode as Go prints it: letters for what it is, then nine for the permissions.
fn mode_text(metadata: &Metadata) -> String {
    let (kind, mode) = (metadata.file_type(), metadata.mode());
    let mut text = String::with_capacity(11);
    for (applies, letter) in [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'L'),
        (kind.is_block_device() || kind.is_char_device(), 'D'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 'S'),
        (mode & Mode::S_ISUID.bits() != 0, 'u'),
        (mode & Mode::S_ISGID.bits() != 0, 'g'),
        (kind.is_char_device(), 'c'),
        (mode & Mode::S_ISVTX.bits() != 0, 't'),
    ] {
        if applies {
            text.push(letter);
        }
    }
    if text.is_empty() {
        text.push('-');
    }
    for (index, letter) in "rwxrwxrwx".chars().enumerate() {
        let is_set = mode & (0o400 >> index) != 0;
        text.push(if is_set { letter } else { '-' });
    }
    text
}

fn content_type_by_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" | "conf" | "text" => "text/plain; charset=utf-8",
        "htm" | "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "gz" => "application/gzip",
        "zip" => "application/zip",
        "jar" => "application/java-archive",
        "png" => "image/png",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        _ => return None,
    })
}

fn content_type_by_content(head: &[u8]) -> &'static str {
    let is_binary = head
        .iter()
        .any(|byte| matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    for (magic, kind) in [
        (&b"%PDF-"[..], "application/pdf"),
        (b"\x1f\x8b\x08", "application/x-gzip"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"\xff\xd8\xff", "image/jpeg"),
    ] {
        if head.starts_with(magic) {
            return kind;
        }
    }
    if is_binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::symlink};

    use futures::StreamExt;
    use nix::unistd::mkfifo;

    use super::*;

    fn tree() -> (tempfile::TempDir, AllocRoot) {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("outside"), "not yours").unwrap();
        let root = base.path().join("1");
        for dir in ["alloc/logs", "web/local", "web/secrets"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("web/local/file.txt"), "data\n").unwrap();
        fs::write(root.join("web/secrets/key"), "secret").unwrap();
        for (target, link) in [
            ("../../../outside", "web/local/up"),
            ("/etc/passwd", "web/local/absolute"),
            ("../secrets/key", "web/local/key"),
            ("../secrets", "web/local/dir"),
            ("file.txt", "web/local/near"),
            ("self", "web/local/self"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        mkfifo(&root.join("web/local/pipe"), Mode::S_IRWXU).unwrap();
        let root = AllocRoot::open(&root).unwrap();
        (base, root)
    }

    #[test]
    fn nothing_outside_and_no_secret_is_given_out() {
        let (_base, root) = tree();
        let readable = |path: &str| root.open_file(path).map(|_| ());
        for path in [
            "web/local/file.txt",
            "/web/local/file.txt",
            "web/local/near",
            "web/../web/local/file.txt",
        ] {
            assert!(readable(path).is_ok(), "{path}");
        }
        for (path, expected) in [
            ("..", "Escapes"),
            ("../outside", "Escapes"),
            ("web/../../outside", "Escapes"),
            ("web/local/up", "Escapes"),
            ("web/local/absolute", "Escapes"),
            ("web/local/self", "Escapes"),
            ("web/secrets/key", "Secret"),
            ("web/local/key", "Secret"),
            ("web/local/dir/key", "Secret"),
            ("web/secrets", "IsDirectory"),
            ("web/local/pipe", "NotRegular"),
            ("web/none", "NotFound"),
            ("web/local/file.txt/x", "Io"),
            ("a\0b", "NotFound"),
            ("", "IsDirectory"),
        ] {
            let error = format!("{:?}", readable(path).unwrap_err());
            assert!(error.starts_with(expected), "{path}: {error}");
            let walked = root.walk(
                &clean(path).unwrap_or_default(),
                OFlag::O_RDONLY | OFlag::O_NONBLOCK,
            );
            assert!(
                expected != "Escapes"
                    || path.starts_with("..")
                    || path.contains("/../")
                    || walked.is_err(),
                "{path}"
            );
        }
        for path in ["web/secrets", "web/local/dir"] {
            assert!(
                matches!(root.list(path), Err(FileError::Secret(_))),
                "{path}"
            );
        }
        assert!(matches!(
            root.list("web/local/file.txt"),
            Err(FileError::NotDirectory(_))
        ));
        assert!(root.stat("web/secrets").unwrap().is_dir);
        assert!(matches!(
            root.stat("web/secrets/key"),
            Err(FileError::Secret(_))
        ));
    }

    #[test]
    fn files_are_described_as_the_reference_does() {
        let (_base, root) = tree();
        let found = root.stat("web/local/file.txt").unwrap();
        assert_eq!((found.name.as_str(), found.size), ("file.txt", 5));
        assert_eq!(found.content_type, "text/plain; charset=utf-8");
        assert!(found.file_mode.starts_with("-rw") && found.mod_time.ends_with('Z'));
        let listed: Vec<String> = root
            .list("web/local")
            .unwrap()
            .into_iter()
            .map(|file| format!("{}{}", &file.file_mode[..1], file.name))
            .collect();
        assert_eq!(
            listed,
            [
                "Labsolute",
                "Ldir",
                "-file.txt",
                "Lkey",
                "Lnear",
                "ppipe",
                "Lself",
                "Lup"
            ]
        );
        for (head, kind) in [
            (&b"\x7fELF\x02\x00"[..], "application/octet-stream"),
            (b"\x1f\x8b\x08", "application/x-gzip"),
            (b"", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type_by_content(head), kind);
        }
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_read_and_a_followed_one_goes_on() {
        let (base, root) = tree();
        let read =
            |options: ReadOptions, limit| stream(&root, "web/local/file.txt", options, limit);
        for (offset, origin, limit, expected) in [
            (0, Origin::Start, None, "data\n"),
            (1, Origin::Start, Some(2), "at"),
            (2, Origin::End, None, "a\n"),
            (99, Origin::Start, None, ""),
            (99, Origin::End, None, "data\n"),
        ] {
            let options = ReadOptions {
                offset,
                origin,
                follow: false,
            };
            let frames: Vec<_> = read(options, limit).unwrap().collect().await;
            let text: Vec<u8> = frames
                .into_iter()
                .flat_map(|frame| frame.unwrap().data)
                .collect();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
        let options = ReadOptions {
            follow: true,
            ..ReadOptions::default()
        };
        let mut followed = read(options, None).unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap().data, "data\n");
        let path = base.path().join("1/web/local/file.txt");
        fs::write(&path, "data\nmore").unwrap();
        let frame = followed.next().await.unwrap().unwrap();
        assert_eq!((&frame.data[..], frame.offset), (&b"more"[..], 9));
    }
}
