//! Whatever a driver's config block holds: nothing panics, and what is wrong is said in few words that name the key.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use rove_model::{
    drivers::{BUILT_IN, ConfigSchema},
    job::Job,
    validate::validate,
};
use serde_json::{Map, Value, json};

/// The most characters that a complaint may have, and the most complaints of one block.
const LONGEST: usize = 600;
const MOST: usize = 110;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9]{1,4}(s|m|:[0-9]{1,3})?".prop_map(Value::from),
        "\\$\\{[a-z.]{0,9}\\}?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z_.]{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_key(schema: &'static ConfigSchema) -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = schema.keys.iter().map(|key| key.name).collect();
    let known = known.iter().chain(schema.unsupported).copied();
    prop_oneof![
        6 => prop::sample::select(known.collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => ".{0,12}",
    ]
}

fn any_config() -> impl Strategy<Value = (&'static ConfigSchema, Map<String, Value>)> {
    prop::sample::select(BUILT_IN.to_vec()).prop_flat_map(|schema| {
        prop::collection::btree_map(any_key(schema), any_value(), 0..9)
            .prop_map(move |map| (schema, map.into_iter().collect()))
    })
}

fn job(driver: &str, config: &Map<String, Value>, labels: &[String]) -> Job {
    let ports: Vec<Value> = labels.iter().map(|label| json!({"Label": label})).collect();
    let mut job: Job = serde_json::from_value(json!({
        "ID": "j", "TaskGroups": [{"Name": "g", "Networks": [{"DynamicPorts": ports}],
            "Tasks": [{"Name": "t", "Driver": driver, "Config": config}]}],
    }))
    .expect("a job");
    job.server_canonicalize();
    job
}

/// The complaints with the keys that they are about; each is short.
fn complaints(
    driver: &str,
    config: &Map<String, Value>,
    labels: &[String],
) -> Vec<(String, String)> {
    let found = validate(&job(driver, config, labels));
    let problems = found.errors.problems();
    assert!(problems.len() <= MOST, "{} complaints", problems.len());
    let about = |problem: &&rove_model::validate::Problem| {
        let path = problem.path.to_string();
        let text = format!("{path}: {}", problem.message);
        assert!(
            text.chars().count() <= LONGEST,
            "{} long: {text:.300}",
            text.len()
        );
        assert!(!text.contains('\n'), "{text}");
        (problem.path.key(), problem.message.clone())
    };
    problems.iter().map(about).collect()
}

proptest! {
    #[test]
    fn any_config_block_is_taken_or_refused_by_its_keys((schema, mut config) in any_config()) {
        let first = complaints(schema.driver, &config, &[]);
        // Without the keys that are complained about, nothing is wrong but what is missing.
        for (key, _) in &first {
            if let Some(name) = key.strip_prefix("group[0].task[0].config[0].") {
                config.remove(name);
            }
        }
        for (key, message) in complaints(schema.driver, &config, &[]) {
            prop_assert!(message.contains("is required"), "{key}: {message}");
        }
    }

    #[test]
    fn what_the_registry_asks_for_is_in_no_complaint(text in "[a-z]{8}", nest in any_value()) {
        for auth in [
            json!({"password": text, "pasword": text}),
            json!([{"password": text}, {"password": [text]}, nest]),
            json!([text]),
            json!(text),
        ] {
            let config = json!({"image": "x", "auth": auth});
            for (_, message) in complaints("docker", config.as_object().unwrap(), &[]) {
                prop_assert!(!message.contains(&text), "{message}");
            }
        }
    }
}

#[test]
fn a_large_config_block_makes_few_and_short_complaints_soon() {
    let long = "a".repeat(1 << 20);
    let many = |value: Value| -> Map<String, Value> {
        (0..20_000)
            .map(|n| (format!("k{n}"), value.clone()))
            .collect()
    };
    let labels: Vec<String> = (0..2_000).map(|n| format!("port-number-{n}")).collect();
    let near: Vec<String> = (0..20_000).map(|n| format!("port-nmber-{n}")).collect();
    for (driver, config) in [
        ("docker", Value::Object(many(json!(1)))),
        ("docker", json!({"image": "x", "image_pull_timeout": long})),
        ("docker", json!({"image": "x", "shm_size": long})),
        ("docker", json!({"image": "x", &long: 1})),
        ("docker", json!({"image": "x", "ports": near})),
        ("docker", json!({"image": "x", "ports": [long]})),
        (
            "docker",
            json!({"image": "x", "ports": ["db"], "port_map": many(json!(1))}),
        ),
        (
            "docker",
            json!({"image": "x", "port_map": many(json!("no port"))}),
        ),
        (
            "docker",
            json!({"image": "x", "ulimit": many(json!(long[..1_000]))}),
        ),
        ("docker", json!({"image": "x", "ulimit": {&long: "many"}})),
        ("docker", json!({"image": "x", "auth": many(json!("x"))})),
        ("docker", json!({"image": "x", "auth": {&long: "x"}})),
        ("raw_exec", json!({"command": vec![json!(long)]})),
        ("mock_driver", json!({"run_for": long, "exit_code": long})),
    ] {
        let found = complaints(driver, config.as_object().unwrap(), &labels);
        assert!(!found.is_empty(), "{driver}");
    }
    // Two names of 100 kB that differ in a letter: to measure how near they are takes their product in memory.
    let label = "p".repeat(100_000);
    let config = json!({"image": "x", "ports": [format!("{label}q")]});
    let found = complaints("docker", config.as_object().unwrap(), &[label]);
    assert!(!found.is_empty());
}
