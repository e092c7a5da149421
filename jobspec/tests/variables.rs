//! Variables, locals and dynamic blocks: where values come from, and what is said of mistakes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rove_jobspec::{Diagnostics, ParseOptions, Parsed, Severity, parse_hcl};
use rove_model::validate::validate;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    list.iter().map(owned).collect()
}

/// A job whose meta `out` is what an expression comes to, as JSON.
fn job(head: &str, expression: &str) -> String {
    format!("{head}\njob \"x\" {{\n  meta {{\n    out = jsonencode({expression})\n  }}\n}}\n")
}

fn read(text: &str, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    parse_hcl("x.hcl", text, options)
}

fn out(parsed: &Parsed) -> String {
    parsed.job.meta["out"].clone()
}

/// The errors as `line:column summary: detail`.
fn said(found: &Diagnostics) -> Vec<String> {
    found
        .list
        .iter()
        .filter(|finding| !finding.echo)
        .map(|finding| {
            let (line, column) = found.position(finding).unwrap_or_default();
            format!("{line}:{column} {}: {}", finding.summary, finding.detail)
        })
        .collect()
}

#[test]
fn the_strongest_source_of_a_value_wins() {
    let text = job(
        "variable \"v\" {\n  type = string\n  default = \"default\"\n}",
        "var.v",
    );
    let nomad = ("NOMAD_VAR_v", "nomad");
    let rove = ("ROVE_VAR_v", "rove");
    let file = ("a.vars", "v = \"file\"\n");
    let later = ("b.json", "{\"v\": \"later file\"}");
    let flag = ("v", "flag");
    let last = ("v", "last flag");
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Pairs<'_>, Pairs<'_>, Pairs<'_>, &str); 8] = [
        (&[], &[], &[], "default"),
        (&[nomad], &[], &[], "nomad"),
        (&[rove, nomad], &[], &[], "rove"),
        (&[nomad], &[file], &[], "file"),
        (&[nomad], &[file, later], &[], "later file"),
        (&[nomad], &[later, file], &[], "file"),
        (&[nomad], &[file], &[flag], "flag"),
        (&[rove], &[file], &[flag, last], "last flag"),
    ];
    for (environment, files, flags, wanted) in cases {
        let options = ParseOptions {
            environment: pairs(environment),
            variable_files: pairs(files),
            variables: pairs(flags),
            ..ParseOptions::default()
        };
        let parsed = read(&text, &options).expect(wanted);
        assert_eq!(out(&parsed), format!("{wanted:?}"));
    }
}

#[test]
fn a_value_given_as_text_follows_the_variable_s_type() {
    for (declared, given, wanted) in [
        ("type = string", "12", "\"12\""),
        ("type = string", "[1]", "\"[1]\""),
        ("type = string", "", "\"\""),
        ("", "12", "\"12\""),
        ("", "${x}", "\"${x}\""),
        ("type = number", "12", "12"),
        ("type = number", "1.50", "1.5"),
        ("type = bool", "true", "true"),
        ("type = any", "12", "12"),
        ("type = any", "{ a = [1, true] }", "{\"a\":[1,true]}"),
        ("type = any", "plain", "\"plain\""),
        ("type = list(string)", "[\"a\", 1]", "[\"a\",\"1\"]"),
        ("type = list(number)", "[\"1\", 2]", "[1,2]"),
        (
            "type = set(string)",
            "[\"b\", \"a\", \"b\"]",
            "[\"a\",\"b\"]",
        ),
        ("type = map(number)", "{ a = \"1\" }", "{\"a\":1}"),
        ("type = tuple([string, number])", "[1, 2]", "[\"1\",2]"),
        (
            "type = object({ a = number, b = optional(string), c = optional(number, 7) })",
            "{ a = 1 }",
            "{\"a\":1,\"b\":null,\"c\":7}",
        ),
        (
            "type = list(object({ name = string }))",
            "[{ name = \"a\", extra = 1 }]",
            "[{\"name\":\"a\"}]",
        ),
        ("type = map(list(string))", "{ a = [] }", "{\"a\":[]}"),
    ] {
        let head = format!("variable \"v\" {{\n  {declared}\n}}");
        let options = ParseOptions {
            variables: pairs(&[("v", given)]),
            ..ParseOptions::default()
        };
        let parsed = read(&job(&head, "var.v"), &options);
        let parsed = parsed.unwrap_or_else(|found| panic!("{declared} {given}: {found}"));
        assert_eq!(out(&parsed), wanted, "{declared} {given}");
    }
}

#[test]
fn mistakes_about_variables_are_told_at_their_place() {
    for (head, expression, wanted) in [
        (
            "variable \"v\" {\n  type = number\n  default = \"x\"\n}",
            "var.v",
            "3:13 Invalid value for variable: This default value is not compatible with the variable's type constraint: a number is required.",
        ),
        (
            "variable \"v\" {\n  type = list(number)\n  default = [1, \"x\"]\n}",
            "var.v",
            "3:13 Invalid value for variable: This default value is not compatible with the variable's type constraint: element 1: a number is required.",
        ),
        (
            "variable \"v\" {\n  type = object({ a = string })\n  default = {}\n}",
            "var.v",
            "3:13 Invalid value for variable: This default value is not compatible with the variable's type constraint: attribute \"a\" is required.",
        ),
        (
            "variable \"v\" {\n  type = strin\n  default = 1\n}",
            "1",
            "2:10 Invalid type specification: The keyword \"strin\" is not a valid type specification.",
        ),
        (
            "variable \"v\" {\n  type = list\n  default = []\n}",
            "1",
            "2:10 Invalid type specification: The list type constructor requires one argument specifying the element type.",
        ),
        (
            "variable \"v\" {\n  typ = string\n  default = 1\n}",
            "1",
            "2:3 Unsupported argument: An argument named \"typ\" is not expected here. Did you mean \"type\"?",
        ),
        (
            "variable \"v\" {\n  default = 1\n  validate {}\n}",
            "1",
            "3:3 Unsupported block type: Blocks of type \"validate\" are not expected here.",
        ),
        (
            "variable \"v\" {\n  default = 1\n}\nvariable \"v\" {\n  default = 2\n}",
            "1",
            "4:1 Duplicate variable: Duplicate v variable definition found. The first was at x.hcl:1,1-13.",
        ),
        (
            "variable {\n  default = 1\n}",
            "1",
            "1:1 Missing name for variable: All variable blocks must have 1 labels (name).",
        ),
        (
            "variable \"v\" {}",
            "var.w",
            "4:25 Unsupported attribute: This object does not have an attribute named \"w\".",
        ),
        (
            "variable \"v\" {\n  default = 1\n  validation {\n    condition = var.v > 1\n    error_message = \"Above one.\"\n  }\n}",
            "1",
            "2:13 Invalid value for default variable: Above one.\n\nThis was checked by the validation rule at x.hcl:3,3-13.",
        ),
        (
            "variable \"v\" {\n  default = 1\n  validation {\n    condition = var.v\n  }\n}",
            "1",
            "3:3 Invalid validation: A validation block needs condition and error_message.",
        ),
        (
            "variable \"v\" {\n  default = 1\n  sensitive = \"maybe\"\n}",
            "1",
            "3:15 Unsuitable value type: Unsuitable value: a bool is required",
        ),
        (
            "variables {\n  a = 1\n  b {}\n}",
            "1",
            "3:3 Unsupported block type: Blocks of type \"b\" are not expected here.",
        ),
        (
            "locals {\n  a = 1\n}\nlocals {\n  a = 2\n}",
            "1",
            "5:3 Duplicate local: Duplicate a local definition found. The first was at x.hcl:2,3-4.",
        ),
        (
            "locals {\n  a = local.b\n  b = [local.c]\n  c = \"${local.a}\"\n  d = local.a\n}",
            "1",
            "2:3 Circular local: a needs its own value: a → b → c → a.",
        ),
        (
            "locals {\n  a = local.a\n}",
            "1",
            "2:3 Circular local: a needs its own value: a → a.",
        ),
    ] {
        let found = read(&job(head, expression), &ParseOptions::default()).expect_err(head);
        assert_eq!(said(&found), [wanted], "{head}");
    }
}

#[test]
fn given_values_that_do_not_fit_are_told_with_their_source() {
    let text = job("variable \"many\" {\n  type = list(number)\n}", "var.many");
    for (variables, environment, wanted) in [
        (
            pairs(&[("many", "1, 2")]),
            Vec::new(),
            "-var many gives \"1, 2\", which is no value of type list of number.",
        ),
        (pairs(&[("many", "x")]), Vec::new(), "-var many gives \"x\""),
        (
            pairs(&[("many", "[\"x\"]")]),
            Vec::new(),
            "element 0: a number is required",
        ),
        (
            pairs(&[]),
            pairs(&[("NOMAD_VAR_many", "{")]),
            "NOMAD_VAR_many gives \"{\"",
        ),
        (
            pairs(&[("mony", "[1]"), ("many", "[1]")]),
            Vec::new(),
            "A \"mony\" variable was set on the command line",
        ),
    ] {
        let options = ParseOptions {
            variables,
            environment,
            ..ParseOptions::default()
        };
        let found = read(&text, &options).expect_err(wanted);
        assert!(found.to_string().contains(wanted), "{found}");
    }
    for (name, file, wanted) in [
        (
            "a.vars",
            "many = [1]\nmore = 2\n",
            "A \"more\" variable was set in a.vars",
        ),
        ("a.vars", "many = [\n", "a.vars:1:8"),
        (
            "a.vars",
            "many {\n}\n",
            "a variable file holds assignments only",
        ),
        (
            "a.vars",
            "many = nope()\n",
            "a.vars:1:8: There is no function named \"nope\"",
        ),
        ("a.json", "{\"many\": ", "a.json:1:9"),
        ("a.json", "[]", "a.json:1:0"),
    ] {
        let options = ParseOptions {
            variable_files: pairs(&[(name, file)]),
            ..ParseOptions::default()
        };
        let found = read(&text, &options).expect_err(wanted);
        assert!(found.to_string().contains(wanted), "{wanted}\n{found}");
    }
}

#[test]
fn an_undeclared_value_is_only_warned_of_where_that_is_asked_for() {
    let text = job("variable \"count\" {\n  default = 1\n}", "var.count");
    let options = ParseOptions {
        variables: pairs(&[("cuont", "2")]),
        strict_variables: false,
        ..ParseOptions::default()
    };
    let parsed = read(&text, &options).unwrap();
    let [warning] = parsed.warnings.list.as_slice() else {
        panic!("{}", parsed.warnings);
    };
    assert_eq!(warning.severity, Severity::Warning);
    assert_eq!(warning.hint.as_deref(), Some("did you mean \"count\"?"));
    let strict = ParseOptions {
        strict_variables: true,
        ..options
    };
    assert!(read(&text, &strict).is_err());
}

#[test]
fn a_variable_without_a_value_matters_only_where_it_is_used() {
    let head = "variable \"v\" {\n  type = string\n}";
    assert!(read(&job(head, "1"), &ParseOptions::default()).is_ok());
    let found = read(&job(head, "var.v"), &ParseOptions::default()).unwrap_err();
    let said = said(&found);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("1:1 Unset variable \"v\": A used variable must be set"),
        "{said:?}"
    );
    // A default of null is a value.
    let head = "variable \"v\" {\n  default = null\n}";
    let parsed = read(&job(head, "var.v"), &ParseOptions::default()).unwrap();
    assert_eq!(out(&parsed), "null");
}

#[test]
fn a_sensitive_value_is_in_no_message() {
    const SECRET: &str = "s3cr3t-v4lue";
    let head = |rest: &str| {
        format!(
            "variable \"v\" {{\n  {rest}\n  sensitive = true\n  validation {{\n    condition = var.v != \"\"\n    error_message = \"Bad: ${{jsonencode(var.v)}}.\"\n  }}\n}}"
        )
    };
    let cases = [
        (head("type = string"), "parseint(var.v, 10)"),
        (head("type = string"), "formatdate(\"YYYY\", var.v)"),
        (head("type = string"), "cidrhost(\"${var.v}\", 1)"),
        (head("type = string"), "uuidv5(\"x-${var.v}\", \"\")"),
        (head("type = number"), "1"),
        (head("type = list(string)"), "1"),
        (head("type = string").replace("!=", "=="), "1"),
    ];
    for (head, expression) in cases {
        let options = ParseOptions {
            variables: pairs(&[("v", SECRET)]),
            ..ParseOptions::default()
        };
        let found = read(&job(&head, expression), &options).expect_err(expression);
        for text in [
            found.render(false),
            found.reference_text(),
            format!("{:?}", found.list),
        ] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    // Not by decoding nor by validation either.
    let text = format!(
        "{}\njob \"x\" {{\n  type = var.v\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"raw_exec\"\n    }}\n  }}\n}}\n",
        head("type = string")
    );
    let options = ParseOptions {
        variables: pairs(&[("v", SECRET)]),
        ..ParseOptions::default()
    };
    let parsed = read(&text, &options).unwrap();
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let report = validate(&job).errors;
    assert!(report.to_string().contains(SECRET));
    let located = parsed.locate(&report);
    assert!(!located.render(false).contains(SECRET), "{located}");
    let text = text
        .replace("type = var.v", "type = \"batch\"")
        .replace("driver =", "kill_timeout = var.v\n      driver =");
    let found = read(&text, &options).unwrap_err();
    assert!(!found.render(false).contains(SECRET), "{found}");
    assert!(found.render(false).contains("(sensitive value)"), "{found}");
}

#[test]
fn locals_may_stand_in_any_order() {
    let text = job(
        "locals {\n  c = \"${local.b}!\"\n  a = 1\n}\nvariables {\n  v = 2\n}\nlocals {\n  b = local.a + var.v\n}",
        "[local.a, local.b, local.c]",
    );
    let parsed = read(&text, &ParseOptions::default()).unwrap();
    assert_eq!(out(&parsed), "[1,3,\"3!\"]");
}

#[test]
fn dynamic_blocks_unfold() {
    let text = r#"
locals {
  apps = { web = ["a", "b"], db = [] }
}
job "x" {
  dynamic "group" {
    for_each = local.apps
    labels   = [group.key]
    content {
      count = length(group.value)
      dynamic "task" {
        for_each = group.value
        iterator = it
        labels   = ["${group.key}-${it.value}"]
        content {
          driver = "raw_exec"
          env {
            AT = it.key
          }
          dynamic "artifact" {
            for_each = convert(["y", "x", "y"], set(string))
            content {
              source = "${it.value}/${artifact.value}"
            }
          }
        }
      }
    }
  }
}
"#;
    let parsed = read(text, &ParseOptions::default()).unwrap();
    let groups = &parsed.job.task_groups;
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["db", "web"]);
    let tasks: Vec<_> = groups[1]
        .tasks
        .iter()
        .map(|task| task.name.as_str())
        .collect();
    assert_eq!(tasks, ["web-a", "web-b"]);
    let json = serde_json::to_value(&groups[1].tasks[1]).unwrap();
    assert_eq!(json["Env"]["AT"], "1");
    assert_eq!(json["Artifacts"][0]["GetterSource"], "b/x");
    assert_eq!(json["Artifacts"][1]["GetterSource"], "b/y");
    for (block, wanted) in [
        ("dynamic {\n}", "A dynamic block has one label"),
        (
            "dynamic \"group\" {\n  for_each = []\n}",
            "needs for_each and a content block",
        ),
        (
            "dynamic \"group\" {\n  for_each = 5\n  content {}\n}",
            "an iterable collection is required",
        ),
        (
            "dynamic \"group\" {\n  for_each = [1]\n  iterator = \"x\"\n  content {}\n}",
            "The iterator is a bare name",
        ),
        (
            "dynamic \"group\" {\n  for_each = [1]\n  labels = \"x\"\n  content {}\n}",
            "The labels are a list of texts",
        ),
        (
            "dynamic \"group\" {\n  for_each = [1]\n  label = [\"x\"]\n  content {}\n}",
            "Did you mean \"labels\"?",
        ),
        (
            "dynamic \"gruop\" {\n  for_each = [1]\n  content {}\n}",
            "Did you mean \"group\"?",
        ),
    ] {
        let text = format!("job \"x\" {{\n{block}\n}}\n");
        let found = read(&text, &ParseOptions::default()).expect_err(block);
        assert!(found.to_string().contains(wanted), "{block}\n{found}");
    }
}

#[test]
fn what_the_node_fills_in_stays_as_it_is_written() {
    for (text, wanted) in [
        ("${attr.cpu.arch}", "${attr.cpu.arch}"),
        ("${meta.a.b.c}", "${meta.a.b.c}"),
        ("${meta[\"a.b\"]}", "${meta[\"a.b\"]}"),
        ("${env[\"HOME\"]}/x", "${env[\"HOME\"]}/x"),
        ("v-${1 + 2}-${attr.cpu.arch}", "v-3-${attr.cpu.arch}"),
        ("${NOMAD_PORT_http}:${var.v}", "${NOMAD_PORT_http}:7"),
        ("${node.unique.name}", "${node.unique.name}"),
        ("${NOMAD_META_key}", "${NOMAD_META_key}"),
        (
            "${attr.unique.network.ip-address}",
            "${attr.unique.network.ip-address}",
        ),
        ("$${attr.x}", "${attr.x}"),
        ("%%{ x }", "%{ x }"),
        ("a$b$$c %d 100%", "a$b$$c %d 100%"),
        (
            "${var.v == 7 ? NOMAD_TASK_DIR : attr.y}",
            "${NOMAD_TASK_DIR}",
        ),
        ("%{ if var.v == 7 }${attr.x}%{ endif }", "${attr.x}"),
        ("${join(\",\", [attr.a, \"b\"])}", "${attr.a},b"),
        ("${upper(\"x\")}${NOMAD_ALLOC_ID}", "X${NOMAD_ALLOC_ID}"),
        ("${local.port}", "${NOMAD_PORT_x}"),
        (
            "${attr.driver.docker.version}${attr.os.name}",
            "${attr.driver.docker.version}${attr.os.name}",
        ),
    ] {
        let text = format!(
            "variable \"v\" {{\n  default = 7\n}}\nlocals {{\n  port = \"${{NOMAD_PORT_x}}\"\n}}\njob \"x\" {{\n  meta {{\n    out = \"{text}\"\n  }}\n}}\n"
        );
        let parsed =
            read(&text, &ParseOptions::default()).unwrap_or_else(|found| panic!("{found}"));
        assert_eq!(out(&parsed), wanted, "{text}");
    }
}

#[test]
fn a_mistake_in_a_loop_is_told_once() {
    let text = job("locals {\n  l = [for n in range(100) : n + \"x\"]\n}", "1");
    let found = read(&text, &ParseOptions::default()).unwrap_err();
    assert_eq!(
        said(&found),
        ["2:34 Invalid operand: Unsuitable value for right operand: a number is required."]
    );
}
