//! Measures rove on this machine and prints the numbers beside what is aimed at and what Nomad 1.6.5 reached on such a
//! machine.
//!
//! `cargo run --release -p rove-e2e --bin bench` (build the binary `rove` in the release profile first; needs root and,
//! for the container, a docker engine with the image `redis:3.2`, found by `DOCKER_HOST`). It asserts nothing: it
//! reports.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rove_e2e::{
    command::{rove, run},
    dev::Agent,
    measure::{family, heading, median_and_worst, pss_kib, rss_kib},
};

/// How often what is told by median and worst is measured.
const ROUNDS: usize = 20;

/// How often an agent is started, and fifty tasks.
const STARTS: usize = 5;

/// After so long an agent counts as idle.
const IDLE: Duration = Duration::from_secs(60);

fn sleep_job(name: &str, count: usize) -> String {
    format!(
        r#"
job "{name}" {{
  group "g" {{
    count = {count}
    ephemeral_disk {{
      size = 10
    }}
    task "t" {{
      logs {{
        max_files     = 1
        max_file_size = 1
      }}
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["3600"]
      }}
      resources {{
        cpu    = 10
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

fn redis_job(name: &str) -> String {
    format!(
        r#"
job "{name}" {{
  group "g" {{
    ephemeral_disk {{
      size = 10
    }}
    network {{
      port "db" {{
        to = 6379
      }}
    }}
    task "redis" {{
      logs {{
        max_files     = 1
        max_file_size = 1
      }}
      driver = "docker"
      config {{
        image = "redis:3.2"
        ports = ["db"]
      }}
      resources {{
        cpu    = 10
        memory = 64
      }}
    }}
  }}
}}
"#
    )
}

/// From the start of `job run -detach` to the first answer that says that all `count` allocs run.
fn time_to_running(agent: &Agent, name: &str, text: &str, count: usize) -> Duration {
    let file = agent.job("bench.nomad", text);
    let client = Client::new();
    let start = Instant::now();
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let url = format!("http://127.0.0.1:{}/v1/job/{name}/allocations", agent.http);
    client.until(name, &url, start, |text| {
        text.matches("\"ClientStatus\":\"running\"").count() >= count
    })
}

struct Client {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Client {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
        }
    }

    fn get(&self, url: &str) -> Result<String, reqwest::Error> {
        self.runtime
            .block_on(async { self.client.get(url).send().await?.text().await })
    }

    /// Asks every 2 ms until the answer is as it should be; the time since `start`.
    fn until(
        &self,
        what: &str,
        url: &str,
        start: Instant,
        check: impl Fn(&str) -> bool,
    ) -> Duration {
        loop {
            if self.get(url).is_ok_and(|text| check(&text)) {
                return start.elapsed();
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "waited in vain for {what}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// From the start of the process to the first answer of the API that shows the node ready.
fn time_to_ready() -> (Duration, Agent) {
    let client = Client::new();
    let start = Instant::now();
    let agent = Agent::dev();
    let url = format!("http://127.0.0.1:{}/v1/nodes", agent.http);
    let time = client.until("the node", &url, start, |text| {
        text.contains("\"Status\":\"ready\"")
    });
    (time, agent)
}

/// Memory of the agent and all its helpers in KiB, the tasks' own processes left out, and how many processes that are.
fn family_pss_kib(agent: &Agent) -> (u64, usize) {
    let family = family(agent.pid(), &rove());
    (family.iter().map(|pid| pss_kib(*pid)).sum(), family.len())
}

/// KiB in MB: what people mean by the aims.
fn mb(kib: u64) -> String {
    format!("{:.1} MB", kib as f64 * 1024.0 / 1e6)
}

fn both(times: Vec<Duration>) -> String {
    let (median, worst) = median_and_worst(times);
    format!("{} ms, {} ms", median.as_millis(), worst.as_millis())
}

fn row(what: &str, measured: &str, aim: &str, peer: &str) {
    println!("| {what} | {measured} | {aim} | {peer} |");
}

fn main() {
    println!("{}\n", heading());
    println!("| what | rove | aim | Nomad 1.6.5 |\n| --- | --- | --- | --- |");
    let size = std::fs::metadata(rove()).unwrap().len() as f64 / 1e6;
    row("binary", &format!("{size:.1} MB"), "40 MB", "97 MB");
    starts();
    idle();
    raw_exec(&Agent::start(""));
    containers();
}

fn starts() {
    let times = (0..STARTS).map(|_| time_to_ready().0).collect();
    row(
        &format!("dev agent's start to node ready (median, worst of {STARTS})"),
        &both(times),
        "500 ms",
        "2,000 ms",
    );
}

/// Memory of agents that have nothing to do. Both end with it: a node that has just gone still counts as there.
fn idle() {
    let (_, dev) = time_to_ready();
    let server = Agent::server("");
    let client = Agent::client(&[server.rpc], "");
    std::thread::sleep(IDLE);
    row(
        "dev agent, idle (RSS)",
        &mb(rss_kib(dev.pid())),
        "40 MB",
        "70–94 MB",
    );
    row(
        "client agent alone, idle (RSS)",
        &mb(rss_kib(client.pid())),
        "25 MB",
        "70–94 MB",
    );
}

fn raw_exec(agent: &Agent) {
    let times = (0..ROUNDS).map(|round| {
        let name = format!("one-{round}");
        let time = time_to_running(agent, &name, &sleep_job(&name, 1), 1);
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", "-detach", &name]);
        time
    });
    row(
        &format!("a raw_exec task to running (median, worst of {ROUNDS})"),
        &both(times.collect()),
        "150 ms",
        "1,054 ms",
    );

    let mut times = Vec::new();
    let mut each = 0.0;
    let mut helpers = 0;
    for round in 0..STARTS {
        // What the last round left is gone before the memory counts as idle.
        std::thread::sleep(Duration::from_secs(5));
        let (idle, before) = family_pss_kib(agent);
        let name = format!("fifty-{round}");
        times.push(time_to_running(agent, &name, &sleep_job(&name, 50), 50));
        std::thread::sleep(Duration::from_secs(5));
        let (busy, after) = family_pss_kib(agent);
        if round == 0 {
            each = busy.saturating_sub(idle) as f64 * 1024.0 / 50.0 / 1e6;
            helpers = after - before;
        }
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", &name]);
    }
    row(
        &format!("50 raw_exec tasks to running (median, worst of {STARTS})"),
        &both(times),
        "1,000 ms",
        "3,000–3,900 ms",
    );
    row(
        &format!("overhead of a task (PSS, {helpers} supervisors)"),
        &format!("{each:.2} MB"),
        "2 MB",
        "26 MB",
    );
}

fn containers() {
    let engine = run(Command::new("docker").args(["image", "inspect", "redis:3.2"])).code == 0;
    if !engine {
        println!(
            "\nNo docker engine with the image redis:3.2 answers: containers are not measured."
        );
        return;
    }
    let extra = std::env::var("DOCKER_HOST")
        .map(|host| {
            format!("plugin \"docker\" {{\n  config {{\n    endpoint = \"{host}\"\n  }}\n}}\n")
        })
        .unwrap_or_default();
    let agent = Agent::start(&extra);
    let (mut ours, mut docker) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        let id =
            run(Command::new("docker").args(["run", "-d", "-p", "127.0.0.1::6379", "redis:3.2"]))
                .ok();
        docker.push(start.elapsed());
        let _ = run(Command::new("docker").args(["rm", "-f", id.trim()]));
        let name = format!("redis-{round}");
        ours.push(time_to_running(&agent, &name, &redis_job(&name), 1));
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", &name]);
    }
    row(
        &format!("the redis container to running (median, worst of {ROUNDS})"),
        &format!("{}; docker run: {}", both(ours), both(docker)),
        "docker run + 150 ms",
        "1,054 ms; docker run: 246 ms",
    );
}
