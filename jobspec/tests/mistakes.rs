//! Mistakes are told with their place, all of them at once; nothing runs away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path, time::Instant};

use rove_jobspec::{Diagnostics, ParseOptions, parse_hcl};
use rove_model::{supported, validate::validate};
use rove_testkit::{reference, testdata};

/// Everything that is wrong with a text, at parsing or at validation.
fn complaints(name: &str, text: &str) -> Option<Diagnostics> {
    let parsed = match parse_hcl(name, text, &ParseOptions::default()) {
        Ok(parsed) => parsed,
        Err(findings) => return Some(findings),
    };
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let report = validate(&job).errors;
    (!report.is_empty()).then(|| parsed.locate(&report))
}

/// Number, line, column and field of every mistake in the reference's refused samples.
const PLACES: &str = include_str!("places.tsv");

#[test]
fn every_refused_sample_is_told_at_its_place() {
    let own = testdata().join("jobspec-invalid");
    let places = fs::read_to_string(own.join("places.tsv")).unwrap();
    told_at_their_place(&own, &places);
    if let Some(root) = reference() {
        told_at_their_place(&root.join("jobspec-invalid"), PLACES);
    }
}

fn told_at_their_place(folder: &Path, places: &str) {
    let mut bad = Vec::new();
    let rows = places.lines().filter(|row| !row.starts_with('#'));
    for row in rows {
        let parts: Vec<_> = row.split('\t').collect();
        let [number, line, column, field] = parts[..] else {
            panic!("{row}");
        };
        let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
        let path = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with(number) && name.ends_with(".hcl")
            })
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let findings = complaints("job.hcl", &text).expect(number);
        let at: Vec<_> = findings
            .errors()
            .filter(|finding| !finding.echo)
            .map(|finding| {
                (
                    findings.position(finding).unwrap_or((1, 1)),
                    finding.field.clone().unwrap_or_default(),
                )
            })
            .collect();
        if !at.contains(&((line, column), field.to_owned())) {
            bad.push(format!(
                "{number}: {line}:{column} {field:?} isn't among {at:?}"
            ));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = r#"
job "x" {
  prioriti = 5
  group "g" {
    count = "many"
    task "t" {
      driver       = "docker"
      kill_timeout = "1 fortnight"
      config { image = nope("x") }
      resurces {}
    }
  }
  update { max_parallel = [] }
}
"#;
    let findings = complaints("job.hcl", text).unwrap();
    let lines: Vec<_> = findings
        .errors()
        .filter_map(|finding| findings.position(finding))
        .map(|(line, _)| line)
        .collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [3, 5, 8, 9, 10, 13], "{findings}");
}

#[test]
fn people_see_the_line_with_a_marker() {
    let text = "job \"x\" {\n  group \"g\" {\n    cuont = 3\n  }\n}\n";
    let findings = complaints("web.hcl", text).unwrap();
    insta::assert_snapshot!(findings.render(false), @r#"
    web.hcl:3:5: error: Unsupported argument
     3 |     cuont = 3
       |     ^^^^^
      An argument named "cuont" is not expected here. Did you mean "count"?
      field: group["g"].cuont
    "#);
}

#[test]
fn the_story_s_files_are_taken_and_its_bad_checksum_is_named() {
    let Some(root) = reference() else { return };
    for (name, problems, unsupported) in [
        ("story/000_example.nomad", 0, 0),
        ("story/derived/000_example_count3.nomad", 0, 0),
        ("story/003_hello.nomad", 1, 3),
        ("story/derived/003_hello_count3.nomad", 1, 3),
    ] {
        let text = fs::read_to_string(root.join(name)).unwrap();
        let parsed = parse_hcl(name, &text, &ParseOptions::default()).unwrap();
        let mut job = parsed.job.clone();
        job.server_canonicalize();
        let report = validate(&job).errors;
        assert_eq!(report.problems().len(), problems, "{name}");
        let lacking = supported::check(&job);
        assert_eq!(lacking.len(), unsupported, "{name}: {lacking:?}");
        if problems > 0 {
            assert!(
                report
                    .to_string()
                    .contains("md5 has 32 hex digits, this has 15")
            );
            let located = parsed.locate(&report);
            let place = located.position(&located.list[0]).unwrap();
            assert!(
                text.lines()
                    .nth(place.0 - 1)
                    .unwrap()
                    .contains("md5:123445555555555")
            );
            let features: Vec<_> = lacking.iter().map(|found| found.feature).collect();
            assert_eq!(features, ["services", "the java driver", "artifacts"]);
            assert!(
                parsed
                    .locate_unsupported(&lacking)
                    .list
                    .iter()
                    .all(|found| found.span.is_some())
            );
        }
    }
}

#[test]
fn nothing_runs_away() {
    let job = |locals: &str| {
        format!("locals {{\n{locals}\n}}\njob \"x\" {{\n  meta {{\n    a = 1\n  }}\n}}")
    };
    let chain: String = (0..3_000)
        .map(|index| format!("l{index} = \"${{local.l{}}}x\"\n", index + 1))
        .collect();
    for (what, text) in [
        ("division", job("a = 10 % 0\nb = 1 / 0")),
        (
            "overflow",
            job(
                "a = 170141183460469231731687303715884105727 + 1\nb = -(-170141183460469231731687303715884105728)",
            ),
        ),
        ("range", job("a = range(1, 1e18)")),
        (
            "loops",
            job(
                "a = range(0, 1000)\nb = [for x in local.a : [for y in local.a : [for z in local.a : \"${x}${y}${z}\"]]]",
            ),
        ),
        (
            "doubling",
            job(&(0..60)
                .map(|index| format!("d{} = [local.d{index}, local.d{index}]\n", index + 1))
                .collect::<String>()
                .replacen("d1 =", "d0 = [1]\nd1 =", 1)),
        ),
        (
            "texts",
            job(&(0..60)
                .map(|index| {
                    format!(
                        "d{} = \"${{local.d{index}}}${{local.d{index}}}\"\n",
                        index + 1
                    )
                })
                .collect::<String>()
                .replacen("d1 =", "d0 = \"x\"\nd1 =", 1)),
        ),
        (
            "lowest",
            job(
                "a = -170141183460469231731687303715884105727 - 1\nb = -local.a\nc = abs(local.a)\nd = local.a % -1\ne = local.a / -1",
            ),
        ),
        ("circle", job("a = local.b\nb = local.a")),
        ("chain", job(&chain)),
        (
            "replace",
            job(
                "a = replace(format(\"%04096d\", 0), \"0\", format(\"%04096d\", 1))\nb = replace(local.a, \"0\", local.a)",
            ),
        ),
        ("brackets", format!("a = {}", "[".repeat(100_000))),
        ("blocks", "a {".repeat(100_000)),
        ("templates", format!("a = {}", "\"${".repeat(50_000))),
        ("minus", format!("a = {}1", "-".repeat(100_000))),
        ("sum", format!("a = 1{}", "+1".repeat(100_000))),
        ("path", format!("a = local{}", ".a".repeat(100_000))),
    ] {
        let start = Instant::now();
        let result = parse_hcl("x", &text, &ParseOptions::default());
        let said = result
            .err()
            .map(|findings| findings.list[0].summary.clone());
        println!("{what}: {said:?} after {:?}", start.elapsed());
        if matches!(what, "loops" | "doubling" | "texts" | "replace") {
            assert_eq!(said.as_deref(), Some("Too much to evaluate"), "{what}");
        }
    }
}

#[test]
fn a_text_that_is_too_long_is_not_looked_at() {
    let text = " ".repeat((1 << 20) + 1);
    let findings = parse_hcl("x", &text, &ParseOptions::default()).unwrap_err();
    assert_eq!(findings.list[0].summary, "Job file too large");
}
