//! What happens to the world while it runs.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};
use rove_store::{faults::Faults, store::Store};
use tokio::time::timeout;

use crate::{
    workload::{Kind, Wanted},
    world::World,
};

/// Everything that may happen beside the faults of the store, as it is counted.
pub(crate) const EVENTS: [&str; 19] = [
    "job scaled",
    "job scaled by two at once",
    "job updated",
    "job stopped",
    "job started again",
    "job purged",
    "job purged and registered again",
    "alloc asked to stop",
    "task ended",
    "server crashed",
    "server crashed between two writes",
    "server stopped cleanly",
    "agent killed",
    "machine powered off",
    "machine gone for good",
    "node cut off",
    "node lost before it was seen",
    "store away for all",
    "store compacted",
];

/// How long a user waits for an answer of a server that may stand still.
pub(crate) const USERS_PATIENCE: Duration = Duration::from_secs(20);

/// What is to be undone at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Undo {
    Server(usize),
    StandsStill(usize),
    Machine(usize),
    Reconnect(usize),
    Store,
}

/// Faults that no run has: a store that is full stays so, and a silent watch is only noticed after minutes. The tests
/// of the store and of the writer inject them.
pub(crate) const IN_NO_RUN: [&str; 2] = ["no_space", "silent_watch"];

/// The store's faults of a run: each seed has its own mixture.
pub(crate) fn faults(rng: &mut StdRng) -> Faults {
    let mut some = |most: f64| {
        if rng.random_bool(0.7) {
            rng.random_range(0.0..most)
        } else {
            0.0
        }
    };
    Faults {
        conflict: some(0.06),
        lost_answer: some(0.06),
        late_write: some(0.04),
        unavailable: some(0.04),
        delay: some(0.10),
        max_delay: Duration::from_millis(300),
        lagging_watch: some(0.02),
        broken_watch: some(0.02),
        compacted_watch: some(0.01),
        stale_read: some(0.05),
        ..Faults::default()
    }
}

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() {
        return None;
    }
    from.get(rng.random_range(0..from.len()))
}

impl World {
    /// One thing happens.
    pub(crate) async fn happen(&mut self) {
        let event = EVENTS[self.rng.random_range(0..EVENTS.len())];
        let happened = match event {
            "job scaled" => self.scale().await,
            "job scaled by two at once" => self.scale_at_once().await,
            "job updated" => self.update().await,
            "job stopped" => self.end_job(Wanted::Stopped).await,
            "job started again" => self.start_again(Wanted::Stopped).await,
            "job purged" => self.end_job(Wanted::Purged).await,
            "job purged and registered again" => self.start_again(Wanted::Purged).await,
            "alloc asked to stop" => self.stop_alloc().await,
            "task ended" => self.end_task(),
            "server crashed" => self.crash_server(),
            "server crashed between two writes" => self.crash_between_writes(),
            "server stopped cleanly" => self.stop_server().await,
            "agent killed" => self.kill_agent(),
            "machine powered off" => self.power_off(false),
            "machine gone for good" => self.power_off(true),
            "node cut off" => self.cut_off(),
            "node lost before it was seen" => self.lose_unseen().await,
            "store away for all" => self.store_away(),
            _ => self.compact().await,
        };
        if happened {
            *self.happened.entry(event).or_default() += 1;
        }
    }

    fn job_that(&mut self, wanted: Wanted) -> Option<usize> {
        let those: Vec<usize> = (0..self.jobs.len())
            .filter(|job| self.jobs[*job].wanted == wanted)
            .collect();
        pick(&mut self.rng, &those).copied()
    }

    async fn scale(&mut self) -> bool {
        let Some(job) = self.job_that(Wanted::Running) else {
            return false;
        };
        let (_, most) = self.jobs[job].kind.counts();
        self.jobs[job].count = self.rng.random_range(0..=most + 2);
        self.write(job).await
    }

    /// To counts that it doesn't have, so that each write makes a version.
    async fn scale_at_once(&mut self) -> bool {
        let Some(job) = self.job_that(Wanted::Running) else {
            return false;
        };
        // A batch job may be collected meanwhile, and a system job has no count.
        if self.store_away || {
            let kind = self.jobs[job].kind;
            kind == Kind::Batch || kind.is_for_every_node()
        } {
            return false;
        }
        let now = self.jobs[job].count;
        self.write_at_once(job, [now + 1, now + 2]).await
    }

    async fn update(&mut self) -> bool {
        let Some(job) = self.job_that(Wanted::Running) else {
            return false;
        };
        self.jobs[job].variant += 1;
        self.write(job).await
    }

    async fn end_job(&mut self, how: Wanted) -> bool {
        // Most of the load stays.
        if self.rng.random_bool(0.5) {
            return false;
        }
        let Some(job) = self.job_that(Wanted::Running) else {
            return false;
        };
        let before = self.jobs[job].wanted;
        self.jobs[job].wanted = how;
        let done = self.write(job).await;
        if !done {
            // A batch job may be collected by now: then there is nothing to stop.
            self.jobs[job].wanted = before;
        }
        done
    }

    async fn start_again(&mut self, from: Wanted) -> bool {
        let Some(job) = self.job_that(from) else {
            return false;
        };
        self.jobs[job].wanted = Wanted::Running;
        self.write(job).await
    }

    async fn stop_alloc(&mut self) -> bool {
        let state = &self.checker.state;
        let allocs: Vec<_> = state
            .allocs()
            .map(|alloc| (alloc.node_id, alloc.id))
            .collect();
        let Some((node, id)) = pick(&mut self.rng, &allocs).copied() else {
            return false;
        };
        let caller = self.caller();
        let Some(server) = self.reach() else {
            return false;
        };
        let call = caller.stop_alloc(&server, node, id);
        matches!(timeout(USERS_PATIENCE, call).await, Ok(Ok(_)))
    }

    fn end_task(&mut self) -> bool {
        let machine = self.rng.random_range(0..self.machines.len());
        let nth = self.rng.random_range(0..1_000);
        let exit_code = self.rng.random_range(0..=1);
        self.machines[machine].end_task(nth, exit_code)
    }

    fn crash_server(&mut self) -> bool {
        let server = self.rng.random_range(0..self.servers.len());
        let crashed = self.servers[server].crash();
        if crashed {
            let after = self.rng.random_range(100..20_000);
            self.later(after, Undo::Server(server));
        }
        crashed
    }

    /// It stands still just after one of its next writes, and is found dead later.
    fn crash_between_writes(&mut self) -> bool {
        let server = self.rng.random_range(0..self.servers.len());
        if !self.servers[server].runs() || self.store_away {
            return false;
        }
        let writes = self.rng.random_range(1..=12);
        self.servers[server].store.stand_still_after(writes);
        let after = self.rng.random_range(500..5_000);
        self.later(after, Undo::StandsStill(server));
        true
    }

    async fn stop_server(&mut self) -> bool {
        let server = self.rng.random_range(0..self.servers.len());
        if !self.servers[server].runs() {
            return false;
        }
        self.servers[server].stop().await;
        let after = self.rng.random_range(100..5_000);
        self.later(after, Undo::Server(server));
        true
    }

    fn kill_agent(&mut self) -> bool {
        let machine = self.rng.random_range(0..self.machines.len());
        let killed = self.machines[machine].kill_agent();
        if killed {
            let after = self.rng.random_range(100..10_000);
            self.later(after, Undo::Machine(machine));
        }
        killed
    }

    fn power_off(&mut self, for_good: bool) -> bool {
        // Enough of them stay for most jobs.
        let scrapped = self
            .machines
            .iter()
            .filter(|machine| machine.scrapped)
            .count();
        if for_good && (scrapped > 0 || self.rng.random_bool(0.7)) {
            return false;
        }
        let machine = self.rng.random_range(0..self.machines.len());
        let off = self.machines[machine].power_off();
        if off && for_good {
            self.machines[machine].scrapped = true;
        } else if off {
            let after = self.rng.random_range(1_000..60_000);
            self.later(after, Undo::Machine(machine));
        }
        off
    }

    fn cut_off(&mut self) -> bool {
        let machine = self.rng.random_range(0..self.machines.len());
        if self.machines[machine].cut_off || !self.machines[machine].runs() {
            return false;
        }
        self.machines[machine].cut_off();
        let after = self.rng.random_range(1_000..40_000);
        self.later(after, Undo::Reconnect(machine));
        true
    }

    /// A machine that was never here before registers, and is off before any server has a look: its lease is over by
    /// the time the servers are back.
    async fn lose_unseen(&mut self) -> bool {
        if self.store_away || self.rng.random_bool(0.8) {
            return false;
        }
        for server in &mut self.servers {
            server.crash();
        }
        let machine = self.add_machine().await;
        self.pass(Duration::from_secs(2)).await;
        self.machines[machine].power_off();
        self.machines[machine].scrapped = true;
        self.pass(Duration::from_secs(20)).await;
        for server in 0..self.servers.len() {
            self.later(100, Undo::Server(server));
        }
        true
    }

    fn store_away(&mut self) -> bool {
        if self.store_away {
            return false;
        }
        self.store_away = true;
        let away = Faults {
            unavailable: 1.0,
            broken_watch: 1.0,
            ..Faults::default()
        };
        for server in &self.servers {
            server.store.set_faults(away.clone());
        }
        for machine in &self.machines {
            machine.store.set_faults(away.clone());
        }
        let after = self.rng.random_range(500..20_000);
        self.later(after, Undo::Store);
        true
    }

    async fn compact(&mut self) -> bool {
        self.checker.drain();
        let Ok(status) = self.memory.status().await else {
            return false;
        };
        let keep = self.rng.random_range(0..20);
        self.memory
            .compact(status.revision.saturating_sub(keep))
            .await
            .is_ok()
    }
}
