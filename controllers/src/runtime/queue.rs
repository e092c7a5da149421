//! The work queue of a loop: which keys to look at, and when.
//!
//! A key is in it once, however often it is pushed; an earlier time wins. A key that is being worked on is not given
//! out again before it is done. The queue is bounded: past its limit keys are dropped and the loop has to look at
//! everything again, which it learns from [`WorkQueue::asks_for_everything`].

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use rove_model::ids::UnixNanos;

use crate::clock::SECOND;

/// The longest time between two looks at everything while there are more keys than the queue holds.
const REFILL: UnixNanos = 30 * SECOND;

/// When and how urgently a key is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Want {
    due: UnixNanos,
    priority: i32,
}

impl Want {
    fn merged(self, other: Self) -> Self {
        Self {
            due: self.due.min(other.due),
            priority: self.priority.max(other.priority),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Waiting,
    Ready,
}

/// A key that is worked on.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    /// As it was given out.
    priority: i32,
    seq: u64,
    /// What was asked for it meanwhile.
    noted: Option<Want>,
}

/// See the module.
#[derive(Debug)]
pub struct WorkQueue<K> {
    queued: BTreeMap<K, (Want, u64, Place)>,
    waiting: BTreeSet<(UnixNanos, u64, K)>,
    ready: BTreeSet<(Reverse<i32>, u64, K)>,
    running: BTreeMap<K, Running>,
    pushed: u64,
    limit: usize,
    overflowed: bool,
    overflow_noticed: Option<UnixNanos>,
}

impl<K: Ord + Clone> WorkQueue<K> {
    /// A queue of at most `limit` keys.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            queued: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            running: BTreeMap::new(),
            pushed: 0,
            limit,
            overflowed: false,
            overflow_noticed: None,
        }
    }

    /// Asks for a look at `key` at `due`, before those of a lower priority.
    pub fn push(&mut self, key: K, due: UnixNanos, priority: i32) {
        let want = Want { due, priority };
        if let Some(running) = self.running.get_mut(&key) {
            running.noted = Some(running.noted.map_or(want, |noted| noted.merged(want)));
            return;
        }
        let (want, seq) = match self.queued.get(&key).copied() {
            Some((before, seq, place)) => {
                let merged = before.merged(want);
                if merged == before {
                    return;
                }
                match place {
                    Place::Waiting => self.waiting.remove(&(before.due, seq, key.clone())),
                    Place::Ready => {
                        self.ready
                            .remove(&(Reverse(before.priority), seq, key.clone()))
                    }
                };
                // It keeps its turn.
                (merged, seq)
            }
            None if self.queued.len() >= self.limit => {
                self.overflowed = true;
                return;
            }
            None => {
                self.pushed += 1;
                (want, self.pushed)
            }
        };
        self.waiting.insert((want.due, seq, key.clone()));
        self.queued.insert(key, (want, seq, Place::Waiting));
    }

    /// The next key that is due: the highest priority first, then the one that waited longest. It is worked on until
    /// [`WorkQueue::done`].
    pub fn pop(&mut self, now: UnixNanos) -> Option<K> {
        while self.waiting.first().is_some_and(|(due, _, _)| *due <= now) {
            if let Some((_, seq, key)) = self.waiting.pop_first()
                && let Some((want, _, place)) = self.queued.get_mut(&key)
            {
                *place = Place::Ready;
                self.ready.insert((Reverse(want.priority), seq, key));
            }
        }
        let (Reverse(priority), seq, key) = self.ready.pop_first()?;
        self.queued.remove(&key);
        let running = Running {
            priority,
            seq,
            noted: None,
        };
        self.running.insert(key.clone(), running);
        Some(key)
    }

    /// `key` is no longer worked on. It is queued again for `due`, as urgently as it was given out, and for what was
    /// asked of it meanwhile.
    pub fn done(&mut self, key: K, due: Option<UnixNanos>) {
        let Running {
            priority, noted, ..
        } = self.running.remove(&key).unwrap_or_default();
        let due = due.map(|due| Want { due, priority });
        let want = match (noted, due) {
            (Some(noted), Some(due)) => Some(noted.merged(due)),
            (one, other) => one.or(other),
        };
        if let Some(want) = want {
            self.push(key, want.due, want.priority);
        }
    }

    /// `key` had its turn and could not use it: it is queued again for `due` at the place that it had, before whatever
    /// came since and is no more urgent.
    pub fn put_back(&mut self, key: K, due: UnixNanos) {
        let Some(running) = self.running.remove(&key) else {
            return;
        };
        let mut want = Want {
            due,
            priority: running.priority,
        };
        if let Some(noted) = running.noted {
            want = want.merged(noted);
        }
        self.waiting.insert((want.due, running.seq, key.clone()));
        self.queued.insert(key, (want, running.seq, Place::Waiting));
    }

    /// When the next key is due. In the past when there is one to do now.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixNanos> {
        if self.ready.is_empty() {
            self.waiting.first().map(|(due, _, _)| *due)
        } else {
            Some(UnixNanos::MIN)
        }
    }

    /// Whether keys were dropped and it is time to look at everything again: when half of those that were kept are
    /// through, for sooner there would be no place for what is found, or after half a minute when they wait for times to
    /// come. It is asked often.
    pub fn asks_for_everything(&mut self, now: UnixNanos) -> bool {
        if !self.overflowed {
            return false;
        }
        let since = *self.overflow_noticed.get_or_insert(now);
        let is_time = self.queued.len() <= self.limit / 2
            || now >= since.saturating_add(REFILL)
            || now < since;
        if is_time {
            self.overflowed = false;
            self.overflow_noticed = None;
        }
        is_time
    }

    /// How many keys wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut WorkQueue<&'static str>, now: UnixNanos) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(now)).collect()
    }

    #[test]
    fn keys_come_once_in_order_of_priority_then_of_waiting() {
        let mut queue = WorkQueue::new(10);
        for (key, due, priority) in [
            ("slow", 0, 1),
            ("a", 0, 50),
            ("b", 0, 50),
            ("a", 0, 50),
            ("urgent", 0, 90),
            ("later", 100, 90),
        ] {
            queue.push(key, due, priority);
        }
        assert_eq!(drain(&mut queue, 10), ["urgent", "a", "b", "slow"]);
        assert_eq!(queue.next_due(), Some(100));
        assert_eq!(drain(&mut queue, 100), ["later"]);
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn an_earlier_time_wins_and_a_later_one_changes_nothing() {
        let mut queue = WorkQueue::new(10);
        queue.push("a", 100, 0);
        queue.push("a", 200, 0);
        assert_eq!(queue.next_due(), Some(100));
        queue.push("a", 50, 0);
        assert_eq!(queue.next_due(), Some(50));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_key_that_is_worked_on_comes_again_only_when_it_is_done() {
        let mut queue = WorkQueue::new(10);
        queue.push("a", 0, 0);
        assert_eq!(queue.pop(0), Some("a"));
        queue.push("a", 0, 0);
        assert_eq!(queue.pop(0), None);
        queue.done("a", None);
        assert_eq!(queue.pop(0), Some("a"));
        queue.done("a", Some(70));
        assert_eq!((queue.pop(69), queue.pop(70)), (None, Some("a")));
        queue.done("a", None);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_key_that_is_put_back_is_as_urgent_as_before_and_behind_those_that_are_as_urgent() {
        for (noted, due, expected) in [
            (None, Some(0), ["urgent", "a", "slow"]),
            (Some(10), Some(0), ["urgent", "a", "slow"]),
            (Some(90), Some(0), ["urgent", "a", "slow"]),
            (Some(10), None, ["urgent", "slow", "a"]),
        ] {
            let mut queue = WorkQueue::new(10);
            queue.push("a", 0, 50);
            assert_eq!(queue.pop(0), Some("a"));
            for (key, priority) in [("slow", 20), ("urgent", 90)] {
                queue.push(key, 0, priority);
            }
            if let Some(priority) = noted {
                queue.push("a", 0, priority);
            }
            queue.done("a", due);
            assert_eq!(drain(&mut queue, 0), expected, "{noted:?} {due:?}");
        }
    }

    #[test]
    fn a_key_that_could_not_use_its_turn_keeps_it_before_those_that_came_since() {
        let mut queue = WorkQueue::new(10);
        for key in ["first", "second"] {
            queue.push(key, 0, 50);
        }
        assert_eq!(queue.pop(0), Some("first"));
        assert_eq!(queue.pop(0), Some("second"));
        for (key, priority) in [("newcomer", 50), ("urgent", 90)] {
            queue.push(key, 0, priority);
        }
        queue.push("second", 0, 50);
        queue.put_back("second", 0);
        queue.put_back("first", 0);
        assert_eq!(
            drain(&mut queue, 0),
            ["urgent", "first", "second", "newcomer"]
        );
        queue.push("again", 0, 50);
        queue.done("first", Some(0));
        assert_eq!(
            drain(&mut queue, 0),
            ["again", "first"],
            "a turn is used up"
        );
    }

    #[test]
    fn past_its_limit_it_drops_and_asks_for_everything_once_there_is_place_for_it() {
        let mut queue = WorkQueue::new(2);
        for key in ["a", "b", "c"] {
            queue.push(key, 0, 0);
        }
        assert_eq!(queue.len(), 2);
        assert!(
            !queue.asks_for_everything(0),
            "what was dropped would be again"
        );
        assert_eq!(queue.pop(0), Some("a"));
        queue.done("a", None);
        assert!(queue.asks_for_everything(0));
        assert!(!queue.asks_for_everything(0));
    }

    #[test]
    fn keys_that_wait_for_long_keep_a_full_queue_from_others_for_half_a_minute_at_most() {
        let mut queue = WorkQueue::new(2);
        for key in ["a", "b", "c"] {
            queue.push(key, 3_600 * SECOND, 0);
        }
        let asked: Vec<i64> = (0..=90)
            .filter(|second| {
                let asks = queue.asks_for_everything(second * SECOND);
                if asks {
                    queue.push("c", 3_600 * SECOND, 0);
                }
                asks
            })
            .collect();
        assert_eq!(asked, [30, 61]);
    }
}
