//! The simulation: all reconcile loops on two servers and the real node agents over a mock driver, on the memory store
//! under tokio's paused clock, driven by one seed. Faults and changes strike while it runs; then they stop, the world
//! must settle, and the invariants must hold. They are also checked at every revision on the way.
//!
//! A seed that fails is a one-line reproduction: see [`Failure`].

mod chaos;
mod check;
mod client;
mod node;
mod report;
mod server;
mod workload;
mod world;

use std::fmt;

use rove_controllers::Sabotage;
use rove_model::ids::UnixNanos;
use thiserror::Error;

pub use self::report::Report;

/// What a run may be told beside its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// The time at which every run begins.
pub(crate) const EPOCH: UnixNanos = 1_700_000_000_000_000_000;

/// A run that went wrong.
#[derive(Debug, Error)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {seed} failed; again: ROVE_SIM_SEED={seed} cargo test --profile optimised -p rove-simulation one_seed -- --nocapture",
            seed = self.seed
        )?;
        for problem in self.problems.iter().take(100) {
            writeln!(f, "  {problem}")?;
        }
        Ok(())
    }
}

/// Runs one seed.
///
/// # Errors
/// When the world did not settle, or an invariant was broken.
pub fn run(seed: u64, options: Options) -> Result<Report, Failure> {
    let fail = |problem: String| Failure {
        seed,
        problems: vec![problem],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| fail(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(world::live(seed, options));
    outcome.map_err(|problems| Failure { seed, problems })
}

/// How many seeds the tests run unless told otherwise: fewer in a build that is not optimised.
#[must_use]
pub fn default_seeds() -> u64 {
    if env!("ROVE_SIM_OPT_LEVEL") == "0" {
        20
    } else {
        1_000
    }
}
