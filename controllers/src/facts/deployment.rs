//! How far a deployment is: the health of its allocs, their counts, and the deadline.

use std::collections::BTreeMap;

use rove_model::{
    alloc::{Alloc, AllocHealth},
    deployment::{Deployment, DeploymentCounts, DeploymentGroup, DeploymentStatus},
    ids::{AllocId, DeploymentId, GroupName, Revision, UnixNanos},
};
use rove_store::state::{State, Stored};

use super::alloc_index;

/// What an agent found of an alloc's health in a deployment. A verdict that was reached for another deployment says
/// nothing: an alloc that a later version took over as it runs is looked at anew.
#[must_use]
pub fn health(found: Option<&AllocHealth>, deployment: DeploymentId) -> Option<&AllocHealth> {
    found.filter(|health| health.deployment_id == Some(deployment))
}

/// [`health`] as the store has it, with the revision of the status that says so.
#[must_use]
pub fn stored_health(
    state: &State,
    alloc: AllocId,
    deployment: DeploymentId,
) -> Option<(&AllocHealth, Revision)> {
    let status = state.alloc_status(alloc)?;
    let found = health(status.deployment_status.as_ref(), deployment)?;
    Some((found, status.modify))
}

/// How far a group of a deployment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All allocs that were placed for it, whether they live or not.
    pub counts: DeploymentCounts,
    /// Those that live.
    pub live: u32,
    /// Those that live and are healthy.
    pub healthy: u32,
    /// Live allocs of the job's older versions, still to be replaced.
    pub outdated: u32,
    /// When it has to have got further: from the first alloc that was placed, and from each that became healthy. One that
    /// is placed later gives it no more time.
    pub deadline: Option<UnixNanos>,
    /// The newest revision that showed an alloc healthy.
    pub newest: Revision,
}

impl Progress {
    /// Counts the allocs of one group.
    #[must_use]
    pub fn of(state: &State, deployment: &Deployment, name: &GroupName) -> Self {
        let mut progress = Self::default();
        let Some(group) = deployment.task_groups.get(name) else {
            return progress;
        };
        let mut times = Times::default();
        for alloc in state
            .allocs_of_deployment(deployment.id)
            .filter(|alloc| alloc.task_group == *name)
        {
            progress.count(state, deployment, alloc, &mut times);
        }
        progress.deadline = times.deadline(group);
        for alloc in state.allocs_of_job(&deployment.job()) {
            if alloc.task_group == *name
                && alloc.job_uid == deployment.job_uid
                && alloc.job_version < deployment.job_version
                && state.is_live(alloc)
            {
                progress.outdated += 1;
            }
        }
        progress
    }

    /// Whether the group is as the deployment wants it. What was about to be replaced when the deployment was planned
    /// is not in its total, so older allocs are looked at as well.
    #[must_use]
    pub fn is_complete(&self, group: &DeploymentGroup) -> bool {
        self.healthy >= group.desired_total && self.outdated == 0
    }

    /// Whether another step is needed to get there, now that an alloc became healthy. What is only missing needs none
    /// while it waits for room, in an evaluation that is blocked: health lets older allocs be replaced, and makes no
    /// room.
    #[must_use]
    pub fn needs_step(&self, group: &DeploymentGroup, waits_for_room: bool) -> bool {
        self.outdated > 0 || (self.live < group.desired_total && !waits_for_room)
    }

    fn count(&mut self, state: &State, deployment: &Deployment, alloc: &Alloc, times: &mut Times) {
        let live = state.is_live(alloc);
        // Also of those that are over by now: the deadline runs from the first that was placed, not from one that still
        // lives.
        let placed = alloc.create_time.max(deployment.create_time);
        times.placed = Some(times.placed.map_or(placed, |first| first.min(placed)));
        if live {
            self.live += 1;
        }
        self.counts.placed += 1;
        if alloc.canary {
            self.counts.canaries.push(alloc.id);
        }
        match stored_health(state, alloc.id, deployment.id) {
            Some((health, modify)) if health.healthy => {
                self.newest = self.newest.max(modify);
                times.healthy = times.healthy.max(Some(health.timestamp));
                self.counts.healthy += 1;
                if live {
                    self.healthy += 1;
                }
            }
            Some(_) => self.counts.unhealthy += 1,
            None => {}
        }
    }
}

/// What the deadline of a group runs from.
#[derive(Default)]
struct Times {
    /// The first alloc was placed.
    placed: Option<UnixNanos>,
    /// The last that became healthy did.
    healthy: Option<UnixNanos>,
}

impl Times {
    fn deadline(&self, group: &DeploymentGroup) -> Option<UnixNanos> {
        if group.progress_deadline == 0 {
            return group.require_progress_by;
        }
        let by = |at: UnixNanos| at.saturating_add(group.progress_deadline);
        let from_first = group.require_progress_by.or(self.placed.map(by));
        from_first.max(self.healthy.map(by))
    }
}

/// The counts of a deployment, by group: those it had reached where it has ended, as its allocs move on.
#[must_use]
pub fn deployment_counts(
    state: &State,
    deployment: &Deployment,
) -> BTreeMap<GroupName, DeploymentCounts> {
    let of_group = |(name, group): (&GroupName, &DeploymentGroup)| {
        let counts = match &group.reached {
            Some(reached) if !deployment.status.is_active() => reached.clone(),
            Some(_) | None => Progress::of(state, deployment, name).counts,
        };
        (name.clone(), counts)
    };
    deployment.task_groups.iter().map(of_group).collect()
}

/// A deployment as it ends at `now`: with what it has reached.
#[must_use]
pub fn ended(
    state: &State,
    deployment: &Deployment,
    status: DeploymentStatus,
    description: &str,
    now: UnixNanos,
) -> Deployment {
    let mut ended = deployment.clone();
    ended.status = status;
    description.clone_into(&mut ended.status_description);
    ended.modify_time = now;
    for (name, group) in &mut ended.task_groups {
        let progress = Progress::of(state, deployment, name);
        group.require_progress_by = progress.deadline;
        group.reached = Some(progress.counts);
    }
    ended
}

/// The newest change of a deployment or of what its counts are made of.
#[must_use]
pub fn deployment_index(state: &State, deployment: &Stored<Deployment>) -> Revision {
    state
        .allocs_of_deployment(deployment.id)
        .map(|alloc| alloc_index(state, alloc))
        .max()
        .unwrap_or(0)
        .max(deployment.modify)
}
