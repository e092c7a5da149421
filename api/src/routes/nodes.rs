//! `/v1/nodes`, `/v1/node/<id>`.

use std::sync::Arc;

use rove_model::{
    ids::{NodeId, Revision},
    node::{Eligibility, Node, NodeControl},
};
use rove_store::{
    keys::Key,
    state::{State, Stored, Table},
};
use rove_wire::{EligibilityRequest, NodeChanged, NodePool, NodeStub};

use super::allocs;
use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    long_work::off_the_workers,
    page::{ById, Paging},
    view::node::{self, ListOptions},
    write,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/nodes", NodeRead, "Lists the nodes.",
        server!(|r| list(r.server, r.call)))
        .gives(<Vec<NodeStub>>::schema),
    Route::new(Read, "/v1/node/pools", NodeRead, "Lists the node pools.",
        server!(|r| pools(r.server, r.call)))
        .gives(<Vec<NodePool>>::schema),
    Route::new(Read, "/v1/node/{id}", NodeRead, "Gives a node.",
        server!(|r| read(r.server, r.call, r.id())))
        .gives(rove_wire::Node::schema),
    Route::new(Read, "/v1/node/{id}/allocations", NodeRead, "Lists the allocs of a node.",
        server!(|r| allocations(r.server, r.call, r.id())))
        .gives(<Vec<rove_wire::Alloc>>::schema),
    Route::new(Write, "/v1/node/{id}/eligibility", NodeWrite, "Says whether a node takes new allocs.",
        server!(|r| eligibility(r.context, r.server, r.call, r.id())))
        .takes(EligibilityRequest::schema).gives(NodeChanged::schema),
    Route::new(Write, "/v1/node/{id}/drain", NodeWrite, "Drains a node.",
        NotBuilt("draining a node")),
    Route::new(Write, "/v1/node/{id}/evaluate", NodeWrite, "Makes new evaluations of all jobs of a node.",
        NotBuilt("evaluating all jobs of a node")),
    Route::new(Write, "/v1/node/{id}/purge", NodeWrite, "Forgets a node.",
        NotBuilt("purging a node")),
];

/// What nodes are made of.
pub(super) const TABLES: [Table; 3] = [Table::Nodes, Table::NodeStatuses, Table::NodeControls];

pub(super) async fn list(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let paging = Paging::of(call)?;
    let options = ListOptions {
        resources: call.params.flag("resources")?.unwrap_or(false),
        os: call.params.flag("os")?.unwrap_or(false),
    };
    let prefix = super::uuid_prefix(call, "node")?;
    let index = |state: &State| state.newest_of(&TABLES);
    let state = blocking::wait(server, &call.params, index).await?;
    off_the_workers(|| {
        let mut list: Vec<_> = state
            .nodes()
            .filter(|node| prefix.as_ref().is_none_or(|prefix| prefix.fits(node.id.0)))
            .collect();
        let token = |node: &&Arc<Stored<Node>>| ById(node.id.0);
        let view = |node: &&Arc<Stored<Node>>| node::stub(&state, node, options);
        paging.sort(&mut list, token);
        // What a list shows of the attributes is less than there is to choose by.
        let whole = |node: &&Arc<Stored<Node>>| node::full(&state, node);
        let page = paging.page(list, token, whole, view)?;
        let list: Vec<NodeStub> = page.entries.iter().map(view).collect();
        Ok(Answer::json(call, &list)?
            .with_meta(Meta::of(&state, index(&state)))
            .with_next_token(page.next_token))
    })
    .await
}

fn index_of(state: &State, id: NodeId) -> Revision {
    state
        .node(id)
        .map_or_else(|| state.newest_of(&TABLES), |node| node::index(state, node))
}

pub(super) async fn read(server: &ServerSide, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let id: NodeId = super::uuid(id, "node")?;
    let state = blocking::wait(server, &call.params, |state| index_of(state, id)).await?;
    let meta = Meta::of(&state, index_of(&state, id));
    Ok(match state.node(id) {
        None => Answer::missing("node not found"),
        Some(node) => Answer::json(call, &node::full(&state, node))?,
    }
    .with_meta(meta))
}

/// The node's allocs in full, as Nomad lists them; their task events stay in the store.
pub(super) async fn allocations(
    server: &ServerSide,
    call: &Call,
    id: &str,
) -> Result<Answer, ApiError> {
    let id: NodeId = super::uuid(id, "node")?;
    allocs::of_in_full(server, call, |state| {
        state.allocs_of_node(id).cloned().collect()
    })
    .await
}

/// The pools there are: those that nodes are in, and the two that are always there.
pub(super) async fn pools(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let paging = Paging::of(call)?;
    let index = |state: &State| state.table_index(Table::Nodes);
    let state = blocking::wait(server, &call.params, index).await?;
    let mut names: Vec<&str> = state.nodes().map(|node| node.node_pool.as_str()).collect();
    names.extend(["all", "default"]);
    names.sort_unstable();
    names.dedup();
    let mut pools: Vec<NodePool> = names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| {
            let description = match name {
                "all" => "Node pool with all nodes in the cluster.",
                "default" => "Default node pool.",
                _ => "",
            };
            NodePool {
                name: name.to_owned(),
                description: description.to_owned(),
                create_index: 1,
                modify_index: 1,
                ..NodePool::default()
            }
        })
        .collect();
    let token = |pool: &NodePool| pool.name.clone();
    paging.sort(&mut pools, token);
    let page = paging.page(pools, token, NodePool::clone, NodePool::clone)?;
    Ok(Answer::json(call, &page.entries)?
        .with_meta(Meta::of(&state, index(&state)))
        .with_next_token(page.next_token))
}

pub(super) async fn eligibility(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    id: &str,
) -> Result<Answer, ApiError> {
    let id: NodeId = super::uuid(id, "node")?;
    let body: EligibilityRequest = call.json()?;
    let wanted = match body.eligibility.as_str() {
        "eligible" => Eligibility::Eligible,
        "ineligible" => Eligibility::Ineligible,
        other => {
            return Err(ApiError::Refused(format!(
                "invalid scheduling eligibility \"{other}\""
            )));
        }
    };
    let state = blocking::ready(server).await?;
    if state.node(id).is_none() {
        return Err(ApiError::NotFound("node not found".to_owned()));
    }
    let index = write::update(context, server, &Key::NodeControl(id), |state| {
        let mut control = state
            .node_control(id)
            .map_or_else(NodeControl::default, |control| control.value.clone());
        control.scheduling_eligibility = wanted;
        Ok(control)
    })
    .await?;
    // Evaluations that follow are made by the node loop: which, is not known yet.
    let answer = NodeChanged {
        modify_index: index,
        index,
        ..NodeChanged::default()
    };
    Ok(Answer::json(call, &answer)?.with_index(index))
}
