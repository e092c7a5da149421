//! Every sample job file becomes the job beside it, or is refused in the words beside it: those of this repository, and
//! those recorded of the reference.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rove_jobspec::{Format, ParseOptions, parse_any, parse_hcl, parse_hcl1};
use rove_model::as_parsed::AsParsed;
use rove_testkit::{reference, samples, updates};
use serde_json::Value;

/// Where an empty text stands for null or absence: the reference makes no difference there.
const EMPTY_TEXT_IS_NULL: [&str; 2] = ["DispatchIdempotencyToken", "Hostname"];

/// Without what equals absence: null, empty lists and objects.
fn normalised(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(key, value)| !(EMPTY_TEXT_IS_NULL.contains(&key.as_str()) && value == ""))
                .map(|(key, value)| (key, normalised(value)))
                .filter(|(_, value)| !is_absent(value))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(normalised).collect()),
        other => other,
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    found.sort();
    found
}

/// The first difference of two values, as lines.
fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    let (ours, theirs) = (
        serde_json::to_string_pretty(ours).unwrap(),
        serde_json::to_string_pretty(theirs).unwrap(),
    );
    if ours == theirs {
        return None;
    }
    let pair = ours.lines().zip(theirs.lines()).enumerate();
    let line = pair
        .clone()
        .find(|(_, (a, b))| a != b)
        .map(|(line, _)| line);
    let around = |text: &str| {
        let at = line.unwrap_or(0);
        let lines = text.lines().skip(at.saturating_sub(3)).take(7);
        lines.collect::<Vec<_>>().join("\n")
    };
    Some(format!(
        "ours:\n{}\ntheirs:\n{}",
        around(&ours),
        around(&theirs)
    ))
}

#[test]
fn every_sample_becomes_the_expected_job() {
    for root in samples() {
        let good = become_the_expected_job(&root);
        assert_eq!(good, if Some(root) == reference() { 42 } else { 8 });
    }
}

fn become_the_expected_job(root: &Path) -> usize {
    let folder = root.join("jobspec");
    let (mut good, mut bad) = (0, Vec::new());
    for path in files(&folder, ".nomad.hcl") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut options = ParseOptions::default();
        let variables = folder.join(name.replace(".nomad.hcl", ".vars.hcl"));
        if variables.exists() {
            options
                .variable_files
                .push(("vars".to_owned(), fs::read_to_string(variables).unwrap()));
        }
        let parsed = if text.starts_with("# HCLv1") {
            parse_hcl1(&name, &text, &options)
        } else {
            parse_hcl(&name, &text, &options)
        };
        let mut job = match parsed {
            Ok(parsed) => parsed.job,
            Err(findings) => {
                bad.push(format!("{name}:\n{}", findings.render(false)));
                continue;
            }
        };
        job.canonicalize();
        let expected = path.to_string_lossy().replace(".nomad.hcl", ".json");
        if updates(root) {
            let text = serde_json::to_string_pretty(&job).unwrap() + "\n";
            fs::write(&expected, text).unwrap();
        }
        let ours = normalised(serde_json::to_value(&job).unwrap());
        let theirs =
            normalised(serde_json::from_str(&fs::read_to_string(expected).unwrap()).unwrap());
        match difference(&ours, &theirs) {
            None => good += 1,
            Some(difference) => bad.push(format!("{name}:\n{difference}")),
        }
    }
    assert!(
        bad.is_empty(),
        "{good} are equal, but\n{}",
        bad.join("\n\n")
    );
    good
}

#[test]
fn samples_that_both_languages_have_mean_the_same_in_hcl1() {
    let Some(root) = reference() else { return };
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for path in files(&root.join("jobspec"), ".nomad.hcl") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(parsed) = parse_hcl1(&name, &text, &ParseOptions::default()) else {
            continue;
        };
        let mut job = parsed.job;
        job.canonicalize();
        let ours = normalised(serde_json::to_value(&job).unwrap());
        let expected = path.to_string_lossy().replace(".nomad.hcl", ".json");
        let theirs =
            normalised(serde_json::from_str(&fs::read_to_string(expected).unwrap()).unwrap());
        match difference(&ours, &theirs) {
            None => same.push(name),
            Some(difference) => {
                println!("{name}:\n{difference}");
                other.push(name);
            }
        }
    }
    // Bools as texts (03, 36), templates without an owner (17, 42), escapes of HCL2 (30), heredocs (37).
    let numbers: Vec<_> = other.iter().map(|name| &name[..2]).collect();
    assert_eq!(numbers, ["03", "17", "30", "36", "37", "42"]);
    assert_eq!(same.len(), 31, "{same:?}");
}

#[test]
fn samples_of_hcl1_are_taken_unasked_and_those_of_hcl2_stay_hcl2() {
    let Some(root) = reference() else { return };
    for path in files(&root.join("jobspec"), ".nomad.hcl") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut options = ParseOptions::default();
        let variables = path.to_string_lossy().replace(".nomad.hcl", ".vars.hcl");
        if Path::new(&variables).exists() {
            let text = fs::read_to_string(variables).unwrap();
            options.variable_files.push(("vars".to_owned(), text));
        }
        let parsed = parse_any(&name, &text, &options).unwrap().remove(0);
        // The third sample with the mark is in the language that both have in common.
        let hcl1 = name.starts_with("32") || name.starts_with("33");
        assert_eq!(parsed.format == Format::Hcl1, hcl1, "{name}");
        assert_eq!(
            !parsed.warnings.list.is_empty(),
            hcl1,
            "{name}: {}",
            parsed.warnings
        );
    }
}

#[test]
fn what_hcl2_refuses_is_not_waved_through_as_hcl1() {
    let mut taken = Vec::new();
    for path in samples()
        .iter()
        .flat_map(|root| files(&root.join("jobspec-invalid"), ".nomad.hcl"))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let options = ParseOptions::default();
        if parse_hcl(&name, &text, &options).is_ok() {
            continue;
        }
        if let Ok(parsed) = parse_any(&name, &text, &options) {
            assert!(!parsed[0].warnings.list.is_empty(), "{name}");
            taken.push(name);
        }
    }
    assert_eq!(taken.len(), 0, "{taken:?}");
}

#[test]
fn what_is_refused_at_parsing_is_refused_in_the_expected_words() {
    for root in samples() {
        refused_in_the_expected_words(&root);
    }
}

fn refused_in_the_expected_words(root: &Path) {
    let mut bad = Vec::new();
    for path in files(&root.join("jobspec-invalid"), ".nomad.hcl") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let expected = path.to_string_lossy().replace(".nomad.hcl", ".err.txt");
        if updates(root) {
            let words = match parse_hcl("input.hcl", &text, &ParseOptions::default()) {
                Ok(_) => "stage: validate\n".to_owned(),
                Err(findings) => format!(
                    "stage: parse\nFailed to parse job: {}\n",
                    findings.reference_text().trim_end()
                ),
            };
            fs::write(&expected, words).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap();
        let parses = expected.starts_with("stage: validate");
        match parse_hcl("input.hcl", &text, &ParseOptions::default()) {
            Ok(_) if parses => {}
            Ok(_) => bad.push(format!("{name} was taken")),
            Err(findings) if parses => bad.push(format!("{name}:\n{}", findings.render(false))),
            Err(findings) => {
                let theirs = expected
                    .split_once("Failed to parse job: ")
                    .map(|(_, text)| text.split("\n\n$ nomad").next().unwrap().trim_end());
                // An empty text is refused before it is parsed.
                if let Some(theirs) = theirs
                    && findings.reference_text().trim_end() != theirs
                {
                    bad.push(format!(
                        "{name}:\nours:   {}\ntheirs: {theirs}",
                        findings.reference_text()
                    ));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

#[test]
fn a_job_that_is_only_parsed_keeps_null_for_what_is_not_said() {
    let Some(root) = reference() else { return };
    let text = fs::read_to_string(root.join("api/057-parse-hcl-raw.json")).unwrap();
    let exchange: Value = serde_json::from_str(&text).unwrap();
    let file = exchange["request"]["body"]["JobHCL"].as_str().unwrap();
    let parsed = parse_hcl("input.hcl", file, &ParseOptions::default()).unwrap();
    let written = |field: &str| parsed.spans.has(field);
    let ours = serde_json::to_value(AsParsed::new(&parsed.job, &written)).unwrap();
    // Here a null is no zero and no empty text.
    let difference = difference(&normalised(ours), &normalised(exchange["body"].clone()));
    assert!(difference.is_none(), "{}", difference.unwrap());
}

#[test]
fn what_the_parser_itself_fills_in_is_there_before_defaults() {
    let file = "job \"j\" {\n type = \"batch\"\n all_at_once = false\n periodic {\n crons = [\"@daily\"]\n }\n group \"g\" {\n task \"t\" {\n driver = \"d\"\n vault {}\n template {\n change_script {}\n }\n }\n }\n}";
    let parsed = parse_hcl("input.hcl", file, &ParseOptions::default()).unwrap();
    let written = |field: &str| parsed.spans.has(field);
    let ours = serde_json::to_value(AsParsed::new(&parsed.job, &written)).unwrap();
    let task = &ours["TaskGroups"][0]["Tasks"][0];
    let template = &task["Templates"][0];
    for (value, expected) in [
        (&ours["Name"], Value::from("j")),
        (&ours["Region"], Value::Null),
        (&ours["AllAtOnce"], false.into()),
        (&ours["Stop"], Value::Null),
        (&ours["Periodic"]["SpecType"], "cron".into()),
        (&ours["Periodic"]["Spec"], Value::Null),
        (&ours["Periodic"]["TimeZone"], Value::Null),
        (&task["KillTimeout"], Value::Null),
        (&task["Vault"]["Env"], true.into()),
        (&task["Vault"]["ChangeMode"], "restart".into()),
        (&task["Vault"]["ChangeSignal"], Value::Null),
        (&template["ChangeMode"], "restart".into()),
        (&template["Perms"], "0644".into()),
        (&template["Splay"], 5_000_000_000_i64.into()),
        (&template["ErrMissingKey"], false.into()),
        (&template["LeftDelim"], Value::Null),
        (
            &template["ChangeScript"]["Timeout"],
            5_000_000_000_i64.into(),
        ),
        (&template["ChangeScript"]["Command"], Value::Null),
    ] {
        assert_eq!(*value, expected);
    }
}
