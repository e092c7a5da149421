//! Jobs from each language into each other: nothing is lost, and what can't be said is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use proptest::prelude::*;
use rove_jobspec::{
    Format, ParseOptions, convert::convert, format, parse_any, parse_hcl, parse_json, parse_yaml,
};
use rove_model::job::Job;
use rove_testkit::{reference, samples};
use serde_json::{Value as Json, json};

const FORMATS: [Format; 3] = [Format::Hcl, Format::Yaml, Format::Json];

fn read(name: &str, text: &str, format: Format) -> Job {
    let options = ParseOptions::default();
    let read = match format {
        Format::Hcl | Format::Hcl1 => parse_hcl("job.hcl", text, &options).map(|parsed| parsed.job),
        Format::Json => parse_json("job.json", text, &options).map(|parsed| parsed.job),
        Format::Yaml => parse_yaml("job.yaml", text, &options)
            .map(|list| list.into_iter().next().expect("a job").job),
    };
    read.unwrap_or_else(|findings| panic!("{name}:\n{findings}\n{text}"))
}

/// With its defaults, as text: those of a stored job where it is one.
fn canonical(name: &str, job: &Job) -> String {
    let mut job = job.clone();
    if name.ends_with(", stored") {
        job.server_canonicalize();
    } else {
        job.canonicalize();
    }
    serde_json::to_string_pretty(&job).unwrap()
}

#[track_caller]
fn assert_same(name: &str, text: &str, expected: &Job, found: &Job) {
    let (expected, found) = (canonical(name, expected), canonical(name, found));
    for (number, (a, b)) in expected.lines().zip(found.lines()).enumerate() {
        let from = number.saturating_sub(12);
        let around: Vec<&str> = expected.lines().skip(from).take(13).collect();
        assert_eq!(a, b, "{name}\n{}\n{text}", around.join("\n"));
    }
    assert_eq!(
        expected.lines().count(),
        found.lines().count(),
        "{name}\n{text}"
    );
}

/// The job files of a root of samples that are read as they are: name and job.
fn job_files(root: &Path) -> Vec<(String, Job)> {
    let mut found = Vec::new();
    let folders = ["jobspec", "story", "story/derived"].map(|name| root.join(name));
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_job = name.ends_with(".nomad.hcl") || name.ends_with(".nomad");
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !is_job || name.contains(".fragment.") || text.starts_with("# HCLv1") {
                continue;
            }
            let mut options = ParseOptions::default();
            let variables = path.to_string_lossy().replace(".nomad.hcl", ".vars.hcl");
            if Path::new(&variables).exists() && variables.ends_with(".vars.hcl") {
                let text = fs::read_to_string(variables).unwrap();
                options.variable_files.push(("vars".to_owned(), text));
            }
            let parsed = parse_hcl(&name, &text, &options);
            let job = parsed
                .unwrap_or_else(|findings| panic!("{name}:\n{findings}"))
                .job;
            found.push((name, job));
        }
    }
    found
}

/// The job of every JSON of a root of samples, as parsed and as stored.
fn recorded_jobs(root: &Path) -> Vec<(String, Job)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("jobspec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.ends_with(".validate.json") {
            let text = fs::read_to_string(&path).unwrap();
            let job: Job = serde_json::from_str(&text).unwrap();
            let mut stored = job.clone();
            stored.server_canonicalize();
            found.push((name.clone(), job));
            found.push((format!("{name}, stored"), stored));
        }
    }
    found
}

/// Through every language and on to every other.
#[track_caller]
fn goes_all_ways(name: &str, job: &Job) {
    for first in FORMATS {
        let text = convert(job, first)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .text;
        let once = read(name, &text, first);
        assert_same(name, &text, job, &once);
        if first == Format::Hcl {
            let laid_out = format("job.hcl", &text).expect("it is HCL");
            assert_eq!(laid_out, text, "{name}: what is written is laid out");
        }
        for second in FORMATS {
            let text = convert(&once, second)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .text;
            assert_same(name, &text, job, &read(name, &text, second));
        }
    }
}

#[test]
fn every_sample_job_goes_from_each_language_to_each_other() {
    for root in samples() {
        let files = job_files(&root);
        let recorded = recorded_jobs(&root);
        let all = if Some(root) == reference() { 42 } else { 8 };
        // Those in the old language only come as JSON.
        assert!(files.len() + 1 >= all, "{}", files.len());
        assert_eq!(recorded.len(), 2 * all);
        for (name, job) in files.iter().chain(&recorded) {
            goes_all_ways(name, job);
        }
    }
}

fn job(json: Json) -> Job {
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_job_in_hcl_reads_as_people_write_it() {
    let job = job(json!({
        "ID": "web", "Type": "service", "Datacenters": ["dc1"], "Meta": {"owner": "me"},
        "Update": {"MaxParallel": 2, "MinHealthyTime": 10_000_000_000_i64},
        "TaskGroups": [{
            "Name": "app", "Count": 2, "Meta": {"example.com/team": "core"},
            "Networks": [{
                "ReservedPorts": [{"Label": "admin", "Value": 9000}],
                "DynamicPorts": [{"Label": "http", "To": 8080}, {"Label": "db", "To": 1, "HostNetwork": "private"}]}],
            "Services": [{"Name": "web", "PortLabel": "http", "Provider": "nomad",
                "Checks": [{"Type": "http", "Path": "/", "Interval": "10s", "Timeout": "2s"}]}],
            "Tasks": [{
                "Name": "nginx", "Driver": "docker",
                "Constraints": [{"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}],
                "Config": {
                    "image": "nginx:1.25", "ports": ["http"], "privileged": true,
                    "labels": [{"com.example.a": "b"}],
                    "mount": [{"type": "bind", "source": "a"}, {"type": "tmpfs", "tmpfs_options": [{"size": 5}]}]},
                "Env": {"ADDR": "${NOMAD_ADDR_http}", "PRICE": "5$", "SHELL": "${1:-x}"},
                "Templates": [{"EmbeddedTmpl": "a = {{ key \"x\" }}\nb = ${b}\n", "DestPath": "local/a"}],
                "Resources": {"CPU": 500, "MemoryMB": 256}}]}]}));
    let text = convert(&job, Format::Hcl).unwrap().text;
    assert_eq!(
        text,
        r#"job "web" {
  type        = "service"
  datacenters = ["dc1"]

  update {
    max_parallel     = 2
    min_healthy_time = "10s"
  }

  meta {
    owner = "me"
  }

  group "app" {
    count = 2

    network {
      port "admin" { static = 9000 }
      port "http" { to = 8080 }

      port "db" {
        to           = 1
        host_network = "private"
      }
    }

    meta = {
      "example.com/team" = "core"
    }

    service {
      name     = "web"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "nginx" {
      driver = "docker"

      config {
        image = "nginx:1.25"
        labels = {
          "com.example.a" = "b"
        }
        ports      = ["http"]
        privileged = true

        mount {
          source = "a"
          type   = "bind"
        }

        mount {
          type = "tmpfs"

          tmpfs_options {
            size = 5
          }
        }
      }

      constraint {
        attribute = "${attr.kernel.name}"
        value     = "linux"
      }

      env {
        ADDR  = "${NOMAD_ADDR_http}"
        PRICE = "5$"
        SHELL = "$${1:-x}"
      }

      resources {
        cpu    = 500
        memory = 256
      }

      template {
        destination = "local/a"
        data        = <<-EOH
          a = {{ key "x" }}
          b = ${b}
          EOH
      }
    }
  }
}
"#
    );
}

#[test]
fn what_a_language_can_not_say_is_refused_by_name() {
    let unnameable = job(json!({"ID": "a", "TaskGroups": [
        {"Name": "g", "Tasks": [{"Name": "t", "Driver": "docker", "Config": {"a.b": 1}}]}]}));
    let error = convert(&unnameable, Format::Hcl).unwrap_err();
    assert_eq!(
        error.to_string(),
        "HCL has no way to write this job:\n  TaskGroups[0].Tasks[0].Config[\"a.b\"]: an argument's name is made of letters, digits, _ and -"
    );
    assert!(convert(&unnameable, Format::Yaml).is_ok());

    let reserved = job(json!({"ID": "a", "TaskGroups": [
        {"Name": "g", "Networks": [{"ReservedPorts": [{"Label": "x", "Value": 0}]}]}]}));
    for format in [Format::Hcl, Format::Yaml] {
        let error = convert(&reserved, format).unwrap_err();
        assert_eq!(
            error.losses[0].path,
            "TaskGroups[0].Networks[0].DynamicPorts"
        );
    }
    assert!(convert(&reserved, Format::Json).is_ok());
}

#[test]
fn what_a_job_holds_beside_its_file_is_named() {
    let stored = job(
        json!({"ID": "a", "Stop": true, "Payload": "eA==", "Version": 3, "Status": "dead",
        "JobModifyIndex": 7, "TaskGroups": [{"Name": "g", "Scaling": {"Max": 3, "Type": "horizontal", "Target": {"Job": "a"}, "ID": "x"}}]}),
    );
    for format in [Format::Hcl, Format::Yaml] {
        let converted = convert(&stored, format).unwrap();
        assert_eq!(converted.left_out, ["Stop", "Payload"]);
    }
    let converted = convert(&stored, Format::Json).unwrap();
    assert_eq!(converted.left_out, Vec::<String>::new());
    let read = parse_json("a.json", &converted.text, &ParseOptions::default()).unwrap();
    assert_eq!(read.job, stored);
}

#[test]
fn json_says_what_the_job_says_and_no_more() {
    let job = job(
        json!({"ID": "a", "Priority": 0, "Datacenters": [], "TaskGroups": [{
        "Name": "g", "Update": {}, "Services": [{"Connect": {"Gateway": {"Mesh": {}}}}],
        "Tasks": [{"Name": "t", "Config": {"none": null, "empty": [], "text": ""}}]}]}),
    );
    let text = convert(&job, Format::Json).unwrap().text;
    let expected = json!({"Job": {"ID": "a", "Priority": 0, "TaskGroups": [{
        "Name": "g", "Update": {}, "Services": [{"Connect": {"Gateway": {"Mesh": {}}}}],
        "Tasks": [{"Name": "t", "Config": {"none": null, "empty": [], "text": ""}}]}]}});
    assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), expected);
    assert!(
        text.find("\"Name\"") < text.find("\"Config\""),
        "in the API's order: {text}"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,8}",
        2 => ".{0,12}",
        2 => "(?s).{0,30}",
        2 => "[ \\t\\n:#{}\\[\\],&*!|>'\"%@`$~\\\\-]{0,12}",
        2 => "[$%{}~a\\n \"]{0,16}",
        1 => Just("true".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("1e3".to_owned()),
        1 => Just("${attr.cpu.arch}-${NOMAD_PORT_http}".to_owned()),
        1 => Just("${env[\"HOME\"]} ${meta.a.b} ${var.x} ${local.y}".to_owned()),
        1 => Just("$${a} %%{ if b } $$${c} %{ endif }".to_owned()),
        1 => Just("{{ range service \"x\" }}\n  {{ .Address }}\n{{ end }}\n".to_owned()),
        1 => Just("  a\n b\n\n   \n\tc".to_owned()),
        1 => Just("EOH\n EOF\nx".to_owned()),
        1 => Just("a\r\nb\r\n".to_owned()),
        1 => Just("dynamic".to_owned()),
        1 => Just("for".to_owned()),
    ]
}

fn any_config() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any_text().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
    ];
    let tree = leaf.prop_recursive(4, 32, 4, |inner| {
        let map = proptest::collection::btree_map(any_text(), inner.clone(), 0..4).boxed();
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Json::from),
            map.clone()
                .prop_map(|map| Json::Object(map.into_iter().collect())),
            map.prop_map(|map| json!([map])),
        ]
    });
    proptest::collection::btree_map("[a-z_][a-z0-9_-]{0,6}|for|null|dynamic|if", tree, 0..5)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

fn maybe<T: std::fmt::Debug + Clone + Into<Json> + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Json> {
    proptest::option::of(some).prop_map(|value| value.map_or(Json::Null, Into::into))
}

fn any_update() -> impl Strategy<Value = Json> {
    (maybe(any::<i64>()), maybe(any_text()), maybe(any::<bool>()), maybe(any::<i64>())).prop_map(
        |(stagger, health, revert, parallel)| {
            json!({"Stagger": stagger, "HealthCheck": health, "AutoRevert": revert, "MaxParallel": parallel})
        },
    )
}

fn any_task() -> impl Strategy<Value = Json> {
    let maps = (
        proptest::collection::btree_map(any_text(), any_text(), 0..4),
        proptest::collection::btree_map("[a-z_]{1,5}", any_text(), 0..4),
        proptest::collection::btree_map(
            any_text(),
            proptest::collection::vec(any_text(), 0..3),
            0..3,
        ),
    );
    let texts = proptest::collection::vec(any_text(), 0..5);
    let numbers = (
        maybe(any::<i64>()),
        any::<i64>(),
        any::<bool>(),
        maybe(any::<bool>()),
    );
    (any_text(), any_config(), maps, texts, numbers, maybe(any_text())).prop_map(
        |(name, config, (env, meta, header), texts, (some, number, yes, maybe), text)| {
            json!({
                "Name": name, "Driver": texts.first(), "Config": config, "Env": env, "Meta": meta,
                "Leader": yes, "ShutdownDelay": number, "KillTimeout": some, "User": text,
                "Resources": {"CPU": some, "Cores": maybe.as_bool().map(i64::from),
                    "Devices": [{"Name": name, "Constraints": [{"LTarget": text, "RTarget": name, "Operand": "regexp"}]}]},
                "Templates": [{"EmbeddedTmpl": text, "Perms": "", "Envvars": maybe, "Wait": {}}, {}],
                "Artifacts": [{"GetterSource": name, "GetterOptions": env}],
                "Services": [{"Name": name, "Tags": texts, "Meta": meta, "Checks": [
                    {"Header": header, "Interval": number, "Args": texts, "CheckRestart": {"Grace": some}}],
                    "Connect": {"SidecarService": {}, "SidecarTask": {"Config": config}}}],
                "Vault": if yes { json!({"Policies": texts, "Env": maybe}) } else { Json::Null },
                "ScalingPolicies": [{"Type": "vertical_cpu", "Max": number, "Policy": config}],
                "LogConfig": {"Disabled": maybe},
            })
        },
    )
}

fn any_job() -> impl Strategy<Value = Job> {
    let ports = proptest::collection::btree_map("[a-z]{1,4}", 1_i64..65_536, 0..4);
    let group = (
        any_text(),
        maybe(any::<i64>()),
        any_update(),
        ports,
        proptest::collection::vec(any_task(), 0..3),
    );
    let group = group.prop_map(|(name, count, update, ports, tasks)| {
        let reserved: Vec<Json> = ports.iter().map(|(label, port)| json!({"Label": label, "Value": port})).collect();
        let dynamic: Vec<Json> = ports.iter().map(|(label, port)| json!({"Label": label, "To": port})).collect();
        json!({
            "Name": name, "Count": count, "Update": update, "Tasks": tasks, "Migrate": {}, "Consul": {},
            "Networks": [{"Mode": name, "ReservedPorts": reserved, "DynamicPorts": dynamic, "DNS": {"Servers": [name]}}],
            "Volumes": {"data": {"Name": "data", "Type": "host", "MountOptions": {}}, "a b": {"Name": "a b"}},
            "Spreads": [{"Attribute": name, "SpreadTarget": [{"Value": name, "Percent": 3}, {"Percent": 0}]}],
            "Scaling": {"Type": "horizontal", "Min": count, "Policy": {}},
        })
    });
    let head = (
        any_text().prop_filter("an id", |id| !id.is_empty()),
        any_text(),
        maybe(any::<i64>()),
    );
    (head, any_update(), proptest::collection::vec(group, 0..3)).prop_map(
        |((id, text, number), update, groups)| {
            job(json!({
                "ID": id, "Name": text, "Region": text, "Namespace": text, "Priority": number,
                "Datacenters": [text, id], "Update": update, "TaskGroups": groups,
                "Affinities": [{"LTarget": text, "Operand": "=", "Weight": number}],
                "Periodic": {"Spec": text, "Specs": [text, "@daily"], "TimeZone": text},
            }))
        },
    )
}

/// The job in which what only a driver reads is as HCL and YAML have it.
fn settled(job: &Job) -> Job {
    fn settle(value: &mut Json, in_list: bool) {
        match value {
            Json::Object(map) => {
                map.values_mut().for_each(|value| settle(value, false));
                if !in_list {
                    *value = Json::Array(vec![value.take()]);
                }
            }
            Json::Array(list) => list.iter_mut().for_each(|value| settle(value, true)),
            Json::Number(number) if number.is_f64() => {
                // A whole number has no fraction to keep: it is read back as the integer that it is written as.
                let float = number.as_f64().unwrap_or_default();
                if float.fract() == 0.0 {
                    let text = float.to_string();
                    let whole = text.parse::<i64>().map(Json::from);
                    if let Ok(whole) = whole.or_else(|_| text.parse::<u64>().map(Json::from)) {
                        *value = whole;
                    }
                }
            }
            _ => {}
        }
    }
    let mut job = job.clone();
    for group in &mut job.task_groups {
        for task in &mut group.tasks {
            task.config
                .values_mut()
                .for_each(|value| settle(value, false));
            for policy in &mut task.scaling_policies {
                policy
                    .policy
                    .values_mut()
                    .for_each(|value| settle(value, false));
            }
            for service in &mut task.services {
                let sidecar = service
                    .connect
                    .as_mut()
                    .and_then(|connect| connect.sidecar_task.as_mut());
                if let Some(sidecar) = sidecar {
                    sidecar
                        .config
                        .values_mut()
                        .for_each(|value| settle(value, false));
                }
            }
        }
    }
    job
}

/// A file that doesn't name these of a group's scaling is refused.
fn with_what_scaling_needs(mut job: Job) -> Job {
    for scaling in job
        .task_groups
        .iter_mut()
        .filter_map(|group| group.scaling.as_mut())
    {
        scaling.max.get_or_insert(3);
        scaling.type_name = "horizontal".to_owned();
    }
    job
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rove_testkit::cases(32), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_job_goes_through_every_language(job in any_job().prop_map(with_what_scaling_needs)) {
        let settled = settled(&job);
        // Each reads back as the job, so each way from one to another does.
        let mut last = job;
        for format in [Format::Json, Format::Hcl, Format::Yaml, Format::Hcl, Format::Json] {
            let text = convert(&last, format).unwrap_or_else(|error| panic!("{error}")).text;
            last = read("generated", &text, format);
            let is_json = format == Format::Json;
            assert_same("generated", &text, &settled, &if is_json { self::settled(&last) } else { last.clone() });
        }
    }
}

#[test]
fn the_language_of_what_was_written_is_seen_without_a_name() {
    let job = job(json!({"ID": "a", "TaskGroups": [{"Name": "g"}]}));
    for format in FORMATS {
        let text = convert(&job, format).unwrap().text;
        let read = parse_any("-", &text, &ParseOptions::default()).unwrap();
        assert_same("-", &text, &job, &read[0].job);
    }
}
