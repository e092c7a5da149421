//! The allocs of a job, each with what is known of it.

use std::collections::BTreeMap;

use rove_model::{
    alloc::{Alloc, ClientStatus, DesiredStatus, KnownStatus, TaskLifeState},
    ids::DeploymentId,
    node::NodeState,
};
use rove_store::{keys::Key, state::State};

use super::super::JobView;
use crate::facts;

/// An alloc and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Known<'a> {
    pub alloc: &'a Alloc,
    pub status: Option<&'a KnownStatus>,
    pub client: ClientStatus,
    /// A user wants it stopped and replaced.
    pub asked_to_stop: bool,
    /// Its node is down or gone.
    pub node_gone: bool,
}

impl Known<'_> {
    /// Nothing of it runs or should run.
    pub(in super::super) fn is_terminal(&self) -> bool {
        self.alloc.desired_status != DesiredStatus::Run || self.client.is_terminal()
    }

    pub(super) fn ran_successfully(&self) -> bool {
        self.status.is_some_and(|status| {
            !status.task_states.is_empty()
                && status
                    .task_states
                    .values()
                    .all(|task| task.state == TaskLifeState::Dead && !task.failed)
        })
    }

    /// What its agent said of its health in this deployment.
    pub(super) fn health(&self, deployment: DeploymentId) -> Option<bool> {
        let said = self.status?.deployment_status.as_ref();
        facts::health(said, deployment).map(|health| health.healthy)
    }
}

/// The allocs of a job as `state` shows them.
pub(in super::super) fn known_allocs<'a>(state: &'a State, job: &JobView<'_>) -> Vec<Known<'a>> {
    let mut nodes_gone = BTreeMap::new();
    let mut known = state
        .allocs_of_job(job.key)
        .map(|alloc| {
            let node_gone = *nodes_gone
                .entry(alloc.node_id)
                .or_insert_with(|| is_gone(state, alloc));
            let status = state.alloc_status(alloc.id).map(|status| &status.value);
            Known {
                alloc: &alloc.value,
                status,
                client: state.status_of(alloc),
                asked_to_stop: state
                    .alloc_control(alloc.id)
                    .is_some_and(|control| control.stop.is_some()),
                node_gone,
            }
        })
        .collect::<Vec<_>>();
    known.sort_by_key(|known| (known.alloc.index, known.alloc.create_time, known.alloc.id));
    known
}

fn is_gone(state: &State, alloc: &Alloc) -> bool {
    let node = Key::Node(alloc.node_id);
    (state.node(alloc.node_id).is_none() && !state.is_unreadable(&node))
        || state.node_status(alloc.node_id).is_some_and(|status| {
            matches!(status.status, NodeState::Down | NodeState::Disconnected)
        })
}
