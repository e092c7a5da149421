//! What the host uses, read from `/proc` each time it is asked for; nothing runs in between.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nix::sys::statvfs::statvfs;
use rove_model::ids::UnixNanos;

use crate::usage::{CoreView, DiskView, HostMemoryView, HostStats};

/// Measures a host. Rates are over the time since it was last asked; at the first time, since the host started.
#[derive(Debug, Clone)]
pub(crate) struct HostMeter {
    proc: PathBuf,
    alloc_dir: Option<PathBuf>,
    core_mhz: f64,
    last: Arc<Mutex<BTreeMap<String, CoreTimes>>>,
}

/// Jiffies of a core since the host started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CoreTimes {
    user: u64,
    system: u64,
    idle: u64,
    total: u64,
}

impl HostMeter {
    pub(crate) fn new(proc: PathBuf, alloc_dir: Option<PathBuf>, core_mhz: f64) -> Self {
        Self {
            proc,
            alloc_dir,
            core_mhz,
            last: Arc::default(),
        }
    }

    pub(crate) async fn measure(&self, timestamp: UnixNanos) -> io::Result<HostStats> {
        let meter = self.clone();
        tokio::task::spawn_blocking(move || meter.measure_now(timestamp))
            .await
            .map_err(io::Error::other)?
    }

    fn measure_now(&self, timestamp: UnixNanos) -> io::Result<HostStats> {
        let times = core_times(&fs::read_to_string(self.proc.join("stat"))?);
        let before = std::mem::replace(
            &mut *self.last.lock().unwrap_or_else(PoisonError::into_inner),
            times.clone(),
        );
        let cpu: Vec<CoreView> = times
            .iter()
            .map(|(name, now)| {
                let then = before.get(name).copied().unwrap_or_default();
                core(name, then, *now, self.core_mhz)
            })
            .collect();
        let uptime = fs::read_to_string(self.proc.join("uptime"))?;
        Ok(HostStats {
            alloc_dir_stats: self
                .alloc_dir
                .as_deref()
                .and_then(|path| disk(path, "", "").ok())
                .unwrap_or_default(),
            cpu_ticks_consumed: cpu.iter().map(|core| core.total_ticks).sum(),
            cpu,
            device_stats: None,
            disk_stats: disks(&fs::read_to_string(self.proc.join("self/mounts"))?),
            memory: memory(&fs::read_to_string(self.proc.join("meminfo"))?),
            timestamp,
            uptime: uptime
                .split('.')
                .next()
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(0),
        })
    }
}

/// The cores of `/proc/stat`, by name; a BTreeMap puts `cpu10` before `cpu2`, so the number is padded.
fn core_times(stat: &str) -> BTreeMap<String, CoreTimes> {
    let mut cores = BTreeMap::new();
    for line in stat.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(number) = fields
            .next()
            .and_then(|name| name.strip_prefix("cpu"))
            .and_then(|number| number.parse::<u32>().ok())
        else {
            continue;
        };
        let values: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
        let at = |index: usize| values.get(index).copied().unwrap_or(0);
        let times = CoreTimes {
            user: at(0) + at(1),
            system: at(2) + at(5) + at(6),
            idle: at(3) + at(4),
            total: values.iter().take(8).sum(),
        };
        cores.insert(format!("{number:05}"), times);
    }
    cores
}

fn core(padded: &str, then: CoreTimes, now: CoreTimes, mhz: f64) -> CoreView {
    let total = now.total.saturating_sub(then.total);
    #[expect(clippy::cast_precision_loss, reason = "a percentage of jiffies")]
    let percent = |now: u64, then: u64| {
        if total == 0 {
            0.0
        } else {
            now.saturating_sub(then) as f64 / total as f64 * 100.0
        }
    };
    let idle = percent(now.idle, then.idle);
    let busy = if total == 0 { 0.0 } else { 100.0 - idle };
    CoreView {
        cpu: format!(
            "cpu{}",
            padded.trim_start_matches('0').parse().unwrap_or(0_u32)
        ),
        idle,
        system: percent(now.system, then.system),
        total_percent: busy,
        total_ticks: busy / 100.0 * mhz,
        user: percent(now.user, then.user),
    }
}

fn memory(meminfo: &str) -> HostMemoryView {
    let bytes = |name: &str| {
        meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_ascii_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    };
    let (total, free) = (bytes("MemTotal"), bytes("MemFree"));
    HostMemoryView {
        available: bytes("MemAvailable"),
        free,
        total,
        used: total
            .saturating_sub(free)
            .saturating_sub(bytes("Buffers"))
            .saturating_sub(bytes("Cached")),
    }
}

/// The block devices that are mounted, once for each place.
fn disks(mounts: &str) -> Vec<DiskView> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (device, place) = (fields.next()?, fields.next()?);
            if !device.starts_with("/dev/") {
                return None;
            }
            let place = place.replace("\\040", " ");
            disk(Path::new(&place), device, &place).ok()
        })
        .collect()
}

fn disk(path: &Path, device: &str, mountpoint: &str) -> nix::Result<DiskView> {
    let stat = statvfs(path)?;
    let unit = stat.fragment_size();
    let (size, free, available) = (
        stat.blocks() * unit,
        stat.blocks_free() * unit,
        stat.blocks_available() * unit,
    );
    let used = size.saturating_sub(free);
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let percent = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64 * 100.0
        }
    };
    Ok(DiskView {
        available,
        device: device.to_owned(),
        inodes_used_percent: percent(stat.files().saturating_sub(stat.files_free()), stat.files()),
        mountpoint: mountpoint.to_owned(),
        size,
        used,
        used_percent: percent(used, used + available),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_measured_between_two_readings() {
        let first =
            core_times("cpu 1 1 1 1\ncpu0 100 0 100 800 0 0 0 0\ncpu10 0 0 0 10 0 0 0 0\nintr 1\n");
        let second = core_times("cpu0 125 0 125 850 0 0 0 0\ncpu10 0 0 0 10 0 0 0 0\n");
        let view = core("00000", first["00000"], second["00000"], 2000.0);
        assert_eq!(view.cpu, "cpu0");
        assert!((view.idle - 50.0).abs() < 1e-9);
        assert!((view.user - 25.0).abs() < 1e-9);
        assert!((view.system - 25.0).abs() < 1e-9);
        assert!((view.total_ticks - 1000.0).abs() < 1e-9);
        let still = core("00010", first["00010"], second["00010"], 2000.0);
        assert_eq!((still.cpu.as_str(), still.total_percent), ("cpu10", 0.0));
    }

    #[test]
    fn memory_is_read_in_bytes_and_damage_reads_as_nothing() {
        let view = memory(
            "MemTotal: 100 kB\nMemFree: 40 kB\nMemAvailable: 60 kB\nBuffers: 5 kB\nCached: 15 kB\n",
        );
        assert_eq!(
            (view.total, view.used, view.available),
            (102_400, 40_960, 61_440)
        );
        assert_eq!(memory("MemTotal: x\n"), HostMemoryView::default());
    }
}
