//! Which indexes of a group's allocs are taken.

use std::collections::BTreeSet;

/// The indexes of a group's allocs; wanted are those from 0 to the count.
#[derive(Debug)]
pub(super) struct Indexes {
    count: u64,
    taken: BTreeSet<u32>,
}

impl Indexes {
    pub(super) fn new(count: u64, taken: impl IntoIterator<Item = u32>) -> Self {
        Self {
            count,
            taken: taken.into_iter().collect(),
        }
    }

    /// `wanted` indexes for new allocs: free ones from the lowest, and when there are no more, taken ones from 0.
    pub(super) fn next(&mut self, wanted: u64) -> Vec<u32> {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut next = (0..count)
            .filter(|number| !self.taken.contains(number))
            .take(wanted)
            .collect::<Vec<_>>();
        self.taken.extend(&next);
        next.extend((0..count).cycle().take(wanted - next.len()));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_before_numbers_are_given_twice() {
        let mut numbers = Indexes::new(5, [0, 3]);
        assert_eq!(numbers.next(2), [1, 2]);
        assert_eq!(numbers.next(3), [4, 0, 1]);
        assert!(Indexes::new(0, []).next(2).is_empty());
    }
}
