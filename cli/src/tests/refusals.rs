//! Jobs that the agent refuses: each reason is shown at its place in the user's file, in whichever language it is.

use rove_wire::{Problem, Refusal};
use serde_json::json;

use super::Call;
use super::server::{Answer, Server};

const HCL: &str = r#"job "web" {
  region = "mars"
  group "g" {
    count = 2
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
"#;

const YAML: &str = "apiVersion: rove/v1
kind: Job
metadata:
  name: web
spec:
  region: mars
  groups:
  - name: g
    count: 2
    tasks:
    - name: t
      driver: raw_exec
      config:
        command: /bin/true
";

const JSON: &str = r#"{
  "ID": "web", "Name": "web",
  "Region": "mars",
  "TaskGroups": [
    {
      "Name": "g",
      "Count": 2,
      "Tasks": [{"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}]
    }
  ]
}
"#;

fn problems() -> Vec<Problem> {
    let keys = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
    vec![
        Problem {
            field: "region".to_owned(),
            keys: keys(&["region", ""]),
            message: "No path to region \"mars\"".to_owned(),
            ..Problem::default()
        },
        Problem {
            field: "group[\"g\"].count".to_owned(),
            keys: keys(&["group[0].count", "group[0]", ""]),
            message: "This version of rove does not support two of anything.".to_owned(),
            hint: "one is enough".to_owned(),
            unsupported: true,
        },
        Problem {
            field: "group[\"g\"].task[\"t\"].future".to_owned(),
            keys: keys(&[
                "group[0].task[0].future",
                "group[0].task[0]",
                "group[0]",
                "",
            ]),
            message: "a later agent finds this".to_owned(),
            ..Problem::default()
        },
    ]
}

fn refusal() -> Refusal {
    Refusal {
        status: 500,
        detail: "3 errors occurred:\n\t* all of them\n\n".to_owned(),
        problems: problems(),
    }
}

#[tokio::test]
async fn what_only_the_agent_finds_is_shown_at_its_place_in_every_language_and_command() {
    let folder = tempfile::tempdir().unwrap();
    let list = format!(
        "{{\n\"kind\": \"List\", \"items\": [\n{{\"ID\": \"other\"}},\n  {}]}}\n",
        JSON.trim_end()
    );
    let plain = Answer::json(&json!({"Diff": {"Type": "Added", "ID": "web"}, "JobModifyIndex": 0}));
    for (name, text, flags, places) in [
        ("web.hcl", HCL, &[][..], ["2:13", "4:13", "5:5"]),
        ("old.hcl", HCL, &["-hcl1"], ["2:13", "4:13", "5:5"]),
        ("web.yaml", YAML, &[], ["6:11", "9:12", "11:13"]),
        ("web.json", JSON, &[], ["3:13", "7:16", "8:17"]),
        ("list.json", &list, &["list"], ["6:13", "10:16", "11:17"]),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let only_jobs: &[(&[&str], u8)] = &[
            (&["job", "run"], 1),
            (&["job", "plan"], 255),
            (&["job", "validate"], 1),
        ];
        let all: &[(&[&str], u8)] = &[(&["apply", "-f"], 1), (&["diff", "-f"], 2)];
        let (commands, flags) = match flags {
            ["list"] => (all.to_vec(), &[][..]),
            ["-hcl1"] => (only_jobs.to_vec(), flags),
            _ => ([only_jobs, all].concat(), flags),
        };
        for (command, code) in commands {
            let server = Server::start().await;
            server
                .on("PUT /v1/jobs", Answer::refusal(&refusal()))
                .on("PUT /v1/validate/job", Answer::refusal(&refusal()));
            let plan = match command {
                // Its dry run shows what differs, its registration is refused.
                ["apply", "-f"] => plain.clone(),
                _ => Answer::refusal(&refusal()),
            };
            server
                .on("PUT /v1/job/web/plan", plan)
                .on("PUT /v1/job/other/plan", plain.clone());
            let mut words = command[..1].to_vec();
            if command[0] == "job" {
                words = [command, flags].concat();
            } else {
                words.push("-f");
            }
            words.push(name);
            let ran = Call::to(&server.address)
                .folder(folder.path())
                .run(&words)
                .await;
            assert_eq!(ran.code, code, "{words:?}: {ran:?}");
            for (place, problem) in places.iter().zip(problems()) {
                let place = format!("{name}:{place}: error: ");
                let field = format!("\n  field: {}\n", problem.field);
                for part in [place.as_str(), &problem.message, field.trim_end()] {
                    assert!(ran.err.contains(part), "{part} in {words:?}:\n{}", ran.err);
                }
            }
            assert!(ran.err.contains("\n  hint: one is enough"), "{ran:?}");
            assert!(ran.err.contains("* all of them"), "{ran:?}");
            assert!(!ran.err.contains("Unexpected response code"), "{ran:?}");
        }
    }
}

#[tokio::test]
async fn all_refusals_of_a_job_with_mistakes_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = HCL.replace("  group", "  priority = 900\n  group");
    std::fs::write(folder.path().join("web.hcl"), text).unwrap();
    let server = Server::start().await;
    let mut said = problems();
    said.push(Problem {
        field: "priority".to_owned(),
        keys: vec!["priority".to_owned(), String::new()],
        message: "job priority must be between [1, 100]".to_owned(),
        ..Problem::default()
    });
    let answer = rove_wire::Validation {
        error: "4 errors occurred:\n\t* these\n\n".to_owned(),
        problems: said,
        ..rove_wire::Validation::default()
    };
    server.on(
        "PUT /v1/validate/job",
        Answer::json(&serde_json::to_value(answer).unwrap()),
    );
    for (words, code) in [
        (&["job", "run", "web.hcl"][..], 1),
        (&["job", "plan", "web.hcl"], 255),
        (&["job", "validate", "web.hcl"], 1),
        (&["apply", "-f", "web.hcl"], 1),
    ] {
        let call = Call::to(&server.address).folder(folder.path());
        let ran = call.run(words).await;
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        for place in ["2:13", "3:14", "5:13", "6:5"] {
            let place = format!("web.hcl:{place}: error: ");
            assert_eq!(ran.err.matches(&place).count(), 1, "{place}: {}", ran.err);
        }
        assert!(ran.err.contains("4 errors occurred"), "{}", ran.err);
    }
    // Nothing but the question was sent.
    let sent = server.requests();
    assert!(sent.iter().all(|r| r.target == "/v1/validate/job"));
}

#[tokio::test]
async fn a_sensitive_value_stays_out_of_what_the_agent_says_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "variable \"r\" {{\n  sensitive = true\n}}\n{}",
        HCL.replace("\"mars\"", "var.r")
    );
    std::fs::write(folder.path().join("web.hcl"), text).unwrap();
    let server = Server::start().await;
    let refusal = Refusal {
        detail: "No path to region \"mars\"".to_owned(),
        ..refusal()
    };
    server.on("PUT /v1/jobs", Answer::refusal(&refusal));
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["job", "run", "-var", "r=mars", "web.hcl"]).await;
    assert!(ran.err.contains("web.hcl:5:12: error"), "{ran:?}");
    assert!(!ran.err.contains("mars"), "{ran:?}");
    assert!(ran.err.contains("(sensitive value)"), "{ran:?}");
}
