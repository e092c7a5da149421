//! Measures rove on this machine and prints the numbers beside what Nomad 1.6.5 reached on such a machine.
//!
//! `cargo run --release -p rove-e2e --bin bench` (build the binary `rove` in the release profile first; needs root and,
//! for the container, a docker engine with the image `redis:3.2`). It asserts nothing: it reports.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rove_e2e::{
    command::{rove, run, workspace},
    dev::Agent,
};

const ROUNDS: usize = 20;

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
    let client = reqwest_client();
    let start = Instant::now();
    let _ = agent.rove(&["job", "run", "-detach", &file]).ok();
    let url = format!("http://127.0.0.1:{}/v1/job/{name}/allocations", agent.http);
    loop {
        let running = client
            .block(&url)
            .map(|text| text.matches("\"ClientStatus\":\"running\"").count())
            .unwrap_or_default();
        if running >= count {
            return start.elapsed();
        }
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "{name} does not run"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Client {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Client {
    fn block(&self, url: &str) -> Result<String, reqwest::Error> {
        self.runtime
            .block_on(async { self.client.get(url).send().await?.text().await })
    }
}

fn reqwest_client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client {
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

fn median_and_worst(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort();
    (
        times[times.len() / 2].as_millis(),
        times[times.len() - 1].as_millis(),
    )
}

/// The pids of `agent` and of every supervisor it started.
fn rove_pids(agent: &Agent) -> BTreeSet<u32> {
    let folder = agent.folder.path().to_string_lossy().into_owned();
    let mut pids = BTreeSet::from([agent.pid()]);
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.contains(&folder)
            && std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == rove())
        {
            pids.insert(pid);
        }
    }
    pids
}

fn from_status(pid: u32, file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines()
        .find_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix(':')?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or_default()
}

fn pss_kib(agent: &Agent) -> u64 {
    rove_pids(agent)
        .into_iter()
        .map(|pid| from_status(pid, "smaps_rollup", "Pss"))
        .sum()
}

fn row(what: &str, measured: &str, aim: &str, peer: &str) {
    println!("| {what} | {measured} | {aim} | {peer} |");
}

fn main() {
    let commit =
        run(Command::new("git")
            .current_dir(workspace())
            .args(["rev-parse", "--short", "HEAD"]))
        .stdout;
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("unknown")
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("rove {} on {cores} cores of {model}\n", commit.trim());
    println!("| what | rove | aim | Nomad 1.6.5 |\n| --- | --- | --- | --- |");

    let size = std::fs::metadata(rove()).unwrap().len() / 1_000_000;
    row("binary", &format!("{size} MB"), "40 MB", "97 MB");

    let start = Instant::now();
    let agent = Agent::start("");
    row(
        "agent ready",
        &format!("{:.2} s", start.elapsed().as_secs_f64()),
        "0.5 s",
        "2.0 s",
    );
    let client = Agent::client(&[agent.rpc], "");
    std::thread::sleep(Duration::from_secs(60));
    let rss = |agent: &Agent| from_status(agent.pid(), "status", "VmRSS") as f64 / 1024.0;
    row(
        "idle RSS, server and client",
        &format!("{:.1} MiB", rss(&agent)),
        "40 MB",
        "70–94 MB",
    );
    row(
        "idle RSS, client alone",
        &format!("{:.1} MiB", rss(&client)),
        "25 MB",
        "70–94 MB",
    );
    drop(client);

    let times = (0..ROUNDS).map(|round| {
        let name = format!("one-{round}");
        let time = time_to_running(&agent, &name, &sleep_job(&name, 1), 1);
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", "-detach", &name]);
        time
    });
    let (median, worst) = median_and_worst(times.collect());
    row(
        "a raw_exec task to running (median, worst of 20)",
        &format!("{median} ms, {worst} ms"),
        "150 ms",
        "1,054 ms",
    );

    let idle = pss_kib(&agent);
    let all = time_to_running(&agent, "fifty", &sleep_job("fifty", 50), 50);
    row(
        "50 raw_exec tasks to running",
        &format!("{} ms", all.as_millis()),
        "1,000 ms",
        "3,000–3,900 ms",
    );
    std::thread::sleep(Duration::from_secs(5));
    let each = (pss_kib(&agent).saturating_sub(idle)) as f64 / 50.0 / 1024.0;
    row(
        "overhead of a task (PSS)",
        &format!("{each:.2} MiB"),
        "2 MB",
        "26 MB",
    );
    let _ = agent.rove(&["job", "stop", "-purge", "-yes", "fifty"]);

    let engine = run(Command::new("docker").args(["image", "inspect", "redis:3.2"])).code == 0;
    if engine || Path::new("/var/run/docker.sock").exists() {
        let (mut ours, mut docker) = (Vec::new(), Vec::new());
        let extra = std::env::var("DOCKER_HOST")
            .map(|host| {
                format!("plugin \"docker\" {{\n  config {{\n    endpoint = \"{host}\"\n  }}\n}}\n")
            })
            .unwrap_or_default();
        let agent = Agent::start(&extra);
        for round in 0..ROUNDS {
            let start = Instant::now();
            let id = run(Command::new("docker").args([
                "run",
                "-d",
                "-p",
                "127.0.0.1::6379",
                "redis:3.2",
            ]))
            .ok();
            docker.push(start.elapsed());
            let _ = run(Command::new("docker").args(["rm", "-f", id.trim()]));
            let name = format!("redis-{round}");
            ours.push(time_to_running(&agent, &name, &redis_job(&name), 1));
            let _ = agent.rove(&["job", "stop", "-purge", "-yes", &name]);
        }
        let (ours, worst) = median_and_worst(ours);
        let (docker, docker_worst) = median_and_worst(docker);
        row(
            "the redis container to running (median, worst of 20)",
            &format!("{ours} ms, {worst} ms; docker run: {docker} ms, {docker_worst} ms"),
            "docker run + 150 ms",
            "1,054 ms; docker run: 246 ms",
        );
    }
}
