//! The cluster as a whole: who leads, regions, namespaces, the scheduler's configuration; and what is empty as long as
//! rove has no such thing.

use rove_wire::{
    NamespaceView, PreemptionConfiguration, SchedulerConfiguration, SchedulerConfigurationAnswer,
};

use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    view,
};

/// An empty list: there can be none of these yet.
pub(super) async fn nothing_yet(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let none: [(); 0] = [];
    Ok(Answer::json(call, &none)?.with_meta(Meta::of(&state, 1)))
}

fn default_namespace() -> NamespaceView {
    NamespaceView {
        name: "default".to_owned(),
        description: "Default shared namespace".to_owned(),
        create_index: 1,
        modify_index: 1,
        ..NamespaceView::default()
    }
}

/// What there can be none of yet.
pub(super) async fn none(server: &ServerSide, text: &'static str) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    Ok(Answer::missing(text).with_meta(Meta::of(&state, 1)))
}

pub(super) async fn leader(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let leader = view::agent::leader(&state).map_or("", |leader| leader.rpc_addr.as_str());
    Answer::json(call, &leader)
}

/// The addresses of the servers' store front ends, which is what an agent is given to join.
pub(super) async fn peers(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let addresses: Vec<&str> = state
        .servers()
        .map(|server| server.rpc_addr.as_str())
        .collect();
    Answer::json(call, &addresses)
}

pub(super) async fn regions(context: &ApiContext, call: &Call) -> Result<Answer, ApiError> {
    Answer::json(call, &[&context.info.region])
}

pub(super) async fn namespaces(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let prefix = call.params.get("prefix").unwrap_or_default();
    let list: Vec<NamespaceView> = "default"
        .starts_with(prefix)
        .then(default_namespace)
        .into_iter()
        .collect();
    Ok(Answer::json(call, &list)?.with_meta(Meta::of(&state, 1)))
}

pub(super) async fn namespace(
    server: &ServerSide,
    call: &Call,
    name: &str,
) -> Result<Answer, ApiError> {
    if name != "default" {
        return none(server, "Namespace not found").await;
    }
    let state = blocking::ready(server).await?;
    Ok(Answer::json(call, &default_namespace())?.with_meta(Meta::of(&state, 1)))
}

pub(super) async fn no_acl() -> Result<Answer, ApiError> {
    Err(ApiError::BadRequest("ACL support disabled".to_owned()))
}

/// Summaries are computed: there is nothing that could have gone wrong with them.
pub(super) async fn reconcile_summaries() -> Result<Answer, ApiError> {
    Ok(Answer::empty())
}

/// The one way of scheduling there is. A task's `memory_max` is honoured by the docker driver, always.
pub(super) async fn scheduler_configuration(
    server: &ServerSide,
    call: &Call,
) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let meta = Meta::of(&state, 1);
    let answer = SchedulerConfigurationAnswer {
        config: SchedulerConfiguration {
            algorithm: "binpack".to_owned(),
            memory_oversubscription: true,
            reject_registration: false,
            pause_broker: false,
            preemption: PreemptionConfiguration::default(),
            create_index: 1,
            modify_index: 1,
        },
        index: meta.index,
        known_leader: meta.known_leader,
        ..SchedulerConfigurationAnswer::default()
    };
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}
