//! The OpenAPI document of the API, from the table of routes.

use rove_wire::{Described as _, Refusal, Types};
use serde_json::{Map, Value, json};

use super::{
    route::{Handler, Route},
    table::ROUTES,
};
use crate::call::Verb;

/// The document as text.
#[must_use]
pub fn openapi() -> String {
    let mut paths = Map::new();
    let mut types = Types::default();
    for route in ROUTES.iter().copied().flatten() {
        let path = route.path.replace("*}", "}");
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method(route.verb)] = operation(route, &mut types);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rove",
            "summary": "The HTTP API of rove, as clients of Nomad 1.6 expect it.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {"schemas": types.into_map()},
    });
    format!("{document:#}\n")
}

/// PUT and POST are the same everywhere.
fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Read => "get",
        Verb::Write => "put",
        Verb::Delete => "delete",
    }
}

fn operation(route: &Route, types: &mut Types) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(name, _)| {
            json!({
                "name": name.trim_end_matches('*'),
                "in": "path",
                "required": true,
                "schema": {"type": "string"},
                "allowReserved": name.ends_with('*'),
            })
        })
        .into_iter()
        .collect();
    let responses = match route.handler {
        Handler::NotBuilt(what) => {
            json!({"501": {"description": format!("{what} is not supported by rove yet")}})
        }
        Handler::Server(_) | Handler::Agent(_) => {
            let mut answer = json!({"description": "What was asked for."});
            if let Some(schema) = route.gives {
                answer["content"] = json!({"application/json": {"schema": schema(types)}});
            }
            json!({
                "200": answer,
                "default": {"description": "Why not, in a line of text."},
            })
        }
    };
    let mut operation = json!({
        "summary": route.about,
        "parameters": parameters,
        "responses": responses,
        "x-rove-right": route.right.name(),
        "x-rove-answered-by": match route.handler {
            Handler::Server(_) => "a server",
            Handler::Agent(_) => "the agent that is asked, or the one that it is about",
            Handler::NotBuilt(_) => "nobody yet",
        },
    });
    if let Some(schema) = route.takes {
        operation["requestBody"] =
            json!({"content": {"application/json": {"schema": schema(types)}}});
    }
    if let Some(Value::String(reference)) = route
        .takes
        .map(|schema| schema(types))
        .and_then(|mut schema| schema.get_mut("$ref").map(Value::take))
        && REFUSED_BY_FIELD
            .iter()
            .any(|name| reference.ends_with(name))
    {
        let refusal = json!({"schema": Refusal::schema(types)});
        operation["responses"]["default"]["content"] = json!({Refusal::CONTENT_TYPE: refusal});
    }
    operation
}

/// Bodies that hold a job: why it is refused is told field by field to whoever accepts that.
const REFUSED_BY_FIELD: [&str; 2] = ["/RegisterRequest", "/PlanRequest"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{env, fs, path::Path};

    use super::openapi;

    #[test]
    fn the_published_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        if env::var_os("ROVE_UPDATE_DOCS").is_some() {
            fs::write(&path, openapi()).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == openapi(),
            "docs/openapi.json is not what the table of routes says; ROVE_UPDATE_DOCS=1 cargo test -p rove-api openapi writes it"
        );
    }
}
