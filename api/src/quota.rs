//! New jobs are refused while the store is nearly full, so that deletes, leases and statuses still find room.

use std::{sync::Mutex, time::Duration};

use rove_store::Store;
use tokio::time::Instant;

use crate::error::ApiError;

/// From this part of the quota on, in percent.
const FULL_PERCENT: u64 = 80;

/// How long an answer of the store is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// How full a store is.
#[derive(Clone, Copy, Debug, Default)]
struct Fill {
    percent: u64,
    /// What is in use counts, so that it shrinks by itself when jobs go; else the size on disk, which doesn't.
    counts_use: bool,
}

/// What the store last said of its room.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Option<(Instant, Fill)>>);

impl Quota {
    /// Refuses when the store is nearly full. A store that does not say counts as having room: if it has none, it
    /// refuses by itself.
    pub(crate) async fn check(&self, store: &dyn Store) -> Result<(), ApiError> {
        let Fill {
            percent,
            counts_use,
        } = self.fill(store).await;
        if percent < FULL_PERCENT {
            return Ok(());
        }
        let way_out = if counts_use {
            "purge jobs, or raise server.embedded.quota and start the server again"
        } else {
            "purge jobs, then compact and defragment etcd, or raise its --quota-backend-bytes"
        };
        Err(ApiError::Refused(format!(
            "new jobs are refused: the store is at {percent} % of its quota (limit {FULL_PERCENT} %); {way_out}"
        )))
    }

    async fn fill(&self, store: &dyn Store) -> Fill {
        let known = self.0.lock().ok().and_then(|known| *known);
        if let Some((at, fill)) = known
            && at.elapsed() < BELIEVED
        {
            return fill;
        }
        let fill = match store.status().await {
            Ok(status) => Fill {
                percent: match status.quota {
                    Some(quota) if quota > 0 => {
                        u64::try_from(u128::from(status.counted()) * 100 / u128::from(quota))
                            .unwrap_or(u64::MAX)
                    }
                    _ => 0,
                },
                counts_use: status.quota_counts_use,
            },
            Err(error) => {
                tracing::debug!(%error, "the store does not say how full it is");
                return known.map_or_else(Fill::default, |(_, fill)| fill);
            }
        };
        if let Ok(mut known) = self.0.lock() {
            *known = Some((Instant::now(), fill));
        }
        fill
    }
}
