//! How often each way of a decision was taken: what the simulation checks its coverage by.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts by loop and branch. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    counts: Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>,
}

impl Counters {
    /// Makes a branch known, so that it is reported even when it is never taken.
    pub fn declare(&self, name: &'static str, branch: &'static str) {
        self.add(name, branch, 0);
    }

    /// Counts one more.
    pub fn count(&self, name: &'static str, branch: &'static str) {
        self.add(name, branch, 1);
    }

    /// Every loop's branches with their counts.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, name: &'static str, branch: &'static str, by: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((name, branch)).or_default() += by;
    }
}
