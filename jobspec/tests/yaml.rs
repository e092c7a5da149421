//! Jobs in YAML: read, refused with places, and written so that they read back the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use proptest::prelude::*;
use rove_jobspec::{ParseOptions, parse_any, parse_hcl, parse_json, parse_yaml, to_yaml};
use rove_model::job::Job;
use rove_testkit::{reference, samples};

const HELLO: &str = r#"
# a job
apiVersion: rove/v1
kind: Job
metadata:
  name: hello
  labels: {team: core}
spec:
  type: service
  meta: {owner: me}
  groups:
  - name: web
    count: 2
    networks:
    - ports:
      - {name: http, to: 8080}
      - {name: admin, static: 9000}
    tasks:
    - name: nginx
      driver: docker
      config:
        image: "nginx:1.25"
        ports: [http]
        labels: {a: b}
      env: {NUM: 5, FLAG: true}
      kill_timeout: 10s
      resources: {cpu: 50, memory: 64}
"#;

const HELLO_HCL: &str = r#"
job "hello" {
  type = "service"
  meta {
    owner = "me"
    team  = "core"
  }
  group "web" {
    count = 2
    network {
      port "http" { to = 8080 }
      port "admin" { static = 9000 }
    }
    task "nginx" {
      driver = "docker"
      config {
        image = "nginx:1.25"
        ports = ["http"]
        labels { a = "b" }
      }
      env {
        NUM  = 5
        FLAG = true
      }
      kill_timeout = "10s"
      resources {
        cpu    = 50
        memory = 64
      }
    }
  }
}
"#;

#[test]
fn yaml_and_hcl_say_the_same() {
    let options = ParseOptions::default();
    let yaml = parse_yaml("a.yaml", HELLO, &options).unwrap();
    let hcl = parse_hcl("a.hcl", HELLO_HCL, &options).unwrap();
    assert_eq!(yaml.len(), 1);
    assert_eq!(yaml[0].job, hcl.job);
}

#[test]
fn a_stream_holds_many_documents_and_tells_of_mistakes_in_all() {
    let second = HELLO.replace("hello", "other");
    let stream = format!("---{HELLO}---\n---{second}...\n");
    let jobs = parse_yaml("a.yaml", &stream, &ParseOptions::default()).unwrap();
    let ids: Vec<_> = jobs.iter().map(|parsed| parsed.job.id.as_str()).collect();
    assert_eq!(ids, ["hello", "other"]);

    let broken = stream.replace("count: 2", "cuont: 2");
    let findings = parse_yaml("a.yaml", &broken, &ParseOptions::default()).unwrap_err();
    assert_eq!(findings.list.len(), 2);
}

#[test]
fn mistakes_are_told_with_place_and_what_was_meant() {
    for (from, to, summary, detail, place) in [
        (
            "count: 2",
            "cuont: 2",
            "Unknown field",
            "Did you mean \"count\"?",
            (13, 5),
        ),
        (
            "count: 2",
            "count: many",
            "Unsuitable value type",
            "a number is required",
            (13, 12),
        ),
        ("kill_timeout: 10s", "kill_timeout: 10", "", "", (0, 0)),
        (
            "kill_timeout: 10s",
            "kill_timeout: 10 parsecs",
            "Unsuitable value type",
            "unknown unit",
            (26, 21),
        ),
        (
            "driver: docker",
            "driver: [docker]",
            "Unsuitable value type",
            "string required",
            (20, 15),
        ),
        (
            "groups:",
            "group:",
            "Unknown field",
            "Did you mean \"groups\"?",
            (11, 3),
        ),
        (
            "  - name: web\n    count",
            "  - count",
            "Missing field",
            "needs a name",
            (12, 5),
        ),
        (
            "kind: Job",
            "kind: Pod",
            "Unsupported document",
            "must be \"Job\"",
            (4, 7),
        ),
        (
            "apiVersion: rove/v1",
            "apiVersion: batch/v1",
            "Unsupported document",
            "rove/v1",
            (3, 13),
        ),
        (
            "  name: hello\n",
            "",
            "Missing field",
            "metadata needs a name",
            (3, 1),
        ),
        (
            "driver: docker",
            "driver: docker\n      driver: exec",
            "Duplicate key",
            "set twice",
            (21, 7),
        ),
        (
            "meta: {owner: me}",
            "meta: {team: me}",
            "Duplicate key",
            "meta as well",
            (7, 12),
        ),
        ("tasks:\n", "tasks: nginx\n", "Invalid YAML", "", (19, 7)),
        (
            "spec:",
            "sepc:",
            "Unknown field",
            "Did you mean \"spec\"?",
            (8, 1),
        ),
    ] {
        let text = HELLO.replace(from, to);
        assert_ne!(text, HELLO);
        let result = parse_yaml("a.yaml", &text, &ParseOptions::default());
        if summary.is_empty() {
            assert!(result.is_ok(), "{to}");
            continue;
        }
        let findings = result.expect_err(to);
        let finding = &findings.list[0];
        assert_eq!(finding.summary, summary, "{to}");
        assert!(finding.detail.contains(detail), "{to}: {}", finding.detail);
        assert_eq!(findings.position(finding), Some(place), "{to}");
    }
}

#[test]
fn a_mistake_names_its_field() {
    for (from, to, field) in [
        ("count: 2", "cuont: 2", "spec.groups[\"web\"].cuont"),
        ("image: \"nginx:1.25\"", "? {a: b}", ""),
        (
            "- {name: http, to: 8080}",
            "- {to: 8080}",
            "spec.groups[\"web\"].networks[0].ports[0]",
        ),
        (
            "networks:\n    - ports",
            "networks:\n      ports",
            "spec.groups[\"web\"].networks",
        ),
        (
            "resources: {cpu: 50",
            "resources: {cpu: [1]",
            "group[\"web\"].task[\"nginx\"].resources.cpu",
        ),
        ("  labels: {team", "  lables: {team", "lables"),
    ] {
        let text = HELLO.replace(from, to);
        assert_ne!(text, HELLO, "{to}");
        let findings = parse_yaml("a.yaml", &text, &ParseOptions::default()).expect_err(to);
        let told = findings.list[0].field.clone().unwrap_or_default();
        assert_eq!(told, field, "{to}");
    }
}

#[test]
fn anchors_stand_for_what_they_name() {
    let text = HELLO
        .replace("resources: {cpu", "resources: &small {cpu")
        .replace("env: {NUM", "logs: {max_files: 3}\n      env: {NUM")
        + "    - name: second\n      driver: docker\n      resources: *small\n";
    let parsed = parse_yaml("a.yaml", &text, &ParseOptions::default()).unwrap();
    let tasks = &parsed[0].job.task_groups[0].tasks;
    assert_eq!(tasks[0].resources, tasks[1].resources);
    assert!(tasks[0].resources.is_some());
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    let findings = parse_yaml("a.yaml", &bomb, &ParseOptions::default()).unwrap_err();
    assert_eq!(findings.list[0].summary, "Too many aliases");

    for deep in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
    ] {
        assert!(parse_yaml("a.yaml", &deep, &ParseOptions::default()).is_err());
    }
    let own = "a: &a [*a]";
    assert!(parse_yaml("a.yaml", own, &ParseOptions::default()).is_err());
}

/// Every job of a root of samples, as parsed and as stored.
fn jobs(root: &Path) -> Vec<(String, Job)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("jobspec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.ends_with(".validate.json") {
            let job: Job = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut stored = job.clone();
            stored.server_canonicalize();
            found.push((name.clone(), job));
            found.push((format!("{name}, stored"), stored));
        }
    }
    found
}

/// A job that went through YAML, compared in its stored form.
fn round_trip(name: &str, job: &Job) {
    let yaml = to_yaml(job);
    let read = parse_any("job.yaml", &yaml, &ParseOptions::default())
        .unwrap_or_else(|findings| panic!("{name}:\n{findings}\n{yaml}"));
    let mut read = read.into_iter().next().unwrap().job;
    let mut expected = job.clone();
    read.server_canonicalize();
    expected.server_canonicalize();
    let (read, expected) = (
        serde_json::to_string_pretty(&read).unwrap(),
        serde_json::to_string_pretty(&expected).unwrap(),
    );
    for (a, b) in read.lines().zip(expected.lines()) {
        assert_eq!(a, b, "{name}\n{yaml}");
    }
    assert_eq!(read.lines().count(), expected.lines().count(), "{name}");
}

#[test]
fn every_sample_job_goes_through_yaml_unchanged() {
    for root in samples() {
        let jobs = jobs(&root);
        assert_eq!(jobs.len(), if Some(root) == reference() { 84 } else { 16 });
        for (name, job) in jobs {
            round_trip(&name, &job);
        }
    }
}

#[test]
fn the_api_s_json_is_read_with_places() {
    let options = ParseOptions::default();
    let parsed = parse_json("a.json", r#"{"Job": {"ID": "x", "Unknown": 1}}"#, &options).unwrap();
    assert_eq!(parsed.job.id, "x");
    let parsed = parse_json("a.json", r#"{"ID": "x"}"#, &options).unwrap();
    assert_eq!(parsed.job.id, "x");
    let text = "{\"ID\": \"x\", \"TaskGroups\": [\n {\"Name\": \"g\", \"Count\": \"3\"}]}";
    let findings = parse_json("a.json", text, &options).unwrap_err();
    let finding = &findings.list[0];
    assert_eq!(finding.field.as_deref(), Some("TaskGroups[0].Count"));
    assert_eq!(findings.position(finding).map(|(line, _)| line), Some(2));
    assert!(parse_json("a.json", "{}", &options).is_err());
    assert!(parse_json("a.json", "[1", &options).is_err());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        ".{0,12}",
        "(?s).{0,20}",
        "[ \\t\\n:#{}\\[\\],&*!|>'\"%@`-]{0,8}",
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("0x1f".to_owned()),
        Just("1e3".to_owned()),
        Just("a: b\nc: d\n".to_owned()),
        Just("line\n\n  indented\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rove_testkit::cases(400)))]

    #[test]
    fn any_text_survives_yaml(texts in proptest::collection::vec(any_text(), 6), count in 0_i64..9) {
        // An empty text says nothing in a job.
        let kept = |text: &String| if text.is_empty() { "-".to_owned() } else { text.clone() };
        let texts: Vec<String> = texts.iter().map(kept).collect();
        let json = serde_json::json!({
            "ID": texts[0], "Meta": {texts[1].clone(): texts[2]},
            "TaskGroups": [{"Name": texts[3], "Count": count, "Tasks": [{
                "Name": texts[4], "Driver": "raw_exec",
                "Config": {"command": texts[5], "args": texts, "nested": [{"x": texts[1]}]},
                "Env": {"A": texts[2], texts[5].clone(): "1"},
                "Templates": [{"EmbeddedTmpl": texts[0], "DestPath": texts[3], "Perms": "0644"}]}]}]});
        let mut job: Job = serde_json::from_value(json).unwrap();
        job.server_canonicalize();
        round_trip("generated", &job);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "(?s).{0,200}") {
        for name in ["a.yaml", "a.json", "a.hcl", "a"] {
            let _ = parse_any(name, &text, &ParseOptions::default());
        }
    }

    #[test]
    fn damaged_yaml_never_panics(at in 0_usize..800, cut in 0_usize..40, insert in "[ \\n:\\[\\]{}&*|>\"'-]{0,3}") {
        let mut text = HELLO.to_owned();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &insert);
        if let Err(findings) = parse_yaml("a.yaml", &text, &ParseOptions::default()) {
            prop_assert!(!findings.render(true).is_empty());
        }
    }

    #[test]
    fn damaged_hcl_never_panics(at in 0_usize..800, cut in 0_usize..40, insert in "[ \\n=\\[\\]{}$%\"<~a-c-]{0,4}") {
        let mut text = HELLO_HCL.to_owned();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &insert);
        if let Err(findings) = parse_hcl("a.hcl", &text, &ParseOptions::default()) {
            prop_assert!(!findings.render(true).is_empty());
            prop_assert!(!findings.reference_text().is_empty());
        }
    }
}
