//! The scheduler's decision: an evaluation and the state give a plan, or end the evaluation.
//!
//! Pure: no clock, no I/O, no randomness but what is handed in, so the same input and seed give the same plan. The
//! way through it: [`reconcile`] says what is to be done with each alloc and what is missing, [`feasibility`] which
//! node classes will do, [`rank`] which node is best, [`place`] makes the plan of it. [`Cluster`] is what all of
//! them read of the nodes. [`check_plan`] is the applier's last look before a plan is written; it counts by itself.

mod causes;
mod cells;
mod check;
mod cluster;
mod constraints;
mod draft;
mod dry_run;
mod evals;
mod every_node;
mod feasibility;
#[cfg(test)]
mod fixtures;
mod indexes;
mod place;
mod ports;
mod preferences;
mod rank;
mod reconcile;
pub(crate) mod reschedule;
#[cfg(test)]
mod tests;
mod updates;
mod version;

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rove_model::{
    eval::{Eval, EvalStatus},
    ids::{GroupName, JobKey, JobUid, Revision, UnixNanos},
    job::Job,
    plan::{DesiredUpdates, Plan},
};
use rove_store::state::State;

pub use self::{
    check::{PlanVerdict, Refusal, check_plan, check_plan_beside},
    cluster::Cluster,
    dry_run::{DryRun, Proposal, dry_run},
    every_node::{groups, had_its_turn, is_for_every_node, may_use},
};

/// What a decision is made on.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The state.
    pub state: &'a State,
    /// The nodes as that state has them, with the plans that were decided and are not in it yet.
    pub cluster: &'a Cluster,
}

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// Something is to be done: the evaluation ends when it is.
    Plan(Box<Plan>),
    /// Nothing is to be done but to write the evaluation as it now stands: complete, blocked again, or failed.
    Eval(Box<Eval>),
}

/// A decision, and what it means to each group.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What is to be written.
    pub conclusion: Conclusion,
    /// What the evaluation wants of each group's allocs, found a place or not.
    pub desired: BTreeMap<GroupName, DesiredUpdates>,
}

impl Outcome {
    /// The evaluation as it shall stand.
    #[must_use]
    pub fn eval(&self) -> &Eval {
        match &self.conclusion {
            Conclusion::Plan(plan) => &plan.eval,
            Conclusion::Eval(eval) => eval,
        }
    }

    /// The plan, when something is to be done.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        match &self.conclusion {
            Conclusion::Plan(plan) => Some(plan),
            Conclusion::Eval(_) => None,
        }
    }
}

/// The job as it is wanted.
#[derive(Clone, Copy, Debug)]
struct JobView<'a> {
    key: &'a JobKey,
    /// The registration; `None` for a job that isn't there.
    uid: Option<JobUid>,
    version: u64,
    modify_index: Revision,
    /// The specification; `None` for a job that isn't there.
    job: Option<&'a Job>,
    /// Nothing of it should run.
    stopped: bool,
}

impl<'a> JobView<'a> {
    fn of(state: &'a State, key: &'a JobKey) -> Self {
        let registration = state.registration(key);
        let version = state.current_job(key);
        Self {
            key,
            uid: registration.map(|registration| registration.uid),
            version: registration.map_or(0, |registration| registration.version),
            modify_index: version.map_or(0, |version| version.create),
            job: version.map(|version| &version.job),
            stopped: registration
                .is_none_or(|registration| registration.stop || registration.purge)
                || version.is_none_or(|version| version.job.is_stopped()),
        }
    }
}

/// Decides what an evaluation leads to.
pub fn schedule(view: &Snapshot<'_>, eval: &Eval, now: UnixNanos, rng: &mut impl Rng) -> Outcome {
    let key = eval.job();
    let job = JobView::of(view.state, &key);
    decide(view, &job, eval, now, rng)
}

fn decide(
    view: &Snapshot<'_>,
    job: &JobView<'_>,
    eval: &Eval,
    now: UnixNanos,
    rng: &mut dyn Rng,
) -> Outcome {
    if let Some(spec) = job.job.filter(|_| !job.stopped) {
        // Such a job is a template: its children run, not itself.
        if spec.is_periodic() || spec.is_parameterized() {
            let mut eval = eval.clone();
            (eval.status, eval.status_description) = (EvalStatus::Complete, String::new());
            eval.snapshot = view.state.revision();
            eval.modify_time = now;
            return Outcome {
                conclusion: Conclusion::Eval(Box::new(eval)),
                desired: BTreeMap::new(),
            };
        }
    }
    place::run(view, job, eval, now, rng)
}

fn draw_id(rng: &mut dyn Rng) -> [u8; 16] {
    rng.random()
}
