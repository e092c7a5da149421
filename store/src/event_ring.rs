//! The newest events of a store, for those who watch it: whole revisions, in order, without gaps, and bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use rove_model::ids::Revision;

use crate::store::{Event, KeyRange};

/// Bytes that an event takes in memory. The allocation around one counts too: many are small.
pub(crate) fn event_bytes(event: &Event) -> usize {
    const AROUND: usize = 128;
    AROUND
        + match event {
            Event::Put(kv) => kv.key.len() + kv.value.len(),
            Event::Delete { key, .. } => key.len(),
        }
}

/// What a ring holds at most; what is older makes room for what is newer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) batches: usize,
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Bounds {
    /// No bounds: the owner forgets by itself.
    pub(crate) const NONE: Self = Self {
        batches: usize::MAX,
        events: usize::MAX,
        bytes: usize::MAX,
    };
}

/// The events of one or more whole revisions.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The newest revision among them.
    pub(crate) revision: Revision,
    pub(crate) events: Arc<[Event]>,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.events.iter().map(event_bytes).sum()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct EventRing {
    batches: VecDeque<Batch>,
    bounds: Bounds,
    events: usize,
    bytes: usize,
    /// Nothing from this revision on is missing; `None` while nothing is held.
    start: Option<Revision>,
}

impl EventRing {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            batches: VecDeque::new(),
            bounds,
            events: 0,
            bytes: 0,
            start: None,
        }
    }

    /// The revision from which on nothing is missing.
    pub(crate) fn start(&self) -> Option<Revision> {
        self.start
    }

    /// Bytes of the events that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in what comes next, the newest revision of which is `revision`; gives what had to make room.
    pub(crate) fn push(&mut self, revision: Revision, events: Vec<Event>) -> Vec<Batch> {
        let Some(first) = events.first() else {
            return Vec::new();
        };
        self.start.get_or_insert(first.revision());
        let batch = Batch {
            revision,
            events: events.into(),
        };
        self.events += batch.events.len();
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
        let mut dropped = Vec::new();
        while self.batches.len() > self.bounds.batches
            || self.events > self.bounds.events
            || self.bytes > self.bounds.bytes
        {
            let Some(batch) = self.drop_first() else {
                break;
            };
            dropped.push(batch);
        }
        dropped
    }

    /// Forgets the batches that end before `revision`; gives them.
    pub(crate) fn forget_before(&mut self, revision: Revision) -> Vec<Batch> {
        let mut dropped = Vec::new();
        while self
            .batches
            .front()
            .is_some_and(|batch| batch.revision < revision)
        {
            dropped.extend(self.drop_first());
        }
        if let Some(start) = &mut self.start {
            *start = revision.max(*start);
        }
        dropped
    }

    /// Forgets all, and goes on from `start`, if that is known.
    pub(crate) fn clear(&mut self, start: Option<Revision>) {
        *self = Self {
            start,
            ..Self::new(self.bounds)
        };
    }

    fn drop_first(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.events -= batch.events.len();
        self.bytes -= batch.bytes();
        self.start = Some(batch.revision + 1);
        Some(batch)
    }

    /// The batches that hold events of `next` or later, oldest first.
    pub(crate) fn since(&self, next: Revision) -> impl Iterator<Item = &Batch> {
        let from = self.batches.partition_point(|batch| batch.revision < next);
        self.batches.range(from..)
    }

    /// The events of `keys` from `next` up to `upto`, whole batches until they are `most`; and where to go on.
    pub(crate) fn events(
        &self,
        keys: &KeyRange,
        next: Revision,
        upto: Revision,
        most: usize,
    ) -> (Vec<Event>, Revision) {
        let mut found = Vec::new();
        for batch in self.since(next) {
            if batch.revision > upto {
                break;
            }
            let wanted = batch
                .events
                .iter()
                .filter(|event| event.revision() >= next && keys.contains(event.key()));
            found.extend(wanted.cloned());
            if found.len() >= most {
                return (found, batch.revision + 1);
            }
        }
        (found, next.max(upto + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(key: &'static str, mod_revision: Revision) -> Event {
        Event::Delete {
            key: key.into(),
            mod_revision,
        }
    }

    fn revisions(batches: &[Batch]) -> Vec<Revision> {
        batches.iter().map(|batch| batch.revision).collect()
    }

    #[test]
    fn each_bound_makes_the_oldest_give_way_and_moves_the_start() {
        let size = event_bytes(&deleted("a", 1));
        for (what, bounds) in [
            (
                "batches",
                Bounds {
                    batches: 3,
                    ..Bounds::NONE
                },
            ),
            (
                "events",
                Bounds {
                    events: 3,
                    ..Bounds::NONE
                },
            ),
            (
                "bytes",
                Bounds {
                    bytes: 3 * size,
                    ..Bounds::NONE
                },
            ),
        ] {
            let mut ring = EventRing::new(bounds);
            assert_eq!(ring.start(), None);
            for revision in 5..8 {
                assert!(ring.push(revision, vec![deleted("a", revision)]).is_empty());
            }
            assert_eq!((ring.start(), ring.bytes()), (Some(5), 3 * size), "{what}");
            let dropped = ring.push(8, vec![deleted("a", 8)]);
            assert_eq!(revisions(&dropped), [5], "{what}");
            assert_eq!((ring.start(), ring.bytes()), (Some(6), 3 * size), "{what}");
        }
    }

    #[test]
    fn events_are_given_of_whole_batches_and_say_where_to_go_on() {
        let mut ring = EventRing::new(Bounds::NONE);
        ring.push(3, vec![deleted("a", 2), deleted("b", 3)]);
        ring.push(4, vec![deleted("a", 4), deleted("b", 4)]);
        ring.push(6, vec![deleted("b", 6)]);
        let all = KeyRange::prefix("");
        let only = KeyRange::Key("a".into());
        for (what, keys, next, upto, most, found, then) in [
            ("all", &all, 1, 9, 100, vec![2, 3, 4, 4, 6], 10),
            ("one key", &only, 1, 9, 100, vec![2, 4], 10),
            (
                "from the middle of a batch",
                &all,
                3,
                9,
                100,
                vec![3, 4, 4, 6],
                10,
            ),
            (
                "up to what is durable",
                &all,
                1,
                5,
                100,
                vec![2, 3, 4, 4],
                6,
            ),
            ("as many as are wanted", &all, 1, 9, 3, vec![2, 3, 4, 4], 5),
            ("ahead", &all, 20, 9, 100, vec![], 20),
        ] {
            let (events, go_on) = ring.events(keys, next, upto, most);
            let at: Vec<_> = events.iter().map(Event::revision).collect();
            assert_eq!((at, go_on), (found, then), "{what}");
        }
    }

    #[test]
    fn what_is_forgotten_is_given_and_the_start_never_goes_back() {
        let mut ring = EventRing::new(Bounds::NONE);
        ring.clear(Some(2));
        for revision in 2..6 {
            ring.push(revision, vec![deleted("a", revision)]);
        }
        assert_eq!(revisions(&ring.forget_before(4)), [2, 3]);
        assert_eq!(ring.start(), Some(4));
        assert!(ring.forget_before(1).is_empty());
        assert_eq!(ring.start(), Some(4));
        ring.forget_before(9);
        assert_eq!((ring.start(), ring.bytes()), (Some(9), 0));
        ring.clear(None);
        assert_eq!(ring.start(), None);
    }
}
