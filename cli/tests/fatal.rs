//! Whatever keeps an agent from starting is said with the file or setting, the place, and what to do about it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const ROVE: &str = env!("CARGO_BIN_EXE_rove");

/// What an agent says that does not start.
fn refusal(words: &[&str], folder: &Path) -> String {
    let ran = Command::new(ROVE)
        .arg("agent")
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{words:?}: {said}");
    said
}

#[test]
fn every_refusal_to_start_names_its_place_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    fs::create_dir_all(root.join("bad/server/store")).unwrap();
    fs::write(root.join("bad/server/store/store.redb"), [7; 4096]).unwrap();
    fs::create_dir_all(root.join("empty/server/store")).unwrap();
    fs::write(root.join("empty/server/store/store.redb"), "").unwrap();
    fs::create_dir_all(root.join("lost/client")).unwrap();
    fs::write(root.join("lost/client/client-id"), "no id").unwrap();
    fs::write(root.join("file"), "no folder").unwrap();
    let server = "bind_addr = \"127.0.0.1\"\nserver { enabled = true }\n";
    let client =
        "bind_addr = \"127.0.0.1\"\nclient {\n  enabled = true\n  servers = [\"127.0.0.1:9\"]\n}\n";
    let (http, rpc) = (rove_testkit::free_port(), rove_testkit::free_port());
    let free = format!("ports {{\n  http = {http}\n  rpc  = {rpc}\n}}\n");
    // The file, and what has to be said of it.
    let rows: &[(&str, String, &[&str])] = &[
        ("no mode", "data_dir = \"d\"\n".to_owned(), &["server { enabled = true }", "-dev"]),
        ("no data_dir", server.to_owned(), &["\"data_dir\"", "-data-dir"]),
        (
            "a file for a folder",
            format!("data_dir = \"file\"\n{server}"),
            &["data_dir", "/file: name a folder that the agent may make and write to"],
        ),
        (
            "a folder that can't be made",
            format!("data_dir = \"/proc/rove/data\"\n{server}"),
            &["data_dir /proc/rove/data: name a folder"],
        ),
        (
            "three servers without an etcd",
            "data_dir = \"d\"\nserver {\n  enabled = true\n  bootstrap_expect = 3\n}\n".to_owned(),
            &["server.bootstrap_expect = 3", "set server { etcd { endpoints"],
        ),
        (
            "a client without servers",
            "data_dir = \"d\"\nclient { enabled = true }\n".to_owned(),
            &["client.servers", "\"host:4647\""],
        ),
        (
            "one port for both",
            format!("data_dir = \"d\"\n{server}ports {{\n  http = {port}\n  rpc = {port}\n}}\n"),
            &["ports { http } and ports { rpc } are both", "choose two"],
        ),
        (
            "a port that is taken",
            format!("data_dir = \"d\"\n{server}ports {{ http = {port} }}\n"),
            &["127.0.0.1:", "stop it, or choose another port with ports { http = ... }"],
        ),
        (
            "an address of another host",
            "data_dir = \"d\"\nbind_addr = \"192.0.2.1\"\nserver { enabled = true }\n".to_owned(),
            &["192.0.2.1:4646", "see bind_addr and addresses"],
        ),
        (
            "an address that is none",
            "data_dir = \"d\"\nbind_addr = \"home\"\nserver { enabled = true }\n".to_owned(),
            &["bind_addr: \"home\" is not an IP address to listen on"],
        ),
        (
            "an interface that is not there",
            format!("data_dir = \"d\"\n{}", client.replace("servers", "network_interface = \"nope0\"\n  servers")),
            &["client.network_interface \"nope0\"", "those that have are", "lo"],
        ),
        (
            "a certificate that is not there",
            format!(
                "data_dir = \"d\"\nbind_addr = \"127.0.0.1\"\n{free}server {{\n  enabled = true\n  etcd {{\n    endpoints = [\"https://127.0.0.1:9\"]\n    ca_file = \"/nope.pem\"\n  }}\n}}\n"
            ),
            &["server.etcd.ca_file", "/nope.pem", "name a PEM file"],
        ),
        (
            "https without an authority",
            "data_dir = \"d\"\nserver {\n  enabled = true\n  etcd {\n    endpoints = [\"https://127.0.0.1:9\"]\n  }\n}\n".to_owned(),
            &["server.etcd.ca_file", "needs the certificate of the authority"],
        ),
        (
            "a damaged store",
            format!("data_dir = \"bad\"\n{server}{free}"),
            &["bad/server/store/store.redb is damaged", "put back a copy of", "operator store check", "operator store repair"],
        ),
        (
            "an emptied store",
            format!("data_dir = \"empty\"\n{server}{free}"),
            &["empty/server/store/store.redb", "put back a copy of"],
        ),
        (
            "a damaged id",
            format!("data_dir = \"lost\"\n{client}{free}"),
            &["lost/client/client-id does not hold a node id", "put it back from a backup, or remove"],
        ),
        (
            "an unknown key",
            "data_dir = \"d\"\nsevrer { enabled = true }\n".to_owned(),
            &["a.hcl:2:1", "sevrer", "server"],
        ),
        (
            "a wrong type",
            "data_dir = \"d\"\nports { http = \"x\" }\n".to_owned(),
            &["a.hcl:2:", "ports.http"],
        ),
        ("no HCL", "data_dir = = 3\n".to_owned(), &["a.hcl:1:12"]),
    ];
    for (what, text, parts) in rows {
        fs::write(root.join("a.hcl"), text).unwrap();
        let said = refusal(&["-config", "a.hcl"], root);
        for part in *parts {
            assert!(said.contains(part), "{what}: {part:?} is not in {said:?}");
        }
        assert!(said.ends_with('\n'), "{what}: {said:?}");
    }
    drop(taken);
    for (words, parts) in [
        (&["-hlep"][..], &["-hlep", "See \"rove agent -help\""][..]),
        (&["-dve"], &["-dve", "Did you mean -dev?"]),
        (&["x.hcl"], &["\"x.hcl\"", "named with -config"]),
        (
            &["-config", "nope.hcl"],
            &["nope.hcl", "no such file or directory"],
        ),
        (&["-dev", "-meta", "x"], &["-meta", "expected key=value"]),
        (
            &["-dev", "-bootstrap-expect", "0"],
            &["-bootstrap-expect", "a number of at least 1"],
        ),
    ] {
        let said = refusal(words, root);
        for part in parts {
            assert!(
                said.contains(part),
                "{words:?}: {part:?} is not in {said:?}"
            );
        }
    }
    fs::write(root.join("a.json"), "{\"server\": {\"enabled\": tru}}").unwrap();
    let said = refusal(&["-config", "a.json"], root);
    assert!(said.contains("a.json:1:27: this is no JSON: "), "{said}");
    assert!(!said.contains("at line 1 column 27"), "{said}");
}
