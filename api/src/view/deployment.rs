//! Deployments.

use std::collections::BTreeMap;

use rove_controllers::{facts, loops::deployment::Progress};
use rove_model::{
    deployment::{Deployment, DeploymentStatus},
    ids::{GroupName, Revision},
};
use rove_store::state::{State, Stored};
use serde::Serialize;

use crate::time::rfc3339_option;

/// A deployment, its counts filled in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeploymentView {
    #[serde(rename = "ID")]
    id: String,
    namespace: String,
    #[serde(rename = "JobID")]
    job_id: String,
    job_version: u64,
    job_modify_index: Revision,
    job_spec_modify_index: Revision,
    job_create_index: Revision,
    is_multiregion: bool,
    task_groups: BTreeMap<GroupName, GroupView>,
    status: DeploymentStatus,
    status_description: String,
    eval_priority: i32,
    create_index: Revision,
    modify_index: Revision,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupView {
    auto_revert: bool,
    auto_promote: bool,
    progress_deadline: i64,
    require_progress_by: Option<String>,
    promoted: bool,
    placed_canaries: Option<Vec<String>>,
    desired_canaries: u32,
    desired_total: u32,
    placed_allocs: u64,
    healthy_allocs: u64,
    unhealthy_allocs: u64,
}

impl DeploymentView {
    pub(crate) fn of(state: &State, deployment: &Stored<Deployment>) -> Self {
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
        Self {
            id: deployment.id.to_string(),
            namespace: deployment.namespace.to_string(),
            job_id: deployment.job_id.to_string(),
            job_version: deployment.job_version,
            job_modify_index: deployment.job_modify_index,
            job_spec_modify_index: deployment.job_modify_index,
            job_create_index: facts::job(state, &job).map_or(0, |job| job.create_index(state)),
            is_multiregion: false,
            task_groups: deployment
                .task_groups
                .iter()
                .map(|(name, group)| {
                    let counts = counts.remove(name).unwrap_or_default();
                    let view = GroupView {
                        auto_revert: group.auto_revert,
                        auto_promote: group.auto_promote,
                        progress_deadline: group.progress_deadline,
                        require_progress_by: rfc3339_option(require_progress_by(
                            name,
                            group.require_progress_by,
                        )),
                        promoted: group.promoted,
                        placed_canaries: (!counts.canaries.is_empty())
                            .then(|| counts.canaries.iter().map(ToString::to_string).collect()),
                        desired_canaries: group.desired_canaries,
                        desired_total: group.desired_total,
                        placed_allocs: counts.placed,
                        healthy_allocs: counts.healthy,
                        unhealthy_allocs: counts.unhealthy,
                    };
                    (name.clone(), view)
                })
                .collect(),
            status: deployment.status,
            status_description: deployment.status_description.clone(),
            eval_priority: deployment.eval_priority,
            create_index: deployment.create,
            modify_index: deployment.modify,
        }
    }
}
