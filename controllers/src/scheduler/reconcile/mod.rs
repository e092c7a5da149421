//! What is to be done with each alloc of a job, and which are missing: what is wanted against what there is.
//!
//! Behaves as Nomad 1.6.5 for service and batch jobs. Looks at the state alone, never at what woke it, so running it
//! again after its plan was applied finds nothing to do. It says what is to be placed, not where.

mod failed;
mod known;

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    deployment::{Deployment, DeploymentGroup, DeploymentStatus},
    eval::{AllocMetric, Eval},
    ids::{DeploymentId, EvalId, GroupName, NodeId, UnixNanos},
    job::{Job, JobType, TaskGroup},
    plan::{DeploymentEnd, DesiredUpdates, MAX_PLACEMENTS, StopReason},
};
use rove_store::state::State;

use self::failed::Failed;
pub(super) use self::known::{Known, known_allocs};
use super::{JobView, draw_id, indexes::Indexes};

const DEPLOYMENT_RUNNING: &str = "Deployment is running";
const DEPLOYMENT_STOPPED_JOB: &str = "Cancelled because job is stopped";
const DEPLOYMENT_NEWER_VERSION: &str = "Cancelled due to newer version of job";

/// What a new version means to a running alloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// It runs that version, or is over.
    Ignore,
    /// It can take the version over as it runs.
    InPlace,
    /// It must be replaced.
    Destructive,
}

/// An alloc to stop, come what may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop<'a> {
    pub known: Known<'a>,
    pub desired: DesiredStatus,
    pub why: StopReason,
}

/// An alloc to place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement<'a> {
    /// The group's place in the job.
    pub group: usize,
    pub index: u32,
    pub previous: Option<Known<'a>>,
    /// It replaces one that failed.
    pub reschedule: bool,
    /// Why the previous one is stopped, once there is a place for this one.
    pub stop_previous: Option<StopReason>,
    /// The only node that it may go to.
    pub node: Option<NodeId>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Reconciled<'a> {
    pub stops: Vec<Stop<'a>>,
    pub in_place: Vec<Known<'a>>,
    /// By group; in a group those that replace a running one come first.
    pub place: Vec<Placement<'a>>,
    /// How many more are to be placed, by the group's place in the job: no plan could hold those of `place` already.
    pub more: BTreeMap<usize, u64>,
    /// Failed allocs that have to wait, and the evaluation that will replace them.
    pub delayed: Vec<(Known<'a>, EvalId)>,
    pub follow_ups: Vec<Eval>,
    /// A deployment to create.
    pub created: Option<Deployment>,
    /// The deployment that placements and updates belong to, by group.
    pub deployment: Option<(DeploymentId, BTreeSet<GroupName>)>,
    pub ends: Vec<DeploymentEnd>,
    pub desired: BTreeMap<GroupName, DesiredUpdates>,
    /// Groups that no node will ever do for as it is, and why: nothing of them waits for room.
    pub unplaceable: BTreeMap<GroupName, AllocMetric>,
    /// There is more to replace after so many nanoseconds.
    pub rolls_on: Option<UnixNanos>,
}

/// The newest deployment of the job's registration.
pub(super) fn latest_deployment<'a>(state: &'a State, job: &JobView<'_>) -> Option<&'a Deployment> {
    state
        .deployments_of_job(job.key)
        .filter(|deployment| Some(deployment.job_uid) == job.uid)
        .max_by_key(|deployment| (deployment.create, deployment.create_time))
        .map(|deployment| &deployment.value)
}

/// Says what is to be done. `update` decides what a new version means to a running alloc of a group.
pub(super) fn reconcile<'a>(
    state: &'a State,
    job: &JobView<'a>,
    eval: &Eval,
    now: UnixNanos,
    rng: &mut dyn Rng,
    update: &mut dyn FnMut(usize, &TaskGroup, &Known<'a>) -> Update,
) -> Reconciled<'a> {
    let mut result = Reconciled::default();
    let known = known_allocs(state, job);
    declare_lost(&known, &mut result);
    let current = end_deployments(state, job, &mut result);
    let mut groups: BTreeMap<&str, Vec<Known<'a>>> = BTreeMap::new();
    for alloc in known {
        if !job.stopped && Some(alloc.alloc.job_uid) != job.uid {
            stop_all(&[alloc], &mut result);
        } else {
            let group = alloc.alloc.task_group.as_str();
            groups.entry(group).or_default().push(alloc);
        }
    }
    let Some(spec) = job.job.filter(|_| !job.stopped) else {
        for allocs in groups.values() {
            stop_all(allocs, &mut result);
        }
        if let Some(spec) = job.job {
            for group in &spec.task_groups {
                result
                    .desired
                    .entry(GroupName::from(group.name.as_str()))
                    .or_default();
            }
        }
        return result;
    };
    if let Some(deployment) = current.filter(|deployment| deployment.status.is_active()) {
        let groups = deployment.task_groups.keys().cloned().collect();
        result.deployment = Some((deployment.id, groups));
    }
    let mut reconciler = Reconciler {
        state,
        job,
        spec,
        batch: matches!(spec.job_type(), JobType::Batch),
        current,
        eval,
        now,
        rng,
        update,
        result,
        new_groups: BTreeMap::new(),
    };
    for (place, group) in spec.task_groups.iter().enumerate() {
        let allocs = groups.remove(group.name.as_str()).unwrap_or_default();
        reconciler.group(place, group, allocs);
    }
    // Groups that the job no longer has.
    for allocs in groups.values() {
        stop_all(allocs, &mut reconciler.result);
    }
    reconciler.finish()
}

/// Allocs that were to be stopped, on nodes that can't say any more that they are.
pub(super) fn declare_lost<'a>(known: &[Known<'a>], result: &mut Reconciled<'a>) {
    for alloc in known {
        let stopping = alloc.alloc.desired_status == DesiredStatus::Stop;
        if stopping && alloc.node_gone && !alloc.client.is_terminal() {
            result.stops.push(Stop {
                known: *alloc,
                desired: DesiredStatus::Lost,
                why: StopReason::Lost,
            });
        }
    }
}

pub(super) fn stop_all<'a>(allocs: &[Known<'a>], result: &mut Reconciled<'a>) {
    for known in allocs.iter().filter(|known| !known.is_terminal()) {
        let (desired, why) = if known.node_gone {
            (DesiredStatus::Lost, StopReason::Lost)
        } else {
            (DesiredStatus::Stop, StopReason::NotNeeded)
        };
        result.stops.push(Stop {
            known: *known,
            desired,
            why,
        });
        let group = known.alloc.task_group.clone();
        result.desired.entry(group).or_default().stop += 1;
    }
}

/// Ends the deployments of other versions, and gives the one of this version unless it succeeded.
fn end_deployments<'a>(
    state: &'a State,
    job: &JobView<'_>,
    result: &mut Reconciled<'a>,
) -> Option<&'a Deployment> {
    let is_current = |deployment: &Deployment| {
        !job.stopped && Some(deployment.job_uid) == job.uid && deployment.job_version == job.version
    };
    for deployment in state.deployments_of_job(job.key) {
        if deployment.status.is_active() && !is_current(deployment) {
            result.ends.push(DeploymentEnd {
                deployment_id: deployment.id,
                status: DeploymentStatus::Cancelled,
                status_description: if job.stopped {
                    DEPLOYMENT_STOPPED_JOB
                } else {
                    DEPLOYMENT_NEWER_VERSION
                }
                .to_owned(),
            });
        }
    }
    latest_deployment(state, job).filter(|deployment| {
        is_current(deployment) && deployment.status != DeploymentStatus::Successful
    })
}

struct Reconciler<'a, 'r> {
    state: &'a State,
    job: &'r JobView<'a>,
    spec: &'a Job,
    batch: bool,
    current: Option<&'a Deployment>,
    eval: &'r Eval,
    now: UnixNanos,
    rng: &'r mut dyn Rng,
    update: &'r mut dyn FnMut(usize, &TaskGroup, &Known<'a>) -> Update,
    result: Reconciled<'a>,
    /// Groups of the deployment to create.
    new_groups: BTreeMap<GroupName, DeploymentGroup>,
}

impl<'a> Reconciler<'a, '_> {
    fn is_paused_or_failed(&self) -> bool {
        self.current.is_some_and(|deployment| {
            matches!(
                deployment.status,
                DeploymentStatus::Paused | DeploymentStatus::Failed
            )
        })
    }

    fn group(&mut self, place: usize, group: &'a TaskGroup, allocs: Vec<Known<'a>>) {
        let name = GroupName::from(group.name.as_str());
        let mut desired = self.result.desired.remove(&name).unwrap_or_default();
        let count = group.count();

        let (old, allocs): (Vec<_>, Vec<_>) =
            allocs.into_iter().partition(|known| self.is_old(known));
        desired.ignore += old.len() as u64;

        let (mut live, mut migrate, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for known in &allocs {
            if known.is_terminal() {
                live.push(*known);
            } else if known.node_gone {
                lost.push(*known);
            } else if known.asked_to_stop {
                migrate.push(*known);
            } else {
                live.push(*known);
            }
        }
        let (mut live, mut failed) = self.sort_out_failed(group, live);
        for known in &lost {
            self.result.stops.push(Stop {
                known: *known,
                desired: DesiredStatus::Lost,
                why: StopReason::Lost,
            });
        }
        desired.stop += lost.len() as u64;
        desired.stop += self.stop_surplus(count, &mut live, &mut migrate, &mut failed);
        self.reschedule_later(failed.later);
        let taken = live.iter().chain(&migrate).chain(&failed.now).chain(&lost);
        let mut indexes = Indexes::new(count, taken.map(|known| known.alloc.index));

        let (mut destructive, mut in_place) = (Vec::new(), 0);
        for known in &live {
            match (self.update)(place, group, known) {
                Update::Ignore => desired.ignore += 1,
                Update::InPlace => {
                    self.result.in_place.push(*known);
                    in_place += 1;
                }
                Update::Destructive => destructive.push(*known),
            }
        }
        desired.in_place_update += in_place;

        let limit = self.limit(group, &live, &destructive, &migrate);
        let (wanted, more) = missing(
            place,
            count,
            &live,
            &migrate,
            &failed.now,
            &lost,
            &mut indexes,
        );
        let total = destructive.len() as u64 + in_place + wanted.len() as u64 + more;

        let ready = !self.is_paused_or_failed();
        let mut limit = self.place(ready, &mut desired, wanted, &failed.now, &lost, limit);
        if ready && more > 0 {
            desired.place += more;
            limit = limit.saturating_sub(more);
            self.result.more.insert(place, more);
        }
        let replaced = if ready {
            limit.min(destructive.len() as u64)
        } else {
            0
        };
        desired.destructive_update += replaced;
        desired.ignore += destructive.len() as u64 - replaced;
        let replace = destructive
            .iter()
            .take(usize::try_from(replaced).unwrap_or(usize::MAX));
        self.result.place.extend(replace.map(|known| Placement {
            group: place,
            index: known.alloc.index,
            previous: Some(*known),
            reschedule: false,
            stop_previous: Some(StopReason::Updating),
            node: None,
        }));

        desired.migrate += migrate.len() as u64;
        for known in &migrate {
            self.result.stops.push(Stop {
                known: *known,
                desired: DesiredStatus::Stop,
                why: StopReason::Migrating,
            });
            self.result.place.push(Placement {
                group: place,
                index: known.alloc.index,
                previous: Some(*known),
                reschedule: false,
                stop_previous: None,
                node: None,
            });
        }
        let updates_spec = !destructive.is_empty() || in_place > 0;
        self.plan_deployment(group, &name, &allocs, updates_spec, total);
        self.result.desired.insert(name, desired);
    }

    /// An alloc of a batch job that ended and belongs to an older version: the new one runs anew.
    fn is_old(&self, known: &Known<'_>) -> bool {
        self.batch && known.is_terminal() && known.alloc.job_version < self.job.version
    }

    /// Stops what is more than wanted, and says how many: what failed costs nothing, what moves anyway little; then
    /// the highest numbers go.
    fn stop_surplus(
        &mut self,
        count: u64,
        live: &mut Vec<Known<'a>>,
        migrate: &mut Vec<Known<'a>>,
        failed: &mut Failed<'a>,
    ) -> u64 {
        let there = live.len() + migrate.len() + failed.now.len();
        let surplus = (there as u64).saturating_sub(count);
        if surplus == 0 {
            return 0;
        }
        let has_failed = |known: &&Known<'a>| known.client == ClientStatus::Failed;
        let mut order = failed.now.clone();
        order.extend(live.iter().filter(has_failed));
        let mut by_number = [migrate.clone(), live.clone()];
        by_number[1].retain(|known| !known.is_terminal());
        for known in std::iter::once(&mut order).chain(&mut by_number) {
            known.sort_by_key(|known| std::cmp::Reverse((known.alloc.index, known.alloc.id)));
        }
        order.extend(by_number.into_iter().flatten());
        order.truncate(usize::try_from(surplus).unwrap_or(usize::MAX));
        let chosen = order
            .iter()
            .map(|known| known.alloc.id)
            .collect::<BTreeSet<_>>();
        for known in [live, migrate, &mut failed.now] {
            known.retain(|known| !chosen.contains(&known.alloc.id));
        }
        let waits = |(_, known): &(UnixNanos, Known<'_>)| !chosen.contains(&known.alloc.id);
        failed.later.retain(waits);
        self.result.stops.extend(order.iter().map(|known| Stop {
            known: *known,
            desired: DesiredStatus::Stop,
            why: StopReason::NotNeeded,
        }));
        order.len() as u64
    }

    /// How many allocs may be replaced or placed beside what goes on.
    fn limit(
        &self,
        group: &TaskGroup,
        live: &[Known<'a>],
        destructive: &[Known<'a>],
        migrate: &[Known<'a>],
    ) -> u64 {
        let Some(update) = group.update.as_ref().filter(|update| update.is_rolling()) else {
            return group.count();
        };
        if destructive.is_empty() && migrate.is_empty() {
            return group.count();
        }
        let Some(deployment) = self.current else {
            return update.max_parallel();
        };
        if self.is_paused_or_failed() {
            return 0;
        }
        let mut limit = update.max_parallel();
        for known in live {
            if known.alloc.deployment_id == Some(deployment.id) {
                match known.health(deployment.id) {
                    Some(true) => {}
                    // An unhealthy one: nothing else until it is replaced.
                    Some(false) => return 0,
                    None => limit = limit.saturating_sub(1),
                }
            }
        }
        limit
    }

    /// Takes over what of `wanted` may be placed, and gives what is left of the limit.
    fn place(
        &mut self,
        ready: bool,
        desired: &mut DesiredUpdates,
        wanted: Vec<Placement<'a>>,
        failed: &[Known<'a>],
        lost: &[Known<'a>],
        limit: u64,
    ) -> u64 {
        let missing = wanted.len() as u64;
        if ready {
            desired.place += missing;
            desired.stop += failed.len() as u64;
            self.result.place.extend(wanted);
            return limit.saturating_sub(missing);
        }
        // Even so, what was lost or failed is replaced, unless it failed in the deployment that was given up.
        let given_up = self
            .current
            .filter(|deployment| deployment.status == DeploymentStatus::Failed)
            .map(|deployment| deployment.id);
        let mut replaces_lost = lost.len();
        for placement in wanted {
            let allowed = if placement.reschedule {
                let of_given_up = placement.previous.is_some_and(|previous| {
                    given_up.is_some() && previous.alloc.deployment_id == given_up
                });
                !of_given_up
            } else if replaces_lost > 0 {
                replaces_lost -= 1;
                true
            } else {
                false
            };
            if allowed {
                desired.place += 1;
                desired.stop += u64::from(placement.reschedule);
                self.result.place.push(placement);
            }
        }
        limit
    }

    /// Notes that the group needs a deployment, when it does.
    fn plan_deployment(
        &mut self,
        group: &TaskGroup,
        name: &GroupName,
        allocs: &[Known<'a>],
        updates_spec: bool,
        total: u64,
    ) {
        let Some(update) = group.update.as_ref().filter(|update| update.is_rolling()) else {
            return;
        };
        let exists = self
            .current
            .is_some_and(|deployment| deployment.task_groups.contains_key(name));
        let ran_before = allocs.iter().any(|known| {
            known.alloc.job_version == self.job.version && Some(known.alloc.job_uid) == self.job.uid
        });
        let is_service = self.spec.job_type() == JobType::Service;
        if exists || !is_service || total == 0 || (ran_before && !updates_spec) {
            return;
        }
        self.new_groups.insert(
            name.clone(),
            DeploymentGroup {
                auto_revert: update.auto_revert(),
                auto_promote: update.auto_promote(),
                promoted: false,
                desired_canaries: 0,
                desired_total: u32::try_from(total).unwrap_or(u32::MAX),
                progress_deadline: update.progress_deadline().0,
                require_progress_by: None,
                reached: None,
            },
        );
    }

    fn finish(mut self) -> Reconciled<'a> {
        if self.new_groups.is_empty() || self.current.is_some() {
            return self.result;
        }
        let Some(job_uid) = self.job.uid else {
            return self.result;
        };
        let deployment = Deployment {
            id: DeploymentId::from_random(draw_id(self.rng)),
            namespace: self.job.key.namespace.clone(),
            job_id: self.job.key.id.clone(),
            job_uid,
            job_version: self.job.version,
            job_modify_index: self.job.modify_index,
            status: DeploymentStatus::Running,
            status_description: DEPLOYMENT_RUNNING.to_owned(),
            task_groups: self.new_groups,
            eval_priority: self.eval.priority,
            eval_id: None,
            create_time: self.now,
            modify_time: self.now,
        };
        let groups = deployment.task_groups.keys().cloned().collect();
        self.result.deployment = Some((deployment.id, groups));
        self.result.created = Some(deployment);
        self.result
    }
}

/// The most new allocs of a group that are written out: one more than a plan holds, so that it shows that there are
/// more. What a count asks for beyond that stays a number, so that no count costs memory.
const FRESH_AT_ONCE: u64 = MAX_PLACEMENTS as u64 + 1;

/// The allocs that a group lacks: successors of failed and lost ones, then new ones; and how many new ones more.
fn missing<'a>(
    group: usize,
    count: u64,
    live: &[Known<'a>],
    migrate: &[Known<'a>],
    failed: &[Known<'a>],
    lost: &[Known<'a>],
    indexes: &mut Indexes,
) -> (Vec<Placement<'a>>, u64) {
    let successor = |known: &Known<'a>, reschedule: bool| Placement {
        group,
        index: known.alloc.index,
        previous: Some(*known),
        reschedule,
        stop_previous: reschedule.then_some(StopReason::Rescheduled),
        node: None,
    };
    let mut wanted = failed
        .iter()
        .map(|known| successor(known, true))
        .collect::<Vec<_>>();
    let mut existing = (live.len() + migrate.len() + failed.len()) as u64;
    for known in lost {
        if existing >= count {
            break;
        }
        existing += 1;
        wanted.push(successor(known, false));
    }
    let lacks = count.saturating_sub(existing);
    let fresh = indexes.next(lacks.min(FRESH_AT_ONCE));
    wanted.extend(fresh.into_iter().map(|index| Placement {
        group,
        index,
        previous: None,
        reschedule: false,
        stop_previous: None,
        node: None,
    }));
    (wanted, lacks.saturating_sub(FRESH_AT_ONCE))
}
