//! What a new version means to a running alloc: nothing, a note, or its end.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{alloc::Alloc, job::TaskGroup, replacement::has_to_replace};

use super::{
    JobView, Snapshot,
    cluster::ClassId,
    draft::Draft,
    feasibility::{ClassVerdict, Requirements},
    reconcile::{Known, Update},
};

/// Decides what a new version means to running allocs.
pub(super) struct Updates<'v> {
    view: &'v Snapshot<'v>,
    job: &'v JobView<'v>,
    requirements: &'v [Requirements<'v>],
    /// By group and version: whether its tasks changed since.
    changed: BTreeMap<(usize, u64), bool>,
    /// Classes that hold an alloc of a group and will not do for its new version.
    pub ruled_out: BTreeSet<(usize, ClassId)>,
}

impl<'v> Updates<'v> {
    pub(super) fn new(
        view: &'v Snapshot<'v>,
        job: &'v JobView<'v>,
        requirements: &'v [Requirements<'v>],
    ) -> Self {
        Self {
            view,
            job,
            requirements,
            changed: BTreeMap::new(),
            ruled_out: BTreeSet::new(),
        }
    }

    pub(super) fn judge(&mut self, place: usize, group: &TaskGroup, known: &Known<'_>) -> Update {
        let alloc = known.alloc;
        if alloc.job_version == self.job.version {
            return Update::Ignore;
        }
        if self.tasks_changed(place, group, alloc) {
            return Update::Destructive;
        }
        if known.is_terminal() {
            return Update::Ignore;
        }
        let cluster = self.view.cluster;
        let requirements = &self.requirements[place];
        let Some(slot) = cluster.slot(alloc.node_id) else {
            return Update::Destructive;
        };
        let Some(node) = cluster.node(slot) else {
            return Update::Destructive;
        };
        match requirements.judge(node) {
            ClassVerdict::OutOfScope => return Update::Destructive,
            ClassVerdict::RuledOut(_) => {
                if let Some((class, _)) = cluster.slots[slot as usize].class {
                    self.ruled_out.insert((place, class));
                }
                return Update::Destructive;
            }
            ClassVerdict::Feasible => {}
        }
        let stays = requirements.ruled_out_alone(node).is_none()
            && Draft::new(cluster, 0).could_stay(slot, requirements, alloc.resources.room());
        if stays {
            Update::InPlace
        } else {
            Update::Destructive
        }
    }

    fn tasks_changed(&mut self, place: usize, group: &TaskGroup, alloc: &Alloc) -> bool {
        let (view, job) = (self.view, self.job);
        *self
            .changed
            .entry((place, alloc.job_version))
            .or_insert_with(|| {
                let old = view.state.job_version(&alloc.version_key());
                match (old, job.job) {
                    (Some(old), Some(new)) => has_to_replace(&old.job, new, &group.name),
                    // Nobody can say what it runs.
                    _ => true,
                }
            })
    }
}
