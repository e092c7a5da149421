//! From a task's pipes into its log files.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::spec::Spec;
use crate::logs::{LogKind, LogLimits, Rotator};

/// As much as a pipe holds.
pub(super) const CHUNK: usize = 64 << 10;

/// One stream of a task. Data that the disk has no room for is dropped and counted: a task must not stand still
/// because of its log.
#[derive(Debug)]
pub(super) struct Output {
    pipe: Option<File>,
    log: Option<Sink>,
}

/// A log that says what it lost.
#[derive(Debug)]
pub(crate) struct Sink {
    log: Rotator,
    lost: u64,
}

impl Output {
    /// Reads from `pipe` without waiting.
    pub(super) fn open(
        pipe: OwnedFd,
        kind: LogKind,
        spec: &Spec,
        limits: LogLimits,
    ) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&pipe, FcntlArg::F_GETFL)?);
        fcntl(&pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let log =
            Rotator::open(&spec.log_dir, &spec.task, kind, limits).map_err(|error| error.source)?;
        Ok(Self {
            pipe: Some(File::from(pipe)),
            log: Some(Sink::new(log)),
        })
    }

    /// One that is at its end from the beginning.
    pub(super) fn nothing() -> Self {
        Self {
            pipe: None,
            log: None,
        }
    }

    /// What to wait on; None at its end.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes over what is there, at most one chunk.
    pub(super) fn pump(&mut self, buffer: &mut [u8]) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                if let Some(log) = &mut self.log {
                    log.write(&buffer[..length]);
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => self.pipe = None,
        }
    }
}

impl Sink {
    /// Writes to `log`.
    pub(crate) fn new(log: Rotator) -> Self {
        Self { log, lost: 0 }
    }

    /// Writes or drops it.
    pub(crate) fn write(&mut self, data: &[u8]) {
        if self.lost > 0 {
            let notice = format!("\nrove: {} bytes of output were lost\n", self.lost);
            if self.log.write(notice.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.lost > 0 || self.log.write(data).is_err() {
            self.lost += data.len() as u64;
        }
    }
}
