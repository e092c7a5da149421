//! When a failed alloc is replaced: the arithmetic of reschedule policies.

use rove_model::{
    alloc::{Alloc, KnownStatus, RescheduleEvent},
    ids::UnixNanos,
    job::ReschedulePolicy,
};

/// How many former reschedules an alloc remembers where attempts are unlimited.
const REMEMBERED: usize = 5;

/// When an alloc failed: when the last of its tasks ended, else when its agent last wrote of it. Both are by the clock
/// of the node, which may be wrong: it did not fail before it was there, nor does it in times to come.
pub(super) fn failed_at(alloc: &Alloc, status: &KnownStatus, now: UnixNanos) -> UnixNanos {
    status
        .task_states
        .values()
        .filter_map(|task| task.finished_at)
        .max()
        .unwrap_or(status.modify_time)
        .max(alloc.create_time)
        .min(now)
}

/// The time to wait before the next reschedule, in ns.
pub(super) fn next_delay(alloc: &Alloc, failed_at: UnixNanos, policy: &ReschedulePolicy) -> i64 {
    let first = policy.delay().0;
    let events = &alloc.reschedule_events;
    let Some(last) = events.last() else {
        return first;
    };
    let longest = policy.max_delay().0;
    let delay = match policy.delay_function() {
        "exponential" => last.delay.saturating_mul(2),
        "fibonacci" => match events.len().checked_sub(2).map(|at| &events[at]) {
            None => first,
            // The series began anew after the longest delay.
            Some(before) if before.delay == longest && last.delay == first => first,
            Some(before) => last.delay.saturating_add(before.delay),
        },
        _ => return first,
    };
    if longest <= 0 || delay <= longest {
        return delay;
    }
    // It ran for longer than the longest delay: what comes now is a new series of failures.
    if failed_at.saturating_sub(last.reschedule_time) > longest {
        first
    } else {
        longest
    }
}

/// When a failed alloc may be replaced; `None` when its policy has no attempt left.
pub(super) fn next_time(
    alloc: &Alloc,
    failed_at: UnixNanos,
    policy: &ReschedulePolicy,
) -> Option<UnixNanos> {
    if !policy.is_enabled() {
        return None;
    }
    let delay = next_delay(alloc, failed_at, policy);
    let eligible = policy.unlimited() || {
        let interval = policy.interval().0;
        let attempted = alloc
            .reschedule_events
            .iter()
            .filter(|event| failed_at.saturating_sub(event.reschedule_time) < interval)
            .count();
        (attempted as u64) < policy.attempts() && (attempted == 0 || delay < interval)
    };
    eligible.then(|| failed_at.saturating_add(delay))
}

/// Whether an alloc that failed, or would now, may be replaced at some time.
pub(crate) fn has_attempt_left(
    alloc: &Alloc,
    status: &KnownStatus,
    policy: &ReschedulePolicy,
    now: UnixNanos,
) -> bool {
    next_time(alloc, failed_at(alloc, status, now), policy).is_some()
}

/// The reschedules that the successor of `previous` remembers.
pub(super) fn remembered(
    previous: &Alloc,
    failed_at: UnixNanos,
    policy: Option<&ReschedulePolicy>,
    now: UnixNanos,
) -> Vec<RescheduleEvent> {
    let events = &previous.reschedule_events;
    let mut kept = match policy {
        Some(policy) if !policy.unlimited() && policy.attempts() > 0 => {
            let interval = policy.interval().0;
            events
                .iter()
                .filter(|event| now.saturating_sub(event.reschedule_time) <= interval)
                .cloned()
                .collect()
        }
        _ => events[events.len().saturating_sub(REMEMBERED)..].to_vec(),
    };
    kept.push(RescheduleEvent {
        reschedule_time: now,
        previous_alloc: previous.id,
        previous_node: previous.node_id,
        delay: policy.map_or(0, |policy| next_delay(previous, failed_at, policy)),
    });
    kept
}

#[cfg(test)]
mod tests {
    use rove_model::duration::Nanos;

    use super::{super::fixtures, *};

    const SECOND: i64 = 1_000_000_000;

    fn policy(function: &str, delay: i64, max_delay: i64) -> ReschedulePolicy {
        ReschedulePolicy {
            unlimited: Some(true),
            delay: Some(Nanos::secs(delay)),
            max_delay: Some(Nanos::secs(max_delay)),
            delay_function: Some(function.to_owned()),
            ..ReschedulePolicy::default()
        }
    }

    /// An alloc that was rescheduled after these delays, each time it had run for a second.
    fn rescheduled(delays: &[i64]) -> (Alloc, UnixNanos) {
        let mut alloc = fixtures::bare_alloc();
        let mut time = 0;
        for delay in delays {
            time += (delay + 1) * SECOND;
            alloc.reschedule_events.push(RescheduleEvent {
                reschedule_time: time,
                previous_alloc: alloc.id,
                previous_node: alloc.node_id,
                delay: delay * SECOND,
            });
        }
        (alloc, time + SECOND)
    }

    #[test]
    fn delays_grow_as_the_function_says() {
        for (function, before, expected) in [
            ("constant", &[][..], 5),
            ("constant", &[5, 5], 5),
            ("exponential", &[], 5),
            ("exponential", &[5], 10),
            ("exponential", &[5, 10, 20], 40),
            ("exponential", &[5, 10, 20, 40], 60),
            ("exponential", &[60], 60),
            ("fibonacci", &[], 5),
            ("fibonacci", &[5], 5),
            ("fibonacci", &[5, 5], 10),
            ("fibonacci", &[5, 5, 10, 15, 25], 40),
            ("fibonacci", &[25, 40], 60),
            ("fibonacci", &[60, 5], 5),
        ] {
            let (alloc, failed_at) = rescheduled(before);
            assert_eq!(
                next_delay(&alloc, failed_at, &policy(function, 5, 60)),
                expected * SECOND,
                "{function} after {before:?}"
            );
        }
    }

    #[test]
    fn a_long_run_begins_the_series_anew() {
        let (alloc, failed_at) = rescheduled(&[40]);
        let policy = policy("exponential", 5, 60);
        let later = failed_at + 61 * SECOND;
        assert_eq!(next_delay(&alloc, later, &policy), 5 * SECOND);
    }

    #[test]
    fn attempts_are_counted_within_the_interval() {
        let limited = |attempts, interval, delay| ReschedulePolicy {
            attempts: Some(attempts),
            interval: Some(Nanos::secs(interval)),
            delay: Some(Nanos::secs(delay)),
            delay_function: Some("constant".to_owned()),
            ..ReschedulePolicy::default()
        };
        for (what, policy, before, expected) in [
            ("none allowed", limited(0, 3600, 5), &[][..], None),
            ("the first of one", limited(1, 3600, 5), &[], Some(5)),
            ("the second of one", limited(1, 3600, 5), &[5], None),
            ("the second of two", limited(2, 3600, 5), &[5], Some(5)),
            (
                "the former ones are long ago",
                limited(1, 0, 5),
                &[5],
                Some(5),
            ),
        ] {
            let (alloc, failed_at) = rescheduled(before);
            assert_eq!(
                next_time(&alloc, failed_at, &policy),
                expected.map(|delay| failed_at + delay * SECOND),
                "{what}"
            );
        }
    }

    #[test]
    fn a_successor_remembers_what_still_counts() {
        let (alloc, failed_at) = rescheduled(&[5; 9]);
        let unlimited = policy("constant", 5, 60);
        let kept = remembered(&alloc, failed_at, Some(&unlimited), failed_at);
        assert_eq!(kept.len(), REMEMBERED + 1);
        assert_eq!(kept[REMEMBERED].previous_alloc, alloc.id);
        let limited = ReschedulePolicy {
            attempts: Some(3),
            interval: Some(Nanos::secs(8)),
            unlimited: Some(false),
            ..unlimited
        };
        let kept = remembered(&alloc, failed_at, Some(&limited), failed_at);
        assert_eq!(kept.len(), 3, "the two of the last 8 s and the new one");
    }
}
