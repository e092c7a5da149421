//! Memory.

use super::{FingerprintError, Found, Roots, read};

const MIB: u64 = 1024 * 1024;

pub(super) fn fingerprint(
    roots: &Roots,
    total_mb: Option<u64>,
    found: &mut Found,
) -> Result<(), FingerprintError> {
    let info = read(roots.proc.join("meminfo"))?;
    let bytes = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1024);
    let bytes = total_mb.map_or(bytes, |mb| mb.saturating_mul(MIB));
    found.set("memory.totalbytes", bytes.to_string());
    found.resources.memory_mb = bytes / MIB;
    Ok(())
}
