//! Events: what changed, as the event stream tells it.

use rove_controllers::facts;
use rove_model::ids::Revision;
use rove_store::{
    keys::Key,
    state::{State, Stored},
};
use rove_wire::Event;
use serde_json::{Value, json};

use super::{alloc, deployment, eval, job, node};

fn event(
    topic: &'static str,
    kind: &str,
    key: String,
    filter_keys: Vec<String>,
    namespace: &str,
    index: Revision,
    payload: Value,
) -> Event {
    Event {
        topic: topic.to_owned(),
        kind: kind.to_owned(),
        key,
        filter_keys,
        namespace: namespace.to_owned(),
        index,
        payload,
    }
}

/// What a change of `key` means to those who listen; nothing when the key is gone, or is of no interest to them.
pub(crate) fn of(state: &State, key: &Key) -> Option<Event> {
    match key {
        Key::Registration(name) => {
            let registration = state.registration(name)?;
            let index = registration.modify;
            let kind = if registration.stop {
                "JobDeregistered"
            } else {
                "JobRegistered"
            };
            let payload = match facts::job(state, name) {
                Some(found) => {
                    let facts = facts::of_job(state, &found);
                    json!({"Job": job::current(state, &found, &facts)})
                }
                // A purged job is told once more, as it was.
                None => json!({"Job": state.current_job(name)?.job}),
            };
            let namespace = name.namespace.as_str();
            let id = name.id.to_string();
            Some(event(
                "Job",
                kind,
                id,
                Vec::new(),
                namespace,
                index,
                payload,
            ))
        }
        Key::Eval(id) => {
            let found = state.eval(*id)?;
            let filter = vec![
                found.job_id.to_string(),
                super::id_or_empty(found.deployment_id),
            ];
            Some(event(
                "Evaluation",
                "EvaluationUpdated",
                id.to_string(),
                filter,
                found.namespace.as_str(),
                found.modify,
                json!({"Evaluation": eval::of(found)}),
            ))
        }
        Key::Alloc(_, id) => of_alloc(state, state.alloc(*id)?, "PlanResult"),
        Key::AllocStatus(_, id) => of_alloc(state, state.alloc(*id)?, "AllocationUpdated"),
        Key::Deployment(id) => {
            let found = state.deployment(*id)?;
            Some(event(
                "Deployment",
                "DeploymentStatusUpdate",
                id.to_string(),
                vec![found.job_id.to_string()],
                found.namespace.as_str(),
                found.modify,
                json!({"Deployment": deployment::of(state, found)}),
            ))
        }
        Key::Node(id) => of_node(state, *id, "NodeRegistration"),
        Key::NodeStatus(id) => of_node(state, *id, "NodeEvent"),
        Key::NodeControl(id) => of_node(state, *id, "NodeEligibility"),
        _ => None,
    }
}

fn of_alloc(state: &State, alloc: &Stored<rove_model::alloc::Alloc>, kind: &str) -> Option<Event> {
    let mut payload = alloc::full(state, alloc, &alloc::FromStore::default());
    // The job is an event of its own.
    payload.job = None;
    Some(event(
        "Allocation",
        kind,
        alloc.id.to_string(),
        vec![
            alloc.job_id.to_string(),
            super::id_or_empty(alloc.deployment_id),
        ],
        alloc.namespace.as_str(),
        facts::alloc_index(state, alloc),
        json!({"Allocation": payload}),
    ))
}

fn of_node(state: &State, id: rove_model::ids::NodeId, kind: &str) -> Option<Event> {
    let found = state.node(id)?;
    Some(event(
        "Node",
        kind,
        id.to_string(),
        Vec::new(),
        "",
        node::index(state, found),
        json!({"Node": node::full(state, found)}),
    ))
}
