//! Waiting for the end of a process that is no child of ours, without looking again and again.
#![allow(unsafe_code)] // one system call, and its descriptor; each block says why it is sound

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

use nix::{errno::Errno, libc};
use tokio::io::{Interest, unix::AsyncFd};

/// A process, held by the kernel: its number may be another's by now.
#[derive(Debug)]
pub struct Pidfd(AsyncFd<OwnedFd>);

impl Pidfd {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none ([`Errno::ESRCH`]), or the kernel has no way to hold one.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: the call takes two numbers, and touches no memory of ours.
        let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the call has just given us this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: what is handed over owns the descriptor and keeps it open until it is dropped with the rest.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map(Self)?)
    }

    /// Waits until the process has ended, whether it was reaped or not.
    ///
    /// # Errors
    /// The runtime ends.
    pub async fn ended(&self) -> io::Result<()> {
        self.0
            .readable()
            .await
            .map(|mut ready| ready.retain_ready())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_seen_before_and_after_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let held = Pidfd::open(pid).unwrap();
        let ended = held.ended();
        let mut ended = std::pin::pin!(ended);
        assert!(futures::FutureExt::now_or_never(&mut ended).is_none());
        child.kill().unwrap();
        ended.await.unwrap();
        held.ended().await.unwrap();
        child.wait().unwrap();
        let gone = Pidfd::open(pid).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(Errno::ESRCH as i32));
    }
}
