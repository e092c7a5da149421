//! Diffs are those of the reference.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeMap, fs, path::Path};

use rove_model::{
    diff::{annotate, diff},
    ids::GroupName,
    job::Job,
    plan::DesiredUpdates,
};
use rove_testkit::reference;
use serde_json::Value;

fn exchange(root: &Path, name: &str) -> Value {
    let text = fs::read_to_string(root.join(format!("api/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn job(json: &Value) -> Job {
    let mut job: Job = serde_json::from_value(json.clone()).unwrap();
    job.server_canonicalize();
    job
}

/// Members of a set that were all added have no order in the reference.
fn sorted(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(objects)) = map.get_mut("Objects") {
                objects.iter_mut().for_each(sorted);
                objects.sort_by_cached_key(|object| object["Name"] == "Constraint");
                let at = objects.partition_point(|object| object["Name"] != "Constraint");
                objects[at..].sort_by_cached_key(ToString::to_string);
            }
            map.values_mut().for_each(sorted);
        }
        Value::Array(list) => list.iter_mut().for_each(sorted),
        _ => {}
    }
}

fn compare(name: &str, mut ours: Value, theirs: &Value) {
    let mut theirs = theirs.clone();
    sorted(&mut ours);
    sorted(&mut theirs);
    let theirs = &theirs;
    if ours != *theirs {
        let (ours, theirs) = (
            serde_json::to_string_pretty(&ours).unwrap(),
            serde_json::to_string_pretty(theirs).unwrap(),
        );
        for (number, (a, b)) in ours.lines().zip(theirs.lines()).enumerate() {
            assert_eq!(
                a, b,
                "{name}, line {number} of\n{ours}\nexpected:\n{theirs}"
            );
        }
        panic!("{name}: one is longer\n{ours}\n{theirs}");
    }
}

#[test]
fn plans_show_the_reference_s_diffs_and_annotations() {
    let Some(root) = reference() else { return };
    let stored = exchange(&root, "070-job-redis")["body"].clone();
    let deployed = exchange(&root, "195-deploy-v0")["request"]["body"]["Job"].clone();
    let stopped = exchange(&root, "302-job-stopped")["body"].clone();
    for (name, old) in [
        ("067-plan-new-job", None),
        ("093-plan-no-change", Some(&stored)),
        ("094-plan-count-1-to-3", Some(&stored)),
        ("096-plan-image-change", Some(&stored)),
        ("097-plan-env-and-resources", Some(&stored)),
        ("098-plan-add-service-check", Some(&stored)),
        ("099-plan-add-group", Some(&stored)),
        ("100-plan-remove-port-add-meta", Some(&stored)),
        ("101-plan-too-big", Some(&stored)),
        ("102-plan-constraint-filtered", Some(&stored)),
        ("103-plan-no-datacenter", Some(&stored)),
        ("196-plan-canary", Some(&deployed)),
        ("305-plan-stopped-job", Some(&stopped)),
    ] {
        let exchange = exchange(&root, name);
        let old = old.map(|old| {
            let mut old = job(old);
            old.add_implied_constraints();
            old
        });
        let mut new = job(&exchange["request"]["body"]["Job"]);
        new.add_implied_constraints();
        let mut ours = diff(old.as_ref(), Some(&new), true);
        let updates: BTreeMap<GroupName, DesiredUpdates> =
            serde_json::from_value(exchange["body"]["Annotations"]["DesiredTGUpdates"].clone())
                .unwrap();
        annotate(&mut ours, &updates);
        compare(
            name,
            serde_json::to_value(&ours).unwrap(),
            &exchange["body"]["Diff"],
        );
    }
}

#[test]
fn versions_show_the_reference_s_diffs() {
    let Some(root) = reference() else { return };
    for name in ["107-versions-diffs", "215-versions-dep"] {
        let body = exchange(&root, name)["body"].clone();
        let versions: Vec<Job> = serde_json::from_value(body["Versions"].clone()).unwrap();
        for (index, expected) in body["Diffs"].as_array().unwrap().iter().enumerate() {
            let ours = diff(Some(&versions[index + 1]), Some(&versions[index]), true);
            compare(name, serde_json::to_value(&ours).unwrap(), expected);
        }
    }
}

#[test]
fn nothing_against_nothing_is_no_change() {
    assert_eq!(diff(None, None, true), rove_model::diff::JobDiff::default());
}
