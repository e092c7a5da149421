//! The evaluations that follow from an evaluation.

use rove_model::{
    eval::{Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, UnixNanos},
};

pub(super) const DELAYED_RESCHEDULE: &str = "created for delayed rescheduling";
pub(super) const BLOCKED: &str = "created to place remaining allocations";
pub(super) const NEXT_TURN: &str = "created for the next turn of a large job";

/// An evaluation of the same job that follows from `eval`.
pub(super) fn follow_up(
    eval: &Eval,
    id: EvalId,
    triggered_by: TriggeredBy,
    status: EvalStatus,
    description: &str,
    now: UnixNanos,
) -> Eval {
    Eval {
        status,
        status_description: description.to_owned(),
        ..eval.following(id, triggered_by, now)
    }
}

/// It was blocked before, and is blocked again when there is still no place.
pub(super) fn was_blocked(eval: &Eval) -> bool {
    matches!(
        eval.triggered_by,
        TriggeredBy::QueuedAllocs | TriggeredBy::MaxPlanAttempts
    )
}
