//! What every loop runs in: loads the newest state, lets the loop decide on a key, commits the decision fenced, and
//! looks again once the outcome can be seen.
//!
//! Invariants: one decision of a key at a time; nothing is decided before the state shows this server's own election;
//! a decision counts as under way until the state has its outcome, and is shown to other decisions meanwhile.

pub mod commit;
pub mod counters;
pub mod queue;
mod run;

use std::{fmt::Display, sync::Arc};

use rand::{SeedableRng, rngs::StdRng};
use rove_model::ids::{Revision, UnixNanos};
use rove_store::{
    election::{Fence, Term},
    keys::{Key, Keys},
    state::{State, StateHandle},
    store::Store,
};
use tokio::{runtime::Handle, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::{counters::Counters, run::Run};
use crate::{clock::Clock, decision::Decision};

/// What happened, for a loop to find out which keys it has to look at.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Anything may have: at the start of a term, after the store or the clock was set back, and when there was more to
    /// look at than is kept in mind.
    Everything,
    /// These keys changed.
    Keys(&'a [Key]),
}

/// What a decision is made on.
#[derive(Debug)]
pub struct View<'a, L: Loop + ?Sized> {
    /// The store's content at one revision.
    pub state: &'a State,
    /// What the loop noted while it leads.
    pub memory: &'a L::Memory,
    /// Decisions that the state does not show yet.
    pub in_flight: &'a [L::Memo],
    /// The time now.
    pub now: UnixNanos,
}

/// The start of a term, as a loop may need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Began {
    /// The revision of the election.
    pub revision: Revision,
    /// When.
    pub at: UnixNanos,
}

/// A loop: brings one thing of the observed state in line with what is desired.
pub trait Loop: Send + Sync + 'static {
    /// Its name, and that of its election.
    const NAME: &'static str;
    /// Every way its decisions take.
    const BRANCHES: &'static [&'static str];
    /// What it looks at.
    type Key: Clone + Ord + Display + Send + Sync + 'static;
    /// What it notes while it leads: no truth, only what spares or delays work.
    type Memory: Send + Sync + 'static;
    /// What others need to know of a decision that is under way.
    type Memo: Clone + Send + Sync + 'static;

    /// The memory of a term that begins.
    fn begin(&self, began: Began) -> Self::Memory;

    /// Takes news in and calls `wake` for each key to look at, with the time and the priority.
    fn notice(
        &self,
        memory: &mut Self::Memory,
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(Self::Key, UnixNanos, i32),
    );

    /// The loop fell behind: what follows is the difference of two states, in which what came and went between them is
    /// not told.
    fn missed(&self, _memory: &mut Self::Memory, _state: &State) {}

    /// What was seen of the store may never have been: it was put back to a copy of before. Everything is noticed anew
    /// after that.
    fn lost_track(&self, _memory: &mut Self::Memory) {}

    /// A decision is about to be written.
    fn decided(&self, _memory: &mut Self::Memory, _state: &State, _memo: &Self::Memo) {}

    /// A decision was written and `state` shows it, or it came to nothing. Calls `wake` as [`Loop::notice`] does.
    fn settled(
        &self,
        _memory: &mut Self::Memory,
        _state: &State,
        _memo: &Self::Memo,
        _written: bool,
        _wake: &mut dyn FnMut(Self::Key, i32),
    ) {
    }

    /// A key that can't be read and that a decision on `key` would rest on: none is made while there is one.
    fn unreadable<'s>(&self, _state: &'s State, _key: &Self::Key) -> Option<&'s Key> {
        None
    }

    /// Decides on one key. The same view and the same randomness give the same decision.
    fn decide(
        &self,
        view: &View<'_, Self>,
        key: &Self::Key,
        rng: &mut StdRng,
    ) -> Decision<Self::Memo>;
}

/// What all loops of a server share.
#[derive(Clone)]
pub struct Runtime {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
    /// The state that decisions are made on.
    pub state: StateHandle,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Which ways decisions take.
    pub counters: Counters,
    /// Seeds all that is random.
    pub seed: u64,
    /// The threads that loops run on; `None` for those of whoever starts them.
    pub threads: Option<Handle>,
}

/// The ways a commit takes, counted beside the branches.
pub const OUTCOMES: &[&str] = &[COMMITTED, "conflict", "lost answer"];

const COMMITTED: &str = "committed";

/// The way of what can't be committed at all: counted when it happens, and never expected.
pub const REFUSED: &str = "refused";

/// The way of a decision that panicked: counted when it happens, and never expected.
pub const PANICKED: &str = "panicked";

/// The way of a key that is not decided on since something it rests on can't be read: counted when it happens.
pub const UNREADABLE: &str = "unreadable";

impl Runtime {
    /// Starts a loop on its threads. It is told of terms by what is given back.
    pub fn spawn<L: Loop>(
        &self,
        looper: L,
        cancel: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> watch::Sender<Option<Term>> {
        let (told, term) = watch::channel(None);
        let runs = self.clone().run(looper, term, cancel.clone());
        match &self.threads {
            Some(threads) => tasks.spawn_on(runs, threads),
            None => tasks.spawn(runs),
        };
        told
    }

    /// Runs a loop whenever this server leads, until `cancel`.
    pub async fn run<L: Loop>(
        self,
        looper: L,
        mut term: watch::Receiver<Option<Term>>,
        cancel: CancellationToken,
    ) {
        for branch in L::BRANCHES.iter().chain(OUTCOMES) {
            self.counters.declare(L::NAME, branch);
        }
        let mut rng = StdRng::seed_from_u64(self.seed ^ hash(L::NAME));
        while !cancel.is_cancelled() {
            let leads = term.borrow_and_update().clone();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                changed = term.changed() => if changed.is_err() { return },
                () = async {
                    if let Some(leads) = leads {
                        self.lead(&looper, leads.fence(L::NAME), &mut rng).await;
                    }
                    // Deposed by what the state shows: the election will say so too.
                    std::future::pending().await
                } => {}
            }
        }
    }

    async fn lead<L: Loop>(&self, looper: &L, fence: Fence, rng: &mut StdRng) {
        let mut feed = self.state.subscribe();
        let state = loop {
            let state = self.state.latest();
            if state.revision() >= fence.create_revision {
                break state;
            }
            if feed.next().await.is_err() {
                return;
            }
        };
        let began = Began {
            revision: fence.create_revision,
            at: self.clock.now(),
        };
        let mut run = Run::new(self, looper, began, state, fence, rng);
        info!(
            name = L::NAME,
            since = began.revision,
            "the loop begins to lead"
        );
        run.go(feed).await;
        info!(name = L::NAME, "the loop no longer leads");
    }
}

/// Keeps the loops' random streams apart (FNV-1a).
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
pub(crate) mod tests;
