//! The host's users, by the names or numbers that job files give.

use nix::unistd::{Uid, User, getgrouplist};

use super::fork::Identity;

/// Who a user is: one that the host knows by this name, or by this number, with all groups. A number that nobody has
/// stands for itself, with the group of the same number and no other.
#[must_use]
pub fn look_up(user: &str) -> Option<Identity> {
    if let Some(known) = User::from_name(user).ok()? {
        return identity(&known);
    }
    // A number as it is printed: `+1` and ` 1` are slips.
    let uid: u32 = user.parse().ok()?;
    // The last one means "leave it as it is" to the kernel.
    if uid == u32::MAX || user != uid.to_string() {
        return None;
    }
    match User::from_uid(Uid::from_raw(uid)).ok()? {
        Some(known) => identity(&known),
        None => Some(Identity {
            uid,
            gid: uid,
            groups: vec![uid],
        }),
    }
}

fn identity(user: &User) -> Option<Identity> {
    let name = std::ffi::CString::new(user.name.as_str()).ok()?;
    let groups = getgrouplist(&name, user.gid).ok()?;
    Some(Identity {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_user_is_known_by_name_or_number_and_slips_are_nobody() {
        assert_eq!(look_up("root").unwrap(), look_up("0").unwrap());
        let unknown = look_up("4000000001").unwrap();
        assert_eq!((unknown.uid, unknown.gid), (4_000_000_001, 4_000_000_001));
        assert_eq!(unknown.groups, [4_000_000_001]);
        for slip in [
            "",
            "no-such-user",
            "-1",
            "+1",
            "01",
            " 1",
            "1 ",
            "1:1",
            "4294967295",
            "4294967296",
            "a\0b",
        ] {
            assert_eq!(look_up(slip), None, "{slip:?}");
        }
    }
}
