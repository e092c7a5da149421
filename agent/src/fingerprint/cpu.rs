//! CPU: cores and their frequency.

use super::{FingerprintError, Found, Roots, read};

pub(super) fn fingerprint(
    roots: &Roots,
    total: Option<u64>,
    found: &mut Found,
) -> Result<(), FingerprintError> {
    let info = read(roots.proc.join("cpuinfo"))?;
    let values = |name: &'static str| {
        info.lines().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then_some(value.trim())
        })
    };
    let cores = u32::try_from(values("processor").count())
        .unwrap_or(u32::MAX)
        .max(1);
    let mhz = max_frequency(roots)
        .or_else(|| {
            values("cpu MHz")
                .filter_map(|text| text.split('.').next()?.parse().ok())
                .max()
        })
        // A machine that does not tell: enough to place work on.
        .unwrap_or(1_000);
    if let Some(model) = values("model name").next() {
        found.set("cpu.modelname", model);
    }
    let compute = total.unwrap_or(mhz * u64::from(cores));
    found.set("cpu.frequency", mhz.to_string());
    found.set("cpu.numcores", cores.to_string());
    found.set("cpu.reservablecores", cores.to_string());
    found.set("cpu.totalcompute", compute.to_string());
    found.resources.cpu = compute;
    found.resources.cores = cores;
    Ok(())
}

/// In MHz; the file says kHz.
fn max_frequency(roots: &Roots) -> Option<u64> {
    let path = roots
        .sys
        .join("devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    let khz: u64 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (khz >= 1_000).then_some(khz / 1_000)
}
