use serde_json::json;

use super::recorded::{api, cli};
use super::server::{Answer, Server};
use super::{Call, Ran};
use crate::render::time::parse;

const TALKER: &str = "ca9bb2ab-fc8e-3ce2-f4af-eef179c71977";

/// The alloc of the job `pair` that the command line's recording shows, made of the API's recording of the same job.
async fn talker() -> Option<(Server, Call)> {
    let nanos = |text: &str| parse(text).unwrap().to_string();
    let start = nanos("2026-11-22T05:16:28Z");
    let whole = api("124", &[])?;
    let mut replace: Vec<(String, String)> = vec![
        (whole["ID"].as_str()?.to_owned(), TALKER.to_owned()),
        (
            whole["EvalID"].as_str()?.to_owned(),
            "3e4b7342-1c75-b60d-ec05-b238847c5a90".to_owned(),
        ),
        (
            whole["NodeID"].as_str()?.to_owned(),
            "6309fb8e-8378-1610-df56-ca973156b735".to_owned(),
        ),
        (
            whole["DeploymentID"].as_str()?.to_owned(),
            "68149202-6b4d-1c7e-3acc-deebc7127b1e".to_owned(),
        ),
        (whole["CreateTime"].to_string(), start.clone()),
        (whole["ModifyTime"].to_string(), start.clone()),
        (
            whole["TaskStates"]["say"]["StartedAt"].as_str()?.to_owned(),
            "2026-11-22T05:16:28Z".to_owned(),
        ),
        (
            whole["AllocatedResources"]["Shared"]["Ports"][0]["Value"].to_string(),
            "21611".to_owned(),
        ),
        (
            whole["Metrics"]["AllocationTime"].to_string(),
            "61055".to_owned(),
        ),
        (
            "\"DeploymentStatus\":{\"Canary\":false,\"Healthy\":true".to_owned(),
            "\"X\":{\"Y\":1".to_owned(),
        ),
    ];
    for event in whole["TaskStates"]["say"]["Events"].as_array()? {
        replace.push((event["Time"].to_string(), start.clone()));
    }
    let replace: Vec<(&str, &str)> = replace
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let mut whole = api("124", &replace)?;
    whole["Metrics"]["ScoreMetaData"][0]["NormScore"] = json!(0.02212);
    whole["Metrics"]["ScoreMetaData"][0]["Scores"]["binpack"] = json!(0.02212);
    let server = Server::start().await;
    let usage = json!({"ResourceUsage": {
        "MemoryStats": {"RSS": 57 * 1024 * 1024, "Swap": 0, "Measured": ["RSS", "Swap"]},
        "CpuStats": {"Measured": ["System Mode", "User Mode", "Percent"], "TotalTicks": 0.4}}});
    server
        .get(
            "/v1/allocations?prefix=ca9bb2ab",
            json!([{"ID": TALKER, "Namespace": "default", "TaskGroup": "talker"}]),
        )
        .get(&format!("/v1/allocation/{TALKER}?namespace=default"), whole)
        .get(
            &format!("/v1/client/allocation/{TALKER}/stats?namespace=default"),
            json!({"Tasks": {"say": usage}}),
        );
    let call = Call::to(&server.address).at(parse("2026-11-22T05:16:31Z").unwrap());
    Some((server, call))
}

#[tokio::test]
async fn an_alloc_is_shown_as_the_reference_shows_it() {
    let Some((_server, call)) = talker().await else {
        return;
    };
    for (number, words) in [
        ("068", vec!["alloc", "status", "ca9bb2ab"]),
        ("069", vec!["alloc", "status", "-short", "ca9bb2ab"]),
        ("070", vec!["alloc-status", "-verbose", "ca9bb2ab"]),
        ("071", vec!["alloc", "status", "-stats", "ca9bb2ab"]),
    ] {
        let mut expected = cli(number).unwrap();
        // The recording's alloc was changed a second after it was made.
        expected.out = expected.out.replace("= 2s ago", "= 3s ago");
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
    let json = call.run(&["alloc", "status", "-json", "ca9bb2ab"]).await;
    assert!(
        json.out.starts_with("{\n    \"AllocModifyIndex\": "),
        "{}",
        json.out
    );
    let ran = call
        .run(&[
            "alloc",
            "status",
            "-t",
            "{{.Name}} {{.ClientStatus}}",
            "ca9bb2ab",
        ])
        .await;
    assert_eq!(ran.out, "pair.talker[0] running\n");
}

#[tokio::test]
async fn an_unknown_alloc_is_named_as_it_was_given() {
    let server = Server::start().await;
    server.get("/v1/allocations?prefix=deadbeef", json!([]));
    let call = Call::to(&server.address);
    if let Some(expected) = cli("010") {
        assert_eq!(call.run(&["alloc", "status", "deadbeef"]).await, expected);
    }
    // The reference passes on what its decoder says of it; nothing is asked for what can be no id.
    let ran = call.run(&["alloc", "status", "nope"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with(
            "No allocation(s) with prefix or id \"nope\" found: an id is made of hexadecimal digits"
        ),
        "{}",
        ran.err
    );
    assert_eq!(
        call.run(&["alloc", "status", "d"]).await.err,
        "Identifier must contain at least two characters.\n"
    );
}

#[tokio::test]
async fn an_odd_prefix_is_looked_for_by_whole_bytes_and_matched_whole() {
    let server = Server::start().await;
    server.get(
        "/v1/allocations?prefix=ab",
        json!([{"ID": "abc00000-1", "CreateIndex": 1}, {"ID": "abd00000-1", "CreateIndex": 2}]),
    );
    let call = Call::to(&server.address);
    let both = call.run(&["alloc", "status", "ab"]).await;
    assert!(
        both.err
            .starts_with("Prefix matched multiple allocations\n\nID        Node ID"),
        "{}",
        both.err
    );
    assert_eq!(both.code, 1);
    let one = call.run(&["alloc", "status", "abc"]).await;
    assert!(
        one.err
            .contains("no answer for GET /v1/allocation/abc00000-1"),
        "{}",
        one.err
    );
    assert!(
        call.run(&["alloc", "status", "abe"])
            .await
            .err
            .starts_with("No allocation(s)")
    );
}

async fn logs(text: &[u8]) -> Server {
    let server = Server::start().await;
    let answer = |body: &[u8]| Answer {
        kind: "application/json",
        status: 200,
        index: 0,
        body: body.to_vec(),
    };
    let task = |name: &str| json!({"Name": name});
    server
        .get("/v1/allocations?prefix=aabb", json!([{"ID": "aabb", "Namespace": "default"}]))
        .get("/v1/jobs?prefix=web", json!([{"ID": "web", "Namespace": "default"}]))
        .get(
            "/v1/job/web/allocations?namespace=default",
            json!([{"ID": "dead", "ClientStatus": "complete", "CreateIndex": 9, "Namespace": "default"},
                {"ID": "aabb", "ClientStatus": "running", "CreateIndex": 3, "Namespace": "default"}]),
        )
        .get("/v1/jobs?prefix=two", json!([{"ID": "two", "Namespace": "default"}]))
        .get(
            "/v1/job/two/allocations?namespace=default",
            json!([{"ID": "other", "ClientStatus": "running", "CreateIndex": 5, "Namespace": "default",
                "TaskStates": {"listen": {}}},
                {"ID": "aabb", "ClientStatus": "running", "CreateIndex": 3, "Namespace": "default",
                "TaskStates": {"say": {}}}]),
        )
        .get(
            "/v1/allocation/aabb?namespace=default",
            json!({"ID": "aabb", "TaskGroup": "g", "Job": {"TaskGroups": [{"Name": "g", "Tasks": [task("say")]}]}}),
        )
        .on("GET /v1/client/fs/logs/aabb?namespace=default&plain=true&task=say&type=stdout", answer(text))
        .on("GET /v1/client/fs/logs/aabb?namespace=default&plain=true&task=say&type=stderr", answer(b"bad\n"))
        .on(
            "GET /v1/client/fs/logs/aabb?namespace=default&plain=true&task=zz&type=stdout",
            Answer::text(400, "unknown task name \"zz\""),
        );
    for size in [160, 320, 480, 1600] {
        let tail = &text[text.len().saturating_sub(size)..];
        let target = format!(
            "GET /v1/client/fs/logs/aabb?namespace=default&offset={size}&origin=end&plain=true&task=say&type=stdout"
        );
        server.on(&target, answer(tail));
    }
    server
}

#[tokio::test]
async fn logs_print_one_stream_of_one_task() {
    let server = logs(b"one\ntwo\nthree\n").await;
    let call = Call::to(&server.address);
    let good = |out: &str| Ran {
        out: out.to_owned(),
        err: String::new(),
        code: 0,
    };
    for (words, expected) in [
        (vec!["alloc", "logs", "aabb"], good("one\ntwo\nthree\n")),
        (vec!["logs", "aabb", "say"], good("one\ntwo\nthree\n")),
        (
            vec!["alloc", "logs", "-stderr", "aabb", "say"],
            good("bad\n"),
        ),
        (vec!["logs", "-stderr", "aabb"], good("bad\n")),
        (
            vec!["alloc", "logs", "-tail", "-n", "1", "aabb"],
            good("three\n"),
        ),
        (
            vec!["alloc", "logs", "-n", "2", "aabb"],
            good("two\nthree\n"),
        ),
        (
            vec!["alloc", "logs", "-tail", "aabb"],
            good("one\ntwo\nthree\n"),
        ),
        (
            vec!["alloc", "logs", "-job", "web"],
            good("one\ntwo\nthree\n"),
        ),
        (vec!["logs", "job/web"], good("one\ntwo\nthree\n")),
        (vec!["logs", "job/web", "-n", "1"], good("three\n")),
        (vec!["logs", "job/two", "say", "-n", "1"], good("three\n")),
        (
            vec!["logs", "job/two", "-task", "say", "-n", "1"],
            good("three\n"),
        ),
        (
            vec!["alloc", "logs", "-stdout", "-stderr", "aabb"],
            Ran {
                out: "one\ntwo\nthree\n".into(),
                err: "bad\n".into(),
                code: 0,
            },
        ),
    ] {
        assert_eq!(call.run(&words).await, expected, "{words:?}");
    }
    let Some(expected) = cli("077") else { return };
    assert_eq!(call.run(&["alloc", "logs", "aabb", "zz"]).await, expected);
}

#[tokio::test]
async fn a_followed_log_ends_with_its_stream_and_begins_at_the_last_lines() {
    let server = logs(b"one\ntwo\nthree\n").await;
    let follow = |kind: &str, origin: &str, offset: usize| {
        format!(
            "GET /v1/client/fs/logs/aabb?follow=true&namespace=default&offset={offset}&origin={origin}&task=say&type={kind}"
        )
    };
    let frames = |text: &str| Answer {
        kind: "application/json",
        status: 200,
        index: 0,
        body: text.as_bytes().to_vec(),
    };
    // "one\ntwo\nthree\n" and then "four\n".
    let body = "{\"Data\":\"b25lCnR3bwp0aHJlZQo=\",\"Offset\":14}{}{\"Data\":\"Zm91cgo=\",\"Offset\":19}{}";
    server
        .on(&follow("stdout", "end", 160), frames(body))
        .on(&follow("stdout", "start", 0), frames(body))
        .on(
            &follow("stderr", "start", 0),
            frames("{\"Data\":\"YmFkCg==\"}"),
        );
    let call = Call::to(&server.address);
    let ran = call
        .run(&["alloc", "logs", "-f", "-n", "1", "-stdout", "aabb"])
        .await;
    assert_eq!(
        ran,
        Ran {
            out: "three\nfour\n".into(),
            err: String::new(),
            code: 0
        }
    );
    let ran = call.run(&["alloc", "logs", "-f", "aabb"]).await;
    assert_eq!(
        ran,
        Ran {
            out: "one\ntwo\nthree\nfour\n".into(),
            err: "bad\n".into(),
            code: 0
        }
    );
}

#[tokio::test]
async fn an_alloc_of_several_tasks_wants_the_task_named() {
    let server = Server::start().await;
    server
        .get(
            "/v1/allocations?prefix=aabb",
            json!([{"ID": "aabb", "Namespace": "default"}]),
        )
        .get("/v1/jobs?prefix=two", json!([{"ID": "two", "Namespace": "default"}]))
        .get(
            "/v1/job/two/allocations?namespace=default",
            json!([{"ID": "other", "ClientStatus": "running", "CreateIndex": 5, "Namespace": "default",
                "TaskStates": {"listen": {}}},
                {"ID": "aabb", "ClientStatus": "running", "CreateIndex": 3, "Namespace": "default",
                "TaskStates": {"say": {}}}]),
        )
        .get(
            "/v1/allocation/aabb?namespace=default",
            json!({"ID": "aabb", "TaskGroup": "g", "Job": {"TaskGroups": [{"Name": "g",
                "Tasks": [{"Name": "b"}, {"Name": "a"}]}]}}),
        );
    let ran = Call::to(&server.address)
        .run(&["alloc", "logs", "aabb"])
        .await;
    assert_eq!(
        ran.err,
        "Allocation \"aabb\" is running the following tasks:\n  * a\n  * b\n\nPlease specify the task.\n"
    );
    assert_eq!(ran.code, 1);
}

#[tokio::test]
async fn files_are_listed_and_printed() {
    let server = Server::start().await;
    let time = "2026-11-22T05:16:28.5Z";
    let dir = |name: &str| json!({"Name": name, "IsDir": true, "Size": 4096, "FileMode": "drwxrwxrwx", "ModTime": time});
    let file = json!({"Name": "file.txt", "Size": 5, "FileMode": "-rw-r--r--", "ModTime": time,
        "ContentType": "text/plain; charset=utf-8"});
    server
        .get(
            "/v1/allocations?prefix=ca9bb2ab",
            json!([{"ID": TALKER, "Namespace": "default"}]),
        )
        .get(
            &format!("/v1/client/fs/stat/{TALKER}?namespace=default&path=%2F"),
            dir("root"),
        )
        .get(
            &format!("/v1/client/fs/ls/{TALKER}?namespace=default&path=%2F"),
            json!([dir("alloc"), dir("say")]),
        )
        .get(
            &format!("/v1/client/fs/stat/{TALKER}?namespace=default&path=say%2Flocal%2Ffile.txt"),
            file,
        )
        .on(
            &format!(
                "GET /v1/client/fs/cat/{TALKER}?namespace=default&path=say%2Flocal%2Ffile.txt"
            ),
            Answer {
                kind: "application/json",
                status: 200,
                index: 0,
                body: b"data\n".to_vec(),
            },
        )
        .on(
            &format!("GET /v1/client/fs/stat/{TALKER}?namespace=default&path=zz"),
            Answer::text(
                404,
                &format!("stat /opt/nomad-dev/data/alloc/{TALKER}/zz: no such file or directory"),
            ),
        );
    let call = Call::to(&server.address);
    for (number, words) in [
        ("078", vec!["alloc", "fs", "ca9bb2ab"]),
        ("080", vec!["fs", "ca9bb2ab", "say/local/file.txt"]),
        (
            "081",
            vec!["alloc", "fs", "-stat", "ca9bb2ab", "say/local/file.txt"],
        ),
        ("083", vec!["alloc", "fs", "ca9bb2ab", "zz"]),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
}

#[tokio::test]
async fn an_alloc_is_stopped_restarted_and_signalled() {
    let server = Server::start().await;
    let id = "2549ad1b-965b-69f4-faa2-238c584033b7";
    server
        .get(
            "/v1/allocations?prefix=2549ad1b",
            json!([{"ID": id, "Namespace": "default"}]),
        )
        .on(
            &format!("PUT /v1/allocation/{id}/stop?namespace=default"),
            Answer::json(&json!({"EvalID": "f8ca49cb-44c4-5e9f-442d-5ef82c926cf2"})),
        )
        .on(
            &format!("PUT /v1/client/allocation/{id}/restart?namespace=default"),
            Answer::json(&json!({"Index": 0})),
        )
        .on(
            &format!("PUT /v1/client/allocation/{id}/signal?namespace=default"),
            Answer::json(&json!({})),
        );
    let call = Call::to(&server.address);
    for (number, words) in [
        ("088", vec!["alloc", "stop", "-detach", "2549ad1b"]),
        ("085", vec!["alloc", "restart", "2549ad1b", "say"]),
        (
            "084",
            vec!["alloc", "signal", "-s", "SIGHUP", "2549ad1b", "say"],
        ),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
    let bodies: Vec<serde_json::Value> = server
        .requests()
        .into_iter()
        .filter(|r| r.method == "PUT")
        .map(|r| serde_json::from_str(&r.body).unwrap())
        .collect();
    assert_eq!(bodies[1], json!({"AllTasks": false, "TaskName": "say"}));
    assert_eq!(
        bodies[2],
        json!({"Signal": "SIGHUP", "Task": "say", "AllTasks": false})
    );
}

#[tokio::test]
async fn reschedule_attempts_are_shown_with_their_limit() {
    let hour = 3_600_000_000_000_i64;
    for (policy, shown) in [
        (
            json!({"Attempts": 2, "Interval": 24 * hour, "Unlimited": false}),
            "Reschedule Attempts = 2/2\n",
        ),
        (
            json!({"Attempts": 5, "Interval": hour, "Unlimited": false}),
            "Reschedule Attempts = 1/5\n",
        ),
        (
            json!({"Attempts": 0, "Interval": 0, "Unlimited": true}),
            "Reschedule Attempts = 2\n",
        ),
    ] {
        let server = Server::start().await;
        let event = |time: i64| json!({"RescheduleTime": time});
        let alloc = json!({"ID": "aabb", "Namespace": "default", "TaskGroup": "g", "ClientStatus": "failed",
            "Job": {"ID": "web", "TaskGroups": [{"Name": "g", "ReschedulePolicy": policy}]},
            "RescheduleTracker": {"Events": [event(5 * hour), event(9 * hour)]}});
        server
            .get(
                "/v1/allocations?prefix=aabb",
                json!([{"ID": "aabb", "Namespace": "default"}]),
            )
            .get("/v1/allocation/aabb?namespace=default", alloc);
        let ran = Call::to(&server.address)
            .run(&["alloc", "status", "aabb"])
            .await;
        let text: String = ran
            .out
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
            .collect();
        assert!(text.contains(shown), "{shown}: {}{}", ran.out, ran.err);
    }
}
