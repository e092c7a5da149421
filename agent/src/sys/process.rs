//! Telling one process from another that got its number.

use std::{fs, io};

use serde::{Deserialize, Serialize};

/// A process, told from every other one that ever had its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it was started, in the kernel's ticks since boot.
    pub start_time: u64,
    /// Which boot of the host that was.
    pub boot_id: String,
}

impl ProcessId {
    /// The calling process.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn current() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Self::of(pid)
    }

    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none, or `/proc` can't be read.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_time: stat(pid)?.start_time,
            boot_id: boot_id()?,
        })
    }

    /// What `/proc` tells of it, when it is still this very process.
    #[must_use]
    pub fn stat(&self) -> Option<ProcessStat> {
        let stat = stat(self.pid).ok()?;
        let same =
            stat.start_time == self.start_time && boot_id().is_ok_and(|boot| boot == self.boot_id);
        same.then_some(stat)
    }

    /// Whether this very process is there and not a zombie.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.stat().is_some_and(|stat| !stat.is_dead())
    }
}

/// What `/proc/<pid>/stat` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// `R`, `S`, `Z`, …
    pub state: u8,
    /// Its parent.
    pub parent: i32,
    /// CPU time outside the kernel, in ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, in ticks.
    pub system_ticks: u64,
    /// When it was started, in ticks since boot.
    pub start_time: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
    /// How it ended, in the form that `wait` gives; only for a zombie, and only told to who may know.
    pub exit_status: Option<i32>,
}

impl ProcessStat {
    /// Stopped by a signal or a debugger.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// A zombie, or dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads `/proc/<pid>/stat`.
///
/// # Errors
/// There is no such process, or `/proc` can't be read.
pub fn stat(pid: i32) -> io::Result<ProcessStat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_stat(text: &[u8]) -> Option<ProcessStat> {
    // The name, in parentheses, may hold anything.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
    // Numbered as in proc(5): the state is field 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(ProcessStat {
        state: *field(3)?.as_bytes().first()?,
        parent: field(4)?.parse().ok()?,
        user_ticks: field(14)?.parse().ok()?,
        system_ticks: field(15)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        resident_pages: field(24)?.parse().ok()?,
        exit_status: field(52).and_then(|status| status.parse().ok()),
    })
}

/// Which boot of the host this is.
///
/// # Errors
/// `/proc` can't be read.
pub fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let me = ProcessId::current().unwrap();
        assert!(me.is_alive());
        let later = ProcessId {
            start_time: me.start_time + 1,
            ..me.clone()
        };
        assert!(!later.is_alive());
        let rebooted = ProcessId {
            boot_id: "0".to_owned(),
            ..me
        };
        assert!(!rebooted.is_alive());
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_is_skipped() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 4242 999 33 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!(
            (stat.state, stat.parent, stat.user_ticks, stat.system_ticks),
            (b'S', 1, 50, 60)
        );
        assert_eq!((stat.start_time, stat.resident_pages), (4242, 33));
    }

    #[test]
    fn a_short_line_is_refused() {
        for line in [&b""[..], b"7", b"7 (x)", b"7 (x) S 1 2"] {
            assert_eq!(parse_stat(line), None);
        }
    }
}
