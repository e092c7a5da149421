//! Blocking queries wake for their own data, and only for it.

use std::{sync::Arc, time::Duration};

use rove_model::ids::JobKey;
use serde_json::Value;
use tokio::time::Instant;

use super::world::{Reply, World, small_job};

async fn asked(world: &Arc<World>, path: String) -> tokio::task::JoinHandle<(Reply, Duration)> {
    let world = world.clone();
    let task = tokio::spawn(async move {
        let began = Instant::now();
        let reply = world.get(&path).await;
        (reply, began.elapsed())
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_for_a_change_of_its_own_data() {
    let world = Arc::new(World::new().await);
    let (index, eval) = world.register(&small_job("web")).await;
    world.register(&small_job("other")).await;
    let shown = world.get("/v1/job/web").await;
    let waiting = asked(
        &world,
        format!("/v1/job/web?index={}&wait=1m", shown.index()),
    )
    .await;
    world.call("DELETE", "/v1/job/other", &Value::Null).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished(), "another job is not its business");

    world.settle(&JobKey::new("default", "web"), eval).await;
    let (reply, took) = waiting.await.unwrap();
    assert!(reply.index() > index);
    assert!(
        took >= Duration::from_secs(10) && took < Duration::from_secs(12),
        "{took:?}"
    );
    assert_eq!(reply.headers["x-nomad-knownleader"], "true");
    assert_eq!(reply.headers["x-nomad-lastcontact"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_with_its_time_and_a_little_jitter() {
    let world = Arc::new(World::new().await);
    world.register(&small_job("web")).await;
    let waiting = asked(&world, "/v1/job/web?index=9999&wait=16s".to_owned()).await;
    let (reply, took) = waiting.await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.index() < 9999);
    assert!(
        took >= Duration::from_secs(16) && took <= Duration::from_secs(17),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_query_for_what_is_not_there_wakes_when_it_comes() {
    let world = Arc::new(World::new().await);
    let missing = world.get("/v1/job/web").await;
    assert_eq!(missing.status, 404);
    let index = missing.index().max(1);
    let waiting = asked(&world, format!("/v1/job/web?index={index}&wait=1m")).await;
    world.register(&small_job("web")).await;
    let (reply, _) = waiting.await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test(start_paused = true)]
async fn every_list_wakes_and_its_index_grows() {
    let world = Arc::new(World::new().await);
    world.with_node().await;
    let (_, eval) = world.register(&small_job("web")).await;
    let mut waiting = Vec::new();
    for path in [
        "/v1/jobs",
        "/v1/allocations",
        "/v1/evaluations",
        "/v1/deployments",
        "/v1/job/web/allocations",
        "/v1/job/web/evaluations",
        "/v1/job/web/deployments",
        "/v1/job/web/summary",
    ] {
        let before = world.get(path).await.index().max(1);
        let task = asked(&world, format!("{path}?index={before}&wait=5m")).await;
        waiting.push((path, before, task));
    }
    world.settle(&JobKey::new("default", "web"), eval).await;
    for (path, before, task) in waiting {
        let (reply, took) = task.await.unwrap();
        assert!(reply.index() > before, "{path}");
        assert!(took < Duration::from_secs(60), "{path}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_what_never_was_has_an_index_and_a_query_that_goes_on_from_it_waits() {
    let world = Arc::new(World::new().await);
    let mut waiting = Vec::new();
    for path in [
        "/v1/jobs",
        "/v1/allocations",
        "/v1/evaluations",
        "/v1/evaluations/count",
        "/v1/deployments",
        "/v1/nodes",
        "/v1/node/pools",
        "/v1/namespaces",
        "/v1/services",
        "/v1/volumes",
        "/v1/vars",
        "/v1/job/web",
        "/v1/job/web/summary",
        "/v1/job/web/versions",
        "/v1/job/web/allocations",
        "/v1/job/web/evaluations",
        "/v1/job/web/deployments",
        "/v1/job/web/deployment",
        "/v1/job/web/scale",
        "/v1/job/web/submission",
        "/v1/operator/scheduler/configuration",
        "/v1/allocation/6f9f9f9e-0000-4000-8000-000000000001",
        "/v1/evaluation/6f9f9f9e-0000-4000-8000-000000000001",
        "/v1/evaluation/6f9f9f9e-0000-4000-8000-000000000001/allocations",
        "/v1/deployment/6f9f9f9e-0000-4000-8000-000000000001",
        "/v1/node/6f9f9f9e-0000-4000-8000-000000000001",
        "/v1/node/6f9f9f9e-0000-4000-8000-000000000001/allocations",
    ] {
        let fresh = world.get(path).await;
        assert!(fresh.index() > 0, "{path}: {} {}", fresh.status, fresh.text);
        let query = format!("{path}?index={}&wait=30s", fresh.index());
        waiting.push((path, asked(&world, query).await));
    }
    for (path, task) in waiting {
        // `/v1/services` and its like can't change: they may answer at once, but never with 0.
        let fixed = [
            "count",
            "namespaces",
            "services",
            "volumes",
            "vars",
            "submission",
            "configuration",
        ];
        let (reply, took) = task.await.unwrap();
        assert!(reply.index() > 0, "{path}");
        if !fixed.iter().any(|end| path.ends_with(end)) {
            assert!(took >= Duration::from_secs(30), "{path}: {took:?}");
        }
    }
    let gone = world.call("DELETE", "/v1/job/nope", &Value::Null).await;
    assert!(gone.index() > 0, "{}", gone.text);
}
