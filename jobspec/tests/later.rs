//! Arguments of later versions of the language: at their default they say nothing, and any other value is an error that
//! names them, in every language of job files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rove_jobspec::{ParseOptions, Parsed, parse_hcl, parse_hcl1, parse_json, parse_yaml};
use serde_json::{Value, json};

/// The block, the argument's name in job files and in JSON, its default.
fn arguments() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        ("vault", "cluster", "Cluster", json!("default")),
        ("vault", "role", "Role", json!("")),
        (
            "vault",
            "allow_token_expiration",
            "AllowTokenExpiration",
            json!(false),
        ),
        ("consul", "cluster", "Cluster", json!("default")),
        ("consul", "partition", "Partition", json!("default")),
        ("service", "cluster", "Cluster", json!("default")),
        ("service", "kind", "Kind", json!("")),
        (
            "check",
            "failures_before_warning",
            "FailuresBeforeWarning",
            json!(0),
        ),
        ("check", "notes", "Notes", json!("")),
        (
            "group",
            "prevent_reschedule_on_lost",
            "PreventRescheduleOnLost",
            json!(false),
        ),
        ("port", "ignore_collision", "IgnoreCollision", json!(false)),
        ("resources", "secrets", "SecretsMB", json!(0)),
        ("numa", "affinity", "Affinity", json!("none")),
        ("artifact", "insecure", "GetterInsecure", json!(false)),
        ("artifact", "chown", "Chown", json!(false)),
        ("template", "once", "Once", json!(false)),
        ("volume", "sticky", "Sticky", json!(false)),
        ("volume_mount", "selinux_label", "SELinuxLabel", json!("")),
        ("identity", "name", "Name", json!("default")),
        ("identity", "change_mode", "ChangeMode", json!("noop")),
        ("identity", "change_signal", "ChangeSignal", json!("")),
        ("identity", "filepath", "Filepath", json!("")),
        ("identity", "aud", "Audience", json!([])),
    ]
}

/// A job in which the block stands, with `inside` in it.
fn hcl(block: &str, inside: &str) -> String {
    let at = |name: &str| if name == block { inside } else { "" };
    let vault = if block == "vault" {
        format!("vault {{\n{inside}\n}}")
    } else {
        String::new()
    };
    let numa = if block == "numa" {
        format!("numa {{\n{inside}\n}}")
    } else {
        String::new()
    };
    format!(
        "job \"x\" {{\n group \"g\" {{\n {}\n consul {{\n{}\n}}\n volume \"v\" {{\n type = \"host\"\n source = \"s\"\n {}\n }}\n network {{\n port \"p\" {{\n{}\n}}\n }}\n service {{\n name = \"s\"\n {}\n check {{\n type = \"tcp\"\n {}\n }}\n }}\n task \"t\" {{\n driver = \"docker\"\n {vault}\n resources {{\n cpu = 100\n {}\n {numa}\n }}\n artifact {{\n source = \"u\"\n {}\n }}\n template {{\n data = \"d\"\n destination = \"f\"\n {}\n }}\n volume_mount {{\n volume = \"v\"\n destination = \"/v\"\n {}\n }}\n identity {{\n env = true\n {}\n }}\n }}\n }}\n}}\n",
        at("group"),
        at("consul"),
        at("volume"),
        at("port"),
        at("service"),
        at("check"),
        at("resources"),
        at("artifact"),
        at("template"),
        at("volume_mount"),
        at("identity"),
    )
}

/// The same in YAML, which JSON is.
fn yaml(block: &str, name: &str, value: Option<&Value>) -> String {
    let with = |around: &str, mut object: Value| {
        if let (true, Some(value)) = (around == block, value) {
            object[name] = value.clone();
        }
        object
    };
    let mut resources = with("resources", json!({"cpu": 100}));
    if block == "numa" && value.is_some() {
        resources["numa"] = with("numa", json!({}));
    }
    let mut task = json!({
        "name": "t", "driver": "docker", "resources": resources,
        "artifacts": [with("artifact", json!({"source": "u"}))],
        "templates": [with("template", json!({"data": "d", "destination": "f"}))],
        "volume_mounts": [with("volume_mount", json!({"volume": "v", "destination": "/v"}))],
        "identity": with("identity", json!({"env": true})),
    });
    if block == "vault" && value.is_some() {
        task["vault"] = with("vault", json!({}));
    }
    let check = with("check", json!({"type": "tcp"}));
    let group = with(
        "group",
        json!({
            "name": "g", "consul": with("consul", json!({})),
            "volumes": [with("volume", json!({"name": "v", "type": "host", "source": "s"}))],
            "networks": [{"ports": [with("port", json!({"name": "p"}))]}],
            "services": [with("service", json!({"name": "s", "checks": [check]}))],
            "tasks": [task],
        }),
    );
    json!({"apiVersion": "rove/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": {"groups": [group]}})
        .to_string()
}

/// The same in the API's JSON.
fn api(block: &str, name: &str, value: Option<&Value>) -> String {
    let with = |around: &str, mut object: Value| {
        if let (true, Some(value)) = (around == block, value) {
            object[name] = value.clone();
        }
        object
    };
    let mut resources = with("resources", json!({"CPU": 100}));
    if block == "numa" && value.is_some() {
        resources["NUMA"] = with("numa", json!({}));
    }
    let mut task = json!({
        "Name": "t", "Driver": "docker", "Resources": resources,
        "Artifacts": [with("artifact", json!({"GetterSource": "u"}))],
        "Templates": [with("template", json!({"EmbeddedTmpl": "d", "DestPath": "f"}))],
        "VolumeMounts": [with("volume_mount", json!({"Volume": "v", "Destination": "/v"}))],
        "Identity": with("identity", json!({"Env": true})),
    });
    if block == "vault" && value.is_some() {
        task["Vault"] = with("vault", json!({}));
    }
    let check = with("check", json!({"Type": "tcp"}));
    let group = with(
        "group",
        json!({
            "Name": "g", "Consul": with("consul", json!({})),
            "Volumes": {"v": with("volume", json!({"Name": "v", "Type": "host", "Source": "s"}))},
            "Networks": [{"DynamicPorts": [with("port", json!({"Label": "p"}))]}],
            "Services": [with("service", json!({"Name": "s", "Checks": [check]}))],
            "Tasks": [task],
        }),
    );
    json!({"ID": "x", "TaskGroups": [group]}).to_string()
}

fn options() -> ParseOptions {
    ParseOptions::default()
}

fn as_json(parsed: Parsed) -> Value {
    assert!(parsed.warnings.list.is_empty(), "{}", parsed.warnings);
    serde_json::to_value(&parsed.job).unwrap()
}

#[test]
fn an_argument_of_a_later_version_is_taken_at_its_default_in_every_language() {
    let plain = as_json(parse_hcl("j.hcl", &hcl("", ""), &options()).unwrap());
    let plain1 = as_json(parse_hcl1("j.nomad", &hcl("", ""), &options()).unwrap());
    let plain_yaml = as_json(
        parse_yaml("j.yaml", &yaml("", "", None), &options())
            .unwrap()
            .remove(0),
    );
    let plain_api = as_json(parse_json("j.json", &api("", "", None), &options()).unwrap());
    for (block, name, json_name, default) in arguments() {
        let said = format!("{block}.{name}");
        let text = hcl(block, &format!("{name} = {default}"));
        let read =
            parse_hcl("j.hcl", &text, &options()).unwrap_or_else(|found| panic!("{said}: {found}"));
        assert_eq!(as_json(read), plain, "{said} in HCL");
        let read = parse_hcl1("j.nomad", &text, &options())
            .unwrap_or_else(|found| panic!("{said}: {found}"));
        assert_eq!(as_json(read), plain1, "{said} in HCL1");
        let read = parse_yaml("j.yaml", &yaml(block, name, Some(&default)), &options())
            .unwrap_or_else(|found| panic!("{said}: {found}"));
        assert_eq!(
            as_json(read.into_iter().next().unwrap()),
            plain_yaml,
            "{said} in YAML"
        );
        let read = parse_json("j.json", &api(block, json_name, Some(&default)), &options())
            .unwrap_or_else(|found| panic!("{said}: {found}"));
        assert_eq!(as_json(read), plain_api, "{said} in JSON");
    }
}

#[test]
fn any_other_value_is_told_by_name_and_never_taken() {
    let long = "y".repeat(100_000);
    let mut deep = json!("y");
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let values = [
        json!("yes"),
        json!(7),
        json!(-1),
        json!(0.5),
        json!(u64::MAX),
        json!(true),
        json!(["yes"]),
        json!({"a": 1}),
        json!({"a": {"b": [1]}}),
        json!("${meta.x}"),
        json!(long),
        deep,
    ];
    for (block, name, json_name, _) in arguments() {
        for value in &values {
            let said = format!("{block}.{name} = {value:.60}");
            let spelt = value.to_string().replace("\":", "\" = ");
            let text = hcl(block, &format!("{name} = {spelt}"));
            let named = |text: &str| text.contains(name) || ["numa", "vault"].contains(&block);
            let short = |text: &str| text.lines().all(|line| line.len() <= 2_000);
            for read in [parse_hcl, parse_hcl1] {
                let found = read("j.hcl", &text, &options())
                    .map(|_| ())
                    .expect_err(&said);
                assert!(
                    named(&found.to_string()) && short(&found.to_string()),
                    "{said}: {found:.600}"
                );
            }
            let text = yaml(block, name, Some(value));
            let found = parse_yaml("j.yaml", &text, &options())
                .map(|_| ())
                .expect_err(&said);
            assert!(named(&found.to_string()), "{said}: {found:.600}");
            // The API leaves out what it doesn't know, and says so.
            let parsed =
                parse_json("j.json", &api(block, json_name, Some(value)), &options()).unwrap();
            let told = parsed.warnings.to_string();
            let shown = if block == "numa" { "NUMA" } else { json_name };
            assert!(told.contains(shown), "{said}: {told:.600}");
        }
    }
}
