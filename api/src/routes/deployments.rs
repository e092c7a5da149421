//! `/v1/deployments`, `/v1/deployment/<id>`.

use std::sync::Arc;

use rove_controllers::facts;
use rove_model::{
    deployment::Deployment,
    ids::{DeploymentId, Revision},
};
use rove_store::state::{State, Stored, Table};
use rove_wire::AllocStub;

use super::allocs;
use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::ServerSide,
    error::ApiError,
    page::{ByAge, ById, Paging},
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/deployments", ReadJob, "Lists the deployments.",
        server!(|r| list(r.server, r.call)))
        .gives(<Vec<rove_wire::Deployment>>::schema),
    Route::new(Read, "/v1/deployment/allocations/{id}", ReadJob, "Lists the allocs of a deployment.",
        server!(|r| allocations(r.server, r.call, r.id())))
        .gives(<Vec<AllocStub>>::schema),
    Route::new(Write, "/v1/deployment/fail/{id}", SubmitJob, "Gives a deployment up.",
        NotBuilt("changing a deployment by hand")),
    Route::new(Write, "/v1/deployment/pause/{id}", SubmitJob, "Pauses a deployment or lets it go on.",
        NotBuilt("changing a deployment by hand")),
    Route::new(Write, "/v1/deployment/promote/{id}", SubmitJob, "Promotes the canaries of a deployment.",
        NotBuilt("changing a deployment by hand")),
    Route::new(Write, "/v1/deployment/unblock/{id}", SubmitJob, "Lets a blocked deployment go on.",
        NotBuilt("changing a deployment by hand")),
    Route::new(Write, "/v1/deployment/allocation-health/{id}", SubmitJob, "Sets the health of allocs by hand.",
        NotBuilt("changing a deployment by hand")),
    Route::new(Read, "/v1/deployment/{id}", ReadJob, "Gives a deployment.",
        server!(|r| read(r.server, r.call, r.id())))
        .gives(rove_wire::Deployment::schema),
];

/// What deployments and their counts are made of.
pub(super) const TABLES: [Table; 3] = [Table::Deployments, Table::Allocs, Table::AllocStatuses];

pub(super) async fn list(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let paging = Paging::of(call)?;
    let index = |state: &State| state.newest_of(&TABLES);
    let prefix = super::uuid_prefix(call, "deployment")?;
    let state = blocking::wait(server, &call.params, index).await?;
    let namespaces = call.namespaces();
    let mut list: Vec<_> = state
        .deployments()
        .filter(|deployment| namespaces.contains(deployment.namespace.as_str()))
        .filter(|one| prefix.as_ref().is_none_or(|prefix| prefix.fits(one.id.0)))
        .collect();
    let view = |one: &&Arc<Stored<Deployment>>| view::deployment::of(&state, one);
    let page = if prefix.is_some() {
        let token = |one: &&Arc<Stored<Deployment>>| ById(one.id.0);
        paging.sort(&mut list, token);
        paging.page(list, token, view, view)?
    } else {
        let token = |one: &&Arc<Stored<Deployment>>| ByAge(one.create, one.id.0);
        paging.sort(&mut list, token);
        paging.page(list, token, view, view)?
    };
    let list: Vec<rove_wire::Deployment> = page.entries.iter().map(view).collect();
    Ok(Answer::json(call, &list)?
        .with_meta(Meta::of(&state, index(&state)))
        .with_next_token(page.next_token))
}

fn index_of(state: &State, id: DeploymentId) -> Revision {
    state
        .deployment(id)
        .map_or(state.table_index(Table::Deployments), |deployment| {
            facts::deployment_index(state, deployment)
        })
}

pub(super) async fn read(server: &ServerSide, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let id: DeploymentId = super::uuid(id, "deployment")?;
    let state = blocking::wait(server, &call.params, |state| index_of(state, id)).await?;
    let meta = Meta::of(&state, index_of(&state, id));
    Ok(match state.deployment(id) {
        None => Answer::missing("deployment not found"),
        Some(deployment) => Answer::json(call, &view::deployment::of(&state, deployment))?,
    }
    .with_meta(meta))
}

pub(super) async fn allocations(
    server: &ServerSide,
    call: &Call,
    id: &str,
) -> Result<Answer, ApiError> {
    let id: DeploymentId = super::uuid(id, "deployment")?;
    allocs::of(server, call, |state| {
        state.allocs_of_deployment(id).cloned().collect()
    })
    .await
}
