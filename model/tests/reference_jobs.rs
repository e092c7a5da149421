//! Every sample job is read and written back without loss.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use rove_model::job::Job;
use rove_testkit::{reference, samples};
use serde_json::Value;

/// Without what equals absence: null, empty lists and objects.
fn normalised(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, normalised(value)))
                .filter(|(_, value)| !is_absent(value))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(normalised).collect()),
        other => other,
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Where an empty text stands for null or absence: the reference makes no difference there.
const EMPTY_TEXT_IS_NULL: [&str; 2] = ["DispatchIdempotencyToken", "Hostname"];

/// Drops the empty texts of [`EMPTY_TEXT_IS_NULL`].
fn without_empty_texts(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !(EMPTY_TEXT_IS_NULL.contains(&key.as_str()) && value == ""));
            map.values_mut().for_each(without_empty_texts);
        }
        Value::Array(list) => list.iter_mut().for_each(without_empty_texts),
        _ => {}
    }
}

fn round_trip(mut expected: Value, name: &str) {
    let job: Job =
        serde_json::from_value(expected.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut written = serde_json::to_value(&job).unwrap();
    without_empty_texts(&mut written);
    without_empty_texts(&mut expected);
    let (written, expected) = (normalised(written), normalised(expected));
    if written != expected {
        let (written, expected) = (
            serde_json::to_string_pretty(&written).unwrap(),
            serde_json::to_string_pretty(&expected).unwrap(),
        );
        for (ours, theirs) in written.lines().zip(expected.lines()) {
            assert_eq!(ours, theirs, "{name}");
        }
        panic!("{name}: one is longer");
    }
}

#[test]
fn every_parsed_job_is_written_back_as_it_was_read() {
    for root in samples() {
        let seen = written_back(&root);
        assert_eq!(seen, if Some(root) == reference() { 42 } else { 8 });
    }
}

fn written_back(root: &Path) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(root.join("jobspec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name.ends_with(".validate.json") {
            continue;
        }
        let value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        round_trip(value, &name);
        seen += 1;
    }
    seen
}

#[test]
fn every_stored_job_is_written_back_as_it_was_read() {
    let Some(root) = reference() else { return };
    let mut seen = 0;
    for entry in fs::read_dir(root.join("api")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // 057 is a job before canonicalisation, whose nulls stand for "not said".
        if !name.ends_with(".json") || name == "057-parse-hcl-raw.json" {
            continue;
        }
        let exchange: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let body = &exchange["body"];
        if exchange["status"] == 200
            && body["TaskGroups"].is_array()
            && body["Datacenters"].is_array()
        {
            round_trip(body.clone(), &name);
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} jobs found");
}
