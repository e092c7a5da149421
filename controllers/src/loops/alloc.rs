//! `alloc`: an alloc that failed for good, or that a user wants stopped and replaced, asks for an evaluation of its
//! job. When and where it is replaced is the scheduler's to say.

use rand::rngs::StdRng;
use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    eval::{EvalStatus, TriggeredBy},
    ids::{JobKey, Revision, UnixNanos},
};
use rove_store::{keys::Key, state::State};

use crate::{
    decision::{Decision, Write},
    loops::asking::{asks_for_eval, derived_id, new_eval},
    runtime::{Began, Loop, News, View},
    scheduler::is_for_every_node,
};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocLoop;

const NOTHING: &str = "nothing failed";
const SEEN: &str = "failure seen already";
const FAILED: &str = "eval for a failure";
const STOP: &str = "eval for a stop asked for";

/// Evaluations for stops made in one transaction.
const STOPS_AT_ONCE: usize = 50;

impl Loop for AllocLoop {
    const NAME: &'static str = "alloc";
    const BRANCHES: &'static [&'static str] = &[NOTHING, SEEN, FAILED, STOP];
    type Key = JobKey;
    type Memory = ();
    type Memo = ();

    fn begin(&self, _: Began) {}

    fn notice(
        &self,
        (): &mut (),
        state: &State,
        news: News<'_>,
        now: UnixNanos,
        wake: &mut dyn FnMut(JobKey, UnixNanos, i32),
    ) {
        match news {
            News::Everything => {
                for (job, _) in state.registrations() {
                    wake(job.clone(), now, 0);
                }
            }
            News::Keys(keys) => {
                for key in keys {
                    let job = match key {
                        Key::AllocStatus(_, id)
                            if state.client_status(*id) == ClientStatus::Failed =>
                        {
                            state.alloc(*id).map(|alloc| alloc.job())
                        }
                        Key::AllocControl(_, id) => state.alloc(*id).map(|alloc| alloc.job()),
                        // A failure that came while a plan was under way is looked at when that is done.
                        Key::Eval(id) => state
                            .eval(*id)
                            .filter(|eval| eval.status != EvalStatus::Pending)
                            .map(|eval| eval.job()),
                        _ => None,
                    };
                    if let Some(job) = job {
                        wake(job, now, 0);
                    }
                }
            }
        }
    }

    fn unreadable<'s>(&self, state: &'s State, job: &JobKey) -> Option<&'s Key> {
        state.unreadable_of_job(job)
    }

    fn decide(&self, view: &View<'_, Self>, job: &JobKey, _: &mut StdRng) -> Decision {
        let state = view.state;
        // What failed on every node is replaced there by the next evaluation, which nobody asks for: it would fail again.
        let replaced = state
            .current_job(job)
            .is_none_or(|version| !is_for_every_node(&version.job));
        let mut stops = Vec::new();
        let mut failure: Option<Revision> = None;
        for alloc in state
            .allocs_of_job(job)
            .filter(|alloc| alloc.desired_status == DesiredStatus::Run)
        {
            if let Some(asked) = state
                .alloc_control(alloc.id)
                .and_then(|control| control.stop)
                && state.eval(asked).is_none()
                && stops.len() < STOPS_AT_ONCE
                && let Some(eval) = new_eval(state, job, asked, TriggeredBy::AllocStop, view.now)
            {
                stops.push(Write::new_eval(eval));
            }
            if let Some(status) = state
                .alloc_status(alloc.id)
                .filter(|status| replaced && status.client_status == ClientStatus::Failed)
            {
                failure = failure.max(Some(status.modify));
            }
        }
        if !stops.is_empty() {
            return Decision::write(STOP, stops);
        }
        let Some(cause) = failure else {
            return Decision::wait(NOTHING);
        };
        if !asks_for_eval(state, job, cause, view.now) {
            return Decision::wait(SEEN);
        }
        let id = derived_id(&[
            b"alloc-failure",
            job.to_string().as_bytes(),
            &cause.to_be_bytes(),
        ]);
        match new_eval(state, job, id, TriggeredBy::AllocFailure, view.now) {
            Some(eval) if state.eval(id).is_none() => {
                Decision::write(FAILED, vec![Write::new_eval(eval)])
            }
            _ => Decision::wait(SEEN),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::{alloc::AllocControl, ids::EvalId};
    use uuid::Uuid;

    use super::*;
    use crate::loops::testing::{World, decide};

    #[test]
    fn a_failure_asks_for_one_eval_and_for_no_second_once_a_decision_saw_it() {
        let mut world = World::new();
        let job = world.placed("web", 2);
        assert_eq!(decide(&AllocLoop, &world, &job).branch, NOTHING);
        let alloc = world.allocs(&job)[0];
        world.status(alloc, ClientStatus::Failed);
        let decision = decide(&AllocLoop, &world, &job);
        assert_eq!(decision.branch, FAILED);
        assert_eq!(
            decide(&AllocLoop, &world, &job),
            decision,
            "the id follows from the cause"
        );
        world.apply(&decision);
        assert_eq!(decide(&AllocLoop, &world, &job).branch, SEEN, "it is due");
        world.complete_evals(&job);
        assert_eq!(
            decide(&AllocLoop, &world, &job).branch,
            SEEN,
            "it was decided on"
        );
        let other = world.allocs(&job)[1];
        world.status(other, ClientStatus::Failed);
        assert_eq!(decide(&AllocLoop, &world, &job).branch, FAILED);
    }

    #[test]
    fn a_failure_after_the_snapshot_of_a_plan_under_way_asks_for_an_eval_of_its_own() {
        let mut world = World::new();
        let job = world.placed("web", 2);
        world.ask(&job);
        let plan = world.plan(&job);
        let alloc = world.allocs(&job)[0];
        world.status(alloc, ClientStatus::Failed);
        assert!(world.state.plan(plan).is_some());
        assert_eq!(decide(&AllocLoop, &world, &job).branch, FAILED);
    }

    #[test]
    fn nobody_asks_for_the_successor_of_what_failed_on_every_node() {
        for (kind, branch) in [
            ("service", FAILED),
            ("system", NOTHING),
            ("sysbatch", NOTHING),
        ] {
            let mut world = World::new();
            let job = world.placed("agent", 1);
            world.change_job(&job, |job| job.type_name = kind.to_owned());
            world.status(world.allocs(&job)[0], ClientStatus::Failed);
            assert_eq!(decide(&AllocLoop, &world, &job).branch, branch, "{kind}");
        }
    }

    #[test]
    fn a_stop_asked_for_makes_the_eval_whose_id_it_fixed() {
        let mut world = World::new();
        let job = world.placed("web", 2);
        let alloc = world.allocs(&job)[1];
        let asked = EvalId(Uuid::from_u128(77));
        let node = world.state.alloc(alloc).unwrap().node_id;
        world
            .state
            .put(
                &Key::AllocControl(node, alloc),
                &AllocControl {
                    stop: Some(asked),
                    ..AllocControl::default()
                },
            )
            .unwrap();
        let decision = decide(&AllocLoop, &world, &job);
        assert_eq!(decision.branch, STOP);
        world.apply(&decision);
        assert_eq!(
            world.state.eval(asked).unwrap().triggered_by,
            TriggeredBy::AllocStop
        );
        assert_eq!(decide(&AllocLoop, &world, &job).branch, NOTHING);
    }
}
