//! An agent whose output nobody reads any more goes on, and what it has to say of its end is no second fault.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rove_testkit::{PATIENCE, free_port};

const ROVE: &str = env!("CARGO_BIN_EXE_rove");

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_refusal_that_nobody_reads_has_the_exit_code_of_a_refusal() {
    for words in [
        &["agent", "-nope"][..],
        &["agent", "-config", "missing.hcl"],
        &["jbo"],
    ] {
        let status = Command::new(ROVE)
            .args(words)
            .stdout(unread())
            .stderr(unread())
            .status()
            .unwrap();
        let expected = if words[0] == "agent" { 1 } else { 127 };
        assert_eq!(status.code(), Some(expected), "{words:?}");
    }
    let status = Command::new(ROVE)
        .args(["agent", "-help"])
        .stdout(unread())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_agent_whose_port_is_taken_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.hcl");
    let text = format!(
        "data_dir = \"{}\"\nbind_addr = \"127.0.0.1\"\nports {{ http = {port} }}\nserver {{ enabled = true }}\n",
        folder.path().join("data").display()
    );
    std::fs::write(&file, text).unwrap();
    let ran = Command::new(ROVE)
        .args(["agent", "-config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ran.stderr);
    for word in [
        format!("127.0.0.1:{port}"),
        "stop it".to_owned(),
        "ports { http = ... }".to_owned(),
    ] {
        assert!(said.contains(&word), "{word}: {said}");
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_goes_on_when_the_reader_of_its_log_has_gone() {
    let (http, rpc) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.hcl");
    let text = format!(
        "data_dir = \"{}\"\nbind_addr = \"127.0.0.1\"\nlog_level = \"TRACE\"\nports {{\n  http = {http}\n  rpc = {rpc}\n}}\nserver {{\n  enabled = true\n}}\n",
        folder.path().join("data").display()
    );
    std::fs::write(&file, text).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut agent = Agent(
        Command::new(ROVE)
            .args(["agent", "-config"])
            .arg(&file)
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(reader);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.starts_with("==> "), "{first}");
    drop(lines);
    // It writes its log with every call, and answers them all the same.
    let until = Instant::now() + PATIENCE;
    let mut answered = 0;
    while answered < 3 {
        assert_eq!(agent.0.try_wait().unwrap(), None, "the agent has ended");
        assert!(Instant::now() < until, "the agent does not answer");
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", http)) {
            let mut answer = String::new();
            let asked = stream
                .write_all(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .and_then(|()| stream.read_to_string(&mut answer));
            if asked.is_ok() && answer.starts_with("HTTP/1.1 200") {
                answered += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = nix::unistd::Pid::from_raw(i32::try_from(agent.0.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
}
