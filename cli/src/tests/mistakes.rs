//! Mistakes in job files: every command shows them at their place, and writes nothing.

use rove_testkit::reference;

use super::recorded::cli;
use super::server::{Answer, Request, Server};
use super::{Call, Ran};

/// Number, line, column and field of every mistake in the refused samples.
const PLACES: &str = include_str!("../../../jobspec/tests/places.tsv");

/// An address where nobody listens: what is wrong with a file is said all the same.
const NOBODY: &str = "http://127.0.0.1:9";

/// That a command ends as the reference does and begins its complaint in the same words; the place is said in another
/// way, and the line is shown.
pub fn says_as_much(ran: &Ran, expected: &Ran) {
    let (first, rest) = expected.err.split_once('\n').unwrap();
    assert!(ran.err.starts_with(first), "{ran:?}");
    let (place, words) = rest.split_once(": ").unwrap();
    if let Some((file, span)) = place.rsplit_once(':') {
        let (line, columns) = span.split_once(',').unwrap();
        let column = columns.split(['-', ',']).next().unwrap();
        assert!(
            ran.err
                .contains(&format!("\n{file}:{line}:{column}: error: ")),
            "{ran:?}"
        );
    }
    let (summary, detail) = words.trim_end().split_once("; ").unwrap();
    assert!(ran.err.contains(summary), "{summary}: {ran:?}");
    assert!(ran.err.contains(detail), "{detail}: {ran:?}");
    assert_eq!((ran.code, ran.out.as_str()), (expected.code, ""), "{ran:?}");
}

#[tokio::test]
async fn every_refused_sample_is_shown_at_its_place_with_its_field() {
    let Some(root) = reference() else { return };
    let samples = root.join("jobspec-invalid");
    let names: Vec<String> = std::fs::read_dir(&samples)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".hcl"))
        .collect();
    let mut bad = Vec::new();
    for row in PLACES.lines().filter(|row| !row.starts_with('#')) {
        let parts: Vec<_> = row.split('\t').collect();
        let [number, line, column, field] = parts[..] else {
            panic!("{row}");
        };
        let name = names.iter().find(|name| name.starts_with(number)).unwrap();
        for (command, code) in [("validate", 1), ("run", 1), ("plan", 255)] {
            let call = Call::to(NOBODY).folder(&samples);
            let ran = call.run(&["job", command, name]).await;
            let place = format!("{name}:{line}:{column}: error: ");
            let shown = field.is_empty() || ran.err.contains(&format!("\n  field: {field}\n"));
            let begins = ["Error getting job struct: ", "Job validation errors:\n"]
                .iter()
                .any(|words| ran.err.starts_with(words));
            if !ran.err.contains(&place) || !shown || !begins || ran.code != code {
                bad.push(format!("{command} {row}\n{}", ran.err));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test]
async fn mistakes_that_validation_finds_are_shown_in_every_command_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let text = "job \"x\" {\n  priority = 900\n  group \"g\" {\n    task \"t\" {}\n    task \"t\" {\n      driver = \"raw_exec\"\n    }\n  }\n}\n";
    std::fs::write(folder.path().join("x.hcl"), text).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/jobs", Answer::json(&serde_json::json!({})));
    for (words, code) in [
        (["job", "validate", "x.hcl"].as_slice(), 1),
        (&["job", "run", "x.hcl"], 1),
        (&["job", "plan", "x.hcl"], 255),
        (&["apply", "-f", "x.hcl"], 1),
    ] {
        let ran = Call::to(&server.address)
            .folder(folder.path())
            .run(words)
            .await;
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        assert!(ran.err.contains("Job validation errors:\n"), "{ran:?}");
        for place in ["x.hcl:2:14: error", "x.hcl:4:5: error"] {
            assert!(
                ran.err.contains(place),
                "{place} in {words:?}:\n{}",
                ran.err
            );
        }
        assert!(ran.err.contains(" 2 |   priority = 900\n"), "{}", ran.err);
    }
    let sent = server.requests();
    let is_question = |sent: &Request| sent.target == "/v1/validate/job";
    assert!(sent.iter().all(is_question), "{sent:?}");
}

#[tokio::test]
async fn an_unset_variable_is_shown_at_its_declaration() {
    let Some(expected) = cli("139") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = "variable \"n\" { type = number }\njob \"v\" {\n  group \"g\" {\n    count = var.n\n    task \"t\" {\n      driver = \"raw_exec\"\n    }\n  }\n}\n";
    std::fs::write(folder.path().join("vars.nomad.hcl"), text).unwrap();
    let call = Call::to(NOBODY).folder(folder.path());
    let ran = call.run(&["job", "run", "-detach", "vars.nomad.hcl"]).await;
    says_as_much(&ran, &expected);
    assert!(ran.err.contains("vars.nomad.hcl:1:1: error"), "{ran:?}");
    let strict = [
        "job",
        "run",
        "-output",
        "-var",
        "n=1",
        "-var",
        "m=2",
        "vars.nomad.hcl",
    ];
    let ran = Call::to(NOBODY).folder(folder.path()).run(&strict).await;
    assert!(ran.err.contains("Undefined variable"), "{ran:?}");
    assert!(
        ran.err.contains("did you mean \"n\"?") || ran.code == 1,
        "{ran:?}"
    );
    let mut lax = strict.to_vec();
    lax.insert(3, "-hcl2-strict=false");
    let ran = Call::to(NOBODY).folder(folder.path()).run(&lax).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("warning: Undefined variable"), "{ran:?}");
}

#[tokio::test]
async fn files_outside_the_job_file_s_folder_are_not_read() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("jobs");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(base.path().join("secret"), "s3cr3t").unwrap();
    std::fs::write(folder.join("beside"), "here").unwrap();
    let job =
        |path: &str| format!("job \"x\" {{\n  meta {{\n    text = file(\"{path}\")\n  }}\n}}\n");
    for (path, works) in [
        ("beside", true),
        ("../secret", false),
        ("/etc/hostname", false),
    ] {
        std::fs::write(folder.join("x.hcl"), job(path)).unwrap();
        // From another folder: what counts is where the file is.
        let call = Call::to(NOBODY).folder(base.path());
        let ran = call.run(&["job", "run", "-output", "jobs/x.hcl"]).await;
        assert_eq!(ran.code == 0, works, "{path}: {ran:?}");
        assert_eq!(ran.out.contains("here"), works, "{path}: {ran:?}");
        assert!(!ran.out.contains("s3cr3t"), "{ran:?}");
        if !works {
            assert!(ran.err.contains("jobs/x.hcl:3:12: error"), "{ran:?}");
            assert!(ran.err.contains("outside the job file's folder"), "{ran:?}");
        }
    }
}
