//! Disk under the allocs' directories.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use rove_model::node::Node;

use super::{Found, Roots};

const MIB: u64 = 1024 * 1024;

/// Less than that more is not worth a registration.
const LEAST_GROWTH_MB: u64 = 64;

pub(super) fn fingerprint(
    roots: &Roots,
    alloc_dir: &Path,
    total_mb: Option<u64>,
    found: &mut Found,
) {
    let (total, free) = measure(alloc_dir);
    found.set("unique.storage.bytestotal", total.to_string());
    found.set("unique.storage.bytesfree", free.to_string());
    if let Some(device) = device_of(roots, alloc_dir) {
        found.set("unique.storage.volume", device);
    }
    found.resources.disk_mb = total_mb.unwrap_or(free / MIB);
}

/// Bytes in all, and those that are free.
fn measure(alloc_dir: &Path) -> (u64, u64) {
    statvfs(alloc_dir).map_or((0, 0), |stat| {
        let unit = stat.fragment_size();
        (stat.blocks() * unit, stat.blocks_available() * unit)
    })
}

/// The node with the room that there is on its disk now, when that is clearly more than was counted: it was full, or
/// held what is gone since. Never with less: what allocs use is a part of what was counted.
pub(crate) fn with_grown_disk(node: &Node, alloc_dir: &Path) -> Option<Node> {
    let (_, free) = measure(alloc_dir);
    grown(node, free)
}

fn grown(node: &Node, free: u64) -> Option<Node> {
    let counted = node.resources.disk_mb;
    let free_mb = free / MIB;
    if free_mb < counted.saturating_add((counted / 20).max(LEAST_GROWTH_MB)) {
        return None;
    }
    let mut node = node.clone();
    node.resources.disk_mb = free_mb;
    let free = free.to_string();
    node.attributes
        .insert("unique.storage.bytesfree".to_owned(), free);
    Some(node)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_disk_that_was_full_is_counted_again_and_never_with_less() {
        let node = |disk_mb| {
            let mut node: Node = serde_json::from_value(serde_json::json!({
                "ID": "07070707-0707-4707-8707-070707070707", "Name": "n", "Datacenter": "dc1",
                "NodePool": "default", "Attributes": {"unique.storage.bytesfree": "0"}, "Drivers": {},
                "Resources": rove_model::node::NodeResources::default(), "HTTPAddr": "", "ComputedClass": "",
                "RegisteredAt": 0, "Version": "",
            }))
            .unwrap();
            node.resources.disk_mb = disk_mb;
            node
        };
        for (what, counted, free_mb, now) in [
            ("it was full", 0, 5_000, Some(5_000)),
            ("it is still full", 0, 63, None),
            ("allocs use it", 5_000, 1_000, None),
            ("somewhat more", 5_000, 5_249, None),
            ("clearly more", 5_000, 5_250, Some(5_250)),
        ] {
            let grown = grown(&node(counted), free_mb * MIB + 7);
            let found = grown.as_ref().map(|node| node.resources.disk_mb);
            assert_eq!(found, now, "{what}");
            if let Some(node) = grown {
                let bytes = (free_mb * MIB + 7).to_string();
                assert_eq!(node.attributes["unique.storage.bytesfree"], bytes, "{what}");
            }
        }
    }
}
