//! Keeps one runner for each alloc of this node in line with what the store wants, and hands out room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rove_model::{
    alloc::{Alloc, DesiredStatus, TaskLifeState},
    ids::{AllocId, Revision},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::JoinMap};

use crate::{
    admission::Admission,
    alloc::{
        machine::SavedAlloc,
        runner::{Begin, Ended, RunnerHandle, Wanted, Wish, id_of, runner},
    },
    context::Context,
    garbage,
    handle_error::HandleError,
    shared::{AllocView, Command, Reply, TaskView},
    sync::desired::Desired,
};

/// How long a runner that broke is left alone before it is started anew.
const MEND_AFTER: Duration = Duration::from_secs(5);

/// How directories of ended allocs are collected.
#[derive(Clone, Copy, Debug)]
pub struct GarbagePolicy {
    /// Directories of ended allocs that are kept.
    pub max_ended: usize,
    /// Percent of the disk in use above which none are kept.
    pub disk_usage_percent: f64,
    /// How often it is looked at.
    pub every: Duration,
    /// Directories that are removed at the same time; further ones wait.
    pub at_once: usize,
}

impl Default for GarbagePolicy {
    /// As the reference has it.
    fn default() -> Self {
        Self {
            max_ended: 50,
            disk_usage_percent: 80.0,
            every: Duration::from_secs(60),
            // So that a disk is left for the tasks.
            at_once: 4,
        }
    }
}

/// How the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Tasks go on.
    Leave,
    /// Tasks are stopped.
    StopTasks,
}

struct Entry {
    alloc: Arc<Alloc>,
    revision: Revision,
    /// The store said so in this life of the agent.
    confirmed: bool,
    forgotten: bool,
    runner: Option<RunnerHandle>,
    /// Over, since then (in the order of ends).
    ended: Option<u64>,
    /// Removed, or on its way.
    directory_gone: bool,
    /// What of it is being removed.
    going: Option<Going>,
}

/// What is being removed of an alloc that is over: the one after the other, so that a crash leaves nothing that isn't
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    Directory,
    State,
}

pub(crate) struct Manager {
    context: Arc<Context>,
    garbage: GarbagePolicy,
    ending: Ending,
    entries: BTreeMap<AllocId, Entry>,
    runners: JoinMap<AllocId, Ended>,
    removals: JoinMap<AllocId, ()>,
    removing: Arc<Semaphore>,
    /// Who is told when the directories of these allocs are gone.
    asked: Vec<(BTreeSet<AllocId>, Reply)>,
    admission: Admission,
    ends: u64,
    broken: BTreeMap<AllocId, Instant>,
    stop_runners: CancellationToken,
    stopping: bool,
}

impl Manager {
    pub fn new(context: Arc<Context>, garbage: GarbagePolicy, ending: Ending) -> Self {
        Self {
            context,
            removing: Arc::new(Semaphore::new(garbage.at_once)),
            garbage,
            ending,
            removals: JoinMap::new(),
            asked: Vec::new(),
            entries: BTreeMap::new(),
            runners: JoinMap::new(),
            admission: Admission::default(),
            ends: 0,
            broken: BTreeMap::new(),
            stop_runners: CancellationToken::new(),
            stopping: false,
        }
    }

    /// Takes over what an earlier life of the agent left.
    pub fn recover(&mut self, saved: Vec<SavedAlloc>) {
        for saved in saved {
            let alloc = Arc::new(saved.alloc.clone());
            let over = saved.failure.is_some()
                || (!saved.tasks.is_empty()
                    && saved.tasks.values().all(|task| {
                        task.state.state == TaskLifeState::Dead
                            && task.handle.is_none()
                            && !task.intent
                    }));
            self.entries.insert(
                alloc.id,
                Entry {
                    alloc: Arc::clone(&alloc),
                    revision: saved.revision,
                    confirmed: false,
                    forgotten: false,
                    runner: None,
                    ended: None,
                    directory_gone: false,
                    going: None,
                },
            );
            if over {
                self.show_ended(saved);
                self.note_end(alloc.id);
            } else {
                self.admission.add(&alloc, true);
                self.start_runner(Begin::Recovered(Box::new(saved)));
            }
        }
    }

    /// An alloc that was over before the agent began: its files and its last word are still asked for.
    fn show_ended(&self, saved: SavedAlloc) {
        let now = self.context.now();
        let id = saved.alloc.id;
        let (machine, _) =
            crate::alloc::machine::AllocMachine::recover(saved, self.context.rules, now);
        let view: AllocView = machine
            .tasks()
            .iter()
            .map(|task| {
                let view = TaskView {
                    driver: None,
                    handle: None,
                    started: task.state().started_at.is_some(),
                    over: true,
                    logs: machine.keeps_logs(task.name()),
                };
                (task.name().to_owned(), view)
            })
            .collect();
        self.context.shared.publish(id, view);
        self.context.outbox.put(machine.status(), now.wall);
    }

    /// Runs until `cancel`.
    pub async fn run(
        mut self,
        mut desired: mpsc::Receiver<Desired>,
        mut commands: mpsc::Receiver<Command>,
        cancel: CancellationToken,
    ) {
        let mut collect = tokio::time::interval(self.garbage.every.max(Duration::from_secs(1)));
        collect.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.admission.set_capacity(&self.context.shared.node());
            self.admit();
            let mend = self.broken.values().min().copied();
            let mend = async {
                match mend {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled(), if !self.stopping => {
                    if self.ending == Ending::Leave {
                        break;
                    }
                    self.stopping = true;
                    self.stop_tasks();
                }
                Some((alloc, result)) = self.runners.join_next(), if !self.runners.is_empty() => {
                    self.runner_ended(alloc, result);
                }
                Some((alloc, result)) = self.removals.join_next(), if !self.removals.is_empty() => {
                    if let Err(error) = result {
                        tracing::error!(%alloc, %error, "removing what is left of the alloc broke");
                    }
                    self.removal_ended(alloc);
                }
                Some(change) = desired.recv(), if !self.stopping => self.take(change),
                Some(command) = commands.recv() => self.command(command),
                () = mend => self.mend().await,
                _ = collect.tick() => self.collect_old().await,
            }
            if self.stopping && self.runners.is_empty() {
                break;
            }
        }
        self.stop_runners.cancel();
        while self.runners.join_next().await.is_some() {}
        // Those that wait are left to the next life; what is being removed now is removed.
        self.removing.close();
        while self.removals.join_next().await.is_some() {}
    }

    fn stop_tasks(&mut self) {
        for entry in self.entries.values() {
            if let Some(runner) = &entry.runner {
                runner.wanted.send_modify(|wanted| wanted.shutdown = true);
            }
        }
    }

    fn take(&mut self, change: Desired) {
        match change {
            Desired::Listed { allocs, present } => {
                let gone: Vec<AllocId> = match present {
                    Some(present) => self
                        .entries
                        .keys()
                        .filter(|alloc| !present.contains(*alloc))
                        .copied()
                        .collect(),
                    None => Vec::new(),
                };
                for (alloc, revision) in allocs {
                    self.want(alloc, revision);
                }
                for alloc in gone {
                    self.forget(alloc);
                }
            }
            Desired::Put(alloc, revision) => self.want(alloc, revision),
            Desired::Deleted(alloc) => self.forget(alloc),
        }
    }

    fn want(&mut self, alloc: Arc<Alloc>, revision: Revision) {
        let id = alloc.id;
        let ending = alloc.desired_status != DesiredStatus::Run;
        let Some(entry) = self.entries.get_mut(&id) else {
            self.entries.insert(
                id,
                Entry {
                    alloc: Arc::clone(&alloc),
                    revision,
                    confirmed: true,
                    forgotten: false,
                    runner: None,
                    ended: None,
                    directory_gone: false,
                    going: None,
                },
            );
            self.admission.add(&alloc, false);
            self.admission.set_ending(id, ending);
            self.start_runner(Begin::New(alloc, revision));
            return;
        };
        entry.confirmed = true;
        entry.forgotten = false;
        entry.alloc = Arc::clone(&alloc);
        entry.revision = revision;
        self.admission.set_ending(id, ending);
        if let Some(runner) = &entry.runner {
            runner
                .wanted
                .send_modify(|wanted| wanted.alloc = Some((alloc, revision)));
        }
    }

    fn forget(&mut self, alloc: AllocId) {
        let Some(entry) = self.entries.get_mut(&alloc) else {
            return;
        };
        entry.forgotten = true;
        self.admission.set_ending(alloc, true);
        match &entry.runner {
            Some(runner) => runner.wanted.send_modify(|wanted| wanted.alloc = None),
            None if !self.broken.contains_key(&alloc) => self.remove(alloc),
            None => {}
        }
    }

    fn start_runner(&mut self, begin: Begin) {
        let id = id_of(&begin);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let wanted = Wanted {
            alloc: (!entry.forgotten).then(|| (Arc::clone(&entry.alloc), entry.revision)),
            may_start: false,
            shutdown: self.stopping,
        };
        let (handle, run) = runner(
            Arc::clone(&self.context),
            begin,
            wanted,
            self.stop_runners.child_token(),
        );
        entry.runner = Some(handle);
        self.runners.spawn(id, run);
    }

    fn runner_ended(&mut self, alloc: AllocId, result: Result<Ended, tokio::task::JoinError>) {
        let Some(entry) = self.entries.get_mut(&alloc) else {
            return;
        };
        entry.runner = None;
        match result {
            Ok(Ended::Over) => {
                self.admission.remove(alloc);
                self.note_end(alloc);
                if self
                    .entries
                    .get(&alloc)
                    .is_some_and(|entry| entry.forgotten)
                {
                    self.remove(alloc);
                }
            }
            Ok(Ended::Left) => {}
            Err(error) => {
                tracing::error!(%alloc, %error, "the alloc's runner failed, which is a fault in rove: it is started anew from its saved state; report this line with those before it");
                self.broken.insert(alloc, Instant::now() + MEND_AFTER);
            }
        }
    }

    fn note_end(&mut self, alloc: AllocId) {
        self.ends += 1;
        if let Some(entry) = self.entries.get_mut(&alloc) {
            entry.ended = Some(self.ends);
        }
    }

    /// Starts runners that broke anew, as after a restart of the agent.
    async fn mend(&mut self) {
        let now = Instant::now();
        let due: Vec<AllocId> = self
            .broken
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(alloc, _)| *alloc)
            .collect();
        for alloc in due {
            let saved = match self.context.state.load_one(alloc).await {
                Ok(saved) => saved,
                Err(error) => {
                    tracing::error!(%alloc, %error, "can't read the alloc's state");
                    self.broken.insert(alloc, now + MEND_AFTER);
                    continue;
                }
            };
            self.broken.remove(&alloc);
            let Some(entry) = self.entries.get(&alloc) else {
                continue;
            };
            let begin = match saved {
                Some(saved) => Begin::Recovered(Box::new(saved)),
                None => Begin::New(Arc::clone(&entry.alloc), entry.revision),
            };
            self.start_runner(begin);
        }
    }

    /// Lets allocs start whose room is free. A recovered one holds its room, and only has to be confirmed.
    fn admit(&mut self) {
        let confirmed: BTreeSet<AllocId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.confirmed && entry.runner.is_some())
            .map(|(alloc, _)| *alloc)
            .collect();
        let _ = self.admission.admit(&confirmed);
        for alloc in confirmed {
            if !self.admission.holds(alloc) {
                continue;
            }
            if let Some(runner) = self
                .entries
                .get(&alloc)
                .and_then(|entry| entry.runner.as_ref())
            {
                runner.wanted.send_if_modified(|wanted| {
                    let news = !wanted.may_start;
                    wanted.may_start = true;
                    news
                });
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Restart {
                alloc,
                which,
                reply,
            } => self.pass_on(alloc, Wish::Restart { which, reply }),
            Command::Signal {
                alloc,
                task,
                signal,
                reply,
            } => self.pass_on(
                alloc,
                Wish::Signal {
                    task,
                    signal,
                    reply,
                },
            ),
            Command::CollectGarbage { alloc, reply } => {
                self.collect_asked(alloc, reply);
            }
        }
    }

    fn pass_on(&self, alloc: AllocId, wish: Wish) {
        let refused = match self.entries.get(&alloc) {
            None => (wish, HandleError::UnknownAlloc(alloc)),
            Some(entry) => match &entry.runner {
                None => (wish, HandleError::NotRunning),
                Some(runner) => match runner.wishes.try_send(wish) {
                    Ok(()) => return,
                    Err(mpsc::error::TrySendError::Full(wish)) => (wish, HandleError::Busy),
                    Err(mpsc::error::TrySendError::Closed(wish)) => (wish, HandleError::NotRunning),
                },
            },
        };
        let (Wish::Restart { reply, .. } | Wish::Signal { reply, .. }, error) = refused;
        answer_to(reply, Err(error));
    }

    fn collect_asked(&mut self, alloc: Option<AllocId>, reply: Reply) {
        let asked: Vec<AllocId> = match alloc {
            Some(alloc) if !self.entries.contains_key(&alloc) => {
                answer_to(reply, Err(HandleError::UnknownAlloc(alloc)));
                return;
            }
            Some(alloc) => vec![alloc],
            None => self.entries.keys().copied().collect(),
        };
        for alloc in &asked {
            self.remove_directory(*alloc);
        }
        let going: BTreeSet<AllocId> = asked
            .into_iter()
            .filter(|alloc| {
                self.entries
                    .get(alloc)
                    .is_some_and(|entry| entry.going == Some(Going::Directory))
            })
            .collect();
        if going.is_empty() {
            answer_to(reply, Ok(()));
        } else {
            self.asked.push((going, reply));
        }
    }

    /// Removes the directories of those that ended first, when there are too many or the disk is nearly full.
    async fn collect_old(&mut self) {
        let Some(alloc_dir) = self.context.alloc_dir.clone() else {
            return;
        };
        let mut ended: Vec<(u64, AllocId)> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.directory_gone)
            .filter_map(|(alloc, entry)| Some((entry.ended?, *alloc)))
            .collect();
        ended.sort_unstable();
        let full = garbage::disk_usage_percent(alloc_dir)
            .await
            .is_some_and(|used| used > self.garbage.disk_usage_percent);
        let keep = if full { 0 } else { self.garbage.max_ended };
        let surplus = ended.len().saturating_sub(keep);
        for (_, alloc) in ended.into_iter().take(surplus) {
            self.remove_directory(alloc);
        }
    }

    /// Has the directory of an alloc that is over removed.
    fn remove_directory(&mut self, alloc: AllocId) {
        let Some(entry) = self.entries.get_mut(&alloc) else {
            return;
        };
        if entry.ended.is_none() || entry.directory_gone {
            return;
        }
        entry.directory_gone = true;
        self.context.shared.forget(alloc);
        if self.context.alloc_dir.is_some() {
            self.begin_removal(alloc, Going::Directory);
        }
    }

    /// Forgets an alloc that is over and that the store has forgotten, once all that is left of it is removed.
    fn remove(&mut self, alloc: AllocId) {
        self.remove_directory(alloc);
        // What is going is followed by the rest.
        if self
            .entries
            .get(&alloc)
            .is_some_and(|entry| entry.going.is_none())
        {
            self.begin_removal(alloc, Going::State);
        }
    }

    fn begin_removal(&mut self, alloc: AllocId, what: Going) {
        let Some(entry) = self.entries.get_mut(&alloc) else {
            return;
        };
        entry.going = Some(what);
        let context = Arc::clone(&self.context);
        let removing = Arc::clone(&self.removing);
        self.removals.spawn(alloc, async move {
            match what {
                Going::Directory => {
                    // Closed when the agent ends.
                    let Ok(_permit) = removing.acquire_owned().await else {
                        return;
                    };
                    let paths = vec![
                        context.dir(alloc).root().to_owned(),
                        context.task_state_dir(alloc),
                    ];
                    garbage::remove(alloc, paths).await;
                }
                Going::State => {
                    if let Err(error) = context.state.remove(alloc).await {
                        tracing::warn!(%alloc, %error, "can't remove the alloc's state");
                    }
                }
            }
        });
    }

    fn removal_ended(&mut self, alloc: AllocId) {
        let Some(entry) = self.entries.get_mut(&alloc) else {
            return;
        };
        let (done, forgotten) = (entry.going.take(), entry.forgotten);
        match done {
            Some(Going::Directory) => {
                let (done, waiting) = std::mem::take(&mut self.asked)
                    .into_iter()
                    .map(|(mut allocs, reply)| {
                        allocs.remove(&alloc);
                        (allocs, reply)
                    })
                    .partition::<Vec<_>, _>(|(allocs, _)| allocs.is_empty());
                self.asked = waiting;
                for (_, reply) in done {
                    answer_to(reply, Ok(()));
                }
                if forgotten {
                    self.begin_removal(alloc, Going::State);
                }
            }
            Some(Going::State) if forgotten => {
                self.context.shared.forget(alloc);
                self.context.outbox.remove(alloc);
                self.admission.remove(alloc);
                self.entries.remove(&alloc);
            }
            // The store wants it again after all; what is over stays over.
            Some(Going::State) | None => {}
        }
    }
}

fn answer_to(reply: Reply, answer: Result<(), HandleError>) {
    // Nobody may be waiting any more.
    let _ = reply.send(answer);
}
