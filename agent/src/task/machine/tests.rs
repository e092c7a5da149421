#![allow(clippy::unwrap_used)]

use rove_model::ids::AllocId;

use super::*;
use crate::drivers::TaskRef;

fn now(seconds: u64) -> Now {
    Now {
        wall: i64::try_from(seconds).unwrap() * 1_000_000_000,
        since_start: Duration::from_secs(seconds),
    }
}

fn policy() -> Policy {
    Policy {
        restart: RestartPolicy {
            interval: Some(Nanos::mins(30)),
            attempts: Some(1),
            delay: Some(Nanos::secs(15)),
            mode: Some("fail".to_owned()),
            render_templates: None,
        },
        restart_on_success: true,
        kill_timeout: Nanos::secs(5),
        kill_signal: None,
        shutdown_delay: Duration::ZERO,
        leader: false,
        hook: crate::task::hook::Hook::Main,
    }
}

fn handle(run: u64) -> TaskHandle {
    let task = TaskRef {
        alloc_id: AllocId::from_random([1; 16]),
        task: "t".to_owned(),
        state_dir: "/x".into(),
    };
    TaskHandle::new("mock_driver", task, 0, &serde_json::json!({ "run": run }))
}

fn failed_exit() -> ExitResult {
    ExitResult {
        exit_code: 1,
        ..ExitResult::default()
    }
}

fn no_start(recoverable: bool) -> Input {
    Input::Started(Err(StartFailure {
        message: "no".to_owned(),
        recoverable,
        in_setup: false,
    }))
}

fn short(effects: &[Effect]) -> String {
    let words: Vec<String> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Build => "build".to_owned(),
            Effect::Start => "start".to_owned(),
            Effect::AbortStart => "abort".to_owned(),
            Effect::Wait(_) => "wait".to_owned(),
            Effect::Stop { .. } => "stop".to_owned(),
            Effect::Signal(..) => "signal".to_owned(),
            Effect::Destroy(_) => "destroy".to_owned(),
            Effect::Recover(handle) => format!("recover {}", handle.is_some()),
        })
        .collect();
    words.join(" ")
}

fn state(machine: &TaskMachine) -> &'static str {
    match (machine.state().state, machine.state().failed) {
        (TaskLifeState::Pending, _) => "pending",
        (TaskLifeState::Running, _) => "running",
        (TaskLifeState::Dead, false) => "dead",
        (TaskLifeState::Dead, true) => "failed",
    }
}

const STOP: Input = Input::Stop(StopCause::Wanted);

/// A step: when, what happens, what is to be done, what is then known.
type Step = (u64, Input, &'static str, &'static str);

fn play(what: &str, machine: &mut TaskMachine, steps: Vec<Step>) {
    for (number, (at, input, effects, known)) in steps.into_iter().enumerate() {
        let said = format!("{what}, step {number}: {input:?}");
        let found = machine.handle(input, now(at), 0.0);
        assert_eq!(short(&found), effects, "{said}");
        assert_eq!(state(machine), known, "{said}");
    }
}

fn started() -> Input {
    Input::Started(Ok(handle(1)))
}

#[test]
fn lives_of_a_task() {
    let to_running = || -> Vec<Step> {
        vec![
            (0, Input::Go, "build", "pending"),
            (0, Input::Go, "", "pending"),
            (0, Input::Built(Ok(())), "start", "pending"),
            (1, started(), "wait", "running"),
        ]
    };
    let then = |steps: Vec<Step>| {
        let mut all = to_running();
        all.extend(steps);
        all
    };
    for (what, steps, over) in [
        (
            "stopped as it runs",
            then(vec![
                (2, STOP, "stop", "running"),
                (2, STOP, "", "running"),
                (3, Input::Exited(failed_exit()), "destroy", "dead"),
                (3, Input::Exited(failed_exit()), "", "dead"),
                (3, Input::Destroyed, "", "dead"),
                (4, Input::Go, "", "dead"),
            ]),
            true,
        ),
        (
            "dead, but something is left of it",
            then(vec![
                (2, STOP, "stop", "running"),
                (3, Input::Exited(failed_exit()), "destroy", "dead"),
            ]),
            false,
        ),
        (
            "fails, is restarted, fails again",
            then(vec![
                (10, Input::Exited(failed_exit()), "destroy", "pending"),
                (26, Input::Tick, "", "pending"),
                (27, Input::Destroyed, "start", "pending"),
                (28, Input::Started(Ok(handle(2))), "wait", "running"),
                (30, Input::Exited(failed_exit()), "destroy", "failed"),
                (30, Input::Destroyed, "", "failed"),
            ]),
            true,
        ),
        (
            "waits for its restart when it is removed at once",
            then(vec![
                (10, Input::Exited(failed_exit()), "destroy", "pending"),
                (10, Input::Destroyed, "", "pending"),
                (24, Input::Tick, "", "pending"),
                (25, Input::Tick, "start", "pending"),
            ]),
            false,
        ),
        (
            "stopped while it waits for its restart",
            then(vec![
                (10, Input::Exited(failed_exit()), "destroy", "pending"),
                (10, Input::Destroyed, "", "pending"),
                (11, STOP, "", "dead"),
                (99, Input::Tick, "", "dead"),
            ]),
            true,
        ),
        (
            "a user restarts it",
            then(vec![
                (5, Input::Restart, "stop", "running"),
                (5, Input::Restart, "", "running"),
                (6, Input::Exited(failed_exit()), "destroy", "pending"),
                (6, Input::Destroyed, "start", "pending"),
            ]),
            false,
        ),
        (
            "stopped while a user's restart is under way",
            then(vec![
                (5, Input::Restart, "stop", "running"),
                (5, STOP, "", "running"),
                (6, Input::Exited(failed_exit()), "destroy", "dead"),
                (6, Input::Destroyed, "", "dead"),
            ]),
            true,
        ),
        (
            "a signal",
            then(vec![(5, Input::Signal(Signal::HUP), "signal", "running")]),
            false,
        ),
        (
            "stopped before it may start",
            vec![(0, STOP, "", "dead")],
            true,
        ),
        (
            "stopped while its directory is built",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, STOP, "", "pending"),
                (0, Input::Built(Ok(())), "", "dead"),
            ],
            true,
        ),
        (
            "stopped as it starts",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Ok(())), "start", "pending"),
                (0, STOP, "abort", "pending"),
                (0, Input::StartAborted, "", "dead"),
            ],
            true,
        ),
        (
            "stopped as it starts, but too late",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Ok(())), "start", "pending"),
                (0, STOP, "abort", "pending"),
                (0, started(), "wait stop", "running"),
                (1, Input::Exited(failed_exit()), "destroy", "dead"),
                (1, Input::Destroyed, "", "dead"),
            ],
            true,
        ),
        (
            "can't be started for now",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Ok(())), "start", "pending"),
                (1, no_start(true), "", "pending"),
                (16, Input::Tick, "start", "pending"),
                (17, no_start(true), "", "failed"),
            ],
            true,
        ),
        (
            "can never be started",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Ok(())), "start", "pending"),
                (1, no_start(false), "", "failed"),
            ],
            true,
        ),
        (
            "has no directory",
            vec![
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Err("disk full".to_owned())), "", "pending"),
                (15, Input::Tick, "start", "pending"),
            ],
            false,
        ),
    ] {
        let mut machine = TaskMachine::new("t", policy(), now(0));
        play(what, &mut machine, steps);
        assert_eq!(machine.is_over(), over, "{what}");
    }
}

#[test]
fn a_shutdown_delay_lets_it_go_on_before_it_is_asked_to_end() {
    let policy = Policy {
        shutdown_delay: Duration::from_secs(3),
        ..policy()
    };
    let mut machine = TaskMachine::new("t", policy.clone(), now(0));
    play(
        "a delay",
        &mut machine,
        vec![
            (0, Input::Go, "build", "pending"),
            (0, Input::Built(Ok(())), "start", "pending"),
            (0, started(), "wait", "running"),
            (5, STOP, "", "running"),
            (7, Input::Tick, "", "running"),
            (8, Input::Tick, "stop", "running"),
            (8, Input::Exited(failed_exit()), "destroy", "dead"),
        ],
    );
    let at_once = || Input::Stop(StopCause::WantedAtOnce);
    for (what, steps) in [
        (
            "asked to skip it",
            vec![
                (5, at_once(), "stop", "running"),
                (5, at_once(), "", "running"),
            ],
        ),
        (
            "asked to skip what is left of it",
            vec![
                (5, STOP, "", "running"),
                (6, at_once(), "stop", "running"),
                (6, STOP, "", "running"),
                (8, Input::Tick, "", "running"),
            ],
        ),
    ] {
        let mut machine = TaskMachine::new("t", policy.clone(), now(0));
        for input in [Input::Go, Input::Built(Ok(())), started()] {
            let _ = machine.handle(input, now(0), 0.0);
        }
        play(what, &mut machine, steps);
    }
}

#[test]
fn a_user_restarts_a_task_that_has_ended() {
    let policy = Policy {
        restart_on_success: false,
        ..policy()
    };
    let well = || Input::Exited(ExitResult::default());
    let begin = || -> Vec<Step> {
        vec![
            (0, Input::Go, "build", "pending"),
            (0, Input::Built(Ok(())), "start", "pending"),
            (0, started(), "wait", "running"),
        ]
    };
    for (what, steps) in [
        (
            "after it was removed, and again",
            vec![
                (1, well(), "destroy", "dead"),
                (1, Input::Destroyed, "", "dead"),
                (2, Input::Restart, "", "dead"),
                (3, Input::RestartEvenEnded, "start", "pending"),
                (3, Input::RestartEvenEnded, "", "pending"),
                (4, Input::Started(Ok(handle(2))), "wait", "running"),
                (5, well(), "destroy", "dead"),
            ],
        ),
        (
            "before it was removed",
            vec![
                (1, well(), "destroy", "dead"),
                (1, Input::RestartEvenEnded, "", "pending"),
                (1, Input::Destroyed, "start", "pending"),
            ],
        ),
        (
            "while it runs",
            vec![
                (1, Input::RestartEvenEnded, "stop", "running"),
                (2, Input::Exited(failed_exit()), "destroy", "pending"),
                (2, Input::Destroyed, "start", "pending"),
            ],
        ),
        (
            "but not when it was to end",
            vec![
                (1, STOP, "stop", "running"),
                (2, Input::Exited(failed_exit()), "destroy", "dead"),
                (2, Input::Destroyed, "", "dead"),
                (3, Input::RestartEvenEnded, "", "dead"),
            ],
        ),
    ] {
        let mut machine = TaskMachine::new("t", policy.clone(), now(0));
        let mut all = begin();
        all.extend(steps);
        play(what, &mut machine, all);
    }
}

#[test]
fn what_is_found_of_a_task_after_the_agent_was_away() {
    let pending = TaskMachine::new("t", policy(), now(0)).saved().clone();
    let running = {
        let mut machine = TaskMachine::new("t", policy(), now(0));
        for input in [Input::Go, Input::Built(Ok(())), started()] {
            let _ = machine.handle(input, now(0), 0.0);
        }
        machine
    };
    let ended = {
        let mut machine = running.clone();
        let _ = machine.handle(Input::Exited(failed_exit()), now(0), 0.0);
        machine.saved().clone()
    };
    let stopped = {
        let mut machine = running.clone();
        let _ = machine.handle(STOP, now(0), 0.0);
        let _ = machine.handle(Input::Exited(failed_exit()), now(0), 0.0);
        machine.saved().clone()
    };
    let running = running.saved().clone();
    let intent = Saved {
        intent: true,
        ..pending.clone()
    };
    let found = Input::Recovered;
    for (what, saved, first, steps) in [
        (
            "never begun",
            pending,
            "",
            vec![(0, Input::Go, "build", "pending")],
        ),
        (
            "runs on",
            running.clone(),
            "recover true",
            vec![
                (0, Input::Go, "", "running"),
                (0, found(Found::Running(handle(1))), "wait", "running"),
                (1, STOP, "stop", "running"),
            ],
        ),
        (
            "stopped before it was looked at",
            running.clone(),
            "recover true",
            vec![
                (0, STOP, "", "running"),
                (0, found(Found::Running(handle(1))), "wait stop", "running"),
            ],
        ),
        (
            "ended meanwhile",
            running.clone(),
            "recover true",
            vec![
                (
                    0,
                    found(Found::Exited(handle(1), failed_exit())),
                    "destroy",
                    "pending",
                ),
                (1, Input::Destroyed, "", "pending"),
                // Whether it is still wanted is not known yet.
                (15, Input::Tick, "", "pending"),
                (20, Input::Go, "start", "pending"),
            ],
        ),
        (
            "ended meanwhile, and known to be wanted before its restart is due",
            running.clone(),
            "recover true",
            vec![
                (0, Input::Go, "", "running"),
                (
                    0,
                    found(Found::Exited(handle(1), failed_exit())),
                    "destroy",
                    "pending",
                ),
                (1, Input::Destroyed, "", "pending"),
                (14, Input::Tick, "", "pending"),
                (15, Input::Tick, "start", "pending"),
            ],
        ),
        (
            "ended meanwhile, and not wanted any more",
            running.clone(),
            "recover true",
            vec![
                (
                    0,
                    found(Found::Exited(handle(1), failed_exit())),
                    "destroy",
                    "pending",
                ),
                (1, Input::Destroyed, "", "pending"),
                (15, Input::Tick, "", "pending"),
                (20, STOP, "", "dead"),
            ],
        ),
        (
            "runs on, and ends before it is known to be wanted",
            running.clone(),
            "recover true",
            vec![
                (0, found(Found::Running(handle(1))), "wait", "running"),
                (1, Input::Exited(failed_exit()), "destroy", "pending"),
                (1, Input::Destroyed, "", "pending"),
                (30, Input::Tick, "", "pending"),
                (31, Input::Go, "start", "pending"),
            ],
        ),
        (
            "gone with a reboot",
            running,
            "recover true",
            vec![
                (0, found(Found::Gone), "", "pending"),
                (0, Input::Go, "build", "pending"),
                (0, Input::Built(Ok(())), "start", "pending"),
            ],
        ),
        (
            "started, and never recorded",
            intent.clone(),
            "recover false",
            vec![(0, found(Found::Running(handle(1))), "wait", "running")],
        ),
        (
            "about to be started, and never was",
            intent.clone(),
            "recover false",
            vec![
                (0, found(Found::NeverStarted), "", "pending"),
                (0, Input::Go, "build", "pending"),
            ],
        ),
        (
            "about to be started, and not wanted any more",
            intent,
            "recover false",
            vec![
                (0, STOP, "", "pending"),
                (0, found(Found::NeverStarted), "", "dead"),
            ],
        ),
        (
            "ended, and not yet removed",
            ended.clone(),
            "destroy",
            vec![
                (0, Input::Tick, "", "pending"),
                (0, Input::Destroyed, "", "pending"),
                (1, Input::Tick, "", "pending"),
                (1, Input::Go, "start", "pending"),
            ],
        ),
        (
            "ended, not yet removed, and known to be wanted before it is",
            ended,
            "destroy",
            vec![
                (0, Input::Go, "", "pending"),
                (0, Input::Destroyed, "start", "pending"),
            ],
        ),
        (
            "stopped, and not yet removed",
            stopped,
            "destroy",
            vec![
                (0, Input::Go, "", "dead"),
                (0, Input::Destroyed, "", "dead"),
            ],
        ),
    ] {
        let (mut machine, effects) = TaskMachine::recover("t", policy(), saved, now(0));
        assert_eq!(short(&effects), first, "{what}");
        play(what, &mut machine, steps);
    }
}

proptest::proptest! {
    /// Whatever happens in whatever order: a start is only asked for when the record says so and nothing else of the
    /// task is there, and a dead task does nothing but be removed.
    #[test]
    fn no_order_of_events_starts_a_task_twice(choices in proptest::collection::vec(0..14u8, 0..60)) {
        let mut machine = TaskMachine::new("t", policy(), now(0));
        let mut run = 0;
        let mut starting = false;
        let mut there = false;
        for (at, choice) in choices.into_iter().enumerate() {
            let input = match choice {
                0 => Input::Go,
                1 => Input::Built(Ok(())),
                2 => Input::Built(Err("no".to_owned())),
                3 | 4 if starting => { run += 1; Input::Started(Ok(handle(run))) }
                5 if starting => no_start(true),
                6 if starting => Input::StartAborted,
                7 | 8 if there => Input::Exited(failed_exit()),
                9 | 10 => Input::Destroyed,
                11 => Input::Restart,
                12 => STOP,
                _ => Input::Tick,
            };
            // Removal is only told after an end.
            if matches!(input, Input::Destroyed) && (there || starting) {
                continue;
            }
            match input {
                Input::Started(Ok(_)) => { starting = false; there = true; }
                Input::Started(Err(_)) | Input::StartAborted => starting = false,
                Input::Exited(_) => there = false,
                _ => {}
            }
            let was_dead = machine.is_dead();
            let effects = machine.handle(input, now(at as u64 * 7), 0.5);
            for effect in effects {
                match effect {
                    Effect::Start => {
                        proptest::prop_assert!(!starting && !there && !was_dead);
                        proptest::prop_assert!(machine.saved().intent && machine.saved().handle.is_none());
                        starting = true;
                    }
                    Effect::Build | Effect::Wait(_) | Effect::Stop { .. } => proptest::prop_assert!(!was_dead),
                    _ => {}
                }
            }
        }
    }
}
