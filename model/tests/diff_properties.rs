//! What holds for the diff of any two versions of a job.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use rove_model::{
    diff::{DiffType, FieldDiff, JobDiff, ObjectDiff, diff},
    job::Job,
};
use serde_json::{Value, json};
use support::{canonical, lines, whole_job};

/// Fields that the server keeps, that are never stored, or that a registered job has in its groups.
const NOT_SHOWN: &[&str] = &[
    "/ID",
    "/ConsulToken",
    "/CreateIndex",
    "/JobModifyIndex",
    "/Migrate",
    "/ModifyIndex",
    "/NomadTokenID",
    "/Payload",
    "/Reschedule",
    "/Stable",
    "/Status",
    "/StatusDescription",
    "/SubmitTime",
    "/VaultToken",
    "/Version",
];

/// The paths of everything that is no list and no object.
fn leaves(value: &Value) -> Vec<String> {
    fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    collect(value, &format!("{path}/{name}"), found);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    collect(value, &format!("{path}/{index}"), found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

/// Another value of the same kind.
fn another(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!(!value),
        Value::Number(number) => json!(number.as_i64().unwrap_or(0) + 1),
        Value::String(text) => json!(format!("{text}x")),
        other => other.clone(),
    }
}

fn read(json: &Value) -> Job {
    serde_json::from_value(json.clone()).unwrap()
}

#[test]
fn a_change_of_any_one_field_is_seen_and_shown() {
    let old = canonical(&whole_job());
    let json = serde_json::to_value(&old).unwrap();
    let mut tried = 0;
    let mut missed = Vec::new();
    for path in leaves(&json) {
        let mut changed = json.clone();
        let leaf = changed.pointer_mut(&path).unwrap();
        *leaf = another(leaf);
        let new = read(&changed);
        if new == old || NOT_SHOWN.contains(&path.as_str()) {
            continue;
        }
        tried += 1;
        let found = diff(Some(&old), Some(&new), true);
        if found.kind != DiffType::Edited || lines(&found).is_empty() {
            missed.push(path);
        }
    }
    assert!(tried > 250, "only {tried} fields were tried");
    assert_eq!(missed, Vec::<String>::new());
}

/// A job that lacks some of what the whole one has, and says other things.
fn some_job() -> impl Strategy<Value = Job> {
    proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..12).prop_map(|changes| {
        let mut job = whole_job();
        for (place, what) in changes {
            let paths = leaves(&job);
            let path = place.get(&paths);
            // What services and the like are found again by stays.
            let key = [
                "/Name",
                "/PortLabel",
                "/ID",
                "/DestPath",
                "/Destination",
                "/RelativeDest",
            ];
            if key.iter().any(|key| path.ends_with(key)) {
                continue;
            }
            match what {
                0 => drop_parent(&mut job, path),
                1 => drop_at(&mut job, path),
                _ => {
                    let leaf = job.pointer_mut(path).unwrap();
                    *leaf = another(leaf);
                }
            }
        }
        canonical(&job)
    })
}

/// Takes the block around a field out of the job, unless it is the job.
fn drop_parent(job: &mut Value, path: &str) {
    if let Some((block, _)) = path.rsplit_once('/') {
        drop_at(job, block);
    }
}

fn drop_at(job: &mut Value, path: &str) {
    let Some((parent, name)) = path.rsplit_once('/') else {
        return;
    };
    match job.pointer_mut(parent) {
        Some(Value::Array(list)) => {
            list.remove(name.parse().unwrap());
        }
        Some(Value::Object(fields)) => {
            fields.remove(name);
        }
        _ => {}
    }
}

/// The diff the other way round.
fn turned(found: &JobDiff) -> JobDiff {
    fn kind(kind: DiffType) -> DiffType {
        match kind {
            DiffType::Added => DiffType::Deleted,
            DiffType::Deleted => DiffType::Added,
            DiffType::None | DiffType::Edited => kind,
        }
    }
    fn fields(list: &mut [FieldDiff]) {
        for field in list {
            field.kind = kind(field.kind);
            std::mem::swap(&mut field.old, &mut field.new);
        }
    }
    fn objects(list: &mut [ObjectDiff]) {
        for object in list {
            object.kind = kind(object.kind);
            fields(&mut object.fields);
            objects(&mut object.objects);
        }
    }
    let mut found = found.clone();
    found.kind = kind(found.kind);
    fields(&mut found.fields);
    objects(&mut found.objects);
    for group in &mut found.task_groups {
        group.kind = kind(group.kind);
        fields(&mut group.fields);
        objects(&mut group.objects);
        for task in &mut group.tasks {
            task.kind = kind(task.kind);
            fields(&mut task.fields);
            objects(&mut task.objects);
        }
    }
    found
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn nothing_changed(found: &JobDiff) -> bool {
    found.kind == DiffType::None && lines(found).is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rove_testkit::cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_job_does_not_differ_from_itself(job in some_job(), contextual: bool) {
        prop_assert!(nothing_changed(&diff(Some(&job), Some(&job), contextual)));
    }

    #[test]
    fn two_jobs_differ_one_way_as_they_do_the_other(a in some_job(), b in some_job(), contextual: bool) {
        let there = diff(Some(&a), Some(&b), contextual);
        let back = diff(Some(&b), Some(&a), contextual);
        prop_assert_eq!(sorted(lines(&turned(&there))), sorted(lines(&back)));
    }

    #[test]
    fn a_new_job_is_added_whole_and_a_gone_one_deleted(job in some_job()) {
        let come = diff(None, Some(&job), true);
        let gone = diff(Some(&job), None, true);
        prop_assert_eq!((come.kind, gone.kind), (DiffType::Added, DiffType::Deleted));
        prop_assert_eq!(sorted(lines(&turned(&come))), sorted(lines(&gone)));
        prop_assert!(lines(&come).iter().all(|line| !line.contains('~')), "{:?}", lines(&come));
    }

    #[test]
    fn context_adds_what_did_not_change_and_nothing_else(a in some_job(), b in some_job()) {
        let (plain, contextual) = (diff(Some(&a), Some(&b), false), diff(Some(&a), Some(&b), true));
        prop_assert_eq!(sorted(lines(&plain)), sorted(lines(&contextual)));
    }

    #[test]
    fn jobs_that_differ_are_seen_to(a in some_job(), b in some_job()) {
        prop_assert_eq!(nothing_changed(&diff(Some(&a), Some(&b), false)), a == b);
    }
}
