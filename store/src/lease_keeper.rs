//! Keeps a lease alive, and gets another when it is lost.
//!
//! Only the store says that a lease is gone: while it can't be reached nothing is concluded from the time that passed,
//! since a store that restarts begins every lease anew. A lease that the store refuses to renew is as good as gone: it
//! was granted to whom the store has forgotten since, and is asked for anew.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{debug, info, warn};

use crate::{
    backoff::{Backoff, Recovery},
    store::{LeaseId, Store, StoreError},
};

/// How a lease is kept.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Seconds after which the store ends a lease that was not renewed. Renewed three times as often.
    pub ttl: i64,
    /// A lease of an earlier life of this process: kept if the store still has it.
    pub resume: Option<LeaseId>,
    /// End the lease when told to stop. A client leaves it, so that its node is not down while it restarts.
    pub revoke_on_stop: bool,
    /// Seed of the jitter.
    pub seed: u64,
    /// Told when the store answers again.
    pub recovery: Recovery,
}

/// A lease that is kept alive by a task of its own. Dropped, the task ends and the lease runs out by itself.
#[derive(Debug)]
pub struct LeaseKeeper {
    lease: watch::Receiver<Option<LeaseId>>,
    refused: watch::Sender<Option<LeaseId>>,
    cancel: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl LeaseKeeper {
    /// Starts keeping a lease until [`LeaseKeeper::stop`] or until `cancel`.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, config: LeaseConfig, cancel: &CancellationToken) -> Self {
        let (publish, lease) = watch::channel(None);
        let (refused, refusals) = watch::channel(None);
        let cancel = cancel.child_token();
        let task = tokio::spawn(keep(store, config, publish, refusals, cancel.clone()));
        Self {
            lease,
            refused,
            cancel,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// The lease that is held now: `None` before the first is granted and after one was lost. Closed when keeping
    /// it has ended.
    #[must_use]
    pub fn lease(&self) -> watch::Receiver<Option<LeaseId>> {
        self.lease.clone()
    }

    /// How those who use the lease say that the store refused it: another is asked for, unless that has been done
    /// already.
    #[must_use]
    pub fn refused(&self) -> watch::Sender<Option<LeaseId>> {
        self.refused.clone()
    }

    /// Stops, and waits until the lease is given up if it is to be.
    pub async fn stop(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            warn!(%error, "the lease keeper panicked");
        }
    }
}

/// Keeps a lease until `cancel`, and publishes which one is held. One that is among the `refusals` is given up.
async fn keep(
    store: Arc<dyn Store>,
    config: LeaseConfig,
    publish: watch::Sender<Option<LeaseId>>,
    mut refusals: watch::Receiver<Option<LeaseId>>,
    cancel: CancellationToken,
) {
    let ttl = config.ttl.max(1);
    let third = Duration::from_secs(ttl.unsigned_abs()) / 3;
    let call = third.min(Duration::from_secs(5));
    // The store has to be asked a few more times before the lease can run out.
    let mut backoff = Backoff::new(Duration::from_millis(100), third / 2, config.seed);
    let mut held = None;
    let mut resume = config.resume;
    let mut heard = true;

    loop {
        let refused = *refusals.borrow_and_update();
        if held.is_some() && held == refused {
            warn!("the store refuses what is written on the lease, asking for another");
            held = None;
            publish.send_replace(None);
        }
        let step = match (held, resume.take()) {
            (Some(id), _) => renew(&*store, id, call).await,
            (None, Some(id)) => match renew(&*store, id, call).await {
                Step::Unknown(error) => {
                    resume = Some(id);
                    Step::Unknown(error)
                }
                step => step,
            },
            (None, None) => grant(&*store, ttl, call).await,
        };
        let pause = match step {
            Step::Held(id, granted) => {
                config.recovery.succeeded(&mut backoff);
                if held != Some(id) {
                    info!(lease = id.0, ttl = granted, "lease held");
                    held = Some(id);
                    publish.send_replace(held);
                }
                Duration::from_secs(granted.max(1).unsigned_abs()) / 3
            }
            Step::Gone => {
                if held.take().is_some() {
                    warn!("the lease is gone, asking for another");
                    publish.send_replace(None);
                }
                Duration::ZERO
            }
            Step::Unknown(error) => {
                let delay = backoff.next_delay();
                if backoff.failures() == 1 {
                    warn!(%error, "the lease could not be renewed, trying again");
                } else {
                    debug!(%error, failures = backoff.failures(), "the lease could not be renewed");
                }
                delay
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            changed = refusals.changed(), if heard => heard = changed.is_ok(),
            () = tokio::time::sleep(pause) => {}
        }
    }

    publish.send_replace(None);
    if let Some(id) = held.filter(|_| config.revoke_on_stop) {
        match timeout(call, store.lease_revoke(id)).await {
            Ok(Ok(()) | Err(StoreError::LeaseNotFound(_))) => {}
            Ok(Err(error)) => warn!(%error, "the lease was not given up, it will run out"),
            Err(_) => warn!("the lease was not given up in time, it will run out"),
        }
    }
}

enum Step {
    Held(LeaseId, i64),
    Gone,
    Unknown(StoreError),
}

async fn renew(store: &dyn Store, id: LeaseId, call: Duration) -> Step {
    match timeout(call, store.lease_keep_alive(id)).await {
        Ok(Ok(granted)) => Step::Held(id, granted),
        Ok(Err(StoreError::LeaseNotFound(_))) => Step::Gone,
        // Whoever it was granted to is not known any more. If nobody is let in, the next grant says so.
        Ok(Err(error @ StoreError::PermissionDenied(_))) => {
            warn!(lease = id.0, %error, "the store refuses to renew the lease");
            Step::Gone
        }
        Ok(Err(error)) => Step::Unknown(error),
        Err(_) => Step::Unknown(no_answer(call)),
    }
}

async fn grant(store: &dyn Store, ttl: i64, call: Duration) -> Step {
    match timeout(call, store.lease_grant(ttl, None)).await {
        Ok(Ok((id, granted))) => Step::Held(id, granted),
        Ok(Err(error)) => Step::Unknown(error),
        Err(_) => Step::Unknown(no_answer(call)),
    }
}

fn no_answer(after: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {after:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
    };

    fn config() -> LeaseConfig {
        LeaseConfig {
            ttl: 9,
            resume: None,
            revoke_on_stop: true,
            seed: 1,
            recovery: Recovery::default(),
        }
    }

    async fn held(keeper: &LeaseKeeper) -> LeaseId {
        let mut lease = keeper.lease();
        lease.wait_for(Option::is_some).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_outlives_its_ttl_while_it_is_kept_and_ends_with_a_clean_stop() {
        let store = Arc::new(MemoryStore::new());
        let keeper = LeaseKeeper::start(store.clone(), config(), &CancellationToken::new());
        let id = held(&keeper).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(store.leases().await.unwrap(), [id]);
        keeper.stop().await;
        assert!(store.leases().await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_to_outlive_the_process_is_found_again() {
        let store = Arc::new(MemoryStore::new());
        let keep = LeaseConfig {
            revoke_on_stop: false,
            ..config()
        };
        let keeper = LeaseKeeper::start(store.clone(), keep.clone(), &CancellationToken::new());
        let id = held(&keeper).await;
        keeper.stop().await;
        let keep = LeaseConfig {
            resume: Some(id),
            ..keep
        };
        let keeper = LeaseKeeper::start(store.clone(), keep.clone(), &CancellationToken::new());
        assert_eq!(held(&keeper).await, id);
        drop(keeper);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let keeper = LeaseKeeper::start(store, keep, &CancellationToken::new());
        assert_ne!(held(&keeper).await, id, "it ran out meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_is_told_and_another_is_asked_for() {
        let store = Arc::new(MemoryStore::new());
        let keeper = LeaseKeeper::start(store.clone(), config(), &CancellationToken::new());
        let id = held(&keeper).await;
        let mut lease = keeper.lease();
        store.lease_revoke(id).await.unwrap();
        lease.wait_for(|lease| *lease != Some(id)).await.unwrap();
        assert_ne!(held(&keeper).await, id);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_refused_is_replaced_once() {
        let store = Arc::new(MemoryStore::new());
        let keeper = LeaseKeeper::start(store.clone(), config(), &CancellationToken::new());
        let id = held(&keeper).await;
        let mut lease = keeper.lease();
        let refused = keeper.refused();
        refused.send_replace(Some(id));
        lease
            .wait_for(|lease| lease.is_some_and(|lease| lease != id))
            .await
            .unwrap();
        let second = held(&keeper).await;
        // An old word about the first, and the end of whoever used it, change nothing.
        refused.send_replace(Some(id));
        drop(refused);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(held(&keeper).await, second);
        keeper.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_can_not_be_reached_ends_nothing() {
        let memory = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(memory.clone(), 3, Faults::default());
        let keep = LeaseConfig {
            ttl: 600,
            ..config()
        };
        let recovery = keep.recovery.clone();
        let keeper = LeaseKeeper::start(Arc::new(store.clone()), keep, &CancellationToken::new());
        let id = held(&keeper).await;
        let mut lease = keeper.lease();
        lease.mark_unchanged();
        store.set_faults(Faults {
            unavailable: 1.0,
            ..Faults::default()
        });
        tokio::time::sleep(Duration::from_secs(500)).await;
        store.set_faults(Faults::default());
        // Others that wait for the store are told that it answers.
        recovery.pause(Duration::MAX).await;
        tokio::time::sleep(Duration::from_secs(500)).await;
        assert!(!lease.has_changed().unwrap());
        assert_eq!(memory.leases().await.unwrap(), [id]);
    }
}
