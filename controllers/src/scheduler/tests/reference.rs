//! Scores and placement failures as Nomad 1.6.5 gives them; the values are those of its recorded answers.

use rove_model::job::{Constraint, Job, Resources, Task, TaskGroup};

use super::super::fixtures::{World, group, job, node, resources, task};

/// The recorded cluster: one node of 4,998 MHz and 24,105 MiB.
fn world() -> World {
    let mut world = World::new(0);
    let mut node = node(1);
    node.resources.cpu = 4_998;
    node.resources.memory_mb = 24_105;
    node.resources.disk_mb = 53_114;
    world.add_node(node);
    world
}

fn cache() -> Job {
    let mut job = job("cache", 1);
    job.task_groups[0].name = "store".to_owned();
    *resources(&mut job) = Resources {
        cpu: Some(50),
        memory_mb: Some(64),
        ..Resources::default()
    };
    job
}

#[test]
fn bin_packing_scores_are_the_recorded_ones() {
    let mut world = world();
    let outcome = world.run_register(&cache());
    let metric = &outcome.plan().unwrap().placements[0].metrics;
    let score = &metric.score_meta_data[0];
    assert!((score.norm_score - 0.016_037_008_017_471_68).abs() < 1e-15);
    assert!((score.scores["binpack"] - 0.016_037_008_017_471_68).abs() < 1e-15);
    for name in [
        "job-anti-affinity",
        "node-affinity",
        "node-reschedule-penalty",
    ] {
        assert!(score.scores[name].abs() < f64::EPSILON, "{name}");
    }
    assert_eq!(metric.nodes_available["dc1"], 1);
    assert_eq!((metric.nodes_evaluated, metric.nodes_in_pool), (1, 1));
}

fn plan9() -> Constraint {
    Constraint {
        ltarget: "${attr.kernel.name}".to_owned(),
        rtarget: "plan9".to_owned(),
        operand: "=".to_owned(),
    }
}

#[test]
fn a_constraint_that_no_node_meets_is_named() {
    let mut world = world();
    let mut stuck = job("stuck", 1);
    stuck.constraints = vec![plan9()];
    let outcome = world.run_register(&stuck);
    let failure = &outcome.eval().failed_groups[&"g".into()];
    assert_eq!(
        failure.constraint_filtered,
        [("${attr.kernel.name} = plan9".to_owned(), 1)].into()
    );
    assert_eq!((failure.nodes_evaluated, failure.nodes_filtered), (1, 1));
    assert_eq!(failure.nodes_exhausted, 0);
    assert!(failure.dimension_exhausted.is_empty() && failure.resources_exhausted.is_empty());
    let deployment = world.deployment("stuck").unwrap();
    assert_eq!(
        deployment.task_groups[&"g".into()].require_progress_by,
        None
    );
}

#[test]
fn a_class_that_an_update_in_place_ruled_out_is_told_so() {
    let mut world = world();
    world.run_register(&cache());
    let mut picky = cache();
    picky.constraints = vec![plan9()];
    let outcome = world.run_register(&picky);
    let failure = &outcome.eval().failed_groups[&"store".into()];
    assert_eq!(
        failure.constraint_filtered,
        [("computed class ineligible".to_owned(), 1)].into()
    );
}

#[test]
fn too_big_a_task_is_told_with_what_it_asked_for() {
    let mut world = world();
    world.run_register(&cache());
    let mut big = cache();
    resources(&mut big).memory_mb = Some(9_000_000);
    let outcome = world.run_register(&big);
    let failure = &outcome.eval().failed_groups[&"store".into()];
    assert_eq!(
        failure.dimension_exhausted,
        [("memory".to_owned(), 1)].into()
    );
    let exhausted = failure.resources_exhausted["t"];
    assert_eq!((exhausted.cpu, exhausted.memory_mb), (0, 9_000_000));
}

#[test]
fn where_there_is_no_datacenter_nothing_is_evaluated() {
    let mut world = world();
    let mut elsewhere = cache();
    elsewhere.datacenters = vec!["moon".to_owned()];
    let outcome = world.run_register(&elsewhere);
    let failure = &outcome.eval().failed_groups[&"store".into()];
    // The reference says no more; the cause in words is rove's own.
    assert_eq!(failure.causes.len(), 1);
    let mut counted = failure.clone();
    counted.causes.clear();
    assert_eq!(counted, Default::default());
    let blocked = &outcome.plan().unwrap().follow_ups[0];
    assert!(blocked.class_eligibility.is_empty());
}

#[test]
fn tasks_of_a_group_are_added_up() {
    let mut world = world();
    let mut pair = job("pair", 1);
    let mut second = task(&mut pair).clone();
    second.name = "u".to_owned();
    pair.task_groups[0].tasks.push(Task { ..second });
    world.run_register(&pair);
    let resources = &world.live("pair")[0].resources;
    assert_eq!((resources.cpu(), resources.memory_mb()), (200, 200));
    assert_eq!(resources.disk_mb, 300);
    let _: TaskGroup = group("x", 1);
}
