#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use super::*;
use crate::{Format, ParseOptions, convert::convert, parse_hcl, to_yaml};

/// What is wrong with a value by a schema, each with its place. Only what [`json_schema`] makes is understood.
fn complaints(root: &Json, schema: &Json, value: &Json, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "definitions" => {}
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                let target = root.pointer(pointer).expect(pointer);
                found.extend(complaints(root, target, value, at));
            }
            "allOf" => {
                for schema in wanted.as_array().unwrap() {
                    found.extend(complaints(root, schema, value, at));
                }
            }
            "anyOf" => {
                let fits = |schema: &Json| complaints(root, schema, value, at).is_empty();
                if !wanted.as_array().unwrap().iter().any(fits) {
                    found.push(format!("{at}: none of the choices"));
                }
            }
            "type" => {
                let is = |name: &Json| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("{other}"),
                };
                let fits = wanted
                    .as_array()
                    .map_or_else(|| is(wanted), |any| any.iter().any(is));
                if !fits {
                    found.push(format!("{at}: {value} is no {wanted}"));
                }
            }
            "const" if value != wanted => found.push(format!("{at}: {value} is not {wanted}")),
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: {value} is none of {wanted}"));
            }
            "const" | "enum" => {}
            "pattern" => {
                let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    found.push(format!("{at}: {value} does not match"));
                }
            }
            "minLength" | "maxLength" => {
                let length = value.as_str().map(|text| text.chars().count() as u64);
                let limit = wanted.as_u64().unwrap();
                let least = keyword == "minLength";
                if length.is_some_and(|length| {
                    if least {
                        length < limit
                    } else {
                        length > limit
                    }
                }) {
                    found.push(format!("{at}: {value} is too long or too short"));
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        found.extend(complaints(root, schema, inner, &format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Json::as_object);
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    let at = format!("{at}.{name}");
                    match wanted {
                        Json::Bool(false) => found.push(format!("{at}: unknown")),
                        schema => found.extend(complaints(root, schema, inner, &at)),
                    }
                }
            }
            "items" => {
                for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(complaints(root, wanted, inner, &format!("{at}[{index}]")));
                }
            }
            other => panic!("the schema has a keyword that is not checked here: {other}"),
        }
    }
    found
}

fn check(yaml: &str) -> Vec<String> {
    let value = crate::yaml::decode(yaml).expect(yaml).to_json();
    let schema = json_schema();
    complaints(&schema, &schema, &value, "")
}

#[test]
fn every_sample_job_in_yaml_fits_the_schema() {
    for root in rove_testkit::samples() {
        let count = fit_the_schema(&root);
        assert!(count >= 30, "{}: {count}", root.display());
    }
}

fn fit_the_schema(root: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(root.join("jobspec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut texts = Vec::new();
        if name.ends_with(".json") && !name.ends_with(".validate.json") {
            let mut job: rove_model::job::Job = serde_json::from_str(&text).unwrap();
            texts.push(convert(&job, Format::Yaml).expect(&name).text);
            job.server_canonicalize();
            texts.push(to_yaml(&job));
            texts.push(convert(&job, Format::Yaml).expect(&name).text);
        } else if let Ok(parsed) = parse_hcl(&name, &text, &ParseOptions::default())
            && name.ends_with(".nomad.hcl")
        {
            texts.push(convert(&parsed.job, Format::Yaml).expect(&name).text);
        }
        for yaml in texts {
            assert_eq!(check(&yaml), Vec::<String>::new(), "{name}\n{yaml}");
            count += 1;
        }
    }
    count
}

const JOB_IN_YAML: &str = "
apiVersion: rove/v1
kind: Job
metadata: {name: web, labels: {a: b, n: 5}}
spec:
  type: service
  groups:
  - name: app
    count: 2
    shutdown_delay: 1m30s
    networks: [{ports: [{name: http, to: 8080}]}]
    volumes: [{name: data, type: host}]
    services: [{name: web, checks: [{type: http, interval: 10s, timeout: 2s, header: {A: [b], C: d}}]}]
    tasks:
    - name: nginx
      driver: docker
      config: {image: nginx, any: {thing: [1, true]}}
      env: {A: 1, B: x}
      leader: true
";

#[test]
fn what_is_wrong_with_a_job_is_seen() {
    assert_eq!(check(JOB_IN_YAML), Vec::<String>::new());
    for (from, to, complaint) in [
        ("count: 2", "cuont: 2", ".spec.groups[0].cuont: unknown"),
        (
            "count: 2",
            "count: many",
            ".spec.groups[0].count: \"many\" is no \"integer\"",
        ),
        (
            "1m30s",
            "90 seconds",
            ".spec.groups[0].shutdown_delay: \"90 seconds\" does not match",
        ),
        (
            "1m30s",
            "[1]",
            ".spec.groups[0].shutdown_delay: [1] is no [\"string\",\"integer\"]",
        ),
        (
            "leader: true",
            "leader: maybe",
            ".spec.groups[0].tasks[0].leader: \"maybe\" is no \"boolean\"",
        ),
        (
            "type: service",
            "type: servcie",
            ".spec.type: none of the choices",
        ),
        (
            "driver: docker",
            "driver: {docker: 1}",
            ".spec.groups[0].tasks[0].driver: {\"docker\":1} is no [\"string\",\"number\",\"boolean\"]",
        ),
        (
            "- name: app\n    count",
            "- count",
            ".spec.groups[0]: \"name\" is missing",
        ),
        ("groups:", "group:", ".spec.group: unknown"),
        (
            "name: web, labels",
            "nmae: web, labels",
            ".metadata.nmae: unknown",
        ),
        ("kind: Job", "kind: Pod", ".kind: \"Pod\" is not \"Job\""),
        (
            "env: {A: 1, B: x}",
            "env: [A]",
            ".spec.groups[0].tasks[0].env: [\"A\"] is no \"object\"",
        ),
        (
            "{name: http, to: 8080}",
            "http",
            ".spec.groups[0].networks[0].ports[0]: \"http\" is no \"object\"",
        ),
    ] {
        let text = JOB_IN_YAML.replace(from, to);
        assert_ne!(text, JOB_IN_YAML, "{to}");
        let found = check(&text);
        assert!(
            found.iter().any(|found| found == complaint),
            "{to}: {found:?}"
        );
    }
}

#[test]
fn every_default_fits_its_own_field() {
    let schema = json_schema();
    let mut count = 0;
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        for (field, inner) in definition["properties"].as_object().into_iter().flatten() {
            if let Some(default) = inner.get("default") {
                let found = complaints(&schema, inner, default, &format!("{name}.{field}"));
                assert_eq!(found, Vec::<String>::new());
                count += 1;
            }
        }
    }
    assert!(count > 60, "{count}");
}
