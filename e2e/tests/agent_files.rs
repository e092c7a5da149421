//! What an agent refuses to start with, and how it says so.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{net::TcpListener, process::Command};

use rove_e2e::{
    command::{Output, rove, run},
    dev::Agent,
};

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
        &[&format!("127.0.0.1:{port}"), "in use"],
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
