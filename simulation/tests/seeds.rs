//! Seeds of the simulation, many of them on all cores.

use std::{
    num::NonZero,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use rove_controllers::Sabotage;
use rove_simulation::{Failure, Options, Report, default_seeds, run};

/// Runs `count` seeds from `first` on, on every core. The report of all, or the first failure.
fn run_many(first: u64, count: u64, options: Options) -> Result<Report, Failure> {
    let next = AtomicU64::new(first);
    let outcome = Mutex::new((Report::default(), None::<Failure>));
    let threads = thread::available_parallelism().map_or(2, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || outcome.lock().expect("no panic").1.is_some() {
                        return;
                    }
                    let one = run(seed, options);
                    let mut outcome = outcome.lock().expect("no panic");
                    match one {
                        Ok(report) => outcome.0.add(&report),
                        Err(failure) => outcome.1 = Some(failure),
                    }
                }
            });
        }
    });
    let (report, failure) = outcome.into_inner().expect("no panic");
    failure.map_or(Ok(report), Err)
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_thousand_seeds_settle_and_take_every_branch() {
    let first = from_env("ROVE_SIM_FIRST").unwrap_or(1);
    let count = from_env("ROVE_SIM_SEEDS").unwrap_or_else(default_seeds);
    let began = Instant::now();
    match run_many(first, count, Options::default()) {
        Ok(report) => {
            println!("{report}in {:?}", began.elapsed());
            if count >= 1_000 {
                let never = report.never();
                assert!(never.is_empty(), "never came up: {never:#?}");
            }
        }
        Err(failure) => panic!("{failure}"),
    }
}

/// The reproduction that a failure names: `ROVE_SIM_SEED=… cargo test … one_seed`. With `ROVE_SIM_LOG` set to a level
/// it tells what the loops and agents say.
#[test]
fn one_seed() {
    let Some(seed) = from_env("ROVE_SIM_SEED") else {
        return;
    };
    if let Ok(filter) = std::env::var("ROVE_SIM_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .with_ansi(false)
            .init();
    }
    match run(seed, Options::default()) {
        Ok(report) => println!("{report}trace {:016x}", report.trace),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn a_seed_replays_the_same_run() {
    for seed in [3, 17] {
        let trace = || run(seed, Options::default()).map(|report| (report.trace, report.sizes));
        let (one, other) = (trace(), trace());
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "seed {seed}"),
            (one, other) => panic!("{one:?} {other:?}"),
        }
    }
}

fn is_caught(sabotage: Sabotage, word: &str) {
    let options = Options {
        sabotage: Some(sabotage),
    };
    match run_many(1, 100, options) {
        Ok(_) => panic!("{sabotage:?} was not caught"),
        Err(failure) => {
            println!("{sabotage:?} was caught: {failure}");
            let told = failure
                .problems
                .iter()
                .any(|problem| problem.contains(word));
            assert!(told, "for another reason: {failure}");
        }
    }
}

#[test]
fn a_scheduler_that_places_twice_is_caught() {
    is_caught(Sabotage::DoublePlacement, "wanted twice");
}

#[test]
fn a_node_loop_that_forgets_jobs_is_caught() {
    is_caught(Sabotage::LostAlloc, "is gone and has");
}
