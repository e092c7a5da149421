//! How long it takes to read a job file and fill in its defaults, and how much memory. Prints numbers, checks none.
//!
//! `cargo bench -p rove-jobspec --bench parse`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]
#![expect(
    unsafe_code,
    reason = "an allocator that counts has to be an unsafe implementation"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt::Write as _,
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rove_jobspec::{ParseOptions, parse_hcl, parse_yaml, to_yaml};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn group(number: usize, out: &mut String) {
    let _ = write!(
        out,
        r#"  group "g{number}" {{
    count = {count}
    network {{
      port "http" {{
        to = 8080
      }}
    }}
    task "server" {{
      driver = "docker"
      config {{
        image = "example/app:${{var.tag}}"
        ports = ["http"]
        args  = ["-v", "${{local.name}}-{number}"]
      }}
      env {{
        NODE = "${{node.unique.name}}"
        SIZE = "${{{number} * 2}}"
      }}
      resources {{
        cpu    = 100
        memory = 64
      }}
    }}
  }}
"#,
        count = number % 5 + 1,
    );
}

fn file(groups: usize) -> String {
    let mut out = "variable \"tag\" {\n  type    = string\n  default = \"1.2\"\n}\n\nlocals {\n  name = upper(\"web-${var.tag}\")\n}\n\njob \"web\" {\n  datacenters = [\"dc1\"]\n".to_owned();
    for number in 0..groups {
        group(number, &mut out);
    }
    out.push_str("}\n");
    out
}

/// How long this thread has run, whatever else the machine does; its own clock where the kernel does not say.
fn ran(start: Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|nanos| nanos.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => start.elapsed(),
    }
}

struct Found {
    median: Duration,
    worst: Duration,
    /// Bytes.
    peak: usize,
}

/// Processor time of so many samples, and the most memory that a run took. The kernel counts that time in ticks of some
/// milliseconds: a sample is the mean of `batch` runs.
fn measure(samples: usize, batch: u32, mut work: impl FnMut()) -> Found {
    let begin = Instant::now();
    let mut times = Vec::with_capacity(samples);
    let mut peak = 0;
    for _ in 0..samples {
        let base = IN_USE.load(Relaxed);
        PEAK.store(base, Relaxed);
        let start = ran(begin);
        for _ in 0..batch {
            work();
        }
        times.push(ran(begin).saturating_sub(start) / batch);
        peak = peak.max(PEAK.load(Relaxed).saturating_sub(base));
    }
    times.sort();
    Found {
        median: times[samples / 2],
        worst: times[samples - 1],
        peak,
    }
}

fn report(what: &str, text: &str, target: &str, found: &Found) {
    println!(
        "{what:<20} {:>6} lines {:>7.1} KB   median {:>8.2} ms   worst {:>8.2} ms   peak {:>6.1} MB   {target}",
        text.lines().count(),
        text.len() as f64 / 1_000.0,
        found.median.as_secs_f64() * 1_000.0,
        found.worst.as_secs_f64() * 1_000.0,
        found.peak as f64 / 1e6,
    );
}

fn main() {
    let options = ParseOptions {
        max_size: 4 << 20,
        ..ParseOptions::default()
    };
    let small = file(12);
    let large = file(2_000);
    for (what, text, batch, target) in [
        ("a job", &small, 200, "target 2 ms"),
        ("2,000 groups", &large, 1, "target 1 s, 200 MB"),
    ] {
        let found = measure(9, batch, || {
            let mut job = parse_hcl("web.hcl", text, &options).unwrap().job;
            job.canonicalize();
            black_box(job);
        });
        report(what, text, target, &found);
        let yaml = to_yaml(&parse_hcl("web.hcl", text, &options).unwrap().job);
        let found = measure(9, batch, || {
            let mut jobs = parse_yaml("web.yaml", &yaml, &options).unwrap();
            for parsed in &mut jobs {
                parsed.job.canonicalize();
            }
            black_box(jobs);
        });
        report(&format!("{what}, YAML"), &yaml, target, &found);
    }
}
