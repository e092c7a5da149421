//! `job plan`.

use rand::{SeedableRng, rngs::StdRng};
use rove_model::{eval::EvalStatus, job::Job};

use super::super::{
    Cluster, DryRun, Proposal, Snapshot, dry_run,
    fixtures::{World, job, resources, task},
};

fn plan(world: &World, job: &Job, makes_version: bool) -> DryRun {
    let cluster = Cluster::new(&world.state);
    let view = Snapshot {
        state: &world.state,
        cluster: &cluster,
    };
    let proposal = Proposal { job, makes_version };
    dry_run(&view, proposal, world.now, &mut StdRng::seed_from_u64(1))
}

#[test]
fn a_dry_run_says_what_registering_would_do() {
    type Change = fn(&mut World, &mut Job) -> bool;
    let rows: [(&str, Change, [u64; 5]); 6] = [
        (
            "a new job",
            |_, job| {
                job.id = "other".to_owned();
                true
            },
            [1, 0, 0, 0, 0],
        ),
        ("no change", |_, _| false, [0, 1, 0, 0, 0]),
        (
            "count 1 to 3",
            |_, job| {
                job.task_groups[0].count = Some(3);
                true
            },
            [2, 0, 1, 0, 0],
        ),
        (
            "another environment",
            |_, job| {
                task(job).env.insert("A".to_owned(), "b".to_owned());
                true
            },
            [0, 0, 0, 1, 0],
        ),
        (
            "count 1 to 0",
            |_, job| {
                job.task_groups[0].count = Some(0);
                true
            },
            [0, 0, 0, 0, 1],
        ),
        (
            "a stopped job",
            |world, _| {
                let eval = world.stop("j", false);
                world.run(&eval);
                true
            },
            [1, 0, 0, 0, 0],
        ),
    ];
    for (what, change, expected) in rows {
        let mut world = World::new(1);
        let mut job = job("j", 1);
        world.run_register(&job);
        world.all_healthy("j");
        let makes_version = change(&mut world, &mut job);
        let before = world.state.revision();
        let run = plan(&world, &job, makes_version);
        let desired = run.desired[&"g".into()];
        assert_eq!(
            [
                desired.place,
                desired.ignore,
                desired.in_place_update,
                desired.destructive_update,
                desired.stop
            ],
            expected,
            "{what}"
        );
        assert!(
            run.failed_groups.is_empty() && run.created_evals.is_empty(),
            "{what}"
        );
        assert_eq!(world.state.revision(), before);
    }
}

#[test]
fn what_would_find_no_place_is_told_with_the_evaluation_that_would_wait() {
    let mut world = World::new(1);
    let mut job = job("j", 1);
    world.run_register(&job);
    resources(&mut job).memory_mb = Some(9_000_000);
    let run = plan(&world, &job, true);
    assert_eq!(run.desired[&"g".into()].destructive_update, 1);
    let failure = &run.failed_groups[&"g".into()];
    assert_eq!(failure.dimension_exhausted["memory"], 1);
    assert_eq!(run.created_evals.len(), 1);
    assert_eq!(run.created_evals[0].status, EvalStatus::Blocked);
    assert_eq!(run.created_evals[0].previous_eval, Some(run.eval.id));
    assert_eq!(
        run.created_evals[0].job_modify_index,
        world.state.revision() + 1
    );
}
