//! `job`: a registration asks for an evaluation, whose id it fixes; this loop makes it, once.

use rand::rngs::StdRng;
use rove_model::{ids::JobKey, registration::JobEvaluated};
use rove_store::{keys::Key, state::State};

use crate::{
    decision::{Decision, Object, Require, Write},
    loops::asking::new_eval,
    runtime::{Began, Loop, News, View},
};
use rove_model::ids::UnixNanos;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobLoop;

const GONE: &str = "registration gone";
const DONE: &str = "evaluated already";
const MADE: &str = "eval made";

impl Loop for JobLoop {
    const NAME: &'static str = "job";
    const BRANCHES: &'static [&'static str] = &[GONE, DONE, MADE];
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
                for (job, registration) in state.registrations() {
                    wake(job.clone(), now, registration.eval.priority);
                }
            }
            News::Keys(keys) => {
                for key in keys {
                    if let Key::Registration(job) = key {
                        let priority = state
                            .registration(job)
                            .map_or(0, |registration| registration.eval.priority);
                        wake(job.clone(), now, priority);
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
        let Some(registration) = state.registration(job) else {
            return Decision::wait(GONE);
        };
        let asked = &registration.eval;
        let before = state.evaluated(job);
        if before.is_some_and(|before| before.uid == registration.uid && before.eval == asked.id) {
            return Decision::wait(DONE);
        }
        let evaluated = Object::JobEvaluated(JobEvaluated {
            uid: registration.uid,
            eval: asked.id,
            snapshot: state.revision(),
        });
        let mut writes = vec![match before {
            Some(before) => Write::Update(Key::JobEvaluated(job.clone()), evaluated, before.modify),
            None => Write::Create(Key::JobEvaluated(job.clone()), evaluated),
        }];
        if state.eval(asked.id).is_none()
            && let Some(mut eval) = new_eval(state, job, asked.id, asked.triggered_by, view.now)
        {
            eval.priority = asked.priority;
            eval.create_time = asked.create_time;
            writes.push(Write::new_eval(eval));
        }
        Decision::write(MADE, writes).requiring([Require::Unchanged(
            Key::Registration(job.clone()),
            registration.modify,
        )])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::eval::{EvalStatus, TriggeredBy};

    use super::*;
    use crate::loops::testing::{World, decide};

    #[test]
    fn an_eval_is_made_once_for_each_request_whatever_was_made_before() {
        let mut world = World::new();
        let job = world.register("web", 2);
        let decision = decide(&JobLoop, &world, &job);
        assert_eq!(decision.branch, MADE);
        world.apply(&decision);
        let asked = world.state.registration(&job).unwrap().eval.clone();
        let eval = world.state.eval(asked.id).unwrap();
        assert_eq!(eval.status, EvalStatus::Pending);
        assert_eq!(eval.triggered_by, TriggeredBy::JobRegister);
        assert_eq!(eval.job_modify_index, world.state.job_modify_index(&job));
        assert_eq!(decide(&JobLoop, &world, &job).branch, DONE);

        world.stop(&job, false);
        let decision = decide(&JobLoop, &world, &job);
        assert_eq!(decision.branch, MADE);
        world.apply(&decision);
        assert_eq!(world.state.evals_of_job(&job).count(), 2);
        assert_eq!(decide(&JobLoop, &world, &job).branch, DONE);
    }

    #[test]
    fn a_job_that_is_gone_asks_for_nothing() {
        let world = World::new();
        let decision = decide(&JobLoop, &world, &JobKey::new("default", "none"));
        assert_eq!(decision.branch, GONE);
        assert!(decision.commit.is_empty());
    }

    #[test]
    fn a_specification_that_can_not_be_read_does_not_keep_a_job_from_being_stopped() {
        let mut world = World::new();
        let job = world.register("web", 2);
        let version = world.version_key(&job);
        world.state.delete(&Key::JobVersion(version));
        assert_eq!(decide(&JobLoop, &world, &job).branch, MADE);
    }
}
