//! `/v1/agent/…`: about the agent that is asked, and the servers it knows.

use std::collections::BTreeMap;

use rove_wire::{AgentSelf, Members};
use serde_json::{Value, json};

use super::route::rows::*;
use crate::{
    answer::Answer,
    blocking,
    call::Call,
    context::{ApiContext, ServerSide},
    error::ApiError,
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/agent/self", AgentRead, "Says what the agent is.",
        agent!(|r| about_itself(r.context, r.call)))
        .gives(AgentSelf::schema),
    Route::new(Read, "/v1/agent/health", Anyone, "Says whether the agent can do its work.",
        agent!(|r| health(r.context, r.call)))
        .gives(Value::schema),
    Route::new(Read, "/v1/agent/members", NodeRead, "Lists the servers.",
        server!(|r| members(r.context, r.server, r.call)))
        .gives(Members::schema),
    Route::new(Read, "/v1/agent/schedulers", AgentRead, "Says which schedulers the agent runs.",
        agent!(|r| schedulers(r.context, r.call)))
        .gives(Value::schema),
    Route::new(Read, "/v1/agent/monitor", AgentRead, "Follows the log of the agent.",
        NotBuilt("this call to an agent")),
    Route::new(Write, "/v1/agent/join", AgentWrite, "Joins other servers.",
        NotBuilt("this call to an agent")),
    Route::new(Write, "/v1/agent/force-leave", AgentWrite, "Removes a server.",
        NotBuilt("this call to an agent")),
    Route::new(Read, "/v1/agent/keyring/{call*}", AgentWrite, "The keys of gossip.",
        NotBuilt("this call to an agent")),
    Route::new(Write, "/v1/agent/keyring/{call*}", AgentWrite, "The keys of gossip.",
        NotBuilt("this call to an agent")),
    Route::new(Delete, "/v1/agent/keyring/{call*}", AgentWrite, "The keys of gossip.",
        NotBuilt("this call to an agent")),
    Route::new(Read, "/v1/agent/pprof/{call*}", AgentWrite, "Profiles of the agent.",
        NotBuilt("this call to an agent")),
];

/// The schedulers that run on this agent.
pub(super) async fn schedulers(context: &ApiContext, call: &Call) -> Result<Answer, ApiError> {
    let answer = json!({
        "server_id": context.info.name, "schedulers": ["service", "batch"],
        "num_schedulers": std::thread::available_parallelism().map_or(1, usize::from),
    });
    Answer::json(call, &answer)
}

fn server_name(context: &ApiContext) -> String {
    format!("{}.{}", context.info.name, context.info.region)
}

pub(super) async fn members(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let answer = Members {
        server_name: context.info.name.clone(),
        region: context.info.region.clone(),
        datacenter: context.info.datacenter.clone(),
        members: state
            .servers()
            .map(|server| view::agent::member(&state, server))
            .collect(),
    };
    Answer::json(call, &answer)
}

pub(super) async fn about_itself(context: &ApiContext, call: &Call) -> Result<Answer, ApiError> {
    let mut stats: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let section = |entries: &[(&str, &str)]| {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    stats.insert(
        "runtime".to_owned(),
        section(&[
            ("kernel.name", std::env::consts::OS),
            ("arch", architecture()),
            (
                "cpu_count",
                &std::thread::available_parallelism()
                    .map_or(1, usize::from)
                    .to_string(),
            ),
            ("version", concat!("rove ", env!("CARGO_PKG_VERSION"))),
        ]),
    );
    let mut member = json!({"Name": context.info.name, "Status": "none"});
    let configured = context.info.config["Client"]["Servers"].as_array();
    let mut known_servers: Vec<String> = configured
        .into_iter()
        .flatten()
        .filter_map(|server| server.as_str().map(str::to_owned))
        .collect();
    if let Some(server) = context.server() {
        let state = blocking::ready(server).await?;
        let leader = view::agent::leader(&state);
        let name = server_name(context);
        known_servers = state.servers().map(|s| s.rpc_addr.clone()).collect();
        let bootstraps = context.info.config["Server"]["BootstrapExpect"] == 1;
        let leads = leader.is_some_and(|leader| leader.name == name);
        stats.insert(
            "nomad".to_owned(),
            section(&[
                ("server", "true"),
                ("bootstrap", &bootstraps.to_string()),
                ("leader", &leads.to_string()),
                (
                    "leader_addr",
                    leader.map_or("", |leader| leader.rpc_addr.as_str()),
                ),
                ("known_regions", "1"),
            ]),
        );
        if let Some(own) = state.servers().find(|server| server.name == name) {
            member = json!(view::agent::member(&state, own));
        }
    }
    if let Some(agent) = &context.agent {
        stats.insert(
            "client".to_owned(),
            section(&[
                ("node_id", &agent.node_id().to_string()),
                ("num_allocations", &agent.alloc_count().to_string()),
                ("connected", &agent.connected().to_string()),
                ("known_servers", &known_servers.join(",")),
            ]),
        );
    }
    let mut config = match &context.info.config {
        Value::Object(config) => config.clone(),
        _ => serde_json::Map::new(),
    };
    config.insert("Region".to_owned(), json!(context.info.region));
    config.insert("Datacenter".to_owned(), json!(context.info.datacenter));
    config.insert("NodeName".to_owned(), json!(context.info.name));
    config.insert(
        "Version".to_owned(),
        json!({"Version": context.info.version, "VersionPrerelease": "", "VersionMetadata": "", "Revision": ""}),
    );
    config
        .entry("AdvertiseAddrs")
        .or_insert_with(|| json!({"HTTP": context.info.http_addr}));
    let answer = AgentSelf {
        config: config.into(),
        member,
        stats,
    };
    Answer::json(call, &answer)
}

/// The architecture by the name that job files have for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Healthy is who can do its work: a server that knows a leader, a client in touch with the store.
pub(super) async fn health(context: &ApiContext, call: &Call) -> Result<Answer, ApiError> {
    let kind = call.params.get("type");
    let mut answer = serde_json::Map::new();
    let mut healthy = true;
    let mut note = |name: &str, ok: bool, why: &str| {
        healthy &= ok;
        let message = if ok { "ok" } else { why };
        answer.insert(name.to_owned(), json!({"ok": ok, "message": message}));
    };
    if kind.is_none_or(|kind| kind == "client") {
        match &context.agent {
            Some(agent) => note("client", agent.connected(), "no known servers"),
            None if kind.is_some() => note("client", false, "client not enabled"),
            None => {}
        }
    }
    if kind.is_none_or(|kind| kind == "server") {
        match context.server() {
            Some(server) => {
                let state = server.state.latest();
                let leads = state.leaders().next().is_some();
                note("server", leads, "No cluster leader");
            }
            None if kind.is_some() => note("server", false, "server not enabled"),
            None => {}
        }
    }
    if healthy {
        Answer::json(call, &answer)
    } else {
        Ok(Answer::text(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            Value::Object(answer).to_string(),
        ))
    }
}
