//! What a run was: how often each fault, action and decision came up. Reports of many runs add up.

use std::{collections::BTreeMap, fmt};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Nodes, jobs and allocs in all runs together.
    pub sizes: BTreeMap<&'static str, u64>,
    /// Faults of the store, crashes, and changes asked for.
    pub faults: BTreeMap<&'static str, u64>,
    /// By loop and branch.
    pub branches: BTreeMap<(&'static str, &'static str), u64>,
    /// A hash over all that was written, in order: the same for the same seed.
    pub trace: u64,
}

impl Report {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        for (name, count) in &other.sizes {
            *self.sizes.entry(name).or_default() += count;
        }
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.branches {
            *self.branches.entry(*name).or_default() += count;
        }
        self.trace = self.trace.wrapping_mul(31).wrapping_add(other.trace);
    }

    /// What never came up, though it was to.
    #[must_use]
    pub fn never(&self) -> Vec<String> {
        let is_in_no_run = |name: &str| crate::chaos::IN_NO_RUN.contains(&name);
        let faults = self
            .faults
            .iter()
            .filter(|(name, count)| **count == 0 && !is_in_no_run(name))
            .map(|(name, _)| format!("fault {name}"));
        let branches = self
            .branches
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|((name, branch), _)| format!("branch {name}: {branch}"));
        faults.chain(branches).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs", self.runs)?;
        for (name, count) in &self.sizes {
            writeln!(f, "  {count:>12}  {name}")?;
        }
        writeln!(f, "faults and changes")?;
        for (name, count) in &self.faults {
            writeln!(f, "  {count:>12}  {name}")?;
        }
        writeln!(f, "decisions")?;
        for ((name, branch), count) in &self.branches {
            writeln!(f, "  {count:>12}  {name}: {branch}")?;
        }
        Ok(())
    }
}
