//! What the declarations of a job's fields say, beside what the job does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rove_model::{
    duration::Nanos,
    job::{
        Declared as _, Job,
        declare::{Block, Field, Kind, Place},
    },
};
use serde_json::{Map, Value as Json, json};

/// Every block with a path to it, each once.
fn blocks() -> Vec<&'static Block> {
    fn collect(block: &'static Block, found: &mut Vec<&'static Block>) {
        if found.iter().any(|known| known.of == block.of) {
            return;
        }
        found.push(block);
        let inner = block.fields.iter().filter_map(|field| field.kind.block());
        inner.for_each(|inner| collect(inner, found));
    }
    let mut found = Vec::new();
    collect(Job::BLOCK, &mut found);
    found
}

/// JSON of a block that holds one of each block, and no argument but labels.
fn one_of_each(block: &'static Block) -> Json {
    let mut object = Map::new();
    for field in block.fields {
        let value = match field.kind {
            Kind::Block(inner) => one_of_each(inner),
            Kind::Blocks(inner) => json!([one_of_each(inner)]),
            Kind::NamedBlocks(inner) => json!({"x": one_of_each(inner)}),
            _ if field.place == Place::Label => "x".into(),
            _ => continue,
        };
        object.insert(field.json.to_owned(), value);
    }
    // Without a hook the block goes, as it says nothing.
    if block.of == "Lifecycle" {
        object.insert("Hook".to_owned(), "prestart".into());
    }
    Json::Object(object)
}

#[test]
fn every_field_has_the_name_in_json_that_its_declaration_says() {
    // Left out where nothing is set.
    const SKIPPED: [&str; 5] = [
        "Job.Reschedule",
        "Job.Migrate",
        "Task.CSIPluginConfig",
        "LogConfig.Enabled",
        "Service.Namespace",
    ];
    for block in blocks() {
        let unsaid = (block.unsaid)();
        let mut names: Vec<&str> = unsaid
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let skipped =
            |field: &&Field| SKIPPED.contains(&format!("{}.{}", block.of, field.json).as_str());
        names.extend(block.fields.iter().filter(skipped).map(|field| field.json));
        let mut declared: Vec<&str> = block.fields.iter().map(|field| field.json).collect();
        names.sort_unstable();
        declared.sort_unstable();
        assert_eq!(names, declared, "{}", block.of);
    }
}

#[test]
fn every_field_is_documented_and_has_a_name_of_its_own() {
    for block in blocks() {
        for (at, field) in block.fields.iter().enumerate() {
            let name = format!("{}.{}", block.of, field.json);
            assert!(field.doc.ends_with(['.', '…']), "{name}: {:?}", field.doc);
            assert!(!field.doc.contains("  "), "{name}: {:?}", field.doc);
            for other in &block.fields[at + 1..] {
                assert_ne!(field.json, other.json, "{name}");
                let in_files = [field, other].iter().all(|field| field.place != Place::Api);
                assert!(!in_files || field.name != other.name, "{name}");
            }
        }
    }
}

/// The documented default of a field in a job of this type, as JSON; `None` where it is no value but words.
fn documented(field: &Field, is_batch: bool) -> Option<Json> {
    let text = match field.default.split_once(" (batch: ") {
        Some((_, batch)) if is_batch => batch.strip_suffix(')').expect("a bracket"),
        Some((service, _)) => service,
        None => field.default,
    };
    match field.kind {
        Kind::Integer => text.parse::<i64>().ok().map(Json::from),
        Kind::Bool => text.parse::<bool>().ok().map(Json::from),
        Kind::Duration => text.parse::<Nanos>().ok().map(|nanos| nanos.0.into()),
        Kind::Text => {
            let is_value = !text.is_empty() && !text.contains([' ', '<', '\'']);
            is_value.then(|| text.into())
        }
        Kind::Texts => serde_json::from_str(text).ok(),
        Kind::TextMap | Kind::TextsMap | Kind::Free => None,
        Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_) => None,
    }
}

fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_i64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
    }
}

#[test]
fn a_documented_default_is_the_canonical_one() {
    // What acts on these takes nothing for the default: a canonical job shows nothing, as the reference's does.
    const READ_AS: [&str; 17] = [
        "Constraint.Operand",
        "Affinity.Operand",
        "NetworkResource.Mode",
        "LogConfig.Enabled",
        "Template.Uid",
        "Template.Gid",
        "Template.ChangeSignal",
        "ServiceCheck.Protocol",
        "ServiceCheck.AddressMode",
        "ServiceCheck.InitialStatus",
        "ServiceCheck.Method",
        "SidecarTask.Driver",
        "Proxy.LocalServiceAddress",
        "ExposePath.Protocol",
        "Upstream.DestinationType",
        "Upstream.LocalBindAddress",
        "TaskGroup.ShutdownDelay",
    ];
    // Computed, or taken from somewhere else: the documentation says so in words, or the API alone shows it.
    const COMPUTED: [&str; 8] = [
        "Job.Name",
        "Service.Name",
        "Service.Namespace",
        "ServiceCheck.Name",
        "ServiceCheck.OnUpdate",
        "ScalingPolicy.Min",
        "PeriodicConfig.SpecType",
        "Lifecycle.Hook",
    ];
    fn check(block: &'static Block, object: &Json, is_batch: bool, wrong: &mut Vec<String>) {
        for field in block.fields {
            let value = &object[field.json];
            let name = format!("{}.{}", block.of, field.json);
            match (field.kind, value) {
                // A registered job has only two fields there; the groups have the rest. What a service says is for
                // its checks, which have the rest.
                (Kind::Block(_), _)
                    if ["Job.Update", "Service.CheckRestart"].contains(&name.as_str()) => {}
                (Kind::Block(inner), Json::Object(_)) => check(inner, value, is_batch, wrong),
                (Kind::Blocks(inner), Json::Array(list)) => {
                    list.iter()
                        .for_each(|value| check(inner, value, is_batch, wrong));
                }
                (Kind::NamedBlocks(inner), Json::Object(map)) => {
                    map.values()
                        .for_each(|value| check(inner, value, is_batch, wrong));
                }
                (Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_), _) => {}
                _ if field.place == Place::Label || COMPUTED.contains(&name.as_str()) => {}
                _ => {
                    let documented = documented(field, is_batch);
                    let is_right = match &documented {
                        Some(_) if is_nothing(value) && READ_AS.contains(&name.as_str()) => true,
                        Some(documented) if is_nothing(documented) => is_nothing(value),
                        Some(documented) => documented == value,
                        None => is_nothing(value) || !field.default.is_empty(),
                    };
                    if !is_right {
                        wrong.push(format!("{name}: {:?}, but {value}", field.default));
                    }
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for (job_type, is_batch) in [("", false), ("batch", true)] {
        let mut job = one_of_each(Job::BLOCK);
        job["ID"] = "x".into();
        job["Type"] = job_type.into();
        let mut job: Job = serde_json::from_value(job).expect("a job");
        job.server_canonicalize();
        let mut canonical = serde_json::to_value(&job).expect("JSON");
        if is_batch {
            canonical["Type"] = "service".into();
        }
        check(Job::BLOCK, &canonical, is_batch, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_documented_default_is_of_the_kind_of_its_field_or_says_that_it_depends() {
    for block in blocks() {
        for field in block
            .fields
            .iter()
            .filter(|field| !field.default.is_empty())
        {
            let is_value = documented(field, false).is_some() && documented(field, true).is_some();
            let depends = ["the ", "<", "service: ", "connect-proxy-"]
                .iter()
                .any(|word| field.default.starts_with(word));
            assert!(
                is_value || depends,
                "{}.{}: {}",
                block.of,
                field.json,
                field.default
            );
        }
    }
}
