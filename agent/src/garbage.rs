//! Removes what ended allocs leave on disk.

use std::path::PathBuf;

use nix::sys::statvfs::statvfs;
use rove_model::ids::AllocId;

use crate::alloc::dir::remove_all;

/// Percent in use of the disk under `path`; none when it can't be told.
pub(crate) async fn disk_usage_percent(path: PathBuf) -> Option<f64> {
    tokio::task::spawn_blocking(move || {
        let stat = statvfs(&path).ok()?;
        let used = stat.blocks().saturating_sub(stat.blocks_free());
        let usable = used + stat.blocks_available();
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let percent = if usable == 0 {
            0.0
        } else {
            used as f64 / usable as f64 * 100.0
        };
        Some(percent)
    })
    .await
    .ok()
    .flatten()
}

/// Removes directories of an alloc. What can't be removed is reported, and left.
pub(crate) async fn remove(alloc: AllocId, paths: Vec<PathBuf>) {
    let removed =
        tokio::task::spawn_blocking(move || paths.iter().try_for_each(|path| remove_all(path)))
            .await;
    match removed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%alloc, %error, "can't collect the alloc's directory"),
        Err(error) => tracing::warn!(%alloc, %error, "collecting the alloc's directory broke"),
    }
}
