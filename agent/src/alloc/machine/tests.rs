#![allow(clippy::unwrap_used)]

use rove_model::{
    alloc::AllocResources,
    ids::{DeploymentId, EvalId, JobUid, NodeId},
    job::UpdateStrategy,
};

use super::*;

const RULES: Rules = Rules {
    max_kill_timeout: Nanos::secs(30),
};
use crate::{
    drivers::{ExitResult, TaskHandle, TaskRef},
    task::machine::Found,
};

fn now(seconds: u64) -> Now {
    Now {
        wall: i64::try_from(seconds).unwrap() * 1_000_000_000,
        since_start: Duration::from_secs(seconds),
    }
}

fn job(version: u64, tasks: &[&str], leader: Option<&str>) -> Arc<Job> {
    Arc::new(Job {
        id: "j".to_owned(),
        type_name: "service".to_owned(),
        version,
        task_groups: vec![TaskGroup {
            name: "g".to_owned(),
            update: Some(UpdateStrategy::defaults()),
            tasks: tasks
                .iter()
                .map(|name| Task {
                    name: (*name).to_owned(),
                    leader: leader == Some(*name),
                    ..Task::default()
                })
                .collect(),
            ..TaskGroup::default()
        }],
        ..Job::default()
    })
}

fn alloc(desired_status: DesiredStatus, job_version: u64, deployment: Option<u8>) -> Arc<Alloc> {
    Arc::new(Alloc {
        id: AllocId::from_random([1; 16]),
        eval_id: EvalId::from_random([1; 16]),
        node_id: NodeId::from_random([1; 16]),
        node_name: String::new(),
        namespace: "default".into(),
        job_id: "j".into(),
        job_uid: JobUid::from_random([1; 16]),
        job_version,
        task_group: "g".into(),
        index: 0,
        resources: AllocResources::default(),
        desired_status,
        desired_description: String::new(),
        deployment_id: deployment.map(|number| DeploymentId::from_random([number; 16])),
        canary: false,
        previous_allocation: None,
        follow_up_eval: None,
        no_shutdown_delay: false,
        reschedule_events: Vec::new(),
        metrics: Default::default(),
        create_time: 0,
        modify_time: 0,
    })
}

fn run() -> Arc<Alloc> {
    alloc(DesiredStatus::Run, 0, None)
}

fn stop() -> AllocInput {
    AllocInput::Wanted(alloc(DesiredStatus::Stop, 0, None), 9)
}

fn spec(job: &Arc<Job>) -> AllocInput {
    let version = VersionKey {
        version: job.version,
        ..run().version_key()
    };
    AllocInput::Spec(version, Ok(Arc::clone(job)))
}

fn handle(task: &str) -> TaskHandle {
    let task = TaskRef {
        alloc_id: AllocId::from_random([1; 16]),
        task: task.to_owned(),
        state_dir: "/x".into(),
    };
    TaskHandle::new("mock_driver", task, 0, &serde_json::json!({ "run": 1 }))
}

fn started(index: usize) -> AllocInput {
    AllocInput::Task(index, Input::Started(Ok(handle("t"))))
}

fn built(index: usize) -> AllocInput {
    AllocInput::Task(index, Input::Built(Ok(())))
}

fn exited(index: usize, exit_code: i32) -> AllocInput {
    let exit = ExitResult {
        exit_code,
        ..ExitResult::default()
    };
    AllocInput::Task(index, Input::Exited(exit))
}

fn destroyed(index: usize) -> AllocInput {
    AllocInput::Task(index, Input::Destroyed)
}

fn short(effects: &[AllocEffect]) -> String {
    let words: Vec<String> = effects
        .iter()
        .map(|effect| match effect {
            AllocEffect::FetchSpec(version) => format!("fetch{}", version.version),
            AllocEffect::Task(index, effect) => {
                let word = match effect {
                    Effect::Build => "build",
                    Effect::Start => "start",
                    Effect::AbortStart => "abort",
                    Effect::Wait(_) => "wait",
                    Effect::Stop { .. } => "stop",
                    Effect::Signal(..) => "signal",
                    Effect::Destroy(_) => "destroy",
                    Effect::Recover(_) => "recover",
                };
                format!("{word}{index}")
            }
        })
        .collect();
    words.join(" ")
}

const PENDING: ClientStatus = ClientStatus::Pending;
const RUNNING: ClientStatus = ClientStatus::Running;
const COMPLETE: ClientStatus = ClientStatus::Complete;
const FAILED: ClientStatus = ClientStatus::Failed;

type Step = (AllocInput, &'static str, ClientStatus);

fn play(what: &str, machine: &mut AllocMachine, steps: Vec<Step>) {
    for (number, (input, effects, status)) in steps.into_iter().enumerate() {
        let found = machine.handle(input, now(1), 0.0);
        assert_eq!(short(&found), effects, "{what}, step {number}");
        assert_eq!(
            machine.status().client_status,
            status,
            "{what}, step {number}"
        );
    }
}

/// Two tasks that run.
fn running(leader: Option<&str>) -> AllocMachine {
    let (mut machine, effects) = AllocMachine::new(run(), 1, RULES, now(0));
    assert_eq!(short(&effects), "fetch0");
    play(
        "to running",
        &mut machine,
        vec![
            (spec(&job(0, &["a", "b"], leader)), "", PENDING),
            (AllocInput::MayStart, "build0 build1", PENDING),
            (built(0), "start0", PENDING),
            (built(1), "start1", PENDING),
            (started(0), "wait0", RUNNING),
            (started(1), "wait1", RUNNING),
        ],
    );
    machine
}

#[test]
fn lives_of_an_alloc_with_two_tasks() {
    for (what, leader, steps, over) in [
        (
            "stopped",
            None,
            vec![
                (stop(), "stop0 stop1", RUNNING),
                (exited(0, 0), "destroy0", RUNNING),
                (exited(1, 0), "destroy1", COMPLETE),
                (destroyed(0), "", COMPLETE),
                (destroyed(1), "", COMPLETE),
            ],
            true,
        ),
        (
            "stopped, its leader first",
            Some("b"),
            vec![
                (stop(), "stop1", RUNNING),
                (exited(1, 0), "destroy1 stop0", RUNNING),
                (exited(0, 0), "destroy0", COMPLETE),
            ],
            false,
        ),
        (
            "forgotten by the store",
            None,
            vec![(AllocInput::Unwanted, "stop0 stop1", RUNNING)],
            false,
        ),
        (
            "ended with its agent",
            None,
            vec![(AllocInput::Shutdown, "stop0 stop1", RUNNING)],
            false,
        ),
        (
            "a task fails for good",
            None,
            vec![
                (exited(0, 1), "destroy0 stop1", FAILED),
                (exited(1, 0), "destroy1", FAILED),
            ],
            false,
        ),
        (
            "wanted again after its end: it stays over",
            None,
            vec![
                (stop(), "stop0 stop1", RUNNING),
                (exited(0, 0), "destroy0", RUNNING),
                (exited(1, 0), "destroy1", COMPLETE),
                (destroyed(0), "", COMPLETE),
                (destroyed(1), "", COMPLETE),
                (AllocInput::Wanted(run(), 10), "", COMPLETE),
                (AllocInput::MayStart, "", COMPLETE),
            ],
            true,
        ),
        (
            "a new version in place, told twice",
            None,
            vec![
                (
                    AllocInput::Wanted(alloc(DesiredStatus::Run, 1, None), 5),
                    "fetch1",
                    RUNNING,
                ),
                (
                    AllocInput::Wanted(alloc(DesiredStatus::Run, 1, None), 6),
                    "",
                    RUNNING,
                ),
                (spec(&job(1, &["a", "b"], None)), "", RUNNING),
                (spec(&job(1, &["a", "b"], None)), "", RUNNING),
            ],
            false,
        ),
    ] {
        let mut machine = running(leader);
        play(what, &mut machine, steps);
        assert_eq!(machine.is_over(), over, "{what}");
    }
}

#[test]
fn nothing_starts_before_it_may() {
    let (mut machine, _) = AllocMachine::new(run(), 1, RULES, now(0));
    play(
        "room comes before the specification",
        &mut machine,
        vec![
            (AllocInput::Tick, "", PENDING),
            (AllocInput::MayStart, "", PENDING),
            (spec(&job(0, &["a"], None)), "build0", PENDING),
        ],
    );
    let (mut machine, effects) =
        AllocMachine::new(alloc(DesiredStatus::Stop, 0, None), 1, RULES, now(0));
    assert_eq!(short(&effects), "");
    play(
        "never wanted",
        &mut machine,
        vec![(AllocInput::MayStart, "", COMPLETE)],
    );
    assert!(machine.is_over());
}

#[test]
fn without_a_specification_it_fails_but_what_runs_goes_on() {
    let missing = |version| {
        let key = VersionKey {
            version,
            ..run().version_key()
        };
        AllocInput::Spec(key, Err("it is not there".to_owned()))
    };
    let (mut machine, _) = AllocMachine::new(run(), 1, RULES, now(0));
    play("new", &mut machine, vec![(missing(0), "", FAILED)]);
    assert_eq!(machine.status().client_description, "it is not there");
    assert!(machine.is_over());

    let (mut machine, _) = AllocMachine::new(run(), 1, RULES, now(0));
    let other_group = Arc::new(Job::default());
    play(
        "a job without the group",
        &mut machine,
        vec![(spec(&other_group), "", FAILED)],
    );

    let mut machine = running(None);
    let update = AllocInput::Wanted(alloc(DesiredStatus::Run, 1, None), 5);
    let _ = machine.handle(update, now(1), 0.0);
    let effects = machine.handle(missing(1), now(1), 0.0);
    let status = machine.status();
    assert_eq!((status.client_status, status.job_version), (RUNNING, 0));
    assert_eq!(short(&effects), "", "it is not asked for again at once");
    let update = AllocInput::Wanted(alloc(DesiredStatus::Run, 2, None), 6);
    let effects = machine.handle(update, now(2), 0.0);
    assert_eq!(short(&effects), "fetch2", "another version is");
}

#[test]
fn what_was_saved_is_looked_for_before_anything_starts() {
    let saved = running(None).saved();
    let (mut machine, effects) = AllocMachine::recover(saved.clone(), RULES, now(0));
    assert_eq!(short(&effects), "recover0 recover1");
    assert_eq!(machine.saved(), saved);
    let found = |index, found| AllocInput::Task(index, Input::Recovered(found));
    play(
        "one runs and one is gone",
        &mut machine,
        vec![
            (found(0, Found::Running(handle("t"))), "wait0", RUNNING),
            (found(1, Found::Gone), "", RUNNING),
            (AllocInput::MayStart, "build1", RUNNING),
        ],
    );
}

#[test]
fn health_is_judged_once_for_each_deployment() {
    let mut machine = running(None);
    let wanted = |number| AllocInput::Wanted(alloc(DesiredStatus::Run, 0, Some(number)), 5);
    for (number, begins) in [(1, 10), (2, 50)] {
        let _ = machine.handle(wanted(number), now(begins), 0.0);
        assert_eq!(machine.status().deployment_status, None);
        assert_eq!(machine.next_tick(), Some(Duration::from_secs(begins + 10)));
        let _ = machine.handle(AllocInput::Tick, now(begins + 10), 0.0);
        let health = machine.status().deployment_status.unwrap();
        assert!(health.healthy);
        assert_eq!(
            health.deployment_id,
            Some(DeploymentId::from_random([number; 16]))
        );
        assert_eq!(machine.next_tick(), None);
    }
}

#[test]
fn an_alloc_that_waits_for_a_version_is_not_told_the_time_over_and_over() {
    let mut machine = running(None);
    let judged = AllocInput::Wanted(alloc(DesiredStatus::Run, 0, Some(1)), 5);
    let _ = machine.handle(judged, now(10), 0.0);
    assert_eq!(machine.next_tick(), Some(Duration::from_secs(20)));
    let update = AllocInput::Wanted(alloc(DesiredStatus::Run, 1, Some(2)), 6);
    let _ = machine.handle(update, now(11), 0.0);
    assert_eq!(machine.next_tick(), None);
    // Once it is there, its health is judged from then on.
    let _ = machine.handle(spec(&job(1, &["t", "u"], None)), now(60), 0.0);
    assert_eq!(machine.next_tick(), Some(Duration::from_secs(70)));
}

#[test]
fn a_kill_timeout_is_no_longer_than_the_node_allows() {
    for (asked, given) in [(None, 5), (Some(20), 20), (Some(30), 30), (Some(3_600), 30)] {
        let mut job = (*job(0, &["t"], None)).clone();
        job.task_groups[0].tasks[0].kill_timeout = asked.map(Nanos::secs);
        let (mut machine, _) = AllocMachine::new(run(), 1, RULES, now(0));
        for input in [
            spec(&Arc::new(job)),
            AllocInput::MayStart,
            built(0),
            started(0),
        ] {
            let _ = machine.handle(input, now(1), 0.0);
        }
        assert_eq!(machine.tasks()[0].policy().kill_timeout, Nanos::secs(given));
        let (again, _) = AllocMachine::recover(machine.saved(), RULES, now(0));
        assert_eq!(again.tasks()[0].policy().kill_timeout, Nanos::secs(given));
    }
}

/// An alloc of a group with every hook: `init` and a sidecar before `main`, `after` once it runs, `clean` in the end.
fn with_hooks(kind: &str) -> AllocMachine {
    with_hooks_and_leader(kind, None)
}

/// The same, with the leader's place in the group.
fn with_hooks_and_leader(kind: &str, leader: Option<usize>) -> AllocMachine {
    let task = |name: &str, hook: &str, sidecar| Task {
        name: name.to_owned(),
        lifecycle: (!hook.is_empty()).then(|| rove_model::job::Lifecycle {
            hook: hook.to_owned(),
            sidecar,
        }),
        ..Task::default()
    };
    let mut job = (*job(0, &[], None)).clone();
    job.type_name = kind.to_owned();
    job.task_groups[0].tasks = vec![
        task("init", "prestart", false),
        task("side", "prestart", true),
        task("main", "", false),
        task("after", "poststart", false),
        task("clean", "poststop", false),
    ];
    if let Some(leader) = leader {
        job.task_groups[0].tasks[leader].leader = true;
    }
    let (mut machine, effects) = AllocMachine::new(run(), 1, RULES, now(0));
    assert_eq!(short(&effects), "fetch0");
    play(
        "the specification",
        &mut machine,
        vec![(spec(&Arc::new(job)), "", PENDING)],
    );
    machine
}

fn to_start_of_main() -> Vec<Step> {
    vec![
        (AllocInput::MayStart, "build0 build1", PENDING),
        (built(0), "start0", PENDING),
        (built(1), "start1", PENDING),
        (started(1), "wait1", RUNNING),
        (started(0), "wait0", RUNNING),
    ]
}

fn to_running() -> Vec<Step> {
    let mut steps = to_start_of_main();
    steps.extend([
        (exited(0, 0), "destroy0 build2", RUNNING),
        (destroyed(0), "", RUNNING),
        (built(2), "start2", RUNNING),
        (started(2), "wait2 build3", RUNNING),
        (built(3), "start3", RUNNING),
        (started(3), "wait3", RUNNING),
        (exited(3, 0), "destroy3", RUNNING),
        (destroyed(3), "", RUNNING),
    ]);
    steps
}

#[test]
fn tasks_with_hooks_run_in_their_turn() {
    for (what, kind, before, steps, over) in [
        (
            "the main task of a batch job ends",
            "batch",
            to_running(),
            vec![
                (exited(2, 0), "destroy2 stop1", RUNNING),
                (destroyed(2), "", RUNNING),
                (exited(1, 0), "destroy1 build4", RUNNING),
                (built(4), "start4", RUNNING),
                (destroyed(1), "", RUNNING),
                (started(4), "wait4", RUNNING),
                (exited(4, 0), "destroy4", COMPLETE),
                (destroyed(4), "", COMPLETE),
            ],
            true,
        ),
        (
            "the main task fails",
            "batch",
            to_running(),
            vec![
                (exited(2, 1), "destroy2 stop1", FAILED),
                (exited(1, 0), "destroy1 build4", FAILED),
                (built(4), "start4", FAILED),
                (started(4), "wait4", FAILED),
                (exited(4, 0), "destroy4", FAILED),
            ],
            false,
        ),
        (
            "stopped",
            "service",
            to_running(),
            vec![
                (stop(), "stop2", RUNNING),
                (exited(2, 0), "destroy2 stop1", RUNNING),
                (exited(1, 0), "destroy1 build4", RUNNING),
                (stop(), "", RUNNING),
                (built(4), "start4", RUNNING),
                (started(4), "wait4", RUNNING),
                (stop(), "", RUNNING),
                (exited(4, 3), "destroy4", FAILED),
            ],
            false,
        ),
        (
            "a sidecar of a service ends: it is started again",
            "service",
            to_running(),
            vec![(exited(1, 0), "destroy1", FAILED)],
            false,
        ),
        (
            "what comes before the main task fails",
            "service",
            to_start_of_main(),
            vec![
                (exited(0, 1), "destroy0 stop1", FAILED),
                (exited(1, 0), "destroy1 build4", FAILED),
            ],
            false,
        ),
        (
            "the main task ends as soon as it runs: what comes after its start runs all the same",
            "batch",
            to_start_of_main(),
            vec![
                (exited(0, 0), "destroy0 build2", RUNNING),
                (built(2), "start2", RUNNING),
                (started(2), "wait2 build3", RUNNING),
                (exited(2, 0), "destroy2", RUNNING),
                (built(3), "start3", RUNNING),
                (started(3), "wait3", RUNNING),
                (exited(3, 0), "destroy3 stop1", RUNNING),
                (exited(1, 0), "destroy1 build4", RUNNING),
            ],
            false,
        ),
        (
            "stopped before anything was started: there is nothing to clean up",
            "service",
            vec![(AllocInput::MayStart, "build0 build1", PENDING)],
            vec![
                (stop(), "", PENDING),
                (built(0), "", PENDING),
                (built(1), "", COMPLETE),
            ],
            true,
        ),
        (
            "the agent ends: nothing is started any more",
            "service",
            to_running(),
            vec![
                (AllocInput::Shutdown, "stop2", RUNNING),
                (exited(2, 0), "destroy2 stop1", RUNNING),
                (exited(1, 0), "destroy1", COMPLETE),
            ],
            false,
        ),
    ] {
        let mut machine = with_hooks(kind);
        play(what, &mut machine, before);
        if what.starts_with("a sidecar") {
            // Two restarts in half an hour, by its group's policy.
            assert!(machine.tasks()[1].policy().restart_on_success, "{what}");
            assert!(!machine.tasks()[0].policy().restart_on_success, "{what}");
            continue;
        }
        play(what, &mut machine, steps);
        assert_eq!(machine.is_over(), over, "{what}");
    }
}

#[test]
fn a_leader_that_only_cleans_up_keeps_nobody_from_being_stopped() {
    let mut machine = with_hooks_and_leader("service", Some(4));
    play("to running", &mut machine, to_running());
    play(
        "stopped",
        &mut machine,
        vec![
            (stop(), "stop2", RUNNING),
            (exited(2, 0), "destroy2 stop1", RUNNING),
            (exited(1, 0), "destroy1 build4", RUNNING),
        ],
    );
}

#[test]
fn nothing_starts_anew_beside_the_clean_up() {
    let mut machine = with_hooks("batch");
    play("to running", &mut machine, to_running());
    play(
        "to the clean-up",
        &mut machine,
        vec![
            (exited(2, 0), "destroy2 stop1", RUNNING),
            (exited(1, 0), "destroy1 build4", RUNNING),
            (built(4), "start4", RUNNING),
            (started(4), "wait4", RUNNING),
        ],
    );
    let (_, effects) = machine.restart_all(now(1));
    let effects = short(&effects);
    assert!(
        !effects.contains("start") && !effects.contains("build"),
        "{effects}"
    );
}

#[test]
fn all_tasks_of_an_alloc_start_anew_in_their_turn() {
    let mut machine = with_hooks("service");
    play("to running", &mut machine, to_running());
    let (any, effects) = machine.restart_all(now(1));
    assert!(any);
    // What prepares the main task's data doesn't run beside the main task that is on its way out.
    assert_eq!(short(&effects), "stop1 stop2");
    play(
        "again",
        &mut machine,
        vec![
            (exited(2, 0), "destroy2 start0", RUNNING),
            (destroyed(2), "", RUNNING),
            (started(0), "wait0", RUNNING),
            (exited(0, 0), "destroy0", RUNNING),
            (exited(1, 0), "destroy1", PENDING),
            (destroyed(1), "start1", PENDING),
            (started(1), "wait1 start2", RUNNING),
            (started(2), "wait2 start3", RUNNING),
        ],
    );
}

#[test]
fn an_agent_that_comes_back_goes_on_with_the_turns() {
    let mut machine = with_hooks("batch");
    play("to running", &mut machine, to_running());
    play(
        "to the end of the main task",
        &mut machine,
        vec![(exited(2, 0), "destroy2 stop1", RUNNING)],
    );
    let (mut machine, effects) = AllocMachine::recover(machine.saved(), RULES, now(2));
    assert_eq!(short(&effects), "recover1 destroy2");
    play(
        "the sidecar ended meanwhile",
        &mut machine,
        vec![
            (
                AllocInput::Task(
                    1,
                    Input::Recovered(Found::Exited(handle("t"), ExitResult::default())),
                ),
                "destroy1 build4",
                RUNNING,
            ),
            (built(4), "start4", RUNNING),
        ],
    );
}
