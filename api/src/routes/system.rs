//! The cluster as a whole: who leads, regions, namespaces, the scheduler's configuration; and what is empty as long as
//! rove has no such thing.

use rove_wire::{
    NamespaceView, PreemptionConfiguration, SchedulerConfiguration, SchedulerConfigurationAnswer,
};
use serde_json::Value;

use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/job/{job*}/services", ReadJob, "Lists the services of a job: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/allocation/{id}/services", ReadJob, "Lists the services of an alloc: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/status/leader", Anyone, "Gives the address of the leader.",
        server!(|r| leader(r.server, r.call)))
        .gives(String::schema),
    Route::new(Read, "/v1/status/peers", Anyone, "Gives the addresses of the servers.",
        server!(|r| peers(r.server, r.call)))
        .gives(<Vec<String>>::schema),
    Route::new(Read, "/v1/regions", Anyone, "Lists the regions.",
        server!(|r| regions(r.context, r.call)))
        .gives(<Vec<String>>::schema),
    Route::new(Read, "/v1/namespaces", ReadNamespace, "Lists the namespaces.",
        server!(|r| namespaces(r.server, r.call)))
        .gives(<Vec<NamespaceView>>::schema),
    Route::new(Write, "/v1/namespace", Management, "Makes or changes a namespace.",
        NotBuilt("changing namespaces")),
    Route::new(Read, "/v1/namespace/{name}", ReadNamespace, "Gives a namespace.",
        server!(|r| namespace(r.server, r.call, r.id())))
        .gives(NamespaceView::schema),
    Route::new(Write, "/v1/namespace/{name}", Management, "Makes or changes a namespace.",
        NotBuilt("changing namespaces")),
    Route::new(Delete, "/v1/namespace/{name}", Management, "Deletes a namespace.",
        NotBuilt("changing namespaces")),
    Route::new(Read, "/v1/services", ReadJob, "Lists the services: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/service/{name}", ReadJob, "Lists the instances of a service: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/vars", Variables, "Lists the variables: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/volumes", ReadVolumes, "Lists the volumes: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/plugins", Plugins, "Lists the plug-ins: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/scaling/policies", ListScalingPolicies, "Lists the scaling policies: there are none yet.",
        server!(|r| nothing_yet(r.server, r.call)))
        .gives(<Vec<Value>>::schema),
    Route::new(Read, "/v1/scaling/policy/{id}", ReadJobScaling, "Gives a scaling policy: there are none yet.",
        server!(|r| none(r.server, "policy not found"))),
    Route::new(Read, "/v1/var/{path*}", Variables, "Gives a variable: there are none yet.",
        server!(|r| none(r.server, "variable not found"))),
    Route::new(Write, "/v1/var/{path*}", Variables, "Writes a variable.",
        NotBuilt("variables")),
    Route::new(Delete, "/v1/var/{path*}", Variables, "Deletes a variable.",
        NotBuilt("variables")),
    Route::new(Read, "/v1/acl/{call*}", Management, "Policies, roles and tokens: there are none yet.",
        server!(|r| no_acl())),
    Route::new(Write, "/v1/acl/{call*}", Management, "Policies, roles and tokens: there are none yet.",
        server!(|r| no_acl())),
    Route::new(Delete, "/v1/acl/{call*}", Management, "Policies, roles and tokens: there are none yet.",
        server!(|r| no_acl())),
    Route::new(Read, "/v1/operator/scheduler/configuration", OperatorRead, "Says how the scheduler is set.",
        server!(|r| scheduler_configuration(r.server, r.call)))
        .gives(SchedulerConfigurationAnswer::schema),
    Route::new(Write, "/v1/operator/scheduler/configuration", OperatorWrite, "Sets the scheduler.",
        NotBuilt("changing the scheduler's configuration")),
    Route::new(Read, "/v1/operator/{call*}", OperatorRead, "What else an operator may ask.",
        NotBuilt("this operator call")),
    Route::new(Write, "/v1/operator/{call*}", OperatorWrite, "What else an operator may change.",
        NotBuilt("this operator call")),
    Route::new(Delete, "/v1/operator/{call*}", OperatorWrite, "What else an operator may change.",
        NotBuilt("this operator call")),
    Route::new(Write, "/v1/system/gc", Management, "Collects what is over now.",
        NotBuilt("asking for garbage collection")),
    Route::new(Write, "/v1/system/reconcile/summaries", Management, "Counts anew: counts are never stored.",
        server!(|r| reconcile_summaries())),
    Route::new(Read, "/v1/metrics", AgentRead, "Measures the agent.",
        NotBuilt("metrics")),
    Route::new(Read, "/v1/agent/servers", AgentRead, "Lists the addresses of the servers' store front ends.",
        server!(|r| peers(r.server, r.call)))
        .gives(<Vec<String>>::schema),
];

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
