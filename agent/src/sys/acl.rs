//! Who beside its owner may pass a directory, user by user: what the nine bits of a mode can't say.
#![allow(unsafe_code)] // two system calls; each block says why it is sound

use std::{
    collections::BTreeSet,
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{errno::Errno, libc};

const NAME: &CStr = c"system.posix_acl_access";

/// The version of the form that the kernel reads.
const VERSION: u32 = 2;
/// Kinds of entries in it.
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;
/// Stands in the entries that name nobody.
const NOBODY: u32 = u32::MAX;

/// Lets `users` pass a directory beside its owner, who has all rights, and nobody else: the mode becomes 0710.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] where the file system has no such lists; or what the system says.
pub fn let_pass(dir: BorrowedFd<'_>, users: &BTreeSet<u32>) -> io::Result<()> {
    let list = encode(users);
    // SAFETY: the descriptor is open while it is borrowed, and name and list are alive and as long as is said.
    let done = unsafe {
        libc::fsetxattr(
            dir.as_raw_fd(),
            NAME.as_ptr(),
            list.as_ptr().cast(),
            list.len(),
            0,
        )
    };
    Ok(Errno::result(done).map(drop)?)
}

/// Takes such a list away; none there is no error.
///
/// # Errors
/// What the system says.
pub fn clear(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed, and the name is alive.
    let done = unsafe { libc::fremovexattr(dir.as_raw_fd(), NAME.as_ptr()) };
    match Errno::result(done) {
        Ok(_) | Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The list as the kernel reads it, in the order that it wants.
fn encode(users: &BTreeSet<u32>) -> Vec<u8> {
    const PASS: u16 = 0o1;
    let mut list = VERSION.to_le_bytes().to_vec();
    let mut add = |kind: u16, rights: u16, who: u32| {
        list.extend(kind.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(who.to_le_bytes());
    };
    add(OWNER, 0o7, NOBODY);
    for user in users {
        add(USER, PASS, *user);
    }
    add(GROUP, 0, NOBODY);
    add(MASK, PASS, NOBODY);
    add(OTHERS, 0, NOBODY);
    list
}
