//! Disk under the allocs' directories.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::{Found, Roots};

const MIB: u64 = 1024 * 1024;

pub(super) fn fingerprint(
    roots: &Roots,
    alloc_dir: &Path,
    total_mb: Option<u64>,
    found: &mut Found,
) {
    let (total, free) = statvfs(alloc_dir).map_or((0, 0), |stat| {
        let unit = stat.fragment_size();
        (stat.blocks() * unit, stat.blocks_available() * unit)
    });
    found.set("unique.storage.bytestotal", total.to_string());
    found.set("unique.storage.bytesfree", free.to_string());
    if let Some(device) = device_of(roots, alloc_dir) {
        found.set("unique.storage.volume", device);
    }
    found.resources.disk_mb = total_mb.unwrap_or(free / MIB);
}

/// What is mounted where `path` lies: the longest mount point that it begins with, the last one of those.
fn device_of(roots: &Roots, path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string(roots.proc.join("self/mounts")).ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let device = fields.next()?;
            let place = PathBuf::from(fields.next()?.replace("\\040", " "));
            path.starts_with(&place)
                .then(|| (place.components().count(), device.to_owned()))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, device)| device)
}
