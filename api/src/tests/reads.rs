//! Reads: what is computed, lists in pages, what is not shown.

use futures::StreamExt;
use rove_model::{
    alloc::{ClientStatus, DesiredStatus},
    deployment::DeploymentStatus,
    eval::{EvalStatus, TriggeredBy},
    ids::{EvalId, JobKey},
    node::NodeEvent,
    registration::{CollectedCounts, JobCollected},
};
use rove_store::keys::Key;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::world::{
    World, alloc, complete_eval, deployment, ready_status, running, small_job, uuid,
};
use crate::time::rfc3339_option;

fn web() -> JobKey {
    JobKey::new("default", "web")
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["ID"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_jobs_status_follows_its_allocs_and_evaluations() {
    for (what, client, desired, eval, stop, expected) in [
        ("nothing but the wish", None, None, None, false, "pending"),
        (
            "an evaluation under way",
            None,
            None,
            Some(EvalStatus::Pending),
            false,
            "pending",
        ),
        (
            "a blocked one",
            None,
            None,
            Some(EvalStatus::Blocked),
            false,
            "pending",
        ),
        (
            "an alloc that will start",
            None,
            Some(DesiredStatus::Run),
            Some(EvalStatus::Complete),
            false,
            "running",
        ),
        (
            "an alloc that runs",
            Some(ClientStatus::Running),
            Some(DesiredStatus::Run),
            Some(EvalStatus::Complete),
            false,
            "running",
        ),
        (
            "an alloc that ended",
            Some(ClientStatus::Complete),
            Some(DesiredStatus::Run),
            Some(EvalStatus::Complete),
            false,
            "dead",
        ),
        (
            "an alloc that is to stop",
            Some(ClientStatus::Running),
            Some(DesiredStatus::Stop),
            Some(EvalStatus::Complete),
            true,
            "dead",
        ),
        (
            "an alloc whose node is lost, and its successor waits",
            Some(ClientStatus::Running),
            Some(DesiredStatus::Lost),
            Some(EvalStatus::Blocked),
            false,
            "pending",
        ),
        (
            "its evaluation done, and nothing placed",
            None,
            None,
            Some(EvalStatus::Complete),
            false,
            "dead",
        ),
    ] {
        let world = World::new().await;
        let (_, asked) = world.register(&small_job("web")).await;
        if stop {
            world.call("DELETE", "/v1/job/web", &Value::Null).await;
        }
        let state = world.state.latest();
        let asked = if stop {
            state.registration(&web()).unwrap().eval.id
        } else {
            asked
        };
        if let Some(status) = eval {
            let mut made = complete_eval(&state, &web(), asked);
            made.status = status;
            world.put(&Key::Eval(asked), &made).await;
        }
        if let Some(desired) = desired {
            let mut placed = alloc(&state, &web(), 4, asked);
            placed.desired_status = desired;
            world
                .put(&Key::Alloc(placed.node_id, placed.id), &placed)
                .await;
            if let Some(client) = client {
                let mut status = running(&placed);
                status.client_status = client;
                world
                    .put(&Key::AllocStatus(placed.node_id, placed.id), &status)
                    .await;
            }
        }
        let shown = world.get("/v1/job/web").await.json();
        assert_eq!(shown["Status"], expected, "{what}");
        let listed = world.get("/v1/jobs").await.json();
        assert_eq!(listed[0]["Status"], expected, "{what}");
    }
}

#[tokio::test]
async fn a_summary_counts_what_is_there_what_waits_and_what_was_collected() {
    let world = World::new().await;
    let (_, asked) = world.register(&small_job("web")).await;
    let state = world.state.latest();
    for (number, client, desired) in [
        (10, None, DesiredStatus::Run),
        (11, Some(ClientStatus::Running), DesiredStatus::Run),
        (12, Some(ClientStatus::Failed), DesiredStatus::Run),
        (13, Some(ClientStatus::Complete), DesiredStatus::Stop),
        (14, Some(ClientStatus::Running), DesiredStatus::Lost),
    ] {
        let mut placed = alloc(&state, &web(), number, asked);
        placed.desired_status = desired;
        world
            .put(&Key::Alloc(placed.node_id, placed.id), &placed)
            .await;
        if let Some(client) = client {
            let mut status = running(&placed);
            status.client_status = client;
            world
                .put(&Key::AllocStatus(placed.node_id, placed.id), &status)
                .await;
        }
    }
    let mut blocked = complete_eval(&state, &web(), EvalId(uuid(8)));
    blocked.status = EvalStatus::Blocked;
    blocked.triggered_by = TriggeredBy::QueuedAllocs;
    blocked.queued_allocations.insert("g".into(), 3);
    world.put(&Key::Eval(blocked.id), &blocked).await;
    let counts = CollectedCounts {
        complete: 5,
        failed: 1,
        lost: 2,
    };
    let collected = JobCollected {
        uid: Some(blocked.job_uid),
        groups: [("g".into(), counts)].into(),
    };
    world.put(&Key::JobCollected(web()), &collected).await;
    let summary = world.get("/v1/job/web/summary").await.json();
    assert_eq!(
        summary["Summary"]["g"],
        json!({
            "Queued": 3, "Complete": 6, "Failed": 2, "Running": 1, "Starting": 1, "Lost": 3, "Unknown": 0,
        })
    );
    // A stopped job waits for nothing.
    world.call("DELETE", "/v1/job/web", &Value::Null).await;
    let summary = world.get("/v1/job/web/summary").await.json();
    assert_eq!(summary["Summary"]["g"]["Queued"], 0, "{summary}");
}

#[tokio::test]
async fn the_deadline_of_a_roll_out_moves_with_its_newest_healthy_alloc_until_it_ends() {
    let world = World::new().await;
    let (_, asked) = world.register(&small_job("web")).await;
    let placed = world.settle(&web(), asked).await;
    let state = world.state.latest();
    let told = async || {
        let shown = world.get("/v1/job/web/deployment").await.json();
        shown["TaskGroups"]["g"]["RequireProgressBy"].clone()
    };
    let mut rollout = deployment(&state, &web());
    let group = rollout.task_groups.get_mut(&"g".into()).unwrap();
    group.require_progress_by = Some(1_795_326_000_000_000_000);
    let last_word = "2026-11-22T05:40:00Z";
    world.put(&Key::Deployment(rollout.id), &rollout).await;
    assert_eq!(told().await, last_word);

    rollout.status = DeploymentStatus::Running;
    world.put(&Key::Deployment(rollout.id), &rollout).await;
    let status = state.alloc_status(placed).unwrap();
    let healthy = status.deployment_status.as_ref().unwrap();
    let due = rfc3339_option(Some(healthy.timestamp + 600_000_000_000)).unwrap();
    assert_eq!(told().await, due);
    assert_ne!(due, last_word);
}

#[tokio::test]
async fn a_node_has_registered_once() {
    let world = World::new().await;
    let node = world.with_node().await;
    let path = format!("/v1/node/{node}");
    let told = async || {
        let shown = world.get(&path).await.json();
        let events = shown["Events"].as_array().unwrap().clone();
        events
            .iter()
            .map(|e| e["Message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(told().await, ["Node registered"]);
    let mut status = ready_status();
    for message in ["Node registered", "Node heartbeat missed"] {
        status.events.push(NodeEvent {
            timestamp: 1_795_325_547_000_000_000,
            subsystem: "Cluster".to_owned(),
            message: message.to_owned(),
        });
    }
    world.put(&Key::NodeStatus(node), &status).await;
    assert_eq!(told().await, ["Node registered", "Node heartbeat missed"]);
}

#[tokio::test]
async fn a_successor_is_named_and_the_events_of_tasks_are_read_from_the_store() {
    let world = World::new().await;
    let (_, asked) = world.register(&small_job("web")).await;
    let first = world.settle(&web(), asked).await;
    let state = world.state.latest();
    let mut second = alloc(&state, &web(), 5, asked);
    second.previous_allocation = Some(first);
    world
        .put(&Key::Alloc(second.node_id, second.id), &second)
        .await;
    let shown = world.get(&format!("/v1/allocation/{first}")).await.json();
    assert_eq!(shown["NextAllocation"], json!(second.id));
    let events = shown["TaskStates"]["t"]["Events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[1]["Message"], "Building Task Directory");
    assert_eq!(shown["Metrics"]["NodesEvaluated"], 1);
    let listed = world.get("/v1/job/web/allocations").await.json();
    assert_eq!(listed[0]["NextAllocation"], json!(second.id));
    let node = format!("/v1/node/{}/allocations", second.node_id);
    let of_node = world.get(&node).await.json();
    assert_eq!(of_node.as_array().unwrap().len(), 2);
    assert_eq!(of_node[0]["Job"]["ID"], "web");
}

#[tokio::test]
async fn lists_come_in_pages_and_are_filtered() {
    let world = World::new().await;
    for name in ["a", "b", "b/c", "d"] {
        world.register(&small_job(name)).await;
    }
    let page = world.get("/v1/jobs?per_page=2").await;
    assert_eq!(ids(&page.json()), ["a", "b"]);
    assert_eq!(page.headers["x-nomad-nexttoken"], "default.b/c");
    let next = world
        .get("/v1/jobs?per_page=2&next_token=default.b%2Fc")
        .await;
    assert_eq!(ids(&next.json()), ["b/c", "d"]);
    assert!(!next.headers.contains_key("x-nomad-nexttoken"));
    for (query, expected) in [
        ("prefix=b", vec!["b", "b/c"]),
        ("filter=ID%20%3D%3D%20%22a%22", vec!["a"]),
        ("namespace=*", vec!["a", "b", "b/c", "d"]),
        ("namespace=nope", vec![]),
    ] {
        let reply = world.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(ids(&reply.json()), expected, "{query}");
    }
    let bad = world
        .get("/v1/jobs?filter=Colour%20%3D%3D%20%22red%22")
        .await;
    assert_eq!(
        (bad.status.as_u16(), &*bad.text),
        (
            400,
            "failed to read result page: error finding value in datum: /Colour at part 0: couldn't find key: struct \
             field with name \"Colour\""
        )
    );
    assert_eq!(world.get("/v1/job/b%2Fc").await.json()["ID"], "b/c");
    assert_eq!(world.get("/v1/job/b/c").await.json()["ID"], "b/c");
    let pretty = world.get("/v1/jobs?prefix=a&pretty").await.text;
    assert!(
        pretty.starts_with("[\n    {\n        \"ID\": \"a\""),
        "{pretty}"
    );

    let evals = world.get("/v1/evaluations?status=pending").await.json();
    assert_eq!(
        evals.as_array().unwrap().len(),
        4,
        "those asked for are listed"
    );
    let of_job = world.get("/v1/evaluations?job=d").await.json();
    assert_eq!(of_job.as_array().unwrap().len(), 1);
    assert_eq!(world.get("/v1/evaluations/count").await.json()["Count"], 4);
}

#[tokio::test]
async fn a_search_finds_what_begins_with_a_text() {
    let world = World::new().await;
    let node = world.with_node().await;
    for number in 0..25 {
        world.register(&small_job(&format!("job{number:02}"))).await;
    }
    let search = async |prefix: &str, context: &str| {
        let body = json!({"Prefix": prefix, "Context": context});
        world.call("POST", "/v1/search", &body).await.json()
    };
    let jobs = search("job", "jobs").await;
    assert_eq!(jobs["Matches"]["jobs"].as_array().unwrap().len(), 20);
    assert_eq!(jobs["Truncations"]["jobs"], true);
    let all = search("0101", "all").await;
    assert_eq!(all["Matches"]["nodes"], json!([node]));
    assert_eq!(all["Matches"]["jobs"], Value::Null);
    assert_eq!(all["Truncations"]["nodes"], false);
}

/// The objects of a stream until `enough` of them came that are no heartbeats.
async fn told(
    body: &mut (impl futures::Stream<Item = Result<bytes::Bytes, axum::Error>> + Unpin),
    enough: usize,
) -> Vec<Value> {
    let mut objects = Vec::new();
    let mut rest = String::new();
    while objects.len() < enough {
        let chunk = tokio::time::timeout(rove_testkit::PATIENCE, body.next());
        let chunk = chunk
            .await
            .expect("nothing is told")
            .expect("it ended")
            .unwrap();
        rest.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((line, after)) = rest.split_once('\n') {
            let value: Value = serde_json::from_str(line).unwrap();
            if value != json!({}) {
                objects.push(value);
            }
            rest = after.to_owned();
        }
    }
    objects
}

#[tokio::test]
async fn what_changes_is_told_to_those_who_listen() {
    let world = World::new().await;
    let (before, _) = world.register(&small_job("past")).await;
    let listen = async |query: &str| {
        let request = axum::http::Request::get(format!("/v1/event/stream?{query}"))
            .body(axum::body::Body::empty())
            .unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        response.into_body().into_data_stream()
    };
    let mut all = listen(&format!("index={before}")).await;
    let mut allocs = listen("topic=Allocation:web&topic=Deployment:*").await;
    let mut others = listen("topic=Job:other").await;
    let past = told(&mut all, 1).await;
    assert_eq!(past[0]["Events"][0]["Key"], "past");
    assert_eq!(past[0]["Index"], json!(before));

    let (index, eval) = world.register(&small_job("web")).await;
    let now = told(&mut all, 1).await;
    assert_eq!(now[0]["Index"], json!(index));
    let event = &now[0]["Events"][0];
    assert_eq!(
        (&event["Topic"], &event["Type"], &event["Namespace"]),
        (&json!("Job"), &json!("JobRegistered"), &json!("default"))
    );
    assert_eq!(event["Payload"]["Job"]["ID"], "web");

    world.settle(&web(), eval).await;
    let heard: Vec<Value> = told(&mut allocs, 3)
        .await
        .iter()
        .map(|object| object["Events"][0]["Topic"].clone())
        .collect();
    assert_eq!(heard, ["Allocation", "Deployment", "Allocation"]);
    world.register(&small_job("other")).await;
    let heard = told(&mut others, 1).await;
    assert_eq!(heard[0]["Events"][0]["Key"], "other");
    assert_eq!(world.get("/v1/event/stream?index=x").await.status, 400);
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let world = World::new().await;
    let node = world.with_node().await;
    let shown = world.get(&format!("/v1/node/{node}")).await.json();
    assert_eq!(shown["SecretID"], "");
}

/// The ids in a list of jobs, allocs, … that a filter lets through.
async fn filtered(world: &World, list: &str, filter: &str) -> (u16, Vec<String>) {
    let filter = percent_encoding::utf8_percent_encode(filter, percent_encoding::NON_ALPHANUMERIC);
    let mark = if list.contains('?') { '&' } else { '?' };
    let reply = world.get(&format!("{list}{mark}filter={filter}")).await;
    if reply.status != 200 {
        return (reply.status.as_u16(), vec![reply.text]);
    }
    (
        200,
        ids(&reply.json()).into_iter().map(str::to_owned).collect(),
    )
}

#[tokio::test]
async fn a_filter_on_what_an_entry_lacks_is_no_match() {
    let world = World::new().await;
    world.with_node().await;
    let mut packed = small_job("packed");
    packed["Meta"] = json!({"pack.deployment_name": "x", "empty": ""});
    world.register(&packed).await;
    let (_, eval) = world.register(&small_job("bare")).await;
    world.settle(&JobKey::new("default", "bare"), eval).await;
    let mut periodic = small_job("tick");
    periodic["Type"] = json!("batch");
    periodic["Periodic"] = json!({"Enabled": true, "Spec": "@daily", "SpecType": "cron"});
    world
        .call("PUT", "/v1/jobs", &json!({"Job": periodic}))
        .await;
    for (list, filter, expected) in [
        // What a deployer asks, with and without the meta in the list.
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] == "x""#,
            vec!["packed"],
        ),
        (
            "/v1/jobs?meta=true",
            r#"Meta["pack.deployment_name"] == "x""#,
            vec!["packed"],
        ),
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] != "x""#,
            vec!["bare"],
        ),
        (
            "/v1/jobs",
            r#""/Meta/pack.deployment_name" == "x""#,
            vec!["packed"],
        ),
        ("/v1/jobs", r#"Meta["empty"] == """#, vec!["packed"]),
        ("/v1/jobs", r#"Meta["nowhere"] == """#, vec![]),
        (
            "/v1/jobs",
            r#"Meta["nowhere"] != """#,
            vec!["bare", "packed"],
        ),
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] is empty"#,
            vec!["bare"],
        ),
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] is not empty"#,
            vec!["packed"],
        ),
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] matches "^x$""#,
            vec!["packed"],
        ),
        (
            "/v1/jobs",
            r#"Meta["pack.deployment_name"] not matches "^x$""#,
            vec!["bare"],
        ),
        (
            "/v1/jobs",
            r#""x" in Meta["pack.deployment_name"]"#,
            vec!["packed"],
        ),
        (
            "/v1/jobs",
            r#""x" not in Meta["pack.deployment_name"]"#,
            vec!["bare"],
        ),
        ("/v1/jobs", r#"Meta contains "empty""#, vec!["packed"]),
        ("/v1/jobs", r#""empty" not in Meta"#, vec!["bare"]),
        (
            "/v1/jobs",
            r#"not (Meta["a"] == "b" or Meta["c"] == "d")"#,
            vec!["bare", "packed"],
        ),
        // Fields of the job that the list leaves out, and what is below a block that is not there.
        ("/v1/jobs", "AllAtOnce == false", vec!["bare", "packed"]),
        ("/v1/jobs", r#"Update.Canary == 1"#, vec![]),
        (
            "/v1/jobs",
            r#"JobSummary.Summary["nope"].Running == 1"#,
            vec![],
        ),
    ] {
        let (status, mut found) = filtered(&world, list, filter).await;
        found.retain(|id| id != "tick");
        assert_eq!(
            (status, found),
            (200, expected.iter().map(ToString::to_string).collect()),
            "{list} {filter}"
        );
    }
    let all = |reply: (u16, Vec<String>)| (reply.0, reply.1.len());
    for (list, filter, expected) in [
        ("/v1/allocations", r#"TaskStates["nope"].Failed == true"#, 0),
        ("/v1/allocations", r#"TaskStates["nope"].Failed != true"#, 1),
        (
            "/v1/allocations",
            r#"AllocatedResources.Tasks["t"].Cpu.CpuShares == 20"#,
            1,
        ),
        ("/v1/allocations", "DeploymentStatus.Healthy == true", 1),
        ("/v1/allocations", "NetworkStatus.DNS.Servers == true", 0),
        (
            "/v1/allocations",
            r#"Metrics.NodesAvailable["dc9"] == 1"#,
            0,
        ),
        ("/v1/allocations", r#"RescheduleTracker.Events is empty"#, 1),
        // What an evaluation leaves out while it is empty.
        ("/v1/evaluations", r#"NodeID == "x""#, 0),
        ("/v1/evaluations?job=bare", r#"DeploymentID != "x""#, 1),
        ("/v1/evaluations?job=bare", r#"WaitUntil is empty"#, 1),
        (
            "/v1/evaluations",
            r#"FailedTGAllocs["nope"].NodesEvaluated == 3"#,
            0,
        ),
        (
            "/v1/deployments",
            r#"TaskGroups["nope"].Promoted == true"#,
            0,
        ),
        ("/v1/nodes", r#"Attributes["kernel.name"] == "linux""#, 1),
        (
            "/v1/nodes?os=true",
            r#"Attributes["kernel.name"] == "linux""#,
            1,
        ),
        ("/v1/nodes", r#"Attributes["nope"] == "linux""#, 0),
        (
            "/v1/nodes",
            r#"Meta["rack"] == "r1" and Meta["row"] != "2""#,
            1,
        ),
        ("/v1/nodes", r#"Drivers["nope"].Healthy == true"#, 0),
        ("/v1/nodes", r#"HostVolumes["data"] is empty"#, 1),
    ] {
        let found = filtered(&world, list, filter).await;
        assert_eq!(
            all(found.clone()),
            (200, expected),
            "{list} {filter}: {found:?}"
        );
    }
    for list in [
        "/v1/jobs",
        "/v1/allocations",
        "/v1/evaluations",
        "/v1/nodes",
    ] {
        let (status, text) = filtered(&world, list, "Colour == 1").await;
        assert_eq!(
            status, 400,
            "{list}: a field that no entry has is a mistake"
        );
        assert!(text[0].contains("Colour"), "{text:?}");
    }
}
