use rove_model::job::Job;
use rove_wire::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::recorded::api;
use super::server::{Answer, Server};
use super::{Call, Ran};

const MINUTE: i64 = 60_000_000_000;
const NOW: i64 = 1_795_324_588_000_000_000;

async fn cluster() -> (Server, Call) {
    let server = Server::start().await;
    let job = |id: &str, team: &str, running: i64, queued: i64| {
        json!({"ID": id, "Namespace": "default", "Type": "service", "Status": "running", "Priority": 50,
            "Datacenters": ["dc1"], "NodePool": "default", "SubmitTime": NOW - 5 * MINUTE, "Meta": {"team": team},
            "JobSummary": {"Summary": {"g": {"Running": running, "Queued": queued}}}})
    };
    let (web, db) = (job("web", "a", 2, 1), job("db", "b", 1, 0));
    let alloc = |id: &str, job: &str, index: u64| {
        json!({"ID": id, "Name": format!("{job}.g[0]"), "JobID": job, "Namespace": "default", "NodeID": "n1-aaaa",
            "NodeName": "client-one", "ClientStatus": "running", "DesiredStatus": "run", "JobVersion": 3,
            "CreateTime": NOW - MINUTE, "CreateIndex": index,
            "TaskStates": {"t": {"State": "running", "Restarts": 1}}})
    };
    let allocs = json!([alloc("aaaa0000-1", "web", 7), alloc("bbbb0000-1", "db", 9)]);
    let nodes = json!([{"ID": "11112222-1", "Name": "client-one", "Datacenter": "dc1", "Status": "ready",
        "SchedulingEligibility": "ineligible", "NodePool": "default", "Version": "0.1.0", "Address": "10.0.0.1",
        "Drivers": {"docker": {"Detected": true, "Healthy": true}, "qemu": {"Detected": false}}}]);
    server
        .get("/v1/jobs", json!([db, web]))
        .get("/v1/jobs?meta=true", json!([db, web]))
        .get("/v1/jobs?prefix=web", json!([web]))
        .get("/v1/jobs?prefix=nope", json!([]))
        .get("/v1/jobs?namespace=empty", json!([]))
        .get("/v1/jobs?namespace=*", json!([db, web]))
        .get("/v1/allocations", allocs.clone())
        .get("/v1/allocations?prefix=aaaa", json!([allocs[0]]))
        .get("/v1/nodes", nodes)
        .get("/v1/node/11112222-1", json!({"ID": "11112222-1", "Name": "client-one", "Meta": {"rack": "r1"}}))
        .get("/v1/evaluations", json!([{"ID": "eeee0000-1", "JobID": "web", "TriggeredBy": "job-register",
            "Status": "complete", "CreateTime": NOW - 90 * MINUTE, "Priority": 50, "Namespace": "default"}]))
        .get("/v1/deployments", json!([{"ID": "dddd0000-1", "JobID": "web", "JobVersion": 3, "Status": "running",
            "StatusDescription": "Deployment is running", "Namespace": "default",
            "TaskGroups": {"g": {"HealthyAllocs": 1, "DesiredTotal": 3}}}]));
    let call = Call::to(&server.address).at(NOW);
    (server, call)
}

fn good(out: &str) -> Ran {
    Ran {
        out: out.to_owned(),
        err: String::new(),
        code: 0,
    }
}

#[tokio::test]
async fn lists_look_like_kubectls() {
    let (_server, call) = cluster().await;
    for (words, out) in [
        (
            vec!["get", "jobs"],
            "NAME   TYPE      STATUS    READY   AGE\ndb     service   running   1/1     5m\nweb    service   running   2/3     5m\n",
        ),
        (vec!["get", "job/web", "-o", "name"], "job/web\n"),
        (
            vec!["get", "job", "web", "-o=wide"],
            "NAME   TYPE      STATUS    READY   AGE   PRIORITY   DATACENTERS   NODE POOL\nweb    service   running   2/3     5m    50         dc1           default\n",
        ),
        (
            vec!["get", "jobs", "-l", "team=a"],
            "NAME   TYPE      STATUS    READY   AGE\nweb    service   running   2/3     5m\n",
        ),
        (
            vec!["get", "jobs", "-A"],
            "NAMESPACE   NAME   TYPE      STATUS    READY   AGE\ndefault     db     service   running   1/1     5m\ndefault     web    service   running   2/3     5m\n",
        ),
        (
            vec!["get", "allocs"],
            "NAME       ALLOC      READY   STATUS    RESTARTS   AGE\nbbbb0000   db.g[0]    1/1     running   1          1m\naaaa0000   web.g[0]   1/1     running   1          1m\n",
        ),
        (
            vec!["get", "alloc/aaaa", "-owide"],
            "NAME       ALLOC      READY   STATUS    RESTARTS   AGE   NODE         NODE ID   VERSION   DESIRED\naaaa0000   web.g[0]   1/1     running   1          1m    client-one   n1-aaaa   3         run\n",
        ),
        (
            vec!["get", "allocs", "-l", "team!=a"],
            "NAME       ALLOC     READY   STATUS    RESTARTS   AGE\nbbbb0000   db.g[0]   1/1     running   1          1m\n",
        ),
        (
            vec!["get", "nodes"],
            "NAME         ID         STATUS             DATACENTER   VERSION\nclient-one   11112222   ready,ineligible   dc1          0.1.0\n",
        ),
        (
            vec!["get", "node", "client-one", "-o", "wide"],
            "NAME         ID         STATUS             DATACENTER   VERSION   ADDRESS    NODE POOL   CLASS    DRIVERS\nclient-one   11112222   ready,ineligible   dc1          0.1.0     10.0.0.1   default     <none>   docker\n",
        ),
        (
            vec!["get", "no", "-l", "rack"],
            "NAME         ID         STATUS             DATACENTER   VERSION\nclient-one   11112222   ready,ineligible   dc1          0.1.0\n",
        ),
        (
            vec!["get", "evals"],
            "NAME       JOB   TRIGGERED BY   STATUS     AGE\neeee0000   web   job-register   complete   1h30m\n",
        ),
        (
            vec!["get", "deploy"],
            "NAME       JOB   VERSION   STATUS    READY\ndddd0000   web   3         running   1/3\n",
        ),
        (
            vec!["get", "jobs,nodes", "-o", "name"],
            "job/db\njob/web\nnode/11112222-1\n",
        ),
        (
            vec!["get", "job/web", "node/client-one"],
            "NAME      TYPE      STATUS    READY   AGE\njob/web   service   running   2/3     5m\n\nNAME              ID         STATUS             DATACENTER   VERSION\nnode/client-one   11112222   ready,ineligible   dc1          0.1.0\n",
        ),
    ] {
        assert_eq!(call.run(&words).await, good(out), "{words:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_known_is_said_in_kubectls_words() {
    let (_server, call) = cluster().await;
    for (words, err, code) in [
        (
            vec!["get", "job/nope"],
            "Error from server (NotFound): jobs \"nope\" not found\n",
            1,
        ),
        (
            vec!["get", "jobs", "-n", "empty"],
            "No resources found in empty namespace.\n",
            0,
        ),
        (
            vec!["get", "nodes", "-l", "!rack"],
            "No resources found\n",
            0,
        ),
        (
            vec!["get", "frobs"],
            "error: the server doesn't have a resource type \"frobs\"; there are jobs, nodes, allocs, evals and deployments\n",
            1,
        ),
        (
            vec!["get", "jobs", "-o", "xml"],
            "error: unable to match a printer suitable for the output format \"xml\", allowed formats are: json,name,wide,yaml\n",
            1,
        ),
        (vec!["apply"], "error: must specify -f\n", 1),
        (vec!["diff"], "error: must specify -f\n", 2),
        (
            vec!["apply", "--dry-run", "-f", "web.nomad"],
            "error: Invalid dry-run value (-f). Must be \"none\", \"server\", or \"client\".\n",
            1,
        ),
        (
            vec!["apply", "-f", "web.nomad", "-o", "yaml"],
            "error: unable to match a printer suitable for the output format \"yaml\", allowed formats are: name\n",
            1,
        ),
        (
            vec!["apply", "-f", "no-such.hcl"],
            "error: the path \"no-such.hcl\" does not exist\n",
            1,
        ),
        (
            vec!["scale", "job/web"],
            "error: required flag(s) \"replicas\" not set\n",
            1,
        ),
        (
            vec!["delete", "jobs"],
            "error: resource(s) were provided, but no name was specified\n",
            1,
        ),
        (
            vec!["delete", "job", "web", "-l", "env=staging"],
            "error: selectors and names can't be combined\n",
            1,
        ),
        (
            vec!["delete", "node/x"],
            "Error from server (MethodNotAllowed): nodes can't be deleted\n",
            1,
        ),
    ] {
        assert_eq!(
            call.run(&words).await,
            Ran {
                out: String::new(),
                err: err.to_owned(),
                code
            },
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn json_has_everything_that_the_agent_says() {
    let (_server, call) = cluster().await;
    let ran = call.run(&["get", "node/client-one", "-o", "json"]).await;
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&value["kind"], &value["status"]["Meta"]["rack"]),
        (&json!("Node"), &json!("r1"))
    );
    let ran = call.run(&["get", "nodes", "-o", "json"]).await;
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&value["kind"], &value["items"][0]["kind"]),
        (&json!("List"), &json!("Node"))
    );
}

#[tokio::test]
async fn a_watch_prints_what_changes() {
    let (server, call) = cluster().await;
    let job = |status: &str, running: i64| {
        json!([{"ID": "db", "Namespace": "default", "Type": "service", "Status": status, "SubmitTime": NOW,
            "JobSummary": {"Summary": {"g": {"Running": running}}}}])
    };
    server
        .on(
            "GET /v1/jobs?index=10&namespace=w&wait=60s",
            Answer {
                kind: "application/json",
                index: 11,
                ..Answer::json(&job("running", 1))
            },
        )
        .on(
            "GET /v1/jobs?index=11&namespace=w&wait=60s",
            Answer {
                kind: "application/json",
                index: 12,
                ..Answer::json(&job("dead", 0))
            },
        )
        .get("/v1/jobs?namespace=w", job("pending", 0));
    let out = call
        .run_until(&["get", "jobs", "-w", "-n", "w"], |out| {
            out.contains("dead")
        })
        .await;
    assert_eq!(
        out,
        "NAME   TYPE      STATUS    READY   AGE\ndb     service   pending   0/0     0s\ndb     service   running   \
         1/1     0s\ndb     service   dead      0/0     0s\n"
    );
    let ran = call.run(&["get", "jobs", "-n", "w", "-o", "name"]).await;
    assert_eq!(ran, good("job/db\n"));
}

/// A watch of jobs of the namespace `w`: first `before`, then `after`.
async fn watched(before: Value, after: Value) -> Server {
    let server = Server::start().await;
    let at = |index: u64, value: &Value| Answer {
        kind: "application/json",
        index,
        ..Answer::json(value)
    };
    server
        .on("GET /v1/jobs?namespace=w", at(10, &before))
        .on("GET /v1/jobs?namespace=w", at(11, &after))
        .on("GET /v1/jobs?index=10&namespace=w&wait=60s", at(11, &after))
        .on("GET /v1/jobs?index=11&namespace=w&wait=60s", at(11, &after));
    server
}

fn row(id: &str, status: &str) -> Value {
    json!({"ID": id, "Namespace": "w", "Type": "service", "Status": status, "SubmitTime": NOW})
}

#[tokio::test]
async fn a_watch_says_what_has_gone() {
    let lists = || {
        watched(
            json!([row("db", "running"), row("web", "running")]),
            json!([row("web", "running")]),
        )
    };
    for (format, gone) in [
        ("", "db     service   gone"),
        ("name", "job/db gone\n"),
        ("yaml", "status: gone\n"),
    ] {
        let server = lists().await;
        server.get("/v1/job/db?namespace=w", row("db", "running"));
        server.get("/v1/job/web?namespace=w", row("web", "running"));
        let call = Call::to(&server.address).at(NOW);
        let words = ["get", "jobs", "-w", "-n", "w", "-o", format];
        let out = call.run_until(&words, |out| out.contains("gone")).await;
        assert!(out.contains(gone), "{format}: {out}");
    }
}

#[tokio::test]
async fn a_watch_in_json_is_a_stream_of_bare_objects() {
    let server = watched(
        json!([row("db", "running"), row("web", "running")]),
        json!([row("web", "dead")]),
    )
    .await;
    server
        .get("/v1/job/db?namespace=w", row("db", "running"))
        .get("/v1/job/web?namespace=w", row("web", "dead"));
    let call = Call::to(&server.address).at(NOW);
    let words = ["get", "jobs", "-w", "-n", "w", "-o", "json"];
    let out = call.run_until(&words, |out| out.contains("gone")).await;
    let objects: Vec<Value> = serde_json::Deserializer::from_str(&out)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<_> = objects
        .iter()
        .map(|object| match object["ID"].as_str() {
            Some(id) => id.to_owned(),
            None => format!("{}: {}", object["metadata"]["name"], object["status"]),
        })
        .collect();
    assert_eq!(names, ["db", "web", "web", "\"db\": \"gone\""], "{out}");
}

#[tokio::test]
async fn a_watch_that_starts_empty_is_aligned_and_sees_what_lives_for_a_moment() {
    let server = watched(json!([]), json!([])).await;
    server.on(
        STREAM,
        told(&[
            event::<rove_wire::Alloc>("Allocation", 11, json!({"ID": "a", "Namespace": "w"})),
            event::<Job>("Job", 11, row("brief", "running")),
        ]),
    );
    let call = Call::to(&server.address).at(NOW);
    let out = call
        .run_until(&["get", "jobs", "-w", "-n", "w"], |out| {
            out.contains("gone")
        })
        .await;
    let lines: Vec<&str> = out.lines().take(3).collect();
    let column = lines[0].find("STATUS").unwrap();
    assert!(
        lines[1].starts_with("brief ") && lines[1][column..].starts_with("running "),
        "{out}"
    );
    assert!(
        lines[2].starts_with("brief ") && lines[2][column..].starts_with("gone "),
        "{out}"
    );
    let topics = server
        .requests()
        .into_iter()
        .find(|r| r.target.contains("event/stream"));
    assert!(topics.unwrap().target.contains("topic=Job"));
}

const STREAM: &str = "GET /v1/event/stream?*";

/// An event with all that the thing it tells of has in full.
fn event<T: Serialize + DeserializeOwned>(topic: &str, index: u64, thing: Value) -> Event {
    let whole: T = serde_json::from_value(thing).unwrap();
    Event {
        topic: topic.to_owned(),
        kind: String::new(),
        key: String::new(),
        filter_keys: Vec::new(),
        namespace: "w".to_owned(),
        index,
        payload: json!({topic: whole}),
    }
}

/// A stream that tells these and ends.
fn told(events: &[Event]) -> Answer {
    let lines: Vec<String> = events
        .iter()
        .map(|event| format!("{}\n", json!({"Index": event.index, "Events": [event]})))
        .collect();
    Answer {
        kind: "application/json",
        status: 200,
        index: 0,
        body: format!("{{}}\n{}", lines.concat()).into_bytes(),
    }
}

/// A list that changes between the first look and the next; who waits for a change of it is not answered better.
async fn changing(
    path: &str,
    before: (u64, Value),
    after: (u64, Value),
    tells: &[Event],
) -> Server {
    let server = Server::start().await;
    let at = |(index, value): &(u64, Value)| Answer {
        kind: "application/json",
        index: *index,
        ..Answer::json(value)
    };
    let waiting = |index: u64| format!("GET {path}?index={index}&namespace=w&wait=60s");
    server
        .on(&format!("GET {path}?namespace=w"), at(&before))
        .on(&format!("GET {path}?namespace=w"), at(&after))
        .on(&waiting(before.0), at(&before))
        .on(&waiting(after.0), at(&after))
        .on(STREAM, told(tells));
    server
}

/// The rows of a watch, in words, until it says the last time that something is gone.
async fn rows(server: &Server, words: &[&str], goings: usize) -> Vec<Vec<String>> {
    let out = Call::to(&server.address)
        .at(NOW)
        .run_until(words, |out| out.matches("gone").count() >= goings)
        .await;
    out.lines()
        .skip(1)
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[tokio::test]
async fn a_watched_row_is_the_lists_and_never_an_events() {
    let node = |id: &str, status: &str| {
        json!({"ID": id, "Name": id, "Datacenter": "dc1", "NodePool": "default", "Status": status,
            "SchedulingEligibility": "eligible"})
    };
    let listed = |status: &str| {
        let mut node = node("one", status);
        node["Version"] = json!("0.1.0");
        node["Address"] = json!("10.0.0.1");
        json!([node])
    };
    let server = changing(
        "/v1/nodes",
        (10, listed("ready")),
        (12, listed("down")),
        &[
            event::<rove_wire::Node>("Node", 11, node("one", "down")),
            event::<rove_wire::Node>("Node", 12, node("brief", "ready")),
        ],
    )
    .await;
    let words = ["get", "nodes", "-w", "-n", "w"];
    assert_eq!(
        rows(&server, &words, 1).await,
        [
            ["one", "one", "ready", "dc1", "0.1.0"],
            ["brief", "brief", "ready", "dc1", "<none>"],
            ["one", "one", "down", "dc1", "0.1.0"],
            ["brief", "brief", "gone", "dc1", "<none>"],
        ]
    );

    let alloc = |id: &str, status: &str| {
        json!({"ID": id, "Name": "web.g[0]", "JobID": "web", "Namespace": "w", "NodeID": "n1", "NodeName": "client-one",
            "ClientStatus": status, "DesiredStatus": "run", "CreateTime": NOW, "CreateIndex": 7})
    };
    let listed = |status: &str| {
        let mut alloc = alloc("one", status);
        alloc["JobVersion"] = json!(3);
        json!([alloc])
    };
    let server = changing(
        "/v1/allocations",
        (10, listed("pending")),
        (12, listed("running")),
        &[
            event::<rove_wire::Alloc>("Allocation", 11, alloc("one", "running")),
            event::<rove_wire::Alloc>("Allocation", 12, alloc("brief", "running")),
        ],
    )
    .await;
    let words = ["get", "allocs", "-w", "-n", "w", "-o", "wide"];
    let rows = rows(&server, &words, 1).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| [0, 3, 8].map(|at| row[at].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ["one", "pending", "3"],
            ["brief", "running", "<none>"],
            ["one", "running", "3"],
            ["brief", "gone", "<none>"],
        ]
    );
}

#[tokio::test]
async fn an_event_as_old_as_the_list_is_not_told_after_it() {
    // The job was purged before the watch began; another has gone since.
    let server = changing(
        "/v1/jobs",
        (20, json!([])),
        (21, json!([])),
        &[
            event::<Job>("Job", 15, row("purged", "running")),
            event::<Job>("Job", 20, row("purged", "dead")),
            event::<Job>("Job", 21, row("brief", "running")),
        ],
    )
    .await;
    let rows = rows(&server, &["get", "jobs", "-w", "-n", "w"], 1).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| [0, 2].map(|at| row[at].as_str()))
        .collect();
    assert_eq!(told, [["brief", "running"], ["brief", "gone"]]);
}

#[tokio::test]
async fn a_watch_opens_its_stream_again_and_keeps_what_was_told_while_the_list_fails() {
    let server = Server::start().await;
    let at = |index: u64| Answer {
        kind: "application/json",
        index,
        ..Answer::json(&json!([]))
    };
    let list = "GET /v1/jobs?namespace=w";
    server
        .on(STREAM, Answer::text(500, "not now"))
        .on(STREAM, Answer::text(502, "not yet"))
        .on(
            STREAM,
            told(&[event::<Job>("Job", 11, row("first", "running"))]),
        )
        .on(
            STREAM,
            told(&[event::<Job>("Job", 12, row("second", "running"))]),
        )
        .on("GET /v1/jobs?index=10&namespace=w&wait=60s", at(10))
        .on("GET /v1/jobs?index=11&namespace=w&wait=60s", at(11))
        // When the watch begins, when the stream is open again, and then for the event.
        .on(list, at(10))
        .on(list, at(10))
        .on(list, Answer::text(500, "no leader"))
        .on(list, at(11));
    let rows = rows(&server, &["get", "jobs", "-w", "-n", "w"], 2).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| [0, 2].map(|at| row[at].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ["first", "running"],
            ["first", "gone"],
            ["second", "running"],
            ["second", "gone"]
        ]
    );
}

const HCL: &str = "job \"web\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"raw_exec\"\n      config {\n        command = \"/bin/true\"\n      }\n    }\n  }\n}\n";

fn plan(kind: &str, index: u64) -> Value {
    json!({"Diff": {"Type": kind, "ID": "web"}, "JobModifyIndex": index})
}

#[tokio::test]
async fn applying_says_what_it_did_and_leaves_unchanged_jobs_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.nomad"), HCL).unwrap();
    for (kind, word, writes) in [
        ("Added", "created", 1),
        ("Edited", "configured", 1),
        ("None", "unchanged", 0),
    ] {
        let server = Server::start().await;
        server
            .on("PUT /v1/job/web/plan", Answer::json(&plan(kind, 17)))
            .on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
        let call = Call::to(&server.address).folder(folder.path());
        assert_eq!(
            call.run(&["apply", "-f", "web.nomad"]).await,
            good(&format!("job/web {word}\n"))
        );
        let sent: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|r| r.target == "/v1/jobs")
            .collect();
        assert_eq!(sent.len(), writes, "{kind}");
        for request in sent {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(
                (&body["EnforceIndex"], &body["JobModifyIndex"]),
                (&json!(true), &json!(17))
            );
        }
        let dry = call.run(&["apply", "-f", ".", "--dry-run=server"]).await;
        assert_eq!(dry, good(&format!("job/web {word} (server dry run)\n")));
        let dry = call.run(&["apply", "-f", ".", "--dry-run=client"]).await;
        assert_eq!(dry, good(&format!("job/web {word} (dry run)\n")));
        let standard = call
            .typing(HCL)
            .run(&["apply", "-f", "-", "-o", "name"])
            .await;
        assert_eq!(standard, good("job/web\n"));
    }
    // What "get jobs -o json" prints can be applied again, and nothing is nothing.
    for (input, out, err) in [
        (
            r#"{"apiVersion": "rove/v1", "kind": "List", "items": [{"ID": "web", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "docker", "Config": {"image": "x"}}]}]}]}"#,
            "job/web unchanged\n",
            "",
        ),
        (
            r#"{"apiVersion": "rove/v1", "kind": "List", "items": []}"#,
            "",
            "error: no objects passed to apply\n",
        ),
        (" \n", "", "error: no objects passed to apply\n"),
    ] {
        let server = Server::start().await;
        server.on("PUT /v1/job/web/plan", Answer::json(&plan("None", 17)));
        let ran = Call::to(&server.address)
            .typing(input)
            .run(&["apply", "-f", "-"])
            .await;
        assert_eq!((&*ran.out, &*ran.err), (out, err), "{input:?}");
    }
}

#[tokio::test]
async fn a_job_that_somebody_else_changed_meanwhile_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.hcl"), HCL).unwrap();
    let server = Server::start().await;
    server
        .on("PUT /v1/job/web/plan", Answer::json(&plan("Added", 0)))
        .on("PUT /v1/job/web/plan", Answer::json(&plan("Edited", 5)))
        .on(
            "PUT /v1/jobs",
            Answer::text(500, "Enforcing job modify index 0: job already exists"),
        )
        .on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
    let ran = Call::to(&server.address)
        .folder(folder.path())
        .run(&["apply", "-f", "web.hcl"])
        .await;
    assert_eq!(ran, good("job/web configured\n"));
}

#[tokio::test]
async fn one_job_that_fails_does_not_keep_the_others_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.hcl"),
        HCL.replace("\"web\"", "\"bad\""),
    )
    .unwrap();
    std::fs::write(folder.path().join("b.hcl"), HCL).unwrap();
    let server = Server::start().await;
    server
        .on("PUT /v1/job/bad/plan", Answer::text(500, "no such driver"))
        .on("PUT /v1/job/web/plan", Answer::json(&plan("Added", 0)))
        .on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
    let ran = Call::to(&server.address)
        .folder(folder.path())
        .run(&["apply", "-f", "."])
        .await;
    assert_eq!(
        ran,
        Ran {
            out: "job/web created\n".into(),
            err: "Error from server: no such driver\n".into(),
            code: 1
        }
    );
}

#[tokio::test]
async fn diff_exits_with_0_1_or_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.hcl"), HCL).unwrap();
    let Some(mut edited) = api("094", &[]) else {
        return;
    };
    edited["Diff"]["ID"] = json!("web");
    for (answer, out, code) in [
        (Answer::json(&plan("None", 1)), "", 0),
        (
            Answer::json(&edited),
            "+/- Job: \"web\"\n+/- Task Group: \"store\" (2 create, 1 in-place update)\n  +/- Count: \"1\" => \"3\" (forces create)\n      Task: \"redis\"\n",
            1,
        ),
        (Answer::text(500, "no"), "", 2),
    ] {
        let server = Server::start().await;
        server.on("PUT /v1/job/web/plan", answer);
        let ran = Call::to(&server.address)
            .folder(folder.path())
            .run(&["diff", "-f", "web.hcl"])
            .await;
        assert_eq!((ran.out.as_str(), ran.code), (out, code), "{ran:?}");
    }
}

#[tokio::test]
async fn diff_shows_every_job_of_the_files_that_differs_and_goes_on_after_one_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let job = |name: &str| HCL.replace("\"web\"", &format!("{name:?}"));
    std::fs::write(folder.path().join("a.hcl"), job("a")).unwrap();
    std::fs::write(folder.path().join("b.hcl"), job("b")).unwrap();
    let manifest = "apiVersion: rove/v1\nkind: Job\nmetadata:\n  name: c\nspec:\n  groups:\n  - name: g\n    tasks:\n    - name: t\n      driver: raw_exec\n      config:\n        command: /bin/true\n";
    let manifests = format!("{manifest}---\n{}", manifest.replace("name: c", "name: d"));
    std::fs::write(folder.path().join("c.yaml"), manifests).unwrap();
    let server = Server::start().await;
    let plan = |id: &str, kind: &str| {
        let mut answer = plan(kind, 1);
        answer["Diff"]["ID"] = json!(id);
        answer
    };
    let mut periodic = plan("c", "Edited");
    let complaint = "periodic: this version of rove does not support periodic jobs";
    periodic["Unsupported"] = json!([complaint]);
    server
        .on("PUT /v1/job/a/plan", Answer::json(&plan("a", "Added")))
        .on("PUT /v1/job/b/plan", Answer::json(&plan("b", "None")))
        .on("PUT /v1/job/c/plan", Answer::json(&periodic))
        .on("PUT /v1/job/d/plan", Answer::json(&plan("d", "Edited")));
    let call = Call::to(&server.address).folder(folder.path());
    let ran = call.run(&["diff", "-f", "."]).await;
    let out = "+ Job: \"a\"\n\n+/- Job: \"c\"\n\n+/- Job: \"d\"\n";
    let err = format!("Warning: job/c: {complaint}\n");
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str(), ran.code),
        (out, err.as_str(), 1)
    );
    let dry = call
        .run(&["apply", "-f", "c.yaml", "--dry-run=server"])
        .await;
    assert_eq!(dry.err, format!("Error from server: job/c: {complaint}\n"));
    assert_eq!(
        (dry.out.as_str(), dry.code),
        ("job/d configured (server dry run)\n", 1)
    );

    let failing = Server::start().await;
    failing
        .on("PUT /v1/job/a/plan", Answer::text(500, "no"))
        .on("PUT /v1/job/b/plan", Answer::json(&plan("b", "Edited")));
    let call = Call::to(&failing.address).folder(folder.path());
    let ran = call.run(&["diff", "-f", "a.hcl", "-f", "b.hcl"]).await;
    let seen = (ran.out.as_str(), ran.err.as_str(), ran.code);
    assert_eq!(seen, ("+/- Job: \"b\"\n", "Error from server: no\n", 2));
}

#[tokio::test]
async fn deleting_stops_and_forgets_and_waits_for_the_end() {
    let server = Server::start().await;
    let alloc = |status: &str| Answer::json(&json!([{"ID": "a", "ClientStatus": status}]));
    server
        .get("/v1/job/web", json!({"ID": "web"}))
        .on(
            "DELETE /v1/job/web?purge=true",
            Answer::json(&json!({"EvalID": "e"})),
        )
        .on("DELETE /v1/job/web", Answer::json(&json!({"EvalID": "e"})))
        .on("GET /v1/job/web/allocations", alloc("running"))
        .on("GET /v1/job/web/allocations", alloc("complete"));
    let call = Call::to(&server.address);
    assert_eq!(
        call.run(&["delete", "job/web"]).await,
        good("job \"web\" deleted\n")
    );
    let asked = server
        .requests()
        .iter()
        .filter(|r| r.target.ends_with("/allocations"))
        .count();
    assert_eq!(asked, 2);
    assert_eq!(
        call.run(&["delete", "job", "web", "--wait=false", "--purge=false"])
            .await
            .code,
        0
    );
    assert_eq!(server.requests().last().unwrap().target, "/v1/job/web");
    let gone = call.run(&["delete", "job/gone"]).await;
    assert_eq!(
        (gone.err.as_str(), gone.code),
        ("Error from server (NotFound): jobs \"gone\" not found\n", 1)
    );
    assert_eq!(
        call.run(&["delete", "job/gone", "--ignore-not-found"])
            .await,
        good("")
    );
    let server = Server::start().await;
    server
        .get("/v1/job/web", json!({"ID": "web"}))
        .on(
            "DELETE /v1/job/web?purge=true",
            Answer::json(&json!({"EvalID": "e"})),
        )
        .on("GET /v1/job/web/allocations", alloc("running"));
    let ran = Call::to(&server.address)
        .run(&["delete", "job/web", "--timeout=1ms"])
        .await;
    assert_eq!(
        ran.err,
        "error: timed out waiting for the allocs of job \"web\" to end\n"
    );
    assert_eq!(ran.code, 1);
}

#[tokio::test]
async fn of_files_only_what_a_selector_fits_is_deleted_and_nothing_when_a_flag_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (name, env) in [("a", "staging"), ("b", "production")] {
        let text = format!(
            "job \"{name}\" {{\n  meta = {{ env = \"{env}\" }}\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"raw_exec\"\n      config {{\n        command = \"/bin/true\"\n      }}\n    }}\n  }}\n}}\n"
        );
        std::fs::write(folder.path().join(format!("{name}.hcl")), text).unwrap();
    }
    let server = Server::start().await;
    server
        .get("/v1/job/a?*", json!({"ID": "a"}))
        .on("DELETE /v1/job/a?*", Answer::json(&json!({"EvalID": "e"})));
    let call = Call::to(&server.address).folder(folder.path());
    let chosen = ["delete", "-f", ".", "-l", "env=staging", "--wait=false"];
    let ran = call.run(&[&chosen[..], &["--timeout=soon"]].concat()).await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 1), "{}", ran.err);
    assert!(server.requests().is_empty());
    assert_eq!(call.run(&chosen).await, good("job \"a\" deleted\n"));
    assert!(
        server
            .requests()
            .iter()
            .all(|r| r.target.contains("/job/a"))
    );
}

#[tokio::test]
async fn scaling_names_the_group_or_asks_for_it() {
    let server = Server::start().await;
    let group = |name: &str| json!({"Name": name, "Count": 1});
    server
        .get(
            "/v1/job/web",
            json!({"ID": "web", "TaskGroups": [group("g")]}),
        )
        .get(
            "/v1/job/two",
            json!({"ID": "two", "TaskGroups": [group("a"), group("b")]}),
        )
        .on(
            "PUT /v1/job/web/scale",
            Answer::json(&json!({"EvalID": "e"})),
        )
        .on(
            "PUT /v1/job/two/scale",
            Answer::json(&json!({"EvalID": "e"})),
        );
    let call = Call::to(&server.address);
    assert_eq!(
        call.run(&["scale", "job/web", "--replicas=3"]).await,
        good("job/web scaled\n")
    );
    assert_eq!(
        call.run(&["scale", "--replicas=3", "job", "two", "--group=b"])
            .await,
        good("job/two scaled\n")
    );
    let several = call.run(&["scale", "job/two", "--replicas=3"]).await;
    assert_eq!(
        several.err,
        "error: job/two has several groups, name one with --group: a, b\n"
    );
    let current = call
        .run(&["scale", "job/web", "--replicas=3", "--current-replicas=2"])
        .await;
    assert_eq!(current.err, "error: Expected replicas to be 2, was 1\n");
    assert_eq!(
        call.run(&["scale", "job/web", "--replicas=-1"]).await.code,
        1
    );
}

#[tokio::test]
async fn what_get_gives_as_yaml_or_json_can_be_applied_again_and_is_the_same_job() {
    let (Some(job), Some(list)) = (api("122", &[]), api("071", &[("\"cache\"", "\"pair\"")]))
    else {
        return;
    };
    let server = Server::start().await;
    server
        .get("/v1/jobs?prefix=pair", list)
        .get("/v1/job/pair?namespace=default", job.clone())
        .on(
            "PUT /v1/job/pair/plan?namespace=default",
            Answer::json(&plan("Edited", 40)),
        )
        .on(
            "PUT /v1/jobs?namespace=default",
            Answer::json(&json!({"EvalID": "e"})),
        );
    let folder = tempfile::tempdir().unwrap();
    let call = Call::to(&server.address).folder(folder.path());
    for format in ["yaml", "json"] {
        let ran = call.run(&["get", "job/pair", "-o", format]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let name = format!("pair.{format}");
        std::fs::write(folder.path().join(&name), &ran.out).unwrap();
        let applied = call.run(&["apply", "-f", &name]).await;
        assert_eq!(applied, good("job/pair configured\n"), "{}", ran.out);
        let sent: Value = serde_json::from_str(&server.requests().last().unwrap().body).unwrap();
        let canonical = |value: &Value| {
            let mut job: rove_model::job::Job = serde_json::from_value(value.clone()).unwrap();
            job.server_canonicalize();
            serde_json::to_value(&job.task_groups).unwrap()
        };
        let differing = differences("", &canonical(&sent["Job"]), &canonical(&job));
        assert_eq!(differing, Vec::<String>::new(), "{format}");
    }
}

#[tokio::test]
async fn a_stream_of_manifests_is_applied_one_after_the_other() {
    let manifest = |name: &str| {
        format!(
            "apiVersion: rove/v1\nkind: Job\nmetadata:\n  name: {name}\nspec:\n  groups:\n  - name: g\n    tasks:\n    - name: t\n      driver: raw_exec\n      config:\n        command: /bin/true\n"
        )
    };
    let server = Server::start().await;
    for name in ["a", "b"] {
        server.on(
            &format!("PUT /v1/job/{name}/plan"),
            Answer::json(&plan("Added", 0)),
        );
    }
    server.on("PUT /v1/jobs", Answer::json(&json!({"EvalID": "e"})));
    let call =
        Call::to(&server.address).typing(&format!("{}---\n{}", manifest("a"), manifest("b")));
    assert_eq!(
        call.run(&["apply", "-f", "-"]).await,
        good("job/a created\njob/b created\n")
    );
    let two = call.run(&["job", "run", "-detach", "-"]).await;
    assert!(two.err.contains("it holds 2 jobs"), "{}", two.err);
    let bad = Call::to(&server.address).typing("kind: Job\nspec:\n  colour: red\n");
    let ran = bad.run(&["apply", "-f", "-"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("error: parsing job file from -:\n") && ran.err.contains("colour"),
        "{}",
        ran.err
    );
}

/// Where two values differ; null, empty and zero are equal.
fn differences(path: &str, a: &Value, b: &Value) -> Vec<String> {
    let nothing = |v: &Value| {
        v.is_null()
            || v.as_f64() == Some(0.0)
            || v.as_bool() == Some(false)
            || v.as_str() == Some("")
            || v.as_array().is_some_and(Vec::is_empty)
            || v.as_object().is_some_and(serde_json::Map::is_empty)
    };
    match (a, b) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> =
                one.keys().chain(other.keys()).collect();
            keys.into_iter()
                .flat_map(|k| differences(&format!("{path}.{k}"), &a[k], &b[k]))
                .collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .flat_map(|(i, (a, b))| differences(&format!("{path}[{i}]"), a, b))
            .collect(),
        _ if a == b || (nothing(a) && nothing(b)) => Vec::new(),
        _ => vec![format!("{path}: {a} and not {b}")],
    }
}
