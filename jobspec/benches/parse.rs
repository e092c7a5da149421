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

/// The median and the longest of so many runs, and the most memory that one took.
fn measure(runs: usize, mut work: impl FnMut()) -> (Duration, Duration, usize) {
    let mut times = Vec::with_capacity(runs);
    let mut most = 0;
    for _ in 0..runs {
        let base = IN_USE.load(Relaxed);
        PEAK.store(base, Relaxed);
        let start = Instant::now();
        work();
        times.push(start.elapsed());
        most = most.max(PEAK.load(Relaxed).saturating_sub(base));
    }
    times.sort();
    (times[runs / 2], times[runs - 1], most)
}

fn report(
    what: &str,
    lines: usize,
    bytes: usize,
    target: &str,
    found: (Duration, Duration, usize),
) {
    let (median, worst, peak) = found;
    println!(
        "{what:<28} {lines:>6} lines {:>7.1} KB   median {:>8.2} ms   worst {:>8.2} ms   peak {:>6.1} MB   {target}",
        bytes as f64 / 1_000.0,
        median.as_secs_f64() * 1_000.0,
        worst.as_secs_f64() * 1_000.0,
        peak as f64 / 1e6,
    );
}

fn main() {
    let options = ParseOptions {
        max_size: 4 << 20,
        ..ParseOptions::default()
    };
    let small = file(12);
    let large = file(2_000);
    for (what, text, runs, target) in [
        ("a job", &small, 200, "target 2 ms"),
        ("2,000 groups", &large, 7, "target 1 s, 200 MB"),
    ] {
        let found = measure(runs, || {
            let mut job = parse_hcl("web.hcl", text, &options).unwrap().job;
            job.canonicalize();
            black_box(job);
        });
        report(what, text.lines().count(), text.len(), target, found);
        let yaml = to_yaml(&parse_hcl("web.hcl", text, &options).unwrap().job);
        let found = measure(runs, || {
            let mut jobs = parse_yaml("web.yaml", &yaml, &options).unwrap();
            for parsed in &mut jobs {
                parsed.job.canonicalize();
            }
            black_box(jobs);
        });
        report(
            &format!("{what}, YAML"),
            yaml.lines().count(),
            yaml.len(),
            target,
            found,
        );
    }
}
