//! Any text at all: nothing panics, runs away or takes memory out of proportion.
//!
//! `ROVE_FUZZ_CASES` says how many texts are tried (1,000 unless said), `ROVE_FUZZ_SEED` from where on.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![expect(
    unsafe_code,
    reason = "an allocator that counts has to be an unsafe implementation"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use rove_jobspec::{
    NoFiles, ParseOptions, Parsed, detect, hcl, parse_any, parse_hcl, parse_json, parse_yaml,
};
use rove_model::validate::validate;

/// Counts what the thread that asks has in use.
struct Counting;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    let _ = IN_USE.try_with(|in_use| {
        let now = in_use.get().saturating_add(bytes);
        in_use.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

fn gave(bytes: usize) {
    let _ = IN_USE.try_with(|in_use| in_use.set(in_use.get().saturating_sub(bytes)));
}

// SAFETY: everything is passed on to the system's allocator unchanged; the counters are plain cells that allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that any text may take, and as many more for each of its own.
const MEMORY: (usize, usize) = (128 << 20, 4_096);
/// Allocations, likewise: what never ends would make ever more.
const CALLS_ALLOWED: (u64, u64) = (40_000_000, 20_000);

/// A small generator of numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or(0) % limit.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "${",
    "%{",
    "~}",
    "\n",
    "=",
    ":",
    ",",
    ".",
    "...",
    "?",
    "<<EOT\n",
    "<<-EOT\n",
    "EOT\n",
    "*",
    "[*]",
    ".*",
    "-",
    "!",
    "+",
    "/",
    "%",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    ">=",
    "=>",
    "for x in ",
    "if ",
    "dynamic \"task\" {",
    "content {",
    "for_each = ",
    "locals {",
    "variable \"v\" {",
    "local.a",
    "var.v",
    "null",
    "true",
    "1e999",
    "-9223372036854775808",
    "170141183460469231731687303715884105728",
    "0.1",
    "\\u",
    "\\",
    "\u{feff}",
    "é",
    "👍",
    "\0",
    "\r\n",
    "\t",
    "#",
    "//",
    "/*",
    "*/",
    "&a ",
    "*a",
    "<<: ",
    "- ",
    "? ",
    "---\n",
    "|",
    ">",
    "!!str ",
    "{{",
    "range(0, 1000)",
    "job \"j\" {",
    "group \"g\" {",
    "task \"t\" {",
    "config {",
    "driver = \"docker\"",
    "'",
    "%{ if true }",
    "%{ else }",
    "%{ endif }",
    "%{ for x in [1] }",
    "%{ endfor }",
    "$${",
    "%%{",
];

const FUNCTIONS: &[&str] = &[
    "abs",
    "base64decode",
    "base64encode",
    "basename",
    "can",
    "ceil",
    "chomp",
    "chunklist",
    "cidrhost",
    "cidrnetmask",
    "cidrsubnet",
    "cidrsubnets",
    "coalesce",
    "coalescelist",
    "compact",
    "concat",
    "contains",
    "csvdecode",
    "dirname",
    "distinct",
    "element",
    "file",
    "flatten",
    "floor",
    "format",
    "formatdate",
    "formatlist",
    "indent",
    "index",
    "join",
    "jsondecode",
    "jsonencode",
    "keys",
    "length",
    "log",
    "lookup",
    "lower",
    "max",
    "md5",
    "merge",
    "min",
    "parseint",
    "pow",
    "range",
    "regex",
    "regexall",
    "regex_replace",
    "replace",
    "reverse",
    "rsadecrypt",
    "setintersection",
    "setproduct",
    "setsubtract",
    "setunion",
    "sha1",
    "sha256",
    "sha512",
    "signum",
    "slice",
    "sort",
    "split",
    "strlen",
    "strrev",
    "substr",
    "timeadd",
    "title",
    "trim",
    "trimprefix",
    "trimspace",
    "trimsuffix",
    "try",
    "upper",
    "urlencode",
    "uuidv5",
    "values",
    "yamldecode",
    "yamlencode",
    "zipmap",
];

const LEAVES: &[&str] = &[
    "1",
    "0",
    "-1",
    "2.5",
    "1e300",
    "9999999999",
    "1024",
    "\"\"",
    "\"a\"",
    "\"a,b\\n1,2\"",
    "\"%s %05d %v\"",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[1, 2, 3]",
    "[\"a\", \"b\"]",
    "{ a = 1, b = \"x\" }",
    "attr.x",
    "local.a",
    "x",
    "\"10.0.0.0/8\"",
    "\"fd00::/8\"",
    "\"2024-03-05T10:11:12Z\"",
    "\"{\\\"a\\\":[1]}\"",
    "\"(a)(b*)\"",
    "\"a: [1, &x b]\"",
    "\"YYYY'T'ZZ\"",
    "\"${attr.y}\"",
    "\"👍é\"",
    "range(50)",
    "<<EOT\nt ${1}\nEOT\n",
];

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(5) == 0 {
        return random.pick(LEAVES).to_owned();
    }
    let inner = |random: &mut Random| expression(random, depth - 1);
    let (a, b, c) = (inner(random), inner(random), inner(random));
    match random.below(18) {
        0 => format!("({a} + {b})"),
        1 => format!(
            "({a} {} {b})",
            random.pick(&["-", "*", "/", "%", "<", "==", "&&", "||", "!="])
        ),
        2 => format!("({a} ? {b} : {c})"),
        3 => format!("[{a}, {b}, {c}]"),
        4 => format!("{{ a = {a}, b = {b} }}"),
        5 => format!("[for x in {a} : {b}]"),
        6 => format!("[for i, x in {a} : {b} if {c}]"),
        7 => format!("{{ for x in {a} : {b} => {c} }}"),
        8 => format!("{{ for x in {a} : {b} => {c}... }}"),
        9 => format!("{a}[*].a"),
        10 => format!("{a}[{b}]"),
        11 => format!("\"x${{{a}}}%{{ if {b} }}y%{{ else }}z%{{ endif }}\""),
        12 => format!("\"%{{ for x in {a} }}${{x}}%{{ endfor }}\""),
        13 => format!("-{a}"),
        14 => format!("{}({a})", random.pick(FUNCTIONS)),
        15 => format!("{}({a}, {b})", random.pick(FUNCTIONS)),
        16 => format!("{}({a}...)", random.pick(FUNCTIONS)),
        _ => format!("{}({a}, {b}, {c})", random.pick(FUNCTIONS)),
    }
}

fn job(random: &mut Random) -> String {
    let (a, b, c) = (
        expression(random, 4),
        expression(random, 3),
        expression(random, 3),
    );
    format!(
        "variable \"v\" {{\n  type = {}\n  default = {b}\n  validation {{\n    condition = {c}\n    error_message = {b}\n  }}\n}}\nlocals {{\n  a = {a}\n  b = [local.a, local.a]\n}}\njob \"j\" {{\n  priority = {b}\n  meta = {c}\n  dynamic \"group\" {{\n    for_each = {a}\n    labels = [\"g${{group.key}}\"]\n    content {{\n      count = {b}\n      task \"t\" {{\n        driver = \"docker\"\n        config {{\n          args = {c}\n        }}\n        kill_timeout = {b}\n      }}\n    }}\n  }}\n}}\n",
        random.pick(&[
            "any",
            "string",
            "list(string)",
            "map(any)",
            "object({ a = optional(number, 1) })",
            "set(number)",
            "tuple([string])"
        ])
    )
}

fn mutate(text: &str, others: &[String], random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            2 | 3 => drop(bytes.splice(at..at, random.pick(TOKENS).bytes())),
            4 => drop(bytes.splice(at..end, random.pick(TOKENS).bytes())),
            5 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let part: Vec<u8> = other.bytes().skip(from).take(random.below(200)).collect();
                bytes.splice(at..at, part);
            }
            6 => {
                let token = random.pick(TOKENS).repeat(1 << random.below(12));
                bytes.splice(at..at, token.into_bytes());
            }
            _ => bytes.truncate(at),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The examples and every sample job file.
fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("../examples")];
    for samples in rove_testkit::samples() {
        folders.extend(["jobspec", "jobspec-invalid"].map(|name| samples.join(name)));
    }
    let mut seeds = vec!["job \"x\" {\n  meta {\n    a = \"${1 + 1}\"\n  }\n}\n".to_owned()];
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seeds.extend(fs::read_to_string(entry.path()));
        }
    }
    let jobs: Vec<String> = seeds
        .iter()
        .filter_map(|text| parse_hcl("x", text, &ParseOptions::default()).ok())
        .map(|parsed| rove_jobspec::to_yaml(&parsed.job))
        .collect();
    seeds.extend(jobs);
    seeds
}

/// All that a command or the API would do with a text.
fn use_all(parsed: &Parsed) {
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let report = validate(&job);
    let _ = parsed.locate(&report.errors).render(true);
    let _ = parsed.warnings.render(false);
    let _ = rove_jobspec::to_yaml(&parsed.job);
}

fn try_text(kind: usize, text: &str) {
    let options = ParseOptions::default();
    let parsed = match kind {
        0 => parse_hcl("x.hcl", text, &options).map(|parsed| vec![parsed]),
        1 => parse_yaml("x.yaml", text, &options),
        2 => parse_json("x.json", text, &options).map(|parsed| vec![parsed]),
        3 => {
            let _ = detect("x", text);
            parse_any("x", text, &options)
        }
        4 => {
            let options = ParseOptions {
                variable_files: vec![
                    ("v.vars".to_owned(), text.to_owned()),
                    ("v.json".to_owned(), text.to_owned()),
                ],
                variables: vec![("v".to_owned(), text.to_owned())],
                ..ParseOptions::default()
            };
            let job =
                "variable \"v\" { type = any }\njob \"x\" {\n  meta { a = jsonencode(var.v) }\n}\n";
            parse_hcl("x.hcl", job, &options).map(|parsed| vec![parsed])
        }
        _ => {
            if let Err(found) = hcl::expression("x", text, &NoFiles) {
                let _ = (found.render(true), found.reference_text());
            }
            return;
        }
    };
    match parsed {
        Ok(jobs) => jobs.iter().for_each(use_all),
        Err(found) => {
            let _ = (found.render(true), found.reference_text());
        }
    }
}

/// Whether a text is taken or refused as it should be, in bounds.
fn bounded(kind: usize, text: &str, what: &dyn Fn() -> String) {
    let base = IN_USE.get();
    PEAK.set(base);
    let calls = CALLS.get();
    let result = catch_unwind(AssertUnwindSafe(|| try_text(kind, text)));
    assert!(result.is_ok(), "panicked: {}", what());
    let peak = PEAK.get().saturating_sub(base);
    let calls = CALLS.get() - calls;
    assert!(
        peak <= MEMORY.0 + MEMORY.1 * text.len(),
        "{peak} bytes: {}",
        what()
    );
    assert!(
        calls <= CALLS_ALLOWED.0 + CALLS_ALLOWED.1 * text.len() as u64,
        "{calls} allocations: {}",
        what()
    );
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[test]
fn any_text_is_taken_or_refused_in_bounds() {
    let cases = number("ROVE_FUZZ_CASES", 1_000);
    let first = number("ROVE_FUZZ_SEED", 1);
    let seeds = seeds();
    for case in first..first + cases {
        let mut random = Random(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let kind = random.below(6);
        let text = match (kind, random.below(3)) {
            (5, 0) => expression(&mut random, 5),
            (5, _) => {
                let text = expression(&mut random, 4);
                mutate(&text, &seeds, &mut random)
            }
            (_, 0) => job(&mut random),
            (_, 1) => {
                let text = job(&mut random);
                mutate(&text, &seeds, &mut random)
            }
            _ => {
                let text = seeds[random.below(seeds.len())].clone();
                mutate(&text, &seeds, &mut random)
            }
        };
        bounded(kind, &text, &|| {
            format!("ROVE_FUZZ_SEED={case} ROVE_FUZZ_CASES=1, kind {kind}:\n{text}")
        });
    }
}

#[test]
fn what_is_made_to_blow_up_is_refused_in_bounds() {
    let hcl = |locals: &str| {
        format!(
            "locals {{\n{locals}\n}}\njob \"x\" {{\n  meta {{\n    a = length(local.z)\n  }}\n}}\n"
        )
    };
    let chain = |step: &dyn Fn(usize) -> String| -> String { (1..40).map(step).collect() };
    let aliases = |width: usize, depth: usize| -> String {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for level in 1..depth {
            let all = vec![format!("*a{}", level - 1); width].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{all}]\n"));
        }
        text
    };
    for (what, kind, text) in [
        ("nested lists", 5, "[".repeat(200_000)),
        ("nested blocks", 0, "a {\n".repeat(100_000)),
        ("nested templates", 5, "\"${".repeat(100_000)),
        ("nested parentheses", 5, format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000))),
        ("signs", 5, format!("{}1", "-".repeat(200_000))),
        ("negations", 5, format!("{}true", "!".repeat(200_000))),
        ("sums", 5, format!("1{}", " + 1".repeat(200_000))),
        ("conditions", 5, format!("{}1", "true ? 1 : ".repeat(50_000))),
        ("path", 5, format!("a{}", ".b".repeat(200_000))),
        ("splats", 5, format!("a{}", "[*]".repeat(100_000))),
        ("a stray letter", 0, "job \"broken\"é".to_owned()),
        ("splats of a text", 5, format!("\"x\"{}", "[*]".repeat(2_048))),
        ("old splats of a text", 5, format!("\"x\"{}", ".*".repeat(2_048))),
        ("indexes", 5, format!("[1]{}", "[0]".repeat(100_000))),
        ("calls", 5, format!("{}1{}", "abs(".repeat(50_000), ")".repeat(50_000))),
        ("exponential conditions", 5, (0..60).fold("1".to_owned(), |inner, _| format!("true ? 1 : ({inner})"))),
        ("doubled lists", 0, hcl(&format!("l0 = [1]\n{}z = local.l39", chain(&|n| format!("l{n} = [local.l{p}, local.l{p}]\n", p = n - 1))))),
        ("doubled texts", 0, hcl(&format!("l0 = \"x\"\n{}z = local.l39", chain(&|n| format!("l{n} = \"${{local.l{p}}}${{local.l{p}}}\"\n", p = n - 1))))),
        ("doubled joins", 0, hcl(&format!("l0 = [\"x\"]\n{}z = local.l39", chain(&|n| format!("l{n} = concat(local.l{p}, local.l{p})\n", p = n - 1))))),
        ("loops in loops", 0, hcl("r = range(1000)\nz = [for a in local.r : [for b in local.r : [for c in local.r : 1]]]")),
        ("products", 0, hcl("r = range(1000)\nz = setproduct(local.r, local.r, local.r)")),
        ("wide format", 0, hcl("z = [format(\"%999999999d\", 1)]")),
        ("wide indent", 0, hcl("z = [indent(999999999, \"a\\nb\")]")),
        ("large power", 0, hcl("z = [pow(10, 300) * pow(10, 300) * pow(10, 300)]")),
        ("long number", 0, hcl(&format!("z = [{}]", "9".repeat(100_000)))),
        ("small number", 0, hcl("z = [1e-999999999 * 1e-999999999]")),
        ("regular expression", 0, hcl("z = [regex_replace(join(\"\", [for x in range(1000) : \"aaaaaaaa\"]), \"(a{0,50}){0,50}\", \"$1$1$1\")]")),
        ("slow hashes", 0, hcl("z = [for x in range(1000) : bcrypt(\"x\", 13)]")),
        ("dynamic", 0, "job \"x\" {\n  dynamic \"group\" {\n    for_each = range(1000)\n    content {\n      dynamic \"task\" {\n        for_each = range(1000)\n        content {}\n      }\n    }\n  }\n}\n".to_owned()),
        ("many labels", 0, format!("job \"x\" {{\n  group \"g\" {{\n    task \"t\" {{\n      config {{\n        a {} {{\n          b {} {{}}\n        }}\n      }}\n    }}\n  }}\n}}\n", "l ".repeat(5_000), "l ".repeat(5_000))),
        ("many made labels", 0, "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      config {\n        dynamic \"a\" {\n          for_each = [1]\n          labels = [for x in range(1000) : x]\n          content {\n            dynamic \"b\" {\n              for_each = [1]\n              labels = [for x in range(1000) : x]\n              content {}\n            }\n          }\n        }\n      }\n    }\n  }\n}\n".to_owned()),
        ("deep locals", 0, hcl(&((1..5_000).map(|n| format!("l{n} = [local.l{}]\n", n - 1)).collect::<String>() + "l0 = []\nz = local.l4999"))),
        ("deep maps", 0, hcl(&((1..5_000).map(|n| format!("l{n} = {{ a = local.l{} }}\n", n - 1)).collect::<String>() + "l0 = {}\nz = local.l4999"))),
        ("deep dynamic blocks", 0, format!("job \"x\" {{\n{}\n{}}}\n", (0..50).map(|n| format!("dynamic \"b{n}\" {{\nfor_each = [{}{}{}]\ncontent {{\n", "[".repeat(90), if n == 0 { "1".to_owned() } else { format!("b{}.value", n - 1) }, "]".repeat(90))).collect::<String>(), "}\n}\n".repeat(50))),
        ("mistakes in loops", 0, "locals {\n  r = range(1000)\n}\njob \"x\" {\n  dynamic \"group\" {\n    for_each = local.r\n    labels = [group.value]\n    content {\n      count = [for a in local.r : [for b in local.r : nope(a)]]\n    }\n  }\n}\n".to_owned()),
        ("circles", 0, hcl(&(0..5_000).map(|n| format!("l{n} = local.l{}\n", (n + 1) % 5_000)).collect::<String>())),
        ("many mistakes", 0, format!("job \"x\" {{\n{}}}\n", (0..20_000).map(|n| format!("  n{n} = 1\n")).collect::<String>())),
        ("aliases", 1, aliases(10, 12)),
        ("aliases in a call", 0, hcl(&format!("z = yamldecode({})", serde_json::Value::from(aliases(10, 12))))),
        ("yaml lists", 1, "- ".repeat(100_000)),
        ("yaml brackets", 1, "[".repeat(100_000)),
        ("yaml maps", 1, "{a: ".repeat(100_000)),
        ("json lists", 2, "[".repeat(100_000)),
        (
            "json lists that end",
            2,
            format!("{{\"Job\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        ),
        (
            "format",
            0,
            hcl(&format!(
                "z = format(\"{}\", join(\"\", [for x in range(0, 1000) : \"0123456789\"]))",
                "%[1]s".repeat(50_000)
            )),
        ),
        (
            "csv",
            0,
            hcl(&format!(
                "z = csvdecode(\"{}\\n{}\")",
                "n".repeat(200_000),
                "a\\n".repeat(100_000)
            )),
        ),
        (
            "bracket in a text",
            0,
            hcl(&(0..1_000).map(|n| format!("z{n} = foo[\"[\"]\n")).collect::<String>()),
        ),
        (
            "hcl1 blocks",
            0,
            format!(
                "job \"x\" {{\n group \"g\" {{\n task \"t\" {{\n driver = \"d\"\n {} \"a.b\" = 1 }} }} }}",
                (0..40_000).map(|n| format!("env {{ a{n} = 1 }}\n")).collect::<String>()
            ),
        ),
        ("json in a call", 0, hcl(&format!("z = jsondecode(\"{}\")", "[".repeat(100_000)))),
        ("heredocs", 0, hcl(&format!("z = [{}]", "<<EOT\n${1}\nEOT\n,".repeat(5_000)))),
    ] {
        let start = std::time::Instant::now();
        bounded(kind, &text, &|| what.to_owned());
        println!("{what}: {:?}", start.elapsed());
    }
}
