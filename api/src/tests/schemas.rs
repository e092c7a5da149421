//! What is answered and taken is as docs/openapi.json says: every answer of every test of this crate is held against it.

use axum::http::Method;
use rove_wire::{Described as _, Types};
use serde_json::{Map, Value, json};

use super::world::{World, small_job};
use crate::{
    call::Verb,
    routes::{
        self,
        route::{Handler, Right, Route},
    },
};

/// Holds an answer against the schema of its call.
pub(super) fn check(method: &Method, path: &str, status: u16, text: &str) {
    let (Ok(verb), true) = (Verb::of(method), status == 200) else {
        return;
    };
    let Some(schema) = routes::found(verb, path).and_then(|route| route.gives) else {
        return;
    };
    let mut types = Types::default();
    let schema = schema(&mut types);
    // Writes may answer with nothing at all.
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        assert!(text.is_empty(), "{method} {path} gives no JSON: {text}");
        return;
    };
    let found = complaints(&types.into_map(), &schema, &value, "");
    assert!(found.is_empty(), "{method} {path}: {found:#?}");
}

/// What of a value is not as the schema says. A field that the schema does not name is one.
fn complaints(types: &Map<String, Value>, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return complaints(types, &types[name], value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<_> = any
            .iter()
            .map(|schema| complaints(types, schema, value, at))
            .collect();
        return match all.iter().any(Vec::is_empty) {
            true => Vec::new(),
            false => all.concat(),
        };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |wanted: &Value| *wanted == kind || (*wanted == "number" && kind == "integer");
    let allowed = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(fits),
        one => fits(one),
    };
    if !allowed {
        return vec![format!("{at}: {kind} instead of {}", schema["type"])];
    }
    match value {
        Value::Array(list) if !schema["items"].is_null() => {
            let items = list.iter().enumerate();
            items
                .flat_map(|(i, item)| {
                    complaints(types, &schema["items"], item, &format!("{at}[{i}]"))
                })
                .collect()
        }
        Value::Object(map) => {
            let fields = map.iter().flat_map(|(name, value)| {
                let at = format!("{at}.{name}");
                let known = schema["properties"].get(name);
                let rest = Some(&schema["additionalProperties"]).filter(|rest| !rest.is_null());
                match known.or(rest) {
                    Some(schema) => complaints(types, schema, value, &at),
                    None if schema["properties"].is_null() => Vec::new(),
                    None => vec![format!("{at} is not in the schema")],
                }
            });
            fields.collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    let mut types = Types::default();
    let schema = <Vec<rove_wire::Eval>>::schema(&mut types);
    let types = types.into_map();
    for (value, count) in [
        (
            json!([{"ID": "x", "Priority": 3, "QueuedAllocations": {"g": 1}}]),
            0,
        ),
        (json!(null), 0),
        (json!([{"ID": 3}]), 1),
        (json!([{"Nope": 3, "Priority": "3"}]), 2),
        (
            json!([{"QueuedAllocations": {"g": "1"}, "QueuedAllocation": null}]),
            2,
        ),
        (json!({}), 1),
    ] {
        let found = complaints(&types, &schema, &value, "");
        assert_eq!(found.len(), count, "{value}: {found:?}");
    }
}

#[test]
fn every_call_that_is_built_says_what_it_takes_and_gives() {
    // What gives bytes, a stream, or nothing at all.
    let others = [
        "/v1/client/fs/cat/{id}",
        "/v1/client/fs/readat/{id}",
        "/v1/client/fs/stream/{id}",
        "/v1/client/fs/logs/{id}",
        "/v1/client/allocation/{id}/gc",
        "/v1/client/gc",
        "/v1/event/stream",
        "/v1/system/reconcile/summaries",
        "/v1/job/{job*}/submission",
        "/v1/scaling/policy/{id}",
        "/v1/var/{path*}",
        "/v1/acl/{call*}",
    ];
    // They are asked with PUT, and take nothing.
    let bare = ["/v1/allocation/{id}/stop"];
    for route in routes::all() {
        if matches!(route.handler, Handler::NotBuilt(_)) || others.contains(&route.path) {
            continue;
        }
        let Route { path, verb, .. } = route;
        assert!(route.gives.is_some(), "{verb:?} {path} gives nothing");
        let takes =
            *verb == Verb::Write && !bare.contains(path) && route.right != Right::Management;
        assert_eq!(route.takes.is_some(), takes, "{verb:?} {path}");
    }
}

#[tokio::test]
async fn bodies_are_taken_as_their_schemas_say() {
    let world = World::new().await;
    world.register(&small_job("web")).await;
    for (path, body) in [
        (
            "/v1/jobs",
            json!({"Job": small_job("b"), "EnforceIndex": true, "JobModifyIndex": 0}),
        ),
        (
            "/v1/job/web/plan",
            json!({"Job": small_job("web"), "Diff": true}),
        ),
        (
            "/v1/job/web/scale",
            json!({"Count": 2, "Target": {"Group": "g"}, "Meta": {"a": 1}}),
        ),
        (
            "/v1/job/web/evaluate",
            json!({"JobID": "web", "EvalOptions": {"ForceReschedule": false}}),
        ),
        (
            "/v1/job/web/revert",
            json!({"JobID": "web", "JobVersion": 0}),
        ),
        ("/v1/search", json!({"Prefix": "w", "Context": "jobs"})),
    ] {
        let route = routes::found(Verb::Write, path).unwrap();
        let mut types = Types::default();
        let schema = route.takes.unwrap()(&mut types);
        let found = complaints(&types.into_map(), &schema, &body, "");
        assert!(found.is_empty(), "{path}: {found:?}");
        let reply = world.call("PUT", path, &body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
}
