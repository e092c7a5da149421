//! The cluster as a whole: who leads, regions, namespaces, the scheduler's configuration; and what is empty as long as
//! rove has no such thing.

use serde_json::{Value, json};

use super::{agent, events, only};
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::{Call, Verb},
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

fn default_namespace() -> Value {
    json!({
        "Name": "default", "Description": "Default shared namespace", "Quota": "", "Capabilities": null, "Meta": null,
        "NodePoolConfiguration": null, "Hash": null, "CreateIndex": 1, "ModifyIndex": 1,
    })
}

pub(super) async fn answer(
    context: &ApiContext,
    server: &ServerSide,
    verb: Verb,
    segments: &[&str],
    call: &Call,
) -> Result<Answer, ApiError> {
    match segments {
        ["status", "leader"] => {
            only(verb, Verb::Read)?;
            let state = blocking::ready(server).await?;
            let leader = view::agent::leader(&state).map_or("", |leader| leader.rpc_addr.as_str());
            Answer::json(call, &leader)
        }
        ["status", "peers"] => {
            only(verb, Verb::Read)?;
            Answer::json(call, &agent::rpc_addresses(server).await?)
        }
        ["regions"] => {
            only(verb, Verb::Read)?;
            Answer::json(call, &[&context.info.region])
        }
        ["namespaces"] => {
            only(verb, Verb::Read)?;
            let state = blocking::ready(server).await?;
            let prefix = call.params.get("prefix").unwrap_or_default();
            let list: Vec<Value> = "default"
                .starts_with(prefix)
                .then(default_namespace)
                .into_iter()
                .collect();
            Ok(Answer::json(call, &list)?.with_meta(Meta::of(&state, 1)))
        }
        ["namespace", name] => match verb {
            Verb::Read => {
                let state = blocking::ready(server).await?;
                let answer = if *name == "default" {
                    Answer::json(call, &default_namespace())?
                } else {
                    Answer::missing("Namespace not found")
                };
                Ok(answer.with_meta(Meta::of(&state, 1)))
            }
            Verb::Write | Verb::Delete => Err(ApiError::NotBuilt("changing namespaces")),
        },
        ["namespace"] => {
            only(verb, Verb::Write)?;
            Err(ApiError::NotBuilt("changing namespaces"))
        }
        ["services" | "vars" | "volumes" | "plugins"]
        | ["service", _]
        | ["scaling", "policies"] => {
            only(verb, Verb::Read)?;
            nothing_yet(server, call).await
        }
        ["var", ..] => match verb {
            Verb::Read => {
                let state = blocking::ready(server).await?;
                Ok(Answer::missing("variable not found").with_meta(Meta::of(&state, 1)))
            }
            Verb::Write | Verb::Delete => Err(ApiError::NotBuilt("variables")),
        },
        ["scaling", "policy", _] => {
            only(verb, Verb::Read)?;
            let state = blocking::ready(server).await?;
            Ok(Answer::missing("policy not found").with_meta(Meta::of(&state, 1)))
        }
        ["acl", ..] => Err(ApiError::BadRequest("ACL support disabled".to_owned())),
        ["operator", "scheduler", "configuration"] => match verb {
            Verb::Read => scheduler_configuration(server, call).await,
            Verb::Write => Err(ApiError::NotBuilt("changing the scheduler's configuration")),
            Verb::Delete => Err(ApiError::MethodNotAllowed),
        },
        ["operator", ..] => Err(ApiError::NotBuilt("this operator call")),
        ["system", "gc"] => {
            only(verb, Verb::Write)?;
            Err(ApiError::NotBuilt("asking for garbage collection"))
        }
        ["system", "reconcile", "summaries"] => {
            only(verb, Verb::Write)?;
            // Summaries are computed: there is nothing that could have gone wrong with them.
            Ok(Answer::empty())
        }
        ["event", "stream"] => {
            only(verb, Verb::Read)?;
            events::stream(server, call).await
        }
        ["metrics"] => {
            only(verb, Verb::Read)?;
            Err(ApiError::NotBuilt("metrics"))
        }
        ["search", "fuzzy"] => {
            only(verb, Verb::Write)?;
            Err(ApiError::NotBuilt("fuzzy search"))
        }
        _ => Err(ApiError::NoSuchPath),
    }
}

/// The one way of scheduling there is.
async fn scheduler_configuration(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let state = blocking::ready(server).await?;
    let meta = Meta::of(&state, 1);
    let answer = json!({
        "SchedulerConfig": {
            "SchedulerAlgorithm": "binpack",
            // A task may use what its memory_max says: the docker driver takes it as the limit.
            "MemoryOversubscriptionEnabled": true,
            "RejectJobRegistration": false,
            "PauseEvalBroker": false,
            "PreemptionConfig": {
                "SystemSchedulerEnabled": false,
                "SysBatchSchedulerEnabled": false,
                "BatchSchedulerEnabled": false,
                "ServiceSchedulerEnabled": false,
            },
            "CreateIndex": 1,
            "ModifyIndex": 1,
        },
        "Index": meta.index,
        "LastContact": 0,
        "KnownLeader": meta.known_leader,
        "NextToken": "",
    });
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}
