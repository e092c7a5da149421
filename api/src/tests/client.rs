//! Files, logs and usage: from the agent in the process, and over real sockets from another.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use rove_agent::{
    drivers::Signal,
    files::{FileError, FileInfo},
    handle::{Frame, FrameStream, HandleError, ReadOptions},
    identity::Identity,
    logs::LogKind,
    usage::{AllocUsage, HostStats},
};
use rove_model::{
    ids::{AllocId, JobKey, NodeId},
    node::Node,
};
use rove_store::keys::Key;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::world::{TestSources, World, info, node, send, small_job, uuid};
use crate::{ApiContext, Limits, LocalAgent, Mode, router, serve};

/// An agent with one alloc that has one file and one log.
struct FakeAgent {
    node: Node,
    alloc: AllocId,
}

impl FakeAgent {
    fn new(number: u8, alloc: AllocId) -> Arc<Self> {
        Arc::new(Self {
            node: node(number),
            alloc,
        })
    }

    fn known(&self, alloc: AllocId) -> Result<(), HandleError> {
        if alloc == self.alloc {
            Ok(())
        } else {
            Err(HandleError::UnknownAlloc(alloc))
        }
    }
}

fn frames(text: &'static str, file: &str, options: ReadOptions) -> FrameStream {
    let from = usize::try_from(options.offset)
        .unwrap_or(usize::MAX)
        .min(text.len());
    let frame = Frame {
        data: Bytes::from_static(&text.as_bytes()[from..]),
        file: file.to_owned(),
        offset: text.len() as u64,
    };
    Box::pin(futures::stream::iter([Ok(frame)]))
}

#[async_trait]
impl LocalAgent for FakeAgent {
    fn node_id(&self) -> NodeId {
        self.node.id
    }
    fn node(&self) -> Arc<Node> {
        Arc::new(self.node.clone())
    }
    fn has_alloc(&self, alloc: AllocId) -> bool {
        alloc == self.alloc
    }
    fn alloc_count(&self) -> usize {
        1
    }
    fn connected(&self) -> bool {
        true
    }
    async fn list(&self, alloc: AllocId, path: &str) -> Result<Vec<FileInfo>, HandleError> {
        self.known(alloc)?;
        if path.contains("..") {
            return Err(FileError::Escapes.into());
        }
        if path != "/" {
            return Err(FileError::NotFound {
                operation: "open",
                path: format!("/data/alloc/{path}").into(),
            }
            .into());
        }
        Ok(vec![FileInfo {
            name: "alloc".to_owned(),
            is_dir: true,
            size: 4096,
            file_mode: "drwxrwxrwx".to_owned(),
            mod_time: "2026-11-22T05:33:07.504253881Z".to_owned(),
            content_type: String::new(),
        }])
    }
    async fn stat(&self, alloc: AllocId, path: &str) -> Result<FileInfo, HandleError> {
        self.list(alloc, path).await.map(|mut list| list.remove(0))
    }
    async fn read(
        &self,
        alloc: AllocId,
        path: &str,
        options: ReadOptions,
        _: Option<u64>,
    ) -> Result<FrameStream, HandleError> {
        self.known(alloc)?;
        if path == "zz" {
            return Err(FileError::NotFound {
                operation: "open",
                path: "/data/alloc/zz".into(),
            }
            .into());
        }
        Ok(frames("data\n", path, options))
    }
    async fn logs(
        &self,
        alloc: AllocId,
        task: &str,
        kind: LogKind,
        options: ReadOptions,
    ) -> Result<FrameStream, HandleError> {
        self.known(alloc)?;
        if task != "say" {
            return Err(HandleError::UnknownTask(task.to_owned()));
        }
        Ok(frames(
            "out-line\n",
            &format!("alloc/logs/say.{kind}.0"),
            options,
        ))
    }
    async fn alloc_stats(
        &self,
        alloc: AllocId,
        _: Option<&str>,
    ) -> Result<AllocUsage, HandleError> {
        self.known(alloc)?;
        Ok(AllocUsage {
            tasks: BTreeMap::new(),
            timestamp: 7,
            ..AllocUsage::default()
        })
    }
    async fn host_stats(&self) -> Result<HostStats, HandleError> {
        Ok(HostStats {
            uptime: 77,
            ..HostStats::default()
        })
    }
    async fn restart(&self, alloc: AllocId, task: Option<&str>) -> Result<(), HandleError> {
        self.known(alloc)?;
        match task {
            None | Some("say") => Ok(()),
            Some(other) => Err(HandleError::NoTaskRunner(other.to_owned())),
        }
    }
    async fn restart_all(&self, alloc: AllocId) -> Result<(), HandleError> {
        self.known(alloc)?;
        Err(HandleError::NotRunning)
    }
    async fn signal(&self, alloc: AllocId, _: Option<&str>, _: Signal) -> Result<(), HandleError> {
        self.known(alloc)
    }
    async fn collect_garbage(&self, _: Option<AllocId>) -> Result<(), HandleError> {
        Ok(())
    }
}

#[tokio::test]
async fn files_and_logs_are_answered_as_the_reference_does() {
    let alloc = AllocId(uuid(4));
    let world = World::with_agent(Some(FakeAgent::new(1, alloc))).await;
    let framed_log = json!({
        "Data": "b3V0LWxpbmUK", "File": "alloc/logs/say.stdout.0", "Offset": 9,
    });
    for (path, status, text) in [
        (
            format!("fs/logs/{alloc}?task=say&type=stdout&plain=true"),
            200,
            "out-line\n".to_owned(),
        ),
        (
            format!("fs/logs/{alloc}?task=say&type=stdout"),
            200,
            framed_log.to_string(),
        ),
        (
            format!("fs/logs/{alloc}?task=say"),
            400,
            "must provide log type (stdout/stderr)".to_owned(),
        ),
        (
            format!("fs/logs/{alloc}?type=stdout"),
            400,
            "must provide task name".to_owned(),
        ),
        (
            format!("fs/logs/{alloc}?task=zz&type=stdout"),
            400,
            "unknown task name \"zz\"".to_owned(),
        ),
        (
            format!("fs/cat/{alloc}?path=say/file.txt"),
            200,
            "data\n".to_owned(),
        ),
        (
            format!("fs/cat/{alloc}?path=zz"),
            200,
            "stat /data/alloc/zz: no such file or directory".to_owned(),
        ),
        (
            format!("fs/readat/{alloc}?path=say/file.txt&offset=1&limit=2"),
            200,
            "ata\n".to_owned(),
        ),
        (
            format!("fs/readat/{alloc}?path=say/file.txt"),
            200,
            "error parsing offset: strconv.ParseInt: parsing \"\": invalid syntax".to_owned(),
        ),
        (
            format!("fs/ls/{alloc}?path=nothing"),
            404,
            "open /data/alloc/nothing: no such file or directory".to_owned(),
        ),
        (
            format!("fs/ls/{alloc}?path=../../"),
            500,
            "Path escapes the alloc directory".to_owned(),
        ),
        (
            format!("fs/stat/{alloc}"),
            400,
            "must provide a file name".to_owned(),
        ),
        (
            format!("fs/ls/{}?path=/", AllocId(uuid(0))),
            404,
            format!("Unknown allocation \"{}\"", AllocId(uuid(0))),
        ),
    ] {
        let reply = world.get(&format!("/v1/client/{path}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text),
            (status, text),
            "{path}"
        );
    }
    let listed = world.get(&format!("/v1/client/fs/ls/{alloc}?path=/")).await;
    assert_eq!(listed.json()[0]["FileMode"], "drwxrwxrwx");
    let stats = world
        .get(&format!("/v1/client/allocation/{alloc}/stats"))
        .await;
    assert_eq!(stats.json()["Timestamp"], 7);
    assert_eq!(world.get("/v1/client/stats").await.json()["Uptime"], 77);
    let restart = format!("/v1/client/allocation/{alloc}/restart");
    let bad = world
        .call("PUT", &restart, &json!({"TaskName": "zz"}))
        .await;
    assert_eq!(
        (bad.status.as_u16(), &*bad.text),
        (500, "Could not find task runner for task: zz")
    );
    let good = world
        .call("PUT", &restart, &json!({"TaskName": "say"}))
        .await;
    assert_eq!(good.json(), json!({"Index": 0}));
    let health = world.get("/v1/agent/health").await;
    assert_eq!(health.json()["client"]["ok"], true);
}

/// Serves a context on a socket of its own.
async fn listen(context: ApiContext, cancel: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let cancel = cancel.clone();
    tokio::spawn(async move {
        serve(listener, router(context), Limits::default(), cancel)
            .await
            .unwrap()
    });
    address
}

async fn register_secret(world: &World, identity: &Identity) {
    let (store, secret) = (&*world.store, &identity.secret);
    rove_store::node_secret::fix(store, &world.keys, identity.node_id, secret)
        .await
        .unwrap();
}

/// Takes what is sent to it and answers each call with `answer`.
async fn stranger(answer: &'static str) -> (String, Arc<std::sync::Mutex<String>>) {
    stranger_saying("200 OK", answer).await
}

async fn stranger_saying(
    status: &'static str,
    answer: &'static str,
) -> (String, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let hears = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let hears = hears.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    hears
                        .lock()
                        .unwrap()
                        .push_str(&String::from_utf8_lossy(&buffer[..count]));
                    let length = answer.len();
                    let text =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}");
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, heard)
}

#[tokio::test]
async fn a_node_that_names_a_strangers_address_gets_nothing_of_the_call() {
    let world = World::new().await;
    let (_, eval) = world.register(&small_job("web")).await;
    let alloc = world.settle(&JobKey::new("default", "web"), eval).await;
    let forged = r#"{"Proof":"00","Ticket":"1-00"}"#;
    for (answer, with_secret) in [("", false), ("", true), ("{}", true), (forged, true)] {
        let (address, heard) = stranger(answer).await;
        let mut there = node(1);
        there.http_addr.clone_from(&address);
        world.put(&Key::Node(there.id), &there).await;
        if with_secret {
            register_secret(&world, &Identity::new(there.id, [1; 32])).await;
        }
        for (method, path) in [
            (
                "GET",
                format!("/v1/client/fs/logs/{alloc}?task=t&type=stdout"),
            ),
            ("GET", format!("/v1/client/fs/cat/{alloc}?path=hidden-path")),
            ("PUT", format!("/v1/client/allocation/{alloc}/restart")),
            ("GET", format!("/v1/client/stats?node_id={}", there.id)),
            ("PUT", format!("/v1/client/gc?node_id={}", there.id)),
        ] {
            let request = axum::http::Request::builder()
                .method(method)
                .uri(&path)
                .header("X-Nomad-Token", "the-callers-token")
                .header("Authorization", "Bearer the-callers-token")
                .header("Cookie", "the-callers-cookie")
                .body(axum::body::Body::from(r#"{"TaskName":"hidden-body"}"#))
                .unwrap();
            let reply = world.router.clone().oneshot(request).await.unwrap();
            assert_eq!(reply.status(), 500, "{path}");
        }
        let heard = heard.lock().unwrap().clone();
        for hidden in [
            "the-callers",
            "hidden",
            "/fs/",
            "/allocation/",
            "/stats",
            "/gc",
        ] {
            assert!(!heard.contains(hidden), "{hidden} in {heard}");
        }
    }
}

#[tokio::test]
async fn the_agent_of_a_node_hears_what_is_asked_but_not_by_whom() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let (_, eval) = world.register(&small_job("web")).await;
    let alloc = world.settle(&JobKey::new("default", "web"), eval).await;
    let mut there = node(1);
    let identity = Identity::new(there.id, [1; 32]);
    register_secret(&world, &identity).await;
    let (context, _keep) = client_of(Vec::new(), Some(FakeAgent::new(1, alloc)));
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sees = seen.clone();
    let watched = router(context.with_identity(identity)).layer(axum::middleware::map_request(
        move |request: axum::extract::Request| {
            let sees = sees.clone();
            async move {
                sees.lock()
                    .unwrap()
                    .push(format!("{:?}", request.headers()));
                request
            }
        },
    ));
    let watched = watched.layer(axum::middleware::map_response(
        async |mut response: axum::response::Response| {
            let cookie = axum::http::HeaderValue::from_static("of=the-node");
            response.headers_mut().insert("set-cookie", cookie);
            response
        },
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    there.http_addr = listener.local_addr().unwrap().to_string();
    let until = cancel.clone();
    tokio::spawn(async move {
        serve(listener, watched, Limits::default(), until)
            .await
            .unwrap()
    });
    world.put(&Key::Node(there.id), &there).await;
    let request = axum::http::Request::get(format!(
        "/v1/client/fs/logs/{alloc}?task=say&type=stdout&plain=true"
    ))
    .header("X-Nomad-Token", "the-callers-token")
    .body(axum::body::Body::empty())
    .unwrap();
    let reply = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(!reply.headers().contains_key("set-cookie"));
    assert_eq!(reply.headers()["content-type"], "text/plain");
    assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
    assert_eq!(reply.headers()["content-security-policy"], "sandbox");
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.contains("x-rove-call"), "{seen}");
    assert!(!seen.contains("the-callers"), "{seen}");

    // Who only says that he is a server is not believed.
    let direct = axum::http::Request::get("/v1/client/stats")
        .header("x-rove-hop", "node")
        .body(axum::body::Body::empty())
        .unwrap();
    let (context, _keep_too) = client_of(Vec::new(), Some(FakeAgent::new(1, alloc)));
    let own = router(context.with_identity(Identity::new(there.id, [1; 32])));
    assert_eq!(own.oneshot(direct).await.unwrap().status(), 403);
}

fn client_of(
    servers: Vec<String>,
    agent: Option<Arc<dyn LocalAgent>>,
) -> (ApiContext, watch::Sender<Vec<String>>) {
    let (sender, receiver) = watch::channel(servers);
    let context = ApiContext::new(
        Mode::Client(receiver),
        agent,
        info(),
        Arc::new(TestSources::default()),
    );
    (context, sender)
}

#[tokio::test]
async fn a_client_passes_on_to_a_server_and_a_server_to_the_node() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let (_, eval) = world.register(&small_job("web")).await;
    let alloc = world.settle(&JobKey::new("default", "web"), eval).await;

    // The server, on a socket; the node of the alloc, which answers for it; another client, which knows nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let served = world.router.clone();
    let until = cancel.clone();
    tokio::spawn(async move {
        serve(listener, served, Limits::default(), until)
            .await
            .unwrap()
    });
    let mut there = node(1);
    let identity = Identity::new(there.id, [1; 32]);
    let (context, _keep) = client_of(vec![server.clone()], Some(FakeAgent::new(1, alloc)));
    let holder = listen(context.with_identity(identity.clone()), &cancel).await;
    register_secret(&world, &identity).await;
    there.http_addr = holder;
    world.put(&Key::Node(there.id), &there).await;
    let dead = "127.0.0.1:1".to_owned();
    let (other, _keep_too) = client_of(
        vec![dead, server],
        Some(FakeAgent::new(2, AllocId(uuid(99)))),
    );
    let other = router(other);

    let jobs = send(
        &other,
        "GET",
        "/v1/jobs?prefix=w",
        axum::body::Body::empty(),
    )
    .await;
    assert_eq!(jobs.json()[0]["ID"], "web");
    assert!(jobs.index() > 0, "headers come through");
    let body = json!({"Job": small_job("through")}).to_string();
    let written = send(&other, "PUT", "/v1/jobs", body.into()).await;
    assert_eq!(written.status, 200, "{}", written.text);
    assert!(world.state.latest().registrations().count() == 2);
    let log = format!("/v1/client/fs/logs/{alloc}?task=say&type=stdout&plain=true");
    let text = send(&other, "GET", &log, axum::body::Body::empty()).await;
    assert_eq!((text.status.as_u16(), &*text.text), (200, "out-line\n"));
    let bad = log.replace("task=say", "task=zz");
    let refused = send(&other, "GET", &bad, axum::body::Body::empty()).await;
    assert_eq!(refused.status, 400, "statuses come through");
    let stats = format!("/v1/client/stats?node_id={}", there.id);
    let stats = send(&other, "GET", &stats, axum::body::Body::empty()).await;
    assert_eq!(stats.json()["Uptime"], 77);
    let own = send(&other, "GET", "/v1/agent/self", axum::body::Body::empty()).await;
    assert_eq!(own.json()["stats"]["client"]["node_id"], json!(node(2).id));
    let missing = send(&other, "GET", "/v1/job/nope", axum::body::Body::empty()).await;
    assert_eq!(
        (missing.status.as_u16(), &*missing.text),
        (404, "job not found")
    );
}

/// Refuses every connection as an agent does that has too many: as soon as it is there or, by turns, when the call has
/// been sent already.
async fn busy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut turns = [false, true].into_iter().cycle();
        while let Ok((mut stream, _)) = listener.accept().await {
            if turns.next() == Some(true) {
                let _ = stream.read(&mut [0; 1024]).await;
            }
            let refusal =
                "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(refusal.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_server_with_too_many_connections_is_passed_over() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let served = world.router.clone();
    tokio::spawn(async move {
        serve(listener, served, Limits::default(), cancel)
            .await
            .unwrap()
    });
    let busy = busy().await;
    for number in 0..20 {
        let (context, _keep) = client_of(vec![busy.clone(), server.clone()], None);
        let body = json!({"Job": small_job(&format!("job-{number}"))}).to_string();
        let written = send(&router(context), "PUT", "/v1/jobs", body.into()).await;
        assert_eq!(written.status, 200, "{}", written.text);
    }
    let (context, _keep) = client_of(vec![busy], None);
    let refused = send(
        &router(context),
        "GET",
        "/v1/jobs",
        axum::body::Body::empty(),
    )
    .await;
    assert_eq!(refused.status, 500);
    assert!(
        refused.text.starts_with("No path to a server: 127.0.0.1:"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn what_says_to_be_passed_on_is_no_less_of_another_site() {
    let world = World::new().await;
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let body = || axum::body::Body::from(json!({"Job": small_job("web")}).to_string());
    let request = |headers: &[(&str, &str)]| {
        let mut request = axum::http::Request::put("/v1/jobs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body()).unwrap()
    };
    for hop in ["server", "node", "else"] {
        for from in [
            ("origin", "http://evil.example"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let request = request(&[("host", "127.0.0.1:4646"), ("x-rove-hop", hop), from]);
            let reply = world.router.clone().oneshot(request).await.unwrap();
            assert_eq!(reply.status(), 403, "{hop} {from:?}");
        }
    }
    assert_eq!(world.state.latest().registrations().count(), 0);

    // The page of a client's own site, whose call is passed on to a server with another address.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let served = world.router.clone();
    tokio::spawn(async move {
        serve(listener, served, Limits::default(), cancel)
            .await
            .unwrap()
    });
    let (context, _keep) = client_of(vec![server], None);
    let own = router(context);
    let page = request(&[
        ("host", "10.0.0.5:4646"),
        ("x-forwarded-host", "rove.example"),
        ("origin", "http://rove.example"),
        ("sec-fetch-site", "same-origin"),
    ]);
    assert_eq!(own.oneshot(page).await.unwrap().status(), 200);

    let (mut context, _keep) = client_of(Vec::new(), None);
    context.info.local_only = true;
    let local = router(context);
    for (host, status) in [("evil.example", 403), ("127.0.0.1:4646", 500)] {
        let request = axum::http::Request::get("/v1/jobs")
            .header("host", host)
            .header("x-rove-hop", "server")
            .body(axum::body::Body::empty())
            .unwrap();
        let reply = local.clone().oneshot(request).await.unwrap();
        assert_eq!(reply.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_node_with_an_older_agent_or_no_address_is_told_from_a_stranger() {
    let world = World::new().await;
    let (older, _) = stranger_saying("404 Not Found", "").await;
    let mut there = node(1);
    register_secret(&world, &Identity::new(there.id, [1; 32])).await;
    for (address, words) in [
        (
            older.as_str(),
            "is older and can't prove itself: upgrade it",
        ),
        ("10.0.0.5:8080/admin?x=", "is no address"),
        ("user@host:1", "is no address"),
    ] {
        there.http_addr = address.to_owned();
        world.put(&Key::Node(there.id), &there).await;
        let reply = world
            .get(&format!("/v1/client/stats?node_id={}", there.id))
            .await;
        assert_eq!(reply.status, 500);
        assert!(reply.text.contains(words), "{}", reply.text);
    }
}

#[tokio::test]
async fn two_clients_that_take_each_other_for_servers_do_not_loop() {
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let (first, first_servers) = client_of(Vec::new(), None);
    let first = listen(first, &cancel).await;
    let (second, _keep) = client_of(vec![first.clone()], None);
    let second = listen(second, &cancel).await;
    first_servers.send(vec![second]).unwrap();
    let (user, _keep_too) = client_of(vec![first], None);
    let reply = send(&router(user), "GET", "/v1/jobs", axum::body::Body::empty()).await;
    assert_eq!(reply.status, 500);
    assert!(reply.text.contains("no server"), "{}", reply.text);
}

#[tokio::test]
async fn without_a_server_or_a_node_the_reason_is_said() {
    let (context, _keep) = client_of(Vec::new(), None);
    let reply = send(
        &router(context),
        "GET",
        "/v1/jobs",
        axum::body::Body::empty(),
    )
    .await;
    assert_eq!(reply.status, 500);
    assert_eq!(
        reply.text,
        "No path to a server: no server is known to this agent"
    );
    let world = World::new().await;
    let (_, eval) = world.register(&small_job("web")).await;
    let alloc = world.settle(&JobKey::new("default", "web"), eval).await;
    let log = format!("/v1/client/fs/logs/{alloc}?task=t&type=stdout");
    let lost = world.get(&log).await;
    assert_eq!(lost.status, 404, "{}", lost.text);
    let mut gone = node(1);
    gone.http_addr = "127.0.0.1:1".to_owned();
    register_secret(&world, &Identity::new(gone.id, [1; 32])).await;
    world.put(&Key::Node(gone.id), &gone).await;
    let unreachable = world.get(&log).await;
    assert_eq!(unreachable.status, 500);
    assert!(
        unreachable.text.starts_with("No path to node: 127.0.0.1:1"),
        "{}",
        unreachable.text
    );
    let stray = world.call("GET", "/v1/client/stats", &Value::Null).await;
    assert_eq!(stray.status, 400);
}
