//! Allocs that failed: which are replaced now, which later, which not at all.

use rove_model::{
    alloc::{Alloc, ClientStatus, DesiredStatus},
    eval::{EvalStatus, TriggeredBy},
    ids::{EvalId, UnixNanos},
    job::{ReschedulePolicy, TaskGroup},
};

use super::{
    super::{draw_id, evals, reschedule},
    Known, Reconciler,
};

/// A failed alloc whose time comes within this is replaced at once.
const RESCHEDULE_WINDOW: i64 = 1_000_000_000;

/// Failed allocs whose times lie this close together share an evaluation.
const BATCH_WINDOW: i64 = 5_000_000_000;

/// What is to become of failed allocs.
#[derive(Default)]
pub(super) struct Failed<'a> {
    pub now: Vec<Known<'a>>,
    pub later: Vec<(UnixNanos, Known<'a>)>,
}

impl<'a> Reconciler<'a, '_> {
    /// Tells those that count towards what is wanted from those that failed and are replaced, and drops the rest.
    pub(super) fn sort_out_failed(
        &self,
        group: &'a TaskGroup,
        allocs: Vec<Known<'a>>,
    ) -> (Vec<Known<'a>>, Failed<'a>) {
        let mut counted = Vec::with_capacity(allocs.len());
        let mut failed = Failed::default();
        for known in allocs {
            let wanted = known.alloc.desired_status == DesiredStatus::Run;
            if self.batch && known.ran_successfully() && known.client == ClientStatus::Complete {
                counted.push(known);
                continue;
            }
            if !wanted {
                continue;
            }
            match known.client {
                ClientStatus::Failed => {}
                ClientStatus::Pending | ClientStatus::Running => {
                    counted.push(known);
                    continue;
                }
                ClientStatus::Complete if self.batch => {
                    counted.push(known);
                    continue;
                }
                ClientStatus::Complete | ClientStatus::Lost => continue,
            }
            match self.reschedule_time(group, &known) {
                Some(time)
                    if known.alloc.follow_up_eval == Some(self.eval.id)
                        || time.saturating_sub(self.now) <= RESCHEDULE_WINDOW =>
                {
                    failed.now.push(known);
                }
                Some(time) => {
                    // It counts as long as it waits, or another would be placed beside it.
                    counted.push(known);
                    if !self.is_awaited(&known) {
                        failed.later.push((time, known));
                    }
                }
                None => counted.push(known),
            }
        }
        (counted, failed)
    }

    /// When a failed alloc is to be replaced, if it is at all.
    fn reschedule_time(&self, group: &'a TaskGroup, known: &Known<'_>) -> Option<UnixNanos> {
        let status = known.status?;
        let policy = self.policy(group, known.alloc)?;
        if let Some(deployment) = self.current
            && known.alloc.deployment_id == Some(deployment.id)
            && deployment.status.is_active()
        {
            // Without a deadline for progress the first failure ends the deployment.
            let group = deployment.task_groups.get(&known.alloc.task_group);
            if group.is_none_or(|group| group.progress_deadline == 0) {
                return None;
            }
        }
        let failed_at = reschedule::failed_at(known.alloc, status, self.now);
        reschedule::next_time(known.alloc, failed_at, policy)
    }

    /// The policy of the version that the alloc runs, else of the current one.
    fn policy(&self, group: &'a TaskGroup, alloc: &Alloc) -> Option<&'a ReschedulePolicy> {
        let own = self
            .state
            .job_version(&alloc.version_key())
            .and_then(|version| version.job.group(alloc.task_group.as_str()));
        own.unwrap_or(group).reschedule_policy.as_ref()
    }

    /// An evaluation that will replace it is there.
    fn is_awaited(&self, known: &Known<'_>) -> bool {
        known
            .alloc
            .follow_up_eval
            .and_then(|id| self.state.eval(id))
            .is_some_and(|eval| eval.id != self.eval.id && eval.status == EvalStatus::Pending)
    }

    pub(super) fn reschedule_later(&mut self, mut later: Vec<(UnixNanos, Known<'a>)>) {
        later.sort_by_key(|(time, known)| (*time, known.alloc.id));
        let mut batch: Option<(UnixNanos, EvalId)> = None;
        for (time, known) in later {
            let id = match batch {
                Some((first, id)) if time.saturating_sub(first) < BATCH_WINDOW => id,
                _ => {
                    let id = EvalId::from_random(draw_id(self.rng));
                    let mut eval = evals::follow_up(
                        self.eval,
                        id,
                        TriggeredBy::AllocFailure,
                        EvalStatus::Pending,
                        evals::DELAYED_RESCHEDULE,
                        self.now,
                    );
                    eval.wait_until = Some(time);
                    self.result.follow_ups.push(eval);
                    batch = Some((time, id));
                    id
                }
            };
            self.result.delayed.push((known, id));
        }
    }
}
