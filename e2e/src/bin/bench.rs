//! Measures rove on this machine and prints the numbers beside what is aimed at and what Nomad 1.6.5 reached on such a
//! machine.
//!
//! `cargo run --release -p rove-e2e --bin bench [-- OPTIONS]` (build the binary `rove` in the release profile first, or
//! name one by `ROVE_BIN`; needs root and, for the container, a docker engine with the image `redis:3.2`, found by
//! `DOCKER_HOST`). It asserts nothing: it reports.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rove_e2e::{
    command::{eventually, rove, run},
    dev::Agent,
    measure::{family, heading, median_and_worst, pss_kib, rss_kib},
};

const HELP: &str = "\
usage: bench [options]

  -rows LIST     of binary,starts,idle,tasks,containers; all of them
  -rounds N      how often one task, and one container, is started (20)
  -starts N      how often an agent, and fifty tasks, are started (5)
  -idle SECONDS  after how long an agent counts as idle (60)
";

struct Options {
    rows: Option<Vec<String>>,
    rounds: usize,
    starts: usize,
    idle: Duration,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Self {
            rows: None,
            rounds: 20,
            starts: 5,
            idle: Duration::from_secs(60),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            let number = || {
                let number = value.parse::<u32>().ok().filter(|number| *number > 0);
                number.ok_or_else(|| format!("{arg} needs a number above 0, this is {value:?}"))
            };
            match arg.trim_start_matches('-') {
                "rows" => options.rows = Some(value.split(',').map(str::to_owned).collect()),
                "rounds" => options.rounds = number()? as usize,
                "starts" => options.starts = number()? as usize,
                "idle" => options.idle = Duration::from_secs(number()?.into()),
                _ => return Err(format!("there is no option {arg}")),
            }
        }
        for row in options.rows.iter().flatten() {
            if !ROWS.iter().any(|(name, _)| name == row) {
                return Err(format!("no row is called {row:?}"));
            }
        }
        Ok(options)
    }
}

/// One row of the table: its name, and what measures and prints it.
type Row = (&'static str, fn(&Options));

/// What is measured, in the order of the table.
const ROWS: [Row; 5] = [
    ("binary", binary),
    ("starts", starts),
    ("idle", idle),
    ("tasks", tasks),
    ("containers", containers),
];

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
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            std::process::exit(1);
        }
    };
    println!("{}\n", heading());
    println!("| what | rove | aim | Nomad 1.6.5 |\n| --- | --- | --- | --- |");
    for (name, measure) in ROWS {
        let wanted = |rows: &Vec<String>| rows.iter().any(|row| row == name);
        if options.rows.as_ref().is_none_or(wanted) {
            measure(&options);
        }
    }
}

fn binary(_: &Options) {
    let size = std::fs::metadata(rove()).unwrap().len() as f64 / 1e6;
    row("binary", &format!("{size:.1} MB"), "45 MB", "97 MB");
}

fn starts(options: &Options) {
    let starts = options.starts;
    let times = (0..starts).map(|_| time_to_ready().0).collect();
    row(
        &format!("dev agent's start to node ready (median, worst of {starts})"),
        &both(times),
        "500 ms",
        "2,000 ms",
    );
}

/// Memory of agents that have nothing to do. Both end with it: a node that has just gone still counts as there.
fn idle(options: &Options) {
    let (_, dev) = time_to_ready();
    let server = Agent::server("");
    let client = Agent::client(&[server.rpc], "");
    std::thread::sleep(options.idle);
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

fn tasks(options: &Options) {
    let Options { rounds, starts, .. } = *options;
    let agent = &Agent::start("");
    let times = (0..rounds).map(|round| {
        let name = format!("one-{round}");
        let time = time_to_running(agent, &name, &sleep_job(&name, 1), 1);
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", "-detach", &name]);
        time
    });
    row(
        &format!("a raw_exec task to running (median, worst of {rounds})"),
        &both(times.collect()),
        "150 ms",
        "1,054 ms",
    );

    let mut times = Vec::new();
    let mut each = 0.0;
    let mut helpers = 0;
    // What has just ended, or just started, takes its time to come to rest.
    let at_rest = || {
        std::thread::sleep(Duration::from_secs(5));
        family_pss_kib(agent)
    };
    let (idle, before) = at_rest();
    for round in 0..starts {
        let name = format!("fifty-{round}");
        times.push(time_to_running(agent, &name, &sleep_job(&name, 50), 50));
        if round == 0 {
            let (busy, after) = at_rest();
            each = busy.saturating_sub(idle) as f64 * 1024.0 / 50.0 / 1e6;
            helpers = after - before;
        }
        let _ = agent.rove(&["job", "stop", "-purge", "-yes", &name]);
        eventually("the end of what ran", || {
            let left = family_pss_kib(agent).1;
            if left <= before {
                Ok(())
            } else {
                Err(format!("{left} processes"))
            }
        });
    }
    row(
        &format!("50 raw_exec tasks to running (median, worst of {starts})"),
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

fn containers(options: &Options) {
    let rounds = options.rounds;
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
    for round in 0..rounds {
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
        &format!("the redis container to running (median, worst of {rounds})"),
        &format!("{}; docker run: {}", both(ours), both(docker)),
        "docker run + 150 ms",
        "1,054 ms; docker run: 246 ms",
    );
}
