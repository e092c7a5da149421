//! One run: two servers, some machines, some jobs; a time of faults, and a time to settle.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rove_controllers::{
    clock::Clock,
    runtime::{PANICKED, REFUSED, counters::Counters},
};
use rove_model::ids::{JobKey, NodeId, UnixNanos};
use rove_store::{
    faults::{Faults, FaultyStore},
    memory::MemoryStore,
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{
    Options, Report,
    chaos::{self, EVENTS, USERS_PATIENCE, Undo},
    check::Checker,
    client::{CallError, Caller, Reached, stored},
    node::Machine,
    server::{LOOP_PANICKED, Server, SimClock},
    workload::{JobModel, Kind, Wanted},
};

/// How long faults strike.
const CHAOS: Duration = Duration::from_secs(100);

/// How long the world may take to settle. A deployment may take its deadline, a failing job its delays, a blocked one
/// the leader's grace.
const SETTLE: Duration = Duration::from_secs(900);

/// How often a user repeats a call that was not answered.
const MAX_CALLS: usize = 60;

/// How long it then has to stay as it is.
const STAYS: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) servers: Vec<Server>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) jobs: Vec<JobModel>,
    pub(crate) checker: Checker,
    pub(crate) happened: BTreeMap<&'static str, u64>,
    pub(crate) store_away: bool,
    faults: Faults,
    undo: Vec<(Instant, Undo)>,
    counters: Counters,
    clock: SimClock,
    options: Options,
}

fn new_machine(
    number: u64,
    memory: &Arc<MemoryStore>,
    faults: &Faults,
    rng: &mut StdRng,
) -> Machine {
    let store = FaultyStore::new(memory.clone(), rng.random(), faults.clone());
    let id = NodeId(Uuid::from_u128(0x1000 + u128::from(number)));
    Machine::new(number, id, store)
}

/// Lives through one seed.
pub(crate) async fn live(seed: u64, options: Options) -> Result<Report, Vec<String>> {
    let mut world = World::new(seed, options).await?;
    world.begin().await;
    world.go_through_chaos().await;
    world.calm_down().await;
    let outcome = world.settle().await;
    let report = world.report();
    for server in &mut world.servers {
        server.stop().await;
    }
    outcome.map(|()| report)
}

impl World {
    async fn new(seed: u64, options: Options) -> Result<Self, Vec<String>> {
        let mut rng = StdRng::seed_from_u64(seed);
        let memory = Arc::new(MemoryStore::new());
        let faults = chaos::faults(&mut rng);
        let checker = Checker::new(&memory).await.map_err(|error| vec![error])?;
        let servers = (0..2)
            .map(|number| {
                let store = FaultyStore::new(memory.clone(), rng.random(), faults.clone());
                Server::new(format!("server{number}"), store)
            })
            .collect();
        let machines = (0..rng.random_range(5..=7))
            .map(|number| new_machine(number, &memory, &faults, &mut rng))
            .collect();
        let jobs = Kind::ALL
            .into_iter()
            .enumerate()
            .map(|(number, kind)| {
                let (least, most) = kind.counts();
                JobModel {
                    key: JobKey::new("default", format!("job{number}")),
                    kind,
                    count: rng.random_range(least..=most),
                    variant: 0,
                    wanted: Wanted::Running,
                }
            })
            .collect();
        Ok(Self {
            rng,
            memory,
            servers,
            machines,
            jobs,
            checker,
            happened: EVENTS.into_iter().map(|event| (event, 0)).collect(),
            store_away: false,
            faults,
            undo: Vec::new(),
            counters: Counters::default(),
            clock: SimClock::new(),
            options,
        })
    }

    pub(crate) fn now(&self) -> UnixNanos {
        self.clock.now()
    }

    /// Undoes it after so many milliseconds.
    pub(crate) fn later(&mut self, millis: u64, undo: Undo) {
        self.undo
            .push((Instant::now() + Duration::from_millis(millis), undo));
    }

    async fn begin(&mut self) {
        for server in 0..self.servers.len() {
            self.start_server(server);
        }
        for machine in 0..self.machines.len() {
            self.start_machine(machine).await;
        }
        for job in 0..self.jobs.len() {
            self.write(job).await;
            let pause = self.rng.random_range(0..500);
            self.pass(Duration::from_millis(pause)).await;
        }
    }

    /// A user's call, with ids of its own.
    pub(crate) fn caller(&mut self) -> Caller {
        let seed = self.rng.random();
        Caller::new(self.clock, seed)
    }

    /// One of the servers that run.
    pub(crate) fn reach(&mut self) -> Option<Reached> {
        let running: Vec<Reached> = self.servers.iter().filter_map(Server::reach).collect();
        if running.is_empty() {
            return None;
        }
        let chosen = self.rng.random_range(0..running.len());
        running.into_iter().nth(chosen)
    }

    /// A user registers or stops the job as the model has it, and asks again until there is an answer. False when it
    /// isn't there any more to be stopped.
    pub(crate) async fn write(&mut self, job: usize) -> bool {
        let model = self.jobs[job].clone();
        // Whether what is missing later may be gone by this user's own word: a call whose answer was lost is made again
        // by the server too, and finds that what it ended is collected.
        let mut may_be_done = stored(&self.memory, &model.key).await.is_some();
        for _ in 0..MAX_CALLS {
            let pause = Duration::from_millis(self.rng.random_range(200..2_000));
            let Some(server) = self.reach() else {
                self.pass(pause).await;
                continue;
            };
            let caller = self.caller();
            let patience = Duration::from_millis(self.rng.random_range(1..20_000));
            let answer = timeout(patience, caller.write(&server, &model)).await;
            self.checker.drain();
            let stands = stored(&self.memory, &model.key).await;
            match answer {
                Ok(Ok(Some(done))) => {
                    // What was purged may be collected before the user hears of it.
                    let is_gone = model.wanted == Wanted::Purged;
                    let is_there = stands.as_ref().map_or(is_gone, |(revision, registration)| {
                        (*revision, registration.eval.id) == (done.index, done.eval)
                    });
                    if !is_there {
                        self.checker.problems.push(format!(
                            "{} was written at {}, and the store has {stands:?}",
                            model.key, done.index
                        ));
                    }
                    return true;
                }
                // What an earlier call purged may be collected by now.
                Ok(Ok(None)) => return may_be_done,
                Ok(Err(CallError::Registration(error))) => {
                    self.checker
                        .problems
                        .push(format!("{} was refused: {error}", model.key));
                    return false;
                }
                // Nobody knows: the user looks, as the error says.
                Ok(Err(CallError::Write(_))) | Err(_) => {
                    if stands.is_some_and(|(_, registration)| caller.wrote(&registration)) {
                        return true;
                    }
                    may_be_done = true;
                }
            }
            self.pass(pause).await;
        }
        self.checker.problems.push(format!(
            "{} could not be written in {MAX_CALLS} calls",
            model.key
        ));
        false
    }

    /// Two users write to the same job at the same time, on two servers: each write is done once, and the last one
    /// stands.
    pub(crate) async fn write_at_once(&mut self, job: usize, counts: [u32; 2]) -> bool {
        let reached: Vec<Reached> = self.servers.iter().filter_map(Server::reach).collect();
        let [one, other] = reached.as_slice() else {
            return false;
        };
        let key = self.jobs[job].key.clone();
        let models = counts.map(|count| JobModel {
            count,
            ..self.jobs[job].clone()
        });
        let Some((_, before)) = stored(&self.memory, &key).await else {
            return false;
        };
        let seeds: [u64; 2] = self.rng.random();
        let callers = seeds.map(|seed| Caller::new(self.clock, seed));
        let answers = tokio::join!(
            timeout(USERS_PATIENCE, callers[0].write(one, &models[0])),
            timeout(USERS_PATIENCE, callers[1].write(other, &models[1]))
        );
        self.checker.drain();
        if let (Ok(Ok(Some(_))), Ok(Ok(Some(_)))) = &answers
            && let Some((_, after)) = stored(&self.memory, &key).await
            && after.version != before.version + 2
        {
            self.checker.problems.push(format!(
                "{key} was at version {} and written twice, and is at {}",
                before.version, after.version
            ));
        }
        let stands = stored(&self.memory, &key).await;
        let last = callers.iter().position(|caller| {
            stands
                .as_ref()
                .is_some_and(|(_, registration)| caller.wrote(registration))
        });
        match last {
            Some(last) => {
                self.jobs[job].count = counts[last];
                true
            }
            // Either may still be on its way: what the job had is asked for again, and then stands.
            None => {
                self.write(job).await;
                false
            }
        }
    }

    fn start_server(&mut self, server: usize) {
        let seed = self.rng.random();
        self.servers[server].start(self.clock, self.counters.clone(), self.options, seed);
    }

    /// One more machine, just switched on: its place in `machines`.
    pub(crate) async fn add_machine(&mut self) -> usize {
        let at = self.machines.len();
        let machine = new_machine(at as u64, &self.memory, &self.faults, &mut self.rng);
        self.machines.push(machine);
        self.start_machine(at).await;
        at
    }

    async fn start_machine(&mut self, machine: usize) {
        let seed = self.rng.random();
        self.machines[machine].start(seed).await;
    }

    /// Time passes, and what was to be undone in it is.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let next = self.undo.iter().map(|(at, _)| *at).min();
            let at = next.map_or(until, |next| next.min(until));
            sleep(at.saturating_duration_since(Instant::now())).await;
            let now = Instant::now();
            let due: Vec<Undo> = self
                .undo
                .extract_if(.., |(at, _)| *at <= now)
                .map(|(_, undo)| undo)
                .collect();
            for undo in due {
                self.undo(undo).await;
            }
            if now >= until {
                break;
            }
        }
        self.checker.drain();
    }

    async fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Server(server) if !self.servers[server].runs() => self.start_server(server),
            Undo::StandsStill(server) => {
                self.servers[server].crash();
                self.start_server(server);
            }
            Undo::Machine(machine)
                if !self.machines[machine].runs() && !self.machines[machine].scrapped =>
            {
                self.start_machine(machine).await;
            }
            Undo::Reconnect(machine) if !self.store_away => {
                self.machines[machine].reconnect(&self.faults);
            }
            Undo::Reconnect(machine) => self.machines[machine].cut_off = false,
            Undo::Store => {
                self.store_away = false;
                for server in &self.servers {
                    server.store.set_faults(self.faults.clone());
                }
                for machine in &mut self.machines {
                    if !machine.cut_off {
                        machine.reconnect(&self.faults);
                    }
                }
            }
            Undo::Server(_) | Undo::Machine(_) => {}
        }
    }

    async fn go_through_chaos(&mut self) {
        let until = Instant::now() + CHAOS;
        while Instant::now() < until && self.checker.problems.is_empty() {
            let pause = self.rng.random_range(20..4_000);
            self.pass(Duration::from_millis(pause)).await;
            self.happen().await;
        }
    }

    /// Faults end, and all that was to come back does.
    async fn calm_down(&mut self) {
        self.faults = Faults::default();
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.undo(undo).await;
        }
        for server in &self.servers {
            server.store.set_faults(Faults::default());
        }
        for machine in &mut self.machines {
            machine.reconnect(&Faults::default());
        }
    }

    async fn settle(&mut self) -> Result<(), Vec<String>> {
        let until = Instant::now() + SETTLE;
        let mut looked = u64::MAX;
        let mut settled: Option<Instant> = None;
        let mut problems = Vec::new();
        loop {
            self.pass(Duration::from_millis(500)).await;
            if !self.checker.problems.is_empty() {
                return Err(std::mem::take(&mut self.checker.problems));
            }
            let now = Instant::now();
            // Tasks start and end without a revision: look again while not all is well.
            if looked != self.checker.state.revision() || settled.is_none() {
                looked = self.checker.state.revision();
                problems = self.checker.unsettled(&self.jobs, &self.machines);
                settled = problems.is_empty().then(|| settled.unwrap_or(now));
            }
            if settled.is_some_and(|since| now >= since + STAYS) {
                break;
            }
            if now >= until {
                problems.insert(0, format!("not settled after {SETTLE:?}"));
                return Err(problems);
            }
        }
        let bad: Vec<String> = self
            .counters
            .snapshot()
            .into_iter()
            .filter(|((_, way), _)| [PANICKED, REFUSED, LOOP_PANICKED].contains(way))
            .map(|((name, way), count)| format!("{name}: {way} {count} times"))
            .collect();
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    fn report(&self) -> Report {
        let mut faults = self.happened.clone();
        let stores = self
            .servers
            .iter()
            .map(|server| &server.store)
            .chain(self.machines.iter().map(|machine| &machine.store));
        for store in stores {
            for (name, count) in store.counts().named() {
                *faults.entry(name).or_default() += count;
            }
        }
        Report {
            runs: 1,
            sizes: [
                ("nodes", self.machines.len() as u64),
                ("jobs", self.jobs.len() as u64),
                ("allocs", self.checker.allocs),
                ("revisions", self.checker.state.revision()),
                (
                    "virtual seconds",
                    (self.now() - crate::EPOCH).unsigned_abs() / 1_000_000_000,
                ),
            ]
            .into(),
            faults,
            branches: self.counters.snapshot(),
            trace: self.checker.trace,
        }
    }
}
