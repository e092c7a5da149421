//! Agents on this host's loopback, or where a test places them.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rove_testkit::free_port;
use tempfile::TempDir;

use crate::{
    command::{Output, eventually, rove, run, wait},
    measure::processes_of,
};

const CLIENT: &str = "\
client {
  enabled           = true
  network_interface = \"lo\"
}
plugin \"raw_exec\" {
  config {
    enabled = true
  }
}
";

/// An agent that was started with a configuration file of its own; ended when dropped.
pub struct Agent {
    child: Child,
    wrap: Vec<String>,
    /// The address it listens on.
    pub address: String,
    flags: &'static [&'static str],
    /// Its HTTP port.
    pub http: u16,
    /// Its store front end's port.
    pub rpc: u16,
    /// Its folder: `agent.hcl`, `more.hcl`, `agent.log`, `data`.
    pub folder: TempDir,
}

/// Where and how an agent is started.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address it listens on.
    pub address: String,
    /// A command that it is started by, as `nsenter --net=… --`; it has to become the agent.
    pub wrap: Vec<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            address: "127.0.0.1".to_owned(),
            wrap: Vec::new(),
        }
    }
}

impl Agent {
    /// Starts a development-like agent: server and client on loopback with free ports, `raw_exec` on, durable state in
    /// its folder, and `extra` configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(extra: &str) -> Self {
        Self::start_at(Place::default(), extra)
    }

    /// The same, at another place.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_at(place: Place, extra: &str) -> Self {
        let agent = Self::with_roles(
            place,
            &format!("server {{\n  enabled = true\n}}\n{CLIENT}"),
            extra,
        );
        eventually("the agent's node", || {
            let nodes = agent
                .get("/v1/nodes")
                .map_err(|error| format!("{error:?}"))?;
            let ready = nodes
                .as_array()
                .is_some_and(|nodes| nodes.iter().any(|node| node["Status"] == "ready"));
            ready.then_some(()).ok_or_else(|| nodes.to_string())
        });
        agent
    }

    /// Starts a server alone.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn server(extra: &str) -> Self {
        Self::server_at(Place::default(), extra)
    }

    /// The same, at another place.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn server_at(place: Place, extra: &str) -> Self {
        Self::with_roles(place, "server {\n  enabled = true\n}\n", extra)
    }

    /// Starts a client of the servers at these ports of loopback.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn client(servers: &[u16], extra: &str) -> Self {
        let servers: Vec<String> = servers
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        Self::client_at(Place::default(), &servers, extra)
    }

    /// Starts a client of these servers, `host:port`, at another place.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn client_at(place: Place, servers: &[String], extra: &str) -> Self {
        let roles = format!("{CLIENT}\nclient {{\n  servers = {servers:?}\n}}\n");
        Self::with_roles(place, &roles, extra)
    }

    /// Starts `rove agent -dev` on free ports, and does not wait for it. What it is told to keep lies in its folder.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn dev() -> Self {
        Self::launch(Place::default(), "", "", &["-dev"])
    }

    fn with_roles(place: Place, roles: &str, extra: &str) -> Self {
        let mut agent = Self::launch(place, roles, extra, &[]);
        agent.ready();
        agent
    }

    fn launch(place: Place, roles: &str, extra: &str, flags: &'static [&'static str]) -> Self {
        let Place { address, wrap } = place;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (http, rpc) = (free_port(), free_port());
        let config = format!(
            "name = \"host-{http}\"\ndata_dir = \"{}\"\nbind_addr = \"{address}\"\nports {{\n  http = {http}\n  rpc = {rpc}\n}}\n{roles}",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("agent.hcl"), config)
            .expect("the configuration can be written");
        std::fs::write(folder.path().join("more.hcl"), extra)
            .expect("the configuration can be written");
        let child = spawn(&wrap, folder.path(), flags);
        Self {
            child,
            wrap,
            address,
            flags,
            http,
            rpc,
            folder,
        }
    }

    /// Waits until it says that it has started.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub fn ready(&mut self) {
        let log = self.folder.path().join("agent.log");
        let child = &mut self.child;
        eventually("the agent", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.contains("agent started!") {
                return Ok(());
            }
            assert!(
                child.try_wait().is_ok_and(|status| status.is_none()),
                "the agent ended:\n{text}"
            );
            Err(text)
        });
    }

    /// Ends it with `signal` (`KILL`, `TERM`, `INT`), its tasks as they are.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self, signal: &str) {
        let _ = run(Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string()));
        if wait(&mut self.child).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            assert!(
                std::thread::panicking(),
                "the agent does not end by {signal}"
            );
        }
    }

    /// Starts it again on its state.
    pub fn restart(&mut self) {
        let _ = std::fs::rename(
            self.folder.path().join("agent.log"),
            self.folder.path().join("agent.log.old"),
        );
        self.child = spawn(&self.wrap, self.folder.path(), self.flags);
        self.ready();
    }

    /// Starts it again on its state, by another command.
    pub fn restart_by(&mut self, wrap: Vec<String>) {
        self.wrap = wrap;
        self.restart();
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes of an alloc's tasks, by the alloc's id in their environment.
    #[must_use]
    pub fn pids_of(&self, alloc: &str) -> Vec<u32> {
        let wanted = format!("NOMAD_ALLOC_ID={alloc}");
        let mut pids: Vec<u32> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|process| {
                std::fs::read(process.path().join("environ")).is_ok_and(|environment| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|entry| entry == wanted.as_bytes())
                })
            })
            .filter_map(|process| process.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// Runs `rove` with `args` against it.
    pub fn rove(&self, args: &[&str]) -> Output {
        run(Command::new(rove())
            .env(
                "ROVE_ADDR",
                format!("http://{}:{}", self.address, self.http),
            )
            .current_dir(self.folder.path())
            .args(args))
    }

    /// Writes a job file into its folder and gives its path.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn job(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the job file can be written");
        path.display().to_string()
    }

    /// The JSON that `GET path` answers.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub fn get(&self, path: &str) -> Result<serde_json::Value, String> {
        let output = self.rove(&["operator", "api", path]);
        serde_json::from_str(&output.stdout).map_err(|error| format!("{path}: {error}: {output:?}"))
    }

    /// Waits until every alloc of `job` that shall run does; gives their ids.
    #[must_use]
    pub fn running(&self, job: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} running of {job}"), || {
            let allocs = self.get(&format!("/v1/job/{job}/allocations"))?;
            let running: Vec<String> = allocs
                .as_array()
                .into_iter()
                .flatten()
                .filter(|alloc| {
                    alloc["ClientStatus"] == "running" && alloc["DesiredStatus"] == "run"
                })
                .filter_map(|alloc| alloc["ID"].as_str().map(str::to_owned))
                .collect();
            if running.len() == count {
                Ok(running)
            } else {
                Err(allocs.to_string())
            }
        })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!(
                "--- the agent's log:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        // Stop what it runs before it ends, so that no task outlives the test.
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Ok(serde_json::Value::Array(jobs)) = self.get("/v1/jobs") {
                for job in jobs.iter().filter_map(|job| job["ID"].as_str()) {
                    let _ = self.rove(&["job", "stop", "-purge", "-yes", job]);
                }
            }
            self.end("TERM");
        }
        end_supervisors(self.folder.path());
    }
}

fn spawn(wrap: &[String], folder: &Path, flags: &[&str]) -> Child {
    let log = std::fs::File::create(folder.join("agent.log")).expect("the log can be written");
    let errors = log.try_clone().expect("the log's handle can be copied");
    let mut command = match wrap {
        [] => Command::new(rove()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(rove());
            command
        }
    };
    command
        .arg("agent")
        .args(flags)
        .arg("-config")
        .arg(folder.join("agent.hcl"))
        .arg("-config")
        .arg(folder.join("more.hcl"))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("rove can be started")
}

/// Ends supervisors that have files under `folder`, should a failed test have left one.
fn end_supervisors(folder: &Path) {
    for pid in processes_of(&rove()) {
        let holds = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|open| std::fs::read_link(open.path()).is_ok_and(|path| path.starts_with(folder)));
        if holds {
            let _ = run(Command::new("kill").args(["-9", &pid.to_string()]));
        }
    }
}
