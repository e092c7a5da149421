//! Deployments.

use rove_controllers::facts::{self, Progress};
use rove_model::{deployment::Deployment, ids::GroupName};
use rove_store::state::{State, Stored};
use rove_wire::DeploymentGroup;

use crate::time::rfc3339_option;

/// A deployment, its counts filled in.
pub(crate) fn of(state: &State, deployment: &Stored<Deployment>) -> rove_wire::Deployment {
    let job = deployment.job();
    let mut counts = facts::deployment_counts(state, deployment);
    // While it is under way every alloc that becomes healthy gives it more time; what is stored is its last word.
    let require_progress_by = |name: &GroupName, stored| {
        if deployment.status.is_active() {
            Progress::of(state, deployment, name).deadline
        } else {
            stored
        }
    };
    rove_wire::Deployment {
        id: deployment.id.to_string(),
        namespace: deployment.namespace.to_string(),
        job: deployment.job_id.to_string(),
        job_version: deployment.job_version,
        job_modify_index: deployment.job_modify_index,
        job_spec_modify_index: deployment.job_modify_index,
        job_create_index: facts::job(state, &job).map_or(0, |job| job.create_index(state)),
        multiregion: false,
        groups: deployment
            .task_groups
            .iter()
            .map(|(name, group)| {
                let counts = counts.remove(name).unwrap_or_default();
                let view = DeploymentGroup {
                    auto_revert: group.auto_revert,
                    auto_promote: group.auto_promote,
                    progress: group.progress_deadline,
                    require_by: rfc3339_option(require_progress_by(
                        name,
                        group.require_progress_by,
                    )),
                    promoted: group.promoted,
                    placed_canaries: counts.canaries.iter().map(ToString::to_string).collect(),
                    canaries: group.desired_canaries.into(),
                    desired: group.desired_total.into(),
                    placed: counts.placed,
                    healthy: counts.healthy,
                    unhealthy: counts.unhealthy,
                };
                (name.to_string(), view)
            })
            .collect(),
        status: deployment.status.into(),
        description: deployment.status_description.clone(),
        eval_priority: deployment.eval_priority,
        create_index: deployment.create,
        modify_index: deployment.modify,
    }
}
