//! Bad input: a clear message that names the place, the right exit code, and nothing changed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

use rove_e2e::{
    command::{available, eventually, rove, run},
    dev::Agent,
    text::field,
};
use rove_testkit::reference;

const GOOD: &str = r#"
job "good" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["600"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
"#;

#[test]
fn a_bad_job_file_is_refused_at_its_place_and_registers_nothing() {
    let agent = Agent::start("");
    let cases = [
        ("a missing brace", "job \"x\" {\n  group \"g\" {\n", &["bad.nomad:3:1"][..]),
        ("an unknown key", &*GOOD.replace("driver =", "drivr ="), &["bad.nomad:5:7", "drivr", "Did you mean \"driver\"?"]),
        ("a wrong type", &GOOD.replace("cpu    = 10", "cpu    = \"lots\""), &["bad.nomad:11:", "a number is required"]),
        ("no driver", &GOOD.replace("driver = \"raw_exec\"", ""), &["Task t validation failed", "Missing task driver"]),
        (
            "a bad duration",
            &GOOD.replace("driver = \"raw_exec\"", "driver = \"raw_exec\"\n      kill_timeout = \"soon\""),
            &["bad.nomad:6:", "invalid duration \"soon\""],
        ),
        (
            "a feature that is not built",
            &GOOD.replace("task \"t\" {", "task \"t\" {\n      artifact {\n        source = \"https://example.com/x\"\n      }"),
            &["artifact"],
        ),
        ("a driver that is not built", &GOOD.replace("raw_exec", "qemu"), &["qemu"]),
    ];
    for (what, text, expected) in cases {
        let file = agent.job("bad.nomad", text);
        for (command, code) in [("run", 1), ("plan", 255)] {
            let output = agent.rove(&["job", command, &file]);
            assert_eq!(output.code, code, "{what}: {output:?}");
            for words in expected {
                assert!(
                    output.stderr.contains(words),
                    "{what}: {words:?} is missing in {output:?}"
                );
            }
        }
    }
    assert_eq!(agent.get("/v1/jobs").unwrap(), serde_json::json!([]));
}

#[test]
fn the_hello_job_of_2017_is_refused_for_its_checksum() {
    let Some(reference) = reference() else {
        return;
    };
    let agent = Agent::start("");
    let output = agent.rove(&[
        "run",
        &reference
            .join("story/003_hello.nomad")
            .display()
            .to_string(),
    ]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("invalid checksum"), "{output:?}");
}

#[test]
fn a_job_that_fits_nowhere_waits_with_the_reason_and_runs_when_there_is_room() {
    let agent = Agent::start("");
    let big = agent.job(
        "big.nomad",
        &GOOD
            .replace("memory = 10", "memory = 10000000")
            .replace("good", "big"),
    );
    let plan = agent.rove(&["job", "plan", &big]).expect_code(1);
    assert!(
        plan.contains("WARNING: Failed to place all allocations."),
        "{plan}"
    );
    assert!(
        plan.contains("* Resources exhausted on 1 nodes")
            && plan.contains("Dimension \"memory\" exhausted on 1 nodes"),
        "{plan}"
    );
    let run = agent.rove(&["job", "run", "-detach", &big]).ok();
    let eval = field(&run, "Evaluation ID")
        .unwrap_or_else(|| run.split_whitespace().last().unwrap().to_owned());
    eventually("the blocked eval", || {
        let status = agent.rove(&["eval", "status", &eval]).stdout;
        let told = status.contains("Placement Failures = true")
            && status.contains("Dimension \"memory\" exhausted");
        if told { Ok(()) } else { Err(status) }
    });
    let small = agent.job("big.nomad", &GOOD.replace("good", "big"));
    let _ = agent.rove(&["job", "run", "-detach", &small]).ok();
    let _ = agent.running("big", 1);
}

#[test]
fn what_is_not_there_is_said_as_the_reference_says_it() {
    let agent = Agent::start("");
    for (args, expected) in [
        (
            &["job", "status", "nope"][..],
            "No job(s) with prefix or ID \"nope\" found",
        ),
        (
            &["job", "stop", "nope"],
            "No job(s) with prefix or ID \"nope\" found",
        ),
        (
            &["alloc", "status", "deadbeef"],
            "No allocation(s) with prefix or id \"deadbeef\" found",
        ),
        (
            &["eval", "status", "deadbeef"],
            "No evaluation(s) with prefix or id \"deadbeef\" found",
        ),
        (
            &["node", "status", "deadbeef"],
            "No node(s) with prefix \"deadbeef\" found",
        ),
        (
            &["deployment", "status", "deadbeef"],
            "Deployment ID \"deadbeef\" matched no deployments",
        ),
    ] {
        let output = agent.rove(args);
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(
            all.to_lowercase().contains(&expected.to_lowercase()),
            "{args:?}: {output:?}"
        );
    }
    let unknown = agent.rove(&["frobnicate"]);
    assert_eq!(unknown.code, 127, "{unknown:?}");
}

#[test]
fn an_ambiguous_prefix_names_what_it_could_be() {
    let agent = Agent::start("");
    for name in ["good-one", "good-two"] {
        let file = agent.job(
            "job.nomad",
            &GOOD.replace("\"good\"", &format!("\"{name}\"")),
        );
        let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    }
    let output = agent.rove(&["job", "stop", "-yes", "good"]);
    assert_eq!(output.code, 1, "{output:?}");
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(
        all.contains("good-one") && all.contains("good-two"),
        "{output:?}"
    );
    let _ = (agent.running("good-one", 1), agent.running("good-two", 1));
}

#[test]
fn a_server_that_is_not_there_is_an_error_at_once() {
    assert!(available("rove", rove().is_file()));
    let output = run(Command::new(rove())
        .env("ROVE_ADDR", "http://127.0.0.1:1")
        .args(["job", "status"]));
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("127.0.0.1:1") && output.stderr.contains("refused"),
        "{output:?}"
    );
}
