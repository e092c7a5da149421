use serde_json::{Value, json};

use super::recorded::{api, cli};
use super::server::{Answer, Server};
use super::{Call, Ran};
use crate::render::time::parse;

fn nanos(text: &str) -> i64 {
    parse(text).unwrap()
}

#[tokio::test]
async fn a_job_named_by_a_prefix_is_stopped_only_after_a_yes() {
    let stop = json!({"EvalID": "8c7008a2-8669-4ed6-fad1-785197d55a76", "JobModifyIndex": 5});
    for (input, words, code, stopped) in [
        ("y\n", vec!["job", "stop", "-detach", "exam"], 0, true),
        ("n\n", vec!["job", "stop", "-detach", "exam"], 0, false),
        ("", vec!["job", "stop", "-detach", "exam"], 1, false),
        ("yes\n", vec!["job", "stop", "-detach", "exam"], 1, false),
        ("what\n", vec!["stop", "-detach", "exam"], 1, false),
        ("", vec!["job", "stop", "-detach", "-yes", "exam"], 1, false),
        (
            "y\n",
            vec!["job", "stop", "-detach", "-yes", "exam"],
            1,
            false,
        ),
        (
            "",
            vec!["job", "stop", "-detach", "-yes", "example"],
            0,
            true,
        ),
        ("", vec!["stop", "example", "-detach"], 0, true),
    ] {
        let server = Server::start().await;
        let jobs = json!([{"ID": "example", "Namespace": "default"}]);
        server
            .get("/v1/jobs?prefix=exam", jobs.clone())
            .get("/v1/jobs?prefix=example", jobs)
            .on(
                "DELETE /v1/job/example?namespace=default",
                Answer::json(&stop),
            );
        let ran = Call::to(&server.address).typing(input).run(&words).await;
        assert_eq!(ran.code, code, "{input:?} {words:?} {ran:?}");
        if code == 1 && input.is_empty() {
            assert!(ran.err.contains("-yes"), "{ran:?}");
        }
        let asked = server.requests().iter().any(|r| r.method == "DELETE");
        assert_eq!(asked, stopped, "{input:?} {words:?}");
        assert_eq!(
            ran.out.ends_with("8c7008a2-8669-4ed6-fad1-785197d55a76\n"),
            stopped,
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn purge_is_asked_of_the_agent() {
    let server = Server::start().await;
    server
        .get(
            "/v1/jobs?prefix=a",
            json!([{"ID": "a", "Namespace": "team"}]),
        )
        .on(
            "DELETE /v1/job/a?namespace=team&purge=true",
            Answer::json(&json!({"EvalID": "e"})),
        );
    let ran = Call::to(&server.address)
        .run(&["job", "stop", "-purge", "-detach", "a"])
        .await;
    assert_eq!(
        ran,
        Ran {
            out: "e\n".into(),
            err: String::new(),
            code: 0
        }
    );
}

async fn planned(number: &str, words: &[&str]) -> Option<Ran> {
    let answer = api(
        number,
        &[("\"JobModifyIndex\":10", "\"JobModifyIndex\":11")],
    )?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cache.nomad.hcl"), JOB).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/job/cache/plan", Answer::json(&answer));
    Some(
        Call::to(&server.address)
            .folder(folder.path())
            .run(words)
            .await,
    )
}

const JOB: &str = "job \"cache\" {\n  group \"store\" {\n    task \"redis\" {\n      driver = \"docker\"\n      config {\n        image = \"redis:3.2\"\n      }\n    }\n  }\n}\n";

#[tokio::test]
async fn plans_are_printed_as_the_reference_prints_them() {
    for (command, answer, file) in [
        ("031", "067", "cache.nomad.hcl"),
        ("035", "093", "cache.nomad.hcl"),
        ("036", "094", "cache3.nomad.hcl"),
        ("037", "096", "cache-image.nomad.hcl"),
    ] {
        let Some(ran) = planned(answer, &["job", "plan", "cache.nomad.hcl"]).await else {
            return;
        };
        let mut expected = cli(command).unwrap();
        expected.out = expected.out.replace(file, "cache.nomad.hcl");
        assert_eq!(ran, expected, "{command}");
    }
    let ran = planned("094", &["plan", "-diff=false", "cache.nomad.hcl"])
        .await
        .unwrap();
    let mut expected = cli("040").unwrap();
    expected.out = expected.out.replace("cache3.nomad.hcl", "cache.nomad.hcl");
    assert_eq!(ran, expected);
    // The recorded answer has tags and a named check, the recorded text none.
    let mut answer = api("098", &[("\"JobModifyIndex\":10", "\"JobModifyIndex\":11")]).unwrap();
    let service = &mut answer["Diff"]["TaskGroups"][0]["Objects"][2];
    let objects = service["Objects"].as_array_mut().unwrap();
    objects.retain(|object| object["Name"] == "Check");
    let fields = objects[0]["Fields"].as_array_mut().unwrap();
    let name = fields.iter_mut().find(|field| field["Name"] == "Name");
    name.unwrap()["New"] = json!("service: \"cache\" check");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cache-service.nomad.hcl"), JOB).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/job/cache/plan", Answer::json(&answer));
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["job", "plan", "cache-service.nomad.hcl"]).await;
    assert_eq!(ran, cli("039").unwrap());
    // The same file, with the canary's answer.
    let server = Server::start().await;
    let answer = api(
        "196",
        &[("\"JobModifyIndex\":110", "\"JobModifyIndex\":96")],
    )
    .unwrap();
    server.on("PUT /v1/job/dep/plan", Answer::json(&answer));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dep-b.nomad.hcl");
    std::fs::write(file, JOB.replace("\"cache\"", "\"dep\"")).unwrap();
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["job", "plan", "dep-b.nomad.hcl"]).await;
    assert_eq!(ran, cli("120").unwrap());
    let stopped = planned("305", &["job", "plan", "cache.nomad.hcl"])
        .await
        .unwrap();
    assert!(
        stopped.out.contains("+/- Stop: \"true\" => \"false\"\n"),
        "{}",
        stopped.out
    );
    let big = planned("101", &["job", "plan", "cache.nomad.hcl"])
        .await
        .unwrap();
    assert!(big.out.contains(
        "Scheduler dry-run:\n- WARNING: Failed to place all allocations.\n  Task Group \"store\" (failed to place 1 allocation):\n    * Resources exhausted on 1 nodes\n    * Dimension \"memory\" exhausted on 1 nodes\n\nJob Modify Index: 11\n"
    ));
}

#[tokio::test]
async fn a_plan_of_what_cannot_run_yet_shows_the_differences_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.hcl"), JOB).unwrap();
    let server = Server::start().await;
    let complaint = "periodic: this version of rove does not support periodic jobs";
    let answer = json!({"Diff": {"Type": "Edited", "ID": "cache",
            "Fields": [{"Type": "Edited", "Name": "Priority", "Old": "50", "New": "60"}]},
        "JobModifyIndex": 4, "Unsupported": [complaint],
        "Warnings": format!("This job can't be registered: 1 error occurred:\n\t* {complaint}\n\n")});
    server.on("PUT /v1/job/cache/plan", Answer::json(&answer));
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["plan", "web.hcl"]).await;
    assert_eq!(
        ran,
        Ran {
            out: "+/- Job: \"cache\"\n+/- Priority: \"50\" => \"60\"\n\nScheduler dry-run:\n- WARNING: Not tried: the \
                  job uses what this version of rove can't run.\n\n"
                .into(),
            err: format!(
                "Error during plan: This job can't be registered: 1 error occurred:\n\t* {complaint}\n"
            ),
            code: 255,
        }
    );
}

#[tokio::test]
async fn a_plan_names_the_flags_that_running_the_file_needs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.hcl"), JOB).unwrap();
    let server = Server::start().await;
    let answer = json!({"Diff": {"Type": "None", "ID": "cache"}, "JobModifyIndex": 4});
    server
        .on("PUT /v1/job/cache/plan", Answer::json(&answer))
        .on(
            "PUT /v1/job/cache/plan?namespace=team",
            Answer::json(&answer),
        );
    let call = Call::to(&server.address).folder(folder.path());
    for (flags, line) in [
        (vec![], "job run -check-index 4 web.hcl\n"),
        (
            vec!["-namespace", "team"],
            "job run -check-index 4 -namespace=\"team\" web.hcl\n",
        ),
    ] {
        let words: Vec<&str> = ["job", "plan"]
            .into_iter()
            .chain(flags)
            .chain(["web.hcl"])
            .collect();
        let ran = call.run(&words).await;
        assert!(ran.out.contains(line), "{words:?}: {ran:?}");
        assert_eq!(ran.code, 0);
    }
}

#[tokio::test]
async fn one_version_of_the_history_is_printed_as_recorded() {
    let (Some(expected), Some(mut answer)) = (cli("136"), api("215", &[])) else {
        return;
    };
    let at = answer["Versions"]
        .as_array()
        .unwrap()
        .iter()
        .position(|version| version["Version"] == 1)
        .unwrap();
    answer["Versions"][at]["SubmitTime"] = json!(nanos("2026-11-22T05:17:01Z"));
    answer["Versions"][at]["Stable"] = json!(true);
    let server = Server::start().await;
    server
        .get(
            "/v1/jobs?prefix=dep",
            json!([{"ID": "dep", "Namespace": "default"}]),
        )
        .get("/v1/job/dep/versions?diffs=true&namespace=default", answer);
    let call = Call::to(&server.address);
    assert_eq!(
        call.run(&["job", "history", "-p", "-version", "1", "dep"])
            .await,
        expected
    );
    let both = call.run(&["job", "history", "-p", "-json", "dep"]).await;
    assert_eq!(
        (both.err.as_str(), both.code),
        ("-json and -t are exclusive with -p and -full\n", 1)
    );
}

#[tokio::test]
async fn a_plan_that_fails_exits_with_255_and_one_of_standard_input_names_the_dash() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "job \"x\" {\n  datacenter = [\"dc1\"]\n}\n";
    std::fs::write(folder.path().join("bad.nomad.hcl"), bad).unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let Some(expected) = cli("032") else { return };
    let ran = call.run(&["job", "plan", "bad.nomad.hcl"]).await;
    super::mistakes::says_as_much(&ran, &expected);
    let ran = call.run(&["job", "validate", "bad.nomad.hcl"]).await;
    super::mistakes::says_as_much(&ran, &cli("027").unwrap());

    let answer = api("067", &[]).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/job/cache/plan", Answer::json(&answer));
    let ran = Call::to(&server.address)
        .typing(JOB)
        .run(&["job", "plan", "-"])
        .await;
    assert_eq!(ran, cli("033").unwrap());
}

#[tokio::test]
async fn variables_come_from_flags_files_and_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let text = "variable \"n\" {\n  type = number\n}\n\njob \"v\" {\n  group \"g\" {\n    count = var.n\n    \
                task \"t\" {\n      driver = \"raw_exec\"\n    }\n  }\n}\n";
    std::fs::write(folder.path().join("vars.nomad.hcl"), text).unwrap();
    std::fs::write(folder.path().join("n.vars"), "n = 2\n").unwrap();
    let mut call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let missing = call.run(&["job", "run", "-output", "vars.nomad.hcl"]).await;
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.contains("Unset variable \"n\""),
        "{}",
        missing.err
    );
    let count = |ran: Ran| -> Value {
        let value: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        value["Job"]["TaskGroups"][0]["Count"].clone()
    };
    let output = ["job", "run", "-output"];
    let run = |more: &[&'static str]| [&output[..], more, &["vars.nomad.hcl"]].concat();
    assert_eq!(count(call.run(&run(&["-var", "n=1"])).await), 1);
    assert_eq!(count(call.run(&run(&["-var-file", "n.vars"])).await), 2);
    call.vars.push(("NOMAD_VAR_n".to_owned(), "3".to_owned()));
    assert_eq!(count(call.run(&run(&[])).await), 3);
    assert_eq!(call.run(&run(&["-var", "n"])).await.code, 1);
    assert_eq!(call.run(&run(&["-var-file", "none"])).await.code, 1);
}

#[tokio::test]
async fn a_job_as_json_is_taken_as_it_is() {
    let server = Server::start().await;
    server.on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
    let job = json!({"ID": "a", "TaskGroups": [{"Name": "g", "Tasks": [
        {"Name": "t", "Driver": "docker", "Config": {"image": "redis:3.2"}}]}]});
    for text in [json!({"Job": job}).to_string(), job.to_string()] {
        let ran = Call::to(&server.address)
            .typing(&text)
            .run(&["job", "run", "-json", "-detach", "-"])
            .await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let body: Value = serde_json::from_str(&server.requests().last().unwrap().body).unwrap();
        assert_eq!(body["Job"]["ID"], "a");
    }
    for text in ["{", "[]", "{\"Job\": 3}"] {
        let ran = Call::to(&server.address)
            .typing(text)
            .run(&["job", "run", "-json", "-detach", "-"])
            .await;
        assert_eq!(ran.code, 1, "{ran:?}");
    }
}

/// A job that HCL2 does not take: it quotes a name and assigns a block.
const OF_2017: &str = "job \"cache\" {\n  task \"redis\" {\n    driver = \"docker\"\n    config = {\n      image = \"redis:3.2\"\n    }\n    env {\n      \"A.B\" = 1\n    }\n  }\n}\n";

#[tokio::test]
async fn a_file_of_2017_is_taken_with_a_warning_or_if_it_is_asked_for_without() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.nomad"), OF_2017).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
    let call = Call::to(&server.address).folder(folder.path());
    let silent = call
        .run(&["job", "run", "-hcl1", "-detach", "old.nomad"])
        .await;
    assert_eq!((silent.code, silent.err.as_str()), (0, ""), "{silent:?}");
    let warned = call.run(&["job", "run", "-detach", "old.nomad"]).await;
    assert_eq!((warned.code, &warned.out), (0, &silent.out), "{warned:?}");
    for said in [
        "old.nomad:4:12: warning: Job file in HCL1\n",
        "a block is assigned with \"=\"",
        "old.nomad:8:7: warning: Job file in HCL1\n",
        "a name stands in quotes",
        "hint: leave the quotes away",
    ] {
        assert!(warned.err.contains(said), "{said}\n{}", warned.err);
    }
    let bodies: Vec<Value> = server
        .requests()
        .iter()
        .map(|request| serde_json::from_str(&request.body).unwrap())
        .collect();
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        assert_eq!(
            body["Submission"],
            json!({"Source": OF_2017, "Format": "hcl1", "VariableFlags": {}, "Variables": ""})
        );
        let task = &body["Job"]["TaskGroups"][0]["Tasks"][0];
        assert_eq!(task["Config"], json!({"image": "redis:3.2"}));
        assert_eq!(task["Env"], json!({"A.B": "1"}));
    }
}

#[tokio::test]
async fn every_command_that_reads_a_file_takes_hcl1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.nomad"), OF_2017).unwrap();
    let server = Server::start().await;
    server
        .on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})))
        .on(
            "PUT /v1/job/cache/plan",
            Answer::json(&json!({"Diff": {"Type": "Added", "ID": "cache"}, "JobModifyIndex": 7})),
        )
        .on("PUT /v1/validate/job", Answer::json(&json!({})));
    let call = Call::to(&server.address).folder(folder.path());
    for (words, code) in [
        (vec!["job", "validate", "-hcl1", "old.nomad"], 0),
        (vec!["job", "plan", "-hcl1", "old.nomad"], 0),
        (vec!["job", "run", "-hcl1", "-output", "old.nomad"], 0),
        (vec!["run", "-detach", "-hcl1", "old.nomad"], 0),
        (vec!["apply", "-hcl1", "-f", "old.nomad"], 0),
        (vec!["diff", "-f", "old.nomad", "-hcl1"], 1),
    ] {
        let ran = call.run(&words).await;
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (code, ""),
            "{words:?} {ran:?}"
        );
        if words.contains(&"plan") {
            let again = "nomad job run -check-index 7 -hcl1 old.nomad\n";
            assert!(ran.out.contains(again), "{}", ran.out);
        }
    }
}

#[tokio::test]
async fn what_cannot_go_with_hcl1_is_refused_as_the_reference_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.nomad"), OF_2017).unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    for (words, code, said) in [
        (
            vec!["job", "run", "-hcl1", "-var", "a=b", "old.nomad"],
            1,
            "Invalid job options: cannot use variables with HCLv1.\n",
        ),
        (
            vec!["job", "plan", "-hcl1", "-var-file", "v", "old.nomad"],
            255,
            "Invalid job options: cannot use variables with HCLv1.\n",
        ),
        (
            vec!["job", "validate", "-hcl1", "-json", "old.nomad"],
            1,
            "Invalid job options: cannot parse job file as HCL and JSON.\n",
        ),
        (
            vec!["apply", "-hcl1", "-var", "a=b", "-f", "old.nomad"],
            1,
            "error: Invalid job options: cannot use variables with HCLv1.\n",
        ),
    ] {
        let ran = call.run(&words).await;
        assert_eq!((ran.code, ran.err.as_str()), (code, said), "{words:?}");
    }
    // A variable is meant for HCL2, so the file is not taken as HCL1 unasked.
    let ran = call
        .run(&["job", "run", "-output", "-var", "a=b", "old.nomad"])
        .await;
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[tokio::test]
async fn a_file_that_fits_neither_age_is_refused_as_hcl2_and_with_hcl1_as_hcl1() {
    let folder = tempfile::tempdir().unwrap();
    let text = OF_2017.replace("driver =", "drvier =");
    std::fs::write(folder.path().join("old.nomad"), text).unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let ran = call.run(&["job", "validate", "old.nomad"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("old.nomad:8:7: error: Invalid argument name\n"),
        "{}",
        ran.err
    );
    let ran = call.run(&["job", "validate", "-hcl1", "old.nomad"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("old.nomad:3:5: error: Unsupported argument\n"),
        "{}",
        ran.err
    );
    assert!(
        ran.err
            .contains("field: group[\"redis\"].task[\"redis\"].drvier\n"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_with_its_whole_path() {
    let folder = tempfile::tempdir().unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let ran = call.run(&["job", "validate", "missing.nomad.hcl"]).await;
    let path = folder.path().join("missing.nomad.hcl");
    assert_eq!(
        ran.err,
        format!(
            "Error getting job struct: Error getting jobfile from \"missing.nomad.hcl\": source path error: stat {}: no such file or directory\n",
            path.display()
        )
    );
    assert_eq!(ran.code, 1);
}

#[tokio::test]
async fn job_init_writes_the_example_once() {
    let folder = tempfile::tempdir().unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let Some(expected) = cli("023") else { return };
    assert_eq!(call.run(&["job", "init", "-short"]).await, expected);
    assert_eq!(call.run(&["init", "-short"]).await, cli("024").unwrap());
    assert_eq!(
        call.run(&["job", "init", "-short", "other.nomad.hcl"])
            .await,
        cli("025").unwrap()
    );
    let story = rove_testkit::reference()
        .unwrap()
        .join("story/000_example.nomad");
    let written = std::fs::read(folder.path().join("example.nomad.hcl")).unwrap();
    assert_eq!(written, std::fs::read(story).unwrap());
    assert_eq!(call.run(&["job", "init", "long.nomad.hcl"]).await.code, 0);
    let long = std::fs::read_to_string(folder.path().join("long.nomad.hcl")).unwrap();
    assert!(long.contains("# ") && long.contains("job \"example\""));
}

async fn with_job(answer: Answer) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cache.nomad.hcl"), JOB).unwrap();
    let server = Server::start().await;
    server.on("PUT /v1/jobs", answer);
    (server, folder)
}

#[tokio::test]
async fn an_index_that_does_not_match_refuses_the_job() {
    for (number, index, text) in [
        (
            "064",
            "99999",
            "Enforcing job modify index 99999: job exists with conflicting job modify index: 32",
        ),
        (
            "065",
            "0",
            "Enforcing job modify index 0: job already exists",
        ),
    ] {
        let Some(expected) = cli(number) else { return };
        let (server, folder) = with_job(Answer::text(500, text)).await;
        let call = Call::to(&server.address).folder(folder.path());
        assert_eq!(
            call.run(&["job", "run", "-check-index", index, "cache.nomad.hcl"])
                .await,
            expected
        );
        let sent = server
            .requests()
            .into_iter()
            .find(|r| r.method == "PUT")
            .unwrap();
        let body: Value = serde_json::from_str(&sent.body).unwrap();
        assert_eq!(body["EnforceIndex"], true);
        assert_eq!(body["JobModifyIndex"].to_string(), index);
    }
}

#[tokio::test]
async fn running_detached_gives_the_whole_evaluation_id() {
    let Some(expected) = cli("066") else { return };
    let answer = json!({"EvalID": "3e4b7342-1c75-b60d-ec05-b238847c5a90", "JobModifyIndex": 40});
    let (server, folder) = with_job(Answer::json(&answer)).await;
    let call = Call::to(&server.address).folder(folder.path());
    assert_eq!(
        call.run(&["job", "run", "-detach", "cache.nomad.hcl"])
            .await,
        expected
    );
}

/// Every time of day is the clock's, which stands still in these tests.
fn at_one_time(text: &str, stamp: &str, keep: &[&str]) -> String {
    let mut words = String::new();
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        if !keep.iter().any(|k| line.contains(k)) {
            while let Some(at) = line.find("2026-11-22T") {
                line.replace_range(at..at + 20, "@");
            }
            line = line.replace('@', stamp);
        }
        words.push_str(&line);
    }
    words
}

#[tokio::test]
async fn the_monitor_follows_the_evaluation_and_then_the_deployment() {
    let Some(expected) = cli("034") else { return };
    let id = "74316a58-170c-7fe0-7982-ce5556e1cc7f";
    let deployment = |status: &str, text: &str, healthy: i64, by: &str| {
        json!({"ID": "c699f15f-52d0-c257-03f2-10f4c8e9a07b", "JobID": "cache", "JobVersion": 0, "Status": status,
            "StatusDescription": text, "TaskGroups": {"store": {"DesiredTotal": 1, "PlacedAllocs": 1,
            "HealthyAllocs": healthy, "ProgressDeadline": 600000000000_i64, "RequireProgressBy": by}}})
    };
    let (server, folder) = with_job(Answer::json(&json!({"EvalID": id}))).await;
    let eval = |status: &str| {
        json!({"ID": id, "JobID": "cache", "TriggeredBy": "job-register", "Status": status, "CreateIndex": 11,
            "DeploymentID": "c699f15f-52d0-c257-03f2-10f4c8e9a07b"})
    };
    let running = "Deployment is running";
    let at = |index: u64, value: Value| Answer {
        index,
        ..Answer::json(&value)
    };
    let first = deployment("running", running, 0, "2026-11-22T05:25:50Z");
    let second = deployment("running", running, 1, "2026-11-22T05:26:00Z");
    let third = deployment(
        "successful",
        "Deployment completed successfully",
        1,
        "2026-11-22T05:26:00Z",
    );
    let path = "GET /v1/deployment/c699f15f-52d0-c257-03f2-10f4c8e9a07b";
    server
        .get(&format!("/v1/evaluation/{id}"), eval("complete"))
        .get(
            &format!("/v1/evaluation/{id}/allocations"),
            json!([{"ID": "e699d856-d595-5c6f-8c26-cbb2707da2cd", "NodeID": "6309fb8e-8378-1610-df56-ca973156b735",
                "TaskGroup": "store", "DesiredStatus": "run", "ClientStatus": "pending", "CreateIndex": 12}]),
        )
        .on(path, at(20, first))
        .on(&format!("{path}?index=20&wait=60s"), at(21, second))
        .on(&format!("{path}?index=21&wait=60s"), at(22, third));
    let now = "2026-11-22T05:15:50Z";
    let call = Call::to(&server.address)
        .folder(folder.path())
        .at(nanos(now));
    let ran = call.run(&["job", "run", "cache.nomad.hcl"]).await;
    assert_eq!(ran.out, at_one_time(&expected.out, now, &["store  "]));
    assert_eq!((ran.err.as_str(), ran.code), ("", 0));
}

#[tokio::test]
async fn a_roll_out_that_is_cancelled_is_a_failure_but_for_who_stops_the_job() {
    for (cause, words, code) in [
        ("job-deregister", &["job", "stop", "web"][..], 0),
        ("job-register", &["job", "eval", "web"], 1),
    ] {
        let server = Server::start().await;
        let answer = Answer::json(&json!({"EvalID": "e"}));
        server
            .get(
                "/v1/jobs?prefix=web",
                json!([{"ID": "web", "Namespace": "default"}]),
            )
            .on("DELETE /v1/job/web?namespace=default", answer.clone())
            .on("PUT /v1/job/web/evaluate?namespace=default", answer)
            .get(
                "/v1/evaluation/e?namespace=default",
                json!({"ID": "e", "JobID": "web", "TriggeredBy": cause, "Status": "complete",
                    "DeploymentID": "d"}),
            )
            .get("/v1/evaluation/e/allocations?namespace=default", json!([]))
            .get(
                "/v1/deployment/d?namespace=default",
                json!({"ID": "d", "JobID": "web", "Status": "cancelled",
                    "StatusDescription": "Cancelled because job is stopped"}),
            );
        let ran = Call::to(&server.address).run(words).await;
        assert_eq!(ran.code, code, "{ran:?}");
    }
}

#[tokio::test]
async fn a_deployment_that_went_with_its_job_is_over_and_one_that_takes_anothers_place_is_told() {
    for (last, code) in [("complete", 0), ("never", 1)] {
        let server = Server::start().await;
        let eval = |status: &str, deployment: &str| {
            json!({"ID": "e", "JobID": "web", "TriggeredBy": "job-register", "Status": status,
                "DeploymentID": deployment})
        };
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
                eval("pending", "first"),
            )
            .get("/v1/evaluation/e?namespace=default", eval("complete", last))
            .get("/v1/evaluation/e/allocations?namespace=default", json!([]));
        if code != 0 {
            server.on(
                "GET /v1/deployment/never?namespace=default",
                Answer::text(403, "Permission denied"),
            );
        }
        let ran = Call::to(&server.address).run(&["job", "eval", "web"]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(ran.err.is_empty(), code == 0, "{ran:?}");
        for named in ["first", last] {
            let line = format!("Evaluation within deployment: \"{named}\"\n");
            assert!(ran.out.contains(&line), "{ran:?}");
        }
        assert_eq!(ran.out.contains("The deployment is no more"), code == 0);
    }
}

#[tokio::test]
async fn the_monitor_says_what_could_not_be_placed_and_exits_with_2() {
    let id = "e2503e95-0000-0000-0000-000000000000";
    let server = Server::start().await;
    server
        .get(
            "/v1/jobs?prefix=big",
            json!([{"ID": "big", "Namespace": "default"}]),
        )
        .on(
            "PUT /v1/job/big/evaluate?namespace=default",
            Answer::json(&json!({"EvalID": id})),
        )
        .get(
            &format!("/v1/evaluation/{id}?namespace=default"),
            json!({"ID": id, "JobID": "big", "Status": "complete", "BlockedEval": "ea113f51-1",
                "FailedTGAllocs": {"g": {"NodesEvaluated": 1, "NodesExhausted": 1,
                "DimensionExhausted": {"memory": 1}}}}),
        )
        .get(
            &format!("/v1/evaluation/{id}/allocations?namespace=default"),
            json!([]),
        );
    let now = "2026-11-22T05:16:50Z";
    let ran = Call::to(&server.address)
        .at(nanos(now))
        .run(&["job", "eval", "big"])
        .await;
    let Some(expected) = cli("113") else { return };
    let wanted: Vec<&str> = expected
        .out
        .lines()
        .filter(|l| !l.contains("deployment"))
        .take(8)
        .collect();
    let got: Vec<&str> = ran.out.lines().collect();
    assert_eq!(got, wanted[..got.len()]);
    assert!(got.len() == 8, "{got:?}");
    assert_eq!(ran.code, 2);
}

#[tokio::test]
async fn an_alloc_that_changes_while_it_is_watched_is_told() {
    let Some(expected) = cli("119") else { return };
    let id = "2e25636e-0000-0000-0000-000000000000";
    let alloc = |name: &str, status: &str| {
        json!({"ID": name, "NodeID": "6309fb8e-8", "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": status,
            "ClientDescription": "Tasks are running", "CreateIndex": 12})
    };
    let server = Server::start().await;
    let eval = |status: &str| {
        Answer::json(&json!({"ID": id, "JobID": "dep", "Status": status, "CreateIndex": 11}))
    };
    let path = format!("GET /v1/evaluation/{id}?namespace=default");
    let allocs = format!("GET /v1/evaluation/{id}/allocations?namespace=default");
    server
        .get(
            "/v1/jobs?prefix=dep",
            json!([{"ID": "dep", "Namespace": "default"}]),
        )
        .on(
            "PUT /v1/job/dep/evaluate?namespace=default",
            Answer::json(&json!({"EvalID": id})),
        )
        .on(&path, eval("pending"))
        .on(&path, eval("complete"))
        .on(
            &allocs,
            Answer::json(&json!([
                alloc("5c4e5b3c-1", "pending"),
                alloc("a69c35dc-1", "pending")
            ])),
        )
        .on(
            &allocs,
            Answer::json(&json!([
                alloc("5c4e5b3c-1", "running"),
                alloc("a69c35dc-1", "running")
            ])),
        );
    let now = "2026-11-22T05:16:58Z";
    let ran = Call::to(&server.address)
        .at(nanos(now))
        .run(&["job", "eval", "dep"])
        .await;
    let wanted = at_one_time(&expected.out, now, &[]);
    let wanted: Vec<&str> = wanted
        .lines()
        .filter(|l| !l.contains("deployment"))
        .take(8)
        .collect();
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(ran.code, 0);
}

#[tokio::test]
async fn validation_errors_keep_their_nesting() {
    let Some(expected) = cli("028") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.hcl"), JOB).unwrap();
    let error = "1 error occurred:\n\t* Task group g validation failed: 1 error occurred:\n\t* Task t validation failed: 1 error occurred:\n\t* Missing task driver\n\n\n\n\n\n";
    for (answer, wanted) in [
        (json!({"Error": error}), expected),
        (json!({"Error": "", "Warnings": ""}), cli("026").unwrap()),
    ] {
        let server = Server::start().await;
        server.on("PUT /v1/validate/job", Answer::json(&answer));
        let call = Call::to(&server.address).folder(folder.path());
        assert_eq!(call.run(&["job", "validate", "x.hcl"]).await, wanted);
    }
}

#[tokio::test]
async fn a_job_is_checked_without_an_agent_as_well_and_what_cannot_run_is_named_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.hcl"), JOB).unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let ran = call.run(&["job", "validate", "x.hcl"]).await;
    assert_eq!((ran.err.as_str(), ran.code), ("", 0));
    assert_eq!(
        ran.out,
        "The cluster's drivers were not looked at since connection to an agent couldn't be established.\n\n\
         Job validation successful\n"
    );

    std::fs::write(
        folder.path().join("x.hcl"),
        JOB.replacen("group \"", "node_pool = \"far\"\n  group \"", 1),
    )
    .unwrap();
    let server = Server::start().await;
    let answer = json!({"Error": "", "Warnings": ""});
    server.on("PUT /v1/validate/job", Answer::json(&answer));
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["job", "validate", "x.hcl"]).await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 1));
    for said in [
        "error: Not supported yet\n",
        "field: node_pool\n",
        "This version of rove does not support node pools other than default.",
        "The job would not be registered.\n",
    ] {
        assert!(ran.err.contains(said), "{said}\n{}", ran.err);
    }

    // A server that names it, too.
    let error = "1 error occurred:\n\t* node_pool: this version of rove does not support node pools other than default\n\n";
    let server = Server::start().await;
    server.on(
        "PUT /v1/validate/job",
        Answer::json(&json!({"Error": error})),
    );
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["job", "validate", "x.hcl"]).await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 1));
    for said in [
        error.trim_end(),
        "field: node_pool\n",
        "The job would not be registered.\n",
    ] {
        assert!(ran.err.contains(said), "{said}\n{}", ran.err);
    }
}

#[tokio::test]
async fn versions_and_scaling_are_printed_and_refused_as_recorded() {
    let server = Server::start().await;
    let diff = json!({"Type": "Edited", "ID": "cache", "TaskGroups": [{"Type": "Edited", "Name": "store",
        "Fields": [{"Type": "Edited", "Name": "Count", "Old": "1", "New": "2"}],
        "Tasks": [{"Type": "None", "Name": "redis"}]}]});
    let version = |number: u64, time: &str| json!({"ID": "cache", "Version": number, "Stable": true, "SubmitTime": nanos(time)});
    let versions = json!([
        version(1, "2026-11-22T05:16:03Z"),
        version(0, "2026-11-22T05:15:50Z")
    ]);
    server
        .get(
            "/v1/jobs?prefix=cache",
            json!([{"ID": "cache", "Namespace": "default"}]),
        )
        .get(
            "/v1/job/cache/versions?diffs=true&namespace=default",
            json!({"Versions": versions, "Diffs": [diff]}),
        )
        .get(
            "/v1/job/cache?namespace=default",
            json!({"ID": "cache", "TaskGroups": [{"Name": "store", "Count": 1}]}),
        )
        .get(
            "/v1/job/cache/scale?namespace=default",
            json!({"TaskGroups": {"store": {"Events": [{"Count": 2, "PreviousCount": 1,
                "Time": nanos("2026-11-22T05:16:03Z")}]}}}),
        )
        .on(
            "PUT /v1/job/cache/revert?namespace=default",
            Answer::text(500, "can't revert to current version"),
        )
        .on(
            "PUT /v1/job/cache/scale?namespace=default",
            Answer::json(&json!({"EvalID": ""})),
        );
    let call = Call::to(&server.address);
    for (number, words) in [
        ("061", vec!["job", "history", "-p", "cache"]),
        ("063", vec!["job", "revert", "cache", "2"]),
        ("059", vec!["job", "scale", "cache", "zz", "2"]),
        ("060", vec!["job", "scaling-events", "cache"]),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
    assert_eq!(call.run(&["job", "scale", "cache", "5"]).await.code, 0);
    let sent = server
        .requests()
        .into_iter()
        .rfind(|r| r.method == "PUT")
        .unwrap();
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(
        (&body["Count"], &body["Target"]["Group"]),
        (&json!(5), &json!("store"))
    );
    assert_eq!(call.run(&["job", "scale", "cache", "many"]).await.code, 1);
}

#[tokio::test]
async fn on_a_terminal_a_deployment_is_drawn_over_its_last_state() {
    let server = Server::start().await;
    let deployment = |status: &str| json!({"ID": "aabbccdd-1", "JobID": "web", "Status": status, "Namespace": "d"});
    let at = |index: u64, value: Value| Answer {
        index,
        ..Answer::json(&value)
    };
    server
        .get(
            "/v1/deployments?prefix=aabbccdd",
            json!([deployment("running")]),
        )
        .on(
            "GET /v1/deployment/aabbccdd-1?namespace=d",
            at(5, deployment("running")),
        )
        .on(
            "GET /v1/deployment/aabbccdd-1?index=5&namespace=d&wait=60s",
            at(6, deployment("failed")),
        );
    let mut call = Call::to(&server.address);
    call.live = true;
    let ran = call
        .run(&["deployment", "status", "-monitor", "aabbccdd"])
        .await;
    let block = |status: &str| {
        format!(
            "\nN/A\nID          = aabbccdd\nJob ID      = web\nJob Version = 0\nStatus      = {status}\nDescription = <none>\n"
        )
    };
    assert_eq!(
        ran.out,
        format!("{}\u{1b}[7A\u{1b}[J{}", block("running"), block("failed"))
    );
    assert_eq!(ran.code, 1);
}
