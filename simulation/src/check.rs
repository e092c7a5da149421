//! The invariants: what holds at every revision, and what holds once everything has settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{FutureExt, StreamExt};
use rove_controllers::scheduler::is_for_every_node;
use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    deployment::DeploymentStatus,
    eval::{Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, JobKey, JobUid, NodeId},
    node::NodeState,
    resources::Room,
};
use rove_store::{
    keys::{Key, Keys},
    memory::MemoryStore,
    state::{State, Stored},
    store::{Event, Store, WatchEvent, WatchRequest, WatchStream},
};

use crate::{
    node::Machine,
    workload::{GROUP, JobModel, Kind, Wanted},
};

/// Follows the store revision by revision.
pub(crate) struct Checker {
    pub(crate) state: State,
    watch: WatchStream,
    /// Allocs of each registration that ever were.
    placed: BTreeMap<(JobKey, JobUid), BTreeSet<AllocId>>,
    /// Versions whose roll-out failed: nothing more of them is placed.
    failed_rollouts: BTreeSet<(JobKey, JobUid, u64)>,
    pub(crate) allocs: u64,
    /// A hash over all events.
    pub(crate) trace: u64,
    pub(crate) problems: Vec<String>,
}

impl Checker {
    pub(crate) async fn new(store: &Arc<MemoryStore>) -> Result<Self, String> {
        let keys = Keys::default();
        let request = WatchRequest {
            keys: keys.all(),
            start: Some(1),
        };
        let watch = store
            .watch(request)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self {
            state: State::new(keys),
            watch,
            placed: BTreeMap::new(),
            failed_rollouts: BTreeSet::new(),
            allocs: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            problems: Vec::new(),
        })
    }

    /// Takes in all there is.
    pub(crate) fn drain(&mut self) {
        while let Some(item) = self.watch.next().now_or_never() {
            match item {
                Some(Ok(WatchEvent::Batch { events, .. })) => {
                    for revision in events.chunk_by(|a, b| a.revision() == b.revision()) {
                        self.take_in(revision);
                    }
                }
                Some(Ok(WatchEvent::Progress { .. })) => {}
                Some(Err(error)) => {
                    self.problems
                        .push(format!("the checker lost track: {error}"));
                    return;
                }
                None => return,
            }
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn take_in(&mut self, events: &[Event]) {
        let Some(revision) = events.first().map(Event::revision) else {
            return;
        };
        let before = self.state.clone();
        let touched = self.state.apply(events, revision);
        for event in events {
            self.hash(event.key());
            if let Event::Put(kv) = event {
                self.hash(&kv.value);
            }
        }
        let (mut jobs, mut nodes) = (BTreeSet::new(), BTreeSet::new());
        for key in touched {
            match key {
                Key::Alloc(node, id) => match self.state.alloc(id) {
                    Some(alloc) => {
                        jobs.insert((alloc.job(), alloc.task_group.clone(), alloc.index));
                        nodes.insert(node);
                        let known = self.placed.entry((alloc.job(), alloc.job_uid)).or_default();
                        if known.insert(id) {
                            self.allocs += 1;
                        }
                    }
                    None => {
                        if let Some(gone) = before.alloc(id)
                            && before.is_live(gone)
                        {
                            self.problems.push(format!(
                                "revision {revision}: {} was removed while it ran ({id})",
                                gone.name()
                            ));
                        }
                    }
                },
                Key::AllocStatus(node, id) => {
                    if let Some(alloc) = self.state.alloc(id) {
                        jobs.insert((alloc.job(), alloc.task_group.clone(), alloc.index));
                        nodes.insert(node);
                    }
                }
                Key::Deployment(id) => {
                    if let Some(deployment) = self
                        .state
                        .deployment(id)
                        .filter(|deployment| deployment.status == DeploymentStatus::Failed)
                    {
                        self.failed_rollouts.insert((
                            deployment.job(),
                            deployment.job_uid,
                            deployment.job_version,
                        ));
                    }
                }
                _ => {}
            }
        }
        for (job, group, index) in jobs {
            let mut by_place: BTreeMap<Option<NodeId>, Vec<AllocId>> = BTreeMap::new();
            for alloc in self
                .state
                .allocs_of_job(&job)
                .filter(|alloc| alloc.task_group == group && alloc.index == index)
                .filter(|alloc| self.state.is_live(alloc))
            {
                let version = self.state.job_version(&alloc.version_key());
                let of_node = version.is_some_and(|version| is_for_every_node(&version.job));
                let place = of_node.then_some(alloc.node_id);
                by_place.entry(place).or_default().push(alloc.id);
            }
            for twice in by_place.values().filter(|allocs| allocs.len() > 1) {
                self.problems.push(format!(
                    "revision {revision}: {job}.{group}[{index}] is wanted twice: {twice:?}"
                ));
            }
        }
        for node in nodes {
            if let Err(problem) = fits(&self.state, node) {
                self.problems
                    .push(format!("revision {revision}: {problem}"));
            }
        }
    }

    /// What is not yet, or not, as it should be in the end.
    pub(crate) fn unsettled(&self, jobs: &[JobModel], machines: &[Machine]) -> Vec<String> {
        let state = &self.state;
        let mut found = Vec::new();
        found.extend(
            state
                .plans()
                .map(|plan| format!("plan {} is left", plan.eval.id)),
        );
        for eval in state.evals() {
            let reason =
                !eval.failed_groups.is_empty() || eval.triggered_by == TriggeredBy::MaxPlanAttempts;
            match eval.status {
                EvalStatus::Pending => found.push(format!(
                    "eval {} of {} is pending ({:?})",
                    eval.id,
                    eval.job(),
                    eval.wait_until
                )),
                EvalStatus::Blocked if !reason => {
                    found.push(format!("eval {} is blocked without a reason", eval.id));
                }
                _ => {}
            }
        }
        for (job, registration) in state.registrations() {
            if state
                .evaluated(job)
                .is_none_or(|evaluated| evaluated.eval != registration.eval.id)
            {
                found.push(format!("{job} is not evaluated"));
            }
        }
        for job in jobs {
            self.job(job, &mut found);
        }
        self.deployments(&mut found);
        self.nodes(machines, &mut found);
        self.leftovers(&mut found);
        found
    }

    fn job(&self, model: &JobModel, found: &mut Vec<String>) {
        let (state, key) = (&self.state, &model.key);
        let running = state
            .allocs_of_job(key)
            .filter(|alloc| state.is_live(alloc))
            .count();
        let Some(registration) = state.registration(key) else {
            let over = match model.wanted {
                Wanted::Purged | Wanted::Stopped => true,
                // Collected when its work was done.
                Wanted::Running => matches!(model.kind, Kind::Batch | Kind::Sysbatch),
            };
            if !over {
                found.push(format!("{key} is gone"));
            }
            let open = |eval: &&Arc<Stored<Eval>>| !eval.status.is_terminal();
            let is_named = |id| {
                state
                    .evals_of_job(key)
                    .any(|eval| eval.deployment_id == Some(id))
            };
            let rest = state.evals_of_job(key).filter(open).count()
                + state.allocs_of_job(key).count()
                + state.job_versions(key).count()
                + state
                    .deployments_of_job(key)
                    .filter(|deployment| !is_named(deployment.id))
                    .count()
                + usize::from(state.evaluated(key).is_some())
                + usize::from(state.stable(key).is_some())
                + usize::from(state.collected(key).is_some());
            if rest > 0 {
                found.push(format!("{key} is gone and left {rest} keys behind"));
            }
            return;
        };
        match model.wanted {
            Wanted::Purged => found.push(format!("{key} is purged and still there")),
            Wanted::Stopped if running > 0 => {
                found.push(format!("{key} is stopped and {running} allocs run"));
            }
            Wanted::Stopped => {}
            Wanted::Running if model.kind.is_for_every_node() => {
                self.job_of_every_node(model, registration.uid, found);
            }
            Wanted::Running => self.running_job(model, registration.uid, found),
        }
        let collected: u64 = state.collected(key).map_or(0, |collected| {
            if collected.uid != Some(registration.uid) {
                return 0;
            }
            collected
                .groups
                .values()
                .map(|counts| counts.complete + counts.failed + counts.lost)
                .sum()
        });
        let present = state
            .allocs_of_job(key)
            .filter(|alloc| alloc.job_uid == registration.uid)
            .count() as u64;
        let ever = self
            .placed
            .get(&(key.clone(), registration.uid))
            .map_or(0, |placed| placed.len() as u64);
        if collected + present != ever {
            found.push(format!(
                "{key}: {ever} allocs were placed, {present} are there and {collected} counted"
            ));
        }
    }

    /// Each node that takes allocs has one, unless it waits for room; none has two.
    fn job_of_every_node(&self, model: &JobModel, uid: JobUid, found: &mut Vec<String>) {
        let (state, key) = (&self.state, &model.key);
        let version = state
            .registration(key)
            .map_or(0, |registration| registration.version);
        let blocked = state
            .evals_of_job(key)
            .any(|eval| eval.status == EvalStatus::Blocked);
        for node in state.nodes().filter(|node| state.takes_allocs(node.id)) {
            let mut live = 0;
            let mut had_its_turn = false;
            for alloc in state.allocs_of_node(node.id) {
                if alloc.job() != *key || alloc.job_uid != uid {
                    continue;
                }
                live += usize::from(state.is_live(alloc));
                // What failed on every node stays as it is until the job is looked at again.
                had_its_turn |= alloc.desired_status == DesiredStatus::Run
                    && alloc.job_version == version
                    && match state.client_status(alloc.id) {
                        ClientStatus::Complete => model.kind == Kind::Sysbatch,
                        ClientStatus::Failed => true,
                        ClientStatus::Pending | ClientStatus::Running | ClientStatus::Lost => false,
                    };
                if state.is_live(alloc) && alloc.job_version != version && !blocked {
                    found.push(format!("{} runs an older version", alloc.name()));
                }
            }
            let wanted = usize::from(model.count > 0);
            let lacks = live < wanted && !had_its_turn && !blocked;
            if lacks || live > wanted {
                found.push(format!(
                    "{key} ({:?}) runs {live} of {wanted} on {}",
                    model.kind,
                    node.id.short()
                ));
                self.tell(key, found);
            }
        }
    }

    fn running_job(&self, model: &JobModel, uid: JobUid, found: &mut Vec<String>) {
        let (state, key) = (&self.state, &model.key);
        let version = state
            .registration(key)
            .map_or(0, |registration| registration.version);
        let blocked = state.evals_of_job(key).any(|eval| {
            eval.status == EvalStatus::Blocked && eval.failed_groups.contains_key(&GROUP.into())
        });
        let rollout_failed = self.failed_rollouts.contains(&(key.clone(), uid, version));
        let of_job = || {
            state
                .allocs_of_job(key)
                .filter(move |alloc| alloc.job_uid == uid)
        };
        let held: BTreeSet<u32> = of_job()
            .filter(|alloc| alloc.desired_status == DesiredStatus::Run)
            .filter(|alloc| {
                state.is_live(alloc)
                    || match state.client_status(alloc.id) {
                        ClientStatus::Complete => model.kind == Kind::Batch,
                        ClientStatus::Failed => model.kind.fails(),
                        ClientStatus::Pending | ClientStatus::Running | ClientStatus::Lost => false,
                    }
            })
            .map(|alloc| alloc.index)
            .collect();
        let wanted = model.count as usize;
        let excused = blocked || rollout_failed;
        // Their number is promised, not which numbers they have: a group that shrinks while one of its allocs is away
        // keeps the others as they run.
        if held.len() < wanted && !excused {
            found.push(format!("{key} ({:?}) has {held:?} of {wanted}", model.kind));
            self.tell(key, found);
        }
        let running = of_job().filter(|alloc| state.is_live(alloc)).count();
        if running > wanted {
            found.push(format!("{key} runs {running} of {wanted}"));
            self.tell(key, found);
        }
        for alloc in state
            .allocs_of_job(key)
            .filter(|alloc| state.is_live(alloc))
        {
            if alloc.job_uid != uid {
                found.push(format!("{} is of a former registration", alloc.name()));
            } else if alloc.job_version != version && !blocked && !rollout_failed {
                found.push(format!(
                    "{} runs version {} of {version}",
                    alloc.name(),
                    alloc.job_version
                ));
                self.tell(key, found);
            }
        }
    }

    /// All that is known of a job, for whoever looks into a failure.
    fn tell(&self, key: &JobKey, found: &mut Vec<String>) {
        let state = &self.state;
        found.extend(
            state
                .registration(key)
                .map(|registration| format!("  {registration:?}")),
        );
        for eval in state.evals_of_job(key) {
            found.push(format!(
                "  eval {} {:?} {:?} {:?} snapshot {} at {} next {:?} failed {:?}",
                eval.id.short(),
                eval.triggered_by,
                eval.status,
                eval.status_description,
                eval.snapshot,
                eval.modify,
                eval.next_eval,
                eval.failed_groups.keys().collect::<Vec<_>>(),
            ));
        }
        for alloc in state.allocs_of_job(key) {
            found.push(format!(
                "  alloc {} {} v{} in {:?} {:?} {:?} {:?} on {} follow-up {:?} rescheduled {} times, at {} and {:?}",
                alloc.id.short(),
                alloc.name(),
                alloc.job_version,
                alloc.deployment_id.map(|id| id.short()),
                alloc.desired_status,
                alloc.desired_description,
                state.client_status(alloc.id),
                alloc.node_id.short(),
                alloc.follow_up_eval,
                alloc.reschedule_events.len(),
                alloc.modify,
                state.alloc_status(alloc.id).map(|status| status.modify),
            ));
        }
        for deployment in state.deployments_of_job(key) {
            found.push(format!(
                "  deployment {} of v{} {:?} {:?}, wants {:?}",
                deployment.id.short(),
                deployment.job_version,
                deployment.status,
                deployment.status_description,
                deployment
                    .task_groups
                    .values()
                    .map(|group| group.desired_total)
                    .collect::<Vec<_>>()
            ));
        }
    }

    fn deployments(&self, found: &mut Vec<String>) {
        let state = &self.state;
        for deployment in state.deployments() {
            if !deployment.status.is_active() {
                continue;
            }
            // What waits for room has no deadline before something of it is placed.
            let waits = state
                .evals_of_job(&deployment.job())
                .any(|eval| eval.status == EvalStatus::Blocked)
                && !state
                    .allocs_of_deployment(deployment.id)
                    .any(|alloc| state.is_live(alloc));
            if !waits {
                found.push(format!(
                    "deployment {} of {} goes on",
                    deployment.id,
                    deployment.job()
                ));
                self.tell(&deployment.job(), found);
            }
        }
    }

    fn nodes(&self, machines: &[Machine], found: &mut Vec<String>) {
        let state = &self.state;
        for machine in machines {
            let status = state.node_status(machine.id).map(|status| status.status);
            let wanted: BTreeSet<AllocId> = state
                .allocs_of_node(machine.id)
                .filter(|alloc| state.is_live(alloc))
                .map(|alloc| alloc.id)
                .collect();
            if machine.scrapped {
                if status == Some(NodeState::Ready) {
                    found.push(format!("node {} is gone and ready", machine.id));
                }
                if !wanted.is_empty() {
                    found.push(format!("node {} is gone and has {wanted:?}", machine.id));
                }
                continue;
            }
            if status != Some(NodeState::Ready) {
                found.push(format!("node {} is {status:?}", machine.id));
            }
            let running = machine.running();
            for id in running.difference(&wanted) {
                found.push(format!("{id} runs on {} unasked", machine.id));
            }
            for id in wanted.difference(&running) {
                // Between two restarts, or at its end.
                let fails = state
                    .alloc(*id)
                    .is_some_and(|alloc| state.alloc_status(alloc.id).is_none());
                found.push(format!(
                    "{id} does not run on {} (status absent: {fails})",
                    machine.id
                ));
            }
        }
    }

    fn leftovers(&self, found: &mut Vec<String>) {
        let state = &self.state;
        let said = state.alloc_statuses().map(|(node, id, _)| (node, id));
        let asked = state.alloc_controls().map(|(node, id, _)| (node, id));
        for (node, id) in said.chain(asked) {
            if state.alloc(id).is_none_or(|alloc| alloc.node_id != node) {
                found.push(format!("something is said of {id}, which is gone"));
            }
        }
        found.extend(
            state
                .unreadable()
                .map(|(key, _)| format!("{key} can't be read")),
        );
    }
}

/// Whether a node has room for what is wanted on it, and no port is given twice.
fn fits(state: &State, id: NodeId) -> Result<(), String> {
    let Some(node) = state.node(id) else {
        return Ok(());
    };
    let mut used = Room::default();
    let mut ports = BTreeSet::new();
    for alloc in state
        .allocs_of_node(id)
        .filter(|alloc| state.is_live(alloc))
    {
        used = used.plus(alloc.resources.room());
        for port in alloc.resources.all_ports() {
            if !ports.insert(port.value) {
                return Err(format!(
                    "port {} of {} is given twice",
                    port.value, node.name
                ));
            }
        }
    }
    match node.room().exceeded_by(used) {
        Some(dimension) => Err(format!("{} has too little {}", node.name, dimension.name())),
        None => Ok(()),
    }
}
