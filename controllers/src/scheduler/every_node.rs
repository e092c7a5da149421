//! What is to be done with each alloc of a system or sysbatch job, and which nodes lack one: each node that will do
//! has one of each group.
//!
//! Behaves as Nomad 1.6.5: a node that takes no new allocs keeps what it has; what ended on its own node has its
//! successor there, but for a sysbatch job, which runs once on each node in each version; an update that names
//! `max_parallel` and `stagger` goes so many nodes at a time, with an evaluation for the next ones.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::{Alloc, ClientStatus, DesiredStatus},
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, GroupName, NodeId},
    job::{Job, JobType, TaskGroup},
    node::Node,
    plan::{DesiredUpdates, StopReason},
};

use super::{
    JobView, Snapshot,
    cluster::SlotId,
    draw_id, evals,
    feasibility::{ClassVerdict, Requirements},
    reconcile::{Known, Placement, Reconciled, Stop, Update, declare_lost, known_allocs, stop_all},
    updates::Updates,
};

/// Whether allocs of the job go to every node that will do. Those of a template don't go anywhere.
#[must_use]
pub fn is_for_every_node(job: &Job) -> bool {
    match job.job_type() {
        JobType::System | JobType::Sysbatch => !job.is_periodic() && !job.is_parameterized(),
        JobType::Service | JobType::Batch => false,
    }
}

/// Whether the job may use the node, by its datacenter and pool.
#[must_use]
pub fn may_use(job: &Job, node: &Node) -> bool {
    job.task_groups
        .first()
        .is_some_and(|group| Requirements::of(job, group).is_in_scope(node))
}

/// Whether an alloc of a sysbatch job has run as its node is to run `version` once. One that was lost or stopped has not.
#[must_use]
pub fn had_its_turn(alloc: &Alloc, client: ClientStatus, version: u64) -> bool {
    alloc.job_version == version
        && alloc.desired_status == DesiredStatus::Run
        && matches!(client, ClientStatus::Complete | ClientStatus::Failed)
}

/// Says what is to be done. `spec` is the job's specification, which is not stopped; `requirements` and `verdicts` are
/// those of its groups.
pub(super) fn reconcile<'a>(
    view: &Snapshot<'a>,
    job: &JobView<'a>,
    spec: &'a Job,
    requirements: &[Requirements<'_>],
    verdicts: &[Vec<ClassVerdict>],
    updates: &mut Updates<'_>,
) -> Reconciled<'a> {
    let mut result = Reconciled::default();
    let known = known_allocs(view.state, job);
    declare_lost(&known, &mut result);
    let mut by_group: BTreeMap<&str, BTreeMap<NodeId, Vec<Known<'a>>>> = BTreeMap::new();
    for alloc in known {
        if Some(alloc.alloc.job_uid) == job.uid {
            let group = by_group.entry(alloc.alloc.task_group.as_str()).or_default();
            group.entry(alloc.alloc.node_id).or_default().push(alloc);
        } else {
            stop_all(&[alloc], &mut result);
        }
    }
    let rolling = spec.update.as_ref().filter(|update| {
        update.is_rolling() && update.stagger.is_some_and(|stagger| stagger.0 > 0)
    });
    let mut reconciler = Reconciler {
        view,
        job,
        once: spec.job_type() == JobType::Sysbatch,
        replaced_left: rolling.map_or(u64::MAX, |update| update.max_parallel()),
        updates,
        result,
    };
    for (place, group) in spec.task_groups.iter().enumerate() {
        let of_group = by_group.remove(group.name.as_str()).unwrap_or_default();
        let asks = (&requirements[place], &verdicts[place][..]);
        reconciler.group(place, group, asks, of_group);
    }
    let mut result = reconciler.result;
    // Groups that the job no longer has.
    for allocs in by_group.values().flat_map(BTreeMap::values) {
        stop_all(allocs, &mut result);
    }
    if let Some(update) = rolling.filter(|_| result.rolls_on.is_some()) {
        result.rolls_on = update.stagger.map(|stagger| stagger.0);
    }
    result
}

struct Reconciler<'a, 'r, 'u> {
    view: &'r Snapshot<'a>,
    job: &'r JobView<'a>,
    /// Each node runs each version once.
    once: bool,
    /// How many more allocs may be replaced by their update now.
    replaced_left: u64,
    updates: &'r mut Updates<'u>,
    result: Reconciled<'a>,
}

impl<'a> Reconciler<'a, '_, '_> {
    fn group(
        &mut self,
        place: usize,
        group: &'a TaskGroup,
        (requirements, verdicts): (&Requirements<'_>, &[ClassVerdict]),
        mut of_group: BTreeMap<NodeId, Vec<Known<'a>>>,
    ) {
        let name = GroupName::from(group.name.as_str());
        let mut desired = self.result.desired.remove(&name).unwrap_or_default();
        let wanted = group.count() > 0;
        let cluster = self.view.cluster;
        let mut unfit = Unfit::default();
        for (class, verdict) in cluster.classes.iter().zip(verdicts) {
            if *verdict == ClassVerdict::OutOfScope {
                continue;
            }
            for &slot in &class.members {
                let Some(node) = cluster.node(slot) else {
                    continue;
                };
                let refusal = match verdict {
                    ClassVerdict::RuledOut(reason) => Some(reason.as_str()),
                    ClassVerdict::Feasible => requirements.ruled_out_alone(node),
                    ClassVerdict::OutOfScope => None,
                };
                unfit.look_at(node, refusal);
                let there = of_group.remove(&node.id).unwrap_or_default();
                let fits = wanted && refusal.is_none();
                self.on_node(place, group, node.id, fits, &there, &mut desired);
            }
        }
        // Nodes that take nothing new or that the job may not use.
        for (node, there) in of_group {
            let slot = cluster.slot(node);
            let out_of_scope = slot
                .and_then(|slot| cluster.node(slot))
                .is_some_and(|node| !requirements.is_in_scope(node));
            self.elsewhere(&there, wanted && !out_of_scope, slot, &mut desired);
        }
        let none = desired.place + desired.ignore + desired.migrate == 0
            && desired.in_place_update + desired.destructive_update == 0;
        if wanted && none {
            self.result.unplaceable.insert(name.clone(), unfit.metric);
        }
        self.result.desired.insert(name, desired);
    }

    /// A node that takes allocs, with those of the group that it has. It `fits` when one is wanted there.
    fn on_node(
        &mut self,
        place: usize,
        group: &TaskGroup,
        node: NodeId,
        fits: bool,
        there: &[Known<'a>],
        desired: &mut DesiredUpdates,
    ) {
        let (over, mut live): (Vec<_>, Vec<_>) =
            there.iter().copied().partition(|known| known.is_terminal());
        live.sort_by_key(|known| (known.alloc.job_version, known.alloc.create_time));
        let keeps = live.pop();
        for known in live {
            self.stop(known, StopReason::NotNeeded, desired);
        }
        let on_this = |previous: Option<Known<'a>>, stop_previous: Option<StopReason>| Placement {
            group: place,
            index: 0,
            previous,
            reschedule: false,
            stop_previous,
            node: Some(node),
        };
        let Some(known) = keeps else {
            let done =
                |known: &Known<'a>| had_its_turn(known.alloc, known.client, self.job.version);
            if self.once && over.iter().any(done) {
                desired.ignore += 1;
            } else if fits {
                desired.place += 1;
                let last = over.iter().max_by_key(|known| known.alloc.create_time);
                self.result.place.push(on_this(last.copied(), None));
                // Its successor is here: nothing is wanted of what ended, so that it is collected in its time.
                let wanted = |known: &&Known<'a>| known.alloc.desired_status == DesiredStatus::Run;
                for known in over.iter().filter(wanted) {
                    self.result.stops.push(Stop {
                        known: *known,
                        desired: DesiredStatus::Stop,
                        why: StopReason::NotNeeded,
                    });
                }
            }
            return;
        };
        if known.asked_to_stop && fits {
            desired.migrate += 1;
            self.result.stops.push(Stop {
                known,
                desired: DesiredStatus::Stop,
                why: StopReason::Migrating,
            });
            self.result.place.push(on_this(Some(known), None));
            return;
        }
        if known.asked_to_stop || group.count() == 0 {
            self.stop(known, StopReason::NotNeeded, desired);
            return;
        }
        match self.updates.judge(place, group, &known) {
            Update::Ignore => desired.ignore += 1,
            Update::InPlace => {
                desired.in_place_update += 1;
                self.result.in_place.push(known);
            }
            Update::Destructive if self.replaced_left == 0 => {
                desired.ignore += 1;
                self.result.rolls_on = Some(0);
            }
            Update::Destructive => {
                self.replaced_left -= 1;
                if fits {
                    desired.destructive_update += 1;
                    let update = on_this(Some(known), Some(StopReason::Updating));
                    self.result.place.push(update);
                } else {
                    self.stop(known, StopReason::NotNeeded, desired);
                }
            }
        }
    }

    /// A node that takes nothing new: what is there stays, unless the job may not use it any more or it is down.
    fn elsewhere(
        &mut self,
        there: &[Known<'a>],
        may_stay: bool,
        slot: Option<SlotId>,
        desired: &mut DesiredUpdates,
    ) {
        for known in there.iter().filter(|known| !known.is_terminal()) {
            if known.node_gone || slot.is_none() {
                self.result.stops.push(Stop {
                    known: *known,
                    desired: DesiredStatus::Lost,
                    why: StopReason::Lost,
                });
                desired.stop += 1;
            } else if may_stay && !known.asked_to_stop {
                desired.ignore += 1;
            } else {
                self.stop(*known, StopReason::NotNeeded, desired);
            }
        }
    }

    fn stop(&mut self, known: Known<'a>, why: StopReason, desired: &mut DesiredUpdates) {
        desired.stop += 1;
        self.result.stops.push(Stop {
            known,
            desired: DesiredStatus::Stop,
            why,
        });
    }
}

/// The nodes in scope, and why those that will not do won't.
#[derive(Default)]
struct Unfit {
    metric: AllocMetric,
}

impl Unfit {
    fn look_at(&mut self, node: &Node, refusal: Option<&str>) {
        let metric = &mut self.metric;
        metric.nodes_evaluated += 1;
        metric.nodes_in_pool += 1;
        let count = |counts: &mut BTreeMap<String, u64>, name: &str| {
            *counts.entry(name.to_owned()).or_default() += 1;
        };
        count(&mut metric.nodes_available, &node.datacenter);
        if let Some(reason) = refusal {
            metric.nodes_filtered += 1;
            count(&mut metric.constraint_filtered, reason);
            if !node.node_class.is_empty() {
                count(&mut metric.class_filtered, &node.node_class);
            }
        }
    }
}

/// The evaluation that replaces the next allocs of a rolling update, after `stagger` nanoseconds.
pub(super) fn next_roll(eval: &Eval, stagger: i64, now: i64, rng: &mut dyn rand::Rng) -> Eval {
    let id = EvalId::from_random(draw_id(rng));
    let mut next = evals::follow_up(
        eval,
        id,
        TriggeredBy::RollingUpdate,
        EvalStatus::Pending,
        "",
        now,
    );
    next.wait_until = Some(now.saturating_add(stagger));
    next.snapshot = 0;
    next
}

/// The names of the groups that every node is to have an alloc of.
#[must_use]
pub fn groups(job: &Job) -> BTreeSet<GroupName> {
    job.task_groups
        .iter()
        .filter(|group| group.count() > 0)
        .map(|group| GroupName::from(group.name.as_str()))
        .collect()
}
