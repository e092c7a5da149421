//! A task's log as a stream of frames, across its rotated files.
//!
//! It is pulled: nothing is read before the caller asks for more, so a reader that stalls costs a file number and an
//! offset. One that falls behind the rotation goes on with the oldest file there is.

use std::{path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use rove_model::ids::AllocId;

use crate::{
    files::{AllocRoot, FileError},
    frames::{Frame, Origin, ReadOptions},
    handle_error::HandleError,
    logs::{self, LogFile, LogKind},
    shared::Shared,
};

/// Frames as they come. A read error ends it. Dropping it releases everything it held.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Frame, HandleError>> + Send>>;

/// Bytes of a frame, as many as the reference sends at once.
const FRAME: usize = 64 * 1024;

/// How often a followed log is looked at for more: short enough for a person who watches.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// Where the files of a task's log lie, relative to the alloc's directory.
const LOG_DIR: &str = "alloc/logs";

pub(crate) async fn open(
    shared: &Arc<Shared>,
    alloc: AllocId,
    task: &str,
    kind: LogKind,
    options: ReadOptions,
) -> Result<FrameStream, HandleError> {
    let expected = shared.may_have_logs(alloc, task, options.follow)?;
    let log = Log {
        root: shared.alloc_path(alloc)?,
        task: task.to_owned(),
        kind,
    };
    let position = log
        .clone()
        .blocking(move |log| log.start(options, expected))
        .await?;
    let state = Following {
        shared: Arc::clone(shared),
        alloc,
        log,
        position,
        follow: options.follow,
    };
    Ok(Box::pin(futures::stream::try_unfold(
        state,
        |mut state| async move {
            let frame = state.next().await?;
            Ok(frame.map(|frame| (frame, state)))
        },
    )))
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    index: u64,
    offset: u64,
    /// The file ended before the offset when it was last looked at: the line that was begun there is being moved to the
    /// next file, or somebody cut the file.
    past_end: bool,
}

#[derive(Clone)]
struct Log {
    root: PathBuf,
    task: String,
    kind: LogKind,
}

struct Following {
    shared: Arc<Shared>,
    alloc: AllocId,
    log: Log,
    position: Position,
    follow: bool,
}

impl Following {
    async fn next(&mut self) -> Result<Option<Frame>, HandleError> {
        loop {
            // Asked before reading: what a task that is over had to say is in its files by then.
            let over = !self.follow || self.shared.is_task_over(self.alloc, &self.log.task);
            let position = self.position;
            let (position, data) = self
                .log
                .clone()
                .blocking(move |log| log.read(position))
                .await?;
            self.position = position;
            if !data.is_empty() {
                return Ok(Some(Frame {
                    data,
                    file: self.log.name(position.index),
                    offset: position.offset,
                }));
            }
            if over {
                return Ok(None);
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

impl Log {
    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, HandleError> + Send + 'static,
    ) -> Result<T, HandleError> {
        tokio::task::spawn_blocking(move || work(&self))
            .await
            .map_err(|_| HandleError::Closed)?
    }

    fn name(&self, index: u64) -> String {
        logs::file_path(LOG_DIR.as_ref(), &self.task, self.kind, index)
            .to_string_lossy()
            .into_owned()
    }

    fn files(&self) -> Result<Vec<LogFile>, HandleError> {
        Ok(logs::list(&self.root.join(LOG_DIR), &self.task, self.kind)?)
    }

    fn start(&self, options: ReadOptions, expected: bool) -> Result<Position, HandleError> {
        let files = self.files()?;
        // One that starts just now may have printed before its start was taken note of.
        if !expected && files.is_empty() {
            return Err(HandleError::NotStarted(self.task.clone()));
        }
        Ok(match options.origin {
            Origin::Start => from_start(&files, options.offset),
            Origin::End => from_end(&files, options.offset),
        })
    }

    /// The next bytes after `position`, and where they end; none when there are none yet.
    fn read(&self, mut position: Position) -> Result<(Position, Bytes), HandleError> {
        let files = self.files()?;
        let root = match AllocRoot::open(&self.root) {
            Ok(root) => root,
            // Collected while it was read: that is its end.
            Err(FileError::NotFound { .. }) => return Ok((position, Bytes::new())),
            Err(error) => return Err(error.into()),
        };
        let from = position.index;
        let newest = files.last().map_or(0, |file| file.index);
        // Bytes that were read at the end of a file and moved to the start of the next since.
        let mut read_before = 0;
        for file in files.iter().filter(|file| file.index >= from) {
            if file.index > position.index {
                position = Position {
                    offset: if file.index == position.index + 1 {
                        read_before
                    } else {
                        0
                    },
                    index: file.index,
                    past_end: false,
                };
                read_before = 0;
            }
            let (open, size) = match root.open_file(&self.name(file.index)) {
                Ok(open) => open,
                // Rotated away since it was listed.
                Err(FileError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if position.offset > size {
                if file.index < newest {
                    read_before = position.offset - size;
                    continue;
                }
                if !std::mem::replace(&mut position.past_end, true) {
                    return Ok((position, Bytes::new()));
                }
                position.offset = size;
            }
            position.past_end = false;
            let mut buffer = vec![0; FRAME];
            let read = std::os::unix::fs::FileExt::read_at(&open, &mut buffer, position.offset)
                .map_err(|source| FileError::Io {
                    operation: "read",
                    path: self.root.join(self.name(file.index)),
                    source,
                })?;
            if read > 0 {
                buffer.truncate(read);
                position.offset += read as u64;
                return Ok((position, buffer.into()));
            }
        }
        Ok((position, Bytes::new()))
    }
}

fn from_start(files: &[LogFile], mut skip: u64) -> Position {
    for file in files {
        if skip <= file.size {
            return Position {
                index: file.index,
                offset: skip,
                past_end: false,
            };
        }
        skip -= file.size;
    }
    end(files)
}

fn from_end(files: &[LogFile], mut back: u64) -> Position {
    for file in files.iter().rev() {
        if back <= file.size {
            return Position {
                index: file.index,
                offset: file.size - back,
                past_end: false,
            };
        }
        back -= file.size;
    }
    files
        .first()
        .map_or_else(Position::default, |file| Position {
            index: file.index,
            offset: 0,
            past_end: false,
        })
}

fn end(files: &[LogFile]) -> Position {
    files
        .last()
        .map_or_else(Position::default, |file| Position {
            index: file.index,
            offset: file.size,
            past_end: false,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_offset_counts_across_the_files_from_either_end() {
        let files = [
            LogFile { index: 3, size: 10 },
            LogFile { index: 4, size: 0 },
            LogFile { index: 5, size: 7 },
        ];
        for (what, found, expected) in [
            ("the very start", from_start(&files, 0), (3, 0)),
            ("inside the first", from_start(&files, 4), (3, 4)),
            ("in the last", from_start(&files, 12), (5, 2)),
            ("past the end", from_start(&files, 99), (5, 7)),
            ("the very end", from_end(&files, 0), (5, 7)),
            ("the last bytes", from_end(&files, 5), (5, 2)),
            ("into the first", from_end(&files, 9), (3, 8)),
            ("more than there is", from_end(&files, 99), (3, 0)),
            ("no files", from_end(&[], 9), (0, 0)),
        ] {
            assert_eq!((found.index, found.offset), expected, "{what}");
        }
    }

    #[test]
    fn a_reader_sees_every_byte_once_while_begun_lines_are_moved_to_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join(LOG_DIR);
        std::fs::create_dir_all(&logs).unwrap();
        let limits = logs::LogLimits {
            max_files: 99,
            max_file_mb: 1,
        };
        let mut writer = logs::Rotator::open(&logs, "say", LogKind::Stdout, limits).unwrap();
        let log = Log {
            root: dir.path().to_owned(),
            task: "say".to_owned(),
            kind: LogKind::Stdout,
        };
        let written: Vec<u8> = (0..30_u8)
            .flat_map(|number| {
                let mut line = vec![b'a' + number; 150_000 + usize::from(number) * 1000];
                line.push(b'\n');
                line
            })
            .collect();
        let mut position = Position::default();
        let mut seen = Vec::new();
        for part in written.chunks(50_000) {
            writer.write(part).unwrap();
            loop {
                let (next, data) = log.read(position).unwrap();
                position = next;
                if data.is_empty() {
                    break;
                }
                seen.extend_from_slice(&data);
            }
        }
        assert!(position.index >= 4);
        assert!(seen == written, "{} of {}", seen.len(), written.len());
        // A file that somebody cut is read again from its end, at the second look.
        let path = logs::file_path(&logs, "say", LogKind::Stdout, position.index);
        std::fs::write(&path, "cut\n").unwrap();
        let (next, data) = log.read(position).unwrap();
        assert!(data.is_empty());
        let (next, data) = log.read(next).unwrap();
        assert!(data.is_empty());
        std::fs::write(&path, "cut\nmore\n").unwrap();
        assert_eq!(log.read(next).unwrap().1, "more\n");
    }
}
