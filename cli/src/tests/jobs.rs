use serde_json::{Value, json};

use super::Call;
use super::recorded::{api, cli};
use super::server::{Answer, Server};
use crate::render::time::parse;

fn nanos(text: &str) -> i64 {
    parse(text).unwrap()
}

/// The job `cache` as the command line's recording saw it, made of the API's recording of the same job.
async fn cache() -> Option<(Server, Call)> {
    let replace = [
        (
            "1795325548059538674",
            nanos("2026-11-22T05:15:50Z").to_string(),
        ),
        (
            "1795325548060703151",
            nanos("2026-11-22T05:15:50Z").to_string(),
        ),
        (
            "1795325558693503553",
            nanos("2026-11-22T05:16:01Z").to_string(),
        ),
        (
            "2026-11-22T05:42:38.40083364Z",
            "2026-11-22T05:26:00Z".to_owned(),
        ),
        (
            "4be51cc4-baf8-4cbd-29b7-48fa2b005c40",
            "e699d856-d595-5c6f-8c26-cbb2707da2cd".to_owned(),
        ),
        (
            "b5ef6698-8a3a-6d17-03e7-7c6691f1ed7f",
            "6309fb8e-8378-1610-df56-ca973156b735".to_owned(),
        ),
        (
            "8955d009-81af-44ec-7f05-409fbf7b090c",
            "74316a58-170c-7fe0-7982-ce5556e1cc7f".to_owned(),
        ),
        (
            "3b5c6275-d66a-e738-ce34-4f7209c8e2d0",
            "0df381f1-dab8-a118-12b2-b58e288ab3c5".to_owned(),
        ),
        (
            "7fa792a0-e1fe-6852-c9e4-5240379baa49",
            "c699f15f-52d0-c257-03f2-10f4c8e9a07b".to_owned(),
        ),
    ];
    let replace: Vec<(&str, &str)> = replace.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let server = Server::start().await;
    for (target, number) in [
        ("/v1/jobs", "071"),
        ("/v1/jobs?prefix=cache", "071"),
        ("/v1/jobs?prefix=cac", "071"),
        ("/v1/job/cache?namespace=default", "070"),
        ("/v1/job/cache/summary?namespace=default", "073"),
        ("/v1/job/cache/allocations?namespace=default", "074"),
        (
            "/v1/job/cache/allocations?all=true&namespace=default",
            "074",
        ),
        ("/v1/job/cache/evaluations?namespace=default", "075"),
        ("/v1/job/cache/deployments?namespace=default", "076"),
        ("/v1/job/cache/deployment?namespace=default", "077"),
        ("/v1/job/cache/versions?namespace=default", "078"),
    ] {
        server.get(target, api(number, &replace)?);
    }
    server.on(
        "POST /v1/search",
        Answer::json(&json!({"Matches": {"jobs": ["cache"], "allocs": null}})),
    );
    let call = Call::to(&server.address).at(nanos("2026-11-22T05:16:03Z"));
    Some((server, call))
}

#[tokio::test]
async fn everything_about_one_job_is_printed_as_the_reference_prints_it() {
    let Some((_server, call)) = cache().await else {
        return;
    };
    for (number, words) in [
        ("042", vec!["job", "status", "cache"]),
        ("043", vec!["status", "cac"]),
        ("044", vec!["job", "status", "-short", "cache"]),
        ("045", vec!["job", "status", "-evals", "cache"]),
        ("046", vec!["job", "status", "-verbose", "cache"]),
        ("047", vec!["job", "status", "-all-allocs", "cache"]),
        ("049", vec!["job", "status"]),
        ("050", vec!["job", "allocs", "cache"]),
        (
            "052",
            vec!["job", "inspect", "-t", "{{.ID}} {{.Status}}", "cache"],
        ),
        ("054", vec!["job", "history", "cache"]),
        ("055", vec!["job", "deployments", "cache"]),
        ("056", vec!["job", "deployments", "-latest", "cache"]),
    ] {
        assert_eq!(
            call.run(&words).await,
            cli(number).unwrap(),
            "{number}: {words:?}"
        );
    }
    // The same by the spellings of 2017.
    assert_eq!(call.run(&["status", "cache"]).await, cli("042").unwrap());
    assert_eq!(
        call.run(&["inspect", "cache", "-t", "{{.ID}} {{.Status}}"])
            .await,
        cli("052").unwrap()
    );
    let whole = call.run(&["job", "inspect", "cache"]).await;
    let recorded = cli("051").unwrap().out;
    let shape = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    assert_eq!(
        shape(&whole.out)["Job"]["TaskGroups"][0]["Name"],
        shape(&recorded)["Job"]["TaskGroups"][0]["Name"]
    );
    assert!(whole.out.starts_with(
        "{\n    \"Job\": {\n        \"Affinities\": null,\n        \"AllAtOnce\": false,\n"
    ));
}

#[tokio::test]
async fn a_job_that_cannot_be_placed_says_why() {
    let replace = [
        (
            "1795325601321955892",
            nanos("2026-11-22T05:16:49Z").to_string(),
        ),
        (
            "82e427e2-e5c6-4781-35e6-401bae8bdd69",
            "8e552ea1-e5c6-4781-35e6-401bae8bdd69".to_owned(),
        ),
    ];
    let replace: Vec<(&str, &str)> = replace.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let (Some(job), Some(evals), Some(summary)) = (
        api("193", &replace),
        api("192", &replace),
        api("194", &replace),
    ) else {
        return;
    };
    let server = Server::start().await;
    server
        .get(
            "/v1/jobs?prefix=stuck",
            json!([{"ID": "stuck", "Namespace": "default"}]),
        )
        .get("/v1/job/stuck?namespace=default", job)
        .get("/v1/job/stuck/summary?namespace=default", summary)
        .get("/v1/job/stuck/evaluations?namespace=default", evals)
        .get("/v1/job/stuck/allocations?namespace=default", json!([]))
        .get(
            "/v1/job/stuck/deployment?namespace=default",
            json!({"ID": "8e552ea1-e5c6-4781-35e6-401bae8bdd69", "Status": "running",
                "StatusDescription": "Deployment is running",
                "TaskGroups": {"g": {"DesiredTotal": 1, "ProgressDeadline": 600000000000_i64,
                    "RequireProgressBy": "0001-01-01T00:00:00Z"}}}),
        );
    let ran = Call::to(&server.address)
        .run(&["job", "status", "stuck"])
        .await;
    assert_eq!(ran, cli("112").unwrap());
}

#[tokio::test]
async fn lists_show_types_and_stopped_jobs() {
    let Some(expected) = cli("192") else { return };
    let mut jobs = Vec::new();
    for line in expected.out.lines().skip(1) {
        let cells: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        let (kind, suffix) = cells[1].split_once('/').unwrap_or((cells[1], ""));
        jobs.push(json!({
            "ID": cells[0], "Type": kind, "Priority": cells[2].parse::<i64>().unwrap(),
            "Periodic": suffix == "periodic", "ParameterizedJob": suffix == "parameterized",
            "Status": cells[3].split(' ').next().unwrap(), "Stop": cells[3].ends_with("(stopped)"),
            "SubmitTime": nanos(cells[4]), "Namespace": "default",
        }));
    }
    let server = Server::start().await;
    server.get("/v1/jobs", json!(jobs));
    assert_eq!(Call::to(&server.address).run(&["status"]).await, expected);
}

#[tokio::test]
async fn what_is_not_there_is_said_as_the_reference_says_it() {
    let server = Server::start().await;
    server
        .get("/v1/jobs", json!([]))
        .get("/v1/jobs?prefix=nope", json!([]))
        .get("/v1/jobs?namespace=team-x", json!([]));
    let call = Call::to(&server.address);
    for (number, words) in [
        ("006", vec!["status"]),
        ("007", vec!["job", "status"]),
        ("008", vec!["job", "status", "nope"]),
        ("053", vec!["job", "inspect", "nope"]),
        ("148", vec!["job", "status", "-namespace", "team-x"]),
        ("181", vec!["job", "stop", "nope"]),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
}

#[tokio::test]
async fn a_prefix_of_several_jobs_lists_them() {
    let Some(expected) = cli("185") else { return };
    let job = |id: &str, kind: &str, template: bool, status: &str, time: &str| {
        json!({"ID": id, "Type": kind, "Priority": 50, "ParameterizedJob": template, "Status": status,
            "SubmitTime": nanos(time), "Namespace": "default"})
    };
    let server = Server::start().await;
    server.get(
        "/v1/jobs?prefix=d",
        json!([
            job("dep", "service", false, "dead", "2026-11-22T05:17:19Z"),
            job("disp", "batch", true, "running", "2026-11-22T05:16:47Z"),
            job(
                "disp/dispatch-1795324607-5e30d637",
                "batch",
                false,
                "dead",
                "2026-11-22T05:16:47Z"
            ),
            job(
                "disp/dispatch-1795324608-2449a287",
                "batch",
                false,
                "dead",
                "2026-11-22T05:16:48Z"
            ),
        ]),
    );
    assert_eq!(
        Call::to(&server.address)
            .run(&["job", "stop", "-yes", "d"])
            .await,
        expected
    );
}

#[tokio::test]
async fn templates_of_jobs_show_their_children() {
    let server = Server::start().await;
    let child = |id: &str| json!({"ID": id, "Status": "dead", "Namespace": "default"});
    let (first, second) = (
        "disp/dispatch-1795324607-5e30d637",
        "disp/dispatch-1795324608-2449a287",
    );
    let Some(mut job) = api("190", &[]) else {
        return;
    };
    job["SubmitTime"] = json!(nanos("2026-11-22T05:16:47Z"));
    job["ParameterizedJob"]["MetaOptional"] = Value::Null;
    server
        .get(
            "/v1/jobs?prefix=disp",
            json!([{"ID": "disp", "Namespace": "default"}]),
        )
        .get("/v1/job/disp?namespace=default", job)
        .get(
            "/v1/job/disp/summary?namespace=default",
            json!({"Children": {"Pending": 0, "Running": 0, "Dead": 2}, "Summary": {}}),
        )
        .get(
            "/v1/jobs?namespace=default&prefix=disp%2Fdispatch-",
            json!([child(first), child(second)]),
        );
    let ran = Call::to(&server.address)
        .run(&["job", "status", "disp"])
        .await;
    assert_eq!(ran, cli("110").unwrap());
}
