//! What is taken though it was hardly meant so is said, with its place; what says only what is so anyway harms nothing.

use rove_jobspec::{ParseOptions, Parsed, parse_hcl, parse_hcl1, parse_json, parse_yaml};
use serde_json::{Value, json};

fn hcl(text: &str) -> Parsed {
    parse_hcl("j.hcl", text, &ParseOptions::default()).unwrap_or_else(|found| panic!("{found}"))
}

/// The warnings with their places, a line each.
fn warnings(parsed: &Parsed) -> Vec<String> {
    let found = &parsed.warnings;
    let line = |finding: &rove_jobspec::Diagnostic| {
        let place = finding
            .span
            .as_ref()
            .map(|span| found.source.position(span.start));
        let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
        format!("{line}:{column} {}: {}", finding.summary, finding.detail)
    };
    found.list.iter().map(line).collect()
}

#[test]
fn a_word_without_quotes_is_a_warning() {
    let text = |of: &str, value: &str| {
        format!(
            "job \"x\" {{\n  meta = {{\n    {of} = {value}\n  }}\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"docker\"\n    }}\n  }}\n}}\n"
        )
    };
    let expect = |word: &str, column: usize| {
        format!(
            "3:{column} Text without quotes: No variable is called {word}: it is read as \"${{{word}}}\", which each node fills in."
        )
    };
    for (value, expected) in [
        ("dc1", vec![expect("dc1", 9)]),
        ("dc1.zone", vec![expect("dc1.zone", 9)]),
        ("(dc1)", vec![expect("dc1", 10)]),
        ("true ? dc1 : \"b\"", vec![expect("dc1", 16)]),
        ("upper(dc1)", vec![expect("dc1", 15)]),
        (
            "join(\",\", [for x in [\"a\"] : dc1])",
            vec![expect("dc1", 37)],
        ),
        ("\"${dc1}\"", vec![]),
        ("\"a-${dc1}\"", vec![]),
        ("node.datacenter", vec![]),
        ("attr.kernel.name", vec![]),
        ("meta.rack", vec![]),
        ("env.HOME", vec![]),
        ("NOMAD_TASK_DIR", vec![]),
        ("\"dc1\"", vec![]),
    ] {
        assert_eq!(warnings(&hcl(&text("a", value))), expected, "{value}");
    }
    let parsed = hcl("job \"x\" {\n  datacenters = [dc1, \"b\", dc2]\n}\n");
    assert_eq!(warnings(&parsed).len(), 2, "{:?}", warnings(&parsed));
    assert_eq!(parsed.job.datacenters, ["${dc1}", "b", "${dc2}"]);
    // Many of them are no reason to stop.
    let many: String = (0..3_000).map(|n| format!("w{n}, ")).collect();
    let parsed = hcl(&format!("job \"x\" {{\n  datacenters = [{many}]\n}}\n"));
    assert_eq!(parsed.job.datacenters.len(), 3_000);
    // A word in a loop is said once.
    let parsed = hcl("job \"x\" {\n  datacenters = [for n in range(50) : dc1]\n}\n");
    assert_eq!(warnings(&parsed).len(), 1);
}

#[test]
fn a_duration_without_a_unit_is_a_warning() {
    let expect = |line: usize, column: usize, number: &str, is: &str| {
        format!(
            "{line}:{column} Duration without a unit: {number} is read as {is}: a bare number counts nanoseconds."
        )
    };
    for (field, expected) in [
        ("kill_timeout = 30", vec![expect(4, 22, "30", "30ns")]),
        ("kill_timeout = 5000", vec![expect(4, 22, "5000", "5µs")]),
        (
            "shutdown_delay = 999999999",
            vec![expect(4, 24, "999999999", "999.999999ms")],
        ),
        ("kill_timeout = 1000000000", vec![]),
        ("kill_timeout = 0", vec![]),
        ("kill_timeout = \"30s\"", vec![]),
        ("kill_timeout = \"30ns\"", vec![]),
        (
            "restart {\n        interval = 10\n        delay = 15\n      }",
            vec![expect(5, 20, "10", "10ns"), expect(6, 17, "15", "15ns")],
        ),
    ] {
        let text = format!(
            "job \"x\" {{\n  group \"g\" {{\n    task \"t\" {{\n      {field}\n    }}\n  }}\n}}\n"
        );
        assert_eq!(warnings(&hcl(&text)), expected, "{field}");
        let old = parse_hcl1("j.nomad", &text, &ParseOptions::default())
            .unwrap_or_else(|found| panic!("{found}"));
        assert_eq!(warnings(&old), expected, "HCL1: {field}");
    }
    let yaml = "apiVersion: rove/v1\nkind: Job\nmetadata:\n  name: x\nspec:\n  groups:\n  - name: g\n    tasks:\n    - name: t\n      kill_timeout: 30\n";
    let parsed = parse_yaml("j.yaml", yaml, &ParseOptions::default())
        .unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(warnings(&parsed[0]), [expect(10, 21, "30", "30ns")]);
}

#[test]
fn what_later_versions_say_by_default_harms_nothing() {
    let group = |inside: &str| {
        format!(
            "job \"x\" {{\n  group \"g\" {{\n    {inside}\n    task \"t\" {{\n      driver = \"docker\"\n    }}\n  }}\n}}\n"
        )
    };
    let task = |inside: &str| {
        format!(
            "job \"x\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"docker\"\n      {inside}\n    }}\n  }}\n}}\n"
        )
    };
    let plain = serde_json::to_value(&hcl(&group("")).job).expect("JSON");
    for text in [
        group("vault {\n cluster = \"default\"\n}"),
        group("vault {\n cluster = \"default\"\n allow_token_expiration = false\n role = \"\"\n}"),
        group("prevent_reschedule_on_lost = false"),
        task("vault {\n cluster = \"default\"\n}"),
        task("consul {\n cluster = \"default\"\n}"),
    ] {
        for read in [parse_hcl, parse_hcl1] {
            let parsed = read("j.hcl", &text, &ParseOptions::default())
                .unwrap_or_else(|found| panic!("{text}: {found}"));
            let json = serde_json::to_value(&parsed.job).expect("JSON");
            let differs = (0..1)
                .find(|_| json != plain)
                .map(|_| json["TaskGroups"].to_string());
            assert_eq!(differs, None, "{text}");
            assert_eq!(warnings(&parsed), Vec::<String>::new(), "{text}");
        }
    }
    for text in [
        group("consul {\n cluster = \"default\"\n namespace = \"\"\n}"),
        group("service {\n cluster = \"default\"\n}"),
        group("network {\n port \"a\" {\n ignore_collision = false\n}\n}"),
        task("resources {\n numa {\n affinity = \"none\"\n}\n secrets = 0\n}"),
        task("artifact {\n source = \"x\"\n insecure = false\n chown = false\n}"),
        task("template {\n data = \"x\"\n once = false\n}"),
        task("identity {\n env = true\n name = \"default\"\n change_mode = \"noop\"\n}"),
    ] {
        assert_eq!(warnings(&hcl(&text)), Vec::<String>::new(), "{text}");
    }
    for (text, said) in [
        (group("vault {\n cluster = \"other\"\n}"), "cluster"),
        (group("vault {\n cluser = \"default\"\n}"), "cluser"),
        (task("consul {\n cluster = \"other\"\n}"), "consul"),
        (
            group("prevent_reschedule_on_lost = true"),
            "prevent_reschedule_on_lost",
        ),
        (
            task("resources {\n numa {\n affinity = \"require\"\n}\n}"),
            "numa",
        ),
    ] {
        let found = parse_hcl("j.hcl", &text, &ParseOptions::default()).expect_err(&text);
        assert!(found.to_string().contains(said), "{text}: {found}");
    }
    // What a vault block says beside its defaults is kept.
    let parsed = hcl(&task(
        "vault {\n cluster = \"default\"\n policies = [\"p\"]\n}",
    ));
    assert!(parsed.job.task_groups[0].tasks[0].vault.is_some());
}

/// A job in JSON with these in its group, in its task and in the task's resources, read.
fn job_in_json(group: &Value, task: &Value, resources: &Value) -> Parsed {
    let with = |mut object: Value, more: &Value| {
        let more = more.as_object().expect("an object").clone();
        object.as_object_mut().expect("an object").extend(more);
        object
    };
    let resources = with(json!({"CPU": 100}), resources);
    let task = with(
        json!({"Name": "t", "Driver": "docker", "Resources": resources}),
        task,
    );
    let group = with(json!({"Name": "g", "Tasks": [task]}), group);
    let job = json!({"Job": {"ID": "x", "TaskGroups": [group]}}).to_string();
    parse_json("j.json", &job, &ParseOptions::default()).unwrap_or_else(|found| panic!("{found}"))
}

#[test]
fn what_later_versions_say_by_default_harms_nothing_in_json() {
    let none = json!({});
    let plain = serde_json::to_value(&job_in_json(&none, &none, &none).job).expect("JSON");
    for (group, task, resources) in [
        (
            json!({}),
            json!({"Vault": {"Cluster": "default"}}),
            json!({}),
        ),
        (
            json!({}),
            json!({"vault": {"cluster": "", "role": "", "Env": true}}),
            json!({}),
        ),
        (
            json!({}),
            json!({"Vault": {
                "Policies": null, "Role": "", "Namespace": "", "Cluster": "default", "Env": true, "DisableFile": false,
                "ChangeMode": "restart", "ChangeSignal": "", "AllowTokenExpiration": false}}),
            json!({}),
        ),
        (
            json!({}),
            json!({"Vault": {"Policies": [], "Cluster": "default", "ChangeMode": "restart", "ChangeSignal": "SIGHUP"}}),
            json!({}),
        ),
        (
            json!({"PreventRescheduleOnLost": false, "Disconnect": null}),
            json!({}),
            json!({}),
        ),
        (
            json!({}),
            json!({"Consul": {"Cluster": "default"}, "Identities": [], "Actions": null, "Schedule": null}),
            json!({"NUMA": {"Affinity": "none"}, "SecretsMB": 0}),
        ),
        (json!({}), json!({"Consul": null}), json!({"NUMA": null})),
    ] {
        let parsed = job_in_json(&group, &task, &resources);
        let said = format!("{group} {task} {resources}");
        assert_eq!(warnings(&parsed), Vec::<String>::new(), "{said}");
        let json = serde_json::to_value(&parsed.job).expect("JSON");
        assert!(json == plain, "{said}: {}", json["TaskGroups"]);
    }
    // What says more asks for Vault, and what isn't the default is told.
    for (task, is_asked_for, told) in [
        (json!({"Vault": {}}), true, ""),
        (
            json!({"Vault": {"Policies": ["p"], "Cluster": "default"}}),
            true,
            "",
        ),
        (
            json!({"Vault": {"Env": false, "Cluster": "default"}}),
            true,
            "",
        ),
        (json!({"Vault": {"Cluster": "other"}}), true, "\"Cluster\""),
        (json!({"Vault": {"Clustr": "default"}}), true, "\"Clustr\""),
        (json!({"Consul": {"Cluster": "other"}}), false, "\"Consul\""),
        (
            json!({"Identities": [{"Name": "x"}]}),
            false,
            "\"Identities\"",
        ),
    ] {
        let parsed = job_in_json(&none, &task, &none);
        let has_vault = parsed.job.task_groups[0].tasks[0].vault.is_some();
        assert_eq!(has_vault, is_asked_for, "{task}");
        let warnings = warnings(&parsed);
        let is_told = warnings.iter().any(|warning| warning.contains(told));
        assert_eq!(is_told, !told.is_empty(), "{task}: {warnings:?}");
    }
}

#[test]
fn an_hcl1_heredoc_that_another_one_ends_is_an_error() {
    for text in [
        "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      template {\n        data = <<EOF\nhello\n      }\n      template {\n        data = <<EOF\nthere\nEOF\n      }\n    }\n  }\n}\n",
        "job \"x\" {\n  meta {\n    a = <<EOF\nhello\n",
        "job \"x\" {\n  meta {\n    a = <<-EOF\nhello\n    b = <<-EOF\n there\n    EOF\n  }\n}\n",
    ] {
        let found = parse_hcl1("j.nomad", text, &ParseOptions::default()).expect_err(text);
        assert!(
            found.to_string().contains("Unterminated heredoc"),
            "{text}: {found}"
        );
    }
    // A script may have heredocs of other names.
    let text = "job \"x\" {\n  meta {\n    a = <<EOF\ncat > x <<END\nb = <<END\nEND\nEOF\n  }\n}\n";
    assert!(parse_hcl1("j.nomad", text, &ParseOptions::default()).is_ok());
}

/// Every way that a heredoc may stand in a file of HCL1, each with a line `<end>` where it ends.
const HEREDOCS: [&str; 9] = [
    "a = <<EOF\nhello\n<end>\n",
    "\"a\" = <<EOF\nhello\n<end>\n",
    "a = <<-EOF\n    hello\n    <end>\n",
    "a=<<EOF\n\nhello\n\n  <end>\n",
    "a = <<EOF\r\nhello\r\n<end>\r\n",
    "a = [<<EOF\nhello\n<end>\n]\n",
    "a = [\n  \"x\",\n  <<EOF\nhello\n<end>\n  , <<EOF\nthere\nEOF\n]\n",
    "a = [\n  <<-EOF\n  hello\n  <end>\n]\n",
    "a {\n  b = <<EOF\nhello\n<end>\n}\n",
];

#[test]
fn an_hcl1_heredoc_that_does_not_end_is_never_taken() {
    let job = |first: &str, second: &str| {
        format!(
            "job \"x\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"docker\"\n      config {{\n{first}\n      }}\n      }}\n    task \"u\" {{\n      driver = \"docker\"\n      config {{\n{second}\n      }}\n    }}\n  }}\n}}\n"
        )
    };
    let read = |text: &str| parse_hcl1("j.nomad", text, &ParseOptions::default());
    let ended = |text: &str| text.replace("<end>", "EOF");
    for first in HEREDOCS {
        for second in HEREDOCS.iter().copied().chain(["a = 1\n"]) {
            let whole = job(&ended(first), &ended(second));
            assert!(read(&whole).is_ok(), "{whole}: {:?}", read(&whole).err());
            for broken in [
                "",
                "EOF;",
                "EOF }",
                "EOF # here",
                "EOFF",
                "eof",
                "\"EOF\"",
                "EOF EOF",
            ] {
                let text = job(&first.replace("<end>", broken), &ended(second));
                let found = read(&text).map(|parsed| parsed.job).expect_err(&text);
                let found = found.to_string();
                assert!(found.contains("heredoc"), "{text}: {found}");
            }
        }
    }
    // A file that ends in the middle of one.
    for first in HEREDOCS {
        let whole = job("", &ended(first));
        let begins = whole.rfind("<<").expect("it has one");
        let ends = whole.rfind("EOF").expect("its end");
        for at in (begins + 2..ends).filter(|at| whole.is_char_boundary(*at)) {
            let found = read(&whole[..at])
                .map(|parsed| parsed.job)
                .expect_err(&whole[..at]);
            assert!(
                found.to_string().contains("heredoc"),
                "{}: {found}",
                &whole[..at]
            );
        }
    }
}

#[test]
fn a_script_in_an_hcl1_heredoc_may_have_heredocs_of_its_own() {
    for script in [
        "cat > x <<END\nb = <<END\nEND",
        "cat <<EOF2\nx\nEOF2",
        "cat <<-END\n\tx\n\tEND",
        "cat <<EOF\nhello",
        "x=$(cat <<'EOF'\nhello",
    ] {
        let text = format!("job \"x\" {{\n  meta {{\n    a = <<EOF\n{script}\nEOF\n  }}\n}}\n");
        let parsed = parse_hcl1("j.nomad", &text, &ParseOptions::default())
            .unwrap_or_else(|found| panic!("{text}: {found}"));
        assert_eq!(parsed.job.meta["a"], format!("{script}\n"), "{text}");
    }
}

#[test]
fn a_mistake_in_a_block_of_a_config_is_shown_at_that_block() {
    let text = "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"docker\"\n      config {\n        image = \"x\"\n        auth {\n          usernam = \"u\"\n        }\n        ulimit {\n          nofile = \"many\"\n        }\n        mount {\n        }\n        ports = [\"no\"]\n      }\n    }\n  }\n}\n";
    for parsed in [
        hcl(text),
        parse_hcl1("j.nomad", text, &ParseOptions::default())
            .unwrap_or_else(|found| panic!("{found}")),
    ] {
        let mut job = parsed.job.clone();
        job.server_canonicalize();
        let errors = rove_model::validate::validate(&job).errors;
        let line = |problem: &&rove_model::validate::Problem| {
            let span = parsed.spans.place(&problem.path).expect("a place");
            parsed.warnings.source.position(span.start).line
        };
        let mut lines: Vec<usize> = errors.problems().iter().map(line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [7, 10, 13, 15], "{errors}");
    }
}
