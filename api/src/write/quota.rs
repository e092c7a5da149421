//! New jobs are refused while the store is nearly full, so that deletes, leases and statuses still find room.

use std::{sync::Mutex, time::Duration};

use rove_store::Store;
use tokio::time::Instant;

use crate::error::ApiError;

/// From this part of the quota on, in percent.
const FULL_PERCENT: u64 = 80;

/// How long an answer of the store is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// What the store last said of its room.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Option<(Instant, u64)>>);

impl Quota {
    /// Refuses when the store is nearly full. A store that does not say counts as having room: if it has none, it
    /// refuses by itself.
    pub(crate) async fn check(&self, store: &dyn Store) -> Result<(), ApiError> {
        let percent = self.percent(store).await;
        if percent < FULL_PERCENT {
            return Ok(());
        }
        Err(ApiError::Refused(format!(
            "new jobs are refused: the store is at {percent} % of its quota (limit {FULL_PERCENT} %); purge jobs, \
             compact and defragment it, or raise its quota"
        )))
    }

    async fn percent(&self, store: &dyn Store) -> u64 {
        let known = self.0.lock().ok().and_then(|known| *known);
        if let Some((at, percent)) = known
            && at.elapsed() < BELIEVED
        {
            return percent;
        }
        let percent = match store.status().await {
            Ok(status) => match status.quota {
                Some(quota) if quota > 0 => {
                    u64::try_from(u128::from(status.db_size) * 100 / u128::from(quota))
                        .unwrap_or(u64::MAX)
                }
                _ => 0,
            },
            Err(error) => {
                tracing::debug!(%error, "the store does not say how full it is");
                return known.map_or(0, |(_, percent)| percent);
            }
        };
        if let Ok(mut known) = self.0.lock() {
            *known = Some((Instant::now(), percent));
        }
        percent
    }
}
