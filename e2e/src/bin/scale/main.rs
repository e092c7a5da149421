//! A first look at scale: a server on a real etcd, many simulated nodes, many jobs. Prints numbers, checks none.
//!
//! `cargo run --release -p rove-e2e --bin scale [-- -nodes 1000 -jobs 100 -tasks 100]` (build the binary `rove` in the
//! same profile first). The server and etcd are processes of their own. The nodes are real agents with the mock driver,
//! all in this process, each over its own connection to the server's port 4647. Jobs are registered by `/v1/jobs`. One
//! watch on the store tells when what became true.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

mod fleet;
mod timeline;

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use rove_e2e::{
    command::run,
    dev::Agent,
    etcd::Etcd,
    measure::{cpu_time, folder_bytes, heading, median_and_worst, peak_rss_kib, rss_kib},
};
use rove_store::{
    etcd::{EtcdConfig, EtcdStore},
    store::Store,
};
use serde_json::json;

use crate::{
    fleet::Fleet,
    timeline::{JobTimes, Seen, Step, Timeline},
};

const HELP: &str = "\
usage: scale [options]

  -nodes N       simulated nodes (1000)
  -jobs N        jobs (100)
  -tasks N       tasks of each job (100)
  -cpu MHZ       cpu of each task (10); a node has 8,000 MHz
  -at-once N     registrations under way at once (8)
  -embedded      on the embedded store instead of etcd
  -perf FILE     record a profile of the server while it places, with perf, into FILE
";

struct Options {
    nodes: u32,
    jobs: usize,
    tasks: usize,
    cpu: u32,
    at_once: usize,
    embedded: bool,
    perf: Option<String>,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Self {
            nodes: 1_000,
            jobs: 100,
            tasks: 100,
            cpu: 10,
            at_once: 8,
            embedded: false,
            perf: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let name = arg.trim_start_matches('-');
            if name == "embedded" {
                options.embedded = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            let number = || {
                value
                    .parse::<u32>()
                    .ok()
                    .filter(|number| *number > 0)
                    .ok_or_else(|| format!("{arg} needs a number above 0, this is {value:?}"))
            };
            match name {
                "nodes" => options.nodes = number()?,
                "jobs" => options.jobs = number()? as usize,
                "tasks" => options.tasks = number()? as usize,
                "cpu" => options.cpu = number()?,
                "at-once" => options.at_once = number()? as usize,
                "perf" => options.perf = Some(value),
                _ => return Err(format!("there is no option {arg}")),
            }
        }
        Ok(options)
    }
}

/// The processes, and how busy they have been.
struct Processes(Vec<(&'static str, u32)>);

impl Processes {
    fn cpu(&self) -> Vec<Duration> {
        self.0.iter().map(|(_, pid)| cpu_time(*pid)).collect()
    }

    /// The cores that each kept busy since `before`, over `time`.
    fn busy(&self, before: &[Duration], time: Duration) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .zip(self.cpu().iter().zip(before))
            .map(|((name, _), (now, before))| {
                let spent = now.saturating_sub(*before).as_secs_f64();
                format!(
                    "{name} {spent:.2} s ({:.2} cores)",
                    spent / time.as_secs_f64()
                )
            })
            .collect();
        parts.join(", ")
    }
}

fn job(number: usize, options: &Options) -> serde_json::Value {
    json!({ "Job": {
        "ID": format!("scale-{number}"),
        "Name": format!("scale-{number}"),
        "Type": "service",
        "Datacenters": ["dc1"],
        "TaskGroups": [{
            "Name": "g",
            "Count": options.tasks,
            "EphemeralDisk": { "SizeMB": 10 },
            "Tasks": [{
                "Name": "t",
                "Driver": "mock_driver",
                "Config": { "run_for": "10000h" },
                "Resources": { "CPU": options.cpu, "MemoryMB": 10 },
                "LogConfig": { "MaxFiles": 1, "MaxFileSizeMB": 1 },
            }],
        }],
    }})
}

/// Registers all jobs; gives how long each call took.
async fn register(http: u16, options: &Options) -> Vec<Duration> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let url = format!("http://127.0.0.1:{http}/v1/jobs");
    stream::iter(0..options.jobs)
        .map(|number| {
            let call = client.post(&url).json(&job(number, options));
            async move {
                let begun = Instant::now();
                let answer = call.send().await.unwrap();
                let status = answer.status();
                let text = answer.text().await.unwrap();
                assert!(status.is_success(), "{status}: {text}");
                begun.elapsed()
            }
        })
        .buffer_unordered(options.at_once)
        .collect()
        .await
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn mib(kib: u64) -> String {
    format!("{:.0} MiB", kib as f64 / 1024.0)
}

fn steps(seen: &Seen, start: Instant) {
    println!("\n| step | first after | last after | times |\n| --- | --- | --- | --- |");
    for (step, name) in Step::OF_JOBS {
        if let Some(span) = seen.steps.get(&step) {
            println!(
                "| {name} | {} | {} | {} |",
                ms(span.first.saturating_duration_since(start)),
                ms(span.last.saturating_duration_since(start)),
                span.count
            );
        }
    }
}

/// From the registration of a job to `end`, over all jobs.
fn by_job(seen: &Seen, end: impl Fn(&JobTimes) -> Option<Instant>) -> String {
    let times = seen
        .jobs
        .values()
        .filter_map(|job| Some(end(job)?.saturating_duration_since(job.registered?)))
        .collect();
    let (median, worst) = median_and_worst(times);
    format!("{}, {}", ms(median), ms(worst))
}

fn rate(seen: &Seen, step: Step) -> String {
    let (Some(begin), Some(end)) = (seen.steps.get(&Step::Registration), seen.steps.get(&step))
    else {
        return "none".to_owned();
    };
    let time = end.last.saturating_duration_since(begin.first);
    format!("{:.0}/s", end.count as f64 / time.as_secs_f64())
}

fn start_perf(file: &str, pid: u32) -> Child {
    Command::new("perf")
        .args(["record", "-F", "499", "-g", "-o", file, "-p"])
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn main() {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            std::process::exit(1);
        }
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{}", heading());
    let etcd =
        (!options.embedded).then(|| Etcd::start(&["--quota-backend-bytes", "8589934592"]).unwrap());
    let server = Agent::server(&etcd.as_ref().map_or_else(String::new, |etcd| {
        format!(
            "server {{\n  etcd {{\n    endpoints = [\"{}\"]\n  }}\n}}\n",
            etcd.endpoint()
        )
    }));
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(measure(&options, etcd.as_ref(), &server));
    // The fleet is gone; the jobs need not be stopped one by one.
    let mut server = server;
    server.end("KILL");
}

async fn measure(options: &Options, etcd: Option<&Etcd>, server: &Agent) {
    let (nodes, allocs) = (options.nodes as usize, options.jobs * options.tasks);
    println!(
        "{nodes} nodes, {} jobs of {} tasks, {}\n",
        options.jobs,
        options.tasks,
        etcd.map_or("embedded store", |_| "etcd"),
    );
    let mut processes = vec![("server", server.pid()), ("nodes", std::process::id())];
    processes.extend(etcd.map(|etcd| ("etcd", etcd.pid())));
    let processes = Processes(processes);
    let endpoint = etcd.map_or_else(
        || format!("http://127.0.0.1:{}", server.rpc),
        Etcd::endpoint,
    );
    let store: Arc<dyn Store> = Arc::new(EtcdStore::new(EtcdConfig::new(vec![endpoint])).unwrap());
    let revision = store.status().await.unwrap().revision;
    let timeline = Timeline::follow(Arc::clone(&store), revision).await;

    let (begun, cpu) = (Instant::now(), processes.cpu());
    let fleet = Fleet::start(options.nodes, server.rpc).await;
    timeline
        .until(Step::Node, nodes, Duration::from_secs(60))
        .await;
    let time = begun.elapsed();
    println!(
        "nodes ready after {} ({:.0}/s); {}",
        ms(time),
        nodes as f64 / time.as_secs_f64(),
        processes.busy(&cpu, time)
    );
    let (begun, cpu) = (Instant::now(), processes.cpu());
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("idle for 10 s: {}", processes.busy(&cpu, begun.elapsed()));
    println!("server's memory: {}", mib(rss_kib(server.pid())));

    let mut perf = options
        .perf
        .as_ref()
        .map(|file| start_perf(file, server.pid()));
    let (begun, cpu) = (Instant::now(), processes.cpu());
    let calls = async {
        let calls = register(server.http, options).await;
        (calls, begun.elapsed())
    };
    let placing = async {
        timeline
            .until(Step::Alloc, allocs, Duration::from_secs(60))
            .await;
        (processes.busy(&cpu, begun.elapsed()), begun.elapsed())
    };
    let ((calls, registered), (placed_cpu, placed)) = tokio::join!(calls, placing);
    timeline
        .until(Step::Running, allocs, Duration::from_secs(60))
        .await;
    let (all_cpu, all) = (processes.busy(&cpu, begun.elapsed()), begun.elapsed());
    if let Some(perf) = &mut perf {
        let _ = run(Command::new("kill").args(["-INT", &perf.id().to_string()]));
        let _ = perf.wait();
    }
    let (held, used) = fleet.allocs();
    let (median, worst) = median_and_worst(calls);
    println!(
        "\nregistered within {}: a call takes {} (median), {} (worst)",
        ms(registered),
        ms(median),
        ms(worst)
    );
    println!("placed within {}: {placed_cpu}", ms(placed));
    println!("running within {}: {all_cpu}", ms(all));
    println!("the nodes hold {held} allocs, on {used} of them");
    let memory = rss_kib(server.pid());

    let (begun, cpu) = (Instant::now(), processes.cpu());
    timeline
        .until(Step::Deployed, options.jobs, Duration::from_secs(30))
        .await;
    let deployed = processes.busy(&cpu, begun.elapsed());
    println!(
        "deployments successful {} later: {deployed}",
        ms(begun.elapsed())
    );

    let status = store.status().await.unwrap();
    timeline.look(|seen| {
        if seen.breaks > 0 {
            println!("the watch on the store broke {} times", seen.breaks);
        }
        let start = seen
            .steps
            .get(&Step::Registration)
            .map_or(begun, |span| span.first);
        steps(seen, start);
        println!("\n| what | rove | Nomad 1.6.5 |\n| --- | --- | --- |");
        println!(
            "| placements, first registration to last alloc | {} | 1,200/s, falling with size |",
            rate(seen, Step::Alloc)
        );
        println!(
            "| placements, first registration to last running | {} | |",
            rate(seen, Step::Running)
        );
        println!(
            "| a job from registered to placed (median, worst) | {} | |",
            by_job(seen, |job| job.placed)
        );
        println!(
            "| a job from registered to running (median, worst) | {} | |",
            by_job(seen, |job| job.running)
        );
        println!(
            "| server's memory, all running | {} (at most {}) | |",
            mib(memory),
            mib(peak_rss_kib(server.pid()))
        );
        println!(
            "| store | {:.0} MB, {:.0} MB of it in use; {} writes in {} revisions, {:.0} MB | |",
            status.db_size as f64 / 1e6,
            status.db_size_in_use as f64 / 1e6,
            seen.events,
            seen.revisions,
            seen.bytes as f64 / 1e6,
        );
        if let Some(etcd) = etcd {
            println!(
                "| etcd's folder, memory | {:.0} MB, {} | |",
                folder_bytes(etcd.data()) as f64 / 1e6,
                mib(rss_kib(etcd.pid()))
            );
        }
    });
}
