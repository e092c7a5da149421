//! When what became true, as one watch on the store shows it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use rove_model::{
    alloc::{Alloc, AllocStatus, ClientStatus},
    deployment::{Deployment, DeploymentStatus},
    encoding::decode,
    ids::{AllocId, JobId, Revision},
    node::{NodeState, NodeStatus},
};
use rove_store::{
    keys::{Key, Keys},
    store::{Event, Store, WatchEvent, WatchRequest, WatchStream},
};
use tokio_util::task::AbortOnDropHandle;

/// The steps from a registration to a deployment that is done, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Node,
    Registration,
    Eval,
    Plan,
    Alloc,
    PlanDone,
    Told,
    Running,
    Deployed,
}

impl Step {
    pub const OF_JOBS: [(Self, &'static str); 8] = [
        (Self::Registration, "job registered"),
        (Self::Eval, "evaluation made"),
        (Self::Plan, "planned"),
        (Self::Alloc, "alloc written"),
        (Self::PlanDone, "plan applied whole"),
        (Self::Told, "taken up by its node"),
        (Self::Running, "running"),
        (Self::Deployed, "deployment successful"),
    ];
}

/// When a step was first and last taken, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub first: Instant,
    pub last: Instant,
    pub count: usize,
}

/// The times of one job.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobTimes {
    pub registered: Option<Instant>,
    pub placed: Option<Instant>,
    pub running: Option<Instant>,
}

#[derive(Default)]
pub struct Seen {
    pub steps: BTreeMap<Step, Span>,
    pub jobs: BTreeMap<JobId, JobTimes>,
    jobs_of: BTreeMap<AllocId, JobId>,
    progress: BTreeMap<AllocId, ClientStatus>,
    /// Keys written and removed, and the revisions that took.
    pub events: usize,
    pub revisions: usize,
    pub bytes: usize,
    /// How often the watch broke and went on: the machine is too busy for times to mean much.
    pub breaks: usize,
}

impl Seen {
    pub fn count(&self, step: Step) -> usize {
        self.steps.get(&step).map_or(0, |span| span.count)
    }

    fn step(&mut self, step: Step, now: Instant) {
        self.steps
            .entry(step)
            .and_modify(|span| {
                span.last = now;
                span.count += 1;
            })
            .or_insert(Span {
                first: now,
                last: now,
                count: 1,
            });
    }

    fn take_in(&mut self, keys: &Keys, event: &Event, now: Instant) {
        self.events += 1;
        let Ok(key) = keys.parse(event.key()) else {
            return;
        };
        let kv = match event {
            Event::Put(kv) => kv,
            Event::Delete { key: bytes, .. } => {
                self.bytes += bytes.len();
                if let Key::Plan(_) = key {
                    self.step(Step::PlanDone, now);
                }
                return;
            }
        };
        self.bytes += kv.key.len() + kv.value.len();
        let is_new = kv.create_revision == kv.mod_revision;
        match key {
            Key::NodeStatus(_) => {
                let ready = decode::<NodeStatus>(&kv.value)
                    .is_ok_and(|status| status.status == NodeState::Ready);
                if ready && is_new {
                    self.step(Step::Node, now);
                }
            }
            Key::Registration(job) if is_new => {
                self.jobs.entry(job.id).or_default().registered = Some(now);
                self.step(Step::Registration, now);
            }
            Key::Eval(_) if is_new => self.step(Step::Eval, now),
            Key::Plan(_) if is_new => self.step(Step::Plan, now),
            Key::Alloc(_, id) if is_new => {
                self.step(Step::Alloc, now);
                if let Ok(alloc) = decode::<Alloc>(&kv.value) {
                    self.jobs.entry(alloc.job_id.clone()).or_default().placed = Some(now);
                    self.jobs_of.insert(id, alloc.job_id);
                }
            }
            Key::AllocStatus(_, id) => {
                if is_new {
                    self.step(Step::Told, now);
                }
                let Ok(status) = decode::<AllocStatus>(&kv.value) else {
                    return;
                };
                let before = self.progress.insert(id, status.client_status);
                if status.client_status == ClientStatus::Running
                    && before != Some(ClientStatus::Running)
                {
                    self.step(Step::Running, now);
                    if let Some(job) = self.jobs_of.get(&id) {
                        self.jobs.entry(job.clone()).or_default().running = Some(now);
                    }
                }
            }
            Key::Deployment(_)
                if decode::<Deployment>(&kv.value)
                    .is_ok_and(|deployment| deployment.status == DeploymentStatus::Successful) =>
            {
                self.step(Step::Deployed, now);
            }
            _ => {}
        }
    }
}

/// A watch on everything from after `revision`, as soon as the store gives one.
async fn open(store: &Arc<dyn Store>, keys: &Keys, revision: Revision) -> WatchStream {
    loop {
        let request = WatchRequest {
            keys: keys.all(),
            start: Some(revision + 1),
        };
        match store.watch(request).await {
            Ok(watch) => return watch,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Follows the store from the moment it is made.
pub struct Timeline {
    seen: Arc<Mutex<Seen>>,
    _follows: AbortOnDropHandle<()>,
}

impl Timeline {
    /// Watches everything under `/rove/` from after `revision`.
    pub async fn follow(store: Arc<dyn Store>, revision: Revision) -> Self {
        let keys = Keys::default();
        let mut watch = open(&store, &keys, revision).await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let into = Arc::clone(&seen);
        let follows = tokio::spawn(async move {
            let mut newest = revision;
            let mut silence = tokio::time::interval(Duration::from_secs(1));
            loop {
                let item = tokio::select! {
                    item = watch.next() => item,
                    // etcd takes a quiet connection that is kept alive by pings alone for an attack, and ends it.
                    _ = silence.tick() => {
                        let _ = store.status().await;
                        continue;
                    }
                };
                let now = Instant::now();
                let broken = {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    match item {
                        Some(Ok(WatchEvent::Batch { events, .. })) => {
                            for event in &events {
                                if event.revision() > newest {
                                    newest = event.revision();
                                    seen.revisions += 1;
                                }
                                seen.take_in(&keys, event, now);
                            }
                            false
                        }
                        Some(Ok(WatchEvent::Progress { .. })) => false,
                        Some(Err(_)) | None => {
                            seen.breaks += 1;
                            true
                        }
                    }
                };
                if broken {
                    watch = open(&store, &keys, newest).await;
                }
            }
        });
        Self {
            seen,
            _follows: AbortOnDropHandle::new(follows),
        }
    }

    /// Waits until `step` was taken `count` times; gives up, saying so, after `patience` without any progress.
    pub async fn until(&self, step: Step, count: usize, patience: Duration) -> bool {
        let mut before = (0, Instant::now());
        loop {
            let so_far = self.look(|seen| seen.count(step));
            if so_far >= count {
                return true;
            }
            if so_far > before.0 {
                before = (so_far, Instant::now());
            }
            if before.1.elapsed() > patience {
                println!("{step:?}: only {so_far} of {count}");
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Looks at what was seen so far.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
