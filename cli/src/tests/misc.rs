use serde_json::{Value, json};

use super::recorded::{api, cli};
use super::server::{Answer, Server};
use super::{Call, Ran};
use crate::render::time::parse;

#[tokio::test]
async fn usage_errors_and_help_are_where_the_reference_puts_them() {
    let call = Call::to("http://127.0.0.1:9");
    for (number, words) in [
        ("021", vec!["job", "run"]),
        ("168", vec!["node", "eligibility", "6309fb8e"]),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
    for (number, words) in [
        ("019", vec!["job", "-h"]),
        ("020", vec!["job", "run", "-h"]),
    ] {
        let expected = cli(number).unwrap();
        let ran = call.run(&words).await;
        assert_eq!(
            ran.out.lines().next(),
            expected.out.lines().next(),
            "{number}"
        );
        assert_eq!(
            (ran.err, ran.code),
            (expected.err, expected.code),
            "{number}"
        );
    }
    // Where the reference prints its whole help, one line says what is wrong and where the help is.
    let expected = cli("048").unwrap();
    let ran = call.run(&["job", "status", "-bogus", "cache"]).await;
    let line = format!(
        "{}. See \"nomad job status -help\".\n",
        expected.err.trim_end()
    );
    assert_eq!(
        (ran.err, ran.out, ran.code),
        (line, String::new(), expected.code)
    );
    let unknown = call.run(&["frobnicate"]).await;
    let line = "There is no command \"frobnicate\". See \"nomad -help\".\n";
    assert_eq!(
        (unknown.err.as_str(), unknown.out.as_str(), unknown.code),
        (line, "", 127)
    );
    assert_eq!(
        call.run(&["-version"]).await.out,
        format!("Rove v{}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(call.run(&["help"]).await.code, 0);
}

#[tokio::test]
async fn every_command_has_a_help_and_refuses_an_unknown_flag() {
    let call = Call::to("http://127.0.0.1:9");
    for name in crate::catalogue::names() {
        let mut words: Vec<&str> = name.split(' ').collect();
        words.push("-help");
        let ran = call.run(&words).await;
        assert_eq!(ran.code, 0, "{name}");
        assert!(
            ran.out.starts_with("Usage: nomad ") && ran.out.len() > 60,
            "{name}: {}",
            ran.out
        );
        *words.last_mut().unwrap() = "-no-such-flag";
        let ran = call.run(&words).await;
        assert_eq!(
            (ran.code, ran.err),
            (
                crate::catalogue::named(name).unwrap().misuse,
                format!(
                    "flag provided but not defined: -no-such-flag. See \"nomad {name} -help\".\n"
                )
            ),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_help_fits_a_terminal_of_80_columns() {
    let call = Call::to("http://127.0.0.1:9");
    let mut texts = vec![
        call.run(&["-help"]).await.out,
        crate::agent::flags::help("nomad"),
    ];
    for name in crate::catalogue::names().chain(["job", "alloc", "operator"]) {
        let words: Vec<&str> = name.split(' ').chain(["-help"]).collect();
        texts.push(call.run(&words).await.out);
    }
    for text in texts {
        // How a command is called stands on one line, to be copied.
        let long = |line: &&str| line.chars().count() > 79 && !line.starts_with("Usage: ");
        assert_eq!(text.lines().find(long), None);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_plainly() {
    let port = rove_testkit::free_port();
    let ran = Call::to(&format!("http://127.0.0.1:{port}"))
        .run(&["job", "status"])
        .await;
    let Some(expected) = cli("022") else { return };
    let said = ran.err.replace(&port.to_string(), "9");
    assert_eq!(
        said.split_inclusive('\n').next(),
        Some(expected.err.as_str())
    );
    assert_eq!((ran.out, ran.code), (expected.out, expected.code));
    let ran = Call::to("http://127.0.0.1:9")
        .run(&["job", "status", "-address", "ftp://x"])
        .await;
    assert!(
        ran.err
            .starts_with("Error initializing client: invalid address 'ftp://x'"),
        "{}",
        ran.err
    );
}

#[test]
fn an_address_may_leave_out_what_is_usual() {
    let url = |address: &str| {
        let env = crate::env::Env::from_pairs([("NOMAD_ADDR", address)]);
        let settings = crate::client::Settings::from(&crate::args::Parsed::default(), &env);
        settings
            .map(|s| s.address.to_string())
            .map_err(|e| e.to_string())
    };
    for (given, expected) in [
        ("localhost", "http://localhost:4646/"),
        ("localhost:8080", "http://localhost:8080/"),
        ("10.0.0.1", "http://10.0.0.1:4646/"),
        ("[::1]", "http://[::1]:4646/"),
        ("[::1]:5000", "http://[::1]:5000/"),
        ("example.com/rove", "http://example.com:4646/rove"),
        ("https://example.com", "https://example.com/"),
    ] {
        assert_eq!(url(given).as_deref(), Ok(expected), "{given}");
    }
    for given in ["ftp://x", "http://", "local host", "::1", "localhost:port"] {
        let error = url(given).unwrap_err();
        assert!(
            error.starts_with(&format!("invalid address '{given}': ")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn flags_win_over_the_environment_and_rove_over_nomad() {
    let (one, two) = (Server::start().await, Server::start().await);
    for server in [&one, &two] {
        server.on("GET /v1/jobs?*", Answer::json(&json!([])));
    }
    let mut call = Call::to(&one.address);
    call.vars
        .push(("ROVE_ADDR".to_owned(), two.address.clone()));
    call.vars
        .push(("NOMAD_NAMESPACE".to_owned(), "team".to_owned()));
    call.vars.push(("NOMAD_REGION".to_owned(), "eu".to_owned()));
    call.run(&["status"]).await;
    call.run(&[
        "status",
        "-address",
        &one.address,
        "--namespace=other",
        "-region=us",
    ])
    .await;
    assert_eq!(
        two.requests()[0].target,
        "/v1/jobs?namespace=team&region=eu"
    );
    assert_eq!(
        one.requests()[0].target,
        "/v1/jobs?namespace=other&region=us"
    );
}

fn member() -> Value {
    json!({"Name": "dev-1.global", "Addr": "127.0.0.1", "Port": 14022, "Status": "alive", "ProtocolCur": 2,
        "Tags": {"build": "1.6.5", "port": "14021", "region": "global", "dc": "dc1", "raft_vsn": "3"}})
}

#[tokio::test]
async fn servers_are_listed_with_their_leader() {
    let server = Server::start().await;
    server
        .get("/v1/agent/members", json!({"Members": [member()]}))
        .get("/v1/status/leader", json!("127.0.0.1:14021"));
    let call = Call::to(&server.address);
    let Some(expected) = cli("002") else { return };
    assert_eq!(call.run(&["server", "members"]).await, expected);
    assert_eq!(call.run(&["server-members"]).await, expected);
    let wide = call.run(&["server", "members", "-detailed"]).await;
    assert_eq!(
        wide.out.lines().next(),
        cli("003").unwrap().out.lines().next()
    );
    assert!(
        wide.out
            .ends_with("build=1.6.5,dc=dc1,port=14021,raft_vsn=3,region=global\n")
    );
}

#[tokio::test]
async fn evaluations_are_shown_as_recorded() {
    let server = Server::start().await;
    let time = |text: &str| parse(text).unwrap();
    let metrics = json!({"g": {"NodesEvaluated": 1, "NodesAvailable": {"dc1": 1},
        "ConstraintFiltered": {"${attr.kernel.name} = plan9": 1}}});
    let blocked = json!({"ID": "666437dc-721b-e8f0-1402-5582850c3d9c", "CreateTime": time("2026-11-22T05:16:49Z"),
        "ModifyTime": time("2026-11-22T05:16:49Z"), "Status": "blocked", "Type": "service", "JobID": "stuck",
        "StatusDescription": "created to place remaining allocations", "TriggeredBy": "queued-allocs",
        "Namespace": "default", "Priority": 50, "FailedTGAllocs": metrics, "CreateIndex": 9});
    let complete = json!({"ID": "670eb740-06ea-c21b-9ec9-4f1e1f0a2fc6", "CreateTime": time("2026-11-22T05:16:49Z"),
        "ModifyTime": time("2026-11-22T05:16:49Z"), "Status": "complete", "Type": "service", "JobID": "stuck",
        "TriggeredBy": "job-register", "Namespace": "default", "Priority": 50, "FailedTGAllocs": metrics,
        "BlockedEval": "666437dc-721b-e8f0-1402-5582850c3d9c", "CreateIndex": 8});
    server
        .get("/v1/evaluations", json!([]))
        .get("/v1/evaluations?prefix=deadbeef", json!([]))
        .get("/v1/evaluations?prefix=666437dc", json!([blocked]))
        .get("/v1/evaluations?prefix=670eb740", json!([complete]))
        .get("/v1/evaluations?job=stuck", json!([complete, blocked]))
        .get(
            "/v1/evaluation/666437dc-721b-e8f0-1402-5582850c3d9c?namespace=default",
            blocked,
        )
        .get(
            "/v1/evaluation/670eb740-06ea-c21b-9ec9-4f1e1f0a2fc6?namespace=default",
            complete,
        );
    for (number, now, words) in [
        ("011", "05:16:58", vec!["eval", "status", "deadbeef"]),
        ("015", "05:16:58", vec!["eval", "list"]),
        ("115", "05:16:58", vec!["eval", "list", "-job", "stuck"]),
        ("116", "05:16:58", vec!["eval", "status", "666437dc"]),
        ("117", "05:16:59", vec!["eval-status", "670eb740"]),
        (
            "118",
            "05:16:59",
            vec!["eval", "status", "-verbose", "670eb740"],
        ),
    ] {
        let Some(expected) = cli(number) else { return };
        let call = Call::to(&server.address).at(time(&format!("2026-11-22T{now}Z")));
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
}

#[tokio::test]
async fn deployments_are_shown_as_recorded() {
    let server = Server::start().await;
    let id = "92a1dc82-ed2b-9850-edde-12c33c2a9637";
    let canary = json!({"ID": id, "JobID": "dep", "JobVersion": 1, "Status": "running", "Namespace": "default",
        "StatusDescription": "Deployment is running but requires manual promotion",
        "TaskGroups": {"g": {"DesiredTotal": 2, "DesiredCanaries": 1, "PlacedAllocs": 1, "HealthyAllocs": 1,
        "ProgressDeadline": 30000000000_i64, "RequireProgressBy": "2026-11-22T05:17:31Z"}}});
    server
        .get("/v1/deployments", json!([]))
        .get("/v1/deployments?prefix=deadbeef", json!([]))
        .get("/v1/deployments?prefix=92a1dc82", json!([canary]));
    let call = Call::to(&server.address);
    for (number, words) in [
        ("013", vec!["deployment", "status", "deadbeef"]),
        ("014", vec!["deployment", "list"]),
        ("123", vec!["deployment", "status", "92a1dc82"]),
        ("124", vec!["deployment", "status", "-verbose", "92a1dc82"]),
    ] {
        let Some(expected) = cli(number) else { return };
        assert_eq!(call.run(&words).await, expected, "{number}");
    }
}

const NODE: &str = "6309fb8e-8378-1610-df56-ca973156b735";

#[tokio::test]
async fn nodes_are_shown_as_recorded() {
    let replace = [
        ("b5ef6698-8a3a-6d17-03e7-7c6691f1ed7f", NODE),
        ("2026-11-22T05:32:27Z", "2026-11-22T05:15:48Z"),
    ];
    let (Some(list), Some(node)) = (api("010", &replace), api("013", &replace)) else {
        return;
    };
    let server = Server::start().await;
    let mb = |n: u64| n * 1024 * 1024;
    let host = json!({"CPUTicksConsumed": 3210.5, "Uptime": 6032,
        "Memory": {"Total": mb(24 * 1024), "Used": mb(856), "Available": mb(22 * 1024), "Free": mb(13 * 1024)},
        "AllocDirStats": {"Used": mb(39 * 1024), "Size": mb(252 * 1024)},
        "CPU": [{"CPU": "cpu0", "User": 39.534, "System": 13.953, "Idle": 46.51}],
        "DiskStats": [{"Device": "/dev/vda", "Mountpoint": "/", "Size": mb(252 * 1024), "Used": mb(39 * 1024),
            "Available": mb(52 * 1024), "UsedPercent": 42.98, "InodesUsedPercent": 8.07}]});
    let given = json!({"AllocatedResources": {"Shared": {"DiskMB": 2560},
        "Tasks": {"t": {"Cpu": {"CpuShares": 370}, "Memory": {"MemoryMB": 784}}}}});
    let usage = json!({"ResourceUsage": {"CpuStats": {"TotalTicks": 3.4}, "MemoryStats": {"RSS": mb(468)}}});
    server
        .get("/v1/nodes", list.clone())
        .get("/v1/nodes?prefix=deadbeef", json!([]))
        .get("/v1/nodes?prefix=6309fb8e", list)
        .get(&format!("/v1/node/{NODE}"), node)
        .get(&format!("/v1/node/{NODE}/allocations"), json!([
            {"ID": "a128e50b-1", "NodeID": NODE, "TaskGroup": "g", "JobVersion": 1, "DesiredStatus": "run",
             "ClientStatus": "running", "CreateTime": 1, "ModifyTime": 1, "Namespace": "default"}]))
        .get("/v1/allocation/a128e50b-1?namespace=default", given)
        .get("/v1/client/allocation/a128e50b-1/stats?namespace=default", usage)
        .get(&format!("/v1/client/stats?node_id={NODE}"), host)
        .get("/v1/agent/self", json!({"stats": {"client": {"node_id": NODE}}}))
        .on(&format!("PUT /v1/node/{NODE}/eligibility"), Answer::json(&json!({"EvalIDs": null})));
    let call = Call::to(&server.address).at(1);
    for (number, words) in [
        ("004", vec!["node", "status"]),
        ("005", vec!["node", "status", "-verbose"]),
        ("012", vec!["node", "status", "deadbeef"]),
        ("166", vec!["node", "eligibility", "-disable", "6309fb8e"]),
        ("167", vec!["node", "eligibility", "-enable", "-self"]),
    ] {
        assert_eq!(call.run(&words).await, cli(number).unwrap(), "{number}");
    }
    assert_eq!(call.run(&["node-status"]).await, cli("004").unwrap());
    // All but the list of allocs, which another recording has.
    let head = |text: &str| text.split("\nAllocations\n").next().unwrap().to_owned();
    for (number, words) in [
        ("161", vec!["node", "status", "6309fb8e"]),
        ("162", vec!["node", "status", "-self", "-short"]),
    ] {
        assert_eq!(
            head(&call.run(&words).await.out),
            head(&cli(number).unwrap().out),
            "{number}"
        );
    }
    let stats = call
        .run(&["node", "status", "-stats", "6309fb8e"])
        .await
        .out;
    for part in [
        "CPU Stats\nCPU    = cpu0\nUser   = 39.53%",
        "Memory Stats\nTotal     = 24 GiB",
        "Inodes Percent = 8.07%",
    ] {
        assert!(stats.contains(part), "{part}: {stats}");
    }
    let verbose = call
        .run(&["node", "status", "-verbose", "6309fb8e"])
        .await
        .out;
    for part in [
        "Host Volumes\nName     ReadOnly  Source\nscratch  false     /opt/nomad-dev/data/hostvol\n\nDrivers\n",
        "Driver       Detected  Healthy  Message  Time\ndocker       true      true     Healthy  ",
        "qemu         false     false    <none>   ",
        "Node Events\nTime                  Subsystem  Message          Details\n2026-11-22T05:15:48Z  Cluster    Node registered  <none>\n",
        "\nAttributes\ncpu.arch ",
        "\nMeta\nconnect.gateway_image ",
    ] {
        assert!(verbose.contains(part), "{part}: {verbose}");
    }
}

#[tokio::test]
async fn a_status_that_fits_several_things_lists_them() {
    let server = Server::start().await;
    server.on(
        "POST /v1/search",
        Answer::json(&json!({"Matches": {"allocs": ["ab-1"], "nodes": ["ab-2"], "evals": []}})),
    );
    let ran = Call::to(&server.address).run(&["status", "ab"]).await;
    assert_eq!(
        ran,
        Ran {
            out: String::new(),
            err: "Multiple matches found for id \"ab\"\nAllocations:\nab-1\nNodes:\nab-2\n".into(),
            code: 1
        }
    );
}

#[tokio::test]
async fn operator_store_tells_a_damaged_store_from_a_whole_one_and_keeps_what_is_left() {
    use rove_store::embedded::{EmbeddedStore, Options};
    use rove_store::store::{Op, Store as _, Txn};

    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("server/store");
    std::fs::create_dir_all(&folder).unwrap();
    let store = EmbeddedStore::open(&folder, Options::default()).unwrap();
    for number in 0..50 {
        let value = format!("{{\"Number\":{number},\"Text\":\"of some length\"}}");
        let txn = Txn {
            then: vec![Op::put(format!("/rove/{number}"), value)],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
    }
    let call = Call::to("http://127.0.0.1:1").folder(data.path());
    let ran = |verb: &'static str| {
        let call = &call;
        async move { call.run(&["operator", "store", verb, "."]).await }
    };
    let used = ran("check").await;
    assert!(
        used.code == 1 && used.err.contains("in use by process"),
        "{}",
        used.err
    );
    drop(store);
    let whole = ran("check").await;
    assert!(
        whole.code == 0 && whole.out.contains("50 keys at revision"),
        "{} {}",
        whole.out,
        whole.err
    );
    let untouched = ran("repair").await;
    assert!(
        untouched.out.contains("nothing was changed"),
        "{}",
        untouched.err
    );
    let file = folder.join("store.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    let text = b"{\"Number\":17,";
    let places: Vec<_> = (0..bytes.len() - text.len())
        .filter(|at| bytes[*at..].starts_with(text))
        .collect();
    for at in places {
        bytes[at + 11] = b'9';
    }
    std::fs::write(&file, bytes).unwrap();
    for verb in ["check", "export"] {
        let damaged = ran(verb).await;
        assert_eq!(damaged.code, 1);
        for word in ["store.redb is damaged", "operator store repair"] {
            assert!(damaged.err.contains(word), "{verb}: {}", damaged.err);
        }
    }
    let repaired = ran("repair").await;
    assert!(
        repaired.code == 0
            && repaired
                .out
                .contains("49 writes were kept, 1 were found damaged"),
        "{} {}",
        repaired.out,
        repaired.err
    );
    assert!(folder.join("store.redb.damaged-1").exists());
    let exported = ran("export").await;
    assert_eq!(exported.out.lines().count(), 49, "{}", exported.err);
    assert!(exported.out.contains("\"key\":\"/rove/3\"") && exported.out.contains("\"Number\":3"));
    let missing = call.run(&["operator", "store", "check", "nowhere"]).await;
    assert!(
        missing.code == 1 && missing.err.contains("nowhere"),
        "{}",
        missing.err
    );
}

#[tokio::test]
async fn operator_api_prints_the_answer_as_it_comes() {
    let server = Server::start().await;
    server
        .on(
            "GET /v1/status/leader",
            Answer {
                kind: "application/json",
                status: 200,
                index: 0,
                body: b"\"127.0.0.1:14021\"".to_vec(),
            },
        )
        .on(
            "PUT /v1/jobs",
            Answer {
                kind: "application/json",
                status: 200,
                index: 0,
                body: b"{}".to_vec(),
            },
        );
    let call = Call::to(&server.address).typing("{\"Job\":{}}");
    let Some(expected) = cli("177") else { return };
    // The recording has no line end of its own before the next mark.
    assert_eq!(
        call.run(&["operator", "api", "/v1/status/leader"])
            .await
            .out,
        "\"127.0.0.1:14021\""
    );
    assert_eq!(expected.code, 0);
    assert_eq!(
        call.run(&["operator", "api", "status/leader"]).await.code,
        0
    );
    assert_eq!(
        call.run(&["operator", "api", "-X", "PUT", "/v1/jobs"])
            .await
            .out,
        "{}"
    );
    assert_eq!(server.requests().last().unwrap().body, "{\"Job\":{}}");
    let dry = call
        .run(&["operator", "api", "-dryrun", "-X", "DELETE", "/v1/job/x"])
        .await;
    assert_eq!(
        dry.out,
        format!("curl -X DELETE '{}/v1/job/x'\n", server.address)
    );
    let failed = call.run(&["operator", "api", "/v1/nothing"]).await;
    assert!(
        failed.err.contains("Unexpected response code: 404"),
        "{}",
        failed.err
    );
    assert_eq!(failed.code, 1);
}

#[tokio::test]
async fn housekeeping_says_nothing_when_it_is_done() {
    let server = Server::start().await;
    server.on(
        "PUT /v1/system/gc",
        Answer {
            kind: "application/json",
            status: 200,
            index: 0,
            body: Vec::new(),
        },
    );
    let Some(expected) = cli("190") else { return };
    assert_eq!(
        Call::to(&server.address).run(&["system", "gc"]).await,
        expected
    );
}

#[tokio::test]
async fn an_ambiguous_prefix_is_refused_with_all_it_may_mean() {
    let server = Server::start().await;
    let two = json!([
        {"ID": "abcd0000-1", "Namespace": "default", "JobID": "one"},
        {"ID": "abce0000-2", "Namespace": "default", "JobID": "two"},
    ]);
    let call = Call::to(&server.address);
    for (path, what, words) in [
        ("evaluations", "evaluations", ["eval", "status", "abc"]),
        ("nodes", "nodes", ["node", "status", "abc"]),
        (
            "deployments",
            "deployments",
            ["deployment", "status", "abc"],
        ),
        ("allocations", "allocations", ["alloc", "logs", "abc"]),
        ("allocations", "allocations", ["alloc", "stop", "abc"]),
    ] {
        server.get(&format!("/v1/{path}?prefix=ab"), two.clone());
        let ran = call.run(&words).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}");
        let expected = format!("Prefix matched multiple {what}\n\n");
        assert!(ran.err.starts_with(&expected), "{words:?}: {}", ran.err);
        for id in ["abcd0000", "abce0000"] {
            assert!(ran.err.contains(id), "{words:?}: {}", ran.err);
        }
    }
    let asked = server.requests();
    assert!(asked.iter().all(|request| request.method == "GET"));
}
