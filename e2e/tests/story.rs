//! The story of the small redis cluster, command by command: three hosts, real engines, files as printed.
//!
//! The layout is compared with the columns that scripts rely on, the fields and values with the story's outputs.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use rove_e2e::{
    cluster::Cluster,
    command::{available, eventually},
    text::{column_names, field, field_names, quoted, table},
};
use rove_testkit::{reference, testdata, workspace};
use tempfile::TempDir;

const SERVER: &str = "nomad-server";
const ONE: &str = "client-one";
const TWO: &str = "client-two";

/// The story's files, as a cluster's folder: as printed where the reference is named, and of the same content elsewhere.
fn story_files() -> TempDir {
    let files = tempfile::tempdir().unwrap();
    let own = testdata().join("cluster");
    let written = workspace().join("cli/src/commands/job/short.nomad.hcl");
    let printed = reference().map(|root| root.join("story"));
    for (to, from) in [
        ("cluster.yaml", "000_cluster.yaml"),
        ("server.hcl", "000_server.hcl"),
        ("client1.hcl", "000_client1.hcl"),
        ("client2.hcl", "derived/000_client2.hcl"),
        ("expected.nomad", "000_example.nomad"),
        ("count3.nomad", "derived/000_example_count3.nomad"),
    ] {
        let from = match &printed {
            Some(story) => story.join(from),
            None if to == "expected.nomad" => written.clone(),
            None => own.join(to),
        };
        std::fs::copy(from, files.path().join(to)).unwrap();
    }
    files
}

/// The fields and columns that a command prints.
fn columns() -> serde_json::Value {
    let text = std::fs::read_to_string(testdata().join("columns.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// That a command printed its fields and columns, and no others.
fn has_its_columns(command: &str, text: &str) {
    let expected = &columns()[command];
    let names = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().unwrap();
        list.iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(field_names(text), names(&expected["fields"]), "{text}");
    for (begin, columns) in expected["tables"].as_object().unwrap() {
        assert_eq!(column_names(text, begin), names(columns), "{text}");
    }
}

#[test]
fn the_columns_are_those_that_were_recorded() {
    let Some(root) = reference() else { return };
    for (command, expected) in columns().as_object().unwrap() {
        let file = root
            .join("cli")
            .join(expected["recorded"].as_str().unwrap());
        let text = std::fs::read_to_string(file).unwrap();
        let (_, text) = text.split_once("--- stdout\n").unwrap();
        let (text, _) = text.split_once("--- stderr").unwrap();
        has_its_columns(command, text);
    }
}

fn contains_lines(text: &str, lines: &[&str]) {
    let mut rest = text.lines();
    for wanted in lines {
        assert!(
            rest.any(|line| line.trim_end() == *wanted),
            "{wanted:?} is missing (or out of order) in:\n{text}"
        );
    }
}

/// The table of a job's allocs, once `ready` is content with it.
fn allocs_when(
    cluster: &Cluster,
    what: &str,
    ready: impl Fn(&[std::collections::BTreeMap<String, String>]) -> bool,
) -> Vec<std::collections::BTreeMap<String, String>> {
    eventually(what, || {
        let status = cluster.sh(SERVER, "nomad job status example").stdout;
        let allocs = table(&status, "ID  ");
        if ready(&allocs) {
            Ok(allocs)
        } else {
            Err(status)
        }
    })
}

fn plan_index(plan: &str) -> String {
    let index = plan
        .lines()
        .find_map(|line| line.strip_prefix("Job Modify Index: "))
        .unwrap()
        .to_owned();
    contains_lines(
        plan,
        &[
            "Scheduler dry-run:",
            "- All tasks successfully allocated.",
            "To submit the job with version verification run:",
            &format!("nomad job run -check-index {index} example.nomad"),
            "When running the job with the check-index flag, the job will only be run if the",
            "job modify index given matches the server-side version. If the index has",
            "changed, another user has modified the job and the plan's results are",
            "potentially invalid.",
        ],
    );
    index
}

fn tell(cluster: &mut Cluster, server_configs: &[&str]) {
    cluster.load_redis(ONE);
    cluster.load_redis(TWO);
    cluster.start_agent(SERVER, server_configs);
    cluster.start_agent(ONE, &["/vagrant/client1.hcl"]);
    cluster.start_agent(TWO, &["/vagrant/client2.hcl"]);
    eventually("two ready nodes", || {
        let nodes = cluster.sh(SERVER, "nomad node status").stdout;
        let ready = table(&nodes, "ID  ")
            .iter()
            .filter(|node| node["Status"] == "ready")
            .count();
        if ready == 2 { Ok(()) } else { Err(nodes) }
    });
    let on_server = |line: &str| cluster.sh(SERVER, &format!("cd /tmp && {line}"));

    // The cluster.
    let members = on_server("nomad server members").ok();
    has_its_columns("server members", &members);
    let member = &table(&members, "Name")[0];
    assert_eq!(
        (&*member["Name"], &*member["Address"], &*member["Port"]),
        ("nomad-server.global", "172.17.8.101", "4648")
    );
    assert_eq!((&*member["Status"], &*member["Leader"]), ("alive", "true"));
    let nodes = on_server("nomad node status").ok();
    has_its_columns("node status", &nodes);

    // The job file.
    // The story's version wrote example.nomad, the recorded one writes example.nomad.hcl.
    assert_eq!(
        on_server("nomad job init -short").ok(),
        "Example job file written to example.nomad.hcl\n"
    );
    let _ = on_server("mv example.nomad.hcl example.nomad").ok();
    assert_eq!(
        on_server("cat example.nomad").ok(),
        on_server("cat /vagrant/expected.nomad").ok()
    );
    let long =
        on_server("mkdir long && cd long && nomad init && nomad job validate example.nomad.hcl")
            .ok();
    assert!(long.contains("successful"), "{long}");

    // A first run, a stop, and the plan of running it again.
    let plan = on_server("nomad job plan example.nomad").expect_code(1);
    contains_lines(
        &plan,
        &[
            r#"+ Job: "example""#,
            r#"+ Task Group: "cache" (1 create)"#,
            r#"  + Task: "redis" (forces create)"#,
        ],
    );
    assert_eq!(plan_index(&plan), "0");
    let first = on_server("nomad job run example.nomad").ok();
    contains_lines_of_monitor(&first, &["created"]);
    let _ = on_server("nomad stop -detach example").ok();
    allocs_when(cluster, "the stopped alloc", |allocs| {
        allocs.len() == 1 && allocs[0]["Status"] == "complete"
    });
    let plan = on_server("nomad plan example.nomad").expect_code(1);
    contains_lines(
        &plan,
        &[
            r#"+/- Job: "example""#,
            r#"+/- Stop: "true" => "false""#,
            r#"    Task Group: "cache" (1 create)"#,
            r#"      Task: "redis""#,
        ],
    );
    let index = plan_index(&plan);

    // The run that the story shows.
    let run = on_server(&format!("nomad job run -check-index {index} example.nomad")).ok();
    contains_lines_of_monitor(&run, &["created"]);
    let eval = quoted(&run, "Monitoring evaluation").unwrap();
    let alloc = quoted(&run, "Allocation ").unwrap();
    let plan = on_server("nomad job plan example.nomad").expect_code(0);
    contains_lines(&plan, &[r#"Job: "example""#]);
    let refused = on_server(&format!("nomad job run -check-index {index} example.nomad"));
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains(&format!(
            "Enforcing job modify index {index}: job exists with conflicting"
        )),
        "{refused:?}"
    );

    let status = on_server("nomad job status example").ok();
    has_its_columns("job status", &status);
    for (name, value) in [
        ("ID", "example"),
        ("Name", "example"),
        ("Type", "service"),
        ("Priority", "50"),
        ("Datacenters", "dc1"),
        ("Namespace", "default"),
        ("Status", "running"),
        ("Periodic", "false"),
        ("Parameterized", "false"),
        ("Description", "Deployment completed successfully"),
    ] {
        assert_eq!(
            field(&status, name).as_deref(),
            Some(value),
            "{name} in\n{status}"
        );
    }
    let allocs = table(&status, "ID  ");
    assert_eq!(
        allocs
            .iter()
            .map(|alloc| &*alloc["Version"])
            .collect::<Vec<_>>(),
        ["2", "0"]
    );
    assert_eq!(
        (&*allocs[0]["Desired"], &*allocs[0]["Status"]),
        ("run", "running")
    );
    assert_eq!(
        (&*allocs[1]["Desired"], &*allocs[1]["Status"]),
        ("stop", "complete")
    );

    let eval_status = on_server(&format!("nomad eval status {eval}")).ok();
    has_its_columns("eval status", &eval_status);
    for (name, value) in [
        ("Status", "complete"),
        ("Status Description", "complete"),
        ("Type", "service"),
        ("TriggeredBy", "job-register"),
        ("Job ID", "example"),
        ("Priority", "50"),
        ("Placement Failures", "false"),
    ] {
        assert_eq!(
            field(&eval_status, name).as_deref(),
            Some(value),
            "{name} in\n{eval_status}"
        );
    }

    let status = on_server(&format!("nomad alloc status {alloc}")).ok();
    for (name, value) in [
        ("Name", "example.cache[0]"),
        ("Job ID", "example"),
        ("Job Version", "2"),
        ("Client Status", "running"),
        ("Client Description", "Tasks are running"),
        ("Desired Status", "run"),
        ("Desired Description", "<none>"),
        ("Deployment Health", "healthy"),
        ("Total Restarts", "0"),
        ("Last Restart", "N/A"),
        ("Finished At", "N/A"),
    ] {
        assert_eq!(
            field(&status, name).as_deref(),
            Some(value),
            "{name} in\n{status}"
        );
    }
    let port = &table(&status, "Label")[0];
    assert_eq!((&*port["Label"], &*port["Dynamic"]), ("*db", "yes"));
    assert!(
        port["Address"].starts_with("172.17.8.10") && port["Address"].ends_with(" -> 6379"),
        "{port:?}"
    );
    assert!(status.contains(r#"Task "redis" is "running""#));
    let used = &table(&status, "CPU")[0];
    assert!(
        used["CPU"].ends_with("/500 MHz") && used["Memory"].ends_with("/256 MiB"),
        "{used:?}"
    );
    assert!(
        !used["Memory"].starts_with("0 B/"),
        "memory use is live: {used:?}"
    );
    assert_eq!(used["Disk"], "300 MiB");
    let events: Vec<_> = table(&status, "Time")
        .into_iter()
        .map(|event| (event["Type"].clone(), event["Description"].clone()))
        .collect();
    let expected = [
        ("Started", "Task started by client"),
        ("Task Setup", "Building Task Directory"),
        ("Received", "Task received by client"),
    ];
    assert_eq!(
        events,
        expected.map(|(kind, text)| (kind.to_owned(), text.to_owned()))
    );
    let address = port["Address"].split(' ').next().unwrap().to_owned();

    eventually("redis is ready", || {
        let logs = on_server(&format!("nomad alloc logs {alloc} redis")).ok();
        if logs.to_lowercase().contains("ready to accept connections") {
            Ok(())
        } else {
            Err(logs)
        }
    });
    assert_eq!(
        on_server(&format!("nomad logs -tail -n 1 {alloc}"))
            .ok()
            .lines()
            .count(),
        1
    );
    assert_eq!(
        on_server(&format!("nomad alloc logs -stderr {alloc} redis")).ok(),
        ""
    );

    // Three of them: the running one is updated as it runs.
    let container = container_of(cluster, &alloc);
    let _ = on_server(
        "sed -i 's/group \"cache\" {/group \"cache\" {\\n    count = 3\\n/' example.nomad",
    )
    .ok();
    let plan = on_server("nomad job plan example.nomad").expect_code(1);
    contains_lines(
        &plan,
        &[
            r#"+/- Job: "example""#,
            r#"+/- Task Group: "cache" (2 create, 1 in-place update)"#,
            r#"  +/- Count: "1" => "3" (forces create)"#,
            r#"      Task: "redis""#,
        ],
    );
    let index = plan_index(&plan);
    let run = on_server(&format!("nomad run -check-index {index} example.nomad")).ok();
    contains_lines_of_monitor(&run, &["created", "created", "modified"]);
    let allocs = allocs_when(cluster, "three running", |allocs| {
        allocs
            .iter()
            .filter(|alloc| alloc["Status"] == "running" && alloc["Desired"] == "run")
            .count()
            == 3
    });
    let updated = allocs.iter().find(|row| row["ID"] == alloc).unwrap();
    assert_eq!(updated["Version"], "3");
    assert_eq!(
        container_of(cluster, &alloc),
        container,
        "the updated alloc was restarted"
    );
    let nodes: std::collections::BTreeSet<_> = allocs
        .iter()
        .filter(|alloc| alloc["Desired"] == "run")
        .map(|alloc| alloc["Node ID"].clone())
        .collect();
    assert_eq!(nodes.len(), 2, "spread over both nodes: {allocs:?}");
    let status = on_server("nomad status example").ok();
    let deployed = &table(&status, "Task Group  Desired")[0];
    assert_eq!(
        (
            &*deployed["Desired"],
            &*deployed["Placed"],
            &*deployed["Healthy"],
            &*deployed["Unhealthy"]
        ),
        ("3", "3", "3", "0")
    );

    // A key set and read through every printed address, from another host, and every command from a client.
    for row in allocs.iter().filter(|alloc| alloc["Desired"] == "run") {
        let status = cluster
            .sh(TWO, &format!("nomad alloc-status {}", row["ID"]))
            .ok();
        let address = table(&status, "Label")[0]["Address"]
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        redis_round_trip(cluster, &address);
    }
    redis_round_trip(cluster, &address);
    // What tells the time or what is used differs from one call to the next, and so does the width of its column; the
    // rest must be the same on every host, in either spelling.
    let count3 = "/vagrant/count3.nomad";
    for (old, new) in [
        ("nomad status example", "nomad job status example"),
        ("nomad status", "nomad job status"),
        ("nomad node-status", "nomad node status"),
        ("nomad server-members", "nomad server members"),
        (
            &*format!("nomad eval-status {eval}"),
            &*format!("nomad eval status {eval}"),
        ),
        (
            &*format!("nomad alloc-status {alloc}"),
            &*format!("nomad alloc status {alloc}"),
        ),
        (
            &*format!("nomad fs {alloc} alloc"),
            &*format!("nomad alloc fs {alloc} alloc"),
        ),
        ("nomad inspect example", "nomad job inspect example"),
        (
            &*format!("nomad validate {count3}"),
            &*format!("nomad job validate {count3}"),
        ),
        (
            &*format!("nomad plan {count3}"),
            &*format!("nomad job plan {count3}"),
        ),
        ("nomad eval list", "nomad eval list -job example"),
        ("nomad deployment list", "nomad job deployments example"),
        (
            "nomad job history -p example",
            "nomad job versions -p example",
        ),
    ] {
        let expected = on_server(new).ok();
        for host in [SERVER, ONE, TWO] {
            let told = cluster.sh(host, old).ok();
            assert_eq!(timeless(&told), timeless(&expected), "{old} on {host}");
        }
    }
    let info = cluster.sh(ONE, "nomad agent-info").ok();
    assert!(info.contains("known_servers = 172.17.8.101:4647"), "{info}");
    let first = cluster.sh(ONE, &format!("nomad logs {alloc}")).ok();
    let second = on_server(&format!("nomad logs {alloc}")).ok();
    assert!(
        second.starts_with(&first),
        "a log only grows:\n{first}\n{second}"
    );
    let node = table(&on_server("nomad node status").ok(), "ID  ")[0]["ID"].clone();
    let node_status = cluster.sh(TWO, &format!("nomad node status {node}")).ok();
    assert_eq!(field(&node_status, "Status").as_deref(), Some("ready"));

    // The end.
    let stop = cluster.sh(TWO, "nomad stop example").ok();
    contains_lines_of_monitor(&stop, &[]);
    allocs_when(cluster, "all complete", |allocs| {
        allocs
            .iter()
            .all(|alloc| alloc["Desired"] == "stop" && alloc["Status"] == "complete")
    });
    let status = cluster.sh(TWO, "nomad status example").ok();
    assert_eq!(field(&status, "Status").as_deref(), Some("dead (stopped)"));
    let summary = &table(&status, "Task Group  Queued")[0];
    assert_eq!((&*summary["Running"], &*summary["Complete"]), ("0", "4"));
    for host in [ONE, TWO] {
        assert_eq!(
            cluster
                .sh(host, "docker -H unix:///run/docker.sock ps -q")
                .ok(),
            ""
        );
    }
    let _ = on_server("nomad job stop -purge -yes example").ok();
    let gone = on_server("nomad job status example");
    assert_eq!(
        (gone.code, gone.stderr.trim_end()),
        (1, r#"No job(s) with prefix or ID "example" found"#)
    );
}

/// The words of the lines that don't tell how long ago something was or how much is used. A column is as wide as its
/// widest value, so that the blanks of a table's other lines tell it too.
fn timeless(text: &str) -> Vec<String> {
    let tells = |line: &&str| {
        [" ago", " MHz", "KiB", "MiB"]
            .iter()
            .any(|word| line.contains(word))
    };
    text.lines()
        .filter(|line| !tells(line))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn two_answers_are_the_same_whatever_the_width_of_a_live_figure() {
    let idle =
        "CPU        Memory           Disk\n9/500 MHz  980 KiB/256 MiB  300 MiB\nState = running\n";
    let busy = "CPU         Memory           Disk\n10/500 MHz  1.1 MiB/256 MiB  300 MiB\nState = running\n";
    assert_eq!(timeless(idle), timeless(busy));
    assert_ne!(timeless(idle), timeless(&busy.replace("running", "dead")));
}

/// The monitor's lines, without their times.
fn contains_lines_of_monitor(text: &str, changes: &[&str]) {
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("Z: ") {
            Some((mark, rest))
                if mark
                    .trim_start_matches("==>")
                    .trim_start()
                    .starts_with("20") =>
            {
                format!(
                    "{}{rest}",
                    if mark.starts_with("==>") {
                        "==> "
                    } else {
                        "    "
                    }
                )
            }
            _ => line.to_owned(),
        })
        .collect();
    let text = lines.join("\n");
    for wanted in [
        "==> Monitoring evaluation \"",
        "    Evaluation triggered by job \"example\"",
        "    Evaluation within deployment: \"",
        "    Evaluation status changed: \"pending\" -> \"complete\"",
        "==> Evaluation \"",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(wanted)),
            "{wanted:?} is missing in:\n{text}"
        );
    }
    let mut seen: Vec<&str> = lines
        .iter()
        .filter(|line| line.starts_with("    Allocation \"") && line.contains("group \"cache\""))
        .filter_map(|line| {
            line.split_whitespace()
                .nth(2)
                .map(|word| word.trim_end_matches(':'))
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, changes, "{text}");
}

fn container_of(cluster: &Cluster, alloc: &str) -> String {
    let line = format!(
        "docker -H unix:///run/docker.sock ps --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}}' | grep {alloc} || true"
    );
    [ONE, TWO]
        .map(|host| cluster.sh(host, &line).ok())
        .concat()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

fn redis_round_trip(cluster: &Cluster, address: &str) {
    let (host, port) = address.split_once(':').unwrap();
    let line = format!(
        "redis-cli -h {host} -p {port} set story told && redis-cli -h {host} -p {port} get story"
    );
    assert_eq!(cluster.sh(SERVER, &line).ok(), "OK\ntold\n");
    let ask = |words: &str| {
        cluster
            .sh(SERVER, &format!("redis-cli -h {host} -p {port} {words}"))
            .ok()
    };
    assert!(ask("info server").contains("process_id:1\r\n"));
    assert_eq!(ask("config get protected-mode"), "protected-mode\nno\n");
}

#[test]
fn the_story_on_the_embedded_store_with_the_files_as_printed() {
    let Some(mut cluster) = Cluster::up("emb", story_files()) else {
        return;
    };
    tell(&mut cluster, &["/vagrant/server.hcl"]);
}

#[test]
fn the_story_on_etcd_with_one_more_file() {
    let files = story_files();
    if !available("etcd", Path::new("/usr/bin/etcd").exists()) {
        return;
    }
    std::fs::write(
        files.path().join("etcd.hcl"),
        "server {\n  etcd {\n    endpoints = [\"http://172.17.8.101:2379\"]\n  }\n}\n",
    )
    .unwrap();
    let Some(mut cluster) = Cluster::up("etcd", files) else {
        return;
    };
    start_etcd(&cluster);
    tell(&mut cluster, &["/vagrant/server.hcl", "/vagrant/etcd.hcl"]);
}

fn start_etcd(cluster: &Cluster) {
    let line = "setsid etcd --data-dir /tmp/etcd --listen-client-urls http://172.17.8.101:2379 \
                --advertise-client-urls http://172.17.8.101:2379 > /tmp/etcd.log 2>&1 < /dev/null &";
    let _ = cluster.sh(SERVER, line).ok();
    eventually("etcd", || {
        let health = cluster.sh(
            SERVER,
            "ETCDCTL_API=3 etcdctl --endpoints http://172.17.8.101:2379 endpoint health",
        );
        if health.code == 0 {
            Ok(())
        } else {
            Err(health.stderr)
        }
    });
}
