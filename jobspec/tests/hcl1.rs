//! Files in HCL1: what they come to, what is wrong with them, and when one is taken unasked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{env, fs, path::Path, time::Instant};

use proptest::prelude::*;
use rove_jobspec::{Diagnostics, Format, ParseOptions, Severity, parse_any, parse_hcl, parse_hcl1};
use serde_json::{Value, json};

fn read(text: &str) -> Result<Value, Diagnostics> {
    parse_hcl1("job.nomad", text, &ParseOptions::default())
        .map(|parsed| serde_json::to_value(parsed.job).unwrap())
}

/// Where `actual` lacks something of `expected`, or has it otherwise; lists are compared whole.
fn lacking(expected: &Value, actual: &Value, path: &str, out: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, value) in expected {
                let there = actual.get(key).unwrap_or(&Value::Null);
                lacking(value, there, &format!("{path}.{key}"), out);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                lacking(expected, actual, &format!("{path}[{index}]"), out);
            }
        }
        (Value::String(text), Value::Null) if text.is_empty() => {}
        _ if expected == actual => {}
        _ => out.push(format!("{path}: {expected} is wanted, not {actual}")),
    }
}

#[test]
fn a_number_with_letters_of_several_bytes_is_refused_in_words() {
    let text = format!(
        "job \"x\" {{ group \"g\" {{ count = 1{} }} }}",
        "é".repeat(25)
    );
    let found = parse_hcl1("x", &text, &ParseOptions::default()).unwrap_err();
    assert_eq!(found.list[0].summary, "Invalid number");
}

#[test]
fn each_file_of_2017_becomes_its_job() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hcl1");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "nomad"))
        .collect();
    paths.sort();
    let mut bad = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let expected = fs::read_to_string(path.with_extension("json")).unwrap();
        let expected = serde_json::from_str(&expected).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        match read(&text) {
            Ok(job) => lacking(&expected, &job, &name, &mut bad),
            Err(findings) => bad.push(format!("{name}:\n{findings}")),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(paths.len(), 17);
}

/// What `config` of the one task becomes.
fn config(inside: &str) -> Result<Value, Diagnostics> {
    let text =
        format!("job \"x\" {{ task \"t\" {{ driver = \"exec\"\n config {{\n{inside}\n}} }} }}\n");
    read(&text).map(|job| job["TaskGroups"][0]["Tasks"][0]["Config"].clone())
}

#[test]
fn values_are_taken_as_they_are_written() {
    for (inside, expected) in [
        ("a = 1", json!({"a": 1})),
        ("a = -1", json!({"a": -1})),
        (
            "a = 0x10 b = 010 c = 1e2 d = 1.5 e = -0.5 f = .5",
            json!({"a": 16, "b": 8, "c": 100, "d": 1.5, "e": -0.5, "f": 0.5}),
        ),
        ("a = true b = false", json!({"a": true, "b": false})),
        (
            r#"a = "x\ty" "b.c" = "\u20ac""#,
            json!({"a": "x\ty", "b.c": "€"}),
        ),
        (
            r#"a = "${b["c"]} ${d} $${e} %{f}""#,
            json!({"a": "${b[\"c\"]} ${d} $${e} %{f}"}),
        ),
        ("a = []", json!({"a": []})),
        (
            "a = [1, \"b\", true, [2, [3]], {c = 4}]",
            json!({"a": [1, "b", true, [2, [3]], {"c": 4}]}),
        ),
        ("a = [1, 2,]", json!({"a": [1, 2]})),
        (
            "a = [\n1, # one\n2 // two\n, /* three */ 3\n]",
            json!({"a": [1, 2, 3]}),
        ),
        ("a = [<<E\nx\nE\n, \"y\"]", json!({"a": ["x\n", "y"]})),
        ("a {}", json!({"a": [{}]})),
        ("a = {}", json!({"a": [{}]})),
        (
            "a { b = 1 } a { b = 2 }",
            json!({"a": [{"b": 1}, {"b": 2}]}),
        ),
        (
            "a { b { c = 1 } b { c = 2 } }",
            json!({"a": [{"b": [{"c": 1}, {"c": 2}]}]}),
        ),
        (
            "a = { b { c = 1 } b { c = 2 } }",
            json!({"a": [{"b": [{"c": 1}, {"c": 2}]}]}),
        ),
        (
            "a \"x\" { b = 1 } a \"y\" \"z\" {}",
            json!({"a": [{"x": [{"b": 1}]}, {"y": [{"z": [{}]}]}]}),
        ),
        (
            "a = [{ b = 1, c = { d = 2 } }]",
            json!({"a": [{"b": 1, "c": [{"d": 2}]}]}),
        ),
        (
            "a = [{ b = 1 }] a { b = 2 }",
            json!({"a": [{"b": 1}, {"b": 2}]}),
        ),
        (
            "a-b.c_d = 1 é = 2 _f = 3",
            json!({"a-b.c_d": 1, "é": 2, "_f": 3}),
        ),
        (
            "a = <<-E\n    x\n      y\n    E\nb = 1",
            json!({"a": "x\n  y\n", "b": 1}),
        ),
    ] {
        match config(inside) {
            Ok(found) => assert_eq!(found, expected, "{inside}"),
            Err(findings) => panic!("{inside}\n{findings}"),
        }
    }
}

/// Every mistake: line, column, field and the beginning of what is said.
fn mistakes(text: &str) -> Vec<(usize, usize, String, String)> {
    let findings = match read(text) {
        Ok(job) => panic!("{text}\nwas taken: {job}"),
        Err(findings) => findings,
    };
    findings
        .errors()
        .map(|finding| {
            let (line, column) = findings.position(finding).unwrap_or((0, 0));
            let field = finding.field.clone().unwrap_or_default();
            (
                line,
                column,
                field,
                format!("{}: {}", finding.summary, finding.detail),
            )
        })
        .collect()
}

#[test]
fn each_fault_is_told_at_its_place() {
    let mut bad = Vec::new();
    for (text, line, column, field, said) in [
        ("", 0, 0, "", "Missing job block"),
        ("# nothing\n", 0, 0, "", "Missing job block"),
        ("job \"x\" {\n", 1, 9, "", "Unclosed block"),
        ("job \"x\" {\n}\n}\n", 3, 1, "", "Unexpected brace"),
        (
            "job \"x\" {\n  type = \"a\n}\n",
            2,
            10,
            "",
            "Unterminated text",
        ),
        (
            "job \"x\" {\n  type = \"${a\"\n}\n",
            2,
            11,
            "",
            "Unterminated interpolation",
        ),
        (
            "job \"x\" {\n  type = <<E\na\n}\n",
            2,
            10,
            "",
            "Unterminated heredoc",
        ),
        (
            "job \"x\" {\n  type = <<E x\n}\n",
            2,
            10,
            "",
            "Invalid heredoc",
        ),
        (
            "job \"x\" {\n  type = <<\n}\n",
            2,
            10,
            "",
            "Invalid heredoc: The heredoc has no name.",
        ),
        (
            "job \"x\" {\n  type = <E\n}\n",
            2,
            10,
            "",
            "Invalid heredoc: A heredoc begins",
        ),
        ("job \"x\" {}\n/* open\n", 2, 1, "", "Unterminated comment"),
        (
            "job \"x\" {\n  type = \"a\\d\"\n}\n",
            2,
            12,
            "",
            "Invalid escape: \\d",
        ),
        (
            "job \"x\" {\n  priority = 5m\n}\n",
            2,
            14,
            "",
            "Invalid number: \"5m\"",
        ),
        (
            "job \"x\" {\n  priority = 09\n}\n",
            2,
            14,
            "",
            "Invalid number: 09 begins with 0",
        ),
        (
            "job \"x\" {\n  type = batch\n}\n",
            2,
            10,
            "",
            "Text without quotes: batch",
        ),
        (
            "job \"x\" {\n  type = upper(\"a\")\n}\n",
            2,
            10,
            "",
            "Text without quotes: upper",
        ),
        (
            "job \"x\" {\n  type = 'batch'\n}\n",
            2,
            10,
            "",
            "Unexpected character",
        ),
        (
            "job \"x\" {\n  type: \"batch\"\n}\n",
            2,
            7,
            "",
            "Unexpected character",
        ),
        (
            "job \"x\" {\n  type\n  priority = 5\n}\n",
            2,
            3,
            "",
            "Missing value: \"=\" or \"{\"",
        ),
        (
            "job \"x\" {\n  type =\n}\n",
            3,
            1,
            "",
            "Value expected: A value is expected here, and there is \"}\"",
        ),
        ("job \"x\" {\n  = 5\n}\n", 2, 3, "", "Name expected"),
        (
            "job \"x\" {\n  5 = 5\n}\n",
            2,
            3,
            "",
            "Name expected: A name is expected here, and there is a number.",
        ),
        (
            "job \"x\" {\n  group \"g\" = {\n}\n}\n",
            2,
            10,
            "",
            "Invalid assignment",
        ),
        (
            "job \"x\" {\n  datacenters = [\"a\" \"b\"]\n}\n",
            2,
            23,
            "",
            "Comma expected",
        ),
        (
            "job \"x\" {\n  datacenters = [\"a\"\n}\n",
            3,
            1,
            "",
            "Unclosed list",
        ),
        (
            "job \"x\" {\n  datacenters = [\n",
            2,
            17,
            "",
            "Unclosed list",
        ),
        (
            "{\"job\": {\"x\": {}}} more\n",
            1,
            20,
            "",
            "Unexpected text",
        ),
        (
            "variable \"a\" {}\njob \"x\" {}\n",
            1,
            1,
            "variable",
            "Unsupported block type",
        ),
        (
            "job \"x\" {}\njob \"y\" {}\n",
            2,
            1,
            "job",
            "Duplicate job block",
        ),
        ("job = \"x\"\n", 1, 8, "job", "Invalid job"),
        (
            "job {\n  type = \"x\"\n}\n",
            1,
            1,
            "",
            "Missing name for job",
        ),
        (
            "job \"x\" \"y\" {}\n",
            1,
            10,
            "",
            "Extraneous label for job",
        ),
        (
            "job \"x\" {\n  prioriti = 5\n}\n",
            2,
            3,
            "prioriti",
            "Unsupported argument: An argument named \"prioriti\" is not expected here. Did you mean \"priority\"?",
        ),
        (
            "job \"x\" {\n  grop \"g\" {}\n}\n",
            2,
            3,
            "grop",
            "Unsupported block type: Blocks of type \"grop\" are not expected here. Did you mean \"group\"?",
        ),
        (
            "job \"x\" {\n  group {\n    count = 1\n  }\n}\n",
            2,
            3,
            "group",
            "Missing name for group",
        ),
        (
            "job \"x\" {\n  priority = \"high\"\n}\n",
            2,
            15,
            "priority",
            "Unsuitable value type: Unsuitable value: a number is required",
        ),
        (
            "job \"x\" {\n  priority = [1]\n}\n",
            2,
            14,
            "priority",
            "Unsuitable value type",
        ),
        (
            "job \"x\" {\n  priority { }\n}\n",
            2,
            3,
            "priority",
            "Unsupported block type",
        ),
        (
            "job \"x\" {\n  group = 1\n}\n",
            2,
            3,
            "group",
            "Unsupported argument",
        ),
        (
            "job \"x\" {\n  meta { a { } }\n}\n",
            2,
            10,
            "meta.a",
            "Unsupported block type",
        ),
        (
            "job \"x\" {\n  meta \"m\" { }\n}\n",
            2,
            9,
            "meta[\"m\"]",
            "Extraneous label for meta",
        ),
        (
            "job \"x\" {\n  update {}\n  update {}\n}\n",
            3,
            3,
            "update[1]",
            "Duplicate update block",
        ),
        (
            "job \"x\" {\n  update { stagger = \"1 week\" }\n}\n",
            2,
            23,
            "update.stagger",
            "Unsuitable value type",
        ),
        (
            "job \"x\" {\n  task \"t\" {\n    config \"c\" {}\n  }\n}\n",
            3,
            13,
            "group[\"t\"].task[\"t\"].config[\"c\"]",
            "Extraneous label",
        ),
        (
            "job \"x\" {\n  task \"t\" {\n    resources { network { port \"a\" { static = \"b\" } } }\n  }\n}\n",
            3,
            48,
            "group[\"t\"].task[\"t\"].resources.network.port[\"a\"].static",
            "Unsuitable value type",
        ),
    ] {
        let found = mistakes(text);
        let fits = match found.as_slice() {
            [(at_line, at_column, at_field, told)] => {
                (*at_line, *at_column, at_field.as_str()) == (line, column, field)
                    && told.starts_with(said)
            }
            _ => false,
        };
        if !fits {
            bad.push(format!(
                "{text}\n{line}:{column} {field:?} {said:?} is wanted:\n{found:#?}"
            ));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

#[test]
fn all_mistakes_are_told_in_one_run() {
    let syntax = r#"job "x" {
  type = batch
  datacenters = ["dc1" "dc2"]
  group "g" {
    count = 5m
    task "t" {
      driver = "exec
      config { command = 'x' }
      user
      env { A = "1" }
    }
  }
}
"#;
    let lines: Vec<_> = mistakes(syntax).iter().map(|mistake| mistake.0).collect();
    assert_eq!(lines, [2, 3, 5, 7, 8, 9]);
    let meaning = r#"job "x" {
  typ = "batch"
  group "g" {
    count = "many"
    task "t" {
      kill_timeout = "soon"
      resurces { cpu = 1 }
      env { A { } }
    }
  }
  update { max_parallel = [] }
}
"#;
    let mut lines: Vec<_> = mistakes(meaning).iter().map(|mistake| mistake.0).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 4, 6, 7, 8, 11]);
}

#[test]
fn a_slip_that_hcl1_takes_is_warned_of() {
    let text = "job \"x\" {\n  priority = 1\n  priority = 2\n  task \"t\" {\n    template { perms = 0644 }\n  }\n}\n";
    let parsed = parse_hcl1("job.nomad", text, &ParseOptions::default()).unwrap();
    assert_eq!(parsed.job.priority, Some(2));
    assert_eq!(parsed.format, Format::Hcl1);
    insta::assert_snapshot!(parsed.warnings.render(false), @r#"
    job.nomad:5:24: warning: Octal number
     5 |     template { perms = 0644 }
       |                        ^^^^
      0644 begins with 0, so HCL1 reads it as octal: it is 420.
      hint: if the digits are meant, write "0644"

    job.nomad:3:3: warning: Set twice
     3 |   priority = 2
       |   ^^^^^^^^
     2 |   priority = 1
       |   ^^^^^^^^ set here before
      priority is set twice; the last one counts.
      field: priority
    "#);
}

/// A job whose task has this inside.
fn task(inside: &str) -> String {
    format!(
        "job \"x\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"exec\"\n{inside}\n    }}\n  }}\n}}\n"
    )
}

#[test]
fn a_file_that_only_hcl1_can_read_is_taken_with_a_warning() {
    for (inside, why) in [
        ("meta {\n \"a.b\" = 1\n}", "a name stands in quotes"),
        ("meta {\n a.b = 1\n}", "a name has a dot in it"),
        ("config = {\n command = \"a\"\n}", "a block is assigned"),
        (
            "artifact = [{ source = \"a\" }]",
            "blocks are written as a list",
        ),
        (
            "config {\n command = \"a\",\n x = 1\n}",
            "a comma separates",
        ),
        (
            "config { command = \"a\" x = 1 }",
            "a block of several items",
        ),
        (
            "config {\n command = \"a\"\n}\nconfig {\n x = 1\n}",
            "two blocks of one kind",
        ),
        (
            "artifact {\n source = \"a\"\n}\nlogs {\n max_files = \"0x2\"\n}",
            "a value has another type",
        ),
        (
            "vault {\n policies = \"a\"\n}",
            "one value stands for a list",
        ),
        ("user = \"\\x41\"", "a text has an escape"),
        (
            "template {\n data = <<E\n${HOME:-x}\nE\n}",
            "a \"${\" is meant",
        ),
        ("user = \"50%{u\"", "a \"%{\" is meant"),
        ("resources {\n cpu = 0x1f\n}", "a number is not decimal"),
    ] {
        let text = task(inside);
        let options = ParseOptions::default();
        assert!(parse_hcl("job.nomad", &text, &options).is_err(), "{text}");
        let parsed = match parse_any("job.nomad", &text, &options) {
            Ok(mut parsed) => parsed.remove(0),
            Err(findings) => panic!("{text}\n{findings}"),
        };
        assert_eq!(parsed.format, Format::Hcl1, "{text}");
        let [warning] = parsed.warnings.list.as_slice() else {
            panic!("{text}\n{}", parsed.warnings);
        };
        assert_eq!(warning.severity, Severity::Warning);
        assert!(warning.detail.contains(why), "{text}\n{}", parsed.warnings);
        let given = ParseOptions {
            variables: vec![("a".to_owned(), "b".to_owned())],
            ..ParseOptions::default()
        };
        assert!(parse_any("job.nomad", &text, &given).is_err(), "{text}");
    }
}

#[test]
fn a_bool_that_becomes_another_text_than_in_hcl2_is_told_but_is_no_reason() {
    let options = ParseOptions::default();
    let plain = task("env {\n DEBUG = true\n}");
    let parsed = parse_any("job.nomad", &plain, &options).unwrap();
    assert_eq!(parsed[0].format, Format::Hcl);
    let refused = task("env {\n DEBUG = true\n}\nuser = [1]");
    assert!(parse_any("job.nomad", &refused, &options).is_err());
    let odd = task("env {\n DEBUG = true\n \"A.B\" = 1\n}");
    let parsed = parse_any("job.nomad", &odd, &options).unwrap();
    let said = parsed[0].warnings.render(false);
    assert!(
        said.contains("a bool stands for a text, which is then 1 or 0"),
        "{said}"
    );
    let env = &parsed[0].job.task_groups[0].tasks[0].env;
    assert_eq!(env.get("DEBUG").map(String::as_str), Some("1"));
}

#[test]
fn the_warning_says_what_to_change() {
    let text = task("      env {\n        \"A.B\" = 1\n        \"C\" = 2\n      }");
    let parsed = parse_any("job.nomad", &text, &ParseOptions::default()).unwrap();
    insta::assert_snapshot!(parsed[0].warnings.render(false), @r#"
    job.nomad:6:9: warning: Job file in HCL1
     6 |         "A.B" = 1
       |         ^^^^^
      HCL2 does not take this file, so it was read as HCL1, the language of 2017: a name stands in quotes (here and once more).
      hint: leave the quotes away; a name that needs them goes into a map: meta = { "a.b" = "c" }; or say -hcl1 to have it read so without a warning
    "#);
}

#[test]
fn a_file_that_is_no_sound_hcl1_is_refused_as_hcl2() {
    let quoted = "env {\n \"A.B\" = 1\n}\n";
    for (what, inside) in [
        ("a variable", "user = \"${var.who}\""),
        ("a local", "user = \"${local.who}\""),
        ("a function", "user = \"${upper(\"x\")}\""),
        ("an escape of HCL2", "user = \"$${who}\""),
        ("a directive", "user = \"%{ if true }a%{ endif }\""),
        ("a name that is not known", "uzer = \"a\""),
        ("an argument set twice", "user = \"a\"\nuser = \"b\""),
        ("an octal number", "kill_timeout = 0100"),
        ("a bare word", "user = nobody"),
    ] {
        let text = task(&format!("{quoted}{inside}"));
        let options = ParseOptions::default();
        let hcl2 = parse_hcl("job.nomad", &text, &options).unwrap_err();
        match parse_any("job.nomad", &text, &options) {
            Ok(_) => panic!("{what}:\n{text}"),
            Err(found) => assert_eq!(found.reference_text(), hcl2.reference_text(), "{what}"),
        }
    }
    let text = task(&format!("{quoted}uzer = \"a\""));
    let found = parse_any("job.nomad", &text, &ParseOptions::default()).unwrap_err();
    assert!(found.render(false).contains("-hcl1 says"), "{found}");
}

#[test]
fn nothing_runs_away() {
    let many = |text: &str, count: usize| text.repeat(count);
    for (what, text) in [
        ("braces", many("a {", 300_000)),
        ("brackets", format!("a = {}", many("[", 1_000_000))),
        ("closing braces", many("}", 1_000_000)),
        ("names", many("a ", 500_000)),
        (
            "a long name",
            format!("job \"x\" {{ {} = 1 }}", many("a", 1_000_000)),
        ),
        (
            "many unknown arguments",
            format!("job \"x\" {{\n{}}}", many("a=1\n", 99_000)),
        ),
        (
            "too many arguments",
            format!("job \"x\" {{\n{}}}", many("a=1\n", 200_000)),
        ),
        (
            "many of one name",
            format!("job \"x\" {{\n{}}}", many("priority=1\n", 90_000)),
        ),
        (
            "many blocks",
            format!("job \"x\" {{\n{}}}", many("meta{a=1}\n", 40_000)),
        ),
        ("many jobs", many("job \"x\" {}\n", 40_000)),
        ("quotes", many("\"", 1_000_000)),
        ("openings", format!("a = \"{}", many("${", 500_000))),
        (
            "openings in a heredoc",
            format!("job \"x\" {{ a = <<E\n{}\nE\n}}", many("${", 500_000)),
        ),
        ("comments", many("/*", 500_000)),
        ("heredocs", many("a = <<E\n", 100_000)),
        ("numbers", format!("a = {}", many("9", 1_000_000))),
        ("commas", format!("a = [{}]", many(",", 1_000_000))),
        ("bad characters", many("\u{0}", 1_000_000)),
        ("backslashes", format!("a = \"{}", many("\\", 1_000_000))),
    ] {
        let start = Instant::now();
        let said = match read(&text) {
            Ok(_) => "taken".to_owned(),
            Err(findings) => findings.list[0].summary.clone(),
        };
        println!("{what}: {said} after {:?}", start.elapsed());
    }
    let long = " ".repeat((1 << 20) + 1);
    assert_eq!(
        read(&long).unwrap_err().list[0].summary,
        "Job file too large"
    );
}

/// A value as JSON and as it may be written in HCL1.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~€]{0,8}".prop_map(|text| Value::from(text.replace(['$', '%'], "_"))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z][a-z0-9_.-]{0,5}", inner, 0..4).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .filter(|(key, _)| key != "true" && key != "false")
                        .collect(),
                )
            }),
        ]
    })
}

fn written(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let items: Vec<_> = map
                .iter()
                .enumerate()
                .map(|(index, (key, value))| {
                    let separator = if index % 2 == 0 { "," } else { "\n" };
                    format!("\"{key}\" = {}{separator}", written(value))
                })
                .collect();
            format!("{{ {} }}", items.join(" "))
        }
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// As a driver's config has it: an object is a list of one, but in a list.
fn in_config(value: &Value, in_list: bool) -> Value {
    match value {
        Value::Object(map) => {
            let map: Value = map
                .iter()
                .map(|(key, value)| (key.clone(), in_config(value, false)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            if in_list { map } else { json!([map]) }
        }
        Value::Array(list) => list.iter().map(|value| in_config(value, true)).collect(),
        other => other.clone(),
    }
}

const SAMPLE: &str = include_str!("hcl1/05-services.nomad");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rove_testkit::cases(256)))]

    #[test]
    fn what_is_written_is_read_again(value in values()) {
        let found = config(&format!("v = {}", written(&value)));
        let found = found.map_err(|findings| TestCaseError::fail(findings.to_string()))?;
        prop_assert_eq!(&found["v"], &in_config(&value, false));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn any_pieces_of_the_language_are_read_or_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("job"), Just("\"x\""), Just("{"), Just("}"), Just("["), Just("]"), Just("="), Just(","), Just("\n"),
                Just("group"), Just("task"), Just("config"), Just("meta"), Just("constraint"), Just("template"), Just("port"),
                Just("network"), Just("resources"), Just("service"), Just("check"), Just("header"), Just("vault"), Just("count"),
                Just("1"), Just("-0x1"), Just("true"), Just("\"${a"), Just("<<E\n"), Just("E\n"), Just("# c\n"), Just("/*"), Just("*/"),
                Just("\"\\"), Just("a.b"), Just("é"), Just("distinct_hosts"), Just("options"),
            ],
            0..80,
        )
    ) {
        let _ = read(&pieces.join(" "));
        let _ = read(&format!("job \"x\" {{ group \"g\" {{ task \"t\" {{ {} }} }} }}", pieces.join(" ")));
    }

    #[test]
    fn a_file_with_a_change_anywhere_is_read_or_refused(at in 0..SAMPLE.len(), cut in 0_usize..40, new in ".{0,4}") {
        let mut start = at;
        while !SAMPLE.is_char_boundary(start) { start -= 1; }
        let mut end = (start + cut).min(SAMPLE.len());
        while !SAMPLE.is_char_boundary(end) { end += 1; }
        let text = format!("{}{new}{}", &SAMPLE[..start], &SAMPLE[end..]);
        let hcl1 = parse_hcl1("job.nomad", &text, &ParseOptions::default());
        if let Err(findings) = &hcl1 {
            prop_assert!(findings.has_errors());
            prop_assert!(!findings.render(false).is_empty());
            prop_assert!(!findings.reference_text().is_empty());
        }
        let _ = parse_any("job.nomad", &text, &ParseOptions::default());
    }
}
