//! From what is missing to a plan: a place for each alloc, or the reason why there is none.
//!
//! A plan holds a bounded number of changes; what is left over takes another turn. An alloc that runs is stopped for
//! its successor only when there is a place for that. What finds no place waits in one blocked evaluation per job.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt};
use rove_model::{
    alloc::{Alloc, AllocResources, ClientStatus, DesiredStatus, PlacedAlloc, TaskResources},
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, DeploymentId, EvalId, GroupName, UnixNanos},
    job::{Job, TaskGroup},
    plan::{InPlaceUpdate, MAX_PLACEMENTS, Plan, PlannedStop, StopReason},
    resources::Dimension,
};

use super::{
    Conclusion, JobView, Outcome, Snapshot,
    causes::causes,
    cluster::SlotId,
    draft::Draft,
    draw_id, evals, every_node,
    feasibility::{CLASS_INELIGIBLE, ClassVerdict, Requirements},
    rank::{Chosen, GroupSearch, Wish},
    reconcile::{self, Known, Placement, Reconciled, reconcile},
    reschedule,
    updates::Updates,
};

/// The most stops and in-place updates a plan holds, so that it stays below the size of a stored value.
pub(super) const MAX_CHANGES: usize = 4_000;

/// The most evaluations of delayed replacements that a plan makes, for the same reason.
const MAX_DELAYED_EVALS: usize = 500;

/// What each group asks of nodes, and the verdict on the classes.
struct Asks<'j> {
    requirements: Vec<Requirements<'j>>,
    verdicts: Vec<Vec<ClassVerdict>>,
}

pub(super) fn run(
    view: &Snapshot<'_>,
    job: &JobView<'_>,
    eval: &Eval,
    now: UnixNanos,
    rng: &mut dyn Rng,
) -> Outcome {
    let wanted = job.job.filter(|_| !job.stopped);
    let groups = wanted.map_or(&[][..], |spec| &spec.task_groups);
    let mut asks = Asks {
        requirements: groups
            .iter()
            .filter_map(|group| Some(Requirements::of(wanted?, group)))
            .collect(),
        verdicts: Vec::new(),
    };
    asks.verdicts = asks
        .requirements
        .iter()
        .map(|requirements| requirements.judge_all(view.cluster))
        .collect();

    let mut updates = Updates::new(view, job, &asks.requirements);
    let work = match wanted.filter(|spec| every_node::is_for_every_node(spec)) {
        Some(spec) => every_node::reconcile(
            view,
            job,
            spec,
            &asks.requirements,
            &asks.verdicts,
            &mut updates,
        ),
        None => reconcile(
            view.state,
            job,
            eval,
            now,
            rng,
            &mut |place, group, known| updates.judge(place, group, known),
        ),
    };
    let ruled_out = std::mem::take(&mut updates.ruled_out);
    // As the reference says it of a class that an update in place found out about.
    for (group, class) in ruled_out {
        if let Some(ClassVerdict::RuledOut(reason)) = asks.verdicts[group].get_mut(class as usize) {
            CLASS_INELIGIBLE.clone_into(reason);
        }
    }

    let mut placer = Placer {
        view,
        job,
        eval,
        now,
        plan: empty_plan(view, job, eval),
        failed: BTreeMap::new(),
        queued: groups
            .iter()
            .map(|group| (GroupName::from(group.name.as_str()), 0))
            .collect(),
        left_over: false,
    };
    let mut draft = Draft::new(view.cluster, rng.random());
    placer.changes(&work, &mut draft);
    if let Some(spec) = wanted {
        placer.place_all(spec, &asks, &work, &mut draft, rng);
    }
    placer.finish(work, &asks, groups, rng)
}

fn empty_plan(view: &Snapshot<'_>, job: &JobView<'_>, eval: &Eval) -> Plan {
    Plan {
        eval: eval.clone(),
        namespace: job.key.namespace.clone(),
        job_id: job.key.id.clone(),
        job_uid: job.uid.unwrap_or(eval.job_uid),
        snapshot: view.state.revision(),
        placements: Vec::new(),
        stops: Vec::new(),
        in_place: Vec::new(),
        deployment: None,
        deployment_ends: Vec::new(),
        follow_ups: Vec::new(),
        cancels: Vec::new(),
    }
}

struct Placer<'v> {
    view: &'v Snapshot<'v>,
    job: &'v JobView<'v>,
    eval: &'v Eval,
    now: UnixNanos,
    plan: Plan,
    failed: BTreeMap<GroupName, AllocMetric>,
    queued: BTreeMap<GroupName, u64>,
    /// There was more to do than a plan holds.
    left_over: bool,
}

impl Placer<'_> {
    fn slot(&self, alloc: &Alloc) -> Option<SlotId> {
        self.view.cluster.slot(alloc.node_id)
    }

    /// Stops, updates in place and notes on allocs that wait, as many as the plan holds.
    fn changes(&mut self, work: &Reconciled<'_>, draft: &mut Draft<'_>) {
        let groups = self.job.job.map_or(&[][..], |spec| &spec.task_groups);
        let place_of = |alloc: &Alloc| {
            groups
                .iter()
                .position(|group| group.name == alloc.task_group.as_str())
                .unwrap_or(usize::MAX)
        };
        if !work.place.is_empty() {
            for alloc in self.view.state.allocs_of_job(self.job.key) {
                let live = self.view.state.is_live(alloc);
                if let (true, Some(slot)) = (live, self.slot(alloc)) {
                    draft.count(slot, place_of(alloc));
                }
            }
        }
        for stop in work.stops.iter().take(MAX_CHANGES) {
            let alloc = stop.known.alloc;
            if let (false, Some(slot)) = (stop.known.is_terminal(), self.slot(alloc)) {
                let ports = alloc.resources.all_ports().map(|port| port.value);
                draft.free(slot, place_of(alloc), alloc.resources.room(), ports);
            }
            self.plan.stops.push(PlannedStop {
                alloc_id: alloc.id,
                node_id: alloc.node_id,
                desired_status: stop.desired,
                reason: Some(stop.why),
                follow_up_eval: None,
            });
        }
        let delayed = self.delayed(work);
        for (known, eval) in delayed {
            self.plan.stops.push(PlannedStop {
                alloc_id: known.alloc.id,
                node_id: known.alloc.node_id,
                desired_status: DesiredStatus::Run,
                reason: None,
                follow_up_eval: Some(*eval),
            });
        }
        let room = MAX_CHANGES.saturating_sub(self.plan.stops.len());
        for known in work.in_place.iter().take(room) {
            self.plan.in_place.push(InPlaceUpdate {
                alloc_id: known.alloc.id,
                node_id: known.alloc.node_id,
                job_version: self.job.version,
                deployment_id: deployment_of(work, &known.alloc.task_group),
            });
        }
        self.left_over = work.stops.len() > MAX_CHANGES
            || delayed.len() < work.delayed.len()
            || work.in_place.len() > room;
    }

    /// As many of the failed allocs that have to wait as the plan holds, the earliest first, with the evaluations that
    /// they wait for.
    fn delayed<'w, 'a>(&mut self, work: &'w Reconciled<'a>) -> &'w [(Known<'a>, EvalId)] {
        let evals = &work.follow_ups[..work.follow_ups.len().min(MAX_DELAYED_EVALS)];
        let room = MAX_CHANGES.saturating_sub(self.plan.stops.len());
        let known: BTreeSet<EvalId> = evals.iter().map(|eval| eval.id).collect();
        let fitting = work
            .delayed
            .iter()
            .take(room)
            .take_while(|(_, eval)| known.contains(eval))
            .count();
        let delayed = &work.delayed[..fitting];
        let awaited: BTreeSet<EvalId> = delayed.iter().map(|(_, eval)| *eval).collect();
        self.plan.follow_ups = evals
            .iter()
            .filter(|eval| awaited.contains(&eval.id))
            .cloned()
            .collect();
        delayed
    }

    fn place_all(
        &mut self,
        spec: &Job,
        asks: &Asks<'_>,
        work: &Reconciled<'_>,
        draft: &mut Draft<'_>,
        rng: &mut dyn Rng,
    ) {
        for (place, group) in spec.task_groups.iter().enumerate() {
            // What replaces a running alloc first: it finds its room there at the latest.
            let (mut wanted, rest): (Vec<&Placement<'_>>, Vec<_>) = work
                .place
                .iter()
                .filter(|placement| placement.group == place)
                .partition(|placement| placement.stop_previous == Some(StopReason::Updating));
            wanted.extend(rest);
            if wanted.is_empty() {
                continue;
            }
            let name = GroupName::from(group.name.as_str());
            let all = wanted.len() as u64 + work.more.get(&place).copied().unwrap_or_default();
            self.queued.insert(name.clone(), all);
            // One that must go to a node of its own takes none of the room when it finds none there.
            if wanted.iter().all(|placement| placement.node.is_none()) {
                wanted.truncate(MAX_PLACEMENTS.saturating_sub(self.plan.placements.len()));
            }
            let cut = all - wanted.len() as u64;
            let deployment = deployment_of(work, &name);
            self.place_group(spec, group, place, &wanted, asks, draft, deployment, rng);
            if cut == 0 {
                continue;
            }
            match self.failed.get_mut(&name) {
                // Where one finds no place, another turn finds none for the rest.
                Some(failure) => {
                    failure.coalesced_failures += cut;
                    note_exhausted(failure, group, cut);
                }
                None => self.left_over = true,
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `place_all`, cut out for its length"
    )]
    fn place_group(
        &mut self,
        spec: &Job,
        group: &TaskGroup,
        place: usize,
        wanted: &[&Placement<'_>],
        asks: &Asks<'_>,
        draft: &mut Draft<'_>,
        deployment: Option<DeploymentId>,
        rng: &mut dyn Rng,
    ) {
        if wanted.is_empty() {
            return;
        }
        let name = GroupName::from(group.name.as_str());
        let wishes = wanted
            .iter()
            .map(|placement| wish(group, placement))
            .collect::<Vec<_>>();
        let penalties = wishes
            .iter()
            .map(|wish| wish.penalties.len())
            .max()
            .unwrap_or(0);
        let verdicts = &asks.verdicts[place];
        let mut search = GroupSearch::new(
            draft,
            &asks.requirements[place],
            verdicts,
            (place, group.count()),
            scope(self.view, verdicts),
            (wanted.len(), penalties),
        );
        for (placement, wish) in wanted.iter().zip(&wishes) {
            if self.plan.placements.len() >= MAX_PLACEMENTS {
                self.left_over = true;
                break;
            }
            if placement.node.is_none()
                && let Some(failure) = self.failed.get_mut(&name)
            {
                failure.coalesced_failures += 1;
                note_exhausted(failure, group, 1);
                continue;
            }
            let freed = placement
                .previous
                .filter(|previous| placement.stop_previous.is_some() && !previous.is_terminal())
                .and_then(|previous| Some((self.slot(previous.alloc)?, previous.alloc)));
            let numbers = |alloc: &Alloc| {
                alloc
                    .resources
                    .all_ports()
                    .map(|port| port.value)
                    .collect::<Vec<_>>()
                    .into_iter()
            };
            if let Some((slot, alloc)) = freed {
                search.free(draft, slot, alloc.resources.room(), numbers(alloc));
            }
            let found = match placement.node {
                Some(node) => search.place_on(draft, node, rng),
                None => search.place(draft, wish, rng),
            };
            match found {
                Ok(chosen) => {
                    if let (Some(why), Some(previous)) =
                        (placement.stop_previous, placement.previous)
                    {
                        self.plan.stops.push(PlannedStop {
                            alloc_id: previous.alloc.id,
                            node_id: previous.alloc.node_id,
                            desired_status: DesiredStatus::Stop,
                            reason: Some(why),
                            follow_up_eval: None,
                        });
                    }
                    let alloc = self.new_alloc(spec, group, placement, chosen, deployment, rng);
                    self.plan.placements.push(alloc);
                    if let Some(queued) = self.queued.get_mut(&name) {
                        *queued -= 1;
                    }
                }
                Err(mut failure) => {
                    if let Some((slot, alloc)) = freed {
                        search.unfree(draft, slot, alloc.resources.room(), numbers(alloc));
                    }
                    if placement.node.is_some() {
                        self.not_on_its_node(&name, group, *failure);
                        continue;
                    }
                    note_exhausted(&mut failure, group, 1);
                    failure.causes = causes(self.view.state, &asks.requirements[place]);
                    self.failed.insert(name.clone(), *failure);
                }
            }
        }
    }

    /// An alloc that must go to a node finds no place there. One that the node will not do for is not missed; else it
    /// waits for room.
    fn not_on_its_node(&mut self, name: &GroupName, group: &TaskGroup, failure: AllocMetric) {
        if failure.nodes_filtered > 0 {
            if let Some(queued) = self.queued.get_mut(name) {
                *queued -= 1;
            }
            return;
        }
        let known = self.failed.entry(name.clone());
        let metric = known
            .and_modify(|known| {
                known.coalesced_failures += 1;
                known.nodes_evaluated += failure.nodes_evaluated;
                known.nodes_exhausted += failure.nodes_exhausted;
                for (reason, nodes) in &failure.dimension_exhausted {
                    *known.dimension_exhausted.entry(reason.clone()).or_default() += nodes;
                }
            })
            .or_insert(failure);
        note_exhausted(metric, group, 1);
    }

    fn new_alloc(
        &self,
        spec: &Job,
        group: &TaskGroup,
        placement: &Placement<'_>,
        chosen: Chosen,
        deployment: Option<DeploymentId>,
        rng: &mut dyn Rng,
    ) -> PlacedAlloc {
        let mut ports = chosen.ports;
        let tasks = group
            .tasks
            .iter()
            .map(|task| {
                let resources = TaskResources {
                    cpu: task.cpu(),
                    memory_mb: task.memory_mb(),
                    memory_max_mb: task.memory_max_mb(),
                    ports: ports.tasks.remove(&task.name).unwrap_or_default(),
                };
                (task.name.clone(), resources)
            })
            .collect();
        let node_name = self
            .view
            .cluster
            .slot(chosen.node)
            .and_then(|slot| self.view.cluster.node(slot))
            .map(|node| node.name.clone())
            .unwrap_or_default();
        let reschedule_events = match placement.previous {
            Some(previous) if placement.reschedule => {
                let failed_at = previous.status.map_or(self.now, |status| {
                    reschedule::failed_at(previous.alloc, status, self.now)
                });
                let policy = group.reschedule_policy.as_ref();
                reschedule::remembered(previous.alloc, failed_at, policy, self.now)
            }
            _ => Vec::new(),
        };
        Alloc {
            id: AllocId::from_random(draw_id(rng)),
            eval_id: self.eval.id,
            node_id: chosen.node,
            node_name,
            namespace: self.job.key.namespace.clone(),
            job_id: self.job.key.id.clone(),
            job_uid: self.plan.job_uid,
            job_version: spec.version.max(self.job.version),
            task_group: GroupName::from(group.name.as_str()),
            index: placement.index,
            resources: AllocResources {
                tasks,
                disk_mb: group.disk_mb(),
                ports: ports.group,
            },
            desired_status: DesiredStatus::Run,
            desired_description: String::new(),
            no_shutdown_delay: false,
            deployment_id: deployment,
            canary: false,
            previous_allocation: placement.previous.map(|previous| previous.alloc.id),
            follow_up_eval: None,
            reschedule_events,
            metrics: chosen.metric,
            create_time: self.now,
            modify_time: self.now,
        }
    }

    /// The plan, or the evaluation alone when there is nothing to do.
    fn finish(
        mut self,
        work: Reconciled<'_>,
        asks: &Asks<'_>,
        groups: &[TaskGroup],
        rng: &mut dyn Rng,
    ) -> Outcome {
        let deployment = work.deployment.as_ref().map(|(id, _)| *id);
        self.plan.deployment = work.created.map(|mut deployment| {
            for (name, group) in &mut deployment.task_groups {
                let begins = self
                    .plan
                    .placements
                    .iter()
                    .map(|alloc| &alloc.task_group)
                    .chain(work.in_place.iter().map(|known| &known.alloc.task_group))
                    .any(|placed| placed == name);
                if begins && group.progress_deadline > 0 {
                    group.require_progress_by =
                        Some(self.now.saturating_add(group.progress_deadline));
                }
            }
            deployment
        });
        self.plan.deployment_ends = work.ends;
        let revision = self.view.state.revision();
        for eval in &mut self.plan.follow_ups {
            eval.snapshot = revision;
        }
        self.plan.cancels = self
            .view
            .state
            .evals_of_job(self.job.key)
            .filter(|other| other.id != self.eval.id)
            .filter(|other| match other.status {
                EvalStatus::Blocked => true,
                // One chain of evaluations at a time replaces what is old.
                EvalStatus::Pending => {
                    work.rolls_on.is_some() && other.triggered_by == TriggeredBy::RollingUpdate
                }
                EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled => false,
            })
            .map(|other| other.id)
            .collect();

        let mut eval = self.eval.clone();
        eval.snapshot = revision;
        eval.modify_time = self.now;
        // Also of an evaluation that only stops: whoever follows it sees what the roll-out came to.
        eval.deployment_id = deployment
            .or_else(|| {
                reconcile::latest_deployment(self.view.state, self.job).map(|latest| latest.id)
            })
            .or(eval.deployment_id);
        eval.wait_until = None;
        eval.queued_allocations = self.queued;
        let waits = !self.failed.is_empty();
        eval.failed_groups = self.failed;
        for (name, metric) in work.unplaceable {
            eval.failed_groups.entry(name).or_insert(metric);
        }
        eval.blocked_eval = None;
        eval.class_eligibility = BTreeMap::new();
        (eval.status, eval.status_description) = (EvalStatus::Complete, String::new());
        if self.left_over {
            let id = EvalId::from_random(draw_id(rng));
            eval.next_eval = Some(id);
            let mut next = evals::follow_up(
                &eval,
                id,
                eval.triggered_by,
                EvalStatus::Pending,
                evals::NEXT_TURN,
                self.now,
            );
            next.snapshot = 0;
            self.plan.follow_ups.push(next);
        } else if let Some(stagger) = work.rolls_on {
            let next = every_node::next_roll(&eval, stagger, self.now, rng);
            eval.next_eval = Some(next.id);
            self.plan.follow_ups.push(next);
        } else if waits {
            let classes = eligibility(self.view, asks, groups, &eval);
            if evals::was_blocked(&eval) {
                eval.status = EvalStatus::Blocked;
                evals::BLOCKED.clone_into(&mut eval.status_description);
                eval.class_eligibility = classes;
            } else {
                let id = EvalId::from_random(draw_id(rng));
                let mut blocked = evals::follow_up(
                    &eval,
                    id,
                    TriggeredBy::QueuedAllocs,
                    EvalStatus::Blocked,
                    evals::BLOCKED,
                    self.now,
                );
                blocked.failed_groups = eval.failed_groups.clone();
                blocked.queued_allocations = eval.queued_allocations.clone();
                blocked.class_eligibility = classes;
                eval.blocked_eval = Some(id);
                self.plan.follow_ups.push(blocked);
            }
        }
        let mut plan = self.plan;
        let nothing = plan.placements.is_empty()
            && plan.stops.is_empty()
            && plan.in_place.is_empty()
            && plan.deployment.is_none()
            && plan.deployment_ends.is_empty()
            && plan.follow_ups.is_empty()
            && plan.cancels.is_empty();
        let conclusion = if nothing {
            Conclusion::Eval(Box::new(eval))
        } else {
            plan.eval = eval;
            Conclusion::Plan(Box::new(plan))
        };
        Outcome {
            conclusion,
            desired: work.desired,
        }
    }
}

fn deployment_of(work: &Reconciled<'_>, group: &GroupName) -> Option<DeploymentId> {
    work.deployment
        .as_ref()
        .filter(|(_, groups)| groups.contains(group))
        .map(|(id, _)| *id)
}

/// Where an alloc should rather not go, or go.
fn wish(group: &TaskGroup, placement: &Placement<'_>) -> Wish {
    let Some(previous) = placement.previous else {
        return Wish::default();
    };
    let mut penalties = previous
        .alloc
        .reschedule_events
        .iter()
        .map(|event| event.previous_node)
        .collect::<Vec<_>>();
    if previous.client == ClientStatus::Failed {
        penalties.push(previous.alloc.node_id);
    }
    penalties.sort_unstable();
    penalties.dedup();
    let sticky = group
        .ephemeral_disk
        .as_ref()
        .is_some_and(|disk| disk.sticky == Some(true));
    Wish {
        penalties,
        preferred: sticky.then_some(previous.alloc.node_id),
    }
}

/// The nodes that are looked at, counted.
fn scope(view: &Snapshot<'_>, verdicts: &[ClassVerdict]) -> AllocMetric {
    let mut metric = AllocMetric::default();
    for (class, verdict) in view.cluster.classes.iter().zip(verdicts) {
        if *verdict == ClassVerdict::OutOfScope {
            continue;
        }
        let Some(node) = class
            .members
            .first()
            .and_then(|slot| view.cluster.node(*slot))
        else {
            continue;
        };
        let nodes = class.members.len() as u64;
        metric.nodes_evaluated += nodes;
        metric.nodes_in_pool += nodes;
        *metric
            .nodes_available
            .entry(node.datacenter.clone())
            .or_default() += nodes;
    }
    metric
}

/// Adds what the tasks of `allocs` allocs of the group asked for in the dimensions that were exhausted.
fn note_exhausted(metric: &mut AllocMetric, group: &TaskGroup, allocs: u64) {
    let lacked = |dimension: Dimension| metric.dimension_exhausted.contains_key(dimension.name());
    let (cpu, memory) = (lacked(Dimension::Cpu), lacked(Dimension::Memory));
    if metric.dimension_exhausted.is_empty() {
        return;
    }
    for task in &group.tasks {
        let exhausted = metric
            .resources_exhausted
            .entry(task.name.clone())
            .or_default();
        if cpu {
            let asked = task.cpu().saturating_mul(allocs);
            exhausted.cpu = exhausted.cpu.saturating_add(asked);
        }
        if memory {
            let asked = task.memory_mb().saturating_mul(allocs);
            exhausted.memory_mb = exhausted.memory_mb.saturating_add(asked);
        }
    }
}

/// Which of the classes that were looked at could hold one of the groups that found no place.
fn eligibility(
    view: &Snapshot<'_>,
    asks: &Asks<'_>,
    groups: &[TaskGroup],
    eval: &Eval,
) -> BTreeMap<String, bool> {
    let mut classes = BTreeMap::new();
    for (group, verdicts) in groups.iter().zip(&asks.verdicts) {
        let name = GroupName::from(group.name.as_str());
        if !eval.failed_groups.contains_key(&name) {
            continue;
        }
        for (class, verdict) in view.cluster.classes.iter().zip(verdicts) {
            let eligible = match verdict {
                ClassVerdict::OutOfScope => continue,
                ClassVerdict::RuledOut(_) => false,
                ClassVerdict::Feasible => true,
            };
            *classes.entry(class.name.clone()).or_default() |= eligible;
        }
    }
    classes
}
