//! Making processes in ways that the standard library has no safe word for.
#![allow(unsafe_code)] // fork and what runs between fork and exec; every block says why it is sound

use std::{
    fs::File,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use nix::{
    sys::{
        prctl,
        signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask},
    },
    unistd::{ForkResult, Gid, Pid, Uid, fork, setgid, setgroups, setsid, setuid},
};

/// Closes every descriptor but the standard three: those that whoever started the agent forgot to close would be held
/// open for as long as the tasks live. To be called first thing, while this process has opened none of its own.
///
/// # Errors
/// `/proc` can't be read.
pub fn close_inherited() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        numbers.extend(number.filter(|number: &i32| *number > 2));
    }
    for number in numbers {
        // The one that the directory was read with is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller goes on.
    Parent(Pid),
    /// The copy.
    Child,
}

/// Splits a process that has one thread in two.
///
/// # Errors
/// The system is out of processes or memory, or the caller has more than one thread.
pub fn fork_single_threaded() -> io::Result<Side> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "a process with {threads} threads can't be split"
        )));
    }
    // SAFETY: there is no other thread that could hold a lock (of the allocator or anyone) at this moment, so the
    // child may go on as an ordinary process.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Lets the kernel reap this process's children.
///
/// # Errors
/// Never on Linux.
pub fn reap_automatically() -> io::Result<()> {
    // SAFETY: SIG_IGN is no handler, so no code of ours runs in signal context.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    Ok(())
}

/// Lets this process reap its children itself.
///
/// # Errors
/// Never on Linux.
pub fn reap_ourselves() -> io::Result<()> {
    // SAFETY: SIG_DFL is no handler, so no code of ours runs in signal context.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}

/// Keeps every signal that can be kept waiting; they are read from a signal descriptor.
///
/// # Errors
/// Never on Linux.
pub fn block_signals() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    Ok(())
}

/// Who a task runs as.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Starts `command` in its own session, with no signal blocked or ignored, in the control groups behind `cgroups` (their open `cgroup.procs`), as
/// `identity`, and killed when the calling thread ends.
///
/// # Errors
/// What the first failing step says.
pub fn spawn_task(
    command: &mut Command,
    cgroups: Vec<File>,
    identity: Option<Identity>,
) -> io::Result<Child> {
    let groups: Vec<Gid> = identity
        .iter()
        .flat_map(|identity| identity.groups.iter().copied().map(Gid::from_raw))
        .collect();
    let prepare = move || {
        for mut procs in &cgroups {
            // 0 names the writer.
            procs.write_all(b"0")?;
        }
        setsid()?;
        for number in Signal::iterator() {
            // SAFETY: SIG_DFL is no handler. KILL and STOP refuse, and have it anyway.
            let _ = unsafe { signal(number, SigHandler::SigDfl) };
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        if let Some(identity) = &identity {
            setgroups(&groups)?;
            setgid(Gid::from_raw(identity.gid))?;
            setuid(Uid::from_raw(identity.uid))?;
        }
        // After the change of user, which resets it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes plain system calls on memory that was prepared before; it
    // allocates nothing on its way to success.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
