//! When a change asks for an evaluation, and which: a loop makes one only if its cause is newer than what the job was
//! last decided on, and none is due that will see it. Ids follow from the cause, so that the same cause never makes
//! two, however often and by whomever it is looked at.

use rove_model::{
    eval::{Asked, Eval, EvalStatus, TriggeredBy},
    ids::{EvalId, JobKey, Revision, UnixNanos},
    job::Job,
};
use rove_store::state::{State, Stored};

use crate::decision::Write;

/// Whether an evaluation is to be made for what happened to `job` at revision `cause`.
#[must_use]
pub fn asks_for_eval(state: &State, job: &JobKey, cause: Revision, now: UnixNanos) -> bool {
    let Some(registration) = state.registration(job) else {
        return false;
    };
    let asked = registration.eval.id;
    if state
        .evaluated(job)
        .is_none_or(|evaluated| evaluated.eval != asked)
    {
        // The job loop is about to make one.
        return false;
    }
    state.evals_of_job(job).all(|eval| {
        let plan = state.plan(eval.id);
        match eval.status {
            EvalStatus::Pending => match plan {
                Some(plan) => plan.snapshot < cause,
                None => eval.wait_until.is_some_and(|until| until > now),
            },
            EvalStatus::Blocked
            | EvalStatus::Complete
            | EvalStatus::Failed
            | EvalStatus::Canceled => eval.snapshot < cause,
        }
    })
}

/// A new evaluation of `job`.
#[must_use]
pub fn new_eval(
    state: &State,
    job: &JobKey,
    id: EvalId,
    triggered_by: TriggeredBy,
    now: UnixNanos,
) -> Option<Eval> {
    let registration = state.registration(job)?;
    let version = state.current_job(job).map(|version| &version.job);
    let asked = Asked {
        triggered_by,
        priority: version.map_or(registration.eval.priority, Job::priority),
        at: now,
    };
    Some(Eval::new(
        id,
        job,
        registration.uid,
        version.map(Job::job_type).unwrap_or_default(),
        state.job_modify_index(job),
        asked,
    ))
}

/// A blocked evaluation is to be looked at again.
#[must_use]
pub fn woken(eval: &Stored<Eval>, now: UnixNanos) -> Write {
    let mut woken = eval.value.clone();
    woken.status = EvalStatus::Pending;
    woken.status_description = String::new();
    woken.modify_time = now;
    Write::eval(woken, eval.modify)
}

/// The id that follows from what makes up a cause (FNV-1a over 128 bits).
#[must_use]
pub fn derived_id(parts: &[&[u8]]) -> EvalId {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for part in parts {
        let length = (part.len() as u64).to_be_bytes();
        for byte in length.iter().chain(*part) {
            hash =
                (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
    // The last bytes fed in have hardly reached the upper half, which is what people see of an id.
    let (high, low) = ((hash >> 64) as u64, hash as u64);
    let low = mix(low ^ high.rotate_left(32));
    let high = mix(high ^ low);
    EvalId::from_random(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

/// Spreads each bit over all 64 (the last step of splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_like_causes_look_unlike_and_the_same_cause_has_the_same() {
        let of = |revision: u64| derived_id(&[b"node-update", b"node", &revision.to_be_bytes()]);
        let short: BTreeSet<String> = (0..1_000).map(|revision| of(revision).short()).collect();
        assert_eq!(short.len(), 1_000);
        assert_eq!(of(7), of(7));
    }
}
