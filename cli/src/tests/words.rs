//! What is said of words that make no command, of flags that are none, and with which exit code.

use serde_json::json;

use super::Call;
use super::server::{Answer, Server};

const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn an_unknown_command_is_told_of_in_one_line_with_the_nearest_name() {
    let call = Call::to(NOBODY);
    for (words, said) in [
        (
            &["jbo"][..],
            "There is no command \"jbo\". Did you mean \"job\"? See \"nomad -help\".\n",
        ),
        (
            &["plam", "x.hcl"],
            "There is no command \"plam\". Did you mean \"plan\"? See \"nomad -help\".\n",
        ),
        (
            &["exec", "web", "sh"],
            "There is no command \"exec\". See \"nomad -help\".\n",
        ),
        (
            &["edit", "job/web"],
            "There is no command \"edit\". Use \"get -o yaml\" and \"apply -f\" instead. See \"nomad -help\".\n",
        ),
        (
            &["cordon", "n1"],
            "There is no command \"cordon\". Use \"node eligibility -disable\" instead. See \"nomad -help\".\n",
        ),
        (
            &["job", "statsu"],
            "There is no command \"job statsu\". Did you mean \"job status\"? See \"nomad job -help\".\n",
        ),
        (
            &["job", "dispatch", "x"],
            "There is no command \"job dispatch\". See \"nomad job -help\".\n",
        ),
        (
            &["operator", "store", "chekc", "x"],
            "There is no command \"operator store chekc\". Did you mean \"operator store check\"? See \"nomad operator \
             store -help\".\n",
        ),
        (
            &["operator", "stor", "check"],
            "There is no command \"operator stor check\". Did you mean \"operator store check\"? See \"nomad operator \
             -help\".\n",
        ),
        (
            &["operator", "snapshot", "save"],
            "There is no command \"operator snapshot\". See \"nomad operator -help\".\n",
        ),
        (
            &["evals"],
            "There is no command \"evals\". Use \"get evals\" or \"eval list\" instead. See \"nomad -help\".\n",
        ),
        (
            &["rollout", "status", "job/web"],
            "There is no command \"rollout\". Use \"deployment status\" and \"job revert\" instead. See \"nomad \
             -help\".\n",
        ),
        (
            &["-x", "get", "jobs"],
            "flag provided but not defined: -x. See \"nomad -help\".\n",
        ),
    ] {
        let ran = call.run(words).await;
        assert_eq!(
            (ran.err.as_str(), ran.out.as_str()),
            (said, ""),
            "{words:?}"
        );
        assert_eq!(ran.code, 127, "{words:?}");
    }
}

#[tokio::test]
async fn flags_in_front_change_nothing_about_help_version_and_agent() {
    let call = Call::to(NOBODY);
    for (words, same) in [
        (&["-n", "x", "-help"][..], "-help"),
        (&["-no-color", "--help"], "-help"),
        (&["-namespace=x", "help"], "-help"),
        (&["-no-color", "-version"], "-version"),
        (&["-n", "x", "-v"], "-version"),
    ] {
        let ran = call.run(words).await;
        assert_eq!(ran, call.run(&[same]).await, "{words:?}");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
    }
    let agent = call.run(&["-n", "team", "agent", "-dev"]).await;
    let said = "The flags of \"agent\" stand behind it, and none in front of it. See \"nomad agent -help\".\n";
    assert_eq!((agent.err.as_str(), agent.code), (said, 1));
}

#[tokio::test]
async fn a_slip_in_a_flag_is_told_of_in_one_line_with_the_nearest_name() {
    let call = Call::to(NOBODY);
    for (words, said) in [
        (
            &["job", "status", "-versbose", "web"][..],
            "flag provided but not defined: -versbose. Did you mean -verbose? See \"nomad job status -help\".\n",
        ),
        (
            &["get", "jobs", "--outptu=json"],
            "flag provided but not defined: -outptu. Did you mean -output? See \"nomad get -help\".\n",
        ),
        (
            &["get", "jobs", "-oymal"],
            "flag provided but not defined: -oymal. Did you mean -oyaml? See \"nomad get -help\".\n",
        ),
        (
            &["job", "run", "-check-index", "x", "f"],
            "invalid value \"x\" for flag -check-index: parse error. See \"nomad job run -help\".\n",
        ),
    ] {
        let ran = call.run(words).await;
        assert_eq!(
            (ran.err.as_str(), ran.out.as_str(), ran.code),
            (said, "", 1),
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn flags_that_every_command_has_may_stand_before_it() {
    let server = Server::start().await;
    let jobs = json!([{"ID": "web", "Type": "service", "Status": "running", "Namespace": "team"}]);
    server.get("/v1/jobs?namespace=team", jobs);
    for words in [
        &["-n", "team", "get", "jobs"][..],
        &["--namespace=team", "get", "jobs", "-o", "name"],
        &["-namespace", "team", "job", "status"],
    ] {
        let ran = Call::to(&server.address).run(words).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        assert!(ran.out.contains("web"), "{words:?}: {ran:?}");
    }
}

#[tokio::test]
async fn where_an_exit_code_is_a_result_a_wrong_call_has_another() {
    let call = Call::to(NOBODY);
    for (words, code) in [
        (&["diff", "-nope"][..], 2),
        (&["diff"], 2),
        (&["job", "plan", "-nope"], 255),
        (&["plan", "-check-index", "3"], 255),
        (&["job", "plan"], 255),
        (&["fmt", "-nope"], 2),
        (&["fmt", "-check", "-list=perhaps"], 2),
        (&["operator", "store", "check"], 2),
        (&["operator", "store", "check", "-nope", "x"], 2),
        (&["operator", "store", "check", "no-such-folder"], 1),
        (&["job", "run", "-nope"], 1),
    ] {
        assert_eq!(call.run(words).await.code, code, "{words:?}");
    }
}

#[tokio::test]
async fn what_can_be_no_id_is_said_to_be_none_and_nothing_is_asked() {
    let server = Server::start().await;
    let call = Call::to(&server.address);
    for (words, begins) in [
        (
            &["logs", "web"][..],
            "No allocation(s) with prefix or id \"web\" found",
        ),
        (
            &["alloc", "status", "nope"],
            "No allocation(s) with prefix or id \"nope\" found",
        ),
        (
            &["alloc", "fs", "aa-bb"],
            "No allocation(s) with prefix or id \"aa-bb\" found",
        ),
        (
            &["alloc", "stop", "zz"],
            "No allocation(s) with prefix or id \"zz\" found",
        ),
        (
            &["eval", "status", "zz"],
            "No evaluation(s) with prefix or id \"zz\" found",
        ),
        (
            &["node", "status", "zz"],
            "No node(s) with prefix \"zz\" found",
        ),
        (
            &["node", "eligibility", "-enable", "zz"],
            "No node(s) with prefix \"zz\" found",
        ),
        (
            &["deployment", "status", "zz"],
            "Error retrieving deployment: Deployment ID \"zz\" matched no deployments",
        ),
        (
            &["describe", "pods/zz"],
            "No allocation(s) with prefix or id \"zz\" found",
        ),
        (
            &["describe", "evals/zz"],
            "No evaluation(s) with prefix or id \"zz\" found",
        ),
        (
            &["describe", "deploy/zz"],
            "Error retrieving deployment: Deployment ID \"zz\" matched no deployments",
        ),
        (
            &["delete", "pods/zz"],
            "No allocation(s) with prefix or id \"zz\" found",
        ),
    ] {
        let ran = call.run(words).await;
        assert!(ran.err.starts_with(begins), "{words:?}: {ran:?}");
        assert!(ran.err.contains("hexadecimal"), "{words:?}: {ran:?}");
        assert_eq!(ran.code, 1, "{words:?}");
    }
    assert_eq!(server.requests(), []);
    let ran = call.run(&["logs", "web"]).await;
    assert!(ran.err.contains("nomad alloc logs job/web"), "{ran:?}");
}

#[tokio::test]
async fn where_no_agent_is_the_way_to_one_is_said() {
    let address = format!("http://127.0.0.1:{}", rove_testkit::free_port());
    for words in [
        &["job", "status"][..],
        &["get", "jobs"],
        &["node", "status"],
        &["operator", "api", "/v1/jobs"],
        &["system", "gc"],
    ] {
        let ran = Call::to(&address).run(words).await;
        assert!(ran.err.contains("connection refused"), "{ran:?}");
        assert!(
            ran.err
                .contains("Start one with the command \"agent -dev\""),
            "{words:?}: {ran:?}"
        );
        assert_eq!(ran.code, 1);
    }
}

#[tokio::test]
async fn a_roll_out_that_succeeds_after_it_had_to_wait_for_room_is_a_success() {
    for (status, code) in [("successful", 0), ("failed", 1)] {
        let server = Server::start().await;
        server
            .get("/v1/jobs?prefix=web", json!([{"ID": "web", "Namespace": "default"}]))
            .on("PUT /v1/job/web/evaluate?namespace=default", Answer::json(&json!({"EvalID": "e"})))
            .get(
                "/v1/evaluation/e?namespace=default",
                json!({"ID": "e", "JobID": "web", "Status": "complete", "DeploymentID": "d", "BlockedEval": "b",
                    "FailedTGAllocs": {"g": {"NodesEvaluated": 1, "NodesExhausted": 1}}}),
            )
            .get("/v1/evaluation/e/allocations?namespace=default", json!([]))
            .get(
                "/v1/deployment/d?namespace=default",
                json!({"ID": "d", "JobID": "web", "Status": status}),
            )
            .get("/v1/deployment/allocations/d?namespace=default", json!([]));
        let ran = Call::to(&server.address).run(&["job", "eval", "web"]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(
            ran.out.contains("failed to place all allocations"),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn the_monitor_prints_the_event_by_which_a_task_failed() {
    let server = Server::start().await;
    let event = |kind: &str, text: &str, failed: bool| json!({"Type": kind, "DisplayMessage": text, "FailsTask": failed, "Time": 1});
    let alloc = json!({"ID": "aaaaaaaa-1", "TaskGroup": "g", "ClientStatus": "failed", "DesiredStatus": "run",
        "TaskStates": {"t": {"State": "dead", "Failed": true, "Events": [
            event("Received", "Task received by client", false),
            event("Driver Failure", "Failed to pull redsi:3.2: no such image", true),
            event("Not Restarting", "Exceeded allowed attempts", false)]},
          "u": {"State": "running", "Events": [event("Started", "Task started by client", false)]}}});
    server
        .get(
            "/v1/jobs?prefix=web",
            json!([{"ID": "web", "Namespace": "default"}]),
        )
        .on(
            "PUT /v1/job/web/evaluate?namespace=default",
            Answer::json(&json!({"EvalID": "e"})),
        )
        .get(
            "/v1/evaluation/e?namespace=default",
            json!({"ID": "e", "JobID": "web", "Status": "complete", "DeploymentID": "d"}),
        )
        .get("/v1/evaluation/e/allocations?namespace=default", json!([]))
        .get(
            "/v1/deployment/d?namespace=default",
            json!({"ID": "d", "JobID": "web", "Status": "failed",
                "TaskGroups": {"g": {"DesiredTotal": 1, "PlacedAllocs": 1, "UnhealthyAllocs": 1}}}),
        )
        .get(
            "/v1/deployment/allocations/d?namespace=default",
            json!([alloc]),
        );
    let ran = Call::to(&server.address).run(&["job", "eval", "web"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("Allocation \"aaaaaaaa\" task \"t\": Driver Failure: Failed to pull redsi:3.2: no such image\n"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains("Task received") && !ran.out.contains("Task started"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn of_several_allocs_the_one_whose_log_is_shown_is_named() {
    let server = Server::start().await;
    let stub = |id: &str, status: &str| {
        json!({"ID": id, "Namespace": "default", "TaskGroup": "g",
        "ClientStatus": status, "CreateIndex": 5, "TaskStates": {"t": {"State": "running"}}})
    };
    server
        .get(
            "/v1/jobs?prefix=web",
            json!([{"ID": "web", "Namespace": "default"}]),
        )
        .get(
            "/v1/job/web/allocations?namespace=default",
            json!([stub("aaaaaaaa-1", "running"), stub("bbbbbbbb-1", "running")]),
        )
        .get(
            "/v1/allocation/aaaaaaaa-1?namespace=default",
            json!({"ID": "aaaaaaaa-1", "TaskGroup": "g", "TaskStates": {"t": {}}}),
        )
        .on(
            "GET /v1/client/fs/logs/aaaaaaaa-1?*",
            Answer {
                kind: "application/json",
                status: 200,
                index: 1,
                body: b"hello\n".to_vec(),
            },
        );
    for words in [&["logs", "job/web"][..], &["alloc", "logs", "-job", "web"]] {
        let ran = Call::to(&server.address).run(words).await;
        assert_eq!((ran.out.as_str(), ran.code), ("hello\n", 0), "{ran:?}");
        assert_eq!(
            ran.err,
            "Found 2 allocations of job \"web\", showing aaaaaaaa.\n"
        );
    }
}

#[tokio::test]
async fn a_file_of_the_older_name_stands_for_one_of_the_newer_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    server
        .on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})))
        .on("PUT /v1/validate/job", Answer::json(&json!({})))
        .on(
            "PUT /v1/job/example/plan",
            Answer::json(&json!({"Diff": {"Type": "None", "ID": "example"}, "JobModifyIndex": 7})),
        );
    let call = Call::to(&server.address).folder(folder.path());
    assert_eq!(call.run(&["job", "init", "-short"]).await.code, 0);
    for words in [
        &["job", "plan", "example.nomad"][..],
        &["job", "validate", "example.nomad"],
        &["job", "run", "-detach", "example.nomad"],
        &["job", "run", "-output", "example.nomad"],
        &["apply", "-f", "example.nomad"],
        &["diff", "-f", "example.nomad"],
    ] {
        let ran = call.run(words).await;
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        assert!(
            ran.err
                .contains("There is no example.nomad; example.nomad.hcl is read instead.\n"),
            "{words:?}: {ran:?}"
        );
    }
    let ran = call.run(&["job", "plan", "other.nomad"]).await;
    assert_eq!(ran.code, 255);
    assert!(ran.err.contains("other.nomad: no such file"), "{ran:?}");
}

#[tokio::test]
async fn a_job_that_would_be_refused_is_not_said_to_be_sound() {
    let folder = tempfile::tempdir().unwrap();
    let text = "job \"x\" {\n  node_pool = \"far\"\n  group \"g\" {\n    task \"t\" {\n      driver = \"raw_exec\"\n      config {\n        command = \"/bin/true\"\n      }\n    }\n  }\n}\n";
    std::fs::write(folder.path().join("x.hcl"), text).unwrap();
    let server = Server::start().await;
    let why = "job: 1 error occurred:\n\t* node_pool: other node pools are not supported";
    server
        .on("PUT /v1/validate/job", Answer::json(&json!({})))
        .on("PUT /v1/jobs", Answer::text(500, why))
        .on(
            "PUT /v1/job/x/plan",
            Answer::json(&json!({"Diff": {"Type": "Added", "ID": "x"}, "JobModifyIndex": 0})),
        );
    let call = Call::to(&server.address).folder(folder.path());
    for words in [
        &["job", "validate", "x.hcl"][..],
        &["job", "run", "x.hcl"],
        &["apply", "-f", "x.hcl"],
    ] {
        let ran = call.run(words).await;
        assert_eq!(ran.code, 1, "{words:?}: {ran:?}");
        assert!(!ran.out.contains("successful"), "{words:?}: {ran:?}");
        assert!(ran.err.contains("x.hcl:2:"), "{words:?}: {ran:?}");
        assert!(ran.err.contains("field: node_pool\n"), "{words:?}: {ran:?}");
        assert!(
            !ran.err.contains("Unexpected response code"),
            "{words:?}: {ran:?}"
        );
    }
    // Without an agent as well.
    let ran = Call::to(NOBODY)
        .folder(folder.path())
        .run(&["job", "validate", "x.hcl"])
        .await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!ran.out.contains("successful"), "{ran:?}");
}

#[tokio::test]
async fn a_refusal_of_the_agent_is_shown_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"raw_exec\"\n      config {\n        command = \"/bin/true\"\n      }\n    }\n  }\n}\n";
    std::fs::write(folder.path().join("x.hcl"), text).unwrap();
    for (status, said) in [
        (400, "1 error occurred:\n\t* no"),
        (500, "1 error occurred:\n\t* no"),
    ] {
        let server = Server::start().await;
        server.on("PUT /v1/jobs", Answer::text(status, said));
        let ran = Call::to(&server.address)
            .folder(folder.path())
            .run(&["job", "run", "x.hcl"])
            .await;
        assert_eq!(
            (ran.err.as_str(), ran.code),
            ("Error submitting job: 1 error occurred:\n\t* no\n", 1)
        );
    }
}

#[tokio::test]
async fn kubectls_scale_works_while_a_roll_out_is_under_way_and_is_recorded_as_a_scaling() {
    let server = Server::start().await;
    let job = json!({"ID": "web", "JobModifyIndex": 7, "Meta": {"a": "b"},
        "TaskGroups": [{"Name": "f", "Count": 1}, {"Name": "g", "Count": 1}]});
    server.get("/v1/job/web", job).on(
        "PUT /v1/job/web/scale",
        Answer::json(&json!({"EvalID": "e"})),
    );
    let scale = ["scale", "job/web", "--group=g", "--replicas=3"];
    for (flags, current) in [
        (&[][..], json!(null)),
        (&["--current-replicas=1"], json!(1)),
    ] {
        let ran = Call::to(&server.address)
            .run(&[&scale, flags].concat())
            .await;
        assert_eq!(
            (ran.out.as_str(), ran.err.as_str(), ran.code),
            ("job/web scaled\n", "", 0)
        );
        let sent = server.requests();
        let sent = sent.iter().rfind(|r| r.method == "PUT").unwrap();
        let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
        let mut expected = json!({"Count": 3, "Target": {"Group": "g"}, "ReplaceDeployment": true,
            "Message": "submitted using nomad job scale"});
        if !current.is_null() {
            expected["CurrentCount"] = current;
        }
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn a_noun_below_a_noun_lists_its_commands() {
    let call = Call::to(NOBODY);
    for (words, code) in [
        (&["operator", "store"][..], 1),
        (&["operator", "store", "-help"], 0),
    ] {
        let ran = call.run(words).await;
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{words:?}");
        assert!(
            ran.out
                .starts_with("Usage: nomad operator store <subcommand>")
        );
        for name in ["check", "repair", "export"] {
            assert!(ran.out.contains(&format!("\n    {name} ")), "{}", ran.out);
        }
    }
}

#[tokio::test]
async fn a_kind_that_is_none_is_told_of_with_the_nearest_or_with_all() {
    let call = Call::to(NOBODY);
    for (words, said) in [
        (&["get", "jbos"][..], "\"jbos\"; did you mean \"jobs\"?"),
        (
            &["describe", "nodse/x"],
            "\"nodse\"; did you mean \"node\"?",
        ),
        (
            &["delete", "services"],
            "\"services\"; there are jobs, nodes, allocs, evals and deployments",
        ),
    ] {
        let ran = call.run(words).await;
        let text = format!("error: the server doesn't have a resource type {said}\n");
        assert_eq!(
            (ran.err.as_str(), ran.code),
            (text.as_str(), 1),
            "{words:?}"
        );
    }
    let ran = call.run(&["scale", "web", "--replicas=2"]).await;
    let said = "error: only jobs can be scaled, by name: job/web\n";
    assert_eq!((ran.err.as_str(), ran.code), (said, 1));
}

#[tokio::test]
async fn an_answer_without_a_word_is_told_of_by_its_name() {
    let server = Server::start().await;
    server.on("GET /v1/nope", Answer::text(404, ""));
    let call = Call::to(&server.address);
    let ran = call.run(&["operator", "api", "/v1/nope"]).await;
    assert!(
        ran.err
            .contains("Unexpected response code: 404 (Not Found)"),
        "{ran:?}"
    );
}
