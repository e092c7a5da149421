//! What an agent refuses to start with, and how it says so.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{net::TcpListener, process::Command};

use rove_e2e::{
    command::{Output, available, eventually, rove, run},
    dev::{Agent, Place},
};
use rove_testkit::free_port;

fn agent(args: &[&str]) -> Output {
    run(Command::new(rove()).arg("agent").args(args))
}

fn refused(what: &str, args: &[&str], expected: &[&str]) {
    let output = agent(args);
    assert_eq!(output.code, 1, "{what}: {output:?}");
    for words in expected {
        assert!(
            output.stderr.contains(words),
            "{what}: {words:?} is missing in {output:?}"
        );
    }
}

#[test]
fn mistakes_are_refused_with_their_place_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    refused(
        "no role",
        &[],
        &["==> Must specify either server, client or dev mode for the agent."],
    );
    refused(
        "a missing file",
        &["-config", "no-such-file.hcl"],
        &["Error loading configuration from no-such-file.hcl"],
    );
    let unknown = file("unknown.hcl", "server {\n  enabeld = true\n}\n");
    refused(
        "an unknown key",
        &["-config", &unknown],
        &["unknown.hcl:2:3: server.enabeld: unknown key; did you mean `enabled`?"],
    );
    let three = file(
        "three.hcl",
        "server {\n  enabled = true\n  bootstrap_expect = 3\n}\n",
    );
    let data = folder.path().join("data").display().to_string();
    refused(
        "three servers without etcd",
        &["-config", &three, "-data-dir", &data],
        &["bootstrap_expect", "etcd"],
    );
    let server = file("server.hcl", "server {\n  enabled = true\n}\n");
    refused("no data_dir", &["-config", &server], &["data_dir"]);
    let blocked = file("a-file", "");
    refused(
        "an unwritable data_dir",
        &["-config", &server, "-data-dir", &format!("{blocked}/data")],
        &["a-file/data"],
    );
    let client = file("client.hcl", "client {\n  enabled = true\n}\n");
    refused(
        "a client without servers",
        &["-config", &client, "-data-dir", &data],
        &["client.servers"],
    );
    for (endpoint, more, expected) in [
        (
            "https://127.0.0.1:1",
            "",
            "server.etcd.ca_file: https://127.0.0.1:1",
        ),
        (
            "http://127.0.0.1:1",
            "ca_file = \"x.pem\"",
            "server.etcd.endpoints: http://127.0.0.1:1",
        ),
        (
            "https://127.0.0.1:1",
            "ca_file = \"no-such.pem\"",
            "can't read no-such.pem",
        ),
        (
            "http://127.0.0.1:1",
            "username = \"x\"",
            "username and password go together",
        ),
    ] {
        let text = format!(
            "bind_addr = \"127.0.0.1\"\nports {{\n  http = {}\n  rpc = {}\n}}\nserver {{\n  enabled = true\n  etcd {{\n    endpoints = [\"{endpoint}\"]\n    {more}\n  }}\n}}\n",
            free_port(),
            free_port(),
        );
        let etcd = file("etcd.hcl", &text);
        refused(
            expected,
            &["-config", &etcd, "-data-dir", &data],
            &[expected],
        );
    }
}

#[test]
fn a_data_dir_on_a_read_only_disk_is_refused() {
    let disk = tempfile::tempdir().unwrap();
    let mount = run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", "ro", "tmpfs"])
        .arg(disk.path()));
    if !available("a mount", mount.code == 0) {
        return;
    }
    let data = disk.path().join("data").display().to_string();
    let output = agent(&["-server", "-bind", "127.0.0.1", "-data-dir", &data]);
    let _ = run(Command::new("umount").arg("-l").arg(disk.path()));
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains(&data) && output.stderr.contains("Read-only"),
        "{output:?}"
    );
}

#[test]
fn a_port_in_use_and_a_second_agent_on_one_data_dir_are_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.hcl");
    std::fs::write(
        &config,
        format!("bind_addr = \"127.0.0.1\"\nports {{\n  http = {port}\n}}\n"),
    )
    .unwrap();
    let data = folder.path().join("data").display().to_string();
    refused(
        "a port in use",
        &[
            "-server",
            "-data-dir",
            &data,
            "-config",
            &config.display().to_string(),
        ],
        &["the HTTP API", &format!("127.0.0.1:{port}"), "in use"],
    );
    std::fs::write(
        &config,
        format!(
            "bind_addr = \"127.0.0.1\"\nports {{\n  http = {}\n  rpc = {port}\n}}\n",
            free_port()
        ),
    )
    .unwrap();
    refused(
        "the other port in use",
        &[
            "-server",
            "-data-dir",
            &data,
            "-config",
            &config.display().to_string(),
        ],
        &[
            "the store front end",
            &format!("127.0.0.1:{port}"),
            "in use",
        ],
    );

    let first = Agent::start("");
    refused(
        "a second agent",
        &[
            "-server",
            "-bind",
            "127.0.0.1",
            "-data-dir",
            &first.data().display().to_string(),
        ],
        &[&first.pid().to_string(), "data_dir"],
    );
}

/// The addresses on which a process listens, as the kernel says.
fn listening(pid: u32) -> Vec<String> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let link = std::fs::read_link(entry.path()).ok()?;
            let link = link.to_str()?;
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let listens = words.get(3) == Some(&"0A");
            let own = words
                .get(9)
                .is_some_and(|inode| sockets.iter().any(|socket| socket == inode));
            (listens && own).then(|| words[1].to_owned())
        })
        .collect()
}

#[test]
fn a_development_agent_listens_on_loopback_only_and_others_say_who_can_reach_what() {
    let folder = tempfile::tempdir().unwrap();
    let ports = folder.path().join("ports.hcl");
    let (http, rpc) = (free_port(), free_port());
    std::fs::write(
        &ports,
        format!("ports {{\n  http = {http}\n  rpc = {rpc}\n}}\n"),
    )
    .unwrap();
    let log = folder.path().join("log");
    let mut dev = Command::new(rove())
        .args(["agent", "-dev", "-config"])
        .arg(&ports)
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let text = eventually("its start", || {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("agent started!") {
            Ok(text)
        } else {
            Err(text)
        }
    });
    let mut found = listening(dev.id());
    found.sort();
    dev.kill().unwrap();
    dev.wait().unwrap();
    let mut expected = [http, rpc].map(|port| format!("0100007F:{port:04X}"));
    expected.sort();
    assert_eq!(found, expected, "127.0.0.1 alone");
    assert!(
        !text.contains("Everyone") && !text.contains("everyone"),
        "{text}"
    );

    let open = Agent::start_at(
        Place {
            address: "0.0.0.0".to_owned(),
            ..Place::default()
        },
        "",
    );
    let log = open.log();
    for line in [
        format!(
            "==> Without access control everyone who reaches 0.0.0.0:{} can run, change and stop jobs on this cluster and read its tasks' files.",
            open.http
        ),
        format!(
            "==> Everyone who reaches 0.0.0.0:{} can read all state but secrets, and register a node.",
            open.rpc
        ),
    ] {
        assert!(log.lines().any(|found| found == line), "{line} in {log}");
    }
}
