//! Whose turn it is among the tasks of a group that have hooks.

use crate::task::{hook::Hook, machine::TaskMachine};

/// Whether a task with this hook may start now, beside `all` of its group.
pub(super) fn is_open(hook: Hook, all: &[TaskMachine]) -> bool {
    let others = |is: fn(Hook) -> bool| all.iter().filter(move |task| is(task.policy().hook));
    match hook {
        // Not beside a main task that is on its way out to be started anew.
        Hook::Prestart { .. } => {
            others(|hook| hook == Hook::Main).all(|task| !task.ends_to_start_anew())
        }
        Hook::Main => others(|hook| matches!(hook, Hook::Prestart { .. })).all(has_prepared),
        Hook::Poststart { .. } => {
            is_open(Hook::Main, all)
                && others(|hook| hook == Hook::Main)
                    .all(|task| task.is_running() || has_ended_well(task))
        }
        Hook::Poststop => {
            others_are_dead(all)
                && others(|hook| hook != Hook::Poststop)
                    .any(|task| task.state().started_at.is_some())
        }
    }
}

/// All have ended but those that run after that.
pub(super) fn others_are_dead(all: &[TaskMachine]) -> bool {
    all.iter()
        .filter(|task| task.policy().hook != Hook::Poststop)
        .all(TaskMachine::is_dead)
}

/// Some clean up after all others, and all others have ended: to start those anew would be to start beside the clean-up.
pub(super) fn only_clean_up_is_left(all: &[TaskMachine]) -> bool {
    others_are_dead(all) && all.iter().any(|task| task.policy().hook == Hook::Poststop)
}

/// There are sidecars, and all whom they could serve have ended.
pub(super) fn only_sidecars_live(all: &[TaskMachine]) -> bool {
    let mut live = all
        .iter()
        .filter(|task| task.policy().hook != Hook::Poststop && !task.is_dead())
        .peekable();
    live.peek().is_some() && live.all(|task| task.policy().hook.is_sidecar())
}

/// The main tasks need not wait for it any longer.
fn has_prepared(task: &TaskMachine) -> bool {
    if task.policy().hook.is_sidecar() {
        task.is_running()
    } else {
        has_ended_well(task)
    }
}

fn has_ended_well(task: &TaskMachine) -> bool {
    task.is_dead() && !task.state().failed && task.state().started_at.is_some()
}
