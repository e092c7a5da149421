//! Control groups: which version, and where.

use super::{Found, Roots};

pub(super) fn fingerprint(roots: &Roots, found: &mut Found) {
    let mounts = std::fs::read_to_string(roots.proc.join("self/mounts")).unwrap_or_default();
    let mut second = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, place, kind, options, ..] = fields[..] else {
            continue;
        };
        match kind {
            "cgroup" if options.split(',').any(|option| option == "cpu") => {
                found.set("unique.cgroup.version", "v1");
                found.set("unique.cgroup.mountpoint", place);
                return;
            }
            "cgroup2" => second = second.or(Some(place)),
            _ => {}
        }
    }
    if let Some(place) = second {
        found.set("unique.cgroup.version", "v2");
        found.set("unique.cgroup.mountpoint", place);
    }
}
