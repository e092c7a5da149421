//! The complaints about sample jobs have the expected words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use rove_model::{job::Job, validate::validate};
use rove_testkit::{reference, samples, updates};
use serde_json::{Value, json};

/// What is said of a job, in the form that the reference gives it.
fn said(job: &Value) -> Value {
    let mut job: Job = serde_json::from_value(job.clone()).unwrap();
    job.server_canonicalize();
    let validation = validate(&job);
    json!({
        "DriverConfigValidated": true,
        "Error": validation.errors.to_string(),
        "ValidationErrors": validation.errors.messages(),
        "Warnings": validation.warnings.to_string(),
    })
}

fn check(name: &str, job: &Value, expected: &Value) {
    let mut job: Job = serde_json::from_value(job.clone()).unwrap();
    job.server_canonicalize();
    let validation = validate(&job);
    // The reference leaves a driver's configuration to the node; here what no driver can do yet is refused before.
    let problems = validation.errors.problems();
    let is_of_driver = |message: &str| {
        message.starts_with("invalid docker config: key ")
            && message.ends_with(" is not supported yet")
    };
    let refused_for_driver = !problems.is_empty()
        && problems
            .iter()
            .all(|problem| is_of_driver(&problem.message));
    if refused_for_driver {
        assert_eq!(expected["Error"], "", "{name}");
    } else {
        assert_eq!(validation.errors.to_string(), expected["Error"], "{name}");
        let messages = expected["ValidationErrors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            Value::from(validation.errors.messages()),
            Value::from(messages),
            "{name}"
        );
    }
    // What memory_max says is honoured here, and on nobody's order ignored.
    let warnings = match expected["Warnings"].as_str() {
        Some(text) if text.contains("Memory oversubscription is not enabled") => {
            assert!(text.starts_with("1 warning:"), "{name}");
            ""
        }
        other => other.unwrap_or_default(),
    };
    assert_eq!(validation.warnings.to_string(), warnings, "{name}");
}

#[test]
fn every_sample_is_judged_as_expected() {
    for root in samples() {
        let seen = judged_as_expected(&root);
        assert_eq!(seen, if Some(root) == reference() { 42 } else { 8 });
    }
}

fn judged_as_expected(root: &Path) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(root.join("jobspec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".validate.json") else {
            continue;
        };
        let read = |file: String| -> Value {
            serde_json::from_str(&fs::read_to_string(root.join("jobspec").join(file)).unwrap())
                .unwrap()
        };
        let job = read(format!("{stem}.json"));
        if updates(root) {
            let text = serde_json::to_string_pretty(&said(&job)).unwrap() + "\n";
            fs::write(&path, text).unwrap();
        }
        check(&name, &job, &read(name.clone()));
        seen += 1;
    }
    seen
}

#[test]
fn bad_jobs_over_the_api_are_refused_in_the_same_words() {
    let Some(root) = reference() else { return };
    for name in ["064-validate-ok", "065-validate-errors"] {
        let text = fs::read_to_string(root.join(format!("api/{name}.json"))).unwrap();
        let exchange: Value = serde_json::from_str(&text).unwrap();
        check(name, &exchange["request"]["body"]["Job"], &exchange["body"]);
    }
    let text = fs::read_to_string(root.join("api/052-job-post-invalid.json")).unwrap();
    let exchange: Value = serde_json::from_str(&text).unwrap();
    let mut job: Job = serde_json::from_value(exchange["request"]["body"]["Job"].clone()).unwrap();
    job.server_canonicalize();
    assert_eq!(validate(&job).errors.to_string(), exchange["body"]);
}

#[test]
fn a_complaint_knows_its_field() {
    let job = serde_json::json!({"ID": "j", "TaskGroups": [
        {"Name": "web", "Networks": [{"ReservedPorts": [{"Label": "a", "Value": 80}, {"Label": "b", "Value": 80}]}],
         "Tasks": [{"Name": "nginx", "Resources": {"MemoryMB": 2}}]}]});
    let mut job: Job = serde_json::from_value(job).unwrap();
    job.server_canonicalize();
    let report = validate(&job).errors;
    let fields: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| (problem.path.to_string(), problem.path.key()))
        .collect();
    let expected = [
        (
            "group[\"web\"].network.port[\"b\"].static",
            "group[0].network[0].port[1].static",
        ),
        (
            "group[\"web\"].task[\"nginx\"].driver",
            "group[0].task[0].driver",
        ),
        (
            "group[\"web\"].task[\"nginx\"].resources.memory",
            "group[0].task[0].resources[0].memory",
        ),
    ];
    assert_eq!(
        fields,
        expected.map(|(shown, key)| (shown.to_owned(), key.to_owned()))
    );
}
